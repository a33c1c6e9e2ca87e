/* SPDX-License-Identifier: MIT */

/*
 * References: nothing can be had that is not there, and nothing is given back
 * that somebody has.
 *
 * The contents of a frame are one plain word here: who writes it must be
 * alone with the frame, or the explorer calls it a data race.
 */

#include "ground.h"

/* What a frame holds, by who wrote it last. */
enum {
	OF_FIRST	= 1,	/* the holder that set-up made */
	OF_NEXT		= 2,	/* whoever had the frame after that */
	OF_OWNER	= 3,	/* the owner, when nobody else had it */
};

static struct {
	cf_pfn pfn;
	uint32_t owner;
	uint64_t told;		/* how often the owner was */
	uint64_t side;		/* what somebody keeps about the run */
	uint64_t late;		/* what another holder left */
	uint64_t got[2];	/* what threads had, for the end */
} *w;

/* One run with one reference, of whoever calls. */
static void make_run_on(struct ground_config config, enum cf_type type,
			unsigned order)
{
	ground_init(config);
	w = explore_memory(sizeof(*w));
	explore_name(w, sizeof(*w), "the program's", -1);
	w->pfn = ground_alloc(type, order, 0);
	*ground_contents(w->pfn) = OF_FIRST;
}

static void make_run(enum cf_type type, unsigned order)
{
	make_run_on((struct ground_config) { .blocks = 1 }, type, order);
}

static void make_folio(void)
{
	make_run(CF_TYPE_FOLIO, 0);
}

static void make_folio_for_caches(void)
{
	make_run_on((struct ground_config) { .blocks = 1, .caches = true },
		    CF_TYPE_FOLIO, 0);
}

static struct cf_snapshot look(cf_pfn pfn)
{
	struct cf_snapshot run;

	MUST(cf_snapshot(ground_map, pfn, &run));
	return run;
}

/* ---- the last put ---- */

static void put_it(void)
{
	*ground_contents(w->pfn) = OF_FIRST;
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
		*ground_contents(pfn) = OF_NEXT;
		cf_put(ground_map, pfn);
	}
}

static const struct explore_program get_against_last_put = {
	.name = "get-against-last-put",
	.worry = "a reference by number never lands on a freed frame, and the "
		 "last put sees all that was done before (folio_owner_ops, "
		 "2024)",
	.setup = make_folio,
	.thread = { put_it, get_put_and_reuse },
	.end = ground_verify,
	.quick = true,
};

/* The same with the calls for many. */
static void get_put_and_reuse_in_bulk(void)
{
	struct cf_request request = { .type = CF_TYPE_KERNEL };
	size_t done;
	cf_pfn pfn;

	if (cf_try_get(ground_map, w->pfn))
		return;
	cf_put_bulk(ground_map, &w->pfn, 1);
	if (cf_alloc_bulk(ground_map, request, 1, &pfn, &done) == 0) {
		*ground_contents(pfn) = OF_NEXT;
		cf_put_bulk(ground_map, &pfn, 1);
	}
}

static const struct explore_program get_against_last_put_bulk = {
	.name = "get-against-last-put-bulk",
	.worry = "the same of many runs at once",
	.setup = make_folio_for_caches,
	.thread = { put_it, get_put_and_reuse_in_bulk },
	.end = ground_verify,
	.quick = true,
};

static void alloc_and_write(void)
{
	struct cf_request request = { .type = CF_TYPE_KERNEL };
	cf_pfn pfn;

	if (cf_alloc(ground_map, request, &pfn))
		return;
	*ground_contents(pfn) = OF_NEXT;
	cf_put(ground_map, pfn);
}

static void get_and_put(void)
{
	if (cf_try_get(ground_map, w->pfn) == 0)
		cf_put(ground_map, w->pfn);
}

