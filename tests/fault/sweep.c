/* SPDX-License-Identifier: MIT */
/*
 * Every call to the port and every hook fails in turn, in every operation:
 * afterwards all is as before, or exactly as documented, frame by frame.
 */
#include <stdlib.h>
#include <string.h>

#include "../tap.h"
#include "cases.h"

#define TURNS_MAX	512

static struct image before, after;

static bool verify(struct stage *stage)
{
	struct cf_finding finding = { 0 };

	if (cf_verify(stage->map, &finding))
		return true;
	printf("# verify: %s at %#llx, %llu instead of %llu\n",
	       cf_finding_name(finding.kind), (unsigned long long)finding.pfn,
	       (unsigned long long)finding.found,
	       (unsigned long long)finding.expected);
	return false;
}

/* All is well but for what @same allows. */
static bool unchanged(struct stage *stage, enum same same)
{
	if (!CHECK(verify(stage)) || !CHECK(stage_runs_intact(stage)))
		return false;
	image_take(stage, &after);
	return CHECK(image_same(stage, &before, &after, same));
}

/* What a failure left to do, where it is documented to do a part. */
static void skip_done(struct stage *stage, const struct fault_case *test)
{
	while (test->same == SAME_PREFIX && stage->first < stage->last &&
	       after.frame[stage->first].kind == CF_SPAN_FREE)
		stage->first++;
}

/* Without a fault it succeeds, and leads back. */
static void succeed(struct stage *stage, const struct fault_case *test)
{
	skip_done(stage, test);
	if (!CHECK_EQ(test->act(stage), 0) || !CHECK(verify(stage)))
		return;
	test->undo(stage);
	(void)unchanged(stage, test->undone);
}

/*
 * Let the @turn-th call fail. Returns whether there was such a call, so that
 * the next turn makes sense.
 */
static bool take_turn(const struct fault_case *test, enum fault fault,
		      uint64_t turn)
{
	static struct stage stage;
	uint32_t codes = test->codes[fault];
	bool fired;
	int err;

	stage_init(&stage);
	test->setup(&stage);
	image_take(&stage, &before);
	stage_arm(&stage, fault, turn);
	err = test->act(&stage);
	fired = stage_disarm(&stage);
	(void)CHECK((fired ? codes : OK) & E(-err));
	if (err && unchanged(&stage, test->same)) {
		succeed(&stage, test);
	} else if (!err) {
		(void)CHECK(verify(&stage) && stage_runs_intact(&stage));
		test->undo(&stage);
		(void)unchanged(&stage, test->undone);
	}
	(void)CHECK(stage_done(&stage));
	if (tap.broken)
		printf("# %s: call %llu of %s fails, error %d\n", test->name,
		       (unsigned long long)turn, fault_name(fault), err);
	return fired && !tap.broken;
}

static const struct fault_case *current;

static void sweep(void)
{
	int fault;

	for (fault = 0; fault < FAULT_COUNT && !tap.broken; fault++) {
		uint64_t turn = 1;

		while (take_turn(current, (enum fault)fault, turn) &&
		       turn < TURNS_MAX)
			turn++;
		/* A set that no call needed is out of date. */
		CHECK(turn > 1 || !current->codes[fault] || tap.broken);
		if (turn == 1 && current->codes[fault])
			printf("# %s: no call of %s\n", current->name,
			       fault_name((enum fault)fault));
		if (turn > 1)
			printf("# %s: %s failed %llu times\n", current->name,
			       fault_name((enum fault)fault),
			       (unsigned long long)turn - 1);
	}
}

/* A map without a barrier must be fenced. */
static void create_without_barrier(void)
{
	struct cf_map_config config = { .last = STAGE_FRAMES, .cpus = 1,
					.block_order = STAGE_BLOCK_ORDER };
	size_t bytes = (cf_map_bytes(&config) + 4095) & ~(size_t)4095;
	void *storage = aligned_alloc(4096, bytes);
	struct cf_map *map = NULL;

	memset(storage, 0, bytes);
	test_port_init(STAGE_FRAMES);
	test_port_arm(TEST_BARRIER, 1);
	CHECK_EQ(cf_map_create(&config, storage, &map), -CF_EPORT);
	CHECK(test_port_disarm() && !map);
	config.fenced = true;
	memset(storage, 0, bytes);
	test_port_arm(TEST_BARRIER, 1);
	CHECK_EQ(cf_map_create(&config, storage, &map), 0);
	(void)test_port_disarm();
	CHECK_EQ(cf_map_destroy(map), 0);
	(void)test_port_done();
	free(storage);
}

/* With an argument: only the cases whose names contain it. */
int main(int argc, char **argv)
{
	size_t i;

	if (argc == 1)
		tap_plan((int)fault_case_count + 1);
	tap_run("map_create without a barrier", create_without_barrier);
	for (i = 0; i < fault_case_count; i++) {
		current = &fault_cases[i];
		if (argc == 1 || strstr(current->name, argv[1]))
			tap_run(current->name, sweep);
	}
	return tap_done();
}
