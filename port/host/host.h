/* SPDX-License-Identifier: MIT */
#ifndef COLDFRAME_HOST_H
#define COLDFRAME_HOST_H

/*
 * The port for a process on Linux.
 *
 * Frames lie in one private mapping, threads are the execution contexts,
 * liburcu guards read sections, membarrier(2) is the asymmetric barrier.
 *
 * The machine pointer of every map (cf_map_config.machine) is a struct
 * cf_host_memory, or a struct whose first member is one.
 *
 * Nothing here may be called from a POSIX signal handler: irq_off does not
 * block signals.  A forked child may look at frames; it must not call
 * anything that waits for read sections of threads it does not have.
 */

#include <pthread.h>

#include <coldframe/map.h>
#include <coldframe/port.h>
#include <coldframe/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * What a machine hears of the port's calls.  Each hook may be NULL; all run
 * with what cf_port_*() of the same name promises.  Nonzero refuses.
 */
struct cf_host_hooks {
	void *context;
	int (*first_exposed)(void *context, cf_pfn first, cf_pfn last);
	int (*returned)(void *context, cf_pfn first, cf_pfn last);
	void (*signal)(void *context, enum cf_signal what, cf_pfn pfn);
};

/* How to make memory.  All zero but for @last is a good choice. */
struct cf_host_config {
	cf_pfn last;		/* frames [0, last) have contents */
	bool huge;		/* ask for 2 MiB pages behind frames */
	bool huge_meta;		/* and behind metadata of 2 MiB and more */
	bool debug_pagealloc;	/* unused frames cannot be touched; not huge */
	struct cf_host_hooks hooks;
};

/* The port's calls that can fail, so that a test can make them. */
enum cf_host_call {
	CF_HOST_META_ALLOC,
	CF_HOST_FRAME_ADDRESS,
	CF_HOST_FIRST_EXPOSED,
	CF_HOST_RETURNED,
	CF_HOST_CALL_COUNT
};

/*
 * Memory of a machine.  The caller's, from cf_host_memory_create() to
 * cf_host_memory_destroy(); not to be copied or moved between them.
 *
 * Field key:
 *   (C) constant after create
 *   (M) @lock
 *   (Q) written only while no other call on this memory runs
 */
struct cf_host_memory {
	unsigned char *base;		/* (C) a frame: base + pfn * 4096 */
	struct cf_host_config config;	/* (C) */
	void *mapping;			/* (C) what was mapped, for munmap() */
	size_t mapping_bytes;		/* (C) */
	struct cf_map *map;		/* (Q) cf_host_map_create()'s */
	void *map_storage;		/* (Q) */
	size_t map_bytes;		/* (Q) */
	bool counting;			/* (Q) a fault is armed */
	pthread_mutex_t lock;
	pthread_cond_t signalled;
	uint64_t signals_waiting;	/* (M) signals no wait has seen yet */
	uint64_t frames_unguarded;	/* (M) see cf_host_unguarded() */
	uint64_t calls[CF_HOST_CALL_COUNT];	/* (M) since armed */
	uint64_t fails[CF_HOST_CALL_COUNT];	/* (M) which fails; 0: none */
};

/**
 * cf_host_memory_create() - reserve address space for frames.
 * @config: how; copied
 * @memory: filled
 *
 * Frames that are never touched cost nothing, however many there are. With
 * debug_pagealloc every frame is unusable until it is exposed or allocated.
 * Pair with cf_host_memory_destroy().
 *
 * Return:  0, or with nothing written:
 *          -CF_EINVAL  last is 0 or above CF_PFN_LIMIT
 *          -CF_ENOMEM  the process has no address space for it
 */
int cf_host_memory_create(const struct cf_host_config *config,
			  struct cf_host_memory *memory) CF_MUST_CHECK;

/** cf_host_memory_destroy() - the frames are gone. Context: the map is, too. */
void cf_host_memory_destroy(struct cf_host_memory *memory);

/**
 * cf_host_discard() - give the contents of frames back to the system.
 * @first, @last: half open; the larger the range the cheaper a frame, and
 *                best in multiples of CF_CHUNK_FRAMES
 *
 * The process shrinks by what was touched of them. They stay frames: when
 * touched again they read as zero and cost memory again. With
 * debug_pagealloc they cannot be touched until they are exposed.
 *
 * Return:  0, -CF_EINVAL: empty or beyond the memory, -CF_EPORT: the system
 *          refused (frames are locked in memory).
 */
int cf_host_discard(struct cf_host_memory *memory, cf_pfn first, cf_pfn last)
	CF_MUST_CHECK;

