/* SPDX-License-Identifier: Apache-2.0 */
/* Capability MSRs of real machines to control words. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <string.h>

#include "hv/cpu/regs.h"
#include "tests/fakes/vmx_machines.h"

static struct vmx_caps caps;

static struct vmx_facts facts_of(const struct vmx_machine *m)
{
	bool newer = (m->basic & VMX_BASIC_TRUE) != 0;

	return (struct vmx_facts){
		.vmx = true,
		.signature = 0x506e3,
		.phys_bits = 39,
		.basic = m->basic,
		.pin = newer ? m->true_pin : m->pin,
		.proc = newer ? m->true_proc : m->proc,
		.exit = newer ? m->true_exit : m->exit,
		.entry = newer ? m->true_entry : m->entry,
		.proc2 = m->proc2,
		.ept_vpid = m->ept_vpid,
		.misc = 0x7004c1e5,
		.cr0_fixed0 = 0x80000021,
		.cr0_fixed1 = 0xffffffff,
		.cr4_fixed0 = 0x2000,
		.cr4_fixed1 = m->cr4_fixed1,
	};
}

static const char *judge(const struct vmx_machine *m)
{
	struct vmx_facts f = facts_of(m);

	memset(&caps, 0xa5, sizeof(caps));
	return vmx_caps_judge(&f, &caps);
}

/* Each word obeys the MSR: all that must be 1 is, nothing that must be 0 is. */
static void assert_allowed(uint32_t word, uint64_t msr)
{
	assert_int_equal((uint32_t)msr & ~word, 0);
	assert_int_equal(word & ~(uint32_t)(msr >> 32), 0);
}

static void words_obey_their_msr(void **state)
{
	static const struct vmx_machine *const machines[] = {&vmx_sandy_bridge, &vmx_broadwell,
							     &vmx_bochs};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(machines); i++) {
		const struct vmx_machine *m = machines[i];

		assert_null(judge(m));
		assert_allowed(caps.pin, m->true_pin);
		assert_allowed(caps.proc, m->true_proc);
		assert_allowed(caps.proc2, m->proc2);
		assert_allowed(caps.exit, m->true_exit);
		assert_allowed(caps.entry, m->true_entry);
		/* Windows are closed, guests start outside long mode. */
		assert_int_equal(caps.proc & (1u << 2 | 1u << 22), 0);
		assert_int_equal(caps.entry & 1u << 9, 0);
		/* CR3 is the guest's where the true controls allow it. */
		assert_int_equal(caps.proc & (3u << 15), 0);
		/* NE and VMXE are fixed; PE and PG are the guest's. */
		assert_int_equal(caps.cr0_fixed0, CR0_NE);
		assert_int_equal(caps.cr4_fixed0, CR4_VMXE);
		assert_true(caps.invept_single && caps.invvpid_single && caps.io_info);
	}
}

static void words_of_bochs(void **state)
{
	(void)state;
	assert_null(judge(&vmx_bochs));
	assert_int_equal(caps.pin, 0x3f & (0x16 | 1 | 1 << 3 | 1 << 5));
	assert_int_equal(caps.proc2, 1u << 1 | 1u << 3 | 1u << 5 | 1u << 7 | 1u << 8 | 1u << 9 |
					     1u << 10 | 1u << 12);
	assert_true(caps.virtual_interrupts);
	assert_int_equal(caps.ept_max_level, 3);
	assert_int_equal(caps.eptp, 6 | 3 << 3 | 1 << 6);
	assert_true(caps.preemption_timer);
	assert_int_equal(caps.timer_shift, 5);
}

static void what_a_generation_lacks_is_left_out(void **state)
{
	(void)state;
	assert_null(judge(&vmx_sandy_bridge));
	assert_false(vmx_caps_has(caps.proc2, VMX_PROC2_INVPCID));
	assert_false(vmx_caps_has(caps.proc2, VMX_PROC2_PAUSE_LOOP));
	assert_true(vmx_caps_has(caps.proc2, VMX_PROC2_VPID));
	assert_int_equal(caps.ept_max_level, 2);
	assert_int_equal(caps.eptp, 6 | 3 << 3);
	assert_null(judge(&vmx_broadwell));
	assert_true(vmx_caps_has(caps.proc2, VMX_PROC2_INVPCID));
	assert_int_equal(caps.eptp, 6 | 3 << 3 | 1 << 6);
}

/* One control less, and none of the four is used. */
static void apic_virtualization_is_all_or_nothing(void **state)
{
	static const unsigned needed[] = {0, 4, 8, 9};

	(void)state;
	assert_null(judge(&vmx_broadwell));
	assert_false(caps.virtual_interrupts);
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
		struct vmx_machine m = vmx_bochs;

		m.proc2 &= ~BIT(32 + needed[i]);
		assert_null(judge(&m));
		assert_false(caps.virtual_interrupts);
		assert_int_equal(caps.proc2 & (1u << 0 | 1u << 4 | 1u << 8 | 1u << 9), 0);
	}
}

