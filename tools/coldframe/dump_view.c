/* SPDX-License-Identifier: MIT */
/*
 * A dump as the root of a system: its blocks and frames as Linux would show
 * them, in a capture that only this process knows. So all that reads a host
 * reads a dump. Bits are those of core/export.c.
 */
#include "dump_view.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dump/dump.h"
#include "linux/capture.h"
#include "linux/pack.h"

#define MEMORY		"sys/devices/system/memory"
#define NODES		"sys/devices/system/node"
#define KPF(name)	((uint64_t)1 << CF_KPF_##name)

/* Frames of a zone, or of all. */
struct sums {
	cf_pfn first, last;
	uint64_t present, managed, free, balloon, pgtable, slab, bad;
};

struct view {
	struct dump *dump;
	struct lx_pack *pack;
	struct lx_error *err;
	struct sums zone[CF_NODES_MAX][CF_ZONE_COUNT];
	struct sums all;
};

__attribute__((format(printf, 3, 4)))
static int put(struct view *view, const char *name, const char *format, ...)
{
	char text[512];
	va_list values;

	va_start(values, format);
	(void)vsnprintf(text, sizeof(text), format, values);
	va_end(values);
	return lx_pack_file(view->pack, name, text, strlen(text), view->err);
}

static uint64_t type_flags(enum cf_type type)
{
	static const uint64_t flags[CF_TYPE_COUNT] = {
		[CF_TYPE_FOLIO] = KPF(LRU) | KPF(UPTODATE) | KPF(ANON) |
				  KPF(SWAPBACKED),
		[CF_TYPE_DEVICE] = KPF(RESERVED),
		[CF_TYPE_PGTABLE] = KPF(PGTABLE),
		[CF_TYPE_SLAB] = KPF(SLAB),
		[CF_TYPE_RESERVED] = KPF(RESERVED),
		[CF_TYPE_OFFLINE] = KPF(OFFLINE),
		[CF_TYPE_RETIRED] = KPF(HWPOISON),
	};

	return type < CF_TYPE_COUNT ? flags[type] : 0;
}

static uint64_t run_flags(const struct view *view, cf_pfn pfn,
			  const struct cf_span *span)
{
	unsigned compound = 1u << CF_TYPE_KERNEL | 1u << CF_TYPE_FOLIO |
			    1u << CF_TYPE_DEVICE | 1u << CF_TYPE_PGTABLE |
			    1u << CF_TYPE_SLAB;
	uint64_t flags = type_flags(span->type);

	if (span->order && compound >> span->type & 1)
		flags |= pfn == span->first ? KPF(COMPOUND_HEAD) :
					      KPF(COMPOUND_TAIL);
	if (span->type == CF_TYPE_FOLIO && span->order >= CF_CHUNK_ORDER)
		flags |= KPF(THP);
	if (span->flags & CF_FLAG_ISOLATED)
		flags |= KPF(RECLAIM);
	if (span->flags & CF_FLAG_MOVABLE)
		flags |= KPF(UPTODATE);
	if (span->flags & CF_FLAG_NEVER_ONLINED)
		flags |= KPF(DIRTY);
	if (span->flags & CF_FLAG_POISON && raw_is_bad(&view->dump->raw, pfn))
		flags |= KPF(HWPOISON);
	return flags;
}

/* What /proc/kpageflags would say, and what it adds to the totals. */
static uint64_t frame_flags(const struct view *view, cf_pfn pfn,
			    const struct cf_span *span, struct sums *sums)
{
	bool used = span->kind == CF_SPAN_RUN;

	if (span->kind == CF_SPAN_ABSENT || span->kind == CF_SPAN_BLOCK_OFFLINE)
		return KPF(NOPAGE);
	sums->present++;
	sums->free += !used;
	sums->managed += !used || (span->type != CF_TYPE_OFFLINE &&
				   span->type != CF_TYPE_RETIRED &&
				   span->type != CF_TYPE_RESERVED &&
				   span->type != CF_TYPE_DEVICE);
	sums->balloon += used && span->type == CF_TYPE_OFFLINE &&
			 span->flags & CF_FLAG_MOVABLE;
	sums->pgtable += used && span->type == CF_TYPE_PGTABLE;
	sums->slab += used && span->type == CF_TYPE_SLAB;
	sums->bad += used && span->type == CF_TYPE_RETIRED;
	if (span->kind == CF_SPAN_FREE)
		return KPF(BUDDY);
	return used ? run_flags(view, pfn, span) : 0;
}

static uint64_t frame_count(const struct cf_span *span)
{
	return span->kind == CF_SPAN_RUN && span->type == CF_TYPE_FOLIO ?
	       span->refs : 0;
}

/*
 * The words of a window; @counts: of /proc/kpagecount. Without a pack only
 * the totals are made.
 */
