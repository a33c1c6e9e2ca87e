/* SPDX-License-Identifier: MIT */

/*
 * Places: where in memory a step works.
 *
 *   block 3, blocks 3-5            whole blocks
 *   block 3 chunk 7, chunks 0-31   2 MiB chunks of one block
 *   frame 98304, frame 384M        one frame, by its number or address
 *   frames 384M+2M                 frames, by their first one and a length
 *   NAME, NAME[2], NAME[2]+5       a set, one run of it, one frame of that
 */

#include "read.h"

static int out_of_memory(struct scenario *scenario)
{
	return scenario_wrong(scenario, "the machine's memory ends at block %u",
			      scenario->span_frames / scenario->block_frames);
}

/* "A" or "A-B" in @word, both below @limit. Half open. */
static int parse_span(struct text word, uint64_t *ret_first,
		      uint64_t *ret_last)
{
	struct text left = word, right = word;
	uint64_t first, last;
	size_t i;

	for (i = 0; i < word.length && word.start[i] != '-'; i++)
		;
	left.length = i;
	if (parse_number(left, &first))
		return -1;
	last = first;
	if (i < word.length) {
		right.start += i + 1;
		right.length -= i + 1;
		if (parse_number(right, &last))
			return -1;
	}
	if (last < first || last == ~(uint64_t)0)
		return -1;
	*ret_first = first;
	*ret_last = last + 1;
	return 0;
}

/* "chunk 7" or "chunks 0-31" after a block. */
static int read_chunks(struct scenario *scenario, unsigned allow,
		       struct place *place)
{
	uint64_t chunks = scenario->block_frames / CF_CHUNK_FRAMES;
	uint64_t first, last;
	struct text word;

	if (!(allow & ALLOW_FRAMES))
		return scenario_wrong(scenario, "only whole blocks will do");
	word = take_word(scenario);
	if (parse_span(word, &first, &last))
		return scenario_wrong(scenario,
				      "\"%t\" is not a chunk, or A-B", &word);
	if (last > chunks)
		return scenario_wrong(scenario, "a block has %u chunks",
				      chunks);
	place->kind = PLACE_FRAMES;
	place->last = place->first + last * CF_CHUNK_FRAMES;
	place->first += first * CF_CHUNK_FRAMES;
	return 0;
}

static int read_blocks(struct scenario *scenario, unsigned allow,
		       struct place *place)
{
	struct text word = take_word(scenario);
	uint64_t first, last;

	if (parse_span(word, &first, &last))
		return scenario_wrong(scenario,
				      "\"%t\" is not a block, or A-B", &word);
	if (last > scenario->span_frames / scenario->block_frames)
		return out_of_memory(scenario);
	place->kind = PLACE_BLOCKS;
	place->first = first * scenario->block_frames;
	place->last = last * scenario->block_frames;
	if (last == first + 1 && (take_if(scenario, "chunk") ||
				  take_if(scenario, "chunks")))
		return read_chunks(scenario, allow, place);
	return 0;
}

/* A frame's number, or its address as a size. */
static int parse_frame(struct text word, cf_pfn *ret_pfn)
{
	uint64_t bytes;

	if (!parse_number(word, ret_pfn))
		return 0;
	if (parse_size(word, &bytes) || bytes % CF_FRAME_BYTES)
		return -1;
	*ret_pfn = bytes / CF_FRAME_BYTES;
	return 0;
}

static size_t find_plus(struct text word)
{
	size_t i;

	for (i = 0; i < word.length && word.start[i] != '+'; i++)
		;
	return i;
}

static int read_frames(struct scenario *scenario, bool many,
		       struct place *place)
{
	struct text word = take_word(scenario), left = word, right = word;
	size_t plus = find_plus(word);
	uint64_t count = 1;

	left.length = plus;
	if (parse_frame(left, &place->first))
		goto wrong;
	if (many) {
		if (plus == word.length)
			goto wrong;
		right.start += plus + 1;
		right.length -= plus + 1;
		if (parse_frame(right, &count) || !count)
			goto wrong;
	} else if (plus != word.length) {
		goto wrong;
	}
	if (place->first >= scenario->span_frames ||
	    count > scenario->span_frames - place->first)
		return out_of_memory(scenario);
	place->kind = PLACE_FRAMES;
	place->last = place->first + count;
	return 0;
wrong:
	return scenario_wrong(scenario, many ?
			      "\"%t\" is not FIRST+LENGTH, like 384M+2M" :
			      "\"%t\" is not a frame's number or address",
			      &word);
}

