/* SPDX-License-Identifier: Apache-2.0 */
/* A LAPIC whose page a CPU works on: what is requested arrives, once, whenever it is requested. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <string.h>

#include "tests/fakes/apic_cpu.h"
#include "tests/fakes/apic_rig.h"

static struct apic_rig r;
static struct lapic *l; /* the one with a page: vCPU 1 */
static struct apic_cpu cpu;
static uint32_t page[APIC_PAGE_SIZE / 4];
static struct apic_entry entry;

#define CPU 1u

static int setup(void **state)
{
	(void)state;
	apic_rig_init(&r);
	l = &r.lapics[CPU];
	memset(page, 0x5a, sizeof(page));
	lapic_use_page(l, page);
	apic_rig_enable(&r, CPU);
	cpu = (struct apic_cpu){.page = page};
	r.calls[CPU].kicks = 0;
	return 0;
}

static void enter(void)
{
	lapic_page_hand_over(l, &entry);
	apic_cpu_enter(&cpu, &entry);
}

static uint32_t shown(uint32_t offset)
{
	return page[offset / 4];
}

/* The guest's write of a register in xAPIC mode, and the exit after it. */
static void guest_writes(uint32_t offset, uint32_t value)
{
	page[offset / 4] = value;
	lapic_page_written(l, offset);
}

static void send(uint8_t vector, bool level)
{
	struct apic_message msg = {
		.dest = CPU, .level = level, .delivery = APIC_FIXED, .vector = vector};

	assert_true(apic_bus_deliver(&r.bus, &msg));
}

static void the_page_shows_the_registers(void **state)
{
	static const uint32_t readable[] = {0x20,  0x30,  0x80,	 0xd0,	0xe0,  0xf0,
					    0x280, 0x300, 0x310, 0x320, 0x330, 0x340,
					    0x350, 0x360, 0x370, 0x380, 0x3e0};

	(void)state;
	guest_writes(APIC_LDR, 0x12345678);
	guest_writes(APIC_LVT_TIMER, 0xfff2ffff);
	guest_writes(APIC_INITIAL_COUNT, 77777);
	guest_writes(APIC_DIVIDE, 0xffffffff);
	guest_writes(APIC_ID, 0xab000000);
	guest_writes(APIC_ICR_LOW, 0xffffffff & ~0xc0000u);
	for (size_t i = 0; i < ARRAY_SIZE(readable); i++) {
		assert_int_equal(shown(readable[i]), apic_rig_read(&r, CPU, readable[i]));
	}
	/* What could not be written is as it was. */
	assert_int_equal(shown(APIC_ID), CPU << 24);
	assert_int_equal(shown(APIC_LDR), 0x12000000);
	assert_int_equal(shown(APIC_DIVIDE), 0xb);
	/* One write that changes others: software-disabled, all entries are masked. */
	guest_writes(APIC_LVT_LINT1, 0x400);
	assert_int_equal(shown(APIC_LVT_LINT1), 0x400);
	guest_writes(APIC_SVR, 0xff);
	assert_int_equal(shown(APIC_LVT_LINT1), 0x10400);
	/* And the mode of the timer, which stops it. */
	guest_writes(APIC_SVR, 0x1ff);
	guest_writes(APIC_LVT_TIMER, 0x20040);
	guest_writes(APIC_INITIAL_COUNT, 500);
	guest_writes(APIC_LVT_TIMER, 0x40040);
	assert_int_equal(shown(APIC_INITIAL_COUNT), 0);
	/* Bytes of a register: all of it is taken. */
	page[APIC_LVT_ERROR / 4] = 0x45;
	lapic_page_written(l, APIC_LVT_ERROR + 1);
	assert_int_equal(apic_rig_read(&r, CPU, APIC_LVT_ERROR), 0x45);
	/* Where there is no register nothing is written, whatever a CPU may say. */
	lapic_page_written(l, 0xff0);
	lapic_page_written(l, 0x400);
	assert_int_equal(shown(0x400), 0);
	guest_writes(APIC_ESR, 0);
	assert_int_equal(shown(APIC_ESR), 1u << 7);
}

