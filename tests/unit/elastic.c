/* SPDX-License-Identifier: MIT */
/*
 * The elastic pool: objects by handle, moving together, giving memory back to
 * the system. One promise a test; contents are checked after every move.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "owners/elastic/elastic.h"
#include "owners/elastic/state.h"
#include "tests/unit/machine.h"

#define MIB	((uint64_t)1 << 20)
#define MANY	20000

static struct elastic *pool;
static struct cf_report report;
static elastic_handle handle[MANY];

static bool begin(uint64_t bytes)
{
	const struct elastic_config config = { .bytes = bytes, .cpus = 4 };

	memset(handle, 0, sizeof(handle));
	return CHECK_EQ(elastic_create(&config, &pool), 0);
}

static struct elastic_stat stat_of(void)
{
	struct elastic_stat stat;

	elastic_stat(pool, &stat);
	return stat;
}

static bool verify(void)
{
	struct cf_finding finding;

	if (cf_verify(elastic_map(pool), &finding))
		return true;
	printf("# verify: %s at %#llx\n", cf_finding_name(finding.kind),
	       (unsigned long long)finding.pfn);
	return false;
}

static void finish(void)
{
	CHECK(verify());
	CHECK_EQ(elastic_destroy(pool, &report), 0);
}

static size_t size_of(uint32_t number)
{
	static const uint16_t sizes[] = {
		1, 16, 17, 33, 100, 200, 300, 512, 700, 1361, 2048, 2049, 4096,
		5000, 9000,
	};

	return sizes[number % (sizeof(sizes) / sizeof(sizes[0]))];
}

static void make(uint32_t number, size_t bytes)
{
	unsigned char *memory;

	if (!CHECK_EQ(elastic_alloc(pool, bytes, &handle[number]), 0))
		return;
	memory = elastic_lock(pool, handle[number]);
	if (!CHECK(memory != NULL))
		return;
	memset(memory, (int)(number % 251), bytes);
	CHECK_EQ(elastic_unlock(pool, handle[number]), 0);
}

static bool is_intact(uint32_t number)
{
	size_t bytes = elastic_bytes(pool, handle[number]), i;
	const unsigned char *memory = elastic_lock(pool, handle[number]);
	bool good = memory != NULL;

	for (i = 0; good && i < bytes; i++)
		good = memory[i] == number % 251;
	if (memory)
		CHECK_EQ(elastic_unlock(pool, handle[number]), 0);
	return good;
}

static bool all_intact(void)
{
	uint32_t i;

	for (i = 0; i < MANY; i++)
		if (handle[i] && !is_intact(i))
			return false;
	return true;
}

static void drop(uint32_t number)
{
	CHECK_EQ(elastic_free(pool, handle[number]), 0);
	handle[number] = 0;
}

static void drop_all(void)
{
	uint32_t i;

	for (i = 0; i < MANY; i++)
		if (handle[i])
			drop(i);
}

static void keeps_objects(void)
{
	uint64_t bytes = 0;
	uint32_t i;
	void *a, *b;

	if (!begin(64 * MIB))
		return;
	for (i = 0; i < 3000; i++) {
		make(i, size_of(i));
		bytes += size_of(i);
		CHECK_EQ(elastic_bytes(pool, handle[i]), size_of(i));
	}
	CHECK(all_intact());
	CHECK_EQ(stat_of().objects, 3000);
	CHECK_EQ(stat_of().object_bytes, bytes);
	CHECK(stat_of().used_bytes >= bytes);
	/* No two share a byte: all were written before all were read. */
	a = elastic_lock(pool, handle[1]);
	b = elastic_lock(pool, handle[1]);
	CHECK(a && a == b && ((uintptr_t)a & 15) == 0);
	CHECK_EQ(stat_of().locked, 1);
	CHECK_EQ(elastic_unlock(pool, handle[1]), 0);
	CHECK_EQ(elastic_unlock(pool, handle[1]), 0);
	drop_all();
	CHECK_EQ(stat_of().used_bytes, 0);
	finish();
}

