/* SPDX-License-Identifier: MIT */
#include "out.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "format.h"

#define FILE_MODE	0600	/* contents of memory are nobody else's */

static int failed(const struct out *out, struct dump_why *why)
{
	return dump_fail(why, "%s: %s", out->path, strerror(errno));
}

static int append(struct out *out, const void *bytes, size_t count)
{
	if (whole_write(&out->file, bytes, count))
		return -1;
	out->at += count;
	return 0;
}

static int begin_flat(struct out *out)
{
	char head[FLAT_HEADER_BYTES] = FLAT_SIGNATURE;
	uint64_t type = htobe64(FLAT_TYPE), version = htobe64(FLAT_VERSION);

	memcpy(head + 16, &type, 8);
	memcpy(head + 24, &version, 8);
	return append(out, head, sizeof(head));
}

int out_open(struct out *out, const char *path, int fd, bool flat,
	     struct dump_why *why)
{
	*out = (struct out){
		.path = strcmp(path, "-") ? path : "standard output",
	};
	if (whole_open(&out->file, path, fd, FILE_MODE))
		return failed(out, why);
	out->stream = out->file.direct;
	out->flat = out->stream && flat;
	if (out->flat && begin_flat(out)) {
		(void)failed(out, why);
		out_cancel(out);
		return -1;
	}
	return 0;
}

static int write_stream(struct out *out, uint64_t offset, const void *bytes,
			size_t count)
{
	static const char zeroes[4096];
	uint64_t head[2] = { htobe64(offset), htobe64(count) };

	if (out->flat)
		return append(out, head, sizeof(head)) ||
		       append(out, bytes, count) ? -1 : 0;
	while (out->at < offset) {
		uint64_t gap = offset - out->at;

		if (append(out, zeroes, gap < sizeof(zeroes) ? gap :
						sizeof(zeroes)))
			return -1;
	}
	return append(out, bytes, count);
}

int out_write(struct out *out, uint64_t offset, const void *bytes,
	      size_t count, struct dump_why *why)
{
	int err = out->stream ? write_stream(out, offset, bytes, count) :
		  whole_write_at(&out->file, offset, bytes, count);

	return err ? failed(out, why) : 0;
}

void out_cancel(struct out *out)
{
	whole_cancel(&out->file);
}

int out_commit(struct out *out, uint64_t bytes, struct dump_why *why)
{
	uint64_t end[2] = { UINT64_MAX, UINT64_MAX };
	int err = 0;

	if (out->flat)
		err = append(out, end, sizeof(end));
	if (!out->stream)
		err = ftruncate(out->file.fd, (off_t)bytes);
	if (err || whole_commit(&out->file)) {
		(void)failed(out, why);
		out_cancel(out);
		return -1;
	}
	return 0;
}
