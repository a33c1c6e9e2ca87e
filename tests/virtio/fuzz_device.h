/* SPDX-License-Identifier: MIT */
#ifndef TESTS_VIRTIO_FUZZ_DEVICE_H
#define TESTS_VIRTIO_FUZZ_DEVICE_H

/*
 * A device that does what the fuzzer draws: a transport of its own, not the
 * models, so that nothing stands between the bytes and the driver.  Mostly
 * it is honest; how often it is not is drawn, too.
 */

#include "tests/fuzz/fuzz.h"
#include "tests/virtio/scene.h"

#define FUZZ_QUEUES	5

struct fuzz_queue {
	struct cf_virtio_queue at;
	uint16_t avail_next, used_next;
	bool held;			/* its chains are kept */
};

struct fuzz_device {
	const uint8_t *bytes;
	size_t left;
	uint32_t id;
	uint64_t offered, known;	/* features; all a driver may take */
	uint8_t status;
	uint32_t generation;
	struct fuzz_queue queue[FUZZ_QUEUES];
	uint8_t config[64];
	uint32_t config_bytes;
	bool writable;			/* the configuration */
	/* Fill in the answer; @first, @second: of the chain, in the guest. */
	uint32_t (*answer)(unsigned queue, uint8_t *first, uint8_t *second);
};

extern struct fuzz_device fuzz_device;
extern const struct cf_virtio_ops fuzz_ops;

uint8_t fuzz_draw(void);
uint64_t fuzz_draw64(void);
/* One time in @odds a value is not what it should be. */
bool fuzz_spoils(unsigned odds);
/* Some bytes of the memory that is shared, or of the configuration. */
void fuzz_scribble(size_t bytes);
/* Use chains that were kept. */
void fuzz_use(unsigned queue);

#endif
