/* SPDX-License-Identifier: MIT */
#include "capture.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef HAVE_ZSTD
#include <zstd.h>
#endif

#define PACKED_BYTES	65536
#define PLAIN_BYTES	65536
#define HEAD_BYTES	1024		/* of a line, with its newline */

static struct lx_mount *mounts;

/* A capture being unpacked: bytes [next, have) of plain wait. */
struct lx_stream {
	const char *path;
	int fd;
	size_t next, have;
	uint64_t frames, left;		/* of the words; not read yet */
	uint64_t word, run;		/* run: frames of it still to come */
	uint64_t version;
	uint64_t known[LX_CAPTURE_WORDS];	/* words by number */
	unsigned int numbers, number;	/* how many have one; the next */
	bool ended;
#ifdef HAVE_ZSTD
	ZSTD_DStream *unpack;
	ZSTD_inBuffer in;
	bool frame_done;
#endif
	char packed[PACKED_BYTES], plain[PLAIN_BYTES];
};

static int is_no_capture(const struct lx_stream *stream, const char *why,
			 struct lx_error *err)
{
	return lx_fail(err, LX_EFORMAT, "%s: no capture: %s", stream->path,
		       why);
}

#ifdef HAVE_ZSTD
/* More packed bytes; *@ret_got 0: there are none. */
static int fill_packed(struct lx_stream *stream, size_t *ret_got,
		       struct lx_error *err)
{
	ssize_t got;

	do
		got = read(stream->fd, stream->packed, PACKED_BYTES);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return lx_fail(err, LX_EREAD, "%s: %s", stream->path,
			       strerror(errno));
	stream->in = (ZSTD_inBuffer){ stream->packed, (size_t)got, 0 };
	*ret_got = (size_t)got;
	return 0;
}

/* More plain bytes, at least one. */
static int fill(struct lx_stream *stream, struct lx_error *err)
{
	ZSTD_outBuffer out = { stream->plain, PLAIN_BYTES, 0 };
	size_t got = 0;
	size_t ret;
	int failed;

	while (!out.pos) {
		if (stream->frame_done)
			return is_no_capture(stream, "it ends too early", err);
		if (stream->in.pos == stream->in.size) {
			failed = fill_packed(stream, &got, err);
			if (failed)
				return failed;
			if (!got)
				return is_no_capture(stream, "it is cut off",
						     err);
		}
		ret = ZSTD_decompressStream(stream->unpack, &out, &stream->in);
		if (ZSTD_isError(ret))
			return is_no_capture(stream, ZSTD_getErrorName(ret),
					     err);
		stream->frame_done = !ret;
	}
	stream->next = 0;
	stream->have = out.pos;
	return 0;
}

static int start_unpacking(struct lx_stream *stream, struct lx_error *err)
{
	stream->unpack = ZSTD_createDStream();
	if (!stream->unpack ||
	    ZSTD_isError(ZSTD_DCtx_setParameter(stream->unpack,
						ZSTD_d_windowLogMax,
						LX_CAPTURE_WINDOW_LOG)))
		return lx_fail(err, LX_EREAD, "out of memory");
	return 0;
}
#else
static int fill(struct lx_stream *stream, struct lx_error *err)
{
	return lx_fail(err, LX_EREAD, "%s: this coldframe was built without "
		       "zstd and cannot read captures", stream->path);
}

static int start_unpacking(struct lx_stream *stream, struct lx_error *err)
{
	(void)stream;
	(void)err;
	return 0;
}
#endif

/* @bytes NULL: pass over them. */
static int take_bytes(struct lx_stream *stream, void *bytes, size_t count,
		      struct lx_error *err)
{
	char *at = bytes;
	size_t part;
	int ret;

	while (count) {
		if (stream->next == stream->have) {
			ret = fill(stream, err);
			if (ret)
				return ret;
		}
		part = stream->have - stream->next;
		part = part < count ? part : count;
		if (at) {
			memcpy(at, stream->plain + stream->next, part);
			at += part;
		}
		stream->next += part;
		count -= part;
	}
	return 0;
}

static int take_line(struct lx_stream *stream, char line[HEAD_BYTES],
		     struct lx_error *err)
{
	size_t length = 0;
	int ret;

	for (;;) {
		if (length == HEAD_BYTES)
			return is_no_capture(stream, "a line is too long",
					     err);
		ret = take_bytes(stream, &line[length], 1, err);
		if (ret)
			return ret;
		if (!line[length])
			return is_no_capture(stream, "a line has a 0", err);
		if (line[length] == '\n')
			break;
		length++;
	}
	line[length] = 0;
	return 0;
}

