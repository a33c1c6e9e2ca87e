/* SPDX-License-Identifier: MIT */
#ifndef COLDFRAME_DUMPING_H
#define COLDFRAME_DUMPING_H

/* What dump and the scenario step "dump" share. */

#include "dump/write.h"
#include "machine/machine.h"
#include "program.h"

/*
 * Do two steps write one file, or one of them @path?  The second would take
 * the place of the first. @path: NULL: nothing else is written. Return:
 * EXIT_OK, or said: EXIT_WRONG.
 */
int dumping_check(const struct program *program, const char *path, bool json);

/* The step: machine_config.dump. */
int dumping_step(void *context, const struct machine_dump *request, char *text,
		 size_t bytes);

/*
 * Dump a map, or what another dump has. 0, or -1 with @why.
 */
int dumping_write(const struct machine_dump *request,
		  const struct dump_options *options,
		  struct dump_result *ret_result, struct dump_why *why);

/* A sentence on what is in a dump: "64 MiB of 1 GiB, 512 MiB left out". */
void dumping_say(const struct dump_result *result, char *text, size_t bytes);

#endif
