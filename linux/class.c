/* SPDX-License-Identifier: MIT */
#include "class.h"

static const struct class_text {
	enum lx_role role;
	const char *name, *meaning, *rule;
} texts[LX_CLASS_COUNT] = {
	[LX_CLASS_FREE] = { LX_ROLE_FREE, "free", "free",
		"BUDDY" },
	[LX_CLASS_REPORTED] = { LX_ROLE_FREE, "reported",
		"free, and reported to the hypervisor",
		"BUDDY and UPTODATE" },
	[LX_CLASS_FILE] = { LX_ROLE_MOVES, "file", "page cache of files",
		"LRU without SWAPBACKED" },
	[LX_CLASS_ANON] = { LX_ROLE_MOVES, "anon",
		"memory of programs, and shared memory",
		"ANON, SWAPBACKED, SWAPCACHE or KSM" },
	[LX_CLASS_HUGETLB] = { LX_ROLE_MOVES, "hugetlb", "huge pages",
		"HUGE" },
	[LX_CLASS_BALLOON] = { LX_ROLE_MOVES, "balloon",
		"in a balloon that can move it",
		"OFFLINE and UPTODATE, from Linux 6.17 on" },
	[LX_CLASS_POISON] = { LX_ROLE_SKIPPED, "poison", "bad, retired",
		"HWPOISON" },
	[LX_CLASS_MEMMAP] = { LX_ROLE_SKIPPED, "memmap",
		"descriptors of the block's own frames",
		"OWNER_PRIVATE without LRU, from a block's first frame on" },
	[LX_CLASS_NEVER_ONLINED] = { LX_ROLE_OWNER, "never-onlined",
		"not given to the guest yet", "OFFLINE and DIRTY" },
	[LX_CLASS_OFFLINE] = { LX_ROLE_OWNER, "offline",
		"logically offline", "OFFLINE without UPTODATE and DIRTY" },
	[LX_CLASS_MLOCKED] = { LX_ROLE_DOUBT, "mlocked",
		"locked by a program, perhaps pinned",
		"MLOCKED, or UNEVICTABLE without it" },
	[LX_CLASS_HELD] = { LX_ROLE_DOUBT, "held",
		"of a program, mapped nowhere: pinned, or in a pipe",
		"ANON and LRU without MMAP and SWAPCACHE" },
	[LX_CLASS_GIGANTIC] = { LX_ROLE_DOUBT, "gigantic",
		"huge pages that need as large a free place",
		"HUGE, 1024 frames or more behind its head" },
	[LX_CLASS_ZSMALLOC] = { LX_ROLE_DOUBT, "zsmalloc",
		"compressed swap, perhaps", "UPTODATE and no other" },
	[LX_CLASS_UNKNOWN_BIT] = { LX_ROLE_DOUBT, "unknown-bit",
		"has a flag this program does not know",
		"a bit without a name" },
	[LX_CLASS_UNTYPED] = { LX_ROLE_DOUBT, "untyped",
		"kernel memory without a type, or cached free frames",
		"no bit" },
	[LX_CLASS_MAPPED] = { LX_ROLE_BLOCKS, "mapped-kernel",
		"kernel memory that programs have mapped",
		"MMAP without LRU, ANON and SWAPBACKED" },
	[LX_CLASS_SLAB] = { LX_ROLE_BLOCKS, "slab", "kernel objects",
		"SLAB" },
	[LX_CLASS_PGTABLE] = { LX_ROLE_BLOCKS, "page-table", "page tables",
		"PGTABLE" },
	[LX_CLASS_RESERVED] = { LX_ROLE_BLOCKS, "reserved",
		"reserved since boot", "RESERVED" },
	[LX_CLASS_ZERO] = { LX_ROLE_BLOCKS, "zero-page",
		"the page of zeroes that all share", "ZERO_PAGE" },
	[LX_CLASS_ABSENT] = { LX_ROLE_ABSENT, "absent", "no memory",
		"NOPAGE, or no bit where no memory is" },
};

static const char *const role_names[LX_ROLE_COUNT] = {
	[LX_ROLE_FREE]		= "free",
	[LX_ROLE_MOVES]		= "moves",
	[LX_ROLE_SKIPPED]	= "skipped",
	[LX_ROLE_OWNER]		= "owner",
	[LX_ROLE_DOUBT]		= "doubt",
	[LX_ROLE_BLOCKS]	= "blocks",
	[LX_ROLE_ABSENT]	= "absent",
};


