/* SPDX-License-Identifier: MIT */
/*
 * What the model holds to be true at the end of a list, kept for the scenario:
 * there it is expected of the engine.
 */
#include <stdio.h>
#include <string.h>

#include "ops.h"

static void take_frame(struct world *world, cf_pfn pfn,
		       struct expectation *expect)
{
	const struct frame *frame = &world->frame[pfn];
	const struct frame *head;
	struct expected_block *block =
		&expect->block[pfn / world->block_frames];

	if (frame->head == NO_HEAD)
		return;
	head = &world->frame[frame->head];
	block->by_type[head->type]++;
	if (head->owner < CF_OWNERS_MAX)
		expect->owner[head->owner]++;
	block->skippable += head->type == CF_TYPE_OFFLINE &&
			    head->flags & CF_FLAG_SKIPPABLE;
	block->never_onlined += head->type == CF_TYPE_OFFLINE &&
				head->flags & CF_FLAG_NEVER_ONLINED;
	if (head != frame || !is_allocated(head) ||
	    expect->runs == EXPECTED_RUNS)
		return;
	expect->run[expect->runs++] = (struct expected_run){
		pfn, head->type, head->order, head->refs, head->pins,
	};
}

void expect_take(struct world *world)
{
	struct expectation *expect = &verdict->expect;
	uint32_t i;
	cf_pfn pfn;

	memset(expect, 0, sizeof(*expect));
	expect->taken = true;
	for (pfn = 0; pfn < world->last; pfn++)
		take_frame(world, pfn, expect);
	for (i = 0; i < world->setup.blocks; i++) {
		expect->block[i].state = world->block[i].state;
		expect->block[i].kind = world->block[i].kind;
	}
	for (i = 0; i < OWNERS; i++)
		expect->id[i] = world->owner[i].live ? world->owner[i].id : 0;
}

/* ---- as lines of a scenario ---- */

static void say_sum(const struct expectation *expect, const char *name,
		    enum cf_type type)
{
	uint64_t frames = 0;
	uint32_t i;

	for (i = 0; i < BLOCKS_MAX; i++)
		frames += expect->block[i].by_type[type];
	printf(" %s %lluf", name, (unsigned long long)frames);
}

static void say_block(const struct expected_block *block, uint32_t number)
{
	static const char *const states[CF_BLOCK_STATE_COUNT] = {
		"absent", "offline", "going-online", "online",
		"going-offline",
	};

	printf("# expect block %u state %s", number, states[block->state]);
	if (block->state == CF_BLOCK_ONLINE ||
	    block->state == CF_BLOCK_GOING_OFFLINE)
		printf(" zone %s offline %lluf never-onlined %lluf "
		       "skippable %lluf retired %lluf reserved %lluf",
		       block->kind == CF_ZONE_MOVABLE ? "movable" : "normal",
		       (unsigned long long)block->by_type[CF_TYPE_OFFLINE],
		       (unsigned long long)block->never_onlined,
		       (unsigned long long)block->skippable,
		       (unsigned long long)block->by_type[CF_TYPE_RETIRED],
		       (unsigned long long)block->by_type[CF_TYPE_RESERVED]);
	printf("\n");
}

static void say_expected_run(const struct expected_run *run)
{
	printf("# expect frame %llu state run type %s order %u",
	       (unsigned long long)run->pfn,
	       cf_type_name((enum cf_type)run->type), run->order);
	if (run->type == CF_TYPE_KERNEL || run->type == CF_TYPE_FOLIO)
		printf(" refs %u pins %u", run->refs, run->pins);
	printf("\n");
}

void expect_say(uint32_t blocks)
{
	const struct expectation *expect = &verdict->expect;
	uint32_t i;

	if (!expect->taken)
		return;
	printf("# expect");
	say_sum(expect, "kernel", CF_TYPE_KERNEL);
	say_sum(expect, "folio", CF_TYPE_FOLIO);
	say_sum(expect, "pgtable", CF_TYPE_PGTABLE);
	say_sum(expect, "slab", CF_TYPE_SLAB);
	say_sum(expect, "offline", CF_TYPE_OFFLINE);
	say_sum(expect, "retired", CF_TYPE_RETIRED);
	printf("\n");
	for (i = 0; i < blocks; i++)
		say_block(&expect->block[i], i);
	for (i = 0; i < expect->runs; i++)
		say_expected_run(&expect->run[i]);
}

uint64_t expect_frames(uint32_t slot)
{
	uint32_t id = verdict->expect.id[slot];

	return verdict->expect.taken && id ? verdict->expect.owner[id] :
	       UINT64_MAX;
}
