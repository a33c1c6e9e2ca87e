/* SPDX-License-Identifier: MIT */

/*
 * Reading the file of a saved machine.
 *
 * Every length is looked at before it is used, every chunk against its
 * checksums before anything of it is; whatever the bytes are, memory is
 * bounded by two chunks.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "save_stream.h"

struct save_reader {
	const char *path;
	int fd;
	ZSTD_DCtx *context;
	uint32_t kind;		/* of the chunk at hand */
	uint64_t number;	/* of the next one */
	uint64_t bytes;		/* read */
	struct code code;	/* what is left of the chunk */
	bool failed;
	char why[SAVE_WHY_BYTES];
	unsigned char raw[SAVE_CHUNK_BYTES];
	unsigned char packed[SAVE_CHUNK_BYTES];
};

/* The head of a chunk. */
struct head {
	uint32_t kind, packed, stored, raw;
	uint64_t number;
	uint32_t sum;
};

const char *save_kind_name(enum save_kind kind)
{
	static const char *const names[SAVE_KIND_COUNT] = {
		[SAVE_END] = "end",
		[SAVE_MACHINE] = "machine",
		[SAVE_NAME] = "name",
		[SAVE_OWNER] = "owner",
		[SAVE_PLUGGED] = "plugged",
		[SAVE_BALLOONED] = "ballooned",
		[SAVE_BAD] = "bad frame",
		[SAVE_BLOCK_GROUP] = "block group",
		[SAVE_BLOCK] = "block",
		[SAVE_RUN] = "run",
		[SAVE_SET] = "set",
		[SAVE_MEMBER] = "member",
		[SAVE_KEPT] = "kept",
		[SAVE_FRAME] = "frame",
		[SAVE_WATCHER] = "subscriber",
		[SAVE_SCANNED] = "scanned",
		[SAVE_WALKER] = "walker",
		[SAVE_OPERATION] = "operation",
		[SAVE_MARK] = "mark",
		[SAVE_ZONE] = "zone",
		[SAVE_LAST] = "last",
		[SAVE_CONTENT] = "content",
		[SAVE_LOAD] = "load",
		[SAVE_WORKER] = "worker",
		[SAVE_SLOT] = "slot",
		[SAVE_OBJECT] = "object",
		[SAVE_GIVEN] = "given",
		[SAVE_ADDED] = "added",
		[SAVE_PART] = "part",
		[SAVE_MIGRATING] = "migrating",
	};

	return (unsigned)kind < SAVE_KIND_COUNT ? names[kind] : "unknown";
}

/* Kinds that came to be early stand in the order of their numbers. */
unsigned save_kind_rank(unsigned kind)
{
	switch (kind) {
	case SAVE_END:
		return 4 * SAVE_KIND_COUNT;
	case SAVE_OBJECT:
		return 4 * SAVE_NAME + 1;
	case SAVE_GIVEN:
		return 4 * SAVE_RUN + 1;
	case SAVE_ADDED:
		return 4 * SAVE_BLOCK_GROUP + 1;
	case SAVE_PART:
		return 4 * SAVE_RUN + 2;
	case SAVE_MIGRATING:
		return 4 * SAVE_LAST + 1;
	default:
		return kind < SAVE_KIND_COUNT ? 4 * kind :
		       4 * SAVE_KIND_COUNT + 1;
	}
}

int save_reader_fail(struct save_reader *reader, const char *format, ...)
{
	int length;
	va_list values;

	if (reader->failed)
		return -1;
	reader->failed = true;
	length = snprintf(reader->why, sizeof(reader->why), "%s: ",
			  reader->path);
	if (length < 0 || (size_t)length >= sizeof(reader->why))
		length = 0;	/* then without the name */
	va_start(values, format);
	(void)vsnprintf(reader->why + length,
			sizeof(reader->why) - (size_t)length, format, values);
	va_end(values);
	return -1;
}

const char *save_reader_why(const struct save_reader *reader)
{
	return reader->why;
}

/* As many as there are, up to @count; -1 on an error. */
static ssize_t get(struct save_reader *reader, void *bytes, size_t count)
{
	size_t got = 0;
	ssize_t did;

	while (got < count) {
		did = read(reader->fd, (unsigned char *)bytes + got,
			   count - got);
		if (did < 0 && errno == EINTR)
			continue;
		if (did < 0)
			return save_reader_fail(reader, "%s",
						strerror(errno));
		if (!did)
			break;
		got += (size_t)did;
	}
	reader->bytes += got;
	return (ssize_t)got;
}

static int get_all(struct save_reader *reader, void *bytes, size_t count)
{
	ssize_t got = get(reader, bytes, count);

	if (got < 0)
		return -1;
	if ((size_t)got == count)
		return 0;
	return save_reader_fail(reader, "it ends too early, after %llu bytes",
				(unsigned long long)reader->bytes);
}

static uint32_t checksum(const void *bytes, size_t count)
{
	return (uint32_t)crc32(0, bytes, (unsigned)count);
}

/* The last four bytes are the checksum of those before. */
static bool sum_holds(unsigned char *bytes, size_t count)
{
	size_t body = count - sizeof(uint32_t);
	struct code code = { bytes + body, bytes + count, true, false };
	uint32_t sum = 0;

	code_u32(&code, &sum);
	return sum == checksum(bytes, body);
}

