/* SPDX-License-Identifier: MIT */

/*
 * Parts, and who uses them.
 *
 * A use is a hold: a name on a part's list, made before the reference, so that
 * a report of a part in use finds a name.  Of a part nobody uses the first hold
 * hands it out, all others get one by number: the word says whether they are
 * in time.
 */

#include <coldframe/coldframe.h>

#include "rawdev.h"

#define NO_HOLD		(~0u)
#define HOLDS_MAX	((uint32_t)1 << 24)
#define REMOVE_PASSES	64

enum part_state {
	PART_IDLE,	/* count 0 */
	PART_USED,	/* handed out, or about to be; until release */
	PART_HELD,	/* in the hands of one call */
	PART_GONE,	/* given up */
	PART_BAD,	/* holds a bad frame, or metadata */
};

/* Field key: (L) device->lock. */
struct part {
	uint32_t hold;		/* (L) first, or NO_HOLD */
	uint32_t state;		/* (L) enum part_state */
};

struct hold {
	const char *who;	/* (L) */
	uint32_t next;		/* (L) of the part's, or of the free ones */
	bool pinned;		/* (L) */
};

struct rawdev {
	struct cf_map *map;		/* (C) */
	struct rawdev_config config;	/* (C) */
	struct cf_lock lock;
	uint32_t id;			/* (C) */
	uint32_t parts;			/* (C) */
	uint32_t free_hold;		/* (L) */
	bool removed;			/* (L) the range is gone */
	struct rawdev_stat stat;	/* (L) what only grows; uses */
	struct part *part;		/* (C) */
	struct hold *hold;		/* (C) */
};

static unsigned long lock(struct rawdev *device)
{
	return cf_lock(&device->lock);
}

static void unlock(struct rawdev *device, unsigned long state)
{
	cf_unlock(&device->lock, state);
}

uint32_t rawdev_owner(const struct rawdev *device)
{
	return device->id;
}

uint32_t rawdev_parts(const struct rawdev *device)
{
	return device->parts;
}

cf_pfn rawdev_pfn(const struct rawdev *device, uint32_t part)
{
	return device->config.first + ((cf_pfn)part << device->config.order);
}

/* The part a run is, or NULL: a stranger. */
static struct part *part_of(struct rawdev *device, cf_pfn pfn)
{
	const struct rawdev_config *config = &device->config;

	if (pfn < config->first || pfn >= config->last)
		return NULL;
	return &device->part[(pfn - config->first) >> config->order];
}

static void set_state(struct rawdev *device, struct part *part,
		      enum part_state to)
{
	unsigned long state = lock(device);

	part->state = to;
	unlock(device, state);
}

/* ---- holds; the lock is held ---- */

static void add_hold(struct rawdev *device, struct part *part, uint32_t index,
		     const char *who, bool pinned)
{
	struct hold *hold = &device->hold[index];

	device->free_hold = hold->next;
	*hold = (struct hold) {
		.who = who, .next = part->hold, .pinned = pinned,
	};
	part->hold = index;
	device->stat.pins += pinned;
	device->stat.mappings += !pinned;
}

