/* SPDX-License-Identifier: Apache-2.0 */
/* What the VMCS and the maps say about a LAPIC in each of its modes. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "tests/fakes/vmx_rig.h"
#include "vmx/apicv.h"
#include "vmx/event.h"
#include "vmx/permissions.h"

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

static void load(enum apic_mode mode, uint8_t requested, uint8_t in_service)
{
	struct apic_entry entry = {.mode = mode, .requested = requested, .in_service = in_service};

	rig.backend->apic_load(rig.vcpu, &entry);
}

static void a_vm_gets_its_page_of_ones(void **state)
{
	(void)state;
	assert_true(rig.backend->info.virtual_interrupts);
	assert_int_equal(rig.pages_added, 1);
	assert_int_equal(rig.page_gpa, 0xfee00000);
	assert_int_equal(rig.page_byte, 0xff);
	assert_int_equal(vmcs_read(VMCS_APIC_ACCESS), RIG_PAGE_HPA);
	assert_ptr_equal(rig.backend->apic_page(rig.vcpu), v->apic);
	assert_int_equal(vmcs_read(VMCS_VIRTUAL_APIC), pool_hpa(v->apic).v);
}

/* Of the two that decide on the mode at most one is on, and the map goes with it. */
static void each_mode_has_its_controls(void **state)
{
	const struct vmx_vm *vm = rig.vm.backend_vm;
	static const struct {
		enum apic_mode mode;
		uint32_t control;
	} steps[] = {
		{APIC_MODE_OFF, 0},	     {APIC_MODE_XAPIC, 1u << 0},
		{APIC_MODE_X2APIC, 1u << 4}, {APIC_MODE_OFF, 0},
		{APIC_MODE_XAPIC, 1u << 0},  {APIC_MODE_OFF, 0},
		{APIC_MODE_X2APIC, 1u << 4},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		const uint8_t *map =
			steps[i].mode == APIC_MODE_X2APIC ? vm->msrpm_x2apic : vm->msrpm;

		load(steps[i].mode, 0, 0);
		rig.backend->vcpu_run(rig.vcpu, &out);
		assert_int_equal(out.kind, VM_EXIT_HOST_INTERRUPT);
		assert_int_equal(fake_vmx.entered.value[VMCS_AT_PROC2_CONTROLS] & 0x311,
				 0x300 | steps[i].control);
		assert_int_equal(fake_vmx.entered.value[VMCS_AT_MSR_BITMAP], pool_hpa(map).v);
	}
}

/* What the CPU cached of the page's address may not know what it means now. */
static void a_change_of_mode_flushes_once(void **state)
{
	(void)state;
	load(APIC_MODE_XAPIC, 0, 0);
	rig.backend->vcpu_run(rig.vcpu, &out);
	fake_vmx.invept_count = 0;
	load(APIC_MODE_XAPIC, 0x41, 0);
	rig.backend->vcpu_run(rig.vcpu, &out);
	assert_int_equal(fake_vmx.invept_count, 0);
	load(APIC_MODE_X2APIC, 0x41, 0);
	rig.backend->vcpu_run(rig.vcpu, &out);
	rig.backend->vcpu_run(rig.vcpu, &out);
	assert_int_equal(fake_vmx.invept_count, 1);
}

static void another_cpu_does_not_know_the_page(void **state)
{
	(void)state;
	load(APIC_MODE_XAPIC, 0, 0);
	rig.backend->vcpu_run(rig.vcpu, &out);
	rig.backend->vcpu_put(rig.vcpu);
	fake_vmx.invept_count = 0;
	rig.backend->vcpu_load(rig.vcpu, 1);
	rig.backend->vcpu_run(rig.vcpu, &out);
	assert_int_equal(fake_vmx.invept_count, 1);
	load(APIC_MODE_X2APIC, 0, 0);
	rig.backend->vcpu_run(rig.vcpu, &out);
	rig.backend->vcpu_put(rig.vcpu);
	fake_vmx.invept_count = 0;
	rig.backend->vcpu_load(rig.vcpu, 0);
	rig.backend->vcpu_run(rig.vcpu, &out);
	/* Nor does it know what was done to the VM's tables meanwhile, whatever the mode. */
	assert_int_equal(fake_vmx.invept_count, 1);
	assert_int_equal(vmcs_read(VMCS_PROC2_CONTROLS) & 0x11, 1u << 4);
}

