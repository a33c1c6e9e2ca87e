/* SPDX-License-Identifier: MIT */

/*
 * Device memory: private and coherent ranges by devmem, files on fs-dax by
 * daxfile, generic and p2p ranges by rawdev.  What is handed out is a set like
 * others, so that "get", "pin", "put", "retire" and "expect" work on it.
 */

#include <stdlib.h>
#include <string.h>

#include "pagemap.h"

#define PAGES_MAX	((uint32_t)1 << 20)

static struct pagemap *pagemap_at(struct machine *machine, uint64_t number)
{
	return machine->object[number].any;
}

static struct pagemap *find(struct machine *machine, uint64_t number,
			    struct outcome *outcome)
{
	struct pagemap *pagemap = pagemap_at(machine, number);

	if (pagemap && pagemap->there)
		return pagemap;
	(void)refuse(outcome, CF_EGONE, "%s is not there",
		     machine->name[number]);
	return NULL;
}

/* ---- the range ---- */

/* DMA of the device. */
static int copy(void *context, cf_pfn source, cf_pfn target, unsigned order)
{
	const struct pagemap *pagemap = context;

	return cf_copy_run(pagemap->machine->map, source, target, order);
}

/* Page tables of a process: the machine's runs. */
static void moved(void *context, cf_pfn source, cf_pfn target, unsigned order)
{
	const struct pagemap *pagemap = context;
	struct run *run = run_find(pagemap->machine, source);

	(void)order;
	if (!run)
		return;
	run_unbind(pagemap->machine, source);
	run_lock(run);
	run->pfn = target;
	run->moved++;
	run_unlock(run);
	/* There is room: the step saw to that. */
	if (run_bind(pagemap->machine, target, run))
		abort();
}

static int create_devmem(struct pagemap *pagemap,
			 struct cf_pagemap_config config)
{
	struct devmem_config devmem = {
		.name = pagemap->name, .pagemap = config,
		.first = pagemap->first, .last = pagemap->last, .copy = copy,
		.moved = moved, .context = pagemap,
	};

	pagemap->storage = malloc(devmem_bytes(&devmem));
	return pagemap->storage ?
	       devmem_create(pagemap->machine->map, &devmem, pagemap->storage,
			     &pagemap->devmem) : -CF_ENOMEM;
}

static int create_daxfile(struct pagemap *pagemap,
			  struct cf_pagemap_config config)
{
	uint64_t frames = pagemap->last - pagemap->first;
	struct daxfile_config daxfile = {
		.name = pagemap->name, .pagemap = config,
		.first = pagemap->first, .last = pagemap->last, .files = 1,
		.pages = frames < PAGES_MAX ? (uint32_t)frames : PAGES_MAX,
	};

	pagemap->storage = malloc(daxfile_bytes(&daxfile));
	return pagemap->storage ?
	       daxfile_create(pagemap->machine->map, &daxfile,
			      pagemap->storage, &pagemap->daxfile) :
	       -CF_ENOMEM;
}

static int create_rawdev(struct pagemap *pagemap,
			 struct cf_pagemap_config config)
{
	struct rawdev_config rawdev = {
		.name = pagemap->name, .pagemap = config,
		.first = pagemap->first, .last = pagemap->last,
		.holds = (uint32_t)(pagemap->last - pagemap->first),
	};

	pagemap->storage = malloc(rawdev_bytes(&rawdev));
	return pagemap->storage ?
	       rawdev_create(pagemap->machine->map, &rawdev, pagemap->storage,
			     &pagemap->rawdev) : -CF_ENOMEM;
}

static int create(struct pagemap *pagemap, struct cf_pagemap_config config)
{
	switch (pagemap->kind) {
	case CF_PAGEMAP_PRIVATE:
	case CF_PAGEMAP_COHERENT:
		return create_devmem(pagemap, config);
	case CF_PAGEMAP_FS_DAX:
		return create_daxfile(pagemap, config);
	default:
		return create_rawdev(pagemap, config);
	}
}

