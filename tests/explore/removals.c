/* SPDX-License-Identifier: MIT */

/*
 * Blocks whose metadata lies in themselves, or in one piece with another's:
 * whoever looks by a number while they go; and who counts them.
 */

#include "ground.h"

#define STALE 0xdeadbeefdeadbeef	/* what nobody may take for a word */

/* Of each frame so much is kept that metadata has room in its block. */
#define KEPT_BYTES ((size_t)64)

static struct {
	cf_pfn pfn;
	void *meta;
	size_t meta_bytes;
	struct cf_offline operation;
	int err[EXPLORE_THREADS_MAX];
} *w;

/* Whoever still looks at it races with this. */
static void scribble(void)
{
	volatile uint64_t *plain = w->meta;
	uint64_t *word = w->meta;
	size_t i;

	for (i = 0; i < w->meta_bytes / sizeof(*word); i++) {
		plain[i] = STALE;
		explore_store(&word[i], STALE, EXPLORE_PLAIN, EXPLORE_SITE);
	}
}

static void take_offline(cf_pfn first, cf_pfn last)
{
	MUST(cf_block_offline_start(ground_map, &w->operation, first, last,
				    NULL));
	MUST(cf_block_offline_step(&w->operation));
}

/* ---- metadata in the block itself ---- */

static void add_self(void)
{
	struct cf_block_config config = { .meta = CF_META_SELF };

	MUST(cf_block_add(ground_map, GROUND_BLOCK, 2 * GROUND_BLOCK, &config));
}

static void online_self(void)
{
	MUST(cf_block_online(ground_map, GROUND_BLOCK, 2 * GROUND_BLOCK,
			     CF_ZONE_NORMAL, NULL));
}

static void set_up_self(void)
{
	struct explore_machine *machine;

	ground_init((struct ground_config) { .blocks = 2, .online = 1 });
	w = explore_memory(sizeof(*w));
	machine = explore_port_machine();
	machine->frame_bytes = KEPT_BYTES;
	machine->contents = explore_memory(machine->frames * KEPT_BYTES);
	w->meta = (char *)machine->contents + GROUND_BLOCK * KEPT_BYTES;
	w->meta_bytes = cf_block_meta_bytes(ground_map, 1);
	explore_name(w->meta, w->meta_bytes, "metadata of block", 1);
	scribble();
	add_self();
}

static void set_up_self_online(void)
{
	set_up_self();
	online_self();
}

/* Out of use, out of the map, back to the host, who writes to all of it. */
static void unplug_self(void)
{
	take_offline(GROUND_BLOCK, 2 * GROUND_BLOCK);
	MUST(cf_block_remove(ground_map, GROUND_BLOCK, 2 * GROUND_BLOCK));
	scribble();
}

static void look_at_self(void)
{
	struct cf_snapshot run;
	cf_pfn head;

	if (cf_snapshot(ground_map, GROUND_BLOCK, &run) == 0)
		REQUIRE(run.type == CF_TYPE_RESERVED &&
			run.flags == CF_FLAG_SELF);
	REQUIRE(cf_try_get(ground_map, GROUND_BLOCK) == -CF_EGONE);
	head = cf_find_head(ground_map, GROUND_BLOCK + 1);
	REQUIRE(head == CF_PFN_NONE ||
		(head >= GROUND_BLOCK && head <= GROUND_BLOCK + 1));
}

static const struct explore_program self_hosted_removal = {
	.name = "self-hosted-removal",
	.worry = "a block that holds its own metadata is the host's only when "
		 "nobody looks at that (memmap on memory)",
	.setup = set_up_self_online,
	.thread = { unplug_self, look_at_self },
	.end = ground_verify,
};

static void walk_self(void)
{
	cf_pfn cursor = GROUND_BLOCK;
	struct cf_span span;

	cf_walk_begin(ground_map);
	REQUIRE(cf_walk_next(ground_map, &cursor, 2 * GROUND_BLOCK, &span));
	if (span.kind == CF_SPAN_RUN)
		REQUIRE(span.type == CF_TYPE_RESERVED &&
			span.flags == CF_FLAG_SELF);
	else
		REQUIRE(span.kind == CF_SPAN_ABSENT ||
			span.kind == CF_SPAN_BLOCK_OFFLINE ||
			span.kind == CF_SPAN_TRANSIT);
	cf_walk_end(ground_map);
}

static const struct explore_program walk_against_self_hosted = {
	.name = "walk-against-self-hosted",
	.worry = "and a walker tells of it as what it is",
	.setup = set_up_self_online,
	.thread = { unplug_self, walk_self },
	.end = ground_verify,
};

static void plug_self(void)
{
	MUST(cf_block_remove(ground_map, GROUND_BLOCK, 2 * GROUND_BLOCK));
	scribble();
	add_self();
	online_self();
}

static const struct explore_program self_hosted_renewal = {
	.name = "self-hosted-renewal",
	.worry = "and of what comes in its place",
	.setup = set_up_self,
	.thread = { plug_self, look_at_self },
	.end = ground_verify,
};

static void cycle_self(void)
{
	take_offline(GROUND_BLOCK, 2 * GROUND_BLOCK);
	online_self();
}

