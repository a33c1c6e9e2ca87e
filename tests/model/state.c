/* SPDX-License-Identifier: MIT */
/*
 * The model's state: an array of frames and plain loops over it. Speed is no
 * aim here, being obviously right is.
 */
#include <stdlib.h>
#include <string.h>

#include "model.h"

struct block *block_of(struct world *world, cf_pfn pfn)
{
	return &world->block[pfn / world->block_frames];
}

bool in_use(const struct block *block)
{
	return block->state == CF_BLOCK_ONLINE ||
	       block->state == CF_BLOCK_GOING_OFFLINE;
}

bool is_online(struct world *world, cf_pfn pfn)
{
	return pfn < world->last && in_use(block_of(world, pfn));
}

/* A chunk is isolated by a going operation or by the call that runs. */
bool is_isolated(struct world *world, cf_pfn pfn)
{
	const struct act *act = &world->act;
	cf_pfn chunk = pfn & ~(CF_CHUNK_FRAMES - 1);
	size_t i;

	for (i = 0; i < OPERATIONS; i++) {
		const struct operation *operation = &world->operation[i];

		if (operation->going && pfn >= operation->first &&
		    pfn < operation->last)
			return true;
	}
	return (act->kind == ACT_MOVE || act->kind == ACT_OFFLINE) &&
	       chunk + CF_CHUNK_FRAMES > act->first && chunk < act->last;
}

bool is_free(struct world *world, cf_pfn pfn)
{
	return is_online(world, pfn) && world->frame[pfn].head == NO_HEAD;
}

bool is_free_run(struct world *world, cf_pfn first, cf_pfn last)
{
	cf_pfn pfn;

	for (pfn = first; pfn < last; pfn++) {
		if (!is_free(world, pfn))
			return false;
	}
	return true;
}

bool chunk_is_free(struct world *world, cf_pfn pfn)
{
	cf_pfn first = pfn & ~(CF_CHUNK_FRAMES - 1);

	return is_free_run(world, first, first + CF_CHUNK_FRAMES);
}

bool is_counted(const struct frame *head)
{
	return head->type == CF_TYPE_KERNEL || head->type == CF_TYPE_FOLIO;
}

bool is_allocated(const struct frame *frame)
{
	return frame->head != NO_HEAD && frame->type != CF_TYPE_OFFLINE &&
	       frame->type != CF_TYPE_RESERVED &&
	       frame->type != CF_TYPE_RETIRED;
}

struct owner *owner_by_id(struct world *world, uint32_t id)
{
	size_t i;

	for (i = 0; i < OWNERS; i++) {
		if (world->owner[i].live && world->owner[i].id == id)
			return &world->owner[i];
	}
	return NULL;
}

struct frame *head_of(struct world *world, cf_pfn pfn)
{
	struct frame *head;

	if (pfn >= world->last || world->frame[pfn].head == NO_HEAD)
		return NULL;
	head = &world->frame[world->frame[pfn].head];
	return is_allocated(head) ? head : NULL;
}

cf_pfn pfn_of(struct world *world, const struct frame *frame)
{
	return (cf_pfn)(frame - world->frame);
}

cf_pfn next_run(struct world *world, cf_pfn pfn, cf_pfn last)
{
	for (; pfn < last; pfn++) {
		if (world->frame[pfn].head == pfn &&
		    is_allocated(&world->frame[pfn]))
			return pfn;
	}
	return CF_PFN_NONE;
}

static void frame_reset(struct frame *frame)
{
	bool bad = frame->bad;

	memset(frame, 0, sizeof(*frame));
	frame->head = NO_HEAD;
	frame->payload_order = NO_PAYLOAD;
	frame->bad = bad;
}

void run_make(struct world *world, cf_pfn pfn, unsigned order, struct run run)
{
	struct frame *head = &world->frame[pfn];
	cf_pfn i;

	for (i = 0; i < (cf_pfn)1 << order; i++) {
		frame_reset(&world->frame[pfn + i]);
		world->frame[pfn + i].head = (uint32_t)pfn;
	}
	head->type = (uint8_t)run.type;
	head->order = (uint8_t)order;
	head->owner = run.owner;
	head->refs = run.refs;
	head->known = run.refs;
	head->tag = run.tag;
	head->place = world->places[run.tag % PLACES]++;
}

