/* SPDX-License-Identifier: MIT */
#ifndef BENCH_TABLE_H
#define BENCH_TABLE_H

#include "bench/measure.h"

/*
 * All results: a cell is a figure at a row and a column of a section.  Rows
 * and columns stand in the order in which they first came.
 */

#define CELL_SECTION_BYTES	16
#define CELL_ROW_BYTES		80
#define CELL_COLUMN_BYTES	16

struct cell {
	char section[CELL_SECTION_BYTES];
	char row[CELL_ROW_BYTES];
	char column[CELL_COLUMN_BYTES];
	struct figure figure;
};

/* Take one line of cell_print(). False: it is not one, or there is no room. */
bool table_take(const char *line);

/* The figure, or NULL where there is none. */
const struct figure *table_find(const char *section, const char *row,
				const char *column);

/* Its median; below 0: there is none. */
double table_value(const char *section, const char *row, const char *column);

/* The nth cell; NULL: there are no more. */
const struct cell *table_cell(unsigned nth);

/* The nth name of a section's rows or columns; NULL: there are no more. */
const char *table_row(const char *section, unsigned nth);
const char *table_column(const char *section, unsigned nth);

/* A number as tables show it: three or four digits that mean something. */
void format_value(char *text, size_t bytes, double value);

void table_print_section(const char *section);

/* Every cell with its minimum and maximum. */
void table_print_spread(void);

#endif
