/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One guest's memory in each of the walker's formats, from an empty machine to an empty machine,
 * and isolated all the while. Include once; the test says what is in the memory.
 */
#pragma once

#include <stdint.h>

#include "hv/base/bits.h"
#include "mm/frame.h"
#include "mm/gspace.h"
#include "mm/pool.h"
#include "tests/fakes/access.h"
#include "tests/fakes/fake_cpu.h"
#include "tests/fakes/scrambled_format.h"

static const struct {
	const struct pt_format *format;
	unsigned max_level;
} formats[] = {
	{&pt_format_npt, PT_LEVEL_1G},
	{&pt_format_ept, PT_LEVEL_2M},
	{&pt_format_scrambled, PT_LEVEL_4K},
};

static struct gspace g;
static struct frame_stats start;
static uint64_t pool_start;

/* The guest without memory yet, on a machine of so many bytes. */
static void start_empty(uint64_t machine, const struct pt_format *format, unsigned max_level)
{
	fake_cpu_reset();
	fake_machine(machine);
	frame_stats(&start);
	pool_start = pool_bytes_used();
	assert_int_equal(gspace_init(&g, 1, format, max_level), HV_OK);
}

static void expect_isolated(void)
{
	struct gspace *const spaces[] = {&g};
	struct isolation_report report;

	gspace_isolation_check(spaces, 1, &report);
	if (report.violations != 0) {
		fail_msg("isolation: %s at 0x%llx", report.what,
			 (unsigned long long)report.first_violation.v);
	}
}

static void end(void)
{
	struct frame_stats now;

	expect_isolated();
	space_switch(space_core());
	while (!gspace_fini_step(&g, MIB(2))) {
		expect_isolated();
	}
	frame_stats(&now);
	assert_int_equal(now.guest, 0);
	assert_int_equal(now.free + now.hv, start.free + start.hv);
	assert_int_equal(pool_bytes_used(), pool_start);
}