static void a_request_becomes_a_delivery(void **state)
{
	(void)state;
	send(0x41, false);
	assert_int_equal(r.calls[CPU].kicks, 1);
	assert_int_equal(lapic_page_pending(l), 0x41);
	/* Nothing for the event code to inject, nor to open a window for. */
	assert_int_equal(lapic_pending(l), -1);
	assert_int_equal(lapic_highest_irr(l), -1);
	enter();
	assert_int_equal(entry.mode, APIC_MODE_XAPIC);
	assert_int_equal(entry.requested, 0x41);
	assert_int_equal(lapic_page_pending(l), 0x41);
	assert_int_equal(apic_cpu_deliver(&cpu), 0x41);
	assert_int_equal(lapic_page_pending(l), -1);
	assert_int_equal(apic_rig_read(&r, CPU, APIC_ISR + 0x20), 1u << 1);
	assert_int_equal(apic_rig_read(&r, CPU, APIC_PPR), 0x40);
	enter();
	assert_int_equal(entry.in_service, 0x41);
	assert_int_equal(entry.requested, 0);
	assert_int_equal(apic_cpu_eoi(&cpu), -1);
	assert_int_equal(apic_cpu_deliver(&cpu), -1);
}

/* The guest does not end it: the next hand-over does, or a look at what would end its HLT. */
static void an_automatic_eoi_comes_with_the_next_exit(void **state)
{
	struct vecset set = {0};

	(void)state;
	vecset_add(&set, 0x41);
	lapic_set_auto_eoi(l, &set);
	send(0x30, false);
	send(0x41, false);
	enter();
	assert_int_equal(apic_cpu_deliver(&cpu), 0x41);
	assert_int_equal(apic_cpu_deliver(&cpu), -1);
	enter();
	assert_int_equal(entry.in_service, 0);
	assert_int_equal(apic_cpu_deliver(&cpu), 0x30);
	/* One in service that the guest does end stays. */
	enter();
	assert_int_equal(entry.in_service, 0x30);
	send(0x41, false);
	enter();
	assert_int_equal(apic_cpu_deliver(&cpu), 0x41);
	enter();
	assert_int_equal(entry.in_service, 0x30);
	assert_int_equal(apic_cpu_eoi(&cpu), -1);
	/* In HLT. */
	send(0x41, false);
	send(0x31, false);
	enter();
	assert_int_equal(apic_cpu_deliver(&cpu), 0x41);
	assert_int_equal(lapic_page_pending(l), 0x31);
}

/*
 * The moments at which a request can meet a running CPU: each is delivered exactly once for those
 * that came before its delivery, and again for one that came after.
 */
static void no_moment_loses_a_request(void **state)
{
	(void)state;
	/* Between the hand-over and the run: there is a kick, so another hand-over. */
	enter();
	send(0x41, false);
	assert_int_equal(r.calls[CPU].kicks, 1);
	assert_int_equal(apic_cpu_deliver(&cpu), -1);
	enter();
	/* Handed over, not delivered: the same again is the same one. */
	send(0x41, false);
	assert_int_equal(r.calls[CPU].kicks, 2);
	enter();
	assert_int_equal(apic_cpu_deliver(&cpu), 0x41);
	assert_int_equal(apic_cpu_deliver(&cpu), -1);
	/* Requested by another CPU while the page's is being delivered: one more. */
	apic_cpu_eoi(&cpu);
	send(0x41, false);
	enter();
	send(0x41, false);
	assert_int_equal(apic_cpu_deliver(&cpu), 0x41);
	enter();
	assert_int_equal(apic_cpu_deliver(&cpu), -1); /* in service */
	apic_cpu_eoi(&cpu);
	assert_int_equal(apic_cpu_deliver(&cpu), 0x41);
	apic_cpu_eoi(&cpu);
	enter();
	assert_int_equal(apic_cpu_deliver(&cpu), -1);
	/* In service, and a higher one comes. */
	send(0x31, false);
	enter();
	assert_int_equal(apic_cpu_deliver(&cpu), 0x31);
	send(0x51, false);
	send(0x38, false);
	enter();
	assert_int_equal(apic_cpu_deliver(&cpu), 0x51);
	assert_int_equal(apic_cpu_deliver(&cpu), -1);
	apic_cpu_eoi(&cpu);
	assert_int_equal(apic_cpu_deliver(&cpu), -1);
	apic_cpu_eoi(&cpu);
	assert_int_equal(apic_cpu_deliver(&cpu), 0x38);
}

