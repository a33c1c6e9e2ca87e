/* SPDX-License-Identifier: MIT */

/*
 * Caches and the locks below everything: an owner against a drainer, failing
 * allocations against frames that are elsewhere for a moment.
 */

#include "ground.h"

/* core/lock.c, under the names it has in the explorer's build. */
unsigned long real_lock(struct cf_lock *lock);
bool real_trylock(struct cf_lock *lock, unsigned long *ret_state);
void real_unlock(struct cf_lock *lock, unsigned long state);

static struct {
	struct cf_lock outer, lock;
	uint64_t inside, held[EXPLORE_THREADS_MAX];
	struct cf_offline operation;
	bool got[EXPLORE_THREADS_MAX];
	uint64_t moved[EXPLORE_THREADS_MAX];
	bool refused[EXPLORE_THREADS_MAX];
	uint32_t owner;
	cf_pfn pfn;
	cf_pfn got_pfn[EXPLORE_THREADS_MAX];
	int err[EXPLORE_THREADS_MAX];
} *w;

/* ---- core/lock.c ---- */

static void set_up_lock(void)
{
	explore_port_init();
	w = explore_memory(sizeof(*w));
	explore_name(&w->lock, sizeof(w->lock), "lock", -1);
	explore_name(&w->outer, sizeof(w->outer), "outer lock", -1);
	explore_name(&w->inside, sizeof(w->inside), "what it protects", -1);
	w->outer.rank = CF_RANK_DRAIN;
	w->lock.rank = CF_RANK_BLOCK;
}

static void add_one(void)
{
	unsigned long state = real_lock(&w->lock);

	w->inside++;
	real_unlock(&w->lock, state);
	w->held[explore_self()] = *cf_port_held_ranks();
}

static void try_add_one(void)
{
	unsigned long state;

	if (!real_trylock(&w->lock, &state))
		return;
	w->inside++;
	w->got[explore_self()] = true;
	real_unlock(&w->lock, state);
}

static void look_at_lock(void)
{
	REQUIRE(w->lock.word == 0 && w->outer.word == 0);
}

static void both_added(void)
{
	look_at_lock();
	REQUIRE(w->inside == 2);
	REQUIRE(w->held[0] == 0 && w->held[1] == 0);
}

static void one_tried(void)
{
	look_at_lock();
	REQUIRE(w->inside == 1u + w->got[1]);
}

static void two_tried(void)
{
	look_at_lock();
	REQUIRE(w->got[0] || w->got[1]);
	REQUIRE(w->inside == (uint64_t)w->got[0] + w->got[1]);
}

static void two_calls(void)
{
	add_one();
	try_add_one();
}

static void nothing_held(void)
{
	look_at_lock();
	REQUIRE(w->inside >= 2 && w->inside <= 4);
	REQUIRE(w->inside == 2u + w->got[0] + w->got[1]);
}

static const struct explore_program lock_two = {
	.name = "lock-two",
	.worry = "two holders of one lock never see half of each other's work",
	.setup = set_up_lock,
	.thread = { add_one, add_one },
	.end = both_added,
	.quick = true,
};

static const struct explore_program lock_try = {
	.name = "lock-try",
	.worry = "a lock that is tried excludes as one that is waited for",
	.setup = set_up_lock,
	.thread = { add_one, try_add_one },
	.end = one_tried,
	.quick = true,
};

static const struct explore_program lock_try_two = {
	.name = "lock-try-two",
	.worry = "of two who try a free lock at least one has it",
	.setup = set_up_lock,
	.thread = { try_add_one, try_add_one },
	.end = two_tried,
	.quick = true,
};

static const struct explore_program lock_again = {
	.name = "lock-again",
	.worry = "a lock that was given back can be had again, by anyone",
	.setup = set_up_lock,
	.thread = { two_calls, two_calls },
	.end = nothing_held,
	.quick = true,
};

/* Two locks in the wrong order: the check comes before the deadlock. */
static bool refuse_order(const char *expression)
{
	(void)expression;
	w->refused[explore_self()] = true;
	real_unlock(&w->lock, 0);
	return true;
}

static void set_up_order(void)
{
	set_up_lock();
	explore_port_machine()->panic = refuse_order;
}

static void rising(void)
{
	unsigned long outer = real_lock(&w->outer);
	unsigned long state = real_lock(&w->lock);

	w->inside++;
	real_unlock(&w->lock, state);
	real_unlock(&w->outer, outer);
}

static void falling(void)
{
	unsigned long state = real_lock(&w->lock);
	unsigned long outer = real_lock(&w->outer);

	real_unlock(&w->outer, outer);
	real_unlock(&w->lock, state);
}

