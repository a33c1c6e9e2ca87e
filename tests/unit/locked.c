/* SPDX-License-Identifier: MIT */
/*
 * Locked instructions of the fast paths on x86-64, one by one: a child goes
 * through a call step by step, and what it is about to execute is looked at.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/machine.h"

#define STEPS_MOST	10000

static struct cf_request request;
static cf_pfn pfn;

static void pair(void)
{
	if (cf_alloc(m.map, request, &pfn))
		abort();
	if (request.flags & CF_ALLOC_FROZEN)
		cf_free_frozen(m.map, pfn, request.order);
	else
		cf_put(m.map, pfn);
}

static void nothing(void)
{
}

static void get_and_put(void)
{
	if (cf_get(m.map, pfn))
		abort();
	cf_put(m.map, pfn);
}

static void trap(void)
{
	__asm__ volatile("int3" ::: "memory");
}

/* In the child: some to fill the stock, then one between two traps. */
static void play(void (*act)(void))
{
	unsigned i;

	for (i = 0; i < 3; i++)
		act();
	trap();
	act();
	trap();
	_exit(0);
}

static bool is_prefix(unsigned char byte)
{
	return byte == 0x66 || byte == 0xf2 || byte == 0xf3 ||
	       (byte & 0xf0) == 0x40;
}

/* A lock prefix, or an exchange with memory, which needs none. */
static bool is_locked(const unsigned char *code)
{
	while (is_prefix(*code))
		code++;
	return *code == 0xf0 ||
	       ((*code == 0x86 || *code == 0x87) && code[1] < 0xc0);
}

/* Step the child to its next trap.  Locked instructions, or -1. */
static int step_to_trap(pid_t child)
{
	struct user_regs_struct registers;
	unsigned char code[sizeof(long)];
	unsigned steps;
	int locked = 0;
	int status;
	long word;

	for (steps = 0; steps < STEPS_MOST; steps++) {
		if (ptrace(PTRACE_GETREGS, child, NULL, &registers))
			return -1;
		word = ptrace(PTRACE_PEEKTEXT, child, registers.rip, NULL);
		(void)memcpy(code, &word, sizeof(code));
		if (code[0] == 0xcc)
			return locked;
		locked += is_locked(code);
		if (ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) ||
		    waitpid(child, &status, 0) != child ||
		    !WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP)
			return -1;
	}
	return -1;
}

/* How many it takes; -1: it does not stand still. */
static int locked(void (*act)(void))
{
	int count = -1;
	int status;
	pid_t child = fork();

	if (child == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
			_exit(1);
		play(act);
	}
	if (waitpid(child, &status, 0) == child && WIFSTOPPED(status) &&
	    WSTOPSIG(status) == SIGTRAP)
		count = step_to_trap(child);
	(void)kill(child, SIGKILL);
	(void)waitpid(child, &status, 0);
	return count;
}

static void pairs(void)
{
	static const unsigned orders[] = { 0, 1, 4, 8, 9, 10 };
	unsigned i;

	if (!CHECK(machine_make((struct machine_config){ .blocks = 128 })))
		return;
	if (cf_host_fenced() || locked(nothing) < 0) {
		tap_skip_this("no membarrier(2), or no ptrace(2)");
		(void)machine_end();
		return;
	}
	for (i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		request = kernel(orders[i]);
		CHECK_EQ(locked(pair), 1);
		request.flags = CF_ALLOC_FROZEN;
		CHECK_EQ(locked(pair), 1);
	}
	pfn = alloc(kernel(0));
	CHECK_EQ(locked(get_and_put), 2);
	cf_put(m.map, pfn);
	CHECK(machine_end());
}

/* The count sees what is there: each call enters behind a fence. */
static void fenced(void)
{
	if (!CHECK(machine_make((struct machine_config){ .blocks = 128,
							 .fenced = true })))
		return;
	if (locked(nothing) < 0) {
		tap_skip_this("no ptrace(2)");
		(void)machine_end();
		return;
	}
	request = kernel(0);
	CHECK_EQ(locked(pair), 3);
	CHECK(machine_end());
}

int main(void)
{
	tap_run("a pair takes one locked instruction", pairs);
	tap_run("with a fence at each entry there are more", fenced);
	return tap_done();
}
