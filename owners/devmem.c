/* SPDX-License-Identifier: MIT */

/*
 * The driver's records and lists.
 *
 * Every head of the range has a record that says whose it is this moment.
 * From IDLE to HELD it goes under the lock, and then it is in the hands of one
 * call alone, which may split, join, hand out or migrate to it; to USED before
 * anybody can get a reference; from USED back by the release hook.
 */

#include <coldframe/coldframe.h>

#include "common.h"
#include "device_state.h"

#define WHOLE		CF_CHUNK_ORDER
#define WHOLE_FRAMES	((uint32_t)1 << WHOLE)
#define NOWHERE		(~0u)
#define REMOVE_PASSES	64
#define JOINS_MAX	8
#define TRIES_MAX	64
#define TARGET_FAILED	1	/* a run in our hands did, this moment */

enum run_state {
	RUN_INSIDE,	/* no head */
	RUN_IDLE,	/* on the list of its order */
	RUN_HELD,	/* in the hands of one call */
	RUN_USED,	/* it has references */
	RUN_MOVING,	/* used; one call is moving it */
	RUN_GONE,	/* given up */
	RUN_BAD,	/* a bad frame, or metadata: nobody's */
};

/* Field key: (L) driver->lock. */
struct record {
	uint32_t next, prev;	/* (L) of its list; IDLE */
	uint32_t refs;		/* (L) that move along; USED */
	uint16_t idle;		/* (L) of a chunk's first: single frames on the
				 * list */
	uint8_t state;		/* (L) enum run_state */
	uint8_t order;		/* (L) 0 or WHOLE */
	bool moves;		/* (L) it came by migration; USED */
};

struct devmem {
	struct cf_map *map;		/* (C) */
	struct devmem_config config;	/* (C) */
	struct cf_lock lock;
	uint32_t id;			/* (C) */
	uint32_t frames;		/* (C) */
	uint32_t list[2];		/* (L) single frames, 2 MiB */
	struct devmem_stat stat;	/* (L) what only grows */
	struct record record[];
};

static unsigned long lock(struct devmem *driver)
{
	return cf_lock(&driver->lock);
}

static void unlock(struct devmem *driver, unsigned long state)
{
	cf_unlock(&driver->lock, state);
}

static cf_pfn pfn_at(const struct devmem *driver, uint32_t at)
{
	return driver->config.first + at;
}

/* ---- lists; the lock is held ---- */

static uint32_t *list_of(struct devmem *driver, unsigned order)
{
	return &driver->list[order == WHOLE];
}

static struct record *chunk_of(struct devmem *driver, uint32_t at)
{
	return &driver->record[at & ~(WHOLE_FRAMES - 1)];
}

static void list_add(struct devmem *driver, uint32_t at, unsigned order)
{
	struct record *record = &driver->record[at];
	uint32_t *first = list_of(driver, order);

	record->state = RUN_IDLE;
	record->order = (uint8_t)order;
	record->prev = NOWHERE;
	record->next = *first;
	if (*first != NOWHERE)
		driver->record[*first].prev = at;
	*first = at;
	if (order == 0)
		chunk_of(driver, at)->idle++;
}

static void list_remove(struct devmem *driver, uint32_t at,
			enum run_state state)
{
	struct record *record = &driver->record[at];

	if (record->prev == NOWHERE)
		*list_of(driver, record->order) = record->next;
	else
		driver->record[record->prev].next = record->next;
	if (record->next != NOWHERE)
		driver->record[record->next].prev = record->prev;
	record->state = (uint8_t)state;
	if (record->order == 0)
		chunk_of(driver, at)->idle--;
}

/* ---- runs in one's hands ---- */

/* Which record a frame of the range has, or NOWHERE: a stranger. */
static uint32_t index_of(struct devmem *driver, cf_pfn pfn)
{
	if (!is_in(driver->config.first, driver->config.last, pfn))
		return NOWHERE;
	return (uint32_t)(pfn - driver->config.first);
}

static void stranger(struct devmem *driver, cf_pfn pfn)
{
	note_stranger(&driver->lock, &driver->stat.strangers,
		      &driver->stat.stranger, pfn);
}

static void set_state(struct devmem *driver, uint32_t at, unsigned order,
		      enum run_state to)
{
	unsigned long state = lock(driver);