/**
 * cf_host_unguarded() - frames debug_pagealloc had to leave usable.
 *
 * The kernel limits how many pieces a mapping may be cut into
 * (vm.max_map_count). Past it frames are joined to usable neighbours and a
 * touch of them is not caught. Return: how often a frame was left so.
 */
uint64_t cf_host_unguarded(struct cf_host_memory *memory);

/** cf_host_resident_bytes() - Rss of the process; 0: not to be had. */
uint64_t cf_host_resident_bytes(void);

/**
 * cf_host_enter() - the calling thread becomes an execution context.
 *
 * It gets the lowest number that is free below the limit, and with it that
 * number's caches. Entering twice keeps the number. Pair with
 * cf_host_leave(); a thread that ends without it gives its number up, but
 * leaves frames in the caches for the next one.
 *
 * Return: the number, or CF_CPU_NONE: all are taken; the thread can use every
 *         call all the same, without caches.
 */
unsigned cf_host_enter(void);

/**
 * cf_host_leave() - give the number up.
 * @map: whose caches the thread empties first, or NULL; call cf_drain_cpu()
 *       for further maps before
 */
void cf_host_leave(struct cf_map *map);

/**
 * cf_host_set_cpus() - hand out numbers below @cpus only.
 * @cpus: 1..CF_CPUS_MAX, which is what it is at start
 *
 * cf_host_map_create() does this; while such a map lives the limit only
 * falls. Return: 0, -CF_EINVAL, or -CF_EBUSY: a number not below @cpus is
 * taken.
 */
int cf_host_set_cpus(unsigned cpus) CF_MUST_CHECK;

/**
 * cf_host_fenced() - must caches be fenced here?
 *
 * What to put in cf_map_config.fenced: true where the kernel has no private
 * expedited membarrier(2), and under ThreadSanitizer, which cannot see it.
 */
bool cf_host_fenced(void);

/** cf_host_set_fenced() - pretend that there is no barrier. Before any map. */
void cf_host_set_fenced(bool fenced);

/**
 * cf_host_map_create() - a map with storage of its own.
 * @memory:  where its frames are; has no map yet
 * @config:  as for cf_map_create(); machine, fenced (if needed here) and
 *           debug_pagealloc are filled in; last 0: that of @memory
 * @ret_map: the map
 *
 * Limits the numbers of contexts to config->cpus while any map lives. Pair
 * with cf_host_map_destroy().
 *
 * Return:  0, or with nothing changed:
 *          -CF_EINVAL  @config can never be right
 *          -CF_EBUSY   @memory has a map, or a thread has a number that is
 *                      not below config->cpus
 *          -CF_ENOMEM  no memory for the map
 */
int cf_host_map_create(struct cf_host_memory *memory,
		       const struct cf_map_config *config,
		       struct cf_map **ret_map) CF_MUST_CHECK;

/**
 * cf_host_map_destroy() - end a map cf_host_map_create() made.
 * Return: 0, or -CF_EBUSY with the map as it was: blocks remain.
 */
int cf_host_map_destroy(struct cf_map *map) CF_MUST_CHECK;

/**
 * cf_host_wait_signal() - wait for a cf_port_signal().
 * @timeout_ms: at most so long; 0: only look
 *
 * A signal that came since the last wait counts, so that none is lost
 * between looking at what it is about and waiting. For one waiter a memory.
 *
 * Return: true: at least one signal came; false: time is up.
 */
bool cf_host_wait_signal(struct cf_host_memory *memory, unsigned timeout_ms);

/* What cf_host_on_panic() installs. Returning from it aborts the process. */
typedef void (*cf_host_panic_fn)(const char *expression, const char *file,
				 int line, uint64_t value, uint64_t other);

/** cf_host_on_panic() - call @hook after the message. NULL: none. */
void cf_host_on_panic(cf_host_panic_fn hook);

/**
 * cf_host_fault_arm() - make one call to the port fail.
 * @call: which
 * @nth:  the how manieth from now; 0: none, only count
 *
 * Only while no other call on this memory runs. Goes on counting until
 * cf_host_fault_disarm(). A sweep arms 1, 2, 3, ... and ends when the
 * operation under test made fewer calls than that.
 */
void cf_host_fault_arm(struct cf_host_memory *memory, enum cf_host_call call,
		       uint64_t nth);
void cf_host_fault_disarm(struct cf_host_memory *memory);

/** cf_host_fault_calls() - how many such calls there were since armed. */
uint64_t cf_host_fault_calls(struct cf_host_memory *memory,
			     enum cf_host_call call);

#ifdef __cplusplus
}
#endif
#endif
