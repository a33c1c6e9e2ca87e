/* SPDX-License-Identifier: MIT */

/*
 * Bad frames of runs, whatever is being done with them: in the end each is
 * RETIRED, or marked to be when its run goes, and the allocator never has it
 * again.
 */

#include "own.h"

static const struct ground_config one_block = { .blocks = 1 };

static void set_up(void)
{
	own_init_bad(one_block, NULL, 0);
}

static void set_up_pair(void)
{
	own_init_bad(one_block, NULL, 1);
}

/* ---- the last put ---- */

static const struct explore_program put_against_retire = {
	.name = "put-against-retire",
	.worry = "a frame found bad while its last reference goes is not "
		 "handed out again (memory_failure against free, 2018)",
	.setup = set_up,
	.thread = { own_put, own_retire },
	.end = own_end_retired,
	.quick = true,
};

static const struct explore_program put_pair_against_retire = {
	.name = "put-pair-against-retire",
	.worry = "of a run that is freed only the bad frame stays out "
		 "(memory_failure of a huge page, 2024)",
	.setup = set_up_pair,
	.thread = { own_put, own_retire },
	.end = own_end_retired,
	.quick = true,
};

static void set_up_cached(void)
{
	own_init_bad((struct ground_config) { .caches = true }, NULL, 0);
}

static const struct explore_program cached_put_against_retire = {
	.name = "cached-put-against-retire",
	.worry = "a bad frame does not hide in a per-CPU cache (hwpoison "
		 "pages and the buddy, 2018)",
	.setup = set_up_cached,
	.thread = { own_put, own_retire },
	.end = own_end_retired,
	.quick = true,
};

/* The frame that is bad waits in the cache of the thread that allocates. */
static void set_up_stocked(void)
{
	set_up_cached();
	own->taken[0] = ground_alloc(CF_TYPE_FOLIO, 0, 0);
	own->bad = own->taken[0];
	cf_put(ground_map, own->taken[0]);
}

static void allocate(void)
{
	struct cf_request request = { .type = CF_TYPE_KERNEL };

	MUST(cf_alloc(ground_map, request, &own->taken[0]));
}

static void end_alloc(void)
{
	bool had = own->taken[0] == own->bad;

	own_settle();
	REQUIRE(own->state[1] == (had ? CF_RETIRE_PENDING : CF_RETIRE_DONE));
	REQUIRE(had ? own_is_poisoned(own->bad) : own_is_retired(own->bad));
	cf_put(ground_map, own->taken[0]);
	own_end_retired();
}

static const struct explore_program cached_alloc_against_retire = {
	.name = "cached-alloc-against-retire",
	.worry = "a bad frame in a per-CPU cache is allocated or retired, "
		 "never both (memory_failure of free pages, 2018)",
	.setup = set_up_stocked,
	.thread = { allocate, own_retire },
	.end = end_alloc,
};

/* The run spans two blocks; the bad frame is in the second. */
static void set_up_span(void)
{
	own_init_bad((struct ground_config) { .blocks = 2, .online = 2 }, NULL,
		    GROUND_BLOCK_ORDER + 1);
	own->bad = own->pfn + GROUND_BLOCK + 1;
}

static const struct explore_program put_span_against_retire = {
	.name = "put-span-against-retire",
	.worry = "the mark of a run that spans blocks is heeded in the block "
		 "that holds the bad frame (memory_failure of a gigantic "
		 "page, 2024)",
	.setup = set_up_span,
	.thread = { own_put, own_retire },
	.end = own_end_retired,
};

/* ---- through an owner ---- */

static const struct cf_owner_ops giver = { .release = own_free };
static const struct cf_owner_ops keeper = { .release = own_keep };

static void set_up_giver(void)
{
	own_init_bad(one_block, &giver, 0);
}

static void set_up_keeper(void)
{
	own_init_bad(one_block, &keeper, 0);
}

static void end_giver(void)
{
	REQUIRE(own->released == 1 && own_frames(own->owner) == 0);
	own_end_retired();
}

