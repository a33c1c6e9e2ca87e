/* SPDX-License-Identifier: MIT */
#ifndef GUEST_KERNEL_H
#define GUEST_KERNEL_H

/*
 * The inside of the guest: a machine of a few CPUs, one address space, and
 * threads that give their CPU up at waits. docs/guest.md has the picture.
 *
 * One lock, the kernel's, guards all of it. A fault that comes while it is
 * held on this CPU goes on under it, so that what is guarded may lie in
 * memory that has no page yet.
 */

#include "guest/arch.h"
#include "port/bare/bare.h"

#define PAGE_BYTES	4096ul
#define CPUS_MAX	8
#define THREADS_MAX	48
#define STACK_BYTES	(256ul << 10)

/*
 * Variables that a copy made by fork() shares with what it is a copy of. The
 * fault handler and all it calls write to no others.
 */
#define SHARED		__attribute__((section(".bss.persist")))

/* ---- CPUs (cpu.c, arch.c) ---- */

/*
 * Field key: (C) constant once it runs, (P) written by this CPU only, (A) any.
 */
struct cpu {
	struct cf_bare_context *context;	/* (P) first: see bare.h */
	struct cpu *self;		/* (C) second: see arch_this_cpu() */
	uintptr_t trap_stack;		/* (C) third: of exceptions, if the
					 * processor does not know it */
	struct cf_bare_context interrupt;	/* (P) of handlers */
	struct thread *thread;		/* (P) what it runs */
	struct thread *idle;		/* (C) */
	unsigned number;		/* (C) */
	unsigned kernel_depth;		/* (P) times it holds the lock */
	unsigned fault_depth;		/* (P) */
	volatile bool running;		/* (P) */
	volatile bool flush;		/* (A) its translations are stale */
	volatile bool sleeping;		/* (A) under the kernel's lock */
	volatile bool resting;		/* (P) halted: see cpu_rest() */
	volatile uint64_t begun;	/* (P) answers it began ... */
	volatile uint64_t answered;	/* (P) ... and the last it gave */
	struct arch_cpu arch;
};

extern struct cpu cpus[CPUS_MAX];
extern unsigned cpus_count;

static inline struct cpu *this_cpu(void)
{
	return arch_this_cpu();
}

/* Interrupts off, and the lock; the same lock may be taken again. */
unsigned long kernel_enter(void);
void kernel_leave(unsigned long state);

/* The lock is this CPU's, whoever had it: all others stand still. */
void kernel_hold(void);

/* Answer other CPUs; to be called in waits with interrupts off. */
void cpu_poll(void);

/*
 * Interrupts off. Between the two a CPU does nothing but wait for an interrupt,
 * and need not be asked. cpu_wake() comes first in what interrupts it.
 */
void cpu_rest(void);
void cpu_wake(void);

/* The interrupt by which cpu_sync() asks. */
void cpu_served(void);

/* Every other CPU has passed a full fence, and dropped its translations. */
void cpu_sync(bool flush);

/* All other CPUs stand still, and go on. Caller holds the kernel's lock. */
void cpu_park(void);
void cpu_unpark(void);

/* ---- what the processor's folder brings ---- */

void arch_cpu_init(struct cpu *cpu);	/* tables of the running CPU */
void arch_cpus_start(void);		/* all others */
void arch_interrupt(const struct cpu *cpu);	/* one, for cpu_served() */
void arch_set_tls(uintptr_t pointer);
/* @bytes of variables below @top: where they are, and what leads there. */
char *arch_tls_begin(char *top, size_t bytes);
uintptr_t arch_tls_pointer(char *top, size_t bytes);
void arch_say_trap(const struct trap *trap);
uintptr_t arch_thread_stack(uintptr_t top, void (*begin)(void));
/* Interrupts on and wait for one, or for a time; off again. */
void arch_idle(uint64_t until_ns);
void arch_console_init(void);
void arch_put(char byte);
int arch_get(void);			/* or -1: nothing came */
_Noreturn void arch_exit(int status);
void arch_file_select(unsigned key);	/* of -fw_cfg */
uint8_t arch_file_byte(void);
void arch_file_access(uint64_t request);	/* physical: QEMU does it */

/* Write a file of QEMU's that can be. False: there is none. */
bool file_write(const char *name, const void *bytes, uint32_t count);

/* How page tables look, for readers of dumps. */
extern const char arch_tables_name[];
uint64_t arch_now_ns(void);

/* ---- where things are (boot.c) ---- */

#define MEMORY_MAX	16
#define COMMAND_BYTES	1024

struct memory {
	uint64_t first, last;	/* bytes, half open, whole pages */
};

struct boot {
	struct memory memory[MEMORY_MAX];	/* that can be used */
	unsigned memories;
	char command[COMMAND_BYTES];	/* the command line */
	uint64_t acpi;			/* address of its root pointer, or 0 */
	uint64_t ecam;			/* PCI's memory, or 0 */
};

extern struct boot boot;

_Noreturn void boot_go_on(void);
void boot_memory_add(uint64_t first, uint64_t bytes);

/* The value of "name=value" in the command line; false: not there. */
bool boot_option(const char *name, char *value, size_t bytes);

/* ---- pages (page.c) ---- */

/* Physical pages, by address, which is where they are mapped. 0: none. */
uint64_t page_alloc(void);		/* zeroed */
void page_free(uint64_t page);
uint64_t pages_free(void);

