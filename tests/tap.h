/* SPDX-License-Identifier: MIT */
#ifndef TESTS_TAP_H
#define TESTS_TAP_H

/*
 * The test harness: one "ok N - name" line a test, as the Test Anything
 * Protocol wants it.
 *
 * A test is a function without arguments.  It calls CHECK() as often as it
 * likes; each one that fails prints "# file:line: expression" and marks the
 * test failed, and the test goes on unless it looks at the result:
 *
 *	static void adds(void)
 *	{
 *		CHECK(1 + 1 == 2);
 *	}
 *
 *	int main(void)
 *	{
 *		tap_run("adds", adds);
 *		return tap_done();
 *	}
 *
 * A program that may die on the way, and one whose output is read from a
 * serial line, prints its plan first: tap_plan(1).
 *
 * tap_print can be defined before the #include as the name of a function like
 * printf() where there is no libc.
 *
 * CHECK() may be called from any thread while tap_run() waits for the threads
 * in the test; everything else belongs to the main thread.
 */

#include <stdbool.h>
#include <stddef.h>

#ifndef tap_print
#include <stdio.h>
#define tap_print	printf
#define tap_flush()	((void)fflush(stdout))
#else
#define tap_flush()	((void)0)
#endif

struct tap {
	int planned;		/* 0: the plan is printed at the end */
	int run, failed;
	bool last;		/* how the last tap_ok() went */
	volatile bool broken;	/* a check of the running test failed */
	const char *skip;	/* why the running test is skipped, or NULL */
};

static struct tap tap;

/* Say how many tests there will be, before the first of them. */
static inline void tap_plan(int count)
{
	tap.planned = count;
	tap_print("1..%d\n", count);
	tap_flush();
}

static inline void tap_line(bool ok, const char *name, const char *skip)
{
	tap.run++;
	if (!ok)
		tap.failed++;
	tap_print("%sok %d - %s", ok ? "" : "not ", tap.run, name);
	if (skip)
		tap_print(" # SKIP %s", skip);
	tap_print("\n");
	tap_flush();
}

/* One test that is a condition; what follows it is its name, as for printf. */
#define tap_ok(condition, ...)						\
	(tap_open((condition), #condition, __FILE__, __LINE__),		\
	 (void)tap_print(__VA_ARGS__), tap_close())

static inline void tap_open(bool ok, const char *expression, const char *file,
			    int line)
{
	tap.run++;
	tap.last = ok;
	if (!ok) {
		tap.failed++;
		tap_print("# %s:%d: %s\n", file, line, expression);
	}
	tap_print("%sok %d - ", ok ? "" : "not ", tap.run);
}

static inline bool tap_close(void)
{
	tap_print("\n");
	tap_flush();
	return tap.last;
}

/*
 * Inside a test: what must hold. Returns whether it does, so that a test can
 * stop where going on makes no sense: if (!CHECK(run)) return;
 */
#define CHECK(expression)						\
	tap_check((expression), #expression, __FILE__, __LINE__)

static inline bool tap_check(bool ok, const char *expression, const char *file,
			     int line)
{
	if (ok)
		return true;
	tap.broken = true;
	tap_print("# %s:%d: %s\n", file, line, expression);
	tap_flush();
	return false;
}

/* Inside a test: two integers that must be equal; both are printed if not. */
#define CHECK_EQ(found, expected)					\
	tap_check_eq((long long)(found), (long long)(expected),		\
		     #found " == " #expected, __FILE__, __LINE__)

static inline bool tap_check_eq(long long found, long long expected,
				const char *expression, const char *file,
				int line)
{
	if (found == expected)
		return true;
	tap.broken = true;
	tap_print("# %s:%d: %s: found %lld (%#llx), expected %lld (%#llx)\n",
		  file, line, expression, found, (unsigned long long)found,
		  expected, (unsigned long long)expected);
	tap_flush();
	return false;
}

/* Run one test and print its line. */
static inline void tap_run(const char *name, void (*test)(void))
{
	tap.broken = false;
	tap.skip = NULL;
	test();
	tap_line(!tap.broken, name, tap.broken ? NULL : tap.skip);
}

/* A test that cannot be run here. @why stands in the report. */
static inline void tap_skip(const char *name, const char *why)
{
	tap_line(true, name, why);
}

/* Inside a test that turns out not to be possible here; then return. */
static inline void tap_skip_this(const char *why)
{
	tap.skip = why;
}

/* The rest of the program makes no sense: say so. Leave after it. */
static inline void tap_bail(const char *why)
{
	tap_print("Bail out! %s\n", why);
	tap_flush();
}

/* The end. Returns what main() is to return. */
static inline int tap_done(void)
{
	if (!tap.planned)
		tap_print("1..%d\n", tap.run);
	else if (tap.planned != tap.run)
		tap_print("# planned %d tests, ran %d\n", tap.planned, tap.run);
	tap_flush();
	return tap.failed || (tap.planned && tap.planned != tap.run);
}

#endif
