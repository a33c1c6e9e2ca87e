/* SPDX-License-Identifier: MIT */

/*
 * The graph and the memory model: C11 as repaired by Lahav, Vafeiadis, Kang,
 * Hur and Dreyer, "Repairing Sequential Consistency in C/C++11", PLDI 2017
 * (RC11), without fences: coherence, atomicity of read-modify-writes, one
 * order of seq_cst accesses, and no load that reads from a store that depends
 * on it.  Release sequences are those of C++20: read-modify-writes only.
 */

#include "graph.h"

#include <stdlib.h>
#include <string.h>

static void *grown(void *memory, size_t count, size_t size)
{
	void *more = realloc(memory, count * size);

	if (!more)
		abort();
	return more;
}

void graph_clear(struct graph *graph, unsigned threads)
{
	uint32_t i;

	graph->threads = threads;
	for (i = 0; i < THREADS_MAX; i++)
		graph->count[i] = 0;
	for (i = 0; i < graph->places; i++)
		graph->place[i].stores = graph->place[i].loads = 0;
	graph->stamps = 0;
	graph->dead = false;
}

void graph_free(struct graph *graph)
{
	uint32_t i;

	for (i = 0; i < THREADS_MAX; i++)
		free(graph->event[i]);
	for (i = 0; i < graph->place_room; i++) {
		free(graph->place[i].store);
		free(graph->place[i].load);
	}
	free(graph->place);
	memset(graph, 0, sizeof(*graph));
}

static void want_places(struct graph *graph, uint32_t places)
{
	uint32_t room = places + 32;

	if (places > graph->place_room) {
		graph->place = grown(graph->place, room, sizeof(struct place));
		memset(&graph->place[graph->place_room], 0,
		       (room - graph->place_room) * sizeof(struct place));
		graph->place_room = room;
	}
	for (; graph->places < places; graph->places++)
		graph->place[graph->places].stores =
			graph->place[graph->places].loads = 0;
}

static void copy_refs(event_ref **to, uint32_t *room, const event_ref *from,
		      uint32_t count)
{
	if (count > *room) {
		*room = count + 8;
		*to = grown(*to, *room, sizeof(event_ref));
	}
	if (count)
		memcpy(*to, from, count * sizeof(event_ref));
}

void graph_copy(struct graph *to, const struct graph *from)
{
	uint32_t i;

	graph_clear(to, from->threads);
	for (i = 0; i < from->threads; i++) {
		if (from->count[i] > to->room[i]) {
			to->room[i] = from->count[i] + 64;
			to->event[i] = grown(to->event[i], to->room[i],
					     sizeof(struct event));
		}
		if (from->count[i])
			memcpy(to->event[i], from->event[i],
			       from->count[i] * sizeof(struct event));
		to->count[i] = from->count[i];
	}
	want_places(to, from->places);
	for (i = 0; i < from->places; i++) {
		const struct place *place = &from->place[i];
		struct place *copy = &to->place[i];

		copy_refs(&copy->store, &copy->store_room, place->store,
			  place->stores);
		copy->stores = place->stores;
		copy_refs(&copy->load, &copy->load_room, place->load,
			  place->loads);
		copy->loads = place->loads;
	}
	to->stamps = from->stamps;
	to->dead = from->dead;
}

struct event *graph_event(const struct graph *graph, event_ref ref)
{
	return &graph->event[ref_thread(ref)][ref_index(ref)];
}

uint64_t graph_store_value(const struct graph *graph, uint32_t place,
			   event_ref store)
{
	return store == EVENT_INIT ? place_start_value(place) :
				     graph_event(graph, store)->value;
}

uint32_t graph_position(const struct graph *graph, uint32_t place,
			event_ref store)
{
	const struct place *at = &graph->place[place];
	uint32_t i;

	if (store == EVENT_INIT)
		return 0;
	for (i = at->stores; i > 0; i--)
		if (at->store[i - 1] == store)
			return i;
	abort();
}

