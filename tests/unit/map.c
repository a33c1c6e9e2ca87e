/* SPDX-License-Identifier: MIT */
/*
 * Maps, and blocks that are added and removed: configuration, the three
 * places of metadata, pieces.
 * Maps made by hand beside machines of blocks.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/mman.h>

#include "core/internal.h"
#include "tests/unit/machine.h"

/* The linker sends the engine's calls here: --wrap. */
void *__real_cf_port_meta_alloc(void *machine, size_t bytes);
void *__wrap_cf_port_meta_alloc(void *machine, size_t bytes);
void __real_cf_port_meta_free(void *machine, void *memory, size_t bytes);
void __wrap_cf_port_meta_free(void *machine, void *memory, size_t bytes);

static size_t meta_bytes;	/* the engine has of the port */

/* Its pieces: each goes back as it came. */
static struct {
	void *memory;
	size_t bytes;
} meta_piece[64];

void *__wrap_cf_port_meta_alloc(void *machine, size_t bytes)
{
	void *memory = __real_cf_port_meta_alloc(machine, bytes);

	unsigned i = 0;

	if (!memory)
		return NULL;
	/* Any contents, says the contract. */
	memset(memory, 0xa5, bytes);
	while (meta_piece[i].memory)
		i++;
	meta_piece[i].memory = memory;
	meta_piece[i].bytes = bytes;
	meta_bytes += bytes;
	return memory;
}

void __wrap_cf_port_meta_free(void *machine, void *memory, size_t bytes)
{
	unsigned i = 0;

	while (i < 63 && meta_piece[i].memory != memory)
		i++;
	CHECK(memory && meta_piece[i].memory == memory);
	CHECK_EQ(meta_piece[i].bytes, bytes);
	meta_piece[i].memory = NULL;
	meta_bytes -= bytes;
	__real_cf_port_meta_free(machine, memory, bytes);
}

static void wrong_configurations(void)
{
	static const struct cf_map_config wrong[] = {
		{ .last = 0, .cpus = 1 },
		{ .last = CF_PFN_LIMIT + 32768, .cpus = 1 },
		{ .last = 32768 + 1024, .cpus = 1 },
		{ .last = 512, .cpus = 1, .block_order = 10 },
		{ .last = 32768, .cpus = 1, .block_order = 9 },
		{ .last = 65536, .cpus = 1, .block_order = 16 },
		{ .last = 32768, .cpus = 0 },
		{ .last = 32768, .cpus = CF_CPUS_MAX + 1 },
		{ .last = 32768, .cpus = 1, .nodes = CF_NODES_MAX + 1 },
	};
	struct cf_map *map = (struct cf_map *)&map;
	char *storage = aligned_alloc(4096, 8192);
	unsigned i;

	memset(storage, 0, 8192);
	for (i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		CHECK_EQ(cf_map_bytes(&wrong[i]), 0);
		FAILS(CF_EINVAL, cf_map_create(&wrong[i], storage, &map));
	}
	for (i = 0; i < 8192; i++)
		CHECK(storage[i] == 0);
	CHECK(map == (struct cf_map *)&map);
	free(storage);
}

/* A map in storage of this test's; NULL if it was refused. */
static struct cf_map *create(struct cf_map_config config, void **ret_storage)
{
	size_t bytes = cf_map_bytes(&config);
	struct cf_map *map = NULL;

	CHECK(bytes > 0 && bytes % 4096 == 0);
	*ret_storage = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	config.fenced = config.fenced || cf_host_fenced();
	CHECK_EQ(cf_map_create(&config, *ret_storage, &map), 0);
	return map;
}

static void destroy(struct cf_map *map, void *storage)
{
	const struct cf_map_config config = *cf_map_config_of(map);
	size_t bytes = cf_map_bytes(&config);
	const char *byte = storage;
	size_t i;

	CHECK_EQ(cf_map_destroy(map), 0);
	/* It can be used for the next map at once. */
	for (i = 0; i < bytes && byte[i] == 0;)
		i++;
	CHECK_EQ(i, bytes);
	(void)munmap(storage, bytes);
}

