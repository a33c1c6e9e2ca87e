/* SPDX-License-Identifier: MIT */

/* The report for people: counters, and tables of one subject a line. */

#include <libsmartcols.h>
#include <string.h>

#include "internal.h"

#define COLUMNS_MAX	16

/* A table of one subject a line; which properties it shows. */
struct shape {
	const char *first;	/* heading of the first column */
	unsigned count;
	enum property property[COLUMNS_MAX];
};

static const struct shape block_shape = {
	"block", 8, {
		PROPERTY_BLOCK_STATE, PROPERTY_ZONE, PROPERTY_NODE,
		PROPERTY_OWNER, PROPERTY_FREE, PROPERTY_OFFLINE,
		PROPERTY_NEVER_ONLINED, PROPERTY_SKIPPABLE,
	},
};

static const struct shape owner_shape = {
	"owner", 7, {
		PROPERTY_REGISTERED, PROPERTY_FRAMES, PROPERTY_BLOCKS,
		PROPERTY_KEPT, PROPERTY_PLUGGED, PROPERTY_BALLOONED,
		PROPERTY_MIGRATES,
	},
};

static const struct shape set_shape = {
	"set", 4, {
		PROPERTY_RUNS, PROPERTY_FRAMES, PROPERTY_MOVED,
		PROPERTY_INTACT,
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

typedef char cells[COLUMNS_MAX][64];

/* What a subject does not have now is shown as "-". */
static void row_cells(struct machine *machine, const struct shape *shape,
		      const struct subject *subject, cells row)
{
	struct condition condition = { .property = PROPERTY_COUNT };
	struct outcome outcome;
	struct value value;
	unsigned i;

	(void)memset(row, 0, sizeof(cells));
	for (i = 0; i < shape->count; i++) {
		condition.property = shape->property[i];
		if (value_of(machine, subject, &condition, &value, &outcome))
			(void)strcpy(row[i], "-");
		else
			(void)value_text(shape->property[i], &value, row[i]);
	}
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

static int add_blocks(struct libscols_table *table, cf_pfn first, cf_pfn last,
		      cells row)
{
	char name[64];

	if (first == last)
		(void)snprintf(name, sizeof(name), "%llu",
			       (unsigned long long)first);
	else
		(void)snprintf(name, sizeof(name), "%llu-%llu",
			       (unsigned long long)first,
			       (unsigned long long)last);
	return add_row(table, &block_shape, name, row);
}

/* Neighbours that are alike share a line. */
static int fill_blocks(struct machine *machine, struct libscols_table *table)
{
	cf_pfn at, number, first = 0, last = 0;
	struct cf_block_info info;
	bool open = false;
	cells row, before;

	for (at = machine->added_first; at < machine->added_last;
	     at += machine->block_frames) {
		struct subject subject = block_subject(machine, at);

		if (cf_block_info(machine->map, at, &info))
			continue;
		number = at / machine->block_frames;
		row_cells(machine, &block_shape, &subject, row);
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

static int print_blocks(struct machine *machine, FILE *out)
{
	struct libscols_table *table = table_new(&block_shape, out);
	int err;

	if (!table)
		return -1;
	err = fill_blocks(machine, table);
	if (!err && !scols_table_is_empty(table))
		err = scols_print_table(table);
	scols_unref_table(table);
	return err;
}

static int print_objects(struct machine *machine, enum noun noun,
			 enum subject_kind kind, const struct shape *shape,
			 FILE *out)
{
	struct libscols_table *table = table_new(shape, out);
	uint32_t i;
	int err = 0;
	cells row;

	if (!table)
		return -1;
	for (i = 0; !err && i < machine->config.names_count; i++) {
		struct subject subject = { .kind = kind, .name = i };

		if (machine->config.names[i].noun != noun ||
		    !machine->object[i].any)
			continue;
		subject.place = (struct place){
			.kind = PLACE_NAME, .name = i, .index = PLACE_WHOLE,
		};
		row_cells(machine, shape, &subject, row);
		err = add_row(table, shape, machine->name[i], row);
	}
	if (!err && !scols_table_is_empty(table))
		err = scols_print_table(table);
	scols_unref_table(table);
	return err;
}

/* The machine's own counters, those that are not zero, as one paragraph. */
static int print_counters(struct machine *machine, FILE *out)
{
	struct condition condition = { .property = PROPERTY_COUNT };
	struct subject subject = { .kind = SUBJECT_MAP };
	struct outcome outcome;
	struct value value;
	int column = 0, length;
	char item[96], text[64];
	unsigned i;

	for (i = 0;; i++) {
		condition.property = subject_property(SUBJECT_MAP, i);
		if (condition.property == PROPERTY_COUNT)
			break;
		if (value_of(machine, &subject, &condition, &value, &outcome))
			return -1;
		if (!value.number)
			continue;
		length = snprintf(item, sizeof(item), "%s %s",
				  property_name(condition.property),
				  value_text(condition.property, &value, text));
		if (column + length + 2 > 78) {
			(void)fputs(",\n", out);
			column = 0;
		}
		column += fprintf(out, "%s%s", column ? ", " : "", item);
	}
	return fputc('\n', out) == EOF ? -1 : 0;
}

int machine_print(struct machine *machine, enum print what, FILE *out)
{
	bool all = what == PRINT_ALL;
	int err = 0;

	if (all || what == PRINT_COUNTERS)
		err = print_counters(machine, out);
	if (!err && (all || what == PRINT_BLOCKS))
		err = print_blocks(machine, out);
	if (!err && (all || what == PRINT_OWNERS))
		err = print_objects(machine, NOUN_OWNER, SUBJECT_OWNER,
				    &owner_shape, out);
	if (!err && what == PRINT_SETS)
		err = print_objects(machine, NOUN_SET, SUBJECT_SET, &set_shape,
				    out);
	return err;
}
