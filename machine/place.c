/* SPDX-License-Identifier: MIT */

/* From a place in a scenario to the frames it means at this moment. */

#include "internal.h"

int place_each(struct machine *machine, const struct place *place,
	       stretch_fn fn, void *context)
{
	const struct set *set;
	struct remembered *frame;
	size_t i;
	int err = 0;

	if (place->kind != PLACE_NAME)
		return fn(context, place->first, place->last);
	if (machine->config.names[place->name].noun == NOUN_FRAME) {
		frame = machine->object[place->name].frame;
		return frame ? fn(context, frame->pfn, frame->pfn + 1) : 0;
	}
	set = machine->object[place->name].set;
	for (i = 0; set && !err && i < set->count; i++) {
		const struct run *run = set->run[i];
		cf_pfn last = run->pfn + ((cf_pfn)1 << run->order);

		if (place->index != PLACE_WHOLE && place->index != i)
			continue;
		if (run->pfn == CF_PFN_NONE)
			continue;
		err = fn(context, run->pfn + place->offset, place->offset ?
			 run->pfn + place->offset + 1 : last);
	}
	return err;
}

int place_runs(struct machine *machine, const struct place *place,
	       struct outcome *outcome, struct runs *ret_runs)
{
	struct set *set = machine->object[place->name].set;
	const char *name = machine->name[place->name];

	if (!set || !set->count)
		return refuse(outcome, CF_EGONE, "%s holds nothing", name);
	if (place->index != PLACE_WHOLE && place->index >= set->count)
		return refuse(outcome, CF_EGONE, "%s has %zu runs, %s[0] to"
			      " %s[%zu]", name, set->count, name, name,
			      set->count - 1);
	*ret_runs = (struct runs){ set, 0, set->count };
	if (place->index != PLACE_WHOLE) {
		ret_runs->first = place->index;
		ret_runs->last = place->index + 1;
	}
	return 0;
}

int place_frame(struct machine *machine, const struct place *place,
		cf_pfn *ret_pfn, struct outcome *outcome)
{
	const struct run *run;
	struct runs runs;
	int err;

	if (place->kind != PLACE_NAME) {
		*ret_pfn = place->first;
		return 0;
	}
	if (machine->config.names[place->name].noun == NOUN_FRAME) {
		if (!machine->object[place->name].frame)
			return refuse(outcome, CF_EGONE,
				      "%s was not remembered",
				      machine->name[place->name]);
		*ret_pfn = machine->object[place->name].frame->pfn;
		return 0;
	}
	err = place_runs(machine, place, outcome, &runs);
	if (err)
		return err;
	run = runs.set->run[runs.first];
	if (run->pfn == CF_PFN_NONE || place->offset >> run->order)
		return refuse(outcome, CF_EGONE, "%s[%zu] has no such frame",
			      runs.set->name, runs.first);
	*ret_pfn = run->pfn + place->offset;
	return 0;
}
