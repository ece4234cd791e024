/* SPDX-License-Identifier: Apache-2.0 */
/* Vectors, lines and polling for the machine's devices. */
#include "drivers/irq.h"

#include <stdatomic.h>
#include <stddef.h>

#include "drivers/apic.h"
#include "drivers/ioapic.h"
#include "hv/api/clock.h"
#include "hv/api/timer.h"
#include "hv/base/acpi_format.h"
#include "hv/base/bits.h"
#include "hv/base/lock.h"
#include "hv/base/log.h"
#include "hv/cpu/percpu.h"
#include "hv/cpu/trap.h"

#define VECTORS (HOST_IRQ_VECTOR_LAST - HOST_IRQ_VECTOR_FIRST + 1)
/* A message's destination is eight bits, of which all-ones means every CPU. */
#define MESSAGE_ID_MAX 0xfeu
#define NO_LINE UINT32_MAX
#define POLL_NS 1000000ull
/* More interrupts than this within the time mean that the line never falls. */
#define STORM_NS 10000000ull
#define STORM_COUNT 500u

struct line {
	uint32_t irq; /* ISA line; NO_LINE: polled only */
	uint32_t gsi;
	struct spinlock lock; /* covers arming the timer */
	struct timer timer;
	/* Grows only; a slot is written before it counts. */
	struct host_irq_handler handlers[HOST_IRQ_SHARERS_MAX];
	_Atomic unsigned handler_count;
	_Atomic bool trusted; /* has fired, and falls again: no polling */
	/* Of the CPU that the line is routed to. */
	uint64_t burst_start;
	unsigned burst_count;
	bool masked;
};

static struct {
	const struct acpi_info *acpi;
	struct spinlock lock; /* covers the counts, and adding to a line */
	unsigned vector_count;
	unsigned line_count;
	/* Const once counted. */
	struct host_irq_handler vectors[VECTORS];
	struct line lines[HOST_IRQ_LINES_MAX];
} irq;

static void call(const struct host_irq_handler *h)
{
	h->fn(h->ctx, h->index);
}

static void on_vector(unsigned vector)
{
	const struct host_irq_handler *h = &irq.vectors[vector - HOST_IRQ_VECTOR_FIRST];

	if (h->fn == NULL) {
		host_apic_stray(vector);
		return;
	}
	call(h);
	host_apic_eoi();
}

void host_irq_init(const struct acpi_info *acpi)
{
	irq.acpi = acpi;
	irq.vector_count = 0;
	irq.line_count = 0;
	for (unsigned i = 0; i < VECTORS; i++) {
		irq.vectors[i] = (struct host_irq_handler){0};
	}
	trap_set_irq_range(HOST_IRQ_VECTOR_FIRST, HOST_IRQ_VECTOR_LAST, on_vector);
}

uint8_t host_irq_alloc(const struct host_irq_handler *h)
{
	unsigned index;

	lock_acquire(&irq.lock);
	index = irq.vector_count;
	if (index < VECTORS) {
		irq.vectors[index] = *h;
		irq.vector_count++;
	}
	lock_release(&irq.lock);
	return index < VECTORS ? (uint8_t)(HOST_IRQ_VECTOR_FIRST + index) : 0;
}

static bool can_be_named(const struct cpu_local *cpu)
{
	return cpu_get_state(cpu) == CPU_ONLINE && cpu->apic_id <= MESSAGE_ID_MAX;
}

bool host_irq_target(unsigned index, uint32_t *apic_id)
{
	unsigned able = 0;

	for (unsigned i = 0; i < percpu_count(); i++) {
		able += can_be_named(percpu_get(i));
	}
	if (able == 0) {
		return false;
	}
	index %= able;
	for (unsigned i = 0;; i++) {
		if (can_be_named(percpu_get(i)) && index-- == 0) {
			*apic_id = percpu_get(i)->apic_id;
			return true;
		}
	}
}

/* --- lines --- */

static void call_all(const struct line *l)
{
	unsigned count = atomic_load_explicit(&l->handler_count, memory_order_acquire);

	for (unsigned i = 0; i < count; i++) {
		call(&l->handlers[i]);
	}
}

