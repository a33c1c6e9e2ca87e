/* SPDX-License-Identifier: MIT */
/*
 * devmem beside a model: every frame says which run it is of, what references
 * that has and what is in it; pages move there and back.  Random calls, one
 * context.
 */
#include "owners/device_state.h"
#include "owners/devmem.h"
#include "play.h"

#define FRAMES_MAX	8192
#define CHUNK		((uint32_t)CF_CHUNK_FRAMES)
#define RUNS_MAX	700

/* A frame; each frame of a run says the same but for its mark. */
struct cell {
	bool used;
	bool moves;		/* it came to the device by migration */
	bool bad;
	bool cut;		/* of a run in use that had a bad one */
	uint8_t order;
	uint32_t head;
	uint32_t along;		/* references that move along */
	uint32_t stray, pins;	/* by number; of these, pins */
	uint64_t mark;
};

static struct {
	struct devmem *driver;
	struct devmem_config config;
	void *storage;
	struct cell cell[FRAMES_MAX];
	uint32_t runs;		/* used */
	uint32_t first, last;	/* the device's */
	bool closing, copy_fails;
	uint64_t to_device, to_system;	/* frames */
	uint64_t told;		/* calls of failed */
	uint64_t pieces;	/* calls of moved */
	uint64_t marks;
	cf_pfn *full;		/* frames that are taken so that none is free */
	size_t full_count;
} w;

static struct devmem_pieces pieces;

static bool on_device(uint32_t at)
{
	return at >= w.first && at < w.last;
}

static uint32_t frames_of(uint32_t at)
{
	return 1u << w.cell[at].order;
}

static uint32_t refs_of(uint32_t at)
{
	return w.cell[at].along + w.cell[at].stray;
}

/* Every frame of the run that @head heads says what @like does. */
static void set_run(uint32_t head, struct cell like)
{
	uint32_t at;

	for (at = head; at < head + (1u << like.order); at++) {
		like.head = head;
		like.bad = w.cell[at].bad;
		like.mark = w.cell[at].mark;
		w.cell[at] = like;
	}
}

static void clear_run(uint32_t head, unsigned order)
{
	set_run(head, (struct cell){ .order = (uint8_t)order });
}

/* Something of a run that is there changes. */
static void change(uint32_t head, int along, int stray, int pins)
{
	struct cell like = w.cell[head];

	like.along += (uint32_t)along;
	like.stray += (uint32_t)stray;
	like.pins += (uint32_t)pins;
	if (like.along + like.stray == 0) {
		clear_run(head, like.order);
		w.runs--;
	} else {
		set_run(head, like);
	}
}

static void add_run(uint32_t head, struct cell like)
{
	uint32_t at;

	like.used = true;
	w.runs++;
	for (at = head; at < head + (1u << like.order); at++) {
		REQUIRE(!w.cell[at].used && !w.cell[at].bad);
		w.cell[at].mark = ++w.marks;
		play_stamp(at, w.marks);
	}
	set_run(head, like);
}

static bool is_idle(uint32_t at)
{
	return on_device(at) && !w.cell[at].used && !w.cell[at].bad;
}

static uint32_t idle_frames(void)
{
	uint32_t at, count = 0;

	for (at = w.first; at < w.last; at++)
		count += is_idle(at);
	return count;
}

/* Are 512 of them together? */
static bool has_whole(void)
{
	uint32_t chunk, at;

	for (chunk = w.first; chunk < w.last; chunk += CHUNK) {
		for (at = chunk; at < chunk + CHUNK && is_idle(at); at++)
			continue;
		if (at == chunk + CHUNK)
			return true;
	}
	return false;
}

static bool any_bad(uint32_t first, uint32_t last)
{
	for (; first < last; first++)
		if (w.cell[first].bad)
			return true;
	return false;
}

/* Does a run have a frame that is known to be bad? */
static bool has_bad(uint32_t head)
{
	return any_bad(head, head + frames_of(head));
}

static bool wanted(uint32_t head, bool device)
{
	return w.cell[head].used && w.cell[head].head == head &&
	       on_device(head) == device;
}

