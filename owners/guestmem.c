/* SPDX-License-Identifier: MIT */

/*
 * Pages, references with names, and what the engine asks the owner.
 *
 * Each page has a state under the lock.  A state at rest belongs to whoever
 * finds it; every other one says that one call, or the last put, has the page
 * in hand, and all others are told to come again.  So no call keeps the lock
 * while it asks the engine or the firmware.
 */

#include "common.h"
#include "guestmem_internal.h"

#define PAGES_MAX	((uint64_t)0xfffffffe)

/* ---- states and frames ---- */

bool guestmem_move_state(struct guestmem *memory, struct page *page,
			 enum page_state from, enum page_state to)
{
	unsigned long state = gm_lock(memory);
	bool moved = page->state == from;

	if (moved)
		page->state = (uint8_t)to;
	gm_unlock(memory, state);
	return moved;
}

void guestmem_set_state(struct guestmem *memory, struct page *page,
			enum page_state to)
{
	unsigned long state = gm_lock(memory);

	page->state = (uint8_t)to;
	gm_unlock(memory, state);
}

/* Caller holds the lock. */
static void set_entry(struct guestmem *memory, cf_pfn pfn, uint32_t value)
{
	uint32_t *entry = cf_side_find(&memory->side, pfn);

	if (entry)
		*entry = value;
}

void guestmem_set_frame(struct guestmem *memory, struct page *page, cf_pfn pfn)
{
	uint32_t number = (uint32_t)(page - memory->page) + 1;
	unsigned long state = gm_lock(memory);

	if (page->pfn != CF_PFN_NONE)
		set_entry(memory, page->pfn, 0);
	page->pfn = pfn;
	if (pfn != CF_PFN_NONE)
		set_entry(memory, pfn, number);
	gm_unlock(memory, state);
}

/* The page a frame heads, or NULL.  Caller holds the lock. */
static struct page *find(struct guestmem *memory, cf_pfn pfn)
{
	const uint32_t *entry = cf_side_find(&memory->side, pfn);
	struct page *page = entry && *entry ? &memory->page[*entry - 1] : NULL;

	return page && page->pfn == pfn ? page : NULL;
}

/* A frozen run for a page, that the side table has room for. */
static int new_frame(struct guestmem *memory, uint32_t flags, cf_pfn *ret_pfn)
{
	const struct guestmem_config *config = &memory->config;
	struct cf_request request = {
		.order = (uint8_t)config->order,
		.type = CF_TYPE_FOLIO,
		.owner = (uint16_t)memory->id,
		.zone = (uint8_t)config->zone,
		.node = (uint8_t)config->node,
		.flags = (uint16_t)(CF_ALLOC_FROZEN | flags),
	};
	void *entry;
	int err;

	err = cf_alloc(memory->map, request, ret_pfn);
	if (err)
		return err;
	err = cf_side_extend(&memory->side, *ret_pfn, &entry);
	if (err)
		cf_free_frozen(memory->map, *ret_pfn, config->order);
	return err;
}

/* ---- references with names ---- */

/* Caller holds the lock. */
bool guestmem_add_hold(struct guestmem *memory, struct page *page,
		       const char *who)
{
	uint32_t number = memory->free_hold;
	struct hold *hold;

	if (number == NO_HOLD)
		return false;
	hold = &memory->hold[number];
	memory->free_hold = hold->next;
	hold->who = who;
	hold->next = page->hold;
	page->hold = number;
	memory->holds++;
	return true;
}

/* Caller holds the lock. */
static bool drop_hold(struct guestmem *memory, struct page *page,
		      const char *who)
{
	uint32_t *at = &page->hold;
	uint32_t number;

	while (*at != NO_HOLD && !is_name(memory->hold[*at].who, who))
		at = &memory->hold[*at].next;
	number = *at;
	if (number == NO_HOLD)
		return false;
	*at = memory->hold[number].next;
	memory->hold[number].next = memory->free_hold;
	memory->free_hold = number;
	memory->holds--;
	return true;
}

