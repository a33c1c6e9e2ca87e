/* SPDX-License-Identifier: MIT */
#ifndef DUMP_PACK_H
#define DUMP_PACK_H

/* Packing frames and unpacking them. */

#include <stdbool.h>
#include <stddef.h>

enum dump_compress {
	COMPRESS_NONE,
	COMPRESS_ZLIB,
	COMPRESS_ZSTD,
};

/* Was it built with that? */
bool pack_can(enum dump_compress how);

/* What packs frames for one thread; NULL: no memory. */
struct pack;
struct pack *pack_new(enum dump_compress how);
void pack_free(struct pack *pack);

/*
 * A frame into at most @room bytes; 0: it does not get smaller.
 */
size_t pack_frame(struct pack *pack, const void *frame, void *to, size_t room);

/* KDUMP_* of page descriptors. */
unsigned pack_flags(enum dump_compress how);

struct unpack {
	size_t page_bytes;		/* what pages have when unpacked */
	void *zstd;
};

/* A page from its packed bytes. 0, or -1. */
int unpack_page(struct unpack *unpack, unsigned flags, const void *bytes,
		size_t count, void *page);
void unpack_free(struct unpack *unpack);

#endif