static const struct explore_program get_against_put_and_alloc = {
	.name = "get-against-put-and-alloc",
	.worry = "who is handed the frame next is alone with it, whoever of "
		 "the others was the last to put (ZONE_DEVICE, 2022)",
	.setup = make_folio,
	.thread = { put_it, get_and_put, alloc_and_write },
	.end = ground_verify,
	.quick = true,
};

/* ---- the frame becomes something else ---- */

static void put_and_make_pair(void)
{
	struct cf_request request = {
		.type = CF_TYPE_KERNEL,
		.order = 1,
		.flags = CF_ALLOC_FROZEN,
	};
	cf_pfn pfn;

	cf_put(ground_map, w->pfn);
	MUST(cf_alloc(ground_map, request, &pfn));
	*ground_contents(pfn) = OF_NEXT;
	cf_unfreeze(ground_map, pfn, 1);
	w->got[0] = pfn;
}

/* Whatever we get a reference of is whole, and stays. */
static void get_and_look(void)
{
	struct cf_snapshot run;

	if (cf_try_get(ground_map, w->pfn))
		return;
	run = look(w->pfn);
	REQUIRE(run.refs > 0);
	if (run.type == CF_TYPE_FOLIO)
		REQUIRE(run.order == 0 &&
			*ground_contents(w->pfn) == OF_FIRST);
	else
		REQUIRE(run.type == CF_TYPE_KERNEL && run.order == 1 &&
			*ground_contents(w->pfn) == OF_NEXT);
	REQUIRE(look(w->pfn).type == run.type);
	cf_put(ground_map, w->pfn);
}

static void pair_is_held(void)
{
	REQUIRE(look(w->got[0]).refs == 1);
	ground_verify();
}

static const struct explore_program get_against_reuse = {
	.name = "get-against-reuse",
	.worry = "a walker that knows a number gets the old run or the new "
		 "one, whole, when the frame is freed and allocated as "
		 "another type and order (ZONE_DEVICE, 2022)",
	.setup = make_folio,
	.thread = { put_and_make_pair, get_and_look },
	.end = pair_is_held,
	.quick = true,
};

/* The only frame in use of a chunk, and then all of it, or the reverse. */
static void put_and_make(unsigned order)
{
	struct cf_request request = {
		.type = CF_TYPE_KERNEL,
		.order = (uint8_t)order,
		.flags = CF_ALLOC_FROZEN,
	};
	cf_pfn pfn;

	cf_put(ground_map, w->pfn);
	MUST(cf_alloc(ground_map, request, &pfn));
	*ground_contents(pfn) = OF_NEXT;
	cf_unfreeze(ground_map, pfn, 1);
	w->got[0] = pfn;
}

static void put_and_make_chunk(void)
{
	put_and_make(CF_CHUNK_ORDER);
}

static void put_and_make_frame(void)
{
	put_and_make(0);
}

static void get_whatever(void)
{
	struct cf_snapshot run;

	if (cf_try_get(ground_map, w->pfn))
		return;
	REQUIRE(*ground_contents(w->pfn) > 0);
	run = look(w->pfn);
	REQUIRE(run.refs > 0);
	REQUIRE(*ground_contents(w->pfn) ==
		(run.type == CF_TYPE_FOLIO ? OF_FIRST : OF_NEXT));
	cf_put(ground_map, w->pfn);
}

static const struct explore_program get_against_chunk = {
	.name = "get-against-reuse-as-chunk",
	.worry = "the same where the new run has its word in another place: "
		 "a frame becomes 2 MiB",
	.setup = make_folio,
	.thread = { put_and_make_chunk, get_whatever },
	.end = pair_is_held,
	.quick = true,
};

static void make_chunk(void)
{
	make_run(CF_TYPE_FOLIO, CF_CHUNK_ORDER);
}

static const struct explore_program get_against_frame = {
	.name = "get-against-reuse-of-chunk",
	.worry = "the same where 2 MiB become a frame",
	.setup = make_chunk,
	.thread = { put_and_make_frame, get_whatever },
	.end = pair_is_held,
	.quick = true,
};

