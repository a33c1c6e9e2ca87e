/* SPDX-License-Identifier: MIT */

/*
 * Carrying out one step: where it says, and with what it is to come to.
 *
 * "on cpu N" runs it on that CPU's thread while this one waits.  "expect
 * caught" runs it in a copy of the process, without the machine's own guards:
 * a check of the engine or the memory protection must end that copy.
 */

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "device.h"
#include "known.h"
#include "pagemap.h"
#include "pools.h"

#define SURVIVED	0
#define REFUSED		3	/* the engine said no with an error code */
#define CAUGHT_SECONDS	20

static const step_fn functions[STEP_COUNT] = {
	[STEP_MACHINE] = step_machine,
	[STEP_ADD] = step_add,
	[STEP_REMOVE] = step_remove,
	[STEP_ONLINE] = step_online,
	[STEP_OFFLINE] = step_offline,
	[STEP_OFFLINE_START] = step_offline_start,
	[STEP_OFFLINE_STEP] = step_offline_step,
	[STEP_OFFLINE_CANCEL] = step_offline_cancel,
	[STEP_QUERY] = step_query,
	[STEP_ADOPT] = step_adopt,
	[STEP_ALLOC] = step_alloc,
	[STEP_ALLOC_RANGE] = step_alloc_range,
	[STEP_FREE] = step_free,
	[STEP_GET] = step_get,
	[STEP_PUT] = step_put,
	[STEP_PIN] = step_pin,
	[STEP_UNPIN] = step_unpin,
	[STEP_FREEZE] = step_freeze,
	[STEP_UNFREEZE] = step_unfreeze,
	[STEP_SPLIT] = step_split,
	[STEP_GIVE] = step_give,
	[STEP_REMEMBER] = step_remember,
	[STEP_FILL] = step_fill,
	[STEP_TOUCH] = step_touch,
	[STEP_SCRIBBLE] = step_scribble,
	[STEP_OWNER] = step_owner,
	[STEP_UNREGISTER] = step_unregister,
	[STEP_EMPTY] = step_empty,
	[STEP_OFFLINE_ALLOC] = step_offline_alloc,
	[STEP_OFFLINE_FREE] = step_offline_free,
	[STEP_OFFLINE_ADOPT] = step_offline_adopt,
	[STEP_SKIPPABLE] = step_skippable,
	[STEP_PAYLOAD] = step_payload,
	[STEP_PLUG] = step_plug,
	[STEP_UNPLUG] = step_unplug,
	[STEP_INFLATE] = step_inflate,
	[STEP_DEFLATE] = step_deflate,
	[STEP_DISCARD] = step_discard,
	[STEP_VIRTIO_MEM] = step_virtio_mem,
	[STEP_VIRTIO_BALLOON] = step_virtio_balloon,
	[STEP_REQUEST] = step_request,
	[STEP_BALLOON] = step_balloon,
	[STEP_ASK] = step_ask,
	[STEP_STATS] = step_stats,
	[STEP_REPORT] = step_report,
	[STEP_HINT] = step_hint,
	[STEP_SETTLE] = step_settle,
	[STEP_WORK] = step_work,
	[STEP_MIGRATING] = step_migrating,
	[STEP_POISON] = step_poison,
	[STEP_REFUSING] = step_refusing,
	[STEP_LATE] = step_late,
	[STEP_LIE] = step_lie,
	[STEP_UNLOAD] = step_unload,
	[STEP_RELOAD] = step_reload,
	[STEP_POOL] = step_pool,
	[STEP_POOL_SIZE] = step_pool_size,
	[STEP_POOL_SURPLUS] = step_pool_surplus,
	[STEP_POOL_RESERVE] = step_pool_reserve,
	[STEP_POOL_TAKE] = step_pool_take,
	[STEP_POOL_GIVE] = step_pool_give,
	[STEP_POOL_DEMOTE] = step_pool_demote,
	[STEP_POOL_END] = step_pool_end,
	[STEP_GUEST] = step_guest,
	[STEP_GUEST_HOLD] = step_guest_hold,
	[STEP_GUEST_RELEASE] = step_guest_release,
	[STEP_GUEST_CONVERT] = step_guest_convert,
	[STEP_GUEST_STEP] = step_guest_step,
	[STEP_GUEST_CANCEL] = step_guest_cancel,
	[STEP_GUEST_SHARE] = step_guest_share,
	[STEP_GUEST_TOUCH] = step_guest_touch,
	[STEP_GUEST_END] = step_guest_end,
	[STEP_ELASTIC] = step_elastic,
	[STEP_ELASTIC_STORE] = step_elastic_store,
	[STEP_ELASTIC_FORGET] = step_elastic_forget,
	[STEP_ELASTIC_LOCK] = step_elastic_lock,
	[STEP_ELASTIC_UNLOCK] = step_elastic_unlock,
	[STEP_ELASTIC_SHRINK] = step_elastic_shrink,
	[STEP_ELASTIC_END] = step_elastic_end,
	[STEP_PAGEMAP] = step_pagemap,
	[STEP_PAGEMAP_REMOVE] = step_pagemap_remove,
	[STEP_HAND_OUT] = step_hand_out,
	[STEP_MOVE] = step_move,
	[STEP_FAULT] = step_fault,
	[STEP_TRUNCATE] = step_truncate,
	[STEP_SUBSCRIBER] = step_subscriber,
	[STEP_VETO] = step_veto,
	[STEP_UNSUBSCRIBE] = step_unsubscribe,
	[STEP_SCANNER] = step_scanner,
	[STEP_SCAN] = step_scan,
	[STEP_WALKER] = step_walker,
	[STEP_STOP] = step_stop,
	[STEP_LOAD] = step_load,
	[STEP_LOAD_STOP] = step_load_stop,
	[STEP_WAIT] = step_wait,
	[STEP_RETIRE] = step_retire,
	[STEP_COMPACT] = step_compact,
	[STEP_DRAIN] = step_drain,
	[STEP_WATERMARKS] = step_watermarks,
	[STEP_MARK] = step_mark,
	[STEP_VERIFY] = step_verify,
	[STEP_EXPORT] = step_export,
	[STEP_SAVE] = step_save,
	[STEP_DUMP] = step_dump,
	[STEP_PRINT] = step_print,
	[STEP_SAY] = step_say,
	[STEP_EXPECT] = step_expect,
};

