/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every MSR that Windows is known to touch, as a guest with `hyperv = on` finds it on CPUs of both
 * vendors: what it reads, and whether it may write. None raises #GP where Windows has no handler.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/cpu/msr.h"
#include "tests/fakes/hyperv_rig.h"

/* How a write of what was read ends. */
enum writing { FAULTS, IGNORED, KEPT };

static const struct touched {
	uint32_t first, last;
	uint64_t value;
	enum writing writing;
} touched[] = {
	{0x17, 0x17, 0, IGNORED},    /* PLATFORM_ID: the first one of all */
	{0x2a, 0x2a, 0, IGNORED},    /* EBL_CR_POWERON */
	{0x33, 0x34, 0, FAULTS},     /* TEST_CTRL, SMI_COUNT */
	{0x3a, 0x3a, 1, FAULTS},     /* FEATURE_CONTROL: locked, no VMX */
	{0x3b, 0x3b, 0, KEPT},	     /* TSC_ADJUST */
	{0x88, 0x8a, 0, IGNORED},    /* L2 of the P6 */
	{0xc1, 0xc2, 0, IGNORED},    /* performance counters */
	{0xcd, 0xce, 0, FAULTS},     /* FSB_FREQ, PLATFORM_INFO */
	{0xe7, 0xe8, 0, IGNORED},    /* MPERF, APERF */
	{0xfe, 0xfe, 0x508, FAULTS}, /* MTRRCAP */
	{0x116, 0x116, 0, IGNORED},  /* L2 of the P6 */
	{0x118, 0x11b, 0, IGNORED},
	{0x11e, 0x11e, 0, IGNORED},
	{0x140, 0x140, 0, IGNORED},   /* MISC_FEATURES_ENABLES */
	{0x174, 0x176, 0, KEPT},      /* SYSENTER */
	{0x179, 0x179, 0, FAULTS},    /* MCG_CAP: no banks */
	{0x17a, 0x17a, 0, IGNORED},   /* MCG_STATUS */
	{0x186, 0x187, 0, IGNORED},   /* performance events */
	{0x198, 0x199, 0, IGNORED},   /* PERF_STATUS, PERF_CTL */
	{0x1a0, 0x1a0, 0x1801, KEPT}, /* MISC_ENABLE */
	{0x1a6, 0x1a7, 0, IGNORED},   /* off-core responses */
	{0x1c9, 0x1c9, 0, IGNORED},   /* last branches */
	{0x1d9, 0x1d9, 0, IGNORED},   /* DEBUGCTL */
	{0x1db, 0x1de, 0, IGNORED},
	{0x200, 0x20f, 0, KEPT}, /* MTRRs */
	{0x250, 0x250, 0x0606060606060606, KEPT},
	{0x258, 0x259, 0x0606060606060606, KEPT},
	{0x268, 0x26f, 0x0606060606060606, KEPT},
	{0x277, 0x277, 0x0007040600070406, KEPT}, /* PAT */
	{0x2ff, 0x2ff, 0xc06, KEPT},
	{0x309, 0x30b, 0, IGNORED},	    /* fixed counters */
	{0x38d, 0x390, 0, IGNORED},	    /* performance control */
	{0x606, 0x606, 0x000a1003, FAULTS}, /* RAPL */
	{0x610, 0x611, 0, FAULTS},
	{0x619, 0x619, 0, FAULTS},
	{0x639, 0x639, 0, FAULTS},
	{0x641, 0x641, 0, FAULTS},
	{0x680, 0x69f, 0, IGNORED},
	{0x6c0, 0x6df, 0, IGNORED},
	{0xc24, 0xc24, 0, IGNORED},
	{0xd04, 0xd04, 0, IGNORED},
	{0xc0000081, 0xc0000084, 0, KEPT}, /* STAR to SFMASK */
	{0xc0000103, 0xc0000103, 0, KEPT}, /* TSC_AUX */
	{0xc0010000, 0xc0010007, 0, IGNORED},
	{0xc0010010, 0xc0010010, 0, IGNORED},	       /* SYSCFG */
	{0xc0010015, 0xc0010015, 0x01000000, IGNORED}, /* HWCR */
	{0xc001001f, 0xc001001f, 0, IGNORED},	       /* NB_CFG */
	{0xc0010061, 0xc0010064, 0, IGNORED},	       /* P-states */
	{0xc0010111, 0xc0010113, 0, IGNORED},	       /* SMM */
	{0xc0010114, 0xc0010114, 0x10, IGNORED},       /* VM_CR: SVM is disabled */
	{0xc0010115, 0xc0010115, 0, IGNORED},	       /* IGNNE */
	{0xc0010140, 0xc0010141, 0, IGNORED},	       /* OSVW */
	{0xc0011020, 0xc0011023, 0, IGNORED},	       /* LS_CFG to BU_CFG */
	{0xc0011029, 0xc0011029, 2, IGNORED},	       /* DE_CFG: LFENCE serializes */
	{0xc001102a, 0xc001102a, 0, IGNORED},
	/* The interface's own: what a fresh guest reads. */
	{MSR_HV_GUEST_OS_ID, MSR_HV_HYPERCALL, 0, IGNORED},
	{MSR_HV_VP_INDEX, MSR_HV_VP_INDEX, 0, FAULTS},
	{MSR_HV_RESET, MSR_HV_RESET, 0, IGNORED},
	{MSR_HV_REFERENCE_TSC, MSR_HV_REFERENCE_TSC, 0, KEPT},
	{MSR_HV_TSC_FREQUENCY, MSR_HV_TSC_FREQUENCY, VM_RIG_HZ, FAULTS},
	{MSR_HV_APIC_FREQUENCY, MSR_HV_APIC_FREQUENCY, LAPIC_TIMER_HZ, FAULTS},
	{MSR_HV_VP_ASSIST_PAGE, MSR_HV_VP_ASSIST_PAGE, 0, KEPT},
	{MSR_HV_SCONTROL, MSR_HV_SCONTROL, 0, KEPT},
	{MSR_HV_SVERSION, MSR_HV_SVERSION, 1, FAULTS},
	{MSR_HV_SIEFP, MSR_HV_SIMP, 0, KEPT},
	{MSR_HV_EOM, MSR_HV_EOM, 0, IGNORED},
	{MSR_HV_SINT0, MSR_HV_SINT15, HV_SINT_MASKED, KEPT},
	{MSR_HV_STIMER0_CONFIG, MSR_HV_STIMER3_COUNT, 0, KEPT},
	{MSR_HV_CRASH_P0, MSR_HV_CRASH_P4, 0, KEPT},
};

