/* SPDX-License-Identifier: Apache-2.0 */
/* Capability MSRs, judged. */
#include "vmx/caps.h"

#include "hv/base/fmt.h"
#include "hv/cpu/regs.h"

struct control {
	uint32_t bit;
	const char *name; /* as in the manual; NULL: optional */
};

/* One control word: bits with a name are required. `idle` ones must be possible but start at 0. */
struct word {
	const char *name;
	const struct control *controls;
	unsigned count;
	uint32_t idle;
};

static const struct control pin_controls[] = {
	{VMX_PIN_INTERRUPT, "external-interrupt exiting"},
	{VMX_PIN_NMI, "NMI exiting"},
	{VMX_PIN_VIRTUAL_NMI, "virtual NMIs"},
};

static const struct control proc_controls[] = {
	{VMX_PROC_INTERRUPT_WINDOW, "interrupt-window exiting"},
	{VMX_PROC_NMI_WINDOW, "NMI-window exiting"},
	{VMX_PROC_TSC_OFFSET, "TSC offsetting"},
	{VMX_PROC_HLT, "HLT exiting"},
	{VMX_PROC_MWAIT, "MWAIT exiting"},
	{VMX_PROC_RDPMC, "RDPMC exiting"},
	{VMX_PROC_IO_BITMAPS, "I/O bitmaps"},
	{VMX_PROC_MSR_BITMAPS, "MSR bitmaps"},
	{VMX_PROC_MONITOR, "MONITOR exiting"},
	{VMX_PROC_TPR_SHADOW, "TPR shadow"},
	{VMX_PROC_SECONDARY, "secondary controls"},
};

static const struct control proc2_controls[] = {
	{VMX_PROC2_EPT, "extended page tables (EPT)"},
	{VMX_PROC2_UNRESTRICTED, "unrestricted guest"},
	{VMX_PROC2_RDTSCP, NULL},
	{VMX_PROC2_VPID, NULL},
	{VMX_PROC2_PAUSE_LOOP, NULL},
	{VMX_PROC2_INVPCID, NULL},
};

static const struct control exit_controls[] = {
	{VMX_EXIT_SAVE_DEBUG, "save debug controls"},
	{VMX_EXIT_HOST64, "64-bit host"},
	{VMX_EXIT_ACK_INTERRUPT, "acknowledge interrupt on exit"},
	{VMX_EXIT_LOAD_PAT, "load IA32_PAT"},
	{VMX_EXIT_SAVE_EFER, "save IA32_EFER"},
	{VMX_EXIT_LOAD_EFER, "load IA32_EFER"},
};

static const struct control entry_controls[] = {
	{VMX_ENTRY_LOAD_DEBUG, "load debug controls"},
	{VMX_ENTRY_IA32E, "IA-32e mode guest"},
	{VMX_ENTRY_LOAD_PAT, "load IA32_PAT"},
	{VMX_ENTRY_LOAD_EFER, "load IA32_EFER"},
};

static const struct word pin_word = {"pin-based control", pin_controls, ARRAY_SIZE(pin_controls),
				     0};
static const struct word proc_word = {"execution control", proc_controls, ARRAY_SIZE(proc_controls),
				      VMX_PROC_INTERRUPT_WINDOW | VMX_PROC_NMI_WINDOW};
static const struct word proc2_word = {"secondary control", proc2_controls,
				       ARRAY_SIZE(proc2_controls), 0};
static const struct word exit_word = {"VM-exit control", exit_controls, ARRAY_SIZE(exit_controls),
				      0};
static const struct word entry_word = {"VM-entry control", entry_controls,
				       ARRAY_SIZE(entry_controls), VMX_ENTRY_IA32E};

#define WHY_MAX 160u
static char why[WHY_MAX];

/*
 * SDM "Algorithms for Determining VMX Capabilities": the low half of an MSR has a 1 where the
 * control must be 1, the high half a 0 where it must be 0.
 */
static bool build(const struct word *w, uint64_t msr, uint32_t *out)
{
	uint32_t must = (uint32_t)msr;
	uint32_t may = (uint32_t)(msr >> 32);
	uint32_t value = must;

	for (unsigned i = 0; i < w->count; i++) {
		const struct control *c = &w->controls[i];

		if (c->name != NULL && (may & c->bit) == 0) {
			fmt_snprintf(why, sizeof(why), "VT-x of this CPU lacks the %s \"%s\"%s",
				     w->name, c->name,
				     w == &proc2_word ? ": use Intel Westmere (2010) or later"
						      : "");
			return false;
		}
		value |= c->bit & may;
	}
	*out = value & (~w->idle | must);
	return true;
}

