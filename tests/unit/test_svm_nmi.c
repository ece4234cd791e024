/* SPDX-License-Identifier: Apache-2.0 */
/* NMI blocking and windows, with a scripted guest that returns from its handler. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "hv/cpu/regs.h"
#include "svm/decode.h"
#include "tests/fakes/svm_rig.h"

#define IRET_RIP 0x2000u
#define BACK_RIP 0x1000u

static struct svm_vcpu *v;
static struct vm_exit out;

static int start(void **state)
{
	(void)state;
	v = rig_start(RIG_TCG, 4);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	return rig_stop();
}

static enum vm_exit_kind run(void (*guest)(struct vcpu *, struct vmcb *))
{
	fake_svm.guest = guest;
	rig.backend->vcpu_run(rig.vcpu, &out);
	return out.kind;
}

static bool nmi_blocked(void)
{
	return (rig.backend->blocked(rig.vcpu, VCPU_EVENT_NMI) & VCPU_BLOCKED_NMI) != 0;
}

static void inject_nmi(void)
{
	struct vcpu_event nmi = {.type = VCPU_EVENT_NMI, .vector = 2};

	rig.backend->inject(rig.vcpu, &nmi);
}

/* --- guests --- */

static void exits_in_handler(struct vcpu *vcpu, struct vmcb *vmcb)
{
	(void)vcpu;
	vmcb->rip = 0x1f00;
}

static void reaches_iret(struct vcpu *vcpu, struct vmcb *vmcb)
{
	(void)vcpu;
	assert_true(vmcb_intercepts(vmcb, SVM_INTERCEPT_IRET));
	vmcb->rip = IRET_RIP;
	vmcb->exit_code = SVM_EXIT_IRET;
}

static void executes_iret(struct vcpu *vcpu, struct vmcb *vmcb)
{
	bool traced = (vmcb->rflags & RFLAGS_TF) != 0;

	(void)vcpu;
	assert_false(vmcb_intercepts(vmcb, SVM_INTERCEPT_IRET));
	vmcb->rip = BACK_RIP;
	vmcb->rflags = RFLAGS_FIXED1 | RFLAGS_IF; /* from the stack */
	if (traced) {
		vmcb->exit_code = SVM_EXIT_EXCEPTION + EXC_DB;
		vmcb->_dr6 |= DR6_BS;
	}
}

static void executes_nothing(struct vcpu *vcpu, struct vmcb *vmcb)
{
	(void)vcpu;
	(void)vmcb;
}

static void steps_one_byte(struct vcpu *vcpu, struct vmcb *vmcb)
{
	(void)vcpu;
	assert_true((vmcb->rflags & RFLAGS_TF) != 0);
	vmcb->rip++;
	vmcb->int_state = 0;
	vmcb->exit_code = SVM_EXIT_EXCEPTION + EXC_DB;
	vmcb->_dr6 |= DR6_BS;
}

static void steps_and_tells_no_cause(struct vcpu *vcpu, struct vmcb *vmcb)
{
	steps_one_byte(vcpu, vmcb);
	vmcb->_dr6 = DR6_RESET;
}

static void hits_a_breakpoint_too(struct vcpu *vcpu, struct vmcb *vmcb)
{
	steps_one_byte(vcpu, vmcb);
	vmcb->_dr6 |= 1;
}

static void delivery_is_interrupted(struct vcpu *vcpu, struct vmcb *vmcb)
{
	(void)vcpu;
	vmcb->exit_code = SVM_EXIT_NPF;
	vmcb->exit_int_info = 0x80000202;
}

/* --- tests --- */

static void blocked_from_injection_to_iret(void **state)
{
	(void)state;
	assert_false(nmi_blocked());
	inject_nmi();
	assert_true(nmi_blocked());
	assert_int_equal(run(exits_in_handler), VM_EXIT_HOST_INTERRUPT);
	assert_true(nmi_blocked());
	assert_int_equal(run(reaches_iret), VM_EXIT_SPURIOUS);
	assert_true(nmi_blocked()); /* it has not been executed yet */
	assert_int_equal(run(executes_nothing), VM_EXIT_HOST_INTERRUPT);
	assert_true(nmi_blocked());
	assert_int_equal(run(executes_iret), VM_EXIT_HOST_INTERRUPT);
	assert_false(nmi_blocked());
	/* Nobody waited, so nothing was traced. */
	assert_int_equal(fake_svm.entered.rflags & RFLAGS_TF, 0);
}

