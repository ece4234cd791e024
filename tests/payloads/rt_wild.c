/* SPDX-License-Identifier: Apache-2.0 */
/* What mad drivers share. */
#include "tests/payloads/rt_wild.h"

#include "guests/layout.h"
#include "hv/base/bits.h"
#include "tests/payloads/hw.h"
#include "tests/payloads/rt.h"
#include "tests/payloads/rt_pci.h"

#define FREE_VECTOR 0x80u
#define FREE_VECTORS 0x60u
#define BARS 6u
#define CALM (PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_OFF)

uint32_t rt_pick(uint64_t *seed, uint32_t n)
{
	return (uint32_t)(rt_random(seed) >> 33) % n;
}

bool rt_one_in(uint64_t *seed, uint32_t n)
{
	return rt_pick(seed, n) == 0;
}

uint64_t rt_wild_address(uint64_t *seed)
{
	const uint64_t places[] = {
		rt_low_ram_end() - rt_pick(seed, 32),
		rt_low_ram_end(),
		LAYOUT_PCI_MMIO_BASE + rt_pick(seed, 0x10000),
		LAYOUT_ECAM_BASE + rt_pick(seed, 0x100000),
		LAYOUT_IOAPIC_BASE,
		LAYOUT_LAPIC_BASE + rt_pick(seed, 0x1000),
		LAYOUT_4G - rt_pick(seed, 16),
		LAYOUT_4G + rt_pick(seed, 0x10000),
		1ull << (36 + rt_pick(seed, 28)),
		~0ull - rt_pick(seed, 0x10000),
		rt_random(seed) | BIT(63),
	};

	return places[rt_pick(seed, ARRAY_SIZE(places))];
}

void rt_write_anywhere(uint64_t *seed, uint64_t at, uint32_t bytes)
{
	unsigned order = rt_pick(seed, 4);
	uint64_t place = at + (rt_pick(seed, bytes) & ~((1u << order) - 1));
	uint64_t value = rt_random(seed);

	switch (order) {
	case 0:
		mmio_write8(place, (uint8_t)value);
		break;
	case 1:
		mmio_write16(place, (uint16_t)value);
		break;
	case 2:
		mmio_write32(place, (uint32_t)value);
		break;
	default:
		mmio_write64(place, value);
		break;
	}
}

void rt_read_anywhere(uint64_t *seed, uint64_t at, uint32_t bytes)
{
	(void)mmio_read8(at + rt_pick(seed, bytes));
	(void)mmio_read16(at + (rt_pick(seed, bytes) & ~1u));
	(void)mmio_read32(at + (rt_pick(seed, bytes) & ~3u));
	(void)mmio_read64(at + (rt_pick(seed, bytes) & ~7u));
}

/* --- places --- */

uint64_t rt_written_place(void)
{
	return rt_free_ram();
}

uint64_t rt_data_place(void)
{
	return rt_written_place() + RT_WRITTEN_BYTES;
}

uint64_t rt_lists_place(void)
{
	return rt_data_place() + RT_DATA_BYTES;
}

static uint64_t some_page(uint64_t *seed)
{
	return rt_data_place() + (rt_pick(seed, RT_DATA_BYTES) & ~0xfffu);
}

void rt_fill_data(uint64_t *seed)
{
	for (uint64_t at = rt_data_place(); at < rt_lists_place(); at += 8) {
		mmio_write64(at, some_page(seed));
	}
}

uint64_t rt_some_address(uint64_t *seed)
{
	if (rt_one_in(seed, 12)) {
		return rt_wild_address(seed);
	}
	return rt_one_in(seed, 2) ? some_page(seed)
				  : rt_data_place() + (rt_pick(seed, RT_DATA_BYTES) & ~3u);
}

uint64_t rt_some_list(uint64_t *seed, uint32_t align, uint32_t bytes)
{
	if (rt_one_in(seed, 24)) {
		return rt_wild_address(seed);
	}
	return rt_lists_place() + (rt_pick(seed, RT_LISTS_BYTES - bytes) & ~(align - 1));
}

/* --- interrupts --- */

static void ignore(struct rt_frame *f)
{
	(void)f;
	apic_eoi();
}

uint8_t rt_some_vector(uint64_t *seed)
{
	return (uint8_t)(FREE_VECTOR + rt_pick(seed, FREE_VECTORS));
}

