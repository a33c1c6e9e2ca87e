/* SPDX-License-Identifier: MIT */
#ifndef COLDFRAME_PORT_H
#define COLDFRAME_PORT_H

/*
 * What the library asks of a machine.  These functions are linked, not
 * registered; @machine is the pointer the map was created with.
 *
 * "pre:" is what the library promises at the call, "post:" what the port
 * promises in return.  None of them may call back into the library, but for
 * cf_port_signal(), which may free and put.
 *
 * Contract number: changes when a port that linked before would not, or when
 * a promise changes.
 */
#define CF_PORT_CONTRACT 1

#include <coldframe/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CF_CPU_NONE (~0u)

/*
 * pre: a CF_CHECK failed. post: does not return. Allocates nothing, locks
 * nothing.
 */
__attribute__((noreturn)) void cf_port_panic(const char *expression,
					     const char *file, int line,
					     uint64_t value, uint64_t other);

/*
 * The running execution context's number below the map's cpus, or CF_CPU_NONE
 * for a context that has no caches.
 * pre: preemption is off, or contexts are threads. post: no two contexts that
 * run at one time have the same number.
 */
unsigned cf_port_cpu(void);

/*
 * pre: none. post: no interrupt handler that calls the library runs here until
 * restored.
 */
unsigned long cf_port_irq_off(void);
void cf_port_irq_restore(unsigned long state);

/* pre: the caller has spun @spins times. post: returns soon; may yield. */
void cf_port_relax(unsigned spins);

/*
 * Where a line below says what may be held, locks of drivers (CF_RANK_DRIVER)
 * come on top if the caller of the library holds some; what is called from
 * cf_put() and cf_offline_*() runs inside a read section as well.
 */

/*
 * Read sections.  They nest and never block each other.
 * cf_port_synchronize: pre: not inside a section; may hold RANK_HOTPLUG only.
 * post: every section that was open at the call has been left.
 */
void cf_port_read_lock(void);
void cf_port_read_unlock(void);
void cf_port_synchronize(void);

/*
 * The asymmetric barrier: a full memory barrier on every context that runs.
 * pre: none. post: 0, or nonzero if the port has none; then the map must be
 * created with fenced caches (cf_map_config.fenced).
 */
int cf_port_barrier_all(void);

/*
 * Memory for metadata, for blocks that ask the port for it.
 * pre: may hold RANK_HOTPLUG. post: @bytes aligned to a frame, any contents;
 * or NULL.
 */
void *cf_port_meta_alloc(void *machine, size_t bytes);
void cf_port_meta_free(void *machine, void *memory, size_t bytes);

/*
 * A frame's contents as this context reaches them, or NULL where the machine
 * maps none.  pre: the caller may touch the contents. post: valid for
 * @count frames.
 */
void *cf_port_frame_address(void *machine, cf_pfn pfn, uint64_t count);

/*
 * First exposure of frames the allocator has never had: zero, accept or map
 * them.  pre: [first, last) is OFFLINE and held; no lock is held but HOTPLUG.
 * post: 0, contents may be touched; or nonzero, nothing changed.
 */
int cf_port_first_exposed(void *machine, cf_pfn first, cf_pfn last);

/* Logically offline frames return for a later time. pre, post: as above. */
int cf_port_returned(void *machine, cf_pfn first, cf_pfn last);

/*
 * Called only for maps created with debug_pagealloc: the frames become free
 * (@usable false) or allocated (@usable true).
 * pre: may hold nothing above RANK_LEAF. post: touching unusable frames is
 * caught.
 */
void cf_port_protect(void *machine, cf_pfn first, cf_pfn last, bool usable);

enum cf_signal {
	CF_SIGNAL_CHUNK_EMPTY,	/* @pfn: a chunk some operation waits for is
				 * empty; if a drain emptied several, one of
				 * them, so whoever waits looks again */
	CF_SIGNAL_LOW,		/* @pfn: zone number that fell below its low
				 * watermark */
	CF_SIGNAL_DEVICE_IDLE,	/* @pfn: a run of device memory that is being
				 * removed has come back */
	CF_SIGNAL_COUNT
};

/*
 * Something a waiter may wake for.
 * pre: no lock is held but HOTPLUG; any context, also inside a read section.
 */
void cf_port_signal(void *machine, enum cf_signal what, cf_pfn pfn);

/*
 * Debug builds: the set of lock ranks this context holds. post: same pointer
 * each time.
 */
uint64_t *cf_port_held_ranks(void);

#ifdef __cplusplus
}
#endif
#endif
