/* SPDX-License-Identifier: Apache-2.0 */
/* The consistency checks of a VM entry. */
#include "vmx/check.h"

#include "hv/api/apic_page.h"
#include "hv/base/addr.h"
#include "hv/cpu/regs.h"
#include "vmx/decode.h"

#define F(name) (v->value[VMCS_AT_##name])

#define RIGHTS_RESERVED (MASK(31, 17) | MASK(11, 8))
#define RFLAGS_RESERVED (MASK(63, 22) | BIT(15) | BIT(5) | BIT(3))
#define DEBUGCTL_RESERVED (MASK(63, 16) | MASK(5, 2))
#define EFER_DEFINED (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)
#define INTERRUPTIBILITY_DEFINED MASK(4, 0)
#define PENDING_DEBUG_DEFINED (MASK(3, 0) | BIT(12) | BIT(14) | BIT(16))
#define DEBUGCTL_BTF BIT(1)
#define VMX_PROC2_APIC (VMX_PROC2_X2APIC | VMX_PROC2_APIC_REGISTERS | VMX_PROC2_VIRTUAL_INTERRUPTS)
#define ACTIVITY_HLT 1u
#define ACTIVITY_MAX 3u
#define TYPE_TSS16_BUSY 3u
#define TYPE_TSS_BUSY 11u
#define TYPE_LDT 2u

struct rule {
	bool broken;
	const char *text;
};

static const char *first_broken(const struct rule *rules, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (rules[i].broken) {
			return rules[i].text;
		}
	}
	return NULL;
}

static bool is_canonical(uint64_t address)
{
	return address + BIT(47) < BIT(48);
}

static bool is_page(uint64_t address, const struct vmx_caps *caps)
{
	return is_aligned(address, PAGE_SIZE) && address < BIT(caps->phys_bits);
}

static bool pat_is_legal(uint64_t pat)
{
	for (unsigned i = 0; i < 64; i += 8) {
		uint64_t type = pat >> i & 0xff;

		if (type == 2 || type == 3 || type > 7) {
			return false;
		}
	}
	return true;
}

static bool fixed_bits_hold(uint64_t value, uint64_t fixed0, uint64_t fixed1)
{
	return (value & fixed0) == fixed0 && (value & ~fixed1) == 0;
}

/* --- controls --- */

/* SDM "VM-Entry Control Fields": what may be injected. */
static const char *check_event(const struct vmcs_image *v)
{
	uint64_t info = F(ENTRY_INTERRUPTION);
	uint64_t type = bits_get(info, VMX_EVENT_TYPE);
	uint64_t vector = bits_get(info, VMX_EVENT_VECTOR);
	bool soft = type >= VMX_EVENT_SOFT_INT && type <= VMX_EVENT_SOFT_EXC;
	bool pushes = type == VMX_EVENT_EXCEPTION && (F(GUEST_CR0) & CR0_PE) != 0 &&
		      vmx_has_error_code((unsigned)vector);
	const struct rule rules[] = {
		{type == 1, "the injected event has a reserved type"},
		{type == 7, "the injected event is a pending monitor-trap exit"},
		{type == VMX_EVENT_NMI && vector != EXC_NMI,
		 "the injected NMI has a vector other than 2"},
		{type == VMX_EVENT_EXCEPTION && vector > 31,
		 "the injected exception has a vector above 31"},
		{((info & VMX_EVENT_HAS_ERROR) != 0) != pushes,
		 "the injected event has an error code that its vector or the guest's mode forbids, "
		 "or lacks one"},
		{(info & VMX_EVENT_HAS_ERROR) != 0 && F(ENTRY_ERROR_CODE) >> 15 != 0,
		 "the injected error code is wider than 15 bits"},
		{soft && (F(ENTRY_INSN_LENGTH) == 0 || F(ENTRY_INSN_LENGTH) > 15),
		 "the injected software event has no instruction length in 1..15"},
		{(info & (MASK(30, 13) | BIT(12))) != 0,
		 "the injected event has reserved bits set"},
	};

	if ((info & VMX_EVENT_VALID) == 0) {
		return NULL;
	}
	return first_broken(rules, ARRAY_SIZE(rules));
}

