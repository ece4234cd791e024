/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Microsoft's interface in a guest of three vCPUs: its MSRs, hypercalls with any control word and
 * input by memory and registers, commands of the test device, interrupts, time, pauses, INITs and
 * pages that change under it, in any order. Beside the absence of crashes: registers keep what they
 * took, time does not go back, a hypercall ends with #UD or a documented status, and repetitions
 * are all done or none.
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
#include "hv/hyperv_internal.h"
#include "hv/pv.h"
#include "tests/fakes/vm_rig.h"
#include "tests/fuzz/device_input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CPUS 3u
#define PAGES 0x900000ull
#define STEPS_MAX 256u
#define INPUTS_PER_LIFE 1024u

static struct guest_config config;
static struct guest *g;
static struct input in;
static uint64_t last_time;

static void need(bool ok)
{
	if (!ok) {
		abort();
	}
}

/* Mostly one of a few pages, so that they overlap. */
static uint64_t next_address(void)
{
	static const uint64_t places[] = {PAGES,   PAGES + 0x1000,	PAGES + 0x2000,
					  GIB(3),  VM_RIG_GUEST_MEMORY, VM_RIG_GUEST_MEMORY - 4096,
					  BIT(46), MASK(63, 12)};
	uint8_t pick = (uint8_t)take(&in, 1);

	return pick >= 0xf0 ? take(&in, 8) : places[pick % ARRAY_SIZE(places)];
}

/* --- MSRs --- */

static uint32_t next_msr(void)
{
	uint8_t pick = (uint8_t)take(&in, 1);

	if (pick == 0xfe) {
		return MSR_HV_CRASH_P0 + (uint32_t)(take(&in, 1) & 7);
	}
	return pick == 0xff ? MSR_IA32_TSC_ADJUST : MSR_HV_GUEST_OS_ID + pick;
}

static uint64_t next_value(uint32_t index)
{
	uint8_t how = (uint8_t)take(&in, 1);

	switch (how & 3) {
	case 0:
		return next_address() | (how >> 2 & 3);
	case 1:
		return take(&in, 3);
	case 2: /* about now: a timer's count */
		return last_time + take(&in, 2);
	default:
		return index == MSR_IA32_TSC_ADJUST ? take(&in, 4) : take(&in, 8);
	}
}

static bool keeps(uint32_t index)
{
	return (index >= MSR_HV_SCONTROL && index <= MSR_HV_SINT15 && index != MSR_HV_EOM) ||
	       (index >= MSR_HV_CRASH_P0 && index <= MSR_HV_CRASH_P4) ||
	       index == MSR_HV_GUEST_OS_ID || index == MSR_HV_REFERENCE_TSC ||
	       index == MSR_HV_VP_ASSIST_PAGE;
}

static void write_msr(struct vcpu *vcpu)
{
	uint32_t index = next_msr();
	uint64_t value = next_value(index);
	uint64_t read = 0;

	if (index == MSR_HV_RESET || index == MSR_HV_ICR) {
		return; /* the ICR can reset the guest as well */
	}
	pv_eoi_settle(vcpu);
	if (msr_write(vcpu, index, value) && keeps(index)) {
		need(msr_read(vcpu, index, &read) && read == value);
	}
}

static void read_msr(struct vcpu *vcpu)
{
	uint64_t value;

	(void)msr_read(vcpu, next_msr(), &value);
	if (vcpu->pv.idle) {
		hyperv_end_idle(vcpu);
		vcpu->halted = false;
	}
}

static void read_time(struct vcpu *vcpu)
{
	uint64_t now = hyperv_reference_time(vcpu);

	/* Where the guest moves its TSC the two roundings may differ. */
	need(now + 2 >= last_time);
	last_time = now;
}

/* --- hypercalls --- */