/* "[2]" and "+5" after a name. */
static int parse_tail(struct text tail, struct place *place)
{
	struct text piece = tail;
	uint64_t number;
	size_t plus = find_plus(tail);

	if (!tail.length)
		return 0;
	if (tail.start[0] == '[') {
		piece.length = plus;
		if (piece.length < 3 || piece.start[piece.length - 1] != ']')
			return -1;
		piece.start++;
		piece.length -= 2;
		if (parse_number(piece, &number) || number >= PLACE_WHOLE)
			return -1;
		place->index = (uint32_t)number;
	} else if (plus) {
		return -1;
	}
	if (plus == tail.length)
		return 0;
	piece.start = tail.start + plus + 1;
	piece.length = tail.length - plus - 1;
	if (parse_number(piece, &number) || number >> CF_MAX_ORDER)
		return -1;
	place->offset = number;
	return 0;
}

/* What a place that names something is: one bit of ALLOW_*. */
static unsigned kind_of(const struct scenario *scenario,
			const struct place *place, bool indexed, bool offset)
{
	if (scenario->name[place->name].noun == NOUN_FRAME)
		return indexed || offset ? 0 : ALLOW_FRAME;
	if (scenario->name[place->name].noun != NOUN_SET)
		return 0;
	if (offset)
		return indexed ? ALLOW_INTERIOR : 0;
	return indexed ? ALLOW_RUN : ALLOW_SET;
}

static int read_named(struct scenario *scenario, unsigned allow,
		      struct place *place)
{
	struct text word = take_word(scenario), name = word, tail = word;
	unsigned kind;
	uint32_t i;

	for (name.length = 0; name.length < word.length; name.length++)
		if (word.start[name.length] == '[' ||
		    word.start[name.length] == '+')
			break;
	tail.start += name.length;
	tail.length -= name.length;
	for (i = 0; i < scenario->names; i++)
		if (text_same(scenario->name[i].text, name))
			break;
	if (i == scenario->names)
		return scenario_wrong(scenario, "there is no set \"%t\"",
				      &name);
	place->kind = PLACE_NAME;
	place->name = i;
	place->index = PLACE_WHOLE;
	if (parse_tail(tail, place))
		return scenario_wrong(scenario, "\"%t\" is not a set, a run"
				      " like a[2] or a frame like a[2]+5",
				      &word);
	kind = kind_of(scenario, place, place->index != PLACE_WHOLE,
		       find_plus(tail) < tail.length);
	if (!(allow & kind))
		return scenario_wrong(scenario, "%t, a %s, will not do here",
				      &word, noun_name(scenario->name[i].noun));
	return 0;
}

int read_place(struct scenario *scenario, unsigned allow,
	       struct place *ret_place)
{
	struct place place = { PLACE_NONE, 0, 0, 0, PLACE_WHOLE, 0 };
	struct text word = peek_word(scenario);
	int err;

	if (!word.length)
		return scenario_wrong(scenario, "where is missing");
	if (!scenario->machine)
		return scenario_wrong(scenario, "there is no machine yet");
	if ((allow & ALLOW_BLOCKS) && (take_if(scenario, "block") ||
				       take_if(scenario, "blocks")))
		err = read_blocks(scenario, allow, &place);
	else if ((allow & ALLOW_FRAMES) && take_if(scenario, "frames"))
		err = read_frames(scenario, true, &place);
	else if ((allow & ALLOW_FRAMES) && take_if(scenario, "frame"))
		err = read_frames(scenario, false, &place);
	else
		err = read_named(scenario, allow, &place);
	if (!err)
		*ret_place = place;
	return err;
}

int read_frame(struct scenario *scenario, struct place *ret_place)
{
	struct place place = { PLACE_FRAMES, 0, 0, 0, PLACE_WHOLE, 0 };
	struct text word = peek_word(scenario);

	if (parse_frame(word, &place.first))
		return read_place(scenario, ALLOW_RUN | ALLOW_INTERIOR |
				  ALLOW_FRAME, ret_place);
	(void)take_word(scenario);
	if (place.first >= scenario->span_frames)
		return out_of_memory(scenario);
	place.last = place.first + 1;
	*ret_place = place;
	return 0;
}
