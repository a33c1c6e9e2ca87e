/* SPDX-License-Identifier: MIT */

/* What the loader tells, and the first steps of the first CPU. */

#include "guest/kernel.h"
#include "local.h"

#define PVH_MAGIC	0x336ec578
#define PVH_RAM		1

struct pvh_info {
	uint32_t magic, version, flags, modules;
	uint64_t module_list, command, acpi, memory_map;
	uint32_t memory_entries, reserved;
};

struct pvh_memory {
	uint64_t address, bytes;
	uint32_t type, reserved;
};

void pvh_read(uint64_t at)
{
	const struct pvh_info *info = (const struct pvh_info *)at;
	const struct pvh_memory *map;
	const char *command;
	uint32_t i;

	if (info->magic != PVH_MAGIC || info->version < 1) {
		console_say("guest: not started as PVH, version 1\n");
		arch_exit(1);
	}
	map = (const struct pvh_memory *)info->memory_map;
	for (i = 0; i < info->memory_entries; i++)
		if (map[i].type == PVH_RAM)
			boot_memory_add(map[i].address, map[i].bytes);
	command = (const char *)info->command;
	for (i = 0; command && command[i] && i < COMMAND_BYTES - 1; i++)
		boot.command[i] = command[i];
	boot.acpi = info->acpi;
}

_Noreturn void arch_first(uint64_t info);

_Noreturn void arch_first(uint64_t info)
{
	struct cpu *cpu = &cpus[0];

	arch_console_init();
	pvh_read(info);
	arch_cpu_init(cpu);
	thread_init_idle(cpu);
	cpu->running = true;
	cpus_count = 1;
	clock_init();
	acpi_read();
	boot_go_on();
}
