/* SPDX-License-Identifier: MIT */
/*
 * The promises of port/bare, one by one.
 * Threads on two CPUs, and copies that must end as they do.
 */
#include "guest/include/pthread.h"
#include "guest/include/sched.h"
#include "guest/include/string.h"
#include "guest/include/sys/wait.h"
#include "guest/include/unistd.h"
#include "guest/kernel.h"
#include "port/bare/bare.h"
#include "tests/tap.h"

#define ROUNDS		2000
#define LONG_NS		20000000ull
#define ENOUGH_NS	2000000000ull	/* of rounds, on a busy host */

static volatile unsigned stage;

static void wait_stage(unsigned wanted)
{
	while (stage < wanted)
		(void)sched_yield();
}

static void to_stage(unsigned next)
{
	arch_fence();
	stage = next;
}

static pthread_t begin(void *(*start)(void *argument))
{
	pthread_t thread = NULL;

	stage = 0;
	CHECK(pthread_create(&thread, NULL, start, NULL) == 0);
	return thread;
}

static void end(pthread_t thread)
{
	CHECK(pthread_join(thread, NULL) == 0);
}

static void *say_number(void *unused)
{
	(void)unused;
	thread_self()->context.cpu = 7;
	to_stage(1);
	wait_stage(2);
	CHECK_EQ(cf_port_cpu(), 7);
	return NULL;
}

static void numbers(void)
{
	pthread_t other = begin(say_number);

	CHECK_EQ(cf_port_cpu(), CF_CPU_NONE);
	wait_stage(1);
	CHECK_EQ(cf_port_cpu(), CF_CPU_NONE);
	to_stage(2);
	end(other);
}

static void ranks(void)
{
	uint64_t *held = cf_port_held_ranks();

	CHECK_EQ(*held, 0);
	(void)sched_yield();
	CHECK(cf_port_held_ranks() == held);
}

static void interrupts(void)
{
	unsigned long outer = cf_port_irq_off();
	unsigned long inner = cf_port_irq_off();

	cf_port_irq_restore(inner);
	CHECK(arch_irq_off() == inner);
	cf_port_irq_restore(outer);
	inner = arch_irq_off();
	CHECK(inner == outer && inner != 0);
	arch_irq_restore(inner);
}

static void *hold_section(void *unused)
{
	(void)unused;
	cf_port_read_lock();
	cf_port_read_lock();
	to_stage(1);
	thread_sleep(arch_now_ns() + LONG_NS);
	cf_port_read_unlock();
	thread_sleep(arch_now_ns() + LONG_NS);
	to_stage(2);
	cf_port_read_unlock();
	wait_stage(3);
	return NULL;
}

static void sections_are_waited_for(void)
{
	pthread_t other = begin(hold_section);

	wait_stage(1);
	cf_port_synchronize();
	CHECK_EQ(stage, 2);
	to_stage(3);
	end(other);
}

static void *open_often(void *unused)
{
	cf_port_read_lock();
	to_stage(1);
	while (stage < 2) {
		thread_yield();
		cf_port_read_unlock();
		cf_port_read_lock();
	}
	/* This one stays open, and is not looked at any more. */
	to_stage(3);
	wait_stage(4);
	cf_port_read_unlock();
	return unused;
}

static void later_sections_are_not(void)
{
	pthread_t other = begin(open_often);
	unsigned i;

	wait_stage(1);
	for (i = 0; i < 100; i++)
		cf_port_synchronize();
	to_stage(2);
	wait_stage(3);
	to_stage(4);
	cf_port_synchronize();
	end(other);
}

/* What sections protect: never seen after it was taken back. */
static volatile unsigned published, spoiled, seen_spoiled;

static void *read_published(void *unused)
{
	(void)unused;
	to_stage(1);
	while (stage < 2) {
		cf_port_read_lock();
		if (published && spoiled)
			seen_spoiled++;
		cf_port_read_unlock();
	}
	return NULL;
}

static void nobody_sees_what_is_gone(void)
{
	pthread_t other = begin(read_published);
	uint64_t end_ns = arch_now_ns() + ENOUGH_NS;
	unsigned i;

	seen_spoiled = 0;
	wait_stage(1);
	for (i = 0; i < ROUNDS && arch_now_ns() < end_ns; i++) {
		spoiled = 0;
		arch_fence();
		published = 1;
		thread_checkpoint();
		published = 0;
		cf_port_synchronize();
		spoiled = 1;
		arch_fence();
	}
	to_stage(2);
	end(other);
	CHECK_EQ(seen_spoiled, 0);
}