static const struct explore_program free_against_retire = {
	.name = "free-against-retire",
	.worry = "a mark that lands between verdict FREE and the free is "
		 "heeded (folio_owner_ops and memory_failure, 2024)",
	.setup = set_up_giver,
	.thread = { own_put, own_retire },
	.end = end_giver,
	.quick = true,
};

static void take_and_use(void)
{
	cf_pfn pfn = own_take_listed();

	if (pfn == CF_PFN_NONE)
		return;
	cf_unfreeze(ground_map, pfn, 1);
	cf_put(ground_map, pfn);
}

static void retire_as_third(void)
{
	own->err[1] = cf_retire(ground_map, own->bad, &own->state[1]);
}

/* A kept run stays with its owner until that gives it up. */
static void end_keeper(void)
{
	REQUIRE(own->err[1] == 0 && own->state[1] == CF_RETIRE_PENDING);
	REQUIRE(own->listed == own->pfn && own_is_poisoned(own->pfn));
	cf_free_frozen(ground_map, own->pfn, 0);
	own_end_retired();
}

static const struct explore_program keep_against_retire = {
	.name = "keep-against-retire",
	.worry = "a page that goes from its last put to a driver's list and "
		 "out again keeps the mark that it is bad (hwpoison of "
		 "ZONE_DEVICE pages, 2022)",
	.setup = set_up_keeper,
	.thread = { own_put, take_and_use, retire_as_third },
	.end = end_keeper,
};

/* ---- a reference by number, and a blind one ---- */

static void get_and_put(void)
{
	own->err[0] = cf_try_get(ground_map, own->pfn);
	if (own->err[0] == 0)
		cf_put(ground_map, own->pfn);
}

static void end_get(void)
{
	REQUIRE(own->err[0] == 0);
	REQUIRE(own->err[1] == 0 && own->state[1] == CF_RETIRE_PENDING);
	REQUIRE(own_is_poisoned(own->pfn) && own_look(own->pfn).refs == 1);
	own_put();
	own_end_retired();
}

static const struct explore_program get_against_retire = {
	.name = "get-against-retire",
	.worry = "references to a run are counted right while it is marked "
		 "bad (two words in Linux, 2018)",
	.setup = set_up,
	.thread = { get_and_put, own_retire },
	.end = end_get,
	.quick = true,
};

/* ---- allocation from the bitmap ---- */

static const struct explore_program alloc_against_retire = {
	.name = "alloc-against-retire",
	.worry = "a free frame is allocated or retired, never both "
		 "(memory_failure of free pages, 2018)",
	.setup = own_init_bad_free,
	.thread = { allocate, own_retire },
	.end = end_alloc,
	.quick = true,
};

/* ---- frames that are logically offline ---- */

static void make_offline(void)
{
	MUST(cf_offline_alloc(ground_map, 0, 0, 0, &own->taken[0]));
}

static void end_make_offline(void)
{
	bool had = own->taken[0] == own->bad;

	own_settle();
	REQUIRE(own->state[1] == (had ? CF_RETIRE_PENDING : CF_RETIRE_DONE));
	REQUIRE(had ? own_is_poisoned(own->bad) : own_is_retired(own->bad));
	MUST(cf_offline_free(ground_map, 0, own->taken[0], 0));
	own_end_retired();
}

static const struct explore_program offline_alloc_against_retire = {
	.name = "offline-alloc-against-retire",
	.worry = "a free frame is taken by a balloon or retired, never both "
		 "(alloc_offline_page, 2024)",
	.setup = own_init_bad_free,
	.thread = { make_offline, own_retire },
	.end = end_make_offline,
	.quick = true,
};

static const struct explore_program offline_free_against_retire = {
	.name = "offline-free-against-retire",
	.worry = "an offline frame found bad while it is given back stays "
		 "out, and its neighbour does not (free_offline_page, 2024)",
	.setup = own_init_bad_offline,
	.thread = { own_free_offline, own_retire },
	.end = own_end_retired,
	.quick = true,
};

static void free_first_half(void)
{
	MUST(cf_offline_free(ground_map, 0, own->pfn, 0));
}