/* Entries of the machine's side table for all blocks of the range. */
static int make_entries(const struct pagemap *pagemap)
{
	struct machine *machine = pagemap->machine;
	cf_pfn pfn = pagemap->first;
	void *entry;
	int err = 0;

	for (; pfn < pagemap->last && !err; pfn += machine->block_frames)
		err = cf_side_extend(&machine->side, pfn, &entry);
	return err;
}

/*
 * The engine guards what it allocates. Memory of a device is its owner's to
 * touch as long as the range is there: what is idle may be a file's.
 */
static void guard(struct pagemap *pagemap, bool usable)
{
	cf_port_protect(&pagemap->machine->memory, pagemap->first,
			pagemap->last, usable);
}

int pagemap_start(struct pagemap *pagemap, struct cf_pagemap_config config)
{
	int err = create(pagemap, config);

	if (!err)
		err = make_entries(pagemap);
	pagemap->there = !err;
	if (!err)
		guard(pagemap, true);
	return err;
}

int step_pagemap(struct machine *machine, const struct step *step,
		 struct outcome *outcome)
{
	struct cf_pagemap_config config = {
		.kind = (enum cf_pagemap_kind)step->key[KEY_KIND],
		.meta = (enum cf_meta)step->key[KEY_METADATA],
		.node = (uint32_t)step->key[KEY_NODE],
	};
	struct pagemap *pagemap = calloc(1, sizeof(*pagemap));
	char size[24];
	int err;

	if (!pagemap)
		return refuse(outcome, CF_ENOMEM,
			      "the process has no memory");
	pagemap->machine = machine;
	pagemap->name = machine->name[step->name];
	pagemap->kind = config.kind;
	pagemap->first = step->place.first;
	pagemap->last = step->place.last;
	err = pagemap_start(pagemap, config);
	if (err) {
		pagemap_free(pagemap);
		return refuse(outcome, (enum cf_err)-err, "%s",
			      cf_strerror(err));
	}
	machine->object[step->name].any = pagemap;
	outcome->done = pagemap->last - pagemap->first;
	did(outcome, "%s of %s device memory, idle",
	    machine_size(outcome->done, size),
	    cf_pagemap_kind_name(pagemap->kind));
	return 0;
}

static int destroy(struct pagemap *pagemap, struct cf_report *report)
{
	if (pagemap->devmem)
		return devmem_destroy(pagemap->devmem, report);
	if (pagemap->daxfile)
		return daxfile_destroy(pagemap->daxfile, report);
	return rawdev_destroy(pagemap->rawdev, report);
}

static int answer(struct outcome *outcome, int err)
{
	outcome->reported = err == -CF_EBUSY || err == -CF_EAGAIN;
	return err ? -(int)-err : 0;
}

int step_pagemap_remove(struct machine *machine, const struct step *step,
			struct outcome *outcome)
{
	struct pagemap *pagemap = find(machine, step->name, outcome);
	int err;

	if (!pagemap)
		return -CF_EGONE;
	err = destroy(pagemap, &outcome->report);
	if (err)
		return answer(outcome, err);
	pagemap->there = false;
	guard(pagemap, false);
	outcome->done = pagemap->last - pagemap->first;
	did(outcome, "%s is gone", pagemap->name);
	return 0;
}

/* ---- what is handed out ---- */

static int take_page(struct pagemap *pagemap, cf_pfn *ret_pfn)
{
	uint32_t pages = daxfile_pages(pagemap->daxfile, PAGEMAP_FILE);
	int err = daxfile_extend(pagemap->daxfile, PAGEMAP_FILE, pages + 1);

	return err ? err : daxfile_map(pagemap->daxfile, PAGEMAP_FILE, pages,
				       ret_pfn);
}

