/* SPDX-License-Identifier: MIT */
/*
 * The filter: what every frame is to a dump, and that nothing is read that
 * must not be.  Frames that may not be touched have no access while it reads,
 * so that one wrong read ends the program.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dump/filter.h"
#include "tests/unit/machine.h"

#define BLOCKS	6

static struct dump_window window;
static unsigned char *memory;		/* a window's */
static struct keeper cache, pool, guest;

static unsigned char *address(cf_pfn pfn)
{
	return m.memory.base + pfn * CF_FRAME_BYTES;
}

static bool begin(bool debug_pagealloc)
{
	struct machine_config config = {
		.blocks = BLOCKS, .absent = 2,
		.debug_pagealloc = debug_pagealloc,
	};

	memory = malloc(DUMP_WINDOW_FRAMES * CF_FRAME_BYTES);
	return CHECK(memory != NULL) && CHECK(machine_make(config)) &&
	       CHECK(keeper_add(&cache, "cache", 1u << HOOK_MIGRATE)) &&
	       CHECK(keeper_add(&pool, "pool", 1u << HOOK_MIGRATE |
				1u << HOOK_DISSOLVE)) &&
	       CHECK(keeper_add(&guest, "guest", 1u << HOOK_RELEASE));
}

static void finish(void)
{
	CHECK(keeper_remove(&cache));
	CHECK(keeper_remove(&pool));
	CHECK(keeper_remove(&guest));
	CHECK(machine_end());
	free(memory);
}

static struct dump_filter filter_of(unsigned level)
{
	struct dump_filter filter;

	dump_filter_init(&filter, m.map, dump_level_classes(level));
	return filter;
}

static enum dump_class class_of(cf_pfn pfn)
{
	struct dump_filter filter = filter_of(0);

	window.first = pfn;
	window.count = 1;
	dump_filter_look(&filter, &window);
	return window.class[0];
}

/* What is read of one frame, and whether it is. */
static bool was_read(cf_pfn pfn, unsigned level)
{
	struct dump_filter filter = filter_of(level);
	unsigned count;
	bool was;

	window.first = pfn;
	window.count = 1;
	memset(memory, 0xaa, CF_FRAME_BYTES);
	count = dump_filter_read(&filter, &window, memory);
	was = dump_filter_was_read(&filter, &window, 0);
	CHECK_EQ(count, was);
	if (was)
		CHECK(!memcmp(memory, address(pfn), CF_FRAME_BYTES));
	else
		CHECK(memory[0] == 0xaa && memory[CF_FRAME_BYTES - 1] == 0xaa);
	return was;
}

static bool has_contents(cf_pfn pfn, unsigned level)
{
	return was_read(pfn, level) && window.class[0] != DUMP_ZERO;
}

static cf_pfn take(struct cf_request request)
{
	cf_pfn pfn = alloc(request);

	memset(address(pfn), 0x5a, CF_FRAME_BYTES << request.order);
	return pfn;
}

/* Which classes a level has, as makedumpfile's. */
static void levels(void)
{
	static const struct {
		enum dump_class class;
		unsigned level;		/* any of these leaves it out */
	} rows[] = {
		{ DUMP_ZERO, 1 }, { DUMP_CACHE, 2 | 4 },
		{ DUMP_CACHE_PRIVATE, 4 }, { DUMP_USER, 8 },
		{ DUMP_FREE, 16 }, { DUMP_CACHED, 16 }, { DUMP_KERNEL, 0 },
		{ DUMP_OFFLINE, 31 }, { DUMP_RETIRED, 31 },
	};
	unsigned level, i;

	for (level = 0; level <= DUMP_LEVEL_MAX; level++)
		for (i = 0; i < 7; i++)
			CHECK_EQ(dump_level_classes(level) >> rows[i].class & 1,
				 !(level & rows[i].level));
	for (level = 0; level <= DUMP_LEVEL_MAX; level++)
		CHECK_EQ(dump_level_classes(level) & DUMP_NEVER, 0);
	for (i = 0; i < DUMP_CLASS_COUNT; i++)
		CHECK(dump_class_word(i)[0] && dump_class_text(i)[0]);
}

