/* SPDX-License-Identifier: MIT */

/*
 * Owners: who is told when the last reference goes.
 *
 * The owner's id stands in the word, so the put that drops the last reference
 * has it in hand and the allocator, id 0, costs nothing.  An id is free, open
 * or closing.  Puts with an owner and stores of an owner id run in read
 * sections: closing an id and waiting for those leaves nobody inside a hook
 * and no new word with that id, and only then are the words rewritten.
 */

#include "internal.h"

/*
 * The entry of an id that is open, or NULL.  In a read section or under
 * hotplug, so that it stays usable.
 */
struct cfi_owner *cfi_owner_open(struct cf_map *map, uint32_t id)
{
	struct cfi_owner *owner;

	if (id <= CF_OWNER_ORPHAN || id >= CF_OWNERS_MAX)
		return NULL;
	owner = &map->owner[id];
	/*
	 * Acquire: see name, hooks and context. The other side is
	 * cf_owner_register(). [owner-state]
	 */
	return cfi_load_acquire(&owner->state) == OWNER_OPEN ? owner : NULL;
}

/* Enter a read section in which words with this id may be stored. */
int cfi_owner_begin(struct cf_map *map, uint32_t id)
{
	cf_port_read_lock();
	if (cfi_owner_open(map, id))
		return 0;
	cf_port_read_unlock();
	return -CF_EGONE;
}

void cfi_owner_end(void)
{
	cf_port_read_unlock();
}

void cfi_owner_count(struct cf_map *map, uint32_t id, int64_t frames)
{
	unsigned shard = cf_port_cpu() % OWNER_SHARDS;

	if (id != CF_OWNER_NONE)
		/* Relaxed: a count. */
		(void)cfi_add_relaxed(&map->owner_frames[shard * CF_OWNERS_MAX +
							 id],
				      (uint64_t)frames);
}

uint64_t cfi_owner_frames(const struct cf_map *map, uint32_t id)
{
	uint64_t frames = 0;
	unsigned shard;

	/*
	 * Relaxed: counts; parts may be negative, and so may be the sum while
	 * they change.
	 */
	for (shard = 0; shard < OWNER_SHARDS; shard++)
		frames += cfi_load_relaxed(&map->owner_frames
					   [shard * CF_OWNERS_MAX + id]);
	return (int64_t)frames < 0 ? 0 : frames;
}

/* The last reference of a run went; its word is frozen.  In a read section. */
enum cf_verdict cfi_owner_release(struct cf_map *map, cf_pfn pfn,
				  uint64_t word)
{
	struct cfi_owner *owner = cfi_owner_open(map, word_owner(word));

	if (!owner || !owner->ops->release)
		return CF_VERDICT_FREE;
	return owner->ops->release(owner->context, pfn, word_order(word));
}

const char *cfi_owner_name(struct cf_map *map, uint32_t id)
{
	const struct cfi_owner *owner = cfi_owner_open(map, id);

	if (id == CF_OWNER_NONE)
		return "allocator";
	if (id == CF_OWNER_ORPHAN)
		return "orphan";
	return owner ? owner->name : "unregistered";
}

int cf_owner_register(struct cf_map *map, const char *name,
		      const struct cf_owner_ops *ops, void *context,
		      uint32_t *ret_id)
{
	unsigned long state;
	uint32_t id;

	if (!name || !ops)
		return -CF_EINVAL;
	state = cf_lock(&map->owner_lock);
	for (id = CF_OWNER_ORPHAN + 1; id < CF_OWNERS_MAX; id++)
		/* Relaxed: ids change state under the lock we hold. */
		if (cfi_load_relaxed(&map->owner[id].state) == OWNER_FREE)
			break;
	if (id < CF_OWNERS_MAX) {
		map->owner[id].name = name;
		map->owner[id].ops = ops;
		map->owner[id].context = context;
		/* Release: who sees it open sees its hooks. [owner-state] */
		cfi_store_release(&map->owner[id].state, OWNER_OPEN);
	}
	cf_unlock(&map->owner_lock, state);
	if (id == CF_OWNERS_MAX)
		return -CF_ELIMIT;
	*ret_id = id;
	return 0;
}

