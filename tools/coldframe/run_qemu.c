/* SPDX-License-Identifier: MIT */

/* coldframe run --machine=qemu: its options, and a session's player. */

#include "run_qemu.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common.h"
#include "session.h"

#define START_S		60		/* on a busy host */
#define PATIENCE_S	600
#define PATIENCE_S_MAX	86400
#define CPUS_MIN	2
#define CPUS_MAX	8

static int parse_machine(struct run_qemu *run, const char *text)
{
	run->wanted = !strcmp(text, "qemu");
	if (run->wanted || !strcmp(text, "embedded"))
		return EXIT_OK;
	return common_wrong(run->command, "--machine is embedded or qemu, not"
			    " '%s'", text);
}

static int parse_cpu_kind(struct run_qemu *run, const char *text)
{
	run->kind_given = true;
	if (qemu_cpu_kind(text, &run->kind))
		return EXIT_OK;
	return common_wrong(run->command, "--cpu-kind is x86-64 or aarch64, not"
			    " '%s'", text);
}

static int parse_patience(struct run_qemu *run, const char *text)
{
	char *end;

	errno = 0;
	run->patience_given = true;
	run->patience_s = strtoull(text, &end, 10);
	if (errno || end == text || *end || strchr(text, '-') ||
	    !run->patience_s || run->patience_s > PATIENCE_S_MAX)
		return common_wrong(run->command, "--patience is seconds, 1 to"
				    " %d, not '%s'", PATIENCE_S_MAX, text);
	return EXIT_OK;
}

int run_qemu_option(struct run_qemu *run, int option, const char *value)
{
	switch (option) {
	case 'm':
		return parse_machine(run, value);
	case 'k':
		return parse_cpu_kind(run, value);
	case 'p':
		return parse_patience(run, value);
	default:
		return -1;
	}
}

int run_qemu_check(struct run_qemu *run)
{
	if (run->wanted)
		return qemu_find(run->kind, run->image, sizeof(run->image)) ?
		       EXIT_OK : EXIT_WRONG;
	if (run->kind_given || run->patience_given)
		return common_wrong(run->command, "%s is for --machine=qemu",
				    run->kind_given ? "--cpu-kind" :
						      "--patience");
	return EXIT_OK;
}

/* As many CPUs as the scenario has, and this host can run at once. */
static unsigned guest_cpus(const struct program *program)
{
	long online = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t cpus = program->scenario.cpus;

	if (online > 0 && cpus > (uint64_t)online)
		cpus = (uint64_t)online;
	if (cpus > CPUS_MAX)
		cpus = CPUS_MAX;
	return cpus < CPUS_MIN ? CPUS_MIN : (unsigned)cpus;
}

/* Some steps are the embedded machine's alone. */
static int check_steps(const struct run_qemu *run,
		       const struct program *program)
{
	const char *lacks;
	char text[160];
	size_t i;

	for (i = 0; i < program->steps; i++) {
		lacks = step_embedded_only(&program->step[i]);
		if (!lacks)
			continue;
		(void)snprintf(text, sizeof(text),
			       "'%s' is for the embedded machine, not for"
			       " QEMU", lacks);
		return program_wrong(program, program->step[i].line, text,
				     run->json);
	}
	return EXIT_OK;
}

int run_qemu_play(void *context, const struct program *program,
		  const struct machine_config *config,
		  struct player *ret_player)
{
	struct run_qemu *run = context;
	int status = check_steps(run, program);
	const char *wrong;
	char why[256];
	uint32_t line;

	if (status)
		return status;
	run->config = (struct player_qemu){
		.qemu = {
			.kind = run->kind,
			.text = program->text,
			.bytes = program->bytes,
			.seed = config->seed,
			.cpus = guest_cpus(program),
			.start_ns = START_S * 1000000000ull,
			.patience_ns = (run->patience_given ?
					run->patience_s : PATIENCE_S) *
				       1000000000,
		},
		.image = run->image,
		.steps = program->step,
		.machine = config,
		.gone = session_died,
	};
	line = qemu_plan(&run->config.qemu, &program->scenario, program->step,
			 program->steps, &wrong);
	if (line)
		return program_wrong(program, line, wrong, run->json);
	if (!player_qemu(&run->config, ret_player, why, sizeof(why)))
		return EXIT_OK;
	return common_failed(run->command, "the guest does not start: %s", why);
}
