/* SPDX-License-Identifier: MIT */
/*
 * Operations on ranges and on logically offline frames.
 */
#include "ops.h"

uint32_t range_codes(struct world *world, cf_pfn first, cf_pfn last)
{
	uint32_t codes = 0;
	cf_pfn pfn;

	if (first >= last)
		return E(CF_EINVAL);
	if (last > world->last)
		codes |= E(CF_EINVAL) | E(CF_EGONE);
	for (pfn = first; pfn < last && pfn < world->last; pfn++) {
		const struct block *block = block_of(world, pfn);

		if (!in_use(block))
			codes |= E(CF_EGONE);
	}
	return codes;
}

/* A frame, mostly of a block that is in use and that nobody takes offline. */
static uint32_t random_online(struct world *world)
{
	uint32_t i, tries;

	for (tries = 0; tries < 6; tries++) {
		i = random_below(world->setup.blocks);
		if (world->block[i].state == CF_BLOCK_ONLINE)
			return (uint32_t)(i * world->block_frames) +
			       random_below((uint32_t)world->block_frames);
	}
	return random_pfn(world);
}

/* Whole blocks, for runs above their order. Returns how many frames. */
static uint32_t draw_whole_blocks(struct world *world, uint32_t *first)
{
	uint32_t frames = 0, tries;

	for (tries = 0; tries < 8; tries++) {
		frames = (uint32_t)world->block_frames << random_below(3);
		*first = random_online(world) & ~(frames - 1);
		if (*first + frames <= world->last &&
		    !count_states(world, *first, *first + frames,
				  ~STATE(ONLINE)) &&
		    outlook(world, *first, *first + frames, ACT_MOVE) <=
		    OUTLOOK_MOVABLE)
			break;
	}
	return frames;
}

/* A range of any alignment, or of whole chunks, mostly below the end. */
static void draw_range(struct world *world, struct op *op, size_t at)
{
	uint32_t first = random_online(world);
	uint32_t count = 1 + random_below(1u << random_below(11));

	if (random_chance(8)) {
		count = draw_whole_blocks(world, &first);
	} else if (random_chance(30)) {
		first &= ~((uint32_t)CF_CHUNK_FRAMES - 1);
		count = (uint32_t)CF_CHUNK_FRAMES * (1 + random_below(3));
	}
	op->arg[at] = first;
	op->arg[at + 1] = first + count;
	if (random_chance(2))
		op->arg[at + 1] = first - random_below(2);
}

/* Is any frame's chunk held by a going operation? */
static bool any_isolated(struct world *world, cf_pfn first, cf_pfn last)
{
	cf_pfn pfn;

	for (pfn = first; pfn < last; pfn++) {
		if (is_isolated(world, pfn))
			return true;
	}
	return false;
}

/*
 * Judge what a call that takes a range said of a good request. The hooks have
 * followed what moved. Returns whether the range is taken.
 */
static bool judge_taking(struct world *world, cf_pfn first, cf_pfn last,
			 int err, const struct cf_report *report)
{
	enum outlook before = world->act.outlook;
	uint32_t codes = OK | E(CF_EBUSY);

	if (has_failed(TEST_FRAME_ADDRESS))
		codes |= E(CF_EPORT);

	if (before == OUTLOOK_CLEAR)
		codes = OK;
	else if (before == OUTLOOK_BLOCKED)
		codes = E(CF_EBUSY);
	if (world->act.again || world->act.motion ||
	    any_at_limit(world, first, last))
		codes |= E(CF_EAGAIN);
	require_code("range", err, codes);
	if (!err)
		REQUIRE(is_free_run(world, first, last),
			"range: [%#llx, %#llx) taken over what stood there",
			(unsigned long long)first, (unsigned long long)last);
	else if (err == -CF_EBUSY)
		require_report(world, first, last, report);
	return !err;
}

static void begin_taking(struct world *world, cf_pfn first, cf_pfn last)
{
	enum outlook before = outlook(world, first, last, ACT_MOVE);

	if (any_isolated(world, first, last))
		before = OUTLOOK_BLOCKED;
	act_begin(world, ACT_MOVE, first, last);
	world->act.outlook = before;
}

