/* SPDX-License-Identifier: MIT */
/*
 * A session: a machine, the steps of a scenario on it, and what is said of
 * each.  It runs in a process of its own: its memory is its own, and a check
 * of the engine that fails ends that session and no more.
 */
#include "common.h"
#include "session.h"

#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "machine/journal.h"
#include "save_source.h"

#define STEP_COLUMNS_MIN	30
#define STEP_COLUMNS_MAX	56
#define INDENT		11
#define PROGRESS_NS	300000000
#define PROGRESS_EVERY_NS	100000000

/* What the parent must know of a child that cannot say it any more. */
struct session_shared {
	uint32_t line;
	char step[256];
	char why[256];		/* said by it, or "" */
};

/* A scenario that runs. */
struct session {
	const struct session_options *options;
	const struct session_hooks *hooks;
	const struct program *program;
	struct player player;
	struct session_shared *shared;
	struct journal journal;
	uint64_t began_ns, shown_ns;	/* of the step that runs */
	bool cut;		/* at a step that was the last to run */
	bool progress;		/* a line of it stands on the terminal */
};

static uint64_t clock_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static const char *paint(const struct session *session, const char *code)
{
	return session->options->color ? code : "";
}

#define RED	"\033[31m"
#define GREEN	"\033[32m"
#define YELLOW	"\033[33m"
#define DIM	"\033[2m"
#define PLAIN	"\033[0m"

static void end_progress(struct session *session)
{
	if (session->progress)
		(void)fputs("\r\033[K", stderr);
	session->progress = false;
}

static void show_progress(void *context, const char *what, uint64_t done,
			  uint64_t total)
{
	struct session *session = context;
	uint64_t now = clock_ns();

	if (now - session->began_ns < PROGRESS_NS ||
	    now - session->shown_ns < PROGRESS_EVERY_NS)
		return;
	session->shown_ns = now;
	session->progress = true;
	if (total)
		(void)fprintf(stderr, "\r\033[K      %s %u%%", what,
			      (unsigned)(100.0 * (double)done /
					 (double)total));
	else
		(void)fprintf(stderr, "\r\033[K      %s %llu", what,
			      (unsigned long long)done);
}

/* The length of the longest piece of @text that fits, at a blank. */
static size_t piece(const char *text, size_t room)
{
	size_t length = strlen(text), at;

	if (length <= room)
		return length;
	for (at = room; at > 0 && text[at] != ' '; at--)
		;
	return at ? at : length;
}

/* On as many lines as it takes, all indented. */
static void print_wrapped(const char *text, size_t width)
{
	size_t room = width > 2 * INDENT ? width - INDENT : INDENT, length;

	while (*text) {
		length = piece(text, room);
		(void)printf("\n%*s%.*s", INDENT, "", (int)length, text);
		text += length;
		while (*text == ' ')
			text++;
	}
}

/* Columns for the step itself. */
static int step_columns(size_t width)
{
	size_t columns = width / 2 > 8 ? width / 2 - 8 : 0;

	if (columns < STEP_COLUMNS_MIN)
		return STEP_COLUMNS_MIN;
	return columns > STEP_COLUMNS_MAX ? STEP_COLUMNS_MAX : (int)columns;
}

/* Beside the step where there is room, else below it. */
static void print_result(const struct session *session, int step_length,
			 const char *color, const char *mark, const char *text)
{
	size_t width = common_width();
	int columns = step_columns(width);
	char line[sizeof(((struct outcome *)0)->why) + 16];

	(void)snprintf(line, sizeof(line), "%s%s", mark, text);
	if (!mark[0] && step_length <= columns &&
	    7 + (size_t)columns + 2 + strlen(line) <= width) {
		if (line[0])
			(void)printf("%*s%s%s", columns + 2 - step_length, "",
				     color, line);
	} else {
		(void)fputs(color, stdout);
		print_wrapped(line, width);
	}
	(void)printf("%s\n", color[0] ? paint(session, PLAIN) : "");
}

