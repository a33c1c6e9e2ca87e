/* SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

/*
 * What all fuzz targets share.
 *
 * A target is one function from bytes to nothing: it comes back, leaks
 * nothing and leaves nothing behind, whatever the bytes are. libFuzzer and
 * AFL++ call it with what they draw; in the ordinary tests replay.c calls it
 * with every file of tests/fuzz/corpus/TARGET, each in a process of its own.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

/* What must hold for any bytes; if it does not, that is what was found. */
#define HOLDS(condition)						\
	((condition) ? (void)0 :					\
		       fuzz_broken(#condition, __FILE__, __LINE__))

_Noreturn void fuzz_broken(const char *what, const char *file, int line);

/* A folder of this process; it is there, and goes when the process ends. */
const char *fuzz_folder(void);

/* Remove all that is in it. */
void fuzz_folder_clear(void);

#endif