/* What guestmem_get() says of a page in this state. */
static int refusal(enum page_state state)
{
	switch (state) {
	case PAGE_SHARED:
		return 0;
	case PAGE_ABSENT:
		return -CF_EGONE;
	case PAGE_PRIVATE:
		return -CF_EREFUSED;
	default:
		return -CF_EAGAIN;
	}
}

/*
 * The name is noted first: from then on the page does not move.  It may still
 * be converted, and so its frame be something else by the time the reference
 * is taken: that is looked at last.
 */
int guestmem_get(struct guestmem *memory, uint64_t number, const char *who,
		 cf_pfn *ret_pfn)
{
	struct page *page;
	unsigned long state;
	bool got, good;
	cf_pfn pfn;
	int err;

	if (number >= memory->config.pages || !who)
		return -CF_EINVAL;
	page = &memory->page[number];
	state = gm_lock(memory);
	err = refusal((enum page_state)page->state);
	if (!err && !guestmem_add_hold(memory, page, who))
		err = -CF_ELIMIT;
	pfn = page->pfn;
	gm_unlock(memory, state);
	if (err)
		return err;
	err = cf_try_get(memory->map, pfn);
	got = !err;
	state = gm_lock(memory);
	good = got && page->state == PAGE_SHARED && page->pfn == pfn;
	if (!good)
		(void)drop_hold(memory, page, who);
	gm_unlock(memory, state);
	if (good) {
		*ret_pfn = pfn;
		return 0;
	}
	if (got)
		cf_put(memory->map, pfn);
	return err == -CF_ELIMIT ? err : -CF_EAGAIN;
}

int guestmem_put(struct guestmem *memory, uint64_t number, const char *who)
{
	struct page *page;
	unsigned long state;
	bool dropped;
	cf_pfn pfn;

	if (number >= memory->config.pages || !who)
		return -CF_EINVAL;
	page = &memory->page[number];
	state = gm_lock(memory);
	pfn = page->pfn;
	dropped = drop_hold(memory, page, who);
	gm_unlock(memory, state);
	if (!dropped)
		return -CF_EINVAL;
	cf_put(memory->map, pfn);
	return 0;
}

/* ---- hooks ---- */

/*
 * The last reference of a page went.  In a conversion that is what it waits
 * for; if the conversion is being cancelled the page gets its own reference
 * back here.  Otherwise somebody has put what was not his, and the page gets
 * it back just so.
 */
static enum cf_verdict release(void *context, cf_pfn pfn, unsigned order)
{
	struct guestmem *memory = context;
	unsigned long state = gm_lock(memory);
	struct page *page = find(memory, pfn);
	bool unfreeze = false;

	if (!page || order != memory->config.order) {
		memory->strangers++;
		memory->culprit = pfn;
	} else if (page->state == PAGE_CONVERTING) {
		page->state = PAGE_FROZEN;
	} else {
		memory->stolen += page->state != PAGE_RECALLED;
		if (page->state != PAGE_RECALLED)
			memory->culprit = pfn;
		page->state = PAGE_HELD;
		unfreeze = true;
	}
	gm_unlock(memory, state);
	if (!page || order != memory->config.order)
		return CF_VERDICT_FREE;
	if (unfreeze) {
		cf_unfreeze(memory->map, pfn, 1);
		guestmem_set_state(memory, page, PAGE_SHARED);
	}
	return CF_VERDICT_KEEP;
}

/* May a shared page be moved?  Only if nobody relies on where it is. */
static int isolate(void *context, cf_pfn pfn, unsigned order)
{
	struct guestmem *memory = context;
	unsigned long state = gm_lock(memory);
	struct page *page = find(memory, pfn);
	int err = -CF_EREFUSED;

	(void)order;
	if (page && page->state != PAGE_SHARED) {
		err = -CF_EAGAIN;
	} else if (page && page->hold == NO_HOLD) {
		page->state = PAGE_MOVING;
		err = 0;
	}
	gm_unlock(memory, state);
	return err;
}

