/* SPDX-License-Identifier: MIT */
/* A map of online blocks; see engine.h. */
#include <stdio.h>
#include <stdlib.h>

#include "bench/engine.h"

#define OFFLINE_PASSES	16

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

static const struct cf_owner_ops no_ops;
static const struct cf_owner_ops freeing_ops = { .release = release_free };

void engine_create(struct engine *engine, cf_pfn frames, bool huge_meta)
{
	const struct cf_host_config memory = {
		.last = frames,
		.huge_meta = huge_meta,
	};
	const struct cf_map_config config = { .cpus = THREADS_MAX };
	const struct cf_block_config blocks = { .meta = CF_META_PORT };
	int err;

	err = cf_host_memory_create(&memory, &engine->memory);
	if (err)
		engine_die("memory", err);
	err = cf_host_map_create(&engine->memory, &config, &engine->map);
	if (err)
		engine_die("map", err);
	err = cf_block_add(engine->map, 0, frames, &blocks);
	if (err)
		engine_die("add blocks", err);
}

void engine_online(struct engine *engine)
{
	const struct cf_map_config *config = cf_map_config_of(engine->map);
	int err;

	err = cf_block_online(engine->map, 0, config->last, CF_ZONE_NORMAL,
			      NULL);
	if (err)
		engine_die("online", err);
	err = cf_owner_register(engine->map, "bench", &no_ops, NULL,
				&engine->owner);
	if (err)
		engine_die("owner", err);
	err = cf_owner_register(engine->map, "freeing", &freeing_ops, NULL,
				&engine->freeing);
	if (err)
		engine_die("owner", err);
}

void engine_destroy(struct engine *engine)
{
	cf_pfn last = cf_map_config_of(engine->map)->last;
	int err;

	err = cf_owner_unregister(engine->map, engine->owner, NULL);
	if (err)
		engine_die("unregister", err);
	err = cf_owner_unregister(engine->map, engine->freeing, NULL);
	if (err)
		engine_die("unregister", err);
	err = cf_block_offline(engine->map, 0, last, OFFLINE_PASSES, NULL);
	if (err)
		engine_die("offline", err);
	err = cf_block_remove(engine->map, 0, last);
	if (err)
		engine_die("remove", err);
	err = cf_host_map_destroy(engine->map);
	if (err)
		engine_die("destroy", err);
	cf_host_memory_destroy(&engine->memory);
}
