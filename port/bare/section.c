/* SPDX-License-Identifier: MIT */

/*
 * Read sections: epochs.
 *
 * There is one epoch, which only rises. A context that opens a section writes
 * the epoch it sees into a word of its own, and 0 when it leaves. Who waits
 * raises the epoch, looks at each context once, and waits for those whose
 * word is neither 0 nor the new epoch or a later one: they opened their
 * section before.
 *
 * A fence stands between the write of the word and the first look at what the
 * section protects, and another between unpublishing and the look at the
 * words. So either the one who waits sees the word, or the section sees that
 * nothing is published any more. A section whose word was read as 0 or late
 * has nothing to be waited for.
 *
 * The port writes no locked instruction: the epoch and the table change under
 * a lock of the library's, and each word has one writer.
 */

#include <coldframe/lock.h>

#include "context.h"
#include "cpu.h"

static volatile uint64_t epoch = 1;	/* written under @lock */
static struct cf_lock lock = CF_LOCK_INIT(CF_RANK_LEAF);

/*
 * Only the context itself counts its depth. An interrupt finds the words as
 * they were or as they will be, and opens sections of its own context.
 */
void cf_port_read_lock(void)
{
	struct cf_bare_context *self = cpu_context();

	if (self->sections++)
		return;
	self->epoch = epoch;
	cpu_fence();
}

void cf_port_read_unlock(void)
{
	struct cf_bare_context *self = cpu_context();

	if (--self->sections)
		return;
	/* All of the section before the word that ends it. */
	cpu_fence();
	self->epoch = 0;
}

static bool is_inside(const struct cf_bare_context *context, uint64_t before)
{
	uint64_t seen = context->epoch;

	return seen && seen < before;
}

void cf_port_synchronize(void)
{
	unsigned long state;
	uint64_t mine;
	unsigned i, spins;

	cpu_fence();
	state = cf_lock(&lock);
	mine = epoch + 1;
	epoch = mine;
	cf_unlock(&lock, state);
	cpu_fence();
	for (i = 0; i < CF_BARE_CONTEXTS_MAX; i++) {
		const struct cf_bare_context *context = bare_context[i];

		spins = 0;
		while (context && is_inside(context, mine)) {
			cf_port_relax(spins++);
			context = bare_context[i];
		}
	}
	cpu_fence();
}
