/* SPDX-License-Identifier: MIT */
#include "verdict.h"

#include <coldframe/types.h>
#include <stdlib.h>
#include <string.h>

#include "pins.h"

/* From this release on an OFFLINE frame shows whether it can be moved. */
#define BALLOON_SHOWS	LX_VERSION(6, 17)

/*
 * Frames of programs that may wait in lists of a CPU: those to be activated,
 * deactivated, and freed lazily. PAGEVEC_SIZE of include/linux/pagevec.h says
 * how many such a list has: 15, and 31 from Linux 6.9 on.
 */
#define HELD_LISTS	3
#define HELD_SHORT	15
#define HELD_LONG	31
#define HELD_IS_LONG	LX_VERSION(6, 9)
#define HELD_FEW	256		/* where CPUs are not known */

/* A block's own descriptors: 64 bytes a frame at most. */
#define MEMMAP_SHARE	64

static const char *const verdict_names[LX_VERDICT_COUNT] = {
	[LX_VERDICT_NEVER]	= "never",
	[LX_VERDICT_BLOCKED]	= "blocked",
	[LX_VERDICT_DOUBTFUL]	= "doubtful",
	[LX_VERDICT_CANDIDATE]	= "candidate",
	[LX_VERDICT_EMPTY]	= "empty",
	[LX_VERDICT_OFFLINE]	= "offline",
	[LX_VERDICT_UNKNOWN]	= "unknown",
};

static const char *const confidence_names[LX_CONFIDENCE_COUNT] = {
	[LX_POSSIBLE]	= "possible",
	[LX_LIKELY]	= "likely",
	[LX_PROVED]	= "proved",
};

