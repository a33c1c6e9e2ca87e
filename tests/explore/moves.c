/* SPDX-License-Identifier: MIT */

/*
 * Runs that are moved out of the way while others look at them, hold them or
 * give them to somebody else.
 *
 * One thread allocates the very frame the run is in; what is there has to go
 * elsewhere by its owner's hooks first, or the call is refused.
 */

#include "ground.h"

enum {
	OF_OWNER	= 1,	/* what a frame holds, by who wrote it */
	OF_TAKER	= 2,
};

static struct {
	cf_pfn pfn;		/* where the run was */
	cf_pfn now[2];		/* where its frames are: the owner's */
	unsigned order;
	uint32_t owner, other;
	struct cf_lock lock;	/* the owner's, if it has one */
	struct cf_offline operation;
	uint64_t moved;		/* frames */
	uint64_t told;		/* of the last put */
	uint64_t side;		/* what a payload names */
	uint64_t taken;		/* the taker has the frames */
	uint64_t done;		/* the other thread could do it */
} *w;

static struct cf_snapshot look(cf_pfn pfn)
{
	struct cf_snapshot run;

	MUST(cf_snapshot(ground_map, pfn, &run));
	return run;
}

/* ---- an owner that moves its runs; the context is its id ---- */

static int may_move(void *context, cf_pfn pfn, unsigned order)
{
	const uint32_t *id = context;
	struct cf_snapshot run = look(pfn);

	REQUIRE(run.owner == *id && run.order == order);
	REQUIRE(run.flags & CF_FLAG_ISOLATED && run.refs > 0);
	return 0;
}

static int move(void *context, cf_pfn source, cf_pfn target, unsigned order)
{
	const uint32_t *id = context;
	struct cf_snapshot run;
	cf_pfn i;

	/* The owner's and the engine's, or somebody else has one. */
	if (cf_freeze(ground_map, source, 2))
		return -CF_EAGAIN;
	run = look(source);
	REQUIRE(run.owner == *id && run.order == order);
	for (i = 0; i < (cf_pfn)1 << order; i++) {
		*ground_contents(target + i) = *ground_contents(source + i);
		w->now[source - w->pfn + i] = target + i;
		w->moved++;
	}
	cf_unfreeze(ground_map, target, 1);
	return 0;
}

static const struct cf_owner_ops mover = {
	.isolate = may_move,
	.migrate = move,
};

static void make_owners(unsigned blocks, const struct cf_owner_ops *ops)
{
	ground_init((struct ground_config) {
		.blocks = blocks, .online = blocks });
	w = explore_memory(sizeof(*w));
	explore_name(w, sizeof(*w), "the program's", -1);
	w->lock = (struct cf_lock)CF_LOCK_INIT(CF_RANK_DRIVER);
	MUST(cf_owner_register(ground_map, "mover", ops, &w->owner,
			       &w->owner));
	MUST(cf_owner_register(ground_map, "other", ops, &w->other,
			       &w->other));
}

/* A run with one reference, its owner's. */
static void make_run(unsigned order)
{
	w->order = order;
	w->pfn = w->now[0] = ground_alloc(CF_TYPE_FOLIO, order, w->owner);
	w->now[1] = w->pfn + order;
	*ground_contents(w->pfn) = *ground_contents(w->now[1]) = OF_OWNER;
}

static void make_folio(void)
{
	make_owners(1, &mover);
	make_run(0);
}

/* Take exactly the run's frames, for what has no count. */
static void take_frames(void)
{
	struct cf_request request = { .type = CF_TYPE_SLAB };
	struct cf_report report;
	int err;

	err = cf_alloc_range(ground_map, w->pfn,
			     w->pfn + ((cf_pfn)1 << w->order), request,
			     &report);
	REQUIRE(err == 0 || err == -CF_EAGAIN || err == -CF_EBUSY);
	if (err)
		return;
	*ground_contents(w->pfn) = OF_TAKER;
	w->taken = 1;
}

/* Whoever has the frames, the owner has its run and what was in it. */
static void all_have_theirs(void)
{
	struct cf_snapshot run = look(w->now[0]);

	if (w->taken)
		REQUIRE(look(w->pfn).type == CF_TYPE_SLAB);
	REQUIRE(w->moved == w->taken << w->order);
	REQUIRE((w->now[0] != w->pfn) == w->taken);
	REQUIRE(run.type == CF_TYPE_FOLIO && run.refs == 1 && run.pins == 0);
	REQUIRE(run.flags == 0);
	REQUIRE(*ground_contents(w->now[0]) == OF_OWNER);
	ground_verify();
}

