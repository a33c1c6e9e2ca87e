/* SPDX-License-Identifier: MIT */
/*
 * What another context does in the middle of a call: offline ranges that
 * change hands, frames on their way to the port, blocks that go while a put
 * is in them, runs that are not what evacuation saw.
 */
#include <stdlib.h>

#include "core/internal.h"
#include "tests/unit/machine.h"

/* The linker sends the engine's calls here: --wrap. */
unsigned long __real_cf_port_irq_off(void);
unsigned long __wrap_cf_port_irq_off(void);
void __real_cf_port_irq_restore(unsigned long state);
void __wrap_cf_port_irq_restore(unsigned long state);
int __real_cf_port_returned(void *machine, cf_pfn first, cf_pfn last);
int __wrap_cf_port_returned(void *machine, cf_pfn first, cf_pfn last);
void __real_cf_port_meta_free(void *machine, void *memory, size_t bytes);
void __wrap_cf_port_meta_free(void *machine, void *memory, size_t bytes);
cf_pfn __real_cfi_find(struct cf_map *map, cf_pfn pfn, cfi_u64 **ret_word,
		       uint64_t *ret_value);
cf_pfn __wrap_cfi_find(struct cf_map *map, cf_pfn pfn, cfi_u64 **ret_word,
		       uint64_t *ret_value);

enum place {
	LOCKING,		/* before a lock */
	UNLOCKED,		/* after one */
	RETURNING,		/* frames are given to the port */
	FOUND,			/* evacuation has seen a run */
	PLACES
};

/* What happens when the test's context comes there for the @left-th time. */
static _Thread_local struct {
	unsigned left;
	void (*act)(void);
} amid[PLACES];

static void act_at(enum place place, unsigned nth, void (*act)(void))
{
	amid[place].act = act;
	amid[place].left = nth;
}

static void come_to(enum place place)
{
	if (amid[place].left > 0 && --amid[place].left == 0)
		amid[place].act();
}

unsigned long __wrap_cf_port_irq_off(void)
{
	come_to(LOCKING);
	return __real_cf_port_irq_off();
}

void __wrap_cf_port_irq_restore(unsigned long state)
{
	__real_cf_port_irq_restore(state);
	come_to(UNLOCKED);
}

int __wrap_cf_port_returned(void *machine, cf_pfn first, cf_pfn last)
{
	come_to(RETURNING);
	return __real_cf_port_returned(machine, first, last);
}

/* Whoever looks at metadata after this finds nonsense. */
void __wrap_cf_port_meta_free(void *machine, void *memory, size_t bytes)
{
	memset(memory, 0x5a, bytes);
	__real_cf_port_meta_free(machine, memory, bytes);
}

cf_pfn __wrap_cfi_find(struct cf_map *map, cf_pfn pfn, cfi_u64 **ret_word,
		       uint64_t *ret_value)
{
	cf_pfn head = __real_cfi_find(map, pfn, ret_word, ret_value);

	come_to(FOUND);
	return head;
}

static struct keeper keeper, heir;

/* Two blocks, both @keeper's when they are to be skipped. */
static bool begin(bool ranges)
{
	struct machine_config config = { .blocks = 2 };

	return CHECK(machine_make(config)) &&
	       CHECK(keeper_add(&keeper, "keeper", 0)) &&
	       CHECK(keeper_add(&heir, "heir", 0)) &&
	       CHECK(!ranges ||
		     !cf_block_adopt(m.map, 0, m.last, keeper.id));
}

static bool is_owners(cf_pfn pfn, uint32_t id)
{
	struct cf_snapshot run;
	cf_pfn head = cf_find_head(m.map, pfn);

	return head != CF_PFN_NONE && !cf_snapshot(m.map, head, &run) &&
	       run.type == CF_TYPE_OFFLINE && run.owner == id;
}

/* SKIPPABLE frames that are given to the port are nobody's to step over. */
static int offline_code;

static void offline_first_block(void *unused)
{
	struct cf_report report;

	(void)unused;
	offline_code = cf_block_offline(m.map, 0, m.block, 5, &report);
}

