/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last instructions of the loader. They run in the 1:1 mapping, which the firmware's tables
 * and ours share, so the switch between the two falls between two instructions.
 *
 * void boot_enter(uint64_t cr3, uint64_t entry, uint64_t handoff), System V convention.
 */

#define CR0_WP (1 << 16)
#define CR4_PGE (1 << 7)

	.text
	.globl boot_enter
	.type boot_enter, @function
boot_enter:
	cli
	cld
	movq %cr4, %rax
	andq $~CR4_PGE, %rax	/* drops global translations of the firmware too */
	movq %rax, %cr4
	movq %rdi, %cr3
	movq %cr0, %rax
	orq $CR0_WP, %rax	/* read-only segments are read-only for us as well */
	movq %rax, %cr0
	movq %rdx, %rdi
	jmp *%rsi
	.size boot_enter, . - boot_enter

	.section .note.GNU-stack, "", @progbits