static void order_refused(void)
{
	look_at_lock();
	REQUIRE(w->inside == 1);
	REQUIRE(w->refused[1] && !w->refused[0]);
}

static const struct explore_program lock_order = {
	.name = "lock-order",
	.worry = "locks in the wrong order end in a check, never in a deadlock",
	.setup = set_up_order,
	.thread = { rising, falling },
	.end = order_refused,
	.quick = true,
};

/* ---- a cache's owner against a drainer ---- */

/* Of block @block only the first @frames are free. */
static void leave_free(unsigned block, cf_pfn frames)
{
	struct cf_request request = { .type = CF_TYPE_KERNEL };

	MUST(cf_alloc_range(ground_map, block * GROUND_BLOCK + frames,
			    (block + 1) * GROUND_BLOCK, request, NULL));
}

/* Thread 0 has one frame, and another in its cache: there are no more. */
static void set_up_cache(bool unfenced)
{
	ground_init((struct ground_config) {
		.caches = true, .unfenced = unfenced });
	w = explore_memory(sizeof(*w));
	leave_free(0, 2);
	w->pfn = ground_alloc(CF_TYPE_KERNEL, 0, 0);
}

static void set_up_fenced(void)
{
	set_up_cache(false);
}

static void set_up_unfenced(void)
{
	set_up_cache(true);
}

static void put_it(void)
{
	*ground_contents(w->pfn) = 1;
	cf_put(ground_map, w->pfn);
}

static void take(uint16_t flags)
{
	struct cf_request request = {
		.type = CF_TYPE_KERNEL,
		.flags = flags,
	};
	unsigned self = explore_self();
	cf_pfn pfn;

	w->err[self] = cf_alloc(ground_map, request, &pfn);
	if (w->err[self])
		return;
	*ground_contents(pfn) = self;
	w->got[self] = true;
	w->got_pfn[self] = pfn;
}

static void take_one(void)
{
	take(0);
}

static void drain(void)
{
	int err = cf_drain(ground_map);

	REQUIRE(err == 0 || err == -CF_EAGAIN);
	w->err[explore_self()] = err;
}

/* Emptied again, every frame is where it should be. */
static void frames_free(uint64_t frames)
{
	struct cf_block_info info;

	MUST(cf_drain(ground_map));
	MUST(cf_block_info(ground_map, 0, &info));
	REQUIRE(info.free == frames);
	ground_verify();
}

static void one_free(void)
{
	frames_free(1);
}

static void both_free(void)
{
	frames_free(2);
}

static const struct explore_program drain_against_free = {
	.name = "drain-against-free",
	.worry = "a frame freed into a cache that is being emptied is neither "
		"lost nor there twice",
	.setup = set_up_fenced,
	.thread = { put_it, drain },
	.end = both_free,
	.quick = true,
};

static const struct explore_program drain_against_free_unfenced = {
	.name = "drain-against-free-unfenced",
	.worry = "the same, with the barrier on all contexts",
	.setup = set_up_unfenced,
	.thread = { put_it, drain },
	.end = both_free,
	.quick = true,
};

/* Two drainers and nobody inside. */
static const struct explore_program drain_against_drain = {
	.name = "drain-against-drain",
	.worry = "two who empty the same cache send each frame home once",
	.setup = set_up_fenced,
	.thread = { drain, drain },
	.end = one_free,
	.quick = true,
};

static void drain_own(void)
{
	cf_drain_cpu(ground_map);
}

static const struct explore_program drain_against_own = {
	.name = "drain-against-own",
	.worry = "a context that empties its own cache and a drainer exclude "
		"each other",
	.setup = set_up_fenced,
	.thread = { drain_own, drain },
	.end = one_free,
	.quick = true,
};

/* Frees a run of the block that the drained frame belongs to. */
static void put_large(void)
{
	cf_put(ground_map, GROUND_CHUNK);
}

static void large_free(void)
{
	frames_free(1 + GROUND_CHUNK);
}

static const struct explore_program drain_against_block = {
	.name = "drain-against-block",
	.worry = "a drain and a free that meet in a block both count",
	.setup = set_up_fenced,
	.thread = { put_large, drain },
	.end = large_free,
	.quick = true,
};

/* ---- an allocation never fails while a fitting run is free ---- */

/*
 * Two blocks, used up but for @free frames at the start of the last one.
 * Contexts look at block 0 first, and only the index leads them to block 1.
 */
