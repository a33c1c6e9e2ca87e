/* SPDX-License-Identifier: MIT */
#include "select.h"

#include <string.h>

int select_option(struct select *select, const char *command, int option,
		  const char *value)
{
	uint64_t node;

	if (option == 'z') {
		select->zone = lx_block_zone_parse(value, strlen(value));
		if (select->zone == LX_ZONE_UNKNOWN)
			return common_wrong(command, "--zone: '%s' is no zone; "
					    "there are: none, DMA, DMA32, "
					    "Normal, HighMem, Movable, "
					    "Device", value);
		return 0;
	}
	if (option != 'N')
		return -1;
	if (!lx_number(value, 10, NULL, &node) || node > LX_NODE_MAX)
		return common_wrong(command, "--node: '%s' is no number from "
				    "0 to %d", value, LX_NODE_MAX);
	select->node = (int)node;
	return 0;
}

static int is_wrong(const char *text, struct lx_error *err)
{
	return lx_fail(err, LX_EFORMAT, "'%.80s' is no block (7), blocks "
		       "(32-199), addresses (0x100000000-0x107ffffff) or "
		       "frames (pfn:0x100000+512)", text);
}

/* Behind "pfn:". */
static int parse_frames(const char *text, struct lx_range *range,
			struct lx_error *err)
{
	const char *at;
	uint64_t more;

	if (!lx_number(text, 0, &at, &range->first))
		return is_wrong(text, err);
	if (*at == '+') {
		if (!lx_number(at + 1, 0, NULL, &more) ||
		    __builtin_add_overflow(range->first, more, &range->last))
			return is_wrong(text, err);
	} else if (*at == ',') {
		if (!lx_number(at + 1, 0, NULL, &range->last))
			return is_wrong(text, err);
	} else if (*at || range->first == UINT64_MAX) {
		return is_wrong(text, err);
	} else {
		range->last = range->first + 1;
	}
	return range->first < range->last ? 0 : is_wrong(text, err);
}

/* Two numbers with a dash, or one that stands for both. */
static int parse_pair(const char *text, int base, uint64_t *ret_first,
		      uint64_t *ret_last, struct lx_error *err)
{
	const char *at;

	if (!lx_number(text, base, &at, ret_first))
		return is_wrong(text, err);
	*ret_last = *ret_first;
	if (*at == '-' && !lx_number(at + 1, base, NULL, ret_last))
		return is_wrong(text, err);
	if ((*at && *at != '-') || *ret_last < *ret_first)
		return is_wrong(text, err);
	return 0;
}

static int parse_range(const struct lx_host *host, const char *text,
		       struct lx_range *range, struct lx_error *err)
{
	uint64_t first, last, frames = host->blocks.frames;
	int ret;

	if (!strncmp(text, "pfn:", 4))
		return parse_frames(text + 4, range, err);
	if (!strncmp(text, "0x", 2) || !strncmp(text, "0X", 2)) {
		ret = parse_pair(text, 0, &first, &last, err);
		if (ret)
			return ret;
		range->first = first >> CF_FRAME_SHIFT;
		range->last = (last >> CF_FRAME_SHIFT) + 1;
		return 0;
	}
	if (!strncmp(text, "memory", 6))
		text += 6;
	ret = parse_pair(text, 10, &first, &last, err);
	if (!ret && last >= (UINT64_MAX >> CF_FRAME_SHIFT) / frames)
		ret = lx_fail(err, LX_EMISSING, "there is no block %.40s",
			      text);
	if (ret)
		return ret;
	range->first = first * frames;
	range->last = (last + 1) * frames;
	return 0;
}

int select_parse(const struct lx_host *host, const char *text,
		 struct lx_range *ret_range, struct lx_error *err)
{
	const struct lx_blocks *blocks = &host->blocks;
	struct lx_range range;
	size_t i;
	int ret = parse_range(host, text, &range, err);

	if (ret)
		return ret;
	i = lx_blocks_find(blocks, range.first);
	if (i == blocks->count ||
	    blocks->block[i].id * blocks->frames >= range.last)
		return lx_fail(err, LX_EMISSING, "%.80s: no memory block is "
			       "there; 'coldframe blocks' lists those that "
			       "are", text);
	*ret_range = range;
	return 0;
}

int select_add(struct select *select, const struct lx_host *host, char **text,
	       size_t *ret_missing, struct lx_error *err)
{
	struct lx_range range;
	int ret = 0;

	*ret_missing = 0;
	for (; !ret && *text; text++) {
		ret = select_parse(host, *text, &range, err);
		if (!ret)
			ret = lx_ranges_add(&select->ranges, range.first,
					    range.last, err);
		if (ret == -LX_EMISSING) {
			++*ret_missing;
			common_note("coldframe", "%s", err->text);
			ret = 0;
		}
	}
	lx_ranges_sort(&select->ranges);
	return ret;
}

void select_free(struct select *select)
{
	lx_ranges_free(&select->ranges);
}

bool select_has(const struct select *select, const struct lx_host *host,
		const struct lx_block *block)
{
	uint64_t first = block->id * host->blocks.frames;
	size_t i = lx_ranges_find(&select->ranges, first);

	if (select->zone != LX_ZONE_UNKNOWN && select->zone != block->zone)
		return false;
	if (select->node != LX_NODE_UNKNOWN && select->node != block->node)
		return false;
	if (!select->ranges.count)
		return true;
	return i < select->ranges.count &&
	       select->ranges.range[i].first < first + host->blocks.frames;
}
