/* SPDX-License-Identifier: MIT */

/*
 * QEMU's monitor as the command uses it: answers that come late, events, a
 * migration that takes its time to end, a QEMU that never gets that far.
 * Method: a thread plays QEMU by a script of what it hears and says.
 */

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/tap.h"
#include "tools/coldframe/qemu.h"

#define SECOND		1000000000ull
#define LINES_MAX	64

/*
 * A line of the script: wait for a command with these words, unless they are
 * NULL; then say, where %d is that command's number.
 */
struct turn {
	const char *hears, *says;
	unsigned ms;			/* to wait before it says it */
};

static struct {
	int fd;
	const struct turn *turn;
	unsigned turns;
	unsigned number;		/* of the last command */
	bool strayed;			/* something else was heard */
	char heard[8192];
	size_t bytes;
} peer;

static void nap(unsigned ms)
{
	struct timespec time = { ms / 1000, (long)(ms % 1000) * 1000000 };

	(void)nanosleep(&time, NULL);
}

/* The next line. False: the other side has closed. */
static bool hear(char *line, size_t room)
{
	char *end;
	ssize_t got;
	size_t length;

	while (!(end = memchr(peer.heard, '\n', peer.bytes))) {
		got = read(peer.fd, peer.heard + peer.bytes,
			   sizeof(peer.heard) - peer.bytes);
		if (got <= 0)
			return false;
		peer.bytes += (size_t)got;
	}
	length = (size_t)(end - peer.heard);
	(void)snprintf(line, room, "%.*s", (int)length, peer.heard);
	peer.bytes -= length + 1;
	(void)memmove(peer.heard, end + 1, peer.bytes);
	return true;
}

static void *play(void *context)
{
	const char *id;
	char line[1024];
	unsigned i;

	(void)context;
	for (i = 0; i < peer.turns; i++) {
		if (peer.turn[i].hears) {
			if (!hear(line, sizeof(line)))
				break;
			id = strstr(line, "\"id\":");
			peer.number = id ? (unsigned)atoi(id + 5) : 0;
			peer.strayed |= !strstr(line, peer.turn[i].hears);
		}
		nap(peer.turn[i].ms);
		(void)dprintf(peer.fd, peer.turn[i].says, peer.number);
	}
	return NULL;
}

#define GREETS		{ NULL, "{\"QMP\":{}}\r\n", 0 },		\
			{ "qmp_capabilities", "{\"return\":{},\"id\":%d}\n", 0 }
#define SAYS(hears, what)						\
	{ hears, "{\"return\":" what ",\"id\":%d}\n", 0 }

static pthread_t player;

static bool open_monitor(struct monitor *monitor, const struct turn *turn,
			 unsigned turns, uint64_t patience_ns)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		return false;
	(void)memset(&peer, 0, sizeof(peer));
	peer.fd = pair[1];
	peer.turn = turn;
	peer.turns = turns;
	return pthread_create(&player, NULL, play, NULL) == 0 &&
	       monitor_open(monitor, pair[0], patience_ns);
}

static void close_monitor(struct monitor *monitor)
{
	monitor_close(monitor);
	(void)pthread_join(player, NULL);
	(void)close(peer.fd);
	CHECK(!peer.strayed);
}

#define COUNT(turns)	(sizeof(turns) / sizeof((turns)[0]))

static bool get(struct monitor *monitor, json_int_t *ret_value)
{
	json_t *answer;

	if (!monitor_do(monitor, "qom-get", NULL, &answer))
		return false;
	*ret_value = json_integer_value(answer);
	json_decref(answer);
	return true;
}

