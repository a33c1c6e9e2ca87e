/* SPDX-License-Identifier: MIT */

/*
 * Every execution once.
 *
 * Depth first over execution graphs, after Kokologiannakis, Marmanis,
 * Gladstein and Vafeiadis, "Truly Stateless, Optimal Dynamic Partial Order
 * Reduction", POPL 2022.  A new load branches over the stores it may read; a
 * new store over its places in coherence order and over the older loads that
 * may read it instead, each of which throws away what came after the load and
 * does not lead to the store.  Such a step back is taken only if what it
 * throws away was the first choice everywhere, so no graph is reached twice.
 */

#include "engine.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum item_kind {
	ITEM_LOAD,		/* the load reads from another store */
	ITEM_PLACE,		/* the store stands elsewhere in co */
	ITEM_REVISIT,		/* an older load reads from the store */
};

struct item {
	enum item_kind kind;
	event_ref event;
	uint32_t stamp;		/* of the event */
	event_ref other;	/* store to read from, or load to be read by */
	uint32_t position;
	double weight;		/* share of the whole search below it */
};

/* A graph and what is still to be tried in it. */
struct level {
	struct graph graph;
	struct item *item;
	size_t items, room;
};

static struct {
	struct level *level;
	size_t levels, room;
	double weight, done;
	unsigned threads;
	const struct search_options *options;
	struct search_result *result;
	uint64_t *seen;
	size_t seen_count, seen_room;
	struct timespec begin;
	double drawn;
} at;

static struct level *top(void)
{
	return &at.level[at.levels - 1];
}

static struct level *push_level(void)
{
	if (at.levels == at.room) {
		at.room = at.room * 2 + 16;
		at.level = realloc(at.level, at.room * sizeof(*at.level));
		if (!at.level)
			abort();
		memset(&at.level[at.levels], 0,
		       (at.room - at.levels) * sizeof(*at.level));
	}
	at.level[at.levels].items = 0;
	return &at.level[at.levels++];
}

static void push_item(struct item item)
{
	struct level *level = top();

	if (level->items == level->room) {
		level->room = level->room * 2 + 16;
		level->item = realloc(level->item,
				      level->room * sizeof(*level->item));
		if (!level->item)
			abort();
	}
	level->item[level->items++] = item;
}

/* The choices made for one event share its weight. */
static void share_weight(size_t items_before)
{
	struct level *level = top();
	size_t added = level->items - items_before;
	size_t i;

	at.weight /= (double)(added + 1);
	for (i = items_before; i < level->items; i++)
		level->item[i].weight = at.weight;
}

static bool too_many_preemptions(const struct graph *graph)
{
	/* A graph that is still growing may lose switches again. */
	if (!at.options->bound ||
	    trace_preemptions(graph) <= at.options->bound + at.threads - 1)
		return false;
	at.result->bounded++;
	return true;
}

/* ---- new loads ---- */

static bool load_option_fits(struct graph *graph, event_ref load,
			     event_ref store, bool youngest)
{
	const struct event *event = graph_event(graph, load);

	graph_set_rf(graph, load, store);
	/* A wait that ends with an old value never ends. */
	if (event->blocked && !youngest)
		return false;
	return graph_sc_fits(graph, load);
}

static bool choose_load(event_ref load)
{
	struct graph *graph = &top()->graph;
	const struct event *event = graph_event(graph, load);
	uint32_t place = event->access.place;
	uint32_t stores = graph->place[place].stores;
	size_t items = top()->items;
	event_ref first = EVENT_INIT;
	uint32_t before[THREADS_MAX];
	uint32_t oldest, position;
	bool found = false;

	memcpy(before, event->hb, sizeof(before));
	before[ref_thread(load)]--;
	oldest = graph_oldest(graph, place, before);
	for (position = stores + 1; position-- > oldest;) {
		event_ref store = graph_at_position(graph, place, position);

		if (!load_option_fits(graph, load, store, position == stores))
			continue;
		if (found)
			push_item((struct item) {
				.kind = ITEM_LOAD, .event = load,
				.stamp = event->stamp, .other = store });
		else
			first = store;
		found = true;
	}
	share_weight(items);
	if (!found)
		return false;
	graph_set_rf(graph, load, first);
	return true;
}

/* ---- new stores ---- */

/* Put the store there if the model allows it. */
static bool store_option_fits(struct graph *graph, event_ref store,
			      uint32_t position)
{
	if (!graph_store_fits(graph, store, position))
		return false;
	graph_set_position(graph, store, position);
	return graph_sc_fits(graph, store);
}

