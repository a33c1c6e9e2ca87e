/* SPDX-License-Identifier: MIT */

/*
 * Readers of contents against whoever gives frames to the host.
 *
 * A reader counts itself in on the current ticket and then looks at words;
 * sync, after words were marked OFFLINE, waits until both tickets have been
 * seen empty.  So a reader either is waited for or sees OFFLINE.  The ticket
 * changes so that new readers cannot keep an old count up for ever.
 */

#include "internal.h"

unsigned cf_content_begin(struct cf_map *map)
{
	/* Relaxed: any ticket will do; sync waits for both. */
	unsigned ticket = (unsigned)cfi_load_relaxed(&map->content_turn) & 1;

	/*
	 * Seq_cst: sync sees us, or we see the words it was called after. The
	 * other side is wait_for(). [content]
	 */
	(void)cfi_add_seq_cst(&map->content[ticket], 1);
	return ticket;
}

void cf_content_end(struct cf_map *map, unsigned ticket)
{
	uint64_t readers;

	CF_CHECK(ticket <= 1, ticket);
	/* Release: our reads are over before sync returns. [content] */
	readers = cfi_sub_release(&map->content[ticket], 1);
	CF_CHECK(readers > 0, ticket);
}

static void wait_for(struct cf_map *map, unsigned ticket)
{
	unsigned spins = 0;

	/*
	 * Seq_cst, as an exchange: the words marked before are seen by every
	 * reader that comes later. Acquire: readers we waited for are done.
	 * [content]
	 */
	while (cfi_or_seq_cst(&map->content[ticket], 0) != 0)
		cf_port_relax(spins++);
}

void cf_content_sync(struct cf_map *map)
{
	unsigned long state = cf_lock(&map->content_lock);
	/* Relaxed: written under the lock we hold. */
	unsigned ticket = (unsigned)cfi_load_relaxed(&map->content_turn) & 1;

	wait_for(map, !ticket);
	/* Relaxed: as in cf_content_begin(). */
	cfi_store_relaxed(&map->content_turn, !ticket);
	wait_for(map, ticket);
	cf_unlock(&map->content_lock, state);
}
