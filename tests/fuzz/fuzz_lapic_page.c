/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A LAPIC whose page a CPU works on, by the SDM's pseudocode, while others send to it and the guest
 * writes whatever it may. After each step the page shows what the model says, a request has kicked,
 * and what a hand-over tells is worked out again from the page.
 */
#include "hv/base/bits.h"
#include "tests/fakes/apic_cpu.h"
#include "tests/fakes/apic_rig.h"
#include "tests/fuzz/device_input.h"

#define CPU 1u

static struct apic_rig r;
static struct lapic *l;
static struct apic_cpu cpu;
static uint32_t page[APIC_PAGE_SIZE / 4];

/* Registers that a CPU with a page stores and then exits for, in xAPIC mode. */
static const uint16_t writable[] = {
	APIC_ID,	APIC_LDR,	    APIC_DFR,
	APIC_SVR,	APIC_ESR,	    APIC_ICR_LOW,
	APIC_LVT_TIMER, APIC_LVT_THERMAL,   APIC_LVT_PERFORMANCE,
	APIC_LVT_LINT0, APIC_LVT_LINT1,	    APIC_LVT_ERROR,
	APIC_DIVIDE,	APIC_INITIAL_COUNT,
};

static bool is_x2apic(void)
{
	return (l->base & BIT(10)) != 0;
}

static void check_shown(void)
{
	uint64_t value;

	for (size_t i = 0; i < ARRAY_SIZE(writable); i++) {
		uint32_t at = writable[i];

		if (at == APIC_LVT_LINT0 || !lapic_enabled(l)) {
			continue; /* shown at the next hand-over; no registers */
		}
		if (!is_x2apic()) {
			assert(page[at / 4] == apic_rig_read(&r, CPU, at));
		} else if (apic_rig_rdmsr(&r, CPU, at, &value) == LAPIC_MSR_OK) {
			assert(page[at / 4] == (uint32_t)value);
		}
	}
	assert(((page[APIC_IRR / 4] | page[APIC_ISR / 4]) & 0xffff) == 0);
	assert(lapic_pending(l) == -1 && lapic_highest_irr(l) == -1);
}

static void enter(void)
{
	struct apic_entry entry;
	int pending = lapic_page_pending(l);
	int delivered, irr, isr;

	lapic_page_hand_over(l, &entry);
	irr = apic_cpu_highest(&cpu, APIC_IRR);
	isr = apic_cpu_highest(&cpu, APIC_ISR);
	assert(l->irr.summary == 0);
	assert(entry.requested == (irr < 0 ? 0 : irr) && entry.in_service == (isr < 0 ? 0 : isr));
	assert(page[APIC_LVT_LINT0 / 4] == l->lvt[LVT_LINT0]);
	for (unsigned v = 0; v < 256; v++) {
		assert((entry.eoi_exits[v / 64] >> v % 64 & 1) == vecset_test(&l->tmr, (uint8_t)v));
	}
	apic_cpu_enter(&cpu, &entry);
	assert(pending == lapic_page_pending(l));
	delivered = apic_cpu_deliver(&cpu);
	assert(delivered == pending);
}

static void guest_write(struct input *in)
{
	uint32_t at = writable[take(in, 1) % ARRAY_SIZE(writable)];

	if (lapic_enabled(l) && !is_x2apic()) {
		page[APIC_ICR_HIGH / 4] = (uint32_t)take(in, 1) << 24;
		page[at / 4] = (uint32_t)take(in, 4);
		lapic_page_written(l, at);
	} else {
		lapic_page_written(l, (uint32_t)take(in, 2));
	}
}

static void guest_access(struct input *in)
{
	uint32_t offset = (uint32_t)take(in, 2) & 0xff0;
	uint64_t value;

	switch (take(in, 1) & 3) {
	case 0:
		(void)apic_rig_read(&r, CPU, offset);
		break;
	case 1:
		apic_rig_write(&r, CPU, offset, (uint32_t)take(in, 4));
		break;
	case 2:
		(void)apic_rig_rdmsr(&r, CPU, offset, &value);
		break;
	default:
		(void)apic_rig_wrmsr(&r, CPU, offset, take(in, 8));
		break;
	}
}

static void send(struct input *in)
{
	struct apic_message msg = {.dest = CPU, .delivery = APIC_FIXED};
	unsigned kicks = r.calls[CPU].kicks;
	bool fresh;

	msg.vector = (uint8_t)take(in, 1);
	msg.level = (take(in, 1) & 1) != 0;
	fresh = !vecset_test(&l->irr, msg.vector);
	if (apic_bus_deliver(&r.bus, &msg) && msg.vector >= 16) {
		assert(vecset_test(&l->irr, msg.vector));
		assert(!fresh || r.calls[CPU].kicks > kicks);
	}
}

static void end_service(void)
{
	int vector;

	if (apic_cpu_highest(&cpu, APIC_ISR) < 0) {
		return;
	}
	enter();
	vector = apic_cpu_eoi(&cpu);
	if (vector >= 0) {
		lapic_page_eoi(l, (uint8_t)vector);
	}
}

static void change_life(struct input *in)
{
	static const uint64_t bases[] = {0xfee00000, 0xfee00800, 0xfee00c00};
	uint8_t which = (uint8_t)take(in, 1) % 6;

	if (which < 3) {
		(void)lapic_msr_write(l, LAPIC_MSR_APIC_BASE, bases[which]);
	} else if (which == 3) {
		lapic_init_reset(l);
	} else if (which == 4) {
		lapic_virtual_wire(l);
	} else {
		lapic_reset(l);
	}
}

static void step(struct input *in)
{
	switch (take(in, 1) & 7) {
	case 0:
		guest_write(in);
		break;
	case 1:
		guest_access(in);
		break;
	case 2:
		send(in);
		break;
	case 3:
		enter();
		break;
	case 4:
		end_service();
		break;
	case 5:
		enter();
		apic_cpu_tpr(&cpu, (uint8_t)take(in, 1));
		break;
	case 6:
		enter();
		apic_cpu_self_ipi(&cpu, (uint8_t)(take(in, 1) | 0x10));
		break;
	default:
		if (take(in, 1) % 4 == 0) {
			change_life(in);
		} else {
			apic_bus_intr(&r.bus, 0, (take(in, 1) & 1) != 0);
			rig_advance(&r.rig, take(in, 2));
		}
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};

	apic_rig_init(&r);
	l = &r.lapics[CPU];
	cpu = (struct apic_cpu){.page = page};
	lapic_use_page(l, page);
	apic_rig_enable(&r, CPU);
	while (in.n != 0) {
		step(&in);
		check_shown();
	}
	r.bus.dev.ops->reset(&r.bus.dev);
	assert(timer_queue_next(&r.rig.queue) == TIMER_NEVER);
	return 0;
}