/* Everything that is in use. */
static void used(void)
{
	static const unsigned level[] = { 0, 1, 2, 4, 8, 16, 31 };
	cf_pfn kernel_run, folio_run, cache_run, pool_run;
	unsigned i;

	if (!begin(false))
		return;
	kernel_run = take(kernel(2));
	folio_run = take(folio(0, CF_OWNER_NONE));
	cache_run = take(folio(3, cache.id));
	pool_run = take(folio(0, pool.id));
	CHECK_EQ(class_of(kernel_run + 3), DUMP_KERNEL);
	CHECK_EQ(class_of(folio_run), DUMP_USER);
	CHECK_EQ(class_of(cache_run + 7), DUMP_CACHE);
	CHECK_EQ(class_of(pool_run), DUMP_CACHE_PRIVATE);
	for (i = 0; i < sizeof(level) / sizeof(level[0]); i++) {
		CHECK(has_contents(kernel_run + 1, level[i]));
		CHECK_EQ(has_contents(folio_run, level[i]), !(level[i] & 8));
		CHECK_EQ(has_contents(cache_run, level[i]), !(level[i] & 6));
		CHECK_EQ(has_contents(pool_run, level[i]), !(level[i] & 4));
	}
	memset(address(kernel_run), 0, CF_FRAME_BYTES);
	CHECK(has_contents(kernel_run, 30));
	CHECK(was_read(kernel_run, 1));
	CHECK_EQ(window.class[0], DUMP_ZERO);
	cf_put(m.map, kernel_run);
	cf_put(m.map, folio_run);
	cf_put(m.map, cache_run);
	cf_put(m.map, pool_run);
	finish();
}

/* Free, in caches, nowhere. */
static void unused(void)
{
	cf_pfn pfn;

	if (!begin(false))
		return;
	pfn = take(kernel(0));
	cf_put(m.map, pfn);
	CHECK_EQ(class_of(pfn), DUMP_CACHED);
	CHECK(was_read(pfn, 15));
	CHECK(!was_read(pfn, 16));
	CHECK_EQ(cf_drain(m.map), 0);
	CHECK_EQ(class_of(pfn), DUMP_FREE);
	CHECK(was_read(pfn, 0));
	CHECK(!was_read(pfn, 16));
	CHECK_EQ(class_of(m.last - 1), DUMP_ABSENT);
	CHECK(!was_read(m.last - 1, 0));
	pfn = (BLOCKS - 1) * m.block;
	CHECK_EQ(cf_block_offline(m.map, pfn, pfn + m.block, 3, NULL), 0);
	CHECK_EQ(class_of(pfn), DUMP_BLOCK_OFFLINE);
	CHECK(!was_read(pfn, 0));
	CHECK_EQ(cf_block_online(m.map, pfn, pfn + m.block, CF_ZONE_NORMAL,
				 NULL), 0);
	finish();
}

/* With debug_pagealloc nobody can touch what is free: at no level. */
static void guarded(void)
{
	cf_pfn pfn;

	if (!begin(true))
		return;
	pfn = take(kernel(0));
	CHECK(has_contents(pfn, 0));
	cf_put(m.map, pfn);
	CHECK(!was_read(pfn, 0));
	CHECK_EQ(cf_drain(m.map), 0);
	CHECK(!was_read(pfn, 0));
	finish();
}

/* Not to be touched by anybody, and it is not. */
static bool is_left_alone(cf_pfn pfn, enum dump_class class)
{
	bool alone;

	CHECK_EQ(class_of(pfn), class);
	CHECK_EQ(mprotect(address(pfn), CF_FRAME_BYTES, PROT_NONE), 0);
	alone = !was_read(pfn, 0) && !was_read(pfn, 31);
	CHECK_EQ(mprotect(address(pfn), CF_FRAME_BYTES,
			  PROT_READ | PROT_WRITE), 0);
	return alone;
}

static void offline(void)
{
	cf_pfn pfn;

	if (!begin(false))
		return;
	CHECK_EQ(cf_offline_alloc(m.map, cache.id, 1, CF_FLAG_MOVABLE, &pfn),
		 0);
	CHECK(is_left_alone(pfn, DUMP_OFFLINE));
	CHECK(is_left_alone(pfn + 1, DUMP_OFFLINE));
	CHECK_EQ(cf_offline_free(m.map, cache.id, pfn, 1), 0);
	finish();
}

