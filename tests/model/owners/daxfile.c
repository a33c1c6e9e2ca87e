/* SPDX-License-Identifier: MIT */
/*
 * daxfile beside a model: which block each page of each file has, who holds
 * it, which are bad, and how far truncation and removal are.  Random calls,
 * one context.
 */
#include "owners/daxfile.h"
#include "owners/device_state.h"
#include "play.h"

#define FRAMES		1024
#define FILES		4
#define PAGES		400
#define NOBODYS		UINT32_MAX

struct block {
	uint32_t file, page;	/* NOBODYS: free */
	uint32_t mapped;	/* references of mappings, that zap takes */
	uint32_t stray, pins;	/* references by number; of these, pins */
	bool bad;
	uint64_t mark;
};

struct file {
	uint32_t size, end;
	bool going;
	cf_pfn block[PAGES];	/* CF_PFN_NONE: it was bad */
};

static struct {
	struct daxfile *store;
	struct daxfile_config config;
	void *storage;
	struct block block[FRAMES];
	struct file file[FILES];
	bool closing;
	uint64_t truncated, waits, lost;
	uint32_t zapped, told;	/* calls of zap, of failed */
	bool zaps;		/* it takes mappings away */
} w;

static struct block *block_at(cf_pfn pfn)
{
	REQUIRE(pfn >= w.config.first && pfn < w.config.last);
	return &w.block[pfn - w.config.first];
}

static cf_pfn pfn_of(const struct block *block)
{
	return w.config.first + (cf_pfn)(block - w.block);
}

static uint32_t refs_of(const struct block *block)
{
	return block->mapped + block->stray;
}

/* Nobody has it any more: if it was bad its page is lost. */
static void see_idle(struct block *block)
{
	if (refs_of(block) || !block->bad || block->file == NOBODYS)
		return;
	w.file[block->file].block[block->page] = CF_PFN_NONE;
	block->file = NOBODYS;
	w.lost++;
}

static bool is_free(const struct block *block)
{
	return block->file == NOBODYS && !block->bad;
}

static uint32_t free_blocks(void)
{
	uint32_t i, count = 0;

	for (i = 0; i < FRAMES; i++)
		count += is_free(&w.block[i]);
	return count;
}

static bool any_used(void)
{
	uint32_t i;

	for (i = 0; i < FRAMES; i++)
		if (refs_of(&w.block[i]))
			return true;
	return false;
}

static void unmap(struct block *block)
{
	block->mapped--;
	cf_put(m.map, pfn_of(block));
	see_idle(block);
}

static void put_stray(struct block *block)
{
	block->stray--;
	if (block->pins) {
		block->pins--;
		cf_unpin(m.map, pfn_of(block));
	} else {
		cf_put(m.map, pfn_of(block));
	}
	see_idle(block);
}

/* ---- callbacks ---- */

static void zap(void *context, uint32_t file, uint32_t first, uint32_t last)
{
	struct file *f = &w.file[file];
	cf_pfn pfn;

	REQUIRE(context == &w);
	REQUIRE(file < FILES && first < last && last == f->size);
	w.zapped++;
	for (; w.zaps && first < last; first++) {
		pfn = f->block[first];
		while (pfn != CF_PFN_NONE && block_at(pfn)->mapped)
			unmap(block_at(pfn));
	}
}

static void failed(void *context, uint32_t file, uint32_t page)
{
	REQUIRE(context == &w);
	REQUIRE(file < FILES && page < w.file[file].size);
	w.told++;
}

/* ---- begin, end, compare ---- */

static void create(void)
{
	uint32_t i;

	REQUIRE_EQ(daxfile_create(m.map, &w.config, w.storage, &w.store), 0);
	memset(w.file, 0, sizeof(w.file));
	w.closing = false;
	w.truncated = w.waits = w.lost = 0;
	for (i = 0; i < FRAMES; i++) {
		cf_pfn pfn = w.config.first + i;
		bool bad = cf_retire_state(m.map, pfn) != CF_RETIRE_NONE;

		w.block[i] = (struct block){
			.file = NOBODYS, .bad = bad,
		};
	}
}

