/* SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_TREE_H
#define TESTS_FUZZ_TREE_H

#include "command.h"

#include <stddef.h>
#include <stdint.h>

/*
 * Bytes as a sysroot and the options of a command.
 *
 *	--- options
 *	map
 *	--cell=64K
 *	--- proc/iomem
 *	00000000-00ffffff : System RAM
 *
 *	--- proc/kpageflags:runs
 *	...
 *
 * A line "--- NAME" begins a part; the newline before it belongs to it. Names
 * begin with proc/ or sys/; one that ends with a slash is a folder. After the
 * name may stand how a file of words is written:
 *
 *	:runs	9 bytes each: a word, least byte first, and n: 2^(n % 13) times
 *	:sparse	a number: so many bytes of 0
 *	:link	what a link says, in a folder fd/ alone: nobody follows those
 *
 * What is left over stands for itself, so that files can end within a word.
 */

/* Make it in fuzz_folder(), and add the options to @line. */
void tree_make(const uint8_t *bytes, size_t count, struct command_line *line);

#endif
