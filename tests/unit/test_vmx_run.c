/* SPDX-License-Identifier: Apache-2.0 */
/* Entry and exit with a guest that is a C function. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "hv/base/log.h"
#include "hv/base/ring.h"
#include "hv/cpu/desc.h"
#include "tests/fakes/vmx_rig.h"
#include "vmx/decode.h"

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

static const struct vm_exit *run(void (*guest)(struct vcpu *))
{
	fake_vmx.guest = guest;
	memset(&out, 0xa5, sizeof(out));
	rig.backend->vcpu_run(rig.vcpu, &out);
	return &out;
}

/* What the last entry found in a field. */
#define ENTERED(name) (fake_vmx.entered.value[VMCS_AT_##name])

static void cpuid_guest(struct vcpu *vcpu)
{
	vcpu->gpr[GPR_RBX] = 0xbbbb;
	fake_vmcs_set(VMCS_GUEST_RSP, 0x7000);
	fake_vmcs_set(VMCS_GUEST_RIP, 0x1234);
	fake_vmcs_set(VMCS_EXIT_REASON, VMX_EXIT_CPUID);
	fake_vmcs_set(VMCS_EXIT_INSN_LENGTH, 2);
}

static void registers_go_in_and_out(void **state)
{
	(void)state;
	rig.vcpu->gpr[GPR_RSP] = 0x8000;
	rig.vcpu->rip = 0x1000;
	assert_int_equal(run(cpuid_guest)->kind, VM_EXIT_CPUID);
	assert_int_equal(out.insn_len, 2);
	assert_int_equal(ENTERED(GUEST_RSP), 0x8000);
	assert_int_equal(ENTERED(GUEST_RIP), 0x1000);
	assert_int_equal(rig.vcpu->gpr[GPR_RSP], 0x7000);
	assert_int_equal(rig.vcpu->gpr[GPR_RBX], 0xbbbb);
	assert_int_equal(rig.vcpu->rip, 0x1234);
	/* Whoever emulates moves them in struct vcpu alone. */
	rig.vcpu->rip += 2;
	rig.vcpu->gpr[GPR_RSP] -= 8;
	run(NULL);
	assert_int_equal(ENTERED(GUEST_RIP), 0x1236);
	assert_int_equal(ENTERED(GUEST_RSP), 0x6ff8);
}

/* The fake checks host state as the CPU does; here is what it cannot know. */
static void the_host_comes_back_to_itself(void **state)
{
	(void)state;
	run(NULL);
	assert_int_equal(ENTERED(HOST_CR0), fake_cpu.cr0);
	assert_int_equal(ENTERED(HOST_CR3), 0x1000);
	assert_int_equal(ENTERED(HOST_CR4), fake_cpu.cr4);
	assert_true(ENTERED(HOST_CR4) & CR4_VMXE);
	assert_int_equal(ENTERED(HOST_RIP), vmx_exit_address());
	assert_int_equal(ENTERED(HOST_CS_SELECTOR), GDT_CODE);
	assert_int_equal(ENTERED(HOST_TR_SELECTOR), GDT_TSS);
	assert_int_equal(ENTERED(HOST_TR_BASE), (uint64_t)(uintptr_t)&cpu_this()->tss);
	assert_int_equal(ENTERED(HOST_GS_BASE), (uint64_t)(uintptr_t)cpu_this());
	assert_int_equal(ENTERED(HOST_IDTR_BASE), 0xffffffff80200000ull);
	assert_int_equal(ENTERED(HOST_EFER), fake_msr_get(MSR_EFER));
	assert_int_equal(ENTERED(HOST_PAT), fake_msr_get(MSR_IA32_PAT));
	/* Another VM's space. */
	fake_cpu.cr3 = 0x2000;
	run(NULL);
	assert_int_equal(ENTERED(HOST_CR3), 0x2000);
}

static void launch_first_then_resume(void **state)
{
	(void)state;
	run(NULL);
	assert_true(fake_vmx.entered_by_launch);
	run(NULL);
	assert_false(fake_vmx.entered_by_launch);
	rig.backend->vcpu_put(rig.vcpu);
	rig.backend->vcpu_load(rig.vcpu, 0);
	run(NULL);
	assert_true(fake_vmx.entered_by_launch);
	assert_int_equal(out.kind, VM_EXIT_HOST_INTERRUPT);
}

