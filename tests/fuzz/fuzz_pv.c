/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The paravirtual MSRs and hypercalls of a guest of three vCPUs, with interrupts, EOIs, pauses and
 * preemption in between, in any order. Beside the absence of crashes: EOIs are counted against a
 * second, simple LAPIC that knows what the guest has really ended; versions are even behind each
 * write; a hypercall returns one of its documented values.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "hv/api/gmem.h"
#include "hv/base/log.h"
#include "hv/cpu/msr.h"
#include "hv/cpu/regs.h"
#include "hv/exit.h"
#include "hv/pv.h"
#include "hv/pvclock.h"
#include "tests/fakes/vm_rig.h"
#include "tests/fuzz/device_input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CPUS 3u
#define PAGES 0x900000ull
#define STEPS_MAX 256u
#define INPUTS_PER_LIFE 1024u
#define VECTORS_MAX 64u

static struct guest_config config;
static struct guest *g;
static struct input in;

/* Per vCPU: vectors whose handlers run, innermost last, as the guest itself knows it. */
static struct {
	uint8_t vectors[VECTORS_MAX];
	unsigned depth;
} running[CPUS];

static void need(bool ok)
{
	if (!ok) {
		abort();
	}
}

/* The EOI's words, one a vCPU: nothing else is put there, which would be the guest's loss. */
#define EOI_WORDS 0x908000ull

static uint64_t next_place(void)
{
	static const uint64_t places[] = {PAGES,
					  PAGES + 0x1000,
					  PAGES + 0x1ffc,
					  VM_RIG_GUEST_MEMORY - 64,
					  VM_RIG_GUEST_MEMORY,
					  GIB(3),
					  BIT(46),
					  ~63ull,
					  0xfee00000,
					  0};
	uint8_t pick = (uint8_t)take(&in, 1);

	return pick >= 0xf0 ? take(&in, 8) : places[pick % ARRAY_SIZE(places)] + (pick & 0xc0);
}

static uint64_t next_address(void)
{
	uint64_t place = next_place();

	return place - EOI_WORDS + PAGE_SIZE < 2 * PAGE_SIZE ? PAGES : place;
}

/* --- MSRs --- */

static uint32_t next_msr(void)
{
	static const uint32_t msrs[] = {
		MSR_KVM_WALL_CLOCK,	 MSR_KVM_SYSTEM_TIME, MSR_KVM_WALL_CLOCK_NEW,
		MSR_KVM_SYSTEM_TIME_NEW, MSR_KVM_STEAL_TIME,  MSR_KVM_EOI_EN,
		MSR_KVM_POLL_CONTROL,	 MSR_IA32_TSC_ADJUST, 0x4b564d02};
	uint8_t pick = (uint8_t)take(&in, 1);

	return pick == 0xff ? 0x4b564d00u + (uint32_t)take(&in, 1) : msrs[pick % ARRAY_SIZE(msrs)];
}

static void check_version(gpa_t at)
{
	uint32_t version = 0;

	if (guest_mem_read(&g->vm, at, &version, sizeof(version)) == HV_OK) {
		need((version & 1) == 0);
	}
}

static void write_msr(struct vcpu *vcpu)
{
	uint32_t index = next_msr();
	uint64_t value = next_address() | (take(&in, 1) & 7);
	uint64_t read = 0;

	if (index == MSR_KVM_EOI_EN && value < VM_RIG_GUEST_MEMORY) {
		value = (EOI_WORDS + vcpu->index * 64) | (value & 7);
	}
	pv_eoi_settle(vcpu);
	if (!msr_write(vcpu, index, value)) {
		return;
	}
	need(msr_read(vcpu, index, &read) && read == value);
	if ((value & PV_ENABLED) == 0) {
		return;
	}
	if (index == MSR_KVM_SYSTEM_TIME && value < VM_RIG_GUEST_MEMORY - 32) {
		check_version(gpa(value & ~3ull));
	} else if (index == MSR_KVM_STEAL_TIME && value < VM_RIG_GUEST_MEMORY - 64) {
		check_version(gpa((value & ~63ull) + offsetof(struct pv_steal_time, version)));
	}
}

/* --- hypercalls --- */

static bool is_result(uint64_t rax, bool wide)
{
	static const int64_t results[] = {-1, -14, -22, -95, -1000};

	/* "Nobody knows it" is the same in any mode. */
	if (rax == (uint64_t)-1000) {
		return true;
	}

	for (size_t i = 0; i < ARRAY_SIZE(results); i++) {
		if (rax == (wide ? (uint64_t)results[i] : (uint32_t)results[i])) {
			return true;
		}
	}
	return rax <= CPUS;
}

static void hypercall(struct vcpu *vcpu)
{
	struct fake_vcpu *f = fake_vcpu(vcpu);
	uint8_t how = (uint8_t)take(&in, 1);
	struct vm_exit exit = {.kind = VM_EXIT_HYPERCALL, .insn_len = 3};

	/* 64-bit or not on the first vCPU, real mode on the others. */
	f->segs[VCPU_SEG_CS].attr = (how & 1) != 0 ? 0xa09b : 0xc09b;
	f->segs[VCPU_SEG_SS].attr =
		(f->segs[VCPU_SEG_SS].attr & ~(3u << 5)) | (how & 2 ? 3u << 5 : 0);
	vcpu->rip = PAGES;
	vcpu->gpr[GPR_RAX] = (how & 0x80) != 0 ? take(&in, 8) : how >> 2 & 15;
	vcpu->gpr[GPR_RBX] = (how & 0x40) != 0 ? next_address() : take(&in, 1);
	vcpu->gpr[GPR_RCX] = take(&in, 2);
	vcpu->gpr[GPR_RDX] = take(&in, 1);
	vcpu->gpr[GPR_RSI] = take(&in, 2);
	pv_eoi_settle(vcpu);
	exit_handle(vcpu, &exit);
	need(vcpu->rip == PAGES + 3 &&
	     is_result(vcpu->gpr[GPR_RAX], vcpu_mode_now(vcpu) == INSN_LONG64));
}

