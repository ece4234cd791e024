/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Some vCPUs' LAPICs on one bus, in guest time of a device_rig, with a count of everything they ask
 * the vCPU code for. Registers are named by their offset in the xAPIC page.
 */
#pragma once

#include "guests/devices/lapic.h"
#include "tests/fakes/device_rig.h"

#define APIC_RIG_CPUS 4u
#define APIC_RIG_HZ 2400000000ull

enum {
	APIC_ID = 0x20,
	APIC_VERSION = 0x30,
	APIC_TPR = 0x80,
	APIC_PPR = 0xa0,
	APIC_EOI = 0xb0,
	APIC_LDR = 0xd0,
	APIC_DFR = 0xe0,
	APIC_SVR = 0xf0,
	APIC_ISR = 0x100,
	APIC_TMR = 0x180,
	APIC_IRR = 0x200,
	APIC_ESR = 0x280,
	APIC_ICR_LOW = 0x300,
	APIC_ICR_HIGH = 0x310,
	APIC_LVT_TIMER = 0x320,
	APIC_LVT_THERMAL = 0x330,
	APIC_LVT_PERFORMANCE = 0x340,
	APIC_LVT_LINT0 = 0x350,
	APIC_LVT_LINT1 = 0x360,
	APIC_LVT_ERROR = 0x370,
	APIC_INITIAL_COUNT = 0x380,
	APIC_CURRENT_COUNT = 0x390,
	APIC_DIVIDE = 0x3e0,
	APIC_SELF_IPI = 0x3f0, /* x2APIC only */
};

struct apic_rig_calls {
	unsigned kicks, notices, nmis, inits, startups;
	uint8_t startup_vector;
};

struct apic_rig {
	struct device_rig rig;
	struct apic_bus bus;
	struct lapic lapics[APIC_RIG_CPUS];
	struct apic_rig_calls calls[APIC_BUS_LAPICS_MAX];
	unsigned eois;
	uint8_t eoi_vector;
};

static inline void apic_rig_kick(void *ctx, unsigned vcpu)
{
	((struct apic_rig *)ctx)->calls[vcpu].kicks++;
}

static inline void apic_rig_notify(void *ctx, unsigned vcpu)
{
	((struct apic_rig *)ctx)->calls[vcpu].notices++;
}

static inline void apic_rig_nmi(void *ctx, unsigned vcpu)
{
	((struct apic_rig *)ctx)->calls[vcpu].nmis++;
}

static inline void apic_rig_init_signal(void *ctx, unsigned vcpu)
{
	((struct apic_rig *)ctx)->calls[vcpu].inits++;
}

static inline void apic_rig_startup(void *ctx, unsigned vcpu, uint8_t vector)
{
	struct apic_rig_calls *c = &((struct apic_rig *)ctx)->calls[vcpu];

	c->startups++;
	c->startup_vector = vector;
}

static inline void apic_rig_eoi(void *ctx, uint8_t vector)
{
	struct apic_rig *r = ctx;

	r->eois++;
	r->eoi_vector = vector;
}

/* vCPU n has APIC ID n; 0 is the BSP. All are in the state after reset. */
static inline void apic_rig_init(struct apic_rig *r)
{
	static const struct apic_bus_ops ops = {
		.kick = apic_rig_kick,
		.notify = apic_rig_notify,
		.nmi = apic_rig_nmi,
		.init = apic_rig_init_signal,
		.startup = apic_rig_startup,
	};

	*r = (struct apic_rig){0};
	rig_init(&r->rig, APIC_RIG_HZ);
	apic_bus_init(&r->bus, &ops, r, true);
	apic_bus_set_eoi(&r->bus, apic_rig_eoi, r);
	for (unsigned i = 0; i < APIC_RIG_CPUS; i++) {
		lapic_init(&r->lapics[i], &r->bus, &r->rig.time, i, i, i == 0);
	}
}

static inline uint32_t apic_rig_read(struct apic_rig *r, unsigned cpu, uint32_t offset)
{
	struct vdev_access a = {.space = BUS_MMIO,
				.addr = LAPIC_MMIO_BASE + offset,
				.offset = offset,
				.size = 4,
				.vcpu = cpu};

	return (uint32_t)r->bus.dev.ops->read(&r->bus.dev, &a);
}

static inline void apic_rig_write(struct apic_rig *r, unsigned cpu, uint32_t offset, uint32_t value)
{
	struct vdev_access a = {.space = BUS_MMIO,
				.addr = LAPIC_MMIO_BASE + offset,
				.offset = offset,
				.size = 4,
				.vcpu = cpu};

	r->bus.dev.ops->write(&r->bus.dev, &a, value);
}

/* Enables a LAPIC by software. */
static inline void apic_rig_enable(struct apic_rig *r, unsigned cpu)
{
	apic_rig_write(r, cpu, APIC_SVR, 0x1ff);
}

/* As apic_rig_init, with all of them enabled. */
static inline void apic_rig_start(struct apic_rig *r)
{
	apic_rig_init(r);
	for (unsigned i = 0; i < APIC_RIG_CPUS; i++) {
		apic_rig_enable(r, i);
	}
}

static inline enum lapic_msr_status apic_rig_wrmsr(struct apic_rig *r, unsigned cpu,
						   uint32_t offset, uint64_t value)
{
	return lapic_msr_write(&r->lapics[cpu], LAPIC_MSR_X2APIC_FIRST + (offset >> 4), value);
}

static inline enum lapic_msr_status apic_rig_rdmsr(struct apic_rig *r, unsigned cpu,
						   uint32_t offset, uint64_t *value)
{
	return lapic_msr_read(&r->lapics[cpu], LAPIC_MSR_X2APIC_FIRST + (offset >> 4), value);
}

/* Takes the vCPU's highest deliverable interrupt into service; its vector, or -1. */
static inline int apic_rig_take(struct apic_rig *r, unsigned cpu)
{
	int vector = lapic_pending(&r->lapics[cpu]);

	return vector >= 0 && lapic_accept(&r->lapics[cpu], (uint8_t)vector) ? vector : -1;
}