static void set_up_scarce(unsigned blocks, cf_pfn free)
{
	unsigned block;

	ground_init((struct ground_config) {
		.blocks = blocks, .online = blocks, .caches = true });
	explore_drain_spins = 1;
	w = explore_memory(sizeof(*w));
	for (block = 0; block + 1 < blocks; block++)
		leave_free(block, 0);
	leave_free(blocks - 1, free);
}

static void set_up_two_frames(void)
{
	set_up_scarce(1, 2);
}

static void both_have_one(void)
{
	REQUIRE(w->got[0] && w->got[1]);
	REQUIRE(w->got_pfn[0] != w->got_pfn[1]);
	frames_free(0);
}

static const struct explore_program alloc_against_refill = {
	.name = "alloc-against-refill",
	.worry = "two frames are enough for two, even if one context takes "
		"both in stock",
	.setup = set_up_two_frames,
	.thread = { take_one, take_one },
	.end = both_have_one,
	.quick = true,
};

/*
 * Thread 1 takes both in stock as one context, and as another, that has no
 * caches, comes to block 1 in vain and clears its bit.  Thread 0 has looked
 * at block 0 before and goes by the index.
 */
static unsigned context_of(void)
{
	return explore_self() + 3 * (unsigned)w->moved[explore_self()];
}

static void set_up_index(void)
{
	set_up_scarce(2, 2);
	explore_port_machine()->cpu = context_of;
}

static void take_and_look_again(void)
{
	struct cf_request request = {
		.type = CF_TYPE_KERNEL,
		.order = 1,
		.flags = CF_ALLOC_NOWAIT,
	};
	cf_pfn pfn;

	take_one();
	w->moved[1] = 1;
	REQUIRE(cf_alloc(ground_map, request, &pfn) == -CF_ENOMEM);
	w->moved[1] = 0;
}

static void take_partial(void)
{
	take(CF_ALLOC_NOSPLIT);
}

static void both_have_one_of_block_1(void)
{
	REQUIRE(w->got[0] && w->got[1]);
	REQUIRE(w->got_pfn[0] != w->got_pfn[1]);
}

static const struct explore_program alloc_against_index = {
	.name = "alloc-against-index",
	.worry = "who is led past a block by the index knows which context "
		"took the block's frames in stock",
	.setup = set_up_index,
	.thread = { take_partial, take_and_look_again },
	.end = both_have_one_of_block_1,
};

/* ---- frames on their way from a cache to their block ---- */

/* One frame is free, in the cache of thread 0; none is elsewhere. */
static void set_up_cached(unsigned blocks)
{
	set_up_scarce(blocks, 2);
	w->pfn = ground_alloc(CF_TYPE_KERNEL, 0, 0);
}

static void set_up_cached_at_home(void)
{
	set_up_cached(1);
}

/* No bit of the index is set: who does not see the drained frame's fails. */
static void set_up_cached_elsewhere(void)
{
	struct cf_request request = {
		.type = CF_TYPE_KERNEL,
		.flags = CF_ALLOC_NOWAIT,
	};
	cf_pfn pfn;

	set_up_cached(2);
	explore_port_machine()->ground_cpu = CF_CPU_NONE;
	REQUIRE(cf_alloc(ground_map, request, &pfn) == -CF_ENOMEM);
	explore_port_machine()->ground_cpu = 0;
}

static void thread_1_has_it(void)
{
	REQUIRE(w->got[1]);
	REQUIRE(w->got_pfn[1] == w->pfn + 1);
}

static const struct explore_program alloc_against_drain = {
	.name = "alloc-against-drain",
	.worry = "a frame that a drain sends home is missed by nobody",
	.setup = set_up_cached_at_home,
	.thread = { drain, take_one },
	.end = thread_1_has_it,
	.quick = true,
};

static const struct explore_program alloc_against_drain_elsewhere = {
	.name = "alloc-against-drain-elsewhere",
	.worry = "the same, where only the index leads to the block",
	.setup = set_up_cached_elsewhere,
	.thread = { drain, take_one },
	.end = thread_1_has_it,
	.quick = true,
};

/* ---- the index: a bit is set below a summary that is being cleared ---- */

#define RUN ((cf_pfn)2)

static struct cf_request pair = {
	.type = CF_TYPE_KERNEL,
	.order = 1,
};

static struct cf_request block_run = {
	.type = CF_TYPE_KERNEL,
	.order = GROUND_BLOCK_ORDER,
};

static void own_pair(cf_pfn first)
{
	MUST(cf_alloc_range(ground_map, first, first + RUN, pair, NULL));
}

