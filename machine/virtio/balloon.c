/* SPDX-License-Identifier: MIT */

/*
 * A virtio-balloon device.
 *
 * It remembers each frame it was given, so that a driver that gives one
 * twice, or takes one back it has not given, is found out.  Numbers that
 * follow each other are given back to the system in one piece.
 */

#include <stdlib.h>
#include <string.h>

#include "machine/bits.h"
#include "machine/virtio/model.h"

#define QUEUE_INFLATE	0
#define QUEUE_DEFLATE	1

static struct model_balloon *balloon_of(struct model *model)
{
	void *self = model;

	return self;
}

static void balloon_reset(struct model *model)
{
	struct model_balloon *balloon = balloon_of(model);

	balloon->stats_waiting = false;
	balloon->hint_stopped = true;
	cf_wire_put32(model->config + CF_BALLOON_HINT_COMMAND,
		      CF_BALLOON_HINT_STOP);
}

static void config_written(struct model *model, uint32_t offset)
{
	if (offset != CF_BALLOON_ACTUAL && offset != CF_BALLOON_POISON_VALUE)
		model_violation(model, "a write to what only the host writes");
}

static void give_back(struct model_balloon *balloon, cf_pfn first, cf_pfn last)
{
	if (first < last &&
	    cf_host_discard(balloon->model.memory, first, last))
		model_violation(&balloon->model,
				"the system takes nothing back");
}

static bool take_frame(struct model_balloon *balloon, uint32_t pfn, bool in)
{
	if (pfn >= balloon->frames) {
		model_violation(&balloon->model, "a frame that is none");
		return false;
	}
	if (bits_get(balloon->held, pfn) == in)
		model_violation(&balloon->model, in ?
				"a frame the host has already" :
				"a frame the host does not have");
	else
		balloon->ballooned += in ? 1 : (uint64_t)-1;
	bits_set(balloon->held, pfn, (cf_pfn)pfn + 1, in);
	return true;
}

static void take_frames(struct model_balloon *balloon, const uint8_t *at,
			uint32_t count, bool in)
{
	cf_pfn first = 0, last = 0;
	uint32_t pfn;

	if (in && count > balloon->chunk_max)
		balloon->chunk_max = count;
	for (; count; count--, at += 4) {
		pfn = cf_wire_get32(at);
		if (!take_frame(balloon, pfn, in) || !in)
			continue;
		if (pfn != last) {
			give_back(balloon, first, last);
			first = pfn;
		}
		last = pfn + 1;
	}
	give_back(balloon, first, last);
}

/* A value that free frames hold must be there when they are used again. */
static bool must_keep(const struct model_balloon *balloon)
{
	return balloon->model.features & CF_BALLOON_F_POISON &&
	       cf_wire_get32(balloon->model.config + CF_BALLOON_POISON_VALUE);
}

/* Buffers the driver lets the device overwrite. */
static uint64_t take_contents(struct model_balloon *balloon,
			      const struct model_chain *chain)
{
	bool keep = must_keep(balloon);
	uint64_t frames = 0;
	unsigned i;

	for (i = 0; i < chain->ins; i++) {
		cf_pfn first = chain->in[i].phys >> CF_FRAME_SHIFT;
		cf_pfn count = chain->in[i].bytes >> CF_FRAME_SHIFT;

		if (!keep)
			give_back(balloon, first, first + count);
		frames += count;
	}
	return frames;
}

static void read_stats(struct model_balloon *balloon)
{
	const struct model_chain *chain = &balloon->stats_chain;
	unsigned count = chain->outs ? chain->out[0].bytes /
			 CF_BALLOON_STAT_BYTES : 0;
	unsigned i, tag;

	memset(balloon->stat, 0xff, sizeof(balloon->stat));
	for (i = 0; i < count; i++) {
		const uint8_t *at = chain->out[0].at +
				    i * CF_BALLOON_STAT_BYTES;

		tag = cf_wire_get16(at);
		if (tag < MODEL_BALLOON_STATS)
			balloon->stat[tag] = cf_wire_get64(at + 2);
	}
	balloon->stats = count;
	balloon->stats_reports++;
}

/* As QEMU's: the round it asks for is to be read until it has begun. */
static void begin_round(struct model_balloon *balloon, uint32_t id)
{
	uint8_t *command = balloon->model.config + CF_BALLOON_HINT_COMMAND;

	balloon->hint_round = id;
	balloon->hinted = 0;
	if (cf_wire_get32(command) == id)
		cf_wire_put32(command, CF_BALLOON_HINT_STOP);
}

static void take_hint(struct model_balloon *balloon,
		      const struct model_chain *chain)
{
	uint32_t id;

	if (!chain->outs) {
		if (balloon->hint_stopped)
			model_violation(&balloon->model,
					"a hint outside of a round");
		balloon->hinted += take_contents(balloon, chain);
		return;
	}
	id = chain->out[0].bytes == 4 ? cf_wire_get32(chain->out[0].at) : 1;
	balloon->hint_stopped = id == CF_BALLOON_HINT_STOP;
	if (id == CF_BALLOON_HINT_DONE)
		model_violation(&balloon->model, "an id that is none");
	if (id >= CF_BALLOON_HINT_FIRST)
		begin_round(balloon, id);
}

