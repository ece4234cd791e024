/* SPDX-License-Identifier: Apache-2.0 */
/* The compiled DSDT repeats numbers of guests/layout.h: here they are compared. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "guests/devices/dma8237.h"
#include "guests/devices/fdc.h"
#include "guests/devices/fw_cfg.h"
#include "guests/layout.h"
#include "guests/tables/dsdt.h"
#include "hv/base/acpi_format.h"
#include "hv/base/bits.h"

/* How often `n` bytes occur. */
static unsigned occurrences(const uint8_t *bytes, size_t n)
{
	unsigned count = 0;

	for (size_t i = SDT_HEADER_SIZE; i + n <= dsdt_aml_size; i++) {
		count += memcmp(dsdt_aml + i, bytes, n) == 0 ? 1 : 0;
	}
	return count;
}

/* Resource descriptors: ACPI specification, "Resource Data Types for ACPI". */
static void assert_has_ios(unsigned count, unsigned port, unsigned length)
{
	const uint8_t io[] = {0x47,	     0x01,
			      (uint8_t)port, (uint8_t)(port >> 8),
			      (uint8_t)port, (uint8_t)(port >> 8),
			      0x01,	     (uint8_t)length};

	assert_int_equal(occurrences(io, sizeof(io)), count);
}

static void assert_has_io(unsigned port, unsigned length)
{
	assert_has_ios(1, port, length);
}

static void assert_has_irq(unsigned irq)
{
	const uint8_t descriptor[] = {0x22, (uint8_t)(1u << irq), (uint8_t)(1u << irq >> 8), 0x79};

	assert_int_equal(occurrences(descriptor, sizeof(descriptor)), 1);
}

static void put32(uint8_t *p, uint64_t v)
{
	uint32_t low = (uint32_t)v;

	memcpy(p, &low, 4);
}

static void test_header(void **state)
{
	uint32_t length;

	(void)state;
	memcpy(&length, dsdt_aml + SDT_LENGTH, 4);
	assert_memory_equal(dsdt_aml, "DSDT", 4);
	assert_int_equal(length, dsdt_aml_size);
	assert_int_equal(acpi_sum(dsdt_aml, dsdt_aml_size), 0);
	/* 32-bit integers: old systems refuse more. */
	assert_int_equal(dsdt_aml[SDT_REVISION], 1);
	assert_int_equal(occurrences((const uint8_t *)"\x08"
						      "FLGS\x0c",
				     6),
			 1);
}

static void test_ports_and_lines(void **state)
{
	(void)state;
	assert_has_io(LAYOUT_PM_BASE, LAYOUT_PM_SIZE);
	assert_has_ios(2, LAYOUT_PCI_CONFIG_ADDRESS, 8); /* with and without the 64-bit window */
	assert_has_io(LAYOUT_PIC_MASTER, 2);
	assert_has_io(LAYOUT_PIC_SLAVE, 2);
	assert_has_io(LAYOUT_PIC_ELCR, 2);
	assert_has_io(DMA_SLAVE_PORT, DMA_PORTS);
	assert_has_io(DMA_MASTER_PORT, DMA_PORTS);
	assert_has_io(DMA_PAGE_PORT, DMA_PAGE_PORTS);
	assert_has_io(DMA_PAGE_ALIAS_PORT, DMA_PAGE_ALIAS_PORTS);
	assert_has_io(FDC_PORT, FDC_PORTS);
	assert_has_io(FDC_PORT_DIR, 1);
	assert_has_io(LAYOUT_PIT, 4);
	assert_has_io(LAYOUT_RTC, 2);
	assert_has_io(LAYOUT_COM1, 8);
	assert_has_io(LAYOUT_I8042_DATA, 1);
	assert_has_io(LAYOUT_I8042_STATUS, 1);
	assert_has_io(FW_CFG_PORT, FW_CFG_PORTS);
	/* IRQNoFlags: no flags byte follows, the end tag does. */
	assert_has_irq(LAYOUT_IRQ_TIMER);
	assert_has_irq(LAYOUT_IRQ_KEYBOARD);
	assert_has_irq(LAYOUT_IRQ_COM1);
	assert_has_irq(LAYOUT_IRQ_FLOPPY);
	assert_has_irq(LAYOUT_IRQ_RTC);
	assert_has_irq(LAYOUT_IRQ_MOUSE);
}

static void test_memory_windows(void **state)
{
	uint8_t fixed[12] = {0x86, 9, 0, 1};
	uint8_t window[16];

	(void)state;
	put32(fixed + 4, LAYOUT_ECAM_BASE);
	put32(fixed + 8, LAYOUT_ECAM_SIZE);
	assert_int_equal(occurrences(fixed, sizeof(fixed)), 1);
	put32(window, LAYOUT_PCI_MMIO_BASE);
	put32(window + 4, LAYOUT_PCI_MMIO_BASE + LAYOUT_PCI_MMIO_SIZE - 1);
	put32(window + 8, 0);
	put32(window + 12, LAYOUT_PCI_MMIO_SIZE);
	assert_int_equal(occurrences(window, sizeof(window)), 2);
	fixed[3] = 0; /* not written by the guest's drivers */
	put32(fixed + 4, LAYOUT_HPET_BASE);
	put32(fixed + 8, 0x400);
	assert_int_equal(occurrences(fixed, sizeof(fixed)), 1);
}

