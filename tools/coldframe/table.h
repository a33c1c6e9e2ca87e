/* SPDX-License-Identifier: MIT */
#ifndef COLDFRAME_TABLE_H
#define COLDFRAME_TABLE_H

#include "common.h"

#include <jansson.h>

#define TABLE_COLUMNS_MAX	40

/* How a listing is printed. */
enum table_mode {
	TABLE_ALIGNED,
	TABLE_RAW,
	TABLE_PAIRS,
	TABLE_JSON,
	TABLE_PROMETHEUS,
};

enum table_summary {
	SUMMARY_AUTO,		/* below an aligned table with headings */
	SUMMARY_NEVER,
	SUMMARY_ALWAYS,
	SUMMARY_ONLY,
};

enum table_align {
	TABLE_LEFT,
	TABLE_RIGHT,			/* numbers */
};

struct table_column {
	const char *name, *help;
	enum table_align align;
};

/* The text of a column of a row; stays good until the next call. */
typedef const char *(*table_cell_fn)(const void *row, unsigned int column,
				     bool bytes, char buffer[512]);

/* Its colour as SGR parameters, or NULL. */
typedef const char *(*table_color_fn)(const void *row, unsigned int column);

/*
 * A listing.  Rows are handed on to libsmartcols in batches, so that a host
 * of any size takes as much memory as one batch.
 */
struct table {
	const char *command;
	const struct table_column *column;	/* all there are */
	unsigned int columns;
	table_cell_fn cell;
	table_color_fn cell_color;		/* or NULL */
	const char *items;			/* "blocks": in JSON */
	enum table_mode mode;
	enum table_summary summary;
	bool no_headings, bytes, color;
	bool selected;				/* by --output */
	unsigned int chosen[TABLE_COLUMNS_MAX];
	unsigned int count;			/* of chosen */
	struct libscols_table *scols;
	size_t rows;				/* of this batch */
	bool began;
};

/* Options of every listing. */
enum {
	TABLE_OUTPUT_ALL = 0x1100,
	TABLE_SUMMARY,
	TABLE_PROMETHEUS_OPTION,
};

#define TABLE_LETTERS "Jrnbo:P"
#define TABLE_OPTIONS							\
	{ "json", no_argument, NULL, 'J' },				\
	{ "raw", no_argument, NULL, 'r' },				\
	{ "pairs", no_argument, NULL, 'P' },				\
	{ "noheadings", no_argument, NULL, 'n' },			\
	{ "bytes", no_argument, NULL, 'b' },				\
	{ "output", required_argument, NULL, 'o' },			\
	{ "output-all", no_argument, NULL, TABLE_OUTPUT_ALL }

/* Of listings with a summary, besides. */
#define TABLE_SUMMARY_OPTIONS						\
	{ "summary", optional_argument, NULL, TABLE_SUMMARY }

#define TABLE_HELP							\
"  -o, --output LIST   columns, with commas; +LIST: these as well\n"	\
"      --output-all    all columns\n"					\
"  -J, --json          JSON: sizes are bytes, frames are numbers\n"	\
"  -P, --pairs         COLUMN=\"value\" pairs\n"			\
"  -r, --raw           columns with one blank between\n"		\
"  -n, --noheadings    no headings\n"					\
"  -b, --bytes         sizes in bytes\n"

#define TABLE_SUMMARY_HELP						\
"      --summary=WHEN  never, always or only\n"

/**
 * table_option() - take one of the options above.
 *
 * Those that do not go together are wrong usage, in whichever order they come.
 *
 * Return: -1: not one of them; 0; or an exit status.
 */
int table_option(struct table *table, int option, const char *value);

/*
 * table_choose() - the columns that are named in a list.
 * Return: 0, or -LX_EFORMAT.
 */
int table_choose(struct table *table, const char *list, struct lx_error *err);

bool table_has(const struct table *table, unsigned int column);

/* Print the names of all columns, for --help. */
void table_help(const struct table *table);

/* Is the summary to be printed? */
bool table_wants_summary(const struct table *table);

/* A row; false: no memory. With JSON, json_add() takes its place. */
bool table_add(struct table *table, const void *row);

/* Print what is left. */
bool table_end(struct table *table);

/*
 * table_failed() - the exit status after one of these returned false. It was
 * memory, unless stdout is to blame: then common_finish() says so.
 */
int table_failed(const struct table *table);

/*
 * json_begin() - "{", the members of @head, and the name of a list.
 * json_add() - one more of the list.
 * json_end() - the end, behind the members of @tail.
 * They take the reference; each may be NULL when there was no memory.
 */
bool json_begin(struct table *table, json_t *head);
bool json_add(struct table *table, json_t *item);
bool json_end(struct table *table, json_t *tail);

#endif