static void what_waits_is_written_each_time(void **state)
{
	(void)state;
	load(APIC_MODE_X2APIC, 0x41, 0x31);
	assert_int_equal(vmcs_read(VMCS_GUEST_INTERRUPT_STATUS), 0x3141);
	/* The CPU delivered it; the next hand-over finds the same in the page again. */
	fake_vmcs_set(VMCS_GUEST_INTERRUPT_STATUS, 0x4100);
	load(APIC_MODE_X2APIC, 0x41, 0x31);
	assert_int_equal(vmcs_read(VMCS_GUEST_INTERRUPT_STATUS), 0x3141);
	load(APIC_MODE_X2APIC, 0, 0);
	assert_int_equal(vmcs_read(VMCS_GUEST_INTERRUPT_STATUS), 0);
}

static void eoi_exits(void **state)
{
	struct apic_entry entry = {.mode = APIC_MODE_XAPIC,
				   .eoi_exits = {BIT(0x31), BIT(63), 0, BIT(0x3f)}};
	unsigned before;

	(void)state;
	rig.backend->apic_load(rig.vcpu, &entry);
	assert_int_equal(vmcs_read(VMCS_EOI_EXITS0), BIT(0x31));
	assert_int_equal(vmcs_read(VMCS_EOI_EXITS1), BIT(63));
	assert_int_equal(vmcs_read(VMCS_EOI_EXITS2), 0);
	assert_int_equal(vmcs_read(VMCS_EOI_EXITS3), BIT(63));
	before = fake_vmx.vmwrite_count;
	rig.backend->apic_load(rig.vcpu, &entry);
	assert_int_equal(fake_vmx.vmwrite_count, before + 1); /* the status alone */
	entry.eoi_exits[0] = 0;
	rig.backend->apic_load(rig.vcpu, &entry);
	assert_int_equal(vmcs_read(VMCS_EOI_EXITS0), 0);
}

static void it_works_while_not_loaded(void **state)
{
	(void)state;
	rig.backend->vcpu_put(rig.vcpu);
	load(APIC_MODE_X2APIC, 0x51, 0);
	rig.backend->vcpu_load(rig.vcpu, 0);
	assert_int_equal(vmcs_read(VMCS_GUEST_INTERRUPT_STATUS), 0x51);
	assert_int_equal(vmcs_read(VMCS_PROC2_CONTROLS) & 0x11, 1u << 4);
}

/* An INIT leaves the LAPIC's mode, and no hand-over need follow at once. */
static void reset_keeps_the_mode_alone(void **state)
{
	struct apic_entry entry = {
		.mode = APIC_MODE_X2APIC, .requested = 0x41, .eoi_exits = {BIT(0x31), 0, 0, 0}};
	const struct vmx_vm *vm = rig.vm.backend_vm;

	(void)state;
	/* A LAPIC that was never handed over is on, in xAPIC mode. */
	assert_int_equal(vmcs_read(VMCS_PROC2_CONTROLS), vmx.caps.proc2 | 1);
	rig.backend->apic_load(rig.vcpu, &entry);
	rig.backend->vcpu_reset(rig.vcpu);
	assert_int_equal(vmcs_read(VMCS_PROC2_CONTROLS), vmx.caps.proc2 | 1u << 4);
	assert_int_equal(vmcs_read(VMCS_MSR_BITMAP), pool_hpa(vm->msrpm_x2apic).v);
	assert_int_equal(vmcs_read(VMCS_GUEST_INTERRUPT_STATUS), 0);
	assert_int_equal(vmcs_read(VMCS_EOI_EXITS0), 0);
	rig.backend->apic_load(rig.vcpu, &entry);
	assert_int_equal(vmcs_read(VMCS_EOI_EXITS0), BIT(0x31));
}

