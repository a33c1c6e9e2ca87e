/* SPDX-License-Identifier: MIT */
/*
 * A machine of 1 GiB of which half is offline, dumped while no offline frame
 * can be touched.  Writes DIR/core (ELF), DIR/kdump and DIR/frames: a line for
 * each stretch of frames, whether they are in the dump, and a sum over their
 * contents, for other readers to compare.
 *
 *	half DIR [LEVEL]
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <zlib.h>

#include "dump/write.h"
#include "port/host/host.h"

#define BLOCKS		8
#define BLOCK		((cf_pfn)1 << CF_BLOCK_ORDER_MAX)
#define LAST		(BLOCKS * BLOCK)

static struct cf_host_memory memory;
static struct cf_map *map;
static uint32_t driver;

static unsigned char *address(cf_pfn pfn)
{
	return memory.base + pfn * CF_FRAME_BYTES;
}

static _Noreturn void give_up(const char *what)
{
	(void)fprintf(stderr, "half: %s\n", what);
	exit(1);
}

static void must(int err, const char *what)
{
	if (err)
		give_up(what);
}

static void make(void)
{
	const struct cf_host_config host = { .last = LAST, .huge = true };
	const struct cf_map_config config = { .cpus = 2 };
	const struct cf_block_config block = { .meta = CF_META_PORT };
	static const struct cf_owner_ops ops = { .release = NULL };

	must(cf_host_memory_create(&host, &memory), "no memory");
	must(cf_host_map_create(&memory, &config, &map), "no map");
	must(cf_block_add(map, 0, LAST, &block), "no blocks");
	must(cf_block_online(map, 0, LAST, CF_ZONE_NORMAL, NULL), "offline");
	must(cf_owner_register(map, "driver", &ops, NULL, &driver), "owner");
}

/* Every other 2 MiB, but in some every other frame. */
static void take_half(void)
{
	cf_pfn at, frame;

	for (at = 0; at < LAST; at += 2 * CF_CHUNK_FRAMES) {
		if (at % (128 * CF_CHUNK_FRAMES)) {
			must(cf_offline_alloc_range(map, driver, at,
						    at + CF_CHUNK_FRAMES, 0,
						    NULL), "offline");
			continue;
		}
		for (frame = at; frame < at + 2 * CF_CHUNK_FRAMES; frame += 2)
			must(cf_offline_alloc_range(map, driver, frame,
						    frame + 1, 0, NULL),
			     "offline");
	}
}

/* A few thousand frames in use, with contents of all sorts. */
static void use_some(void)
{
	struct cf_request request = { .type = CF_TYPE_KERNEL };
	unsigned i, word;
	cf_pfn pfn;

	for (i = 0; i < 4000; i++) {
		uint64_t *to;

		request.order = (uint8_t)(i % 3);
		must(cf_alloc(map, request, &pfn), "alloc");
		to = (uint64_t *)(void *)address(pfn);
		for (word = 0; word < CF_FRAME_BYTES / 8; word++)
			to[word] = i % 4 == 0 ? 0 : i % 4 == 1 ? pfn :
				   (pfn + word) * 0x9e3779b97f4a7c15;
	}
}

static void protect(int access)
{
	struct cf_span span;
	cf_pfn at = 0;

	while (cf_walk_next(map, &at, LAST, &span))
		if (span.kind == CF_SPAN_RUN && span.type == CF_TYPE_OFFLINE)
			must(mprotect(address(span.first),
				      (span.last - span.first) *
				      CF_FRAME_BYTES, access), "mprotect");
}

static void write_dump(const char *folder, const char *name,
		       enum dump_format format, unsigned level)
{
	const struct dump_options options = {
		.format = format, .compress = COMPRESS_ZLIB, .level = level,
	};
	struct dump_why why = { "no memory" };
	struct dump_result result;
	struct dump_source source;
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	if (dump_source_live(&source, map, "test", level, &why) ||
	    dump_write(&source, &options, path, &result, &why))
		give_up(why.text);
	dump_source_close(&source);
	if (dump_tally_present(&result.tally) != LAST ||
	    result.tally.frames[DUMP_OFFLINE] != LAST / 2)
		give_up("totals do not add up");
}

/* "FIRST LAST SUM": contents of frames in a dump; "FIRST LAST -": none. */
static void write_frames(const char *folder, unsigned level)
{
	uint32_t wanted = dump_level_classes(level);
	char path[4096];
	struct cf_span span;
	cf_pfn at = 0;
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/frames", folder);
	file = fopen(path, "w");
	if (!file)
		give_up(path);
	while (cf_walk_next(map, &at, LAST, &span)) {
		bool in = wanted >> dump_class_of(&span, 0) & 1;
		cf_pfn first = span.first;

		(void)fprintf(file, "%" PRIu64 " %" PRIu64 " ", first,
			      span.last);
		if (in)
			(void)fprintf(file, "%lu\n",
				crc32(0, address(first),
				      (uInt)((span.last - first) *
					     CF_FRAME_BYTES)));
		else
			(void)fprintf(file, "-\n");
	}
	if (fclose(file))
		give_up(path);
}

int main(int argc, char **argv)
{
	unsigned level = argc > 2 ? (unsigned)atoi(argv[2]) : 0;

	if (argc < 2)
		return 2;
	make();
	take_half();
	use_some();
	(void)!cf_drain(map);
	protect(PROT_NONE);
	write_dump(argv[1], "core", DUMP_ELF, level);
	write_dump(argv[1], "kdump", DUMP_KDUMP, level);
	write_frames(argv[1], level);
	return 0;
}
