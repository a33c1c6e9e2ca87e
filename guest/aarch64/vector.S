/* SPDX-License-Identifier: MIT */
/*
 * Exceptions, interrupts and the change from one thread to another.
 */

#define FRAME_BYTES	816		/* struct trap */
#define FRAME_FLOAT	288
#define CPU_TRAP_STACK	16		/* struct cpu: third word */

	.text

	.macro	ENTRY kind
	.balign	0x80
	sub	sp, sp, #FRAME_BYTES
	stp	x0, x1, [sp]
	mov	x0, #\kind
	b	common
	.endm

	.balign	0x800
	.globl	vectors
vectors:
	.irp	group, 0, 1, 2, 3
	ENTRY	0			/* synchronous */
	ENTRY	1			/* interrupt */
	ENTRY	2
	ENTRY	3
	.endr

common:
	stp	x2, x3, [sp, #16]
	stp	x4, x5, [sp, #32]
	stp	x6, x7, [sp, #48]
	stp	x8, x9, [sp, #64]
	stp	x10, x11, [sp, #80]
	stp	x12, x13, [sp, #96]
	stp	x14, x15, [sp, #112]
	stp	x16, x17, [sp, #128]
	stp	x18, x19, [sp, #144]
	stp	x20, x21, [sp, #160]
	stp	x22, x23, [sp, #176]
	stp	x24, x25, [sp, #192]
	stp	x26, x27, [sp, #208]
	stp	x28, x29, [sp, #224]
	mrs	x1, elr_el1
	stp	x30, x1, [sp, #240]
	mrs	x1, spsr_el1
	mrs	x2, sp_el0
	stp	x1, x2, [sp, #256]
	mrs	x1, fpsr
	mrs	x2, fpcr
	stp	x1, x2, [sp, #272]
	stp	q0, q1, [sp, #FRAME_FLOAT]
	stp	q2, q3, [sp, #FRAME_FLOAT + 32]
	stp	q4, q5, [sp, #FRAME_FLOAT + 64]
	stp	q6, q7, [sp, #FRAME_FLOAT + 96]
	stp	q8, q9, [sp, #FRAME_FLOAT + 128]
	stp	q10, q11, [sp, #FRAME_FLOAT + 160]
	stp	q12, q13, [sp, #FRAME_FLOAT + 192]
	stp	q14, q15, [sp, #FRAME_FLOAT + 224]
	stp	q16, q17, [sp, #FRAME_FLOAT + 256]
	stp	q18, q19, [sp, #FRAME_FLOAT + 288]
	stp	q20, q21, [sp, #FRAME_FLOAT + 320]
	stp	q22, q23, [sp, #FRAME_FLOAT + 352]
	stp	q24, q25, [sp, #FRAME_FLOAT + 384]
	stp	q26, q27, [sp, #FRAME_FLOAT + 416]
	stp	q28, q29, [sp, #FRAME_FLOAT + 448]
	stp	q30, q31, [sp, #FRAME_FLOAT + 480]
	mov	x1, sp
	bl	arch_trap
	ldp	q0, q1, [sp, #FRAME_FLOAT]
	ldp	q2, q3, [sp, #FRAME_FLOAT + 32]
	ldp	q4, q5, [sp, #FRAME_FLOAT + 64]
	ldp	q6, q7, [sp, #FRAME_FLOAT + 96]
	ldp	q8, q9, [sp, #FRAME_FLOAT + 128]
	ldp	q10, q11, [sp, #FRAME_FLOAT + 160]
	ldp	q12, q13, [sp, #FRAME_FLOAT + 192]
	ldp	q14, q15, [sp, #FRAME_FLOAT + 224]
	ldp	q16, q17, [sp, #FRAME_FLOAT + 256]
	ldp	q18, q19, [sp, #FRAME_FLOAT + 288]
	ldp	q20, q21, [sp, #FRAME_FLOAT + 320]
	ldp	q22, q23, [sp, #FRAME_FLOAT + 352]
	ldp	q24, q25, [sp, #FRAME_FLOAT + 384]
	ldp	q26, q27, [sp, #FRAME_FLOAT + 416]
	ldp	q28, q29, [sp, #FRAME_FLOAT + 448]
	ldp	q30, q31, [sp, #FRAME_FLOAT + 480]
	ldp	x1, x2, [sp, #272]
	msr	fpsr, x1
	msr	fpcr, x2
	ldp	x1, x2, [sp, #256]
	msr	spsr_el1, x1
	ldp	x30, x1, [sp, #240]
	msr	elr_el1, x1
	ldp	x28, x29, [sp, #224]
	ldp	x26, x27, [sp, #208]
	ldp	x24, x25, [sp, #192]
	ldp	x22, x23, [sp, #176]
	ldp	x20, x21, [sp, #160]
	ldp	x18, x19, [sp, #144]
	ldp	x16, x17, [sp, #128]
	ldp	x14, x15, [sp, #112]
	ldp	x12, x13, [sp, #96]
	ldp	x10, x11, [sp, #80]
	ldp	x8, x9, [sp, #64]
	ldp	x6, x7, [sp, #48]
	ldp	x4, x5, [sp, #32]
	ldp	x2, x3, [sp, #16]
	ldp	x0, x1, [sp]
	add	sp, sp, #FRAME_BYTES
	eret

/* void arch_switch(uintptr_t *from, uintptr_t to): stacks of two threads */
	.globl	arch_switch
arch_switch:
	sub	sp, sp, #160
	stp	x19, x20, [sp]
	stp	x21, x22, [sp, #16]
	stp	x23, x24, [sp, #32]
	stp	x25, x26, [sp, #48]
	stp	x27, x28, [sp, #64]
	stp	x29, x30, [sp, #80]
	stp	d8, d9, [sp, #96]
	stp	d10, d11, [sp, #112]
	stp	d12, d13, [sp, #128]
	stp	d14, d15, [sp, #144]
	mov	x2, sp
	str	x2, [x0]
	mov	sp, x1
	ldp	x19, x20, [sp]
	ldp	x21, x22, [sp, #16]
	ldp	x23, x24, [sp, #32]
	ldp	x25, x26, [sp, #48]
	ldp	x27, x28, [sp, #64]
	ldp	x29, x30, [sp, #80]
	ldp	d8, d9, [sp, #96]
	ldp	d10, d11, [sp, #112]
	ldp	d12, d13, [sp, #128]
	ldp	d14, d15, [sp, #144]
	add	sp, sp, #160
	ret

/* A thread's first return comes here; its function waits in x19. */
	.globl	arch_thread_begin
arch_thread_begin:
	mov	x29, #0
	mov	x30, #0
	blr	x19
	brk	#1

/* int arch_save(struct arch_saved *saved): returns 0, and again from resume */
	.globl	arch_save
arch_save:
	stp	x19, x20, [x0]
	stp	x21, x22, [x0, #16]
	stp	x23, x24, [x0, #32]
	stp	x25, x26, [x0, #48]
	stp	x27, x28, [x0, #64]
	stp	x29, x30, [x0, #80]
	stp	d8, d9, [x0, #96]
	stp	d10, d11, [x0, #112]
	stp	d12, d13, [x0, #128]
	stp	d14, d15, [x0, #144]
	mov	x2, sp
	str	x2, [x0, #160]
	mov	x0, #0
	ret

/* noreturn void arch_resume(const struct arch_saved *saved, int value) */
	.globl	arch_resume
arch_resume:
	ldp	x19, x20, [x0]
	ldp	x21, x22, [x0, #16]
	ldp	x23, x24, [x0, #32]
	ldp	x25, x26, [x0, #48]
	ldp	x27, x28, [x0, #64]
	ldp	x29, x30, [x0, #80]
	ldp	d8, d9, [x0, #96]
	ldp	d10, d11, [x0, #112]
	ldp	d12, d13, [x0, #128]
	ldp	d14, d15, [x0, #144]
	ldr	x2, [x0, #160]
	mov	sp, x2
	mov	w0, w1
	ret

/*
 * noreturn void arch_run_on(uintptr_t stack, void (*fn)(void)): as a thread,
 * with the stack of exceptions empty.
 */
	.globl	arch_run_on
arch_run_on:
	mrs	x2, tpidr_el1
	ldr	x2, [x2, #CPU_TRAP_STACK]
	msr	spsel, #1
	mov	sp, x2
	msr	spsel, #0
	mov	sp, x0
	mov	x29, #0
	blr	x1
	brk	#1

	.section .note.GNU-stack, "", @progbits
