/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_DESCRIBE_H
#define TESTS_UNIT_DESCRIBE_H

/*
 * Owners are asked what a run is while their lock is held: the linker sends
 * cf_side_find(), which they call under it, to the test first.
 */

#include "core/internal.h"

void *__real_cf_side_find(struct cf_side *side, cf_pfn pfn);
void *__wrap_cf_side_find(struct cf_side *side, cf_pfn pfn);

static struct {
	struct cf_map *map;	/* NULL: nobody asks */
	uint32_t owner;
	unsigned asked;
	const char *text;	/* of the last answer */
} report_made;

void *__wrap_cf_side_find(struct cf_side *side, cf_pfn pfn)
{
	struct cf_map *map = report_made.map;
	const struct cfi_owner *owner;

	if (map) {
		/* Once: it may be asked for itself. */
		report_made.map = NULL;
		owner = cfi_owner_open(map, report_made.owner);
		report_made.asked++;
		report_made.text = owner->ops->describe(owner->context, pfn);
	}
	return __real_cf_side_find(side, pfn);
}

#endif
