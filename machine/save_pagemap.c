/* SPDX-License-Identifier: MIT */

/*
 * Memory of devices: the range, what is handed out of it, and the file on it.
 *
 * The new owner hands out the very runs that were out; the references beyond
 * its first are taken by their numbers.
 */

#include <stdlib.h>
#include <zlib.h>

#include "owners/device_state.h"
#include "pagemap.h"
#include "save_objects.h"

enum pagemap_part {
	PAGEMAP_PAGE,		/* of the file: its block */
	PAGEMAP_RUN,		/* in use, or smaller than it could be */
	PAGEMAP_SUM,		/* over all the words */
};

struct range {
	uint32_t kind, node;
	uint64_t first, last;
	bool self_hosted, there;
	uint32_t part;
	uint32_t sum;		/* of a part */
};

static void code_range(struct code *code, struct range *range)
{
	range->kind = code_choice(code, range->kind, CF_PAGEMAP_KIND_COUNT);
	code_u32(code, &range->node);
	code_u64(code, &range->first);
	code_u64(code, &range->last);
	code_bool(code, &range->self_hosted);
	code_bool(code, &range->there);
	code_u32(code, &range->part);
}

/* A run, and what its owner knows of it. */
struct handed {
	uint64_t pfn;
	uint32_t order, refs, pins;
	struct devmem_use use;
};

static void code_handed(struct code *code, struct handed *handed)
{
	code_u64(code, &handed->pfn);
	handed->order = code_choice(code, handed->order, CF_CHUNK_ORDER + 1);
	code_u32(code, &handed->refs);
	code_u32(code, &handed->pins);
	code_u32(code, &handed->use.refs);
	code_bool(code, &handed->use.moves);
}

static struct pagemap *pagemap_of(struct machine *machine, uint32_t number)
{
	return machine->object[number].any;
}

/* The next run of device memory in [*at, last). */
static bool next_run(struct machine *machine, cf_pfn *at, cf_pfn last,
		     struct cf_span *ret_span)
{
	bool found = false;

	cf_walk_begin(machine->map);
	while (!found && cf_walk_next(machine->map, at, last, ret_span))
		found = ret_span->kind == CF_SPAN_RUN &&
			ret_span->type == CF_TYPE_DEVICE;
	cf_walk_end(machine->map);
	return found;
}

/* Over all words of the range, as the file of a map has its runs. */
static uint32_t sum_of(const struct pagemap *pagemap)
{
	struct machine *machine = pagemap->machine;
	cf_pfn at = pagemap->first;
	struct cf_span span;
	uint32_t sum = 0;

	while (next_run(machine, &at, pagemap->last, &span)) {
		struct fact_run run = {
			.first = span.first, .type = (uint8_t)span.type,
			.order = (uint8_t)span.order,
			.flags = (uint16_t)span.flags,
			.owner = (uint16_t)span.owner,
			.pins = (uint16_t)span.pins, .refs = span.refs,
		};

		sum = fact_run_sum(sum, &run);
	}
	return sum;
}

/* ---- saving ---- */

static const char *refusal(struct machine *machine, uint32_t number)
{
	const struct pagemap *pagemap = pagemap_of(machine, number);
	cf_pfn at = pagemap->first;
	struct devmem_use use;
	struct cf_span span;

	if (!pagemap->there)
		return NULL;
	if (pagemap_info(machine, pagemap).removing)
		return "is being removed";
	while (next_run(machine, &at, pagemap->last, &span))
		if (span.flags & CF_FLAG_BUSY ||
		    (pagemap->devmem && !devmem_look(pagemap->devmem,
						     span.first, &use)))
			return "has a frame in motion: try again";
	return NULL;
}

static void save(struct saving *saving, uint32_t number)
{
	struct machine *machine = saving_machine(saving);
	const struct pagemap *pagemap = pagemap_of(machine, number);
	struct cf_pagemap_info info = pagemap_info(machine, pagemap);
	struct range range = {
		.kind = pagemap->kind, .node = info.node,
		.first = pagemap->first, .last = pagemap->last,
		.self_hosted = info.self_hosted, .there = pagemap->there,
		.part = pagemap->part,
	};

	code_range(saving_begin(saving, number, 0), &range);
	saving_end(saving, SAVE_OBJECT);
}

static void save_file(struct saving *saving, uint32_t number,
		      const struct pagemap *pagemap)
{
	uint32_t page;
	cf_pfn pfn;

	for (page = 0; daxfile_block(pagemap->daxfile, PAGEMAP_FILE, page,
				     &pfn); page++) {
		code_u64(saving_begin(saving, number, PAGEMAP_PAGE), &pfn);
		saving_end(saving, SAVE_PART);
	}
}