const char *vmx_check_controls(const struct vmcs_image *v, const struct vmx_caps *caps)
{
	uint64_t pin = F(PIN_CONTROLS);
	uint64_t proc = F(PROC_CONTROLS);
	uint64_t proc2 = (proc & VMX_PROC_SECONDARY) != 0 ? F(PROC2_CONTROLS) : 0;
	bool posts = (pin & VMX_PIN_POSTED_INTERRUPTS) != 0;
	const struct rule rules[] = {
		{(pin & caps->pin) != caps->pin, "a pin-based control that must be 1 is 0"},
		{(proc & caps->proc) != caps->proc, "an execution control that must be 1 is 0"},
		{(F(EXIT_CONTROLS) & caps->exit) != caps->exit,
		 "a VM-exit control that must be 1 is 0"},
		{(F(ENTRY_CONTROLS) & caps->entry) != caps->entry,
		 "a VM-entry control that must be 1 is 0"},
		{(proc & VMX_PROC_IO_BITMAPS) != 0 &&
			 (!is_page(F(IO_BITMAP_A), caps) || !is_page(F(IO_BITMAP_B), caps)),
		 "an I/O bitmap is not a page of physical memory"},
		{(proc & VMX_PROC_MSR_BITMAPS) != 0 && !is_page(F(MSR_BITMAP), caps),
		 "the MSR bitmap is not a page of physical memory"},
		{(proc & VMX_PROC_TPR_SHADOW) != 0 && !is_page(F(VIRTUAL_APIC), caps),
		 "the virtual-APIC page is not a page of physical memory"},
		{(proc & VMX_PROC_TPR_SHADOW) != 0 && F(TPR_THRESHOLD) >> 4 != 0,
		 "the TPR threshold is above 15"},
		{(proc2 & VMX_PROC2_APIC) != 0 && (proc & VMX_PROC_TPR_SHADOW) == 0,
		 "APIC virtualization without a TPR shadow"},
		{(proc2 & VMX_PROC2_X2APIC) != 0 && (proc2 & VMX_PROC2_APIC_ACCESSES) != 0,
		 "both APIC accesses and x2APIC mode are virtualized"},
		{(proc2 & VMX_PROC2_VIRTUAL_INTERRUPTS) != 0 && (pin & VMX_PIN_INTERRUPT) == 0,
		 "virtual-interrupt delivery without external-interrupt exiting"},
		{(proc2 & VMX_PROC2_APIC_ACCESSES) != 0 && !is_page(F(APIC_ACCESS), caps),
		 "the APIC-access page is not a page of physical memory"},
		{posts && (proc2 & VMX_PROC2_VIRTUAL_INTERRUPTS) == 0,
		 "posted interrupts without virtual-interrupt delivery"},
		{posts && (F(EXIT_CONTROLS) & VMX_EXIT_ACK_INTERRUPT) == 0,
		 "posted interrupts without acknowledge interrupt on exit"},
		{posts && F(POST_VECTOR) > 255,
		 "the posted-interrupt notification vector is above 255"},
		{posts && ((F(POST_DESCRIPTOR) & (sizeof(struct apic_post) - 1)) != 0 ||
			   F(POST_DESCRIPTOR) >> caps->phys_bits != 0),
		 "the posted-interrupt descriptor is not 64 aligned bytes of physical memory"},
		{(proc & VMX_PROC_NMI_WINDOW) != 0 && (pin & VMX_PIN_VIRTUAL_NMI) == 0,
		 "NMI-window exiting without virtual NMIs"},
		{(pin & VMX_PIN_VIRTUAL_NMI) != 0 && (pin & VMX_PIN_NMI) == 0,
		 "virtual NMIs without NMI exiting"},
		{(proc2 & VMX_PROC2_VPID) != 0 && F(VPID) == 0, "the VPID is zero"},
		{(proc2 & VMX_PROC2_UNRESTRICTED) != 0 && (proc2 & VMX_PROC2_EPT) == 0,
		 "unrestricted guest without EPT"},
		{(proc2 & VMX_PROC2_EPT) != 0 && F(EPTP) >> caps->phys_bits != 0,
		 "the EPT pointer has bits above the physical address width"},
		{(proc2 & VMX_PROC2_EPT) != 0 &&
			 (F(EPTP) & (PAGE_SIZE - 1)) != (caps->eptp & (PAGE_SIZE - 1)),
		 "the EPT pointer has a memory type, walk length or flag this CPU refuses"},
		{F(CR3_TARGET_COUNT) > 4, "more than four CR3 targets"},
	};
	const char *broken = first_broken(rules, ARRAY_SIZE(rules));

	return broken != NULL ? broken : check_event(v);
}

/* --- host --- */