static void an_unchanged_field_is_not_written(void **state)
{
	unsigned before;

	(void)state;
	rig.backend->set_reg(rig.vcpu, VCPU_REG_RFLAGS, RFLAGS_IF);
	run(NULL);
	before = fake_vmx.vmwrite_count;
	run(NULL);
	assert_int_equal(fake_vmx.vmwrite_count, before);
}

static void timer_guest(struct vcpu *vcpu)
{
	(void)vcpu;
	fake_vmcs_set(VMCS_EXIT_REASON, VMX_EXIT_PREEMPTION_TIMER);
}

/* With interrupts off it has an end of its own; the host then lets its interrupts in. */
static void a_run_with_interrupts_off_is_bounded(void **state)
{
	struct vcpu_event ud = {.type = VCPU_EVENT_EXCEPTION, .vector = 6};
	unsigned entered, written;

	(void)state;
	vmx.bound_ticks = 3200;
	fake_tsc = 1000;
	rig.backend->set_reg(rig.vcpu, VCPU_REG_RFLAGS, 0);
	assert_int_equal(run(cpuid_guest)->kind, VM_EXIT_CPUID);
	assert_int_equal(ENTERED(PIN_CONTROLS), vmx.caps.pin | VMX_PIN_PREEMPTION_TIMER);
	assert_int_equal(ENTERED(GUEST_PREEMPTION_TIMER), (3200 >> 5) | 1);
	/* Exits in between do not start it anew. */
	fake_tsc += 1600;
	written = fake_vmx.vmwrite_count;
	run(cpuid_guest);
	assert_int_equal(ENTERED(GUEST_PREEMPTION_TIMER), (3200 >> 5) | 1);
	assert_int_equal(fake_vmx.vmwrite_count, written);
	fake_tsc += 1600;
	entered = fake_vmx.enter_count;
	assert_int_equal(run(cpuid_guest)->kind, VM_EXIT_HOST_INTERRUPT);
	assert_false(out.host_interrupt.acknowledged);
	assert_int_equal(fake_vmx.enter_count, entered);
	/* The timer's own exit, and any interrupt, give it the whole time again. */
	fake_tsc += 5000;
	assert_int_equal(run(timer_guest)->kind, VM_EXIT_HOST_INTERRUPT);
	assert_false(out.host_interrupt.acknowledged);
	fake_tsc += 5000;
	run(cpuid_guest);
	assert_int_equal(ENTERED(GUEST_PREEMPTION_TIMER), (3200 >> 5) | 1);
	/* An event that is pending is delivered first. */
	fake_tsc += 5000;
	rig.backend->inject(rig.vcpu, &ud);
	assert_int_equal(run(cpuid_guest)->kind, VM_EXIT_CPUID);
	assert_int_equal(run(cpuid_guest)->kind, VM_EXIT_HOST_INTERRUPT);
	rig.backend->set_reg(rig.vcpu, VCPU_REG_RFLAGS, RFLAGS_IF);
	run(NULL);
	assert_int_equal(ENTERED(PIN_CONTROLS), vmx.caps.pin);
	vmx.caps.preemption_timer = false;
	rig.backend->set_reg(rig.vcpu, VCPU_REG_RFLAGS, 0);
	run(NULL);
	assert_int_equal(ENTERED(PIN_CONTROLS), vmx.caps.pin);
}

