/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/base/bits.h"
#include "hv/cpu/features.h"
#include "hv/cpu/percpu.h"
#include "hv/cpu/regs.h"
#include "hv/cpu/trap.h"
#include "tests/fakes/check.h"
#include "tests/fakes/fake_cpu.h"

static char shown[8192];
static unsigned fatal_count, nmi_count, irq_count;
static unsigned stray_vector;
static uint64_t stack[64];
static struct cpu_local *cpu;
static struct trap_frame again;

static void print(const char *line)
{
	size_t n = strlen(shown);

	snprintf(shown + n, sizeof(shown) - n, "%s\n", line);
}

static _Noreturn void fatal(void)
{
	fatal_count++;
	cpu_stop();
}

static void nmi(void)
{
	nmi_count++;
}

static void stray(unsigned vector)
{
	stray_vector = vector;
}

static void irq(void)
{
	irq_count++;
}

static const struct trap_hooks hooks = {
	.print = print,
	.fatal = fatal,
	.nmi = nmi,
	.stray_irq = stray,
};

static int setup(void **state)
{
	(void)state;
	fake_cpu_reset();
	shown[0] = '\0';
	fatal_count = nmi_count = irq_count = stray_vector = 0;
	cpu = percpu_init_boot((uint64_t)(uintptr_t)stack, (uint64_t)(uintptr_t)(stack + 64), 0);
	cpu->fault_depth = 0;
	cpu->nmi_count = cpu->irq_count = cpu->stray_irq_count = 0;
	percpu_activate(cpu);
	trap_set_hooks(&hooks);
	return 0;
}

static void machine_checks_are_taken(void **state)
{
	(void)state;
	fake_cpu.cr4 = 0;
	fake_cpuid_set(1, 0, (struct cpuid_regs){.edx = BIT32(7)});
	cpu_features_init();
	trap_load();
	assert_int_equal(fake_cpu.cr4, BIT(6));
	fake_cpuid_set(1, 0, (struct cpuid_regs){0});
	cpu_features_init();
	fake_cpu.cr4 = 0;
	trap_load();
	assert_int_equal(fake_cpu.cr4, 0);
}

static void idt_covers_all_vectors(void **state)
{
	const struct idt_gate *gate;

	(void)state;
	trap_init();
	trap_load();
	assert_int_equal(fake_cpu.idt.limit, 4095);
	gate = hva_ptr(hva(fake_cpu.idt.base));
	for (unsigned v = 0; v < 256; v++) {
		uint64_t at = gate[v].offset_low | (uint64_t)gate[v].offset_middle << 16 |
			      (uint64_t)gate[v].offset_high << 32;

		assert_int_equal(at, (uint64_t)(uintptr_t)trap_stubs + v * 16);
		assert_int_equal(gate[v].ist, v == 8 ? 1 : v == 2 ? 2 : v == 18 ? 3 : 0);
	}
}

static void foreseen_fault_resumes(void **state)
{
	struct trap_frame f = {.vector = EXC_GP, .rip = 0x1234, .rax = 5};

	(void)state;
	fake_cpu.fixup_rip = 0x1234;
	fake_cpu.fixup_resume = 0x1240;
	trap_handle(&f);
	assert_int_equal(f.rip, 0x1240);
	assert_int_equal(f.rax, 5);
	assert_string_equal(shown, "");
}

static void machine_check_is_never_foreseen(void **state)
{
	struct trap_frame f = {.vector = EXC_MC, .rip = 0x1234};

	(void)state;
	fake_cpu.fixup_rip = 0x1234;
	fake_cpu.fixup_resume = 0x1240;
	EXPECT_STOP(trap_handle(&f));
	assert_int_equal(fatal_count, 1);
}

static void unforeseen_fault_is_reported_in_full(void **state)
{
	struct trap_frame f = {
		.vector = EXC_PF,
		.error = 2,
		.rip = 0xffffffff80001234ull,
		.rax = 0x1111,
		.r15 = 0xfeed,
		.rbp = (uint64_t)(uintptr_t)&stack[8],
	};

	(void)state;
	fake_cpu.cr2 = 0xdead0000;
	stack[8] = (uint64_t)(uintptr_t)&stack[16];
	stack[9] = 0xffffffff80005678ull;
	stack[16] = 0;
	stack[17] = 0xffffffff80009abcull;
	EXPECT_STOP(trap_handle(&f));
	assert_int_equal(fatal_count, 1);
	assert_non_null(strstr(shown, "unforeseen exception #PF (14), error 0x2"));
	assert_non_null(strstr(shown, "at 0xffffffff80001234"));
	assert_non_null(strstr(shown, "rax    0x0000000000001111"));
	assert_non_null(strstr(shown, "r15    0x000000000000feed"));
	assert_non_null(strstr(shown, "cr2    0x00000000dead0000"));
	assert_non_null(strstr(shown, "called from 0xffffffff80005678"));
	assert_non_null(strstr(shown, "called from 0xffffffff80009abc"));
}