event_ref graph_at_position(const struct graph *graph, uint32_t place,
			    uint32_t position)
{
	return position ? graph->place[place].store[position - 1] : EVENT_INIT;
}

static bool known(event_ref ref, const uint32_t *before)
{
	return ref_index(ref) < before[ref_thread(ref)];
}

uint32_t graph_oldest(const struct graph *graph, uint32_t place,
		      const uint32_t *hb)
{
	const struct place *at = &graph->place[place];
	event_ref last[THREADS_MAX];
	uint32_t oldest = 0;
	uint32_t i, position;

	for (i = at->stores; i > 0; i--)
		if (known(at->store[i - 1], hb)) {
			oldest = i;
			break;
		}
	/* Of the loads of a thread the last has read the youngest. */
	for (i = 0; i < THREADS_MAX; i++)
		last[i] = EVENT_INIT;
	for (i = 0; i < at->loads; i++) {
		event_ref *of_thread = &last[ref_thread(at->load[i])];

		if (known(at->load[i], hb) &&
		    (*of_thread == EVENT_INIT || *of_thread < at->load[i]))
			*of_thread = at->load[i];
	}
	for (i = 0; i < THREADS_MAX; i++) {
		if (last[i] == EVENT_INIT)
			continue;
		position = graph_position(graph, place,
					  graph_event(graph, last[i])->rf);
		if (position > oldest)
			oldest = position;
	}
	return oldest;
}

static void join(uint32_t *into, const uint32_t *from)
{
	unsigned i;

	for (i = 0; i < THREADS_MAX; i++)
		if (from[i] > into[i])
			into[i] = from[i];
}

static bool acquires(enum explore_order order)
{
	return order == EXPLORE_ACQUIRE || order == EXPLORE_ACQ_REL ||
	       order == EXPLORE_SEQ_CST;
}

static bool releases(enum explore_order order)
{
	return order == EXPLORE_RELEASE || order == EXPLORE_ACQ_REL ||
	       order == EXPLORE_SEQ_CST;
}

/* What comes before an event by program order alone. */
static void begin_from_previous(struct event *event, unsigned thread,
				uint32_t index)
{
	const struct event *previous = event - 1;

	memset(event->porf, 0, sizeof(event->porf));
	memset(event->hb, 0, sizeof(event->hb));
	memset(event->sync, 0, sizeof(event->sync));
	if (index > 0) {
		memcpy(event->porf, previous->porf, sizeof(event->porf));
		memcpy(event->hb, previous->hb, sizeof(event->hb));
	}
	event->porf[thread] = event->hb[thread] = index + 1;
}

struct event *graph_append(struct graph *graph, unsigned thread,
			   const struct access *access, enum event_kind kind)
{
	uint32_t index = graph->count[thread];
	struct event *event;

	if (index == graph->room[thread]) {
		graph->room[thread] = index * 2 + 64;
		graph->event[thread] = grown(graph->event[thread],
					     graph->room[thread],
					     sizeof(struct event));
	}
	want_places(graph, access->place + 1);
	event = &graph->event[thread][index];
	memset(event, 0, sizeof(*event));
	event->access = *access;
	event->kind = kind;
	event->stamp = graph->stamps++;
	event->rf = EVENT_INIT;
	begin_from_previous(event, thread, index);
	graph->count[thread]++;
	return event;
}

static void add_ref(event_ref **refs, uint32_t *count, uint32_t *room,
		    event_ref ref)
{
	if (*count == *room) {
		*room = *count * 2 + 8;
		*refs = grown(*refs, *room, sizeof(event_ref));
	}
	(*refs)[(*count)++] = ref;
}

static bool drop_ref(event_ref *refs, uint32_t *count, event_ref ref)
{
	uint32_t i;

	for (i = *count; i > 0; i--)
		if (refs[i - 1] == ref) {
			memmove(&refs[i - 1], &refs[i],
				(*count - i) * sizeof(event_ref));
			(*count)--;
			return true;
		}
	return false;
}

