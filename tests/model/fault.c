/* SPDX-License-Identifier: MIT */
/*
 * Calls of the port that fail: armed by one operation, for the next one.
 */
#include <string.h>

#include "ops.h"

void fault_arm(struct world *world)
{
	struct fault fault = world->fault;

	(void)fault_forget();
	world->fault.at = 0;
	if (!fault.at)
		return;
	if (fault.lasts)
		test_port_break(fault.call);
	else
		test_port_arm(fault.call, fault.at);
}

void fault_disarm(void)
{
	(void)test_port_disarm();
	(void)fault_forget();
}

bool fault_forget(void)
{
	bool before = test_port.fault_fired;

	test_port.fault_fired = false;
	return before;
}

void fault_remember(bool before)
{
	test_port.fault_fired |= before;
}

bool has_failed(enum test_call call)
{
	return test_port.fault_fired && test_port.fault_call == call;
}

bool any_failed(void)
{
	return test_port.fault_fired;
}

/* Operations that may make each call. */
static const struct {
	const char *name;
	uint32_t calls;
} callers[] = {
#define CALL(name)	(1u << TEST_##name)
	{ "alloc", CALL(FRAME_ADDRESS) | CALL(BARRIER) },
	{ "alloc_range", CALL(FRAME_ADDRESS) | CALL(BARRIER) |
			 CALL(RETURNED) },
	{ "offline_alloc", CALL(BARRIER) },
	{ "offline_alloc_range", CALL(FRAME_ADDRESS) | CALL(BARRIER) |
				 CALL(RETURNED) },
	{ "offline_free", CALL(FIRST_EXPOSED) | CALL(RETURNED) },
	{ "block_add", CALL(META_ALLOC) | CALL(FRAME_ADDRESS) },
	{ "block_online", CALL(FIRST_EXPOSED) },
	{ "block_offline", CALL(FRAME_ADDRESS) | CALL(BARRIER) |
			   CALL(RETURNED) },
	{ "offline_start", CALL(BARRIER) },
	{ "offline_step", CALL(FRAME_ADDRESS) | CALL(BARRIER) |
			  CALL(RETURNED) },
	{ "compact", CALL(FRAME_ADDRESS) | CALL(BARRIER) },
	{ "retire", CALL(BARRIER) },
	{ "device", CALL(META_ALLOC) },
	{ "drain", CALL(BARRIER) },
	{ "side_add", CALL(META_ALLOC) },
	{ "side_extend", CALL(META_ALLOC) },
};

bool fault_fits(const struct world *world, const char *name)
{
	size_t i;

	if (!world->fault.at)
		return true;
	for (i = 0; i < sizeof(callers) / sizeof(callers[0]); i++) {
		if (!strcmp(callers[i].name, name))
			return callers[i].calls >> world->fault.call & 1;
	}
	return false;
}

/* Contents will be asked for and not be there. */
bool is_zeroing_due(const struct world *world)
{
	return world->fault.at && world->fault.call == TEST_FRAME_ADDRESS;
}

static bool apply_fault(struct world *world, const struct op *op)
{
	world->fault = (struct fault){
		(enum test_call)(op->arg[0] % TEST_CALL_COUNT), op->arg[1],
		op->arg[2],
	};
	return true;
}

static bool draw_fault(struct world *world, struct op *op)
{
	(void)world;
	op->arg[0] = random_below(TEST_CALL_COUNT);
	op->arg[1] = 1 + (random_chance(60) ? 0 : random_below(6));
	op->arg[2] = random_chance(15);
	return true;
}

const struct op_type fault_ops[] = {
	{ "fault", { { "call", ARG_CALL }, { "at", ARG_NUMBER },
		     { "lasts", ARG_NUMBER } }, 14, draw_fault, apply_fault },
	{ NULL, { { NULL, ARG_NUMBER } }, 0, NULL, NULL },
};
