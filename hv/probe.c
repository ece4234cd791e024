/* SPDX-License-Identifier: Apache-2.0 */
/* Guests that test the CPU. */
#include "hv/probe.h"

#include "hv/api/apic_page.h"
#include "hv/api/gmem.h"
#include "hv/base/log.h"
#include "hv/base/str.h"
#include "hv/cpu/insn.h"
#include "hv/cpu/percpu.h"
#include "hv/cpu/trap.h"
#include "hv/vcpu.h"
#include "mm/pool.h"

/* No guest exists yet that this could be mistaken for. */
#define OWNER 1u

/* The one page of the guest's memory: real-mode vectors, code, handler, stack. */
#define CODE 0x500u
#define HANDLER 0x600u
#define STACK_TOP 0x800u
#define VECTOR 0x40u

/* No virtual interrupt may come: behind STI is its shadow, and then IF is clear again. */
static const uint8_t code[] = {
	0xfb,		  /* sti */
	0xfa,		  /* cli */
	0xb9, 0xff, 0xff, /* mov cx, 0xffff */
	0xe2, 0xfe,	  /* loop to itself, until the host interrupt comes */
	0xf4,		  /* hlt */
};
static const uint8_t handler[] = {0xf4}; /* hlt */
static const uint16_t vector[] = {HANDLER, 0};

static enum hv_status fill(struct vm *vm)
{
	enum hv_status status = gspace_add_region(&vm->gspace, 0, PAGE_SIZE, true);

	if (status == HV_OK) {
		status = gspace_populate(&vm->gspace, 0, PAGE_SIZE);
	}
	if (status != HV_OK) {
		return status;
	}
	space_switch(&vm->gspace.host);
	status = guest_mem_write(vm, gpa(CODE), code, sizeof(code));
	if (status == HV_OK) {
		status = guest_mem_write(vm, gpa(HANDLER), handler, sizeof(handler));
	}
	if (status == HV_OK) {
		status = guest_mem_write(vm, gpa(VECTOR * 4ull), vector, sizeof(vector));
	}
	return status;
}

static void set_registers(struct vcpu *vcpu)
{
	struct vcpu_segment cs;

	the_backend->get_seg(vcpu, VCPU_SEG_CS, &cs);
	cs.selector = 0;
	cs.base = 0;
	the_backend->set_seg(vcpu, VCPU_SEG_CS, &cs);
	vcpu->rip = CODE;
	vcpu->gpr[GPR_RSP] = STACK_TOP;
}

/* One run, with a host interrupt waiting for it. */
static void run(struct vcpu *vcpu, void (*interrupt)(unsigned cpu), struct vm_exit *exit)
{
	const struct apic_entry entry = {.mode = APIC_MODE_XAPIC, .requested = VECTOR};
	unsigned here = cpu_this()->index;

	the_backend->apic_page(vcpu)[(0x200 + VECTOR / 32 * 16) / 4] = 1u << VECTOR % 32;
	the_backend->vcpu_load(vcpu, here);
	the_backend->apic_load(vcpu, &entry);
	interrupt(here);
	the_backend->vcpu_run(vcpu, exit);
	if (exit->kind == VM_EXIT_HOST_INTERRUPT && exit->host_interrupt.acknowledged) {
		trap_irq_dispatch(exit->host_interrupt.vector);
	}
	cpu_interrupt_window();
	the_backend->vcpu_put(vcpu);
}

static bool judge(const struct vcpu *vcpu, const struct vm_exit *exit)
{
	bool delivered = vcpu->rip >= HANDLER && vcpu->rip <= HANDLER + sizeof(handler);

	if (delivered) {
		log_info("virtual interrupts: this CPU delivers them though RFLAGS.IF is clear");
	} else if (exit->kind != VM_EXIT_HOST_INTERRUPT) {
		log_info("virtual interrupts: this CPU does not end a guest's run for a host "
			 "interrupt");
	}
	return !delivered && exit->kind == VM_EXIT_HOST_INTERRUPT;
}

static bool probe_in(struct vm *vm, void (*interrupt)(unsigned cpu))
{
	struct vm_exit exit;
	struct vcpu *vcpu;
	enum hv_status status = fill(vm);
	bool good = false;

	if (status == HV_OK) {
		status = the_backend->vm_init(vm);
	}
	if (status != HV_OK) {
		return false;
	}
	vcpu = vcpu_new(vm, 0);
	if (vcpu != NULL) {
		set_registers(vcpu);
		run(vcpu, interrupt, &exit);
		good = judge(vcpu, &exit);
		vcpu_delete(vcpu);
	}
	the_backend->vm_fini(vm);
	return good;
}

bool probe_virtual_interrupts(void (*interrupt)(unsigned cpu))
{
	struct vm *vm = pool_alloc(sizeof(*vm));
	bool good = false;

	if (vm == NULL) {
		return false;
	}
	(void)str_copy(vm->name, sizeof(vm->name), span_of("probe"));
	vm->id = OWNER;
	if (gspace_init(&vm->gspace, vm->id, the_backend->info.stage2_format,
			the_backend->info.stage2_max_level) == HV_OK) {
		good = probe_in(vm, interrupt);
		space_switch(space_core());
		while (!gspace_fini_step(&vm->gspace, UINT64_MAX)) {
		}
	}
	pool_free(vm, sizeof(*vm));
	return good;
}
