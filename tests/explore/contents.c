/* SPDX-License-Identifier: MIT */

/*
 * Who reads what frames hold without a reference, and who keeps their numbers:
 * against frames and blocks that go.
 */

#include "ground.h"

static struct {
	cf_pfn pfn, other;
	uint32_t owner;
	struct cf_offline operation;
	struct cf_subscriber subscriber[3];

	/* A scanner's, as it keeps frames over events. */
	struct cf_lock lock;
	bool paused, dropped;
	uint64_t going, cancelled, done;
} *w;

static void begin(unsigned blocks)
{
	ground_init((struct ground_config) { .blocks = blocks,
					     .online = blocks });
	w = explore_memory(sizeof(*w));
	w->lock.rank = CF_RANK_DRIVER;
}

/* ---- readers of contents against the host ---- */

/* The frame that the next one to go offline will be. */
static cf_pfn next_offline(void)
{
	cf_pfn pfn;

	MUST(cf_offline_alloc(ground_map, CF_OWNER_NONE, 0, 0, &pfn));
	MUST(cf_offline_free(ground_map, CF_OWNER_NONE, pfn, 0));
	return pfn;
}

static void set_up_dump(void)
{
	begin(1);
	w->pfn = next_offline();
}

static void inflate(void)
{
	cf_pfn pfn;

	MUST(cf_offline_alloc(ground_map, CF_OWNER_NONE, 0, 0, &pfn));
	cf_content_sync(ground_map);
	/* The host is told, and does with it what it likes. */
	*ground_contents(pfn) = 1;
}

static bool is_offline(cf_pfn pfn)
{
	struct cf_snapshot run;

	return cf_snapshot(ground_map, pfn, &run) == 0 &&
	       run.type == CF_TYPE_OFFLINE;
}

static void read_contents(cf_pfn pfn)
{
	(void)*(volatile uint64_t *)ground_contents(pfn);
}

static void dump(void)
{
	unsigned ticket = cf_content_begin(ground_map);

	if (!is_offline(w->pfn))
		read_contents(w->pfn);
	cf_content_end(ground_map, ticket);
}

static const struct explore_program dump_against_inflate = {
	.name = "dump-against-inflate",
	.worry = "a dump never reads a frame the host has taken (PG_offline, "
		 "2018)",
	.setup = set_up_dump,
	.thread = { inflate, dump },
	.end = ground_verify,
	.quick = true,
};

static void dump_twice(void)
{
	dump();
	dump();
}

static void inflate_twice(void)
{
	inflate();
	inflate();
}

static const struct explore_program dumps_against_inflates = {
	.name = "dumps-against-inflates",
	.worry = "nor when tickets have changed in between",
	.setup = set_up_dump,
	.thread = { inflate_twice, dump_twice },
	.end = ground_verify,
	.quick = true,
};

static const struct explore_program two_dumps_against_inflate = {
	.name = "two-dumps-against-inflate",
	.worry = "nor with two at a time that dump",
	.setup = set_up_dump,
	.thread = { inflate, dump, dump },
	.end = ground_verify,
	.quick = true,
};

static void set_up_two_marked(void)
{
	begin(1);
	w->pfn = 0;
	w->other = 1;
}

/* Marked by each, synced by each: the lock is for tickets. */
static void sync_only(void)
{
	cf_content_sync(ground_map);
}

static void inflate_zero(void)
{
	MUST(cf_offline_alloc_range(ground_map, CF_OWNER_NONE, 0, 1, 0, NULL));
	cf_content_sync(ground_map);
	*ground_contents(0) = 1;
}

static const struct explore_program dump_against_two_syncs = {
	.name = "dump-against-two-syncs",
	.worry = "nor with two balloons that wait for readers at one time",
	.setup = set_up_two_marked,
	.thread = { inflate_zero, sync_only, dump },
	.end = ground_verify,
	.quick = true,
};

/* A block goes offline with a free frame in it that a dump may read. */
static void set_up_free_block(void)
{
	begin(1);
}

static int take_offline(void)
{
	int err;

	MUST(cf_block_offline_start(ground_map, &w->operation, 0, GROUND_BLOCK,
				    NULL));
	err = cf_block_offline_step(&w->operation);
	if (err)
		MUST(cf_block_offline_cancel(&w->operation));
	return err;
}

static void unplug_block(void)
{
	MUST(take_offline());
	*ground_contents(3) = 1;
}

static void dump_free(void)
{
	unsigned ticket = cf_content_begin(ground_map);
	struct cf_span span;
	cf_pfn cursor = 3;

	cf_walk_begin(ground_map);
	REQUIRE(cf_walk_next(ground_map, &cursor, 4, &span));
	cf_walk_end(ground_map);
	if (span.kind != CF_SPAN_BLOCK_OFFLINE && span.kind != CF_SPAN_ABSENT)
		read_contents(3);
	cf_content_end(ground_map, ticket);
}

