/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtual machine control block. Fields whose names begin with an underscore may be cached by
 * the CPU between runs under a bit of `clean`: read them freely, write them through the functions
 * below only, which clear that bit when the value changes.
 *
 * Sources: AMD APM volume 2, appendix "Layout of VMCB" and section "VMCB State Caching".
 */
#pragma once

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/api/backend.h"
#include "hv/base/addr.h"
#include "hv/base/bits.h"

/* Intercepts by bit number, counted from the CR-read word on: word = n / 32, bit = n % 32. */
enum svm_intercept {
	SVM_INTERCEPT_CR0_READ = 0,
	SVM_INTERCEPT_CR0_WRITE = 16,
	SVM_INTERCEPT_CR4_WRITE = 20,
	SVM_INTERCEPT_CR8_WRITE = 24,
	SVM_INTERCEPT_EXCEPTION = 64, /* + vector */
	SVM_INTERCEPT_INTR = 96,
	SVM_INTERCEPT_NMI,
	SVM_INTERCEPT_SMI,
	SVM_INTERCEPT_INIT,
	SVM_INTERCEPT_VINTR,
	SVM_INTERCEPT_RDPMC = 111,
	SVM_INTERCEPT_CPUID = 114,
	SVM_INTERCEPT_RSM,
	SVM_INTERCEPT_IRET,
	SVM_INTERCEPT_INVD = 118,
	SVM_INTERCEPT_PAUSE,
	SVM_INTERCEPT_HLT,
	SVM_INTERCEPT_INVLPG,
	SVM_INTERCEPT_INVLPGA,
	SVM_INTERCEPT_IOIO,
	SVM_INTERCEPT_MSR,
	SVM_INTERCEPT_SHUTDOWN = 127,
	SVM_INTERCEPT_VMRUN,
	SVM_INTERCEPT_VMMCALL,
	SVM_INTERCEPT_VMLOAD,
	SVM_INTERCEPT_VMSAVE,
	SVM_INTERCEPT_STGI,
	SVM_INTERCEPT_CLGI,
	SVM_INTERCEPT_SKINIT,
	SVM_INTERCEPT_RDTSCP,
	SVM_INTERCEPT_ICEBP,
	SVM_INTERCEPT_WBINVD,
	SVM_INTERCEPT_MONITOR,
	SVM_INTERCEPT_MWAIT,
	SVM_INTERCEPT_MWAIT_ARMED,
	SVM_INTERCEPT_XSETBV,
	SVM_INTERCEPT_RDPRU,
};
#define SVM_INTERCEPT_WORDS 6u

/* tlb_control. */
#define SVM_TLB_NOTHING 0u
#define SVM_TLB_FLUSH_ALL 1u  /* every ASID, the host's too */
#define SVM_TLB_FLUSH_ASID 3u /* this guest's; needs flush-by-ASID */

/* _int_ctl. */
#define SVM_INT_V_TPR MASK(3, 0)
#define SVM_INT_V_IRQ BIT(8)
#define SVM_INT_V_PRIO MASK(19, 16)
#define SVM_INT_V_IGN_TPR BIT(20)
#define SVM_INT_V_MASKING BIT(24)
#define SVM_INT_V_VECTOR MASK(39, 32)

/* int_state. */
#define SVM_INT_SHADOW BIT(0)

/* exit_int_info and event_inj. */
#define SVM_EVENT_VECTOR MASK(7, 0)
#define SVM_EVENT_TYPE MASK(10, 8)
#define SVM_EVENT_HAS_ERROR BIT(11)
#define SVM_EVENT_VALID BIT(31)
#define SVM_EVENT_ERROR MASK(63, 32)
#define SVM_EVENT_TYPE_INTR 0u
#define SVM_EVENT_TYPE_NMI 2u
#define SVM_EVENT_TYPE_EXCEPTION 3u
#define SVM_EVENT_TYPE_SOFT_INT 4u

#define SVM_NP_ENABLE BIT(0)
#define SVM_LBR_ENABLE BIT(0)

/* clean: what the CPU may take from its cache. */
#define SVM_CLEAN_INTERCEPTS BIT32(0) /* with the TSC offset and the pause filter */
#define SVM_CLEAN_MAPS BIT32(1)
#define SVM_CLEAN_ASID BIT32(2)
#define SVM_CLEAN_INT_CTL BIT32(3)
#define SVM_CLEAN_NP BIT32(4) /* with the PAT */
#define SVM_CLEAN_CR BIT32(5) /* with EFER */
#define SVM_CLEAN_DR BIT32(6)
#define SVM_CLEAN_DT BIT32(7)
#define SVM_CLEAN_SEG BIT32(8) /* CS DS SS ES and the CPL */
#define SVM_CLEAN_CR2 BIT32(9)
#define SVM_CLEAN_LBR BIT32(10)
#define SVM_CLEAN_ALL (BIT32(11) - 1)

/* Segment attributes: descriptor bits 55:52 and 47:40 side by side. */
#define SVM_SEG_LOW MASK(7, 0)
#define SVM_SEG_HIGH MASK(11, 8)
#define SVM_SEG_P BIT32(7)
#define SVM_SEG_L BIT32(9)
#define SVM_SEG_D BIT32(10)