static uint64_t next_control(void)
{
	static const uint16_t codes[] = {
		HV_CALL_FLUSH_SPACE,	HV_CALL_FLUSH_LIST,	HV_CALL_LONG_SPIN_WAIT,
		HV_CALL_CLUSTER_IPI,	HV_CALL_FLUSH_SPACE_EX, HV_CALL_FLUSH_LIST_EX,
		HV_CALL_CLUSTER_IPI_EX, HV_CALL_POST_MESSAGE,	HV_CALL_SIGNAL_EVENT};
	uint8_t how = (uint8_t)take(&in, 1);
	uint64_t control = codes[how % ARRAY_SIZE(codes)];

	if (how >= 0xf8) {
		return take(&in, 8);
	}
	if ((how & 0x40) != 0) {
		control |= HV_CONTROL_FAST;
	}
	if ((how & 0x80) != 0) {
		control |= take(&in, 1) << 32 | (take(&in, 1) & 7) << 17;
	}
	return control;
}

static bool is_status(uint64_t result)
{
	static const uint16_t known[] = {0, 2, 3, 4, 5, 11, 17, 18, 19};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if ((result & 0xffff) == known[i]) {
			return (result & ~(HV_RESULT_REPS | 0xffff)) == 0;
		}
	}
	return false;
}

static void hypercall(struct vcpu *vcpu)
{
	struct fake_vcpu *f = fake_vcpu(vcpu);
	struct vm_exit exit = {.kind = VM_EXIT_HYPERCALL, .insn_len = 3};
	uint64_t control = next_control();
	bool narrow = (take(&in, 1) & 7) == 7;

	f->segs[VCPU_SEG_CS].attr = narrow ? 0xc09b : 0xa09b;
	vcpu->rip = PAGES;
	vcpu->gpr[GPR_RCX] = control;
	vcpu->gpr[GPR_RDX] = (control & HV_CONTROL_FAST) != 0 ? take(&in, 8)
							      : next_address() | take(&in, 1) << 3;
	vcpu->gpr[GPR_R8] = take(&in, 2);
	vcpu->gpr[GPR_RAX] = control;
	pv_eoi_settle(vcpu);
	exit_handle(vcpu, &exit);
	if (vcpu->rip == PAGES) {
		need(vcpu->events.exception.type == VCPU_EVENT_EXCEPTION &&
		     vcpu->events.exception.vector == EXC_UD);
	} else if (vcpu_mode_now(vcpu) == INSN_LONG64) {
		uint64_t reps = bits_get(vcpu->gpr[GPR_RAX], HV_RESULT_REPS);

		need(is_status(vcpu->gpr[GPR_RAX]));
		need(reps == 0 || reps == bits_get(control, HV_CONTROL_REP_COUNT));
	}
	vcpu->events.exception.type = VCPU_EVENT_NONE;
}

/* --- the rest of the guest's life --- */

static void enter(struct vcpu *vcpu)
{
	struct lapic *l = board_lapic(g->board, vcpu->index);
	int vector;

	pv_eoi_settle(vcpu);
	pv_requests(vcpu, atomic_exchange(&vcpu->requests, 0));
	vector = lapic_pending(l);
	if (vector >= 0) {
		need(lapic_accept(l, (uint8_t)vector));
		need(vecset_test(&l->isr, (uint8_t)vector) !=
		     vecset_test(&l->auto_eoi, (uint8_t)vector));
	}
	pv_eoi_offer(vcpu);
}

static void pause_and_go_on(void)
{
	uint64_t before = hyperv_reference_time(g->vm.vcpus[0]);

	need(guest_pause(g) == HV_OK);
	fake_tsc += take_ticks(&in);
	need(guest_resume(g) == HV_OK);
	need(hyperv_reference_time(g->vm.vcpus[0]) == before);
	for (unsigned i = 0; i < CPUS; i++) {
		run_hold(&g->tasks[i]);
	}
}

static void scribble(void)
{
	uint64_t value = take(&in, 4);
	uint64_t at = next_address() + take(&in, 2) % PAGE_SIZE;

	if (guest_mem_write(&g->vm, gpa(at), &value, sizeof(value)) != HV_OK) {
		return;
	}
}

/* Whether it is one of those that this program is about; the others have fuzz_saved. */
static bool is_ours(const struct saved_device *d)
{
	uint32_t kind = d->ops->kind;

	return kind == SAVED_KIND('H', 'V', 'P', 'T') || kind == SAVED_KIND('H', 'V', 'V', 'P') ||
	       kind == SAVED_KIND('P', 'V', 'C', 'P');
}