/* A window is for an 8259, or for an interrupt that an exception overtook: no TPR holds it back. */
static void windows_do_not_look_at_the_tpr(void **state)
{
	(void)state;
	rig.backend->set_reg(rig.vcpu, VCPU_REG_CR8, 15);
	rig.backend->set_windows(rig.vcpu, 0x31, false);
	rig.backend->vcpu_run(rig.vcpu, &out);
	assert_true((fake_vmx.entered.value[VMCS_AT_PROC_CONTROLS] & VMX_PROC_INTERRUPT_WINDOW) !=
		    0);
	assert_int_equal(fake_vmx.entered.value[VMCS_AT_TPR_THRESHOLD], 0);
	rig.backend->set_windows(rig.vcpu, -1, false);
	rig.backend->vcpu_run(rig.vcpu, &out);
	assert_int_equal(fake_vmx.entered.value[VMCS_AT_PROC_CONTROLS] & VMX_PROC_INTERRUPT_WINDOW,
			 0);
}

/* By the manual: registers that exist and that the CPU virtualizes; the rest must exit. */
static bool passes(uint32_t reg, bool write)
{
	if (write) {
		return reg == 0x08 || reg == 0x0b || reg == 0x3f;
	}
	return reg == 0x02 || reg == 0x03 || reg == 0x08 || reg == 0x0a || reg == 0x0d ||
	       reg == 0x0f || (reg >= 0x10 && reg <= 0x28) || reg == 0x30 ||
	       (reg >= 0x32 && reg <= 0x38) || reg == 0x3e;
}

static void x2apic_registers_that_need_no_exit(void **state)
{
	const struct vmx_vm *vm = rig.vm.backend_vm;

	(void)state;
	for (uint32_t msr = 0; msr < 0x2000; msr++) {
		bool ours = msr >= 0x800 && msr < 0x900;

		for (unsigned write = 0; write < 2; write++) {
			bool plain = vmx_msrpm_passes(vm->msrpm, msr, write);

			assert_int_equal(vmx_msrpm_passes(vm->msrpm_x2apic, msr, write),
					 ours ? passes(msr - 0x800, write) : plain);
			assert_false(ours && plain);
		}
	}
}

/* No field, control or map of it is touched where the CPU has only a part. */
static void without_it_all_is_as_before(void **state)
{
	const struct vmx_vm *vm;

	(void)state;
	assert_int_equal(rig_stop(), 0);
	v = rig_start(&vmx_sandy_bridge);
	vm = rig.vm.backend_vm;
	assert_false(rig.backend->info.virtual_interrupts);
	assert_int_equal(rig.pages_added, 0);
	assert_null(vm->msrpm_x2apic);
	fake_vmx.missing = VMCS_GUEST_INTERRUPT_STATUS;
	rig.backend->vcpu_reset(rig.vcpu);
	fake_vmx.missing = VMCS_APIC_ACCESS;
	rig.backend->vcpu_reset(rig.vcpu);
	fake_vmx.missing = 0;
	rig.backend->vcpu_run(rig.vcpu, &out);
	assert_int_equal(fake_vmx.entered.value[VMCS_AT_PROC2_CONTROLS] & 0x311, 0);
}

/* The CPU has it and does it wrong: vCPUs from then on are as on one that has it not. */
static void it_can_be_forgone(void **state)
{
	struct vcpu *vcpu;

	(void)state;
	rig.backend->forgo_virtual_interrupts();
	assert_false(rig.backend->info.virtual_interrupts);
	assert_false(vmx.caps.virtual_interrupts);
	vcpu = rig.backend->vcpu_create(&rig.vm);
	assert_non_null(vcpu);
	rig.backend->vcpu_put(rig.vcpu);
	rig.backend->vcpu_load(vcpu, 0);
	rig.backend->vcpu_reset(vcpu);
	rig.backend->vcpu_run(vcpu, &out);
	assert_int_equal(fake_vmx.entered.value[VMCS_AT_PROC2_CONTROLS] & 0x311, 0);
	rig.backend->vcpu_put(vcpu);
	rig.backend->vcpu_destroy(vcpu);
	rig.backend->vcpu_load(rig.vcpu, 0);
}

/* --- posting --- */

static struct vcpu *another(const struct vmx_machine *m)
{
	assert_int_equal(rig_stop(), 0);
	v = rig_start(m);
	return rig.vcpu;
}

