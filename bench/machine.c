/* SPDX-License-Identifier: MIT */
/* What machine the figures are from. */
#define _GNU_SOURCE
#include <gnu/libc-version.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include <coldframe/coldframe.h>

#include "bench/groups.h"
#include "bench/measure.h"
#include "port/host/host.h"

#define LINE_BYTES	256

/* What stands after the colon of the first line that begins with @key. */
static void line_value(const char *path, const char *key, char *ret_value)
{
	char line[LINE_BYTES];
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
		(void)snprintf(ret_value, LINE_BYTES, "%.*s",
			       (int)strcspn(colon, "\n"), colon);
		break;
	}
	(void)fclose(file);
}

/* The word in brackets is the one that holds. */
static void chosen_word(const char *path, char *ret_word)
{
	char line[LINE_BYTES];
	FILE *file = fopen(path, "re");

	(void)strcpy(ret_word, "unknown");
	if (!file)
		return;
	if (!fgets(line, sizeof(line), file) ||
	    sscanf(line, "%*[^[][%255[^]]", ret_word) != 1)
		(void)sscanf(line, "[%255[^]]", ret_word);
	(void)fclose(file);
}

static unsigned long long memory_gib(void)
{
	char value[LINE_BYTES];
	unsigned long long kilobytes = 0;

	line_value("/proc/meminfo", "MemTotal", value);
	(void)sscanf(value, "%llu", &kilobytes);
	return (kilobytes + (1u << 19)) >> 20;
}

void machine_print(void)
{
	char model[LINE_BYTES], family[LINE_BYTES], number[LINE_BYTES];
	char mhz[LINE_BYTES], cache[LINE_BYTES], huge[LINE_BYTES];
	char date[32] = "";
	struct utsname name;
	time_t now = time(NULL);
	struct tm day;

	line_value("/proc/cpuinfo", "model name", model);
	line_value("/proc/cpuinfo", "cpu family", family);
	line_value("/proc/cpuinfo", "model\t", number);
	line_value("/proc/cpuinfo", "cpu MHz", mhz);
	line_value("/proc/cpuinfo", "cache size", cache);
	chosen_word("/sys/kernel/mm/transparent_hugepage/enabled", huge);
	if (gmtime_r(&now, &day))
		(void)strftime(date, sizeof(date), "%Y-%m-%d", &day);
	(void)uname(&name);
	(void)printf("date      %s\n", date);
	(void)printf("CPU       %s, family %s model %s, %s MHz, cache %s\n",
		     model, family, number, mhz, cache);
	(void)printf("CPUs      %u usable, %llu GiB of memory\n",
		     cpus_usable(), memory_gib());
	(void)printf("kernel    %s %.*s %s\n", name.sysname,
		     (int)strcspn(name.release, "-"), name.release,
		     name.machine);
	(void)printf("pages     transparent huge pages: %s\n", huge);
	(void)printf("compiler  %s %s\n",
#ifdef __clang__
		     "clang",
#else
		     "gcc",
#endif
		     __VERSION__);
	(void)printf("priority  %s\n", sched_getscheduler(0) == SCHED_FIFO ?
						"real-time" : "normal");
	(void)printf("C library glibc %s\n", gnu_get_libc_version());
	(void)printf("coldframe %d.%d.%d, checks %s, caches %s\n",
		     CF_VERSION_MAJOR, CF_VERSION_MINOR, CF_VERSION_PATCH,
#ifdef CF_DEBUG
		     "of a debug build",
#else
		     "on",
#endif
		     cf_host_fenced() ? "fenced" : "with membarrier");
}
