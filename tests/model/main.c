/* SPDX-License-Identifier: MIT */
/*
 * Random operations on the engine and on a slow obvious model of it, compared
 * frame by frame; what fails is shrunk to a short list that replays.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "../tap.h"
#include "ops.h"

struct options {
	uint64_t seed;		/* the first */
	uint64_t seeds;		/* how many, 0: while there is time */
	uint64_t stride;	/* from one seed to the next */
	bool full;		/* long lists as well */
	bool progress;		/* a line each second */
	uint32_t ops;		/* a seed; 0: drawn */
	double seconds;
	char **replay;		/* paths, up to a NULL */
	const char *bytes;
	bool print;		/* the list of each seed */
	bool shrink;		/* what fails */
	bool stats;		/* what was done how often */
};

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void print(const struct list *list)
{
	list_print(list);
	list_say(list);
}

static void report(struct list *list, const char *source, bool shrink)
{
	printf("# %s, operation %u of %u: %s\n", source, verdict->at,
	       list->count, verdict->text);
	fflush(stdout);
	if (!shrink)
		return;
	list_shrink(list);
	printf("# shrunk to %u operations: %s\n", list->count, verdict->text);
	print(list);
	fflush(stdout);
}

static bool run_seed(const struct options *options, uint64_t seed,
		     struct list *list)
{
	static const uint32_t counts[] = { 40, 120, 400, 1500, OPS_MAX };
	char source[32];
	uint32_t count;

	random_seed(seed);
	memset(list, 0, sizeof(*list));
	setup_draw(&list->setup);
	count = options->ops ? options->ops : 
					counts[random_below(options->full ?
							    5 : 3)];
	if (list_run(list, count)) {
		if (options->print)
			print(list);
		return true;
	}
	snprintf(source, sizeof(source), "seed %llu",
		 (unsigned long long)seed);
	report(list, source, options->shrink);
	return false;
}

/* What all seeds so far came to. */
struct tally {
	uint64_t runs, ops, frames;
};

static void say_progress(const struct tally *tally, uint64_t seed)
{
	printf("# at seed %llu: %llu runs, %llu operations, %llu frames\n",
	       (unsigned long long)seed, (unsigned long long)tally->runs,
	       (unsigned long long)tally->ops,
	       (unsigned long long)tally->frames);
	fflush(stdout);
}

static void run_seeds(const struct options *options, struct list *list)
{
	double end = now() + options->seconds;
	uint64_t seed = options->seed;
	struct tally tally = { 0 };
	double said = now();
	bool good = true;

	while (good && (options->seeds ? tally.runs < options->seeds :
			now() < end)) {
		seed = options->seed + tally.runs++ * options->stride;
		good = run_seed(options, seed, list);
		stats_add();
		tally.ops += list->count;
		tally.frames += verdict->frames_compared;
		if (options->progress && now() > said + 1) {
			say_progress(&tally, seed);
			said = now();
		}
	}
	if (options->progress)
		say_progress(&tally, seed);
	if (options->stats)
		stats_print();
	tap_ok(good,
	       "seeds %llu to %llu: %llu operations, %llu frames compared",
	       (unsigned long long)options->seed, (unsigned long long)seed,
	       (unsigned long long)tally.ops,
	       (unsigned long long)tally.frames);
}

static bool replay(const char *path, struct list *list)
{
	bool good;

	if (!list_parse(path, list))
		return false;
	good = list_run(list, 0);
	if (!good)
		printf("# operation %u of %u: %s\n", verdict->at, list->count,
		       verdict->text);
	tap_ok(good, "replay of %s", path);
	return true;
}

/* What a fuzzer drew, in the way model_bytes() does it. */
static bool run_bytes(const struct options *options, struct list *list)
{
	static uint8_t bytes[1 << 20];
	FILE *file = fopen(options->bytes, "rb");
	size_t count;
	bool good;

	if (!file) {
		perror(options->bytes);
		return false;
	}
	count = fread(bytes, 1, sizeof(bytes), file);
	fclose(file);
	random_bytes(bytes, count);
	setup_draw(&list->setup);
	good = list_run(list, OPS_MAX);
	if (!good)
		report(list, options->bytes, options->shrink);
	else if (options->print)
		print(list);
	tap_ok(good, "%s: %u operations", options->bytes, list->count);
	return true;
}

__attribute__((noreturn)) static void usage(void)
{
	fputs("usage: model [--seed N] [--seeds N] [--stride N] [--ops N]\n"
	      "             [--seconds S] [--long] [--without OPERATION]...\n"
	      "             [--print] [--stats] [--progress] [--no-shrink]\n"
	      "       model --replay FILE...\n"
	      "       model [--print] [--no-shrink] --bytes FILE\n", stderr);
	exit(2);
}

static const struct option names[] = {
	{ "seed", required_argument, NULL, 's' },
	{ "seeds", required_argument, NULL, 'n' },
	{ "stride", required_argument, NULL, 'd' },
	{ "ops", required_argument, NULL, 'o' },
	{ "seconds", required_argument, NULL, 't' },
	{ "long", no_argument, NULL, 'l' },
	{ "without", required_argument, NULL, 'w' },
	{ "print", no_argument, NULL, 'p' },
	{ "stats", no_argument, NULL, 'c' },
	{ "progress", no_argument, NULL, 'g' },
	{ "no-shrink", no_argument, NULL, 'k' },
	{ "replay", no_argument, NULL, 'r' },
	{ "bytes", required_argument, NULL, 'b' },
	{ NULL, 0, NULL, 0 },
};

static uint64_t number(void)
{
	char *end;
	uint64_t value = strtoull(optarg, &end, 0);

	if (end == optarg || *end)
		usage();
	return value;
}

/* tidy: long, for it is one case after the other. */
static void set_option(struct options *options, int name)
{
	static char *none[] = { NULL };

	switch (name) {
	case 'r':
		options->replay = none;
		break;
	case 's':
		options->seed = number();
		break;
	case 'n':
		options->seeds = number();
		break;
	case 'd':
		options->stride = number();
		break;
	case 'o':
		options->ops = (uint32_t)number();
		break;
	case 't':
		options->seconds = strtod(optarg, NULL);
		break;
	case 'l':
		options->full = true;
		break;
	case 'w':
		if (!op_forbid(optarg))
			usage();
		break;
	case 'p':
		options->print = true;
		break;
	case 'c':
		options->stats = true;
		break;
	case 'g':
		options->progress = true;
		break;
	case 'k':
		options->shrink = false;
		break;
	case 'b':
		options->bytes = optarg;
		break;
	default:
		usage();
	}
}

static struct options parse(int argc, char **argv)
{
	struct options options = {
		.seed = 1, .stride = 1, .seconds = 1, .shrink = true,
	};
	int name;

	while ((name = getopt_long(argc, argv, "", names, NULL)) != -1)
		set_option(&options, name);
	if (options.replay)
		options.replay = argv + optind;
	if (options.ops > OPS_MAX || (options.replay ? optind == argc :
				      optind < argc))
		usage();
	return options;
}

int main(int argc, char **argv)
{
	struct options options = parse(argc, argv);
	static struct list list;

	verdict = mmap(NULL, sizeof(*verdict), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (verdict == MAP_FAILED) {
		tap_bail("no shared memory");
		return 1;
	}
	if (options.bytes) {
		if (!run_bytes(&options, &list))
			return 2;
	} else if (!options.replay) {
		run_seeds(&options, &list);
	}
	while (options.replay && *options.replay) {
		if (!replay(*options.replay++, &list))
			return 2;
	}
	return tap_done();
}
