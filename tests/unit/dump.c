/* SPDX-License-Identifier: MIT */
/*
 * Dumps written and read back, every frame compared with the machine: by our
 * own reader and by libkdumpfile.  While a dump is written no frame that must
 * not be read can be: they have no access.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef HAVE_KDUMPFILE
#include <libkdumpfile/kdumpfile.h>
#endif

#include "dump/pieces.h"
#include "tests/unit/machine.h"

#define BLOCKS		10
#define RUNS_MAX	4096
#define TAKENS_MAX	80

static struct keeper cache, pool, guest;
static cf_pfn run[RUNS_MAX];
static size_t runs;
static struct taken {
	cf_pfn first, frames;
} taken[TAKENS_MAX];
static size_t takens;
static char path[64], other[80];

static unsigned char *address(cf_pfn pfn)
{
	return m.memory.base + pfn * CF_FRAME_BYTES;
}

/* A pattern that packs well, badly, or is nothing but zeroes. */
static void write_frame(cf_pfn pfn)
{
	uint64_t *word = (uint64_t *)(void *)address(pfn), seed = pfn | 1;
	unsigned i;

	for (i = 0; i < CF_FRAME_BYTES / 8; i++) {
		seed = seed * 6364136223846793005 + 1442695040888963407;
		word[i] = pfn % 3 == 0 ? 0 : pfn % 3 == 1 ? seed : pfn;
	}
}

static void take(struct cf_request request, cf_pfn *ret_pfn)
{
	cf_pfn pfn = alloc(request), at;

	for (at = pfn; at < pfn + ((cf_pfn)1 << request.order); at++)
		write_frame(at);
	if (runs < RUNS_MAX)
		run[runs++] = pfn;
	if (ret_pfn)
		*ret_pfn = pfn;
}

/* What is nobody's but its owner's: known by how it was made. */
static void take_away(cf_pfn first, cf_pfn frames)
{
	if (CHECK(takens < TAKENS_MAX))
		taken[takens++] = (struct taken){ first, frames };
}

static void take_offline(unsigned order)
{
	cf_pfn pfn;

	if (CHECK_EQ(cf_offline_alloc(m.map, cache.id, order, 0, &pfn), 0))
		take_away(pfn, (cf_pfn)1 << order);
}

/* Runs of every type and order, whole chunks, offline and bad frames. */
static void populate(void)
{
	enum cf_retire_state state;
	cf_pfn pfn, bad;
	unsigned i;

	for (i = 0; i < 200; i++) {
		take(kernel(i % 4), NULL);
		take(folio(i % 3, cache.id), NULL);
		take(folio(i % 2, pool.id), NULL);
		take(folio(0, CF_OWNER_NONE), NULL);
	}
	take(kernel(9), NULL);
	take(folio(10, cache.id), NULL);
	take(folio(2, guest.id), &pfn);
	cf_put(m.map, pfn);
	take_away(pfn, 4);
	take(kernel(3), &bad);
	CHECK_EQ(cf_retire(m.map, bad + 2, &state), 0);
	take_away(bad + 2, 1);
	for (i = 0; i < 60; i++)
		take_offline(i % 5);
	take_offline(9);
	take_offline(10);
	for (i = 0; i < runs; i += 7)
		if (run[i] != bad && cf_try_get(m.map, run[i]) == 0) {
			cf_put(m.map, run[i]);
			cf_put(m.map, run[i]);
		}
	pfn = (BLOCKS - 1) * m.block;
	CHECK_EQ(cf_block_offline(m.map, pfn, pfn + m.block, 3, NULL), 0);
	take_away(pfn, m.block);
}

static bool begin(void)
{
	struct machine_config config = { .blocks = BLOCKS, .absent = 3 };

	if (!CHECK(machine_make(config)) ||
	    !CHECK(keeper_add(&cache, "cache", 1u << HOOK_MIGRATE)) ||
	    !CHECK(keeper_add(&pool, "pool", 1u << HOOK_MIGRATE |
			      1u << HOOK_DISSOLVE)) ||
	    !CHECK(keeper_add(&guest, "guest", 1u << HOOK_RELEASE)))
		return false;
	guest.ops.private_frozen = true;
	guest.verdict = CF_VERDICT_KEEP;
	runs = takens = 0;
	populate();
	return true;
}

static void finish(void)
{
	CHECK(machine_wipe());
}

/*
 * Frames nobody but their owner may touch lose, or get back, all access: from
 * the list, for the filter is what is tried.
 */
