/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses that .S files define; host programs only pass them on or copy what lies there. */
#include "hv/cpu/trap.h"

const char trap_stubs[256 * TRAP_STUB_SIZE];

__asm__(".pushsection .rodata\n"
	".globl ap_trampoline, ap_trampoline_start32, ap_trampoline_start64, ap_trampoline_end\n"
	".globl ap_lost\n"
	"ap_trampoline:\n\t.fill 0x920, 1, 0x90\n"
	"ap_trampoline_start32:\n\t.fill 0x20, 1, 0x90\n"
	"ap_trampoline_start64:\n\t.fill 0x40, 1, 0x90\n"
	"ap_trampoline_end:\n"
	"ap_lost:\n\t.byte 0xf4\n"
	".popsection\n");
