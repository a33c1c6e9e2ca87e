/* SPDX-License-Identifier: MIT */
#include "counters.h"

#include <coldframe/types.h>
#include <string.h>

#define KIB_MAX	(LX_COUNT_MAX << (CF_FRAME_SHIFT - 10))

struct reader {
	const char *root, *name;
	struct lx_counter *counter;
	size_t count;
	struct lx_error *err;
};

static struct lx_counter *find_counter(struct reader *reader, const char *line,
				       size_t length)
{
	size_t i;

	for (i = 0; i < reader->count; i++) {
		if (strlen(reader->counter[i].name) == length &&
		    !memcmp(reader->counter[i].name, line, length))
			return &reader->counter[i];
	}
	return NULL;
}

static int read_line(void *context, char *line)
{
	struct reader *reader = context;
	size_t length = strcspn(line, ": ");
	struct lx_counter *counter = find_counter(reader, line, length);
	const char *value, *end;

	if (!counter)
		return 0;
	value = line + length + strspn(line + length, ": ");
	if (!lx_number(value, 10, &end, &counter->value) ||
	    (*end && (strcmp(end, " kB") || counter->value >= KIB_MAX)))
		return lx_fail(reader->err, LX_EFORMAT,
			       "%s: %s: no number that can be: %.60s",
			       reader->root, reader->name, line);
	counter->found = true;
	return 0;
}

int lx_counters_read(const char *root, const char *name,
		     struct lx_counter *counter, size_t count,
		     struct lx_error *err)
{
	struct reader reader = { root, name, counter, count, err };
	size_t i;

	for (i = 0; i < count; i++)
		counter[i].found = false;
	return lx_lines(root, name, read_line, &reader, err);
}