static uint32_t room_of(const struct model_chain *chain)
{
	uint32_t room = 0;
	unsigned i;

	for (i = 0; i < chain->ins; i++)
		room += chain->in[i].bytes;
	return room;
}

static void balloon_chain(struct model *model, unsigned queue,
			  const struct model_chain *chain)
{
	struct model_balloon *balloon = balloon_of(model);
	enum model_trick trick;

	if (balloon->stats_queue && queue == balloon->stats_queue) {
		balloon->stats_chain = *chain;
		balloon->stats_waiting = true;
		read_stats(balloon);
		return;
	}
	trick = model_next_answer(model);
	if (queue == QUEUE_INFLATE || queue == QUEUE_DEFLATE) {
		if (chain->outs != 1 || chain->ins ||
		    chain->out[0].bytes % 4)
			model_violation(model, "a buffer of the wrong size");
		else
			take_frames(balloon, chain->out[0].at,
				    chain->out[0].bytes / 4,
				    queue == QUEUE_INFLATE);
	} else if (queue == balloon->hint_queue) {
		take_hint(balloon, chain);
	} else {
		balloon->reported += take_contents(balloon, chain);
	}
	model_use(model, queue, chain->head, 0, room_of(chain), trick);
}

static const struct model_kind balloon_kind = {
	.id = CF_VIRTIO_ID_BALLOON,
	.pci_device = CF_PCI_DEVICE_BALLOON,
	.config_bytes = CF_BALLOON_CONFIG_BYTES,
	.reset = balloon_reset,
	.config_written = config_written,
	.chain = balloon_chain,
};

/* Queues without gaps, for what is offered. */
static void number_queues(struct model_balloon *balloon, uint64_t features)
{
	uint16_t next = 2;

	if (features & CF_BALLOON_F_STATS)
		balloon->stats_queue = next++;
	if (features & CF_BALLOON_F_HINT)
		balloon->hint_queue = next++;
	if (features & CF_BALLOON_F_REPORTING)
		balloon->report_queue = next++;
	balloon->model.queues = next;
}

struct model_balloon *model_balloon_create(struct cf_host_memory *memory,
					   uint64_t features)
{
	struct model_balloon *balloon = calloc(1, sizeof(*balloon));

	if (!balloon)
		return NULL;
	model_init(&balloon->model, &balloon_kind, memory, features |
		   CF_VIRTIO_F_INDIRECT | CF_VIRTIO_F_EVENT_IDX);
	balloon->frames = memory->config.last;
	balloon->held = bits_new(balloon->frames);
	balloon->hint_stopped = true;
	number_queues(balloon, features);
	if (!balloon->held) {
		free(balloon);
		return NULL;
	}
	return balloon;
}

void model_balloon_destroy(struct model_balloon *balloon)
{
	if (!balloon)
		return;
	pthread_mutex_destroy(&balloon->model.lock);
	bits_free(balloon->held);
	free(balloon);
}

bool model_balloon_give(struct model_balloon *balloon, uint64_t first,
			uint64_t last)
{
	bool fits = first < last && last <= balloon->frames;
	struct stretch in = { 0, first };

	model_lock(&balloon->model);
	fits = fits && !bits_next(balloon->held, true, last, &in);
	if (fits) {
		bits_set(balloon->held, first, last, true);
		balloon->ballooned += last - first;
	}
	model_unlock(&balloon->model);
	return fits;
}

bool model_balloon_has(struct model_balloon *balloon, uint64_t first,
		       uint64_t last)
{
	struct stretch out = { 0, first };
	bool has;

	model_lock(&balloon->model);
	has = last <= balloon->frames &&
	      !bits_next(balloon->held, false, last, &out);
	model_unlock(&balloon->model);
	return has;
}

void model_balloon_target(struct model_balloon *balloon, uint32_t frames)
{
	model_lock(&balloon->model);
	cf_wire_put32(balloon->model.config + CF_BALLOON_NUM_PAGES, frames);
	model_config_changed(&balloon->model);
	model_unlock(&balloon->model);
}

uint32_t model_balloon_actual(struct model_balloon *balloon)
{
	uint32_t actual;

	model_lock(&balloon->model);
	actual = cf_wire_get32(balloon->model.config + CF_BALLOON_ACTUAL);
	model_unlock(&balloon->model);
	return actual;
}

bool model_balloon_ask(struct model_balloon *balloon)
{
	bool has;

	model_lock(&balloon->model);
	has = balloon->stats_waiting;
	balloon->stats_waiting = false;
	if (has)
		model_use(&balloon->model, balloon->stats_queue,
			  balloon->stats_chain.head, 0, 0,
			  model_next_answer(&balloon->model));
	model_unlock(&balloon->model);
	return has;
}

bool model_balloon_awaits(struct model_balloon *balloon)
{
	bool awaits;

	model_lock(&balloon->model);
	awaits = cf_wire_get32(balloon->model.config +
			       CF_BALLOON_HINT_COMMAND) >=
		 CF_BALLOON_HINT_FIRST;
	model_unlock(&balloon->model);
	return awaits;
}

void model_balloon_hint(struct model_balloon *balloon, uint32_t id)
{
	model_lock(&balloon->model);
	cf_wire_put32(balloon->model.config + CF_BALLOON_HINT_COMMAND, id);
	model_config_changed(&balloon->model);
	model_unlock(&balloon->model);
}