/* An answer after the time is up is nobody's. */
static void late_answers(void)
{
	static const struct turn turns[] = {
		GREETS,
		{ "qom-get", "{\"return\":1,\"id\":%d}\n", 400 },
		SAYS("qom-get", "2"),
		{ "qom-get", "{\"return\":3,\"id\":1}\n", 0 },
		{ NULL, "{\"error\":{\"desc\":\"old\"},\"id\":2}\n", 0 },
		{ NULL, "{\"return\":4,\"id\":%d}\n", 0 },
	};
	struct monitor monitor;
	json_int_t value = 0;

	if (!CHECK(open_monitor(&monitor, turns, COUNT(turns), SECOND)))
		return;
	monitor.patience_ns = SECOND / 10;
	CHECK(!get(&monitor, &value));
	CHECK(strstr(monitor.error, "does not answer"));
	monitor.patience_ns = 10 * SECOND;
	CHECK(get(&monitor, &value));
	CHECK_EQ(value, 2);
	CHECK(get(&monitor, &value));
	CHECK_EQ(value, 4);
	close_monitor(&monitor);
}

/* What QEMU tells of its own accord. */
static void events(void)
{
	static const struct turn turns[] = {
		GREETS,
		{ NULL, "{\"event\":\"MEMORY_DEVICE_SIZE_CHANGE\",\"data\":"
		  "{\"id\":\"device3\",\"size\":4096}}\n", 0 },
		{ NULL, "{\"event\":\"BALLOON_CHANGE\",\"data\":"
		  "{\"actual\":77}}\n", 0 },
		SAYS("query-status", "{}"),
		{ NULL, "{\"event\":\"MEMORY_DEVICE_SIZE_CHANGE\",\"data\":"
		  "{\"id\":\"device99\",\"size\":1}}\n", 0 },
		{ NULL, "{\"event\":\"MEMORY_DEVICE_SIZE_CHANGE\",\"data\":"
		  "{\"id\":\"device3\",\"size\":8192}}\n", 50 },
	};
	struct monitor monitor;

	if (!CHECK(open_monitor(&monitor, turns, COUNT(turns), 9 * SECOND)))
		return;
	CHECK_EQ(monitor.size_told[3], ~(uint64_t)0);
	CHECK(monitor_do(&monitor, "query-status", NULL, NULL));
	CHECK_EQ(monitor.size_told[3], 4096);
	CHECK_EQ(monitor.ram_told, 77);
	CHECK(monitor_hear(&monitor, channel_now() + SECOND / 4));
	CHECK_EQ(monitor.size_told[3], 8192);
	CHECK_EQ(monitor.size_told[0], ~(uint64_t)0);
	(void)shutdown(peer.fd, SHUT_RDWR);
	CHECK(!monitor_hear(&monitor, channel_now() + 9 * SECOND));
	close_monitor(&monitor);
}

static void ask(struct qemu *qemu, const char *words, const char *answer)
{
	static const struct qemu_config config = {
		.devices = 1, .device[0].kind = NOUN_BALLOON,
	};
	char line[256];

	qemu_answer(qemu, &config, words, line, sizeof(line));
	if (!CHECK(!strcmp(line, answer)))
		tap_print("# %s: %s", words, line);
}

