/* SPDX-License-Identifier: MIT */
#ifndef LINUX_KPF_H
#define LINUX_KPF_H

#include <coldframe/walk.h>

/*
 * The words of proc/kpageflags: one bit a fact about a frame. Numbers from
 * include/uapi/linux/kernel-page-flags.h and, from 32 up, the kernel's own
 * include/linux/kernel-page-flags.h; those that coldframe exports are in
 * coldframe/walk.h. From 47 up no kernel sets them: they stand for a meaning
 * that two bits have together, see lx_kpf_expand().
 */
#define LX_KPF_LOCKED		0
#define LX_KPF_ERROR		1
#define LX_KPF_ACTIVE		6
#define LX_KPF_WRITEBACK	8
#define LX_KPF_MMAP		11
#define LX_KPF_SWAPCACHE	13
#define LX_KPF_HUGE		17
#define LX_KPF_UNEVICTABLE	18
#define LX_KPF_KSM		21
#define LX_KPF_ZERO_PAGE	24
#define LX_KPF_IDLE		25
#define LX_KPF_MLOCKED		33
#define LX_KPF_OWNER_2		34
#define LX_KPF_PRIVATE		35
#define LX_KPF_PRIVATE_2	36
#define LX_KPF_OWNER_PRIVATE	37
#define LX_KPF_ARCH		38
#define LX_KPF_SOFTDIRTY	40
#define LX_KPF_ARCH_2		41
#define LX_KPF_ANON_EXCLUSIVE	47
#define LX_KPF_READAHEAD	48
#define LX_KPF_SLUB_FROZEN	50
#define LX_KPF_SLUB_DEBUG	51
#define LX_KPF_FILE		61
#define LX_KPF_SWAP		62
#define LX_KPF_MMAP_EXCLUSIVE	63

#define LX_KPF(name)		(UINT64_C(1) << LX_KPF_##name)
#define LX_CF(name)		(UINT64_C(1) << CF_KPF_##name)

#define LX_KPF_COMPOUND		(LX_CF(COMPOUND_HEAD) | LX_CF(COMPOUND_TAIL))

/* Letters of a word: one a bit that has a name, in the order of the bits. */
#define LX_KPF_LETTERS		43

/* Room for the names of all 64 bits with commas. */
#define LX_KPF_NAMES_BYTES	1024

/*
 * lx_kpf_expand() - tell apart the meanings that share a bit.
 * For example, OWNER_2 of anonymous memory becomes ANON_EXCLUSIVE.
 */
uint64_t lx_kpf_expand(uint64_t word);

/*
 * lx_kpf_hide() - leave out what only a kernel developer wants to see.
 * Those are bits 32 to 47, and that a frame belongs to a compound one, but
 * for hugetlb.
 */
uint64_t lx_kpf_hide(uint64_t word);

/* The letters of a word; '_' for a bit that is 0. Bits without name: none. */
void lx_kpf_letters(uint64_t word, char letters[LX_KPF_LETTERS + 1]);

/* The long names, with commas; "unknown-bit-27" for one without a name. */
void lx_kpf_names(uint64_t word, char names[LX_KPF_NAMES_BYTES]);

/* The name of one bit; @buffer is used when it has none of its own. */
const char *lx_kpf_name(unsigned int bit, char buffer[16]);

/* All bits that have a name. */
uint64_t lx_kpf_known(void);

/*
 * lx_kpf_parse() - the bits that a long name of @length characters means.
 * "compound" means head and tail. 0: no such name.
 */
uint64_t lx_kpf_parse(const char *name, size_t length);

/* What a frame is, for a reader who wants a dozen answers and not 2^64. */
enum lx_kind {
	LX_KIND_FREE,
	LX_KIND_USER,		/* of programs and files: can be moved */
	LX_KIND_KERNEL,		/* in use, and nothing says it can be moved */
	LX_KIND_SLAB,
	LX_KIND_PGTABLE,
	LX_KIND_RESERVED,
	LX_KIND_OFFLINE,	/* logically offline */
	LX_KIND_NEVER_ONLINED,	/* offline, and never exposed since added */
	LX_KIND_BALLOON,	/* offline, and its owner can move it */
	LX_KIND_POISON,
	LX_KIND_BLOCK_OFFLINE,	/* its block is not in use */
	LX_KIND_UNKNOWN,	/* in use or not: nobody may say */
	LX_KIND_ABSENT,		/* no memory there */
	LX_KIND_COUNT
};

/*
 * lx_kpf_kind() - what a word says its frame is.
 * @word: a word as read, nothing hidden or expanded
 *
 * LX_KIND_KERNEL is also the answer when the word says nothing at all. In
 * Linux 6.18, and not yet in 6.12, a hole and an offline block read 0 like a
 * kernel page: ask elsewhere what a word is about if lx_kpf_is_mute().
 * LX_KIND_COUNT: a tail that is what its head is. LX_KIND_ABSENT: no frame in
 * use is there.
 */
enum lx_kind lx_kpf_kind(uint64_t word);

/* Can a frame with this word be a hole or in an offline block? */
static inline bool lx_kpf_is_mute(uint64_t word)
{
	return !word || word == LX_CF(NOPAGE);
}

#endif
