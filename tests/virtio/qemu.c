/* SPDX-License-Identifier: MIT */

/* QEMU without a guest: a child, two sockets, a folder. */

#include "tests/virtio/qemu.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRAM		"qemu-system-x86_64"
#define WORDS_MAX	64
#define BIOS_BYTES	0x10000
#define BIOS_START	0xfff0	/* where a reset goes */

static struct {
	pid_t child;
	char folder[64];
	char path[8][160];		/* qemu_path()'s answers */
	unsigned paths;
	FILE *qtest, *qmp;
	char line[8192];
} qemu;

bool qemu_is_there(void)
{
	return system("command -v " PROGRAM " > /dev/null 2>&1") == 0;
}

const char *qemu_path(const char *name)
{
	char *path = qemu.path[qemu.paths++ % 8];

	snprintf(path, sizeof(qemu.path[0]), "%s/%s", qemu.folder, name);
	return path;
}

static int listen_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) ||
	    listen(fd, 1)) {
		perror(path);
		return -1;
	}
	return fd;
}

/* In the child. */
_Noreturn static void become(const char *const *words, uint64_t ram_bytes,
			     const char *ram)
{
	char memory[256], qtest[256], qmp[256], size[64];
	const char *all[WORDS_MAX] = {
		PROGRAM, "-M", "q35,memory-backend=ram", "-accel", "tcg",
		"-bios", qemu_path("bios"), "-nodefaults",
		"-no-user-config", "-display", "none",
		"-m", size, "-object", memory, "-qtest", qtest,
		"-qtest-log", "none", "-qmp", qmp,
	};
	unsigned count = 21;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(size, sizeof(size), "%lluM,maxmem=8G",
		 (unsigned long long)ram_bytes >> 20);
	snprintf(memory, sizeof(memory), "memory-backend-file,id=ram,size="
		 "%lluM,mem-path=%s,share=on",
		 (unsigned long long)ram_bytes >> 20, ram);
	snprintf(qtest, sizeof(qtest), "unix:%s", qemu_path("qtest"));
	snprintf(qmp, sizeof(qmp), "unix:%s", qemu_path("qmp"));
	while (*words && count + 1 < WORDS_MAX)
		all[count++] = *words++;
	/* What QEMU says is no TAP. */
	dup2(STDERR_FILENO, STDOUT_FILENO);
	execvp(PROGRAM, (char *const *)(uintptr_t)all);
	_exit(127);
}

/* NULL: the child died before it came. */
static FILE *answer_on(int listener)
{
	struct pollfd event = { .fd = listener, .events = POLLIN };
	int fd = -1;

	while (fd < 0 && waitpid(qemu.child, NULL, WNOHANG) == 0)
		if (poll(&event, 1, 100) > 0)
			fd = accept(listener, NULL, NULL);
	close(listener);
	return fd < 0 ? NULL : fdopen(fd, "r+");
}

/* The machine's processor starts here: it sleeps, and never wakes. */
static bool make_bios(void)
{
	static const unsigned char sleep[] = { 0xfa, 0xf4, 0xeb, 0xfd };
	FILE *file = fopen(qemu_path("bios"), "wb");
	unsigned i;

	for (i = 0; file && i < BIOS_BYTES; i++)
		fputc(i >= BIOS_START && i < BIOS_START + sizeof(sleep) ?
		      sleep[i - BIOS_START] : 0x90, file);
	return file && fclose(file) == 0;
}

bool qemu_start(const char *const *words, uint64_t ram_bytes,
		const char **ret_ram_path)
{
	int qtest, qmp;

	snprintf(qemu.folder, sizeof(qemu.folder),
		 "/dev/shm/coldframe-qemu-XXXXXX");
	if (!mkdtemp(qemu.folder))
		return false;
	*ret_ram_path = qemu_path("ram");
	if (!make_bios())
		return false;
	qtest = listen_at(qemu_path("qtest"));
	qmp = listen_at(qemu_path("qmp"));
	if (qtest < 0 || qmp < 0)
		return false;
	/* One that hangs ends this test, too. */
	alarm(120);
	qemu.child = fork();
	if (qemu.child == 0)
		become(words, ram_bytes, *ret_ram_path);
	qemu.qmp = answer_on(qmp);
	qemu.qtest = answer_on(qtest);
	if (!qemu.qmp || !qemu.qtest ||
	    !fgets(qemu.line, sizeof(qemu.line), qemu.qmp))
		return false;
	return qemu_ask("{\"execute\":\"qmp_capabilities\"}") != NULL;
}

static int remove_one(const char *path, const struct stat *status, int type,
		      struct FTW *walk)
{
	(void)status;
	(void)type;
	(void)walk;
	return remove(path);
}

