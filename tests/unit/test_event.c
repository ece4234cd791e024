/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "hv/cpu/regs.h"
#include "hv/event.h"

/* A backend that records what is injected and answers `blocked` from a variable. */
static struct {
	struct vcpu_event injected;
	unsigned injections;
	unsigned blocked;
	int window_vector;
	bool window_nmi;
	unsigned window_calls;
	uint64_t cr2, dr6, dr7, rflags;
	int pending, requested;
	unsigned accepted;
	int virtual_pending;
	unsigned virtual_looks;
	unsigned handed_over, apic_loads;
} fake;

static uint64_t get_reg(const struct vcpu *vcpu, enum vcpu_reg reg)
{
	(void)vcpu;
	if (reg == VCPU_REG_DR7) {
		return fake.dr7;
	}
	if (reg == VCPU_REG_RFLAGS) {
		return fake.rflags;
	}
	return reg == VCPU_REG_DR6 ? fake.dr6 : 0;
}

static void set_reg(struct vcpu *vcpu, enum vcpu_reg reg, uint64_t value)
{
	(void)vcpu;
	if (reg == VCPU_REG_CR2) {
		fake.cr2 = value;
	} else if (reg == VCPU_REG_DR6) {
		fake.dr6 = value;
	} else if (reg == VCPU_REG_DR7) {
		fake.dr7 = value;
	} else if (reg == VCPU_REG_RFLAGS) {
		fake.rflags = value;
	}
}

static unsigned blocked(const struct vcpu *vcpu, enum vcpu_event_type type)
{
	(void)vcpu;
	(void)type;
	return fake.blocked;
}

static void inject(struct vcpu *vcpu, const struct vcpu_event *event)
{
	(void)vcpu;
	fake.injected = *event;
	fake.injections++;
}

static void set_windows(struct vcpu *vcpu, int vector, bool nmi)
{
	(void)vcpu;
	fake.window_vector = vector;
	fake.window_nmi = nmi;
	fake.window_calls++;
}

static int pending(void *ctx, const struct vcpu *vcpu)
{
	(void)ctx;
	(void)vcpu;
	return fake.pending;
}

static int requested(void *ctx, const struct vcpu *vcpu)
{
	(void)ctx;
	(void)vcpu;
	return fake.requested;
}

static uint8_t accept(void *ctx, struct vcpu *vcpu)
{
	int vector = fake.pending;

	(void)ctx;
	(void)vcpu;
	fake.pending = -1;
	fake.requested = -1;
	fake.accepted++;
	return (uint8_t)vector;
}

static int virtual_pending(void *ctx, const struct vcpu *vcpu)
{
	(void)ctx;
	(void)vcpu;
	fake.virtual_looks++;
	return fake.virtual_pending;
}

static void hand_over(void *ctx, struct vcpu *vcpu, struct apic_entry *out)
{
	(void)ctx;
	(void)vcpu;
	*out = (struct apic_entry){.mode = APIC_MODE_X2APIC, .requested = 0x41};
	fake.handed_over++;
}

static void apic_load(struct vcpu *vcpu, const struct apic_entry *entry)
{
	(void)vcpu;
	assert_int_equal(entry->requested, 0x41);
	fake.apic_loads++;
}

static struct hv_backend backend = {
	.get_reg = get_reg,
	.set_reg = set_reg,
	.blocked = blocked,
	.inject = inject,
	.set_windows = set_windows,
	.apic_load = apic_load,
};
static const struct event_source source = {
	.pending = pending,
	.requested = requested,
	.accept = accept,
	.virtual_pending = virtual_pending,
	.hand_over = hand_over,
};
static struct vcpu vcpu;

static int setup(void **state)
{
	(void)state;
	memset(&fake, 0, sizeof(fake));
	memset(&vcpu, 0, sizeof(vcpu));
	fake.pending = fake.requested = -1;
	fake.virtual_pending = -1;
	fake.window_vector = -2;
	backend.info.virtual_interrupts = false;
	event_reset(&vcpu);
	return 0;
}

static struct vcpu_event exception(uint8_t vector)
{
	return (struct vcpu_event){.type = VCPU_EVENT_EXCEPTION, .vector = vector};
}

static enum event_result raise(uint8_t vector, uint64_t payload)
{
	struct vcpu_event e = exception(vector);

	return event_exception(&vcpu, &e, payload);
}

static void deliver(void)
{
	event_deliver(&vcpu, &backend, &source);
}

