/* SPDX-License-Identifier: MIT */

/*
 * The report for people: counters, and tables of one subject a line.  Made
 * from the report for programs, so that both say the same, whatever machine
 * that report is of.
 */

#include <libsmartcols.h>
#include <string.h>

#include "internal.h"

#define COLUMNS_MAX	16

/* A table of one subject a line; which properties it shows. */
struct shape {
	const char *member;	/* of the report: an array of objects */
	const char *first;	/* heading and member of the first column */
	unsigned count;
	enum property property[COLUMNS_MAX];
};

static const struct shape block_shape = {
	"blocks", "block", 8, {
		PROPERTY_BLOCK_STATE, PROPERTY_ZONE, PROPERTY_NODE,
		PROPERTY_OWNER, PROPERTY_FREE, PROPERTY_OFFLINE,
		PROPERTY_NEVER_ONLINED, PROPERTY_SKIPPABLE,
	},
};

static const struct shape owner_shape = {
	"owners", "owner", 7, {
		PROPERTY_REGISTERED, PROPERTY_FRAMES, PROPERTY_BLOCKS,
		PROPERTY_KEPT, PROPERTY_PLUGGED, PROPERTY_BALLOONED,
		PROPERTY_MIGRATES,
	},
};

static const struct shape set_shape = {
	"sets", "set", 4, {
		PROPERTY_RUNS, PROPERTY_FRAMES, PROPERTY_MOVED,
		PROPERTY_INTACT,
	},
};

static const struct shape mem_shape = {
	"virtio-mem", "virtio-mem", 8, {
		PROPERTY_MEM_STATE, PROPERTY_REQUESTED, PROPERTY_PLUGGED,
		PROPERTY_HOST_PLUGGED, PROPERTY_RESIDENT, PROPERTY_REQUESTS,
		PROPERTY_NACKS, PROPERTY_BUSIES,
	},
};

static const struct shape balloon_shape = {
	"virtio-balloon", "virtio-balloon", 6, {
		PROPERTY_BALLOON_STATE, PROPERTY_TARGET, PROPERTY_BALLOONED,
		PROPERTY_HOST_BALLOONED, PROPERTY_MIGRATED, PROPERTY_REPORTED,
	},
};

static bool is_number(enum property property)
{
	enum value_kind kind = property_value(property);

	return kind == VALUE_SIZE || kind == VALUE_BYTES ||
	       kind == VALUE_NUMBER;
}

static struct libscols_table *table_new(const struct shape *shape, FILE *out)
{
	struct libscols_table *table = scols_new_table();
	unsigned i;

	if (!table)
		return NULL;
	(void)scols_table_set_stream(table, out);
	if (!scols_table_new_column(table, shape->first, 0, 0))
		goto fail;
	for (i = 0; i < shape->count; i++)
		if (!scols_table_new_column(table,
					    property_name(shape->property[i]),
					    0, is_number(shape->property[i]) ?
					    SCOLS_FL_RIGHT : 0))
			goto fail;
	return table;
fail:
	scols_unref_table(table);
	return NULL;
}

/* What a subject does not have now is shown as "-". */
static const char *member_text(const json_t *object, enum property property,
			       char text[64])
{
	const json_t *member = json_object_get(object,
					       property_name(property));
	json_int_t number = json_integer_value(member);
	char size[24];

	if (!member)
		return strcpy(text, "-");
	switch (property_value(property)) {
	case VALUE_SIZE:
		return strcpy(text, machine_size((uint64_t)number /
						 CF_FRAME_BYTES, size));
	case VALUE_BYTES:
		(void)snprintf(text, 64, "%.1fM", (double)number / 1048576);
		return text;
	case VALUE_FLAG:
		return strcpy(text, json_is_true(member) ? "yes" : "no");
	case VALUE_WORD:
	case VALUE_OWNER:
	case VALUE_WHO:
		(void)snprintf(text, 64, "%s", json_string_value(member));
		return text;
	case VALUE_PLACE:
	case VALUE_NUMBER:
		break;
	}
	(void)snprintf(text, 64, "%llu", (unsigned long long)number);
	return text;
}

typedef char cells[COLUMNS_MAX][64];

static void row_cells(const struct shape *shape, const json_t *object,
		      cells row)
{
	unsigned i;

	(void)memset(row, 0, sizeof(cells));
	for (i = 0; i < shape->count; i++)
		(void)member_text(object, shape->property[i], row[i]);
}