static void offline_on_other(void)
{
	machine_on_other(offline_first_block, NULL);
}

static void offline_while_returned(void)
{
	if (!begin(true))
		return;
	CHECK_EQ(cf_offline_alloc_range(m.map, keeper.id, 0, 512,
					CF_FLAG_SKIPPABLE, NULL), 0);
	offline_code = 0;
	act_at(RETURNING, 1, offline_on_other);
	CHECK_EQ(cf_offline_free_range(m.map, keeper.id, 0, 512), 0);
	CHECK(offline_code != 0);
	CHECK_EQ(block_info(0).state, CF_BLOCK_ONLINE);
	CHECK_EQ(unused_frames(), m.last);
	CHECK(machine_end());
}

/* A change of two blocks, and what the second context makes of it. */
static int freed[2], adopted, stepped;
static struct cf_offline operation;

static void free_one_adopt_other(void)
{
	freed[0] = cf_offline_free_range(m.map, keeper.id, 512, 1024);
	adopted = cf_offline_adopt_range(m.map, heir.id, 1024, 1536);
}

static void adopt_meanwhile(void)
{
	struct keeper gone;
	unsigned nth;
	int err;

	for (nth = 1; nth <= 10; nth++) {
		if (!begin(false) || !CHECK(keeper_add(&gone, "gone", 0)))
			return;
		CHECK_EQ(cf_offline_alloc_range(m.map, gone.id, 512, 1536, 0,
						NULL), 0);
		CHECK_EQ(cf_owner_unregister(m.map, gone.id, NULL), 0);
		freed[0] = adopted = -1;
		act_at(UNLOCKED, nth, free_one_adopt_other);
		err = cf_offline_adopt_range(m.map, keeper.id, 512, 1536);
		act_at(UNLOCKED, 0, NULL);
		CHECK(machine_verify());
		CHECK(err == 0 || adopted == 0);
		CHECK(is_owners(1024, adopted ? keeper.id : heir.id));
		CHECK(freed[0] == 0 ||
		      is_owners(512, err ? CF_OWNER_ORPHAN : keeper.id));
		CHECK(machine_wipe());
	}
}

static void free_both(void)
{
	freed[0] = cf_offline_free_range(m.map, keeper.id, 500, 1024);
	freed[1] = cf_offline_free_range(m.map, keeper.id, 1024, 1536);
}

static void unskip_meanwhile(void)
{
	unsigned nth;
	int err;

	for (nth = 1; nth <= 10; nth++) {
		if (!begin(true))
			return;
		CHECK_EQ(cf_offline_alloc_range(m.map, keeper.id, 500, 1536,
						CF_FLAG_SKIPPABLE, NULL), 0);
		freed[0] = freed[1] = -1;
		act_at(UNLOCKED, nth, free_both);
		err = cf_offline_set_skippable(m.map, keeper.id, 500, 1536,
					       false);
		act_at(UNLOCKED, 0, NULL);
		CHECK(machine_verify());
		CHECK(err == 0 || freed[0] == 0 || freed[1] == 0);
		CHECK_EQ(stat_now().offline, (freed[0] ? 524u : 0u) +
			 (freed[1] ? 512u : 0u));
		CHECK_EQ(stat_now().skippable,
			 err ? stat_now().offline : 0);
		CHECK(machine_wipe());
	}
}

static void step_and_free(void)
{
	stepped = cf_block_offline_step(&operation);
	freed[1] = cf_offline_free_range(m.map, keeper.id, 1024, 1536);
}

static void skip_meanwhile(void)
{
	unsigned nth;
	int err;

	for (nth = 1; nth <= 10; nth++) {
		if (!begin(true))
			return;
		CHECK_EQ(cf_offline_alloc_range(m.map, keeper.id, 512, 1536, 0,
						NULL), 0);
		memset(&operation, 0, sizeof(operation));
		CHECK_EQ(cf_block_offline_start(m.map, &operation, 0, m.block,
						NULL), 0);
		stepped = freed[1] = -1;
		act_at(UNLOCKED, nth, step_and_free);
		err = cf_offline_set_skippable(m.map, keeper.id, 512, 1536,
					       true);
		act_at(UNLOCKED, 0, NULL);
		CHECK(machine_verify());
		CHECK(err == 0 || (stepped != 0 && freed[1] == 0));
		CHECK(stepped == 0 || is_owners(512, keeper.id));
		(void)!cf_block_offline_cancel(&operation);
		CHECK(machine_wipe());
	}
}

