/* SPDX-License-Identifier: MIT */
/*
 * Classes of frames, pieces of a scan and verdicts: words and files written
 * here, and what each rule makes of them.
 */
#include "linux/pins.h"
#include "linux/verdict.h"
#include "tests/tap.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define BIT(n)		(UINT64_C(1) << (n))
#define BLOCK_FRAMES	512		/* 2 MiB: the smallest there is */

static char root[] = "/tmp/coldframe-frames-XXXXXX";
static struct lx_error err;

static int remove_one(const char *path, const struct stat *status, int type,
		      struct FTW *walk)
{
	(void)status;
	(void)type;
	(void)walk;
	return remove(path);
}

static void remove_root(void)
{
	nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static FILE *create(const char *name)
{
	char path[256], *slash;

	snprintf(path, sizeof(path), "%s/%s", root, name);
	for (slash = path + sizeof(root); (slash = strchr(slash, '/')) != NULL;
	     *slash++ = '/') {
		*slash = 0;
		mkdir(path, 0755);
	}
	return fopen(path, "w");
}

static void write_text(const char *name, const char *text)
{
	FILE *file = create(name);

	if (!CHECK(file != NULL))
		return;
	fputs(text, file);
	fclose(file);
}

/* A run of frames with the same word. */
struct run {
	uint64_t word, frames;
};

static void write_runs(const struct run *run, size_t count)
{
	FILE *file = create("proc/kpageflags");
	uint64_t i;

	if (!CHECK(file != NULL))
		return;
	for (; count; count--, run++) {
		for (i = 0; i < run->frames; i++)
			fwrite(&run->word, sizeof(run->word), 1, file);
	}
	fclose(file);
}

static void classes(void)
{
	static const struct {
		uint64_t word;
		enum lx_class class;
	} rows[] = {
		{ 0, LX_CLASS_UNTYPED },
		{ 0x400, LX_CLASS_FREE },
		{ 0x408, LX_CLASS_REPORTED },
		{ 0x80, LX_CLASS_SLAB },
		{ 0x201080, LX_CLASS_SLAB },	/* 6.18: leftovers */
		{ 0x4000004, LX_CLASS_PGTABLE },
		{ 0x1000000, LX_CLASS_ZERO },
		{ 0x1400000, LX_CLASS_ZERO },
		{ 0x2c, LX_CLASS_FILE },
		{ 0x4038, LX_CLASS_ANON },	/* shared memory */
		{ 0x5828, LX_CLASS_ANON },
		{ 0x5808, LX_CLASS_ANON },	/* not on the LRU yet */
		{ 0x5028, LX_CLASS_HELD },
		{ 0x60502c, LX_CLASS_HELD },	/* 6.12: KSM on all of them */
		{ 0x605828, LX_CLASS_ANON },
		{ 0x5008, LX_CLASS_ANON },	/* not mapped yet */
		{ 0x7028, LX_CLASS_ANON },	/* swapped, and read again */
		{ 0x804, LX_CLASS_MAPPED },
		{ BIT(33) | 0x5828, LX_CLASS_MLOCKED },
		{ BIT(18) | 0x38, LX_CLASS_MLOCKED },	/* ramfs */
		{ BIT(18) | 0x4038, LX_CLASS_ANON },
		{ BIT(17) | BIT(15), LX_CLASS_HUGETLB },
		{ 0x800000, LX_CLASS_OFFLINE },
		{ 0x800008, LX_CLASS_BALLOON },
		{ 0x800208, LX_CLASS_BALLOON },	/* being moved */
		{ 0x800010, LX_CLASS_NEVER_ONLINED },
		{ 0x100000, LX_CLASS_ABSENT },
		{ BIT(32), LX_CLASS_RESERVED },
		{ BIT(32) | BIT(37), LX_CLASS_MEMMAP },
		{ BIT(19) | 0x400, LX_CLASS_POISON },
		{ BIT(27), LX_CLASS_UNKNOWN_BIT },
		{ BIT(31) | 0x80, LX_CLASS_SLAB },
		{ BIT(63), LX_CLASS_UNKNOWN_BIT },
		{ 0x8, LX_CLASS_ZSMALLOC },
		{ BIT(16), LX_CLASS_COUNT },	/* what its head is */
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (!CHECK_EQ(lx_class_of(rows[i].word), rows[i].class))
			printf("# word %#llx\n",
			       (unsigned long long)rows[i].word);
	}
}

static void every_class_has_words(void)
{
	unsigned int class, other;

	for (class = 0; class < LX_CLASS_COUNT; class++) {
		const char *name = lx_class_name((enum lx_class)class);

		CHECK(name && *name);
		CHECK(lx_class_meaning((enum lx_class)class));
		CHECK(lx_class_rule((enum lx_class)class));
		CHECK(lx_class_role((enum lx_class)class) < LX_ROLE_COUNT);
		for (other = 0; other < class; other++)
			CHECK(strcmp(name,
				     lx_class_name((enum lx_class)other)));
	}
	for (class = 0; class < LX_REASON_COUNT; class++) {
		CHECK(lx_reason_name((enum lx_reason_code)class));
		CHECK(lx_reason_meaning((enum lx_reason_code)class));
	}
}

/* Read the host at root and count frames of it. */
static struct lx_piece scan(uint64_t first, uint64_t last)
{
	struct lx_piece piece = { .frames = 0 };
	struct lx_host host = { .root = NULL };
	struct lx_scan scan;

	if (!CHECK(!lx_host_read(root, &host, &err)) ||
	    !CHECK(!lx_scan_open(&scan, &host, &err)))
		return piece;
	CHECK(!lx_scan_piece(&scan, first, last, &piece, &err));
	lx_scan_close(&scan);
	lx_host_free(&host);
	return piece;
}

static void tails(void)
{
	/* Linux 6.1: a tail says no more than that it is one. */
	static const struct run old[] = {
		{ BIT(7) | BIT(15), 1 }, { BIT(16), 3 }, { 0x400, 2 },
	};
	struct lx_piece piece;

	write_runs(old, 3);
	piece = scan(0, 6);
	CHECK_EQ(piece.count[LX_CLASS_SLAB], 4);
	CHECK_EQ(piece.count[LX_CLASS_FREE], 2);
	CHECK_EQ(piece.at[LX_CLASS_FREE], 4);
	/* From the middle, the head is looked for. */
	CHECK_EQ(scan(2, 6).count[LX_CLASS_SLAB], 2);
}

/* Up to 6.12 only the head of a huge page is LRU and MLOCKED. */
static void huge_tails(void)
{
	static const uint64_t head = 0x5028 | BIT(22) | BIT(15);
	static const uint64_t tail = BIT(12) | BIT(22) | BIT(16);
	const struct run runs[] = {
		{ head | BIT(11) | BIT(18) | BIT(33), 1 },
		{ tail | BIT(11), 511 },
		{ head | BIT(11), 1 }, { tail | BIT(11), 511 },
		{ head, 1 }, { tail, 511 },
		{ BIT(33) | 0x5828, 1 }, { 0x5828, 511 },
	};
	struct lx_piece piece;

	write_runs(runs, 8);
	piece = scan(0, 2048);
	CHECK_EQ(piece.count[LX_CLASS_MLOCKED], 512 + 1);
	CHECK_EQ(piece.count[LX_CLASS_ANON], 512 + 511);
	CHECK_EQ(piece.count[LX_CLASS_HELD], 512);
	CHECK_EQ(piece.unevictable, 0);
	CHECK_EQ(scan(100, 600).count[LX_CLASS_MLOCKED], 412);
	CHECK_EQ(scan(1200, 1300).count[LX_CLASS_HELD], 100);
}

static void gigantic(void)
{
	static const struct run pages[] = {
		{ BIT(17) | BIT(15), 1 }, { BIT(17) | BIT(16), 511 },
		{ BIT(17) | BIT(15), 1 }, { BIT(17) | BIT(16), 4095 },
	};
	struct lx_piece piece;

	write_runs(pages, 4);
	piece = scan(0, 4608);
	CHECK_EQ(piece.count[LX_CLASS_HUGETLB], 512 + 1024);
	CHECK_EQ(piece.count[LX_CLASS_GIGANTIC], 4096 - 1024);
	CHECK_EQ(piece.at[LX_CLASS_GIGANTIC], 512 + 1024);
	CHECK_EQ(scan(4000, 4010).count[LX_CLASS_GIGANTIC], 10);
}

static void chunks(void)
{
	static const struct run mixed[] = {
		{ 0x400, 512 }, { 0x2c, 1 }, { 0x400, 511 }, { 0x400, 500 },
		{ 0x80, 12 }, { 0x100000, 512 }, { 0x400, 10 },
	};
	struct lx_piece piece;

	write_runs(mixed, 7);
	piece = scan(0, UINT64_C(1) << 20);
	CHECK_EQ(piece.frames, 4 * 512 + 10);
	CHECK_EQ(piece.chunks_free, 2);		/* one is cut at the end */
	CHECK_EQ(piece.chunks_movable, 1);
	CHECK_EQ(piece.chunks_spoiled, 1);
	CHECK(!piece.mute);
}

/* The head of a free run shows that it was reported, the rest does not. */
static void reported_runs(void)
{
	static const struct run runs[] = {
		{ 0x408, 1 }, { 0x400, 511 },		/* all of 2 MiB */
		{ 0x2c, 512 },
		{ 0x408, 1 }, { 0x400, 511 + 512 + 512 },	/* 4 of 6 MiB */
		{ 0x2c, 512 },
		{ 0x408, 1 }, { 0x400, 511 + 8 }, { 0x2c, 504 },	/* 2 */
		{ 0x400, 4 }, { 0x408, 1 }, { 0x400, 5 }, { 0x408, 2 },
	};
	struct lx_piece piece;

	write_runs(runs, sizeof(runs) / sizeof(runs[0]));
	piece = scan(0, UINT64_C(1) << 20);
	CHECK_EQ(piece.count[LX_CLASS_REPORTED],
		 512 + 1024 + 512 + 4 + 2);
	CHECK_EQ(piece.count[LX_CLASS_FREE], 512 + 8 + 4 + 2);
	/* From behind a head, the head is looked for. */
	CHECK_EQ(scan(1, 512).count[LX_CLASS_REPORTED], 511);
}

static void unknown_bits(void)
{
	static const struct run odd[] = {
		{ BIT(27) | BIT(44), 3 }, { BIT(27) | 0x400, 2 },
	};
	struct lx_host host = { .root = NULL };
	struct lx_piece piece;
	struct lx_scan scan;

	write_runs(odd, 2);
	CHECK(!lx_host_read(root, &host, &err));
	if (!CHECK(!lx_scan_open(&scan, &host, &err)))
		return;
	CHECK(!lx_scan_piece(&scan, 0, 5, &piece, &err));
	CHECK_EQ(scan.bit[27], 5);
	CHECK_EQ(scan.bit[44], 3);
	CHECK_EQ(piece.count[LX_CLASS_UNKNOWN_BIT], 3);
	CHECK_EQ(piece.unknown, BIT(27) | BIT(44));
	lx_scan_close(&scan);
	lx_host_free(&host);
}

/* The verdict on memory1 of the host at root. */
static struct lx_judgement judge(void)
{
	struct lx_judgement judgement = { .verdict = LX_VERDICT_COUNT };
	struct lx_host host = { .root = NULL };
	struct lx_piece piece;
	struct lx_judge judge;
	struct lx_scan scan;

	if (!CHECK(!lx_host_read(root, &host, &err)) ||
	    !CHECK(!lx_scan_open(&scan, &host, &err)))
		return judgement;
	CHECK(!lx_judge_init(&judge, &host, true, &err));
	CHECK(!lx_scan_piece(&scan, BLOCK_FRAMES, 2 * BLOCK_FRAMES, &piece,
			     &err));
	if (CHECK(host.blocks.count == 1))
		lx_judge_block(&judge, host.blocks.block, &piece, &judgement);
	lx_judge_free(&judge);
	lx_scan_close(&scan);
	lx_host_free(&host);
	return judgement;
}

#define MEMORY "sys/devices/system/memory"

/* memory1 of 2 MiB, of which frame 7 has @word and all others are free. */
static struct lx_judgement judge_word(uint64_t word)
{
	const struct run run[] = {
		{ 0, BLOCK_FRAMES }, { 0x400, 7 }, { word, 1 },
		{ 0x400, BLOCK_FRAMES - 8 },
	};

	write_runs(run, 4);
	return judge();
}

static void write_zone(uint64_t managed, uint64_t cached)
{
	char text[512];

	snprintf(text, sizeof(text), "Node 0, zone   Normal\n"
		 "  pages free     100\n        present  512\n"
		 "        managed  %llu\n  pagesets\n    cpu: 0\n"
		 "              count:    %llu\n    cpu: 1\n"
		 "              count:    1\n",
		 (unsigned long long)managed, (unsigned long long)cached);
	write_text("proc/zoneinfo", text);
}

static void write_host(void)
{
	write_text(MEMORY "/block_size_bytes", "200000\n");
	write_text(MEMORY "/memory1/state", "online\n");
	write_text(MEMORY "/memory1/valid_zones", "Normal\n");
	write_text("proc/iomem", "00000000-0fffffff : System RAM\n");
	write_text("proc/vmstat", "nr_free_pages 1\n");
	write_text("proc/sys/kernel/osrelease", "6.18.1-x\n");
	write_zone(512, 3);
}

static void check_word(uint64_t word, enum lx_verdict verdict,
		       enum lx_reason_code code)
{
	struct lx_judgement judgement = judge_word(word);

	CHECK_EQ(judgement.verdict, verdict);
	if (code == LX_REASON_COUNT) {
		CHECK_EQ(judgement.count, 0);
		return;
	}
	if (!CHECK(judgement.count == 1))
		return;
	CHECK_EQ(judgement.reason[0].code, code);
	CHECK_EQ(judgement.reason[0].frames, 1);
	CHECK_EQ(judgement.reason[0].at, BLOCK_FRAMES + 7);
}

static void verdicts_by_word(void)
{
	write_host();
	check_word(0x400, LX_VERDICT_EMPTY, LX_REASON_COUNT);
	check_word(0x408, LX_VERDICT_EMPTY, LX_REASON_COUNT);
	check_word(0x2c, LX_VERDICT_CANDIDATE, LX_REASON_COUNT);
	check_word(0x5828, LX_VERDICT_CANDIDATE, LX_REASON_COUNT);
	check_word(0x80, LX_VERDICT_BLOCKED, LX_REASON_SLAB);
	check_word(0x4000000, LX_VERDICT_BLOCKED, LX_REASON_PGTABLE);
	check_word(BIT(32), LX_VERDICT_BLOCKED, LX_REASON_RESERVED);
	check_word(0x804, LX_VERDICT_BLOCKED, LX_REASON_MAPPED);
	check_word(BIT(33) | 0x2c, LX_VERDICT_DOUBTFUL, LX_REASON_MLOCKED);
	check_word(0x5028, LX_VERDICT_DOUBTFUL, LX_REASON_HELD);
	check_word(0x8, LX_VERDICT_DOUBTFUL, LX_REASON_ZSMALLOC);
	check_word(BIT(30), LX_VERDICT_DOUBTFUL, LX_REASON_UNKNOWN_BIT);
	check_word(BIT(19), LX_VERDICT_CANDIDATE, LX_REASON_POISON);
	check_word(0x800008, LX_VERDICT_CANDIDATE, LX_REASON_BALLOON);
	check_word(0x800010, LX_VERDICT_CANDIDATE, LX_REASON_OWNER_AGREES);
	check_word(0x800000, LX_VERDICT_BLOCKED, LX_REASON_OWNER_KEEPS);
}

static void untyped_frames(void)
{
	static const struct run beside[] = {
		{ 0x400, BLOCK_FRAMES }, { 0, 1 }, { 0x80, 1 },
		{ 0x400, BLOCK_FRAMES - 2 },
	};
	struct lx_judgement judgement;

	write_host();
	check_word(0, LX_VERDICT_CANDIDATE, LX_REASON_CACHED);
	write_zone(512, 0);		/* the other CPU still has one */
	check_word(0, LX_VERDICT_CANDIDATE, LX_REASON_CACHED);
	write_runs(beside, 4);
	judgement = judge();
	CHECK_EQ(judgement.reason[0].code, LX_REASON_SLAB);
	CHECK_EQ(judgement.reason[1].code, LX_REASON_UNTYPED);
	write_text("proc/zoneinfo", "Node 0, zone   Normal\n"
		   "        present  512\n        managed  512\n");
	check_word(0, LX_VERDICT_BLOCKED, LX_REASON_UNTYPED_MANY);
	write_text(MEMORY "/memory1/valid_zones", "Movable\n");
	write_text("proc/zoneinfo", "Node 0, zone   Movable\n"
		   "        present  512\n        managed  512\n");
	check_word(0, LX_VERDICT_DOUBTFUL, LX_REASON_UNTYPED);
}

static enum lx_reason_code reason_of(const struct run *run, size_t count)
{
	struct lx_judgement judgement;

	write_runs(run, count);
	judgement = judge();
	return judgement.count ? judgement.reason[0].code : LX_REASON_COUNT;
}

/* What may be a CPU's cache depends on release and zone. */
static void cached_frames(void)
{
	static const struct run some[] = {
		{ 0, BLOCK_FRAMES }, { 0x400, 312 }, { 0, 200 },
	};
	static const struct run all[] = {
		{ 0x80, BLOCK_FRAMES }, { 0, BLOCK_FRAMES },
	};

	write_host();
	write_zone(512, 600);
	CHECK_EQ(reason_of(some, 3), LX_REASON_CACHED);
	CHECK_EQ(reason_of(all, 2), LX_REASON_UNTYPED);
	write_text("proc/sys/kernel/osrelease", "5.14.0\n");
	CHECK_EQ(reason_of(some, 3), LX_REASON_CACHED);
	write_text("proc/sys/kernel/osrelease", "5.13.9\n");
	CHECK_EQ(reason_of(some, 3), LX_REASON_UNTYPED);
	write_zone(512, 20);
	CHECK_EQ(reason_of(some, 3), LX_REASON_UNTYPED_MANY);
	/* The kernel has nothing of its own in zone Movable. */
	write_text(MEMORY "/memory1/valid_zones", "Movable\n");
	write_text("proc/zoneinfo", "Node 0, zone  Movable\n"
		   "  pages free     100\n        present  512\n"
		   "        managed  512\n  pagesets\n    cpu: 0\n"
		   "              count:    512\n");
	CHECK_EQ(reason_of(some, 3), LX_REASON_CACHED);
	CHECK_EQ(reason_of(all, 2), LX_REASON_CACHED);
}

static void held_frames(void)
{
	static const struct run few[] = {
		{ 0, BLOCK_FRAMES }, { 0x5028, 186 }, { 0x400, 326 },
	};
	static const struct run many[] = {
		{ 0, BLOCK_FRAMES }, { 0x5028, 187 }, { 0x400, 325 },
	};
	static const struct run old[] = {
		{ 0, BLOCK_FRAMES }, { 0x5028, 91 }, { 0x400, 421 },
	};
	static const struct run more[] = {
		{ 0, BLOCK_FRAMES }, { 0x5028, 257 }, { 0x400, 255 },
	};

	write_host();				/* two CPUs */
	CHECK_EQ(reason_of(few, 3), LX_REASON_HELD);
	CHECK_EQ(judge().verdict, LX_VERDICT_DOUBTFUL);
	CHECK_EQ(reason_of(many, 3), LX_REASON_HELD_MANY);
	CHECK_EQ(judge().verdict, LX_VERDICT_BLOCKED);
	CHECK_EQ(reason_of(old, 3), LX_REASON_HELD);
	write_text("proc/sys/kernel/osrelease", "6.1.0-56\n");
	CHECK_EQ(reason_of(old, 3), LX_REASON_HELD_MANY);
	write_text("proc/sys/kernel/osrelease", "6.8.12\n");
	CHECK_EQ(reason_of(old, 3), LX_REASON_HELD_MANY);
	write_text("proc/sys/kernel/osrelease", "6.9.0\n");
	CHECK_EQ(reason_of(old, 3), LX_REASON_HELD);
	CHECK_EQ(reason_of(few, 3), LX_REASON_HELD);
	CHECK_EQ(reason_of(many, 3), LX_REASON_HELD_MANY);
	write_text("proc/zoneinfo", "Node 0, zone   Normal\n"
		   "        present  512\n        managed  512\n");
	CHECK_EQ(reason_of(many, 3), LX_REASON_HELD);
	CHECK_EQ(reason_of(more, 3), LX_REASON_HELD_MANY);
}

/* All frames of a block say nothing. */
static void never_initialised(void)
{
	static const struct run silent[] = { { 0, 2 * BLOCK_FRAMES } };
	struct lx_judgement judgement;

	write_host();
	write_runs(silent, 1);
	judgement = judge();
	CHECK_EQ(judgement.verdict, LX_VERDICT_BLOCKED);
	CHECK_EQ(judgement.reason[0].code, LX_REASON_UNTYPED_MANY);
	write_zone(0, 0);
	judgement = judge();
	CHECK_EQ(judgement.verdict, LX_VERDICT_UNKNOWN);
	CHECK_EQ(judgement.reason[0].code, LX_REASON_UNINITIALISED);
	CHECK_EQ(judgement.reason[0].confidence, LX_LIKELY);
	CHECK_EQ(judgement.reason[0].frames, BLOCK_FRAMES);
	/* MemTotal has what is not initialised from the start. */
	write_text("proc/meminfo", "MemTotal: 2047 kB\n");
	CHECK_EQ(judge().reason[0].code, LX_REASON_UNTYPED_MANY);
	write_text("proc/meminfo", "MemTotal: 2048 kB\n");
	CHECK_EQ(judge().reason[0].code, LX_REASON_UNINITIALISED);
}

/* The same word means one thing up to Linux 6.16 and another from 6.17 on. */
static void balloon_before_6_17(void)
{
	write_host();
	write_text("proc/vmstat", "balloon_inflate 9\nballoon_deflate 8\n"
		   "balloon_migrate 0\n");
	check_word(0x800000, LX_VERDICT_BLOCKED, LX_REASON_OWNER_KEEPS);
	write_text("proc/sys/kernel/osrelease", "6.16.9\n");
	check_word(0x800000, LX_VERDICT_CANDIDATE, LX_REASON_BALLOON_BY_COUNT);
	write_text("proc/vmstat", "balloon_inflate 9\nballoon_deflate 9\n"
		   "balloon_migrate 0\n");
	check_word(0x800000, LX_VERDICT_BLOCKED, LX_REASON_OWNER_KEEPS);
	/* virtio-mem lets its blocks go, whatever the release. */
	write_text("proc/iomem", "00000000-0fffffff : virtio2\n"
		   "  00000000-0fffffff : System RAM (virtio_mem)\n");
	check_word(0x800000, LX_VERDICT_CANDIDATE, LX_REASON_OWNER_AGREES);
}

static void remove_block(unsigned int id)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/" MEMORY "/memory%u/state", root, id);
	CHECK(!remove(path));
	*strrchr(path, '/') = 0;
	CHECK(!remove(path));
}

