/* SPDX-License-Identifier: MIT */
#ifndef LINUX_OWNERS_H
#define LINUX_OWNERS_H

#include "sysroot.h"

/* What a frame can be marked with; 0: it is not. */
#define LX_MARKS	5

/* Somebody who has frames: a process, or a group of them. */
struct lx_owner {
	uint64_t id;			/* pid, or inode of the cgroup */
	uint64_t frames;		/* of those asked about */
	uint64_t marked;		/* of these, with a mark */
	uint64_t by_mark[LX_MARKS];	/* the same by mark; [0] is 0 */
	uint64_t counted, stretches;	/* of frames, see lx_pins_walk() */
	bool blind;			/* may pin frames that nothing tells */
	char name[96];			/* of the program; path of the group */
};

struct lx_owners {
	struct lx_owner *owner;		/* most frames first */
	size_t count, room;
};

#define LX_OWNERS_MAX	65536
#define LX_CALLERS_MAX	512

/*
 * Frames that are asked about, and marks on those of interest: two frames a
 * byte, that of frame first in the low half of mark[0].
 */
struct lx_asked {
	uint64_t first, last;
	const uint8_t *mark;		/* NULL: none */
};

static inline unsigned int lx_mark_get(const uint8_t *mark, uint64_t index)
{
	return mark[index / 2] >> index % 2 * 4 & 0xf;
}

/* Of a frame that has no mark yet; @value is below LX_MARKS. */
static inline void lx_mark_set(uint8_t *mark, uint64_t index,
			       unsigned int value)
{
	mark[index / 2] |= (uint8_t)(value << index % 2 * 4);
}

/**
 * lx_owners_mapped() - which processes have frames mapped.
 * @owners: starts as zeroes; give it back with lx_owners_free()
 *
 * Reads proc/PID/maps and proc/PID/pagemap of all of them. Mappings of more
 * than 64 GiB are left out. Processes that end meanwhile, and those that may
 * not be read, are passed over.
 *
 * Return: 0, -LX_EMISSING, -LX_EDENIED, or -LX_EREAD.
 */
int lx_owners_mapped(const char *root, const struct lx_asked *asked,
		     struct lx_owners *owners, struct lx_error *err);

/**
 * lx_owners_cgroups() - which memory cgroups are charged for frames.
 *
 * Reads proc/kpagecgroup, and names the groups by sys/fs/cgroup as far as
 * they are still there.
 *
 * Return: 0, -LX_EMISSING, -LX_EDENIED, -LX_EREAD, or -LX_EFORMAT.
 */
int lx_owners_cgroups(const char *root, const struct lx_asked *asked,
		      struct lx_owners *owners, struct lx_error *err);

/**
 * lx_owners_field() - which processes have a size in proc/PID/status.
 * @field: "VmLck:", "VmPin:", "VmPTE:"
 *
 * Return: as lx_owners_mapped().
 */
int lx_owners_field(const char *root, const char *field,
		    struct lx_owners *owners, struct lx_error *err);

/**
 * lx_owners_slabs() - the caches of kernel objects, by proc/slabinfo.
 * Return: as lx_owners_mapped().
 */
int lx_owners_slabs(const char *root, struct lx_owners *owners,
		    struct lx_error *err);

/**
 * lx_owners_vmalloc() - the callers of vmalloc(), by proc/vmallocinfo.
 *
 * Mapped devices are not memory, and left out. At most LX_CALLERS_MAX callers.
 *
 * Return: as lx_owners_mapped().
 */
int lx_owners_vmalloc(const char *root, struct lx_owners *owners,
		      struct lx_error *err);

void lx_owners_free(struct lx_owners *owners);

#endif
