/* SPDX-License-Identifier: Apache-2.0 */
/* Capability MSRs as real and emulated machines report them. */
#pragma once

#include <stdint.h>

#include "hv/cpu/msr.h"
#include "vmx/caps.h"

struct vmx_machine {
	const char *name;
	uint64_t basic, pin, proc, exit, entry; /* 0x480 .. 0x484 */
	uint64_t proc2, ept_vpid;
	uint64_t true_pin, true_proc, true_exit, true_entry;
	uint64_t cr4_fixed1;
};

/* Without "true" MSRs and without EPT. */
static const struct vmx_machine vmx_core2 = {
	.name = "Core 2",
	.basic = 0x5a08000000000d,
	.pin = 0x3f00000016,
	.proc = 0xf7f9fffe0401e172ull,
	.exit = 0x3ffff00036dff,
	.entry = 0x3fff000011ff,
	.proc2 = 0x4100000000,
	.cr4_fixed1 = 0x27ff,
};

/* EPT, VPID, no unrestricted guest: Sandy Bridge's values less what came with Westmere. */
static const struct vmx_machine vmx_nehalem = {
	.name = "Nehalem",
	.basic = 0xda04000000000e,
	.pin = 0x7f00000016,
	.proc = 0xfff9fffe0401e172ull,
	.exit = 0x7fffff00036dff,
	.entry = 0xffff000011ff,
	.proc2 = 0x7f00000000,
	.ept_vpid = 0xf0106114141,
	.true_pin = 0x7f00000016,
	.true_proc = 0xfff9fffe04006172ull,
	.true_exit = 0x7fffff00036dfb,
	.true_entry = 0xffff000011fb,
	.cr4_fixed1 = 0x27ff,
};

/* Unrestricted guest; no INVPCID, no A/D bits, 2 MiB pages at most. */
static const struct vmx_machine vmx_sandy_bridge = {
	.name = "Sandy Bridge",
	.basic = 0xda040000000010,
	.pin = 0x7f00000016,
	.proc = 0xfff9fffe0401e172ull,
	.exit = 0x7fffff00036dff,
	.entry = 0xffff000011ff,
	.proc2 = 0x8ff00000000,
	.ept_vpid = 0xf0106114141,
	.true_pin = 0x7f00000016,
	.true_proc = 0xfff9fffe04006172ull,
	.true_exit = 0x7fffff00036dfb,
	.true_entry = 0xffff000011fb,
	.cr4_fixed1 = 0x1767ff,
};

static const struct vmx_machine vmx_broadwell = {
	.name = "Broadwell",
	.basic = 0xda040000000012,
	.pin = 0x7f00000016,
	.proc = 0xfff9fffe0401e172ull,
	.exit = 0x7fffff00036dff,
	.entry = 0xffff000011ff,
	.proc2 = 0x57cff00000000,
	.ept_vpid = 0xf0106334141,
	.true_pin = 0x7f00000016,
	.true_proc = 0xfff9fffe04006172ull,
	.true_exit = 0x7fffff00036dfb,
	.true_entry = 0xffff000011fb,
	.cr4_fixed1 = 0x3767ff,
};

/* The emulated machine of `tools/run -p bochs-vmx`. */
static const struct vmx_machine vmx_bochs = {
	.name = "Bochs corei7_skylake_x",
	.basic = 0xda04000000002b,
	.pin = 0x7f00000016,
	.proc = 0xfff9fffe0401e172ull,
	.exit = 0x7fffff00036dff,
	.entry = 0xffff000011ff,
	.proc2 = 0x2177fff00000000,
	.ept_vpid = 0xf0106334141,
	.true_pin = 0x7f00000016,
	.true_proc = 0xfff9fffe04006172ull,
	.true_exit = 0x7fffff00036dfb,
	.true_entry = 0xffff000011fb,
	.cr4_fixed1 = 0x3727ff,
};

/* Hands each MSR of `m` to `set`, which makes it exist. */
static inline void vmx_machine_msrs(const struct vmx_machine *m,
				    void (*set)(uint32_t index, uint64_t value))
{
	set(MSR_IA32_FEATURE_CONTROL, 0);
	set(MSR_IA32_VMX_BASIC, m->basic);
	set(MSR_IA32_VMX_PINBASED_CTLS, m->pin);
	set(MSR_IA32_VMX_PROCBASED_CTLS, m->proc);
	set(MSR_IA32_VMX_EXIT_CTLS, m->exit);
	set(MSR_IA32_VMX_ENTRY_CTLS, m->entry);
	set(MSR_IA32_VMX_MISC, 0x7004c1e5);
	set(MSR_IA32_VMX_CR0_FIXED0, 0x80000021);
	set(MSR_IA32_VMX_CR0_FIXED1, 0xffffffff);
	set(MSR_IA32_VMX_CR4_FIXED0, 0x2000);
	set(MSR_IA32_VMX_CR4_FIXED1, m->cr4_fixed1);
	if (m->proc2 != 0) {
		set(MSR_IA32_VMX_PROCBASED_CTLS2, m->proc2);
		set(MSR_IA32_VMX_EPT_VPID_CAP, m->ept_vpid);
	}
	if ((m->basic & VMX_BASIC_TRUE) != 0) {
		set(MSR_IA32_VMX_TRUE_PINBASED_CTLS, m->true_pin);
		set(MSR_IA32_VMX_TRUE_PROCBASED_CTLS, m->true_proc);
		set(MSR_IA32_VMX_TRUE_EXIT_CTLS, m->true_exit);
		set(MSR_IA32_VMX_TRUE_ENTRY_CTLS, m->true_entry);
	}
}
