/* SPDX-License-Identifier: MIT */
/*
 * Side tables, and looking: walks and exports of parts, contents, locks, and
 * the questions that need no machine.
 */
#include <stdlib.h>
#include <string.h>

#include "ops.h"

/* ---- side tables ---- */

static struct side *side_arg(struct world *world, const struct op *op)
{
	return &world->side[op->arg[0] % SIDES];
}

static bool apply_side_add(struct world *world, const struct op *op)
{
	struct side *side = side_arg(world, op);
	uint32_t codes = OK;
	int err;

	if (side->added)
		return false;
	if (!op->arg[1] || op->arg[1] > CF_FRAME_BYTES)
		codes = E(CF_EINVAL);
	err = cf_side_add(world->map, &side->table, op->arg[1]);
	if (has_failed(TEST_META_ALLOC))
		codes = E(CF_ENOMEM);
	require_code("side_add", err, codes);
	if (err)
		return true;
	side->added = true;
	side->entry_bytes = op->arg[1];
	memset(side->leaf, 0, sizeof(side->leaf));
	memset(side->value, 0, world->last);
	return true;
}

static bool draw_side_add(struct world *world, struct op *op)
{
	op->arg[0] = random_below(SIDES);
	op->arg[1] = 1 + random_below(40);
	if (random_chance(5))
		op->arg[1] = random_chance(50) ? 0 : CF_FRAME_BYTES + 1;
	return !side_arg(world, op)->added;
}

void side_drop(struct world *world, struct side *side)
{
	cf_side_remove(world->map, &side->table);
	side->added = false;
}

static bool apply_side_remove(struct world *world, const struct op *op)
{
	struct side *side = side_arg(world, op);

	if (!side->added)
		return false;
	side_drop(world, side);
	return true;
}

static bool draw_side(struct world *world, struct op *op)
{
	op->arg[0] = random_below(SIDES);
	return side_arg(world, op)->added;
}

/* An entry of a frame says what was written there last, in each byte. */
static void require_entry(const struct side *side, cf_pfn pfn,
			  const uint8_t *entry)
{
	uint32_t i;

	for (i = 0; i < side->entry_bytes; i++)
		REQUIRE(entry[i] == side->value[pfn],
			"side: entry of %#llx is %#x, not %#x",
			(unsigned long long)pfn, entry[i], side->value[pfn]);
}

int side_write(struct world *world, struct side *side, cf_pfn pfn,
	       uint32_t value)
{
	bool there = pfn < world->last &&
		     block_of(world, pfn)->state != CF_BLOCK_ABSENT;
	bool leaf = there && side->leaf[pfn / world->block_frames];
	uint32_t codes = there ? OK : E(CF_EGONE);
	void *entry = NULL;
	bool before;
	int err;

	before = fault_forget();
	err = cf_side_extend(&side->table, pfn, &entry);
	if (has_failed(TEST_META_ALLOC))
		codes = E(CF_ENOMEM);
	fault_remember(before);
	REQUIRE(!leaf || !has_failed(TEST_META_ALLOC),
		"side_extend: memory for a leaf that is there");
	require_code("side_extend", err, codes);
	REQUIRE(!err == !!entry, "side_extend: error %d and an entry", err);
	if (err)
		return err;
	side->leaf[pfn / world->block_frames] = true;
	require_entry(side, pfn, entry);
	side->value[pfn] = (uint8_t)value;
	memset(entry, (int)value & 0xff, side->entry_bytes);
	return 0;
}

static bool apply_side_extend(struct world *world, const struct op *op)
{
	struct side *side = side_arg(world, op);

	if (!side->added)
		return false;
	(void)side_write(world, side, pfn_arg(op->arg[1]), op->arg[2]);
	return true;
}

static bool draw_side_extend(struct world *world, struct op *op)
{
	op->arg[1] = random_pfn(world);
	op->arg[2] = random_below(256);
	return draw_side(world, op);
}

