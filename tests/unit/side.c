/* SPDX-License-Identifier: MIT */
/*
 * Side tables. On a port that hands out dirty memory, counts what is out and
 * fails on demand; what threads do to each other is in side_race.c.
 */
#include "ground.h"

static struct cf_side side;
static struct cf_side other;

static size_t pieces_out(void)
{
	const struct test_meta *meta;
	size_t count = 0;

	for (meta = test_port.meta; meta; meta = meta->next)
		count++;
	return count;
}

static unsigned char *extend(struct cf_side *table, cf_pfn pfn)
{
	void *entry = NULL;

	CHECK(cf_side_extend(table, pfn, &entry) == 0);
	return entry;
}

static bool is_zero(const unsigned char *entry, size_t bytes)
{
	while (bytes-- > 0)
		if (entry[bytes])
			return false;
	return true;
}

static void refusals(void)
{
	void *entry = &side;
	size_t out;

	ground_make();
	out = pieces_out();
	CHECK(cf_side_add(map, &side, 0) == -CF_EINVAL);
	CHECK(cf_side_add(map, &side, CF_FRAME_BYTES + 1) == -CF_EINVAL);
	test_port_arm(TEST_META_ALLOC, 1);
	CHECK(cf_side_add(map, &side, 8) == -CF_ENOMEM);
	CHECK(test_port_disarm());
	CHECK(map->side == NULL && pieces_out() == out);

	CHECK(cf_side_add(map, &side, 8) == 0);
	CHECK(cf_side_extend(&side, OFFLINE_LAST, &entry) == -CF_EGONE);
	CHECK(cf_side_extend(&side, GROUND_LAST, &entry) == -CF_EGONE);
	CHECK(cf_side_extend(&side, CF_PFN_NONE, &entry) == -CF_EGONE);
	test_port_arm(TEST_META_ALLOC, 1);
	CHECK(cf_side_extend(&side, NORMAL_FIRST, &entry) == -CF_ENOMEM);
	CHECK(test_port_disarm());
	CHECK(entry == &side && pieces_out() == out + 1);
	CHECK(cf_side_find(&side, NORMAL_FIRST) == NULL);
	CHECK(cf_side_find(&side, OFFLINE_LAST) == NULL);
	CHECK(cf_side_find(&side, CF_PFN_NONE) == NULL);
	cf_side_remove(map, &side);
	CHECK_EQ(pieces_out(), out);
	ground_drop();
}

/* Every frame of a block has an entry of its own, zeroed, where find says. */
static void entries(size_t bytes)
{
	cf_pfn first = NORMAL_FIRST + BLOCK;
	unsigned char *base, *entry;
	cf_pfn pfn;

	ground_make();
	CHECK(cf_side_add(map, &side, bytes) == 0);
	base = extend(&side, first + 77) - 77 * bytes;
	for (pfn = first; pfn < first + BLOCK; pfn++) {
		entry = cf_side_find(&side, pfn);
		if (!CHECK(entry == base + (pfn - first) * bytes) ||
		    !CHECK(is_zero(entry, bytes)))
			break;
		memset(entry, 0xee, bytes);
		if (!CHECK(extend(&side, pfn) == entry))
			break;
	}
	CHECK(cf_side_find(&side, first - 1) == NULL);
	CHECK(cf_side_find(&side, first + BLOCK) == NULL);
	cf_side_remove(map, &side);
	ground_drop();
}

static void entries_of_any_size(void)
{
	entries(1);
	entries(7);
	entries(64);
	entries(CF_FRAME_BYTES);
}

/* A block that is removed takes its leaves along, in every table. */
static void goes_with_its_block(void)
{
	cf_pfn first = OFFLINE_FIRST;
	size_t out;

	ground_make();
	out = pieces_out();
	CHECK(cf_side_add(map, &side, 16) == 0);
	CHECK(cf_side_add(map, &other, 3) == 0);
	memset(extend(&side, first), 1, 16);
	memset(extend(&other, first + 9), 2, 3);
	(void)extend(&side, NORMAL_FIRST);
	CHECK_EQ(pieces_out(), out + 5);
	CHECK(cf_block_remove(map, first, first + BLOCK) == 0);
	CHECK_EQ(pieces_out(), out + 2);
	CHECK(cf_side_find(&side, first) == NULL);
	CHECK(cf_side_find(&other, first + 9) == NULL);
	CHECK(cf_side_find(&side, NORMAL_FIRST) != NULL);
	ground_add(first, first + BLOCK, CF_META_PORT, 0);
	CHECK(cf_side_find(&side, first) == NULL);
	CHECK(is_zero(extend(&side, first), 16));
	CHECK(is_zero(extend(&other, first + 9), 3));
	cf_side_remove(map, &other);
	cf_side_remove(map, &side);
	CHECK_EQ(pieces_out(), out);
	ground_drop();
}

/* In any order, and the others stay. */
static void removal_order(void)
{
	struct cf_side third;
	size_t out;

	ground_make();
	out = pieces_out();
	CHECK(cf_side_add(map, &side, 4) == 0);
	CHECK(cf_side_add(map, &other, 4) == 0);
	CHECK(cf_side_add(map, &third, 4) == 0);
	memset(extend(&side, NORMAL_FIRST), 1, 4);
	memset(extend(&third, NORMAL_FIRST), 3, 4);
	(void)extend(&other, NORMAL_FIRST);
	(void)extend(&other, NORMAL_FIRST + BLOCK);
	cf_side_remove(map, &other);
	CHECK_EQ(*extend(&side, NORMAL_FIRST), 1);
	CHECK_EQ(*extend(&third, NORMAL_FIRST), 3);
	cf_side_remove(map, &third);
	CHECK_EQ(*extend(&side, NORMAL_FIRST), 1);
	cf_side_remove(map, &side);
	CHECK_EQ(pieces_out(), out);
	/* The same memory serves again. */
	CHECK(cf_side_add(map, &side, 9) == 0);
	CHECK(is_zero(extend(&side, NORMAL_FIRST), 9));
	cf_side_remove(map, &side);
	CHECK(map->side == NULL);
	CHECK(cf_block_remove(map, OFFLINE_FIRST, OFFLINE_LAST) == 0);
	ground_drop();
}

/* The online hook extends its owner's table, under the hotplug lock. */
static int extend_all(void *context, cf_pfn first, cf_pfn last)
{
	CHECK(extend(context, first) != NULL);
	CHECK(cf_side_find(context, last - 1) != NULL);
	return 0;
}

static void from_a_hook(void)
{
	static const struct cf_owner_ops ops = { .online = extend_all };
	uint32_t id;

	ground_make();
	CHECK(cf_side_add(map, &side, 2) == 0);
	CHECK(cf_owner_register(map, "extends", &ops, &side, &id) == 0);
	CHECK(cf_block_adopt(map, OFFLINE_FIRST, OFFLINE_LAST, id) == 0);
	ground_online(OFFLINE_FIRST, OFFLINE_LAST, CF_ZONE_NORMAL);
	CHECK(cf_side_find(&side, OFFLINE_FIRST) != NULL);
	cf_side_remove(map, &side);
	ground_drop();
}

int main(void)
{
	tap_run("what cannot be refuses and leaves nothing", refusals);
	tap_run("entries of any size", entries_of_any_size);
	tap_run("leaves go with their block", goes_with_its_block);
	tap_run("tables end in any order", removal_order);
	tap_run("a hook may extend", from_a_hook);
	return tap_done();
}
