/* SPDX-License-Identifier: MIT */

/*
 * Caches, isolation, offlining, the index.
 */

#include "ground.h"

const struct explore_program *const explore_caches[] = {
	NULL
};