/* Memory in one piece that nobody has had, for good; 0: none. */
uint64_t page_take_top(uint64_t bytes, uint64_t align);

/* What lies from there on is for others; nobody has had it yet. */
void page_reserve(uint64_t first);

/* Everything allocated from here on, and freed, is undone at the end. */
void page_begin_copy(void);
void page_end_copy(void);

/* ---- the address space (space.c) ---- */

/* Page table entry of an address; NULL: none, and none was wanted. */
uint64_t *space_entry(uintptr_t address, bool make);
void space_init(void);

/* Map what lies beyond the first 4 GiB where it is, 2 MiB at a time. */
bool space_map_direct(uint64_t first, uint64_t last, bool device);

/* Is the fault one of a page that was not there yet, and is it now? */
bool space_fault(uintptr_t address, bool write);

/* What mmap(), munmap(), mprotect() and madvise() are made of. */
void *space_add(size_t bytes, bool access);

/* A whole area, its beginning or its end; false: something else. */
bool space_remove(uintptr_t first, uintptr_t last);

void space_protect(uintptr_t first, uintptr_t last, bool access);
void space_discard(uintptr_t first, uintptr_t last);
bool space_populate(uintptr_t first, uintptr_t last);
size_t space_bytes(const void *address);

/*
 * Let touches of [first, last) of an area find physical memory, in order.
 * Multiples of 2 MiB, one range only; false: some of it was touched.
 */
bool space_back(uintptr_t first, uintptr_t last, uint64_t physical);

/* The physical address behind one; 0: none now. */
uint64_t space_physical(uintptr_t address);

/* Bytes of memory behind areas. */
uint64_t space_resident(void);
void space_set_resident(uint64_t bytes);	/* at the end of a copy */

/* Call @fn for each entry of what fork() copies: variables and areas. */
void space_each_copied(void (*fn)(uint64_t *entry, void *context),
		       void *context);

/* ---- copies (fork.c) ---- */

/* How a copy ends, as waitpid() says it: an exit status << 8, or a signal. */
#define FORK_ABORT	6
#define FORK_NO_MEMORY	9
#define FORK_FAULT	11
#define FORK_TIME_IS_UP	14

bool fork_runs(void);			/* in a copy? */
int fork_begin(void);			/* 1: parent again; 0: copy; -1 */
_Noreturn void fork_end(int status);	/* of the copy */
int fork_status(void);			/* of the last one that ended */
bool fork_fault(uint64_t *entry);	/* a write to a page to be copied */
void fork_note(uint64_t *entry);	/* before an entry is changed */
void fork_check_time(void);
void fork_set_time(uint64_t until_ns);

/* ---- threads (thread.c) ---- */

struct queue {
	struct thread *first, *last;
};

struct thread {
	struct cf_bare_context context;	/* first */
	uintptr_t stack;		/* while it does not run */
	struct thread *next;		/* in a queue */
	uint64_t wake_ns;		/* of a wait with an end; 0: none */
	struct queue *waits;		/* in which queue */
	void *(*start)(void *argument);
	void *argument, *result;
	void *memory;			/* its stack, and its own variables */
	uintptr_t tls;
	bool used, ended, timed_out;
};

void thread_init_idle(struct cpu *cpu);
_Noreturn void thread_idle(void);
struct thread *thread_self(void);
struct thread *thread_start(void *(*start)(void *argument), void *argument);
void *thread_join(struct thread *thread);
_Noreturn void thread_exit(void *result);
void thread_yield(void);

/* Called at short intervals: let others run when this one ran long enough. */
void thread_checkpoint(void);

/* Caller holds the kernel's lock. False: time is up. */
bool thread_wait(struct queue *queue, uint64_t until_ns);
void thread_wake(struct queue *queue, bool all);
void thread_sleep(uint64_t until_ns);

/* ---- talking (console.c) ---- */

void console_write(const char *text, size_t bytes);

/* Straight out, from any state: "trap %x at %x\n", hexadecimal numbers. */
void console_say(const char *format, ...);
_Noreturn void guest_exit(int status);

/* An exception that nobody expected; the same in a copy ends it. */
_Noreturn void guest_fault(const char *what, const struct trap *trap,
			   uintptr_t address);

/* What the guest runs: main() of a test, or of the scenario. */
int main(int count, char **words);
_Noreturn void guest_end(int status);	/* exit() */

/* ---- devices (irq.c, pci.c) ---- */

/* Call @fn at each interrupt of a vector. False: too many. */
bool interrupt_attach(unsigned vector, void (*fn)(void *context),
		      void *context);
void interrupt_raised(unsigned vector);

/* Wait for one that is not among those @seen, or until then. */
uint64_t interrupt_count(void);
void interrupt_wait(uint64_t seen, uint64_t until_ns);

/* Let the lines through; the vector that all of them raise. */
void arch_intx_init(void);
unsigned arch_intx_vector(void);

/* What a device is to write to raise message @number; its vector, 0: none. */
unsigned arch_message(unsigned number, uint64_t *ret_address,
		      uint32_t *ret_data);

/* Configuration space where there is no ECAM. */
uint32_t arch_pci_read(uint32_t address, unsigned bytes);
void arch_pci_write(uint32_t address, unsigned bytes, uint32_t value);

/* Addresses for a BAR that has none, or 0. */
uint64_t arch_pci_room(uint64_t bytes);

#endif
