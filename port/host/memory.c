/* SPDX-License-Identifier: MIT */
/*
 * Frames of a process: one private anonymous mapping, reserved at once and
 * filled by the first touch.
 *
 * Giving memory back is MADV_DONTNEED over whole ranges, and taking it again
 * is nothing at all: the next touch faults in zeroed pages.  bench/giveback.c
 * measures that against the other ways, docs/porting.md has the figures.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/mman.h>

#include "internal.h"

#define HUGE_BYTES	(CF_CHUNK_FRAMES * CF_FRAME_BYTES)

/*
 * Reserve @bytes that begin at a multiple of 2 MiB.  More is mapped than is
 * used; *@ret_mapping and *@ret_bytes say what.
 */
static unsigned char *reserve_aligned(size_t bytes, int protection,
				      void **ret_mapping, size_t *ret_bytes)
{
	size_t mapped = bytes + HUGE_BYTES;
	void *mapping = mmap(NULL, mapped, protection,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
			     0);
	uintptr_t start;

	if (mapping == MAP_FAILED)
		return NULL;
	start = ((uintptr_t)mapping + HUGE_BYTES - 1) & ~(HUGE_BYTES - 1);
	*ret_mapping = mapping;
	*ret_bytes = mapped;
	return (unsigned char *)start;
}

void *host_map_pages(size_t wanted, bool huge)
{
	size_t bytes = (wanted + CF_FRAME_BYTES - 1) & ~(CF_FRAME_BYTES - 1);
	size_t mapped, head;
	unsigned char *start;
	void *mapping;

	if (!huge) {
		mapping = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
			       0);
		return mapping == MAP_FAILED ? NULL : mapping;
	}
	start = reserve_aligned(bytes, PROT_READ | PROT_WRITE, &mapping,
				&mapped);
	if (!start)
		return NULL;
	head = (size_t)(start - (unsigned char *)mapping);
	if (head)
		(void)munmap(mapping, head);
	(void)munmap(start + bytes, mapped - head - bytes);
	/* A kernel without huge pages refuses, and small ones do as well. */
	(void)madvise(start, bytes, MADV_HUGEPAGE);
	return start;
}

int cf_host_memory_create(const struct cf_host_config *config,
			  struct cf_host_memory *memory)
{
	struct cf_host_memory made = { .config = *config };
	size_t bytes = config->last * CF_FRAME_BYTES;
	int protection = PROT_READ | PROT_WRITE;
	pthread_condattr_t clock;

	if (config->last == 0 || config->last > CF_PFN_LIMIT)
		return -CF_EINVAL;
	if (config->debug_pagealloc)
		protection = PROT_NONE;
	made.base = reserve_aligned(bytes, protection, &made.mapping,
				    &made.mapping_bytes);
	if (!made.base)
		return -CF_ENOMEM;
	/* Protecting single frames would only cut huge pages up again. */
	if (config->huge && !config->debug_pagealloc)
		(void)madvise(made.base, bytes, MADV_HUGEPAGE);
	else
		(void)madvise(made.base, bytes, MADV_NOHUGEPAGE);
	*memory = made;
	(void)pthread_mutex_init(&memory->lock, NULL);
	(void)pthread_condattr_init(&clock);
	(void)pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&memory->signalled, &clock);
	(void)pthread_condattr_destroy(&clock);
	return 0;
}

void cf_host_memory_destroy(struct cf_host_memory *memory)
{
	(void)munmap(memory->mapping, memory->mapping_bytes);
	(void)pthread_cond_destroy(&memory->signalled);
	(void)pthread_mutex_destroy(&memory->lock);
	memory->base = NULL;
}

static bool range_fits(const struct cf_host_memory *memory, cf_pfn first,
		       cf_pfn last)
{
	return first < last && last <= memory->config.last;
}

static int protect(const struct cf_host_memory *memory, cf_pfn first,
		   cf_pfn last, int protection)
{
	return mprotect(memory->base + first * CF_FRAME_BYTES,
			(last - first) * CF_FRAME_BYTES, protection);
}

static void count_unguarded(struct cf_host_memory *memory, uint64_t frames)
{
	(void)pthread_mutex_lock(&memory->lock);
	memory->frames_unguarded += frames;
	(void)pthread_mutex_unlock(&memory->lock);
}

/*
 * Frames must be usable whatever it takes: where the kernel will not cut the
 * mapping once more, make the chunks around usable too, then everything.
 * Each joins pieces, so that the kernel has pieces to spare again.
 */
