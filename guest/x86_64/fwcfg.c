/* SPDX-License-Identifier: MIT */

/* QEMU's files: -fw_cfg, by ports. */

#include "guest/include/guest.h"
#include "guest/kernel.h"

#define SELECT		0x510
#define DATA		0x511

void arch_file_select(unsigned key)
{
	out16(SELECT, (uint16_t)key);
}

uint8_t arch_file_byte(void)
{
	return in8(DATA);
}