/* The next part that nobody uses. */
static int take_part(struct pagemap *pagemap, cf_pfn *ret_pfn)
{
	uint32_t parts = rawdev_parts(pagemap->rawdev), i;
	struct cf_snapshot run;
	int err;

	for (i = 0; i < parts; i++) {
		uint32_t part = (pagemap->part + i) % parts;

		*ret_pfn = rawdev_pfn(pagemap->rawdev, part);
		if (cf_snapshot(pagemap->machine->map, *ret_pfn, &run) ||
		    run.refs || run.type != CF_TYPE_DEVICE)
			continue;
		err = rawdev_map(pagemap->rawdev, part, PAGEMAP_USER);
		pagemap->part = part + 1;
		return err;
	}
	return -CF_ENOMEM;
}

static int take(struct pagemap *pagemap, unsigned order, cf_pfn *ret_pfn)
{
	if (pagemap->devmem)
		return devmem_alloc(pagemap->devmem, order, ret_pfn);
	return pagemap->daxfile ? take_page(pagemap, ret_pfn) :
	       take_part(pagemap, ret_pfn);
}

static int take_run(struct machine *machine, struct pagemap *pagemap,
		    struct set *set, unsigned order)
{
	struct run *run;
	cf_pfn pfn;
	int err = take(pagemap, order, &pfn);

	if (err)
		return err;
	run = set_add_run(machine, set);
	if (!run) {
		cf_put(machine->map, pfn);
		return -CF_ENOMEM;
	}
	run->pfn = pfn;
	run->order = (uint8_t)order;
	run->state = RUN_HELD;
	run->refs = 1;
	run_fill(machine, run);
	return 0;
}

static void give_all(struct machine *machine, struct set *set)
{
	size_t i;

	for (i = 0; i < set->count; i++)
		cf_put(machine->map, set->run[i]->pfn);
	set_remove(machine, set);
}

static uint64_t count_runs(const struct amount *amount, unsigned order)
{
	if (amount->unit == AMOUNT_COUNT)
		return amount->number;
	return amount->unit == AMOUNT_ALL ? ~(uint64_t)0 :
	       amount->number / CF_FRAME_BYTES >> order;
}

static int take_all(struct machine *machine, struct pagemap *pagemap,
		    struct set *set, const struct step *step)
{
	unsigned order = (unsigned)step->key[KEY_ORDER];
	uint64_t wanted = count_runs(&step->amount, order), i;
	int err = 0;

	for (i = 0; i < wanted && !err; i++)
		err = take_run(machine, pagemap, set, order);
	return err == -CF_ENOMEM && i > 1 &&
	       step->amount.unit == AMOUNT_ALL ? 0 : err;
}

int step_hand_out(struct machine *machine, const struct step *step,
		  struct outcome *outcome)
{
	struct pagemap *pagemap = find(machine, step->key[KEY_PAGEMAP],
				       outcome);
	struct set *set;
	char size[24];
	int err;

	if (!pagemap)
		return -CF_EGONE;
	if (step->key[KEY_ORDER] &&
	    !(pagemap->devmem && step->key[KEY_ORDER] == CF_CHUNK_ORDER))
		return refuse(outcome, CF_EINVAL, "%s has no runs of order"
			      " %llu", pagemap->name,
			      (unsigned long long)step->key[KEY_ORDER]);
	set = set_add(machine, step->name);
	if (!set)
		return refuse(outcome, CF_ENOMEM,
			      "the process has no memory");
	set->type = CF_TYPE_DEVICE;
	err = take_all(machine, pagemap, set, step);
	if (err) {
		give_all(machine, set);
		return refuse(outcome, (enum cf_err)-err, "%s",
			      cf_strerror(err));
	}
	outcome->done = set_frames(set);
	did(outcome, "%s in %zu runs of %s",
	    machine_size(outcome->done, size), set->count, pagemap->name);
	return 0;
}

/* ---- migration ---- */

static int move_run(struct machine *machine, struct pagemap *pagemap,
		    struct run *run)
{
	int err;

