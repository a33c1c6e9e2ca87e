/* SPDX-License-Identifier: MIT */
#ifndef OWNERS_GUESTMEM_H
#define OWNERS_GUESTMEM_H

/*
 * Memory of a confidential guest: pages that the host shares with it, and
 * pages that are private, which the host must not touch.
 *
 * A shared page is a FOLIO of this owner's: counted, movable as long as
 * nobody but this owner has a reference, readable by everybody who has one.
 * A private page is the same run frozen: it has no references and nobody can
 * get one, by name or by number.  The owner promises (private_frozen) that
 * contents of its frozen runs are its own, so dump and save leave them out.
 * Nothing here ever reads or copies one; if the machine can move private
 * memory (firmware.move), it moves by that alone.
 *
 * From shared to private a page must first have no reference left, also none
 * that somebody took by its number.  This is asynchronous freezing: the
 * conversion drops the owner's own reference and returns; the last put of all
 * others freezes the page and tells the release hook.  No reference can be
 * taken from then on, so what is frozen stays so.  Nobody waits in a call:
 * guestmem_convert_step() says whether it is done, guestmem_holders() who is
 * in the way, and until it is done it can be cancelled.
 *
 * A conversion stays in place, allocates nothing, and costs the engine two
 * exchanges of a word: the frame is the same before and after.
 *
 *	absent -- populate --> shared -- start --> converting -- last put -->
 *	frozen -- step --> private -- share --> shared;  cancel: --> shared
 *
 * All calls may run at once but create, destroy and verify, and a conversion
 * is one caller's.  The lock has CF_RANK_LEAF, nothing is called under it.
 */

#include <coldframe/owner.h>
#include <coldframe/types.h>

struct guestmem;

/* What the machine does to a page's memory.  Nonzero refuses. */
struct guestmem_firmware {
	/* Nobody has a reference; dump and save have passed. */
	int (*make_private)(void *context, cf_pfn pfn, unsigned order);
	int (*make_shared)(void *context, cf_pfn pfn, unsigned order);
	/*
	 * Optional: private contents to @target, which is private then, and
	 * @source is shared memory again.
	 */
	int (*move)(void *context, cf_pfn source, cf_pfn target,
		    unsigned order);
};

struct guestmem_config {
	const char *name;	/* for reports; NULL: "guestmem" */
	uint64_t pages;		/* numbered from 0; 1..2^32 - 2 */
	uint32_t order;		/* of each page: 0..9 */
	uint32_t holds;		/* most guestmem_get() at one time; 0: none */
	enum cf_zone_kind zone;	/* NORMAL or MOVABLE */
	uint32_t node;		/* preferred, or CF_NODE_ANY */
	const struct guestmem_firmware *firmware;
	void *context;		/* handed to it */
};

/** guestmem_bytes() - memory it needs; 0: @config can never be right. */
size_t guestmem_bytes(const struct cf_map *map,
		      const struct guestmem_config *config);

/**
 * guestmem_create() - the memory of a guest, all of it absent.
 * @storage: guestmem_bytes() bytes, aligned to 16; kept until destroyed
 *
 * Pair with guestmem_destroy().
 *
 * Context: takes CF_RANK_HOTPLUG.
 * Return:  0, or with nothing changed:
 *          -CF_EINVAL  @config can never be right
 *          -CF_ELIMIT  no owner id is left
 *          -CF_ENOMEM  no memory for the side table's directory
 */
int guestmem_create(struct cf_map *map, const struct guestmem_config *config,
		    void *storage, struct guestmem **ret_memory)
	CF_MUST_CHECK;

/**
 * guestmem_destroy() - give all pages back and unregister.
 * @report: NULL, or what is in the way: frame, references, owner
 *
 * Context: takes CF_RANK_HOTPLUG, waits for read sections.
 * Return:  0, or with all pages as they were:
 *          -CF_EBUSY  a shared page has references, or a conversion is going
 *          or having given part of the pages back:
 *          -CF_EPORT  the firmware refused to take a private page back
 *          -CF_EAGAIN an operation has just begun to move a page: again
 */