/* With IF clear it waits in RVI; a second exit and entry must not forget it. */
static void what_waits_survives_exits(void **state)
{
	(void)state;
	send(0x41, false);
	for (unsigned i = 0; i < 3; i++) {
		enter();
		assert_int_equal(cpu.rvi, 0x41);
	}
	apic_cpu_self_ipi(&cpu, 0x61);
	enter();
	assert_int_equal(apic_cpu_deliver(&cpu), 0x61);
	apic_cpu_eoi(&cpu);
	enter();
	assert_int_equal(apic_cpu_deliver(&cpu), 0x41);
}

static void a_halted_vcpu_wakes_by_priority(void **state)
{
	(void)state;
	enter();
	apic_cpu_tpr(&cpu, 0x45);
	send(0x41, false);
	assert_int_equal(lapic_page_pending(l), -1);
	send(0x50, false);
	assert_int_equal(lapic_page_pending(l), 0x50);
	enter();
	assert_int_equal(apic_cpu_deliver(&cpu), 0x50);
	/* Asked of the page alone: the requests were taken over. */
	send(0x5f, false);
	assert_int_equal(lapic_page_pending(l), -1);
	apic_cpu_eoi(&cpu);
	enter();
	assert_int_equal(lapic_page_pending(l), 0x5f);
	apic_cpu_tpr(&cpu, 0xf0);
	assert_int_equal(lapic_page_pending(l), -1);
}

static void the_eoi_of_a_level_exits_and_is_broadcast(void **state)
{
	(void)state;
	send(0x41, true);
	enter();
	assert_int_equal(entry.eoi_exits[1], 2);
	assert_int_equal(entry.eoi_exits[0] | entry.eoi_exits[2] | entry.eoi_exits[3], 0);
	assert_int_equal(shown(APIC_TMR + 0x20), 2);
	assert_int_equal(apic_cpu_deliver(&cpu), 0x41);
	assert_int_equal(apic_cpu_eoi(&cpu), 0x41);
	assert_int_equal(r.eois, 0);
	lapic_page_eoi(l, 0x41);
	assert_int_equal(r.eois, 1);
	assert_int_equal(r.eoi_vector, 0x41);
	/* The same vector as an edge needs none. */
	send(0x41, false);
	enter();
	assert_int_equal(entry.eoi_exits[1], 0);
	/* Every word of the set has its place. */
	for (unsigned vector = 16; vector < 256; vector++) {
		send((uint8_t)vector, true);
		lapic_page_hand_over(l, &entry);
		assert_true((entry.eoi_exits[vector / 64] >> vector % 64 & 1) != 0);
	}
}

static void lint0_as_a_level_comes_again(void **state)
{
	(void)state;
	guest_writes(APIC_LVT_LINT0, 0x8041);
	apic_bus_intr(&r.bus, 0, true);
	enter();
	assert_int_equal(shown(APIC_LVT_LINT0), 0xc041);
	assert_int_equal(apic_cpu_deliver(&cpu), 0x41);
	assert_int_equal(apic_cpu_eoi(&cpu), 0x41);
	r.calls[CPU].kicks = 0;
	lapic_page_eoi(l, 0x41);
	assert_int_equal(r.calls[CPU].kicks, 1);
	enter();
	assert_int_equal(apic_cpu_deliver(&cpu), 0x41);
	apic_bus_intr(&r.bus, 0, false);
	assert_int_equal(apic_cpu_eoi(&cpu), 0x41);
	lapic_page_eoi(l, 0x41);
	assert_int_equal(shown(APIC_LVT_LINT0), 0x8041);
	enter();
	assert_int_equal(apic_cpu_deliver(&cpu), -1);
}

/* An 8259 is not the CPU's business: its interrupt is injected. */
static void extint_stays_with_the_event_code(void **state)
{
	(void)state;
	guest_writes(APIC_LVT_LINT0, 0x700);
	apic_bus_intr(&r.bus, 0, true);
	assert_true(lapic_extint_pending(l));
	enter();
	assert_int_equal(entry.requested, 0);
}