/* A block that goes while its last frame is being put. */
static void step_and_remove(void *unused)
{
	unsigned steps = 0;

	(void)unused;
	do
		stepped = cf_block_offline_step(&operation);
	while (stepped == -CF_EAGAIN && ++steps < 3);
	CHECK_EQ(stepped, 0);
	CHECK_EQ(cf_block_remove(m.map, m.block, m.last), 0);
}

static void remove_on_other(void)
{
	machine_on_other(step_and_remove, NULL);
}

static void remove_while_put(void)
{
	cf_pfn pfn;

	if (!begin(false))
		return;
	pfn = m.block + 512;
	CHECK_EQ(cf_alloc_range(m.map, pfn, pfn + 8, kernel(0), NULL), 0);
	memset(&operation, 0, sizeof(operation));
	CHECK_EQ(cf_block_offline_start(m.map, &operation, m.block, m.last,
					NULL), 0);
	act_at(UNLOCKED, 1, remove_on_other);
	cf_put(m.map, pfn);
	CHECK_EQ(block_info(m.block).state, CF_BLOCK_ABSENT);
	CHECK(m.signals[CF_SIGNAL_CHUNK_EMPTY] > 0);
	CHECK_EQ(m.signal_pfn[CF_SIGNAL_CHUNK_EMPTY], pfn);
	CHECK(machine_end());
}

/* Evacuation asks an owner about runs of its own, as they are. */
static cf_pfn run, other_run;

static void is_as_told(struct keeper *asked, enum hook hook, cf_pfn pfn,
		       unsigned order)
{
	struct cf_snapshot now = snapshot(pfn);

	(void)hook;
	CHECK_EQ(now.owner, asked->id);
	CHECK_EQ(now.order, order);
	CHECK_EQ(now.type, CF_TYPE_FOLIO);
}

static bool begin_evacuation(void)
{
	struct machine_config config = { .block_order = 11, .blocks = 2 };

	memset(&keeper, 0, sizeof(keeper));
	memset(&heir, 0, sizeof(heir));
	keeper.then = is_as_told;
	heir.then = is_as_told;
	return CHECK(machine_make(config)) &&
	       CHECK(keeper_add(&keeper, "keeper", 1u << HOOK_ISOLATE |
				1u << HOOK_MIGRATE)) &&
	       CHECK(keeper_add(&heir, "heir", 1u << HOOK_ISOLATE |
				1u << HOOK_MIGRATE));
}

static void split_run(void)
{
	unsigned i;

	CHECK_EQ(cf_freeze(m.map, run, 1), 0);
	CHECK_EQ(cf_split(m.map, run, 0), 0);
	for (i = 0; i < 8; i++)
		cf_unfreeze(m.map, run + i, 1);
}

static void split_before_evacuation(void)
{
	struct cf_report report;

	if (!begin_evacuation())
		return;
	run = alloc(folio(3, keeper.id));
	act_at(FOUND, 1, split_run);
	CHECK_EQ(cf_block_offline(m.map, run & ~(m.block - 1),
				  (run & ~(m.block - 1)) + m.block, 5,
				  &report), 0);
	CHECK_EQ(keeper.calls[HOOK_MIGRATE], 8);
	CHECK_EQ(stat_now().by_type[CF_TYPE_FOLIO], 8);
	CHECK(machine_wipe());
}

static void give_head_to_heir(void)
{
	cf_put(m.map, run);
	other_run = alloc(folio(9, heir.id));
}