/* ---- contiguous ranges ---- */

static void follow_alloc_range(struct world *world, const struct op *op,
			       struct run run)
{
	cf_pfn first = op->arg[0], last = op->arg[1];
	unsigned order;
	cf_pfn pfn;

	for (pfn = first; pfn < last; pfn += (cf_pfn)1 << order) {
		order = order_at(world, pfn, last, CF_MAX_ORDER);
		if (op->arg[4] & CF_ALLOC_ZERO)
			require_zeroed(pfn, order);
		run_make(world, pfn, order, run);
		stamp(world, pfn, order, run.tag);
	}
}

static bool any_movable_zone(struct world *world, cf_pfn first, cf_pfn last)
{
	cf_pfn pfn;

	for (pfn = first; pfn < last && pfn < world->last; pfn++) {
		if (is_online(world, pfn) &&
		    block_of(world, pfn)->kind == CF_ZONE_MOVABLE)
			return true;
	}
	return false;
}

static bool apply_alloc_range(struct world *world, const struct op *op)
{
	cf_pfn first = op->arg[0], last = op->arg[1];
	struct cf_request request = {
		.type = (uint8_t)op->arg[2],
		.owner = (uint16_t)owner_id(world, op->arg[3]),
		.flags = (uint16_t)op->arg[4],
	};
	bool frozen = request.flags & CF_ALLOC_FROZEN ||
		      request.type == CF_TYPE_PGTABLE ||
		      request.type == CF_TYPE_SLAB;
	struct run run = { request.type, request.owner, frozen ? 0 : 1,
			   op->tag };
	uint32_t codes = request_codes(world, &request) |
			 range_codes(world, first, last);
	struct cf_report report = { 0 };
	struct cf_report *wanted = report_arg(op, &report);
	int err;

	if ((request.type != CF_TYPE_FOLIO || !request.owner) &&
	    any_movable_zone(world, first, last))
		codes |= E(CF_EINVAL);
	if (codes) {
		if (any_isolated(world, first, last < world->last ? last :
				 world->last))
			codes |= E(CF_EBUSY);
		err = cf_alloc_range(world->map, first, last, request,
				     wanted);
		require_code("alloc_range", err, codes);
		return true;
	}
	begin_taking(world, first, last);
	err = cf_alloc_range(world->map, first, last, request, wanted);
	act_settle(world);
	if (judge_taking(world, first, last, err, wanted))
		follow_alloc_range(world, op, run);
	act_end(world);
	return true;
}

static bool draw_alloc_range(struct world *world, struct op *op)
{
	draw_range(world, op, 0);
	op->arg[2] = random_chance(50) ? CF_TYPE_FOLIO : CF_TYPE_KERNEL;
	if (random_chance(20))
		op->arg[2] = CF_TYPE_SLAB;
	op->arg[3] = random_owner(world);
	if (random_chance(20))
		op->arg[4] = CF_ALLOC_FROZEN;
	if (random_chance(is_zeroing_due(world) ? 80 : 10))
		op->arg[4] |= CF_ALLOC_ZERO;
	if (random_chance(85) &&
	    any_movable_zone(world, op->arg[0], op->arg[1])) {
		op->arg[2] = CF_TYPE_FOLIO;
		op->arg[3] = random_live_owner(world);
	}
	if (random_chance(3))
		op->arg[2] = random_below(CF_TYPE_COUNT + 1);
	return true;
}

/* Whole allocated runs without a gap that free_range() may take. */
static bool is_whole(struct world *world, cf_pfn first, cf_pfn last)
{
	cf_pfn pfn = first;

	while (pfn < last) {
		const struct frame *head = head_of(world, pfn);

		if (!head || pfn_of(world, head) != pfn)
			return false;
		if (head->pins && head->pins >= head->refs)
			return false;
		pfn += (cf_pfn)1 << head->order;
	}
	return first < last && pfn == last;
}

