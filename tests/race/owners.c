/* SPDX-License-Identifier: MIT */
/*
 * Owners that leave under load, frames that are retired while others take
 * and free them, readers of contents against frames that go offline.
 * Threads at full speed.
 */
#include <sched.h>
#include <stdlib.h>

#include "race.h"

#define BAD_MAX		48

/* An owner's life.  Plain fields: who reads them too late is caught. */
struct life {
	bool over;
	uint64_t released;
};

static struct race race;
static _Atomic uint32_t current;	/* id of the owner that lives; 0 */
static _Atomic uint64_t lives, orphans, kept_back;
static uint32_t host;
static _Atomic uint8_t *bad;		/* one a frame: retired for good */

/* ---- an owner that leaves ---- */

static enum cf_verdict release(void *context, cf_pfn pfn, unsigned order)
{
	const struct life *life = context;

	(void)pfn;
	(void)order;
	/* Against the plain write below: hooks have ended by then. */
	RACE_CHECK(&race, !life->over);
	return CF_VERDICT_FREE;
}

static const struct cf_owner_ops life_ops = { .release = release };

static void live_and_leave(struct racer *racer)
{
	while (race_on(racer)) {
		struct life *life = calloc(1, sizeof(*life));
		uint64_t left = 0;
		uint32_t id;
		int i;

		RACE_CHECK(&race, !cf_owner_register(race.map, "mortal",
						     &life_ops, life, &id));
		atomic_store(&current, id);
		for (i = 0; i < 3; i++)
			(void)sched_yield();
		atomic_store(&current, 0);
		RACE_CHECK(&race, !cf_owner_unregister(race.map, id, &left));
		life->over = true;
		free(life);
		atomic_fetch_add(&lives, 1);
		atomic_fetch_add(&orphans, left);
	}
}

/* Use whatever owner there is; it may go at any moment. */
static void use_owner(struct racer *racer)
{
	while (race_on(racer)) {
		struct cf_request request = {
			.order = (uint8_t)race_random(racer, 3),
			.type = CF_TYPE_FOLIO,
			.owner = (uint16_t)atomic_load(&current),
		};
		cf_pfn pfn;
		int err = cf_alloc(race.map, request, &pfn);

		if (err) {
			RACE_CHECK(&race, err == -CF_EGONE);
			continue;
		}
		race_take(&race, pfn, request.order, HOLDER_RUN);
		if (race_random(racer, 2)) {
			err = cf_owner_change(race.map, pfn,
					      atomic_load(&current));
			RACE_CHECK(&race, !err || err == -CF_EGONE ||
					  err == -CF_EAGAIN);
		}
		race_give(&race, pfn, request.order, HOLDER_RUN);
		cf_put(race.map, pfn);
	}
}

static void speculate(struct racer *racer)
{
	while (race_on(racer)) {
		cf_pfn pfn = race_random(racer, (uint32_t)race.last);

		if (cf_try_get(race.map, pfn))
			continue;
		(void)sched_yield();
		cf_put(race.map, pfn);
	}
}

/* ---- bad frames ---- */

static void use_frames(struct racer *racer)
{
	while (race_on(racer)) {
		struct cf_request request = {
			.order = (uint8_t)race_random(racer, 4),
			.type = CF_TYPE_KERNEL,
		};
		cf_pfn pfn, i;

		if (cf_alloc(race.map, request, &pfn))
			continue;
		race_take(&race, pfn, request.order, HOLDER_RUN);
		for (i = 0; i < (cf_pfn)1 << request.order; i++)
			RACE_CHECK(&race, !atomic_load(&bad[pfn + i]));
		(void)sched_yield();
		race_give(&race, pfn, request.order, HOLDER_RUN);
		cf_put(race.map, pfn);
	}
}

static void retire(struct racer *racer)
{
	while (race_on(racer)) {
		cf_pfn pfn = race_random(racer, (uint32_t)race.last);
		enum cf_retire_state state;
		int err = cf_retire(race.map, pfn, &state);

		if (err) {
			RACE_CHECK(&race, err == -CF_ELIMIT ||
					  err == -CF_EBUSY ||
					  err == -CF_EAGAIN);
		} else if (state == CF_RETIRE_DONE) {
			atomic_store(&bad[pfn], 1);
		} else {
			RACE_CHECK(&race, state == CF_RETIRE_PENDING);
			atomic_fetch_add(&kept_back, 1);
		}
		(void)sched_yield();
	}
}

/* ---- contents ---- */

/*
 * Nobody but the host writes here. A reader that found a frame not offline
 * may read it until it says so: the host's plain write comes after.
 */
static void read_contents(struct racer *racer)
{
	while (race_on(racer)) {
		cf_pfn cursor = race_random(racer, (uint32_t)race.last);
		unsigned ticket = cf_content_begin(race.map);
		unsigned frames = 32;

		while (frames-- && cursor < race.last) {
			struct cf_span span = { 0 };
			cf_pfn pfn = cursor++;

			cf_walk_begin(race.map);
			(void)cf_walk_next(race.map, &pfn, pfn + 1, &span);
			cf_walk_end(race.map);
			if (span.kind == CF_SPAN_FREE)
				(void)race_mark(&race, cursor - 1);
		}
		cf_content_end(race.map, ticket);
	}
}

static void have_offline(struct racer *racer)
{
	while (race_on(racer)) {
		unsigned order = race_random(racer, 10);
		cf_pfn pfn;

		if (cf_offline_alloc(race.map, host, order, 0, &pfn))
			continue;
		race_take(&race, pfn, order, HOLDER_HOST);
		cf_content_sync(race.map);
		race_write(&race, pfn, order, racer->random << 12);
		race_give(&race, pfn, order, HOLDER_HOST);
		RACE_CHECK(&race, !cf_offline_free(race.map, host, pfn,
						   order));
	}
}

/* ---- tests ---- */

static void begin(void)
{
	static const struct cf_owner_ops ops = { 0 };

	race_begin(&race, (struct race_size){ .order = 10, .blocks = 2 });
	bad = calloc(race.last, sizeof(*bad));
	atomic_store(&current, 0);
	atomic_store(&lives, 0);
	atomic_store(&orphans, 0);
	atomic_store(&kept_back, 0);
	CHECK_EQ(cf_owner_register(race.map, "host", &ops, NULL, &host), 0);
}

static void end(void)
{
	race_end(&race);
	free(bad);
}

static void unregister(void)
{
	begin();
	race_add(&race, 2, use_owner);
	race_add(&race, 1, speculate);
	race_add(&race, 1, live_and_leave);
	race_go(&race);
	printf("# %llu lives, %llu frames orphaned\n",
	       (unsigned long long)atomic_load(&lives),
	       (unsigned long long)atomic_load(&orphans));
	CHECK(atomic_load(&lives) > 0);
	end();
}

static void retirement(void)
{
	struct cf_stat stat;

	begin();
	race_add(&race, 3, use_frames);
	race_add(&race, 1, retire);
	race_go(&race);
	cf_stat(race.map, &stat);
	printf("# %llu frames retired, %llu times later\n",
	       (unsigned long long)stat.retired,
	       (unsigned long long)atomic_load(&kept_back));
	CHECK(stat.retired > 0);
	end();
}

static void contents(void)
{
	begin();
	race_add(&race, 2, read_contents);
	race_add(&race, 2, have_offline);
	race_go(&race);
	end();
}

int main(int argc, char **argv)
{
	race_options(argc, argv);
	race_test("an owner leaves under load", unregister);
	race_test("frames are retired under load", retirement);
	race_test("readers of contents against offline frames", contents);
	return tap_done();
}
