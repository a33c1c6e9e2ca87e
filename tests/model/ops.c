/* SPDX-License-Identifier: MIT */
/*
 * The table of operations, their text, drawing them, and naming runs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops.h"

static const struct op_type *const tables[] = {
	run_ops, range_ops, block_ops, offline_ops, owner_ops, misc_ops,
	side_ops, device_ops, fault_ops,
};

#define TABLES		(sizeof(tables) / sizeof(tables[0]))

const struct op_type *op_type(uint32_t code)
{
	const struct op_type *type;
	size_t i;

	for (i = 0; i < TABLES; i++) {
		for (type = tables[i]; type->name; type++) {
			if (!code--)
				return type;
		}
	}
	return NULL;
}

/* ---- numbers ---- */

unsigned random_order(unsigned max)
{
	if (random_chance(50))
		return 0;
	if (random_chance(15))
		return CF_CHUNK_ORDER;
	return random_below(max + 1);
}

uint32_t random_pfn(struct world *world)
{
	if (random_chance(98))
		return random_below((uint32_t)world->last);
	return random_chance(50) ? UINT32_MAX :
	       (uint32_t)world->last + random_below(3000);
}

uint32_t random_owner(struct world *world)
{
	return random_chance(35) ? ARG_OWNER_NONE : random_live_owner(world);
}

uint32_t random_live_owner(struct world *world)
{
	uint32_t slot, tries;

	if (random_chance(3))
		return random_below(OWNERS + 4);
	for (tries = 0; tries < 16; tries++) {
		slot = random_below(OWNERS);
		if (world->owner[slot].live)
			return slot + 1;
	}
	return ARG_OWNER_NONE;
}

uint32_t owner_id(struct world *world, uint32_t arg)
{
	if (arg == ARG_OWNER_NONE)
		return CF_OWNER_NONE;
	if (arg <= OWNERS)
		return world->owner[arg - 1].id;
	if (arg == ARG_OWNER_ORPHAN)
		return CF_OWNER_ORPHAN;
	return arg == ARG_OWNER_BOGUS ? CF_OWNERS_MAX - 1 : CF_OWNERS_MAX + 3;
}

struct cf_report *report_arg(const struct op *op, struct cf_report *report)
{
	return op->tag % 8 == 7 ? NULL : report;
}

cf_pfn pfn_arg(uint32_t arg)
{
	return arg == UINT32_MAX ? CF_PFN_NONE : arg;
}

/* ---- text ---- */

static const char *const type_names[] = {
	"none", "kernel", "folio", "device", "pgtable", "slab", "reserved",
	"offline", "retired",
};

static const char *const zone_names[] = { "normal", "movable", "device" };

/* The name of an argument's value, or NULL: it is a number. */
static const char *value_name(enum arg_kind kind, uint32_t value)
{
	static const char *const others[] = { "orphan", "nobody", "beyond" };

	switch (kind) {
	case ARG_OWNER:
		if (value > OWNERS + 3)
			return NULL;
		if (value > OWNERS)
			return others[value - OWNERS - 1];
		return value ? owner_kinds[value - 1].name : "none";
	case ARG_TYPE:
		return value < CF_TYPE_COUNT ? type_names[value] : NULL;
	case ARG_CALL:
		return value < TEST_CALL_COUNT ?
		       test_call_name((enum test_call)value) : NULL;
	case ARG_ZONE:
		return value < CF_ZONE_COUNT ? zone_names[value] : NULL;
	default:
		return NULL;
	}
}

void op_print(char *text, size_t bytes, const struct op *op)
{
	const struct op_type *type = op_type(op->code);
	size_t used = (size_t)snprintf(text, bytes, "%-4u %s", op->tag,
				       type->name);
	size_t i;

	for (i = 0; i < OP_ARGS && type->arg[i].name && used < bytes; i++) {
		uint32_t value = op->arg[i];
		const char *name = value_name(type->arg[i].kind, value);
		int more;

		if (name)
			more = snprintf(text + used, bytes - used, " %s=%s",
					type->arg[i].name, name);
		else
			more = snprintf(text + used, bytes - used,
					type->arg[i].kind == ARG_HEX ?
					" %s=%#x" : " %s=%u",
					type->arg[i].name, value);
		used += (size_t)more;
	}
}

static bool parse_value(const char *text, enum arg_kind kind,
			uint32_t *ret_value)
{
	const char *name;
	uint32_t i;
	char *end;

	for (i = 0; (name = value_name(kind, i)); i++) {
		if (!strcmp(text, name)) {
			*ret_value = i;
			return true;
		}
	}
	*ret_value = (uint32_t)strtoul(text, &end, 0);
	return end != text && !*end;
}

static bool parse_name(const char *name, struct op *op)
{
	uint32_t code;

	for (code = 0; op_type(code); code++) {
		if (!strcmp(op_type(code)->name, name)) {
			op->code = (uint16_t)code;
			return true;
		}
	}
	return false;
}

