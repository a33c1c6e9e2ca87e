/* SPDX-License-Identifier: MIT */
#include "kpf.h"

#include <stdio.h>
#include <string.h>

struct bit_name {
	unsigned char bit;
	char letter;
	const char *name;
};

/* In the order of the letters. */
static const struct bit_name bit_names[LX_KPF_LETTERS] = {
	{ LX_KPF_LOCKED,	 'L', "locked" },
	{ LX_KPF_ERROR,		 'E', "error" },
	{ CF_KPF_REFERENCED,	 'R', "referenced" },
	{ CF_KPF_UPTODATE,	 'U', "uptodate" },
	{ CF_KPF_DIRTY,		 'D', "dirty" },
	{ CF_KPF_LRU,		 'l', "lru" },
	{ LX_KPF_ACTIVE,	 'A', "active" },
	{ CF_KPF_SLAB,		 'S', "slab" },
	{ LX_KPF_WRITEBACK,	 'W', "writeback" },
	{ CF_KPF_RECLAIM,	 'I', "reclaim" },
	{ CF_KPF_BUDDY,		 'B', "buddy" },
	{ LX_KPF_MMAP,		 'M', "mmap" },
	{ CF_KPF_ANON,		 'a', "anonymous" },
	{ LX_KPF_SWAPCACHE,	 's', "swapcache" },
	{ CF_KPF_SWAPBACKED,	 'b', "swapbacked" },
	{ CF_KPF_COMPOUND_HEAD,	 'H', "compound_head" },
	{ CF_KPF_COMPOUND_TAIL,	 'T', "compound_tail" },
	{ LX_KPF_HUGE,		 'G', "huge" },
	{ LX_KPF_UNEVICTABLE,	 'u', "unevictable" },
	{ CF_KPF_HWPOISON,	 'X', "hwpoison" },
	{ CF_KPF_NOPAGE,	 'n', "nopage" },
	{ LX_KPF_KSM,		 'x', "ksm" },
	{ CF_KPF_THP,		 't', "thp" },
	{ CF_KPF_OFFLINE,	 'o', "offline" },
	{ LX_KPF_ZERO_PAGE,	 'z', "zero_page" },
	{ LX_KPF_IDLE,		 'i', "idle_page" },
	{ CF_KPF_PGTABLE,	 'g', "pgtable" },
	{ CF_KPF_RESERVED,	 'r', "reserved" },
	{ LX_KPF_MLOCKED,	 'm', "mlocked" },
	{ LX_KPF_OWNER_2,	 'd', "owner_2" },
	{ LX_KPF_PRIVATE,	 'P', "private" },
	{ LX_KPF_PRIVATE_2,	 'p', "private_2" },
	{ LX_KPF_OWNER_PRIVATE,	 'O', "owner_private" },
	{ LX_KPF_ARCH,		 'h', "arch" },
	{ LX_KPF_SOFTDIRTY,	 'f', "softdirty" },
	{ LX_KPF_ARCH_2,	 'H', "arch_2" },
	{ LX_KPF_ANON_EXCLUSIVE, 'd', "anon_exclusive" },
	{ LX_KPF_READAHEAD,	 'I', "readahead" },
	{ LX_KPF_SLUB_FROZEN,	 'A', "slub_frozen" },
	{ LX_KPF_SLUB_DEBUG,	 'E', "slub_debug" },
	{ LX_KPF_FILE,		 'F', "file" },
	{ LX_KPF_SWAP,		 'w', "swap" },
	{ LX_KPF_MMAP_EXCLUSIVE, '1', "mmap_exclusive" },
};

/* Move a bit of a word to another place. */
static uint64_t move_bit(uint64_t word, uint64_t from, uint64_t to)
{
	return word & from ? (word & ~from) | to : word;
}