static void poll_soon(struct line *l)
{
	lock_acquire(&l->lock);
	if (!atomic_load(&l->trusted)) {
		timer_arm(&l->timer, clock_now() + clock_ns_to_ticks(POLL_NS));
	}
	lock_release(&l->lock);
}

static void poll(struct timer *t)
{
	struct line *l = container_of(t, struct line, timer);

	if (!atomic_load(&l->trusted)) {
		call_all(l);
		poll_soon(l);
	}
}

/* Whether this interrupt is one of too many. */
static bool is_storm(struct line *l)
{
	uint64_t now = clock_now();

	if (now - l->burst_start > clock_ns_to_ticks(STORM_NS)) {
		l->burst_start = now;
		l->burst_count = 0;
	}
	return ++l->burst_count > STORM_COUNT;
}

/* For good: it would come again at the end of this interrupt. */
static void mask_line(struct line *l)
{
	l->masked = host_ioapic_mask(l->gsi) == HV_OK;
	log_warn("interrupt line %u does not fall: masked, its devices are polled", l->irq);
	atomic_store(&l->trusted, false);
	poll_soon(l);
}

static void on_line(void *ctx, unsigned index)
{
	struct line *l = ctx;

	(void)index;
	call_all(l);
	if (l->masked) {
		return;
	}
	if (is_storm(l)) {
		mask_line(l);
	} else if (!atomic_load_explicit(&l->trusted, memory_order_relaxed)) {
		atomic_store(&l->trusted, true);
	}
}

/* Where the line arrives at the IOAPICs, and how. */
static struct host_ioapic_line route_of(uint32_t isa)
{
	struct host_ioapic_line line = {.gsi = isa, .level = true, .active_low = true};
	unsigned count = irq.acpi != NULL ? irq.acpi->override_count : 0;

	for (unsigned i = 0; i < count; i++) {
		const struct acpi_override *o = &irq.acpi->overrides[i];

		if (o->irq == isa) {
			line.gsi = o->gsi;
			line.active_low = (o->flags & 3u) != MADT_INTI_ACTIVE_HIGH;
		}
	}
	return line;
}

static bool connect(struct line *l)
{
	struct host_irq_handler h = {on_line, l, 0};
	struct host_ioapic_line route = route_of(l->irq);

	l->gsi = route.gsi;
	if (!host_irq_target(0, &route.apic_id)) {
		return false;
	}
	route.vector = host_irq_alloc(&h);
	return route.vector != 0 && host_ioapic_route(&route) == HV_OK;
}

/* The line with this number, made when it is not there; NULL when there are too many. */
static struct line *line_of(uint32_t isa, bool *is_new)
{
	struct line *l;

	*is_new = false;
	for (unsigned i = 0; i < irq.line_count; i++) {
		if (irq.lines[i].irq == isa) {
			return &irq.lines[i];
		}
	}
	if (irq.line_count == HOST_IRQ_LINES_MAX) {
		return NULL;
	}
	*is_new = true;
	l = &irq.lines[irq.line_count++];
	*l = (struct line){.irq = isa};
	timer_init(&l->timer, NULL, poll);
	return l;
}

static bool add_handler(struct line *l, const struct host_irq_handler *h)
{
	unsigned count = l->handler_count;

	if (count == HOST_IRQ_SHARERS_MAX) {
		return false;
	}
	l->handlers[count] = *h;
	atomic_store_explicit(&l->handler_count, count + 1, memory_order_release);
	return true;
}

enum hv_status host_irq_line(uint32_t isa, const struct host_irq_handler *h)
{
	struct line *l;
	bool is_new;
	bool added;

	lock_acquire(&irq.lock);
	l = line_of(isa, &is_new);
	added = l != NULL && add_handler(l, h);
	lock_release(&irq.lock);
	if (!added) {
		return HV_E_NO_MEMORY;
	}
	if (is_new) {
		poll_soon(l);
		if (isa != NO_LINE && !connect(l)) {
			log_warn("interrupt line %u reaches no CPU: its devices are polled", isa);
		}
	}
	return HV_OK;
}

enum hv_status host_irq_poll(const struct host_irq_handler *h)
{
	return host_irq_line(NO_LINE, h);
}
