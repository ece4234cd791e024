/* SPDX-License-Identifier: Apache-2.0 */
/* VT-x on and off. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "hv/base/log.h"
#include "hv/base/ring.h"
#include "tests/fakes/vmx_rig.h"

static int start(void **state)
{
	const char *why;

	(void)state;
	rig.pool_limit = -1;
	rig_cpu(&vmx_bochs);
	rig.backend = vmx_probe(&rig.policy, &why);
	return rig.backend != NULL ? 0 : -1;
}

static int no_leak(void **state)
{
	(void)state;
	return rig.pool_live;
}

static bool log_has(const char *text)
{
	static char buf[32768 + 1];
	uint64_t pos = 0;
	size_t n = ring_read(log_ring(), &pos, buf, sizeof(buf) - 1);

	buf[n] = '\0';
	return strstr(buf, text) != NULL;
}

static void on_and_off(void **state)
{
	const uint32_t *region;

	(void)state;
	fake_cpu.cr0 &= ~CR0_NE;
	assert_int_equal(rig.backend->cpu_enable(0), HV_OK);
	assert_true(fake_vmx.on);
	assert_true(fake_cpu.cr4 & CR4_VMXE);
	assert_true(fake_cpu.cr0 & CR0_NE);
	region = vmx_cpu_get(0)->vmxon;
	assert_int_equal(*region, vmx.caps.revision);
	/* Whatever another user of VT-x left behind is gone. */
	assert_int_equal(fake_vmx.invept_count, 1);
	assert_int_equal(fake_vmx.invept_type, VMX_INVEPT_ALL);
	rig.backend->cpu_disable(0);
	assert_false(fake_vmx.on);
	assert_false(fake_cpu.cr4 & CR4_VMXE);
	rig.backend->cpu_disable(0); /* harmless */
}

static void an_open_feature_control_is_set_and_locked(void **state)
{
	(void)state;
	fake_msr_set(MSR_IA32_FEATURE_CONTROL, 0x100000);
	assert_int_equal(rig.backend->cpu_enable(0), HV_OK);
	assert_int_equal(fake_msr_get(MSR_IA32_FEATURE_CONTROL), 0x100005);
	rig.backend->cpu_disable(0);
}

static void a_locked_one_is_left_alone(void **state)
{
	unsigned writes = fake_cpu.wrmsr_count;

	(void)state;
	fake_msr_set(MSR_IA32_FEATURE_CONTROL, 5);
	assert_int_equal(rig.backend->cpu_enable(0), HV_OK);
	rig.backend->cpu_disable(0);
	fake_msr_set(MSR_IA32_FEATURE_CONTROL, 1);
	assert_int_equal(rig.backend->cpu_enable(3), HV_E_UNSUPPORTED);
	assert_true(log_has("CPU 3: firmware disabled and locked VT-x on this CPU only"));
	assert_false(fake_vmx.on);
	assert_int_equal(fake_cpu.wrmsr_count, writes);
	/* Some virtual machines have VT-x and not this MSR. */
	fake_msr_remove(MSR_IA32_FEATURE_CONTROL);
	assert_int_equal(rig.backend->cpu_enable(0), HV_OK);
	rig.backend->cpu_disable(0);
}

static void vmxon_may_fail(void **state)
{
	(void)state;
	fake_vmx.refuse_vmxon = true;
	assert_int_equal(rig.backend->cpu_enable(0), HV_E_BUSY);
	assert_true(log_has("VMXON failed"));
	assert_false(fake_cpu.cr4 & CR4_VMXE);
	assert_null(vmx_cpu_get(0)->vmxon);
}

static void memory_may_run_out(void **state)
{
	(void)state;
	rig.pool_limit = 0;
	assert_int_equal(rig.backend->cpu_enable(0), HV_E_NO_MEMORY);
	assert_false(fake_vmx.on);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, start, no_leak)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(on_and_off),
		WITH(an_open_feature_control_is_set_and_locked),
		WITH(a_locked_one_is_left_alone),
		WITH(vmxon_may_fail),
		WITH(memory_may_run_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
