/* SPDX-License-Identifier: MIT */
/*
 * Dumps: GiB of frames a second of CPU, by one thread, per format and level,
 * beside what the packer alone does with the same frames, and beside
 * makedumpfile on a dump of Linux if one is named.
 *
 *	bench-dump [MIB [VMCORE]]
 */
#include <errno.h>
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

/* All memory in use: half of it kernel's, half folios that can move. */
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

/* The packer, with the frames that a dump of a level has. */
static double speed_of_packer(enum dump_compress how, unsigned level)
{
	static unsigned char packed[CF_FRAME_BYTES];
	struct pack *pack = pack_new(how);
	double best = 0, before, speed;
	unsigned i;
	cf_pfn pfn;

	if (!pack)
		give_up("no packer");
	for (i = 0; i < ROUNDS; i++) {
		before = cpu_seconds(RUSAGE_SELF);
		for (pfn = 0; pfn < last; pfn++) {
			const unsigned char *frame = memory.base +
						     pfn * CF_FRAME_BYTES;

			if (level & DUMP_LEVEL_ZERO && pfn % 4 == 0)
				continue;
			if (how == COMPRESS_NONE)
				memcpy(packed, frame, CF_FRAME_BYTES);
			else
				(void)pack_frame(pack, frame, packed,
						 CF_FRAME_BYTES - 1);
			__asm__ volatile("" : : "r"(packed) : "memory");
		}
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

/* The same for makedumpfile and a dump of Linux. */
static void foreign_row(const char *core, const char *option,
			const char *level)
{
	double before = cpu_seconds(RUSAGE_CHILDREN), seconds;
	struct stat status;
	pid_t child;
	int how;

	(void)unlink(path);
	child = fork();
	if (child == 0) {
		(void)!freopen("/dev/null", "w", stdout);
		(void)execlp("makedumpfile", "makedumpfile", option, "-d",
			     level, core, path, (char *)NULL);
		_exit(127);
	}
	if (child < 0 || waitpid(child, &how, 0) != child || how ||
	    stat(core, &status)) {
		(void)printf("makedumpfile %s -d %s: it failed\n", option,
			     level);
		return;
	}
	seconds = cpu_seconds(RUSAGE_CHILDREN) - before;
	(void)printf("makedumpfile %-3s -d %-2s %7.2f, of %.2f GiB\n", option,
		     level, (double)status.st_size / GIB / seconds,
		     (double)status.st_size / GIB);
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
		foreign_row(argv[2], "-E", "0");
		foreign_row(argv[2], "-c", "1");
		foreign_row(argv[2], "-c", "31");
		foreign_row(argv[2], "-l", "31");
	}
	(void)unlink(path);
	return 0;
}
