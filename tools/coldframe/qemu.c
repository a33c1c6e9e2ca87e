/* SPDX-License-Identifier: MIT */

/*
 * QEMU as a child: its console and its monitor are sockets of ours, the
 * scenario is a file without a name, and what QEMU itself says goes into
 * another. The kernel ends QEMU when this process is gone, however that came.
 */

#include "qemu.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "qemu_kind.h"

#define WORDS_MAX	512
#define SLOT_FIRST	0x10		/* on PCI; machine/bare/host.c */
#define TEXT_BYTES	32768
#define END_NS		500000000ull	/* from the last word to the end */

/* What the child finds where. */
enum {
	FD_CONSOLE = 3, FD_MONITOR, FD_SCENARIO, FD_LAST,
	FD_ABOVE = 16
};

/* A command line; its words lie in text. */
struct line {
	char *word[WORDS_MAX + 1];
	unsigned words;
	char text[TEXT_BYTES];
	size_t used;
	bool cut;			/* more was to be added */
};

__attribute__((format(printf, 2, 3)))
static void add(struct line *line, const char *format, ...)
{
	char *at = line->text + line->used;
	va_list values;
	int length;

	va_start(values, format);
	length = vsnprintf(at, TEXT_BYTES - line->used, format, values);
	va_end(values);
	if (line->words == WORDS_MAX || length < 0 ||
	    (size_t)length >= TEXT_BYTES - line->used) {
		line->cut = true;
		return;
	}
	line->word[line->words++] = at;
	line->used += (size_t)length + 1;
}

static void add_mem(struct line *line, const struct qemu_config *config,
		    unsigned number)
{
	const struct qemu_device *device = &config->device[number];
	unsigned long long bytes = device->last - device->first;

	add(line, "-object");
	add(line, "memory-backend-ram,id=region%u,size=%llu,reserve=off",
	    number, bytes);
	add(line, "-device");
	add(line, "virtio-mem-pci,id=device%u,memdev=region%u,addr=0x%x,"
	    "memaddr=0x%llx,block-size=%llu,requested-size=0,node=%u", number,
	    number, SLOT_FIRST + number,
	    (unsigned long long)(config->place + device->first),
	    (unsigned long long)device->block, device->node);
}

static void add_balloon(struct line *line, const struct qemu_config *config,
			unsigned number)
{
	const struct qemu_device *device = &config->device[number];

	if (device->hinting) {
		add(line, "-object");
		add(line, "iothread,id=hints");
	}
	add(line, "-device");
	add(line, "virtio-balloon-pci,id=device%u,addr=0x%x,page-poison=on,"
	    "deflate-on-oom=%s,free-page-reporting=%s%s", number,
	    SLOT_FIRST + number, device->deflate_on_oom ? "on" : "off",
	    device->reporting ? "on" : "off",
	    device->hinting ? ",free-page-hint=on,iothread=hints" : "");
}

static void add_devices(struct line *line, const struct qemu_config *config)
{
	unsigned i;

	for (i = 0; i < config->devices; i++) {
		if (config->device[i].kind == NOUN_MEM)
			add_mem(line, config, i);
		else
			add_balloon(line, config, i);
	}
}

/* RAM is node 0's; others have what devices bring. */
static void add_memory(struct line *line, const struct qemu_config *config)
{
	unsigned node;

	add(line, "-object");
	add(line, "memory-backend-ram,id=ram,size=%llu,reserve=off",
	    (unsigned long long)config->memory);
	add(line, "-m");
	if (config->memory_max > config->memory)
		add(line, "%lluM,maxmem=%lluM",
		    (unsigned long long)config->memory >> 20,
		    (unsigned long long)config->memory_max >> 20);
	else
		add(line, "%lluM", (unsigned long long)config->memory >> 20);
	for (node = 0; config->nodes > 1 && node < config->nodes; node++) {
		add(line, "-numa");
		add(line, "node,nodeid=%u%s", node, node ? "" : ",memdev=ram");
	}
}

