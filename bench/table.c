/* SPDX-License-Identifier: MIT */
/* The results of all groups, and the tables made of them; see table.h. */
#include <stdio.h>
#include <string.h>

#include "bench/table.h"

#define CELLS_MAX	2048
#define WIDTH_LEAST	11

static struct cell cells[CELLS_MAX];
static unsigned cells_count;

const struct cell *table_cell(unsigned nth)
{
	return nth < cells_count ? &cells[nth] : NULL;
}

bool table_take(const char *line)
{
	struct cell cell;
	struct figure *figure = &cell.figure;

	if (cells_count == CELLS_MAX ||
	    sscanf(line, "%15[^\t]\t%79[^\t]\t%15[^\t]\t%lf\t%lf\t%lf\t%u\t%u",
		   cell.section, cell.row, cell.column, &figure->min,
		   &figure->median, &figure->max, &figure->samples,
		   &figure->retaken) != 8)
		return false;
	cells[cells_count++] = cell;
	return true;
}

const struct figure *table_find(const char *section, const char *row,
				const char *column)
{
	unsigned i;

	for (i = 0; i < cells_count; i++)
		if (!strcmp(cells[i].row, row) &&
		    !strcmp(cells[i].column, column) &&
		    !strcmp(cells[i].section, section))
			return &cells[i].figure;
	return NULL;
}

double table_value(const char *section, const char *row, const char *column)
{
	const struct figure *figure = table_find(section, row, column);

	return figure ? figure->median : -1;
}

/* Is a cell the first of its section with that row? */
static bool is_new_row(unsigned at)
{
	unsigned i;

	for (i = 0; i < at; i++)
		if (!strcmp(cells[i].row, cells[at].row) &&
		    !strcmp(cells[i].section, cells[at].section))
			return false;
	return true;
}

static bool is_new_column(unsigned at)
{
	unsigned i;

	for (i = 0; i < at; i++)
		if (!strcmp(cells[i].column, cells[at].column) &&
		    !strcmp(cells[i].section, cells[at].section))
			return false;
	return true;
}

const char *table_row(const char *section, unsigned nth)
{
	unsigned i;

	for (i = 0; i < cells_count; i++)
		if (!strcmp(cells[i].section, section) && is_new_row(i) &&
		    nth-- == 0)
			return cells[i].row;
	return NULL;
}

const char *table_column(const char *section, unsigned nth)
{
	unsigned i;

	for (i = 0; i < cells_count; i++)
		if (!strcmp(cells[i].section, section) && is_new_column(i) &&
		    nth-- == 0)
			return cells[i].column;
	return NULL;
}

void format_value(char *text, size_t bytes, double value)
{
	const char *format = "%.3g";

	if (value == 0)
		format = "%.0f";
	else if (value > -1 && value < 1)
		format = "%.3f";
	else if (value > -100 && value < 100)
		format = "%.2f";
	else if (value < 1e9)
		format = "%.0f";
	(void)snprintf(text, bytes, format, value);
}

/* Room for what a column is called, and two blanks. */
static int column_width(const char *column)
{
	int length = (int)strlen(column) + 2;

	return length > WIDTH_LEAST ? length : WIDTH_LEAST;
}

static void print_cell(const struct figure *figure, int width)
{
	char text[32], marked[40];

	if (!figure) {
		(void)printf("%*s", width, "-");
		return;
	}
	format_value(text, sizeof(text), figure->median);
	(void)snprintf(marked, sizeof(marked), "%s%s",
		       figure_is_doubtful(figure) ? "*" : "", text);
	(void)printf("%*s", width, marked);
}

void table_print_section(const char *section)
{
	const char *row, *column;
	unsigned i, j;

	(void)printf("%-52s", "");
	for (j = 0; (column = table_column(section, j)); j++)
		(void)printf("%*s", column_width(column), column);
	(void)printf("\n");
	for (i = 0; (row = table_row(section, i)); i++) {
		(void)printf("%-52s", row);
		for (j = 0; (column = table_column(section, j)); j++)
			print_cell(table_find(section, row, column),
				   column_width(column));
		(void)printf("\n");
	}
}

static void print_value(double value)
{
	char text[32];

	format_value(text, sizeof(text), value);
	(void)printf("%11s", text);
}

void table_print_spread(void)
{
	const struct figure *figure;
	unsigned i;

	(void)printf("%-65s%-11s%11s%11s%11s%4s%4s\n", "", "", "min", "median",
		     "max", "n", "new");
	for (i = 0; i < cells_count; i++) {
		figure = &cells[i].figure;
		if (figure->samples < 2)
			continue;
		(void)printf("%-12s %-52s%-11s", cells[i].section,
			     cells[i].row, cells[i].column);
		print_value(figure->min);
		print_value(figure->median);
		print_value(figure->max);
		(void)printf("%4u%4u\n", figure->samples, figure->retaken);
	}
}
