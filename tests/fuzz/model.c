/* SPDX-License-Identifier: MIT */
/*
 * Bytes as a machine and operations on it, each held against the model:
 * tests/model says what must agree.
 */
#include "fuzz.h"

#include "../model/bytes.h"

#define BYTES_MAX	4096

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
	if (count <= BYTES_MAX)
		(void)model_bytes(bytes, count);
	return 0;
}
