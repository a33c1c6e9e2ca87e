/* SPDX-License-Identifier: MIT */
#ifndef MACHINE_SAVE_OBJECTS_H
#define MACHINE_SAVE_OBJECTS_H

/*
 * Saving and restoring what has a state of its own beside the map: devices
 * with their drivers, and the reference owners.
 *
 * An object is saved as one record OBJECT, made before there is any block:
 * what it is, and the numbers nobody could find out.  When the ids of owners
 * are given it starts, under its own.  Then the map is made.  Frames its host
 * has come as GIVEN, and what the object itself knows of frames as PART,
 * looked at against the map; at last it is finished: from there on it works.
 */

#include "restore.h"

struct saving;

/* Functions may be NULL, but for those of OBJECT. Of restoring: 0, or -1. */
struct object_kind {
	enum noun noun;

	/* Why it cannot be saved now. NULL: it can. */
	const char *(*refusal)(struct machine *machine, uint32_t number);
	/* A record OBJECT. */
	void (*save)(struct saving *saving, uint32_t number);
	/* Records GIVEN. */
	void (*save_given)(struct saving *saving, uint32_t number);
	/* Records PART. */
	void (*save_parts)(struct saving *saving, uint32_t number);
	/* Its owner's id; false: it is none, or no more. */
	bool (*owner)(struct machine *machine, uint32_t number,
		      uint32_t *ret_id);

	int (*restore)(struct restore *restore, uint32_t number,
		       struct code *code);
	int (*given)(struct restore *restore, const struct fact_range *range);
	/* Become an owner. 0, or a code. */
	int (*start)(struct restore *restore, uint32_t number);
	int (*part)(struct restore *restore, const struct fact_object *part,
		    struct code *code);
	int (*finish)(struct restore *restore, uint32_t number);
};

/* NULL: not a noun of objects like that. */
const struct object_kind *object_kind(enum noun noun);

/* The kind of what a name stands for, if that is there. */
const struct object_kind *object_kind_of(struct machine *machine,
					 uint32_t number);

/* ---- for those who save ---- */

struct machine *saving_machine(struct saving *saving);
int saving_fail(struct saving *saving, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Begin a record of bytes, and end it. */
struct code *saving_begin(struct saving *saving, uint32_t number,
			  uint32_t sort);
void saving_end(struct saving *saving, enum save_kind kind);
void saving_range(struct saving *saving, enum save_kind kind,
		  const struct fact_range *range);

/* ---- save_objects.c ---- */

/* Why the machine cannot be saved; false: it can. */
bool objects_refused(struct machine *machine, char *why);
void objects_save(struct saving *saving);
void objects_save_added(struct saving *saving);
void objects_save_given(struct saving *saving);
void objects_save_parts(struct saving *saving);

/* Whose owner has that id; false: nobody's. */
bool objects_owner(struct machine *machine, uint32_t id,
		   uint32_t *ret_number);

int restore_object(struct restore *restore, struct code *code);
int restore_given(struct restore *restore, struct code *code);
int restore_added(struct restore *restore, struct code *code);
int restore_part(struct restore *restore, struct code *code);

/* An object starts, and is the owner @id. */
int restore_start(struct restore *restore, uint32_t number, uint32_t id);

/* Every part is there. */
int restore_objects_end(struct restore *restore);

/* ---- save_pagemap.c ---- */

/* Over all words of memory of devices that is there. */
uint32_t pagemaps_sum(struct machine *machine);

/* Blocks that have contents: those of the map, and memory of devices. */
struct fact_range contents_range(struct machine *machine);

/*
 * Device memory among frames [first, last), in which there are contents: the
 * next stretch from *@at on. False: there is none.
 */
bool pagemap_contents(struct machine *machine, cf_pfn *at, cf_pfn last,
		      struct stretch *ret_stretch);

/* ---- one a sort of object ---- */

extern const struct object_kind save_mem, save_balloon;
extern const struct object_kind save_pool, save_guest, save_elastic;
extern const struct object_kind save_pagemap;

#endif