static struct page *find_in(struct guestmem *memory, cf_pfn pfn,
			    enum page_state wanted)
{
	unsigned long state = gm_lock(memory);
	struct page *page = find(memory, pfn);

	if (page && page->state != wanted)
		page = NULL;
	gm_unlock(memory, state);
	return page;
}

static void count(struct guestmem *memory, uint64_t *counter)
{
	unsigned long state = gm_lock(memory);

	(*counter)++;
	gm_unlock(memory, state);
}

/* A shared page; one reference is ours and one the engine's. */
static int migrate(void *context, cf_pfn source, cf_pfn target, unsigned order)
{
	struct guestmem *memory = context;
	struct page *page = find_in(memory, source, PAGE_MOVING);
	void *entry;
	int err;

	if (!page)
		return -CF_EAGAIN;
	err = cf_side_extend(&memory->side, target, &entry);
	if (err)
		return err;
	err = cf_freeze(memory->map, source, 2);
	if (err)
		return err;
	err = cf_copy_run(memory->map, source, target, order);
	if (err) {
		cf_unfreeze(memory->map, source, 2);
		return err;
	}
	guestmem_set_frame(memory, page, target);
	cf_unfreeze(memory->map, target, 1);
	guestmem_set_state(memory, page, PAGE_SHARED);
	count(memory, &memory->moved);
	return 0;
}

static void putback(void *context, cf_pfn pfn, unsigned order)
{
	struct guestmem *memory = context;
	unsigned long state = gm_lock(memory);
	struct page *page = find(memory, pfn);

	(void)order;
	if (page && page->state == PAGE_MOVING)
		page->state = PAGE_SHARED;
	gm_unlock(memory, state);
}

/* A private page that is in our hands, by the firmware alone. */
static int move_private(struct guestmem *memory, struct page *page)
{
	const struct guestmem_config *config = &memory->config;
	cf_pfn target;

	if (new_frame(memory, CF_ALLOC_NOWAIT, &target))
		return -CF_ENOMEM;
	if (config->firmware->move(config->context, page->pfn, target,
				   config->order)) {
		cf_free_frozen(memory->map, target, config->order);
		return -CF_EREFUSED;
	}
	guestmem_set_frame(memory, page, target);
	count(memory, &memory->moved_private);
	return 0;
}

/*
 * Memory is to go that holds a page without references.  A private one can be
 * had if the firmware puts it elsewhere; one in a conversion soon is either.
 */
static int dissolve(void *context, cf_pfn pfn, unsigned order)
{
	struct guestmem *memory = context;
	unsigned long state = gm_lock(memory);
	struct page *page = find(memory, pfn);
	int err = -CF_EREFUSED;
	bool move = false;

	(void)order;
	if (page && page->state != PAGE_PRIVATE) {
		err = -CF_EAGAIN;
	} else if (page && memory->config.firmware->move) {
		page->state = PAGE_HELD;
		move = true;
	}
	gm_unlock(memory, state);
	if (move) {
		err = move_private(memory, page);
		guestmem_set_state(memory, page, PAGE_PRIVATE);
	}
	return err;
}

/* As everybody else may know it. */
static enum guestmem_state public_state(enum page_state state)
{
	switch (state) {
	case PAGE_ABSENT:
		return GUESTMEM_ABSENT;
	case PAGE_SHARED:
	case PAGE_MOVING:
		return GUESTMEM_SHARED;
	case PAGE_PRIVATE:
		return GUESTMEM_PRIVATE;
	default:
		return GUESTMEM_CONVERTING;
	}
}

