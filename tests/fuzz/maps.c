/* SPDX-License-Identifier: MIT */
#include "maps.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>

#include "fuzz.h"
#include "machine/internal.h"
#include "port/host/internal.h"

#define MAPS_MAX	65536

/* The names that --wrap gives; which of the two is called is libc's choice. */
void *__real_mmap(void *address, size_t bytes, int protection, int flags,
		  int file, off_t offset);
void *__real_mmap64(void *address, size_t bytes, int protection, int flags,
		    int file, off_t offset);
int __real_munmap(void *address, size_t bytes);
void *__wrap_mmap(void *address, size_t bytes, int protection, int flags,
		  int file, off_t offset);
void *__wrap_mmap64(void *address, size_t bytes, int protection, int flags,
		    int file, off_t offset);
int __wrap_munmap(void *address, size_t bytes);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool noting;
static struct {
	void *address;
	size_t bytes;
} map[MAPS_MAX];
static size_t maps;

static void *note(void *mapping, size_t bytes)
{
	(void)pthread_mutex_lock(&lock);
	if (noting && mapping != MAP_FAILED) {
		HOLDS(maps < MAPS_MAX);
		map[maps].address = mapping;
		map[maps++].bytes = bytes;
	}
	(void)pthread_mutex_unlock(&lock);
	return mapping;
}

void *__wrap_mmap(void *address, size_t bytes, int protection, int flags,
		  int file, off_t offset)
{
	return note(__real_mmap(address, bytes, protection, flags, file,
				offset), bytes);
}

void *__wrap_mmap64(void *address, size_t bytes, int protection, int flags,
		    int file, off_t offset)
{
	return note(__real_mmap64(address, bytes, protection, flags, file,
				  offset), bytes);
}

/* Whatever is unmapped was mapped in one piece: nothing here cuts any up. */
int __wrap_munmap(void *address, size_t bytes)
{
	size_t i;

	(void)pthread_mutex_lock(&lock);
	for (i = 0; i < maps; i++) {
		if (map[i].address == address) {
			HOLDS((map[i].bytes + 4095) / 4096 ==
			      (bytes + 4095) / 4096);
			map[i] = map[--maps];
			break;
		}
	}
	(void)pthread_mutex_unlock(&lock);
	return __real_munmap(address, bytes);
}

void maps_begin(void)
{
	noting = true;
}

void maps_destroy(struct machine *machine)
{
	bool on = machine && machine->map;

	machine_destroy(machine);
	if (on)
		host_numbers_unlimit();
}

void maps_end(void)
{
	noting = false;
	while (maps) {
		maps--;
		(void)__real_munmap(map[maps].address, map[maps].bytes);
	}
}
