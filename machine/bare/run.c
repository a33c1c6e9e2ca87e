/* SPDX-License-Identifier: MIT */

/*
 * A scenario in the guest: read from a file of QEMU's, then carried out as
 * the console says, a command a line:
 *
 *	step N	the N-th step, from 0
 *	verify	every equation
 *	finish	the end of a load that runs
 *	shown N	what "print" shows, by enum print
 *	report	all of the machine
 *	end	so that QEMU ends
 *
 * Each is answered by one line of JSON; so is the start. Before its answer a
 * step may ask for what only the host can do; see ask.h. tools/coldframe has
 * the other side.
 */

#include <coldframe/coldframe.h>
#include <guest.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ask.h"
#include "machine/journal.h"

#define SCENARIO_FILE	"opt/coldframe/scenario"
#define EXIT_WRONG	2
#define COMMAND_BYTES	64
#define PROGRESS_NS	100000000

int main(void);

/* A scenario that was read, and what carries it out. */
struct program {
	struct scenario scenario;
	struct step *step;
	size_t steps, room;
	struct machine *machine;
	uint64_t said_ns;	/* when progress was last told */
};

static int say(json_t *answer)
{
	int err = !answer || json_dumpf(answer, stdout, JSON_COMPACT);

	(void)putchar('\n');
	json_decref(answer);
	return err;
}

static int say_wrong(uint32_t line, const char *what)
{
	(void)say(json_pack("{s:s, s:i}", "wrong", what, "line", (int)line));
	return EXIT_WRONG;
}

static bool add_step(struct program *program, const struct step *step)
{
	struct step *steps;

	if (program->steps == program->room) {
		program->room = program->room ? 2 * program->room : 64;
		steps = realloc(program->step,
				program->room * sizeof(*steps));
		if (!steps)
			return false;
		program->step = steps;
	}
	program->step[program->steps++] = *step;
	return true;
}

static int read_steps(struct program *program)
{
	enum scenario_read read;
	unsigned long bytes;
	struct step step;
	char *text = guest_file(SCENARIO_FILE, &bytes);

	if (!text)
		return say_wrong(0, "QEMU was given no file " SCENARIO_FILE);
	scenario_init(&program->scenario, text, bytes);
	while ((read = scenario_next(&program->scenario, &step)) ==
	       SCENARIO_STEP)
		if (!add_step(program, &step))
			return say_wrong(0, "no memory");
	if (read == SCENARIO_WRONG)
		return say_wrong(program->scenario.line,
				 program->scenario.error);
	return 0;
}

static void progress(void *context, const char *what, uint64_t done,
		     uint64_t total)
{
	struct program *program = context;
	struct timespec time;
	uint64_t now;

	(void)clock_gettime(CLOCK_MONOTONIC, &time);
	now = (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
	if (now - program->said_ns < PROGRESS_NS)
		return;
	program->said_ns = now;
	(void)say(json_pack("{s:s, s:I, s:I}", "progress", what, "done",
			    (json_int_t)done, "total", (json_int_t)total));
}

static json_t *text(const char *line)
{
	return journal_text(line, strlen(line));
}

/* What a step came to, as tools/coldframe/qemu_player.c reads it. */
static json_t *outcome_json(struct machine *machine,
			    const struct outcome *outcome)
{
	json_t *answer = json_pack("{s:i, s:b, s:o, s:o, s:I}", "err",
				   outcome->err, "wrong", outcome->wrong,
				   "what", text(outcome->what), "why",
				   text(outcome->why), "ns",
				   (json_int_t)outcome->ns);

	if (answer && outcome->reported)
		(void)json_object_set_new(answer, "refused",
			machine_refusal_json(machine, outcome));
	return answer;
}

/* Where the map is, for dumps that are taken from outside. */
static void publish(struct machine *machine)
{
	struct cf_map *map = machine_map(machine);
	size_t bytes = cf_vmcoreinfo(map, NULL, 0) + 64;
	char *lines = malloc(bytes);
	void *frames;

	if (!lines)
		return;
	frames = cf_port_frame_address(cf_map_config_of(map)->machine, 0, 1);
	(void)cf_vmcoreinfo(map, lines, bytes);
	(void)snprintf(lines + strlen(lines), 64, "SYMBOL(cf_frames)=%llx\n",
		       (unsigned long long)(uintptr_t)frames);
	guest_vmcoreinfo(lines, strlen(lines));
	free(lines);
}

static json_t *step(struct program *program, unsigned long number)
{
	struct outcome outcome;

	if (number >= program->steps)
		return NULL;
	machine_step(program->machine, &program->step[number], &outcome);
	if (program->step[number].kind == STEP_MACHINE && !outcome.err &&
	    !host_place(program->machine))
		return NULL;
	if (program->step[number].kind == STEP_MACHINE && !outcome.err)
		publish(program->machine);
	return outcome_json(program->machine, &outcome);
}

static json_t *check(struct machine *machine,
		     bool (*fn)(struct machine *machine, char *why,
				size_t bytes))
{
	char why[2 * OUTCOME_TEXT_BYTES] = "";
	bool holds = fn(machine, why, sizeof(why));

	return json_pack("{s:b, s:o}", "holds", holds, "why", text(why));
}

/* NULL: no such command, or no memory. */
static json_t *answer(struct program *program, const char *command)
{
	struct machine *machine = program->machine;

	if (!strncmp(command, "step ", 5))
		return step(program, strtoul(command + 5, NULL, 10));
	if (!machine_is_on(machine))
		return NULL;
	if (!strcmp(command, "verify"))
		return check(machine, machine_verify);
	if (!strcmp(command, "finish"))
		return check(machine, machine_finish);
	if (!strncmp(command, "shown ", 6))
		return machine_shown_json(machine, (enum print)strtoul(
			command + 6, NULL, 10));
	if (!strcmp(command, "report"))
		return machine_json(machine);
	return NULL;
}

static int run(struct program *program)
{
	char command[COMMAND_BYTES];

	if (say(json_pack("{s:i}", "steps", (int)program->steps)))
		return EXIT_WRONG;
	for (;;) {
		guest_line(command, sizeof(command));
		if (!strcmp(command, "end"))
			return 0;
		if (say(answer(program, command)))
			return say_wrong(0, command);
	}
}

int main(void)
{
	static struct program program;
	struct machine_config config = {
		.names = program.scenario.name,
		.progress = progress,
		.context = &program,
	};
	char seed[24] = "1";
	int status;

	(void)guest_option("seed", seed, sizeof(seed));
	config.seed = strtoull(seed, NULL, 0);
	status = read_steps(&program);
	if (status)
		return status;
	config.names_count = program.scenario.names;
	program.machine = machine_create(&config);
	return program.machine ? run(&program) : say_wrong(0, "no memory");
}