/* The emulator's accesses: not all instructions are virtualized. */
static void registers_through_the_model(void **state)
{
	(void)state;
	send(0x41, false);
	assert_int_equal(apic_rig_read(&r, CPU, APIC_IRR + 0x20), 2);
	enter();
	assert_int_equal(apic_rig_read(&r, CPU, APIC_IRR + 0x20), 2);
	apic_rig_write(&r, CPU, APIC_TPR, 0x47);
	assert_int_equal(shown(APIC_TPR), 0x47);
	assert_int_equal(lapic_cr8(l), 4);
	enter();
	assert_int_equal(apic_cpu_deliver(&cpu), -1);
	lapic_set_cr8(l, 3);
	assert_int_equal(shown(APIC_TPR), 0x30);
	enter();
	assert_int_equal(apic_cpu_deliver(&cpu), 0x41);
	send(0x31, true);
	enter();
	r.calls[CPU].kicks = 0;
	apic_rig_write(&r, CPU, APIC_EOI, 0);
	assert_int_equal(r.calls[CPU].kicks, 1);
	assert_int_equal(apic_rig_read(&r, CPU, APIC_ISR + 0x20), 0);
	apic_rig_write(&r, CPU, APIC_TPR, 0);
	enter();
	assert_int_equal(entry.in_service, 0);
	assert_int_equal(apic_cpu_deliver(&cpu), 0x31);
	apic_rig_write(&r, CPU, APIC_EOI, 0);
	assert_int_equal(r.eois, 1);
	/* Without anything in service it does nothing. */
	apic_rig_write(&r, CPU, APIC_EOI, 0);
	assert_int_equal(r.eois, 1);
}

/* The CPU takes ICR_HIGH without an exit; what is sent next goes there. */
static void the_cpus_icr_high_counts(void **state)
{
	(void)state;
	apic_rig_enable(&r, 2);
	page[APIC_ICR_HIGH / 4] = 2u << 24;
	guest_writes(APIC_LVT_ERROR, 0x44); /* shows others again, not this one */
	guest_writes(APIC_SVR, 0x1ff);
	assert_int_equal(shown(APIC_ICR_HIGH), 2u << 24);
	assert_int_equal(apic_rig_read(&r, CPU, APIC_ICR_HIGH), 2u << 24);
	guest_writes(APIC_ICR_LOW, 0x55);
	assert_int_equal(apic_rig_take(&r, 2), 0x55);
	/* By the emulator, either half. */
	apic_rig_write(&r, CPU, APIC_ICR_HIGH, 1u << 24);
	assert_int_equal(shown(APIC_ICR_HIGH), 1u << 24);
	apic_rig_write(&r, CPU, APIC_ICR_LOW, 0x56);
	assert_int_equal(shown(APIC_ICR_LOW), 0x56);
	enter();
	assert_int_equal(apic_cpu_deliver(&cpu), 0x56);
}

static void modes(void **state)
{
	uint64_t value = 0;

	(void)state;
	page[APIC_ICR_HIGH / 4] = 2u << 24;
	send(0x41, false);
	r.calls[CPU].kicks = 0;
	assert_int_equal(lapic_msr_write(l, 0x1b, 0xfee00c00), LAPIC_MSR_OK);
	assert_true(r.calls[CPU].kicks > 0);
	enter();
	assert_int_equal(entry.mode, APIC_MODE_X2APIC);
	assert_int_equal(entry.requested, 0x41); /* the change keeps it */
	assert_int_equal(shown(APIC_ID), CPU);
	assert_int_equal(shown(APIC_LDR), 1u << CPU);
	/* The 64-bit ICR is read where it begins. */
	apic_rig_enable(&r, 2);
	assert_int_equal(apic_rig_wrmsr(&r, CPU, APIC_ICR_LOW, 0x300004077ull), LAPIC_MSR_OK);
	assert_int_equal(shown(APIC_ICR_LOW), 0x4077);
	assert_int_equal(shown(APIC_ICR_LOW + 4), 3);
	assert_int_equal(apic_rig_rdmsr(&r, CPU, APIC_ICR_LOW, &value), LAPIC_MSR_OK);
	assert_int_equal(value, 0x300004077ull);
	/* A self-IPI that the CPU does not take: an illegal vector. */
	page[APIC_SELF_IPI / 4] = 5;
	lapic_page_written(l, APIC_SELF_IPI);
	assert_int_equal(apic_rig_wrmsr(&r, CPU, APIC_ESR, 0), LAPIC_MSR_OK);
	assert_int_equal(shown(APIC_ESR), 1u << 5);
	/* Off: nothing is left of it. */
	r.calls[CPU].kicks = 0;
	assert_int_equal(lapic_msr_write(l, 0x1b, 0xfee00000), LAPIC_MSR_OK);
	assert_true(r.calls[CPU].kicks > 0);
	enter();
	assert_int_equal(entry.mode, APIC_MODE_OFF);
	assert_int_equal(entry.requested, 0);
	assert_int_equal(shown(APIC_ICR_LOW + 4), 0);
	assert_int_equal(lapic_msr_write(l, 0x1b, 0xfee00800), LAPIC_MSR_OK);
	enter();
	assert_int_equal(entry.mode, APIC_MODE_XAPIC);
	assert_int_equal(shown(APIC_SVR), 0xff);
	assert_int_equal(shown(APIC_ID), CPU << 24);
	assert_int_equal(shown(APIC_LVT_LINT0), 0x10000);
}

