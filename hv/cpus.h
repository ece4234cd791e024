/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other processors: found in ACPI's tables or by EFI, started one after the other, their TSCs
 * compared with the boot CPU's. What they do then is the caller's.
 */
#pragma once

#include "boot/handoff.h"
#include "hv/cpu/percpu.h"

struct acpi_info;

struct cpus_config {
	const struct acpi_info *acpi;
	const struct handoff *handoff;
	/*
	 * What each does, on its own stack, interrupts off, with APIC, timer and tsc_offset set up;
	 * no return. The boot CPU goes on starting others meanwhile.
	 */
	void (*main)(struct cpu_local *cpu);
};

/* Gives an area to every one that firmware has enabled: percpu_count() then counts them all. Called
 * once, on the boot CPU; `config` must live on. */
void cpus_find(const struct cpus_config *config);
/* cores[i]: the core of CPU i, the same number for its threads; of all CPUs that were found. */
void cpus_cores(uint16_t cores[CPU_MAX]);
/* Starts those that were found; returns how many run. */
unsigned cpus_start(void);
/*
 * Stops every CPU for good, the caller's last; from any context, NMIs included. Each other one is
 * sent an NMI, whose hook must call cpus_obey_stop.
 */
_Noreturn void cpus_stop_all(void);
/* On each NMI: does not return once cpus_stop_all was called anywhere. */
void cpus_obey_stop(void);
/* Prints what became of them, for a report. */
void cpus_describe(void);
