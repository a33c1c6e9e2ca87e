/* SPDX-License-Identifier: MIT */
#ifndef MACHINE_SAVE_MAP_H
#define MACHINE_SAVE_MAP_H

#include "save_facts.h"

/* The runs of one block, as facts. */
struct save_runs {
	struct fact_run *run;
	size_t count, room;
};

void save_runs_free(struct save_runs *runs);

/* One more. False: no memory. */
bool save_runs_add(struct save_runs *runs, const struct fact_run *run);

/**
 * save_runs_of() - the runs whose heads are in a block.
 * @ret_pfn: on failure, the frame that is in motion
 *
 * Return: 0, -CF_EAGAIN: something is in motion, -CF_ENOMEM.
 */
int save_runs_of(struct machine *machine, cf_pfn block,
		 struct save_runs *runs, cf_pfn *ret_pfn) CF_MUST_CHECK;

/* Over every run of the machine; as save_runs_of(). */
int save_runs_sum(struct machine *machine, uint32_t *ret_sum,
		  uint64_t *ret_count) CF_MUST_CHECK;

static inline uint64_t run_frames(const struct fact_run *run)
{
	return (uint64_t)1 << run->order;
}

/* Does somebody use it, so that its contents matter? */
bool run_has_contents(const struct fact_run *run);

#endif
