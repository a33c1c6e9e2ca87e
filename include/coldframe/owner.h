/* SPDX-License-Identifier: MIT */
#ifndef COLDFRAME_OWNER_H
#define COLDFRAME_OWNER_H

#include <coldframe/types.h>

#ifdef __cplusplus
extern "C" {
#endif

enum cf_verdict {
	CF_VERDICT_FREE,	/* the allocator takes the run */
	CF_VERDICT_KEEP,	/* it stays frozen with its owner */
};

/*
 * What an owner can be asked.  Every hook is optional; @context is the one
 * registered, @pfn the head of a run of the owner's.
 *
 * hook      runs in                       holds      may call
 * release   whatever context put runs in  anything   alloc, free, put; no wait
 * isolate   an operation's step           HOTPLUG    what takes no HOTPLUG
 * migrate   an operation's step           HOTPLUG    what takes no HOTPLUG
 * putback   an operation's step           HOTPLUG    what takes no HOTPLUG
 * split     an operation's step           HOTPLUG    what takes no HOTPLUG
 * dissolve  an operation's step           HOTPLUG    what takes no HOTPLUG
 * online    cf_block_online()             HOTPLUG    what takes no HOTPLUG
 * fault     cf_pagemap_fault()            a section  what takes no HOTPLUG
 * failure   cf_retire()                   HOTPLUG    what takes no HOTPLUG
 * describe  a report is made              anything   nothing
 */
struct cf_owner_ops {
	/*
	 * The last reference went; the run is frozen and the owner's.  After
	 * KEEP the engine never touches it again: the owner may have handed it
	 * out already.  An owner that has published the run must say KEEP.
	 * After FREE it belongs to the allocator; device memory is kept either
	 * way.
	 */
	enum cf_verdict (*release)(void *context, cf_pfn pfn, unsigned order);

	/*
	 * May this run be moved?  0: yes, and the owner leaves it alone until
	 * migrate or putback; anything else: no.  A counted run comes with one
	 * reference of the engine's.
	 */
	int (*isolate)(void *context, cf_pfn pfn, unsigned order);

	/*
	 * Move @source to @target, a run of the same order, type and owner.
	 *
	 * Counted runs: the target is frozen.  Freeze the source - its own
	 * references and one of the engine's - copy with cf_copy_run(), point
	 * everything at the target, unfreeze that with the owner's references.
	 * OFFLINE runs: the target is OFFLINE already, with the source's
	 * payload but never SKIPPABLE; tell the host to take it, then take
	 * back the source.
	 *
	 * Return:  0: the target lives; the engine frees the source.
	 *          -CF_EGONE: the source is given up and the target is not
	 *          used (OFFLINE runs only); the engine frees both.
	 *          If the port then cannot take a source back, that stays
	 *          OFFLINE as the orphan's.
	 *          Other: nothing happened; putback follows.
	 */
	int (*migrate)(void *context, cf_pfn source, cf_pfn target,
		       unsigned order);

	/* The run stays after all. */
	void (*putback)(void *context, cf_pfn pfn, unsigned order);

	/*
	 * There is no room for a run in one piece: cut it into smaller ones.
	 * Comes after putback; the engine holds no reference any more.
	 * 0: done, they are tried one by one.
	 */
	int (*split)(void *context, cf_pfn pfn, unsigned order);

	/*
	 * Give a kept run up.  0: the owner has forgotten it, the engine frees
	 * it.  -CF_EAGAIN: it is not recorded as kept (yet).  Other: no.
	 * Of device memory that is being removed; if it stays after all, the
	 * run comes back through release.
	 */
	int (*dissolve)(void *context, cf_pfn pfn, unsigned order);

	/*
	 * A block of the owner's range comes online, one call a block:
	 * [first, last), the block less its own metadata, is OFFLINE,
	 * NEVER_ONLINED and the owner's, but for bad frames, RETIRED already.
	 * Expose what is to be used with cf_offline_free_range(), leave the
	 * rest.  Nonzero: onlining fails and everything is as before.
	 */
	int (*online)(void *context, cf_pfn first, cf_pfn last);

	/* A few words on a run, for a report's detail; NULL: none. */
	const char *(*describe)(void *context, cf_pfn pfn);

	/*
	 * No hook but a promise asked for: contents of runs without references
	 * are the owner's alone, as those of a confidential guest are. Who
	 * reads what is not his - dump, save - leaves them out. The owner calls
	 * cf_content_sync() between the last reference and the new use.
	 */
	bool private_frozen;

	/*
	 * A CPU touched @touched, a frame of this run of private memory, of
	 * which the engine has taken one reference.  Move its contents where
	 * CPUs can touch them, with cf_pagemap_migrate() and one extra
	 * reference; first cut the run in use, if only part of it is to go:
	 * freeze it with that reference too, split it, unfreeze the parts,
	 * that of @touched with the extra one.
	 *
	 * Return:  0: it is at @ret_pfn now, and the reference has ended.
	 *          -CF_EAGAIN, -CF_ENOMEM: nothing happened; told to the CPU.
	 *          Other: no.
	 */
	int (*fault)(void *context, cf_pfn pfn, unsigned order,
		     cf_pfn touched, cf_pfn *ret_pfn);

	/*
	 * Device memory: @bad, a frame of this run, is known to be bad.  The
	 * run is marked and is handed out no more.  If the owner has it, it
	 * may call cf_pagemap_retire() now; if others do, once it is back.
	 */
	void (*failure)(void *context, cf_pfn pfn, unsigned order, cf_pfn bad);
};

/**
 * cf_owner_register() - become an owner.
 * @name:    for reports; stays valid until unregistered
 * @ops:     hooks; stays valid until unregistered
 * @context: handed to every hook
 * @ret_id:  stands in the word of every run of the owner's
 *
 * Pair with cf_owner_unregister().
 *
 * Context: takes CF_RANK_OWNER.
 * Return:  0, or -CF_EINVAL: no name or no ops; -CF_ELIMIT: all ids are used.
 */
int cf_owner_register(struct cf_map *map, const char *name,
		      const struct cf_owner_ops *ops, void *context,
		      uint32_t *ret_id) CF_MUST_CHECK;

/**
 * cf_owner_unregister() - stop being an owner.
 * @ret_orphans: NULL, or the frames that were still the owner's
 *
 * Closes the id, waits for hooks that run, hands what is left to the orphan
 * owner: counted runs are freed by their last put, frozen ones stay for good
 * unless somebody frees or unfreezes them, offline ones stay and are
 * neither skippable nor movable any more until they are adopted with
 * cf_offline_adopt_range(), offline blocks of its ranges wait to be adopted
 * with cf_block_adopt() or removed. Then the id may be used again.
 *
 * Context: takes CF_RANK_HOTPLUG, waits for read sections. Not in a hook.
 * Return:  0, or -CF_EINVAL: no such owner.
 */
int cf_owner_unregister(struct cf_map *map, uint32_t id, uint64_t *ret_orphans)
	CF_MUST_CHECK;

/**
 * cf_owner_change() - a holder gives a run to another owner.
 * @pfn: head of a counted run the caller has a reference of, or has frozen
 * @id:  the new owner, or CF_OWNER_NONE
 *
 * With cf_put() afterwards this is asynchronous freezing: the new owner's
 * release hook runs when all other references are gone.
 *
 * Return:  0, or with nothing changed:
 *          -CF_EGONE    no such owner, or not the head of a counted run
 *          -CF_EAGAIN   the run is busy or being moved
 *          -CF_EREFUSED device memory needs an owner: not CF_OWNER_NONE
 */
int cf_owner_change(struct cf_map *map, cf_pfn pfn, uint32_t id) CF_MUST_CHECK;

struct cf_owner_info {
	const char *name;
	uint64_t frames;	/* in runs that name it */
	uint64_t blocks;	/* blocks of its ranges */
	bool can_migrate, can_dissolve, can_online;
};

/**
 * cf_owner_info() - about an owner.
 * Context: takes CF_RANK_HOTPLUG.
 * Return:  0, or -CF_EINVAL: no such owner.
 */
int cf_owner_info(struct cf_map *map, uint32_t id,
		  struct cf_owner_info *ret_info) CF_MUST_CHECK;

/* What is true of an owner, as far as walkers care. */
enum cf_owner_trait {
	CF_OWNER_MIGRATES  = 1 << 0, /* moves its runs */
	CF_OWNER_DISSOLVES = 1 << 1, /* keeps runs, and gives them up */
	CF_OWNER_PRIVATE   = 1 << 2, /* private_frozen */
	CF_OWNER_GONE      = 1 << 3, /* it is going, or gone: nobody knows */
};

/**
 * cf_owner_traits() - about the owner of a run a walker sees.
 * @id: from a span or a snapshot
 *
 * Context: any; enters a read section. Holds for a run that was seen in the
 *          section the caller is in.
 * Return:  enum cf_owner_trait; 0 for the allocator, GONE for the orphan.
 */
uint32_t cf_owner_traits(struct cf_map *map, uint32_t id);

/**
 * cf_copy_run() - copy a run's contents.
 * Return: 0, -CF_EINVAL: no such order, or -CF_EPORT: not mapped.
 */
int cf_copy_run(struct cf_map *map, cf_pfn source, cf_pfn target,
		unsigned order) CF_MUST_CHECK;

/*
 * A side table: what an owner knows of each frame, by pfn.  Two levels: a
 * directory with an entry a block, and a leaf for each block that has
 * entries.  Leaves come from the port zeroed and go with their block.
 */
struct cf_side {
	uint64_t opaque[8];
};

/**
 * cf_side_add() - begin a side table.
 * @entry_bytes: 1..4096
 * Context: takes CF_RANK_HOTPLUG. Pair with cf_side_remove().
 * Return:  0, -CF_EINVAL: bad size, -CF_ENOMEM: no memory for the directory.
 */
int cf_side_add(struct cf_map *map, struct cf_side *side, size_t entry_bytes)
	CF_MUST_CHECK;

/**
 * cf_side_remove() - end a side table.
 * Context: takes CF_RANK_HOTPLUG, waits for read sections.
 */
void cf_side_remove(struct cf_map *map, struct cf_side *side);

/**
 * cf_side_find() - the entry of a frame.
 * Context: in a read section, or holding a reference or the frame.
 * Return:  the entry, or NULL: its block has no leaf.
 */
void *cf_side_find(const struct cf_side *side, cf_pfn pfn);

/**
 * cf_side_extend() - make sure a frame has an entry.
 * @ret_entry: the entry, zeroed when new
 * Context: as cf_side_find(); no lock but CF_RANK_HOTPLUG. Calls
 *          cf_port_meta_alloc().
 * Return:  0, -CF_EGONE: no such block, -CF_ENOMEM: no memory for a leaf.
 */
int cf_side_extend(struct cf_side *side, cf_pfn pfn, void **ret_entry)
	CF_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
