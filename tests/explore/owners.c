/* SPDX-License-Identifier: MIT */

/*
 * Owners, the last reference, retirement.
 */

#include "ground.h"

const struct explore_program *const explore_owners[] = {
	NULL
};