static void end_carve(void)
{
	REQUIRE(own->err[1] == 0 && own->state[1] == CF_RETIRE_PENDING);
	REQUIRE(own_look(own->pfn).type == CF_TYPE_NONE);
	REQUIRE(own_is_poisoned(own->bad));
	MUST(cf_offline_free(ground_map, 0, own->bad, 0));
	own_end_retired();
}

static const struct explore_program carve_against_retire = {
	.name = "carve-against-retire",
	.worry = "the mark stays with the part of an offline run that holds "
		 "the bad frame (sub-block unplug, 2024)",
	.setup = own_init_bad_offline,
	.thread = { free_first_half, own_retire },
	.end = end_carve,
	.quick = true,
};

/* ---- a run that is cut ---- */

static void set_up_frozen_pair(void)
{
	set_up_pair();
	MUST(cf_freeze(ground_map, own->pfn, 1));
}

static void split(void)
{
	MUST(cf_split(ground_map, own->pfn, 0));
}

static void end_split(void)
{
	REQUIRE(own->err[1] == 0 && own->state[1] == CF_RETIRE_PENDING);
	REQUIRE(own_is_poisoned(own->bad) && own_look(own->pfn).order == 0);
	cf_free_frozen(ground_map, own->pfn, 0);
	cf_free_frozen(ground_map, own->bad, 0);
	REQUIRE(own_look(own->pfn).type == CF_TYPE_NONE);
	own_end_retired();
}

static const struct explore_program retire_against_split = {
	.name = "retire-against-split",
	.worry = "the part of a run that holds the bad frame has the mark "
		 "after a split (memory_failure splits huge pages, 2024)",
	.setup = set_up_frozen_pair,
	.thread = { split, own_retire },
	.end = end_split,
	.quick = true,
};

/* ---- a poisoned run is freed ---- */

static void set_up_poisoned(void)
{
	enum cf_retire_state known;

	set_up_pair();
	MUST(cf_retire(ground_map, own->bad, &known));
	REQUIRE(known == CF_RETIRE_PENDING);
}

static void end_poisoned(void)
{
	REQUIRE(own->taken[1] != own->bad && own_is_retired(own->bad));
	cf_put(ground_map, own->taken[1]);
	REQUIRE(own_look(own->pfn).type == CF_TYPE_NONE);
	REQUIRE(own_block(own->bad).retired == 1);
	ground_verify();
}

static void allocate_second(void)
{
	struct cf_request request = { .type = CF_TYPE_KERNEL };

	MUST(cf_alloc(ground_map, request, &own->taken[1]));
}

static const struct explore_program alloc_against_poisoned_put = {
	.name = "alloc-against-poisoned-put",
	.worry = "the bad frame of a run that is freed is at no moment to be "
		 "had (hwpoison pages and the buddy, 2018)",
	.setup = set_up_poisoned,
	.thread = { own_put, allocate_second },
	.end = end_poisoned,
	.quick = true,
};

static void set_up_both_bad(void)
{
	set_up_poisoned();
	own->bad = own->pfn;
}

static void end_both_bad(void)
{
	own_settle();
	REQUIRE(own_is_retired(own->pfn) && own_is_retired(own->pfn + 1));
	REQUIRE(own_block(own->bad).retired == 2);
	ground_verify();
}

static const struct explore_program poisoned_put_against_retire = {
	.name = "poisoned-put-against-retire",
	.worry = "a second bad frame of a run that is being freed for the "
		 "first is not lost (memory_failure of a huge page, 2024)",
	.setup = set_up_both_bad,
	.thread = { own_put, own_retire },
	.end = end_both_bad,
	.quick = true,
};

const struct explore_program *const explore_retire[] = {
	&put_against_retire, &put_pair_against_retire,
	&cached_put_against_retire, &cached_alloc_against_retire,
	&put_span_against_retire, &free_against_retire, &keep_against_retire,
	&get_against_retire, &alloc_against_retire,
	&offline_alloc_against_retire, &offline_free_against_retire,
	&carve_against_retire, &retire_against_split,
	&alloc_against_poisoned_put, &poisoned_put_against_retire, NULL
};
