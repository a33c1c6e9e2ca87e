/* SPDX-License-Identifier: MIT */
/*
 * The asymmetric barrier: membarrier(2), private and expedited.  It makes
 * every thread of the process that runs execute a full barrier, so that who
 * enters a cache need not.
 */
#define _GNU_SOURCE
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "internal.h"

static pthread_once_t registered_once = PTHREAD_ONCE_INIT;
static bool registered;		/* constant after registered_once */
static bool pretend_fenced;	/* set before any map */

static void barrier_register(void)
{
	registered = !HOST_TSAN &&
		     syscall(SYS_membarrier,
			     MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0,
			     0) == 0;
}

void cf_host_set_fenced(bool fenced)
{
	pretend_fenced = fenced;
}

bool cf_host_fenced(void)
{
	(void)pthread_once(&registered_once, barrier_register);
	return pretend_fenced || !registered;
}

int cf_port_barrier_all(void)
{
	if (cf_host_fenced())
		return -CF_EPORT;
	return syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0,
		       0) ? -CF_EPORT : 0;
}
