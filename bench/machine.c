/* SPDX-License-Identifier: MIT */
/* What machine the figures are from. */
#define _GNU_SOURCE
#include <gnu/libc-version.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include <coldframe/coldframe.h>

#include "bench/groups.h"
#include "bench/measure.h"
#include "port/host/host.h"

#define LINE_BYTES	160
#define WORD_BYTES	128
#define MACHINE_LINES	8

/* What stands after the colon of the first line that begins with @key. */
static void line_value(const char *path, const char *key, char *ret_value)
{
	char line[256];
	const char *colon;
	FILE *file = fopen(path, "re");

	(void)strcpy(ret_value, "unknown");
	if (!file)
		return;
	while (fgets(line, sizeof(line), file)) {
		colon = strchr(line, ':');
		if (strncmp(line, key, strlen(key)) || !colon)
			continue;
		colon += 1 + strspn(colon + 1, " \t");
		(void)snprintf(ret_value, WORD_BYTES, "%.*s",
			       (int)strcspn(colon, "\n"), colon);
		break;
	}
	(void)fclose(file);
}

/* The word in brackets is the one that holds. */
static void chosen_word(const char *path, char *ret_word)
{
	char line[256];
	FILE *file = fopen(path, "re");

	(void)strcpy(ret_word, "unknown");
	if (!file)
		return;
	if (!fgets(line, sizeof(line), file) ||
	    sscanf(line, "%*[^[][%127[^]]", ret_word) != 1)
		(void)sscanf(line, "[%127[^]]", ret_word);
	(void)fclose(file);
}

static unsigned long long memory_gib(void)
{
	char value[WORD_BYTES];
	unsigned long long kilobytes = 0;

	line_value("/proc/meminfo", "MemTotal", value);
	(void)sscanf(value, "%llu", &kilobytes);
	return (kilobytes + (1u << 19)) >> 20;
}

static char text[MACHINE_LINES][LINE_BYTES];
static unsigned text_lines;

__attribute__((format(printf, 2, 3))) static void
add(const char *key, const char *format, ...)
{
	va_list arguments;
	int length;

	if (text_lines == MACHINE_LINES)
		return;
	length = snprintf(text[text_lines], LINE_BYTES, "%-10s", key);
	va_start(arguments, format);
	(void)vsnprintf(text[text_lines] + length,
			LINE_BYTES - (size_t)length, format, arguments);
	va_end(arguments);
	text_lines++;
}

static void add_hardware(void)
{
	char model[WORD_BYTES], family[WORD_BYTES], number[WORD_BYTES];
	char mhz[WORD_BYTES], cache[WORD_BYTES];

	line_value("/proc/cpuinfo", "model name", model);
	line_value("/proc/cpuinfo", "cpu family", family);
	line_value("/proc/cpuinfo", "model\t", number);
	line_value("/proc/cpuinfo", "cpu MHz", mhz);
	line_value("/proc/cpuinfo", "cache size", cache);
	add("CPU", "%s, family %s model %s, %s MHz, cache %s", model, family,
	    number, mhz, cache);
	add("CPUs", "%u usable, %llu GiB of memory", cpus_usable(),
	    memory_gib());
}

static void add_software(void)
{
	struct utsname name;
	char huge[WORD_BYTES];

	chosen_word("/sys/kernel/mm/transparent_hugepage/enabled", huge);
	(void)uname(&name);
	add("kernel", "%s %.*s %s, transparent huge pages: %s", name.sysname,
	    (int)strcspn(name.release, "-"), name.release, name.machine, huge);
	add("compiler", "%s %s, C library glibc %s",
#ifdef __clang__
	    "clang",
#else
	    "gcc",
#endif
	    __VERSION__, gnu_get_libc_version());
	add("coldframe", "%d.%d.%d, checks %s, caches %s", CF_VERSION_MAJOR,
	    CF_VERSION_MINOR, CF_VERSION_PATCH,
#ifdef CF_DEBUG
	    "of a debug build",
#else
	    "on",
#endif
	    cf_host_fenced() ? "fenced" : "with membarrier");
}

const char *machine_line(unsigned nth)
{
	char date[WORD_BYTES] = "";
	time_t now = time(NULL);
	struct tm day;

	if (text_lines == 0) {
		if (gmtime_r(&now, &day))
			(void)strftime(date, sizeof(date), "%Y-%m-%d", &day);
		add("date", "%s, priority %s", date,
		    sched_getscheduler(0) == SCHED_FIFO ? "real-time" :
							  "normal");
		add_hardware();
		add_software();
	}
	return nth < text_lines ? text[nth] : NULL;
}