/*
 * All is used up.  Block 2 has a run that is to be freed, and no bits; block 1
 * has none, and bits that are stale.  Context 0 begins with block 0, context 1
 * with block 1.
 */
static void set_up_summary(void)
{
	cf_pfn pfn;

	ground_init((struct ground_config) { .blocks = 3, .online = 3 });
	w = explore_memory(sizeof(*w));
	leave_free(0, 0);
	leave_free(1, RUN);
	leave_free(2, RUN);
	own_pair(GROUND_BLOCK);
	own_pair(2 * GROUND_BLOCK);
	REQUIRE(cf_alloc(ground_map, pair, &pfn) == -CF_ENOMEM);
	cf_put(ground_map, GROUND_BLOCK);
	own_pair(GROUND_BLOCK);
}

static void take_pair(void)
{
	unsigned self = explore_self();

	w->got[self] = cf_alloc(ground_map, pair, &w->got_pfn[self]) == 0;
}

static void put_pair(void)
{
	cf_put(ground_map, 2 * GROUND_BLOCK);
}

static void put_pair_and_take(void)
{
	put_pair();
	take_pair();
}

static void pair_is_found(void)
{
	cf_pfn pfn = w->got_pfn[0];

	ground_verify();
	if (!w->got[0])
		MUST(cf_alloc(ground_map, pair, &pfn));
	REQUIRE(pfn == 2 * GROUND_BLOCK);
}

static void one_has_pair(void)
{
	REQUIRE(w->got[0] + w->got[1] == 1);
}

static const struct explore_program index_set_against_clear = {
	.name = "index-set-against-clear",
	.worry = "a run that is freed while another block's bits are cleared "
		"can be found",
	.setup = set_up_summary,
	.thread = { take_pair, put_pair },
	.end = pair_is_found,
	.quick = true,
};

static const struct explore_program alloc_against_clear = {
	.name = "alloc-against-clear",
	.worry = "an allocation does not fail because a summary bit is "
		"cleared for a moment",
	.setup = set_up_summary,
	.thread = { take_pair, put_pair_and_take },
	.end = one_has_pair,
	.quick = true,
};

/*
 * Block 0 is free and has the only bit, of whole blocks; block 2 is one run.
 * Homes are asked without a look at their bits, so another has to be home
 * when they are cleared.
 */
static void set_up_leaving(void)
{
	cf_pfn pfn;

	ground_init((struct ground_config) { .blocks = 3, .online = 3 });
	w = explore_memory(sizeof(*w));
	REQUIRE(ground_alloc(CF_TYPE_KERNEL, GROUND_BLOCK_ORDER, 0) == 0);
	(void)ground_alloc(CF_TYPE_KERNEL, GROUND_BLOCK_ORDER, 0);
	(void)ground_alloc(CF_TYPE_KERNEL, GROUND_BLOCK_ORDER, 0);
	REQUIRE(cf_alloc(ground_map, block_run, &pfn) == -CF_ENOMEM);
	cf_put(ground_map, 0);
	REQUIRE(ground_alloc(CF_TYPE_KERNEL, GROUND_BLOCK_ORDER, 0) == 0);
	REQUIRE(cf_alloc(ground_map, block_run, &pfn) == -CF_ENOMEM);
	cf_put(ground_map, 0);
}

static void leave(void)
{
	MUST(cf_block_offline_start(ground_map, &w->operation, 0,
				    GROUND_BLOCK, NULL));
	MUST(cf_block_offline_step(&w->operation));
}

static void put_block_and_take(void)
{
	cf_put(ground_map, 2 * GROUND_BLOCK);
	w->got[1] = cf_alloc(ground_map, block_run, &w->got_pfn[1]) == 0;
}

static void left_and_taken(void)
{
	REQUIRE(w->got[1]);
	REQUIRE(w->got_pfn[1] == 2 * GROUND_BLOCK);
	ground_verify();
}

static const struct explore_program alloc_against_leaving = {
	.name = "alloc-against-leaving",
	.worry = "an allocation does not fail because another block that goes "
		"offline clears its bits",
	.setup = set_up_leaving,
	.thread = { leave, put_block_and_take },
	.end = left_and_taken,
};

/* ---- blocks claimed one by one for a larger run, and given back ---- */

/* Block 0 is free, block 1 is not. */
static void set_up_span(void)
{
	ground_init((struct ground_config) { .blocks = 2, .online = 2 });
	w = explore_memory(sizeof(*w));
	leave_free(1, 1);
}

