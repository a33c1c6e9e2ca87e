/* SPDX-License-Identifier: MIT */
#include "filter.h"

#include <string.h>

#define FRAME_WORDS	(CF_FRAME_BYTES / sizeof(uint64_t))
#define UNUSED_BITS	(DUMP_BIT(DUMP_FREE) | DUMP_BIT(DUMP_CACHED))

static const struct {
	const char *word;
	const char *text;
} classes[DUMP_CLASS_COUNT] = {
	[DUMP_ABSENT] = { "absent", "no memory" },
	[DUMP_BLOCK_OFFLINE] = { "block-offline", "in offline blocks" },
	[DUMP_OFFLINE] = { "offline", "logically offline" },
	[DUMP_RETIRED] = { "retired", "retired, bad" },
	[DUMP_PRIVATE] = { "private", "private to their owner" },
	[DUMP_DEVICE] = { "device", "memory of devices" },
	[DUMP_UNMAPPED] = { "unmapped", "not mapped, or not in what was read" },
	[DUMP_FREE] = { "free", "free" },
	[DUMP_CACHED] = { "cached", "free, in caches of CPUs" },
	[DUMP_USER] = { "user", "user data" },
	[DUMP_CACHE] = { "cache", "cache, movable" },
	[DUMP_CACHE_PRIVATE] = { "cache-private",
				 "cache, movable, kept by its owner" },
	[DUMP_ZERO] = { "zero", "filled with zeroes" },
	[DUMP_KERNEL] = { "kernel", "kernel data" },
};

const char *dump_class_word(enum dump_class class)
{
	return class < DUMP_CLASS_COUNT ? classes[class].word : "unknown";
}

const char *dump_class_text(enum dump_class class)
{
	return class < DUMP_CLASS_COUNT ? classes[class].text : "unknown";
}

uint32_t dump_level_classes(unsigned level)
{
	uint32_t wanted = (DUMP_BIT(DUMP_CLASS_COUNT) - 1) & ~DUMP_NEVER &
			  ~DUMP_BIT(DUMP_DEVICE);

	if (level & DUMP_LEVEL_ZERO)
		wanted &= ~DUMP_BIT(DUMP_ZERO);
	if (level & (DUMP_LEVEL_CACHE | DUMP_LEVEL_PRIVATE))
		wanted &= ~DUMP_BIT(DUMP_CACHE);
	if (level & DUMP_LEVEL_PRIVATE)
		wanted &= ~DUMP_BIT(DUMP_CACHE_PRIVATE);
	if (level & DUMP_LEVEL_USER)
		wanted &= ~DUMP_BIT(DUMP_USER);
	if (level & DUMP_LEVEL_FREE)
		wanted &= ~UNUSED_BITS;
	return wanted;
}

void dump_filter_init(struct dump_filter *filter, struct cf_map *map,
		      uint32_t wanted)
{
	filter->map = map;
	filter->wanted = wanted & ~DUMP_NEVER;
	if (cf_map_config_of(map)->debug_pagealloc)
		filter->wanted &= ~UNUSED_BITS;
}

/* A run in use, of somebody who may say that it is nobody else's. */
static enum dump_class class_of_used(const struct cf_span *span,
				     uint32_t traits)
{
	/* Nobody can say of a frozen run what is in it once its owner left. */
	if (span->refs == 0 && span->type != CF_TYPE_RESERVED &&
	    traits & (CF_OWNER_PRIVATE | CF_OWNER_GONE))
		return DUMP_PRIVATE;
	if (span->type != CF_TYPE_FOLIO)
		return DUMP_KERNEL;
	if (!(traits & CF_OWNER_MIGRATES))
		return DUMP_USER;
	return traits & CF_OWNER_DISSOLVES ? DUMP_CACHE_PRIVATE : DUMP_CACHE;
}

enum dump_class dump_class_of(const struct cf_span *span, uint32_t traits)
{
	switch (span->kind) {
	case CF_SPAN_ABSENT:
		return DUMP_ABSENT;
	case CF_SPAN_BLOCK_OFFLINE:
		return DUMP_BLOCK_OFFLINE;
	case CF_SPAN_FREE:
		return DUMP_FREE;
	case CF_SPAN_TRANSIT:
		return DUMP_CACHED;
	default:
		break;
	}
	if (span->type == CF_TYPE_OFFLINE)
		return DUMP_OFFLINE;
	if (span->type == CF_TYPE_RETIRED)
		return DUMP_RETIRED;
	if (span->type == CF_TYPE_DEVICE || span->zone == CF_ZONE_DEVICE)
		return DUMP_DEVICE;
	return class_of_used(span, traits);
}

/* In a read section. */
static enum dump_class class_of(struct cf_map *map, const struct cf_span *span)
{
	uint32_t traits = 0;

