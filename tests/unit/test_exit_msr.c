/* SPDX-License-Identifier: Apache-2.0 */
/* RDMSR and WRMSR: registers, EFER, the TSC, the APIC. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "hv/api/clock.h"
#include "hv/api/gmem.h"
#include "hv/base/log.h"
#include "hv/cpu/msr.h"
#include "hv/exit.h"
#include "tests/fakes/exit_rig.h"

static uint64_t get(uint32_t index)
{
	uint64_t value = 0xbad;

	if (!msr_read(vcpu, index, &value)) {
		fail_msg("RDMSR 0x%x faults", index);
	}
	return value;
}

static bool put(uint32_t index, uint64_t value)
{
	return msr_write(vcpu, index, value);
}

/* The guest's TSC as RDTSC would read it, without an exit. */
static uint64_t rdtsc(void)
{
	return fake_tsc + cpu->tsc_offset;
}

/* --- the instructions --- */

static void rdmsr_fills_two_halves(void **state)
{
	(void)state;
	cpu->regs[VCPU_REG_LSTAR] = 0xffffffff81000000;
	vcpu->rip = 0x1000;
	vcpu->gpr[GPR_RAX] = vcpu->gpr[GPR_RDX] = ~0ull;
	vm_rig_exit(g,
		    (struct vm_exit){.kind = VM_EXIT_MSR_READ, .insn_len = 2, .msr = {MSR_LSTAR}});
	assert_int_equal(vcpu->gpr[GPR_RAX], 0x81000000);
	assert_int_equal(vcpu->gpr[GPR_RDX], 0xffffffff);
	assert_int_equal(vcpu->rip, 0x1002);
}

static void wrmsr_takes_two_halves(void **state)
{
	(void)state;
	vcpu->rip = 0x1000;
	vcpu->gpr[GPR_RAX] = 0xaaaaaaaa12345678;
	vcpu->gpr[GPR_RDX] = 0xbbbbbbbb00007fff;
	vm_rig_exit(g, (struct vm_exit){.kind = VM_EXIT_MSR_WRITE,
					.insn_len = 2,
					.msr = {MSR_KERNEL_GS_BASE}});
	assert_int_equal(cpu->regs[VCPU_REG_KERNEL_GS_BASE], 0x00007fff12345678);
	assert_int_equal(vcpu->rip, 0x1002);
}

static void a_refused_access_faults_in_place(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		vcpu->rip = 0x1000;
		vcpu->gpr[GPR_RAX] = 0x1111;
		vm_rig_exit(g,
			    (struct vm_exit){.kind = i == 0 ? VM_EXIT_MSR_READ : VM_EXIT_MSR_WRITE,
					     .insn_len = 2,
					     .msr = {0x12345678}});
		exit_raised(EXC_GP, 0);
		assert_int_equal(vcpu->rip, 0x1000);
		assert_int_equal(vcpu->gpr[GPR_RAX], 0x1111);
	}
	assert_int_equal(g->unknown_msrs.total, 2);
	assert_non_null(strstr(vm_rig_text(), "web: read of MSR 0x12345678: #GP"));
	assert_non_null(strstr(vm_rig_text(), "web: write of MSR 0x12345678: #GP"));
}

static void unknown_msrs_do_not_flood_the_log(void **state)
{
	uint64_t value;
	uint64_t end = log_ring()->end;

	(void)state;
	g->unknown_msrs = (struct missed){0};
	for (uint32_t i = 0; i < 1000; i++) {
		assert_false(msr_read(vcpu, 0x50000000 + i, &value));
	}
	assert_int_equal(g->unknown_msrs.total, 1000);
	assert_true(log_ring()->end - end < 33 * 60);
}

/* --- by the table --- */

static void each_rule_does_what_it_says(void **state)
{
	size_t count;
	const struct msr_rule *r = msr_rules(&count);

	(void)state;
	for (size_t i = 0; i < count; i++) {
		uint64_t before;
		uint64_t after = 0;

		for (uint32_t n = r[i].first; n <= r[i].last; n++) {
			switch ((unsigned)r[i].action) {
			case MSR_ACT_CONST:
				assert_int_equal(get(n), r[i].value);
				assert_true(put(n, ~r[i].value));
				assert_int_equal(get(n), r[i].value);
				break;
			case MSR_ACT_CONST_STRICT:
				assert_int_equal(get(n), r[i].value);
				assert_false(put(n, r[i].value));
				break;
			case MSR_ACT_WRITE_ONLY:
				assert_false(msr_read(vcpu, n, &before));
				assert_true(put(n, 1));
				break;
			case MSR_ACT_MICROCODE:
				assert_true(put(n, 0));
				assert_false(put(n, 1));
				assert_int_equal(get(n), r[i].value);
				break;
			case MSR_ACT_PASS:
				assert_true(put(n, 0x123456));
				assert_true(msr_read(vcpu, n, &after));
				assert_int_equal(after, 0x123456);
				assert_int_equal(cpu->regs[r[i].arg], 0x123456);
				break;
			default:
				break;
			}
		}
	}
}