static void save_runs(struct saving *saving, uint32_t number,
		      const struct pagemap *pagemap)
{
	struct machine *machine = saving_machine(saving);
	cf_pfn at = pagemap->first;
	struct handed handed;
	struct cf_span span;

	while (next_run(machine, &at, pagemap->last, &span)) {
		handed = (struct handed){
			.pfn = span.first, .order = span.order,
			.refs = span.refs, .pins = span.pins,
		};
		if (pagemap->devmem)
			(void)devmem_look(pagemap->devmem, span.first,
					  &handed.use);
		/* Idle, and as it will be: nothing to be said. */
		if (!span.refs && (!pagemap->devmem ||
				   span.order == CF_CHUNK_ORDER))
			continue;
		code_handed(saving_begin(saving, number, PAGEMAP_RUN),
			    &handed);
		saving_end(saving, SAVE_PART);
	}
}

static void save_parts(struct saving *saving, uint32_t number)
{
	const struct pagemap *pagemap = pagemap_of(saving_machine(saving),
						   number);
	uint32_t sum;

	if (!pagemap->there)
		return;
	if (pagemap->daxfile)
		save_file(saving, number, pagemap);
	save_runs(saving, number, pagemap);
	sum = sum_of(pagemap);
	code_u32(saving_begin(saving, number, PAGEMAP_SUM), &sum);
	saving_end(saving, SAVE_PART);
}

static bool owner(struct machine *machine, uint32_t number, uint32_t *ret_id)
{
	return pagemap_owner(pagemap_of(machine, number), ret_id);
}

uint32_t pagemaps_sum(struct machine *machine)
{
	const struct pagemap *pagemap;
	uint32_t sum = 0, i;

	for (i = 0; i < machine->config.names_count; i++) {
		pagemap = machine->config.names[i].noun == NOUN_PAGEMAP ?
			  pagemap_of(machine, i) : NULL;
		if (pagemap && pagemap->there)
			sum = 31 * sum + sum_of(pagemap);
	}
	return sum;
}

/* ---- contents, for both ---- */

static const struct pagemap *pagemap_around(struct machine *machine,
					    cf_pfn pfn)
{
	uint32_t i;

	for (i = 0; i < machine->config.names_count; i++) {
		const struct pagemap *pagemap = machine->object[i].any;

		if (machine->config.names[i].noun == NOUN_PAGEMAP && pagemap &&
		    pagemap->there && pagemap->first <= pfn &&
		    pfn < pagemap->last)
			return pagemap;
	}
	return NULL;
}

struct fact_range contents_range(struct machine *machine)
{
	struct fact_range range = {
		0, machine->added_first, machine->added_last,
	};
	uint32_t i;

	for (i = 0; i < machine->config.names_count; i++) {
		const struct pagemap *pagemap = machine->object[i].any;

		if (machine->config.names[i].noun != NOUN_PAGEMAP ||
		    !pagemap || !pagemap->there)
			continue;
		if (pagemap->first < range.first)
			range.first = pagemap->first;
		if (pagemap->last > range.last)
			range.last = pagemap->last;
	}
	return range;
}

/* In use, or of a file, and sound. */
bool pagemap_contents(struct machine *machine, cf_pfn *at, cf_pfn last,
		      struct stretch *ret_stretch)
{
	const struct pagemap *pagemap = pagemap_around(machine, *at);
	cf_pfn from = *at, bad;
	uint32_t file, page;
	struct cf_span span;

	while (pagemap && next_run(machine, at, last, &span)) {
		if (!span.refs && !(pagemap->daxfile &&
				    daxfile_find(pagemap->daxfile, span.first,
						 &file, &page)))
			continue;
		/* Behind a bad frame it goes on in the run. */
		if (from < span.first)
			from = span.first;
		bad = bad_next(machine, from, span.last);
		if (bad < span.last)
			*at = bad + 1;
		*ret_stretch = (struct stretch){ from, bad };
		if (from < bad)
			return true;
		from = bad + 1;
	}
	return false;
}

/* ---- restoring ---- */

static int restore_range(struct restore *restore, uint32_t number,
			 struct code *code)
{
	struct pagemap *pagemap = calloc(1, sizeof(*pagemap));
	struct range *range = calloc(1, sizeof(*range));

	restore->machine->object[number].any = pagemap;
	restore->aside[number] = range;
	if (!pagemap || !range)
		return restore_wrong(restore, "out of memory");
	code_range(code, range);
	pagemap->machine = restore->machine;
	pagemap->name = restore->machine->name[number];
	pagemap->kind = (enum cf_pagemap_kind)range->kind;
	pagemap->first = range->first;
	pagemap->last = range->last;
	pagemap->part = range->part;
	if (!code->failed && (range->first >= range->last ||
			      range->last > restore->machine->map_config.last))
		code->failed = true;
	return 0;
}

