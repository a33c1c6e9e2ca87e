/* SPDX-License-Identifier: MIT */
#ifndef COLDFRAME_SESSION_H
#define COLDFRAME_SESSION_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "machine/player.h"
#include "program.h"

/* When every equation of the engine is checked. */
enum verify_when {
	VERIFY_END,
	VERIFY_STEP,
	VERIFY_OFF,
};

struct session_options {
	const char *command;	/* for messages */
	enum verify_when verify;
	uint64_t seed;
	bool json, quiet, color;
};

/* What every command with a session takes. */
#define SESSION_LETTERS	"jqv:s:h"
#define SESSION_OPTIONS							\
	{ "json", no_argument, NULL, 'j' },				\
	{ "quiet", no_argument, NULL, 'q' },				\
	{ "verify", required_argument, NULL, 'v' },			\
	{ "seed", required_argument, NULL, 's' },			\
	{ "color", required_argument, NULL, 'C' },			\
	{ "help", no_argument, NULL, 'h' }

void session_defaults(struct session_options *options, const char *command);

/* Take one of them but -h, or say what is wrong. Return: an exit status. */
int session_option(struct session_options *options, int option,
		   const char *value);

/* How a command takes its options; take as session_option(), never -h. */
struct session_parser {
	const char *command, *letters, *help;
	const struct option *words;
	int (*take)(void *context, int option, const char *value);
};

/* Take all of them. Return: -1: go on; or an exit status. */
int session_parse(const struct session_parser *parser, void *context, int argc,
		  char **argv);

/* What a command does besides running steps. All may be NULL. */
struct session_hooks {
	void *context;

	/* In place of machine_create(). NULL: it cannot be, and it is said. */
	struct machine *(*begin)(void *context,
				 const struct machine_config *config);

	/*
	 * In place of both, another player, until the session ends. Return:
	 * 0, or the exit status, said already.
	 */
	int (*play)(void *context, const struct program *program,
		    const struct machine_config *config,
		    struct player *ret_player);

	/*
	 * With the machine as the scenario left it, verified. 0, or -1 with
	 * @why, and then the check @end_name has failed.
	 */
	int (*end)(void *context, struct machine *machine, char *why,
		   size_t bytes);
	const char *end_name;	/* not of another player */

	/*
	 * @end, or the last step where there is another player, writes what
	 * only a scenario of which all was true is good for.
	 */
	bool only_good;

	/* A "save" without a name ends the scenario, as if nothing followed. */
	bool until_save;

	/* What else there is to report: into the object, or NULL: print it. */
	void (*report)(void *context, json_t *report);

	/* The step "dump": machine_config.dump. */
	int (*dump)(void *context, const struct machine_dump *request,
		    char *text, size_t bytes);
};

struct session_shared;

/**
 * session_run() - a machine, a scenario's steps, and what is said of them.
 * @program: read; may have no steps
 * @shared:  from session_child()
 *
 * Return: an exit status, said already.
 */
int session_run(const struct session_options *options,
		const struct session_hooks *hooks,
		const struct program *program, struct session_shared *shared);

/**
 * session_died() - a player can go on no more: its file ends here.
 * @context: config->context of the player's machine_config
 */
_Noreturn void session_died(void *context, const char *why);

/* Reads @file and calls session_run(). Return: an exit status. */
typedef int (*session_child_fn)(void *context, const char *file,
				struct session_shared *shared);

/**
 * session_child() - call @run in a process of its own.
 *
 * One machine a process. Return: the exit status, also if the child dies.
 */
int session_child(const struct session_options *options, const char *file,
		  session_child_fn run, void *context);

#endif