/* "KIND NAME NUMBER": cuts the line behind the name. */
static bool parse_head(char *line, const char *kind, char **ret_name,
		       uint64_t *ret_number)
{
	size_t length = strlen(kind);
	char *number = strrchr(line, ' ');

	if (strncmp(line, kind, length) || line[length] != ' ' ||
	    number <= line + length + 1 ||
	    !lx_number(number + 1, 10, NULL, ret_number))
		return false;
	*number = 0;
	*ret_name = line + length + 1;
	return true;
}

static int open_stream(const char *path, struct lx_stream **ret_stream,
		       struct lx_error *err)
{
	struct lx_stream *stream = calloc(1, sizeof(*stream));
	char line[HEAD_BYTES];
	int ret;

	if (!stream)
		return lx_fail(err, LX_EREAD, "out of memory");
	stream->path = path;
	stream->fd = lx_open_file(path, err);
	ret = stream->fd < 0 ? stream->fd : start_unpacking(stream, err);
	if (!ret)
		ret = take_line(stream, line, err);
	line[ret ? 0 : strlen(line)] = 0;
	if (!ret && (strncmp(line, "coldframe capture ", 18) ||
		     !lx_number(line + 18, 10, NULL, &stream->version) ||
		     !stream->version ||
		     stream->version > LX_CAPTURE_VERSION))
		ret = lx_fail(err, LX_EFORMAT, "%s: no capture of version 1 "
			      "to %d: it begins with \"%.40s\"", path,
			      LX_CAPTURE_VERSION, line);
	if (ret) {
		lx_stream_close(stream);
		return ret;
	}
	*ret_stream = stream;
	return 0;
}

void lx_stream_close(struct lx_stream *stream)
{
#ifdef HAVE_ZSTD
	ZSTD_freeDStream(stream->unpack);
#endif
	if (stream->fd >= 0)
		close(stream->fd);
	free(stream);
}

/* Room for a name and a file, each with a 0 behind. */
static int grow(struct lx_mount *mount, size_t bytes, struct lx_error *err)
{
	size_t room = mount->room;
	struct lx_capture_file *file;
	char *text;

	if (mount->count == LX_CAPTURE_FILES_MAX ||
	    bytes > LX_CAPTURE_BYTES_MAX - mount->used)
		return lx_fail(err, LX_EFORMAT, "%s: no capture: more than %u "
			       "files or %u MiB of them", mount->path,
			       LX_CAPTURE_FILES_MAX,
			       LX_CAPTURE_BYTES_MAX >> 20);
	while (room - mount->used < bytes)
		room = room ? 2 * room : 4096;
	text = realloc(mount->text, room);
	if (!text)
		return lx_fail(err, LX_EREAD, "out of memory");
	mount->text = text;
	mount->room = room;
	if (mount->count < mount->files_room)
		return 0;
	mount->files_room = mount->count ? 2 * mount->count : 64;
	file = realloc(mount->file, mount->files_room * sizeof(*file));
	if (!file)
		return lx_fail(err, LX_EREAD, "out of memory");
	mount->file = file;
	return 0;
}

/* The text may move while it grows: until all is read, only counts count. */
static int take_file(struct lx_mount *mount, struct lx_stream *stream,
		     const char *name, uint64_t bytes, struct lx_error *err)
{
	size_t length = strlen(name) + 1;
	int ret;

	if (bytes > LX_CAPTURE_BYTES_MAX)
		return is_no_capture(stream, "a file is too large", err);
	ret = grow(mount, length + (size_t)bytes + 1, err);
	if (ret)
		return ret;
	memcpy(mount->text + mount->used, name, length);
	mount->used += length;
	ret = take_bytes(stream, mount->text + mount->used, (size_t)bytes, err);
	if (ret)
		return ret;
	mount->used += (size_t)bytes;
	mount->text[mount->used++] = 0;
	mount->file[mount->count++].count = (size_t)bytes;
	return 0;
}

static int compare_files(const void *a, const void *b)
{
	const struct lx_capture_file *left = a, *right = b;

	return strcmp(left->name, right->name);
}

static void sort_files(struct lx_mount *mount)
{
	const char *at = mount->text;
	size_t i;

	for (i = 0; i < mount->count; i++) {
		struct lx_capture_file *file = &mount->file[i];

		file->name = at;
		file->bytes = at + strlen(at) + 1;
		at = file->bytes + file->count + 1;
	}
	if (mount->count)
		qsort(mount->file, mount->count, sizeof(*mount->file),
		      compare_files);
}