/* Posting needs them, and can be left out alone. */
static void posting_goes_with_virtual_interrupts(void **state)
{
	struct vmx_machine m = vmx_bochs;
	uint32_t without;

	(void)state;
	assert_null(judge(&m));
	assert_false(caps.posts_interrupts);
	without = caps.pin;
	m.true_pin |= BIT(32 + 7);
	assert_null(judge(&m));
	assert_true(caps.posts_interrupts);
	assert_int_equal(caps.pin, without | 1u << 7);
	vmx_caps_forgo_posting(&caps);
	assert_true(caps.virtual_interrupts && !caps.posts_interrupts);
	assert_int_equal(caps.pin, without);
	assert_null(judge(&m));
	vmx_caps_forgo_apic(&caps);
	assert_false(caps.posts_interrupts);
	assert_int_equal(caps.pin, without);
	m.proc2 &= ~BIT(32 + 9);
	assert_null(judge(&m));
	assert_false(caps.posts_interrupts);
	assert_int_equal(caps.pin, without);
}

static void the_older_msrs_force_their_default_ones(void **state)
{
	struct vmx_machine m = vmx_broadwell;

	(void)state;
	m.basic &= ~VMX_BASIC_TRUE;
	assert_null(judge(&m));
	assert_allowed(caps.proc, m.proc);
	assert_int_equal(caps.proc & (3u << 15), 3u << 15); /* CR3 accesses exit */
}

static void refusals_name_what_is_missing(void **state)
{
	struct vmx_machine m = vmx_broadwell;
	struct vmx_facts f = facts_of(&m);

	(void)state;
	assert_non_null(strstr(judge(&vmx_core2), "\"extended page tables (EPT)\""));
	assert_non_null(strstr(judge(&vmx_nehalem), "secondary control \"unrestricted guest\""));
	assert_non_null(strstr(judge(&vmx_nehalem), "use Intel Westmere"));
	m.true_pin &= ~(1ull << 37);
	assert_non_null(strstr(judge(&m), "pin-based control \"virtual NMIs\""));
	m = vmx_broadwell;
	m.true_exit &= ~(1ull << 53);
	assert_non_null(strstr(judge(&m), "VM-exit control \"load IA32_EFER\""));
	m = vmx_broadwell;
	m.true_proc &= ~(1ull << 54);
	assert_non_null(strstr(judge(&m), "execution control \"NMI-window exiting\""));
	m = vmx_broadwell;
	m.true_entry &= ~(1ull << 41);
	assert_non_null(strstr(judge(&m), "VM-entry control \"IA-32e mode guest\""));
	m = vmx_broadwell;
	m.ept_vpid &= ~VMX_EPT_WALK_4;
	assert_non_null(strstr(judge(&m), "four-level"));
	m.ept_vpid = vmx_broadwell.ept_vpid & ~VMX_EPT_INVEPT;
	assert_non_null(strstr(judge(&m), "INVEPT"));
	f.vmx = false;
	assert_non_null(strstr(vmx_caps_judge(&f, &caps), "no VT-x"));
	f.vmx = true;
	f.basic |= VMX_BASIC_32BIT;
	assert_non_null(strstr(vmx_caps_judge(&f, &caps), "4 GiB"));
}

static void feature_control(void **state)
{
	static const struct {
		uint64_t value;
		bool good;
	} table[] = {{0, true}, {4, true}, {5, true}, {1, false}, {3, false}, {7, true}};
	struct vmx_facts f = facts_of(&vmx_bochs);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		const char *why;

		f.feature_control = table[i].value;
		why = vmx_caps_judge(&f, &caps);
		assert_int_equal(why == NULL, table[i].good);
		if (why != NULL) {
			assert_non_null(strstr(why, "firmware setup"));
		}
	}
}

static void invept_of_all_contexts_will_do(void **state)
{
	struct vmx_machine m = vmx_bochs;

	(void)state;
	m.ept_vpid &= ~(VMX_EPT_INVEPT_SINGLE | VMX_VPID_INVVPID_SINGLE | VMX_EPT_1G);
	assert_null(judge(&m));
	assert_false(caps.invept_single);
	assert_false(caps.invvpid_single);
	assert_int_equal(caps.ept_max_level, 2);
	m.ept_vpid &= ~VMX_EPT_2M;
	assert_null(judge(&m));
	assert_int_equal(caps.ept_max_level, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_obey_their_msr),
		cmocka_unit_test(words_of_bochs),
		cmocka_unit_test(what_a_generation_lacks_is_left_out),
		cmocka_unit_test(apic_virtualization_is_all_or_nothing),
		cmocka_unit_test(posting_goes_with_virtual_interrupts),
		cmocka_unit_test(the_older_msrs_force_their_default_ones),
		cmocka_unit_test(refusals_name_what_is_missing),
		cmocka_unit_test(feature_control),
		cmocka_unit_test(invept_of_all_contexts_will_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
