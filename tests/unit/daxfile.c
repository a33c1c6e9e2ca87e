/* SPDX-License-Identifier: MIT */
/*
 * Files on device memory: blocks come and go with pages of files, mapping and
 * truncation take and drop references, and a block that somebody holds is
 * never another file's.  Over one machine, with a file system that notes what
 * it was asked.
 */
#include <stdlib.h>

#include "owners/daxfile.h"
#include "tests/unit/machine.h"

#define CHUNK	((uint32_t)CF_CHUNK_FRAMES)
#define FILES	3
#define PAGES	900

static struct daxfile *store;
static void *storage;
static cf_pfn first, last;

/* What the file system was asked, and its own mappings. */
static struct {
	unsigned zaps, failures;
	uint32_t file, first, last, page;
	cf_pfn mapped[PAGES];	/* of file 0; CF_PFN_NONE */
} fs;

static void zap(void *context, uint32_t file, uint32_t from, uint32_t to)
{
	CHECK(context == &fs);
	fs.zaps++;
	fs.file = file;
	fs.first = from;
	fs.last = to;
	for (; from < to && file == 0; from++) {
		if (fs.mapped[from] != CF_PFN_NONE)
			cf_put(m.map, fs.mapped[from]);
		fs.mapped[from] = CF_PFN_NONE;
	}
}

static void note_failure(void *context, uint32_t file, uint32_t page)
{
	(void)context;
	fs.failures++;
	fs.file = file;
	fs.page = page;
}

static struct daxfile_config config_of(void)
{
	return (struct daxfile_config) {
		.pagemap = { .kind = CF_PAGEMAP_FS_DAX }, .first = first,
		.last = last, .files = FILES, .pages = PAGES, .zap = zap,
		.failed = note_failure, .context = &fs,
	};
}

static bool begin(void)
{
	struct machine_config machine = { .blocks = 1, .absent = 3 };
	struct daxfile_config config;

	if (!CHECK(machine_make(machine)))
		return false;
	first = m.last - 2 * m.block;
	last = first + m.block;
	config = config_of();
	memset(&fs, 0, sizeof(fs));
	memset(fs.mapped, 0xff, sizeof(fs.mapped));
	storage = malloc(daxfile_bytes(&config));
	return CHECK_EQ(daxfile_create(m.map, &config, storage, &store), 0);
}

static bool holds(void)
{
	struct daxfile_finding finding = { .kind = DAXFILE_FINDING_NONE };
	bool good = daxfile_verify(store, &finding);

	return owner_holds(good, (int)finding.kind, finding.pfn,
			   finding.owner);
}

static void finish(void)
{
	CHECK(holds());
	CHECK_EQ(daxfile_destroy(store, NULL), 0);
	free(storage);
	CHECK(machine_end());
}

static struct daxfile_stat stat_of(void)
{
	struct daxfile_stat stat;

	daxfile_stat(store, &stat);
	return stat;
}

static void map_page(uint32_t page)
{
	CHECK_EQ(daxfile_map(store, 0, page, &fs.mapped[page]), 0);
}

static void mapped_and_unmapped(void)
{
	cf_pfn one, two, other;

	if (!begin())
		return;
	CHECK_EQ(stat_of().free, 2 * CHUNK);
	CHECK_EQ(daxfile_extend(store, 0, 10), 0);
	CHECK_EQ(daxfile_extend(store, 1, 10), 0);
	CHECK_EQ(daxfile_pages(store, 0), 10);
	CHECK_EQ(daxfile_pages(store, FILES), 0);
	CHECK_EQ(stat_of().idle, 20);
	CHECK_EQ(daxfile_map(store, 0, 3, &one), 0);
	CHECK_EQ(daxfile_map(store, 0, 3, &two), 0);
	CHECK_EQ(daxfile_map(store, 1, 3, &other), 0);
	CHECK(one == two && one != other);
	CHECK_EQ(snapshot(one).refs, 2);
	CHECK_EQ(stat_of().mapped, 2);
	CHECK(holds());
	cf_put(m.map, one);
	cf_put(m.map, two);
	cf_put(m.map, other);
	/* Idle, and the page's still. */
	CHECK_EQ(snapshot(one).refs, 0);
	CHECK_EQ(daxfile_map(store, 0, 3, &two), 0);
	CHECK_EQ(two, one);
	cf_put(m.map, two);
	finish();
}

