/* SPDX-License-Identifier: MIT */
#ifndef TOOLS_COLDFRAME_QEMU_KIND_H
#define TOOLS_COLDFRAME_QEMU_KIND_H

#include "qemu.h"

/* What QEMU's machines of a kind of CPU are. */
struct qemu_kind {
	const char *word, *other_word;
	const char *program, *package;
	const char *board;		/* -M */
	uint64_t start;			/* address of the lowest RAM */
	uint64_t own;			/* how much of it is the guest's own */
	uint64_t ram;			/* address of the RAM after that */
	const char *exit[2];		/* how the guest says its status */
};

extern const struct qemu_kind qemu_kinds[CPU_KIND_COUNT];

#endif
