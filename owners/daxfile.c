/* SPDX-License-Identifier: MIT */

/*
 * Blocks of files.
 *
 * Each block has a record: whose it is, and whether it has references.  It is
 * MAPPED before it is handed out and until the release hook has run, so who
 * finds it IDLE under the lock, beyond the end that a truncation has set,
 * knows that nobody has it and nobody gets it.
 */

#include <coldframe/coldframe.h>

#include "common.h"
#include "device_state.h"

#define NOWHERE		(~0u)
#define LOST		(~0u - 1)	/* a page whose block was bad */
#define FILES_MAX	((uint32_t)1 << 20)
#define PAGES_MAX	((uint32_t)1 << 24)
#define REMOVE_PASSES	64

enum block_state {
	BLOCK_NONE,	/* not made yet */
	BLOCK_FREE,	/* of no file, on the list */
	BLOCK_IDLE,	/* of a file, count 0 */
	BLOCK_MAPPED,	/* of a file, with references, or about to be */
	BLOCK_HELD,	/* in the hands of one call */
	BLOCK_GONE,	/* given up; was FREE */
	BLOCK_GONE_IDLE, /* given up; was IDLE */
	BLOCK_BAD,	/* a bad frame, or metadata: nobody's */
};

/* Field key: (L) store->lock. */
struct record {
	uint32_t file, page;	/* (L) IDLE, MAPPED */
	uint32_t next, prev;	/* (L) of the list; FREE */
	uint32_t state;		/* (L) enum block_state */
};

struct file {
	uint32_t size;		/* (L) pages that have blocks */
	uint32_t end;		/* (L) below it may be mapped; < size: being
				 * truncated */
	bool going;		/* (L) */
};

struct daxfile {
	struct cf_map *map;		/* (C) */
	struct daxfile_config config;	/* (C) */
	struct cf_lock lock;
	uint32_t id;			/* (C) */
	uint32_t frames;		/* (C) */
	uint32_t first_free;		/* (L) */
	uint32_t free;			/* (L) on the list */
	struct daxfile_stat stat;	/* (L) what only grows */
	struct record *record;		/* (C) one a frame */
	struct file *file;		/* (C) */
	uint32_t *block;		/* (C) config.pages a file: frames */
};

static unsigned long lock(struct daxfile *store)
{
	return cf_lock(&store->lock);
}

static void unlock(struct daxfile *store, unsigned long state)
{
	cf_unlock(&store->lock, state);
}

static cf_pfn pfn_at(const struct daxfile *store, uint32_t at)
{
	return store->config.first + at;
}

static uint32_t *block_of(const struct daxfile *store, uint32_t file,
			  uint32_t page)
{
	return &store->block[(size_t)file * store->config.pages + page];
}

/* The record of a frame, or NULL: a stranger. */
static struct record *record_of(struct daxfile *store, cf_pfn pfn)
{
	if (!is_in(store->config.first, store->config.last, pfn))
		return NULL;
	return &store->record[pfn - store->config.first];
}

/* ---- the list of free blocks; the lock is held ---- */

static void give_free(struct daxfile *store, uint32_t at)
{
	struct record *record = &store->record[at];

	record->state = BLOCK_FREE;
	record->next = store->first_free;
	record->prev = NOWHERE;
	if (record->next != NOWHERE)
		store->record[record->next].prev = at;
	store->first_free = at;
	store->free++;
}

static void remove_free(struct daxfile *store, uint32_t at,
			enum block_state to)
{
	struct record *record = &store->record[at];

	if (record->prev == NOWHERE)
		store->first_free = record->next;
	else
		store->record[record->prev].next = record->next;
	if (record->next != NOWHERE)
		store->record[record->next].prev = record->prev;
	record->state = to;
	store->free--;
}

/* ---- bad blocks ---- */

/* One that nobody has, into our hands; *ret_was: it was FREE, or IDLE. */
static bool take_unused(struct daxfile *store, uint32_t at,
			enum block_state *ret_was)
{
	struct record *record = &store->record[at];
	unsigned long state = lock(store);
	bool ours = record->state == BLOCK_FREE || record->state == BLOCK_IDLE;