static const char *describe(void *context, cf_pfn pfn)
{
	static const char *const words[GUESTMEM_STATES] = {
		[GUESTMEM_SHARED] = "memory a guest shares",
		[GUESTMEM_CONVERTING] = "to be private memory of a guest",
		[GUESTMEM_PRIVATE] = "private memory of a guest",
	};
	struct guestmem *memory = context;
	const char *text = "given to the guest by mistake";
	const struct page *page;
	unsigned long state;

	/* A report may be made anywhere: it does not wait. */
	if (!cf_trylock(&memory->lock, &state))
		return NULL;
	page = find(memory, pfn);
	if (page && page->hold != NO_HOLD)
		text = memory->hold[page->hold].who;
	else if (page)
		text = words[public_state((enum page_state)page->state)];
	gm_unlock(memory, state);
	return text;
}

static const struct cf_owner_ops ops = {
	.release = release,
	.isolate = isolate,
	.migrate = migrate,
	.putback = putback,
	.dissolve = dissolve,
	.describe = describe,
	.private_frozen = true,
};

void guestmem_report(struct guestmem *memory, const struct page *page,
		     enum cf_reason reason, struct cf_report *report)
{
	struct cf_snapshot run = { .owner = memory->id };
	struct cf_owner_info info;

	if (!report)
		return;
	(void)!cf_snapshot(memory->map, page->pfn, &run);
	*report = (struct cf_report){
		.reason = reason,
		.type = run.type,
		.pfn = page->pfn,
		.order = run.order,
		.flags = run.flags,
		.owner = run.owner,
		.refs = run.refs,
		.pins = run.pins,
		.detail = describe(memory, page->pfn),
	};
	if (!cf_owner_info(memory->map, memory->id, &info))
		report->who = info.name;
	report->frames[reason] = gm_frames(memory);
}

/* ---- making and ending ---- */

static size_t round_up(size_t bytes)
{
	return (bytes + 15) & ~(size_t)15;
}

size_t guestmem_bytes(const struct cf_map *map,
		      const struct guestmem_config *config)
{
	const struct guestmem_firmware *firmware = config->firmware;

	if (!config->pages || config->pages > PAGES_MAX ||
	    config->order > CF_CHUNK_ORDER || config->zone > CF_ZONE_MOVABLE ||
	    !firmware || !firmware->make_private || !firmware->make_shared)
		return 0;
	if (config->node != CF_NODE_ANY &&
	    config->node >= cf_map_config_of(map)->nodes)
		return 0;
	return round_up(sizeof(struct guestmem)) +
	       round_up(config->pages * sizeof(struct page)) +
	       config->holds * sizeof(struct hold);
}

static void lay_out(struct guestmem *memory)
{
	unsigned char *at = (unsigned char *)memory +
			    round_up(sizeof(struct guestmem));
	uint64_t i;

	memory->page = (struct page *)(void *)at;
	at += round_up(memory->config.pages * sizeof(struct page));
	memory->hold = (struct hold *)(void *)at;
	for (i = 0; i < memory->config.pages; i++) {
		memory->page[i].pfn = CF_PFN_NONE;
		memory->page[i].hold = NO_HOLD;
	}
	memory->free_hold = NO_HOLD;
	for (i = memory->config.holds; i > 0; i--) {
		memory->hold[i - 1].next = memory->free_hold;
		memory->free_hold = (uint32_t)i - 1;
	}
}

int guestmem_create(struct cf_map *map, const struct guestmem_config *config,
		    void *storage, struct guestmem **ret_memory)
{
	struct guestmem *memory = storage;
	size_t bytes = guestmem_bytes(map, config);
	int err;

	if (!bytes)
		return -CF_EINVAL;
	__builtin_memset(storage, 0, bytes);
	memory->map = map;
	memory->lock.rank = CF_RANK_LEAF;
	memory->config = *config;
	memory->culprit = CF_PFN_NONE;
	lay_out(memory);
	err = cf_side_add(map, &memory->side, sizeof(uint32_t));
	if (err)
		return err;
	err = cf_owner_register(map, config->name ? config->name : "guestmem",
				&ops, memory, &memory->id);
	if (err) {
		cf_side_remove(map, &memory->side);
		return err;
	}
	*ret_memory = memory;
	return 0;
}

