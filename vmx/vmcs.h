/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fields of a VMCS: one list from which encodings, names and the dump come. A field's encoding
 * holds its width and class; only those that Bulkhead writes or that explain a failure are listed.
 *
 * Source: Intel SDM volume 3, appendix "Field Encoding in VMCS".
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/base/bits.h"

/* Bits of an encoding. */
#define VMCS_CLASS MASK(11, 10)

enum vmcs_class {
	VMCS_CLASS_CONTROL = 0,
	VMCS_CLASS_READ_ONLY,
	VMCS_CLASS_GUEST,
	VMCS_CLASS_HOST,
};

/* name, encoding */
#define VMCS_FIELDS(X) \
	X(VPID, 0x0000) \
	X(POST_VECTOR, 0x0002) \
	X(GUEST_ES_SELECTOR, 0x0800) \
	X(GUEST_CS_SELECTOR, 0x0802) \
	X(GUEST_SS_SELECTOR, 0x0804) \
	X(GUEST_DS_SELECTOR, 0x0806) \
	X(GUEST_FS_SELECTOR, 0x0808) \
	X(GUEST_GS_SELECTOR, 0x080a) \
	X(GUEST_LDTR_SELECTOR, 0x080c) \
	X(GUEST_TR_SELECTOR, 0x080e) \
	X(GUEST_INTERRUPT_STATUS, 0x0810) \
	X(HOST_ES_SELECTOR, 0x0c00) \
	X(HOST_CS_SELECTOR, 0x0c02) \
	X(HOST_SS_SELECTOR, 0x0c04) \
	X(HOST_DS_SELECTOR, 0x0c06) \
	X(HOST_FS_SELECTOR, 0x0c08) \
	X(HOST_GS_SELECTOR, 0x0c0a) \
	X(HOST_TR_SELECTOR, 0x0c0c) \
	X(IO_BITMAP_A, 0x2000) \
	X(IO_BITMAP_B, 0x2002) \
	X(MSR_BITMAP, 0x2004) \
	X(EXIT_MSR_STORE, 0x2006) \
	X(EXIT_MSR_LOAD, 0x2008) \
	X(ENTRY_MSR_LOAD, 0x200a) \
	X(TSC_OFFSET, 0x2010) \
	X(VIRTUAL_APIC, 0x2012) \
	X(APIC_ACCESS, 0x2014) \
	X(POST_DESCRIPTOR, 0x2016) \
	X(EPTP, 0x201a) \
	X(EOI_EXITS0, 0x201c) \
	X(EOI_EXITS1, 0x201e) \
	X(EOI_EXITS2, 0x2020) \
	X(EOI_EXITS3, 0x2022) \
	X(GUEST_PHYSICAL_ADDRESS, 0x2400) \
	X(GUEST_LINK, 0x2800) \
	X(GUEST_DEBUGCTL, 0x2802) \
	X(GUEST_PAT, 0x2804) \
	X(GUEST_EFER, 0x2806) \
	X(GUEST_PDPTE0, 0x280a) \
	X(GUEST_PDPTE1, 0x280c) \
	X(GUEST_PDPTE2, 0x280e) \
	X(GUEST_PDPTE3, 0x2810) \
	X(HOST_PAT, 0x2c00) \
	X(HOST_EFER, 0x2c02) \
	X(PIN_CONTROLS, 0x4000) \
	X(PROC_CONTROLS, 0x4002) \
	X(EXCEPTION_BITMAP, 0x4004) \
	X(PF_ERROR_MASK, 0x4006) \
	X(PF_ERROR_MATCH, 0x4008) \
	X(CR3_TARGET_COUNT, 0x400a) \
	X(EXIT_CONTROLS, 0x400c) \
	X(EXIT_MSR_STORE_COUNT, 0x400e) \
	X(EXIT_MSR_LOAD_COUNT, 0x4010) \
	X(ENTRY_CONTROLS, 0x4012) \
	X(ENTRY_MSR_LOAD_COUNT, 0x4014) \
	X(ENTRY_INTERRUPTION, 0x4016) \
	X(ENTRY_ERROR_CODE, 0x4018) \
	X(ENTRY_INSN_LENGTH, 0x401a) \
	X(TPR_THRESHOLD, 0x401c) \
	X(PROC2_CONTROLS, 0x401e) \
	X(PLE_GAP, 0x4020) \
	X(PLE_WINDOW, 0x4022) \
	X(INSN_ERROR, 0x4400) \
	X(EXIT_REASON, 0x4402) \
	X(EXIT_INTERRUPTION, 0x4404) \
	X(EXIT_ERROR_CODE, 0x4406) \
	X(VECTORING, 0x4408) \
	X(VECTORING_ERROR_CODE, 0x440a) \
	X(EXIT_INSN_LENGTH, 0x440c) \
	X(EXIT_INSN_INFO, 0x440e) \
	X(GUEST_ES_LIMIT, 0x4800) \
	X(GUEST_CS_LIMIT, 0x4802) \
	X(GUEST_SS_LIMIT, 0x4804) \
	X(GUEST_DS_LIMIT, 0x4806) \
	X(GUEST_FS_LIMIT, 0x4808) \
	X(GUEST_GS_LIMIT, 0x480a) \
	X(GUEST_LDTR_LIMIT, 0x480c) \
	X(GUEST_TR_LIMIT, 0x480e) \
	X(GUEST_GDTR_LIMIT, 0x4810) \
	X(GUEST_IDTR_LIMIT, 0x4812) \
	X(GUEST_ES_RIGHTS, 0x4814) \
	X(GUEST_CS_RIGHTS, 0x4816) \
	X(GUEST_SS_RIGHTS, 0x4818) \
	X(GUEST_DS_RIGHTS, 0x481a) \
	X(GUEST_FS_RIGHTS, 0x481c) \
	X(GUEST_GS_RIGHTS, 0x481e) \
	X(GUEST_LDTR_RIGHTS, 0x4820) \
	X(GUEST_TR_RIGHTS, 0x4822) \
	X(GUEST_INTERRUPTIBILITY, 0x4824) \
	X(GUEST_ACTIVITY, 0x4826) \
	X(GUEST_SYSENTER_CS, 0x482a) \
	X(GUEST_PREEMPTION_TIMER, 0x482e) \
	X(HOST_SYSENTER_CS, 0x4c00) \
	X(CR0_MASK, 0x6000) \
	X(CR4_MASK, 0x6002) \
	X(CR0_SHADOW, 0x6004) \
	X(CR4_SHADOW, 0x6006) \
	X(EXIT_QUALIFICATION, 0x6400) \
	X(GUEST_LINEAR_ADDRESS, 0x640a) \
	X(GUEST_CR0, 0x6800) \
	X(GUEST_CR3, 0x6802) \
	X(GUEST_CR4, 0x6804) \
	X(GUEST_ES_BASE, 0x6806) \
	X(GUEST_CS_BASE, 0x6808) \
	X(GUEST_SS_BASE, 0x680a) \
	X(GUEST_DS_BASE, 0x680c) \
	X(GUEST_FS_BASE, 0x680e) \
	X(GUEST_GS_BASE, 0x6810) \
	X(GUEST_LDTR_BASE, 0x6812) \
	X(GUEST_TR_BASE, 0x6814) \
	X(GUEST_GDTR_BASE, 0x6816) \
	X(GUEST_IDTR_BASE, 0x6818) \
	X(GUEST_DR7, 0x681a) \
	X(GUEST_RSP, 0x681c) \
	X(GUEST_RIP, 0x681e) \
	X(GUEST_RFLAGS, 0x6820) \
	X(GUEST_PENDING_DEBUG, 0x6822) \
	X(GUEST_SYSENTER_ESP, 0x6824) \
	X(GUEST_SYSENTER_EIP, 0x6826) \
	X(HOST_CR0, 0x6c00) \
	X(HOST_CR3, 0x6c02) \
	X(HOST_CR4, 0x6c04) \
	X(HOST_FS_BASE, 0x6c06) \
	X(HOST_GS_BASE, 0x6c08) \
	X(HOST_TR_BASE, 0x6c0a) \
	X(HOST_GDTR_BASE, 0x6c0c) \
	X(HOST_IDTR_BASE, 0x6c0e) \
	X(HOST_SYSENTER_ESP, 0x6c10) \
	X(HOST_SYSENTER_EIP, 0x6c12) \
	X(HOST_RSP, 0x6c14) \
	X(HOST_RIP, 0x6c16)

