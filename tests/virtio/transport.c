/* SPDX-License-Identifier: MIT */

/*
 * Transports: what they find, and configuration spaces in which nothing is
 * where it should be.  The accessor counts what leaves the BAR.
 */

#include <stdlib.h>
#include <string.h>

#include "tests/virtio/scene.h"

#define SPACE		256

/* A configuration space of bytes, with one BAR of a given size. */
struct fake {
	uint8_t space[SPACE];
	uint64_t bar_bytes;
	unsigned outside;
};

static struct fake fake;
static struct cf_virtio_pci pci;

static uint32_t fake_read(void *context, uint32_t offset, unsigned bytes)
{
	uint32_t value = 0;
	unsigned i;

	(void)context;
	fake.outside += offset + bytes > SPACE;
	for (i = 0; i < bytes && offset + i < SPACE; i++)
		value |= (uint32_t)fake.space[offset + i] << 8 * i;
	return value;
}

static void fake_write(void *context, uint32_t offset, unsigned bytes,
		       uint32_t value)
{
	(void)context;
	fake.outside += offset + bytes > SPACE;
	if (offset == 4)
		cf_wire_put16(fake.space + 4, (uint16_t)value);
}

static uint64_t fake_bar_bytes(void *context, unsigned bar)
{
	(void)context;
	return bar == 4 ? fake.bar_bytes : 0;
}

static uint32_t fake_bar_read(void *context, unsigned bar, uint64_t offset,
			      unsigned bytes)
{
	(void)context;
	fake.outside += bar != 4 || offset + bytes > fake.bar_bytes;
	return (uint32_t)rand() >> 8 * (4 - bytes);
}

static void fake_bar_write(void *context, unsigned bar, uint64_t offset,
			   unsigned bytes, uint32_t value)
{
	(void)context;
	(void)value;
	fake.outside += bar != 4 || offset + bytes > fake.bar_bytes;
}

static const struct cf_pci_access access = {
	.config_read = fake_read,
	.config_write = fake_write,
	.bar_bytes = fake_bar_bytes,
	.bar_read = fake_bar_read,
	.bar_write = fake_bar_write,
};

static void cap(unsigned at, unsigned next, unsigned type, uint32_t offset,
		uint32_t bytes)
{
	uint8_t *to = fake.space + at;

	to[0] = 9;
	to[1] = (uint8_t)next;
	to[2] = type == 2 ? 20 : 16;
	to[3] = (uint8_t)type;
	to[4] = 4;
	cf_wire_put32(to + 8, offset);
	cf_wire_put32(to + 12, bytes);
	if (type == 2)
		cf_wire_put32(to + 16, 4);
}

static void good(void)
{
	memset(&fake, 0, sizeof(fake));
	fake.bar_bytes = 0x4000;
	cf_wire_put16(fake.space, 0x1af4);
	cf_wire_put16(fake.space + 2, 0x1058);
	cf_wire_put16(fake.space + 6, 0x10);
	fake.space[0x34] = 0x84;
	cap(0x84, 0x70, 1, 0, 0x1000);
	cap(0x70, 0x60, 3, 0x1000, 0x1000);
	cap(0x60, 0x40, 4, 0x2000, 0x1000);
	cap(0x40, 0, 2, 0x3000, 0x1000);
}

static int probe(void)
{
	return cf_virtio_pci_probe(&pci, &access);
}

static void finds_structures(void)
{
	good();
	CHECK_EQ(probe(), 0);
	CHECK_EQ(pci.common.offset, 0);
	CHECK_EQ(pci.config.offset, 0x2000);
	CHECK_EQ(pci.notify_multiplier, 4);
	CHECK_EQ(cf_virtio_pci_ops.device_id(&pci), CF_VIRTIO_ID_MEM);
	CHECK_EQ(fake.space[4] & 6, 6);
	CHECK_EQ(cf_virtio_pci_msix(&pci, true), -CF_EINVAL);
	CHECK_EQ(cf_virtio_pci_vector(&pci, 0, 0, 0), -CF_EINVAL);
	cf_virtio_pci_intx(&pci, false);
	CHECK_EQ(fake.space[5], 4);
	cf_virtio_pci_intx(&pci, true);
	CHECK_EQ(fake.space[5], 0);
	/* The transitional balloon, by its modern structures. */
	good();
	cf_wire_put16(fake.space + 2, 0x1002);
	CHECK_EQ(probe(), 0);
	CHECK_EQ(cf_virtio_pci_ops.device_id(&pci), CF_VIRTIO_ID_BALLOON);
	CHECK_EQ(fake.outside, 0);
}

