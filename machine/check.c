/* SPDX-License-Identifier: MIT */

/* Expectations: a value against what was expected of it. */

#include <string.h>

#include "device.h"
#include "pagemap.h"

/* An owner of the scenario's, or a device's driver: as owner or range owner. */
static int owner_value(struct machine *machine, uint64_t number,
		       struct value *ret_value, struct outcome *outcome)
{
	bool registered = number >= SCENARIO_NAMES_MAX;
	enum noun noun = NOUN_NONE;
	uint32_t id = CF_OWNER_NONE;

	if (!registered) {
		noun = machine->config.names[number].noun;
		registered = noun == NOUN_PAGEMAP ?
			pagemap_owner(machine->object[number].any, &id) :
			noun == NOUN_OWNER ?
			machine->object[number].owner &&
			machine->object[number].owner->registered :
			device_is_loaded(machine->object[number].device);
	}
	if (!registered)
		return refuse(outcome, CF_EGONE, "%s is not registered",
			      machine->name[number]);
	ret_value->number = noun == NOUN_MEM || noun == NOUN_BALLOON ?
		device_owner(machine->object[number].device) :
		noun == NOUN_PAGEMAP ? id : owner_id(machine, number);
	ret_value->word = name_of_owner(machine, (uint32_t)ret_value->number);
	return 0;
}

/* The expected value in the terms of the found one. */
static int expected_value(struct machine *machine,
			  const struct condition *condition,
			  struct value *ret_value, struct outcome *outcome)
{
	ret_value->number = condition->value;
	ret_value->word = NULL;
	switch (property_value(condition->property)) {
	case VALUE_OWNER:
		return owner_value(machine, condition->value, ret_value,
				   outcome);
	case VALUE_WHO:
		ret_value->word = machine->name[condition->value];
		return 0;
	case VALUE_PLACE:
		return place_frame(machine, &condition->place,
				   &ret_value->number, outcome);
	default:
		return 0;
	}
}

static bool is_near(uint64_t found, uint64_t expected, unsigned percent)
{
	uint64_t off = found > expected ? found - expected : expected - found;

	return (double)off <= (double)expected * percent / 100;
}

static bool holds(const struct condition *condition, const struct value *found,
		  const struct value *expected)
{
	if (property_value(condition->property) == VALUE_WHO) {
		bool same = !strcmp(found->word, expected->word);

		return same == (condition->compare == COMPARE_EQ);
	}
	switch (condition->compare) {
	case COMPARE_NE:
		return !is_near(found->number, expected->number,
				condition->percent);
	case COMPARE_LT:
		return found->number < expected->number;
	case COMPARE_LE:
		return found->number <= expected->number;
	case COMPARE_GT:
		return found->number > expected->number;
	case COMPARE_GE:
		return found->number >= expected->number;
	default:
		return is_near(found->number, expected->number,
			       condition->percent);
	}
}

/* Since a mark: by how much, in the direction that was expected. */
static int compare_with_mark(struct machine *machine,
			     const struct condition *condition,
			     struct value *found, struct value *expected,
			     struct outcome *outcome)
{
	const struct mark *mark = condition->mark == MARK_LAST ?
		machine->last_mark : machine->object[condition->mark].mark;
	const char *name = property_name(condition->property);
	uint64_t before;

	if (!mark)
		return refuse(outcome, CF_EGONE, "there is no such mark");
	before = mark->value[condition->property];
	if (condition->compare == COMPARE_UNCHANGED) {
		expected->number = before;
		return 0;
	}
	if (condition->compare == COMPARE_FELL && found->number > before)
		return refuse(outcome, CF_EINVAL, "%s rose", name);
	if (condition->compare == COMPARE_ROSE && found->number < before)
		return refuse(outcome, CF_EINVAL, "%s fell", name);
	found->number = found->number > before ? found->number - before :
						 before - found->number;
	return 0;
}

static const char *verb_of(enum compare compare)
{
	switch (compare) {
	case COMPARE_FELL:
		return "fell by";
	case COMPARE_ROSE:
		return "rose by";
	default:
		return "is";
	}
}

/* One after the other: "state is offline, free is 0, not orphan". */
static void say_found(const struct condition *condition,
		      const struct value *found, struct outcome *outcome)
{
	enum property property = condition->property;
	size_t length = strlen(outcome->what);
	char *end = outcome->what + length, text[64];
	size_t room = sizeof(outcome->what) - length;
	const char *comma = length ? ", " : "";

	if (property_value(property) == VALUE_FLAG)
		(void)snprintf(end, room, "%s%s%s", comma,
			       found->number ? "" : "not ",
			       property_name(property));
	else
		(void)snprintf(end, room, "%s%s %s %s", comma,
			       property_name(property),
			       verb_of(condition->compare),
			       value_text(property, found, text));
}

static int check(struct machine *machine, const struct step *step,
		 const struct condition *condition, struct outcome *outcome)
{
	enum property property = condition->property;
	struct value found, expected;
	char is[64], should[64];
	int err;

	err = value_of(machine, &step->subject, condition, &found, outcome);
	if (!err)
		err = expected_value(machine, condition, &expected, outcome);
	if (!err && condition->compare >= COMPARE_FELL)
		err = compare_with_mark(machine, condition, &found, &expected,
					outcome);
	if (err)
		return err;
	say_found(condition, &found, outcome);
	if (holds(condition, &found, &expected))
		return 0;
	if (property == PROPERTY_INTACT && outcome->why[0])
		return outcome->err = -CF_EINVAL;
	if (property_value(property) == VALUE_FLAG)
		return refuse(outcome, CF_EINVAL, "%s%s",
			      found.number ? "" : "not ",
			      property_name(property));
	return refuse(outcome, CF_EINVAL, "%s %s %s, not %s%s%s",
		      property_name(property), verb_of(condition->compare),
		      value_text(property, &found, is),
		      condition->compare < COMPARE_FELL ?
		      compare_name(condition->compare) : "",
		      condition->compare < COMPARE_FELL ? " " : "",
		      value_text(property, &expected, should));
}

int step_expect(struct machine *machine, const struct step *step,
		struct outcome *outcome)
{
	unsigned i;
	int err = 0;

	for (i = 0; !err && i < step->conditions; i++)
		err = check(machine, step, &step->condition[i], outcome);
	outcome->wrong = err != 0;
	return err;
}