struct job {
	struct machine *machine;
	const struct step *step;
	struct outcome *outcome;
	int err;
};

static void run_job(void *argument)
{
	struct job *job = argument;

	job->err = functions[job->step->kind](job->machine, job->step,
					      job->outcome);
}

/* On the CPU it names, or here. */
static int run(struct machine *machine, const struct step *step,
	       struct outcome *outcome)
{
	struct job job = { machine, step, outcome, 0 };
	int err;

	if (step->cpu == STEP_CPU_MAIN || step->cpu == 0) {
		run_job(&job);
		return job.err;
	}
	err = cpus_start(machine->cpus, step->cpu, run_job, &job);
	if (err)
		return refuse(outcome, CF_ENOMEM, "no thread is left");
	cpus_wait(machine->cpus, step->cpu);
	return job.err;
}

/* The copy: it must not come back from here. */
_Noreturn static void try_step(struct machine *machine,
			       const struct step *step, int out)
{
	struct outcome outcome = { .err = 0 };

	(void)dup2(out, STDERR_FILENO);
	(void)alarm(CAUGHT_SECONDS);
	machine->raw = true;
	machine->config.progress = NULL;
	_exit(functions[step->kind](machine, step, &outcome) ? REFUSED :
							       SURVIVED);
}

/* The first line of what the copy said at its end. */
static void read_last_words(int in, char *text, size_t bytes)
{
	size_t length = 0;
	ssize_t got;

	while (length + 1 < bytes) {
		got = read(in, text + length, bytes - 1 - length);
		if (got <= 0)
			break;
		length += (size_t)got;
	}
	text[length] = '\0';
	text[strcspn(text, "\n")] = '\0';
	if (!strncmp(text, "coldframe: ", 11))
		(void)memmove(text, text + 11, strlen(text + 11) + 1);
}

