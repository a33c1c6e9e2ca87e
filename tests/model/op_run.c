/* SPDX-License-Identifier: MIT */
/*
 * Operations on runs: allocation, freeing, references, pins, freezing,
 * splitting, change of owner.
 */
#include <string.h>

#include "ops.h"

/* ---- allocation ---- */

uint32_t request_codes(struct world *world, const struct cf_request *request)
{
	uint32_t codes = 0;

	if (request->order > CF_MAX_ORDER ||
	    (request->type != CF_TYPE_KERNEL &&
	     request->type != CF_TYPE_FOLIO &&
	     request->type != CF_TYPE_PGTABLE && request->type != CF_TYPE_SLAB))
		codes |= E(CF_EINVAL);
	if (request->zone != CF_ZONE_NORMAL && request->zone != CF_ZONE_MOVABLE)
		codes |= E(CF_EINVAL);
	if (request->zone == CF_ZONE_MOVABLE &&
	    (request->type != CF_TYPE_FOLIO || !request->owner))
		codes |= E(CF_EINVAL);
	if ((request->node >= world->setup.nodes &&
	     request->node != CF_NODE_ANY) || request->flags & ~CF_ALLOC_FLAGS)
		codes |= E(CF_EINVAL);
	if (request->owner && !owner_by_id(world, request->owner))
		codes |= E(CF_EGONE);
	if (request->owner == CF_OWNER_ORPHAN ||
	    request->owner >= CF_OWNERS_MAX)
		codes |= E(CF_EINVAL);
	return codes;
}

static bool node_allowed(const struct cf_request *request, uint32_t node)
{
	return !(request->flags & CF_ALLOC_THISNODE) ||
	       request->node == CF_NODE_ANY || request->node == node;
}

/* Would taking the run leave the zone above its mark, caches not counted? */
static bool marks_are_sure(struct world *world, struct zone_id zone,
			   const struct cf_request *request)
{
	uint64_t min = world->marks[zone.node][zone.kind].min;
	uint64_t free, cached;

	if (!min || request->flags & CF_ALLOC_RESERVE)
		return true;
	free = zone_free(world, zone, false);
	cached = cached_now(world);
	return free >= min + cached + ((uint64_t)1 << request->order);
}

static bool zone_is_sure(struct world *world, struct zone_id zone,
			 const struct cf_request *request)
{
	enum fit fit = FIT_ANY;

	if (request->flags & CF_ALLOC_NOSPLIT &&
	    request->order < CF_CHUNK_ORDER)
		fit = FIT_PARTIAL;
	return zone_fits(world, zone, request->order, fit) &&
	       marks_are_sure(world, zone, request);
}

/* Must a good request succeed? */
bool request_is_sure(struct world *world, const struct cf_request *request)
{
	struct zone_id zone = { 0, CF_ZONE_NORMAL };
	uint32_t node;

	if (request->flags & CF_ALLOC_NOWAIT && cached_now(world))
		return false;
	for (node = 0; node < world->setup.nodes; node++) {
		if (!node_allowed(request, node))
			continue;
		zone.node = node;
		zone.kind = CF_ZONE_NORMAL;
		if (zone_is_sure(world, zone, request))
			return true;
		zone.kind = CF_ZONE_MOVABLE;
		if (request->zone == CF_ZONE_MOVABLE &&
		    zone_is_sure(world, zone, request))
			return true;
	}
	return false;
}

