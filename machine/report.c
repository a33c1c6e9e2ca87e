/* SPDX-License-Identifier: MIT */

/*
 * The report: every subject with all its properties, as JSON for programs.
 * Sizes are bytes.  For people: table.c.
 */

#include "device.h"

static json_t *property_json(enum property property,
			     const struct value *value)
{
	switch (property_value(property)) {
	case VALUE_SIZE:
		return json_integer((json_int_t)(value->number *
						 CF_FRAME_BYTES));
	case VALUE_FLAG:
		return json_boolean(value->number != 0);
	case VALUE_WORD:
		return json_string(property_word(property, value->number));
	case VALUE_OWNER:
	case VALUE_WHO:
		return json_string(value->word);
	case VALUE_BYTES:
	case VALUE_NUMBER:
	case VALUE_PLACE:
		break;
	}
	return json_integer((json_int_t)value->number);
}

/* Free runs of a zone, one number an order. */
static json_t *runs_json(struct machine *machine,
			 const struct subject *subject)
{
	struct condition condition = { .property = PROPERTY_FREE_RUNS };
	json_t *array = json_array();
	struct outcome outcome;
	struct value value;

	for (; condition.order <= CF_MAX_ORDER; condition.order++)
		if (!value_of(machine, subject, &condition, &value, &outcome))
			(void)json_array_append_new(array, json_integer(
				(json_int_t)value.number));
	return array;
}

/* All properties of a subject that it has now. */
static json_t *subject_json(struct machine *machine,
			    const struct subject *subject, json_t *object)
{
	struct condition condition = { .property = PROPERTY_COUNT };
	struct outcome outcome;
	struct value value;
	unsigned i;

	for (i = 0;; i++) {
		condition.property = subject_property(subject->kind, i);
		if (condition.property == PROPERTY_COUNT)
			return object;
		if (condition.property == PROPERTY_FREE_RUNS)
			(void)json_object_set_new(object, "free-runs",
						  runs_json(machine, subject));
		else if (!value_of(machine, subject, &condition, &value,
				   &outcome))
			(void)json_object_set_new(object,
				property_name(condition.property),
				property_json(condition.property, &value));
	}
}

struct subject block_subject(const struct machine *machine, cf_pfn pfn)
{
	return (struct subject){
		.kind = SUBJECT_BLOCK,
		.place = {
			.kind = PLACE_BLOCKS,
			.first = pfn,
			.last = pfn + machine->block_frames,
		},
	};
}

static json_t *blocks_json(struct machine *machine)
{
	json_t *array = json_array();
	struct cf_block_info info;
	cf_pfn at;

	for (at = machine->added_first; at < machine->added_last;
	     at += machine->block_frames) {
		struct subject subject = block_subject(machine, at);
		json_t *object;

		if (cf_block_info(machine->map, at, &info))
			continue;
		object = json_pack("{s:I}", "block",
				   (json_int_t)(at / machine->block_frames));
		(void)json_array_append_new(array, subject_json(machine,
								&subject,
								object));
	}
	return array;
}

static json_t *zones_json(struct machine *machine)
{
	struct subject subject = { .kind = SUBJECT_ZONE };
	json_t *array = json_array();
	struct cf_zone_stat stat;
	unsigned node, zone;

	for (node = 0; node < machine->map_config.nodes; node++) {
		for (zone = 0; zone < CF_ZONE_COUNT; zone++) {
			json_t *object;

			if (cf_zone_stat(machine->map, node,
					 (enum cf_zone_kind)zone, &stat) ||
			    !stat.blocks)
				continue;
			subject.node = node;
			subject.zone = zone;
			object = json_pack("{s:i, s:s}", "node", (int)node,
					   "zone",
					   cf_zone_name((enum cf_zone_kind)
							zone));
			(void)json_array_append_new(array,
				subject_json(machine, &subject, object));
		}
	}
	return array;
}

/* Everything of one noun that came to be. */
static json_t *objects_json(struct machine *machine, enum noun noun,
			    enum subject_kind kind)
{
	json_t *array = json_array();
	uint32_t i;

	for (i = 0; i < machine->config.names_count; i++) {
		struct subject subject = { .kind = kind, .name = i };
		json_t *object;

		if (machine->config.names[i].noun != noun ||
		    !machine->object[i].any)
			continue;
		subject.place = (struct place){
			.kind = PLACE_NAME, .name = i, .index = PLACE_WHOLE,
		};
		object = subject_json(machine, &subject,
				      json_pack("{s:s}", "name",
						machine->name[i]));
		if (noun == NOUN_MEM)
			(void)json_object_set_new(object, "stoppers",
				device_stoppers_json(machine->object[i]
						     .device));
		(void)json_array_append_new(array, object);
	}
	return array;
}

static void add_map(struct machine *machine, json_t *report)
{
	struct subject map = { .kind = SUBJECT_MAP };

	(void)json_object_set_new(report, "counters",
				  subject_json(machine, &map, json_object()));
}

