/* SPDX-License-Identifier: MIT */
#include "ranges.h"

#include <stdlib.h>
#include <string.h>

int lx_ranges_add(struct lx_ranges *ranges, uint64_t first, uint64_t last,
		  struct lx_error *err)
{
	size_t room = ranges->room ? 2 * ranges->room : 16;
	struct lx_range *range;

	if (first >= last)
		return 0;
	if (ranges->count == LX_RANGES_MAX)
		return lx_fail(err, LX_EREAD, "more than %d ranges",
			       LX_RANGES_MAX);
	if (ranges->count == ranges->room) {
		range = realloc(ranges->range, room * sizeof(*range));
		if (!range)
			return lx_fail(err, LX_EREAD, "out of memory");
		ranges->range = range;
		ranges->room = room;
	}
	ranges->range[ranges->count++] = (struct lx_range){ first, last };
	return 0;
}

static int compare_ranges(const void *a, const void *b)
{
	const struct lx_range *left = a, *right = b;

	if (left->first != right->first)
		return left->first < right->first ? -1 : 1;
	return 0;
}

void lx_ranges_sort(struct lx_ranges *ranges)
{
	struct lx_range *range = ranges->range;
	size_t i, kept = 0;

	if (!ranges->count)
		return;
	qsort(range, ranges->count, sizeof(*range), compare_ranges);
	for (i = 1; i < ranges->count; i++) {
		if (range[i].first > range[kept].last)
			range[++kept] = range[i];
		else if (range[i].last > range[kept].last)
			range[kept].last = range[i].last;
	}
	ranges->count = kept + 1;
}

void lx_ranges_free(struct lx_ranges *ranges)
{
	free(ranges->range);
	*ranges = (struct lx_ranges){ NULL, 0, 0 };
}

size_t lx_ranges_find(const struct lx_ranges *ranges, uint64_t pfn)
{
	size_t low = 0, high = ranges->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (ranges->range[middle].last > pfn)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}
