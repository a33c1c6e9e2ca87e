/* SPDX-License-Identifier: MIT */
#ifndef DUMP_WRITE_H
#define DUMP_WRITE_H

/*
 * Writing a dump: what a source has goes, a window at a time and packed by
 * several threads, to a file or a stream.
 *
 * What is in it is planned first, by looking at words only.  Contents are read
 * when they are written, and what must not be read any more by then is left
 * out.  Memory: three bits a frame, and some MiB a thread.
 */

#include "dump.h"
#include "pack.h"

/* Frames that follow each other and have blocks. */
struct dump_stretch {
	cf_pfn first, last;
};

/*
 * What a dump is made of.  Frames [0, end) are the machine's, as far as there
 * are blocks; those of @range follow without a gap and hold the map.
 */
struct dump_source {
	void *context;
	char machine[64];		/* which one it is: one word */
	unsigned elf_machine;		/* EM_* */
	char *vmcoreinfo;		/* terminated; malloc()ed */
	bool linear;			/* frame 0 is at ... */
	uint64_t frames;		/* ... this address, others follow */
	cf_pfn end;			/* of the highest block */
	struct dump_stretch *stretch;	/* malloc()ed, rising */
	size_t stretches;
	struct dump_range *range;	/* malloc()ed */
	size_t ranges;
	struct raw_owner *owner;	/* malloc()ed */
	size_t owners;
	uint32_t wanted;		/* DUMP_BIT()s */

	/* As dump_filter_look() and _read(); any thread. */
	int (*look)(const struct dump_source *source,
		    struct dump_window *window, struct dump_why *why);
	int (*read)(const struct dump_source *source,
		    struct dump_window *window, void *memory,
		    struct dump_why *why);

	/*
	 * Frame @index of those of the ranges; @memory NULL: only ask. 1: it
	 * is there; 0: it is not; -1 with @why.
	 */
	int (*metadata)(const struct dump_source *source, uint64_t index,
			void *memory, struct dump_why *why);
	void (*close)(struct dump_source *source);
};

struct dump_options {
	enum dump_format format;
	enum dump_compress compress;	/* KDUMP */
	unsigned level;
	unsigned threads;		/* 0: one a CPU */
	int stream;			/* what "-" is; 0: standard output */

	/* Called now and then, by one thread at a time; may be NULL. */
	void (*progress)(void *context, uint64_t done, uint64_t all);
	void *context;
};

struct dump_result {
	struct dump_tally tally;
	uint64_t written;		/* frames whose contents are in it */
	uint64_t metadata;		/* frames of the map */
	uint64_t lost;			/* planned, and taken away meanwhile */
	uint64_t bytes;			/* of the file */
};

/**
 * dump_write() - write a dump.
 * @path:       "-": standard output; a file is there when it is complete
 * @ret_result: what is in it
 *
 * Return: 0, or -1 with @why, and a file of that name is as it was.
 */
int dump_write(const struct dump_source *source,
	       const struct dump_options *options, const char *path,
	       struct dump_result *ret_result, struct dump_why *why);

/**
 * dump_source_live() - a map of this process.
 * @machine: its name, one word
 *
 * Pair with dump_source_close(). The map may be in use, but for one with
 * debug_pagealloc: see dump_filter_read(). Return: 0, or -1.
 */
int dump_source_live(struct dump_source *source, struct cf_map *map,
		     const char *machine, unsigned level,
		     struct dump_why *why);

/**
 * dump_source_file() - a dump, to be filtered (again).
 * @dump: stays open until dump_source_close()
 */
int dump_source_file(struct dump_source *source, struct dump *dump,
		     unsigned level, struct dump_why *why);

void dump_source_close(struct dump_source *source);

/* All frames of the ranges. */
uint64_t dump_source_metadata(const struct dump_source *source);

#endif
