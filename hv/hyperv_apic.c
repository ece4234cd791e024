/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The LAPIC's EOI, ICR and TPR as MSRs, whatever its mode, and the VP assist page, whose first word
 * is where the guest ends interrupts without an exit. Source: TLFS, "Virtual Interrupt Control".
 */
#include "hv/api/gmem.h"
#include "hv/exit.h"
#include "hv/hyperv_internal.h"
#include "hv/pv.h"

#define APIC_BASE_EXTD BIT(10)

/* Numbered as in x2APIC mode. */
enum { TPR = 0x08, ICR = 0x30, ICR_HIGH = 0x31 };

static bool x2apic(struct lapic *l)
{
	uint64_t base;

	return lapic_msr_read(l, LAPIC_MSR_APIC_BASE, &base) == LAPIC_MSR_OK &&
	       (base & APIC_BASE_EXTD) != 0;
}

/* Of the page in xAPIC mode; the bus has it as long as there is a board. */
static uint64_t page_read(struct vcpu *vcpu, unsigned reg)
{
	uint64_t value = 0;

	(void)bus_read(&vcpu->vm->mmio, LAPIC_MMIO_BASE + reg * 16ull, 4, vcpu->index, &value);
	return (uint32_t)value;
}

static void page_write(struct vcpu *vcpu, unsigned reg, uint64_t value)
{
	(void)bus_write(&vcpu->vm->mmio, LAPIC_MMIO_BASE + reg * 16ull, 4, vcpu->index,
			(uint32_t)value);
}

static bool read_register(struct vcpu *vcpu, unsigned reg, uint64_t *value)
{
	struct lapic *l = hyperv_lapic(hyperv_vp(vcpu));

	if (!lapic_enabled(l)) {
		return false;
	}
	if (x2apic(l)) {
		return lapic_msr_read(l, LAPIC_MSR_X2APIC_FIRST + reg, value) == LAPIC_MSR_OK;
	}
	*value = page_read(vcpu, reg);
	if (reg == ICR) {
		*value |= page_read(vcpu, ICR_HIGH) << 32;
	}
	return true;
}

static bool write_register(struct vcpu *vcpu, unsigned reg, uint64_t value)
{
	struct lapic *l = hyperv_lapic(hyperv_vp(vcpu));

	if (!lapic_enabled(l)) {
		return false;
	}
	if (x2apic(l)) {
		return lapic_msr_write(l, LAPIC_MSR_X2APIC_FIRST + reg, value) == LAPIC_MSR_OK;
	}
	if (reg == ICR) {
		page_write(vcpu, ICR_HIGH, value >> 32);
	}
	page_write(vcpu, reg, value);
	return true;
}

/* KVM's EOI flag and bit 0 of the page's first word are the same in all but who set it up. */
static bool write_assist(struct vcpu *vcpu, uint64_t value)
{
	const uint32_t none = 0;
	gpa_t page = gpa(value & HV_PAGE_ADDRESS);
	bool enable = (value & HV_PAGE_ENABLE) != 0;

	if (enable && guest_mem_write(vcpu->vm, page, &none, sizeof(none)) != HV_OK) {
		return false;
	}
	if (!pv_write_eoi(vcpu, enable ? page.v | PV_ENABLED : 0)) {
		return false;
	}
	hyperv_vp(vcpu)->state.assist = value;
	return true;
}

bool hyperv_apic_read(struct vcpu *vcpu, uint32_t index, uint64_t *value)
{
	switch (index) {
	case MSR_HV_ICR:
		return read_register(vcpu, ICR, value);
	case MSR_HV_TPR:
		exit_sync_tpr_from_hw(vcpu);
		return read_register(vcpu, TPR, value);
	case MSR_HV_VP_ASSIST_PAGE:
		*value = hyperv_vp(vcpu)->state.assist;
		return true;
	default:
		return false; /* the EOI is write-only */
	}
}

bool hyperv_apic_write(struct vcpu *vcpu, uint32_t index, uint64_t value)
{
	bool ok;

	switch (index) {
	case MSR_HV_EOI:
		lapic_eoi(hyperv_lapic(hyperv_vp(vcpu)));
		return true;
	case MSR_HV_ICR:
		return write_register(vcpu, ICR, value);
	case MSR_HV_TPR:
		ok = value <= 0xff && write_register(vcpu, TPR, value);
		exit_sync_tpr_to_hw(vcpu);
		return ok;
	case MSR_HV_VP_ASSIST_PAGE:
		return write_assist(vcpu, value);
	default:
		return false;
	}
}
