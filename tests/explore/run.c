/* SPDX-License-Identifier: MIT */

/*
 * One execution: the threads of a program run as coroutines, first along a
 * graph that is known, then beyond it, one new event at a time.
 *
 * What is known may be followed in any order in which loads come after the
 * stores they read from; so memory that is not atomic has its right contents
 * as well, unless the program races on it, and then that is a failure.  New
 * events are added by the first thread that can go on.
 */

#include "engine.h"

#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#define STACK_BYTES	((size_t)128 << 10)
#define EVENTS_MOST	6000u	/* of one thread: it runs on and on */
#define STEPS_MOST	1000000u /* between two blocks */
#define LOOSE_ROUNDS	4u
#define TAIL_STEPS	20000u	/* of threads let loose without progress */

enum thread_state {
	THREAD_READY,
	THREAD_BLOCKED,		/* cannot go on in this graph */
	THREAD_DONE,
};

struct thread {
	ucontext_t context;
	enum thread_state state;
	uint32_t at;		/* events behind it */
	bool stuck;		/* let loose: it has looked in vain */
};

static struct {
	const struct explore_program *program;
	struct graph *graph;
	const struct run_hooks *hooks;
	struct thread thread[EXPLORE_THREADS_MAX];
	unsigned threads;
	int self;		/* the running thread; -1: none */
	bool parallel;
	bool warm;		/* the first run: only finds shared words */
	bool loose;		/* the tail: nothing is recorded */
	uint32_t loose_steps;
	unsigned loose_rounds;	/* in which nothing has changed */
	event_ref promised;	/* a load that may read what comes later */
	const uint8_t *script;	/* which thread makes the next new event */
	uint32_t script_at, script_events;
	ucontext_t scheduler;
	enum run_end end;
	bool stopped;
	struct run_failure failure;
	char outcome[128];
} run;

static char *stack[EXPLORE_THREADS_MAX];
struct run_counts run_counts;

const struct run_failure *run_failure(void)
{
	return &run.failure;
}

const char *run_outcome(void)
{
	return run.outcome;
}

int run_thread(void)
{
	return run.parallel ? run.self : -1;
}

unsigned explore_self(void)
{
	return run.parallel && run.self >= 0 ? (unsigned)run.self :
					       EXPLORE_THREADS_MAX;
}

uint32_t run_events(void)
{
	return run.thread[run.self].at;
}

uint32_t run_knows(unsigned thread)
{
	uint32_t at = run.thread[run.self].at;

	if (at == 0)
		return 0;
	return run.graph->event[run.self][at - 1].hb[thread];
}

/* ---- stopping ---- */

static void to_scheduler(void)
{
	struct thread *thread = &run.thread[run.self];

	swapcontext(&thread->context, &run.scheduler);
}

void run_stop(enum run_end end)
{
	run.end = end;
	run.stopped = true;
	if (run.self < 0) {
		fprintf(stderr, "explore: fails outside its threads: %s\n",
			run.failure.text);
		exit(1);
	}
	setcontext(&run.scheduler);
	abort();
}

static void fail(const char *format, ...)
	__attribute__((noreturn, format(printf, 1, 2)));

