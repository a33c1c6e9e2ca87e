/* SPDX-License-Identifier: MIT */
/*
 * A list of operations as a scenario for coldframe run, as far as that
 * language can say it; the rest stands there as comments. The machine of a
 * scenario is told the same calls in the same order, so it chooses the same
 * frames, until the first operation it has no words for makes a difference.
 *
 * What has no words: port calls that fail, a context without a number, part
 * of what owners answer, side tables, and whatever can never be right.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ops.h"

/* What is being printed: one operation. */
struct line {
	char text[256];
	size_t used;
	const struct told *told;
	const struct list *list;
	uint32_t at;		/* number of the operation in the list */
	unsigned cpu;		/* that does it */
	uint32_t blocks, nodes, frames;	/* there are */
	unsigned start[OPERATIONS];	/* tag of the start; 0: not going */
	unsigned owner[OWNERS + 1];	/* tag of the registration; 0: gone */
	uint32_t policy[OWNERS + 1];
	uint32_t ranges[BLOCKS_MAX];	/* whose; 0: nobody's */
	bool plugged[FRAMES_MAX / CF_CHUNK_FRAMES];
	unsigned subscriber[SUBSCRIBERS];	/* tag; 0: not there */
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

/* A line before the one at hand. */
static void begin_line(struct line *line)
{
	line->used = 0;
	line->text[0] = '\0';
}

static void end_line(struct line *line)
{
	printf("# ");
	if (line->cpu)
		printf("on cpu %u ", line->cpu);
	printf("%s\n", line->text);
	begin_line(line);
}

/* A kind that comes again gets another name: names are declared once. */
static void add_name(struct line *line, uint32_t owner)
{
	add(line, " %s%u", owner_kinds[owner - 1].name, line->owner[owner]);
}

static bool add_owner(struct line *line, uint32_t owner)
{
	if (!owner)
		return true;
	if (owner > OWNERS || !line->owner[owner])
		return false;
	add(line, " owner");
	add_name(line, owner);
	return true;
}

/* The same where somebody must be named. */
static bool add_anybody(struct line *line, uint32_t owner)
{
	if (!owner)
		add(line, " owner allocator");
	return add_owner(line, owner);
}

static bool is_set(const struct line *line, uint32_t tag)
{
	return tag && tag <= OPS_MAX && line->set[tag];
}

/* The run the operation was about, as the scenario counts them. */
static bool add_run(struct line *line, const char *step)
{
	add(line, "%s s%u[%u]", step, line->told->tag, line->told->place);
	return is_set(line, line->told->tag) && !line->told->offset;
}

/* The frame it was about. */
static void add_frame(struct line *line)
{
	const struct told *told = line->told;

	if (is_set(line, told->tag))
		add(line, " s%u[%u]+%u", told->tag, told->place,
		    told->offset);
	else
		add(line, " frame %llu", (unsigned long long)told->pfn);
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

static bool add_alloc(struct line *line, const struct op *op, char set,
		      uint32_t count)
{
	add(line, "alloc %c%u %u order %u type %s zone %s", set, op->tag,
	    count, op->arg[0], type_word(op->arg[1]), zone_word(op->arg[3]));
	if (op->arg[4] != CF_NODE_ANY)
		add(line, " node %u", op->arg[4]);
	add_flags(line, op->arg[5]);
	return add_owner(line, op->arg[2]);
}

/* What there was room for, and that there was none for one more. */
static bool say_alloc(struct line *line, const struct op *op)
{
	uint32_t made = line->told->made;

	if (!type_word(op->arg[1]) || op->arg[3] > CF_ZONE_MOVABLE ||
	    op->arg[0] > CF_MAX_ORDER || !op->arg[6] ||
	    op->arg[5] & ~(uint32_t)CF_ALLOC_FLAGS)
		return false;
	if (!line->told->code)
		return add_alloc(line, op, 's', op->arg[6]);
	if (made) {
		if (!add_alloc(line, op, 's', made))
			return false;
		end_line(line);
		line->set[op->tag] = true;
	}
	return add_alloc(line, op, made ? 'x' : 's', 1);
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
	uint32_t count = op->arg[3] ? op->arg[3] : 1;

	/* All or nothing there. */
	if (line->told->code && line->told->made)
		count = line->told->made + 1;
	add(line, "offline-alloc s%u %u order %u", op->tag, count,
	    op->arg[1]);
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

/* ---- runs of sets ---- */

/*
 * References go as they came: those a walker took by number through the name
 * it remembered, the set's own last.
 */
static bool say_drops(struct line *line, uint32_t count)
{
	const struct told *told = line->told;
	uint32_t strangers = told->refs - told->known - told->pins;

	if (strangers) {
		add(line, "put r%u", told->stranger);
		return strangers == 1 && count == 1;
	}
	if (count > told->refs - told->pins)
		count = told->refs - told->pins;
	if (count < told->known) {
		if (!add_run(line, "put"))
			return false;
		add(line, " times %u", count);
		return count;
	}
	if (count > 1) {
		if (!add_run(line, "put"))
			return false;
		add(line, " times %u", count - 1);
		end_line(line);
	}
	return add_run(line, "free");
}

static bool say_put(struct line *line, const struct op *op)
{
	return say_drops(line, op->arg[2]);
}

/* Through the head: the language drops no set's reference from inside. */
static bool say_put_interior(struct line *line, const struct op *op)
{
	(void)op;
	return say_drops(line, 1);
}

/* What an owner has kept it must be asked for, there: all or nothing. */
static bool say_free(struct line *line, const struct op *op)
{
	(void)op;
	return add_run(line, "free") && !line->told->kept;
}

/* One reference of a run that went among others. */
static bool add_gone(struct line *line, const struct gone *gone)
{
	uint32_t strangers = gone->refs - gone->known - gone->pins;

	if (strangers)
		add(line, "put r%u", gone->stranger);
	else
		add(line, "%s s%u[%u]", gone->known > 1 ? "put" : "free",
		    gone->tag, gone->place);
	return strangers < 2 && !gone->kept && is_set(line, gone->tag) &&
	       (strangers || gone->known || !gone->refs);
}

/* One run after the other. */
static bool say_free_each(struct line *line, const struct op *op)
{
	uint32_t i, said = 0;

	(void)op;
	if (verdict->gones > GONES_MAX)
		return false;
	for (i = 0; i < verdict->gones; i++) {
		const struct gone *gone = &verdict->gone[i];

		if (gone->at != line->at)
			continue;
		if (said++)
			end_line(line);
		if (!add_gone(line, gone))
			return false;
	}
	return said;
}

/* The whole set, if nobody else has to do with it. */
static bool say_drop(struct line *line, const struct op *op)
{
	uint32_t i;

	for (i = 0; i < verdict->gones && i < GONES_MAX; i++) {
		const struct gone *gone = &verdict->gone[i];

		if (gone->at == line->at &&
		    (gone->kept || gone->refs != gone->known))
			return say_free_each(line, op);
	}
	add(line, "free s%u", op->arg[0]);
	return is_set(line, op->arg[0]);
}

static bool say_get(struct line *line, const struct op *op)
{
	if (!add_run(line, "get"))
		return false;
	add(line, " times %u", op->arg[2]);
	return op->arg[2];
}

/* A walker's way: by number. */
static bool say_by_number(struct line *line, const struct op *op,
			  const char *more)
{
	if (line->told->pfn >= line->frames)
		return false;
	add(line, "remember r%u", op->tag);
	add_frame(line);
	end_line(line);
	add(line, "get r%u%s", op->tag, more);
	return true;
}

static bool say_try_get(struct line *line, const struct op *op)
{
	return say_by_number(line, op, "");
}

static bool say_try_interior(struct line *line, const struct op *op)
{
	return say_by_number(line, op, " interior");
}

/* As often as it says, or, unless it is once, not at all there. */
static bool say_pin(struct line *line, const struct op *op)
{
	if (!add_run(line, "pin"))
		return false;
	add(line, " times %u", op->arg[3]);
	return op->arg[3] == 1 || !line->told->code;
}

static bool say_unpin(struct line *line, const struct op *op)
{
	(void)op;
	return add_run(line, "unpin");
}

static bool say_freeze(struct line *line, const struct op *op)
{
	if (!add_run(line, "freeze") || !line->told->known)
		return false;
	add(line, " expected %u", op->arg[3]);
	return op->arg[3];
}

static bool say_unfreeze(struct line *line, const struct op *op)
{
	if (!add_run(line, "unfreeze") || line->told->kept)
		return false;
	add(line, " refs %u", op->arg[2]);
	return true;
}

static bool say_split(struct line *line, const struct op *op)
{
	if (!add_run(line, "split") || line->told->kept)
		return false;
	add(line, " order %u", op->arg[3]);
	return op->arg[3] <= CF_MAX_ORDER;
}

static bool say_give(struct line *line, const struct op *op)
{
	return add_run(line, "give") && line->told->known &&
	       op->arg[3] <= OWNERS &&
	       add_anybody(line, op->arg[3]);
}

/* Offline frames, by number: the machine has them where we had them. */
static bool say_frames(struct line *line, const struct op *op,
		       const char *step)
{
	cf_pfn pfn = line->told->pfn;

	add(line, "%s frames %llu+%u", step, (unsigned long long)pfn,
	    op->arg[3]);
	return op->arg[2] && op->arg[3] &&
	       pfn + op->arg[3] <= line->frames &&
	       add_owner(line, op->arg[2]);
}

static bool say_offline_free(struct line *line, const struct op *op)
{
	return say_frames(line, op, "offline-free");
}

static bool say_skippable(struct line *line, const struct op *op)
{
	if (!say_frames(line, op, "skippable"))
		return false;
	add(line, "%s", op->arg[4] ? "" : " off");
	return true;
}

static bool say_offline_adopt(struct line *line, const struct op *op)
{
	return say_frames(line, op, "offline-adopt");
}

/* ---- blocks ---- */

/* Whose ranges these blocks are from now on. */
static void set_ranges(struct line *line, const struct op *op, uint32_t owner)
{
	uint32_t i;

	for (i = op->arg[0]; i < op->arg[0] + op->arg[1] && i < line->blocks &&
	     !line->told->code; i++)
		line->ranges[i] = owner;
}

static bool say_add(struct line *line, const struct op *op)
{
	static const char *const metadata[] = { "port", "caller", "self" };

	if (op->arg[3] > 2 || op->arg[4] >= line->nodes)
		return false;
	add(line, "add");
	if (!add_blocks(line, op))
		return false;
	add(line, " node %u metadata %s", op->arg[4], metadata[op->arg[3]]);
	set_ranges(line, op, op->arg[5]);
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

static bool exposes_plugged(uint32_t owner, uint32_t policy)
{
	return owner_kinds[owner - 1].ops->online &&
	       policy & POLICY_SKIPPABLE && !(policy & POLICY_FINE);
}

/* What a hook will expose of blocks is plugged before they come online. */
static void plug(struct line *line, const struct op *op)
{
	cf_pfn block = line->frames / line->blocks;
	cf_pfn pfn = op->arg[0] * block;
	cf_pfn last = pfn + op->arg[1] * block;

	for (; pfn < last && last <= line->frames; pfn += CF_CHUNK_FRAMES) {
		uint32_t owner = line->ranges[pfn / block];
		uint32_t chunk = (uint32_t)(pfn / CF_CHUNK_FRAMES);
		uint32_t bit = POLICY_PATTERN_SHIFT + chunk % 8;

		if (!owner || !line->owner[owner] || line->plugged[chunk] ||
		    !exposes_plugged(owner, line->policy[owner]) ||
		    !(line->policy[owner] >> bit & 1))
			continue;
		line->plugged[chunk] = true;
		add(line, "plug");
		add_name(line, owner);
		add(line, " frames %llu+%u", (unsigned long long)pfn,
		    (unsigned)CF_CHUNK_FRAMES);
		end_line(line);
	}
}

static bool say_online(struct line *line, const struct op *op)
{
	if (!line->told->code)
		plug(line, op);
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
	set_ranges(line, op, op->arg[3]);
	return say_blocks(line, op, "adopt") &&
	       add_anybody(line, op->arg[3]);
}

static bool say_start(struct line *line, const struct op *op)
{
	add(line, "offline start o%u", op->tag);
	if (!add_blocks(line, op))
		return false;
	if (!line->told->code)
		line->start[op->arg[3] % OPERATIONS] = op->tag;
	return true;
}

static bool say_going(struct line *line, const struct op *op,
		      const char *step)
{
	unsigned *tag = &line->start[op->arg[0] % OPERATIONS];

	add(line, "%s o%u", step, *tag);
	if (!*tag)
		return false;
	if (!line->told->code)
		*tag = 0;
	return true;
}

static bool say_step(struct line *line, const struct op *op)
{
	return say_going(line, op, "offline step");
}

static bool say_cancel(struct line *line, const struct op *op)
{
	return say_going(line, op, "offline cancel");
}

/* ---- the rest ---- */

/* What an owner answers is said once there: what it is told next counts. */
static uint32_t first_policy(const struct line *line, uint32_t slot)
{
	const struct list *list = line->list;
	uint32_t i;

	for (i = line->at + 1; i < list->count; i++) {
		const struct op *op = &list->op[i];
		const char *name = op_type(op->code)->name;

		if (!strcmp(name, "register") && op->arg[0] % OWNERS == slot)
			break;
		if (!strcmp(name, "policy") && op->arg[0] % OWNERS == slot)
			return op->arg[1];
	}
	return owner_kinds[slot].policy;
}

/* Does a block of its come online before it goes? */
static bool has_ranges(const struct line *line, uint32_t owner)
{
	const struct list *list = line->list;
	bool own[BLOCKS_MAX] = { false };
	uint32_t i, block;

	for (i = line->at + 1; i < list->count; i++) {
		const struct op *op = &list->op[i];
		const char *name = op_type(op->code)->name;
		bool adds = !strcmp(name, "block_add");
		bool gives = adds || !strcmp(name, "block_adopt");

		if (!strcmp(name, "unregister") && op->arg[0] == owner)
			break;
		if (verdict->told[i].code || strncmp(name, "block_", 6))
			continue;
		for (block = op->arg[0]; block < op->arg[0] + op->arg[1] &&
		     block < BLOCKS_MAX; block++) {
			if (gives)
				own[block] = op->arg[adds ? 5 : 3] == owner;
			else if (!strcmp(name, "block_online") && own[block])
				return true;
		}
	}
	return false;
}

static void add_exposes(struct line *line, uint32_t owner, uint32_t policy)
{
	if (exposes_plugged(owner, policy))
		add(line, " exposes plugged");
	else if (!(policy >> POLICY_PATTERN_SHIFT & 0xff))
		add(line, " exposes nothing");
	else
		add(line, " exposes backed");
}

static void add_abilities(struct line *line, const struct cf_owner_ops *ops,
			  uint32_t policy)
{
	uint32_t refuses = POLICY_NO_ISOLATE | POLICY_NO_MIGRATE;
	bool keeps = ops->release && policy & POLICY_KEEP;

	if (ops->migrate)
		add(line, policy & refuses ? " stubborn" : " movable");
	if (ops->split && !(policy & POLICY_NO_SPLIT))
		add(line, " splits");
	if (keeps)
		add(line, " keeps");
	if (keeps && ops->dissolve && !(policy & POLICY_NO_DISSOLVE))
		add(line, " dissolves");
}

static bool say_register(struct line *line, const struct op *op)
{
	uint32_t owner = op->arg[0] % OWNERS + 1;
	const struct cf_owner_ops *ops = owner_kinds[owner - 1].ops;
	uint32_t policy = first_policy(line, owner - 1);

	if (op->arg[1])
		return false;
	line->owner[owner] = op->tag;
	line->policy[owner] = owner_kinds[owner - 1].policy;
	add(line, "owner");
	add_name(line, owner);
	/* An owner of ranges, or one of runs: not both there. */
	if (ops->online && has_ranges(line, owner))
		add_exposes(line, owner, policy);
	else
		add_abilities(line, ops, policy);
	return true;
}

static bool say_policy(struct line *line, const struct op *op)
{
	line->policy[op->arg[0] % OWNERS + 1] = op->arg[1];
	return false;
}

static bool say_unregister(struct line *line, const struct op *op)
{
	uint32_t owner = op->arg[0];

	if (!owner || owner > OWNERS || !line->owner[owner])
		return false;
	add(line, "unregister");
	add_name(line, owner);
	add(line, " force");
	line->owner[owner] = 0;
	return true;
}

static bool say_subscribe(struct line *line, const struct op *op)
{
	uint32_t slot = op->arg[0] % SUBSCRIBERS;

	if (line->told->code)
		return false;
	line->subscriber[slot] = op->tag;
	add(line, "subscriber sub%u priority %u", op->tag, 10 - slot);
	return true;
}

static bool say_unsubscribe(struct line *line, const struct op *op)
{
	uint32_t slot = op->arg[0] % SUBSCRIBERS;

	add(line, "unsubscribe sub%u", line->subscriber[slot]);
	return line->subscriber[slot];
}

/* There, to both or to none. */
static bool say_veto(struct line *line, const struct op *op)
{
	uint32_t slot = op->arg[0] % SUBSCRIBERS;

	add(line, "veto sub%u%s", line->subscriber[slot],
	    op->arg[1] ? "" : " off");
	return line->subscriber[slot] && (op->arg[1] == 0 || op->arg[1] == 3);
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
	{ "put_interior", say_put_interior },
	{ "drop_set", say_drop },
	{ "get", say_get },
	{ "try_get", say_try_get },
	{ "try_get_interior", say_try_interior },
	{ "pin", say_pin },
	{ "unpin", say_unpin },
	{ "freeze", say_freeze },
	{ "unfreeze", say_unfreeze },
	{ "split", say_split },
	{ "owner_change", say_give },
	{ "alloc_range", say_alloc_range },
	{ "free_range", say_free_each },
	{ "thin", say_free_each },
	{ "offline_alloc", say_offline_alloc },
	{ "offline_alloc_range", say_offline_range },
	{ "offline_free", say_offline_free },
	{ "set_skippable", say_skippable },
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
	{ "unsubscribe", say_unsubscribe },
	{ "veto", say_veto },
	{ "register", say_register },
	{ "unregister", say_unregister },
	{ "policy", say_policy },
	{ "retire", say_retire },
	{ "compact", say_compact },
	{ "drain", say_drain },
	{ "marks", say_marks },
};

static bool say_words(struct line *line, const struct op *op)
{
	const char *name = op_type(op->code)->name;
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!strcmp(words[i].name, name))
			return words[i].say(line, op);
	}
	return false;
}

/* How a refusal is called there. */
static const char *error_word(int err)
{
	/* Busy or in motion: that depends on what owners answer. */
	static const char *const errors[CF_ERR_COUNT] = {
		"", "invalid ", "", "", "nomem ", "gone ", "refused ",
		"limit ", "port ",
	};

	return err < 0 && -err < CF_ERR_COUNT ? errors[-err] : "";
}

/* The machine of a scenario refuses wrong claims itself, in its own way. */
static bool is_engines(const struct op *op)
{
	const char *name = op_type(op->code)->name;

	return !strncmp(name, "block_", 6) || !strncmp(name, "offline_", 8) ||
	       !strncmp(name, "alloc", 5);
}

/* One operation; what the language cannot say as a comment. */
static void say(struct line *line, const struct op *op)
{
	int err = line->told->code;
	char text[256];

	begin_line(line);
	/* What can never be right is wrong before anything runs. */
	if (err == -CF_EINVAL || line->told->met || !say_words(line, op)) {
		op_print(text, sizeof(text), op);
		printf("# # %s%s\n", text, line->told->met ?
		       " (and met a fault)" : "");
		return;
	}
	if (!err && (!strncmp(line->text, "alloc", 5) ||
		     !strncmp(line->text, "offline-alloc", 13)))
		line->set[op->tag] = true;
	/* A query says what it finds, and does not fail for it. */
	if (err && (err != -CF_EBUSY || strncmp(line->text, "query", 5)))
		printf("# expect fails %s", is_engines(op) ?
		       error_word(err) : "");
	else
		printf("# ");
	if (line->cpu)
		printf("on cpu %u ", line->cpu);
	printf("%s\n", line->text);
}

static void say_machine(const struct setup *setup)
{
	printf("# ---- as a scenario, where the language has words for it\n"
	       "# machine memory 0 span %uM block %uM cpus %u nodes %u",
	       setup->blocks << setup->block_order >> 8,
	       1u << setup->block_order >> 8, setup->cpus, setup->nodes);
	if (setup->poison_max)
		printf(" bad-frames %u", setup->poison_max);
	printf("%s%s%s\n", setup->no_caches ? " no-caches" : "",
	       setup->debug_pagealloc ? " debug-pagealloc" : "",
	       setup->fenced ? " fenced" : "");
}

static void say_owners(const struct line *line)
{
	uint32_t i;

	for (i = 0; i < OWNERS; i++) {
		if (line->owner[i + 1] && expect_frames(i) != UINT64_MAX)
			printf("# expect owner %s%u frames %lluf\n",
			       owner_kinds[i].name, line->owner[i + 1],
			       (unsigned long long)expect_frames(i));
	}
}

void list_say(const struct list *list)
{
	const struct setup *setup = &list->setup;
	static struct line line;
	uint32_t i;

	memset(&line, 0, sizeof(line));
	line.list = list;
	line.blocks = setup->blocks;
	line.nodes = setup->nodes;
	line.frames = setup->blocks << setup->block_order;
	say_machine(setup);
	for (i = 0; i < list->count; i++) {
		const struct op *op = &list->op[i];

		line.at = i;
		line.told = &verdict->told[i];
		if (!strcmp(op_type(op->code)->name, "cpu"))
			line.cpu = op->arg[0] < setup->cpus ? op->arg[0] : 0;
		else if (!line.told->skipped)
			say(&line, op);
	}
	expect_say(setup->blocks);
	say_owners(&line);
	printf("# verify\n# ----\n");
}
