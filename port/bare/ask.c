/* SPDX-License-Identifier: MIT */

/* What the kernel is asked, as it stands. */

#include "bare.h"

void cf_port_panic(const char *expression, const char *file, int line,
		   uint64_t value, uint64_t other)
{
	cf_bare_panic(expression, file, line, value, other);
}

int cf_port_barrier_all(void)
{
	return cf_bare_barrier();
}
