/* SPDX-License-Identifier: MIT */
/* A dump as the source of another one: the same filter over again. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pieces.h"

struct again {
	struct dump *dump;		/* under @lock */
	struct dump_piece *piece;
	pthread_mutex_t lock;
};

static int again_look(const struct dump_source *source,
		      struct dump_window *window, struct dump_why *why)
{
	struct again *again = source->context;
	int err;

	(void)pthread_mutex_lock(&again->lock);
	err = dump_look(again->dump, window, why);
	(void)pthread_mutex_unlock(&again->lock);
	return err;
}

/* Frames that may be read; those the dump does not have are unmapped. */
static int read_frames(const struct dump_source *source,
		       struct dump_window *window, unsigned char *memory,
		       struct dump_why *why)
{
	struct again *again = source->context;
	unsigned i;

	for (i = 0; i < window->count; i++) {
		unsigned char *to = memory + i * CF_FRAME_BYTES;
		int has;

		if (!(source->wanted >> window->class[i] & 1))
			continue;
		has = dump_read(again->dump, window->first + i, to, why);
		if (has < 0)
			return -1;
		if (!has)
			window->class[i] = DUMP_UNMAPPED;
		else if (!(source->wanted & DUMP_BIT(DUMP_ZERO)) &&
			 dump_is_zero(to))
			window->class[i] = DUMP_ZERO;
	}
	return 0;
}

static int again_read(const struct dump_source *source,
		      struct dump_window *window, void *memory,
		      struct dump_why *why)
{
	struct again *again = source->context;
	int err;

	(void)pthread_mutex_lock(&again->lock);
	err = dump_look(again->dump, window, why);
	if (!err)
		err = read_frames(source, window, memory, why);
	(void)pthread_mutex_unlock(&again->lock);
	return err;
}

static int again_metadata(const struct dump_source *source, uint64_t index,
			  void *memory, struct dump_why *why)
{
	struct again *again = source->context;
	size_t which = pieces_which(source, &index);
	const struct dump_piece *piece = &again->piece[which];
	unsigned char unused[CF_FRAME_BYTES];
	int has;

	(void)why;
	(void)pthread_mutex_lock(&again->lock);
	has = piece_has(&again->dump->raw, piece, index) == 1 &&
	      !dump_memory(again->dump,
			   piece->address + index * CF_FRAME_BYTES,
			   memory ? memory : unused, CF_FRAME_BYTES);
	(void)pthread_mutex_unlock(&again->lock);
	return has;
}

static void again_close(struct dump_source *source)
{
	struct again *again = source->context;

	(void)pthread_mutex_destroy(&again->lock);
	free(again->piece);
	free(again);
}

static int copy_owners(struct dump_source *source, const struct raw_map *raw)
{
	source->owner = calloc(raw->owners + 1, sizeof(*source->owner));
	if (!source->owner)
		return -1;
	if (raw->owners)
		memcpy(source->owner, raw->owner,
		       raw->owners * sizeof(*source->owner));
	source->owners = raw->owners;
	return 0;
}

int dump_source_file(struct dump_source *source, struct dump *dump,
		     unsigned level, struct dump_why *why)
{
	struct again *again = calloc(1, sizeof(*again));

	if (!again)
		return dump_fail(why, "the process has no memory");
	*source = (struct dump_source){
		.context = again, .look = again_look, .read = again_read,
		.metadata = again_metadata, .close = again_close,
		.elf_machine = dump->file.machine, .linear = dump->frames != 0,
		.frames = dump->frames,
		.wanted = dump_level_classes(level),
	};
	again->dump = dump;
	(void)pthread_mutex_init(&again->lock, NULL);
	(void)snprintf(source->machine, sizeof(source->machine), "%s",
		       dump->own ? dump->counts.machine : "guest");
	source->vmcoreinfo = pieces_vmcoreinfo(dump->file.vmcoreinfo,
					       source->linear,
					       source->frames);
	if (!source->vmcoreinfo || copy_owners(source, &dump->raw)) {
		(void)dump_fail(why, "the process has no memory");
		dump_source_close(source);
		return -1;
	}
	if (!pieces_find(&dump->raw, source, dump_file_frames_max(&dump->file),
			 &again->piece, why))
		return 0;
	dump_source_close(source);
	return -1;
}
