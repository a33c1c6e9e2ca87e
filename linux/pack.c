/* SPDX-License-Identifier: MIT */
#include "pack.h"

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
#define LEVEL		3

struct lx_pack {
	const char *path;
	struct whole file;
	ZSTD_CCtx *context;
	uint64_t word, run;		/* not written yet */
	uint64_t left;			/* frames of the words to come */
	char packed[PACKED_BYTES];
};

static int failed(const struct lx_pack *pack, struct lx_error *err)
{
	return lx_fail(err, LX_EREAD, "%s: %s", pack->path, strerror(errno));
}

static int put(struct lx_pack *pack, const void *bytes, size_t count,
	       ZSTD_EndDirective directive, struct lx_error *err)
{
	ZSTD_inBuffer in = { bytes, count, 0 };
	size_t left;

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

static int put_line(struct lx_pack *pack, const char *line,
		    struct lx_error *err)
{
	return put(pack, line, strlen(line), ZSTD_e_continue, err);
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
	return ret ? ret : put(pack, bytes, count, ZSTD_e_continue, err);
}

int lx_pack_words(struct lx_pack *pack, const char *name, uint64_t frames,
		  struct lx_error *err)
{
	char line[512];

	snprintf(line, sizeof(line), "words %.400s %" PRIu64 "\n", name,
		 frames);
	pack->left = frames;
	pack->run = 0;
	return put_line(pack, line, err);
}

static int put_run(struct lx_pack *pack, struct lx_error *err)
{
	unsigned char bytes[16];
	int i;

	for (i = 0; i < 8; i++) {
		bytes[i] = (unsigned char)(pack->word >> 8 * i);
		bytes[8 + i] = (unsigned char)(pack->run >> 8 * i);
	}
	pack->run = 0;
	return put(pack, bytes, sizeof(bytes), ZSTD_e_continue, err);
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
		ret = put(pack, "end\n", 4, ZSTD_e_end, err);
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
