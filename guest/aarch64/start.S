/* SPDX-License-Identifier: MIT */
/*
 * From QEMU's loader, and from PSCI's CPU_ON, to C: paging on with the first
 * 4 GiB mapped as they are, the lowest one as devices.
 *
 * Threads run on SP_EL0, exceptions on SP_EL1, so that a thread's stack may
 * be memory that comes when it is touched.
 */

#define MAIR		0x00ff		/* 0: memory, written back; 1: device */
#define TCR		0x580803510	/* 48 bits, 4 KiB, shared; no TTBR1 */
#define SCTLR_SET	0x1005		/* I, C, M */
#define BLOCK_MEMORY	0x701		/* AF, shared, attribute 0, block */
#define BLOCK_DEVICE	0x405		/* AF, attribute 1, block */

	.section .text.start, "ax"
	.globl	start
start:
	adrp	x20, first_stack_end
	add	x20, x20, :lo12:first_stack_end
	mov	x21, #0
	b	paging

	.globl	start_other
start_other:
	adrp	x20, other_stack
	add	x20, x20, :lo12:other_stack
	ldr	x20, [x20]
	mov	x21, #1

paging:
	msr	daifset, #15
	msr	spsel, #0
	mov	x0, #(3 << 20)		/* floating point is not trapped */
	msr	cpacr_el1, x0
	mov	x0, #MAIR
	msr	mair_el1, x0
	ldr	x0, =TCR
	msr	tcr_el1, x0
	adrp	x0, root_table
	msr	ttbr0_el1, x0
	dsb	sy
	tlbi	vmalle1
	dsb	sy
	isb
	mrs	x0, sctlr_el1
	ldr	x1, =SCTLR_SET
	orr	x0, x0, x1
	bic	x0, x0, #2		/* no alignment checks */
	msr	sctlr_el1, x0
	isb
	ldr	x0, =vectors
	msr	vbar_el1, x0
	isb
	mov	sp, x20
	mov	x29, #0
	mov	x30, #0
	cbnz	x21, 1f
	bl	arch_first
	brk	#1
1:	bl	arch_other
	brk	#1
	.ltorg

	.section .data.persist, "aw"
	.align	12
	.globl	root_table
root_table:
	.quad	pointers + 3
	.fill	511, 8, 0
pointers:
	.quad	middle + 3, middle + 0x1003, middle + 0x2003, middle + 0x3003
	.fill	508, 8, 0
middle:
	.set	at, 0
	.rept	512
	.quad	at + BLOCK_DEVICE
	.set	at, at + 0x200000
	.endr
	.rept	1536
	.quad	at + BLOCK_MEMORY
	.set	at, at + 0x200000
	.endr

	.section .bss.persist, "aw", @nobits
	.align	12
	.skip	16384
first_stack_end:
	.globl	other_stack
other_stack:
	.skip	8

	.section .note.GNU-stack, "", @progbits
