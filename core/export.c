/* SPDX-License-Identifier: MIT */

/*
 * What /proc/kpageflags and /proc/kpagecount would say of the same frames.
 *
 * Numbers of bits are those of include/uapi/linux/kernel-page-flags.h in the
 * Linux kernel, and so is what they are set on: every frame of a run tells
 * what its head is, as the kernel's snapshot of a folio does.  A frame in a
 * cache looks like a page of the kernel's own, with no bit at all.
 *
 * A chunk is told in one read section.  If it is split its bitmap is copied
 * under the block's lock; words are looked at without, and a word that came
 * after the copy counts for more than the bit.
 */

#include "internal.h"

#define KPF(name)	((uint64_t)1 << CF_KPF_##name)

/*
 * One of the two files.  The loops below are written once and compiled for
 * each: ALWAYS_INLINE lets them see which functions these are.
 */
struct format {
	uint64_t (*plain)(uint64_t word); /* order 0, no flags; 0 for none */
	uint64_t (*in_run)(uint64_t word, bool is_head);
	uint64_t free;		/* what a free frame says */
	uint64_t absent;	/* a frame without a state */
	uint64_t bad;		/* what a known bad frame says besides */
};

#define ALWAYS_INLINE	static inline __attribute__((always_inline))

/* What the type alone says; types have four bits. */
static uint64_t type_flags(uint64_t word)
{
	static const uint64_t flags[1u << WORD_TYPE_BITS] = {
		[CF_TYPE_FOLIO] = KPF(LRU) | KPF(UPTODATE) | KPF(ANON) |
				  KPF(SWAPBACKED),
		[CF_TYPE_DEVICE] = KPF(RESERVED),
		[CF_TYPE_PGTABLE] = KPF(PGTABLE),
		[CF_TYPE_SLAB] = KPF(SLAB),
		[CF_TYPE_RESERVED] = KPF(RESERVED),
		[CF_TYPE_OFFLINE] = KPF(OFFLINE),
		[CF_TYPE_RETIRED] = KPF(HWPOISON),
	};

	return flags[word_type(word)];
}

static bool is_compound(uint64_t word)
{
	unsigned types = WORD_COUNTED_TYPES | WORD_FROZEN_TYPES;

	return word_order(word) > 0 && types >> word_type(word) & 1;
}

static uint64_t flags_in_run(uint64_t word, bool is_head)
{
	uint64_t flags = type_flags(word);

	if (is_compound(word))
		flags |= is_head ? KPF(COMPOUND_HEAD) : KPF(COMPOUND_TAIL);
	if (word_is(word, CF_TYPE_FOLIO) && word_order(word) >= CF_CHUNK_ORDER)
		flags |= KPF(THP);
	if (word_has(word, CF_FLAG_ISOLATED))
		flags |= KPF(RECLAIM);
	if (word_has(word, CF_FLAG_MOVABLE))
		flags |= KPF(UPTODATE);
	if (word_has(word, CF_FLAG_NEVER_ONLINED))
		flags |= KPF(DIRTY);
	return flags;
}

static uint64_t plain_count(uint64_t word)
{
	return word_is(word, CF_TYPE_FOLIO) ? word_refs(word) : 0;
}

static uint64_t count_in_run(uint64_t word, bool is_head)
{
	(void)is_head;
	return plain_count(word);
}

static const struct format flags_format = {
	.plain = type_flags,
	.in_run = flags_in_run,
	.free = KPF(BUDDY),
	.absent = KPF(NOPAGE),
	.bad = KPF(HWPOISON),
};

static const struct format count_format = {
	.plain = plain_count,
	.in_run = count_in_run,
};

/* Frames of one chunk to tell about; words[0] is for @first. */
struct window {
	struct cf_map *map;
	const struct format *format;
	cf_pfn first, last;
	uint64_t *words;
};

static void fill(const struct window *window, cf_pfn first, cf_pfn last,
		 uint64_t value)
{
	for (; first < last; first++)
		window->words[first - window->first] = value;
}

static void mark_bad(const struct window *window, cf_pfn first, cf_pfn last)
{
	for (; first < last; first++)
		if (cfi_is_poison(window->map, first))
			window->words[first - window->first] |=
				window->format->bad;
}

/* The frames from @first on that the run at @head has; returns their end. */
static cf_pfn export_run(const struct window *window, cf_pfn head,
			 uint64_t word, cf_pfn first)
{
	const struct format *format = window->format;
	cf_pfn last = cfi_min_pfn(window->last, head + word_frames(word));
	cf_pfn at = first;

	if (at == head) {
		fill(window, at, at + 1, format->in_run(word, true));
		at++;
	}
	if (at < last)
		fill(window, at, last, format->in_run(word, false));
	if (__builtin_expect(word_has(word, CF_FLAG_POISON), 0))
		mark_bad(window, first, last);
	return last;
}

