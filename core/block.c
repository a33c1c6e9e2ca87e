/* SPDX-License-Identifier: MIT */

/*
 * Blocks: what is known of one, and bringing it into use.
 *
 * Onlining makes every frame OFFLINE and NEVER_ONLINED, one word a chunk, and
 * offers the block to its range owner, who exposes what is to be used.  While
 * that goes on nothing of the block is listed, so giving up needs no more
 * than clearing its words.
 */

#include "internal.h"

void cfi_block_set_state(struct cfi_block *block, enum cf_block_state state)
{
	/* Relaxed: words, not the state, say what may be touched. */
	cfi_store_relaxed(&block->state, state);
}

int cf_block_info(struct cf_map *map, cf_pfn pfn,
		  struct cf_block_info *ret_info)
{
	struct cfi_block *block;
	unsigned long state;

	cf_port_read_lock();
	block = cfi_block_of(map, pfn);
	if (!block) {
		cf_port_read_unlock();
		return -CF_EGONE;
	}
	state = cfi_block_lock(block);
	*ret_info = (struct cf_block_info) {
		.first = block->first,
		.last = cfi_block_last(block),
		.state = cfi_block_state(block),
		.zone = cfi_zone_kind(block),
		.node = block->node,
		.range_owner = block->range_owner,
		.orphan = block->orphan,
		.self_hosted = block->meta == CF_META_SELF,
		.free = block->free,
		.offline = block->offline,
		.never_onlined = block->never_onlined,
		.skippable = block->skippable,
		.retired = block->retired,
		.reserved = block->reserved,
		.chunks = block->chunks,
		.chunks_isolated = bits_count(cfi_isolated(block)),
		/* Relaxed: written under the lock we hold. */
		.chunks_split = bits_count(cfi_load_relaxed(&block->split)),
	};
	for (unsigned chunk = 0; chunk < block->chunks; chunk++)
		ret_info->chunks_free +=
			block->chunk[chunk].free == CF_CHUNK_FRAMES;
	cfi_block_unlock(block, state);
	cf_port_read_unlock();
	return 0;
}

/* Are all blocks of [first, last) there and in @state?  Caller: hotplug. */
int cfi_blocks_check(struct cf_map *map, cf_pfn first, cf_pfn last,
		     enum cf_block_state state, struct cf_report *report)
{
	const struct cfi_block *block;
	cf_pfn at;

	for (at = first; at < last; at = cfi_block_last(block)) {
		block = cfi_block_of(map, at);
		if (!block) {
			cfi_report_add(map, report, CF_REASON_HOLE, at, 0,
				       (cf_pfn)1 << map->block_shift);
			return -CF_EGONE;
		}
		if (cfi_block_state(block) != state) {
			cfi_report_add(map, report, CF_REASON_STATE, at, 0,
				       cfi_block_frames(block));
			return -CF_EBUSY;
		}
	}
	return 0;
}

/* All blocks of [first, last) are there.  Caller: hotplug. */
void cfi_blocks_set(struct cf_map *map, cf_pfn first, cf_pfn last,
		    enum cf_block_state value)
{
	struct cfi_block *block;
	unsigned long state;

	for (; first < last; first = cfi_block_last(block)) {
		block = cfi_block_held(map, first);
		state = cfi_block_lock(block);
		cfi_block_set_state(block, value);
		cfi_block_unlock(block, state);
	}
}

/*
 * A block with SKIPPABLE frames stays with their owner, who alone can restore
 * them when it comes online again.
 */
static int can_adopt(struct cf_map *map, struct cfi_block *block,
		     uint32_t owner, bool former)
{
	unsigned long state;
	uint32_t holder;
	bool kept;

	if (!block)
		return -CF_EGONE;
	state = cfi_block_lock(block);
	holder = former ? block->former_owner : block->range_owner;
	kept = block->skippable && holder != owner &&
	       cfi_owner_open(map, holder);
	cfi_block_unlock(block, state);
	return kept ? -CF_EREFUSED : 0;
}

/* Give each block of a range @owner, or (@back) the one it had. */
static void set_range_owner(struct cf_map *map, cf_pfn first, cf_pfn last,
			    uint32_t owner, bool back)
{
	struct cfi_block *block;
	unsigned long state;

	for (; first < last; first = cfi_block_last(block)) {
		block = cfi_block_of(map, first);
		state = cfi_block_lock(block);
		if (owner == CF_OWNER_ORPHAN)
			block->former_owner = block->range_owner;
		block->range_owner = back ? block->former_owner : owner;
		block->orphan &= back || owner == CF_OWNER_ORPHAN;
		cfi_block_unlock(block, state);
	}
}

static int can_adopt_all(struct cf_map *map, cf_pfn first, cf_pfn last,
			 uint32_t owner, bool former)
{
	int err = 0;

	for (; first < last && !err; first += (cf_pfn)1 << map->block_shift)
		err = can_adopt(map, cfi_block_of(map, first), owner, former);
	return err;
}

/*
 * The old owner may be about to mark frames SKIPPABLE: nobody's for a moment,
 * and once all who knew better have left, look again.
 */
