/* SPDX-License-Identifier: MIT */
/*
 * Comparing everything: each frame by every call that says what it is, each
 * block, zone and owner, each counter; and the engine's own verifier.
 */
#include <inttypes.h>
#include <string.h>

#include "model.h"

/* ---- frames ---- */

/* Flags that are the holder's, not the moment's. */
#define WALK_MANY	5	/* stretches at once */
#define FLAGS_KEPT	(CF_FLAG_NEVER_ONLINED | CF_FLAG_SKIPPABLE |	\
			 CF_FLAG_MOVABLE | CF_FLAG_SELF)

static void require_allocated(struct world *world, cf_pfn pfn,
			      const struct cf_span *span)
{
	const struct frame *head = &world->frame[pfn];
	uint32_t flags = head->flags & CF_FLAG_POISON;

	REQUIRE(span->type == (enum cf_type)head->type &&
		span->order == head->order && span->owner == head->owner,
		"frame %#" PRIx64 ": %s order %u owner %u, engine %s %u %u",
		pfn, cf_type_name((enum cf_type)head->type), head->order,
		head->owner, cf_type_name(span->type), span->order,
		span->owner);
	REQUIRE(span->flags == flags,
		"frame %#" PRIx64 ": flags %#x, engine %#x", pfn, flags,
		span->flags);
	REQUIRE(!is_counted(head) || (span->refs == head->refs &&
				      span->pins == head->pins),
		"frame %#" PRIx64 ": %u references %u pins, engine %u %u",
		pfn, head->refs, head->pins, span->refs, span->pins);
}

/* Offline, reserved and retired runs: cut as the engine likes, all alike. */
static void require_uncounted(struct world *world, const struct cf_span *span)
{
	cf_pfn pfn;

	for (pfn = span->first; pfn < span->last; pfn++) {
		const struct frame *frame = &world->frame[pfn];

		REQUIRE(frame->head == pfn &&
			span->type == (enum cf_type)frame->type,
			"frame %#" PRIx64 ": type %u, engine %s", pfn,
			frame->head == pfn ? frame->type : 0,
			cf_type_name(span->type));
		if (frame->type == CF_TYPE_RETIRED)
			continue;
		REQUIRE(span->owner == frame->owner &&
			(span->flags & FLAGS_KEPT) ==
			(frame->flags & FLAGS_KEPT),
			"frame %#" PRIx64 ": %s owner %u flags %#x, engine "
			"%u %#x", pfn, cf_type_name(span->type), frame->owner,
			frame->flags & FLAGS_KEPT, span->owner, span->flags);
	}
	if (world->frame[span->first].payload_order == span->order)
		REQUIRE(span->payload == world->frame[span->first].payload,
			"frame %#" PRIx64 ": payload %#x, engine %#x",
			span->first, world->frame[span->first].payload,
			span->payload);
}

static void require_run_span(struct world *world, const struct cf_span *span)
{
	cf_pfn frames = (cf_pfn)1 << (span->order & 63);
	const struct frame *frame = &world->frame[span->first];
	cf_pfn pfn;

	REQUIRE(span->order <= CF_MAX_ORDER &&
		!(span->first & (frames - 1)) &&
		span->last == span->first + frames,
		"walk: run [%#" PRIx64 ", %#" PRIx64 ") of order %u",
		span->first, span->last, span->order);
	REQUIRE(frame->head == span->first,
		"frame %#" PRIx64 ": engine has a run of %s here", span->first,
		cf_type_name(span->type));
	if (is_allocated(frame)) {
		require_allocated(world, span->first, span);
	} else {
		REQUIRE(block_of(world, span->first) ==
			block_of(world, span->last - 1),
			"walk: %s run at %#" PRIx64 " crosses a block",
			cf_type_name(span->type), span->first);
		require_uncounted(world, span);
	}
	for (pfn = span->first; pfn < span->last; pfn++) {
		world->seen[pfn].head = (uint32_t)span->first;
		world->seen[pfn].order = (uint8_t)span->order;
	}
}

static enum cf_span_kind kind_of(struct world *world, cf_pfn pfn)
{
	const struct block *block = block_of(world, pfn);

	if (block->state == CF_BLOCK_ABSENT)
		return CF_SPAN_ABSENT;
	if (!in_use(block))
		return CF_SPAN_BLOCK_OFFLINE;
	return world->frame[pfn].head == NO_HEAD ? CF_SPAN_FREE : CF_SPAN_RUN;
}

