/* SPDX-License-Identifier: MIT */
/*
 * A list of operations as a scenario for coldframe run, as far as that
 * language can say it; the rest stands there as comments. Frames are the
 * engine's to choose, so a scenario may fail in another place than the list.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ops.h"

/* What each kind of owner is there. */
static const char *const owner_words[OWNERS + 1] = {
	NULL, "", " movable", " keeps dissolves", " movable exposes plugged",
	" movable splits keeps dissolves", " movable", " movable",
	" movable stubborn", " movable splits keeps dissolves",
	" movable exposes plugged", " exposes backed",
	" movable splits dissolves",
};

/* A kind that comes again gets another name: names are declared once. */
static const char *owner_word(uint32_t owner)
{
	return owner_kinds[owner - 1].name;
}

/* What is being printed: one line. */
struct line {
	char text[256];
	size_t used;
	unsigned cpu;		/* that does it */
	uint32_t blocks, nodes, frames;	/* there are */
	unsigned start[OPERATIONS];	/* tag of the start */
	unsigned owner[OWNERS + 1];	/* tag of the registration; 0: gone */
	bool subscriber[SUBSCRIBERS];
	bool set[OPS_MAX + 1];		/* tags that are names of sets */
};

__attribute__((format(printf, 2, 3)))
static void add(struct line *line, const char *format, ...)
{
	va_list values;
	int more;

	va_start(values, format);
	more = vsnprintf(line->text + line->used,
			 sizeof(line->text) - line->used, format, values);
	va_end(values);
	line->used += (size_t)more;
	if (line->used >= sizeof(line->text))
		line->used = sizeof(line->text) - 1;
}

static bool add_owner(struct line *line, uint32_t owner)
{
	if (!owner)
		return true;
	if (owner > OWNERS || !line->owner[owner])
		return false;
	add(line, " owner %s%u", owner_word(owner), line->owner[owner]);
	return true;
}

static bool add_set(struct line *line, const char *step, uint32_t set)
{
	add(line, "%s s%u", step, set);
	return set && set <= OPS_MAX && line->set[set];
}

static bool add_blocks(struct line *line, const struct op *op)
{
	if (op->arg[1] == 1)
		add(line, " block %u", op->arg[0]);
	else
		add(line, " blocks %u-%u", op->arg[0],
		    op->arg[0] + op->arg[1] - 1);
	return !op->arg[2] && op->arg[1] &&
	       op->arg[0] + op->arg[1] <= line->blocks;
}

static const char *zone_word(uint32_t zone)
{
	return zone == CF_ZONE_MOVABLE ? "movable" : "normal";
}

static const char *type_word(uint32_t type)
{
	static const char *const words[] = {
		[CF_TYPE_KERNEL] = "kernel", [CF_TYPE_FOLIO] = "folio",
		[CF_TYPE_PGTABLE] = "pgtable", [CF_TYPE_SLAB] = "slab",
	};

	return type < sizeof(words) / sizeof(words[0]) ? words[type] : NULL;
}

static void add_flags(struct line *line, uint32_t flags)
{
	static const char *const words[] = {
		"zero", "no-wait", "frozen", "reserve", "this-node",
		"no-split",
	};
	size_t i;

	for (i = 0; i < 6; i++) {
		if (flags >> i & 1)
			add(line, " %s", words[i]);
	}
}

static bool say_alloc(struct line *line, const struct op *op)
{
	if (!type_word(op->arg[1]) || op->arg[3] > CF_ZONE_MOVABLE ||
	    op->arg[0] > CF_MAX_ORDER ||
	    op->arg[5] & ~(uint32_t)CF_ALLOC_FLAGS)
		return false;
	add(line, "alloc s%u %u order %u type %s zone %s", op->tag,
	    op->arg[6], op->arg[0], type_word(op->arg[1]),
	    zone_word(op->arg[3]));
	if (op->arg[4] != CF_NODE_ANY)
		add(line, " node %u", op->arg[4]);
	add_flags(line, op->arg[5]);
	return add_owner(line, op->arg[2]);
}

