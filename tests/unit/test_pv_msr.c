/* SPDX-License-Identifier: Apache-2.0 */
/* The paravirtual MSRs as a set, and the state behind them over the vCPU's life. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/exit.h"
#include "tests/fakes/pv_rig.h"

static const uint32_t all[] = {0x11,	   0x12,       0x4b564d00, 0x4b564d01,
			       0x4b564d03, 0x4b564d04, 0x4b564d05};

static void they_keep_what_is_written(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		uint64_t value = all[i] == 0x4b564d05 ? 0 : PV_PAGE | 1;
		uint64_t read = ~0ull;

		/* Through the exits' table, so that a row is there for each. */
		assert_true(msr_write(vcpu, all[i], value));
		assert_true(msr_read(vcpu, all[i], &read));
		assert_int_equal(read, value);
	}
}

static void old_and_new_numbers_are_one(void **state)
{
	(void)state;
	assert_true(pv_put(0x12, PV_PAGE | 1));
	assert_int_equal(pv_get(0x4b564d01), PV_PAGE | 1);
	assert_true(pv_put(0x4b564d00, PV_PAGE));
	assert_int_equal(pv_get(0x11), PV_PAGE);
}

static void what_is_not_offered_faults(void **state)
{
	static const uint32_t none[] = {0x4b564d02, 0x4b564d06, 0x4b564d07,
					0x4b564d08, 0x13,	0x4b564dff};
	uint64_t value;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(none); i++) {
		assert_false(msr_read(vcpu, none[i], &value));
		assert_false(msr_write(vcpu, none[i], 0));
		assert_false(pv_msr_read(vcpu, none[i], &value));
		assert_false(pv_msr_write(vcpu, none[i], 0));
	}
}

static void without_paravirt_there_is_none(void **state)
{
	uint64_t value;

	(void)state;
	exit_config.paravirt = false;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		assert_false(msr_read(vcpu, all[i], &value));
		assert_false(msr_write(vcpu, all[i], PV_PAGE | 1));
	}
	assert_int_equal(vcpu->pv.system_time | vcpu->pv.steal_time | vcpu->pv.eoi, 0);
}

static void the_wall_clock_is_the_vms(void **state)
{
	uint64_t value = 0;

	(void)state;
	assert_true(pv_put(MSR_KVM_WALL_CLOCK_NEW, PV_PAGE));
	assert_true(pv_msr_read(g->vm.vcpus[1], MSR_KVM_WALL_CLOCK_NEW, &value));
	assert_int_equal(value, PV_PAGE);
	assert_true(pv_put(MSR_KVM_SYSTEM_TIME_NEW, PV_PAGE | 1));
	assert_true(pv_msr_read(g->vm.vcpus[1], MSR_KVM_SYSTEM_TIME_NEW, &value));
	assert_int_equal(value, 0);
}

static void polling_is_a_wish(void **state)
{
	(void)state;
	assert_int_equal(pv_get(MSR_KVM_POLL_CONTROL), 1);
	assert_true(pv_put(MSR_KVM_POLL_CONTROL, 0));
	assert_false(pv_put(MSR_KVM_POLL_CONTROL, 2));
	assert_int_equal(pv_get(MSR_KVM_POLL_CONTROL), 0);
}

static void a_reset_forgets_all(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(all) - 1; i++) {
		assert_true(pv_put(all[i], PV_PAGE | 1));
	}
	assert_true(pv_put(MSR_KVM_POLL_CONTROL, 0));
	pv_requests(vcpu, VCPU_REQ_UNHALT);
	vcpu->pv.eoi_saved = 7;
	vcpu_reset(vcpu);
	assert_int_equal(vcpu->pv.system_time | vcpu->pv.steal_time | vcpu->pv.eoi, 0);
	/* INIT as well: what runs next knows nothing of the pages. */
	assert_true(pv_put(MSR_KVM_STEAL_TIME, PV_PAGE | 1));
	assert_true(pv_put(MSR_KVM_EOI_EN, PV_PAGE | 1));
	vcpu_init(vcpu);
	assert_int_equal(vcpu->pv.steal_time | vcpu->pv.eoi, 0);
	assert_int_equal(vcpu->pv.poll_control, 1);
	assert_false(pv_take_unhalt(vcpu));
	assert_int_equal(vcpu->pv.eoi_saved, 7); /* a counter */
}

/* The kicker may come before the HLT that it means. */
static void an_unhalt_is_kept_for_one_halt(void **state)
{
	(void)state;
	assert_false(pv_take_unhalt(vcpu));
	pv_requests(vcpu, VCPU_REQ_UNHALT);
	pv_requests(vcpu, VCPU_REQ_UNHALT);
	assert_true(pv_take_unhalt(vcpu));
	assert_false(pv_take_unhalt(vcpu));
	pv_requests(vcpu, VCPU_REQ_CLOCK);
	assert_false(pv_take_unhalt(vcpu));
}

static void halt_with_interrupts_off(struct vcpu *v, struct vm_exit *e)
{
	(void)v;
	*e = (struct vm_exit){.kind = VM_EXIT_HLT, .insn_len = 1};
}

/* kvm_wait of Linux: HLT, interrupts off, until the lock's holder kicks. */
static void a_kick_ends_a_halt_in_the_run_loop(void **state)
{
	unsigned runs;

	(void)state;
	fake_backend.guest = halt_with_interrupts_off;
	cpu->regs[VCPU_REG_RFLAGS] &= ~RFLAGS_IF;
	/* The one that will kick: it halts until an interrupt. */
	g->vm.vcpus[1]->wait_for_sipi = false;
	g->vm.vcpus[1]->halted = true;
	fake_vcpu(g->vm.vcpus[1])->regs[VCPU_REG_RFLAGS] |= RFLAGS_IF;
	atomic_store(&g->vm.vcpus[1]->stranded, false);
	guest_kick(g, 0);
	pv_run();
	assert_true(vcpu->halted);
	assert_int_equal(g->tasks[0].entity.state, SCHED_BLOCKED);
	runs = fake_backend.runs;
	/* Anything else does not. */
	guest_kick(g, 0);
	pv_run();
	assert_int_equal(fake_backend.runs, runs);
	vcpu_request(vcpu, VCPU_REQ_UNHALT);
	guest_kick(g, 0);
	pv_run();
	assert_int_equal(fake_backend.runs, runs + 1);
	assert_true(vcpu->halted);
	fake_backend.guest = NULL;
	run_hold(&g->tasks[0]);
	run_forget(&g->vm);
	run_release(&g->tasks[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PV_TEST(they_keep_what_is_written),
		PV_TEST(old_and_new_numbers_are_one),
		PV_TEST(what_is_not_offered_faults),
		PV_TEST(without_paravirt_there_is_none),
		PV_TEST(the_wall_clock_is_the_vms),
		PV_TEST(polling_is_a_wish),
		PV_TEST(a_reset_forgets_all),
		PV_TEST(an_unhalt_is_kept_for_one_halt),
		PV_TEST(a_kick_ends_a_halt_in_the_run_loop),
	};

	return cmocka_run_group_tests(tests, pv_machine, NULL);
}
