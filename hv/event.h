/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events for a guest: exceptions with the double- and triple-fault rules, NMIs, external
 * interrupts, and the re-injection of an event whose delivery an exit interrupted. At most one
 * event enters per run; for the rest a window is requested from the backend.
 *
 * Sources: Intel SDM volume 3 "Interrupt 8 - Double Fault Exception" and "Priority Among
 * Concurrent Events"; AMD APM volume 2 "Event Injection".
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/api/vm.h"

/* Where external interrupts come from: the VM's interrupt controllers. */
struct event_source {
	void *ctx;
	/* The vector that may be delivered now as far as the controllers care, -1 when none. */
	int (*pending)(void *ctx, const struct vcpu *vcpu);
	/* The same without regard to the TPR: the vector to wait for with a window. */
	int (*requested)(void *ctx, const struct vcpu *vcpu);
	/* Takes it (IRR to ISR, or the INTA cycle of an 8259); returns its vector. */
	uint8_t (*accept)(void *ctx, struct vcpu *vcpu);
	/*
	 * Where the CPU delivers a LAPIC's interrupts (info.virtual_interrupts), the three above
	 * are about what else there is, and these about the LAPIC's: the highest vector that would
	 * be delivered with IF set, -1 when none;
	 */
	int (*virtual_pending)(void *ctx, const struct vcpu *vcpu);
	/* and what the CPU has to know of them before an entry. */
	void (*hand_over)(void *ctx, struct vcpu *vcpu, struct apic_entry *out);
};

/* How queueing an exception ended. */
enum event_result {
	EVENT_QUEUED,
	EVENT_TRIPLE_FAULT, /* the vCPU shuts down */
};

/* Notes the event whose delivery the exit interrupted. Call for each exit that carries one. */
void event_note_vectoring(struct vcpu *vcpu, const struct vcpu_event *vectoring);
/*
 * Queues a hardware exception, combined with one that was being delivered. `payload` is CR2 for
 * #PF, the DR6 bits for #DB, else 0.
 */
enum event_result event_exception(struct vcpu *vcpu, const struct vcpu_event *exception,
				  uint64_t payload) HV_MUST_CHECK;
/*
 * Latches an NMI. A CPU takes one at once and latches another while it handles the first; a vCPU
 * may be late to take it, and by then two may have come.
 */
void event_nmi(struct vcpu *vcpu, const struct hv_backend *backend);
/* Forgets everything: RESET and INIT. */
void event_reset(struct vcpu *vcpu);

/* Injects the next deliverable event and asks for the windows that the rest needs. */
void event_deliver(struct vcpu *vcpu, const struct hv_backend *backend,
		   const struct event_source *source);
/* Whether an event would end HLT now. `source` as in event_deliver. */
bool event_wakes(const struct vcpu *vcpu, const struct hv_backend *backend,
		 const struct event_source *source);
