/* SPDX-License-Identifier: MIT */
/*
 * What calls cost in locks, read sections and marks on moving heads.  Who
 * takes fewer than stands here goes unprotected; who takes more is slower.
 * The linker sends the engine's calls here first.
 */
#include "core/internal.h"
#include "tests/unit/machine.h"

unsigned long __real_cf_lock(struct cf_lock *lock);
unsigned long __wrap_cf_lock(struct cf_lock *lock);
void __real_cf_port_read_lock(void);
void __wrap_cf_port_read_lock(void);
void __real_cfi_sequence_begin(struct cfi_block *block);
void __wrap_cfi_sequence_begin(struct cfi_block *block);

static struct {
	unsigned hotplug, owner, range, drain, block;	/* locks */
	unsigned sections, heads;
} paid;

unsigned long __wrap_cf_lock(struct cf_lock *lock)
{
	paid.hotplug += lock->rank == CF_RANK_HOTPLUG;
	paid.owner += lock->rank == CF_RANK_OWNER;
	paid.range += lock->rank == CF_RANK_RANGE;
	paid.drain += lock->rank == CF_RANK_DRAIN;
	paid.block += lock->rank == CF_RANK_BLOCK;
	return __real_cf_lock(lock);
}

void __wrap_cf_port_read_lock(void)
{
	paid.sections++;
	__real_cf_port_read_lock();
}

void __wrap_cfi_sequence_begin(struct cfi_block *block)
{
	paid.heads++;
	__real_cfi_sequence_begin(block);
}

static void say(char **at, const char *what, unsigned count)
{
	if (count)
		*at += sprintf(*at, "%s %u ", what, count);
}

/* What was paid, as COST() has it. */
static const char *bill(void)
{
	static char text[200];
	char *at = text;

	*at = 0;
	say(&at, "hotplug", paid.hotplug);
	say(&at, "owner", paid.owner);
	say(&at, "range", paid.range);
	say(&at, "drain", paid.drain);
	say(&at, "block", paid.block);
	say(&at, "sections", paid.sections);
	say(&at, "heads", paid.heads);
	if (at > text)
		at[-1] = 0;
	return text;
}

/* A price, and the call it is for. */
#define COST(price, ...) do {						\
	memset(&paid, 0, sizeof(paid));					\
	__VA_ARGS__;							\
	if (!CHECK(!strcmp(bill(), price)))				\
		printf("# is: %s\n", bill());				\
} while (0)

static struct keeper keeper;
static cf_pfn pfn;
static struct cf_report report;

static bool begin(void)
{
	struct machine_config config = { .blocks = 2, .absent = 2,
					 .no_caches = true };

	memset(&keeper, 0, sizeof(keeper));
	return CHECK(machine_make(config)) &&
	       CHECK(keeper_add(&keeper, "keeper", HOOKS_ALL));
}

static void finish(void)
{
	CHECK(keeper_remove(&keeper));
	CHECK(machine_end());
}

static void runs(void)
{
	cf_pfn head;

	if (!begin())
		return;
	COST("block 2 sections 1", pfn = alloc(kernel(3)));
	COST("", CHECK_EQ(cf_get(m.map, pfn), 0));
	COST("", cf_put(m.map, pfn));
	COST("sections 1", CHECK_EQ(cf_try_get(m.map, pfn), 0));
	cf_put(m.map, pfn);
	COST("sections 1",
	     CHECK_EQ(cf_try_get_interior(m.map, pfn + 1, &head), 0));
	COST("sections 1", cf_put_interior(m.map, pfn + 1));
	COST("sections 1", CHECK_EQ(cf_pin(m.map, pfn), 0));
	COST("sections 1", cf_unpin(m.map, pfn));
	COST("sections 1", CHECK_EQ(cf_find_head(m.map, pfn + 1), pfn));
	COST("sections 1", (void)snapshot(pfn));
	COST("sections 1", CHECK_EQ(cf_freeze(m.map, pfn, 1), 0));
	COST("", cf_unfreeze(m.map, pfn, 1));
	COST("sections 1", CHECK_EQ(cf_owner_change(m.map, pfn, keeper.id), 0));
	COST("block 1 sections 1", cf_put(m.map, pfn));
	COST("block 1 sections 2", pfn = alloc(folio(10, keeper.id)));
	CHECK_EQ(cf_freeze(m.map, pfn, 1), 0);
	COST("block 2 sections 1 heads 2",
	     CHECK_EQ(cf_split(m.map, pfn, 9), 0));
	COST("block 2 sections 1 heads 2",
	     CHECK_EQ(cf_split(m.map, pfn, 0), 0));
	COST("block 1", cf_free_frozen(m.map, pfn + 512, 9));
	for (head = pfn; head < pfn + 512; head++)
		cf_free_frozen(m.map, head, 0);
	pfn = alloc(kernel(11));
	COST("block 2", cf_put(m.map, pfn));
	finish();
}

