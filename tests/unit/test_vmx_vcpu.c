/* SPDX-License-Identifier: Apache-2.0 */
/* VMs and vCPUs: memory, controls and state after reset. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "tests/fakes/check.h"
#include "tests/fakes/vmx_rig.h"

static struct vmx_vcpu *v;
static struct vm_exit out;

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

static void reset_state_is_the_manuals(void **state)
{
	struct vcpu_segment s;

	(void)state;
	assert_int_equal(rig.vcpu->rip, 0xfff0);
	assert_int_equal(rig.vcpu->gpr[GPR_RDX], 0x506e3);
	assert_int_equal(rig.backend->get_reg(rig.vcpu, VCPU_REG_CR0), 0x60000010);
	assert_int_equal(rig.backend->get_reg(rig.vcpu, VCPU_REG_CR4), 0);
	assert_int_equal(rig.backend->get_reg(rig.vcpu, VCPU_REG_RFLAGS), 2);
	assert_int_equal(rig.backend->get_reg(rig.vcpu, VCPU_REG_EFER), 0);
	assert_int_equal(rig.backend->get_reg(rig.vcpu, VCPU_REG_DR6), 0xffff0ff0);
	assert_int_equal(rig.backend->get_reg(rig.vcpu, VCPU_REG_DR7), 0x400);
	assert_int_equal(rig.backend->get_reg(rig.vcpu, VCPU_REG_PAT), 0x0007040600070406ull);
	rig.backend->get_seg(rig.vcpu, VCPU_SEG_CS, &s);
	assert_int_equal(s.selector, 0xf000);
	assert_int_equal(s.base, 0xffff0000);
	assert_int_equal(s.limit, 0xffff);
	rig.backend->get_seg(rig.vcpu, VCPU_SEG_TR, &s);
	assert_int_equal(s.attr, 0x8b);
}

/* The fake's entry makes the checks of the manual: real mode at the reset vector passes them. */
static void reset_state_can_be_entered(void **state)
{
	(void)state;
	rig.backend->vcpu_run(rig.vcpu, &out);
	assert_int_equal(out.kind, VM_EXIT_HOST_INTERRUPT);
}

static void on_every_machine(void **state)
{
	static const struct vmx_machine *const machines[] = {&vmx_sandy_bridge, &vmx_broadwell};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(machines); i++) {
		assert_int_equal(rig_stop(), 0);
		v = rig_start(machines[i]);
		rig.backend->vcpu_run(rig.vcpu, &out);
		assert_int_equal(out.kind, VM_EXIT_HOST_INTERRUPT);
	}
}

static void reset_forgets_everything_but_the_tsc(void **state)
{
	struct vcpu_event nmi = {.type = VCPU_EVENT_NMI, .vector = 2};

	(void)state;
	rig.backend->set_tsc_offset(rig.vcpu, 0x123456789ull);
	for (unsigned i = 0; i < VCPU_REG_COUNT; i++) {
		rig.backend->set_reg(rig.vcpu, (enum vcpu_reg)i, 1);
	}
	rig.backend->inject(rig.vcpu, &nmi);
	rig.backend->set_windows(rig.vcpu, 0x31, true);
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, VMX_BLOCKED_NMI);
	vmcs_write(VMCS_GUEST_PENDING_DEBUG, VMX_PENDING_DEBUG_BS);
	vmcs_write(VMCS_GUEST_ACTIVITY, 1);
	rig.backend->vcpu_reset(rig.vcpu);
	reset_state_is_the_manuals(state);
	assert_int_equal(rig.backend->blocked(rig.vcpu, VCPU_EVENT_NMI), 0);
	assert_int_equal(rig.backend->get_reg(rig.vcpu, VCPU_REG_LSTAR), 0);
	assert_int_equal(rig.backend->get_reg(rig.vcpu, VCPU_REG_CR8), 0);
	assert_int_equal(vmcs_read(VMCS_TSC_OFFSET), 0x123456789ull);
	rig.backend->vcpu_run(rig.vcpu, &out);
	assert_int_equal(out.kind, VM_EXIT_HOST_INTERRUPT);
	assert_int_equal(fake_vmx.entered.value[VMCS_AT_PROC_CONTROLS], vmx.caps.proc);
}

