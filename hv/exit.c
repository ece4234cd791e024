/* SPDX-License-Identifier: Apache-2.0 */
/* Exit dispatch and the simple handlers. */
#include "hv/exit.h"

#include "hv/base/fmt.h"
#include "hv/base/log.h"
#include "hv/cpu/insn.h"
#include "hv/cpu/regs.h"
#include "hv/cpu/trap.h"
#include "hv/event.h"
#include "hv/fpu.h"
#include "hv/guest.h"
#include "hv/pv.h"
#include "hv/run.h"
#include "hv/vcpu.h"

#define UNCLAIMED_LOG_MAX 32u

void exit_stop(struct vcpu *vcpu, const char *reason)
{
	guest_end(guest_of(vcpu->vm), GUEST_END_CRASH, reason);
}

static struct lapic *lapic_of(const struct vcpu *vcpu)
{
	return board_lapic(guest_of(vcpu->vm)->board, vcpu->index);
}

/* Whether the CPU works on the LAPIC's registers by itself. */
static bool lapic_has_page(struct vcpu *vcpu)
{
	return lapic_of(vcpu)->page != NULL;
}

void exit_sync_tpr_from_hw(struct vcpu *vcpu)
{
	if (!lapic_has_page(vcpu)) {
		lapic_set_cr8(lapic_of(vcpu), the_backend->get_reg(vcpu, VCPU_REG_CR8));
	}
}

void exit_sync_tpr_to_hw(struct vcpu *vcpu)
{
	if (!lapic_has_page(vcpu)) {
		the_backend->set_reg(vcpu, VCPU_REG_CR8, lapic_cr8(lapic_of(vcpu)));
	}
}

static void on_host_interrupt(struct vcpu *vcpu, struct vm_exit *exit)
{
	(void)vcpu;
	if (exit->host_interrupt.acknowledged) {
		trap_irq_dispatch(exit->host_interrupt.vector);
	} else {
		cpu_interrupt_window();
	}
}

/* The NMI was taken by the host's own handler, or is taken now. */
static void on_host_nmi(struct vcpu *vcpu, struct vm_exit *exit)
{
	(void)vcpu;
	(void)exit;
	cpu_interrupt_window();
}

static void on_window(struct vcpu *vcpu, struct vm_exit *exit)
{
	(void)exit;
	/* The backend has closed the window: ask again if something is still left. */
	vcpu->events.window_vector = -1;
	vcpu->events.window_nmi = false;
	the_backend->set_windows(vcpu, -1, false);
	vcpu_request(vcpu, VCPU_REQ_EVENT);
}

/* Any leaf at all. */
static __attribute__((noinline)) struct cpuid_regs cpuid_any(struct vcpu *vcpu, uint32_t leaf,
							     uint32_t subleaf)
{
	const struct guest *g = guest_of(vcpu->vm);
	const struct lapic *l = board_lapic(g->board, vcpu->index);
	struct cpuid_vcpu_state state = {
		.apic_id = l->id,
		.cr4 = the_backend->get_reg(vcpu, VCPU_REG_CR4),
		.xcr0 = fpu_xcr0(vcpu),
		.apic_enabled = lapic_enabled(l),
	};

	return cpuid_read(&g->cpuid, &state, leaf, subleaf);
}

/* Leaves that show the vCPU's own state: the usual ones get only what they show. */
static struct cpuid_regs cpuid_own(struct vcpu *vcpu, uint32_t leaf, uint32_t subleaf)
{
	const struct guest *g = guest_of(vcpu->vm);
	const struct lapic *l = board_lapic(g->board, vcpu->index);

	switch (leaf) {
	case 1:
		return cpuid_features(&g->cpuid, l->id, the_backend->get_reg(vcpu, VCPU_REG_CR4),
				      lapic_enabled(l));
	case CPUID_LEAF_TOPOLOGY:
		return cpuid_topology(&g->cpuid, l->id, subleaf);
	case CPUID_LEAF_XSAVE:
		return cpuid_xsave(&g->cpuid, fpu_xcr0(vcpu), subleaf);
	default:
		return cpuid_any(vcpu, leaf, subleaf);
	}
}