static const struct explore_program self_hosted_cycle = {
	.name = "self-hosted-cycle",
	.worry = "its own metadata stays while the block is not in use",
	.setup = set_up_self_online,
	.thread = { cycle_self, look_at_self },
	.end = ground_verify,
};

/* ---- one piece of metadata for two blocks ---- */

static void set_up_piece(void)
{
	struct cf_block_config config = { .meta = CF_META_CALLER };

	ground_init((struct ground_config) { .blocks = 3, .online = 1 });
	w = explore_memory(sizeof(*w));
	w->meta = ground_meta(2);
	w->meta_bytes = cf_block_meta_bytes(ground_map, 2);
	explore_name(w->meta, w->meta_bytes, "metadata of two blocks", -1);
	config.memory = w->meta;
	MUST(cf_block_add(ground_map, GROUND_BLOCK, 3 * GROUND_BLOCK, &config));
}

static void remove_piece(void)
{
	REQUIRE(cf_block_remove(ground_map, GROUND_BLOCK, 2 * GROUND_BLOCK) ==
		-CF_EINVAL);
	MUST(cf_block_remove(ground_map, GROUND_BLOCK, 3 * GROUND_BLOCK));
	scribble();
}

static void walk_piece(void)
{
	cf_pfn cursor = GROUND_BLOCK;
	struct cf_span span;

	cf_walk_begin(ground_map);
	while (cf_walk_next(ground_map, &cursor, 3 * GROUND_BLOCK, &span))
		REQUIRE(span.kind == CF_SPAN_ABSENT ||
			span.kind == CF_SPAN_BLOCK_OFFLINE);
	cf_walk_end(ground_map);
}

static void get_in_piece(void)
{
	REQUIRE(cf_try_get(ground_map, 2 * GROUND_BLOCK) == -CF_EGONE);
	REQUIRE(cf_try_get(ground_map, GROUND_BLOCK) == -CF_EGONE);
}

static const struct explore_program piece_removal = {
	.name = "piece-removal",
	.worry = "metadata that two blocks share stays until both are looked "
		 "at no more",
	.setup = set_up_piece,
	.thread = { remove_piece, walk_piece, get_in_piece },
	.end = ground_verify,
};

/* ---- who counts ---- */

static void set_up_count(void)
{
	ground_init((struct ground_config) { .blocks = 1 });
	w = explore_memory(sizeof(*w));
	MUST(cf_offline_alloc(ground_map, CF_OWNER_NONE, 2, 0, &w->pfn));
}

static void deflate_and_allocate(void)
{
	struct cf_request request = { .type = CF_TYPE_KERNEL, .order = 1 };
	cf_pfn pfn;

	MUST(cf_offline_free_range(ground_map, CF_OWNER_NONE, w->pfn,
				   w->pfn + 2));
	MUST(cf_alloc(ground_map, request, &pfn));
}

static void count(void)
{
	struct cf_zone_stat zone;
	struct cf_stat all;

	cf_stat(ground_map, &all);
	REQUIRE(all.present == GROUND_BLOCK);
	REQUIRE(all.offline == 4 || all.offline == 2);
	REQUIRE(all.managed + all.offline == all.present);
	MUST(cf_zone_stat(ground_map, 0, CF_ZONE_NORMAL, &zone));
	REQUIRE(zone.present == GROUND_BLOCK);
}

static const struct explore_program stat_against_deflate = {
	.name = "stat-against-deflate",
	.worry = "managed memory is counted as it changes, in one piece",
	.setup = set_up_count,
	.thread = { deflate_and_allocate, count },
	.end = ground_verify,
	.quick = true,
};

/* It may find what is half way; it must not trip over it. */
static void verify(void)
{
	struct cf_finding finding;

	(void)cf_verify(ground_map, &finding);
}

static const struct explore_program verify_against_deflate = {
	.name = "verify-against-deflate",
	.worry = "looking at every equation disturbs nobody",
	.setup = set_up_count,
	.thread = { deflate_and_allocate, verify },
	.end = ground_verify,
};

static void remove_self_again(void)
{
	MUST(cf_block_remove(ground_map, GROUND_BLOCK, 2 * GROUND_BLOCK));
	scribble();
}

static void count_all(void)
{
	struct cf_zone_stat zone;
	struct cf_stat all;

	cf_stat(ground_map, &all);
	REQUIRE(all.present == GROUND_BLOCK);
	MUST(cf_zone_stat(ground_map, 0, CF_ZONE_NORMAL, &zone));
	REQUIRE(zone.present == GROUND_BLOCK);
}

static const struct explore_program stat_against_removal = {
	.name = "stat-against-removal",
	.worry = "who counts blocks does not look into one that is gone",
	.setup = set_up_self,
	.thread = { remove_self_again, count_all },
	.end = ground_verify,
	.quick = true,
};

static const struct explore_program verify_against_removal = {
	.name = "verify-against-removal",
	.worry = "nor does who verifies",
	.setup = set_up_self,
	.thread = { remove_self_again, verify },
	.end = ground_verify,
	.quick = true,
};

const struct explore_program *const explore_removals[] = {
	&self_hosted_removal, &walk_against_self_hosted, &self_hosted_renewal,
	&self_hosted_cycle, &piece_removal, &stat_against_deflate,
	&verify_against_deflate, &stat_against_removal,
	&verify_against_removal, NULL
};
