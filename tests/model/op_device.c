/* SPDX-License-Identifier: MIT */
/*
 * Device memory.  One operation is the whole life of a range in absent blocks:
 * it comes, its runs are handed out, cut, joined, moved, found bad, and it
 * goes; so no other operation meets it.  A model of its own, a struct a frame,
 * foretells each call and is compared with the engine frame by frame.
 */
#include <string.h>

#include "ops.h"

#define ACTIONS		40
#define POISON_DEFAULT	64

struct cell {
	uint32_t head;		/* offset of its run */
	uint8_t type, order;
	bool bad;		/* of the head: it holds a bad frame */
	uint32_t refs, pins;
};

static struct device {
	struct world *world;
	cf_pfn first, last;
	enum cf_pagemap_kind kind;
	uint32_t id;
	uint64_t seed;
	bool closed;
	cf_pfn released;	/* what the hook was told of, or NONE */
	cf_pfn target;		/* where a fault goes */
	bool again;		/* the hook hands out what it is told of */
	struct cell cell[FRAMES_MAX];
} device;

static uint32_t below(uint32_t limit)
{
	device.seed ^= device.seed << 13;
	device.seed ^= device.seed >> 7;
	device.seed ^= device.seed << 17;
	return (uint32_t)(device.seed >> 16) % limit;
}

static uint32_t count(void)
{
	return (uint32_t)(device.last - device.first);
}

static cf_pfn pfn_at(uint32_t at)
{
	return device.first + at;
}

/* ---- the model of a range ---- */

static void make(uint32_t at, unsigned order, struct cell like)
{
	uint32_t i;

	like.head = at;
	like.order = (uint8_t)order;
	for (i = 0; i < 1u << order; i++)
		device.cell[at + i] = like;
}

static bool is_bad(uint32_t at)
{
	return device.world->frame[pfn_at(at)].bad;
}

static uint64_t count_bad(uint32_t at, uint32_t size)
{
	uint64_t count = 0;
	uint32_t i;

	for (i = at; i < at + size; i++)
		count += is_bad(i);
	return count;
}

/* Idle runs around what is bad in [at, last), as large as fit. */
static void lay(uint32_t at, uint32_t last)
{
	struct cell idle = { .type = CF_TYPE_DEVICE };
	struct cell retired = { .type = CF_TYPE_RETIRED };
	unsigned order;
	uint32_t i;

	for (; at < last; at += 1u << order) {
		order = 0;
		if (is_bad(at)) {
			make(at, 0, retired);
			continue;
		}
		for (i = 1; order < CF_CHUNK_ORDER; i = 1) {
			if (at & ((2u << order) - 1) ||
			    at + (2u << order) > last)
				break;
			while (i < 2u << order && !is_bad(at + i))
				i++;
			if (i < 2u << order)
				break;
			order++;
		}
		make(at, order, idle);
	}
}

static void compare_frame(uint32_t at)
{
	const struct cell *cell = &device.cell[device.cell[at].head];
	cf_pfn head = cf_find_head(device.world->map, pfn_at(at));
	struct cf_snapshot run = { .type = CF_TYPE_NONE };

	REQUIRE(head == pfn_at(cell->head), "device: head of %#llx is %#llx",
		(unsigned long long)pfn_at(at), (unsigned long long)head);
	if (cell->head != at)
		return;
	require_code("snapshot", cf_snapshot(device.world->map, head, &run),
		     OK);
	REQUIRE(run.type == (enum cf_type)cell->type &&
		run.order == cell->order && run.refs == cell->refs &&
		run.pins == cell->pins,
		"device: %#llx is %s order %u refs %u pins %u, not %u %u %u %u",
		(unsigned long long)head, cf_type_name(run.type), run.order,
		run.refs, run.pins, cell->type, cell->order, cell->refs,
		cell->pins);
	REQUIRE(cell->type != CF_TYPE_DEVICE ||
		run.flags == ((cell->bad ? CF_FLAG_POISON : 0u) |
			      (device.closed ? CF_FLAG_CLOSED : 0u)),
		"device: flags of %#llx are %#x", (unsigned long long)head,
		run.flags);
}

