/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registers and structures of AHCI host bus adapters. Source: Serial ATA AHCI 1.3.1.
 */
#pragma once

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/base/ata_format.h"
#include "hv/base/bits.h"

/* "HBA Memory Registers": generic host control. */
#define AHCI_CAP 0x00u
#define AHCI_GHC 0x04u
#define AHCI_IS 0x08u
#define AHCI_PI 0x0cu
#define AHCI_CAP2 0x24u
#define AHCI_BOHC 0x28u
#define AHCI_PORTS 0x100u
#define AHCI_PORT_SIZE 0x80u
#define AHCI_PORTS_MAX 32u

#define AHCI_CAP_NCS MASK(12, 8) /* command slots, less one */
#define AHCI_CAP_SSS BIT32(27)	 /* staggered spin-up */
#define AHCI_CAP_SNCQ BIT32(30)
#define AHCI_CAP_S64A BIT32(31)
#define AHCI_GHC_HR BIT32(0)
#define AHCI_GHC_IE BIT32(1)
#define AHCI_GHC_AE BIT32(31)
#define AHCI_CAP2_BOH BIT32(0)
#define AHCI_BOHC_BOS BIT32(0)
#define AHCI_BOHC_OOS BIT32(1)

/* Port registers. */
#define AHCI_PXCLB 0x00u
#define AHCI_PXCLBU 0x04u
#define AHCI_PXFB 0x08u
#define AHCI_PXFBU 0x0cu
#define AHCI_PXIS 0x10u
#define AHCI_PXIE 0x14u
#define AHCI_PXCMD 0x18u
#define AHCI_PXTFD 0x20u
#define AHCI_PXSIG 0x24u
#define AHCI_PXSSTS 0x28u
#define AHCI_PXSCTL 0x2cu
#define AHCI_PXSERR 0x30u
#define AHCI_PXSACT 0x34u
#define AHCI_PXCI 0x38u

#define AHCI_PXIS_DHRS BIT32(0)
#define AHCI_PXIS_PSS BIT32(1)
#define AHCI_PXIS_SDBS BIT32(3)
#define AHCI_PXIS_PCS BIT32(6)
#define AHCI_PXIS_PRCS BIT32(22)
#define AHCI_PXIS_IFS BIT32(27)
#define AHCI_PXIS_HBDS BIT32(28)
#define AHCI_PXIS_HBFS BIT32(29)
#define AHCI_PXIS_TFES BIT32(30)
#define AHCI_PXIS_ERRORS (AHCI_PXIS_IFS | AHCI_PXIS_HBDS | AHCI_PXIS_HBFS | AHCI_PXIS_TFES)
#define AHCI_PXIS_WANTED \
	(AHCI_PXIS_DHRS | AHCI_PXIS_PSS | AHCI_PXIS_SDBS | AHCI_PXIS_PCS | AHCI_PXIS_PRCS | \
	 AHCI_PXIS_ERRORS)
#define AHCI_PXCMD_ST BIT32(0)
#define AHCI_PXCMD_SUD BIT32(1)
#define AHCI_PXCMD_POD BIT32(2)
#define AHCI_PXCMD_FRE BIT32(4)
#define AHCI_PXCMD_FR BIT32(14)
#define AHCI_PXCMD_CR BIT32(15)
#define AHCI_PXCMD_ICC MASK(31, 28)
#define AHCI_PXCMD_ICC_ACTIVE 1u
#define AHCI_PXTFD_ERR BIT32(0)
#define AHCI_PXTFD_DRQ BIT32(3)
#define AHCI_PXTFD_DF BIT32(5) /* device fault */
#define AHCI_PXTFD_BSY BIT32(7)
#define AHCI_PXTFD_FAILED (AHCI_PXTFD_ERR | AHCI_PXTFD_DF)
#define AHCI_PXSIG_DISK 0x00000101u
#define AHCI_PXSSTS_DET MASK(3, 0)
#define AHCI_DET_PRESENT 3u
#define AHCI_PXSCTL_DET MASK(3, 0)
#define AHCI_DET_RESET 1u
#define AHCI_GONE UINT32_MAX

/* "Command List Structure": a header for each slot. */
struct ahci_header {
	uint16_t flags;
	uint16_t prd_count;
	uint32_t prd_bytes; /* moved, set by the HBA */
	uint64_t table;
	uint32_t reserved[4];
};
static_assert(sizeof(struct ahci_header) == 32, "wire format");
#define AHCI_HEADER_FIS_DWORDS 5u
#define AHCI_HEADER_WRITE 0x40u

/* "Physical Region Descriptor Table". */
struct ahci_prd {
	uint64_t address;
	uint32_t reserved;
	uint32_t size; /* bytes, less one */
};
static_assert(sizeof(struct ahci_prd) == 16, "wire format");
#define AHCI_PRD_BYTES (4u << 20)

/* "Command Table". One buffer is one stretch of memory: a descriptor suffices. */
struct ahci_table {
	uint8_t fis[64];
	uint8_t atapi[16];
	uint8_t reserved[48];
	struct ahci_prd prd;
	uint8_t pad[112];
};
static_assert(offsetof(struct ahci_table, prd) == 0x80, "wire format");
static_assert(sizeof(struct ahci_table) == 256, "tables begin at multiples of 128");

/* Register FIS, host to device. */
#define FIS_TYPE_H2D 0x27u
#define FIS_H2D_COMMAND 0x80u
#define FIS_DEVICE_LBA 0x40u