/* The cheapest way first: the last one takes 100 instructions more than the first. */
static void on_cpuid(struct vcpu *vcpu, struct vm_exit *exit)
{
	uint32_t leaf = (uint32_t)vcpu->gpr[GPR_RAX];
	const struct cpuid_regs *plain;
	struct cpuid_regs r;

	/* It cannot fail: completed first, nothing has to be kept meanwhile. */
	if (!vcpu_skip(vcpu, exit, INSN_CPUID)) {
		return;
	}
	plain = cpuid_plain(&guest_of(vcpu->vm)->cpuid, leaf);
	r = plain != NULL ? *plain : cpuid_own(vcpu, leaf, (uint32_t)vcpu->gpr[GPR_RCX]);
	vcpu->gpr[GPR_RAX] = r.eax;
	vcpu->gpr[GPR_RBX] = r.ebx;
	vcpu->gpr[GPR_RCX] = r.ecx;
	vcpu->gpr[GPR_RDX] = r.edx;
}

/* Whether `stranded` holds of each vCPU, and none has been asked for what gets it going. */
static bool each_stranded(const struct vm *vm)
{
	for (unsigned i = 0; i < vm->vcpu_count; i++) {
		const struct vcpu *other = vm->vcpus[i];

		/* In this order: whoever takes such a request clears `stranded` first. */
		if ((atomic_load(&other->requests) & VCPU_REQ_REVIVE) != 0 ||
		    !atomic_load(&other->stranded)) {
			return false;
		}
	}
	return true;
}

/*
 * Whether nothing can get this VM going again. Each vCPU says that it is stranded before it looks
 * at the others, so the last one sees it of all. Twice: one that was still to be looked at may have
 * asked something of one that had been, and then stranded itself; `revivals` tells if that one has
 * taken it already.
 */
static bool all_stranded(const struct vm *vm)
{
	uint32_t revivals = atomic_load(&vm->revivals);
	/* Also if what suspended it is over by the time of the last look. */
	bool suspended = atomic_load(&vm->suspended);

	for (unsigned look = 0; look < 2; look++) {
		if (!each_stranded(vm)) {
			return false;
		}
	}
	return !suspended && !atomic_load(&vm->suspended) && atomic_load(&vm->revivals) == revivals;
}

void exit_strand(struct vcpu *vcpu)
{
	atomic_store(&vcpu->stranded, true);
	/* With no vCPU left to send an NMI or INIT this is the end, not a pause. */
	if (all_stranded(vcpu->vm)) {
		guest_end(guest_of(vcpu->vm), GUEST_END_POWER_OFF, "halted with interrupts off");
	}
}

static void on_hlt(struct vcpu *vcpu, struct vm_exit *exit)
{
	if (!vcpu_skip(vcpu, exit, INSN_HLT)) {
		return;
	}
	vcpu->halted = true;
	vcpu_request(vcpu, VCPU_REQ_EVENT | VCPU_REQ_HALTED);
	if ((the_backend->get_reg(vcpu, VCPU_REG_RFLAGS) & RFLAGS_IF) != 0 ||
	    vcpu->events.nmi_pending != 0 || vcpu->pv.unhalt) {
		return;
	}
	exit_strand(vcpu);
}

static void note_unclaimed(const struct vcpu *vcpu, const struct vm_exit_io *io, uint64_t value)
{
	if (vcpu->vm->pio.unclaimed.total <= UNCLAIMED_LOG_MAX) {
		log_debug("%s: port 0x%x size %u: no device or register, %s 0x%lx", vcpu->vm->name,
			  io->port, io->size, io->in ? "reads" : "drops", value);
	}
}

static void on_io(struct vcpu *vcpu, struct vm_exit *exit)
{
	const struct vm_exit_io *io = &exit->io;
	uint64_t *rax = &vcpu->gpr[GPR_RAX];
	uint64_t mask = size_mask(io->size);
	struct vm *vm = vcpu->vm;
	uint64_t value = *rax & mask;
	bool claimed;

	if (io->string) {
		exit_string_io(vcpu, exit);
		return;
	}
	/* IN and OUT with an immediate or DX, always told by hardware: both backends give a length.
	 */
	if (!vcpu_skip(vcpu, exit, 0)) {
		return;
	}
	if (io->in) {
		claimed = bus_read(&vm->pio, io->port, io->size, vcpu->index, &value);
		*rax = io->size == 4 ? value : (*rax & ~mask) | value;
	} else {
		claimed = bus_write(&vm->pio, io->port, io->size, vcpu->index, value);
	}
	if (!claimed) {
		note_unclaimed(vcpu, io, value);
	}
}

/* A guest whose events raise events may never get to where a physical interrupt could end its run.
 */
