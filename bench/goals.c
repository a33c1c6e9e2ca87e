/* SPDX-License-Identifier: MIT */
/* What is to be reached, and whether it was. */
#include <stdio.h>
#include <string.h>

#include "bench/goals.h"
#include "bench/groups.h"
#include "bench/table.h"

/* Times are for a machine whose CAS takes so long; elsewhere they scale. */
#define GOAL_CAS_NS	2.8

/* Rows with two CPUs count where a word they share costs less. */
#define NEAR_NS		30.0

#define SAME_RATIO	1.2
#define MANY		1000.0	/* times what is allowed, where that is none */

#define PAIR_4K		"alloc+free pair, order 0 (4 KiB)"
#define BARE_4K		"bare loop: pair of 4 KiB from a cache, one CAS"
#define BARE_2M		"bare loop: pair of 2 MiB from a mask, three CAS"
#define BARE_RANDOM	"bare loop: free 4 KiB of 8 GiB at random, one CAS"
#define CHURN_90	"uniform orders 0-9, 90 % full: free+alloc"

/* A place in the tables. */
struct at {
	const char *section, *row, *column;
};

enum kind {
	KIND_NS,	/* at most so many nanoseconds, scaled */
	KIND_MOST,
	KIND_LEAST,
};

struct goal {
	const char *what;
	struct at at;
	enum kind kind;
	double value;
	struct at than;		/* section NULL: nothing; else divided by it */
	bool two;		/* two CPUs */
};

#define OTHERS(row)	{ SECTION_OTHERS, (row), COLUMN_COLDFRAME }
#define ENGINE(row)	{ SECTION_ENGINE, (row), "1 CPU" }
#define PAIR(size, order)						\
	{ "pair, " size,						\
	  OTHERS("alloc+free pair, order " order " (" size ")"), KIND_NS, \
	  12, { 0 }, false }
#define BULK(what, row, ns)						\
	{ "8 GiB of 4 KiB: " what, ENGINE("8 GiB of 4 KiB: " row),	\
	  KIND_NS, ns, { 0 }, false }
#define REFUSED(full)							\
	{ "orders 0-9, " full ": refused though a run fits",		\
	  { SECTION_REFUSALS, "coldframe: uniform orders 0-9, " full,	\
	    "in vain" }, KIND_MOST, 0, { 0 }, false }
#define SIZE(row, size, ns)						\
	{ row ", " size, { SECTION_SIZES, row, size }, KIND_NS, ns, { 0 }, \
	  false }