static const char *refusal(const struct vmx_facts *f)
{
	uint64_t control = f->feature_control;

	if (!f->vmx) {
		return "this CPU has no VT-x (VMX)";
	}
	if ((control & VMX_FEATURE_LOCKED) != 0 && (control & VMX_FEATURE_VMXON) == 0) {
		return "VT-x is disabled and locked: enable \"Intel Virtualization Technology\" in "
		       "firmware setup";
	}
	if ((f->basic & VMX_BASIC_32BIT) != 0) {
		return "VT-x of this CPU reaches the first 4 GiB only";
	}
	return NULL;
}

static const char *judge_ept(const struct vmx_facts *f, struct vmx_caps *out)
{
	const uint64_t invept = VMX_EPT_INVEPT_SINGLE | VMX_EPT_INVEPT_ALL;

	if ((f->ept_vpid & VMX_EPT_WALK_4) == 0 || (f->ept_vpid & VMX_EPT_WB) == 0) {
		return "EPT of this CPU has no four-level write-back tables";
	}
	if ((f->ept_vpid & VMX_EPT_INVEPT) == 0 || (f->ept_vpid & invept) == 0) {
		return "EPT of this CPU cannot be flushed (INVEPT)";
	}
	out->eptp = VMX_EPTP_WB | VMX_EPTP_WALK_4;
	if ((f->ept_vpid & VMX_EPT_AD) != 0) {
		out->eptp |= VMX_EPTP_AD;
	}
	out->ept_max_level = 1;
	if ((f->ept_vpid & VMX_EPT_2M) != 0) {
		out->ept_max_level = (f->ept_vpid & VMX_EPT_1G) != 0 ? 3 : 2;
	}
	out->invept_single = (f->ept_vpid & VMX_EPT_INVEPT_SINGLE) != 0;
	out->invvpid_single = (f->ept_vpid & VMX_VPID_INVVPID) != 0 &&
			      (f->ept_vpid & VMX_VPID_INVVPID_SINGLE) != 0;
	return NULL;
}

/* The secondary word first: what is missing there says most about the CPU's age. */
static bool build_words(const struct vmx_facts *f, struct vmx_caps *out)
{
	uint64_t proc2 = (f->proc >> 32 & VMX_PROC_SECONDARY) != 0 ? f->proc2 : 0;

	return build(&proc2_word, proc2, &out->proc2) && build(&pin_word, f->pin, &out->pin) &&
	       build(&proc_word, f->proc, &out->proc) && build(&exit_word, f->exit, &out->exit) &&
	       build(&entry_word, f->entry, &out->entry);
}

#define APIC_ALWAYS (VMX_PROC2_APIC_REGISTERS | VMX_PROC2_VIRTUAL_INTERRUPTS)

/*
 * APIC virtualization: all of it or nothing, as a LAPIC of which one part is in the CPU's hands and
 * another in the hypervisor's would need a third way. What a vCPU's mode decides starts at 0.
 */
static void judge_apic(const struct vmx_facts *f, struct vmx_caps *out)
{
	const uint32_t needed = APIC_ALWAYS | VMX_PROC2_APIC_ACCESSES | VMX_PROC2_X2APIC;

	out->virtual_interrupts = ((uint32_t)(f->proc2 >> 32) & needed) == needed;
	if (out->virtual_interrupts) {
		out->proc2 |= APIC_ALWAYS;
	}
	out->posts_interrupts =
		out->virtual_interrupts && (f->pin >> 32 & VMX_PIN_POSTED_INTERRUPTS) != 0;
	if (out->posts_interrupts) {
		out->pin |= VMX_PIN_POSTED_INTERRUPTS;
	}
}

void vmx_caps_forgo_posting(struct vmx_caps *caps)
{
	caps->posts_interrupts = false;
	caps->pin &= ~VMX_PIN_POSTED_INTERRUPTS;
}

void vmx_caps_forgo_apic(struct vmx_caps *caps)
{
	vmx_caps_forgo_posting(caps);
	caps->virtual_interrupts = false;
	caps->proc2 &= ~APIC_ALWAYS;
}

const char *vmx_caps_judge(const struct vmx_facts *f, struct vmx_caps *out)
{
	const char *refused = refusal(f);

	if (refused != NULL) {
		return refused;
	}
	*out = (struct vmx_caps){
		.revision = (uint32_t)bits_get(f->basic, VMX_BASIC_REVISION),
		.signature = f->signature,
		.phys_bits = f->phys_bits,
		.preemption_timer = (f->pin >> 32 & VMX_PIN_PREEMPTION_TIMER) != 0,
		.timer_shift = (uint8_t)bits_get(f->misc, VMX_MISC_TIMER_SHIFT),
		.io_info = (f->basic & VMX_BASIC_IO_INFO) != 0,
		.cr0_fixed0 = f->cr0_fixed0 & ~(CR0_PE | CR0_PG),
		.cr0_fixed1 = f->cr0_fixed1,
		.cr4_fixed0 = f->cr4_fixed0,
		.cr4_fixed1 = f->cr4_fixed1,
	};
	if (!build_words(f, out)) {
		return why;
	}
	judge_apic(f, out);
	return judge_ept(f, out);
}
