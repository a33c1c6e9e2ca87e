/* SPDX-License-Identifier: MIT */
#ifndef DUMP_DUMP_H
#define DUMP_DUMP_H

/*
 * A dump of a machine of coldframe's: its file and the map in it.
 *
 * Frames here are those of the map.  In a dump that coldframe wrote they are
 * the frames of the file; in one that QEMU took of a guest they lie where the
 * guest's page tables say.
 */

#include "file.h"
#include "filter.h"
#include "raw.h"

#define DUMP_CACHE_FRAMES	64

/* Addresses of metadata and the frames of the file they lie in. */
struct dump_range {
	uint64_t address, frame, count;
};

/* What the note says was counted when the dump was written. */
struct dump_counts {
	bool known;			/* there is such a note */
	unsigned level;
	char machine[64];		/* of which machine it is */
	uint64_t time;			/* seconds since 1970 */
	uint64_t frames[DUMP_CLASS_COUNT];
	uint64_t written;		/* frames with contents */
	uint64_t metadata;		/* frames of metadata */
	uint64_t lost;			/* taken away meanwhile */
};

struct dump {
	struct dump_file file;
	struct raw_map raw;
	bool own;			/* written by coldframe */
	uint64_t frames;		/* address of frame 0 */
	cf_pfn end;			/* own: frames from here on are its
					 * metadata */
	struct dump_range *range;	/* by address */
	size_t ranges;
	uint64_t root;			/* page tables, physical; 0: none */
	const struct tables *tables;	/* how they look */
	struct dump_counts counts;
	struct {
		uint64_t frame;		/* + 1; 0: nothing */
		unsigned char memory[CF_FRAME_BYTES];
	} cache[DUMP_CACHE_FRAMES];
};

/**
 * dump_open() - open a dump and find its map.
 * @ret_dump: it; give it back with dump_close()
 *
 * Return: 0, or -1 with @why, which begins with what is wrong with the file.
 */
int dump_open(const char *path, struct dump **ret_dump, struct dump_why *why);
void dump_close(struct dump *dump);

/* One past the last frame of the highest block. */
cf_pfn dump_end(const struct dump *dump);

/* The first frame of the first block from @pfn on, or dump_end(). */
cf_pfn dump_next(struct dump *dump, cf_pfn pfn);

/* As dump_filter_look(). 0, or -1 with @why. */
int dump_look(struct dump *dump, struct dump_window *window,
	      struct dump_why *why);

/* As dump_file_read(), for a frame of the map. */
int dump_read(struct dump *dump, cf_pfn pfn, void *memory,
	      struct dump_why *why);

/* Does it have the contents of a frame of the map? */
int dump_has(struct dump *dump, cf_pfn pfn, struct dump_why *why);

/* Bytes at an address of the machine's: a raw_read_fn. */
int dump_memory(void *dump, uint64_t address, void *memory, size_t bytes);

#endif