/* --- interrupts --- */

/* As the entry does: takes what may be delivered, and offers. */
static void enter(struct vcpu *vcpu)
{
	struct lapic *l = board_lapic(g->board, vcpu->index);
	unsigned *depth = &running[vcpu->index].depth;
	int vector;

	pv_eoi_settle(vcpu);
	pv_requests(vcpu, atomic_exchange(&vcpu->requests, 0));
	vector = lapic_pending(l);
	if (vector >= 0 && *depth < VECTORS_MAX && lapic_accept(l, (uint8_t)vector)) {
		/* Only what is above all that really runs: a stale ISR would have kept it away. */
		need(*depth == 0 || running[vcpu->index].vectors[*depth - 1] >> 4 < vector >> 4);
		running[vcpu->index].vectors[(*depth)++] = (uint8_t)vector;
	}
	pv_eoi_offer(vcpu);
	need(!vcpu->pv.eoi_offered || *depth > 0);
}

/* The end of a handler: by the bit if that is set, else by the register. */
static void end_of_interrupt(struct vcpu *vcpu)
{
	gpa_t at = gpa(vcpu->pv.eoi & ~PV_ENABLED);
	unsigned *depth = &running[vcpu->index].depth;
	uint32_t flag = 0;

	if (*depth == 0) {
		return;
	}
	(*depth)--;
	if (vcpu->pv.eoi_offered && guest_mem_read(&g->vm, at, &flag, sizeof(flag)) == HV_OK &&
	    (flag & 1) != 0) {
		flag &= ~1u;
		need(guest_mem_write(&g->vm, at, &flag, sizeof(flag)) == HV_OK);
		return;
	}
	pv_eoi_settle(vcpu);
	lapic_eoi(board_lapic(g->board, vcpu->index));
}

/* Behind a settlement the LAPIC has in service just what the guest has. */
static void check_service(struct vcpu *vcpu)
{
	const struct lapic *l = board_lapic(g->board, vcpu->index);
	unsigned depth = running[vcpu->index].depth;

	pv_eoi_settle(vcpu);
	need(vecset_highest(&l->isr) ==
	     (depth == 0 ? -1 : running[vcpu->index].vectors[depth - 1]));
}

static void interrupt(struct vcpu *vcpu)
{
	struct apic_message msg = {.dest = vcpu->index,
				   .vector = (uint8_t)(take(&in, 1) | 0x20),
				   .level = (take(&in, 1) & 1) != 0};

	(void)apic_bus_deliver(&g->board->apic_bus, &msg);
}

/* --- the life of the guest --- */

static void pause_and_go_on(void)
{
	need(guest_pause(g) == HV_OK);
	fake_tsc += take_ticks(&in);
	need(guest_resume(g) == HV_OK);
}

static void scribble(void)
{
	uint64_t value = take(&in, 4);

	(void)guest_mem_write(&g->vm, gpa(next_address()), &value, sizeof(value));
}

/* One step. */
static void act(struct vcpu *vcpu, uint8_t what)
{
	switch (what % 10) {
	case 0:
		write_msr(vcpu);
		break;
	case 1:
		hypercall(vcpu);
		break;
	case 2:
		interrupt(vcpu);
		break;
	case 3:
		enter(vcpu);
		break;
	case 4:
		end_of_interrupt(vcpu);
		break;
	case 5:
		check_service(vcpu);
		break;
	case 6:
		pv_vcpu_put(vcpu, (what & 0x80) != 0);
		g->tasks[vcpu->index].entity.wait_ticks += take_ticks(&in);
		pv_vcpu_load(vcpu);
		break;
	case 7:
		pause_and_go_on();
		break;
	case 8:
		fake_tsc += take_ticks(&in);
		break;
	default:
		scribble();
		break;
	}
}

static void begin_life(void)
{
	if (g == NULL) {
		vm_rig_machine(false);
		g = vm_rig_guest("fuzz", &config);
		config.cpus = CPUS;
		log_set_sink(NULL);
	} else {
		vm_rig_end(g);
		need(!vm_rig_leaks());
	}
	vm_rig_start(g);
}

/* The state that matters, as after a start; memory keeps what it has. */
static void begin_input(void)
{
	struct vdev *apics = &g->board->apic_bus.dev;

	apics->ops->reset(apics);
	for (unsigned i = 0; i < CPUS; i++) {
		struct vcpu *vcpu = g->vm.vcpus[i];

		run_hold(&g->tasks[i]);
		g->tasks[i].entity.wait_ticks = 0;
		vcpu_reset(vcpu);
		atomic_store(&vcpu->requests, 0);
		need(bus_write(&g->vm.mmio, 0xfee000f0, 4, i, 0x1ff));
		running[i].depth = 0;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static unsigned inputs;

	in = (struct input){data, size};
	if (inputs++ % INPUTS_PER_LIFE == 0) {
		begin_life();
	}
	begin_input();
	for (unsigned i = 0; i < STEPS_MAX && in.n != 0; i++) {
		uint8_t what = (uint8_t)take(&in, 1);

		act(g->vm.vcpus[(what >> 4 & 7) % CPUS], what);
		need(g->state == GUEST_RUNNING);
	}
	return 0;
}
