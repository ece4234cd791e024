/* SPDX-License-Identifier: Apache-2.0 */
/* The paravirtual clock's pages, the wall clock and stolen time, read as Linux reads them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/exit.h"
#include "tests/fakes/pv_rig.h"

/* The guest's TSC as RDTSC would read it, without an exit. */
static uint64_t rdtsc(void)
{
	return fake_tsc + cpu->tsc_offset;
}

static struct pvclock_vcpu_time_info page(void)
{
	struct pvclock_vcpu_time_info info;

	pv_read(0, &info, sizeof(info));
	assert_int_equal(info.version & 1, 0);
	return info;
}

static uint64_t clock_ns(uint64_t tsc)
{
	struct pvclock_vcpu_time_info info = page();
	uint64_t delta = tsc - info.tsc_timestamp;

	delta = info.tsc_shift < 0 ? delta >> -info.tsc_shift : delta << info.tsc_shift;
	return info.system_time +
	       (uint64_t)(((unsigned __int128)delta * info.tsc_to_system_mul) >> 32);
}

/* --- the clock --- */

static void the_clock_page_tells_guest_time(void **state)
{
	(void)state;
	fake_tsc += 3 * VM_RIG_HZ;
	assert_true(pv_put(MSR_KVM_SYSTEM_TIME_NEW, PV_PAGE | 1));
	assert_in_range(clock_ns(rdtsc()), 3000000000 - 3000, 3000000000);
	fake_tsc += 60 * VM_RIG_HZ;
	assert_in_range(clock_ns(rdtsc()), 63000000000 - 63000, 63000000000);
	assert_int_equal(page().flags, PVCLOCK_TSC_STABLE);
	assert_null(strstr(vm_rig_text(), "not RAM"));
}

/* Linux writes TSC and TSC_ADJUST while it starts: the clock must not jump. */
static void the_clock_stands_above_tsc_adjustments(void **state)
{
	uint32_t version;

	(void)state;
	assert_true(pv_put(MSR_KVM_SYSTEM_TIME_NEW, PV_PAGE | 1));
	version = page().version;
	fake_tsc += VM_RIG_HZ;
	assert_true(msr_write(vcpu, MSR_IA32_TSC, 0));
	assert_in_range(clock_ns(rdtsc()), 1000000000 - 1000, 1000000000);
	assert_true(msr_write(vcpu, MSR_IA32_TSC_ADJUST, 0));
	assert_in_range(clock_ns(rdtsc()), 1000000000 - 1000, 1000000000);
	/* Each time under a new version. */
	assert_int_equal(page().version, version + 4);
}

/* A reader in the middle sees an odd version; one left odd by a guest becomes even, too. */
static void the_version_moves_on_from_what_is_there(void **state)
{
	uint32_t version = 0x11;

	(void)state;
	pv_poke(0, &version, 4);
	assert_true(pv_put(MSR_KVM_SYSTEM_TIME_NEW, PV_PAGE | 1));
	assert_int_equal(page().version, 0x12);
	version = UINT32_MAX - 1;
	pv_poke(0, &version, 4);
	pv_update_clock(vcpu);
	assert_int_equal(page().version, 0);
}

static void a_disabled_clock_writes_nothing(void **state)
{
	uint64_t word = 0;

	(void)state;
	assert_true(pv_put(MSR_KVM_SYSTEM_TIME_NEW, PV_PAGE | 1));
	assert_true(pv_put(MSR_KVM_SYSTEM_TIME_NEW, PV_PAGE));
	pv_poke(0, &word, 8);
	pv_poke(24, &word, 8);
	pv_tsc_changed(vcpu);
	pv_resumed(vcpu);
	pv_requests(vcpu, VCPU_REQ_CLOCK);
	pv_read(24, &word, 8);
	assert_int_equal(word, 0);
	pv_read(0, &word, 8);
	assert_int_equal(word, 0);
}

/* The vDSO reads the first vCPU's page on all of them. */
static void the_stable_bit_needs_equal_tscs(void **state)
{
	struct vcpu *other = g->vm.vcpus[2];

	(void)state;
	assert_true(pv_put(MSR_KVM_SYSTEM_TIME_NEW, PV_PAGE | 1));
	assert_int_equal(page().flags, PVCLOCK_TSC_STABLE);
	assert_true(msr_write(other, MSR_IA32_TSC_ADJUST, 100));
	/* The first vCPU hears of it, and its CPU writes the page. */
	assert_true(exit_requested(VCPU_REQ_CLOCK));
	assert_int_equal(page().flags, PVCLOCK_TSC_STABLE);
	pv_requests(vcpu, VCPU_REQ_CLOCK);
	assert_int_equal(page().flags, 0);
	/* Alike again, on all three. */
	assert_true(msr_write(g->vm.vcpus[1], MSR_IA32_TSC_ADJUST, 100));
	assert_true(msr_write(vcpu, MSR_IA32_TSC_ADJUST, 100));
	assert_int_equal(page().flags, PVCLOCK_TSC_STABLE);
	assert_true(atomic_load(&other->requests) & VCPU_REQ_CLOCK);
	/* A vCPU that starts anew has the TSC that RESET gives it. */
	vcpu_reset(other);
	pv_update_clock(vcpu);
	assert_int_equal(page().flags, 0);
}

