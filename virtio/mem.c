/* SPDX-License-Identifier: MIT */

/*
 * The virtio-mem driver: its life, and what work does next.
 *
 * One request is in flight at a time.  Every call of work either takes its
 * answer or does the next step of the pass; after a failed pass it waits
 * longer and longer, until the size asked for changes or somebody says that
 * memory was freed.
 */

#include "virtio/mem_internal.h"

#define RETRY_MIN_MS	500
#define RETRY_MAX_MS	60000
#define OFFLINE_MAX	((cf_pfn)1 << (30 - CF_FRAME_SHIFT))
#define REQUEST_AT	0	/* in the memory after the ring */
#define ANSWER_AT	64
#define SHARED_BYTES	4096

const char *cf_vmem_phase_name(enum cf_vmem_phase phase)
{
	static const char *const name[CF_VMEM_PHASE_COUNT] = {
		[CF_VMEM_IDLE] = "idle",
		[CF_VMEM_RESET] = "reset",
		[CF_VMEM_GROWING] = "growing",
		[CF_VMEM_SHRINKING] = "shrinking",
		[CF_VMEM_CLEANING] = "cleaning",
		[CF_VMEM_BACKING_OFF] = "backing-off",
		[CF_VMEM_BROKEN] = "broken",
	};

	return (unsigned)phase < CF_VMEM_PHASE_COUNT ? name[phase] : "unknown";
}

size_t cf_vmem_shared_bytes(void)
{
	return SHARED_BYTES;
}

static bool config_can_be(const struct cf_vmem_config *config)
{
	uint64_t big = config->big_block_frames;

	return config->map && config->ops && config->shared.address &&
	       config->shared.phys && config->shared.bytes >= SHARED_BYTES &&
	       (!config->last || config->first < config->last) &&
	       (big & (big - 1)) == 0 &&
	       config->node < cf_map_config_of(config->map)->nodes &&
	       config->online <= CF_VMEM_ONLINE_NOT;
}

static void fill_in(struct vmem *vmem)
{
	struct cf_vmem_config *config = &vmem->config;
	cf_pfn last = cf_map_config_of(config->map)->last;

	if (!config->name)
		config->name = "virtio-mem";
	if (!config->last || config->last > last)
		config->last = last;
	if (!config->retry_min_ms)
		config->retry_min_ms = RETRY_MIN_MS;
	if (!config->retry_max_ms)
		config->retry_max_ms = RETRY_MAX_MS;
	if (config->retry_max_ms < config->retry_min_ms)
		config->retry_max_ms = config->retry_min_ms;
}

static int connect(struct vmem *vmem)
{
	struct cf_virtio_memory memory = vmem->config.shared;
	uint8_t *after;
	int err;

	err = cf_virtio_open(&vmem->device, vmem->config.ops,
			     vmem->config.transport, CF_VIRTIO_ID_MEM);
	if (!err)
		err = cf_virtio_negotiate(&vmem->device, CF_VMEM_F_ACPI_PXM |
					  CF_VMEM_F_UNPLUGGED_INACCESSIBLE);
	if (!err)
		err = cf_virtio_queue(&vmem->device, 0, VMEM_QUEUE_SIZE,
				      &memory, vmem->slot, &vmem->ring);
	if (err)
		return err;
	if (vmem->ring.size < 2)
		return cf_virtio_break(&vmem->device, CF_VIRTIO_BROKEN_QUEUE,
				       vmem->ring.size);
	after = memory.address;
	vmem->request = after + REQUEST_AT;
	vmem->answer = after + ANSWER_AT;
	vmem->request_phys = memory.phys + REQUEST_AT;
	vmem->answer_phys = memory.phys + ANSWER_AT;
	cf_virtio_ready(&vmem->device);
	return vmem_config_read(vmem);
}

