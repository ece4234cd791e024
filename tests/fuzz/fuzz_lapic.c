/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registers, MSRs, messages and time against four LAPICs. After each step everything that is
 * published is worked out again from the registers, the slow way.
 */
#include "hv/base/bits.h"
#include "tests/fakes/apic_rig.h"
#include "tests/fuzz/device_input.h"

static struct apic_rig r;

static void check_set(const struct vecset *s)
{
	for (unsigned i = 0; i < VECSET_WORDS; i++) {
		assert((s->word[i] != 0) == ((s->summary >> i & 1) != 0));
	}
	assert((s->word[0] & 0xffff) == 0);
}

static int highest(const struct vecset *s)
{
	for (int v = 255; v >= 0; v--) {
		if (vecset_test(s, (uint8_t)v)) {
			return v;
		}
	}
	return -1;
}

static void check_priorities(const struct lapic *l)
{
	int irr = highest(&l->irr);
	int isr = highest(&l->isr);
	int service = isr < 0 ? 0 : isr / 16;
	int class = service > (int)l->tpr / 16 ? service : (int)l->tpr / 16;

	assert(lapic_pending(l) == (irr >= 0 && irr / 16 > class ? irr : -1));
	assert(lapic_highest_irr(l) == (irr >= 0 && irr / 16 > service ? irr : -1));
	assert(lapic_pending(l) < 0 || lapic_pending(l) == lapic_highest_irr(l));
	assert(l->ppr / 16 == (unsigned)class);
}

static void check_lapic(const struct lapic *l)
{
	const struct lapic_timer *t = &l->timer;

	check_set(&l->irr);
	check_set(&l->isr);
	check_set(&l->tmr);
	check_priorities(l);
	assert((l->base & ~0xd00ull) == LAPIC_MMIO_BASE);
	assert((l->base & 0x400) == 0 || (l->base & 0x800) != 0);
	for (unsigned i = 0; i < LVT_COUNT; i++) {
		assert((l->svr & 0x100) != 0 || (l->lvt[i] & 0x10000) != 0);
	}
	assert(t->tsc_deadline != 0 || vtimer_armed(&t->vtimer) == t->counting);
	assert(t->tsc_deadline == 0 || (l->lvt[LVT_TIMER] >> 17 & 3) == 2);
	assert(!t->counting || (l->lvt[LVT_TIMER] >> 17 & 3) < 2);
}

static void access_page(struct input *in, unsigned cpu, bool write)
{
	unsigned size = take_size(in);
	uint32_t offset = (uint32_t)take(in, 2) & (uint32_t)(LAPIC_MMIO_SIZE - size);
	struct vdev_access a = {.space = BUS_MMIO,
				.addr = LAPIC_MMIO_BASE + offset,
				.offset = offset,
				.size = size,
				.vcpu = cpu};

	if (write) {
		r.bus.dev.ops->write(&r.bus.dev, &a, take(in, 4));
	} else {
		(void)r.bus.dev.ops->read(&r.bus.dev, &a);
	}
}

static void access_msr(struct input *in, struct lapic *l, bool write)
{
	static const uint32_t others[] = {LAPIC_MSR_APIC_BASE, LAPIC_MSR_TSC_DEADLINE, 0x10};
	uint8_t which = (uint8_t)take(in, 1);
	uint32_t msr = which < 0xf0 ? LAPIC_MSR_X2APIC_FIRST + which : others[which % 3];
	uint64_t value;

	if (write) {
		(void)lapic_msr_write(l, msr, take(in, 8));
	} else if (lapic_msr_read(l, msr, &value) != LAPIC_MSR_OK) {
		assert(value == 0);
	}
}

/* Shortcuts to states that random values would take long to reach. */
static void preset(struct input *in, struct lapic *l)
{
	switch (take(in, 1) & 7) {
	case 0:
		(void)lapic_msr_write(l, LAPIC_MSR_APIC_BASE, 0xfee00800);
		break;
	case 1:
		(void)lapic_msr_write(l, LAPIC_MSR_APIC_BASE, 0xfee00c00);
		break;
	case 2:
		(void)lapic_msr_write(l, LAPIC_MSR_APIC_BASE, 0xfee00000);
		break;
	case 3:
		lapic_virtual_wire(l);
		break;
	case 4:
		lapic_init_reset(l);
		break;
	case 5:
		lapic_set_tsc_offset(l, take(in, 8));
		break;
	case 6:
		lapic_pulse_lint1(l);
		break;
	default:
		(void)lapic_msr_write(l, 0x80f, 0x1ff);
		break;
	}
}

static void run_loop(struct input *in, struct lapic *l)
{
	int vector = lapic_pending(l);

	if (vector >= 0) {
		assert(lapic_accept(l, (uint8_t)vector));
		assert(lapic_pending(l) < 0);
	}
	lapic_set_cr8(l, take(in, 1));
	assert(lapic_cr8(l) <= 15);
	(void)lapic_extint_pending(l);
}

static void pass_time(struct input *in)
{
	uint64_t ticks = take_ticks(in);

	/* A long way with the timers in time would be many of them. */
	if (ticks < 1u << 22) {
		rig_advance(&r.rig, ticks);
	} else {
		rig_oversleep(&r.rig, ticks);
	}
}

static void step(struct input *in)
{
	uint8_t op = (uint8_t)take(in, 1);
	unsigned cpu = op & 3;
	struct lapic *l = &r.lapics[cpu];

	switch (op >> 2 & 7) {
	case 0:
		access_page(in, cpu, (op & 0x80) != 0);
		break;
	case 1:
		access_page(in, cpu, true);
		break;
	case 2:
		access_msr(in, l, (op & 0x80) != 0);
		break;
	case 3:
		access_msr(in, l, true);
		break;
	case 4:
		run_loop(in, l);
		break;
	case 5:
		pass_time(in);
		break;
	case 6:
		(void)apic_bus_msi(&r.bus, 0xfee00000u | take(in, 3), (uint32_t)take(in, 2));
		break;
	default:
		if ((op & 0x80) != 0) {
			preset(in, l);
		} else {
			apic_bus_intr(&r.bus, 0, (op & 0x40) != 0);
		}
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};

	apic_rig_init(&r);
	clock_init(1000000 + take(&in, 4));
	while (in.n != 0) {
		int pending[APIC_RIG_CPUS];
		unsigned kicks[APIC_RIG_CPUS];

		for (unsigned i = 0; i < APIC_RIG_CPUS; i++) {
			pending[i] = lapic_pending(&r.lapics[i]);
			kicks[i] = r.calls[i].kicks;
		}
		step(&in);
		for (unsigned i = 0; i < APIC_RIG_CPUS; i++) {
			check_lapic(&r.lapics[i]);
			/* Nothing becomes deliverable in silence. */
			assert(lapic_pending(&r.lapics[i]) <= pending[i] ||
			       r.calls[i].kicks > kicks[i]);
		}
	}
	r.bus.dev.ops->reset(&r.bus.dev);
	assert(timer_queue_next(&r.rig.queue) == TIMER_NEVER);
	return 0;
}
