/* SPDX-License-Identifier: Apache-2.0 */
/* Injection, what blocks it, and interrupt windows. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "hv/cpu/regs.h"
#include "svm/event.h"
#include "tests/fakes/check.h"
#include "tests/fakes/svm_rig.h"

static struct svm_vcpu *v;

static int start_tcg(void **state)
{
	(void)state;
	v = rig_start(RIG_TCG, 16);
	return 0;
}

static int start_nrips(void **state)
{
	(void)state;
	v = rig_start(RIG_BOCHS, 64);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	return rig_stop();
}

static unsigned blocked(enum vcpu_event_type type)
{
	return rig.backend->blocked(rig.vcpu, type);
}

static void inject(struct vcpu_event event)
{
	rig.backend->inject(rig.vcpu, &event);
}

static void what_blocks(void **state)
{
	(void)state;
	v->vmcb->rflags = RFLAGS_FIXED1 | RFLAGS_IF;
	assert_int_equal(blocked(VCPU_EVENT_INTERRUPT), 0);
	v->vmcb->rflags = RFLAGS_FIXED1;
	assert_int_equal(blocked(VCPU_EVENT_INTERRUPT), VCPU_BLOCKED_IF);
	assert_int_equal(blocked(VCPU_EVENT_NMI), 0);
	v->vmcb->int_state = SVM_INT_SHADOW;
	assert_int_equal(blocked(VCPU_EVENT_INTERRUPT), VCPU_BLOCKED_IF | VCPU_BLOCKED_SHADOW);
	assert_int_equal(blocked(VCPU_EVENT_NMI), VCPU_BLOCKED_SHADOW);
	assert_int_equal(blocked(VCPU_EVENT_EXCEPTION), 0);
	rig.backend->clear_shadow(rig.vcpu);
	assert_int_equal(blocked(VCPU_EVENT_NMI), 0);

	inject((struct vcpu_event){.type = VCPU_EVENT_NMI, .vector = 2});
	assert_int_equal(blocked(VCPU_EVENT_NMI), VCPU_BLOCKED_PENDING | VCPU_BLOCKED_NMI);
	assert_int_equal(blocked(VCPU_EVENT_INTERRUPT), VCPU_BLOCKED_PENDING | VCPU_BLOCKED_IF);
	assert_int_equal(blocked(VCPU_EVENT_EXCEPTION), VCPU_BLOCKED_PENDING);
}

static void encodings(void **state)
{
	static const struct {
		struct vcpu_event event;
		uint64_t inj;
	} table[] = {
		{{.type = VCPU_EVENT_INTERRUPT, .vector = 0xec}, 0x800000ec},
		{{.type = VCPU_EVENT_NMI, .vector = 2}, 0x80000202},
		{{.type = VCPU_EVENT_EXCEPTION, .vector = 6}, 0x80000306},
		{{.type = VCPU_EVENT_EXCEPTION, .vector = 13, .has_error = true, .error = 0x1234},
		 0x123480000b0dull},
		{{.type = VCPU_EVENT_EXCEPTION, .vector = 8, .has_error = true}, 0x80000b08},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		v->vmcb->event_inj = 0;
		v->vmcb->int_state = SVM_INT_SHADOW;
		inject(table[i].event);
		assert_int_equal(v->vmcb->event_inj, table[i].inj);
		/* The handler's first instruction is in nobody's shadow. */
		assert_int_equal(v->vmcb->int_state, 0);
	}
}

static void two_at_once_are_our_own_mistake(void **state)
{
	(void)state;
	inject((struct vcpu_event){.type = VCPU_EVENT_INTERRUPT, .vector = 0x20});
	EXPECT_CHECK(inject((struct vcpu_event){.type = VCPU_EVENT_INTERRUPT, .vector = 0x21}));
}

