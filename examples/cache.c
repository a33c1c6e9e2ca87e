/* SPDX-License-Identifier: MIT */
/*
 * A cache that gives memory back: records by number, any size, forgotten when
 * they are not wanted, and a process that shrinks by what was forgotten.
 *
 *	cache [MiB]
 *
 * fills a pool, forgets three records of four at random, shrinks, and looks
 * at what is left.  With malloc() in place of the pool it would stay as large
 * as it was: each page keeps a record or two.
 *
 * Exit status: 0; 1 it did not shrink, or a record is wrong; 2 wrong usage.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "owners/elastic/elastic.h"
#include "port/host/host.h"

#define MIB		((uint64_t)1 << 20)
#define RECORD_MAX	6000u

struct cache {
	struct elastic *pool;
	elastic_handle *record;		/* 0: forgotten */
	uint32_t records;
	uint64_t bytes;			/* of all records */
};

/* Always the same row of numbers. */
static uint32_t draw(uint32_t limit)
{
	static uint64_t state = 88172645463325252;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 32) % limit;
}

/*
 * What a user of the pool does: lock, use the address, unlock.  Between two
 * locks the record may be somewhere else.
 */
static int store(struct cache *cache, uint32_t number, size_t bytes)
{
	void *memory;

	if (elastic_alloc(cache->pool, bytes, &cache->record[number]))
		return -1;
	memory = elastic_lock(cache->pool, cache->record[number]);
	if (!memory)
		return -1;
	memset(memory, (int)(number & 0xff), bytes);
	cache->bytes += bytes;
	return elastic_unlock(cache->pool, cache->record[number]);
}

static int is_intact(struct cache *cache, uint32_t number)
{
	elastic_handle record = cache->record[number];
	size_t bytes = elastic_bytes(cache->pool, record), i;
	const unsigned char *memory = elastic_lock(cache->pool, record);
	int intact = memory != NULL;

	for (i = 0; intact && i < bytes; i++)
		intact = memory[i] == (unsigned char)number;
	return memory && !elastic_unlock(cache->pool, record) && intact;
}

static int forget(struct cache *cache, uint32_t number)
{
	cache->bytes -= elastic_bytes(cache->pool, cache->record[number]);
	if (elastic_free(cache->pool, cache->record[number]))
		return -1;
	cache->record[number] = 0;
	return 0;
}

static int fill(struct cache *cache, uint64_t bytes)
{
	while (cache->bytes < bytes)
		if (store(cache, cache->records++, 1 + draw(RECORD_MAX)))
			return -1;
	return 0;
}

static int forget_three_of_four(struct cache *cache)
{
	uint32_t i;

	for (i = 0; i < cache->records; i++)
		if (draw(4) && forget(cache, i))
			return -1;
	return 0;
}

static int all_intact(struct cache *cache)
{
	uint32_t i;

	for (i = 0; i < cache->records; i++)
		if (cache->record[i] && !is_intact(cache, i))
			return 0;
	return 1;
}

static void say(const char *what, const struct cache *cache)
{
	printf("%-10s %7.1f MiB in records, %7.1f MiB resident\n", what,
	       (double)cache->bytes / (double)MIB,
	       (double)cf_host_resident_bytes() / (double)MIB);
}

static int run(struct cache *cache, uint64_t bytes)
{
	uint64_t before, after, freed, given;

	say("empty", cache);
	if (fill(cache, bytes))
		return 1;
	say("filled", cache);
	freed = cache->bytes;
	if (forget_three_of_four(cache))
		return 1;
	say("forgotten", cache);
	freed -= cache->bytes;
	before = cf_host_resident_bytes();
	/* Fails if there is less to give: then it is all there is. */
	if (elastic_shrink(cache->pool, freed, &given, NULL))
		printf("%.1f MiB of %.1f could be given back\n",
		       (double)given / (double)MIB,
		       (double)freed / (double)MIB);
	after = cf_host_resident_bytes();
	say("shrunk", cache);
	if (!all_intact(cache))
		return 1;
	/* By what was freed, but for 2 %: records that are left are tables. */
	return before < after + freed - freed / 50;
}

int main(int argc, char **argv)
{
	uint64_t bytes = (argc > 1 ? strtoull(argv[1], NULL, 10) : 64) * MIB;
	struct elastic_config config = { .name = "cache", .bytes = 2 * bytes };
	struct cache cache = { .records = 0 };
	int status;

	if (argc > 2 || bytes < 4 * MIB || bytes > 65536 * MIB) {
		fprintf(stderr, "usage: cache [MiB]   (4 to 65536; 64)\n");
		return 2;
	}
	/* Records are 3000 bytes on the average. */
	cache.record = calloc(bytes / 1000, sizeof(*cache.record));
	if (!cache.record || elastic_create(&config, &cache.pool)) {
		fprintf(stderr, "cache: no memory\n");
		return 1;
	}
	(void)cf_host_enter();
	status = run(&cache, bytes);
	if (elastic_destroy(cache.pool, NULL))
		status = 1;
	free(cache.record);
	return status;
}
