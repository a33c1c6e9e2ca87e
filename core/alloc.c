/* SPDX-License-Identifier: MIT */

/*
 * Allocation and freeing of runs.
 *
 * A request walks its zones in order of preference, and in each the classes
 * of free runs from the tightest up; the index says which block to ask.  Only
 * when every zone has failed are other contexts' caches emptied, once.  The
 * run's word is stored last: until then the frames are in nobody's bitmap and
 * have no head, and whoever meets them waits.
 */

#include "cache.h"

/* The explorer gives an execution up after a few. */
#ifndef TAKE_TRIES
#define TAKE_TRIES	64
#endif

/* Can this request ever be right? */
bool cfi_request_fits(const struct cf_map *map, struct cf_request request)
{
	unsigned types = 1u << CF_TYPE_KERNEL | 1u << CF_TYPE_FOLIO |
			 WORD_FROZEN_TYPES;

	if (request.order > CF_MAX_ORDER || request.type >= CF_TYPE_COUNT ||
	    !(types >> request.type & 1))
		return false;
	if (request.owner >= CF_OWNERS_MAX || request.owner == CF_OWNER_ORPHAN)
		return false;
	if (request.zone > CF_ZONE_MOVABLE || request.flags & ~CF_ALLOC_FLAGS)
		return false;
	if (request.node != CF_NODE_ANY && request.node >= map->config.nodes)
		return false;
	return request.zone == CF_ZONE_NORMAL ||
	       (request.type == CF_TYPE_FOLIO && request.owner != 0);
}

/* Would taking @frames leave the zone above its mark?  Tells of low memory. */
static bool watermark_allows(struct cf_map *map, struct cfi_zone *zone,
			     uint64_t frames, unsigned flags)
{
	uint64_t free, left;
	uint64_t low;

	/*
	 * Acquire: who sees the zone watched sees the marks, and what was free
	 * by then. The other side is cf_zone_set_watermarks(). [watching]
	 */
	if (__builtin_expect(!cfi_load_acquire(&zone->watching), 1))
		return true;
	/* Relaxed: counts; a moment's drift is allowed for. */
	free = cfi_load_relaxed(&zone->free);
	left = free > frames ? free - frames : 0;
	low = cfi_load_relaxed(&zone->mark_low);
	if (free >= cfi_load_relaxed(&zone->mark_high))
		/* Relaxed: as below. */
		cfi_store_relaxed(&zone->low_raised, 0);
	if (left < low) {
		uint64_t raised = 0;

		/* Relaxed: one of those who fall below sends the signal. */
		if (cfi_cas_relaxed(&zone->low_raised, &raised, 1))
			cf_port_signal(map->config.machine, CF_SIGNAL_LOW,
				       zone->number);
	}
	return flags & CF_ALLOC_RESERVE ||
	       (free >= frames && left >= cfi_load_relaxed(&zone->mark_min));
}

/*
 * Are there @frames to be had without a look at the marks?  What is taken
 * ahead or in numbers stops there; single runs are watermark_allows()'s.
 */
bool cfi_above_marks(struct cfi_zone *zone, uint64_t frames)
{
	uint64_t free;

	/* Acquire: as in watermark_allows(). [watching] */
	if (!cfi_load_acquire(&zone->watching))
		return true;
	/* Relaxed: counts; the slow path looks again. */
	free = cfi_load_relaxed(&zone->free);
	if (free >= cfi_load_relaxed(&zone->mark_high))
		cfi_store_relaxed(&zone->low_raised, 0);
	return free > frames &&
	       free - frames > cfi_load_relaxed(&zone->mark_low);
}

/*
 * Up to @most runs inside one block, from where this context's searches begin.
 * Caller is in a read section.
 */
static unsigned take_small(struct cf_map *map, struct cfi_zone *zone,
			   const struct cfi_taking *taking, cf_pfn *ret_runs,
			   unsigned most)
{
	unsigned number = cf_port_cpu();
	uint32_t *home = number < map->config.cpus ?
			 &map->cpu[number].home[zone->number] : NULL;
	struct cfi_want want = {
		.order = taking->order,
		.home = home ? *home : 0,
		.context = home ? number + 1 : 0,
		.frames = ret_runs,
		.most = most,
	};

	if (!cfi_search(map, zone, &want,
			!(taking->flags & CF_ALLOC_NOSPLIT)))
		return 0;
	if (home)
		*home = want.home;
	return want.taken;
}

