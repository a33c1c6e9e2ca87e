/* SPDX-License-Identifier: MIT */
/*
 * Exceptions, interrupts and the change from one thread to another.
 *
 * Every vector pushes its number, after an error code of 0 where the CPU
 * pushes none; the rest is common and becomes a struct trap.
 */

	.text
	.code64

	.align	16
	.globl	vectors
vectors:
	.set	number, 0
	.rept	256
	.align	16
	.if	!(number == 8 || (number >= 10 && number <= 14) || \
		  number == 17 || number == 21 || number == 29 || number == 30)
	pushq	$0
	.endif
	pushq	$number
	jmp	common
	.set	number, number + 1
	.endr

common:
	pushq	%rax
	pushq	%rbx
	pushq	%rcx
	pushq	%rdx
	pushq	%rsi
	pushq	%rdi
	pushq	%rbp
	pushq	%r8
	pushq	%r9
	pushq	%r10
	pushq	%r11
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	cld
	movq	%rsp, %rdi
	movq	%rsp, %rbx
	subq	$512, %rsp
	andq	$-16, %rsp
	fxsave64 (%rsp)
	call	arch_trap
	fxrstor64 (%rsp)
	movq	%rbx, %rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%r11
	popq	%r10
	popq	%r9
	popq	%r8
	popq	%rbp
	popq	%rdi
	popq	%rsi
	popq	%rdx
	popq	%rcx
	popq	%rbx
	popq	%rax
	addq	$16, %rsp
	iretq

/* void arch_switch(uintptr_t *from, uintptr_t to): stacks of two threads */
	.globl	arch_switch
arch_switch:
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	movq	%rsp, (%rdi)
	movq	%rsi, %rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	ret

/* A thread's first return comes here; its function waits in rbx. */
	.globl	arch_thread_begin
arch_thread_begin:
	xorl	%ebp, %ebp
	call	*%rbx
	ud2

/* int arch_save(struct arch_saved *saved): returns 0, and again from resume */
	.globl	arch_save
arch_save:
	movq	%rbx, 0(%rdi)
	movq	%rbp, 8(%rdi)
	movq	%r12, 16(%rdi)
	movq	%r13, 24(%rdi)
	movq	%r14, 32(%rdi)
	movq	%r15, 40(%rdi)
	leaq	8(%rsp), %rax
	movq	%rax, 48(%rdi)
	movq	(%rsp), %rax
	movq	%rax, 56(%rdi)
	xorl	%eax, %eax
	ret

/* noreturn void arch_resume(const struct arch_saved *saved, int value) */
	.globl	arch_resume
arch_resume:
	movl	%esi, %eax
	movq	0(%rdi), %rbx
	movq	8(%rdi), %rbp
	movq	16(%rdi), %r12
	movq	24(%rdi), %r13
	movq	32(%rdi), %r14
	movq	40(%rdi), %r15
	movq	48(%rdi), %rsp
	jmp	*56(%rdi)

/* noreturn void arch_run_on(uintptr_t stack, void (*fn)(void)) */
	.globl	arch_run_on
arch_run_on:
	movq	%rdi, %rsp
	xorl	%ebp, %ebp
	call	*%rsi
	ud2

	.section .note.GNU-stack, "", @progbits
