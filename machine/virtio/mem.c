/* SPDX-License-Identifier: MIT */

/*
 * A virtio-mem device.
 *
 * Checks stand in the order of the specification's reasons: a request that
 * can never be right is an ERROR even while the device is busy.
 */

#include <stdlib.h>
#include <string.h>

#include "machine/virtio/model.h"

#define USABLE_SLACK	((uint64_t)256 << 20)

static struct model_mem *mem_of(struct model *model)
{
	void *self = model;

	return self;
}

static void write_config(struct model_mem *mem)
{
	uint8_t *config = mem->model.config;

	cf_wire_put64(config + CF_VMEM_BLOCK_SIZE, mem->block);
	cf_wire_put16(config + CF_VMEM_NODE_ID, mem->node);
	cf_wire_put64(config + CF_VMEM_ADDR, mem->addr);
	cf_wire_put64(config + CF_VMEM_REGION_SIZE, mem->region);
	cf_wire_put64(config + CF_VMEM_USABLE_SIZE, mem->usable);
	cf_wire_put64(config + CF_VMEM_PLUGGED_SIZE, mem->plugged);
	cf_wire_put64(config + CF_VMEM_REQUESTED_SIZE, mem->requested);
	if (mem->tell_at)
		cf_wire_put64(config + mem->tell_at - 1, mem->tell_value);
}

/* A device reset keeps what is plugged. */
static void mem_reset(struct model *model)
{
	write_config(mem_of(model));
}

static uint64_t blocks_plugged(const struct model_mem *mem, uint64_t first,
			       uint64_t count)
{
	uint64_t plugged = 0, i;

	for (i = first; i < first + count; i++)
		plugged += mem->plugged_map[i];
	return plugged;
}

/* Really given back: resident memory falls. */
static void give_back(struct model_mem *mem, uint64_t first, uint64_t count)
{
	cf_pfn from = (mem->addr + first * mem->block) >> CF_FRAME_SHIFT;
	cf_pfn to = (mem->addr + (first + count) * mem->block) >>
		    CF_FRAME_SHIFT;

	if (cf_host_discard(mem->model.memory, from, to))
		model_violation(&mem->model, "the system takes nothing back");
}

static void set_blocks(struct model_mem *mem, uint64_t first, uint64_t count,
		       bool plugged)
{
	uint64_t before = blocks_plugged(mem, first, count);

	memset(mem->plugged_map + first, plugged, count);
	mem->plugged -= before * mem->block;
	mem->plugged += plugged ? count * mem->block : 0;
	write_config(mem);
}

struct request {
	uint16_t type, count;
	uint64_t addr, first;
};

static bool range_is_right(const struct model_mem *mem,
			   struct request *request)
{
	uint64_t offset = request->addr - mem->addr;

	if (request->addr < mem->addr || offset % mem->block ||
	    request->count == 0 || offset > mem->usable ||
	    request->count > (mem->usable - offset) / mem->block)
		return false;
	request->first = offset / mem->block;
	return true;
}

static uint16_t answer_plug(struct model_mem *mem,
			    const struct request *request)
{
	if (blocks_plugged(mem, request->first, request->count))
		return CF_VMEM_ERROR;
	if (mem->plugged + request->count * mem->block > mem->requested)
		return CF_VMEM_NACK;
	if (mem->migrating)
		return CF_VMEM_BUSY;
	set_blocks(mem, request->first, request->count, true);
	return CF_VMEM_ACK;
}

static uint16_t answer_unplug(struct model_mem *mem,
			      const struct request *request)
{
	if (blocks_plugged(mem, request->first, request->count) !=
	    request->count)
		return CF_VMEM_ERROR;
	if (mem->migrating)
		return CF_VMEM_BUSY;
	give_back(mem, request->first, request->count);
	set_blocks(mem, request->first, request->count, false);
	return CF_VMEM_ACK;
}

static uint16_t answer_unplug_all(struct model_mem *mem)
{
	uint64_t blocks = mem->region / mem->block;

	if (mem->migrating)
		return CF_VMEM_BUSY;
	give_back(mem, 0, blocks);
	set_blocks(mem, 0, blocks, false);
	mem->usable = mem->requested + mem->slack > mem->region ?
		      mem->region : mem->requested + mem->slack;
	write_config(mem);
	model_config_changed(&mem->model);
	return CF_VMEM_ACK;
}