static const struct goal goals[] = {
	{ "pair, 4 KiB", OTHERS(PAIR_4K), KIND_NS, 8, { 0 }, false },
	{ "pair, 4 KiB, 2 CPUs", OTHERS(PAIR_4K ", 2 CPUs"), KIND_NS, 8,
	  { 0 }, true },
	{ "pair, 4 KiB: 2 CPUs / 1 CPU", OTHERS(PAIR_4K ", 2 CPUs"), KIND_MOST,
	  1.1, OTHERS(PAIR_4K), true },
	BULK("alloc all", "alloc all", 6),
	BULK("free in order", "free in order", 9),
	BULK("free at random", "free own at random", 25),
	BULK("free at random, 512 at once",
	     "free own at random, 512 at once", 25),
	{ "8 GiB of 4 KiB: free any CPU's, 2 CPUs",
	  { SECTION_ENGINE, "8 GiB of 4 KiB: free any CPU's at random",
	    "2 CPUs" }, KIND_NS, 30, { 0 }, true },
	PAIR("2 MiB", "9"), PAIR("4 MiB", "10"), PAIR("8 MiB", "11"),
	PAIR("16 MiB", "12"), PAIR("32 MiB", "13"), PAIR("64 MiB", "14"),
	PAIR("128 MiB", "15"),
	{ "8 GiB, 0.1 % free at random: alloc 4 KiB",
	  { SECTION_SCARCE, "0.1 % free at random: alloc 4 KiB", "8 GiB" },
	  KIND_NS, 30, { 0 }, false },
	{ "8 GiB, 5 % of its 2 MiB free: alloc 2 MiB",
	  { SECTION_SCARCE, "5 % of its 2 MiB free: alloc 2 MiB", "8 GiB" },
	  KIND_NS, 30, { 0 }, false },
	SIZE("failing alloc of 4 KiB", "8 GiB", 50),
	SIZE("failing alloc of 4 KiB", "1 TiB", 50),
	SIZE("the last free 2 MiB: alloc+free", "8 GiB", 200),
	SIZE("the last free 2 MiB: alloc+free", "1 TiB", 200),
	{ "churn, uniform orders 0-9, 90 % full / pair", OTHERS(CHURN_90),
	  KIND_MOST, 10, OTHERS(PAIR_4K), false },
	REFUSED("90 % full"), REFUSED("98 % full"),
	{ "empty 128 MiB block: offline",
	  { SECTION_HOTPLUG, "128 MiB block: offline", "1 CPU" }, KIND_NS,
	  5000, { 0 }, false },
	{ "empty 128 MiB block: online",
	  { SECTION_HOTPLUG, "128 MiB block: online", "1 CPU" }, KIND_NS, 5000,
	  { 0 }, false },
	{ "2 MiB sub-block: offline+free",
	  ENGINE("2 MiB sub-block: offline+free"), KIND_NS, 100, { 0 },
	  false },
	{ "memory to the system, % of a bare loop",
	  { SECTION_SYSTEM, "port, % of the fastest bare loop",
	    "each 2 MiB" }, KIND_LEAST, 95, { 0 }, false },
	{ "offline with migration of 4 KiB, % of memcpy",
	  { SECTION_MOVE, "block of 4 KiB folios: offline", "% memcpy" },
	  KIND_LEAST, 80, { 0 }, false },
	{ "offline with migration of 2 MiB, % of memcpy",
	  { SECTION_MOVE, "block of 2 MiB folios: offline", "% memcpy" },
	  KIND_LEAST, 80, { 0 }, false },
	{ "metadata, bytes a frame, split",
	  { SECTION_MEMORY, "8 GiB", "split, B" }, KIND_MOST, 8.3, { 0 },
	  false },
	{ "metadata, bytes a frame, cold",
	  { SECTION_MEMORY, "1 TiB", "cold, B" }, KIND_MOST, 0.05, { 0 },
	  false },
	{ "1 TiB: create a map and add its blocks, ms",
	  { SECTION_MEMORY, "1 TiB", "create, ms" }, KIND_MOST, 20, { 0 },
	  false },
	{ "64 TiB: create a map and add its blocks, ms",
	  { SECTION_MEMORY, "64 TiB", "create, ms" }, KIND_MOST, 64 * 20,
	  { 0 }, false },
	{ "walk of cold memory, G frames/s",
	  { SECTION_WALK, "walk", "cold" }, KIND_LEAST, 1, { 0 }, false },
	{ "walk of split memory, G frames/s",
	  { SECTION_WALK, "walk, many at once", "split" }, KIND_LEAST, 0.3,
	  { 0 }, false },
	{ "export of cold memory, G frames/s",
	  { SECTION_WALK, "export of flags", "cold" }, KIND_LEAST, 1, { 0 },
	  false },
	{ "export of split memory, G frames/s",
	  { SECTION_WALK, "export of flags", "split" }, KIND_LEAST, 0.3,
	  { 0 }, false },
};

static double value_at(const struct at *at)
{
	return table_value(at->section, at->row, at->column);
}

/* Below 0: it was not measured. */
static double goal_measured(const struct goal *goal)
{
	double value = value_at(&goal->at);
	double than = 1;

	if (goal->than.section)
		than = value_at(&goal->than);
	return value < 0 || than <= 0 ? -1 : value / than;
}

static void print_number(double value)
{
	char text[32];

	format_value(text, sizeof(text), value);
	(void)printf("%11s", text);
}

static double cas_scale(void)
{
	double cas = table_value(SECTION_MACHINE, "CAS of an own word",
				 "1 CPU");

	return cas > 0 ? cas / GOAL_CAS_NS : 1;
}

/* What must be reached on this machine. */
static double goal_here(const struct goal *goal)
{
	return goal->value * (goal->kind == KIND_NS ? cas_scale() : 1);
}

static double share_of(const struct goal *goal, double measured)
{
	double here = goal_here(goal);

	if (goal->kind == KIND_LEAST)
		return here / measured;
	if (here > 0)
		return measured / here;
	return measured > 0 ? MANY : 0;
}