/* ---- against references and pins ---- */

static void get_and_read(void)
{
	if (cf_try_get(ground_map, w->pfn))
		return;
	REQUIRE(*ground_contents(w->pfn) == OF_OWNER);
	REQUIRE(look(w->pfn).type == CF_TYPE_FOLIO);
	cf_put(ground_map, w->pfn);
}

static const struct explore_program get_against_move = {
	.name = "get-against-move",
	.worry = "a reference by number keeps a run where it is, or is not "
		 "had; nobody is left with a run that moved (offline pages, "
		 "2024)",
	.setup = make_folio,
	.thread = { take_frames, get_and_read },
	.end = all_have_theirs,
};

static void pin_and_read(void)
{
	struct cf_snapshot run;

	if (cf_pin(ground_map, w->pfn))
		return;
	REQUIRE(*ground_contents(w->pfn) == OF_OWNER);
	run = look(w->pfn);
	REQUIRE(run.type == CF_TYPE_FOLIO && run.pins == 1);
	cf_unpin(ground_map, w->pfn);
}

static const struct explore_program pin_against_move = {
	.name = "pin-against-move",
	.worry = "contents that are pinned stay where they are, and nothing "
		 "that is moving can be pinned",
	.setup = make_folio,
	.thread = { take_frames, pin_and_read },
	.end = all_have_theirs,
};

/* The first free frame of the other chunk: where the run will go. */
static void get_target(void)
{
	if (cf_try_get(ground_map, GROUND_CHUNK))
		return;
	REQUIRE(look(GROUND_CHUNK).owner == w->owner);
	REQUIRE(*ground_contents(GROUND_CHUNK) == OF_OWNER);
	cf_put(ground_map, GROUND_CHUNK);
}

static void went_where_it_should(void)
{
	REQUIRE(!w->taken || w->now[0] == GROUND_CHUNK);
	all_have_theirs();
}

static const struct explore_program get_against_target = {
	.name = "get-against-target",
	.worry = "a reference by number of the place a run moves to is had "
		 "when all is there, and not before",
	.setup = make_folio,
	.thread = { take_frames, get_target },
	.end = went_where_it_should,
	.quick = true,
};

/* ---- against a new owner, a cut, the last put ---- */

static void change_owner(void)
{
	int err = cf_owner_change(ground_map, w->pfn, w->other);

	REQUIRE(err == 0 || err == -CF_EAGAIN || err == -CF_EGONE);
	w->done = !err;
}

static void has_right_owner(void)
{
	REQUIRE(look(w->now[0]).owner == (w->done ? w->other : w->owner));
	all_have_theirs();
}

static const struct explore_program change_against_move = {
	.name = "change-against-move",
	.worry = "an owner is asked to move its own runs only, also if a run "
		 "becomes another's meanwhile (folio_owner_ops, 2024)",
	.setup = make_folio,
	.thread = { take_frames, change_owner },
	.end = has_right_owner,
	.quick = true,
};

/* The owner cuts its run, if it is nobody else's. */
static void make_pair(void)
{
	make_owners(1, &mover);
	make_run(1);
}

static void cut_it(void)
{
	if (cf_freeze(ground_map, w->pfn, 1))
		return;
	MUST(cf_split(ground_map, w->pfn, 0));
	cf_unfreeze(ground_map, w->pfn, 1);
	cf_unfreeze(ground_map, w->pfn + 1, 1);
	w->done = 1;
}

static void is_whole_or_cut(void)
{
	unsigned i;

	REQUIRE(!w->taken || w->moved == 2);
	for (i = 0; i < 2; i++)
		REQUIRE(*ground_contents(w->now[i]) == OF_OWNER);
	for (i = 0; i < 1 + w->done; i++)
		REQUIRE(look(w->now[i]).order == !w->done &&
			look(w->now[i]).refs == 1 &&
			look(w->now[i]).flags == 0);
	ground_verify();
}

static const struct explore_program split_against_move = {
	.name = "split-against-move",
	.worry = "an owner is asked to move a run of the order it has, also "
		 "if it is cut meanwhile",
	.setup = make_pair,
	.thread = { take_frames, cut_it },
	.end = is_whole_or_cut,
};