static void resets(void **state)
{
	(void)state;
	for (unsigned init = 0; init < 2; init++) {
		send(0x41, true);
		send(0x31, false);
		enter();
		assert_int_equal(apic_cpu_deliver(&cpu), 0x41);
		apic_cpu_tpr(&cpu, 0x22);
		send(0x77, false);
		r.calls[CPU].kicks = 0;
		if (init != 0) {
			lapic_init_reset(l);
		} else {
			r.bus.dev.ops->reset(&r.bus.dev);
		}
		assert_true(r.calls[CPU].kicks > 0);
		enter();
		assert_int_equal(entry.requested | entry.in_service, 0);
		assert_int_equal(entry.eoi_exits[0] | entry.eoi_exits[1] | entry.eoi_exits[2] |
					 entry.eoi_exits[3],
				 0);
		assert_int_equal(shown(APIC_TPR), 0);
		assert_int_equal(shown(APIC_PPR), 0);
		assert_int_equal(shown(APIC_SVR), 0xff);
		assert_int_equal(shown(APIC_VERSION), apic_rig_read(&r, CPU, APIC_VERSION));
		assert_int_equal(lapic_page_pending(l), -1);
		apic_rig_enable(&r, CPU);
	}
	lapic_virtual_wire(l);
	assert_int_equal(shown(APIC_LVT_LINT0), 0x700);
}

/* Messages of others look at the page. */
static void others_see_it(void **state)
{
	struct apic_message msg = {
		.dest = APIC_DEST_BROADCAST, .delivery = APIC_LOWEST_PRIORITY, .vector = 0x41};
	struct apic_message again = {.dest = CPU, .vector = 0x61};

	(void)state;
	apic_rig_enable(&r, 2);
	assert_false(apic_bus_requested(&r.bus, &again));
	send(0x61, false);
	assert_true(apic_bus_requested(&r.bus, &again));
	enter();
	assert_true(apic_bus_requested(&r.bus, &again));
	assert_int_equal(apic_cpu_deliver(&cpu), 0x61);
	assert_false(apic_bus_requested(&r.bus, &again));
	/* Its PPR is 0x60: the other one is less busy, twice. */
	assert_true(apic_bus_deliver(&r.bus, &msg));
	assert_true(apic_bus_deliver(&r.bus, &msg));
	enter();
	assert_int_equal(entry.requested, 0);
	assert_int_equal(lapic_highest_irr(&r.lapics[2]), 0x41);
	apic_cpu_eoi(&cpu);
	apic_rig_write(&r, 2, APIC_TPR, 0x10);
	assert_true(apic_bus_deliver(&r.bus, &msg));
	enter();
	assert_int_equal(entry.requested, 0x41);
}

/* What was there before the page came is in it. */
static void taking_over_a_life(void **state)
{
	static uint32_t other[APIC_PAGE_SIZE / 4];
	struct apic_message msg = {.dest = 0, .delivery = APIC_FIXED, .vector = 0x41};

	(void)state;
	apic_rig_enable(&r, 0);
	apic_rig_write(&r, 0, APIC_TPR, 0x13);
	assert_true(apic_bus_deliver(&r.bus, &msg));
	assert_int_equal(apic_rig_take(&r, 0), 0x41);
	msg.vector = 0x51;
	assert_true(apic_bus_deliver(&r.bus, &msg));
	lapic_use_page(&r.lapics[0], other);
	lapic_page_hand_over(&r.lapics[0], &entry);
	assert_int_equal(entry.in_service, 0x41);
	assert_int_equal(entry.requested, 0x51);
	assert_int_equal(other[APIC_TPR / 4], 0x13);
	assert_int_equal(other[APIC_SVR / 4], 0x1ff);
}

