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
	uint32_t ops;		/* a seed; 0: drawn */
	double seconds;
	const char *replay;
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
	static const uint32_t counts[] = { 40, 120, 400 };
	char source[32];
	uint32_t count;

	random_seed(seed);
	memset(list, 0, sizeof(*list));
	setup_draw(&list->setup);
	count = options->ops ? options->ops : counts[random_below(3)];
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

static void run_seeds(const struct options *options, struct list *list)
{
	double end = now() + options->seconds;
	uint64_t seed = options->seed;
	uint64_t ops = 0, frames = 0;
	bool good = true;

	while (good && (options->seeds ? seed < options->seed + options->seeds
				       : now() < end)) {
		good = run_seed(options, seed++, list);
		stats_add();
		ops += list->count;
		frames += verdict->frames_compared;
	}
	if (options->stats)
		stats_print();
	tap_ok(good,
	       "seeds %llu to %llu: %llu operations, %llu frames compared",
	       (unsigned long long)options->seed,
	       (unsigned long long)(seed - 1), (unsigned long long)ops,
	       (unsigned long long)frames);
}

static void replay(const struct options *options, struct list *list)
{
	bool good = list_run(list, 0);

	if (!good)
		printf("# operation %u of %u: %s\n", verdict->at, list->count,
		       verdict->text);
	tap_ok(good, "replay of %s", options->replay);
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

static const char usage[] =
	"usage: model [--seed N] [--seeds N] [--ops N] [--seconds S]\n"
	"             [--print] [--stats] [--no-shrink]\n"
	"             [--without OPERATION]...\n"
	"       model --replay FILE\n"
	"       model [--print] [--no-shrink] --bytes FILE\n";

static struct options parse(int argc, char **argv)
{
	static const struct option names[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "seeds", required_argument, NULL, 'n' },
		{ "ops", required_argument, NULL, 'o' },
		{ "seconds", required_argument, NULL, 't' },
		{ "replay", required_argument, NULL, 'r' },
		{ "bytes", required_argument, NULL, 'b' },
		{ "print", no_argument, NULL, 'p' },
		{ "stats", no_argument, NULL, 'c' },
		{ "no-shrink", no_argument, NULL, 'k' },
		{ "without", required_argument, NULL, 'w' },
		{ NULL, 0, NULL, 0 },
	};
	struct options options = {
		.seed = 1, .seconds = 1, .shrink = true,
	};
	int name;

	while ((name = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (name == 's')
			options.seed = strtoull(optarg, NULL, 0);
		else if (name == 'n')
			options.seeds = strtoull(optarg, NULL, 0);
		else if (name == 'o')
			options.ops = (uint32_t)strtoul(optarg, NULL, 0);
		else if (name == 't')
			options.seconds = strtod(optarg, NULL);
		else if (name == 'r')
			options.replay = optarg;
		else if (name == 'b')
			options.bytes = optarg;
		else if (name == 'p')
			options.print = true;
		else if (name == 'c')
			options.stats = true;
		else if (name == 'k')
			options.shrink = false;
		else if (name == 'w' && op_forbid(optarg))
			continue;
		else
			fputs(usage, stderr), exit(2);
	}
	if (optind < argc || options.ops > OPS_MAX)
		fputs(usage, stderr), exit(2);
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
	tap_plan(1);
	if (options.replay && list_parse(options.replay, &list))
		replay(&options, &list);
	else if (options.replay ||
		 (options.bytes && !run_bytes(&options, &list)))
		return 2;
	else if (!options.bytes)
		run_seeds(&options, &list);
	return tap_done();
}
