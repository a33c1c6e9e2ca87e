/* SPDX-License-Identifier: MIT */
#ifndef LINUX_CAPTURE_H
#define LINUX_CAPTURE_H

#include "sysroot.h"

/*
 * A file that stands for the root of a system: a capture, which
 * `coldframe capture` wrote, or a copy of proc/kpageflags alone.  Once it is
 * mounted, its path is a root like any folder for all readers of linux/.
 *
 * A capture is one zstd frame.  In it, lines and bytes:
 *
 *	coldframe capture 2
 *	addresses yes
 *	whole yes
 *	file sys/devices/system/memory/memory0/state 7
 *	online
 *	words proc/kpageflags 262144
 *	(runs of frames that have the same word; 262144 frames in all)
 *	end
 *
 * All files stand before the first words. "addresses no": within a chunk the
 * frames are sorted by their words, so that a capture tells how many frames
 * of which kind a chunk has and not which. "whole no": it was made of a copy
 * of proc/kpageflags alone, and no files means that nothing is known.
 *
 * A run begins with a byte. Its low 7 bits are the number of a word among the
 * last 127 different ones: words get the numbers 0, 1, ... 126, 0, ... in turn.
 * 127 is a word that has no number yet; it follows, 8 bytes, least byte first.
 * With the high bit the number of frames follows, 7 bits a byte, the lowest
 * first, and the high bit in all but the last; without it is 1. Each words
 * begin with no word known.
 *
 * In version 1 a run is 16 bytes, the word and how many frames have it.
 */
#define LX_CAPTURE_VERSION	2
#define LX_CAPTURE_MAGIC	"coldframe capture 2\n"
#define LX_CAPTURE_WORDS	127
#define LX_CAPTURE_NEW		0x7fu	/* a word that has no number */
#define LX_CAPTURE_MANY		0x80u	/* the number of frames follows */

/* What a capture may be at most; the kernel stays far below. */
#define LX_CAPTURE_FILES_MAX	(1u << 18)
#define LX_CAPTURE_BYTES_MAX	(24u << 20)	/* of all files */
#define LX_CAPTURE_FRAMES_MAX	(UINT64_C(1) << 34)	/* 64 TiB */
#define LX_CAPTURE_WINDOW_LOG	20		/* memory to unpack: 1 MiB */

struct lx_capture_file {
	const char *name;
	const char *bytes;
	size_t count;
};

struct lx_mount {
	struct lx_mount *next;
	char *path;			/* the root it stands for */
	char *source;			/* the file that is read */
	bool raw;			/* a copy of proc/kpageflags */
	bool whole;			/* files that are missing say so */
	bool addresses;			/* frames stand where they were */
	char *text;			/* all names and files */
	size_t used, room;
	struct lx_capture_file *file;	/* by name */
	size_t count, files_room;
};

/**
 * lx_mount() - make a file a root. Pair with lx_unmount().
 *
 * What it is is told by its first bytes: a zstd frame is a capture, all else
 * is words.
 *
 * Return: 0, -LX_EMISSING, -LX_EDENIED, -LX_EREAD, or -LX_EFORMAT.
 */
int lx_mount(const char *path, struct lx_error *err);
void lx_unmount(const char *path);

/* The same under another name: @path becomes the root, @source is read. */
int lx_mount_as(const char *path, const char *source, struct lx_error *err);

/* The mount whose path this is, or NULL: @root is a folder. */
const struct lx_mount *lx_mount_find(const char *root);

/* A file of a capture, or NULL. */
const struct lx_capture_file *lx_mount_file(const struct lx_mount *mount,
					    const char *name);

/*
 * The first file whose name is not below @prefix in the order of names; its
 * index. Those that begin with @prefix follow from there.
 */
size_t lx_mount_first(const struct lx_mount *mount, const char *prefix);

/* The words of a capture, unpacked as they are read. */
struct lx_stream;

/**
 * lx_stream_open() - go to the words of a name.
 * @ret_frames: how many there are
 * Return: 0, -LX_EMISSING: the capture has none; -LX_EREAD; -LX_EFORMAT.
 */
int lx_stream_open(const struct lx_mount *mount, const char *name,
		   struct lx_stream **ret_stream, uint64_t *ret_frames,
		   struct lx_error *err);
void lx_stream_close(struct lx_stream *stream);

/*
 * Read words, or with @buffer NULL pass over them. *@ret_count is less than
 * @max at the end.
 */
int lx_stream_read(struct lx_stream *stream, uint64_t *buffer, uint64_t max,
		   uint64_t *ret_count, struct lx_error *err);

#endif
