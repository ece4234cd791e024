/* SPDX-License-Identifier: Apache-2.0 */
/* What exit handlers do to a vCPU: creation, reset, exceptions, stepping over instructions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "hv/api/gmem.h"
#include "hv/fpu.h"
#include "mm/pool.h"
#include "tests/fakes/exit_rig.h"

static const struct vm_exit no_length = {.kind = VM_EXIT_CPUID};

/* --- creation and reset --- */

static void a_new_vcpu_has_what_it_needs(void **state)
{
	(void)state;
	assert_ptr_equal(vcpu->vm, &g->vm);
	assert_int_equal(vcpu->index, 0);
	assert_non_null(vcpu->recorder.entries);
	assert_int_equal((uintptr_t)vcpu->fpu % 64, 0);
	assert_int_equal(vcpu->xcr0, XCR0_X87);
}

static void creation_that_fails_leaves_nothing(void **state)
{
	uint64_t before = pool_bytes_used();
	struct vcpu *another;

	(void)state;
	fake_backend.no_vcpu = true;
	assert_null(vcpu_new(&g->vm, 1));
	fake_backend.no_vcpu = false;
	assert_int_equal(pool_bytes_used(), before);
	another = vcpu_new(&g->vm, 1);
	assert_non_null(another);
	assert_int_equal(another->index, 1);
	vcpu_delete(another);
	assert_int_equal(pool_bytes_used(), before);
	assert_int_equal(fake_backend.vcpus, 1);
}

/* An address that is in the middle of a paragraph: the selector is rounded down. */
static void wakes_in_real_mode_at_any_address(void **state)
{
	struct vcpu_segment cs;

	(void)state;
	vcpu_init(vcpu);
	vcpu_wake(vcpu, 0x9a123);
	assert_false(vcpu->wait_for_sipi);
	assert_false(atomic_load(&vcpu->stranded));
	the_backend->get_seg(vcpu, VCPU_SEG_CS, &cs);
	assert_int_equal(cs.selector, 0x9a12);
	assert_int_equal(cs.base, 0x9a120);
	assert_int_equal(vcpu->rip, 3);
	/* One that runs is not disturbed. */
	vcpu_wake(vcpu, 0x1000);
	assert_int_equal(vcpu->rip, 3);
}

static void reset_forgets_everything(void **state)
{
	uint64_t sum = 0;

	(void)state;
	memset(vcpu->gpr, 0xff, sizeof(vcpu->gpr));
	memset(vcpu->dr, 0xff, sizeof(vcpu->dr));
	memset(vcpu->fpu, 0xff, 512);
	vcpu->halted = true;
	vcpu->tsc_adjust = vcpu->tsc_aux = vcpu->xcr0 = vcpu->misc_enable = 7;
	event_nmi(vcpu, the_backend);
	vcpu_raise(vcpu, EXC_UD);
	vcpu_reset(vcpu);
	for (unsigned i = 0; i < GPR_COUNT; i++) {
		sum |= vcpu->gpr[i];
	}
	for (unsigned i = 0; i < 4; i++) {
		sum |= vcpu->dr[i];
	}
	assert_int_equal(sum | vcpu->tsc_adjust | vcpu->tsc_aux, 0);
	assert_int_equal(vcpu->misc_enable, 0x1801);
	assert_int_equal(vcpu->xcr0, XCR0_X87);
	assert_false(vcpu->halted);
	assert_int_equal(vcpu->events.nmi_pending, 0);
	exit_raised_nothing();
	assert_int_equal(((const uint8_t *)vcpu->fpu)[100], 0);
	assert_int_equal(vcpu->rip, 0xfff0);
}

/* --- exceptions --- */

static void exceptions_carry_what_they_should(void **state)
{
	(void)state;
	vcpu_raise(vcpu, EXC_UD);
	exit_raised(EXC_UD, -1);
	vcpu_raise_error(vcpu, EXC_GP, 0x50);
	exit_raised(EXC_GP, 0x50);
}

