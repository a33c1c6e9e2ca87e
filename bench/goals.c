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
#define PUT_PLAIN	"ordinary frame, no owner registered"

/* A place in the tables. */
struct at {
	const char *section, *row, *column;
};

enum kind {
	KIND_NS,	/* at most so many nanoseconds, scaled */
	KIND_MOST,
	KIND_LEAST,
};

/* What the figure is held against. */
enum relation {
	RELATION_NONE,
	RELATION_OVER,	/* divided by it */
	RELATION_MORE,	/* less it */
};

struct goal {
	const char *group;	/* that measures it */
	const char *what;
	struct at at;
	enum kind kind;
	double value;
	enum relation relation;
	struct at than;
	bool two;		/* two CPUs */
};

/* What was measured of a goal. */
struct finding {
	bool known;		/* all it needs was measured */
	bool doubtful;		/* disturbed to the end */
	double value;
};

#define OTHERS(row)	{ SECTION_OTHERS, (row), COLUMN_COLDFRAME }
#define ENGINE(row)	{ SECTION_ENGINE, (row), "1 CPU" }
#define PAIR(size, order)						\
	{ "compared", "pair, " size,					\
	  OTHERS("alloc+free pair, order " order " (" size ")"), KIND_NS, \
	  12, RELATION_NONE, { 0 }, false }
#define PLAIN(group, what, at, kind, value)				\
	{ group, what, at, kind, value, RELATION_NONE, { 0 }, false }
#define BULK(what, row, ns)						\
	PLAIN("compared", "8 GiB of 4 KiB: " what,			\
	      ENGINE("8 GiB of 4 KiB: " row), KIND_NS, ns)
#define AT(...)		{ __VA_ARGS__ }
#define REFUSED(full)							\
	PLAIN("compared", "orders 0-9, " full ": refused in vain", \
	      AT(SECTION_REFUSALS, "coldframe: uniform orders 0-9, " full, \
		 "in vain"), KIND_MOST, 0)
#define SIZE(row, size, ns)						\
	PLAIN("sizes", row ", " size, AT(SECTION_SIZES, row, size), KIND_NS, \
	      ns)
#define HOTPLUG(what, row, ns)						\
	PLAIN("hotplug", what, AT(SECTION_HOTPLUG, row, "1 CPU"), KIND_NS, ns)
#define SYSTEM(size)							\
	PLAIN("hotplug", size " offline and to the system, % of a bare loop", \
	      AT(SECTION_HOTPLUG, size ": offline, memory to the system", \
		 "% of bare"), KIND_LEAST, 95)
#define MEMORY(what, size, column, most)				\
	PLAIN("memory", what, AT(SECTION_MEMORY, size, column), KIND_MOST, most)
#define WALK(what, row, column, least)					\
	PLAIN("memory", what ", G frames/s", AT(SECTION_WALK, row, column), \
	      KIND_LEAST, least)
#define MOVE(row, size)							\
	PLAIN("move", "offline with migration, % of memcpy of " size	\
	      " pieces", AT(SECTION_MOVE, row, "% memcpy"), KIND_LEAST, 80)
#define PUT(what, most)							\
	{ "put-table", "put without an owner, " what " owners add",	\
	  AT(SECTION_PUTS, PUT_PLAIN, "table, " what), KIND_MOST, most,	\
	  RELATION_MORE, AT(SECTION_PUTS, PUT_PLAIN, "none, " what), false }