/* The head of a run in use, behind some frame; the end: there is none. */
static uint32_t draw_run(bool device)
{
	uint32_t first = device ? w.first : 0;
	uint32_t last = device ? w.last : w.first;
	uint32_t at = first + draw(last - first), i;

	for (i = first; i < last; i++) {
		if (wanted(at, device))
			return at;
		at = at + 1 == last ? first : at + 1;
	}
	return (uint32_t)m.last;
}

static bool any_used(void)
{
	uint32_t at;

	for (at = w.first; at < w.last; at++)
		if (w.cell[at].used)
			return true;
	return false;
}

/* ---- callbacks ---- */

static int copy(void *context, cf_pfn source, cf_pfn target, unsigned order)
{
	REQUIRE(context == &w);
	if (w.copy_fails)
		return -1;
	return cf_copy_run(m.map, source, target, order);
}

static void moved(void *context, cf_pfn source, cf_pfn target, unsigned order)
{
	struct cell like = w.cell[source];
	uint32_t i;

	REQUIRE(context == &w);
	REQUIRE(like.used && like.along && !like.stray);
	REQUIRE(on_device((uint32_t)source) != on_device((uint32_t)target));
	REQUIRE(on_device((uint32_t)target) || like.moves);
	for (i = 0; i < 1u << order; i++) {
		REQUIRE(!w.cell[target + i].used && !w.cell[target + i].bad);
		w.cell[target + i].mark = w.cell[source + i].mark;
		w.cell[source + i].used = false;
	}
	like.order = (uint8_t)order;
	like.moves = on_device((uint32_t)target);
	like.cut = false;
	set_run((uint32_t)target, like);
	w.pieces++;
	if (like.moves)
		w.to_device += 1u << order;
	else
		w.to_system += 1u << order;
}

static void failed(void *context, cf_pfn bad)
{
	REQUIRE(context == &w);
	REQUIRE(w.cell[bad].used && on_device((uint32_t)bad));
	w.told++;
}

/* ---- what a call has left ---- */

/* A run that came back from a device in one piece, or was cut in use there. */
static void recount(void)
{
	uint32_t at;

	w.runs = 0;
	for (at = 0; at < m.last; at++)
		w.runs += w.cell[at].used && w.cell[at].head == at;
}

/* Runs of 2 MiB may have been cut for the frame that was touched. */
static void see_cuts(void)
{
	struct cf_snapshot run;
	uint32_t at, i;

	for (at = w.first; at < w.last; at += CHUNK) {
		struct cell like;

		/* The frame that moved may be the head itself. */
		for (i = at; i < at + CHUNK && !w.cell[i].used; i++)
			continue;
		if (i == at + CHUNK)
			continue;
		like = w.cell[i];
		if (like.order == 0 || (!cf_snapshot(m.map, i, &run) &&
					run.order == like.order))
			continue;
		like.cut = any_bad(at, at + CHUNK);
		like.order = 0;
		for (; i < at + CHUNK; i++)
			if (w.cell[i].used)
				set_run(i, like);
	}
	recount();
}

/* ---- begin, end, compare ---- */

static void create(void)
{
	uint32_t at;

	REQUIRE_EQ(devmem_create(m.map, &w.config, w.storage, &w.driver), 0);
	w.closing = false;
	w.to_device = w.to_system = 0;
	for (at = w.first; at < w.last; at++)
		REQUIRE(!w.cell[at].used);
}

static void begin(void)
{
	struct machine_config machine = {
		.blocks = 4 + draw(3), .absent = 2, .poison_max = 20,
	};

	memset(&w, 0, sizeof(w));
	REQUIRE(machine_make(machine));
	w.first = (uint32_t)(m.last - 2 * m.block);
	w.last = w.first + (uint32_t)(1 + draw(2)) * (uint32_t)m.block;
	w.config = (struct devmem_config){
		.pagemap = { .kind = draw_chance(70) ? CF_PAGEMAP_PRIVATE :
				     CF_PAGEMAP_COHERENT },
		.first = w.first, .last = w.last, .split_faults = draw(2),
		.copy = copy, .moved = moved, .failed = failed, .context = &w,
	};
	w.storage = play_room(devmem_bytes(&w.config));
	w.full = play_room(m.last * sizeof(cf_pfn));
	create();
}