static void other_devices(void)
{
	good();
	cf_wire_put16(fake.space, 0x8086);
	CHECK_EQ(probe(), -CF_EGONE);
	good();
	cf_wire_put16(fake.space + 2, 0x1000);
	CHECK_EQ(probe(), -CF_EGONE);
	good();
	cf_wire_put16(fake.space + 6, 0);
	CHECK_EQ(probe(), -CF_EGONE);
	/* Legacy only. */
	good();
	cf_wire_put16(fake.space + 2, 0x1002);
	fake.space[0x34] = 0;
	CHECK_EQ(probe(), -CF_EGONE);
	good();
	fake.space[0x34] = 0;
	CHECK_EQ(probe(), -CF_EREFUSED);
}

static void wrong_structures(void)
{
	/* One past the end; beyond 4 GiB together; in no BAR; too short. */
	const struct {
		uint32_t at, value;
		unsigned bytes;
	} wrong[] = {
		{ 0x84 + 8, 0x3004, 4 }, { 0x84 + 12, 0xffffffff, 4 },
		{ 0x84 + 8, 0xfffffffc, 4 }, { 0x84 + 4, 6, 1 },
		{ 0x84 + 4, 255, 1 }, { 0x84 + 4, 0, 1 },
		{ 0x84 + 12, 0x37, 4 }, { 0x84 + 8, 2, 4 },
		{ 0x70 + 12, 0, 4 }, { 0x60 + 8, 0x3001, 4 },
		{ 0x60 + 8, 0x4000, 4 }, { 0x40 + 2, 16, 1 },
		{ 0x40 + 12, 1, 4 }, { 0x70 + 3, 7, 1 },
		{ 0x84 + 2, 15, 1 }, { 0x84 + 2, 255, 1 },
	};
	size_t i;
	unsigned b;

	for (i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		good();
		for (b = 0; b < wrong[i].bytes; b++)
			fake.space[wrong[i].at + b] =
				(uint8_t)(wrong[i].value >> 8 * b);
		if (!CHECK_EQ(probe(), -CF_EREFUSED))
			tap_print("# case %zu\n", i);
		CHECK_EQ(fake.outside, 0);
	}
}

/* A second structure of a kind is there in case the first cannot be used. */
static void second_choice(void)
{
	good();
	cap(0xa0, 0x84, 1, 0x9000, 0x1000);
	fake.space[0x34] = 0xa0;
	CHECK_EQ(probe(), 0);
	CHECK_EQ(pci.common.offset, 0);
	cap(0xa0, 0x84, 2, 0x3800, 0x100);
	CHECK_EQ(probe(), 0);
	CHECK_EQ(pci.notify.offset, 0x3800);
}

static void circles(void)
{
	good();
	fake.space[0x41] = 0x84;
	CHECK_EQ(probe(), 0);
	good();
	fake.space[0x71] = 0x84;
	CHECK_EQ(probe(), -CF_EREFUSED);
	good();
	fake.space[0x85] = 0x84;
	CHECK_EQ(probe(), -CF_EREFUSED);
	/* Into the header. */
	good();
	fake.space[0x71] = 0x10;
	CHECK_EQ(probe(), -CF_EREFUSED);
}

static void msix(void)
{
	good();
	fake.space[0x34] = 0xb0;
	fake.space[0xb0] = 0x11;
	fake.space[0xb1] = 0x84;
	cf_wire_put16(fake.space + 0xb2, 7);
	cf_wire_put32(fake.space + 0xb4, 0x3f80 | 4);
	CHECK_EQ(probe(), 0);
	CHECK_EQ(pci.msix_count, 8);
	CHECK_EQ(cf_virtio_pci_vector(&pci, 7, 1, 2), 0);
	CHECK_EQ(cf_virtio_pci_vector(&pci, 8, 1, 2), -CF_EINVAL);
	CHECK_EQ(cf_virtio_pci_msix(&pci, true), 0);
	CHECK_EQ(cf_virtio_pci_msix(&pci, false), 0);
	/* One vector more would not fit: there is none. */
	cf_wire_put16(fake.space + 0xb2, 8);
	CHECK_EQ(probe(), 0);
	CHECK_EQ(pci.msix_count, 0);
	CHECK_EQ(fake.outside, 0);
}

