/* SPDX-License-Identifier: MIT */
/*
 * coldframe run: scenarios on the embedded machine.
 *
 * A file is read to its end before anything of it runs, and runs in a process
 * of its own: its memory is its own, and a check of the engine that fails
 * ends that file and no more.
 */
#include "command.h"
#include "common.h"

#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "machine/machine.h"

#define COMMAND		"coldframe run"
#define TEXT_BYTES_MAX	((size_t)16 << 20)
#define STEP_COLUMNS_MIN	30
#define STEP_COLUMNS_MAX	56
#define INDENT		11
#define PROGRESS_NS	300000000
#define PROGRESS_EVERY_NS	100000000

enum verify_when {
	VERIFY_END,
	VERIFY_STEP,
	VERIFY_OFF,
};

struct options {
	enum verify_when verify;
	uint64_t seed;
	bool json, quiet, color;
	const char *export;
};

/* What the parent must know of a child that cannot say it any more. */
struct shared {
	uint32_t line;
	char step[256];
};

/* A scenario that was read. */
struct program {
	const char *file;	/* as it was named */
	char *text;
	struct scenario scenario;
	struct step *step;
	size_t steps;
};

/* A scenario that runs. */
struct session {
	const struct options *options;
	const struct program *program;
	struct machine *machine;
	struct shared *shared;
	json_t *steps, *checks;	/* of --json */
	unsigned failed, held;	/* checks */
	bool stopped;		/* a step failed that was not to */
	uint64_t began_ns, shown_ns;	/* of the step that runs */
	bool progress;		/* a line of it stands on the terminal */
};

static const char help[] =
"usage: coldframe run [OPTION...] FILE...\n"
"\n"
"Run scenarios on the embedded machine: an engine, its memory, CPUs and\n"
"owners in one process. \"-\" reads from standard input.\n"
"\n"
"  -j, --json         one JSON object a file, one a line, instead of text\n"
"  -q, --quiet        print only what fails, and what print and say write\n"
"  -v, --verify=WHEN  check every equation of the engine after each \"step\",\n"
"                     at the \"end\" (the default), or never: \"off\"\n"
"  -s, --seed=N       seed of contents and loads; 1 unless told\n"
"  -e, --export=DIR   write proc/ and sys/ of the machine at the end\n"
"      --color=WHEN   auto, always or never\n"
"  -h, --help         print this\n"
"\n"
"Exit status: 0 all expectations hold; 1 some do not, or a step failed; 2 a\n"
"scenario is wrong (\"file:line: what\", and nothing of it has run) or the\n"
"usage is. With several files the highest.\n";

static uint64_t clock_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* ---- reading ---- */

static char *read_stream(FILE *stream, size_t *ret_bytes)
{
	size_t room = 65536, used = 0, got;
	char *text = malloc(room), *more;

	while (text) {
		got = fread(text + used, 1, room - used, stream);
		used += got;
		if (!got || used > TEXT_BYTES_MAX)
			break;
		if (used < room)
			continue;
		room *= 2;
		more = realloc(text, room);
		if (!more)
			free(text);
		text = more;
	}
	if (text && (ferror(stream) || used > TEXT_BYTES_MAX)) {
		errno = used > TEXT_BYTES_MAX ? EFBIG : errno;
		free(text);
		return NULL;
	}
	*ret_bytes = used;
	return text;
}

static char *read_file(const char *name, size_t *ret_bytes)
{
	FILE *stream = strcmp(name, "-") ? fopen(name, "r") : stdin;
	char *text;

	if (!stream)
		return NULL;
	text = read_stream(stream, ret_bytes);
	if (stream != stdin)
		(void)fclose(stream);
	return text;
}

/* Is it a character that readers of JSON take wherever it stands? */
static bool is_plain(char c)
{
	return c != '\0' && (unsigned char)c < 0x80;
}

/*
 * Text of a user's. JSON knows only UTF-8, and many of its readers no NUL: if
 * it has others, '?' stands for each byte that is not plain.
 */
static json_t *json_text(const char *text, size_t length)
{
	json_t *string = NULL;
	char *plain;
	size_t i;

	if (!memchr(text, 0, length))
		string = json_stringn(text, length);
	if (string)
		return string;
	plain = malloc(length);
	for (i = 0; plain && i < length; i++)
		plain[i] = is_plain(text[i]) ? text[i] : '?';
	if (plain)
		string = json_stringn(plain, length);
	free(plain);
	return string;
}

static json_t *json_line(const char *text)
{
	return json_text(text, strlen(text));
}

