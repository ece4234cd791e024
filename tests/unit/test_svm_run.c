/* SPDX-License-Identifier: Apache-2.0 */
/* Entry and exit with a guest that is a C function. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "hv/base/log.h"
#include "hv/base/ring.h"
#include "hv/cpu/regs.h"
#include "svm/decode.h"
#include "tests/fakes/svm_rig.h"

static struct svm_vcpu *v;
static struct vm_exit out;

static int start_tcg(void **state)
{
	(void)state;
	v = rig_start(RIG_TCG, 4);
	return 0;
}

static int start_all(void **state)
{
	(void)state;
	v = rig_start(RIG_ALL, 4);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	return rig_stop();
}

static const struct vm_exit *run(void (*guest)(struct vcpu *, struct vmcb *))
{
	fake_svm.guest = guest;
	memset(&out, 0xa5, sizeof(out));
	rig.backend->vcpu_run(rig.vcpu, &out);
	return &out;
}

static void cpuid_guest(struct vcpu *vcpu, struct vmcb *vmcb)
{
	vcpu->gpr[GPR_RBX] = 0xbbbb;
	vmcb->rax = vmcb->rax + 1;
	vmcb->rsp = 0x7000;
	vmcb->rip = 0x1234;
	vmcb->exit_code = SVM_EXIT_CPUID;
	vmcb->nrip = 0x1236;
}

static void registers_go_in_and_out(void **state)
{
	(void)state;
	rig.vcpu->gpr[GPR_RAX] = 41;
	rig.vcpu->gpr[GPR_RSP] = 0x8000;
	rig.vcpu->rip = 0x1000;
	assert_int_equal(run(cpuid_guest)->kind, VM_EXIT_CPUID);
	assert_int_equal(fake_svm.entered.rax, 41);
	assert_int_equal(fake_svm.entered.rsp, 0x8000);
	assert_int_equal(fake_svm.entered.rip, 0x1000);
	assert_int_equal(rig.vcpu->gpr[GPR_RAX], 42);
	assert_int_equal(rig.vcpu->gpr[GPR_RSP], 0x7000);
	assert_int_equal(rig.vcpu->gpr[GPR_RBX], 0xbbbb);
	assert_int_equal(rig.vcpu->rip, 0x1234);
	assert_int_equal(fake_svm.vmcb.v, v->vmcb_hpa.v);
	assert_int_equal(fake_svm.host.v, svm_cpu_get(0)->host_hpa.v);
	/* No nRIP on this CPU: what lies in the field is not believed. */
	assert_int_equal(out.insn_len, 0);
}

static void nrip_gives_the_length(void **state)
{
	(void)state;
	assert_int_equal(run(cpuid_guest)->insn_len, 2);
}

static void msr_guest(struct vcpu *vcpu, struct vmcb *vmcb)
{
	vcpu->gpr[GPR_RCX] = 0xdead00000000ull | MSR_EFER;
	vmcb->exit_code = SVM_EXIT_MSR;
	vmcb->exit_info1 = 1;
}

static void an_msr_exit_names_ecx(void **state)
{
	(void)state;
	assert_int_equal(run(msr_guest)->kind, VM_EXIT_MSR_WRITE);
	assert_int_equal(out.msr.index, MSR_EFER);
}

static void mmio_guest(struct vcpu *vcpu, struct vmcb *vmcb)
{
	static const uint8_t mov[] = {0x89, 0x03};

	(void)vcpu;
	vmcb->exit_code = SVM_EXIT_NPF;
	vmcb->exit_info1 = 1ull << 32 | 6;
	vmcb->exit_info2 = 0xfec00000;
	vmcb->insn_count = 2;
	memcpy(vmcb->insn, mov, sizeof(mov));
}

static void decode_assists_bring_bytes(void **state)
{
	(void)state;
	assert_int_equal(run(mmio_guest)->kind, VM_EXIT_NESTED_FAULT);
	assert_int_equal(out.fault.gpa.v, 0xfec00000);
	assert_int_equal(out.insn_bytes_count, 2);
	assert_int_equal(out.insn_bytes[0], 0x89);
}

static void without_them_bytes_are_not_believed(void **state)
{
	(void)state;
	assert_int_equal(run(mmio_guest)->insn_bytes_count, 0);
}

static void an_event_is_injected_once(void **state)
{
	struct vcpu_event irq = {.type = VCPU_EVENT_INTERRUPT, .vector = 0x31};

	(void)state;
	rig.backend->inject(rig.vcpu, &irq);
	run(NULL);
	assert_int_equal(fake_svm.entered.event_inj, 0x80000031);
	run(NULL);
	assert_int_equal(fake_svm.entered.event_inj, 0);
}

