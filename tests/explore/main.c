/* SPDX-License-Identifier: MIT */

/*
 * explore: runs programs under every schedule and tells what it found.
 */

#include "engine.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct options {
	struct search_options search;
	const char *replay, *litmus;
	const char *fails;	/* the failure that must be found, or NULL */
	bool list, quick, tap, keep_bound, show;
} options = {
	.search = { .seconds_more = 2 },
};

static unsigned passed, failed;

static const struct explore_program *const *groups(unsigned number)
{
	return explore_groups[number];
}

static const struct explore_program *find_program(const char *name)
{
	unsigned group, i;

	for (group = 0; groups(group); group++)
		for (i = 0; groups(group)[i]; i++)
			if (strcmp(groups(group)[i]->name, name) == 0)
				return groups(group)[i];
	return NULL;
}

static void print_counts(const struct explore_program *program,
			 const struct search_result *result)
{
	printf("%s%s: %llu explored, %llu blocked, %llu pruned, ",
	       options.tap ? "# " : "", program->name,
	       (unsigned long long)result->explored,
	       (unsigned long long)result->blocked,
	       (unsigned long long)result->pruned);
	if (result->bound)
		printf("%llu beyond %u preemptions (bounded), ",
		       (unsigned long long)result->bounded, result->bound);
	if (result->abandoned)
		printf("%llu set aside, ",
		       (unsigned long long)result->abandoned);
	if (result->promised)
		printf("%llu by promises, ",
		       (unsigned long long)result->promised);
	printf("%llu states, %llu shared words, %.2f s%s\n",
	       (unsigned long long)result->states,
	       (unsigned long long)result->words, result->seconds,
	       result->complete || result->failed ? "" : ", not finished");
}

static void print_failure(const struct explore_program *program,
			  const struct search_result *result)
{
	printf("%s fails: %s\n", program->name, result->failure.text);
	trace_print(stdout, &result->graph, &result->failure);
	printf("replay it with: explore --replay '");
	trace_encode(stdout, &result->graph, &result->failure);
	printf("' %s\n", program->name);
}

static void verdict(const struct explore_program *program, bool good,
		    const char *why)
{
	if (good)
		passed++;
	else
		failed++;
	if (options.tap)
		printf("%sok %u - %s%s%s\n", good ? "" : "not ",
		       passed + failed, program->name, *why ? ": " : "", why);
	else if (!good)
		printf("FAILED: %s: %s\n", program->name, why);
	fflush(stdout);
}

/*
 * What is not atomic runs along with the step before it, so of a race the
 * one side may be told or the other.
 */
static bool is_same_failure(const char *text, const char *other)
{
	return strcmp(text, other) == 0 ||
	       (strncmp(text, "data race", 9) == 0 &&
		strncmp(other, "data race", 9) == 0);
}

/* Does the replay that is printed fail in the same way? */
static bool replays(const struct explore_program *program,
		    const struct search_result *result)
{
	struct search_result again;
	char *text = NULL;
	size_t bytes;
	FILE *file = open_memstream(&text, &bytes);
	bool same;

	trace_encode(file, &result->graph, &result->failure);
	fclose(file);
	same = trace_replay(program, text, &again) && again.failed &&
	       is_same_failure(again.failure.text, result->failure.text);
	graph_free(&again.graph);
	free(text);
	return same;
}

/* A failure that had to be found. */
static bool judge_found(const struct explore_program *program,
			const struct search_result *result, char *why,
			size_t bytes)
{
	const char *wanted = options.fails ? options.fails : program->fails;
	bool good = false;

	if (!result->failed || !strstr(result->failure.text, wanted))
		snprintf(why, bytes, "not found: %s, but: %s", wanted,
			 result->failed ? result->failure.text : "nothing");
	else if (!options.fails && result->preemptions > program->preemptions)
		snprintf(why, bytes, "found with %u preemptions, not %u",
			 result->preemptions, program->preemptions);
	else if (!replays(program, result))
		snprintf(why, bytes, "found, but its replay is another: %s",
			 result->failure.text);
	else
		good = true;
	if (good)
		snprintf(why, bytes, "found: %s", result->failure.text);
	return good;
}

