/* SPDX-License-Identifier: MIT */

/* The records of a saved machine, field by field. */

#include "save_facts.h"

#include <string.h>
#include <zlib.h>

void fact_machine_take(struct fact_machine *fact, struct machine *machine)
{
	const struct cf_map_config *config = &machine->map_config;
	uint32_t i;

	*fact = (struct fact_machine){
		.seed = machine->config.seed,
		.last = config->last,
		.block_order = config->block_order,
		.cpus = config->cpus,
		.nodes = config->nodes,
		.poison_max = config->poison_max,
		.fenced = config->fenced,
		.no_caches = config->no_caches,
		.debug_pagealloc = config->debug_pagealloc,
		.huge = machine->memory.config.huge,
		.added_first = machine->added_first,
		.added_last = machine->added_last,
		.inflated = machine->inflated,
		.deflated = machine->deflated,
		.unreturned = machine->unreturned,
		.load_past = machine->load_past,
		.last_mark = FACT_NOBODY,
	};
	struct fact_load load;

	if (load_facts(machine, &load))
		fact->workers = load.count;
	(void)pthread_mutex_lock(&machine->signal_lock);
	fact->low_signals = machine->low_signals;
	fact->empty_signals = machine->empty_signals;
	(void)pthread_mutex_unlock(&machine->signal_lock);
	for (i = 0; i < machine->config.names_count; i++)
		if (machine->last_mark && machine->object[i].mark ==
						machine->last_mark)
			fact->last_mark = i;
}

void fact_machine_give(const struct fact_machine *fact,
		       struct machine *machine)
{
	machine->added_first = fact->added_first;
	machine->added_last = fact->added_last;
	machine->inflated = fact->inflated;
	machine->deflated = fact->deflated;
	machine->unreturned = fact->unreturned;
	machine->load_past = fact->load_past;
	(void)pthread_mutex_lock(&machine->signal_lock);
	machine->low_signals = fact->low_signals;
	machine->empty_signals = fact->empty_signals;
	(void)pthread_mutex_unlock(&machine->signal_lock);
}

static void code_totals(struct code *code, struct load_totals *load)
{
	code_u64(code, &load->workers);
	code_u64(code, &load->ops);
	code_u64(code, &load->allocs);
	code_u64(code, &load->frees);
	code_u64(code, &load->failed);
	code_u64(code, &load->errors);
	code_u64(code, &load->moved);
}

void fact_machine(struct code *code, struct fact_machine *fact)
{
	code_u64(code, &fact->seed);
	code_u64(code, &fact->last);
	code_u32(code, &fact->block_order);
	code_u32(code, &fact->cpus);
	code_u32(code, &fact->nodes);
	code_u32(code, &fact->poison_max);
	code_bool(code, &fact->fenced);
	code_bool(code, &fact->no_caches);
	code_bool(code, &fact->debug_pagealloc);
	code_bool(code, &fact->huge);
	code_u64(code, &fact->added_first);
	code_u64(code, &fact->added_last);
	code_u64(code, &fact->low_signals);
	code_u64(code, &fact->empty_signals);
	code_u64(code, &fact->inflated);
	code_u64(code, &fact->deflated);
	code_u64(code, &fact->unreturned);
	code_totals(code, &fact->load_past);
	code_u32(code, &fact->last_mark);
	code_u32(code, &fact->workers);
}

/* Nouns stand as their words: their numbers are not the format's. */
void fact_name(struct code *code, struct fact_name *fact)
{
	char word[32];
	uint32_t noun;

	(void)snprintf(word, sizeof(word), "%s",
		       code->reading ? "" : noun_name((enum noun)fact->noun));
	code_text(code, word, sizeof(word));
	code_text(code, fact->text, sizeof(fact->text));
	if (!code->reading)
		return;
	for (noun = NOUN_NONE + 1; noun < NOUN_COUNT; noun++)
		if (!strcmp(word, noun_name((enum noun)noun)))
			break;
	fact->noun = noun;
	code->failed |= noun == NOUN_COUNT;
}

void fact_owner(struct code *code, struct fact_owner *fact,
		struct owner *owner)
{
	code_u32(code, &fact->number);
	code_u32(code, &fact->id);
	code_bool(code, &fact->registered);
	code_bool(code, &owner->movable);
	code_bool(code, &owner->splits);
	code_bool(code, &owner->keeps);
	code_bool(code, &owner->dissolves);
	code_bool(code, &owner->stubborn);
	code_bool(code, &owner->balloon);
	code_bool(code, &owner->exposing);
	owner->exposes = (enum exposes)code_choice(code, owner->exposes,
						   EXPOSES_COUNT);
	code_u64(code, &owner->releases);
	code_u64(code, &owner->isolates);
	code_u64(code, &owner->migrates);
	code_u64(code, &owner->putbacks);
	code_u64(code, &owner->splits_done);
	code_u64(code, &owner->dissolved);
}

