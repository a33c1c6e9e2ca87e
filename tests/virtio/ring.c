/* SPDX-License-Identifier: MIT */

/*
 * Split virtqueues, by an other side that is played by hand: order, wrapping,
 * and every way in which a used ring can be wrong.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tests/tap.h"
#include "virtio/ring.h"

#define SIZE		8

static _Alignas(64) uint8_t shared[1024];
static struct cf_ring_slot slots[SIZE];
static struct cf_ring ring;
static int tokens[SIZE];

static void make(void)
{
	memset(shared, 0xff, sizeof(shared));
	memset(slots, 0xff, sizeof(slots));
	cf_ring_init(&ring, SIZE, shared, 0x10000, slots);
}

static uint16_t avail_index(void)
{
	return cf_ring_load16(ring.avail + CF_AVAIL_INDEX);
}

static uint16_t avail_entry(uint16_t at)
{
	return cf_wire_get16(ring.avail + CF_AVAIL_ENTRIES + 2 * (at % SIZE));
}

/* What the device would write. */
static void put_used(uint16_t at, uint32_t id, uint32_t bytes)
{
	uint8_t *entry = ring.used + CF_USED_ENTRIES + 8 * (at % SIZE);

	cf_wire_put32(entry, id);
	cf_wire_put32(entry + 4, bytes);
	cf_ring_store16(ring.used + CF_USED_INDEX, (uint16_t)(at + 1));
}

static int add(unsigned outs, unsigned ins, void *token)
{
	struct cf_ring_buffer buffers[SIZE + 1];
	unsigned i;

	for (i = 0; i < outs + ins; i++)
		buffers[i] = (struct cf_ring_buffer){
			.phys = 0x1000 * (i + 1),
			.bytes = 100 + i,
			.device_writes = i >= outs,
		};
	return cf_ring_add(&ring, buffers, outs + ins, token);
}

static void lays_out(void)
{
	const uint8_t *desc;

	make();
	CHECK_EQ(cf_ring_shared_bytes(SIZE), 8 * 16 + 6 + 16 + 2 + 6 + 64);
	CHECK_EQ(ring.desc_phys, 0x10000);
	CHECK_EQ(ring.avail_phys, 0x10080);
	CHECK_EQ(ring.used_phys % 4, 0);
	CHECK_EQ(avail_index(), 0);
	CHECK_EQ(add(1, 1, &tokens[0]), 0);
	CHECK_EQ(avail_index(), 1);
	desc = ring.desc + CF_DESC_BYTES * avail_entry(0);
	CHECK_EQ(cf_wire_get64(desc + CF_DESC_ADDR), 0x1000);
	CHECK_EQ(cf_wire_get32(desc + CF_DESC_LEN), 100);
	CHECK_EQ(cf_wire_get16(desc + CF_DESC_FLAGS), CF_DESC_F_NEXT);
	desc = ring.desc + CF_DESC_BYTES *
	       cf_wire_get16(desc + CF_DESC_NEXT);
	CHECK_EQ(cf_wire_get64(desc + CF_DESC_ADDR), 0x2000);
	CHECK_EQ(cf_wire_get16(desc + CF_DESC_FLAGS), CF_DESC_F_WRITE);
}

static void fills_up(void)
{
	uint32_t bytes;
	void *token;

	make();
	CHECK_EQ(add(0, 0, &tokens[0]), -CF_EBUSY);
	CHECK_EQ(add(5, 4, &tokens[0]), -CF_EBUSY);
	CHECK_EQ(add(4, 1, &tokens[0]), 0);
	CHECK_EQ(add(2, 2, &tokens[1]), -CF_EBUSY);
	CHECK_EQ(add(2, 1, &tokens[1]), 0);
	CHECK_EQ(add(1, 0, &tokens[2]), -CF_EBUSY);
	CHECK_EQ(ring.free_count, 0);
	/* Used in another order than made available. */
	put_used(0, avail_entry(1), 7);
	CHECK_EQ(cf_ring_take(&ring, &token, &bytes), 0);
	CHECK(token == &tokens[1]);
	CHECK_EQ(bytes, 7);
	CHECK_EQ(cf_ring_take(&ring, &token, &bytes), -CF_EAGAIN);
	CHECK_EQ(ring.free_count, 3);
	put_used(1, avail_entry(0), 0);
	CHECK_EQ(cf_ring_take(&ring, &token, &bytes), 0);
	CHECK(token == &tokens[0]);
	CHECK_EQ(ring.free_count, SIZE);
	CHECK_EQ(ring.in_flight, 0);
}

/* Indices are 16 bits and run on. */
static void wraps(void)
{
	uint32_t bytes, i;
	void *token;

	make();
	for (i = 0; i < 200000; i++) {
		if (add(1 + i % 3, i % 2, &tokens[i % SIZE]) ||
		    avail_index() != (uint16_t)(i + 1))
			break;
		put_used((uint16_t)i, avail_entry((uint16_t)i), i % 2);
		if (cf_ring_take(&ring, &token, &bytes) ||
		    token != &tokens[i % SIZE] || bytes != i % 2)
			break;
	}
	CHECK_EQ(i, 200000);
	CHECK_EQ(ring.free_count, SIZE);
}