static int start(struct restore *restore, uint32_t number)
{
	struct pagemap *pagemap = pagemap_of(restore->machine, number);
	const struct range *range = restore->aside[number];
	struct cf_pagemap_config config = {
		.kind = pagemap->kind, .node = range->node,
		.meta = range->self_hosted ? CF_META_SELF : CF_META_PORT,
	};

	return range->there ? pagemap_start(pagemap, config) : -CF_EINVAL;
}

/*
 * From the one reference of who has it out to all there were, which a file
 * may say are millions, for each frame: they come at once.
 */
static int add_references(struct cf_map *map, const struct handed *handed)
{
	uint32_t others = handed->refs - handed->pins, pins;
	int err;

	if (!handed->refs || handed->refs > CF_REFS_MAX ||
	    handed->pins > handed->refs || handed->pins > CF_PINS_MAX)
		return -CF_EINVAL;
	err = cf_freeze(map, handed->pfn, 1);
	if (err)
		return err;
	cf_unfreeze(map, handed->pfn, others ? others : 1);
	for (pins = 0; pins < handed->pins && !err; pins++)
		err = cf_pin(map, handed->pfn);
	if (!others && !err)
		cf_put(map, handed->pfn);
	return err;
}

static int map_page(struct pagemap *pagemap, cf_pfn pfn)
{
	uint32_t file, page;

	return daxfile_find(pagemap->daxfile, pfn, &file, &page) ?
	       daxfile_map(pagemap->daxfile, file, page, &pfn) : -CF_EINVAL;
}

static int hand_out(struct pagemap *pagemap, const struct handed *handed)
{
	uint64_t part = handed->pfn - pagemap->first;
	struct devmem_use use = handed->use;

	if (pagemap->devmem) {
		use.refs = handed->refs ? use.refs + !use.refs : 0;
		return devmem_adopt(pagemap->devmem, handed->pfn,
				    handed->order, &use);
	}
	if (handed->order || !handed->refs)
		return -CF_EINVAL;
	return pagemap->daxfile ? map_page(pagemap, handed->pfn) :
	       rawdev_map(pagemap->rawdev, (uint32_t)part, PAGEMAP_USER);
}

static int restore_handed(struct pagemap *pagemap, struct code *code)
{
	struct handed handed = { .pfn = 0 };
	struct cf_snapshot is;
	int err;

	code_handed(code, &handed);
	if (code->failed || handed.pfn < pagemap->first ||
	    handed.pfn >= pagemap->last ||
	    (!handed.refs && (handed.pins || handed.use.refs)))
		return -1;
	/* What is out already is not handed out twice. */
	if (!cf_snapshot(pagemap->machine->map, handed.pfn, &is) && is.refs)
		return -1;
	err = hand_out(pagemap, &handed);
	if (!err && handed.refs)
		err = add_references(pagemap->machine->map, &handed);
	return err;
}

static int part(struct restore *restore, const struct fact_object *fact,
		struct code *code)
{
	struct pagemap *pagemap = pagemap_of(restore->machine, fact->number);
	struct range *range = restore->aside[fact->number];
	uint64_t pfn = 0;
	uint32_t sum = 0;

	if (!pagemap->there)
		return -1;
	if (fact->sort == PAGEMAP_RUN)
		return restore_handed(pagemap, code);
	if (fact->sort == PAGEMAP_SUM) {
		code_u32(code, &sum);
		range->sum = sum;
		return 0;
	}
	code_u64(code, &pfn);
	return code->failed || !pagemap->daxfile ? -1 :
	       daxfile_append(pagemap->daxfile, PAGEMAP_FILE, pfn);
}

static bool verify(const struct pagemap *pagemap)
{
	struct devmem_finding devmem;
	struct daxfile_finding daxfile;

	if (pagemap->devmem)
		return devmem_verify(pagemap->devmem, &devmem);
	if (pagemap->daxfile)
		return daxfile_verify(pagemap->daxfile, &daxfile);
	/* rawdev's parts follow from the words, which were compared. */
	return true;
}

static int finish(struct restore *restore, uint32_t number)
{
	const struct pagemap *pagemap = pagemap_of(restore->machine, number);
	const struct range *range = restore->aside[number];

	if (pagemap->there != range->there)
		return -1;
	return !pagemap->there ||
	       (sum_of(pagemap) == range->sum &&
		verify(pagemap)) ? 0 : -1;
}

const struct object_kind save_pagemap = {
	.noun = NOUN_PAGEMAP,
	.refusal = refusal, .save = save, .save_parts = save_parts,
	.owner = owner, .restore = restore_range, .start = start,
	.part = part, .finish = finish,
};
