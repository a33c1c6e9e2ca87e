/* SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_SESSION_H
#define TESTS_FUZZ_SESSION_H

/*
 * A scenario of any bytes on the embedded machine.
 *
 * Lines that are wrong count as blank, so that more than one byte in a
 * thousand leads anywhere; what would take long is made short; what would
 * leave the process (export, "expect caught") is left out.
 */

#include "scenario/scenario.h"

struct session {
	char *text;
	struct scenario scenario;
	struct step *step;
	size_t steps;
	struct machine *machine;
	bool spoiled;		/* steps have changed contents on purpose */
};

/* False: there is nothing in it that could run. */
bool session_read(struct session *session, const uint8_t *bytes, size_t count);

/* Run all steps; every equation must hold after each. */
void session_run(struct session *session);

/* Also after session_read() alone, whatever it returned. */
void session_end(struct session *session);

#endif
