/* SPDX-License-Identifier: MIT */
#include "filter.h"

#include <string.h>

static int wrong_frames(const char *text, struct lx_error *err)
{
	return lx_fail(err, LX_EFORMAT, "'%.80s' is no range of frames: want "
		       "N, N+COUNT, FIRST,LAST or FIRST, or ,LAST", text);
}

int filter_add_frames(struct filter *filter, const char *text,
		      struct lx_error *err)
{
	uint64_t first = 0, last, count;
	const char *at = text;

	if (*at != ',' && !lx_number(at, 0, &at, &first))
		return wrong_frames(text, err);
	if (*at == '+') {
		if (!lx_number(at + 1, 0, NULL, &count) ||
		    __builtin_add_overflow(first, count, &last))
			return wrong_frames(text, err);
	} else if (*at == ',' && at[1]) {
		if (!lx_number(at + 1, 0, NULL, &last))
			return wrong_frames(text, err);
	} else if (*at == ',' && at > text) {
		last = UINT64_MAX;
	} else {
		if (*at || first == UINT64_MAX)
			return wrong_frames(text, err);
		last = first + 1;
	}
	if (first >= last)
		return lx_fail(err, LX_EFORMAT, "'%.80s' is an empty range",
			       text);
	return lx_ranges_add(&filter->ranges, first, last, err);
}

/*
 * Or together the names and numbers of a list up to *@end; those behind a ~
 * go to @ret_not.
 */
static int parse_list(const char *text, const char *end, uint64_t *ret_set,
		      uint64_t *ret_not, struct lx_error *err)
{
	while (text < end) {
		size_t length = strcspn(text, ",=");
		bool not = *text == '~';
		const char *name = text + not, *stop;
		uint64_t bits = lx_kpf_parse(name, length - not);

		if (!bits && (!lx_number(name, 0, &stop, &bits) ||
			      stop != text + length))
			return lx_fail(err, LX_EFORMAT, "'%.*s' is no flag of "
				       "a page frame: want a long name as "
				       "in the output, or a mask as number",
				       (int)(length > 80 ? 80 : length), text);
		*(not ? ret_not : ret_set) |= bits;
		text += length + (text[length] == ',');
	}
	return 0;
}

int filter_add_bits(struct filter *filter, const char *text,
		    struct lx_error *err)
{
	struct filter_bits *bits = &filter->bits[filter->count];
	const char *equals = strchr(text, '=');
	const char *end = text + strlen(text);
	uint64_t left = 0, right = 0, not = 0;

	if (filter->count == FILTER_BITS_MAX)
		return lx_fail(err, LX_EFORMAT, "more than %d times -b",
			       FILTER_BITS_MAX);
	if (!*text || (equals && (strchr(text, '~') ||
				  strchr(equals + 1, '='))))
		return lx_fail(err, LX_EFORMAT, "'%.80s' is no condition: want "
			       "A,B or A,B=A or A,~B or =A,B", text);
	if (parse_list(text, equals ? equals : end, &left, &not, err) ||
	    (equals && parse_list(equals + 1, end, &right, &not, err)))
		return -LX_EFORMAT;
	if (equals == text)
		*bits = (struct filter_bits){ UINT64_MAX, right, false };
	else if (equals)
		*bits = (struct filter_bits){ left, right, false };
	else if (strchr(text, '~'))
		*bits = (struct filter_bits){ left | not, left, false };
	else
		*bits = (struct filter_bits){ left, 0, true };
	filter->count++;
	return 0;
}

bool filter_passes(const struct filter *filter, uint64_t word)
{
	const struct filter_bits *bits = filter->bits;
	const struct filter_bits *end = bits + filter->count;

	for (; bits < end; bits++) {
		uint64_t found = word & bits->mask;

		if (bits->any ? !found : found != bits->want)
			return false;
	}
	return true;
}