static void begin(void)
{
	struct machine_config machine = {
		.blocks = 1, .absent = 2, .poison_max = 20,
	};

	memset(&w, 0, sizeof(w));
	REQUIRE(machine_make(machine));
	w.config = (struct daxfile_config){
		.pagemap = { .kind = CF_PAGEMAP_FS_DAX },
		.first = m.block, .last = 2 * m.block,
		.files = FILES, .pages = PAGES,
		.zap = zap, .failed = failed, .context = &w,
	};
	w.storage = play_room(daxfile_bytes(&w.config));
	create();
}

static void compare_block(const struct block *block)
{
	cf_pfn pfn = pfn_of(block);
	uint32_t file, page;
	struct cf_snapshot run;

	REQUIRE(!cf_snapshot(m.map, pfn, &run));
	if (block->bad && !refs_of(block)) {
		REQUIRE_EQ(run.type, CF_TYPE_RETIRED);
		return;
	}
	REQUIRE_EQ(run.type, CF_TYPE_DEVICE);
	REQUIRE_EQ(run.order, 0);
	REQUIRE_EQ(run.owner, daxfile_owner(w.store));
	REQUIRE_EQ(run.refs, refs_of(block));
	REQUIRE_EQ(run.pins, block->pins);
	REQUIRE_EQ((run.flags & CF_FLAG_POISON) != 0, block->bad);
	if (block->file != NOBODYS)
		REQUIRE_EQ(play_mark(pfn), block->mark);
	REQUIRE_EQ(daxfile_find(w.store, pfn, &file, &page),
		   block->file != NOBODYS);
	REQUIRE(block->file == NOBODYS ||
		(file == block->file && page == block->page));
}

static void compare_files(void)
{
	uint32_t i, page;
	cf_pfn pfn;

	for (i = 0; i < FILES; i++) {
		REQUIRE_EQ(daxfile_pages(w.store, i), w.file[i].size);
		for (page = 0; page < w.file[i].size; page++) {
			REQUIRE(daxfile_block(w.store, i, page, &pfn));
			REQUIRE_EQ(pfn, w.file[i].block[page]);
		}
		REQUIRE(!daxfile_block(w.store, i, page, &pfn));
	}
}

static void compare_stat(void)
{
	uint64_t idle = 0, mapped = 0, bad = 0;
	struct daxfile_stat stat;
	uint32_t i;

	for (i = 0; i < FRAMES; i++) {
		bad += w.block[i].bad && !refs_of(&w.block[i]);
		mapped += refs_of(&w.block[i]) != 0;
		idle += !refs_of(&w.block[i]) && w.block[i].file != NOBODYS;
	}
	daxfile_stat(w.store, &stat);
	REQUIRE_EQ(stat.mapped, mapped);
	REQUIRE_EQ(stat.bad, bad);
	REQUIRE_EQ(stat.idle, idle);
	REQUIRE_EQ(stat.free, free_blocks());
	REQUIRE_EQ(stat.gone, 0);
	REQUIRE_EQ(stat.truncated, w.truncated);
	REQUIRE_EQ(stat.waits, w.waits);
	REQUIRE_EQ(stat.lost, w.lost);
	REQUIRE_EQ(stat.strangers, 0);
}

static void compare(void)
{
	struct daxfile_finding finding;
	uint32_t i;

	for (i = 0; i < FRAMES; i++)
		compare_block(&w.block[i]);
	compare_files();
	compare_stat();
	REQUIRE(daxfile_verify(w.store, &finding));
	REQUIRE(machine_verify());
}

static void end(void)
{
	uint32_t i;

	for (i = 0; i < FRAMES; i++) {
		while (w.block[i].mapped)
			unmap(&w.block[i]);
		while (w.block[i].stray)
			put_stray(&w.block[i]);
	}
	if (w.closing)
		REQUIRE_EQ(cf_pagemap_remove_cancel(m.map, w.config.first,
						    w.config.last), 0);
	w.closing = false;
	compare();
	REQUIRE_EQ(daxfile_destroy(w.store, NULL), 0);
	free(w.storage);
	REQUIRE(machine_end());
}

/* ---- files ---- */

