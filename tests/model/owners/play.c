/* SPDX-License-Identifier: MIT */
/*
 * Runs of calls: each in a child, so that any end of it is a result; made
 * shorter while they fail at the same place, and told by seed and numbers.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "play.h"

#define CALLS_MAX	2000
#define NAMES		32
#define CHILD_SECONDS	120
#define SEEDS_MIN	25	/* on a slow machine, too: each call works */
#define SHRINK_SECONDS	60

/* What a run came to; shared with the child it ran in. */
static struct verdict {
	bool failed;
	int place;		/* the line, or the status it ended with */
	uint32_t at;		/* the call it was */
	char text[400];
	struct tally {
		char name[28];
		uint64_t good, bad;
	} tally[NAMES];
} *verdict;

struct list {
	uint64_t seed;
	uint32_t count;
	uint32_t number[CALLS_MAX];
};

static struct {
	uint64_t seed;
	uint32_t calls;
	double seconds;
	const char *only;	/* numbers of calls, or NULL: all */
	bool print, stats;
} options = { .seed = 1, .calls = 150, .seconds = 1 };

static const struct play *played;
static bool traced;

/* ---- numbers ---- */

static uint64_t state = 1;

static uint64_t mix(uint64_t value)
{
	value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
	return value ^ value >> 31;
}

static void reseed(uint64_t seed, uint64_t number)
{
	state = mix(seed * UINT64_C(0x9e3779b97f4a7c15) + mix(number + 1)) | 1;
}

/* xorshift64* */
uint32_t draw(uint32_t limit)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (uint32_t)((state * UINT64_C(0x2545f4914f6cdd1d)) >> 33) %
	       limit;
}

bool draw_chance(unsigned percent)
{
	return draw(100) < percent;
}

/* ---- judging ---- */

void play_fail(const char *file, int line, const char *format, ...)
{
	va_list arguments;
	int used = snprintf(verdict->text, sizeof(verdict->text), "%s:%d: ",
			    file, line);

	va_start(arguments, format);
	(void)vsnprintf(verdict->text + used,
			sizeof(verdict->text) - (size_t)used, format,
			arguments);
	va_end(arguments);
	verdict->failed = true;
	verdict->place = line;
	(void)fflush(stdout);
	_exit(1);
}

static void count(const char *call, bool good)
{
	struct tally *tally = verdict->tally;

	while (tally->name[0] && strcmp(tally->name, call) != 0)
		if (++tally == verdict->tally + NAMES)
			play_fail(__FILE__, __LINE__, "too many names");
	(void)snprintf(tally->name, sizeof(tally->name), "%s", call);
	tally->good += good;
	tally->bad += !good;
}

bool play_told(const char *call, int err, uint32_t codes, const char *format,
	       ...)
{
	va_list arguments;

	count(call, !err);
	if (traced) {
		printf("# %4u: %s", verdict->at, call);
		va_start(arguments, format);
		(void)vprintf(format, arguments);
		va_end(arguments);
		printf(": %s\n", err ? cf_strerror(err) : "done");
		(void)fflush(stdout);
	}
	/* The code is the place: one failure is not another. */
	if (err > 0 || !(codes >> -err & 1))
		play_fail(call, err, "%s; the set of codes is %#x",
			  err ? cf_strerror(err) : "done", codes);
	return !err;
}

/* ---- memory ---- */

static uint64_t *word_of(cf_pfn pfn)
{
	return (uint64_t *)(void *)(m.memory.base +
				    (size_t)pfn * CF_FRAME_BYTES);
}

void play_stamp(cf_pfn pfn, uint64_t mark)
{
	*word_of(pfn) = mark;
}

uint64_t play_mark(cf_pfn pfn)
{
	return *word_of(pfn);
}

void *play_room(size_t bytes)
{
	void *room = aligned_alloc(16, (bytes + 15) & ~(size_t)15);

	REQUIRE(room);
	return room;
}

/* ---- running ---- */

static void run_here(const struct list *list)
{
	uint32_t i;

	reseed(list->seed, 0);
	verdict->at = 0;
	played->begin();
	played->compare();
	for (i = 0; i < list->count; i++) {
		verdict->at = list->number[i];
		reseed(list->seed, verdict->at);
		played->call();
		played->compare();
	}
	reseed(list->seed, UINT64_MAX - 1);
	played->end();
	REQUIRE(!tap.broken);
}

/* A death without a verdict: the status names it. */
static void judge(int status)
{
	if (!status || verdict->failed)
		return;
	verdict->failed = true;
	verdict->place = -status;
	if (WIFSIGNALED(status))
		(void)snprintf(verdict->text, sizeof(verdict->text),
			       "killed by signal %d, %s", WTERMSIG(status),
			       strsignal(WTERMSIG(status)));
	else
		(void)snprintf(verdict->text, sizeof(verdict->text),
			       "exit status %d", WEXITSTATUS(status));
}