static void done_wrongly(void)
{
	struct daxfile_config config;
	struct daxfile *other;
	cf_pfn pfn;

	if (!begin())
		return;
	config = config_of();
	config.files = 0;
	CHECK_EQ(daxfile_bytes(&config), 0);
	CHECK_EQ(daxfile_create(m.map, &config, storage, &other), -CF_EINVAL);
	config = config_of();
	config.pagemap.kind = CF_PAGEMAP_P2P;
	CHECK_EQ(daxfile_create(m.map, &config, storage, &other), -CF_EINVAL);
	CHECK_EQ(daxfile_extend(store, FILES, 1), -CF_EINVAL);
	CHECK_EQ(daxfile_extend(store, 0, PAGES + 1), -CF_EINVAL);
	CHECK_EQ(daxfile_extend(store, 0, PAGES), 0);
	CHECK_EQ(daxfile_extend(store, 0, PAGES - 1), -CF_EINVAL);
	CHECK_EQ(daxfile_extend(store, 1, 2 * CHUNK - PAGES + 1),
		 -CF_ENOMEM);
	CHECK_EQ(daxfile_pages(store, 1), 0);
	CHECK_EQ(daxfile_map(store, FILES, 0, &pfn), -CF_EINVAL);
	CHECK_EQ(daxfile_map(store, 1, 0, &pfn), -CF_EGONE);
	CHECK_EQ(daxfile_truncate(store, 0, PAGES + 1, 1, NULL), -CF_EINVAL);
	CHECK_EQ(daxfile_truncate_start(store, FILES, 0), -CF_EINVAL);
	CHECK_EQ(daxfile_truncate_step(store, 0, NULL), -CF_EINVAL);
	CHECK_EQ(daxfile_truncate_step(store, FILES, NULL), -CF_EINVAL);
	CHECK_EQ(daxfile_truncate_cancel(store, 0), -CF_EINVAL);
	CHECK_EQ(daxfile_truncate_cancel(store, FILES), -CF_EINVAL);
	CHECK(holds());
	finish();
}

static void truncated(void)
{
	struct cf_report report;
	uint32_t i;
	cf_pfn pfn;

	if (!begin())
		return;
	CHECK_EQ(daxfile_extend(store, 0, 100), 0);
	for (i = 0; i < 100; i += 3)
		map_page(i);
	CHECK_EQ(daxfile_truncate(store, 0, 50, 1, &report), 0);
	CHECK(fs.zaps == 1 && fs.first == 50 && fs.last == 100);
	CHECK_EQ(report.reason, CF_REASON_NONE);
	CHECK_EQ(daxfile_pages(store, 0), 50);
	CHECK_EQ(stat_of().free, 2 * CHUNK - 50);
	CHECK_EQ(stat_of().truncated, 50);
	CHECK_EQ(daxfile_map(store, 0, 51, &pfn), -CF_EGONE);
	CHECK_EQ(daxfile_truncate(store, 0, 50, 1, NULL), 0);
	CHECK_EQ(fs.zaps, 1);
	CHECK_EQ(daxfile_truncate(store, 0, 0, 0, &report), -CF_EBUSY);
	CHECK_EQ(daxfile_pages(store, 0), 50);
	CHECK_EQ(daxfile_truncate(store, 0, 0, 1, &report), 0);
	CHECK(holds());
	finish();
}

/* A peer's DMA holds a block: the truncation waits, and says for what. */
static void held(void)
{
	struct cf_report report;
	cf_pfn pfn, other;

	if (!begin())
		return;
	CHECK_EQ(daxfile_extend(store, 0, 10), 0);
	map_page(7);
	map_page(8);
	pfn = fs.mapped[7];
	CHECK_EQ(cf_pin(m.map, pfn), 0);
	CHECK_EQ(daxfile_truncate(store, 0, 5, 3, &report), -CF_EBUSY);
	CHECK_EQ(report.reason, CF_REASON_PINNED);
	CHECK_EQ(report.pfn, pfn);
	CHECK_EQ(report.pins, 1);
	CHECK_EQ(report.owner, daxfile_owner(store));
	CHECK(strcmp(report.who, "daxfile") == 0);
	CHECK(strcmp(report.detail, "a file's, mapped") == 0);
	CHECK_EQ(report.frames[CF_REASON_PINNED], 1);
	/* Cancelled: as long as before, and may be mapped. */
	CHECK_EQ(daxfile_pages(store, 0), 10);
	map_page(8);
	CHECK_EQ(daxfile_truncate_start(store, 0, 5), 0);
	CHECK_EQ(daxfile_truncate_start(store, 0, 5), -CF_EBUSY);
	CHECK_EQ(daxfile_extend(store, 0, 11), -CF_EBUSY);
	CHECK_EQ(daxfile_map(store, 0, 7, &other), -CF_EBUSY);
	CHECK_EQ(daxfile_map(store, 0, 4, &other), 0);
	cf_put(m.map, other);
	CHECK_EQ(daxfile_truncate_step(store, 0, &report), -CF_EBUSY);
	CHECK(stat_of().waits >= 4);
	/* The block is nobody else's meanwhile. */
	CHECK_EQ(daxfile_extend(store, 1, PAGES), 0);
	CHECK_EQ(snapshot(pfn).pins, 1);
	cf_unpin(m.map, pfn);
	CHECK_EQ(daxfile_truncate_step(store, 0, &report), 0);
	CHECK_EQ(daxfile_pages(store, 0), 5);
	CHECK(holds());
	finish();
}