static bool apply_free_range(struct world *world, const struct op *op)
{
	struct frame *head = named_run(world, op, WANT_ANY);
	cf_pfn first, last;
	uint32_t runs = op->arg[2];

	if (!head)
		return false;
	first = pfn_of(world, head);
	last = first;
	while (runs-- && last < world->last && head_of(world, last)) {
		head = head_of(world, last);
		if (!is_whole(world, first,
			      last + ((cf_pfn)1 << head->order)))
			break;
		last += (cf_pfn)1 << head->order;
		tell_drop(head);
	}
	if (first == last)
		return false;
	act_begin(world, ACT_RELEASE, first, last);
	cf_free_range(world->map, first, last);
	act_end(world);
	follow_drops(world, first, last);
	return true;
}

static bool draw_free_range(struct world *world, struct op *op)
{
	op->arg[2] = 1 + random_below(12);
	return draw_run(world, op, WANT_ANY);
}

/* ---- logically offline frames ---- */

/* Does every block of the range belong to this owner? */
static bool owns_range(struct world *world, uint32_t id, cf_pfn first,
		       cf_pfn last)
{
	cf_pfn pfn;

	for (pfn = first; pfn < last && pfn < world->last; pfn++) {
		const struct block *block = block_of(world, pfn);

		if (block->state != CF_BLOCK_ABSENT &&
		    (block->orphan || block->range_owner != id))
			return false;
	}
	return true;
}

/* Codes for an owner and flags that are wrong; 0: they are good. */
static uint32_t offline_codes(struct world *world, uint32_t id, uint32_t flags,
			      bool ranges)
{
	const struct owner *owner = owner_by_id(world, id);
	uint32_t codes = 0;

	if (flags & ~(uint32_t)(CF_FLAG_MOVABLE | CF_FLAG_SKIPPABLE))
		codes |= E(CF_EINVAL);
	if (id && !owner)
		codes |= E(CF_EGONE);
	if (id == CF_OWNER_ORPHAN || id >= CF_OWNERS_MAX)
		codes |= E(CF_EINVAL);
	if (flags & CF_FLAG_MOVABLE && !(owner && owner->ops->migrate))
		codes |= E(CF_EREFUSED);
	if (flags & CF_FLAG_SKIPPABLE && (!id || !ranges))
		codes |= E(CF_EREFUSED);
	return codes;
}

static void judge_offline(struct world *world, const struct op *op, cf_pfn pfn)
{
	unsigned order = op->arg[1];
	uint32_t id = owner_id(world, op->arg[0]);
	cf_pfn frames = (cf_pfn)1 << order;
	cf_pfn i;

	REQUIRE(!(pfn & (frames - 1)) && pfn < world->last,
		"offline_alloc: order %u at %#llx", order,
		(unsigned long long)pfn);
	for (i = pfn; i < pfn + frames; i++)
		REQUIRE(is_free(world, i) && !is_isolated(world, i),
			"offline_alloc: %#llx was not free",
			(unsigned long long)i);
	REQUIRE(op->arg[2] || block_of(world, pfn)->kind == CF_ZONE_NORMAL,
		"offline_alloc: unmovable %#llx in zone movable",
		(unsigned long long)pfn);
	REQUIRE(!(op->arg[2] & CF_FLAG_SKIPPABLE) ||
		owns_range(world, id, pfn, pfn + frames),
		"offline_alloc: skippable %#llx is not in the owner's range",
		(unsigned long long)pfn);
}

/* Must a run be found, caches drained? */
static bool offline_is_sure(struct world *world, const struct op *op)
{
	struct cf_request request = {
		.order = (uint8_t)op->arg[1],
		.type = CF_TYPE_FOLIO,
		.zone = op->arg[2] ? CF_ZONE_MOVABLE : CF_ZONE_NORMAL,
	};

	if (op->arg[2] & CF_FLAG_SKIPPABLE &&
	    !owns_range(world, owner_id(world, op->arg[0]), 0, world->last))
		return false;

	return request_is_sure(world, &request);
}

static void follow_bulk(struct world *world, const struct op *op,
			const cf_pfn *pfns, size_t done)
{
	struct run run = { CF_TYPE_OFFLINE, owner_id(world, op->arg[0]), 0,
			   op->tag };
	size_t i;

	for (i = 0; i < done; i++) {
		judge_offline(world, op, pfns[i]);
		frames_offline(world, pfns[i],
			       pfns[i] + ((cf_pfn)1 << op->arg[1]), run,
			       op->arg[2]);
	}
}