static void without_nrip_software_events_run_again(void **state)
{
	(void)state;
	rig.vcpu->rip = 0x1000;
	inject((struct vcpu_event){.type = VCPU_EVENT_SOFT_INT, .vector = 0x80, .insn_len = 2});
	assert_int_equal(v->vmcb->event_inj, 0);
	assert_int_equal(rig.vcpu->rip, 0x1000);
	inject((struct vcpu_event){.type = VCPU_EVENT_SOFT_EXC, .vector = 3, .insn_len = 1});
	assert_int_equal(v->vmcb->event_inj, 0);
	assert_int_equal(blocked(VCPU_EVENT_EXCEPTION), 0);
}

static void with_nrip_they_return_behind_the_instruction(void **state)
{
	struct vcpu_segment cs = {.attr = 0xa09b};

	(void)state;
	rig.vcpu->rip = 0x1000;
	inject((struct vcpu_event){.type = VCPU_EVENT_SOFT_INT, .vector = 0x80, .insn_len = 2});
	assert_int_equal(v->vmcb->event_inj, 0x80000480);
	assert_int_equal(v->vmcb->nrip, 0x1002);

	v->vmcb->event_inj = 0;
	inject((struct vcpu_event){.type = VCPU_EVENT_SOFT_EXC, .vector = 3, .insn_len = 1});
	assert_int_equal(v->vmcb->event_inj, 0x80000303);
	assert_int_equal(v->vmcb->nrip, 0x1001);

	/* Of unknown length, as after an interrupted delivery: run again. */
	v->vmcb->event_inj = 0;
	inject((struct vcpu_event){.type = VCPU_EVENT_SOFT_INT, .vector = 0x80});
	assert_int_equal(v->vmcb->event_inj, 0);

	/* EIP wraps, RIP does not. */
	rig.vcpu->rip = 0xfffffffe;
	inject((struct vcpu_event){.type = VCPU_EVENT_SOFT_INT, .vector = 0x80, .insn_len = 3});
	assert_int_equal(v->vmcb->nrip, 1);
	v->vmcb->event_inj = 0;
	rig.backend->set_reg(rig.vcpu, VCPU_REG_EFER, EFER_LME | EFER_LMA);
	rig.backend->set_seg(rig.vcpu, VCPU_SEG_CS, &cs);
	inject((struct vcpu_event){.type = VCPU_EVENT_SOFT_INT, .vector = 0x80, .insn_len = 3});
	assert_int_equal(v->vmcb->nrip, 0x100000001ull);
}

static void an_interrupt_window_is_a_dummy_interrupt(void **state)
{
	uint64_t idle = v->vmcb->_int_ctl;

	(void)state;
	v->vmcb->clean = SVM_CLEAN_ALL;
	rig.backend->set_windows(rig.vcpu, 0x61, false);
	assert_int_equal(v->vmcb->_int_ctl, idle | 0x61ull << 32 | 6u << 16 | 1u << 8);
	assert_true(vmcb_intercepts(v->vmcb, SVM_INTERCEPT_VINTR));
	assert_true(vmcb_intercepts(v->vmcb, SVM_INTERCEPT_CR8_WRITE));
	assert_int_equal(v->vmcb->clean,
			 SVM_CLEAN_ALL & ~(SVM_CLEAN_INT_CTL | SVM_CLEAN_INTERCEPTS));
	/* Another vector; the TPR is not touched. */
	rig.backend->set_reg(rig.vcpu, VCPU_REG_CR8, 9);
	rig.backend->set_windows(rig.vcpu, 0xef, false);
	assert_int_equal(v->vmcb->_int_ctl, idle | 0xefull << 32 | 14u << 16 | 1u << 8 | 9);
	rig.backend->set_windows(rig.vcpu, -1, false);
	assert_int_equal(v->vmcb->_int_ctl, idle | 9);
	assert_false(vmcb_intercepts(v->vmcb, SVM_INTERCEPT_VINTR));
	assert_false(vmcb_intercepts(v->vmcb, SVM_INTERCEPT_CR8_WRITE));
}