void graph_set_rf(struct graph *graph, event_ref load, event_ref store)
{
	struct event *event = graph_event(graph, load);
	struct place *place = &graph->place[event->access.place];
	const struct event *from;
	bool stores;

	(void)drop_ref(place->load, &place->loads, load);
	add_ref(&place->load, &place->loads, &place->load_room, load);
	event->rf = store;
	event->value = graph_store_value(graph, event->access.place, store);
	stores = event->access.stores &&
		 (!event->access.compares ||
		  event->value == event->access.expected);
	event->kind = stores ? EVENT_RMW_LOAD : EVENT_LOAD;
	event->blocked = event->access.await == AWAIT_EXPECTED &&
			 event->value != event->access.expected;
	begin_from_previous(event, ref_thread(load), ref_index(load));
	if (store == EVENT_INIT)
		return;
	from = graph_event(graph, store);
	join(event->porf, from->porf);
	/* An exchange that does not happen is a relaxed load. */
	if (acquires(event->access.order) &&
	    (stores || !event->access.compares))
		join(event->hb, from->sync);
}

/* The load of the read-modify-write that @store ends, or NULL. */
static const struct event *rmw_load(const struct graph *graph, event_ref store)
{
	const struct event *event = graph_event(graph, store);

	return event->kind == EVENT_RMW_STORE ? event - 1 : NULL;
}

void graph_set_position(struct graph *graph, event_ref store,
			uint32_t position)
{
	struct event *event = graph_event(graph, store);
	struct place *place = &graph->place[event->access.place];
	const struct event *load = rmw_load(graph, store);

	(void)drop_ref(place->store, &place->stores, store);
	add_ref(&place->store, &place->stores, &place->store_room, store);
	memmove(&place->store[position + 1], &place->store[position],
		(place->stores - 1 - position) * sizeof(event_ref));
	place->store[position] = store;
	memset(event->sync, 0, sizeof(event->sync));
	if (load && load->rf != EVENT_INIT)
		memcpy(event->sync, graph_event(graph, load->rf)->sync,
		       sizeof(event->sync));
	if (releases(event->access.order))
		join(event->sync, event->hb);
}

bool graph_load_fits(const struct graph *graph, event_ref load)
{
	const struct event *event = graph_event(graph, load);
	uint32_t before[THREADS_MAX];
	uint32_t place = event->access.place;

	/* All that happens before it but itself. */
	memcpy(before, event->hb, sizeof(before));
	before[ref_thread(load)]--;
	return graph_position(graph, place, event->rf) >=
	       graph_oldest(graph, place, before);
}

bool graph_store_fits(const struct graph *graph, event_ref store,
		      uint32_t position)
{
	const struct event *event = graph_event(graph, store);
	const struct event *load = rmw_load(graph, store);
	uint32_t place = event->access.place;
	const struct event *next_load;
	event_ref here, next;

	here = graph_at_position(graph, place, position);
	if (load && load->rf != here)
		return false;
	if (position == graph->place[place].stores)
		return true;
	/* Nothing comes between a read-modify-write and what it read. */
	next = graph_at_position(graph, place, position + 1);
	next_load = rmw_load(graph, next);
	return !next_load || next_load->rf != here;
}

static bool is_load(const struct event *event)
{
	return event->kind == EVENT_LOAD || event->kind == EVENT_RMW_LOAD;
}

/* ---- one order of all seq_cst accesses ---- */

#define SC_MOST 4096

struct sc_set {
	uint32_t index[THREADS_MAX][SC_MOST];
	uint32_t count[THREADS_MAX];
	uint32_t reached[THREADS_MAX];	/* all from this one on come after */
};

static bool is_sc(const struct event *event)
{
	/* An exchange that does not happen is a relaxed load. */
	return event->access.order == EXPLORE_SEQ_CST &&
	       !(event->kind == EVENT_LOAD && event->access.compares);
}

