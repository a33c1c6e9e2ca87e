/* SPDX-License-Identifier: MIT */
/*
 * Blocks that go offline, come online, are removed and added again, while
 * threads allocate, free, walk and take references; contents of runs that
 * are moved are watched. Threads at full speed.
 */
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "race.h"

#define SLOTS		1400
#define NO_SLOT		0

/* A movable run.  What the owner knows of it changes under its lock. */
struct slot {
	pthread_mutex_t lock;
	cf_pfn pfn;		/* CF_PFN_NONE: none */
	unsigned order;
	uint64_t mark;
};

static struct race race;
static struct slot slots[SLOTS];
static uint32_t slots_used;		/* how full memory gets */
static _Atomic uint32_t *slot_of;	/* one a frame: slot + 1, NO_SLOT */
static uint32_t mover;
static _Atomic uint64_t next_mark, moved, offlined, refused;
static void *caller_meta;		/* of the blocks the caller hosts */
static size_t caller_meta_bytes;
static bool caller_hosts;		/* the first two blocks */

static uint64_t new_mark(void)
{
	return atomic_fetch_add_explicit(&next_mark, 1 << 12,
					 memory_order_relaxed);
}

/* ---- the owner of movable runs ---- */

/* The slot is ours and the source is still its run: move it. */
static int move(struct slot *slot, uint32_t index, cf_pfn source,
		cf_pfn target)
{
	unsigned order = slot->order;
	int err = cf_freeze(race.map, source, 2);

	if (err)
		return err;
	RACE_CHECK(&race, race_read(&race, source, order, slot->mark));
	race_take(&race, target, order, HOLDER_RUN);
	RACE_CHECK(&race, !cf_copy_run(race.map, source, target, order));
	race_give(&race, source, order, HOLDER_RUN);
	atomic_store(&slot_of[source], NO_SLOT);
	atomic_store(&slot_of[target], index);
	slot->pfn = target;
	cf_unfreeze(race.map, target, 1);
	atomic_fetch_add_explicit(&moved, 1, memory_order_relaxed);
	return 0;
}

static int migrate(void *context, cf_pfn source, cf_pfn target, unsigned order)
{
	uint32_t index = atomic_load(&slot_of[source]);
	struct slot *slot;
	int err = -CF_EBUSY;

	(void)context;
	if (index == NO_SLOT)
		return -CF_EBUSY;
	slot = &slots[index - 1];
	pthread_mutex_lock(&slot->lock);
	if (slot->pfn == source && slot->order == order)
		err = move(slot, index, source, target);
	pthread_mutex_unlock(&slot->lock);
	return err;
}

static int isolate(void *context, cf_pfn pfn, unsigned order)
{
	(void)context;
	(void)order;
	/* Sometimes no, so that giving up is part of it. */
	return pfn % 97 == 0;
}

static const struct cf_owner_ops mover_ops = {
	.isolate = isolate, .migrate = migrate,
};

static void fill_slot(struct racer *racer, struct slot *slot)
{
	struct cf_request request = {
		.order = (uint8_t)race_random(racer, 5), .type = CF_TYPE_FOLIO,
		.owner = (uint16_t)mover, .zone = CF_ZONE_MOVABLE,
		.flags = CF_ALLOC_FROZEN,
	};

	if (cf_alloc(race.map, request, &slot->pfn)) {
		slot->pfn = CF_PFN_NONE;
		return;
	}
	slot->order = request.order;
	slot->mark = new_mark();
	race_take(&race, slot->pfn, slot->order, HOLDER_RUN);
	race_write(&race, slot->pfn, slot->order, slot->mark);
	atomic_store(&slot_of[slot->pfn], (uint32_t)(slot - slots) + 1);
	cf_unfreeze(race.map, slot->pfn, 1);
}

static void empty_slot(struct slot *slot)
{
	cf_pfn pfn = slot->pfn;

	RACE_CHECK(&race, race_read(&race, pfn, slot->order, slot->mark));
	atomic_store(&slot_of[pfn], NO_SLOT);
	race_give(&race, pfn, slot->order, HOLDER_RUN);
	slot->pfn = CF_PFN_NONE;
	cf_put(race.map, pfn);
}

static void churn(struct racer *racer)
{
	while (race_on(racer)) {
		struct slot *slot = &slots[race_random(racer, slots_used)];

		if (pthread_mutex_trylock(&slot->lock))
			continue;
		if (slot->pfn == CF_PFN_NONE)
			fill_slot(racer, slot);
		else
			empty_slot(slot);
		pthread_mutex_unlock(&slot->lock);
	}
}

/* ---- those who look ---- */