static int judge(int status, const char *words, struct outcome *outcome)
{
	outcome->wrong = true;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		return refuse(outcome, CF_EAGAIN, "it hung");
	if (WIFEXITED(status) && WEXITSTATUS(status) == SURVIVED)
		return refuse(outcome, CF_EINVAL, "nothing stopped it");
	if (WIFEXITED(status) && WEXITSTATUS(status) == REFUSED)
		return refuse(outcome, CF_EINVAL,
			      "it was refused, but by no check");
	outcome->wrong = false;
	if (WIFSIGNALED(status) && (WTERMSIG(status) == SIGSEGV ||
				    WTERMSIG(status) == SIGBUS))
		did(outcome, "caught by the memory's protection");
	else
		did(outcome, "caught: %.200s", words);
	return 0;
}

static int run_caught(struct machine *machine, const struct step *step,
		      struct outcome *outcome)
{
	char words[OUTCOME_TEXT_BYTES];
	int channel[2], status;
	pid_t child;

	if (pipe(channel))
		return refuse(outcome, CF_ENOMEM, "no pipe is left");
	child = fork();
	if (child == 0)
		try_step(machine, step, channel[1]);
	(void)close(channel[1]);
	if (child < 0) {
		(void)close(channel[0]);
		return refuse(outcome, CF_ENOMEM, "no process is left");
	}
	read_last_words(channel[0], words, sizeof(words));
	(void)close(channel[0]);
	if (waitpid(child, &status, 0) != child)
		return refuse(outcome, CF_EPORT, "the copy is lost");
	return judge(status, words, outcome);
}

/* A step that must fail has failed, and as it was to. */
static void turn_around(const struct step *step, struct outcome *outcome)
{
	unsigned err = (unsigned)-outcome->err;

	outcome->wrong = true;
	if (!outcome->err)
		(void)snprintf(outcome->why, sizeof(outcome->why),
			       "it was to fail, and did not");
	else if (step->error != STEP_ERROR_ANY && step->error != err)
		(void)snprintf(outcome->why, sizeof(outcome->why),
			       "it failed as \"%s\", not as \"%s\"",
			       error_word(err), error_word(step->error));
	else
		outcome->wrong = false;
}

/* Not steps one would ask about with "expect last". */
static bool is_silent(const struct step *step)
{
	switch (step->kind) {
	case STEP_EXPECT: case STEP_PRINT: case STEP_SAY: case STEP_MARK:
	case STEP_VERIFY: case STEP_SAVE:
		return true;
	default:
		return false;
	}
}

/* What was restored goes on; to be saved once more, it stays as it is. */
static int wake(struct machine *machine, const struct step *step)
{
	int err;

	if (step->kind == STEP_SAVE)
		return 0;
	err = walkers_wake(machine);
	return err ? err : load_wake(machine);
}

void machine_step(struct machine *machine, const struct step *step,
		  struct outcome *ret_outcome)
{
	uint64_t began = now_ns();

	*ret_outcome = (struct outcome){ .err = 0 };
	ret_outcome->report.pfn = CF_PFN_NONE;
	if (wake(machine, step))
		ret_outcome->err = refuse(ret_outcome, CF_ENOMEM,
					  "no thread is left");
	else
		ret_outcome->err = step->caught ?
			run_caught(machine, step, ret_outcome) :
			run(machine, step, ret_outcome);
	ret_outcome->ns = now_ns() - began;
	if (ret_outcome->reported && !ret_outcome->why[0])
		explain(machine, &ret_outcome->report, ret_outcome->why,
			sizeof(ret_outcome->why));
	if (ret_outcome->err && !ret_outcome->why[0])
		(void)snprintf(ret_outcome->why, sizeof(ret_outcome->why),
			       "%s", cf_strerror(ret_outcome->err));
	if (!is_silent(step))
		machine->last = *ret_outcome;
	if (step->fails)
		turn_around(step, ret_outcome);
}