static void compare_info(void)
{
	struct cf_pagemap_info info = { .first = 0 };
	uint64_t idle = 0, used = 0, retired = 0, reserved = 0;
	uint32_t at;

	for (at = 0; at < count(); at++) {
		const struct cell *cell = &device.cell[device.cell[at].head];

		idle += cell->type == CF_TYPE_DEVICE && !cell->refs;
		used += cell->type == CF_TYPE_DEVICE && cell->refs;
		retired += cell->type == CF_TYPE_RETIRED;
		reserved += cell->type == CF_TYPE_RESERVED;
	}
	require_code("pagemap_info",
		     cf_pagemap_info(device.world->map, pfn_at(count() / 2),
				     &info), OK);
	REQUIRE(info.first == device.first && info.last == device.last &&
		info.kind == device.kind && info.owner == device.id &&
		info.removing == device.closed && info.idle == idle &&
		info.used == used && info.retired == retired &&
		info.reserved == reserved, "pagemap_info: wrong");
	REQUIRE(strcmp(cf_pagemap_kind_name(info.kind), "unknown") != 0,
		"pagemap_kind_name: no name");
}

static void compare_range(void)
{
	struct cf_finding finding = { .kind = CF_FINDING_NONE };
	uint32_t at;

	for (at = 0; at < count(); at++)
		compare_frame(at);
	compare_info();
	REQUIRE(cf_verify(device.world->map, &finding),
		"device: verify finds %s at %#llx",
		cf_finding_name(finding.kind),
		(unsigned long long)finding.pfn);
}

/* ---- hooks ---- */

static enum cf_verdict released(void *context, cf_pfn pfn, unsigned order)
{
	struct cell *cell = &device.cell[pfn - device.first];

	(void)context;
	REQUIRE(cell->order == order && cell->refs == 0,
		"device: release of %#llx out of place",
		(unsigned long long)pfn);
	device.released = pfn;
	if (!device.again || cell->bad || device.closed)
		return CF_VERDICT_FREE;
	require_code("hand_out in release",
		     cf_pagemap_hand_out(device.world->map, device.id, pfn),
		     OK);
	cell->refs = 1;
	return CF_VERDICT_KEEP;
}

static int copy(void *context, cf_pfn source, cf_pfn target, unsigned order)
{
	(void)context;
	(void)source;
	(void)target;
	(void)order;
	return 0;
}

static int fault(void *context, cf_pfn pfn, unsigned order, cf_pfn touched,
		 cf_pfn *ret_pfn)
{
	struct cell *cell = &device.cell[pfn - device.first];
	struct cf_migration migration = {
		.source = pfn,
		.refs = cell->refs,
		.extra = 1,
		.targets = &device.target,
		.count = 1,
		.copy = copy,
	};
	uint32_t refs = cell->refs;
	int err;

	(void)context;
	(void)order;
	if (device.target == CF_PFN_NONE)
		return -CF_ENOMEM;
	cell->refs = 0;
	err = cf_pagemap_migrate(device.world->map, &migration);
	if (err)
		cell->refs = refs;
	*ret_pfn = device.target + (touched - pfn);
	return err;
}

static const struct cf_owner_ops hooks = {
	.release = released,
	.fault = fault,
};

/* ---- actions; @at is a head ---- */

static bool is_used(const struct cell *cell)
{
	return cell->type == CF_TYPE_DEVICE && cell->refs;
}

static void do_hand_out(uint32_t at, struct cell *cell)
{
	uint32_t codes = OK;

	if (cell->type != CF_TYPE_DEVICE)
		codes = E(CF_EGONE);
	else if (cell->bad || device.closed)
		codes = E(CF_EREFUSED);
	else if (cell->refs)
		codes = E(CF_EAGAIN);
	require_code("pagemap_hand_out",
		     cf_pagemap_hand_out(device.world->map, device.id,
					 pfn_at(at)), codes);
	if (codes == OK)
		cell->refs = 1;
}