static void a_window_opens_right_behind_the_iret(void **state)
{
	(void)state;
	inject_nmi();
	run(exits_in_handler);
	rig.backend->set_windows(rig.vcpu, -1, true);
	run(exits_in_handler);
	assert_int_equal(fake_svm.entered.rflags & RFLAGS_TF, 0);
	run(reaches_iret);
	assert_int_equal(run(executes_iret), VM_EXIT_NMI_WINDOW);
	assert_int_equal(fake_svm.entered.rflags & RFLAGS_TF, RFLAGS_TF);
	assert_false(nmi_blocked());
	/* The guest sees nothing of the step. */
	assert_int_equal(rig.backend->get_reg(rig.vcpu, VCPU_REG_DR6), DR6_RESET);
	assert_int_equal(rig.backend->get_reg(rig.vcpu, VCPU_REG_RFLAGS),
			 RFLAGS_FIXED1 | RFLAGS_IF);
	assert_int_equal(rig.vcpu->rip, BACK_RIP);
}

static void tf_is_taken_back_when_the_iret_did_not_run(void **state)
{
	(void)state;
	inject_nmi();
	rig.backend->set_windows(rig.vcpu, -1, true);
	run(reaches_iret);
	assert_int_equal(run(executes_nothing), VM_EXIT_HOST_INTERRUPT);
	assert_int_equal(fake_svm.entered.rflags & RFLAGS_TF, RFLAGS_TF);
	assert_int_equal(rig.backend->get_reg(rig.vcpu, VCPU_REG_RFLAGS) & RFLAGS_TF, 0);
	assert_true(nmi_blocked());
	assert_int_equal(run(executes_iret), VM_EXIT_NMI_WINDOW);
}

static void an_open_window_costs_no_entry(void **state)
{
	(void)state;
	rig.backend->set_windows(rig.vcpu, -1, true);
	assert_int_equal(run(executes_nothing), VM_EXIT_NMI_WINDOW);
	assert_int_equal(out.insn_len, 0);
	assert_int_equal(out.vectoring.type, VCPU_EVENT_NONE);
	assert_int_equal(fake_svm.enter_count, 0);
}

static void a_shadow_is_stepped_over(void **state)
{
	(void)state;
	v->vmcb->int_state = SVM_INT_SHADOW;
	rig.vcpu->rip = 0x500;
	rig.backend->set_windows(rig.vcpu, -1, true);
	assert_int_equal(run(steps_one_byte), VM_EXIT_NMI_WINDOW);
	assert_int_equal(rig.vcpu->rip, 0x501);
	assert_int_equal(rig.backend->get_reg(rig.vcpu, VCPU_REG_RFLAGS), RFLAGS_FIXED1);
	assert_int_equal(rig.backend->get_reg(rig.vcpu, VCPU_REG_DR6), DR6_RESET);
	assert_int_equal(rig.backend->blocked(rig.vcpu, VCPU_EVENT_NMI), 0);
}

static void loses_the_shadow(struct vcpu *vcpu, struct vmcb *vmcb)
{
	(void)vcpu;
	vmcb->int_state = 0;
}

/* QEMU's VMRUN enters without it. */
static void a_shadow_lasts_until_its_instruction_is_over(void **state)
{
	(void)state;
	v->vmcb->int_state = SVM_INT_SHADOW;
	rig.backend->set_windows(rig.vcpu, -1, true);
	assert_int_equal(run(loses_the_shadow), VM_EXIT_HOST_INTERRUPT);
	assert_int_equal(rig.backend->blocked(rig.vcpu, VCPU_EVENT_NMI), VCPU_BLOCKED_SHADOW);
	assert_int_equal(run(steps_one_byte), VM_EXIT_NMI_WINDOW);
	assert_int_equal(rig.backend->blocked(rig.vcpu, VCPU_EVENT_NMI), 0);
}

