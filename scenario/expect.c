/* SPDX-License-Identifier: MIT */

/*
 * Expectations: a subject, then conditions on its properties.
 *
 *   expect free == 120M
 *   expect block 3 state offline free == 0
 *   expect rss fell 64M within 5% since before
 */

#include "read.h"

static const char *compare_at(uint64_t compare)
{
	return compare <= COMPARE_UNCHANGED ?
		compare_name((enum compare)compare) : NULL;
}

static int read_zone_subject(struct scenario *scenario,
			     struct subject *subject)
{
	uint64_t node;

	if (read_choice(scenario, "zone", zone_word, &subject->zone))
		return -1;
	subject->node = 0;
	if (!take_if(scenario, "node"))
		return 0;
	if (read_number(scenario, "node", &node))
		return -1;
	if (node >= scenario->nodes)
		return scenario_wrong(scenario, "the machine has %u nodes",
				      scenario->nodes);
	subject->node = node;
	return 0;
}

static int read_block_subject(struct scenario *scenario,
			      struct subject *subject)
{
	uint64_t block;

	if (read_number(scenario, "block", &block))
		return -1;
	if (block >= scenario->span_frames / scenario->block_frames)
		return scenario_wrong(scenario, "the machine's memory ends at"
				      " block %u", scenario->span_frames /
				      scenario->block_frames);
	subject->place.kind = PLACE_BLOCKS;
	subject->place.first = block * scenario->block_frames;
	subject->place.last = subject->place.first + scenario->block_frames;
	return 0;
}

static int read_subject(struct scenario *scenario, struct subject *subject)
{
	unsigned kind;

	subject->kind = SUBJECT_MAP;
	for (kind = SUBJECT_MAP + 1; kind < SUBJECT_COUNT; kind++) {
		if (take_if(scenario, subject_name((enum subject_kind)kind))) {
			subject->kind = (enum subject_kind)kind;
			break;
		}
	}
	switch (subject->kind) {
	case SUBJECT_MAP:
	case SUBJECT_LOAD:
	case SUBJECT_LAST:
		return 0;
	case SUBJECT_ZONE:
		return read_zone_subject(scenario, subject);
	case SUBJECT_BLOCK:
		return read_block_subject(scenario, subject);
	case SUBJECT_SET:
		return read_place(scenario, ALLOW_SET | ALLOW_RUN,
				  &subject->place);
	case SUBJECT_FRAME:
		return read_frame(scenario, &subject->place);
	default:
		return read_name(scenario, subject_noun(subject->kind),
				 &subject->name);
	}
}

static int read_property(struct scenario *scenario, enum subject_kind subject,
			 enum property *ret_property)
{
	struct text word = take_word(scenario);
	enum property property;
	unsigned i;

	for (i = 0;; i++) {
		property = subject_property(subject, i);
		if (property == PROPERTY_COUNT)
			break;
		if (text_is(word, property_name(property))) {
			*ret_property = property;
			return 0;
		}
	}
	if (!word.length)
		return scenario_wrong(scenario, "what is expected is missing");
	if (subject == SUBJECT_MAP)
		return scenario_wrong(scenario, "the machine has no \"%t\"",
				      &word);
	return scenario_wrong(scenario, "a %s has no \"%t\"",
			      subject_name(subject), &word);
}

static int read_word_value(struct scenario *scenario, enum property property,
			   uint64_t *ret_value)
{
	struct text word = take_word(scenario);
	uint64_t i;

	for (i = 0; property_word(property, i); i++) {
		if (text_is(word, property_word(property, i))) {
			*ret_value = i;
			return 0;
		}
	}
	return scenario_wrong(scenario, "%s: \"%t\" is not one of its words",
			      property_name(property), &word);
}

/* Whoever can refuse: an owner or a subscriber. */
static int read_who(struct scenario *scenario, uint64_t *ret_value)
{
	struct text word = peek_word(scenario);
	uint32_t i;

	for (i = 0; i < scenario->names; i++) {
		enum noun noun = scenario->name[i].noun;

		if (!text_same(scenario->name[i].text, word))
			continue;
		if (noun != NOUN_OWNER && noun != NOUN_SUBSCRIBER &&
		    noun != NOUN_SCANNER && noun < NOUN_MEM)
			break;
		(void)take_word(scenario);
		*ret_value = i;
		return 0;
	}
	return scenario_wrong(scenario, "\"%t\" is neither an owner nor a"
			      " subscriber", &word);
}

