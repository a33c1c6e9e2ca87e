/* SPDX-License-Identifier: MIT */

/* From the first CPU's first steps to main(). */

#include "kernel.h"

#define WORDS_MAX	16

struct boot boot;

extern char image_end[];
extern void (*init_begin[])(void), (*init_end[])(void);

/* Usable is what lies above the first MiB, and not in the program. */
void boot_memory_add(uint64_t first, uint64_t bytes)
{
	uint64_t end = (uintptr_t)image_end, last = first + bytes;

	if (first < end)
		first = end;
	first = (first + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
	last &= ~(PAGE_BYTES - 1);
	if (first >= last || boot.memories == MEMORY_MAX)
		return;
	boot.memory[boot.memories++] = (struct memory){ first, last };
}

/* Of the words of the command line: the first that begins with "name=". */
bool boot_option(const char *name, char *value, size_t bytes)
{
	const char *at = boot.command;
	size_t i;

	while (*at) {
		for (i = 0; name[i] && at[i] == name[i]; i++)
			;
		if (!name[i] && at[i] == '=') {
			size_t length = 0;

			for (at += i + 1; *at && *at != ' ' &&
			     length + 1 < bytes; at++)
				value[length++] = *at;
			value[length] = '\0';
			return true;
		}
		while (*at && *at != ' ')
			at++;
		while (*at == ' ')
			at++;
	}
	return false;
}

/* What is to run before main(). */
static void construct(void)
{
	void (**fn)(void);

	for (fn = init_begin; fn < init_end; fn++)
		(*fn)();
}

/* The program: its words are those of the command line. */
static void *run(void *unused)
{
	static char line[COMMAND_BYTES], name[] = "guest";
	static char *words[WORDS_MAX + 1] = { name };
	int count = 1;
	size_t i;

	for (i = 0; boot.command[i]; i++)
		line[i] = boot.command[i] == ' ' ? '\0' : boot.command[i];
	for (i = 0; boot.command[i] && count < WORDS_MAX; i++)
		if (line[i] && (i == 0 || !line[i - 1]))
			words[count++] = &line[i];
	construct();
	guest_end(main(count, words));
	return unused;
}

/*
 * The caller's stack becomes that of the first CPU's idle thread. Memory
 * above 4 GiB is mapped before it can be handed out.
 */
void boot_go_on(void)
{
	unsigned i;

	space_init();
	for (i = 0; i < boot.memories; i++)
		(void)space_map_direct(boot.memory[i].first,
				       boot.memory[i].last, false);
	arch_cpus_start();
	if (!thread_start(run, NULL)) {
		console_say("guest: no memory\n");
		arch_exit(1);
	}
	thread_idle();
}