static void check(uint32_t index, const struct touched *t)
{
	uint64_t value = hyperv_get(index);

	if (value != t->value) {
		fail_msg("MSR 0x%x reads 0x%lx", index, value);
	}
	if (hyperv_put(index, value) != (t->writing != FAULTS)) {
		fail_msg("MSR 0x%x: a write %s", index, t->writing == FAULTS ? "passes" : "faults");
	}
	assert_int_equal(hyperv_get(index), t->value);
	if (t->writing == IGNORED && index < MSR_HV_GUEST_OS_ID) {
		assert_true(hyperv_put(index, ~value));
		assert_int_equal(hyperv_get(index), t->value);
	}
}

static void all_that_windows_touches(void **state)
{
	(void)state;
	for (unsigned intel = 0; intel < 2; intel++) {
		g->cpuid.intel = intel != 0;
		cpu->regs[VCPU_REG_PAT] = 0x0007040600070406;
		for (size_t i = 0; i < ARRAY_SIZE(touched); i++) {
			for (uint32_t n = touched[i].first; n <= touched[i].last; n++) {
				check(n, &touched[i]);
			}
		}
	}
}

/* Microcode: loaded before there is a handler, and the revision is not 0. */
static void what_is_only_written_or_changes(void **state)
{
	(void)state;
	assert_true(hyperv_put(0x79, 0x12345000));
	assert_true(hyperv_put(0x8b, 0));
	assert_true(hyperv_get(0x8b) != 0);
	assert_true(hyperv_put(0x10, 0)); /* APs set their TSCs back */
	assert_true(hyperv_get(0x10) < VM_RIG_HZ);
	assert_true((hyperv_get(0x1b) & 0x900) == 0x900);
	assert_true(hyperv_put(0x1b, hyperv_get(0x1b)));
}

/* Others get what the CPU says: a #GP for what CPUID hides. */
static void others_find_a_strict_machine(void **state)
{
	static const uint32_t lenient[] = {0xe7, 0xe8, 0x1db, 0x1de, 0x309, 0x680, 0x6df};

	(void)state;
	exit_config.hyperv = false;
	for (size_t i = 0; i < ARRAY_SIZE(lenient); i++) {
		assert_true(hyperv_faults(lenient[i]));
		assert_false(hyperv_put(lenient[i], 0));
	}
	exit_config.hyperv = true;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		HYPERV_TEST(all_that_windows_touches),
		HYPERV_TEST(what_is_only_written_or_changes),
		HYPERV_TEST(others_find_a_strict_machine),
	};

	return cmocka_run_group_tests(tests, hyperv_machine, NULL);
}