static void compare_run(uint32_t head)
{
	const struct cell *cell = &w.cell[head];
	bool device = on_device(head);
	struct devmem_use use;
	struct cf_snapshot run;
	uint32_t at;

	REQUIRE(!cf_snapshot(m.map, head, &run));
	REQUIRE_EQ(run.type, device ? CF_TYPE_DEVICE : CF_TYPE_FOLIO);
	REQUIRE_EQ(run.order, cell->order);
	REQUIRE_EQ(run.refs, refs_of(head));
	REQUIRE_EQ(run.pins, cell->pins);
	REQUIRE_EQ(run.owner, device ? devmem_owner(w.driver) : 0);
	for (at = head; at < head + frames_of(head); at++)
		REQUIRE_EQ(play_mark(at), w.cell[at].mark);
	if (!device)
		return;
	REQUIRE(devmem_look(w.driver, head, &use));
	REQUIRE_EQ(use.refs, cell->along);
	REQUIRE_EQ(use.moves, cell->moves);
	/* A run that was cut in use leaves its mark on all of its pieces. */
	REQUIRE_EQ((run.flags & CF_FLAG_POISON) != 0,
		   has_bad(head) || (cell->order == 0 && cell->cut));
}

static void compare(void)
{
	struct devmem_finding finding;
	uint64_t used = 0, bad = 0;
	struct devmem_stat stat;
	uint32_t at;

	for (at = 0; at < m.last; at++) {
		if (w.cell[at].used && w.cell[at].head == at)
			compare_run(at);
		if (!on_device(at))
			continue;
		used += w.cell[at].used;
		bad += w.cell[at].bad && !w.cell[at].used;
	}
	devmem_stat(w.driver, &stat);
	REQUIRE_EQ(stat.used, used);
	REQUIRE_EQ(stat.bad, bad);
	REQUIRE_EQ(stat.held, 0);
	REQUIRE_EQ(stat.gone, 0);
	REQUIRE_EQ(stat.idle, idle_frames());
	REQUIRE(stat.idle_whole <= stat.idle / CHUNK);
	REQUIRE_EQ(stat.to_device, w.to_device);
	REQUIRE_EQ(stat.to_system, w.to_system);
	REQUIRE_EQ(stat.strangers, 0);
	REQUIRE(devmem_verify(w.driver, &finding));
	REQUIRE(machine_verify());
}

static void put_one(uint32_t head)
{
	const struct cell *cell = &w.cell[head];

	if (cell->pins) {
		change(head, 0, -1, -1);
		cf_unpin(m.map, head);
	} else if (cell->stray) {
		change(head, 0, -1, 0);
		cf_put(m.map, head);
	} else if (on_device(head) && cell->along > 1) {
		REQUIRE_EQ(devmem_unmap(w.driver, head), 0);
		change(head, -1, 0, 0);
	} else {
		change(head, -1, 0, 0);
		cf_put(m.map, head);
	}
}

static void set_full(bool full)
{
	if (full && !w.full_count)
		w.full_count = fill(kernel(0), w.full, m.last);
	if (!full)
		put_all(w.full, w.full_count);
	if (!full)
		w.full_count = 0;
}

static void end(void)
{
	uint32_t at;

	set_full(false);
	if (w.closing)
		REQUIRE_EQ(cf_pagemap_remove_cancel(m.map, w.first, w.last),
			   0);
	w.closing = false;
	for (at = 0; at < m.last; at++)
		while (w.cell[at].used && w.cell[at].head == at)
			put_one(at);
	compare();
	REQUIRE_EQ(devmem_destroy(w.driver, NULL), 0);
	free(w.storage);
	free(w.full);
	REQUIRE(machine_end());
}

/* ---- calls ---- */