/* Everything up to the first words, or to the end. */
static int take_files(struct lx_mount *mount, struct lx_stream *stream,
		      struct lx_error *err)
{
	char line[HEAD_BYTES], *name;
	uint64_t number;
	int ret;

	for (;;) {
		ret = take_line(stream, line, err);
		if (ret)
			return ret;
		if (!strcmp(line, "end") ||
		    parse_head(line, "words", &name, &number))
			break;
		if (!strncmp(line, "addresses ", 10))
			mount->addresses = strcmp(line + 10, "no");
		else if (!strncmp(line, "whole ", 6))
			mount->whole = strcmp(line + 6, "no");
		else if (!parse_head(line, "file", &name, &number))
			return is_no_capture(stream, "a line is not known",
					     err);
		else
			ret = take_file(mount, stream, name, number, err);
		if (ret)
			return ret;
	}
	sort_files(mount);
	return 0;
}

static int mount_capture(struct lx_mount *mount, struct lx_error *err)
{
	struct lx_stream *stream;
	int ret;

	ret = open_stream(mount->source, &stream, err);
	if (ret)
		return ret;
	ret = take_files(mount, stream, err);
	lx_stream_close(stream);
	return ret;
}

/* Words begin with no such bytes: bits 27 to 31 mean nothing in Linux. */
static int is_packed(const char *path, bool *ret_packed, struct lx_error *err)
{
	static const unsigned char magic[4] = { 0x28, 0xb5, 0x2f, 0xfd };
	unsigned char head[4];
	int fd = lx_open_file(path, err);
	ssize_t got;

	if (fd < 0)
		return fd;
	got = read(fd, head, sizeof(head));
	if (got < 0)
		lx_fail(err, LX_EREAD, "%s: %s", path, strerror(errno));
	close(fd);
	*ret_packed = got == 4 && !memcmp(head, magic, 4);
	return got < 0 ? -LX_EREAD : 0;
}

static void free_mount(struct lx_mount *mount)
{
	free(mount->path);
	free(mount->source);
	free(mount->text);
	free(mount->file);
	free(mount);
}

int lx_mount(const char *path, struct lx_error *err)
{
	return lx_mount_as(path, path, err);
}

int lx_mount_as(const char *path, const char *source, struct lx_error *err)
{
	struct lx_mount *mount;
	bool packed;
	int ret;

	if (lx_mount_find(path))
		return 0;
	ret = is_packed(source, &packed, err);
	if (ret)
		return ret;
	mount = calloc(1, sizeof(*mount));
	if (!mount || !(mount->path = strdup(path)) ||
	    !(mount->source = strdup(source))) {
		if (mount)
			free_mount(mount);
		return lx_fail(err, LX_EREAD, "out of memory");
	}
	mount->raw = !packed;
	mount->addresses = true;
	mount->whole = packed;
	ret = packed ? mount_capture(mount, err) : 0;
	if (ret) {
		free_mount(mount);
		return ret;
	}
	mount->next = mounts;
	mounts = mount;
	return 0;
}

void lx_unmount(const char *path)
{
	struct lx_mount **at = &mounts, *mount;

	while (*at && strcmp((*at)->path, path))
		at = &(*at)->next;
	mount = *at;
	if (!mount)
		return;
	*at = mount->next;
	free_mount(mount);
}

const struct lx_mount *lx_mount_find(const char *root)
{
	const struct lx_mount *mount = mounts;

	while (mount && strcmp(mount->path, root))
		mount = mount->next;
	return mount;
}

size_t lx_mount_first(const struct lx_mount *mount, const char *prefix)
{
	size_t low = 0, high = mount->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(mount->file[middle].name, prefix) >= 0)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

const struct lx_capture_file *lx_mount_file(const struct lx_mount *mount,
					    const char *name)
{
	size_t i = lx_mount_first(mount, name);

	if (i < mount->count && !strcmp(mount->file[i].name, name))
		return &mount->file[i];
	return NULL;
}

static uint64_t little_endian(const unsigned char *bytes)
{
	uint64_t value = 0;
	int i;

	for (i = 7; i >= 0; i--)
		value = value << 8 | bytes[i];
	return value;
}

/* As version 1 has it. */
static int take_pair(struct lx_stream *stream, struct lx_error *err)
{
	unsigned char bytes[16];
	int ret = take_bytes(stream, bytes, sizeof(bytes), err);

	if (ret)
		return ret;
	stream->word = little_endian(bytes);
	stream->run = little_endian(bytes + 8);
	return 0;
}

