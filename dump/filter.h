/* SPDX-License-Identifier: MIT */
#ifndef DUMP_FILTER_H
#define DUMP_FILTER_H

/*
 * Which frames may be read, by somebody who owns none of them: dump and save.
 *
 * Everything that reads contents of a running map goes through here.  What a
 * frame is, whether it may be read and the reading itself happen between
 * cf_content_begin() and cf_content_end(), so that whoever takes a frame away
 * waits for the reader, or the reader sees that it is gone.
 */

#include <coldframe/coldframe.h>

/*
 * What a frame is to a dump; each frame has exactly one.  The numbers are
 * those of the files: they only grow.
 */
enum dump_class {
	DUMP_ABSENT	   = 0,	/* no block: no memory */
	DUMP_BLOCK_OFFLINE = 1,	/* of a block that is not in use */
	DUMP_OFFLINE	   = 2,	/* logically offline: never read */
	DUMP_RETIRED	   = 3,	/* a bad frame: never read */
	DUMP_PRIVATE	   = 4,	/* its owner's alone: never read */
	DUMP_DEVICE	   = 5,	/* memory of a device */
	DUMP_UNMAPPED	   = 6,	/* the machine has no address for it */
	DUMP_FREE	   = 7,	/* level 16 */
	DUMP_CACHED	   = 8,	/* in a CPU's cache, or in transit: 16 too */
	DUMP_USER	   = 9,	/* level 8: a folio nobody can move */
	DUMP_CACHE	   = 10, /* level 2: a folio its owner can move */
	DUMP_CACHE_PRIVATE = 11, /* level 4: and keeps when unused */
	DUMP_ZERO	   = 12, /* level 1: nothing but zeroes */
	DUMP_KERNEL	   = 13, /* everything else in use */
	DUMP_CLASS_COUNT
};

#define DUMP_BIT(class)	(1u << (class))

/* Never read, whatever is asked for. */
#define DUMP_NEVER							\
	(DUMP_BIT(DUMP_ABSENT) | DUMP_BIT(DUMP_BLOCK_OFFLINE) |		\
	 DUMP_BIT(DUMP_OFFLINE) | DUMP_BIT(DUMP_RETIRED) |		\
	 DUMP_BIT(DUMP_PRIVATE) | DUMP_BIT(DUMP_UNMAPPED))

/* Levels are sums of these, as makedumpfile's -d. */
#define DUMP_LEVEL_ZERO		1u
#define DUMP_LEVEL_CACHE	2u
#define DUMP_LEVEL_PRIVATE	4u
#define DUMP_LEVEL_USER		8u
#define DUMP_LEVEL_FREE		16u
#define DUMP_LEVEL_MAX		31u

/* One word for programs ("block-offline"), a few for people. */
const char *dump_class_word(enum dump_class class);
const char *dump_class_text(enum dump_class class);

/*
 * The classes that a dump of a level has the contents of: a mask of
 * DUMP_BIT()s.  Without level 1 zeroes are contents like others.
 */
uint32_t dump_level_classes(unsigned level);

/* How many frames of each class. */
struct dump_tally {
	uint64_t frames[DUMP_CLASS_COUNT];
};

/*
 * Copy what others may write meanwhile: the copy is torn then, and no tool is
 * to complain of it.
 */
void dump_copy(void *to, const void *from, size_t bytes);

/* Is a frame's room filled with zeroes? */
bool dump_is_zero(const void *frame);

/* What a frame is, by its span and the traits of the run's owner. */
enum dump_class dump_class_of(const struct cf_span *span, uint32_t traits);

/*
 * @wanted: DUMP_BIT()s of the classes to be read; those of DUMP_NEVER have no
 * effect.  Without DUMP_ZERO among them frames that were read are looked at.
 */
struct dump_filter {
	struct cf_map *map;
	uint32_t wanted;
};

/**
 * dump_filter_init() - begin to read a map.
 * @wanted: dump_level_classes(), or a mask of the caller's
 *
 * With debug_pagealloc frames that nobody has cannot be touched: they are
 * left out even if they are wanted. A frame loses its access there as it
 * becomes free, which waits for no reader: nothing may be freed or moved
 * during dump_filter_read() then.
 */
void dump_filter_init(struct dump_filter *filter, struct cf_map *map,
		      uint32_t wanted);

#define DUMP_WINDOW_FRAMES	CF_CHUNK_FRAMES

/* Frames [first, first + count), at most a window, in one chunk. */
struct dump_window {
	cf_pfn first;
	unsigned count;
	uint8_t class[DUMP_WINDOW_FRAMES];	/* enum dump_class */
};

/**
 * dump_filter_look() - what the frames of a window are, touching none.
 * @window: first and count are the caller's, class is filled
 *
 * No frame is DUMP_ZERO here: that takes a look at contents.
 *
 * Context: enters a read section.
 */
void dump_filter_look(const struct dump_filter *filter,
		      struct dump_window *window);

/**
 * dump_filter_read() - read the frames that may be read and are wanted.
 * @window: first and count are the caller's, class is filled anew
 * @memory: a frame's room for each; frames not read are left as they are
 *
 * What a frame is is decided here, at the moment it is read, not by what
 * dump_filter_look() has said before. A frame was read if its class is
 * wanted, or DUMP_ZERO.
 *
 * Context: as cf_content_begin(); enters a read section. Not in a hook. With
 *          debug_pagealloc: while nobody frees or moves frames.
 * Return:  how many frames were read.
 */
unsigned dump_filter_read(const struct dump_filter *filter,
			  struct dump_window *window, void *memory);

/* Was this frame of a window read by dump_filter_read()? */
bool dump_filter_was_read(const struct dump_filter *filter,
			  const struct dump_window *window, unsigned index);

/* Add a window's classes to totals. */
void dump_tally_add(struct dump_tally *tally, const struct dump_window *window);

/* Frames of all classes but DUMP_ABSENT: what the machine has. */
uint64_t dump_tally_present(const struct dump_tally *tally);

#endif