static void print_step(const struct session *session, const struct step *step,
		       const struct outcome *outcome)
{
	bool failed = journal_has_failed(step, outcome);
	const char *mark = failed ? "FAILED: " : !step->fails ? "" :
			   outcome->reported ? "refused: " : "fails: ";
	const char *color = failed ? RED : step->fails ? YELLOW :
			    journal_is_check(step) ? GREEN : DIM;
	const char *text = (failed || step->fails) && outcome->why[0] ?
			   outcome->why : outcome->what;

	if (session->options->json || step->kind == STEP_SAY ||
	    (session->options->quiet && !failed))
		return;
	(void)printf("%s%5u%s  %.*s", paint(session, DIM), step->line,
		     paint(session, PLAIN), (int)step->source.length,
		     step->source.start);
	print_result(session, (int)step->source.length, paint(session, color),
		     mark, text);
}

static void note(struct session *session, const struct step *step,
		 const struct outcome *outcome)
{
	end_progress(session);
	journal_note(&session->journal, step, outcome);
	print_step(session, step, outcome);
}

/* ---- running ---- */

/* A check of our own that stands in no file: it is printed when it fails. */
static void check_own(struct session *session, const char *name, bool holds,
		      const char *why)
{
	struct step step = {
		.kind = STEP_VERIFY,
		.line = session->journal.line,
		.source = { name, strlen(name) },
	};
	struct outcome outcome = { .wrong = !holds };

	end_progress(session);
	journal_note_own(&session->journal, name, holds, why);
	(void)snprintf(outcome.why, sizeof(outcome.why), "%s", why);
	if (!holds)
		print_step(session, &step, &outcome);
}

static void verify(struct session *session)
{
	char why[OUTCOME_TEXT_BYTES] = "";
	const struct player *player = &session->player;
	bool holds = player->ops->verify(player->self, why, sizeof(why));

	check_own(session, "(verify)", holds, why);
	session->journal.stopped |= !holds;
}

/* Where the step that runs is seen when this process dies of it. */
static void share_step(struct session_shared *shared, const struct step *step)
{
	size_t length = step->source.length;

	if (length >= sizeof(shared->step))
		length = sizeof(shared->step) - 1;
	(void)memcpy(shared->step, step->source.start, length);
	shared->step[length] = '\0';
	shared->line = step->line;
}

/* The last step of another player, that writes nothing of what failed? */
static bool is_unwanted(const struct session *session, size_t step)
{
	return session->hooks->only_good && session->hooks->play &&
	       step + 1 == session->program->steps &&
	       journal_status(&session->journal);
}

static void run_steps(struct session *session)
{
	const struct program *program = session->program;
	const struct step *step;
	struct outcome outcome;
	size_t i;

	for (i = 0; i < program->steps && !session->journal.stopped; i++) {
		step = &program->step[i];
		if (is_unwanted(session, i))
			break;
		share_step(session->shared, step);
		session->began_ns = clock_ns();
		session->player.ops->step(session->player.self, step,
					  &outcome);
		note(session, step, &outcome);
		if (session->options->verify == VERIFY_STEP &&
		    !session->journal.stopped && step->kind != STEP_SAY)
			verify(session);
		if (session->hooks->until_save && step->kind == STEP_SAVE &&
		    !step->text.length) {
			session->cut = true;
			return;
		}
	}
	if (session->journal.stopped && i < program->steps &&
	    !session->options->json)
		(void)printf("       stopped: %zu step%s did not run\n",
			     program->steps - i,
			     program->steps - i == 1 ? "" : "s");
}

static bool is_on(const struct session *session)
{
	return session->player.ops->is_on(session->player.self);
}

