/* SPDX-License-Identifier: MIT */

/*
 * Threads, and the CPUs that run them.
 *
 * Threads that can run stand in one queue; a CPU takes the first one and
 * keeps it until it waits, yields, or passes a checkpoint after its slice of
 * time. A CPU without one runs its idle thread. Every switch is made with the
 * kernel's lock held, by the thread that gives up and the one that goes on.
 */

#include "include/guest.h"
#include "kernel.h"

#define SLICE_NS	4000000ull
#define NEVER		(~(uint64_t)0)

static struct thread thread[THREADS_MAX];
SHARED static struct thread idle_thread[CPUS_MAX];
#define TLS_ROOM	8192
SHARED _Alignas(64) static char idle_tls[CPUS_MAX][TLS_ROOM];
static struct queue ready;
static struct queue ends;		/* waits for the end of any thread */
SHARED static uint64_t slice_end_ns[CPUS_MAX];
static void (*end_hook)(void);

extern char tls_begin[], tls_data_end[], tls_bytes[];

/* Makes the segment's alignment what thread_make_tls() takes it for. */
#define TLS_ALIGN	64
_Alignas(TLS_ALIGN) _Thread_local char tls_anchor[TLS_ALIGN] = { 1 };

struct thread *thread_self(void)
{
	return this_cpu()->thread;
}

static void append(struct queue *queue, struct thread *which)
{
	which->next = NULL;
	if (queue->last)
		queue->last->next = which;
	else
		queue->first = which;
	queue->last = which;
	which->waits = queue;
}

static void remove(struct queue *queue, struct thread *which)
{
	struct thread *before = NULL, *at = queue->first;

	while (at != which) {
		before = at;
		at = at->next;
	}
	if (before)
		before->next = which->next;
	else
		queue->first = which->next;
	if (queue->last == which)
		queue->last = before;
	which->waits = NULL;
}

/* A CPU that sleeps looks again what there is to do, and until when. */
static void wake_cpu(void)
{
	unsigned i;

	for (i = 0; i < cpus_count; i++) {
		if (cpus[i].sleeping) {
			cpus[i].sleeping = false;
			arch_interrupt(&cpus[i]);
			return;
		}
	}
}

static void make_ready(struct thread *which)
{
	which->wake_ns = 0;
	append(&ready, which);
	wake_cpu();
}

/* Who waited long enough; when the next one will have. */
static uint64_t wake_late(void)
{
	uint64_t now = arch_now_ns(), next = NEVER;
	unsigned i;

	for (i = 0; i < THREADS_MAX; i++) {
		struct thread *which = &thread[i];

		if (!which->used || !which->wake_ns)
			continue;
		if (which->wake_ns > now) {
			if (which->wake_ns < next)
				next = which->wake_ns;
			continue;
		}
		which->timed_out = true;
		remove(which->waits, which);
		make_ready(which);
	}
	return next;
}

static struct thread *next_ready(void)
{
	struct thread *first = ready.first;

	if (first)
		remove(&ready, first);
	return first;
}

/* Caller holds the kernel's lock, and has put itself where it is found. */
static void switch_to(struct thread *next)
{
	struct cpu *cpu = this_cpu();
	struct thread *self = cpu->thread;

	if (next == self)
		return;
	cpu->thread = next;
	cpu->context = &next->context;
	slice_end_ns[cpu->number] = arch_now_ns() + SLICE_NS;
	arch_set_tls(next->tls);
	arch_switch(&self->stack, next->stack);
}

static void switch_away(void)
{
	struct thread *next;

	(void)wake_late();
	next = next_ready();
	switch_to(next ? next : this_cpu()->idle);
}

void thread_yield(void)
{
	unsigned long state = kernel_enter();
	struct thread *next, *self = thread_self();

	fork_check_time();
	(void)wake_late();
	next = next_ready();
	if (next) {
		append(&ready, self);
		switch_to(next);
	} else {
		slice_end_ns[this_cpu()->number] = arch_now_ns() + SLICE_NS;
	}
	kernel_leave(state);
}

void thread_checkpoint(void)
{
	if (arch_now_ns() >= slice_end_ns[this_cpu()->number])
		thread_yield();
}

bool thread_wait(struct queue *queue, uint64_t until_ns)
{
	struct thread *self = thread_self();

	self->timed_out = false;
	self->wake_ns = until_ns;
	append(queue, self);
	/* Who runs here now may not look at the time for long. */
	if (until_ns && ready.first)
		wake_cpu();
	switch_away();
	return !self->timed_out;
}

