/* SPDX-License-Identifier: MIT */
#ifndef VIRTIO_WIRE_H
#define VIRTIO_WIRE_H

/*
 * What drivers and devices write to each other: numbers and layouts of the
 * Virtual I/O Device (VIRTIO) specification, version 1.2.  All fields are
 * little-endian.  Offsets are in bytes.
 */

#include <stdint.h>

/* Device ids. */
#define CF_VIRTIO_ID_BALLOON	5
#define CF_VIRTIO_ID_MEM	24

/* Device status. */
#define CF_VIRTIO_ACKNOWLEDGE	0x01
#define CF_VIRTIO_DRIVER	0x02
#define CF_VIRTIO_DRIVER_OK	0x04
#define CF_VIRTIO_FEATURES_OK	0x08
#define CF_VIRTIO_NEEDS_RESET	0x40
#define CF_VIRTIO_FAILED	0x80

/* Features of every device: masks. */
#define CF_VIRTIO_F_INDIRECT	((uint64_t)1 << 28)
#define CF_VIRTIO_F_EVENT_IDX	((uint64_t)1 << 29)
#define CF_VIRTIO_F_VERSION_1	((uint64_t)1 << 32)
#define CF_VIRTIO_F_PLATFORM	((uint64_t)1 << 33)

/* Interrupt status. */
#define CF_VIRTIO_ISR_QUEUE	0x01
#define CF_VIRTIO_ISR_CONFIG	0x02

#define CF_VIRTIO_NO_VECTOR	0xffff
#define CF_VIRTIO_QUEUE_SIZE_MAX 32768

/* A descriptor: 16 bytes. */
#define CF_DESC_BYTES		16
#define CF_DESC_ADDR		0	/* 64 */
#define CF_DESC_LEN		8	/* 32 */
#define CF_DESC_FLAGS		12	/* 16 */
#define CF_DESC_NEXT		14	/* 16 */
#define CF_DESC_F_NEXT		1
#define CF_DESC_F_WRITE		2	/* the device writes */
#define CF_DESC_F_INDIRECT	4

/* The available ring: flags, index, entries of 2 bytes, used_event. */
#define CF_AVAIL_FLAGS		0
#define CF_AVAIL_INDEX		2
#define CF_AVAIL_ENTRIES	4
#define CF_AVAIL_F_NO_INTERRUPT	1
#define CF_AVAIL_BYTES(size)	(6 + 2 * (uint64_t)(size))

/* The used ring: flags, index, entries of id and length, avail_event. */
#define CF_USED_FLAGS		0
#define CF_USED_INDEX		2
#define CF_USED_ENTRIES		4
#define CF_USED_ENTRY_BYTES	8
#define CF_USED_F_NO_NOTIFY	1
#define CF_USED_BYTES(size)	(6 + 8 * (uint64_t)(size))

/* PCI. */
#define CF_PCI_VENDOR_VIRTIO	0x1af4
#define CF_PCI_DEVICE_BASE	0x1040	/* + device id: modern */
#define CF_PCI_DEVICE_BALLOON	0x1002	/* transitional */

/* The registers of a modern PCI device's common structure. */
#define CF_PCI_DEVICE_FEATURE_SELECT	0x00
#define CF_PCI_DEVICE_FEATURE		0x04
#define CF_PCI_DRIVER_FEATURE_SELECT	0x08
#define CF_PCI_DRIVER_FEATURE		0x0c
#define CF_PCI_CONFIG_VECTOR		0x10
#define CF_PCI_NUM_QUEUES		0x12
#define CF_PCI_STATUS			0x14
#define CF_PCI_GENERATION		0x15
#define CF_PCI_QUEUE_SELECT		0x16
#define CF_PCI_QUEUE_SIZE		0x18
#define CF_PCI_QUEUE_VECTOR		0x1a
#define CF_PCI_QUEUE_ENABLE		0x1c
#define CF_PCI_QUEUE_NOTIFY_OFF		0x1e
#define CF_PCI_QUEUE_DESC		0x20
#define CF_PCI_QUEUE_DRIVER		0x28
#define CF_PCI_QUEUE_DEVICE		0x30
#define CF_PCI_COMMON_BYTES		0x38

/* The registers of an MMIO device, version 2. */
#define CF_MMIO_MAGIC			0x000
#define CF_MMIO_VERSION			0x004
#define CF_MMIO_DEVICE_ID		0x008
#define CF_MMIO_VENDOR_ID		0x00c
#define CF_MMIO_DEVICE_FEATURE		0x010
#define CF_MMIO_DEVICE_FEATURE_SELECT	0x014
#define CF_MMIO_DRIVER_FEATURE		0x020
#define CF_MMIO_DRIVER_FEATURE_SELECT	0x024
#define CF_MMIO_QUEUE_SELECT		0x030
#define CF_MMIO_QUEUE_SIZE_MAX		0x034
#define CF_MMIO_QUEUE_SIZE		0x038
#define CF_MMIO_QUEUE_READY		0x044
#define CF_MMIO_QUEUE_NOTIFY		0x050
#define CF_MMIO_ISR			0x060
#define CF_MMIO_ISR_ACK			0x064
#define CF_MMIO_STATUS			0x070
#define CF_MMIO_QUEUE_DESC		0x080
#define CF_MMIO_QUEUE_DRIVER		0x090
#define CF_MMIO_QUEUE_DEVICE		0x0a0
#define CF_MMIO_GENERATION		0x0fc
#define CF_MMIO_CONFIG			0x100
#define CF_MMIO_MAGIC_VALUE		0x74726976

