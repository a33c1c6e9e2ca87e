/* SPDX-License-Identifier: MIT */

/*
 * Offline operations: their steps, their end and who hears of it; isolation
 * against frees, ranges and compaction.
 */

#include "ground.h"

const struct explore_program *const explore_offlining[] = {
	NULL
};