static void take_out(struct graph *graph, event_ref store)
{
	struct place *place =
		&graph->place[graph_event(graph, store)->access.place];
	uint32_t i, kept = 0;

	for (i = 0; i < place->stores; i++)
		if (place->store[i] != store)
			place->store[kept++] = place->store[i];
	place->stores = kept;
}

/*
 * All places of a store in co, and with @load, which reads from it; the
 * youngest is taken, the others are put down for later.
 */
static bool choose_position(event_ref store, event_ref load)
{
	struct graph *graph = &top()->graph;
	const struct event *event = graph_event(graph, store);
	uint32_t place = event->access.place;
	uint32_t before[THREADS_MAX];
	uint32_t first = 0, position, oldest;
	bool found = false;

	memcpy(before, event->hb, sizeof(before));
	before[ref_thread(store)]--;
	take_out(graph, store);
	oldest = graph_oldest(graph, place, before);
	for (position = graph->place[place].stores + 1; position-- > oldest;) {
		bool fits = store_option_fits(graph, store, position);

		if (fits && load != EVENT_INIT) {
			graph_set_rf(graph, load, store);
			fits = graph_load_fits(graph, load) &&
			       graph_sc_fits(graph, load) &&
			       graph_sc_fits(graph, store);
		}
		take_out(graph, store);
		if (!fits)
			continue;
		if (found)
			push_item((struct item) {
				.kind = ITEM_PLACE, .event = store,
				.stamp = event->stamp, .other = load,
				.position = position });
		else
			first = position;
		found = true;
	}
	if (found)
		graph_set_position(graph, store, first);
	return found;
}

/* Its load's store has another read-modify-write behind it already. */
static void place_beside(struct graph *graph, event_ref store)
{
	const struct event *event = graph_event(graph, store);

	graph_set_position(graph, store,
			   graph_position(graph, event->access.place,
					  (event - 1)->rf));
}

static void push_revisits(event_ref store)
{
	struct graph *graph = &top()->graph;
	const struct event *event = graph_event(graph, store);
	const struct place *place = &graph->place[event->access.place];
	uint32_t i;

	for (i = 0; i < place->loads; i++)
		if (place->load[i] != store &&
		    graph_may_revisit(graph, store, place->load[i]))
			push_item((struct item) {
				.kind = ITEM_REVISIT, .event = store,
				.stamp = event->stamp,
				.other = place->load[i] });
}

/*
 * With two threads: the other one waits at a load of this word, and that load
 * has just been tried with the new store.  What comes here is in vain.
 */
static bool other_waits_for(event_ref store)
{
	const struct graph *graph = &top()->graph;
	unsigned other = !ref_thread(store);
	const struct event *last;
	uint32_t place;

	if (at.threads != 2 || !run_is_waiting(other) || !graph->count[other])
		return false;
	last = &graph->event[other][graph->count[other] - 1];
	place = graph_event(graph, store)->access.place;
	/* Only the youngest store can be read by a load there already. */
	return last->kind == EVENT_LOAD && last->access.place == place &&
	       graph_position(graph, place, store) ==
	       graph->place[place].stores;
}

static bool choose_store(event_ref store)
{
	size_t items = top()->items;
	bool found = choose_position(store, EVENT_INIT);

	if (!found && graph_event(&top()->graph, store)->kind ==
		      EVENT_RMW_STORE)
		place_beside(&top()->graph, store);
	push_revisits(store);
	share_weight(items);
	return found && !other_waits_for(store);
}

static const struct run_hooks search_hooks = { choose_load, choose_store };

/* ---- going on ---- */

/* Make the change the item stands for. False: it leads nowhere. */
static bool apply(struct item item)
{
	struct level *level = top();
	struct level *next;

	at.weight = item.weight;
	graph_cut(&level->graph, item.stamp);
	if (item.kind == ITEM_LOAD) {
		graph_set_rf(&level->graph, item.event, item.other);
		return true;
	}
	if (item.kind == ITEM_PLACE) {
		take_out(&level->graph, item.event);
		graph_set_position(&level->graph, item.event, item.position);
		if (item.other != EVENT_INIT)
			graph_set_rf(&level->graph, item.other, item.event);
		return true;
	}
	next = push_level();
	level = &at.level[at.levels - 2];
	graph_copy(&next->graph, &level->graph);
	graph_revisit(&next->graph, item.event, item.other);
	graph_set_rf(&next->graph, item.other, item.event);
	if (!choose_position(item.event, item.other))
		return false;
	graph_set_rf(&next->graph, item.other, item.event);
	share_weight(0);
	return !too_many_preemptions(&next->graph);
}