/* What the balloon has in one block it does not have in another. */
static void balloon_used_up(void)
{
	static const struct run runs[] = {
		{ 0x800000, 3 }, { 0x400, BLOCK_FRAMES - 3 },
		{ 0x800000, 2 }, { 0x400, BLOCK_FRAMES - 2 },
		{ 0x800000, 1 }, { 0x400, BLOCK_FRAMES - 1 },
	};
	static const enum lx_reason_code codes[] = {
		LX_REASON_BALLOON_BY_COUNT, LX_REASON_OWNER_KEEPS,
		LX_REASON_BALLOON_BY_COUNT,
	};
	struct lx_host host = { .root = NULL };
	struct lx_judgement judgement;
	struct lx_piece piece;
	struct lx_judge judge;
	struct lx_scan scan;
	uint64_t i;

	write_host();
	write_text("proc/sys/kernel/osrelease", "6.16.9\n");
	write_text("proc/vmstat", "balloon_inflate 9\nballoon_deflate 5\n"
		   "balloon_migrate 0\n");
	write_text(MEMORY "/memory0/state", "online\n");
	write_text(MEMORY "/memory2/state", "online\n");
	write_runs(runs, 6);
	CHECK(!lx_host_read(root, &host, &err));
	CHECK(!lx_judge_init(&judge, &host, true, &err));
	if (!CHECK(!lx_scan_open(&scan, &host, &err)))
		return;
	for (i = 0; i < 2 * host.blocks.count; i++) {
		uint64_t at = i % host.blocks.count;

		if (!at)
			lx_judge_restart(&judge);
		CHECK(!lx_scan_piece(&scan, at * BLOCK_FRAMES,
				     (at + 1) * BLOCK_FRAMES, &piece, &err));
		lx_judge_block(&judge, &host.blocks.block[at], &piece,
			       &judgement);
		CHECK_EQ(judgement.reason[0].code, codes[at]);
	}
	CHECK_EQ(i, 6);
	lx_judge_free(&judge);
	lx_scan_close(&scan);
	lx_host_free(&host);
	remove_block(0);
	remove_block(2);
}