static void protect(bool away)
{
	int access = away ? PROT_NONE : PROT_READ | PROT_WRITE;
	size_t i;

	for (i = 0; i < takens; i++)
		CHECK_EQ(mprotect(address(taken[i].first),
				  taken[i].frames * CF_FRAME_BYTES, access),
			 0);
}

static bool write_dump(const struct dump_options *options, const char *name,
		       struct dump_result *result)
{
	struct dump_source source;
	struct dump_why why = { "" };
	bool done;

	if (dump_source_live(&source, m.map, "test", options->level, &why)) {
		printf("# %s\n", why.text);
		return false;
	}
	done = !dump_write(&source, options, name, result, &why);
	if (!done)
		printf("# %s\n", why.text);
	dump_source_close(&source);
	return done;
}

/* Is a class in a dump of a level? */
static bool in_dump(unsigned class, unsigned level)
{
	return class == DUMP_ZERO || dump_level_classes(level) >> class & 1;
}

/* All frames of the machine against the dump's. */
static void compare(const struct dump_options *options, const char *name)
{
	struct dump_filter filter;
	struct dump_window ours, theirs;
	unsigned char frame[CF_FRAME_BYTES];
	struct dump_why why = { "" };
	struct dump *dump;
	uint64_t wrong = 0;
	unsigned i;

	if (!CHECK(!dump_open(name, &dump, &why))) {
		printf("# %s\n", why.text);
		return;
	}
	CHECK_EQ(dump->counts.level, options->level);
	CHECK_EQ(dump_end(dump), BLOCKS * m.block);
	dump_filter_init(&filter, m.map, 0);
	for (ours.first = 0; ours.first < m.last; ours.first += ours.count) {
		ours.count = DUMP_WINDOW_FRAMES;
		theirs = ours;
		dump_filter_look(&filter, &ours);
		CHECK_EQ(dump_look(dump, &theirs, &why), 0);
		wrong += memcmp(ours.class, theirs.class, ours.count) != 0;
		for (i = 0; i < ours.count; i++) {
			int has = dump_read(dump, ours.first + i, frame, &why);

			wrong += has != in_dump(ours.class[i], options->level);
			wrong += has != dump_has(dump, ours.first + i, &why);
			wrong += has == 1 &&
				 memcmp(frame, address(ours.first + i),
					CF_FRAME_BYTES) != 0;
		}
	}
	CHECK_EQ(wrong, 0);
	dump_close(dump);
}

#ifdef HAVE_KDUMPFILE
static kdump_status kdumpfile_read(kdump_ctx_t *context, cf_pfn pfn,
				   void *frame)
{
	size_t bytes = CF_FRAME_BYTES;

	return kdump_read(context, KDUMP_MACHPHYSADDR, pfn * CF_FRAME_BYTES,
			  frame, &bytes);
}

/*
 * libkdumpfile up to 0.5.4 answers zeroes for the last frame before a segment
 * of an ELF core: find_closest_file_load() takes a segment that begins a page
 * further for one that begins in it.
 */
static bool is_excused(kdump_ctx_t *context, const struct dump_options *options,
		       cf_pfn pfn, const unsigned char *frame)
{
	static unsigned char next[CF_FRAME_BYTES];

	return options->format == DUMP_ELF && dump_is_zero(frame) &&
	       kdumpfile_read(context, pfn + 1, next) == KDUMP_OK;
}

/* Not as it must be: there and the same, or no data. */
static bool is_wrong(kdump_ctx_t *context, const struct dump_options *options,
		     cf_pfn pfn, unsigned class)
{
	static _Alignas(8) unsigned char frame[CF_FRAME_BYTES];
	kdump_status status = kdumpfile_read(context, pfn, frame);

	if (in_dump(class, options->level))
		return status != KDUMP_OK ||
		       memcmp(frame, address(pfn), CF_FRAME_BYTES);
	return status != KDUMP_ERR_NODATA &&
	       !is_excused(context, options, pfn, frame);
}

