/* SPDX-License-Identifier: MIT */

/*
 * The vocabulary, all of it in tables: a new step is a row here, a row in the
 * manual and a function that carries it out.
 */

#include "words.h"

#include <coldframe/block.h>
#include <coldframe/map.h>
#include <coldframe/pagemap.h>

#define K(key)	KEY_BIT(KEY_##key)

#define ALLOC_KEYS	(K(ORDER) | K(TYPE) | K(ZONE) | K(NODE) | K(OWNER) | \
			 K(MOVABLE) | K(FROZEN) | K(ZERO) | K(NO_WAIT) |     \
			 K(RESERVE) | K(THIS_NODE) | K(NO_SPLIT) |	     \
			 K(UNTOUCHED))
#define OFFLINE_KEYS	(K(OWNER) | K(ORDER) | K(MOVABLE) | K(SKIPPABLE) |   \
			 K(RESIDENT))

const struct verb scenario_verbs[STEP_COUNT] = {
	[STEP_MACHINE] = { "machine", { ARG_NONE }, NOUN_NONE,
		K(MEMORY) | K(SPAN) | K(CPUS) | K(NODES) | K(BLOCK) |
		K(BAD_FRAMES) | K(DEBUG_PAGEALLOC) | K(FENCED) |
		K(NO_CACHES) | K(SMALL_PAGES), K(MEMORY) },
	[STEP_ADD] = { "add", { ARG_BLOCKS }, NOUN_NONE,
		K(NODE) | K(OWNER) | K(METADATA) | K(EACH), 0 },
	[STEP_REMOVE] = { "remove", { ARG_BLOCKS }, NOUN_NONE, 0, 0 },
	[STEP_ONLINE] = { "online", { ARG_BLOCKS }, NOUN_NONE, K(ZONE), 0 },
	[STEP_OFFLINE] = { "offline", { ARG_BLOCKS }, NOUN_NONE,
		K(PASSES), 0 },
	[STEP_OFFLINE_START] = { "offline start", { ARG_NEW, ARG_BLOCKS },
		NOUN_OPERATION, 0, 0 },
	[STEP_OFFLINE_STEP] = { "offline step", { ARG_NAME },
		NOUN_OPERATION, K(TIMES), 0 },
	[STEP_OFFLINE_CANCEL] = { "offline cancel", { ARG_NAME },
		NOUN_OPERATION, 0, 0 },
	[STEP_QUERY] = { "query", { ARG_BLOCKS }, NOUN_NONE, 0, 0 },
	[STEP_ADOPT] = { "adopt", { ARG_BLOCKS }, NOUN_NONE,
		K(OWNER), K(OWNER) },
	[STEP_ALLOC] = { "alloc", { ARG_NEW, ARG_AMOUNT }, NOUN_SET,
		ALLOC_KEYS, 0 },
	[STEP_ALLOC_RANGE] = { "alloc-range", { ARG_NEW, ARG_RANGE },
		NOUN_SET, K(TYPE) | K(OWNER) | K(MOVABLE) | K(FROZEN) |
		K(ZERO) | K(UNTOUCHED), 0 },
	[STEP_FREE] = { "free", { ARG_RUNS }, NOUN_NONE, K(EVERY), 0 },
	[STEP_GET] = { "get", { ARG_CLAIM }, NOUN_NONE,
		K(TIMES) | K(INTERIOR), 0 },
	[STEP_PUT] = { "put", { ARG_CLAIM }, NOUN_NONE,
		K(TIMES) | K(INTERIOR), 0 },
	[STEP_PIN] = { "pin", { ARG_CLAIM }, NOUN_NONE, K(TIMES), 0 },
	[STEP_UNPIN] = { "unpin", { ARG_CLAIM }, NOUN_NONE, K(TIMES), 0 },
	[STEP_FREEZE] = { "freeze", { ARG_RUNS }, NOUN_NONE,
		K(EXPECTED), 0 },
	[STEP_UNFREEZE] = { "unfreeze", { ARG_RUNS }, NOUN_NONE, K(REFS), 0 },
	[STEP_SPLIT] = { "split", { ARG_RUNS }, NOUN_NONE,
		K(ORDER), K(ORDER) },
	[STEP_GIVE] = { "give", { ARG_RUNS }, NOUN_NONE, K(OWNER), K(OWNER) },
	[STEP_REMEMBER] = { "remember", { ARG_NEW, ARG_FRAME }, NOUN_FRAME,
		0, 0 },
	[STEP_FILL] = { "fill", { ARG_RUNS }, NOUN_NONE, 0, 0 },
	[STEP_TOUCH] = { "touch", { ARG_FRAMES }, NOUN_NONE, 0, 0 },
	[STEP_SCRIBBLE] = { "scribble", { ARG_RUNS }, NOUN_NONE, 0, 0 },
	[STEP_OWNER] = { "owner", { ARG_NEW }, NOUN_OWNER,
		K(MOVABLE) | K(SPLITS) | K(KEEPS) | K(DISSOLVES) |
		K(STUBBORN) | K(BALLOON) | K(EXPOSES), 0 },
	[STEP_UNREGISTER] = { "unregister", { ARG_NAME }, NOUN_OWNER,
		K(FORCE), 0 },
	[STEP_EMPTY] = { "empty", { ARG_NAME }, NOUN_OWNER, 0, 0 },
	[STEP_OFFLINE_ALLOC] = { "offline-alloc",
		{ ARG_NEW, ARG_AMOUNT_OR_RANGE }, NOUN_SET,
		OFFLINE_KEYS, K(OWNER) },
	[STEP_OFFLINE_FREE] = { "offline-free", { ARG_FRAMES }, NOUN_NONE,
		K(OWNER), 0 },
	[STEP_OFFLINE_ADOPT] = { "offline-adopt", { ARG_FRAMES }, NOUN_NONE,
		K(OWNER), K(OWNER) },
	[STEP_SKIPPABLE] = { "skippable", { ARG_FRAMES }, NOUN_NONE,
		K(OWNER) | K(OFF), K(OWNER) },
	[STEP_PAYLOAD] = { "payload", { ARG_RUNS, ARG_NUMBER }, NOUN_NONE,
		0, 0 },
	[STEP_PLUG] = { "plug", { ARG_DRIVEN, ARG_SIZE_OR_RANGE }, NOUN_NONE,
		K(FOR), 0 },
	[STEP_UNPLUG] = { "unplug", { ARG_DRIVEN, ARG_SIZE_OR_RANGE },
		NOUN_NONE, K(FOR), 0 },
	[STEP_INFLATE] = { "inflate", { ARG_NAME, ARG_SIZE }, NOUN_OWNER,
		K(ORDER), 0 },
	[STEP_DEFLATE] = { "deflate", { ARG_NAME, ARG_SIZE }, NOUN_OWNER,
		0, 0 },
	[STEP_DISCARD] = { "discard", { ARG_FRAMES }, NOUN_NONE, 0, 0 },
	[STEP_VIRTIO_MEM] = { "virtio-mem", { ARG_NEW, ARG_BLOCKS }, NOUN_MEM,
		K(DEVICE_BLOCK) | K(BIG_BLOCKS) | K(NODE) | K(ZONE) |
		K(RETRY) | K(OVER), 0 },
	[STEP_VIRTIO_BALLOON] = { "virtio-balloon", { ARG_NEW }, NOUN_BALLOON,
		K(DEFLATE_ON_OOM) | K(MUST_TELL_HOST) | K(REPORTING) |
		K(HINTING) | K(SMALL_PAGES) | K(RETRY) | K(OVER), 0 },
	[STEP_REQUEST] = { "request", { ARG_NAME, ARG_SIZE_OR_0 }, NOUN_MEM,
		K(FOR) | K(NO_WAIT), 0 },
	[STEP_BALLOON] = { "balloon", { ARG_NAME, ARG_SIZE_OR_0 },
		NOUN_BALLOON, K(FOR) | K(NO_WAIT), 0 },
	[STEP_ASK] = { "ask", { ARG_NAME, ARG_RANGE }, NOUN_MEM, 0, 0 },
	[STEP_STATS] = { "stats", { ARG_NAME }, NOUN_BALLOON, K(FOR), 0 },
	[STEP_REPORT] = { "report", { ARG_NAME }, NOUN_BALLOON, K(FOR), 0 },
	[STEP_HINT] = { "hint", { ARG_NAME }, NOUN_BALLOON, K(FOR), 0 },
	[STEP_SETTLE] = { "settle", { ARG_DEVICE }, NOUN_NONE, K(FOR), 0 },
	[STEP_WORK] = { "work", { ARG_DEVICE }, NOUN_NONE, K(TIMES), 0 },
	[STEP_MIGRATING] = { "migrating", { ARG_NONE }, NOUN_NONE, K(OFF), 0 },
	[STEP_POISON] = { "poison", { ARG_NAME }, NOUN_BALLOON,
		K(ZERO) | K(OFF), 0 },
	[STEP_REFUSING] = { "refusing", { ARG_NAME }, NOUN_MEM, K(OFF), 0 },
	[STEP_LATE] = { "late", { ARG_DEVICE }, NOUN_NONE, K(OFF), 0 },
	[STEP_LIE] = { "lie", { ARG_DEVICE, ARG_LIE }, NOUN_NONE, K(AFTER), 0 },
	[STEP_UNLOAD] = { "unload", { ARG_DEVICE }, NOUN_NONE,
		K(FORCE) | K(FOR), 0 },
	[STEP_RELOAD] = { "reload", { ARG_DEVICE }, NOUN_NONE, 0, 0 },
	[STEP_POOL] = { "pool", { ARG_NEW }, NOUN_POOL, K(ZONE), 0 },
	[STEP_POOL_SIZE] = { "pool size", { ARG_NAME, ARG_NUMBER },
		NOUN_POOL, K(ORDER) | K(NODE), 0 },
	[STEP_POOL_SURPLUS] = { "pool surplus", { ARG_NAME, ARG_NUMBER },
		NOUN_POOL, K(ORDER), 0 },
	[STEP_POOL_RESERVE] = { "pool reserve", { ARG_NAME, ARG_NUMBER },
		NOUN_POOL, K(ORDER) | K(OFF), 0 },
	[STEP_POOL_TAKE] = { "pool take", { ARG_NAME, ARG_NUMBER },
		NOUN_POOL, K(ORDER) | K(NODE) | K(THIS_NODE) | K(RESERVE),
		0 },
	[STEP_POOL_GIVE] = { "pool give", { ARG_NAME, ARG_NUMBER },
		NOUN_POOL, 0, 0 },
	[STEP_POOL_DEMOTE] = { "pool demote", { ARG_NAME, ARG_NUMBER },
		NOUN_POOL, K(NODE), 0 },
	[STEP_POOL_END] = { "pool end", { ARG_NAME }, NOUN_POOL, 0, 0 },
	[STEP_GUEST] = { "guest", { ARG_NEW, ARG_SIZE }, NOUN_GUEST,
		K(ORDER) | K(ZONE) | K(MOVABLE), 0 },
	[STEP_GUEST_HOLD] = { "guest hold", { ARG_NAME, ARG_NUMBER },
		NOUN_GUEST, K(OWNER), K(OWNER) },
	[STEP_GUEST_RELEASE] = { "guest release", { ARG_NAME, ARG_NUMBER },
		NOUN_GUEST, K(OWNER), K(OWNER) },
	[STEP_GUEST_CONVERT] = { "guest convert", { ARG_NAME, ARG_NUMBER },
		NOUN_GUEST, K(TIMES), 0 },
	[STEP_GUEST_STEP] = { "guest step", { ARG_NAME }, NOUN_GUEST, 0, 0 },
	[STEP_GUEST_CANCEL] = { "guest cancel", { ARG_NAME }, NOUN_GUEST,
		0, 0 },
	[STEP_GUEST_SHARE] = { "guest share", { ARG_NAME, ARG_NUMBER },
		NOUN_GUEST, K(TIMES), 0 },
	[STEP_GUEST_TOUCH] = { "guest touch", { ARG_NAME, ARG_NUMBER },
		NOUN_GUEST, 0, 0 },
	[STEP_GUEST_END] = { "guest end", { ARG_NAME }, NOUN_GUEST, 0, 0 },
	[STEP_ELASTIC] = { "elastic", { ARG_NEW }, NOUN_ELASTIC,
		K(ZONE), 0 },
	[STEP_ELASTIC_STORE] = { "elastic store", { ARG_NAME, ARG_NUMBER },
		NOUN_ELASTIC, 0, 0 },
	[STEP_ELASTIC_FORGET] = { "elastic forget", { ARG_NAME },
		NOUN_ELASTIC, K(EVERY), 0 },
	[STEP_ELASTIC_LOCK] = { "elastic lock", { ARG_NAME, ARG_NUMBER },
		NOUN_ELASTIC, 0, 0 },
	[STEP_ELASTIC_UNLOCK] = { "elastic unlock", { ARG_NAME, ARG_NUMBER },
		NOUN_ELASTIC, 0, 0 },
	[STEP_ELASTIC_SHRINK] = { "elastic shrink", { ARG_NAME, ARG_SIZE },
		NOUN_ELASTIC, 0, 0 },
	[STEP_ELASTIC_END] = { "elastic end", { ARG_NAME }, NOUN_ELASTIC,
		0, 0 },
	[STEP_PAGEMAP] = { "pagemap", { ARG_NEW, ARG_BLOCKS }, NOUN_PAGEMAP,
		K(KIND) | K(NODE) | K(METADATA), K(KIND) },
	[STEP_PAGEMAP_REMOVE] = { "pagemap remove", { ARG_NAME },
		NOUN_PAGEMAP, 0, 0 },
	[STEP_HAND_OUT] = { "hand-out", { ARG_NEW, ARG_AMOUNT }, NOUN_SET,
		K(PAGEMAP) | K(ORDER), K(PAGEMAP) },
	[STEP_MOVE] = { "move", { ARG_RUNS }, NOUN_NONE, K(PAGEMAP),
		K(PAGEMAP) },
	[STEP_FAULT] = { "fault", { ARG_RUNS }, NOUN_NONE, 0, 0 },
	[STEP_TRUNCATE] = { "truncate", { ARG_NAME, ARG_SIZE_OR_0 },
		NOUN_PAGEMAP, K(PASSES), 0 },
	[STEP_SUBSCRIBER] = { "subscriber", { ARG_NEW }, NOUN_SUBSCRIBER,
		K(PRIORITY) | K(VETO), 0 },
	[STEP_VETO] = { "veto", { ARG_NAME }, NOUN_SUBSCRIBER, K(OFF), 0 },
	[STEP_UNSUBSCRIBE] = { "unsubscribe", { ARG_NAME }, NOUN_SUBSCRIBER,
		0, 0 },
	[STEP_SCANNER] = { "scanner", { ARG_NEW, ARG_MAYBE_RANGE },
		NOUN_SCANNER, K(PRIORITY), 0 },
	[STEP_SCAN] = { "scan", { ARG_NAME }, NOUN_SCANNER, 0, 0 },
	[STEP_WALKER] = { "walker", { ARG_NEW, ARG_MAYBE_RANGE },
		NOUN_WALKER, K(PAUSE), 0 },
	[STEP_STOP] = { "stop", { ARG_NAME }, NOUN_WALKER, 0, 0 },
	[STEP_LOAD] = { "load", { ARG_WORKERS }, NOUN_NONE,
		K(FOR) | K(OPS) | K(HOLD) | K(ORDER) | K(ZONE), 0 },
	[STEP_LOAD_STOP] = { "load stop", { ARG_NONE }, NOUN_NONE, 0, 0 },
	[STEP_WAIT] = { "wait", { ARG_TIME }, NOUN_NONE, 0, 0 },
	[STEP_RETIRE] = { "retire", { ARG_FRAMES }, NOUN_NONE, 0, 0 },
	[STEP_COMPACT] = { "compact", { ARG_NONE }, NOUN_NONE,
		K(ZONE) | K(NODE) | K(CHUNKS), 0 },
	[STEP_DRAIN] = { "drain", { ARG_NONE }, NOUN_NONE, 0, 0 },
	[STEP_WATERMARKS] = { "watermarks", { ARG_NONE }, NOUN_NONE,
		K(ZONE) | K(NODE) | K(MIN) | K(LOW) | K(HIGH),
		K(MIN) | K(LOW) | K(HIGH) },
	[STEP_MARK] = { "mark", { ARG_NEW }, NOUN_MARK, 0, 0 },
	[STEP_VERIFY] = { "verify", { ARG_NONE }, NOUN_NONE, 0, 0 },
	[STEP_EXPORT] = { "export", { ARG_PATH }, NOUN_NONE, 0, 0 },
	[STEP_SAVE] = { "save", { ARG_MAYBE_PATH }, NOUN_NONE, 0, 0 },
	[STEP_DUMP] = { "dump", { ARG_PATH }, NOUN_NONE, K(LEVEL) | K(ELF),
		0 },
	[STEP_PRINT] = { "print", { ARG_PRINT }, NOUN_NONE, 0, 0 },
	[STEP_SAY] = { "say", { ARG_REST }, NOUN_NONE, 0, 0 },
	[STEP_EXPECT] = { "expect", { ARG_NONE }, NOUN_NONE, 0, 0 },
};