static void a_pause_is_told_and_costs_no_time(void **state)
{
	uint8_t taken_back = PVCLOCK_TSC_STABLE;
	uint64_t before;

	(void)state;
	assert_true(pv_put(MSR_KVM_SYSTEM_TIME_NEW, PV_PAGE | 1));
	fake_tsc += VM_RIG_HZ;
	before = clock_ns(rdtsc());
	assert_int_equal(guest_pause(g), HV_OK);
	fake_tsc += 1000 * VM_RIG_HZ;
	assert_int_equal(guest_resume(g), HV_OK);
	assert_int_equal(clock_ns(rdtsc()), before);
	assert_true(exit_requested(VCPU_REQ_CLOCK));
	assert_int_equal(page().flags, PVCLOCK_TSC_STABLE);
	pv_requests(vcpu, VCPU_REQ_CLOCK);
	assert_int_equal(page().flags, PVCLOCK_TSC_STABLE | PVCLOCK_GUEST_STOPPED);
	assert_int_equal(clock_ns(rdtsc()), before);
	/* It stays until the guest clears it, and is gone then. */
	pv_update_clock(vcpu);
	assert_int_equal(page().flags, PVCLOCK_TSC_STABLE | PVCLOCK_GUEST_STOPPED);
	pv_poke(offsetof(struct pvclock_vcpu_time_info, flags), &taken_back, 1);
	pv_update_clock(vcpu);
	assert_int_equal(page().flags, PVCLOCK_TSC_STABLE);
}

static void a_pause_before_the_clock_is_not_told(void **state)
{
	(void)state;
	assert_int_equal(guest_pause(g), HV_OK);
	assert_int_equal(guest_resume(g), HV_OK);
	pv_requests(vcpu, VCPU_REQ_CLOCK);
	assert_true(pv_put(MSR_KVM_SYSTEM_TIME_NEW, PV_PAGE | 1));
	assert_int_equal(page().flags, PVCLOCK_TSC_STABLE);
}

static void a_page_may_lie_across_two(void **state)
{
	struct pvclock_vcpu_time_info info;
	gpa_t at = gpa(PV_PAGE + PAGE_SIZE - 12);

	(void)state;
	assert_true(pv_put(MSR_KVM_SYSTEM_TIME_NEW, at.v | 1));
	assert_int_equal(guest_mem_read(&g->vm, at, &info, sizeof(info)), HV_OK);
	assert_int_equal(info.version, 2);
	assert_int_equal(info.flags, PVCLOCK_TSC_STABLE);
}

/* --- the wall clock --- */

static void the_wall_clock_is_when_guest_time_began(void **state)
{
	struct pvclock_wall_clock wall = {.version = 5};

	(void)state;
	fake_tsc += 100 * VM_RIG_HZ;
	pv_poke(0x40, &wall, sizeof(wall));
	assert_true(pv_put(MSR_KVM_WALL_CLOCK_NEW, PV_PAGE + 0x40));
	pv_read(0x40, &wall, sizeof(wall));
	assert_int_equal(wall.sec, (uint32_t)g->wall_base);
	assert_true(g->wall_base >= 1767323045);
	assert_int_equal(wall.version, 6);
}

/* --- stolen time --- */

static struct pv_steal_time stolen(void)
{
	struct pv_steal_time st;

	pv_read(0, &st, sizeof(st));
	assert_int_equal(st.version & 1, 0);
	assert_int_equal(st.flags, 0);
	return st;
}

static void waiting_is_stolen_time(void **state)
{
	uint32_t version;

	(void)state;
	g->tasks[0].entity.wait_ticks = VM_RIG_HZ / 1000;
	assert_true(pv_put(MSR_KVM_STEAL_TIME, PV_PAGE | 1));
	assert_int_equal(stolen().steal, 1000000);
	version = stolen().version;
	/* Nothing new, nothing written. */
	pv_vcpu_load(vcpu);
	assert_int_equal(stolen().version, version);
	g->tasks[0].entity.wait_ticks += VM_RIG_HZ;
	pv_vcpu_load(vcpu);
	assert_int_equal(stolen().steal, 1001000000);
	assert_int_equal(stolen().version, version + 2);
	/* A little waits for more, and is not lost. */
	g->tasks[0].entity.wait_ticks += VM_RIG_HZ / 25000;
	pv_vcpu_load(vcpu);
	assert_int_equal(stolen().version, version + 2);
	g->tasks[0].entity.wait_ticks += VM_RIG_HZ / 25000;
	pv_vcpu_load(vcpu);
	assert_int_equal(stolen().steal, 1001080000);
	g->tasks[0].entity.wait_ticks += VM_RIG_HZ;
	assert_true(pv_put(MSR_KVM_STEAL_TIME, PV_PAGE));
	pv_vcpu_load(vcpu);
	pv_vcpu_put(vcpu, true);
	assert_int_equal(stolen().steal, 1001080000);
	assert_int_equal(stolen().preempted, 0);
}