	if (run->state != RUN_HELD)
		return -CF_EINVAL;
	err = run_bind(machine, run->pfn, run);
	if (!err)
		err = devmem_to_device(pagemap->devmem, run->pfn, run->refs,
				       NULL);
	return err;
}

int step_move(struct machine *machine, const struct step *step,
	      struct outcome *outcome)
{
	struct pagemap *pagemap = find(machine, step->key[KEY_PAGEMAP],
				       outcome);
	struct runs runs;
	char size[24];
	size_t i;
	int err;

	if (!pagemap)
		return -CF_EGONE;
	if (!pagemap->devmem)
		return refuse(outcome, CF_EINVAL,
			      "pages do not move to %s memory",
			      cf_pagemap_kind_name(pagemap->kind));
	err = place_runs(machine, &step->place, outcome, &runs);
	for (i = runs.first; !err && i < runs.last; i++) {
		err = move_run(machine, pagemap, runs.set->run[i]);
		if (!err)
			outcome->done += (uint64_t)1 <<
					 runs.set->run[i]->order;
	}
	if (err)
		return outcome->why[0] ? err :
		       refuse(outcome, (enum cf_err)-err, "%s",
			      cf_strerror(err));
	did(outcome, "%s moved to %s", machine_size(outcome->done, size),
	    pagemap->name);
	return 0;
}

int step_fault(struct machine *machine, const struct step *step,
	       struct outcome *outcome)
{
	struct runs runs;
	char size[24];
	cf_pfn where;
	size_t i;
	int err;

	err = place_runs(machine, &step->place, outcome, &runs);
	for (i = runs.first; !err && i < runs.last; i++) {
		struct run *run = runs.set->run[i];

		err = run->state == RUN_HELD ?
		      cf_pagemap_fault(machine->map, run->pfn, &where) :
		      -CF_EGONE;
		if (!err)
			outcome->done += (uint64_t)1 << run->order;
	}
	if (err)
		return outcome->why[0] ? err :
		       refuse(outcome, (enum cf_err)-err, "%s",
			      cf_strerror(err));
	did(outcome, "%s came back", machine_size(outcome->done, size));
	return 0;
}

/* ---- files ---- */

int step_truncate(struct machine *machine, const struct step *step,
		  struct outcome *outcome)
{
	struct pagemap *pagemap = find(machine, step->name, outcome);
	uint32_t pages = (uint32_t)(step->amount.number / CF_FRAME_BYTES);
	uint32_t before;
	char size[24];
	int err;

	if (!pagemap)
		return -CF_EGONE;
	if (!pagemap->daxfile)
		return refuse(outcome, CF_EINVAL,
			      "%s memory holds no files",
			      cf_pagemap_kind_name(pagemap->kind));
	before = daxfile_pages(pagemap->daxfile, PAGEMAP_FILE);
	err = daxfile_truncate(pagemap->daxfile, PAGEMAP_FILE, pages,
			       (unsigned)step_value(step, KEY_PASSES, 1),
			       &outcome->report);
	if (err)
		return answer(outcome, err);
	outcome->done = before - pages;
	did(outcome, "%s given back", machine_size(outcome->done, size));
	return 0;
}

/* ---- telling ---- */

struct cf_pagemap_info pagemap_info(struct machine *machine,
				    const struct pagemap *pagemap)
{
	struct cf_pagemap_info info = { .first = 0 };

	if (pagemap->there)
		(void)!cf_pagemap_info(machine->map, pagemap->first, &info);
	return info;
}

bool pagemap_owner(const struct pagemap *pagemap, uint32_t *ret_id)
{
	if (!pagemap || !pagemap->there)
		return false;
	*ret_id = pagemap->devmem ? devmem_owner(pagemap->devmem) :
		  pagemap->daxfile ? daxfile_owner(pagemap->daxfile) :
		  rawdev_owner(pagemap->rawdev);
	return true;
}

void pagemap_free(struct pagemap *pagemap)
{
	if (!pagemap)
		return;
	free(pagemap->storage);
	free(pagemap);
}