/* Free and bad, and bad in the middle of a run that is in use. */
static void bad(void)
{
	enum cf_retire_state state;
	cf_pfn pfn;

	if (!begin(false))
		return;
	pfn = take(kernel(3));
	CHECK_EQ(cf_retire(m.map, pfn + 5, &state), 0);
	CHECK_EQ(state, CF_RETIRE_PENDING);
	CHECK(is_left_alone(pfn + 5, DUMP_RETIRED));
	CHECK(has_contents(pfn + 4, 31));
	CHECK(has_contents(pfn + 6, 31));
	cf_put(m.map, pfn);
	CHECK_EQ(cf_retire_state(m.map, pfn + 5), CF_RETIRE_DONE);
	CHECK(is_left_alone(pfn + 5, DUMP_RETIRED));
	CHECK(keeper_remove(&cache) && keeper_remove(&pool) &&
	      keeper_remove(&guest) && machine_wipe());
	free(memory);
}

/* A guest's, once nobody else has a reference; also when its owner goes. */
static void private(void)
{
	cf_pfn pfn;

	if (!begin(false))
		return;
	guest.ops.private_frozen = true;
	guest.verdict = CF_VERDICT_KEEP;
	pfn = take(folio(0, guest.id));
	CHECK(has_contents(pfn, 0));
	cf_put(m.map, pfn);
	CHECK_EQ(guest.calls[HOOK_RELEASE], 1);
	CHECK(is_left_alone(pfn, DUMP_PRIVATE));
	guest.ops.private_frozen = false;
	CHECK_EQ(class_of(pfn), DUMP_USER);
	guest.ops.private_frozen = true;
	CHECK_EQ(cf_owner_unregister(m.map, guest.id, NULL), 0);
	CHECK(is_left_alone(pfn, DUMP_PRIVATE));
	cf_free_frozen(m.map, pfn, 0);
	CHECK(keeper_add(&guest, "guest", 1u << HOOK_RELEASE));
	finish();
}

/* A whole window of many kinds, and totals that add up. */
static void totals(void)
{
	struct dump_filter filter;
	struct dump_tally tally = { { 0 } };
	uint64_t sum = 0;
	unsigned i;
	cf_pfn pfn, kept;

	if (!begin(false))
		return;
	kept = take(kernel(4));
	CHECK_EQ(cf_offline_alloc(m.map, CF_OWNER_NONE, 5, 0, &pfn), 0);
	CHECK_EQ(mprotect(address(pfn), 32 * CF_FRAME_BYTES, PROT_NONE), 0);
	filter = filter_of(31);
	for (window.first = 0; window.first < m.last;
	     window.first += window.count) {
		window.count = DUMP_WINDOW_FRAMES;
		sum += dump_filter_read(&filter, &window, memory);
		dump_tally_add(&tally, &window);
	}
	CHECK_EQ(mprotect(address(pfn), 32 * CF_FRAME_BYTES,
			  PROT_READ | PROT_WRITE), 0);
	CHECK_EQ(sum, 16);
	CHECK_EQ(tally.frames[DUMP_KERNEL], 16);
	CHECK_EQ(tally.frames[DUMP_OFFLINE], 32);
	CHECK_EQ(dump_tally_present(&tally), BLOCKS * m.block);
	for (i = 0, sum = 0; i < DUMP_CLASS_COUNT; i++)
		sum += tally.frames[i];
	CHECK_EQ(sum, m.last);
	CHECK_EQ(cf_offline_free(m.map, CF_OWNER_NONE, pfn, 5), 0);
	cf_put(m.map, kept);
	finish();
}

#define DIED	42

static void die(int number)
{
	(void)number;
	_exit(DIED);
}

/* The proof can fail: a frame without access ends who reads it. */
static void proof(void)
{
	cf_pfn pfn;
	int status;
	pid_t child;

	if (!begin(false))
		return;
	pfn = take(kernel(0));
	CHECK_EQ(mprotect(address(pfn), CF_FRAME_BYTES, PROT_NONE), 0);
	child = fork();
	if (child == 0) {
		(void)signal(SIGSEGV, die);
		_exit(was_read(pfn, 0));
	}
	CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) &&
	      WEXITSTATUS(status) == DIED);
	CHECK_EQ(mprotect(address(pfn), CF_FRAME_BYTES,
			  PROT_READ | PROT_WRITE), 0);
	cf_put(m.map, pfn);
	finish();
}

int main(void)
{
	tap_run("levels are makedumpfile's", levels);
	tap_run("frames in use", used);
	tap_run("frames nobody has", unused);
	tap_run("frames nobody has, guarded", guarded);
	tap_run("offline frames are left alone", offline);
	tap_run("bad frames are left alone", bad);
	tap_run("private frames are left alone", private);
	tap_run("a frame without access ends who reads it", proof);
	tap_run("totals add up", totals);
	return tap_done();
}