static void put_and_make_slab(void)
{
	struct cf_request request = { .type = CF_TYPE_SLAB };
	cf_pfn pfn;

	cf_put(ground_map, w->pfn);
	w->side = 1;
	MUST(cf_alloc(ground_map, request, &pfn));
	*ground_contents(pfn) = OF_NEXT;
	w->got[0] = pfn;
}

static void get_only_folio(void)
{
	struct cf_snapshot run;

	if (cf_snapshot(ground_map, w->pfn, &run) == 0 &&
	    run.type == CF_TYPE_SLAB)
		REQUIRE(w->side == 1);
	if (cf_try_get(ground_map, w->pfn))
		return;
	REQUIRE(look(w->pfn).type == CF_TYPE_FOLIO);
	REQUIRE(*ground_contents(w->pfn) == OF_FIRST);
	cf_put(ground_map, w->pfn);
}

static void slab_is_frozen(void)
{
	struct cf_snapshot run = look(w->got[0]);

	REQUIRE(run.type == CF_TYPE_SLAB && run.refs == 0);
	REQUIRE(*ground_contents(w->got[0]) == OF_NEXT);
	ground_verify();
}

static const struct explore_program get_against_slab = {
	.name = "get-against-slab",
	.worry = "frames that are frozen for good, as slabs and page tables "
		 "are, cannot be had by number (offline pages, 2024)",
	.setup = make_folio,
	.thread = { put_and_make_slab, get_only_folio },
	.end = slab_is_frozen,
	.quick = true,
};

/* Any frame of a pair, while it becomes two single frames. */
static void make_pair(void)
{
	make_run(CF_TYPE_FOLIO, 1);
}

static void put_and_make_singles(void)
{
	cf_put(ground_map, w->pfn);
	w->got[0] = ground_alloc(CF_TYPE_KERNEL, 0, 0);
	w->got[1] = ground_alloc(CF_TYPE_KERNEL, 0, 0);
}

static void get_interior(void)
{
	struct cf_snapshot run;
	cf_pfn head;

	if (cf_try_get_interior(ground_map, w->pfn + 1, &head))
		return;
	run = look(head);
	REQUIRE(w->pfn + 1 - head < (cf_pfn)1 << run.order);
	cf_put(ground_map, head);
}

static void singles_are_held(void)
{
	REQUIRE(look(w->got[0]).refs == 1);
	REQUIRE(look(w->got[1]).refs == 1);
	ground_verify();
}

static const struct explore_program interior_against_reuse = {
	.name = "interior-against-reuse",
	.worry = "a reference by any frame of a run is of the run the frame "
		 "is in, also if that is freed and made anew, smaller, "
		 "meanwhile",
	.setup = make_pair,
	.thread = { put_and_make_singles, get_interior },
	.end = singles_are_held,
	.quick = true,
};

/* ---- what an offline run says of itself ---- */

/* Where counted runs have their references: so many would these be. */
#define PAYLOAD_REFS	5u
#define PAYLOAD		(PAYLOAD_REFS << 10)

static void make_offline_pair(void)
{
	make_pair();
	cf_put(ground_map, w->pfn);
	MUST(cf_offline_alloc(ground_map, CF_OWNER_NONE, 1, 0, &w->pfn));
}

static void set_payload(void)
{
	w->side = 1;
	MUST(cf_offline_set_payload(ground_map, CF_OWNER_NONE, w->pfn,
				    PAYLOAD));
}

static void set_payload_and_free(void)
{
	set_payload();
	MUST(cf_offline_free(ground_map, CF_OWNER_NONE, w->pfn, 1));
}