static int view_window(struct view *view, cf_pfn first, bool counts,
		       struct sums *sums)
{
	struct raw_frame frame[DUMP_WINDOW_FRAMES];
	struct raw_map *raw = &view->dump->raw;
	struct cf_span span;
	uint64_t word;
	unsigned i;

	if (raw_look(raw, first, first + DUMP_WINDOW_FRAMES, frame))
		return lx_fail(view->err, LX_EFORMAT, "%s: the map in it says "
			       "what cannot be", view->dump->file.path);
	for (i = 0; i < DUMP_WINDOW_FRAMES; i++) {
		raw_span(raw, first + i, &frame[i], &span);
		word = frame_flags(view, first + i, &span, sums);
		if (counts)
			word = frame_count(&span);
		if (view->pack &&
		    lx_pack_run(view->pack, word, 1, view->err))
			return -LX_EREAD;
	}
	return 0;
}

/* Frames without a block are one run, however many there are. */
static int view_words(struct view *view, const char *name, bool counts)
{
	cf_pfn end = dump_end(view->dump), at = 0, next;
	struct sums unused = { 0 };
	int ret = lx_pack_words(view->pack, name, end, view->err);

	while (!ret && at < end) {
		next = at % ((cf_pfn)1 << view->dump->raw.block_shift) ? at :
		       dump_next(view->dump, at);
		if (next > at) {
			ret = lx_pack_run(view->pack, counts ? 0 : KPF(NOPAGE),
					  next - at, view->err);
			at = next;
			continue;
		}
		ret = view_window(view, at, counts, &unused);
		at += DUMP_WINDOW_FRAMES;
	}
	return ret;
}

static const char *const zone_words[CF_ZONE_COUNT] = {
	"Normal", "Movable", "Device",
};

static const char *state_word(const struct raw_block *block)
{
	if (block->state == CF_BLOCK_ONLINE)
		return "online";
	return block->state == CF_BLOCK_GOING_OFFLINE ? "going-offline" :
							"offline";
}

static int view_block(struct view *view, const struct raw_block *block)
{
	bool online = block->state == CF_BLOCK_ONLINE ||
		      block->state == CF_BLOCK_GOING_OFFLINE;
	unsigned long long number = block->number;
	const struct {
		const char *file, *text;
	} rows[] = {
		{ "state", state_word(block) },
		{ "online", online ? "1" : "0" },
		{ "removable", "1" },
		{ "valid_zones", online ? zone_words[block->zone] :
					  "Normal Movable" },
	};
	char name[128];
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		(void)snprintf(name, sizeof(name), MEMORY "/memory%llu/%s",
			       number, rows[i].file);
		if (put(view, name, "%s\n", rows[i].text))
			return -LX_EREAD;
	}
	(void)snprintf(name, sizeof(name), MEMORY "/memory%llu/phys_index",
		       number);
	if (put(view, name, "%08llx\n", number))
		return -LX_EREAD;
	(void)snprintf(name, sizeof(name), NODES "/node%u/memory%llu",
		       block->node, number);
	return put(view, name, "%s", "");
}

static void add(struct sums *to, const struct sums *from)
{
	to->present += from->present;
	to->managed += from->managed;
	to->free += from->free;
	to->balloon += from->balloon;
	to->pgtable += from->pgtable;
	to->slab += from->slab;
	to->bad += from->bad;
}

/* What the frames of a block come to. */
static int sum_block(struct view *view, const struct raw_block *given)
{
	struct raw_block block = *given;
	struct sums sums = { 0 }, *zone;
	struct lx_pack *pack = view->pack;
	cf_pfn at;
	int ret = 0;

	view->pack = NULL;
	for (at = block.first; !ret && at < block.last;
	     at += DUMP_WINDOW_FRAMES)
		ret = view_window(view, at, false, &sums);
	view->pack = pack;
	zone = &view->zone[block.node % CF_NODES_MAX][block.zone];
	if (!zone->present)
		zone->first = block.first;
	if (sums.present)
		zone->last = block.last;
	add(zone, &sums);
	add(&view->all, &sums);
	return ret;
}

static int view_blocks(struct view *view)
{
	struct dump *dump = view->dump;
	cf_pfn end = dump_end(dump), at = dump_next(dump, 0);
	const struct raw_block *block;
	int ret = put(view, MEMORY "/block_size_bytes", "%llx\n",
		      (unsigned long long)CF_FRAME_BYTES <<
		      dump->raw.block_shift);

	for (; !ret && at < end; at = dump_next(dump, at + 1)) {
		block = raw_block_of(&dump->raw, at);
		if (!block)
			return lx_fail(view->err, LX_EFORMAT, "%s: a block "
				       "cannot be read", dump->file.path);
		ret = view_block(view, block);
		if (!ret && block->state != CF_BLOCK_OFFLINE)
			ret = sum_block(view, block);
	}
	return ret;
}

