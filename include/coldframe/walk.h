/* SPDX-License-Identifier: MIT */
#ifndef COLDFRAME_WALK_H
#define COLDFRAME_WALK_H

#include <coldframe/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a stretch of frames is. */
enum cf_span_kind {
	CF_SPAN_ABSENT,		/* no block */
	CF_SPAN_BLOCK_OFFLINE,	/* a block that is not in use */
	CF_SPAN_FREE,		/* in the allocator's bitmaps */
	CF_SPAN_TRANSIT,	/* in a cache, or between two states */
	CF_SPAN_RUN,		/* a run: the fields below */
	CF_SPAN_COUNT
};

/* A stretch of frames of one kind; a run is never split. */
struct cf_span {
	cf_pfn first, last;
	enum cf_span_kind kind;
	enum cf_type type;	/* RUN */
	uint32_t order, flags, owner, refs, pins, payload;	/* RUN */
	uint32_t node;
	enum cf_zone_kind zone;
	bool isolated;		/* its first chunk is isolated */
};

/*
 * Walking.  Between walk_begin and walk_end metadata does not go away; what
 * it says may change at any time.  To keep a frame longer, take a reference.
 * A section is short: it holds up removal.
 */
void cf_walk_begin(struct cf_map *map);
void cf_walk_end(struct cf_map *map);

/**
 * cf_walk_next() - the stretch that begins at or contains *@cursor.
 * @cursor: in: where; out: one past the stretch
 * @last:   where to stop
 *
 * Free, absent and transit stretches are as long as they are alike, but at
 * most to the end of a block and to @last.
 *
 * Context: between cf_walk_begin() and cf_walk_end().
 * Return:  true: *@ret_span is filled; false: *@cursor has reached @last.
 */
bool cf_walk_next(struct cf_map *map, cf_pfn *cursor, cf_pfn last,
		  struct cf_span *ret_span);

/**
 * cf_walk_many() - the next stretches, as cf_walk_next() would tell them.
 * @cursor:    in: where; out: one past the last of them
 * @last:      where to stop
 * @ret_spans: room for @most
 *
 * For those who look at every frame: over memory that is split into single
 * frames it takes little more than half the time.
 *
 * Context: between cf_walk_begin() and cf_walk_end().
 * Return:  how many were filled; fewer than @most, or 0: *@cursor has reached
 *          @last.
 */
size_t cf_walk_many(struct cf_map *map, cf_pfn *cursor, cf_pfn last,
		    struct cf_span *ret_spans, size_t most);

/*
 * Bits of /proc/kpageflags that exports use; numbers from
 * include/uapi/linux/kernel-page-flags.h.
 */
#define CF_KPF_REFERENCED	2
#define CF_KPF_UPTODATE		3	/* OFFLINE: can be migrated */
#define CF_KPF_DIRTY		4	/* OFFLINE: never onlined */
#define CF_KPF_LRU		5
#define CF_KPF_SLAB		7
#define CF_KPF_RECLAIM		9	/* being moved */
#define CF_KPF_BUDDY		10
#define CF_KPF_ANON		12
#define CF_KPF_SWAPBACKED	14
#define CF_KPF_COMPOUND_HEAD	15
#define CF_KPF_COMPOUND_TAIL	16
#define CF_KPF_HWPOISON		19
#define CF_KPF_NOPAGE		20
#define CF_KPF_THP		22
#define CF_KPF_OFFLINE		23
#define CF_KPF_PGTABLE		26
#define CF_KPF_RESERVED		32

/**
 * cf_export_flags() - what /proc/kpageflags would say of [first, last).
 * @ret_words: one word a frame
 * Context: any; enters read sections of a chunk each.
 */
void cf_export_flags(struct cf_map *map, cf_pfn first, cf_pfn last,
		     uint64_t *ret_words);

/**
 * cf_export_counts() - as /proc/kpagecount: references of folios, 0 for all
 * else.
 */
void cf_export_counts(struct cf_map *map, cf_pfn first, cf_pfn last,
		      uint64_t *ret_words);

/* Of the lines below; changes when a reader of the old ones would be wrong. */
#define CF_VMCOREINFO_VERSION 1

/**
 * cf_vmcoreinfo() - what a reader of a dump must know to find this map.
 * @text:  filled with lines as Linux has in VMCOREINFO, and a 0
 * @bytes: room there; 0: only ask how much it takes
 *
 * Where things are in the structures and in the word, and where the map is:
 * docs/dump-format.md. Constant for the life of the map.
 *
 * Context: any.
 * Return:  the length of all lines without the 0; if it is not less than
 *          @bytes, they are cut.
 */
size_t cf_vmcoreinfo(const struct cf_map *map, char *text, size_t bytes);

#ifdef __cplusplus
}
#endif
#endif
