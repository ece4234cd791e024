/* SPDX-License-Identifier: Apache-2.0 */
/* How hypercalls come in: registers, memory, XMM; and in which ways they may be wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/hyperv_rig.h"

static const uint8_t vmmcall[] = {0x0f, 0x01, 0xd9};

static void open_interface(void)
{
	assert_true(hyperv_put(MSR_HV_GUEST_OS_ID, 1));
	assert_true(hyperv_put(MSR_HV_HYPERCALL, (HYPERV_PAGE + 0x1000) | 1));
}

static void make_call(void)
{
	vm_rig_code(g, vmmcall, sizeof(vmmcall));
	vm_rig_exit(g, (struct vm_exit){.kind = VM_EXIT_HYPERCALL, .insn_len = 3});
}

/* From 64-bit code; RAX after it. */
static uint64_t call(uint64_t control, uint64_t input, uint64_t output)
{
	vcpu->gpr[GPR_RAX] = ~0ull;
	vcpu->gpr[GPR_RCX] = control;
	vcpu->gpr[GPR_RDX] = input;
	vcpu->gpr[GPR_R8] = output;
	make_call();
	assert_int_equal(vcpu->rip, VM_RIG_CODE + sizeof(vmmcall));
	assert_int_equal(vcpu->gpr[GPR_RDX], input);
	assert_int_equal(vcpu->gpr[GPR_R8], output);
	return vcpu->gpr[GPR_RAX];
}

#define FAST HV_CONTROL_FAST
#define REPS(n) ((uint64_t)(n) << 32)
#define START(n) ((uint64_t)(n) << 48)
#define VARIABLE(n) ((uint64_t)(n) << 17)

static void codes_nobody_knows(void **state)
{
	static const uint16_t none[] = {0,    1,    4,	  7,	9,	0xa,   0xc,
					0x12, 0x16, 0x5b, 0x5e, 0x8001, 0xffff};

	(void)state;
	open_interface();
	for (size_t i = 0; i < ARRAY_SIZE(none); i++) {
		assert_int_equal(call(none[i], 0, 0), HV_CALL_INVALID_CODE);
		assert_int_equal(call(none[i] | FAST, 0, 0), HV_CALL_INVALID_CODE);
	}
	assert_int_equal(g->vm.lacks.total, 2 * ARRAY_SIZE(none));
	assert_string_equal(g->vm.lacks.list[2].device, "Hyper-V");
	assert_int_equal(g->vm.lacks.list[2].what, 4);
	assert_int_equal(g->vm.lacks.list[2].count, 2);
}

/* #UD, and RIP stays: from user mode, real mode, and before the page is there. */
static void where_it_is_no_instruction(void **state)
{
	(void)state;
	make_call();
	exit_raised(EXC_UD, -1);
	assert_int_equal(vcpu->rip, VM_RIG_CODE);
	open_interface();
	cpu->segs[VCPU_SEG_SS].attr |= 3 << 5;
	make_call();
	exit_raised(EXC_UD, -1);
	cpu->segs[VCPU_SEG_SS].attr &= ~(3u << 5);
	make_call();
	exit_raised_nothing();
	exit_mode(false);
	make_call();
	exit_raised(EXC_UD, -1);
}

static void control_words_that_do_not_fit(void **state)
{
	(void)state;
	open_interface();
	/* Reserved bits. */
	for (unsigned bit = 0; bit < 64; bit++) {
		if ((HV_CONTROL_RESERVED >> bit & 1) != 0) {
			assert_int_equal(call(BIT(bit) | HV_CALL_LONG_SPIN_WAIT | FAST, 0, 0),
					 HV_CALL_INVALID_INPUT);
		}
	}
	/* Repetitions of what has none, none of what has some, a start behind the end. */
	assert_int_equal(call(HV_CALL_LONG_SPIN_WAIT | FAST | REPS(1), 0, 0),
			 HV_CALL_INVALID_INPUT);
	assert_int_equal(call(HV_CALL_LONG_SPIN_WAIT | FAST | START(1), 0, 0),
			 HV_CALL_INVALID_INPUT);
	assert_int_equal(call(HV_CALL_FLUSH_LIST, HYPERV_PAGE, 0), HV_CALL_INVALID_INPUT);
	assert_int_equal(call(HV_CALL_FLUSH_LIST | REPS(2) | START(2), HYPERV_PAGE, 0),
			 HV_CALL_INVALID_INPUT);
	/* A header that varies, of a call whose does not, and one that is too long. */
	assert_int_equal(call(HV_CALL_FLUSH_SPACE | VARIABLE(1), HYPERV_PAGE, 0),
			 HV_CALL_INVALID_INPUT);
	assert_int_equal(call(HV_CALL_FLUSH_SPACE_EX | VARIABLE(1023), HYPERV_PAGE, 0),
			 HV_CALL_INVALID_INPUT);
	/* More than fits into registers. */
	assert_int_equal(call(HV_CALL_POST_MESSAGE | FAST, 0, 0), HV_CALL_INVALID_INPUT);
	assert_int_equal(call(HV_CALL_FLUSH_LIST | FAST | REPS(12), 0, 0), HV_CALL_INVALID_INPUT);
}