static void speculate(struct racer *racer)
{
	while (race_on(racer)) {
		cf_pfn pfn = race_random(racer, (uint32_t)race.last);
		struct cf_snapshot snapshot = { 0 };
		uint64_t mark;
		int err = cf_try_get_interior(race.map, pfn, &pfn);

		if (err) {
			RACE_CHECK(&race, err == -CF_EGONE);
			continue;
		}
		mark = race_mark(&race, pfn);
		RACE_CHECK(&race, !cf_snapshot(race.map, pfn, &snapshot));
		RACE_CHECK(&race, snapshot.owner == mover && snapshot.refs);
		RACE_CHECK(&race, race_read(&race, pfn, snapshot.order, mark));
		(void)sched_yield();
		RACE_CHECK(&race, race_read(&race, pfn, snapshot.order, mark));
		cf_put(race.map, pfn);
	}
}

static void check_span(const struct cf_span *span, cf_pfn from)
{
	RACE_CHECK(&race, span->first <= from && span->last > from);
	RACE_CHECK(&race, span->kind < CF_SPAN_COUNT);
	if (span->kind != CF_SPAN_RUN)
		return;
	RACE_CHECK(&race, span->type > CF_TYPE_NONE &&
			  span->type < CF_TYPE_COUNT);
	RACE_CHECK(&race, span->last - span->first ==
			  (cf_pfn)1 << span->order);
	RACE_CHECK(&race, span->pins <= span->refs);
}

static void walk(struct racer *racer)
{
	uint64_t words[64];

	while (race_on(racer)) {
		cf_pfn cursor = race_random(racer, (uint32_t)race.last);
		cf_pfn from = cursor;
		unsigned spans = 0;
		struct cf_span span;

		cf_export_flags(race.map, cursor & ~(cf_pfn)63,
				(cursor & ~(cf_pfn)63) + 64, words);
		cf_walk_begin(race.map);
		while (spans++ < 200 &&
		       cf_walk_next(race.map, &cursor, race.last, &span)) {
			check_span(&span, from);
			from = cursor;
			(void)cf_find_head(race.map, span.first);
		}
		cf_walk_end(race.map);
	}
}

/* ---- those who take blocks away ---- */

/* One big operation runs at a time: let others have their turn. */
static void pause_a_moment(void)
{
	const struct timespec nap = { .tv_nsec = 50000 };

	nanosleep(&nap, NULL);
}

static bool may_refuse(int err)
{
	return err == -CF_EBUSY || err == -CF_EAGAIN || err == -CF_EGONE;
}

/* The block is offline: its frames are nobody's, and stay as we leave them. */
static void have_block(cf_pfn first)
{
	cf_pfn pfn;

	for (pfn = first; pfn < first + race.block; pfn++) {
		race_take(&race, pfn, 0, HOLDER_HOST);
		race_write(&race, pfn, 0, ~(uint64_t)0);
	}
	(void)sched_yield();
	for (pfn = first; pfn < first + race.block; pfn++) {
		RACE_CHECK(&race, race_read(&race, pfn, 0, ~(uint64_t)0));
		race_give(&race, pfn, 0, HOLDER_HOST);
	}
}

static bool take_block(cf_pfn first)
{
	int err = cf_block_offline(race.map, first, first + race.block, 20,
				   NULL);

	if (err) {
		RACE_CHECK(&race, may_refuse(err));
		atomic_fetch_add(&refused, 1);
		(void)sched_yield();
		return false;
	}
	atomic_fetch_add(&offlined, 1);
	have_block(first);
	return true;
}

static void bring_block(cf_pfn first)
{
	RACE_CHECK(&race, !cf_block_online(race.map, first, first + race.block,
					   CF_ZONE_MOVABLE, NULL));
}

static void offline_blocks(struct racer *racer)
{
	uint32_t blocks = (uint32_t)(race.last / race.block);

	while (race_on(racer)) {
		cf_pfn first = race_random(racer, blocks) * race.block;

		if (take_block(first))
			bring_block(first);
		pause_a_moment();
	}
}

/*
 * The first two blocks, where most is allocated, lie in metadata that is
 * overwritten as soon as it is the caller's again.
 */
static void add_two(bool caller)
{
	struct cf_block_config config = { .meta = CF_META_PORT };

	caller_hosts = caller;
	if (caller) {
		config.meta = CF_META_CALLER;
		config.memory = caller_meta;
		RACE_CHECK(&race, !cf_block_add(race.map, 0, 2 * race.block,
						&config));
	} else {
		RACE_CHECK(&race, !cf_block_add(race.map, 0, race.block,
						&config));
		RACE_CHECK(&race, !cf_block_add(race.map, race.block,
						2 * race.block, &config));
	}
	bring_block(0);
	bring_block(race.block);
}

static bool remove_two(void)
{
	if (cf_block_offline(race.map, 0, 2 * race.block, 20, NULL))
		return false;
	atomic_fetch_add(&offlined, 1);
	RACE_CHECK(&race, !cf_block_remove(race.map, 0, 2 * race.block));
	if (caller_hosts)
		memset(caller_meta, 0xff, caller_meta_bytes);
	return true;
}

