/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tests of Microsoft's interface share: a guest of three vCPUs, "web", whose LAPICs are on,
 * and of which the first one acts.
 */
#pragma once

#include <string.h>

#include "hv/api/clock.h"
#include "hv/api/gmem.h"
#include "hv/exit.h"
#include "hv/hyperv_internal.h"
#include "hv/pv.h"
#include "tests/fakes/exit_rig.h"

#define HYPERV_CPUS 3u
/* Where the tests put the guest's pages. */
#define HYPERV_PAGE (VM_RIG_CODE + 0x1000)

static inline int hyperv_machine(void **state)
{
	int status = exit_machine(state);

	exit_config.cpus = HYPERV_CPUS;
	exit_config.paravirt = false;
	exit_config.hyperv = true;
	exit_config.test_device = true;
	return status;
}

static inline int hyperv_setup(void **state)
{
	int status = exit_setup(state);

	for (unsigned i = 0; i < HYPERV_CPUS; i++) {
		assert_true(bus_write(&g->vm.mmio, 0xfee000f0, 4, i, 0x1ff));
	}
	return status;
}

#define HYPERV_TEST(name) cmocka_unit_test_setup_teardown(name, hyperv_setup, exit_clean)

/* What the guest would read and write at HYPERV_PAGE + offset. */
static inline void hyperv_peek(uint64_t offset, void *dst, size_t n)
{
	assert_int_equal(guest_mem_read(&g->vm, gpa(HYPERV_PAGE + offset), dst, n), HV_OK);
}

static inline void hyperv_poke(uint64_t offset, const void *src, size_t n)
{
	assert_int_equal(guest_mem_write(&g->vm, gpa(HYPERV_PAGE + offset), src, n), HV_OK);
}

/* Through the exits' table, so that a row is there for each. */
static inline bool hyperv_put(uint32_t index, uint64_t value)
{
	return msr_write(vcpu, index, value);
}

static inline uint64_t hyperv_get(uint32_t index)
{
	uint64_t value = 0xbad;

	if (!msr_read(vcpu, index, &value)) {
		fail_msg("RDMSR 0x%x faults", index);
	}
	return value;
}

static inline bool hyperv_faults(uint32_t index)
{
	uint64_t value;

	return !msr_read(vcpu, index, &value);
}

/* Whether the vector is requested of a vCPU; takes it, and ends it where that is not automatic. */
static inline bool hyperv_got(unsigned index, uint8_t vector)
{
	struct lapic *l = board_lapic(g->board, index);
	bool requested = vecset_test(&l->irr, vector);

	if (requested) {
		assert_true(lapic_accept(l, vector));
		if (vecset_test(&l->isr, vector)) {
			lapic_eoi(l);
		}
	}
	return requested;
}

/* Addresses of pages that are not RAM. */
static const uint64_t hyperv_not_ram[] = {0xfee00000, GIB(3), BIT(46), VM_RIG_GUEST_MEMORY,
					  MASK(63, 12)};
