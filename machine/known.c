/* SPDX-License-Identifier: MIT */

/*
 * What the machine remembers of its memory and the engine does not tell:
 * which blocks were added together, and which frames are bad; and what was said
 * of them before it was restored.
 */

#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "known.h"

#define TEXTS_MAX	1024

struct kept_text {
	struct kept_text *next;
	char text[];
};

static void block_group_free(struct block_group *group)
{
	free(group->memory);
	free(group);
}

/* Metadata that is the caller's: memory of ours, until the block goes. */
static int lend(struct machine *machine, struct block_group *group)
{
	uint64_t blocks = (group->last - group->first) / machine->block_frames;
	size_t bytes = cf_block_meta_bytes(machine->map, blocks);

	group->memory = aligned_alloc(CF_FRAME_BYTES, (bytes + CF_FRAME_BYTES -
				      1) / CF_FRAME_BYTES * CF_FRAME_BYTES);
	return group->memory ? 0 : -CF_ENOMEM;
}

int block_group_add(struct machine *machine, cf_pfn first, cf_pfn last,
	      struct cf_block_config config)
{
	struct block_group *group = calloc(1, sizeof(*group));
	int err = 0;

	if (!group)
		return -CF_ENOMEM;
	group->first = first;
	group->last = last;
	group->meta = config.meta;
	group->node = config.node;
	if (config.meta == CF_META_CALLER)
		err = lend(machine, group);
	config.memory = group->memory;
	if (!err)
		err = cf_block_add(machine->map, first, last, &config);
	if (err) {
		block_group_free(group);
		return err;
	}
	group->next = machine->block_groups;
	machine->block_groups = group;
	return 0;
}

void block_groups_forget(struct machine *machine, cf_pfn first, cf_pfn last)
{
	struct block_group **at = &machine->block_groups, *group;

	while ((group = *at) != NULL) {
		if (group->first < first || group->last > last) {
			at = &group->next;
			continue;
		}
		*at = group->next;
		block_group_free(group);
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

const char *text_keep(struct machine *machine, const char *text)
{
	size_t bytes = strlen(text) + 1;
	struct kept_text *kept;
	unsigned count = 0;

	for (kept = machine->texts; kept; kept = kept->next, count++)
		if (!strcmp(kept->text, text))
			return kept->text;
	kept = count < TEXTS_MAX ? malloc(sizeof(*kept) + bytes) : NULL;
	if (!kept)
		return NULL;
	(void)memcpy(kept->text, text, bytes);
	kept->next = machine->texts;
	machine->texts = kept;
	return kept->text;
}

void texts_forget(struct machine *machine)
{
	struct kept_text *kept;

	while ((kept = machine->texts) != NULL) {
		machine->texts = kept->next;
		free(kept);
	}
}