/* Up to @most single frames of a zone from its blocks, if it has plenty. */
unsigned cfi_take_frames(struct cf_map *map, struct cfi_zone *zone,
			 uint16_t flags, cf_pfn *ret_frames, unsigned most)
{
	struct cfi_taking taking = { .flags = flags };
	unsigned taken;

	if (!cfi_above_marks(zone, most))
		return 0;
	cf_port_read_lock();
	taken = take_small(map, zone, &taking, ret_frames, most);
	cf_port_read_unlock();
	return taken;
}

/* Up to as many as wanted, if the zone has plenty, or one. */
static unsigned take_from(struct cf_map *map, struct cfi_zone *zone,
			  const struct cfi_taking *taking, cf_pfn *ret_runs)
{
	uint64_t frames = (uint64_t)1 << taking->order;
	unsigned most = taking->most;
	unsigned taken;

	if (most > 1 && !cfi_above_marks(zone, most * frames))
		most = 1;
	if (most == 1 && !watermark_allows(map, zone, frames, taking->flags))
		return 0;
	cf_port_read_lock();
	if (taking->order <= map->block_shift)
		taken = take_small(map, zone, taking, ret_runs, most);
	else
		taken = cfi_search_blocks(map, zone, taking->order, ret_runs);
	cf_port_read_unlock();
	return taken;
}

/* Those with a type come from what the context has in stock, if it can be. */
static unsigned take_somehow(struct cf_map *map, struct cfi_zone *zone,
			     const struct cfi_taking *taking, cf_pfn *ret_runs)
{
	enum cf_type type = (enum cf_type)taking->type;
	enum cfi_served served = SERVED_NOT;
	unsigned taken;

	if (type != CF_TYPE_NONE && !(taking->flags & CF_ALLOC_NOSPLIT))
		served = cfi_cache_alloc(map, zone, taking->order, type,
					 ret_runs);
	if (served != SERVED_NOT)
		return served == SERVED;
	taken = take_from(map, zone, taking, ret_runs);
	if (taken > 0 && type != CF_TYPE_NONE)
		cfi_count_type(map, type, (int64_t)taken << taking->order);
	return taken;
}

static unsigned node_of(const struct cf_map *map, unsigned node)
{
	unsigned number;

	if (node != CF_NODE_ANY)
		return node;
	number = cf_port_cpu();
	return number == CF_CPU_NONE ? 0 : number % map->config.nodes;
}

/* Zones by preference: the node's, then its neighbours'. */
static unsigned try_zones(struct cf_map *map, const struct cfi_taking *taking,
			  cf_pfn *ret_runs)
{
	unsigned node = node_of(map, taking->node);
	unsigned nodes = taking->flags & CF_ALLOC_THISNODE ? 1 :
			 map->config.nodes;
	unsigned lowest = taking->this_zone ? taking->zone : CF_ZONE_NORMAL;
	struct cfi_zone *zone;
	unsigned taken;
	unsigned kind;

	for (; nodes > 0; nodes--) {
		for (kind = taking->zone + 1u; kind-- > lowest;) {
			zone = cfi_zone_of(map, node, (enum cf_zone_kind)kind);
			taken = take_somehow(map, zone, taking, ret_runs);
			if (taken > 0)
				return taken;
		}
		if (++node == map->config.nodes)
			node = 0;
	}
	return 0;
}

/*
 * Take runs, all in one block if there are several.  Returns how many; 0:
 * there is none.
 *
 * Before giving up empty the own caches, then those of others, once each, and
 * look again while free frames move below the search.
 */
unsigned cfi_take(struct cf_map *map, const struct cfi_taking *taking,
		  cf_pfn *ret_runs)
{
	bool may_drain = !(taking->flags & CF_ALLOC_NOWAIT);
	uint64_t before;
	unsigned taken;
	unsigned tries;

	for (tries = 0; tries < TAKE_TRIES; tries++) {
		before = cfi_moves_ended(map);
		taken = try_zones(map, taking, ret_runs);
		if (taken > 0)
			return taken;
		if (tries == 0 && cfi_cache_empty_own(map))
			continue;
		if (may_drain && cfi_caches_stocked(map)) {
			/* A cache that stays full has its user to serve. */
			(void)cfi_divert_begin(map);
			cfi_divert_end(map);
			may_drain = false;
		} else if (taking->order > map->block_shift ||
			   cfi_moves_begun(map) == before + taking->on_trial) {
			/* Runs of several blocks are moves themselves. */
			break;
		}
	}
	return 0;
}

void cfi_mark_run(struct cf_map *map, cf_pfn pfn, uint64_t word)
{
	cfi_mark(cfi_block_held(map, pfn), pfn, word);
}