static void nothing_pending_injects_nothing(void **state)
{
	(void)state;
	deliver();
	assert_int_equal(fake.injections, 0);
	assert_int_equal(fake.window_calls, 0);
}

static void page_fault_sets_cr2(void **state)
{
	(void)state;
	assert_int_equal(raise(EXC_PF, 0x1234), EVENT_QUEUED);
	assert_true(vcpu.requests & VCPU_REQ_EVENT);
	deliver();
	assert_int_equal(fake.injected.vector, EXC_PF);
	assert_int_equal(fake.cr2, 0x1234);
	deliver();
	assert_int_equal(fake.injections, 1);
}

/* As CPUs do: only B0 .. B3 are cleared as well as set. */
static void debug_trap_keeps_old_dr6_bits_but_b0_to_b3(void **state)
{
	(void)state;
	fake.dr6 = DR6_RESET | DR6_BS | 0xb;
	assert_int_equal(raise(EXC_DB, 4), EVENT_QUEUED);
	deliver();
	assert_int_equal(fake.dr6, DR6_RESET | DR6_BS | 4);
}

/* Its handler reads DR6: with GD set that would be the next #DB, for ever. */
static void debug_trap_ends_general_detect(void **state)
{
	(void)state;
	fake.dr7 = 0x2400 | 0xff;
	assert_int_equal(raise(EXC_DB, BIT(13)), EVENT_QUEUED);
	deliver();
	assert_int_equal(fake.dr7, 0x400 | 0xff);
	assert_int_equal(fake.dr6, BIT(13));
}

/* SDM volume 3 "Debug Exception (#DB)", on RF: all faults but #DB push it set. */
static void faults_push_the_resume_flag(void **state)
{
	static const uint8_t others[] = {EXC_DB, EXC_BP, EXC_OF, EXC_DF, EXC_MC};

	(void)state;
	for (uint8_t vector = 0; vector < 20; vector++) {
		bool fault = memchr(others, vector, sizeof(others)) == NULL;

		setup(state);
		fake.rflags = RFLAGS_IF;
		assert_int_equal(raise(vector, 0), EVENT_QUEUED);
		deliver();
		if (vector != EXC_NMI) {
			assert_int_equal(fake.rflags, RFLAGS_IF | (fault ? RFLAGS_RF : 0));
		}
	}
	/* An interrupt leaves it alone. */
	fake.rflags = RFLAGS_IF;
	fake.pending = 0x40;
	deliver();
	assert_int_equal(fake.rflags, RFLAGS_IF);
}

/* SDM, table "Conditions for Generating a Double Fault". */
static void double_fault_matrix(void **state)
{
	static const struct {
		uint8_t first, second;
		uint8_t result;
	} rows[] = {
		{EXC_GP, EXC_NP, EXC_DF}, {EXC_DE, EXC_GP, EXC_DF}, {EXC_PF, EXC_PF, EXC_DF},
		{EXC_PF, EXC_GP, EXC_DF}, {EXC_TS, EXC_SS, EXC_DF}, {EXC_GP, EXC_PF, EXC_PF},
		{EXC_UD, EXC_GP, EXC_GP}, {EXC_GP, EXC_UD, EXC_UD}, {EXC_PF, EXC_DB, EXC_DB},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct vcpu_event first = exception(rows[i].first);

		setup(state);
		event_note_vectoring(&vcpu, &first);
		assert_int_equal(raise(rows[i].second, 0), EVENT_QUEUED);
		deliver();
		assert_int_equal(fake.injected.vector, rows[i].result);
		assert_int_equal(fake.injected.has_error, rows[i].result == EXC_DF);
		deliver();
		assert_int_equal(fake.injections, 1);
	}
}

static void fault_in_double_fault_is_a_triple_fault(void **state)
{
	struct vcpu_event df = exception(EXC_DF);

	(void)state;
	event_note_vectoring(&vcpu, &df);
	assert_int_equal(raise(EXC_GP, 0), EVENT_TRIPLE_FAULT);
	setup(state);
	event_note_vectoring(&vcpu, &df);
	assert_int_equal(raise(EXC_PF, 0), EVENT_TRIPLE_FAULT);
	setup(state);
	event_note_vectoring(&vcpu, &df);
	assert_int_equal(raise(EXC_DB, 0), EVENT_QUEUED);
}