static void do_get(uint32_t at, struct cell *cell)
{
	bool pin = below(3) == 0;
	uint32_t codes = is_used(cell) && !device.closed ? OK : E(CF_EGONE);

	if (pin)
		require_code("pin", cf_pin(device.world->map, pfn_at(at)),
			     codes);
	else
		require_code("try_get", cf_try_get(device.world->map,
						   pfn_at(at)), codes);
	if (codes == OK) {
		cell->refs++;
		cell->pins += pin;
	}
}

static void do_put(uint32_t at, struct cell *cell)
{
	bool last = cell->refs == 1;
	bool unpin = cell->pins && (cell->refs == cell->pins || below(2));

	if (!is_used(cell))
		return;
	cell->refs--;
	cell->pins -= unpin;
	device.released = CF_PFN_NONE;
	device.again = below(4) == 0;
	if (unpin)
		cf_unpin(device.world->map, pfn_at(at));
	else
		cf_put(device.world->map, pfn_at(at));
	REQUIRE(device.released == (last ? pfn_at(at) : CF_PFN_NONE),
		"device: the put of %#llx told of %#llx",
		(unsigned long long)pfn_at(at),
		(unsigned long long)device.released);
	device.again = false;
}

static void do_split(uint32_t at, struct cell *cell)
{
	unsigned order = below(cell->order + 1u);
	struct cell like = *cell;
	uint32_t i, size = 1u << cell->order;
	uint32_t codes = OK;

	if (cell->type != CF_TYPE_DEVICE || cell->refs)
		codes = E(CF_EAGAIN);
	else if (order >= cell->order)
		codes = E(CF_EINVAL);
	require_code("split", cf_split(device.world->map, pfn_at(at), order),
		     codes);
	for (i = 0; codes == OK && i < size; i += 1u << order)
		make(at + i, order, like);
}

/* What keeps [at, at + size) from being one idle run; 0: nothing. */
static uint32_t apart(uint32_t at, uint32_t size)
{
	const struct cell *like = &device.cell[at];
	uint32_t i;

	if (like->head != at)
		return E(CF_EGONE);
	for (i = at; i < at + size; i += 1u << device.cell[i].order) {
		const struct cell *cell = &device.cell[i];

		if (cell->type != CF_TYPE_DEVICE)
			return E(CF_EREFUSED);
		if (cell->refs)
			return E(CF_EAGAIN);
		if (cell->bad != like->bad ||
		    i + (1u << cell->order) > at + size)
			return E(CF_EREFUSED);
	}
	return 0;
}

static void do_merge(uint32_t at, struct cell *cell)
{
	unsigned order = below(device.world->setup.block_order + 2);
	uint32_t size = 1u << order;
	struct cell like = *cell;
	uint32_t codes;

	at &= ~(size - 1);
	if (!order || order > device.world->setup.block_order)
		codes = E(CF_EINVAL);
	else
		codes = apart(at, size);
	require_code("merge", cf_merge(device.world->map, pfn_at(at), order),
		     codes ? codes : OK);
	if (!codes) {
		like = device.cell[at];
		make(at, order, like);
	}
}

static void do_retire(uint32_t at, struct cell *cell)
{
	struct world *world = device.world;
	uint32_t most = world->setup.poison_max ? world->setup.poison_max :
			POISON_DEFAULT;
	uint32_t size = 1u << cell->order;
	uint32_t bad = at + below(size);
	enum cf_retire_state state;
	uint64_t found = 0;

	if (cell->type != CF_TYPE_DEVICE || below(3))
		return;
	if (world->bad < most && !is_bad(bad) && !device.closed) {
		require_code("retire", cf_retire(world->map, pfn_at(bad),
						 &state), OK);
		world->frame[pfn_at(bad)].bad = true;
		world->bad++;
		cell->bad = true;
	}
	require_code("pagemap_retire",
		     cf_pagemap_retire(world->map, device.id, pfn_at(at),
				       &found),
		     cell->refs ? E(CF_EAGAIN) : OK);
	/* A part of a run that was marked need not have the bad frame. */
	REQUIRE(cell->refs || found == (cell->bad ? count_bad(at, size) : 0),
		"pagemap_retire: %llu frames were bad",
		(unsigned long long)found);
	if (!cell->refs && cell->bad)
		lay(at, at + size);
}

