/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/ioapic.h"
#include "tests/fakes/fake_cpu.h"

#define FIRST ((char *)0x1000000)
#define SECOND ((char *)0x2000000)
#define ABSENT ((char *)0x3000000)

struct model {
	uint32_t index;
	uint32_t lines;
	uint64_t redir[24];
	unsigned torn; /* an unmasked entry had one half changed */
};

static struct model chip[2];

static struct model *model_at(uint64_t addr)
{
	return addr >> 24 == 1 ? &chip[0] : addr >> 24 == 2 ? &chip[1] : NULL;
}

static uint32_t mmio_read(hva_t addr)
{
	struct model *m = model_at(addr.v);

	if (m == NULL) {
		return UINT32_MAX;
	}
	assert_int_equal(addr.v & 0xff, 0x10);
	if (m->index == 1) {
		return (m->lines - 1) << 16 | 0x20;
	}
	assert_true(m->index >= 0x10 && m->index < 0x10 + 2 * m->lines);
	return (uint32_t)(m->redir[(m->index - 0x10) / 2] >> m->index % 2 * 32);
}

static void mmio_write(hva_t addr, uint32_t value)
{
	struct model *m = model_at(addr.v);
	uint64_t *entry;

	if (m == NULL) {
		return;
	}
	if ((addr.v & 0xff) == 0) {
		m->index = value;
		return;
	}
	assert_true(m->index >= 0x10 && m->index < 0x10 + 2 * m->lines);
	entry = &m->redir[(m->index - 0x10) / 2];
	if (m->index % 2 != 0) {
		m->torn += (*entry & 0x10000) == 0;
		*entry = (*entry & 0xffffffff) | (uint64_t)value << 32;
	} else {
		*entry = (*entry & ~0xffffffffull) | value;
	}
}

static int setup(void **state)
{
	(void)state;
	fake_cpu_reset();
	fake_cpu.on_mmio_read = mmio_read;
	fake_cpu.on_mmio_write = mmio_write;
	memset(chip, 0, sizeof(chip));
	chip[0].lines = 24;
	chip[1].lines = 8;
	chip[0].redir[9] = 0x0100000000000930ull;
	host_ioapic_reset();
	assert_int_equal(host_ioapic_add(FIRST, 0), HV_OK);
	assert_int_equal(host_ioapic_add(SECOND, 24), HV_OK);
	chip[0].torn = chip[1].torn = 0;
	return 0;
}

static void everything_is_masked(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 24; i++) {
		assert_int_equal(chip[0].redir[i], 0x10000);
	}
	assert_int_equal(chip[1].redir[7], 0x10000);
}

static void lines_are_routed(void **state)
{
	const struct host_ioapic_line com1 = {.gsi = 4, .apic_id = 2, .vector = 0x34};
	const struct host_ioapic_line pci = {
		.gsi = 31, .apic_id = 255, .vector = 0x71, .level = true, .active_low = true};

	(void)state;
	assert_int_equal(host_ioapic_route(&com1), HV_OK);
	assert_int_equal(chip[0].redir[4], 0x0200000000000034ull);
	assert_int_equal(host_ioapic_route(&pci), HV_OK);
	assert_int_equal(chip[1].redir[7], 0xff0000000000a071ull);
	/* Moving a live line to another CPU. */
	assert_int_equal(host_ioapic_route(&com1), HV_OK);
	assert_int_equal(chip[0].torn, 0);
	assert_int_equal(host_ioapic_mask(4), HV_OK);
	assert_int_equal(chip[0].redir[4], 0x0200000000010034ull);
}

static void impossible_routes_are_refused(void **state)
{
	struct host_ioapic_line line = {.gsi = 32, .apic_id = 0, .vector = 0x40};

	(void)state;
	assert_int_equal(host_ioapic_route(&line), HV_E_NOT_FOUND);
	assert_int_equal(host_ioapic_mask(UINT32_MAX), HV_E_NOT_FOUND);
	line = (struct host_ioapic_line){.gsi = 3, .apic_id = 256, .vector = 0x40};
	assert_int_equal(host_ioapic_route(&line), HV_E_RANGE);
}

static void silent_chips_are_left_out(void **state)
{
	struct host_ioapic_line line = {.gsi = 100, .vector = 0x40};

	(void)state;
	assert_int_equal(host_ioapic_add(ABSENT, 100), HV_E_IO);
	assert_int_equal(host_ioapic_route(&line), HV_E_NOT_FOUND);
	for (unsigned i = 2; i < HOST_IOAPIC_MAX; i++) {
		assert_int_equal(host_ioapic_add(SECOND, 200 + 8 * i), HV_OK);
	}
	assert_int_equal(host_ioapic_add(SECOND, 500), HV_E_NO_MEMORY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(everything_is_masked, setup),
		cmocka_unit_test_setup(lines_are_routed, setup),
		cmocka_unit_test_setup(impossible_routes_are_refused, setup),
		cmocka_unit_test_setup(silent_chips_are_left_out, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