uint64_t lx_kpf_expand(uint64_t word)
{
	if (word & LX_CF(ANON))
		word = move_bit(word, LX_KPF(OWNER_2), LX_KPF(ANON_EXCLUSIVE));
	if (word & LX_CF(SLAB)) {
		word = move_bit(word, LX_KPF(ACTIVE), LX_KPF(SLUB_FROZEN));
		word = move_bit(word, LX_KPF(ERROR), LX_KPF(SLUB_DEBUG));
	}
	/* Reclaim makes sense only while a frame is written back. */
	if (!(word & LX_KPF(WRITEBACK)))
		word = move_bit(word, LX_CF(RECLAIM), LX_KPF(READAHEAD));
	return word;
}

uint64_t lx_kpf_hide(uint64_t word)
{
	word &= ~(UINT64_C(0xffff) << 32);
	if (!(word & LX_KPF(HUGE)))
		word &= ~LX_KPF_COMPOUND;
	return word;
}

void lx_kpf_letters(uint64_t word, char letters[LX_KPF_LETTERS + 1])
{
	size_t i;

	for (i = 0; i < LX_KPF_LETTERS; i++) {
		bool set = word >> bit_names[i].bit & 1;

		letters[i] = set ? bit_names[i].letter : '_';
	}
	letters[i] = 0;
}

uint64_t lx_kpf_known(void)
{
	uint64_t known = 0;
	size_t i;

	for (i = 0; i < LX_KPF_LETTERS; i++)
		known |= UINT64_C(1) << bit_names[i].bit;
	return known;
}

const char *lx_kpf_name(unsigned int bit, char buffer[16])
{
	size_t i;

	for (i = 0; i < LX_KPF_LETTERS; i++) {
		if (bit_names[i].bit == bit)
			return bit_names[i].name;
	}
	snprintf(buffer, 16, "unknown-bit-%02u", bit & 63);
	return buffer;
}

void lx_kpf_names(uint64_t word, char names[LX_KPF_NAMES_BYTES])
{
	char *at = names;
	unsigned int bit;
	char unknown[16];

	*at = 0;
	for (bit = 0; bit < 64; bit++) {
		if (!(word >> bit & 1))
			continue;
		if (at != names)
			*at++ = ',';
		at = stpcpy(at, lx_kpf_name(bit, unknown));
	}
}

uint64_t lx_kpf_parse(const char *name, size_t length)
{
	unsigned int bit;
	char unknown[16];

	if (length == 8 && !memcmp(name, "compound", 8))
		return LX_KPF_COMPOUND;
	for (bit = 0; bit < 64; bit++) {
		const char *full = lx_kpf_name(bit, unknown);

		if (strlen(full) == length && !memcmp(full, name, length))
			return UINT64_C(1) << bit;
	}
	return 0;
}

static enum lx_kind offline_kind(uint64_t word)
{
	if (word & LX_CF(DIRTY))
		return LX_KIND_NEVER_ONLINED;
	if (word & LX_CF(UPTODATE))
		return LX_KIND_BALLOON;
	return LX_KIND_OFFLINE;
}

/* Bits that only memory of programs and of files has. */
#define USER_BITS	(LX_CF(LRU) | LX_CF(ANON) | LX_CF(SWAPBACKED) |	\
			 LX_KPF(SWAPCACHE) | LX_KPF(HUGE) |		\
			 LX_KPF(UNEVICTABLE) | LX_KPF(KSM) | LX_CF(THP))

enum lx_kind lx_kpf_kind(uint64_t word)
{
	if (word & LX_CF(HWPOISON))
		return LX_KIND_POISON;
	if (word & LX_CF(OFFLINE))
		return offline_kind(word);
	if (word & LX_CF(NOPAGE))
		return LX_KIND_ABSENT;
	if (word & LX_CF(BUDDY))
		return LX_KIND_FREE;
	if (word & LX_CF(SLAB))
		return LX_KIND_SLAB;
	if (word & LX_CF(PGTABLE))
		return LX_KIND_PGTABLE;
	/* The zero page, a huge one too, stays where it is. */
	if (word & LX_KPF(ZERO_PAGE))
		return LX_KIND_KERNEL;
	if (word & USER_BITS)
		return LX_KIND_USER;
	if (word & LX_CF(COMPOUND_TAIL))
		return LX_KIND_COUNT;
	if (word & LX_CF(RESERVED))
		return LX_KIND_RESERVED;
	return LX_KIND_KERNEL;
}
