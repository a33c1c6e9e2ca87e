/* SPDX-License-Identifier: MIT */

/*
 * Writing the file of a saved machine.
 *
 * Records gather in one buffer; when the next one is of another kind or does
 * not fit, what there is becomes a chunk.  Memory is bounded by two chunks.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "files/whole.h"
#include "save_stream.h"

#define FILE_MODE	0600	/* whole memories are nobody else's */

struct save_writer {
	struct whole file;
	const char *path;	/* as it was named */
	int level;
	int err;		/* of the first write that failed; or 0 */
	enum save_kind kind;	/* of the records in @raw */
	uint64_t number;	/* of the next chunk */
	uint64_t bytes;		/* written */
	ZSTD_CCtx *context;
	struct code code;	/* where the record that is open goes */
	size_t packed_room;
	unsigned char *packed;
	unsigned char raw[SAVE_CHUNK_BYTES];
};

static void fail(struct save_writer *writer, int err)
{
	if (!writer->err)
		writer->err = err;
}

static void put(struct save_writer *writer, const void *bytes, size_t count)
{
	if (writer->err)
		return;
	if (whole_write(&writer->file, bytes, count))
		fail(writer, errno);
	else
		writer->bytes += count;
}

static uint32_t checksum(const void *bytes, size_t count)
{
	return (uint32_t)crc32(0, bytes, (unsigned)count);
}

static void put_head(struct save_writer *writer)
{
	unsigned char bytes[SAVE_HEAD_BYTES] = SAVE_MAGIC;
	struct code code = {
		bytes + SAVE_MAGIC_BYTES, bytes + sizeof(bytes), false, false,
	};
	uint32_t version = SAVE_VERSION, zero = 0, sum;
	uint64_t nothing = 0;

	code_u32(&code, &version);
	code_u32(&code, &zero);
	code_u64(&code, &nothing);
	code_u32(&code, &zero);
	sum = checksum(bytes, sizeof(bytes) - sizeof(sum));
	code_u32(&code, &sum);
	put(writer, bytes, sizeof(bytes));
}

static void put_chunk(struct save_writer *writer, const void *bytes,
		      size_t count, size_t raw_count)
{
	unsigned char head[SAVE_CHUNK_HEAD_BYTES];
	struct code code = { head, head + sizeof(head), false, false };
	uint32_t kind = writer->kind, packed = bytes != writer->raw;
	uint32_t stored = (uint32_t)count, raw = (uint32_t)raw_count;
	uint32_t sum = checksum(bytes, count);

	code_u32(&code, &kind);
	code_u32(&code, &packed);
	code_u32(&code, &stored);
	code_u32(&code, &raw);
	code_u64(&code, &writer->number);
	code_u32(&code, &sum);
	sum = checksum(head, sizeof(head) - sizeof(sum));
	code_u32(&code, &sum);
	put(writer, head, sizeof(head));
	put(writer, bytes, count);
	writer->number++;
}

/* What has gathered becomes a chunk, compressed where that makes it less. */
static void flush(struct save_writer *writer)
{
	size_t count = (size_t)(writer->code.at - writer->raw), packed = 0;

	if (writer->code.failed)
		fail(writer, EOVERFLOW);
	if (!count || writer->err)
		return;
	if (writer->level)
		packed = ZSTD_compressCCtx(writer->context, writer->packed,
					   writer->packed_room, writer->raw,
					   count, writer->level);
	if (writer->level && !ZSTD_isError(packed) && packed < count)
		put_chunk(writer, writer->packed, packed, count);
	else
		put_chunk(writer, writer->raw, count, count);
	writer->code.at = writer->raw;
}

struct code *save_writer_record(struct save_writer *writer,
				enum save_kind kind, size_t bytes)
{
	struct code *code = &writer->code;
	size_t left = (size_t)(writer->raw + sizeof(writer->raw) - code->at);

	if (kind != writer->kind || left < bytes) {
		flush(writer);
		writer->kind = kind;
	}
	code->end = writer->raw + sizeof(writer->raw);
	return writer->err ? NULL : code;
}

static struct save_writer *give_up(struct save_writer *writer, char *why,
				   const char *path, int err)
{
	(void)snprintf(why, SAVE_WHY_BYTES, "%s: %s", path, strerror(err));
	if (writer) {
		(void)ZSTD_freeCCtx(writer->context);
		free(writer->packed);
		free(writer);
	}
	return NULL;
}

struct save_writer *save_writer_open(const char *path, int out, int level,
				     char *why)
{
	struct save_writer *writer = calloc(1, sizeof(*writer));

	if (!writer)
		return give_up(NULL, why, path, ENOMEM);
	writer->level = level;
	writer->packed_room = ZSTD_compressBound(sizeof(writer->raw));
	writer->packed = malloc(writer->packed_room);
	writer->context = ZSTD_createCCtx();
	if (!writer->packed || !writer->context)
		return give_up(writer, why, path, ENOMEM);
	writer->path = path;
	if (whole_open(&writer->file, path, out, FILE_MODE))
		return give_up(writer, why, path, errno);
	writer->code.at = writer->raw;
	put_head(writer);
	return writer;
}

int save_writer_close(struct save_writer *writer, bool keep,
		      uint64_t *ret_bytes, char *why)
{
	const char *path = writer->path;
	int err;

	if (keep)
		flush(writer);
	*ret_bytes = writer->bytes;
	err = writer->err;
	if (!keep || err)
		whole_cancel(&writer->file);
	else if (whole_commit(&writer->file))
		err = errno;
	if (!err) {
		(void)ZSTD_freeCCtx(writer->context);
		free(writer->packed);
		free(writer);
		return 0;
	}
	(void)give_up(writer, why, path, err);
	return -1;
}