/* One more page of a file, of a block that is free. */
static void grow(uint32_t i, cf_pfn pfn)
{
	struct file *f = &w.file[i];
	struct block *block;

	if (pfn != CF_PFN_NONE) {
		block = block_at(pfn);
		REQUIRE(is_free(block));
		block->file = i;
		block->page = f->size;
		block->mark = (uint64_t)draw(UINT32_MAX) << 32 | f->size;
		play_stamp(pfn, block->mark);
	}
	f->block[f->size++] = pfn;
	f->end = f->size;
}

static void call_extend(void)
{
	uint32_t i = draw_chance(2) ? FILES : draw(FILES);
	uint32_t pages = draw_chance(3) ? PAGES + 1 :
			 draw_chance(20) ? draw(PAGES + 1) : draw(24);
	struct file *f = &w.file[i % FILES];
	uint32_t codes = OK;
	cf_pfn pfn;

	if (draw_chance(60) && pages + f->size <= PAGES)
		pages += f->size;
	if (i == FILES || pages > PAGES || pages < f->size)
		codes = E(CF_EINVAL);
	else if (f->going)
		codes = E(CF_EBUSY);
	else if (pages - f->size > free_blocks())
		codes = E(CF_ENOMEM);
	if (!play_told("extend", daxfile_extend(w.store, i, pages), codes,
		       " file %u to %u pages", i, pages))
		return;
	while (f->size < pages) {
		REQUIRE(daxfile_block(w.store, i, f->size, &pfn));
		grow(i, pfn);
	}
}

static void call_append(void)
{
	uint32_t i = draw(FILES);
	struct file *f = &w.file[i];
	cf_pfn pfn = draw_chance(3) ? w.config.last :
		     draw_chance(10) ? CF_PFN_NONE :
		     w.config.first + draw(FRAMES);
	uint32_t codes = OK;

	if (pfn == w.config.last || f->size == PAGES)
		codes = E(CF_EINVAL);
	else if (f->going || (pfn != CF_PFN_NONE && !is_free(block_at(pfn))))
		codes = E(CF_EBUSY);
	if (play_told("append", daxfile_append(w.store, i, pfn), codes,
		      " file %u, block %#llx", i, (unsigned long long)pfn))
		grow(i, pfn);
}

static uint32_t map_codes(const struct file *f, uint32_t page)
{
	if (page >= f->size)
		return E(CF_EGONE);
	if (page >= f->end)
		return E(CF_EBUSY);
	if (f->block[page] == CF_PFN_NONE || w.closing ||
	    block_at(f->block[page])->bad)
		return E(CF_EREFUSED);
	return OK;
}

static void call_map(void)
{
	uint32_t i = draw(FILES);
	struct file *f = &w.file[i];
	uint32_t page = draw(f->size + 2);
	uint32_t codes;
	cf_pfn pfn = CF_PFN_NONE;

	if (draw_chance(50))
		page = draw(4);
	codes = map_codes(f, page);
	if (!play_told("map", daxfile_map(w.store, i, page, &pfn), codes,
		       " file %u, page %u", i, page))
		return;
	REQUIRE_EQ(pfn, f->block[page]);
	block_at(pfn)->mapped++;
}

/* The block of some page; NULL: there are none. */
static struct block *draw_block(void)
{
	struct file *f = &w.file[draw(FILES)];
	uint32_t page;

	if (!f->size)
		return NULL;
	page = draw_chance(50) ? draw(f->size) :
	       draw(f->size < 4 ? f->size : 4);
	return f->block[page] == CF_PFN_NONE ? NULL : block_at(f->block[page]);
}

/* The first used block behind some block. */
static struct block *draw_used(void)
{
	uint32_t i, at = draw(FRAMES);

	for (i = 0; i < FRAMES; i++, at = (at + 1) % FRAMES)
		if (refs_of(&w.block[at]))
			return &w.block[at];
	return NULL;
}

static void call_put(void)
{
	struct block *block = draw_used();

	if (!block)
		return;
	(void)play_told("put", 0, OK, " %#llx",
			(unsigned long long)pfn_of(block));
	if (block->mapped && (!block->stray || draw(2)))
		unmap(block);
	else
		put_stray(block);
}