void qemu_stop(void)
{
	if (qemu.child > 0) {
		kill(qemu.child, SIGKILL);
		waitpid(qemu.child, NULL, 0);
	}
	if (qemu.qmp)
		fclose(qemu.qmp);
	if (qemu.qtest)
		fclose(qemu.qtest);
	if (qemu.folder[0])
		(void)nftw(qemu.folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	memset(&qemu, 0, sizeof(qemu));
	alarm(0);
}

const char *qemu_ask(const char *format, ...)
{
	va_list values;

	va_start(values, format);
	vfprintf(qemu.qmp, format, values);
	va_end(values);
	fputc('\n', qemu.qmp);
	fflush(qemu.qmp);
	/* Events come in between. */
	while (fgets(qemu.line, sizeof(qemu.line), qemu.qmp)) {
		if (strncmp(qemu.line, "{\"return\"", 9) == 0)
			return qemu.line;
		if (strncmp(qemu.line, "{\"error\"", 8) == 0) {
			fprintf(stderr, "# QMP: %s", qemu.line);
			return NULL;
		}
	}
	return NULL;
}

uint64_t qemu_number(const char *answer, const char *key)
{
	char want[64];
	const char *at;

	snprintf(want, sizeof(want), "\"%s\":", key);
	at = answer ? strstr(answer, want) : NULL;
	return at ? strtoull(at + strlen(want), NULL, 10) : ~(uint64_t)0;
}

/* One command of qtest; the number after OK. */
__attribute__((format(printf, 1, 2)))
static uint64_t command(const char *format, ...)
{
	va_list values;

	va_start(values, format);
	vfprintf(qemu.qtest, format, values);
	va_end(values);
	fputc('\n', qemu.qtest);
	fflush(qemu.qtest);
	while (fgets(qemu.line, sizeof(qemu.line), qemu.qtest)) {
		if (strncmp(qemu.line, "OK", 2) == 0)
			return strtoull(qemu.line + 2, NULL, 0);
		if (strncmp(qemu.line, "IRQ", 3))
			fprintf(stderr, "# qtest: %s", qemu.line);
	}
	return ~(uint64_t)0;
}

static void select_config(unsigned slot, uint32_t offset)
{
	command("outl 0xcf8 0x%x", 0x80000000u | slot << 11 | (offset & 0xfc));
}

static uint32_t config_get(unsigned slot, uint32_t offset, unsigned bytes)
{
	uint32_t value;

	select_config(slot, offset);
	value = (uint32_t)command("inl 0xcfc") >> 8 * (offset & 3);
	return bytes == 4 ? value : value & ((1u << 8 * bytes) - 1);
}

static void config_set(unsigned slot, uint32_t offset, unsigned bytes,
		       uint32_t value)
{
	const char *name = bytes == 4 ? "outl" : bytes == 2 ? "outw" : "outb";

	select_config(slot, offset);
	command("%s 0x%x 0x%x", name, 0xcfc + (offset & 3), value);
}

bool qemu_find(uint16_t id, uint64_t bar, struct qemu_device *ret_device)
{
	unsigned slot;
	uint32_t size;

	for (slot = 0; slot < 32; slot++)
		if (config_get(slot, 0, 4) == (0x1af4u | (uint32_t)id << 16))
			break;
	if (slot == 32)
		return false;
	config_set(slot, 0x20, 4, ~0u);
	size = ~(config_get(slot, 0x20, 4) & ~15u) + 1;
	config_set(slot, 0x20, 4, (uint32_t)bar);
	config_set(slot, 0x24, 4, (uint32_t)(bar >> 32));
	*ret_device = (struct qemu_device){ slot, bar, size };
	return true;
}

static uint32_t access_config_read(void *context, uint32_t offset,
				   unsigned bytes)
{
	struct qemu_device *device = context;

	return config_get(device->slot, offset, bytes);
}

static void access_config_write(void *context, uint32_t offset, unsigned bytes,
				uint32_t value)
{
	struct qemu_device *device = context;

	config_set(device->slot, offset, bytes, value);
}

static uint64_t access_bar_bytes(void *context, unsigned bar)
{
	struct qemu_device *device = context;

	return bar == 4 ? device->bar_bytes : 0;
}

static char letter(unsigned bytes)
{
	return bytes == 4 ? 'l' : bytes == 2 ? 'w' : 'b';
}

static uint32_t access_bar_read(void *context, unsigned bar, uint64_t offset,
				unsigned bytes)
{
	struct qemu_device *device = context;

	(void)bar;
	return (uint32_t)command("read%c 0x%llx", letter(bytes),
				 (unsigned long long)(device->bar + offset));
}

static void access_bar_write(void *context, unsigned bar, uint64_t offset,
			     unsigned bytes, uint32_t value)
{
	struct qemu_device *device = context;

	(void)bar;
	command("write%c 0x%llx 0x%x", letter(bytes),
		(unsigned long long)(device->bar + offset), value);
}

struct cf_pci_access qemu_access(struct qemu_device *device)
{
	return (struct cf_pci_access){
		.context = device,
		.config_read = access_config_read,
		.config_write = access_config_write,
		.bar_bytes = access_bar_bytes,
		.bar_read = access_bar_read,
		.bar_write = access_bar_write,
	};
}