static const struct reason_text {
	enum lx_verdict toward;
	enum lx_confidence confidence;
	const char *name, *meaning;
} reasons[LX_REASON_COUNT] = {
	[LX_REASON_ZONE_NONE] = { LX_VERDICT_NEVER, LX_PROVED, "zone-none",
		"the block lies in several zones or nodes, or has holes" },
	[LX_REASON_HOLE] = { LX_VERDICT_NEVER, LX_PROVED, "hole",
		"part of the block is not system memory" },
	[LX_REASON_KERNEL_IMAGE] = { LX_VERDICT_NEVER, LX_PROVED,
		"kernel-image", "the kernel itself lies there" },
	[LX_REASON_CRASH_KERNEL] = { LX_VERDICT_NEVER, LX_PROVED,
		"crash-kernel", "it is kept for the crash kernel" },
	[LX_REASON_NO_HOTPLUG] = { LX_VERDICT_NEVER, LX_PROVED, "no-hotplug",
		"this kernel cannot take memory offline" },
	[LX_REASON_SLAB] = { LX_VERDICT_BLOCKED, LX_PROVED, "slab",
		"kernel objects" },
	[LX_REASON_PGTABLE] = { LX_VERDICT_BLOCKED, LX_PROVED, "page-table",
		"page tables" },
	[LX_REASON_RESERVED] = { LX_VERDICT_BLOCKED, LX_PROVED, "reserved",
		"reserved since boot" },
	[LX_REASON_ZERO] = { LX_VERDICT_BLOCKED, LX_PROVED, "zero-page",
		"the page of zeroes that all share" },
	[LX_REASON_MAPPED] = { LX_VERDICT_BLOCKED, LX_LIKELY, "mapped-kernel",
		"kernel memory that programs have mapped" },
	[LX_REASON_UNTYPED_MANY] = { LX_VERDICT_BLOCKED, LX_LIKELY,
		"untyped-many",
		"memory without a type, more than CPUs cache free" },
	[LX_REASON_OWNER_KEEPS] = { LX_VERDICT_BLOCKED, LX_LIKELY,
		"owner-keeps",
		"logically offline, and its owner lets no block go" },
	[LX_REASON_PINNED] = { LX_VERDICT_BLOCKED, LX_LIKELY, "pinned",
		"where a program has registered a buffer with io_uring" },
	[LX_REASON_HELD_MANY] = { LX_VERDICT_BLOCKED, LX_LIKELY, "held-many",
		"of programs and mapped nowhere, too many to be on their way" },
	[LX_REASON_UNTYPED] = { LX_VERDICT_DOUBTFUL, LX_POSSIBLE, "untyped",
		"memory without a type, or free and cached by a CPU" },
	[LX_REASON_MLOCKED] = { LX_VERDICT_DOUBTFUL, LX_POSSIBLE, "mlocked",
		"locked and perhaps pinned, or secret, or of ramfs" },
	[LX_REASON_HELD] = { LX_VERDICT_DOUBTFUL, LX_LIKELY, "held",
		"of a program and mapped nowhere, so something holds it" },
	[LX_REASON_GIGANTIC] = { LX_VERDICT_DOUBTFUL, LX_LIKELY, "gigantic",
		"gigantic pages need as large a free place elsewhere" },
	[LX_REASON_ZSMALLOC] = { LX_VERDICT_DOUBTFUL, LX_POSSIBLE, "zsmalloc",
		"compressed swap, or kernel memory that looks like it" },
	[LX_REASON_UNKNOWN_BIT] = { LX_VERDICT_DOUBTFUL, LX_POSSIBLE,
		"unknown-bit", "flags this program does not know" },
	[LX_REASON_PINS] = { LX_VERDICT_DOUBTFUL, LX_POSSIBLE,
		"pins-possible",
		"frames are pinned on this host, and nothing tells which" },
	[LX_REASON_GOING_OFFLINE] = { LX_VERDICT_DOUBTFUL, LX_POSSIBLE,
		"going-offline", "somebody is taking it offline now" },
	[LX_REASON_UNINITIALISED] = { LX_VERDICT_UNKNOWN, LX_LIKELY,
		"uninitialised", "not initialised yet by the kernel" },
	[LX_REASON_NO_FLAGS] = { LX_VERDICT_UNKNOWN, LX_PROVED, "no-flags",
		"proc/kpageflags could not be read that far" },
	[LX_REASON_STATE_UNKNOWN] = { LX_VERDICT_UNKNOWN, LX_POSSIBLE,
		"state-unknown",
		"nothing tells whether it is online, nor its zone" },
	[LX_REASON_OWNER_AGREES] = { LX_VERDICT_COUNT, LX_LIKELY,
		"owner-agrees",
		"logically offline, and its driver lets the block go" },
	[LX_REASON_BALLOON] = { LX_VERDICT_COUNT, LX_PROVED, "balloon",
		"in a balloon, which moves it" },
	[LX_REASON_BALLOON_BY_COUNT] = { LX_VERDICT_COUNT, LX_LIKELY,
		"balloon-by-count",
		"offline; as many are in a balloon, which moves them" },
	[LX_REASON_CACHED] = { LX_VERDICT_COUNT, LX_POSSIBLE, "cached",
		"without a type, among movable frames: cached by a CPU" },
	[LX_REASON_LOCKED] = { LX_VERDICT_COUNT, LX_LIKELY, "locked",
		"locked memory, and nothing is pinned, so it moves" },
	[LX_REASON_MEMMAP] = { LX_VERDICT_COUNT, LX_LIKELY, "memmap",
		"descriptors of the block itself" },
	[LX_REASON_POISON] = { LX_VERDICT_COUNT, LX_PROVED, "poison",
		"bad frames, which are passed over" },
};

/* Classes that are a reason of their own, whatever else is known. */
static const struct {
	enum lx_class class;
	enum lx_reason_code code;
} class_reasons[] = {
	{ LX_CLASS_SLAB, LX_REASON_SLAB },
	{ LX_CLASS_PGTABLE, LX_REASON_PGTABLE },
	{ LX_CLASS_RESERVED, LX_REASON_RESERVED },
	{ LX_CLASS_ZERO, LX_REASON_ZERO },
	{ LX_CLASS_MAPPED, LX_REASON_MAPPED },
	{ LX_CLASS_GIGANTIC, LX_REASON_GIGANTIC },
	{ LX_CLASS_ZSMALLOC, LX_REASON_ZSMALLOC },
	{ LX_CLASS_UNKNOWN_BIT, LX_REASON_UNKNOWN_BIT },
	{ LX_CLASS_BALLOON, LX_REASON_BALLOON },
	{ LX_CLASS_POISON, LX_REASON_POISON },
};

