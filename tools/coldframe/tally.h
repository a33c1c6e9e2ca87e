/* SPDX-License-Identifier: MIT */
#ifndef COLDFRAME_TALLY_H
#define COLDFRAME_TALLY_H

#include <stdbool.h>
#include <stdint.h>

#define TALLY_SLOTS 8192

/*
 * How many frames have which word.  An open hash table by the low 13 bits of
 * the word, so that walking the slots gives the rows in the order the
 * kernel's page-types prints them.  Slot 0 is for word 0 alone.
 *
 * total == sum of all slot[].frames.
 */
struct tally {
	struct tally_slot {
		uint64_t word, frames;	/* frames 0: not in use */
	} slot[TALLY_SLOTS];
	uint64_t total;
};

/**
 * tally_add() - count frames with a word.
 * Return: false when there are more different words than slots: the tally
 *         is as before.
 */
bool tally_add(struct tally *tally, uint64_t word, uint64_t frames);

#endif
