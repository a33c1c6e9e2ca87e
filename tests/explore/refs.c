/* SPDX-License-Identifier: MIT */

/*
 * References: nothing can be had that is not there, and nothing is given back
 * that somebody has.
 */

#include "ground.h"

static struct {
	cf_pfn pfn;
} *w;

static void set_up(void)
{
	ground_init((struct ground_config) { .blocks = 1 });
	w = explore_memory(sizeof(*w));
	w->pfn = ground_alloc(CF_TYPE_FOLIO, 0, 0);
}

static void put_it(void)
{
	*ground_contents(w->pfn) = 1;
	cf_put(ground_map, w->pfn);
}

/* If it is ours to free, the next to have it sees all that was written. */
static void get_put_and_reuse(void)
{
	struct cf_request request = { .type = CF_TYPE_KERNEL };
	cf_pfn pfn;

	if (cf_try_get(ground_map, w->pfn))
		return;
	cf_put(ground_map, w->pfn);
	if (cf_alloc(ground_map, request, &pfn) == 0) {
		*ground_contents(pfn) = 2;
		cf_put(ground_map, pfn);
	}
}

static const struct explore_program get_against_last_put = {
	.name = "get-against-last-put",
	.worry = "a reference by number never lands on a freed frame",
	.setup = set_up,
	.thread = { put_it, get_put_and_reuse },
	.end = ground_verify,
	.quick = true,
};

const struct explore_program *const explore_refs[] = {
	&get_against_last_put, NULL
};
