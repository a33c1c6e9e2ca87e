/* SPDX-License-Identifier: MIT */
#ifndef MACHINE_PAGEMAP_H
#define MACHINE_PAGEMAP_H

/*
 * Device memory of a scenario, through the owner that is made for its kind.
 */

#include "internal.h"
#include "owners/daxfile.h"
#include "owners/devmem.h"
#include "owners/rawdev.h"

#define PAGEMAP_FILE	0		/* a range of fs-dax has one file */
#define PAGEMAP_USER	"scenario"	/* who uses a part of rawdev's */

struct pagemap {
	struct machine *machine;
	const char *name;
	enum cf_pagemap_kind kind;
	cf_pfn first, last;
	void *storage;
	bool there;		/* its range is */
	uint32_t part;		/* of rawdev: the next that is used */
	struct devmem *devmem;
	struct daxfile *daxfile;
	struct rawdev *rawdev;
};

/* Make the range, and an owner of it. 0, or a code. */
int pagemap_start(struct pagemap *pagemap, struct cf_pagemap_config config);

STEP_FN(step_pagemap); STEP_FN(step_pagemap_remove); STEP_FN(step_hand_out);
STEP_FN(step_move); STEP_FN(step_fault); STEP_FN(step_truncate);

/* The range and its frames. */
struct cf_pagemap_info pagemap_info(struct machine *machine,
				    const struct pagemap *pagemap);
/* The owner's id, as long as it is registered; else false. */
bool pagemap_owner(const struct pagemap *pagemap, uint32_t *ret_id);

void pagemap_free(struct pagemap *pagemap);

#endif