#define BULK_MAX	64

static bool apply_offline_alloc(struct world *world, const struct op *op)
{
	uint32_t id = owner_id(world, op->arg[0]);
	uint32_t flags = op->arg[2];
	uint32_t codes = offline_codes(world, id, flags, true);
	uint32_t good = OK | E(CF_ENOMEM);
	cf_pfn pfns[BULK_MAX];
	size_t count = op->arg[3];
	size_t done = 0;
	bool sure;
	int err;

	if (op->arg[1] > world->setup.block_order)
		codes |= E(CF_EINVAL);
	if (flags & CF_FLAG_SKIPPABLE && !owns_range(world, id, 0, world->last))
		good |= E(CF_EREFUSED);
	sure = !codes && offline_is_sure(world, op);
	if (count <= 1) {
		err = cf_offline_alloc(world->map, id, op->arg[1], flags,
				       pfns);
		count = 1;
		done = err ? 0 : 1;
	} else {
		err = cf_offline_alloc_bulk(world->map, id, op->arg[1], flags,
					    count, pfns, &done);
	}
	require_code("offline_alloc", err, codes ? codes : good);
	REQUIRE(done <= count && !err == (done == count),
		"offline_alloc_bulk: error %d and %zu done", err, done);
	REQUIRE(done || !sure || any_failed(),
		"offline_alloc: -CF_ENOMEM for order %u though a run fits",
		op->arg[1]);
	follow_bulk(world, op, pfns, done);
	told()->made = (uint32_t)done;
	if (err == -CF_ENOMEM)
		REQUIRE(any_failed() || !offline_is_sure(world, op),
			"offline_alloc_bulk: stopped though a run fits");
	return true;
}

static uint32_t draw_offline_flags(void)
{
	uint32_t flags = 0;

	if (random_chance(45))
		flags |= CF_FLAG_MOVABLE;
	if (random_chance(15))
		flags |= CF_FLAG_SKIPPABLE;
	if (random_chance(2))
		flags |= 1u << random_below(8);
	return flags;
}

static bool draw_offline_alloc(struct world *world, struct op *op)
{
	op->arg[0] = random_live_owner(world);
	op->arg[1] = random_order(world->setup.block_order);
	op->arg[2] = draw_offline_flags();
	op->arg[3] = random_chance(70) ? 1 : 1 + random_below(BULK_MAX);
	if (random_chance(3))
		op->arg[1] = world->setup.block_order + 1 + random_below(20);
	return true;
}

static bool apply_offline_range(struct world *world, const struct op *op)
{
	uint32_t id = owner_id(world, op->arg[0]);
	cf_pfn first = op->arg[1], last = op->arg[2];
	struct run run = { CF_TYPE_OFFLINE, id, 0, op->tag };
	uint32_t codes = range_codes(world, first, last) |
			 offline_codes(world, id, op->arg[3],
				       owns_range(world, id, first, last));
	struct cf_report report = { 0 };
	struct cf_report *wanted = report_arg(op, &report);
	int err;

	if (codes) {
		if (any_isolated(world, first, last < world->last ? last :
				 world->last))
			codes |= E(CF_EBUSY);
		err = cf_offline_alloc_range(world->map, id, first, last,
					     op->arg[3], wanted);
		require_code("offline_alloc_range", err, codes);
		return true;
	}
	begin_taking(world, first, last);
	err = cf_offline_alloc_range(world->map, id, first, last, op->arg[3],
				     wanted);
	act_settle(world);
	if (judge_taking(world, first, last, err, wanted))
		frames_offline(world, first, last, run, op->arg[3]);
	act_end(world);
	return true;
}

static uint32_t slot_of(struct world *world, uint32_t id)
{
	uint32_t i;

	for (i = 0; i < OWNERS; i++) {
		if (world->owner[i].live && world->owner[i].id == id)
			return i + 1;
	}
	return id ? ARG_OWNER_ORPHAN : ARG_OWNER_NONE;
}

