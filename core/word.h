/* SPDX-License-Identifier: MIT */
#ifndef CFI_WORD_H
#define CFI_WORD_H

#include <coldframe/types.h>

/*
 * The descriptor word of a run, at its head.  Only this file knows the bits.
 *
 * 63                    42 41       32 31 29 28          17 16     9 8   4 3  0
 * rrrrrrrr rrrrrrrr rrrrrr pp pppppppp   --- oooo oooo oooo ffffffff kkkkk tttt
 *
 *  t  enum cf_type         f  enum cf_flag     p  pins       (counted types)
 *  k  order of the run     o  owner id         r  references, pins included
 *
 * Uncounted types keep 32 bits of payload for their owner in 63..32.
 * 0: the frame heads nothing.  A counted type with no references is frozen.
 */
#define WORD_TYPE_SHIFT		0
#define WORD_TYPE_BITS		4
#define WORD_ORDER_SHIFT	(WORD_TYPE_SHIFT + WORD_TYPE_BITS)
#define WORD_ORDER_BITS		5
#define WORD_FLAGS_SHIFT	(WORD_ORDER_SHIFT + WORD_ORDER_BITS)
#define WORD_FLAGS_BITS		8
#define WORD_OWNER_SHIFT	(WORD_FLAGS_SHIFT + WORD_FLAGS_BITS)
#define WORD_OWNER_BITS		12
#define WORD_SPARE_SHIFT	(WORD_OWNER_SHIFT + WORD_OWNER_BITS)
#define WORD_SPARE_BITS		3
#define WORD_PINS_SHIFT		(WORD_SPARE_SHIFT + WORD_SPARE_BITS)
#define WORD_PINS_BITS		10
#define WORD_REFS_SHIFT		(WORD_PINS_SHIFT + WORD_PINS_BITS)
#define WORD_REFS_BITS		22
_Static_assert(WORD_REFS_SHIFT + WORD_REFS_BITS == 64, "the word is full");
_Static_assert(CF_TYPE_COUNT <= 1 << WORD_TYPE_BITS, "types fit");
_Static_assert(CF_MAX_ORDER < 1 << WORD_ORDER_BITS, "orders fit");
_Static_assert(CF_OWNERS_MAX <= 1 << WORD_OWNER_BITS, "owners fit");
_Static_assert(CF_FLAG_CLOSED < 1 << WORD_FLAGS_BITS, "flags fit");
_Static_assert(CF_PINS_MAX == (1u << WORD_PINS_BITS) - 1, "as documented");

#define WORD_FIELD(shift, bits)	((((uint64_t)1 << (bits)) - 1) << (shift))
#define WORD_FLAGS_MASK	WORD_FIELD(WORD_FLAGS_SHIFT, WORD_FLAGS_BITS)
#define WORD_OWNER_MASK	WORD_FIELD(WORD_OWNER_SHIFT, WORD_OWNER_BITS)
#define WORD_ORDER_MASK	WORD_FIELD(WORD_ORDER_SHIFT, WORD_ORDER_BITS)
#define WORD_SPARE_MASK	WORD_FIELD(WORD_SPARE_SHIFT, WORD_SPARE_BITS)
#define WORD_PINS_MASK	WORD_FIELD(WORD_PINS_SHIFT, WORD_PINS_BITS)
#define WORD_REFS_MASK	WORD_FIELD(WORD_REFS_SHIFT, WORD_REFS_BITS)
#define WORD_ONE_PIN	((uint64_t)1 << WORD_PINS_SHIFT)
#define WORD_ONE_REF	((uint64_t)1 << WORD_REFS_SHIFT)

/*
 * A holder's blind add is taken back above CF_REFS_MAX.  The guard holds as
 * long as fewer contexts than it has room for are inside that moment at once;
 * contexts without a number count too.
 */
#define WORD_REFS_GUARD	((1u << WORD_REFS_BITS) - 1 - CF_REFS_MAX)
_Static_assert(WORD_REFS_GUARD > 2 * CF_CPUS_MAX, "the guard band holds");

