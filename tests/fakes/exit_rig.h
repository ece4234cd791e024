/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tests of the exit handlers share: one guest of the VM rig per program, started for each test
 * and stopped behind it, and what was raised in it.
 */
#pragma once

#include "hv/cpu/regs.h"
#include "tests/fakes/vm_rig.h"

static struct guest_config exit_config;
static struct guest *g;
static struct vcpu *vcpu;
static struct fake_vcpu *cpu;

/* Group set-up. */
static inline int exit_machine(void **state)
{
	(void)state;
	vm_rig_machine(true);
	g = vm_rig_guest("web", &exit_config);
	return 0;
}

/* A 64-bit guest at the kernel's entry, flat and mapped 1:1, without requests. */
static inline int exit_setup(void **state)
{
	(void)state;
	vm_rig_start(g);
	vm_rig_clear();
	vcpu = g->vm.vcpus[0];
	cpu = fake_vcpu(vcpu);
	atomic_store(&vcpu->requests, 0);
	return 0;
}

static inline int exit_clean(void **state)
{
	(void)state;
	if (g->state != GUEST_STOPPED) {
		vm_rig_end(g);
	}
	return vm_rig_leaks();
}

#define EXIT_TEST(name) cmocka_unit_test_setup_teardown(name, exit_setup, exit_clean)

/* The vCPU without paging, 32 bits wide, or in real mode. */
static inline void exit_mode(bool protected)
{
	cpu->regs[VCPU_REG_EFER] = 0;
	cpu->regs[VCPU_REG_CR4] = 0;
	cpu->regs[VCPU_REG_CR0] = CR0_ET | (protected ? CR0_PE : 0);
	cpu->segs[VCPU_SEG_CS].base = 0;
	cpu->segs[VCPU_SEG_CS].attr = protected ? 0xc09b : 0x9b;
}

/* `error` below 0: an exception without an error code. Takes it back. */
static inline void exit_raised(unsigned vector, int error)
{
	struct vcpu_event *e = &vcpu->events.exception;

	assert_int_equal(e->type, VCPU_EVENT_EXCEPTION);
	assert_int_equal(e->vector, vector);
	assert_int_equal(e->has_error, error >= 0);
	assert_int_equal(e->error, error >= 0 ? error : 0);
	e->type = VCPU_EVENT_NONE;
}

static inline void exit_raised_nothing(void)
{
	assert_int_equal(vcpu->events.exception.type, VCPU_EVENT_NONE);
}

static inline void exit_stopped(const char *reason)
{
	guest_end_wanted();
	assert_int_equal(g->state, GUEST_STOPPING);
	assert_string_equal(g->reason, reason);
}

/* Whether the request bits are set; takes them back. */
static inline bool exit_requested(uint32_t bits)
{
	return (atomic_exchange(&vcpu->requests, 0) & bits) == bits;
}
