/* SPDX-License-Identifier: MIT */

/*
 * Two saved machines, record by record.
 *
 * Both files have their records in the same order: kinds rise, and within
 * runs and contents frames do.  So one pass over both with a place in each is
 * enough, and memory is that of two readers.
 */

#include "save_diff.h"

#include <string.h>

#include "save_facts.h"

#define KIND_NONE	SAVE_KIND_COUNT	/* behind the last one */

/* A file and the record it is at. */
struct side {
	struct save_reader *reader;
	struct code *code;
	unsigned kind;
	unsigned char bytes[SAVE_RECORD_BYTES];	/* the record, but contents */
	size_t count;
	struct fact_run run;			/* RUN */
	cf_pfn first, last;			/* CONTENT: what is left */
	const unsigned char *content;
};

struct comparing {
	struct save_diff *diff;
	struct side a, b;
	enum save_change change;	/* of a stretch of contents ... */
	cf_pfn first, last;		/* ... that may go on; or none */
};

const char *save_change_name(enum save_change change)
{
	static const char *const names[SAVE_CHANGE_COUNT] = {
		[SAVE_SAME] = "same",
		[SAVE_CHANGED] = "changed",
		[SAVE_ONLY_FIRST] = "only-first",
		[SAVE_ONLY_SECOND] = "only-second",
	};

	return names[change];
}

/* Go over a record of which nothing but its bytes is wanted. */
static void pass_known(struct code *code, unsigned kind)
{
	union {
		struct fact_owner owner;
		struct fact_member member;
		struct fact_report_text text;
		struct fact_load load;
		struct fact_worker worker;
		struct fact_object object;
	} fact;
	struct outcome outcome = { .err = 0 };
	struct cf_offline_status status = { .steps = 0 };
	struct operation operation = { .first = 0 };
	struct watcher watcher = { .machine = NULL };
	struct walker walker = { .machine = NULL };
	struct owner owner = { .machine = NULL };
	struct mark mark;
	uint32_t number;

	(void)memset(&fact, 0, sizeof(fact));
	switch (kind) {
	case SAVE_OWNER:
		fact_owner(code, &fact.owner, &owner);
		break;
	case SAVE_MEMBER:
		fact_member(code, &fact.member);
		break;
	case SAVE_SLOT:
		fact_slot(code, &fact.member);
		break;
	case SAVE_WATCHER:
		fact_watcher(code, &number, &watcher);
		break;
	case SAVE_WALKER:
		fact_walker(code, &number, &walker);
		break;
	case SAVE_OPERATION:
		fact_operation(code, &number, &operation, &status,
			       &fact.text);
		break;
	case SAVE_MARK:
		fact_mark(code, &number, &mark);
		break;
	case SAVE_LAST:
		fact_last(code, &outcome, &fact.text);
		break;
	case SAVE_OBJECT: case SAVE_PART:
		fact_object(code, &fact.object);
		break;
	case SAVE_LOAD:
		fact_load(code, &fact.load);
		break;
	default:
		fact_worker(code, &fact.worker);
		break;
	}
}

/* tidy: long - one case of one call for each kind of record. */
static void pass(struct code *code, unsigned kind)
{
	union {
		struct fact_machine machine;
		struct fact_name name;
		struct fact_range range;
		struct fact_bad bad;
		struct fact_block block;
		struct fact_set set;
		struct fact_frame frame;
		struct fact_zone zone;
		struct fact_end end;
	} fact;
	struct block_group group = { .next = NULL };
	bool migrating;

	(void)memset(&fact, 0, sizeof(fact));
	switch (kind) {
	case SAVE_MACHINE:
		fact_machine(code, &fact.machine);
		break;
	case SAVE_NAME:
		fact_name(code, &fact.name);
		break;
	case SAVE_PLUGGED: case SAVE_BALLOONED: case SAVE_GIVEN:
	case SAVE_ADDED:
		fact_range(code, &fact.range);
		break;
	case SAVE_BAD:
		fact_bad(code, &fact.bad);
		break;
	case SAVE_BLOCK_GROUP:
		fact_block_group(code, &group);
		break;
	case SAVE_BLOCK:
		fact_block(code, &fact.block);
		break;
	case SAVE_SET:
		fact_set(code, &fact.set);
		break;
	case SAVE_KEPT: case SAVE_FRAME: case SAVE_SCANNED:
		fact_frame(code, &fact.frame);
		break;
	case SAVE_ZONE:
		fact_zone(code, &fact.zone);
		break;
	case SAVE_MIGRATING:
		fact_migrating(code, &migrating);
		break;
	case SAVE_END:
		fact_end(code, &fact.end);
		break;
	default:
		pass_known(code, kind);
		break;
	}
}