static void judge(const struct explore_program *program,
		  const struct search_result *result)
{
	char why[512] = "";
	bool good = false;

	if (options.fails || program->fails) {
		good = judge_found(program, result, why, sizeof(why));
	} else if (result->failed) {
		snprintf(why, sizeof(why), "%s", result->failure.text);
	} else if (!result->explored) {
		snprintf(why, sizeof(why), "no execution came to its end");
	} else if (result->twice) {
		snprintf(why, sizeof(why), "%llu executions came twice",
			 (unsigned long long)result->twice);
	} else if (program->outcomes &&
		   strcmp(program->outcomes, litmus_seen()) != 0) {
		snprintf(why, sizeof(why), "saw %s, not %s", litmus_seen(),
			 program->outcomes);
	} else if (!result->complete) {
		snprintf(why, sizeof(why), "not finished");
	} else {
		good = true;
		if (result->bound)
			snprintf(why, sizeof(why), "bounded");
	}
	verdict(program, good, why);
}

static void run_one(const struct explore_program *program)
{
	struct search_options how = options.search;
	struct search_result result;

	if (!options.keep_bound)
		how.bound = program->bound;
	how.promises = how.promises || program->outcomes;
	if (program->fails)
		how.seconds_more = 0;
	litmus_forget();
	search(program, &how, &result);
	print_counts(program, &result);
	if (result.failed &&
	    (options.show || (!options.fails && !program->fails)))
		print_failure(program, &result);
	judge(program, &result);
	graph_free(&result.graph);
}

static void replay_one(const struct explore_program *program)
{
	struct search_result result;

	if (!trace_replay(program, options.replay, &result)) {
		fprintf(stderr, "explore: the replay is not one of %s; copy "
			"the whole text after --replay\n", program->name);
		exit(2);
	}
	trace_print(stdout, &result.graph,
		    result.failed ? &result.failure : NULL);
	verdict(program, !result.failed, result.failure.text);
	graph_free(&result.graph);
}

/* Outcomes, for who compares. */
static int run_litmus(void)
{
	const struct explore_program *program = litmus_parse(options.litmus);

	if (!program) {
		fprintf(stderr, "explore: '%s' is no litmus program; --help "
			"shows one\n", options.litmus);
		return 2;
	}
	run_one(program);
	printf("outcomes: %s\n", litmus_seen());
	return failed ? 1 : 0;
}

static void list(void)
{
	unsigned group, i;

	for (group = 0; groups(group); group++)
		for (i = 0; groups(group)[i]; i++) {
			const struct explore_program *program =
				groups(group)[i];

			if (options.quick && !program->quick)
				continue;
			printf("%-28s %s", program->name, program->worry);
			if (program->bound)
				printf(" (bounded: %u preemptions)",
				       program->bound);
			printf("\n");
		}
}

/* Names are how programs are asked for. */
static void check_names(void)
{
	unsigned group, i;

	for (group = 0; groups(group); group++)
		for (i = 0; groups(group)[i]; i++)
			if (find_program(groups(group)[i]->name) !=
			    groups(group)[i]) {
				fprintf(stderr, "explore: two programs are "
					"named '%s'\n",
					groups(group)[i]->name);
				exit(2);
			}
}

static void run_all(void)
{
	unsigned group, i;

	for (group = 0; groups(group); group++)
		for (i = 0; groups(group)[i]; i++)
			if (!options.quick || groups(group)[i]->quick)
				run_one(groups(group)[i]);
}