static void require_span(struct world *world, const struct cf_span *span)
{
	const struct block *block = block_of(world, span->first);
	cf_pfn pfn;

	for (pfn = span->first; pfn < span->last; pfn++) {
		enum cf_span_kind kind = kind_of(world, pfn);

		world->seen[pfn].kind = (uint8_t)span->kind;
		REQUIRE(kind == span->kind || (kind == CF_SPAN_FREE &&
					       span->kind == CF_SPAN_TRANSIT),
			"frame %#" PRIx64 ": span kind %d, engine %d", pfn,
			(int)kind, (int)span->kind);
	}
	if (span->kind == CF_SPAN_RUN)
		require_run_span(world, span);
	if (span->kind == CF_SPAN_ABSENT)
		return;
	REQUIRE(span->node == block->node, "walk: node of %#" PRIx64,
		span->first);
	if (!in_use(block))
		return;
	REQUIRE(span->zone == block->kind &&
		span->isolated == is_isolated(world, span->first),
		"walk: zone or isolation of %#" PRIx64, span->first);
}

static void compare_walk(struct world *world)
{
	cf_pfn cursor = 0, from = 0;
	struct cf_span span;

	cf_walk_begin(world->map);
	while (cf_walk_next(world->map, &cursor, world->last, &span)) {
		REQUIRE(span.first == from && span.last > from &&
			span.last <= world->last && cursor == span.last,
			"walk: span [%#" PRIx64 ", %#" PRIx64 ") after %#"
			PRIx64, span.first, span.last, from);
		require_span(world, &span);
		from = cursor;
	}
	cf_walk_end(world->map);
	REQUIRE(from == world->last, "walk: stopped at %#" PRIx64, from);
}

/* The same, several at once. */
static void compare_walk_many(struct world *world)
{
	struct cf_span spans[WALK_MANY];
	cf_pfn cursor = 0, from = 0;
	size_t count, i;

	cf_walk_begin(world->map);
	do {
		count = cf_walk_many(world->map, &cursor, world->last, spans,
				     WALK_MANY);
		for (i = 0; i < count; i++) {
			REQUIRE(spans[i].first == from &&
				spans[i].last > from,
				"walk_many: span [%#" PRIx64 ", %#" PRIx64
				") after %#" PRIx64, spans[i].first,
				spans[i].last, from);
			require_span(world, &spans[i]);
			from = spans[i].last;
		}
		REQUIRE(cursor == from, "walk_many: cursor %#" PRIx64
			" after %#" PRIx64, cursor, from);
	} while (count > 0);
	cf_walk_end(world->map);
	REQUIRE(from == world->last, "walk_many: stopped at %#" PRIx64, from);
}

/* From the middle of a run the walk says the same run. */
static void compare_middle(struct world *world, cf_pfn pfn)
{
	const struct seen *seen = &world->seen[pfn];
	cf_pfn cursor = pfn;
	struct cf_span span;
	bool more;

	cf_walk_begin(world->map);
	more = cf_walk_next(world->map, &cursor, world->last, &span);
	cf_walk_end(world->map);
	REQUIRE(more && span.first <= pfn && span.last > pfn &&
		(uint8_t)span.kind == seen->kind,
		"walk: from %#" PRIx64 " another kind", pfn);
	if (seen->kind == CF_SPAN_RUN)
		REQUIRE(span.first == seen->head,
			"walk: from %#" PRIx64 " another run", pfn);
}

static void compare_heads(struct world *world)
{
	struct cf_snapshot snapshot;
	cf_pfn pfn;

	for (pfn = 0; pfn < world->last; pfn++) {
		const struct seen *seen = &world->seen[pfn];
		bool run = seen->kind == CF_SPAN_RUN;
		cf_pfn want = run ? seen->head : CF_PFN_NONE;
		cf_pfn head = cf_find_head(world->map, pfn);
		int err = cf_snapshot(world->map, pfn, &snapshot);

		REQUIRE(head == want, "find_head: %#" PRIx64 " of %#" PRIx64
			", expected %#" PRIx64, head, pfn, want);
		REQUIRE(!err == (run && seen->head == pfn) &&
			(!err || err == -CF_EGONE),
			"snapshot: error %d at %#" PRIx64, err, pfn);
		if (err)
			continue;
		REQUIRE(snapshot.order == seen->order &&
			snapshot.type == (enum cf_type)world->frame[pfn].type &&
			snapshot.refs == (is_counted(&world->frame[pfn]) ?
					  world->frame[pfn].refs : 0),
			"snapshot: %#" PRIx64 " is %s order %u refs %u", pfn,
			cf_type_name(snapshot.type), snapshot.order,
			snapshot.refs);
	}
}