/* What is wrong with a file that does not run. */
static int say_wrong(const struct options *options, const char *file,
		     uint32_t line, const char *what)
{
	char where[32] = "";
	json_t *object;

	if (line)
		(void)snprintf(where, sizeof(where), "%u:", line);
	(void)fflush(stdout);
	(void)fprintf(stderr, "%s:%s %s\n", file, where, what);
	if (!options->json)
		return EXIT_WRONG;
	object = json_pack("{s:o, s:i, s:o}", "scenario", json_line(file),
			   "status", EXIT_WRONG, "error", json_line(what));
	if (object && line)
		(void)json_object_set_new(object, "line",
					  json_integer((json_int_t)line));
	(void)json_dumpf(object, stdout, JSON_COMPACT);
	(void)putchar('\n');
	json_decref(object);
	return EXIT_WRONG;
}

static bool add_step(struct program *program, size_t *room,
		     const struct step *step)
{
	struct step *steps;

	if (program->steps == *room) {
		*room = *room ? 2 * *room : 64;
		steps = realloc(program->step, *room * sizeof(*steps));
		if (!steps)
			return false;
		program->step = steps;
	}
	program->step[program->steps++] = *step;
	return true;
}

static int read_program(const struct options *options, struct program *program)
{
	enum scenario_read read;
	struct step step;
	size_t bytes, room = 0;

	program->text = read_file(program->file, &bytes);
	if (!program->text)
		return say_wrong(options, program->file, 0, strerror(errno));
	scenario_init(&program->scenario, program->text, bytes);
	while ((read = scenario_next(&program->scenario, &step)) ==
	       SCENARIO_STEP)
		if (!add_step(program, &room, &step))
			return say_wrong(options, program->file, 0,
					 strerror(ENOMEM));
	if (read == SCENARIO_WRONG)
		return say_wrong(options, program->file,
				 program->scenario.line,
				 program->scenario.error);
	if (!program->steps)
		return say_wrong(options, program->file, 0,
				 "there is no step in it");
	return 0;
}

/* ---- what is said of each step ---- */

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

static bool is_check(const struct step *step)
{
	return step->kind == STEP_EXPECT || step->kind == STEP_VERIFY ||
	       step->fails || step->caught;
}