static int get_head(struct save_reader *reader)
{
	unsigned char bytes[SAVE_HEAD_BYTES];
	struct code code = {
		bytes + SAVE_MAGIC_BYTES, bytes + sizeof(bytes), true, false,
	};
	uint32_t version = 0;
	ssize_t got = get(reader, bytes, sizeof(bytes));

	if (got < 0)
		return -1;
	if (got < SAVE_MAGIC_BYTES ||
	    memcmp(bytes, SAVE_MAGIC, SAVE_MAGIC_BYTES))
		return save_reader_fail(reader, "not a saved machine");
	if ((size_t)got < sizeof(bytes))
		return save_reader_fail(reader, "it ends too early, after %zd"
					" bytes", got);
	/* The version first: what a newer one means by a head is its own. */
	code_u32(&code, &version);
	if (version > SAVE_VERSION)
		return save_reader_fail(reader, "written by a newer coldframe:"
					" its format is %u, and this one reads"
					" up to %u", version, SAVE_VERSION);
	if (!sum_holds(bytes, sizeof(bytes)) || !version)
		return save_reader_fail(reader, "damaged: the head is wrong");
	return 0;
}

static int check_head(struct save_reader *reader, const struct head *head)
{
	if (head->number != reader->number)
		return save_reader_fail(reader, "damaged: chunk %llu stands"
					" where %llu should",
					(unsigned long long)head->number,
					(unsigned long long)reader->number);
	if (head->stored > SAVE_CHUNK_BYTES || head->raw > SAVE_CHUNK_BYTES ||
	    !head->stored || !head->raw || head->packed > 1 ||
	    (!head->packed && head->stored != head->raw))
		return save_reader_fail(reader, "damaged: chunk %llu has"
					" impossible sizes",
					(unsigned long long)head->number);
	return 0;
}

static int get_chunk_head(struct save_reader *reader, struct head *head)
{
	unsigned char bytes[SAVE_CHUNK_HEAD_BYTES];
	struct code code = { bytes, bytes + sizeof(bytes), true, false };

	if (get_all(reader, bytes, sizeof(bytes)))
		return -1;
	if (!sum_holds(bytes, sizeof(bytes)))
		return save_reader_fail(reader, "damaged: the head of chunk"
					" %llu is wrong",
					(unsigned long long)reader->number);
	code_u32(&code, &head->kind);
	code_u32(&code, &head->packed);
	code_u32(&code, &head->stored);
	code_u32(&code, &head->raw);
	code_u64(&code, &head->number);
	code_u32(&code, &head->sum);
	return check_head(reader, head);
}

static int unpack(struct save_reader *reader, const struct head *head)
{
	size_t got;

	if (checksum(head->packed ? reader->packed : reader->raw,
		     head->stored) != head->sum)
		return save_reader_fail(reader, "damaged: the checksum of"
					" chunk %llu does not hold",
					(unsigned long long)head->number);
	if (!head->packed)
		return 0;
	got = ZSTD_decompressDCtx(reader->context, reader->raw, head->raw,
				  reader->packed, head->stored);
	if (!ZSTD_isError(got) && got == head->raw)
		return 0;
	return save_reader_fail(reader, "damaged: chunk %llu does not"
				" decompress",
				(unsigned long long)head->number);
}

/* One more chunk, known to us or passed over. */
static int get_chunk(struct save_reader *reader)
{
	struct head head = { 0, 0, 0, 0, 0, 0 };

	if (get_chunk_head(reader, &head) ||
	    get_all(reader, head.packed ? reader->packed : reader->raw,
		    head.stored) ||
	    unpack(reader, &head))
		return -1;
	reader->number++;
	reader->kind = head.kind;
	reader->code = (struct code){
		reader->raw, reader->raw + head.raw, true, false,
	};
	if (head.kind < SAVE_KIND_COUNT)
		return 0;
	if (!(head.kind & SAVE_OPTIONAL))
		return save_reader_fail(reader, "chunk %llu is of a kind this"
					" coldframe does not know: %u",
					(unsigned long long)head.number,
					head.kind);
	reader->code.end = reader->code.at;
	return 0;
}

int save_reader_next(struct save_reader *reader, struct code **ret_code)
{
	if (reader->failed)
		return -1;
	if (reader->code.failed)
		return save_reader_fail(reader, "damaged: a record of kind"
					" \"%s\" in chunk %llu is wrong",
					save_kind_name((enum save_kind)
						       reader->kind),
					(unsigned long long)reader->number -
					1);
	while (!code_more(&reader->code))
		if (get_chunk(reader))
			return -1;
	*ret_code = &reader->code;
	return (int)reader->kind;
}

bool save_reader_at_end(struct save_reader *reader)
{
	unsigned char byte;

	if (reader->failed)
		return false;
	if (reader->code.failed || code_more(&reader->code) ||
	    get(reader, &byte, 1) != 0) {
		(void)save_reader_fail(reader, "damaged: something stands"
				       " behind the end");
		return false;
	}
	return true;
}

struct save_reader *save_reader_open(const char *path, char *why)
{
	struct save_reader *reader = calloc(1, sizeof(*reader));
	bool opened = false;

	if (reader) {
		reader->path = path;
		reader->fd = -1;
		reader->context = ZSTD_createDCtx();
		reader->fd = strcmp(path, "-") ?
			open(path, O_RDONLY | O_CLOEXEC) : dup(STDIN_FILENO);
		if (reader->fd < 0)
			(void)save_reader_fail(reader, "%s", strerror(errno));
		else if (!reader->context)
			(void)save_reader_fail(reader, "%s", strerror(ENOMEM));
		else
			opened = !get_head(reader);
	}
	if (opened)
		return reader;
	(void)snprintf(why, SAVE_WHY_BYTES, "%s", reader ? reader->why :
		       strerror(ENOMEM));
	if (reader)
		save_reader_close(reader);
	return NULL;
}

void save_reader_close(struct save_reader *reader)
{
	(void)ZSTD_freeDCtx(reader->context);
	if (reader->fd >= 0)
		(void)close(reader->fd);
	free(reader);
}
