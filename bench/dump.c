/* SPDX-License-Identifier: MIT */
/*
 * Dumps: GiB of frames a second of CPU, by one thread, per format and level,
 * beside what the packer alone does with the same frames, and beside
 * makedumpfile on a dump of Linux if one is named.
 *
 *	bench-dump [MIB [VMCORE]]
 *
 * VMCORE is of a guest of MIB: bench/vmcore.py makes one and calls this.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "dump/write.h"
#include "port/host/host.h"

#define GIB		((double)((uint64_t)1 << 30))
#define BLOCK		((cf_pfn)1 << CF_BLOCK_ORDER_MAX)
#define ROUNDS		3

static struct cf_host_memory memory;
static struct cf_map *map;
static cf_pfn last;
static char path[64];

static const char *const packers[] = { "none", "zlib", "zstd" };

static _Noreturn void give_up(const char *what)
{
	(void)fprintf(stderr, "bench-dump: %s\n", what);
	exit(1);
}

/* Seconds of CPU; of children with @who RUSAGE_CHILDREN. */
static double cpu_seconds(int who)
{
	struct rusage usage;

	(void)getrusage(who, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       1e-6 * (double)(usage.ru_utime.tv_usec +
			       usage.ru_stime.tv_usec);
}

/* A quarter zeroes, a quarter that does not pack, half that packs well. */
static void fill(cf_pfn pfn)
{
	uint64_t *word = (uint64_t *)(void *)(memory.base +
					      pfn * CF_FRAME_BYTES);
	uint64_t seed = pfn + 1;
	unsigned i;

	for (i = 0; i < CF_FRAME_BYTES / 8; i++) {
		seed = seed * 6364136223846793005 + 1442695040888963407;
		word[i] = pfn % 4 == 0 ? 0 : pfn % 4 == 1 ? seed :
			  i % 4 ? pfn << 32 | i : seed >> 48;
	}
}

/* A quarter free, a quarter kernel's, half folios that nobody can move. */
static void free_some(void)
{
	struct cf_span span;
	unsigned run = 0;
	cf_pfn at = 0;

	cf_walk_begin(map);
	while (cf_walk_next(map, &at, last, &span))
		if (span.kind == CF_SPAN_RUN &&
		    span.type == CF_TYPE_KERNEL && run++ % 2)
			cf_put(map, span.first);
	cf_walk_end(map);
	(void)!cf_drain(map);
}

static void make(uint64_t mib)
{
	static const struct cf_owner_ops ops = { .release = NULL };
	const struct cf_map_config config = { .cpus = 1 };
	const struct cf_block_config block = { .meta = CF_META_PORT };
	struct cf_request request = { .type = CF_TYPE_KERNEL, .order = 9 };
	struct cf_host_config host = { .huge = true };
	uint32_t owner;
	cf_pfn pfn, at;

	last = (mib * 256 + BLOCK - 1) / BLOCK * BLOCK;
	host.last = last;
	if (cf_host_memory_create(&host, &memory) ||
	    cf_host_map_create(&memory, &config, &map) ||
	    cf_block_add(map, 0, last, &block) ||
	    cf_block_online(map, 0, last, CF_ZONE_NORMAL, NULL) ||
	    cf_owner_register(map, "bench", &ops, NULL, &owner))
		give_up("no machine");
	while (!cf_alloc(map, request, &pfn)) {
		for (at = pfn; at < pfn + CF_CHUNK_FRAMES; at++)
			fill(at);
		request.type = request.type == CF_TYPE_KERNEL ?
			       CF_TYPE_FOLIO : CF_TYPE_KERNEL;
	}
	free_some();
}

/* The best of some rounds, GiB of the machine a second; below 0: it failed. */
static double speed_of_dump(const struct dump_options *options,
			    uint64_t *ret_bytes)
{
	double best = 0, before, speed;
	struct dump_result result;
	struct dump_source source;
	struct dump_why why;
	unsigned i;

	for (i = 0; i < ROUNDS; i++) {
		before = cpu_seconds(RUSAGE_SELF);
		if (dump_source_live(&source, map, "bench", options->level,
				     &why) ||
		    dump_write(&source, options, path, &result, &why))
			give_up(why.text);
		dump_source_close(&source);
		speed = (double)(last * CF_FRAME_BYTES) / GIB /
			(cpu_seconds(RUSAGE_SELF) - before);
		best = speed > best ? speed : best;
	}
	*ret_bytes = result.bytes;
	return best;
}

/* Pack the frames of a window that a dump of a level has. */
static void pack_window(struct pack *pack, enum dump_compress how,
			const struct dump_filter *filter, cf_pfn first)
{
	static unsigned char packed[CF_FRAME_BYTES];
	struct dump_window window = { first, DUMP_WINDOW_FRAMES, { 0 } };
	bool zeroes = filter->wanted >> DUMP_ZERO & 1;
	unsigned i;

	dump_filter_look(filter, &window);
	for (i = 0; i < window.count; i++) {
		const unsigned char *frame = memory.base +
					     (first + i) * CF_FRAME_BYTES;

		if (!(filter->wanted >> window.class[i] & 1) ||
		    (!zeroes && (first + i) % 4 == 0))
			continue;
		if (how == COMPRESS_NONE)
			memcpy(packed, frame, CF_FRAME_BYTES);
		else
			(void)pack_frame(pack, frame, packed,
					 CF_FRAME_BYTES - 1);
		__asm__ volatile("" : : "r"(packed) : "memory");
	}
}

/* The packer, with the frames that a dump of a level has. */
static double speed_of_packer(enum dump_compress how, unsigned level)
{
	struct pack *pack = pack_new(how);
	struct dump_filter filter;
	double best = 0, before, speed;
	unsigned i;
	cf_pfn pfn;

	if (!pack)
		give_up("no packer");
	dump_filter_init(&filter, map, dump_level_classes(level));
	for (i = 0; i < ROUNDS; i++) {
		before = cpu_seconds(RUSAGE_SELF);
		for (pfn = 0; pfn < last; pfn += DUMP_WINDOW_FRAMES)
			pack_window(pack, how, &filter, pfn);
		speed = (double)(last * CF_FRAME_BYTES) / GIB /
			(cpu_seconds(RUSAGE_SELF) - before);
		best = speed > best ? speed : best;
	}
	pack_free(pack);
	return best;
}

static void row(enum dump_format format, enum dump_compress how,
		unsigned level)
{
	const struct dump_options options = {
		.format = format, .compress = how, .level = level,
		.threads = 1,
	};
	uint64_t bytes;
	double dump = speed_of_dump(&options, &bytes);
	double packer = speed_of_packer(how, level);

	(void)printf("%-6s %-5s %5u %12.2f %12.2f %8.0f %%  %8.1f MiB\n",
		     format == DUMP_ELF ? "ELF" : "kdump", packers[how], level,
		     dump, packer, 100 * dump / packer,
		     (double)bytes / 1048576);
	(void)fflush(stdout);
}

/* The same for makedumpfile and a dump of a Linux of the same size. */
static void foreign_row(const char *core, const char *option,
			const char *level)
{
	double before = cpu_seconds(RUSAGE_CHILDREN), seconds;
	double gib = (double)(last * CF_FRAME_BYTES) / GIB;
	int how, nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);
	struct stat status;
	pid_t child;

	(void)unlink(path);
	(void)fflush(stdout);
	child = fork();
	if (child == 0) {
		(void)dup2(nothing, STDOUT_FILENO);
		(void)dup2(nothing, STDERR_FILENO);
		(void)execlp("makedumpfile", "makedumpfile", option, "-d",
			     level, core, path, (char *)NULL);
		_exit(127);
	}
	if (child < 0 || waitpid(child, &how, 0) != child || how ||
	    stat(path, &status)) {
		(void)printf("makedumpfile %s -d %s: it failed\n", option,
			     level);
		(void)close(nothing);
		return;
	}
	(void)close(nothing);
	seconds = cpu_seconds(RUSAGE_CHILDREN) - before;
	(void)printf("makedumpfile %-3s -d %-2s %7.2f %34.1f MiB\n", option,
		     level, gib / seconds, (double)status.st_size / 1048576);
}