static uint16_t answer_state(const struct model_mem *mem,
			     const struct request *request, uint16_t *ret_state)
{
	uint64_t plugged = blocks_plugged(mem, request->first,
					  request->count);

	*ret_state = CF_VMEM_MIXED;
	if (plugged == request->count)
		*ret_state = CF_VMEM_PLUGGED;
	else if (plugged == 0)
		*ret_state = CF_VMEM_UNPLUGGED;
	return CF_VMEM_ACK;
}

static uint16_t answer(struct model_mem *mem, struct request *request,
		       uint16_t *ret_state)
{
	if (request->type > CF_VMEM_STATE)
		return CF_VMEM_ERROR;
	mem->asked[request->type]++;
	if (request->type != CF_VMEM_UNPLUG_ALL &&
	    !range_is_right(mem, request))
		return CF_VMEM_ERROR;
	if (mem->refuse && request->type != CF_VMEM_STATE)
		return CF_VMEM_NACK;
	switch (request->type) {
	case CF_VMEM_PLUG:
		return answer_plug(mem, request);
	case CF_VMEM_UNPLUG:
		return answer_unplug(mem, request);
	case CF_VMEM_UNPLUG_ALL:
		return answer_unplug_all(mem);
	default:
		return answer_state(mem, request, ret_state);
	}
}

/* Lies that stand in the configuration from now on. */
static void lie_config(struct model_mem *mem, enum model_trick trick)
{
	struct {
		enum model_trick trick;
		unsigned at;
		uint64_t value;
	} lies[] = {
		{ MODEL_LIE_BLOCK_SIZE, CF_VMEM_BLOCK_SIZE, mem->block * 2 },
		{ MODEL_LIE_ADDR, CF_VMEM_ADDR, mem->addr - mem->block },
		{ MODEL_LIE_REGION, CF_VMEM_REGION_SIZE,
		  mem->region + mem->block },
		{ MODEL_LIE_REQUESTED, CF_VMEM_REQUESTED_SIZE,
		  mem->usable + mem->block },
		{ MODEL_LIE_USABLE, CF_VMEM_USABLE_SIZE,
		  mem->region + mem->block },
		{ MODEL_LIE_USABLE_SHRINKS, CF_VMEM_USABLE_SIZE,
		  mem->usable - mem->block },
		{ MODEL_LIE_PLUGGED, CF_VMEM_PLUGGED_SIZE,
		  mem->plugged + mem->block },
		{ MODEL_LIE_UNALIGNED, CF_VMEM_REQUESTED_SIZE,
		  mem->requested + 4096 },
	};
	size_t i;

	for (i = 0; i < sizeof(lies) / sizeof(*lies); i++) {
		if (lies[i].trick != trick)
			continue;
		mem->tell_at = lies[i].at + 1;
		mem->tell_value = lies[i].value;
		write_config(mem);
		model_config_changed(&mem->model);
	}
}

/* Nothing is right for long: all or nothing, in turn. */
static void change_mind(struct model_mem *mem)
{
	if (mem->model.trick != MODEL_LIE_RESTLESS || !mem->model.tricked)
		return;
	mem->requested = mem->requested ? 0 : mem->usable;
	write_config(mem);
	model_config_changed(&mem->model);
}

static uint16_t trick_answer(enum model_trick trick)
{
	switch (trick) {
	case MODEL_NACK:
		return CF_VMEM_NACK;
	case MODEL_BUSY:
		return CF_VMEM_BUSY;
	case MODEL_LIE_ERROR:
		return CF_VMEM_ERROR;
	case MODEL_LIE_TYPE:
		return 0x1234;
	default:
		return CF_VMEM_ACK;
	}
}

static bool answers_itself(enum model_trick trick)
{
	return trick >= MODEL_NACK && trick <= MODEL_LIE_NOTHING_DONE &&
	       trick != MODEL_LIE_STATE;
}

