/* SPDX-License-Identifier: MIT */

/*
 * The guest in QEMU as a player: each call is a command to the guest and its
 * answer. machine/bare/run.c is the other side.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "qemu.h"

struct session {
	const struct player_qemu *config;
	struct qemu qemu;
	json_t *refused;	/* of the last step, or NULL */
	bool on;
	bool finished;		/* no step follows */
};

/* What the guest tells before it answers. */
static bool hear(void *context, json_t *object)
{
	struct session *session = context;
	const struct machine_config *machine = session->config->machine;
	const char *what = json_string_value(json_object_get(object,
							     "progress"));
	const char *asked = json_string_value(json_object_get(object, "ask"));
	char line[256];

	if (asked) {
		qemu_answer(&session->qemu, &session->config->qemu, asked,
			    line, sizeof(line));
		(void)channel_say(&session->qemu.console, line, strlen(line));
		return true;
	}
	if (!what)
		return false;
	if (machine->progress)
		machine->progress(machine->context, what, (uint64_t)
			json_integer_value(json_object_get(object, "done")),
			(uint64_t)json_integer_value(
				json_object_get(object, "total")));
	return true;
}

static json_t *ask(struct session *session, const char *command)
{
	json_t *answer = qemu_ask(&session->qemu, command, hear, session);
	const char *wrong = json_string_value(json_object_get(answer,
							      "wrong"));
	char words[sizeof(session->qemu.words)];

	if (answer && !wrong)
		return answer;
	(void)snprintf(words, sizeof(words), "%s", wrong ? wrong :
		       session->qemu.words);
	json_decref(answer);
	qemu_end(&session->qemu);
	session->config->gone(session->config->machine->context, words);
	return NULL;
}

static void copy_text(const json_t *object, const char *member, char *text,
		      size_t bytes)
{
	const char *string = json_string_value(json_object_get(object,
							       member));

	(void)snprintf(text, bytes, "%s", string ? string : "");
}

/* Both machines print alike, but for where that is. */
static void show(struct session *session, const struct step *step)
{
	FILE *out = session->config->machine->out;
	json_t *report;
	char command[32];

	if (step->kind == STEP_SAY)
		(void)fprintf(out, "\n%.*s\n", (int)step->text.length,
			      step->text.start);
	if (step->kind != STEP_PRINT)
		return;
	(void)snprintf(command, sizeof(command), "shown %u",
		       (unsigned)step->amount.number);
	report = ask(session, command);
	(void)report_print(report, (enum print)step->amount.number, out);
	json_decref(report);
}

/*
 * Where there is room for all of a guest: beside what is to be written; for
 * standard output, a pipe or a device where files of no name belong.
 */
static void core_folder(const char *path, char *folder, size_t bytes)
{
	const char *slash = strrchr(path, '/'), *temporary = getenv("TMPDIR");
	struct stat status;

	if (!strcmp(path, "-") ||
	    (!stat(path, &status) && !S_ISREG(status.st_mode)))
		(void)snprintf(folder, bytes, "%s", temporary && temporary[0] ?
			       temporary : "/var/tmp");
	else if (slash)
		(void)snprintf(folder, bytes, "%.*s",
			       (int)(slash - path) + 1, path);
	else
		(void)snprintf(folder, bytes, ".");
}

/* A file without a name: nothing is left, whatever ends us. */
static int open_core(const char *folder)
{
	char name[4120];
	int fd;

	fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd >= 0)
		return fd;
	/* Not every file system has such. */
	(void)snprintf(name, sizeof(name), "%s/.coldframe-XXXXXX", folder);
	fd = mkostemp(name, O_CLOEXEC);
	if (fd >= 0)
		(void)unlink(name);
	return fd;
}

/* QEMU's dump of all the guest's memory, into a file of ours. */
static bool take_core(struct session *session, int fd,
		      struct outcome *outcome)
{
	char place[64];

	(void)snprintf(place, sizeof(place), "file:/proc/%ld/fd/%d",
		       (long)getpid(), fd);
	if (monitor_do(&session->qemu.monitor, "dump-guest-memory",
		       json_pack("{s:b, s:s, s:s}", "paging", 0, "protocol",
				 place, "format", "kdump-zlib"), NULL))
		return true;
	outcome->err = -CF_EPORT;
	(void)snprintf(outcome->why, sizeof(outcome->why), "QEMU: %s",
		       session->qemu.monitor.error);
	return false;
}

static void filter_core(const struct session *session, const struct step *step,
			const char *path, int fd, struct outcome *outcome)
{
	const struct machine_config *machine = session->config->machine;
	char core[64];
	const struct machine_dump request = {
		.core = core, .path = path,
		.level = (unsigned)step_value(step, KEY_LEVEL, 1),
		.elf = step_has(step, KEY_ELF),
	};
	char text[OUTCOME_TEXT_BYTES];

	(void)snprintf(core, sizeof(core), "/proc/self/fd/%d", fd);
	outcome->err = machine->dump(machine->dump_context, &request, text,
				     sizeof(text)) ? -CF_EPORT : 0;
	(void)snprintf(outcome->err ? outcome->why : outcome->what,
		       sizeof(outcome->what), "%s", text);
}