static void write_link(const char *name, const char *target)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", root, name);
	(void)remove(path);
	CHECK(!symlink(target, path));
}

/* A process has open what @target says, in descriptor 3, and 3 pages. */
static void write_process(unsigned int pid, const char *target, uint64_t pfn)
{
	const uint64_t page = BIT(63) | pfn;
	const uint64_t entry[] = { 0, 0, page, page + 1, page + 2, 0 };
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "proc/%u/pagemap", pid);
	file = create(path);
	CHECK(file && fwrite(entry, sizeof(entry), 1, file) == 1);
	if (file)
		fclose(file);
	snprintf(path, sizeof(path), "proc/%u/comm", pid);
	write_text(path, "app\n");
	snprintf(path, sizeof(path), "proc/%u/fdinfo/3", pid);
	write_text(path, "pos:\t0\nUserFiles:\t0\n"
		   "    0: 0x4000/4096\nUserBufs:\t2\n"
		   "    0: 0x2000/4097\n    1: (null)/0\nPollList:\n"
		   "    2: 0x4000/4096\n");
	snprintf(path, sizeof(path), "%s/proc/%u/fd", root, pid);
	(void)mkdir(path, 0755);
	snprintf(path, sizeof(path), "proc/%u/fd/3", pid);
	write_link(path, target);
}