static void reaches_hlt(struct vcpu *vcpu, struct vmcb *vmcb)
{
	(void)vcpu;
	assert_int_equal(vmcb->_int_ctl & SVM_INT_V_IRQ, 0);
	assert_true((vmcb->rflags & RFLAGS_TF) != 0);
	vmcb->int_state = 0;
	vmcb->exit_code = SVM_EXIT_HLT;
}

static void is_interrupted(struct vcpu *vcpu, struct vmcb *vmcb)
{
	(void)vcpu;
	assert_int_equal(vmcb->_int_ctl & SVM_INT_V_IRQ, 0);
	vmcb->int_state = 0;
}

static void opens_its_window(struct vcpu *vcpu, struct vmcb *vmcb)
{
	(void)vcpu;
	assert_int_not_equal(vmcb->_int_ctl & SVM_INT_V_IRQ, 0);
	assert_int_equal(vmcb->rflags & RFLAGS_TF, 0);
	vmcb->exit_code = SVM_EXIT_VINTR;
}

/* Between STI and HLT no interrupt may come, or the guest sleeps for good. */
static void where_the_shadow_is_lost_it_is_stepped_over(void **state)
{
	(void)state;
	svm.features.loses_shadow = true;
	v->vmcb->rflags |= RFLAGS_IF;
	v->vmcb->int_state = SVM_INT_SHADOW;
	rig.backend->set_windows(rig.vcpu, 0x41, false);
	assert_int_equal(run(is_interrupted), VM_EXIT_HOST_INTERRUPT);
	assert_int_equal(rig.backend->blocked(rig.vcpu, VCPU_EVENT_INTERRUPT), VCPU_BLOCKED_SHADOW);
	assert_int_equal(run(reaches_hlt), VM_EXIT_HLT);
	assert_int_equal(rig.backend->get_reg(rig.vcpu, VCPU_REG_RFLAGS) & RFLAGS_TF, 0);
	assert_int_equal(rig.backend->clear_shadow(rig.vcpu) & RFLAGS_TF, 0);
	assert_int_equal(run(executes_nothing), VM_EXIT_INTERRUPT_WINDOW);
}

/* What is stepped is any instruction; then the window is there again. */
static void a_window_is_back_behind_the_step(void **state)
{
	(void)state;
	svm.features.loses_shadow = true;
	v->vmcb->int_state = SVM_INT_SHADOW; /* of MOV SS, interrupts off */
	rig.backend->set_windows(rig.vcpu, 0x41, false);
	assert_int_equal(run(steps_one_byte), VM_EXIT_NMI_WINDOW);
	assert_int_equal(run(opens_its_window), VM_EXIT_INTERRUPT_WINDOW);
}

/* Elsewhere the CPU keeps it. */
static void a_shadow_that_is_kept_costs_no_step(void **state)
{
	(void)state;
	v->vmcb->int_state = SVM_INT_SHADOW;
	rig.backend->set_windows(rig.vcpu, 0x41, false);
	assert_int_equal(run(opens_its_window), VM_EXIT_INTERRUPT_WINDOW);
}

/* Bochs' ryzen. */
static void a_step_without_bs_is_ours_too(void **state)
{
	(void)state;
	v->vmcb->int_state = SVM_INT_SHADOW;
	rig.backend->set_windows(rig.vcpu, -1, true);
	assert_int_equal(run(steps_and_tells_no_cause), VM_EXIT_NMI_WINDOW);
	assert_int_equal(rig.backend->get_reg(rig.vcpu, VCPU_REG_DR6), DR6_RESET);
}

static void a_breakpoint_in_the_step_is_the_guests(void **state)
{
	(void)state;
	v->vmcb->int_state = SVM_INT_SHADOW;
	rig.backend->set_windows(rig.vcpu, -1, true);
	assert_int_equal(run(hits_a_breakpoint_too), VM_EXIT_EXCEPTION);
	assert_int_equal(out.exception.vector, EXC_DB);
	assert_int_equal(out.exception.dr6, DR6_RESET | 1);
	assert_int_equal(rig.backend->get_reg(rig.vcpu, VCPU_REG_DR6), DR6_RESET | 1);
	/* The window is open all the same, and the next run says so. */
	assert_int_equal(run(executes_nothing), VM_EXIT_NMI_WINDOW);
}

