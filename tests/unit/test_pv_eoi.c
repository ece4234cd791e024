/* SPDX-License-Identifier: Apache-2.0 */
/* EOIs that are no exit: what is offered when, and that no interrupt is lost or ended twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/pv_rig.h"

static struct lapic *l;

static int setup(void **state)
{
	int status = pv_setup(state);

	l = board_lapic(g->board, 0);
	assert_true(bus_write(&g->vm.mmio, 0xfee000f0, 4, 0, 0x1ff));
	assert_true(pv_put(MSR_KVM_EOI_EN, PV_PAGE | 1));
	return status;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, exit_clean)

static uint32_t flag(void)
{
	uint32_t value;

	pv_read(0, &value, 4);
	return value;
}

/* What Linux does instead of the EOI: true when no exit is needed. */
static bool guest_eoi(void)
{
	uint32_t value = flag();
	uint32_t cleared = value & ~1u;

	pv_poke(0, &cleared, 4);
	return (value & 1) != 0;
}

static void interrupt(uint8_t vector)
{
	lapic_interrupt(l, vector);
	assert_true(lapic_accept(l, vector));
}

static bool in_service(uint8_t vector)
{
	return vecset_test(&l->isr, vector);
}

static void an_eoi_without_an_exit(void **state)
{
	(void)state;
	pv_eoi_offer(vcpu);
	assert_int_equal(flag(), 0);
	interrupt(0x41);
	pv_eoi_offer(vcpu);
	assert_int_equal(flag(), 1);
	assert_true(guest_eoi());
	assert_true(in_service(0x41)); /* as far as is known */
	pv_eoi_settle(vcpu);
	assert_false(in_service(0x41));
	assert_int_equal(vcpu->pv.eoi_saved, 1);
	/* Once. */
	interrupt(0x41);
	pv_eoi_settle(vcpu);
	assert_true(in_service(0x41));
	assert_int_equal(vcpu->pv.eoi_saved, 1);
}

/* The guest may always write the register; and an exit in the handler takes the offer back. */
static void an_offer_that_is_not_taken(void **state)
{
	(void)state;
	interrupt(0x41);
	pv_eoi_offer(vcpu);
	pv_eoi_settle(vcpu);
	assert_int_equal(flag(), 0);
	assert_true(in_service(0x41));
	assert_false(guest_eoi());
	assert_true(bus_write(&g->vm.mmio, 0xfee000b0, 4, 0, 0));
	assert_false(in_service(0x41));
	assert_int_equal(vcpu->pv.eoi_saved, 0);
}

/* 0x51 comes into the handler of 0x41; the first EOI is its own. */
static void nested_interrupts_end_from_the_inside(void **state)
{
	(void)state;
	interrupt(0x41);
	pv_eoi_offer(vcpu);
	assert_int_equal(flag(), 1);
	lapic_interrupt(l, 0x51);
	pv_eoi_settle(vcpu);
	assert_int_equal(flag(), 0);
	assert_true(lapic_accept(l, 0x51));
	pv_eoi_offer(vcpu);
	assert_true(guest_eoi());
	assert_false(guest_eoi()); /* the outer one: an exit */
	pv_eoi_settle(vcpu);
	assert_false(in_service(0x51));
	assert_true(in_service(0x41));
	assert_int_equal(vcpu->pv.eoi_saved, 1);
}

static void a_request_that_waits_gets_a_look(void **state)
{
	(void)state;
	interrupt(0x41);
	pv_eoi_offer(vcpu);
	assert_true(guest_eoi());
	atomic_store(&vcpu->requests, 0);
	lapic_interrupt(l, 0x31);
	assert_true(exit_requested(VCPU_REQ_EVENT));
	pv_eoi_settle(vcpu);
	assert_int_equal(lapic_pending(l), 0x31);
	assert_true(exit_requested(VCPU_REQ_EVENT));
}

static void what_waits_or_is_on_its_way_is_not_offered(void **state)
{
	(void)state;
	interrupt(0x41);
	lapic_interrupt(l, 0x31);
	pv_eoi_offer(vcpu);
	assert_int_equal(flag(), 0);
	assert_true(bus_write(&g->vm.mmio, 0xfee000b0, 4, 0, 0));
	assert_true(lapic_accept(l, 0x31));
	/* Accepted, and overtaken by an exception. */
	vcpu->events.late_vector = 0x31;
	pv_eoi_offer(vcpu);
	assert_int_equal(flag(), 0);
	vcpu->events.late_vector = -1;
	vcpu->events.reinject.type = VCPU_EVENT_INTERRUPT;
	pv_eoi_offer(vcpu);
	assert_int_equal(flag(), 0);
	vcpu->events.reinject.type = VCPU_EVENT_NONE;
	pv_eoi_offer(vcpu);
	assert_int_equal(flag(), 1);
}

