/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two guests, "web" and "db", on four CPUs. The test is CPU 0, which runs guests only where it says
 * so: they are pinned to the others.
 */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "hv/cpu/percpu.h"
#include "hv/cpu/regs.h"
#include "mm/space.h"
#include "tests/fakes/smp.h"

#define MS (VM_RIG_HZ / 1000)
#define SLICE (4 * MS)
#define CPUS 4u
#define LAPIC_SVR 0xfee000f0ull
#define LAPIC_ICR 0xfee00300ull
#define LAPIC_ICR_HIGH 0xfee00310ull
#define ICR_NMI 0x4400u
#define ICR_INIT 0x4500u
#define ICR_STARTUP 0x4600u

static struct guest_config configs[2];
static struct guest *web;
static struct guest *db;

static const struct vm_exit hlt = {.kind = VM_EXIT_HLT, .insn_len = 1};
static const struct vm_exit yield = {.kind = VM_EXIT_PAUSE, .insn_len = 2};
static const struct vm_exit nothing = {.kind = VM_EXIT_SPURIOUS};
static const struct vm_exit triple_fault = {.kind = VM_EXIT_TRIPLE_FAULT};

static inline int machine(void **state)
{
	(void)state;
	vm_rig_machine_of(true, CPUS);
	web = vm_rig_guest("web", &configs[0]);
	db = vm_rig_guest("db", &configs[1]);
	smp_begin(CPUS);
	return 0;
}

static inline int shut_down(void **state)
{
	(void)state;
	smp_end();
	return 0;
}

/* CPUs first .. last. */
static inline struct sched_cpumask cpus(unsigned first, unsigned last)
{
	struct sched_cpumask m = {{0}};

	for (unsigned i = first; i <= last; i++) {
		sched_cpumask_set(&m, i);
	}
	return m;
}

static inline int setup(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		configs[i].cpus = 1;
		configs[i].pin = cpus(1, 2);
		configs[i].weight = 100;
		configs[i].restart = GUEST_RESTART_NEVER;
	}
	memset(vm_rig.kicks, 0, sizeof(vm_rig.kicks));
	vm_rig.on_poll = NULL;
	fake_backend.run_ticks = MS / 20;
	fake_backend.delivered = (struct vcpu_event){0};
	fake_backend.delivered_count = 0;
	vm_rig_clear();
	return 0;
}

static inline int clean(void **state)
{
	(void)state;
	vm_rig.on_poll = NULL;
	vcpu_set_backend(&fake_hv_backend);
	smp_rest();
	if (web->state != GUEST_STOPPED) {
		vm_rig_end(web);
	}
	if (db->state != GUEST_STOPPED) {
		vm_rig_end(db);
	}
	smp_rest();
	return vm_rig_leaks();
}

static inline struct vcpu *vcpu_of(struct guest *g, unsigned index)
{
	return g->vm.vcpus[index];
}

/* Runs it on that CPU and no other from its next wake-up on. */
static inline void pin(struct guest *g, unsigned index, unsigned cpu)
{
	assert_int_equal(g->tasks[index].entity.state, SCHED_BLOCKED);
	g->tasks[index].entity.allowed = cpus(cpu, cpu);
}

static inline unsigned all_kicks(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < CPUS; i++) {
		n += vm_rig.kicks[i];
	}
	return n;
}

/* A guest that is in its code on CPU 1; nothing else runs. */
static inline void start_on_1(struct guest *g)
{
	configs[g == db].pin = cpus(1, 1);
	vm_rig_start(g);
	space_switch(space_core());
	smp_until(1, SMP_GUEST);
	assert_ptr_equal(smp_guest(1), vcpu_of(g, 0));
	fake_vcpu(vcpu_of(g, 0))->regs[VCPU_REG_RFLAGS] |= RFLAGS_IF;
	memset(vm_rig.kicks, 0, sizeof(vm_rig.kicks));
}

/* What the vCPU of index `from` writes into its ICR. */
static inline void send_ipi(struct guest *g, unsigned from, unsigned to, uint32_t command)
{
	assert_true(bus_write(&g->vm.mmio, LAPIC_ICR_HIGH, 4, from, (uint64_t)to << 24));
	assert_true(bus_write(&g->vm.mmio, LAPIC_ICR, 4, from, command));
}
