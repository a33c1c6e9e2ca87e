/* SPDX-License-Identifier: MIT */
#ifndef GUEST_GUEST_H
#define GUEST_GUEST_H

/* What the guest offers beside what other systems do. */

#include <stdbool.h>
#include <stdint.h>

/* Bytes of memory behind addresses that mmap() returned. */
uint64_t guest_resident_bytes(void);

/* What a process would be told of that, if somebody knows better. */
void guest_set_resident(uint64_t (*fn)(void));

/* The value of "name=value" in the command line; false: not there. */
bool guest_option(const char *name, char *value, unsigned long bytes);

/* The running thread's number below a map's cpus; see bare.h. */
unsigned guest_context_number(void);
void guest_set_context_number(unsigned number);

/* Called by each thread that ends. */
void guest_on_thread_end(void (*hook)(void));

/* The asymmetric barrier: 0. */
int guest_barrier(void);

/* The next line from the console, without its end; cut if it is longer. */
void guest_line(char *line, unsigned long bytes);

/* A file of QEMU's: -fw_cfg name=opt/...; malloc()ed, or NULL. */
char *guest_file(const char *name, unsigned long *ret_bytes);

/*
 * Lines of VMCOREINFO for dumps that QEMU takes from outside, if it has its
 * device vmcoreinfo. Where page tables are is added. Called anew: replaced.
 */
void guest_vmcoreinfo(const char *text, unsigned long bytes);

#endif