/* INT 8 of the 8259 in real mode: no LAPIC, no TPR. */
static void low_vectors_ignore_the_tpr(void **state)
{
	uint64_t idle = v->vmcb->_int_ctl;

	(void)state;
	rig.backend->set_windows(rig.vcpu, 8, false);
	assert_int_equal(v->vmcb->_int_ctl, idle | 1u << 20 | 15u << 16 | 1u << 8);
}

static void windows_that_open_at_an_equal_tpr_are_corrected_once(void **state)
{
	(void)state;
	rig.backend->set_reg(rig.vcpu, VCPU_REG_CR8, 6);
	rig.backend->set_windows(rig.vcpu, 0x61, false);
	assert_true(svm_window_was_early(v));
	assert_int_equal(bits_get(v->vmcb->_int_ctl, SVM_INT_V_PRIO), 5);
	assert_true(v->vmcb->_int_ctl & SVM_INT_V_IRQ);
	/* From now on an exit at "equal" is an exit at "above". */
	rig.backend->set_reg(rig.vcpu, VCPU_REG_CR8, 5);
	assert_false(svm_window_was_early(v));
	rig.backend->set_windows(rig.vcpu, 0x1f, false);
	assert_int_equal(bits_get(v->vmcb->_int_ctl, SVM_INT_V_PRIO), 0);
}

static void windows_by_the_manual_stay_as_they_are(void **state)
{
	(void)state;
	rig.backend->set_reg(rig.vcpu, VCPU_REG_CR8, 5);
	rig.backend->set_windows(rig.vcpu, 0x61, false);
	assert_false(svm_window_was_early(v));
	assert_int_equal(bits_get(v->vmcb->_int_ctl, SVM_INT_V_PRIO), 6);
	rig.backend->set_windows(rig.vcpu, 8, false);
	assert_false(svm_window_was_early(v));
}

static void a_window_is_open_by_the_manual(void **state)
{
	struct vcpu_event irq = {.type = VCPU_EVENT_INTERRUPT, .vector = 0x20};

	(void)state;
	rig.backend->set_reg(rig.vcpu, VCPU_REG_CR8, 5);
	v->vmcb->rflags = RFLAGS_FIXED1 | RFLAGS_IF;
	assert_false(svm_window_is_open(v)); /* nobody wants one */
	rig.backend->set_windows(rig.vcpu, 0x5f, false);
	assert_false(svm_window_is_open(v));
	rig.backend->set_windows(rig.vcpu, 0x60, false);
	assert_true(svm_window_is_open(v));
	rig.backend->set_windows(rig.vcpu, 8, false); /* of an 8259, which knows no TPR */
	assert_true(svm_window_is_open(v));
	v->vmcb->int_state = SVM_INT_SHADOW;
	assert_false(svm_window_is_open(v));
	v->vmcb->int_state = 0;
	v->vmcb->rflags = RFLAGS_FIXED1;
	assert_false(svm_window_is_open(v));
	v->vmcb->rflags |= RFLAGS_IF;
	rig.backend->inject(rig.vcpu, &irq); /* goes first */
	assert_false(svm_window_is_open(v));
}

#define WITH(setup, test) cmocka_unit_test_setup_teardown(test, setup, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(start_tcg, what_blocks),
		WITH(start_tcg, encodings),
		WITH(start_tcg, two_at_once_are_our_own_mistake),
		WITH(start_tcg, without_nrip_software_events_run_again),
		WITH(start_nrips, with_nrip_they_return_behind_the_instruction),
		WITH(start_tcg, an_interrupt_window_is_a_dummy_interrupt),
		WITH(start_tcg, low_vectors_ignore_the_tpr),
		WITH(start_tcg, windows_that_open_at_an_equal_tpr_are_corrected_once),
		WITH(start_tcg, windows_by_the_manual_stay_as_they_are),
		WITH(start_tcg, a_window_is_open_by_the_manual),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
