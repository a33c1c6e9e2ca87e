/* SPDX-License-Identifier: MIT */

/*
 * Words of a scenario that stand for tricks of the models, one by one.
 * Method: both lists, side by side.
 */

#include <string.h>

#include "machine/virtio/model.h"
#include "scenario/scenario.h"
#include "tests/tap.h"

static void words_are_tricks(void)
{
	const char *trick;
	uint64_t i;

	CHECK_EQ(LIE_COUNT, MODEL_TRICK_COUNT);
	for (i = 0; i < LIE_COUNT; i++) {
		trick = model_trick_name((enum model_trick)i);
		if (!CHECK(lie_name(i) && !strcmp(lie_name(i), trick)))
			tap_print("# word %s, trick %s\n", lie_name(i),
				  trick);
	}
	CHECK(!lie_name(LIE_COUNT));
	CHECK(!strcmp(lie_name(LIE_SILENCE), "silence"));
}

/* Those of an answer of virtio-mem and of its configuration. */
static void some_are_of_mem(void)
{
	uint64_t i;

	for (i = 0; i < LIE_COUNT; i++)
		CHECK_EQ(lie_is_of_mem(i),
			 (i >= MODEL_NACK && i <= MODEL_LIE_NOTHING_DONE) ||
			 (i >= MODEL_LIE_BLOCK_SIZE &&
			  i <= MODEL_LIE_RESTLESS));
}

int main(void)
{
	tap_run("a word a trick, in one order", words_are_tricks);
	tap_run("tricks of a virtio-mem alone", some_are_of_mem);
	return tap_done();
}
