/* SPDX-License-Identifier: MIT */

/*
 * The table of bad frames: blocks that go and come with bad frames in them,
 * and who reads the table while it changes.
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

/* ---- blocks that go offline ---- */

static struct cf_offline *offline;

static void set_up_operation(void)
{
	own_init_bad_free();
	offline = explore_memory(sizeof(*offline));
}

static void start(void)
{
	own->err[0] = cf_block_offline_start(ground_map, offline, 0,
					     GROUND_BLOCK, NULL);
}

/* Bad frames are bad again when the block comes back. */
static void offline_and_online(void)
{
	unsigned bad = own->err[1] == 0;

	MUST(cf_block_offline_step(offline));
	REQUIRE(cf_retire_state(ground_map, own->bad) ==
		(bad ? CF_RETIRE_PENDING : CF_RETIRE_NONE));
	MUST(cf_block_online(ground_map, 0, GROUND_BLOCK, CF_ZONE_NORMAL,
			     NULL));
	REQUIRE(own_block(0).retired == bad && own_is_retired(own->bad) == bad);
	REQUIRE(own_block(0).free == GROUND_BLOCK - bad);
	ground_verify();
}

static void end_start(void)
{
	REQUIRE(own->err[0] == 0);
	REQUIRE(own->err[1] == 0 || own->err[1] == -CF_EBUSY);
	REQUIRE(own_is_retired(own->bad) == (own->err[1] == 0));
	ground_verify();
	offline_and_online();
}

static const struct explore_program start_against_retire = {
	.name = "start-against-retire",
	.worry = "a frame is retired before its block begins to go, or not "
		 "at all, and who is refused changes nothing (memory_failure "
		 "against offlining, 2018)",
	.setup = set_up_operation,
	.thread = { start, own_retire },
	.end = end_start,
};

static void set_up_started(void)
{
	set_up_operation();
	start();
	REQUIRE(own->err[0] == 0);
}

static void step(void)
{
	own->err[0] = cf_block_offline_step(offline);
}

static void end_step(void)
{
	unsigned bad = own->err[1] == 0;

	REQUIRE(own->err[0] == 0);
	REQUIRE(bad ? own->state[1] == CF_RETIRE_PENDING :
		own->err[1] == -CF_EBUSY);
	MUST(cf_block_online(ground_map, 0, GROUND_BLOCK, CF_ZONE_NORMAL,
			     NULL));
	REQUIRE(own_block(0).retired == bad && own_is_retired(own->bad) == bad);
	REQUIRE(own_block(0).free == GROUND_BLOCK - bad);
	ground_verify();
}

static const struct explore_program commit_against_retire = {
	.name = "commit-against-retire",
	.worry = "a frame of a block that is just offline is remembered and "
		 "does not come back with it (memory_failure against "
		 "offlining, 2018)",
	.setup = set_up_started,
	.thread = { step, own_retire },
	.end = end_step,
	.quick = true,
};

static void cancel(void)
{
	own->err[0] = cf_block_offline_cancel(offline);
}

static void end_cancel(void)
{
	unsigned bad = own->err[1] == 0;

	REQUIRE(own->err[0] == 0);
	REQUIRE(bad ? own->state[1] == CF_RETIRE_DONE :
		own->err[1] == -CF_EBUSY);
	REQUIRE(own_is_retired(own->bad) == bad);
	REQUIRE(own_block(0).free == GROUND_BLOCK - bad);
	ground_verify();
}

static const struct explore_program cancel_against_retire = {
	.name = "cancel-against-retire",
	.worry = "a frame can be retired again as soon as its block stays "
		 "(memory notifiers with cancel, 2024)",
	.setup = set_up_started,
	.thread = { cancel, own_retire },
	.end = end_cancel,
	.quick = true,
};

/*
 * The block is isolated, so retirement is refused; but while it stands in the
 * table the frame may come back, and then it is out.
 */
static void set_up_isolated_offline(void)
{
	own_init_bad_offline();
	offline = explore_memory(sizeof(*offline));
	start();
	REQUIRE(own->err[0] == 0);
}

static void end_forget(void)
{
	unsigned bad = own->err[1] == 0;

	REQUIRE(bad ? own->state[1] == CF_RETIRE_DONE :
		own->err[1] == -CF_EBUSY);
	REQUIRE(own_is_retired(own->bad) == bad && own_block(0).retired == bad);
	ground_verify();
	offline_and_online();
}

static const struct explore_program forget_against_offline_free = {
	.name = "forget-against-offline-free",
	.worry = "who is told that a frame was not retired finds it free, and "
		 "who is told that it was does not (free_offline_page during "
		 "offlining, 2024)",
	.setup = set_up_isolated_offline,
	.thread = { own_free_offline, own_retire },
	.end = end_forget,
	.quick = true,
};

/* ---- blocks that come ---- */

/* The machine zeroes what is exposed: nothing that is known to be bad. */
static void see_exposed(cf_pfn first, cf_pfn last)
{
	REQUIRE(own->bad < first || own->bad >= last ||
		cf_retire_state(ground_map, own->bad) == CF_RETIRE_NONE);
}