static void cr2_and_msrs_are_switched(void **state)
{
	(void)state;
	rig.backend->set_reg(rig.vcpu, VCPU_REG_CR2, 0x1111);
	fake_cpu.cr2 = 0x9999;
	run(NULL);
	assert_int_equal(fake_cpu.cr2, 0x1111);
	fake_cpu.cr2 = 0x2222; /* the guest faults */
	run(NULL);
	fake_cpu.cr2 = 0x9999; /* the host does */
	assert_int_equal(rig.backend->get_reg(rig.vcpu, VCPU_REG_CR2), 0x1111);

	rig.backend->set_reg(rig.vcpu, VCPU_REG_LSTAR, 0xffffffff81000000ull);
	assert_int_equal(fake_msr_get(MSR_LSTAR), 0xffffffff81000000ull);
	fake_msr_set(MSR_KERNEL_GS_BASE, 0x5000); /* by the guest, without an exit */
	fake_vmx.dr6 = 0xffff0ff1;
	rig.backend->vcpu_put(rig.vcpu);
	fake_msr_set(MSR_KERNEL_GS_BASE, 0);
	fake_msr_set(MSR_LSTAR, 0);
	fake_vmx.dr6 = 0;
	assert_int_equal(rig.backend->get_reg(rig.vcpu, VCPU_REG_KERNEL_GS_BASE), 0x5000);
	assert_int_equal(rig.backend->get_reg(rig.vcpu, VCPU_REG_DR6), 0xffff0ff1);
	rig.backend->vcpu_load(rig.vcpu, 0);
	assert_int_equal(fake_msr_get(MSR_KERNEL_GS_BASE), 0x5000);
	assert_int_equal(fake_msr_get(MSR_LSTAR), 0xffffffff81000000ull);
	assert_int_equal(fake_vmx.dr6, 0xffff0ff1);
}

static void tsc_aux_is_switched(void **state)
{
	static const struct msr_pass_range pass[] = {{MSR_TSC_AUX, 1, MSR_PASS_BOTH}, {0, 0, 0}};

	(void)state;
	/* The guest's writes exit: hv keeps vcpu->tsc_aux, the MSR is only loaded. */
	rig.vcpu->tsc_aux = 5;
	rig.backend->vcpu_load(rig.vcpu, 0);
	assert_int_equal(fake_msr_get(MSR_TSC_AUX), 5);
	rig.vcpu->tsc_aux = 6;
	rig.backend->vcpu_put(rig.vcpu);
	assert_int_equal(rig.vcpu->tsc_aux, 6);
	assert_int_equal(rig_stop(), 0);
	/* The guest writes it itself: it is read back. */
	rig.policy.msrs = pass;
	v = rig_start(&vmx_bochs);
	rig.policy.msrs = NULL;
	fake_msr_set(MSR_TSC_AUX, 7);
	rig.backend->vcpu_put(rig.vcpu);
	assert_int_equal(rig.vcpu->tsc_aux, 7);
}

static void flushes(void **state)
{
	uint64_t eptp;
	unsigned before = fake_vmx.invept_count;

	(void)state;
	run(NULL); /* the first one ever: reset asks for it */
	eptp = ENTERED(EPTP);
	assert_int_equal(fake_vmx.invept_count, before + 1);
	assert_int_equal(fake_vmx.invept_type, VMX_INVEPT_SINGLE);
	assert_int_equal(fake_vmx.invept_eptp, eptp);
	assert_int_equal(eptp, pool_hpa(rig.vm.gspace.stage2.root).v | 0x5e);
	run(NULL);
	assert_int_equal(fake_vmx.invept_count, before + 1);
	rig.backend->tlb_flush(rig.vcpu);
	run(NULL);
	run(NULL);
	assert_int_equal(fake_vmx.invept_count, before + 2);
}

/* What was done elsewhere, also to the tables, has not reached this CPU's TLB. */
static void another_cpu_forgets_all_of_the_vm(void **state)
{
	const struct apic_entry x2apic = {.mode = APIC_MODE_X2APIC};
	unsigned invepts;

	(void)state;
	/* In xAPIC mode more is forgotten: tests/unit/test_vmx_apicv.c. */
	rig.backend->apic_load(rig.vcpu, &x2apic);
	run(NULL);
	invepts = fake_vmx.invept_count;
	rig.backend->vcpu_put(rig.vcpu);
	rig.backend->vcpu_load(rig.vcpu, 1);
	run(NULL);
	assert_int_equal(fake_vmx.invept_count, invepts + 1);
	assert_int_equal(fake_vmx.invept_type, VMX_INVEPT_SINGLE);
	assert_int_equal(fake_vmx.invept_eptp, ENTERED(EPTP));
	assert_int_equal(ENTERED(VPID), v->vpid);
	/* Away and back with no other CPU in between. */
	rig.backend->vcpu_put(rig.vcpu);
	rig.backend->vcpu_load(rig.vcpu, 1);
	run(NULL);
	assert_int_equal(fake_vmx.invept_count, invepts + 1);
	/* Without the single kind the larger flush does. */
	vmx.caps.invept_single = false;
	rig.backend->vcpu_put(rig.vcpu);
	rig.backend->vcpu_load(rig.vcpu, 0);
	run(NULL);
	assert_int_equal(fake_vmx.invept_count, invepts + 2);
	assert_int_equal(fake_vmx.invept_type, VMX_INVEPT_ALL);
}