	*ret_was = (enum block_state)record->state;
	if (record->state == BLOCK_FREE)
		remove_free(store, at, BLOCK_HELD);
	else if (ours)
		record->state = BLOCK_HELD;
	unlock(store, state);
	return ours;
}

/* It goes, and its page is lost; @sound: only its neighbours were bad. */
static void end_taking(struct daxfile *store, uint32_t at,
		       enum block_state was, bool sound)
{
	struct record *record = &store->record[at];
	unsigned long state = lock(store);

	if (sound && was == BLOCK_FREE) {
		give_free(store, at);
	} else if (sound) {
		record->state = BLOCK_IDLE;
	} else {
		record->state = BLOCK_BAD;
		if (was == BLOCK_IDLE) {
			*block_of(store, record->file, record->page) = LOST;
			store->stat.lost++;
		}
	}
	unlock(store, state);
}

/* One in our hands is marked.  True: it is sound all the same. */
static bool take_out(struct daxfile *store, uint32_t at, enum block_state was)
{
	uint64_t bad = 0;
	bool sound;

	/* In motion: it stays marked and is never given out. */
	sound = !cf_pagemap_retire(store->map, store->id, pfn_at(store, at),
				   &bad) && !bad;
	end_taking(store, at, was, sound);
	return sound;
}

/*
 * A block that is marked is taken out if nobody has it.  A mark that comes
 * when this has looked comes with the failure hook.
 */
static void weed(struct daxfile *store, uint32_t at)
{
	enum block_state was;
	bool sound = true;

	while (sound && is_marked(store->map, pfn_at(store, at)) &&
	       take_unused(store, at, &was))
		sound = take_out(store, at, was);
}

static void on_failure(void *context, cf_pfn pfn, unsigned order, cf_pfn bad)
{
	struct daxfile *store = context;
	struct record *record = record_of(store, pfn);
	unsigned long state;
	uint32_t file, page;
	bool mapped;

	(void)order;
	(void)bad;
	if (!record)
		return;
	state = lock(store);
	mapped = record->state == BLOCK_MAPPED;
	file = record->file;
	page = record->page;
	unlock(store, state);
	if (!mapped)
		weed(store, (uint32_t)(pfn - store->config.first));
	else if (store->config.failed)
		store->config.failed(store->config.context, file, page);
}

/* ---- hooks ---- */

static void stranger(struct daxfile *store, cf_pfn pfn)
{
	note_stranger(&store->lock, &store->stat.strangers,
		      &store->stat.stranger, pfn);
}

/*
 * Nobody has the block any more, or it stays after all.  One that is bad is
 * not idle for a moment: it could be truncated, and be another file's.
 */
static void go_idle(struct daxfile *store, uint32_t at)
{
	bool marked = is_marked(store->map, pfn_at(store, at));
	struct record *record = &store->record[at];
	unsigned long state = lock(store);

	if (record->state == BLOCK_GONE)
		give_free(store, at);
	else if (record->state != BLOCK_BAD)
		record->state = marked ? BLOCK_HELD : BLOCK_IDLE;
	marked = record->state == BLOCK_HELD;
	unlock(store, state);
	if (!marked || take_out(store, at, BLOCK_IDLE))
		weed(store, at);
}

/* Then whoever had it out did not have it from us: it stays as it is. */
static bool is_at_rest(struct daxfile *store, const struct record *record)
{
	unsigned long state = lock(store);
	bool at_rest = record->state == BLOCK_FREE ||
		       record->state == BLOCK_IDLE;

	unlock(store, state);
	return at_rest;
}

static enum cf_verdict on_release(void *context, cf_pfn pfn, unsigned order)
{
	struct daxfile *store = context;
	struct record *record = record_of(store, pfn);

	if (!record || order != 0 || is_at_rest(store, record))
		stranger(store, pfn);
	else
		go_idle(store, (uint32_t)(pfn - store->config.first));
	return CF_VERDICT_KEEP;
}

