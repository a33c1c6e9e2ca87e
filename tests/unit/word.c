/* SPDX-License-Identifier: MIT */
/*
 * The descriptor word: every field at its limits, alone and beside others.
 * By setting each field over all-zero and all-one neighbours.
 */
#include "core/word.h"
#include "tests/unit/machine.h"

#define FLAGS_ALL	((1u << WORD_FLAGS_BITS) - 1)
#define OWNER_MAX	(CF_OWNERS_MAX - 1)

static void fields_do_not_overlap(void)
{
	const uint64_t field[] = {
		WORD_FIELD(WORD_TYPE_SHIFT, WORD_TYPE_BITS), WORD_ORDER_MASK,
		WORD_FLAGS_MASK, WORD_OWNER_MASK, WORD_SPARE_MASK,
		WORD_PINS_MASK, WORD_REFS_MASK,
	};
	uint64_t all = 0;
	unsigned i;

	for (i = 0; i < sizeof(field) / sizeof(*field); i++) {
		CHECK((all & field[i]) == 0);
		all |= field[i];
	}
	CHECK(all == ~(uint64_t)0);
}

static void check_made(enum cf_type type, unsigned order, uint32_t flags,
		       uint32_t owner)
{
	uint64_t word = word_make(type, order, flags, owner);

	CHECK_EQ(word_type(word), type);
	CHECK(word_is(word, type));
	CHECK_EQ(word_order(word), order);
	CHECK_EQ(word_frames(word), (cf_pfn)1 << order);
	CHECK_EQ(word_flags(word), flags);
	CHECK_EQ(word_owner(word), owner);
	CHECK_EQ(word_refs(word), 0);
	CHECK_EQ(word_pins(word), 0);
	CHECK_EQ(word & WORD_SPARE_MASK, 0);
}

static void make_and_read(void)
{
	static const uint32_t owner[] = { 0, 1, 2, 2047, 2048, OWNER_MAX };
	unsigned type, order, flag, i;

	for (type = 0; type < CF_TYPE_COUNT; type++)
		for (order = 0; order <= CF_MAX_ORDER; order++)
			for (i = 0; i < 6; i++) {
				check_made((enum cf_type)type, order, 0,
					   owner[i]);
				check_made((enum cf_type)type, order,
					   FLAGS_ALL, owner[i]);
			}
	for (flag = 1; flag <= CF_FLAG_SELF; flag <<= 1)
		check_made(CF_TYPE_OFFLINE, 9, flag, 77);
}

/* A word is 0 if and only if the frame heads nothing. */
static void zero_rule(void)
{
	unsigned type;

	CHECK(word_make(CF_TYPE_NONE, 0, 0, 0) == 0);
	for (type = CF_TYPE_NONE + 1; type < CF_TYPE_COUNT; type++)
		CHECK(word_make((enum cf_type)type, 0, 0, 0) != 0);
}

/* Each setter leaves everything else as it was. */
static void setters(void)
{
	const uint64_t around[] = { 0, ~(uint64_t)0, 0x123456789abcdef0 };
	unsigned i;

	for (i = 0; i < 3; i++) {
		uint64_t w = around[i];

		CHECK((word_with_order(w, 18) & ~WORD_ORDER_MASK) ==
		      (w & ~WORD_ORDER_MASK));
		CHECK_EQ(word_order(word_with_order(w, 18)), 18);
		CHECK_EQ(word_order(word_with_order(w, 0)), 0);
		CHECK((word_with_owner(w, OWNER_MAX) & ~WORD_OWNER_MASK) ==
		      (w & ~WORD_OWNER_MASK));
		CHECK_EQ(word_owner(word_with_owner(w, OWNER_MAX)), OWNER_MAX);
		CHECK_EQ(word_owner(word_with_owner(w, 0)), 0);
		CHECK((word_with_refs(w, 1) & ~WORD_REFS_MASK) ==
		      (w & ~WORD_REFS_MASK));
		CHECK_EQ(word_refs(word_with_refs(w, CF_REFS_MAX)),
			 CF_REFS_MAX);
		CHECK_EQ(word_refs(word_with_refs(w, 0)), 0);
		CHECK((uint32_t)word_with_payload(w, 0xdeadbeef) ==
		      (uint32_t)w);
		CHECK_EQ(word_payload(word_with_payload(w, 0xdeadbeef)),
			 0xdeadbeef);
	}
}

