/* SPDX-License-Identifier: MIT */
#include "pins.h"

#include <coldframe/types.h>
#include <inttypes.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "capture.h"

#define BATCH		512
#define BUFFER_MAX	(UINT64_C(1) << 36)	/* bytes of one buffer */
#define BUFFERS_MAX	65536		/* to remember, each as up to two */

/* An entry of pagemap: the frame, if the page is in memory. */
#define PRESENT		(UINT64_C(1) << 63)
#define PAGEMAP_PFN	((UINT64_C(1) << 55) - 1)

enum { MEANS_RING, MEANS_VFIO, MEANS_RDMA, MEANS_COUNT };

static const struct {
	const char *prefix, *name;
} means[MEANS_COUNT] = {
	[MEANS_RING] = { "anon_inode:[io_uring]", "io_uring" },
	[MEANS_VFIO] = { "/dev/vfio/", "VFIO" },
	[MEANS_RDMA] = { "/dev/infiniband/uverbs", "RDMA" },
};

struct walk {
	const char *root;
	lx_pin_fn fn;
	void *context;
	struct lx_owners *holders;
	struct lx_error *err;
	uint64_t pid, frames, counted, stretches, asked;
	unsigned int has;		/* a bit for each of means[] */
	int pagemap, fds;		/* fds: the folder of descriptors */
	bool in_buffers, lost;
	void *buffers;			/* seen so far: a tree */
	size_t remembered;
};

/* Where a buffer is; pfn 0: whatever frames it has. */
struct buffer {
	uint64_t address, bytes, pfn;
};

static int compare_buffers(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct buffer));
}

/* Is a buffer seen for the first time? One too many explains no pins. */
static bool is_new(struct walk *walk, const struct buffer *buffer)
{
	struct buffer *own, **found;

	if (tfind(buffer, &walk->buffers, compare_buffers))
		return false;
	own = walk->remembered < BUFFERS_MAX ? malloc(sizeof(*own)) : NULL;
	if (own) {
		*own = *buffer;
		found = tsearch(own, &walk->buffers, compare_buffers);
		walk->remembered += !!found;
		if (found)
			return true;
		free(own);
	}
	walk->lost = true;
	return true;
}

static void take_frame(struct walk *walk, uint64_t pfn, uint64_t last,
		       bool counts)
{
	walk->frames++;
	walk->asked += walk->fn(walk->context, pfn);
	if (!counts)
		return;
	walk->counted++;
	walk->stretches += pfn != last + 1 || !(pfn % CF_CHUNK_FRAMES);
}

/*
 * A ring that is open twice shows its buffers twice, by dup() in the same
 * frames, and after fork() in copies. Its pins are there once.
 */
static void walk_buffer(struct walk *walk, uint64_t address, uint64_t bytes)
{
	struct buffer buffer = { address, bytes, 0 };
	uint64_t page = address >> CF_FRAME_SHIFT, entry[BATCH];
	uint64_t end = (address + bytes + CF_FRAME_BYTES - 1) >>
		       CF_FRAME_SHIFT;
	uint64_t last = 0, pfn;
	bool counts = is_new(walk, &buffer);
	ssize_t got, i;

	for (; page < end; page += (uint64_t)got) {
		size_t want = end - page < BATCH ? (size_t)(end - page) :
						   BATCH;

		got = pread(walk->pagemap, entry, want * sizeof(entry[0]),
			    (off_t)(page * sizeof(entry[0])));
		got /= (ssize_t)sizeof(entry[0]);
		if (got <= 0)
			return;
		for (i = 0; i < got; i++) {
			pfn = entry[i] & PAGEMAP_PFN;
			if (!(entry[i] & PRESENT) || !pfn)
				continue;
			if (!buffer.pfn) {
				buffer.pfn = pfn;
				if (!is_new(walk, &buffer))
					return;
			}
			take_frame(walk, pfn, last, counts);
			last = pfn;
		}
	}
}

/* "UserBufs:	1", then "    0: 0x7ff642e00000/8388608" for each. */
static int take_line(void *context, char *line)
{
	struct walk *walk = context;
	uint64_t number, address, bytes;
	const char *at;

	if (line[0] != ' ') {
		walk->in_buffers = !strncmp(line, "UserBufs:", 9);
		return 0;
	}
	at = line + strspn(line, " ");
	if (walk->in_buffers && lx_number(at, 10, &at, &number) &&
	    !strncmp(at, ": 0x", 4) && lx_number(at + 2, 0, &at, &address) &&
	    *at == '/' && lx_number(at + 1, 10, NULL, &bytes) &&
	    bytes <= BUFFER_MAX && address <= UINT64_C(1) << 57)
		walk_buffer(walk, address, bytes);
	return 0;
}

