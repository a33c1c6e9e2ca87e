/* SPDX-License-Identifier: MIT */
#ifndef EXPLORE_ENGINE_H
#define EXPLORE_ENGINE_H

/* Between the files of the explorer. */

#include "explore.h"
#include "graph.h"

#include <stdio.h>

/* ---- memory.c: what threads share, and races on it ---- */

void memory_init(void);
/* Keep what the set-up left. */
void memory_keep(void);
/* As it was when kept. */
void memory_restore(void);
bool memory_has(const void *address);
/* A word is about to change behind the compiler's back. */
void memory_touch(void *address, size_t bytes);

/*
 * The number of a word that two threads use and one changes, or PLACE_ALONE
 * if nobody has seen it shared yet.
 */
#define PLACE_ALONE (~0u)
uint32_t memory_place(const uint64_t *word, bool writes);
uint32_t memory_places(void);
uint64_t *memory_word(uint32_t place);
/* Words have turned out to be shared since memory_settle(). */
bool memory_unsettled(void);
void memory_settle(void);
void memory_freeze_places(void);
size_t memory_place_number(uint32_t place);
bool memory_add_place(size_t number);
/* The value at the start is what the word holds: taken for all places. */
void memory_take_start_values(void);
void memory_print_word(FILE *file, const void *address);

/* ---- run.c: one execution ---- */

enum run_end {
	RUN_DONE,		/* every thread came to its end */
	RUN_BLOCKED,		/* a thread waits for what it cannot see */
	RUN_PRUNED,		/* not worth going on */
	RUN_ABANDONED,		/* the program said so */
	RUN_FAILED,		/* see run_failure() */
	RUN_UNSETTLED,		/* a word turned out to be shared */
};

struct run_failure {
	char text[256];
	event_ref last;		/* of the thread that failed, if any */
};

struct run_hooks {		/* decides what new events read and follow */
	/* Both return false if the execution is not to go on. */
	bool (*load)(event_ref load);
	bool (*store)(event_ref store);
};

struct run_counts {
	uint64_t events;	/* of all executions, replayed ones included */
	uint64_t added;		/* that were new */
};

extern struct run_counts run_counts;

/* Without hooks: only to find out which words threads share. */
enum run_end run_execute(const struct explore_program *program,
			 struct graph *graph, const struct run_hooks *hooks);
const struct run_failure *run_failure(void);
const char *run_outcome(void);
/* The thread that runs, or -1. */
int run_thread(void);
void run_race(const void *address, bool write, unsigned other);
/* Events the running thread has behind it, and knows of @thread. */
uint32_t run_events(void);
uint32_t run_knows(unsigned thread);
void run_stop(enum run_end end) __attribute__((noreturn));
/* New events come from these threads, in turn; then from any. */
void run_set_script(const uint8_t *threads, uint32_t events);
/* This load's value may come from a store that is yet to be; or EVENT_INIT. */
void run_set_promise(event_ref load);
bool run_is_waiting(unsigned thread);

/* ---- search.c: all of them ---- */

struct search_options {
	unsigned bound;		/* preemptions; 0: none */
	uint64_t most;		/* executions; 0: no limit */
	bool progress;		/* draw a bar on standard error */
	bool promises;		/* loads may read what does not depend on
				 * them, one in each execution */
	bool hashes;		/* check that no execution comes twice */
	unsigned seconds_more;	/* look for a shorter failure so long */
};

struct search_result {
	uint64_t explored;	/* complete executions */
	uint64_t blocked, pruned, abandoned;
	uint64_t states;	/* events added: nodes of the search */
	uint64_t bounded;	/* cut off by the bound */
	uint64_t promised;	/* with promises: ends only they lead to */
	uint64_t twice;		/* with hashes: seen before */
	uint64_t restarts;	/* because a word turned out to be shared */
	uint64_t words;		/* that are shared */
	double seconds;
	bool complete;
	bool failed;
	struct run_failure failure;
	struct graph graph;	/* of the failure; the caller frees it */
	unsigned preemptions;	/* of the failure */
	unsigned bound;		/* that was in force; 0: none */
};

void search(const struct explore_program *program,
	    const struct search_options *options,
	    struct search_result *ret_result);

/* A thread that crashes has failed, and no more. Once. */
void run_catch_crashes(void);

/* Run the program's set-up and find the words its threads share. */
void search_setup(const struct explore_program *program);

/* ---- trace.c: an execution as a person reads it ---- */

/* The schedule with the fewest switches between threads. */
struct schedule {
	event_ref *step;
	uint32_t steps;
	unsigned preemptions;
};

unsigned trace_preemptions(const struct graph *graph);
void trace_schedule(const struct graph *graph, struct schedule *ret_schedule);
void trace_print(FILE *file, const struct graph *graph,
		 const struct run_failure *failure);
/* The execution as text that trace_replay() understands. */
void trace_encode(FILE *file, const struct graph *graph,
		  const struct run_failure *failure);
/* False: the text is none, or does not fit the program. */
bool trace_replay(const struct explore_program *program, const char *text,
		  struct search_result *ret_result);

/* ---- litmus.c and the programs ---- */

void litmus_forget(void);
void litmus_note(const char *outcome);
/* The outcomes seen, sorted, a blank between them. */
const char *litmus_seen(void);
/* A program out of text, or NULL. */
const struct explore_program *litmus_parse(const char *text);

/* Lists of programs, one a file; they end with NULL. */
extern const struct explore_program *const *const explore_groups[];

#endif