void fact_range(struct code *code, struct fact_range *fact)
{
	code_u32(code, &fact->number);
	code_u64(code, &fact->first);
	code_u64(code, &fact->last);
}

void fact_migrating(struct code *code, bool *migrating)
{
	code_bool(code, migrating);
}

void fact_bad(struct code *code, struct fact_bad *fact)
{
	code_u64(code, &fact->pfn);
	code_bool(code, &fact->used);
}

void fact_block_group(struct code *code, struct block_group *group)
{
	code_u64(code, &group->first);
	code_u64(code, &group->last);
	group->meta = (enum cf_meta)code_choice(code, group->meta,
						CF_META_SELF + 1);
	code_u32(code, &group->node);
}

void fact_block(struct code *code, struct fact_block *fact)
{
	code_u64(code, &fact->first);
	fact->state = code_choice(code, fact->state, CF_BLOCK_STATE_COUNT);
	fact->zone = code_choice(code, fact->zone, CF_ZONE_COUNT);
	code_u32(code, &fact->range_owner);
	code_bool(code, &fact->orphan);
}

void fact_run(struct code *code, struct fact_run *fact)
{
	code_u64(code, &fact->first);
	code_u8(code, &fact->type);
	code_u8(code, &fact->order);
	code_u16(code, &fact->flags);
	code_u16(code, &fact->owner);
	code_u16(code, &fact->pins);
	code_u32(code, &fact->refs);
	code_u32(code, &fact->payload);
}

uint32_t fact_run_sum(uint32_t sum, const struct fact_run *fact)
{
	unsigned char bytes[FACT_RUN_BYTES];
	struct code code = { bytes, bytes + sizeof(bytes), false, false };
	struct fact_run copy = *fact;

	fact_run(&code, &copy);
	return (uint32_t)crc32(sum, bytes, sizeof(bytes));
}

void fact_set(struct code *code, struct fact_set *fact)
{
	code_u32(code, &fact->number);
	code_u32(code, &fact->owner);
	fact->type = code_choice(code, fact->type, CF_TYPE_COUNT);
	code_bool(code, &fact->frozen);
	code_u64(code, &fact->first);
	code_u64(code, &fact->last);
}

/* What a set or a worker knows of a run it has. */
static void code_run(struct code *code, struct fact_member *fact)
{
	struct run *run = &fact->run;

	code_bool(code, &fact->bound);
	code_u32(code, &run->refs);
	code_u32(code, &run->pins);
	run->state = (uint8_t)code_choice(code, run->state, RUN_OFFLINE + 1);
	run->order = (uint8_t)code_choice(code, run->order, CF_MAX_ORDER + 1);
	code_bool(code, &run->written);
	code_u32(code, &run->moved);
	code_u64(code, &run->pfn);
	code_u64(code, &run->seed);
	code_u64(code, &run->skew);
}

void fact_member(struct code *code, struct fact_member *fact)
{
	code_u32(code, &fact->set);
	code_run(code, fact);
}

void fact_slot(struct code *code, struct fact_member *fact)
{
	code_u32(code, &fact->set);
	code_u64(code, &fact->slot);
	code_run(code, fact);
}

void fact_load(struct code *code, struct fact_load *fact)
{
	code_u32(code, &fact->count);
	code_u32(code, &fact->max_order);
	fact->zone = code_choice(code, fact->zone, CF_ZONE_DEVICE);
	code_u64(code, &fact->hold_frames);
	code_u64(code, &fact->ops);
	code_bool(code, &fact->timed);
	code_u64(code, &fact->left_ns);
	code_totals(code, &fact->sum);
}

void fact_worker(struct code *code, struct fact_worker *fact)
{
	code_u32(code, &fact->number);
	code_u64(code, &fact->random);
	code_u64(code, &fact->serial);
}

void fact_frame(struct code *code, struct fact_frame *fact)
{
	code_u32(code, &fact->number);
	code_u64(code, &fact->pfn);
	code_u32(code, &fact->refs);
	code_u32(code, &fact->pins);
}

void fact_watcher(struct code *code, uint32_t *number,
		  struct watcher *watcher)
{
	uint32_t priority = (uint32_t)watcher->subscriber.priority;

	code_u32(code, number);
	code_u32(code, &priority);
	watcher->subscriber.priority = (int)priority;
	code_bool(code, &watcher->added);
	code_bool(code, &watcher->scans);
	code_bool(code, &watcher->veto);
	code_bool(code, &watcher->paused);
	code_u64(code, &watcher->going);
	code_u64(code, &watcher->cancelled);
	code_u64(code, &watcher->done);
	code_u64(code, &watcher->vetoes);
	code_u64(code, &watcher->passes);
	code_u64(code, &watcher->stale);
	code_u64(code, &watcher->first);
	code_u64(code, &watcher->last);
}

