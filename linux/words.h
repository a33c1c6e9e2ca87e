/* SPDX-License-Identifier: MIT */
#ifndef LINUX_WORDS_H
#define LINUX_WORDS_H

#include "sysroot.h"

struct lx_mount;
struct lx_stream;

/*
 * proc/kpageflags, proc/kpagecount: one 64-bit word in this machine's byte
 * order for each frame, from frame 0 on.  The real files report a length of
 * 0, so only reading on tells where they end.
 */
struct lx_words {
	int fd;			/* -1: a capture is unpacked */
	struct lx_stream *stream;
	uint64_t pfn;		/* frame of the next word */
	uint64_t frames;	/* in the file, or 0: reading on will tell */
	const struct lx_mount *mount;
	char path[4096];	/* for messages */
};

/**
 * lx_words_open() - open such a file. Pair with lx_words_close().
 *
 * Return: 0, -LX_EMISSING, -LX_EDENIED, -LX_EREAD, or -LX_EFORMAT: it is a
 *         regular file that is empty or ends within a word.
 */
int lx_words_open(struct lx_words *words, const char *root, const char *name,
		  struct lx_error *err);
void lx_words_close(struct lx_words *words);

/**
 * lx_words_seek() - go on at another frame, also beyond the end.
 *
 * Return: 0; -LX_EREAD: no file can be that long, or the system refused.
 */
int lx_words_seek(struct lx_words *words, uint64_t pfn, struct lx_error *err);

/**
 * lx_words_read() - the next words.
 * @buffer:    room for @max words
 * @ret_count: words read; fewer than @max only at the end, 0 after it
 *
 * Return: 0, -LX_EREAD, or -LX_EFORMAT: the file ends within a word.
 */
int lx_words_read(struct lx_words *words, uint64_t *buffer, size_t max,
		  size_t *ret_count, struct lx_error *err);

/**
 * lx_words_count() - how many words there are.
 *
 * For a file below /proc, which reports no length, its end is looked for by
 * reading single words. Leaves the place of the next word undefined.
 *
 * Return: 0, or negative as lx_words_read(); -LX_EFORMAT also when there are
 *         more than LX_CAPTURE_FRAMES_MAX.
 */
int lx_words_count(struct lx_words *words, uint64_t *ret_frames,
		   struct lx_error *err);

/* How many of @count words, at least 1, are like the first. */
static inline size_t lx_words_alike(const uint64_t *word, size_t count)
{
	const uint64_t first = word[0];
	size_t i = 1;

	/* Most runs are short; the others are very long. */
	while (i + 4 <= count && !((word[i] ^ first) | (word[i + 1] ^ first) |
				   (word[i + 2] ^ first) |
				   (word[i + 3] ^ first)))
		i += 4;
	while (i < count && word[i] == first)
		i++;
	return i;
}

#endif
