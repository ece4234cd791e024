/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any exit of any guest: the input makes up a vCPU's mode, registers, code and a row of exits,
 * which the run loop takes from the fake backend and handles with the real board behind it. The
 * guest may be stopped; nothing may crash, reach a CHECK, break the backend's contract, or be left
 * over.
 *
 *	byte 0: mode and flags   byte 1: ticks per run   code   registers   exits ...
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "guests/layout.h"
#include "hv/api/gmem.h"
#include "hv/base/log.h"
#include "hv/cpu/regs.h"
#include "hv/cpu/trap.h"
#include "tests/fakes/vm_rig.h"
#include "tests/fuzz/device_input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ROUNDS_MAX 64u
#define STACK 0x300000ull
#define CODE 0x310ff8ull /* near the end of a page */
#define INPUTS_PER_LIFE 256u

static struct guest_config config;
static struct guest *g;
static struct fake_vcpu *cpu;

static struct input in;
static unsigned idles;

static uint8_t next(void)
{
	return (uint8_t)take(&in, 1);
}

/* Places where something is, and some where nothing is. */
static uint64_t next_address(void)
{
	static const uint64_t places[] = {
		0,
		CODE,
		STACK,
		LAYOUT_EBDA_BASE,
		LAYOUT_VIDEO_BASE,
		LAYOUT_ACPI_BASE,
		GUEST_MEMORY_MIN - 4, /* the end of RAM */
		LAYOUT_PCI_MMIO_BASE,
		LAYOUT_ECAM_BASE,
		LAYOUT_ECAM_BASE + 0xf8000,
		LAYOUT_IOAPIC_BASE,
		LAYOUT_IOAPIC_BASE + 0x10,
		LAYOUT_LAPIC_BASE,
		LAYOUT_LAPIC_BASE + 0x300,
		LAYOUT_LAPIC_BASE + 0xffe,
		LAYOUT_4G,
		BIT(46),
		0x7fffffffffff,
		0xffff800000000000,
		~0ull - 3,
	};
	uint8_t pick = next();

	if (pick >= 0xc0) {
		return take(&in, 8);
	}
	return places[pick % ARRAY_SIZE(places)] + (pick >= 0x80 ? next() : 0);
}

static uint16_t next_port(void)
{
	static const uint16_t ports[] = {0x20,	0x21,  0x40,  0x42,  0x43,  0x60,  0x61,  0x64,
					 0x70,	0x71,  0x80,  0x92,  0xa0,  0xa1,  0xf0,  0x3f8,
					 0x3f9, 0x3fa, 0x3fb, 0x3fd, 0x4d0, 0x600, 0x602, 0x604,
					 0x608, 0x620, 0xcf8, 0xcf9, 0xcfc, 0xcff, 0xfffe};
	uint8_t pick = next();

	return pick >= 0xc0 ? (uint16_t)take(&in, 2) : ports[pick % ARRAY_SIZE(ports)];
}

static uint32_t next_msr(void)
{
	static const uint32_t bases[] = {0,	     0x800,	 0x200,	     0x6e0,
					 0x1b,	     0xc0000080, 0xc0000100, 0xc0010000,
					 0x4b564d00, 0x10,	 0x3b,	     0x277};
	uint8_t pick = next();

	return pick >= 0xe0 ? (uint32_t)take(&in, 4)
			    : bases[pick % ARRAY_SIZE(bases)] + (next() & 0x3f);
}

static struct vcpu_event next_event(void)
{
	uint8_t pick = next();
	struct vcpu_event e = {.type = (enum vcpu_event_type)(pick % 6)};

	e.vector = next();
	if (e.type == VCPU_EVENT_EXCEPTION || e.type == VCPU_EVENT_SOFT_EXC) {
		e.vector &= 31;
		e.has_error = (pick & 0x40) != 0;
		e.error = e.has_error ? next() : 0;
	}
	e.insn_len = e.type >= VCPU_EVENT_SOFT_INT ? pick % 15 + 1 : 0;
	return e;
}

