/* SPDX-License-Identifier: MIT */

#include "engine.h"

extern const struct explore_program *const explore_litmus[];
extern const struct explore_program *const explore_refs[];
extern const struct explore_program *const explore_blocks[];
extern const struct explore_program *const explore_caches[];
extern const struct explore_program *const explore_owners[];

const struct explore_program *const *const explore_groups[] = {
	explore_litmus,
	explore_refs,
	explore_blocks,
	explore_caches,
	explore_owners,
	NULL
};