/* The next graph to run; false if there is none. */
static bool go_on(void)
{
	while (at.levels > 0) {
		struct level *level = top();

		if (level->items == 0) {
			at.levels--;
			continue;
		}
		if (apply(level->item[--level->items]))
			return true;
		at.done += at.weight;
		at.result->pruned++;
	}
	return false;
}

/* ---- what is told ---- */

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - at.begin.tv_sec) +
	       (double)(now.tv_nsec - at.begin.tv_nsec) / 1e9;
}

static void draw(const struct explore_program *program, bool end)
{
	double now = seconds();
	char bar[41];
	int i, full = (int)(at.done * 40);

	if (!at.options->progress || (!end && now < at.drawn + 0.2))
		return;
	at.drawn = now;
	for (i = 0; i < 40; i++)
		bar[i] = i < full ? '#' : '.';
	bar[40] = '\0';
	fprintf(stderr, "\r%-28s [%s] %5.1f %% %llu executions", program->name,
		bar, at.done * 100,
		(unsigned long long)at.result->explored);
	if (end)
		fprintf(stderr, "\r\033[K");
	fflush(stderr);
}

static int compare(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return (a > b) - (a < b);
}

static void note_hash(const struct graph *graph)
{
	if (!at.options->hashes)
		return;
	if (at.seen_count == at.seen_room) {
		at.seen_room = at.seen_room * 2 + 1024;
		at.seen = realloc(at.seen, at.seen_room * sizeof(*at.seen));
		if (!at.seen)
			abort();
	}
	at.seen[at.seen_count++] = graph_hash(graph);
}

static void count_twice(void)
{
	size_t i;

	if (!at.seen_count)
		return;
	qsort(at.seen, at.seen_count, sizeof(*at.seen), compare);
	for (i = 1; i < at.seen_count; i++)
		at.result->twice += at.seen[i] == at.seen[i - 1];
}

/* Keep the failure that is the shortest to read. */
static void keep_failure(const struct graph *graph)
{
	struct search_result *result = at.result;
	unsigned preemptions = trace_preemptions(graph);

	if (result->failed && (preemptions > result->preemptions ||
	    (preemptions == result->preemptions &&
	     graph->stamps >= result->graph.stamps)))
		return;
	result->failed = true;
	result->failure = *run_failure();
	result->preemptions = preemptions;
	graph_copy(&result->graph, graph);
}

/* Count one execution; false if the search is over. */
static bool note_run(enum run_end end)
{
	struct search_result *result = at.result;
	const struct graph *graph = &top()->graph;

	at.done += at.weight;
	switch (end) {
	case RUN_DONE:
		if (at.options->bound &&
		    trace_preemptions(graph) > at.options->bound) {
			result->bounded++;
			break;
		}
		result->explored++;
		note_hash(graph);
		break;
	case RUN_BLOCKED:
		result->blocked++;
		break;
	case RUN_PRUNED:
		result->pruned++;
		break;
	case RUN_ABANDONED:
		result->abandoned++;
		break;
	case RUN_FAILED:
		keep_failure(graph);
		break;
	case RUN_UNSETTLED:
		return false;
	}
	if (at.options->most && result->explored >= at.options->most)
		return false;
	return !result->failed || seconds() < at.options->seconds_more;
}

/* ---- loads of what comes later ---- */

static bool refuse(event_ref ref)
{
	(void)ref;
	return false;
}

/* Does nothing that comes after the load read or store what is older? */
static bool is_coherent(const struct graph *graph, event_ref load,
			event_ref store)
{
	uint32_t word = graph_event(graph, load)->access.place;
	const struct place *place = &graph->place[word];
	uint32_t position = graph_position(graph, word, store);
	unsigned thread = ref_thread(load);
	uint32_t i;

	for (i = 0; i < place->loads + place->stores; i++) {
		event_ref ref = i < place->loads ? place->load[i] :
				place->store[i - place->loads];
		const struct event *event = graph_event(graph, ref);

		if (ref == load || ref == store ||
		    event->hb[thread] <= ref_index(load))
			continue;
		if (graph_position(graph, word, i < place->loads ? event->rf :
				   ref) < position)
			return false;
	}
	return true;
}

