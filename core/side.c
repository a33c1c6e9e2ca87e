/* SPDX-License-Identifier: MIT */

/*
 * Side tables: what an owner knows of each frame, by number.
 *
 * A directory with an entry a block, and a leaf for each block that has
 * entries.  Leaves are published by an exchange, so of two that extend at
 * once one loses and gives its own back.
 *
 * A leaf goes with its block: removal unpublishes the block, waits for read
 * sections, then drops the leaves.  So a leaf is looked at, and published,
 * only inside a read section in which the block was still published.  Such a
 * section began before the wait: what it found stays until it ends, and what
 * it published is there for the drop to see.  No lock is needed, and hooks
 * that run under map->hotplug may extend their tables.
 */

#include "internal.h"

static struct cfi_side *table_of(struct cf_side *side)
{
	return (struct cfi_side *)side;
}

static uint64_t number_of(const struct cfi_side *table, cf_pfn pfn)
{
	return pfn >> table->map->block_shift;
}

static void free_leaf(const struct cfi_side *table, void *leaf)
{
	cf_port_meta_free(table->map->config.machine, leaf, table->leaf_bytes);
}

/* Take a leaf out of the table; no section that may use it is open. */
static void drop_leaf(struct cfi_side *table, uint64_t number)
{
	cfi_u64 *slot = &table->leaf[number];
	/* Relaxed: who published it did so before the wait for sections. */
	void *leaf = (void *)(uintptr_t)cfi_load_relaxed(slot);

	if (!leaf)
		return;
	/* Relaxed: whoever publishes the block again carries it along. */
	cfi_store_relaxed(slot, 0);
	free_leaf(table, leaf);
}

/*
 * Give back what side tables hold for a block.  The block is unpublished,
 * sections have been waited for, and the caller still holds map->hotplug.
 */
void cfi_side_drop_block(struct cf_map *map, uint64_t number)
{
	struct cfi_side *table;

	CF_ASSERT_LOCKED(&map->hotplug);
	CF_CHECK(cfi_block_at(map, number) == NULL, number);
	for (table = map->side; table; table = table->next)
		drop_leaf(table, number);
}

int cf_side_add(struct cf_map *map, struct cf_side *side, size_t entry_bytes)
{
	struct cfi_side *table = table_of(side);
	size_t directory_bytes = map->blocks_max * sizeof(*table->leaf);
	unsigned long state;
	cfi_u64 *leaf;

	if (entry_bytes == 0 || entry_bytes > CF_FRAME_BYTES)
		return -CF_EINVAL;
	leaf = cf_port_meta_alloc(map->config.machine, directory_bytes);
	if (!leaf)
		return -CF_ENOMEM;
	__builtin_memset(leaf, 0, directory_bytes);
	*table = (struct cfi_side) {
		.map = map,
		.leaf = leaf,
		.entry_bytes = entry_bytes,
		.leaf_bytes = entry_bytes << map->block_shift,
		.directory_bytes = directory_bytes,
	};
	state = cf_lock(&map->hotplug);
	table->next = map->side;
	map->side = table;
	cf_unlock(&map->hotplug, state);
	return 0;
}

static void delist(struct cf_map *map, const struct cfi_side *table)
{
	unsigned long state = cf_lock(&map->hotplug);
	struct cfi_side **at = &map->side;

	while (*at != table) {
		CF_CHECK(*at != NULL, (uintptr_t)table);
		at = &(*at)->next;
	}
	*at = table->next;
	cf_unlock(&map->hotplug, state);
}

void cf_side_remove(struct cf_map *map, struct cf_side *side)
{
	struct cfi_side *table = table_of(side);
	uint64_t number;

	delist(map, table);
	cf_port_synchronize();
	for (number = 0; number < map->blocks_max; number++)
		drop_leaf(table, number);
	cf_port_meta_free(map->config.machine, table->leaf,
			  table->directory_bytes);
	__builtin_memset(table, 0, sizeof(*table));
}

void *cf_side_find(const struct cf_side *side, cf_pfn pfn)
{
	const struct cfi_side *table = (const struct cfi_side *)side;
	const struct cf_map *map = table->map;
	cf_pfn in_block = pfn & (((cf_pfn)1 << map->block_shift) - 1);
	unsigned char *leaf;

	/* A block that is going may lose its leaf as soon as we have it. */
	if (!cfi_block_of(map, pfn))
		return NULL;
	/*
	 * Acquire: see the leaf zeroed, and what was written into it before a
	 * number was handed to us. The other side is publish(). [side-leaf]
	 */
	leaf = (unsigned char *)(uintptr_t)
		cfi_load_acquire(&table->leaf[number_of(table, pfn)]);
	return leaf ? leaf + in_block * table->entry_bytes : NULL;
}

/* Make @leaf the block's, unless that goes or another was quicker. */
static bool publish(struct cfi_side *table, cf_pfn pfn, const void *leaf)
{
	uint64_t none = 0;
	bool published = false;

	cf_port_read_lock();
	if (cfi_block_of(table->map, pfn))
		/*
		 * Release: who finds the leaf sees it zeroed. The other side
		 * is cf_side_find(). [side-leaf]
		 */
		published = cfi_cas_release(&table->leaf[number_of(table, pfn)],
					    &none, (uintptr_t)leaf);
	cf_port_read_unlock();
	return published;
}

static int add_leaf(struct cfi_side *table, cf_pfn pfn)
{
	void *leaf;

	if (!cfi_block_of(table->map, pfn))
		return -CF_EGONE;
	leaf = cf_port_meta_alloc(table->map->config.machine,
				  table->leaf_bytes);
	if (!leaf)
		return -CF_ENOMEM;
	__builtin_memset(leaf, 0, table->leaf_bytes);
	if (!publish(table, pfn, leaf))
		free_leaf(table, leaf);
	return 0;
}

int cf_side_extend(struct cf_side *side, cf_pfn pfn, void **ret_entry)
{
	void *entry = cf_side_find(side, pfn);
	int err;

	cf_assert_unlocked(CF_RANK_OWNER);
	if (!entry) {
		err = add_leaf(table_of(side), pfn);
		if (err)
			return err;
		entry = cf_side_find(side, pfn);
	}
	if (!entry)
		return -CF_EGONE;
	*ret_entry = entry;
	return 0;
}
