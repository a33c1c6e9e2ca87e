/* SPDX-License-Identifier: MIT */
/*
 * The machine of a run: drawn, printed and parsed as "setup name=number ...".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops.h"

static const struct {
	const char *name;
	size_t offset;
	uint32_t least, most;
} fields[] = {
#define FIELD(name, least, most)					\
	{ #name, offsetof(struct setup, name), least, most }
	FIELD(block_order, CF_BLOCK_ORDER_MIN, CF_BLOCK_ORDER_MAX),
	FIELD(blocks, 1, BLOCKS_MAX),
	FIELD(holes, 0, (1u << BLOCKS_MAX) - 1),
	FIELD(nodes, 1, NODES_MAX),
	FIELD(cpus, 1, CF_CPUS_MAX),
	FIELD(poison_max, 0, 1024),
	FIELD(no_caches, 0, 1),
	FIELD(debug_pagealloc, 0, 1),
	FIELD(fenced, 0, 1),
	FIELD(fill, 0, 100),
	FIELD(every, 1, 100000),
};

#define FIELDS	(sizeof(fields) / sizeof(fields[0]))

static uint32_t *field_of(struct setup *setup, size_t i)
{
	return (uint32_t *)(void *)((uint8_t *)setup + fields[i].offset);
}

/* Small blocks mostly: more happens in a machine that is looked at often. */
static uint32_t draw_block_order(void)
{
	if (random_chance(60))
		return CF_BLOCK_ORDER_MIN;
	if (random_chance(85))
		return CF_BLOCK_ORDER_MIN + random_below(3);
	return CF_BLOCK_ORDER_MIN + random_below(CF_BLOCK_ORDER_MAX -
						 CF_BLOCK_ORDER_MIN + 1);
}

static uint32_t draw_cpus(void)
{
	if (random_chance(95))
		return 1 + random_below(4);
	return random_chance(80) ? 5 + random_below(60) : CF_CPUS_MAX;
}

static uint32_t draw_blocks_count(uint32_t order)
{
	static const uint32_t most[] = { 9, 6, 4, 3, 3, 2 };

	return 2 + random_below(most[order - CF_BLOCK_ORDER_MIN]);
}

void setup_draw(struct setup *setup)
{
	uint32_t frames;

	memset(setup, 0, sizeof(*setup));
	setup->block_order = draw_block_order();
	setup->blocks = draw_blocks_count(setup->block_order);
	if (setup->blocks > 3 && random_chance(15))
		setup->holes = random_below(1u << setup->blocks) &
			       random_below(1u << setup->blocks);
	setup->nodes = 1 + (random_chance(60) ? random_below(2) :
			    random_below(NODES_MAX));
	setup->cpus = draw_cpus();
	setup->poison_max = random_chance(85) ? 1 + random_below(12) :
			    random_below(200);
	setup->no_caches = random_chance(25);
	setup->debug_pagealloc = random_chance(25);
	setup->fenced = random_chance(50);
	setup->fill = random_chance(50) ? 100 : random_below(60);
	setup->every = random_chance(50) ? 1 : 1 + random_below(20);
	frames = setup->blocks << setup->block_order;
	if (frames > 8192)
		setup->every *= frames / 4096;
}

void setup_print(char *text, size_t bytes, const struct setup *setup)
{
	struct setup copy = *setup;
	size_t used = (size_t)snprintf(text, bytes, "setup");
	size_t i;

	for (i = 0; i < FIELDS && used < bytes; i++)
		used += (size_t)snprintf(text + used, bytes - used, " %s=%u",
					 fields[i].name, *field_of(&copy, i));
}

static bool parse_field(const char *text, struct setup *setup)
{
	size_t i, length = strcspn(text, "=");
	unsigned long value;
	char *end;

	if (!text[length])
		return false;
	value = strtoul(text + length + 1, &end, 0);
	if (end == text + length + 1 || (*end && !strchr(" \n", *end)))
		return false;
	for (i = 0; i < FIELDS; i++) {
		if (strlen(fields[i].name) != length ||
		    strncmp(fields[i].name, text, length))
			continue;
		*field_of(setup, i) = (uint32_t)value;
		return value >= fields[i].least && value <= fields[i].most;
	}
	return false;
}

/* What is not named is as in the simplest machine. */
bool setup_parse(const char *text, struct setup *setup)
{
	*setup = (struct setup){
		.block_order = CF_BLOCK_ORDER_MIN, .blocks = 1, .nodes = 1,
		.cpus = 1, .fill = 100, .every = 1,
	};
	text += strlen("setup");
	while (*text && *text != '\n') {
		text += strspn(text, " ");
		if (*text && *text != '\n' && !parse_field(text, setup))
			return false;
		text += strcspn(text, " \n");
	}
	return (setup->blocks << setup->block_order) <= FRAMES_MAX;
}
