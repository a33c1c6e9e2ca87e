/* SPDX-License-Identifier: MIT */
#ifndef COLDFRAME_WHY_H
#define COLDFRAME_WHY_H

#include "linux/pins.h"
#include "survey.h"

/* What is known of who has the frames of a class. */
struct hint {
	enum lx_confidence confidence;
	char text[200];
};

/*
 * Hints about the owners of a range.  Each list stays empty when the host
 * does not tell.
 */
struct hints {
	struct lx_owners mapped;	/* processes that map its frames */
	struct lx_owners cgroups;	/* groups that are charged for them */
	struct lx_owners locked;	/* processes with locked memory */
	struct lx_owners pinned;	/* with pinned memory */
	struct lx_owners holders;	/* that have open what pins memory */
	struct lx_owners slabs;		/* caches of the whole host */
	struct lx_owners tables;	/* processes with page tables */
	struct lx_owners callers;	/* of vmalloc() */
};

/* What to mark a frame of a class with in struct lx_asked. */
unsigned int hints_mark(enum lx_class class);

/* Of the frames a process has, those that are in doubt. */
uint64_t hints_doubtful(const struct lx_owner *owner);

/*
 * hints_read() - ask the host about the owners of frames.
 * @asked: marked by hints_mark()
 * @piece: what the frames are: look no further than to say what is in the way
 *         of these; NULL: as far as can be
 */
void hints_read(struct hints *hints, const char *root,
		const struct lx_asked *asked, const struct lx_piece *piece);
void hints_free(struct hints *hints);

/* What to say of a class. */
void hints_of(const struct hints *hints, const struct lx_host *host,
	      enum lx_class class, const struct lx_piece *piece,
	      struct hint *ret_hint);

#endif