/* Neighbouring blocks of one owner's range are one resource. */
static int view_iomem(struct view *view)
{
	struct dump *dump = view->dump;
	cf_pfn end = dump_end(dump), at = dump_next(dump, 0), first;
	const struct raw_block *block;
	const struct raw_owner *owner;
	char *text = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&text, &bytes);
	uint32_t id;
	int ret;

	if (!out)
		return lx_fail(view->err, LX_EREAD, "out of memory");
	while (at < end && (block = raw_block_of(&dump->raw, at))) {
		first = at;
		id = block->range_owner;
		do {
			at = block->last;
			block = raw_block_of(&dump->raw, at);
		} while (block && block->there && block->range_owner == id);
		owner = raw_owner(&dump->raw, id);
		(void)fprintf(out, "%08llx-%08llx : System RAM%s%s%s\n",
			      (unsigned long long)(first * CF_FRAME_BYTES),
			      (unsigned long long)(at * CF_FRAME_BYTES - 1),
			      owner ? " (" : "", owner ? owner->name : "",
			      owner ? ")" : "");
		at = dump_next(dump, at);
	}
	ret = fclose(out) ? lx_fail(view->err, LX_EREAD, "out of memory") :
	      lx_pack_file(view->pack, "proc/iomem", text, bytes, view->err);
	free(text);
	return ret;
}

static int view_zones(struct view *view)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&text, &bytes);
	unsigned node, kind;
	int ret;

	if (!out)
		return lx_fail(view->err, LX_EREAD, "out of memory");
	for (node = 0; node < view->dump->raw.nodes; node++)
		for (kind = 0; kind < CF_ZONE_COUNT; kind++) {
			const struct sums *zone = &view->zone[node][kind];

			(void)fprintf(out, "Node %u, zone %8s\n"
				"  pages free     %" PRIu64 "\n"
				"        boost    0\n        min      0\n"
				"        low      0\n        high     0\n"
				"        spanned  %" PRIu64 "\n"
				"        present  %" PRIu64 "\n"
				"        managed  %" PRIu64 "\n"
				"        cma      0\n"
				"  start_pfn:           %" PRIu64 "\n",
				node, zone_words[kind], zone->free,
				zone->last - zone->first, zone->present,
				zone->managed, zone->first);
		}
	ret = fclose(out) ? lx_fail(view->err, LX_EREAD, "out of memory") :
	      lx_pack_file(view->pack, "proc/zoneinfo", text, bytes, view->err);
	free(text);
	return ret;
}

static int view_counters(struct view *view)
{
	const struct sums *all = &view->all;
	int ret;

	ret = put(view, "proc/meminfo", "MemTotal: %12" PRIu64 " kB\n"
		  "MemFree:  %12" PRIu64 " kB\nMemAvailable: %8" PRIu64
		  " kB\nSlab: %16" PRIu64 " kB\nPageTables: %10" PRIu64
		  " kB\nHardwareCorrupted: %5" PRIu64 " kB\nBalloon: %13" PRIu64
		  " kB\n", 4 * all->managed, 4 * all->free, 4 * all->free,
		  4 * all->slab, 4 * all->pgtable, 4 * all->bad,
		  4 * all->balloon);
	if (ret)
		return ret;
	return put(view, "proc/vmstat", "nr_free_pages %" PRIu64 "\n"
		   "nr_slab_unreclaimable %" PRIu64 "\n"
		   "nr_page_table_pages %" PRIu64 "\nnr_balloon_pages %" PRIu64
		   "\n", all->free, all->slab, all->pgtable, all->balloon);
}

static int view_all(struct view *view, const char *path)
{
	int ret = lx_pack_open(path, true, true, &view->pack, view->err);

	if (ret)
		return ret;
	ret = view_blocks(view);
	if (!ret)
		ret = view_iomem(view);
	if (!ret)
		ret = view_zones(view);
	if (!ret)
		ret = view_counters(view);
	if (!ret)
		ret = view_words(view, "proc/kpageflags", false);
	if (!ret)
		ret = view_words(view, "proc/kpagecount", true);
	if (ret)
		(void)lx_pack_close(view->pack, false, view->err);
	else
		ret = lx_pack_close(view->pack, true, view->err);
	return ret;
}

int dump_view_mount(const char *path, struct lx_error *err)
{
	struct view *view;
	struct dump_why why;
	char name[64];
	int fd, ret;

	if (!dump_file_is(path))
		return 1;
	view = calloc(1, sizeof(*view));
	/* As long as the process: it is read now and then. */
	fd = memfd_create("coldframe-view", MFD_CLOEXEC);
	if (!view || fd < 0) {
		free(view);
		return lx_fail(err, LX_EREAD, "out of memory");
	}
	(void)snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	view->err = err;
	if (dump_open(path, &view->dump, &why)) {
		ret = lx_fail(err, LX_EFORMAT, "%s: %s", path, why.text);
	} else {
		ret = view_all(view, name);
		dump_close(view->dump);
	}
	free(view);
	return ret ? ret : lx_mount_as(path, name, err);
}
