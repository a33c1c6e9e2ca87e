/* SPDX-License-Identifier: MIT */

/* The contexts that may be in read sections. */

#include <coldframe/lock.h>

#include "context.h"

/* Written under @lock; read without, NULL: a free slot. */
struct cf_bare_context *volatile bare_context[CF_BARE_CONTEXTS_MAX];
static struct cf_lock lock = CF_LOCK_INIT(CF_RANK_LEAF);

int cf_bare_context_add(struct cf_bare_context *context)
{
	unsigned long state = cf_lock(&lock);
	int err = -CF_ENOMEM;
	unsigned i;

	for (i = 0; err && i < CF_BARE_CONTEXTS_MAX; i++) {
		if (bare_context[i])
			continue;
		context->slot = i;
		bare_context[i] = context;
		err = 0;
	}
	cf_unlock(&lock, state);
	return err;
}

void cf_bare_context_remove(struct cf_bare_context *context)
{
	unsigned long state = cf_lock(&lock);

	bare_context[context->slot] = NULL;
	cf_unlock(&lock, state);
}
