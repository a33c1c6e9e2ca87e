/* SPDX-License-Identifier: MIT */
/* A map of this process as the source of a dump. */
#include <elf.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pieces.h"

struct live {
	struct cf_map *map;
	struct dump_filter filter;
	struct raw_map raw;		/* under @lock */
	struct dump_piece *piece;
	pthread_mutex_t lock;
};

static int read_process(void *context, uint64_t address, void *memory,
			size_t bytes)
{
	(void)context;
	dump_copy(memory, (const void *)(uintptr_t)address, bytes);
	return 0;
}

static int live_look(const struct dump_source *source,
		     struct dump_window *window, struct dump_why *why)
{
	const struct live *live = source->context;

	(void)why;
	dump_filter_look(&live->filter, window);
	return 0;
}

static int live_read(const struct dump_source *source,
		     struct dump_window *window, void *memory,
		     struct dump_why *why)
{
	const struct live *live = source->context;

	(void)why;
	(void)dump_filter_read(&live->filter, window, memory);
	return 0;
}

/* In a read section metadata does not go away. */
static int live_metadata(const struct dump_source *source, uint64_t index,
			 void *memory, struct dump_why *why)
{
	struct live *live = source->context;
	size_t which = pieces_which(source, &index);
	const struct dump_piece *piece = &live->piece[which];
	int has;

	(void)why;
	(void)pthread_mutex_lock(&live->lock);
	cf_walk_begin(live->map);
	has = piece_has(&live->raw, piece, index) == 1;
	if (has && memory)
		(void)read_process(NULL, piece->address +
					 index * CF_FRAME_BYTES,
				   memory, CF_FRAME_BYTES);
	cf_walk_end(live->map);
	(void)pthread_mutex_unlock(&live->lock);
	return has;
}

static void live_close(struct dump_source *source)
{
	struct live *live = source->context;

	raw_close(&live->raw);
	(void)pthread_mutex_destroy(&live->lock);
	free(live->piece);
	free(live);
}

static int find_owners(struct dump_source *source, struct cf_map *map)
{
	struct cf_owner_info info;
	struct raw_owner *more;
	uint32_t id, traits;

	for (id = CF_OWNER_ORPHAN + 1; id < CF_OWNERS_MAX; id++) {
		traits = cf_owner_traits(map, id);
		if (traits & CF_OWNER_GONE || cf_owner_info(map, id, &info))
			continue;
		more = realloc(source->owner,
			       (source->owners + 1) * sizeof(*more));
		if (!more)
			return -1;
		source->owner = more;
		more = &more[source->owners++];
		more->id = id;
		more->traits = traits;
		(void)snprintf(more->name, sizeof(more->name), "%s",
			       info.name);
	}
	return 0;
}

/* Is the memory of frames in one piece? Where it begins then. */
static bool find_frames(struct cf_map *map, cf_pfn end, uint64_t *ret_address)
{
	void *machine = cf_map_config_of(map)->machine;
	const unsigned char *first = cf_port_frame_address(machine, 0, 1);
	const unsigned char *last;

	if (!first || !end)
		return false;
	last = cf_port_frame_address(machine, end - 1, 1);
	if (last != first + (end - 1) * CF_FRAME_BYTES)
		return false;
	*ret_address = (uintptr_t)first;
	return true;
}

static int find_map(struct live *live, struct dump_source *source,
		    struct dump_why *why)
{
	size_t bytes = cf_vmcoreinfo(live->map, NULL, 0) + 1;
	char *text = malloc(bytes);
	struct info info = { text, bytes - 1 };
	int err;

	if (!text)
		return dump_fail(why, "the process has no memory");
	(void)cf_vmcoreinfo(live->map, text, bytes);
	cf_walk_begin(live->map);
	err = raw_open(&live->raw, info, read_process, NULL, why);
	if (!err)
		err = pieces_find(&live->raw, source, UINT64_MAX, &live->piece,
				  why);
	cf_walk_end(live->map);
	if (!err) {
		source->linear = find_frames(live->map, source->end,
					     &source->frames);
		source->vmcoreinfo = pieces_vmcoreinfo(info, source->linear,
						       source->frames);
	}
	free(text);
	if (!err && !source->vmcoreinfo)
		err = dump_fail(why, "the process has no memory");
	return err;
}

int dump_source_live(struct dump_source *source, struct cf_map *map,
		     const char *machine, unsigned level,
		     struct dump_why *why)
{
	struct live *live = calloc(1, sizeof(*live));

	if (!live)
		return dump_fail(why, "the process has no memory");
	*source = (struct dump_source){
		.context = live, .look = live_look, .read = live_read,
		.metadata = live_metadata, .close = live_close,
#ifdef __aarch64__
		.elf_machine = EM_AARCH64,
#else
		.elf_machine = EM_X86_64,
#endif
	};
	(void)snprintf(source->machine, sizeof(source->machine), "%s", machine);
	live->map = map;
	(void)pthread_mutex_init(&live->lock, NULL);
	dump_filter_init(&live->filter, map, dump_level_classes(level));
	source->wanted = live->filter.wanted;
	if (find_map(live, source, why) || find_owners(source, map)) {
		dump_source_close(source);
		return -1;
	}
	return 0;
}
