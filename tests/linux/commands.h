/* SPDX-License-Identifier: MIT */
#ifndef TESTS_LINUX_COMMANDS_H
#define TESTS_LINUX_COMMANDS_H

/*
 * Run a command of coldframe in this process, what it prints put aside.
 * @words: its name and its arguments, NULL at the end
 *
 * It must come back with an exit status that is documented. Returns that.
 */
int commands_run(const char *const *words);

/* What the last one printed is one JSON object, or it printed nothing. */
void commands_check_json(void);

#endif