#define ANON_BITS	(LX_CF(ANON) | LX_CF(SWAPBACKED) |		\
			 LX_KPF(SWAPCACHE) | LX_KPF(KSM))
#define LOCKED_BITS	(LX_KPF(MLOCKED) | LX_KPF(UNEVICTABLE))

/*
 * What tells why a frame of a program is still there. Not KSM: from 6.10 to
 * 6.12 at least every anonymous frame has it, and it keeps none.
 */
#define HELD_BITS	(LX_CF(LRU) | LX_KPF(MMAP) | LX_KPF(SWAPCACHE))

/* Bits that may come and go on any frame and say nothing about its use. */
#define IDLE_BITS	(LX_KPF(IDLE) | LX_CF(REFERENCED) | LX_CF(DIRTY) | \
			 LX_KPF(LOCKED) | LX_KPF_COMPOUND)

static enum lx_class offline_class(uint64_t word)
{
	if (word & LX_CF(DIRTY))
		return LX_CLASS_NEVER_ONLINED;
	if (word & LX_CF(UPTODATE))
		return LX_CLASS_BALLOON;
	return LX_CLASS_OFFLINE;
}

/* Frames that the kernel has for itself, by type. COUNT: not one of these. */
static enum lx_class typed_class(uint64_t word)
{
	if (word & LX_CF(BUDDY))
		return word & LX_CF(UPTODATE) ? LX_CLASS_REPORTED :
						LX_CLASS_FREE;
	if (word & LX_CF(SLAB))
		return LX_CLASS_SLAB;
	if (word & LX_CF(PGTABLE))
		return LX_CLASS_PGTABLE;
	if (word & LX_KPF(ZERO_PAGE))
		return LX_CLASS_ZERO;
	return LX_CLASS_COUNT;
}

/* Frames of programs and files. COUNT: not one of these. */
static enum lx_class user_class(uint64_t word)
{
	if (word & LX_KPF(HUGE))
		return LX_CLASS_HUGETLB;
	if (!(word & (ANON_BITS | LX_CF(LRU) | LX_CF(THP) | LOCKED_BITS)))
		return LX_CLASS_COUNT;
	/* Shared memory of the kernel's own is unevictable, and it moves. */
	if (word & LX_KPF(MLOCKED))
		return LX_CLASS_MLOCKED;
	if (word & LX_KPF(UNEVICTABLE) && !(word & ANON_BITS))
		return LX_CLASS_MLOCKED;
	if ((word & (LX_CF(ANON) | HELD_BITS)) ==
	    (LX_CF(ANON) | LX_CF(LRU)))
		return LX_CLASS_HELD;
	return word & ANON_BITS ? LX_CLASS_ANON : LX_CLASS_FILE;
}

/* What is left: in use, and no bit says by whom. */
static enum lx_class other_class(uint64_t word)
{
	if (word & LX_KPF(OWNER_PRIVATE))
		return LX_CLASS_MEMMAP;
	if (word & LX_CF(RESERVED))
		return LX_CLASS_RESERVED;
	if (word & LX_KPF(MMAP))
		return LX_CLASS_MAPPED;
	if (word & LX_CF(COMPOUND_TAIL))
		return LX_CLASS_COUNT;
	if ((word & ~IDLE_BITS) == LX_CF(UPTODATE))
		return LX_CLASS_ZSMALLOC;
	return LX_CLASS_UNTYPED;
}

enum lx_class lx_class_of(uint64_t word)
{
	enum lx_class class;

	if (word & LX_CF(HWPOISON))
		return LX_CLASS_POISON;
	if (word & LX_CF(OFFLINE))
		return offline_class(word);
	if (word & LX_CF(NOPAGE))
		return LX_CLASS_ABSENT;
	class = typed_class(word);
	if (class != LX_CLASS_COUNT)
		return class;
	if (word & LX_CLASS_UNKNOWN_BITS)
		return LX_CLASS_UNKNOWN_BIT;
	class = user_class(word);
	return class != LX_CLASS_COUNT ? class : other_class(word);
}

enum lx_role lx_class_role(enum lx_class class)
{
	return texts[class].role;
}

const char *lx_class_name(enum lx_class class)
{
	return texts[class].name;
}

const char *lx_class_meaning(enum lx_class class)
{
	return texts[class].meaning;
}

const char *lx_class_rule(enum lx_class class)
{
	return texts[class].rule;
}

const char *lx_role_name(enum lx_role role)
{
	return role_names[role];
}
