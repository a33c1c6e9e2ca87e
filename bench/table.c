/* SPDX-License-Identifier: MIT */
/* The rows of all groups, and the tables made of them. */
#include <stdio.h>
#include <string.h>

#include "bench/table.h"

#define ROWS_MAX	128

/* The goals below hold where a CAS of an own word takes so long. */
#define GOAL_CAS_NS	2.8
#define GOAL_CAS_ROW	"CAS of an own word"

/* Rows with two threads count where a word they share costs less. */
#define NEAR_NS		30.0
#define NEAR_ROW	"add to a word shared by all threads"

#define FLAT_ROW	"alloc+free pair, 4 KiB"
#define FLAT_PERCENT	10.0

/* Ways to give the same memory back, and the port's. */
#define PORT_ROW	"port: cf_host_discard, 128 MiB a call"

static const char *const bare_rows[] = {
	"2 MiB pages: DONTNEED, 128 MiB a call",
	"2 MiB pages: process_madvise, 64 x 2 MiB a call",
	"2 MiB pages: mmap over, 128 MiB a call",
	"2 MiB pages: munmap + mmap, 128 MiB a call",
};

static struct row rows[ROWS_MAX];
static unsigned rows_count;

static const char *const column_names[] = {
	[COLUMN_ENGINE] = "coldframe",	  [COLUMN_GLIBC] = "glibc",
	[COLUMN_MIMALLOC] = "mimalloc",	  [COLUMN_JEMALLOC] = "jemalloc",
	[COLUMN_TCMALLOC] = "tcmalloc",	  [COLUMN_MACHINE] = "machine",
	[COLUMN_SYSTEM] = "system",
};

/* What is to be reached, in nanoseconds. */
static const struct {
	const char *name;
	unsigned threads;
	double ns;
} goals[] = {
	{ "alloc+free pair, 4 KiB", 1, 8 },
	{ "alloc+free pair, 4 KiB", 2, 8 },
	{ "8 GiB of 4 KiB: alloc all, each", 1, 6 },
	{ "8 GiB of 4 KiB: free in order, each", 1, 9 },
	{ "8 GiB of 4 KiB: free own at random, each", 1, 25 },
	{ "8 GiB of 4 KiB: free anybody's at random, each", 2, 30 },
	{ "alloc+free pair, 2 MiB", 1, 12 },
	{ "alloc+free pair, order 10", 1, 12 },
	{ "alloc+free pair, order 11", 1, 12 },
	{ "alloc+free pair, order 12", 1, 12 },
	{ "alloc+free pair, order 13", 1, 12 },
	{ "alloc+free pair, order 14", 1, 12 },
	{ "alloc+free pair, order 15", 1, 12 },
	{ "2 MiB sub-block: offline+free", 1, 100 },
	{ "empty 128 MiB block: offline", 1, 5000 },
	{ "empty 128 MiB block: online", 1, 5000 },
	{ "8 GiB, 0.1 % free at random: alloc 4 KiB", 1, 30 },
	{ "8 GiB, 5 % of its 2 MiB free: alloc 2 MiB", 1, 30 },
	{ "8 GiB full: failing alloc of 4 KiB", 1, 50 },
	{ "1 TiB full: failing alloc of 4 KiB", 1, 50 },
	{ "8 GiB: the last free 2 MiB, alloc+free", 1, 200 },
	{ "1 TiB: the last free 2 MiB, alloc+free", 1, 200 },
	{ "1 TiB: create a map, add its blocks", 1, 20e6 },
	/* 10^9 frames a second. */
	{ "1 TiB cold: walk, each GiB", 1, 262144 },
};

const char *column_name(enum column column)
{
	return column_names[column];
}

static struct row *row_find(const char *name, unsigned threads)
{
	unsigned i;

	for (i = 0; i < rows_count; i++)
		if (rows[i].threads == threads && !strcmp(rows[i].name, name))
			return &rows[i];
	return NULL;
}

static struct row *row_make(const char *name, unsigned threads)
{
	struct row *row;

	if (rows_count == ROWS_MAX)
		return NULL;
	row = &rows[rows_count++];
	(void)snprintf(row->name, sizeof(row->name), "%s", name);
	row->threads = threads;
	return row;
}

bool table_take(const char *line, enum column column)
{
	struct figure figure;
	char name[ROW_NAME_BYTES];
	unsigned threads;
	struct row *row;

	if (sscanf(line, "%79[^\t]\t%u\t%lf\t%lf\t%lf\t%u\t%u", name, &threads,
		   &figure.min, &figure.median, &figure.max, &figure.samples,
		   &figure.retaken) != 7)
		return false;
	row = row_find(name, threads);
	if (!row)
		row = row_make(name, threads);
	if (!row)
		return false;
	row->figures[column] = figure;
	return true;
}

const struct figure *table_find(const char *name, unsigned threads,
				enum column column)
{
	const struct row *row = row_find(name, threads);

	if (!row || row->figures[column].samples == 0)
		return NULL;
	return &row->figures[column];
}

/* Eleven places, three or four of them digits that mean something. */
static void print_marked(const char *mark, double value)
{
	char text[32];
	const char *format = "%s%.3g";

	if (value < 1)
		format = "%s%.3f";
	else if (value < 100)
		format = "%s%.2f";
	else if (value < 1e8)
		format = "%s%.0f";
	(void)snprintf(text, sizeof(text), format, mark, value);
	(void)printf("%11s", text);
}

static void print_value(double value)
{
	print_marked("", value);
}

static void print_median(const struct figure *figure)
{
	if (figure->samples == 0)
		(void)printf("%11s", "-");
	else
		print_marked(figure_is_doubtful(figure) ? "*" : "",
			     figure->median);
}