static int change_range_owner(struct cf_map *map, cf_pfn first, cf_pfn last,
			      uint32_t owner)
{
	int err;

	set_range_owner(map, first, last, CF_OWNER_ORPHAN, false);
	cf_port_synchronize();
	err = can_adopt_all(map, first, last, owner, true);
	set_range_owner(map, first, last, owner, err != 0);
	return err;
}

int cf_block_adopt(struct cf_map *map, cf_pfn first, cf_pfn last,
		   uint32_t owner)
{
	int err = -CF_EINVAL;
	unsigned long state;

	if (!cfi_range_aligned(map, first, last))
		return -CF_EINVAL;
	state = cf_lock(&map->hotplug);
	if (owner == CF_OWNER_NONE || cfi_owner_open(map, owner))
		err = can_adopt_all(map, first, last, owner, false);
	if (!err)
		err = change_range_owner(map, first, last, owner);
	cf_unlock(&map->hotplug, state);
	return err;
}

/* Runs with an owner leave its count with the block. */
static void uncount_owners(struct cf_map *map, struct cfi_block *block)
{
	cf_pfn at = block->first;
	cf_pfn step;
	cfi_u64 *slot;
	uint64_t word;

	for (; at < cfi_block_last(block); at += step) {
		slot = cfi_word_at(block, at);
		/* Relaxed: uncounted words are written under our lock. */
		word = slot ? cfi_load_relaxed(slot) : 0;
		step = slot ? 1 : CF_CHUNK_FRAMES;
		if (word == 0)
			continue;
		step = word_frames(word);
		cfi_owner_count(map, word_owner(word), -(int64_t)step);
	}
}

static void clear_chunk(struct cfi_block *block, unsigned chunk)
{
	struct cfi_chunk *c = &block->chunk[chunk];
	cfi_u64 *word = &block->frame_word[chunk * CF_CHUNK_FRAMES];
	unsigned frame;

	/* Relaxed, all of them: these runs go for good; a miss is right. */
	cfi_store_relaxed(&c->word, 0);
	for (frame = 0; frame < CF_CHUNK_FRAMES &&
	     cfi_load_relaxed(&block->split) >> chunk & 1; frame++)
		cfi_store_relaxed(&word[frame], 0);
	c->free = 0;
	c->skip = 0;
	c->class = CLASS_NONE;
}

/* The zone's index forgets the block, and its counts. */
static void leave_zone(struct cf_map *map, struct cfi_block *block)
{
	struct cfi_zone *zone = &map->zone[cfi_zone_number(block)];
	unsigned class;

	for (class = 0; class <= map->block_shift; class++)
		if (cfi_index_test(zone, class, block->number))
			cfi_index_clear(zone, class, block->number);
	/* Relaxed: nobody refers to the block's frames any more. */
	if (block->watched)
		(void)cfi_sub_relaxed(&zone->free, block->free);
	block->watched = false;
	(void)cfi_sub_relaxed(&zone->blocks, 1);
	cfi_set_stock_order(map, zone);
}

static void clear_masks(struct cfi_block *block)
{
	block->whole = 0;
	__builtin_memset(block->avail, 0, sizeof(block->avail));
	block->pending = 0;
	/* Relaxed: nobody refers to the block's frames any more. */
	cfi_store_relaxed(&block->isolated, 0);
	cfi_store_relaxed(&block->split, 0);
}

/*
 * The block's frames cease to have a state.  Nobody holds one: all are free,
 * stepped over, or still OFFLINE.  Caller holds hotplug and the block's lock.
 */
void cfi_block_reset(struct cf_map *map, struct cfi_block *block)
{
	unsigned chunk;

	uncount_owners(map, block);
	cfi_sequence_begin(block);
	for (chunk = 0; chunk < block->chunks; chunk++)
		clear_chunk(block, chunk);
	clear_masks(block);
	/* Device memory is in no zone's index. */
	if (!block->kind)
		leave_zone(map, block);
	cfi_sequence_end(block);
	block->free = 0;
	block->offline = 0;
	block->never_onlined = 0;
	block->skippable = 0;
	block->retired = 0;
	block->reserved = 0;
	cfi_block_set_state(block, CF_BLOCK_OFFLINE);
}

/* Words of a block that has just been made OFFLINE; its lock is held. */
static void write_words(struct cf_map *map, struct cfi_block *block)
{
	uint64_t self = word_make(CF_TYPE_RESERVED, 0, CF_FLAG_SELF, 0);
	uint64_t word = word_make(CF_TYPE_OFFLINE, 0, CF_FLAG_NEVER_ONLINED,
				  block->range_owner);
	cf_pfn first = block->first + block->self_frames;
	cf_pfn last = cfi_block_last(block);

	if (first % CF_CHUNK_FRAMES)
		cfi_chunk_open(block, cfi_chunk_index(block, first));
	cfi_put_words(block, block->first, first, self, CF_CHUNK_ORDER);
	(void)cfi_account(block, block->first, first, self, 1);
	cfi_put_words(block, first, last, word, CF_CHUNK_ORDER);
	(void)cfi_account(block, first, last, word, 1);
	cfi_owner_count(map, block->range_owner, (int64_t)(last - first));
	if (block->poison)
		cfi_retire_in_block(map, block);
}

