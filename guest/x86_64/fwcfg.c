/* SPDX-License-Identifier: MIT */

/* QEMU's files: -fw_cfg, by ports. */

#include "guest/include/guest.h"
#include "guest/kernel.h"

#define SELECT		0x510
#define DATA		0x511
#define ACCESS		0x514		/* two halves, high bytes first */

void arch_file_select(unsigned key)
{
	out16(SELECT, (uint16_t)key);
}

uint8_t arch_file_byte(void)
{
	return in8(DATA);
}

void arch_file_access(uint64_t request)
{
	out32(ACCESS, __builtin_bswap32((uint32_t)(request >> 32)));
	out32(ACCESS + 4, __builtin_bswap32((uint32_t)request));
}

const char arch_tables_name[] = "x86-64";