/* The part of the exit that belongs to its kind; what no backend says is not said. */
static void fill_exit(struct vm_exit *e)
{
	uint8_t pick = next();

	switch ((unsigned)e->kind) {
	case VM_EXIT_HOST_INTERRUPT:
		e->host_interrupt.acknowledged = (pick & 1) != 0;
		e->host_interrupt.vector = pick | 0x20;
		break;
	case VM_EXIT_IO:
		e->io = (struct vm_exit_io){.port = next_port(),
					    .size = (uint8_t)(1u << pick % 3),
					    .in = (pick & 4) != 0,
					    .string = (pick & 0x18) == 0x18,
					    .rep = (pick & 0x20) != 0,
					    .segment = 0xff};
		if (!e->io.string && e->insn_len == 0) {
			e->insn_len = 1;
		}
		break;
	case VM_EXIT_MSR_READ:
	case VM_EXIT_MSR_WRITE:
		e->msr.index = next_msr();
		break;
	case VM_EXIT_NESTED_FAULT:
		e->fault = (struct vm_exit_nested_fault){.gpa = gpa(next_address()),
							 .write = (pick & 1) != 0,
							 .fetch = (pick & 6) == 6,
							 .present = (pick & 8) != 0,
							 .table_walk = (pick & 0x30) == 0x30};
		break;
	case VM_EXIT_EXCEPTION:
		e->exception.vector = pick & 31;
		e->exception.has_error = (pick & 0x20) != 0;
		e->exception.error = next();
		e->exception.cr2 = next_address();
		e->exception.dr6 = take(&in, 2);
		break;
	case VM_EXIT_CR_ACCESS:
		e->cr = (struct vm_exit_cr){.cr = (uint8_t[]){0, 3, 4, 8}[pick & 3],
					    .write = (pick & 4) != 0,
					    .decoded = (pick & 8) != 0,
					    .gpr = pick >> 4};
		if (pick == 0xff || pick == 0xfe) {
			e->cr.clts = pick == 0xff;
			e->cr.lmsw = pick == 0xfe;
			e->cr.lmsw_value = (uint16_t)take(&in, 2);
		}
		break;
	case VM_EXIT_TASK_SWITCH:
		e->task.selector = (uint16_t)take(&in, 2);
		break;
	default:
		e->raw.reason = pick;
		break;
	}
}

static void take_exit(struct vcpu *vcpu, struct vm_exit *e)
{
	uint8_t kind = next();
	uint8_t pick = next();

	*e = (struct vm_exit){.kind = (enum vm_exit_kind)(kind % VM_EXIT_KIND_COUNT),
			      .insn_len = (pick & 0xf0) == 0 ? pick & 15 : 0};
	if (in.n == 0) {
		*e = (struct vm_exit){.kind = VM_EXIT_PAUSE, .insn_len = 2};
		return;
	}
	if (kind >= 0x80 && (pick & 0x40) != 0) {
		e->vectoring = next_event();
	}
	if ((pick & 0x30) == 0x10) {
		e->insn_bytes_count = pick & 15;
		for (unsigned i = 0; i < e->insn_bytes_count; i++) {
			e->insn_bytes[i] = next();
		}
	}
	fill_exit(e);
	/* What the guest does to itself between its exits. */
	if ((pick & 0xc0) == 0x80) {
		vcpu->gpr[pick & 15] = next_address();
	} else if ((pick & 0xc0) == 0xc0) {
		cpu->regs[VCPU_REG_RFLAGS] ^= (pick & 1) != 0 ? RFLAGS_IF : RFLAGS_TF;
		cpu->shadow = (pick & 2) != 0;
		cpu->nmi_blocked = (pick & 4) != 0;
		cpu->regs[VCPU_REG_CR8] = next() & 15;
		vcpu->rip = (pick & 8) != 0 ? CODE : vcpu->rip;
	}
}

static void take_timer(void)
{
	if (vm_rig.host_timer[0] <= fake_tsc) {
		vm_rig.host_timer[0] = TIMER_NEVER;
		run_timer_fired();
	}
}

static void sleep_until_timer(void)
{
	idles++;
	if (vm_rig.host_timer[0] != TIMER_NEVER && vm_rig.host_timer[0] > fake_tsc) {
		fake_tsc = vm_rig.host_timer[0];
	}
	take_timer();
}

/* --- the guest --- */