/* lx_pin_fn */
static bool count_pin(void *context, uint64_t pfn)
{
	struct lx_judge *judge = context;
	const struct lx_blocks *blocks = &judge->host->blocks;
	size_t i = lx_blocks_find(blocks, pfn);
	struct lx_pinned *pinned = &judge->pinned[i];

	if (i == blocks->count || blocks->block[i].id * blocks->frames > pfn)
		return false;
	if (!pinned->frames++ || pfn < pinned->at)
		pinned->at = pfn;
	return true;
}

/*
 * Pins that no buffer of io_uring explains: one a frame, or one a huge page,
 * which is as many as there are stretches. Unless one of the two fits, as few
 * are explained as can be. Fewer than stretches do not add up, for frames that
 * were pinned are there no more: then all count, as they do when not all
 * processes were looked at.
 */
static uint64_t unexplained(const struct lx_owners *holders, uint64_t pins)
{
	uint64_t frames = 0, stretches = 0;
	size_t i;

	if (holders->count == LX_HOLDERS_MAX)
		return pins;
	for (i = 0; i < holders->count; i++) {
		if (holders->owner[i].blind)
			return pins;
		frames += holders->owner[i].counted;
		stretches += holders->owner[i].stretches;
	}
	if (pins == frames)
		return 0;
	return pins >= stretches ? pins - stretches : pins;
}

/* Something is pinned: what is known of it? Often that is nothing. */
static int find_pins(struct lx_judge *judge, struct lx_error *err)
{
	const struct lx_host *host = judge->host;
	struct lx_owners holders = { .count = 0 };
	struct lx_error ignored;

	judge->pinned = calloc(host->blocks.count + 1,
			       sizeof(*judge->pinned));
	if (!judge->pinned) {
		lx_judge_free(judge);
		return lx_fail(err, LX_EREAD, "out of memory");
	}
	(void)lx_pins_walk(host->root, count_pin, judge, &holders, &ignored);
	judge->pins = unexplained(&holders, host->pins);
	lx_owners_free(&holders);
	return 0;
}

/* A few may be on their way to be freed, in a list of some CPU. */
static uint64_t held_few(const struct lx_host *host)
{
	uint64_t cpus = 0, each = HELD_LONG;
	size_t i;

	for (i = 0; i < host->zones.count; i++) {
		if (host->zones.zone[i].cpus > cpus)
			cpus = host->zones.zone[i].cpus;
	}
	if (host->version && host->version < HELD_IS_LONG)
		each = HELD_SHORT;
	return cpus ? cpus * HELD_LISTS * each : HELD_FEW;
}

void lx_judge_restart(struct lx_judge *judge)
{
	const struct lx_host *host = judge->host;
	size_t i;

	for (i = 0; i < host->zones.count; i++) {
		const struct lx_zone *zone = &host->zones.zone[i];

		judge->left[i].raw = zone->present > zone->managed ?
				     zone->present - zone->managed : 0;
		judge->left[i].cached = zone->cached;
	}
	judge->uses = 0;
	judge->raw_left = host->has_raw ? host->raw : UINT64_MAX;
	judge->balloon_left = host->balloon;
}

int lx_judge_init(struct lx_judge *judge, const struct lx_host *host,
		  bool flags, struct lx_error *err)
{
	judge->host = host;
	judge->flags = flags;
	judge->pinned = NULL;
	judge->pins = host->pins;
	judge->held_few = held_few(host);
	judge->left = calloc(host->zones.count + 1, sizeof(*judge->left));
	if (!judge->left)
		return lx_fail(err, LX_EREAD, "out of memory");
	lx_judge_restart(judge);
	return flags && host->pins ? find_pins(judge, err) : 0;
}

