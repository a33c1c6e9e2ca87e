/* SPDX-License-Identifier: MIT */
#ifndef TESTS_MODEL_RANDOM_H
#define TESTS_MODEL_RANDOM_H

/*
 * Where the choices come from: a seed, or bytes that somebody else chose.
 * Everything that is drawn is drawn from here, so that the same source makes
 * the same machine and the same operations.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void random_seed(uint64_t seed);

/*
 * Choose by bytes: one for a choice among up to 256, then two, then four. The
 * bytes stay valid while anything is drawn.
 */
void random_bytes(const uint8_t *bytes, size_t count);

/* There are no bytes left: every number is 0 from now on, every chance no. */
bool random_spent(void);

uint32_t random_below(uint32_t limit);
bool random_chance(unsigned percent);

#endif
