/* SPDX-License-Identifier: MIT */

/*
 * What no caller should do: one of two is caught by a check, and nothing is
 * lost or handed out twice. And counts at their limit.
 */

#include <string.h>

#include "ground.h"

static struct {
	cf_pfn pfn;
	uint32_t owner;
	uint64_t caught[3];	/* checks that failed, by thread */
	uint64_t got[3];	/* references, by thread */
	bool done;		/* the frame went offline */
} *w;

static struct cf_snapshot look(cf_pfn pfn)
{
	struct cf_snapshot run;

	MUST(cf_snapshot(ground_map, pfn, &run));
	return run;
}

/* One frame, with a reference if its type has any. */
static void make_frame(enum cf_type type)
{
	ground_init((struct ground_config) { .blocks = 1 });
	w = explore_memory(sizeof(*w));
	explore_name(w, sizeof(*w), "the program's", -1);
	w->pfn = ground_alloc(type, 0, 0);
}

static void make_folio(void)
{
	make_frame(CF_TYPE_FOLIO);
}

/* A check that may fail; each is noted. */
static bool caught(const char *expression, const char *wanted)
{
	w->caught[explore_self()]++;
	return strstr(expression, wanted);
}

/* ---- a put too many ---- */

static bool is_put_check(const char *expression)
{
	return caught(expression, "word_is_counted(old)") ||
	       strstr(expression, "word != ");
}

static void make_folio_and_allow_check(void)
{
	make_folio();
	explore_port_machine()->panic = is_put_check;
}

/* Where counted runs have their references: so many would these be. */
#define PAYLOAD (5u << 10)

static void put_and_go_offline(void)
{
	cf_put(ground_map, w->pfn);
	MUST(cf_offline_alloc_range(ground_map, w->owner, w->pfn, w->pfn + 1,
				    0, NULL));
	MUST(cf_offline_set_payload(ground_map, w->owner, w->pfn, PAYLOAD));
	w->done = true;
}

/* Nobody gave us a reference. */
static void put_astray(void)
{
	cf_put(ground_map, w->pfn);
}

/* One of the two puts was refused; offline, the frame stays so. */
static void one_was_caught(void)
{
	struct cf_snapshot run;

	REQUIRE(w->caught[0] + w->caught[1] == 1);
	if (w->done) {
		run = look(w->pfn);
		REQUIRE(run.type == CF_TYPE_OFFLINE);
		REQUIRE(run.payload == PAYLOAD);
	}
	ground_verify();
}

static const struct explore_program stray_put_against_offline = {
	.name = "stray-put-against-offline",
	.worry = "a put too many of a frame that went offline is caught, and "
		 "never leaks it to the allocator (PG_offline, 2018; offline "
		 "pages, 2024)",
	.setup = make_folio_and_allow_check,
	.thread = { put_and_go_offline, put_astray },
	.end = one_was_caught,
	.quick = true,
};

static const struct cf_owner_ops no_hooks;

static void make_driver_and_allow_check(void)
{
	make_folio_and_allow_check();
	MUST(cf_owner_register(ground_map, "driver", &no_hooks, NULL,
			       &w->owner));
}

static const struct explore_program stray_put_against_driver = {
	.name = "stray-put-against-driver",
	.worry = "the same for a frame that a driver took offline: it is not "
		 "even asked (virtio-mem and PG_offline, 2018)",
	.setup = make_driver_and_allow_check,
	.thread = { put_and_go_offline, put_astray },
	.end = one_was_caught,
	.quick = true,
};

/* ---- a frozen frame that is freed twice ---- */

static bool is_free_check(const char *expression)
{
	return caught(expression, "may_change") ||
	       strstr(expression, "word_is_frozen(word)") ||
	       strstr(expression, "slot != ");
}

static void make_slab_and_allow_check(void)
{
	make_frame(CF_TYPE_SLAB);
	explore_port_machine()->panic = is_free_check;
}

static void free_slab(void)
{
	cf_free_frozen(ground_map, w->pfn, 0);
}

static void one_free_was_caught(void)
{
	struct cf_snapshot run;

	REQUIRE(w->caught[0] + w->caught[1] == 1);
	REQUIRE(cf_snapshot(ground_map, w->pfn, &run) == -CF_EGONE);
	ground_verify();
}

static const struct explore_program free_against_free = {
	.name = "free-against-free",
	.worry = "a frozen frame that two free at one time is freed once; the "
		 "other is caught (frozen pages without a count, 2024)",
	.setup = make_slab_and_allow_check,
	.thread = { free_slab, free_slab },
	.end = one_free_was_caught,
	.quick = true,
};

