/* SPDX-License-Identifier: Apache-2.0 */
/* A vCPU's memory, its state after reset, its registers. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "hv/cpu/regs.h"
#include "svm/check.h"
#include "svm/permissions.h"
#include "tests/fakes/svm_rig.h"

static struct svm_vcpu *v;

static int start(void **state)
{
	(void)state;
	v = rig_start(RIG_TCG, 16);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	return rig_stop();
}

static uint64_t reg(enum vcpu_reg r)
{
	return rig.backend->get_reg(rig.vcpu, r);
}

/* SDM volume 3 "Processor State After Reset", AMD APM volume 2 "Initial Processor State". */
static void registers_after_reset(void **state)
{
	(void)state;
	assert_int_equal(reg(VCPU_REG_RFLAGS), 2);
	assert_int_equal(reg(VCPU_REG_CR0), 0x60000010);
	assert_int_equal(reg(VCPU_REG_CR2), 0);
	assert_int_equal(reg(VCPU_REG_CR3), 0);
	assert_int_equal(reg(VCPU_REG_CR4), 0);
	assert_int_equal(reg(VCPU_REG_CR8), 0);
	assert_int_equal(reg(VCPU_REG_DR6), 0xffff0ff0);
	assert_int_equal(reg(VCPU_REG_DR7), 0x400);
	assert_int_equal(reg(VCPU_REG_EFER), 0);
	assert_int_equal(reg(VCPU_REG_PAT), 0x0007040600070406ull);
	for (unsigned r = VCPU_REG_STAR; r < VCPU_REG_COUNT; r++) {
		assert_int_equal(reg((enum vcpu_reg)r), 0);
	}
	for (unsigned i = 0; i < GPR_COUNT; i++) {
		assert_int_equal(rig.vcpu->gpr[i], i == GPR_RDX ? 0x00a20f10 : 0);
	}
	assert_int_equal(rig.vcpu->rip, 0xfff0);
}

static void segments_after_reset(void **state)
{
	static const struct vcpu_segment expected[VCPU_SEG_COUNT] = {
		[VCPU_SEG_ES] = {0, 0xffff, 0, 0x93},
		[VCPU_SEG_SS] = {0, 0xffff, 0, 0x93},
		[VCPU_SEG_DS] = {0, 0xffff, 0, 0x93},
		[VCPU_SEG_FS] = {0, 0xffff, 0, 0x93},
		[VCPU_SEG_GS] = {0, 0xffff, 0, 0x93},
		[VCPU_SEG_LDTR] = {0, 0xffff, 0, 0x82},
		[VCPU_SEG_TR] = {0, 0xffff, 0, 0x8b},
		[VCPU_SEG_GDTR] = {0, 0xffff, 0, 0},
		[VCPU_SEG_IDTR] = {0, 0xffff, 0, 0},
		[VCPU_SEG_CS] = {0xffff0000, 0xffff, 0xf000, 0x9b},
	};

	(void)state;
	for (unsigned i = 0; i < VCPU_SEG_COUNT; i++) {
		struct vcpu_segment s;

		rig.backend->get_seg(rig.vcpu, (enum vcpu_seg)i, &s);
		assert_int_equal(s.base, expected[i].base);
		assert_int_equal(s.limit, expected[i].limit);
		assert_int_equal(s.selector, expected[i].selector);
		assert_int_equal(s.attr, expected[i].attr);
	}
}

static void controls_after_reset(void **state)
{
	const struct vmcb *vmcb = v->vmcb;
	const struct svm_vm *svm_vm = rig.vm.backend_vm;

	(void)state;
	assert_int_equal(vmcb->_intercepts[0], 1u << 20); /* of CR accesses, only writes to CR4 */
	assert_int_equal(vmcb->_intercepts[1], 0);
	assert_int_equal(vmcb->_intercepts[2], 1u << 1 | 1u << 6 | 1u << 17 | 1u << 18);
	/* INTR NMI SMI INIT RDPMC CPUID RSM INVD HLT INVLPGA IOIO MSR SHUTDOWN, not PAUSE. */
	assert_int_equal(vmcb->_intercepts[3], 0x9d4c800fu);
	/* VMRUN .. SKINIT, MONITOR MWAIT MWAIT_ARMED XSETBV. */
	assert_int_equal(vmcb->_intercepts[4], 0x3c7fu);
	assert_int_equal(vmcb->_intercepts[5], 0);
	assert_int_equal(vmcb->_iopm, pool_hpa(svm_vm->iopm).v);
	assert_int_equal(vmcb->_msrpm, pool_hpa(svm_vm->msrpm).v);
	assert_int_equal(vmcb->_np_ctl, SVM_NP_ENABLE);
	assert_int_equal(vmcb->_ncr3, pool_hpa(rig.vm.gspace.stage2.root).v);
	assert_int_equal(vmcb->_int_ctl, SVM_INT_V_MASKING);
	assert_int_equal(vmcb->_efer, EFER_SVME);
	assert_int_equal(vmcb->_cpl, 0);
	assert_int_equal(vmcb->clean, 0);
	/* All but the ASID, which the run adds, is what VMRUN accepts. */
	v->vmcb->_asid = 1;
	assert_null(svm_check(vmcb, 48));
}