static void write_holder(const char *target)
{
	write_process(7, target, BLOCK_FRAMES + 7);
}

static void pinned_frames(void)
{
	struct lx_judgement judgement;

	write_host();
	write_text("proc/vmstat", "nr_foll_pin_acquired 5\n"
		   "nr_foll_pin_released 3\n");
	write_holder("/dev/vfio/7");
	CHECK_EQ(judge_word(0x2c).verdict, LX_VERDICT_DOUBTFUL);
	/* Pages 2 and 3 are where a buffer was when it was registered. */
	write_holder("anon_inode:[io_uring]");
	judgement = judge_word(0x2c);
	CHECK_EQ(judgement.verdict, LX_VERDICT_BLOCKED);
	CHECK_EQ(judgement.confidence, LX_LIKELY);
	if (CHECK(judgement.count == 1)) {
		CHECK_EQ(judgement.reason[0].code, LX_REASON_PINNED);
		CHECK_EQ(judgement.reason[0].frames, 2);
		CHECK_EQ(judgement.reason[0].at, BLOCK_FRAMES + 7);
	}
	/* More than the buffers explain. */
	write_text("proc/vmstat", "nr_foll_pin_acquired 6\n"
		   "nr_foll_pin_released 3\n");
	judgement = judge_word(0x2c);
	CHECK_EQ(judgement.count, 2);
	CHECK_EQ(judgement.reason[1].code, LX_REASON_PINS);
	/* Those of the buffer may be pinned as one. */
	CHECK_EQ(judgement.reason[1].frames, 2);
	/* Frames in a row that are pinned as one. */
	write_text("proc/vmstat", "nr_foll_pin_acquired 4\n"
		   "nr_foll_pin_released 3\n");
	CHECK_EQ(judge_word(0x2c).count, 1);
	/* Two that are not: it does not add up. */
	write_text("proc/7/fdinfo/3", "UserBufs:\t2\n    0: 0x2000/4096\n"
		   "    1: 0x4000/4096\n");
	CHECK_EQ(judge_word(0x2c).reason[1].code, LX_REASON_PINS);
	CHECK_EQ(judge_word(0x2c).reason[1].frames, 1);
	/* Three as one, and one more. */
	write_text("proc/vmstat", "nr_foll_pin_acquired 5\n"
		   "nr_foll_pin_released 3\n");
	write_text("proc/7/fdinfo/3", "UserBufs:\t1\n    0: 0x2000/8193\n");
	CHECK_EQ(judge_word(0x2c).reason[1].code, LX_REASON_PINS);
	CHECK_EQ(judge_word(0x2c).reason[1].frames, 1);
	write_holder("anon_inode:[io_uring]");
	/* What tells nothing may have pinned any of them. */
	write_text("proc/vmstat", "nr_foll_pin_acquired 5\n"
		   "nr_foll_pin_released 3\n");
	CHECK_EQ(judge_word(0x2c).count, 1);
	write_link("proc/7/fd/4", "/dev/infiniband/uverbs0");
	CHECK_EQ(judge_word(0x2c).reason[1].code, LX_REASON_PINS);
	CHECK_EQ(judge_word(0x2c).reason[1].frames, 2);
	write_link("proc/7/fd/4", "pipe:[8]");
	write_holder("pipe:[7]");
}

