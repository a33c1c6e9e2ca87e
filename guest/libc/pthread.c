/* SPDX-License-Identifier: MIT */

/*
 * Threads' ways to wait for each other, each under the kernel's lock. What
 * locks also looks whether it is time for another thread.
 */

#include "guest/include/errno.h"
#include "guest/include/pthread.h"
#include "guest/include/sched.h"
#include "guest/kernel.h"

_Static_assert(sizeof(struct queue) == sizeof(struct thread_queue),
	       "the kernel's queues");

static struct queue *queue_of(struct thread_queue *waiting)
{
	return (struct queue *)(void *)waiting;
}

int *guest_errno(void)
{
	static _Thread_local int number;

	return &number;
}

int pthread_create(pthread_t *ret_thread, const pthread_attr_t *attributes,
		   void *(*start)(void *argument), void *argument)
{
	struct thread *made = thread_start(start, argument);

	(void)attributes;
	if (!made)
		return EAGAIN;
	*ret_thread = made;
	return 0;
}

int pthread_join(pthread_t thread, void **ret_result)
{
	void *result = thread_join(thread);

	if (ret_result)
		*ret_result = result;
	return 0;
}

pthread_t pthread_self(void)
{
	return thread_self();
}

int sched_yield(void)
{
	thread_yield();
	return 0;
}

int pthread_mutex_init(pthread_mutex_t *mutex,
		       const pthread_mutexattr_t *attributes)
{
	(void)attributes;
	*mutex = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
	return 0;
}

int pthread_mutex_destroy(pthread_mutex_t *mutex)
{
	(void)mutex;
	return 0;
}

/* Caller holds the kernel's lock. */
static void take(pthread_mutex_t *mutex)
{
	while (mutex->held)
		(void)thread_wait(queue_of(&mutex->waiting), 0);
	mutex->held = true;
}

static void give(pthread_mutex_t *mutex)
{
	mutex->held = false;
	thread_wake(queue_of(&mutex->waiting), false);
}

int pthread_mutex_lock(pthread_mutex_t *mutex)
{
	unsigned long state;

	thread_checkpoint();
	state = kernel_enter();
	take(mutex);
	kernel_leave(state);
	return 0;
}

int pthread_mutex_unlock(pthread_mutex_t *mutex)
{
	unsigned long state = kernel_enter();

	give(mutex);
	kernel_leave(state);
	return 0;
}

int pthread_cond_init(pthread_cond_t *condition,
		      const pthread_condattr_t *attributes)
{
	(void)attributes;
	*condition = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
	return 0;
}

int pthread_cond_destroy(pthread_cond_t *condition)
{
	(void)condition;
	return 0;
}

static bool wait_until(pthread_cond_t *condition, pthread_mutex_t *mutex,
		       uint64_t until_ns)
{
	unsigned long state = kernel_enter();
	bool woken;

	give(mutex);
	woken = thread_wait(queue_of(&condition->waiting), until_ns);
	take(mutex);
	kernel_leave(state);
	return woken;
}

int pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
	(void)wait_until(condition, mutex, 0);
	return 0;
}

int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
			   const struct timespec *until)
{
	uint64_t until_ns = (uint64_t)until->tv_sec * 1000000000 +
			    (uint64_t)until->tv_nsec;

	return wait_until(condition, mutex, until_ns ? until_ns : 1) ?
	       0 : ETIMEDOUT;
}

static void wake(struct thread_queue *waiting, bool all)
{
	unsigned long state = kernel_enter();

	thread_wake(queue_of(waiting), all);
	kernel_leave(state);
}

int pthread_cond_signal(pthread_cond_t *condition)
{
	wake(&condition->waiting, false);
	return 0;
}

int pthread_cond_broadcast(pthread_cond_t *condition)
{
	wake(&condition->waiting, true);
	return 0;
}

int pthread_condattr_init(pthread_condattr_t *attributes)
{
	*attributes = 0;
	return 0;
}

/* They are all the same. */
int pthread_condattr_setclock(pthread_condattr_t *attributes, clockid_t clock)
{
	(void)attributes;
	(void)clock;
	return 0;
}

int pthread_condattr_destroy(pthread_condattr_t *attributes)
{
	(void)attributes;
	return 0;
}

/* The holder may have given its CPU up: a mutex in all but the name. */
int pthread_spin_init(pthread_spinlock_t *lock, int shared)
{
	(void)shared;
	return pthread_mutex_init(lock, NULL);
}

int pthread_spin_destroy(pthread_spinlock_t *lock)
{
	return pthread_mutex_destroy(lock);
}

int pthread_spin_lock(pthread_spinlock_t *lock)
{
	return pthread_mutex_lock(lock);
}

int pthread_spin_unlock(pthread_spinlock_t *lock)
{
	return pthread_mutex_unlock(lock);
}

int pthread_barrier_init(pthread_barrier_t *barrier,
			 const pthread_barrierattr_t *attributes,
			 unsigned count)
{
	(void)attributes;
	*barrier = (pthread_barrier_t){ .count = count, .missing = count };
	return 0;
}

int pthread_barrier_destroy(pthread_barrier_t *barrier)
{
	(void)barrier;
	return 0;
}

int pthread_barrier_wait(pthread_barrier_t *barrier)
{
	unsigned long state = kernel_enter();
	unsigned round = barrier->round;
	int result = 0;

	if (--barrier->missing == 0) {
		barrier->missing = barrier->count;
		barrier->round++;
		thread_wake(queue_of(&barrier->waiting), true);
		result = PTHREAD_BARRIER_SERIAL_THREAD;
	}
	while (barrier->round == round)
		(void)thread_wait(queue_of(&barrier->waiting), 0);
	kernel_leave(state);
	return result;
}