/* Never KVM: one in a virtual machine runs kernels a thousand times slower. */
static void make_line(struct line *line, const struct qemu_config *config,
		      const char *image)
{
	const struct qemu_kind *kind = &qemu_kinds[config->kind];
	static const char *const fixed[] = {
		"-nodefaults", "-no-user-config", "-display", "none",
		"-no-reboot", "-accel", "tcg", "-cpu", "max",
	};
	unsigned i;

	add(line, "%s", kind->program);
	for (i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		add(line, "%s", fixed[i]);
	add(line, "%s", kind->exit[0]);
	add(line, "%s", kind->exit[1]);
	add(line, "-M");
	add(line, "%s%s", kind->board, config->nodes > 1 ? "" :
	    ",memory-backend=ram");
	add_memory(line, config);
	add(line, "-smp");
	add(line, "%u", config->cpus);
	add(line, "-chardev");
	add(line, "socket,id=console,fd=%d", FD_CONSOLE);
	add(line, "-serial");
	add(line, "chardev:console");
	add(line, "-chardev");
	add(line, "socket,id=monitor,fd=%d", FD_MONITOR);
	add(line, "-mon");
	add(line, "chardev=monitor,mode=control");
	add(line, "-fw_cfg");
	add(line, "name=opt/coldframe/scenario,file=/proc/self/fd/%d",
	    FD_SCENARIO);
	/* What the guest says of its map stands in dumps of it. */
	add(line, "-device");
	add(line, "vmcoreinfo");
	add(line, "-kernel");
	add(line, "%s", image);
	add(line, "-append");
	if (config->devices)
		add(line, "seed=%llu frames=0x%llx:0x%llx",
		    (unsigned long long)config->seed,
		    (unsigned long long)config->place,
		    (unsigned long long)config->frames);
	else
		add(line, "seed=%llu", (unsigned long long)config->seed);
	add_devices(line, config);
}

/* A file without a name; closed by exec. */
static int make_file(const char *text, size_t bytes)
{
	int fd = memfd_create("coldframe", MFD_CLOEXEC);
	int high = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, FD_ABOVE);
	ssize_t done;

	if (fd >= 0)
		(void)close(fd);
	while (high >= 0 && bytes) {
		done = write(high, text, bytes);
		if (done <= 0) {
			(void)close(high);
			return -1;
		}
		text += done;
		bytes -= (size_t)done;
	}
	return high;
}

/* @pair[1] is QEMU's end, above what the child's places are. */
static bool make_pair(int pair[2])
{
	int low;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return false;
	low = pair[1];
	pair[1] = fcntl(low, F_DUPFD_CLOEXEC, FD_ABOVE);
	(void)close(low);
	return pair[1] >= 0;
}

/* What goes where in the child. */
struct ends {
	int console[2], monitor[2], scenario, errors;
};

_Noreturn static void become_qemu(const struct ends *ends,
				  const struct line *line, pid_t parent)
{
	int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)setpgid(0, 0);	/* the terminal's signals are not for it */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() == parent && nothing >= 0 &&
	    dup2(nothing, STDIN_FILENO) >= 0 &&
	    dup2(nothing, STDOUT_FILENO) >= 0 &&
	    dup2(ends->errors, STDERR_FILENO) >= 0 &&
	    dup2(ends->console[1], FD_CONSOLE) >= 0 &&
	    dup2(ends->monitor[1], FD_MONITOR) >= 0 &&
	    dup2(ends->scenario, FD_SCENARIO) >= 0)
		(void)execvp(line->word[0], line->word);
	(void)dprintf(STDERR_FILENO, "%s: %s\n", line->word[0],
		      strerror(errno));
	_exit(127);
}