static void misc_enable_keeps_what_is_written(void **state)
{
	uint64_t reset = get(MSR_IA32_MISC_ENABLE);

	(void)state;
	assert_int_equal(reset, 0x1801);
	/* All but what tells facts: bits 7, 11 and 12. */
	assert_true(put(MSR_IA32_MISC_ENABLE, 0x400c50809));
	assert_int_equal(get(MSR_IA32_MISC_ENABLE), 0x400c51809);
	assert_true(put(MSR_IA32_MISC_ENABLE, BIT(7)));
	assert_int_equal(get(MSR_IA32_MISC_ENABLE), 0x1800);
	assert_false(put(MSR_IA32_MISC_ENABLE, BIT(39)));
	assert_true(put(MSR_IA32_MISC_ENABLE, reset));
}

static void tsc_aux_is_not_rflags(void **state)
{
	uint64_t rflags = cpu->regs[VCPU_REG_RFLAGS];

	(void)state;
	assert_true(put(MSR_TSC_AUX, 0x8003));
	assert_int_equal(get(MSR_TSC_AUX), 0x8003);
	assert_int_equal(vcpu->tsc_aux, 0x8003);
	assert_int_equal(cpu->regs[VCPU_REG_RFLAGS], rflags);
	assert_false(put(MSR_TSC_AUX, BIT(32)));
}

static void mtrrs_are_the_vms(void **state)
{
	(void)state;
	assert_true(put(MSR_IA32_MTRR_PHYSBASE0, 0xc0000000));
	assert_int_equal(get(MSR_IA32_MTRR_PHYSBASE0), 0xc0000000);
	/* As wide as the host's physical addresses. */
	assert_true(put(MSR_IA32_MTRR_PHYSMASK0, BIT(47) | BIT(11)));
	assert_false(put(MSR_IA32_MTRR_PHYSMASK0, BIT(48)));
	assert_false(put(MSR_IA32_MTRR_DEF_TYPE, 2));
}

static void the_pat_is_checked(void **state)
{
	(void)state;
	assert_true(put(MSR_IA32_PAT, 0x0407050600070106));
	assert_int_equal(cpu->regs[VCPU_REG_PAT], 0x0407050600070106);
	assert_false(put(MSR_IA32_PAT, 2));
	assert_false(put(MSR_IA32_PAT, 8ull << 56));
	assert_int_equal(get(MSR_IA32_PAT), 0x0407050600070106);
}

/* --- EFER --- */

static void efer_has_rules(void **state)
{
	const uint64_t efer = cpu->regs[VCPU_REG_EFER];

	(void)state;
	assert_int_equal(efer & (EFER_LME | EFER_LMA), EFER_LME | EFER_LMA);
	/* With paging on LME cannot change; LMA is the CPU's own. */
	assert_false(put(MSR_EFER, efer & ~EFER_LME));
	assert_true(put(MSR_EFER, (efer | EFER_SCE) & ~EFER_LMA));
	assert_int_equal(cpu->regs[VCPU_REG_EFER], efer | EFER_SCE);
	assert_false(exit_requested(VCPU_REQ_TLB_FLUSH));
	assert_true(put(MSR_EFER, efer ^ EFER_NXE));
	assert_true(exit_requested(VCPU_REQ_TLB_FLUSH));
	/* SVME is hidden, as are bits nobody knows. */
	assert_false(put(MSR_EFER, efer | EFER_SVME));
	assert_false(put(MSR_EFER, efer | EFER_LMSLE));
	assert_false(put(MSR_EFER, efer | BIT(1)));
	assert_false(put(MSR_EFER, efer | BIT(40)));
	assert_true(put(MSR_EFER, efer | EFER_FFXSR));
	g->cpuid.extended[1].edx &= ~BIT32(25);
	assert_false(put(MSR_EFER, efer | EFER_FFXSR));
}

static void long_mode_is_enabled_before_paging(void **state)
{
	(void)state;
	exit_mode(true);
	assert_true(put(MSR_EFER, EFER_LME | EFER_LMA));
	assert_int_equal(get(MSR_EFER), EFER_LME);
	assert_true(put(MSR_EFER, 0));
}

/* --- the TSC --- */

static void the_tsc_is_the_vms_time(void **state)
{
	(void)state;
	fake_tsc += 12345;
	assert_int_equal(get(MSR_IA32_TSC), 12345);
	assert_int_equal(rdtsc(), 12345);
	assert_int_equal(get(MSR_IA32_TSC_ADJUST), 0);
}