/* Begun or cancelled is not what QEMU says yes to, but what is afterwards. */
static void migrations(void)
{
	static const struct turn turns[] = {
		GREETS,
		SAYS("query-migrate", "{}"),
		SAYS("migrate-set-parameters", "{}"),
		SAYS("\"migrate\"", "{}"),
		SAYS("query-migrate", "{\"status\":\"setup\"}"),
		SAYS("query-migrate", "{\"status\":\"active\"}"),
		/* It goes on: it is there already, and none for hints. */
		SAYS("query-migrate", "{\"status\":\"active\"}"),
		SAYS("query-migrate", "{\"status\":\"setup\"}"),
		SAYS("migrate_cancel", "{}"),
		SAYS("query-migrate", "{\"status\":\"active\"}"),
		SAYS("query-migrate", "{\"status\":\"cancelling\"}"),
		SAYS("query-migrate", "{\"status\":\"cancelled\"}"),
		/* There is none: nothing to wait for. */
		SAYS("migrate_cancel", "{}"),
		SAYS("query-migrate", "{}"),
		SAYS("query-migrate", "{}"),
		SAYS("migrate-set-parameters", "{}"),
		SAYS("\"migrate\"", "{}"),
		SAYS("query-migrate", "{\"status\":\"setup\"}"),
		SAYS("query-migrate", "{\"status\":\"active\"}"),
		/* One that is not heard to begin is not left behind. */
		SAYS("query-migrate", "{\"status\":\"completed\"}"),
		SAYS("migrate-set-parameters", "{}"),
		SAYS("\"migrate\"", "{}"),
		{ "query-migrate", "{\"error\":{\"desc\":\"no\"},\"id\":%d}\n",
		  0 },
		SAYS("migrate_cancel", "{}"),
		SAYS("query-migrate", "{\"status\":\"failed\"}"),
		SAYS("query-migrate", "{}"),
		SAYS("migrate-set-parameters", "{}"),
		SAYS("\"migrate\"", "{}"),
		{ "query-migrate", "{\"error\":{\"desc\":\"no\"},\"id\":%d}\n",
		  0 },
		SAYS("migrate_cancel", "{}"),
		SAYS("query-migrate", "{\"status\":\"cancelled\"}"),
	};
	struct qemu qemu = { .pid = 0 };

	if (!CHECK(open_monitor(&qemu.monitor, turns, COUNT(turns),
				9 * SECOND)))
		return;
	ask(&qemu, "migrating 0 1", "0\n");
	ask(&qemu, "migrating 0 1", "0\n");
	ask(&qemu, "hint 0 1", "8\n");
	ask(&qemu, "migrating 0 0", "0\n");
	ask(&qemu, "migrating 0 0", "0\n");
	ask(&qemu, "hint 0 1", "0\n");
	ask(&qemu, "hint 0 1", "8\n");
	ask(&qemu, "migrating 0 1", "8\n");
	close_monitor(&qemu.monitor);
}

/* ---- what QEMU says of devices, beside what the guest says ---- */

#define MIB		(1 << 20)
#define RAM		(64 * MIB)

enum { G_REQUESTED, G_BLOCK, G_NODE, G_PLUGGED, G_HOST_PLUGGED, G_RESIDENT,
       G_BALLOONED, G_HOST_BALLOONED, H_SIZE, H_REQUESTED, H_BLOCK, H_NODE,
       H_REGION, H_ACTUAL, SAID };

static const char *const member[SAID] = {
	"requested", "device-block", "node", "plugged", "host-plugged",
	"resident", "ballooned", "host-ballooned", "size", "requested-size",
	"block-size", "node", "max-size", "actual",
};

/* Two views that agree. */
static const json_int_t said[SAID] = {
	6 * MIB, 2 * MIB, 1, 4 * MIB, 4 * MIB, 4 * MIB, 8 * MIB, 8 * MIB,
	4 * MIB, 6 * MIB, 2 * MIB, 1, 128 * MIB, RAM - 8 * MIB,
};

/* Members [first, last), but for @without. */
static json_t *view(const json_t *all, unsigned first, unsigned last,
		    unsigned without)
{
	json_t *object = json_object();

	for (; first < last; first++)
		if (first != without)
			(void)json_object_set(object, member[first],
					      json_array_get(all, first));
	return object;
}

static void say_answer(char *line, size_t bytes, json_t *answer)
{
	char *text = json_dumps(answer, JSON_COMPACT);

	(void)snprintf(line, bytes, "{\"return\":%s,\"id\":%%d}\n", text);
	free(text);
	json_decref(answer);
}

static json_t *guest_report(const json_t *all, const char *state,
			    unsigned without)
{
	json_t *mem = view(all, G_REQUESTED, G_BALLOONED, without);
	json_t *balloon = view(all, G_BALLOONED, H_SIZE, without);

	(void)json_object_update_new(mem, json_pack("{s:s, s:s}", "name",
					"vm0", "state", state));
	(void)json_object_update_new(balloon, json_pack("{s:s, s:s}", "name",
					"bal", "state", state));
	return json_pack("{s:[o], s:[o]}", "virtio-mem", mem,
			 "virtio-balloon", balloon);
}

