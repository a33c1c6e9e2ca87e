/* SPDX-License-Identifier: MIT */
/*
 * Every file of a corpus through its fuzz target, as the fuzzer would do it.
 * Method: a process a file; it must end by itself, in time, without a report
 * of a sanitizer.
 *
 * usage: fuzz-TARGET FOLDER | FILE...
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../tap.h"
#include "fuzz.h"

#define FILE_BYTES_MAX	(1 << 20)
#define SECONDS		60

/* In the child. What a target prints is not a test's. */
_Noreturn static void run_file(const char *path, int errors)
{
	uint8_t *bytes = malloc(FILE_BYTES_MAX), *exact;
	int nowhere = open("/dev/null", O_WRONLY);
	FILE *file = fopen(path, "rb");
	size_t count;

	if (!file || !bytes || nowhere < 0)
		_exit(2);
	dup2(nowhere, STDOUT_FILENO);
	dup2(errors, STDERR_FILENO);
	alarm(SECONDS);
	count = fread(bytes, 1, FILE_BYTES_MAX, file);
	fclose(file);
	/* So that a byte too far is a byte outside. */
	exact = malloc(count ? count : 1);
	if (!exact)
		_exit(2);
	memcpy(exact, bytes, count);
	free(bytes);
	LLVMFuzzerTestOneInput(exact, count);
	free(exact);
	exit(0);
}

/* What the child said, as comments, once it is known that it failed. */
static void print_errors(const char *text)
{
	const char *end;

	for (; *text; text = end + (*end == '\n')) {
		end = text + strcspn(text, "\n");
		printf("# %.*s\n", (int)(end - text), text);
	}
}

static void read_errors(int from, char *text, size_t room)
{
	size_t used = 0;
	char rest[4096];
	ssize_t got = 1;

	while (got > 0) {
		bool full = used + 1 == room;

		got = read(from, full ? rest : text + used,
			   full ? sizeof(rest) : room - 1 - used);
		if (got > 0 && !full)
			used += (size_t)got;
	}
	text[used] = 0;
}

static void replay(const char *path)
{
	const char *name = strrchr(path, '/');
	static char errors[16384];
	int channel[2], status = -1;
	pid_t child;

	if (pipe(channel)) {
		tap_ok(false, "%s: no pipe", path);
		return;
	}
	child = fork();
	if (child == 0)
		run_file(path, channel[1]);
	close(channel[1]);
	read_errors(channel[0], errors, sizeof(errors));
	close(channel[0]);
	if (child > 0)
		(void)waitpid(child, &status, 0);
	if (status)
		print_errors(errors);
	tap_ok(status == 0, "%s", name ? name + 1 : path);
}

static int is_file(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static void replay_folder(const char *folder)
{
	struct dirent **entry;
	char path[4096];
	int count = scandir(folder, &entry, is_file, alphasort), i;

	tap_ok(count > 0, "there is a corpus");
	for (i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "%s/%s", folder,
			 entry[i]->d_name);
		replay(path);
		free(entry[i]);
	}
	if (count >= 0)
		free(entry);
}

int main(int argc, char **argv)
{
	struct stat status;
	int i;

	for (i = 1; i < argc; i++) {
		if (!stat(argv[i], &status) && S_ISDIR(status.st_mode))
			replay_folder(argv[i]);
		else
			replay(argv[i]);
	}
	return tap_done();
}
