/* SPDX-License-Identifier: MIT */
#ifndef COLDFRAME_SELECT_H
#define COLDFRAME_SELECT_H

#include "common.h"

/* Which blocks a command is about: those of the command line, zone, node. */
struct select {
	struct lx_ranges ranges;	/* frames; none: all */
	enum lx_block_zone zone;	/* LX_ZONE_UNKNOWN: any */
	int node;			/* LX_NODE_UNKNOWN: any */
};

#define SELECT_LETTERS "z:N:"
#define SELECT_OPTIONS							\
	{ "zone", required_argument, NULL, 'z' },			\
	{ "node", required_argument, NULL, 'N' }

#define SELECT_HELP							\
"  -z, --zone ZONE     only blocks of a zone such as Normal or Movable\n" \
"  -N, --node NODE     only blocks of a node\n"

/**
 * select_option() - take one of the options above.
 * Return: -1: not one of them; 0; or an exit status.
 */
int select_option(struct select *select, const char *command, int option,
		  const char *value);

/**
 * select_parse() - the frames that an argument names.
 * @text: 7, 32-199     blocks
 *        0xA-0xB       addresses, both included; 0xA: the frame there
 *        pfn:N, pfn:N+COUNT, pfn:FIRST,LAST
 *
 * Return: 0, -LX_EFORMAT: it is none of these; -LX_EMISSING: there is no such
 *         memory.
 */
int select_parse(const struct lx_host *host, const char *text,
		 struct lx_range *ret_range, struct lx_error *err);

/*
 * select_add() - the same for all arguments of a command, which it adds up.
 * @ret_missing: how many name no memory; that is said on stderr
 */
int select_add(struct select *select, const struct lx_host *host, char **text,
	       size_t *ret_missing, struct lx_error *err);
void select_free(struct select *select);

bool select_has(const struct select *select, const struct lx_host *host,
		const struct lx_block *block);

#endif