/* ---- exports ---- */

#define KPF(name)	(UINT64_C(1) << CF_KPF_##name)

static uint64_t export_offline(const struct frame *frame)
{
	uint64_t bits = KPF(OFFLINE);

	if (frame->flags & CF_FLAG_MOVABLE)
		bits |= KPF(UPTODATE);
	if (frame->flags & CF_FLAG_NEVER_ONLINED)
		bits |= KPF(DIRTY);
	return bits;
}

static uint64_t export_type(const struct frame *head)
{
	switch (head->type) {
	case CF_TYPE_FOLIO:
		return KPF(LRU) | KPF(UPTODATE) | KPF(ANON) | KPF(SWAPBACKED) |
		       (head->order >= CF_CHUNK_ORDER ? KPF(THP) : 0);
	case CF_TYPE_PGTABLE:
		return KPF(PGTABLE);
	case CF_TYPE_SLAB:
		return KPF(SLAB);
	case CF_TYPE_RESERVED:
		return KPF(RESERVED);
	case CF_TYPE_OFFLINE:
		return export_offline(head);
	case CF_TYPE_RETIRED:
		return KPF(HWPOISON);
	default:
		return 0;
	}
}

static uint64_t export_of(struct world *world, cf_pfn pfn)
{
	const struct frame *frame = &world->frame[pfn];
	const struct frame *head;
	uint64_t bits;

	switch ((enum cf_span_kind)world->seen[pfn].kind) {
	case CF_SPAN_ABSENT:
	case CF_SPAN_BLOCK_OFFLINE:
		return KPF(NOPAGE);
	case CF_SPAN_FREE:
		return KPF(BUDDY);
	case CF_SPAN_TRANSIT:
		return 0;
	default:
		break;
	}
	head = &world->frame[frame->head];
	bits = export_type(head) | (frame->bad ? KPF(HWPOISON) : 0);
	if (is_allocated(head) && head->order)
		bits |= frame == head ? KPF(COMPOUND_HEAD) :
			KPF(COMPOUND_TAIL);
	return bits;
}

static void compare_exports(struct world *world)
{
	cf_pfn pfn;

	cf_export_flags(world->map, 0, world->last, world->words);
	for (pfn = 0; pfn < world->last; pfn++)
		REQUIRE(world->words[pfn] == export_of(world, pfn),
			"export: flags of %#" PRIx64 " are %#" PRIx64
			", expected %#" PRIx64, pfn, world->words[pfn],
			export_of(world, pfn));
	cf_export_counts(world->map, 0, world->last, world->words);
	for (pfn = 0; pfn < world->last; pfn++) {
		const struct frame *head = head_of(world, pfn);
		bool folio = head && head->type == CF_TYPE_FOLIO;
		uint64_t want = folio ? head->refs : 0;

		REQUIRE(world->words[pfn] == want,
			"export: count of %#" PRIx64 " is %" PRIu64
			", expected %" PRIu64, pfn, world->words[pfn], want);
	}
}

/* ---- counters ---- */

/* Sums over the frames of some blocks. */
struct sums {
	uint64_t present, free, cached, offline, never, skippable;
	uint64_t retired, reserved, isolated, chunks_free, chunks_isolated;
	uint64_t blocks, chunks;
	uint64_t by_type[CF_TYPE_COUNT];
};

static void sums_add(struct sums *sums, const struct sums *more)
{
	int i;

	sums->present += more->present;
	sums->free += more->free;
	sums->cached += more->cached;
	sums->offline += more->offline;
	sums->never += more->never;
	sums->skippable += more->skippable;
	sums->retired += more->retired;
	sums->reserved += more->reserved;
	sums->isolated += more->isolated;
	sums->chunks_free += more->chunks_free;
	sums->chunks_isolated += more->chunks_isolated;
	sums->blocks += more->blocks;
	sums->chunks += more->chunks;
	for (i = 0; i < CF_TYPE_COUNT; i++)
		sums->by_type[i] += more->by_type[i];
}