static void begin_block(struct cf_map *map, struct cfi_block *block,
			enum cf_zone_kind kind)
{
	struct cfi_zone *zone = cfi_zone_of(map, block->node, kind);
	unsigned long state = cfi_block_lock(block);

	/* Relaxed: counts and hints. */
	cfi_store_relaxed(&block->zone,
			  cfi_zone_value(zone->number, kind));
	(void)cfi_add_relaxed(&zone->blocks, 1);
	cfi_set_stock_order(map, zone);
	block->watched = cfi_load_relaxed(&zone->watching) != 0;
	cfi_block_set_state(block, CF_BLOCK_GOING_ONLINE);
	write_words(map, block);
	cfi_block_unlock(block, state);
}

/* Let the allocator in. */
static void finish_block(struct cf_map *map, struct cfi_block *block)
{
	unsigned long state = cfi_block_lock(block);
	unsigned chunk;

	cfi_block_set_state(block, CF_BLOCK_ONLINE);
	for (chunk = 0; chunk < block->chunks; chunk++)
		cfi_chunk_reclass(map, block, chunk);
	cfi_block_unlock(block, state);
}

static void abandon_block(struct cf_map *map, struct cfi_block *block)
{
	unsigned long state = cfi_block_lock(block);

	cfi_block_reset(map, block);
	cfi_block_unlock(block, state);
}

static void for_blocks(struct cf_map *map, cf_pfn first, cf_pfn last,
		       void (*act)(struct cf_map *map, struct cfi_block *block))
{
	struct cfi_block *block;

	for (; first < last; first = cfi_block_last(block)) {
		block = cfi_block_held(map, first);
		act(map, block);
	}
}

/* Offer one block to its range's owner, or expose everything. */
static int expose_block(struct cf_map *map, struct cfi_block *block,
			struct cf_report *report)
{
	struct cfi_owner *owner = cfi_owner_open(map, block->range_owner);
	cf_pfn first = block->first + block->self_frames;
	int err;

	if (!owner || !owner->ops->online) {
		err = cfi_expose(map, block->range_owner, first,
				 cfi_block_last(block));
		if (err)
			cfi_report_add(map, report, CF_REASON_PORT,
				       block->first, 0,
				       cfi_block_frames(block));
		return err;
	}
	err = owner->ops->online(owner->context, first, cfi_block_last(block));
	if (!err)
		return 0;
	cfi_report_add(map, report, CF_REASON_OWNER, block->first, 0,
		       cfi_block_frames(block));
	if (report) {
		report->owner = block->range_owner;
		report->who = owner->name;
	}
	return -CF_EREFUSED;
}

static int expose_blocks(struct cf_map *map, cf_pfn first, cf_pfn last,
			 struct cf_report *report)
{
	struct cfi_block *block;
	int err = 0;

	for (; first < last && !err; first = cfi_block_last(block)) {
		block = cfi_block_of(map, first);
		err = expose_block(map, block, report);
	}
	return err;
}

static int refuse_orphans(struct cf_map *map, cf_pfn first, cf_pfn last,
			  struct cf_report *report)
{
	const struct cfi_block *block;

	for (; first < last; first = cfi_block_last(block)) {
		block = cfi_block_of(map, first);
		if (!block->orphan)
			continue;
		cfi_report_add(map, report, CF_REASON_ORPHAN, first, 0,
			       cfi_block_frames(block));
		return -CF_EREFUSED;
	}
	return 0;
}

/* Caller holds map->hotplug. */
static int online(struct cf_map *map, cf_pfn first, cf_pfn last,
		  enum cf_zone_kind kind, struct cf_report *report)
{
	cf_pfn step = (cf_pfn)1 << map->block_shift;
	cf_pfn at;
	int err;

	err = cfi_blocks_check(map, first, last, CF_BLOCK_OFFLINE, report);
	if (!err)
		err = refuse_orphans(map, first, last, report);
	if (!err)
		err = cfi_notify_going(map, CF_EVENT_ONLINE, first, last,
				       report);
	if (err)
		return err;
	for (at = first; at < last; at += step)
		begin_block(map, cfi_block_of(map, at), kind);
	err = expose_blocks(map, first, last, report);
	if (err) {
		for_blocks(map, first, last, abandon_block);
		cfi_notify_cancel(map, CF_EVENT_ONLINE, first, last);
		return err;
	}
	for_blocks(map, first, last, finish_block);
	cfi_notify_done(map, CF_EVENT_ONLINE, first, last);
	return 0;
}

int cf_block_online(struct cf_map *map, cf_pfn first, cf_pfn last,
		    enum cf_zone_kind kind, struct cf_report *report)
{
	unsigned long state;
	int err;

	cfi_report_clear(report);
	if (!cfi_range_aligned(map, first, last) ||
	    (unsigned)kind > CF_ZONE_MOVABLE)
		return -CF_EINVAL;
	state = cf_lock(&map->hotplug);
	err = online(map, first, last, kind, report);
	cf_unlock(&map->hotplug, state);
	return err;
}
