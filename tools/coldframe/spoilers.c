/* SPDX-License-Identifier: MIT */
#include "spoilers.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
	COL_BLOCK, COL_VERDICT, COL_SPOILERS, COL_CHUNKS, COL_MAIN, COL_FIRST,
	COL_MOVABLE, COL_SUM, COL_COUNT
};

static const struct table_column columns[COL_COUNT] = {
	[COL_BLOCK] = { "BLOCK", "number of the memory block", TABLE_RIGHT },
	[COL_VERDICT] = { "VERDICT", "as in blocks", TABLE_LEFT },
	[COL_SPOILERS] = { "SPOILERS", "frames that block or may block",
			   TABLE_RIGHT },
	[COL_CHUNKS] = { "CHUNKS", "chunks of 2 MiB that have some",
			TABLE_RIGHT },
	[COL_MAIN] = { "MOSTLY", "what most of them are", TABLE_LEFT },
	[COL_FIRST] = { "FIRST", "pfn of the first of these", TABLE_RIGHT },
	[COL_MOVABLE] = { "MOVABLE", "what would have to be moved",
			TABLE_RIGHT },
	[COL_SUM] = { "SUM", "size with all blocks above", TABLE_RIGHT },
};

/* A block that could go, were it not for some frames. */
struct spoiled {
	uint64_t id;
	uint32_t frames, chunks, movable;
	uint32_t first;			/* within the block */
	uint8_t verdict, class;
};

struct row {
	const struct spoiled *spoiled;
	uint64_t block_frames, sum;
	bool addresses;
};

static const char *print_cell(const void *context, unsigned int column,
			      bool bytes, char buffer[512])
{
	const struct row *row = context;
	const struct spoiled *spoiled = row->spoiled;
	uint64_t size = column == COL_SUM ? row->sum :
			(uint64_t)spoiled->movable << CF_FRAME_SHIFT;

	switch (column) {
	case COL_BLOCK:
		snprintf(buffer, 512, "%" PRIu64, spoiled->id);
		return buffer;
	case COL_VERDICT:
		return lx_verdict_name((enum lx_verdict)spoiled->verdict);
	case COL_MAIN:
		return spoiled->frames ?
		       lx_class_name((enum lx_class)spoiled->class) : "";
	case COL_FIRST:
		if (!spoiled->frames || !row->addresses)
			return "";
		snprintf(buffer, 512, "0x%" PRIx64,
			 spoiled->id * row->block_frames + spoiled->first);
		return buffer;
	case COL_SPOILERS:
	case COL_CHUNKS:
		snprintf(buffer, 512, "%" PRIu32, column == COL_CHUNKS ?
			 spoiled->chunks : spoiled->frames);
		return buffer;
	default:
		snprintf(buffer, 512, "%" PRIu64, size);
		return bytes ? buffer : common_short(size, buffer);
	}
}

void spoilers_table(struct table *table)
{
	unsigned int i;

	table->column = columns;
	table->columns = COL_COUNT;
	table->cell = print_cell;
	table->cell_color = NULL;
	table->items = "spoilers";
	for (i = 0; i < COL_COUNT; i++)
		table->chosen[i] = i;
	table->count = COL_COUNT;
}

static struct spoiled summarise(const struct surveyed *found)
{
	const struct lx_piece *piece = &found->piece;
	struct spoiled spoiled = {
		.id = found->block->id,
		.chunks = lx_judged_spoiled(&found->judgement, piece),
		.verdict = (uint8_t)found->judgement.verdict,
	};
	uint64_t most = 0;
	unsigned int i;

	for (i = 0; i < LX_CLASS_COUNT; i++) {
		enum lx_role role = lx_class_role((enum lx_class)i);

		if (lx_judged_moves(&found->judgement, (enum lx_class)i)) {
			spoiled.movable += (uint32_t)piece->count[i];
			continue;
		}
		if (role != LX_ROLE_BLOCKS && role != LX_ROLE_DOUBT)
			continue;
		spoiled.frames += (uint32_t)piece->count[i];
		if (piece->count[i] <= most)
			continue;
		most = piece->count[i];
		spoiled.class = (uint8_t)i;
		spoiled.first = (uint32_t)(piece->at[i] - piece->first);
	}
	return spoiled;
}