const char *vmx_check_host(const struct vmcs_image *v, const struct vmx_caps *caps)
{
	const uint64_t selector_flags = 7;
	uint64_t pg_pe = CR0_PG | CR0_PE;
	const struct rule rules[] = {
		{!fixed_bits_hold(F(HOST_CR0), caps->cr0_fixed0 | pg_pe, caps->cr0_fixed1),
		 "host CR0 has a bit that VMX operation fixes otherwise"},
		{!fixed_bits_hold(F(HOST_CR4), caps->cr4_fixed0, caps->cr4_fixed1),
		 "host CR4 has a bit that VMX operation fixes otherwise"},
		{(F(HOST_CR4) & CR4_PAE) == 0, "host CR4.PAE is clear"},
		{F(HOST_CR3) >> caps->phys_bits != 0,
		 "host CR3 has bits above the physical address width"},
		{!is_canonical(F(HOST_SYSENTER_ESP)) || !is_canonical(F(HOST_SYSENTER_EIP)),
		 "a host SYSENTER address is not canonical"},
		{!pat_is_legal(F(HOST_PAT)), "the host PAT has a reserved memory type"},
		{(F(HOST_EFER) & (EFER_LMA | EFER_LME)) != (EFER_LMA | EFER_LME),
		 "host EFER does not say long mode"},
		{((F(HOST_CS_SELECTOR) | F(HOST_SS_SELECTOR) | F(HOST_DS_SELECTOR) |
		   F(HOST_ES_SELECTOR) | F(HOST_FS_SELECTOR) | F(HOST_GS_SELECTOR) |
		   F(HOST_TR_SELECTOR)) &
		  selector_flags) != 0,
		 "a host selector has RPL or TI set"},
		{F(HOST_CS_SELECTOR) == 0, "the host CS selector is null"},
		{F(HOST_TR_SELECTOR) == 0, "the host TR selector is null"},
		{!is_canonical(F(HOST_FS_BASE)) || !is_canonical(F(HOST_GS_BASE)) ||
			 !is_canonical(F(HOST_GDTR_BASE)) || !is_canonical(F(HOST_IDTR_BASE)) ||
			 !is_canonical(F(HOST_TR_BASE)),
		 "a host segment or table base is not canonical"},
		{!is_canonical(F(HOST_RIP)) || F(HOST_RIP) == 0, "host RIP is not canonical"},
	};

	return first_broken(rules, ARRAY_SIZE(rules));
}

/* --- guest --- */

static const char *check_registers(const struct vmcs_image *v, const struct vmx_caps *caps)
{
	uint64_t cr0 = F(GUEST_CR0);
	uint64_t cr4 = F(GUEST_CR4);
	bool long_mode = (F(ENTRY_CONTROLS) & VMX_ENTRY_IA32E) != 0;
	bool lma = (F(GUEST_EFER) & EFER_LMA) != 0;
	bool lme = (F(GUEST_EFER) & EFER_LME) != 0;
	const struct rule rules[] = {
		{!fixed_bits_hold(cr0, caps->cr0_fixed0, caps->cr0_fixed1),
		 "CR0 has a bit that VMX operation fixes otherwise"},
		{(cr0 & CR0_PG) != 0 && (cr0 & CR0_PE) == 0, "CR0.PG is set and CR0.PE is clear"},
		{!fixed_bits_hold(cr4, caps->cr4_fixed0, caps->cr4_fixed1),
		 "CR4 has a bit that VMX operation fixes otherwise"},
		{(F(GUEST_DEBUGCTL) & DEBUGCTL_RESERVED) != 0, "DEBUGCTL has reserved bits set"},
		{long_mode && (cr0 & CR0_PG) == 0, "IA-32e mode guest and CR0.PG is clear"},
		{long_mode && (cr4 & CR4_PAE) == 0, "IA-32e mode guest and CR4.PAE is clear"},
		{!long_mode && (cr4 & CR4_PCIDE) != 0, "CR4.PCIDE is set outside IA-32e mode"},
		{F(GUEST_CR3) >> caps->phys_bits != 0,
		 "CR3 has bits above the physical address width"},
		{F(GUEST_DR7) >> 32 != 0, "DR7 bits 63:32 are not zero"},
		{!is_canonical(F(GUEST_SYSENTER_ESP)) || !is_canonical(F(GUEST_SYSENTER_EIP)),
		 "a SYSENTER address is not canonical"},
		{!pat_is_legal(F(GUEST_PAT)), "the PAT has a reserved memory type"},
		{(F(GUEST_EFER) & ~EFER_DEFINED) != 0, "EFER has reserved bits set"},
		{lma != long_mode, "EFER.LMA is not what the \"IA-32e mode guest\" control says"},
		{(cr0 & CR0_PG) != 0 && lma != lme, "paging is on and EFER.LMA is not EFER.LME"},
	};

	return first_broken(rules, ARRAY_SIZE(rules));
}