uint32_t guestmem_owner(const struct guestmem *memory)
{
	return memory->id;
}

/* Shared, and somebody has a reference; or neither shared nor at rest. */
static bool is_busy(struct guestmem *memory, const struct page *page)
{
	struct cf_snapshot run;

	if (page->of)
		return true;
	if (page->state == PAGE_ABSENT || page->state == PAGE_PRIVATE)
		return false;
	return page->state != PAGE_SHARED || page->hold != NO_HOLD ||
	       cf_snapshot(memory->map, page->pfn, &run) || run.refs != 1;
}

int guestmem_destroy(struct guestmem *memory, struct cf_report *report)
{
	uint64_t i;
	int err;

	for (i = 0; i < memory->config.pages; i++) {
		if (!is_busy(memory, &memory->page[i]))
			continue;
		guestmem_report(memory, &memory->page[i], CF_REASON_REFERENCED,
				report);
		return -CF_EBUSY;
	}
	err = guestmem_discard(memory, 0, memory->config.pages);
	if (err)
		return err;
	(void)!cf_owner_unregister(memory->map, memory->id, NULL);
	cf_side_remove(memory->map, &memory->side);
	return 0;
}

static int populate_page(struct guestmem *memory, struct page *page)
{
	cf_pfn pfn;
	int err;

	if (!guestmem_move_state(memory, page, PAGE_ABSENT, PAGE_HELD))
		return 0;
	err = new_frame(memory, CF_ALLOC_ZERO, &pfn);
	if (!err) {
		guestmem_set_frame(memory, page, pfn);
		cf_unfreeze(memory->map, pfn, 1);
	}
	guestmem_set_state(memory, page, err ? PAGE_ABSENT : PAGE_SHARED);
	return err == -CF_EGONE ? -CF_ENOMEM : err;
}

int guestmem_populate(struct guestmem *memory, uint64_t first, uint64_t last)
{
	int err = 0;

	if (!gm_fits(memory, first, last))
		return -CF_EINVAL;
	for (; first < last && !err; first++)
		err = populate_page(memory, &memory->page[first]);
	return err;
}

/* ---- giving up ---- */

/* Take a page in hand to give it up; 0, or why not. */
static int seize(struct guestmem *memory, struct page *page,
		 enum page_state *ret_was)
{
	unsigned long state = gm_lock(memory);
	int err = 0;

	*ret_was = (enum page_state)page->state;
	switch (*ret_was) {
	case PAGE_ABSENT:
		break;
	case PAGE_SHARED:
		err = page->hold != NO_HOLD ? -CF_EBUSY : 0;
		break;
	case PAGE_PRIVATE:
		break;
	case PAGE_MOVING:
	case PAGE_HELD:
		err = -CF_EAGAIN;
		break;
	default:
		err = -CF_EBUSY;
	}
	if (page->of)
		err = -CF_EBUSY;
	if (!err && *ret_was != PAGE_ABSENT)
		page->state = PAGE_HELD;
	gm_unlock(memory, state);
	return err;
}

/* The allocator takes a private page's frame, which is shared memory again. */
static int discard_private(struct guestmem *memory, struct page *page)
{
	const struct guestmem_config *config = &memory->config;
	cf_pfn pfn = page->pfn;

	if (config->firmware->make_shared(config->context, pfn, config->order))
		return -CF_EPORT;
	guestmem_set_frame(memory, page, CF_PFN_NONE);
	cf_free_frozen(memory->map, pfn, config->order);
	return 0;
}

/* It is nobody's from here on: the last put frees it. */
static int discard_shared(struct guestmem *memory, struct page *page)
{
	cf_pfn pfn = page->pfn;

	if (cf_owner_change(memory->map, pfn, CF_OWNER_NONE))
		return -CF_EAGAIN;
	guestmem_set_frame(memory, page, CF_PFN_NONE);
	cf_put(memory->map, pfn);
	return 0;
}