void lx_judge_free(struct lx_judge *judge)
{
	free(judge->left);
	free(judge->pinned);
	judge->left = NULL;
	judge->pinned = NULL;
}

static struct lx_reason *add(struct lx_judgement *judgement,
			     enum lx_reason_code code, uint64_t frames,
			     uint64_t at)
{
	struct lx_reason *reason = judgement->reason;
	struct lx_reason *end = reason + judgement->count;

	while (reason < end && reason->code != code)
		reason++;
	if (reason < end) {
		reason->frames += frames;
		return reason;
	}
	judgement->count++;
	*reason = (struct lx_reason){
		.code = code,
		.toward = reasons[code].toward,
		.confidence = reasons[code].confidence,
		.frames = frames,
		.at = at,
	};
	return reason;
}

static void add_class(struct lx_judgement *judgement,
		      const struct lx_piece *piece, enum lx_class class,
		      enum lx_reason_code code)
{
	if (piece->count[class])
		add(judgement, code, piece->count[class], piece->at[class]);
}

/* Frames of [first, last) that are no system memory; 0: not known. */
static uint64_t holes(const struct lx_host *host, uint64_t first,
		      uint64_t last)
{
	uint64_t covered = 0;
	size_t i;

	if (!host->has_ram)
		return 0;
	for (i = lx_ranges_find(&host->ram, first);
	     i < host->ram.count && host->ram.range[i].first < last; i++) {
		const struct lx_range *range = &host->ram.range[i];
		uint64_t from = range->first > first ? range->first : first;
		uint64_t to = range->last < last ? range->last : last;

		covered += to - from;
	}
	return last - first - covered;
}

/* What the place of a block says, not its content. */
static void judge_place(const struct lx_host *host,
			const struct lx_block *block,
			struct lx_judgement *judgement)
{
	uint64_t first = block->id * host->blocks.frames;
	uint64_t last = first + host->blocks.frames, absent;

	if (!host->hotplug && host->whole)
		add(judgement, LX_REASON_NO_HOTPLUG, 0, 0);
	else if (block->state == LX_BLOCK_UNKNOWN)
		add(judgement, LX_REASON_STATE_UNKNOWN, 0, 0);
	if (block->zone == LX_ZONE_NONE || block->node == LX_NODE_SEVERAL)
		add(judgement, LX_REASON_ZONE_NONE, 0, 0);
	absent = holes(host, first, last);
	if (absent)
		add(judgement, LX_REASON_HOLE, absent, 0);
	if (lx_regions_find(&host->regions, "Kernel ", first, last))
		add(judgement, LX_REASON_KERNEL_IMAGE, 0, 0);
	if (lx_regions_find(&host->regions, "Crash kernel", first, last))
		add(judgement, LX_REASON_CRASH_KERNEL, 0, 0);
	if (block->state == LX_BLOCK_GOING_OFFLINE)
		add(judgement, LX_REASON_GOING_OFFLINE, 0, 0);
}

static void judge_held(const struct lx_judge *judge,
		       const struct lx_piece *piece,
		       struct lx_judgement *judgement)
{
	add_class(judgement, piece, LX_CLASS_HELD,
		  piece->count[LX_CLASS_HELD] > judge->held_few ?
		  LX_REASON_HELD_MANY : LX_REASON_HELD);
}

/* Uses up so many of what is left, when there are as many. */
static bool use(struct lx_judge *judge, uint64_t *left, uint64_t frames)
{
	if (frames > *left)
		return false;
	*left -= frames;
	if (frames)
		judge->use[judge->uses++] = (struct lx_use){ left, frames };
	return true;
}

/*
 * Frames without a type that may be free, in the lists of CPUs. What lies
 * among the kernel's own uses nothing up, for it may be that. In zone Movable
 * the kernel has nothing of its own: there no block needs to go without.
 */
