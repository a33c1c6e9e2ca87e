/* SPDX-License-Identifier: MIT */
#include "fuzz.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[256];
static pid_t made_by;

static int remove_one(const char *path, const struct stat *status, int type,
		      struct FTW *walk)
{
	(void)status;
	(void)type;
	return walk->level ? remove(path) : 0;
}

void fuzz_folder_clear(void)
{
	if (made_by == getpid())
		(void)nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void remove_folder(void)
{
	fuzz_folder_clear();
	if (made_by == getpid())
		(void)rmdir(folder);
}

const char *fuzz_folder(void)
{
	const char *parent = getenv("TMPDIR");

	if (made_by == getpid())
		return folder;
	snprintf(folder, sizeof(folder), "%.200s/coldframe-fuzz-XXXXXX",
		 parent ? parent : "/tmp");
	if (!mkdtemp(folder)) {
		perror(folder);
		exit(2);
	}
	made_by = getpid();
	(void)atexit(remove_folder);
	return folder;
}

_Noreturn void fuzz_broken(const char *what, const char *file, int line)
{
	fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
	remove_folder();
	abort();
}