static bool is_compared(const struct row *row)
{
	return row->figures[COLUMN_GLIBC].samples > 0;
}

static void print_label(const struct row *row)
{
	(void)printf("%-48s%3u", row->name, row->threads);
}

void table_print_compared(void)
{
	unsigned i, column;

	(void)printf("%-47s%4s", "", "CPUs");
	for (column = COLUMN_ENGINE; column <= COLUMN_TCMALLOC; column++)
		(void)printf("%11s", column_names[column]);
	(void)printf("\n");
	for (i = 0; i < rows_count; i++) {
		if (!is_compared(&rows[i]))
			continue;
		print_label(&rows[i]);
		for (column = 0; column <= COLUMN_TCMALLOC; column++)
			print_median(&rows[i].figures[column]);
		(void)printf("\n");
	}
}

void table_print_column(enum column column)
{
	unsigned i;

	for (i = 0; i < rows_count; i++) {
		if (rows[i].figures[column].samples == 0 ||
		    (column == COLUMN_ENGINE && is_compared(&rows[i])))
			continue;
		print_label(&rows[i]);
		print_median(&rows[i].figures[column]);
		(void)printf("\n");
	}
}

/* Is the time of one CPU the same when two work? */
static void print_flat(void)
{
	const struct figure *one = table_find(FLAT_ROW, 1, COLUMN_ENGINE);
	const struct figure *two = table_find(FLAT_ROW, 2, COLUMN_ENGINE);
	double percent;

	if (!one || !two)
		return;
	percent = (two->median / one->median - 1) * 100;
	(void)printf("%s: %+.1f %% from 1 to 2 CPUs (goal: within %.0f %%) "
		     "%s\n", FLAT_ROW, percent, FLAT_PERCENT,
		     percent <= FLAT_PERCENT ? "reached" : "NOT REACHED");
}

/* What the port adds to the calls that give memory back. */
static void print_giveback(void)
{
	const struct figure *port = table_find(PORT_ROW, 1, COLUMN_SYSTEM);
	const struct figure *bare, *fastest = NULL;
	unsigned i;

	for (i = 0; i < sizeof(bare_rows) / sizeof(bare_rows[0]); i++) {
		bare = table_find(bare_rows[i], 1, COLUMN_SYSTEM);
		if (bare && (!fastest || bare->median < fastest->median))
			fastest = bare;
	}
	if (!port || !fastest)
		return;
	(void)printf("giving memory back, 128 MiB a call: %.0f %% of the "
		     "fastest bare loop (goal: 95 %%) %s\n",
		     fastest->median / port->median * 100,
		     fastest->median >= port->median * 0.95 ? "reached" :
							      "NOT REACHED");
}

/* Is the engine the fastest in every row that others have? */
static void print_ahead(void)
{
	unsigned i, column, ahead = 0, compared = 0;
	bool first;

	for (i = 0; i < rows_count; i++) {
		if (!is_compared(&rows[i]) ||
		    rows[i].figures[COLUMN_ENGINE].samples == 0)
			continue;
		compared++;
		first = true;
		for (column = COLUMN_GLIBC; column <= COLUMN_TCMALLOC; column++)
			if (rows[i].figures[column].samples &&
			    rows[i].figures[column].median <
				    rows[i].figures[COLUMN_ENGINE].median)
				first = false;
		ahead += first;
		if (!first)
			(void)printf("not ahead of all: %s, %u CPUs\n",
				     rows[i].name, rows[i].threads);
	}
	(void)printf("ahead of every malloc in %u of %u rows\n", ahead,
		     compared);
}

void table_print_goals(void)
{
	const struct figure *cas = table_find(GOAL_CAS_ROW, 1, COLUMN_MACHINE);
	const struct figure *near = table_find(NEAR_ROW, 2, COLUMN_MACHINE);
	const struct figure *figure;
	double scale = cas ? cas->median / GOAL_CAS_NS : 1;
	size_t i;

	(void)printf("Goals are for a CAS of %.1f ns; here it takes %.2f, so "
		     "they are times %.2f.\n", GOAL_CAS_NS,
		     scale * GOAL_CAS_NS, scale);
	if (near)
		(void)printf("A word shared by 2 CPUs costs %.1f ns: rows with "
			     "2 CPUs %s.\n\n", near->median,
			     near->median < NEAR_NS ? "count" :
						      "do not count");
	(void)printf("%-47s%4s%11s%11s%11s\n", "", "CPUs", "goal", "scaled",
		     "median");
	for (i = 0; i < sizeof(goals) / sizeof(goals[0]); i++) {
		figure = table_find(goals[i].name, goals[i].threads,
				    COLUMN_ENGINE);
		if (!figure)
			continue;
		(void)printf("%-48s%3u", goals[i].name, goals[i].threads);
		print_value(goals[i].ns);
		print_value(goals[i].ns * scale);
		print_median(figure);
		(void)printf("  %s\n", figure->median <= goals[i].ns * scale ?
						"reached" : "NOT REACHED");
	}
	(void)printf("\n");
	print_flat();
	print_giveback();
	print_ahead();
}

void table_print_spread(void)
{
	const struct figure *figure;
	unsigned i, column;

	(void)printf("%-47s%4s  %-9s%11s%11s%11s%5s%5s\n", "", "CPUs",
		     "whose", "min", "median", "max", "n", "new");
	for (i = 0; i < rows_count; i++) {
		for (column = 0; column < COLUMN_COUNT; column++) {
			figure = &rows[i].figures[column];
			if (figure->samples == 0)
				continue;
			print_label(&rows[i]);
			(void)printf("  %-9s", column_names[column]);
			print_value(figure->min);
			print_value(figure->median);
			print_value(figure->max);
			(void)printf("%5u%5u\n", figure->samples,
				     figure->retaken);
		}
	}
}