static void defaults(void)
{
	const struct cf_map_config *config;
	struct cf_map *map;
	void *storage;

	map = create((struct cf_map_config){ .last = 32768, .cpus = 1 },
		     &storage);
	if (!map)
		return;
	config = cf_map_config_of(map);
	CHECK_EQ(config->block_order, 15);
	CHECK_EQ(config->nodes, 1);
	CHECK_EQ(config->poison_max, 64);
	CHECK_EQ(config->last, 32768);
	destroy(map, storage);
}

/* As much as there can be of everything. */
static void largest(void)
{
	struct cf_map *map;
	struct cf_stat stat;
	void *storage;

	map = create((struct cf_map_config){ .last = CF_PFN_LIMIT, .cpus = 64,
					     .nodes = CF_NODES_MAX,
					     .poison_max = 100000 }, &storage);
	if (!map)
		return;
	cf_stat(map, &stat);
	CHECK_EQ(stat.present, 0);
	CHECK_EQ(cf_map_destroy(map), 0);
	map = create((struct cf_map_config){ .last = 32768,
					     .cpus = CF_CPUS_MAX }, &storage);
	if (map)
		destroy(map, storage);
}

static void storage_is_aligned(void)
{
	struct cf_map_config config = { .last = 32768, .cpus = 1,
					.fenced = true };
	char *storage = aligned_alloc(4096, cf_map_bytes(&config) + 4096);
	struct cf_map *map;

	FAILS(CF_EINVAL, cf_map_create(&config, storage + 64, &map));
	FAILS(CF_EINVAL, cf_map_create(&config, NULL, &map));
	free(storage);
}

static void needs_a_barrier(void)
{
	struct cf_map_config config = { .last = 32768, .cpus = 1 };
	size_t bytes = cf_map_bytes(&config);
	char *storage = aligned_alloc(4096, bytes);
	struct cf_map *map;

	memset(storage, 0, bytes);
	cf_host_set_fenced(true);
	FAILS(CF_EPORT, cf_map_create(&config, storage, &map));
	config.fenced = true;
	CHECK_EQ(cf_map_create(&config, storage, &map), 0);
	CHECK_EQ(cf_map_destroy(map), 0);
	cf_host_set_fenced(false);
	free(storage);
}

static void blocks_remain(void)
{
	struct machine_config config = { .blocks = 1 };

	if (!CHECK(machine_make(config)))
		return;
	FAILS(CF_EBUSY, cf_map_destroy(m.map));
	CHECK(machine_end());
	/* Wherever they are. */
	config.absent = 2;
	if (!CHECK(machine_make(config)) ||
	    !CHECK(add_online(2 * m.block, 3 * m.block, CF_ZONE_NORMAL, 0)))
		return;
	CHECK_EQ(cf_block_offline(m.map, 0, m.block, 1, NULL), 0);
	CHECK_EQ(cf_block_remove(m.map, 0, m.block), 0);
	FAILS(CF_EBUSY, cf_map_destroy(m.map));
	CHECK(machine_end());
}

/* Nothing in a piece of metadata reaches into what comes next. */
static void check_layout(const struct cfi_block *block)
{
	const char *end = (const char *)(block->bitmap + block->chunks);
	const unsigned char *rest =
		(const unsigned char *)&block->chunk[block->chunks];

	CHECK((const char *)rest <= (const char *)block->bitmap);
	CHECK(end <= (const char *)block->frame_word);
	/* What a header has to spare stays 0. */
	for (; (uintptr_t)rest % 128; rest++)
		CHECK_EQ(*rest, 0);
}

static void layout_of_metadata(void)
{
	struct machine_config config = { 0 };

	for (config.block_order = CF_BLOCK_ORDER_MIN;
	     config.block_order <= CF_BLOCK_ORDER_MAX; config.block_order++) {
		if (!CHECK(machine_make(config)))
			return;
		check_layout(cfi_block_of(m.map, 0));
		CHECK(machine_end());
	}
}

static bool begin(void)
{
	struct machine_config config = { .blocks = 1, .absent = 5 };

	return CHECK(machine_make(config));
}

static int add(cf_pfn first, cf_pfn last, struct cf_block_config config)
{
	return cf_block_add(m.map, first, last, &config);
}

