/* SPDX-License-Identifier: MIT */
#ifndef MACHINE_JOURNAL_H
#define MACHINE_JOURNAL_H

/*
 * The journal: what the steps of a scenario came to, as the report that
 * "coldframe run --json" prints of a scenario, on any machine.
 */

#include "player.h"

struct journal {
	struct player player;
	json_t *steps, *checks;
	uint32_t line;		/* of the last step */
	unsigned failed, held;	/* checks */
	bool stopped;		/* a step failed that was not to */
};

/* Return: 0, or -1: no memory. Pair with journal_free(). */
int journal_init(struct journal *journal, const struct player *player);
void journal_free(struct journal *journal);

/* Is it about what others came to? */
bool journal_is_check(const struct step *step);

/* Did it go otherwise than the scenario says? */
bool journal_has_failed(const struct step *step,
			const struct outcome *outcome);

void journal_note(struct journal *journal, const struct step *step,
		  const struct outcome *outcome);

/* A check that stands in no file, by its name. */
void journal_note_own(struct journal *journal, const char *name, bool holds,
		      const char *why);

/* The exit status: 0, or 1. */
int journal_status(const struct journal *journal);

/* The whole report. A new reference, or NULL: no memory. */
json_t *journal_json(const struct journal *journal, const char *file,
		     uint64_t seed);

/* Text of a user's: '?' for what JSON cannot hold. A new reference. */
json_t *journal_text(const char *text, size_t length);

#endif