	if (span->kind == CF_SPAN_RUN)
		traits = cf_owner_traits(map, span->owner);
	return dump_class_of(span, traits);
}

/* Bad frames of a run that is still in use. */
static void note_bad(struct cf_map *map, struct dump_window *window,
		     cf_pfn first, cf_pfn last)
{
	for (; first < last; first++)
		if (cf_retire_state(map, first) != CF_RETIRE_NONE)
			window->class[first - window->first] = DUMP_RETIRED;
}

static void note_span(struct cf_map *map, struct dump_window *window,
		      cf_pfn first, const struct cf_span *span)
{
	cf_pfn end = window->first + window->count;
	cf_pfn last = span->last < end ? span->last : end;

	memset(&window->class[first - window->first], (int)class_of(map, span),
	       (size_t)(last - first));
	if (span->kind == CF_SPAN_RUN && span->flags & CF_FLAG_POISON)
		note_bad(map, window, first, last);
}

void dump_filter_look(const struct dump_filter *filter,
		      struct dump_window *window)
{
	cf_pfn at = window->first, end = window->first + window->count;
	struct cf_span span;
	cf_pfn first;

	cf_walk_begin(filter->map);
	for (first = at; cf_walk_next(filter->map, &at, end, &span);
	     first = at)
		note_span(filter->map, window, first, &span);
	cf_walk_end(filter->map);
}

/* Not by memcpy(), which ThreadSanitizer watches. */
__attribute__((no_sanitize("thread")))
void dump_copy(void *to, const void *from, size_t bytes)
{
	const volatile unsigned char *byte_from = from;
	unsigned char *byte_to = to;
	size_t i = 0;

	if (((uintptr_t)to | (uintptr_t)from) % sizeof(uint64_t) == 0) {
		const volatile uint64_t *word_from = from;
		uint64_t *word_to = to;

		for (; i + sizeof(uint64_t) <= bytes; i += sizeof(uint64_t))
			*word_to++ = *word_from++;
	}
	for (; i < bytes; i++)
		byte_to[i] = byte_from[i];
}

bool dump_is_zero(const void *frame)
{
	const uint64_t *word = frame;
	uint64_t bits = 0;
	size_t i, j;

	for (i = 0; i < FRAME_WORDS && !bits; i += 64)
		for (j = i; j < i + 64; j++)
			bits |= word[j];
	return !bits;
}

/* Caller is between cf_content_begin() and _end(). */
static unsigned copy_frames(const struct dump_filter *filter,
			    struct dump_window *window, unsigned char *memory)
{
	void *machine = cf_map_config_of(filter->map)->machine;
	const void *from;
	unsigned i, count = 0;

	for (i = 0; i < window->count; i++) {
		if (!(filter->wanted >> window->class[i] & 1))
			continue;
		from = cf_port_frame_address(machine, window->first + i, 1);
		if (!from) {
			window->class[i] = DUMP_UNMAPPED;
			continue;
		}
		dump_copy(memory + i * CF_FRAME_BYTES, from, CF_FRAME_BYTES);
		count++;
	}
	return count;
}

/* What was read and is nothing but zeroes. */
static void note_zeroes(const struct dump_filter *filter,
			struct dump_window *window,
			const unsigned char *memory)
{
	unsigned i;

	for (i = 0; i < window->count; i++)
		if (filter->wanted >> window->class[i] & 1 &&
		    dump_is_zero(memory + i * CF_FRAME_BYTES))
			window->class[i] = DUMP_ZERO;
}

unsigned dump_filter_read(const struct dump_filter *filter,
			  struct dump_window *window, void *memory)
{
	unsigned ticket = cf_content_begin(filter->map);
	unsigned count;

	dump_filter_look(filter, window);
	count = copy_frames(filter, window, memory);
	cf_content_end(filter->map, ticket);
	if (!(filter->wanted & DUMP_BIT(DUMP_ZERO)))
		note_zeroes(filter, window, memory);
	return count;
}

bool dump_filter_was_read(const struct dump_filter *filter,
			  const struct dump_window *window, unsigned index)
{
	return window->class[index] == DUMP_ZERO ||
	       filter->wanted >> window->class[index] & 1;
}

void dump_tally_add(struct dump_tally *tally, const struct dump_window *window)
{
	unsigned i;

	for (i = 0; i < window->count; i++)
		tally->frames[window->class[i]]++;
}

uint64_t dump_tally_present(const struct dump_tally *tally)
{
	uint64_t frames = 0;
	unsigned class;

	for (class = 0; class < DUMP_CLASS_COUNT; class++)
		if (class != DUMP_ABSENT)
			frames += tally->frames[class];
	return frames;
}