static bool say_alloc_range(struct line *line, const struct op *op)
{
	if (!type_word(op->arg[2]) || op->arg[1] <= op->arg[0] ||
	    op->arg[1] > line->frames)
		return false;
	add(line, "alloc-range s%u frames %u+%u type %s", op->tag, op->arg[0],
	    op->arg[1] - op->arg[0], type_word(op->arg[2]));
	add_flags(line, op->arg[4]);
	return add_owner(line, op->arg[3]);
}

static bool say_offline_flags(struct line *line, uint32_t flags)
{
	if (flags & CF_FLAG_MOVABLE)
		add(line, " movable");
	if (flags & CF_FLAG_SKIPPABLE)
		add(line, " skippable");
	return !(flags & ~(uint32_t)(CF_FLAG_MOVABLE | CF_FLAG_SKIPPABLE));
}

static bool say_offline_alloc(struct line *line, const struct op *op)
{
	add(line, "offline-alloc s%u %u order %u", op->tag,
	    op->arg[3] ? op->arg[3] : 1, op->arg[1]);
	return op->arg[0] && op->arg[1] <= CF_MAX_ORDER &&
	       add_owner(line, op->arg[0]) &&
	       say_offline_flags(line, op->arg[2]);
}

static bool say_offline_range(struct line *line, const struct op *op)
{
	if (op->arg[2] <= op->arg[1] || op->arg[2] > line->frames)
		return false;
	add(line, "offline-alloc s%u frames %u+%u", op->tag, op->arg[1],
	    op->arg[2] - op->arg[1]);
	return op->arg[0] && add_owner(line, op->arg[0]) &&
	       say_offline_flags(line, op->arg[3]);
}

/* ---- runs of sets: what the words after the run are ---- */

static bool say_run(struct line *line, const struct op *op, const char *step)
{
	if (!add_set(line, step, op->arg[0]))
		return false;
	add(line, "[%u]", op->arg[1]);
	return true;
}

static bool say_put(struct line *line, const struct op *op)
{
	if (op->arg[2] == 1)
		return say_run(line, op, "free");
	if (!say_run(line, op, "put"))
		return false;
	add(line, " times %u", op->arg[2]);
	return true;
}

static bool say_free(struct line *line, const struct op *op)
{
	return say_run(line, op, "free");
}

static bool say_drop(struct line *line, const struct op *op)
{
	return add_set(line, "free", op->arg[0]);
}

static bool say_get(struct line *line, const struct op *op)
{
	if (!say_run(line, op, "get"))
		return false;
	add(line, " times %u", op->arg[2]);
	return true;
}

static bool say_try_get(struct line *line, const struct op *op)
{
	if (op->arg[0])
		return say_run(line, op, "get");
	/* A walker's way, by number: not in one line. */
	return false;
}

static bool say_pin(struct line *line, const struct op *op)
{
	return say_run(line, op, "pin");
}

static bool say_unpin(struct line *line, const struct op *op)
{
	return say_run(line, op, "unpin");
}

static bool say_freeze(struct line *line, const struct op *op)
{
	if (!say_run(line, op, "freeze"))
		return false;
	add(line, " expected %u", op->arg[3]);
	return true;
}

static bool say_unfreeze(struct line *line, const struct op *op)
{
	if (!say_run(line, op, "unfreeze"))
		return false;
	add(line, " refs %u", op->arg[2]);
	return true;
}

static bool say_split(struct line *line, const struct op *op)
{
	if (!say_run(line, op, "split"))
		return false;
	add(line, " order %u", op->arg[3]);
	return op->arg[3] <= CF_MAX_ORDER;
}

static bool say_give(struct line *line, const struct op *op)
{
	if (!say_run(line, op, "give") || op->arg[3] > OWNERS)
		return false;
	if (!op->arg[3])
		add(line, " owner allocator");
	return add_owner(line, op->arg[3]);
}

/* Frames of a set are counted otherwise there: the whole set stands in. */
static bool say_offline_free(struct line *line, const struct op *op)
{
	return add_set(line, "offline-free", op->arg[0]);
}

static bool say_skippable(struct line *line, const struct op *op)
{
	if (!add_set(line, "skippable", op->arg[0]))
		return false;
	add(line, "%s", op->arg[4] ? "" : " off");
	return op->arg[2] && add_owner(line, op->arg[2]);
}

