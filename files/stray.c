/* SPDX-License-Identifier: MIT */
#include "stray.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#define STRAYS		16
#define SIGNALS		(sizeof(ending) / sizeof(ending[0]))

/*
 * A place in a table and not in memory that is freed: a handler may look at
 * it at any time.  What it finds used is complete.
 */
struct stray {
	volatile sig_atomic_t used;
	int folder;
	char name[NAME_MAX + 1];
};

/* What ends a process that does nothing about it, and can be handled. */
static const int ending[] = {
	SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGALRM, SIGTERM, SIGUSR1, SIGUSR2,
	SIGXCPU, SIGXFSZ, SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV,
};

static struct stray strays[STRAYS];
static unsigned noted;
static volatile pid_t process;		/* whose they are: not a child's */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* The signal comes again as this returns, and then does what it does. */
static void clean_up(int number)
{
	int i, err = errno;

	for (i = 0; i < STRAYS && process == getpid(); i++)
		if (strays[i].used)
			(void)unlinkat(strays[i].folder, strays[i].name, 0);
	(void)signal(number, SIG_DFL);
	(void)raise(number);
	errno = err;
}

/* What is ignored stays so, and what is handled is another's to end. */
static void exchange(void (*from)(int), void (*to)(int))
{
	struct sigaction now, then = { .sa_handler = to };
	size_t i;

	(void)sigemptyset(&then.sa_mask);
	for (i = 0; i < SIGNALS; i++)
		if (!sigaction(ending[i], NULL, &now) &&
		    !(now.sa_flags & SA_SIGINFO) && now.sa_handler == from)
			(void)sigaction(ending[i], &then, NULL);
}

int stray_note(int folder, const char *name)
{
	size_t bytes = strlen(name) + 1;
	int i;

	(void)pthread_mutex_lock(&lock);
	for (i = 0; i < STRAYS && strays[i].used; i++)
		;
	if (i < STRAYS && bytes <= sizeof(strays[i].name)) {
		memcpy(strays[i].name, name, bytes);
		strays[i].folder = folder;
		strays[i].used = 1;
		process = getpid();
		if (!noted++)
			exchange(SIG_DFL, clean_up);
	} else {
		errno = ENFILE;
		i = -1;
	}
	(void)pthread_mutex_unlock(&lock);
	return i;
}

const char *stray_name(int number)
{
	return strays[number].name;
}

void stray_forget(int number)
{
	(void)pthread_mutex_lock(&lock);
	strays[number].used = 0;
	if (!--noted)
		exchange(clean_up, SIG_DFL);
	(void)pthread_mutex_unlock(&lock);
}
