/* SPDX-License-Identifier: MIT */

/*
 * Parts, and who uses them.
 *
 * A use is a hold: a name on a part's list, made before the reference, so that
 * a report of a part in use finds a name.  Of a part nobody uses the first hold
 * hands it out, all others get one by number: the word says whether they are
 * in time.  Until then the hold is that call's alone: nobody else removes it,
 * whatever becomes of the part meanwhile.
 */

#include <coldframe/coldframe.h>

#include "common.h"
#include "rawdev.h"

#define NO_HOLD		(~0u)
#define HOLDS_MAX	((uint32_t)1 << 24)
#define REMOVE_PASSES	64

enum part_state {
	PART_NONE,	/* not made yet */
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
	bool again;		/* (L) a frame failed while it was HELD */
	bool given;		/* (L) BAD, and pieces of it are given up */
};

/* What users are told of. */
enum notice {
	NOTICE_FAILED,	/* a bad frame; one round at a time: CF_RANK_HOTPLUG */
	NOTICE_REVOKED,	/* the range goes; one round: until it is cancelled */
	NOTICE_COUNT
};

struct hold {
	const char *who;	/* (L) */
	uint32_t next;		/* (L) of the part's, or of the free ones */
	uint32_t told[NOTICE_COUNT];	/* (L) in which round */
	bool pinned;		/* (L) */
	bool out;		/* (L) it has its reference */
};

struct rawdev {
	struct cf_map *map;		/* (C) */
	struct rawdev_config config;	/* (C) */
	struct cf_lock lock;
	uint32_t id;			/* (C) */
	uint32_t parts;			/* (C) */
	uint32_t free_hold;		/* (L) */
	uint32_t round[NOTICE_COUNT];	/* (L) of telling users */
	bool closing;			/* (L) users are told to let go */
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

	if (!is_in(config->first, config->last, pfn))
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

/* One without a reference, that nobody but the caller removes. */
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

/* @link: what names it on its list. */
static void unlink_hold(struct rawdev *device, uint32_t *link)
{
	uint32_t index = *link;
	struct hold *hold = &device->hold[index];

	*link = hold->next;
	device->stat.pins -= hold->pinned;
	device->stat.mappings -= !hold->pinned;
	hold->next = device->free_hold;
	hold->who = NULL;
	device->free_hold = index;
}

/* One that has its reference, in this name. */
static bool remove_hold(struct rawdev *device, struct part *part,
			const char *who, bool pinned)
{
	uint32_t *link = &part->hold;
	const struct hold *hold;

	for (; *link != NO_HOLD; link = &device->hold[*link].next) {
		hold = &device->hold[*link];
		if (!hold->out || hold->pinned != pinned ||
		    !is_name(hold->who, who))
			continue;
		unlink_hold(device, link);
		return true;
	}
	return false;
}

/* ---- hooks ---- */

static void stranger(struct rawdev *device, cf_pfn pfn)
{
	note_stranger(&device->lock, &device->stat.strangers,
		      &device->stat.stranger, pfn);
}

/* All of a bad part that is marked: it is nobody's. */
static void retire_pieces(struct rawdev *device, struct part *part)
{
	cf_pfn pfn = rawdev_pfn(device, (uint32_t)(part - device->part));
	cf_pfn last = pfn + ((cf_pfn)1 << device->config.order);
	struct cf_snapshot run;

	while (pfn < last && !cf_snapshot(device->map, pfn, &run)) {
		/* In motion: it stays marked, and is not handed out. */
		if (run.flags & CF_FLAG_POISON)
			(void)!cf_pagemap_retire(device->map, device->id, pfn,
						 NULL);
		pfn += (cf_pfn)1 << run.order;
	}
}

/* Is a call at it?  Then that looks again for what has been marked. */
static bool is_held(struct rawdev *device, struct part *part)
{
	unsigned long state = lock(device);
	bool held = part->state == PART_HELD;

	part->again |= held;
	unlock(device, state);
	return held;
}

/* A part in our hands is bad; false: look again, another frame failed. */
static bool set_bad(struct rawdev *device, struct part *part)
{
	unsigned long state = lock(device);
	bool again = part->again;

	part->again = false;
	if (!again)
		part->state = PART_BAD;
	unlock(device, state);
	return !again;
}

/* Of a bad part, of which nothing is given up that we might take out. */
static bool hold_bad(struct rawdev *device, struct part *part)
{
	unsigned long state = lock(device);
	bool ours = part->state == PART_BAD && !part->given;

	if (ours)
		part->state = PART_HELD;
	unlock(device, state);
	return ours;
}

/*
 * Take the bad frames of an idle part out: it is used no more.  True: there
 * are none, only its neighbours had some; the part is the caller's.  Until all
 * are out the part is HELD, and none of its pieces is given up.
 */
static bool lose(struct rawdev *device, struct part *part, cf_pfn pfn)
{
	unsigned long state = lock(device);
	bool ours = part->state == PART_IDLE;
	uint64_t bad = 0;

	if (ours)
		part->state = PART_HELD;
	unlock(device, state);
	if (!ours)
		return false;
	if (!cf_pagemap_retire(device->map, device->id, pfn, &bad) && !bad)
		return true;
	while (!set_bad(device, part))
		retire_pieces(device, part);
	return false;
}

/* A frame of a bad part failed, too. */
static void fail_piece(struct rawdev *device, struct part *part)
{
	if (!hold_bad(device, part))
		return;
	do {
		retire_pieces(device, part);
	} while (!set_bad(device, part));
}

/*
 * Nobody has the part.  A mark that comes after this comes with the failure
 * hook.
 */
static void go_idle(struct rawdev *device, struct part *part, cf_pfn pfn)
{
	do {
		set_state(device, part, PART_IDLE);
	} while (is_marked(device->map, pfn) && lose(device, part, pfn));
}

/* Who put its reference by cf_put() instead has no name here any more. */
static void forget_users(struct rawdev *device, struct part *part)
{
	unsigned long state = lock(device);
	uint32_t *link = &part->hold;

	while (*link != NO_HOLD) {
		if (!device->hold[*link].out) {
			link = &device->hold[*link].next;
			continue;
		}
		unlink_hold(device, link);
		device->stat.forgotten++;
	}
	unlock(device, state);
}

/* It came in pieces; a call that has it in hand says so itself. */
static void spoil(struct rawdev *device, struct part *part)
{
	unsigned long state = lock(device);

	if (part->state != PART_HELD)
		part->state = PART_BAD;
	unlock(device, state);
}

/*
 * A name that is there with its part's last reference gone is of somebody who
 * put that himself, or of one who has not got his yet.
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
		spoil(device, part);
	return CF_VERDICT_KEEP;
}

/* Pieces of a bad part are asked for one by one, as they are by now. */
static int on_dissolve(void *context, cf_pfn pfn, unsigned order)
{
	struct rawdev *device = context;
	struct part *part = part_of(device, pfn);
	unsigned long state;
	int err = -CF_EAGAIN;

	if (!part) {
		stranger(device, pfn);
		return -CF_EBUSY;
	}
	state = lock(device);
	if (part->state == PART_IDLE && order == device->config.order) {
		part->state = PART_GONE;
		err = 0;
	}
	/* Under the lock: whoever would cut it has the part HELD. */
	if (part->state == PART_BAD && is_run_of(device->map, pfn, order)) {
		part->given = true;
		err = 0;
	}
	unlock(device, state);
	return err;
}

/* One who uses the part and was not told in this round; false: all were. */
static bool find_untold(struct rawdev *device, struct part *part,
			enum notice notice, struct hold *ret_hold)
{
	unsigned long state = lock(device);
	uint32_t round = device->round[notice];
	uint32_t index = part->hold;
	struct hold *hold = NULL;