void run_keep(struct world *world, cf_pfn pfn, const struct frame *old)
{
	struct frame *head = &world->frame[pfn];

	world->places[head->tag % PLACES]--;
	head->place = old->place;
	head->stranger = old->stranger;
}

void frames_free(struct world *world, cf_pfn first, cf_pfn last)
{
	cf_pfn pfn;

	for (pfn = first; pfn < last; pfn++) {
		struct frame *frame = &world->frame[pfn];

		frame_reset(frame);
		if (frame->bad) {
			frame->head = (uint32_t)pfn;
			frame->type = CF_TYPE_RETIRED;
		}
	}
}

void frames_clear(struct world *world, cf_pfn first, cf_pfn last)
{
	cf_pfn pfn;

	for (pfn = first; pfn < last; pfn++)
		frame_reset(&world->frame[pfn]);
}

void frames_offline(struct world *world, cf_pfn first, cf_pfn last,
		    struct run run, uint32_t flags)
{
	cf_pfn pfn;

	for (pfn = first; pfn < last; pfn++) {
		struct frame *frame = &world->frame[pfn];

		frame_reset(frame);
		frame->head = (uint32_t)pfn;
		frame->type = CF_TYPE_OFFLINE;
		frame->flags = (uint8_t)flags;
		frame->owner = run.owner;
		frame->tag = run.tag;
	}
}

void run_free(struct world *world, cf_pfn pfn)
{
	frames_free(world, pfn, pfn + ((cf_pfn)1 << world->frame[pfn].order));
}

void run_move(struct world *world, cf_pfn source, cf_pfn target)
{
	struct frame head = world->frame[source];
	struct run run = { head.type, head.owner, head.refs, head.tag };

	run_make(world, target, head.order, run);
	world->frame[target].known = head.known;
	run_keep(world, target, &head);
	run_free(world, source);
}

/* Do both frames lie in blocks a run may span? */
static bool may_span(struct world *world, cf_pfn a, cf_pfn b)
{
	const struct block *left = block_of(world, a);
	const struct block *right = block_of(world, b);

	return left->kind == right->kind && left->node == right->node;
}

unsigned order_at(struct world *world, cf_pfn pfn, cf_pfn last, unsigned max)
{
	unsigned order = 0;

	while (order < max) {
		cf_pfn frames = (cf_pfn)2 << order;

		if (pfn & (frames - 1) || frames > last - pfn)
			break;
		if (!may_span(world, pfn, pfn + frames - 1))
			break;
		order++;
	}
	return order;
}

bool zone_is(struct world *world, cf_pfn pfn, struct zone_id zone)
{
	const struct block *block = block_of(world, pfn);

	return in_use(block) && block->node == zone.node &&
	       block->kind == zone.kind;
}

uint64_t zone_free(struct world *world, struct zone_id zone, bool isolated)
{
	uint64_t count = 0;
	cf_pfn chunk, pfn;

	for (chunk = 0; chunk < world->last; chunk += CF_CHUNK_FRAMES) {
		if (!zone_is(world, chunk, zone) ||
		    (!isolated && is_isolated(world, chunk)))
			continue;
		for (pfn = chunk; pfn < chunk + CF_CHUNK_FRAMES; pfn++)
			count += world->frame[pfn].head == NO_HEAD;
	}
	return count;
}

/* Frames of an online block, all free. */
static bool all_free(struct world *world, cf_pfn first, cf_pfn last)
{
	cf_pfn pfn;

	for (pfn = first; pfn < last; pfn++) {
		if (world->frame[pfn].head != NO_HEAD)
			return false;
	}
	return true;
}

static bool chunk_may_serve(struct world *world, cf_pfn chunk,
			    struct zone_id zone)
{
	return zone_is(world, chunk, zone) && !is_isolated(world, chunk);
}

static bool chunk_fits(struct world *world, cf_pfn chunk, cf_pfn frames,
		       enum fit fit)
{
	cf_pfn last = chunk + CF_CHUNK_FRAMES;
	cf_pfn pfn;

	if (fit == FIT_PARTIAL && all_free(world, chunk, last))
		return false;
	for (pfn = chunk; pfn < last; pfn += frames) {
		if (all_free(world, pfn, pfn + frames))
			return true;
	}
	return false;
}

/* A run of whole chunks. */
static bool run_fits(struct world *world, cf_pfn pfn, cf_pfn frames,
		     struct zone_id zone)
{
	cf_pfn chunk;