static void the_pause_filter_where_there_is_one(void **state)
{
	(void)state;
	assert_false(vmcb_intercepts(v->vmcb, SVM_INTERCEPT_PAUSE));
	assert_int_equal(rig_stop(), 0);
	v = rig_start(RIG_TCG | RIG_PAUSE_FILTER, 16);
	assert_true(vmcb_intercepts(v->vmcb, SVM_INTERCEPT_PAUSE));
	assert_int_equal(v->vmcb->_pause_count, 3000);
	assert_int_equal(v->vmcb->_pause_threshold, 0);
	assert_int_equal(rig_stop(), 0);
	v = rig_start(RIG_TCG | RIG_PAUSE_FILTER | RIG_PAUSE_THRESHOLD, 16);
	assert_int_equal(v->vmcb->_pause_threshold, 128);
}

static void reset_forgets_everything_but_the_tsc_offset(void **state)
{
	struct vcpu_event nmi = {.type = VCPU_EVENT_NMI, .vector = 2};
	struct vmcb first = *v->vmcb;

	(void)state;
	for (unsigned r = 0; r < VCPU_REG_COUNT; r++) {
		rig.backend->set_reg(rig.vcpu, (enum vcpu_reg)r, 0x12345);
	}
	rig.backend->set_windows(rig.vcpu, 0x30, true);
	rig.backend->inject(rig.vcpu, &nmi);
	rig.backend->set_tsc_offset(rig.vcpu, 77);
	v->vmcb->clean = SVM_CLEAN_ALL;
	v->vmcb->int_state = 1;
	v->flush = false;
	rig.backend->vcpu_reset(rig.vcpu);
	assert_int_equal(v->vmcb->_tsc_offset, 77);
	first._tsc_offset = 77;
	assert_memory_equal(v->vmcb, &first, sizeof(first));
	assert_int_equal(v->window_vector, -1);
	assert_false(v->window_nmi);
	assert_true(v->flush);
	assert_int_equal(rig.backend->blocked(rig.vcpu, VCPU_EVENT_NMI), 0);
}

static void svme_is_hidden_and_never_lost(void **state)
{
	(void)state;
	rig.backend->set_reg(rig.vcpu, VCPU_REG_EFER, EFER_LME | EFER_NXE);
	assert_int_equal(v->vmcb->_efer, EFER_LME | EFER_NXE | EFER_SVME);
	assert_int_equal(reg(VCPU_REG_EFER), EFER_LME | EFER_NXE);
}

static uint64_t efer_in_context(void)
{
	struct vcpu_context context;

	rig.backend->get_context(rig.vcpu, &context);
	return context.efer;
}

/* What an exit with LME and without PAE does to the host: see hold_lme. */
static void lme_waits_for_pae_on_tcg(void **state)
{
	(void)state;
	svm.features.loses_paging = true;
	rig.backend->set_reg(rig.vcpu, VCPU_REG_EFER, EFER_LME | EFER_NXE);
	assert_int_equal(v->vmcb->_efer, EFER_NXE | EFER_SVME);
	assert_true(vmcb_intercepts(v->vmcb, SVM_INTERCEPT_CR0_WRITE));
	assert_int_equal(reg(VCPU_REG_EFER), EFER_LME | EFER_NXE);
	assert_int_equal(efer_in_context(), EFER_LME | EFER_NXE);
	rig.backend->set_reg(rig.vcpu, VCPU_REG_CR4, CR4_PAE | CR4_PGE);
	assert_int_equal(v->vmcb->_efer, EFER_LME | EFER_NXE | EFER_SVME);
	assert_false(vmcb_intercepts(v->vmcb, SVM_INTERCEPT_CR0_WRITE));
	assert_int_equal(reg(VCPU_REG_EFER), EFER_LME | EFER_NXE);
	rig.backend->set_reg(rig.vcpu, VCPU_REG_CR4, CR4_PGE);
	assert_int_equal(v->vmcb->_efer, EFER_NXE | EFER_SVME);
	assert_true(vmcb_intercepts(v->vmcb, SVM_INTERCEPT_CR0_WRITE));
	rig.backend->set_reg(rig.vcpu, VCPU_REG_EFER, EFER_NXE);
	assert_false(vmcb_intercepts(v->vmcb, SVM_INTERCEPT_CR0_WRITE));
	rig.backend->set_reg(rig.vcpu, VCPU_REG_CR4, CR4_PAE);
	assert_int_equal(v->vmcb->_efer, EFER_NXE | EFER_SVME);
	assert_int_equal(efer_in_context(), EFER_NXE);
}