static void flags(void)
{
	uint64_t w = word_make(CF_TYPE_FOLIO, 18, 0, OWNER_MAX);
	unsigned flag;

	for (flag = 1; flag <= CF_FLAG_SELF; flag <<= 1) {
		uint64_t set = word_with(w, flag);

		CHECK(!word_has(w, flag));
		CHECK(word_has(set, flag));
		CHECK(!word_has(set, FLAGS_ALL & ~flag));
		CHECK(word_without(set, flag) == w);
		CHECK(word_with(set, flag) == set);
		CHECK(word_without(w, flag) == w);
		CHECK((set & ~WORD_FLAGS_MASK) == w);
	}
	CHECK_EQ(word_flags(word_with(w, FLAGS_ALL)), FLAGS_ALL);
}

/* A blind add of every context on top of the limit stays in the field. */
static void counts(void)
{
	uint64_t w = word_make(CF_TYPE_FOLIO, 18, FLAGS_ALL, OWNER_MAX);
	uint64_t full = word_with_refs(w, CF_REFS_MAX);
	uint64_t over = full + 2 * (uint64_t)CF_CPUS_MAX * WORD_ONE_REF;

	CHECK(over > full);
	CHECK((over & ~WORD_REFS_MASK) == w);
	CHECK_EQ(word_refs(over), CF_REFS_MAX + 2 * CF_CPUS_MAX);
	CHECK_EQ(word_refs(w + WORD_ONE_REF), 1);
	CHECK_EQ(word_pins(w + WORD_ONE_PIN), 1);
	CHECK_EQ(word_pins(w + CF_PINS_MAX * WORD_ONE_PIN), CF_PINS_MAX);
	CHECK_EQ(word_refs(w + CF_PINS_MAX * WORD_ONE_PIN), 0);
	CHECK_EQ(word_owner(w + CF_PINS_MAX * WORD_ONE_PIN), OWNER_MAX);
	CHECK(CF_PINS_MAX < CF_REFS_MAX);
}

static void counted_types(void)
{
	unsigned type;

	for (type = 0; type < CF_TYPE_COUNT; type++) {
		uint64_t w = word_make((enum cf_type)type, 3, 0, 0);
		bool counted = type == CF_TYPE_KERNEL ||
			       type == CF_TYPE_FOLIO || type == CF_TYPE_DEVICE;
		bool bare = type == CF_TYPE_PGTABLE || type == CF_TYPE_SLAB;

		CHECK_EQ(word_is_counted(w), counted);
		CHECK_EQ(word_is_frozen(w), counted || bare);
		CHECK_EQ(word_is_frozen(w + WORD_ONE_REF), bare);
	}
}

/* One reference and nothing that asks for more than freeing. */
static void plain_last(void)
{
	uint64_t w = word_make(CF_TYPE_KERNEL, 18, 0, 0);
	unsigned flag;

	CHECK(!word_is_plain_last(w));
	CHECK(word_is_plain_last(w + WORD_ONE_REF));
	CHECK(!word_is_plain_last(w + 2 * WORD_ONE_REF));
	CHECK(!word_is_plain_last(w + WORD_ONE_REF + WORD_ONE_PIN));
	CHECK(!word_is_plain_last(word_with_owner(w, 2) + WORD_ONE_REF));
	for (flag = 1; flag <= CF_FLAG_SELF; flag <<= 1)
		CHECK(!word_is_plain_last(word_with(w, flag) + WORD_ONE_REF));
}

int main(void)
{
	tap_run("fields fill the word and do not overlap",
		fields_do_not_overlap);
	tap_run("what is put in is read back", make_and_read);
	tap_run("0 heads nothing, nothing else is 0", zero_rule);
	tap_run("setters touch one field", setters);
	tap_run("flags are set and cleared one by one", flags);
	tap_run("counts reach their limits and stay in place", counts);
	tap_run("counted and frozen follow from type and count", counted_types);
	tap_run("the last reference of a plain run", plain_last);
	return tap_done();
}
