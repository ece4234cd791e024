/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TSC's frequency. It is always measured, against the ACPI PM timer or channel 2 of the 8254;
 * what CPUID says is taken instead where it agrees, because it is exact. (Emulated CPUs repeat the
 * figures of a processor whose clock they do not have.)
 */
#pragma once

#include <stdint.h>

#include "hv/base/status.h"

struct tsc_result {
	uint64_t hz;
	uint64_t measured_hz; /* 0 when there was nothing to measure against */
	const char *source;   /* what `hz` comes from, for the log */
};

/*
 * `pm_timer_port` is the ACPI PM timer's I/O port, 0 when there is none. Takes about 15 ms. HV_E_IO
 * when no clock runs and CPUID says nothing.
 */
enum hv_status tsc_find_frequency(uint16_t pm_timer_port, struct tsc_result *out) HV_MUST_CHECK;

/* The frequency in Hz that CPUID gives, 0 when it does not; *source names the leaf. */
uint64_t tsc_frequency_from_cpuid(const char **source);
