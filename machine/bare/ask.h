/* SPDX-License-Identifier: MIT */
#ifndef MACHINE_BARE_ASK_H
#define MACHINE_BARE_ASK_H

#include <stdbool.h>
#include <stdint.h>

struct machine;

/*
 * Words to whoever steers the guest on the console, and the numbers that come
 * back: {"ask": "view 0"} is answered by a line "0 4096 ...", the first of it
 * an error code of the library, or 0.
 */
int ask_host(const char *words, uint64_t *ret_numbers, unsigned count);

/*
 * Put memory that devices know behind the frames of a machine that was just
 * made; where: "frames=ADDRESS:BYTES" of the command line, none: nowhere.
 */
bool host_place(struct machine *machine);

#endif
