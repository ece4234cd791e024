/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The KVM paravirtual clock, which stock Linux kernels use without exits: a page in guest memory
 * says how to turn the guest's TSC into nanoseconds. Who writes it when: hv/pv_time.c.
 *
 * Source: Linux Documentation/virt/kvm/x86/msr.rst, "MSR_KVM_WALL_CLOCK_NEW" and
 * "MSR_KVM_SYSTEM_TIME_NEW".
 */
#pragma once

#include <stdint.h>

#include "hv/base/bits.h"

struct pvclock_vcpu_time_info {
	uint32_t version; /* odd while being written */
	uint32_t pad0;
	uint64_t tsc_timestamp;
	uint64_t system_time; /* ns at tsc_timestamp */
	uint32_t tsc_to_system_mul;
	int8_t tsc_shift;
	uint8_t flags;
	uint8_t pad[2];
};
static_assert(sizeof(struct pvclock_vcpu_time_info) == 32, "ABI");
static_assert(offsetof(struct pvclock_vcpu_time_info, tsc_to_system_mul) == 24, "ABI");

#define PVCLOCK_BODY 4u /* what the version guards begins here */

struct pvclock_wall_clock {
	uint32_t version;
	uint32_t sec;
	uint32_t nsec;
};
static_assert(sizeof(struct pvclock_wall_clock) == 12, "ABI");

/* One page serves on all vCPUs; time was taken from the guest in a pause (it clears that). */
#define PVCLOCK_TSC_STABLE 1u
#define PVCLOCK_GUEST_STOPPED 2u

/* Multiplier and shift: ns = ((ticks << shift) * mul) >> 32, shift right when negative. */
void pvclock_scale(uint64_t tsc_hz, uint32_t *mul, int8_t *shift);
/*
 * The page for a guest whose TSC shows `guest_tsc` when `system_ns` have passed since its start;
 * its version is 0.
 */
void pvclock_fill(struct pvclock_vcpu_time_info *info, uint64_t tsc_hz, uint64_t guest_tsc,
		  uint64_t system_ns, uint8_t flags);
