/* SPDX-License-Identifier: MIT */

/* Objects need a process on Linux: elsewhere there are none. */

#include "machine/pools.h"

void objects_free(struct objects *objects)
{
	(void)objects;
}

void objects_values(struct objects *objects, uint64_t *ret_of)
{
	(void)objects;
	(void)ret_of;
}

static int say(struct outcome *outcome)
{
	return refuse(outcome, CF_EPORT, "only a process on Linux has objects");
}

#define NONE(name)							\
	int name(struct machine *machine, const struct step *step,	\
		 struct outcome *outcome)				\
	{								\
		(void)machine;						\
		(void)step;						\
		return say(outcome);					\
	}

NONE(step_elastic)
NONE(step_elastic_store)
NONE(step_elastic_forget)
NONE(step_elastic_lock)
NONE(step_elastic_unlock)
NONE(step_elastic_shrink)
NONE(step_elastic_end)