static const char usage[] =
	"usage: explore [OPTION...] [PROGRAM...]\n"
	"\n"
	"Runs each program (all without names) under every schedule and with\n"
	"every value that a load may return.\n"
	"\n"
	"  -l, --list         names and what each program settles\n"
	"  -q, --quick        only the programs that take little time\n"
	"  -b, --bound=N      schedules with at most N preemptions; 0: all\n"
	"  -m, --most=N       stop after N executions\n"
	"  -f, --fails=TEXT   a failure that has TEXT in it must be found\n"
	"      --promises     loads may also read, one at a time, from stores\n"
	"                     that come later and do not depend on them\n"
	"  -r, --replay=TEXT  run one schedule, as printed at a failure\n"
	"      --litmus=TEXT  run 'Sxr1;Lya|Sys1;Lxs' and the like: threads\n"
	"                     apart by '|'; L loads, S stores, A adds, C\n"
	"                     exchanges; r a l b s are the orders\n"
	"  -s, --show         print also the failures that must be found\n"
	"  -t, --tap          results as the Test Anything Protocol has them\n"
	"  -u, --unique       check that no execution comes twice\n"
	"  -p, --progress     draw a bar, terminal or not\n"
	"  -h, --help         this text\n"
	"\n"
	"Exit status: 0 all as it should be; 1 something failed; 2 wrong\n"
	"usage.\n";

static unsigned long number(const char *text)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno || end == text || *end || *text == '-') {
		fprintf(stderr, "explore: '%s' is not a number\n", text);
		exit(2);
	}
	return value;
}

static void set_option(int option)
{
	switch (option) {
	case 'l':
		options.list = true;
		break;
	case 'q':
		options.quick = true;
		break;
	case 'b':
		options.search.bound = (unsigned)number(optarg);
		options.keep_bound = true;
		break;
	case 'm':
		options.search.most = number(optarg);
		break;
	case 'f':
		options.fails = optarg;
		options.search.seconds_more = 0;
		break;
	case 'r':
		options.replay = optarg;
		break;
	case 't':
		options.tap = true;
		break;
	case 'u':
		options.search.hashes = true;
		break;
	case 'L':
		options.litmus = optarg;
		break;
	case 's':
		options.show = true;
		break;
	case 'P':
		options.search.promises = true;
		break;
	case 'p':
		options.search.progress = true;
		break;
	case 'h':
		fputs(usage, stdout);
		exit(0);
	default:
		fputs(usage, stderr);
		exit(2);
	}
}

static void parse(int argc, char **argv)
{
	static const struct option known[] = {
		{ "list", no_argument, NULL, 'l' },
		{ "quick", no_argument, NULL, 'q' },
		{ "bound", required_argument, NULL, 'b' },
		{ "most", required_argument, NULL, 'm' },
		{ "fails", required_argument, NULL, 'f' },
		{ "replay", required_argument, NULL, 'r' },
		{ "tap", no_argument, NULL, 't' },
		{ "unique", no_argument, NULL, 'u' },
		{ "litmus", required_argument, NULL, 'L' },
		{ "show", no_argument, NULL, 's' },
		{ "promises", no_argument, NULL, 'P' },
		{ "progress", no_argument, NULL, 'p' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	options.search.progress = isatty(STDERR_FILENO);
	while ((option = getopt_long(argc, argv, "lqb:m:f:r:stuph", known,
				     NULL)) != -1)
		set_option(option);
}

int main(int argc, char **argv)
{
	const struct explore_program *program;
	int i;

	parse(argc, argv);
	run_catch_crashes();
	check_names();
	for (i = optind; i < argc; i++)
		if (!find_program(argv[i])) {
			fprintf(stderr, "explore: no program '%s'; --list "
				"names them\n", argv[i]);
			return 2;
		}
	if (options.replay && argc - optind != 1) {
		fprintf(stderr, "explore: --replay wants one program\n");
		return 2;
	}
	if (options.litmus)
		return run_litmus();
	if (options.list) {
		list();
		return 0;
	}
	for (i = optind; i < argc; i++) {
		program = find_program(argv[i]);
		if (options.replay)
			replay_one(program);
		else
			run_one(program);
	}
	if (optind == argc)
		run_all();
	if (options.tap)
		printf("1..%u\n", passed + failed);
	return failed ? 1 : 0;
}