/* A ring that two descriptors, or two processes, have pins once. */
static void rings_open_twice(void)
{
	struct lx_judgement judgement;

	write_host();
	write_text("proc/vmstat", "nr_foll_pin_acquired 4\n"
		   "nr_foll_pin_released 0\n");
	write_holder("anon_inode:[io_uring]");
	write_link("proc/7/fd/4", "anon_inode:[io_uring]");
	write_text("proc/7/fdinfo/4", "UserBufs:\t1\n    0: 0x2000/4097\n");
	judgement = judge_word(0x2c);
	if (CHECK(judgement.count == 2)) {
		CHECK_EQ(judgement.reason[0].code, LX_REASON_PINNED);
		CHECK_EQ(judgement.reason[0].frames, 2);
		CHECK_EQ(judgement.reason[1].code, LX_REASON_PINS);
	}
	write_link("proc/7/fd/4", "pipe:[8]");
	/* What is pinned is copied when a process forks. */
	write_process(8, "anon_inode:[io_uring]", BLOCK_FRAMES + 100);
	judgement = judge_word(0x2c);
	if (CHECK(judgement.count == 2)) {
		CHECK_EQ(judgement.reason[0].frames, 4);
		CHECK_EQ(judgement.reason[1].code, LX_REASON_PINS);
	}
	write_process(8, "pipe:[8]", 0);
	write_text("proc/vmstat", "nr_foll_pin_acquired 2\n"
		   "nr_foll_pin_released 0\n");
	CHECK_EQ(judge_word(0x2c).count, 1);
	write_holder("pipe:[7]");
}

