/* SPDX-License-Identifier: Apache-2.0 */
/* The dump: names, the failed check, and no trace left behind. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "hv/base/log.h"
#include "hv/base/ring.h"
#include "tests/fakes/vmx_rig.h"

static struct vmx_vcpu *v;

static int start(void **state)
{
	(void)state;
	v = rig_start(&vmx_bochs);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	return rig_stop();
}

static const char *dump(void)
{
	static char buf[32768 + 1];
	uint64_t from = log_ring()->end;
	size_t n;

	rig.backend->dump(rig.vcpu);
	n = ring_read(log_ring(), &from, buf, sizeof(buf) - 1);
	buf[n] = '\0';
	return buf;
}

static void names_not_numbers(void **state)
{
	struct vm_exit out;
	const char *text;

	(void)state;
	rig.backend->vcpu_run(rig.vcpu, &out);
	text = dump();
	assert_non_null(strstr(text, "web: vCPU 0: VMCS at"));
	assert_non_null(strstr(text, "last exit INTERRUPT, instruction error none"));
	assert_non_null(strstr(text, "GUEST_CS_BASE 0xffff0000"));
	assert_non_null(strstr(text, "EPTP 0x"));
	assert_non_null(strstr(text, "HOST_RIP 0xffffffff80001000"));
	assert_non_null(strstr(text, "EXIT_INTERRUPTION 0x80000040"));
	assert_null(strstr(text, "would fail"));
	assert_null(strstr(text, "..."));
}

static void a_broken_check_is_told(void **state)
{
	struct vm_exit out;
	const char *text;

	(void)state;
	vmcs_write(VMCS_GUEST_CS_RIGHTS, 0x92);
	rig.backend->vcpu_run(rig.vcpu, &out);
	text = dump();
	assert_non_null(strstr(text, "BAD_GUEST_STATE (entry failed)"));
	assert_non_null(strstr(text, "the next entry would fail: CS is neither accessed code"));
	vmcs_write(VMCS_GUEST_CS_RIGHTS, 0x9b);
	vmcs_write(VMCS_HOST_CS_SELECTOR, 0);
	rig.backend->vcpu_run(rig.vcpu, &out);
	assert_non_null(strstr(dump(), "error VM entry with invalid host state"));
}

static void one_that_is_not_loaded_can_be_dumped(void **state)
{
	(void)state;
	rig.backend->vcpu_put(rig.vcpu);
	assert_non_null(strstr(dump(), "GUEST_RIP 0xfff0"));
	assert_int_equal(vmx_vmptrst().v, VMX_NO_VMCS);
	assert_false(fake_vmcs_at(v->vmcs_hpa)->active);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(names_not_numbers),
		WITH(a_broken_check_is_told),
		WITH(one_that_is_not_loaded_can_be_dumped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
