/* SPDX-License-Identifier: MIT */
#ifndef COLDFRAME_LEGEND_H
#define COLDFRAME_LEGEND_H

#include "picture.h"

/* What stands under a map. */
struct legend {
	const struct picture *picture;
	const struct place *place;
	const char *sysroot;
	uint64_t kind[LX_KIND_COUNT];	/* frames */
	bool mixed;			/* a cell of several kinds was drawn */
};

/* What a kind is, in words. */
const char *legend_meaning(enum lx_kind kind);

/* Count a cell that is drawn. */
void legend_add(struct legend *legend, const struct cell *cell);

/*
 * legend_print() - the signs with their counts, then what sys/, zoneinfo,
 * meminfo and vmstat say of the same memory, as far as they are there.
 *
 * Return: 0, or -LX_EFORMAT, -LX_EREAD: one of these files is wrong.
 */
int legend_print(const struct legend *legend, struct lx_error *err);

#endif