static const struct explore_program dump_against_block_offline = {
	.name = "dump-against-block-offline",
	.worry = "a dump reads nothing of a block once that is said to be "
		 "offline (pfn_to_online_page)",
	.setup = set_up_free_block,
	.thread = { unplug_block, dump_free },
	.end = ground_verify,
	.quick = true,
};

/* A balloon's run moves: the host takes the target, gives the source back. */
static int migrate(void *context, cf_pfn source, cf_pfn target, unsigned order)
{
	(void)context;
	(void)source;
	(void)order;
	REQUIRE(target == w->other);
	*ground_contents(target) = 1;
	return 0;
}

static const struct cf_owner_ops balloon = { .migrate = migrate };

static void set_up_balloon(void)
{
	begin(2);
	MUST(cf_owner_register(ground_map, "balloon", &balloon, NULL,
			       &w->owner));
	MUST(cf_offline_alloc(ground_map, w->owner, CF_CHUNK_ORDER,
			      CF_FLAG_MOVABLE, &w->pfn));
	REQUIRE(w->pfn < GROUND_BLOCK);
	w->other = GROUND_BLOCK;
}

static void move_balloon(void)
{
	MUST(take_offline());
}

static void dump_target(void)
{
	unsigned ticket = cf_content_begin(ground_map);

	if (!is_offline(w->other))
		read_contents(w->other);
	cf_content_end(ground_map, ticket);
}

static const struct explore_program dump_against_move = {
	.name = "dump-against-move",
	.worry = "nor a frame the host is given in the place of another",
	.setup = set_up_balloon,
	.thread = { move_balloon, dump_target },
	.end = ground_verify,
	.quick = true,
};

/* ---- a scanner that keeps numbers over events ---- */

static void set_paused(bool paused)
{
	unsigned long state = cf_lock(&w->lock);

	w->paused = paused;
	cf_unlock(&w->lock, state);
}

static int pause_scan(void *context, enum cf_event event, cf_pfn first,
		      cf_pfn last)
{
	(void)context;
	(void)event;
	(void)first;
	(void)last;
	w->going++;
	set_paused(true);
	return 0;
}

static void resume_scan(void *context, enum cf_event event, cf_pfn first,
			cf_pfn last)
{
	(void)context;
	(void)event;
	(void)first;
	(void)last;
	w->cancelled++;
	set_paused(false);
}

static void drop_numbers(void *context, enum cf_event event, cf_pfn first,
			 cf_pfn last)
{
	unsigned long state = cf_lock(&w->lock);

	(void)context;
	(void)event;
	(void)first;
	(void)last;
	w->done++;
	w->dropped = true;
	cf_unlock(&w->lock, state);
	set_paused(false);
}

static void subscribe(unsigned number, const char *name, int priority)
{
	w->subscriber[number] = (struct cf_subscriber) {
		.name = name,
		.priority = priority,
		.going = pause_scan,
		.cancel = resume_scan,
		.done = drop_numbers,
	};
	MUST(cf_subscriber_add(ground_map, &w->subscriber[number]));
}

static void set_up_scanner(void)
{
	begin(1);
	subscribe(0, "scanner", 0);
	w->pfn = ground_alloc(CF_TYPE_FOLIO, CF_CHUNK_ORDER, 0);
}

/* Look at the frame by its number, unless that is not the moment. */
static void scan(void)
{
	unsigned long state = cf_lock(&w->lock);

	if (!w->paused && !w->dropped &&
	    cf_try_get(ground_map, w->pfn) == 0) {
		read_contents(w->pfn);
		cf_put(ground_map, w->pfn);
	}
	cf_unlock(&w->lock, state);
}

/* The scanner is out of the way from going on: it never holds this up. */
static void free_and_unplug(void)
{
	cf_put(ground_map, w->pfn);
	MUST(take_offline());
	*ground_contents(w->pfn) = 1;
}

static void told_of_done(void)
{
	REQUIRE(w->going == 1 && w->cancelled == 0 && w->done == 1);
	REQUIRE(w->dropped && !w->paused);
	MUST(cf_subscriber_remove(ground_map, &w->subscriber[0]));
	ground_verify();
}

static const struct explore_program scanner_against_done = {
	.name = "scanner-against-done",
	.worry = "a scanner that pauses at going neither holds up offlining "
		 "nor keeps numbers of what is gone (KSM, compaction)",
	.setup = set_up_scanner,
	.thread = { free_and_unplug, scan },
	.end = told_of_done,
	.quick = true,
};

static void fail_to_unplug(void)
{
	REQUIRE(take_offline() == -CF_EBUSY);
}

static void told_of_cancel(void)
{
	REQUIRE(w->going == 1 && w->cancelled == 1 && w->done == 0);
	REQUIRE(!w->dropped && !w->paused);
	MUST(cf_try_get(ground_map, w->pfn));
	cf_put(ground_map, w->pfn);
	ground_verify();
}