static void wraps_while_full(void)
{
	uint16_t made = 0, used = 0;
	uint32_t bytes, i;
	void *token;

	make();
	srand(1);
	for (i = 0; i < 300000; i++) {
		if (rand() % 2 && add(1, 0, &tokens[made % SIZE]) == 0)
			made++;
		if (rand() % 2 && used != made) {
			put_used(used, avail_entry(used), 0);
			if (!CHECK_EQ(cf_ring_take(&ring, &token, &bytes), 0) ||
			    !CHECK(token == &tokens[used % SIZE]))
				return;
			used++;
		}
	}
	CHECK_EQ(ring.in_flight, (uint16_t)(made - used));
}

static void dies(enum cf_ring_fault fault)
{
	uint32_t bytes;
	void *token = tokens;

	CHECK_EQ(cf_ring_take(&ring, &token, &bytes), -CF_EREFUSED);
	CHECK_EQ(ring.fault, fault);
	CHECK(token == tokens);
	/* For good. */
	put_used(0, avail_entry(0), 0);
	CHECK_EQ(cf_ring_take(&ring, &token, &bytes), -CF_EREFUSED);
	CHECK_EQ(add(1, 0, &tokens[0]), -CF_EBUSY);
}

static void finds_lies(void)
{
	uint32_t bytes, id;
	void *token;

	make();
	put_used(0, 0, 0);
	dies(CF_RING_INDEX);
	make();
	CHECK_EQ(add(1, 1, &tokens[0]), 0);
	put_used(1, avail_entry(0), 0);
	dies(CF_RING_INDEX);
	make();
	CHECK_EQ(add(1, 1, &tokens[0]), 0);
	cf_ring_store16(ring.used + CF_USED_INDEX, 0xffff);
	dies(CF_RING_INDEX);
	/* The second descriptor of a chain is no head. */
	for (id = 0; id < 20; id++) {
		make();
		CHECK_EQ(add(1, 1, &tokens[0]), 0);
		if (id == avail_entry(0))
			continue;
		put_used(0, id < 16 ? id : 0x10000u * (id - 15), 0);
		dies(CF_RING_ID);
	}
	/* The same one twice. */
	make();
	CHECK_EQ(add(1, 1, &tokens[0]), 0);
	CHECK_EQ(add(1, 1, &tokens[1]), 0);
	put_used(0, avail_entry(0), 0);
	CHECK_EQ(cf_ring_take(&ring, &token, &bytes), 0);
	put_used(1, avail_entry(0), 0);
	dies(CF_RING_ID);
	/* One byte more than there is room. */
	make();
	CHECK_EQ(add(1, 2, &tokens[0]), 0);
	put_used(0, avail_entry(0), 101 + 102);
	CHECK_EQ(cf_ring_take(&ring, &token, &bytes), 0);
	CHECK_EQ(add(1, 2, &tokens[0]), 0);
	put_used(1, avail_entry(1), 101 + 102 + 1);
	dies(CF_RING_LENGTH);
}

/* The device scribbles over all it can reach; the chain comes back right. */
static void believes_itself(void)
{
	uint16_t head;
	uint32_t bytes;
	void *token;

	make();
	CHECK_EQ(add(2, 2, &tokens[3]), 0);
	head = avail_entry(0);
	memset(shared, 0xee, (size_t)(ring.used - shared));
	put_used(0, head, 5);
	CHECK_EQ(cf_ring_take(&ring, &token, &bytes), 0);
	CHECK(token == &tokens[3]);
	CHECK_EQ(ring.free_count, SIZE);
	CHECK_EQ(add(4, 4, &tokens[4]), 0);
}

static void suppresses(void)
{
	make();
	CHECK(cf_ring_wants_notify(&ring));
	cf_ring_store16(ring.used + CF_USED_FLAGS, CF_USED_F_NO_NOTIFY);
	CHECK(!cf_ring_wants_notify(&ring));
	cf_ring_want_interrupt(&ring, false);
	CHECK_EQ(cf_ring_load16(ring.avail + CF_AVAIL_FLAGS),
		 CF_AVAIL_F_NO_INTERRUPT);
	cf_ring_want_interrupt(&ring, true);
	CHECK_EQ(cf_ring_load16(ring.avail + CF_AVAIL_FLAGS), 0);
}

int main(void)
{
	tap_run("lays out", lays_out);
	tap_run("fills up and empties in any order", fills_up);
	tap_run("indices wrap", wraps);
	tap_run("indices wrap, many in flight", wraps_while_full);
	tap_run("finds lies", finds_lies);
	tap_run("believes its own account only", believes_itself);
	tap_run("suppresses notifications and interrupts", suppresses);
	return tap_done();
}
