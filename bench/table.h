/* SPDX-License-Identifier: MIT */
#ifndef BENCH_TABLE_H
#define BENCH_TABLE_H

#include "bench/measure.h"

/* Whose figure it is: a column. */
enum column {
	COLUMN_ENGINE,
	COLUMN_GLIBC,
	COLUMN_MIMALLOC,
	COLUMN_JEMALLOC,
	COLUMN_TCMALLOC,
	COLUMN_MACHINE,		/* what the machine charges anybody */
	COLUMN_SYSTEM,		/* what the system charges for memory */
	COLUMN_COUNT
};

#define ROW_NAME_BYTES	80

/* A row of the results; figures with samples == 0 were not measured. */
struct row {
	char name[ROW_NAME_BYTES];
	unsigned threads;
	struct figure figures[COLUMN_COUNT];
};

const char *column_name(enum column column);

/* Take one line of row_print(). False: it is not one, or there is no room. */
bool table_take(const char *line, enum column column);

/* The figure, or NULL where there is none. */
const struct figure *table_find(const char *name, unsigned threads,
				enum column column);

void table_print_compared(void);	/* the rows every allocator has */
void table_print_column(enum column column);
void table_print_goals(void);
void table_print_spread(void);

#endif
