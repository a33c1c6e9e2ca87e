/* SPDX-License-Identifier: MIT */
#include "session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bounds.h"
#include "fuzz.h"
#include "machine/internal.h"
#include "maps.h"

#define TEXT_BYTES_MAX	16384
#define STEPS_MAX	80
#define WRONG_MAX	40	/* lines that count as blank */

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
	return session->steps && bounds_machine(&session->step[0]);
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
	struct bounds bounds = { .spoiled = false };
	struct outcome outcome;
	size_t i;

	for (i = 0; i < session->steps; i++) {
		struct step step = session->step[i];

		if (!bounds_apply(&bounds, &step))
			continue;
		machine_step(session->machine, &step, &outcome);
		check_outcome(session, &step, &outcome);
		if (!machine_is_on(session->machine))
			return;
		verify(session);
	}
	session->spoiled = bounds.spoiled;
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
	maps_destroy(session->machine);
	maps_end();
	free(session->step);
	free(session->text);
}
