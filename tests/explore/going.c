/* SPDX-License-Identifier: MIT */

#include "going.h"

struct going *going;

static void on_signal(enum cf_signal what, cf_pfn pfn)
{
	if (what == CF_SIGNAL_LOW) {
		(void)explore_change(&going->lows, EXPLORE_ADD, 1,
				     EXPLORE_RELAXED, EXPLORE_SITE);
		return;
	}
	REQUIRE(pfn % GROUND_CHUNK == 0);
	(void)explore_change(&going->asleep, EXPLORE_AND, 0, EXPLORE_ACQ_REL,
			     EXPLORE_SITE);
}

void going_begin(struct ground_config config)
{
	ground_init(config);
	going = explore_memory(sizeof(*going));
	explore_name(going, sizeof(*going), "the program's", -1);
	explore_name(&going->asleep, sizeof(going->asleep), "asleep", -1);
	explore_name(&going->lows, sizeof(going->lows),
		     "signals of low memory", -1);
	explore_port_machine()->signal = on_signal;
	going->asleep = 1;
}

void going_skip(cf_pfn first)
{
	static const struct cf_owner_ops none = { .release = NULL };
	uint32_t owner;

	MUST(cf_owner_register(ground_map, "balloon", &none, NULL, &owner));
	MUST(cf_block_adopt(ground_map, 0, GROUND_BLOCK, owner));
	MUST(cf_offline_alloc_range(ground_map, owner, first, GROUND_CHUNK,
				    CF_FLAG_SKIPPABLE, NULL));
}

int going_start(cf_pfn first, cf_pfn last)
{
	unsigned self = explore_self();

	return cf_block_offline_start(ground_map, &going->operation[self],
				      first, last, &going->report[self]);
}

int going_step(void)
{
	return cf_block_offline_step(&going->operation[explore_self()]);
}

int going_cancel(void)
{
	return cf_block_offline_cancel(&going->operation[explore_self()]);
}

enum cf_block_state going_state(cf_pfn pfn)
{
	struct cf_block_info info;

	MUST(cf_block_info(ground_map, pfn, &info));
	return info.state;
}

void going_is_back(cf_pfn pfn, uint64_t skipped)
{
	struct cf_block_info info;

	MUST(cf_block_info(ground_map, pfn, &info));
	REQUIRE(info.state == CF_BLOCK_ONLINE);
	REQUIRE(info.chunks_isolated == 0);
	REQUIRE(info.free + info.skippable == GROUND_BLOCK);
	REQUIRE(info.skippable == skipped);
}
