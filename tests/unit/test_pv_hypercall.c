/* SPDX-License-Identifier: Apache-2.0 */
/* KVM's hypercalls as a guest makes them: from 64-bit and 32-bit code, from user mode, and wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/pv_rig.h"

static const uint8_t vmmcall[] = {0x0f, 0x01, 0xd9};

/* By hardware; 0: the bytes at RIP tell, which user mode cannot read here. */
static uint8_t told_length;

/* Makes a hypercall; RAX after it. */
static uint64_t call(uint64_t number, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3)
{
	vm_rig_code(g, vmmcall, sizeof(vmmcall));
	vcpu->gpr[GPR_RAX] = number;
	vcpu->gpr[GPR_RBX] = a0;
	vcpu->gpr[GPR_RCX] = a1;
	vcpu->gpr[GPR_RDX] = a2;
	vcpu->gpr[GPR_RSI] = a3;
	vm_rig_exit(g, (struct vm_exit){.kind = VM_EXIT_HYPERCALL, .insn_len = told_length});
	assert_int_equal(vcpu->rip, VM_RIG_CODE + sizeof(vmmcall));
	assert_int_equal(vcpu->gpr[GPR_RBX], a0);
	assert_int_equal(vcpu->gpr[GPR_RSI], a3);
	return vcpu->gpr[GPR_RAX];
}

static bool got(unsigned index, uint8_t vector)
{
	struct lapic *l = board_lapic(g->board, index);
	bool irr = vecset_test(&l->irr, vector);

	if (irr) {
		assert_true(lapic_accept(l, vector));
		lapic_eoi(l);
	}
	return irr;
}

static void enable_lapics(void)
{
	for (unsigned i = 0; i < PV_CPUS; i++) {
		assert_true(bus_write(&g->vm.mmio, 0xfee000f0, 4, i, 0x1ff));
	}
}

static void numbers_nobody_knows(void **state)
{
	static const uint64_t none[] = {0, 2, 3, 4, 6, 7, 8, 12, 13, 100, BIT(32) | 5, ~0ull};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(none); i++) {
		assert_int_equal((int64_t)call(none[i], 0, 0, 0, 0), -1000);
	}
}

static void user_mode_has_none(void **state)
{
	(void)state;
	cpu->segs[VCPU_SEG_SS].attr |= 3 << 5;
	told_length = 3;
	/* -EPERM for those that there are, -ENOSYS for the others. */
	for (unsigned n = 0; n < 16; n++) {
		bool known = n == 1 || n == 5 || n == 9 || n == 10 || n == 11;

		assert_int_equal((int64_t)call(n, 0, 2, 0, 0), known ? -1 : -1000);
	}
	told_length = 0;
	assert_int_equal(atomic_load(&g->vm.vcpus[2]->requests) & VCPU_REQ_UNHALT, 0);
}

static void without_paravirt_it_is_no_instruction(void **state)
{
	(void)state;
	exit_config.paravirt = false;
	vm_rig_code(g, vmmcall, sizeof(vmmcall));
	vcpu->gpr[GPR_RAX] = 1;
	vm_rig_exit(g, (struct vm_exit){.kind = VM_EXIT_HYPERCALL});
	exit_raised(EXC_UD, -1);
	vm_rig_exit(g,
		    (struct vm_exit){.kind = VM_EXIT_EXCEPTION, .exception = {.vector = EXC_UD}});
	exit_raised(EXC_UD, -1);
	assert_int_equal(vcpu->rip, VM_RIG_CODE);
	assert_int_equal(vcpu->gpr[GPR_RAX], 1);
}

static void poll_looks_for_interrupts(void **state)
{
	(void)state;
	assert_int_equal(call(1, 0, 0, 0, 0), 0);
	assert_true(exit_requested(VCPU_REQ_EVENT));
}

static void a_kick_goes_to_the_vcpu_with_that_id(void **state)
{
	(void)state;
	assert_int_equal(call(5, 0, 2, 0, 0), 0);
	assert_int_equal(atomic_load(&g->vm.vcpus[1]->requests) & VCPU_REQ_UNHALT, 0);
	assert_int_equal(atomic_load(&g->vm.vcpus[2]->requests), VCPU_REQ_UNHALT | VCPU_REQ_EVENT);
	assert_int_equal(g->tasks[2].entity.state, SCHED_QUEUED);
	/* To nobody. */
	assert_int_equal(call(5, 0, PV_CPUS, 0, 0), 0);
	assert_int_equal(call(5, 0, BIT(32) | 1, 0, 0), 0);
	assert_int_equal(atomic_load(&g->vm.vcpus[1]->requests) & VCPU_REQ_UNHALT, 0);
}

