/* SPDX-License-Identifier: MIT */

/* What the guest has no place for: its report is JSON, on the serial line. */

#include "machine/known.h"

int machine_print(struct machine *machine, enum print what, FILE *out)
{
	(void)machine;
	(void)what;
	(void)out;
	return -1;
}

int machine_export(struct machine *machine, const char *directory, char *why,
		   size_t bytes)
{
	(void)machine;
	(void)directory;
	(void)snprintf(why, bytes, "the guest has no files");
	return -1;
}

int step_save(struct machine *machine, const struct step *step,
	      struct outcome *outcome)
{
	(void)machine;
	(void)step;
	return refuse(outcome, CF_EREFUSED, "the guest has no files");
}