static void bad_blocks(void)
{
	enum cf_retire_state state;
	struct cf_report report;
	cf_pfn pfn;

	if (!begin())
		return;
	CHECK_EQ(daxfile_extend(store, 0, 10), 0);
	/* A free block. */
	CHECK_EQ(cf_retire(m.map, first, &state), 0);
	CHECK_EQ(state, CF_RETIRE_DONE);
	/* An idle page's. */
	CHECK_EQ(daxfile_map(store, 0, 2, &pfn), 0);
	cf_put(m.map, pfn);
	CHECK_EQ(cf_retire(m.map, pfn, &state), 0);
	CHECK_EQ(state, CF_RETIRE_DONE);
	CHECK_EQ(daxfile_map(store, 0, 2, &pfn), -CF_EREFUSED);
	/* A mapped page's: its users are told. */
	map_page(3);
	CHECK_EQ(cf_retire(m.map, fs.mapped[3], &state), 0);
	CHECK_EQ(state, CF_RETIRE_PENDING);
	CHECK(fs.failures == 1 && fs.file == 0 && fs.page == 3);
	/* Nobody else becomes one. */
	CHECK_EQ(daxfile_map(store, 0, 3, &pfn), -CF_EREFUSED);
	cf_put(m.map, fs.mapped[3]);
	CHECK_EQ(cf_retire_state(m.map, fs.mapped[3]), CF_RETIRE_DONE);
	fs.mapped[3] = CF_PFN_NONE;
	CHECK_EQ(stat_of().bad, 3);
	CHECK_EQ(stat_of().lost, 2);
	CHECK(holds());
	CHECK_EQ(daxfile_truncate(store, 0, 0, 1, &report), 0);
	CHECK_EQ(stat_of().free, 2 * CHUNK - 3);
	finish();
}

static void removed(void)
{
	struct cf_report report;
	cf_pfn pfn;

	if (!begin())
		return;
	CHECK_EQ(daxfile_extend(store, 0, 10), 0);
	CHECK_EQ(daxfile_extend(store, 1, 10), 0);
	map_page(1);
	CHECK_EQ(daxfile_destroy(store, &report), -CF_EBUSY);
	CHECK_EQ(report.pfn, fs.mapped[1]);
	CHECK_EQ(report.reason, CF_REASON_REFERENCED);
	/* All is as before. */
	CHECK(holds());
	CHECK_EQ(stat_of().free, 2 * CHUNK - 20);
	/* While it goes nobody maps what nobody has mapped. */
	CHECK_EQ(cf_pagemap_remove_start(m.map, first, last), 0);
	CHECK_EQ(daxfile_map(store, 0, 1, &pfn), -CF_EREFUSED);
	CHECK_EQ(daxfile_map(store, 0, 2, &pfn), -CF_EREFUSED);
	cf_put(m.map, fs.mapped[1]);
	CHECK_EQ(cf_pagemap_remove_cancel(m.map, first, last), 0);
	CHECK(holds());
	map_page(1);
	cf_put(m.map, fs.mapped[1]);
	finish();
}

static void foreign(void)
{
	struct daxfile_finding finding;
	enum cf_retire_state state;
	cf_pfn pfn;

	if (!begin())
		return;
	pfn = alloc(folio(0, daxfile_owner(store)));
	cf_put(m.map, pfn);
	CHECK_EQ(stat_of().strangers, 1);
	CHECK_EQ(stat_of().stranger, pfn);
	cf_free_frozen(m.map, pfn, 0);
	/* A block handed out behind its back. */
	CHECK_EQ(cf_pagemap_hand_out(m.map, daxfile_owner(store), first + 5),
		 0);
	CHECK(!daxfile_verify(store, &finding));
	CHECK_EQ(finding.kind, DAXFILE_FINDING_IDLE);
	CHECK_EQ(finding.pfn, first + 5);
	CHECK_EQ(finding.owner, daxfile_owner(store));
	/* Its put leaves it as it was: free, or a file's. */
	cf_put(m.map, first + 5);
	CHECK_EQ(stat_of().strangers, 2);
	CHECK(daxfile_verify(store, &finding));
	CHECK_EQ(daxfile_extend(store, 0, 1), 0);
	CHECK_EQ(daxfile_map(store, 0, 0, &pfn), 0);
	cf_put(m.map, pfn);
	CHECK_EQ(cf_pagemap_hand_out(m.map, daxfile_owner(store), pfn), 0);
	cf_put(m.map, pfn);
	CHECK_EQ(stat_of().strangers, 3);
	CHECK_EQ(stat_of().stranger, pfn);
	CHECK(daxfile_verify(store, &finding));
	/* A free one that fails afterwards is no page's. */
	CHECK_EQ(cf_pagemap_hand_out(m.map, daxfile_owner(store), first + 5),
		 0);
	cf_put(m.map, first + 5);
	CHECK_EQ(cf_retire(m.map, first + 5, &state), 0);
	CHECK_EQ(stat_of().lost, 0);
	CHECK_EQ(daxfile_map(store, 0, 0, &pfn), 0);
	cf_put(m.map, pfn);
	finish();
}

int main(void)
{
	tap_run("mapping takes a reference, the last one leaves it idle",
		mapped_and_unmapped);
	tap_run("done wrongly", done_wrongly);
	tap_run("truncation gives blocks back", truncated);
	tap_run("truncation waits for who holds a block", held);
	tap_run("bad blocks", bad_blocks);
	tap_run("the range goes", removed);
	tap_run("what is not a file's", foreign);
	return tap_done();
}