static void an_event_is_injected_once(void **state)
{
	struct vcpu_event pf = {
		.type = VCPU_EVENT_EXCEPTION, .vector = 14, .has_error = true, .error = 6};

	(void)state;
	rig.backend->set_reg(rig.vcpu, VCPU_REG_CR0, CR0_PE);
	rig.backend->inject(rig.vcpu, &pf);
	run(NULL);
	assert_int_equal(ENTERED(ENTRY_INTERRUPTION), 0x80000b0e);
	assert_int_equal(ENTERED(ENTRY_ERROR_CODE), 6);
	assert_int_equal(rig.backend->blocked(rig.vcpu, VCPU_EVENT_EXCEPTION), 0);
	run(NULL);
	assert_int_equal(ENTERED(ENTRY_INTERRUPTION) & VMX_EVENT_VALID, 0);
}

static uint32_t vectoring_info;

static void interrupted_delivery_guest(struct vcpu *vcpu)
{
	(void)vcpu;
	fake_vmcs_set(VMCS_EXIT_REASON, VMX_EXIT_EPT_VIOLATION);
	fake_vmcs_set(VMCS_EXIT_QUALIFICATION, 1 | VMX_EPTQ_GVA_VALID);
	fake_vmcs_set(VMCS_GUEST_PHYSICAL_ADDRESS, 0x5008);
	fake_vmcs_set(VMCS_GUEST_LINEAR_ADDRESS, 0xfff8);
	fake_vmcs_set(VMCS_VECTORING, vectoring_info);
	fake_vmcs_set(VMCS_VECTORING_ERROR_CODE, 0x15);
	fake_vmcs_set(VMCS_EXIT_INSN_LENGTH, 2);
	if ((vectoring_info >> 8 & 7) == VMX_EVENT_NMI) {
		fake_vmcs_set(VMCS_GUEST_INTERRUPTIBILITY, VMX_BLOCKED_NMI);
	}
}

/* Each kind of event whose delivery an exit interrupted is injected as it was. */
static void interrupted_events_come_again(void **state)
{
	static const uint32_t infos[] = {0x80000031, 0x80000202, 0x80000306, 0x80000b0e,
					 0x80000480, 0x80000501, 0x80000603};
	bool soft;

	(void)state;
	rig.backend->set_reg(rig.vcpu, VCPU_REG_CR0, CR0_PE);
	rig.backend->set_reg(rig.vcpu, VCPU_REG_RFLAGS, RFLAGS_IF);
	for (size_t i = 0; i < ARRAY_SIZE(infos); i++) {
		vectoring_info = infos[i];
		assert_int_equal(run(interrupted_delivery_guest)->kind, VM_EXIT_NESTED_FAULT);
		assert_true(out.fault.table_walk);
		assert_int_equal(out.fault.gva.v, 0xfff8);
		soft = out.vectoring.insn_len != 0;
		rig.backend->inject(rig.vcpu, &out.vectoring);
		assert_int_equal(run(NULL)->kind, VM_EXIT_HOST_INTERRUPT);
		assert_int_equal(ENTERED(ENTRY_INTERRUPTION), infos[i]);
		assert_int_equal(soft, i >= 4);
		if (soft) {
			assert_int_equal(ENTERED(ENTRY_INSN_LENGTH), 2);
		}
		fake_vmcs_set(VMCS_GUEST_INTERRUPTIBILITY, 0);
	}
}

