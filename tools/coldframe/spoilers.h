/* SPDX-License-Identifier: MIT */
#ifndef COLDFRAME_SPOILERS_H
#define COLDFRAME_SPOILERS_H

#include "survey.h"
#include "table.h"

/* The columns of the listing instead of those of `why`. */
void spoilers_table(struct table *table);

/**
 * spoilers() - list blocks, those with the fewest frames in the way first.
 * @size: bytes that are wanted; 0: all blocks that could ever go
 *
 * Return: an exit status: EXIT_PARTLY when there is less than @size.
 */
int spoilers(struct survey *survey, struct table *table, uint64_t size);

#endif