static int zero(struct cf_map *map, cf_pfn pfn, unsigned order)
{
	uint64_t count = (uint64_t)1 << order;
	void *contents = cf_port_frame_address(map->config.machine, pfn, count);

	if (!contents)
		return -CF_EPORT;
	__builtin_memset(contents, 0, count << CF_FRAME_SHIFT);
	return 0;
}

static int alloc_run(struct cf_map *map, struct cf_request request,
		     cf_pfn *ret_pfn)
{
	struct cfi_taking taking = {
		.order = request.order,
		.node = request.node,
		.zone = request.zone,
		.type = request.type,
		.flags = request.flags,
		.most = 1,
	};
	uint64_t word = cfi_request_word(request);
	cf_pfn pfn;

	if (!cfi_take(map, &taking, &pfn))
		return -CF_ENOMEM;
	if (map->config.debug_pagealloc)
		cf_port_protect(map->config.machine, pfn,
				pfn + word_frames(word), true);
	if (request.flags & CF_ALLOC_ZERO && zero(map, pfn, request.order)) {
		cfi_free_run(map, cfi_block_held(map, pfn), pfn, word);
		return -CF_EPORT;
	}
	cfi_mark_run(map, pfn, word);
	*ret_pfn = pfn;
	return 0;
}

/* What most allocations are: a plain request, and a run for it in stock. */
static inline bool alloc_plain(struct cf_map *map, struct cf_request request,
			       cf_pfn *ret_pfn)
{
	uint64_t word = cfi_request_word(request);
	struct cfi_cpu *cpu;
	cf_pfn pfn;

	if (!cfi_is_plain(map, request))
		return false;
	cpu = cfi_cpu_enter(map);
	if (!cpu)
		return false;
	pfn = cfi_cache_pop(cpu->local, request.order);
	if (pfn != CF_PFN_NONE)
		cfi_count_here(cpu, word_type(word),
			       (int64_t)word_frames(word));
	cfi_cpu_leave(cpu);
	if (pfn == CF_PFN_NONE)
		return false;
	cfi_mark(cfi_block_held(map, pfn), pfn, word);
	*ret_pfn = pfn;
	return true;
}

/* Any other; apart, so that it costs plain ones nothing. */
static __attribute__((noinline)) int alloc(struct cf_map *map,
					   struct cf_request request,
					   cf_pfn *ret_pfn)
{
	int err;

	if (!cfi_request_fits(map, request))
		return -CF_EINVAL;
	if (request.owner == CF_OWNER_NONE)
		return alloc_run(map, request, ret_pfn);
	err = cfi_owner_begin(map, request.owner);
	if (err)
		return err;
	err = alloc_run(map, request, ret_pfn);
	if (!err)
		cfi_owner_count(map, request.owner,
				(int64_t)1 << request.order);
	cfi_owner_end();
	return err;
}

int cf_alloc(struct cf_map *map, struct cf_request request, cf_pfn *ret_pfn)
{
	if (__builtin_expect(alloc_plain(map, request, ret_pfn), 1))
		return 0;
	return alloc(map, request, ret_pfn);
}

/*
 * Tell the port of chunks that have just become empty, of the block that
 * begins at @first.  No lock is held, and the block may have gone by now.
 */
void cfi_signal_empty(struct cf_map *map, cf_pfn first, uint64_t chunks)
{
	for (; chunks; chunks &= chunks - 1)
		cf_port_signal(map->config.machine, CF_SIGNAL_CHUNK_EMPTY,
			       first + ((cf_pfn)bits_first(chunks) <<
					CF_CHUNK_ORDER));
}

/* Put frames without words into the bitmaps of their blocks. */
void cfi_give_range(struct cf_map *map, cf_pfn first, cf_pfn last)
{
	while (first < last) {
		struct cfi_block *block = cfi_block_held(map, first);
		cf_pfn end = cfi_min_pfn(last, cfi_block_last(block));
		unsigned long state = cfi_block_lock(block);
		uint64_t empty = cfi_give(map, block, first, end);
		cf_pfn base = block->first;

		cfi_block_unlock(block, state);
		if (empty)
			cfi_signal_empty(map, base, empty);
		first = end;
	}
}

/* The frames of a run that is on no book, and whose word, @word, is gone. */
void cfi_free_uncounted(struct cf_map *map, cf_pfn pfn, uint64_t word)
{
	cf_pfn last = pfn + word_frames(word);

	if (map->config.debug_pagealloc)
		cf_port_protect(map->config.machine, pfn, last, false);
	if (word_has(word, CF_FLAG_POISON))
		cfi_free_poisoned(map, pfn, last);
	else
		cfi_give_range(map, pfn, last);
}

/*
 * The frames of a run whose word, @word, the caller has just exchanged for 0
 * or never stored: into a cache or a block, and off the books.
 */