static int add_row(struct libscols_table *table, const struct shape *shape,
		   const char *first, cells row)
{
	struct libscols_line *line = scols_table_new_line(table, NULL);
	unsigned i;

	if (!line || scols_line_set_data(line, 0, first))
		return -1;
	for (i = 0; i < shape->count; i++)
		if (scols_line_set_data(line, i + 1, row[i]))
			return -1;
	return 0;
}

static int add_blocks(struct libscols_table *table, json_int_t first,
		      json_int_t last, cells row)
{
	char name[64];

	if (first == last)
		(void)snprintf(name, sizeof(name), "%lld", (long long)first);
	else
		(void)snprintf(name, sizeof(name), "%lld-%lld",
			       (long long)first, (long long)last);
	return add_row(table, &block_shape, name, row);
}

/* Neighbours that are alike share a line. */
static int fill_blocks(struct libscols_table *table, const json_t *blocks)
{
	json_int_t number, first = 0, last = 0;
	const json_t *block;
	bool open = false;
	cells row, before;
	size_t i;

	json_array_foreach(blocks, i, block) {
		number = json_integer_value(json_object_get(block, "block"));
		row_cells(&block_shape, block, row);
		if (open && number == last + 1 &&
		    !memcmp(row, before, sizeof(cells))) {
			last = number;
			continue;
		}
		if (open && add_blocks(table, first, last, before))
			return -1;
		(void)memcpy(before, row, sizeof(cells));
		first = last = number;
		open = true;
	}
	return open ? add_blocks(table, first, last, before) : 0;
}

static int fill_objects(struct libscols_table *table,
			const struct shape *shape, const json_t *objects)
{
	const json_t *object;
	cells row;
	size_t i;

	json_array_foreach(objects, i, object) {
		row_cells(shape, object, row);
		if (add_row(table, shape, json_string_value(
				    json_object_get(object, "name")), row))
			return -1;
	}
	return 0;
}

static int print_table(const json_t *report, const struct shape *shape,
		       FILE *out)
{
	const json_t *objects = json_object_get(report, shape->member);
	struct libscols_table *table = table_new(shape, out);
	int err;

	if (!table)
		return -1;
	if (shape == &block_shape)
		err = fill_blocks(table, objects);
	else
		err = fill_objects(table, shape, objects);
	if (!err && !scols_table_is_empty(table))
		err = scols_print_table(table);
	scols_unref_table(table);
	return err;
}

/* The machine's own counters, those that are not zero, as one paragraph. */
static int print_counters(const json_t *report, FILE *out)
{
	const json_t *counters = json_object_get(report, "counters");
	int column = 0, length;
	char item[96], text[64];
	unsigned i;

	for (i = 0;; i++) {
		enum property property = subject_property(SUBJECT_MAP, i);

		if (property == PROPERTY_COUNT)
			break;
		if (!json_integer_value(json_object_get(
				counters, property_name(property))))
			continue;
		length = snprintf(item, sizeof(item), "%s %s",
				  property_name(property),
				  member_text(counters, property, text));
		if (column + length + 2 > 78) {
			(void)fputs(",\n", out);
			column = 0;
		}
		column += fprintf(out, "%s%s", column ? ", " : "", item);
	}
	return fputc('\n', out) == EOF ? -1 : 0;
}

int report_print(const json_t *report, enum print what, FILE *out)
{
	bool all = what == PRINT_ALL;
	int err = 0;

	if (all || what == PRINT_COUNTERS)
		err = print_counters(report, out);
	if (!err && (all || what == PRINT_BLOCKS))
		err = print_table(report, &block_shape, out);
	if (!err && (all || what == PRINT_OWNERS))
		err = print_table(report, &owner_shape, out);
	if (!err && what == PRINT_SETS)
		err = print_table(report, &set_shape, out);
	if (!err && (all || what == PRINT_DEVICES))
		err = print_table(report, &mem_shape, out);
	if (!err && (all || what == PRINT_DEVICES))
		err = print_table(report, &balloon_shape, out);
	return err;
}

int machine_print(struct machine *machine, enum print what, FILE *out)
{
	json_t *report = machine_shown_json(machine, what);
	int err = report ? report_print(report, what, out) : -1;

	json_decref(report);
	return err;
}
