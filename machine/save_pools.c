/* SPDX-License-Identifier: MIT */

/* Pools of huge runs, and guests: what their owners know of their runs. */

#include <stdlib.h>

#include "owners/guestmem_state.h"
#include "owners/hugepool_state.h"
#include "pools.h"
#include "save_objects.h"

#define HOLDERS_MAX	1024	/* as many as a guest has room for */

/* ---- pools ---- */

enum pool_part {
	POOL_RUN,		/* that is the pool's */
	POOL_TAKEN,		/* by a step, the last one first */
	POOL_SURPLUS,		/* of a size on a node */
};

static void code_pool(struct code *code, struct hugepool_saved *saved)
{
	unsigned size;

	for (size = 0; size < HUGEPOOL_SIZES; size++) {
		code_u32(code, &saved->reserved[size]);
		code_u32(code, &saved->surplus_limit[size]);
	}
	code_u64(code, &saved->dissolved);
	code_u64(code, &saved->replaced);
	code_u64(code, &saved->retired);
	code_u64(code, &saved->strangers);
	code_u64(code, &saved->stranger);
}

static void code_pool_run(struct code *code, struct hugepool_run *run)
{
	code_u64(code, &run->pfn);
	run->size = (enum hugepool_size)code_choice(code, run->size,
						    HUGEPOOL_SIZES);
	code_bool(code, &run->used);
}

struct surplus {
	uint32_t size, node, count;
};

static void code_surplus(struct code *code, struct surplus *surplus)
{
	surplus->size = code_choice(code, surplus->size, HUGEPOOL_SIZES);
	code_u32(code, &surplus->node);
	code_u32(code, &surplus->count);
}

static struct pool *pool_of(struct machine *machine, uint32_t number)
{
	return machine->object[number].any;
}

static const char *pool_refusal(struct machine *machine, uint32_t number)
{
	return hugepool_is_busy(pool_of(machine, number)->pool) ?
	       "has a run in its hands" : NULL;
}

static void pool_save(struct saving *saving, uint32_t number)
{
	struct pool *pool = pool_of(saving_machine(saving), number);
	struct code *code = saving_begin(saving, number, 0);
	struct hugepool_saved saved;

	pool->zone = (enum cf_zone_kind)code_choice(code, pool->zone,
						    CF_ZONE_DEVICE);
	hugepool_save(pool->pool, &saved);
	code_pool(code, &saved);
	saving_end(saving, SAVE_OBJECT);
}

static void save_surplus(struct saving *saving, uint32_t number)
{
	struct machine *machine = saving_machine(saving);
	struct pool *pool = pool_of(machine, number);
	struct hugepool_stat stat;
	struct surplus surplus;

	for (surplus.size = 0; surplus.size < HUGEPOOL_SIZES; surplus.size++)
		for (surplus.node = 0; surplus.node <
		     machine->map_config.nodes; surplus.node++) {
			if (hugepool_stat(pool->pool,
					  (enum hugepool_size)surplus.size,
					  surplus.node, &stat) ||
			    !stat.surplus)
				continue;
			surplus.count = stat.surplus;
			code_surplus(saving_begin(saving, number,
						  POOL_SURPLUS), &surplus);
			saving_end(saving, SAVE_PART);
		}
}

static void pool_save_parts(struct saving *saving, uint32_t number)
{
	struct pool *pool = pool_of(saving_machine(saving), number);
	const struct pool_run *taken;
	struct hugepool_run run;
	uint32_t at = 0;

	while (hugepool_save_next(pool->pool, &at, &run)) {
		code_pool_run(saving_begin(saving, number, POOL_RUN), &run);
		saving_end(saving, SAVE_PART);
	}
	for (taken = pool->taken; taken; taken = taken->next) {
		run = (struct hugepool_run){
			taken->pfn, taken->order == CF_MAX_ORDER ?
			HUGEPOOL_1G : HUGEPOOL_2M, true,
		};
		code_pool_run(saving_begin(saving, number, POOL_TAKEN), &run);
		saving_end(saving, SAVE_PART);
	}
	save_surplus(saving, number);
}

static bool pool_owner(struct machine *machine, uint32_t number,
		       uint32_t *ret_id)
{
	const struct pool *pool = pool_of(machine, number);

	if (pool->pool)
		*ret_id = hugepool_owner(pool->pool);
	return pool->pool != NULL;
}

/* What is said at the end is kept until then. */
static int pool_restore(struct restore *restore, uint32_t number,
			struct code *code)
{
	struct pool *pool = calloc(1, sizeof(*pool));
	struct hugepool_saved *saved = calloc(1, sizeof(*saved));