static const struct qemu_config viewed = {
	.memory = RAM, .devices = 2,
	.device = {
		{ .kind = NOUN_MEM, .name = { "vm0", 3 }, .last = 128 * MIB },
		{ .kind = NOUN_BALLOON, .name = { "bal", 3 } },
	},
};

/* With those numbers, and one member that is not there. */
static bool agree(const json_t *all, const char *state, unsigned without,
		  char *why, size_t bytes)
{
	char devices[1024], balloon[256];
	const struct turn turns[] = {
		GREETS,
		{ "query-memory-devices", devices, 0 },
		{ "query-balloon", balloon, 0 },
	};
	json_t *mem = view(all, H_SIZE, H_ACTUAL, without), *report;
	struct qemu qemu = { .pid = 0 };
	bool agrees;

	(void)json_object_set_new(mem, "id", json_string("device0"));
	say_answer(devices, sizeof(devices), json_pack("[{s:o}]", "data",
						       mem));
	say_answer(balloon, sizeof(balloon), view(all, H_ACTUAL, SAID,
						  without));
	report = guest_report(all, state, without);
	if (!CHECK(open_monitor(&qemu.monitor, turns, COUNT(turns),
				9 * SECOND)))
		return false;
	agrees = qemu_agrees(&qemu, &viewed, report, why, bytes);
	close_monitor(&qemu.monitor);
	json_decref(report);
	return agrees;
}

static json_t *numbers(void)
{
	json_t *all = json_array();
	unsigned i;

	for (i = 0; i < SAID; i++)
		(void)json_array_append_new(all, json_integer(said[i]));
	return all;
}

/* Each number in turn is another, or is not there, on either side. */
static void views(void)
{
	json_t *all = numbers();
	char why[256] = "";
	unsigned i;

	CHECK(agree(all, "idle", SAID, why, sizeof(why)));
	for (i = 0; i < SAID; i++) {
		(void)json_array_set_new(all, i, json_integer(said[i] + MIB));
		if (!CHECK(!agree(all, "backing-off", SAID, why,
				  sizeof(why))))
			tap_print("# another %s\n", member[i]);
		(void)json_array_set_new(all, i, json_integer(said[i]));
		if (!CHECK(!agree(all, "idle", i, why, sizeof(why))))
			tap_print("# no %s\n", member[i]);
	}
	/* Less of a region may be there, and work changes what it counts. */
	(void)json_array_set_new(all, G_RESIDENT, json_integer(0));
	CHECK(agree(all, "idle", SAID, why, sizeof(why)));
	(void)json_array_set_new(all, G_PLUGGED, json_integer(0));
	(void)json_array_set_new(all, G_BALLOONED, json_integer(0));
	CHECK(!agree(all, "idle", SAID, why, sizeof(why)));
	CHECK(!strcmp(why, "vm0: plugged is 0, and 4194304 by QEMU's"
		      " account"));
	CHECK(agree(all, "shrinking", SAID, why, sizeof(why)));
	(void)json_array_set_new(all, H_NODE, json_integer(0));
	CHECK(!agree(all, "shrinking", SAID, why, sizeof(why)));
	json_decref(all);
}

/* The last events tell what is so at the end, or there were none. */
static void told(void)
{
	static const struct {
		uint64_t size, ram;	/* by the last event; ~0: none */
		const char *plugged, *actual;
		bool agrees;
	} cases[] = {
		{ ~(uint64_t)0, ~(uint64_t)0, "0", "67108864", true },
		{ MIB, RAM - 4096, "1048576", "67104768", true },
		{ 0, RAM, "0", "67108864", true },
		{ ~(uint64_t)0, RAM, "1048576", "67108864", false },
		{ MIB, RAM, "0", "67108864", false },
		{ 0, ~(uint64_t)0, "0", "67104768", false },
		{ 0, RAM - 4096, "0", "67108864", false },
	};
	struct qemu qemu = { .pid = 0 };
	char devices[256], balloon[256], why[256];
	const struct turn turns[] = {
		GREETS,
		{ "query-memory-devices", devices, 0 },
		{ "query-balloon", balloon, 0 },
	};
	unsigned i;

	for (i = 0; i < COUNT(cases); i++) {
		(void)snprintf(devices, sizeof(devices), "{\"return\":"
			       "[{\"data\":{\"id\":\"device0\",\"size\":%s}}],"
			       "\"id\":%%d}\n", cases[i].plugged);
		(void)snprintf(balloon, sizeof(balloon), "{\"return\":"
			       "{\"actual\":%s},\"id\":%%d}\n",
			       cases[i].actual);
		if (!CHECK(open_monitor(&qemu.monitor, turns, COUNT(turns),
					9 * SECOND)))
			return;
		qemu.monitor.size_told[0] = cases[i].size;
		qemu.monitor.ram_told = cases[i].ram;
		if (!CHECK_EQ(qemu_told(&qemu, &viewed, SECOND / 10, why,
					sizeof(why)), cases[i].agrees))
			tap_print("# case %u: %s\n", i, why);
		close_monitor(&qemu.monitor);
	}
}

