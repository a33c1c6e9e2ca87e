/* SPDX-License-Identifier: MIT */
#ifndef COLDFRAME_SAVE_SOURCE_H
#define COLDFRAME_SAVE_SOURCE_H

#include "machine/save.h"

/* Contents for a save, as the filter of dumps gives them out. */
extern const struct save_source save_source;

#endif
