/* SPDX-License-Identifier: MIT */

/*
 * Many runs at once.
 *
 * Single frames are taken from the stock, and put into it, by the magazine:
 * the context enters its caches once for many.  Words that are put are on
 * their way into the cache of the CPU while those before are exchanged; at
 * random that is most of what a put costs.
 */

#include "cache.h"

/* How far ahead words are fetched; how many frames go into stock at once. */
#define AHEAD	8
#define FREED	32

/* Take up to @most single frames that are in stock; gives them their word. */
static size_t take_stock(struct cf_map *map, struct cf_request request,
			 cf_pfn *ret_pfns, size_t most)
{
	uint64_t word = cfi_request_word(request);
	struct cfi_magazine *magazine;
	struct cfi_cpu *cpu;
	unsigned count;
	size_t taken, i;

	if (request.order > 0 || !cfi_is_plain(map, request))
		return 0;
	cpu = cfi_cpu_enter(map);
	if (!cpu)
		return 0;
	magazine = cpu->local->loaded;
	count = cfi_stock(magazine);
	for (taken = 0; taken < most && count > 0; taken++)
		ret_pfns[taken] = magazine->frame[--count];
	cfi_set_stock(magazine, count);
	cfi_count_here(cpu, word_type(word), (int64_t)taken);
	cfi_cpu_leave(cpu);
	for (i = 0; i < taken; i++)
		cfi_mark(cfi_block_held(map, ret_pfns[i]), ret_pfns[i], word);
	return taken;
}

int cf_alloc_bulk(struct cf_map *map, struct cf_request request, size_t count,
		  cf_pfn *ret_pfns, size_t *ret_done)
{
	size_t done = 0;
	size_t taken;
	int err = 0;

	while (!err && done < count) {
		taken = take_stock(map, request, ret_pfns + done, count - done);
		if (taken == 0) {
			err = cf_alloc(map, request, &ret_pfns[done]);
			taken = !err;
		}
		done += taken;
	}
	*ret_done = done;
	return err;
}

/* Frames of one type and zone that have lost their words. */
struct freed {
	uint64_t word;		/* what they had, without the count */
	uint32_t zone;
	unsigned count;
	cf_pfn frame[FREED];
};

/* Put the last of them into stock, as many as there is room for. */
static bool stock_freed(struct cf_map *map, struct freed *freed)
{
	struct cfi_cpu *cpu = cfi_cpu_enter(map);
	int64_t pushed = 0;

	if (!cpu)
		return false;
	cfi_list_stock(map, cpu);
	while (freed->count > 0 &&
	       cfi_cache_push(map, &cpu->cache[freed->zone], 0,
			      freed->frame[freed->count - 1])) {
		freed->count--;
		pushed++;
	}
	cfi_count_here(cpu, word_type(freed->word), -pushed);
	cfi_cpu_leave(cpu);
	return pushed > 0;
}

static void empty_freed(struct cf_map *map, struct freed *freed)
{
	while (freed->count > 0) {
		cf_pfn pfn;

		if (stock_freed(map, freed))
			continue;
		/* Full, or none: this one makes room, or goes home. */
		pfn = freed->frame[--freed->count];
		cfi_free_run(map, cfi_block_held(map, pfn), pfn, freed->word);
	}
}

/* The last put of a single frame that is only that; false: it is more. */
static bool put_frame(struct cf_map *map, struct freed *freed, cf_pfn pfn)
{
	struct cfi_block *block;
	cfi_u64 *slot = cfi_held_word(map, pfn, &block);
	/* Relaxed: a stale value only makes the exchange below fail. */
	uint64_t old = cfi_load_relaxed(slot);
	uint64_t word = old - WORD_ONE_REF;
	uint32_t zone = cfi_zone_number(block);

	if (!word_is_plain_last(old) || !word_is_counted(old) ||
	    word_order(old) > 0 ||
	    /* Acquire: as in cf_put(). [last-put] */
	    !cfi_cas_acquire(slot, &old, 0))
		return false;
	if (freed->count == FREED || freed->word != word || freed->zone != zone)
		empty_freed(map, freed);
	freed->word = word;
	freed->zone = zone;
	freed->frame[freed->count++] = pfn;
	return true;
}

/* Have a word on its way. */
static void fetch_word(const struct cf_map *map, cf_pfn pfn)
{
	const struct cfi_block *block = cfi_block_of(map, pfn);

	if (block)
		__builtin_prefetch(&block->frame_word[pfn - block->first], 1);
}

void cf_put_bulk(struct cf_map *map, const cf_pfn *pfns, size_t count)
{
	struct freed freed = { .count = 0 };
	size_t i;

	for (i = 0; i < count; i++) {
		if (count - i > AHEAD)
			fetch_word(map, pfns[i + AHEAD]);
		if (!put_frame(map, &freed, pfns[i]))
			cf_put(map, pfns[i]);
	}
	empty_freed(map, &freed);
}
