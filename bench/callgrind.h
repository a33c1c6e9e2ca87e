/* SPDX-License-Identifier: MIT */
#ifndef BENCH_CALLGRIND_H
#define BENCH_CALLGRIND_H

/*
 * A program that counts itself: it runs itself under callgrind, which counts
 * exactly, whatever the machine does meanwhile.
 */

#include <stddef.h>

/* Only in here callgrind counts; there is a dump for each call. */
void callgrind_count(void (*loop)(void));

/*
 * The same program again with @option, under callgrind, whose dumps are
 * @output and a number behind it. Returns its exit status; 127: there is no
 * valgrind.
 */
int callgrind_run(const char *output, const char *option);

/* What the nth dump counted; the file goes. */
struct callgrind_counts {
	double instructions;
	double loads, stores;
};

/* 0, or -1: there is no such dump. */
int callgrind_read(const char *output, size_t nth,
		   struct callgrind_counts *ret_counts);

#endif