static void taking_guest(struct vcpu *vcpu, struct vmcb *vmcb)
{
	(void)vcpu;
	vmcb->_int_ctl &= ~SVM_INT_V_IRQ;
	vmcb->exit_code = SVM_EXIT_CPUID;
}

static void interrupted_guest(struct vcpu *vcpu, struct vmcb *vmcb)
{
	(void)vcpu;
	vmcb->exit_code = SVM_EXIT_INTR;
}

/* QEMU's TCG would deliver it twice: it goes as a virtual interrupt, whose vector is told. */
static void an_interrupt_takes_the_detour(void **state)
{
	struct vcpu_event irq = {.type = VCPU_EVENT_INTERRUPT, .vector = 0x31};

	(void)state;
	svm.features.injects_twice = true;
	rig.backend->set_reg(rig.vcpu, VCPU_REG_RFLAGS, RFLAGS_IF);
	rig.backend->inject(rig.vcpu, &irq);
	assert_int_equal(run(taking_guest)->vectoring.type, VCPU_EVENT_NONE);
	assert_int_equal(fake_svm.entered.event_inj, 0);
	assert_int_equal(bits_get(fake_svm.entered._int_ctl, SVM_INT_V_VECTOR), 0x31);
	assert_true((fake_svm.entered._int_ctl & SVM_INT_V_IRQ) != 0);
	assert_false(vmcb_intercepts(&fake_svm.entered, SVM_INTERCEPT_VINTR));
	/* Nothing of it is left for the next entry. */
	run(cpuid_guest);
	assert_int_equal(fake_svm.entered._int_ctl & SVM_INT_V_IRQ, 0);
	assert_int_equal(rig.backend->blocked(rig.vcpu, VCPU_EVENT_INTERRUPT), 0);
}

static void a_detour_that_was_cut_short_comes_again(void **state)
{
	struct vcpu_event irq = {.type = VCPU_EVENT_INTERRUPT, .vector = 0x31};

	(void)state;
	svm.features.injects_twice = true;
	rig.backend->set_reg(rig.vcpu, VCPU_REG_RFLAGS, RFLAGS_IF);
	rig.backend->set_windows(rig.vcpu, 0x22, false);
	rig.backend->inject(rig.vcpu, &irq);
	assert_int_equal(run(interrupted_guest)->kind, VM_EXIT_HOST_INTERRUPT);
	assert_int_equal(out.vectoring.type, VCPU_EVENT_INTERRUPT);
	assert_int_equal(out.vectoring.vector, 0x31);
	/* The window that was wanted before is there again, intercepted. */
	assert_int_equal(bits_get(v->vmcb->_int_ctl, SVM_INT_V_VECTOR), 0x22);
	assert_true(vmcb_intercepts(v->vmcb, SVM_INTERCEPT_VINTR));
}

static void other_events_take_no_detour(void **state)
{
	struct vcpu_event gp = {
		.type = VCPU_EVENT_EXCEPTION, .vector = EXC_GP, .has_error = true, .error = 8};

	(void)state;
	svm.features.injects_twice = true;
	rig.backend->inject(rig.vcpu, &gp);
	run(cpuid_guest);
	assert_int_equal(fake_svm.entered.event_inj & UINT32_MAX, 0x80000b0d);
	assert_int_equal(fake_svm.entered._int_ctl & SVM_INT_V_IRQ, 0);
}

static void what_did_not_change_is_clean(void **state)
{
	(void)state;
	run(NULL);
	assert_int_equal(fake_svm.entered.clean, 0);
	run(NULL);
	assert_int_equal(fake_svm.entered.clean, SVM_CLEAN_ALL);
	rig.backend->set_reg(rig.vcpu, VCPU_REG_CR3, 0x5000);
	run(NULL);
	assert_int_equal(fake_svm.entered.clean, SVM_CLEAN_ALL & ~SVM_CLEAN_CR);
	/* Another CPU knows nothing of it. */
	rig.backend->vcpu_put(rig.vcpu);
	rig.backend->vcpu_load(rig.vcpu, 1);
	run(NULL);
	assert_int_equal(fake_svm.entered.clean, 0);
	assert_int_equal(fake_svm.host.v, svm_cpu_get(1)->host_hpa.v);
	/* Away and back with no other CPU in between. */
	rig.backend->vcpu_put(rig.vcpu);
	rig.backend->vcpu_load(rig.vcpu, 1);
	run(NULL);
	assert_int_equal(fake_svm.entered.clean, SVM_CLEAN_ALL);
}