/* The engine's choice where nothing was in a cache before the call. */
static void judge_fit(struct world *world, const struct cf_request *request,
		      cf_pfn pfn)
{
	const struct block *block = block_of(world, pfn);
	struct zone_id zone = { block->node, block->kind };
	struct zone_id first = { request->node,
				 (enum cf_zone_kind)request->zone };

	if (request->order < CF_CHUNK_ORDER && chunk_is_free(world, pfn)) {
		REQUIRE(!(request->flags & CF_ALLOC_NOSPLIT),
			"alloc: NOSPLIT broke the free chunk of %#llx",
			(unsigned long long)pfn);
		/* Another's home comes last. */
		REQUIRE(world->setup.cpus > 1 ||
			!zone_fits(world, zone, request->order, FIT_PARTIAL),
			"alloc: order %u broke the free chunk of %#llx, a "
			"partly free one fits", request->order,
			(unsigned long long)pfn);
	}
	if (request->node == CF_NODE_ANY ||
	    (zone.node == first.node && zone.kind == first.kind))
		return;
	REQUIRE(!zone_is_sure(world, first, request),
		"alloc: fell back to node %u zone %d, the one asked for fits",
		zone.node, (int)zone.kind);
}

static void judge_choice(struct world *world, const struct cf_request *request,
			 cf_pfn pfn, uint64_t cached)
{
	cf_pfn frames = (cf_pfn)1 << request->order;
	struct zone_id zone;
	uint64_t min, free;
	cf_pfn i;

	REQUIRE(!(pfn & (frames - 1)) && pfn < world->last &&
		frames <= world->last - pfn, "alloc: order %u at %#llx",
		request->order, (unsigned long long)pfn);
	REQUIRE(is_free_run(world, pfn, pfn + frames),
		"alloc: order %u at %#llx was not free", request->order,
		(unsigned long long)pfn);
	zone = (struct zone_id){ block_of(world, pfn)->node,
				 block_of(world, pfn)->kind };
	for (i = pfn; i < pfn + frames; i++)
		REQUIRE(zone_is(world, i, zone) && !is_isolated(world, i),
			"alloc: %#llx is isolated or of another zone",
			(unsigned long long)i);
	REQUIRE(zone.kind == CF_ZONE_NORMAL ||
		zone.kind == (enum cf_zone_kind)request->zone,
		"alloc: took from zone %d", (int)zone.kind);
	REQUIRE(node_allowed(request, zone.node), "alloc: left its node");
	min = world->marks[zone.node][zone.kind].min;
	/* What a cache has taken already is not held against the mark. */
	if (!min || request->flags & CF_ALLOC_RESERVE || cached)
		return;
	free = zone_free(world, zone, true);
	REQUIRE(free >= min, "alloc: went below the min watermark");
}

void require_zeroed(cf_pfn pfn, unsigned order)
{
	static const uint8_t zeroes[CF_FRAME_BYTES];
	cf_pfn frames = (cf_pfn)1 << order;
	cf_pfn at[3] = { pfn, pfn + frames / 2, pfn + frames - 1 };
	size_t i;

	for (i = 0; i < 3; i++)
		REQUIRE(!memcmp(test_port.memory +
				(size_t)at[i] * CF_FRAME_BYTES, zeroes,
				sizeof(zeroes)),
			"alloc: frame %#llx is not zeroed",
			(unsigned long long)at[i]);
}

static struct cf_request request_arg(struct world *world, const struct op *op)
{
	return (struct cf_request){
		.order = (uint8_t)op->arg[0],
		.type = (uint8_t)op->arg[1],
		.owner = (uint16_t)owner_id(world, op->arg[2]),
		.zone = (uint8_t)op->arg[3],
		.node = (uint8_t)(op->arg[4]),
		.flags = (uint16_t)op->arg[5],
	};
}

static bool is_frozen_request(const struct cf_request *request)
{
	return request->flags & CF_ALLOC_FROZEN ||
	       request->type == CF_TYPE_PGTABLE ||
	       request->type == CF_TYPE_SLAB;
}

/* By either of the calls. */
static int call_alloc(struct world *world, struct cf_request request,
		      uint32_t tag, cf_pfn *ret_pfn)
{
	size_t done;
	int err;

	if (tag % 2)
		return cf_alloc(world->map, request, ret_pfn);
	err = cf_alloc_bulk(world->map, request, 1, ret_pfn, &done);
	REQUIRE(done == !err, "alloc_bulk: %zu done, code %d", done, err);
	return err;
}