static void mem_chain(struct model *model, unsigned queue,
		      const struct model_chain *chain)
{
	struct model_mem *mem = mem_of(model);
	enum model_trick trick = model_next_answer(model);
	struct request request = { 0 };
	uint16_t type, state = 0;

	if (chain->outs != 1 || chain->ins != 1 ||
	    chain->out[0].bytes < CF_VMEM_REQUEST_BYTES ||
	    chain->in[0].bytes < CF_VMEM_ANSWER_BYTES) {
		model_violation(model, "a request of the wrong size");
		return;
	}
	request.type = cf_wire_get16(chain->out[0].at + CF_VMEM_REQUEST_TYPE);
	request.addr = cf_wire_get64(chain->out[0].at + CF_VMEM_REQUEST_ADDR);
	request.count = cf_wire_get16(chain->out[0].at +
				      CF_VMEM_REQUEST_COUNT);
	if (trick)
		mem->tricked_type = request.type;
	type = answers_itself(trick) ? trick_answer(trick) :
	       answer(mem, &request, &state);
	if (type == CF_VMEM_ERROR && trick == MODEL_HONEST)
		model_violation(model, "a request that can never be right");
	if (trick == MODEL_LIE_STATE)
		state = 77;
	memset(chain->in[0].at, 0, CF_VMEM_ANSWER_BYTES);
	cf_wire_put16(chain->in[0].at + CF_VMEM_ANSWER_TYPE, type);
	cf_wire_put16(chain->in[0].at + CF_VMEM_ANSWER_STATE, state);
	lie_config(mem, trick);
	change_mind(mem);
	model_use(model, queue, chain->head, CF_VMEM_ANSWER_BYTES,
		  chain->in[0].bytes, trick);
}

static const struct model_kind mem_kind = {
	.id = CF_VIRTIO_ID_MEM,
	.pci_device = CF_PCI_DEVICE_BASE + CF_VIRTIO_ID_MEM,
	.config_bytes = CF_VMEM_CONFIG_BYTES,
	.reset = mem_reset,
	.chain = mem_chain,
};

struct model_mem *model_mem_create(const struct model_mem_config *config)
{
	struct model_mem *mem = calloc(1, sizeof(*mem));
	uint64_t offered = 0;

	if (!mem)
		return NULL;
	offered |= config->node >= 0 ? CF_VMEM_F_ACPI_PXM : 0;
	offered |= config->inaccessible ? CF_VMEM_F_UNPLUGGED_INACCESSIBLE : 0;
	/* Of what no driver here implements, some is offered. */
	offered |= CF_VIRTIO_F_INDIRECT | CF_VIRTIO_F_EVENT_IDX |
		   CF_VMEM_F_PERSISTENT_SUSPEND;
	model_init(&mem->model, &mem_kind, config->memory, offered);
	mem->model.queues = 1;
	mem->addr = config->addr;
	mem->region = config->region;
	mem->block = config->block;
	mem->slack = USABLE_SLACK;
	mem->node = (uint16_t)(config->node >= 0 ? config->node : 0);
	mem->plugged_map = calloc(config->region / config->block, 1);
	if (!mem->plugged_map) {
		free(mem);
		return NULL;
	}
	write_config(mem);
	return mem;
}

void model_mem_destroy(struct model_mem *mem)
{
	if (!mem)
		return;
	pthread_mutex_destroy(&mem->model.lock);
	free(mem->plugged_map);
	free(mem);
}

bool model_mem_request(struct model_mem *mem, uint64_t bytes)
{
	uint64_t usable = bytes + mem->slack;

	if (bytes % mem->block || bytes > mem->region)
		return false;
	model_lock(&mem->model);
	mem->requested = bytes;
	usable -= usable % mem->block;
	usable = usable > mem->region ? mem->region : usable;
	if (bytes && usable > mem->usable)
		mem->usable = usable;
	write_config(mem);
	model_config_changed(&mem->model);
	model_unlock(&mem->model);
	return true;
}

bool model_mem_give(struct model_mem *mem, uint64_t addr, uint64_t bytes)
{
	uint64_t first = (addr - mem->addr) / mem->block;
	uint64_t count = bytes / mem->block;
	bool fits = addr >= mem->addr && addr % mem->block == 0 && count &&
		    bytes % mem->block == 0 &&
		    addr - mem->addr <= mem->usable &&
		    bytes <= mem->usable - (addr - mem->addr);

	model_lock(&mem->model);
	fits = fits && !blocks_plugged(mem, first, count);
	if (fits)
		set_blocks(mem, first, count, true);
	model_unlock(&mem->model);
	return fits;
}

void model_mem_refresh(struct model_mem *mem)
{
	write_config(mem);
}

bool model_mem_has(struct model_mem *mem, uint64_t addr)
{
	bool has;

	model_lock(&mem->model);
	has = addr >= mem->addr && addr - mem->addr < mem->region &&
	      mem->plugged_map[(addr - mem->addr) / mem->block];
	model_unlock(&mem->model);
	return has;
}

void model_mem_forget(struct model_mem *mem)
{
	model_lock(&mem->model);
	give_back(mem, 0, mem->region / mem->block);
	set_blocks(mem, 0, mem->region / mem->block, false);
	model_unlock(&mem->model);
}
