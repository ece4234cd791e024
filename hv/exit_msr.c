/* SPDX-License-Identifier: Apache-2.0 */
/* RDMSR and WRMSR by the policy table. */
#include "hv/base/log.h"
#include "hv/cpu/features.h"
#include "hv/cpu/msr.h"
#include "hv/cpu/regs.h"
#include "hv/exit.h"
#include "hv/guest.h"
#include "hv/pv.h"
#include "hv/vcpu.h"

#define UNKNOWN_LOG_MAX 32u
#define X2APIC_TPR 0x808u

static struct lapic *lapic_of(struct vcpu *vcpu)
{
	return board_lapic(guest_of(vcpu->vm)->board, vcpu->index);
}

/* --- the TSC --- */

static void set_tsc_adjust(struct vcpu *vcpu, uint64_t adjust)
{
	if (adjust != vcpu->tsc_adjust) {
		vcpu->tsc_adjust = adjust;
		guest_apply_tsc(guest_of(vcpu->vm), vcpu);
		pv_tsc_changed(vcpu);
	}
}

/* --- EFER --- */

static bool write_efer(struct vcpu *vcpu, uint64_t value)
{
	const struct guest *g = guest_of(vcpu->vm);
	uint64_t old = the_backend->get_reg(vcpu, VCPU_REG_EFER);
	uint64_t allowed = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
	bool paging = (the_backend->get_reg(vcpu, VCPU_REG_CR0) & CR0_PG) != 0;

	if ((g->cpuid.extended[1].edx & BIT32(25)) != 0) {
		allowed |= EFER_FFXSR;
	}
	if ((value & ~allowed) != 0 || (paging && ((old ^ value) & EFER_LME) != 0)) {
		return false;
	}
	/* LMA is the CPU's: writes to it are ignored. */
	value = (value & ~EFER_LMA) | (old & EFER_LMA);
	the_backend->set_reg(vcpu, VCPU_REG_EFER, value);
	if (((old ^ value) & EFER_NXE) != 0) {
		vcpu_request(vcpu, VCPU_REQ_TLB_FLUSH);
	}
	return true;
}

/* --- the local APIC --- */

static bool apic_result(struct vcpu *vcpu, enum lapic_msr_status status)
{
	if (status == LAPIC_MSR_MOVED) {
		exit_stop(vcpu, "moved the local APIC's registers");
	}
	return status != LAPIC_MSR_GP;
}

static bool apic_read(struct vcpu *vcpu, uint32_t index, uint64_t *value)
{
	if (index == X2APIC_TPR) {
		exit_sync_tpr_from_hw(vcpu);
	}
	return apic_result(vcpu, lapic_msr_read(lapic_of(vcpu), index, value));
}

static bool apic_write(struct vcpu *vcpu, uint32_t index, uint64_t value)
{
	bool ok = apic_result(vcpu, lapic_msr_write(lapic_of(vcpu), index, value));

	if (index == X2APIC_TPR) {
		exit_sync_tpr_to_hw(vcpu);
	}
	return ok;
}

/* Nearly all MSR exits are the x2APIC's; the table's row for it says nothing more (25
 * instructions). */
static bool is_x2apic(uint32_t index)
{
	return index - MSR_X2APIC_FIRST <= MSR_X2APIC_LAST - MSR_X2APIC_FIRST;
}

/* --- the policy --- */

static void note_unknown(struct vcpu *vcpu, uint32_t index, const char *how)
{
	struct guest *g = guest_of(vcpu->vm);

	missed_note(&g->unknown_msrs, index);
	if (g->unknown_msrs.total <= UNKNOWN_LOG_MAX) {
		log_debug("%s: %s of MSR 0x%x: #GP", vcpu->vm->name, how, index);
	}
}

static inline __attribute__((always_inline)) bool read_by_rule(struct vcpu *vcpu, uint32_t index,
							       uint64_t *value)
{
	const struct msr_rule *rule = msr_rule_find(index);
	struct guest *g = guest_of(vcpu->vm);

	switch (rule != NULL ? rule->action : MSR_ACT_FAULT) {
	case MSR_ACT_PASS:
	case MSR_ACT_REGISTER:
	case MSR_ACT_EFER:
	case MSR_ACT_PAT:
		*value = the_backend->get_reg(vcpu, (enum vcpu_reg)rule->arg);
		return true;
	case MSR_ACT_CONST:
	case MSR_ACT_CONST_STRICT:
	case MSR_ACT_MICROCODE:
		*value = rule->value;
		return true;
	case MSR_ACT_MTRR:
		return mtrr_read(&g->mtrr, index, value);
	case MSR_ACT_TSC:
		*value = guest_tsc(g, vcpu);
		return true;
	case MSR_ACT_TSC_ADJUST:
		*value = vcpu->tsc_adjust;
		return true;
	case MSR_ACT_TSC_AUX:
		*value = vcpu->tsc_aux;
		return true;
	case MSR_ACT_MISC_ENABLE:
		*value = vcpu->misc_enable;
		return true;
	case MSR_ACT_TSC_DEADLINE:
	case MSR_ACT_APIC_BASE:
	case MSR_ACT_X2APIC:
		return apic_read(vcpu, index, value);
	case MSR_ACT_PV:
		if (pv_msr_read(vcpu, index, value)) {
			return true;
		}
		break;
	case MSR_ACT_HYPERV:
		if (hyperv_msr_read(vcpu, index, value)) {
			return true;
		}
		break;
	case MSR_ACT_WINDOWS:
		if (g->config->hyperv) {
			*value = rule->value;
			return true;
		}
		break;
	case MSR_ACT_FAULT:
	case MSR_ACT_WRITE_ONLY:
	case MSR_ACT_COUNT:
		break;
	}
	note_unknown(vcpu, index, "read");
	return false;
}