	for (chunk = pfn; chunk < pfn + frames; chunk += CF_CHUNK_FRAMES) {
		if (!chunk_may_serve(world, chunk, zone) ||
		    !all_free(world, chunk, chunk + CF_CHUNK_FRAMES))
			return false;
	}
	return true;
}

bool zone_fits(struct world *world, struct zone_id zone, unsigned order,
	       enum fit fit)
{
	cf_pfn frames = (cf_pfn)1 << order;
	cf_pfn step = frames < CF_CHUNK_FRAMES ? CF_CHUNK_FRAMES : frames;
	cf_pfn pfn;

	if (order > CF_MAX_ORDER)
		return false;
	for (pfn = 0; pfn + step <= world->last; pfn += step) {
		if (frames >= CF_CHUNK_FRAMES) {
			if (fit == FIT_ANY &&
			    run_fits(world, pfn, frames, zone))
				return true;
		} else if (chunk_may_serve(world, pfn, zone) &&
			   chunk_fits(world, pfn, frames, fit)) {
			return true;
		}
	}
	return false;
}

uint64_t cached_now(struct world *world)
{
	struct cf_stat stat;

	cf_stat(world->map, &stat);
	return stat.cached;
}

static uint64_t *stamp_at(cf_pfn pfn)
{
	return (uint64_t *)(void *)(test_port.memory +
				    (size_t)pfn * CF_FRAME_BYTES);
}

/* Contents a run is known by, in its first and last frame. */
static uint64_t stamp_of(uint32_t tag, unsigned order)
{
	return ((uint64_t)tag << 8 | order) * UINT64_C(0x9e3779b97f4a7c15);
}

void stamp(struct world *world, cf_pfn pfn, unsigned order, uint32_t tag)
{
	(void)world;
	*stamp_at(pfn) = stamp_of(tag, order);
	*stamp_at(pfn + ((cf_pfn)1 << order) - 1) = stamp_of(tag, order);
}

void require_stamp(struct world *world, cf_pfn pfn)
{
	const struct frame *head = &world->frame[pfn];
	cf_pfn last = pfn + ((cf_pfn)1 << head->order) - 1;
	uint64_t want = stamp_of(head->tag, head->order);

	REQUIRE(*stamp_at(pfn) == want && *stamp_at(last) == want,
		"contents of the run at %#llx are not what its holder wrote",
		(unsigned long long)pfn);
}

/* ---- beginning and end ---- */

static void map_create(struct world *world)
{
	const struct setup *setup = &world->setup;
	struct cf_map_config config = {
		.last = (cf_pfn)setup->blocks << setup->block_order,
		.block_order = setup->block_order,
		.cpus = setup->cpus,
		.nodes = setup->nodes,
		.poison_max = setup->poison_max,
		.fenced = setup->fenced,
		.debug_pagealloc = setup->debug_pagealloc,
		.no_caches = setup->no_caches,
	};
	size_t bytes = cf_map_bytes(&config);
	size_t rounded = (bytes + 4095) & ~(size_t)4095;

	REQUIRE(bytes, "map_bytes refuses a good configuration");
	world->storage = aligned_alloc(4096, rounded);
	REQUIRE(world->storage, "no memory for the map");
	memset(world->storage, 0, rounded);
	require_code("map_create",
		     cf_map_create(&config, world->storage, &world->map), OK);
}

struct world *world_create(const struct setup *setup)
{
	struct world *world = calloc(1, sizeof(*world));
	cf_pfn i;

	if (!world)
		fail("no memory for the model");
	world->setup = *setup;
	world->block_frames = (cf_pfn)1 << setup->block_order;
	world->last = (cf_pfn)setup->blocks << setup->block_order;
	world->frame = calloc(world->last, sizeof(*world->frame));
	world->seen = calloc(world->last, sizeof(*world->seen));
	world->words = calloc(world->last, sizeof(*world->words));
	for (i = 0; i < SIDES; i++)
		world->side[i].value = calloc(world->last, 1);
	if (!world->frame || !world->seen || !world->words ||
	    !world->side[0].value || !world->side[1].value)
		fail("no memory for the model");
	for (i = 0; i < world->last; i++)
		frame_reset(&world->frame[i]);
	test_port_init(world->last);
	port_init(world);
	owners_init(world);
	listeners_init(world);
	map_create(world);
	world->self_frames = (uint32_t)((cf_block_meta_bytes(world->map, 1) +
					 CF_FRAME_BYTES - 1) / CF_FRAME_BYTES);
	return world;
}