static void set_up_second(void)
{
	struct cf_block_config config = { .meta = CF_META_CALLER };

	own_init_bad((struct ground_config) { .blocks = 2 }, NULL, 0);
	config.memory = ground_meta(1);
	MUST(cf_block_add(ground_map, GROUND_BLOCK, 2 * GROUND_BLOCK,
			  &config));
	own->bad = GROUND_BLOCK + 1;
	explore_port_machine()->exposed = see_exposed;
}

static void bring_online(void)
{
	MUST(cf_block_online(ground_map, GROUND_BLOCK, 2 * GROUND_BLOCK,
			     CF_ZONE_NORMAL, NULL));
}

static const struct explore_program online_against_retire = {
	.name = "online-against-retire",
	.worry = "a frame found bad while its block comes online is not "
		 "exposed, or taken out again (generic online callback, 2024)",
	.setup = set_up_second,
	.thread = { bring_online, own_retire },
	.end = own_end_retired,
};

static void remove_and_add(void)
{
	struct cf_block_config config = {
		.meta = CF_META_CALLER,
		.memory = (void *)own->frames[0],
	};

	MUST(cf_block_remove(ground_map, GROUND_BLOCK, 2 * GROUND_BLOCK));
	MUST(cf_block_add(ground_map, GROUND_BLOCK, 2 * GROUND_BLOCK,
			  &config));
}

static void set_up_remove(void)
{
	set_up_second();
	own->frames[0] = (uint64_t)ground_meta(1);
}

static void end_remove(void)
{
	REQUIRE(own->state[1] == CF_RETIRE_PENDING);
	bring_online();
	own_end_retired();
}

static const struct explore_program remove_against_retire = {
	.name = "remove-against-retire",
	.worry = "a bad frame is remembered through removal and adding of its "
		 "block (hwpoison and memory hotplug, 2018)",
	.setup = set_up_remove,
	.thread = { remove_and_add, own_retire },
	.end = end_remove,
	.quick = true,
};

/* ---- the table ---- */

static void set_up_small_table(void)
{
	own_init_bad((struct ground_config) { .poison_max = 1 }, NULL, 1);
}

static void retire_first(void)
{
	own->err[0] = cf_retire(ground_map, own->pfn, &own->state[0]);
}

static void end_small_table(void)
{
	unsigned won = own->err[1] == 0;

	REQUIRE(own->err[won] == 0 && own->err[!won] == -CF_ELIMIT);
	own_put();
	REQUIRE(own_is_retired(own->pfn + won));
	REQUIRE(own_look(own->pfn + !won).type == CF_TYPE_NONE);
	ground_verify();
}

static const struct explore_program retire_into_last_place = {
	.name = "retire-into-last-place",
	.worry = "two frames found bad at one time do not share a place in "
		 "the table (memory_failure storms, 2018)",
	.setup = set_up_small_table,
	.thread = { retire_first, own_retire },
	.end = end_small_table,
	.quick = true,
};

static void end_two(void)
{
	REQUIRE(own->err[0] == 0 && own->err[1] == 0);
	own_put();
	REQUIRE(own_is_retired(own->pfn) && own_is_retired(own->bad));
	ground_verify();
}

static const struct explore_program retire_two = {
	.name = "retire-two",
	.worry = "two frames of one run found bad at one time are both out in "
		 "the end (memory_failure storms, 2018)",
	.setup = set_up_pair,
	.thread = { retire_first, own_retire },
	.end = end_two,
	.quick = true,
};

static void end_same(void)
{
	REQUIRE(own->err[0] == 0 && own->err[1] == 0);
	REQUIRE(own->state[0] == CF_RETIRE_PENDING);
	REQUIRE(own->state[1] == CF_RETIRE_PENDING);
	own_put();
	REQUIRE(own_look(own->pfn).type == CF_TYPE_NONE);
	own_end_retired();
}

static const struct explore_program retire_same = {
	.name = "retire-same",
	.worry = "a frame that is found bad twice at one time takes one place "
		 "(memory_failure storms, 2018)",
	.setup = set_up_small_table,
	.thread = { own_retire, own_retire },
	.end = end_same,
	.quick = true,
};

/* Frame 0, which no entry names: not even one that is half written. */
static void set_up_read(void)
{
	set_up();
	REQUIRE(own->pfn == 0);
	own->bad = 1;
}

static void ask(void)
{
	own->state[0] = cf_retire_state(ground_map, 0);
	own->state[2] = cf_retire_state(ground_map, own->bad);
}

static void end_read(void)
{
	REQUIRE(own->state[0] == CF_RETIRE_NONE);
	own_end_retired();
}

static const struct explore_program state_against_retire = {
	.name = "state-against-retire",
	.worry = "nobody takes a good frame for bad because the table grows "
		 "(page-types and hwpoison, 2018)",
	.setup = set_up_read,
	.thread = { ask, own_retire },
	.end = end_read,
	.quick = true,
};

const struct explore_program *const explore_poison[] = {
	&start_against_retire, &commit_against_retire, &cancel_against_retire,
	&forget_against_offline_free, &online_against_retire,
	&remove_against_retire, &retire_into_last_place, &retire_two,
	&retire_same, &state_against_retire, NULL
};