bool op_parse(const char *text, struct op *op)
{
	const struct op_type *type;
	char copy[512], *word, *save;
	size_t i;

	memset(op, 0, sizeof(*op));
	snprintf(copy, sizeof(copy), "%s", text);
	word = strtok_r(copy, " \n", &save);
	if (!word)
		return false;
	op->tag = (uint16_t)strtoul(word, NULL, 10);
	word = strtok_r(NULL, " \n", &save);
	if (!word || !parse_name(word, op))
		return false;
	type = op_type(op->code);
	for (i = 0; i < OP_ARGS && type->arg[i].name; i++) {
		word = strtok_r(NULL, " \n", &save);
		if (!word || !strchr(word, '=') ||
		    !parse_value(strchr(word, '=') + 1, type->arg[i].kind,
				 &op->arg[i]))
			return false;
	}
	return true;
}

/* ---- drawing ---- */

static uint64_t forbidden;

bool op_forbid(const char *name)
{
	struct op op;

	if (!parse_name(name, &op))
		return false;
	forbidden |= (uint64_t)1 << op.code;
	return true;
}

static uint32_t blocks_in_use(struct world *world)
{
	uint32_t count = 0;
	uint32_t i;

	for (i = 0; i < world->setup.blocks; i++)
		count += in_use(&world->block[i]);
	return count;
}

/* What the machine is short of now. */
enum want_more { WANT_NOTHING, WANT_MEMORY, WANT_ROOM };

static enum want_more wanted(struct world *world)
{
	uint64_t used = 0, present = 0;
	cf_pfn pfn;

	if (blocks_in_use(world) < (world->setup.blocks + 1) / 2)
		return WANT_MEMORY;
	if (world->setup.fill == 100)
		return WANT_NOTHING;
	for (pfn = 0; pfn < world->last; pfn++) {
		present += is_online(world, pfn);
		used += world->frame[pfn].head != NO_HEAD;
	}
	return used * 100 > present * world->setup.fill ? WANT_ROOM :
							  WANT_NOTHING;
}

static bool is_one_of(const char *name, const char *const *names)
{
	while (*names && strcmp(*names, name))
		names++;
	return *names;
}

/* Early on, memory and owners come first. */
static unsigned weight_of(const struct world *world, uint32_t code,
			  enum want_more want)
{
	static const char *const bringing[] = {
		"block_add", "block_online", "register", NULL,
	};
	static const char *const taking[] = {
		"alloc", "alloc_range", "offline_alloc",
		"offline_alloc_range", NULL,
	};
	static const char *const giving[] = {
		"put", "free_frozen", "drop_set", "free_range", "thin",
		"offline_free", NULL,
	};
	const struct op_type *type = op_type(code);

	if (forbidden >> code & 1 || !fault_fits(world, type->name))
		return 0;
	if (want == WANT_MEMORY && is_one_of(type->name, bringing))
		return type->weight * 8;
	if (want == WANT_ROOM && is_one_of(type->name, giving))
		return type->weight * 5;
	if (want == WANT_ROOM && is_one_of(type->name, taking))
		return 1;
	return type->weight;
}

#define TRIES_MAX	50

bool op_draw(struct world *world, struct op *op)
{
	enum want_more want = wanted(world);
	uint16_t tag = op->tag;
	const struct op_type *type;
	uint32_t total, tries = 0;
	uint32_t at, code;

	do {
		if (random_spent())
			return false;
		/* Nothing that may meet the fault makes sense: forget it. */
		if (tries++ == TRIES_MAX)
			world->fault.at = 0;
		total = 0;
		for (code = 0; op_type(code); code++)
			total += weight_of(world, code, want);
		at = random_below(total);
		for (code = 0; op_type(code); code++) {
			uint32_t weight = weight_of(world, code, want);

			if (at < weight)
				break;
			at -= weight;
		}
		type = op_type(code);
		memset(op, 0, sizeof(*op));
		op->code = (uint16_t)code;
		op->tag = tag;
	} while (!type->draw(world, op));
	return true;
}

/* ---- naming ---- */

bool run_is(const struct frame *head, enum run_want want)
{
	switch (want) {
	case WANT_REFERENCED:
		return is_counted(head) && head->refs;
	case WANT_DROPPABLE:
		return is_counted(head) && head->refs > head->pins;
	case WANT_FROZEN:
		return !head->refs;
	case WANT_FROZEN_COUNTED:
		return is_counted(head) && !head->refs;
	case WANT_PINNED:
		return head->pins;
	case WANT_COUNTED:
		return is_counted(head);
	default:
		return true;
	}
}

