/* SPDX-License-Identifier: MIT */
#ifndef OWNERS_DAXFILE_H
#define OWNERS_DAXFILE_H

/*
 * Files whose blocks are frames of device memory, as a file system with direct
 * access has them: mapping a page of a file hands out the block itself.
 *
 * A block of a file rests at count 0 while nobody has it mapped; each mapping
 * takes one reference, and others - DMA, walkers - may take more.  Its number
 * stays with the file until it is truncated, and truncation is the hard part:
 * a block that somebody still has is not the next file's.  So it has steps.
 * From start on pages beyond the new end are mapped no more; the file system
 * takes away the mappings it knows of (config.zap); step looks whether all of
 * the blocks are idle, says who holds the first one that is not, and only
 * when there is none gives them back, all at once.  cancel: nothing happened.
 *
 *	frames of the range = free + idle + mapped + gone + bad
 *
 * free: of no file.  idle: of a file, at count 0.  mapped: of a file, with
 * references.  gone: given up, because the range is being removed.  bad:
 * retired, or metadata of the range's own.
 *
 * All calls may run at once, but create and destroy.  The lock has
 * CF_RANK_LEAF and nothing is called under it.
 */

#include <coldframe/pagemap.h>
#include <coldframe/types.h>

struct daxfile;

struct daxfile_config {
	const char *name;	/* for reports; NULL: "daxfile" */
	struct cf_pagemap_config pagemap; /* kind FS_DAX; owner is filled in */
	cf_pfn first, last;	/* the range */
	uint32_t files;		/* how many, 1..2^20; all empty at first */
	uint32_t pages;		/* most pages of a file, 1..2^24 */
	/*
	 * Pages [@first, @last) of @file are to go: take away their mappings.
	 * May come again.  NULL: the caller has done so.
	 */
	void (*zap)(void *context, uint32_t file, uint32_t first,
		    uint32_t last);
	/* The block of a mapped page is bad: stop its users.  Or NULL. */
	void (*failed)(void *context, uint32_t file, uint32_t page);
	void *context;
};

/**
 * daxfile_bytes() - memory it needs.
 * Return: bytes, or 0 if @config can never be right.
 */
size_t daxfile_bytes(const struct daxfile_config *config);

/**
 * daxfile_create() - register the owner and its range; every file is empty.
 * @storage: daxfile_bytes() bytes, aligned to 16; in use until destroyed
 *
 * Pair with daxfile_destroy().
 *
 * Context: takes CF_RANK_HOTPLUG.
 * Return:  0, or with nothing changed:
 *          -CF_EINVAL  @config can never be right; see cf_pagemap_add()
 *          -CF_EBUSY   blocks are there already
 *          -CF_ENOMEM  no memory for metadata
 *          -CF_ELIMIT  no owner id is left
 *          -CF_EAGAIN  somebody else had a run of the range in hand
 */
int daxfile_create(struct cf_map *map, const struct daxfile_config *config,
		   void *storage, struct daxfile **ret_store) CF_MUST_CHECK;

/**
 * daxfile_destroy() - remove the range and unregister.
 * @report: NULL, or what is still mapped, and by how many
 *
 * Also of a range that others have removed to the end.
 *
 * Context: takes CF_RANK_HOTPLUG, waits for read sections.
 * Return:  0, or with everything as it was:
 *          -CF_EBUSY   a block is mapped, or the range's removal has been
 *                      started by others
 *          -CF_EAGAIN  a block was in motion all the time
 */
int daxfile_destroy(struct daxfile *store, struct cf_report *report)
	CF_MUST_CHECK;

/* The owner id, as reports and words have it. */
uint32_t daxfile_owner(const struct daxfile *store);

/**
 * daxfile_extend() - make a file @pages long.
 *
 * Return:  0, or with nothing changed:
 *          -CF_EINVAL  no such file; shorter than it is, or too long
 *          -CF_ENOMEM  not that many blocks are free
 *          -CF_EBUSY   it is being truncated
 */
int daxfile_extend(struct daxfile *store, uint32_t file, uint32_t pages)
	CF_MUST_CHECK;