static int on_dissolve(void *context, cf_pfn pfn, unsigned order)
{
	struct daxfile *store = context;
	struct record *record = record_of(store, pfn);
	unsigned long state;
	int err = 0;

	if (!record || (order != 0 && record->state != BLOCK_BAD)) {
		stranger(store, pfn);
		return -CF_EBUSY;
	}
	state = lock(store);
	if (record->state == BLOCK_FREE)
		remove_free(store, (uint32_t)(pfn - store->config.first),
			    BLOCK_GONE);
	else if (record->state == BLOCK_IDLE)
		record->state = BLOCK_GONE_IDLE;
	else if (record->state != BLOCK_BAD)
		err = -CF_EAGAIN;
	unlock(store, state);
	return err;
}

static const char *on_describe(void *context, cf_pfn pfn)
{
	static const char *const words[] = {
		[BLOCK_NONE] = "not made yet",
		[BLOCK_FREE] = "a free block", [BLOCK_IDLE] = "a file's, idle",
		[BLOCK_MAPPED] = "a file's, mapped",
		[BLOCK_HELD] = "held by a call", [BLOCK_GONE] = "given up",
		[BLOCK_GONE_IDLE] = "a file's, given up", [BLOCK_BAD] = "bad",
	};
	struct daxfile *store = context;
	struct record *record = record_of(store, pfn);
	unsigned long state;
	uint32_t is;

	if (!record)
		return "not of the range";
	/* A report may be made anywhere: it does not wait. */
	if (!cf_trylock(&store->lock, &state))
		return NULL;
	is = record->state;
	unlock(store, state);
	return words[is];
}

static const struct cf_owner_ops ops = {
	.release = on_release,
	.dissolve = on_dissolve,
	.failure = on_failure,
	.describe = on_describe,
};

/* ---- beginning and end ---- */

static bool fits(const struct daxfile_config *config)
{
	return config->first < config->last && config->last <= CF_PFN_LIMIT &&
	       config->last - config->first < LOST && config->files > 0 &&
	       config->files <= FILES_MAX && config->pages > 0 &&
	       config->pages <= PAGES_MAX &&
	       config->pagemap.kind == CF_PAGEMAP_FS_DAX;
}

/* Where the parts of its storage lie. */
static size_t files_at(const struct daxfile_config *config)
{
	return sizeof(struct daxfile) +
	       (size_t)(config->last - config->first) * sizeof(struct record);
}

static size_t blocks_at(const struct daxfile_config *config)
{
	return files_at(config) + config->files * sizeof(struct file);
}

size_t daxfile_bytes(const struct daxfile_config *config)
{
	if (!fits(config))
		return 0;
	return blocks_at(config) + (size_t)config->files * config->pages *
				   sizeof(uint32_t);
}

static void init(struct daxfile *store, struct cf_map *map,
		 const struct daxfile_config *config)
{
	char *storage = (char *)store;

	__builtin_memset(store, 0, daxfile_bytes(config));
	store->map = map;
	store->config = *config;
	store->frames = (uint32_t)(config->last - config->first);
	store->lock.rank = CF_RANK_LEAF;
	store->first_free = NOWHERE;
	store->stat.stranger = CF_PFN_NONE;
	store->record = (struct record *)(void *)(storage +
						  sizeof(struct daxfile));
	store->file = (struct file *)(void *)(storage + files_at(config));
	store->block = (uint32_t *)(void *)(storage + blocks_at(config));
}

/* A free block, or a bad one. */
static void list_block(struct daxfile *store, uint32_t at, bool good)
{
	unsigned long state = lock(store);

	if (good)
		give_free(store, at);
	else
		store->record[at].state = BLOCK_BAD;
	unlock(store, state);
	weed(store, at);
}

