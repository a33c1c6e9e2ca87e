/* SPDX-License-Identifier: MIT */
#include "words.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

int lx_words_open(struct lx_words *words, const char *root, const char *name,
		  struct lx_error *err)
{
	int ret;

	words->pfn = 0;
	words->frames = 0;
	if (!lx_path(root, name, words->path, sizeof(words->path)))
		return lx_fail(err, LX_EREAD, "%s: the path is too long", name);
	words->fd = open(words->path, O_RDONLY | O_CLOEXEC);
	if (words->fd < 0)
		return lx_fail(err, errno == ENOENT ? LX_EMISSING : LX_EREAD,
			       "%s: %s", words->path, strerror(errno));
	ret = check_length(words, err);
	if (ret)
		lx_words_close(words);
	return ret;
}

void lx_words_close(struct lx_words *words)
{
	close(words->fd);
	words->fd = -1;
}

int lx_words_seek(struct lx_words *words, uint64_t pfn, struct lx_error *err)
{
	off_t offset = (off_t)(pfn * sizeof(uint64_t));

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

int lx_words_read(struct lx_words *words, uint64_t *buffer, size_t max,
		  size_t *ret_count, struct lx_error *err)
{
	unsigned char *bytes = (unsigned char *)buffer;
	size_t want = max * sizeof(*buffer), have = 0;
	ssize_t got = 1;

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