static void fail(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(run.failure.text, sizeof(run.failure.text), format,
		  arguments);
	va_end(arguments);
	run.failure.last = EVENT_INIT;
	if (run.self >= 0 && run.thread[run.self].at > 0)
		run.failure.last = EVENT_REF(run.self,
					     run.thread[run.self].at - 1);
	run_stop(RUN_FAILED);
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

void explore_fail(const char *what, const char *file, int line)
{
	if (run.loose)
		run_stop(RUN_BLOCKED);
	fail("%s, at %s:%d", what, base_name(file), line);
}

void explore_abandon(void)
{
	run_stop(RUN_ABANDONED);
}

void explore_outcome(const char *text)
{
	snprintf(run.outcome, sizeof(run.outcome), "%s", text);
}

void run_race(const void *address, bool write, unsigned other)
{
	char *name = NULL;
	size_t bytes;
	FILE *file;

	if (run.loose || run.warm)
		return;
	file = open_memstream(&name, &bytes);
	memory_print_word(file, address);
	fclose(file);
	snprintf(run.failure.text, sizeof(run.failure.text),
		 "data race: thread %d %s %s, which thread %u uses unordered",
		 run.self, write ? "writes" : "reads", name, other);
	free(name);
	run.failure.last = EVENT_INIT;
	if (run.thread[run.self].at > 0)
		run.failure.last = EVENT_REF(run.self,
					     run.thread[run.self].at - 1);
	run_stop(RUN_FAILED);
}

/* ---- along what is known ---- */

static bool all_followed(void)
{
	unsigned i;

	for (i = 0; i < run.threads; i++)
		if (run.thread[i].at < run.graph->count[i])
			return false;
	return true;
}

static bool has_happened(event_ref ref)
{
	return ref == EVENT_INIT ||
	       run.thread[ref_thread(ref)].at > ref_index(ref);
}

static bool is_load(const struct event *event)
{
	return event->kind == EVENT_LOAD || event->kind == EVENT_RMW_LOAD;
}

static void check_race(event_ref ref)
{
	const struct event *other = graph_race(run.graph, ref);

	if (other)
		fail("data race: plain and atomic access, %s:%d and %s:%d",
		     base_name(other->access.site->file),
		     other->access.site->line,
		     base_name(graph_event(run.graph, ref)->access.site->file),
		     graph_event(run.graph, ref)->access.site->line);
}

/* Does the script, if there is one, want this thread's event next? */
static bool has_turn(void)
{
	return run.script_at >= run.script_events ||
	       run.script[run.script_at] == run.self;
}

/* Is this what the thread did when the event was new? */
static bool is_same(const struct event *event, const struct access *access,
		    uint64_t value)
{
	return event->access.place == access->place &&
	       event->access.loads == access->loads &&
	       event->access.site->line == access->site->line &&
	       (is_load(event) || event->value == value);
}

/*
 * The next known event of the running thread, when its turn has come; @value
 * is what it stores, if it does.
 */
static struct event *follow(const struct access *access, uint64_t value)
{
	struct thread *thread = &run.thread[run.self];
	struct event *event;

	for (;;) {
		if (thread->at == run.graph->count[run.self]) {
			if (all_followed() && has_turn())
				return NULL;
		} else {
			event = &run.graph->event[run.self][thread->at];
			if (!is_load(event) || has_happened(event->rf) ||
			    EVENT_REF(run.self, thread->at) == run.promised)
				break;
		}
		to_scheduler();
	}
	if (!is_same(event, access, value) && run.promised != EVENT_INIT)
		run_stop(RUN_PRUNED);
	if (!is_same(event, access, value))
		fail("the program is not the same each time: %s:%d, then "
		     "%s:%d", event->access.site->file,
		     event->access.site->line, access->site->file,
		     access->site->line);
	thread->at++;
	run_counts.events++;
	/* The last one known may be a load that reads another store now. */
	if (is_load(event) && thread->at == run.graph->count[run.self])
		check_race(EVENT_REF(run.self, thread->at - 1));
	return event;
}

static void block(void)
{
	run.thread[run.self].state = THREAD_BLOCKED;
	to_scheduler();
	/* Let loose: look again. */
}

/* ---- new events ---- */

static struct event *add(const struct access *access, enum event_kind kind)
{
	struct event *event;

	if (run.thread[run.self].at > EVENTS_MOST)
		fail("livelock: a thread runs on and on");
	event = graph_append(run.graph, (unsigned)run.self, access, kind);
	run_counts.events++;
	run_counts.added++;
	run.thread[run.self].at++;
	run.script_at++;
	return event;
}

static struct event *new_load(const struct access *access)
{
	event_ref ref = EVENT_REF(run.self, run.graph->count[run.self]);

	(void)add(access, EVENT_LOAD);
	if (!run.hooks->load(ref))
		run_stop(RUN_PRUNED);
	check_race(ref);
	return graph_event(run.graph, ref);
}

static void new_store(const struct access *access, enum event_kind kind,
		      uint64_t value)
{
	event_ref ref = EVENT_REF(run.self, run.graph->count[run.self]);

	add(access, kind)->value = value;
	if (!run.hooks->store(ref))
		run_stop(RUN_PRUNED);
	check_race(ref);
}

/* ---- let loose: no choice, the youngest values, nothing recorded ---- */

static void loose_step(void)
{
	if (++run.loose_steps <= TAIL_STEPS)
		return;
	snprintf(run.failure.text, sizeof(run.failure.text),
		 "livelock: threads wake each other in vain");
	run.failure.last = EVENT_INIT;
	run_stop(RUN_FAILED);
}

static void loose_changed(void)
{
	unsigned i;

	/* Who waits by taking and giving a lock does not wake itself. */
	for (i = 0; i < run.threads; i++)
		if ((int)i != run.self && run.thread[i].state != THREAD_DONE) {
			run.loose_rounds = 0;
			run.thread[i].stuck = false;
		}
}

static void loose_store(uint64_t *word, uint64_t value)
{
	if (*word != value)
		loose_changed();
	memory_touch(word, sizeof(*word));
	*word = value;
}

static void loose_block(void)
{
	run.thread[run.self].stuck = true;
	block();
}

/* ---- what threads call ---- */

/* A thread runs on and on with words nobody else uses. */
static void too_long(void)
{
	run.loose_steps = 0;
	if (!run.warm)
		fail("livelock: a thread runs on and on");
	block();
}

/* Describes an access; false if the word is not shared, or nobody watches. */
static bool describe(struct access *access, const uint64_t *word,
		     enum explore_order order, const struct explore_site *site)
{
	bool stores = access->stores;

	if (!run.parallel || run.self < 0)
		return false;
	if (run.loose) {
		loose_step();
		return false;
	}
	if (++run.loose_steps > STEPS_MOST)
		too_long();
	access->order = order;
	access->site = site;
	access->place = memory_place(word, stores);
	/* What was taken for its thread's own is not: all has to begin anew. */
	if (memory_unsettled() && !run.warm)
		run_stop(RUN_UNSETTLED);
	return !run.warm && access->place != PLACE_ALONE;
}

uint64_t explore_load(const uint64_t *word, enum explore_order order,
		      const struct explore_site *site)
{
	struct access access = { .loads = true };
	struct event *event;

	if (!describe(&access, word, order, site))
		return *word;
	event = follow(&access, 0);
	if (!event)
		event = new_load(&access);
	return event->value;
}

void explore_store(uint64_t *word, uint64_t value, enum explore_order order,
		   const struct explore_site *site)
{
	struct access access = { .stores = true };

	if (!describe(&access, word, order, site)) {
		if (run.parallel && run.loose) {
			loose_store(word, value);
			return;
		}
		memory_touch(word, sizeof(*word));
		*word = value;
		return;
	}
	if (!follow(&access, value))
		new_store(&access, EVENT_STORE, value);
}

static uint64_t changed(uint64_t old, enum explore_change change,
			uint64_t value)
{
	switch (change) {
	case EXPLORE_ADD:
		return old + value;
	case EXPLORE_SUB:
		return old - value;
	case EXPLORE_OR:
		return old | value;
	case EXPLORE_AND:
		return old & value;
	case EXPLORE_SWAP:
		return value;
	}
	abort();
}

/* The store that follows the load of a read-modify-write. */
static void rmw_store(struct access *access, uint64_t value)
{
	access->loads = access->compares = false;
	access->await = AWAIT_NOTHING;
	if (!follow(access, value))
		new_store(access, EVENT_RMW_STORE, value);
}

uint64_t explore_change(uint64_t *word, enum explore_change change,
			uint64_t value, enum explore_order order,
			const struct explore_site *site)
{
	struct access access = { .loads = true, .stores = true };
	struct event *event;
	uint64_t old;

	if (!describe(&access, word, order, site)) {
		old = *word;
		if (run.parallel && run.loose) {
			loose_store(word, changed(old, change, value));
			return old;
		}
		memory_touch(word, sizeof(*word));
		*word = changed(old, change, value);
		return old;
	}
	event = follow(&access, 0);
	if (!event)
		event = new_load(&access);
	old = event->value;
	rmw_store(&access, changed(old, change, value));
	return old;
}

/* An exchange; one that awaits blocks unless it happens. */
static bool exchange(uint64_t *word, uint64_t *old, uint64_t value,
		     struct access *access)
{
	struct event *event = follow(access, 0);
	bool happens;

	if (!event)
		event = new_load(access);
	happens = event->value == access->expected;
	if (event->blocked) {
		block();
		/* Let loose now. */
		while (*word != access->expected)
			loose_block();
		loose_store(word, value);
		return true;
	}
	*old = event->value;
	if (happens)
		rmw_store(access, value);
	return happens;
}

bool explore_cas(uint64_t *word, uint64_t *old, uint64_t value,
		 enum explore_order order, const struct explore_site *site)
{
	struct access access = { .loads = true, .stores = true,
				 .compares = true, .expected = *old };

	if (describe(&access, word, order, site))
		return exchange(word, old, value, &access);
	if (*word != *old) {
		*old = *word;
		return false;
	}
	if (run.parallel && run.loose) {
		loose_store(word, value);
		return true;
	}
	memory_touch(word, sizeof(*word));
	*word = value;
	return true;
}

/* Wait until the word is @expected and change it, in one step. */
static void await(uint64_t *word, uint64_t expected, uint64_t value,
		  const struct explore_site *site)
{
	struct access access = { .loads = true, .stores = true,
				 .compares = true, .expected = expected,
				 .await = AWAIT_EXPECTED };
	uint64_t old;

	if (describe(&access, word, EXPLORE_ACQ_REL, site)) {
		(void)exchange(word, &old, value, &access);
		return;
	}
	if (run.warm)
		while (*word != expected)
			block();
	if (!run.parallel || !run.loose) {
		if (*word != expected)
			fail("waits for what nobody else uses, at %s:%d",
			     base_name(site->file), site->line);
		memory_touch(word, sizeof(*word));
		*word = value;
		return;
	}
	while (*word != expected)
		loose_block();
	loose_store(word, value);
}

void explore_await_zero(uint64_t *word, const struct explore_site *site)
{
	await(word, 0, 0, site);
}

void explore_lock(uint64_t *word, const struct explore_site *site)
{
	await(word, 0, 1, site);
}

void explore_wait(void)
{
	if (!run.parallel)
		fail("waits, and nobody else runs");
	if (run.loose) {
		loose_step();
		loose_block();
		return;
	}
	/* What is known has been followed, or we should have gone on. */
	if (run.thread[run.self].at < run.graph->count[run.self])
		fail("the program is not the same each time: it waits");
	block();
}

void explore_exit(void)
{
	if (run.self < 0 || !run.parallel)
		fail("only a thread can exit");
	run.thread[run.self].state = THREAD_DONE;
	loose_changed();
	setcontext(&run.scheduler);
	abort();
}

/* ---- the scheduler ---- */

static void thread_main(void)
{
	run.program->thread[run.self]();
	explore_exit();
}

static void start_threads(void)
{
	unsigned i;

	for (i = 0; i < run.threads; i++) {
		struct thread *thread = &run.thread[i];

		if (!stack[i])
			stack[i] = malloc(STACK_BYTES);
		if (!stack[i])
			abort();
		getcontext(&thread->context);
		thread->context.uc_stack.ss_sp = stack[i];
		thread->context.uc_stack.ss_size = STACK_BYTES;
		thread->context.uc_link = NULL;
		makecontext(&thread->context, thread_main, 0);
		thread->state = THREAD_READY;
		thread->at = 0;
		thread->stuck = false;
	}
}

/* A thread with a known event whose turn has come, or any that can go on. */
static int pick(void)
{
	bool followed = all_followed();
	const struct event *event;
	unsigned i;

	/* Whom the script wants may be done: it has failed, or it waits. */
	if (followed && run.script_at < run.script_events &&
	    run.thread[run.script[run.script_at]].state == THREAD_READY)
		return run.script[run.script_at];
	if (followed)
		run.script_events = 0;
	for (i = 0; i < run.threads; i++) {
		const struct thread *thread = &run.thread[i];

		if (thread->state != THREAD_READY)
			continue;
		if (followed)
			return (int)i;
		if (thread->at == run.graph->count[i])
			continue;
		event = &run.graph->event[i][thread->at];
		if (!is_load(event) || has_happened(event->rf) ||
		    EVENT_REF(i, thread->at) == run.promised)
			return (int)i;
	}
	return -1;
}

/* Who waits may look several times before it sees: a few rounds in vain. */
static int pick_loose(void)
{
	unsigned i;

	for (;;) {
		for (i = 0; i < run.threads; i++)
			if (run.thread[i].state != THREAD_DONE &&
			    !run.thread[i].stuck)
				return (int)i;
		if (++run.loose_rounds > LOOSE_ROUNDS)
			return -1;
		for (i = 0; i < run.threads; i++)
			run.thread[i].stuck = false;
	}
}

/* Until nobody can go on. */
static void schedule(int (*next)(void))
{
	/* Threads come back to here when they stop, switch or end. */
	while (!run.stopped) {
		run.self = next();
		if (run.self < 0)
			break;
		swapcontext(&run.scheduler, &run.thread[run.self].context);
	}
}

/* The words threads share get their last values. */
static void write_back(void)
{
	const struct graph *graph = run.graph;
	uint32_t i;

	for (i = 0; i < graph->places; i++)
		if (graph->place[i].stores) {
			uint64_t *word = memory_word(i);

			memory_touch(word, sizeof(*word));
			*word = graph_store_value(graph, i,
				graph->place[i].store[graph->place[i].stores -
						      1]);
		}
}

static bool anybody_blocked(void)
{
	unsigned i;

	for (i = 0; i < run.threads; i++)
		if (run.thread[i].state != THREAD_DONE)
			return true;
	return false;
}

/*
 * Some thread waits.  If it read what is not the youngest value this
 * execution is nothing; else let all run on with the youngest values, and if
 * none gets anywhere that is a deadlock.
 */
static void try_loose(void)
{
	unsigned i;

	write_back();
	run.loose = true;
	run.loose_steps = 0;
	run.loose_rounds = 0;
	for (i = 0; i < run.threads; i++)
		run.thread[i].stuck = false;
	schedule(pick_loose);
	run.loose = false;
	if (run.stopped)
		return;
	run.end = RUN_BLOCKED;
	if (!anybody_blocked())
		return;
	run.failure.last = EVENT_INIT;
	snprintf(run.failure.text, sizeof(run.failure.text),
		 "deadlock: no thread can go on");
	run.end = RUN_FAILED;
}

static void finish(void)
{
	run.self = -1;
	if (run.warm || memory_unsettled()) {
		run.end = RUN_UNSETTLED;
		return;
	}
	if (run.stopped)
		return;
	if (anybody_blocked()) {
		try_loose();
		return;
	}
	run.end = RUN_DONE;
	write_back();
}

/* The look at the end runs as thread 0 would, but alone. */
static void end_main(void)
{
	run.program->end();
	setcontext(&run.scheduler);
}

static void run_end_check(void)
{
	struct thread *thread = &run.thread[0];

	if (run.end != RUN_DONE || !run.program->end)
		return;
	run.parallel = false;
	thread->context.uc_stack.ss_sp = stack[0];
	thread->context.uc_stack.ss_size = STACK_BYTES;
	thread->context.uc_link = NULL;
	makecontext(&thread->context, end_main, 0);
	run.self = 0;
	run.thread[0].at = 0;
	swapcontext(&run.scheduler, &thread->context);
	run.self = -1;
}

void run_set_script(const uint8_t *threads, uint32_t events)
{
	run.script = threads;
	run.script_events = events;
}

void run_set_promise(event_ref load)
{
	run.promised = load;
}

/* A protection taken out may well lead a thread astray. */
static void on_crash(int number)
{
	(void)number;
	if (run.self < 0)
		_exit(2);
	if (run.loose || run.warm)
		run_stop(RUN_BLOCKED);
	fail("crash: a thread follows a pointer that is none");
}

void run_catch_crashes(void)
{
	static char crash_stack[64 << 10];
	stack_t where = { .ss_sp = crash_stack,
			  .ss_size = sizeof(crash_stack) };
	struct sigaction action = {
		.sa_handler = on_crash,
		.sa_flags = SA_ONSTACK | SA_NODEFER,
	};

	sigaltstack(&where, NULL);
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
}

bool run_is_waiting(unsigned thread)
{
	return run.thread[thread].state == THREAD_BLOCKED;
}

enum run_end run_execute(const struct explore_program *program,
			 struct graph *graph, const struct run_hooks *hooks)
{
	memory_restore();
	run.warm = !hooks;
	run.loose_steps = 0;
	run.script_at = 0;
	run.program = program;
	run.graph = graph;
	run.hooks = hooks;
	run.stopped = false;
	run.outcome[0] = '\0';
	run.failure.text[0] = '\0';
	for (run.threads = 0; run.threads < EXPLORE_THREADS_MAX &&
	     program->thread[run.threads];)
		run.threads++;
	start_threads();
	run.parallel = true;
	schedule(pick);
	finish();
	run_end_check();
	run.parallel = false;
	run.self = -1;
	return run.end;
}
