/* SPDX-License-Identifier: MIT */
#include "session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "machine/internal.h"
#include "maps.h"
#include "port/host/internal.h"

#define TEXT_BYTES_MAX	16384
#define STEPS_MAX	80
#define WRONG_MAX	40	/* lines that count as blank */
#define CPUS_MAX	8
#define MEMORY_BYTES	((uint64_t)64 << 20)
#define ADDED_BYTES	((uint64_t)128 << 20)	/* with the memory */
#define SPAN_BYTES	((uint64_t)64 << 30)
#define SPAN_SHORT	((uint64_t)1 << 30)	/* for walkers that pause */
#define RETIRED_MAX	512
#define NS_MAX		1000000

/* ---- reading ---- */

static void blank_line(char *text, uint32_t line)
{
	while (--line)
		text = strchr(text, '\n') + 1;
	for (; *text && *text != '\n'; text++)
		*text = ' ';
}

static enum scenario_read read_all(struct session *session, size_t count)
{
	enum scenario_read read = SCENARIO_STEP;

	session->steps = 0;
	scenario_init(&session->scenario, session->text, count);
	while (read == SCENARIO_STEP && session->steps < STEPS_MAX) {
		read = scenario_next(&session->scenario,
				     &session->step[session->steps]);
		session->steps += read == SCENARIO_STEP;
	}
	return read;
}

static bool machine_is_small(const struct step *step)
{
	return step->kind == STEP_MACHINE &&
	       step->key[KEY_MEMORY] <= MEMORY_BYTES &&
	       step->key[KEY_SPAN] <= SPAN_BYTES &&
	       step_value(step, KEY_CPUS, 1) <= CPUS_MAX;
}

bool session_read(struct session *session, const uint8_t *bytes, size_t count)
{
	enum scenario_read read;
	unsigned wrong = 0;

	memset(session, 0, sizeof(*session));
	if (count > TEXT_BYTES_MAX || memchr(bytes, 0, count))
		return false;
	session->text = malloc(count + 1);
	session->step = calloc(STEPS_MAX, sizeof(*session->step));
	HOLDS(session->text && session->step);
	memcpy(session->text, bytes, count);
	session->text[count] = 0;
	while ((read = read_all(session, count)) == SCENARIO_WRONG) {
		if (++wrong > WRONG_MAX || !session->scenario.machine)
			return false;
		blank_line(session->text, session->scenario.line);
	}
	return session->steps && machine_is_small(&session->step[0]);
}

/* ---- making steps short ---- */

static void limit(uint64_t *value, uint64_t most)
{
	if (*value > most)
		*value = most;
}

static uint64_t frames_of(const struct step *step)
{
	return step->place.last - step->place.first;
}

/* False: leave it out. */
static bool make_short(struct session *session, struct step *step,
		       uint64_t *added_frames)
{
	limit(&step->key[KEY_TIMES], 40);
	limit(&step->key[KEY_PASSES], 12);
	limit(&step->key[KEY_FOR], NS_MAX);
	limit(&step->key[KEY_OPS], 1000);
	limit(&step->key[KEY_PAUSE], session->step[0].key[KEY_SPAN] >
				     SPAN_SHORT ? 0 : NS_MAX / 100);
	switch (step->kind) {
	case STEP_ADD:
		if (*added_frames + frames_of(step) >
		    ADDED_BYTES / CF_FRAME_BYTES)
			return false;
		*added_frames += frames_of(step);
		break;
	case STEP_WAIT:
		limit(&step->amount.number, NS_MAX);
		break;
	case STEP_RETIRE:
		if (step->place.kind == PLACE_FRAMES)
			limit(&step->place.last,
			      step->place.first + RETIRED_MAX);
		break;
	case STEP_SCRIBBLE:
	case STEP_DISCARD:
		session->spoiled = true;
		break;
	case STEP_EXPORT:
		return false;
	default:
		break;
	}
	return !step->caught;
}

/* ---- running ---- */

static void check_outcome(struct session *session, const struct step *step,
			  const struct outcome *outcome)
{
	json_t *refusal;

	HOLDS(outcome->err <= 0 && outcome->err > -CF_ERR_COUNT);
	/* Who is told that a step failed is told why. */
	HOLDS(!(outcome->wrong || (outcome->err && !step->fails)) ||
	      outcome->why[0]);
	HOLDS(memchr(outcome->why, 0, sizeof(outcome->why)));
	HOLDS(memchr(outcome->what, 0, sizeof(outcome->what)));
	if (!outcome->reported)
		return;
	refusal = machine_refusal_json(session->machine, outcome);
	HOLDS(refusal);
	json_decref(refusal);
}

static void verify(struct session *session)
{
	char why[OUTCOME_TEXT_BYTES];
	bool holds = machine_verify(session->machine, why, sizeof(why));

	if (!holds)
		fprintf(stderr, "verify: %s\n", why);
	HOLDS(holds);
}

/* A step that fails is as good as one that was expected to: go on. */
static void run_steps(struct session *session)
{
	uint64_t added = session->step[0].key[KEY_MEMORY] / CF_FRAME_BYTES;
	struct outcome outcome;
	size_t i;

	for (i = 0; i < session->steps; i++) {
		struct step step = session->step[i];

		if (!make_short(session, &step, &added))
			continue;
		machine_step(session->machine, &step, &outcome);
		check_outcome(session, &step, &outcome);
		if (!machine_is_on(session->machine))
			return;
		verify(session);
	}
}

/* What the command prints at the end, and what a program gets of it. */
static void report(struct session *session, FILE *out)
{
	json_t *json = machine_json(session->machine);
	char *text;

	HOLDS(json);
	text = json_dumps(json, JSON_COMPACT);
	HOLDS(text);
	free(text);
	json_decref(json);
	HOLDS(!machine_print(session->machine, PRINT_ALL, out));
}

void session_run(struct session *session)
{
	static FILE *nowhere;
	struct machine_config config = {
		.seed = 1,
		.names = session->scenario.name,
		.names_count = session->scenario.names,
	};
	char why[OUTCOME_TEXT_BYTES];

	if (!nowhere)
		nowhere = fopen("/dev/null", "w");
	HOLDS(nowhere);
	config.out = nowhere;
	maps_begin();
	session->machine = machine_create(&config);
	HOLDS(session->machine);
	run_steps(session);
	if (!machine_is_on(session->machine))
		return;
	if (!machine_finish(session->machine, why, sizeof(why))) {
		fprintf(stderr, "load: %s\n", why);
		HOLDS(session->spoiled);
	}
	verify(session);
	report(session, nowhere);
}

void session_end(struct session *session)
{
	bool on = session->machine && session->machine->map;

	machine_destroy(session->machine);
	if (on)
		host_numbers_unlimit();
	maps_end();
	free(session->step);
	free(session->text);
}
