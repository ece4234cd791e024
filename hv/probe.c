/* SPDX-License-Identifier: Apache-2.0 */
/* Guests that test the CPU. */
#include "hv/probe.h"

#include "hv/api/apic_page.h"
#include "hv/api/gmem.h"
#include "hv/base/log.h"
#include "hv/base/str.h"
#include "hv/cpu/insn.h"
#include "hv/cpu/percpu.h"
#include "hv/cpu/regs.h"
#include "hv/cpu/trap.h"
#include "hv/vcpu.h"
#include "mm/pool.h"

/* No guest exists yet that this could be mistaken for. */
#define OWNER 1u

/* The one page of the guest's memory: real-mode vectors, code, handler, stack. */
#define CODE 0x500u
#define HANDLER 0x600u
#define STACK_TOP 0x800u
#define VECTORS 256u
#define VECTOR 0x40u

/* Runs of the posting guest: other host interrupts may end some. */
#define RUNS_MAX 16u

/* No virtual interrupt may come: behind STI is its shadow, and then IF is clear again. */
static const uint8_t masked_code[] = {
	0xfb,		  /* sti */
	0xfa,		  /* cli */
	0xb9, 0xff, 0xff, /* mov cx, 0xffff */
	0xe2, 0xfe,	  /* loop to itself, until the host interrupt comes */
	0xf4,		  /* hlt */
};
/* A virtual interrupt must come before the loop is over. */
static const uint8_t open_code[] = {
	0xfb,		  /* sti */
	0xb9, 0xff, 0xff, /* mov cx, 0xffff */
	0xe2, 0xfe,	  /* loop to itself */
	0xf4,		  /* hlt */
};
static const uint8_t handler[] = {0xf4}; /* hlt */
static const uint16_t vector[] = {HANDLER, 0};

/* What one guest is to show: its code, and how it is run and judged. */
struct trial {
	const uint8_t *code;
	size_t size;
	bool (*run)(struct vcpu *vcpu, void (*interrupt)(unsigned cpu));
};

static enum hv_status fill(struct vm *vm, const struct trial *trial)
{
	enum hv_status status = gspace_add_region(&vm->gspace, 0, PAGE_SIZE, true);