	for (; index != NO_HOLD; index = device->hold[index].next) {
		hold = &device->hold[index];
		if (hold->out && hold->told[notice] != round)
			break;
	}
	if (index != NO_HOLD) {
		hold->told[notice] = round;
		*ret_hold = *hold;
	}
	unlock(device, state);
	return index != NO_HOLD;
}

static void begin_round(struct rawdev *device, enum notice notice)
{
	unsigned long state = lock(device);

	device->round[notice]++;
	device->closing |= notice == NOTICE_REVOKED;
	unlock(device, state);
}

static void count(struct rawdev *device, uint64_t *counter)
{
	unsigned long state = lock(device);

	(*counter)++;
	unlock(device, state);
}

/* Who comes from now on finds the mark. */
static void on_failure(void *context, cf_pfn pfn, unsigned order, cf_pfn bad)
{
	struct rawdev *device = context;
	struct part *part = part_of(device, pfn);
	struct hold hold;

	if (!part)
		return;
	if (is_held(device, part))
		;	/* what that call leaves it takes out */
	else if (order < device->config.order)
		fail_piece(device, part);
	else if (lose(device, part, pfn))
		go_idle(device, part, pfn);
	begin_round(device, NOTICE_FAILED);
	while (find_untold(device, part, NOTICE_FAILED, &hold)) {
		count(device, &device->stat.failures);
		if (device->config.failed)
			device->config.failed(device->config.context, hold.who,
					      bad);
	}
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

/* A run of what the range is made of becomes parts. */
static int cut_run(struct rawdev *device, cf_pfn pfn, cf_pfn *ret_next)
{
	unsigned order = device->config.order;
	struct cf_snapshot run;
	int err = cf_snapshot(device->map, pfn, &run);
	cf_pfn last;

	if (!err && run.type == CF_TYPE_DEVICE && run.order > order)
		err = cf_split(device->map, pfn, order);
	if (err)
		return err;
	last = pfn + ((cf_pfn)1 << run.order);
	*ret_next = last;
	for (; pfn < last; pfn += (cf_pfn)1 << order) {
		struct part *part = part_of(device, pfn);

		if (run.type == CF_TYPE_DEVICE && run.order >= order)
			go_idle(device, part, pfn);
		else
			set_state(device, part, PART_BAD);
	}
	return 0;
}

static int cut_parts(struct rawdev *device)
{
	cf_pfn pfn = device->config.first;
	int err = 0;

	while (pfn < device->config.last && !err)
		err = cut_run(device, pfn, &pfn);
	return err;
}

/* Nobody could have any of it, what is made and what is not. */
static void unmake(struct rawdev *device)
{
	uint32_t i;

	for (i = 0; i < device->parts; i++)
		if (device->part[i].state == PART_NONE)
			set_state(device, &device->part[i], PART_BAD);
	(void)!cf_pagemap_remove(device->map, device->config.first,
				 device->config.last, REMOVE_PASSES, NULL);
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
	if (!err) {
		err = cut_parts(device);
		if (err)
			unmake(device);
	}
	if (err) {
		(void)!cf_owner_unregister(map, device->id, NULL);
		return err;
	}
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
 * A name for the part, and USED before anybody can have it; *ret_first:
 * nobody had.
 */
static int begin_use(struct rawdev *device, struct part *part,
		     struct hold like, uint32_t *ret_hold, bool *ret_first)
{
	unsigned long state = lock(device);
	int err = 0;

	if (part->state == PART_BAD || part->state == PART_GONE)
		err = -CF_EREFUSED;
	else if (part->state == PART_HELD || part->state == PART_NONE)
		err = -CF_EAGAIN;
	else if (device->free_hold == NO_HOLD)
		err = -CF_ELIMIT;
	if (!err) {
		*ret_first = part->state == PART_IDLE;
		*ret_hold = device->free_hold;
		part->state = PART_USED;
		add_hold(device, part, *ret_hold, like.who, like.pinned);
	}
	unlock(device, state);
	return err;
}

/* It did not get a reference: the hold is the caller's still. */
static void drop_hold(struct rawdev *device, struct part *part, uint32_t index)
{
	unsigned long state = lock(device);
	uint32_t *link = &part->hold;

	while (*link != index)
		link = &device->hold[*link].next;
	unlink_hold(device, link);
	unlock(device, state);
}

/* It did.  False: users have been told to let go, and he was not. */
static bool settle_hold(struct rawdev *device, uint32_t index)
{
	unsigned long state = lock(device);
	bool in_time = !device->closing;

	device->hold[index].out = in_time;
	unlock(device, state);
	return in_time;
}

static void give_reference(struct rawdev *device, cf_pfn pfn, bool pinned)
{
	if (pinned)
		cf_unpin(device->map, pfn);
	else
		cf_put(device->map, pfn);
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
	int err = pinned ? cf_pin(device->map, pfn) :
		  cf_try_get(device->map, pfn);

	if (!err || err == -CF_ELIMIT)
		return err;
	return is_closed(device->map, pfn) ? -CF_EREFUSED : -CF_EAGAIN;
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
	give_reference(device, rawdev_pfn(device, index), pinned);
	return 0;
}

static int use(struct rawdev *device, uint32_t index, const char *who,
	       bool pinned)
{
	const struct hold like = { .who = who, .pinned = pinned };
	cf_pfn pfn = rawdev_pfn(device, index);
	struct part *part;
	bool first = false;
	uint32_t hold;
	int err;

	if (index >= device->parts || !who)
		return -CF_EINVAL;
	part = &device->part[index];
	err = begin_use(device, part, like, &hold, &first);
	if (err)
		return err;
	err = first ? first_use(device, part, pfn, pinned) :
	      next_use(device, pfn, pinned);
	if (!err && !settle_hold(device, hold)) {
		give_reference(device, pfn, pinned);
		err = -CF_EREFUSED;
	}
	if (err) {
		drop_hold(device, part, hold);
		return err;
	}
	/* A mark that comes after this comes with a call of config.failed. */
	if (!is_marked(device->map, pfn))
		return 0;
	(void)!end_use(device, index, who, pinned);
	return -CF_EREFUSED;
}

int rawdev_map(struct rawdev *device, uint32_t part, const char *who)
{
	return use(device, part, who, false);
}

int rawdev_pin(struct rawdev *device, uint32_t part, const char *who)
{
	return use(device, part, who, true);
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

static void revoke(struct rawdev *device, uint32_t part)
{
	const struct rawdev_config *config = &device->config;
	struct hold hold;

	while (find_untold(device, &device->part[part], NOTICE_REVOKED,
			   &hold)) {
		count(device, &device->stat.revoked);
		if (config->revoke)
			config->revoke(config->context, hold.who, part,
				       hold.pinned);
	}
}

int rawdev_remove_start(struct rawdev *device)
{
	uint32_t i;
	int err;

	err = cf_pagemap_remove_start(device->map, device->config.first,
				      device->config.last);
	if (err)
		return err;
	begin_round(device, NOTICE_REVOKED);
	for (i = 0; i < device->parts; i++)
		revoke(device, i);
	return 0;
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
	unsigned long state = lock(device);

	/* First: from then on it may be started again. */
	device->closing = false;
	unlock(device, state);
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
		case PART_NONE:
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
