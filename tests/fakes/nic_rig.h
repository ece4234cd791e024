/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What surrounds a driver of network cards in its tests: PCI functions in place of drivers/pci.c,
 * memory, time that moves when told, and a switch that keeps what it is sent. Include once.
 */
#pragma once

#include <assert.h>
#include <string.h>

#include "drivers/nic.h"
#include "hv/api/clock.h"
#include "hv/api/timer.h"
#include "tests/fakes/access.h"
#include "tests/fakes/fake_cpu.h"

#define RIG_HZ 1000000000ull /* a tick is a nanosecond */
#define RIG_FUNCTIONS 20u
#define RIG_MEMORY (64ull << 20)
#define RIG_SENT 1024u
/* Where BAR 0 of function i is mapped. */
#define RIG_BAR(i) (0x7000000000ull + ((uint64_t)(i) << 24))

struct rig_function {
	struct host_pci pci;
	bool enabled; /* decodes, masters the bus */
	bool no_bar;
	bool no_interrupt;
	bool msix;
	void (*fn)(void *ctx, unsigned index);
	void *ctx;
};

static struct {
	struct rig_function f[RIG_FUNCTIONS];
	unsigned count;
	struct timer_queue queue;
	/* What the cards sent to the switch, oldest first; the rig holds them. */
	struct net_frame *sent[RIG_SENT];
	unsigned sent_count;
} rig;

static inline struct timer_queue *rig_queue(void)
{
	return &rig.queue;
}

static inline void rig_drop_sent(void)
{
	for (unsigned i = 0; i < rig.sent_count; i++) {
		net_frame_put(rig.sent[i]);
	}
	rig.sent_count = 0;
}

/* Memory is the program's: blocks for frames are kept for the next test. */
static inline void rig_init(void)
{
	static uint64_t cr3;

	rig_drop_sent();
	memset(&rig, 0, sizeof(rig));
	fake_cpu_reset();
	if (cr3 == 0) {
		(void)fake_machine(RIG_MEMORY);
		cr3 = fake_cpu.cr3;
	}
	fake_cpu.cr3 = cr3;
	clock_init(RIG_HZ);
	fake_tsc = 1000000;
	fake_cpu.tsc_step = 1000;
	timer_queue_init(&rig.queue);
	timer_set_local_queue(rig_queue);
}

/* Adds an Ethernet function at 00:DD.0, DD = 2 and up. */
static inline struct rig_function *rig_add(uint16_t vendor, uint16_t device)
{
	struct rig_function *f = &rig.f[rig.count];

	assert(rig.count < RIG_FUNCTIONS);
	f->pci.vendor = vendor;
	f->pci.device = device;
	f->pci.devfn = (uint8_t)((rig.count + 2) << 3);
	f->pci.class_code = 0x020000;
	rig.count++;
	return f;
}

static inline struct rig_function *rig_of(const struct host_pci *f)
{
	for (unsigned i = 0; i < rig.count; i++) {
		if (&rig.f[i].pci == f) {
			return &rig.f[i];
		}
	}
	abort();
}

/* Lets `ns` pass, timers firing at their moments. */
static inline void rig_advance(uint64_t ns)
{
	uint64_t target = fake_tsc + ns;

	while (timer_queue_next(&rig.queue) <= target) {
		if (timer_queue_next(&rig.queue) > fake_tsc) {
			fake_tsc = timer_queue_next(&rig.queue);
		}
		timer_queue_run(&rig.queue, fake_tsc);
	}
	if (target > fake_tsc) {
		fake_tsc = target;
	}
}

static inline void rig_take(struct net_port *p, struct net_frame *f)
{
	(void)p;
	assert(f->next == NULL && rig.sent_count < RIG_SENT);
	rig.sent[rig.sent_count++] = f;
}

/* Connects the card to the rig and starts it. */
static inline enum hv_status rig_use(struct host_nic *n)
{
	n->port.send = rig_take;
	return host_nic_start(n);
}

/* A frame of `len` bytes that are made from `seed`; the caller has its reference. */
static inline struct net_frame *rig_frame(uint32_t len, uint8_t seed)
{
	struct net_frame *f = net_frame_alloc(len);

	assert(f != NULL);
	for (uint32_t i = 0; i < len; i++) {
		f->data[i] = (uint8_t)(seed + i * 7);
	}
	f->len = len;
	return f;
}

/* Sends one through the card; whether it took it. */
static inline bool rig_deliver(struct host_nic *n, uint32_t len, uint8_t seed)
{
	struct net_frame *f = rig_frame(len, seed);
	bool taken = n->port.ops->deliver(&n->port, f);

	net_frame_put(f);
	return taken;
}

/* --- drivers/pci.h --- */

unsigned host_pci_scan(const struct acpi_info *acpi)
{
	(void)acpi;
	return rig.count;
}

unsigned host_pci_count(void)
{
	return rig.count;
}

struct host_pci *host_pci_at(unsigned index)
{
	return &rig.f[index].pci;
}

void host_pci_name(const struct host_pci *f, char *buf)
{
	memcpy(buf, "00:00.0", 8);
	buf[3] = (char)('0' + (f->devfn >> 7 & 1));
	buf[4] = "0123456789abcdef"[f->devfn >> 3 & 15];
}

uint32_t host_pci_read(const struct host_pci *f, unsigned reg, unsigned size)
{
	(void)f;
	(void)reg;
	return size == 1 ? 0xff : size == 2 ? 0xffff : UINT32_MAX;
}

void host_pci_write(const struct host_pci *f, unsigned reg, unsigned size, uint32_t value)
{
	(void)f;
	(void)reg;
	(void)size;
	(void)value;
}

unsigned host_pci_capability(const struct host_pci *f, uint8_t id, unsigned after)
{
	(void)f;
	(void)id;
	(void)after;
	return 0;
}

bool host_pci_uses_msix(const struct host_pci *f)
{
	return rig_of(f)->msix;
}

void host_pci_enable(const struct host_pci *f)
{
	rig_of(f)->enabled = true;
}

void host_pci_disable(const struct host_pci *f)
{
	rig_of(f)->enabled = false;
}

void *host_pci_map(const struct host_pci *f, unsigned bar, uint64_t min_size)
{
	const struct rig_function *r = rig_of(f);

	assert(bar == 0 && min_size <= 0x20000);
	return r->no_bar ? NULL : hva_ptr(hva(RIG_BAR(r - rig.f)));
}

enum hv_status host_pci_interrupts(struct host_pci *f, unsigned *count,
				   void (*fn)(void *ctx, unsigned index), void *ctx)
{
	struct rig_function *r = rig_of(f);

	assert(*count == 1 && r->fn == NULL);
	if (r->no_interrupt) {
		return HV_E_NO_MEMORY;
	}
	r->fn = fn;
	r->ctx = ctx;
	return HV_OK;
}
