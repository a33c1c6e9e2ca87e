/* SPDX-License-Identifier: MIT */
#ifndef LINUX_PACK_H
#define LINUX_PACK_H

#include "sysroot.h"

/*
 * Writing a capture, in the order that capture.h describes: files, then
 * words, then the end.
 */
struct lx_pack;

/**
 * lx_pack_open() - begin a capture. Pair with lx_pack_close().
 * @path:      written as files/whole.h says, new for its owner only; "-":
 *             standard output
 * @addresses: frames stand where they were
 * @whole:     not of a copy of kpageflags alone
 *
 * Return: 0, or -LX_EREAD.
 */
int lx_pack_open(const char *path, bool addresses, bool whole,
		 struct lx_pack **ret_pack, struct lx_error *err);

/* The content of a file. */
int lx_pack_file(struct lx_pack *pack, const char *name, const void *bytes,
		 size_t count, struct lx_error *err);

/* Begin words; exactly @frames of them follow. */
int lx_pack_words(struct lx_pack *pack, const char *name, uint64_t frames,
		  struct lx_error *err);
int lx_pack_run(struct lx_pack *pack, uint64_t word, uint64_t frames,
		struct lx_error *err);

/**
 * lx_pack_close() - write what is left.
 * @good: false: leave no file behind
 *
 * Return: 0, or -LX_EREAD, and there is no file.
 */
int lx_pack_close(struct lx_pack *pack, bool good, struct lx_error *err);

#endif