/* The window above RAM is in a buffer that only ACPI 2.0 systems are shown. */
static void test_64_bit_window(void **state)
{
	const uint8_t descriptor[] = {0x8a, 0x2b, 0x00, 0x00};
	const uint8_t asked[] = {0x92, 0x95, '_', 'R', 'E', 'V', 0x0a, 0x02};

	(void)state;
	assert_int_equal(occurrences(descriptor, sizeof(descriptor)), 1);
	assert_int_equal(occurrences(asked, sizeof(asked)), 1);
}

static void test_window_place(void **state)
{
	(void)state;
	assert_int_equal(layout_pci_window64(32), 0);
	assert_true(layout_pci_window64(36) == 0x800000000);
	assert_true(layout_pci_window64_size(0x800000000) == 0x400000000);
	assert_true(layout_pci_window64(40) == 0x8000000000);
	assert_true(layout_pci_window64_size(0x8000000000) == 0x1000000000);
	assert_true(layout_pci_window64(52) == 0x20000000000);
}

static void test_sleep_states(void **state)
{
	const uint8_t s5[] = {'_', 'S', '5', '_', 0x12, 7, 4, 0x0a, LAYOUT_SLP_TYP_S5, 0, 0};
	const uint8_t s3[] = {'_', 'S', '3', '_', 0x12, 6, 4, LAYOUT_SLP_TYP_S3, 0, 0, 0};
	const uint8_t s0[] = {'_', 'S', '0', '_', 0x12, 6, 4, LAYOUT_SLP_TYP_S0, 0, 0, 0};

	(void)state;
	assert_int_equal(occurrences(s5, sizeof(s5)), 1);
	assert_int_equal(occurrences(s3, sizeof(s3)), 1);
	assert_int_equal(occurrences(s0, sizeof(s0)), 1);
}

static void test_interrupt_routing(void **state)
{
	(void)state;
	for (unsigned device = 1; device < 32; device++) {
		for (unsigned pin = 0; pin < 4; pin++) {
			/* Package { address, pin, 0, GSI }: 0 and 1 have opcodes of their own. */
			uint8_t entry[16] = {0x04, 0x0c, 0xff, 0xff, (uint8_t)device, 0};
			size_t n = 6;

			if (pin > 1) {
				entry[n++] = 0x0a;
			}
			entry[n++] = (uint8_t)pin;
			entry[n++] = 0;
			entry[n++] = 0x0a;
			entry[n++] = (uint8_t)layout_pci_gsi(device, pin);
			assert_int_equal(occurrences(entry, n), 1);
		}
	}
}

/* The same lines for systems that take interrupts from the 8259s: link devices, by name. */
static void test_routing_without_apics(void **state)
{
	(void)state;
	for (unsigned device = 1; device < 32; device++) {
		for (unsigned pin = 0; pin < 4; pin++) {
			uint8_t entry[16] = {0x04, 0x0c, 0xff, 0xff, (uint8_t)device, 0};
			unsigned line = layout_pci_gsi(device, pin) - LAYOUT_GSI_PCI_FIRST;
			size_t n = 6;

			if (pin > 1) {
				entry[n++] = 0x0a;
			}
			entry[n++] = (uint8_t)pin;
			memcpy(entry + n, "LNK", 3);
			entry[n + 3] = (uint8_t)('A' + line);
			entry[n + 4] = 0;
			assert_int_equal(occurrences(entry, n + 5), 1);
		}
	}
	/* IRQ: level, low, shared, on inputs that take a PCI line. */
	const uint8_t possible[] = {0x23, BIT32(5),
				    (BIT32(LAYOUT_IRQ_PCI_A) | BIT32(LAYOUT_IRQ_PCI_C)) >> 8, 0x18};

	assert_int_equal(occurrences(possible, sizeof(possible)), 1);
}

static void test_isa_bridge_address(void **state)
{
	uint8_t adr[] = {'_', 'A', 'D', 'R', 0x0c, 0, 0, 0, 0};

	(void)state;
	put32(adr + 5,
	      (uint32_t)(LAYOUT_DEVFN_ISA_BRIDGE >> 3) << 16 | (LAYOUT_DEVFN_ISA_BRIDGE & 7u));
	assert_int_equal(occurrences(adr, sizeof(adr)), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_ports_and_lines),
		cmocka_unit_test(test_memory_windows),
		cmocka_unit_test(test_64_bit_window),
		cmocka_unit_test(test_window_place),
		cmocka_unit_test(test_sleep_states),
		cmocka_unit_test(test_interrupt_routing),
		cmocka_unit_test(test_routing_without_apics),
		cmocka_unit_test(test_isa_bridge_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
