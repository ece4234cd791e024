/* SPDX-License-Identifier: Apache-2.0 */
/* The LAPIC's registers as MSRs in both modes, and EOIs by the VP assist page. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/cpu/msr.h"
#include "tests/fakes/hyperv_rig.h"

#define BASE_X2APIC 0xfee00d00ull /* of the BSP */
#define BASE_OFF 0xfee00100ull

static struct lapic *first(void)
{
	return board_lapic(g->board, 0);
}

static void in_service(uint8_t vector)
{
	lapic_interrupt(first(), vector);
	assert_true(lapic_accept(first(), vector));
}

static void both_modes(void (*check)(void))
{
	check();
	assert_true(hyperv_put(MSR_IA32_APIC_BASE, BASE_X2APIC));
	check();
}

static void check_eoi(void)
{
	in_service(0x40);
	assert_true(hyperv_put(MSR_HV_EOI, 0));
	assert_int_equal(vecset_highest(&first()->isr), -1);
	assert_true(hyperv_faults(MSR_HV_EOI));
}

static void an_eoi(void **state)
{
	(void)state;
	both_modes(check_eoi);
}

static void check_tpr(void)
{
	cpu->regs[VCPU_REG_CR8] = 0x7;
	assert_int_equal(hyperv_get(MSR_HV_TPR), 0x70);
	assert_true(hyperv_put(MSR_HV_TPR, 0x35));
	assert_int_equal(hyperv_get(MSR_HV_TPR), 0x35);
	assert_int_equal(cpu->regs[VCPU_REG_CR8], 3);
	assert_false(hyperv_put(MSR_HV_TPR, 0x100));
	assert_true(hyperv_put(MSR_HV_TPR, 0));
}

static void the_tpr(void **state)
{
	(void)state;
	both_modes(check_tpr);
}

static void an_ipi_by_the_icr(void **state)
{
	(void)state;
	/* xAPIC: the destination in the top byte. */
	assert_true(hyperv_put(MSR_HV_ICR, 2ull << 56 | 0x41));
	assert_true(hyperv_got(2, 0x41));
	assert_int_equal(hyperv_get(MSR_HV_ICR), 2ull << 56 | 0x41);
	/* x2APIC: in the upper half. */
	for (unsigned i = 0; i < HYPERV_CPUS; i++) {
		assert_true(msr_write(g->vm.vcpus[i], MSR_IA32_APIC_BASE,
				      i == 0 ? BASE_X2APIC : BASE_X2APIC & ~0x100ull));
	}
	assert_true(hyperv_put(MSR_HV_ICR, 1ull << 32 | 0x42));
	assert_true(hyperv_got(1, 0x42));
	assert_false(hyperv_got(2, 0x42));
	assert_int_equal(hyperv_get(MSR_HV_ICR), 1ull << 32 | 0x42);
}

static void without_a_lapic_there_are_none(void **state)
{
	(void)state;
	assert_true(hyperv_put(MSR_IA32_APIC_BASE, BASE_OFF));
	assert_true(hyperv_faults(MSR_HV_TPR));
	assert_true(hyperv_faults(MSR_HV_ICR));
	assert_false(hyperv_put(MSR_HV_TPR, 0));
	assert_false(hyperv_put(MSR_HV_ICR, 0x41));
}

/* --- the assist page --- */

static uint32_t word(void)
{
	uint32_t value;

	hyperv_peek(0, &value, sizeof(value));
	return value;
}

static void an_eoi_without_an_exit(void **state)
{
	const uint32_t junk = ~0u;
	const uint32_t taken = 0;

	(void)state;
	hyperv_poke(0, &junk, sizeof(junk));
	assert_true(hyperv_put(MSR_HV_VP_ASSIST_PAGE, HYPERV_PAGE | 1));
	assert_int_equal(hyperv_get(MSR_HV_VP_ASSIST_PAGE), HYPERV_PAGE | 1);
	assert_int_equal(word(), 0);
	in_service(0x40);
	pv_eoi_offer(vcpu);
	assert_int_equal(word(), 1);
	hyperv_poke(0, &taken, sizeof(taken));
	pv_eoi_settle(vcpu);
	assert_int_equal(vecset_highest(&first()->isr), -1);
	assert_int_equal(vcpu->pv.eoi_saved, 1);
	/* Not taken: it is still in service, and the word says so. */
	in_service(0x40);
	pv_eoi_offer(vcpu);
	pv_eoi_settle(vcpu);
	assert_int_equal(word(), 0);
	assert_int_equal(vecset_highest(&first()->isr), 0x40);
	assert_true(hyperv_put(MSR_HV_VP_ASSIST_PAGE, HYPERV_PAGE));
	pv_eoi_offer(vcpu);
	assert_int_equal(word(), 0);
}

static void the_page_must_be_ram(void **state)
{
	(void)state;
	assert_true(hyperv_put(MSR_HV_VP_ASSIST_PAGE, HYPERV_PAGE | 1));
	for (size_t i = 0; i < ARRAY_SIZE(hyperv_not_ram); i++) {
		assert_false(hyperv_put(MSR_HV_VP_ASSIST_PAGE, hyperv_not_ram[i] | 1));
		assert_true(hyperv_get(MSR_HV_VP_ASSIST_PAGE) == (HYPERV_PAGE | 1));
		assert_true(vcpu->pv.eoi == (HYPERV_PAGE | 1));
	}
}

/* The write of a timer's count is an exit in its handler: the EOI behind it is offered again. */
static void a_timer_that_is_set_gets_the_offer_back(void **state)
{
	(void)state;
	assert_true(hyperv_put(MSR_HV_STIMER0_CONFIG + 1, 0));
	assert_false(exit_requested(VCPU_REQ_EVENT));
	assert_true(hyperv_put(MSR_HV_VP_ASSIST_PAGE, HYPERV_PAGE | 1));
	assert_true(hyperv_put(MSR_HV_STIMER0_CONFIG + 1, 0));
	assert_true(exit_requested(VCPU_REQ_EVENT));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		HYPERV_TEST(an_eoi),
		HYPERV_TEST(the_tpr),
		HYPERV_TEST(an_ipi_by_the_icr),
		HYPERV_TEST(without_a_lapic_there_are_none),
		HYPERV_TEST(an_eoi_without_an_exit),
		HYPERV_TEST(the_page_must_be_ram),
		HYPERV_TEST(a_timer_that_is_set_gets_the_offer_back),
	};

	return cmocka_run_group_tests(tests, hyperv_machine, NULL);
}