static void the_third_fault_in_a_row_stops_the_vm(void **state)
{
	(void)state;
	vcpu_raise_error(vcpu, EXC_GP, 0);
	vcpu_raise_error(vcpu, EXC_NP, 0);
	assert_int_equal(vcpu->events.exception.vector, EXC_DF);
	assert_int_equal(g->state, GUEST_RUNNING);
	vcpu_raise_error(vcpu, EXC_GP, 0);
	exit_stopped("triple fault");
}

/* --- modes --- */

static void modes_follow_registers_and_cs(void **state)
{
	(void)state;
	assert_int_equal(vcpu_mode_now(vcpu), INSN_LONG64);
	assert_int_equal(vcpu_cpl(vcpu), 0);
	cpu->segs[VCPU_SEG_SS].attr |= 3 << 5;
	assert_int_equal(vcpu_cpl(vcpu), 3);
	cpu->segs[VCPU_SEG_CS].attr = 0xc09b; /* compatibility mode */
	assert_int_equal(vcpu_mode_now(vcpu), INSN_PROT32);
	cpu->segs[VCPU_SEG_CS].attr = 0x809b;
	assert_int_equal(vcpu_mode_now(vcpu), INSN_PROT16);
	cpu->regs[VCPU_REG_RFLAGS] |= RFLAGS_VM;
	cpu->regs[VCPU_REG_EFER] = 0;
	cpu->segs[VCPU_SEG_SS].attr = 0x93;
	assert_int_equal(vcpu_mode_now(vcpu), INSN_REAL16);
	assert_int_equal(vcpu_cpl(vcpu), 3);
	cpu->regs[VCPU_REG_RFLAGS] = RFLAGS_FIXED1;
	exit_mode(false);
	cpu->segs[VCPU_SEG_SS].attr = 0xf3; /* whatever is left in real mode */
	assert_int_equal(vcpu_mode_now(vcpu), INSN_REAL16);
	assert_int_equal(vcpu_cpl(vcpu), 0);
}

/* --- stepping --- */

static void the_hardwares_length_counts(void **state)
{
	struct vm_exit e = {.kind = VM_EXIT_CPUID, .insn_len = 5};

	(void)state;
	vcpu->rip = 0x7fffffffe;
	assert_true(vcpu_skip(vcpu, &e, INSN_CPUID));
	assert_int_equal(vcpu->rip, 0x800000003);
}

static void narrow_code_wraps_at_4_gib(void **state)
{
	struct vm_exit e = {.kind = VM_EXIT_CPUID, .insn_len = 2};

	(void)state;
	cpu->segs[VCPU_SEG_CS].attr = 0xc09b;
	vcpu->rip = 0xffffffff;
	assert_true(vcpu_skip(vcpu, &e, INSN_CPUID));
	assert_int_equal(vcpu->rip, 1);
}

static void code_is_found_behind_cs_and_page_tables(void **state)
{
	static const uint8_t cpuid[] = {0x0f, 0xa2};

	(void)state;
	exit_mode(false);
	assert_int_equal(guest_mem_write(&g->vm, gpa(0x12345), cpuid, 2), HV_OK);
	cpu->segs[VCPU_SEG_CS].base = 0x12000;
	vcpu->rip = 0x345;
	assert_true(vcpu_skip(vcpu, &no_length, INSN_CPUID));
	assert_int_equal(vcpu->rip, 0x347);
	vcpu->rip = 0x346;
	assert_false(vcpu_skip(vcpu, &no_length, INSN_CPUID));
	assert_int_equal(vcpu->rip, 0x346);
}

static void the_hardwares_bytes_count(void **state)
{
	struct vm_exit e = {.kind = VM_EXIT_CPUID,
			    .insn_bytes_count = 4,
			    .insn_bytes = {0x48, 0x0f, 0xa2, 0x90}};

	(void)state;
	vm_rig_code(g, (const uint8_t[]){0xf4}, 1);
	assert_true(vcpu_skip(vcpu, &e, INSN_CPUID));
	assert_int_equal(vcpu->rip, VM_RIG_CODE + 3);
	e.insn_bytes_count = 2;
	assert_false(vcpu_skip(vcpu, &e, INSN_CPUID));
}