/* A QEMU of that script. */
static bool start(struct qemu *qemu, const char *script)
{
	char folder[] = "/tmp/coldframe-monitor-XXXXXX", path[64];
	struct qemu_config config = {
		.kind = CPU_X86_64, .text = "", .cpus = 2, .nodes = 1,
		.memory = SECOND, .start_ns = SECOND / 2,
		.patience_ns = SECOND,
	};
	bool started;
	FILE *file;

	if (!mkdtemp(folder))
		return true;
	(void)snprintf(path, sizeof(path), "%s/qemu-system-x86_64", folder);
	file = fopen(path, "we");
	if (file) {
		(void)fprintf(file, "#!/bin/sh\n%s\n", script);
		(void)fclose(file);
	}
	(void)chmod(path, 0700);
	(void)setenv("PATH", folder, 1);
	started = qemu_start(qemu, &config, "image");
	(void)unlink(path);
	(void)rmdir(folder);
	return started;
}

/* One that is late is not said to have been ended, for we did that. */
static void starts(void)
{
	static const struct {
		const char *script, *words;
	} cases[] = {
		{ "exec /bin/sleep 20", "the monitor: QEMU does not answer" },
		{ "exec 4>&-; exec /bin/sleep 20",
		  "the monitor: QEMU is gone" },
		{ "exit 3", "QEMU ended with status 3" },
		{ "echo no such board >&2; exit 1", "QEMU: no such board" },
		{ "kill -9 $$", "QEMU was ended: Killed" },
	};
	struct qemu qemu;
	unsigned i;

	for (i = 0; i < COUNT(cases); i++) {
		CHECK(!start(&qemu, cases[i].script));
		if (!CHECK(!strcmp(qemu.words, cases[i].words)))
			tap_print("# %s: %s\n", cases[i].script, qemu.words);
		qemu_end(&qemu);
	}
}

/* 64 nodes and eight devices, each word of it. */
static void many_words(void)
{
	struct qemu_config config = {
		.kind = CPU_X86_64, .text = "", .cpus = 8, .nodes = 64,
		.memory = SECOND, .memory_max = SECOND * 2, .devices = 8,
		.start_ns = SECOND, .patience_ns = SECOND,
	};
	struct qemu qemu;
	unsigned i;

	for (i = 0; i < 8; i++)
		config.device[i] = (struct qemu_device){
			.kind = NOUN_MEM, .last = SECOND, .block = SECOND,
			.node = 56 + i,
		};
	(void)setenv("PATH", "/nowhere", 1);
	CHECK(!qemu_start(&qemu, &config, "image"));
	CHECK(strstr(qemu.words, "No such file"));
	qemu_end(&qemu);
}

int main(void)
{
	/* A test that fails may have closed before all was said. */
	(void)signal(SIGPIPE, SIG_IGN);
	tap_run("answers that come late", late_answers);
	tap_run("events", events);
	tap_run("migrations that take their time to end", migrations);
	tap_run("views that differ", views);
	tap_run("events that tell something else", told);
	tap_run("a QEMU that does not start, and why", starts);
	tap_run("64 nodes and eight devices", many_words);
	return tap_done();
}
