/* SPDX-License-Identifier: MIT */
#ifndef GUEST_PTHREAD_H
#define GUEST_PTHREAD_H

#include "time.h"

struct thread;
/* Who waits: the kernel's struct queue. */
struct thread_queue {
	struct thread *first, *last;
};

typedef struct thread *pthread_t;
typedef unsigned pthread_key_t;
typedef struct {
	struct thread_queue waiting;
	_Bool held;
} pthread_mutex_t;
typedef struct {
	struct thread_queue waiting;
} pthread_cond_t;
typedef struct {
	struct thread_queue waiting;
	unsigned count, missing, round;
} pthread_barrier_t;
typedef pthread_mutex_t pthread_spinlock_t;
typedef int pthread_once_t;
typedef int pthread_attr_t;
typedef int pthread_mutexattr_t;
typedef int pthread_condattr_t;
typedef int pthread_barrierattr_t;

#define PTHREAD_MUTEX_INITIALIZER	{ { 0, 0 }, 0 }
#define PTHREAD_COND_INITIALIZER	{ { 0, 0 } }
#define PTHREAD_ONCE_INIT		0
#define PTHREAD_PROCESS_PRIVATE		0
#define PTHREAD_BARRIER_SERIAL_THREAD	(-1)

int pthread_create(pthread_t *ret_thread, const pthread_attr_t *attributes,
		   void *(*start)(void *argument), void *argument);
int pthread_join(pthread_t thread, void **ret_result);
pthread_t pthread_self(void);
int pthread_mutex_init(pthread_mutex_t *mutex,
		       const pthread_mutexattr_t *attributes);
int pthread_mutex_destroy(pthread_mutex_t *mutex);
int pthread_mutex_lock(pthread_mutex_t *mutex);
int pthread_mutex_unlock(pthread_mutex_t *mutex);
int pthread_cond_init(pthread_cond_t *condition,
		      const pthread_condattr_t *attributes);
int pthread_cond_destroy(pthread_cond_t *condition);
int pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex);
int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
			   const struct timespec *until);
int pthread_cond_signal(pthread_cond_t *condition);
int pthread_cond_broadcast(pthread_cond_t *condition);
int pthread_condattr_init(pthread_condattr_t *attributes);
int pthread_condattr_setclock(pthread_condattr_t *attributes, clockid_t clock);
int pthread_condattr_destroy(pthread_condattr_t *attributes);
int pthread_spin_init(pthread_spinlock_t *lock, int shared);
int pthread_spin_destroy(pthread_spinlock_t *lock);
int pthread_spin_lock(pthread_spinlock_t *lock);
int pthread_spin_unlock(pthread_spinlock_t *lock);
int pthread_barrier_init(pthread_barrier_t *barrier,
			 const pthread_barrierattr_t *attributes,
			 unsigned count);
int pthread_barrier_destroy(pthread_barrier_t *barrier);
int pthread_barrier_wait(pthread_barrier_t *barrier);

#endif