static void an_instruction_may_cross_a_page(void **state)
{
	static const uint8_t cpuid[] = {0x0f, 0xa2};

	(void)state;
	assert_int_equal(guest_mem_write(&g->vm, gpa(0x800fff), cpuid, 2), HV_OK);
	vcpu->rip = 0x800fff;
	assert_true(vcpu_skip(vcpu, &no_length, INSN_CPUID));
	assert_int_equal(vcpu->rip, 0x801001);
	/* Cut off by the end of memory: the first byte alone is no CPUID. */
	vcpu->rip = VM_RIG_GUEST_MEMORY - 1;
	assert_int_equal(guest_mem_write(&g->vm, gpa(vcpu->rip), cpuid, 1), HV_OK);
	assert_false(vcpu_skip(vcpu, &no_length, INSN_CPUID));
	vcpu->rip = 0x30000000;
	assert_false(vcpu_skip(vcpu, &no_length, INSN_CPUID));
}

static void any_instruction_can_be_measured(void **state)
{
	static const uint8_t out_imm[] = {0x66, 0xe7, 0x80};
	struct vm_exit e = {.kind = VM_EXIT_IO};

	(void)state;
	vm_rig_code(g, out_imm, sizeof(out_imm));
	assert_true(vcpu_skip(vcpu, &e, 0));
	assert_int_equal(vcpu->rip, VM_RIG_CODE + 3);
}

static void stepping_ends_the_shadow_and_may_trap(void **state)
{
	struct vm_exit e = {.kind = VM_EXIT_CPUID, .insn_len = 2};

	(void)state;
	cpu->shadow = true;
	assert_true(vcpu_skip(vcpu, &e, INSN_CPUID));
	assert_false(cpu->shadow);
	exit_raised_nothing();
	cpu->regs[VCPU_REG_RFLAGS] |= RFLAGS_TF;
	assert_true(vcpu_skip(vcpu, &e, INSN_CPUID));
	assert_int_equal(vcpu->events.exception_payload, DR6_BS);
	exit_raised(EXC_DB, -1);
}

static void fetching_stops_where_translation_does(void **state)
{
	uint8_t bytes[INSN_BYTES_MAX];

	(void)state;
	vcpu->rip = VM_RIG_CODE;
	assert_int_equal(vcpu_fetch(vcpu, bytes), INSN_BYTES_MAX);
	vcpu->rip = VM_RIG_GUEST_MEMORY - 4;
	assert_int_equal(vcpu_fetch(vcpu, bytes), 4);
	vcpu->rip = GIB(5);
	assert_int_equal(vcpu_fetch(vcpu, bytes), 0);
	/* The kernel's pages are the supervisor's. */
	vcpu->rip = VM_RIG_CODE;
	cpu->segs[VCPU_SEG_SS].attr |= 3 << 5;
	assert_int_equal(vcpu_fetch(vcpu, bytes), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EXIT_TEST(a_new_vcpu_has_what_it_needs),
		EXIT_TEST(creation_that_fails_leaves_nothing),
		EXIT_TEST(wakes_in_real_mode_at_any_address),
		EXIT_TEST(reset_forgets_everything),
		EXIT_TEST(exceptions_carry_what_they_should),
		EXIT_TEST(the_third_fault_in_a_row_stops_the_vm),
		EXIT_TEST(modes_follow_registers_and_cs),
		EXIT_TEST(the_hardwares_length_counts),
		EXIT_TEST(narrow_code_wraps_at_4_gib),
		EXIT_TEST(code_is_found_behind_cs_and_page_tables),
		EXIT_TEST(the_hardwares_bytes_count),
		EXIT_TEST(an_instruction_may_cross_a_page),
		EXIT_TEST(any_instruction_can_be_measured),
		EXIT_TEST(stepping_ends_the_shadow_and_may_trap),
		EXIT_TEST(fetching_stops_where_translation_does),
	};

	return cmocka_run_group_tests(tests, exit_machine, NULL);
}