	driver->record[at].state = (uint8_t)to;
	driver->record[at].order = (uint8_t)order;
	unlock(driver, state);
}

static void set_used(struct devmem *driver, uint32_t at, struct record like)
{
	unsigned long state = lock(driver);

	driver->record[at].state = RUN_USED;
	driver->record[at].order = like.order;
	driver->record[at].refs = like.refs;
	driver->record[at].moves = like.moves;
	unlock(driver, state);
}

static void put_on_list(struct devmem *driver, uint32_t at, unsigned order)
{
	unsigned long state = lock(driver);

	list_add(driver, at, order);
	unlock(driver, state);
}

/* Single frames of what was a larger run. */
static void list_frames(struct devmem *driver, uint32_t first, uint32_t last)
{
	unsigned long state = lock(driver);

	for (; first < last; first++)
		list_add(driver, first, 0);
	unlock(driver, state);
}

/* A retired frame, or metadata: a run of that is nobody's frame by frame. */
static void set_bad(struct devmem *driver, uint32_t first, uint32_t last)
{
	for (; first < last; first++)
		set_state(driver, first, 0, RUN_BAD);
}

/* A part of what cf_pagemap_retire() left; returns its frames. */
static uint32_t list_part(struct devmem *driver, uint32_t at)
{
	struct cf_snapshot run;
	uint32_t frames;

	if (cf_snapshot(driver->map, pfn_at(driver, at), &run))
		return 1;
	frames = 1u << run.order;
	if (run.type != CF_TYPE_DEVICE)
		set_bad(driver, at, at + frames);
	else if (run.order == WHOLE || run.order == 0)
		put_on_list(driver, at, run.order);
	else if (!cf_split(driver->map, pfn_at(driver, at), 0))
		list_frames(driver, at, at + frames);
	return frames;
}

/* Off the list, into our hands; false: somebody has it, or has cut it. */
static bool take_listed(struct devmem *driver, uint32_t at, unsigned order)
{
	unsigned long state = lock(driver);
	bool ours = driver->record[at].state == RUN_IDLE &&
		    driver->record[at].order == order;

	if (ours)
		list_remove(driver, at, RUN_HELD);
	unlock(driver, state);
	return ours;
}

static void list_pieces(struct devmem *driver, uint32_t at, uint32_t last);

/*
 * A run in our hands is idle again: on the list, its bad frames apart.  A mark
 * that comes after we looked comes with a call of the failure hook.
 */
static void take_back(struct devmem *driver, uint32_t at, unsigned order)
{
	put_on_list(driver, at, order);
	if (!is_marked(driver->map, pfn_at(driver, at)) ||
	    !take_listed(driver, at, order))
		return;
	if (cf_pagemap_retire(driver->map, driver->id, pfn_at(driver, at),
			      NULL)) {
		/* Marked, and not to be had this moment: never handed out. */
		put_on_list(driver, at, order);
		return;
	}
	if (order == WHOLE)
		set_state(driver, at, 0, RUN_INSIDE);
	list_pieces(driver, at, at + (1u << order));
}

/* A mark that came before its run was on the list is seen here. */
static void weed(struct devmem *driver, uint32_t at)
{
	unsigned long state;
	unsigned order;

	if (!is_marked(driver->map, pfn_at(driver, at)))
		return;
	state = lock(driver);
	order = driver->record[at].order;
	unlock(driver, state);
	if (take_listed(driver, at, order))
		take_back(driver, at, order);
}

/* Whatever [at, last) is made of by now. */
static void list_pieces(struct devmem *driver, uint32_t at, uint32_t last)
{
	uint32_t end;

	while (at < last) {
		end = at + list_part(driver, at);
		/* Of a whole run only the head can have a mark. */
		if (end - at == WHOLE_FRAMES)
			weed(driver, at);
		else
			for (; at < end; at++)
				weed(driver, at);
		at = end;
	}
}

/* Take an idle run of this order into our hands. */
static uint32_t pop(struct devmem *driver, unsigned order)
{
	unsigned long state = lock(driver);
	uint32_t at = *list_of(driver, order);

	if (at != NOWHERE)
		list_remove(driver, at, RUN_HELD);
	unlock(driver, state);
	return at;
}