static bool are_cached(struct lx_judge *judge, const struct lx_piece *piece,
		       const struct lx_zone *zone, bool movable)
{
	uint64_t frames = piece->count[LX_CLASS_UNTYPED];

	if (movable)
		return frames <= zone->cached;
	return frames == piece->lonely &&
	       use(judge, &judge->left[zone - judge->host->zones.zone].cached,
		   frames);
}

/*
 * Are all frames of a block never initialised? Only as many can be as the
 * zone has and does not manage, and as MemTotal counts and no zone manages.
 */
static bool are_raw(struct lx_judge *judge, const struct lx_piece *piece,
		    uint64_t *left)
{
	uint64_t frames = piece->count[LX_CLASS_UNTYPED];

	return piece->mute && frames == piece->frames && frames <= *left &&
	       use(judge, &judge->raw_left, frames) &&
	       use(judge, left, frames);
}

/* Frames that say nothing: never initialised, cached by a CPU, or in use. */
static void judge_untyped(struct lx_judge *judge, const struct lx_block *block,
			  const struct lx_piece *piece,
			  struct lx_judgement *judgement)
{
	uint64_t frames = piece->count[LX_CLASS_UNTYPED];
	uint64_t at = piece->at[LX_CLASS_UNTYPED];
	const struct lx_zone *zone = lx_host_zone(judge->host, block);
	bool movable = block->zone == LX_ZONE_MOVABLE;
	struct lx_left *left;

	if (!frames)
		return;
	if (!zone) {
		add(judgement, frames == piece->frames ?
		    LX_REASON_UNINITIALISED : LX_REASON_UNTYPED, frames, at)
			->confidence = LX_POSSIBLE;
		return;
	}
	left = &judge->left[zone - judge->host->zones.zone];
	if (are_raw(judge, piece, &left->raw))
		add(judgement, LX_REASON_UNINITIALISED, frames, at);
	else if (frames > zone->cached && !movable)
		add(judgement, LX_REASON_UNTYPED_MANY, frames, at);
	else if (are_cached(judge, piece, zone, movable))
		add(judgement, LX_REASON_CACHED, frames, at);
	else
		add(judgement, LX_REASON_UNTYPED, frames, at);
}

/*
 * Frames that virtio-mem or a balloon has, in a block of virtio-mem. Its
 * verdict is the same, but the balloon may have no others then.
 */
static void use_balloon(struct lx_judge *judge, uint64_t frames)
{
	(void)use(judge, &judge->balloon_left, frames < judge->balloon_left ?
		  frames : judge->balloon_left);
}

/* Logically offline frames of which the word does not say that they move. */
static void judge_owner(struct lx_judge *judge, const struct lx_piece *piece,
			struct lx_judgement *judgement)
{
	const struct lx_host *host = judge->host;
	uint64_t frames = piece->count[LX_CLASS_OFFLINE];
	uint64_t at = piece->at[LX_CLASS_OFFLINE];
	bool shows = host->version >= BALLOON_SHOWS;

	/* Only virtio-mem leaves this mark. */
	add_class(judgement, piece, LX_CLASS_NEVER_ONLINED,
		  LX_REASON_OWNER_AGREES);
	if (!frames)
		return;
	if (piece->count[LX_CLASS_NEVER_ONLINED] ||
	    lx_regions_find(&host->regions, "System RAM (virtio_mem)",
			    piece->first, piece->first + piece->frames)) {
		add(judgement, LX_REASON_OWNER_AGREES, frames, at);
		if (!shows)
			use_balloon(judge, frames);
	} else if (!shows && host->balloon_moves &&
		   use(judge, &judge->balloon_left, frames)) {
		add(judgement, LX_REASON_BALLOON_BY_COUNT, frames, at)
			->confidence = host->version ? LX_LIKELY : LX_POSSIBLE;
	} else {
		add(judgement, LX_REASON_OWNER_KEEPS, frames, at)
			->confidence = shows ? LX_LIKELY : LX_POSSIBLE;
	}
}

static void judge_memmap(const struct lx_piece *piece,
			 struct lx_judgement *judgement)
{
	uint64_t frames = piece->count[LX_CLASS_MEMMAP];

