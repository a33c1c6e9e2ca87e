/* SPDX-License-Identifier: MIT */
#include "pack.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "capture.h"
#include "files/whole.h"

#ifdef HAVE_ZSTD
#include <zstd.h>

#define FILE_MODE	0600		/* addresses are nobody else's */
#define PACKED_BYTES	65536
#define PLAIN_BYTES	65536
#define LEVEL		3
#define RUN_BYTES	(1 + 8 + 10)	/* at most */
#define GUESS_BITS	10
#define GUESSES		(1u << GUESS_BITS)

struct lx_pack {
	const char *path;
	struct whole file;
	ZSTD_CCtx *context;
	uint64_t word, run;		/* not written yet */
	uint64_t known[LX_CAPTURE_WORDS];	/* words by number */
	unsigned int numbers, number;	/* how many have one; the next */
	unsigned char guess[GUESSES];	/* the number of a word, perhaps */
	uint64_t left;			/* frames of the words to come */
	size_t used;			/* of plain */
	char plain[PLAIN_BYTES], packed[PACKED_BYTES];
};

static int failed(const struct lx_pack *pack, struct lx_error *err)
{
	return lx_fail(err, LX_EREAD, "%s: %s", pack->path, strerror(errno));
}

/* What is waiting in plain goes through the packer. */
static int flush(struct lx_pack *pack, ZSTD_EndDirective directive,
		 struct lx_error *err)
{
	ZSTD_inBuffer in = { pack->plain, pack->used, 0 };
	size_t left;

	pack->used = 0;
	do {
		ZSTD_outBuffer out = { pack->packed, PACKED_BYTES, 0 };

		left = ZSTD_compressStream2(pack->context, &out, &in,
					    directive);
		if (ZSTD_isError(left))
			return lx_fail(err, LX_EREAD, "%s: %s", pack->path,
				       ZSTD_getErrorName(left));
		if (whole_write(&pack->file, pack->packed, out.pos))
			return failed(pack, err);
	} while (in.pos < in.size || (directive == ZSTD_e_end && left));
	return 0;
}

static int put(struct lx_pack *pack, const void *bytes, size_t count,
	       struct lx_error *err)
{
	const char *at = bytes;
	size_t part;
	int ret;

	for (; count; at += part, count -= part) {
		if (pack->used == PLAIN_BYTES) {
			ret = flush(pack, ZSTD_e_continue, err);
			if (ret)
				return ret;
		}
		part = PLAIN_BYTES - pack->used;
		part = part < count ? part : count;
		memcpy(pack->plain + pack->used, at, part);
		pack->used += part;
	}
	return 0;
}

static int put_line(struct lx_pack *pack, const char *line,
		    struct lx_error *err)
{
	return put(pack, line, strlen(line), err);
}

static bool set_up(struct lx_pack *pack)
{
	ZSTD_CCtx *context = ZSTD_createCCtx();

	pack->context = context;
	return context &&
	       !ZSTD_isError(ZSTD_CCtx_setParameter(context,
			ZSTD_c_compressionLevel, LEVEL)) &&
	       !ZSTD_isError(ZSTD_CCtx_setParameter(context,
			ZSTD_c_windowLog, LX_CAPTURE_WINDOW_LOG)) &&
	       !ZSTD_isError(ZSTD_CCtx_setParameter(context,
			ZSTD_c_checksumFlag, 1));
}

static void free_pack(struct lx_pack *pack)
{
	ZSTD_freeCCtx(pack->context);
	free(pack);
}

static int open_output(struct lx_pack *pack, struct lx_error *err)
{
	if (whole_is_stdout(pack->path) && isatty(STDOUT_FILENO))
		return lx_fail(err, LX_EREAD, "standard output is a terminal; "
			       "a capture is not for reading");
	if (whole_open(&pack->file, pack->path, STDOUT_FILENO, FILE_MODE))
		return failed(pack, err);
	return 0;
}

int lx_pack_open(const char *path, bool addresses, bool whole,
		 struct lx_pack **ret_pack, struct lx_error *err)
{
	struct lx_pack *pack = calloc(1, sizeof(*pack));
	struct lx_error ignored;
	int ret;

	if (!pack)
		return lx_fail(err, LX_EREAD, "out of memory");
	pack->path = path;
	ret = open_output(pack, err);
	if (ret) {
		free_pack(pack);
		return ret;
	}
	if (!set_up(pack))
		ret = lx_fail(err, LX_EREAD, "out of memory");
	if (!ret)
		ret = put_line(pack, LX_CAPTURE_MAGIC, err);
	if (!ret)
		ret = put_line(pack, addresses ? "addresses yes\n" :
						 "addresses no\n", err);
	if (!ret && !whole)
		ret = put_line(pack, "whole no\n", err);
	if (ret)
		(void)lx_pack_close(pack, false, &ignored);
	else
		*ret_pack = pack;
	return ret;
}