/* Pages of a file; 0: no such file. */
uint32_t daxfile_pages(struct daxfile *store, uint32_t file);

/**
 * daxfile_map() - one reference of the block of a page.
 * @ret_pfn: the block; give the reference back with cf_put()
 *
 * Context: any.
 * Return:  0, or with nothing changed:
 *          -CF_EINVAL   no such file
 *          -CF_EGONE    the page is beyond the end
 *          -CF_EBUSY    the page is being truncated
 *          -CF_EAGAIN   it is being mapped, or is going idle, this moment
 *          -CF_EREFUSED its block is or was bad, or the range is being
 *                       removed
 *          -CF_ELIMIT   the count is at its limit
 */
int daxfile_map(struct daxfile *store, uint32_t file, uint32_t page,
		cf_pfn *ret_pfn) CF_MUST_CHECK;

/**
 * daxfile_truncate_start() - begin to make a file @pages long.
 *
 * Calls config.zap. Pair with daxfile_truncate_cancel(), or go on with
 * daxfile_truncate_step().
 *
 * Return:  0, or with nothing changed:
 *          -CF_EINVAL  no such file, or longer than it is
 *          -CF_EBUSY   it is being truncated
 */
int daxfile_truncate_start(struct daxfile *store, uint32_t file,
			   uint32_t pages) CF_MUST_CHECK;

/**
 * daxfile_truncate_step() - give the blocks back if all of them are idle.
 * @report: NULL, or the first block that is not: frame, references, pins, and
 *          how many there are for each reason
 *
 * Return:  0: the file is shorter now; or it goes on:
 *          -CF_EINVAL  the file is not being truncated
 *          -CF_EBUSY   a block is held
 */
int daxfile_truncate_step(struct daxfile *store, uint32_t file,
			  struct cf_report *report) CF_MUST_CHECK;

/**
 * daxfile_truncate_cancel() - the file stays as long as it is.
 * Return: 0, or -CF_EINVAL: it is not being truncated.
 */
int daxfile_truncate_cancel(struct daxfile *store, uint32_t file)
	CF_MUST_CHECK;

/**
 * daxfile_truncate() - start, at most @passes steps, cancel if not done.
 *
 * Return:  0, or with the file as it was, but for mappings that were zapped:
 *          -CF_EINVAL  no such file, or longer than it is
 *          -CF_EBUSY   a block is held; it is being truncated already; or no
 *                      pass was allowed
 */
int daxfile_truncate(struct daxfile *store, uint32_t file, uint32_t pages,
		     unsigned passes, struct cf_report *report) CF_MUST_CHECK;

struct daxfile_stat {
	uint64_t free, idle, mapped, gone, bad;	/* frames */
	/* Since it was made: */
	uint64_t truncated;	/* blocks given back */
	uint64_t waits;		/* steps that found a block held */
	uint64_t lost;		/* pages of files whose block was bad */
	uint64_t strangers;	/* hooks for what is not of a file */
	cf_pfn stranger;	/* the last of those, or CF_PFN_NONE */
};

void daxfile_stat(struct daxfile *store, struct daxfile_stat *ret_stat);

enum daxfile_finding_kind {
	DAXFILE_FINDING_NONE,
	DAXFILE_FINDING_OWNER,	/* a block is another owner's */
	DAXFILE_FINDING_IDLE,	/* a block nobody maps has references */
	DAXFILE_FINDING_MAPPED,	/* a mapped block has none */
	DAXFILE_FINDING_FILE,	/* a file's page and its block disagree */
	DAXFILE_FINDING_COUNT,	/* a counter is wrong */
};

struct daxfile_finding {
	enum daxfile_finding_kind kind;
	cf_pfn pfn;		/* CF_PFN_NONE: a counter */
	uint32_t owner;		/* of the frame as it is */
};

/**
 * daxfile_verify() - is every block what map and files say?
 *
 * Context: nothing else runs on it.
 * Return: true; false: *@ret_finding says what and where.
 */
bool daxfile_verify(struct daxfile *store,
		    struct daxfile_finding *ret_finding);

#endif