static const struct explore_program scanner_against_cancel = {
	.name = "scanner-against-cancel",
	.worry = "and goes on with its numbers when offlining is given up",
	.setup = set_up_scanner,
	.thread = { fail_to_unplug, scan },
	.end = told_of_cancel,
	.quick = true,
};

/* A stale number after all: nothing is behind it. */
static void scan_stale(void)
{
	if (cf_try_get(ground_map, w->pfn) == 0) {
		w->other = 1;
		read_contents(w->pfn);
	}
}

static void unplug_and_remove(void)
{
	int err;

	cf_put(ground_map, w->pfn);
	err = take_offline();
	if (err) {
		REQUIRE(err == -CF_EBUSY);
		return;
	}
	MUST(cf_block_remove(ground_map, 0, GROUND_BLOCK));
	*ground_contents(w->pfn) = 1;
}

static void held_or_removed(void)
{
	struct cf_block_info info;

	REQUIRE((cf_block_info(ground_map, 0, &info) == 0) == (w->other == 1));
	REQUIRE(w->going == 1 && w->cancelled + w->done == 1);
	REQUIRE(w->done == (w->other == 0));
	ground_verify();
}

static const struct explore_program stale_number_against_removal = {
	.name = "stale-number-against-removal",
	.worry = "a number that was kept all the same is refused",
	.setup = set_up_scanner,
	.thread = { unplug_and_remove, scan_stale },
	.end = held_or_removed,
	.quick = true,
};

static int veto(void *context, enum cf_event event, cf_pfn first, cf_pfn last)
{
	(void)context;
	(void)event;
	(void)first;
	(void)last;
	w->going++;
	return 1;
}

/* Two agree, one in the middle refuses, the last is not asked. */
static void set_up_veto(void)
{
	begin(1);
	subscribe(0, "first", 2);
	subscribe(1, "middle", 1);
	subscribe(2, "last", 0);
	w->subscriber[1].going = veto;
	w->pfn = ground_alloc(CF_TYPE_FOLIO, 0, 0);
}

static void start_in_vain(void)
{
	struct cf_report report;

	REQUIRE(cf_block_offline_start(ground_map, &w->operation, 0,
				       GROUND_BLOCK, &report) == -CF_EREFUSED);
	REQUIRE(report.reason == CF_REASON_VETO && report.owner == 1);
	REQUIRE(w->going == 2 && w->cancelled == 1 && w->done == 0);
}

static const struct explore_program scanner_against_veto = {
	.name = "scanner-against-veto",
	.worry = "a veto is told to exactly those that had agreed, and all is "
		 "as it was",
	.setup = set_up_veto,
	.thread = { start_in_vain, scan },
	.end = ground_verify,
	.quick = true,
};

/* Somebody subscribes, or leaves, while an operation begins and ends. */
static void set_up_late(void)
{
	begin(1);
	w->pfn = ground_alloc(CF_TYPE_FOLIO, CF_CHUNK_ORDER, 0);
	w->subscriber[0] = (struct cf_subscriber) {
		.name = "late",
		.going = pause_scan,
		.cancel = resume_scan,
		.done = drop_numbers,
	};
}

static void subscribe_late(void)
{
	int err = cf_subscriber_add(ground_map, &w->subscriber[0]);

	REQUIRE(err == 0 || err == -CF_EBUSY);
}

static void told_of_both_or_none(void)
{
	REQUIRE(w->going <= 1);
	REQUIRE(w->going == w->cancelled && w->done == 0);
	REQUIRE(!w->paused);
	ground_verify();
}

static const struct explore_program subscribe_against_offline = {
	.name = "subscribe-against-offline",
	.worry = "who subscribes is told of the whole of an operation or of "
		 "nothing",
	.setup = set_up_late,
	.thread = { fail_to_unplug, subscribe_late },
	.end = told_of_both_or_none,
	.quick = true,
};

static void set_up_leaving(void)
{
	set_up_late();
	MUST(cf_subscriber_add(ground_map, &w->subscriber[0]));
}

static void unsubscribe(void)
{
	int err = cf_subscriber_remove(ground_map, &w->subscriber[0]);

	REQUIRE(err == 0 || err == -CF_EBUSY);
	/* Nothing calls it any more. */
	if (err == 0)
		w->going = w->cancelled;
}

static const struct explore_program unsubscribe_against_offline = {
	.name = "unsubscribe-against-offline",
	.worry = "who leaves is not called any more, nor left paused",
	.setup = set_up_leaving,
	.thread = { fail_to_unplug, unsubscribe },
	.end = told_of_both_or_none,
	.quick = true,
};

const struct explore_program *const explore_contents[] = {
	&dump_against_inflate, &dumps_against_inflates,
	&two_dumps_against_inflate, &dump_against_two_syncs,
	&dump_against_block_offline, &dump_against_move,
	&scanner_against_done, &scanner_against_cancel,
	&stale_number_against_removal, &scanner_against_veto,
	&subscribe_against_offline, &unsubscribe_against_offline, NULL
};