static void let_interrupts_in(void)
{
	cpu_interrupt_window();
}

static void on_exception(struct vcpu *vcpu, struct vm_exit *exit)
{
	struct vcpu_event event = {.type = VCPU_EVENT_EXCEPTION,
				   .vector = exit->exception.vector,
				   .has_error = exit->exception.has_error,
				   .error = exit->exception.error};
	uint64_t payload = 0;

	let_interrupts_in();
	if (event.vector == EXC_UD && pv_hypercall_undefined(vcpu, exit)) {
		return;
	}
	if (event.vector == EXC_PF) {
		payload = exit->exception.cr2;
	} else if (event.vector == EXC_DB) {
		payload = exit->exception.dr6;
	}
	if (event_exception(vcpu, &event, payload) == EVENT_TRIPLE_FAULT) {
		exit_stop(vcpu, "triple fault");
	}
}

static void on_hypercall(struct vcpu *vcpu, struct vm_exit *exit)
{
	if (vcpu->vm->hyperv != NULL) {
		hyperv_hypercall(vcpu, exit);
	} else {
		pv_hypercall(vcpu, exit);
	}
}

static void on_triple_fault(struct vcpu *vcpu, struct vm_exit *exit)
{
	(void)exit;
	exit_stop(vcpu, "triple fault");
}

/* QEMU's TCG (10.0, 11.1) exits before it looks whether CR4.OSXSAVE lets the instruction be. */
static void on_xsetbv(struct vcpu *vcpu, struct vm_exit *exit)
{
	const struct guest *g = guest_of(vcpu->vm);
	uint64_t value = vcpu->gpr[GPR_RDX] << 32 | (uint32_t)vcpu->gpr[GPR_RAX];

	if ((the_backend->get_reg(vcpu, VCPU_REG_CR4) & CR4_OSXSAVE) == 0) {
		vcpu_raise(vcpu, EXC_UD);
		return;
	}
	if (vcpu_cpl(vcpu) != 0 || (uint32_t)vcpu->gpr[GPR_RCX] != 0 ||
	    !fpu_write_xcr0(vcpu, value, g->cpuid.xcr0_mask)) {
		vcpu_raise_error(vcpu, EXC_GP, 0);
		return;
	}
	(void)vcpu_skip(vcpu, exit, INSN_XSETBV);
}

static void on_pause(struct vcpu *vcpu, struct vm_exit *exit)
{
	if (vcpu_skip(vcpu, exit, INSN_PAUSE)) {
		run_yield();
	}
}

/* WBINVD and INVD: guest memory is coherent and write-back, there is nothing to flush. */
static void on_wbinvd(struct vcpu *vcpu, struct vm_exit *exit)
{
	if (!vcpu_skip(vcpu, exit, INSN_WBINVD)) {
		(void)vcpu_skip(vcpu, exit, INSN_INVD);
	}
}

/* No performance counters: any RDPMC is out of range. */
static void on_rdpmc(struct vcpu *vcpu, struct vm_exit *exit)
{
	(void)exit;
	vcpu_raise_error(vcpu, EXC_GP, 0);
}

/* Instructions whose CPUID bit is hidden. */
static void on_undefined(struct vcpu *vcpu, struct vm_exit *exit)
{
	(void)exit;
	vcpu_raise(vcpu, EXC_UD);
}

static void stop_with(struct vcpu *vcpu, const char *what, uint64_t a, uint64_t b)
{
	char reason[GUEST_REASON_MAX];

	fmt_snprintf(reason, sizeof(reason), "%s (0x%lx, 0x%lx) at rip 0x%lx", what, a, b,
		     vcpu->rip);
	/* Once: all vCPUs of a guest at the same time would keep their CPUs for many seconds. */
	if (guest_end(guest_of(vcpu->vm), GUEST_END_CRASH, reason)) {
		the_backend->dump(vcpu);
	}
}

static void on_task_switch(struct vcpu *vcpu, struct vm_exit *exit)
{
	stop_with(vcpu, "hardware task switch", exit->task.selector, exit->task.source);
}

/* A physical INIT: the machine is being reset from outside; guests see nothing of it. */
static void on_ignored(struct vcpu *vcpu, struct vm_exit *exit)
{
	(void)vcpu;
	(void)exit;
}

static void on_entry_failed(struct vcpu *vcpu, struct vm_exit *exit)
{
	stop_with(vcpu, "the CPU refused the guest's state", exit->raw.reason, exit->raw.info);
}