static bool say_payload(struct line *line, const struct op *op)
{
	if (!add_set(line, "payload", op->arg[0]))
		return false;
	add(line, " %u", op->arg[3]);
	return true;
}

static bool say_offline_adopt(struct line *line, const struct op *op)
{
	return add_set(line, "offline-adopt", op->arg[0]) && op->arg[2] &&
	       add_owner(line, op->arg[2]);
}

/* ---- blocks ---- */

static bool say_add(struct line *line, const struct op *op)
{
	static const char *const metadata[] = { "port", "caller", "self" };

	if (op->arg[3] > 2 || op->arg[4] >= line->nodes)
		return false;
	add(line, "add");
	if (!add_blocks(line, op))
		return false;
	add(line, " node %u metadata %s", op->arg[4], metadata[op->arg[3]]);
	return add_owner(line, op->arg[5]);
}

static bool say_blocks(struct line *line, const struct op *op,
		       const char *step)
{
	add(line, "%s", step);
	return add_blocks(line, op);
}

static bool say_remove(struct line *line, const struct op *op)
{
	return say_blocks(line, op, "remove");
}

static bool say_online(struct line *line, const struct op *op)
{
	if (!say_blocks(line, op, "online") || op->arg[3] > CF_ZONE_MOVABLE)
		return false;
	add(line, " zone %s", zone_word(op->arg[3]));
	return true;
}

static bool say_offline(struct line *line, const struct op *op)
{
	if (!say_blocks(line, op, "offline"))
		return false;
	add(line, " passes %u", op->arg[3]);
	return op->arg[3];
}

static bool say_query(struct line *line, const struct op *op)
{
	return say_blocks(line, op, "query");
}

static bool say_adopt(struct line *line, const struct op *op)
{
	return say_blocks(line, op, "adopt") && op->arg[3] &&
	       add_owner(line, op->arg[3]);
}

static bool say_start(struct line *line, const struct op *op)
{
	line->start[op->arg[3] % OPERATIONS] = op->tag;
	add(line, "offline start o%u", op->tag);
	return add_blocks(line, op);
}

static bool say_step(struct line *line, const struct op *op)
{
	unsigned tag = line->start[op->arg[0] % OPERATIONS];

	add(line, "offline step o%u", tag);
	return tag;
}

static bool say_cancel(struct line *line, const struct op *op)
{
	unsigned tag = line->start[op->arg[0] % OPERATIONS];

	add(line, "offline cancel o%u", tag);
	return tag;
}

/* ---- the rest ---- */

static bool say_register(struct line *line, const struct op *op)
{
	uint32_t owner = op->arg[0] % OWNERS + 1;

	if (op->arg[1])
		return false;
	line->owner[owner] = op->tag;
	add(line, "owner %s%u%s", owner_word(owner), op->tag,
	    owner_words[owner]);
	return true;
}

static bool say_unregister(struct line *line, const struct op *op)
{
	uint32_t owner = op->arg[0];

	if (!owner || owner > OWNERS || !line->owner[owner])
		return false;
	add(line, "unregister %s%u force", owner_word(owner),
	    line->owner[owner]);
	line->owner[owner] = 0;
	return true;
}

static bool say_subscribe(struct line *line, const struct op *op)
{
	if (op->arg[0] >= SUBSCRIBERS || line->subscriber[op->arg[0]])
		return false;
	line->subscriber[op->arg[0]] = true;
	add(line, "subscriber sub%u priority %u", op->arg[0],
	    10 - op->arg[0]);
	return true;
}

static bool say_veto(struct line *line, const struct op *op)
{
	add(line, "veto sub%u%s", op->arg[0], op->arg[1] ? "" : " off");
	return op->arg[0] < SUBSCRIBERS && line->subscriber[op->arg[0]];
}

static bool say_retire(struct line *line, const struct op *op)
{
	add(line, "retire frame %u", op->arg[0]);
	return op->arg[0] < line->frames;
}

static bool say_compact(struct line *line, const struct op *op)
{
	if (op->arg[1] > CF_ZONE_MOVABLE || !op->arg[2] ||
	    op->arg[0] >= line->nodes)
		return false;
	add(line, "compact chunks %u zone %s node %u", op->arg[2],
	    zone_word(op->arg[1]), op->arg[0]);
	return true;
}