static void remove_blocks(struct racer *racer)
{
	while (race_on(racer)) {
		if (remove_two())
			add_two(race_random(racer, 2));
		pause_a_moment();
	}
}

/*
 * Two that want overlapping blocks: who has started has them alone, until he
 * cancels or is done.
 */
static _Atomic uint32_t operation_of[64];

static bool tally(cf_pfn first, cf_pfn last, uint32_t from, uint32_t to)
{
	cf_pfn pfn;

	for (pfn = first; pfn < last; pfn += race.block) {
		if (!RACE_CHECK(&race, atomic_exchange(
				&operation_of[pfn / race.block], to) == from))
			return false;
	}
	return true;
}

static void overlap(struct racer *racer)
{
	uint32_t blocks = (uint32_t)(race.last / race.block);
	uint32_t me = racer->number + 1;
	struct cf_offline operation;

	memset(&operation, 0, sizeof(operation));
	while (race_on(racer)) {
		cf_pfn first = race_random(racer, blocks - 1) * race.block;
		cf_pfn last = first + 2 * race.block, pfn;
		unsigned passes;
		int err = cf_block_offline_start(race.map, &operation, first,
						 last, NULL);

		if (err) {
			RACE_CHECK(&race, may_refuse(err));
			continue;
		}
		tally(first, last, 0, me);
		err = -CF_EAGAIN;
		for (passes = 0; err && passes < 10; passes++)
			err = cf_block_offline_step(&operation);
		tally(first, last, me, 0);
		if (err) {
			RACE_CHECK(&race, may_refuse(err));
			RACE_CHECK(&race,
				   !cf_block_offline_cancel(&operation));
			continue;
		}
		atomic_fetch_add(&offlined, 1);
		for (pfn = first; pfn < last; pfn += race.block)
			bring_block(pfn);
		pause_a_moment();
	}
}

/* ---- tests ---- */

static void begin(uint32_t used)
{
	size_t i;

	race_begin(&race, (struct race_size){ .order = 10, .blocks = 6,
					      .movable = 6 });
	slot_of = calloc(race.last, sizeof(*slot_of));
	caller_meta_bytes = cf_block_meta_bytes(race.map, 2);
	caller_meta = aligned_alloc(4096, (caller_meta_bytes + 4095) &
				    ~(size_t)4095);
	for (i = 0; i < SLOTS; i++) {
		pthread_mutex_init(&slots[i].lock, NULL);
		slots[i].pfn = CF_PFN_NONE;
	}
	slots_used = used;
	atomic_store(&next_mark, 1 << 12);
	atomic_store(&moved, 0);
	atomic_store(&offlined, 0);
	atomic_store(&refused, 0);
	CHECK_EQ(cf_owner_register(race.map, "mover", &mover_ops, NULL,
				   &mover), 0);
}

static void end(void)
{
	size_t i;

	for (i = 0; i < SLOTS; i++) {
		if (slots[i].pfn != CF_PFN_NONE)
			empty_slot(&slots[i]);
	}
	/* Leave blocks behind that can be removed one by one. */
	if (caller_hosts && CHECK(remove_two()))
		add_two(false);
	printf("# %llu runs moved, %llu times offline, %llu refused\n",
	       (unsigned long long)atomic_load(&moved),
	       (unsigned long long)atomic_load(&offlined),
	       (unsigned long long)atomic_load(&refused));
	race_end(&race);
	free(caller_meta);
	free(slot_of);
}

static void offline_under_load(void)
{
	begin(600);
	race_add(&race, 3, churn);
	race_add(&race, 1, offline_blocks);
	race_go(&race);
	end();
}

static void migration_and_references(void)
{
	begin(600);
	race_add(&race, 2, churn);
	race_add(&race, 1, speculate);
	race_add(&race, 1, offline_blocks);
	race_go(&race);
	end();
}

static void removal_and_walkers(void)
{
	begin(1300);
	race_add(&race, 1, churn);
	race_add(&race, 1, walk);
	race_add(&race, 1, speculate);
	race_add(&race, 1, remove_blocks);
	race_go(&race);
	end();
}

static void overlapping(void)
{
	begin(500);
	race_add(&race, 2, churn);
	race_add(&race, 2, overlap);
	race_go(&race);
	end();
}

static void everything(void)
{
	begin(600);
	race_add(&race, 2, churn);
	race_add(&race, 1, speculate);
	race_add(&race, 1, walk);
	race_add(&race, 1, offline_blocks);
	race_add(&race, 2, overlap);
	race_go(&race);
	end();
}

int main(int argc, char **argv)
{
	race_options(argc, argv);
	race_test("offline of a block under load", offline_under_load);
	race_test("migration against try_get", migration_and_references);
	race_test("walkers against removal and adding", removal_and_walkers);
	race_test("two overlapping offline operations", overlapping);
	race_test("all of these at once", everything);
	return tap_done();
}