/* Every frame becomes a run of its own, and a free block. */
static int list_all(struct daxfile *store)
{
	struct cf_snapshot run;
	uint32_t at = 0;
	uint32_t last;
	int err;

	while (at < store->frames) {
		err = cf_snapshot(store->map, pfn_at(store, at), &run);
		if (!err && run.type == CF_TYPE_DEVICE && run.order > 0)
			err = cf_split(store->map, pfn_at(store, at), 0);
		if (err)
			return err;
		for (last = at + (1u << run.order); at < last; at++)
			list_block(store, at, run.type == CF_TYPE_DEVICE);
	}
	return 0;
}

/* Nobody could have any of it, what is listed and what is not. */
static void unmake(struct daxfile *store)
{
	unsigned long state = lock(store);
	uint32_t at;

	for (at = 0; at < store->frames; at++)
		if (store->record[at].state == BLOCK_NONE)
			store->record[at].state = BLOCK_BAD;
	unlock(store, state);
	(void)!cf_pagemap_remove(store->map, store->config.first,
				 store->config.last, REMOVE_PASSES, NULL);
}

int daxfile_create(struct cf_map *map, const struct daxfile_config *config,
		   void *storage, struct daxfile **ret_store)
{
	struct daxfile *store = storage;
	int err;

	if (!fits(config))
		return -CF_EINVAL;
	init(store, map, config);
	err = cf_owner_register(map, config->name ? config->name : "daxfile",
				&ops, store, &store->id);
	if (err)
		return err;
	store->config.pagemap.owner = store->id;
	err = cf_pagemap_add(map, config->first, config->last,
			     &store->config.pagemap);
	if (!err) {
		err = list_all(store);
		if (err)
			unmake(store);
	}
	if (err) {
		(void)!cf_owner_unregister(map, store->id, NULL);
		return err;
	}
	*ret_store = store;
	return 0;
}

int daxfile_destroy(struct daxfile *store, struct cf_report *report)
{
	int err = cf_pagemap_remove(store->map, store->config.first,
				    store->config.last, REMOVE_PASSES, report);

	/* Others have removed it, in steps, to the end. */
	if (err == -CF_EGONE || err == -CF_EINVAL)
		err = 0;
	if (!err)
		(void)!cf_owner_unregister(store->map, store->id, NULL);
	return err;
}

uint32_t daxfile_owner(const struct daxfile *store)
{
	return store->id;
}

/* ---- files ---- */

/* Caller holds the lock. */
static int extend(struct daxfile *store, uint32_t file, uint32_t pages)
{
	struct file *f = &store->file[file];
	uint32_t at;

	if (pages < f->size)
		return -CF_EINVAL;
	if (f->going)
		return -CF_EBUSY;
	if (pages - f->size > store->free)
		return -CF_ENOMEM;
	for (; f->size < pages; f->size++) {
		at = store->first_free;
		remove_free(store, at, BLOCK_IDLE);
		store->record[at].file = file;
		store->record[at].page = f->size;
		*block_of(store, file, f->size) = at;
	}
	f->end = f->size;
	return 0;
}

int daxfile_extend(struct daxfile *store, uint32_t file, uint32_t pages)
{
	unsigned long state;
	int err;

	if (file >= store->config.files || pages > store->config.pages)
		return -CF_EINVAL;
	state = lock(store);
	err = extend(store, file, pages);
	unlock(store, state);
	return err;
}

uint32_t daxfile_pages(struct daxfile *store, uint32_t file)
{
	unsigned long state;
	uint32_t pages;

	if (file >= store->config.files)
		return 0;
	state = lock(store);
	pages = store->file[file].size;
	unlock(store, state);
	return pages;
}

/* ---- mapping ---- */

/* May the page be mapped, and where is it?  Caller holds the lock. */
static int find_block(struct daxfile *store, uint32_t file, uint32_t page,
		      uint32_t *ret_at)
{
	const struct file *f = &store->file[file];

	if (page >= f->size)
		return -CF_EGONE;
	if (page >= f->end)
		return -CF_EBUSY;
	*ret_at = *block_of(store, file, page);
	if (*ret_at == LOST)
		return -CF_EREFUSED;
	return 0;
}