/* An owner with a lock, under which it knows where its run is. */
static int move_locked(void *context, cf_pfn source, cf_pfn target,
		       unsigned order)
{
	unsigned long state = cf_lock(&w->lock);
	int err = w->done ? -CF_EAGAIN :
		  move(context, source, target, order);

	cf_unlock(&w->lock, state);
	return err;
}

static enum cf_verdict told(void *context, cf_pfn pfn, unsigned order)
{
	const uint32_t *id = context;

	*ground_contents(pfn) = OF_TAKER;
	REQUIRE(look(pfn).owner == *id && look(pfn).order == order);
	REQUIRE(look(pfn).refs == 0);
	w->told++;
	return CF_VERDICT_FREE;
}

static const struct cf_owner_ops locked_mover = {
	.isolate = may_move,
	.migrate = move_locked,
	.release = told,
};

static void make_locked(void)
{
	make_owners(1, &locked_mover);
	make_run(0);
}

static void put_it(void)
{
	unsigned long state = cf_lock(&w->lock);

	REQUIRE(*ground_contents(w->now[0]) == OF_OWNER);
	w->done = 1;
	cf_put(ground_map, w->now[0]);
	cf_unlock(&w->lock, state);
}

static void is_gone(void)
{
	struct cf_snapshot run;

	REQUIRE(w->told == 1);
	REQUIRE(w->now[0] == w->pfn || w->taken);
	if (w->moved || !w->taken)
		REQUIRE(cf_snapshot(ground_map, w->now[0], &run) ==
			-CF_EGONE);
	ground_verify();
}

static const struct explore_program put_against_move = {
	.name = "put-against-move",
	.worry = "the last put of a run that is being moved reaches its owner "
		 "once, if need be through the engine's reference "
		 "(folio_owner_ops, 2024)",
	.setup = make_locked,
	.thread = { take_frames, put_it },
	.end = is_gone,
};

/* ---- offline frames that move, as a balloon's ---- */

#define PAYLOAD (5u << 10)

static int tell_host(void *context, cf_pfn source, cf_pfn target,
		     unsigned order)
{
	const uint32_t *id = context;
	struct cf_snapshot to = look(target);

	REQUIRE(look(source).type == CF_TYPE_OFFLINE);
	REQUIRE(look(source).flags & CF_FLAG_BUSY && order == 0);
	REQUIRE(to.type == CF_TYPE_OFFLINE && to.flags & CF_FLAG_BUSY);
	REQUIRE(to.owner == *id && to.payload == look(source).payload);
	w->now[0] = target;
	w->moved++;
	return 0;
}

static const struct cf_owner_ops balloon = { .migrate = tell_host };

static void make_balloon(void)
{
	struct cf_request request = { .type = CF_TYPE_KERNEL };

	make_owners(1, &balloon);
	/* So that the first frame of the other chunk is the best target. */
	MUST(cf_alloc_range(ground_map, GROUND_CHUNK + 1, GROUND_CHUNK + 2,
			    request, NULL));
	MUST(cf_offline_alloc_range(ground_map, w->owner, 0, 1,
				    CF_FLAG_MOVABLE, NULL));
	w->now[0] = w->pfn = 0;
}

static void set_payload_and_take(void)
{
	w->side = 1;
	MUST(cf_offline_set_payload(ground_map, w->owner, w->pfn, PAYLOAD));
	take_frames();
}

static void follow_payload(cf_pfn pfn)
{
	struct cf_snapshot run;

	if (cf_snapshot(ground_map, pfn, &run) == 0 && run.payload == PAYLOAD)
		REQUIRE(w->side == 1 && run.type == CF_TYPE_OFFLINE);
}

static void get_nothing(void)
{
	REQUIRE(cf_try_get(ground_map, w->pfn) == -CF_EGONE);
	follow_payload(GROUND_CHUNK);
	REQUIRE(cf_try_get(ground_map, GROUND_CHUNK) == -CF_EGONE);
}

static void is_offline(void)
{
	struct cf_snapshot run = look(w->now[0]);

	REQUIRE(w->taken && w->moved == 1 && w->now[0] == GROUND_CHUNK);
	REQUIRE(run.type == CF_TYPE_OFFLINE && run.owner == w->owner);
	REQUIRE(run.flags == CF_FLAG_MOVABLE && run.payload == PAYLOAD);
	ground_verify();
}

