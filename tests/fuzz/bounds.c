/* SPDX-License-Identifier: MIT */
#include "bounds.h"

#define CPUS_MAX	8
#define MEMORY_BYTES	((uint64_t)32 << 20)
#define ADDED_BYTES	((uint64_t)64 << 20)	/* with the memory */
#define SPAN_BYTES	((uint64_t)64 << 30)
#define SPAN_SHORT	((uint64_t)1 << 30)	/* for walkers that pause */
#define RETIRED_MAX	512
#define NS_MAX		1000000

bool bounds_machine(const struct step *step)
{
	return step->kind == STEP_MACHINE &&
	       step->key[KEY_MEMORY] <= MEMORY_BYTES &&
	       step->key[KEY_SPAN] <= SPAN_BYTES &&
	       step_value(step, KEY_CPUS, 1) <= CPUS_MAX;
}

static void limit(uint64_t *value, uint64_t most)
{
	if (*value > most)
		*value = most;
}

static uint64_t frames_of(const struct step *step)
{
	return step->place.last - step->place.first;
}

bool bounds_apply(struct bounds *bounds, struct step *step)
{
	limit(&step->key[KEY_TIMES], 40);
	limit(&step->key[KEY_PASSES], 12);
	limit(&step->key[KEY_FOR], NS_MAX);
	limit(&step->key[KEY_OPS], 1000);
	limit(&step->key[KEY_PAUSE],
	      bounds->span > SPAN_SHORT ? 0 : NS_MAX / 100);
	switch (step->kind) {
	case STEP_MACHINE:
		bounds->span = step->key[KEY_SPAN];
		bounds->added = step->key[KEY_MEMORY] / CF_FRAME_BYTES;
		return bounds_machine(step);
	case STEP_LATE:
		/* A second each time somebody waits for an answer. */
		return false;
	case STEP_LIE:
		/* So does that, or it works for as long. */
		return step->amount.number != LIE_SILENCE &&
		       step->amount.number != LIE_RESTLESS && !step->caught;
	case STEP_VIRTIO_MEM:
	case STEP_PAGEMAP:
	case STEP_ADD:
		if (bounds->added + frames_of(step) >
		    ADDED_BYTES / CF_FRAME_BYTES)
			return false;
		bounds->added += frames_of(step);
		break;
	case STEP_WAIT:
		limit(&step->amount.number, NS_MAX);
		break;
	case STEP_RETIRE:
		if (step->place.kind == PLACE_FRAMES)
			limit(&step->place.last,
			      step->place.first + RETIRED_MAX);
		break;
	case STEP_SCRIBBLE:
	case STEP_DISCARD:
		bounds->spoiled = true;
		break;
	case STEP_DUMP: case STEP_EXPORT: case STEP_SAVE:
		return false;
	default:
		break;
	}
	return !step->caught;
}
