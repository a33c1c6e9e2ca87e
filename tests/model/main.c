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
	bool print;		/* the list of each seed */
	bool shrink;		/* what fails */
};

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static struct setup draw_setup(void)
{
	struct setup setup = {
		.block_order = 10 + (random_chance(35) ? random_below(3) : 0),
		.nodes = 1 + random_below(NODES_MAX),
		.cpus = 1 + random_below(CPUS_MAX),
		.poison_max = 1 + random_below(12),
		.no_caches = random_chance(25),
		.debug_pagealloc = random_chance(25),
		.fenced = random_chance(50),
		.every = random_chance(50) ? 1 : 1 + random_below(20),
	};

	setup.blocks = 2 + random_below(setup.block_order == 10 ? 8 :
					setup.block_order == 11 ? 5 : 3);
	return setup;
}

static void report(struct list *list, uint64_t seed, bool shrink)
{
	printf("# seed %llu, operation %u of %u: %s\n",
	       (unsigned long long)seed, verdict->at, list->count,
	       verdict->text);
	fflush(stdout);
	if (!shrink)
		return;
	list_shrink(list);
	printf("# shrunk to %u operations: %s\n", list->count, verdict->text);
	list_print(list);
	list_say(list);
	fflush(stdout);
}

static bool run_seed(const struct options *options, uint64_t seed,
		     struct list *list)
{
	static const uint32_t counts[] = { 40, 120, 400 };
	uint32_t count;

	random_seed(seed);
	memset(list, 0, sizeof(*list));
	list->setup = draw_setup();
	count = options->ops ? options->ops : counts[random_below(3)];
	if (list_run(list, count)) {
		if (options->print) {
			list_print(list);
			list_say(list);
		}
		return true;
	}
	report(list, seed, options->shrink);
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
		ops += list->count;
		frames += verdict->frames_compared;
	}
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

static const char usage[] =
	"usage: model [--seed N] [--seeds N] [--ops N] [--seconds S]\n"
	"             [--print] [--no-shrink] [--without OPERATION]...\n"
	"       model --replay FILE\n";

static struct options parse(int argc, char **argv)
{
	static const struct option names[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "seeds", required_argument, NULL, 'n' },
		{ "ops", required_argument, NULL, 'o' },
		{ "seconds", required_argument, NULL, 't' },
		{ "replay", required_argument, NULL, 'r' },
		{ "print", no_argument, NULL, 'p' },
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
		else if (name == 'p')
			options.print = true;
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
	if (!options.replay)
		run_seeds(&options, &list);
	else if (list_parse(options.replay, &list))
		replay(&options, &list);
	else
		return 2;
	return tap_done();
}
