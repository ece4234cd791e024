/* SPDX-License-Identifier: Apache-2.0 */
/* The partition's synthetic MSRs, the hypercall page, crash, reset and idle, and their life. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/cpu/msr.h"
#include "tests/fakes/hyperv_rig.h"

static const uint8_t vmmcall_ret[] = {0x0f, 0x01, 0xd9, 0xc3};
static const uint8_t vmcall_ret[] = {0x0f, 0x01, 0xc1, 0xc3};
static const uint8_t before[] = {1, 2, 3, 4};

static void expect_page(const uint8_t bytes[4])
{
	uint8_t now[4];

	hyperv_peek(0, now, sizeof(now));
	assert_memory_equal(now, bytes, sizeof(now));
}

/* --- the hypercall page --- */

static void the_page_appears_and_goes(void **state)
{
	(void)state;
	hyperv_poke(0, before, sizeof(before));
	/* Nobody has said who he is: ignored. */
	assert_true(hyperv_put(MSR_HV_HYPERCALL, HYPERV_PAGE | 1));
	assert_int_equal(hyperv_get(MSR_HV_HYPERCALL), 0);
	expect_page(before);
	assert_true(hyperv_put(MSR_HV_GUEST_OS_ID, 0x8100060100000000));
	assert_int_equal(hyperv_get(MSR_HV_GUEST_OS_ID), 0x8100060100000000);
	assert_true(hyperv_put(MSR_HV_HYPERCALL, HYPERV_PAGE | 1));
	assert_int_equal(hyperv_get(MSR_HV_HYPERCALL), HYPERV_PAGE | 1);
	expect_page(g->cpuid.intel ? vmcall_ret : vmmcall_ret);
	/* Without the name there is no interface. */
	assert_true(hyperv_put(MSR_HV_GUEST_OS_ID, 0));
	assert_int_equal(hyperv_get(MSR_HV_HYPERCALL), HYPERV_PAGE);
	expect_page(before);
}

static void each_vendor_has_its_instruction(void **state)
{
	(void)state;
	for (unsigned intel = 0; intel < 2; intel++) {
		g->cpuid.intel = intel != 0;
		assert_true(hyperv_put(MSR_HV_GUEST_OS_ID, 1));
		assert_true(hyperv_put(MSR_HV_HYPERCALL, HYPERV_PAGE | 1));
		expect_page(intel != 0 ? vmcall_ret : vmmcall_ret);
		assert_true(hyperv_put(MSR_HV_GUEST_OS_ID, 0));
	}
}

static void the_page_moves(void **state)
{
	uint8_t now[4];

	(void)state;
	hyperv_poke(0, before, sizeof(before));
	assert_true(hyperv_put(MSR_HV_GUEST_OS_ID, 1));
	assert_true(hyperv_put(MSR_HV_HYPERCALL, HYPERV_PAGE | 1));
	assert_true(hyperv_put(MSR_HV_HYPERCALL, (HYPERV_PAGE + 0x1000) | 1));
	expect_page(before);
	hyperv_peek(0x1000, now, sizeof(now));
	assert_int_equal(now[3], 0xc3);
	/* What the guest has written over it stays. */
	hyperv_poke(0x1000, before, sizeof(before));
	assert_true(hyperv_put(MSR_HV_HYPERCALL, 0));
	hyperv_peek(0x1000, now, sizeof(now));
	assert_memory_equal(now, before, sizeof(now));
}

static void a_locked_page_stays(void **state)
{
	(void)state;
	assert_true(hyperv_put(MSR_HV_GUEST_OS_ID, 1));
	assert_true(hyperv_put(MSR_HV_HYPERCALL, HYPERV_PAGE | 3));
	assert_true(hyperv_put(MSR_HV_HYPERCALL, 0));
	assert_int_equal(hyperv_get(MSR_HV_HYPERCALL), HYPERV_PAGE | 3);
}

static void a_page_must_be_ram(void **state)
{
	(void)state;
	assert_true(hyperv_put(MSR_HV_GUEST_OS_ID, 1));
	assert_true(hyperv_put(MSR_HV_HYPERCALL, HYPERV_PAGE | 1));
	for (size_t i = 0; i < ARRAY_SIZE(hyperv_not_ram); i++) {
		assert_false(hyperv_put(MSR_HV_HYPERCALL, hyperv_not_ram[i] | 1));
		/* All is as it was. */
		assert_int_equal(hyperv_get(MSR_HV_HYPERCALL), HYPERV_PAGE | 1);
		expect_page(g->cpuid.intel ? vmcall_ret : vmmcall_ret);
	}
}

/* --- what is only read --- */