struct segment {
	uint64_t selector, base, limit, rights;
	bool usable;
};

static struct segment segment_at(const struct vmcs_image *v, unsigned i)
{
	uint64_t rights = v->value[VMCS_AT_GUEST_ES_RIGHTS + i];

	return (struct segment){
		.selector = v->value[VMCS_AT_GUEST_ES_SELECTOR + i],
		.base = v->value[VMCS_AT_GUEST_ES_BASE + i],
		.limit = v->value[VMCS_AT_GUEST_ES_LIMIT + i],
		.rights = rights,
		.usable = (rights & SEG_UNUSABLE) == 0,
	};
}

enum { ES, CS, SS, DS, FS, GS, LDTR, TR };

/* G set: the low 12 bits of the limit are ones; clear: bits 31:20 are zeros. */
static bool granularity_holds(const struct segment *s)
{
	if ((s->rights & SEG_G) != 0) {
		return (s->limit & 0xfff) == 0xfff;
	}
	return s->limit >> 20 == 0;
}

static const char *check_virtual_8086(const struct vmcs_image *v)
{
	for (unsigned i = ES; i <= GS; i++) {
		struct segment s = segment_at(v, i);

		if (s.base != s.selector << 4 || s.limit != 0xffff || s.rights != 0xf3) {
			return "virtual-8086 mode: a segment is not base = selector * 16, limit "
			       "0xffff, rights 0xf3";
		}
	}
	return NULL;
}

static const char *check_code(const struct segment *cs, const struct segment *ss, bool long_mode)
{
	uint64_t type = bits_get(cs->rights, SEG_TYPE);
	uint64_t dpl = bits_get(cs->rights, SEG_DPL);
	uint64_t ss_dpl = bits_get(ss->rights, SEG_DPL);
	const struct rule rules[] = {
		{!cs->usable, "CS is unusable"},
		{type != 3 && type != 9 && type != 11 && type != 13 && type != 15,
		 "CS is neither accessed code nor data of an unrestricted guest"},
		{type == 3 && dpl != 0, "CS is a data segment and its DPL is not 0"},
		{(type == 9 || type == 11) && dpl != ss_dpl, "CS.DPL is not SS.DPL"},
		{(type == 13 || type == 15) && dpl > ss_dpl, "CS is conforming and above SS.DPL"},
		{long_mode && (cs->rights & SEG_L) != 0 && (cs->rights & SEG_DB) != 0,
		 "64-bit code segment with both CS.L and CS.D set"},
		{cs->base >> 32 != 0, "the base of CS is above 4 GiB"},
	};

	return first_broken(rules, ARRAY_SIZE(rules));
}

static const char *check_stack(const struct vmcs_image *v, const struct segment *cs,
			       const struct segment *ss)
{
	uint64_t type = bits_get(ss->rights, SEG_TYPE);
	uint64_t dpl = bits_get(ss->rights, SEG_DPL);
	bool real = (F(GUEST_CR0) & CR0_PE) == 0;
	const struct rule rules[] = {
		{ss->usable && type != 3 && type != 7, "SS is not writable, accessed data"},
		{dpl != 0 && (real || bits_get(cs->rights, SEG_TYPE) == 3),
		 "SS.DPL is not 0 in real mode"},
		{ss->usable && ss->base >> 32 != 0, "the base of SS is above 4 GiB"},
	};

	return first_broken(rules, ARRAY_SIZE(rules));
}

/* What all of ES .. GS have in common. */
static const char *check_common(const struct segment *s, bool data)
{
	uint64_t type = bits_get(s->rights, SEG_TYPE);
	const struct rule rules[] = {
		{(s->rights & SEG_S) == 0,
		 "a code or data segment has the type of a system segment"},
		{(s->rights & SEG_P) == 0, "a usable segment is not present"},
		{(s->rights & RIGHTS_RESERVED) != 0, "a segment has reserved access rights set"},
		{!granularity_holds(s), "a segment's limit contradicts its granularity"},
		{data && (type & 1) == 0, "a data segment is not marked accessed"},
		{data && (type & 8) != 0 && (type & 2) == 0, "a data segment is execute-only code"},
	};

	return s->usable ? first_broken(rules, ARRAY_SIZE(rules)) : NULL;
}

