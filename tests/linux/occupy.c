/* SPDX-License-Identifier: MIT */
/*
 * In a guest: have memory of a kind that is hard to take offline, and keep it.
 *
 * usage: occupy pin|hold|lock|fixed|touch|tables|ring MIB
 *
 * pin    parts of it lie in pipes, and it stays mapped
 * hold   the same, and it is not mapped any more
 * lock   it is locked
 * fixed  it is pinned for long, as a buffer of io_uring
 * touch  it is in use, no more
 * tables it is page tables
 * ring   a driver has it: packets come into it all the time
 *
 * Prints a line when it has it, and sleeps.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define PART	((size_t)8 << 20)	/* of which some pages are pinned */
#define PINNED	((size_t)8 << 12)

static int pin_part(char *memory)
{
	struct iovec part = { memory, PINNED };
	int ends[2];

	if (pipe(ends))
		return -1;
	return vmsplice(ends[1], &part, 1, 0) == (ssize_t)PINNED ? 0 : -1;
}

#define RING_BLOCK	(256u << 10)
#define RING_FRAME	2048u

/* A table is as large as a page, and reaches so far. */
#define REACH	((size_t)2 << 20)

static int fill_tables(size_t size)
{
	size_t reach = size / 4096 * REACH, at;
	volatile char *memory;

	memory = mmap(NULL, reach, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS |
		      MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED ||
	    madvise((void *)memory, reach, MADV_NOHUGEPAGE))
		return 1;
	for (at = 0; at < reach; at += REACH)
		(void)memory[at];
	return 0;
}

/* Packets of the loopback device come into memory of the kernel's. */
static int fill_ring(size_t size)
{
	struct tpacket_req ring = {
		.tp_block_size = RING_BLOCK,
		.tp_block_nr = (unsigned int)(size / RING_BLOCK),
		.tp_frame_size = RING_FRAME,
		.tp_frame_nr = (unsigned int)(size / RING_FRAME),
	};
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(9),
		.sin_addr = { htonl(INADDR_LOOPBACK) },
	};
	int in = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
	int out = socket(AF_INET, SOCK_DGRAM, 0);
	char packet[1000] = "x";

	if (in < 0 || out < 0 ||
	    setsockopt(in, SOL_PACKET, PACKET_RX_RING, &ring, sizeof(ring)))
		return 1;
	if (fork())
		return 0;
	for (;;) {
		(void)sendto(out, packet, sizeof(packet), 0,
			     (struct sockaddr *)&to, sizeof(to));
		usleep(2000);
	}
}

static int pin_for_long(char *memory, size_t size)
{
	struct io_uring_params params = { .flags = 0 };
	struct iovec buffer = { memory, size };
	long ring = syscall(__NR_io_uring_setup, 4, &params);

	return ring < 0 || syscall(__NR_io_uring_register, ring,
				   IORING_REGISTER_BUFFERS, &buffer, 1) < 0;
}

static int fill(const char *kind, size_t size)
{
	size_t at;
	char *memory;

	memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return 1;
	memset(memory, 1, size);
	if (!strcmp(kind, "lock") && mlock(memory, size))
		return 1;
	if (!strcmp(kind, "fixed") && pin_for_long(memory, size))
		return 1;
	for (at = 0; at < size && strchr("ph", kind[0]); at += PART) {
		if (pin_part(memory + at))
			return 1;
	}
	if (!strcmp(kind, "hold"))
		munmap(memory, size);
	return 0;
}

int main(int argc, char **argv)
{
	size_t size = argc > 2 ? strtoul(argv[2], NULL, 10) << 20 : 0;

	if (!size || size > (size_t)1 << 40)
		return 2;
	if (!strcmp(argv[1], "tables") ? fill_tables(size) :
	    !strcmp(argv[1], "ring") ? fill_ring(size) : fill(argv[1], size))
		return 1;
	puts("occupied");
	fflush(stdout);
	for (;;)
		pause();
}
