/* SPDX-License-Identifier: MIT */
/*
 * References by those who know no more than a number, against last puts,
 * other types and orders, splits, freezing, and frames that go offline;
 * lookups of heads that move.
 * Threads at full speed, contents read and written plainly.
 */
#include <sched.h>

#include "race.h"

#define KEPT_MAX	64

/* Runs that the release hook kept. */
struct kept {
	pthread_mutex_t lock;
	unsigned count;
	cf_pfn pfn[KEPT_MAX];
	unsigned order[KEPT_MAX];
};

static struct race race;
static uint32_t watch;		/* owner whose hook sees each last put */
static uint32_t host;		/* owner of offline runs */
static struct kept kept = { .lock = PTHREAD_MUTEX_INITIALIZER };
static _Atomic uint64_t next_mark;
static _Atomic uint64_t taken, last_puts;

/* Marks of two runs never meet: a run is shorter than the step. */
static uint64_t new_mark(void)
{
	return atomic_fetch_add_explicit(&next_mark, 1 << 12,
					 memory_order_relaxed);
}

/*
 * The last reference went: nobody else may hold the run, and its contents
 * are whole. Every fourth run is kept.
 */
static enum cf_verdict release(void *context, cf_pfn pfn, unsigned order)
{
	uint64_t mark = race_mark(&race, pfn);
	enum cf_verdict verdict = CF_VERDICT_FREE;

	(void)context;
	RACE_CHECK(&race, race_read(&race, pfn, order, mark));
	RACE_CHECK(&race, cf_try_get(race.map, pfn) == -CF_EGONE);
	atomic_fetch_add_explicit(&last_puts, 1, memory_order_relaxed);
	race_write(&race, pfn, order, ~mark);
	if (mark >> 12 & 3)
		goto give;
	pthread_mutex_lock(&kept.lock);
	if (kept.count < KEPT_MAX) {
		kept.pfn[kept.count] = pfn;
		kept.order[kept.count++] = order;
		verdict = CF_VERDICT_KEEP;
	}
	pthread_mutex_unlock(&kept.lock);
give:
	if (verdict == CF_VERDICT_FREE)
		race_give(&race, pfn, order, HOLDER_RUN);
	return verdict;
}

/* Free a run the hook kept, or hand it out again. */
static void reuse_kept(void)
{
	cf_pfn pfn = CF_PFN_NONE;
	unsigned order = 0;

	pthread_mutex_lock(&kept.lock);
	if (kept.count) {
		pfn = kept.pfn[--kept.count];
		order = kept.order[kept.count];
	}
	pthread_mutex_unlock(&kept.lock);
	if (pfn == CF_PFN_NONE)
		return;
	if (pfn & ((cf_pfn)2 << order)) {
		race_write(&race, pfn, order, new_mark());
		cf_unfreeze(race.map, pfn, 1);
		cf_put(race.map, pfn);
		return;
	}
	race_give(&race, pfn, order, HOLDER_RUN);
	cf_free_frozen(race.map, pfn, order);
}

/* The only holder of a frozen run cuts it into frames. */
static void split_and_drop(cf_pfn pfn, unsigned order)
{
	cf_pfn last = pfn + ((cf_pfn)1 << order);

	if (!RACE_CHECK(&race, !cf_split(race.map, pfn, 0)))
		return;
	for (; pfn < last; pfn++) {
		race_write(&race, pfn, 0, new_mark());
		cf_unfreeze(race.map, pfn, 1);
		cf_put(race.map, pfn);
	}
}

static void hold_once(struct racer *racer)
{
	struct cf_request request = {
		.order = (uint8_t)race_random(racer, 4),
		.type = race_random(racer, 2) ? CF_TYPE_FOLIO : CF_TYPE_KERNEL,
		.owner = (uint16_t)watch, .flags = CF_ALLOC_FROZEN,
	};
	cf_pfn pfn;

	if (cf_alloc(race.map, request, &pfn))
		return;
	race_take(&race, pfn, request.order, HOLDER_RUN);
	race_write(&race, pfn, request.order, new_mark());
	cf_unfreeze(race.map, pfn, 1);
	if (race_random(racer, 2))
		(void)sched_yield();
	if (race_random(racer, 4) || cf_freeze(race.map, pfn, 1)) {
		cf_put(race.map, pfn);
		return;
	}
	/* Frozen: nobody else has a reference now, contents may change. */
	race_write(&race, pfn, request.order, new_mark());
	if (request.order && race_random(racer, 2)) {
		split_and_drop(pfn, request.order);
		return;
	}
	cf_unfreeze(race.map, pfn, 1);
	cf_put(race.map, pfn);
}

