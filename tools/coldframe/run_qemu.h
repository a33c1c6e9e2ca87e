/* SPDX-License-Identifier: MIT */
#ifndef COLDFRAME_RUN_QEMU_H
#define COLDFRAME_RUN_QEMU_H

#include "program.h"
#include "qemu.h"

/* What --machine and its like say. */
struct run_qemu {
	const char *command;		/* who says what is wrong */
	bool wanted;			/* --machine=qemu */
	bool kind_given, patience_given;
	enum cpu_kind kind;
	uint64_t patience_s;
	bool json;			/* how to say what is wrong */
	char image[4096];
	struct player_qemu config;	/* of the file that runs */
};

/* For the lists of every command that has --machine. */
#define RUN_QEMU_LETTERS "m:"
#define RUN_QEMU_OPTIONS						\
	{ "machine", required_argument, NULL, 'm' },			\
	{ "cpu-kind", required_argument, NULL, 'k' },			\
	{ "patience", required_argument, NULL, 'p' }

/*
 * Take one of them. Return: -1: it is another; EXIT_OK, or said: EXIT_WRONG.
 */
int run_qemu_option(struct run_qemu *run, int option, const char *value);

/* What fits together, and is QEMU there? EXIT_OK, or said: EXIT_WRONG. */
int run_qemu_check(struct run_qemu *run);

/* A session's play hook; @context is a struct run_qemu. */
int run_qemu_play(void *context, const struct program *program,
		  const struct machine_config *config,
		  struct player *ret_player);

#endif