static void knows_its_handles(void)
{
	elastic_handle none;
	uint32_t i;

	if (!begin(4 * MIB))
		return;
	CHECK_EQ(elastic_alloc(pool, 0, &none), -CF_EINVAL);
	CHECK_EQ(elastic_alloc(pool, ((size_t)1 << 30) + 1, &none),
		 -CF_EINVAL);
	CHECK_EQ(elastic_alloc(pool, 8 * MIB, &none), -CF_ENOMEM);
	make(0, 100);
	none = handle[0];
	CHECK_EQ(elastic_unlock(pool, none), -CF_EINVAL);
	CHECK(elastic_lock(pool, none) != NULL);
	CHECK_EQ(elastic_free(pool, none), -CF_EBUSY);
	CHECK_EQ(elastic_unlock(pool, none), 0);
	drop(0);
	/* The point: a stale handle names nothing, also when used again. */
	make(1, 100);
	CHECK(handle[1] != none);
	CHECK_EQ(elastic_free(pool, none), -CF_EGONE);
	CHECK_EQ(elastic_unlock(pool, none), -CF_EGONE);
	CHECK(elastic_lock(pool, none) == NULL);
	CHECK_EQ(elastic_bytes(pool, none), 0);
	CHECK(elastic_lock(pool, 0) == NULL);
	CHECK(elastic_lock(pool, ~(uint64_t)0) == NULL);
	/* Full: an error, and what is there stays. */
	for (i = 2; !elastic_alloc(pool, 4096, &handle[i]); i++)
		;
	CHECK_EQ(i - 2, 4 * MIB / 4096 - 1);
	while (i-- > 2)
		drop(i);
	CHECK(all_intact());
	finish();
}

/* Three of four go, at random; what is left lies everywhere. */
static uint64_t scatter(uint32_t count)
{
	uint64_t state = 88172645463325252, freed = 0;
	uint32_t i;

	for (i = 0; i < count; i++)
		make(i, size_of(i));
	for (i = 0; i < count; i++) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		if (state >> 32 & 3) {
			freed += size_of(i);
			drop(i);
		}
	}
	return freed;
}

static void shrinks(void)
{
	uint64_t freed, given, before;

	if (!begin(128 * MIB))
		return;
	freed = scatter(MANY);
	before = cf_host_resident_bytes();
	CHECK_EQ(elastic_shrink(pool, freed, &given, &report), 0);
	/* The point: the process is smaller by what was freed. */
	CHECK(given >= freed && given <= freed + 2 * MIB);
	CHECK(before - cf_host_resident_bytes() >= freed - freed / 20);
	CHECK_EQ(report.reason, CF_REASON_NONE);
	CHECK(stat_of().merged > 0 && stat_of().moved > 0);
	CHECK(all_intact());
	CHECK(verify());
	/* And all there is. */
	CHECK_EQ(elastic_shrink(pool, ~(uint64_t)0, &given, NULL), 0);
	CHECK(given > 0);
	CHECK_EQ(elastic_shrink(pool, 1, &given, NULL), -CF_ENOMEM);
	CHECK_EQ(given, 0);
	CHECK(all_intact());
	/* It grows again, in frames that were given back. */
	drop_all();
	(void)scatter(MANY);
	CHECK(all_intact());
	drop_all();
	CHECK_EQ(elastic_shrink(pool, 1, &given, NULL), 0);
	finish();
}

static void merges_small_objects(void)
{
	struct elastic_stat before;
	uint64_t given;
	uint32_t i;

	if (!begin(16 * MIB))
		return;
	for (i = 0; i < 12800; i++)
		make(i, 64);
	for (i = 0; i < 12800; i++)
		if (i % 8)
			drop(i);
	/* Every frame of 64 objects has 8 left. */
	before = stat_of();
	CHECK_EQ(before.used_bytes, 200 * 4096);
	(void)!elastic_shrink(pool, ~(uint64_t)0, &given, NULL);
	CHECK_EQ(stat_of().used_bytes, 25 * 4096);
	CHECK(given >= 175 * 4096);
	CHECK(all_intact());
	/* Room is found again where it is. */
	for (i = 0; i < 1600; i++)
		if (!handle[i])
			make(i, 64);
	CHECK(stat_of().used_bytes <= 51 * 4096);
	CHECK(all_intact());
	finish();
}

