/* SPDX-License-Identifier: MIT */
#ifndef MACHINE_PLAYER_H
#define MACHINE_PLAYER_H

#include "machine.h"

/*
 * A player carries out the steps of a scenario: the embedded machine does,
 * and so does the guest in QEMU, of which tools/coldframe knows.  The calls
 * are those of machine.h.
 */
struct player_ops {
	void (*step)(void *self, const struct step *step,
		     struct outcome *ret_outcome);
	bool (*verify)(void *self, char *why, size_t bytes);
	bool (*finish)(void *self, char *why, size_t bytes);
	bool (*is_on)(void *self);
	json_t *(*json)(void *self);
	/* Of the outcome of the last step. */
	json_t *(*refusal_json)(void *self, const struct outcome *outcome);
	int (*print)(void *self, enum print what, FILE *out);
	void (*destroy)(void *self);
};

struct player {
	const struct player_ops *ops;
	void *self;
};

/* The embedded machine. It goes with the player. */
struct player player_embedded(struct machine *machine);

#endif
