/* SPDX-License-Identifier: MIT */

/* What the words of a map say, as facts, block by block. */

#include "save_map.h"

#include <stdlib.h>

void save_runs_free(struct save_runs *runs)
{
	free(runs->run);
}

bool save_runs_add(struct save_runs *runs, const struct fact_run *run)
{
	size_t room = runs->room ? 2 * runs->room : 1024;
	struct fact_run *more;

	if (runs->count == runs->room) {
		more = realloc(runs->run, room * sizeof(*more));
		if (!more)
			return false;
		runs->run = more;
		runs->room = room;
	}
	runs->run[runs->count++] = *run;
	return true;
}

bool run_has_contents(const struct fact_run *run)
{
	return run->type == CF_TYPE_KERNEL || run->type == CF_TYPE_FOLIO ||
	       run->type == CF_TYPE_PGTABLE || run->type == CF_TYPE_SLAB;
}

static struct fact_run fact_of(const struct cf_span *span)
{
	return (struct fact_run){
		.first = span->first,
		.type = (uint8_t)span->type,
		.order = (uint8_t)span->order,
		.flags = (uint16_t)span->flags,
		.owner = (uint16_t)span->owner,
		.pins = (uint16_t)span->pins,
		.refs = span->refs,
		.payload = span->payload,
	};
}

int save_runs_of(struct machine *machine, cf_pfn block,
		 struct save_runs *runs, cf_pfn *ret_pfn)
{
	cf_pfn at = block, last = block + machine->block_frames;
	struct cf_block_info info;
	struct fact_run run;
	struct cf_span span;
	int err = 0;

	runs->count = 0;
	/* Memory of devices is its owner's to tell of. */
	if (!cf_block_info(machine->map, block, &info) &&
	    info.zone == CF_ZONE_DEVICE)
		return 0;
	cf_walk_begin(machine->map);
	while (!err && cf_walk_next(machine->map, &at, last, &span)) {
		*ret_pfn = span.first;
		if (span.kind == CF_SPAN_TRANSIT)
			err = -CF_EAGAIN;
		if (span.kind != CF_SPAN_RUN || span.first < block)
			continue;
		run = fact_of(&span);
		if (run.flags & (CF_FLAG_BUSY | CF_FLAG_ISOLATED))
			err = -CF_EAGAIN;
		else if (!save_runs_add(runs, &run))
			err = -CF_ENOMEM;
	}
	cf_walk_end(machine->map);
	return err;
}

int save_runs_sum(struct machine *machine, uint32_t *ret_sum,
		  uint64_t *ret_count)
{
	struct save_runs runs = { NULL, 0, 0 };
	cf_pfn block, pfn;
	size_t i;
	int err = 0;

	*ret_sum = 0;
	*ret_count = 0;
	for (block = machine->added_first; !err && block < machine->added_last;
	     block += machine->block_frames) {
		err = save_runs_of(machine, block, &runs, &pfn);
		for (i = 0; !err && i < runs.count; i++)
			*ret_sum = fact_run_sum(*ret_sum, &runs.run[i]);
		*ret_count += runs.count;
	}
	save_runs_free(&runs);
	return err;
}