static void call_stray(void)
{
	struct block *block = draw(2) ? draw_block() : draw_used();
	bool pin = draw(2);
	cf_pfn pfn;
	int err;

	if (!block)
		return;
	pfn = pfn_of(block);
	err = pin ? cf_pin(m.map, pfn) : cf_try_get(m.map, pfn);
	if (!play_told("stray", err, refs_of(block) && !w.closing ? OK :
		       E(CF_EGONE), " %#llx", (unsigned long long)pfn))
		return;
	block->stray++;
	block->pins += pin;
}

/* ---- truncation ---- */

static uint64_t held_beyond(const struct file *f)
{
	uint64_t held = 0;
	uint32_t page;

	for (page = f->end; page < f->size; page++)
		held += f->block[page] != CF_PFN_NONE &&
			refs_of(block_at(f->block[page])) != 0;
	return held;
}

static void shorten(struct file *f)
{
	while (f->size > f->end) {
		cf_pfn pfn = f->block[--f->size];

		if (pfn == CF_PFN_NONE)
			continue;
		block_at(pfn)->file = NOBODYS;
		w.truncated++;
	}
	f->going = false;
}

static void check_report(const struct file *f, const struct cf_report *report)
{
	struct block *block = block_at(report->pfn);

	REQUIRE(block->file == (uint32_t)(f - w.file) &&
		block->page >= f->end);
	REQUIRE_EQ(report->refs, refs_of(block));
	REQUIRE_EQ(report->pins, block->pins);
	REQUIRE(report->refs);
	REQUIRE_EQ(report->reason, block->pins ? CF_REASON_PINNED :
		   CF_REASON_REFERENCED);
	REQUIRE_EQ(report->frames[report->reason], held_beyond(f));
	REQUIRE_EQ(report->owner, daxfile_owner(w.store));
}

static void call_start(void)
{
	uint32_t i = draw(FILES);
	struct file *f = &w.file[i];
	uint32_t pages = draw(f->size + 2);
	uint32_t size = f->size;
	uint32_t codes = f->going ? E(CF_EBUSY) :
			 pages > f->size ? E(CF_EINVAL) : OK;

	w.zapped = 0;
	w.zaps = draw(2);
	/* Before the call: zap looks at it. */
	if (codes == OK) {
		f->going = true;
		f->end = pages;
	}
	if (!play_told("truncate-start",
		       daxfile_truncate_start(w.store, i, pages), codes,
		       " file %u to %u pages", i, pages))
		return;
	REQUIRE_EQ(w.zapped, pages < size);
}

static void call_step(void)
{
	uint32_t i = draw(FILES);
	struct file *f = &w.file[i];
	uint64_t held = f->going ? held_beyond(f) : 0;
	uint32_t codes = !f->going ? E(CF_EINVAL) : held ? E(CF_EBUSY) : OK;
	struct cf_report report;
	int err = daxfile_truncate_step(w.store, i, &report);

	if (play_told("truncate-step", err, codes, " file %u", i)) {
		shorten(f);
	} else if (err == -CF_EBUSY) {
		w.waits++;
		check_report(f, &report);
	}
}

static void call_cancel(void)
{
	uint32_t i = draw(FILES);
	struct file *f = &w.file[i];

	if (!play_told("truncate-cancel", daxfile_truncate_cancel(w.store, i),
		       f->going ? OK : E(CF_EINVAL), " file %u", i))
		return;
	f->going = false;
	f->end = f->size;
}

static void call_truncate(void)
{
	uint32_t i = draw(FILES);
	struct file *f = &w.file[i];
	uint32_t pages = draw(f->size + 1), passes = draw(3);
	bool going = f->going;
	struct cf_report report;
	uint64_t held;
	int err;

	w.zaps = true;
	if (!going)
		f->end = pages;
	f->going = true;
	err = daxfile_truncate(w.store, i, pages, passes, &report);
	/* All mappings are gone by now. */
	held = held_beyond(f);
	if (!play_told("truncate", err, going || !passes || held ?
		       E(CF_EBUSY) : OK, " file %u to %u pages", i, pages)) {
		if (going)
			return;
		if (held && passes)
			check_report(f, &report);
		w.waits += held ? passes : 0;
		f->end = f->size;
		f->going = false;
		return;
	}
	shorten(f);
}

