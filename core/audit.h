/* SPDX-License-Identifier: MIT */
#ifndef CFI_AUDIT_H
#define CFI_AUDIT_H

#include "internal.h"

/* What the words of one block add up to. */
struct tally {
	uint64_t free, offline, never_onlined, skippable, retired, reserved;
};

/* A verify under way. */
struct audit {
	struct cf_map *map;
	struct cf_finding finding;
	cf_pfn chunk;			/* being looked at: its first frame */
	uint64_t skip;			/* its frames that are stepped over */
	struct cfi_bitmap covered;	/* and those known to be something */
	struct tally tally;		/* of the block being looked at */
	uint64_t types[CF_TYPE_COUNT];	/* frames in runs of a type */
	uint64_t zone_blocks[CF_NODES_MAX * 2];
	uint64_t zone_free[CF_NODES_MAX * 2]; /* of watched blocks */
};

/* Note the finding; what does not hold is false. */
static inline bool fail(struct audit *audit, enum cf_finding_kind kind,
			cf_pfn pfn, uint64_t expected, uint64_t found)
{
	audit->finding = (struct cf_finding) {
		.kind = kind,
		.pfn = pfn,
		.expected = expected,
		.found = found,
	};
	return false;
}

static inline bool equal(struct audit *audit, enum cf_finding_kind kind,
			 cf_pfn pfn, uint64_t expected, uint64_t found)
{
	return expected == found || fail(audit, kind, pfn, expected, found);
}

static inline uint64_t load(const cfi_u64 *word)
{
	/* Relaxed: nothing else runs, or the answer is not exact anyway. */
	return cfi_load_relaxed(word);
}

static inline bool in_use(const struct cfi_block *block)
{
	return cfi_block_state(block) != CF_BLOCK_OFFLINE;
}

static inline bool is_split(const struct cfi_block *block, unsigned chunk)
{
	return load(&block->split) >> chunk & 1;
}

static inline cf_pfn chunk_first(const struct cfi_block *block,
				 unsigned chunk)
{
	return block->first + ((cf_pfn)chunk << CF_CHUNK_ORDER);
}

/* audit.c */
typedef bool audit_cache_fn(struct audit *audit, const struct cfi_cache *cache,
			    unsigned zone);
bool cfi_audit_caches(struct audit *audit, audit_cache_fn *check);
bool cfi_audit_block(struct audit *audit, struct cfi_block *block);

#endif