/* A single frame, of 2 MiB if there are none. */
static uint32_t pop_frame(struct devmem *driver)
{
	uint32_t at = pop(driver, 0);

	if (at != NOWHERE)
		return at;
	at = pop(driver, WHOLE);
	if (at == NOWHERE)
		return NOWHERE;
	if (cf_split(driver->map, pfn_at(driver, at), 0)) {
		put_on_list(driver, at, WHOLE);
		return NOWHERE;
	}
	set_state(driver, at, 0, RUN_HELD);
	list_frames(driver, at + 1, at + WHOLE_FRAMES);
	return at;
}

/* Take all frames of a chunk that is idle frame by frame. */
static uint32_t pop_chunk(struct devmem *driver)
{
	unsigned long state = lock(driver);
	uint32_t found = NOWHERE;
	uint32_t at;

	for (at = 0; at < driver->frames && found == NOWHERE;
	     at += WHOLE_FRAMES)
		if (driver->record[at].idle == WHOLE_FRAMES)
			found = at;
	for (at = 0; at < WHOLE_FRAMES && found != NOWHERE; at++)
		list_remove(driver, found + at, RUN_HELD);
	unlock(driver, state);
	return found;
}

static void set_whole(struct devmem *driver, uint32_t at)
{
	unsigned long state = lock(driver);
	uint32_t i;

	for (i = 1; i < WHOLE_FRAMES; i++)
		driver->record[at + i].state = RUN_INSIDE;
	driver->record[at].order = WHOLE;
	driver->stat.joins++;
	unlock(driver, state);
}

static uint32_t pop_whole(struct devmem *driver)
{
	uint32_t at = pop(driver, WHOLE);
	unsigned tries;

	for (tries = 0; tries < JOINS_MAX && at == NOWHERE; tries++) {
		at = pop_chunk(driver);
		if (at == NOWHERE)
			break;
		if (cf_merge(driver->map, pfn_at(driver, at), WHOLE)) {
			list_frames(driver, at, at + WHOLE_FRAMES);
			at = NOWHERE;
		} else {
			set_whole(driver, at);
		}
	}
	return at;
}

/* ---- handing out ---- */

/*
 * A run that we took off the list was not to be had: false, try another.  One
 * that somebody handed out behind our back comes with its last put.
 */
static bool not_had(struct devmem *driver, uint32_t at, unsigned order,
		    int err)
{
	struct cf_snapshot run;
	bool there = !cf_snapshot(driver->map, pfn_at(driver, at), &run);
	bool ours = there && run.owner == driver->id;

	if (ours && err == -CF_EAGAIN && run.refs) {
		stranger(driver, pfn_at(driver, at));
		return false;
	}
	/* Found bad this moment: taking it back takes that out. */
	take_back(driver, at, order);
	if (!ours)
		stranger(driver, pfn_at(driver, at));
	return !ours || run.flags & CF_FLAG_CLOSED ||
	       (err != -CF_EAGAIN && !(run.flags & CF_FLAG_POISON));
}

int devmem_alloc(struct devmem *driver, unsigned order, cf_pfn *ret_pfn)
{
	struct record used = { .order = (uint8_t)order, .refs = 1 };
	unsigned tries;
	uint32_t at;
	int err;

	if (order != 0 && order != WHOLE)
		return -CF_EINVAL;
	for (tries = 0; tries < TRIES_MAX; tries++) {
		at = order ? pop_whole(driver) : pop_frame(driver);
		if (at == NOWHERE)
			return -CF_ENOMEM;
		/* Before anybody can see that it is out. */
		set_used(driver, at, used);
		err = cf_pagemap_hand_out(driver->map, driver->id,
					  pfn_at(driver, at));
		if (!err) {
			*ret_pfn = pfn_at(driver, at);
			return 0;
		}
		if (not_had(driver, at, order, err))
			return -CF_EREFUSED;
	}
	return -CF_EAGAIN;
}

/* Is it on the list?  Then whoever had it out did not have it from us. */
static bool is_listed(struct devmem *driver, uint32_t at)
{
	unsigned long state = lock(driver);
	bool listed = driver->record[at].state == RUN_IDLE;

	unlock(driver, state);
	return listed;
}

/* The last reference went: the run is ours, and may be out again at once. */
static enum cf_verdict on_release(void *context, cf_pfn pfn, unsigned order)
{
	struct devmem *driver = context;
	uint32_t at = index_of(driver, pfn);