static void compare_kdumpfile(const struct dump_options *options,
			      const char *name)
{
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	kdump_ctx_t *context = kdump_new();
	struct dump_filter filter;
	struct dump_window window;
	uint64_t wrong = 0;
	unsigned i;

	CHECK_EQ(kdump_set_number_attr(context, KDUMP_ATTR_FILE_FD,
				       (kdump_num_t)fd), KDUMP_OK);
	dump_filter_init(&filter, m.map, 0);
	for (window.first = 0; window.first < BLOCKS * m.block;
	     window.first += window.count) {
		window.count = DUMP_WINDOW_FRAMES;
		dump_filter_look(&filter, &window);
		for (i = 0; i < window.count; i++)
			wrong += is_wrong(context, options, window.first + i,
					  window.class[i]);
	}
	CHECK_EQ(wrong, 0);
	kdump_free(context);
	close(fd);
}
#else
static void compare_kdumpfile(const struct dump_options *options,
			      const char *name)
{
	(void)options;
	(void)name;
}
#endif

static void one(struct dump_options options)
{
	struct dump_result result;
	struct stat status;

	protect(true);
	if (CHECK(write_dump(&options, path, &result))) {
		CHECK_EQ(result.lost, 0);
		CHECK_EQ(dump_tally_present(&result.tally), BLOCKS * m.block);
		CHECK_EQ(stat(path, &status), 0);
		CHECK_EQ(status.st_size, result.bytes);
		protect(false);
		compare(&options, path);
		compare_kdumpfile(&options, path);
	}
	protect(false);
}

static void formats(void)
{
	static const unsigned levels[] = { 0, 1, 16, 31 };
	unsigned i, how;

	if (!begin())
		return;
	for (i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		for (how = COMPRESS_NONE; how <= COMPRESS_ZSTD; how++)
			one((struct dump_options){
				.format = DUMP_KDUMP, .level = levels[i],
				.compress = (enum dump_compress)how,
				.threads = 1 + how,
			});
		one((struct dump_options){
			.format = DUMP_ELF, .level = levels[i], .threads = 3,
		});
	}
	finish();
}

static void each_level(void)
{
	unsigned level;

	if (!begin())
		return;
	for (level = 0; level <= DUMP_LEVEL_MAX; level++)
		one((struct dump_options){
			.format = level & 1 ? DUMP_ELF : DUMP_KDUMP,
			.level = level, .compress = COMPRESS_ZLIB,
		});
	finish();
}

/* A dump of a dump is the same as one of the machine. */
static void again(void)
{
	struct dump_options options = {
		.format = DUMP_ELF, .compress = COMPRESS_ZLIB, .level = 0,
	};
	struct dump_result first, second;
	struct dump_source source;
	struct dump_why why = { "" };
	struct dump *dump;

	if (!begin())
		return;
	CHECK(write_dump(&options, path, &first));
	if (!CHECK(!dump_open(path, &dump, &why)))
		return;
	options.format = DUMP_KDUMP;
	options.level = 31;
	CHECK_EQ(dump_source_file(&source, dump, 31, &why), 0);
	CHECK_EQ(dump_write(&source, &options, other, &second, &why), 0);
	dump_source_close(&source);
	dump_close(dump);
	compare(&options, other);
	compare_kdumpfile(&options, other);
	CHECK(write_dump(&options, path, &first));
	CHECK_EQ(memcmp(&first, &second, offsetof(struct dump_result, bytes)),
		 0);
	finish();
}

/* Every other frame is offline: more segments than 16 bits can count. */
/* What was told of a dump on its way. */
struct told {
	uint64_t calls, done, all;
	bool wrong;		/* it went back, or the whole was another */
	uint64_t full_at;	/* so far the disk has room; 0: it has */
};