static void an_ipi_to_a_map(void **state)
{
	(void)state;
	enable_lapics();
	assert_int_equal(call(10, 6, 0, 0, 0x41), 2);
	assert_false(got(0, 0x41));
	assert_true(got(1, 0x41));
	assert_true(got(2, 0x41));
	/* The map may begin elsewhere, and include the caller. */
	assert_int_equal(call(10, 1, 0, 2, 0x42), 1);
	assert_true(got(2, 0x42));
	assert_int_equal(call(10, 1, 0, 0, 0x42), 1);
	assert_true(got(0, 0x42));
	/* Bits of vCPUs that are not there; the high word. */
	assert_int_equal(call(10, ~7ull, ~0ull, 0, 0x43), 0);
	assert_int_equal(call(10, 0, 7, 0, 0x43), 0);
	for (unsigned i = 0; i < PV_CPUS; i++) {
		assert_false(got(i, 0x43));
	}
}

static void an_ipi_may_be_an_nmi(void **state)
{
	(void)state;
	assert_int_equal(call(10, 2, 0, 0, 0x402), 1);
	assert_true((atomic_load(&g->vm.vcpus[1]->requests) & VCPU_REQ_NMI) != 0);
	assert_true((atomic_load(&vcpu->requests) & VCPU_REQ_NMI) == 0);
}

static void other_kinds_of_ipi_are_refused(void **state)
{
	/* SMI, INIT, SIPI, lowest priority, ExtINT, logical, shorthands. */
	static const uint64_t icrs[] = {0x200, 0x500, 0x608, 0x141, 0x741, 0x841, 0x40041, 0xc0041};

	(void)state;
	enable_lapics();
	for (size_t i = 0; i < ARRAY_SIZE(icrs); i++) {
		assert_int_equal((int64_t)call(10, 7, 0, 0, icrs[i]), -22);
	}
	assert_false(got(1, 0x41));
}

static void a_yield_to_one_that_waits(void **state)
{
	(void)state;
	assert_int_equal(call(11, 2, 0, 0, 0), 0);
	assert_int_equal(call(11, 0, 0, 0, 0), 0);
	assert_int_equal(call(11, 77, 0, 0, 0), 0);
	exit_raised_nothing();
}

struct pairing {
	int64_t sec, nsec;
	uint64_t tsc;
	uint32_t flags, pad[9];
};

static void the_clock_pair_is_of_one_moment(void **state)
{
	struct pairing a, b;

	(void)state;
	assert_int_equal(call(9, PV_PAGE, 0, 0, 0), 0);
	pv_read(0, &a, sizeof(a));
	assert_true(a.sec >= 1767323045);
	assert_true(a.nsec >= 0 && a.nsec < 1000000000);
	assert_int_equal(a.tsc, fake_tsc + cpu->tsc_offset);
	assert_int_equal(a.flags, 0);
	fake_tsc += VM_RIG_HZ * 5 / 2;
	assert_int_equal(call(9, PV_PAGE, 0, 0, 0), 0);
	pv_read(0, &b, sizeof(b));
	assert_int_equal((b.sec - a.sec) * 1000000000 + b.nsec - a.nsec, 2500000000);
	assert_int_equal(b.tsc - a.tsc, VM_RIG_HZ * 5 / 2);
	/* Another clock; no memory. */
	assert_int_equal((int64_t)call(9, PV_PAGE, 1, 0, 0), -95);
	assert_int_equal((int64_t)call(9, 0xfee00000, 0, 0, 0), -14);
	assert_int_equal((int64_t)call(9, ~0ull, 0, 0, 0), -14);
}

/* Only the low halves count, of arguments, result and number. */
static void narrow_code_has_narrow_calls(void **state)
{
	(void)state;
	enable_lapics();
	exit_mode(true);
	assert_int_equal(call(BIT(40) | 10, BIT(33) | 2, ~0ull << 32, BIT(50), BIT(60) | 0x41), 1);
	assert_true(got(1, 0x41));
	/* The map is two words of 32 bits. */
	assert_int_equal(call(10, 0, 0x6, UINT32_MAX - 31, 0x42), 0);
	assert_int_equal(call(10, 0x4, 0, 0, 0x42), 1);
	assert_true(got(2, 0x42));
	assert_int_equal(call(BIT(40) | 10, 10, 0, 2, BIT(18) | 0x41), (uint32_t)-22);
	/* The upper half of this one is not for 32-bit code. */
	assert_int_equal((uint32_t)call(99, 0, 0, 0, 0), (uint32_t)-1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PV_TEST(numbers_nobody_knows),
		PV_TEST(user_mode_has_none),
		PV_TEST(without_paravirt_it_is_no_instruction),
		PV_TEST(poll_looks_for_interrupts),
		PV_TEST(a_kick_goes_to_the_vcpu_with_that_id),
		PV_TEST(an_ipi_to_a_map),
		PV_TEST(an_ipi_may_be_an_nmi),
		PV_TEST(other_kinds_of_ipi_are_refused),
		PV_TEST(a_yield_to_one_that_waits),
		PV_TEST(the_clock_pair_is_of_one_moment),
		PV_TEST(narrow_code_has_narrow_calls),
	};

	return cmocka_run_group_tests(tests, pv_machine, NULL);
}
