/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where everything of a guest's machine lies: ports, memory-mapped registers, interrupt numbers,
 * the holes in its RAM. The one place for these numbers: E820, the ACPI tables and the wiring of
 * the device models all take them from here; guests/tables/dsdt.asl repeats a few, and its test
 * compares them.
 *
 *	0x00000000  RAM                       0xc0000000  PCI memory window (RAM ends here)
 *	0x0009fc00  EBDA, reserved            0xe0000000  ECAM, bus 0
 *	0x000a0000  legacy video, not RAM     0xfec00000  IOAPIC
 *	0x000c0000  ROM area, RAM-backed      0xfee00000  LAPIC
 *	0x000e0000  RSDP, FACS, ACPI tables   0x100000000 the rest of the RAM
 *	0x00100000  RAM
 */
#pragma once

#include <stdint.h>

/* RAM and its holes. */
#define LAYOUT_EBDA_BASE 0x9fc00ull
#define LAYOUT_VIDEO_BASE 0xa0000ull
#define LAYOUT_VIDEO_SIZE 0x20000ull
#define LAYOUT_ROM_BASE 0xc0000ull
#define LAYOUT_HIGH_BASE 0x100000ull   /* where extended memory begins */
#define LAYOUT_MMIO_BASE 0xc0000000ull /* RAM below 4 GiB ends here at the latest */
#define LAYOUT_4G 0x100000000ull
/* Under firmware, which puts ECAM and BARs where it likes above this. */
#define LAYOUT_FIRMWARE_MMIO_BASE 0x80000000ull

/* The first page holds RSDP and FACS (kept by an OS), the rest the tables (may be reclaimed). */
#define LAYOUT_ACPI_BASE 0xe0000ull
#define LAYOUT_ACPI_SIZE 0x4000ull
#define LAYOUT_ACPI_NVS_SIZE 0x1000ull

/* What is left of a BIOS (guests/tables/legacy.h). */
#define LAYOUT_BIOS_BASE 0xf0000ull

/* Memory-mapped registers. */
#define LAYOUT_PCI_MMIO_BASE LAYOUT_MMIO_BASE
#define LAYOUT_PCI_MMIO_SIZE 0x20000000ull
/* Any address above 4 GiB that is not RAM may be a BAR's; what is advertised is less. */
#define LAYOUT_PCI_MMIO64_BASE LAYOUT_4G
#define LAYOUT_PCI_MMIO64_END 0x10000000000000ull /* what a physical address can say */
#define LAYOUT_PCI_WINDOW64_SIZE_MAX 0x1000000000ull
/* Guests with fewer bits of physical address have no window; more bits do not move it. */
#define LAYOUT_PHYSICAL_BITS_MIN 36u
#define LAYOUT_PHYSICAL_BITS_MAX 42u
#define LAYOUT_ECAM_BASE 0xe0000000ull
#define LAYOUT_ECAM_SIZE 0x100000ull /* 1 MiB per bus */
#define LAYOUT_IOAPIC_BASE 0xfec00000ull
#define LAYOUT_HPET_BASE 0xfed00000ull
#define LAYOUT_LAPIC_BASE 0xfee00000ull
/* Firmware's read-only memory ends at 4 GiB, and its upper part is seen below 1 MiB as well. */
#define LAYOUT_FIRMWARE_SIZE_MAX 0x1000000ull
#define LAYOUT_FIRMWARE_SHADOW_SIZE 0x20000ull

#define LAYOUT_PCI_BUS_LAST 0u
#define LAYOUT_IOAPIC_ID 0u
#define LAYOUT_IOAPIC_PINS 24u

/* Ports. */
#define LAYOUT_PIC_MASTER 0x20u
#define LAYOUT_PIT 0x40u
#define LAYOUT_I8042_DATA 0x60u
#define LAYOUT_I8042_STATUS 0x64u
#define LAYOUT_RTC 0x70u
#define LAYOUT_PIC_SLAVE 0xa0u
#define LAYOUT_IDE_SECONDARY 0x170u /* the four only in guests that have IDE disks */
#define LAYOUT_IDE_PRIMARY 0x1f0u
#define LAYOUT_IDE_SECONDARY_CONTROL 0x376u
#define LAYOUT_IDE_PRIMARY_CONTROL 0x3f6u
#define LAYOUT_COM1 0x3f8u
#define LAYOUT_PIC_ELCR 0x4d0u
#define LAYOUT_PM_BASE 0x600u
#define LAYOUT_PM_SIZE 0x80u
#define LAYOUT_PM1_EVT (LAYOUT_PM_BASE + 0x00u)
#define LAYOUT_PM1_CNT (LAYOUT_PM_BASE + 0x04u)
#define LAYOUT_PM_TMR (LAYOUT_PM_BASE + 0x08u)
#define LAYOUT_GPE0 (LAYOUT_PM_BASE + 0x20u)
#define LAYOUT_PCI_CONFIG_ADDRESS 0xcf8u
#define LAYOUT_RESET_PORT 0xcf9u
#define LAYOUT_RESET_VALUE 6u
#define LAYOUT_PCI_CONFIG_DATA 0xcfcu
/* BARs; below are the board's own devices. */
#define LAYOUT_PCI_IO_BASE 0x1000u
#define LAYOUT_PCI_IO_END 0x10000u
#define LAYOUT_PCI_IO_FIRMWARE 0xc000u /* where firmware begins to place them */