static const char *check_protected(const struct vmcs_image *v)
{
	bool long_mode = (F(ENTRY_CONTROLS) & VMX_ENTRY_IA32E) != 0;
	struct segment cs = segment_at(v, CS);
	struct segment ss = segment_at(v, SS);
	const char *broken = check_code(&cs, &ss, long_mode);

	if (broken == NULL) {
		broken = check_stack(v, &cs, &ss);
	}
	for (unsigned i = ES; broken == NULL && i <= GS; i++) {
		struct segment s = segment_at(v, i);

		broken = check_common(&s, i != CS && i != SS);
		if (broken == NULL && (i == DS || i == ES) && s.usable && s.base >> 32 != 0) {
			broken = "the base of DS or ES is above 4 GiB";
		}
	}
	return broken;
}

static const char *check_system_segments(const struct vmcs_image *v)
{
	bool long_mode = (F(ENTRY_CONTROLS) & VMX_ENTRY_IA32E) != 0;
	struct segment tr = segment_at(v, TR);
	struct segment ldtr = segment_at(v, LDTR);
	uint64_t tr_type = bits_get(tr.rights, SEG_TYPE);
	const uint64_t system = SEG_S | RIGHTS_RESERVED;
	const struct rule rules[] = {
		{!tr.usable || (tr.rights & SEG_P) == 0, "TR is unusable or not present"},
		{(tr.selector & 4) != 0, "TR comes from the LDT"},
		{tr_type != TYPE_TSS_BUSY && (long_mode || tr_type != TYPE_TSS16_BUSY),
		 "TR is not a busy TSS"},
		{(tr.rights & system) != 0 || !granularity_holds(&tr),
		 "TR has access rights that no TSS has"},
		{!is_canonical(tr.base), "the base of TR is not canonical"},
		{ldtr.usable && (ldtr.selector & 4) != 0, "LDTR comes from the LDT"},
		{ldtr.usable && (bits_get(ldtr.rights, SEG_TYPE) != TYPE_LDT ||
				 (ldtr.rights & SEG_P) == 0),
		 "LDTR is not a present LDT"},
		{ldtr.usable && ((ldtr.rights & system) != 0 || !granularity_holds(&ldtr)),
		 "LDTR has access rights that no LDT has"},
		{ldtr.usable && !is_canonical(ldtr.base), "the base of LDTR is not canonical"},
		{!is_canonical(F(GUEST_FS_BASE)) || !is_canonical(F(GUEST_GS_BASE)),
		 "the base of FS or GS is not canonical"},
		{!is_canonical(F(GUEST_GDTR_BASE)) || !is_canonical(F(GUEST_IDTR_BASE)),
		 "the base of GDTR or IDTR is not canonical"},
		{F(GUEST_GDTR_LIMIT) >> 16 != 0 || F(GUEST_IDTR_LIMIT) >> 16 != 0,
		 "the limit of GDTR or IDTR is above 0xffff"},
	};

	return first_broken(rules, ARRAY_SIZE(rules));
}

static const char *check_rip(const struct vmcs_image *v)
{
	uint64_t rflags = F(GUEST_RFLAGS);
	bool long_mode = (F(ENTRY_CONTROLS) & VMX_ENTRY_IA32E) != 0;
	bool code64 = long_mode && (F(GUEST_CS_RIGHTS) & SEG_L) != 0;
	uint64_t info = F(ENTRY_INTERRUPTION);
	bool interrupt = (info & VMX_EVENT_VALID) != 0 &&
			 bits_get(info, VMX_EVENT_TYPE) == VMX_EVENT_INTERRUPT;
	const struct rule rules[] = {
		{!code64 && F(GUEST_RIP) >> 32 != 0, "RIP is above 4 GiB outside 64-bit code"},
		{code64 && !is_canonical(F(GUEST_RIP)), "RIP is not canonical"},
		{(rflags & RFLAGS_RESERVED) != 0 || (rflags & RFLAGS_FIXED1) == 0,
		 "RFLAGS has reserved bits set, or bit 1 clear"},
		{(rflags & RFLAGS_VM) != 0 && (long_mode || (F(GUEST_CR0) & CR0_PE) == 0),
		 "RFLAGS.VM is set in IA-32e or real mode"},
		{interrupt && (rflags & RFLAGS_IF) == 0,
		 "an interrupt is injected while RFLAGS.IF is clear"},
	};

	return first_broken(rules, ARRAY_SIZE(rules));
}