/* a -> x in program order, y -> b, x happens before y, other words each. */
static bool sc_through(const struct graph *graph, event_ref a, event_ref b)
{
	unsigned from = ref_thread(a), to = ref_thread(b);
	uint32_t place_a = graph_event(graph, a)->access.place;
	uint32_t place_b = graph_event(graph, b)->access.place;
	uint32_t x = ref_index(a) + 1, y = ref_index(b);

	while (x < graph->count[from] &&
	       graph->event[from][x].access.place == place_a)
		x++;
	while (y > 0 && graph->event[to][y - 1].access.place == place_b)
		y--;
	if (x == graph->count[from] || y == 0)
		return false;
	return graph->event[to][y - 1].hb[from] > x;
}

/* Must a come before b in the order of seq_cst accesses? */
static bool sc_edge(const struct graph *graph, event_ref a, event_ref b)
{
	const struct event *first = graph_event(graph, a);
	const struct event *second = graph_event(graph, b);
	uint32_t place = first->access.place;

	if (ref_thread(a) == ref_thread(b))
		return ref_index(a) < ref_index(b);
	if (place != second->access.place)
		return sc_through(graph, a, b);
	if (known(a, second->hb))
		return true;
	if (!is_load(second)) {
		/* mo, and loads of what is older than the store. */
		event_ref at = is_load(first) ? first->rf : a;

		return graph_position(graph, place, at) <
		       graph_position(graph, place, b);
	}
	return false;
}

/* All seq_cst accesses, thread by thread, in program order. */
static void sc_collect(const struct graph *graph, struct sc_set *set)
{
	unsigned thread;
	uint32_t i;

	for (thread = 0; thread < graph->threads; thread++) {
		set->count[thread] = 0;
		for (i = 0; i < graph->count[thread]; i++)
			if (is_sc(&graph->event[thread][i])) {
				if (set->count[thread] == SC_MOST)
					abort();
				set->index[thread][set->count[thread]++] = i;
			}
	}
}

/*
 * What comes after an event is, in each thread, all from some access on:
 * bring these beginnings forward to what @from leads to.
 */
static bool sc_spread(const struct graph *graph, struct sc_set *set,
		      event_ref from)
{
	bool moved = false;
	unsigned thread;
	uint32_t i;

	for (thread = 0; thread < graph->threads; thread++)
		for (i = 0; i < set->reached[thread]; i++)
			if (EVENT_REF(thread, set->index[thread][i]) != from &&
			    sc_edge(graph, from,
				    EVENT_REF(thread,
					      set->index[thread][i]))) {
				set->reached[thread] = i;
				moved = true;
			}
	return moved;
}

/* Does the access, the last of its thread, come after itself? */
bool graph_sc_fits(const struct graph *graph, event_ref newest)
{
	static struct sc_set set;
	uint32_t spread[THREADS_MAX];
	unsigned thread, own = ref_thread(newest);
	bool moved;

	if (!is_sc(graph_event(graph, newest)))
		return true;
	sc_collect(graph, &set);
	for (thread = 0; thread < graph->threads; thread++)
		spread[thread] = set.reached[thread] = set.count[thread];
	(void)sc_spread(graph, &set, newest);
	do {
		moved = false;
		for (thread = 0; thread < graph->threads; thread++)
			while (spread[thread] > set.reached[thread]) {
				spread[thread]--;
				moved |= sc_spread(graph, &set,
					EVENT_REF(thread, set.index[thread]
						  [spread[thread]]));
			}
	} while (moved);
	return set.reached[own] == set.count[own];
}

/* ---- stores that are not atomic ---- */

const struct event *graph_race(const struct graph *graph, event_ref ref)
{
	const struct event *event = graph_event(graph, ref);
	const struct place *place = &graph->place[event->access.place];
	bool plain = event->access.order == EXPLORE_PLAIN;
	uint32_t i;

	for (i = 0; i < place->stores + place->loads; i++) {
		event_ref other = i < place->stores ? place->store[i] :
				  place->load[i - place->stores];
		const struct event *at = graph_event(graph, other);

		if (ref_thread(other) == ref_thread(ref) ||
		    (!plain && at->access.order != EXPLORE_PLAIN))
			continue;
		if (!known(other, event->hb) && !known(ref, at->hb))
			return at;
	}
	return NULL;
}