/* Returns whether memory was there. */
static bool alloc_one(struct world *world, struct cf_request request,
		      uint32_t tag)
{
	bool sure = request_is_sure(world, &request);
	uint64_t cached = cached_now(world);
	struct run run = { request.type, request.owner,
			   is_frozen_request(&request) ? 0 : 1, tag };
	struct signal_watch watch;
	cf_pfn pfn = CF_PFN_NONE;
	int err;

	signal_begin(world, &watch);
	(void)fault_forget();
	err = call_alloc(world, request, tag, &pfn);
	require_code("alloc", err, has_failed(TEST_FRAME_ADDRESS) ?
		     E(CF_EPORT) : OK | E(CF_ENOMEM));
	if (err) {
		if (sure && !any_failed())
			told()->code = 0;
		REQUIRE(!sure || any_failed(),
			"alloc: -CF_ENOMEM for order %u though a run fits",
			request.order);
		REQUIRE(pfn == CF_PFN_NONE, "alloc: failed and wrote ret_pfn");
		return false;
	}
	judge_choice(world, &request, pfn, cached);
	if (!cached)
		judge_fit(world, &request, pfn);
	if (request.flags & CF_ALLOC_ZERO)
		require_zeroed(pfn, request.order);
	run_make(world, pfn, request.order, run);
	stamp(world, pfn, request.order, tag);
	signal_end(world, &watch, (cf_pfn)1 << request.order);
	return true;
}

static bool apply_alloc(struct world *world, const struct op *op)
{
	struct cf_request request = request_arg(world, op);
	uint32_t codes = request_codes(world, &request);
	uint32_t count = op->arg[6];
	cf_pfn pfn;

	if (codes) {
		require_code("alloc", cf_alloc(world->map, request, &pfn),
			     codes);
		return true;
	}
	while (count-- && alloc_one(world, request, op->tag))
		told()->made++;
	return true;
}

static uint32_t draw_alloc_flags(void)
{
	static const uint32_t flags[] = {
		CF_ALLOC_ZERO, CF_ALLOC_NOWAIT, CF_ALLOC_FROZEN,
		CF_ALLOC_RESERVE, CF_ALLOC_THISNODE, CF_ALLOC_NOSPLIT,
	};
	uint32_t set = 0;

	while (random_chance(30))
		set |= flags[random_below(6)];
	return set;
}

/* Make one field of a request wrong. */
static void spoil_request(struct op *op)
{
	switch (random_below(5)) {
	case 0:
		op->arg[0] = CF_MAX_ORDER + 1 + random_below(9);
		break;
	case 1:
		op->arg[1] = random_below(CF_TYPE_COUNT + 1);
		break;
	case 2:
		op->arg[2] = ARG_OWNER_ORPHAN + random_below(3);
		break;
	case 3:
		op->arg[3] = random_below(CF_ZONE_COUNT + 1);
		break;
	default:
		op->arg[5] |= 1u << (6 + random_below(10));
		break;
	}
}

/* Enough movable frames to be worth thinning and compacting. */
static void draw_many(struct op *op)
{
	op->arg[0] = random_below(3);
	op->arg[1] = CF_TYPE_FOLIO;
	op->arg[2] = random_chance(50) ? ARG_OWNER_MOVER : ARG_OWNER_BARE;
	op->arg[3] = random_chance(70) ? CF_ZONE_MOVABLE : CF_ZONE_NORMAL;
	op->arg[5] = 0;
	op->arg[6] = 300 + random_below(1000);
}