/* The number of this run among those of its tag. */
static uint32_t index_of(struct world *world, cf_pfn pfn)
{
	uint32_t tag = world->frame[pfn].tag;
	uint32_t index = 0;
	cf_pfn i = 0;

	while ((i = next_run(world, i, pfn)) != CF_PFN_NONE) {
		index += world->frame[i].tag == tag;
		i++;
	}
	return index;
}

bool draw_run(struct world *world, struct op *op, enum run_want want)
{
	cf_pfn start = random_below((uint32_t)world->last);
	cf_pfn pfn = start;
	bool wrapped = false;

	for (;;) {
		pfn = next_run(world, pfn, wrapped ? start : world->last);
		if (pfn == CF_PFN_NONE && wrapped)
			return false;
		if (pfn == CF_PFN_NONE) {
			wrapped = true;
			pfn = 0;
			continue;
		}
		if (run_is(&world->frame[pfn], want))
			break;
		pfn++;
	}
	op->arg[0] = world->frame[pfn].tag;
	op->arg[1] = index_of(world, pfn);
	return true;
}

/* What the operation is about, for the scenario. */
static void tell(struct world *world, cf_pfn pfn)
{
	struct told *told_now = told();
	const struct frame *head = head_of(world, pfn);

	told_now->pfn = pfn;
	told_now->tag = 0;
	if (!head)
		return;
	told_now->offset = (uint32_t)(pfn - pfn_of(world, head));
	told_now->tag = (uint16_t)head->tag;
	told_now->stranger = head->stranger;
	told_now->place = head->place;
	told_now->refs = head->refs;
	told_now->known = head->known;
	told_now->pins = head->pins;
	told_now->kept = head->kept;
}

void tell_drop(const struct frame *head)
{
	told()->made++;
	if (verdict->gones < GONES_MAX)
		verdict->gone[verdict->gones] = (struct gone){
			verdict->at, head->tag, head->place, head->refs,
			head->known, head->pins, head->stranger, head->kept,
		};
	verdict->gones++;
}

struct frame *named_run(struct world *world, const struct op *op,
			enum run_want want)
{
	uint32_t index = op->arg[1];
	cf_pfn pfn = 0;

	while ((pfn = next_run(world, pfn, world->last)) != CF_PFN_NONE) {
		struct frame *head = &world->frame[pfn];

		if (head->tag == op->arg[0] && !index--) {
			tell(world, pfn);
			return run_is(head, want) ? head : NULL;
		}
		pfn++;
	}
	return NULL;
}

bool draw_where(struct world *world, struct op *op, enum run_want want)
{
	const struct frame *head;

	if (random_chance(8) || !draw_run(world, op, want)) {
		op->arg[0] = 0;
		op->arg[1] = 0;
		op->arg[2] = random_pfn(world);
		return true;
	}
	head = named_run(world, op, WANT_ANY);
	if (random_chance(20) && head)
		op->arg[2] = random_below(1u << head->order);
	return true;
}

bool named_where(struct world *world, const struct op *op, cf_pfn *ret_pfn)
{
	const struct frame *head;

	if (!op->arg[0]) {
		*ret_pfn = pfn_arg(op->arg[2]);
		tell(world, *ret_pfn);
		return true;
	}
	head = named_run(world, op, WANT_ANY);
	if (!head)
		return false;
	*ret_pfn = pfn_of(world, head) +
		   (op->arg[2] & (((cf_pfn)1 << head->order) - 1));
	tell(world, *ret_pfn);
	return true;
}

static bool is_offline_frame(const struct frame *frame)
{
	return frame->head != NO_HEAD && frame->type == CF_TYPE_OFFLINE;
}

bool draw_offline(struct world *world, struct op *op)
{
	cf_pfn start = random_below((uint32_t)world->last);
	cf_pfn i, pfn = start;
	uint32_t index = 0;

	for (i = 0; i < world->last; i++) {
		pfn = (start + i) % world->last;
		if (is_offline_frame(&world->frame[pfn]))
			break;
	}
	if (i == world->last)
		return false;
	/* Mostly from where such a stretch begins. */
	if (random_chance(50)) {
		while (pfn && is_offline_frame(&world->frame[pfn - 1]) &&
		       world->frame[pfn - 1].owner == world->frame[pfn].owner)
			pfn--;
	}
	for (i = 0; i < pfn; i++)
		index += is_offline_frame(&world->frame[i]) &&
			 world->frame[i].tag == world->frame[pfn].tag;
	op->arg[0] = world->frame[pfn].tag;
	op->arg[1] = index;
	return true;
}

bool named_offline(struct world *world, const struct op *op, cf_pfn *ret_pfn)
{
	uint32_t index = op->arg[1];
	cf_pfn pfn;

	for (pfn = 0; pfn < world->last; pfn++) {
		if (is_offline_frame(&world->frame[pfn]) &&
		    world->frame[pfn].tag == op->arg[0] && !index--) {
			*ret_pfn = pfn;
			tell(world, pfn);
			return true;
		}
	}
	return false;
}