static void take_content(struct side *side)
{
	uint32_t count = 0;

	code_u64(side->code, &side->first);
	code_u32(side->code, &count);
	side->code->failed |= !count || count > SAVE_CHUNK_FRAMES ||
			       side->first >= CF_PFN_LIMIT;
	side->content = code_bytes(side->code, count * CF_FRAME_BYTES);
	side->last = side->first + count;
}

/* Go to the next record. 0, or -1: it cannot be read. */
static int advance(struct side *side)
{
	const unsigned char *begin;
	unsigned before = side->kind;
	int kind;

	if (before == SAVE_END) {
		side->kind = KIND_NONE;
		return save_reader_at_end(side->reader) ? 0 : -1;
	}
	kind = save_reader_next(side->reader, &side->code);
	if (kind < 0)
		return -1;
	if (before != KIND_NONE &&
	    save_kind_rank((unsigned)kind) < save_kind_rank(before))
		return save_reader_fail(side->reader, "damaged: its records"
					" are out of order");
	side->kind = (unsigned)kind;
	begin = side->code->at;
	if (kind == SAVE_RUN)
		fact_run(side->code, &side->run);
	else if (kind == SAVE_CONTENT)
		take_content(side);
	else
		pass(side->code, (unsigned)kind);
	if (side->code->failed || (kind == SAVE_RUN &&
				    (side->run.order > CF_MAX_ORDER ||
				     side->run.type >= CF_TYPE_COUNT)))
		return save_reader_fail(side->reader, "damaged: a record of"
					" kind \"%s\" is wrong",
					save_kind_name((enum save_kind)kind));
	side->count = kind == SAVE_CONTENT ? 0 :
		       (size_t)(side->code->at - begin);
	if (side->count > sizeof(side->bytes))
		return save_reader_fail(side->reader, "damaged: a record is"
					" too long");
	(void)memcpy(side->bytes, begin, side->count);
	return 0;
}

/* ---- runs ---- */

static struct save_diff_run say_run(const struct fact_run *run)
{
	return (struct save_diff_run){
		run->first, (enum cf_type)run->type, run->order, run->flags,
		run->owner, run->refs, run->pins, run->payload,
	};
}

static void note_run(struct comparing *comparing, enum save_change change)
{
	struct save_diff *diff = comparing->diff;
	const struct fact_run *a = &comparing->a.run, *b = &comparing->b.run;
	const struct fact_run *seen = change == SAVE_ONLY_FIRST ? a : b;
	struct save_diff_run first = { .type = CF_TYPE_NONE };
	struct save_diff_run second = { .type = CF_TYPE_NONE };

	diff->records[SAVE_RUN][change]++;
	diff->frames[seen->type][change] += (uint64_t)1 << seen->order;
	if (change == SAVE_SAME || !diff->run)
		return;
	if (change != SAVE_ONLY_SECOND)
		first = say_run(a);
	if (change != SAVE_ONLY_FIRST)
		second = say_run(b);
	diff->run(diff->context, change, &first, &second);
}

static int compare_runs(struct comparing *comparing)
{
	struct side *a = &comparing->a, *b = &comparing->b;
	bool first = b->kind != SAVE_RUN ||
		     (a->kind == SAVE_RUN && a->run.first < b->run.first);
	bool second = a->kind != SAVE_RUN ||
		      (b->kind == SAVE_RUN && b->run.first < a->run.first);

	if (first)
		note_run(comparing, SAVE_ONLY_FIRST);
	else if (second)
		note_run(comparing, SAVE_ONLY_SECOND);
	else
		note_run(comparing, memcmp(a->bytes, b->bytes, a->count) ?
			 SAVE_CHANGED : SAVE_SAME);
	if (!second && advance(a))
		return -1;
	return first ? 0 : advance(b);
}

/* ---- contents ---- */

static void tell_stretch(struct comparing *comparing)
{
	struct save_diff *diff = comparing->diff;

	if (comparing->first < comparing->last && diff->content &&
	    comparing->change != SAVE_SAME)
		diff->content(diff->context, comparing->change,
			      comparing->first, comparing->last);
	comparing->first = comparing->last;
}

