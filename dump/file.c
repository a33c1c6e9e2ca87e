/* SPDX-License-Identifier: MIT */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bitmap.h"
#include "flat.h"
#include "format.h"
#include "formats.h"
#include "pack.h"

int dump_file_bytes(const struct dump_file *file, uint64_t offset,
		    void *memory, size_t bytes, struct dump_why *why)
{
	int err;

	if (offset > file->bytes || bytes > file->bytes - offset)
		return dump_fail(why, "it is cut off: something is said to be "
				 "at %llu, and it ends at %llu",
				 (unsigned long long)offset,
				 (unsigned long long)file->bytes);
	err = file->flat ? flat_read(file->flat, file->fd, offset, memory,
				     bytes) :
			   read_at(file->fd, offset, memory, bytes);
	return err ? dump_fail(why, "%s", strerror(errno ? errno : EIO)) : 0;
}

uint64_t dump_file_next(const struct dump_file *file, uint64_t offset)
{
	off_t next;

	if (file->flat)
		return flat_next(file->flat, offset);
	next = lseek(file->fd, (off_t)offset, SEEK_DATA);
	if (next < 0)
		return errno == ENXIO ? UINT64_MAX : offset;
	return (uint64_t)next;
}

static int open_path(struct dump_file *file, struct dump_why *why)
{
	struct stat status;

	/* A pipe that nobody writes to is no reason to wait. */
	file->fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (file->fd < 0 || fstat(file->fd, &status))
		return dump_fail(why, "%s", strerror(errno));
	if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode))
		return dump_fail(why, "it is no file that can be read from "
				 "any place");
	file->stored = (uint64_t)lseek(file->fd, 0, SEEK_END);
	file->bytes = file->stored;
	return 0;
}

static int learn(struct dump_file *file, struct dump_why *why)
{
	char head[8];
	int flat;

	flat = flat_open(file->fd, file->bytes, &file->flat, why);
	if (flat < 0)
		return -1;
	if (flat)
		file->bytes = flat_bytes(file->flat);
	if (file->bytes < sizeof(head))
		return dump_fail(why, "it is no dump: it has %llu bytes",
				 (unsigned long long)file->bytes);
	if (dump_file_bytes(file, 0, head, sizeof(head), why))
		return -1;
	if (!memcmp(head, "\177ELF", 4))
		return elf_file_open(file, why);
	if (!memcmp(head, KDUMP_SIGNATURE, 8))
		return kdump_file_open(file, why);
	return dump_fail(why, "it is no dump: it begins neither as an ELF core "
			 "nor as a kdump-compressed file");
}

int dump_file_open(struct dump_file *file, const char *path,
		   struct dump_why *why)
{
	*file = (struct dump_file){ .fd = -1 };
	file->path = strdup(path);
	if (!file->path)
		return dump_fail(why, "the process has no memory");
	if (open_path(file, why) || learn(file, why)) {
		dump_file_close(file);
		return -1;
	}
	return 0;
}

void dump_file_close(struct dump_file *file)
{
	if (file->fd >= 0)
		(void)close(file->fd);
	flat_close(file->flat);
	bitmap_close(file->there);
	bitmap_close(file->dumped);
	unpack_free(&file->unpack);
	free(file->page);
	free(file->packed);
	free(file->segment);
	free(file->notes);
	free(file->path);
}

bool dump_file_is(const char *path)
{
	char head[16] = { 0 };
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat status;
	bool is;

	if (fd < 0)
		return false;
	is = !fstat(fd, &status) && S_ISREG(status.st_mode) &&
	     !read_at(fd, 0, head, sizeof(head)) &&
	     (!memcmp(head, "\177ELF", 4) ||
	      !memcmp(head, KDUMP_SIGNATURE, 8) ||
	      !memcmp(head, FLAT_SIGNATURE, sizeof(FLAT_SIGNATURE)));
	(void)close(fd);
	return is;
}

int dump_file_read(struct dump_file *file, uint64_t frame, void *memory,
		   struct dump_why *why)
{
	if (file->format == DUMP_ELF)
		return elf_file_read(file, frame, memory, why);
	return kdump_file_read(file, frame, memory, why);
}

int dump_file_has(struct dump_file *file, uint64_t frame,
		  struct dump_why *why)
{
	if (file->format == DUMP_ELF)
		return elf_file_has(file, frame);
	return bitmap_get(file, file->dumped, frame / file->page_frames, NULL,
			  why);
}

uint64_t dump_file_frames_max(const struct dump_file *file)
{
	uint64_t count = file->stored / KDUMP_DESC_BYTES;

	if (file->format == DUMP_ELF)
		return file->stored / CF_FRAME_BYTES + 1;
	if (bitmap_count(file->dumped) < count)
		count = bitmap_count(file->dumped);
	return count * file->page_frames;
}

int dump_file_was_there(struct dump_file *file, uint64_t frame,
			struct dump_why *why)
{
	if (file->format == DUMP_ELF)
		return elf_file_has(file, frame);
	return bitmap_get(file, file->there, frame / file->page_frames, NULL,
			  why);
}

/* ---- notes ---- */

static uint64_t padded(uint64_t bytes)
{
	return (bytes + 3) & ~(uint64_t)3;
}

static void take_note(struct dump_file *file, const char *name,
		      uint32_t name_bytes, struct info text)
{
	if (name_bytes == sizeof(NOTE_VMCOREINFO) &&
	    !memcmp(name, NOTE_VMCOREINFO, sizeof(NOTE_VMCOREINFO)))
		file->vmcoreinfo = text;
	if (name_bytes == sizeof(NOTE_COLDFRAME) &&
	    !memcmp(name, NOTE_COLDFRAME, sizeof(NOTE_COLDFRAME)))
		file->note = text;
}

int notes_read(struct dump_file *file, uint64_t offset, uint64_t bytes,
	       struct dump_why *why)
{
	uint64_t at = 0;
	uint32_t head[3];

	if (bytes > NOTES_BYTES_MAX || bytes > file->bytes)
		return dump_fail(why, "its notes are larger than it is");
	free(file->notes);
	file->notes = malloc(bytes ? bytes : 1);
	if (!file->notes)
		return dump_fail(why, "the process has no memory");
	file->notes_bytes = bytes;
	if (dump_file_bytes(file, offset, file->notes, bytes, why))
		return -1;
	while (bytes - at >= sizeof(head)) {
		uint64_t name, text;

		memcpy(head, file->notes + at, sizeof(head));
		name = at + sizeof(head);
		text = name + padded(head[0]);
		if (text > bytes || head[1] > bytes - text)
			break;
		take_note(file, file->notes + name, head[0],
			  (struct info){ file->notes + text, head[1] });
		at = text + padded(head[1]);
		if (at > bytes)
			break;
	}
	return 0;
}

bool dump_file_physical(const struct dump_file *file, uint64_t address,
			uint64_t *ret_physical)
{
	size_t i;

	for (i = 0; i < file->segments; i++) {
		const struct dump_segment *segment = &file->segment[i];

		if (address - segment->virtual >= segment->bytes)
			continue;
		*ret_physical = segment->physical + address - segment->virtual;
		return true;
	}
	return false;
}