	if (at == NOWHERE || (order != 0 && order != WHOLE) ||
	    is_listed(driver, at))
		stranger(driver, pfn);
	else
		take_back(driver, at, order);
	return CF_VERDICT_KEEP;
}

/* The range goes: forget what is on the list, and nothing else. */
static int on_dissolve(void *context, cf_pfn pfn, unsigned order)
{
	struct devmem *driver = context;
	uint32_t at = index_of(driver, pfn);
	struct record *record;
	unsigned long state;
	int err = -CF_EAGAIN;

	if (at == NOWHERE) {
		stranger(driver, pfn);
		return -CF_EBUSY;
	}
	record = &driver->record[at];
	state = lock(driver);
	if (record->state == RUN_IDLE && record->order == order) {
		list_remove(driver, at, RUN_GONE);
		err = 0;
	}
	unlock(driver, state);
	return err;
}

/* ---- to the device ---- */

static int copy(void *context, cf_pfn source, cf_pfn target, unsigned order)
{
	const struct devmem *driver = context;

	return driver->config.copy(driver->config.context, source, target,
				   order);
}

static void moved(void *context, cf_pfn source, cf_pfn target, unsigned order)
{
	const struct devmem *driver = context;

	if (driver->config.moved)
		driver->config.moved(driver->config.context, source, target,
				     order);
}

static int migrate(struct devmem *driver, struct cf_migration migration)
{
	migration.copy = driver->config.copy ? copy : NULL;
	migration.moved = moved;
	migration.context = driver;
	return cf_pagemap_migrate(driver->map, &migration);
}

/* Is one of them bad, and are all to stay? */
static bool has_failed(struct devmem *driver, const cf_pfn *targets,
		       size_t count)
{
	bool marked = false;
	uint32_t flags;
	size_t i;

	for (i = 0; i < count; i++) {
		flags = flags_of(driver->map, targets[i]);
		if (flags & CF_FLAG_CLOSED)
			return false;
		marked |= (flags & CF_FLAG_POISON) != 0;
	}
	return marked;
}

/*
 * Move into runs that we hold; they are ours again if that fails.
 * TARGET_FAILED: one of them did; others may do.
 */
static int move_in(struct devmem *driver, cf_pfn source, uint32_t refs,
		   const cf_pfn *targets, size_t count, unsigned order)
{
	struct cf_migration migration = {
		.source = source,
		.refs = refs,
		.targets = targets,
		.count = count,
	};
	struct record used = {
		.order = (uint8_t)order, .refs = refs, .moves = true,
	};
	unsigned long state;
	size_t i;
	int err;

	/* Before anybody can touch them. */
	for (i = 0; i < count; i++)
		set_used(driver, index_of(driver, targets[i]), used);
	err = migrate(driver, migration);
	if (err == -CF_EREFUSED && has_failed(driver, targets, count))
		err = TARGET_FAILED;
	for (i = 0; i < count && err; i++)
		take_back(driver, index_of(driver, targets[i]), order);
	state = lock(driver);
	if (!err)
		driver->stat.to_device += count << order;
	unlock(driver, state);
	return err;
}

/* @count single frames, or none. */
static bool pop_frames(struct devmem *driver, cf_pfn *ret_pfns, size_t count)
{
	size_t i;
	uint32_t at;

	for (i = 0; i < count; i++) {
		at = pop_frame(driver);
		if (at == NOWHERE) {
			while (i-- > 0)
				take_back(driver, index_of(driver,
							   ret_pfns[i]), 0);
			return false;
		}
		ret_pfns[i] = pfn_at(driver, at);
	}
	return true;
}

static int send(struct devmem *driver, cf_pfn source, uint32_t refs,
		struct devmem_pieces *pieces)
{
	struct cf_snapshot run;
	cf_pfn target;
	size_t count;
	uint32_t at;

	if (cf_snapshot(driver->map, source, &run))
		return -CF_EGONE;
	if (run.order > WHOLE || refs == 0)
		return -CF_EINVAL;
	if (run.order == WHOLE) {
		at = pop_whole(driver);
		target = pfn_at(driver, at);
		if (at != NOWHERE)
			return move_in(driver, source, refs, &target, 1,
				       WHOLE);
	}
	if (!pieces && run.order > 0)
		return -CF_ENOMEM;
	count = (size_t)1 << run.order;
	if (!pop_frames(driver, pieces ? pieces->pfn : &target, count))
		return -CF_ENOMEM;
	return move_in(driver, source, refs, pieces ? pieces->pfn : &target,
		       count, 0);
}

