/* SPDX-License-Identifier: MIT */

/*
 * Copies: fork() and the end of what it made.
 *
 * There is one address space, so the copy runs in place of its origin and the
 * origin goes on when the copy has ended. When it begins, every page of
 * variables, heap and stacks becomes read-only; a write gives the copy a page
 * of its own. Each page table entry is noted before it changes, so that the
 * end puts all of them back, and pages that were allocated meanwhile are
 * free again. What is SHARED stays as the copy left it.
 *
 * Other CPUs stand still meanwhile, as a forked process has one thread. A copy
 * cannot be copied.
 */

#include "kernel.h"
#include "pte.h"

#define NOTES_PER_PAGE	((PAGE_BYTES - 16) / sizeof(struct note))

/* What an entry was. */
struct note {
	uint64_t *entry;
	uint64_t was;
};

struct notes {
	struct notes *next;
	uint64_t count;
	struct note note[NOTES_PER_PAGE];
};

SHARED static bool running;
SHARED static struct notes *notes;
SHARED static struct arch_saved origin;
SHARED static struct thread *origin_thread;
SHARED static uint64_t origin_resident;
SHARED static int last_status;
SHARED static uint64_t time_is_up_ns;
SHARED _Alignas(16) static uint8_t end_stack[8192];

bool fork_runs(void)
{
	return running;
}

int fork_status(void)
{
	return last_status;
}

void fork_set_time(uint64_t until_ns)
{
	time_is_up_ns = running ? until_ns : 0;
}

void fork_note(uint64_t *entry)
{
	if (!running)
		return;
	if (!notes || notes->count == NOTES_PER_PAGE) {
		struct notes *more = (struct notes *)page_alloc();

		if (!more)
			fork_end(FORK_NO_MEMORY);
		more->next = notes;
		notes = more;
	}
	notes->note[notes->count++] = (struct note){ entry, *entry };
}

bool fork_fault(uint64_t *entry)
{
	const uint64_t *from;
	uint64_t page, *to;
	unsigned i;

	if (!running || !(*entry & PTE_COPY))
		return false;
	page = page_alloc();
	if (!page)
		fork_end(FORK_NO_MEMORY);
	from = (const uint64_t *)(*entry & PTE_ADDRESS);
	to = (uint64_t *)page;
	for (i = 0; i < PAGE_BYTES / sizeof(*to); i++)
		to[i] = from[i];
	fork_note(entry);
	/* What leads elsewhere must not be seen both ways at once. */
	*entry = 0;
	arch_flush();
	*entry = page | PTE_PAGE;
	return true;
}

/* What is not our memory, a device's, cannot be copied and stays writable. */
static void make_copied(uint64_t *entry, void *context)
{
	(void)context;
	if (pte_is_owned(*entry) && pte_writable(*entry))
		*entry = pte_read_only(*entry) | PTE_COPY;
}

static void make_writable(uint64_t *entry, void *context)
{
	(void)context;
	if (*entry & PTE_COPY)
		*entry = pte_read_write(*entry) & ~PTE_COPY;
}

int fork_begin(void)
{
	unsigned long state;

	if (running)
		return -1;
	state = kernel_enter();
	cpu_park();
	origin_thread = thread_self();
	origin_resident = space_resident();
	time_is_up_ns = 0;
	if (arch_save(&origin)) {
		kernel_leave(state);
		return 1;
	}
	running = true;
	notes = NULL;
	page_begin_copy();
	space_each_copied(make_copied, NULL);
	arch_flush();
	kernel_leave(state);
	return 0;
}

/*
 * Back in the origin, on the CPU that made the copy: no other one runs. On a
 * stack that is not part of either, for what lies behind addresses changes.
 * The notes lie in pages that go at the end.
 */
_Noreturn static void finish(void)
{
	struct cpu *cpu = this_cpu();

	while (notes) {
		while (notes->count) {
			const struct note *note = &notes->note[--notes->count];

			*note->entry = note->was;
		}
		notes = notes->next;
	}
	running = false;
	page_end_copy();
	arch_flush();
	space_each_copied(make_writable, NULL);
	space_set_resident(origin_resident);
	arch_flush();
	kernel_hold();
	cpu->fault_depth = 0;
	cpu->thread = origin_thread;
	cpu->context = &origin_thread->context;
	arch_set_tls(origin_thread->tls);
	cpu_unpark();
	arch_resume(&origin, 1);
}

void fork_end(int status)
{
	(void)arch_irq_off();
	last_status = status;
	arch_run_on((uintptr_t)end_stack + sizeof(end_stack), finish);
}

void fork_check_time(void)
{
	if (running && time_is_up_ns && arch_now_ns() >= time_is_up_ns)
		fork_end(FORK_TIME_IS_UP);
}