static void hold(struct racer *racer)
{
	while (race_on(racer)) {
		hold_once(racer);
		reuse_kept();
	}
}

/* What must be so of the run of a frame as long as a reference is held. */
static void look(cf_pfn pfn, cf_pfn frame)
{
	struct cf_snapshot snapshot = { 0 };
	uint64_t mark = race_mark(&race, pfn);

	RACE_CHECK(&race, !cf_snapshot(race.map, pfn, &snapshot));
	RACE_CHECK(&race, snapshot.type == CF_TYPE_FOLIO ||
			  snapshot.type == CF_TYPE_KERNEL);
	RACE_CHECK(&race, snapshot.refs && snapshot.owner == watch);
	if (!RACE_CHECK(&race, snapshot.order < 4))
		return;
	RACE_CHECK(&race, frame - pfn < (cf_pfn)1 << snapshot.order);
	RACE_CHECK(&race, race_read(&race, pfn, snapshot.order, mark));
	(void)sched_yield();
	RACE_CHECK(&race, race_read(&race, pfn, snapshot.order, mark));
}

static void speculate(struct racer *racer)
{
	while (race_on(racer)) {
		cf_pfn frame = race_random(racer, (uint32_t)race.last);
		uint32_t way = race_random(racer, 3);
		cf_pfn pfn = frame;
		int err;

		if (way == 0)
			err = cf_try_get(race.map, pfn);
		else if (way == 1)
			err = cf_try_get_interior(race.map, pfn, &pfn);
		else
			err = cf_pin(race.map, pfn);
		if (err) {
			RACE_CHECK(&race, err == -CF_EGONE);
			continue;
		}
		atomic_fetch_add_explicit(&taken, 1, memory_order_relaxed);
		look(pfn, frame);
		if (way == 2)
			cf_unpin(race.map, pfn);
		else
			cf_put(race.map, pfn);
	}
}

/* The host has the frames: writes to them must be seen by nobody. */
static void have_offline(cf_pfn first, cf_pfn last)
{
	cf_pfn pfn;

	cf_content_sync(race.map);
	for (pfn = first; pfn < last; pfn++) {
		race_take(&race, pfn, 0, HOLDER_HOST);
		race_write(&race, pfn, 0, ~(uint64_t)0);
	}
	(void)sched_yield();
	for (pfn = first; pfn < last; pfn++) {
		RACE_CHECK(&race, race_read(&race, pfn, 0, ~(uint64_t)0));
		race_give(&race, pfn, 0, HOLDER_HOST);
	}
}

static void offline_runs(struct racer *racer)
{
	while (race_on(racer)) {
		unsigned order = race_random(racer, 10);
		cf_pfn pfn;

		if (cf_offline_alloc(race.map, host, order, 0, &pfn))
			continue;
		have_offline(pfn, pfn + ((cf_pfn)1 << order));
		RACE_CHECK(&race, !cf_offline_free(race.map, host, pfn,
						   order));
	}
}

static void offline_ranges(struct racer *racer)
{
	while (race_on(racer)) {
		cf_pfn first = race_random(racer, (uint32_t)race.last - 40);
		cf_pfn last = first + 1 + race_random(racer, 32);
		int err = cf_offline_alloc_range(race.map, host, first, last,
						 0, NULL);

		if (err) {
			RACE_CHECK(&race, err == -CF_EBUSY ||
					  err == -CF_EAGAIN);
			continue;
		}
		have_offline(first, last);
		RACE_CHECK(&race, !cf_offline_free_range(race.map, host, first,
							 last));
	}
}

/* ---- lookups while heads move ---- */

/*
 * A run that is cut to pieces: its frames are in a run for as long as the
 * version is odd and the same.
 */
struct shown {
	_Atomic uint64_t version;
	_Atomic cf_pfn pfn;
	unsigned order;
};

static struct shown shown_frozen = { .order = 5 };
static struct shown shown_offline = { .order = CF_CHUNK_ORDER };

static void show(struct shown *shown, cf_pfn pfn)
{
	atomic_store(&shown->pfn, pfn);
	atomic_fetch_add(&shown->version, 1);
}

static void hide(struct shown *shown)
{
	atomic_fetch_add(&shown->version, 1);
}

static void cut_frozen(struct racer *racer)
{
	struct cf_request request = {
		.order = (uint8_t)shown_frozen.order, .type = CF_TYPE_SLAB,
	};

	while (race_on(racer)) {
		unsigned order = race_random(racer, shown_frozen.order);
		cf_pfn pfn, part;

		if (cf_alloc(race.map, request, &pfn))
			continue;
		show(&shown_frozen, pfn);
		RACE_CHECK(&race, !cf_split(race.map, pfn, order));
		hide(&shown_frozen);
		for (part = pfn; part < pfn + ((cf_pfn)1 << request.order);
		     part += (cf_pfn)1 << order)
			cf_free_frozen(race.map, part, order);
	}
}