static void backtrace_stays_on_the_stack(void **state)
{
	uint64_t low = (uint64_t)(uintptr_t)stack;
	uint64_t high = (uint64_t)(uintptr_t)(stack + 64);
	const uint64_t bad[] = {0, low - 8, high, high - 8, low + 4, 1, UINT64_MAX - 7, UINT64_MAX};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		trap_backtrace(bad[i], low, high);
	}
	assert_string_equal(shown, "");
	/* A frame that points at itself or below itself must not loop. */
	stack[8] = (uint64_t)(uintptr_t)&stack[8];
	stack[9] = 0x77;
	trap_backtrace((uint64_t)(uintptr_t)&stack[8], low, high);
	assert_string_equal(shown, "  called from 0x0000000000000077\n");
}

static _Noreturn void fatal_that_faults(void)
{
	fatal_count++;
	trap_handle(&again);
	abort();
}

static void fault_while_reporting_ends(void **state)
{
	static const struct trap_hooks nested = {.print = print, .fatal = fatal_that_faults};
	struct trap_frame f = {.vector = EXC_UD};

	(void)state;
	again = (struct trap_frame){.vector = EXC_GP};
	trap_set_hooks(&nested);
	EXPECT_STOP(trap_handle(&f));
	assert_int_equal(fatal_count, 2);
	assert_null(strstr(shown, "#GP"));
}

static void nmi_is_counted_and_handed_on(void **state)
{
	struct trap_frame f = {.vector = EXC_NMI, .rip = 0x99};

	(void)state;
	trap_handle(&f);
	trap_handle(&f);
	assert_int_equal(cpu->nmi_count, 2);
	assert_int_equal(nmi_count, 2);
	assert_int_equal(f.rip, 0x99);
	assert_int_equal(cpu->nmi_rip, 0x99);
}

#define MC_VALID BIT(63)
#define MC_FATAL (BIT(63) | BIT(61) | BIT(60) | BIT(57))
#define MC_LOST (BIT(63) | BIT(61) | BIT(60) | BIT(56) | BIT(55))

/* One bank with this status; the interrupted code can be resumed. */
static void machine_check(uint64_t bank_status)
{
	fake_cpuid_set(1, 0, (struct cpuid_regs){.edx = BIT32(7) | BIT32(14)});
	cpu_features_init();
	fake_msr_set(0x179, 1 | BIT(24));
	fake_msr_set(0x17a, 5);
	fake_msr_set(0x401, bank_status);
	cpu->mce = (struct mce_slot){0};
}

static void harmless_machine_check_goes_on(void **state)
{
	struct trap_frame f = {.vector = EXC_MC, .rip = 0x1234};

	(void)state;
	machine_check(MC_VALID | 7);
	trap_handle(&f);
	assert_int_equal(f.rip, 0x1234);
	assert_string_equal(shown, "");
	assert_int_equal(cpu->mce.full, 1);
	assert_int_equal(cpu->mce.record.rip, 0x1234);
	assert_int_equal(cpu->mce.record.bank[0].status, MC_VALID | 7);
	assert_int_equal(fake_msr_get(0x401), 0);
	assert_int_equal(fake_msr_get(0x17a), 0);
	/* Another CPU's error: nothing to tell here, but the next one must not shut us down. */
	machine_check(0);
	trap_handle(&f);
	assert_int_equal(cpu->mce.full, 0);
	assert_int_equal(fake_msr_get(0x17a), 0);
}

static void machine_check_of_the_hypervisor_is_fatal(void **state)
{
	static const uint64_t statuses[] = {MC_FATAL, MC_LOST};
	struct trap_frame f = {.vector = EXC_MC, .rip = 0x1234};

	(void)state;
	for (volatile size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
		shown[0] = '\0';
		fatal_count = 0;
		cpu->fault_depth = 0;
		machine_check(statuses[i]);
		EXPECT_STOP(trap_handle(&f));
		assert_int_equal(fatal_count, 1);
		assert_non_null(strstr(shown,
				       "cpu 0: machine check at 0x0000000000001234: MCG_CAP "
				       "0x1000001 MCG_STATUS 0x5, 1 banks\n  bank 0: status "));
		assert_non_null(strstr(shown, "unforeseen exception #MC"));
		/* For the firmware. */
		assert_int_equal(fake_msr_get(0x401), statuses[i]);
	}
}