static bool draw_offline_range(struct world *world, struct op *op)
{
	uint32_t owner;

	op->arg[0] = random_live_owner(world);
	draw_range(world, op, 1);
	op->arg[3] = draw_offline_flags();
	owner = op->arg[1] < world->last ?
		block_of(world, op->arg[1])->range_owner : 0;
	/* What virtio-mem does when it unplugs. */
	if (owner && random_chance(50)) {
		op->arg[0] = slot_of(world, owner);
		op->arg[3] |= CF_FLAG_SKIPPABLE;
	}
	return true;
}

/* What a range of offline frames may hold besides: left as it is. */
static bool is_carved(const struct frame *frame)
{
	return frame->head != NO_HEAD && (frame->type == CF_TYPE_RESERVED ||
					  frame->type == CF_TYPE_RETIRED);
}

/* Frames of the range that a call on the orphan's frames may meet. */
static uint64_t count_orphans(struct world *world, cf_pfn first, cf_pfn last)
{
	uint64_t count = 0;
	cf_pfn pfn;

	for (pfn = first; pfn < last && pfn < world->last; pfn++) {
		const struct frame *frame = &world->frame[pfn];

		count += frame->head != NO_HEAD &&
			 (is_carved(frame) ||
			  (frame->type == CF_TYPE_OFFLINE &&
			   frame->owner == CF_OWNER_ORPHAN));
	}
	return count;
}

/* Codes of calls on frames that are offline already. */
static uint32_t held_codes(struct world *world, uint32_t id, cf_pfn first,
			   cf_pfn last)
{
	uint32_t codes = range_codes(world, first, last);
	cf_pfn pfn;

	for (pfn = first; pfn < last && pfn < world->last; pfn++) {
		const struct frame *frame = &world->frame[pfn];

		if (is_carved(frame))
			continue;
		if (frame->head == NO_HEAD || frame->type != CF_TYPE_OFFLINE ||
		    frame->owner != id)
			return codes | E(CF_EREFUSED);
	}
	return id == CF_OWNER_ORPHAN ? codes | E(CF_EREFUSED) : codes;
}

static void require_exposed(struct world *world, cf_pfn first, cf_pfn last)
{
	cf_pfn pfn;

	for (pfn = first; pfn < last; pfn++)
		REQUIRE(world->frame[pfn].exposed || world->frame[pfn].bad ||
			is_carved(&world->frame[pfn]),
			"offline_free: the port was not told of %#llx",
			(unsigned long long)pfn);
}

static void follow_offline_free(struct world *world, cf_pfn first, cf_pfn last)
{
	cf_pfn pfn;

	for (pfn = first; pfn < last; pfn++) {
		if (!is_carved(&world->frame[pfn]))
			frames_free(world, pfn, pfn + 1);
	}
}

/* The port failed: the frames before that are free, no others. */
static void follow_exposed(struct world *world, cf_pfn first, cf_pfn last)
{
	bool stopped = false, left = false;
	cf_pfn pfn;

	for (pfn = first; pfn < last; pfn++) {
		struct frame *frame = &world->frame[pfn];

		if (is_carved(frame))
			continue;
		/* Of a bad frame the port may not have been told. */
		if (frame->bad && !frame->exposed) {
			if (cf_retire_state(world->map, pfn) == CF_RETIRE_DONE)
				frames_free(world, pfn, pfn + 1);
			else
				left = true;
			continue;
		}
		REQUIRE(!frame->exposed || !stopped,
			"offline_free: %#llx is exposed after one that failed",
			(unsigned long long)pfn);
		stopped |= !frame->exposed;
		if (frame->exposed)
			frames_free(world, pfn, pfn + 1);
	}
	REQUIRE(stopped || left, "offline_free: failed and exposed all");
}

/* Forget what was exposed, or demand that nothing was. */
static void clear_exposed(struct world *world, cf_pfn first, cf_pfn last,
			  bool demand)
{
	cf_pfn pfn;

	for (pfn = first; pfn < last && pfn < world->last; pfn++) {
		REQUIRE(!demand || !world->frame[pfn].exposed,
			"offline_free: failed and exposed %#llx",
			(unsigned long long)pfn);
		world->frame[pfn].exposed = false;
	}
}