int guestmem_destroy(struct guestmem *memory, struct cf_report *report)
	CF_MUST_CHECK;

uint32_t guestmem_owner(const struct guestmem *memory);

/**
 * guestmem_populate() - make absent pages of [first, last) shared, zeroed.
 *
 * Context: any that may allocate; no lock but CF_RANK_HOTPLUG.
 * Return:  0, or having done the pages before the one that failed:
 *          -CF_EINVAL  empty, or beyond the guest's pages
 *          -CF_ENOMEM  no memory
 *          -CF_EPORT   the port maps no contents
 */
int guestmem_populate(struct guestmem *memory, uint64_t first, uint64_t last)
	CF_MUST_CHECK;

/**
 * guestmem_discard() - give pages of [first, last) up; they are absent then.
 *
 * A shared page that others still refer to goes with their last put. Absent
 * pages are stepped over.
 *
 * Context: calls the firmware with no lock held.
 * Return:  0, or having done the pages before the one that failed:
 *          -CF_EINVAL  empty, or beyond the guest's pages
 *          -CF_EBUSY   it is being converted, or has a holder with a name
 *          -CF_EPORT   the firmware refused
 *          -CF_EAGAIN  it is being moved, also by the firmware, or another
 *                      call has it in hand
 */
int guestmem_discard(struct guestmem *memory, uint64_t first, uint64_t last)
	CF_MUST_CHECK;

/**
 * guestmem_get() - a reference to a shared page, with a name to it.
 * @who:     who holds it, for reports; stays valid until put
 * @ret_pfn: head of the page
 *
 * Pair with guestmem_put(). A page with such a reference does not move.
 *
 * Return:  0, or with nothing changed:
 *          -CF_EINVAL   no such page, or no name
 *          -CF_EGONE    it is absent
 *          -CF_EREFUSED it is private: the host may not touch it
 *          -CF_EAGAIN   it is being converted or moved
 *          -CF_ELIMIT   config.holds are out, or its count is at its limit
 */
int guestmem_get(struct guestmem *memory, uint64_t page, const char *who,
		 cf_pfn *ret_pfn) CF_MUST_CHECK;

/**
 * guestmem_put() - drop a reference guestmem_get() gave.
 * Return: 0, or -CF_EINVAL: nobody of that name has one.
 */
int guestmem_put(struct guestmem *memory, uint64_t page, const char *who)
	CF_MUST_CHECK;

/* ---- shared to private ---- */

/* A conversion; the caller's memory.  Only to be read. */
struct guestmem_conversion {
	struct guestmem *memory;
	uint64_t first, last;	/* pages */
	bool going;		/* started, neither done nor cancelled */
	bool cancelling;	/* going, and that has begun */
	uint64_t waiting;	/* pages with references, at the last step */
	uint64_t done;		/* pages that are private */
};

/**
 * guestmem_convert_start() - begin to make [first, last) private.
 * @conversion: zeroed, or one that has ended
 *
 * Drops the owner's references. guestmem_get() refuses the pages from here
 * on; references that are out stay good.
 *
 * Return:  0, or with nothing changed:
 *          -CF_EINVAL  empty or beyond the guest's pages; it is going already
 *          -CF_EGONE   a page is absent
 *          -CF_EBUSY   a page is being converted by another
 *          -CF_EAGAIN  a page is being moved, also by the firmware, or
 *                      another call has it in hand
 *          -CF_EREFUSED a page is private
 */
int guestmem_convert_start(struct guestmem *memory,
			   struct guestmem_conversion *conversion,
			   uint64_t first, uint64_t last) CF_MUST_CHECK;

/**
 * guestmem_convert_step() - make them private, if nobody has a reference.
 * @report: NULL, or what is in the way: its frame, references and who
 *
 * Nothing is made private before all pages are without references. Until it
 * ends all pages are this conversion's: also of those that are private already
 * nobody else shares, discards or converts any.
 *
 * Context: waits for readers of contents, calls the firmware, no lock held.
 *
 * Return:  0: all are private; or it goes on, step again or cancel:
 *          -CF_EINVAL  it is not going, or being cancelled
 *          -CF_EAGAIN  pages have references
 *          -CF_EPORT   the firmware refused
 */