static const struct saved_device *next_device(void)
{
	unsigned skip = (unsigned)take(&in, 1) % (1 + 2 * CPUS);

	list_for_each (it, &g->vm.saved.devices) {
		const struct saved_device *d = list_entry(it, struct saved_device, node);

		if (is_ours(d) && skip-- == 0) {
			return d;
		}
	}
	abort();
}

/* What it saves it takes; and then it may be a file that somebody has changed. */
static void load_state(void)
{
	static uint64_t state[(sizeof(struct hyperv_saved) + 7) / 8];
	const struct saved_device *d = next_device();
	uint8_t *bytes = (uint8_t *)state;

	need(d->ops->bytes <= sizeof(state));
	memset(state, 0, sizeof(state));
	d->ops->save(d->dev, state);
	need(d->ops->check(d->dev, state) == NULL);
	for (unsigned left = (unsigned)take(&in, 1) & 7; left != 0; left--) {
		uint64_t at = take(&in, 2) % d->ops->bytes;

		bytes[at] = (uint8_t)take(&in, 1);
	}
	if (d->ops->check(d->dev, state) == NULL) {
		d->ops->load(d->dev, state);
	}
}

static void act(struct vcpu *vcpu, uint8_t what)
{
	switch (what % 13) {
	case 0:
	case 1:
		write_msr(vcpu);
		break;
	case 2:
		read_msr(vcpu);
		break;
	case 3:
	case 4:
		hypercall(vcpu);
		break;
	case 5:
		(void)bus_write(&g->vm.pio, 0x3000, 4, vcpu->index, take(&in, 4));
		break;
	case 6:
		enter(vcpu);
		break;
	case 7:
		vm_rig_advance(take_ticks(&in) & 0xffffff);
		break;
	case 8:
		scribble();
		break;
	case 9:
		pause_and_go_on();
		break;
	case 10:
		pv_eoi_settle(vcpu);
		vcpu_init(vcpu);
		break;
	case 11:
		load_state();
		break;
	default:
		read_time(vcpu);
		break;
	}
}

static void begin_life(void)
{
	if (g == NULL) {
		vm_rig_machine(false);
		g = vm_rig_guest("fuzz", &config);
		config.cpus = CPUS;
		config.paravirt = false;
		config.hyperv = true;
		config.test_device = true;
		log_set_sink(NULL);
	} else {
		vm_rig_end(g);
		need(!vm_rig_leaks());
	}
	vm_rig_start(g);
}

/* As after a start, with an open interface; memory keeps what it has. */
static void begin_input(void)
{
	struct vdev *apics = &g->board->apic_bus.dev;

	apics->ops->reset(apics);
	for (unsigned i = 0; i < CPUS; i++) {
		struct vcpu *vcpu = g->vm.vcpus[i];

		run_hold(&g->tasks[i]);
		(void)msr_write(vcpu, MSR_IA32_TSC_ADJUST, 0);
		vcpu_reset(vcpu);
		fake_vcpu(vcpu)->regs[VCPU_REG_CR0] |= CR0_PE | CR0_PG;
		fake_vcpu(vcpu)->regs[VCPU_REG_EFER] = EFER_LMA | EFER_LME;
		atomic_store(&vcpu->requests, 0);
		need(bus_write(&g->vm.mmio, 0xfee000f0, 4, i, 0x1ff));
	}
	need(msr_write(g->vm.vcpus[0], MSR_HV_GUEST_OS_ID, 0));
	need(msr_write(g->vm.vcpus[0], MSR_HV_GUEST_OS_ID, 1));
	g->vm.hyperv->state.hypercall = 0;
	need(msr_write(g->vm.vcpus[0], MSR_HV_HYPERCALL, PAGES | 1));
	last_time = 0;
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

		act(g->vm.vcpus[(what >> 4) % CPUS], what);
		need(g->state == GUEST_RUNNING);
	}
	return 0;
}
