/* SPDX-License-Identifier: Apache-2.0 */
/* Injection, what blocks it, and windows. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "tests/fakes/check.h"
#include "tests/fakes/vmx_rig.h"
#include "vmx/event.h"

static struct vmx_vcpu *v;

static int start(void **state)
{
	(void)state;
	v = rig_start(&vmx_bochs);
	return 0;
}

/* Without virtual interrupts: windows by the TPR. */
static int start_plain(void **state)
{
	(void)state;
	v = rig_start(&vmx_broadwell);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	return rig_stop();
}

static unsigned blocked(enum vcpu_event_type type)
{
	return rig.backend->blocked(rig.vcpu, type);
}

static void inject(struct vcpu_event event)
{
	rig.backend->inject(rig.vcpu, &event);
}

static void what_blocks(void **state)
{
	(void)state;
	rig.backend->set_reg(rig.vcpu, VCPU_REG_RFLAGS, RFLAGS_IF);
	assert_int_equal(blocked(VCPU_EVENT_INTERRUPT), 0);
	rig.backend->set_reg(rig.vcpu, VCPU_REG_RFLAGS, 0);
	assert_int_equal(blocked(VCPU_EVENT_INTERRUPT), VCPU_BLOCKED_IF);
	assert_int_equal(blocked(VCPU_EVENT_NMI), 0);
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, VMX_BLOCKED_MOV_SS);
	assert_int_equal(blocked(VCPU_EVENT_INTERRUPT), VCPU_BLOCKED_IF | VCPU_BLOCKED_SHADOW);
	assert_int_equal(blocked(VCPU_EVENT_NMI), VCPU_BLOCKED_SHADOW);
	assert_int_equal(blocked(VCPU_EVENT_EXCEPTION), 0);
	rig.backend->clear_shadow(rig.vcpu);
	assert_int_equal(blocked(VCPU_EVENT_NMI), 0);
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, VMX_BLOCKED_NMI);
	assert_int_equal(blocked(VCPU_EVENT_NMI), VCPU_BLOCKED_NMI);
	assert_int_equal(blocked(VCPU_EVENT_INTERRUPT), VCPU_BLOCKED_IF);
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, VMX_BLOCKED_STI);
	assert_int_equal(blocked(VCPU_EVENT_NMI), 0);
	assert_int_equal(blocked(VCPU_EVENT_INTERRUPT), VCPU_BLOCKED_IF | VCPU_BLOCKED_SHADOW);
	/* A shadow's end leaves NMI blocking alone. */
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, VMX_BLOCKED_NMI | VMX_BLOCKED_STI);
	rig.backend->clear_shadow(rig.vcpu);
	assert_int_equal(vmcs_read(VMCS_GUEST_INTERRUPTIBILITY), VMX_BLOCKED_NMI);

	inject((struct vcpu_event){.type = VCPU_EVENT_EXCEPTION, .vector = 6});
	assert_int_equal(blocked(VCPU_EVENT_EXCEPTION), VCPU_BLOCKED_PENDING);
	assert_int_equal(blocked(VCPU_EVENT_NMI), VCPU_BLOCKED_PENDING | VCPU_BLOCKED_NMI);
}

/* MOV SS with TF set, then an instruction that exits: its step is raised by whoever completes it.
 */
static void the_step_of_a_shadow_is_not_raised_twice(void **state)
{
	(void)state;
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, VMX_BLOCKED_MOV_SS);
	vmcs_write(VMCS_GUEST_PENDING_DEBUG, VMX_PENDING_DEBUG_BS | BIT(12) | 1);
	rig.backend->clear_shadow(rig.vcpu);
	assert_int_equal(vmcs_read(VMCS_GUEST_PENDING_DEBUG), BIT(12) | 1);
}

static void encodings(void **state)
{
	static const struct {
		struct vcpu_event event;
		bool protected;
		uint32_t info, error;
	} table[] = {
		{{.type = VCPU_EVENT_INTERRUPT, .vector = 0xec}, true, 0x800000ec, 0},
		{{.type = VCPU_EVENT_NMI, .vector = 2}, true, 0x80000202, 0},
		{{.type = VCPU_EVENT_EXCEPTION, .vector = 6}, true, 0x80000306, 0},
		{{.type = VCPU_EVENT_EXCEPTION, .vector = 13, .has_error = true, .error = 0x1234},
		 true,
		 0x80000b0d,
		 0x1234},
		/* Real mode pushes none. */
		{{.type = VCPU_EVENT_EXCEPTION, .vector = 13, .has_error = true, .error = 0x1234},
		 false,
		 0x8000030d,
		 0},
		/* The CPU insists on one. */
		{{.type = VCPU_EVENT_EXCEPTION, .vector = 13}, true, 0x80000b0d, 0},
		/* And on none. */
		{{.type = VCPU_EVENT_EXCEPTION, .vector = 6, .has_error = true, .error = 1},
		 true,
		 0x80000306,
		 0},
		{{.type = VCPU_EVENT_SOFT_INT, .vector = 0x80, .insn_len = 2}, true, 0x80000480, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		v->event_info = 0;
		rig.backend->set_reg(rig.vcpu, VCPU_REG_CR0, table[i].protected ? CR0_PE : 0);
		vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, VMX_BLOCKED_STI);
		inject(table[i].event);
		assert_int_equal(v->event_info, table[i].info);
		assert_int_equal(v->event_error, table[i].error);
		/* The handler's first instruction is in nobody's shadow. */
		assert_int_equal(vmcs_read(VMCS_GUEST_INTERRUPTIBILITY), 0);
	}
}