static unsigned draw_order(void)
{
	unsigned turn = draw(10);

	return turn < 5 ? 0 : turn < 8 ? CF_CHUNK_ORDER : 1 + draw(5);
}

static void call_page(void)
{
	struct cell like = { .order = (uint8_t)draw_order() };
	uint32_t more = draw_chance(30) ? draw(3) : 0;
	struct cf_request request = folio(like.order, 0);
	cf_pfn pfn;

	if (w.runs > RUNS_MAX || cf_alloc(m.map, request, &pfn))
		return;
	like.along = 1 + more;
	while (more--)
		REQUIRE(!cf_get(m.map, pfn));
	add_run((uint32_t)pfn, like);
	(void)play_told("page", 0, OK, " of order %u at %#llx", like.order,
			(unsigned long long)pfn);
}

static void call_alloc(void)
{
	unsigned order = draw_chance(3) ? 1 + draw(8) :
			 draw(2) ? CF_CHUNK_ORDER : 0;
	struct cell like = { .order = (uint8_t)order, .along = 1 };
	bool room = order ? has_whole() : idle_frames() != 0;
	uint32_t codes = OK;
	cf_pfn pfn = 0;

	if (order && order != CF_CHUNK_ORDER)
		codes = E(CF_EINVAL);
	else if (!room)
		codes = E(CF_ENOMEM);
	else if (w.closing)
		codes = E(CF_EREFUSED);
	if (!play_told("alloc", devmem_alloc(w.driver, order, &pfn), codes,
		       " of order %u", order))
		return;
	REQUIRE(on_device((uint32_t)pfn));
	add_run((uint32_t)pfn, like);
}

static uint32_t send_codes(uint32_t head, uint32_t refs, bool cut)
{
	const struct cell *cell = &w.cell[head];

	if (refs == 0)
		return E(CF_EINVAL);
	if (cell->order != CF_CHUNK_ORDER || !has_whole()) {
		if (cell->order && !cut)
			return E(CF_ENOMEM);
		if (idle_frames() < frames_of(head))
			return E(CF_ENOMEM);
	}
	if (refs != refs_of(head) || cell->pins)
		return E(CF_EAGAIN);
	if (w.closing)
		return E(CF_EREFUSED);
	return w.copy_fails ? E(CF_EPORT) : OK;
}

static void call_send(void)
{
	uint32_t head = draw_run(false);
	uint32_t refs, codes;
	bool cut = draw_chance(60);

	if (head == m.last)
		return;
	refs = w.cell[head].along;
	if (draw_chance(5))
		refs = draw(3);
	codes = send_codes(head, refs, cut);
	/* References that nobody said move along would be nobody's. */
	if (codes == OK && w.cell[head].stray)
		return;
	w.pieces = 0;
	if (play_told("to-device", devmem_to_device(w.driver, head, refs,
						    cut ? &pieces : NULL),
		      codes, " %#x with %u references%s", head, refs,
		      cut ? ", in pieces" : ""))
		recount();
	else
		REQUIRE_EQ(w.pieces, 0);
}

static void call_map(void)
{
	uint32_t head = draw_run(true);
	uint32_t codes = OK;

	if (head == m.last)
		return;
	if (draw_chance(5))
		head = w.first + draw(w.last - w.first);
	if (!w.cell[head].used || w.cell[head].head != head ||
	    !w.cell[head].along)
		codes = E(CF_EINVAL);
	if (play_told("map", devmem_map(w.driver, head), codes, " %#x", head))
		change(head, 1, 0, 0);
}

static void call_unmap(void)
{
	uint32_t head = draw_run(true);
	uint32_t codes = OK;

	if (head == m.last)
		return;
	if (!w.cell[head].along)
		codes = E(CF_EINVAL);
	if (play_told("unmap", devmem_unmap(w.driver, head), codes, " %#x",
		      head))
		change(head, -1, 0, 0);
}

