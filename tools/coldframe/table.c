/* SPDX-License-Identifier: MIT */
#include "table.h"

#include <libsmartcols.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define BATCH_ROWS	4096
#define SCHEMA		1

static unsigned int find_column(const struct table *table, const char *name,
				size_t length)
{
	unsigned int i;

	for (i = 0; i < table->columns; i++) {
		if (strlen(table->column[i].name) == length &&
		    !strncasecmp(table->column[i].name, name, length))
			break;
	}
	return i;
}

bool table_has(const struct table *table, unsigned int column)
{
	unsigned int i;

	for (i = 0; i < table->count; i++) {
		if (table->chosen[i] == column)
			return true;
	}
	return false;
}

int table_choose(struct table *table, const char *list, struct lx_error *err)
{
	unsigned int column;
	size_t length;

	if (*list == '+')
		list++;
	else
		table->count = 0;
	for (;; list += length + 1) {
		length = strcspn(list, ",");
		column = find_column(table, list, length);
		if (column == table->columns)
			return lx_fail(err, LX_EFORMAT, "there is no column "
				       "'%.*s'; --help lists them",
				       (int)length, list);
		if (!table_has(table, column))
			table->chosen[table->count++] = column;
		if (!list[length])
			return 0;
	}
}

void table_help(const struct table *table)
{
	unsigned int i;

	fputs("\nColumns (* by default):\n", stdout);
	for (i = 0; i < table->columns; i++)
		printf(" %c%-12s %s\n", table_has(table, i) ? '*' : ' ',
		       table->column[i].name, table->column[i].help);
}

/* What would be passed over in silence is refused. */
static int check(const struct table *table)
{
	if (table->mode == TABLE_JSON && table->selected)
		return common_wrong(table->command, "--json has all there is: "
				    "--output does not go with it");
	if (table->mode == TABLE_PROMETHEUS && table->selected)
		return common_wrong(table->command, "--prometheus has no "
				    "columns: --output does not go with it");
	if (table->mode != TABLE_ALIGNED && table->summary > SUMMARY_NEVER)
		return common_wrong(table->command, "--summary does not go "
				    "with --json, --pairs, --raw and "
				    "--prometheus");
	return 0;
}

static int set_summary(struct table *table, const char *when)
{
	static const char *const words[] = {
		[SUMMARY_NEVER] = "never",
		[SUMMARY_ALWAYS] = "always",
		[SUMMARY_ONLY] = "only",
	};
	unsigned int i;

	for (i = SUMMARY_NEVER; when && i <= SUMMARY_ONLY; i++) {
		if (!strcmp(when, words[i]))
			break;
	}
	if (i > SUMMARY_ONLY)
		return common_wrong(table->command, "--summary: '%s' is none "
				    "of never, always, only", when);
	table->summary = when ? (enum table_summary)i : SUMMARY_ONLY;
	return check(table);
}

static int set_mode(struct table *table, enum table_mode mode)
{
	if (table->mode != TABLE_ALIGNED && table->mode != mode)
		return common_wrong(table->command, "of --json, --pairs, "
				    "--raw and --prometheus only one can be");
	table->mode = mode;
	return check(table);
}

int table_option(struct table *table, int option, const char *value)
{
	struct lx_error err;
	unsigned int i;

	switch (option) {
	case 'J':
		return set_mode(table, TABLE_JSON);
	case 'P':
		return set_mode(table, TABLE_PAIRS);
	case 'r':
		return set_mode(table, TABLE_RAW);
	case TABLE_PROMETHEUS_OPTION:
		return set_mode(table, TABLE_PROMETHEUS);
	case 'n':
		table->no_headings = true;
		return 0;
	case 'b':
		table->bytes = true;
		return 0;
	case 'o':
		if (table_choose(table, value, &err))
			return common_wrong(table->command, "%s", err.text);
		table->selected = true;
		return check(table);
	case TABLE_OUTPUT_ALL:
		for (i = 0; i < table->columns; i++)
			table->chosen[i] = i;
		table->count = table->columns;
		return 0;
	case TABLE_SUMMARY:
		return set_summary(table, value);
	default:
		return -1;
	}
}