/* Nobody had it mapped: it is MAPPED by now, and gets its first reference. */
static int map_first(struct daxfile *store, uint32_t at)
{
	int err = cf_pagemap_hand_out(store->map, store->id,
				      pfn_at(store, at));

	if (!err)
		return 0;
	go_idle(store, at);
	return -CF_EREFUSED;
}

/* Others have it mapped, unless the last of them lets go this moment. */
static int map_more(struct daxfile *store, uint32_t file, uint32_t page,
		    uint32_t at)
{
	cf_pfn pfn = pfn_at(store, at);
	unsigned long state;
	uint32_t now = NOWHERE;
	int err = cf_try_get(store->map, pfn);

	if (err == -CF_ELIMIT)
		return err;
	if (err)
		return is_closed(store->map, pfn) ? -CF_EREFUSED : -CF_EAGAIN;
	/* The block may have been another file's before we had it. */
	state = lock(store);
	err = find_block(store, file, page, &now);
	unlock(store, state);
	if (!err && now != at)
		err = -CF_EAGAIN;
	/* A mark that comes after this comes with a call of config.failed. */
	else if (!err && is_marked(store->map, pfn))
		err = -CF_EREFUSED;
	if (err)
		cf_put(store->map, pfn);
	return err;
}

int daxfile_map(struct daxfile *store, uint32_t file, uint32_t page,
		cf_pfn *ret_pfn)
{
	struct record *record;
	bool first = false;
	unsigned long state;
	uint32_t at;
	int err;

	if (file >= store->config.files)
		return -CF_EINVAL;
	state = lock(store);
	err = find_block(store, file, page, &at);
	if (!err) {
		record = &store->record[at];
		first = record->state == BLOCK_IDLE;
		if (first)
			record->state = BLOCK_MAPPED;
		else if (record->state != BLOCK_MAPPED)
			err = record->state == BLOCK_GONE_IDLE ?
			      -CF_EREFUSED : -CF_EAGAIN;
	}
	unlock(store, state);
	if (!err)
		err = first ? map_first(store, at) :
		      map_more(store, file, page, at);
	if (!err)
		*ret_pfn = pfn_at(store, at);
	return err;
}

/* ---- truncation ---- */

int daxfile_truncate_start(struct daxfile *store, uint32_t file,
			   uint32_t pages)
{
	unsigned long state;
	uint32_t size = 0;
	struct file *f;
	int err = 0;

	if (file >= store->config.files)
		return -CF_EINVAL;
	f = &store->file[file];
	state = lock(store);
	if (f->going)
		err = -CF_EBUSY;
	else if (pages > f->size)
		err = -CF_EINVAL;
	if (!err) {
		f->going = true;
		f->end = pages;
		size = f->size;
	}
	unlock(store, state);
	if (!err && store->config.zap && pages < size)
		store->config.zap(store->config.context, file, pages, size);
	return err;
}

/* What a block that is held is, for the report. */
static void tell(struct daxfile *store, uint32_t at, uint64_t count,
		 struct cf_report *report)
{
	struct cf_snapshot run = { .type = CF_TYPE_DEVICE };

	if (!report)
		return;
	__builtin_memset(report, 0, sizeof(*report));
	report->pfn = CF_PFN_NONE;
	if (count == 0)
		return;
	(void)!cf_snapshot(store->map, pfn_at(store, at), &run);
	report->reason = run.pins ? CF_REASON_PINNED :
			 run.refs ? CF_REASON_REFERENCED : CF_REASON_TRANSIT;
	report->type = run.type;
	report->pfn = pfn_at(store, at);
	report->order = run.order;
	report->flags = run.flags;
	report->owner = store->id;
	report->refs = run.refs;
	report->pins = run.pins;
	report->who = store->config.name ? store->config.name : "daxfile";
	report->detail = on_describe(store, report->pfn);
	report->frames[report->reason] = count;
}