static void a_flush_takes_a_new_asid(void **state)
{
	(void)state;
	run(NULL); /* the first one ever, and reset asks for a flush */
	assert_int_equal(fake_svm.entered.tlb_control, SVM_TLB_FLUSH_ALL);
	assert_int_equal(fake_svm.entered._asid, 1);
	run(NULL);
	assert_int_equal(fake_svm.entered.tlb_control, SVM_TLB_NOTHING);
	rig.backend->tlb_flush(rig.vcpu);
	run(NULL);
	assert_int_equal(fake_svm.entered.tlb_control, SVM_TLB_NOTHING);
	assert_int_equal(fake_svm.entered._asid, 2);
	assert_int_equal(fake_svm.entered.clean, SVM_CLEAN_ALL & ~SVM_CLEAN_ASID);
	run(NULL);
	assert_int_equal(fake_svm.entered._asid, 2);
}

static void a_flush_by_asid_keeps_it(void **state)
{
	(void)state;
	run(NULL);
	rig.backend->tlb_flush(rig.vcpu);
	run(NULL);
	assert_int_equal(fake_svm.entered.tlb_control, SVM_TLB_FLUSH_ASID);
	assert_int_equal(fake_svm.entered._asid, 1);
	run(NULL);
	assert_int_equal(fake_svm.entered.tlb_control, SVM_TLB_NOTHING);
}

static void another_cpu_means_another_asid(void **state)
{
	(void)state;
	run(NULL);
	rig.backend->vcpu_load(rig.vcpu, 1);
	run(NULL);
	assert_int_equal(fake_svm.entered.tlb_control, SVM_TLB_FLUSH_ALL);
	rig.backend->vcpu_load(rig.vcpu, 0);
	run(NULL);
	assert_int_equal(fake_svm.entered._asid, 2);
}

static void tsc_aux_is_switched(void **state)
{
	static const struct msr_pass_range pass[] = {{MSR_TSC_AUX, 1, MSR_PASS_BOTH}, {0, 0, 0}};

	(void)state;
	/* The guest's writes exit: hv keeps vcpu->tsc_aux, the MSR is only loaded. */
	rig.vcpu->tsc_aux = 5;
	rig.backend->vcpu_load(rig.vcpu, 0);
	assert_int_equal(fake_msr_get(MSR_TSC_AUX), 5);
	rig.vcpu->tsc_aux = 6;
	rig.backend->vcpu_put(rig.vcpu);
	assert_int_equal(rig.vcpu->tsc_aux, 6);
	assert_int_equal(rig_stop(), 0);
	/* The guest writes it itself: it is read back. */
	rig.policy.msrs = pass;
	v = rig_start(RIG_TCG, 4);
	rig.policy.msrs = NULL;
	fake_msr_set(MSR_TSC_AUX, 7);
	rig.backend->vcpu_put(rig.vcpu);
	assert_int_equal(rig.vcpu->tsc_aux, 7);
}

static void early_window_guest(struct vcpu *vcpu, struct vmcb *vmcb)
{
	(void)vcpu;
	vmcb->exit_code = SVM_EXIT_VINTR;
}

static void an_early_window_is_not_reported(void **state)
{
	(void)state;
	rig.backend->set_reg(rig.vcpu, VCPU_REG_CR8, 3);
	rig.backend->set_windows(rig.vcpu, 0x31, false);
	assert_int_equal(run(early_window_guest)->kind, VM_EXIT_SPURIOUS);
	rig.backend->set_reg(rig.vcpu, VCPU_REG_CR8, 2);
	assert_int_equal(run(early_window_guest)->kind, VM_EXIT_INTERRUPT_WINDOW);
}

static void an_open_window_needs_no_entry(void **state)
{
	(void)state;
	rig.backend->set_reg(rig.vcpu, VCPU_REG_CR8, 2);
	rig.backend->set_reg(rig.vcpu, VCPU_REG_RFLAGS, RFLAGS_IF);
	rig.backend->set_windows(rig.vcpu, 0x31, false);
	assert_int_equal(run(early_window_guest)->kind, VM_EXIT_INTERRUPT_WINDOW);
	assert_int_equal(fake_svm.enter_count, 0);
	/* Closed, it is the guest that opens it. */
	rig.backend->set_reg(rig.vcpu, VCPU_REG_RFLAGS, 0);
	assert_int_equal(run(cpuid_guest)->kind, VM_EXIT_CPUID);
	/* And none is reported that nobody wants. */
	rig.backend->set_reg(rig.vcpu, VCPU_REG_RFLAGS, RFLAGS_IF);
	rig.backend->set_windows(rig.vcpu, -1, false);
	assert_int_equal(run(cpuid_guest)->kind, VM_EXIT_CPUID);
	assert_int_equal(fake_svm.enter_count, 2);
}

