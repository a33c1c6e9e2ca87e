/* SPDX-License-Identifier: MIT */
#ifndef TESTS_MODEL_BYTES_H
#define TESTS_MODEL_BYTES_H

/*
 * Bytes as a machine and operations on it: what a fuzzer drives the model
 * with. Every string of bytes means something; when they are used up the
 * machine is given back, and the list is at its end.
 */

#include <stddef.h>
#include <stdint.h>

/*
 * Run the bytes in this process, comparing engine and model. A difference
 * prints what differs, the list of operations up to there and the same as a
 * scenario, and ends the process by abort(). `model --bytes FILE` runs the
 * same bytes, and shrinks what fails.
 *
 * Returns how many operations there were.
 */
uint32_t model_bytes(const uint8_t *bytes, size_t count);

#endif