void cfi_free_run(struct cf_map *map, struct cfi_block *block, cf_pfn pfn,
		  uint64_t word)
{
	unsigned number = cf_port_cpu();

	if (!word_has(word, CF_FLAG_POISON) &&
	    (cfi_cache_free(map, number, block, word, pfn) ||
	     (word_order(word) == 0 && cfi_cache_make_room(map, block) &&
	      cfi_cache_free(map, number, block, word, pfn))))
		return;
	cfi_count_type(map, word_type(word), -(int64_t)word_frames(word));
	cfi_free_uncounted(map, pfn, word);
}

/*
 * Clear the word of a frozen run that is the caller's: exactly the word it
 * left there goes to 0.  Only a poison mark or a new name for its owner may
 * have come since; returns what was there.
 */
uint64_t cfi_clear_cas(struct cfi_block *block, cf_pfn pfn, uint64_t word)
{
	cfi_u64 *slot = cfi_word_slot(block, pfn, word_order(word));
	uint64_t may_change = WORD_OWNER_MASK |
			      (uint64_t)CF_FLAG_POISON << WORD_FLAGS_SHIFT;
	uint64_t old = word;

	CF_CHECK2(!word_is(word, CF_TYPE_DEVICE), pfn, word);
	do {
		CF_CHECK2(((old ^ word) & ~may_change) == 0, pfn, old);
		/*
		 * Relaxed: the run is ours, with all that former holders did,
		 * and its frames go on under the block's lock or in our cache.
		 */
	} while (!cfi_cas_relaxed(slot, &old, 0));
	return old;
}

/* Free a frozen run that is the caller's, and whose word is @word. */
void cfi_free_cas(struct cf_map *map, struct cfi_block *block, cf_pfn pfn,
		  uint64_t word)
{
	word = cfi_clear_cas(block, pfn, word);
	cfi_owner_count(map, word_owner(word), -(int64_t)word_frames(word));
	cfi_free_run(map, block, pfn, word);
}

void cf_free_frozen(struct cf_map *map, cf_pfn pfn, unsigned order)
{
	struct cfi_block *block = cfi_block_held(map, pfn);
	cfi_u64 *slot;
	uint64_t word, old;

	slot = cfi_word_at(block, pfn);
	CF_CHECK(slot != NULL, pfn);
	/* Relaxed: the run is the caller's. */
	word = cfi_load_relaxed(slot);
	CF_CHECK2(word_is_frozen(word) && word_order(word) == order &&
		  !word_has(word, CF_FLAG_BUSY), pfn, word);
	old = word;
	/* Relaxed: as in cfi_clear_cas(). */
	if (!(word & (WORD_OWNER_MASK | WORD_FLAGS_MASK)) &&
	    cfi_cas_relaxed(slot, &old, 0))
		cfi_free_run(map, block, pfn, word);
	else
		cfi_free_cas(map, block, pfn, word);
}

static void watch_block(struct cfi_zone *zone, struct cfi_block *block,
			bool watch)
{
	unsigned long state = cfi_block_lock(block);

	if (cfi_zone_number(block) == zone->number && block->watched != watch) {
		block->watched = watch;
		/* Relaxed: a count. */
		if (watch)
			(void)cfi_add_relaxed(&zone->free, block->free);
		else
			(void)cfi_sub_relaxed(&zone->free, block->free);
	}
	cfi_block_unlock(block, state);
}

int cf_zone_set_watermarks(struct cf_map *map, unsigned node,
			   enum cf_zone_kind kind, struct cf_watermarks marks)
{
	bool watch = marks.high > 0;
	struct cfi_zone *zone;
	unsigned long state;
	uint64_t number;

	if (node >= map->config.nodes || (unsigned)kind > CF_ZONE_MOVABLE ||
	    marks.min > marks.low || marks.low > marks.high)
		return -CF_EINVAL;
	zone = cfi_zone_of(map, node, kind);
	state = cf_lock(&map->hotplug);
	for (number = 0; number < cfi_blocks_end(map); number++)
		if (cfi_block_at(map, number))
			watch_block(zone, cfi_block_at(map, number), watch);
	/* Relaxed: marks are read one by one; each is right at some moment. */
	cfi_store_relaxed(&zone->mark_min, marks.min);
	cfi_store_relaxed(&zone->mark_low, marks.low);
	cfi_store_relaxed(&zone->mark_high, marks.high);
	/* Release: as in watermark_allows(). [watching] */
	cfi_store_release(&zone->watching, watch);
	cf_unlock(&map->hotplug, state);
	return 0;
}