/* SDM volume 3, "IA32_TSC_ADJUST Register": a write to either moves both. */
static void tsc_and_tsc_adjust_move_together(void **state)
{
	(void)state;
	fake_tsc += 1000;
	assert_true(put(MSR_IA32_TSC, 5000));
	assert_int_equal(get(MSR_IA32_TSC_ADJUST), 4000);
	assert_int_equal(get(MSR_IA32_TSC), 5000);
	assert_int_equal(rdtsc(), 5000);
	fake_tsc += 10;
	assert_true(put(MSR_IA32_TSC_ADJUST, 4500));
	assert_int_equal(get(MSR_IA32_TSC), 5510);
	assert_int_equal(rdtsc(), 5510);
	/* Backwards, and around zero. */
	assert_true(put(MSR_IA32_TSC, 0));
	assert_int_equal((int64_t)get(MSR_IA32_TSC_ADJUST), -1010);
	assert_int_equal(rdtsc(), 0);
	assert_true(put(MSR_IA32_TSC, UINT64_MAX));
	fake_tsc += 2;
	assert_int_equal(get(MSR_IA32_TSC), 1);
	assert_int_equal(rdtsc(), 1);
}

static void a_pause_does_not_show_in_the_tsc(void **state)
{
	(void)state;
	fake_tsc += 1000;
	assert_true(put(MSR_IA32_TSC, 1000000));
	assert_int_equal(guest_pause(g), HV_OK);
	fake_tsc += 7777777;
	assert_int_equal(guest_resume(g), HV_OK);
	fake_tsc += 5;
	assert_int_equal(get(MSR_IA32_TSC), 1000005);
	assert_int_equal(rdtsc(), 1000005);
	assert_int_equal(get(MSR_IA32_TSC_ADJUST), 1000000 - 1000);
}

/* The deadline is compared with the guest's TSC, adjustments included. */
static void the_deadline_timer_follows_the_tsc(void **state)
{
	(void)state;
	assert_true(bus_write(&g->vm.mmio, 0xfee000f0, 4, 0, 0x1ff));
	assert_true(bus_write(&g->vm.mmio, 0xfee00320, 4, 0, 0x40040));
	assert_true(put(MSR_IA32_TSC, 1000000));
	assert_true(put(MSR_IA32_TSC_DEADLINE, 1002000));
	assert_int_equal(get(MSR_IA32_TSC_DEADLINE), 1002000);
	vm_rig_advance(1999);
	assert_int_equal(board_pending(g->board, 0), -1);
	vm_rig_advance(1);
	assert_int_equal(board_pending(g->board, 0), 0x40);
	assert_int_equal(get(MSR_IA32_TSC_DEADLINE), 0);
}

/* --- the APIC --- */

static void the_apic_base_switches_to_x2apic(void **state)
{
	(void)state;
	assert_int_equal(get(MSR_IA32_APIC_BASE), 0xfee00900);
	assert_false(put(MSR_X2APIC_FIRST + 0x8, 0)); /* not in xAPIC mode */
	assert_true(put(MSR_IA32_APIC_BASE, 0xfee00d00));
	assert_int_equal(get(MSR_IA32_APIC_BASE), 0xfee00d00);
	assert_true(put(0x80f, 0x1ff));
	assert_int_equal(get(0x80f), 0x1ff);
	assert_false(put(MSR_IA32_APIC_BASE, 0xfee00900)); /* only through "off" */
	assert_int_equal(g->state, GUEST_RUNNING);
}

static void the_task_priority_is_one_register(void **state)
{
	(void)state;
	assert_true(put(MSR_IA32_APIC_BASE, 0xfee00d00));
	cpu->regs[VCPU_REG_CR8] = 5;
	assert_int_equal(get(0x808), 0x50);
	assert_true(put(0x808, 0xa0));
	assert_int_equal(cpu->regs[VCPU_REG_CR8], 0xa);
}

static void moving_the_apic_stops_the_guest(void **state)
{
	(void)state;
	(void)put(MSR_IA32_APIC_BASE, 0xfed00900);
	exit_stopped("moved the local APIC's registers");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EXIT_TEST(rdmsr_fills_two_halves),
		EXIT_TEST(wrmsr_takes_two_halves),
		EXIT_TEST(a_refused_access_faults_in_place),
		EXIT_TEST(unknown_msrs_do_not_flood_the_log),
		EXIT_TEST(each_rule_does_what_it_says),
		EXIT_TEST(misc_enable_keeps_what_is_written),
		EXIT_TEST(tsc_aux_is_not_rflags),
		EXIT_TEST(mtrrs_are_the_vms),
		EXIT_TEST(the_pat_is_checked),
		EXIT_TEST(efer_has_rules),
		EXIT_TEST(long_mode_is_enabled_before_paging),
		EXIT_TEST(the_tsc_is_the_vms_time),
		EXIT_TEST(tsc_and_tsc_adjust_move_together),
		EXIT_TEST(a_pause_does_not_show_in_the_tsc),
		EXIT_TEST(the_deadline_timer_follows_the_tsc),
		EXIT_TEST(the_apic_base_switches_to_x2apic),
		EXIT_TEST(the_task_priority_is_one_register),
		EXIT_TEST(moving_the_apic_stops_the_guest),
	};

	return cmocka_run_group_tests(tests, exit_machine, NULL);
}
