/* SPDX-License-Identifier: MIT */
/*
 * Threads as execution contexts, and read sections.
 *
 * A thread that enters gets a number; a number belongs to one thread at a
 * time, and the lock it changes hands under orders what the two did with
 * its caches.  Every thread that opens a read section is made known to
 * liburcu the first time, and forgotten when it ends.
 *
 * The flavour is memb: it wakes who waits for a grace period when the last
 * reader leaves.  bp would spare the registration, but sleeps in steps of
 * ten milliseconds while a reader is inside.
 */
#define _GNU_SOURCE
#include <sched.h>

#include "internal.h"

/*
 * The inlined read side: its header offers these functions to any licence.
 * Under ThreadSanitizer it stays in the library, which is not instrumented:
 * its futex word is read plain by design.
 */
#if !HOST_TSAN
#define _LGPL_SOURCE
#endif
#include <urcu/urcu-memb.h>

#include <coldframe/alloc.h>

#define SPINS_BEFORE_YIELD	64
#define NUMBER_WORDS		(CF_CPUS_MAX / 64)

/* What the port knows of the running thread. */
struct thread {
	uint64_t held_ranks;
	unsigned cpu;
};

static _Thread_local struct thread self
	__attribute__((tls_model("initial-exec"))) = { .cpu = CF_CPU_NONE };

/*
 * Field key: (N) numbers.lock
 * Bits of taken[] at and above limit are 0.
 */
static struct {
	pthread_mutex_t lock;
	uint64_t taken[NUMBER_WORDS];	/* (N) one bit a number */
	unsigned limit;			/* (N) numbers handed out are below */
	unsigned maps;			/* (N) maps that hold the limit down */
} numbers = { .lock = PTHREAD_MUTEX_INITIALIZER, .limit = CF_CPUS_MAX };

static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static pthread_key_t key;

static void number_give_up(void)
{
	if (self.cpu == CF_CPU_NONE)
		return;
	(void)pthread_mutex_lock(&numbers.lock);
	numbers.taken[self.cpu / 64] &= ~((uint64_t)1 << self.cpu % 64);
	(void)pthread_mutex_unlock(&numbers.lock);
	self.cpu = CF_CPU_NONE;
}

/* The thread ends. */
static void thread_end(void *unused)
{
	(void)unused;
	number_give_up();
	urcu_memb_unregister_thread();
}

static void key_make(void)
{
	if (pthread_key_create(&key, thread_end))
		cf_port_panic("a thread key is left", __FILE__, __LINE__, 0, 0);
}

/* Threads that registered themselves unregister themselves. */
static void thread_register(void)
{
	(void)pthread_once(&key_once, key_make);
	(void)pthread_setspecific(key, &self);
	urcu_memb_register_thread();
}

/* Has liburcu heard of this thread?  Ours to remember without its insides. */
static inline bool thread_is_known(void)
{
#if HOST_TSAN
	(void)pthread_once(&key_once, key_make);
	return pthread_getspecific(key) != NULL;
#else
	return URCU_TLS(urcu_memb_reader).registered;
#endif
}

static inline void thread_know(void)
{
	if (__builtin_expect(!thread_is_known(), 0))
		thread_register();
}

/* The lowest free number, taken, or CF_CPU_NONE. Caller holds numbers.lock. */
static unsigned number_take(void)
{
	unsigned number = 0;
	unsigned word;

	for (word = 0; word < NUMBER_WORDS; word++) {
		if (~numbers.taken[word] == 0)
			continue;
		number = word * 64 +
			 (unsigned)__builtin_ctzll(~numbers.taken[word]);
		if (number >= numbers.limit)
			return CF_CPU_NONE;
		numbers.taken[word] |= (uint64_t)1 << number % 64;
		return number;
	}
	return CF_CPU_NONE;
}

unsigned cf_host_enter(void)
{
	thread_know();
	if (self.cpu != CF_CPU_NONE)
		return self.cpu;
	(void)pthread_mutex_lock(&numbers.lock);
	self.cpu = number_take();
	(void)pthread_mutex_unlock(&numbers.lock);
	return self.cpu;
}

void cf_host_leave(struct cf_map *map)
{
	if (self.cpu == CF_CPU_NONE)
		return;
	if (map)
		cf_drain_cpu(map);
	number_give_up();
}

/* Is a number taken that is not below @cpus? Caller holds numbers.lock. */
static bool number_above(unsigned cpus)
{
	unsigned number;

	for (number = cpus; number < CF_CPUS_MAX; number++)
		if (numbers.taken[number / 64] >> number % 64 & 1)
			return true;
	return false;
}

/* @maps: how many more maps hold the limit. While any does it only falls. */
static int limit_set(unsigned cpus, unsigned maps)
{
	int err = 0;

	if (cpus == 0 || cpus > CF_CPUS_MAX)
		return -CF_EINVAL;
	(void)pthread_mutex_lock(&numbers.lock);
	if (numbers.maps > 0 && cpus > numbers.limit)
		cpus = numbers.limit;
	if (number_above(cpus)) {
		err = -CF_EBUSY;
	} else {
		numbers.limit = cpus;
		numbers.maps += maps;
	}
	(void)pthread_mutex_unlock(&numbers.lock);
	return err;
}

int cf_host_set_cpus(unsigned cpus)
{
	return limit_set(cpus, 0);
}

int host_numbers_limit(unsigned cpus)
{
	return limit_set(cpus, 1);
}

void host_numbers_unlimit(void)
{
	(void)pthread_mutex_lock(&numbers.lock);
	if (--numbers.maps == 0)
		numbers.limit = CF_CPUS_MAX;
	(void)pthread_mutex_unlock(&numbers.lock);
}

unsigned cf_port_cpu(void)
{
	return self.cpu;
}

uint64_t *cf_port_held_ranks(void)
{
	return &self.held_ranks;
}

unsigned long cf_port_irq_off(void)
{
	return 0;
}

void cf_port_irq_restore(unsigned long state)
{
	(void)state;
}

void cf_port_relax(unsigned spins)
{
	if (spins >= SPINS_BEFORE_YIELD) {
		(void)sched_yield();
		return;
	}
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/*
 * ThreadSanitizer does not see into liburcu.  It is told what a grace period
 * promises: who leaves a section comes before the end of every wait it was
 * waited for in, and who begins one sees all from before the waits that have
 * begun.
 */
#if HOST_TSAN
void __tsan_acquire(void *address);
void __tsan_release(void *address);

static char section_left, wait_begun;
#define tsan_acquire(place)	__tsan_acquire(&(place))
#define tsan_release(place)	__tsan_release(&(place))
#else
#define tsan_acquire(place)	((void)0)
#define tsan_release(place)	((void)0)
#endif

void cf_port_read_lock(void)
{
	thread_know();
	urcu_memb_read_lock();
	tsan_acquire(wait_begun);
}

void cf_port_read_unlock(void)
{
	tsan_release(section_left);
	urcu_memb_read_unlock();
}

void cf_port_synchronize(void)
{
	tsan_release(wait_begun);
	urcu_memb_synchronize_rcu();
	tsan_acquire(section_left);
}
