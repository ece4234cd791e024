/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The setup header that makes a payload a bzImage for any loader of the 64-bit boot protocol
 * (Linux, Documentation/arch/x86/boot.rst). It asks for one fixed place, so that the payload can be
 * linked there and needs no relocation.
 */
	.section .setup, "a"
	.org 0x1f1
	.byte 1				/* setup_sects: 1,024 bytes in all */
	.org 0x1f4
	.long payload_file_paragraphs	/* syssize */
	.org 0x1fe
	.word 0xaa55
	.byte 0xeb, 0x66		/* the header ends at 0x268 */
	.ascii "HdrS"
	.word 0x020f			/* version */
	.org 0x211
	.byte 1				/* loadflags: LOADED_HIGH */
	.org 0x214
	.long payload_start		/* code32_start */
	.org 0x22c
	.long 0x7fffffff		/* initrd_addr_max */
	.long 0x1000			/* kernel_alignment */
	.byte 0				/* not relocatable */
	.org 0x236
	.word 1				/* xloadflags: KERNEL_64 */
	.long 2047			/* cmdline_size */
	.org 0x258
	.quad payload_start		/* pref_address */
	.long payload_memory_size	/* init_size */
	.org 0x400