#define ANY_NUMBER	0, ~(uint64_t)0

const struct key_word scenario_keys[KEY_COUNT] = {
	[KEY_MEMORY] = { "memory", KEY_SIZE, ANY_NUMBER },
	[KEY_SPAN] = { "span", KEY_SIZE, 1, CF_PFN_LIMIT * CF_FRAME_BYTES },
	[KEY_CPUS] = { "cpus", KEY_NUMBER, 1, CF_CPUS_MAX },
	[KEY_NODES] = { "nodes", KEY_NUMBER, 1, CF_NODES_MAX },
	[KEY_BLOCK] = { "block", KEY_SIZE,
		CF_FRAME_BYTES << CF_BLOCK_ORDER_MIN,
		CF_FRAME_BYTES << CF_BLOCK_ORDER_MAX },
	[KEY_BAD_FRAMES] = { "bad-frames", KEY_NUMBER, 1, 65536 },
	[KEY_DEBUG_PAGEALLOC] = { "debug-pagealloc", KEY_FLAG, ANY_NUMBER },
	[KEY_FENCED] = { "fenced", KEY_FLAG, ANY_NUMBER },
	[KEY_NO_CACHES] = { "no-caches", KEY_FLAG, ANY_NUMBER },
	[KEY_SMALL_PAGES] = { "small-pages", KEY_FLAG, ANY_NUMBER },
	[KEY_NODE] = { "node", KEY_A_NODE, ANY_NUMBER },
	[KEY_OWNER] = { "owner", KEY_AN_OWNER, ANY_NUMBER },
	[KEY_METADATA] = { "metadata", KEY_A_META, ANY_NUMBER },
	[KEY_ZONE] = { "zone", KEY_A_ZONE, ANY_NUMBER },
	[KEY_PASSES] = { "passes", KEY_NUMBER, 1, 1000000 },
	[KEY_TIMES] = { "times", KEY_NUMBER, 1, 100000000 },
	[KEY_ORDER] = { "order", KEY_NUMBER, 0, CF_MAX_ORDER },
	[KEY_TYPE] = { "type", KEY_A_TYPE, ANY_NUMBER },
	[KEY_MOVABLE] = { "movable", KEY_FLAG, ANY_NUMBER },
	[KEY_FROZEN] = { "frozen", KEY_FLAG, ANY_NUMBER },
	[KEY_ZERO] = { "zero", KEY_FLAG, ANY_NUMBER },
	[KEY_NO_WAIT] = { "no-wait", KEY_FLAG, ANY_NUMBER },
	[KEY_RESERVE] = { "reserve", KEY_FLAG, ANY_NUMBER },
	[KEY_THIS_NODE] = { "this-node", KEY_FLAG, ANY_NUMBER },
	[KEY_NO_SPLIT] = { "no-split", KEY_FLAG, ANY_NUMBER },
	[KEY_UNTOUCHED] = { "untouched", KEY_FLAG, ANY_NUMBER },
	[KEY_INTERIOR] = { "interior", KEY_FLAG, ANY_NUMBER },
	[KEY_EXPECTED] = { "expected", KEY_NUMBER, 1, CF_REFS_MAX },
	[KEY_REFS] = { "refs", KEY_NUMBER, 1, CF_REFS_MAX },
	[KEY_SPLITS] = { "splits", KEY_FLAG, ANY_NUMBER },
	[KEY_KEEPS] = { "keeps", KEY_FLAG, ANY_NUMBER },
	[KEY_DISSOLVES] = { "dissolves", KEY_FLAG, ANY_NUMBER },
	[KEY_STUBBORN] = { "stubborn", KEY_FLAG, ANY_NUMBER },
	[KEY_BALLOON] = { "balloon", KEY_FLAG, ANY_NUMBER },
	[KEY_EXPOSES] = { "exposes", KEY_AN_EXPOSES, ANY_NUMBER },
	[KEY_FORCE] = { "force", KEY_FLAG, ANY_NUMBER },
	[KEY_SKIPPABLE] = { "skippable", KEY_FLAG, ANY_NUMBER },
	[KEY_RESIDENT] = { "resident", KEY_FLAG, ANY_NUMBER },
	[KEY_OFF] = { "off", KEY_FLAG, ANY_NUMBER },
	[KEY_PRIORITY] = { "priority", KEY_NUMBER, 0, 1000000 },
	[KEY_VETO] = { "veto", KEY_FLAG, ANY_NUMBER },
	[KEY_PAUSE] = { "pause", KEY_TIME, ANY_NUMBER },
	[KEY_FOR] = { "for", KEY_TIME, ANY_NUMBER },
	[KEY_OPS] = { "ops", KEY_NUMBER, 1, (uint64_t)1 << 40 },
	[KEY_HOLD] = { "hold", KEY_SIZE, ANY_NUMBER },
	[KEY_CHUNKS] = { "chunks", KEY_NUMBER, 1, 1u << 30 },
	[KEY_EACH] = { "each", KEY_FLAG, ANY_NUMBER },
	[KEY_EVERY] = { "every", KEY_NUMBER, 1, 1u << 30 },
	[KEY_MIN] = { "min", KEY_SIZE, ANY_NUMBER },
	[KEY_LOW] = { "low", KEY_SIZE, ANY_NUMBER },
	[KEY_HIGH] = { "high", KEY_SIZE, ANY_NUMBER },
	[KEY_LEVEL] = { "level", KEY_NUMBER, 0, 31 },
	[KEY_ELF] = { "elf", KEY_FLAG, ANY_NUMBER },
	[KEY_DEVICE_BLOCK] = { "device-block", KEY_SIZE, 1 << 20,
		CF_PFN_LIMIT * CF_FRAME_BYTES },
	[KEY_BIG_BLOCKS] = { "big-blocks", KEY_FLAG, ANY_NUMBER },
	[KEY_RETRY] = { "retry", KEY_TIME, ANY_NUMBER },
	[KEY_DEFLATE_ON_OOM] = { "deflate-on-oom", KEY_FLAG, ANY_NUMBER },
	[KEY_MUST_TELL_HOST] = { "must-tell-host", KEY_FLAG, ANY_NUMBER },
	[KEY_REPORTING] = { "reporting", KEY_FLAG, ANY_NUMBER },
	[KEY_HINTING] = { "hinting", KEY_FLAG, ANY_NUMBER },
	[KEY_OVER] = { "over", KEY_AN_OVER, ANY_NUMBER },
	[KEY_AFTER] = { "after", KEY_NUMBER, 1, 1000000 },
	[KEY_KIND] = { "kind", KEY_A_KIND, ANY_NUMBER },
	[KEY_PAGEMAP] = { "pagemap", KEY_A_PAGEMAP, ANY_NUMBER },
};

