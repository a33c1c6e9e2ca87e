/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a scenario that is read and not run. What is wrong is said in
 * one line of text and with the number of a line there is; what is right
 * stays within the limits that the machine relies on.
 */
#include "fuzz.h"

#include <coldframe/map.h>
#include <stdlib.h>
#include <string.h>

#include "scenario/scenario.h"

static void check_text(struct text text, const uint8_t *bytes, size_t count)
{
	const char *start = (const char *)bytes;

	if (!text.length)
		return;
	HOLDS(text.start >= start && text.start < start + count);
	HOLDS(text.length <= (size_t)(start + count - text.start));
	HOLDS(!memchr(text.start, '\n', text.length));
}

static void check_place(const struct scenario *scenario,
			const struct place *place)
{
	switch (place->kind) {
	case PLACE_NONE:
		break;
	case PLACE_BLOCKS:
		HOLDS(place->first % scenario->block_frames == 0);
		HOLDS(place->last % scenario->block_frames == 0);
		/* fallthrough */
	case PLACE_FRAMES:
		HOLDS(place->first < place->last);
		HOLDS(place->last <= scenario->span_frames);
		break;
	case PLACE_NAME:
		HOLDS(place->name < scenario->names);
		break;
	}
}

static void check_machine(const struct step *step)
{
	uint64_t block = step->key[KEY_BLOCK], span = step->key[KEY_SPAN];

	HOLDS(block && !(block & (block - 1)));
	HOLDS(span && span % block == 0);
	HOLDS(step->key[KEY_MEMORY] % block == 0);
	HOLDS(step->key[KEY_MEMORY] <= span);
}

static void check_step(const struct scenario *scenario,
		       const struct step *step)
{
	unsigned i;

	HOLDS(scenario->machine);
	HOLDS((unsigned)step->kind < STEP_COUNT);
	HOLDS(step->line == scenario->line);
	HOLDS(step->cpu == STEP_CPU_MAIN || step->cpu < scenario->cpus);
	HOLDS(step->name < SCENARIO_NAMES_MAX);
	HOLDS(step->conditions <= SCENARIO_CONDITIONS_MAX);
	if (step->kind == STEP_MACHINE)
		check_machine(step);
	check_place(scenario, &step->place);
	check_place(scenario, &step->subject.place);
	for (i = 0; i < step->conditions; i++) {
		HOLDS((unsigned)step->condition[i].property < PROPERTY_COUNT);
		check_place(scenario, &step->condition[i].place);
	}
}

static void check_error(const struct scenario *scenario, uint32_t lines)
{
	size_t length = strnlen(scenario->error, SCENARIO_ERROR_BYTES), i;

	HOLDS(length > 0 && length < SCENARIO_ERROR_BYTES);
	HOLDS(scenario->line >= 1 && scenario->line <= lines);
	for (i = 0; i < length; i++)
		HOLDS((unsigned char)scenario->error[i] >= ' ');
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
	static struct scenario scenario;
	static struct step step;
	enum scenario_read read;
	uint32_t lines = 1, i;
	uint64_t steps = 0;

	for (i = 0; i < count; i++)
		lines += bytes[i] == '\n';
	scenario_init(&scenario, (const char *)bytes, count);
	while ((read = scenario_next(&scenario, &step)) == SCENARIO_STEP) {
		steps++;
		check_text(step.source, bytes, count);
		check_text(step.text, bytes, count);
		check_step(&scenario, &step);
	}
	HOLDS(steps == scenario.steps);
	HOLDS(scenario.names <= SCENARIO_NAMES_MAX);
	for (i = 0; i < scenario.names; i++) {
		HOLDS(scenario.name[i].text.length <= SCENARIO_NAME_BYTES);
		check_text(scenario.name[i].text, bytes, count);
	}
	if (read == SCENARIO_WRONG)
		check_error(&scenario, lines);
	else
		HOLDS(!scenario.error[0]);
	return 0;
}
