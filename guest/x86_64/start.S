/* SPDX-License-Identifier: MIT */
/*
 * From the PVH entry, and from a CPU's start-up interrupt, to 64-bit C.
 *
 * Both come to long_mode with paging off: the first CPU from QEMU's loader,
 * the others by way of the trampoline, which is copied below 1 MiB.
 */

#define CR4_BITS	0x620		/* PAE, OSFXSR, OSXMMEXCPT */
#define CR0_SET		0x80010003	/* PG, WP, MP, PE */
#define CR0_CLEAR	0x0000000c	/* EM, TS */
#define MSR_EFER	0xc0000080
#define EFER_BITS	0x900		/* NXE, LME */
#define TRAMPOLINE	0x8000

	.section .note.Xen, "a", @note
	.align	4
	.long	4, 4, 18		/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz	"Xen"
	.long	start

	.section .text.start, "ax"
	.code32
	.globl	start
start:
	cld
	cli
	movl	$first_stack_end, %esp
	movl	%ebx, %edi
	xorl	%esi, %esi
	jmp	long_mode

/* A CPU that was woken: no start info, and a stack that awaits it. */
other:
	xorl	%edi, %edi
	movl	$1, %esi

long_mode:
	movl	%cr4, %eax
	orl	$CR4_BITS, %eax
	movl	%eax, %cr4
	movl	$root_table, %eax
	movl	%eax, %cr3
	movl	$MSR_EFER, %ecx
	rdmsr
	orl	$EFER_BITS, %eax
	wrmsr
	movl	%cr0, %eax
	andl	$~CR0_CLEAR, %eax
	orl	$CR0_SET, %eax
	movl	%eax, %cr0
	lgdt	start_gdt_pointer
	ljmp	$8, $start64

	.code64
start64:
	movl	$16, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	xorl	%eax, %eax
	movl	%eax, %fs
	movl	%eax, %gs
	xorl	%ebp, %ebp
	testl	%esi, %esi
	jnz	1f
	movl	%edi, %edi		/* upper half: zero */
	call	arch_first
	ud2
1:	movq	other_stack, %rsp
	call	arch_other
	ud2

	.section .rodata
	.align	8
start_gdt:
	.quad	0
	.quad	0x00af9a000000ffff	/* 8: code, 64 bits */
	.quad	0x00cf92000000ffff	/* 16: data */
	.quad	0x00cf9a000000ffff	/* 24: code, 32 bits */
start_gdt_end:
start_gdt_pointer:
	.word	start_gdt_end - start_gdt - 1
	.quad	start_gdt

/* Copied to TRAMPOLINE; addresses inside are reckoned from there. */
	.globl	trampoline, trampoline_end
trampoline:
	.code16
	cli
	xorw	%ax, %ax
	movw	%ax, %ds
	lgdtl	TRAMPOLINE + trampoline_gdt_pointer - trampoline
	movl	%cr0, %eax
	orl	$1, %eax
	movl	%eax, %cr0
	ljmpl	$24, $(TRAMPOLINE + trampoline32 - trampoline)
	.code32
trampoline32:
	movl	$16, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	$other, %eax
	jmp	*%eax
trampoline_gdt_pointer:
	.word	start_gdt_end - start_gdt - 1
	.long	start_gdt
trampoline_end:

/* The first 4 GiB, mapped as they are. */
	.section .data.persist, "aw"
	.align	4096
	.globl	root_table
root_table:
	.quad	pointers + 3
	.fill	511, 8, 0
pointers:
	.quad	middle + 3, middle + 0x1003, middle + 0x2003, middle + 0x3003
	.fill	508, 8, 0
middle:
	.set	at, 0
	.rept	2048
	.quad	at + 0x83
	.set	at, at + 0x200000
	.endr

	.section .bss.persist, "aw", @nobits
	.align	4096
	.skip	16384
first_stack_end:
	.globl	other_stack
other_stack:
	.skip	8

	.section .note.GNU-stack, "", @progbits