static void leaves_locked_objects(void)
{
	const unsigned char *memory;
	uint64_t given;
	uint32_t i;

	if (!begin(16 * MIB))
		return;
	for (i = 0; i < 2000; i++)
		make(i, 4096);
	memory = elastic_lock(pool, handle[1000]);
	for (i = 0; i < 2000; i++)
		if (i != 1000)
			drop(i);
	CHECK_EQ(elastic_shrink(pool, 2000 * 4096, &given, &report),
		 -CF_ENOMEM);
	CHECK(given >= 1990 * 4096);
	/* What is in the way, and it is where it was. */
	CHECK_EQ(report.reason, CF_REASON_PINNED);
	CHECK_EQ(report.owner, elastic_owner(pool));
	CHECK(report.who && !strcmp(report.who, "elastic"));
	CHECK(report.pins == 1 && report.pfn != CF_PFN_NONE);
	CHECK(memory && memory[4095] == 1000 % 251);
	report.reason = CF_REASON_NONE;
	CHECK_EQ(elastic_destroy(pool, &report), -CF_EBUSY);
	CHECK_EQ(report.reason, CF_REASON_PINNED);
	CHECK_EQ(elastic_unlock(pool, handle[1000]), 0);
	CHECK(is_intact(1000));
	finish();
}

/* In a map that others use as well. */
static void shares_a_map(void)
{
	struct elastic_config config = { .bytes = 0 };
	uint64_t given;
	cf_pfn pfn, end;
	uint32_t i;

	memset(handle, 0, sizeof(handle));
	if (!CHECK(machine_make((struct machine_config){ .blocks = 3,
							 .cpus = 2 })))
		return;
	config.memory = &m.memory;
	CHECK_EQ(elastic_create(&config, &pool), -CF_EINVAL);
	config.map = m.map;
	config.bytes = 1;
	CHECK_EQ(elastic_create(&config, &pool), -CF_EINVAL);
	config.bytes = 0;
	CHECK_EQ(elastic_create(&config, &pool), 0);
	pfn = alloc(kernel(0));
	for (i = 0; i < 512; i++)
		make(i, 4096);
	for (i = 0; i < 512; i++)
		if (i % 2)
			drop(i);
	CHECK_EQ(elastic_shrink(pool, MIB, &given, NULL), 0);
	CHECK(all_intact());
	/* A block goes: objects move, and so does what was given back. */
	cf_put(m.map, pfn);
	end = m.block;
	CHECK_EQ(cf_block_offline(m.map, 0, end, 9, &report), 0);
	CHECK(all_intact());
	CHECK_EQ(cf_block_online(m.map, 0, end, CF_ZONE_NORMAL, NULL), 0);
	CHECK_EQ(elastic_destroy(pool, NULL), 0);
	CHECK_EQ(unused_frames(), m.last);
	CHECK(machine_end());
}

static void *use(void *context)
{
	uint32_t first = *(uint32_t *)context, round, i;

	(void)cf_host_enter();
	for (round = 0; round < 20; round++) {
		for (i = first; i < first + 200; i++)
			make(i, size_of(i + round));
		for (i = first; i < first + 200; i++) {
			CHECK(is_intact(i));
			drop(i);
		}
	}
	cf_host_leave(elastic_map(pool));
	return NULL;
}