int devmem_to_device(struct devmem *driver, cf_pfn source, uint32_t refs,
		     struct devmem_pieces *pieces)
{
	unsigned tries;
	int err = TARGET_FAILED;

	for (tries = 0; tries < TRIES_MAX && err == TARGET_FAILED; tries++)
		err = send(driver, source, refs, pieces);
	return err == TARGET_FAILED ? -CF_EAGAIN : err;
}

/* ---- and back ---- */

/* A page that is on its way back. */
struct way_back {
	struct devmem *driver;
	uint32_t at;
	unsigned order;
	uint32_t refs;		/* that move along */
	uint32_t extra;		/* the engine's, of a fault */
	uint32_t touched;
};

/* Nobody else moves it meanwhile. */
static int begin_way(struct way_back *way)
{
	struct record *record = &way->driver->record[way->at];
	unsigned long state = lock(way->driver);
	int err = -CF_EAGAIN;

	if (record->state == RUN_USED && record->refs > 0 && record->moves) {
		record->state = RUN_MOVING;
		way->refs = record->refs;
		way->order = record->order;
		err = 0;
	}
	unlock(way->driver, state);
	return err;
}

/* It stays after all. */
static void end_way(struct way_back *way)
{
	unsigned long state = lock(way->driver);

	/* Unless it came back meanwhile, by its last put. */
	if (way->driver->record[way->at].state == RUN_MOVING)
		way->driver->record[way->at].state = RUN_USED;
	unlock(way->driver, state);
}

/* Every frame is a run of its own now; one of them is on its way. */
static void set_parts(struct way_back *way)
{
	unsigned long state = lock(way->driver);
	uint32_t i;

	for (i = 0; i < WHOLE_FRAMES; i++) {
		struct record *record = &way->driver->record[way->at + i];

		record->state = way->at + i == way->touched ? RUN_MOVING :
				RUN_USED;
		record->order = 0;
		record->refs = way->refs;
		record->moves = true;
	}
	way->driver->stat.cuts++;
	unlock(way->driver, state);
}

/*
 * Cut a run in use: all that know of it are we and its @refs, so at count 0
 * it is nobody's but ours.
 */
static int cut(struct way_back *way)
{
	struct devmem *driver = way->driver;
	cf_pfn head = pfn_at(driver, way->at);
	uint32_t i;
	int err;

	err = cf_freeze(driver->map, head, way->refs + way->extra);
	if (err)
		return -CF_EAGAIN;
	err = cf_split(driver->map, head, 0);
	if (err) {
		cf_unfreeze(driver->map, head, way->refs + way->extra);
		return -CF_EAGAIN;
	}
	set_parts(way);
	for (i = 0; i < WHOLE_FRAMES; i++)
		cf_unfreeze(driver->map, head + i, way->at + i == way->touched ?
			    way->refs + way->extra : way->refs);
	way->at = way->touched;
	way->order = 0;
	return 0;
}

static int take_memory(const struct way_back *way, cf_pfn *ret_target)
{
	struct cf_request request = {
		.order = (uint8_t)way->order,
		.type = CF_TYPE_FOLIO,
		.node = CF_NODE_ANY,
		.flags = CF_ALLOC_FROZEN,
	};

	return cf_alloc(way->driver->map, request, ret_target) ? -CF_ENOMEM :
	       0;
}

/* In one piece, if there is room for it; else only what was touched. */
static int find_room(struct way_back *way, cf_pfn *ret_target)
{
	bool whole = way->order == 0 || !way->driver->config.split_faults ||
		     way->extra == 0;
	int err;

	if (whole && !take_memory(way, ret_target))
		return 0;
	if (way->order == 0)
		return -CF_ENOMEM;
	err = cut(way);
	return err ? err : take_memory(way, ret_target);
}

static int bring_back(struct way_back *way, cf_pfn *ret_pfn)
{
	struct devmem *driver = way->driver;
	struct cf_migration migration = { .count = 1 };
	unsigned long state;
	cf_pfn target;
	int err;

	err = begin_way(way);
	if (err)
		return err;
	err = find_room(way, &target);
	if (!err) {
		migration.source = pfn_at(driver, way->at);
		migration.refs = way->refs;
		migration.extra = way->extra;
		migration.targets = &target;
		err = migrate(driver, migration);
		if (err)
			cf_free_frozen(driver->map, target, way->order);
	}
	if (err) {
		end_way(way);
		return err;
	}
	state = lock(driver);
	driver->stat.to_system += (uint64_t)1 << way->order;
	driver->stat.faults += way->extra;
	unlock(driver, state);
	*ret_pfn = target + (way->touched - way->at);
	return 0;
}