static void sum_frame(struct world *world, cf_pfn pfn, struct sums *sums)
{
	const struct frame *frame = &world->frame[pfn];
	const struct frame *head;

	sums->present++;
	if (frame->head == NO_HEAD) {
		bool cached = world->seen[pfn].kind == CF_SPAN_TRANSIT;

		sums->free += !cached;
		sums->cached += cached;
		sums->isolated += !cached && is_isolated(world, pfn);
		return;
	}
	head = &world->frame[frame->head];
	sums->by_type[head->type]++;
	sums->retired += head->type == CF_TYPE_RETIRED;
	sums->reserved += head->type == CF_TYPE_RESERVED;
	if (head->type != CF_TYPE_OFFLINE)
		return;
	sums->offline++;
	sums->never += !!(head->flags & CF_FLAG_NEVER_ONLINED);
	sums->skippable += !!(head->flags & CF_FLAG_SKIPPABLE);
}

static void sum_block(struct world *world, cf_pfn first, struct sums *sums)
{
	cf_pfn pfn, i;

	if (!in_use(block_of(world, first)))
		return;
	sums->blocks++;
	for (pfn = first; pfn < first + world->block_frames; pfn++)
		sum_frame(world, pfn, sums);
	for (pfn = first; pfn < first + world->block_frames;
	     pfn += CF_CHUNK_FRAMES) {
		for (i = pfn; i < pfn + CF_CHUNK_FRAMES; i++) {
			if (world->seen[i].kind != CF_SPAN_FREE)
				break;
		}
		sums->chunks++;
		sums->chunks_free += i == pfn + CF_CHUNK_FRAMES;
		sums->chunks_isolated += is_isolated(world, pfn);
	}
}

#define SAME(what, found, expected)					\
	REQUIRE((found) == (expected), what " is %" PRIu64		\
		", expected %" PRIu64, (uint64_t)(found),		\
		(uint64_t)(expected))

static void compare_stat(struct world *world, const struct sums *sums)
{
	uint64_t managed = sums->free + sums->cached;
	struct cf_stat stat;
	int i;

	cf_stat(world->map, &stat);
	for (i = CF_TYPE_KERNEL; i <= CF_TYPE_SLAB; i++) {
		managed += sums->by_type[i];
		REQUIRE(stat.by_type[i] == sums->by_type[i],
			"stat: by_type of %s is %" PRIu64 ", expected %"
			PRIu64, cf_type_name((enum cf_type)i),
			stat.by_type[i], sums->by_type[i]);
	}
	SAME("stat: present", stat.present, sums->present);
	SAME("stat: managed", stat.managed, managed);
	SAME("stat: free", stat.free, sums->free);
	SAME("stat: cached", stat.cached, sums->cached);
	SAME("stat: offline", stat.offline, sums->offline);
	SAME("stat: never_onlined", stat.never_onlined, sums->never);
	SAME("stat: skippable", stat.skippable, sums->skippable);
	SAME("stat: retired", stat.retired, sums->retired);
	SAME("stat: reserved", stat.reserved, sums->reserved);
	SAME("stat: isolated", stat.isolated, sums->isolated);
}

/* The end of the free frames of a zone from @pfn on, as the walker saw it. */
static cf_pfn free_end(struct world *world, struct zone_id zone, cf_pfn pfn)
{
	while (pfn < world->last && world->seen[pfn].kind == CF_SPAN_FREE &&
	       (pfn & (world->block_frames - 1) ||
		zone_is(world, pfn, zone)))
		pfn++;
	return pfn;
}

/* Aligned maximal free runs by order, of what the walker called free. */
static void count_runs(struct world *world, struct zone_id zone,
		       uint64_t *runs)
{
	unsigned max = world->setup.block_order;
	cf_pfn pfn = 0;

	while (pfn < world->last) {
		cf_pfn end;

		if (!(pfn & (world->block_frames - 1)) &&
		    !zone_is(world, pfn, zone)) {
			pfn += world->block_frames;
			continue;
		}
		if (world->seen[pfn].kind != CF_SPAN_FREE) {
			pfn++;
			continue;
		}
		end = free_end(world, zone, pfn);
		while (pfn < end) {
			unsigned order = 0;

			while (order < max &&
			       !(pfn & (((cf_pfn)2 << order) - 1)) &&
			       pfn + ((cf_pfn)2 << order) <= end)
				order++;
			runs[order]++;
			pfn += (cf_pfn)1 << order;
		}
	}
}