struct vmcb_seg {
	uint16_t selector;
	uint16_t attr;
	uint32_t limit; /* bytes, scaled */
	uint64_t base;
};
static_assert(sizeof(struct vmcb_seg) == 16, "VMCB segment");

struct vmcb {
	/* --- control area --- */
	uint32_t _intercepts[SVM_INTERCEPT_WORDS];
	uint8_t reserved_018[0x03c - 0x018];
	uint16_t _pause_threshold;
	uint16_t _pause_count;
	uint64_t _iopm;
	uint64_t _msrpm;
	uint64_t _tsc_offset;
	uint32_t _asid;
	uint8_t tlb_control;
	uint8_t reserved_05d[3];
	uint64_t _int_ctl;
	uint64_t int_state;
	uint64_t exit_code;
	uint64_t exit_info1;
	uint64_t exit_info2;
	uint64_t exit_int_info;
	uint64_t _np_ctl;
	uint8_t reserved_098[0x0a8 - 0x098];
	uint64_t event_inj;
	uint64_t _ncr3;
	uint64_t lbr_ctl;
	uint32_t clean;
	uint32_t reserved_0c4;
	uint64_t nrip;
	uint8_t insn_count;
	uint8_t insn[INSN_BYTES_MAX];
	uint8_t reserved_0e0[0x400 - 0x0e0];
	/* --- state save area --- */
	struct vmcb_seg _es, _cs, _ss, _ds;
	struct vmcb_seg fs, gs; /* VMLOAD, VMSAVE */
	struct vmcb_seg _gdtr;
	struct vmcb_seg ldtr; /* VMLOAD, VMSAVE */
	struct vmcb_seg _idtr;
	struct vmcb_seg tr; /* VMLOAD, VMSAVE */
	uint8_t reserved_4a0[0x4cb - 0x4a0];
	uint8_t _cpl;
	uint32_t reserved_4cc;
	uint64_t _efer;
	uint8_t reserved_4d8[0x548 - 0x4d8];
	uint64_t _cr4, _cr3, _cr0;
	uint64_t _dr7, _dr6;
	uint64_t rflags;
	uint64_t rip;
	uint8_t reserved_580[0x5d8 - 0x580];
	uint64_t rsp;
	uint64_t s_cet, ssp, isst_addr;
	uint64_t rax;
	uint64_t star, lstar, cstar, sfmask, kernel_gs_base; /* VMLOAD, VMSAVE, with the next */
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
	uint64_t _cr2;
	uint8_t reserved_648[0x668 - 0x648];
	uint64_t _pat;
	uint64_t _debugctl;
	uint64_t _br_from, _br_to, _last_exc_from, _last_exc_to;
	uint8_t reserved_698[0x1000 - 0x698];
};
static_assert(sizeof(struct vmcb) == 0x1000, "one page");
static_assert(offsetof(struct vmcb, _pause_threshold) == 0x03c, "VMCB layout");
static_assert(offsetof(struct vmcb, _iopm) == 0x040, "VMCB layout");
static_assert(offsetof(struct vmcb, _tsc_offset) == 0x050, "VMCB layout");
static_assert(offsetof(struct vmcb, _asid) == 0x058, "VMCB layout");
static_assert(offsetof(struct vmcb, tlb_control) == 0x05c, "VMCB layout");
static_assert(offsetof(struct vmcb, _int_ctl) == 0x060, "VMCB layout");
static_assert(offsetof(struct vmcb, int_state) == 0x068, "VMCB layout");
static_assert(offsetof(struct vmcb, exit_code) == 0x070, "VMCB layout");
static_assert(offsetof(struct vmcb, exit_int_info) == 0x088, "VMCB layout");
static_assert(offsetof(struct vmcb, _np_ctl) == 0x090, "VMCB layout");
static_assert(offsetof(struct vmcb, event_inj) == 0x0a8, "VMCB layout");
static_assert(offsetof(struct vmcb, _ncr3) == 0x0b0, "VMCB layout");
static_assert(offsetof(struct vmcb, lbr_ctl) == 0x0b8, "VMCB layout");
static_assert(offsetof(struct vmcb, clean) == 0x0c0, "VMCB layout");
static_assert(offsetof(struct vmcb, nrip) == 0x0c8, "VMCB layout");
static_assert(offsetof(struct vmcb, insn) == 0x0d1, "VMCB layout");
static_assert(offsetof(struct vmcb, _es) == 0x400, "VMCB layout");
static_assert(offsetof(struct vmcb, _gdtr) == 0x460, "VMCB layout");
static_assert(offsetof(struct vmcb, tr) == 0x490, "VMCB layout");
static_assert(offsetof(struct vmcb, _cpl) == 0x4cb, "VMCB layout");
static_assert(offsetof(struct vmcb, _efer) == 0x4d0, "VMCB layout");
static_assert(offsetof(struct vmcb, _cr4) == 0x548, "VMCB layout");
static_assert(offsetof(struct vmcb, _dr7) == 0x560, "VMCB layout");
static_assert(offsetof(struct vmcb, rflags) == 0x570, "VMCB layout");
static_assert(offsetof(struct vmcb, rip) == 0x578, "VMCB layout");
static_assert(offsetof(struct vmcb, rsp) == 0x5d8, "VMCB layout");
static_assert(offsetof(struct vmcb, rax) == 0x5f8, "VMCB layout");
static_assert(offsetof(struct vmcb, kernel_gs_base) == 0x620, "VMCB layout");
static_assert(offsetof(struct vmcb, _cr2) == 0x640, "VMCB layout");
static_assert(offsetof(struct vmcb, _pat) == 0x668, "VMCB layout");
static_assert(offsetof(struct vmcb, _debugctl) == 0x670, "VMCB layout");
static_assert(offsetof(struct vmcb, _last_exc_to) == 0x690, "VMCB layout");