int main(int argc, char **argv)
{
	static const unsigned levels[] = { 0, 1, 16, 31 };
	uint64_t mib = argc > 1 ? strtoull(argv[1], NULL, 10) : 512;
	unsigned i, how;

	if (!mib || mib > 65536)
		give_up("usage: bench-dump [MIB [VMCORE]]");
	(void)snprintf(path, sizeof(path), "%s/bench-dump-%ld",
		       access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm",
		       (long)getpid());
	make(mib);
	(void)printf("GiB of memory a second of CPU, one thread, best of %d\n"
		     "%-6s %-5s %5s %12s %12s %10s %12s\n", ROUNDS, "FORMAT",
		     "PACK", "LEVEL", "DUMP", "PACKER", "OF IT", "FILE");
	for (i = 0; i < 4; i++) {
		row(DUMP_ELF, COMPRESS_NONE, levels[i]);
		for (how = COMPRESS_NONE; how <= COMPRESS_ZSTD; how++)
			if (pack_can((enum dump_compress)how))
				row(DUMP_KDUMP, (enum dump_compress)how,
				    levels[i]);
	}
	if (argc > 2) {
		static const char *const sums[] = { "0", "1", "16", "31" };

		for (i = 0; i < 4; i++) {
			foreign_row(argv[2], "-c", sums[i]);
			foreign_row(argv[2], "-l", sums[i]);
		}
	}
	(void)unlink(path);
	return 0;
}