static int on_fault(void *context, cf_pfn pfn, unsigned order, cf_pfn touched,
		    cf_pfn *ret_pfn)
{
	struct way_back way = {
		.driver = context, .extra = 1, .order = order,
	};

	way.at = index_of(context, pfn);
	way.touched = index_of(context, touched);
	if (way.at == NOWHERE || way.touched == NOWHERE) {
		stranger(context, pfn);
		return -CF_EREFUSED;
	}
	return bring_back(&way, ret_pfn);
}

/*
 * The first page of [at, last), in one chunk, that moved here and is not on
 * its way yet; @last: none.
 */
static uint32_t find_guest(struct devmem *driver, uint32_t at, uint32_t last)
{
	unsigned long state = lock(driver);

	while (at < last && (driver->record[at].state != RUN_USED ||
			     !driver->record[at].moves))
		at++;
	unlock(driver, state);
	return at;
}

int devmem_evict(struct devmem *driver, uint64_t count, uint64_t *ret_count)
{
	uint32_t at = 0, last = WHOLE_FRAMES;
	uint64_t done = 0;
	int err, worst = 0;
	cf_pfn where;

	while (at < driver->frames && done < count) {
		struct way_back way = { .driver = driver };

		at = find_guest(driver, at, last);
		if (at == last) {
			last += WHOLE_FRAMES;
			continue;
		}
		way.at = at;
		way.touched = at++;
		err = bring_back(&way, &where);
		done += !err;
		if (err && worst != -CF_ENOMEM)
			worst = err;
	}
	*ret_count = done;
	return worst;
}

/* ---- references that move along ---- */

/* May references of a run come and go?  Caller holds the lock. */
static int may_change(const struct record *record)
{
	if (record->state == RUN_MOVING)
		return -CF_EAGAIN;
	return record->state == RUN_USED && record->refs > 0 ? 0 : -CF_EINVAL;
}

int devmem_map(struct devmem *driver, cf_pfn pfn)
{
	uint32_t at = index_of(driver, pfn);
	unsigned long state;
	int err;

	if (at == NOWHERE)
		return -CF_EINVAL;
	state = lock(driver);
	err = may_change(&driver->record[at]);
	/* Both at once: a move takes those away that are counted here. */
	if (!err)
		err = cf_get(driver->map, pfn);
	if (!err)
		driver->record[at].refs++;
	unlock(driver, state);
	return err;
}

int devmem_unmap(struct devmem *driver, cf_pfn pfn)
{
	uint32_t at = index_of(driver, pfn);
	unsigned long state;
	int err;

	if (at == NOWHERE)
		return -CF_EINVAL;
	state = lock(driver);
	err = may_change(&driver->record[at]);
	if (!err)
		driver->record[at].refs--;
	unlock(driver, state);
	if (!err)
		cf_put(driver->map, pfn);
	return err;
}

/* ---- bad frames ---- */

static void on_failure(void *context, cf_pfn pfn, unsigned order, cf_pfn bad)
{
	struct devmem *driver = context;
	uint32_t at = index_of(driver, pfn);
	unsigned long state;
	bool used;

	if (at == NOWHERE)
		return;
	state = lock(driver);
	used = driver->record[at].state == RUN_USED ||
	       driver->record[at].state == RUN_MOVING;
	unlock(driver, state);
	/* Marked by now: taking it back takes the frame out. */
	if (take_listed(driver, at, order))
		take_back(driver, at, order);
	if (used && driver->config.failed)
		driver->config.failed(driver->config.context, bad);
}

/* ---- reports ---- */