static void machine_check_of_a_guest_costs_the_guest(void **state)
{
	(void)state;
	machine_check(MC_LOST);
	assert_int_equal(trap_guest_machine_check(), MCE_CODE_LOST);
	assert_int_equal(cpu->mce.full, 1);
	assert_int_equal(fake_msr_get(0x17a), 0);
	machine_check(MC_VALID);
	assert_int_equal(trap_guest_machine_check(), MCE_HARMLESS);
	assert_int_equal(fatal_count, 0);
	machine_check(MC_FATAL);
	EXPECT_STOP((void)trap_guest_machine_check());
	assert_int_equal(fatal_count, 1);
	assert_non_null(strstr(shown, "context corrupt"));
}

static void external_vectors_reach_their_handler(void **state)
{
	struct trap_frame f = {.vector = 0xff};

	(void)state;
	trap_set_irq(0xff, irq);
	trap_handle(&f);
	trap_irq_dispatch(0xff);
	assert_int_equal(irq_count, 2);
	trap_set_irq(0xff, NULL);
	trap_irq_dispatch(0xff);
	assert_int_equal(irq_count, 2);
	assert_int_equal(stray_vector, 0xff);
	trap_irq_dispatch(256);
	assert_int_equal(stray_vector, 256);
	assert_int_equal(cpu->irq_count, 4);
	assert_int_equal(cpu->stray_irq_count, 2);
	EXPECT_CHECK(trap_set_irq(0x1f, irq));
	EXPECT_CHECK(trap_set_irq(256, irq));
}

static unsigned ranged;

static void irq_in_range(unsigned vector)
{
	ranged = vector;
}

static void a_range_has_one_handler(void **state)
{
	unsigned before = irq_count;

	(void)state;
	trap_set_irq_range(0x40, 0x4f, irq_in_range);
	trap_irq_dispatch(0x40);
	assert_int_equal(ranged, 0x40);
	trap_irq_dispatch(0x4f);
	assert_int_equal(ranged, 0x4f);
	trap_irq_dispatch(0x50);
	trap_irq_dispatch(0x3f);
	assert_int_equal(ranged, 0x4f);
	assert_int_equal(stray_vector, 0x3f);
	/* A vector's own handler goes first. */
	trap_set_irq(0x41, irq);
	trap_irq_dispatch(0x41);
	assert_int_equal(ranged, 0x4f);
	assert_int_equal(irq_count, before + 1);
	trap_set_irq(0x41, NULL);
	trap_set_irq_range(0x40, 0x4f, NULL);
	trap_irq_dispatch(0x42);
	assert_int_equal(stray_vector, 0x42);
	EXPECT_CHECK(trap_set_irq_range(0x1f, 0x30, irq_in_range));
	EXPECT_CHECK(trap_set_irq_range(0x50, 0x4f, irq_in_range));
	EXPECT_CHECK(trap_set_irq_range(0x50, 256, irq_in_range));
}

static void names(void **state)
{
	(void)state;
	assert_string_equal(trap_name(13), "#GP");
	assert_string_equal(trap_name(9), "?");
	assert_string_equal(trap_name(99), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(machine_checks_are_taken, setup),
		cmocka_unit_test_setup(idt_covers_all_vectors, setup),
		cmocka_unit_test_setup(foreseen_fault_resumes, setup),
		cmocka_unit_test_setup(machine_check_is_never_foreseen, setup),
		cmocka_unit_test_setup(unforeseen_fault_is_reported_in_full, setup),
		cmocka_unit_test_setup(backtrace_stays_on_the_stack, setup),
		cmocka_unit_test_setup(fault_while_reporting_ends, setup),
		cmocka_unit_test_setup(harmless_machine_check_goes_on, setup),
		cmocka_unit_test_setup(machine_check_of_the_hypervisor_is_fatal, setup),
		cmocka_unit_test_setup(machine_check_of_a_guest_costs_the_guest, setup),
		cmocka_unit_test_setup(nmi_is_counted_and_handed_on, setup),
		cmocka_unit_test_setup(external_vectors_reach_their_handler, setup),
		cmocka_unit_test_setup(a_range_has_one_handler, setup),
		cmocka_unit_test_setup(names, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