static void a_reset_forgets_the_lme_that_waits(void **state)
{
	(void)state;
	svm.features.loses_paging = true;
	rig.backend->set_reg(rig.vcpu, VCPU_REG_EFER, EFER_LME);
	rig.backend->vcpu_reset(rig.vcpu);
	assert_int_equal(reg(VCPU_REG_EFER), 0);
	assert_false(vmcb_intercepts(v->vmcb, SVM_INTERCEPT_CR0_WRITE));
}

static void values_that_vmrun_would_refuse_are_trimmed(void **state)
{
	(void)state;
	rig.backend->set_reg(rig.vcpu, VCPU_REG_DR7, ~0ull);
	rig.backend->set_reg(rig.vcpu, VCPU_REG_DR6, ~0ull);
	rig.backend->set_reg(rig.vcpu, VCPU_REG_RFLAGS, 0);
	assert_int_equal(reg(VCPU_REG_DR7), UINT32_MAX);
	assert_int_equal(reg(VCPU_REG_DR6), UINT32_MAX);
	assert_int_equal(reg(VCPU_REG_RFLAGS), RFLAGS_FIXED1);
}

static void debugctl_turns_lbr_virtualization_on(void **state)
{
	(void)state;
	rig.backend->set_reg(rig.vcpu, VCPU_REG_DEBUGCTL, 1);
	assert_int_equal(v->vmcb->lbr_ctl, 0); /* TCG has none */
	assert_int_equal(reg(VCPU_REG_DEBUGCTL), 1);
	assert_int_equal(rig_stop(), 0);
	v = rig_start(RIG_BOCHS, 64);
	rig.backend->set_reg(rig.vcpu, VCPU_REG_DEBUGCTL, 2);
	assert_int_equal(v->vmcb->lbr_ctl, SVM_LBR_ENABLE);
	rig.backend->set_reg(rig.vcpu, VCPU_REG_DEBUGCTL, 0);
	assert_int_equal(v->vmcb->lbr_ctl, 0);
}

static void maps_follow_the_policy(void **state)
{
	static const struct msr_pass_range msrs[] = {{MSR_LSTAR, 1, MSR_PASS_BOTH}, {0, 0, 0}};
	static const struct port_pass_range ports[] = {{0x80, 1}, {0, 0}};
	const struct svm_vm *svm_vm = rig.vm.backend_vm;

	(void)state;
	assert_false(svm_msrpm_passes(svm_vm->msrpm, MSR_LSTAR, false));
	assert_int_equal(rig_stop(), 0);
	rig.policy = (struct hv_backend_policy){.msrs = msrs, .ports = ports};
	v = rig_start(RIG_TCG, 16);
	rig.policy = (struct hv_backend_policy){0};
	svm_vm = rig.vm.backend_vm;
	assert_true(svm_msrpm_passes(svm_vm->msrpm, MSR_LSTAR, true));
	assert_int_equal(svm_vm->iopm[0x10], 0xfe);
}

static void out_of_memory_leaves_nothing_behind(void **state)
{
	struct vm vm = {.vcpu_count = 0};
	int before = rig.pool_live;

	(void)state;
	for (int grant = 0; grant < 3; grant++) {
		rig.pool_limit = grant;
		assert_int_equal(rig.backend->vm_init(&vm), HV_E_NO_MEMORY);
		assert_null(vm.backend_vm);
		assert_int_equal(rig.pool_live, before);
	}
	for (int grant = 0; grant < 2; grant++) {
		rig.pool_limit = grant;
		assert_null(rig.backend->vcpu_create(&rig.vm));
		assert_int_equal(rig.pool_live, before);
	}
	rig.pool_limit = -1;
	/* A VM that never came up can be taken down. */
	rig.backend->vm_fini(&vm);
}

#define WITH_VCPU(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_VCPU(registers_after_reset),
		WITH_VCPU(segments_after_reset),
		WITH_VCPU(controls_after_reset),
		WITH_VCPU(the_pause_filter_where_there_is_one),
		WITH_VCPU(reset_forgets_everything_but_the_tsc_offset),
		WITH_VCPU(svme_is_hidden_and_never_lost),
		WITH_VCPU(lme_waits_for_pae_on_tcg),
		WITH_VCPU(a_reset_forgets_the_lme_that_waits),
		WITH_VCPU(values_that_vmrun_would_refuse_are_trimmed),
		WITH_VCPU(debugctl_turns_lbr_virtualization_on),
		WITH_VCPU(maps_follow_the_policy),
		WITH_VCPU(out_of_memory_leaves_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
