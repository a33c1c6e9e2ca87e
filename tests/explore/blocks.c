/* SPDX-License-Identifier: MIT */

/*
 * Blocks that come and go, logically offline frames, contents.
 */

#include "ground.h"

const struct explore_program *const explore_blocks[] = {
	NULL
};