	if (status == HV_OK) {
		status = gspace_populate(&vm->gspace, 0, PAGE_SIZE);
	}
	if (status != HV_OK) {
		return status;
	}
	space_switch(&vm->gspace.host);
	status = guest_mem_write(vm, gpa(CODE), trial->code, trial->size);
	if (status == HV_OK) {
		status = guest_mem_write(vm, gpa(HANDLER), handler, sizeof(handler));
	}
	/* Whatever comes, it is seen. */
	for (unsigned i = 0; status == HV_OK && i < VECTORS; i++) {
		status = guest_mem_write(vm, gpa(i * sizeof(vector)), vector, sizeof(vector));
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

/* The host interrupt that ended the run, or waits, is served. */
static void serve(const struct vm_exit *exit)
{
	if (exit->kind == VM_EXIT_HOST_INTERRUPT && exit->host_interrupt.acknowledged) {
		trap_irq_dispatch(exit->host_interrupt.vector);
	}
	cpu_interrupt_window();
}

static bool delivered(const struct vcpu *vcpu)
{
	return vcpu->rip >= HANDLER && vcpu->rip <= HANDLER + sizeof(handler);
}

static bool judge_masked(const struct vcpu *vcpu, const struct vm_exit *exit)
{
	if (delivered(vcpu)) {
		log_info("virtual interrupts: this CPU delivers them though RFLAGS.IF is clear");
	} else if (exit->kind != VM_EXIT_HOST_INTERRUPT) {
		log_info("virtual interrupts: this CPU does not end a guest's run for a host "
			 "interrupt");
	}
	return !delivered(vcpu) && exit->kind == VM_EXIT_HOST_INTERRUPT;
}

/* One run, with a host interrupt waiting for it. */
static bool run_masked(struct vcpu *vcpu, void (*interrupt)(unsigned cpu))
{
	const struct apic_entry entry = {.mode = APIC_MODE_XAPIC, .requested = VECTOR};
	unsigned here = cpu_this()->index;
	struct vm_exit exit;

	the_backend->apic_page(vcpu)[(0x200 + VECTOR / 32 * 16) / 4] = 1u << VECTOR % 32;
	the_backend->vcpu_load(vcpu, here);
	the_backend->apic_load(vcpu, &entry);
	interrupt(here);
	the_backend->vcpu_run(vcpu, &exit);
	serve(&exit);
	the_backend->vcpu_put(vcpu);
	return judge_masked(vcpu, &exit);
}

/* Runs the guest, which a notice waits for, to its end; other host interrupts may come first. */
static void run_noticed(struct vcpu *vcpu, void (*notify)(unsigned cpu), struct vm_exit *exit)
{
	const struct apic_entry entry = {.mode = APIC_MODE_XAPIC};
	unsigned left = RUNS_MAX;

	the_backend->apic_load(vcpu, &entry);
	notify(cpu_this()->index);
	do {
		the_backend->vcpu_run(vcpu, exit);
		serve(exit);
		left--;
	} while (exit->kind == VM_EXIT_HOST_INTERRUPT && left != 0);
}

/* A notice that made an exit is over, and the guest has heard nothing. */
static bool takes_a_post(struct vcpu *vcpu, void (*notify)(unsigned cpu))
{
	struct vm_exit exit;
	bool good;

	(void)apic_post_add(vcpu->post, VECTOR);
	run_noticed(vcpu, notify, &exit);
	good = exit.kind == VM_EXIT_HLT && delivered(vcpu) && !apic_post_outstanding(vcpu->post) &&
	       apic_post_peek(vcpu->post, VECTOR / 32) == 0;
	if (!good) {
		log_info("posted interrupts: this CPU does not take them without an exit");
	}
	return good;
}

/* Such a notice is one that comes late: somebody else has taken what it was about. */
static bool ignores_an_empty_notice(struct vcpu *vcpu, void (*notify)(unsigned cpu))
{
	struct vm_exit exit;
	bool good;

	the_backend->set_reg(vcpu, VCPU_REG_RFLAGS, RFLAGS_FIXED1);
	set_registers(vcpu);
	run_noticed(vcpu, notify, &exit);
	good = exit.kind == VM_EXIT_HLT && !delivered(vcpu);
	if (!good) {
		log_info("posted interrupts: this CPU delivers one that nobody posted");
	}
	return good;
}

static bool run_posted(struct vcpu *vcpu, void (*notify)(unsigned cpu))
{
	bool good;

	the_backend->vcpu_load(vcpu, cpu_this()->index);
	good = takes_a_post(vcpu, notify) && ignores_an_empty_notice(vcpu, notify);
	the_backend->vcpu_put(vcpu);
	return good;
}

static bool probe_in(struct vm *vm, const struct trial *trial, void (*interrupt)(unsigned cpu))
{
	struct vcpu *vcpu;
	enum hv_status status = fill(vm, trial);
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
		good = trial->run(vcpu, interrupt);
		vcpu_delete(vcpu);
	}
	the_backend->vm_fini(vm);
	return good;
}

static bool probe(const struct trial *trial, void (*interrupt)(unsigned cpu))
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
		good = probe_in(vm, trial, interrupt);
		space_switch(space_core());
		while (!gspace_fini_step(&vm->gspace, UINT64_MAX)) {
		}
	}
	pool_free(vm, sizeof(*vm));
	return good;
}

bool probe_virtual_interrupts(void (*interrupt)(unsigned cpu))
{
	static const struct trial masked = {masked_code, sizeof(masked_code), run_masked};

	return probe(&masked, interrupt);
}

bool probe_posted_interrupts(void (*notify)(unsigned cpu))
{
	static const struct trial posted = {open_code, sizeof(open_code), run_posted};

	return probe(&posted, notify);
}