/* A thread that compacts all the time, and others that know nothing of it. */
static void tends_itself(void)
{
	uint32_t first[3] = { 0, 200, 400 };
	const struct timespec nap = { .tv_nsec = 5000000 };
	uint64_t before, freed = 0;
	pthread_t thread[3];
	unsigned i;

	if (!begin(64 * MIB))
		return;
	for (i = 1000; i < 13000; i++)
		make(i, size_of(i));
	before = cf_host_resident_bytes();
	for (i = 1000; i < 13000; i++) {
		if (i % 4) {
			freed += size_of(i);
			drop(i);
		}
	}
	CHECK_EQ(elastic_tend_start(pool, MIB, 1), 0);
	CHECK_EQ(elastic_tend_start(pool, MIB, 1), -CF_EBUSY);
	for (i = 0; i < 3; i++)
		CHECK(!pthread_create(&thread[i], NULL, use, &first[i]));
	for (i = 0; i < 3; i++)
		(void)pthread_join(thread[i], NULL);
	/* It was given back without anybody asking. */
	for (i = 0; i < 1000 && before - cf_host_resident_bytes() <
	     freed - 3 * MIB; i++)
		(void)nanosleep(&nap, NULL);
	CHECK(i < 1000);
	elastic_tend_stop(pool);
	elastic_tend_stop(pool);
	CHECK(stat_of().merged > 0);
	CHECK(all_intact());
	finish();
}

static void *be_second(void *context)
{
	const struct elastic_config config = { .bytes = 4 * MIB, .cpus = 1 };

	(void)context;
	(void)cf_host_enter();
	CHECK_EQ(elastic_create(&config, &pool), -CF_EBUSY);
	cf_host_leave(NULL);
	return NULL;
}

/* A thread has a number that the pool's map would not have. */
static void needs_cpus(void)
{
	pthread_t thread;

	(void)cf_host_enter();
	if (CHECK(!pthread_create(&thread, NULL, be_second, NULL)))
		(void)pthread_join(thread, NULL);
	cf_host_leave(NULL);
}

static void joins_a_full_map(void)
{
	static const struct cf_owner_ops idle = { .release = NULL };
	struct elastic_config config = { .bytes = 0 };
	uint32_t id[CF_OWNERS_MAX], ids = 0;

	if (!CHECK(machine_make((struct machine_config){ .blocks = 1 })))
		return;
	config.memory = &m.memory;
	config.map = m.map;
	cf_host_fault_arm(&m.memory, CF_HOST_META_ALLOC, 1);
	CHECK_EQ(elastic_create(&config, &pool), -CF_ENOMEM);
	cf_host_fault_disarm(&m.memory);
	while (!cf_owner_register(m.map, "one of many", &idle, NULL,
				  &id[ids]))
		ids++;
	CHECK_EQ(elastic_create(&config, &pool), -CF_ELIMIT);
	while (ids > 0)
		CHECK_EQ(cf_owner_unregister(m.map, id[--ids], NULL), 0);
	CHECK(machine_end());
}

static void refuses(void)
{
	struct elastic_config config = { .bytes = MIB };
	struct cf_host_memory memory;

	CHECK_EQ(elastic_create(&config, &pool), -CF_EINVAL);
	config.bytes = 4 * MIB;
	config.memory = &memory;
	CHECK_EQ(elastic_create(&config, &pool), -CF_EINVAL);
	config.memory = NULL;
	config.zone = CF_ZONE_MOVABLE;
	CHECK_EQ(elastic_create(&config, &pool), -CF_EINVAL);
	config.zone = CF_ZONE_NORMAL;
	config.bytes = ~(uint64_t)0;
	CHECK_EQ(elastic_create(&config, &pool), -CF_EINVAL);
}

/* ---- no memory for the list of what is given back ---- */

void *__real_realloc(void *memory, size_t bytes);
void *__wrap_realloc(void *memory, size_t bytes);
int __real_cf_offline_free(struct cf_map *map, uint32_t owner, cf_pfn pfn,
			   unsigned order);
int __wrap_cf_offline_free(struct cf_map *map, uint32_t owner, cf_pfn pfn,
			   unsigned order);

static bool no_memory;

void *__wrap_realloc(void *memory, size_t bytes)
{
	return no_memory ? NULL : __real_realloc(memory, bytes);
}

/* It is just being moved. */
int __wrap_cf_offline_free(struct cf_map *map, uint32_t owner, cf_pfn pfn,
			   unsigned order)
{
	return no_memory ? -CF_EAGAIN :
			   __real_cf_offline_free(map, owner, pfn, order);
}

