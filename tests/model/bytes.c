/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>

#include "bytes.h"
#include "ops.h"

static struct list list;

/* All that is known so far, as a list that replays. */
static void say_and_abort(void)
{
	uint32_t i;

	list.count = verdict->count;
	for (i = 0; i < list.count; i++)
		list.op[i] = verdict->op[i];
	printf("# operation %u of %u: %s\n", verdict->at, list.count,
	       verdict->text);
	list_print(&list);
	list_say(&list);
	fflush(stdout);
	abort();
}

uint32_t model_bytes(const uint8_t *bytes, size_t count)
{
	static struct verdict own;

	if (!verdict)
		verdict = &own;
	after_failure = say_and_abort;
	random_bytes(bytes, count);
	list.count = 0;
	setup_draw(&list.setup);
	list_run_here(&list, OPS_MAX);
	return verdict->count;
}
