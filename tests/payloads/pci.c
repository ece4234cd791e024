/* SPDX-License-Identifier: Apache-2.0 */
/* PCI bus 0 as a system without drivers sees it: found twice, sized, moved and reset. */
#include "guests/devices/pci_config.h"
#include "guests/layout.h"
#include "hv/base/bits.h"
#include "tests/payloads/cases.h"
#include "tests/payloads/hw.h"
#include "tests/payloads/rt.h"
#include "tests/payloads/rt_pci.h"

#define HOST_BRIDGE 0x29c08086u
#define ISA_BRIDGE 0x29188086u
#define LPC_PIRQ_A 0x60u
#define FREE_MEMORY 0xd8000000u

static uint32_t port_read(unsigned bus, unsigned devfn, unsigned reg)
{
	out32(LAYOUT_PCI_CONFIG_ADDRESS, 0x80000000u | bus << 16 | devfn << 8 | reg);
	return in32(LAYOUT_PCI_CONFIG_DATA);
}

/* --- what is there --- */

static unsigned compare_mechanisms(void)
{
	unsigned count = 0;

	for (unsigned devfn = 0; devfn < PCI_FUNCTIONS; devfn++) {
		uint32_t id = pci_config(devfn, PCI_VENDOR_ID);

		for (unsigned reg = 0; reg < PCI_CONFIG_BYTES; reg += id == ~0u ? 0x40 : 4) {
			EXPECT(port_read(0, devfn, reg) == pci_config(devfn, reg),
			       "function 0x%x, register 0x%x: 0x%x by port, 0x%x by ECAM", devfn,
			       reg, port_read(0, devfn, reg), pci_config(devfn, reg));
		}
		count += id != ~0u;
	}
	EXPECT(port_read(1, 0, 0) == ~0u, "bus 1 is there");
	return count;
}

static void check_bridges(void)
{
	uint32_t routes = pci_config(LAYOUT_DEVFN_ISA_BRIDGE, LPC_PIRQ_A);

	EXPECT(pci_config(LAYOUT_DEVFN_HOST_BRIDGE, 0) == HOST_BRIDGE, "host bridge");
	EXPECT(pci_config(LAYOUT_DEVFN_ISA_BRIDGE, 0) == ISA_BRIDGE, "ISA bridge");
	pci_set_config(LAYOUT_DEVFN_ISA_BRIDGE, LPC_PIRQ_A, 0xffffffff);
	EXPECT(pci_config(LAYOUT_DEVFN_ISA_BRIDGE, LPC_PIRQ_A) == 0x8f8f8f8f, "routing registers");
	pci_set_config(LAYOUT_DEVFN_ISA_BRIDGE, LPC_PIRQ_A, routes);
}

/* --- BARs --- */

static uint64_t size_of(unsigned devfn, unsigned reg, uint32_t value)
{
	uint32_t mask;

	pci_set_config(devfn, reg, ~0u);
	mask = pci_config(devfn, reg) & ((value & PCI_BAR_IO) != 0 ? ~3u : ~15u);
	pci_set_config(devfn, reg, value);
	EXPECT(pci_config(devfn, reg) == value, "function 0x%x: BAR at 0x%x forgot", devfn, reg);
	return (uint32_t)(~mask + 1);
}

/* Firmware gave each an address that it is aligned to, in a window of the bus. */
static void check_bars(unsigned devfn)
{
	for (unsigned reg = PCI_BAR0; reg < PCI_BAR0 + PCI_BARS * 4; reg += 4) {
		uint32_t value = pci_config(devfn, reg);
		bool io = (value & PCI_BAR_IO) != 0;
		uint64_t address = value & (io ? ~3u : ~15u);
		uint64_t size = size_of(devfn, reg, value);

		if (size != 0) {
			rt_print("function 0x%x: BAR 0x%x at 0x%lx, %lu bytes\n", devfn, reg,
				 address, size);
			EXPECT(is_aligned(address, size) &&
				       range_fits(address - (io ? LAYOUT_PCI_IO_BASE
								: LAYOUT_PCI_MMIO_BASE),
						  size,
						  io ? LAYOUT_PCI_IO_END - LAYOUT_PCI_IO_BASE
						     : LAYOUT_PCI_MMIO_SIZE),
			       "function 0x%x: BAR at 0x%x is nowhere", devfn, reg);
		}
		reg += (value & (PCI_BAR_IO | PCI_BAR_64)) == PCI_BAR_64 ? 4 : 0;
	}
}

static void expect_table(uint64_t at, bool there)
{
	uint32_t control = mmio_read32(at + PCI_MSIX_ENTRY_CONTROL);

	EXPECT(control == (there ? 1 : ~0u), "MSI-X table at 0x%lx: control 0x%x", at, control);
}

/* The MSI-X table is a register block whose first state is known: masked. */
static void move_table(unsigned devfn, unsigned at)
{
	uint32_t table = pci_config(devfn, at + PCI_MSIX_TABLE);
	unsigned reg = PCI_BAR0 + (table & 7) * 4;
	uint64_t offset = table & ~7u;
	uint64_t home = pci_config(devfn, reg) & ~15u;

	expect_table(home + offset, false);
	pci_set_config(devfn, PCI_COMMAND, PCI_COMMAND_MEMORY);
	expect_table(home + offset, true);
	pci_set_config(devfn, reg, FREE_MEMORY);
	expect_table(home + offset, false);
	expect_table(FREE_MEMORY + offset, true);
	pci_set_config(devfn, reg, (uint32_t)rt_low_ram_end() - 0x10000);
	EXPECT(mmio_read32(rt_low_ram_end() - 0x10000 + offset + PCI_MSIX_ENTRY_CONTROL) != 1,
	       "a BAR hides RAM");
	pci_set_config(devfn, reg, (uint32_t)home);
	expect_table(home + offset, true);
	pci_set_config(devfn, PCI_COMMAND, 0);
	expect_table(home + offset, false);
}

/* --- reset --- */

static void reset_function(unsigned devfn)
{
	uint32_t bars[PCI_BARS];

	for (unsigned i = 0; i < PCI_BARS; i++) {
		bars[i] = pci_config(devfn, PCI_BAR0 + i * 4);
	}
	pci_set_config(devfn, PCI_COMMAND, PCI_COMMAND_MEMORY);
	if (pci_function_level_reset(devfn)) {
		EXPECT((pci_config(devfn, PCI_COMMAND) & 0xffff) == 0,
		       "function 0x%x decodes after a reset", devfn);
		for (unsigned i = 0; i < PCI_BARS; i++) {
			EXPECT((pci_config(devfn, PCI_BAR0 + i * 4) & ~15u) == 0,
			       "function 0x%x: BAR %u after a reset", devfn, i);
			pci_set_config(devfn, PCI_BAR0 + i * 4, bars[i]);
		}
	}
	pci_set_config(devfn, PCI_COMMAND, 0);
}

static void check_function(unsigned devfn)
{
	unsigned msix = pci_capability(devfn, PCI_CAP_MSIX, 0);

	check_bars(devfn);
	if (msix != 0) {
		move_table(devfn, msix);
	}
	reset_function(devfn);
}

void case_pci(void)
{
	unsigned count = compare_mechanisms();

	check_bridges();
	for (unsigned devfn = LAYOUT_DEVFN_FIRST; devfn < LAYOUT_DEVFN_ISA_BRIDGE; devfn++) {
		if (pci_config(devfn, PCI_VENDOR_ID) != ~0u) {
			check_function(devfn);
		}
	}
	rt_print("%u functions\n", count);
}