static void add_refuses(void)
{
	static _Alignas(4096) char memory[4096];

	if (!begin())
		return;
#define ADD(first, last, ...)						\
	cf_block_add(m.map, (first), (last),				\
		     &(struct cf_block_config){ __VA_ARGS__ })
	FAILS(CF_EINVAL, ADD(1024, 1024, .node = 0));
	FAILS(CF_EINVAL, ADD(2048, 1024, .node = 0));
	FAILS(CF_EINVAL, ADD(1024, 1536, .node = 0));
	FAILS(CF_EINVAL, ADD(1025, 2048, .node = 0));
	FAILS(CF_EINVAL, ADD(1024, m.last + 1024, .node = 0));
	FAILS(CF_EINVAL, ADD(1024, 2048, .node = 1));
	FAILS(CF_EINVAL, ADD(1024, 2048, .range_owner = 2));
	FAILS(CF_EINVAL, ADD(1024, 2048, .range_owner = CF_OWNER_ORPHAN));
	FAILS(CF_EINVAL, ADD(1024, 2048, .range_owner = CF_OWNERS_MAX));
	FAILS(CF_EINVAL, ADD(1024, 2048, .meta = CF_META_CALLER));
	FAILS(CF_EINVAL, ADD(1024, 2048, .meta = CF_META_CALLER,
			     .memory = memory + 8));
	FAILS(CF_EINVAL, ADD(1024, 2048, .meta = (enum cf_meta)3));
	FAILS(CF_EBUSY, ADD(0, 1024, .node = 0));
	FAILS(CF_EBUSY, ADD(0, 3072, .node = 0));
	CHECK_EQ(add(2048, 3072, (struct cf_block_config){ .node = 0 }), 0);
	FAILS(CF_EBUSY, ADD(1024, 4096, .node = 0));
	cf_host_fault_arm(&m.memory, CF_HOST_META_ALLOC, 1);
	FAILS(CF_ENOMEM, ADD(1024, 2048, .node = 0));
	cf_host_fault_disarm(&m.memory);
	for (unsigned call = 1; call <= 2; call++) {
		cf_host_fault_arm(&m.memory, CF_HOST_FRAME_ADDRESS, call);
		FAILS(CF_ENOMEM, ADD(3072, 5120, .meta = CF_META_SELF));
		cf_host_fault_disarm(&m.memory);
	}
#undef ADD
	CHECK(machine_end());
}

static void online_and_off(cf_pfn first, cf_pfn last)
{
	cf_pfn pfn;

	CHECK_EQ(block_info(first).state, CF_BLOCK_OFFLINE);
	CHECK_EQ(cf_block_online(m.map, first, last, CF_ZONE_NORMAL, NULL), 0);
	CHECK_EQ(block_info(last - 1).state, CF_BLOCK_ONLINE);
	pfn = alloc(kernel(3));
	cf_put(m.map, pfn);
	CHECK(machine_verify());
	CHECK_EQ(cf_block_offline(m.map, first, last, 2, NULL), 0);
}

/* Dirty memory is fine: only headers are cleared. */
static void metadata_of_the_caller(void)
{
	size_t bytes;
	char *memory;

	if (!begin())
		return;
	bytes = cf_block_meta_bytes(m.map, 2);
	CHECK(bytes >= 2 * 1024 * sizeof(uint64_t));
	memory = aligned_alloc(4096, (bytes + 4095) & ~(size_t)4095);
	memset(memory, 0xa5, bytes);
	CHECK_EQ(add(1024, 3072, (struct cf_block_config){
			.meta = CF_META_CALLER, .memory = memory }), 0);
	online_and_off(1024, 3072);
	CHECK_EQ(cf_block_remove(m.map, 1024, 3072), 0);
	/* It is the caller's again, also to throw away. */
	memset(memory, 0x5a, bytes);
	free(memory);
	CHECK_EQ(block_info(1024).state, CF_BLOCK_ABSENT);
	CHECK(machine_end());
}

