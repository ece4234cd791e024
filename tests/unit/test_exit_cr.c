/* SPDX-License-Identifier: Apache-2.0 */
/* Control registers: what may be written, what follows from it, decoded by hardware or by us. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/exit.h"
#include "tests/fakes/exit_rig.h"

#define RIP 0x900000ull

static struct vm_exit access_to(unsigned cr, bool write)
{
	return (struct vm_exit){
		.kind = VM_EXIT_CR_ACCESS,
		.insn_len = 3,
		.cr = {.cr = (uint8_t)cr, .write = write, .decoded = true, .gpr = GPR_RBX}};
}

/* MOV CRn, RBX; whether it went through. A refused one must change nothing. */
static bool move(unsigned cr, uint64_t value)
{
	static const enum vcpu_reg regs[] = {VCPU_REG_CR0,   VCPU_REG_COUNT, VCPU_REG_COUNT,
					     VCPU_REG_CR3,   VCPU_REG_CR4,   VCPU_REG_COUNT,
					     VCPU_REG_COUNT, VCPU_REG_COUNT, VCPU_REG_CR8};
	uint64_t before = cr <= 8 && regs[cr] != VCPU_REG_COUNT ? cpu->regs[regs[cr]] : 0;
	uint64_t efer = cpu->regs[VCPU_REG_EFER];

	vcpu->rip = RIP;
	vcpu->gpr[GPR_RBX] = value;
	vm_rig_exit(g, access_to(cr, true));
	if (vcpu->rip == RIP + 3) {
		exit_raised_nothing();
		return true;
	}
	assert_int_equal(vcpu->rip, RIP);
	exit_raised(EXC_GP, 0);
	if (cr <= 8 && regs[cr] != VCPU_REG_COUNT) {
		assert_int_equal(cpu->regs[regs[cr]], before);
	}
	assert_int_equal(cpu->regs[VCPU_REG_EFER], efer);
	return false;
}

static uint64_t read(unsigned cr)
{
	vcpu->gpr[GPR_RBX] = 0xbad;
	vm_rig_exit(g, access_to(cr, false));
	return vcpu->gpr[GPR_RBX];
}

static void reads_show_what_the_guest_wrote(void **state)
{
	(void)state;
	cpu->regs[VCPU_REG_CR8] = 9;
	assert_int_equal(read(0), cpu->regs[VCPU_REG_CR0]);
	assert_int_equal(read(3), cpu->regs[VCPU_REG_CR3]);
	assert_int_equal(read(4), cpu->regs[VCPU_REG_CR4]);
	assert_int_equal(read(8), 9);
}

static void cr0_has_rules(void **state)
{
	const uint64_t cr0 = cpu->regs[VCPU_REG_CR0];

	(void)state;
	assert_false(move(0, cr0 | BIT(32)));
	assert_false(move(0, cr0 & ~CR0_PE)); /* PG without PE */
	assert_false(move(0, cr0 | CR0_NW));  /* NW without CD */
	assert_true(move(0, cr0 | CR0_NW | CR0_CD));
	assert_false(move(0, cr0 & ~CR0_PG)); /* 64-bit code cannot turn paging off */
	/* ET is fixed, unknown bits are dropped. */
	assert_true(move(0, (cr0 & ~CR0_ET) | BIT(6)));
	assert_int_equal(cpu->regs[VCPU_REG_CR0], cr0 | CR0_ET);
}

static void turning_paging_on_activates_long_mode(void **state)
{
	(void)state;
	exit_mode(true);
	cpu->regs[VCPU_REG_EFER] = EFER_LME;
	assert_false(move(0, CR0_PE | CR0_PG)); /* needs PAE */
	cpu->regs[VCPU_REG_CR4] = CR4_PAE;
	assert_true(move(0, CR0_PE | CR0_PG));
	assert_int_equal(cpu->regs[VCPU_REG_EFER], EFER_LME | EFER_LMA);
	assert_true(exit_requested(VCPU_REQ_TLB_FLUSH));
	/* From compatibility mode the way back is open. */
	assert_true(move(0, CR0_PE));
	assert_int_equal(cpu->regs[VCPU_REG_EFER], EFER_LME);
	assert_true(exit_requested(VCPU_REQ_TLB_FLUSH));
	/* Without LME it is ordinary paging. */
	cpu->regs[VCPU_REG_EFER] = 0;
	assert_true(move(0, CR0_PE | CR0_PG));
	assert_int_equal(cpu->regs[VCPU_REG_EFER], 0);
}

static void task_switched_flushes_nothing(void **state)
{
	(void)state;
	assert_true(move(0, cpu->regs[VCPU_REG_CR0] ^ CR0_TS));
	assert_false(exit_requested(VCPU_REQ_TLB_FLUSH));
	assert_true(move(0, cpu->regs[VCPU_REG_CR0] ^ CR0_WP));
	assert_true(exit_requested(VCPU_REQ_TLB_FLUSH));
}

