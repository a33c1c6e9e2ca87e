/* SPDX-License-Identifier: MIT */
#include "flat.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format.h"

#define RECORDS_MAX	((size_t)1 << 24)	/* 512 MiB */

/* Bytes [offset, offset + bytes) lie at @at of the stream. */
struct record {
	uint64_t offset, bytes, at;
	size_t number;			/* in the stream: the last one counts */
};

struct flat {
	struct record *record;		/* by offset, none over another */
	size_t records;
};

int read_at(int fd, uint64_t offset, void *memory, size_t bytes)
{
	unsigned char *to = memory;

	while (bytes) {
		ssize_t got = pread(fd, to, bytes, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return -1;
		to += got;
		offset += (uint64_t)got;
		bytes -= (size_t)got;
	}
	return 0;
}

static int add_record(struct flat *flat, size_t *room, struct record record)
{
	struct record *more;

	if (flat->records == *room) {
		*room = *room ? 2 * *room : 64;
		more = realloc(flat->record, *room * sizeof(*more));
		if (!more)
			return -1;
		flat->record = more;
	}
	record.number = flat->records;
	flat->record[flat->records++] = record;
	return 0;
}

/* All records up to the end record; a stream without one is cut off. */
static int read_records(struct flat *flat, int fd, uint64_t file_bytes,
			struct dump_why *why)
{
	uint64_t at = FLAT_HEADER_BYTES, head[2];
	size_t room = 0;

	for (;;) {
		struct record record;

		if (read_at(fd, at, head, sizeof(head)))
			return dump_fail(why, "it is cut off: its flattened "
					 "records have no end");
		record.offset = be64toh(head[0]);
		record.bytes = be64toh(head[1]);
		if (record.offset == UINT64_MAX && record.bytes == UINT64_MAX)
			return 0;
		record.at = at + sizeof(head);
		if (record.at > file_bytes ||
		    record.bytes > file_bytes - record.at ||
		    record.offset > INT64_MAX - record.bytes)
			return dump_fail(why, "it is cut off: a flattened "
					 "record reaches beyond its end");
		if (!record.bytes)
			return dump_fail(why, "a flattened record in it is "
					 "empty");
		at = record.at + record.bytes;
		if (flat->records == RECORDS_MAX ||
		    add_record(flat, &room, record))
			return dump_fail(why, "it has more records than there "
					 "is memory for");
	}
}

static int compare_records(const void *a, const void *b)
{
	const struct record *left = a, *right = b;

	if (left->offset != right->offset)
		return left->offset < right->offset ? -1 : 1;
	return left->number < right->number ? -1 : left->number > right->number;
}

/*
 * Where records overlap the later one counts.  Writers rewrite a header as a
 * whole, so one that begins where another does hides that one, and any other
 * overlap is refused.
 */
static int sort_records(struct flat *flat, struct dump_why *why)
{
	size_t i, used = 0;

	if (flat->records)
		qsort(flat->record, flat->records, sizeof(*flat->record),
		      compare_records);
	for (i = 0; i < flat->records; i++) {
		struct record *last = used ? &flat->record[used - 1] : NULL;
		struct record next = flat->record[i];

		if (last && next.offset == last->offset) {
			if (next.bytes < last->bytes)
				return dump_fail(why, "its flattened records "
						 "overlap");
			*last = next;
			continue;
		}
		if (last && next.offset < last->offset + last->bytes)
			return dump_fail(why, "its flattened records overlap");
		flat->record[used++] = next;
	}
	flat->records = used;
	return 0;
}

int flat_open(int fd, uint64_t file_bytes, struct flat **ret_flat,
	      struct dump_why *why)
{
	char head[32];
	uint64_t type, version;
	struct flat *flat;

	if (file_bytes < FLAT_HEADER_BYTES ||
	    read_at(fd, 0, head, sizeof(head)) ||
	    memcmp(head, FLAT_SIGNATURE, sizeof(FLAT_SIGNATURE)))
		return 0;
	memcpy(&type, head + 16, 8);
	memcpy(&version, head + 24, 8);
	if (be64toh(type) != FLAT_TYPE || be64toh(version) != FLAT_VERSION)
		return dump_fail(why, "it is flattened in a way this coldframe "
				 "does not know");
	flat = calloc(1, sizeof(*flat));
	if (!flat)
		return dump_fail(why, "the process has no memory");
	if (read_records(flat, fd, file_bytes, why) ||
	    sort_records(flat, why)) {
		flat_close(flat);
		return -1;
	}
	*ret_flat = flat;
	return 1;
}

void flat_close(struct flat *flat)
{
	if (!flat)
		return;
	free(flat->record);
	free(flat);
}

uint64_t flat_bytes(const struct flat *flat)
{
	const struct record *last;

	if (!flat->records)
		return 0;
	last = &flat->record[flat->records - 1];
	return last->offset + last->bytes;
}

/* The first record that ends behind @offset. */
static size_t find_record(const struct flat *flat, uint64_t offset)
{
	size_t low = 0, high = flat->records;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct record *record = &flat->record[middle];

		if (record->offset + record->bytes <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

uint64_t flat_next(const struct flat *flat, uint64_t offset)
{
	size_t i = find_record(flat, offset);

	if (i == flat->records)
		return UINT64_MAX;
	return flat->record[i].offset > offset ? flat->record[i].offset :
						 offset;
}

int flat_read(const struct flat *flat, int fd, uint64_t offset, void *memory,
	      size_t bytes)
{
	size_t i = find_record(flat, offset);
	unsigned char *to = memory;

	while (bytes) {
		const struct record *record = &flat->record[i];
		uint64_t part = bytes;

		if (i == flat->records || record->offset > offset) {
			if (i < flat->records &&
			    record->offset - offset < part)
				part = record->offset - offset;
			memset(to, 0, part);
		} else {
			if (record->offset + record->bytes - offset < part)
				part = record->offset + record->bytes - offset;
			if (read_at(fd, record->at + offset - record->offset,
				    to, part))
				return -1;
			i++;
		}
		to += part;
		offset += part;
		bytes -= part;
	}
	return 0;
}