#define WORD_COUNTED_TYPES						\
	(1u << CF_TYPE_KERNEL | 1u << CF_TYPE_FOLIO | 1u << CF_TYPE_DEVICE)
#define WORD_FROZEN_TYPES	(1u << CF_TYPE_PGTABLE | 1u << CF_TYPE_SLAB)

static inline enum cf_type word_type(uint64_t word)
{
	return (enum cf_type)(word & ((1u << WORD_TYPE_BITS) - 1));
}

static inline unsigned word_order(uint64_t word)
{
	return (unsigned)(word >> WORD_ORDER_SHIFT) &
	       ((1u << WORD_ORDER_BITS) - 1);
}

static inline cf_pfn word_frames(uint64_t word)
{
	return (cf_pfn)1 << word_order(word);
}

static inline uint32_t word_flags(uint64_t word)
{
	return (uint32_t)(word >> WORD_FLAGS_SHIFT) &
	       ((1u << WORD_FLAGS_BITS) - 1);
}

static inline uint32_t word_owner(uint64_t word)
{
	return (uint32_t)(word >> WORD_OWNER_SHIFT) &
	       ((1u << WORD_OWNER_BITS) - 1);
}

static inline uint32_t word_pins(uint64_t word)
{
	return (uint32_t)(word >> WORD_PINS_SHIFT) &
	       ((1u << WORD_PINS_BITS) - 1);
}

static inline uint32_t word_refs(uint64_t word)
{
	return (uint32_t)(word >> WORD_REFS_SHIFT);
}

static inline uint32_t word_payload(uint64_t word)
{
	return (uint32_t)(word >> 32);
}

static inline bool word_has(uint64_t word, uint32_t flags)
{
	return (word & ((uint64_t)flags << WORD_FLAGS_SHIFT)) != 0;
}

static inline bool word_is_counted(uint64_t word)
{
	return WORD_COUNTED_TYPES >> word_type(word) & 1;
}

static inline bool word_is(uint64_t word, enum cf_type type)
{
	return word_type(word) == type;
}

/* No references, or a type that never has any: somebody's alone. */
static inline bool word_is_frozen(uint64_t word)
{
	if (WORD_FROZEN_TYPES >> word_type(word) & 1)
		return true;
	return word_is_counted(word) && word_refs(word) == 0;
}

/* Nothing but type, order and one reference: the last put needs no more. */
static inline bool word_is_plain_last(uint64_t word)
{
	return (word & (WORD_FLAGS_MASK | WORD_OWNER_MASK | WORD_PINS_MASK |
			WORD_REFS_MASK)) == WORD_ONE_REF;
}

static inline uint64_t word_make(enum cf_type type, unsigned order,
				 uint32_t flags, uint32_t owner)
{
	return (uint64_t)type << WORD_TYPE_SHIFT |
	       (uint64_t)order << WORD_ORDER_SHIFT |
	       (uint64_t)flags << WORD_FLAGS_SHIFT |
	       (uint64_t)owner << WORD_OWNER_SHIFT;
}

static inline uint64_t word_with_order(uint64_t word, unsigned order)
{
	return (word & ~WORD_ORDER_MASK) |
	       (uint64_t)order << WORD_ORDER_SHIFT;
}

static inline uint64_t word_with_owner(uint64_t word, uint32_t owner)
{
	return (word & ~WORD_OWNER_MASK) |
	       (uint64_t)owner << WORD_OWNER_SHIFT;
}

static inline uint64_t word_with_refs(uint64_t word, uint32_t refs)
{
	return (word & ~WORD_REFS_MASK) | (uint64_t)refs << WORD_REFS_SHIFT;
}

static inline uint64_t word_with_payload(uint64_t word, uint32_t payload)
{
	return (word & 0xffffffffu) | (uint64_t)payload << 32;
}

static inline uint64_t word_with(uint64_t word, uint32_t flags)
{
	return word | (uint64_t)flags << WORD_FLAGS_SHIFT;
}

static inline uint64_t word_without(uint64_t word, uint32_t flags)
{
	return word & ~((uint64_t)flags << WORD_FLAGS_SHIFT);
}

#endif