static void finish(struct session *session)
{
	const struct session_hooks *hooks = session->hooks;
	const struct player *player = &session->player;
	char why[2 * OUTCOME_TEXT_BYTES] = "";
	bool held;

	if (!is_on(session))
		return;
	if (!session->cut &&
	    !player->ops->finish(player->self, why, sizeof(why)))
		check_own(session, "(the load's contents)", false, why);
	if (session->options->verify != VERIFY_OFF)
		verify(session);
	if (!hooks->end || hooks->play ||
	    (hooks->only_good && journal_status(&session->journal)))
		return;
	/* What runs by itself stands still from here on. */
	machine_rest(player->self);
	held = !hooks->end(hooks->context, player->self, why, sizeof(why));
	if (!held)
		check_own(session, hooks->end_name, false, why);
}

static int status_of(const struct session *session)
{
	return journal_status(&session->journal) ? EXIT_FAILED : EXIT_OK;
}

static void print_summary(struct session *session)
{
	const struct journal *journal = &session->journal;

	if (!session->options->quiet && session->hooks->report)
		session->hooks->report(session->hooks->context, NULL);
	if (!session->options->quiet && is_on(session)) {
		(void)putchar('\n');
		(void)session->player.ops->print(session->player.self,
						 PRINT_ALL, stdout);
		(void)putchar('\n');
	}
	if (session->options->quiet && !status_of(session))
		return;
	(void)printf("%s%s: %zu steps, %u of %u checks hold%s%s%s\n",
		     paint(session, status_of(session) ? RED : GREEN),
		     session->program->file, session->program->steps,
		     journal->held, journal->failed + journal->held,
		     journal->stopped ? ", and a step failed" : "",
		     status_of(session) && session->hooks->only_good ?
		     ": nothing is written" : "", paint(session, PLAIN));
}

static void print_json(struct session *session)
{
	json_t *report = journal_json(&session->journal,
				      session->program->file,
				      session->options->seed);

	if (session->hooks->report)
		session->hooks->report(session->hooks->context, report);
	(void)json_dumpf(report, stdout, JSON_COMPACT);
	(void)putchar('\n');
	json_decref(report);
}

/* The embedded machine, unless the command has another player. */
static int begin(struct session *session, const struct machine_config *config)
{
	const struct session_hooks *hooks = session->hooks;
	struct machine *machine;

	if (hooks->play)
		return hooks->play(hooks->context, session->program, config,
				   &session->player);
	machine = hooks->begin ? hooks->begin(hooks->context, config) :
				 machine_create(config);
	if (!machine && !hooks->begin)
		return common_failed(session->options->command, "%s",
				     strerror(ENOMEM));
	session->player = player_embedded(machine);
	return machine ? EXIT_OK : EXIT_FAILED;
}

void session_died(void *context, const char *why)
{
	struct session *session = context;

	end_progress(session);
	(void)snprintf(session->shared->why, sizeof(session->shared->why),
		       "%s", why);
	exit(EXIT_FAILED);
}

int session_run(const struct session_options *options,
		const struct session_hooks *hooks,
		const struct program *program, struct session_shared *shared)
{
	struct session session = {
		.options = options,
		.hooks = hooks,
		.program = program,
		.shared = shared,
		/* Nothing ends of a machine nothing was done with. */
		.cut = !program->steps,
	};
	static const struct save_config save = {
		.level = SAVE_LEVEL_DEFAULT,
		.out = STDOUT_FILENO,
		.source = &save_source,
	};
	struct machine_config config = {
		.seed = options->seed,
		.names = program->scenario.name,
		.dump = hooks->dump,
		.dump_context = hooks->context,
		.names_count = program->scenario.names,
		.out = options->json ? NULL : stdout,
		.save = &save,
		.context = &session,
	};
	int status;

	if (isatty(STDERR_FILENO) && !options->json && !options->quiet)
		config.progress = show_progress;
	session.began_ns = clock_ns();
	status = begin(&session, &config);
	end_progress(&session);
	if (status)
		return status;
	if (journal_init(&session.journal, &session.player))
		return common_failed(options->command, "%s", strerror(ENOMEM));
	if (!options->json && !options->quiet)
		(void)printf("%s\n", program->file);
	run_steps(&session);
	finish(&session);
	if (options->json)
		print_json(&session);
	else
		print_summary(&session);
	status = status_of(&session);
	session.player.ops->destroy(session.player.self);
	journal_free(&session.journal);
	return status;
}

