/* SPDX-License-Identifier: Apache-2.0 */
/* Architectural event injection, neutral of the backend. */
#include "hv/event.h"

#include "hv/cpu/regs.h"

static bool is_contributory(uint8_t vector)
{
	return vector == EXC_DE || (vector >= EXC_TS && vector <= EXC_GP);
}

/* Whether `second`, raised while `first` was being delivered, makes a double fault. */
static bool makes_double_fault(uint8_t first, uint8_t second)
{
	if (first == EXC_PF) {
		return second == EXC_PF || is_contributory(second);
	}
	return is_contributory(first) && is_contributory(second);
}

void event_note_vectoring(struct vcpu *vcpu, const struct vcpu_event *vectoring)
{
	vcpu->events.reinject = *vectoring;
	vcpu_request(vcpu, VCPU_REQ_EVENT);
}

/* The exception that is on its way into the guest already; NULL when there is none. */
static const struct vcpu_event *exception_under_way(const struct vcpu_events *ev)
{
	if (ev->exception.type == VCPU_EVENT_EXCEPTION) {
		return &ev->exception;
	}
	return ev->reinject.type == VCPU_EVENT_EXCEPTION ? &ev->reinject : NULL;
}

/*
 * A new exception goes before the interrupted event. An earlier fault or software interrupt comes
 * again by itself when its instruction is restarted; an interrupt or NMI must not be lost.
 */
static void yield_reinject(struct vcpu_events *ev)
{
	if (ev->reinject.type == VCPU_EVENT_INTERRUPT) {
		ev->late_vector = ev->reinject.vector;
	} else if (ev->reinject.type == VCPU_EVENT_NMI) {
		ev->nmi_pending++;
	}
	ev->reinject.type = VCPU_EVENT_NONE;
}

enum event_result event_exception(struct vcpu *vcpu, const struct vcpu_event *exception,
				  uint64_t payload)
{
	struct vcpu_events *ev = &vcpu->events;
	const struct vcpu_event *first = exception_under_way(ev);
	struct vcpu_event next = *exception;

	if (first != NULL && first->vector == EXC_DF &&
	    (exception->vector == EXC_PF || is_contributory(exception->vector))) {
		return EVENT_TRIPLE_FAULT;
	}
	if (first != NULL && makes_double_fault(first->vector, exception->vector)) {
		next = (struct vcpu_event){
			.type = VCPU_EVENT_EXCEPTION, .vector = EXC_DF, .has_error = true};
		payload = 0;
	}
	yield_reinject(ev);
	ev->exception = next;
	ev->exception_payload = payload;
	vcpu_request(vcpu, VCPU_REQ_EVENT);
	return EVENT_QUEUED;
}

void event_nmi(struct vcpu *vcpu, const struct hv_backend *backend)
{
	bool handling = (backend->blocked(vcpu, VCPU_EVENT_NMI) & VCPU_BLOCKED_NMI) != 0;

	if (vcpu->events.nmi_pending < (handling ? 1 : 2)) {
		vcpu->events.nmi_pending++;
	}
	vcpu_request(vcpu, VCPU_REQ_EVENT);
}

void event_reset(struct vcpu *vcpu)
{
	vcpu->events = (struct vcpu_events){.late_vector = -1, .window_vector = -1};
}

/* Faults but #DB, whose handler decides: the flags image that the CPU pushes has RF set. */
static bool sets_resume_flag(uint8_t vector)
{
	const uint32_t others = BIT32(EXC_DB) | BIT32(EXC_NMI) | BIT32(EXC_BP) | BIT32(EXC_OF) |
				BIT32(EXC_DF) | BIT32(EXC_MC);

	return (BIT32(vector & 31) & others) == 0;
}

static void inject_exception(struct vcpu *vcpu, const struct hv_backend *backend)
{
	struct vcpu_events *ev = &vcpu->events;

	/* Injection pushes the flags as they are; delivery itself clears RF for the handler. */
	if (sets_resume_flag(ev->exception.vector)) {
		backend->set_reg(vcpu, VCPU_REG_RFLAGS,
				 backend->get_reg(vcpu, VCPU_REG_RFLAGS) | RFLAGS_RF);
	}

	if (ev->exception.vector == EXC_PF) {
		backend->set_reg(vcpu, VCPU_REG_CR2, ev->exception_payload);
	} else if (ev->exception.vector == EXC_DB) {
		uint64_t dr6 = backend->get_reg(vcpu, VCPU_REG_DR6);
		uint64_t dr7 = backend->get_reg(vcpu, VCPU_REG_DR7);

		/* Which breakpoints were met is told anew each time, the other causes pile up. */
		dr6 = (dr6 & ~DR6_TRAPS) | ev->exception_payload;
		backend->set_reg(vcpu, VCPU_REG_DR6, dr6);
		/* The handler may use the debug registers: a #DB ends their protection. */
		if ((dr7 & DR7_GD) != 0) {
			backend->set_reg(vcpu, VCPU_REG_DR7, dr7 & ~DR7_GD);
		}
	}
	backend->inject(vcpu, &ev->exception);
	ev->exception.type = VCPU_EVENT_NONE;
}