static bool run(const struct list *list, bool quiet)
{
	int status = 0;
	pid_t pid;

	verdict->failed = false;
	(void)fflush(stdout);
	pid = fork();
	if (!pid) {
		(void)alarm(CHILD_SECONDS);
		if (quiet && (!freopen("/dev/null", "w", stdout) ||
			      !freopen("/dev/null", "w", stderr)))
			_exit(3);
		run_here(list);
		(void)fflush(stdout);
		_exit(0);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	judge(status);
	return !verdict->failed;
}

/* ---- making it shorter ---- */

static time_t shrink_end;

/* Take out [first, first + count), if what is left fails at that place. */
static bool cut(struct list *list, uint32_t first, uint32_t count, int place)
{
	struct list shorter = *list;

	if (time(NULL) > shrink_end)
		return false;
	shorter.count -= count;
	memmove(shorter.number + first, shorter.number + first + count,
		(shorter.count - first) * sizeof(shorter.number[0]));
	if (run(&shorter, true) || verdict->place != place)
		return false;
	*list = shorter;
	return true;
}

static void shrink(struct list *list)
{
	int place = verdict->place;
	uint32_t step, at, length;

	shrink_end = time(NULL) + SHRINK_SECONDS;
	/* What came after the failure had no part in it. */
	while (list->count && list->number[list->count - 1] > verdict->at)
		list->count--;
	for (step = list->count / 2; step; step /= 2)
		for (at = list->count; at > 0;) {
			length = at < step ? at : step;
			at -= length;
			(void)cut(list, at, length, place);
		}
}

static void report(struct list *list)
{
	uint32_t i;

	printf("# seed %llu, call %u: %s\n", (unsigned long long)list->seed,
	       verdict->at, verdict->text);
	shrink(list);
	traced = true;
	if (run(list, false))
		printf("# it does not fail again\n");
	else
		printf("# %s\n", verdict->text);
	printf("# again: model-%s --seed %llu --print --only ", played->name,
	       (unsigned long long)list->seed);
	for (i = 0; i < list->count; i++)
		printf("%s%u", i ? "," : "", list->number[i]);
	printf("%s\n", list->count ? "" : "0");
	traced = false;
}

/* ---- the program ---- */

static double now(void)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void list_all(struct list *list, uint64_t seed)
{
	uint32_t i;

	list->seed = seed;
	list->count = options.calls;
	for (i = 0; i < list->count; i++)
		list->number[i] = i + 1;
}

static void list_only(struct list *list)
{
	const char *at = options.only;
	char *end;

	list->seed = options.seed;
	list->count = 0;
	while (*at && list->count < CALLS_MAX) {
		uint32_t number = (uint32_t)strtoul(at, &end, 10);

		if (number)
			list->number[list->count++] = number;
		at = *end == ',' ? end + 1 : end + strlen(end);
	}
}

static void print_tally(void)
{
	const struct tally *tally = verdict->tally;

	for (; tally < verdict->tally + NAMES && tally->name[0]; tally++)
		printf("# %-20s %10llu done %10llu refused\n", tally->name,
		       (unsigned long long)tally->good,
		       (unsigned long long)tally->bad);
}

/* A call that never does what it is for has not been tested. */
static void demand_all(void)
{
	const char *const *name;
	const struct tally *tally;
	bool all = true;

	for (name = played->calls; *name; name++) {
		tally = verdict->tally;
		while (strcmp(tally->name, *name) != 0 &&
		       tally < verdict->tally + NAMES - 1)
			tally++;
		if (tally->good)
			continue;
		printf("# %s: never done\n", *name);
		all = false;
	}
	tap_ok(all, "%s: each call was made and did it", played->name);
}

static void run_seeds(void)
{
	static struct list list;
	double end = now() + options.seconds;
	uint64_t seed = options.seed;
	bool good;

	for (;; seed++) {
		list_all(&list, seed);
		good = run(&list, false);
		if (!good || (now() >= end &&
			      seed + 1 >= options.seed + SEEDS_MIN))
			break;
	}
	if (!good)
		report(&list);
	tap_ok(good, "%s: seeds %llu to %llu, %u calls each", played->name,
	       (unsigned long long)options.seed, (unsigned long long)seed,
	       options.calls);
	if (options.stats)
		print_tally();
	if (good)
		demand_all();
}

static void run_only(void)
{
	static struct list list;
	bool good;

	list_only(&list);
	good = run(&list, false);
	if (!good)
		printf("# %s\n", verdict->text);
	tap_ok(good, "%s: seed %llu, %u calls", played->name,
	       (unsigned long long)list.seed, list.count);
}

__attribute__((noreturn)) static void usage(const char *name)
{
	fprintf(stderr, "usage: %s [--seed N] [--seconds S] [--calls N] "
		"[--print] [--stats]\n"
		"       %s --seed N --only CALL[,CALL]... [--print]\n", name,
		name);
	exit(2);
}

static void parse(int argc, char **argv)
{
	static const struct option names[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "seconds", required_argument, NULL, 't' },
		{ "calls", required_argument, NULL, 'c' },
		{ "only", required_argument, NULL, 'o' },
		{ "print", no_argument, NULL, 'p' },
		{ "stats", no_argument, NULL, 'a' },
		{ NULL, 0, NULL, 0 },
	};
	int name;

	while ((name = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (name == 's')
			options.seed = strtoull(optarg, NULL, 0);
		else if (name == 't')
			options.seconds = strtod(optarg, NULL);
		else if (name == 'c')
			options.calls = (uint32_t)strtoul(optarg, NULL, 0);
		else if (name == 'o')
			options.only = optarg;
		else if (name == 'p')
			options.print = true;
		else if (name == 'a')
			options.stats = true;
		else
			usage(argv[0]);
	}
	if (optind < argc || !options.calls || options.calls > CALLS_MAX)
		usage(argv[0]);
}

int play_main(int argc, char **argv, const struct play *play)
{
	parse(argc, argv);
	played = play;
	traced = options.print;
	verdict = mmap(NULL, sizeof(*verdict), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (verdict == MAP_FAILED) {
		tap_bail("no shared memory");
		return 1;
	}
	if (options.only)
		run_only();
	else
		run_seeds();
	return tap_done();
}