static bool say_drain(struct line *line, const struct op *op)
{
	(void)op;
	add(line, "drain");
	return true;
}

static bool say_marks(struct line *line, const struct op *op)
{
	add(line, "watermarks min %uf low %uf high %uf zone %s node %u",
	    op->arg[2], op->arg[3], op->arg[4], zone_word(op->arg[1]),
	    op->arg[0]);
	return op->arg[1] <= CF_ZONE_MOVABLE;
}

static const struct {
	const char *name;
	bool (*say)(struct line *line, const struct op *op);
} words[] = {
	{ "alloc", say_alloc },
	{ "free_frozen", say_free },
	{ "put", say_put },
	{ "drop_set", say_drop },
	{ "get", say_get },
	{ "try_get", say_try_get },
	{ "pin", say_pin },
	{ "unpin", say_unpin },
	{ "freeze", say_freeze },
	{ "unfreeze", say_unfreeze },
	{ "split", say_split },
	{ "owner_change", say_give },
	{ "alloc_range", say_alloc_range },
	{ "free_range", say_free },
	{ "offline_alloc", say_offline_alloc },
	{ "offline_alloc_range", say_offline_range },
	{ "offline_free", say_offline_free },
	{ "set_skippable", say_skippable },
	{ "set_payload", say_payload },
	{ "offline_adopt", say_offline_adopt },
	{ "block_add", say_add },
	{ "block_remove", say_remove },
	{ "block_adopt", say_adopt },
	{ "block_online", say_online },
	{ "block_offline", say_offline },
	{ "offline_start", say_start },
	{ "offline_step", say_step },
	{ "offline_cancel", say_cancel },
	{ "offline_query", say_query },
	{ "subscribe", say_subscribe },
	{ "veto", say_veto },
	{ "register", say_register },
	{ "unregister", say_unregister },
	{ "retire", say_retire },
	{ "compact", say_compact },
	{ "drain", say_drain },
	{ "marks", say_marks },
};

/* One operation; what the language cannot say as a comment. */
static void say(struct line *line, const struct op *op, int err)
{
	const char *name = op_type(op->code)->name;
	bool said = false;
	char text[256], cpu[24] = "";
	size_t i;

	if (line->cpu)
		snprintf(cpu, sizeof(cpu), "on cpu %u ", line->cpu);
	line->used = 0;
	line->text[0] = '\0';
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!strcmp(words[i].name, name))
			said = words[i].say(line, op);
	}
	/* What can never be right is wrong before anything runs. */
	said = said && err != -CF_EINVAL;
	if (said && !err && !strncmp(line->text, "alloc", 5))
		line->set[op->tag] = true;
	if (said && !err && !strncmp(line->text, "offline-alloc", 13))
		line->set[op->tag] = true;
	op_print(text, sizeof(text), op);
	if (said)
		printf("# %s%s%s\n", err && strcmp(name, "offline_query") ?
		       "expect fails " : "", cpu, line->text);
	else
		printf("# # %s\n", text);
}

void list_say(const struct list *list)
{
	const struct setup *setup = &list->setup;
	static struct line line;
	uint32_t i;

	memset(&line, 0, sizeof(line));
	line.blocks = setup->blocks;
	line.nodes = setup->nodes;
	line.frames = setup->blocks << setup->block_order;
	printf("# ---- as a scenario, where the language has words for it\n"
	       "# machine memory 0 span %uM block %uM cpus %u nodes %u "
	       "bad-frames %u%s%s%s\n",
	       setup->blocks << setup->block_order >> 8,
	       1u << setup->block_order >> 8, setup->cpus, setup->nodes,
	       setup->poison_max, setup->no_caches ? " no-caches" : "",
	       setup->debug_pagealloc ? " debug-pagealloc" : "",
	       setup->fenced ? " fenced" : "");
	for (i = 0; i < list->count; i++) {
		const struct op *op = &list->op[i];

		if (!strcmp(op_type(op->code)->name, "cpu"))
			line.cpu = op->arg[0] < setup->cpus ? op->arg[0] : 0;
		else if (!verdict->skipped[i])
			say(&line, op, verdict->code[i]);
	}
	printf("# verify\n# ----\n");
}
