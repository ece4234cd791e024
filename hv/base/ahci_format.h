/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registers and structures of AHCI host bus adapters. Shared by the driver of the machine's
 * adapters (drivers/ahci.h) and the model that guests find (guests/devices/ahci.h). Sources: Serial
 * ATA AHCI 1.3.1 Specification; Serial ATA Revision 3, "FIS types".
 */
#pragma once

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/base/bits.h"

#define AHCI_CLASS 0x010601u

/* "HBA Memory Registers": generic host control. */
#define AHCI_CAP 0x00u
#define AHCI_GHC 0x04u
#define AHCI_IS 0x08u
#define AHCI_PI 0x0cu
#define AHCI_VS 0x10u
#define AHCI_CAP2 0x24u
#define AHCI_BOHC 0x28u
#define AHCI_PORTS 0x100u
#define AHCI_PORT_SIZE 0x80u
#define AHCI_PORTS_MAX 32u
#define AHCI_SLOTS_MAX 32u

#define AHCI_CAP_NP MASK(4, 0)	 /* ports, less one */
#define AHCI_CAP_NCS MASK(12, 8) /* command slots, less one */
#define AHCI_CAP_SAM BIT32(18)	 /* no other interface but this */
#define AHCI_CAP_ISS MASK(23, 20)
#define AHCI_CAP_SCLO BIT32(24)
#define AHCI_CAP_SSS BIT32(27) /* staggered spin-up */
#define AHCI_CAP_SNCQ BIT32(30)
#define AHCI_CAP_S64A BIT32(31)
#define AHCI_SPEED_GEN2 2u /* of ISS, and of PxSSTS.SPD */
#define AHCI_GHC_HR BIT32(0)
#define AHCI_GHC_IE BIT32(1)
#define AHCI_GHC_AE BIT32(31)
#define AHCI_VS_1_2 0x00010200u
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
#define AHCI_PXRESERVED 0x1cu
#define AHCI_PXTFD 0x20u
#define AHCI_PXSIG 0x24u
#define AHCI_PXSSTS 0x28u
#define AHCI_PXSCTL 0x2cu
#define AHCI_PXSERR 0x30u
#define AHCI_PXSACT 0x34u
#define AHCI_PXCI 0x38u

#define AHCI_PXCLB_ADDRESS 0xfffffc00u
#define AHCI_PXFB_ADDRESS 0xffffff00u
#define AHCI_PXIS_DHRS BIT32(0)
#define AHCI_PXIS_PSS BIT32(1)
#define AHCI_PXIS_DSS BIT32(2)
#define AHCI_PXIS_SDBS BIT32(3)
#define AHCI_PXIS_UFS BIT32(4)
#define AHCI_PXIS_DPS BIT32(5)
#define AHCI_PXIS_PCS BIT32(6)
#define AHCI_PXIS_PRCS BIT32(22)
#define AHCI_PXIS_IPMS BIT32(23)
#define AHCI_PXIS_OFS BIT32(24)
#define AHCI_PXIS_INFS BIT32(26)
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
#define AHCI_PXCMD_CLO BIT32(3)
#define AHCI_PXCMD_FRE BIT32(4)
#define AHCI_PXCMD_CCS MASK(12, 8)
#define AHCI_PXCMD_FR BIT32(14)
#define AHCI_PXCMD_CR BIT32(15)
#define AHCI_PXCMD_ATAPI BIT32(24)
#define AHCI_PXCMD_DLAE BIT32(25)
#define AHCI_PXCMD_ICC MASK(31, 28)
#define AHCI_PXCMD_ICC_ACTIVE 1u
#define AHCI_PXTFD_STS MASK(7, 0)
#define AHCI_PXTFD_ERR BIT32(0)
#define AHCI_PXTFD_DRQ BIT32(3)
#define AHCI_PXTFD_DF BIT32(5) /* device fault */
#define AHCI_PXTFD_BSY BIT32(7)
#define AHCI_PXTFD_FAILED (AHCI_PXTFD_ERR | AHCI_PXTFD_DF)
#define AHCI_PXTFD_NONE 0x7fu /* no device */
#define AHCI_PXSIG_DISK 0x00000101u
#define AHCI_PXSIG_PACKET 0xeb140101u
#define AHCI_PXSIG_NONE 0xffffffffu
#define AHCI_PXSSTS_DET MASK(3, 0)
#define AHCI_PXSSTS_SPD MASK(7, 4)
#define AHCI_PXSSTS_IPM MASK(11, 8)
#define AHCI_IPM_ACTIVE 1u
#define AHCI_DET_PRESENT 3u
#define AHCI_DET_OFFLINE 4u
#define AHCI_PXSCTL_DET MASK(3, 0)
#define AHCI_PXSCTL_SPD MASK(7, 4) /* the highest that is allowed; 0: any */
#define AHCI_DET_NONE 0u
#define AHCI_DET_RESET 1u
#define AHCI_PXSERR_DIAG_N BIT32(16) /* PhyRdy changed */
#define AHCI_PXSERR_DIAG_X BIT32(26) /* exchanged */
#define AHCI_GONE UINT32_MAX