static void only_one_bit_is_touched(void **state)
{
	uint32_t others = 0xa5a5a5a4;

	(void)state;
	pv_poke(0, &others, 4);
	interrupt(0x41);
	pv_eoi_offer(vcpu);
	assert_int_equal(flag(), 0xa5a5a5a5);
	pv_eoi_settle(vcpu);
	assert_int_equal(flag(), 0xa5a5a5a4);
}

static void switched_off_it_is_as_if_it_were_not(void **state)
{
	(void)state;
	interrupt(0x41);
	pv_eoi_offer(vcpu);
	assert_true(pv_put(MSR_KVM_EOI_EN, 0));
	assert_int_equal(flag(), 0);
	assert_false(vcpu->pv.eoi_offered);
	assert_true(in_service(0x41));
	pv_eoi_offer(vcpu);
	assert_int_equal(flag(), 0);
}

static void bad_addresses_fault(void **state)
{
	(void)state;
	assert_false(pv_put(MSR_KVM_EOI_EN, PV_PAGE | 3));
	assert_false(pv_put(MSR_KVM_EOI_EN, PV_PAGE | 2));
	for (size_t i = 0; i < ARRAY_SIZE(pv_not_ram); i++) {
		assert_false(pv_put(MSR_KVM_EOI_EN, pv_not_ram[i] | 1));
	}
	assert_int_equal(pv_get(MSR_KVM_EOI_EN), PV_PAGE | 1);
	assert_true(pv_put(MSR_KVM_EOI_EN, GIB(3)));
}

/* --- in the run loop --- */

static unsigned step;

/* Takes an interrupt, ends it by the bit, and is asked to exit for something else. */
static void handler(struct vcpu *v, struct vm_exit *e)
{
	(void)v;
	assert_true(guest_eoi());
	step++;
	*e = (struct vm_exit){.kind = VM_EXIT_HLT, .insn_len = 1};
}

static void the_run_loop_offers_and_settles(void **state)
{
	(void)state;
	step = 0;
	fake_backend.guest = handler;
	cpu->regs[VCPU_REG_RFLAGS] |= RFLAGS_IF;
	lapic_interrupt(l, 0x41);
	run_once();
	space_switch(&g->vm.gspace.host);
	assert_int_equal(step, 1);
	assert_int_equal(fake_backend.delivered.vector, 0x41);
	assert_false(in_service(0x41));
	assert_int_equal(vcpu->pv.eoi_saved, 1);
	fake_backend.guest = NULL;
	run_hold(&g->tasks[0]);
	run_forget(&g->vm);
	run_release(&g->tasks[0]);
}

static uint32_t flag_at_entry;

static void look_at_the_flag(struct vcpu *v, struct vm_exit *e)
{
	(void)v;
	flag_at_entry = flag();
	*e = (struct vm_exit){.kind = VM_EXIT_PAUSE, .insn_len = 2};
}

/* Another interrupt came between the offer and the entry, which did not happen. */
static void an_offer_that_saw_no_entry_is_taken_back(void **state)
{
	(void)state;
	interrupt(0x61);
	pv_eoi_offer(vcpu);
	assert_int_equal(flag(), 1);
	/* It waits for the EOI of the first: that must be an exit. */
	lapic_interrupt(l, 0x41);
	assert_true(exit_requested(VCPU_REQ_EVENT));
	flag_at_entry = ~0u;
	fake_backend.guest = look_at_the_flag;
	guest_kick(g, 0);
	pv_run();
	fake_backend.guest = NULL;
	assert_int_equal(flag_at_entry, 0);
	assert_false(vcpu->pv.eoi_offered);
	run_hold(&g->tasks[0]);
	run_forget(&g->vm);
	run_release(&g->tasks[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_eoi_without_an_exit),
		TEST(an_offer_that_is_not_taken),
		TEST(nested_interrupts_end_from_the_inside),
		TEST(a_request_that_waits_gets_a_look),
		TEST(what_waits_or_is_on_its_way_is_not_offered),
		TEST(only_one_bit_is_touched),
		TEST(switched_off_it_is_as_if_it_were_not),
		TEST(bad_addresses_fault),
		TEST(the_run_loop_offers_and_settles),
		TEST(an_offer_that_saw_no_entry_is_taken_back),
	};

	return cmocka_run_group_tests(tests, pv_machine, NULL);
}