static void compare_zone(struct world *world, struct zone_id zone,
			 const struct sums *blocks)
{
	uint64_t runs[CF_MAX_ORDER + 1] = { 0 };
	struct cf_zone_stat stat;
	struct sums sums = { 0 };
	uint64_t managed;
	unsigned i;

	for (i = 0; i < world->setup.blocks; i++) {
		if (zone_is(world, i * world->block_frames, zone))
			sums_add(&sums, &blocks[i]);
	}
	require_code("zone_stat", cf_zone_stat(world->map, zone.node,
					       zone.kind, &stat), OK);
	SAME("zone_stat: present", stat.present, sums.present);
	SAME("zone_stat: free", stat.free, sums.free);
	SAME("zone_stat: cached", stat.cached, sums.cached);
	SAME("zone_stat: offline", stat.offline, sums.offline);
	SAME("zone_stat: blocks", stat.blocks, sums.blocks);
	SAME("zone_stat: min", stat.marks.min,
	     world->marks[zone.node][zone.kind].min);
	SAME("zone_stat: low", stat.marks.low,
	     world->marks[zone.node][zone.kind].low);
	SAME("zone_stat: high", stat.marks.high,
	     world->marks[zone.node][zone.kind].high);
	managed = sums.present - sums.offline - sums.retired - sums.reserved;
	SAME("zone_stat: managed", stat.managed, managed);
	if (sums.isolated || sums.chunks_isolated)
		return;
	SAME("zone_stat: chunks_free", stat.chunks_free, sums.chunks_free);
	count_runs(world, zone, runs);
	for (i = 0; i <= CF_MAX_ORDER; i++)
		REQUIRE(stat.runs[i] == runs[i], "zone_stat: %" PRIu64
			" runs of order %u, expected %" PRIu64, stat.runs[i],
			i, runs[i]);
}

static void compare_block(struct world *world, cf_pfn first,
			  const struct sums *sums)
{
	const struct block *block = block_of(world, first);
	struct cf_block_info info;
	int err = cf_block_info(world->map, first + world->block_frames / 3,
				&info);

	require_code("block_info", err, block->state == CF_BLOCK_ABSENT ?
		     E(CF_EGONE) : OK);
	if (err)
		return;
	REQUIRE(info.first == first &&
		info.last == first + world->block_frames &&
		info.state == block->state && info.node == block->node,
		"block_info: block %#" PRIx64 " state %d, expected %d", first,
		(int)info.state, (int)block->state);
	REQUIRE(info.orphan == block->orphan && (block->orphan ||
		info.range_owner == block->range_owner),
		"block_info: owner of %#" PRIx64 " is %u, expected %u", first,
		info.range_owner, block->range_owner);
	REQUIRE(info.self_hosted == (block->meta == CF_META_SELF),
		"block_info: self_hosted of %#" PRIx64, first);
	SAME("block_info: free", info.free, sums->free);
	SAME("block_info: offline", info.offline, sums->offline);
	SAME("block_info: never_onlined", info.never_onlined, sums->never);
	SAME("block_info: skippable", info.skippable, sums->skippable);
	SAME("block_info: retired", info.retired, sums->retired);
	if (!in_use(block))
		return;
	REQUIRE(info.zone == block->kind, "block_info: zone");
	SAME("block_info: reserved", info.reserved, sums->reserved);
	SAME("block_info: chunks", info.chunks, sums->chunks);
	SAME("block_info: chunks_free", info.chunks_free, sums->chunks_free);
	SAME("block_info: chunks_isolated", info.chunks_isolated,
	     sums->chunks_isolated);
}