void thread_wake(struct queue *queue, bool all)
{
	struct thread *first;

	while ((first = queue->first) != NULL) {
		remove(queue, first);
		make_ready(first);
		if (!all)
			return;
	}
}

void thread_sleep(uint64_t until_ns)
{
	unsigned long state = kernel_enter();
	struct queue nobody = { NULL, NULL };

	(void)thread_wait(&nobody, until_ns);
	kernel_leave(state);
}

/* Its variables, and behind them the word that leads to them. */
static void make_tls(struct thread *which, char *top)
{
	size_t bytes = ((size_t)tls_bytes + TLS_ALIGN - 1) &
		       ~(size_t)(TLS_ALIGN - 1);
	size_t data = (size_t)(tls_data_end - tls_begin), i;
	char *begin = arch_tls_begin(top, bytes);

	for (i = 0; i < data; i++)
		begin[i] = tls_begin[i];
	which->tls = arch_tls_pointer(top, bytes);
}

static void drop_memory(void *memory)
{
	uintptr_t first = (uintptr_t)memory;

	(void)space_remove(first, first + STACK_BYTES);
}

/* Stack and variables; nothing below the stack is mapped. */
static bool make_memory(struct thread *which)
{
	char *memory = space_add(STACK_BYTES, true);

	if (!memory)
		return false;
	if (!space_populate((uintptr_t)memory,
			    (uintptr_t)memory + STACK_BYTES)) {
		drop_memory(memory);
		return false;
	}
	which->memory = memory;
	make_tls(which, memory + STACK_BYTES);
	return true;
}

static struct thread *make_thread(void)
{
	unsigned i;

	for (i = 0; i < THREADS_MAX; i++) {
		struct thread *which = &thread[i];

		if (which->used)
			continue;
		*which = (struct thread){ .context.cpu = CF_CPU_NONE };
		if (!make_memory(which))
			return NULL;
		if (cf_bare_context_add(&which->context)) {
			drop_memory(which->memory);
			return NULL;
		}
		which->used = true;
		return which;
	}
	return NULL;
}

/* A thread's first function: the lock is held since the switch. */
static void begin(void)
{
	struct thread *self = thread_self();

	kernel_leave(1);
	thread_exit(self->start(self->argument));
}

struct thread *thread_start(void *(*start)(void *argument), void *argument)
{
	unsigned long state = kernel_enter();
	struct thread *which = make_thread();

	if (which) {
		which->start = start;
		which->argument = argument;
		which->stack = arch_thread_stack((uintptr_t)which->memory +
						 STACK_BYTES - TLS_ROOM,
						 begin);
		make_ready(which);
	}
	kernel_leave(state);
	return which;
}

void guest_on_thread_end(void (*hook)(void))
{
	end_hook = hook;
}

void thread_exit(void *result)
{
	struct thread *self = thread_self();

	if (end_hook)
		end_hook();
	(void)kernel_enter();
	self->result = result;
	self->ended = true;
	thread_wake(&ends, true);
	switch_away();
	__builtin_unreachable();
}

void *thread_join(struct thread *which)
{
	unsigned long state = kernel_enter();
	void *result;

	while (!which->ended)
		(void)thread_wait(&ends, 0);
	result = which->result;
	cf_bare_context_remove(&which->context);
	drop_memory(which->memory);
	which->used = false;
	kernel_leave(state);
	return result;
}

void thread_init_idle(struct cpu *cpu)
{
	struct thread *idle = &idle_thread[cpu->number];

	idle->context.cpu = CF_CPU_NONE;
	make_tls(idle, idle_tls[cpu->number] + TLS_ROOM);
	arch_set_tls(idle->tls);
	cpu->idle = idle;
	cpu->thread = idle;
	cpu->context = &idle->context;
	/* Of handlers, which may open read sections. */
	if (cf_bare_context_add(&cpu->interrupt))
		console_say("guest: no room for a context\n");
}

/* Runs on the stack the CPU was started on. */
void thread_idle(void)
{
	struct cpu *cpu = this_cpu();
	struct thread *next;
	uint64_t wake;

	for (;;) {
		(void)kernel_enter();
		wake = wake_late();
		next = next_ready();
		if (next)
			switch_to(next);
		else
			cpu->sleeping = true;
		kernel_leave(0);
		fork_check_time();
		if (!next) {
			cpu_rest();
			arch_idle(wake);
			cpu_wake();
		}
		cpu->sleeping = false;
	}
}