static void make_usable(struct cf_host_memory *memory, cf_pfn first,
			cf_pfn last)
{
	cf_pfn from = first & ~(CF_CHUNK_FRAMES - 1);
	cf_pfn to = (last + CF_CHUNK_FRAMES - 1) & ~(CF_CHUNK_FRAMES - 1);

	if (to > memory->config.last)
		to = memory->config.last;
	if (!protect(memory, first, last, PROT_READ | PROT_WRITE))
		return;
	if (!protect(memory, from, to, PROT_READ | PROT_WRITE)) {
		count_unguarded(memory, (to - from) - (last - first));
		return;
	}
	if (protect(memory, 0, memory->config.last, PROT_READ | PROT_WRITE))
		cf_port_panic("frames can be made usable", __FILE__, __LINE__,
			      first, last);
	count_unguarded(memory, memory->config.last - (last - first));
}

/* Frames that cannot be guarded stay usable: nothing but a check is lost. */
static void make_unusable(struct cf_host_memory *memory, cf_pfn first,
			  cf_pfn last)
{
	if (protect(memory, first, last, PROT_NONE))
		count_unguarded(memory, last - first);
}

void cf_port_protect(void *machine, cf_pfn first, cf_pfn last, bool usable)
{
	struct cf_host_memory *memory = machine;

	if (!memory->config.debug_pagealloc ||
	    !range_fits(memory, first, last))
		return;
	if (usable)
		make_usable(memory, first, last);
	else
		make_unusable(memory, first, last);
}

int cf_host_discard(struct cf_host_memory *memory, cf_pfn first, cf_pfn last)
{
	if (!range_fits(memory, first, last))
		return -CF_EINVAL;
	if (memory->config.debug_pagealloc)
		make_unusable(memory, first, last);
	if (madvise(memory->base + first * CF_FRAME_BYTES,
		    (last - first) * CF_FRAME_BYTES, MADV_DONTNEED))
		return -CF_EPORT;
	return 0;
}

uint64_t cf_host_unguarded(struct cf_host_memory *memory)
{
	uint64_t frames;

	(void)pthread_mutex_lock(&memory->lock);
	frames = memory->frames_unguarded;
	(void)pthread_mutex_unlock(&memory->lock);
	return frames;
}

void *cf_port_frame_address(void *machine, cf_pfn pfn, uint64_t count)
{
	struct cf_host_memory *memory = machine;

	if (host_fault(memory, CF_HOST_FRAME_ADDRESS))
		return NULL;
	if (pfn >= memory->config.last || count > memory->config.last - pfn)
		return NULL;
	return memory->base + pfn * CF_FRAME_BYTES;
}

/*
 * Exposing frames asks nothing of the system: those never touched and those
 * discarded read as zero, and memory comes with the first touch.
 */
static int expose(struct cf_host_memory *memory, cf_pfn first, cf_pfn last,
		  int (*hook)(void *context, cf_pfn first, cf_pfn last))
{
	if (!range_fits(memory, first, last))
		return -CF_EINVAL;
	if (hook && hook(memory->config.hooks.context, first, last))
		return -CF_EPORT;
	cf_port_protect(memory, first, last, true);
	return 0;
}

int cf_port_first_exposed(void *machine, cf_pfn first, cf_pfn last)
{
	struct cf_host_memory *memory = machine;

	if (host_fault(memory, CF_HOST_FIRST_EXPOSED))
		return -CF_EPORT;
	return expose(memory, first, last, memory->config.hooks.first_exposed);
}

int cf_port_returned(void *machine, cf_pfn first, cf_pfn last)
{
	struct cf_host_memory *memory = machine;

	if (host_fault(memory, CF_HOST_RETURNED))
		return -CF_EPORT;
	return expose(memory, first, last, memory->config.hooks.returned);
}

void *cf_port_meta_alloc(void *machine, size_t bytes)
{
	struct cf_host_memory *memory = machine;

	if (host_fault(memory, CF_HOST_META_ALLOC))
		return NULL;
	return host_map_pages(bytes, memory->config.huge_meta &&
					     bytes >= HUGE_BYTES);
}

void cf_port_meta_free(void *machine, void *memory, size_t bytes)
{
	(void)machine;
	(void)munmap(memory, bytes);
}

uint64_t cf_host_resident_bytes(void)
{
	unsigned long long kilobytes = 0;
	char line[256];
	FILE *file = fopen("/proc/self/smaps_rollup", "re");

	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "Rss: %llu kB", &kilobytes) == 1)
			break;
	(void)fclose(file);
	return (uint64_t)kilobytes * 1024;
}