static void set_state(struct cf_map *map, uint32_t id,
		      enum cfi_owner_state value)
{
	unsigned long state = cf_lock(&map->owner_lock);

	/* Relaxed: a grace period comes before anybody relies on it. */
	cfi_store_relaxed(&map->owner[id].state, value);
	cf_unlock(&map->owner_lock, state);
}

/* An OFFLINE run of an orphan can be neither moved nor stepped over. */
static uint64_t orphan_word(uint64_t word)
{
	word = word_with_owner(word, CF_OWNER_ORPHAN);
	if (word_is(word, CF_TYPE_OFFLINE))
		word = word_without(word, CF_FLAG_MOVABLE | CF_FLAG_SKIPPABLE);
	return word;
}

/* Rewrite one word if it names @id; returns the frames of its run. */
static uint64_t orphan_at(struct cfi_block *block, cfi_u64 *slot, cf_pfn pfn,
			  uint32_t id)
{
	/* Relaxed: a stale value only makes the exchange below fail. */
	uint64_t old = cfi_load_relaxed(slot);
	uint64_t value;
	cf_pfn last;

	do {
		if (old == 0 || word_owner(old) != id)
			return 0;
		value = orphan_word(old);
		/* Relaxed: no word with this id is stored any more. */
	} while (!cfi_cas_relaxed(slot, &old, value));
	last = pfn + word_frames(old);
	if (word_has(old, CF_FLAG_SKIPPABLE)) {
		(void)cfi_account(block, pfn, last, old, -1);
		(void)cfi_account(block, pfn, last, value, 1);
	}
	return word_frames(old);
}

static uint64_t orphan_chunk(struct cfi_block *block, unsigned chunk,
			     uint32_t id)
{
	cf_pfn first = block->first + ((cf_pfn)chunk << CF_CHUNK_ORDER);
	uint64_t frames;
	cf_pfn pfn;

	frames = orphan_at(block, &block->chunk[chunk].word, first, id);
	/* Relaxed: written under the lock we hold. */
	if (!(cfi_load_relaxed(&block->split) >> chunk & 1))
		return frames;
	for (pfn = first; pfn < first + CF_CHUNK_FRAMES; pfn++)
		frames += orphan_at(block, cfi_word_slot(block, pfn, 0), pfn,
				    id);
	return frames;
}

/* Words and range of one block that name @id. */
static uint64_t orphan_block(struct cf_map *map, struct cfi_block *block,
			     uint32_t id)
{
	unsigned long state = cfi_block_lock(block);
	uint64_t frames = 0;
	unsigned chunk;

	if (block->range_owner == id) {
		block->range_owner = CF_OWNER_ORPHAN;
		block->orphan = true;
	}
	/* The count says when all are found: it can only fall by now. */
	for (chunk = 0; chunk < block->chunks &&
	     cfi_owner_frames(map, id) != frames; chunk++)
		frames += orphan_chunk(block, chunk, id);
	cfi_block_unlock(block, state);
	return frames;
}

int cf_owner_unregister(struct cf_map *map, uint32_t id, uint64_t *ret_orphans)
{
	unsigned long state;
	uint64_t orphans = 0;
	uint64_t frames;
	uint64_t number;

	state = cf_lock(&map->hotplug);
	if (!cfi_owner_open(map, id)) {
		cf_unlock(&map->hotplug, state);
		return -CF_EINVAL;
	}
	set_state(map, id, OWNER_CLOSING);
	cf_port_synchronize();
	for (number = 0; number < cfi_blocks_end(map); number++) {
		struct cfi_block *block = cfi_block_at(map, number);

		if (!block)
			continue;
		frames = orphan_block(map, block, id);
		cfi_owner_count(map, id, -(int64_t)frames);
		cfi_owner_count(map, CF_OWNER_ORPHAN, (int64_t)frames);
		orphans += frames;
	}
	/*
	 * A put may have made its exchange before the word was rewritten and
	 * not yet looked who owns the run: it must find nobody.
	 */
	cf_port_synchronize();
	set_state(map, id, OWNER_FREE);
	cf_unlock(&map->hotplug, state);
	if (ret_orphans)
		*ret_orphans = orphans;
	return 0;
}