/* Can @load read @store although @store came about through it? */
static bool may_promise(const struct graph *graph, event_ref load,
			event_ref store)
{
	const struct event *reader = graph_event(graph, load);
	const struct event *writer = graph_event(graph, store);

	return reader->kind == EVENT_LOAD && !reader->access.compares &&
	       reader->access.order != EXPLORE_SEQ_CST &&
	       reader->value != writer->value &&
	       ref_index(load) < writer->porf[ref_thread(load)] &&
	       ref_index(load) >= writer->hb[ref_thread(load)] &&
	       is_coherent(graph, load, store);
}

/*
 * C11 lets a load read from a store that comes after it, by way of what
 * others read, where nothing is synchronised; it is meant to be so only if
 * the store does not depend on the load (RC11 forbids it altogether).  Do the
 * same steps once more with that value: if nothing else changes, the store
 * does not depend on it.
 */
static void try_promise(const struct explore_program *program,
			struct graph *graph, event_ref load, event_ref store)
{
	static const struct run_hooks hooks = { refuse, refuse };
	struct event *event = graph_event(graph, load);
	const struct event was = *event;
	enum run_end end;

	event->rf = store;
	event->value = graph_event(graph, store)->value;
	run_set_promise(load);
	end = run_execute(program, graph, &hooks);
	run_set_promise(EVENT_INIT);
	if (end == RUN_DONE) {
		at.result->promised++;
		if (*run_outcome())
			litmus_note(run_outcome());
	}
	*event = was;
	/* Its trace is that of the execution without the promise. */
	if (end == RUN_FAILED)
		keep_failure(graph);
}

static void try_promises_of(const struct explore_program *program,
			    struct graph *graph, const struct place *place)
{
	uint32_t load, store;

	for (load = 0; load < place->loads; load++)
		for (store = 0; store < place->stores; store++)
			if (may_promise(graph, place->load[load],
					place->store[store]))
				try_promise(program, graph, place->load[load],
					    place->store[store]);
}

static void try_promises(const struct explore_program *program)
{
	struct graph *graph = &top()->graph;
	uint32_t i;

	for (i = 0; i < graph->places; i++)
		try_promises_of(program, graph, &graph->place[i]);
}

static void begin_anew(const struct explore_program *program)
{
	struct search_result *result = at.result;
	uint64_t restarts = result->restarts;

	graph_free(&result->graph);
	memset(result, 0, sizeof(*result));
	result->restarts = restarts;
	memory_settle();
	memory_take_start_values();
	at.levels = 0;
	at.seen_count = 0;
	at.weight = 1;
	at.done = 0;
	run_counts = (struct run_counts) { 0, 0 };
	for (at.threads = 0; at.threads < EXPLORE_THREADS_MAX &&
	     program->thread[at.threads];)
		at.threads++;
	graph_clear(&push_level()->graph, at.threads);
}

/* True when done, false if a word turned out to be shared. */
static bool search_once(const struct explore_program *program)
{
	enum run_end end;

	begin_anew(program);
	do {
		end = run_execute(program, &top()->graph, &search_hooks);
		if (end == RUN_UNSETTLED)
			return false;
		if (end == RUN_DONE && *run_outcome())
			litmus_note(run_outcome());
		if (!note_run(end))
			return true;
		if (end == RUN_DONE && at.options->promises)
			try_promises(program);
		draw(program, false);
	} while (go_on());
	at.result->complete = !at.result->failed;
	return true;
}

void search_setup(const struct explore_program *program)
{
	struct graph graph = { .threads = 0 };

	memory_init();
	if (program->setup)
		program->setup();
	memory_keep();
	run_set_script(NULL, 0);
	run_set_promise(EVENT_INIT);
	graph_clear(&graph, EXPLORE_THREADS_MAX);
	(void)run_execute(program, &graph, NULL);
	graph_free(&graph);
	memory_restore();
}

void search(const struct explore_program *program,
	    const struct search_options *options,
	    struct search_result *ret_result)
{
	memset(ret_result, 0, sizeof(*ret_result));
	at.options = options;
	at.result = ret_result;
	clock_gettime(CLOCK_MONOTONIC, &at.begin);
	at.drawn = 0;
	search_setup(program);
	while (!search_once(program)) {
		memory_restore();
		ret_result->restarts++;
	}
	draw(program, true);
	count_twice();
	ret_result->bound = options->bound;
	ret_result->states = run_counts.added;
	ret_result->words = memory_places();
	ret_result->seconds = seconds();
}