static bool apply_offline_free(struct world *world, const struct op *op)
{
	uint32_t id = owner_id(world, op->arg[0 + 2]);
	uint32_t count = op->arg[3];
	uint32_t codes;
	cf_pfn first, last;
	int err;

	if (!named_offline(world, op, &first))
		return false;
	last = first + count;
	codes = held_codes(world, id, first, last);
	clear_exposed(world, first, last, false);
	if (count && !(count & (count - 1)) && op->arg[4])
		err = cf_offline_free(world->map, id, first,
				      (unsigned)__builtin_ctz(count));
	else
		err = cf_offline_free_range(world->map, id, first, last);
	if (any_failed()) {
		REQUIRE(!codes, "offline_free: exposes and must refuse");
		require_code("offline_free", err, E(CF_EPORT));
		follow_exposed(world, first, last);
		return true;
	}
	require_code("offline_free", err, codes ? codes : OK);
	if (err) {
		clear_exposed(world, first, last, true);
		return true;
	}
	require_exposed(world, first, last);
	follow_offline_free(world, first, last);
	return true;
}

/* How far the offline frames of one owner go on from here. */
static uint32_t stretch(struct world *world, cf_pfn pfn)
{
	uint32_t owner = world->frame[pfn].owner;
	uint32_t count = 0;

	for (; pfn < world->last && world->frame[pfn].head != NO_HEAD &&
	       world->frame[pfn].type == CF_TYPE_OFFLINE &&
	       world->frame[pfn].owner == owner; pfn++)
		count++;
	return count;
}

/* arg[2]: the owner, arg[3]: how many frames. */
static bool draw_held(struct world *world, struct op *op)
{
	cf_pfn pfn;
	uint32_t count;

	if (!draw_offline(world, op) || !named_offline(world, op, &pfn))
		return false;
	count = stretch(world, pfn);
	op->arg[2] = slot_of(world, world->frame[pfn].owner);
	op->arg[3] = random_chance(50) ? count : 1 + random_below(count);
	op->arg[4] = random_chance(30);
	if (random_chance(4))
		op->arg[2] = random_owner(world);
	if (random_chance(4))
		op->arg[3] = count + random_below(100);
	if (random_chance(2))
		op->arg[3] = 0;
	return true;
}

static bool apply_set_skippable(struct world *world, const struct op *op)
{
	uint32_t id = owner_id(world, op->arg[2]);
	uint32_t codes;
	cf_pfn first, last, pfn;
	int err;

	if (!named_offline(world, op, &first))
		return false;
	last = first + op->arg[3];
	codes = held_codes(world, id, first, last);
	if (!id || !owns_range(world, id, first, last))
		codes = (codes & ~OK) | E(CF_EREFUSED);
	err = cf_offline_set_skippable(world->map, id, first, last,
				       op->arg[4]);
	require_code("offline_set_skippable", err, codes ? codes : OK);
	for (pfn = first; !err && pfn < last; pfn++) {
		if (is_carved(&world->frame[pfn]))
			continue;
		world->frame[pfn].flags &= (uint8_t)~CF_FLAG_SKIPPABLE;
		if (op->arg[4])
			world->frame[pfn].flags |= CF_FLAG_SKIPPABLE;
	}
	return true;
}

static bool draw_set_skippable(struct world *world, struct op *op)
{
	const struct frame *frame;
	cf_pfn pfn;

	if (!draw_held(world, op) || !named_offline(world, op, &pfn))
		return false;
	frame = &world->frame[pfn];
	if (random_chance(85) &&
	    (!frame->owner ||
	     block_of(world, pfn)->range_owner != frame->owner))
		return false;
	op->arg[4] = random_chance(70);
	return true;
}