/* Random bytes, and whatever was found is used: nothing leaves the BAR. */
static void random_spaces(void)
{
	struct cf_virtio_queue queue = { 0, 0, 0, 8 };
	unsigned round, i, used = 0;
	uint8_t bytes[64];

	srand(7);
	for (round = 0; round < 200000; round++) {
		good();
		for (i = 0; i < 1u + (unsigned)rand() % 4; i++)
			fake.space[0x34 + rand() % (SPACE - 0x34)] =
				(uint8_t)rand();
		if (probe())
			continue;
		used++;
		(void)cf_virtio_pci_ops.features(&pci);
		(void)cf_virtio_pci_ops.queue_size(&pci, 0);
		if (cf_virtio_pci_ops.queue_enable(&pci, 0, &queue) == 0)
			cf_virtio_pci_ops.notify(&pci, 0);
		(void)cf_virtio_pci_ops.config_read(&pci, 0, bytes,
						    sizeof(bytes));
		(void)cf_virtio_pci_ops.config_write(&pci, 3, bytes, 13);
		(void)cf_virtio_pci_ops.isr(&pci);
	}
	CHECK(used > 1000);
	CHECK_EQ(fake.outside, 0);
}

static struct cf_virtio_mmio mmio;
static uint32_t mmio_register[64];

static uint32_t mmio_read(void *context, uint64_t offset, unsigned bytes)
{
	(void)context;
	fake.outside += offset + bytes > mmio.bytes || offset % bytes;
	return offset < 0x100 ? mmio_register[offset / 4] :
	       (uint32_t)(offset - 0x100) * 0x01010101;
}

static void mmio_write(void *context, uint64_t offset, unsigned bytes,
		       uint32_t value)
{
	(void)context;
	(void)value;
	fake.outside += offset + bytes > mmio.bytes || offset % bytes;
}

static void mmio_probes(void)
{
	uint8_t bytes[12];

	memset(&fake, 0, sizeof(fake));
	mmio = (struct cf_virtio_mmio){
		.bytes = 0x110, .read = mmio_read, .write = mmio_write,
	};
	CHECK_EQ(cf_virtio_mmio_probe(&mmio), -CF_EGONE);
	mmio_register[0] = CF_MMIO_MAGIC_VALUE;
	mmio_register[1] = 1;
	mmio_register[2] = 5;
	CHECK_EQ(cf_virtio_mmio_probe(&mmio), -CF_EGONE);
	mmio_register[1] = 2;
	CHECK_EQ(cf_virtio_mmio_probe(&mmio), 0);
	mmio_register[2] = 0;
	CHECK_EQ(cf_virtio_mmio_probe(&mmio), -CF_EGONE);
	CHECK_EQ(cf_virtio_mmio_ops.config_read(&mmio, 4, bytes, 12), 0);
	CHECK_EQ(bytes[4], 8);
	CHECK_EQ(cf_virtio_mmio_ops.config_read(&mmio, 5, bytes, 12),
		 -CF_EINVAL);
	CHECK_EQ(cf_virtio_mmio_ops.config_write(&mmio, 16, bytes, 1),
		 -CF_EINVAL);
	CHECK_EQ(cf_virtio_mmio_ops.config_write(&mmio, 3, bytes, 7), 0);
	mmio.bytes = 0xff;
	CHECK_EQ(cf_virtio_mmio_probe(&mmio), -CF_EINVAL);
	CHECK_EQ(fake.outside, 0);
}

/* Each has a name, and what is none has one as well. */
static void names(void)
{
	unsigned i;

	for (i = 0; i <= CF_VIRTIO_BROKEN_COUNT; i++)
		CHECK(cf_virtio_broken_name((enum cf_virtio_broken)i));
	for (i = 0; i <= CF_VMEM_PHASE_COUNT; i++)
		CHECK(cf_vmem_phase_name((enum cf_vmem_phase)i));
	for (i = 0; i <= CF_BALLOON_PHASE_COUNT; i++)
		CHECK(cf_balloon_phase_name((enum cf_balloon_phase)i));
	for (i = 0; i <= MODEL_TRICK_COUNT; i++)
		CHECK(model_trick_name((enum model_trick)i));
}

int main(void)
{
	tap_run("names", names);
	tap_run("PCI: finds its structures", finds_structures);
	tap_run("PCI: other devices", other_devices);
	tap_run("PCI: structures that are not where they say",
		wrong_structures);
	tap_run("PCI: a second structure of a kind", second_choice);
	tap_run("PCI: capabilities in a circle", circles);
	tap_run("PCI: MSI-X", msix);
	tap_run("PCI: random spaces", random_spaces);
	tap_run("MMIO", mmio_probes);
	return tap_done();
}
