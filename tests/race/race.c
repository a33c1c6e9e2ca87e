/* SPDX-License-Identifier: MIT */
/*
 * The machine of the race tests, its threads, and its end.
 */
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "race.h"

/* CHECK() here: noted for the file the test is in. */
#undef CHECK
#define CHECK(expression)	check((expression), #expression, __LINE__)
#undef CHECK_EQ
#define CHECK_EQ(found, expected)					\
	check_eq((long long)(found), (long long)(expected), #found, __LINE__)

atomic_bool race_failed;
static double race_seconds = 0.3;
static uint64_t race_seed = 1;
static char **race_only;

static bool check(bool ok, const char *expression, int line)
{
	if (!ok) {
		printf("# race.c:%d: %s\n", line, expression);
		atomic_store(&race_failed, true);
	}
	return ok;
}

static bool check_eq(long long found, long long expected,
		     const char *expression, int line)
{
	if (found != expected)
		printf("# found %lld, expected %lld\n", found, expected);
	return check(found == expected, expression, line);
}

/* ---- threads ---- */

bool race_on(struct racer *racer)
{
	racer->done++;
	return !atomic_load_explicit(&racer->race->stop, memory_order_relaxed);
}

/* xorshift64* */
uint32_t race_random(struct racer *racer, uint32_t limit)
{
	racer->random ^= racer->random >> 12;
	racer->random ^= racer->random << 25;
	racer->random ^= racer->random >> 27;
	return (uint32_t)((racer->random * UINT64_C(0x2545f4914f6cdd1d)) >>
			  33) % limit;
}

static void *racer_main(void *argument)
{
	struct racer *racer = argument;

	(void)cf_host_enter();
	racer->run(racer);
	cf_host_leave(racer->race->map);
	return NULL;
}

void race_add(struct race *race, unsigned count,
	      void (*run)(struct racer *racer))
{
	while (count--) {
		unsigned number = race->racers++;

		race->racer[number] = (struct racer){
			.race = race, .number = number, .run = run,
			.random = (race_seed + number) *
				  UINT64_C(0x9e3779b97f4a7c15),
		};
	}
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

void race_go(struct race *race)
{
	const struct timespec nap = { .tv_nsec = 2000000 };
	double end = now() + race_seconds;
	unsigned i;

	atomic_store(&race->stop, false);
	for (i = 0; i < race->racers; i++)
		CHECK(!pthread_create(&race->thread[i], NULL, racer_main,
				      &race->racer[i]));
	while (now() < end && !atomic_load(&race->stop))
		nanosleep(&nap, NULL);
	atomic_store(&race->stop, true);
	for (i = 0; i < race->racers; i++)
		pthread_join(race->thread[i], NULL);
	printf("# rounds:");
	for (i = 0; i < race->racers; i++)
		printf(" %llu", (unsigned long long)race->racer[i].done);
	printf("\n");
	race->racers = 0;
}

/* ---- the machine ---- */

static void online(struct race *race, cf_pfn first, cf_pfn last,
		   enum cf_zone_kind kind)
{
	if (first < last)
		CHECK_EQ(cf_block_online(race->map, first, last, kind, NULL),
			 0);
}

void race_begin(struct race *race, struct race_size size)
{
	struct cf_host_config host = {
		.last = (cf_pfn)size.blocks << size.order,
	};
	struct cf_map_config config = {
		.block_order = size.order, .cpus = RACE_THREADS + 1,
		.nodes = 1, .fenced = size.fenced || cf_host_fenced(),
	};
	cf_pfn pfn, normal;

	memset(race, 0, sizeof(*race));
	race->last = host.last;
	race->block = (cf_pfn)1 << size.order;
	race->holder = calloc(race->last, sizeof(*race->holder));
	CHECK_EQ(cf_host_memory_create(&host, &race->memory), 0);
	(void)cf_host_enter();
	CHECK_EQ(cf_host_map_create(&race->memory, &config, &race->map), 0);
	for (pfn = 0; pfn < race->last; pfn += race->block) {
		struct cf_block_config block = { .meta = CF_META_PORT };

		CHECK_EQ(cf_block_add(race->map, pfn, pfn + race->block,
				      &block), 0);
	}
	normal = race->last - size.movable * race->block;
	online(race, 0, normal, CF_ZONE_NORMAL);
	online(race, normal, race->last, CF_ZONE_MOVABLE);
	cf_stat(race->map, &race->before);
}

static void check_nothing_lost(struct race *race)
{
	struct cf_finding finding = { 0 };
	struct cf_stat after;
	cf_pfn pfn;

	CHECK_EQ(cf_drain(race->map), 0);
	if (!CHECK(cf_verify(race->map, &finding)))
		printf("# verify: %s at %#llx, %llu instead of %llu\n",
		       cf_finding_name(finding.kind),
		       (unsigned long long)finding.pfn,
		       (unsigned long long)finding.found,
		       (unsigned long long)finding.expected);
	cf_stat(race->map, &after);
	CHECK_EQ(after.present, race->before.present);
	CHECK_EQ(after.free + after.retired, race->before.free);
	CHECK_EQ(after.managed + after.retired, race->before.managed);
	CHECK_EQ(after.offline, race->before.offline);
	CHECK_EQ(after.cached, 0);
	CHECK_EQ(after.isolated, 0);
	for (pfn = 0; pfn < race->last; pfn++) {
		if (!CHECK_EQ(atomic_load(&race->holder[pfn]), HOLDER_NOBODY))
			break;
	}
}

void race_end(struct race *race)
{
	cf_pfn pfn;

	check_nothing_lost(race);
	CHECK_EQ(cf_block_offline(race->map, 0, race->last, 4, NULL), 0);
	for (pfn = 0; pfn < race->last; pfn += race->block)
		CHECK_EQ(cf_block_remove(race->map, pfn, pfn + race->block),
			 0);
	cf_host_leave(race->map);
	CHECK_EQ(cf_host_map_destroy(race->map), 0);
	cf_host_memory_destroy(&race->memory);
	free(race->holder);
}

/* ---- frames ---- */

static void swap(struct race *race, cf_pfn pfn, unsigned order, uint32_t from,
		 uint32_t to)
{
	cf_pfn i;

	/* Relaxed: who may write is the engine's business, this is a tally. */
	for (i = 0; i < (cf_pfn)1 << order; i++) {
		uint32_t old = atomic_exchange_explicit(&race->holder[pfn + i],
							to,
							memory_order_relaxed);

		if (old != from)
			printf("# frame %#llx: held by %u, expected %u\n",
			       (unsigned long long)(pfn + i), old, from);
		if (!RACE_CHECK(race, old == from))
			return;
	}
}

void race_take(struct race *race, cf_pfn pfn, unsigned order, uint32_t holder)
{
	swap(race, pfn, order, HOLDER_NOBODY, holder);
}

void race_give(struct race *race, cf_pfn pfn, unsigned order, uint32_t holder)
{
	swap(race, pfn, order, holder, HOLDER_NOBODY);
}

static uint64_t *word_of(struct race *race, cf_pfn pfn)
{
	return (uint64_t *)(void *)(race->memory.base +
				    (size_t)pfn * CF_FRAME_BYTES);
}

void race_write(struct race *race, cf_pfn pfn, unsigned order, uint64_t mark)
{
	cf_pfn i;

	for (i = 0; i < (cf_pfn)1 << order; i++)
		*word_of(race, pfn + i) = mark + i;
}

uint64_t race_mark(struct race *race, cf_pfn pfn)
{
	return *word_of(race, pfn);
}

bool race_read(struct race *race, cf_pfn pfn, unsigned order, uint64_t mark)
{
	cf_pfn i;

	for (i = 0; i < (cf_pfn)1 << order; i++) {
		if (*word_of(race, pfn + i) != mark + i) {
			printf("# frame %#llx holds %#llx, expected %#llx\n",
			       (unsigned long long)(pfn + i),
			       (unsigned long long)*word_of(race, pfn + i),
			       (unsigned long long)(mark + i));
			return false;
		}
	}
	return true;
}

/* ---- the program ---- */

bool race_wants(const char *name)
{
	char **only;

	for (only = race_only; *only; only++) {
		if (strstr(name, *only))
			return true;
	}
	return !*race_only;
}

void race_options(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seconds", required_argument, NULL, 't' },
		{ "seed", required_argument, NULL, 's' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 't') {
			race_seconds = strtod(optarg, NULL);
		} else if (option == 's') {
			race_seed = strtoull(optarg, NULL, 0);
		} else {
			fprintf(stderr, "usage: %s [--seconds S] [--seed N] "
				"[PART OF A NAME]...\n", argv[0]);
			exit(2);
		}
	}
	race_only = argv + optind;
	printf("# seed %llu, %.1f s a test\n", (unsigned long long)race_seed,
	       race_seconds);
}
