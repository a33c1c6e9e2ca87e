/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include <zlib.h>
#ifdef HAVE_ZSTD
#include <zstd.h>
#endif

#include <coldframe/types.h>

#include "format.h"
#include "pack.h"

struct pack {
	enum dump_compress how;
	z_stream zlib;
	bool zlib_begun;
#ifdef HAVE_ZSTD
	ZSTD_CCtx *zstd;
#endif
};

bool pack_can(enum dump_compress how)
{
#ifdef HAVE_ZSTD
	return how <= COMPRESS_ZSTD;
#else
	return how != COMPRESS_ZSTD;
#endif
}

struct pack *pack_new(enum dump_compress how)
{
	struct pack *pack = calloc(1, sizeof(*pack));
	bool good = pack != NULL;

	if (!good)
		return NULL;
	pack->how = how;
	if (how == COMPRESS_ZLIB)
		good = pack->zlib_begun = deflateInit(&pack->zlib,
						      Z_BEST_SPEED) == Z_OK;
	if (how == COMPRESS_ZSTD) {
#ifdef HAVE_ZSTD
		pack->zstd = ZSTD_createCCtx();
		good = pack->zstd != NULL;
#else
		good = false;
#endif
	}
	if (good)
		return pack;
	pack_free(pack);
	return NULL;
}

void pack_free(struct pack *pack)
{
	if (!pack)
		return;
	if (pack->zlib_begun)
		(void)deflateEnd(&pack->zlib);
#ifdef HAVE_ZSTD
	(void)ZSTD_freeCCtx(pack->zstd);
#endif
	free(pack);
}

/* deflateReset() costs less than the state compress2() sets up each time. */
static size_t pack_zlib(struct pack *pack, const void *frame, void *to,
			size_t room)
{
	z_stream *stream = &pack->zlib;

	(void)deflateReset(stream);
	stream->next_in = (Bytef *)(uintptr_t)frame;
	stream->avail_in = CF_FRAME_BYTES;
	stream->next_out = to;
	stream->avail_out = (uInt)room;
	return deflate(stream, Z_FINISH) == Z_STREAM_END ?
	       room - stream->avail_out : 0;
}

size_t pack_frame(struct pack *pack, const void *frame, void *to, size_t room)
{
	if (pack->how == COMPRESS_ZLIB)
		return pack_zlib(pack, frame, to, room);
#ifdef HAVE_ZSTD
	if (pack->how == COMPRESS_ZSTD) {
		size_t used = ZSTD_compressCCtx(pack->zstd, to, room, frame,
						CF_FRAME_BYTES, 1);

		return ZSTD_isError(used) ? 0 : used;
	}
#endif
	return 0;
}

unsigned pack_flags(enum dump_compress how)
{
	return how == COMPRESS_ZLIB ? KDUMP_ZLIB :
	       how == COMPRESS_ZSTD ? KDUMP_ZSTD : 0;
}

#ifdef HAVE_ZSTD
static int unpack_zstd(struct unpack *unpack, const void *bytes, size_t count,
		       void *page)
{
	if (!unpack->zstd)
		unpack->zstd = ZSTD_createDCtx();
	return unpack->zstd &&
	       ZSTD_decompressDCtx(unpack->zstd, page, unpack->page_bytes,
				   bytes, count) == unpack->page_bytes ? 0 : -1;
}
#endif

int unpack_page(struct unpack *unpack, unsigned flags, const void *bytes,
		size_t count, void *page)
{
	uLongf length = unpack->page_bytes;

	if (flags & KDUMP_ZLIB)
		return uncompress(page, &length, bytes, count) == Z_OK &&
		       length == unpack->page_bytes ? 0 : -1;
#ifdef HAVE_ZSTD
	if (flags & KDUMP_ZSTD)
		return unpack_zstd(unpack, bytes, count, page);
#endif
	return -1;
}

void unpack_free(struct unpack *unpack)
{
#ifdef HAVE_ZSTD
	(void)ZSTD_freeDCtx(unpack->zstd);
#else
	(void)unpack;
#endif
}