static void choose_node(struct vmem *vmem)
{
	uint32_t nodes = cf_map_config_of(vmem->config.map)->nodes;

	vmem->node = vmem->config.node;
	if (vmem->device.features & CF_VMEM_F_ACPI_PXM && vmem->pxm < nodes)
		vmem->node = vmem->pxm;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Sub-blocks if two of them fit into a block, else big blocks. */
static int choose_geometry(struct vmem *vmem)
{
	const struct cf_vmem_config *config = &vmem->config;
	uint64_t device = vmem->device_block >> CF_FRAME_SHIFT;
	cf_pfn sub = larger(device, CF_CHUNK_FRAMES);
	cf_pfn block = (cf_pfn)1 << cf_map_config_of(config->map)->block_order;
	cf_pfn unit = block, last;

	vmem->big = config->big_blocks || sub >= block;
	if (vmem->big)
		unit = larger(larger(device, block), config->big_block_frames);
	vmem->block_frames = block;
	vmem->sub_frames = vmem->big ? block : sub;
	vmem->subs = (unsigned)(block / vmem->sub_frames);
	vmem->unit_blocks = unit / block;
	if (vmem->big && (unit << CF_FRAME_SHIFT) / vmem->device_block >
			 0xffff)
		return -CF_EINVAL;
	vmem->first = (vmem->addr >> CF_FRAME_SHIFT) + unit - 1;
	vmem->first -= vmem->first % unit;
	last = (vmem->addr + vmem->region) >> CF_FRAME_SHIFT;
	last -= last % unit;
	if (last > vmem->first)
		vmem->blocks = (last - vmem->first) / block;
	vmem->leaving = vmem->blocks;
	if (!vmem->config.offline_max_frames)
		vmem->config.offline_max_frames =
			larger(OFFLINE_MAX, 2 * unit);
	return 0;
}

int cf_vmem_open(struct cf_vmem *opaque, const struct cf_vmem_config *config)
{
	struct vmem *vmem = vmem_of(opaque);
	int err;

	if (!config_can_be(config))
		return -CF_EINVAL;
	*vmem = (struct vmem){ .config = *config };
	fill_in(vmem);
	vmem_hooks_init(vmem);
	err = connect(vmem);
	if (err)
		return err;
	choose_node(vmem);
	return choose_geometry(vmem);
}

size_t cf_vmem_bytes(const struct cf_vmem *opaque)
{
	const void *self = opaque;
	const struct vmem *vmem = self;

	return (size_t)vmem->blocks * sizeof(struct vmem_block);
}

/* Nobody else's memory may lie where the device says its own is. */
static int region_is_empty(struct vmem *vmem)
{
	struct cf_block_info info;
	uint64_t i;

	for (i = 0; i < vmem->blocks; i++)
		if (cf_block_info(vmem->config.map,
				  vmem_block_first(vmem, i), &info) == 0)
			return -CF_EBUSY;
	return 0;
}

int cf_vmem_start(struct cf_vmem *opaque, void *storage)
{
	struct vmem *vmem = vmem_of(opaque);
	uint64_t i;
	int err;

	if (vmem->device.broken)
		return -CF_EREFUSED;
	err = region_is_empty(vmem);
	if (err)
		return err;
	vmem->block = storage;
	for (i = 0; i < vmem->blocks; i++)
		vmem->block[i] = (struct vmem_block){ .mode = MODE_ABSENT };
	err = cf_owner_register(vmem->config.map, vmem->config.name,
				&vmem->ops, vmem, &vmem->owner);
	if (err)
		return err;
	err = cf_subscriber_add(vmem->config.map, &vmem->subscriber);
	if (err) {
		if (cf_owner_unregister(vmem->config.map, vmem->owner, NULL))
			return -CF_EINVAL;
		return err;
	}
	vmem->started = true;
	vmem->was_reset = vmem->device_plugged == 0;
	vmem->retry_ms = vmem->config.retry_min_ms;
	vmem_pass_begin(vmem);
	return 0;
}

/* Wait before the next try, twice as long as the last time. */
static void back_off(struct vmem *vmem)
{
	vmem->backing_off = true;
	vmem->retry_at = vmem->now + vmem->retry_ms;
	vmem->retry_ms *= 2;
	if (vmem->retry_ms > vmem->config.retry_max_ms)
		vmem->retry_ms = vmem->config.retry_max_ms;
}

static void begin_again(struct vmem *vmem)
{
	vmem->retry_ms = vmem->config.retry_min_ms;
	vmem_pass_begin(vmem);
}

static int answer_error(enum cf_vmem_answer answer)
{
	return answer == CF_VMEM_NACK ? -CF_EREFUSED : -CF_EBUSY;
}

static void finish_reset(struct vmem *vmem, enum cf_vmem_answer answer)
{
	if (answer != CF_VMEM_ACK) {
		vmem->err = answer_error(answer);
		back_off(vmem);
		return;
	}
	vmem->was_reset = true;
	if (vmem_config_read(vmem) == 0)
		begin_again(vmem);
}

static void finish_size(struct vmem *vmem, enum vmem_purpose purpose,
			enum cf_vmem_answer answer)
{
	if (purpose == FOR_GROWTH && answer == CF_VMEM_ACK)
		vmem_plugged(vmem);
	else if (purpose == FOR_SHRINKING && answer == CF_VMEM_ACK)
		vmem_unplugged(vmem);
	else if (purpose == FOR_SHRINKING)
		vmem_not_unplugged(vmem);
	if (answer != CF_VMEM_ACK)
		vmem_pass_stop(vmem, answer_error(answer));
}

static void finish_ask(struct vmem *vmem, enum cf_vmem_answer answer)
{
	vmem->answered = true;
	vmem->ask_err = 0;
	if (answer == CF_VMEM_ERROR)
		vmem->ask_err = -CF_EINVAL;
	else if (answer != CF_VMEM_ACK)
		vmem->ask_err = -CF_EBUSY;
}

/* The answer to the request in flight is there. */
static void finish(struct vmem *vmem, enum cf_vmem_answer answer)
{
	enum vmem_purpose purpose = vmem->purpose;

	vmem->purpose = FOR_NOTHING;
	if (purpose == FOR_STATE) {
		if (!vmem->forgotten)
			finish_ask(vmem, answer);
		vmem->forgotten = false;
		return;
	}
	if (answer == CF_VMEM_ERROR) {
		(void)cf_virtio_break(&vmem->device,
				      CF_VIRTIO_BROKEN_ANSWER_ERROR,
				      vmem->sent);
		return;
	}
	if (purpose == FOR_RESET)
		finish_reset(vmem, answer);
	else
		finish_size(vmem, purpose, answer);
}

/* Has the device changed its mind?  Then begin anew. */
static int look_at_config(struct vmem *vmem)
{
	uint64_t usable = vmem->usable, requested = vmem->requested;
	int err;

	if (!cf_virtio_config_changed(&vmem->device))
		return 0;
	err = vmem_config_read(vmem);
	if (!err && (usable != vmem->usable || requested != vmem->requested))
		begin_again(vmem);
	return err;
}

static bool was_kicked(struct vmem *vmem)
{
	unsigned long state = cf_lock(&vmem->lock);
	bool kicked = vmem->kicked;

	vmem->kicked = false;
	cf_unlock(&vmem->lock, state);
	return kicked;
}

/* Is it a time to do nothing? */
static bool rests(struct vmem *vmem)
{
	if (was_kicked(vmem)) {
		begin_again(vmem);
		return false;
	}
	if (!vmem->backing_off)
		return vmem->was_reset && vmem->pass.stage == STAGE_END;
	if (vmem->now < vmem->retry_at)
		return true;
	vmem->retries++;
	vmem_pass_begin(vmem);
	return false;
}

/* Nothing is in flight: what comes next? */
static void step(struct vmem *vmem)
{
	if (look_at_config(vmem))
		return;
	if (vmem->asked && !vmem->answered) {
		vmem_send_ask(vmem);
		return;
	}
	if (rests(vmem))
		return;
	if (!vmem->was_reset) {
		vmem_send(vmem, FOR_RESET, CF_VMEM_UNPLUG_ALL, NULL);
		return;
	}
	vmem_pass_step(vmem);
	if (vmem->pass.stage != STAGE_END)
		return;
	if (vmem->pass.failed)
		back_off(vmem);
	else
		vmem->retry_ms = vmem->config.retry_min_ms;
}

static bool has_answer(const struct vmem *vmem)
{
	return cf_ring_load16(vmem->ring.used + CF_USED_INDEX) !=
	       vmem->ring.used_next;
}

static struct cf_next next(struct vmem *vmem)
{
	struct cf_next never = { CF_WHEN_NEVER, 0 };
	struct cf_next now = { CF_WHEN_NOW, 0 };
	struct cf_next event = { CF_WHEN_EVENT, 0 };
	struct cf_next at = { CF_WHEN_AT, vmem->retry_at };

	if (vmem->device.broken) {
		vmem_big_undo(vmem);
		return never;
	}
	if (vmem->purpose)
		return has_answer(vmem) ? now : event;
	if (vmem->asked && !vmem->answered)
		return now;
	if (vmem->backing_off)
		return at;
	return vmem->was_reset && vmem->pass.stage == STAGE_END ? event : now;
}

struct cf_next cf_vmem_work(struct cf_vmem *opaque, uint64_t now_ms)
{
	struct vmem *vmem = vmem_of(opaque);
	struct cf_next never = { CF_WHEN_NEVER, 0 };
	enum cf_vmem_answer answer;

	if (!vmem->started)
		return never;
	vmem->now = now_ms;
	if (cf_virtio_check(&vmem->device))
		return next(vmem);
	if (!vmem->purpose)
		step(vmem);
	else if (vmem_receive(vmem, &answer) == 0)
		finish(vmem, answer);
	return next(vmem);
}

uint8_t cf_vmem_interrupt(struct cf_vmem *opaque, uint8_t isr)
{
	return cf_virtio_interrupt(&vmem_of(opaque)->device, isr);
}

void cf_vmem_kick(struct cf_vmem *opaque)
{
	struct vmem *vmem = vmem_of(opaque);
	unsigned long state = cf_lock(&vmem->lock);

	vmem->kicked = true;
	cf_unlock(&vmem->lock, state);
}

static enum cf_vmem_phase phase_of(const struct vmem *vmem)
{
	if (vmem->device.broken)
		return CF_VMEM_BROKEN;
	if (vmem->backing_off)
		return CF_VMEM_BACKING_OFF;
	if (!vmem->was_reset)
		return CF_VMEM_RESET;
	if (vmem->pass.stage == STAGE_END)
		return CF_VMEM_IDLE;
	if (vmem->pass.stage == STAGE_SIZE && !vmem->pass.failed)
		return vmem->requested > vmem_plugged_bytes(vmem) ?
		       CF_VMEM_GROWING : CF_VMEM_SHRINKING;
	return CF_VMEM_CLEANING;
}

void cf_vmem_status(const struct cf_vmem *opaque,
		    struct cf_vmem_status *ret_status)
{
	const void *self = opaque;
	const struct vmem *vmem = self;
	uint64_t all = vmem_all(vmem), i;

	*ret_status = (struct cf_vmem_status){
		.phase = phase_of(vmem),
		.owner = vmem->owner,
		.broken = vmem->device.broken,
		.broken_value = vmem->device.broken_value,
		.addr = vmem->addr - vmem->shift,
		.region = vmem->region,
		.usable = vmem->usable,
		.requested = vmem->requested,
		.plugged = vmem_plugged_bytes(vmem),
		.device_block = vmem->device_block,
		.sub_block = vmem->sub_frames << CF_FRAME_SHIFT,
		.big_blocks = vmem->big,
		.waiting = vmem->purpose != FOR_NOTHING,
		.node = vmem->node,
		.requests = vmem->requests,
		.nacks = vmem->nacks,
		.busies = vmem->busies,
		.retries = vmem->retries,
		.err = vmem->err,
		.report = vmem->report,
	};
	ret_status->stoppers = vmem->stoppers;
	for (i = 0; i < vmem->stoppers; i++)
		ret_status->stopper[i] = vmem->stopper[i];
	for (i = 0; vmem->started && i < vmem->blocks; i++) {
		if (vmem->block[i].mode == MODE_ABSENT)
			continue;
		ret_status->blocks++;
		ret_status->blocks_partial += vmem->block[i].plugged != all;
	}
}

int cf_vmem_ask(struct cf_vmem *opaque, cf_pfn first, cf_pfn last)
{
	struct vmem *vmem = vmem_of(opaque);
	cf_pfn start = vmem->addr >> CF_FRAME_SHIFT;
	cf_pfn size = vmem->device_block >> CF_FRAME_SHIFT;

	if (!vmem->started || first >= last || first < start ||
	    last > start + (vmem->usable >> CF_FRAME_SHIFT) ||
	    first % size || last % size || (last - first) / size > 0xffff)
		return -CF_EINVAL;
	if (vmem->asked)
		return -CF_EBUSY;
	vmem->asked = true;
	vmem->answered = false;
	vmem->ask_first = first;
	vmem->ask_last = last;
	return 0;
}

int cf_vmem_answer(struct cf_vmem *opaque, enum cf_vmem_state *ret_state)
{
	struct vmem *vmem = vmem_of(opaque);

	if (!vmem->asked)
		return -CF_EINVAL;
	if (!vmem->answered)
		return vmem->device.broken ? -CF_EREFUSED : -CF_EAGAIN;
	vmem->asked = false;
	if (!vmem->ask_err)
		*ret_state = vmem->ask_state;
	return vmem->ask_err;
}

void cf_vmem_forget(struct cf_vmem *opaque)
{
	struct vmem *vmem = vmem_of(opaque);

	if (vmem->asked && vmem->purpose == FOR_STATE)
		vmem->forgotten = true;
	vmem->asked = false;
}

bool cf_vmem_has(struct cf_vmem *opaque, cf_pfn pfn)
{
	struct vmem *vmem = vmem_of(opaque);
	struct vmem_block block;
	uint64_t index;

	if (!vmem->started || pfn < vmem->first ||
	    pfn >= vmem_block_first(vmem, vmem->blocks))
		return false;
	index = (pfn - vmem->first) / vmem->block_frames;
	block = vmem_look(vmem, index);
	return (block.plugged & ~block.taken) >>
	       (pfn - vmem_block_first(vmem, index)) / vmem->sub_frames & 1;
}

static bool is_in_map(const struct vmem *vmem)
{
	uint64_t i;

	for (i = 0; i < vmem->blocks; i++)
		if (vmem->block[i].mode != MODE_ABSENT)
			return true;
	return false;
}

/* Whole units only: their metadata was added in one piece. */
static void remove_offline(struct vmem *vmem)
{
	uint64_t unit, i;

	for (unit = 0; unit < vmem->blocks; unit += vmem->unit_blocks) {
		for (i = unit; i < unit + vmem->unit_blocks; i++)
			if (vmem_look(vmem, i).mode != MODE_OFFLINE)
				break;
		/* Somebody else's operation may stop it: the orphan's then. */
		if (i == unit + vmem->unit_blocks)
			(void)vmem_send_away(vmem, unit);
	}
}

int cf_vmem_remove(struct cf_vmem *opaque, bool force)
{
	struct vmem *vmem = vmem_of(opaque);
	int err = 0;

	if (!vmem->config.ops)
		return 0;
	if (vmem->started) {
		vmem_big_undo(vmem);
		if (!force && is_in_map(vmem))
			return -CF_EBUSY;
		err = cf_subscriber_remove(vmem->config.map,
					   &vmem->subscriber);
		if (err)
			return -CF_EBUSY;
		remove_offline(vmem);
		err = cf_owner_unregister(vmem->config.map, vmem->owner, NULL);
		if (err)
			return err;
		vmem->started = false;
	}
	return cf_virtio_reset(&vmem->device);
}