static void get_nothing_and_follow_payload(void)
{
	struct cf_snapshot run;

	if (cf_snapshot(ground_map, w->pfn, &run) == 0) {
		REQUIRE(run.type == CF_TYPE_OFFLINE);
		if (run.payload == PAYLOAD)
			REQUIRE(w->side == 1);
	}
	REQUIRE(cf_try_get(ground_map, w->pfn) == -CF_EGONE);
	REQUIRE(cf_pin(ground_map, w->pfn) == -CF_EGONE);
	REQUIRE(cf_freeze(ground_map, w->pfn, PAYLOAD_REFS) == -CF_EGONE);
	REQUIRE(cf_owner_change(ground_map, w->pfn, CF_OWNER_NONE) ==
		-CF_EGONE);
}

static const struct explore_program get_against_payload = {
	.name = "get-against-payload",
	.worry = "where others have a count, offline frames have their "
		 "owner's payload: no reference can be had, and who reads a "
		 "payload sees what it names (offline pages, 2024)",
	.setup = make_offline_pair,
	.thread = { set_payload_and_free, get_nothing_and_follow_payload },
	.end = ground_verify,
	.quick = true,
};

/* Half of the run goes back: the other keeps its payload in a new word. */
static void set_payload_and_free_half(void)
{
	set_payload();
	MUST(cf_offline_free_range(ground_map, CF_OWNER_NONE, w->pfn + 1,
				   w->pfn + 2));
}

static void follow_payload(void)
{
	struct cf_snapshot run = look(w->pfn);

	REQUIRE(run.type == CF_TYPE_OFFLINE);
	if (run.payload == PAYLOAD)
		REQUIRE(w->side == 1);
}

static const struct explore_program payload_against_carve = {
	.name = "payload-against-carve",
	.worry = "offline frames stay offline, with all their owner said of "
		 "them, while others of the same run go back (offline pages, "
		 "2024)",
	.setup = make_offline_pair,
	.thread = { set_payload_and_free_half, follow_payload },
	.end = ground_verify,
	.quick = true,
};

/* ---- freezing ---- */

/* Alone with the run, or not at all. */
static void freeze_and_write(void)
{
	if (cf_freeze(ground_map, w->pfn, 1))
		return;
	*ground_contents(w->pfn) = OF_OWNER;
	REQUIRE(look(w->pfn).refs == 0);
	cf_unfreeze(ground_map, w->pfn, 1);
	w->got[0] = 1;
}

static void get_and_read(void)
{
	if (cf_try_get(ground_map, w->pfn))
		return;
	w->got[1] = *ground_contents(w->pfn);
	cf_put(ground_map, w->pfn);
}

static void still_has_one(void)
{
	REQUIRE(look(w->pfn).refs == 1 && look(w->pfn).pins == 0);
	REQUIRE(*ground_contents(w->pfn) ==
		(w->got[0] ? OF_OWNER : OF_FIRST));
	ground_verify();
}

static const struct explore_program freeze_against_get = {
	.name = "freeze-against-get",
	.worry = "who froze a run is alone with it: no reference by number "
		 "comes between, and the next one sees what was done "
		 "(folio_owner_ops, 2024)",
	.setup = make_folio,
	.thread = { freeze_and_write, get_and_read },
	.end = still_has_one,
	.quick = true,
};

/* The other holder's is one of the two; it may have pinned instead. */
static void freeze_both(void)
{
	if (cf_freeze(ground_map, w->pfn, 2))
		return;
	*ground_contents(w->pfn) = OF_OWNER;
	cf_unfreeze(ground_map, w->pfn, 2);
	w->got[0] = 1;
}

static void pin_instead(void)
{
	if (cf_pin(ground_map, w->pfn))
		explore_abandon();
	cf_put(ground_map, w->pfn);
	w->got[1] = *ground_contents(w->pfn);
	REQUIRE(look(w->pfn).pins == 1);
	cf_unpin(ground_map, w->pfn);
}

static void make_folio_held_twice(void)
{
	make_folio();
	MUST(cf_get(ground_map, w->pfn));
}

static const struct explore_program freeze_against_pin = {
	.name = "freeze-against-pin",
	.worry = "a pin is a reference that freezing never takes away, even "
		 "if the count is the expected one (ZONE_DEVICE, 2022)",
	.setup = make_folio_held_twice,
	.thread = { freeze_both, pin_instead },
	.end = still_has_one,
	.quick = true,
};