static bool has_pins_reason(struct lx_judgement judgement)
{
	size_t i = 0;

	while (i < judgement.count &&
	       judgement.reason[i].code != LX_REASON_PINS)
		i++;
	return i < judgement.count && judgement.reason[i].frames == 2;
}

/* Whoever was not looked at may have pinned anything. */
static void too_many_holders(void)
{
	char path[256], ring[256];
	unsigned int pid;

	snprintf(ring, sizeof(ring), "%s/proc/7/fd/3", root);
	write_host();
	write_text("proc/vmstat", "nr_foll_pin_acquired 2\n"
		   "nr_foll_pin_released 0\n");
	write_holder("anon_inode:[io_uring]");
	CHECK_EQ(judge_word(0x2c).count, 1);
	for (pid = 10; pid < 10 + LX_HOLDERS_MAX; pid++) {
		snprintf(path, sizeof(path), "%s/proc/%u", root, pid);
		CHECK(!mkdir(path, 0755));
		strcat(path, "/fd");
		CHECK(!mkdir(path, 0755));
		strcat(path, "/3");
		CHECK(!link(ring, path));
	}
	CHECK(has_pins_reason(judge_word(0x2c)));
}

static void locked_frames(void)
{
	static const uint64_t locked = BIT(33) | 0x5828;
	static const uint64_t ramfs = BIT(18) | 0x38;
	static const uint64_t secret = 0x200040838;	/* memfd_secret */

	write_host();
	check_word(locked, LX_VERDICT_DOUBTFUL, LX_REASON_MLOCKED);
	write_text("proc/vmstat", "nr_foll_pin_acquired 5\n"
		   "nr_foll_pin_released 5\n");
	check_word(locked, LX_VERDICT_CANDIDATE, LX_REASON_LOCKED);
	check_word(BIT(33) | 0x4838, LX_VERDICT_CANDIDATE, LX_REASON_LOCKED);
	check_word(ramfs, LX_VERDICT_DOUBTFUL, LX_REASON_MLOCKED);
	check_word(secret, LX_VERDICT_DOUBTFUL, LX_REASON_MLOCKED);
	write_text("proc/vmstat", "nr_foll_pin_acquired 5\n"
		   "nr_foll_pin_released 4\n");
	check_word(locked, LX_VERDICT_DOUBTFUL, LX_REASON_MLOCKED);
	write_text(MEMORY "/memory1/valid_zones", "Movable\n");
	check_word(locked, LX_VERDICT_CANDIDATE, LX_REASON_LOCKED);
	check_word(ramfs, LX_VERDICT_DOUBTFUL, LX_REASON_MLOCKED);
}

