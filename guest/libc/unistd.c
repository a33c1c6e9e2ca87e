/* SPDX-License-Identifier: MIT */

/*
 * What is left of a process: copies of it, pipes, time, memory.
 *
 * A pipe's bytes are shared between a copy and its origin; who has which end
 * open is not, and goes back with the copy.
 */

#include "guest/include/errno.h"
#include "guest/include/fcntl.h"
#include "guest/include/guest.h"
#include "guest/include/sched.h"
#include "guest/include/signal.h"
#include "guest/include/stdio.h"
#include "guest/include/stdlib.h"
#include "guest/include/string.h"
#include "guest/include/sys/mman.h"
#include "guest/include/sys/resource.h"
#include "guest/include/sys/syscall.h"
#include "guest/include/sys/wait.h"
#include "guest/include/time.h"
#include "guest/include/unistd.h"
#include "guest/kernel.h"

#define FDS_MAX		32
#define PIPES_MAX	8
#define PIPE_BYTES	4096
#define NS_PER_S	1000000000ull
#define CHILD		2

enum fd_kind { FD_CLOSED, FD_CONSOLE, FD_NULL, FD_PIPE };

static struct {
	enum fd_kind kind;
	unsigned pipe;
} fd_table[FDS_MAX] = {
	{ FD_CONSOLE, 0 }, { FD_CONSOLE, 0 }, { FD_CONSOLE, 0 },
};

SHARED static struct {
	size_t begin, end;
	char bytes[PIPE_BYTES];
} pipes[PIPES_MAX];

static int take_fd(enum fd_kind kind, unsigned number)
{
	int fd;

	for (fd = 0; fd < FDS_MAX; fd++) {
		if (fd_table[fd].kind != FD_CLOSED)
			continue;
		fd_table[fd].kind = kind;
		fd_table[fd].pipe = number;
		return fd;
	}
	return -1;
}

static bool is_open(int fd)
{
	return fd >= 0 && fd < FDS_MAX && fd_table[fd].kind != FD_CLOSED;
}

static bool is_used(unsigned number)
{
	int fd;

	for (fd = 0; fd < FDS_MAX; fd++)
		if (fd_table[fd].kind == FD_PIPE && fd_table[fd].pipe == number)
			return true;
	return false;
}

int pipe(int ends[2])
{
	unsigned number = 0;

	while (number < PIPES_MAX && is_used(number))
		number++;
	if (number == PIPES_MAX)
		return -1;
	pipes[number].begin = pipes[number].end = 0;
	ends[0] = take_fd(FD_PIPE, number);
	ends[1] = take_fd(FD_PIPE, number);
	return ends[1] < 0 ? -1 : 0;
}

int open(const char *path, int flags, ...)
{
	(void)flags;
	return strcmp(path, "/dev/null") ? -1 : take_fd(FD_NULL, 0);
}

int close(int fd)
{
	if (!is_open(fd))
		return -1;
	fd_table[fd].kind = FD_CLOSED;
	return 0;
}

int dup2(int from, int to)
{
	if (!is_open(from) || to < 0 || to >= FDS_MAX)
		return -1;
	fd_table[to] = fd_table[from];
	return to;
}

/* What does not fit in a pipe is lost, for nobody reads meanwhile. */
ssize_t write(int fd, const void *from, size_t bytes)
{
	const char *byte = from;
	size_t i;

	if (!is_open(fd))
		return -1;
	if (fd_table[fd].kind == FD_CONSOLE)
		console_write(from, bytes);
	for (i = 0; fd_table[fd].kind == FD_PIPE && i < bytes; i++) {
		unsigned number = fd_table[fd].pipe;

		if (pipes[number].end < PIPE_BYTES)
			pipes[number].bytes[pipes[number].end++] = byte[i];
	}
	return (ssize_t)bytes;
}