static void note_contents(struct comparing *comparing,
			  enum save_change change, cf_pfn first, cf_pfn last)
{
	comparing->diff->contents[change] += last - first;
	if (change != comparing->change || first != comparing->last) {
		tell_stretch(comparing);
		comparing->change = change;
		comparing->first = first;
	}
	comparing->last = last;
}

/* @count frames of a side are done with. */
static int eat(struct side *side, cf_pfn count)
{
	side->first += count;
	side->content += count * CF_FRAME_BYTES;
	return side->first < side->last ? 0 : advance(side);
}

/* What one of them has up to where the other one begins. */
static cf_pfn alone(const struct side *side, const struct side *other)
{
	if (other->kind != SAVE_CONTENT || other->first >= side->last)
		return side->last - side->first;
	return other->first > side->first ? other->first - side->first : 0;
}

static int compare_contents(struct comparing *comparing)
{
	struct side *a = &comparing->a, *b = &comparing->b;
	cf_pfn count;
	bool same;

	count = a->kind == SAVE_CONTENT ? alone(a, b) : 0;
	if (count) {
		note_contents(comparing, SAVE_ONLY_FIRST, a->first,
			      a->first + count);
		return eat(a, count);
	}
	count = b->kind == SAVE_CONTENT ? alone(b, a) : 0;
	if (count) {
		note_contents(comparing, SAVE_ONLY_SECOND, b->first,
			      b->first + count);
		return eat(b, count);
	}
	same = !memcmp(a->content, b->content, CF_FRAME_BYTES);
	note_contents(comparing, same ? SAVE_SAME : SAVE_CHANGED,
		      a->first, a->first + 1);
	return eat(a, 1) || eat(b, 1) ? -1 : 0;
}

/* ---- all others ---- */

static int compare_others(struct comparing *comparing)
{
	struct side *a = &comparing->a, *b = &comparing->b;
	struct save_diff *diff = comparing->diff;
	bool same;

	if (save_kind_rank(a->kind) < save_kind_rank(b->kind)) {
		diff->records[a->kind][SAVE_ONLY_FIRST]++;
		return advance(a);
	}
	if (save_kind_rank(b->kind) < save_kind_rank(a->kind)) {
		diff->records[b->kind][SAVE_ONLY_SECOND]++;
		return advance(b);
	}
	same = a->count == b->count && !memcmp(a->bytes, b->bytes, a->count);
	/* The end only sums up what was compared already. */
	if (a->kind != SAVE_END)
		diff->records[a->kind][same ? SAVE_SAME : SAVE_CHANGED]++;
	return advance(a) || advance(b) ? -1 : 0;
}

static bool at_kind(const struct comparing *comparing, unsigned kind)
{
	unsigned a = save_kind_rank(comparing->a.kind);
	unsigned b = save_kind_rank(comparing->b.kind);

	return (a < b ? a : b) == save_kind_rank(kind);
}

static int compare(struct comparing *comparing)
{
	int err = advance(&comparing->a) || advance(&comparing->b) ? -1 : 0;

	while (!err && !at_kind(comparing, KIND_NONE)) {
		if (at_kind(comparing, SAVE_RUN))
			err = compare_runs(comparing);
		else if (at_kind(comparing, SAVE_CONTENT))
			err = compare_contents(comparing);
		else
			err = compare_others(comparing);
	}
	tell_stretch(comparing);
	return err;
}

bool save_diff_any(const struct save_diff *diff)
{
	uint64_t differing = 0;
	unsigned kind, change;

	for (change = SAVE_CHANGED; change < SAVE_CHANGE_COUNT; change++) {
		for (kind = 0; kind < SAVE_KIND_COUNT; kind++)
			differing += diff->records[kind][change];
		differing += diff->contents[change];
	}
	return differing != 0;
}

int save_diff(struct save_diff *diff, const char *a, const char *b, char *why)
{
	struct comparing comparing = {
		.diff = diff,
		.a = { .kind = KIND_NONE },
		.b = { .kind = KIND_NONE },
	};
	int err = -1;

	comparing.a.reader = save_reader_open(a, why);
	if (!comparing.a.reader)
		return -1;
	comparing.b.reader = save_reader_open(b, why);
	if (comparing.b.reader) {
		err = compare(&comparing);
		if (err)
			(void)snprintf(why, SAVE_WHY_BYTES, "%s%s",
				       save_reader_why(comparing.a.reader),
				       save_reader_why(comparing.b.reader));
		save_reader_close(comparing.b.reader);
	}
	save_reader_close(comparing.a.reader);
	return err;
}