static bool has_failed(const struct step *step, const struct outcome *outcome)
{
	return outcome->wrong || (outcome->err && !step->fails);
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
	bool failed = has_failed(step, outcome);
	const char *mark = failed ? "FAILED: " : !step->fails ? "" :
			   outcome->reported ? "refused: " : "fails: ";
	const char *color = failed ? RED : step->fails ? YELLOW :
			    is_check(step) ? GREEN : DIM;
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

static void add_json(struct session *session, const struct step *step,
		     const struct outcome *outcome)
{
	bool failed = has_failed(step, outcome);
	json_t *object;

	object = json_pack("{s:i, s:o, s:b, s:I}", "line", (int)step->line,
			   "step", json_text(step->source.start,
					     step->source.length),
			   "ok", !failed, "ns", (json_int_t)outcome->ns);
	if (outcome->what[0])
		(void)json_object_set_new(object, "what",
					  json_line(outcome->what));
	if (outcome->why[0])
		(void)json_object_set_new(object, "why",
					  json_line(outcome->why));
	if (outcome->err && step->kind != STEP_EXPECT)
		(void)json_object_set_new(object, "error", json_string(
			error_word((uint64_t)-outcome->err)));
	if (outcome->reported)
		(void)json_object_set_new(object, "refused",
			machine_refusal_json(session->machine, outcome));
	(void)json_array_append_new(is_check(step) ? session->checks :
						     session->steps, object);
}

static void note(struct session *session, const struct step *step,
		 const struct outcome *outcome)
{
	bool failed = has_failed(step, outcome);

	end_progress(session);
	if (is_check(step)) {
		session->failed += failed;
		session->held += !failed;
	}
	/* What comes after a step that was to work makes no sense. */
	session->stopped |= failed && !is_check(step);
	print_step(session, step, outcome);
	if (session->options->json)
		add_json(session, step, outcome);
}

/* ---- running ---- */

/* A step of our own that stands in no file: it is noted when it fails. */
static void extra_check(struct session *session, const struct step *after,
			const char *name, bool holds, const char *why)
{
	struct step step = {
		.kind = STEP_VERIFY,
		.line = after->line,
		.source = { name, strlen(name) },
	};
	struct outcome outcome = { .wrong = !holds };

	(void)snprintf(outcome.why, sizeof(outcome.why), "%s",
		       holds ? "" : why);
	if (!holds || session->options->json)
		note(session, &step, &outcome);
	else
		session->held++;
}

static void verify(struct session *session, const struct step *after)
{
	char why[256] = "";
	bool holds = machine_verify(session->machine, why, sizeof(why));

	extra_check(session, after, "(verify)", holds, why);
	session->stopped |= !holds;
}

static void run_steps(struct session *session)
{
	const struct program *program = session->program;
	struct outcome outcome;
	size_t i;

	for (i = 0; i < program->steps && !session->stopped; i++) {
		const struct step *step = &program->step[i];
		size_t length = step->source.length;

		if (length >= sizeof(session->shared->step))
			length = sizeof(session->shared->step) - 1;
		(void)memcpy(session->shared->step, step->source.start,
			     length);
		session->shared->step[length] = '\0';
		session->shared->line = step->line;
		session->began_ns = clock_ns();
		machine_step(session->machine, step, &outcome);
		note(session, step, &outcome);
		if (session->options->verify == VERIFY_STEP &&
		    !session->stopped && step->kind != STEP_SAY)
			verify(session, step);
	}
	if (session->stopped && i < program->steps && !session->options->json)
		(void)printf("       stopped: %zu step%s did not run\n",
			     program->steps - i,
			     program->steps - i == 1 ? "" : "s");
}

static void finish(struct session *session)
{
	const struct options *options = session->options;
	const struct step *last = &session->program->step[
					session->program->steps - 1];
	char why[512] = "";

	if (!machine_is_on(session->machine))
		return;
	if (!machine_finish(session->machine, why, sizeof(why)))
		extra_check(session, last, "(the load's contents)", false,
			    why);
	if (options->verify != VERIFY_OFF)
		verify(session, last);
	if (options->export &&
	    machine_export(session->machine, options->export, why,
			   sizeof(why)))
		extra_check(session, last, "(--export)", false, why);
}

static int status_of(const struct session *session)
{
	return session->failed || session->stopped ? EXIT_FAILED : EXIT_OK;
}

static void print_summary(struct session *session)
{
	unsigned all = session->failed + session->held;

	if (!session->options->quiet && machine_is_on(session->machine)) {
		(void)putchar('\n');
		(void)machine_print(session->machine, PRINT_ALL, stdout);
		(void)putchar('\n');
	}
	if (session->options->quiet && !status_of(session))
		return;
	(void)printf("%s%s: %zu steps, %u of %u checks hold%s%s\n",
		     paint(session, status_of(session) ? RED : GREEN),
		     session->program->file, session->program->steps,
		     session->held, all, session->stopped ?
		     ", and a step failed" : "", paint(session, PLAIN));
}

static void print_json(struct session *session)
{
	json_t *report = json_pack("{s:o, s:i, s:I, s:O, s:O}", "scenario",
				   json_line(session->program->file),
				   "status", status_of(session), "seed",
				   (json_int_t)session->options->seed,
				   "steps", session->steps, "checks",
				   session->checks);
	json_t *machine;

	if (machine_is_on(session->machine)) {
		machine = machine_json(session->machine);
		(void)json_object_update(report, machine);
		json_decref(machine);
	}
	(void)json_dumpf(report, stdout, JSON_COMPACT);
	(void)putchar('\n');
	json_decref(report);
}

static int run_program(const struct options *options,
		       const struct program *program, struct shared *shared)
{
	struct session session = {
		.options = options,
		.program = program,
		.shared = shared,
	};
	struct machine_config config = {
		.seed = options->seed,
		.names = program->scenario.name,
		.names_count = program->scenario.names,
		.out = options->json ? NULL : stdout,
		.context = &session,
	};
	int status;

	if (isatty(STDERR_FILENO) && !options->json && !options->quiet)
		config.progress = show_progress;
	session.steps = json_array();
	session.checks = json_array();
	session.machine = machine_create(&config);
	if (!session.machine || !session.steps || !session.checks)
		return common_failed(COMMAND, "%s", strerror(ENOMEM));
	if (!options->json && !options->quiet)
		(void)printf("%s\n", program->file);
	run_steps(&session);
	finish(&session);
	if (options->json)
		print_json(&session);
	else
		print_summary(&session);
	status = status_of(&session);
	machine_destroy(session.machine);
	json_decref(session.steps);
	json_decref(session.checks);
	return status;
}

/* In the child: read it, then run it. */
static int run_file(const struct options *options, const char *file,
		    struct shared *shared)
{
	struct program program = { .file = file };
	int status;

	status = read_program(options, &program);
	if (!status)
		status = run_program(options, &program, shared);
	free(program.step);
	free(program.text);
	return common_finish(COMMAND, status);
}

/* The child is gone without an answer: say so in its place. */
static int say_died(const struct options *options, const char *file, int how,
		    const struct shared *shared)
{
	const char *what = strsignal(how);
	json_t *object;

	if (!options->json) {
		(void)printf("%s:%u: the machine died (%s) at: %s\n", file,
			     shared->line, what, shared->step);
		return EXIT_FAILED;
	}
	object = json_pack("{s:o, s:i, s:i, s:o, s:s}", "scenario",
			   json_line(file), "status", EXIT_FAILED, "line",
			   (int)shared->line, "step", json_line(shared->step),
			   "error", what);
	(void)json_dumpf(object, stdout, JSON_COMPACT);
	(void)putchar('\n');
	json_decref(object);
	return EXIT_FAILED;
}

static int run_child(const struct options *options, const char *file,
		     struct shared *shared)
{
	pid_t child;
	int status;

	(void)memset(shared, 0, sizeof(*shared));
	(void)fflush(stdout);
	child = fork();
	if (child < 0)
		return common_failed(COMMAND, "fork: %s", strerror(errno));
	if (child == 0)
		exit(run_file(options, file, shared));
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return common_failed(COMMAND, "wait: %s",
					     strerror(errno));
	if (WIFSIGNALED(status))
		return say_died(options, file, WTERMSIG(status), shared);
	return WEXITSTATUS(status);
}

/* ---- options ---- */

static int parse_verify(const char *text, struct options *options)
{
	if (!strcmp(text, "step"))
		options->verify = VERIFY_STEP;
	else if (!strcmp(text, "end"))
		options->verify = VERIFY_END;
	else if (!strcmp(text, "off"))
		options->verify = VERIFY_OFF;
	else
		return common_wrong(COMMAND, "--verify is step, end or off,"
				    " not '%s'", text);
	return EXIT_OK;
}

static int parse_seed(const char *text, struct options *options)
{
	char *end;

	errno = 0;
	options->seed = strtoull(text, &end, 0);
	if (errno || end == text || *end || strchr(text, '-'))
		return common_wrong(COMMAND, "--seed is a number, not '%s'",
				    text);
	return EXIT_OK;
}

static int parse_option(int option, struct options *options)
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
		return parse_verify(optarg, options);
	case 's':
		return parse_seed(optarg, options);
	case 'e':
		options->export = optarg;
		return EXIT_OK;
	case 'C':
		if (!common_color_parse(optarg, &color))
			return common_wrong(COMMAND, "--color is auto, always"
					    " or never, not '%s'", optarg);
		options->color = common_color_use(color);
		return EXIT_OK;
	default:
		return common_try_help(COMMAND);
	}
}

