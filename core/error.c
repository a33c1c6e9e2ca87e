/* SPDX-License-Identifier: MIT */

/*
 * Names and remedies: the only strings of the engine.  Every table has an
 * entry for each enumerator; unit tests walk them.
 */

#include "internal.h"

const char *cf_strerror(int err)
{
	static const char *const remedy[CF_ERR_COUNT] = {
		[0] = "success",
		[CF_EINVAL] = "invalid argument: fix the call",
		[CF_EBUSY] = "held by something else: retry when that ends",
		[CF_EAGAIN] = "in motion: retry at once",
		[CF_ENOMEM] = "no memory: free some or ask for less",
		[CF_EGONE] = "no such memory: add it or bring it online",
		[CF_EREFUSED] = "refused: see the report for who and why",
		[CF_ELIMIT] = "a count or table is full: give some back",
		[CF_EPORT] = "the machine failed: see its messages",
	};

	if (err <= -CF_ERR_COUNT || err >= CF_ERR_COUNT)
		return "unknown error";
	return remedy[err < 0 ? -err : err];
}

const char *cf_type_name(enum cf_type type)
{
	static const char *const name[CF_TYPE_COUNT] = {
		[CF_TYPE_NONE] = "none",	 [CF_TYPE_KERNEL] = "kernel",
		[CF_TYPE_FOLIO] = "folio",	 [CF_TYPE_DEVICE] = "device",
		[CF_TYPE_PGTABLE] = "pgtable",	 [CF_TYPE_SLAB] = "slab",
		[CF_TYPE_RESERVED] = "reserved", [CF_TYPE_OFFLINE] = "offline",
		[CF_TYPE_RETIRED] = "retired",
	};

	return (unsigned)type < CF_TYPE_COUNT ? name[type] : "unknown";
}

const char *cf_zone_name(enum cf_zone_kind kind)
{
	static const char *const name[CF_ZONE_COUNT] = {
		[CF_ZONE_NORMAL] = "normal",
		[CF_ZONE_MOVABLE] = "movable",
		[CF_ZONE_DEVICE] = "device",
	};

	return (unsigned)kind < CF_ZONE_COUNT ? name[kind] : "unknown";
}

const char *cf_block_state_name(enum cf_block_state state)
{
	static const char *const name[CF_BLOCK_STATE_COUNT] = {
		[CF_BLOCK_ABSENT] = "absent",
		[CF_BLOCK_OFFLINE] = "offline",
		[CF_BLOCK_GOING_ONLINE] = "going-online",
		[CF_BLOCK_ONLINE] = "online",
		[CF_BLOCK_GOING_OFFLINE] = "going-offline",
		[CF_BLOCK_DEVICE] = "device",
		[CF_BLOCK_DEVICE_CLOSED] = "device-closed",
	};

	return (unsigned)state < CF_BLOCK_STATE_COUNT ? name[state] : "unknown";
}

const char *cf_pagemap_kind_name(enum cf_pagemap_kind kind)
{
	static const char *const name[CF_PAGEMAP_KIND_COUNT] = {
		[0] = "none",
		[CF_PAGEMAP_PRIVATE] = "private",
		[CF_PAGEMAP_COHERENT] = "coherent",
		[CF_PAGEMAP_FS_DAX] = "fs-dax",
		[CF_PAGEMAP_GENERIC] = "generic",
		[CF_PAGEMAP_P2P] = "p2p",
	};

	return (unsigned)kind < CF_PAGEMAP_KIND_COUNT ? name[kind] : "unknown";
}

const char *cf_reason_name(enum cf_reason reason)
{
	static const char *const name[CF_REASON_COUNT] = {
		[CF_REASON_NONE] = "none",
		[CF_REASON_UNMOVABLE] = "unmovable",
		[CF_REASON_PINNED] = "pinned",
		[CF_REASON_REFERENCED] = "referenced",
		[CF_REASON_FROZEN] = "frozen",
		[CF_REASON_OFFLINE] = "offline",
		[CF_REASON_ORPHAN] = "orphan",
		[CF_REASON_OWNER] = "owner",
		[CF_REASON_NO_TARGET] = "no-target",
		[CF_REASON_TRANSIT] = "transit",
		[CF_REASON_OPERATION] = "operation",
		[CF_REASON_VETO] = "veto",
		[CF_REASON_STATE] = "state",
		[CF_REASON_HOLE] = "hole",
		[CF_REASON_CACHE] = "cache",
		[CF_REASON_PORT] = "port",
	};

	return (unsigned)reason < CF_REASON_COUNT ? name[reason] : "unknown";
}

const char *cf_finding_name(enum cf_finding_kind kind)
{
	static const char *const name[CF_FINDING_COUNT] = {
		[CF_FINDING_NONE] = "none",
		[CF_FINDING_WORD] = "word",
		[CF_FINDING_OVERLAP] = "overlap",
		[CF_FINDING_LOST] = "lost",
		[CF_FINDING_CACHED_TWICE] = "cached-twice",
		[CF_FINDING_CHUNK_FREE] = "chunk-free",
		[CF_FINDING_CHUNK_SKIP] = "chunk-skip",
		[CF_FINDING_CHUNK_CLASS] = "chunk-class",
		[CF_FINDING_MASK] = "mask",
		[CF_FINDING_INDEX] = "index",
		[CF_FINDING_BLOCK_FREE] = "block-free",
		[CF_FINDING_PENDING] = "pending",
		[CF_FINDING_MANAGED] = "managed",
		[CF_FINDING_TYPE_COUNT] = "type-count",
		[CF_FINDING_OWNER_COUNT] = "owner-count",
		[CF_FINDING_OWNER] = "owner",
		[CF_FINDING_STATE] = "state",
		[CF_FINDING_RANGE] = "range",
		[CF_FINDING_POISON] = "poison",
		[CF_FINDING_PRESENT] = "present",
		[CF_FINDING_SEQUENCE] = "sequence",
	};

	return (unsigned)kind < CF_FINDING_COUNT ? name[kind] : "unknown";
}