static inline __attribute__((always_inline)) bool write_by_rule(struct vcpu *vcpu, uint32_t index,
								uint64_t value)
{
	const struct msr_rule *rule = msr_rule_find(index);
	struct guest *g = guest_of(vcpu->vm);

	switch (rule != NULL ? rule->action : MSR_ACT_FAULT) {
	case MSR_ACT_PASS:
	case MSR_ACT_REGISTER:
		the_backend->set_reg(vcpu, (enum vcpu_reg)rule->arg, value);
		return true;
	case MSR_ACT_EFER:
		return write_efer(vcpu, value);
	case MSR_ACT_PAT:
		if (!pat_valid(value)) {
			return false;
		}
		the_backend->set_reg(vcpu, VCPU_REG_PAT, value);
		return true;
	case MSR_ACT_CONST:
	case MSR_ACT_WRITE_ONLY:
		return true;
	case MSR_ACT_MICROCODE:
		return value == 0;
	case MSR_ACT_MTRR:
		return mtrr_write(&g->mtrr, index, value, cpu_features()->physical_bits);
	case MSR_ACT_TSC:
		set_tsc_adjust(vcpu, vcpu->tsc_adjust + (value - guest_tsc(g, vcpu)));
		return true;
	case MSR_ACT_TSC_ADJUST:
		set_tsc_adjust(vcpu, value);
		return true;
	case MSR_ACT_TSC_AUX:
		if (value >> 32 != 0) {
			return false;
		}
		vcpu->tsc_aux = value;
		return true;
	case MSR_ACT_MISC_ENABLE:
		return misc_enable_write(&vcpu->misc_enable, value);
	case MSR_ACT_TSC_DEADLINE:
	case MSR_ACT_APIC_BASE:
	case MSR_ACT_X2APIC:
		return apic_write(vcpu, index, value);
	case MSR_ACT_PV:
		if (pv_msr_write(vcpu, index, value)) {
			return true;
		}
		break;
	case MSR_ACT_HYPERV:
		if (hyperv_msr_write(vcpu, index, value)) {
			return true;
		}
		break;
	case MSR_ACT_WINDOWS:
		if (g->config->hyperv) {
			return true;
		}
		break;
	case MSR_ACT_FAULT:
	case MSR_ACT_CONST_STRICT:
	case MSR_ACT_COUNT:
		break;
	}
	note_unknown(vcpu, index, "write");
	return false;
}

bool msr_read(struct vcpu *vcpu, uint32_t index, uint64_t *value)
{
	return is_x2apic(index) ? apic_read(vcpu, index, value) : read_by_rule(vcpu, index, value);
}

bool msr_write(struct vcpu *vcpu, uint32_t index, uint64_t value)
{
	return is_x2apic(index) ? apic_write(vcpu, index, value)
				: write_by_rule(vcpu, index, value);
}

void exit_msr_read(struct vcpu *vcpu, struct vm_exit *exit)
{
	uint64_t value = 0;

	if (!msr_read(vcpu, exit->msr.index, &value)) {
		vcpu_raise_error(vcpu, EXC_GP, 0);
	} else if (vcpu_skip(vcpu, exit, INSN_RDMSR)) {
		vcpu->gpr[GPR_RAX] = (uint32_t)value;
		vcpu->gpr[GPR_RDX] = value >> 32;
	}
}

void exit_msr_write(struct vcpu *vcpu, struct vm_exit *exit)
{
	uint64_t value = vcpu->gpr[GPR_RDX] << 32 | (uint32_t)vcpu->gpr[GPR_RAX];

	if (!msr_write(vcpu, exit->msr.index, value)) {
		vcpu_raise_error(vcpu, EXC_GP, 0);
	} else {
		(void)vcpu_skip(vcpu, exit, INSN_WRMSR);
	}
}