int lx_pack_file(struct lx_pack *pack, const char *name, const void *bytes,
		 size_t count, struct lx_error *err)
{
	char line[512];
	int ret;

	snprintf(line, sizeof(line), "file %.400s %zu\n", name, count);
	ret = put_line(pack, line, err);
	return ret ? ret : put(pack, bytes, count, err);
}

int lx_pack_words(struct lx_pack *pack, const char *name, uint64_t frames,
		  struct lx_error *err)
{
	char line[512];

	snprintf(line, sizeof(line), "words %.400s %" PRIu64 "\n", name,
		 frames);
	pack->left = frames;
	pack->run = 0;
	pack->number = 0;
	pack->numbers = 0;
	return put_line(pack, line, err);
}

/*
 * The number of a word; LX_CAPTURE_NEW: it gets one now. Two words with the
 * same guess take it from each other, which costs some bytes.
 */
static unsigned int number_of(struct lx_pack *pack, uint64_t word)
{
	unsigned char *guess = &pack->guess[word * UINT64_C(0x9e3779b97f4a7c15)
					    >> (64 - GUESS_BITS)];

	if (*guess < pack->numbers && pack->known[*guess] == word)
		return *guess;
	*guess = (unsigned char)pack->number;
	pack->known[pack->number] = word;
	pack->number = (pack->number + 1) % LX_CAPTURE_WORDS;
	pack->numbers += pack->numbers < LX_CAPTURE_WORDS;
	return LX_CAPTURE_NEW;
}

static int put_run(struct lx_pack *pack, struct lx_error *err)
{
	unsigned int number = number_of(pack, pack->word);
	const uint64_t word = htole64(pack->word);
	uint64_t left = pack->run;
	char *at;
	int ret;

	if (PLAIN_BYTES - pack->used < RUN_BYTES) {
		ret = flush(pack, ZSTD_e_continue, err);
		if (ret)
			return ret;
	}
	at = pack->plain + pack->used;
	*at++ = (char)(left > 1 ? number | LX_CAPTURE_MANY : number);
	if (number == LX_CAPTURE_NEW) {
		memcpy(at, &word, sizeof(word));
		at += sizeof(word);
	}
	if (left > 1) {
		for (; left > 0x7f; left >>= 7)
			*at++ = (char)((left & 0x7f) | 0x80);
		*at++ = (char)left;
	}
	pack->run = 0;
	pack->used = (size_t)(at - pack->plain);
	return 0;
}

int lx_pack_run(struct lx_pack *pack, uint64_t word, uint64_t frames,
		struct lx_error *err)
{
	int ret = 0;

	if (pack->run && pack->word != word)
		ret = put_run(pack, err);
	pack->word = word;
	pack->run += frames;
	pack->left -= frames;
	if (!ret && !pack->left && pack->run)
		ret = put_run(pack, err);
	return ret;
}

int lx_pack_close(struct lx_pack *pack, bool good, struct lx_error *err)
{
	int ret = 0;

	if (good)
		ret = put_line(pack, "end\n", err);
	if (good && !ret)
		ret = flush(pack, ZSTD_e_end, err);
	if (ret || !good)
		whole_cancel(&pack->file);
	else if (whole_commit(&pack->file))
		ret = failed(pack, err);
	free_pack(pack);
	return ret;
}

#else

int lx_pack_open(const char *path, bool addresses, bool whole,
		 struct lx_pack **ret_pack, struct lx_error *err)
{
	(void)addresses;
	(void)whole;
	(void)ret_pack;
	return lx_fail(err, LX_EREAD, "%s: this coldframe was built without "
		       "zstd and cannot write captures", path);
}

int lx_pack_file(struct lx_pack *pack, const char *name, const void *bytes,
		 size_t count, struct lx_error *err)
{
	(void)pack;
	(void)bytes;
	return lx_fail(err, LX_EREAD, "%s: %zu bytes", name, count);
}

int lx_pack_words(struct lx_pack *pack, const char *name, uint64_t frames,
		  struct lx_error *err)
{
	(void)pack;
	(void)frames;
	return lx_fail(err, LX_EREAD, "%s", name);
}

int lx_pack_run(struct lx_pack *pack, uint64_t word, uint64_t frames,
		struct lx_error *err)
{
	(void)pack;
	(void)frames;
	return lx_fail(err, LX_EREAD, "%" PRIx64, word);
}

int lx_pack_close(struct lx_pack *pack, bool good, struct lx_error *err)
{
	(void)pack;
	(void)good;
	return lx_fail(err, LX_EREAD, "nothing was opened");
}

#endif
