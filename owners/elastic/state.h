/* SPDX-License-Identifier: MIT */
#ifndef OWNERS_ELASTIC_STATE_H
#define OWNERS_ELASTIC_STATE_H

/*
 * A pool of objects that goes on where another one ended, in a copy of its
 * map: made empty under the same owner id, it adopts objects where they lie.
 * Handles stay good.
 */

#include "elastic.h"

/* One that is there, or a handle that must not be good again. */
struct elastic_object {
	elastic_handle handle;
	uint64_t bytes;		/* 0: there is none */
	uint64_t pfn;		/* of its run */
	uint32_t slot, locks;
};

struct elastic_given {
	uint64_t pfn;
	uint32_t order;
};

/** elastic_save_next() - the next object. @at: 0 at first. False: none. */
bool elastic_save_next(struct elastic *pool, uint32_t *at,
		       struct elastic_object *ret_object);

/** elastic_save_given() - the next run that was given back. */
bool elastic_save_given(struct elastic *pool, size_t *at,
			struct elastic_given *ret_given);

/**
 * elastic_adopt_object() - an object that is there already.
 * Return:  0, or with nothing changed:
 *          -CF_EINVAL  there is one in its place; its size or slot cannot
 *                      be; or its run is not like
 *                      that, or not the pool's by its word
 *          -CF_ENOMEM  no memory
 */
int elastic_adopt_object(struct elastic *pool,
			 const struct elastic_object *object) CF_MUST_CHECK;

/**
 * elastic_adopt_given() - a run that was given back.
 * Return: 0, or -CF_EINVAL: it is not OFFLINE, the pool's and of that order;
 *         -CF_ENOMEM: no memory.
 */
int elastic_adopt_given(struct elastic *pool,
			const struct elastic_given *given) CF_MUST_CHECK;

/**
 * elastic_adopt() - all objects are there; @stat: what only grows.
 * Return: 0, or -CF_EINVAL: a run that is the pool's by its word is not known
 *         to it, or one that was given back was told twice;
 *         -CF_ENOMEM: no memory.
 */
int elastic_adopt(struct elastic *pool, const struct elastic_stat *stat)
	CF_MUST_CHECK;

#endif
