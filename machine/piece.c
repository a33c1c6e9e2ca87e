/* SPDX-License-Identifier: MIT */

/*
 * What the machine remembers of its memory and the engine does not tell:
 * which blocks were added together, and which frames are bad.
 */

#include <stdlib.h>

#include "internal.h"
#include "known.h"

static void piece_free(struct piece *piece)
{
	free(piece->memory);
	free(piece);
}

/* Metadata that is the caller's: memory of ours, until the block goes. */
static int lend(struct machine *machine, struct piece *piece)
{
	uint64_t blocks = (piece->last - piece->first) / machine->block_frames;
	size_t bytes = cf_block_meta_bytes(machine->map, blocks);

	piece->memory = aligned_alloc(CF_FRAME_BYTES, (bytes + CF_FRAME_BYTES -
				      1) / CF_FRAME_BYTES * CF_FRAME_BYTES);
	return piece->memory ? 0 : -CF_ENOMEM;
}

int piece_add(struct machine *machine, cf_pfn first, cf_pfn last,
	      struct cf_block_config config)
{
	struct piece *piece = calloc(1, sizeof(*piece));
	int err = 0;

	if (!piece)
		return -CF_ENOMEM;
	piece->first = first;
	piece->last = last;
	piece->meta = config.meta;
	piece->node = config.node;
	if (config.meta == CF_META_CALLER)
		err = lend(machine, piece);
	config.memory = piece->memory;
	if (!err)
		err = cf_block_add(machine->map, first, last, &config);
	if (err) {
		piece_free(piece);
		return err;
	}
	piece->next = machine->pieces;
	machine->pieces = piece;
	return 0;
}

void pieces_forget(struct machine *machine, cf_pfn first, cf_pfn last)
{
	struct piece **at = &machine->pieces, *piece;

	while ((piece = *at) != NULL) {
		if (piece->first < first || piece->last > last) {
			at = &piece->next;
			continue;
		}
		*at = piece->next;
		piece_free(piece);
	}
}

/* Caller holds signal_lock. */
static int note(struct machine *machine, cf_pfn pfn)
{
	size_t room = machine->map_config.poison_max, i;

	if (!machine->bad)
		machine->bad = calloc(room, sizeof(*machine->bad));
	if (!machine->bad)
		return -CF_ENOMEM;
	for (i = 0; i < machine->bad_count; i++)
		if (machine->bad[i] == pfn)
			return 0;
	if (i == room)
		return -CF_ELIMIT;
	machine->bad[machine->bad_count++] = pfn;
	return 0;
}

int bad_note(struct machine *machine, cf_pfn pfn)
{
	int err;

	(void)pthread_mutex_lock(&machine->signal_lock);
	err = note(machine, pfn);
	(void)pthread_mutex_unlock(&machine->signal_lock);
	return err;
}

cf_pfn bad_next(struct machine *machine, cf_pfn first, cf_pfn last)
{
	size_t i;

	(void)pthread_mutex_lock(&machine->signal_lock);
	for (i = 0; i < machine->bad_count; i++)
		if (machine->bad[i] >= first && machine->bad[i] < last)
			last = machine->bad[i];
	(void)pthread_mutex_unlock(&machine->signal_lock);
	return last;
}