const struct property_word scenario_properties[PROPERTY_COUNT] = {
	[PROPERTY_PRESENT] = { "present", VALUE_SIZE },
	[PROPERTY_MANAGED] = { "managed", VALUE_SIZE },
	[PROPERTY_FREE] = { "free", VALUE_SIZE },
	[PROPERTY_CACHED] = { "cached", VALUE_SIZE },
	[PROPERTY_OFFLINE] = { "offline", VALUE_SIZE },
	[PROPERTY_NEVER_ONLINED] = { "never-onlined", VALUE_SIZE },
	[PROPERTY_SKIPPABLE] = { "skippable", VALUE_SIZE },
	[PROPERTY_RETIRED] = { "retired", VALUE_SIZE },
	[PROPERTY_RESERVED] = { "reserved", VALUE_SIZE },
	[PROPERTY_ISOLATED] = { "isolated", VALUE_SIZE },
	[PROPERTY_KERNEL] = { "kernel", VALUE_SIZE },
	[PROPERTY_FOLIO] = { "folio", VALUE_SIZE },
	[PROPERTY_DEVICE] = { "device", VALUE_SIZE },
	[PROPERTY_PGTABLE] = { "pgtable", VALUE_SIZE },
	[PROPERTY_SLAB] = { "slab", VALUE_SIZE },
	[PROPERTY_RSS] = { "rss", VALUE_BYTES },
	[PROPERTY_FRAMES] = { "frames", VALUE_SIZE },
	[PROPERTY_KEPT] = { "kept", VALUE_SIZE },
	[PROPERTY_PLUGGED] = { "plugged", VALUE_SIZE },
	[PROPERTY_BALLOONED] = { "ballooned", VALUE_SIZE },
	[PROPERTY_TOTAL] = { "total", VALUE_SIZE },
	[PROPERTY_BUSY] = { "busy", VALUE_SIZE },
	[PROPERTY_MIGRATED] = { "migrated", VALUE_SIZE },
	[PROPERTY_BLOCKING] = { "blocking", VALUE_SIZE },
	[PROPERTY_MOVED_FRAMES] = { "moved", VALUE_SIZE },
	[PROPERTY_DONE] = { "done", VALUE_SIZE },
	[PROPERTY_HELD] = { "held", VALUE_SIZE },
	[PROPERTY_METADATA] = { "metadata", VALUE_BYTES },
	[PROPERTY_REQUESTED] = { "requested", VALUE_SIZE },
	[PROPERTY_HOST_PLUGGED] = { "host-plugged", VALUE_SIZE },
	[PROPERTY_USABLE] = { "usable", VALUE_SIZE },
	[PROPERTY_DEVICE_BLOCK] = { "device-block", VALUE_SIZE },
	[PROPERTY_SUB_BLOCK] = { "sub-block", VALUE_SIZE },
	[PROPERTY_RESIDENT] = { "resident", VALUE_SIZE },
	[PROPERTY_TARGET] = { "target", VALUE_SIZE },
	[PROPERTY_HOST_BALLOONED] = { "host-ballooned", VALUE_SIZE },
	[PROPERTY_REPORTED] = { "reported", VALUE_SIZE },
	[PROPERTY_HINTED] = { "hinted", VALUE_SIZE },
	[PROPERTY_LOW_DEFLATED] = { "low-deflated", VALUE_SIZE },
	[PROPERTY_HOST_FREE] = { "host-free", VALUE_SIZE },
	[PROPERTY_HOST_TOTAL] = { "host-total", VALUE_SIZE },
	[PROPERTY_SURPLUS] = { "surplus", VALUE_SIZE },
	[PROPERTY_SHARED] = { "shared", VALUE_SIZE },
	[PROPERTY_CONVERTING] = { "converting", VALUE_SIZE },
	[PROPERTY_PRIVATE] = { "private", VALUE_SIZE },
	[PROPERTY_GIVEN] = { "given", VALUE_SIZE },
	[PROPERTY_REPLACED] = { "replaced", VALUE_NUMBER },
	[PROPERTY_HOLDERS] = { "holders", VALUE_NUMBER },
	[PROPERTY_OBJECTS] = { "objects", VALUE_NUMBER },
	[PROPERTY_MERGED] = { "merged", VALUE_NUMBER },
	[PROPERTY_LOCKED] = { "locked", VALUE_NUMBER },
	[PROPERTY_HOST_AVAILABLE] = { "host-available", VALUE_SIZE },
	[PROPERTY_BLOCKS] = { "blocks", VALUE_NUMBER },
	[PROPERTY_CHUNKS] = { "chunks", VALUE_NUMBER },
	[PROPERTY_CHUNKS_FREE] = { "chunks-free", VALUE_NUMBER },
	[PROPERTY_CHUNKS_SPLIT] = { "chunks-split", VALUE_NUMBER },
	[PROPERTY_CHUNKS_ISOLATED] = { "chunks-isolated", VALUE_NUMBER },
	[PROPERTY_FREE_RUNS] = { "free-runs", VALUE_NUMBER },
	[PROPERTY_LOW_SIGNALS] = { "low-signals", VALUE_NUMBER },
	[PROPERTY_EMPTY_SIGNALS] = { "empty-signals", VALUE_NUMBER },
	[PROPERTY_NODE] = { "node", VALUE_NUMBER },
	[PROPERTY_RELEASES] = { "releases", VALUE_NUMBER },
	[PROPERTY_ISOLATES] = { "isolates", VALUE_NUMBER },
	[PROPERTY_MIGRATES] = { "migrates", VALUE_NUMBER },
	[PROPERTY_PUTBACKS] = { "putbacks", VALUE_NUMBER },
	[PROPERTY_SPLITS] = { "splits", VALUE_NUMBER },
	[PROPERTY_DISSOLVES] = { "dissolves", VALUE_NUMBER },
	[PROPERTY_RUNS] = { "runs", VALUE_NUMBER },
	[PROPERTY_MOVED] = { "moved", VALUE_NUMBER },
	[PROPERTY_ORDER] = { "order", VALUE_NUMBER },
	[PROPERTY_REFS] = { "refs", VALUE_NUMBER },
	[PROPERTY_PINS] = { "pins", VALUE_NUMBER },
	[PROPERTY_PAYLOAD] = { "payload", VALUE_NUMBER },
	[PROPERTY_STEPS] = { "steps", VALUE_NUMBER },
	[PROPERTY_GOING] = { "going", VALUE_NUMBER },
	[PROPERTY_CANCELLED] = { "cancelled", VALUE_NUMBER },
	[PROPERTY_FINISHED] = { "done", VALUE_NUMBER },
	[PROPERTY_VETOES] = { "vetoes", VALUE_NUMBER },
	[PROPERTY_FOUND] = { "found", VALUE_NUMBER },
	[PROPERTY_STALE] = { "stale", VALUE_NUMBER },
	[PROPERTY_PASSES] = { "passes", VALUE_NUMBER },
	[PROPERTY_SPANS] = { "spans", VALUE_NUMBER },
	[PROPERTY_TAKEN] = { "taken", VALUE_NUMBER },
	[PROPERTY_ABSENT] = { "absent", VALUE_NUMBER },
	[PROPERTY_WORKERS] = { "workers", VALUE_NUMBER },
	[PROPERTY_OPS] = { "ops", VALUE_NUMBER },
	[PROPERTY_ALLOCS] = { "allocs", VALUE_NUMBER },
	[PROPERTY_FREES] = { "frees", VALUE_NUMBER },
	[PROPERTY_FAILED] = { "failed", VALUE_NUMBER },
	[PROPERTY_ERRORS] = { "errors", VALUE_NUMBER },
	[PROPERTY_KPAGEFLAGS] = { "kpageflags", VALUE_NUMBER },
	[PROPERTY_KPAGECOUNT] = { "kpagecount", VALUE_NUMBER },
	[PROPERTY_BLOCKS_PARTIAL] = { "blocks-partial", VALUE_NUMBER },
	[PROPERTY_REQUESTS] = { "requests", VALUE_NUMBER },
	[PROPERTY_NACKS] = { "nacks", VALUE_NUMBER },
	[PROPERTY_BUSIES] = { "busies", VALUE_NUMBER },
	[PROPERTY_RETRIES] = { "retries", VALUE_NUMBER },
	[PROPERTY_HINT_ROUNDS] = { "hint-rounds", VALUE_NUMBER },
	[PROPERTY_STATS_SENT] = { "stats-sent", VALUE_NUMBER },
	[PROPERTY_VIOLATIONS] = { "violations", VALUE_NUMBER },
	[PROPERTY_ORPHAN] = { "orphan", VALUE_FLAG },
	[PROPERTY_SELF_HOSTED] = { "self-hosted", VALUE_FLAG },
	[PROPERTY_REGISTERED] = { "registered", VALUE_FLAG },
	[PROPERTY_INTACT] = { "intact", VALUE_FLAG },
	[PROPERTY_PAUSED] = { "paused", VALUE_FLAG },
	[PROPERTY_OK] = { "ok", VALUE_FLAG },
	[PROPERTY_REFUSED] = { "refused", VALUE_FLAG },
	[PROPERTY_IS_FROZEN] = { "frozen", VALUE_FLAG },
	[PROPERTY_IS_MOVABLE] = { "movable", VALUE_FLAG },
	[PROPERTY_IS_SKIPPABLE] = { "skippable", VALUE_FLAG },
	[PROPERTY_IS_NEVER_ONLINED] = { "never-onlined", VALUE_FLAG },
	[PROPERTY_POISONED] = { "poisoned", VALUE_FLAG },
	[PROPERTY_IS_ISOLATED] = { "isolated", VALUE_FLAG },
	[PROPERTY_BIG_BLOCKS] = { "big-blocks", VALUE_FLAG },
	[PROPERTY_BLOCK_STATE] = { "state", VALUE_WORD },
	[PROPERTY_ZONE] = { "zone", VALUE_WORD },
	[PROPERTY_TYPE] = { "type", VALUE_WORD },
	[PROPERTY_REASON] = { "reason", VALUE_WORD },
	[PROPERTY_ERROR] = { "error", VALUE_WORD },
	[PROPERTY_OPERATION_STATE] = { "state", VALUE_WORD },
	[PROPERTY_FRAME_STATE] = { "state", VALUE_WORD },
	[PROPERTY_RETIREMENT] = { "retirement", VALUE_WORD },
	[PROPERTY_MEM_STATE] = { "state", VALUE_WORD },
	[PROPERTY_BALLOON_STATE] = { "state", VALUE_WORD },
	[PROPERTY_BROKEN] = { "broken", VALUE_WORD },
	[PROPERTY_TOLD] = { "told", VALUE_WORD },
	[PROPERTY_OWNER] = { "owner", VALUE_OWNER },
	[PROPERTY_WHO] = { "who", VALUE_WHO },
	[PROPERTY_HEAD] = { "head", VALUE_PLACE },
	[PROPERTY_FRAME] = { "frame", VALUE_PLACE },
	[PROPERTY_BLOCK] = { "block", VALUE_NUMBER },
};