void compare_side(struct world *world, const struct side *side)
{
	cf_pfn pfn;

	/* Some frames of each block: the step is coprime to its size. */
	for (pfn = 0; pfn < world->last; pfn += 37) {
		uint8_t *entry;

		cf_walk_begin(world->map);
		entry = cf_side_find(&side->table, pfn);
		cf_walk_end(world->map);
		REQUIRE(!entry == !side->leaf[pfn / world->block_frames],
			"side_find: %s for %#llx", entry ? "an entry" :
			"nothing", (unsigned long long)pfn);
		if (entry)
			require_entry(side, pfn, entry);
	}
	REQUIRE(!cf_side_find(&side->table, world->last) &&
		!cf_side_find(&side->table, CF_PFN_NONE),
		"side_find: an entry beyond the map");
}

/* ---- looking at a part ---- */

static void look_walk(struct world *world, cf_pfn first, cf_pfn last)
{
	cf_pfn cursor = first, from = first;
	struct cf_span span;

	cf_walk_begin(world->map);
	while (cf_walk_next(world->map, &cursor, last, &span)) {
		REQUIRE(span.first <= from && span.last > from &&
			cursor == span.last &&
			(span.kind == CF_SPAN_RUN ||
			 (span.first == from && span.last <= last)),
			"walk: span [%#llx, %#llx) from %#llx on",
			(unsigned long long)span.first,
			(unsigned long long)span.last,
			(unsigned long long)from);
		REQUIRE(from < world->last || span.kind == CF_SPAN_ABSENT,
			"walk: something at %#llx, beyond the map",
			(unsigned long long)from);
		from = cursor;
	}
	cf_walk_end(world->map);
	REQUIRE(from >= last, "walk: stopped at %#llx",
		(unsigned long long)from);
}

/* A part says what the whole says of it. */
static void look_export(struct world *world, cf_pfn first, cf_pfn count,
			void (*export)(struct cf_map *, cf_pfn, cf_pfn,
				       uint64_t *))
{
	static uint64_t words[3 * CF_CHUNK_FRAMES];
	cf_pfn i;

	memset(words, 0xee, sizeof(words));
	export(world->map, 0, world->last, world->words);
	export(world->map, first, first + count, words);
	for (i = 0; i < count; i++)
		REQUIRE(first + i < world->last ?
			words[i] == world->words[first + i] :
			words[i] == 0 ||
			words[i] == (uint64_t)1 << CF_KPF_NOPAGE,
			"export: part from %#llx on differs at %#llx",
			(unsigned long long)first,
			(unsigned long long)(first + i));
	REQUIRE(words[count] == UINT64_C(0xeeeeeeeeeeeeeeee),
		"export: wrote beyond its end");
}

#define LOOK_MAX	(2 * (uint32_t)CF_CHUNK_FRAMES)

static bool apply_look(struct world *world, const struct op *op)
{
	cf_pfn first = op->arg[0], count = op->arg[1] % LOOK_MAX;

	look_walk(world, first, first + count);
	look_export(world, first, count, cf_export_flags);
	look_export(world, first, count, cf_export_counts);
	return true;
}

static bool draw_look(struct world *world, struct op *op)
{
	op->arg[0] = random_below((uint32_t)world->last + 600);
	op->arg[1] = random_below(LOOK_MAX);
	return true;
}

/* ---- what a driver does besides ---- */

static bool apply_content(struct world *world, const struct op *op)
{
	unsigned outer = cf_content_begin(world->map);
	unsigned inner;

	(void)op;
	nest(world);
	cf_walk_begin(world->map);
	inner = cf_content_begin(world->map);
	nest(world);
	cf_walk_end(world->map);
	cf_content_end(world->map, outer);
	cf_content_end(world->map, inner);
	cf_content_sync(world->map);
	return true;
}

/* Locks of its own, under which it allocates and frees. */
static bool apply_lock(struct world *world, const struct op *op)
{
	struct cf_lock driver = CF_LOCK_INIT(CF_RANK_DRIVER);
	struct cf_lock leaf = CF_LOCK_INIT(CF_RANK_LEAF);
	unsigned long outer, inner = 0;
	bool taken;

	(void)op;
	outer = cf_lock(&driver);
	/* The port is told of a low zone, and wants no lock held then. */
	if (!any_marks(world))
		nest(world);
	taken = cf_trylock(&leaf, &inner);
	REQUIRE(taken, "trylock: a free lock is not to be had");
	REQUIRE(test_port.held_ranks == ((uint64_t)1 << CF_RANK_DRIVER |
					 (uint64_t)1 << CF_RANK_LEAF) ||
		!test_port.held_ranks, "lock: ranks held are %#llx",
		(unsigned long long)test_port.held_ranks);
	cf_unlock(&leaf, inner);
	cf_assert_unlocked(CF_RANK_DRIVER);
	cf_unlock(&driver, outer);
	cf_assert_unlocked((enum cf_rank)0);
	REQUIRE(!test_port.irqs_off, "unlock: interrupts are off");
	return true;
}