/* A run of the machine's goes to the device. */
static void do_migrate(uint32_t at, struct cell *cell)
{
	struct cf_request request = {
		.type = CF_TYPE_KERNEL, .order = cell->order,
	};
	cf_pfn target = pfn_at(at);
	struct cf_migration migration = {
		.refs = 1, .targets = &target, .count = 1, .copy = copy,
	};
	uint32_t codes = OK;
	int err;

	if (cell->type != CF_TYPE_DEVICE || cell->order > CF_CHUNK_ORDER ||
	    cf_alloc(device.world->map, request, &migration.source))
		return;
	if (cell->bad || device.closed)
		codes = E(CF_EREFUSED);
	else if (cell->refs)
		codes = E(CF_EAGAIN);
	err = cf_pagemap_migrate(device.world->map, &migration);
	require_code("pagemap_migrate", err, codes);
	if (err)
		cf_put(device.world->map, migration.source);
	else
		cell->refs = 1;
}

/* A CPU touches it: it comes back, if there is room. */
static void do_fault(uint32_t at, struct cell *cell)
{
	struct cf_request request = {
		.type = CF_TYPE_KERNEL, .order = cell->order,
		.flags = CF_ALLOC_FROZEN,
	};
	uint32_t refs = cell->refs;
	uint32_t codes = OK;
	cf_pfn where;
	int err;

	device.target = CF_PFN_NONE;
	if (cell->order <= CF_CHUNK_ORDER &&
	    cf_alloc(device.world->map, request, &device.target))
		device.target = CF_PFN_NONE;
	if (device.kind != CF_PAGEMAP_PRIVATE)
		codes = E(CF_EINVAL);
	else if (!is_used(cell))
		codes = E(CF_EGONE);
	else if (device.target == CF_PFN_NONE)
		codes = E(CF_ENOMEM);
	else if (cell->pins)
		codes = E(CF_EAGAIN);
	err = cf_pagemap_fault(device.world->map, pfn_at(at), &where);
	require_code("pagemap_fault", err, codes);
	if (err && device.target != CF_PFN_NONE)
		cf_free_frozen(device.world->map, device.target,
			       request.order);
	while (!err && refs--)
		cf_put(device.world->map, device.target);
}

/* Begin to remove it, or stop that. */
static void do_close(uint32_t at, struct cell *cell)
{
	struct cf_map *map = device.world->map;
	struct cf_report report;
	uint32_t held = 0;

	(void)cell;
	for (at = 0; at < count(); at += 1u << device.cell[at].order)
		held += is_used(&device.cell[at]);
	if (below(2))
		return;
	if (!device.closed) {
		require_code("pagemap_remove_start",
			     cf_pagemap_remove_start(map, device.first,
						     device.last), OK);
		device.closed = true;
	} else if (held) {
		require_code("pagemap_remove_step",
			     cf_pagemap_remove_step(map, device.first,
						    device.last, &report),
			     E(CF_EBUSY));
		REQUIRE(report.owner == device.id &&
			(report.reason == CF_REASON_REFERENCED ||
			 report.reason == CF_REASON_PINNED),
			"pagemap_remove_step: reason %d", (int)report.reason);
	} else {
		require_code("pagemap_remove_cancel",
			     cf_pagemap_remove_cancel(map, device.first,
						      device.last), OK);
		device.closed = false;
	}
}

static void act(void)
{
	static void (*const actions[])(uint32_t at, struct cell *cell) = {
		do_hand_out, do_hand_out, do_get, do_put, do_put, do_split,
		do_split, do_merge, do_retire, do_migrate, do_fault, do_close,
	};
	uint32_t at = device.cell[below(count())].head;

	actions[below(sizeof(actions) / sizeof(actions[0]))]
		(at, &device.cell[at]);
	compare_frame(at);
}