static void call_stray(void)
{
	uint32_t head = draw_run(draw_chance(70));
	bool pin = draw_chance(30);
	uint32_t codes = OK;
	int err;

	if (head == m.last)
		return;
	if (on_device(head) && w.closing)
		codes = E(CF_EGONE);
	err = pin ? cf_pin(m.map, head) : cf_try_get(m.map, head);
	if (play_told("stray", err, codes, " %#x%s", head,
		      pin ? ", a pin" : ""))
		change(head, 0, 1, pin);
}

static void call_put(void)
{
	uint32_t head = draw_run(draw(2));

	if (head == m.last)
		return;
	(void)play_told("put", 0, OK, " %#x", head);
	put_one(head);
}

/* May memory run out when all that moved to the device comes back? */
static bool is_scarce(unsigned order)
{
	return unused_frames() < w.last - w.first ||
	       (order && whole_chunks() < 2 * (w.last - w.first) / CHUNK);
}

/* What may hold up one run on its way back. */
static uint32_t back_codes(uint32_t head, bool touched)
{
	const struct cell *cell = &w.cell[head];
	uint32_t codes = OK;

	if (!cell->moves || !cell->along)
		return E(CF_EAGAIN);
	if (cell->stray)
		codes = E(CF_EAGAIN);
	else if (w.copy_fails)
		codes = touched ? E(CF_EREFUSED) : E(CF_EPORT);
	/* What is bad is not cut. */
	if (has_bad(head))
		codes |= E(CF_EAGAIN);
	if (!is_scarce(cell->order))
		return codes;
	return (unused_frames() ? codes : codes & E(CF_EAGAIN)) |
	       E(CF_ENOMEM);
}

static void call_fault(void)
{
	uint32_t head = draw_run(true), touched, tries;
	cf_pfn now = 0;
	uint32_t codes;
	uint64_t mark;

	for (tries = 0; tries < 6 && head < m.last && !w.cell[head].moves;
	     tries++)
		head = draw_run(true);
	if (head == m.last)
		return;
	touched = head + draw(frames_of(head));
	if (draw_chance(5))
		touched = w.first + draw(w.last - w.first);
	mark = w.cell[touched].mark;
	if (w.config.pagemap.kind != CF_PAGEMAP_PRIVATE)
		codes = E(CF_EINVAL);
	else if (!w.cell[touched].used)
		codes = E(CF_EGONE);
	else
		codes = back_codes(w.cell[touched].head, true);
	w.pieces = 0;
	if (play_told("fault", cf_pagemap_fault(m.map, touched, &now), codes,
		      " of %#x", touched)) {
		REQUIRE_EQ(w.pieces, 1);
		REQUIRE(!on_device((uint32_t)now));
		REQUIRE_EQ(w.cell[now].mark, mark);
	} else {
		REQUIRE_EQ(w.pieces, 0);
	}
	see_cuts();
}

/* What may hold up any of them; how many could go. */
static uint32_t evict_codes(uint64_t *ret_movable)
{
	uint32_t at, codes = OK;

	*ret_movable = 0;
	for (at = w.first; at < w.last; at++) {
		uint32_t one;

		if (!wanted(at, true) || !w.cell[at].moves)
			continue;
		one = back_codes(at, false);
		codes |= one;
		*ret_movable += (one & OK) != 0;
	}
	return codes;
}

static void call_evict(void)
{
	uint64_t most = draw_chance(30) ? w.last : draw(4), done = 0, movable;
	uint32_t codes = evict_codes(&movable);
	int err;

	w.pieces = 0;
	err = devmem_evict(w.driver, most, &done);
	(void)play_told("evict", err, codes, " %u runs at most",
			(unsigned)most);
	REQUIRE_EQ(done, w.pieces);
	/* Nobody runs out of anything: all go that can. */
	if (codes == OK)
		REQUIRE_EQ(done, most < movable ? most : movable);
	see_cuts();
}

static uint32_t bad_frames(void)
{
	uint32_t at, count = 0;

	for (at = w.first; at < w.last; at++)
		count += w.cell[at].bad;
	return count;
}