static void clts_clears_one_bit(void **state)
{
	struct vm_exit e = {.kind = VM_EXIT_CR_ACCESS, .insn_len = 2, .cr = {.clts = true}};

	(void)state;
	cpu->regs[VCPU_REG_CR0] |= CR0_TS | CR0_MP;
	vcpu->rip = RIP;
	vm_rig_exit(g, e);
	assert_int_equal(cpu->regs[VCPU_REG_CR0] & (CR0_TS | CR0_MP), CR0_MP);
	assert_int_equal(vcpu->rip, RIP + 2);
}

static void lmsw_sets_pe_but_cannot_clear_it(void **state)
{
	struct vm_exit e = {.kind = VM_EXIT_CR_ACCESS, .insn_len = 3, .cr = {.lmsw = true}};

	(void)state;
	exit_mode(false);
	e.cr.lmsw_value = 0xfff1 | CR0_TS;
	vm_rig_exit(g, e);
	assert_int_equal(cpu->regs[VCPU_REG_CR0], CR0_ET | CR0_PE | CR0_TS);
	e.cr.lmsw_value = CR0_MP;
	vm_rig_exit(g, e);
	assert_int_equal(cpu->regs[VCPU_REG_CR0], CR0_ET | CR0_PE | CR0_MP);
}

static void cr3_loads_flush(void **state)
{
	(void)state;
	assert_true(move(3, 0x9000 | BIT(63)));
	assert_int_equal(cpu->regs[VCPU_REG_CR3], 0x9000);
	assert_true(exit_requested(VCPU_REQ_TLB_FLUSH));
}

/* Each bit of CR4 goes with the CPUID bit that announces it. */
static void cr4_follows_cpuid(void **state)
{
	const uint64_t cr4 = cpu->regs[VCPU_REG_CR4];
	static const uint64_t always[] = {CR4_VME, CR4_PVI, CR4_TSD,	CR4_DE,	       CR4_PSE,
					  CR4_MCE, CR4_PGE, CR4_OSFXSR, CR4_OSXMMEXCPT};
	static const uint64_t never[] = {CR4_LA57, CR4_VMXE, CR4_SMXE, BIT(15), BIT(19), BIT(23),
					 BIT(24),  BIT(25),  BIT(27),  BIT(28), BIT(32)};
	static const struct {
		uint64_t bit;
		unsigned leaf7, reg, cpuid;
	} features[] = {
		{CR4_FSGSBASE, 1, 1, 0}, {CR4_SMEP, 1, 1, 7}, {CR4_SMAP, 1, 1, 20},
		{CR4_UMIP, 1, 2, 2},	 {CR4_PKE, 1, 2, 3},  {CR4_PCIDE, 0, 2, 17},
		{CR4_OSXSAVE, 0, 2, 26},
	};
	const size_t n = ARRAY_SIZE(features);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(always); i++) {
		assert_true(move(4, cr4 | always[i]));
		/* What pages mean changes with two of them. */
		assert_int_equal(exit_requested(VCPU_REQ_TLB_FLUSH),
				 ((cr4 ^ always[i]) & (CR4_PSE | CR4_PGE)) != 0);
		assert_true(move(4, cr4));
		(void)exit_requested(VCPU_REQ_TLB_FLUSH);
	}
	for (size_t i = 0; i < ARRAY_SIZE(never); i++) {
		assert_false(move(4, cr4 | never[i]));
	}
	for (size_t i = 0; i < 2 * ARRAY_SIZE(features); i++) {
		struct cpuid_vcpu_state none = {0};
		struct cpuid_regs r =
			cpuid_read(&g->cpuid, &none, features[i % n].leaf7 != 0 ? 7 : 1, 0);
		uint32_t word = features[i % n].reg == 1 ? r.ebx : r.ecx;

		assert_int_equal(move(4, cr4 | features[i % n].bit),
				 word >> features[i % n].cpuid & 1);
		if (i == n - 1) {
			/* And the other way round. */
			g->cpuid.basic[1].ecx ^= ~0u;
			g->cpuid.sub[0].regs.ebx ^= ~0u;
			g->cpuid.sub[0].regs.ecx ^= ~0u;
			assert_int_equal(g->cpuid.sub[0].leaf, 7);
		}
	}
}

static void cr4_has_rules_of_long_mode(void **state)
{
	const uint64_t cr4 = cpu->regs[VCPU_REG_CR4];

	(void)state;
	assert_false(move(4, cr4 & ~CR4_PAE));
	exit_mode(true);
	assert_false(move(4, CR4_PCIDE));
	assert_true(move(4, 0));
	assert_true(move(4, CR4_PAE));
}