/*
 * One side writes and reads without a fence, the other with the barrier. Each
 * begins a little later or earlier than in the round before.
 */
#define FENCE_ROUNDS	40000
#define LAST_ROUND	(~0u)

static _Alignas(64) volatile unsigned mine;
static _Alignas(64) volatile unsigned yours;
static _Alignas(64) volatile unsigned you_saw;
static _Alignas(64) volatile unsigned round_of_you;

static void delay(unsigned count)
{
	volatile unsigned i;

	for (i = 0; i < count; i++)
		;
}

static void *other_side(void *unused)
{
	unsigned i;

	(void)unused;
	for (i = 1;; i++) {
		while (round_of_you < i)
			arch_pause();
		if (round_of_you == LAST_ROUND)
			return NULL;
		delay(i % 61);
		yours = 1;
		__asm__ volatile("" : : : "memory");
		you_saw = mine;
		to_stage(i);
	}
}

static void barrier_orders(void)
{
	uint64_t end_ns = arch_now_ns() + ENOUGH_NS;
	unsigned i, i_saw, both_missed = 0, no_barrier = 0;
	pthread_t other;

	round_of_you = 0;
	other = begin(other_side);
	for (i = 1; i <= FENCE_ROUNDS && arch_now_ns() < end_ns; i++) {
		mine = 0;
		yours = 0;
		arch_fence();
		round_of_you = i;
		delay(i % 67);
		mine = 1;
		no_barrier += cf_port_barrier_all() != 0;
		i_saw = yours;
		while (stage < i)
			arch_pause();
		both_missed += !i_saw && !you_saw;
	}
	round_of_you = LAST_ROUND;
	end(other);
	CHECK_EQ(no_barrier, 0);
	CHECK_EQ(both_missed, 0);
}

static void *ask_often(void *unused)
{
	uint64_t end_ns = arch_now_ns() + ENOUGH_NS;
	unsigned long state;
	unsigned i;

	to_stage(1);
	for (i = 0; i < ROUNDS && arch_now_ns() < end_ns; i++) {
		state = cf_port_irq_off();
		CHECK(cf_port_barrier_all() == 0);
		cf_port_irq_restore(state);
	}
	return unused;
}

static void barriers_cross(void)
{
	pthread_t other = begin(ask_often);

	wait_stage(1);
	(void)ask_often(NULL);
	end(other);
}

/* Who waits with interrupts off answers by cf_port_relax(). */
static void *wait_deaf(void *unused)
{
	unsigned long state = cf_port_irq_off();
	unsigned spins = 0;

	to_stage(1);
	while (stage < 2)
		cf_port_relax(spins++);
	cf_port_irq_restore(state);
	return unused;
}

static void relax_answers(void)
{
	pthread_t other = begin(wait_deaf);
	unsigned i;

	wait_stage(1);
	for (i = 0; i < 100; i++)
		CHECK(cf_port_barrier_all() == 0);
	to_stage(2);
	end(other);
}

static void *count_up(void *unused)
{
	to_stage(1);
	return unused;
}

/* More threads than CPUs: the one waited for gets its turn. */
static void relax_yields(void)
{
	pthread_t many[4];
	unsigned i, spins = 0;

	for (i = 0; i < 4; i++)
		many[i] = begin(count_up);
	while (stage < 1)
		cf_port_relax(spins++);
	for (i = 0; i < 4; i++)
		end(many[i]);
}

/* A machine whose functions write down that they were called. */
static unsigned calls;

static void *note_alloc(void *machine, size_t bytes)
{
	(void)machine;
	(void)bytes;
	calls |= 1;
	return &calls;
}

static void note_free(void *machine, void *memory, size_t bytes)
{
	(void)machine;
	(void)bytes;
	calls |= memory == &calls ? 2 : 0;
}

static void *note_address(void *machine, cf_pfn pfn, uint64_t count)
{
	(void)machine;
	calls |= pfn == 3 && count == 4 ? 4 : 0;
	return &calls;
}

static int note_exposed(void *machine, cf_pfn first, cf_pfn last)
{
	(void)machine;
	calls |= 8;
	return first == 5 && last == 6 ? -1 : 0;
}

static void note_protect(void *machine, cf_pfn first, cf_pfn last,
			 bool usable)
{
	(void)machine;
	calls |= first == 7 && last == 8 && usable ? 16 : 0;
}

static void note_signal(void *machine, enum cf_signal what, cf_pfn pfn)
{
	(void)machine;
	calls |= what == CF_SIGNAL_LOW && pfn == 1 ? 32 : 0;
}