static void call_retire(void)
{
	uint32_t at = w.first + draw(w.last - w.first);
	enum cf_retire_state state = CF_RETIRE_NONE;
	uint32_t codes = OK;
	bool known, used;

	if (draw(2) && draw_run(true) != m.last)
		at = draw_run(true);
	if (at == m.last)
		return;
	known = w.cell[at].bad;
	used = w.cell[at].used;
	if (!known && bad_frames() == m.config.poison_max)
		codes = E(CF_ELIMIT);
	else if (!known && w.closing)
		codes = E(CF_EBUSY);
	w.told = 0;
	if (!play_told("retire", cf_retire(m.map, at, &state), codes, " %#x",
		       at))
		return;
	REQUIRE_EQ(state, used ? CF_RETIRE_PENDING : CF_RETIRE_DONE);
	REQUIRE_EQ(w.told, used && !known);
	w.cell[at].bad = true;
}

/* Nothing of the range is left, and the driver ends all the same. */
static void see_gone(void)
{
	struct cf_snapshot run;

	REQUIRE(cf_snapshot(m.map, w.first, &run));
	REQUIRE_EQ(devmem_destroy(w.driver, NULL), 0);
	create();
}

static void call_remove(void)
{
	struct cf_report report;
	int err;

	if (!w.closing) {
		err = cf_pagemap_remove_start(m.map, w.first, w.last);
		w.closing = play_told("remove-start", err, OK, " ");
	} else if (draw(2)) {
		err = cf_pagemap_remove_step(m.map, w.first, w.last, &report);
		if (play_told("remove-step", err, any_used() ? E(CF_EBUSY) : OK,
			      " ")) {
			see_gone();
			return;
		}
		REQUIRE(w.cell[report.pfn].used);
		REQUIRE_EQ(report.refs, refs_of((uint32_t)report.pfn));
		REQUIRE_EQ(report.pins, w.cell[report.pfn].pins);
		REQUIRE_EQ(report.owner, devmem_owner(w.driver));
	} else {
		err = cf_pagemap_remove_cancel(m.map, w.first, w.last);
		(void)play_told("remove-cancel", err, OK, " ");
		w.closing = false;
	}
}

static void call_destroy(void)
{
	struct cf_report report = { .pfn = CF_PFN_NONE };
	int err = devmem_destroy(w.driver, &report);

	see_cuts();
	/* What could go back has by now. */
	(void)play_told("destroy", err, w.closing || any_used() ?
			E(CF_EBUSY) : OK, " ");
	if (err && !w.closing)
		REQUIRE(w.cell[report.pfn].used);
	if (!err)
		create();
}

static void call_scarcity(void)
{
	if (draw(2)) {
		set_full(!w.full_count);
		(void)play_told("memory", 0, OK, " %s",
				w.full_count ? "is out" : "is there");
	} else {
		w.copy_fails = !w.copy_fails;
		(void)play_told("copying", 0, OK, " %s",
				w.copy_fails ? "fails" : "works");
	}
}

static void call(void)
{
	static const struct {
		unsigned share;
		void (*call)(void);
	} calls[] = {
		{ 14, call_page }, { 10, call_alloc }, { 18, call_send },
		{ 6, call_map }, { 6, call_unmap }, { 8, call_stray },
		{ 11, call_put }, { 10, call_fault }, { 4, call_evict },
		{ 4, call_retire }, { 3, call_remove }, { 2, call_destroy },
		{ 4, call_scarcity },
	};
	unsigned turn = draw(100), i = 0;

	/* Nothing much can be done while it is closed. */
	if (w.closing && draw_chance(25)) {
		call_remove();
		return;
	}
	while (turn >= calls[i].share)
		turn -= calls[i++].share;
	calls[i].call();
}

int main(int argc, char **argv)
{
	static const char *const calls[] = {
		"page", "alloc", "to-device", "map", "unmap", "stray", "put",
		"fault", "evict", "retire", "remove-start", "remove-step",
		"remove-cancel",
		"destroy", NULL,
	};
	static const struct play play = {
		"devmem", begin, call, compare, end, calls,
	};

	return play_main(argc, argv, &play);
}
