/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ACPI tables as bytes: signatures, field offsets, entry types. Shared by the reader of the host's
 * tables (drivers/acpi.c) and the writer of the guests' (guests/tables/acpi.c). Tables are packed
 * and unaligned, so fields are named by offset. Source: ACPI specification, "ACPI Software
 * Programming Model", section titles below; MCFG: PCI Firmware Specification.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* "Root System Description Pointer (RSDP)". */
#define RSDP_SIGNATURE "RSD PTR "
#define RSDP_CHECKSUM 8u
#define RSDP_OEM_ID 9u
#define RSDP_REVISION 15u
#define RSDP_RSDT 16u
#define RSDP_V1_SIZE 20u
#define RSDP_LENGTH 20u
#define RSDP_XSDT 24u
#define RSDP_CHECKSUM_EXT 32u
#define RSDP_V2_SIZE 36u

/* "System Description Table Header". */
#define SDT_LENGTH 4u
#define SDT_REVISION 8u
#define SDT_CHECKSUM 9u
#define SDT_OEM_ID 10u
#define SDT_OEM_TABLE_ID 16u
#define SDT_OEM_REVISION 24u
#define SDT_CREATOR_ID 28u
#define SDT_CREATOR_REVISION 32u
#define SDT_HEADER_SIZE 36u

/* "Generic Address Structure (GAS)": 12 bytes. */
#define GAS_SPACE 0u
#define GAS_WIDTH 1u
#define GAS_ACCESS 3u
#define GAS_ADDRESS 4u
#define GAS_SIZE 12u
#define GAS_SPACE_MEMORY 0u
#define GAS_SPACE_IO 1u

/* "Fixed ACPI Description Table (FADT)". */
#define FADT_FIRMWARE_CTRL 36u
#define FADT_DSDT 40u
#define FADT_PM_PROFILE 45u
#define FADT_SCI_INT 46u
#define FADT_SMI_CMD 48u
#define FADT_ACPI_ENABLE 52u
#define FADT_PM1A_EVT 56u
#define FADT_PM1A_CNT 64u
#define FADT_PM1B_CNT 68u
#define FADT_PM_TMR 76u
#define FADT_GPE0 80u
#define FADT_PM1_EVT_LEN 88u
#define FADT_PM1_CNT_LEN 89u
#define FADT_PM_TMR_LEN 91u
#define FADT_GPE0_LEN 92u
#define FADT_P_LVL2_LAT 96u
#define FADT_P_LVL3_LAT 98u
#define FADT_CENTURY 108u
#define FADT_BOOT_ARCH 109u
#define FADT_FLAGS 112u
#define FADT_RESET_REG 116u
#define FADT_RESET_VALUE 128u
#define FADT_X_FIRMWARE_CTRL 132u
#define FADT_X_DSDT 140u
#define FADT_X_PM1A_EVT 148u
#define FADT_X_PM1A_CNT 172u
#define FADT_X_PM1B_CNT 184u
#define FADT_X_PM_TMR 208u
#define FADT_X_GPE0 220u
#define FADT_V1_SIZE 116u
#define FADT_V4_SIZE 244u

/* "Fixed ACPI Description Table Fixed Feature Flags". */
#define FADT_FLAG_WBINVD (1u << 0)
#define FADT_FLAG_PROC_C1 (1u << 2)
#define FADT_FLAG_NO_POWER_BUTTON (1u << 4)
#define FADT_FLAG_NO_SLEEP_BUTTON (1u << 5)
#define FADT_FLAG_NO_FIXED_RTC (1u << 6)
#define FADT_FLAG_TMR_32BIT (1u << 8)
#define FADT_FLAG_RESET_REG (1u << 10)
#define FADT_FLAG_HW_REDUCED (1u << 20)

/* "IA-PC Boot Architecture Flags". */
#define FADT_BOOT_LEGACY_DEVICES (1u << 0)
#define FADT_BOOT_8042 (1u << 1)
#define FADT_BOOT_NO_VGA (1u << 2)

/* "Firmware ACPI Control Structure (FACS)". */
#define FACS_LENGTH 4u
#define FACS_WAKING_VECTOR 12u
#define FACS_VERSION 32u
#define FACS_SIZE 64u

/* "Multiple APIC Description Table (MADT)" and its interrupt controller structures. */
#define MADT_LAPIC_BASE 36u
#define MADT_FLAGS 40u
#define MADT_FLAG_PCAT 1u
#define MADT_ENTRIES 44u
#define MADT_TYPE_LAPIC 0u
#define MADT_TYPE_IOAPIC 1u
#define MADT_TYPE_OVERRIDE 2u
#define MADT_TYPE_NMI_SOURCE 3u
#define MADT_TYPE_LAPIC_NMI 4u
#define MADT_TYPE_LAPIC_OVERRIDE 5u
#define MADT_TYPE_X2APIC 9u
#define MADT_TYPE_X2APIC_NMI 10u
#define MADT_CPU_ENABLED 1u
#define MADT_CPU_ONLINE_CAPABLE 2u
/* MPS INTI flags: polarity in bits 1:0, trigger mode in bits 3:2. */
#define MADT_INTI_ACTIVE_HIGH 0x1u
#define MADT_INTI_ACTIVE_LOW 0x3u
#define MADT_INTI_EDGE 0x4u
#define MADT_INTI_LEVEL 0xcu

/* MCFG: 8 reserved bytes, then one allocation structure per segment. */
#define MCFG_ENTRIES 44u
#define MCFG_ENTRY_SIZE 16u
#define MCFG_ENTRY_BASE 0u
#define MCFG_ENTRY_SEGMENT 8u
#define MCFG_ENTRY_BUS_FIRST 10u
#define MCFG_ENTRY_BUS_LAST 11u

/* HPET: the event timer block's base address is a GAS. */
#define HPET_BLOCK_ID 36u
#define HPET_MIN_TICK 53u
#define HPET_BASE_GAS 40u
#define HPET_SIZE 56u

/* The 8-bit sum over `n` bytes: 0 for a table in order. */
static inline uint8_t acpi_sum(const uint8_t *p, size_t n)
{
	unsigned sum = 0;

	for (size_t i = 0; i < n; i++) {
		sum += p[i];
	}
	return (uint8_t)sum;
}