static const char *on_describe(void *context, cf_pfn pfn)
{
	static const char *const words[] = {
		[RUN_INSIDE] = "inside a run", [RUN_IDLE] = "idle, listed",
		[RUN_HELD] = "held by a call of the driver",
		[RUN_USED] = "handed out", [RUN_MOVING] = "being moved back",
		[RUN_GONE] = "given up", [RUN_BAD] = "bad",
	};
	struct devmem *driver = context;
	uint32_t at = index_of(driver, pfn);
	unsigned long state;
	uint8_t is;

	if (at == NOWHERE)
		return "not of the driver's range";
	/* A report may be made anywhere: it does not wait. */
	if (!cf_trylock(&driver->lock, &state))
		return NULL;
	is = driver->record[at].state;
	unlock(driver, state);
	return words[is];
}

static const struct cf_owner_ops ops = {
	.release = on_release,
	.dissolve = on_dissolve,
	.fault = on_fault,
	.failure = on_failure,
	.describe = on_describe,
};

/* ---- beginning and end ---- */

static bool fits(const struct devmem_config *config)
{
	enum cf_pagemap_kind kind = config->pagemap.kind;

	return config->first < config->last && config->last <= CF_PFN_LIMIT &&
	       config->last - config->first < NOWHERE &&
	       (config->first | config->last) % CF_CHUNK_FRAMES == 0 &&
	       (kind == CF_PAGEMAP_COHERENT ||
		(kind == CF_PAGEMAP_PRIVATE && config->copy));
}

size_t devmem_bytes(const struct devmem_config *config)
{
	if (!fits(config))
		return 0;
	return sizeof(struct devmem) +
	       (size_t)(config->last - config->first) * sizeof(struct record);
}

int devmem_create(struct cf_map *map, const struct devmem_config *config,
		  void *storage, struct devmem **ret_driver)
{
	struct devmem *driver = storage;
	int err;

	if (!fits(config))
		return -CF_EINVAL;
	__builtin_memset(driver, 0, devmem_bytes(config));
	driver->map = map;
	driver->config = *config;
	driver->frames = (uint32_t)(config->last - config->first);
	driver->lock.rank = CF_RANK_LEAF;
	driver->list[0] = NOWHERE;
	driver->list[1] = NOWHERE;
	driver->stat.stranger = CF_PFN_NONE;
	err = cf_owner_register(map, config->name ? config->name : "devmem",
				&ops, driver, &driver->id);
	if (err)
		return err;
	driver->config.pagemap.owner = driver->id;
	err = cf_pagemap_add(map, config->first, config->last,
			     &driver->config.pagemap);
	if (err) {
		(void)!cf_owner_unregister(map, driver->id, NULL);
		return err;
	}
	list_pieces(driver, 0, driver->frames);
	*ret_driver = driver;
	return 0;
}

int devmem_destroy(struct devmem *driver, struct cf_report *report)
{
	uint64_t count;
	int err;

	/* What cannot go back the report will name. */
	(void)!devmem_evict(driver, driver->frames, &count);
	err = cf_pagemap_remove(driver->map, driver->config.first,
				driver->config.last, REMOVE_PASSES, report);
	/* Others have removed it, in steps, to the end. */
	if (err == -CF_EGONE || err == -CF_EINVAL)
		err = 0;
	if (!err)
		(void)!cf_owner_unregister(driver->map, driver->id, NULL);
	return err;
}

uint32_t devmem_owner(const struct devmem *driver)
{
	return driver->id;
}

/* ---- telling ---- */

static void count_runs(const struct devmem *driver, struct devmem_stat *stat)
{
	uint32_t at, frames;

	for (at = 0; at < driver->frames; at += frames) {
		const struct record *record = &driver->record[at];

		frames = 1u << record->order;
		switch ((enum run_state)record->state) {
		case RUN_IDLE:
			stat->idle += frames;
			stat->idle_whole += record->order == WHOLE;
			break;
		case RUN_USED:
		case RUN_MOVING:
			stat->used += frames;
			break;
		case RUN_GONE:
			stat->gone += frames;
			break;
		case RUN_BAD:
			stat->bad += frames;
			break;
		default:
			stat->held += frames;
			break;
		}
	}
}

void devmem_stat(struct devmem *driver, struct devmem_stat *ret_stat)
{
	unsigned long state = lock(driver);

	*ret_stat = driver->stat;
	count_runs(driver, ret_stat);
	unlock(driver, state);
}

/* Is one record what the map says of its frame? */
static enum devmem_finding_kind check(struct devmem *driver, uint32_t at,
				      struct cf_snapshot *run)
{
	const struct record *record = &driver->record[at];

