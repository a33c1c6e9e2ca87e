/* SPDX-License-Identifier: MIT */
#ifndef LINUX_CLASS_H
#define LINUX_CLASS_H

#include "kpf.h"

/*
 * What a frame is for somebody who wants its block to go offline. Finer than
 * enum lx_kind, and every class has one answer to that question: its role.
 * docs/live-host.md has the rules.
 */
enum lx_class {
	LX_CLASS_FREE,
	LX_CLASS_REPORTED,	/* free, and the hypervisor was told */
	LX_CLASS_FILE,		/* of files: on the LRU, not swap backed */
	LX_CLASS_ANON,		/* of programs: anonymous or swap backed */
	LX_CLASS_HUGETLB,
	LX_CLASS_BALLOON,	/* logically offline, its owner can move it */
	LX_CLASS_POISON,
	LX_CLASS_MEMMAP,	/* descriptors, at the start of a block */
	LX_CLASS_NEVER_ONLINED,	/* offline, and never exposed since added */
	LX_CLASS_OFFLINE,	/* offline, nothing says that it can move */
	LX_CLASS_MLOCKED,	/* locked, perhaps pinned, or secret */
	LX_CLASS_HELD,		/* of a program, and nobody has it mapped */
	LX_CLASS_GIGANTIC,	/* in a huge page of more than 4 MiB */
	LX_CLASS_ZSMALLOC,	/* untyped but for a bit that zsmalloc sets */
	LX_CLASS_UNKNOWN_BIT,	/* has a bit that has no name */
	LX_CLASS_UNTYPED,	/* the word says nothing */
	LX_CLASS_MAPPED,	/* kernel memory that a program has mapped */
	LX_CLASS_SLAB,
	LX_CLASS_PGTABLE,
	LX_CLASS_RESERVED,
	LX_CLASS_ZERO,		/* the zero page, small or huge */
	LX_CLASS_ABSENT,	/* no frame in use is there */
	LX_CLASS_COUNT
};

/* What a class does to an attempt to take its block offline. */
enum lx_role {
	LX_ROLE_FREE,
	LX_ROLE_MOVES,		/* the kernel can move it elsewhere */
	LX_ROLE_SKIPPED,	/* stays where it is and is in nobody's way */
	LX_ROLE_OWNER,		/* depends on the driver that has it */
	LX_ROLE_DOUBT,
	LX_ROLE_BLOCKS,
	LX_ROLE_ABSENT,
	LX_ROLE_COUNT
};

/*
 * Bits that no kernel known here sets: not 0 to 26, nor 32 to 42. A frame
 * with one is LX_CLASS_UNKNOWN_BIT unless a type or an owner is set as well.
 */
#define LX_CLASS_UNKNOWN_BITS						\
	(~((UINT64_C(1) << 27) - 1) & ~(UINT64_C(0x7ff) << 32))

/**
 * lx_class_of() - the class of a frame by its word.
 * @word: as read, nothing hidden or expanded
 *
 * Return: LX_CLASS_COUNT for a tail that is what its head is. Never
 *         LX_CLASS_GIGANTIC: a word alone does not tell.
 */
enum lx_class lx_class_of(uint64_t word);

enum lx_role lx_class_role(enum lx_class class);

/* "slab", "never-onlined": in tables, JSON and reasons. */
const char *lx_class_name(enum lx_class class);

/* A few words for people. */
const char *lx_class_meaning(enum lx_class class);

/* Which bits decided, as the manual has it. */
const char *lx_class_rule(enum lx_class class);

const char *lx_role_name(enum lx_role role);

#endif