#define P(property)	PROPERTY_##property
#define END		PROPERTY_COUNT
#define SUBJECT_PROPERTIES_MAX 26

static const struct {
	const char *name;
	enum noun noun;
	uint8_t property[SUBJECT_PROPERTIES_MAX];	/* up to END */
} subjects[SUBJECT_COUNT] = {
	[SUBJECT_MAP] = { "", NOUN_NONE, {
		P(PRESENT), P(MANAGED), P(FREE), P(CACHED), P(OFFLINE),
		P(NEVER_ONLINED), P(SKIPPABLE), P(RETIRED), P(RESERVED),
		P(ISOLATED), P(KERNEL), P(FOLIO), P(DEVICE), P(PGTABLE),
		P(SLAB), P(RSS), P(METADATA), P(LOW_SIGNALS),
		P(EMPTY_SIGNALS), P(BLOCKS), END } },
	[SUBJECT_ZONE] = { "zone", NOUN_NONE, {
		P(PRESENT), P(MANAGED), P(FREE), P(CACHED), P(OFFLINE),
		P(BLOCKS), P(CHUNKS_FREE), P(FREE_RUNS), END } },
	[SUBJECT_BLOCK] = { "block", NOUN_NONE, {
		P(BLOCK_STATE), P(ZONE), P(NODE), P(OWNER), P(ORPHAN),
		P(SELF_HOSTED), P(FREE), P(OFFLINE), P(NEVER_ONLINED),
		P(SKIPPABLE), P(RETIRED), P(RESERVED), P(CHUNKS),
		P(CHUNKS_FREE), P(CHUNKS_SPLIT), P(CHUNKS_ISOLATED), END } },
	[SUBJECT_OWNER] = { "owner", NOUN_OWNER, {
		P(FRAMES), P(BLOCKS), P(REGISTERED), P(KEPT), P(RELEASES),
		P(ISOLATES), P(MIGRATES), P(PUTBACKS), P(SPLITS),
		P(DISSOLVES), P(PLUGGED), P(BALLOONED), END } },
	[SUBJECT_SET] = { "set", NOUN_SET, {
		P(INTACT), P(RUNS), P(FRAMES), P(MOVED), END } },
	[SUBJECT_FRAME] = { "frame", NOUN_NONE, {
		P(FRAME_STATE), P(TYPE), P(ORDER), P(REFS), P(PINS),
		P(OWNER), P(HEAD), P(BLOCK), P(ZONE), P(NODE), P(PAYLOAD),
		P(IS_FROZEN), P(IS_MOVABLE), P(IS_SKIPPABLE),
		P(IS_NEVER_ONLINED), P(POISONED), P(IS_ISOLATED),
		P(RETIREMENT), P(KPAGEFLAGS), P(KPAGECOUNT), END } },
	[SUBJECT_OPERATION] = { "operation", NOUN_OPERATION, {
		P(OPERATION_STATE), P(STEPS), P(TOTAL), P(FREE),
		P(SKIPPABLE), P(BUSY), P(MIGRATED), P(REASON), P(OWNER),
		P(TYPE), END } },
	[SUBJECT_SUBSCRIBER] = { "subscriber", NOUN_SUBSCRIBER, {
		P(GOING), P(CANCELLED), P(FINISHED), P(VETOES), END } },
	[SUBJECT_SCANNER] = { "scanner", NOUN_SCANNER, {
		P(PAUSED), P(FOUND), P(STALE), P(PASSES), P(GOING),
		P(CANCELLED), P(FINISHED), END } },
	[SUBJECT_WALKER] = { "walker", NOUN_WALKER, {
		P(PASSES), P(SPANS), P(TAKEN), P(ABSENT), END } },
	[SUBJECT_LOAD] = { "load", NOUN_NONE, {
		P(WORKERS), P(OPS), P(ALLOCS), P(FREES), P(FAILED),
		P(ERRORS), P(MOVED), P(HELD), END } },
	[SUBJECT_LAST] = { "last", NOUN_NONE, {
		P(OK), P(REFUSED), P(ERROR), P(REASON), P(TYPE), P(OWNER),
		P(WHO), P(FRAME), P(ORDER), P(REFS), P(PINS), P(BLOCKING),
		P(DONE), P(MOVED_FRAMES), END } },
	[SUBJECT_MEM] = { "virtio-mem", NOUN_MEM, {
		P(MEM_STATE), P(BROKEN), P(REQUESTED), P(PLUGGED),
		P(HOST_PLUGGED), P(USABLE), P(DEVICE_BLOCK), P(SUB_BLOCK),
		P(BIG_BLOCKS), P(NODE), P(BLOCKS), P(BLOCKS_PARTIAL),
		P(REQUESTS), P(NACKS), P(BUSIES), P(RETRIES), P(REASON),
		P(TYPE), P(OWNER), P(WHO), P(FRAME), P(BLOCKING), P(RESIDENT),
		P(VIOLATIONS), P(TOLD), END } },
	[SUBJECT_BALLOON] = { "virtio-balloon", NOUN_BALLOON, {
		P(BALLOON_STATE), P(BROKEN), P(TARGET), P(BALLOONED),
		P(HOST_BALLOONED), P(MIGRATED), P(REPORTED), P(HINTED),
		P(HINT_ROUNDS), P(STATS_SENT), P(LOW_DEFLATED), P(HOST_FREE),
		P(HOST_TOTAL), P(HOST_AVAILABLE), P(POISONED), P(VIOLATIONS),
		END } },
	[SUBJECT_POOL] = { "pool", NOUN_POOL, {
		P(TOTAL), P(RUNS), P(FREE), P(HELD), P(RESERVED), P(SURPLUS),
		P(DISSOLVES), P(REPLACED), P(INTACT), END } },
	[SUBJECT_GUEST] = { "guest", NOUN_GUEST, {
		P(TOTAL), P(SHARED), P(CONVERTING), P(PRIVATE), P(HOLDERS),
		P(MOVED), P(INTACT), END } },
	[SUBJECT_ELASTIC] = { "elastic", NOUN_ELASTIC, {
		P(OBJECTS), P(LOCKED), P(FRAMES), P(GIVEN), P(MERGED),
		P(MOVED), P(INTACT), END } },
	[SUBJECT_PAGEMAP] = { "pagemap", NOUN_PAGEMAP, {
		P(TOTAL), P(FREE), P(BUSY), P(RETIRED), P(RESERVED), P(NODE),
		END } },
};