/* An empty pipe is at its end: who could fill it runs before. */
ssize_t read(int fd, void *to, size_t bytes)
{
	char *byte = to;
	size_t count = 0;
	unsigned number;

	if (!is_open(fd))
		return -1;
	number = fd_table[fd].pipe;
	while (fd_table[fd].kind == FD_PIPE && count < bytes &&
	       pipes[number].begin < pipes[number].end)
		byte[count++] = pipes[number].bytes[pipes[number].begin++];
	return (ssize_t)count;
}

pid_t fork(void)
{
	int is = fork_begin();

	return is > 0 ? CHILD : is;
}

pid_t waitpid(pid_t child, int *ret_status, int options)
{
	(void)options;
	if (child != CHILD)
		return -1;
	if (ret_status)
		*ret_status = fork_status();
	return child;
}

void _exit(int status)
{
	guest_exit(status);
}

/* Only of a copy, which looks at the time when it waits. */
unsigned alarm(unsigned seconds)
{
	fork_set_time(seconds ? arch_now_ns() + seconds * NS_PER_S : 0);
	return 0;
}

pid_t getpid(void)
{
	return fork_runs() ? CHILD : 1;
}

int setrlimit(int what, const struct rlimit *limit)
{
	(void)what;
	(void)limit;
	return 0;
}

void (*signal(int number, void (*handler)(int)))(int)
{
	(void)number;
	(void)handler;
	return SIG_DFL;
}

long syscall(long number, ...)
{
	(void)number;
	return -1;
}

long sysconf(int name)
{
	return name == _SC_PAGESIZE ? (long)PAGE_BYTES : (long)cpus_count;
}

int clock_gettime(clockid_t clock, struct timespec *at)
{
	uint64_t now = arch_now_ns();

	(void)clock;
	at->tv_sec = (time_t)(now / NS_PER_S);
	at->tv_nsec = (long)(now % NS_PER_S);
	return 0;
}

time_t time(time_t *ret_time)
{
	time_t now = (time_t)(arch_now_ns() / NS_PER_S);

	if (ret_time)
		*ret_time = now;
	return now;
}

int nanosleep(const struct timespec *duration, struct timespec *rest)
{
	(void)rest;
	thread_sleep(arch_now_ns() + (uint64_t)duration->tv_sec * NS_PER_S +
		     (uint64_t)duration->tv_nsec);
	return 0;
}

int usleep(unsigned microseconds)
{
	thread_sleep(arch_now_ns() + microseconds * 1000ull);
	return 0;
}

void *mmap(void *address, size_t bytes, int protection, int flags, int fd,
	   off_t offset)
{
	void *memory;

	(void)address;
	(void)fd;
	(void)offset;
	memory = flags & MAP_ANONYMOUS ? space_add(bytes, protection) : NULL;
	return memory ? memory : MAP_FAILED;
}

int munmap(void *address, size_t bytes)
{
	uintptr_t first = (uintptr_t)address;
	uintptr_t last = (first + bytes + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);

	return space_remove(first, last) ? 0 : -1;
}

int mprotect(void *address, size_t bytes, int protection)
{
	space_protect((uintptr_t)address, (uintptr_t)address + bytes,
		      protection != PROT_NONE);
	return 0;
}

int madvise(void *address, size_t bytes, int advice)
{
	if (advice == MADV_DONTNEED)
		space_discard((uintptr_t)address, (uintptr_t)address + bytes);
	return 0;
}

uint64_t guest_resident_bytes(void)
{
	return space_resident();
}

bool guest_option(const char *name, char *value, unsigned long bytes)
{
	return boot_option(name, value, bytes);
}

unsigned guest_context_number(void)
{
	return thread_self()->context.cpu;
}

void guest_set_context_number(unsigned number)
{
	thread_self()->context.cpu = number;
}

int guest_barrier(void)
{
	cpu_sync(false);
	return 0;
}

/* "Bail out!" is for who reads the tests' output. */
void cf_bare_panic(const char *expression, const char *file, int line,
		   uint64_t value, uint64_t other)
{
	fprintf(stderr, "%scoldframe: check failed: %s at %s:%d (value 0x%lx,"
		" other 0x%lx)\n", fork_runs() ? "" : "Bail out! ",
		expression, file, line, value, other);
	abort();
}
