/* SPDX-License-Identifier: MIT */
#ifndef OWNERS_ELASTIC_H
#define OWNERS_ELASTIC_H

/*
 * A pool of movable objects for a process on Linux: a cache, a database's
 * buffers, a machine monitor's tables.
 *
 * Objects are named by handles, not by addresses.  While an object is locked
 * it has an address; when nobody has it locked the pool may move it.  So the
 * pool can always be made smaller by as much as was freed: elastic_shrink()
 * moves what is left together, takes whole stretches of frames out of use and
 * gives them back to the operating system.  malloc() cannot do that, for a
 * few objects that stay keep the pages around them.
 *
 * Objects of up to 2 KiB share frames with others of their size class; larger
 * ones have a run of frames of their own, a power of two.  Frames that hold a
 * locked object are pinned; all others the engine may move, one by one, behind
 * the user's back.
 *
 * All calls may be made by any thread at any time, but for create and
 * destroy.  A thread that allocates much calls cf_host_enter() once, to have
 * caches.
 */

#include <coldframe/types.h>

struct cf_host_memory;
struct elastic;

/* Names an object.  Never 0; not used again for another before 2^32 frees. */
typedef uint64_t elastic_handle;

/* How to make a pool.  All zero but for @bytes is a good choice. */
struct elastic_config {
	const char *name;	/* for reports; NULL: "elastic" */
	/* A map of the pool's own, of at most so much memory ... */
	uint64_t bytes;		/* 4 MiB up, rounded up to whole blocks */
	uint32_t cpus;		/* contexts with caches; 0: 1 */
	bool huge;		/* 2 MiB pages: faster, coarser */
	/* ... or one that is there; both or none. */
	struct cf_host_memory *memory;
	struct cf_map *map;
	enum cf_zone_kind zone;	/* of objects; NORMAL for a map of its own */
};

/**
 * elastic_create() - make an empty pool.
 *
 * Memory is not taken before objects need it. Pair with elastic_destroy().
 *
 * Return:  0, or with nothing changed:
 *          -CF_EINVAL  @config can never be right
 *          -CF_ENOMEM  the process has no memory for it
 *          -CF_EBUSY   a thread's number is not below config.cpus
 *          -CF_ELIMIT  no owner id is left
 */
int elastic_create(const struct elastic_config *config,
		   struct elastic **ret_pool) CF_MUST_CHECK;

/**
 * elastic_destroy() - free all objects and give all memory back.
 * @report: NULL, or the frame that holds a locked object
 *
 * Context: no other call on the pool runs; elastic_tend_stop() was called.
 * Return:  0, or with the pool as it was: -CF_EBUSY: an object is locked.
 */
int elastic_destroy(struct elastic *pool, struct cf_report *report)
	CF_MUST_CHECK;

struct cf_map *elastic_map(struct elastic *pool);
uint32_t elastic_owner(const struct elastic *pool);

/**
 * elastic_alloc() - make an object.
 * @bytes:      1..2^30
 * @ret_handle: names it
 *
 * Contents are anything. Memory that was given back is taken again as needed.
 *
 * Return:  0, or with nothing changed:
 *          -CF_EINVAL  no such size
 *          -CF_ENOMEM  the pool is full, or the process has no memory
 */
int elastic_alloc(struct elastic *pool, size_t bytes,
		  elastic_handle *ret_handle) CF_MUST_CHECK;

/**
 * elastic_free() - end an object.
 *
 * Its memory stays the process's, for other objects, until elastic_shrink().
 *
 * Return:  0, or with nothing changed:
 *          -CF_EGONE  there is no such object (any more)
 *          -CF_EBUSY  it is locked
 */
int elastic_free(struct elastic *pool, elastic_handle handle) CF_MUST_CHECK;

/**
 * elastic_lock() - an object's address, until elastic_unlock().
 *
 * As often as wanted, by several threads; each pairs with an unlock. Lock for
 * as short as you can: what is locked holds up shrinking.
 *
 * Return: aligned to 16, frames of an own run to 4096; NULL: there is no such
 *         object (any more).
 */
void *elastic_lock(struct elastic *pool, elastic_handle handle) CF_MUST_CHECK;

/**
 * elastic_unlock() - the address is not used any more.
 * Return: 0, -CF_EGONE: no such object; -CF_EINVAL: it is not locked.
 */
int elastic_unlock(struct elastic *pool, elastic_handle handle) CF_MUST_CHECK;

/* What elastic_alloc() was asked for; 0: no such object. */
size_t elastic_bytes(struct elastic *pool, elastic_handle handle);

/**
 * elastic_shrink() - give memory back to the operating system.
 * @bytes:     how much; ~0: all that can be
 * @ret_bytes: resident memory that was given back, also on failure
 * @report:    NULL, or what was in the way: a frame with locked objects
 *
 * Merges frames that are partly used, compacts, and gives back whole chunks of
 * 2 MiB first and single frames last. It may be up to a chunk more than
 * @bytes. In a map with other users that is their free memory, too.
 *
 * Context: as cf_compact(). Return: 0; or -CF_ENOMEM: there was less to give.
 */
int elastic_shrink(struct elastic *pool, uint64_t bytes, uint64_t *ret_bytes,
		   struct cf_report *report) CF_MUST_CHECK;

/**
 * elastic_tend_start() - a thread that shrinks by itself.
 * @keep_bytes: so much may be free and not given back
 * @every_ms:   how often it looks
 * Return: 0, -CF_EBUSY: there is one; -CF_ENOMEM: no thread.
 */
int elastic_tend_start(struct elastic *pool, uint64_t keep_bytes,
		       unsigned every_ms) CF_MUST_CHECK;
void elastic_tend_stop(struct elastic *pool);

struct elastic_stat {
	uint64_t objects, locked;
	uint64_t object_bytes;	/* as asked for */
	uint64_t used_bytes;	/* of frames that hold them */
	uint64_t given_bytes;	/* out of use, given back */
	uint64_t merged;	/* objects moved together, ever */
	uint64_t moved;		/* runs the engine moved, ever */
};

void elastic_stat(struct elastic *pool, struct elastic_stat *ret_stat);

#endif
