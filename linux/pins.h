/* SPDX-License-Identifier: MIT */
#ifndef LINUX_PINS_H
#define LINUX_PINS_H

#include "owners.h"

/* More processes than that are not looked at. */
#define LX_HOLDERS_MAX	1024

/*
 * Called for each frame that is likely to be pinned. Does it count as one of
 * those asked about?
 */
typedef bool (*lx_pin_fn)(void *context, uint64_t pfn);

/**
 * lx_pins_walk() - which processes can pin memory, and what they have pinned.
 * @holders: starts as zeroes; give it back with lx_owners_free()
 *
 * By what they have open, see proc/PID/fd: io_uring, and devices of VFIO and
 * RDMA. Which frames they have pinned only io_uring tells, by the addresses of
 * its buffers in proc/PID/fdinfo: handed out are the frames that are there now,
 * which may be others than were pinned; one in two buffers comes twice, but not
 * those of a buffer at the same address, as long, and in the same frames.
 * A holder's name says what it has open; its frames are those handed out, and
 * marked are those that @fn said yes to. Counted are its frames in buffers that
 * no holder before has at that address and as long, for a ring that is open
 * twice has pinned once. Its stretches are these frames, where some in a row
 * within 2 MiB of a buffer count as one: from 6.4 on a huge page may be pinned
 * as a whole. One that has more open than io_uring, or too many buffers, is
 * blind. At most LX_HOLDERS_MAX.
 *
 * Return: 0, -LX_EMISSING, -LX_EDENIED, or -LX_EREAD.
 */
int lx_pins_walk(const char *root, lx_pin_fn fn, void *context,
		 struct lx_owners *holders, struct lx_error *err);

#endif
