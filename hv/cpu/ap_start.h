/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting the application processors, one at a time: INIT, SIPI, SIPI. How the IPIs are sent is
 * the caller's (the LAPIC driver stands higher). Source: Intel SDM volume 3 "Multiple-Processor
 * (MP) Initialization"; its MP start-up example gives the delays.
 */
#pragma once

#include <stdint.h>

#include "hv/base/addr.h"
#include "hv/base/status.h"
#include "hv/cpu/percpu.h"

struct ap_start {
	hpa_t trampoline; /* page below 1 MiB but not 0 or 0x1000 */
	void *page;	  /* where that page is mapped writable; kept for ever */
	uint64_t cr3;	  /* maps the image, all CPU areas and the trampoline 1:1, executable */
	uint64_t tsc_hz;
	void (*send_init)(uint32_t apic_id);
	void (*send_startup)(uint32_t apic_id, uint8_t page_number);
	/* What the new CPU does, on its own stack, descriptors loaded, interrupts off; no return.
	 */
	void (*main)(struct cpu_local *cpu);
};

/*
 * Lays out the trampoline page. `start` must stay alive. HV_E_UNSUPPORTED when the page cannot
 * serve (none was found, or at an impossible place).
 */
enum hv_status ap_start_prepare(const struct ap_start *start) HV_MUST_CHECK;

/* Sends INIT to each CPU that has an area and is offline, and lets it settle. */
void ap_start_reset(void);

/*
 * Starts `cpu`, which ap_start_reset has reset, and waits up to five seconds until it is online.
 * HV_E_IO: it did not answer and was sent back to waiting, or a CPU with another APIC ID answered;
 * its state is then CPU_FAILED and its area must never be used again. The new CPU has the caller's
 * CR0, CR4 and PAT.
 */
enum hv_status ap_start_cpu(struct cpu_local *cpu) HV_MUST_CHECK;
