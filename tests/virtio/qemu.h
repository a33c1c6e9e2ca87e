/* SPDX-License-Identifier: MIT */
#ifndef TESTS_VIRTIO_QEMU_H
#define TESTS_VIRTIO_QEMU_H

/*
 * QEMU as a box of devices: its processor sleeps from the start.  Registers
 * are reached through its qtest socket, its memory is mapped into this
 * process, where the driver under test takes it for physical memory; QMP
 * plays the host.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "virtio/pci.h"

/* A device on the root bus, and where its BAR 4 was put. */
struct qemu_device {
	unsigned slot;
	uint64_t bar;
	uint64_t bar_bytes;
};

/* False: there is no QEMU here. */
bool qemu_is_there(void);

/**
 * qemu_start() - start it.
 * @words: arguments besides the machine, RAM and sockets; NULL ends them
 * @ram_bytes, @ram_path: its RAM, a file to map; the path is filled in
 */
bool qemu_start(const char *const *words, uint64_t ram_bytes,
		const char **ret_ram_path);
void qemu_stop(void);

/* A path in the folder that goes with qemu_stop(). */
const char *qemu_path(const char *name);

/* Find a device by its PCI id, place its BAR 4 at @bar. */
bool qemu_find(uint16_t id, uint64_t bar, struct qemu_device *ret_device);
struct cf_pci_access qemu_access(struct qemu_device *device);

/* One command of QMP; the answer, until the next command; NULL: an error. */
const char *qemu_ask(const char *format, ...)
	__attribute__((format(printf, 1, 2)));

/* The number after "@key": in the last answer, or ~0. */
uint64_t qemu_number(const char *answer, const char *key);

#endif
