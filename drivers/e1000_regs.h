/* SPDX-License-Identifier: Apache-2.0 */
/* Registers and descriptors of Intel's 8254x and 82574 families. Not for other drivers. */
#pragma once

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/base/bits.h"

/* Offsets in BAR 0; section "Register Descriptions". */
#define E1000_CTRL 0x0000u
#define E1000_STATUS 0x0008u
#define E1000_EERD 0x0014u
#define E1000_FCAL 0x0028u
#define E1000_FCAH 0x002cu
#define E1000_FCT 0x0030u
#define E1000_ICR 0x00c0u
#define E1000_ITR 0x00c4u
#define E1000_IMS 0x00d0u
#define E1000_IMC 0x00d8u
#define E1000_IVAR 0x00e4u  /* 82574 */
#define E1000_EITR0 0x00e8u /* 82574 */
#define E1000_RCTL 0x0100u
#define E1000_FCTTV 0x0170u
#define E1000_TCTL 0x0400u
#define E1000_TIPG 0x0410u
#define E1000_RDBAL 0x2800u
#define E1000_RDBAH 0x2804u
#define E1000_RDLEN 0x2808u
#define E1000_RDH 0x2810u
#define E1000_RDT 0x2818u
#define E1000_RDTR 0x2820u
#define E1000_RADV 0x282cu
#define E1000_TDBAL 0x3800u
#define E1000_TDBAH 0x3804u
#define E1000_TDLEN 0x3808u
#define E1000_TDH 0x3810u
#define E1000_TDT 0x3818u
#define E1000_TXDCTL 0x3828u
#define E1000_RXCSUM 0x5000u
#define E1000_MTA 0x5200u
#define E1000_RAL0 0x5400u
#define E1000_RAH0 0x5404u
/* What of BAR 0 is used. */
#define E1000_REGISTERS_SIZE 0x6000u
#define E1000_MTA_WORDS 128u

#define CTRL_GIO_MASTER_DISABLE BIT32(2) /* PCI Express */
#define CTRL_LRST BIT32(3)
#define CTRL_ASDE BIT32(5)
#define CTRL_SLU BIT32(6)
#define CTRL_ILOS BIT32(7)
#define CTRL_FRCSPD BIT32(11)
#define CTRL_FRCDPLX BIT32(12)
#define CTRL_RST BIT32(26)
#define CTRL_RFCE BIT32(27)
#define CTRL_TFCE BIT32(28)
#define CTRL_VME BIT32(30)
#define CTRL_PHY_RST BIT32(31)

#define STATUS_LU BIT32(1)
#define STATUS_SPEED MASK(7, 6) /* 10, 100, 1000, 1000 Mbit/s */
#define STATUS_GIO_MASTER BIT32(19)

#define EERD_START BIT32(0)
#define EERD_DATA MASK(31, 16)

#define ICR_LSC BIT32(2)
#define ICR_RXDMT0 BIT32(4)
#define ICR_RXO BIT32(6)
#define ICR_RXT0 BIT32(7)
#define ICR_RXQ0 BIT32(20)  /* 82574 */
#define ICR_OTHER BIT32(24) /* 82574 */

/* Receive, transmit and the rest to message 0, each with its valid bit. */
#define IVAR_ALL_TO_0 (BIT32(3) | BIT32(11) | BIT32(19))

#define RCTL_EN BIT32(1)
#define RCTL_UPE BIT32(3)
#define RCTL_MPE BIT32(4)
#define RCTL_BAM BIT32(15)
#define RCTL_SECRC BIT32(26)

#define TCTL_EN BIT32(1)
#define TCTL_PSP BIT32(3)
#define TCTL_CT MASK(11, 4)
#define TCTL_COLD MASK(21, 12)

/* IPGT, IPGR1 and IPGR2 that the manual gives for copper. */
#define TIPG_COPPER (8u | 8u << 10 | 6u << 20)

#define TXDCTL_COUNT_DESC BIT32(22) /* PCI Express: to be set */

#define RXCSUM_IPOFL BIT32(8)
#define RXCSUM_TUOFL BIT32(9)

#define RAH_AV BIT32(31)

struct e1000_rx_desc {
	uint64_t address;
	uint16_t length;
	uint16_t checksum;
	uint8_t status;
	uint8_t errors;
	uint16_t special;
};
static_assert(sizeof(struct e1000_rx_desc) == 16, "legacy receive descriptor");
static_assert(offsetof(struct e1000_rx_desc, status) == 12, "legacy receive descriptor");

#define RXD_DD BIT32(0)
#define RXD_EOP BIT32(1)
#define RXD_IXSM BIT32(2)
#define RXD_TCPCS BIT32(5)
/* Errors: CRC or alignment, symbol, sequence, carrier extension, data. */
#define RXD_WIRE_ERRORS (BIT32(0) | BIT32(1) | BIT32(2) | BIT32(4) | BIT32(7))
#define RXD_CHECKSUM_ERRORS (BIT32(5) | BIT32(6))

struct e1000_tx_desc {
	uint64_t address;
	uint16_t length;
	uint8_t checksum_offset;
	uint8_t command;
	uint8_t status;
	uint8_t checksum_start;
	uint16_t special;
};
static_assert(sizeof(struct e1000_tx_desc) == 16, "legacy transmit descriptor");
static_assert(offsetof(struct e1000_tx_desc, status) == 12, "legacy transmit descriptor");

#define TXD_EOP BIT32(0)
#define TXD_IFCS BIT32(1)
#define TXD_RS BIT32(3)
#define TXD_DD BIT32(0)