static const struct explore_program get_against_balloon = {
	.name = "get-against-balloon",
	.worry = "offline frames that move are offline at both ends all the "
		 "time: no reference can be had, and the payload goes with "
		 "them (PG_balloon and PG_offline, 2018)",
	.setup = make_balloon,
	.thread = { set_payload_and_take, get_nothing },
	.end = is_offline,
	.quick = true,
};

static void set_payload(void)
{
	int err = cf_offline_set_payload(ground_map, w->owner, w->pfn,
					 PAYLOAD);

	REQUIRE(err == 0 || err == -CF_EAGAIN || err == -CF_EGONE);
	w->done = !err;
}

static void has_its_payload(void)
{
	struct cf_snapshot run = look(w->now[0]);

	REQUIRE(w->taken == w->moved);
	REQUIRE(run.type == CF_TYPE_OFFLINE && run.flags == CF_FLAG_MOVABLE);
	REQUIRE(run.payload == (w->done ? PAYLOAD : 0));
	ground_verify();
}

static const struct explore_program payload_against_balloon = {
	.name = "payload-against-balloon",
	.worry = "what an owner says of an offline frame that moves is not "
		 "lost, or it is told to try again",
	.setup = make_balloon,
	.thread = { take_frames, set_payload },
	.end = has_its_payload,
	.quick = true,
};

static void deflate(void)
{
	int err = cf_offline_free(ground_map, w->owner, w->pfn, 0);

	REQUIRE(err == 0 || err == -CF_EAGAIN || err == -CF_EREFUSED);
	w->done = !err;
}

static void is_free_or_moved(void)
{
	struct cf_snapshot run;

	REQUIRE(w->moved + w->done <= 1);
	REQUIRE(!w->taken || w->moved || w->done);
	if (w->moved)
		REQUIRE(look(w->now[0]).type == CF_TYPE_OFFLINE &&
			look(w->now[0]).flags == CF_FLAG_MOVABLE);
	else if (!w->taken && w->done)
		REQUIRE(cf_snapshot(ground_map, w->pfn, &run) == -CF_EGONE);
	ground_verify();
}

static const struct explore_program free_against_balloon = {
	.name = "free-against-balloon",
	.worry = "an offline frame that its owner gives back while it is being "
		 "moved is freed or moved, never both (PG_balloon, 2018)",
	.setup = make_balloon,
	.thread = { take_frames, deflate },
	.end = is_free_or_moved,
};

/* Somebody else in the same block. */
static void alloc_and_free(void)
{
	cf_put(ground_map, ground_alloc(CF_TYPE_KERNEL, 0, 0));
}

static void has_moved(void)
{
	REQUIRE(w->taken && w->moved == 1);
	REQUIRE(look(w->now[0]).type == CF_TYPE_OFFLINE &&
		look(w->now[0]).flags == CF_FLAG_MOVABLE);
	ground_verify();
}

static const struct explore_program alloc_beside_balloon = {
	.name = "alloc-beside-balloon",
	.worry = "offline frames move while others allocate and free in the "
		 "same block; no frame is lost or handed out twice "
		 "(PG_balloon, 2018)",
	.setup = make_balloon,
	.thread = { take_frames, alloc_and_free },
	.end = has_moved,
};

/* ---- a run that finds no room in one piece ---- */

static int cut_for_room(void *context, cf_pfn pfn, unsigned order)
{
	(void)context;
	REQUIRE(order == 1);
	if (cf_freeze(ground_map, pfn, 1))
		return -CF_EAGAIN;
	MUST(cf_split(ground_map, pfn, 0));
	cf_unfreeze(ground_map, pfn, 1);
	cf_unfreeze(ground_map, pfn + 1, 1);
	w->done = 1;
	return 0;
}

static const struct cf_owner_ops cutter = {
	.isolate = may_move,
	.migrate = move,
	.split = cut_for_room,
};

/*
 * The other block has two free frames, apart from each other; in the chunk of
 * the run, all others are in use for good.
 */
static void make_pair_without_room(void)
{
	struct cf_request request = { .type = CF_TYPE_SLAB };
	cf_pfn first = GROUND_BLOCK;

	make_owners(2, &cutter);
	MUST(cf_alloc_range(ground_map, first + 1, first + 2, request, NULL));
	MUST(cf_alloc_range(ground_map, first + 3, first + GROUND_BLOCK,
			    request, NULL));
	MUST(cf_alloc_range(ground_map, 2, GROUND_CHUNK, request, NULL));
	make_run(1);
	REQUIRE(w->pfn == 0);
}