/* A run of several blocks, where there is one. */
static void draw_huge(struct world *world, struct op *op)
{
	uint32_t order = world->setup.block_order + 3;
	uint32_t number;

	for (; order > world->setup.block_order; order--) {
		for (number = 0; number < world->setup.nodes * 2; number++) {
			struct zone_id zone = {
				number / 2, (enum cf_zone_kind)(number % 2),
			};

			if (order > CF_MAX_ORDER ||
			    !zone_fits(world, zone, order, FIT_ANY))
				continue;
			op->arg[0] = order;
			op->arg[1] = CF_TYPE_FOLIO;
			op->arg[2] = random_live_owner(world);
			op->arg[3] = zone.kind;
			op->arg[4] = zone.node;
			op->arg[5] = random_chance(60) ? CF_ALLOC_FROZEN : 0;
			op->arg[6] = 1;
			return;
		}
	}
}

static bool draw_alloc(struct world *world, struct op *op)
{
	op->arg[6] = 1;
	op->arg[0] = random_order(world->setup.block_order + 1);
	op->arg[1] = CF_TYPE_FOLIO;
	op->arg[2] = random_owner(world);
	op->arg[5] = draw_alloc_flags();
	if (random_chance(45)) {
		op->arg[1] = random_chance(50) ? CF_TYPE_KERNEL :
			     random_chance(50) ? CF_TYPE_PGTABLE : CF_TYPE_SLAB;
	} else if (op->arg[2] && random_chance(70)) {
		op->arg[3] = CF_ZONE_MOVABLE;
	}
	if (random_chance(25))
		op->arg[6] += random_below(op->arg[0] > 4 ? 8 : 300);
	op->arg[4] = random_chance(10) ? CF_NODE_ANY :
		     random_below(world->setup.nodes);
	if (op->arg[4] == CF_NODE_ANY)
		op->arg[5] &= ~(uint32_t)CF_ALLOC_THISNODE;
	if (random_chance(3))
		draw_many(op);
	else if (random_chance(8))
		draw_huge(world, op);
	if (is_zeroing_due(world) && random_chance(80))
		op->arg[5] |= CF_ALLOC_ZERO;
	if (random_chance(4))
		spoil_request(op);
	return true;
}

/* ---- freeing and references ---- */

static bool apply_free_frozen(struct world *world, const struct op *op)
{
	struct frame *head = named_run(world, op, WANT_FROZEN);
	cf_pfn pfn;

	if (!head)
		return false;
	pfn = pfn_of(world, head);
	require_stamp(world, pfn);
	cf_free_frozen(world->map, pfn, head->order);
	run_free(world, pfn);
	return true;
}

static bool draw_free_frozen(struct world *world, struct op *op)
{
	return draw_run(world, op, WANT_FROZEN);
}

/* After the engine dropped one reference of a run, the pin aside. */
static void follow_drop(struct world *world, struct frame *head)
{
	const struct owner *owner = owner_by_id(world, head->owner);

	if (head->refs > 1) {
		head->refs--;
		if (head->known > head->refs)
			head->known = head->refs;
		return;
	}
	if (owner && owner->ops->release)
		REQUIRE(head->told, "put: the owner of %#llx was not told",
			(unsigned long long)pfn_of(world, head));
	head->told = false;
	if (!head->kept)
		run_free(world, pfn_of(world, head));
}

void follow_drops(struct world *world, cf_pfn first, cf_pfn last)
{
	cf_pfn pfn = first;

	while ((pfn = next_run(world, pfn, last)) != CF_PFN_NONE) {
		struct frame *head = &world->frame[pfn];
		cf_pfn next = pfn + ((cf_pfn)1 << head->order);

		if (head->refs || head->told)
			follow_drop(world, head);
		else
			run_free(world, pfn);
		pfn = next;
	}
}

/* How a reference goes. */
enum drop { DROP_PUT, DROP_INTERIOR, DROP_UNPIN };