static uint64_t offline_frames(void)
{
	struct cf_stat stat;

	cf_stat(elastic_map(pool), &stat);
	return stat.offline;
}

static void forgets_nothing(void)
{
	uint64_t given;
	uint32_t i;

	if (!begin(16 * MIB))
		return;
	for (i = 0; i < 1000; i++)
		make(i, 4096);
	for (i = 0; i < 1000; i++)
		CHECK_EQ(elastic_free(pool, handle[i]), 0);
	no_memory = true;
	CHECK_EQ(elastic_shrink(pool, 8 * MIB, &given, &report), -CF_ENOMEM);
	no_memory = false;
	CHECK_EQ(given, 0);
	/* What is out of use is on the list. */
	CHECK_EQ(offline_frames() * CF_FRAME_BYTES, stat_of().given_bytes);
	CHECK_EQ(elastic_shrink(pool, 2 * MIB, &given, NULL), 0);
	CHECK(given >= 2 * MIB);
	CHECK_EQ(offline_frames() * CF_FRAME_BYTES, stat_of().given_bytes);
	finish();
}

/* Objects of a file that somebody else wrote. */
static void adopts_what_can_be(void)
{
	struct elastic_object object = { .handle = (1ull << 32) | 1,
					 .bytes = 100 };
	struct cf_request request = { .type = CF_TYPE_FOLIO };
	struct elastic_stat stat = { .moved = 0 };
	cf_pfn pfn;

	if (!begin(64 * MIB))
		return;
	(void)cf_host_enter();
	request.owner = (uint16_t)elastic_owner(pool);
	CHECK_EQ(cf_alloc(elastic_map(pool), request, &pfn), 0);
	object.pfn = pfn;
	object.slot = 32;
	CHECK_EQ(elastic_adopt_object(pool, &object), -CF_EINVAL);
	object.slot = 0;
	object.bytes = UINT64_MAX;
	CHECK_EQ(elastic_adopt_object(pool, &object), -CF_EINVAL);
	object.bytes = ((uint64_t)1 << 30) + 1;
	CHECK_EQ(elastic_adopt_object(pool, &object), -CF_EINVAL);
	CHECK_EQ(stat_of().used_bytes, 0);
	object.bytes = 100;
	object.slot = 31;
	CHECK_EQ(elastic_adopt_object(pool, &object), 0);
	CHECK_EQ(elastic_adopt_object(pool, &object), -CF_EINVAL);
	CHECK_EQ(stat_of().used_bytes, CF_FRAME_BYTES);
	CHECK_EQ(elastic_adopt(pool, &stat), 0);
	/* A run that names the pool, and that no object lies in. */
	CHECK_EQ(cf_alloc(elastic_map(pool), request, &pfn), 0);
	CHECK_EQ(elastic_adopt(pool, &stat), -CF_EINVAL);
	cf_put(elastic_map(pool), pfn);
	CHECK_EQ(elastic_adopt(pool, &stat), 0);
	CHECK_EQ(elastic_free(pool, object.handle), 0);
	CHECK_EQ(stat_of().used_bytes, 0);
	cf_host_leave(elastic_map(pool));
	finish();
}

int main(void)
{
	tap_run("objects of all sizes", keeps_objects);
	tap_run("handles, stale ones too", knows_its_handles);
	tap_run("the process shrinks by what was freed", shrinks);
	tap_run("small objects move together", merges_small_objects);
	tap_run("locked objects stay, and are named", leaves_locked_objects);
	tap_run("in a map with others", shares_a_map);
	tap_run("a thread tends the pool", tends_itself);
	tap_run("contexts that are there already", needs_cpus);
	tap_run("a map without ids or memory", joins_a_full_map);
	tap_run("without memory for the list nothing is forgotten",
		forgets_nothing);
	tap_run("configurations that cannot be right", refuses);
	tap_run("objects of a file that cannot be right", adopts_what_can_be);
	return tap_done();
}