static const struct goal goals[] = {
	PLAIN("compared", "pair, 4 KiB", OTHERS(PAIR_4K), KIND_NS, 8),
	{ "compared", "pair, 4 KiB, 2 CPUs", OTHERS(PAIR_4K ", 2 CPUs"),
	  KIND_NS, 8, RELATION_NONE, { 0 }, true },
	{ "compared", "pair, 4 KiB: 2 CPUs / 1 CPU",
	  OTHERS(PAIR_4K ", 2 CPUs"), KIND_MOST, 1.1, RELATION_OVER,
	  OTHERS(PAIR_4K), true },
	BULK("alloc all", "alloc all", 6),
	BULK("free in order", "free in order", 9),
	BULK("free at random", "free own at random", 25),
	BULK("free at random, 512 at once",
	     "free own at random, 512 at once", 25),
	{ "compared", "8 GiB of 4 KiB: free any CPU's, 2 CPUs",
	  { SECTION_ENGINE, "8 GiB of 4 KiB: free any CPU's at random",
	    "2 CPUs" }, KIND_NS, 30, RELATION_NONE, { 0 }, true },
	PAIR("2 MiB", "9"), PAIR("4 MiB", "10"), PAIR("8 MiB", "11"),
	PAIR("16 MiB", "12"), PAIR("32 MiB", "13"), PAIR("64 MiB", "14"),
	PAIR("128 MiB", "15"),
	PLAIN("scarce", "8 GiB, 0.1 % free at random: alloc 4 KiB",
	      AT(SECTION_SCARCE, "0.1 % free at random: alloc 4 KiB",
		 "8 GiB"), KIND_NS, 30),
	PLAIN("scarce", "8 GiB, 5 % of its 2 MiB free: alloc 2 MiB",
	      AT(SECTION_SCARCE, "5 % of its 2 MiB free: alloc 2 MiB",
		 "8 GiB"), KIND_NS, 30),
	SIZE("failing alloc of 4 KiB", "8 GiB", 50),
	SIZE("failing alloc of 4 KiB", "1 TiB", 50),
	SIZE("the last free 2 MiB: alloc+free", "8 GiB", 200),
	SIZE("the last free 2 MiB: alloc+free", "1 TiB", 200),
	{ "compared", "churn, uniform orders 0-9, 90 % full / pair",
	  OTHERS(CHURN_90), KIND_MOST, 10, RELATION_OVER, OTHERS(PAIR_4K),
	  false },
	REFUSED("90 % full"), REFUSED("98 % full"),
	REFUSED("98 % full, 2 CPUs"),
	PLAIN("fragments", "after a day: refused in vain",
	      AT(SECTION_FRAGMENTS, "4 KiB and 64 KiB-2 MiB by turns",
		 "in vain"), KIND_MOST, 0),
	PUT("instr.", 2), PUT("loads", 0),
	HOTPLUG("empty 128 MiB block: offline", "128 MiB block: offline",
		5000),
	HOTPLUG("empty 128 MiB block: online", "128 MiB block: online", 5000),
	PLAIN("engine", "2 MiB sub-block: offline+free",
	      ENGINE("2 MiB sub-block: offline+free"), KIND_NS, 100),
	PLAIN("giveback", "the port: memory to the system, % of a bare loop",
	      AT(SECTION_SYSTEM, "port, % of the fastest bare loop",
		 "each 2 MiB"), KIND_LEAST, 95),
	SYSTEM("2 MiB"), SYSTEM("128 MiB"),
	MOVE("block of 4 KiB folios: offline", "4 KiB"),
	MOVE("block of 2 MiB folios: offline", "2 MiB"),
	MEMORY("metadata, bytes a frame, split, at 8 GiB", "8 GiB",
	       "split, B", 8.3),
	MEMORY("metadata, bytes a frame, cold, at 1 TiB", "1 TiB", "cold, B",
	       0.05),
	MEMORY("1 TiB: create a map and add its blocks, ms", "1 TiB",
	       "create, ms", 20),
	MEMORY("64 TiB: create a map and add its blocks, ms", "64 TiB",
	       "create, ms", 64 * 20),
	WALK("walk of cold memory", "walk", "cold", 1),
	WALK("walk of split memory, words alike", "walk, many at once",
	     "split", 0.3),
	WALK("export of cold memory", "export of flags", "cold", 1),
	WALK("export of split memory", "export of flags", "split", 0.3),
};

static struct finding goal_found(const struct goal *goal)
{
	const struct figure *figure = table_find(goal->at.section,
						 goal->at.row,
						 goal->at.column);
	const struct figure *than = figure;
	struct finding finding = { .known = figure };

	if (goal->relation != RELATION_NONE)
		than = table_find(goal->than.section, goal->than.row,
				  goal->than.column);
	if (!figure || !than ||
	    (goal->relation == RELATION_OVER && than->median <= 0))
		return (struct finding){ .known = false };
	finding.doubtful = figure_is_doubtful(figure) ||
			   figure_is_doubtful(than);
	finding.value = figure->median;
	if (goal->relation == RELATION_OVER)
		finding.value /= than->median;
	if (goal->relation == RELATION_MORE)
		finding.value -= than->median;
	return finding;
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
		return measured > 0 ? here / measured : MANY;
	if (measured <= 0)
		return 0;
	return here > 0 ? measured / here : MANY;
}

const char *goal_used(unsigned nth, double *ret_share)
{
	struct finding finding;
	size_t i;

	for (i = 0; i < ARRAY_COUNT(goals); i++) {
		finding = goal_found(&goals[i]);
		if (!finding.known || nth-- > 0)
			continue;
		*ret_share = share_of(&goals[i], finding.value);
		return goals[i].what;
	}
	return NULL;
}

