/* SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_RUN_H
#define TESTS_FUZZ_RUN_H

/*
 * What tools/coldframe/run.c is compiled with: its file runs in this process
 * instead of a child, its machine within bounds.
 */

#include <sys/types.h>

struct machine;
struct step;
struct outcome;

pid_t run_fork(void);
_Noreturn void run_exit(int status);
void run_step(struct machine *machine, const struct step *step,
	      struct outcome *ret_outcome);
void run_destroy(struct machine *machine);

#define fork		run_fork
#define exit		run_exit
#define machine_step	run_step
#define machine_destroy	run_destroy

#endif
