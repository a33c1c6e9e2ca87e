/* SPDX-License-Identifier: MIT */

/*
 * A sysroot: the files by which Linux shows its page frames, filled from the
 * machine, so that readers of the real ones read these.
 *
 * Formats as of Linux 6.18: fs/proc/page.c, fs/proc/meminfo.c, mm/vmstat.c,
 * kernel/resource.c, drivers/base/memory.c.  Caches are drained and a load
 * pauses, so that all files are of one moment.
 */

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

#define MEMORY_FOLDER	"sys/devices/system/memory"
#define NODE_FOLDER	"sys/devices/system/node"
#define WORDS_MAX	((uint64_t)1 << 29)	/* 4 GiB of kpageflags */

struct export {
	struct machine *machine;
	const char *root;
	char *why;
	size_t bytes;
};

static int failed(const struct export *export, const char *path)
{
	(void)snprintf(export->why, export->bytes, "%s: %s", path,
		       strerror(errno));
	return -1;
}

__attribute__((format(printf, 3, 4)))
static int path_of(const struct export *export, char path[4096],
		   const char *format, ...)
{
	size_t length = (size_t)snprintf(path, 4096, "%s/", export->root);
	va_list values;
	int more;

	if (length >= 4096) {
		errno = ENAMETOOLONG;
		return failed(export, export->root);
	}
	va_start(values, format);
	more = vsnprintf(path + length, 4096 - length, format, values);
	va_end(values);
	if (more < 0 || (size_t)more >= 4096 - length) {
		errno = ENAMETOOLONG;
		return failed(export, export->root);
	}
	return 0;
}

/* Make a directory and those it lies in. */
static int make_folders(const struct export *export, char *path)
{
	char *slash;

	for (slash = path + 1; *slash; slash++) {
		if (*slash != '/')
			continue;
		*slash = '\0';
		if (mkdir(path, 0777) && errno != EEXIST)
			return failed(export, path);
		*slash = '/';
	}
	if (mkdir(path, 0777) && errno != EEXIST)
		return failed(export, path);
	return 0;
}

static int make_folder(const struct export *export, const char *name)
{
	char path[4096];

	if (path_of(export, path, "%s", name))
		return -1;
	return make_folders(export, path);
}

static FILE *open_file(const struct export *export, const char *name)
{
	char path[4096];
	FILE *file;

	if (path_of(export, path, "%s", name))
		return NULL;
	file = fopen(path, "w");
	if (!file)
		(void)failed(export, path);
	return file;
}

/* What was written must arrive. */
static int close_file(const struct export *export, FILE *file,
		      const char *name)
{
	bool bad = ferror(file) != 0;

	if (fclose(file) || bad)
		return failed(export, name);
	return 0;
}

typedef void (*words_fn)(struct cf_map *map, cf_pfn first, cf_pfn last,
			 uint64_t *ret_words);

static int write_words(const struct export *export, const char *name,
		       words_fn words_of)
{
	uint64_t words[CF_CHUNK_FRAMES];
	struct machine *machine = export->machine;
	FILE *file = open_file(export, name);
	cf_pfn at;

	if (!file)
		return -1;
	for (at = 0; at < machine->added_last; at += CF_CHUNK_FRAMES) {
		words_of(machine->map, at, at + CF_CHUNK_FRAMES, words);
		if (fwrite(words, sizeof(words), 1, file) != 1)
			break;
		progress(machine, "export", at, machine->added_last);
	}
	return close_file(export, file, name);
}

/* Neighbouring blocks of one owner's range are one resource. */
static int write_iomem(const struct export *export)
{
	struct machine *machine = export->machine;
	FILE *file = open_file(export, "proc/iomem");
	struct cf_block_info info, next;
	cf_pfn at, last;

	if (!file)
		return -1;
	for (at = machine->added_first; at < machine->added_last; at = last) {
		last = at + machine->block_frames;
		if (cf_block_info(machine->map, at, &info))
			continue;
		while (last < machine->added_last &&
		       !cf_block_info(machine->map, last, &next) &&
		       next.range_owner == info.range_owner)
			last += machine->block_frames;
		(void)fprintf(file, "%08llx-%08llx : System RAM",
			      (unsigned long long)(at * CF_FRAME_BYTES),
			      (unsigned long long)(last * CF_FRAME_BYTES - 1));
		if (info.range_owner != CF_OWNER_NONE)
			(void)fprintf(file, " (%s)",
				      name_of_owner(machine,
						    info.range_owner));
		(void)fputc('\n', file);
	}
	return close_file(export, file, "proc/iomem");
}

static uint64_t kib(uint64_t frames)
{
	return frames * (CF_FRAME_BYTES / 1024);
}