static int discard_page(struct guestmem *memory, struct page *page)
{
	enum page_state was;
	int err = seize(memory, page, &was);

	if (err || was == PAGE_ABSENT)
		return err;
	err = was == PAGE_PRIVATE ? discard_private(memory, page) :
				    discard_shared(memory, page);
	guestmem_set_state(memory, page, err ? was : PAGE_ABSENT);
	return err;
}

int guestmem_discard(struct guestmem *memory, uint64_t first, uint64_t last)
{
	int err = 0;

	if (!gm_fits(memory, first, last))
		return -CF_EINVAL;
	for (; first < last && !err; first++)
		err = discard_page(memory, &memory->page[first]);
	return err;
}

/* ---- looking ---- */

const char *guestmem_state_name(enum guestmem_state state)
{
	static const char *const names[GUESTMEM_STATES] = {
		[GUESTMEM_ABSENT] = "absent",
		[GUESTMEM_SHARED] = "shared",
		[GUESTMEM_CONVERTING] = "converting",
		[GUESTMEM_PRIVATE] = "private",
	};

	return (unsigned)state < GUESTMEM_STATES ? names[state] : NULL;
}

enum guestmem_state guestmem_look(struct guestmem *memory, uint64_t number,
				  cf_pfn *ret_pfn)
{
	enum page_state found = PAGE_ABSENT;
	cf_pfn pfn = CF_PFN_NONE;
	unsigned long state;

	if (number < memory->config.pages) {
		state = gm_lock(memory);
		found = (enum page_state)memory->page[number].state;
		pfn = memory->page[number].pfn;
		gm_unlock(memory, state);
	}
	if (ret_pfn)
		*ret_pfn = pfn;
	return public_state(found);
}

void guestmem_stat(struct guestmem *memory, struct guestmem_stat *ret_stat)
{
	struct guestmem_stat stat = { .holds = 0 };
	unsigned long state;
	uint64_t i;

	for (i = 0; i < memory->config.pages; i++)
		stat.pages[guestmem_look(memory, i, NULL)]++;
	state = gm_lock(memory);
	stat.conversions = memory->conversions;
	stat.moved = memory->moved;
	stat.moved_private = memory->moved_private;
	stat.holds = memory->holds;
	stat.strangers = memory->strangers;
	stat.stolen = memory->stolen;
	stat.culprit = memory->culprit;
	gm_unlock(memory, state);
	*ret_stat = stat;
}

/* Is the run of a page what its state says? */
static bool page_holds(struct guestmem *memory, const struct page *page)
{
	struct cf_snapshot run;

	if (page->state == PAGE_ABSENT)
		return page->pfn == CF_PFN_NONE;
	if (cf_snapshot(memory->map, page->pfn, &run) ||
	    run.owner != memory->id || run.order != memory->config.order ||
	    run.type != CF_TYPE_FOLIO || find(memory, page->pfn) != page)
		return false;
	if (page->state == PAGE_FROZEN || page->state == PAGE_PRIVATE)
		return run.refs == 0;
	return page->state != PAGE_SHARED || run.refs > 0;
}

bool guestmem_verify(struct guestmem *memory, cf_pfn *ret_pfn)
{
	cf_pfn last = cf_map_config_of(memory->map)->last, cursor = 0;
	struct cf_span span;
	bool good = true;
	uint64_t i;

	for (i = 0; i < memory->config.pages; i++) {
		*ret_pfn = memory->page[i].pfn;
		if (!page_holds(memory, &memory->page[i]))
			return false;
	}
	cf_walk_begin(memory->map);
	while (good && cf_walk_next(memory->map, &cursor, last, &span)) {
		*ret_pfn = span.first;
		good = span.kind != CF_SPAN_RUN || span.owner != memory->id ||
		       find(memory, span.first);
	}
	cf_walk_end(memory->map);
	return good;
}
