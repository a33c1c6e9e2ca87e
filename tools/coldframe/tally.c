/* SPDX-License-Identifier: MIT */
#include "tally.h"

#include <stddef.h>

/* The slot that has the word or may take it, or NULL: all are in use. */
static struct tally_slot *find_slot(struct tally *tally, uint64_t word)
{
	uint64_t index = word % TALLY_SLOTS, tries;

	if (!word)
		return &tally->slot[0];
	for (tries = 1; tries < TALLY_SLOTS; tries++) {
		struct tally_slot *slot;

		if (!index)
			index = 1;
		slot = &tally->slot[index];
		if (!slot->frames || slot->word == word)
			return slot;
		index = (index + 1) % TALLY_SLOTS;
	}
	return NULL;
}

bool tally_add(struct tally *tally, uint64_t word, uint64_t frames)
{
	struct tally_slot *slot = find_slot(tally, word);

	if (!slot)
		return false;
	slot->word = word;
	slot->frames += frames;
	tally->total += frames;
	return true;
}
