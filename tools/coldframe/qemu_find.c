/* SPDX-License-Identifier: MIT */

/* Where QEMU and the guest are. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common.h"
#include "qemu_kind.h"

#define COMMAND		"coldframe run"

const struct qemu_kind qemu_kinds[CPU_KIND_COUNT] = {
	[CPU_X86_64] = {
		.word = "x86-64",
		.other_word = "x86_64",
		.program = "qemu-system-x86_64",
		.package = "qemu-system-x86",
		.board = "q35,max-ram-below-4g=1G",
		.own = (uint64_t)1 << 30,
		.ram = (uint64_t)4 << 30,
		.exit = { "-device", "isa-debug-exit,iobase=0xf4,iosize=4" },
	},
	[CPU_AARCH64] = {
		.word = "aarch64",
		.other_word = "arm64",
		.program = "qemu-system-aarch64",
		.package = "qemu-system-arm",
		.board = "virt",
		.start = (uint64_t)1 << 30,
		.own = (uint64_t)1 << 30,
		.ram = (uint64_t)2 << 30,
		.exit = { "-semihosting-config", "enable=on,target=native" },
	},
};

bool qemu_cpu_kind(const char *word, enum cpu_kind *ret_kind)
{
	unsigned i;

	for (i = 0; i < CPU_KIND_COUNT; i++) {
		if (strcmp(word, qemu_kinds[i].word) &&
		    strcmp(word, qemu_kinds[i].other_word))
			continue;
		*ret_kind = (enum cpu_kind)i;
		return true;
	}
	return false;
}

static bool is_in_path(const char *program)
{
	const char *path = getenv("PATH");
	char file[4096];
	int length;

	while (path && *path) {
		length = (int)strcspn(path, ":");
		(void)snprintf(file, sizeof(file), "%.*s/%s", length, path,
			       program);
		if (!access(file, X_OK))
			return true;
		path += length;
		path += *path == ':';
	}
	return false;
}

/* The folder the running program is in. */
static bool own_folder(char *folder, size_t bytes)
{
	ssize_t length = readlink("/proc/self/exe", folder, bytes - 1);
	char *end;

	if (length <= 0)
		return false;
	folder[length] = '\0';
	end = strrchr(folder, '/');
	if (end)
		*end = '\0';
	return end != NULL;
}

/* Installed, wherever that is now; as it was configured; or just built. */
static bool find_image(const char *kind, char *image, size_t bytes)
{
	static const char *const places[] = {
		"/../" COLDFRAME_LIBEXEC "/coldframe", "/../../guest",
	};
	char folder[2048] = "";
	unsigned i;

	(void)own_folder(folder, sizeof(folder));
	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		(void)snprintf(image, bytes, "%s%s/guest-%s", folder,
			       places[i], kind);
		if (!access(image, R_OK))
			return true;
	}
	(void)snprintf(image, bytes, "%s/%s/coldframe/guest-%s",
		       COLDFRAME_PREFIX, COLDFRAME_LIBEXEC, kind);
	return !access(image, R_OK);
}

bool qemu_find(enum cpu_kind kind, char *ret_image, size_t bytes)
{
	const struct qemu_kind *its = &qemu_kinds[kind];

	if (!find_image(its->word, ret_image, bytes))
		(void)common_wrong(COMMAND, "no guest for %s was built: %s is"
				   " not there%s", its->word, ret_image,
				   kind == CPU_AARCH64 ? "; its build needs"
				   " the package gcc-aarch64-linux-gnu" : "");
	else if (!is_in_path(its->program))
		(void)common_wrong(COMMAND, "no %s is here; on Debian:"
				   " apt-get install %s", its->program,
				   its->package);
	else
		return true;
	return false;
}