/* Names are told apart as they are written. */
static bool is_name(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

static bool remove_hold(struct rawdev *device, struct part *part,
			const char *who, bool pinned)
{
	uint32_t *link = &part->hold;
	struct hold *hold;
	uint32_t index;

	while (*link != NO_HOLD && (device->hold[*link].pinned != pinned ||
				    !is_name(device->hold[*link].who, who)))
		link = &device->hold[*link].next;
	if (*link == NO_HOLD)
		return false;
	index = *link;
	hold = &device->hold[index];
	*link = hold->next;
	hold->next = device->free_hold;
	hold->who = NULL;
	device->free_hold = index;
	device->stat.pins -= pinned;
	device->stat.mappings -= !pinned;
	return true;
}

/* ---- hooks ---- */

static void stranger(struct rawdev *device, cf_pfn pfn)
{
	unsigned long state = lock(device);

	device->stat.strangers++;
	device->stat.stranger = pfn;
	unlock(device, state);
}

/* Does a frame of the part count as bad? */
static bool is_marked(struct rawdev *device, cf_pfn pfn)
{
	struct cf_snapshot run = { .flags = 0 };

	return !cf_snapshot(device->map, pfn, &run) &&
	       run.flags & CF_FLAG_POISON;
}

/* Take the bad frames of an idle part out: it is used no more. */
static void lose(struct rawdev *device, struct part *part, cf_pfn pfn)
{
	unsigned long state = lock(device);
	bool ours = part->state == PART_IDLE;

	if (ours)
		part->state = PART_HELD;
	unlock(device, state);
	if (!ours)
		return;
	/* In motion this moment: it stays marked, and is not handed out. */
	(void)!cf_pagemap_retire(device->map, device->id, pfn, NULL);
	set_state(device, part, PART_BAD);
}

/*
 * Nobody has the part.  A mark that comes after this comes with the failure
 * hook.
 */
static void go_idle(struct rawdev *device, struct part *part, cf_pfn pfn)
{
	set_state(device, part, PART_IDLE);
	if (is_marked(device, pfn))
		lose(device, part, pfn);
}

/* Who put its reference by cf_put() instead has no name here any more. */
static void forget_users(struct rawdev *device, struct part *part)
{
	unsigned long state = lock(device);
	const struct hold *hold;

	while (part->hold != NO_HOLD) {
		hold = &device->hold[part->hold];
		(void)remove_hold(device, part, hold->who, hold->pinned);
		device->stat.forgotten++;
	}
	unlock(device, state);
}

/*
 * A name that is there with its part's last reference gone is of somebody who
 * put that himself, or of one who is just being refused.
 */
static enum cf_verdict on_release(void *context, cf_pfn pfn, unsigned order)
{
	struct rawdev *device = context;
	struct part *part = part_of(device, pfn);

	if (part)
		forget_users(device, part);
	/* What is left of a bad part comes in pieces, and stays bad. */
	if (!part)
		stranger(device, pfn);
	else if (order == device->config.order)
		go_idle(device, part, pfn);
	else
		set_state(device, part, PART_BAD);
	return CF_VERDICT_KEEP;
}

static int on_dissolve(void *context, cf_pfn pfn, unsigned order)
{
	struct rawdev *device = context;
	struct part *part = part_of(device, pfn);
	unsigned long state;
	int err = 0;

	(void)order;
	if (!part) {
		stranger(device, pfn);
		return -CF_EBUSY;
	}
	state = lock(device);
	if (part->state == PART_IDLE)
		part->state = PART_GONE;
	else if (part->state != PART_BAD)
		err = -CF_EAGAIN;
	unlock(device, state);
	return err;
}

/* Is the hold still one of the part's?  Caller holds the lock. */
static bool has_hold(const struct rawdev *device, const struct part *part,
		     uint32_t index)
{
	uint32_t at = part->hold;

	while (at != NO_HOLD && at != index)
		at = device->hold[at].next;
	return at == index;
}

/* Tell every user of a part, one after another, without the lock. */
static void tell_users(struct rawdev *device, struct part *part,
		       void (*tell)(struct rawdev *device, struct part *part,
				    const struct hold *hold, cf_pfn bad),
		       cf_pfn bad)
{
	uint32_t done = 0;
	struct hold hold;
	unsigned long state;
	uint32_t index, i;

	do {
		state = lock(device);
		index = part->hold;
		for (i = 0; i < done && index != NO_HOLD; i++)
			index = device->hold[index].next;
		if (index != NO_HOLD)
			hold = device->hold[index];
		unlock(device, state);
		if (index == NO_HOLD)
			return;
		tell(device, part, &hold, bad);
		/* Who let go when told is not on the list any more. */
		state = lock(device);
		done += has_hold(device, part, index);
		unlock(device, state);
	} while (done < device->config.holds);
}

static void tell_failed(struct rawdev *device, struct part *part,
			const struct hold *hold, cf_pfn bad)
{
	unsigned long state = lock(device);

	(void)part;
	device->stat.failures++;
	unlock(device, state);
	if (device->config.failed)
		device->config.failed(device->config.context, hold->who, bad);
}

static void on_failure(void *context, cf_pfn pfn, unsigned order, cf_pfn bad)
{
	struct rawdev *device = context;
	struct part *part = part_of(device, pfn);

	(void)order;
	if (!part)
		return;
	lose(device, part, pfn);
	tell_users(device, part, tell_failed, bad);
}

static const char *on_describe(void *context, cf_pfn pfn)
{
	struct rawdev *device = context;
	struct part *part = part_of(device, pfn);
	const char *who = NULL;
	unsigned long state;

	/* A report may be made anywhere: it does not wait. */
	if (!part || !cf_trylock(&device->lock, &state))
		return NULL;
	if (part->hold != NO_HOLD)
		who = device->hold[part->hold].who;
	unlock(device, state);
	return who;
}

static const struct cf_owner_ops ops = {
	.release = on_release,
	.dissolve = on_dissolve,
	.failure = on_failure,
	.describe = on_describe,
};

/* ---- beginning and end ---- */

static bool fits(const struct rawdev_config *config)
{
	enum cf_pagemap_kind kind = config->pagemap.kind;

	return config->first < config->last && config->last <= CF_PFN_LIMIT &&
	       (config->first | config->last) % CF_CHUNK_FRAMES == 0 &&
	       config->order <= CF_CHUNK_ORDER &&
	       (config->last - config->first) >> config->order < NO_HOLD &&
	       config->holds > 0 && config->holds <= HOLDS_MAX &&
	       (kind == CF_PAGEMAP_GENERIC || kind == CF_PAGEMAP_P2P);
}

static size_t parts_bytes(const struct rawdev_config *config)
{
	return (size_t)((config->last - config->first) >> config->order) *
	       sizeof(struct part);
}

size_t rawdev_bytes(const struct rawdev_config *config)
{
	if (!fits(config))
		return 0;
	return sizeof(struct rawdev) + parts_bytes(config) +
	       config->holds * sizeof(struct hold);
}

static void init(struct rawdev *device, struct cf_map *map,
		 const struct rawdev_config *config)
{
	char *storage = (char *)device;
	uint32_t i;

	__builtin_memset(device, 0, rawdev_bytes(config));
	device->map = map;
	device->config = *config;
	device->parts = (uint32_t)((config->last - config->first) >>
				   config->order);
	device->lock.rank = CF_RANK_LEAF;
	device->stat.stranger = CF_PFN_NONE;
	device->part = (struct part *)(void *)(storage +
					       sizeof(struct rawdev));
	device->hold = (struct hold *)(void *)(storage +
					       sizeof(struct rawdev) +
					       parts_bytes(config));
	for (i = 0; i < device->parts; i++)
		device->part[i].hold = NO_HOLD;
	for (i = 0; i < config->holds; i++)
		device->hold[i].next = i + 1 < config->holds ? i + 1 : NO_HOLD;
}

/* Cut what the range is made of into parts. */
static int cut_parts(struct rawdev *device)
{
	unsigned order = device->config.order;
	struct cf_snapshot run;
	cf_pfn pfn;
	int err;

	for (pfn = device->config.first; pfn < device->config.last;
	     pfn += (cf_pfn)1 << run.order) {
		err = cf_snapshot(device->map, pfn, &run);
		if (!err && run.type == CF_TYPE_DEVICE && run.order > order)
			err = cf_split(device->map, pfn, order);
		if (err)
			return err;
		if (run.type != CF_TYPE_DEVICE || run.order < order)
			part_of(device, pfn)->state = PART_BAD;
	}
	return 0;
}

int rawdev_create(struct cf_map *map, const struct rawdev_config *config,
		  void *storage, struct rawdev **ret_device)
{
	struct rawdev *device = storage;
	int err;

	if (!fits(config))
		return -CF_EINVAL;
	init(device, map, config);
	err = cf_owner_register(map, config->name ? config->name : "rawdev",
				&ops, device, &device->id);
	if (err)
		return err;
	device->config.pagemap.owner = device->id;
	err = cf_pagemap_add(map, config->first, config->last,
			     &device->config.pagemap);
	if (err) {
		(void)!cf_owner_unregister(map, device->id, NULL);
		return err;
	}
	/* The runs are ours alone: nothing can stand in the way. */
	err = cut_parts(device);
	if (err)
		return err;
	*ret_device = device;
	return 0;
}

int rawdev_destroy(struct rawdev *device, struct cf_report *report)
{
	int err = 0;

	if (!device->removed)
		err = cf_pagemap_remove(device->map, device->config.first,
					device->config.last, REMOVE_PASSES,
					report);
	if (!err)
		(void)!cf_owner_unregister(device->map, device->id, NULL);
	return err;
}

/* ---- uses ---- */

/*
 * A name for the part, and MAPPED before anybody can have it; *ret_first:
 * nobody had.
 */
static int begin_use(struct rawdev *device, struct part *part,
		     const char *who, bool pinned, bool *ret_first)
{
	unsigned long state = lock(device);
	int err = 0;

	if (part->state == PART_BAD || part->state == PART_GONE)
		err = -CF_EREFUSED;
	else if (part->state == PART_HELD)
		err = -CF_EAGAIN;
	else if (device->free_hold == NO_HOLD)
		err = -CF_ELIMIT;
	if (!err) {
		*ret_first = part->state == PART_IDLE;
		part->state = PART_USED;
		add_hold(device, part, device->free_hold, who, pinned);
	}
	unlock(device, state);
	return err;
}

static void drop_use(struct rawdev *device, struct part *part,
		     const char *who, bool pinned)
{
	unsigned long state = lock(device);

	(void)remove_hold(device, part, who, pinned);
	unlock(device, state);
}

/* The first reference; and, for a pin, that instead of it. */
static int first_use(struct rawdev *device, struct part *part, cf_pfn pfn,
		     bool pinned)
{
	int err = cf_pagemap_hand_out(device->map, device->id, pfn);

	if (err) {
		go_idle(device, part, pfn);
		return -CF_EREFUSED;
	}
	if (pinned) {
		err = cf_pin(device->map, pfn);
		cf_put(device->map, pfn);
	}
	/* Closed in between. */
	return err ? -CF_EREFUSED : 0;
}

static int next_use(struct rawdev *device, cf_pfn pfn, bool pinned)
{
	struct cf_snapshot run = { .flags = 0 };
	int err = pinned ? cf_pin(device->map, pfn) :
		  cf_try_get(device->map, pfn);

	if (!err || err == -CF_ELIMIT)
		return err;
	return !cf_snapshot(device->map, pfn, &run) &&
	       run.flags & CF_FLAG_CLOSED ? -CF_EREFUSED : -CF_EAGAIN;
}

static int use(struct rawdev *device, uint32_t index, const char *who,
	       bool pinned)
{
	cf_pfn pfn = rawdev_pfn(device, index);
	struct part *part;
	bool first = false;
	int err;

	if (index >= device->parts || !who)
		return -CF_EINVAL;
	part = &device->part[index];
	err = begin_use(device, part, who, pinned, &first);
	if (err)
		return err;
	err = first ? first_use(device, part, pfn, pinned) :
	      next_use(device, pfn, pinned);
	if (err)
		drop_use(device, part, who, pinned);
	return err;
}

int rawdev_map(struct rawdev *device, uint32_t part, const char *who)
{
	return use(device, part, who, false);
}

int rawdev_pin(struct rawdev *device, uint32_t part, const char *who)
{
	return use(device, part, who, true);
}

static int end_use(struct rawdev *device, uint32_t index, const char *who,
		   bool pinned)
{
	unsigned long state;
	bool found;

	if (index >= device->parts || !who)
		return -CF_EINVAL;
	state = lock(device);
	found = remove_hold(device, &device->part[index], who, pinned);
	unlock(device, state);
	if (!found)
		return -CF_EINVAL;
	if (pinned)
		cf_unpin(device->map, rawdev_pfn(device, index));
	else
		cf_put(device->map, rawdev_pfn(device, index));
	return 0;
}

int rawdev_unmap(struct rawdev *device, uint32_t part, const char *who)
{
	return end_use(device, part, who, false);
}

int rawdev_unpin(struct rawdev *device, uint32_t part, const char *who)
{
	return end_use(device, part, who, true);
}

/* ---- removal ---- */

static void tell_revoked(struct rawdev *device, struct part *part,
			 const struct hold *hold, cf_pfn bad)
{
	unsigned long state = lock(device);

	(void)bad;
	device->stat.revoked++;
	unlock(device, state);
	if (device->config.revoke)
		device->config.revoke(device->config.context, hold->who,
				      (uint32_t)(part - device->part),
				      hold->pinned);
}

int rawdev_remove_start(struct rawdev *device)
{
	uint32_t i;
	int err;

	err = cf_pagemap_remove_start(device->map, device->config.first,
				      device->config.last);
	for (i = 0; i < device->parts && !err; i++)
		tell_users(device, &device->part[i], tell_revoked,
			   CF_PFN_NONE);
	return err;
}

int rawdev_remove_step(struct rawdev *device, struct cf_report *report)
{
	unsigned long state;
	int err;

	err = cf_pagemap_remove_step(device->map, device->config.first,
				     device->config.last, report);
	if (!err) {
		state = lock(device);
		device->removed = true;
		unlock(device, state);
	}
	return err;
}

int rawdev_remove_cancel(struct rawdev *device)
{
	return cf_pagemap_remove_cancel(device->map, device->config.first,
					device->config.last);
}

/* ---- telling ---- */

void rawdev_stat(struct rawdev *device, struct rawdev_stat *ret_stat)
{
	unsigned long state = lock(device);
	uint32_t i;

	*ret_stat = device->stat;
	for (i = 0; i < device->parts; i++)
		switch ((enum part_state)device->part[i].state) {
		case PART_IDLE:
			ret_stat->idle++;
			break;
		case PART_USED:
			ret_stat->used++;
			break;
		case PART_HELD:
			ret_stat->held++;
			break;
		case PART_GONE:
			ret_stat->gone++;
			break;
		case PART_BAD:
			ret_stat->bad++;
			break;
		}
	unlock(device, state);
}

/* References in names of users. */
static uint32_t count_holds(const struct rawdev *device,
			    const struct part *part, uint32_t *ret_pins)
{
	uint32_t index, count = 0;

	*ret_pins = 0;
	for (index = part->hold; index != NO_HOLD;
	     index = device->hold[index].next) {
		count++;
		*ret_pins += device->hold[index].pinned;
	}
	return count;
}

static enum rawdev_finding_kind check(struct rawdev *device, uint32_t index,
				      struct cf_snapshot *run)
{
	const struct part *part = &device->part[index];
	uint32_t pins;
	uint32_t holds = count_holds(device, part, &pins);

	if (part->state == PART_BAD)
		return holds ? RAWDEV_FINDING_COUNT : RAWDEV_FINDING_NONE;
	if (cf_snapshot(device->map, rawdev_pfn(device, index), run) ||
	    run->order != device->config.order)
		return RAWDEV_FINDING_COUNT;
	if (run->owner != device->id)
		return RAWDEV_FINDING_OWNER;
	if (part->state != PART_USED && (run->refs || holds))
		return RAWDEV_FINDING_IDLE;
	if (run->refs < holds || run->pins < pins ||
	    (part->state == PART_USED && run->refs == 0))
		return RAWDEV_FINDING_USED;
	return RAWDEV_FINDING_NONE;
}

bool rawdev_verify(struct rawdev *device, struct rawdev_finding *ret_finding)
{
	struct rawdev_finding finding = { .pfn = CF_PFN_NONE };
	struct cf_snapshot run = { .owner = 0 };
	uint32_t i;

	for (i = 0; i < device->parts && !finding.kind && !device->removed;
	     i++) {
		finding.kind = check(device, i, &run);
		finding.pfn = rawdev_pfn(device, i);
		finding.owner = run.owner;
	}
	if (finding.kind)
		*ret_finding = finding;
	return !finding.kind;
}
