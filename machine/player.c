/* SPDX-License-Identifier: MIT */

/* The embedded machine as a player. */

#include "player.h"

static void step(void *self, const struct step *which,
		 struct outcome *ret_outcome)
{
	machine_step(self, which, ret_outcome);
}

static bool verify(void *self, char *why, size_t bytes)
{
	return machine_verify(self, why, bytes);
}

static bool finish(void *self, char *why, size_t bytes)
{
	return machine_finish(self, why, bytes);
}

static bool is_on(void *self)
{
	return machine_is_on(self);
}

static json_t *json(void *self)
{
	return machine_json(self);
}

static json_t *refusal_json(void *self, const struct outcome *outcome)
{
	return machine_refusal_json(self, outcome);
}

static int print(void *self, enum print what, FILE *out)
{
	return machine_print(self, what, out);
}

static void destroy(void *self)
{
	machine_destroy(self);
}

static const struct player_ops ops = {
	.step = step,
	.verify = verify,
	.finish = finish,
	.is_on = is_on,
	.json = json,
	.refusal_json = refusal_json,
	.print = print,
	.destroy = destroy,
};

struct player player_embedded(struct machine *machine)
{
	return (struct player){ &ops, machine };
}
