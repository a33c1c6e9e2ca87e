/* SPDX-License-Identifier: MIT */
#ifndef MACHINE_PAGEMAP_H
#define MACHINE_PAGEMAP_H

/*
 * Device memory of a scenario, through the owner that is made for its kind.
 */

#include "internal.h"

struct pagemap;

STEP_FN(step_pagemap); STEP_FN(step_pagemap_remove); STEP_FN(step_hand_out);
STEP_FN(step_move); STEP_FN(step_fault); STEP_FN(step_truncate);

/* The range and its frames. */
struct cf_pagemap_info pagemap_info(struct machine *machine,
				    const struct pagemap *pagemap);
/* The owner's id, as long as it is registered; else false. */
bool pagemap_owner(const struct pagemap *pagemap, uint32_t *ret_id);

void pagemap_free(struct pagemap *pagemap);

#endif