/* Blocks beyond the new end that are not idle; the lock is held. */
static uint64_t count_held(struct daxfile *store, uint32_t file,
			   uint32_t *ret_first)
{
	const struct file *f = &store->file[file];
	uint64_t held = 0;
	uint32_t page, at;

	for (page = f->end; page < f->size; page++) {
		at = *block_of(store, file, page);
		if (at == LOST || store->record[at].state == BLOCK_IDLE ||
		    store->record[at].state == BLOCK_GONE_IDLE)
			continue;
		if (!held)
			*ret_first = at;
		held++;
	}
	return held;
}

/* Nobody has any of them, nobody gets one: they are nobody's. */
static void shorten(struct daxfile *store, uint32_t file)
{
	struct file *f = &store->file[file];
	uint32_t at;

	while (f->size > f->end) {
		at = *block_of(store, file, --f->size);
		if (at == LOST)
			continue;
		if (store->record[at].state == BLOCK_GONE_IDLE)
			store->record[at].state = BLOCK_GONE;
		else
			give_free(store, at);
		store->stat.truncated++;
	}
	f->going = false;
}

int daxfile_truncate_step(struct daxfile *store, uint32_t file,
			  struct cf_report *report)
{
	unsigned long state;
	uint64_t held = 0;
	uint32_t at = 0;
	bool going;

	if (file >= store->config.files)
		return -CF_EINVAL;
	state = lock(store);
	going = store->file[file].going;
	if (going)
		held = count_held(store, file, &at);
	if (going && !held)
		shorten(store, file);
	store->stat.waits += held != 0;
	unlock(store, state);
	tell(store, at, held, report);
	if (!going)
		return -CF_EINVAL;
	return held ? -CF_EBUSY : 0;
}

int daxfile_truncate_cancel(struct daxfile *store, uint32_t file)
{
	unsigned long state;
	bool going;

	if (file >= store->config.files)
		return -CF_EINVAL;
	state = lock(store);
	going = store->file[file].going;
	store->file[file].going = false;
	store->file[file].end = store->file[file].size;
	unlock(store, state);
	return going ? 0 : -CF_EINVAL;
}

int daxfile_truncate(struct daxfile *store, uint32_t file, uint32_t pages,
		     unsigned passes, struct cf_report *report)
{
	unsigned pass;
	int err;

	err = daxfile_truncate_start(store, file, pages);
	if (err) {
		tell(store, 0, 0, report);
		return err;
	}
	err = -CF_EBUSY;
	for (pass = 0; pass < passes && err; pass++) {
		if (pass)
			cf_port_relax(pass);
		err = daxfile_truncate_step(store, file, report);
	}
	if (err && daxfile_truncate_cancel(store, file))
		return -CF_EINVAL;
	return err;
}

/* ---- telling ---- */

static void count_blocks(const struct daxfile *store,
			 struct daxfile_stat *stat)
{
	uint32_t at;

	for (at = 0; at < store->frames; at++)
		switch ((enum block_state)store->record[at].state) {
		case BLOCK_FREE:
			stat->free++;
			break;
		case BLOCK_IDLE:
			stat->idle++;
			break;
		case BLOCK_NONE:
		case BLOCK_MAPPED:
		case BLOCK_HELD:
			stat->mapped++;
			break;
		case BLOCK_GONE:
		case BLOCK_GONE_IDLE:
			stat->gone++;
			break;
		case BLOCK_BAD:
			stat->bad++;
			break;
		}
}

void daxfile_stat(struct daxfile *store, struct daxfile_stat *ret_stat)
{
	unsigned long state = lock(store);

	*ret_stat = store->stat;
	count_blocks(store, ret_stat);
	unlock(store, state);
}

static enum daxfile_finding_kind check(struct daxfile *store, uint32_t at,
				       struct cf_snapshot *run)
{
	const struct record *record = &store->record[at];