static void two_at_once_are_our_own_mistake(void **state)
{
	(void)state;
	inject((struct vcpu_event){.type = VCPU_EVENT_INTERRUPT, .vector = 0x20});
	EXPECT_CHECK(inject((struct vcpu_event){.type = VCPU_EVENT_INTERRUPT, .vector = 0x21}));
}

static void software_events_of_unknown_length_run_again(void **state)
{
	(void)state;
	inject((struct vcpu_event){.type = VCPU_EVENT_SOFT_INT, .vector = 0x80});
	inject((struct vcpu_event){.type = VCPU_EVENT_SOFT_EXC, .vector = 3});
	assert_int_equal(v->event_info, 0);
}

static uint32_t windows(void)
{
	vmx_windows_program(v);
	assert_int_equal(vmcs_read(VMCS_PROC_CONTROLS), v->proc);
	assert_int_equal(vmcs_read(VMCS_TPR_THRESHOLD), v->tpr_threshold);
	return v->proc & (VMX_PROC_INTERRUPT_WINDOW | VMX_PROC_NMI_WINDOW);
}

static void windows_open_and_close(void **state)
{
	(void)state;
	assert_int_equal(windows(), 0);
	rig.backend->set_windows(rig.vcpu, 0x61, false);
	assert_int_equal(windows(), VMX_PROC_INTERRUPT_WINDOW);
	rig.backend->set_windows(rig.vcpu, -1, true);
	assert_int_equal(windows(), VMX_PROC_NMI_WINDOW);
	rig.backend->set_windows(rig.vcpu, 0x61, true);
	assert_int_equal(windows(), VMX_PROC_NMI_WINDOW | VMX_PROC_INTERRUPT_WINDOW);
	rig.backend->set_windows(rig.vcpu, -1, false);
	assert_int_equal(windows(), 0);
}

static void the_tpr_decides_which_window(void **state)
{
	(void)state;
	rig.backend->set_reg(rig.vcpu, VCPU_REG_CR8, 6);
	rig.backend->set_windows(rig.vcpu, 0x61, false);
	assert_int_equal(windows(), 0);
	assert_int_equal(v->tpr_threshold, 6);
	/* The guest lowers it without an exit being due elsewhere: the next entry looks again. */
	rig.backend->set_reg(rig.vcpu, VCPU_REG_CR8, 5);
	assert_int_equal(windows(), VMX_PROC_INTERRUPT_WINDOW);
	assert_int_equal(v->tpr_threshold, 0);
	rig.backend->set_reg(rig.vcpu, VCPU_REG_CR8, 15);
	assert_int_equal(windows(), 0);
	assert_int_equal(v->tpr_threshold, 6);
	/* INT 8 of the 8259 in real mode: no LAPIC, no TPR. */
	rig.backend->set_windows(rig.vcpu, 8, false);
	assert_int_equal(windows(), VMX_PROC_INTERRUPT_WINDOW);
	assert_int_equal(v->tpr_threshold, 0);
}

/* A threshold above the TPR would be refused: whatever the TPR, the entry works. */
static void any_tpr_and_any_vector_can_be_entered(void **state)
{
	struct vm_exit out;

	(void)state;
	for (unsigned tpr = 0; tpr < 16; tpr++) {
		for (int vector = -1; vector < 256; vector += 15) {
			rig.backend->set_reg(rig.vcpu, VCPU_REG_CR8, tpr);
			rig.backend->set_windows(rig.vcpu, vector, false);
			rig.backend->vcpu_run(rig.vcpu, &out);
			assert_int_equal(out.kind, VM_EXIT_HOST_INTERRUPT);
			assert_true(vmcs_read(VMCS_TPR_THRESHOLD) <= tpr);
		}
	}
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(what_blocks),
		WITH(the_step_of_a_shadow_is_not_raised_twice),
		WITH(encodings),
		WITH(two_at_once_are_our_own_mistake),
		WITH(software_events_of_unknown_length_run_again),
		WITH(windows_open_and_close),
		cmocka_unit_test_setup_teardown(the_tpr_decides_which_window, start_plain, stop),
		cmocka_unit_test_setup_teardown(any_tpr_and_any_vector_can_be_entered, start_plain,
						stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
