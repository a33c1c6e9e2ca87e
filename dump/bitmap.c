/* SPDX-License-Identifier: MIT */
#include "bitmap.h"

#include <stdlib.h>
#include <string.h>

#include "file.h"

#define PAGE_BYTES	4096
#define PAGE_WORDS	(PAGE_BYTES / 8)
#define PAGE_BITS	((uint64_t)PAGE_BYTES * 8)

struct bitmap {
	uint64_t offset, bits;
	uint64_t pages;
	uint64_t count;
	uint64_t *before;		/* bits set before each page */
	uint64_t at;			/* the page in @word */
	uint64_t word[PAGE_WORDS];
	uint16_t rank[PAGE_WORDS];	/* of the page, before each word */
};

static int load(const struct dump_file *file, struct bitmap *bitmap,
		uint64_t page, struct dump_why *why)
{
	uint64_t bits = bitmap->bits - page * PAGE_BITS;
	unsigned i, sum = 0;

	if (bitmap->at == page)
		return 0;
	bitmap->at = UINT64_MAX;
	if (dump_file_bytes(file, bitmap->offset + page * PAGE_BYTES,
			    bitmap->word, PAGE_BYTES, why))
		return -1;
	for (i = 0; i < PAGE_WORDS; i++) {
		/* Bits of frames beyond the end mean nothing. */
		if (bits < PAGE_BITS && i >= bits / 64)
			bitmap->word[i] &= i == bits / 64 ?
				((uint64_t)1 << bits % 64) - 1 : 0;
		bitmap->rank[i] = (uint16_t)sum;
		sum += (unsigned)__builtin_popcountll(bitmap->word[i]);
	}
	bitmap->at = page;
	return (int)sum;
}

int bitmap_open(const struct dump_file *file, uint64_t offset, uint64_t bits,
		struct bitmap **ret_bitmap, struct dump_why *why)
{
	struct bitmap *bitmap = calloc(1, sizeof(*bitmap));
	uint64_t page, data = 0;	/* there is none before */
	int sum;

	if (!bitmap)
		return dump_fail(why, "the process has no memory");
	bitmap->offset = offset;
	bitmap->bits = bits;
	bitmap->at = UINT64_MAX;
	bitmap->pages = (bits + PAGE_BITS - 1) / PAGE_BITS;
	bitmap->before = calloc(bitmap->pages + 1, sizeof(*bitmap->before));
	if (!bitmap->before) {
		bitmap_close(bitmap);
		return dump_fail(why, "the process has no memory");
	}
	for (page = 0; page < bitmap->pages; page++) {
		bitmap->before[page] = bitmap->count;
		if (page * PAGE_BYTES >= data)
			data = dump_file_next(file, offset + page *
					      PAGE_BYTES) - offset;
		if ((page + 1) * PAGE_BYTES <= data)
			continue;
		sum = load(file, bitmap, page, why);
		if (sum < 0) {
			bitmap_close(bitmap);
			return -1;
		}
		bitmap->count += (unsigned)sum;
	}
	*ret_bitmap = bitmap;
	return 0;
}

void bitmap_close(struct bitmap *bitmap)
{
	if (!bitmap)
		return;
	free(bitmap->before);
	free(bitmap);
}

int bitmap_get(const struct dump_file *file, struct bitmap *bitmap,
	       uint64_t bit, uint64_t *ret_rank, struct dump_why *why)
{
	uint64_t page = bit / PAGE_BITS, word, below;
	unsigned i = (unsigned)(bit % PAGE_BITS / 64);

	if (bit >= bitmap->bits)
		return 0;
	if (load(file, bitmap, page, why) < 0)
		return -1;
	word = bitmap->word[i];
	below = word & (((uint64_t)1 << bit % 64) - 1);
	if (ret_rank)
		*ret_rank = bitmap->before[page] + bitmap->rank[i] +
			    (unsigned)__builtin_popcountll(below);
	return (int)(word >> bit % 64 & 1);
}

uint64_t bitmap_count(const struct bitmap *bitmap)
{
	return bitmap->count;
}