/* One word for a chunk becomes many; a part of it is told apart. */
static void cut_offline(struct racer *racer)
{
	const cf_pfn chunk = CF_CHUNK_FRAMES;

	while (race_on(racer)) {
		cf_pfn first = chunk + race_random(racer, 500);
		cf_pfn last = first + 1 + race_random(racer, 11);

		if (cf_offline_alloc_range(race.map, host, chunk, 2 * chunk, 0,
					   NULL))
			continue;
		show(&shown_offline, chunk);
		RACE_CHECK(&race, !cf_offline_set_skippable(race.map, host,
							    first, last,
							    true));
		hide(&shown_offline);
		RACE_CHECK(&race, !cf_offline_free_range(race.map, host, chunk,
							 2 * chunk));
	}
}

static void look_at(struct racer *racer, struct shown *shown)
{
	uint64_t version = atomic_load(&shown->version);
	cf_pfn frames = (cf_pfn)1 << shown->order;
	cf_pfn first = atomic_load(&shown->pfn);
	cf_pfn pfn = first + race_random(racer, (uint32_t)frames);
	cf_pfn head = cf_find_head(race.map, pfn);

	if (!(version & 1) || atomic_load(&shown->version) != version)
		return;
	atomic_fetch_add_explicit(&taken, 1, memory_order_relaxed);
	RACE_CHECK(&race, head != CF_PFN_NONE && head <= pfn && head >= first);
}

static void look_at_frozen(struct racer *racer)
{
	while (race_on(racer))
		look_at(racer, &shown_frozen);
}

static void look_at_offline(struct racer *racer)
{
	while (race_on(racer))
		look_at(racer, &shown_offline);
}

/* ---- tests ---- */

static void begin(void)
{
	static const struct cf_owner_ops watch_ops = { .release = release };
	static const struct cf_owner_ops host_ops = { 0 };

	race_begin(&race, (struct race_size){ .order = 10, .blocks = 1 });
	atomic_store(&next_mark, 1 << 12);
	atomic_store(&taken, 0);
	atomic_store(&last_puts, 0);
	CHECK_EQ(cf_owner_register(race.map, "watch", &watch_ops, NULL,
				   &watch), 0);
	CHECK_EQ(cf_owner_register(race.map, "host", &host_ops, NULL, &host),
		 0);
}

static void end(void)
{
	while (kept.count)
		reuse_kept();
	printf("# %llu references taken, %llu last puts\n",
	       (unsigned long long)atomic_load(&taken),
	       (unsigned long long)atomic_load(&last_puts));
	CHECK(atomic_load(&last_puts) > 0);
	race_end(&race);
}

static void last_put(void)
{
	begin();
	race_add(&race, 2, hold);
	race_add(&race, 2, speculate);
	race_go(&race);
	end();
}

static void offline_alloc(void)
{
	begin();
	race_add(&race, 1, hold);
	race_add(&race, 2, speculate);
	race_add(&race, 1, offline_runs);
	race_go(&race);
	end();
}

static void offline_range(void)
{
	begin();
	race_add(&race, 1, hold);
	race_add(&race, 1, speculate);
	race_add(&race, 2, offline_ranges);
	race_go(&race);
	end();
}

static void moving_heads(void (*cut)(struct racer *racer),
			 void (*find)(struct racer *racer))
{
	begin();
	CHECK_EQ(cf_block_adopt(race.map, 0, race.last, host), 0);
	race_add(&race, 1, cut);
	race_add(&race, 1, find);
	race_go(&race);
	printf("# %llu lookups in a run while it is cut\n",
	       (unsigned long long)atomic_load(&taken));
	race_end(&race);
}

static void split_frozen(void)
{
	moving_heads(cut_frozen, look_at_frozen);
}

static void carve_offline(void)
{
	moving_heads(cut_offline, look_at_offline);
}

int main(int argc, char **argv)
{
	race_options(argc, argv);
	race_test("try_get against last put, reuse, freeze and split",
		  last_put);
	race_test("try_get against offline_alloc and offline_free",
		  offline_alloc);
	race_test("try_get against offline_alloc_range", offline_range);
	race_test("lookups while a frozen run is split", split_frozen);
	race_test("lookups while an offline run is cut", carve_offline);
	return tap_done();
}