static void close_all(const struct ends *ends)
{
	const int fds[] = { ends->console[1], ends->monitor[1],
			    ends->scenario };
	unsigned i;

	for (i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			(void)close(fds[i]);
}

static bool failed(struct qemu *qemu, const char *what)
{
	if (!qemu->words[0])
		(void)snprintf(qemu->words, sizeof(qemu->words), "%s", what);
	return false;
}

static bool spawn(struct qemu *qemu, const struct qemu_config *config,
		  const char *image, int *ret_monitor)
{
	struct ends ends = { { -1, -1 }, { -1, -1 }, -1, -1 };
	struct line *line = calloc(1, sizeof(*line));
	pid_t parent = getpid();
	bool made = line && make_pair(ends.console) &&
		    make_pair(ends.monitor);

	if (line)
		make_line(line, config, image);

	ends.scenario = make_file(config->text, config->bytes);
	ends.errors = qemu->errors = make_file(NULL, 0);
	channel_open(&qemu->console, ends.console[0]);
	*ret_monitor = ends.monitor[0];
	if (made && line->cut) {
		(void)failed(qemu, "QEMU's command line would be too long");
	} else if (made && ends.scenario >= 0 && ends.errors >= 0) {
		qemu->pid = fork();
		if (qemu->pid == 0)
			become_qemu(&ends, line, parent);
	}
	close_all(&ends);
	free(line);
	return qemu->pid > 0 || failed(qemu, strerror(errno));
}

/* The first line that QEMU itself said. */
static bool read_error(const struct qemu *qemu, char *text, size_t bytes)
{
	ssize_t got = qemu->errors < 0 ? -1 :
		      pread(qemu->errors, text, bytes - 1, 0);

	if (got <= 0)
		return false;
	text[got] = '\0';
	/* Before an assertion of its library's there is a line of these. */
	if (!strncmp(text, "**\n", 3))
		(void)memmove(text, text + 3, (size_t)got - 2);
	text[strcspn(text, "\n")] = '\0';
	return true;
}

static pid_t wait_for(struct qemu *qemu, int *status)
{
	pid_t got;

	do
		got = waitpid(qemu->pid, status, 0);
	while (got < 0 && errno == EINTR);
	qemu->pid = 0;
	return got;
}

/* Has it ended by itself, or does so now?  It stays to be waited for. */
static bool has_ended(const struct qemu *qemu)
{
	static const struct timespec nap = { 0, 5000000 };
	uint64_t until_ns = channel_now() + END_NS;
	siginfo_t info;

	do {
		info.si_pid = 0;
		if (waitid(P_PID, (id_t)qemu->pid, &info,
			   WEXITED | WNOHANG | WNOWAIT) || info.si_pid)
			return true;
		(void)nanosleep(&nap, NULL);
	} while (channel_now() < until_ns);
	return false;
}

/* The guest's last words say most, then QEMU's, then how it ended. */
static void explain_end(struct qemu *qemu)
{
	char said[sizeof(qemu->words) - 8];
	int status = 0;

	if (qemu->pid > 0 && wait_for(qemu, &status) < 0)
		status = 0;
	if (qemu->words[0])
		return;
	if (read_error(qemu, said, sizeof(said)))
		(void)snprintf(qemu->words, sizeof(qemu->words), "QEMU: %s",
			       said);
	else if (WIFSIGNALED(status))
		(void)snprintf(qemu->words, sizeof(qemu->words),
			       "QEMU was ended: %s",
			       strsignal(WTERMSIG(status)));
	else
		(void)snprintf(qemu->words, sizeof(qemu->words),
			       "QEMU ended with status %d",
			       WEXITSTATUS(status));
}

/* What is no answer is said to whoever runs it; a panic is remembered. */
static void hear_words(struct qemu *qemu, const char *line)
{
	if (!line[0])
		return;
	if (!qemu->words[0])
		(void)snprintf(qemu->words, sizeof(qemu->words), "%s",
			       !strncmp(line, "Bail out! ", 10) ? line + 10 :
								  line);
	(void)fflush(stdout);
	(void)fprintf(stderr, "guest: %s\n", line);
}

static json_t *next_object(struct qemu *qemu, uint64_t patience_ns)
{
	uint64_t until_ns = channel_now() + patience_ns;
	enum channel_read read;
	json_t *object;
	char *line;

	for (;;) {
		read = channel_line(&qemu->console, until_ns, &line);
		if (read != CHANNEL_LINE)
			break;
		object = line[0] == '{' ? json_loads(line, 0, NULL) : NULL;
		if (object)
			return object;
		hear_words(qemu, line);
	}
	if (read == CHANNEL_CLOSED)
		explain_end(qemu);
	else
		(void)snprintf(qemu->words, sizeof(qemu->words), "the guest"
			       " did not answer within %llu s",
			       (unsigned long long)(patience_ns /
						    1000000000));
	return NULL;
}

json_t *qemu_ask(struct qemu *qemu, const char *command,
		 bool (*hear)(void *context, json_t *object), void *context)
{
	json_t *object;

	/* Nobody reads any more: what it said before is still to be read. */
	if (channel_say(&qemu->console, command, strlen(command)))
		(void)channel_say(&qemu->console, "\n", 1);
	while ((object = next_object(qemu, qemu->patience_ns)) != NULL) {
		if (!hear || !hear(context, object))
			return object;
		json_decref(object);
	}
	return NULL;
}

/*
 * No monitor: QEMU is gone and said why, or it is there and does not answer,
 * which is not to be taken for the end that it has here.
 */
static void explain_start(struct qemu *qemu)
{
	if (has_ended(qemu))
		explain_end(qemu);
	else
		(void)failed(qemu, qemu->monitor.error);
}

/* Its first object says how many steps it has read. */
static bool await_guest(struct qemu *qemu, uint64_t patience_ns)
{
	json_t *object = next_object(qemu, patience_ns);
	const char *wrong = json_string_value(json_object_get(object,
							      "wrong"));
	bool ready = object && !wrong;

	if (wrong)
		(void)failed(qemu, wrong);
	json_decref(object);
	return ready;
}

bool qemu_start(struct qemu *qemu, const struct qemu_config *config,
		const char *image)
{
	int fd;

	*qemu = (struct qemu){ .errors = -1, .console.fd = -1,
			       .monitor.channel.fd = -1,
			       .patience_ns = config->patience_ns };
	if (!spawn(qemu, config, image, &fd)) {
		(void)close(fd);
		return false;
	}
	if (!monitor_open(&qemu->monitor, fd, config->start_ns)) {
		explain_start(qemu);
		return false;
	}
	qemu->monitor.patience_ns = config->patience_ns;
	if (!await_guest(qemu, config->start_ns))
		return false;
	qemu->said = (uint64_t)lseek(qemu->errors, 0, SEEK_END);
	return true;
}

void qemu_end(struct qemu *qemu)
{
	int status;

	if (qemu->pid > 0) {
		(void)kill(qemu->pid, SIGKILL);
		(void)wait_for(qemu, &status);
	}
	channel_close(&qemu->console);
	monitor_close(&qemu->monitor);
	if (qemu->errors >= 0)
		(void)close(qemu->errors);
	qemu->errors = -1;
}

uint64_t qemu_complaints(const struct qemu *qemu)
{
	off_t at = (off_t)qemu->said;
	uint64_t lines = 0;
	char text[512];
	ssize_t got, i;

	while ((got = pread(qemu->errors, text, sizeof(text), at)) > 0) {
		for (i = 0; i < got; i++)
			lines += text[i] == '\n';
		at += got;
	}
	return lines;
}

/* Those of mappings in the range; QEMU's memory is mapped piece by piece. */
uint64_t qemu_resident_range(const struct qemu *qemu, uint64_t first,
			     uint64_t bytes)
{
	unsigned long long from, to, kilobytes, sum = 0;
	bool within = false;
	char line[512];
	FILE *file;

	(void)snprintf(line, sizeof(line), "/proc/%d/smaps", (int)qemu->pid);
	file = fopen(line, "re");
	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%llx-%llx ", &from, &to) == 2)
			within = from >= first && to <= first + bytes;
		else if (within && sscanf(line, "Rss: %llu kB",
					  &kilobytes) == 1)
			sum += kilobytes;
	}
	(void)fclose(file);
	return sum * 1024;
}