static void drop_one(struct world *world, struct frame *head, enum drop drop,
		     uint32_t offset)
{
	cf_pfn pfn = pfn_of(world, head);
	cf_pfn frames = (cf_pfn)1 << head->order;
	uint64_t before = test_port.signals[CF_SIGNAL_CHUNK_EMPTY];

	if (head->refs == 1)
		require_stamp(world, pfn);
	act_begin(world, ACT_RELEASE, pfn, pfn + frames);
	if (drop == DROP_PUT && pfn % 2)
		cf_put(world->map, pfn);
	else if (drop == DROP_PUT)
		cf_put_bulk(world->map, &pfn, 1);
	else if (drop == DROP_INTERIOR)
		cf_put_interior(world->map, pfn + (offset & (frames - 1)));
	else
		cf_unpin(world->map, pfn);
	act_end(world);
	if (drop == DROP_UNPIN)
		head->pins--;
	follow_drop(world, head);
	if (is_free(world, pfn) || world->frame[pfn].type == CF_TYPE_RETIRED)
		require_empty_signal(world, pfn, frames, before);
}

void run_drop(struct world *world, struct frame *head)
{
	cf_pfn pfn = pfn_of(world, head);

	while (head->pins) {
		bool last = head->refs == 1;

		drop_one(world, head, DROP_UNPIN, 0);
		if (last && !head->kept)
			return;
	}
	if (head->refs)
		require_code("freeze", cf_freeze(world->map, pfn, head->refs),
			     OK);
	cf_free_frozen(world->map, pfn, head->order);
	run_free(world, pfn);
}

static bool apply_put(struct world *world, const struct op *op)
{
	struct frame *head = named_run(world, op, WANT_DROPPABLE);
	uint32_t count = op->arg[2];

	if (!head)
		return false;
	while (count-- && run_is(head, WANT_DROPPABLE))
		drop_one(world, head, DROP_PUT, 0);
	return true;
}

static bool draw_put(struct world *world, struct op *op)
{
	op->arg[2] = random_chance(80) ? 1 : 1 + random_below(4);
	return draw_run(world, op, WANT_DROPPABLE);
}

static bool apply_put_interior(struct world *world, const struct op *op)
{
	struct frame *head = named_run(world, op, WANT_DROPPABLE);

	if (!head)
		return false;
	drop_one(world, head, DROP_INTERIOR, op->arg[2]);
	return true;
}

static bool draw_put_interior(struct world *world, struct op *op)
{
	op->arg[2] = random_below(1u << 12);
	return draw_run(world, op, WANT_DROPPABLE);
}

static bool apply_unpin(struct world *world, const struct op *op)
{
	struct frame *head = named_run(world, op, WANT_PINNED);

	if (!head)
		return false;
	drop_one(world, head, DROP_UNPIN, 0);
	return true;
}

static bool draw_unpin(struct world *world, struct op *op)
{
	return draw_run(world, op, WANT_PINNED);
}

/* Give all runs of a tag back, whatever state they are in. */
static bool apply_drop_set(struct world *world, const struct op *op)
{
	cf_pfn pfn = 0;
	bool any = false;

	while ((pfn = next_run(world, pfn, world->last)) != CF_PFN_NONE) {
		struct frame *head = &world->frame[pfn];

		if (head->tag == op->arg[0] && head->refs == 1 && !head->pins) {
			tell_drop(head);
			drop_one(world, head, DROP_PUT, 0);
			any = true;
		} else if (head->tag == op->arg[0] && !head->refs) {
			tell_drop(head);
			require_stamp(world, pfn);
			cf_free_frozen(world->map, pfn, head->order);
			run_free(world, pfn);
			any = true;
		}
		pfn++;
	}
	return any;
}

/* Leave only every n-th run of a tag: crumbs all over its chunks. */
static bool apply_thin(struct world *world, const struct op *op)
{
	uint32_t every = op->arg[1] ? op->arg[1] : 1;
	uint32_t index = 0;
	cf_pfn pfn = 0;
	bool any = false;

	while ((pfn = next_run(world, pfn, world->last)) != CF_PFN_NONE) {
		struct frame *head = &world->frame[pfn];

		if (head->tag == op->arg[0] && head->refs == 1 &&
		    !head->pins && ++index % every) {
			tell_drop(head);
			drop_one(world, head, DROP_PUT, 0);
			any = true;
		}
		pfn++;
	}
	return any;
}