/* ---- bad frames, removal ---- */

static uint32_t bad_blocks(void)
{
	uint32_t i, count = 0;

	for (i = 0; i < FRAMES; i++)
		count += w.block[i].bad;
	return count;
}

static void call_retire(void)
{
	struct block *block = draw_chance(20) ? NULL : draw_block();
	enum cf_retire_state state = CF_RETIRE_NONE;
	uint32_t codes = OK;
	bool known;

	if (!block)
		block = &w.block[draw(FRAMES)];
	known = block->bad;
	if (!known && bad_blocks() == m.config.poison_max)
		codes = E(CF_ELIMIT);
	else if (!known && w.closing)
		codes = E(CF_EBUSY);
	w.told = 0;
	if (!play_told("retire", cf_retire(m.map, pfn_of(block), &state),
		       codes, " %#llx", (unsigned long long)pfn_of(block)))
		return;
	REQUIRE_EQ(state, refs_of(block) ? CF_RETIRE_PENDING : CF_RETIRE_DONE);
	REQUIRE_EQ(w.told, !known && refs_of(block) != 0);
	block->bad = true;
	see_idle(block);
}

/* Nothing of the range is left, and the store ends all the same. */
static void see_gone(void)
{
	struct cf_snapshot run;

	REQUIRE(cf_snapshot(m.map, w.config.first, &run));
	REQUIRE_EQ(daxfile_destroy(w.store, NULL), 0);
	create();
}

static void call_remove(void)
{
	cf_pfn first = w.config.first, last = w.config.last;
	struct cf_report report;
	int err;

	if (!w.closing) {
		err = cf_pagemap_remove_start(m.map, first, last);
		w.closing = play_told("remove-start", err, OK, " ");
	} else if (draw(2)) {
		err = cf_pagemap_remove_step(m.map, first, last, &report);
		if (play_told("remove-step", err, any_used() ? E(CF_EBUSY) : OK,
			      " ")) {
			see_gone();
			return;
		}
		REQUIRE(refs_of(block_at(report.pfn)));
		REQUIRE_EQ(report.refs, refs_of(block_at(report.pfn)));
	} else {
		err = cf_pagemap_remove_cancel(m.map, first, last);
		(void)play_told("remove-cancel", err, OK, " ");
		w.closing = false;
	}
}

/* It goes, if nobody has any of it, and comes again, empty. */
static void call_destroy(void)
{
	uint32_t codes = w.closing || any_used() ? E(CF_EBUSY) : OK;
	struct cf_report report;

	if (play_told("destroy", daxfile_destroy(w.store, &report), codes,
		      " "))
		create();
	else if (!w.closing)
		REQUIRE(refs_of(block_at(report.pfn)));
}

static void call(void)
{
	static const struct {
		unsigned share;
		void (*call)(void);
	} calls[] = {
		{ 14, call_extend }, { 5, call_append }, { 22, call_map },
		{ 14, call_put }, { 8, call_stray }, { 6, call_start },
		{ 10, call_step }, { 3, call_cancel }, { 6, call_truncate },
		{ 5, call_retire }, { 4, call_remove }, { 3, call_destroy },
	};
	unsigned turn = draw(100), i = 0;

	/* Nothing much can be done while it is closed. */
	if (w.closing && draw_chance(25)) {
		call_remove();
		return;
	}
	while (turn >= calls[i].share)
		turn -= calls[i++].share;
	calls[i].call();
}

int main(int argc, char **argv)
{
	static const char *const calls[] = {
		"extend", "append", "map", "put", "stray", "truncate-start",
		"truncate-step", "truncate-cancel", "truncate", "retire",
		"remove-start", "remove-step", "remove-cancel",
		"destroy", NULL,
	};
	static const struct play play = {
		"daxfile", begin, call, compare, end, calls,
	};

	return play_main(argc, argv, &play);
}
