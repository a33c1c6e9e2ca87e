/* SPDX-License-Identifier: MIT */

#include "own.h"

#include <string.h>

struct own *own;

enum cf_verdict own_keep(void *context, cf_pfn pfn, unsigned order)
{
	unsigned long state = cf_lock(&own->lock);

	(void)context;
	(void)order;
	REQUIRE(own->listed == CF_PFN_NONE);
	REQUIRE(!own->gone);
	own->listed = pfn;
	own->released++;
	cf_unlock(&own->lock, state);
	return CF_VERDICT_KEEP;
}

enum cf_verdict own_free(void *context, cf_pfn pfn, unsigned order)
{
	unsigned long state = cf_lock(&own->lock);

	(void)context;
	(void)pfn;
	(void)order;
	own->released++;
	cf_unlock(&own->lock, state);
	return CF_VERDICT_FREE;
}

void own_init(struct ground_config config, const struct cf_owner_ops *ops,
	      unsigned order)
{
	unsigned i;

	ground_init(config);
	own = explore_memory(sizeof(*own));
	explore_name(own, sizeof(*own), "owner's own", -1);
	explore_name(&own->lock, sizeof(own->lock), "owner's lock", -1);
	own->lock.rank = CF_RANK_LEAF;
	own->listed = CF_PFN_NONE;
	for (i = 0; i < OWN_THREADS; i++)
		own->taken[i] = CF_PFN_NONE;
	if (ops)
		MUST(cf_owner_register(ground_map, "owner", ops, NULL,
				       &own->owner));
	own->pfn = ground_alloc(CF_TYPE_FOLIO, order, own->owner);
	*ground_contents(own->pfn) = 1;
}

void own_fill(void)
{
	REQUIRE(own->pfn == 0);
	MUST(cf_block_adopt(ground_map, 0, GROUND_BLOCK, own->owner));
	MUST(cf_offline_alloc_range(ground_map, own->owner, 1, GROUND_CHUNK,
				    CF_FLAG_SKIPPABLE, NULL));
}

cf_pfn own_take_listed(void)
{
	unsigned long state = cf_lock(&own->lock);
	cf_pfn pfn = own->listed;

	own->listed = CF_PFN_NONE;
	cf_unlock(&own->lock, state);
	return pfn;
}

struct cf_snapshot own_look(cf_pfn pfn)
{
	struct cf_snapshot run;

	if (cf_snapshot(ground_map, pfn, &run))
		memset(&run, 0, sizeof(run));
	return run;
}

bool own_is(cf_pfn pfn, uint32_t owner, uint32_t refs)
{
	struct cf_snapshot run = own_look(pfn);

	return run.type == CF_TYPE_FOLIO && run.owner == owner &&
	       run.refs == refs && run.flags == 0;
}

uint64_t own_frames(uint32_t owner)
{
	struct cf_owner_info info;

	MUST(cf_owner_info(ground_map, owner, &info));
	return info.frames;
}

void own_put(void)
{
	cf_put(ground_map, own->pfn);
}

void own_unregister(void)
{
	unsigned self = explore_self();

	own->err[self] = cf_owner_unregister(ground_map, own->owner,
					     &own->frames[self]);
	own->gone = true;
}

void own_allocate(void)
{
	unsigned self = explore_self();
	struct cf_request request = {
		.type = CF_TYPE_FOLIO,
		.owner = (uint16_t)own->owner,
	};

	own->err[self] = cf_alloc(ground_map, request, &own->taken[self]);
}

void own_end_unregistered(const struct cf_owner_ops *ops)
{
	struct cf_owner_info info;
	uint32_t id;

	REQUIRE(own->err[1] == 0 && own->gone);
	REQUIRE(cf_owner_info(ground_map, own->owner, &info) == -CF_EINVAL);
	MUST(cf_owner_register(ground_map, "next", ops, NULL, &id));
	REQUIRE(id == own->owner && own_frames(id) == 0);
	ground_verify();
}

/* ---- bad frames ---- */

void own_init_bad(struct ground_config config, const struct cf_owner_ops *ops,
		  unsigned order)
{
	own_init(config, ops, order);
	own->bad = own->pfn + ((cf_pfn)1 << order) - 1;
}

/* The bad frame is the next that the allocator would give. */
void own_init_bad_free(void)
{
	own_init_bad((struct ground_config) { .blocks = 1 }, NULL, 0);
	own_put();
	own->taken[0] = ground_alloc(CF_TYPE_FOLIO, 0, 0);
	REQUIRE(own->taken[0] == own->bad);
	cf_put(ground_map, own->taken[0]);
}

/* An OFFLINE run of two frames instead; the second is bad. */
void own_init_bad_offline(void)
{
	own_init_bad((struct ground_config) { .blocks = 1 }, NULL, 0);
	own_put();
	MUST(cf_offline_alloc(ground_map, 0, 1, 0, &own->pfn));
	own->bad = own->pfn + 1;
}

void own_free_offline(void)
{
	MUST(cf_offline_free(ground_map, 0, own->pfn, 1));
}

void own_retire(void)
{
	unsigned self = explore_self();

	own->err[self] = cf_retire(ground_map, own->bad, &own->state[self]);
}

struct cf_block_info own_block(cf_pfn pfn)
{
	struct cf_block_info info;

	MUST(cf_block_info(ground_map, pfn, &info));
	return info;
}

bool own_is_retired(cf_pfn pfn)
{
	struct cf_snapshot run = own_look(pfn);

	return run.type == CF_TYPE_RETIRED && run.order == 0 &&
	       cf_retire_state(ground_map, pfn) == CF_RETIRE_DONE;
}

bool own_is_poisoned(cf_pfn pfn)
{
	return own_look(pfn).flags == CF_FLAG_POISON &&
	       cf_retire_state(ground_map, own->bad) == CF_RETIRE_PENDING;
}

void own_settle(void)
{
	enum cf_retire_state known;

	if (own->err[1] == -CF_EAGAIN) {
		known = cf_retire_state(ground_map, own->bad);
		REQUIRE(known == CF_RETIRE_NONE);
		own->err[1] = cf_retire(ground_map, own->bad, &own->state[1]);
	}
	REQUIRE(own->err[1] == 0);
	REQUIRE(own->state[1] == CF_RETIRE_DONE ||
		own->state[1] == CF_RETIRE_PENDING);
}

void own_end_retired(void)
{
	own_settle();
	REQUIRE(own_is_retired(own->bad));
	REQUIRE(own_block(own->bad).retired == 1);
	ground_verify();
}