/* Its head lies before the range that is evacuated. */
static void freed_before_evacuation(void)
{
	struct cf_report report;

	if (!begin_evacuation())
		return;
	run = alloc(folio(10, keeper.id));
	/* The rest of the block: the heir is given what is put. */
	(void)alloc(kernel(10));
	act_at(FOUND, 1, give_head_to_heir);
	(void)!cf_alloc_range(m.map, run + 512, run + 1024, kernel(0),
			      &report);
	CHECK_EQ(other_run, run);
	CHECK_EQ(keeper.calls[HOOK_ISOLATE] + keeper.calls[HOOK_MIGRATE], 0);
	CHECK_EQ(snapshot(run).owner, heir.id);
	CHECK_EQ(snapshot(run).refs, 1);
	CHECK(!has_flags(run, CF_FLAG_ISOLATED));
	CHECK(machine_wipe());
}

/* A frame that is given back while cf_retire() says no. */
static void free_lower_chunk(void)
{
	freed[0] = cf_offline_free_range(m.map, CF_OWNER_NONE, 0, 512);
}

static void retire_while_freed(void)
{
	enum cf_retire_state state;
	struct cf_snapshot frame;
	unsigned nth;
	int err;

	for (nth = 1; nth <= 12; nth++) {
		if (!begin(false))
			return;
		CHECK_EQ(cf_offline_alloc_range(m.map, CF_OWNER_NONE, 0, 512,
						0, NULL), 0);
		memset(&operation, 0, sizeof(operation));
		CHECK_EQ(cf_block_offline_start(m.map, &operation, 0, m.block,
						NULL), 0);
		act_at(LOCKING, nth, free_lower_chunk);
		err = cf_retire(m.map, 5, &state);
		act_at(LOCKING, 0, NULL);
		if (cf_snapshot(m.map, 5, &frame))
			frame.type = CF_TYPE_NONE;
		if (err == 0)
			CHECK_EQ(cf_retire_state(m.map, 5), state);
		else
			CHECK(frame.type != CF_TYPE_RETIRED);
		CHECK_EQ(cf_retire_state(m.map, 5) == CF_RETIRE_DONE,
			 frame.type == CF_TYPE_RETIRED);
		CHECK_EQ(stat_now().retired, frame.type == CF_TYPE_RETIRED);
		CHECK(machine_verify());
		CHECK_EQ(cf_block_offline_cancel(&operation), 0);
		CHECK(machine_wipe());
	}
}

/* Frames that a context kept in its cache when the operation began. */
static void alloc_and_put(void *unused)
{
	(void)unused;
	cf_put(m.map, alloc(kernel(0)));
}

static void drain_after_start(void)
{
	cfi_u64 *busy;

	if (!begin(false))
		return;
	busy = &m.map->cpu[1].busy;
	machine_on_other(alloc_and_put, NULL);
	memset(&operation, 0, sizeof(operation));
	cfi_store_relaxed(busy, 1);
	CHECK_EQ(cf_block_offline_start(m.map, &operation, 0, m.last, NULL),
		 0);
	CHECK_EQ(cf_block_offline_step(&operation), -CF_EAGAIN);
	cfi_store_relaxed(busy, 0);
	CHECK(stat_now().cached > 0);
	CHECK_EQ(m.signals[CF_SIGNAL_CHUNK_EMPTY], 0);
	CHECK_EQ(cf_drain(m.map), 0);
	CHECK_EQ(stat_now().cached, 0);
	CHECK(m.signals[CF_SIGNAL_CHUNK_EMPTY] > 0);
	CHECK_EQ(cf_block_offline_step(&operation), 0);
	CHECK(machine_end());
}

int main(void)
{
	tap_run("a block with frames on their way to the port stays online",
		offline_while_returned);
	tap_run("adopting two blocks is undone only where it was done",
		adopt_meanwhile);
	tap_run("so is the end of SKIPPABLE", unskip_meanwhile);
	tap_run("and its begin, while one block goes offline", skip_meanwhile);
	tap_run("a block can go while its last frame is put", remove_while_put);
	tap_run("evacuation leaves a run that was split to a later look",
		split_before_evacuation);
	tap_run("and a run that was freed and is another owner's now",
		freed_before_evacuation);
	tap_run("a retirement that fails leaves no RETIRED frame",
		retire_while_freed);
	tap_run("a drain signals the chunks it empties", drain_after_start);
	return tap_done();
}