int guestmem_convert_step(struct guestmem_conversion *conversion,
			  struct cf_report *report) CF_MUST_CHECK;

/**
 * guestmem_convert_cancel() - all pages of it are shared again.
 *
 * Contents are as before, but of pages that a step has made private already
 * (firmware refused a later one), whose contents the firmware decides. If it
 * has to be called again, pages that are shared by then may be converted by
 * others.
 *
 * Context: calls the firmware with no lock held.
 * Return:  0, or call again:
 *          -CF_EINVAL  it is not going
 *          -CF_EAGAIN  a last put is just on its way to the release hook,
 *                      or the firmware is moving a page
 *          -CF_EPORT   the firmware refused
 */
int guestmem_convert_cancel(struct guestmem_conversion *conversion)
	CF_MUST_CHECK;

/* One that has references of a page. */
struct guestmem_holder {
	uint64_t page;
	cf_pfn pfn;
	const char *who;	/* as guestmem_get() was told; NULL: who took
				 * references by the frame's number */
	uint32_t refs;		/* so many of them */
	uint32_t pins;		/* of the page, all holders together */
};

/**
 * guestmem_holders() - who has references of pages in [first, last)?
 * @ret_holders: room for @room of them
 *
 * The owner's own reference is not counted. What is found may be stale.
 *
 * Return: how many there are; if more than @room, the first @room are filled
 *         in.
 */
size_t guestmem_holders(struct guestmem *memory, uint64_t first, uint64_t last,
			struct guestmem_holder *ret_holders, size_t room);

/* ---- private to shared ---- */

/**
 * guestmem_share() - make private pages of [first, last) shared again.
 * @ret_done: how many pages were, also on failure
 *
 * Contents are what the firmware makes of them. Shared pages are stepped over.
 *
 * Context: calls the firmware with no lock held.
 * Return:  0, or having done the pages before the one that failed, which is
 *          as it was:
 *          -CF_EINVAL  empty or beyond the guest's pages
 *          -CF_EGONE   it is absent
 *          -CF_EBUSY   it is being converted
 *          -CF_EAGAIN  the firmware is just moving it, or another call has it
 *                      in hand
 *          -CF_EPORT   the firmware refused
 */
int guestmem_share(struct guestmem *memory, uint64_t first, uint64_t last,
		   uint64_t *ret_done) CF_MUST_CHECK;

/* ---- looking ---- */

enum guestmem_state {
	GUESTMEM_ABSENT,
	GUESTMEM_SHARED,
	GUESTMEM_CONVERTING,	/* waits for references, or between the two */
	GUESTMEM_PRIVATE,
	GUESTMEM_STATES
};

const char *guestmem_state_name(enum guestmem_state state);

/**
 * guestmem_look() - state and frame of a page.
 * @ret_pfn: NULL, or its frame; CF_PFN_NONE: absent
 * Return: its state; ABSENT also of a page the guest does not have.
 */
enum guestmem_state guestmem_look(struct guestmem *memory, uint64_t page,
				  cf_pfn *ret_pfn);

struct guestmem_stat {
	uint64_t pages[GUESTMEM_STATES];
	uint64_t conversions;	/* pages made private, ever */
	uint64_t moved;		/* pages moved, ever: shared by copying, ... */
	uint64_t moved_private;	/* ... private by the firmware */
	uint32_t holds;		/* references with names */
	/* Wrong use that was put right: */
	uint64_t strangers;	/* last puts of runs that are no pages */
	uint64_t stolen;	/* puts of a shared page's own reference */
	cf_pfn culprit;		/* the frame of the last of these, or NONE */
};

void guestmem_stat(struct guestmem *memory, struct guestmem_stat *ret_stat);

/**
 * guestmem_verify() - are all pages what the map says they are?
 * @ret_pfn: a frame that is not, or that names the owner and is no page
 * Context: nothing else runs. Return: true: they are.
 */
bool guestmem_verify(struct guestmem *memory, cf_pfn *ret_pfn);

#endif