static void interrupted_delivery_comes_again_even_when_if_is_clear(void **state)
{
	struct vcpu_event interrupt = {.type = VCPU_EVENT_INTERRUPT, .vector = 0x30};

	(void)state;
	fake.blocked = VCPU_BLOCKED_IF;
	event_note_vectoring(&vcpu, &interrupt);
	deliver();
	assert_int_equal(fake.injected.vector, 0x30);
	assert_int_equal(fake.accepted, 0);
}

static void exception_during_interrupt_delivery_loses_neither(void **state)
{
	struct vcpu_event interrupt = {.type = VCPU_EVENT_INTERRUPT, .vector = 0x30};

	(void)state;
	event_note_vectoring(&vcpu, &interrupt);
	assert_int_equal(raise(EXC_PF, 5), EVENT_QUEUED);
	deliver();
	assert_int_equal(fake.injected.vector, EXC_PF);
	assert_int_equal(fake.window_vector, 0x30);
	/* The handler runs with interrupts off: the interrupt must wait for them. */
	fake.blocked = VCPU_BLOCKED_IF;
	deliver();
	assert_int_equal(fake.injections, 1);
	fake.blocked = 0;
	deliver();
	assert_int_equal(fake.injected.vector, 0x30);
	assert_int_equal(fake.window_vector, -1);
}

/* The exception that overtook it may be interrupted as well. */
static void an_overtaken_interrupt_survives_further_interruptions(void **state)
{
	struct vcpu_event interrupt = {.type = VCPU_EVENT_INTERRUPT, .vector = 0x30};
	struct vcpu_event fault = exception(EXC_PF);

	(void)state;
	event_note_vectoring(&vcpu, &interrupt);
	assert_int_equal(raise(EXC_PF, 5), EVENT_QUEUED);
	deliver();
	event_note_vectoring(&vcpu, &fault);
	fake.blocked = VCPU_BLOCKED_IF;
	deliver();
	assert_int_equal(fake.injected.vector, EXC_PF);
	deliver();
	assert_int_equal(fake.injections, 2);
	assert_false(event_wakes(&vcpu, &backend, &source));
	fake.blocked = 0;
	assert_true(event_wakes(&vcpu, &backend, &source));
	deliver();
	assert_int_equal(fake.injected.vector, 0x30);
	assert_int_equal(fake.accepted, 0);
	deliver();
	assert_int_equal(fake.injections, 3);
}

static void nmi_goes_before_interrupt_and_interrupt_gets_a_window(void **state)
{
	(void)state;
	fake.pending = fake.requested = 0x40;
	event_nmi(&vcpu, &backend);
	deliver();
	assert_int_equal(fake.injected.type, VCPU_EVENT_NMI);
	assert_int_equal(fake.window_vector, 0x40);
	assert_false(fake.window_nmi);
	deliver();
	assert_int_equal(fake.injected.vector, 0x40);
	assert_int_equal(fake.window_vector, -1);
}

/* A late vCPU gets the NMI that it would have taken, and the one that it would have latched. */
static void two_nmis_wait_while_none_is_handled(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		event_nmi(&vcpu, &backend);
	}
	deliver();
	assert_int_equal(fake.injected.type, VCPU_EVENT_NMI);
	assert_true(fake.window_nmi);
	fake.blocked = VCPU_BLOCKED_NMI;
	deliver();
	assert_int_equal(fake.injections, 1);
	event_nmi(&vcpu, &backend);
	fake.blocked = 0;
	deliver();
	assert_int_equal(fake.injections, 2);
	assert_int_equal(fake.injected.type, VCPU_EVENT_NMI);
	assert_false(fake.window_nmi);
	deliver();
	assert_int_equal(fake.injections, 2);
}

static void one_nmi_is_latched_while_another_is_handled(void **state)
{
	(void)state;
	fake.blocked = VCPU_BLOCKED_NMI;
	event_nmi(&vcpu, &backend);
	event_nmi(&vcpu, &backend);
	fake.blocked = 0;
	deliver();
	deliver();
	assert_int_equal(fake.injections, 1);
}

static void blocked_interrupt_asks_for_a_window_once(void **state)
{
	(void)state;
	fake.pending = fake.requested = 0x40;
	fake.blocked = VCPU_BLOCKED_SHADOW;
	deliver();
	deliver();
	assert_int_equal(fake.injections, 0);
	assert_int_equal(fake.window_vector, 0x40);
	assert_int_equal(fake.window_calls, 1);
}

static void interrupt_below_tpr_still_gets_a_window(void **state)
{
	(void)state;
	fake.pending = -1;
	fake.requested = 0x31;
	deliver();
	assert_int_equal(fake.injections, 0);
	assert_int_equal(fake.window_vector, 0x31);
}