static struct vmx_machine posting_machine(void)
{
	struct vmx_machine m = vmx_bochs;

	m.true_pin |= BIT(32 + 7);
	return m;
}

static void a_vcpu_has_a_descriptor(void **state)
{
	const struct vmx_machine m = posting_machine();
	const struct vcpu *vcpu = another(&m);

	(void)state;
	assert_true(rig.backend->info.posts_interrupts);
	assert_non_null(vcpu->post);
	rig.backend->vcpu_run(rig.vcpu, &out);
	assert_int_equal(out.kind, VM_EXIT_HOST_INTERRUPT);
	assert_true((fake_vmx.entered.value[VMCS_AT_PIN_CONTROLS] & 1u << 7) != 0);
	assert_true((fake_vmx.entered.value[VMCS_AT_EXIT_CONTROLS] & 1u << 15) != 0);
	assert_int_equal(fake_vmx.entered.value[VMCS_AT_POST_VECTOR], rig.policy.post_vector);
	assert_int_equal(fake_vmx.entered.value[VMCS_AT_POST_DESCRIPTOR], pool_hpa(vcpu->post).v);
	/* An INIT changes nothing of it, and the timer of guests with IF clear is beside it. */
	rig.backend->vcpu_reset(rig.vcpu);
	rig.backend->vcpu_run(rig.vcpu, &out);
	assert_true((fake_vmx.entered.value[VMCS_AT_PIN_CONTROLS] & 1u << 7) != 0);
	assert_int_equal(fake_vmx.entered.value[VMCS_AT_POST_DESCRIPTOR], pool_hpa(vcpu->post).v);
}

static void posting_can_be_forgone_alone(void **state)
{
	const struct vmx_machine m = posting_machine();
	struct vcpu *vcpu;

	(void)state;
	(void)another(&m);
	rig.backend->forgo_posted_interrupts();
	assert_true(rig.backend->info.virtual_interrupts && !rig.backend->info.posts_interrupts);
	assert_true(rig.backend->info.could_post);
	vcpu = rig.backend->vcpu_create(&rig.vm);
	assert_non_null(vcpu);
	assert_null(vcpu->post);
	rig.backend->vcpu_put(rig.vcpu);
	rig.backend->vcpu_load(vcpu, 0);
	fake_vmx.missing = VMCS_POST_DESCRIPTOR;
	rig.backend->vcpu_reset(vcpu);
	fake_vmx.missing = 0;
	rig.backend->vcpu_run(vcpu, &out);
	assert_int_equal(fake_vmx.entered.value[VMCS_AT_PIN_CONTROLS] & 1u << 7, 0);
	assert_int_equal(fake_vmx.entered.value[VMCS_AT_PROC2_CONTROLS] & 0x301, 0x301);
	rig.backend->vcpu_put(vcpu);
	rig.backend->vcpu_destroy(vcpu);
	rig.backend->vcpu_load(rig.vcpu, 0);
}

static void without_memory_for_the_descriptor_there_is_no_vcpu(void **state)
{
	const struct vmx_machine m = posting_machine();
	int live;

	(void)state;
	(void)another(&m);
	live = rig.pool_live;
	for (int i = 0; i < 4; i++) {
		rig.pool_limit = i;
		assert_null(rig.backend->vcpu_create(&rig.vm));
		assert_int_equal(rig.pool_live, live);
	}
	rig.pool_limit = -1;
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(a_vm_gets_its_page_of_ones),
		WITH(each_mode_has_its_controls),
		WITH(a_change_of_mode_flushes_once),
		WITH(another_cpu_does_not_know_the_page),
		WITH(what_waits_is_written_each_time),
		WITH(eoi_exits),
		WITH(it_works_while_not_loaded),
		WITH(reset_keeps_the_mode_alone),
		WITH(windows_do_not_look_at_the_tpr),
		WITH(x2apic_registers_that_need_no_exit),
		WITH(without_it_all_is_as_before),
		WITH(it_can_be_forgone),
		WITH(a_vcpu_has_a_descriptor),
		WITH(posting_can_be_forgone_alone),
		WITH(without_memory_for_the_descriptor_there_is_no_vcpu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