/* It cannot go for the others in there, but the run can. */
static void offline_in_vain(void)
{
	unsigned steps;
	int err;

	MUST(cf_block_offline_start(ground_map, &w->operation, 0,
				    GROUND_BLOCK, NULL));
	for (steps = 0; steps < 2; steps++) {
		err = cf_block_offline_step(&w->operation);
		REQUIRE(err == -CF_EAGAIN || err == -CF_EBUSY);
	}
	MUST(cf_block_offline_cancel(&w->operation));
}

/* Of the second frame: there is none before the cut or after the move. */
static void get_second(void)
{
	if (cf_try_get(ground_map, w->pfn + 1))
		return;
	REQUIRE(*ground_contents(w->pfn + 1) == OF_OWNER);
	cf_put(ground_map, w->pfn + 1);
}

static void has_moved_or_not(void)
{
	unsigned i;

	REQUIRE(w->done || !w->moved);
	for (i = 0; i < 2; i++)
		REQUIRE(*ground_contents(w->now[i]) == OF_OWNER);
	for (i = 0; i < 1 + w->done; i++)
		REQUIRE(look(w->now[i]).order == !w->done &&
			look(w->now[i]).refs == 1 &&
			look(w->now[i]).flags == 0);
	ground_verify();
}

static const struct explore_program get_against_cut_and_move = {
	.name = "get-against-cut-and-move",
	.worry = "a run that is cut by its owner because there is no room, "
		 "then moved in pieces out of a block that is to go "
		 "offline, is had whole, in pieces or not at all (HugeTLB, "
		 "offline pages, 2024)",
	.setup = make_pair_without_room,
	.thread = { offline_in_vain, get_second },
	.end = has_moved_or_not,
};

/* ---- against who looks for the last frames ---- */

/*
 * Three frames are free, in block 1.  Of the three that are to be emptied two
 * can move; they are taken for more at once.
 */
static void make_frames_with_room(void)
{
	struct cf_request request = { .type = CF_TYPE_SLAB };

	make_owners(2, &mover);
	make_run(0);
	w->now[1] = ground_alloc(CF_TYPE_FOLIO, 0, w->owner);
	REQUIRE(w->pfn == 0 && w->now[1] == 1);
	*ground_contents(w->now[1]) = OF_OWNER;
	MUST(cf_alloc_range(ground_map, 2, GROUND_BLOCK, request, NULL));
	MUST(cf_alloc_range(ground_map, GROUND_BLOCK + 3, 2 * GROUND_BLOCK,
			    request, NULL));
}

static void empty_in_vain(void)
{
	struct cf_request request = { .type = CF_TYPE_SLAB };
	struct cf_report report;

	REQUIRE(cf_alloc_range(ground_map, 0, 3, request, &report) ==
		-CF_EBUSY);
}

/* First without a drain: if that is in vain, no bit of the index is left. */
static void take_single(void)
{
	struct cf_request request = {
		.type = CF_TYPE_SLAB,
		.flags = CF_ALLOC_NOWAIT,
	};
	cf_pfn pfn;

	if (cf_alloc(ground_map, request, &pfn)) {
		request.flags = 0;
		REQUIRE(cf_alloc(ground_map, request, &pfn) == 0);
	}
	*ground_contents(pfn) = OF_TAKER;
}

static void both_moved(void)
{
	unsigned i;

	REQUIRE(w->moved == 2);
	for (i = 0; i < 2; i++)
		REQUIRE(*ground_contents(w->now[i]) == OF_OWNER);
	ground_verify();
}

static const struct explore_program alloc_against_targets = {
	.name = "alloc-against-targets",
	.worry = "frames that evacuation has in stock to move runs to are "
		 "missed by nobody who looks for the last ones",
	.setup = make_frames_with_room,
	.thread = { empty_in_vain, take_single },
	.end = both_moved,
};

const struct explore_program *const explore_moves[] = {
	&alloc_against_targets,
	&get_against_move,
	&pin_against_move,
	&get_against_target,
	&change_against_move,
	&split_against_move,
	&put_against_move,
	&get_against_balloon,
	&payload_against_balloon,
	&free_against_balloon,
	&alloc_beside_balloon,
	&get_against_cut_and_move,
	NULL
};