/* What the run around @at has, if there is one; returns its end, or @at. */
static cf_pfn export_inside(const struct window *window, cf_pfn at)
{
	uint64_t word;
	cfi_u64 *slot;
	cf_pfn head = cfi_find(window->map, at, &slot, &word);

	return head == CF_PFN_NONE ? at : export_run(window, head, word, at);
}

/*
 * Frames from @at on, of a split chunk whose bitmap was @free; most of them
 * are free or a run of one frame, and neither costs a branch.
 */
ALWAYS_INLINE void export_words(const struct window *window,
				const cfi_u64 *words, cf_pfn at,
				const struct cfi_bitmap *free,
				const struct format *format)
{
	while (at < window->last) {
		/* Acquire: see what the run's maker wrote. [run-word] */
		uint64_t word = cfi_load_acquire(&words[at - window->first]);
		unsigned frame = at % CF_CHUNK_FRAMES;
		uint64_t bit = free->word[frame / 64] >> frame % 64 & 1;

		if (word & (WORD_ORDER_MASK | WORD_FLAGS_MASK)) {
			at = export_run(window, at, word, at);
			continue;
		}
		bit &= word == 0;
		window->words[at - window->first] =
			format->plain(word) | (-bit & format->free);
		at++;
	}
}

/* A chunk whose frame words are valid. */
static void export_split(const struct window *window, struct cfi_block *block)
{
	const cfi_u64 *words = &block->frame_word[window->first - block->first];
	unsigned chunk = cfi_chunk_index(block, window->first);
	unsigned long state = cfi_block_lock(block);
	struct cfi_bitmap free = block->bitmap[chunk];
	cf_pfn at;

	cfi_block_unlock(block, state);
	/* Only the first frame can be inside a run that began before. */
	at = export_inside(window, window->first);
	if (window->format == &flags_format)
		export_words(window, words, at, &free, &flags_format);
	else
		export_words(window, words, at, &free, &count_format);
}

/* A chunk that is wholly free, or of one run, or in transit. */
static void export_whole(const struct window *window, struct cfi_block *block)
{
	unsigned chunk = cfi_chunk_index(block, window->first);
	unsigned long state = cfi_block_lock(block);
	bool free = block->chunk[chunk].free == CF_CHUNK_FRAMES;
	cf_pfn at = window->first;

	cfi_block_unlock(block, state);
	if (!free)
		at = export_inside(window, at);
	fill(window, at, window->last, free ? window->format->free : 0);
}

static void export_window(const struct window *window)
{
	struct cfi_block *block = cfi_block_of(window->map, window->first);
	uint64_t sequence;
	unsigned spins = 0;
	unsigned chunk;

	if (!block || cfi_block_state(block) == CF_BLOCK_OFFLINE) {
		fill(window, window->first, window->last,
		     window->format->absent);
		return;
	}
	chunk = cfi_chunk_index(block, window->first);
	/* A run that is cut meanwhile must not be missed: look again. */
	do {
		if (spins)
			cf_port_relax(spins);
		spins++;
		sequence = cfi_sequence_read(block);
		/* Relaxed: the lock taken next shows the words cleared. */
		if (cfi_load_relaxed(&block->split) >> chunk & 1)
			export_split(window, block);
		else
			export_whole(window, block);
	} while (cfi_sequence_moved(block, sequence));
}

static void export_all(struct cf_map *map, const struct format *format,
		       cf_pfn first, cf_pfn last, uint64_t *ret_words)
{
	struct window window = {
		.map = map,
		.format = format,
		.words = ret_words,
	};

	for (; first < last; first = window.last) {
		window.first = first;
		window.last = cfi_min_pfn(last - 1,
					  first | (CF_CHUNK_FRAMES - 1)) + 1;
		cf_port_read_lock();
		export_window(&window);
		cf_port_read_unlock();
		window.words += window.last - first;
	}
}

void cf_export_flags(struct cf_map *map, cf_pfn first, cf_pfn last,
		     uint64_t *ret_words)
{
	export_all(map, &flags_format, first, last, ret_words);
}

void cf_export_counts(struct cf_map *map, cf_pfn first, cf_pfn last,
		      uint64_t *ret_words)
{
	export_all(map, &count_format, first, last, ret_words);
}