/* --- against the model without a page --- */

static uint32_t seed;

static uint32_t roll(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

#define PLAIN 2u

/* The same message to both. */
static void both_get(uint8_t vector, bool level)
{
	for (unsigned i = CPU; i <= PLAIN; i++) {
		struct apic_message msg = {
			.dest = i, .level = level, .delivery = APIC_FIXED, .vector = vector};

		assert_true(apic_bus_deliver(&r.bus, &msg));
	}
}

static void both_end_service(void)
{
	unsigned before = r.eois;
	unsigned plain;
	int exits;

	if (apic_cpu_highest(&cpu, APIC_ISR) < 0) {
		return;
	}
	lapic_eoi(&r.lapics[PLAIN]);
	plain = r.eois - before;
	exits = apic_cpu_eoi(&cpu);
	if (exits >= 0) {
		lapic_page_eoi(l, (uint8_t)exits);
	}
	assert_int_equal(r.eois - before, 2 * plain);
}

static void both_are_the_same(void)
{
	for (uint32_t offset = APIC_ISR; offset < APIC_ESR; offset += 16) {
		assert_int_equal(apic_rig_read(&r, CPU, offset), apic_rig_read(&r, PLAIN, offset));
	}
	assert_int_equal(apic_rig_read(&r, CPU, APIC_TPR), apic_rig_read(&r, PLAIN, APIC_TPR));
	assert_int_equal(shown(APIC_PPR), apic_rig_read(&r, PLAIN, APIC_PPR));
	assert_int_equal(lapic_page_pending(l), lapic_pending(&r.lapics[PLAIN]));
}

static void a_cpu_does_what_the_model_does(void **state)
{
	(void)state;
	for (seed = 1; seed < 200; seed++) {
		uint32_t keep = seed;
		uint8_t tpr;

		(void)setup(state);
		apic_rig_enable(&r, PLAIN);
		enter();
		for (unsigned step = 0; step < 200; step++) {
			switch (roll(6)) {
			case 0:
			case 1:
				both_get((uint8_t)(16 + roll(240)), roll(3) == 0);
				break;
			case 2:
				tpr = (uint8_t)roll(256);
				apic_cpu_tpr(&cpu, tpr);
				apic_rig_write(&r, PLAIN, APIC_TPR, tpr);
				break;
			case 3:
				enter();
				assert_int_equal(apic_cpu_deliver(&cpu), apic_rig_take(&r, PLAIN));
				break;
			case 4:
				enter();
				both_end_service();
				break;
			default:
				enter();
				break;
			}
			both_are_the_same();
		}
		seed = keep;
	}
}

/* --- posting --- */

static _Alignas(64) struct apic_post post;

static void with_post(void)
{
	memset(&post, 0, sizeof(post));
	lapic_use_post(l, &post);
}

static void an_edge_needs_no_exit(void **state)
{
	(void)state;
	with_post();
	enter();
	send(0x41, false);
	send(0x61, false);
	send(0x41, false);
	/* Told of once, until somebody has looked. */
	assert_int_equal(r.calls[CPU].notices, 1);
	assert_int_equal(r.calls[CPU].kicks, 0);
	assert_true(apic_post_outstanding(&post));
	apic_cpu_notify(&cpu, &post);
	assert_int_equal(apic_cpu_deliver(&cpu), 0x61);
	send(0x71, false);
	assert_int_equal(r.calls[CPU].notices, 2);
	apic_cpu_notify(&cpu, &post);
	assert_int_equal(apic_cpu_deliver(&cpu), 0x71);
	assert_int_equal(apic_cpu_eoi(&cpu), -1);
	assert_int_equal(apic_cpu_eoi(&cpu), -1);
	assert_int_equal(apic_cpu_deliver(&cpu), 0x41);
	assert_int_equal(r.calls[CPU].kicks, 0);
}

/* The CPU was out of the guest: whoever looks takes it, once, and what comes then is told of. */
static void a_late_notice_loses_nothing(void **state)
{
	(void)state;
	with_post();
	send(0x41, false);
	enter();
	assert_int_equal(entry.requested, 0x41);
	assert_false(apic_post_outstanding(&post));
	apic_cpu_notify(&cpu, &post);
	assert_int_equal(apic_cpu_deliver(&cpu), 0x41);
	/* The look before HLT counts as well, and what is below the TPR wakes nobody. */
	apic_cpu_tpr(&cpu, 0x80);
	send(0x51, false);
	assert_int_equal(lapic_page_pending(l), -1);
	assert_false(apic_post_outstanding(&post));
	send(0x91, false);
	assert_int_equal(r.calls[CPU].notices, 3);
	assert_int_equal(lapic_page_pending(l), 0x91);
	enter();
	assert_int_equal(entry.requested, 0x91);
	assert_true(apic_cpu_highest(&cpu, APIC_IRR) == 0x91 && shown(APIC_IRR + 0x20) != 0);
}

/* Where more changes than the request, and where each is to be looked at. */
static void what_needs_an_exit_gets_one(void **state)
{
	struct vecset set = {0};

	(void)state;
	with_post();
	send(0x41, true);
	assert_int_equal(r.calls[CPU].kicks, 1);
	enter();
	assert_int_equal(entry.eoi_exits[1], BIT(1));
	/* It was a level: its EOI is no exit any more. */
	send(0x41, false);
	assert_int_equal(r.calls[CPU].kicks, 2);
	lapic_watch(l, true);
	send(0x42, false);
	assert_int_equal(r.calls[CPU].kicks, 3);
	lapic_watch(l, false);
	vecset_add(&set, 0x50);
	lapic_set_auto_eoi(l, &set);
	send(0x43, false);
	assert_int_equal(r.calls[CPU].kicks, 4);
	lapic_set_auto_eoi(l, &(struct vecset){0});
	assert_int_equal(r.calls[CPU].notices, 0);
	assert_false(apic_post_outstanding(&post));
	send(0x44, false);
	assert_int_equal(r.calls[CPU].notices, 1);
	enter();
	assert_int_equal(entry.requested, 0x44);
	assert_int_equal(entry.eoi_exits[1], 0);
	assert_int_equal(shown(APIC_IRR + 0x20), 0x1e);
}

static void what_was_posted_is_seen_and_saved(void **state)
{
	struct apic_message msg = {.dest = CPU, .delivery = APIC_FIXED, .vector = 0x41};
	struct vecset set = {0};
	struct lapic_saved saved;

	(void)state;
	with_post();
	assert_false(apic_bus_requested(&r.bus, &msg) || lapic_any_requested(l));
	send(0x41, false);
	assert_true(apic_bus_requested(&r.bus, &msg) && lapic_any_requested(l));
	msg.vector = 0x42;
	assert_false(apic_bus_requested(&r.bus, &msg));
	vecset_add(&set, 0x41);
	assert_false(lapic_page_auto_eoi_waits(l));
	lapic_set_auto_eoi(l, &set);
	assert_true(lapic_page_auto_eoi_waits(l));
	l->saved.ops->save(l, &saved);
	assert_int_equal(saved.irr[2], 1u << 1);
	/* A reset forgets it, and so does a state that is loaded. */
	lapic_init_reset(l);
	assert_false(apic_post_outstanding(&post) || lapic_any_requested(l));
	l->saved.ops->load(l, &saved);
	enter();
	assert_int_equal(entry.requested, 0x41);
	lapic_reset(l);
	/* Software-disabled: nothing is taken. */
	msg.vector = 0x41;
	assert_false(apic_bus_deliver(&r.bus, &msg));
	assert_false(apic_post_outstanding(&post));
}

#define TEST(test) cmocka_unit_test_setup(test, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_page_shows_the_registers),
		TEST(a_request_becomes_a_delivery),
		TEST(an_automatic_eoi_comes_with_the_next_exit),
		TEST(no_moment_loses_a_request),
		TEST(what_waits_survives_exits),
		TEST(a_halted_vcpu_wakes_by_priority),
		TEST(the_eoi_of_a_level_exits_and_is_broadcast),
		TEST(lint0_as_a_level_comes_again),
		TEST(extint_stays_with_the_event_code),
		TEST(registers_through_the_model),
		TEST(the_cpus_icr_high_counts),
		TEST(modes),
		TEST(resets),
		TEST(others_see_it),
		TEST(taking_over_a_life),
		TEST(a_cpu_does_what_the_model_does),
		TEST(an_edge_needs_no_exit),
		TEST(a_late_notice_loses_nothing),
		TEST(what_needs_an_exit_gets_one),
		TEST(what_was_posted_is_seen_and_saved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