enum vmcs_field {
#define X(name, encoding) VMCS_##name = (encoding),
	VMCS_FIELDS(X)
#undef X
};

/* Where a field stands in the list. */
enum vmcs_index {
#define X(name, encoding) VMCS_AT_##name,
	VMCS_FIELDS(X)
#undef X
		VMCS_FIELD_COUNT
};

struct vmcs_field_info {
	const char *name;
	uint16_t encoding;
};
extern const struct vmcs_field_info vmcs_fields[VMCS_FIELD_COUNT];

/* All fields of a VMCS at one moment; 0 where this CPU does not have the field. */
struct vmcs_image {
	uint64_t value[VMCS_FIELD_COUNT];
};

static inline enum vmcs_class vmcs_class_of(uint32_t encoding)
{
	return (enum vmcs_class)bits_get(encoding, VMCS_CLASS);
}

/* Reads every listed field of the current VMCS. */
void vmcs_snapshot(struct vmcs_image *image);
/* Logs the fields of one class that are not zero, several to a line. */
void vmcs_dump(const struct vmcs_image *image, enum vmcs_class which);

/* Interruptibility state. */
#define VMX_BLOCKED_STI BIT(0)
#define VMX_BLOCKED_MOV_SS BIT(1)
#define VMX_BLOCKED_SMI BIT(2)
#define VMX_BLOCKED_NMI BIT(3)
#define VMX_SHADOW (VMX_BLOCKED_STI | VMX_BLOCKED_MOV_SS)

/* Interruption information of exits, entries and vectoring. */
#define VMX_EVENT_VECTOR MASK(7, 0)
#define VMX_EVENT_TYPE MASK(10, 8)
#define VMX_EVENT_HAS_ERROR BIT(11)
#define VMX_EVENT_NMI_UNBLOCKED BIT(12) /* exits only: by the IRET that faulted */
#define VMX_EVENT_VALID BIT(31)

enum vmx_event_type {
	VMX_EVENT_INTERRUPT = 0,
	VMX_EVENT_NMI = 2,
	VMX_EVENT_EXCEPTION = 3,
	VMX_EVENT_SOFT_INT = 4,
	VMX_EVENT_PRIV_SOFT_EXC = 5, /* INT1 */
	VMX_EVENT_SOFT_EXC = 6,	     /* INT3, INTO */
};

/* Pending debug exceptions. */
#define VMX_PENDING_DEBUG_BS BIT(14)

/* "No VMCS shadow". */
#define VMX_NO_LINK (~0ull)