static void pcids_come_and_go_by_rules(void **state)
{
	const uint64_t cr0 = cpu->regs[VCPU_REG_CR0];
	const uint64_t cr4 = cpu->regs[VCPU_REG_CR4];

	(void)state;
	g->cpuid.basic[1].ecx |= BIT32(17);
	cpu->regs[VCPU_REG_CR3] |= 1;
	assert_false(move(4, cr4 | CR4_PCIDE));
	cpu->regs[VCPU_REG_CR3] &= ~0xfffull;
	assert_true(move(4, cr4 | CR4_PCIDE));
	assert_true(exit_requested(VCPU_REQ_TLB_FLUSH));
	/* Once on, CR3 has one, and CR4 may be written again. */
	cpu->regs[VCPU_REG_CR3] |= 5;
	assert_true(move(4, cr4 | CR4_PCIDE | CR4_TSD));
	assert_false(exit_requested(VCPU_REQ_TLB_FLUSH));
	cpu->segs[VCPU_SEG_CS].attr &= (uint32_t)~SEG_L;
	assert_false(move(0, cr0 & ~CR0_PG));
	cpu->regs[VCPU_REG_CR4] = cr4;
	assert_true(move(0, cr0 & ~CR0_PG));
}

static void cr8_is_the_task_priority(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 16; i++) {
		assert_true(move(8, i));
		assert_int_equal(cpu->regs[VCPU_REG_CR8], i);
		assert_true(exit_requested(VCPU_REQ_EVENT));
	}
	assert_false(move(8, 16));
	assert_false(move(8, BIT(63)));
	assert_false(move(5, 0));
}

/* Outside 64-bit mode registers are 32 bits wide. */
static void narrow_modes_move_32_bits(void **state)
{
	(void)state;
	exit_mode(true);
	assert_true(move(3, 0xaaaaaaaa00123000));
	assert_int_equal(cpu->regs[VCPU_REG_CR3], 0x123000);
	cpu->regs[VCPU_REG_CR3] = 0x5500123000;
	assert_int_equal(read(3), 0x123000);
}

static void without_decode_assists_the_instruction_is_read(void **state)
{
	static const uint8_t to_cr4[] = {0x41, 0x0f, 0x22, 0xe2};   /* mov cr4, r10 */
	static const uint8_t from_cr0[] = {0x41, 0x0f, 0x20, 0xc3}; /* mov r11, cr0 */
	static const uint8_t to_cr8[] = {0x44, 0x0f, 0x22, 0xc0};   /* mov cr8, rax */
	static const uint8_t clts[] = {0x0f, 0x06};
	static const uint8_t nop[] = {0x0f, 0x1f, 0x00};
	struct vm_exit e = {.kind = VM_EXIT_CR_ACCESS};

	(void)state;
	vm_rig_code(g, to_cr4, sizeof(to_cr4));
	vcpu->gpr[GPR_R10] = CR4_PAE | CR4_PGE;
	vm_rig_exit(g, e);
	assert_int_equal(cpu->regs[VCPU_REG_CR4], CR4_PAE | CR4_PGE);
	assert_int_equal(vcpu->rip, VM_RIG_CODE + 4);
	vm_rig_code(g, from_cr0, sizeof(from_cr0));
	vm_rig_exit(g, e);
	assert_int_equal(vcpu->gpr[GPR_R11], cpu->regs[VCPU_REG_CR0]);
	vm_rig_code(g, to_cr8, sizeof(to_cr8));
	vcpu->gpr[GPR_RAX] = 7;
	vm_rig_exit(g, e);
	assert_int_equal(cpu->regs[VCPU_REG_CR8], 7);
	assert_int_equal(vcpu->rip, VM_RIG_CODE + 4);
	cpu->regs[VCPU_REG_CR0] |= CR0_TS;
	vm_rig_code(g, clts, sizeof(clts));
	vm_rig_exit(g, e);
	assert_int_equal(cpu->regs[VCPU_REG_CR0] & CR0_TS, 0);
	assert_int_equal(vcpu->rip, VM_RIG_CODE + 2);
	/* Not mapped any more: what the fetch of a CPU would meet. */
	vcpu->rip = GIB(5);
	vm_rig_exit(g, e);
	assert_int_equal(vcpu->events.exception_payload, GIB(5));
	exit_raised(EXC_PF, 0);
	/* Changed under the exit: nothing happens, the guest runs what is there now. */
	vm_rig_code(g, nop, sizeof(nop));
	vm_rig_exit(g, e);
	assert_int_equal(vcpu->rip, VM_RIG_CODE);
	exit_raised_nothing();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EXIT_TEST(reads_show_what_the_guest_wrote),
		EXIT_TEST(cr0_has_rules),
		EXIT_TEST(turning_paging_on_activates_long_mode),
		EXIT_TEST(task_switched_flushes_nothing),
		EXIT_TEST(clts_clears_one_bit),
		EXIT_TEST(lmsw_sets_pe_but_cannot_clear_it),
		EXIT_TEST(cr3_loads_flush),
		EXIT_TEST(cr4_follows_cpuid),
		EXIT_TEST(cr4_has_rules_of_long_mode),
		EXIT_TEST(pcids_come_and_go_by_rules),
		EXIT_TEST(cr8_is_the_task_priority),
		EXIT_TEST(narrow_modes_move_32_bits),
		EXIT_TEST(without_decode_assists_the_instruction_is_read),
	};

	return cmocka_run_group_tests(tests, exit_machine, NULL);
}
