/* SPDX-License-Identifier: MIT */
#ifndef PORT_BARE_CONTEXT_H
#define PORT_BARE_CONTEXT_H

#include "bare.h"

/* All contexts there are; NULL: a free slot. */
extern struct cf_bare_context *volatile bare_context[CF_BARE_CONTEXTS_MAX];

#endif
