/* SPDX-License-Identifier: MIT */
#include "zones.h"

#include <stdlib.h>
#include <string.h>

struct reader {
	const char *root;
	struct lx_zones *zones;
	struct lx_error *err;
};

/* "Node 0, zone    DMA32" begins a zone. */
static bool parse_head(const char *line, struct lx_zone *zone)
{
	size_t length;

	if (strncmp(line, "Node ", 5) ||
	    !lx_number(line + 5, 10, &line, &zone->node))
		return false;
	if (strncmp(line, ", zone ", 7))
		return false;
	line += 7 + strspn(line + 7, " ");
	length = strcspn(line, " ");
	if (!length || length >= sizeof(zone->name))
		return false;
	memcpy(zone->name, line, length);
	return true;
}

static int add_zone(struct reader *reader, const struct lx_zone *new)
{
	struct lx_zones *zones = reader->zones;
	struct lx_zone *zone;

	if (zones->count == LX_ZONES_MAX)
		return lx_fail(reader->err, LX_EFORMAT,
			       "%s: proc/zoneinfo: more than %d zones",
			       reader->root, LX_ZONES_MAX);
	zone = realloc(zones->zone, (zones->count + 1) * sizeof(*zone));
	if (!zone)
		return lx_fail(reader->err, LX_EREAD, "out of memory");
	zone[zones->count++] = *new;
	zones->zone = zone;
	return 0;
}

/* Where the value of a field goes, or NULL: not one we keep. */
static uint64_t *field_of(struct lx_zone *zone, const char *name, size_t length)
{
	const struct {
		const char *name;
		uint64_t *value;
	} fields[] = {
		{ "pages free", &zone->free },
		{ "min", &zone->min },
		{ "low", &zone->low },
		{ "high", &zone->high },
		{ "spanned", &zone->spanned },
		{ "present", &zone->present },
		{ "managed", &zone->managed },
		{ "start_pfn:", &zone->start_pfn },
	};
	size_t i;

	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		if (strlen(fields[i].name) == length &&
		    !memcmp(fields[i].name, name, length))
			return fields[i].value;
	}
	return NULL;
}

/* "  pages free     3808": a name, which may have a blank, and a number. */
static int parse_field(struct reader *reader, struct lx_zone *zone, char *line)
{
	char *name = line + strspn(line, " ");
	char *number = strrchr(name, ' ');
	uint64_t *value;
	size_t length;

	if (!number)
		return 0;
	length = (size_t)(number - name);
	while (length && name[length - 1] == ' ')
		length--;
	/* One line a CPU, not one a zone. */
	if (length == 6 && !memcmp(name, "count:", 6)) {
		uint64_t cached;

		if (lx_number(number + 1, 10, NULL, &cached) &&
		    cached < LX_COUNT_MAX - zone->cached)
			zone->cached += cached;
		return 0;
	}
	if (length == 4 && !memcmp(name, "cpu:", 4)) {
		zone->cpus++;
		return 0;
	}
	value = field_of(zone, name, length);
	if (!value || (lx_number(number + 1, 10, NULL, value) &&
		       *value < LX_COUNT_MAX))
		return 0;
	return lx_fail(reader->err, LX_EFORMAT,
		       "%s: proc/zoneinfo: no number of frames: %.60s",
		       reader->root, line);
}

static int read_line(void *context, char *line)
{
	struct lx_zone zone = { .node = 0 };
	struct reader *reader = context;
	struct lx_zones *zones = reader->zones;

	if (parse_head(line, &zone))
		return add_zone(reader, &zone);
	if (!zones->count)
		return 0;
	return parse_field(reader, &zones->zone[zones->count - 1], line);
}

int lx_zones_read(const char *root, struct lx_zones *zones,
		  struct lx_error *err)
{
	struct reader reader = { root, zones, err };
	int ret;

	ret = lx_lines(root, "proc/zoneinfo", read_line, &reader, err);
	if (ret)
		lx_zones_free(zones);
	return ret;
}

void lx_zones_free(struct lx_zones *zones)
{
	free(zones->zone);
	*zones = (struct lx_zones){ NULL, 0 };
}

void lx_zones_sum(const struct lx_zones *zones, uint64_t *ret_present,
		  uint64_t *ret_managed)
{
	uint64_t present = 0, managed = 0;
	size_t i;

	for (i = 0; i < zones->count; i++) {
		if (!strcmp(zones->zone[i].name, "Device"))
			continue;
		present += zones->zone[i].present;
		managed += zones->zone[i].managed;
	}
	*ret_present = present;
	*ret_managed = managed;
}