static void metadata_of_the_block(void)
{
	struct cf_block_info info;
	struct cf_report report;
	uint64_t self;
	cf_pfn pfn;

	if (!begin())
		return;
	memset(m.memory.base + 1024 * CF_FRAME_BYTES, 0xa5,
	       2048 * CF_FRAME_BYTES);
	CHECK_EQ(add(1024, 3072, (struct cf_block_config){
			.meta = CF_META_SELF }), 0);
	CHECK(block_info(1024).self_hosted && block_info(2048).self_hosted);
	CHECK_EQ(cf_block_online(m.map, 1024, 3072, CF_ZONE_MOVABLE, NULL), 0);
	info = block_info(2048);
	self = info.reserved;
	CHECK(self >= 3 && self < 10);
	CHECK_EQ(info.free, 1024 - self);
	CHECK_EQ(info.offline, 0);
	CHECK_EQ(stat_now().reserved, 2 * self);
	CHECK_EQ(stat_now().managed, 1024 + 2048 - 2 * self);
	for (pfn = 2048; pfn < 2048 + self;) {
		CHECK_EQ(snapshot(pfn).type, CF_TYPE_RESERVED);
		CHECK_EQ(snapshot(pfn).flags, CF_FLAG_SELF);
		pfn += (cf_pfn)1 << snapshot(pfn).order;
	}
	CHECK(cf_find_head(m.map, 2048 + self) == CF_PFN_NONE);
	CHECK(machine_verify());
	/* Nobody gets these frames, and offlining steps over them. */
	FAILS(CF_EBUSY, cf_offline_alloc_range(m.map, 0, 1024, 2048, 0,
					       &report));
	CHECK_EQ(report.reason, CF_REASON_UNMOVABLE);
	CHECK_EQ(report.pfn, 1024);
	CHECK_EQ(cf_block_offline(m.map, 1024, 2048, 2, NULL), 0);
	CHECK_EQ(cf_block_offline(m.map, 2048, 3072, 2, NULL), 0);
	/* Each is a piece of its own. */
	CHECK_EQ(cf_block_remove(m.map, 2048, 3072), 0);
	CHECK(machine_end());
}

/* The owner's hook is offered what is not the block's own. */
static void metadata_before_the_hook(void)
{
	struct keeper keeper = { 0 };

	if (!begin() || !CHECK(keeper_add(&keeper, "k", 1u << HOOK_ONLINE)))
		return;
	CHECK_EQ(add(1024, 2048, (struct cf_block_config){
			.meta = CF_META_SELF, .range_owner = keeper.id }), 0);
	CHECK_EQ(cf_block_online(m.map, 1024, 2048, CF_ZONE_NORMAL, NULL), 0);
	CHECK_EQ(keeper.pfn[HOOK_ONLINE], 1024 + block_info(1024).reserved);
	CHECK_EQ(keeper.online_last, 2048);
	CHECK_EQ(cf_offline_free_range(m.map, keeper.id,
				       keeper.pfn[HOOK_ONLINE], 2048), 0);
	CHECK_EQ(cf_block_adopt(m.map, 1024, 2048, 0), 0);
	CHECK(keeper_remove(&keeper));
	CHECK(machine_end());
}

/* A piece of metadata goes as it came, alone or with others. */
static void pieces(void)
{
	const struct cf_block_config port = { .meta = CF_META_PORT };

	if (!begin())
		return;
	CHECK_EQ(add(1024, 3072, port), 0);
	CHECK_EQ(add(3072, 4096, port), 0);
	CHECK_EQ(add(4096, 6144, port), 0);
	FAILS(CF_EINVAL, cf_block_remove(m.map, 1024, 2048));
	FAILS(CF_EINVAL, cf_block_remove(m.map, 2048, 3072));
	FAILS(CF_EINVAL, cf_block_remove(m.map, 2048, 4096));
	FAILS(CF_EINVAL, cf_block_remove(m.map, 1024, 5120));
	FAILS(CF_EINVAL, cf_block_remove(m.map, 1024, 1024));
	FAILS(CF_EINVAL, cf_block_remove(m.map, 2048, 1024));
	FAILS(CF_EINVAL, cf_block_remove(m.map, 1024, 3000));
	FAILS(CF_EINVAL, cf_block_remove(m.map, 4096, m.last + 1024));
	FAILS(CF_EBUSY, cf_block_remove(m.map, 0, 1024));
	FAILS(CF_EBUSY, cf_block_remove(m.map, 0, 3072));
	CHECK_EQ(cf_block_remove(m.map, 1024, 4096), 0);
	FAILS(CF_EGONE, cf_block_remove(m.map, 1024, 2048));
	FAILS(CF_EGONE, cf_block_remove(m.map, 2048, 6144));
	CHECK_EQ(cf_block_remove(m.map, 4096, 6144), 0);
	CHECK(machine_end());
}

