/* SPDX-License-Identifier: MIT */
#ifndef OWNERS_DEVICE_STATE_H
#define OWNERS_DEVICE_STATE_H

/*
 * Owners of device memory that go on where others ended: made anew on the
 * same range, they hand out the very runs that were out.
 *
 * rawdev needs nothing of the kind: its parts are told apart by numbers.
 */

#include "daxfile.h"
#include "devmem.h"

/* What a driver knows of a run in use. */
struct devmem_use {
	uint32_t refs;		/* that move along; 0: the run is not used */
	bool moves;		/* it came by migration */
};

/**
 * devmem_look() - what is known of the run that @pfn heads.
 * Return: false: it is on its way, and nobody can say.
 */
bool devmem_look(struct devmem *driver, cf_pfn pfn,
		 struct devmem_use *ret_use);

/**
 * devmem_adopt() - hand out one idle run, with one reference.
 * @order: 0 or 9; 2 MiB that are idle are cut for a single frame
 * @use:   what is known of it; with no refs it stays idle
 *
 * More references are the caller's to take.
 *
 * Context: as devmem_alloc().
 * Return:  0, or with nothing changed, but that 2 MiB were cut:
 *          -CF_EINVAL   another order, or no idle run like that
 *          -CF_EREFUSED it is bad, or the range is being removed
 */
int devmem_adopt(struct devmem *driver, cf_pfn pfn, unsigned order,
		 const struct devmem_use *use) CF_MUST_CHECK;

/**
 * daxfile_block() - the block of a page, mapped or not.
 * @ret_pfn: CF_PFN_NONE: it was bad, and what was in the page is lost
 * Return: false: no such file or page.
 */
bool daxfile_block(struct daxfile *store, uint32_t file, uint32_t page,
		   cf_pfn *ret_pfn);

/* The page a block is of; false: it is of no file. */
bool daxfile_find(struct daxfile *store, cf_pfn pfn, uint32_t *ret_file,
		  uint32_t *ret_page);

/**
 * daxfile_append() - make a file longer by one page, of this very block.
 * @pfn: as daxfile_block() has it
 *
 * As a file system does that knows where its files are.
 *
 * Return:  0, or with nothing changed:
 *          -CF_EINVAL  no such file; it is as long as can be; the block is
 *                      not of the range
 *          -CF_EBUSY   the file is being truncated, or the block is not free
 */
int daxfile_append(struct daxfile *store, uint32_t file, cf_pfn pfn)
	CF_MUST_CHECK;

#endif
