/* SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_MAPS_H
#define TESTS_FUZZ_MAPS_H

/*
 * What the program itself maps, so that it can be given back.
 *
 * The map of a machine whose frames are in use goes with the process; a
 * fuzzer has thousands of machines in one. Linked with --wrap, mmap() and
 * munmap() of the project's code come through here.
 */

struct machine;

/* From now on remember what is mapped. */
void maps_begin(void);

/* machine_destroy(), and forget how many CPUs it had. */
void maps_destroy(struct machine *machine);

/* Unmap all that was mapped since and is there still. */
void maps_end(void);

#endif