	if (!frames)
		return;
	if (piece->at[LX_CLASS_MEMMAP] == piece->first &&
	    frames <= piece->frames / MEMMAP_SHARE)
		add_class(judgement, piece, LX_CLASS_MEMMAP, LX_REASON_MEMMAP);
	else
		add_class(judgement, piece, LX_CLASS_MEMMAP,
			  LX_REASON_UNTYPED_MANY);
}

/* What is pinned here, or perhaps. In zone Movable nothing is for long. */
static void judge_pins(const struct lx_judge *judge,
		       const struct lx_block *block,
		       const struct lx_piece *piece,
		       struct lx_judgement *judgement)
{
	const struct lx_pinned *pinned = judge->pinned;
	uint64_t user = piece->count[LX_CLASS_ANON] +
			piece->count[LX_CLASS_FILE] +
			piece->count[LX_CLASS_HUGETLB];

	if (pinned)
		pinned += block - judge->host->blocks.block;
	if (pinned && pinned->frames)
		add(judgement, LX_REASON_PINNED, pinned->frames, pinned->at);
	if (judge->pins && user && block->zone != LX_ZONE_MOVABLE)
		add(judgement, LX_REASON_PINS, judge->pins, 0);
}

/*
 * Locked memory moves unless it is pinned, which nothing is for long in zone
 * Movable. What is not MLOCKED, or neither ANON nor SWAPBACKED, is of ramfs or
 * secret, and stays, or of a file that a program locked: nothing tells.
 */
static void judge_locked(const struct lx_judge *judge,
			 const struct lx_block *block,
			 const struct lx_piece *piece,
			 struct lx_judgement *judgement)
{
	uint64_t frames = piece->count[LX_CLASS_MLOCKED];
	bool pinned = !judge->host->has_pins || judge->pins;

	if (frames)
		add(judgement, piece->unevictable ||
		    (pinned && block->zone != LX_ZONE_MOVABLE) ?
		    LX_REASON_MLOCKED : LX_REASON_LOCKED, frames,
		    piece->at[LX_CLASS_MLOCKED]);
}

static void judge_content(struct lx_judge *judge, const struct lx_block *block,
			  const struct lx_piece *piece,
			  struct lx_judgement *judgement)
{
	size_t i;

	for (i = 0; i < sizeof(class_reasons) / sizeof(class_reasons[0]); i++)
		add_class(judgement, piece, class_reasons[i].class,
			  class_reasons[i].code);
	judge_locked(judge, block, piece, judgement);
	judge_held(judge, piece, judgement);
	judge_memmap(piece, judgement);
	judge_untyped(judge, block, piece, judgement);
	judge_owner(judge, piece, judgement);
	judge_pins(judge, block, piece, judgement);
}

/* What stands first in the enum wins, but for the unknown. */
static enum lx_verdict strongest(const struct lx_judgement *judgement)
{
	enum lx_verdict verdict = LX_VERDICT_COUNT;
	size_t i;

	for (i = 0; i < judgement->count; i++) {
		if (judgement->reason[i].toward < verdict)
			verdict = judgement->reason[i].toward;
	}
	return verdict;
}

/*
 * Whether the unknown outweighs a doubt: of a block whose state nobody knows
 * only a hard no is worth saying.
 */
static bool is_unknown(const struct lx_judgement *judgement)
{
	size_t i;

	for (i = 0; i < judgement->count; i++) {
		if (judgement->reason[i].toward == LX_VERDICT_UNKNOWN)
			return true;
	}
	return false;
}

