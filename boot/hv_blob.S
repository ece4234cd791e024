/* SPDX-License-Identifier: Apache-2.0 */
/* The hypervisor's ELF file, carried inside the loader. The Makefile names it in HV_BLOB. */

	.section .rodata
	.globl hv_blob_start
	.globl hv_blob_end
	.balign 16
hv_blob_start:
	.incbin HV_BLOB
hv_blob_end:

	.section .note.GNU-stack, "", @progbits
