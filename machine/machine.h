/* SPDX-License-Identifier: MIT */
#ifndef MACHINE_MACHINE_H
#define MACHINE_MACHINE_H

/*
 * The embedded machine: the engine, owners that stand for drivers, CPUs that
 * are threads and memory that is the process's own, all in one process.  It
 * carries out the steps of a scenario, one at a time.
 *
 * One machine a process: threads have one CPU number, and a map with frames
 * in use cannot be taken down.
 */

#include <jansson.h>
#include <stdio.h>

#include "scenario/scenario.h"

#define OUTCOME_TEXT_BYTES	256

/* What a step did. */
struct outcome {
	int err;			/* 0, or a negative enum cf_err */
	bool wrong;			/* an expectation that does not hold */
	bool reported;			/* @report says what was in the way */
	struct cf_report report;
	char what[OUTCOME_TEXT_BYTES];	/* what was done, for people */
	char why[2 * OUTCOME_TEXT_BYTES];	/* why not; may be empty */
	int queried;			/* what a query found: as err */
	uint64_t done;			/* frames the step has dealt with */
	uint64_t moved;			/* frames the engine moved for it */
	uint64_t ns;			/* how long it took */
};

struct save_config;

/* What the step "dump" asks for. */
struct machine_dump {
	struct cf_map *map;		/* or NULL, and ... */
	const char *core;		/* ... a dump of a guest */
	const char *path;
	unsigned level;			/* as makedumpfile's */
	bool elf;			/* an ELF core, not kdump-compressed */
};

struct machine_config {
	uint64_t seed;
	const struct scenario_name *names;	/* those of the scenario */
	uint32_t names_count;
	FILE *out;		/* where print and say write; NULL: nowhere */
	const struct save_config *save;	/* how it is saved; NULL: not at all */

	/* How far a long step is; may be NULL. @total 0: nobody knows. */
	void (*progress)(void *context, const char *what, uint64_t done,
			 uint64_t total);

	/*
	 * What the step "dump" does; NULL: it is refused. @text: a sentence
	 * on what is in the dump, or with -1 on why there is none.
	 */
	int (*dump)(void *context, const struct machine_dump *request,
		    char *text, size_t bytes);
	void *dump_context;
	void *context;
};

struct machine;

/**
 * machine_create() - a machine that is switched off.
 * @config: stays valid until machine_destroy()
 *
 * The first step, STEP_MACHINE, switches it on. Return: it, or NULL: no
 * memory.
 */
struct machine *machine_create(const struct machine_config *config);

/** machine_destroy() - stop everything that runs and give its memory back. */
void machine_destroy(struct machine *machine);

/**
 * machine_step() - carry out a step.
 * @ret_outcome: what it did
 *
 * A step that fails leaves the machine as it was, unless ret_outcome->done
 * says how far it got.
 */
void machine_step(struct machine *machine, const struct step *step,
		  struct outcome *ret_outcome);

/**
 * machine_verify() - check every equation; what runs pauses meanwhile.
 * Return: true: all hold; false: @why says what and where.
 */
bool machine_verify(struct machine *machine, char *why, size_t bytes);

/**
 * machine_rest() - let what runs by itself stand still: a load, walkers.
 *
 * Nests. Pair with machine_go_on().
 */
void machine_rest(struct machine *machine);
void machine_go_on(struct machine *machine);

/**
 * machine_finish() - end a load that still runs.
 * Return: true: it found no wrong contents; false: @why says where it did.
 */
bool machine_finish(struct machine *machine, char *why, size_t bytes);

/* Is it on? What follows needs that. */
bool machine_is_on(const struct machine *machine);

/* Its map, once it is on. */
struct cf_map *machine_map(struct machine *machine);

/* The report: every subject with all its properties. A new reference. */
json_t *machine_json(struct machine *machine);

/* What @outcome->report says, for programs. A new reference. */
json_t *machine_refusal_json(struct machine *machine,
			     const struct outcome *outcome);

/* As much of it as report_print() shows of @what. A new reference. */
json_t *machine_shown_json(struct machine *machine, enum print what);

/* A report for people: tables. Return: 0, or -1. */
int report_print(const json_t *report, enum print what, FILE *out);

/* That of this machine. Return: 0, or -1. */
int machine_print(struct machine *machine, enum print what, FILE *out);

/**
 * machine_export() - write a sysroot: proc/ and sys/ as the kernel has them.
 * @directory: made if it is not there
 * Return: 0, or -1 with @why.
 */
int machine_export(struct machine *machine, const char *directory, char *why,
		   size_t bytes);

/* "120M", "4K", "1.5G": frames for people. */
const char *machine_size(uint64_t frames, char buffer[24]);

#endif