/* A word that has no number yet gets one. */
static int take_word(struct lx_stream *stream, struct lx_error *err)
{
	unsigned char bytes[8];
	int ret = take_bytes(stream, bytes, sizeof(bytes), err);

	if (ret)
		return ret;
	stream->word = little_endian(bytes);
	stream->known[stream->number] = stream->word;
	stream->number = (stream->number + 1) % LX_CAPTURE_WORDS;
	stream->numbers += stream->numbers < LX_CAPTURE_WORDS;
	return 0;
}

static int take_length(struct lx_stream *stream, struct lx_error *err)
{
	unsigned int shift;
	unsigned char byte;
	int ret;

	stream->run = 0;
	for (shift = 0; shift < 63; shift += 7) {
		ret = take_bytes(stream, &byte, 1, err);
		if (ret)
			return ret;
		stream->run |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return 0;
	}
	return is_no_capture(stream, "a run is longer than any", err);
}

static int take_short(struct lx_stream *stream, struct lx_error *err)
{
	unsigned char byte;
	unsigned int number;
	int ret = take_bytes(stream, &byte, 1, err);

	if (ret)
		return ret;
	number = byte & ~LX_CAPTURE_MANY;
	if (number == LX_CAPTURE_NEW)
		ret = take_word(stream, err);
	else if (number < stream->numbers)
		stream->word = stream->known[number];
	else
		ret = is_no_capture(stream, "it has no word of that number",
				    err);
	stream->run = 1;
	return !ret && byte & LX_CAPTURE_MANY ? take_length(stream, err) : ret;
}

/* The next word and how many frames have it. */
static int take_run(struct lx_stream *stream, struct lx_error *err)
{
	int ret = stream->version == 1 ? take_pair(stream, err) :
					 take_short(stream, err);

	if (ret)
		return ret;
	if (!stream->run || stream->run > stream->left)
		return is_no_capture(stream, "its words are not as many as it "
				     "says", err);
	stream->left -= stream->run;
	return 0;
}

int lx_stream_read(struct lx_stream *stream, uint64_t *buffer, uint64_t max,
		   uint64_t *ret_count, struct lx_error *err)
{
	uint64_t done = 0, part, i;
	int ret;

	while (done < max && (stream->run || stream->left)) {
		if (!stream->run) {
			ret = take_run(stream, err);
			if (ret)
				return ret;
		}
		part = max - done < stream->run ? max - done : stream->run;
		for (i = 0; buffer && i < part; i++)
			buffer[done + i] = stream->word;
		stream->run -= part;
		done += part;
	}
	*ret_count = done;
	return 0;
}

/* Begin to read words; @frames of them are said to follow. */
static int start_words(struct lx_stream *stream, uint64_t frames,
		       struct lx_error *err)
{
	if (frames > LX_CAPTURE_FRAMES_MAX)
		return is_no_capture(stream, "it has more frames than any "
				     "machine", err);
	stream->frames = frames;
	stream->left = frames;
	stream->run = 0;
	stream->number = 0;
	stream->numbers = 0;
	return 0;
}

static int skip_to_words(struct lx_stream *stream, const char *name,
			 struct lx_error *err)
{
	char line[HEAD_BYTES], *what;
	uint64_t number, got;
	int ret;

	for (;;) {
		ret = take_line(stream, line, err);
		if (!ret && !strcmp(line, "end"))
			return lx_fail(err, LX_EMISSING, "%s: the capture has "
				       "no %s", stream->path, name);
		if (!ret && parse_head(line, "file", &what, &number)) {
			if (number > LX_CAPTURE_BYTES_MAX)
				ret = is_no_capture(stream, "a file is too "
						    "large", err);
			else
				ret = take_bytes(stream, NULL, (size_t)number,
						 err);
		} else if (!ret && parse_head(line, "words", &what, &number)) {
			ret = start_words(stream, number, err);
			if (!ret && !strcmp(what, name))
				return 0;
			if (!ret)
				ret = lx_stream_read(stream, NULL, number,
						     &got, err);
		}
		if (ret)
			return ret;
	}
}

int lx_stream_open(const struct lx_mount *mount, const char *name,
		   struct lx_stream **ret_stream, uint64_t *ret_frames,
		   struct lx_error *err)
{
	struct lx_stream *stream;
	int ret;

	ret = open_stream(mount->source, &stream, err);
	if (ret)
		return ret;
	ret = skip_to_words(stream, name, err);
	if (ret) {
		lx_stream_close(stream);
		return ret;
	}
	*ret_frames = stream->frames;
	*ret_stream = stream;
	return 0;
}