/* "Received FIS Structure": where FISes go, from PxFB on. */
#define AHCI_RECEIVED_BYTES 256u
#define AHCI_RECEIVED_DMA_SETUP 0x00u
#define AHCI_RECEIVED_PIO_SETUP 0x20u
#define AHCI_RECEIVED_D2H 0x40u
#define AHCI_RECEIVED_SDB 0x58u

/* "Command List Structure": a header for each slot. */
struct ahci_header {
	uint16_t flags;
	uint16_t prd_count;
	uint32_t prd_bytes; /* moved, set by the HBA */
	uint64_t table;
	uint32_t reserved[4];
};
static_assert(sizeof(struct ahci_header) == 32, "wire format");
#define AHCI_HEADER_CFL 0x1fu /* dwords of the FIS, 2 .. 16 */
#define AHCI_HEADER_FIS_DWORDS 5u
#define AHCI_HEADER_PACKET 0x20u
#define AHCI_HEADER_WRITE 0x40u
#define AHCI_HEADER_RESET 0x100u
#define AHCI_HEADER_CLEAR_BUSY 0x400u
#define AHCI_TABLE_ALIGN 128u

/* "Command Table": the FIS, the packet of a packet command, and the table of regions. */
#define AHCI_TABLE_PACKET 0x40u
#define AHCI_TABLE_REGIONS 0x80u

/* "Physical Region Descriptor Table". */
struct ahci_prd {
	uint64_t address;
	uint32_t reserved;
	uint32_t size; /* bytes, less one */
};
static_assert(sizeof(struct ahci_prd) == 16, "wire format");
#define AHCI_PRD_BYTES (4u << 20)
#define AHCI_PRD_SIZE 0x3fffffu
#define AHCI_PRD_INTERRUPT BIT32(31)

/* "FIS types". The dwords of each, and the bits of its second byte. */
#define FIS_TYPE_H2D 0x27u
#define FIS_TYPE_D2H 0x34u
#define FIS_TYPE_DMA_SETUP 0x41u
#define FIS_TYPE_PIO_SETUP 0x5fu
#define FIS_TYPE_SDB 0xa1u
#define FIS_H2D_BYTES 20u
#define FIS_D2H_BYTES 20u
#define FIS_DMA_SETUP_BYTES 28u
#define FIS_PIO_SETUP_BYTES 20u
#define FIS_SDB_BYTES 8u
#define FIS_H2D_COMMAND 0x80u
#define FIS_INTERRUPT 0x40u
#define FIS_TO_HOST 0x20u
#define FIS_DEVICE_LBA 0x40u

/* Both register FISes, and the PIO Setup FIS in what they share. */
#define FIS_COMMAND 2u	/* status, from the device */
#define FIS_FEATURES 3u /* error, from the device */
#define FIS_LBA 4u	/* bytes 0 .. 2 */
#define FIS_DEVICE 7u
#define FIS_LBA_EXT 8u /* bytes 3 .. 5 */
#define FIS_FEATURES_EXT 11u
#define FIS_COUNT 12u
#define FIS_COUNT_EXT 13u
#define FIS_CONTROL 15u	   /* of the host's */
#define FIS_END_STATUS 15u /* of a PIO Setup */
#define FIS_PIO_BYTES 16u
/* DMA Setup: the buffer is the tag, then how much. */
#define FIS_DMA_BUFFER 4u
#define FIS_DMA_BYTES 20u
/* Set Device Bits: which tags are done. */
#define FIS_SDB_DONE 4u
#define FIS_SDB_STATUS 0x77u
