/* SPDX-License-Identifier: MIT */
/* The binary buddy rule; see buddy.h. */
#include "bench/buddy.h"
#include "bench/measure.h"

#define NONE	UINT32_MAX

static uint64_t size_of(unsigned order)
{
	return (uint64_t)1 << order;
}

static void list_add(struct buddy *buddy, uint64_t first, unsigned order)
{
	uint32_t at = (uint32_t)first;
	uint32_t old = buddy->heads[order];

	buddy->tag[at] = (uint8_t)(order + 1);
	buddy->prev[at] = NONE;
	buddy->next[at] = old;
	if (old != NONE)
		buddy->prev[old] = at;
	buddy->heads[order] = at;
}

static void list_remove(struct buddy *buddy, uint64_t first, unsigned order)
{
	uint32_t at = (uint32_t)first;
	uint32_t next = buddy->next[at];
	uint32_t prev = buddy->prev[at];

	buddy->tag[at] = 0;
	if (next != NONE)
		buddy->prev[next] = prev;
	if (prev != NONE)
		buddy->next[prev] = next;
	else
		buddy->heads[order] = next;
}

void buddy_open(struct buddy *buddy, uint64_t frames)
{
	uint64_t first;
	unsigned order;

	buddy->frames = frames;
	buddy->next = room_open(frames * sizeof(uint32_t));
	buddy->prev = room_open(frames * sizeof(uint32_t));
	buddy->tag = room_open(frames);
	for (order = 0; order < BUDDY_ORDERS; order++)
		buddy->heads[order] = NONE;
	for (first = 0; first < frames; first += size_of(BUDDY_ORDERS - 1))
		list_add(buddy, first, BUDDY_ORDERS - 1);
}

void buddy_close(struct buddy *buddy)
{
	room_close(buddy->next, buddy->frames * sizeof(uint32_t));
	room_close(buddy->prev, buddy->frames * sizeof(uint32_t));
	room_close(buddy->tag, buddy->frames);
}

bool buddy_alloc(struct buddy *buddy, unsigned order, uint64_t *ret_first)
{
	unsigned from = order;
	uint64_t first;

	while (from < BUDDY_ORDERS && buddy->heads[from] == NONE)
		from++;
	if (from == BUDDY_ORDERS)
		return false;
	first = buddy->heads[from];
	list_remove(buddy, first, from);
	while (from > order) {
		from--;
		list_add(buddy, first + size_of(from), from);
	}
	*ret_first = first;
	return true;
}

void buddy_free(struct buddy *buddy, uint64_t first, unsigned order)
{
	uint64_t other;

	for (; order < BUDDY_ORDERS - 1; order++) {
		other = first ^ size_of(order);
		if (buddy->tag[other] != order + 1)
			break;
		list_remove(buddy, other, order);
		first &= ~size_of(order);
	}
	list_add(buddy, first, order);
}

uint64_t buddy_free_runs(const struct buddy *buddy, unsigned order)
{
	uint64_t runs = 0;
	unsigned at;
	uint32_t head;

	for (at = order; at < BUDDY_ORDERS; at++)
		for (head = buddy->heads[at]; head != NONE;
		     head = buddy->next[head])
			runs += size_of(at - order);
	return runs;
}
