/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tests of the paravirtual interfaces share: a guest of three vCPUs, "web", of which the first
 * one acts.
 */
#pragma once

#include <string.h>

#include "hv/api/gmem.h"
#include "hv/cpu/msr.h"
#include "hv/pv.h"
#include "hv/pvclock.h"
#include "tests/fakes/exit_rig.h"

#define PV_CPUS 3u
/* Where the tests put the guest's pages. */
#define PV_PAGE (VM_RIG_CODE + 0x1000)

static inline int pv_machine(void **state)
{
	int status = exit_machine(state);

	exit_config.cpus = PV_CPUS;
	return status;
}

static inline int pv_setup(void **state)
{
	exit_config.paravirt = true;
	return exit_setup(state);
}

#define PV_TEST(name) cmocka_unit_test_setup_teardown(name, pv_setup, exit_clean)

/* What the guest would read and write at PV_PAGE + offset. */
static inline void pv_read(uint64_t offset, void *dst, size_t n)
{
	assert_int_equal(guest_mem_read(&g->vm, gpa(PV_PAGE + offset), dst, n), HV_OK);
}

static inline void pv_poke(uint64_t offset, const void *src, size_t n)
{
	assert_int_equal(guest_mem_write(&g->vm, gpa(PV_PAGE + offset), src, n), HV_OK);
}

/* As long as it takes all vCPUs, of which the others wait for a start-up message, to have a turn.
 */
static inline void pv_run(void)
{
	for (unsigned i = 0; i < PV_CPUS; i++) {
		run_once();
	}
}

static inline bool pv_put(uint32_t index, uint64_t value)
{
	return pv_msr_write(vcpu, index, value);
}

static inline uint64_t pv_get(uint32_t index)
{
	uint64_t value = 0;

	assert_true(pv_msr_read(vcpu, index, &value));
	return value;
}

/* Addresses that are not RAM, wholly or at their end. */
static const uint64_t pv_not_ram[] = {0xfee00000, GIB(3), BIT(46), ~63ull, VM_RIG_GUEST_MEMORY};