/* SLP_TYP of PM1_CNT as \_S0, \_S3 and \_S5 name them. */
#define LAYOUT_SLP_TYP_S0 0u
#define LAYOUT_SLP_TYP_S3 1u
#define LAYOUT_SLP_TYP_S5 5u

/* Where CMOS keeps the century, as the FADT says. */
#define LAYOUT_CMOS_CENTURY 0x32u

/* Interrupts: ISA lines are GSIs of the same number, but the timer is on GSI 2. */
#define LAYOUT_IRQ_TIMER 0u
#define LAYOUT_GSI_TIMER 2u
#define LAYOUT_IRQ_KEYBOARD 1u
#define LAYOUT_IRQ_COM1 4u
#define LAYOUT_IRQ_FLOPPY 6u /* only in guests that have floppies */
#define LAYOUT_IRQ_RTC 8u
#define LAYOUT_IRQ_SCI 9u
#define LAYOUT_IRQ_MOUSE 12u
#define LAYOUT_IRQ_IDE_PRIMARY 14u
#define LAYOUT_IRQ_IDE_SECONDARY 15u
/* Inputs of the 8259s that PCI lines are routed to, level-triggered. */
#define LAYOUT_IRQ_PCI_A 10u
#define LAYOUT_IRQ_PCI_C 11u
#define LAYOUT_GSI_PCI_FIRST 16u

/* PCI functions of the chipset, device << 3 | function. */
#define LAYOUT_DEVFN_HOST_BRIDGE 0x00u
#define LAYOUT_DEVFN_VGA 0x08u	      /* 01.0, where a guest has one */
#define LAYOUT_DEVFN_FIRST 0x10u      /* 02.0: the first that is not the chipset's */
#define LAYOUT_DEVFN_ISA_BRIDGE 0xf8u /* 1f.0 */
#define LAYOUT_DEVFN_SATA 0xfau	      /* 1f.2, where a guest has one */

/*
 * Where a guest is told to put BARs above 4 GiB, if its physical addresses have that many bits: in
 * the middle of what they reach, as the top is not free on all CPUs (AMD's HyperTransport below
 * 1 TiB). 0: nowhere.
 */
static inline uint64_t layout_pci_window64(unsigned physical_bits)
{
	if (physical_bits < LAYOUT_PHYSICAL_BITS_MIN) {
		return 0;
	}
	if (physical_bits > LAYOUT_PHYSICAL_BITS_MAX) {
		physical_bits = LAYOUT_PHYSICAL_BITS_MAX;
	}
	return 1ull << (physical_bits - 1);
}

/* The window's size, from its place: at most half of what lies above. */
static inline uint64_t layout_pci_window64_size(uint64_t base)
{
	return base / 2 < LAYOUT_PCI_WINDOW64_SIZE_MAX ? base / 2 : LAYOUT_PCI_WINDOW64_SIZE_MAX;
}

/* Devices from this one on are the chipset's own in an ICH9, whose pins do not rotate. */
#define LAYOUT_PCI_DEVICE_UNROTATED 25u

/*
 * The GSI (16..23) behind pin 0..3 (INTA..INTD) of PCI device 0..31; as _PRT of the DSDT. Firmware
 * has this in tables of its own, which name inputs of the 8259s: ICH9 data sheet, "Device 31
 * Interrupt Route Register", its default, and those of other devices.
 */
static inline unsigned layout_pci_gsi(unsigned device, unsigned pin)
{
	return LAYOUT_GSI_PCI_FIRST +
	       (device < LAYOUT_PCI_DEVICE_UNROTATED ? (device + pin) & 7u : pin);
}