/* Metadata counted at the port: all that is taken is given back. */
static void given_back(void)
{
	const struct cf_block_config port = { .meta = CF_META_PORT };
	unsigned round;
	size_t before;

	if (!begin())
		return;
	before = meta_bytes;
	for (round = 0; round < 50; round++) {
		CHECK_EQ(add(1024, 6144, port), 0);
		CHECK(meta_bytes > before);
		online_and_off(1024, 6144);
		CHECK_EQ(cf_block_remove(m.map, 1024, 6144), 0);
		CHECK_EQ(meta_bytes, before);
	}
	CHECK(machine_end());
	CHECK_EQ(meta_bytes, 0);
}

static void remove_block(void *unused)
{
	(void)unused;
	CHECK_EQ(cf_block_remove(m.map, 1024, 2048), 0);
}

/* Nobody reads metadata that has gone. */
static void removal_waits(void)
{
	const struct cf_block_config port = { .meta = CF_META_PORT };
	size_t before;

	if (!begin())
		return;
	CHECK_EQ(add(1024, 2048, port), 0);
	before = meta_bytes;
	cf_walk_begin(m.map);
	background_begin(remove_block, NULL);
	CHECK(!background_is_done());
	CHECK_EQ(meta_bytes, before);
	cf_walk_end(m.map);
	background_end();
	CHECK(meta_bytes < before);
	CHECK_EQ(block_info(1024).state, CF_BLOCK_ABSENT);
	CHECK(machine_end());
}

static void infos(void)
{
	struct cf_block_info info = { .free = 12345 };
	cf_pfn pfn;

	if (!begin())
		return;
	FAILS(CF_EGONE, cf_block_info(m.map, 1024, &info));
	FAILS(CF_EGONE, cf_block_info(m.map, m.last, &info));
	FAILS(CF_EGONE, cf_block_info(m.map, CF_PFN_NONE, &info));
	CHECK_EQ(info.free, 12345);
	pfn = alloc(with_flags(kernel(0), CF_ALLOC_FROZEN));
	CHECK(cf_drain(m.map) == 0);
	CHECK_EQ(cf_block_info(m.map, 1023, &info), 0);
	CHECK_EQ(info.first, 0);
	CHECK_EQ(info.last, 1024);
	CHECK_EQ(info.state, CF_BLOCK_ONLINE);
	CHECK_EQ(info.zone, CF_ZONE_NORMAL);
	CHECK_EQ(info.free, 1023);
	CHECK_EQ(info.chunks, 2);
	CHECK_EQ(info.chunks_free, 1);
	CHECK_EQ(info.chunks_split, 1);
	CHECK_EQ(info.chunks_isolated, 0);
	CHECK(!info.orphan && !info.self_hosted);
	cf_free_frozen(m.map, pfn, 0);
	CHECK(machine_end());
}

int main(void)
{
	tap_run("configurations that can never be right",
		wrong_configurations);
	tap_run("defaults are filled in", defaults);
	tap_run("the largest maps", largest);
	tap_run("storage must be aligned", storage_is_aligned);
	tap_run("without a barrier caches must be fenced", needs_a_barrier);
	tap_run("a map with blocks stays", blocks_remain);
	tap_run("blocks that cannot be added", add_refuses);
	tap_run("metadata in the caller's memory", metadata_of_the_caller);
	tap_run("metadata in the block itself", metadata_of_the_block);
	tap_run("the online hook comes after it", metadata_before_the_hook);
	tap_run("pieces go as they came", pieces);
	tap_run("metadata goes back to the port", given_back);
	tap_run("removal waits for walkers", removal_waits);
	tap_run("what is known of a block", infos);
	tap_run("layout of metadata, every block order", layout_of_metadata);
	return tap_done();
}
