/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other processors: found in ACPI's tables or by EFI, started one after the other, their TSCs
 * compared with the boot CPU's. What they do then is the caller's.
 */
#pragma once

#include "boot/handoff.h"

struct acpi_info;
struct cpu_local;

struct cpus_config {
	const struct acpi_info *acpi;
	const struct handoff *handoff;
	/*
	 * What each does, on its own stack, interrupts off, with APIC, timer and tsc_offset set up;
	 * no return. The boot CPU goes on starting others meanwhile.
	 */
	void (*main)(struct cpu_local *cpu);
};

/* Starts every one that firmware has enabled. Called once, on the boot CPU; `config` must live on.
 */
void cpus_start(const struct cpus_config *config);
/*
 * Stops every CPU for good, the caller's last; from any context, NMIs included. Each other one is
 * sent an NMI, whose hook must call cpus_obey_stop.
 */
_Noreturn void cpus_stop_all(void);
/* On each NMI: does not return once cpus_stop_all was called anywhere. */
void cpus_obey_stop(void);
/* Prints what became of them, for a report. */
void cpus_describe(void);
