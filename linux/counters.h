/* SPDX-License-Identifier: MIT */
#ifndef LINUX_COUNTERS_H
#define LINUX_COUNTERS_H

#include "sysroot.h"

/* One line of proc/meminfo ("Name: 12 kB") or proc/vmstat ("name 12"). */
struct lx_counter {
	const char *name;	/* asked for, without the colon */
	uint64_t value;		/* in the file's unit: kB for most of meminfo,
				   that is less than LX_COUNT_MAX frames */
	bool found;
};

/**
 * lx_counters_read() - find some counters in such a file.
 * @counter: their names; values and found are filled
 *
 * Return: 0, also when some are not there; -LX_EMISSING; -LX_EREAD;
 *         -LX_EFORMAT: one that was asked for has no number, or one that
 *         cannot be.
 */
int lx_counters_read(const char *root, const char *name,
		     struct lx_counter *counter, size_t count,
		     struct lx_error *err);

#endif
