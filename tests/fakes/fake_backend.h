/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtualization extension of plain data: struct hv_backend whose registers are arrays and whose
 * guest is a script. What the caller owes a real backend (load before run, one event per run, the
 * VM's space current, at one place at a time) is checked; a breach prints what it was and aborts.
 */
#pragma once

#include "hv/api/apic_page.h"
#include "hv/api/vm.h"
#include "tests/fakes/fake_cpu.h"

struct fake_vcpu {
	struct vcpu vcpu;
	uint64_t regs[VCPU_REG_COUNT];
	struct vcpu_segment segs[VCPU_SEG_COUNT];
	uint64_t tsc_offset;
	bool shadow;		    /* STI or MOV SS */
	bool nmi_blocked;	    /* in an NMI handler */
	struct vcpu_event injected; /* enters with the next run */
	int window_vector;	    /* asked for last */
	bool window_nmi;
	unsigned flushes;
	bool running; /* on some CPU */
};

static inline struct fake_vcpu *fake_vcpu(struct vcpu *vcpu)
{
	return container_of(vcpu, struct fake_vcpu, vcpu);
}

struct fake_backend {
	/* The guest, when no exit is queued; NULL: a physical interrupt. */
	void (*guest)(struct vcpu *vcpu, struct vm_exit *exit);
	uint64_t run_ticks; /* what each run takes */
	/* Called when the VM has its space, before vm_init is done; may refuse. */
	enum hv_status (*on_vm_init)(struct vm *vm);
	bool no_vcpu; /* vcpu_create finds no memory */

	unsigned vms, vcpus; /* that exist now */
	unsigned runs, loads, puts, dumps;
	struct vcpu *loaded[FAKE_CPUS_MAX];
	struct vcpu *ran_last;
	/* The one page of LAPIC registers, and what apic_load told last; used where a test's own
	 * table says info.virtual_interrupts. */
	uint32_t apic_page[APIC_PAGE_SIZE / 4];
	struct apic_entry apic_loaded;
	/* Events that entered a guest. */
	unsigned delivered_count;
	struct vcpu_event delivered;
};

extern struct fake_backend fake_backend;
extern const struct hv_backend fake_hv_backend;

/* What this CPU has loaded; NULL. */
static inline struct vcpu *fake_loaded(void)
{
	return fake_backend.loaded[fake_cpu_index()];
}

/* Forgets script and counts; nothing may exist any more. */
void fake_backend_reset(void);
/* What the next run that has nothing queued before it ends with. */
void fake_backend_push(const struct vm_exit *exit);
/* Exits that no run has taken yet. */
unsigned fake_backend_queued(void);