static void ranges(void)
{
	if (!begin())
		return;
	COST("hotplug 1 block 1",
	     CHECK_EQ(cf_alloc_range(m.map, 0, 512, kernel(0), &report), 0));
	COST("block 1 sections 1", cf_free_range(m.map, 0, 512));
	COST("hotplug 1 block 1",
	     CHECK_EQ(cf_alloc_range(m.map, 5, 6, kernel(0), &report), 0));
	CHECK_EQ(cf_alloc_range(m.map, 0, 512, kernel(0),
					     &report), -CF_EBUSY);
	cf_free_range(m.map, 5, 6);
	CHECK_EQ(cf_alloc_range(m.map, 7, 8, folio(0, keeper.id), &report), 0);
	COST("hotplug 1 range 2 drain 4 block 8 sections 3",
	     CHECK_EQ(cf_alloc_range(m.map, 0, 16, kernel(0), &report), 0));
	cf_free_range(m.map, 0, 16);
	COST("block 1 sections 1", cf_put(m.map, keeper.target));
	COST("hotplug 1 block 2",
	     CHECK_EQ(cf_compact(m.map, 0, CF_ZONE_NORMAL, 1, &(struct
		cf_compaction){ 0 }), -CF_ENOMEM));
	finish();
}

static void compaction(void)
{
	struct cf_compaction done;

	if (!begin())
		return;
	CHECK_EQ(cf_alloc_range(m.map, 7, 8, folio(0, keeper.id), &report), 0);
	CHECK_EQ(cf_alloc_range(m.map, 600, 602, folio(0, keeper.id), &report),
		 0);
	COST("hotplug 1 range 2 drain 4 block 10 sections 3",
	     CHECK_EQ(cf_compact(m.map, 0, CF_ZONE_NORMAL, 1, &done), 0));
	cf_put(m.map, keeper.target);
	cf_free_range(m.map, 600, 602);
	finish();
}

static void offline_frames(void)
{
	cf_pfn many[4];
	size_t count;

	if (!begin())
		return;
	COST("block 3 sections 2",
	     CHECK_EQ(cf_offline_alloc(m.map, keeper.id, 3, 0, &pfn), 0));
	COST("block 1 sections 1",
	     CHECK_EQ(cf_offline_set_payload(m.map, keeper.id, pfn, 5), 0));
	COST("block 3 sections 1",
	     CHECK_EQ(cf_offline_free(m.map, keeper.id, pfn, 3), 0));
	COST("block 3 sections 2",
	     CHECK_EQ(cf_offline_alloc_bulk(m.map, keeper.id, 0, 0, 4, many,
		&count), 0));
	while (count > 0)
		CHECK_EQ(cf_offline_free(m.map, keeper.id, many[--count], 0),
			 0);
	COST("hotplug 1 block 2",
	     CHECK_EQ(cf_offline_alloc_range(m.map, keeper.id, 0, 512,
		CF_FLAG_MOVABLE, &report), 0));
	COST("block 3 sections 1 heads 1",
	     CHECK_EQ(cf_offline_free_range(m.map, keeper.id, 0, 7), 0));
	COST("hotplug 1 range 3 drain 2 block 11 sections 2",
	     CHECK_EQ(cf_alloc_range(m.map, 512 - 16, 512, kernel(0),
		&report), 0));
	cf_free_range(m.map, 512 - 16, 512);
	for (pfn = 0; pfn < m.last; pfn++)
		if (is_head(pfn))
			CHECK_EQ(cf_offline_free(m.map, keeper.id, pfn,
						 snapshot(pfn).order), 0);
	finish();
}