/* The step "dump" is ours: the guest has no files. */
static void play_dump(struct session *session, const struct step *step,
		      struct outcome *outcome)
{
	char path[4096], folder[4096];
	int fd;

	*outcome = (struct outcome){ .err = -CF_EINVAL };
	if (!session->config->machine->dump ||
	    step->text.length >= sizeof(path)) {
		(void)snprintf(outcome->why, sizeof(outcome->why),
			       "no dump can be written there");
		return;
	}
	(void)memcpy(path, step->text.start, step->text.length);
	path[step->text.length] = '\0';
	core_folder(path, folder, sizeof(folder));
	fd = open_core(folder);
	if (fd < 0) {
		outcome->err = -CF_EPORT;
		(void)snprintf(outcome->why, sizeof(outcome->why),
			       "the guest's core, in %.200s: %s", folder,
			       strerror(errno));
		return;
	}
	if (take_core(session, fd, outcome))
		filter_core(session, step, path, fd, outcome);
	(void)close(fd);
}

static void play_step(void *self, const struct step *step,
		      struct outcome *ret_outcome)
{
	struct session *session = self;
	char command[32];
	json_t *answer;

	if (step->kind == STEP_DUMP) {
		play_dump(session, step, ret_outcome);
		return;
	}
	(void)snprintf(command, sizeof(command), "step %zu",
		       (size_t)(step - session->config->steps));
	answer = ask(session, command);
	*ret_outcome = (struct outcome){
		.err = (int)json_integer_value(json_object_get(answer,
							       "err")),
		.wrong = json_is_true(json_object_get(answer, "wrong")),
		.ns = (uint64_t)json_integer_value(json_object_get(answer,
								   "ns")),
	};
	copy_text(answer, "what", ret_outcome->what,
		  sizeof(ret_outcome->what));
	copy_text(answer, "why", ret_outcome->why, sizeof(ret_outcome->why));
	json_decref(session->refused);
	session->refused = json_incref(json_object_get(answer, "refused"));
	ret_outcome->reported = session->refused != NULL;
	json_decref(answer);
	session->on |= step->kind == STEP_MACHINE && !ret_outcome->err;
	if (session->config->machine->out && !ret_outcome->err)
		show(session, step);
}

static bool check(struct session *session, const char *command, char *why,
		  size_t bytes)
{
	json_t *answer = ask(session, command);
	bool holds = json_is_true(json_object_get(answer, "holds"));

	if (!holds)
		copy_text(answer, "why", why, bytes);
	json_decref(answer);
	return holds;
}

/* Every equation of the engine; and that QEMU sees what the guest does. */
static bool play_verify(void *self, char *why, size_t bytes)
{
	struct session *session = self;
	const struct qemu_config *config = &session->config->qemu;
	char command[32];
	json_t *report;
	bool holds;

	if (!check(self, "verify", why, bytes))
		return false;
	if (!config->devices)
		return true;
	(void)snprintf(command, sizeof(command), "shown %u",
		       (unsigned)PRINT_DEVICES);
	report = ask(self, command);
	holds = qemu_agrees(&session->qemu, config, report, why, bytes);
	json_decref(report);
	/* Events come late: once, when nothing changes any more. */
	return holds && (!session->finished ||
			 qemu_told(&session->qemu, config, QEMU_EVENTS_NS,
				   why, bytes));
}

static bool play_finish(void *self, char *why, size_t bytes)
{
	struct session *session = self;

	session->finished = true;
	return check(self, "finish", why, bytes);
}

static bool play_is_on(void *self)
{
	const struct session *session = self;

	return session->on;
}

static json_t *play_json(void *self)
{
	return ask(self, "report");
}

static json_t *play_refusal_json(void *self, const struct outcome *outcome)
{
	const struct session *session = self;

	(void)outcome;
	return json_incref(session->refused);
}

static int play_print(void *self, enum print what, FILE *out)
{
	char command[32];
	json_t *report;
	int err;

	(void)snprintf(command, sizeof(command), "shown %u", (unsigned)what);
	report = ask(self, command);
	err = report_print(report, what, out);
	json_decref(report);
	return err;
}

static void play_destroy(void *self)
{
	struct session *session = self;

	json_decref(session->refused);
	qemu_end(&session->qemu);
	free(session);
}

static const struct player_ops ops = {
	.step = play_step,
	.verify = play_verify,
	.finish = play_finish,
	.is_on = play_is_on,
	.json = play_json,
	.refusal_json = play_refusal_json,
	.print = play_print,
	.destroy = play_destroy,
};

int player_qemu(const struct player_qemu *config, struct player *ret_player,
		char *why, size_t bytes)
{
	struct session *session = calloc(1, sizeof(*session));

	if (!session) {
		(void)snprintf(why, bytes, "no memory");
		return -1;
	}
	session->config = config;
	if (!qemu_start(&session->qemu, &config->qemu, config->image)) {
		(void)snprintf(why, bytes, "%s", session->qemu.words);
		play_destroy(session);
		return -1;
	}
	*ret_player = (struct player){ &ops, session };
	return 0;
}