	restore->machine->object[number].any = pool;
	restore->aside[number] = saved;
	if (!pool || !saved)
		return restore_wrong(restore, "out of memory");
	pool->zone = (enum cf_zone_kind)code_choice(code, pool->zone,
						    CF_ZONE_DEVICE);
	code_pool(code, saved);
	return 0;
}

static int pool_begin(struct restore *restore, uint32_t number)
{
	return pool_start(restore->machine, number,
			  pool_of(restore->machine, number));
}

/* A run that a step has: it has a reference. At the end of the list. */
static int add_taken(struct restore *restore, struct pool *pool,
		     const struct hugepool_run *run)
{
	unsigned order = run->size == HUGEPOOL_1G ? CF_MAX_ORDER :
						    CF_CHUNK_ORDER;
	struct pool_run **end = &pool->taken, *taken;
	struct cf_snapshot is;

	if (cf_snapshot(restore->machine->map, run->pfn, &is) || !is.refs ||
	    is.order != order || is.owner != hugepool_owner(pool->pool))
		return -1;
	for (; *end; end = &(*end)->next)
		if ((*end)->pfn == run->pfn)
			return -1;
	taken = calloc(1, sizeof(*taken));
	if (!taken)
		return -1;
	taken->pfn = run->pfn;
	taken->order = order;
	*end = taken;
	pool->held += (uint64_t)1 << order;
	return 0;
}

static int pool_part(struct restore *restore, const struct fact_object *part,
		     struct code *code)
{
	struct pool *pool = pool_of(restore->machine, part->number);
	struct surplus surplus = { 0, 0, 0 };
	struct hugepool_run run = { .pfn = 0 };

	if (part->sort == POOL_SURPLUS)
		code_surplus(code, &surplus);
	else
		code_pool_run(code, &run);
	if (code->failed || !pool->pool ||
	    run.pfn >= restore->machine->map_config.last)
		return -1;
	if (part->sort == POOL_SURPLUS)
		return hugepool_adopt_surplus(pool->pool,
			(enum hugepool_size)surplus.size, surplus.node,
			surplus.count);
	return part->sort == POOL_RUN ?
	       hugepool_adopt_run(pool->pool, &run) :
	       add_taken(restore, pool, &run);
}

static int pool_finish(struct restore *restore, uint32_t number)
{
	struct pool *pool = pool_of(restore->machine, number);
	struct hugepool_finding finding;

	return !pool->pool ||
	       hugepool_adopt(pool->pool, restore->aside[number]) ||
	       !hugepool_verify(pool->pool, &finding) ? -1 : 0;
}

const struct object_kind save_pool = {
	.noun = NOUN_POOL,
	.refusal = pool_refusal, .save = pool_save,
	.save_parts = pool_save_parts, .owner = pool_owner,
	.restore = pool_restore, .start = pool_begin, .part = pool_part,
	.finish = pool_finish,
};

/* ---- guests ---- */

enum guest_part {
	GUEST_PAGE,
	GUEST_HOLD,		/* a reference of a page, with a name */
};

static void code_guest(struct code *code, struct guest *guest)
{
	uint32_t order = guest->order;

	code_u64(code, &guest->pages);
	code_u32(code, &order);
	guest->order = order;
	guest->zone = (enum cf_zone_kind)code_choice(code, guest->zone,
						     CF_ZONE_DEVICE);
	code_bool(code, &guest->movable);
}

static void code_counts(struct code *code, struct guestmem_saved *saved)
{
	code_u64(code, &saved->conversions);
	code_u64(code, &saved->moved);
	code_u64(code, &saved->moved_private);
	code_u64(code, &saved->strangers);
	code_u64(code, &saved->stolen);
	code_u64(code, &saved->culprit);
}

static void code_page(struct code *code, struct guestmem_page *page)
{
	code_u64(code, &page->page);
	code_u64(code, &page->pfn);
	code_bool(code, &page->is_private);
}

struct hold {
	uint64_t page;
	uint32_t count;
	char who[SCENARIO_NAME_BYTES + 1];
};

static void code_hold(struct code *code, struct hold *hold)
{
	code_u64(code, &hold->page);
	code_u32(code, &hold->count);
	code_text(code, hold->who, sizeof(hold->who));
}

static struct guest *guest_of(struct machine *machine, uint32_t number)
{
	return machine->object[number].any;
}