static bool draw_thin(struct world *world, struct op *op)
{
	if (!draw_run(world, op, WANT_REFERENCED))
		return false;
	op->arg[1] = 2 + random_below(60);
	return true;
}

static bool draw_drop_set(struct world *world, struct op *op)
{
	return draw_run(world, op, WANT_ANY);
}

static bool apply_get(struct world *world, const struct op *op)
{
	struct frame *head = named_run(world, op, WANT_REFERENCED);
	uint32_t count = op->arg[2];
	uint32_t codes;
	int err;

	if (!head)
		return false;
	while (count--) {
		codes = head->refs < CF_REFS_MAX ? OK : E(CF_ELIMIT);
		err = cf_get(world->map, pfn_of(world, head));
		require_code("get", err, codes);
		if (err)
			break;
		head->refs++;
		head->known++;
	}
	return true;
}

static bool draw_get(struct world *world, struct op *op)
{
	if (!draw_run(world, op, WANT_REFERENCED))
		return false;
	op->arg[2] = 1;
	if (named_run(world, op, WANT_ANY)->refs > CF_REFS_MAX / 2)
		op->arg[2] = random_below(6);
	return true;
}

/* What try_get() and pin() of any frame say. */
static uint32_t try_codes(const struct frame *head)
{
	if (!head || !is_counted(head) || !head->refs)
		return E(CF_EGONE);
	return head->refs >= CF_REFS_MAX ? E(CF_ELIMIT) : OK;
}

static bool apply_try_get(struct world *world, const struct op *op)
{
	struct frame *head;
	cf_pfn pfn;
	int err;

	if (!named_where(world, op, &pfn))
		return false;
	head = head_of(world, pfn);
	if (head && pfn_of(world, head) != pfn)
		head = NULL;
	err = cf_try_get(world->map, pfn);
	require_code("try_get", err, try_codes(head));
	if (!err) {
		head->refs++;
		head->stranger = op->tag;
	}
	return true;
}

static bool apply_try_interior(struct world *world, const struct op *op)
{
	struct frame *head;
	cf_pfn pfn, found = CF_PFN_NONE;
	int err;

	if (!named_where(world, op, &pfn))
		return false;
	head = head_of(world, pfn);
	err = cf_try_get_interior(world->map, pfn, &found);
	require_code("try_get_interior", err, try_codes(head));
	if (err)
		return true;
	REQUIRE(found == pfn_of(world, head),
		"try_get_interior: head of %#llx is not %#llx",
		(unsigned long long)pfn, (unsigned long long)found);
	head->refs++;
	head->stranger = op->tag;
	return true;
}

static bool apply_pin(struct world *world, const struct op *op)
{
	uint32_t count = op->arg[3];
	struct frame *head;
	uint32_t codes;
	cf_pfn pfn;
	int err;

	if (!named_where(world, op, &pfn))
		return false;
	head = head_of(world, pfn);
	if (head && pfn_of(world, head) != pfn)
		head = NULL;
	while (count--) {
		codes = try_codes(head);
		if (codes == OK && head->pins >= CF_PINS_MAX)
			codes = E(CF_ELIMIT);
		err = cf_pin(world->map, pfn);
		require_code("pin", err, codes);
		if (err)
			return true;
		head->refs++;
		head->pins++;
	}
	return true;
}

static bool draw_try(struct world *world, struct op *op)
{
	op->arg[3] = random_chance(90) ? 1 : CF_PINS_MAX + 2;
	return draw_where(world, op, random_chance(80) ? WANT_REFERENCED :
			  WANT_ANY);
}

/* ---- freezing, splitting, owners ---- */

static uint32_t freeze_codes(const struct frame *head, uint32_t expected)
{
	if (!head || !is_counted(head))
		return E(CF_EGONE);
	if (!head->refs)
		return expected ? E(CF_EAGAIN) : OK | E(CF_EAGAIN);
	if (head->pins || head->refs != expected)
		return E(CF_EAGAIN);
	return OK;
}