static const char *const nouns[NOUN_COUNT] = {
	[NOUN_NONE] = "nothing",
	[NOUN_SET] = "set",
	[NOUN_FRAME] = "remembered frame",
	[NOUN_OWNER] = "owner",
	[NOUN_OPERATION] = "operation",
	[NOUN_SUBSCRIBER] = "subscriber",
	[NOUN_SCANNER] = "scanner",
	[NOUN_WALKER] = "walker",
	[NOUN_MARK] = "mark",
	[NOUN_MEM] = "virtio-mem",
	[NOUN_BALLOON] = "virtio-balloon",
	[NOUN_POOL] = "pool",
	[NOUN_GUEST] = "guest",
	[NOUN_ELASTIC] = "elastic",
	[NOUN_PAGEMAP] = "pagemap",
};

static const char *const errors[CF_ERR_COUNT] = {
	"none", "invalid", "busy", "again", "nomem", "gone", "refused",
	"limit", "port",
};

static const char *const operation_states[] = {
	"idle", "going", "done", "cancelled", NULL,
};

static const char *const frame_states[] = {
	"absent", "block-offline", "free", "transit", "run", NULL,
};

static const char *const retirements[] = { "none", "pending", "done", NULL };
static const char *const metas[] = { "port", "caller", "self", NULL };
static const char *const exposed[] = { "plugged", "backed", "nothing", NULL };

