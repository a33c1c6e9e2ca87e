/* SPDX-License-Identifier: MIT */
/* A map of online blocks; see engine.h. */
#include <stdio.h>
#include <stdlib.h>

#include "bench/engine.h"

struct engine engine;

_Noreturn void engine_die(const char *what, int err)
{
	(void)fprintf(stderr, "bench: %s: %s\n", what, cf_strerror(err));
	exit(1);
}

static enum cf_verdict release_free(void *context, cf_pfn pfn, unsigned order)
{
	(void)context;
	(void)pfn;
	(void)order;
	return CF_VERDICT_FREE;
}

static enum cf_verdict release_keep(void *context, cf_pfn pfn, unsigned order)
{
	(void)context;
	(void)pfn;
	(void)order;
	return CF_VERDICT_KEEP;
}

static const struct cf_owner_ops no_ops;
static const struct cf_owner_ops freeing_ops = { .release = release_free };
static const struct cf_owner_ops keeping_ops = { .release = release_keep };

static void create(cf_pfn frames, enum engine_pages pages, bool no_caches)
{
	const struct cf_host_config memory = {
		.last = frames,
		.huge = pages == ENGINE_HUGE,
		.huge_meta = pages != ENGINE_SMALL,
	};
	const struct cf_map_config config = {
		.cpus = threads_usable(),
		.no_caches = no_caches,
	};
	const struct cf_block_config blocks = { .meta = CF_META_PORT };
	int err;

	err = cf_host_memory_create(&memory, &engine.memory);
	if (err)
		engine_die("memory", err);
	err = cf_host_map_create(&engine.memory, &config, &engine.map);
	if (err)
		engine_die("map", err);
	err = cf_block_add(engine.map, 0, frames, &blocks);
	if (err)
		engine_die("add blocks", err);
}

void engine_create(cf_pfn frames, enum engine_pages pages)
{
	create(frames, pages, false);
}

void engine_create_uncached(cf_pfn frames, enum engine_pages pages)
{
	create(frames, pages, true);
}

static void owner_add(const char *name, const struct cf_owner_ops *ops,
		      uint32_t *ret_id)
{
	int err = cf_owner_register(engine.map, name, ops, NULL, ret_id);

	if (err)
		engine_die("owner", err);
}

void engine_online(enum cf_zone_kind kind)
{
	const struct cf_map_config *config = cf_map_config_of(engine.map);
	int err = cf_block_online(engine.map, 0, config->last, kind, NULL);

	if (err)
		engine_die("online", err);
	owner_add("bench", &no_ops, &engine.owner);
	owner_add("freeing", &freeing_ops, &engine.freeing);
	owner_add("keeping", &keeping_ops, &engine.keeping);
}

void engine_warm(void)
{
	uint64_t room = cf_map_config_of(engine.map)->last;
	cf_pfn *pfns = room_open(room * sizeof(*pfns));
	uint64_t count = 0;

	while (count < room && engine_try_take(0, &pfns[count]) == 0)
		count++;
	while (count > 0)
		cf_put(engine.map, pfns[--count]);
	room_close(pfns, room * sizeof(*pfns));
	engine_drain();
}

static void owner_remove(uint32_t id)
{
	int err = cf_owner_unregister(engine.map, id, NULL);

	if (err)
		engine_die("unregister", err);
}

void engine_destroy(void)
{
	cf_pfn last = cf_map_config_of(engine.map)->last;
	int err;

	owner_remove(engine.owner);
	owner_remove(engine.freeing);
	owner_remove(engine.keeping);
	err = cf_block_offline(engine.map, 0, last, OFFLINE_PASSES, NULL);
	if (err)
		engine_die("offline", err);
	err = cf_block_remove(engine.map, 0, last);
	if (err)
		engine_die("remove", err);
	err = cf_host_map_destroy(engine.map);
	if (err)
		engine_die("destroy", err);
	cf_host_memory_destroy(&engine.memory);
}

void engine_drain(void)
{
	int err = cf_drain(engine.map);

	if (err)
		engine_die("drain", err);
}

bool engine_run_fits(unsigned order)
{
	struct cf_zone_stat stat;
	unsigned i;
	int err = cf_zone_stat(engine.map, 0, CF_ZONE_NORMAL, &stat);

	if (err)
		engine_die("zone", err);
	for (i = order; i <= CF_MAX_ORDER; i++)
		if (stat.runs[i] > 0)
			return true;
	return false;
}

void engine_enter(struct worker *worker)
{
	(void)worker;
	(void)cf_host_enter();
}

void engine_leave(struct worker *worker)
{
	(void)worker;
	cf_host_leave(engine.map);
}
