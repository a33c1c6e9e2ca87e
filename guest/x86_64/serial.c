/* SPDX-License-Identifier: MIT */

/* The console, COM1, and the way out. */

#include "guest/kernel.h"

#define COM1		0x3f8
#define LINE_STATUS	(COM1 + 5)
#define CAN_SEND	0x20
#define HAS_BYTE	0x01
#define DEBUG_EXIT	0xf4		/* isa-debug-exit: v becomes 2v + 1 */

void arch_console_init(void)
{
	out8(COM1 + 1, 0);		/* no interrupts */
	out8(COM1 + 3, 0x80);
	out8(COM1, 1);			/* 115200 */
	out8(COM1 + 1, 0);
	out8(COM1 + 3, 3);		/* 8 bits */
	out8(COM1 + 2, 7);		/* queues, emptied */
	out8(COM1 + 4, 3);
}

void arch_put(char byte)
{
	while (!(in8(LINE_STATUS) & CAN_SEND))
		arch_pause();
	out8(COM1, (uint8_t)byte);
}

int arch_get(void)
{
	return in8(LINE_STATUS) & HAS_BYTE ? in8(COM1) : -1;
}

/* 33 stands for 0, so that no failure of QEMU's own looks like success. */
void arch_exit(int status)
{
	out32(DEBUG_EXIT, status ? 0x20u + (uint32_t)(status & 31) : 0x10u);
	for (;;)
		__asm__ volatile("cli; hlt");
}
