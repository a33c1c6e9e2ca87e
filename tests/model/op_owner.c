/* SPDX-License-Identifier: MIT */
/*
 * Operations on owners: register, unregister, and what their hooks answer.
 */
#include "ops.h"

static bool apply_register(struct world *world, const struct op *op)
{
	struct owner *owner = &world->owner[op->arg[0] % OWNERS];
	uint32_t id = 0;
	int err;

	if (op->arg[1]) {
		err = cf_owner_register(world->map,
					op->arg[1] == 1 ? NULL : "wrong",
					op->arg[1] == 1 ? owner->ops : NULL,
					owner, &id);
		require_code("owner_register", err, E(CF_EINVAL));
		REQUIRE(!id, "owner_register: failed and wrote ret_id");
		return true;
	}
	if (owner->live)
		return false;
	err = cf_owner_register(world->map, owner->name, owner->ops, owner,
				&id);
	require_code("owner_register", err, OK);
	REQUIRE(id > CF_OWNER_ORPHAN && id < CF_OWNERS_MAX &&
		!owner_by_id(world, id), "owner_register: id %u is taken", id);
	owner->live = true;
	owner->id = id;
	owner->policy = owner_kinds[owner - world->owner].policy;
	return true;
}

static bool draw_register(struct world *world, struct op *op)
{
	op->arg[0] = random_below(OWNERS);
	if (random_chance(3))
		op->arg[1] = 1 + random_below(2);
	return op->arg[1] || !world->owner[op->arg[0]].live;
}

/* Hand frames and blocks to the orphan. Returns how many frames. */
static uint64_t follow_orphans(struct world *world, uint32_t id)
{
	uint64_t count = 0;
	cf_pfn pfn;
	uint32_t i;

	for (pfn = 0; pfn < world->last; pfn++) {
		struct frame *frame = &world->frame[pfn];

		if (frame->head != pfn || frame->owner != id ||
		    frame->type == CF_TYPE_RETIRED ||
		    frame->type == CF_TYPE_RESERVED)
			continue;
		count += is_allocated(frame) ? (uint64_t)1 << frame->order : 1;
		frame->owner = CF_OWNER_ORPHAN;
		frame->kept = false;
		frame->flags &= (uint8_t)~(CF_FLAG_SKIPPABLE |
					   CF_FLAG_MOVABLE);
	}
	for (i = 0; i < world->setup.blocks; i++) {
		struct block *block = &world->block[i];

		if (block->state != CF_BLOCK_ABSENT &&
		    block->range_owner == id && !block->orphan) {
			block->orphan = true;
			block->range_owner = CF_OWNER_ORPHAN;
		}
	}
	return count;
}

static bool apply_unregister(struct world *world, const struct op *op)
{
	uint32_t id = owner_id(world, op->arg[0]);
	struct owner *owner = owner_by_id(world, id);
	uint64_t orphans = 0, want;
	int err = cf_owner_unregister(world->map, id, &orphans);

	require_code("owner_unregister", err, owner ? OK : E(CF_EINVAL));
	if (err)
		return true;
	owner->live = false;
	want = follow_orphans(world, id);
	REQUIRE(orphans == want, "owner_unregister: %llu orphans, not %llu",
		(unsigned long long)orphans, (unsigned long long)want);
	return true;
}

static bool draw_unregister(struct world *world, struct op *op)
{
	op->arg[0] = random_live_owner(world);
	if (random_chance(10))
		op->arg[0] = ARG_OWNER_ORPHAN + random_below(3);
	return op->arg[0];
}

static bool apply_policy(struct world *world, const struct op *op)
{
	world->owner[op->arg[0] % OWNERS].policy = op->arg[1];
	return true;
}

static bool draw_policy(struct world *world, struct op *op)
{
	static const uint32_t bits[] = {
		POLICY_KEEP, POLICY_NO_ISOLATE, POLICY_NO_MIGRATE,
		POLICY_GIVE_UP, POLICY_NO_DISSOLVE, POLICY_NO_ONLINE,
		POLICY_SKIPPABLE, POLICY_SKIPPABLE, POLICY_FINE, POLICY_NESTS,
		POLICY_KEEP, POLICY_KEEP, POLICY_NO_SPLIT, POLICY_DROPS,
	};

	(void)world;
	op->arg[0] = random_below(OWNERS);
	while (random_chance(60))
		op->arg[1] |= bits[random_below(14)];
	op->arg[1] |= random_below(256) << POLICY_PATTERN_SHIFT;
	return true;
}

const struct op_type owner_ops[] = {
	{ "register", { { "slot", ARG_NUMBER }, { "wrong", ARG_NUMBER } }, 12,
	  draw_register, apply_register },
	{ "unregister", { { "owner", ARG_OWNER } }, 4, draw_unregister,
	  apply_unregister },
	{ "policy", { { "slot", ARG_NUMBER }, { "bits", ARG_HEX } }, 10,
	  draw_policy, apply_policy },
	{ NULL, { { NULL, ARG_NUMBER } }, 0, NULL, NULL },
};