static void input_must_be_aligned_ram_of_one_page(void **state)
{
	(void)state;
	open_interface();
	for (uint64_t off = 1; off < 8; off++) {
		assert_int_equal(call(HV_CALL_FLUSH_SPACE, HYPERV_PAGE + off, 0),
				 HV_CALL_INVALID_ALIGNMENT);
	}
	assert_int_equal(call(HV_CALL_FLUSH_SPACE, HYPERV_PAGE + 4096 - 16, 0),
			 HV_CALL_INVALID_ALIGNMENT);
	assert_int_equal(call(HV_CALL_FLUSH_SPACE, HYPERV_PAGE + 4096 - 24, 0), HV_CALL_SUCCESS);
	/* The list counts, though it is not read. */
	assert_int_equal(call(HV_CALL_FLUSH_LIST | REPS(509), HYPERV_PAGE, 0),
			 HV_CALL_SUCCESS | REPS(509));
	assert_int_equal(call(HV_CALL_FLUSH_LIST | REPS(510), HYPERV_PAGE, 0),
			 HV_CALL_INVALID_ALIGNMENT);
	for (size_t i = 0; i < ARRAY_SIZE(hyperv_not_ram); i++) {
		assert_int_equal(call(HV_CALL_FLUSH_SPACE, hyperv_not_ram[i], 0),
				 HV_CALL_INVALID_PARAMETER);
	}
}

static void repetitions_are_all_done(void **state)
{
	(void)state;
	open_interface();
	assert_int_equal(call(HV_CALL_FLUSH_LIST | REPS(20), HYPERV_PAGE, 0), REPS(20));
	/* It may begin anywhere. */
	assert_int_equal(call(HV_CALL_FLUSH_LIST | REPS(20) | START(19), HYPERV_PAGE, 0), REPS(20));
}

/* A set of vCPUs behind 16 bytes of registers: the third word is the low half of XMM0. */
static void xmm_registers_are_input(void **state)
{
	(void)state;
	open_interface();
	memset(vcpu->fpu, 0, 512);
	cpu_fxrstor(vcpu->fpu);
	atomic_store(&g->vm.vcpus[2]->requests, 0);
	assert_int_equal(call(HV_CALL_FLUSH_SPACE | FAST, 0, 0), HV_CALL_SUCCESS);
	assert_int_equal(atomic_load(&g->vm.vcpus[2]->requests) & VCPU_REQ_TLB_FLUSH, 0);
	((uint8_t *)vcpu->fpu)[160] = 4;
	cpu_fxrstor(vcpu->fpu);
	assert_int_equal(call(HV_CALL_FLUSH_SPACE | FAST, 0, 0), HV_CALL_SUCCESS);
	assert_int_equal(atomic_load(&g->vm.vcpus[2]->requests) & VCPU_REQ_TLB_FLUSH,
			 VCPU_REQ_TLB_FLUSH);
	assert_int_equal(atomic_load(&g->vm.vcpus[1]->requests) & VCPU_REQ_TLB_FLUSH, 0);
}

/* Control in EDX:EAX, input in EBX:ECX, output in EDI:ESI, the result in EDX:EAX. */
static void narrow_code_has_pairs(void **state)
{
	(void)state;
	open_interface();
	exit_mode(true);
	vcpu->gpr[GPR_RAX] = BIT(40) | HV_CALL_CLUSTER_IPI | FAST;
	vcpu->gpr[GPR_RDX] = 0;
	vcpu->gpr[GPR_RBX] = 0;
	vcpu->gpr[GPR_RCX] = BIT(50) | 0x44;
	vcpu->gpr[GPR_RDI] = 0;
	vcpu->gpr[GPR_RSI] = BIT(33) | 2;
	make_call();
	assert_int_equal(vcpu->gpr[GPR_RAX], HV_CALL_SUCCESS);
	assert_true(hyperv_got(1, 0x44));
	vcpu->gpr[GPR_RAX] = HV_CALL_FLUSH_LIST;
	vcpu->gpr[GPR_RDX] = 3; /* repetitions */
	vcpu->gpr[GPR_RBX] = 0;
	vcpu->gpr[GPR_RCX] = HYPERV_PAGE;
	make_call();
	assert_int_equal(vcpu->gpr[GPR_RAX], HV_CALL_SUCCESS);
	assert_int_equal(vcpu->gpr[GPR_RDX], 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		HYPERV_TEST(codes_nobody_knows),
		HYPERV_TEST(where_it_is_no_instruction),
		HYPERV_TEST(control_words_that_do_not_fit),
		HYPERV_TEST(input_must_be_aligned_ram_of_one_page),
		HYPERV_TEST(repetitions_are_all_done),
		HYPERV_TEST(xmm_registers_are_input),
		HYPERV_TEST(narrow_code_has_pairs),
	};

	return cmocka_run_group_tests(tests, hyperv_machine, NULL);
}