const char *goal_used(unsigned nth, double *ret_share)
{
	double measured;
	size_t i;

	for (i = 0; i < ARRAY_COUNT(goals); i++) {
		measured = goal_measured(&goals[i]);
		if (measured < 0 || nth-- > 0)
			continue;
		*ret_share = share_of(&goals[i], measured);
		return goals[i].what;
	}
	return NULL;
}

static void print_goal(const struct goal *goal, bool near)
{
	double measured = goal_measured(goal);
	const char *said = "reached";

	if (measured < 0)
		return;
	if (share_of(goal, measured) > 1)
		said = goal->two && !near ? "does not count" : "NOT REACHED";
	(void)printf("%-52s%3s", goal->what,
		     goal->kind == KIND_LEAST ? ">=" : "<=");
	print_number(goal->value);
	print_number(goal_here(goal));
	print_number(measured);
	(void)printf("  %s\n", said);
}

/* The fastest of the others in a row; NULL: they do not have it. */
static const char *fastest_other(const char *row, double *ret_value)
{
	const char *column, *fastest = NULL;
	double value;
	unsigned i;

	for (i = 0; (column = table_column(SECTION_OTHERS, i)); i++) {
		value = table_value(SECTION_OTHERS, row, column);
		if (value < 0 || !strcmp(column, COLUMN_COLDFRAME) ||
		    (fastest && value >= *ret_value))
			continue;
		*ret_value = value;
		fastest = column;
	}
	return fastest;
}

static void print_ahead(void)
{
	unsigned i, ahead = 0, compared = 0;
	const char *row, *fastest;
	double own, other;

	for (i = 0; (row = table_row(SECTION_OTHERS, i)); i++) {
		own = table_value(SECTION_OTHERS, row, COLUMN_COLDFRAME);
		fastest = fastest_other(row, &other);
		if (own < 0 || !fastest)
			continue;
		compared++;
		if (own <= other)
			ahead++;
		else
			(void)printf("not ahead: %s: %.2f, %s %.2f\n", row,
				     own, fastest, other);
	}
	if (compared == 0)
		return;
	(void)printf("ahead of every other allocator in %u of %u rows\n",
		     ahead, compared);
	(void)printf("the memory operations of a pair in a bare loop: 4 KiB "
		     "%.2f, 2 MiB %.2f\n",
		     table_value(SECTION_MACHINE, BARE_4K, "1 CPU"),
		     table_value(SECTION_MACHINE, BARE_2M, "1 CPU"));
}

/* Costs do not grow with memory. */
static void print_same(void)
{
	const char *row;
	unsigned i, same = 0, rows = 0;
	double ratio;

	for (i = 0; (row = table_row(SECTION_SIZES, i)); i++) {
		ratio = table_value(SECTION_SIZES, row, "ratio");
		if (ratio < 0)
			continue;
		rows++;
		if (ratio <= SAME_RATIO)
			same++;
		else
			(void)printf("dearer at 1 TiB: %s: times %.2f\n", row,
				     ratio);
	}
	if (rows)
		(void)printf("at 1 TiB within %.0f %% of 8 GiB in %u of %u "
			     "rows\n", (SAME_RATIO - 1) * 100, same, rows);
}

void goals_print(void)
{
	double shared = table_value(SECTION_MACHINE,
				    "add to a word shared by all threads",
				    "2 CPUs");
	size_t i;

	(void)printf("Goals in nanoseconds are for a CAS of %.1f ns; here it "
		     "takes %.2f, so they are\ntimes %.2f. Others do not "
		     "scale.\n", GOAL_CAS_NS, cas_scale() * GOAL_CAS_NS,
		     cas_scale());
	if (shared > 0)
		(void)printf("A word shared by 2 CPUs costs %.1f ns: rows with "
			     "2 CPUs %s.\n", shared,
			     shared < NEAR_NS ? "count" : "do not count");
	(void)printf("\n%-55s%11s%11s%11s\n", "", "goal", "here", "measured");
	for (i = 0; i < ARRAY_COUNT(goals); i++)
		print_goal(&goals[i], shared > 0 && shared < NEAR_NS);
	(void)printf("\n");
	print_ahead();
	print_same();
}