static void controls(void **state)
{
	const struct vmx_vm *vm = rig.vm.backend_vm;

	(void)state;
	assert_int_equal(vmcs_read(VMCS_PIN_CONTROLS), vmx.caps.pin);
	assert_int_equal(vmcs_read(VMCS_PROC2_CONTROLS), vmx.caps.proc2 | VMX_PROC2_APIC_ACCESSES);
	assert_int_equal(vmcs_read(VMCS_EXCEPTION_BITMAP), 1u << 1 | 1u << 6 | 1u << 17 | 1u << 18);
	assert_int_equal(vmcs_read(VMCS_MSR_BITMAP), pool_hpa(vm->msrpm).v);
	assert_int_equal(vmcs_read(VMCS_IO_BITMAP_A), pool_hpa(vm->iopm).v);
	assert_int_equal(vmcs_read(VMCS_IO_BITMAP_B), pool_hpa(vm->iopm).v + 4096);
	assert_int_equal(vmcs_read(VMCS_VIRTUAL_APIC), pool_hpa(v->apic).v);
	assert_int_equal(vmcs_read(VMCS_EPTP) & ~0xfffull, pool_hpa(rig.vm.gspace.stage2.root).v);
	assert_int_equal(vmcs_read(VMCS_VPID), v->vpid);
	assert_int_not_equal(v->vpid, 0);
	assert_int_not_equal(vmcs_read(VMCS_PLE_WINDOW), 0);
}

static void a_vcpu_without_vpid_runs(void **state)
{
	(void)state;
	v->vpid = 0;
	rig.backend->vcpu_reset(rig.vcpu);
	assert_int_equal(vmcs_read(VMCS_PROC2_CONTROLS) & VMX_PROC2_VPID, 0);
	rig.backend->vcpu_put(rig.vcpu);
	rig.backend->vcpu_load(rig.vcpu, 1);
	fake_vmx.invept_count = 0;
	rig.backend->vcpu_run(rig.vcpu, &out);
	/* Each entry flushes by itself; what is left is the VM's tables. */
	assert_int_equal(fake_vmx.invept_count, 1);
}

static void every_vcpu_has_its_own_vpid(void **state)
{
	struct vcpu *other = rig.backend->vcpu_create(&rig.vm);

	(void)state;
	assert_int_not_equal(vmx_vcpu(other)->vpid, v->vpid);
	rig.backend->vcpu_destroy(other);
}

static void memory_may_run_out_anywhere(void **state)
{
	struct vm vm = {.name = "db"};
	int live = rig.pool_live;

	(void)state;
	vm.gspace.stage2.root = rig.vm.gspace.stage2.root;
	for (int limit = 0; limit < 5; limit++) {
		rig.pool_limit = limit;
		assert_int_equal(rig.backend->vm_init(&vm), HV_E_NO_MEMORY);
		assert_int_equal(rig.pool_live, live);
	}
	for (int limit = 0; limit < 3; limit++) {
		rig.pool_limit = limit;
		assert_null(rig.backend->vcpu_create(&rig.vm));
		assert_int_equal(rig.pool_live, live);
	}
	rig.pool_limit = -1;
	rig.backend->vm_fini(&vm); /* nothing there */
}

static void a_loaded_vcpu_is_not_destroyed(void **state)
{
	(void)state;
	EXPECT_CHECK(rig.backend->vcpu_destroy(rig.vcpu));
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(reset_state_is_the_manuals),
		WITH(reset_state_can_be_entered),
		WITH(on_every_machine),
		WITH(reset_forgets_everything_but_the_tsc),
		WITH(controls),
		WITH(a_vcpu_without_vpid_runs),
		WITH(every_vcpu_has_its_own_vpid),
		WITH(memory_may_run_out_anywhere),
		WITH(a_loaded_vcpu_is_not_destroyed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