/* Asks the backend for windows, only when what is wanted has changed. */
static void want_windows(struct vcpu *vcpu, const struct hv_backend *backend, int vector, bool nmi)
{
	struct vcpu_events *ev = &vcpu->events;

	if (ev->window_vector != vector || ev->window_nmi != nmi) {
		ev->window_vector = vector;
		ev->window_nmi = nmi;
		backend->set_windows(vcpu, vector, nmi);
	}
}

/* The vector of the interrupt that waits, one that was accepted first; -1 when there is none. */
static int waiting_vector(const struct vcpu *vcpu, const struct event_source *source)
{
	int late = vcpu->events.late_vector;

	return late >= 0 ? late : source->pending(source->ctx, vcpu);
}

/* Injects an NMI or an interrupt when there is one and nothing blocks it. */
static void inject_external(struct vcpu *vcpu, const struct hv_backend *backend,
			    const struct event_source *source)
{
	struct vcpu_events *ev = &vcpu->events;
	struct vcpu_event event = {.type = VCPU_EVENT_NMI, .vector = EXC_NMI};

	if (ev->nmi_pending != 0 && backend->blocked(vcpu, VCPU_EVENT_NMI) == 0) {
		ev->nmi_pending--;
		backend->inject(vcpu, &event);
		return;
	}
	if (waiting_vector(vcpu, source) < 0 || backend->blocked(vcpu, VCPU_EVENT_INTERRUPT) != 0) {
		return;
	}
	event.type = VCPU_EVENT_INTERRUPT;
	if (ev->late_vector >= 0) {
		event.vector = (uint8_t)ev->late_vector;
		ev->late_vector = -1;
	} else {
		event.vector = source->accept(source->ctx, vcpu);
	}
	backend->inject(vcpu, &event);
}

/* What the CPU is to deliver by itself needs neither an injection nor a window. */
static void hand_over(struct vcpu *vcpu, const struct hv_backend *backend,
		      const struct event_source *source)
{
	struct apic_entry entry;

	source->hand_over(source->ctx, vcpu, &entry);
	backend->apic_load(vcpu, &entry);
}

void event_deliver(struct vcpu *vcpu, const struct hv_backend *backend,
		   const struct event_source *source)
{
	struct vcpu_events *ev = &vcpu->events;
	int vector;

	if (backend->info.virtual_interrupts) {
		hand_over(vcpu, backend, source);
	}
	if (ev->exception.type != VCPU_EVENT_NONE) {
		inject_exception(vcpu, backend);
	} else if (ev->reinject.type != VCPU_EVENT_NONE) {
		backend->inject(vcpu, &ev->reinject);
		ev->reinject.type = VCPU_EVENT_NONE;
	} else {
		inject_external(vcpu, backend, source);
	}
	vector = ev->late_vector >= 0 ? ev->late_vector : source->requested(source->ctx, vcpu);
	want_windows(vcpu, backend, vector, ev->nmi_pending != 0);
}

bool event_wakes(const struct vcpu *vcpu, const struct hv_backend *backend,
		 const struct event_source *source)
{
	const struct vcpu_events *ev = &vcpu->events;
	bool waits = waiting_vector(vcpu, source) >= 0;

	/* Looked at in any case: what was posted is told of once, and the vCPU may sleep now. */
	if (backend->info.virtual_interrupts) {
		waits |= source->virtual_pending(source->ctx, vcpu) >= 0;
	}
	if (ev->nmi_pending != 0 || ev->exception.type != VCPU_EVENT_NONE ||
	    ev->reinject.type != VCPU_EVENT_NONE) {
		return true;
	}
	return waits && (backend->blocked(vcpu, VCPU_EVENT_INTERRUPT) & VCPU_BLOCKED_IF) == 0;
}