static void marks(void)
{
	if (!begin())
		return;
	CHECK_EQ(cf_block_adopt(m.map, 0, m.block, keeper.id), 0);
	CHECK_EQ(cf_offline_alloc_range(m.map, keeper.id, 0, 512, 0, &report),
		 0);
	COST("block 3 sections 1",
	     CHECK_EQ(cf_offline_set_skippable(m.map, keeper.id, 0, 512,
		true), 0));
	COST("block 3 sections 1",
	     CHECK_EQ(cf_offline_set_skippable(m.map, keeper.id, 0, 512,
		false), 0));
	CHECK_EQ(cf_offline_free_range(m.map, keeper.id, 0, 512), 0);
	CHECK_EQ(cf_block_adopt(m.map, 0, m.block, CF_OWNER_NONE), 0);
	finish();
}

static void blocks(void)
{
	struct cf_block_config config = { .meta = CF_META_PORT };
	cf_pfn first, last;

	if (!begin())
		return;
	first = 2 * m.block;
	last = 4 * m.block;
	COST("hotplug 1",
	     CHECK_EQ(cf_block_add(m.map, first, last, &config), 0));
	COST("block 1 sections 1", (void)block_info(first));
	COST("hotplug 1 block 8",
	     CHECK_EQ(cf_block_adopt(m.map, first, last, keeper.id), 0));
	CHECK_EQ(cf_block_adopt(m.map, first, last, CF_OWNER_NONE), 0);
	COST("hotplug 1 block 10",
	     CHECK_EQ(cf_block_online(m.map, first, last, CF_ZONE_NORMAL,
		&report), 0));
	COST("hotplug 2 range 4 drain 2 block 18 heads 2",
	     CHECK_EQ(cf_block_offline(m.map, first, last, 1, &report), 0));
	COST("hotplug 1", CHECK_EQ(cf_block_remove(m.map, first, last), 0));
	finish();
}

static void offlining(void)
{
	struct cf_offline operation = { { 0 } };
	struct cf_offline_status status;

	if (!begin())
		return;
	pfn = alloc(folio(0, keeper.id));
	COST("hotplug 1 range 1 block 2",
	     CHECK_EQ(cf_block_offline_query(m.map, 0, m.block, &report), 0));
	COST("hotplug 1 range 2 drain 1 block 3",
	     CHECK_EQ(cf_block_offline_start(m.map, &operation, 0, m.block,
		&report), 0));
	COST("", cf_block_offline_status(&operation, &status));
	COST("hotplug 1 range 1 drain 1 block 2",
	     CHECK_EQ(cf_block_offline_cancel(&operation), 0));
	CHECK_EQ(cf_block_offline_start(m.map, &operation, 0, m.block,
					&report), 0);
	COST("hotplug 1 range 2 drain 3 block 11 sections 3 heads 1",
	     CHECK_EQ(cf_block_offline_step(&operation), 0));
	COST("hotplug 1 block 5",
	     CHECK_EQ(cf_block_online(m.map, 0, m.block, CF_ZONE_NORMAL,
		&report), 0));
	cf_put(m.map, keeper.target);
	finish();
}

static void retirement(void)
{
	enum cf_retire_state state;

	if (!begin())
		return;
	COST("hotplug 1 range 2 drain 2 block 4",
	     CHECK_EQ(cf_retire(m.map, 700, &state), 0));
	COST("sections 1",
	     CHECK_EQ(cf_retire_state(m.map, 700), CF_RETIRE_DONE));
	pfn = alloc(kernel(3));
	COST("hotplug 1 range 2 drain 2 block 5",
	     CHECK_EQ(cf_retire(m.map, pfn + 1, &state), 0));
	COST("block 1 sections 1", cf_put(m.map, pfn));
	CHECK_EQ(cf_offline_alloc_range(m.map, keeper.id, 1024, 1040, 0,
					&report), 0);
	COST("hotplug 1 range 2 drain 2 block 5",
	     CHECK_EQ(cf_retire(m.map, 1030, &state), 0));
	COST("block 3 sections 1",
	     CHECK_EQ(cf_offline_free_range(m.map, keeper.id, 1024, 1040), 0));
	finish();
}