/* Returns -1 to go on. */
static int parse_options(int argc, char **argv, struct options *options)
{
	static const struct option words[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "verify", required_argument, NULL, 'v' },
		{ "seed", required_argument, NULL, 's' },
		{ "export", required_argument, NULL, 'e' },
		{ "color", required_argument, NULL, 'C' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int option, status;

	options->color = common_color_use(COLOR_AUTO);
	while ((option = getopt_long(argc, argv, "jqv:s:e:h", words, NULL)) !=
	       -1) {
		if (option == 'h') {
			(void)fputs(help, stdout);
			return common_finish(COMMAND, EXIT_OK);
		}
		status = parse_option(option, options);
		if (status)
			return status;
	}
	if (optind == argc)
		return common_wrong(COMMAND, "which scenario?");
	if (options->export && argc - optind > 1)
		return common_wrong(COMMAND, "--export takes one scenario");
	return -1;
}

int cmd_run(int argc, char **argv)
{
	struct options options = { .verify = VERIFY_END, .seed = 1 };
	struct shared *shared;
	int status, highest = EXIT_OK, i;

	status = parse_options(argc, argv, &options);
	if (status >= 0)
		return status;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return common_failed(COMMAND, "%s", strerror(errno));
	for (i = optind; i < argc; i++) {
		if (i > optind && !options.json && !options.quiet)
			(void)putchar('\n');
		status = run_child(&options, argv[i], shared);
		if (status > highest)
			highest = status;
	}
	(void)munmap(shared, sizeof(*shared));
	return common_finish(COMMAND, highest);
}