static void take_two_blocks(void)
{
	struct cf_request request = {
		.type = CF_TYPE_KERNEL,
		.order = GROUND_BLOCK_ORDER + 1,
	};
	cf_pfn pfn;

	REQUIRE(cf_alloc(ground_map, request, &pfn) == -CF_ENOMEM);
}

static void take_chunk(void)
{
	struct cf_request request = { .type = CF_TYPE_KERNEL, .order = 9 };

	w->got[1] = cf_alloc(ground_map, request, &w->got_pfn[1]) == 0;
}

static void is_taken(void)
{
	REQUIRE(w->got[1]);
	ground_verify();
}

static const struct explore_program alloc_against_span = {
	.name = "alloc-against-span",
	.worry = "an allocation does not fail because a larger one has claimed "
		"a block in vain",
	.setup = set_up_span,
	.thread = { take_two_blocks, take_chunk },
	.end = is_taken,
	.quick = true,
};

/* ---- runs found for an owner whose block it is not ---- */

static const struct cf_owner_ops no_ops;

static void set_up_refusal(void)
{
	ground_init((struct ground_config) { .blocks = 1, .online = 1 });
	w = explore_memory(sizeof(*w));
	explore_take_tries = 2;
	leave_free(0, 2);
	MUST(cf_owner_register(ground_map, "owner", &no_ops, NULL, &w->owner));
}

static void take_skippable(void)
{
	size_t done;
	cf_pfn pfn[2];
	int err;

	err = cf_offline_alloc_bulk(ground_map, w->owner, 0, CF_FLAG_SKIPPABLE,
				    2, pfn, &done);
	REQUIRE(err == -CF_EREFUSED && done == 0);
}

static void take_frame(void)
{
	struct cf_request request = { .type = CF_TYPE_KERNEL };

	w->got[1] = cf_alloc(ground_map, request, &w->got_pfn[1]) == 0;
}

static const struct explore_program alloc_against_refusal = {
	.name = "alloc-against-refusal",
	.worry = "an allocation does not fail because frames are taken for an "
		"owner who may not have them",
	.setup = set_up_refusal,
	.thread = { take_skippable, take_frame },
	.end = is_taken,
	.quick = true,
};

/* ---- a run breaks again and again below a search ---- */

/* Block 0 is one run and home to all; block 1 is free. */
/* Contexts without a home, which would only be one more thing to explore. */
static unsigned context_above(void)
{
	return 3 + explore_self();
}

static void set_up_breaks(void)
{
	ground_init((struct ground_config) { .blocks = 2, .online = 2 });
	w = explore_memory(sizeof(*w));
	explore_port_machine()->cpu = context_above;
	explore_take_tries = 2;
	REQUIRE(ground_alloc(CF_TYPE_KERNEL, GROUND_BLOCK_ORDER, 0) == 0);
}

static int take_order(unsigned order, cf_pfn *ret_pfn)
{
	struct cf_request request = {
		.type = CF_TYPE_KERNEL,
		.order = (uint8_t)order,
	};

	return cf_alloc(ground_map, request, ret_pfn);
}

static void take_quarter(void)
{
	w->got[0] = take_order(8, &w->got_pfn[0]) == 0;
}

/* Takes half, then half of the rest, and clears the bits in vain. */
static void break_twice(void)
{
	cf_pfn pfn;

	MUST(take_order(9, &pfn));
	w->got[1] = take_order(8, &w->got_pfn[1]) == 0;
	REQUIRE(take_order(9, &pfn) == -CF_ENOMEM);
}

static void both_have_quarters(void)
{
	REQUIRE(w->got[0] && w->got[1]);
	REQUIRE(w->got_pfn[0] != w->got_pfn[1]);
}

static const struct explore_program alloc_against_breaks = {
	.name = "alloc-against-breaks",
	.worry = "an allocation does not fail because a run breaks into "
		"smaller ones while it is looked for",
	.setup = set_up_breaks,
	.thread = { take_quarter, break_twice },
	.end = both_have_quarters,
};

const struct explore_program *const explore_caches[] = {
	&lock_two,
	&lock_try,
	&lock_try_two,
	&lock_again,
	&lock_order,
	&drain_against_free,
	&drain_against_free_unfenced,
	&drain_against_drain,
	&drain_against_own,
	&drain_against_block,
	&alloc_against_refill,
	&alloc_against_index,
	&alloc_against_drain,
	&alloc_against_drain_elsewhere,
	&index_set_against_clear,
	&alloc_against_clear,
	&alloc_against_leaving,
	&alloc_against_span,
	&alloc_against_refusal,
	&alloc_against_breaks,
	NULL
};
