/* SPDX-License-Identifier: MIT */

/*
 * Requests to the device, one at a time, and its answers.
 */

#include "virtio/mem_internal.h"

#define QUEUE	0

static void send(struct vmem *vmem, enum vmem_purpose purpose,
		 enum cf_vmem_request type, cf_pfn first, cf_pfn last)
{
	struct cf_ring_buffer buffers[2] = {
		{ vmem->request_phys, CF_VMEM_REQUEST_BYTES, false },
		{ vmem->answer_phys, CF_VMEM_ANSWER_BYTES, true },
	};
	uint64_t bytes = (last - first) << CF_FRAME_SHIFT;
	unsigned i;

	for (i = 0; i < CF_VMEM_REQUEST_BYTES; i++)
		vmem->request[i] = 0;
	cf_wire_put16(vmem->request + CF_VMEM_REQUEST_TYPE, (uint16_t)type);
	if (last > first) {
		cf_wire_put64(vmem->request + CF_VMEM_REQUEST_ADDR,
			      (first << CF_FRAME_SHIFT) - vmem->shift);
		cf_wire_put16(vmem->request + CF_VMEM_REQUEST_COUNT,
			      (uint16_t)(bytes / vmem->device_block));
	}
	/* There is room for one, and none is on its way. */
	if (cf_ring_add(&vmem->ring, buffers, 2, vmem)) {
		(void)cf_virtio_break(&vmem->device, CF_VIRTIO_BROKEN_QUEUE,
				      vmem->ring.in_flight);
		return;
	}
	vmem->purpose = purpose;
	vmem->sent = type;
	vmem->requests++;
	cf_virtio_notify(&vmem->device, QUEUE, &vmem->ring);
}

void vmem_send(struct vmem *vmem, enum vmem_purpose purpose,
	       enum cf_vmem_request type, const struct vmem_part *part)
{
	cf_pfn first = 0, last = 0;

	if (part) {
		first = vmem_part_first(vmem, part);
		last = vmem_part_last(vmem, part);
		vmem->part = *part;
	}
	send(vmem, purpose, type, first, last);
}

void vmem_send_ask(struct vmem *vmem)
{
	send(vmem, FOR_STATE, CF_VMEM_STATE, vmem->ask_first,
		    vmem->ask_last);
}

int vmem_receive(struct vmem *vmem, enum cf_vmem_answer *ret_answer)
{
	uint8_t answer[CF_VMEM_ANSWER_BYTES];
	uint32_t bytes;
	uint16_t type;
	void *token;
	int err;

	err = cf_virtio_take(&vmem->device, &vmem->ring, &token, &bytes);
	if (err)
		return err;
	if (bytes < CF_VMEM_ANSWER_TYPE + 2 ||
	    (vmem->sent == CF_VMEM_STATE && bytes < CF_VMEM_ANSWER_STATE + 2))
		return cf_virtio_break(&vmem->device,
				       CF_VIRTIO_BROKEN_ANSWER_SHORT, bytes);
	cf_virtio_copy(answer, vmem->answer, sizeof(answer));
	type = cf_wire_get16(answer + CF_VMEM_ANSWER_TYPE);
	if (type > CF_VMEM_ERROR)
		return cf_virtio_break(&vmem->device, CF_VIRTIO_BROKEN_ANSWER,
				       type);
	vmem->nacks += type == CF_VMEM_NACK;
	vmem->busies += type == CF_VMEM_BUSY;
	*ret_answer = (enum cf_vmem_answer)type;
	if (vmem->sent != CF_VMEM_STATE || type != CF_VMEM_ACK)
		return 0;
	type = cf_wire_get16(answer + CF_VMEM_ANSWER_STATE);
	if (type > CF_VMEM_MIXED)
		return cf_virtio_break(&vmem->device, CF_VIRTIO_BROKEN_STATE,
				       type);
	vmem->ask_state = (enum cf_vmem_state)type;
	return 0;
}
