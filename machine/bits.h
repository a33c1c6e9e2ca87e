/* SPDX-License-Identifier: MIT */
#ifndef MACHINE_BITS_H
#define MACHINE_BITS_H

/* Bitmaps of frames. */

#include <stdbool.h>
#include <stdint.h>

#include "coldframe/coldframe.h"

struct bits *bits_new(cf_pfn last);
void bits_free(struct bits *bits);
void bits_set(struct bits *bits, cf_pfn first, cf_pfn last, bool value);
bool bits_get(const struct bits *bits, cf_pfn pfn);
uint64_t bits_count(const struct bits *bits);
/* Memory of it that depends on what is set. */
uint64_t bits_bytes(const struct bits *bits);

/* How many of [first, last) are set. */
uint64_t bits_within(const struct bits *bits, cf_pfn first, cf_pfn last);

/* Frames [first, last). */
struct stretch {
	cf_pfn first, last;
};

/* The first one of @value from @stretch->last on, up to @last; or none. */
bool bits_next(const struct bits *bits, bool value, cf_pfn last,
	       struct stretch *stretch);

/* One past the highest frame that was ever set. */
cf_pfn bits_end(const struct bits *bits);

#endif
