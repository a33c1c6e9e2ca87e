/* SPDX-License-Identifier: MIT */
#include "words.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "capture.h"

static int cut_off(const struct lx_words *words, uint64_t bytes,
		   struct lx_error *err)
{
	return lx_fail(err, LX_EFORMAT, "%s: the file is cut off: its %llu "
		       "bytes are not a whole number of 8-byte words",
		       words->path, (unsigned long long)bytes);
}

/* A regular file tells its length at once; one below /proc says 0. */
static int check_length(struct lx_words *words, struct lx_error *err)
{
	struct stat status;
	uint64_t bytes;

	if (fstat(words->fd, &status))
		return lx_fail(err, LX_EREAD, "%s: %s", words->path,
			       strerror(errno));
	if (!S_ISREG(status.st_mode) || status.st_size < 0)
		return 0;
	bytes = (uint64_t)status.st_size;
	if (bytes % sizeof(uint64_t))
		return cut_off(words, bytes, err);
	words->frames = bytes / sizeof(uint64_t);
	return 0;
}

/* The file is open. */
static int begin(struct lx_words *words, struct lx_error *err)
{
	int ret = check_length(words, err);

	if (ret)
		lx_words_close(words);
	return ret;
}

static int open_raw(struct lx_words *words, struct lx_error *err)
{
	words->fd = lx_open_file(words->path, err);
	return words->fd < 0 ? words->fd : begin(words, err);
}

static int open_captured(struct lx_words *words, const char *name,
			 struct lx_error *err)
{
	snprintf(words->path, sizeof(words->path), "%s: %s",
		 words->mount->path, name);
	if (!words->mount->raw)
		return lx_stream_open(words->mount, name, &words->stream,
				      &words->frames, err);
	if (strcmp(name, "proc/kpageflags"))
		return lx_fail(err, LX_EMISSING, "%s: a copy of kpageflags "
			       "has no %s", words->mount->path, name);
	snprintf(words->path, sizeof(words->path), "%s", words->mount->path);
	return open_raw(words, err);
}

int lx_words_open(struct lx_words *words, const char *root, const char *name,
		  struct lx_error *err)
{
	words->fd = -1;
	words->stream = NULL;
	words->pfn = 0;
	words->frames = 0;
	words->mount = lx_mount_find(root);
	if (words->mount)
		return open_captured(words, name, err);
	words->fd = lx_open(root, name, false, err);
	if (words->fd < 0)
		return words->fd;
	(void)lx_path(root, name, words->path, sizeof(words->path));
	return begin(words, err);
}

void lx_words_close(struct lx_words *words)
{
	if (words->stream)
		lx_stream_close(words->stream);
	else
		close(words->fd);
	words->stream = NULL;
	words->fd = -1;
}

/* A stream goes on; to go back it begins again. */
static int seek_captured(struct lx_words *words, uint64_t pfn,
			 struct lx_error *err)
{
	const char *name = words->path + strlen(words->mount->path) + 2;
	uint64_t skipped;
	int ret;

	if (pfn < words->pfn) {
		struct lx_stream *old = words->stream;

		ret = lx_stream_open(words->mount, name, &words->stream,
				     &words->frames, err);
		if (ret)
			return ret;
		lx_stream_close(old);
		words->pfn = 0;
	}
	ret = lx_stream_read(words->stream, NULL, pfn - words->pfn, &skipped,
			     err);
	words->pfn = pfn;
	return ret;
}

int lx_words_seek(struct lx_words *words, uint64_t pfn, struct lx_error *err)
{
	off_t offset = (off_t)(pfn * sizeof(uint64_t));

	if (words->stream)
		return seek_captured(words, pfn, err);
	if (pfn > INT64_MAX / sizeof(uint64_t))
		return lx_fail(err, LX_EREAD, "%s: no file has a word for "
			       "frame %#llx", words->path,
			       (unsigned long long)pfn);
	if (lseek(words->fd, offset, SEEK_SET) < 0)
		return lx_fail(err, LX_EREAD, "%s: frame %#llx: %s",
			       words->path, (unsigned long long)pfn,
			       strerror(errno));
	words->pfn = pfn;
	return 0;
}

static int read_captured(struct lx_words *words, uint64_t *buffer, size_t max,
			 size_t *ret_count, struct lx_error *err)
{
	uint64_t count;
	int ret = lx_stream_read(words->stream, buffer, max, &count, err);

	if (ret)
		return ret;
	words->pfn += count;
	*ret_count = (size_t)count;
	return 0;
}

int lx_words_read(struct lx_words *words, uint64_t *buffer, size_t max,
		  size_t *ret_count, struct lx_error *err)
{
	unsigned char *bytes = (unsigned char *)buffer;
	size_t want = max * sizeof(*buffer), have = 0;
	ssize_t got = 1;

	if (words->stream)
		return read_captured(words, buffer, max, ret_count, err);
	while (have < want && got) {
		got = read(words->fd, bytes + have, want - have);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return lx_fail(err, LX_EREAD, "%s: frame %#llx: %s",
				       words->path,
				       (unsigned long long)(words->pfn +
							    have / 8),
				       strerror(errno));
		have += (size_t)got;
	}
	if (have % sizeof(*buffer))
		return cut_off(words, words->pfn * sizeof(*buffer) + have, err);
	words->pfn += have / sizeof(*buffer);
	*ret_count = have / sizeof(*buffer);
	return 0;
}

/* Is there a word behind all that a capture may have? */
static int check_count(struct lx_words *words, struct lx_error *err)
{
	size_t count = 0;
	uint64_t word;
	int ret = 0;

	if (words->frames)
		count = words->frames > LX_CAPTURE_FRAMES_MAX;
	else
		ret = lx_words_seek(words, LX_CAPTURE_FRAMES_MAX, err);
	if (!ret && !words->frames)
		ret = lx_words_read(words, &word, 1, &count, err);
	if (ret || !count)
		return ret;
	return lx_fail(err, LX_EFORMAT, "%s: it has words of frames above 64 "
		       "TiB, and a capture cannot have more", words->path);
}

int lx_words_count(struct lx_words *words, uint64_t *ret_frames,
		   struct lx_error *err)
{
	uint64_t low = 0, high = LX_CAPTURE_FRAMES_MAX, word;
	size_t count;
	int ret = check_count(words, err);

	if (ret)
		return ret;
	while (!ret && !words->frames && low < high) {
		uint64_t middle = low + (high - low) / 2;

		ret = lx_words_seek(words, middle, err);
		if (!ret)
			ret = lx_words_read(words, &word, 1, &count, err);
		if (!ret && count)
			low = middle + 1;
		else
			high = middle;
	}
	if (!ret)
		*ret_frames = words->frames ? words->frames : low;
	return ret;
}
