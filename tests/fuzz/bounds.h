/* SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_BOUNDS_H
#define TESTS_FUZZ_BOUNDS_H

/*
 * What a fuzzer need not wait for: a scenario may ask for terabytes and hours,
 * and is right to. What would take long is made short; what would leave the
 * process (export, "expect caught") is left out.
 */

#include "scenario/scenario.h"

struct bounds {
	uint64_t span;		/* bytes, of the machine step */
	uint64_t added;		/* frames of memory so far */
	bool spoiled;		/* steps have changed contents on purpose */
};

/* Is this a machine that can be tried? */
bool bounds_machine(const struct step *step);

/* Make it short, in order from the machine step on. False: leave it out. */
bool bounds_apply(struct bounds *bounds, struct step *step);

#endif
