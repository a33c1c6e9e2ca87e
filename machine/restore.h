/* SPDX-License-Identifier: MIT */
#ifndef MACHINE_RESTORE_H
#define MACHINE_RESTORE_H

/*
 * What the files that restore a machine share.
 *
 * Whatever a file says is input from outside: each part looks at what it was
 * given before it uses it, and what the engine refuses ends the restoring.
 */

#include "save.h"
#include "save_facts.h"
#include "save_map.h"

/* As many as a scenario can ask for. */
#define RESTORE_BAD_MAX	65536

/* Memory for bits of owners whose frames are scattered, all together. */
#define RESTORE_BITS_MAX	((uint64_t)64 << 20)

/*
 * Making the map.  Frames whose owner is gone are made by a stand-in that
 * then unregisters; so are blocks with frames that were never exposed and
 * belong to somebody whose range it is not.  What else is to be said of such
 * frames waits until it has.
 */
struct rebuild {
	struct owner *of_id[CF_OWNERS_MAX];
	bool other[CF_OWNERS_MAX];	/* ids of devices and their like */
	uint32_t id_last;		/* the last one given */
	uint32_t gap[CF_OWNERS_MAX];	/* ids of owners that are gone ... */
	uint32_t gaps;			/* ... held so that nobody gets them */
	struct owner *stand_in;		/* NULL: not yet, or no more */
	struct fact_block *block;
	size_t blocks, blocks_room;
	size_t block_at;		/* the next one to be made */
	cf_pfn run_last;		/* runs come in order */
	struct save_runs runs;		/* of the block that is read */
	struct save_runs spanning;	/* larger than a block */
	struct save_runs late;		/* of whoever cannot say it yet */
	struct fact_bad *bad;
	size_t bad_count;
	bool made;
};

struct restore {
	struct save_reader *reader;
	struct machine *machine;	/* while it is made */
	struct fact_machine fact;
	struct scenario_name name[SCENARIO_NAMES_MAX];
	char text[SCENARIO_NAMES_MAX][SCENARIO_NAME_BYTES + 1];
	uint32_t names;
	bool marked;
	enum save_kind kind;		/* of the record before */
	struct rebuild rebuild;
	struct fact_end end;		/* counted here */
	cf_pfn content_last;		/* contents come in order */
	uint64_t bits_bytes;		/* of owners' bits */
	struct bits *claimed;		/* heads of runs that are in a set */
	struct owner *load_owner;	/* until the load takes it */
	void *aside[SCENARIO_NAMES_MAX];	/* what such a one waits for */
	bool finished;			/* so are devices and their like */
	struct owner *kept_of;		/* whose list of kept runs ... */
	struct run **kept_end;		/* ... ends here */
};

/* Say what is wrong with the file. -1. */
int restore_wrong(struct restore *restore, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The object a record is about: a name of that noun that is not there yet. */
union object *restore_slot(struct restore *restore, uint32_t number,
			   enum noun noun);

/* The object it names, or NULL: wrong. */
void *restore_find(struct restore *restore, uint32_t number, enum noun noun);

/* ---- restore_map.c ---- */

/* A record each; -1: it is wrong. */
int restore_owner(struct restore *restore, struct code *code);
int restore_bits(struct restore *restore, struct code *code, bool plugged);
int restore_bad(struct restore *restore, struct code *code);
int restore_block_group(struct restore *restore, struct code *code);
int restore_block(struct restore *restore, struct code *code);
int restore_run(struct restore *restore, struct code *code);

/* All blocks and runs are known: the rest of the map. */
int restore_map_end(struct restore *restore);

/* So is what is in use of devices' memory: bad frames of that. */
int restore_devices_end(struct restore *restore);

/* Nobody is told of anything any more, and nothing is left half. */
void restore_map_free(struct restore *restore);

/* ---- restore_known.c ---- */

/* A name, as it lives as long as the machine. NULL: nobody's. */
const char *restore_word(struct restore *restore, const char *text);

/* Names and other words of a report, as they live as long as the machine. */
void restore_words(struct restore *restore, struct cf_report *report,
		   const struct fact_report_text *text);

int restore_set(struct restore *restore, struct code *code);
int restore_member(struct restore *restore, struct code *code);
int restore_kept(struct restore *restore, struct code *code);

/* Every set has all its members: do they fit? */
int restore_sets_end(struct restore *restore);

/* The last of them was read. */
void restore_kept_end(struct restore *restore);

int restore_frame(struct restore *restore, struct code *code);
int restore_watcher(struct restore *restore, struct code *code);
int restore_scanned(struct restore *restore, struct code *code);
int restore_walker(struct restore *restore, struct code *code);
int restore_operation(struct restore *restore, struct code *code);
int restore_mark(struct restore *restore, struct code *code);
int restore_zone(struct restore *restore, struct code *code);
int restore_load(struct restore *restore, struct code *code);
int restore_worker(struct restore *restore, struct code *code);
int restore_slot_run(struct restore *restore, struct code *code);
int restore_last(struct restore *restore, struct code *code);

#endif