/* Long mode as the kernel's entry has it, compatibility, 32-bit, 16-bit or real mode. */
static void choose_mode(uint8_t pick)
{
	static const uint32_t cs_attrs[] = {0xa09b, 0xc09b, 0xc09b, 0x809b, 0x9b};
	unsigned mode = pick % 5;

	cpu->segs[VCPU_SEG_CS].attr = cs_attrs[mode];
	if (mode >= 2) {
		cpu->regs[VCPU_REG_EFER] = 0;
		cpu->regs[VCPU_REG_CR4] = 0;
		cpu->regs[VCPU_REG_CR0] = CR0_ET | (mode < 4 ? CR0_PE : 0);
	}
	if ((pick & 0x20) != 0 && mode < 4) {
		cpu->segs[VCPU_SEG_SS].attr |= 3 << 5;
	}
	if ((pick & 0x40) != 0) {
		cpu->regs[VCPU_REG_RFLAGS] |= RFLAGS_IF;
	}
	if ((pick & 0x80) != 0 && mode == 0) {
		cpu->regs[VCPU_REG_CR3] = next_address();
	}
}

static void begin_life(void)
{
	vm_rig_start(g);
	cpu = fake_vcpu(g->vm.vcpus[0]);
}

/* Devices as after power-on, the vCPU at the kernel's entry. */
static void begin_input(void)
{
	struct load_entry entry;
	struct vcpu *vcpu = &cpu->vcpu;

	for (unsigned i = 0; i < g->vm.pio.count; i++) {
		g->vm.pio.ranges[i].dev->ops->reset(g->vm.pio.ranges[i].dev);
	}
	for (unsigned i = 0; i < g->vm.mmio.count; i++) {
		g->vm.mmio.ranges[i].dev->ops->reset(g->vm.mmio.ranges[i].dev);
	}
	lapic_reset(board_lapic(g->board, 0));
	lapic_virtual_wire(board_lapic(g->board, 0));
	run_hold(&g->tasks[0]);
	run_forget(&g->vm);
	vcpu_reset(vcpu);
	cpu->shadow = cpu->nmi_blocked = false;
	mtrr_reset(&g->mtrr);
	kernel_entry_state(&g->plan, &entry);
	cpu->regs[VCPU_REG_EFER] = entry.efer;
	cpu->regs[VCPU_REG_CR4] = entry.cr4;
	cpu->regs[VCPU_REG_CR3] = entry.cr3;
	cpu->regs[VCPU_REG_CR0] = entry.cr0;
	cpu->regs[VCPU_REG_RFLAGS] = entry.rflags;
	memcpy(cpu->segs, entry.segments, sizeof(cpu->segs));
	guest_apply_tsc(g, vcpu);
	run_release(&g->tasks[0]);
}

static void fill_guest(void)
{
	struct vcpu *vcpu = &cpu->vcpu;
	uint8_t code[32];
	uint64_t zero = 0;
	size_t n;

	choose_mode(next());
	fake_backend.run_ticks = 1ull << next() % 34;
	n = next() % sizeof(code);
	for (size_t i = 0; i < n; i++) {
		code[i] = next();
	}
	for (unsigned i = 0; i < GPR_COUNT; i++) {
		vcpu->gpr[i] = next_address();
	}
	vcpu->rip = CODE;
	space_switch(&g->vm.gspace.host);
	if (guest_mem_write(&g->vm, gpa(CODE), code, n) != HV_OK ||
	    guest_mem_write(&g->vm, gpa(CODE + n), &zero, sizeof(zero)) != HV_OK) {
		abort();
	}
}

static void prepare(void)
{
	static unsigned inputs;

	if (g == NULL) {
		vm_rig_machine(false);
		g = vm_rig_guest("fuzz", &config);
		config.memory = GUEST_MEMORY_MIN;
		trap_init();
		log_set_sink(NULL);
		fake_cpu.on_window = take_timer;
		fake_cpu.on_idle = sleep_until_timer;
		fake_backend.guest = take_exit;
	}
	if (g->state != GUEST_RUNNING || inputs++ % INPUTS_PER_LIFE == 0) {
		if (g->state != GUEST_STOPPED) {
			vm_rig_end(g);
		}
		if (vm_rig_leaks()) {
			abort();
		}
		begin_life();
	}
	begin_input();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	in = (struct input){data, size};
	prepare();
	fill_guest();
	idles = 0;
	for (unsigned i = 0; i < ROUNDS_MAX && in.n > 0 && idles < 3; i++) {
		run_once();
		if (g->state != GUEST_RUNNING) {
			vm_rig_work();
			break;
		}
	}
	return 0;
}