static void on_machine_check(struct vcpu *vcpu, struct vm_exit *exit)
{
	if (trap_guest_machine_check() != MCE_HARMLESS) {
		stop_with(vcpu, "machine check while the guest ran", 0, exit->exception.error);
	}
}

static void on_tpr_below(struct vcpu *vcpu, struct vm_exit *exit)
{
	(void)exit;
	vcpu_request(vcpu, VCPU_REQ_EVENT);
}

static void on_unhandled(struct vcpu *vcpu, struct vm_exit *exit)
{
	stop_with(vcpu, "unhandled exit", exit->raw.reason, exit->raw.info);
}

/* These two come only from a CPU that was given the LAPIC's page to work on. */
static void on_apic_write(struct vcpu *vcpu, struct vm_exit *exit)
{
	if (lapic_has_page(vcpu)) {
		lapic_page_written(lapic_of(vcpu), exit->apic.offset);
	} else {
		on_unhandled(vcpu, exit);
	}
}

static void on_virtual_eoi(struct vcpu *vcpu, struct vm_exit *exit)
{
	if (lapic_has_page(vcpu)) {
		lapic_page_eoi(lapic_of(vcpu), exit->apic.vector);
	} else {
		on_unhandled(vcpu, exit);
	}
}

static void (*const handlers[VM_EXIT_KIND_COUNT])(struct vcpu *, struct vm_exit *) = {
	[VM_EXIT_INVALID] = on_unhandled,
	[VM_EXIT_HOST_INTERRUPT] = on_host_interrupt,
	[VM_EXIT_HOST_NMI] = on_host_nmi,
	[VM_EXIT_INTERRUPT_WINDOW] = on_window,
	[VM_EXIT_NMI_WINDOW] = on_window,
	[VM_EXIT_CPUID] = on_cpuid,
	[VM_EXIT_HLT] = on_hlt,
	[VM_EXIT_IO] = on_io,
	[VM_EXIT_MSR_READ] = exit_msr_read,
	[VM_EXIT_MSR_WRITE] = exit_msr_write,
	[VM_EXIT_NESTED_FAULT] = exit_nested_fault,
	[VM_EXIT_EXCEPTION] = on_exception,
	[VM_EXIT_CR_ACCESS] = exit_cr,
	[VM_EXIT_HYPERCALL] = on_hypercall,
	[VM_EXIT_TRIPLE_FAULT] = on_triple_fault,
	[VM_EXIT_XSETBV] = on_xsetbv,
	[VM_EXIT_PAUSE] = on_pause,
	[VM_EXIT_INVLPG] = on_unhandled, /* never asked for: paging is nested */
	[VM_EXIT_WBINVD] = on_wbinvd,
	[VM_EXIT_RDPMC] = on_rdpmc,
	[VM_EXIT_MONITOR] = on_undefined,
	[VM_EXIT_MWAIT] = on_undefined,
	[VM_EXIT_UNDEFINED_INSN] = on_undefined,
	[VM_EXIT_TASK_SWITCH] = on_task_switch,
	[VM_EXIT_INIT] = on_ignored,
	[VM_EXIT_ENTRY_FAILED] = on_entry_failed,
	[VM_EXIT_MACHINE_CHECK] = on_machine_check,
	[VM_EXIT_TPR_BELOW] = on_tpr_below,
	[VM_EXIT_APIC_ACCESS] = exit_apic_access,
	[VM_EXIT_APIC_WRITE] = on_apic_write,
	[VM_EXIT_VIRTUAL_EOI] = on_virtual_eoi,
	[VM_EXIT_SPURIOUS] = on_ignored,
	[VM_EXIT_UNKNOWN] = on_unhandled,
};

/* Out of line, and with it what it would cost every exit. */
static __attribute__((noinline)) void delivery_cut_short(struct vcpu *vcpu,
							 const struct vm_exit *exit)
{
	let_interrupts_in();
	event_note_vectoring(vcpu, &exit->vectoring);
}

void exit_handle(struct vcpu *vcpu, struct vm_exit *exit)
{
	enum vm_exit_kind kind = exit->kind;

	vcpu->exit_count++;
	vcpu->exits_by_kind[kind]++;
	if (exit->vectoring.type != VCPU_EVENT_NONE) {
		delivery_cut_short(vcpu, exit);
	}
	handlers[kind](vcpu, exit);
}