/* ---- going back ---- */

static void drop_last(struct graph *graph, unsigned thread)
{
	uint32_t index = --graph->count[thread];
	struct event *event = &graph->event[thread][index];
	struct place *place = &graph->place[event->access.place];
	event_ref ref = EVENT_REF(thread, index);

	if (is_load(event))
		(void)drop_ref(place->load, &place->loads, ref);
	else
		(void)drop_ref(place->store, &place->stores, ref);
}

void graph_cut(struct graph *graph, uint32_t stamp)
{
	unsigned thread;

	for (thread = 0; thread < graph->threads; thread++)
		while (graph->count[thread] > 0 &&
		       graph->event[thread][graph->count[thread] - 1].stamp >
		       stamp)
			drop_last(graph, thread);
	graph->stamps = stamp + 1;
	graph->dead = false;
}

static bool is_previous(const struct graph *graph, event_ref ref,
			uint32_t stamp, const struct event *store)
{
	if (ref == EVENT_INIT)
		return true;
	return graph_event(graph, ref)->stamp <= stamp ||
	       known(ref, store->porf);
}

/*
 * Was the event, when it was added, the first choice: a load of the youngest
 * store, a store behind all others that nobody older reads?
 */
static bool was_first_choice(const struct graph *graph, event_ref ref,
			     event_ref store_ref)
{
	const struct event *store = graph_event(graph, store_ref);
	const struct event *event = graph_event(graph, ref);
	uint32_t at = event->access.place;
	const struct place *place = &graph->place[at];
	event_ref choice = is_load(event) ? event->rf : ref;
	uint32_t i;

	if (!is_load(event))
		for (i = 0; i < place->loads; i++)
			if (graph_event(graph, place->load[i])->rf == ref &&
			    graph_event(graph, place->load[i])->stamp <=
			    event->stamp)
				return false;
	if (!is_previous(graph, choice, event->stamp, store))
		return false;
	for (i = graph_position(graph, at, choice); i < place->stores; i++)
		if (place->store[i] != store_ref &&
		    is_previous(graph, place->store[i], event->stamp, store))
			return false;
	return true;
}

bool graph_may_revisit(const struct graph *graph, event_ref store,
		       event_ref load)
{
	const struct event *writer = graph_event(graph, store);
	const struct event *reader = graph_event(graph, load);
	unsigned thread;
	uint32_t i;

	if (known(load, writer->porf))
		return false;
	for (thread = 0; thread < graph->threads; thread++)
		for (i = graph->count[thread]; i > writer->porf[thread]; i--) {
			if (graph->event[thread][i - 1].stamp < reader->stamp)
				break;
			if (!was_first_choice(graph, EVENT_REF(thread, i - 1),
					      store))
				return false;
		}
	return true;
}

void graph_revisit(struct graph *graph, event_ref store, event_ref load)
{
	const struct event writer = *graph_event(graph, store);
	uint32_t stamp = graph_event(graph, load)->stamp;
	unsigned thread;

	for (thread = 0; thread < graph->threads; thread++)
		while (graph->count[thread] > writer.porf[thread] &&
		       graph->event[thread][graph->count[thread] - 1].stamp >
		       stamp)
			drop_last(graph, thread);
	graph->dead = false;
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
	hash ^= value;
	hash *= 0x100000001b3u;
	return hash ^ hash >> 29;
}

uint64_t graph_hash(const struct graph *graph)
{
	uint64_t hash = 0xcbf29ce484222325u;
	unsigned thread;
	uint32_t i, k;

	for (thread = 0; thread < graph->threads; thread++)
		for (i = 0; i < graph->count[thread]; i++) {
			const struct event *event = &graph->event[thread][i];

			hash = mix(hash, event->access.place);
			hash = mix(hash, event->kind);
			hash = mix(hash, is_load(event) ? event->rf :
							  event->value);
		}
	for (i = 0; i < graph->places; i++)
		for (k = 0; k < graph->place[i].stores; k++)
			hash = mix(hash, graph->place[i].store[k]);
	return hash;
}