static void wakes_from_hlt(void **state)
{
	(void)state;
	assert_false(event_wakes(&vcpu, &backend, &source));
	fake.pending = 0x50;
	assert_true(event_wakes(&vcpu, &backend, &source));
	fake.blocked = VCPU_BLOCKED_IF;
	assert_false(event_wakes(&vcpu, &backend, &source));
	event_nmi(&vcpu, &backend);
	assert_true(event_wakes(&vcpu, &backend, &source));
}

/* Where the CPU delivers: it is told before anything else, and nothing is injected for it. */
static void virtual_interrupts_are_handed_over(void **state)
{
	(void)state;
	fake.virtual_pending = 0x41;
	deliver();
	assert_int_equal(fake.handed_over + fake.apic_loads, 0);
	backend.info.virtual_interrupts = true;
	fake.blocked = VCPU_BLOCKED_IF;
	deliver();
	assert_int_equal(fake.handed_over, 1);
	assert_int_equal(fake.apic_loads, 1);
	assert_int_equal(fake.injections, 0);
	assert_int_equal(fake.window_calls, 0);
	/* Beside what is injected: an exception, an 8259's interrupt, an NMI. */
	fake.blocked = 0;
	assert_int_equal(raise(EXC_GP, 0), EVENT_QUEUED);
	deliver();
	assert_int_equal(fake.injected.vector, EXC_GP);
	fake.pending = fake.requested = 0x20;
	deliver();
	assert_int_equal(fake.injected.vector, 0x20);
	event_nmi(&vcpu, &backend);
	deliver();
	assert_int_equal(fake.injected.type, VCPU_EVENT_NMI);
	assert_int_equal(fake.handed_over, 4);
	assert_int_equal(fake.apic_loads, 4);
}

static void virtual_interrupts_end_hlt(void **state)
{
	(void)state;
	fake.virtual_pending = 0x41;
	assert_false(event_wakes(&vcpu, &backend, &source));
	backend.info.virtual_interrupts = true;
	assert_true(event_wakes(&vcpu, &backend, &source));
	assert_int_equal(fake.handed_over, 0);
	fake.blocked = VCPU_BLOCKED_IF;
	assert_false(event_wakes(&vcpu, &backend, &source));
	fake.blocked = 0;
	/* Where something else keeps it from sleeping, or cannot wake it, it is looked at as well.
	 */
	fake.virtual_looks = 0;
	fake.pending = 0x50;
	assert_true(event_wakes(&vcpu, &backend, &source));
	fake.blocked = VCPU_BLOCKED_IF;
	assert_false(event_wakes(&vcpu, &backend, &source));
	assert_int_equal(fake.virtual_looks, 2);
	fake.blocked = 0;
	fake.pending = -1;
	fake.virtual_pending = -1; /* below the TPR */
	assert_false(event_wakes(&vcpu, &backend, &source));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(nothing_pending_injects_nothing, setup),
		cmocka_unit_test_setup(page_fault_sets_cr2, setup),
		cmocka_unit_test_setup(debug_trap_keeps_old_dr6_bits_but_b0_to_b3, setup),
		cmocka_unit_test_setup(debug_trap_ends_general_detect, setup),
		cmocka_unit_test_setup(faults_push_the_resume_flag, setup),
		cmocka_unit_test_setup(double_fault_matrix, setup),
		cmocka_unit_test_setup(fault_in_double_fault_is_a_triple_fault, setup),
		cmocka_unit_test_setup(interrupted_delivery_comes_again_even_when_if_is_clear,
				       setup),
		cmocka_unit_test_setup(exception_during_interrupt_delivery_loses_neither, setup),
		cmocka_unit_test_setup(an_overtaken_interrupt_survives_further_interruptions,
				       setup),
		cmocka_unit_test_setup(nmi_goes_before_interrupt_and_interrupt_gets_a_window,
				       setup),
		cmocka_unit_test_setup(two_nmis_wait_while_none_is_handled, setup),
		cmocka_unit_test_setup(one_nmi_is_latched_while_another_is_handled, setup),
		cmocka_unit_test_setup(blocked_interrupt_asks_for_a_window_once, setup),
		cmocka_unit_test_setup(interrupt_below_tpr_still_gets_a_window, setup),
		cmocka_unit_test_setup(wakes_from_hlt, setup),
		cmocka_unit_test_setup(virtual_interrupts_are_handed_over, setup),
		cmocka_unit_test_setup(virtual_interrupts_end_hlt, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
