/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_GUARD_H
#define TESTS_UNIT_GUARD_H

#include <stdbool.h>

#include <coldframe/coldframe.h>

/*
 * The arrays of a map end somewhere in a page of its storage.  What is left
 * of those pages is filled with nonsense after the map was created, and must
 * still be there in the end: who reads past an array is led astray, who
 * writes past one is found out.
 */
void guard_lay(struct cf_map *map);

/* As guard_holds(), for a new map in zeroed storage. */
bool guard_is_blank(struct cf_map *map);

/* False, and a "# ..." line, if something was written there. */
bool guard_holds(struct cf_map *map);

#endif