static const char *const overs[] = { "pci", "msix", "mmio", NULL };

static const char *const mem_states[] = {
	"idle", "reset", "growing", "shrinking", "cleaning", "backing-off",
	"broken", "unloaded", NULL,
};

static const char *const balloon_states[] = {
	"idle", "inflating", "deflating", "backing-off", "broken", "unloaded",
	NULL,
};

/* Of asked blocks, in the order of enum cf_vmem_state; nothing comes last. */
static const char *const told[] = {
	"plugged", "unplugged", "mixed", "nothing", NULL,
};

/* In the order of enum cf_virtio_broken. */
static const char *const broken[] = {
	"no", "reset", "id", "version", "features", "queue", "config",
	"generation", "needs-reset", "ring-index", "ring-id", "ring-length",
	"answer-short", "answer", "answer-error", "state", "block-size",
	"region", "sizes", "changed", "plugged", "status", NULL,
};

/* In the order of enum model_trick. */
static const char *const lies[LIE_COUNT] = {
	"honest", "nack", "busy", "error", "answer-type", "answer-state",
	"nothing-done", "short", "long", "id-range", "id-free", "index",
	"index-back", "twice", "needs-reset", "status", "silence",
	"block-size", "addr", "region", "requested", "usable",
	"usable-shrinks", "plugged", "unaligned", "restless", "generation",
	"no-version-1", "features", "no-queue", "queue-deaf", "no-config",
	"no-reset", "id",
};