static void machine_is_asked(void)
{
	static const struct cf_bare_ops ops = {
		.meta_alloc = note_alloc,
		.meta_free = note_free,
		.frame_address = note_address,
		.first_exposed = note_exposed,
		.returned = note_exposed,
		.protect = note_protect,
		.signal = note_signal,
	};
	struct cf_bare_machine machine = { &ops };

	calls = 0;
	CHECK(cf_port_meta_alloc(&machine, 4096) == &calls);
	cf_port_meta_free(&machine, &calls, 4096);
	CHECK(cf_port_frame_address(&machine, 3, 4) == &calls);
	CHECK(cf_port_first_exposed(&machine, 5, 6) == -1);
	CHECK(cf_port_returned(&machine, 5, 7) == 0);
	cf_port_protect(&machine, 7, 8, true);
	cf_port_signal(&machine, CF_SIGNAL_LOW, 1);
	CHECK_EQ(calls, 63);
}

static void machine_may_be_silent(void)
{
	static const struct cf_bare_ops none = { .meta_alloc = NULL };
	struct cf_bare_machine machine = { &none };

	CHECK(cf_port_meta_alloc(&machine, 4096) == NULL);
	CHECK(cf_port_frame_address(&machine, 3, 4) == NULL);
	CHECK(cf_port_first_exposed(&machine, 5, 6) == 0);
	CHECK(cf_port_returned(&machine, 5, 7) == 0);
	cf_port_protect(&machine, 7, 8, true);
	cf_port_signal(&machine, CF_SIGNAL_LOW, 1);
}

/* How a copy ends that does this; what it said first. */
static int ends(void (*act)(void), char *said, size_t bytes)
{
	int channel[2], status = 0;
	ssize_t got;

	if (!CHECK(pipe(channel) == 0))
		return -1;
	if (fork() == 0) {
		(void)dup2(channel[1], STDERR_FILENO);
		act();
		_exit(0);
	}
	(void)waitpid(2, &status, 0);
	got = read(channel[0], said, bytes - 1);
	said[got > 0 ? got : 0] = '\0';
	(void)close(channel[0]);
	(void)close(channel[1]);
	return status;
}

static void do_panic(void)
{
	cf_port_panic("the sky holds", "sky.c", 12, 0x34, 0x56);
}

static void do_nothing(void)
{
}

static void panics_say_what(void)
{
	char said[200];

	CHECK_EQ(ends(do_panic, said, sizeof(said)), FORK_ABORT);
	CHECK(strstr(said, "the sky holds at sky.c:12") != NULL);
	CHECK(strstr(said, "0x34") && strstr(said, "0x56"));
	CHECK_EQ(ends(do_nothing, said, sizeof(said)), 0);
	CHECK(said[0] == '\0');
}

static struct cf_bare_context spare[CF_BARE_CONTEXTS_MAX + 1];

static void contexts_have_an_end(void)
{
	unsigned added = 0;

	while (added <= CF_BARE_CONTEXTS_MAX &&
	       !cf_bare_context_add(&spare[added]))
		added++;
	CHECK(added > 0 && added < CF_BARE_CONTEXTS_MAX);
	cf_bare_context_remove(&spare[0]);
	CHECK(cf_bare_context_add(&spare[0]) == 0);
	while (added > 0)
		cf_bare_context_remove(&spare[--added]);
	cf_port_synchronize();
}

/* Others that follow hand over to another CPU, and would wait for ever. */
static void cpus_are_there(void)
{
	if (!CHECK(cpus_count >= 2))
		guest_exit(1);
}

int main(int count, char **words)
{
	(void)count;
	(void)words;
	tap_plan(15);
	tap_run("there are two CPUs at least", cpus_are_there);
	tap_run("a context keeps its number", numbers);
	tap_run("the set of ranks stays where it is", ranks);
	tap_run("interrupt states nest", interrupts);
	tap_run("a section is waited for, to its outer end",
		sections_are_waited_for);
	tap_run("sections opened later are not", later_sections_are_not);
	tap_run("no section sees what is gone", nobody_sees_what_is_gone);
	tap_run("the barrier is a fence on both sides", barrier_orders);
	tap_run("two that ask each other with interrupts off", barriers_cross);
	tap_run("a wait with interrupts off answers", relax_answers);
	tap_run("a long wait yields", relax_yields);
	tap_run("a machine's functions are called", machine_is_asked);
	tap_run("a machine may have none", machine_may_be_silent);
	tap_run("a panic says what and where", panics_say_what);
	tap_run("the table of contexts has an end", contexts_have_an_end);
	return tap_done();
}