static bool apply_freeze(struct world *world, const struct op *op)
{
	struct frame *head;
	cf_pfn pfn;
	int err;

	if (!named_where(world, op, &pfn))
		return false;
	head = head_of(world, pfn);
	if (head && pfn_of(world, head) != pfn)
		head = NULL;
	err = cf_freeze(world->map, pfn, op->arg[3]);
	require_code("freeze", err, freeze_codes(head, op->arg[3]));
	if (!err) {
		head->refs = 0;
		head->known = 0;
	}
	return true;
}

static bool draw_freeze(struct world *world, struct op *op)
{
	cf_pfn pfn;
	const struct frame *head;

	if (random_chance(10) ? !draw_where(world, op, WANT_ANY) :
				!draw_run(world, op, WANT_REFERENCED))
		return false;
	op->arg[3] = 1 + random_below(3);
	if (random_chance(80) && named_where(world, op, &pfn)) {
		head = head_of(world, pfn);
		if (head)
			op->arg[3] = head->refs;
	}
	return true;
}

static bool apply_unfreeze(struct world *world, const struct op *op)
{
	struct frame *head = named_run(world, op, WANT_FROZEN_COUNTED);

	if (!head || !op->arg[2])
		return false;
	cf_unfreeze(world->map, pfn_of(world, head), op->arg[2]);
	head->refs = op->arg[2];
	head->known = op->arg[2];
	head->kept = false;
	return true;
}

static bool draw_unfreeze(struct world *world, struct op *op)
{
	op->arg[2] = 1 + random_below(3);
	if (random_chance(5))
		op->arg[2] = CF_REFS_MAX - random_below(4);
	return draw_run(world, op, WANT_FROZEN_COUNTED);
}

static void follow_split(struct world *world, struct frame *head,
			 unsigned order)
{
	struct frame whole = *head;
	cf_pfn pfn = pfn_of(world, head);
	cf_pfn last = pfn + ((cf_pfn)1 << whole.order);
	struct run run = { whole.type, whole.owner, 0, whole.tag };
	cf_pfn first = pfn;

	for (; pfn < last; pfn += (cf_pfn)1 << order) {
		run_make(world, pfn, order, run);
		if (pfn == first)
			run_keep(world, pfn, &whole);
		world->frame[pfn].flags = whole.flags;
		world->frame[pfn].kept = whole.kept;
		stamp(world, pfn, order, whole.tag);
	}
}

static bool apply_split(struct world *world, const struct op *op)
{
	struct frame *head;
	uint32_t codes = 0;
	cf_pfn pfn;
	int err;

	if (!named_where(world, op, &pfn))
		return false;
	head = head_of(world, pfn);
	if (!head && pfn < world->last && world->frame[pfn].head != NO_HEAD)
		return false;
	if (!head || pfn_of(world, head) != pfn)
		codes = E(CF_EGONE);
	else if (op->arg[3] >= head->order)
		codes = E(CF_EINVAL);
	if (!(codes & E(CF_EGONE)) && head->refs)
		codes |= E(CF_EAGAIN);
	err = cf_split(world->map, pfn, op->arg[3]);
	require_code("split", err, codes ? codes : OK);
	if (!err)
		follow_split(world, head, op->arg[3]);
	return true;
}

/* A frozen run of several blocks if one is soon found, or any. */
static bool draw_frozen(struct world *world, struct op *op)
{
	const struct frame *head;
	uint32_t tries = random_chance(30) ? 12 : 1;

	while (tries--) {
		if (!draw_run(world, op, WANT_FROZEN))
			return false;
		head = named_run(world, op, WANT_FROZEN);
		if (head && head->order > world->setup.block_order)
			break;
	}
	return true;
}