static void add_objects(struct machine *machine, json_t *report,
			const char *member, enum noun noun,
			enum subject_kind kind)
{
	(void)json_object_set_new(report, member,
				  objects_json(machine, noun, kind));
}

static void add_devices(struct machine *machine, json_t *report)
{
	add_objects(machine, report, "virtio-mem", NOUN_MEM, SUBJECT_MEM);
	add_objects(machine, report, "virtio-balloon", NOUN_BALLOON,
		    SUBJECT_BALLOON);
	add_objects(machine, report, "pagemap", NOUN_PAGEMAP, SUBJECT_PAGEMAP);
}

static void add_pools(struct machine *machine, json_t *report)
{
	add_objects(machine, report, "pools", NOUN_POOL, SUBJECT_POOL);
	add_objects(machine, report, "guests", NOUN_GUEST, SUBJECT_GUEST);
	add_objects(machine, report, "elastics", NOUN_ELASTIC,
		    SUBJECT_ELASTIC);
}

json_t *machine_shown_json(struct machine *machine, enum print what)
{
	json_t *report = json_object();
	bool all = what == PRINT_ALL;

	if (!report)
		return NULL;
	if (all || what == PRINT_COUNTERS)
		add_map(machine, report);
	if (all || what == PRINT_BLOCKS)
		(void)json_object_set_new(report, "blocks",
					  blocks_json(machine));
	if (all || what == PRINT_OWNERS)
		add_objects(machine, report, "owners", NOUN_OWNER,
			    SUBJECT_OWNER);
	if (what == PRINT_SETS)
		add_objects(machine, report, "sets", NOUN_SET, SUBJECT_SET);
	if (all || what == PRINT_DEVICES)
		add_devices(machine, report);
	if (all)
		add_pools(machine, report);
	return report;
}

json_t *machine_json(struct machine *machine)
{
	const struct cf_map_config *config = &machine->map_config;
	struct subject load = { .kind = SUBJECT_LOAD };
	json_t *report = json_object();

	(void)json_object_set_new(report, "machine", json_pack(
		"{s:I, s:I, s:i, s:i, s:b, s:b, s:I}", "span",
		(json_int_t)(config->last * CF_FRAME_BYTES), "block",
		(json_int_t)(machine->block_frames * CF_FRAME_BYTES),
		"cpus", (int)config->cpus, "nodes", (int)config->nodes,
		"debug-pagealloc", config->debug_pagealloc, "fenced",
		config->fenced, "unreturned",
		(json_int_t)(machine->unreturned * CF_FRAME_BYTES)));
	add_map(machine, report);
	(void)json_object_set_new(report, "zones", zones_json(machine));
	(void)json_object_set_new(report, "blocks", blocks_json(machine));
	add_objects(machine, report, "owners", NOUN_OWNER, SUBJECT_OWNER);
	add_objects(machine, report, "sets", NOUN_SET, SUBJECT_SET);
	add_objects(machine, report, "operations", NOUN_OPERATION,
		    SUBJECT_OPERATION);
	add_objects(machine, report, "subscribers", NOUN_SUBSCRIBER,
		    SUBJECT_SUBSCRIBER);
	add_objects(machine, report, "scanners", NOUN_SCANNER,
		    SUBJECT_SCANNER);
	add_objects(machine, report, "walkers", NOUN_WALKER, SUBJECT_WALKER);
	add_devices(machine, report);
	add_pools(machine, report);
	(void)json_object_set_new(report, "load",
				  subject_json(machine, &load, json_object()));
	return report;
}

json_t *machine_refusal_json(struct machine *machine,
			     const struct outcome *outcome)
{
	const struct cf_report *report = &outcome->report;
	json_t *object, *frames = json_object();
	unsigned i;

	for (i = 1; i < CF_REASON_COUNT; i++)
		if (report->frames[i])
			(void)json_object_set_new(frames,
				cf_reason_name((enum cf_reason)i),
				json_integer((json_int_t)(report->frames[i] *
							  CF_FRAME_BYTES)));
	object = json_pack("{s:s, s:s, s:i, s:i, s:i, s:s, s:o}",
			   "reason", cf_reason_name(report->reason), "type",
			   cf_type_name(report->type), "order",
			   (int)report->order, "refs", (int)report->refs,
			   "pins", (int)report->pins, "owner",
			   name_of_owner(machine, report->owner), "blocking",
			   frames);
	if (object && report->pfn != CF_PFN_NONE)
		(void)json_object_set_new(object, "frame", json_integer(
			(json_int_t)report->pfn));
	if (object && report->who)
		(void)json_object_set_new(object, "who",
					  json_string(report->who));
	if (object && report->operation)
		(void)json_object_set_new(object, "operation", json_integer(
			(json_int_t)report->operation));
	return object;
}
