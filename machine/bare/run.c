/* SPDX-License-Identifier: MIT */

/*
 * A scenario in the guest: read from a file of QEMU's, carried out, and its
 * report printed as one line of JSON.
 *
 *	-fw_cfg name=opt/coldframe/scenario,file=FILE
 *	-append "name=FILE seed=N"
 */

#include <guest.h>
#include <stdlib.h>
#include <string.h>

#include "machine/journal.h"

#define SCENARIO_FILE	"opt/coldframe/scenario"
#define EXIT_WRONG	2

int main(void);

/* A scenario that was read. */
struct program {
	char file[128];		/* as it was named */
	uint64_t seed;
	struct scenario scenario;
	struct step *step;
	size_t steps, room;
};

static int say(json_t *report, int status)
{
	if (!report || json_dumpf(report, stdout, JSON_COMPACT))
		status = EXIT_WRONG;
	(void)putchar('\n');
	json_decref(report);
	return status;
}

static int say_wrong(const struct program *program, uint32_t line,
		     const char *what)
{
	json_t *report = json_pack("{s:s, s:i, s:s}", "scenario",
				   program->file, "status", EXIT_WRONG,
				   "error", what);

	if (report && line)
		(void)json_object_set_new(report, "line",
					  json_integer((json_int_t)line));
	return say(report, EXIT_WRONG);
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
		return say_wrong(program, 0, "QEMU was given no file "
				 SCENARIO_FILE);
	scenario_init(&program->scenario, text, bytes);
	while ((read = scenario_next(&program->scenario, &step)) ==
	       SCENARIO_STEP)
		if (!add_step(program, &step))
			return say_wrong(program, 0, "no memory");
	if (read == SCENARIO_WRONG)
		return say_wrong(program, program->scenario.line,
				 program->scenario.error);
	if (!program->steps)
		return say_wrong(program, 0, "there is no step in it");
	return 0;
}

static int run(const struct program *program)
{
	struct machine_config config = {
		.seed = program->seed,
		.names = program->scenario.name,
		.names_count = program->scenario.names,
	};
	struct machine *machine = machine_create(&config);
	struct journal journal;
	struct outcome outcome;
	size_t i;

	if (!machine || journal_init(&journal, machine))
		return say_wrong(program, 0, "no memory");
	for (i = 0; i < program->steps && !journal.stopped; i++) {
		machine_step(machine, &program->step[i], &outcome);
		journal_note(&journal, &program->step[i], &outcome);
	}
	journal_finish(&journal);
	return say(journal_json(&journal, program->file, program->seed),
		   journal_status(&journal));
}

int main(void)
{
	static struct program program;
	char seed[24] = "1";
	int status;

	if (!guest_option("name", program.file, sizeof(program.file)))
		(void)strcpy(program.file, SCENARIO_FILE);
	(void)guest_option("seed", seed, sizeof(seed));
	program.seed = strtoull(seed, NULL, 0);
	status = read_steps(&program);
	return status ? status : run(&program);
}