/* ---- questions ---- */

static void require_names(uint32_t number)
{
	int code = (int)number;

	REQUIRE(cf_strerror(code) && cf_strerror(-code),
		"strerror: nothing for %d", code);
	REQUIRE(cf_type_name((enum cf_type)number) &&
		cf_zone_name((enum cf_zone_kind)number) &&
		cf_reason_name((enum cf_reason)number) &&
		cf_block_state_name((enum cf_block_state)number) &&
		cf_finding_name((enum cf_finding_kind)number),
		"a name of %u is missing", number);
}

/* A map like this one but for one field. */
static bool config_is_good(const struct cf_map_config *config)
{
	uint32_t order = config->block_order;

	if (order > CF_BLOCK_ORDER_MAX)
		return false;
	return config->last && config->last <= CF_PFN_LIMIT &&
	       !(config->last & (((cf_pfn)1 << (order ? order :
						CF_BLOCK_ORDER_MAX)) - 1)) &&
	       (!order || order >= CF_BLOCK_ORDER_MIN) &&
	       config->cpus && config->cpus <= CF_CPUS_MAX &&
	       config->nodes <= CF_NODES_MAX;
}

static void require_config(struct world *world, uint32_t field,
			   uint32_t number)
{
	struct cf_map_config config = *cf_map_config_of(world->map);
	struct cf_map *map = NULL;
	uint64_t storage[1];

	REQUIRE(config.last == world->last &&
		config.block_order == world->setup.block_order &&
		config.nodes == world->setup.nodes &&
		config.cpus == world->setup.cpus, "map_config_of: not ours");
	switch (field % 4) {
	case 0:
		config.last = number;
		break;
	case 1:
		config.block_order = number;
		break;
	case 2:
		config.cpus = number;
		break;
	default:
		config.nodes = number;
		break;
	}
	REQUIRE(!cf_map_bytes(&config) == !config_is_good(&config),
		"map_bytes: field %u is %u", field % 4, number);
	if (!config_is_good(&config))
		require_code("map_create", cf_map_create(&config, storage,
							 &map), E(CF_EINVAL));
}

static bool apply_ask(struct world *world, const struct op *op)
{
	require_names(op->arg[1]);
	require_config(world, op->arg[0], op->arg[1]);
	return true;
}

static bool draw_ask(struct world *world, struct op *op)
{
	(void)world;
	op->arg[0] = random_below(4);
	op->arg[1] = random_chance(70) ? random_below(24) :
		     random_chance(50) ? random_below(2000) :
		     random_below(UINT32_MAX);
	return true;
}

static bool draw_plain(struct world *world, struct op *op)
{
	(void)world;
	(void)op;
	return true;
}

const struct op_type side_ops[] = {
	{ "side_add", { { "table", ARG_NUMBER }, { "bytes", ARG_NUMBER } }, 3,
	  draw_side_add, apply_side_add },
	{ "side_remove", { { "table", ARG_NUMBER } }, 2, draw_side,
	  apply_side_remove },
	{ "side_extend", { { "table", ARG_NUMBER }, { "frame", ARG_HEX },
			   { "value", ARG_NUMBER } }, 6, draw_side_extend,
	  apply_side_extend },
	{ "look", { { "first", ARG_HEX }, { "count", ARG_NUMBER } }, 3,
	  draw_look, apply_look },
	{ "content", { { NULL, ARG_NUMBER } }, 2, draw_plain, apply_content },
	{ "lock", { { NULL, ARG_NUMBER } }, 1, draw_plain, apply_lock },
	{ "ask", { { "field", ARG_NUMBER }, { "number", ARG_NUMBER } }, 1,
	  draw_ask, apply_ask },
	{ NULL, { { NULL, ARG_NUMBER } }, 0, NULL, NULL },
};