/* virtio-mem: features. */
#define CF_VMEM_F_ACPI_PXM		((uint64_t)1 << 0)
#define CF_VMEM_F_UNPLUGGED_INACCESSIBLE ((uint64_t)1 << 1)
#define CF_VMEM_F_PERSISTENT_SUSPEND	((uint64_t)1 << 2)

/* virtio-mem: configuration. */
#define CF_VMEM_BLOCK_SIZE		0	/* 64 */
#define CF_VMEM_NODE_ID			8	/* 16 */
#define CF_VMEM_ADDR			16	/* 64 */
#define CF_VMEM_REGION_SIZE		24	/* 64 */
#define CF_VMEM_USABLE_SIZE		32	/* 64 */
#define CF_VMEM_PLUGGED_SIZE		40	/* 64 */
#define CF_VMEM_REQUESTED_SIZE		48	/* 64 */
#define CF_VMEM_CONFIG_BYTES		56

/* virtio-mem: a request, 24 bytes, and its answer, 10. */
#define CF_VMEM_REQUEST_TYPE		0	/* 16 */
#define CF_VMEM_REQUEST_ADDR		8	/* 64 */
#define CF_VMEM_REQUEST_COUNT		16	/* 16: device blocks */
#define CF_VMEM_REQUEST_BYTES		24
#define CF_VMEM_ANSWER_TYPE		0	/* 16 */
#define CF_VMEM_ANSWER_STATE		8	/* 16 */
#define CF_VMEM_ANSWER_BYTES		10

enum cf_vmem_request {
	CF_VMEM_PLUG		= 0,
	CF_VMEM_UNPLUG		= 1,
	CF_VMEM_UNPLUG_ALL	= 2,
	CF_VMEM_STATE		= 3,
};

enum cf_vmem_answer {
	CF_VMEM_ACK		= 0,
	CF_VMEM_NACK		= 1,	/* not now */
	CF_VMEM_BUSY		= 2,	/* e.g. being migrated */
	CF_VMEM_ERROR		= 3,	/* the request can never be right */
};

enum cf_vmem_state {
	CF_VMEM_PLUGGED		= 0,
	CF_VMEM_UNPLUGGED	= 1,
	CF_VMEM_MIXED		= 2,
};

/* virtio-balloon: features. */
#define CF_BALLOON_F_MUST_TELL_HOST	((uint64_t)1 << 0)
#define CF_BALLOON_F_STATS		((uint64_t)1 << 1)
#define CF_BALLOON_F_DEFLATE_ON_OOM	((uint64_t)1 << 2)
#define CF_BALLOON_F_HINT		((uint64_t)1 << 3)
#define CF_BALLOON_F_POISON		((uint64_t)1 << 4)
#define CF_BALLOON_F_REPORTING		((uint64_t)1 << 5)

/* virtio-balloon: configuration. */
#define CF_BALLOON_NUM_PAGES		0	/* 32: the target */
#define CF_BALLOON_ACTUAL		4	/* 32: the driver writes */
#define CF_BALLOON_HINT_COMMAND		8	/* 32 */
#define CF_BALLOON_POISON_VALUE		12	/* 32: the driver writes */
#define CF_BALLOON_CONFIG_BYTES		16

#define CF_BALLOON_HINT_STOP		0
#define CF_BALLOON_HINT_DONE		1
#define CF_BALLOON_HINT_FIRST		2	/* a round, and all above */

/* virtio-balloon: an entry of the statistics, 10 bytes: tag 16, value 64. */
#define CF_BALLOON_STAT_BYTES		10

enum cf_balloon_tag {
	CF_BALLOON_SWAP_IN	= 0,
	CF_BALLOON_SWAP_OUT	= 1,
	CF_BALLOON_MAJOR_FAULTS	= 2,
	CF_BALLOON_MINOR_FAULTS	= 3,
	CF_BALLOON_FREE		= 4,	/* bytes, as all below but 8 and 9 */
	CF_BALLOON_TOTAL	= 5,
	CF_BALLOON_AVAILABLE	= 6,
	CF_BALLOON_CACHES	= 7,
	CF_BALLOON_HUGE_ALLOCS	= 8,
	CF_BALLOON_HUGE_FAILS	= 9,
	CF_BALLOON_TAG_COUNT
};

/* Little-endian fields anywhere in memory, byte by byte. */

static inline uint16_t cf_wire_get16(const uint8_t *at)
{
	return (uint16_t)(at[0] | at[1] << 8);
}

static inline uint32_t cf_wire_get32(const uint8_t *at)
{
	return cf_wire_get16(at) | (uint32_t)cf_wire_get16(at + 2) << 16;
}

static inline uint64_t cf_wire_get64(const uint8_t *at)
{
	return cf_wire_get32(at) | (uint64_t)cf_wire_get32(at + 4) << 32;
}

static inline void cf_wire_put16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)value;
	at[1] = (uint8_t)(value >> 8);
}

static inline void cf_wire_put32(uint8_t *at, uint32_t value)
{
	cf_wire_put16(at, (uint16_t)value);
	cf_wire_put16(at + 2, (uint16_t)(value >> 16));
}

static inline void cf_wire_put64(uint8_t *at, uint64_t value)
{
	cf_wire_put32(at, (uint32_t)value);
	cf_wire_put32(at + 4, (uint32_t)(value >> 32));
}

#endif