static void facts_cannot_be_written(void **state)
{
	static const uint32_t facts[] = {MSR_HV_VP_INDEX,	MSR_HV_VP_RUNTIME,
					 MSR_HV_TIME_REF_COUNT, MSR_HV_TSC_FREQUENCY,
					 MSR_HV_APIC_FREQUENCY, MSR_HV_GUEST_IDLE,
					 MSR_HV_SVERSION};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(facts); i++) {
		assert_false(hyperv_put(facts[i], 0));
	}
	assert_int_equal(hyperv_get(MSR_HV_TSC_FREQUENCY), clock_hz());
	assert_int_equal(hyperv_get(MSR_HV_APIC_FREQUENCY), LAPIC_TIMER_HZ);
	assert_true(hyperv_faults(MSR_HV_EOI));
	for (unsigned i = 0; i < HYPERV_CPUS; i++) {
		uint64_t value = ~0ull;

		assert_true(msr_read(g->vm.vcpus[i], MSR_HV_VP_INDEX, &value));
		assert_int_equal(value, i);
	}
}

static void run_time_is_in_units_of_100_ns(void **state)
{
	uint64_t start = hyperv_get(MSR_HV_VP_RUNTIME);

	(void)state;
	g->tasks[0].entity.run_ticks += VM_RIG_HZ; /* a second */
	assert_in_range(hyperv_get(MSR_HV_VP_RUNTIME) - start, 9999999, 10000001);
}

static void numbers_in_between_do_not_exist(void **state)
{
	static const uint32_t none[] = {0x40000004, 0x4000000f, 0x40000011, 0x40000024, 0x40000074,
					0x40000085, 0x4000008f, 0x400000a0, 0x400000b8, 0x400000f1,
					0x40000106, 0x40000118, 0x4b564d00, 0x12};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(none); i++) {
		assert_true(hyperv_faults(none[i]));
		assert_false(hyperv_put(none[i], 0));
	}
}

/* --- the end --- */

static void a_crash_is_told(void **state)
{
	static const char text[] = "unhandled \x01 page\nsecond line";

	(void)state;
	assert_int_equal(hyperv_get(MSR_HV_CRASH_CTL) >> 62, 3);
	for (uint32_t i = 0; i < 5; i++) {
		assert_true(hyperv_put(MSR_HV_CRASH_P0 + i, 0x50 + i));
		assert_int_equal(hyperv_get(MSR_HV_CRASH_P0 + i), 0x50 + i);
	}
	assert_true(hyperv_put(MSR_HV_CRASH_CTL, 0)); /* not notified */
	assert_string_equal(vm_rig_text(), "");
	assert_true(hyperv_put(MSR_HV_CRASH_CTL, HV_CRASH_NOTIFY));
	assert_non_null(strstr(vm_rig_text(), "bulkhead: guest web: crash: bugcheck 0x50 (0x51, "
					      "0x52, 0x53, 0x54)\r\n"));
	vm_rig_clear();
	hyperv_poke(0, text, sizeof(text));
	assert_true(hyperv_put(MSR_HV_CRASH_P0 + 3, HYPERV_PAGE));
	assert_true(hyperv_put(MSR_HV_CRASH_P0 + 4, sizeof(text)));
	assert_true(hyperv_put(MSR_HV_CRASH_CTL, HV_CRASH_NOTIFY | HV_CRASH_MESSAGE));
	assert_non_null(strstr(vm_rig_text(), "): unhandled ? page\r\n"));
	assert_null(strstr(vm_rig_text(), "second"));
}

static void crashes_do_not_fill_the_log(void **state)
{
	unsigned lines = 0;

	(void)state;
	for (unsigned i = 0; i < 50; i++) {
		/* No such message. */
		assert_true(hyperv_put(MSR_HV_CRASH_P0 + 3, ~0ull));
		assert_true(hyperv_put(MSR_HV_CRASH_P0 + 4, ~0ull));
		assert_true(hyperv_put(MSR_HV_CRASH_CTL, HV_CRASH_NOTIFY | HV_CRASH_MESSAGE));
	}
	for (const char *at = vm_rig_text(); (at = strstr(at, "bugcheck")) != NULL; at++) {
		lines++;
	}
	assert_int_equal(lines, 4);
}

static void the_reset_msr_resets(void **state)
{
	(void)state;
	assert_int_equal(hyperv_get(MSR_HV_RESET), 0);
	assert_true(hyperv_put(MSR_HV_RESET, 2));
	guest_end_wanted();
	assert_int_equal(g->state, GUEST_RUNNING);
	assert_true(hyperv_put(MSR_HV_RESET, 1));
	exit_stopped("by the Hyper-V reset MSR");
}

/* All of it is as new, whatever the guest had set up. */
static void a_reset_forgets_everything(void **state)
{
	(void)state;
	assert_true(hyperv_put(MSR_HV_GUEST_OS_ID, 1));
	assert_true(hyperv_put(MSR_HV_HYPERCALL, HYPERV_PAGE | 1));
	assert_true(hyperv_put(MSR_HV_REFERENCE_TSC, (HYPERV_PAGE + 0x1000) | 1));
	assert_true(hyperv_put(MSR_HV_CRASH_P0, 7));
	assert_true(hyperv_put(MSR_HV_SINT0, 0x30));
	guest_reset(g, "by request");
	vm_rig_work();
	assert_int_equal(g->state, GUEST_RUNNING);
	space_switch(&g->vm.gspace.host);
	vcpu = g->vm.vcpus[0];
	assert_int_equal(hyperv_get(MSR_HV_GUEST_OS_ID), 0);
	assert_int_equal(hyperv_get(MSR_HV_HYPERCALL), 0);
	assert_int_equal(hyperv_get(MSR_HV_REFERENCE_TSC), 0);
	assert_int_equal(hyperv_get(MSR_HV_CRASH_P0), 0);
	assert_int_equal(hyperv_get(MSR_HV_SINT0), HV_SINT_MASKED);
}

