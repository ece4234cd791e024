/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any order of exceptions, NMIs, interrupts, interrupted deliveries and runs. At most one event
 * enters per run and never a blocked one; no interrupt or NMI is lost or delivered twice; windows
 * are open for exactly what waits.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hv/cpu/regs.h"
#include "hv/event.h"
#include "tests/fuzz/device_input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct vcpu vcpu;

static struct {
	unsigned blocked[VCPU_EVENT_SOFT_EXC + 1];
	struct vcpu_event injected; /* since the last run */
	int window_vector;
	bool window_nmi;
	uint64_t cr2, dr6;
	/* The interrupt controllers: vectors that wait, and whether the TPR masks them. */
	int waiting;
	bool masked;
	/* Accepted, and not yet taken by the guest: at most one at a time is on its way. */
	int on_its_way;
	bool nmi_on_its_way;
	unsigned nmis_pending; /* one while another is handled, else two */
} m;

static void need(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "fuzz_event: %s\n", what);
		abort();
	}
}

/* --- the backend and the controllers --- */

static uint64_t get_reg(const struct vcpu *v, enum vcpu_reg reg)
{
	(void)v;
	return reg == VCPU_REG_DR6 ? m.dr6 : 0;
}

static void set_reg(struct vcpu *v, enum vcpu_reg reg, uint64_t value)
{
	(void)v;
	if (reg == VCPU_REG_RFLAGS) {
		need(value == RFLAGS_RF, "more than RF was changed");
		return;
	}
	need(reg == VCPU_REG_CR2 || reg == VCPU_REG_DR6, "another register was written");
	*(reg == VCPU_REG_CR2 ? &m.cr2 : &m.dr6) = value;
}

static unsigned blocked(const struct vcpu *v, enum vcpu_event_type type)
{
	(void)v;
	return m.blocked[type];
}

static void inject(struct vcpu *v, const struct vcpu_event *e)
{
	(void)v;
	need(m.injected.type == VCPU_EVENT_NONE, "two events for one run");
	need(e->type != VCPU_EVENT_NONE, "no event");
	need(e->type != VCPU_EVENT_EXCEPTION || e->vector < 32, "an exception above 31");
	m.injected = *e;
}

static void set_windows(struct vcpu *v, int vector, bool nmi)
{
	(void)v;
	m.window_vector = vector;
	m.window_nmi = nmi;
}

static int pending(void *ctx, const struct vcpu *v)
{
	(void)ctx;
	(void)v;
	return m.masked ? -1 : m.waiting;
}

static int requested(void *ctx, const struct vcpu *v)
{
	(void)ctx;
	(void)v;
	return m.waiting;
}

static uint8_t accept(void *ctx, struct vcpu *v)
{
	int vector = m.waiting;

	(void)ctx;
	(void)v;
	need(vector >= 0 && !m.masked, "accepted what was not announced");
	need(m.on_its_way < 0, "accepted while one is on its way");
	m.waiting = -1;
	m.on_its_way = vector;
	return (uint8_t)vector;
}

static const struct hv_backend backend = {
	.get_reg = get_reg,
	.set_reg = set_reg,
	.blocked = blocked,
	.inject = inject,
	.set_windows = set_windows,
};
static const struct event_source source = {
	.pending = pending, .requested = requested, .accept = accept};

/* --- the steps --- */

/* One run: what was injected is taken, or interrupted and handed back. */
static void run(bool interrupt_it)
{
	struct vcpu_event e;

	event_deliver(&vcpu, &backend, &source);
	e = m.injected;
	if (e.type == VCPU_EVENT_INTERRUPT) {
		need(e.vector == m.on_its_way, "an interrupt nobody accepted");
	} else if (e.type == VCPU_EVENT_NMI && !m.nmi_on_its_way) {
		need(m.blocked[VCPU_EVENT_NMI] == 0, "a blocked NMI");
		need(m.nmis_pending > 0, "an NMI nobody wanted");
		m.nmis_pending--;
		m.nmi_on_its_way = true;
	}
	need(vcpu.events.nmi_pending == m.nmis_pending, "the count of NMIs");
	need(m.window_nmi == (m.nmis_pending > 0), "no window for the NMI");
	need(m.waiting < 0 || m.window_vector >= 0, "no window for the interrupt");
	m.injected.type = VCPU_EVENT_NONE;
	if (e.type != VCPU_EVENT_NONE && interrupt_it) {
		event_note_vectoring(&vcpu, &e);
	} else if (e.type == VCPU_EVENT_INTERRUPT) {
		m.on_its_way = -1;
	} else if (e.type == VCPU_EVENT_NMI) {
		m.nmi_on_its_way = false;
	}
}

static void raise(struct input *in)
{
	uint8_t pick = (uint8_t)take(in, 1);
	struct vcpu_event e = {.type = VCPU_EVENT_EXCEPTION,
			       .vector = pick & 31,
			       .has_error = (pick & 0x20) != 0,
			       .error = pick >> 6};

	if (event_exception(&vcpu, &e, pick) == EVENT_TRIPLE_FAULT) {
		/* The VM is reset: all that was on its way is gone. */
		event_reset(&vcpu);
		set_windows(&vcpu, -1, false);
		m.on_its_way = -1;
		m.nmi_on_its_way = false;
		m.nmis_pending = 0;
	} else if (m.nmi_on_its_way) {
		m.nmi_on_its_way = false; /* it waits behind the exception */
		m.nmis_pending++;
	}
}

static void latch_nmi(void)
{
	bool handling = (m.blocked[VCPU_EVENT_NMI] & VCPU_BLOCKED_NMI) != 0;

	if (m.nmis_pending < (handling ? 1 : 2)) {
		m.nmis_pending++;
	}
}

static void step(struct input *in)
{
	uint8_t op = (uint8_t)take(in, 1);

	switch (op & 7) {
	case 0:
		raise(in);
		break;
	case 1:
		event_nmi(&vcpu, &backend);
		latch_nmi();
		break;
	case 2:
		m.waiting = op >> 3 == 31 ? -1 : 0x20 + (op >> 3);
		break;
	case 3:
		m.masked = (op & 8) != 0;
		break;
	case 4:
		m.blocked[VCPU_EVENT_INTERRUPT] = op >> 3 & 3;
		m.blocked[VCPU_EVENT_NMI] = op >> 5 & 6;
		break;
	case 5:
		(void)event_wakes(&vcpu, &backend, &source);
		break;
	default:
		run((op & 8) != 0);
		break;
	}
}

/* With nothing in the way all that waits comes in. */
static void drain(void)
{
	memset(m.blocked, 0, sizeof(m.blocked));
	m.masked = false;
	for (unsigned i = 0; i < 8; i++) {
		run(false);
	}
	need(m.waiting < 0 && m.on_its_way < 0, "an interrupt was lost");
	need(m.nmis_pending == 0 && !m.nmi_on_its_way, "an NMI was lost");
	need(vcpu.events.exception.type == VCPU_EVENT_NONE, "an exception waits for ever");
	need(m.window_vector < 0 && !m.window_nmi, "a window for nothing");
	need(!event_wakes(&vcpu, &backend, &source), "nothing wakes");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};

	memset(&m, 0, sizeof(m));
	m.waiting = m.on_its_way = m.window_vector = -1;
	memset(&vcpu, 0, sizeof(vcpu));
	event_reset(&vcpu);
	while (in.n > 0) {
		step(&in);
	}
	drain();
	return 0;
}
