/* SPDX-License-Identifier: Apache-2.0 */
/* AMD-V on and off on a CPU. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <string.h>

#include "hv/cpu/regs.h"
#include "tests/fakes/svm_rig.h"

static int start(void **state)
{
	const char *why;

	(void)state;
	rig.pool_limit = -1;
	rig_cpu(RIG_BOCHS, 64);
	rig.backend = svm_probe(&rig.policy, &why);
	return rig.backend == NULL;
}

static void enabling_sets_svme_and_the_save_area(void **state)
{
	uint64_t efer = fake_msr_get(MSR_EFER);
	struct svm_cpu *c;

	(void)state;
	assert_int_equal(rig.backend->cpu_enable(3), HV_OK);
	c = svm_cpu_get(3);
	assert_int_equal(fake_msr_get(MSR_EFER), efer | EFER_SVME);
	assert_ptr_equal(pool_ptr(hpa(fake_msr_get(MSR_AMD_VM_HSAVE_PA))), c->hsave);
	/* The host's own state is kept once, and not in the area that VMRUN writes. */
	assert_int_equal(fake_svm.vmsave_count, 1);
	assert_ptr_equal(pool_ptr(fake_svm.vmsave_last), c->host);
	assert_ptr_not_equal(c->host, c->hsave);
	assert_int_equal(c->asids.count, 63);
	assert_true(c->asids.flush_by_asid);

	rig.backend->cpu_disable(3);
	assert_int_equal(fake_msr_get(MSR_EFER), efer);
	assert_int_equal(fake_msr_get(MSR_AMD_VM_HSAVE_PA), 0);
	assert_int_equal(rig.pool_live, 0);
	rig.backend->cpu_disable(3);
	assert_int_equal(rig.pool_live, 0);
}

static void a_cpu_that_firmware_left_off_is_refused(void **state)
{
	(void)state;
	fake_msr_set(MSR_AMD_VM_CR, SVM_VM_CR_SVMDIS);
	assert_int_equal(rig.backend->cpu_enable(1), HV_E_UNSUPPORTED);
	assert_int_equal(fake_msr_get(MSR_EFER) & EFER_SVME, 0);
	assert_int_equal(rig.pool_live, 0);
}

static void out_of_memory_leaves_nothing_behind(void **state)
{
	(void)state;
	for (int grant = 0; grant < 2; grant++) {
		rig.pool_limit = grant;
		assert_int_equal(rig.backend->cpu_enable(1), HV_E_NO_MEMORY);
		assert_int_equal(rig.pool_live, 0);
		assert_int_equal(fake_msr_get(MSR_EFER) & EFER_SVME, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(enabling_sets_svme_and_the_save_area, start),
		cmocka_unit_test_setup(a_cpu_that_firmware_left_off_is_refused, start),
		cmocka_unit_test_setup(out_of_memory_leaves_nothing_behind, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