/* ---- the operation ---- */

static int add(uint32_t meta)
{
	struct cf_pagemap_config config = {
		.kind = device.kind,
		.owner = device.id,
		.meta = (enum cf_meta)meta,
	};

	return cf_pagemap_add(device.world->map, device.first, device.last,
			      &config);
}

/* All frames idle, but for metadata of the range's own. */
static void begin(uint32_t meta)
{
	struct world *world = device.world;
	uint32_t block = (uint32_t)world->block_frames;
	uint32_t self = meta == CF_META_SELF ? world->self_frames : 0;
	struct cell own = { .type = CF_TYPE_RESERVED };
	uint32_t at, order;

	memset(device.cell, 0, sizeof(device.cell));
	for (at = 0; at < count(); at += block) {
		uint32_t to = at;

		while (to < at + self) {
			for (order = 0; !(to & ((2u << order) - 1)) &&
			     to + (2u << order) <= at + self &&
			     order < CF_CHUNK_ORDER; order++)
				continue;
			make(to, order, own);
			to += 1u << order;
		}
		lay(to, at + block);
	}
}

/* Everything comes back, and the range goes. */
static void end(void)
{
	struct cf_map *map = device.world->map;
	uint32_t at;

	for (at = 0; at < count(); at += 1u << device.cell[at].order)
		while (is_used(&device.cell[at]))
			do_put(at, &device.cell[at]);
	compare_range();
	if (device.closed)
		require_code("pagemap_remove_cancel",
			     cf_pagemap_remove_cancel(map, device.first,
						      device.last), OK);
	device.closed = false;
	require_code("pagemap_remove",
		     cf_pagemap_remove(map, device.first, device.last, 1,
				       NULL), OK);
	require_code("owner_unregister",
		     cf_owner_unregister(map, device.id, NULL), OK);
}

static bool apply_device(struct world *world, const struct op *op)
{
	uint32_t meta = op->arg[4] % 3 == 1 ? 0 : op->arg[4] % 3;
	uint32_t codes = OK;
	uint32_t i;
	int err;

	memset(&device, 0, offsetof(struct device, cell));
	device.world = world;
	device.first = blocks_first(world, op);
	device.last = blocks_last(world, op);
	device.kind = (enum cf_pagemap_kind)(1 + op->arg[3] % 5);
	device.seed = op->arg[5] | UINT64_C(0x9e3779b900000000);
	if (blocks_wrong(world, device.first, device.last) ||
	    count_states(world, device.first, device.last, ~STATE(ABSENT)))
		return false;
	require_code("owner_register",
		     cf_owner_register(world->map, "device", &hooks, NULL,
				       &device.id), OK);
	if (device.kind == CF_PAGEMAP_PRIVATE && meta == CF_META_SELF)
		codes = E(CF_EINVAL);
	err = add(meta);
	if (any_failed())
		codes = E(CF_ENOMEM);
	require_code("pagemap_add", err, codes);
	if (err) {
		require_code("owner_unregister",
			     cf_owner_unregister(world->map, device.id, NULL),
			     OK);
		return true;
	}
	begin(meta);
	compare_range();
	for (i = 0; i < ACTIONS; i++)
		act();
	end();
	return true;
}

static bool draw_device(struct world *world, struct op *op)
{
	if (!draw_blocks(world, op, STATE(ABSENT)))
		return false;
	op->arg[2] = 0;
	op->arg[3] = random_below(5);
	op->arg[4] = random_below(3);
	op->arg[5] = random_below(UINT32_MAX);
	return true;
}

const struct op_type device_ops[] = {
	{ "device", { BLOCK_ARGS, { "kind", ARG_NUMBER },
		      { "meta", ARG_NUMBER }, { "seed", ARG_NUMBER } },
	  12, draw_device, apply_device },
	{ NULL, { { NULL, ARG_NUMBER } }, 0, NULL, NULL },
};