static const char *guest_refusal(struct machine *machine, uint32_t number)
{
	struct guest *guest = guest_of(machine, number);

	return guest->conversion.going || guestmem_is_busy(guest->memory) ?
	       "is making pages private: finish or cancel that first" : NULL;
}

static void guest_save(struct saving *saving, uint32_t number)
{
	struct guest *guest = guest_of(saving_machine(saving), number);
	struct code *code = saving_begin(saving, number, 0);
	struct guestmem_saved saved;

	code_guest(code, guest);
	guestmem_save(guest->memory, &saved);
	code_counts(code, &saved);
	saving_end(saving, SAVE_OBJECT);
}

static void save_holds(struct saving *saving, uint32_t number, uint64_t page)
{
	struct guest *guest = guest_of(saving_machine(saving), number);
	struct guestmem_holder holder[HOLDERS_MAX + 1];
	struct hold hold = { .page = page };
	size_t count, i;

	count = guestmem_holders(guest->memory, page, page + 1, holder,
				 HOLDERS_MAX + 1);
	for (i = 0; i < count && i <= HOLDERS_MAX; i++) {
		if (!holder[i].who)
			continue;
		hold.count = holder[i].refs;
		(void)snprintf(hold.who, sizeof(hold.who), "%s",
			       holder[i].who);
		code_hold(saving_begin(saving, number, GUEST_HOLD), &hold);
		saving_end(saving, SAVE_PART);
	}
}

static void guest_save_parts(struct saving *saving, uint32_t number)
{
	struct guest *guest = guest_of(saving_machine(saving), number);
	struct guestmem_page page;
	uint64_t at = 0;

	while (guestmem_save_next(guest->memory, &at, &page)) {
		code_page(saving_begin(saving, number, GUEST_PAGE), &page);
		saving_end(saving, SAVE_PART);
		save_holds(saving, number, page.page);
	}
}

static bool guest_owner(struct machine *machine, uint32_t number,
			uint32_t *ret_id)
{
	const struct guest *guest = guest_of(machine, number);

	if (guest->memory)
		*ret_id = guestmem_owner(guest->memory);
	return guest->memory != NULL;
}

static int guest_restore(struct restore *restore, uint32_t number,
			 struct code *code)
{
	struct guest *guest = calloc(1, sizeof(*guest));
	struct guestmem_saved *saved = calloc(1, sizeof(*saved));

	restore->machine->object[number].any = guest;
	restore->aside[number] = saved;
	if (!guest || !saved)
		return restore_wrong(restore, "out of memory");
	code_guest(code, guest);
	code_counts(code, saved);
	return code->failed || guest_fits(guest) ? 0 :
	       restore_wrong(restore, "%s can be no such guest",
			     restore->machine->name[number]);
}

static int guest_begin(struct restore *restore, uint32_t number)
{
	return guest_start(restore->machine, number,
			   guest_of(restore->machine, number));
}

static int add_holds(struct restore *restore, struct guest *guest,
		     const struct hold *hold)
{
	const char *who = restore_word(restore, hold->who);
	uint32_t i;
	int err = who ? 0 : -1;

	for (i = 0; i < hold->count && !err; i++)
		err = guestmem_adopt_hold(guest->memory, hold->page, who);
	return err;
}

static int guest_part(struct restore *restore, const struct fact_object *part,
		      struct code *code)
{
	struct guest *guest = guest_of(restore->machine, part->number);
	struct guestmem_page page = { .page = 0 };
	struct hold hold = { .page = 0 };

	if (part->sort == GUEST_HOLD)
		code_hold(code, &hold);
	else
		code_page(code, &page);
	if (code->failed || !guest->memory ||
	    page.pfn >= restore->machine->map_config.last)
		return -1;
	return part->sort == GUEST_HOLD ? add_holds(restore, guest, &hold) :
	       guestmem_adopt_page(guest->memory, &page);
}

static int guest_finish(struct restore *restore, uint32_t number)
{
	struct guest *guest = guest_of(restore->machine, number);
	cf_pfn pfn;

	if (!guest->memory)
		return -1;
	guestmem_adopt(guest->memory, restore->aside[number]);
	return guestmem_verify(guest->memory, &pfn) ? 0 : -1;
}

const struct object_kind save_guest = {
	.noun = NOUN_GUEST,
	.refusal = guest_refusal, .save = guest_save,
	.save_parts = guest_save_parts, .owner = guest_owner,
	.restore = guest_restore, .start = guest_begin, .part = guest_part,
	.finish = guest_finish,
};
