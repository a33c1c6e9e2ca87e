/* SPDX-License-Identifier: MIT */

#include "engine.h"

extern const struct explore_program *const explore_litmus[];
extern const struct explore_program *const explore_refs[];
extern const struct explore_program *const explore_blocks[];
extern const struct explore_program *const explore_caches[];
extern const struct explore_program *const explore_owners[];
extern const struct explore_program *const explore_removals[];
extern const struct explore_program *const explore_overlaps[];
extern const struct explore_program *const explore_allocs[];
extern const struct explore_program *const explore_register[];
extern const struct explore_program *const explore_stray[];
extern const struct explore_program *const explore_balloons[];
extern const struct explore_program *const explore_poison[];
extern const struct explore_program *const explore_contents[];
extern const struct explore_program *const explore_sides[];
extern const struct explore_program *const explore_runs[];
extern const struct explore_program *const explore_moves[];
extern const struct explore_program *const explore_lookups[];
extern const struct explore_program *const explore_offlining[];
extern const struct explore_program *const explore_retire[];
extern const struct explore_program *const explore_unregister[];
extern const struct explore_program *const explore_pagemaps[];
extern const struct explore_program *const explore_pools[];
extern const struct explore_program *const explore_devices[];
extern const struct explore_program *const explore_elastic[];

const struct explore_program *const *const explore_groups[] = {
	explore_litmus,
	explore_refs,
	explore_removals,
	explore_overlaps,
	explore_allocs,
	explore_stray,
	explore_contents,
	explore_sides,
	explore_runs,
	explore_moves,
	explore_blocks,
	explore_balloons,
	explore_caches,
	explore_owners,
	explore_lookups,
	explore_offlining,
	explore_retire,
	explore_poison,
	explore_unregister,
	explore_register,
	explore_pagemaps,
	explore_pools,
	explore_devices,
	explore_elastic,
	NULL
};