static int read_flag(struct scenario *scenario, uint64_t *ret_value)
{
	*ret_value = !take_if(scenario, "no");
	if (*ret_value)
		(void)take_if(scenario, "yes");
	return 0;
}

static int read_bytes(struct scenario *scenario, const char *what,
		      uint64_t *ret_value)
{
	struct text word = take_word(scenario);

	if (parse_size(word, ret_value))
		return scenario_wrong(scenario, "%s: \"%t\" is not a size",
				      what, &word);
	return 0;
}

static int read_value(struct scenario *scenario, struct condition *condition)
{
	const char *name = property_name(condition->property);

	switch (property_value(condition->property)) {
	case VALUE_SIZE:
		if (read_size(scenario, name, &condition->value))
			return -1;
		condition->value /= CF_FRAME_BYTES;
		return 0;
	case VALUE_BYTES:
		return read_bytes(scenario, name, &condition->value);
	case VALUE_NUMBER:
		return read_number(scenario, name, &condition->value);
	case VALUE_FLAG:
		return read_flag(scenario, &condition->value);
	case VALUE_WORD:
		return read_word_value(scenario, condition->property,
				       &condition->value);
	case VALUE_OWNER:
		return read_owner_value(scenario, &condition->value);
	case VALUE_WHO:
		return read_who(scenario, &condition->value);
	case VALUE_PLACE:
		return read_frame(scenario, &condition->place);
	}
	return 0;
}

static bool has_size(enum property property)
{
	enum value_kind kind = property_value(property);

	return kind == VALUE_SIZE || kind == VALUE_BYTES ||
	       kind == VALUE_NUMBER;
}

static int read_compare(struct scenario *scenario,
			struct condition *condition)
{
	struct text word = peek_word(scenario);
	uint64_t i;

	condition->compare = COMPARE_EQ;
	for (i = 0; compare_at(i); i++) {
		if (!text_is(word, compare_at(i)))
			continue;
		(void)take_word(scenario);
		condition->compare = (enum compare)i;
		if (i > COMPARE_NE && !has_size(condition->property))
			return scenario_wrong(scenario,
					      "%s is nothing to compare with"
					      " %t", property_name(
						condition->property), &word);
		return 0;
	}
	return 0;
}

/* "within 5%" and "since MARK". */
static int read_tail(struct scenario *scenario, struct subject *subject,
		     struct condition *condition)
{
	bool since = condition->compare >= COMPARE_FELL;

	condition->mark = MARK_LAST;
	if (has_size(condition->property) && take_if(scenario, "within") &&
	    read_percent(scenario, &condition->percent))
		return -1;
	if (!since)
		return 0;
	if (subject->kind != SUBJECT_MAP)
		return scenario_wrong(scenario, "only the machine's own"
				      " counters are marked");
	if (take_if(scenario, "since"))
		return read_name(scenario, NOUN_MARK, &condition->mark);
	if (!scenario->marked)
		return scenario_wrong(scenario, "since when? There is no"
				      " mark yet");
	return 0;
}

static int read_condition(struct scenario *scenario, struct subject *subject,
			  struct condition *condition)
{
	if (read_property(scenario, subject->kind, &condition->property))
		return -1;
	if (condition->property == PROPERTY_FREE_RUNS) {
		if (read_number(scenario, "free-runs", &condition->order))
			return -1;
		if (condition->order > CF_MAX_ORDER)
			return scenario_wrong(scenario, "order %u is more than"
					      " %u", condition->order,
					      (uint64_t)CF_MAX_ORDER);
	}
	if (read_compare(scenario, condition))
		return -1;
	if (condition->compare != COMPARE_UNCHANGED &&
	    read_value(scenario, condition))
		return -1;
	return read_tail(scenario, subject, condition);
}

int read_expectation(struct scenario *scenario, struct step *step)
{
	if (read_subject(scenario, &step->subject))
		return -1;
	do {
		if (step->conditions == SCENARIO_CONDITIONS_MAX)
			return scenario_wrong(scenario, "more than %u"
					      " conditions on a line",
					      (uint64_t)
					      SCENARIO_CONDITIONS_MAX);
		if (read_condition(scenario, &step->subject,
				   &step->condition[step->conditions]))
			return -1;
		step->conditions++;
	} while (peek_word(scenario).length);
	return 0;
}