bool table_wants_summary(const struct table *table)
{
	if (table->mode != TABLE_ALIGNED)
		return false;
	if (table->summary == SUMMARY_AUTO)
		return !table->no_headings;
	return table->summary != SUMMARY_NEVER;
}

static bool start_batch(struct table *table)
{
	struct libscols_table *scols = scols_new_table();
	unsigned int i;

	if (!scols)
		return false;
	table->scols = scols;
	table->rows = 0;
	scols_table_enable_noheadings(scols, table->no_headings ||
				      table->began);
	scols_table_enable_raw(scols, table->mode == TABLE_RAW);
	scols_table_enable_export(scols, table->mode == TABLE_PAIRS);
	scols_table_enable_colors(scols, table->color &&
				  table->mode == TABLE_ALIGNED);
	scols_table_set_termwidth(scols, common_width());
	scols_table_set_termforce(scols, SCOLS_TERMFORCE_AUTO);
	for (i = 0; i < table->count; i++) {
		const struct table_column *column =
			&table->column[table->chosen[i]];

		if (!scols_table_new_column(scols, column->name, 0,
					    column->align == TABLE_RIGHT ?
					    SCOLS_FL_RIGHT : 0))
			return false;
	}
	table->began = true;
	return true;
}

static bool end_batch(struct table *table)
{
	bool good;

	common_progress_end();
	good = !scols_print_table(table->scols);
	scols_unref_table(table->scols);
	table->scols = NULL;
	return good;
}

static bool set_cell(struct table *table, struct libscols_line *line,
		     unsigned int at, const void *row)
{
	unsigned int column = table->chosen[at];
	const char *color = table->cell_color ?
			    table->cell_color(row, column) : NULL;
	char buffer[512], sequence[32];

	if (scols_line_set_data(line, at, table->cell(row, column,
						      table->bytes, buffer)))
		return false;
	if (!table->color || !color)
		return true;
	snprintf(sequence, sizeof(sequence), "\033[%sm", color);
	return !scols_cell_set_color(scols_line_get_cell(line, at), sequence);
}

bool table_add(struct table *table, const void *row)
{
	struct libscols_line *line;
	unsigned int i;

	if (table->summary == SUMMARY_ONLY)
		return true;
	if (!table->scols && !start_batch(table))
		return false;
	line = scols_table_new_line(table->scols, NULL);
	if (!line)
		return false;
	for (i = 0; i < table->count; i++) {
		if (!set_cell(table, line, i, row))
			return false;
	}
	return ++table->rows < BATCH_ROWS || end_batch(table);
}

bool table_end(struct table *table)
{
	return !table->scols || end_batch(table);
}

int table_failed(const struct table *table)
{
	if (ferror(stdout))
		return EXIT_FAILED;
	return common_failed(table->command, "out of memory");
}

/* The members of an object, without its braces. */
static bool print_members(json_t *object)
{
	char *text = object ? json_dumps(object, JSON_COMPACT |
					 JSON_PRESERVE_ORDER) : NULL;
	size_t length = text ? strlen(text) : 0;

	json_decref(object);
	if (length > 2)
		printf(",\n\"%.*s", (int)(length - 3), text + 2);
	free(text);
	return length;
}

bool json_begin(struct table *table, json_t *head)
{
	printf("{\"schema\":%d", SCHEMA);
	if (!print_members(head))
		return false;
	printf(",\n\"%s\":[", table->items);
	return true;
}

bool json_add(struct table *table, json_t *item)
{
	bool good;

	common_progress_end();
	fputs(table->rows++ ? ",\n" : "\n", stdout);
	good = item && !json_dumpf(item, stdout, JSON_COMPACT |
				   JSON_PRESERVE_ORDER);
	json_decref(item);
	return good;
}

bool json_end(struct table *table, json_t *tail)
{
	fputs(table->rows ? "\n]" : "]", stdout);
	if (!print_members(tail))
		return false;
	puts("}");
	return true;
}