/* ---- a count that is set twice ---- */

static bool is_unfreeze_check(const char *expression)
{
	return caught(expression, "word_refs(old) == 0");
}

static void make_frozen_and_allow_check(void)
{
	make_folio();
	MUST(cf_freeze(ground_map, w->pfn, 1));
	explore_port_machine()->panic = is_unfreeze_check;
}

static void unfreeze_it(void)
{
	cf_unfreeze(ground_map, w->pfn, 1);
}

static void one_unfreeze_was_caught(void)
{
	REQUIRE(w->caught[0] + w->caught[1] == 1);
	REQUIRE(look(w->pfn).refs == 1);
	ground_verify();
}

static const struct explore_program unfreeze_against_unfreeze = {
	.name = "unfreeze-against-unfreeze",
	.worry = "a count that somebody resets behind another's back is "
		 "caught (ZONE_DEVICE, 2022)",
	.setup = make_frozen_and_allow_check,
	.thread = { unfreeze_it, unfreeze_it },
	.end = one_unfreeze_was_caught,
	.quick = true,
};

/* ---- counts at their limit ---- */

static void make_nearly_full(void)
{
	make_folio();
	MUST(cf_freeze(ground_map, w->pfn, 1));
	cf_unfreeze(ground_map, w->pfn, CF_REFS_MAX - 1);
}

static void get_one(void)
{
	int err = cf_get(ground_map, w->pfn);

	REQUIRE(err == 0 || err == -CF_ELIMIT);
	w->got[explore_self()] = !err;
}

static void try_get_one(void)
{
	int err = cf_try_get(ground_map, w->pfn);

	REQUIRE(err == 0 || err == -CF_ELIMIT);
	w->got[explore_self()] = !err;
}

static void one_more_at_most(void)
{
	uint64_t got = w->got[0] + w->got[1] + w->got[2];

	REQUIRE(got == 1);
	REQUIRE(look(w->pfn).refs == CF_REFS_MAX - 1 + got);
	REQUIRE(look(w->pfn).type == CF_TYPE_FOLIO);
	ground_verify();
}

static const struct explore_program gets_at_limit = {
	.name = "gets-at-limit",
	.worry = "the count of references never wraps nor sticks: at the "
		 "limit exactly one of three gets the last, blind adds are "
		 "taken back",
	.setup = make_nearly_full,
	.thread = { get_one, get_one, try_get_one },
	.end = one_more_at_most,
	.quick = true,
};

static void make_full(void)
{
	make_folio();
	MUST(cf_freeze(ground_map, w->pfn, 1));
	cf_unfreeze(ground_map, w->pfn, CF_REFS_MAX);
}

static void put_one(void)
{
	cf_put(ground_map, w->pfn);
}

static void at_most_full(void)
{
	REQUIRE(look(w->pfn).refs == CF_REFS_MAX - 1 + w->got[0] + w->got[2]);
	REQUIRE(w->got[0] + w->got[2] <= 1);
	ground_verify();
}

static const struct explore_program put_at_limit = {
	.name = "put-at-limit",
	.worry = "at the limit a put makes room for one, and no count is "
		 "lost",
	.setup = make_full,
	.thread = { get_one, put_one, try_get_one },
	.end = at_most_full,
	.quick = true,
};

static void make_nearly_pinned(void)
{
	unsigned i;

	make_folio();
	for (i = 0; i < CF_PINS_MAX - 1; i++)
		MUST(cf_pin(ground_map, w->pfn));
}

static void pin_one(void)
{
	int err = cf_pin(ground_map, w->pfn);

	REQUIRE(err == 0 || err == -CF_ELIMIT);
	w->got[explore_self()] = !err;
}

static void one_pin_more(void)
{
	struct cf_snapshot run = look(w->pfn);

	REQUIRE(w->got[0] + w->got[1] == 1);
	REQUIRE(run.pins == CF_PINS_MAX && run.refs == run.pins + 1);
	ground_verify();
}

static const struct explore_program pins_at_limit = {
	.name = "pins-at-limit",
	.worry = "the count of pins never runs into that of references: at "
		 "the limit exactly one of two gets the last",
	.setup = make_nearly_pinned,
	.thread = { pin_one, pin_one },
	.end = one_pin_more,
	.quick = true,
};

const struct explore_program *const explore_stray[] = {
	&stray_put_against_offline,
	&stray_put_against_driver,
	&free_against_free,
	&unfreeze_against_unfreeze,
	&gets_at_limit,
	&put_at_limit,
	&pins_at_limit,
	NULL
};
