/* SPDX-License-Identifier: MIT */
#ifndef CFI_DEVICE_H
#define CFI_DEVICE_H

/* Device memory, between the files of the engine. */

#include "internal.h"

/* map.c: device memory is added and removed as blocks; hotplug is held */
int cfi_device_add(struct cf_map *map, cf_pfn first, cf_pfn last,
		   const struct cf_block_config *config,
		   enum cf_pagemap_kind kind);
void cfi_device_remove(struct cf_map *map, cf_pfn first, cf_pfn last);

/* device.c: runs of device memory */
uint64_t cfi_device_lay(struct cf_map *map, struct cfi_block *block,
			cf_pfn first, cf_pfn last, uint64_t word);
void cfi_device_back(struct cf_map *map, cf_pfn pfn, uint64_t word);
void cfi_device_failed(struct cf_map *map, cf_pfn pfn);

#endif
