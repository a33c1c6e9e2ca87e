/* SPDX-License-Identifier: MIT */
#include "ranges.h"

#include <coldframe/types.h>
#include <string.h>

struct iomem {
	const char *root;
	struct lx_ranges *ram;
	struct lx_error *err;
	bool any, shown;	/* lines seen; one with an address but 0 */
};

/* "  00100000-3ffdffff : System RAM", the last address included. */
static bool parse_line(const char *line, uint64_t *ret_first,
		       uint64_t *ret_end, const char **ret_what)
{
	line += strspn(line, " ");
	if (!lx_number(line, 16, &line, ret_first) || *line != '-')
		return false;
	if (!lx_number(line + 1, 16, &line, ret_end))
		return false;
	if (strncmp(line, " : ", 3) || *ret_end < *ret_first)
		return false;
	*ret_what = line + 3;
	return true;
}

/* Only whole frames of the resource count, as for the kernel. */
static int add_line(void *context, char *line)
{
	struct iomem *iomem = context;
	uint64_t first, end;
	const char *what;

	if (!parse_line(line, &first, &end, &what))
		return lx_fail(iomem->err, LX_EFORMAT,
			       "%s: proc/iomem: not \"first-last : name\": "
			       "%.80s", iomem->root, line);
	iomem->any = true;
	iomem->shown |= first || end;
	if (strncmp(what, "System RAM", 10) || !end)
		return 0;
	first = (first >> CF_FRAME_SHIFT) + !!(first % CF_FRAME_BYTES);
	end = (end >> CF_FRAME_SHIFT) + (end % CF_FRAME_BYTES ==
					 CF_FRAME_BYTES - 1);
	if (end > LX_COUNT_MAX)
		return lx_fail(iomem->err, LX_EFORMAT, "%s: proc/iomem: no "
			       "memory can be there: %.80s", iomem->root, line);
	return lx_ranges_add(iomem->ram, first, end, iomem->err);
}

int lx_iomem_ram(const char *root, struct lx_ranges *ram, bool *ret_hidden,
		 struct lx_error *err)
{
	struct iomem iomem = { root, ram, err, false, false };
	int ret;

	ret = lx_lines(root, "proc/iomem", add_line, &iomem, err);
	if (ret) {
		lx_ranges_free(ram);
		return ret;
	}
	lx_ranges_sort(ram);
	*ret_hidden = iomem.any && !iomem.shown;
	return 0;
}