static void verdicts_by_place(void)
{
	struct lx_judgement judgement;

	write_host();
	write_text("proc/vmstat", "nr_foll_pin_acquired 5\n"
		   "nr_foll_pin_released 3\n");
	judgement = judge_word(0x2c);
	CHECK_EQ(judgement.verdict, LX_VERDICT_DOUBTFUL);
	CHECK_EQ(judgement.reason[0].code, LX_REASON_PINS);
	CHECK_EQ(judge_word(0x400).verdict, LX_VERDICT_EMPTY);
	write_host();
	write_text(MEMORY "/memory1/valid_zones", "none\n");
	judgement = judge_word(0x80);
	CHECK_EQ(judgement.verdict, LX_VERDICT_NEVER);
	CHECK_EQ(judgement.reason[0].code, LX_REASON_ZONE_NONE);
	CHECK_EQ(judgement.reason[1].code, LX_REASON_SLAB);
	write_host();
	write_text("proc/iomem", "00000000-003fefff : System RAM\n"
		   "  00200000-00200fff : Kernel code\n");
	judgement = judge_word(0x400);
	CHECK_EQ(judgement.verdict, LX_VERDICT_NEVER);
	CHECK_EQ(judgement.count, 2);
	CHECK_EQ(judgement.reason[0].code, LX_REASON_HOLE);
	CHECK_EQ(judgement.reason[0].frames, 1);
	CHECK_EQ(judgement.reason[1].code, LX_REASON_KERNEL_IMAGE);
}

