/* SPDX-License-Identifier: MIT */
#ifndef EXPLORE_GRAPH_H
#define EXPLORE_GRAPH_H

/*
 * An execution as a graph: the accesses of each thread in program order,
 * which store each load reads from (rf), and for each word the order of its
 * stores (co).  What the memory model allows is a question about the graph
 * alone, and two schedules that differ only in the order of independent steps
 * are one graph.
 */

#include "atomic.h"

#include <stddef.h>

#define THREADS_MAX 4

/* Names an access: thread and place in program order. */
typedef uint32_t event_ref;
#define EVENT_INIT	(~(event_ref)0)		/* the value at the start */
#define EVENT_REF(thread, index) \
	((event_ref)(thread) << 28 | (event_ref)(index))

static inline unsigned ref_thread(event_ref ref)
{
	return ref >> 28;
}

static inline uint32_t ref_index(event_ref ref)
{
	return ref & 0x0fffffffu;
}

enum event_kind {
	EVENT_LOAD,		/* also an exchange that does not happen */
	EVENT_STORE,
	EVENT_RMW_LOAD,		/* its store is the thread's next event */
	EVENT_RMW_STORE,
};

/* When a load of an awaiting kind lets its thread go on. */
enum event_await {
	AWAIT_NOTHING,
	AWAIT_EXPECTED,		/* blocked unless the value is the expected */
};

/* What the thread asked for; enough to do it again with another value. */
struct access {
	uint32_t place;		/* index of the word */
	bool loads, stores;
	bool compares;		/* stores only if @expected is read */
	enum event_await await;
	enum explore_order order;
	uint64_t expected;
	const struct explore_site *site;
};

struct event {
	struct access access;
	enum event_kind kind;
	uint32_t stamp;		/* order in which events were added */
	bool blocked;		/* its thread waits here for another value */
	event_ref rf;		/* loads */
	uint64_t value;		/* read or written */
	/* How many events of each thread come before, this one included: */
	uint32_t porf[THREADS_MAX];	/* by program order and rf */
	uint32_t hb[THREADS_MAX];	/* by happens-before */
	uint32_t sync[THREADS_MAX];	/* stores: what an acquire gets */
};

/* The accesses to one word. */
struct place {
	event_ref *store;	/* in co order, without the value at start */
	uint32_t stores, store_room;
	event_ref *load;	/* in any order */
	uint32_t loads, load_room;
};

struct graph {
	unsigned threads;
	struct event *event[THREADS_MAX];
	uint32_t count[THREADS_MAX], room[THREADS_MAX];
	struct place *place;
	uint32_t places, place_room;
	uint32_t stamps;
	bool dead;		/* not consistent: not to be gone on with */
};

/* Values at the start, by place; set by the memory. */
uint64_t place_start_value(uint32_t place);

void graph_clear(struct graph *graph, unsigned threads);
void graph_copy(struct graph *to, const struct graph *from);
void graph_free(struct graph *graph);

struct event *graph_event(const struct graph *graph, event_ref ref);
uint64_t graph_store_value(const struct graph *graph, uint32_t place,
			   event_ref store);

/* Position of a store in co, one above the value at the start, which is 0. */
uint32_t graph_position(const struct graph *graph, uint32_t place,
			event_ref store);
event_ref graph_at_position(const struct graph *graph, uint32_t place,
			    uint32_t position);

/* The oldest position an access of @thread at its present state may use. */
uint32_t graph_oldest(const struct graph *graph, uint32_t place,
		      const uint32_t *hb);

/* Append an event to a thread; its rf or position is set by the next calls. */
struct event *graph_append(struct graph *graph, unsigned thread,
			   const struct access *access, enum event_kind kind);
/* Let a load read from @store: value, kind, happens-before follow. */
void graph_set_rf(struct graph *graph, event_ref load, event_ref store);
/* Put a store behind @position in co, out of where it was. */
void graph_set_position(struct graph *graph, event_ref store,
			uint32_t position);

/* Would the load be coherent, and all of seq_cst in one order? */
bool graph_load_fits(const struct graph *graph, event_ref load);
bool graph_store_fits(const struct graph *graph, event_ref store,
		      uint32_t position);
bool graph_sc_fits(const struct graph *graph, event_ref newest);
/* An access that is not atomic and not ordered with another, or NULL. */
const struct event *graph_race(const struct graph *graph, event_ref ref);

/* Drop all events younger than @stamp. */
void graph_cut(struct graph *graph, uint32_t stamp);
/*
 * May @store, the youngest event, be read by the older @load?  True if each
 * event that this throws away was added in the one way that leads here.
 */
bool graph_may_revisit(const struct graph *graph, event_ref store,
		       event_ref load);
/* Throw those events away. */
void graph_revisit(struct graph *graph, event_ref store, event_ref load);

/* A number that equal graphs share. */
uint64_t graph_hash(const struct graph *graph);

#endif
