/* SPDX-License-Identifier: MIT */

/*
 * The configuration of the device: read whole, checked, then believed.
 */

#include "virtio/mem_internal.h"

struct said {
	uint64_t block_size, addr, region, usable, plugged, requested;
	uint16_t pxm;
};

/* From here on addresses are the map's. May wrap, and back again. */
static int read_said(struct vmem *vmem, struct said *ret_said)
{
	uint8_t raw[CF_VMEM_CONFIG_BYTES];
	int err;

	err = cf_virtio_config(&vmem->device, 0, raw, sizeof(raw));
	if (err)
		return err;
	if (!vmem->device_block && vmem->config.placed)
		vmem->shift = (vmem->config.place << CF_FRAME_SHIFT) -
			      cf_wire_get64(raw + CF_VMEM_ADDR);
	*ret_said = (struct said){
		.block_size = cf_wire_get64(raw + CF_VMEM_BLOCK_SIZE),
		.pxm = cf_wire_get16(raw + CF_VMEM_NODE_ID),
		.addr = cf_wire_get64(raw + CF_VMEM_ADDR) + vmem->shift,
		.region = cf_wire_get64(raw + CF_VMEM_REGION_SIZE),
		.usable = cf_wire_get64(raw + CF_VMEM_USABLE_SIZE),
		.plugged = cf_wire_get64(raw + CF_VMEM_PLUGGED_SIZE),
		.requested = cf_wire_get64(raw + CF_VMEM_REQUESTED_SIZE),
	};
	return 0;
}

static int broken(struct vmem *vmem, enum cf_virtio_broken why, uint64_t value)
{
	return cf_virtio_break(&vmem->device, why, value);
}

static bool aligned(uint64_t value, uint64_t size)
{
	return (value & (size - 1)) == 0;
}

static int check_region(struct vmem *vmem, const struct said *said)
{
	const struct cf_vmem_config *config = &vmem->config;
	uint64_t first = said->addr >> CF_FRAME_SHIFT;
	uint64_t frames = said->region >> CF_FRAME_SHIFT;

	if (said->block_size < CF_FRAME_BYTES ||
	    !aligned(said->block_size, said->block_size))
		return broken(vmem, CF_VIRTIO_BROKEN_BLOCK_SIZE,
			      said->block_size);
	if (!aligned(said->addr, said->block_size) ||
	    !aligned(vmem->shift, said->block_size) || said->region == 0 ||
	    !aligned(said->region, said->block_size))
		return broken(vmem, CF_VIRTIO_BROKEN_REGION, said->addr);
	/* Nothing wraps: both are below 2^52. */
	if (first < config->first || first + frames > config->last)
		return broken(vmem, CF_VIRTIO_BROKEN_REGION, said->addr);
	return 0;
}

static int check_sizes(struct vmem *vmem, const struct said *said)
{
	uint64_t size = said->block_size;

	if (!aligned(said->usable, size) || said->usable > said->region)
		return broken(vmem, CF_VIRTIO_BROKEN_SIZES, said->usable);
	if (!aligned(said->requested, size) || said->requested > said->usable)
		return broken(vmem, CF_VIRTIO_BROKEN_SIZES, said->requested);
	if (!aligned(said->plugged, size) || said->plugged > said->region)
		return broken(vmem, CF_VIRTIO_BROKEN_SIZES, said->plugged);
	return 0;
}

static int check_constant(struct vmem *vmem, const struct said *said)
{
	if (said->block_size != vmem->device_block)
		return broken(vmem, CF_VIRTIO_BROKEN_CHANGED,
			      said->block_size);
	if (said->addr != vmem->addr)
		return broken(vmem, CF_VIRTIO_BROKEN_CHANGED, said->addr);
	if (said->region != vmem->region)
		return broken(vmem, CF_VIRTIO_BROKEN_CHANGED, said->region);
	/* It shrinks at UNPLUG_ALL only, and then nothing is plugged. */
	if (vmem->was_reset && vmem->plugged_frames &&
	    said->usable < vmem->usable)
		return broken(vmem, CF_VIRTIO_BROKEN_CHANGED, said->usable);
	return 0;
}

int vmem_config_read(struct vmem *vmem)
{
	struct said said;
	int err;

	err = read_said(vmem, &said);
	if (!err && vmem->device_block)
		err = check_constant(vmem, &said);
	if (!err)
		err = check_region(vmem, &said);
	if (!err)
		err = check_sizes(vmem, &said);
	if (err)
		return err;
	vmem->device_block = said.block_size;
	vmem->addr = said.addr;
	vmem->region = said.region;
	vmem->pxm = said.pxm;
	vmem->usable = said.usable;
	vmem->requested = said.requested;
	vmem->device_plugged = said.plugged;
	return 0;
}
