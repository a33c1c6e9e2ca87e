/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a scenario that runs: every equation holds after each step,
 * contents are never lost, and what fails says why.
 */
#include "fuzz.h"
#include "session.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
	static struct session session;

	if (session_read(&session, bytes, count))
		session_run(&session);
	session_end(&session);
	return 0;
}