/* What is prepared for an NMI's window counts on an entry: the guest must not see the step flag. */
static void an_open_window_prepares_no_step(void **state)
{
	(void)state;
	v->nmi.state = SVM_NMI_IRET;
	rig.backend->set_reg(rig.vcpu, VCPU_REG_RFLAGS, RFLAGS_IF);
	rig.backend->set_windows(rig.vcpu, 0x31, true);
	assert_int_equal(run(early_window_guest)->kind, VM_EXIT_INTERRUPT_WINDOW);
	assert_int_equal(rig.backend->get_reg(rig.vcpu, VCPU_REG_RFLAGS) & RFLAGS_TF, 0);
	assert_false(v->nmi.stepping);
}

static void cr2_goes_into_the_cpu(void **state)
{
	(void)state;
	rig.backend->set_reg(rig.vcpu, VCPU_REG_CR2, 0x1000);
	assert_int_equal(fake_cpu.cr2, 0x1000);
	/* What happens to a vCPU while another is loaded is its own affair. */
	rig.backend->vcpu_put(rig.vcpu);
	fake_cpu.cr2 = 0xbad;
	rig.backend->set_reg(rig.vcpu, VCPU_REG_CR2, 0x2000);
	assert_int_equal(fake_cpu.cr2, 0xbad);
	rig.backend->vcpu_load(rig.vcpu, 0);
	assert_int_equal(fake_cpu.cr2, 0x2000);
	assert_int_equal(v->vmcb->_cr2, 0x2000);
	/* A guest that resets itself does so while it is loaded. */
	rig.backend->vcpu_reset(rig.vcpu);
	assert_int_equal(fake_cpu.cr2, 0);
}

static void refusing_guest(struct vcpu *vcpu, struct vmcb *vmcb)
{
	(void)vcpu;
	vmcb->exit_code = ~0ull;
	vmcb->rip = 0xffffffff80001234ull; /* the host's, as QEMU leaves it */
	vmcb->rax = 0x2409000;
}

static bool log_has(const char *text)
{
	static char buf[32768 + 1];
	uint64_t pos = 0;
	size_t n = ring_read(log_ring(), &pos, buf, sizeof(buf) - 1);

	buf[n] = '\0';
	return strstr(buf, text) != NULL;
}

static void a_refused_entry_says_which_rule(void **state)
{
	struct vcpu_event bad = {.type = VCPU_EVENT_EXCEPTION, .vector = 40};

	(void)state;
	rig.vcpu->rip = 0x1000;
	rig.backend->set_reg(rig.vcpu, VCPU_REG_CR0, CR0_NW);
	assert_int_equal(run(refusing_guest)->kind, VM_EXIT_ENTRY_FAILED);
	assert_true(log_has("web: vCPU 0: VMRUN refused the state: CR0.NW is set"));
	assert_int_equal(rig.vcpu->rip, 0x1000);
	assert_int_equal(rig.vcpu->gpr[GPR_RAX], 0);
	rig.backend->vcpu_reset(rig.vcpu);
	rig.backend->inject(rig.vcpu, &bad);
	assert_int_equal(run(refusing_guest)->kind, VM_EXIT_ENTRY_FAILED);
	assert_true(log_has("the injected event has"));
	/* Nothing is left that would make the next one fail as well. */
	assert_int_equal(rig.backend->blocked(rig.vcpu, VCPU_EVENT_EXCEPTION), 0);
	assert_int_equal(run(refusing_guest)->kind, VM_EXIT_ENTRY_FAILED);
	assert_true(log_has("breaks no rule"));
}

#define WITH(setup, test) cmocka_unit_test_setup_teardown(test, setup, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(start_tcg, registers_go_in_and_out),
		WITH(start_all, nrip_gives_the_length),
		WITH(start_tcg, an_msr_exit_names_ecx),
		WITH(start_all, decode_assists_bring_bytes),
		WITH(start_tcg, without_them_bytes_are_not_believed),
		WITH(start_tcg, an_event_is_injected_once),
		WITH(start_tcg, an_interrupt_takes_the_detour),
		WITH(start_tcg, a_detour_that_was_cut_short_comes_again),
		WITH(start_tcg, other_events_take_no_detour),
		WITH(start_tcg, what_did_not_change_is_clean),
		WITH(start_tcg, a_flush_takes_a_new_asid),
		WITH(start_all, a_flush_by_asid_keeps_it),
		WITH(start_tcg, another_cpu_means_another_asid),
		WITH(start_tcg, tsc_aux_is_switched),
		WITH(start_tcg, an_early_window_is_not_reported),
		WITH(start_tcg, an_open_window_needs_no_entry),
		WITH(start_tcg, an_open_window_prepares_no_step),
		WITH(start_tcg, cr2_goes_into_the_cpu),
		WITH(start_tcg, a_refused_entry_says_which_rule),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
