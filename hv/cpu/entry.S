/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the loader jumps to on the boot CPU: hv_entry(RDI = handoff), in the state that
 * boot/handoff.h describes. Takes its own stack, which grows down towards the unmapped page that
 * linker.ld leaves below bss, and calls hv_main, which does not return.
 */

#define BOOT_STACK_SIZE 0x8000

	.section .bss.boot_stack, "aw", @nobits
	.balign 4096
	.globl hv_boot_stack
hv_boot_stack:
	.skip BOOT_STACK_SIZE
	.globl hv_boot_stack_top
hv_boot_stack_top:

	.section .text.entry, "ax", @progbits
	.globl hv_entry
	.type hv_entry, @function
hv_entry:
	cli
	cld
	movq $hv_boot_stack_top, %rsp
	xorl %ebp, %ebp		/* ends the chain of frame pointers */
	call hv_main
stopped:
	cli
	hlt
	jmp stopped
	.size hv_entry, . - hv_entry

	.section .note.GNU-stack, "", @progbits