static void the_run_loop_counts_the_wait(void **state)
{
	(void)state;
	assert_true(pv_put(MSR_KVM_STEAL_TIME, PV_PAGE | 1));
	run_wake(&g->tasks[0]);
	fake_tsc += VM_RIG_HZ / 100;
	fake_backend_push(&(struct vm_exit){.kind = VM_EXIT_PAUSE, .insn_len = 2});
	run_once();
	space_switch(&g->vm.gspace.host);
	assert_in_range(stolen().steal, 10000000, 11000000);
	/* It gave the CPU back and wants it again. */
	assert_int_equal(stolen().preempted, PV_PREEMPTED);
	fake_vcpu(vcpu)->regs[VCPU_REG_RFLAGS] |= RFLAGS_IF;
	fake_backend_push(&(struct vm_exit){.kind = VM_EXIT_HLT, .insn_len = 1});
	pv_run();
	space_switch(&g->vm.gspace.host);
	assert_int_equal(stolen().preempted, 0);
	run_hold(&g->tasks[0]);
	run_forget(&g->vm);
	run_release(&g->tasks[0]);
}

static void a_flush_asked_of_a_preempted_vcpu_is_done(void **state)
{
	uint8_t asked = PV_PREEMPTED | PV_FLUSH_TLB;

	(void)state;
	assert_true(pv_put(MSR_KVM_STEAL_TIME, PV_PAGE | 1));
	pv_vcpu_put(vcpu, false);
	assert_int_equal(stolen().preempted, 0);
	pv_vcpu_put(vcpu, true);
	assert_int_equal(stolen().preempted, PV_PREEMPTED);
	pv_vcpu_load(vcpu);
	assert_int_equal(stolen().preempted, 0);
	assert_false(exit_requested(VCPU_REQ_TLB_FLUSH));
	pv_vcpu_put(vcpu, true);
	pv_poke(offsetof(struct pv_steal_time, preempted), &asked, 1);
	pv_vcpu_load(vcpu);
	assert_int_equal(stolen().preempted, 0);
	assert_true(exit_requested(VCPU_REQ_TLB_FLUSH));
	/* What was never called preempted is not the hypervisor's to read. */
	pv_poke(offsetof(struct pv_steal_time, preempted), &asked, 1);
	pv_vcpu_load(vcpu);
	assert_int_equal(stolen().preempted, asked);
	assert_false(exit_requested(VCPU_REQ_TLB_FLUSH));
}

static void reserved_bits_fault(void **state)
{
	(void)state;
	for (unsigned i = 1; i < 6; i++) {
		assert_false(pv_put(MSR_KVM_STEAL_TIME, PV_PAGE | BIT(i) | 1));
	}
	assert_int_equal(pv_get(MSR_KVM_STEAL_TIME), 0);
}

/* --- both --- */

static void pages_outside_of_memory_are_harmless(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(pv_not_ram); i++) {
		assert_true(pv_put(MSR_KVM_SYSTEM_TIME_NEW, pv_not_ram[i] | 1));
		assert_true(pv_put(MSR_KVM_WALL_CLOCK_NEW, pv_not_ram[i]));
		assert_true(pv_put(MSR_KVM_STEAL_TIME, pv_not_ram[i] | 1));
		pv_vcpu_put(vcpu, true);
		pv_resumed(vcpu);
		pv_requests(vcpu, VCPU_REQ_PV);
		g->tasks[0].entity.wait_ticks++;
		pv_vcpu_load(vcpu);
	}
	/* The version fits, the rest does not. */
	assert_true(pv_put(MSR_KVM_SYSTEM_TIME_NEW, (VM_RIG_GUEST_MEMORY - 8) | 1));
	assert_non_null(strstr(vm_rig_text(), "is not RAM"));
	assert_int_equal(g->state, GUEST_RUNNING);
	/* That has been said. */
	vm_rig_clear();
	assert_true(pv_put(MSR_KVM_WALL_CLOCK_NEW, pv_not_ram[0]));
	assert_null(strstr(vm_rig_text(), "is not RAM"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PV_TEST(the_clock_page_tells_guest_time),
		PV_TEST(the_clock_stands_above_tsc_adjustments),
		PV_TEST(the_version_moves_on_from_what_is_there),
		PV_TEST(a_disabled_clock_writes_nothing),
		PV_TEST(the_stable_bit_needs_equal_tscs),
		PV_TEST(a_pause_is_told_and_costs_no_time),
		PV_TEST(a_pause_before_the_clock_is_not_told),
		PV_TEST(a_page_may_lie_across_two),
		PV_TEST(the_wall_clock_is_when_guest_time_began),
		PV_TEST(waiting_is_stolen_time),
		PV_TEST(the_run_loop_counts_the_wait),
		PV_TEST(a_flush_asked_of_a_preempted_vcpu_is_done),
		PV_TEST(reserved_bits_fault),
		PV_TEST(pages_outside_of_memory_are_harmless),
	};

	return cmocka_run_group_tests(tests, pv_machine, NULL);
}