/* Writes one 64-bit field and forgets what the CPU cached under `clean`, if the value differs. */
static inline void vmcb_write(struct vmcb *vmcb, uint64_t *field, uint64_t value, uint32_t clean)
{
	if (*field != value) {
		*field = value;
		vmcb->clean &= ~clean;
	}
}

static inline bool vmcb_intercepts(const struct vmcb *vmcb, unsigned intercept)
{
	return (vmcb->_intercepts[intercept / 32] >> intercept % 32 & 1) != 0;
}

/* `intercept` is an enum svm_intercept, plus a vector for exceptions. */
static inline void vmcb_set_intercept(struct vmcb *vmcb, unsigned intercept, bool on)
{
	if (vmcb_intercepts(vmcb, intercept) != on) {
		vmcb->_intercepts[intercept / 32] ^= BIT32(intercept % 32);
		vmcb->clean &= ~SVM_CLEAN_INTERCEPTS;
	}
}

static inline void vmcb_set_tsc_offset(struct vmcb *vmcb, uint64_t offset)
{
	vmcb_write(vmcb, &vmcb->_tsc_offset, offset, SVM_CLEAN_INTERCEPTS);
}

/* PAUSE exits after `count` of them less than `threshold` cycles apart; 0: no window in time. */
static inline void vmcb_set_pause_filter(struct vmcb *vmcb, uint16_t count, uint16_t threshold)
{
	vmcb->_pause_count = count;
	vmcb->_pause_threshold = threshold;
	vmcb->clean &= ~SVM_CLEAN_INTERCEPTS;
}

static inline void vmcb_set_maps(struct vmcb *vmcb, hpa_t iopm, hpa_t msrpm)
{
	vmcb_write(vmcb, &vmcb->_iopm, iopm.v, SVM_CLEAN_MAPS);
	vmcb_write(vmcb, &vmcb->_msrpm, msrpm.v, SVM_CLEAN_MAPS);
}

static inline void vmcb_set_asid(struct vmcb *vmcb, uint32_t asid)
{
	if (vmcb->_asid != asid) {
		vmcb->_asid = asid;
		vmcb->clean &= ~SVM_CLEAN_ASID;
	}
}

static inline void vmcb_set_int_ctl(struct vmcb *vmcb, uint64_t value)
{
	vmcb_write(vmcb, &vmcb->_int_ctl, value, SVM_CLEAN_INT_CTL);
}

/* Turns nested paging on with the tables at `root`. */
static inline void vmcb_set_nested_paging(struct vmcb *vmcb, hpa_t root)
{
	vmcb_write(vmcb, &vmcb->_np_ctl, SVM_NP_ENABLE, SVM_CLEAN_NP);
	vmcb_write(vmcb, &vmcb->_ncr3, root.v, SVM_CLEAN_NP);
}

static inline void vmcb_set_cpl(struct vmcb *vmcb, uint8_t cpl)
{
	if (vmcb->_cpl != cpl) {
		vmcb->_cpl = cpl;
		vmcb->clean &= ~SVM_CLEAN_SEG;
	}
}

static inline void vmcb_set_dr6(struct vmcb *vmcb, uint64_t value)
{
	vmcb_write(vmcb, &vmcb->_dr6, value, SVM_CLEAN_DR);
}

/*
 * The register as the VMCB holds it: EFER with SVME, CR8 in V_TPR. `reg` is below VCPU_REG_COUNT.
 */
uint64_t vmcb_get_reg(const struct vmcb *vmcb, enum vcpu_reg reg);
void vmcb_set_reg(struct vmcb *vmcb, enum vcpu_reg reg, uint64_t value);

void vmcb_get_context(const struct vmcb *vmcb, struct vcpu_context *out);
/* A segment that is not present reads as SEG_UNUSABLE and the other way round. */
void vmcb_get_seg(const struct vmcb *vmcb, enum vcpu_seg seg, struct vcpu_segment *out);
/* The CPL follows the DPL of SS, as the CPU keeps it. */
void vmcb_set_seg(struct vmcb *vmcb, enum vcpu_seg seg, const struct vcpu_segment *in);