static bool draw_split(struct world *world, struct op *op)
{
	cf_pfn pfn;
	const struct frame *head;

	if (random_chance(10) ? !draw_where(world, op, WANT_ANY) :
				!draw_frozen(world, op))
		return false;
	op->arg[3] = random_below(CF_CHUNK_ORDER);
	if (random_chance(80) && named_where(world, op, &pfn)) {
		head = head_of(world, pfn);
		if (head && head->order)
			op->arg[3] = random_chance(60) ?
				     random_below(head->order) :
				     head->order - 1u;
	}
	return true;
}

static bool apply_owner_change(struct world *world, const struct op *op)
{
	uint32_t id = owner_id(world, op->arg[3]);
	uint32_t codes = OK;
	struct frame *head;
	cf_pfn pfn;
	int err;

	if (!named_where(world, op, &pfn))
		return false;
	head = head_of(world, pfn);
	if (head && pfn_of(world, head) != pfn)
		head = NULL;
	if (!head || !is_counted(head))
		codes = E(CF_EGONE);
	else if (id == CF_OWNER_ORPHAN)
		codes = OK | E(CF_EGONE);
	else if (id && !owner_by_id(world, id))
		codes = E(CF_EGONE);
	err = cf_owner_change(world->map, pfn, id);
	require_code("owner_change", err, codes);
	if (!err) {
		head->owner = id;
		head->kept = false;
	}
	return true;
}

static bool draw_owner_change(struct world *world, struct op *op)
{
	op->arg[3] = random_chance(95) ? random_owner(world) :
		     ARG_OWNER_ORPHAN + random_below(3);
	return draw_where(world, op, WANT_COUNTED);
}

#define RUN_ARGS	{ "set", ARG_NUMBER }, { "index", ARG_NUMBER }
#define WHERE_ARGS	RUN_ARGS, { "offset", ARG_HEX }

const struct op_type run_ops[] = {
	{ "alloc", { { "order", ARG_NUMBER }, { "type", ARG_TYPE },
		     { "owner", ARG_OWNER }, { "zone", ARG_ZONE },
		     { "node", ARG_NUMBER }, { "flags", ARG_HEX },
		     { "count", ARG_NUMBER } },
	  60, draw_alloc, apply_alloc },
	{ "free_frozen", { RUN_ARGS }, 20,
	  draw_free_frozen, apply_free_frozen },
	{ "put", { RUN_ARGS, { "count", ARG_NUMBER } }, 40, draw_put,
	  apply_put },
	{ "put_interior", { RUN_ARGS, { "offset", ARG_HEX } }, 6,
	  draw_put_interior, apply_put_interior },
	{ "drop_set", { { "set", ARG_NUMBER } }, 20, draw_drop_set,
	  apply_drop_set },
	{ "thin", { { "set", ARG_NUMBER }, { "every", ARG_NUMBER } }, 10,
	  draw_thin, apply_thin },
	{ "get", { RUN_ARGS, { "count", ARG_NUMBER } }, 10, draw_get,
	  apply_get },
	{ "try_get", { WHERE_ARGS }, 12, draw_try, apply_try_get },
	{ "try_get_interior", { WHERE_ARGS }, 8, draw_try,
	  apply_try_interior },
	{ "pin", { WHERE_ARGS, { "count", ARG_NUMBER } }, 8, draw_try,
	  apply_pin },
	{ "unpin", { RUN_ARGS }, 8, draw_unpin, apply_unpin },
	{ "freeze", { WHERE_ARGS, { "refs", ARG_NUMBER } }, 16, draw_freeze,
	  apply_freeze },
	{ "unfreeze", { RUN_ARGS, { "refs", ARG_NUMBER } }, 10,
	  draw_unfreeze, apply_unfreeze },
	{ "split", { WHERE_ARGS, { "order", ARG_NUMBER } }, 12, draw_split,
	  apply_split },
	{ "owner_change", { WHERE_ARGS, { "owner", ARG_OWNER } }, 10,
	  draw_owner_change, apply_owner_change },
	{ NULL, { { NULL, ARG_NUMBER } }, 0, NULL, NULL },
};