void fact_walker(struct code *code, uint32_t *number, struct walker *walker)
{
	bool walks = walker->running || walker->asleep;

	code_u32(code, number);
	code_bool(code, &walks);
	if (code->reading)
		walker->running = walks;
	code_u64(code, &walker->pause_ns);
	code_u64(code, &walker->first);
	code_u64(code, &walker->last);
	code_u64(code, &walker->passes);
	code_u64(code, &walker->spans);
	code_u64(code, &walker->taken);
	code_u64(code, &walker->absent);
}

/* The machine's property of that name; PROPERTY_COUNT: it has none. */
static enum property map_property(const char *word)
{
	enum property property;
	unsigned i;

	for (i = 0;; i++) {
		property = subject_property(SUBJECT_MAP, i);
		if (property == PROPERTY_COUNT ||
		    !strcmp(word, property_name(property)))
			return property;
	}
}

/* Properties stand as their words; one that is not known is passed over. */
void fact_mark(struct code *code, uint32_t *number, struct mark *mark)
{
	uint16_t count = 0, i;
	enum property property;
	uint64_t unknown;
	char word[32];

	while (subject_property(SUBJECT_MAP, count) != PROPERTY_COUNT)
		count++;
	code_u32(code, number);
	code_u16(code, &count);
	for (i = 0; i < count && !code->failed; i++) {
		(void)snprintf(word, sizeof(word), "%s", code->reading ? "" :
			       property_name(subject_property(SUBJECT_MAP,
							      i)));
		code_text(code, word, sizeof(word));
		property = map_property(word);
		code_u64(code, property == PROPERTY_COUNT ? &unknown :
			       &mark->value[property]);
	}
}

void fact_zone(struct code *code, struct fact_zone *fact)
{
	code_u32(code, &fact->node);
	fact->kind = code_choice(code, fact->kind, CF_ZONE_COUNT);
	code_u64(code, &fact->marks.min);
	code_u64(code, &fact->marks.low);
	code_u64(code, &fact->marks.high);
	code_bool(code, &fact->low);
}

void fact_object(struct code *code, struct fact_object *fact)
{
	unsigned char *at;

	code_u32(code, &fact->number);
	code_u32(code, &fact->sort);
	code_u16(code, &fact->count);
	code->failed |= fact->count > sizeof(fact->bytes);
	at = code_bytes(code, fact->count);
	if (at && code->reading)
		(void)memcpy(fact->bytes, at, fact->count);
	else if (at)
		(void)memcpy(at, fact->bytes, fact->count);
}

void fact_end(struct code *code, struct fact_end *fact)
{
	code_u64(code, &fact->runs);
	code_u64(code, &fact->contents);
	code_u64(code, &fact->zeroes);
	code_u64(code, &fact->left_out);
	code_u32(code, &fact->sum);
}

void fact_report_take(const struct cf_report *report,
		      struct fact_report_text *text)
{
	(void)snprintf(text->who, sizeof(text->who), "%s",
		       report->who ? report->who : "");
	(void)snprintf(text->detail, sizeof(text->detail), "%s",
		       report->detail ? report->detail : "");
}

void fact_report(struct code *code, struct cf_report *report,
		 struct fact_report_text *text)
{
	unsigned i;

	report->reason = (enum cf_reason)code_choice(code, report->reason,
						     CF_REASON_COUNT);
	report->type = (enum cf_type)code_choice(code, report->type,
						 CF_TYPE_COUNT);
	code_u64(code, &report->pfn);
	code_u32(code, &report->order);
	code_u32(code, &report->flags);
	code_u32(code, &report->owner);
	code_u32(code, &report->refs);
	code_u32(code, &report->pins);
	code_u32(code, &report->operation);
	code_text(code, text->who, sizeof(text->who));
	code_text(code, text->detail, sizeof(text->detail));
	for (i = 0; i < CF_REASON_COUNT; i++)
		code_u64(code, &report->frames[i]);
}

void fact_operation(struct code *code, uint32_t *number,
		    struct operation *operation,
		    struct cf_offline_status *status,
		    struct fact_report_text *text)
{
	code_u32(code, number);
	code_u64(code, &operation->first);
	code_u64(code, &operation->last);
	status->state = (enum cf_offline_state)code_choice(code,
		status->state, CF_OFFLINE_CANCELLED + 1);
	code_u32(code, &status->id);
	code_u32(code, &status->steps);
	code_u64(code, &status->total);
	code_u64(code, &status->free);
	code_u64(code, &status->busy);
	code_u64(code, &status->skippable);
	code_u64(code, &status->migrated);
	fact_report(code, &status->report, text);
}

void fact_last(struct code *code, struct outcome *outcome,
	       struct fact_report_text *text)
{
	uint32_t err = (uint32_t)-outcome->err;
	uint32_t queried = (uint32_t)-outcome->queried;

	outcome->err = -(int)code_choice(code, err, CF_ERR_COUNT);
	outcome->queried = -(int)code_choice(code, queried, CF_ERR_COUNT);
	code_bool(code, &outcome->reported);
	code_u64(code, &outcome->done);
	code_u64(code, &outcome->moved);
	fact_report(code, &outcome->report, text);
}