static const char *const prints[] = {
	"all", "counters", "blocks", "owners", "sets", "devices", NULL,
};

static const char *const compares[] = {
	"==", "!=", "<", "<=", ">", ">=", "fell", "rose", "unchanged",
};

const char *noun_name(enum noun noun)
{
	return nouns[noun];
}

const char *step_name(enum step_kind kind)
{
	return scenario_verbs[kind].name;
}

const char *key_name(enum key key)
{
	return scenario_keys[key].name;
}

const char *meta_name(uint64_t meta)
{
	return meta <= CF_META_SELF ? metas[meta] : NULL;
}

const char *exposes_name(uint64_t exposes)
{
	return exposes < EXPOSES_COUNT ? exposed[exposes] : NULL;
}

const char *kind_name(uint64_t kind)
{
	return kind < CF_PAGEMAP_KIND_COUNT ?
	       cf_pagemap_kind_name((enum cf_pagemap_kind)kind) : NULL;
}

const char *over_name(uint64_t over)
{
	return over < OVER_COUNT ? overs[over] : NULL;
}

const char *lie_name(uint64_t lie)
{
	return lie < LIE_COUNT ? lies[lie] : NULL;
}

bool lie_is_of_mem(uint64_t lie)
{
	enum { NACK = 1, NOTHING_DONE = 6, BLOCK_SIZE = 17 };

	return (lie >= NACK && lie <= NOTHING_DONE) ||
	       (lie >= BLOCK_SIZE && lie <= LIE_RESTLESS);
}