static void a_guest_that_traces_itself_gets_its_trap(void **state)
{
	(void)state;
	v->vmcb->int_state = SVM_INT_SHADOW;
	rig.backend->set_reg(rig.vcpu, VCPU_REG_RFLAGS, RFLAGS_TF);
	rig.backend->set_windows(rig.vcpu, -1, true);
	assert_int_equal(run(steps_one_byte), VM_EXIT_EXCEPTION);
	assert_int_equal(out.exception.dr6, DR6_RESET | DR6_BS);
	assert_int_equal(rig.backend->get_reg(rig.vcpu, VCPU_REG_RFLAGS) & RFLAGS_TF, RFLAGS_TF);
	assert_int_equal(run(executes_nothing), VM_EXIT_NMI_WINDOW);
}

static void a_sticky_bs_of_the_guest_stays(void **state)
{
	(void)state;
	v->vmcb->int_state = SVM_INT_SHADOW;
	rig.backend->set_reg(rig.vcpu, VCPU_REG_DR6, DR6_RESET | DR6_BS | 2);
	rig.backend->set_windows(rig.vcpu, -1, true);
	assert_int_equal(run(steps_one_byte), VM_EXIT_NMI_WINDOW);
	assert_int_equal(rig.backend->get_reg(rig.vcpu, VCPU_REG_DR6), DR6_RESET | DR6_BS | 2);
}

static void behind_another_event_the_first_moment_is_taken(void **state)
{
	struct vcpu_event gp = {.type = VCPU_EVENT_EXCEPTION, .vector = 13, .has_error = true};

	(void)state;
	rig.backend->inject(rig.vcpu, &gp);
	rig.backend->set_windows(rig.vcpu, -1, true);
	assert_int_equal(run(exits_in_handler), VM_EXIT_HOST_INTERRUPT);
	assert_int_equal(fake_svm.entered.event_inj, 0x80000b0d);
	assert_int_equal(fake_svm.entered.rflags & RFLAGS_TF, 0);
	assert_true((fake_svm.entered._int_ctl & (SVM_INT_V_IRQ | SVM_INT_V_IGN_TPR)) ==
		    (SVM_INT_V_IRQ | SVM_INT_V_IGN_TPR));
	assert_int_equal(run(executes_nothing), VM_EXIT_NMI_WINDOW);
	rig.backend->set_windows(rig.vcpu, -1, false);
	assert_false((v->vmcb->_int_ctl & SVM_INT_V_IRQ) != 0);
}

static void an_interrupted_delivery_unblocks(void **state)
{
	(void)state;
	inject_nmi();
	assert_int_equal(run(delivery_is_interrupted), VM_EXIT_NESTED_FAULT);
	assert_int_equal(out.vectoring.type, VCPU_EVENT_NMI);
	assert_false(nmi_blocked());
	assert_false(vmcb_intercepts(v->vmcb, SVM_INTERCEPT_IRET));
	rig.backend->inject(rig.vcpu, &out.vectoring);
	assert_true(nmi_blocked());
	assert_int_equal(v->vmcb->event_inj, 0x80000202);
}

#define WITH_VCPU(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_VCPU(blocked_from_injection_to_iret),
		WITH_VCPU(a_window_opens_right_behind_the_iret),
		WITH_VCPU(tf_is_taken_back_when_the_iret_did_not_run),
		WITH_VCPU(an_open_window_costs_no_entry),
		WITH_VCPU(a_shadow_is_stepped_over),
		WITH_VCPU(a_shadow_lasts_until_its_instruction_is_over),
		WITH_VCPU(where_the_shadow_is_lost_it_is_stepped_over),
		WITH_VCPU(a_window_is_back_behind_the_step),
		WITH_VCPU(a_shadow_that_is_kept_costs_no_step),
		WITH_VCPU(a_step_without_bs_is_ours_too),
		WITH_VCPU(a_breakpoint_in_the_step_is_the_guests),
		WITH_VCPU(a_guest_that_traces_itself_gets_its_trap),
		WITH_VCPU(a_sticky_bs_of_the_guest_stays),
		WITH_VCPU(behind_another_event_the_first_moment_is_taken),
		WITH_VCPU(an_interrupted_delivery_unblocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