static void iret_guest(struct vcpu *vcpu)
{
	(void)vcpu;
	fake_vmcs_set(VMCS_EXIT_REASON, VMX_EXIT_EPT_VIOLATION);
	fake_vmcs_set(VMCS_EXIT_QUALIFICATION, 1 | VMX_EPTQ_NMI_UNBLOCKED);
}

static void a_faulting_iret_leaves_nmis_blocked(void **state)
{
	(void)state;
	run(iret_guest);
	assert_int_equal(rig.backend->blocked(rig.vcpu, VCPU_EVENT_NMI), VCPU_BLOCKED_NMI);
	/* The entry takes it: the fake would refuse bits that contradict each other. */
	assert_int_equal(run(NULL)->kind, VM_EXIT_HOST_INTERRUPT);
	assert_int_equal(ENTERED(GUEST_INTERRUPTIBILITY), VMX_BLOCKED_NMI);
}

static void nmi_guest(struct vcpu *vcpu)
{
	(void)vcpu;
	fake_vmcs_set(VMCS_EXIT_REASON, VMX_EXIT_EXCEPTION_NMI);
	fake_vmcs_set(VMCS_EXIT_INTERRUPTION, 0x80000202);
}

static void a_physical_nmi_reaches_the_host(void **state)
{
	(void)state;
	assert_int_equal(run(nmi_guest)->kind, VM_EXIT_HOST_NMI);
	assert_int_equal(fake_vmx.host_nmi_count, 1);
	run(NULL);
	assert_int_equal(fake_vmx.host_nmi_count, 1);
}

static void int1_guest(struct vcpu *vcpu)
{
	(void)vcpu;
	fake_vmcs_set(VMCS_EXIT_REASON, VMX_EXIT_EXCEPTION_NMI);
	fake_vmcs_set(VMCS_EXIT_INTERRUPTION, 0x80000501);
	fake_vmcs_set(VMCS_EXIT_INSN_LENGTH, 1);
	fake_vmcs_set(VMCS_GUEST_RIP, 0x2000);
}

static void int1_returns_behind_itself(void **state)
{
	(void)state;
	assert_int_equal(run(int1_guest)->kind, VM_EXIT_EXCEPTION);
	assert_int_equal(rig.vcpu->rip, 0x2001);
	assert_int_equal(out.insn_len, 0);
}

static void io_guest(struct vcpu *vcpu)
{
	vcpu->gpr[GPR_RCX] = 0xdead0000001bull;
	fake_vmcs_set(VMCS_EXIT_REASON, VMX_EXIT_IO);
	fake_vmcs_set(VMCS_EXIT_QUALIFICATION, 0x1f0u << 16 | 1u << 4 | 1);
	fake_vmcs_set(VMCS_EXIT_INSN_INFO, 4u << 15 | 1u << 7);
	fake_vmcs_set(VMCS_EXIT_INSN_LENGTH, 3);
}

static void msr_guest(struct vcpu *vcpu)
{
	vcpu->gpr[GPR_RCX] = 0xdead0000001bull;
	fake_vmcs_set(VMCS_EXIT_REASON, VMX_EXIT_RDMSR);
	fake_vmcs_set(VMCS_EXIT_INSN_LENGTH, 2);
}

static void misconfig_guest(struct vcpu *vcpu)
{
	(void)vcpu;
	fake_vmcs_set(VMCS_EXIT_REASON, VMX_EXIT_EPT_MISCONFIG);
	fake_vmcs_set(VMCS_GUEST_PHYSICAL_ADDRESS, 0x5008);
}

static void each_reason_gets_its_fields(void **state)
{
	(void)state;
	assert_int_equal(run(io_guest)->io.segment, VCPU_SEG_FS);
	assert_int_equal(out.io.port, 0x1f0);
	assert_int_equal(out.insn_len, 3);
	assert_int_equal(run(msr_guest)->msr.index, 0x1b);
	assert_int_equal(out.insn_len, 2);
	assert_int_equal(run(misconfig_guest)->fault.gpa.v, 0x5008);
	assert_int_equal(run(NULL)->host_interrupt.vector, 0x40);
	assert_true(out.host_interrupt.acknowledged);
}