static void read_ring(struct walk *walk, const char *descriptor)
{
	struct lx_error ignored;
	char name[64];

	snprintf(name, sizeof(name), "proc/%" PRIu64 "/pagemap", walk->pid);
	walk->pagemap = lx_open(walk->root, name, false, &ignored);
	if (walk->pagemap < 0)
		return;
	snprintf(name, sizeof(name), "proc/%" PRIu64 "/fdinfo/%.12s",
		 walk->pid, descriptor);
	walk->in_buffers = false;
	(void)lx_lines(walk->root, name, take_line, walk, &ignored);
	close(walk->pagemap);
}

static int take_descriptor(void *context, const char *descriptor)
{
	struct walk *walk = context;
	char target[128];
	unsigned int i;
	ssize_t length;

	length = readlinkat(walk->fds, descriptor, target,
			    sizeof(target) - 1);
	if (length < 0)
		return 0;
	target[length] = 0;
	for (i = 0; i < MEANS_COUNT; i++) {
		if (!strncmp(target, means[i].prefix,
			     strlen(means[i].prefix)))
			walk->has |= 1u << i;
	}
	if (!strcmp(target, means[MEANS_RING].prefix))
		read_ring(walk, descriptor);
	return 0;
}

/* "fio: io_uring, VFIO" */
static void name_holder(const struct walk *walk, struct lx_owner *holder)
{
	char name[64], line[LX_LINE_BYTES] = "";
	const char *comma = ": ";
	size_t at, room = sizeof(holder->name);
	struct lx_error ignored;
	unsigned int i;

	snprintf(name, sizeof(name), "proc/%" PRIu64 "/comm", walk->pid);
	(void)lx_first_line(walk->root, name, line, &ignored);
	at = (size_t)snprintf(holder->name, room, "%.40s", line);
	lx_clean(holder->name);
	for (i = 0; i < MEANS_COUNT; i++) {
		if (!(walk->has >> i & 1))
			continue;
		at += (size_t)snprintf(holder->name + at, room - at, "%s%s",
				       comma, means[i].name);
		comma = ", ";
	}
}

static int visit(void *context, const char *name)
{
	struct walk *walk = context;
	struct lx_owners *holders = walk->holders;
	struct lx_error ignored;
	char folder[64];

	if (!lx_number(name, 10, NULL, &walk->pid) ||
	    holders->count == LX_HOLDERS_MAX)
		return 0;
	walk->has = 0;
	walk->frames = walk->counted = walk->stretches = walk->asked = 0;
	walk->lost = false;
	snprintf(folder, sizeof(folder), "proc/%" PRIu64 "/fd", walk->pid);
	walk->fds = lx_open(walk->root, folder, true, &ignored);
	if (walk->fds < 0)
		return 0;
	(void)lx_names(walk->root, folder, take_descriptor, walk, &ignored);
	close(walk->fds);
	if (!walk->has)
		return 0;
	if (!holders->owner) {
		holders->owner = calloc(LX_HOLDERS_MAX,
					sizeof(struct lx_owner));
		if (!holders->owner)
			return lx_fail(walk->err, LX_EREAD, "out of memory");
	}
	holders->owner[holders->count] = (struct lx_owner){
		.id = walk->pid, .frames = walk->frames,
		.marked = walk->asked, .counted = walk->counted,
		.stretches = walk->stretches,
		.blind = walk->lost || walk->has & ~(1u << MEANS_RING),
	};
	name_holder(walk, &holders->owner[holders->count++]);
	return 0;
}

int lx_pins_walk(const char *root, lx_pin_fn fn, void *context,
		 struct lx_owners *holders, struct lx_error *err)
{
	struct walk walk = {
		.root = root, .fn = fn, .context = context,
		.holders = holders, .err = err,
	};
	int ret;

	if (lx_mount_find(root))
		return lx_fail(err, LX_EMISSING, "%s: a capture knows of no "
			       "processes", root);
	ret = lx_names(root, "proc", visit, &walk, err);
	tdestroy(walk.buffers, free);
	if (ret)
		lx_owners_free(holders);
	return ret;
}