static void compare_owner(struct world *world, const struct owner *owner,
			  uint64_t frames)
{
	struct cf_owner_info info;
	uint64_t blocks = 0;
	uint32_t i;

	for (i = 0; i < world->setup.blocks; i++)
		blocks += world->block[i].state != CF_BLOCK_ABSENT &&
			  world->block[i].range_owner == owner->id;
	require_code("owner_info", cf_owner_info(world->map, owner->id, &info),
		     OK);
	REQUIRE(!strcmp(info.name, owner->name), "owner_info: name");
	SAME("owner_info: frames", info.frames, frames);
	SAME("owner_info: blocks", info.blocks, blocks);
	REQUIRE(info.can_migrate == !!owner->ops->migrate &&
		info.can_dissolve == !!owner->ops->dissolve &&
		info.can_online == !!owner->ops->online,
		"owner_info: what %s can do", owner->name);
	REQUIRE(cf_vmcoreinfo(world->map, NULL, 0) > 0, "vmcoreinfo: nothing");
	REQUIRE(cf_owner_traits(world->map, owner->id) ==
		((owner->ops->migrate ? CF_OWNER_MIGRATES : 0u) |
		 (owner->ops->dissolve ? CF_OWNER_DISSOLVES : 0u)),
		"owner_traits: what %s can do", owner->name);
}

static void compare_owners(struct world *world)
{
	static uint64_t frames[CF_OWNERS_MAX];
	struct cf_owner_info info;
	cf_pfn pfn;
	uint32_t i;

	memset(frames, 0, sizeof(frames));
	for (pfn = 0; pfn < world->last; pfn++) {
		uint32_t head = world->frame[pfn].head;

		if (head != NO_HEAD)
			frames[world->frame[head].owner]++;
	}
	for (i = 0; i < OWNERS; i++) {
		const struct owner *owner = &world->owner[i];

		if (owner->live)
			compare_owner(world, owner, frames[owner->id]);
		else if (!owner_by_id(world, owner->id))
			require_code("owner_info of nobody",
				     cf_owner_info(world->map, owner->id,
						   &info), E(CF_EINVAL));
	}
}

/* ---- bad and unusable frames ---- */

static void compare_bad(struct world *world)
{
	cf_pfn pfn;

	for (pfn = 0; pfn < world->last; pfn++) {
		const struct frame *frame = &world->frame[pfn];
		enum cf_retire_state state, want = CF_RETIRE_NONE;

		if (frame->bad)
			want = frame->head == pfn &&
			       frame->type == CF_TYPE_RETIRED ?
			       CF_RETIRE_DONE : CF_RETIRE_PENDING;
		state = cf_retire_state(world->map, pfn);
		REQUIRE(state == want, "retire_state: of %#" PRIx64
			" is %d, expected %d", pfn, (int)state, (int)want);
	}
}

static void compare_protection(struct world *world)
{
	cf_pfn pfn;

	for (pfn = 0; pfn < world->last; pfn++) {
		bool usable = test_port.usable[pfn];

		if (!is_online(world, pfn))
			continue;
		REQUIRE(!usable || !is_free(world, pfn),
			"protect: free frame %#" PRIx64 " is usable", pfn);
		REQUIRE(usable || !head_of(world, pfn),
			"protect: allocated frame %#" PRIx64 " is not usable",
			pfn);
	}
}

static void compare_counts(struct world *world)
{
	struct sums block[BLOCKS_MAX];
	struct sums sums = { 0 };
	uint32_t i;

	memset(block, 0, sizeof(block));
	for (i = 0; i < world->setup.blocks; i++) {
		sum_block(world, i * world->block_frames, &block[i]);
		compare_block(world, i * world->block_frames, &block[i]);
		sums_add(&sums, &block[i]);
	}
	compare_stat(world, &sums);
	for (i = 0; i < world->setup.nodes * 2; i++)
		compare_zone(world, (struct zone_id){
			     i / 2, (enum cf_zone_kind)(i % 2) }, block);
}

void compare(struct world *world)
{
	struct cf_finding finding = { 0 };
	bool good = cf_verify(world->map, &finding);
	uint32_t i;

	/* At the end of all nothing is as the list left it. */
	comparing = world->ending ? NULL : world;
	REQUIRE(good, "verify: %s at %#" PRIx64 ", %" PRIu64
		" instead of %" PRIu64, cf_finding_name(finding.kind),
		finding.pfn, finding.found, finding.expected);
	compare_walk(world);
	compare_walk_many(world);
	compare_heads(world);
	for (i = 0; i < 16; i++)
		compare_middle(world, i * (world->last / 16) + 7 * i);
	compare_exports(world);
	compare_counts(world);
	compare_owners(world);
	compare_bad(world);
	for (i = 0; i < SIDES; i++) {
		if (world->side[i].added)
			compare_side(world, &world->side[i]);
	}
	if (world->setup.debug_pagealloc)
		compare_protection(world);
	comparing = NULL;
}
