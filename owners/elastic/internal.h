/* SPDX-License-Identifier: MIT */
#ifndef OWNERS_ELASTIC_INTERNAL_H
#define OWNERS_ELASTIC_INTERNAL_H

/* What elastic.c (objects), hooks.c (the engine's asking), shrink.c share. */

#include <pthread.h>

#include <coldframe/coldframe.h>

#include "elastic.h"
#include "port/host/host.h"

#define CLASSES		14
#define CLASS_NONE	CLASSES		/* a run of its own */
#define SLOTS_MAX	256		/* of 16 bytes in a frame */

/*
 * Frames that hold objects.  Field key: (C) constant, (M) pool->mutex.
 * When the mutex is free: used == bits set in @taken; pins == locked objects;
 * the engine has one pin of the run's if pins > 0.
 */
struct run {
	cf_pfn pfn;			/* (M) */
	uint8_t order, class;		/* (C) */
	uint32_t used, slots;		/* (M), (C) */
	uint32_t pins;			/* (M) */
	struct run *prev, *next;	/* (M) of its class, or large runs */
	uint64_t taken[SLOTS_MAX / 64];	/* (M) */
	uint32_t object[];		/* (M) its number, by slot */
};

struct object {
	struct run *run;		/* (M) NULL: free */
	size_t bytes;			/* (M) */
	uint32_t generation;		/* (M) */
	uint32_t locks;			/* (M) */
	uint32_t slot;			/* (M); of a free one: the next free */
};

/* Frames out of use whose memory was given back. */
struct given {
	cf_pfn pfn;
	unsigned order;
};

struct elastic {
	pthread_mutex_t mutex;		/* of (M); a hook may take it */
	struct cf_host_memory own;	/* memory of its own map */
	struct cf_host_memory *memory;	/* (C) */
	struct cf_map *map;		/* (C) */
	enum cf_zone_kind zone;		/* (C) */
	struct cf_side side;		/* (C) struct run *, by head */
	uint32_t id;			/* (C) */
	struct run *runs[CLASSES + 1];	/* (M) all, by class */
	struct object *object;		/* (M) */
	uint32_t objects, free_object;	/* (M) room; first free + 1, or 0 */
	struct given *given;		/* (M) */
	size_t given_count, given_room;	/* (M) */
	size_t given_coming;		/* (M) places promised */
	struct elastic_stat stat;	/* (M) */
	pthread_t tender;
	pthread_cond_t tend;
	bool tending, stop;		/* (M) */
	uint64_t keep_bytes;		/* (M) */
	unsigned every_ms;		/* (M) */
};

extern const struct cf_owner_ops elastic_ops;

static inline unsigned char *run_memory(const struct elastic *pool,
					const struct run *run)
{
	return pool->memory->base + run->pfn * CF_FRAME_BYTES;
}

#define BYTES_MAX	((size_t)1 << 30)	/* of an object */

unsigned elastic_class_bytes(unsigned class);
/* How many objects a run of the class has room for. */
uint32_t elastic_class_slots(unsigned class);

/* The run a frame heads; the caller has the mutex. */
struct run *elastic_run_at(struct elastic *pool, cf_pfn pfn);
void elastic_bind(struct elastic *pool, cf_pfn pfn, struct run *run);

/* What an object of that size lies in; @bytes: at most BYTES_MAX. */
unsigned elastic_class_of(size_t bytes);
unsigned elastic_order_of(size_t bytes);

/* A run without frames; NULL: no memory. And one that has got them. */
struct run *elastic_new_run(unsigned class, unsigned order);
void elastic_enter_run(struct elastic *pool, struct run *run);

/* Behind those of its class that have room. */
void elastic_to_end(struct elastic *pool, struct run *run);

/* Room for more objects; false: no memory. */
bool elastic_grow(struct elastic *pool);
elastic_handle elastic_handle_of(const struct elastic *pool, uint32_t number);

/* A slot of a run that has one free; one that is full goes to the end. */
uint32_t elastic_take_slot(struct elastic *pool, struct run *run);
/* The last slot that is freed frees the run. */
void elastic_give_slot(struct elastic *pool, struct run *run, uint32_t slot);

/* Put something into use again that was given back; false: there is none. */
bool elastic_take_back(struct elastic *pool, unsigned order);

/* As elastic_shrink(); returns how much. */
uint64_t elastic_give_back(struct elastic *pool, uint64_t bytes);

#endif