/* ---- options ---- */

void session_defaults(struct session_options *options, const char *command)
{
	*options = (struct session_options){
		.command = command,
		.verify = VERIFY_END,
		.seed = 1,
		.color = common_color_use(COLOR_AUTO),
	};
}

static int parse_verify(struct session_options *options, const char *text)
{
	if (!strcmp(text, "step"))
		options->verify = VERIFY_STEP;
	else if (!strcmp(text, "end"))
		options->verify = VERIFY_END;
	else if (!strcmp(text, "off"))
		options->verify = VERIFY_OFF;
	else
		return common_wrong(options->command, "--verify is step, end"
				    " or off, not '%s'", text);
	return EXIT_OK;
}

static int parse_seed(struct session_options *options, const char *text)
{
	char *end;

	errno = 0;
	options->seed = strtoull(text, &end, 0);
	if (errno || end == text || *end || strchr(text, '-'))
		return common_wrong(options->command, "--seed is a number, not"
				    " '%s'", text);
	return EXIT_OK;
}

int session_option(struct session_options *options, int option,
		   const char *value)
{
	enum common_color color;

	switch (option) {
	case 'j':
		options->json = true;
		return EXIT_OK;
	case 'q':
		options->quiet = true;
		return EXIT_OK;
	case 'v':
		return parse_verify(options, value);
	case 's':
		return parse_seed(options, value);
	case 'C':
		if (!common_color_parse(value, &color))
			return common_wrong(options->command, "--color is"
					    " auto, always or never, not"
					    " '%s'", value);
		options->color = common_color_use(color);
		return EXIT_OK;
	default:
		return common_try_help(options->command);
	}
}

int session_parse(const struct session_parser *parser, void *context, int argc,
		  char **argv)
{
	int option, status;

	while ((option = getopt_long(argc, argv, parser->letters,
				     parser->words, NULL)) != -1) {
		if (option == 'h') {
			(void)fputs(parser->help, stdout);
			return common_finish(parser->command, EXIT_OK);
		}
		status = parser->take(context, option, optarg);
		if (status)
			return status;
	}
	return -1;
}

/* ---- processes ---- */

/* The child is gone without an answer: say so in its place. */
static int say_died(const struct session_options *options, const char *file,
		    const char *what, const struct session_shared *shared)
{
	json_t *object;

	if (!options->json) {
		(void)printf("%s:%u: the machine died (%s) at: %s\n", file,
			     shared->line, what, shared->step);
		return EXIT_FAILED;
	}
	object = json_pack("{s:o, s:i, s:i, s:o, s:s}", "scenario",
			   journal_text(file, strlen(file)), "status",
			   EXIT_FAILED, "line", (int)shared->line, "step",
			   journal_text(shared->step, strlen(shared->step)),
			   "error", what);
	(void)json_dumpf(object, stdout, JSON_COMPACT);
	(void)putchar('\n');
	json_decref(object);
	return EXIT_FAILED;
}

static int wait_child(const struct session_options *options, const char *file,
		      pid_t child, const struct session_shared *shared)
{
	int status;

	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return common_failed(options->command, "wait: %s",
					     strerror(errno));
	if (WIFSIGNALED(status))
		return say_died(options, file, strsignal(WTERMSIG(status)),
				shared);
	if (shared->why[0])
		return say_died(options, file, shared->why, shared);
	return WEXITSTATUS(status);
}

int session_child(const struct session_options *options, const char *file,
		  session_child_fn run, void *context)
{
	struct session_shared *shared;
	pid_t child;
	int status;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return common_failed(options->command, "%s", strerror(errno));
	(void)fflush(stdout);
	child = fork();
	if (child == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
		exit(common_finish(options->command, run(context, file,
							 shared)));
	}
	status = child < 0 ? common_failed(options->command, "fork: %s",
					   strerror(errno)) :
		 wait_child(options, file, child, shared);
	(void)munmap(shared, sizeof(*shared));
	return status;
}