static int compare(const void *a, const void *b)
{
	const struct spoiled *left = a, *right = b;

	if (left->frames != right->frames)
		return left->frames < right->frames ? -1 : 1;
	if (left->movable != right->movable)
		return left->movable < right->movable ? -1 : 1;
	return (left->id < right->id) - (left->id > right->id);
}

/* Blocks that never go, are gone, or nothing is known about, are no help. */
static bool could_go(enum lx_verdict verdict)
{
	return verdict == LX_VERDICT_BLOCKED ||
	       verdict == LX_VERDICT_DOUBTFUL ||
	       verdict == LX_VERDICT_CANDIDATE ||
	       verdict == LX_VERDICT_EMPTY;
}

static int collect(struct survey *survey, struct spoiled *spoiled,
		   size_t *ret_count)
{
	struct surveyed found;
	size_t count = 0;
	int ret;

	while ((ret = survey_next(survey, &found)) > 0) {
		if (could_go(found.judgement.verdict))
			spoiled[count++] = summarise(&found);
	}
	if (count)
		qsort(spoiled, count, sizeof(*spoiled), compare);
	*ret_count = count;
	return ret;
}

static json_t *json_spoiled(const struct row *row)
{
	const struct spoiled *spoiled = row->spoiled;
	json_t *object = json_pack("{s:I, s:s, s:I, s:I, s:I, s:I}",
		"block", (json_int_t)spoiled->id,
		"verdict", lx_verdict_name((enum lx_verdict)spoiled->verdict),
		"spoiling_frames", (json_int_t)spoiled->frames,
		"spoiled_chunks", (json_int_t)spoiled->chunks,
		"movable_frames", (json_int_t)spoiled->movable,
		"sum_bytes", (json_int_t)row->sum);

	if (spoiled->frames)
		json_object_set_new(object, "mostly", json_string(
			lx_class_name((enum lx_class)spoiled->class)));
	if (spoiled->frames && row->addresses)
		json_object_set_new(object, "first_pfn", json_integer(
			(json_int_t)(spoiled->id * row->block_frames +
				     spoiled->first)));
	return object;
}

static bool put(struct table *table, const struct row *row)
{
	return table->mode == TABLE_JSON ? json_add(table, json_spoiled(row)) :
					   table_add(table, row);
}

static int print(struct survey *survey, struct table *table,
		 const struct spoiled *spoiled, size_t count, uint64_t size)
{
	uint64_t bytes = survey->host.blocks.frames << CF_FRAME_SHIFT;
	struct row row = {
		.block_frames = survey->host.blocks.frames,
		.addresses = survey->host.addresses,
	};
	bool good = true;
	size_t i;
	int status;

	if (table->mode == TABLE_JSON)
		json_begin(table, json_object());
	for (i = 0; good && i < count && (!size || row.sum < size); i++) {
		row.spoiled = &spoiled[i];
		row.sum += bytes;
		good = put(table, &row);
	}
	if (table->mode == TABLE_JSON)
		good = json_end(table, json_object()) && good;
	else
		good = table_end(table) && good;
	status = survey_end(survey);
	if (!good)
		return table_failed(table);
	if (row.sum >= size)
		return status;
	common_note(survey->command, "that is all; the other blocks never go, "
		    "are offline, or nothing is known about them");
	return row.sum ? EXIT_PARTLY : EXIT_FAILED;
}

int spoilers(struct survey *survey, struct table *table, uint64_t size)
{
	struct spoiled *spoiled = calloc(survey->host.blocks.count + 1,
					 sizeof(*spoiled));
	size_t count;
	int status;

	if (!spoiled)
		return common_failed(survey->command, "out of memory");
	if (collect(survey, spoiled, &count))
		status = common_unread(survey->command, &survey->err);
	else
		status = print(survey, table, spoiled, count, size);
	free(spoiled);
	return status;
}