static void verdicts_by_state(void)
{
	write_host();
	write_text(MEMORY "/memory1/state", "offline\n");
	CHECK_EQ(judge_word(0x80).verdict, LX_VERDICT_OFFLINE);
	write_text(MEMORY "/memory1/state", "going-offline\n");
	CHECK_EQ(judge_word(0x400).verdict, LX_VERDICT_DOUBTFUL);
	write_text(MEMORY "/memory1/state", "on fire\n");
	CHECK_EQ(judge_word(0x400).verdict, LX_VERDICT_UNKNOWN);
	CHECK_EQ(judge_word(0x80).verdict, LX_VERDICT_BLOCKED);
}

/*
 * A file below /proc reports no length: this process's memory, which has
 * something where the word of the frame at 64 TiB would be.
 */
static void too_many_words(void)
{
	void *place = (void *)(UINT64_C(8) << 34);
	struct lx_words words;
	uint64_t frames = 7;
	char name[64];

	/* Sanitizers have a use of their own for that place. */
	if (mmap(place, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE |
		 MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != place) {
		tap_skip_this("something else is at that address");
		return;
	}
	snprintf(name, sizeof(name), "proc/%d/mem", (int)getpid());
	if (CHECK(!lx_words_open(&words, "/", name, &err))) {
		CHECK_EQ(lx_words_count(&words, &frames, &err), -LX_EFORMAT);
		CHECK(strstr(err.text, "64 TiB") != NULL);
		CHECK_EQ(frames, 7);
		lx_words_close(&words);
	}
	munmap(place, 4096);
}

int main(void)
{
	if (!mkdtemp(root)) {
		tap_bail("no temporary folder");
		return 1;
	}
	atexit(remove_root);
	tap_run("the class of a word", classes);
	tap_run("classes and reasons have names", every_class_has_words);
	tap_run("tails are what their head is", tails);
	tap_run("tails of huge pages", huge_tails);
	tap_run("gigantic pages", gigantic);
	tap_run("chunks that are free, movable, spoiled", chunks);
	tap_run("free runs that were reported", reported_runs);
	tap_run("bits without a name are counted", unknown_bits);
	tap_run("verdicts by the word of one frame", verdicts_by_word);
	tap_run("frames without a type", untyped_frames);
	tap_run("frames that a CPU may cache", cached_frames);
	tap_run("frames that something holds", held_frames);
	tap_run("frames never initialised", never_initialised);
	tap_run("balloons of older kernels", balloon_before_6_17);
	tap_run("a balloon is used up by its blocks", balloon_used_up);
	tap_run("locked memory", locked_frames);
	tap_run("frames in buffers of io_uring", pinned_frames);
	tap_run("rings that are open twice", rings_open_twice);
	tap_run("verdicts by where a block is", verdicts_by_place);
	tap_run("verdicts by what sysfs says", verdicts_by_state);
	tap_run("more words than a capture may have", too_many_words);
	tap_run("more holders than are looked at", too_many_holders);
	return tap_done();
}