	if (record->state == BLOCK_BAD)
		return DAXFILE_FINDING_NONE;
	if (cf_snapshot(store->map, pfn_at(store, at), run) || run->order)
		return DAXFILE_FINDING_COUNT;
	if (run->owner != store->id)
		return DAXFILE_FINDING_OWNER;
	if (record->state == BLOCK_MAPPED && run->refs == 0)
		return DAXFILE_FINDING_MAPPED;
	if (record->state != BLOCK_MAPPED && run->refs)
		return DAXFILE_FINDING_IDLE;
	if ((record->state == BLOCK_IDLE || record->state == BLOCK_MAPPED) &&
	    (record->page >= store->file[record->file].size ||
	     *block_of(store, record->file, record->page) != at))
		return DAXFILE_FINDING_FILE;
	return DAXFILE_FINDING_NONE;
}

/* Every page of every file has a block of its own, and free ones are listed. */
static bool counts_hold(struct daxfile *store)
{
	struct daxfile_stat stat;
	uint64_t pages = 0;
	uint64_t listed = 0;
	uint32_t file, page, at;

	daxfile_stat(store, &stat);
	for (file = 0; file < store->config.files; file++)
		for (page = 0; page < store->file[file].size; page++)
			pages += *block_of(store, file, page) != LOST;
	for (at = store->first_free; at != NOWHERE; at = store->record[at].next)
		listed++;
	return listed == stat.free && store->free == stat.free &&
	       pages == stat.idle + stat.mapped;
}

bool daxfile_verify(struct daxfile *store,
		    struct daxfile_finding *ret_finding)
{
	struct daxfile_finding finding = { .pfn = CF_PFN_NONE };
	struct cf_snapshot run = { .owner = 0 };
	uint32_t at;

	for (at = 0; at < store->frames && !finding.kind; at++) {
		finding.kind = check(store, at, &run);
		finding.pfn = pfn_at(store, at);
		finding.owner = run.owner;
	}
	if (!finding.kind && !counts_hold(store)) {
		finding.kind = DAXFILE_FINDING_COUNT;
		finding.pfn = CF_PFN_NONE;
	}
	if (finding.kind)
		*ret_finding = finding;
	return !finding.kind;
}

/* ---- going on where another one ended ---- */

bool daxfile_block(struct daxfile *store, uint32_t file, uint32_t page,
		   cf_pfn *ret_pfn)
{
	unsigned long state;
	uint32_t at = LOST;
	bool there;

	if (file >= store->config.files)
		return false;
	state = lock(store);
	there = page < store->file[file].size;
	if (there)
		at = *block_of(store, file, page);
	unlock(store, state);
	if (there)
		*ret_pfn = at == LOST ? CF_PFN_NONE : pfn_at(store, at);
	return there;
}

bool daxfile_find(struct daxfile *store, cf_pfn pfn, uint32_t *ret_file,
		  uint32_t *ret_page)
{
	const struct record *record = record_of(store, pfn);
	unsigned long state;
	bool has;

	if (!record)
		return false;
	state = lock(store);
	has = record->state == BLOCK_IDLE || record->state == BLOCK_MAPPED;
	if (has) {
		*ret_file = record->file;
		*ret_page = record->page;
	}
	unlock(store, state);
	return has;
}

/* Caller holds the lock. @at: LOST, or a frame of the range. */
static int append(struct daxfile *store, uint32_t number, uint32_t at)
{
	struct file *file = &store->file[number];

	if (file->size == store->config.pages)
		return -CF_EINVAL;
	if (file->going ||
	    (at != LOST && store->record[at].state != BLOCK_FREE))
		return -CF_EBUSY;
	*block_of(store, number, file->size) = at;
	if (at != LOST) {
		remove_free(store, at, BLOCK_IDLE);
		store->record[at].file = number;
		store->record[at].page = file->size;
	}
	file->end = ++file->size;
	return 0;
}

int daxfile_append(struct daxfile *store, uint32_t file, cf_pfn pfn)
{
	bool lost = pfn == CF_PFN_NONE;
	unsigned long state;
	int err;

	if (file >= store->config.files || (!lost && !record_of(store, pfn)))
		return -CF_EINVAL;
	state = lock(store);
	err = append(store, file, lost ? LOST :
		     (uint32_t)(pfn - store->config.first));
	unlock(store, state);
	return err;
}