/* What only the embedded machine does and has: its devices and files. */
static const bool embedded_steps[STEP_COUNT] = {
	[STEP_REFUSING] = true, [STEP_LATE] = true, [STEP_LIE] = true,
	[STEP_ELASTIC] = true, [STEP_ELASTIC_STORE] = true,
	[STEP_ELASTIC_FORGET] = true, [STEP_ELASTIC_LOCK] = true,
	[STEP_ELASTIC_UNLOCK] = true, [STEP_ELASTIC_SHRINK] = true,
	[STEP_ELASTIC_END] = true, [STEP_EXPORT] = true, [STEP_SAVE] = true,
};
static const bool embedded_keys[KEY_COUNT] = {
	[KEY_MUST_TELL_HOST] = true, [KEY_OVER] = true,
};

const char *step_embedded_only(const struct step *step)
{
	unsigned key;

	if (embedded_steps[step->kind])
		return step_name(step->kind);
	for (key = 0; key < KEY_COUNT; key++)
		if (step_has(step, (enum key)key) && embedded_keys[key])
			return scenario_keys[key].name;
	return NULL;
}

const char *print_name(uint64_t print)
{
	return print < PRINT_COUNT ? prints[print] : NULL;
}

const char *type_word(uint64_t type)
{
	return type < CF_TYPE_COUNT ? cf_type_name((enum cf_type)type) : NULL;
}

const char *zone_word(uint64_t zone)
{
	return zone < CF_ZONE_COUNT ? cf_zone_name((enum cf_zone_kind)zone) :
				      NULL;
}

const char *error_word(uint64_t error)
{
	return error < CF_ERR_COUNT ? errors[error] : NULL;
}

const char *property_name(enum property property)
{
	return scenario_properties[property].name;
}

enum value_kind property_value(enum property property)
{
	return scenario_properties[property].value;
}

static const char *word_of(const char *const *words, uint64_t value)
{
	uint64_t i;

	for (i = 0; words[i]; i++)
		if (i == value)
			return words[i];
	return NULL;
}

const char *property_word(enum property property, uint64_t value)
{
	switch (property) {
	case PROPERTY_BLOCK_STATE:
		return value >= CF_BLOCK_STATE_COUNT ? NULL :
			cf_block_state_name((enum cf_block_state)value);
	case PROPERTY_ZONE:
		return zone_word(value);
	case PROPERTY_TYPE:
		return type_word(value);
	case PROPERTY_REASON:
		return value >= CF_REASON_COUNT ? NULL :
			cf_reason_name((enum cf_reason)value);
	case PROPERTY_ERROR:
		return error_word(value);
	case PROPERTY_OPERATION_STATE:
		return word_of(operation_states, value);
	case PROPERTY_FRAME_STATE:
		return word_of(frame_states, value);
	case PROPERTY_RETIREMENT:
		return word_of(retirements, value);
	case PROPERTY_MEM_STATE:
		return word_of(mem_states, value);
	case PROPERTY_BALLOON_STATE:
		return word_of(balloon_states, value);
	case PROPERTY_BROKEN:
		return word_of(broken, value);
	case PROPERTY_TOLD:
		return word_of(told, value);
	default:
		return NULL;
	}
}

enum property subject_property(enum subject_kind subject, unsigned n)
{
	return (enum property)subjects[subject].property[n];
}

const char *subject_name(enum subject_kind subject)
{
	return subjects[subject].name;
}

enum noun subject_noun(enum subject_kind subject)
{
	return subjects[subject].noun;
}

const char *compare_name(enum compare compare)
{
	return compares[compare];
}
