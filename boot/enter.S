/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last instructions of the loader. They run in the 1:1 mapping, which the firmware's tables
 * and ours share, so the switch between the two falls between two instructions.
 *
 * void boot_enter(uint64_t cr3, uint64_t entry, uint64_t handoff), System V convention.
 */

#define CR0_WP (1 << 16)
/*
 * CR4 without PGE and without the bits above 15, which firmware may have set and nothing here is
 * prepared for: CET, PKS, LASS, FRED and others. The rest of them come back as they are used.
 */
#define CR4_KEPT 0xff7f

	.text
	.globl boot_enter
	.type boot_enter, @function
boot_enter:
	cli
	cld
	movq %cr4, %rax
	andl $CR4_KEPT, %eax	/* drops global translations of the firmware too */
	movq %rax, %cr4
	movq %rdi, %cr3
	movq %cr0, %rax
	orq $CR0_WP, %rax	/* read-only segments are read-only for us as well */
	movq %rax, %cr0
	movq %rdx, %rdi
	jmp *%rsi
	.size boot_enter, . - boot_enter

	.section .note.GNU-stack, "", @progbits