static const char *check_activity(const struct vmcs_image *v)
{
	uint64_t state = F(GUEST_INTERRUPTIBILITY);
	uint64_t info = F(ENTRY_INTERRUPTION);
	uint64_t type = bits_get(info, VMX_EVENT_TYPE);
	bool valid = (info & VMX_EVENT_VALID) != 0;
	bool stepping =
		(F(GUEST_RFLAGS) & RFLAGS_TF) != 0 && (F(GUEST_DEBUGCTL) & DEBUGCTL_BTF) == 0;
	bool pending_step = (F(GUEST_PENDING_DEBUG) & VMX_PENDING_DEBUG_BS) != 0;
	bool held = (state & VMX_SHADOW) != 0 || F(GUEST_ACTIVITY) == ACTIVITY_HLT;
	const struct rule rules[] = {
		{F(GUEST_ACTIVITY) > ACTIVITY_MAX, "the activity state is not one of 0..3"},
		{(state & ~INTERRUPTIBILITY_DEFINED) != 0,
		 "the interruptibility state has reserved bits set"},
		{(state & VMX_SHADOW) == VMX_SHADOW, "blocked by STI and by MOV SS at once"},
		{(state & VMX_BLOCKED_STI) != 0 && (F(GUEST_RFLAGS) & RFLAGS_IF) == 0,
		 "blocked by STI while RFLAGS.IF is clear"},
		{valid && type == VMX_EVENT_INTERRUPT && (state & VMX_SHADOW) != 0,
		 "an interrupt is injected into the shadow of STI or MOV SS"},
		{valid && type == VMX_EVENT_NMI && (state & VMX_BLOCKED_MOV_SS) != 0,
		 "an NMI is injected into the shadow of MOV SS"},
		{valid && type == VMX_EVENT_NMI && (state & VMX_BLOCKED_NMI) != 0,
		 "an NMI is injected while NMIs are blocked"},
		{(F(GUEST_PENDING_DEBUG) & ~PENDING_DEBUG_DEFINED) != 0,
		 "the pending debug exceptions have reserved bits set"},
		{held && stepping != pending_step,
		 "RFLAGS.TF and the pending single step contradict each other"},
		{F(GUEST_LINK) != VMX_NO_LINK, "the VMCS link pointer is not all ones"},
	};

	return first_broken(rules, ARRAY_SIZE(rules));
}

const char *vmx_check_guest(const struct vmcs_image *v, const struct vmx_caps *caps)
{
	const char *broken = check_registers(v, caps);

	if (broken == NULL) {
		broken = (F(GUEST_RFLAGS) & RFLAGS_VM) != 0 ? check_virtual_8086(v)
							    : check_protected(v);
	}
	if (broken == NULL) {
		broken = check_system_segments(v);
	}
	if (broken == NULL) {
		broken = check_rip(v);
	}
	if (broken == NULL) {
		broken = check_activity(v);
	}
	return broken;
}

const char *vmx_check(const struct vmcs_image *v, const struct vmx_caps *caps)
{
	const char *broken = vmx_check_controls(v, caps);

	if (broken == NULL) {
		broken = vmx_check_host(v, caps);
	}
	return broken != NULL ? broken : vmx_check_guest(v, caps);
}

const char *vmx_insn_error_name(uint64_t number)
{
	static const char *const names[] = {
		[1] = "VMCALL in VMX root operation",
		[2] = "VMCLEAR with an invalid address",
		[3] = "VMCLEAR with the VMXON pointer",
		[4] = "VMLAUNCH with a VMCS that is not clear",
		[5] = "VMRESUME with a VMCS that was not launched",
		[6] = "VMRESUME after VMXOFF",
		[7] = "VM entry with invalid control fields",
		[8] = "VM entry with invalid host state",
		[9] = "VMPTRLD with an invalid address",
		[10] = "VMPTRLD with the VMXON pointer",
		[11] = "VMPTRLD with a wrong revision identifier",
		[12] = "access to a VMCS field that does not exist",
		[13] = "write to a read-only VMCS field",
		[15] = "VMXON in VMX root operation",
		[26] = "VM entry with events blocked by MOV SS",
		[28] = "invalid operand of INVEPT or INVVPID",
	};

	return number < ARRAY_SIZE(names) && names[number] != NULL ? names[number] : "?";
}