/* Two holders each believe to be the last. */
static void freeze_mine(void)
{
	REQUIRE(*ground_contents(w->pfn) == OF_FIRST);
	if (cf_freeze(ground_map, w->pfn, 1) == 0) {
		*ground_contents(w->pfn) = OF_OWNER;
		cf_free_frozen(ground_map, w->pfn, 0);
		w->got[explore_self()] = 1;
	} else {
		cf_put(ground_map, w->pfn);
	}
}

static void is_free(void)
{
	struct cf_snapshot run;

	REQUIRE(w->got[0] + w->got[1] <= 1);
	REQUIRE(cf_snapshot(ground_map, w->pfn, &run) == -CF_EGONE);
	ground_verify();
}

static const struct explore_program freeze_against_put = {
	.name = "freeze-against-put",
	.worry = "of holders that leave at one time by freezing or putting "
		 "exactly one frees the run, and sees what the other did "
		 "(folio_owner_ops, 2024)",
	.setup = make_folio_held_twice,
	.thread = { freeze_mine, freeze_mine },
	.end = is_free,
	.quick = true,
};

/* ---- asynchronous freezing: the owner is told of the last put ---- */

static enum cf_verdict keep_it(void *context, cf_pfn pfn, unsigned order)
{
	(void)context;
	REQUIRE(pfn == w->pfn && order == 0);
	REQUIRE(w->side == 1);
	w->told++;
	*ground_contents(pfn) = OF_OWNER;
	REQUIRE(look(pfn).refs == 0);
	return CF_VERDICT_KEEP;
}

static const struct cf_owner_ops keeper = { .release = keep_it };

static void make_folio_and_owner(void)
{
	make_folio();
	MUST(cf_owner_register(ground_map, "keeper", &keeper, NULL,
			       &w->owner));
}

static void change_and_put(void)
{
	w->side = 1;
	MUST(cf_owner_change(ground_map, w->pfn, w->owner));
	cf_put(ground_map, w->pfn);
}

static void is_kept(void)
{
	struct cf_snapshot run = look(w->pfn);

	REQUIRE(w->told == 1);
	REQUIRE(run.refs == 0 && run.owner == w->owner);
	REQUIRE(*ground_contents(w->pfn) == OF_OWNER);
	ground_verify();
}

static const struct explore_program change_against_get = {
	.name = "change-against-get",
	.worry = "a holder gives the run to an owner and leaves: the owner is "
		 "told once, when all others are gone, and is alone with it "
		 "(asynchronous freezing, folio_owner_ops, 2024)",
	.setup = make_folio_and_owner,
	.thread = { change_and_put, get_and_read },
	.end = is_kept,
	.quick = true,
};

static void change_it(void)
{
	w->side = 1;
	MUST(cf_owner_change(ground_map, w->pfn, w->owner));
}

static void follow_owner(void)
{
	if (look(w->pfn).owner == w->owner)
		REQUIRE(w->side == 1);
}

static const struct explore_program change_against_look = {
	.name = "change-against-look",
	.worry = "a walker that sees a run's new owner sees what that knows of "
		 "the run (folio_owner_ops, 2024)",
	.setup = make_folio_and_owner,
	.thread = { change_it, follow_owner },
	.end = ground_verify,
	.quick = true,
};

const struct explore_program *const explore_refs[] = {
	&get_against_last_put,
	&get_against_last_put_bulk,
	&get_against_put_and_alloc,
	&get_against_reuse,
	&get_against_chunk,
	&get_against_frame,
	&get_against_slab,
	&interior_against_reuse,
	&get_against_payload,
	&payload_against_carve,
	&freeze_against_get,
	&freeze_against_pin,
	&freeze_against_put,
	&change_against_get,
	&change_against_look,
	NULL
};