/* INIT takes what is the virtual processor's, not what is the partition's. */
static void init_resets_the_processor(void **state)
{
	(void)state;
	assert_true(hyperv_put(MSR_HV_GUEST_OS_ID, 1));
	assert_true(hyperv_put(MSR_HV_SINT0 + 3, 0x30 | HV_SINT_AUTO_EOI));
	assert_true(hyperv_put(MSR_HV_STIMER0_CONFIG, HV_STIMER_DIRECT | 0x30 << 4));
	assert_true(hyperv_put(MSR_HV_VP_ASSIST_PAGE, HYPERV_PAGE | 1));
	vcpu_init(vcpu);
	assert_int_equal(hyperv_get(MSR_HV_GUEST_OS_ID), 1);
	assert_int_equal(hyperv_get(MSR_HV_SINT0 + 3), HV_SINT_MASKED);
	assert_int_equal(hyperv_get(MSR_HV_STIMER0_CONFIG), 0);
	assert_int_equal(hyperv_get(MSR_HV_VP_ASSIST_PAGE), 0);
	assert_false(vecset_test(&board_lapic(g->board, 0)->auto_eoi, 0x30));
}

/* --- idle --- */

static void idle_until_an_interrupt_whatever_if_says(void **state)
{
	struct lapic *l = board_lapic(g->board, 0);

	(void)state;
	cpu->regs[VCPU_REG_RFLAGS] &= ~RFLAGS_IF;
	assert_int_equal(hyperv_get(MSR_HV_GUEST_IDLE), 0);
	assert_true(vcpu->halted);
	assert_true(exit_requested(VCPU_REQ_EVENT));
	assert_false(hyperv_idle_over(vcpu));
	/* Even one that has to wait behind a higher one in service. */
	vecset_add(&l->isr, 0xf0);
	lapic_interrupt(l, 0x31);
	assert_true(exit_requested(VCPU_REQ_EVENT));
	assert_true(hyperv_idle_over(vcpu));
	hyperv_end_idle(vcpu);
	assert_false(vcpu->pv.idle);
	lapic_interrupt(l, 0x32);
	assert_false(exit_requested(VCPU_REQ_EVENT));
}

static void an_idle_guest_is_not_at_its_end(void **state)
{
	(void)state;
	cpu->regs[VCPU_REG_RFLAGS] &= ~RFLAGS_IF;
	assert_int_equal(hyperv_get(MSR_HV_GUEST_IDLE), 0);
	for (unsigned i = 0; i < 2 * HYPERV_CPUS; i++) {
		run_once();
	}
	guest_end_wanted();
	assert_int_equal(g->state, GUEST_RUNNING);
	assert_true(vcpu->halted);
	assert_int_equal(g->tasks[0].entity.state, SCHED_BLOCKED);
	lapic_interrupt(board_lapic(g->board, 0), 0x31);
	assert_int_equal(g->tasks[0].entity.state, SCHED_QUEUED);
}

/* --- other guests --- */

static void without_hyperv_there_is_none(void **state)
{
	(void)state;
	exit_config.hyperv = false;
	guest_reset(g, "by request");
	vm_rig_work();
	space_switch(&g->vm.gspace.host);
	vcpu = g->vm.vcpus[0];
	assert_null(g->vm.hyperv);
	for (uint32_t i = MSR_HV_GUEST_OS_ID; i <= MSR_HV_LAST; i++) {
		assert_true(hyperv_faults(i));
		assert_false(hyperv_put(i, 0));
	}
	hyperv_test_command(&g->vm, 3u << 16);
	hyperv_requests(vcpu);
	exit_config.hyperv = true;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		HYPERV_TEST(the_page_appears_and_goes),
		HYPERV_TEST(each_vendor_has_its_instruction),
		HYPERV_TEST(the_page_moves),
		HYPERV_TEST(a_locked_page_stays),
		HYPERV_TEST(a_page_must_be_ram),
		HYPERV_TEST(facts_cannot_be_written),
		HYPERV_TEST(run_time_is_in_units_of_100_ns),
		HYPERV_TEST(numbers_in_between_do_not_exist),
		HYPERV_TEST(a_crash_is_told),
		HYPERV_TEST(crashes_do_not_fill_the_log),
		HYPERV_TEST(the_reset_msr_resets),
		HYPERV_TEST(a_reset_forgets_everything),
		HYPERV_TEST(init_resets_the_processor),
		HYPERV_TEST(idle_until_an_interrupt_whatever_if_says),
		HYPERV_TEST(an_idle_guest_is_not_at_its_end),
		HYPERV_TEST(without_hyperv_there_is_none),
	};

	return cmocka_run_group_tests(tests, hyperv_machine, NULL);
}