/* How goals came out, and what each end is called. */
enum end {
	END_REACHED,
	END_MISSED,
	END_UNCOUNTED,
	END_UNMEASURED,
	END_COUNT
};

static const char *const end_names[] = {
	[END_REACHED] = "reached",
	[END_MISSED] = "NOT REACHED",
	[END_UNCOUNTED] = "does not count",
	[END_UNMEASURED] = "not measured",
};

static void print_marked(double value, bool doubtful)
{
	char text[32], marked[40];

	format_value(text, sizeof(text), value);
	(void)snprintf(marked, sizeof(marked), "%s%s", doubtful ? "*" : "",
		       text);
	(void)printf("%11s", marked);
}

static enum end print_goal(const struct goal *goal, bool near)
{
	struct finding finding = goal_found(goal);
	enum end end = END_REACHED;

	if (!finding.known)
		end = END_UNMEASURED;
	else if (goal->two && !near)
		end = END_UNCOUNTED;
	else if (share_of(goal, finding.value) > 1)
		end = END_MISSED;
	(void)printf("%-52s%3s", goal->what,
		     goal->kind == KIND_LEAST ? ">=" : "<=");
	print_number(goal->value);
	print_number(goal_here(goal));
	if (finding.known)
		print_marked(finding.value, finding.doubtful);
	else
		(void)printf("%11s", "-");
	(void)printf("  %s%s\n", end_names[end],
		     finding.doubtful ? ", disturbed" : "");
	return end;
}

static void print_goals(bool near, bool (*is_asked)(const char *group))
{
	unsigned counts[END_COUNT] = { 0 };
	size_t i;

	(void)printf("\n%-55s%11s%11s%11s\n", "", "goal", "here", "measured");
	for (i = 0; i < ARRAY_COUNT(goals); i++)
		if (is_asked(goals[i].group))
			counts[print_goal(&goals[i], near)]++;
	(void)printf("\ngoals: %u reached, %u not reached, %u not measured, "
		     "%u do not count\n", counts[END_REACHED],
		     counts[END_MISSED], counts[END_UNMEASURED],
		     counts[END_UNCOUNTED]);
}

/*
 * Say who of the others is faster in a row. Returns how many are; below 0:
 * there is nobody to compare with.
 */
static int print_faster(const char *row)
{
	const struct figure *own = table_find(SECTION_OTHERS, row,
					      COLUMN_COLDFRAME);
	const struct figure *other;
	const char *column;
	int faster = 0, others = 0;
	unsigned i;

	for (i = 0; own && (column = table_column(SECTION_OTHERS, i)); i++) {
		other = table_find(SECTION_OTHERS, row, column);
		if (!other || other == own)
			continue;
		others++;
		if (other->median >= own->median)
			continue;
		if (faster++ == 0)
			(void)printf("not ahead: %s: %.2f", row, own->median);
		(void)printf(", %s %.2f", column, other->median);
	}
	if (faster > 0)
		(void)printf("\n");
	return others > 0 ? faster : -1;
}

static void print_ahead(void)
{
	unsigned i, ahead = 0, compared = 0;
	const char *row;
	int faster;

	for (i = 0; (row = table_row(SECTION_OTHERS, i)); i++) {
		faster = print_faster(row);
		compared += faster >= 0;
		ahead += faster == 0;
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

/* Do rows with two CPUs count? Says so. */
static bool print_near(void)
{
	const struct figure *shared =
		table_find(SECTION_MACHINE,
			   "add to a word shared by all threads", "2 CPUs");
	bool near;

	if (!shared || figure_is_doubtful(shared)) {
		(void)printf("What a word shared by 2 CPUs costs is unknown%s: "
			     "rows with 2 CPUs do not count.\n",
			     shared ? " (disturbed)" : "");
		return false;
	}
	near = shared->median < NEAR_NS;
	(void)printf("A word shared by 2 CPUs costs %.1f ns: rows with 2 CPUs "
		     "%s.\n", shared->median,
		     near ? "count" : "do not count");
	return near;
}

void goals_print(bool (*is_asked)(const char *group))
{
	(void)printf("Goals in nanoseconds are for a CAS of %.1f ns; here it "
		     "takes %.2f, so they are\ntimes %.2f. Others do not "
		     "scale.\n", GOAL_CAS_NS, cas_scale() * GOAL_CAS_NS,
		     cas_scale());
	print_goals(print_near(), is_asked);
	print_ahead();
	print_same();
}
