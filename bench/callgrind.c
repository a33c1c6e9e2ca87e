/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <limits.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/callgrind.h"

__attribute__((noinline)) void callgrind_count(void (*loop)(void))
{
	loop();
	/* Not a tail call, which would end the counting. */
	__asm__ volatile("" : : : "memory");
}

int callgrind_run(const char *output, const char *option)
{
	char own[PATH_MAX] = "", file[64];
	pid_t child;
	int status;

	if (readlink("/proc/self/exe", own, sizeof(own) - 1) < 0)
		return 127;
	(void)snprintf(file, sizeof(file), "--callgrind-out-file=%s", output);
	child = fork();
	if (child == 0) {
		(void)execlp("valgrind", "valgrind", "-q", "--tool=callgrind",
			     /* For the loads; which hit is not asked. */
			     "--cache-sim=yes", "--LL=8388608,16,64",
			     "--I1=32768,8,64", "--D1=32768,8,64",
			     "--toggle-collect=callgrind_count",
			     "--dump-after=callgrind_count", file, own,
			     option, (char *)NULL);
		_exit(127);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		return 127;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int callgrind_read(const char *output, size_t nth,
		   struct callgrind_counts *ret_counts)
{
	char path[PATH_MAX], line[256];
	struct callgrind_counts counts;
	int err = -1;
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s.%zu", output, nth);
	file = fopen(path, "re");
	if (!file)
		return -1;
	/* Ir, Dr, Dw come first, in this order. */
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "totals: %lf %lf %lf", &counts.instructions,
			   &counts.loads, &counts.stores) == 3)
			err = 0;
	}
	(void)fclose(file);
	(void)unlink(path);
	if (!err)
		*ret_counts = counts;
	return err;
}