void rt_ignore_vectors(void)
{
	for (unsigned i = 0; i < FREE_VECTORS; i++) {
		rt_handle((uint8_t)(FREE_VECTOR + i), ignore);
	}
	apic_enable();
}

void rt_take_interrupts(void)
{
	interrupts_on();
	(void)pm_timer();
	interrupts_off();
}

/* --- functions --- */

/* An APIC that is there or not, RAM, or nothing. */
static uint32_t message_address(uint64_t *seed)
{
	uint64_t address =
		rt_one_in(seed, 2) ? APIC_BASE | rt_pick(seed, 4) << 12 : rt_wild_address(seed);

	return (uint32_t)address & ~0xcu;
}

static void random_msix(uint64_t *seed, unsigned devfn, unsigned at)
{
	uint32_t table = pci_config(devfn, at + PCI_MSIX_TABLE);
	uint64_t entry = pci_bar(devfn, table & 7) + (table & ~7u) +
			 rt_pick(seed, 2) * (uint64_t)PCI_MSIX_ENTRY;

	mmio_write32(entry, message_address(seed));
	mmio_write32(entry + 4, rt_one_in(seed, 4) ? (uint32_t)rt_random(seed) : 0);
	mmio_write32(entry + 8, rt_some_vector(seed));
	mmio_write32(entry + PCI_MSIX_ENTRY_CONTROL, rt_one_in(seed, 4));
	mmio_write16(entry + rt_pick(seed, 7), (uint16_t)rt_random(seed));
	pci_set_config(devfn, at, rt_one_in(seed, 4) ? 0 : PCI_MSIX_DWORD(PCI_MSIX_ENABLE));
}

static void random_msi(uint64_t *seed, unsigned devfn, unsigned at)
{
	uint32_t control = pci_config(devfn, at) >> 16;
	bool wide = (control & PCI_MSI_64) != 0;

	pci_set_config(devfn, at + PCI_MSI_ADDRESS, message_address(seed));
	if (wide) {
		pci_set_config(devfn, at + PCI_MSI_ADDRESS_HIGH, rt_pick(seed, 4) == 0);
	}
	pci_set_config(devfn, at + (wide ? PCI_MSI_DATA_64 : PCI_MSI_DATA_32),
		       rt_some_vector(seed));
	pci_set_config(devfn, at, rt_one_in(seed, 4) ? 0 : PCI_MSI_ENABLE << 16);
}

/* A reset of the function takes its BARs. */
static void reset_function(unsigned devfn)
{
	uint32_t bars[BARS];

	for (unsigned i = 0; i < BARS; i++) {
		bars[i] = pci_config(devfn, PCI_BAR0 + i * 4);
	}
	if (pci_function_level_reset(devfn)) {
		for (unsigned i = 0; i < BARS; i++) {
			pci_set_config(devfn, PCI_BAR0 + i * 4, bars[i]);
		}
	}
	rt_calm_function(devfn);
}

void rt_disturb_function(uint64_t *seed, unsigned devfn)
{
	unsigned msix = pci_capability(devfn, PCI_CAP_MSIX, 0);
	unsigned msi = pci_capability(devfn, PCI_CAP_MSI, 0);

	if (rt_one_in(seed, 4)) {
		reset_function(devfn);
	} else if (rt_one_in(seed, 2)) {
		pci_set_config(devfn, PCI_COMMAND,
			       (pci_config(devfn, PCI_COMMAND) & 0xffff) ^ PCI_COMMAND_MASTER);
	} else if (msix != 0) {
		random_msix(seed, devfn, msix);
	} else if (msi != 0) {
		random_msi(seed, devfn, msi);
	}
}

void rt_calm_function(unsigned devfn)
{
	unsigned power = pci_capability(devfn, PCI_CAP_POWER, 0);
	unsigned msix = pci_capability(devfn, PCI_CAP_MSIX, 0);
	unsigned msi = pci_capability(devfn, PCI_CAP_MSI, 0);

	if (power != 0) {
		pci_set_config(devfn, power + PCI_POWER_CONTROL, 0);
	}
	if (msix != 0) {
		pci_set_config(devfn, msix, 0);
	}
	if (msi != 0) {
		pci_set_config(devfn, msi, 0);
	}
	pci_set_config(devfn, PCI_COMMAND, CALM);
}