	if (cf_snapshot(driver->map, pfn_at(driver, at), run))
		return record->state == RUN_BAD ? DEVMEM_FINDING_NONE :
		       DEVMEM_FINDING_IDLE;
	if (record->state == RUN_BAD)
		return run->type == CF_TYPE_DEVICE ? DEVMEM_FINDING_COUNT :
		       DEVMEM_FINDING_NONE;
	if (run->owner != driver->id)
		return DEVMEM_FINDING_OWNER;
	if (record->state == RUN_IDLE && (run->type != CF_TYPE_DEVICE ||
					  run->refs ||
					  run->order != record->order))
		return DEVMEM_FINDING_IDLE;
	if (record->state == RUN_USED && (run->type != CF_TYPE_DEVICE ||
					  run->refs < record->refs ||
					  run->order != record->order))
		return DEVMEM_FINDING_USED;
	return DEVMEM_FINDING_NONE;
}

/* Does every list hold what is idle, and nothing else? */
static bool lists_hold(struct devmem *driver)
{
	uint64_t idle = 0;
	struct devmem_stat stat;
	unsigned order;
	uint32_t at;

	devmem_stat(driver, &stat);
	for (order = 0; order <= WHOLE; order += WHOLE)
		for (at = *list_of(driver, order); at != NOWHERE;
		     at = driver->record[at].next) {
			if (driver->record[at].state != RUN_IDLE ||
			    driver->record[at].order != order)
				return false;
			idle += (uint64_t)1 << order;
		}
	return idle == stat.idle && stat.held == 0 && stat.idle + stat.used +
	       stat.gone + stat.bad == driver->frames;
}

bool devmem_verify(struct devmem *driver, struct devmem_finding *ret_finding)
{
	struct devmem_finding finding = { .pfn = CF_PFN_NONE };
	struct cf_snapshot run = { .owner = 0 };
	uint32_t at;

	for (at = 0; at < driver->frames && !finding.kind;
	     at += 1u << driver->record[at].order) {
		finding.kind = check(driver, at, &run);
		finding.pfn = pfn_at(driver, at);
		finding.owner = run.owner;
	}
	if (!finding.kind && !lists_hold(driver)) {
		finding.kind = DEVMEM_FINDING_COUNT;
		finding.pfn = CF_PFN_NONE;
	}
	if (finding.kind)
		*ret_finding = finding;
	return !finding.kind;
}

/* ---- going on where another one ended ---- */

bool devmem_look(struct devmem *driver, cf_pfn pfn,
		 struct devmem_use *ret_use)
{
	uint32_t at = index_of(driver, pfn);
	const struct record *record;
	unsigned long state;
	bool at_rest;

	if (at == NOWHERE)
		return false;
	record = &driver->record[at];
	state = lock(driver);
	at_rest = record->state == RUN_IDLE || record->state == RUN_USED;
	*ret_use = (struct devmem_use){
		.refs = record->state == RUN_USED ? record->refs : 0,
		.moves = record->state == RUN_USED && record->moves,
	};
	unlock(driver, state);
	return at_rest;
}

/* The 2 MiB that a frame lies in become single frames, if they are idle. */
static void cut_idle(struct devmem *driver, uint32_t at)
{
	uint32_t head = at & ~(WHOLE_FRAMES - 1);

	if (!take_listed(driver, head, WHOLE))
		return;
	if (cf_split(driver->map, pfn_at(driver, head), 0)) {
		put_on_list(driver, head, WHOLE);
		return;
	}
	set_state(driver, head, 0, RUN_HELD);
	list_frames(driver, head, head + WHOLE_FRAMES);
}

int devmem_adopt(struct devmem *driver, cf_pfn pfn, unsigned order,
		 const struct devmem_use *use)
{
	uint32_t at = index_of(driver, pfn);
	struct record used = {
		.order = (uint8_t)order, .refs = use->refs,
		.moves = use->moves,
	};

	if (at == NOWHERE || (order != 0 && order != WHOLE))
		return -CF_EINVAL;
	if (order == 0)
		cut_idle(driver, at);
	if (!take_listed(driver, at, order))
		return -CF_EINVAL;
	if (!use->refs) {
		put_on_list(driver, at, order);
		return 0;
	}
	set_used(driver, at, used);
	if (!cf_pagemap_hand_out(driver->map, driver->id, pfn))
		return 0;
	take_back(driver, at, order);
	return -CF_EREFUSED;
}