static void conclude(struct lx_judgement *judgement,
		     const struct lx_piece *piece, bool flags)
{
	enum lx_verdict verdict = strongest(judgement);
	size_t i, next = 0;

	if (verdict > LX_VERDICT_BLOCKED && is_unknown(judgement))
		verdict = LX_VERDICT_UNKNOWN;
	if (verdict == LX_VERDICT_COUNT)
		verdict = flags && lx_piece_role(piece, LX_ROLE_FREE) ==
			  piece->frames ? LX_VERDICT_EMPTY :
					  LX_VERDICT_CANDIDATE;
	judgement->verdict = verdict;
	judgement->confidence = verdict == LX_VERDICT_CANDIDATE ||
				verdict == LX_VERDICT_EMPTY ? LX_LIKELY :
							      LX_POSSIBLE;
	/* What made the verdict comes first, otherwise in order. */
	for (i = 0; i < judgement->count; i++) {
		struct lx_reason reason = judgement->reason[i];

		if (reason.toward != verdict)
			continue;
		if (reason.confidence > judgement->confidence)
			judgement->confidence = reason.confidence;
		memmove(&judgement->reason[next + 1], &judgement->reason[next],
			(i - next) * sizeof(reason));
		judgement->reason[next++] = reason;
	}
}

void lx_judge_block(struct lx_judge *judge, const struct lx_block *block,
		    const struct lx_piece *piece,
		    struct lx_judgement *ret_judgement)
{
	struct lx_judgement judgement = { .count = 0 };

	judge->uses = 0;
	if (block->state == LX_BLOCK_OFFLINE) {
		judgement.verdict = LX_VERDICT_OFFLINE;
		judgement.confidence = LX_PROVED;
		*ret_judgement = judgement;
		return;
	}
	judge_place(judge->host, block, &judgement);
	/* The last of the blocks that were cut by hand may be shorter. */
	if (judge->flags && (piece->frames == judge->host->blocks.frames ||
			     (judge->host->assumed && piece->frames)))
		judge_content(judge, block, piece, &judgement);
	else
		add(&judgement, LX_REASON_NO_FLAGS, 0, 0);
	conclude(&judgement, piece, judge->flags);
	*ret_judgement = judgement;
}

bool lx_judge_give_back(struct lx_judge *judge)
{
	bool used = judge->uses;

	while (judge->uses) {
		const struct lx_use *last = &judge->use[--judge->uses];

		*last->left += last->frames;
	}
	return used;
}

static bool has_reason(const struct lx_judgement *judgement,
		       enum lx_reason_code code)
{
	size_t i = 0;

	while (i < judgement->count && judgement->reason[i].code != code)
		i++;
	return i < judgement->count;
}

bool lx_judged_moves(const struct lx_judgement *judgement,
		     enum lx_class class)
{
	if (class == LX_CLASS_MLOCKED)
		return has_reason(judgement, LX_REASON_LOCKED);
	if (class == LX_CLASS_UNTYPED)
		return has_reason(judgement, LX_REASON_CACHED);
	return lx_class_role(class) == LX_ROLE_MOVES;
}

uint32_t lx_judged_spoiled(const struct lx_judgement *judgement,
			   const struct lx_piece *piece)
{
	unsigned int moves = 0, only;
	uint32_t spoiled = piece->chunks_spoiled;

	if (lx_judged_moves(judgement, LX_CLASS_MLOCKED))
		moves |= 1;
	if (lx_judged_moves(judgement, LX_CLASS_UNTYPED))
		moves |= 2;
	for (only = 1; only < 4; only++) {
		if (!(only & ~moves))
			spoiled -= piece->chunks_only[only];
	}
	return spoiled;
}

const char *lx_verdict_name(enum lx_verdict verdict)
{
	return verdict_names[verdict];
}

const char *lx_confidence_name(enum lx_confidence confidence)
{
	return confidence_names[confidence];
}

const char *lx_reason_name(enum lx_reason_code code)
{
	return reasons[code].name;
}

const char *lx_reason_meaning(enum lx_reason_code code)
{
	return reasons[code].meaning;
}

enum lx_verdict lx_verdict_parse(const char *name, size_t length)
{
	unsigned int i;

	for (i = 0; i < LX_VERDICT_COUNT; i++) {
		if (strlen(verdict_names[i]) == length &&
		    !memcmp(verdict_names[i], name, length))
			break;
	}
	return (enum lx_verdict)i;
}