/* Exchange the owner in a counted run's word. */
static int change_word(cfi_u64 *slot, uint32_t id, uint64_t *ret_old)
{
	/* Relaxed: a stale value only makes the exchange below fail. */
	uint64_t old = cfi_load_relaxed(slot);

	do {
		if (!word_is_counted(old))
			return -CF_EGONE;
		if (word_has(old, CF_FLAG_BUSY | CF_FLAG_ISOLATED))
			return -CF_EAGAIN;
		if (id == CF_OWNER_NONE && word_is(old, CF_TYPE_DEVICE))
			return -CF_EREFUSED;
		/* Release: the new owner's hook sees what we did. [last-put] */
	} while (!cfi_cas_release(slot, &old, word_with_owner(old, id)));
	*ret_old = old;
	return 0;
}

int cf_owner_change(struct cf_map *map, cf_pfn pfn, uint32_t id)
{
	struct cfi_block *block;
	cfi_u64 *slot = NULL;
	int err = -CF_EGONE;
	int64_t frames;
	uint64_t old;

	cf_port_read_lock();
	block = cfi_block_of(map, pfn);
	if (block && (id == CF_OWNER_NONE || cfi_owner_open(map, id)))
		slot = cfi_word_at(block, pfn);
	if (slot)
		err = change_word(slot, id, &old);
	if (!err) {
		frames = (int64_t)word_frames(old);
		cfi_owner_count(map, word_owner(old), -frames);
		cfi_owner_count(map, id, frames);
	}
	cf_port_read_unlock();
	return err;
}

static uint64_t count_ranges(struct cf_map *map, uint32_t id)
{
	uint64_t blocks = 0;
	uint64_t number;

	for (number = 0; number < cfi_blocks_end(map); number++) {
		const struct cfi_block *block = cfi_block_at(map, number);

		blocks += block && block->range_owner == id;
	}
	return blocks;
}

int cf_owner_info(struct cf_map *map, uint32_t id,
		  struct cf_owner_info *ret_info)
{
	unsigned long state;
	struct cfi_owner *owner;

	if (id >= CF_OWNERS_MAX)
		return -CF_EINVAL;
	state = cf_lock(&map->hotplug);
	owner = cfi_owner_open(map, id);
	if (owner || id == CF_OWNER_ORPHAN) {
		*ret_info = (struct cf_owner_info) {
			.name = cfi_owner_name(map, id),
			.frames = cfi_owner_frames(map, id),
			.blocks = count_ranges(map, id),
			.can_migrate = owner && owner->ops->migrate,
			.can_dissolve = owner && owner->ops->dissolve,
			.can_online = owner && owner->ops->online,
		};
	}
	cf_unlock(&map->hotplug, state);
	return owner || id == CF_OWNER_ORPHAN ? 0 : -CF_EINVAL;
}

uint32_t cf_owner_traits(struct cf_map *map, uint32_t id)
{
	const struct cfi_owner *owner;
	uint32_t traits = 0;

	if (id == CF_OWNER_NONE)
		return 0;
	cf_port_read_lock();
	owner = cfi_owner_open(map, id);
	if (!owner) {
		traits = CF_OWNER_GONE;
	} else {
		traits |= owner->ops->migrate ? CF_OWNER_MIGRATES : 0;
		traits |= owner->ops->dissolve ? CF_OWNER_DISSOLVES : 0;
		traits |= owner->ops->private_frozen ? CF_OWNER_PRIVATE : 0;
	}
	cf_port_read_unlock();
	return traits;
}

int cf_copy_run(struct cf_map *map, cf_pfn source, cf_pfn target,
		unsigned order)
{
	void *machine = map->config.machine;
	const void *from;
	uint64_t count;
	void *to;

	if (order > CF_MAX_ORDER)
		return -CF_EINVAL;
	count = (uint64_t)1 << order;
	from = cf_port_frame_address(machine, source, count);
	to = cf_port_frame_address(machine, target, count);
	if (!from || !to)
		return -CF_EPORT;
	__builtin_memcpy(to, from, count << CF_FRAME_SHIFT);
	return 0;
}
