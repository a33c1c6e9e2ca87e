/* SPDX-License-Identifier: MIT */
/*
 * How often each operation was done, and what it was told: a model whose
 * operations all fail proves little.
 */
#include <inttypes.h>
#include <stdio.h>

#include "ops.h"

static struct {
	uint64_t drawn, skipped, met;
	uint64_t told[CF_ERR_COUNT];
} stats[OP_TYPES_MAX];

void stats_add(void)
{
	uint32_t i;

	for (i = 0; i < verdict->count && i <= verdict->at; i++) {
		uint16_t code = verdict->op[i].code;
		int err = verdict->told[i].code;

		stats[code].drawn++;
		stats[code].met += verdict->told[i].met;
		if (verdict->told[i].skipped)
			stats[code].skipped++;
		else if (err <= 0 && -err < CF_ERR_COUNT)
			stats[code].told[-err]++;
	}
}

void stats_print(void)
{
	const struct op_type *type;
	uint32_t code;
	int err;

	for (code = 0; (type = op_type(code)); code++) {
		printf("# %-20s %8" PRIu64 " drawn, %" PRIu64 " 0", type->name,
		       stats[code].drawn, stats[code].told[0]);
		for (err = 1; err < CF_ERR_COUNT; err++) {
			if (stats[code].told[err])
				printf(", %" PRIu64 " %s",
				       stats[code].told[err], code_name(-err));
		}
		if (stats[code].met)
			printf(", %" PRIu64 " met a fault", stats[code].met);
		printf("%s\n", stats[code].told[0] ? "" : " - NEVER");
	}
}