static bool log_has(const char *text)
{
	static char buf[32768 + 1];
	uint64_t pos = 0;
	size_t n = ring_read(log_ring(), &pos, buf, sizeof(buf) - 1);

	buf[n] = '\0';
	return strstr(buf, text) != NULL;
}

static void a_refused_guest_state_says_which_check(void **state)
{
	(void)state;
	rig.vcpu->rip = 0x1000;
	rig.vcpu->gpr[GPR_RSP] = 0x5555;
	fake_vmcs_set(VMCS_GUEST_ACTIVITY, 9);
	assert_int_equal(run(NULL)->kind, VM_EXIT_ENTRY_FAILED);
	assert_int_equal(out.raw.reason, 0x80000021);
	assert_true(log_has("web: vCPU 0: VM entry refused the guest's state: the activity state"));
	assert_int_equal(rig.vcpu->rip, 0x1000);
	assert_int_equal(rig.vcpu->gpr[GPR_RSP], 0x5555);
	/* Mended it runs, by VMLAUNCH still. */
	fake_vmcs_set(VMCS_GUEST_ACTIVITY, 0);
	assert_int_equal(run(NULL)->kind, VM_EXIT_HOST_INTERRUPT);
	assert_true(fake_vmx.entered_by_launch);
}

static void refused_controls_say_which_check(void **state)
{
	(void)state;
	vmcs_write(VMCS_CR3_TARGET_COUNT, 5);
	assert_int_equal(run(NULL)->kind, VM_EXIT_ENTRY_FAILED);
	assert_int_equal(out.raw.reason, 7);
	assert_true(log_has("VM entry failed: error 7, VM entry with invalid control fields"));
	assert_true(log_has("more than four CR3 targets"));
	vmcs_write(VMCS_CR3_TARGET_COUNT, 0);
	vmcs_write(VMCS_HOST_TR_SELECTOR, 0);
	assert_int_equal(run(NULL)->raw.reason, 8);
	assert_true(log_has("the host TR selector is null"));
}

static void a_bad_event_fails_one_entry_only(void **state)
{
	struct vcpu_event bad = {.type = VCPU_EVENT_EXCEPTION, .vector = 40};

	(void)state;
	rig.backend->inject(rig.vcpu, &bad);
	assert_int_equal(run(NULL)->kind, VM_EXIT_ENTRY_FAILED);
	assert_true(log_has("the injected exception has a vector above 31"));
	assert_int_equal(rig.backend->blocked(rig.vcpu, VCPU_EVENT_EXCEPTION), 0);
	assert_int_equal(run(NULL)->kind, VM_EXIT_HOST_INTERRUPT);
}

static void no_vmcs_at_all(void **state)
{
	(void)state;
	fake_vmx.refuse_entry = VMX_FAIL_INVALID;
	assert_int_equal(run(NULL)->kind, VM_EXIT_ENTRY_FAILED);
	assert_true(log_has("no current VMCS"));
	fake_vmx.refuse_entry = VMX_FAIL_VALID;
	assert_int_equal(run(NULL)->kind, VM_EXIT_ENTRY_FAILED);
	assert_true(log_has("breaks no rule"));
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(registers_go_in_and_out),
		WITH(the_host_comes_back_to_itself),
		WITH(launch_first_then_resume),
		WITH(an_unchanged_field_is_not_written),
		WITH(a_run_with_interrupts_off_is_bounded),
		WITH(cr2_and_msrs_are_switched),
		WITH(tsc_aux_is_switched),
		WITH(flushes),
		WITH(another_cpu_forgets_all_of_the_vm),
		WITH(an_event_is_injected_once),
		WITH(interrupted_events_come_again),
		WITH(a_faulting_iret_leaves_nmis_blocked),
		WITH(a_physical_nmi_reaches_the_host),
		WITH(int1_returns_behind_itself),
		WITH(each_reason_gets_its_fields),
		WITH(a_refused_guest_state_says_which_check),
		WITH(refused_controls_say_which_check),
		WITH(a_bad_event_fails_one_entry_only),
		WITH(no_vmcs_at_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