static int write_meminfo(const struct export *export)
{
	FILE *file = open_file(export, "proc/meminfo");
	struct cf_stat stat;
	size_t i;

	if (!file)
		return -1;
	cf_stat(export->machine->map, &stat);
	const struct {
		const char *name;
		uint64_t frames;
	} rows[] = {
		{ "MemTotal:", stat.managed },
		{ "MemFree:", stat.free + stat.cached },
		{ "MemAvailable:", stat.free + stat.cached },
		{ "Slab:", stat.by_type[CF_TYPE_SLAB] },
		{ "SUnreclaim:", stat.by_type[CF_TYPE_SLAB] },
		{ "PageTables:", stat.by_type[CF_TYPE_PGTABLE] },
		{ "HardwareCorrupted:", stat.retired },
		{ "Balloon:", export->machine->inflated -
			      export->machine->deflated },
	};
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		(void)fprintf(file, "%-16s%8llu kB\n", rows[i].name,
			      (unsigned long long)kib(rows[i].frames));
	return close_file(export, file, "proc/meminfo");
}

static int write_vmstat(const struct export *export)
{
	FILE *file = open_file(export, "proc/vmstat");
	const struct machine *machine = export->machine;
	struct cf_stat stat;

	if (!file)
		return -1;
	cf_stat(machine->map, &stat);
	(void)fprintf(file, "nr_free_pages %llu\n"
		      "nr_slab_unreclaimable %llu\n"
		      "nr_page_table_pages %llu\n"
		      "nr_balloon_pages %llu\n"
		      "balloon_inflate %llu\n"
		      "balloon_deflate %llu\n",
		      (unsigned long long)stat.free,
		      (unsigned long long)stat.by_type[CF_TYPE_SLAB],
		      (unsigned long long)stat.by_type[CF_TYPE_PGTABLE],
		      (unsigned long long)(machine->inflated -
					   machine->deflated),
		      (unsigned long long)machine->inflated,
		      (unsigned long long)machine->deflated);
	return close_file(export, file, "proc/vmstat");
}

/* From the first to the last block of a zone. */
static bool zone_span(struct machine *machine, unsigned node,
		      enum cf_zone_kind kind, cf_pfn *ret_first,
		      cf_pfn *ret_last)
{
	struct cf_block_info info;
	bool found = false;
	cf_pfn at;

	for (at = machine->added_first; at < machine->added_last;
	     at += machine->block_frames) {
		if (cf_block_info(machine->map, at, &info) ||
		    info.node != node || info.zone != kind ||
		    (info.state != CF_BLOCK_ONLINE &&
		     info.state != CF_BLOCK_GOING_OFFLINE))
			continue;
		if (!found)
			*ret_first = at;
		*ret_last = at + machine->block_frames;
		found = true;
	}
	return found;
}

static const char *const zone_words[CF_ZONE_COUNT] = {
	"Normal", "Movable", "Device",
};

static void write_zone(const struct export *export, FILE *file, unsigned node,
		       enum cf_zone_kind kind)
{
	struct machine *machine = export->machine;
	cf_pfn first = 0, last = 0;
	struct cf_zone_stat stat;
	unsigned cpu;

	if (!zone_span(machine, node, kind, &first, &last) ||
	    cf_zone_stat(machine->map, node, kind, &stat))
		(void)memset(&stat, 0, sizeof(stat));
	(void)fprintf(file, "Node %u, zone %8s\n"
		      "  pages free     %llu\n"
		      "        boost    0\n"
		      "        min      %llu\n"
		      "        low      %llu\n"
		      "        high     %llu\n"
		      "        spanned  %llu\n"
		      "        present  %llu\n"
		      "        managed  %llu\n"
		      "        cma      0\n"
		      "        protection: (0, 0, 0)\n",
		      node, zone_words[kind], (unsigned long long)stat.free,
		      (unsigned long long)stat.marks.min,
		      (unsigned long long)stat.marks.low,
		      (unsigned long long)stat.marks.high,
		      (unsigned long long)(last - first),
		      (unsigned long long)stat.present,
		      (unsigned long long)stat.managed);
	if (first == last)
		return;
	(void)fprintf(file, "      nr_free_pages %llu\n"
		      "      nr_free_pages_blocks %llu\n  pagesets\n",
		      (unsigned long long)stat.free,
		      (unsigned long long)(stat.chunks_free *
					   CF_CHUNK_FRAMES));
	/* The caches were drained. */
	for (cpu = 0; cpu < machine->map_config.cpus; cpu++)
		(void)fprintf(file, "    cpu: %u\n"
			      "              count:    0\n"
			      "              high:     0\n"
			      "              batch:    64\n", cpu);
	(void)fprintf(file, "  node_unreclaimable:  0\n"
		      "  start_pfn:           %llu\n",
		      (unsigned long long)first);
}

static int write_zoneinfo(const struct export *export)
{
	FILE *file = open_file(export, "proc/zoneinfo");
	unsigned node, kind;

	if (!file)
		return -1;
	for (node = 0; node < export->machine->map_config.nodes; node++)
		for (kind = 0; kind < CF_ZONE_COUNT; kind++)
			write_zone(export, file, node,
				   (enum cf_zone_kind)kind);
	return close_file(export, file, "proc/zoneinfo");
}