/* What ulimit -f does. */
static void limit_files(rlim_t bytes)
{
	struct rlimit limit;

	CHECK_EQ(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
	CHECK_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void tell(void *context, uint64_t done, uint64_t all)
{
	struct told *told = context;

	told->wrong |= done <= told->done || done > all ||
		       (told->calls && all != told->all);
	told->calls++;
	told->done = done;
	told->all = all;
	if (told->full_at && done >= told->full_at)
		limit_files(1);
}

/* Each window is told of once, in order, to the last one. */
static void progress_of(struct dump_options options, const char *name)
{
	struct told told = { .calls = 0 };
	struct dump_result result;

	options.progress = tell;
	options.context = &told;
	CHECK(write_dump(&options, name, &result));
	CHECK(!told.wrong && told.all > 8);
	CHECK_EQ(told.done, told.all);
	CHECK_EQ(told.calls, told.all);
}

/* A dump that fails on its way: it is told no further, and leaves nothing. */
static void progress_fails(struct dump_options options)
{
	struct told told = { .full_at = 3 };
	struct dump_result result;

	options.progress = tell;
	options.context = &told;
	options.threads = 1;
	(void)unlink(other);
	CHECK(!write_dump(&options, other, &result));
	limit_files(RLIM_INFINITY);
	CHECK(!told.wrong && told.done >= 3 && told.done < told.all);
	CHECK(access(other, F_OK) && errno == ENOENT);
}

static void progress(void)
{
	struct dump_options options = {
		.format = DUMP_KDUMP, .compress = COMPRESS_ZLIB,
	};
	int sink = open("/dev/null", O_WRONLY | O_CLOEXEC);

	if (!begin() || !CHECK(sink >= 0))
		return;
	(void)signal(SIGXFSZ, SIG_IGN);
	for (options.threads = 1; options.threads < 4; options.threads += 2) {
		options.format = DUMP_KDUMP;
		progress_of(options, path);
		options.stream = sink;
		progress_of(options, "-");
		options.stream = 0;
		options.format = DUMP_ELF;
		progress_of(options, path);
	}
	progress_fails(options);
	options.format = DUMP_KDUMP;
	progress_fails(options);
	(void)close(sink);
	finish();
}

static void many_segments(void)
{
	struct machine_config config = { .block_order = 15, .blocks = 5 };
	struct dump_options options = { .format = DUMP_ELF, .level = 0 };
	struct dump_result result;
	uint32_t owner = CF_OWNER_NONE;
	cf_pfn pfn;

	if (!CHECK(machine_make(config)))
		return;
	for (pfn = 0; pfn < 5 * m.block; pfn += 2)
		if (cf_offline_alloc_range(m.map, owner, pfn, pfn + 1, 0, NULL))
			break;
	CHECK_EQ(pfn, 5 * m.block);
	memset(address(1), 0x11, CF_FRAME_BYTES);
	memset(address(pfn - 1), 0x22, CF_FRAME_BYTES);
	CHECK(write_dump(&options, path, &result));
	CHECK_EQ(result.written, 5 * m.block / 2);
	{
		unsigned char frame[CF_FRAME_BYTES];
		struct dump_why why = { "" };
		struct dump *dump;

		if (CHECK(!dump_open(path, &dump, &why))) {
			CHECK(dump->file.segments > 65536);
			CHECK_EQ(dump_read(dump, 1, frame, &why), 1);
			CHECK(frame[0] == 0x11);
			CHECK_EQ(dump_read(dump, pfn - 1, frame, &why), 1);
			CHECK(frame[4095] == 0x22);
			CHECK_EQ(dump_read(dump, pfn - 2, frame, &why), 0);
			dump_close(dump);
		} else {
			printf("# %s\n", why.text);
		}
	}
	finish();
}

/* ---- maps that lie ---- */

/* Memory as it is, but for the 8 bytes at one address. */
struct lie {
	uint64_t address, value;
};

static int read_lie(void *context, uint64_t at, void *memory, size_t bytes)
{
	const struct lie *lie = context;
	unsigned char *to = memory;
	unsigned i;

	memcpy(memory, (const void *)(uintptr_t)at, bytes);
	for (i = 0; i < sizeof(lie->value); i++)
		if (lie->address + i - at < bytes)
			to[lie->address + i - at] =
				(unsigned char)(lie->value >> 8 * i);
	return 0;
}

/* VMCOREINFO with another value for a key; NULL: as it is. */
static struct info info_of(char *text, size_t bytes, const char *key,
			   const char *value)
{
	char *at = text, *end;

	(void)cf_vmcoreinfo(m.map, text, bytes);
	if (key)
		at = strstr(text, key);
	if (key && CHECK(at)) {
		at += strlen(key);
		end = strchr(at, '\n');
		memmove(at + strlen(value), end, strlen(end) + 1);
		memcpy(at, value, strlen(value));
	}
	return (struct info){ text, strlen(text) };
}

/* What is found with a lie: frames of metadata, or 0: it is refused. */
static uint64_t metadata_of(struct lie *lie, uint64_t frames_max)
{
	struct dump_source source = { .context = NULL };
	struct dump_piece *piece = NULL;
	struct dump_why why = { "" };
	struct raw_map raw;
	uint64_t frames = 0;
	char text[8192];

	if (!CHECK(!raw_open(&raw, info_of(text, sizeof(text), NULL, NULL),
			     read_lie, lie, &why)))
		return 0;
	if (pieces_find(&raw, &source, frames_max, &piece, &why)) {
		CHECK(why.text[0]);
	} else {
		frames = dump_source_metadata(&source);
		free(piece);
	}
	free(source.range);
	free(source.stretch);
	raw_close(&raw);
	return frames;
}

/* Where a member of the map, or of a block's header, lies. */
static uint64_t place_of(const char *key, cf_pfn pfn)
{
	struct dump_why why;
	struct lie none = { 0, 0 };
	uint64_t value = 0, at;
	struct raw_map raw;
	char text[8192];
	struct info info = info_of(text, sizeof(text), NULL, NULL);

	if (!CHECK(!raw_open(&raw, info, read_lie, &none, &why)) ||
	    !CHECK(info_number(info, key, &value)))
		return 0;
	at = raw.address;
	if (strstr(key, "cfi_block"))
		memcpy(&at, (void *)(uintptr_t)(raw.directory + 8 *
						(pfn >> raw.block_shift)), 8);
	raw_close(&raw);
	return at + value;
}

/* No more metadata is believed in than there can be. */
static void lies(void)
{
	static const struct {
		const char *key;
		uint64_t value;
	} lie[] = {
		{ "OFFSET(cf_map.storage_bytes)", (uint64_t)1 << 46 },
		{ "OFFSET(cf_map.storage_bytes)", (uint64_t)1 << 32 },
		{ "OFFSET(cfi_block.frame_word)", (uint64_t)1 << 62 },
		{ "OFFSET(cfi_block.piece)", CF_FRAME_BYTES },
		{ "OFFSET(cfi_block.piece_blocks)", 0 },
		{ "OFFSET(cfi_block.piece_blocks)", 0xffffff },
		{ "OFFSET(cfi_block.piece_blocks)", BLOCKS },
	};
	struct lie none = { 0, 0 };
	uint64_t honest, frames;
	size_t i;

	if (!begin())
		return;
	honest = metadata_of(&none, UINT64_MAX);
	CHECK(honest > 0);
	CHECK_EQ(metadata_of(&none, honest), honest);
	/* Words of chunks that are not split need not be there. */
	CHECK_EQ(metadata_of(&none, 2), 0);
	for (i = 0; i < sizeof(lie) / sizeof(lie[0]); i++) {
		struct lie one = { place_of(lie[i].key, 0), lie[i].value };

		frames = metadata_of(&one, honest);
		if (frames > honest)
			printf("# %s=%llu: %llu frames\n", lie[i].key,
			       (unsigned long long)lie[i].value,
			       (unsigned long long)frames);
		CHECK(frames <= honest);
	}
	finish();
}

/* Widths and places that no reader could use. */
static void widths(void)
{
	static const char *const lie[][2] = {
		{ "NUMBER(WORD_ORDER_BITS)=", "6" },
		{ "NUMBER(WORD_ORDER_BITS)=", "32" },
		{ "NUMBER(WORD_TYPE_BITS)=", "6" },
		{ "NUMBER(WORD_TYPE_BITS)=", "0" },
		{ "NUMBER(WORD_OWNER_BITS)=", "33" },
		{ "OFFSET(cfi_block.chunk)=", "0" },
		{ "OFFSET(cfi_block.chunk)=", "8" },
		{ "OFFSET(cfi_block.chunk)=", "4096" },
		{ "SIZE(cfi_block)=", "16" },
	};
	struct lie none = { 0, 0 };
	struct dump_why why;
	struct raw_map raw;
	char text[8192];
	size_t i;

	if (!begin())
		return;
	for (i = 0; i < sizeof(lie) / sizeof(lie[0]); i++) {
		struct info info = info_of(text, sizeof(text), lie[i][0],
					   lie[i][1]);

		if (CHECK(raw_open(&raw, info, read_lie, &none, &why)))
			continue;
		printf("# %s%s\n", lie[i][0], lie[i][1]);
		raw_close(&raw);
	}
	finish();
}

int main(void)
{
	(void)snprintf(path, sizeof(path), "%s/coldframe-dump-%ld",
		       access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm",
		       (long)getpid());
	(void)snprintf(other, sizeof(other), "%s-2", path);
#ifndef HAVE_KDUMPFILE
	tap_skip("libkdumpfile", "it is not here; install libkdumpfile-dev");
#endif
	tap_run("formats", formats);
	tap_run("levels", each_level);
	tap_run("a dump of a dump", again);
	tap_run("how far it is", progress);
	tap_run("more segments than 16 bits count", many_segments);
	tap_run("metadata that cannot be", lies);
	tap_run("fields that cannot be", widths);
	(void)unlink(path);
	(void)unlink(other);
	return tap_done();
}
