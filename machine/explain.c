/* SPDX-License-Identifier: MIT */

/* A report of the engine's as a sentence. */

#include <stdarg.h>

#include "internal.h"

/* A sentence that grows, and stops growing at the end of its buffer. */
struct sentence {
	char *text;
	size_t bytes, length;
};

__attribute__((format(printf, 2, 3)))
static void say(struct sentence *sentence, const char *format, ...)
{
	size_t left = sentence->bytes - sentence->length;
	va_list values;
	int written;

	va_start(values, format);
	written = vsnprintf(sentence->text + sentence->length, left, format,
			    values);
	va_end(values);
	if (written > 0)
		sentence->length += (size_t)written < left ? (size_t)written :
							     left - 1;
}

static const char *const reasons[CF_REASON_COUNT] = {
	[CF_REASON_UNMOVABLE] = "cannot be moved: nobody knows how",
	[CF_REASON_PINNED] = "is pinned: its contents must stay where they are",
	[CF_REASON_REFERENCED] = "has references its owner knows nothing of",
	[CF_REASON_FROZEN] = "is frozen, and nobody gave it up",
	[CF_REASON_OFFLINE] = "is logically offline: its owner's to give back",
	[CF_REASON_ORPHAN] = "is left over from an owner that is gone",
	[CF_REASON_OWNER] = "stays: its owner refused",
	[CF_REASON_NO_TARGET] = "stays: there is no memory to move it to",
	[CF_REASON_TRANSIT] = "is between two states this moment",
};

static const char *reason_text(enum cf_reason reason)
{
	return reasons[reason] ? reasons[reason] : "is in the way";
}

static void say_run(struct machine *machine, struct sentence *sentence,
		    const struct cf_report *report)
{
	char size[24];

	say(sentence, "frame %llu in block %llu",
	    (unsigned long long)report->pfn,
	    (unsigned long long)(report->pfn / machine->block_frames));
	if (report->type == CF_TYPE_NONE)
		return;
	say(sentence, " (%s, %s", machine_size((uint64_t)1 << report->order,
					       size),
	    cf_type_name(report->type));
	if (report->owner != CF_OWNER_NONE)
		say(sentence, " of %s", report->who ? report->who :
		    name_of_owner(machine, report->owner));
	if (report->refs)
		say(sentence, ", %u reference%s", report->refs,
		    report->refs == 1 ? "" : "s");
	if (report->pins)
		say(sentence, ", %u pin%s", report->pins,
		    report->pins == 1 ? "" : "s");
	say(sentence, ")");
}

/* What else stands there, if it is more than the frame that was named. */
static void say_rest(struct sentence *sentence, const struct cf_report *report)
{
	uint64_t first = report->type == CF_TYPE_NONE ? 1 :
			 (uint64_t)1 << report->order;
	uint64_t total = 0;
	const char *comma = "";
	char size[24];
	unsigned i;

	for (i = 1; i < CF_REASON_COUNT; i++)
		total += report->frames[i];
	if (total <= first)
		return;
	say(sentence, "; in all ");
	for (i = 1; i < CF_REASON_COUNT; i++) {
		if (!report->frames[i])
			continue;
		say(sentence, "%s%s %s", comma,
		    machine_size(report->frames[i], size),
		    cf_reason_name((enum cf_reason)i));
		comma = ", ";
	}
}

void explain(struct machine *machine, const struct cf_report *report,
	     char *text, size_t bytes)
{
	struct sentence sentence = { text, bytes, 0 };
	unsigned long long block = report->pfn / machine->block_frames;

	text[0] = '\0';
	switch (report->reason) {
	case CF_REASON_VETO:
		say(&sentence, "%s refused", report->who ? report->who :
		    "a subscriber");
		return;
	case CF_REASON_OPERATION:
		say(&sentence, "block %llu is held by operation %u", block,
		    report->operation);
		return;
	case CF_REASON_STATE:
		say(&sentence, "block %llu is not in a state for that", block);
		return;
	case CF_REASON_HOLE:
		say(&sentence, "there is no block %llu", block);
		return;
	case CF_REASON_CACHE:
		say(&sentence, "a CPU's cache could not be drained");
		return;
	case CF_REASON_PORT:
		say(&sentence, "the system failed at frame %llu",
		    (unsigned long long)report->pfn);
		return;
	default:
		break;
	}
	if (report->pfn == CF_PFN_NONE) {
		say(&sentence, "something %s",
		    reason_text(report->reason));
		return;
	}
	if (report->reason == CF_REASON_ORPHAN &&
	    report->type == CF_TYPE_NONE) {
		say(&sentence, "block %llu is left over from an owner that is"
		    " gone: adopt or remove it", block);
		return;
	}
	say_run(machine, &sentence, report);
	say(&sentence, " %s", reason_text(report->reason));
	say_rest(&sentence, report);
}
