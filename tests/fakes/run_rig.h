/* SPDX-License-Identifier: Apache-2.0 */
/* A machine of one CPU with two guests, web and db, whose run loop the test turns. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/cpu/regs.h"
#include "tests/fakes/vm_rig.h"

#define MS (VM_RIG_HZ / 1000)
#define SLICE (4 * MS)

static struct guest_config configs[2];
static struct guest *web;
static struct guest *db;

/* The host timer's interrupt, taken where interrupts are let in. */
static inline void take_timer(void)
{
	if (vm_rig.host_timer[0] <= fake_tsc) {
		vm_rig.host_timer[0] = TIMER_NEVER;
		run_timer_fired();
	}
}

/* The CPU sleeps until then; nothing else ever wakes it. */
static inline void sleep_until_timer(void)
{
	assert_true(vm_rig.host_timer[0] != TIMER_NEVER);
	if (vm_rig.host_timer[0] > fake_tsc) {
		fake_tsc = vm_rig.host_timer[0];
	}
	take_timer();
}

static inline int run_rig_machine(void **state)
{
	(void)state;
	vm_rig_machine(true);
	web = vm_rig_guest("web", &configs[0]);
	db = vm_rig_guest("db", &configs[1]);
	return 0;
}

static inline int run_rig_setup(void **state)
{
	(void)state;
	fake_cpu.on_window = take_timer;
	fake_cpu.on_idle = sleep_until_timer;
	fake_backend.run_ticks = MS / 20;
	fake_backend.guest = NULL;
	vm_rig.on_poll = NULL;
	configs[0].weight = configs[1].weight = 100;
	return 0;
}

static inline int run_rig_clean(void **state)
{
	(void)state;
	fake_backend.guest = NULL;
	vm_rig.on_poll = NULL;
	if (web->state != GUEST_STOPPED) {
		vm_rig_end(web);
	}
	if (db->state != GUEST_STOPPED) {
		vm_rig_end(db);
	}
	return vm_rig_leaks() || fake_backend_queued() != 0;
}

static inline struct vcpu *vcpu_of(struct guest *g)
{
	return g->vm.vcpus[0];
}

/* A one-shot LAPIC timer interrupt with vector 0x40, in ticks from now. */
static inline void arm_lapic(struct guest *g, uint64_t ticks)
{
	uint64_t count = ticks * LAPIC_TIMER_HZ / VM_RIG_HZ;

	assert_true(bus_write(&g->vm.mmio, 0xfee000f0, 4, 0, 0x1ff));
	assert_true(bus_write(&g->vm.mmio, 0xfee003e0, 4, 0, 0xb));
	assert_true(bus_write(&g->vm.mmio, 0xfee00320, 4, 0, 0x40));
	assert_true(bus_write(&g->vm.mmio, 0xfee00380, 4, 0, count));
}

static inline void allow_interrupts(struct guest *g)
{
	fake_vcpu(vcpu_of(g))->regs[VCPU_REG_RFLAGS] |= RFLAGS_IF;
}

static const struct vm_exit hlt = {.kind = VM_EXIT_HLT, .insn_len = 1};
static const struct vm_exit yield = {.kind = VM_EXIT_PAUSE, .insn_len = 2};

static inline void poke_cpu(void)
{
	fake_tsc += 1000;
}

#define RUN_TEST(name) cmocka_unit_test_setup_teardown(name, run_rig_setup, run_rig_clean)