/* Only a head has a payload; where heads are is the engine's to say. */
static bool apply_set_payload(struct world *world, const struct op *op)
{
	uint32_t id = owner_id(world, op->arg[2]);
	struct cf_snapshot snapshot;
	struct frame *frame;
	uint32_t codes;
	cf_pfn pfn;
	int err;

	if (!named_offline(world, op, &pfn))
		return false;
	frame = &world->frame[pfn];
	codes = E(CF_EGONE);
	if (!cf_snapshot(world->map, pfn, &snapshot)) {
		REQUIRE(snapshot.type == CF_TYPE_OFFLINE,
			"snapshot: offline frame %#llx heads another type",
			(unsigned long long)pfn);
		if (frame->owner == id && id != CF_OWNER_ORPHAN)
			codes = OK;
	}
	err = cf_offline_set_payload(world->map, id, pfn, op->arg[3]);
	require_code("offline_set_payload", err, codes);
	if (!err) {
		frame->payload = op->arg[3];
		frame->payload_order = (uint8_t)snapshot.order;
	}
	return true;
}

static bool draw_set_payload(struct world *world, struct op *op)
{
	if (!draw_held(world, op))
		return false;
	op->arg[3] = random_below(UINT32_MAX);
	return true;
}

/* The new owner is arg[2]; frames of the orphan's, or it is refused. */
static bool apply_adopt_frames(struct world *world, const struct op *op)
{
	uint32_t id = owner_id(world, op->arg[2]);
	uint32_t codes;
	cf_pfn first, last, pfn;
	int err;

	if (!named_offline(world, op, &first))
		return false;
	last = first + op->arg[3];
	codes = range_codes(world, first, last);
	if (count_orphans(world, first, last) < last - first)
		codes |= E(CF_EREFUSED);
	if (!owner_by_id(world, id))
		codes |= E(CF_EGONE);
	err = cf_offline_adopt_range(world->map, id, first, last);
	require_code("offline_adopt_range", err, codes ? codes : OK);
	for (pfn = first; !err && pfn < last; pfn++) {
		if (!is_carved(&world->frame[pfn]))
			world->frame[pfn].owner = id;
	}
	return true;
}

static bool draw_adopt_frames(struct world *world, struct op *op)
{
	if (!draw_held(world, op))
		return false;
	if (op->arg[2] != ARG_OWNER_ORPHAN && random_chance(80))
		return false;
	op->arg[2] = random_live_owner(world);
	return true;
}

#define HELD_ARGS	{ "set", ARG_NUMBER }, { "index", ARG_NUMBER },	\
			{ "owner", ARG_OWNER }
#define RANGE_ARGS	{ "first", ARG_HEX }, { "last", ARG_HEX }

const struct op_type range_ops[] = {
	{ "alloc_range", { RANGE_ARGS, { "type", ARG_TYPE },
			   { "owner", ARG_OWNER }, { "flags", ARG_HEX } },
	  16, draw_alloc_range, apply_alloc_range },
	{ "free_range", { { "set", ARG_NUMBER }, { "index", ARG_NUMBER },
			  { "runs", ARG_NUMBER } },
	  16, draw_free_range, apply_free_range },
	{ "offline_alloc", { { "owner", ARG_OWNER }, { "order", ARG_NUMBER },
			     { "flags", ARG_HEX }, { "count", ARG_NUMBER } },
	  14, draw_offline_alloc, apply_offline_alloc },
	{ "offline_alloc_range", { { "owner", ARG_OWNER }, RANGE_ARGS,
				   { "flags", ARG_HEX } },
	  14, draw_offline_range, apply_offline_range },
	{ "offline_free", { HELD_ARGS, { "frames", ARG_NUMBER },
			    { "single", ARG_NUMBER } },
	  22, draw_held, apply_offline_free },
	{ "set_skippable", { HELD_ARGS, { "frames", ARG_NUMBER },
			     { "skippable", ARG_NUMBER } },
	  14, draw_set_skippable, apply_set_skippable },
	{ "set_payload", { HELD_ARGS, { "payload", ARG_HEX } },
	  6, draw_set_payload, apply_set_payload },
	{ "offline_adopt", { HELD_ARGS, { "frames", ARG_NUMBER } },
	  8, draw_adopt_frames, apply_adopt_frames },
	{ NULL, { { NULL, ARG_NUMBER } }, 0, NULL, NULL },
};