__attribute__((format(printf, 3, 4)))
static int write_line(const struct export *export, const char *name,
		      const char *format, ...)
{
	FILE *file = open_file(export, name);
	va_list values;

	if (!file)
		return -1;
	va_start(values, format);
	(void)vfprintf(file, format, values);
	va_end(values);
	return close_file(export, file, name);
}

static int make_link(const struct export *export, const char *target,
		     const char *name)
{
	char path[4096];

	if (path_of(export, path, "%s", name))
		return -1;
	if (symlink(target, path) && errno != EEXIST)
		return failed(export, path);
	return 0;
}

static int write_links(const struct export *export, unsigned long long number,
		       unsigned node)
{
	char name[128], target[128];

	(void)snprintf(name, sizeof(name), NODE_FOLDER "/node%u", node);
	if (make_folder(export, name))
		return -1;
	(void)snprintf(name, sizeof(name), MEMORY_FOLDER "/memory%llu/node%u",
		       number, node);
	(void)snprintf(target, sizeof(target), "../../node/node%u", node);
	if (make_link(export, target, name))
		return -1;
	(void)snprintf(name, sizeof(name), NODE_FOLDER "/node%u/memory%llu",
		       node, number);
	(void)snprintf(target, sizeof(target), "../../memory/memory%llu",
		       number);
	return make_link(export, target, name);
}

static const char *state_word(enum cf_block_state state)
{
	switch (state) {
	case CF_BLOCK_ONLINE:
		return "online";
	case CF_BLOCK_GOING_OFFLINE:
		return "going-offline";
	default:
		return "offline";
	}
}

static int write_block(const struct export *export, cf_pfn first,
		       const struct cf_block_info *info)
{
	unsigned long long number = first / export->machine->block_frames;
	bool online = info->state == CF_BLOCK_ONLINE ||
		      info->state == CF_BLOCK_GOING_OFFLINE;
	char phys_index[24];
	const struct {
		const char *file;
		const char *text;
	} rows[] = {
		{ "state", state_word(info->state) },
		{ "online", online ? "1" : "0" },
		{ "phys_index", phys_index },
		{ "phys_device", "0" },
		{ "removable", "1" },
		{ "valid_zones", online ? zone_words[info->zone] :
					  "Normal Movable" },
	};
	char name[128];
	size_t i;

	(void)snprintf(phys_index, sizeof(phys_index), "%08llx", number);
	(void)snprintf(name, sizeof(name), MEMORY_FOLDER "/memory%llu",
		       number);
	if (make_folder(export, name))
		return -1;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		(void)snprintf(name, sizeof(name),
			       MEMORY_FOLDER "/memory%llu/%s", number,
			       rows[i].file);
		if (write_line(export, name, "%s\n", rows[i].text))
			return -1;
	}
	return write_links(export, number, info->node);
}

static int write_blocks(const struct export *export)
{
	struct machine *machine = export->machine;
	struct cf_block_info info;
	cf_pfn at;

	if (write_line(export, MEMORY_FOLDER "/block_size_bytes", "%llx\n",
		       (unsigned long long)(machine->block_frames *
					    CF_FRAME_BYTES)) ||
	    write_line(export, MEMORY_FOLDER "/auto_online_blocks",
		       "offline\n"))
		return -1;
	for (at = machine->added_first; at < machine->added_last;
	     at += machine->block_frames)
		if (!cf_block_info(machine->map, at, &info) &&
		    write_block(export, at, &info))
			return -1;
	return 0;
}

static int write_all(const struct export *export)
{
	if (make_folder(export, "proc") || make_folder(export, MEMORY_FOLDER))
		return -1;
	if (write_words(export, "proc/kpageflags", cf_export_flags) ||
	    write_words(export, "proc/kpagecount", cf_export_counts))
		return -1;
	if (write_iomem(export) || write_meminfo(export) ||
	    write_vmstat(export) || write_zoneinfo(export))
		return -1;
	return write_blocks(export);
}

int machine_export(struct machine *machine, const char *directory, char *why,
		   size_t bytes)
{
	struct export export = { machine, directory, why, bytes };
	int err;

	if (machine->added_last > WORDS_MAX) {
		(void)snprintf(why, bytes, "kpageflags would have %llu words:"
			       " the highest block is too far up",
			       (unsigned long long)machine->added_last);
		return -1;
	}
	load_pause(machine);
	walkers_rest(machine);
	err = cf_drain(machine->map);
	if (err)
		(void)snprintf(why, bytes, "%s", cf_strerror(err));
	else
		err = write_all(&export);
	walkers_go_on(machine);
	load_resume(machine);
	return err ? -1 : 0;
}