static void owners(void)
{
	struct keeper other = { 0 };
	struct cf_owner_info info;
	uint64_t orphans;

	if (!begin())
		return;
	COST("owner 1", CHECK(keeper_add(&other, "other", 0)));
	COST("hotplug 1", CHECK_EQ(cf_owner_info(m.map, other.id, &info), 0));
	CHECK_EQ(cf_offline_alloc_range(m.map, other.id, 0, 1, 0, &report), 0);
	COST("hotplug 1 owner 2 block 2",
	     CHECK_EQ(cf_owner_unregister(m.map, other.id, &orphans), 0));
	COST("block 3 sections 1",
	     CHECK_EQ(cf_offline_adopt_range(m.map, keeper.id, 0, 1), 0));
	CHECK_EQ(cf_offline_free_range(m.map, keeper.id, 0, 1), 0);
	finish();
}

static void looking(void)
{
	static uint64_t words[1024];
	struct cf_zone_stat zone;
	struct cf_stat stat;
	struct cf_span span;
	struct cf_finding finding;
	cf_pfn at;

	if (!begin())
		return;
	COST("block 2 sections 2", cf_stat(m.map, &stat));
	COST("block 2 sections 2",
	     CHECK_EQ(cf_zone_stat(m.map, 0, CF_ZONE_NORMAL, &zone), 0));
	COST("block 2 sections 2", cf_export_flags(m.map, 0, 1024, words));
	pfn = alloc(kernel(0));
	COST("block 2 sections 2", cf_export_flags(m.map, 0, 1024, words));
	COST("hotplug 1 range 4 block 4", CHECK(cf_verify(m.map, &finding)));
	cf_walk_begin(m.map);
	at = pfn;
	COST("", (void)cf_walk_next(m.map, &at, m.last, &span));
	COST("block 1", (void)cf_walk_next(m.map, &at, m.last, &span));
	cf_walk_end(m.map);
	cf_put(m.map, pfn);
	finish();
}

static void others(void)
{
	struct cf_watermarks some = { 1, 1, 1 }, none = { 0, 0, 0 };
	struct cf_subscriber subscriber = { .name = "nobody" };
	struct cf_side side;
	void *entry;

	if (!begin())
		return;
	COST("hotplug 1 block 2",
	     CHECK_EQ(cf_zone_set_watermarks(m.map, 0, CF_ZONE_NORMAL, some),
		0));
	COST("hotplug 1 block 2",
	     CHECK_EQ(cf_zone_set_watermarks(m.map, 0, CF_ZONE_NORMAL, none),
		0));
	COST("hotplug 1", CHECK_EQ(cf_subscriber_add(m.map, &subscriber), 0));
	COST("hotplug 1",
	     CHECK_EQ(cf_subscriber_remove(m.map, &subscriber), 0));
	COST("hotplug 1", CHECK_EQ(cf_side_add(m.map, &side, 8), 0));
	COST("sections 1", CHECK_EQ(cf_side_extend(&side, 0, &entry), 0));
	COST("hotplug 1", cf_side_remove(m.map, &side));
	COST("drain 2", CHECK_EQ(cf_drain(m.map), 0));
	COST("", cf_drain_cpu(m.map));
	COST("range 1", cf_content_sync(m.map));
	finish();
}

int main(void)
{
	tap_run("runs", runs);
	tap_run("ranges", ranges);
	tap_run("compaction", compaction);
	tap_run("offline frames", offline_frames);
	tap_run("marks on offline frames", marks);
	tap_run("blocks", blocks);
	tap_run("offlining in steps", offlining);
	tap_run("retirement", retirement);
	tap_run("owners", owners);
	tap_run("looking", looking);
	tap_run("others", others);
	return tap_done();
}
