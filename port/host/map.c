/* SPDX-License-Identifier: MIT */
/* A map with storage of its own. */
#define _GNU_SOURCE
#include <sys/mman.h>

#include "internal.h"

int cf_host_map_create(struct cf_host_memory *memory,
		       const struct cf_map_config *config,
		       struct cf_map **ret_map)
{
	struct cf_map_config full = *config;
	void *storage;
	size_t bytes;
	int err;

	full.machine = memory;
	full.fenced = config->fenced || cf_host_fenced();
	full.debug_pagealloc = memory->config.debug_pagealloc;
	if (full.last == 0)
		full.last = memory->config.last;
	bytes = cf_map_bytes(&full);
	if (bytes == 0)
		return -CF_EINVAL;
	if (memory->map)
		return -CF_EBUSY;
	err = host_numbers_limit(full.cpus);
	if (err)
		return err;
	storage = host_map_pages(bytes, false);
	if (!storage) {
		err = -CF_ENOMEM;
		goto unlimit;
	}
	err = cf_map_create(&full, storage, &memory->map);
	if (err)
		goto unmap;
	memory->map_storage = storage;
	memory->map_bytes = bytes;
	*ret_map = memory->map;
	return 0;

unmap:
	(void)munmap(storage, bytes);
unlimit:
	host_numbers_unlimit();
	return err;
}

int cf_host_map_destroy(struct cf_map *map)
{
	struct cf_host_memory *memory = cf_map_config_of(map)->machine;
	int err = cf_map_destroy(map);

	if (err)
		return err;
	(void)munmap(memory->map_storage, memory->map_bytes);
	memory->map = NULL;
	host_numbers_unlimit();
	return 0;
}
