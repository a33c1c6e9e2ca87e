/* SPDX-License-Identifier: MIT */
#ifndef MACHINE_SAVE_H
#define MACHINE_SAVE_H

/*
 * A whole machine in a file: its map, what owners know, its blocks, and the
 * contents of frames in use; and back.  docs/save-format.md says how.
 */

#include "machine.h"
#include "save_stream.h"

/* What a reader of contents found a frame to be. */
enum save_seen {
	SAVE_SEEN_DATA,		/* it was read */
	SAVE_SEEN_ZERO,		/* and is nothing but zeroes */
	SAVE_SEEN_NEVER,	/* in use, and yet nobody's to read */
	SAVE_SEEN_GONE,		/* not in use any more */
	SAVE_SEEN_UNMAPPED,	/* in use, and the port has no address for it */
};

/*
 * Who reads contents for a save: the filter that decides which frames may be
 * read.  The only way in which contents reach a file.
 */
struct save_source {
	void *context;

	/*
	 * Read frames [first, first + count), all of one chunk, into @memory;
	 * @ret_seen: an enum save_seen for each.
	 */
	void (*read)(void *context, struct cf_map *map, cf_pfn first,
		     unsigned count, void *memory, uint8_t *ret_seen);
};

struct save_config {
	int level;			/* of zstd; 0: not compressed */
	int out;			/* what "-" stands for */
	const struct save_source *source;
};

#define SAVE_LEVEL_DEFAULT	1

/* Frames of a machine, by what a save does with them. */
struct save_totals {
	uint64_t contents;	/* in the file */
	uint64_t zeroes;	/* in use and zero: their being is enough */
	uint64_t left_out;	/* in use, and nobody's to read */
	uint64_t runs;		/* of all types */
	uint64_t bytes;		/* of the file */
};

/**
 * machine_save() - write a machine to a file.
 * @path: "-": standard output
 * @why:  SAVE_WHY_BYTES, filled on failure
 *
 * What runs by itself pauses meanwhile, and the CPUs' caches are emptied: the
 * machine is otherwise as it was.
 *
 * Return: 0; -1 with @why, and @path as it was.
 */
int machine_save(struct machine *machine, const char *path,
		 const struct save_config *config,
		 struct save_totals *ret_totals, char *why);

/* Can it not be saved now?  @why: SAVE_WHY_BYTES, filled if so. */
bool machine_save_refused(struct machine *machine, char *why);

/* A file being restored. */
struct restore;

/**
 * restore_open() - look at the beginning of a file.
 * @path: "-": standard input; stays valid
 *
 * Pair with restore_close(). Return: it, or NULL with @why.
 */
struct restore *restore_open(const char *path, char *why);
void restore_close(struct restore *restore);

/* What a scenario that goes on has to know. @ret_origin's names are ours. */
void restore_origin(const struct restore *restore,
		    struct scenario_origin *ret_origin);
uint64_t restore_seed(const struct restore *restore);

/**
 * restore_machine() - make the machine that was saved.
 * @config: as for machine_create(); its names begin with those of the origin,
 *          and its seed is the file's
 *
 * Everything goes through the engine's public calls. The runs of the new map
 * are compared with the file's at the end, and every equation is checked.
 * Walkers and a load go on with the first step that is not "save".
 *
 * Return: it, or NULL with @why and nothing left of it.
 */
struct machine *restore_machine(struct restore *restore,
				const struct machine_config *config,
				struct save_totals *ret_totals, char *why);

#endif
