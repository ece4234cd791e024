/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registers and descriptors of Intel's 8254x and 82574 gigabit network cards. Shared by what drives
 * the machine's cards (drivers/e1000.c) and what guests find (guests/devices/e1000.h). Sources:
 * Intel PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual, "Register
 * Descriptions", "Receive and Transmit Description"; Intel 82574 GbE Controller Family Datasheet,
 * "Driver Programing Interface", "Inline Functions". What only the 82574 has says so.
 */
#pragma once

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/base/bits.h"

/* --- offsets in BAR 0 --- */

#define E1000_CTRL 0x0000u
#define E1000_CTRL_DUP 0x0004u
#define E1000_STATUS 0x0008u
#define E1000_EECD 0x0010u
#define E1000_EERD 0x0014u
#define E1000_CTRL_EXT 0x0018u
#define E1000_FLA 0x001cu
#define E1000_MDIC 0x0020u
#define E1000_FCAL 0x0028u
#define E1000_FCAH 0x002cu
#define E1000_FCT 0x0030u
#define E1000_VET 0x0038u
#define E1000_ICR 0x00c0u
#define E1000_ITR 0x00c4u
#define E1000_ICS 0x00c8u
#define E1000_IMS 0x00d0u
#define E1000_IMC 0x00d8u
#define E1000_EIAC 0x00dcu  /* 82574 */
#define E1000_IAM 0x00e0u   /* 82574 */
#define E1000_IVAR 0x00e4u  /* 82574 */
#define E1000_EITR0 0x00e8u /* 82574: five of them */
#define E1000_RCTL 0x0100u
#define E1000_FCTTV 0x0170u
#define E1000_TXCW 0x0178u
#define E1000_RXCW 0x0180u
#define E1000_TCTL 0x0400u
#define E1000_TCTL_EXT 0x0404u /* 82574 */
#define E1000_TIPG 0x0410u
#define E1000_AIT 0x0458u
#define E1000_LEDCTL 0x0e00u
#define E1000_EXTCNF_CTRL 0x0f00u /* 82574 */
#define E1000_EXTCNF_SIZE 0x0f08u /* 82574 */
#define E1000_PHY_CTRL 0x0f10u	  /* 82574 */
#define E1000_PBA 0x1000u
#define E1000_PBS 0x1008u
#define E1000_EEMNGCTL 0x1010u /* 82574 */
#define E1000_EEWR 0x102cu     /* 82574 */
#define E1000_FCRTL 0x2160u
#define E1000_FCRTH 0x2168u
#define E1000_PSRCTL 0x2170u
#define E1000_RDFH 0x2410u /* diagnostic, as all to RDFPC */
#define E1000_RDFPC 0x2430u
#define E1000_RDBAL 0x2800u
#define E1000_RDBAH 0x2804u
#define E1000_RDLEN 0x2808u
#define E1000_RDH 0x2810u
#define E1000_RDT 0x2818u
#define E1000_RDTR 0x2820u
#define E1000_RXDCTL 0x2828u
#define E1000_RADV 0x282cu
#define E1000_RSRPD 0x2c00u
#define E1000_RAID 0x2c08u /* 82574 */
#define E1000_TDFH 0x3410u /* diagnostic, as all to TDFPC */
#define E1000_TDFPC 0x3430u
#define E1000_TDBAL 0x3800u
#define E1000_TDBAH 0x3804u
#define E1000_TDLEN 0x3808u
#define E1000_TDH 0x3810u
#define E1000_TDT 0x3818u
#define E1000_TIDV 0x3820u
#define E1000_TXDCTL 0x3828u
#define E1000_TADV 0x382cu
#define E1000_TSPMT 0x3830u
#define E1000_TARC0 0x3840u	  /* 82574 */
#define E1000_QUEUE_STRIDE 0x100u /* 82574: to the second queue of either direction */
#define E1000_STATISTICS 0x4000u
#define E1000_RXCSUM 0x5000u
#define E1000_RFCTL 0x5008u /* 82574 */
#define E1000_MTA 0x5200u
#define E1000_RAL0 0x5400u
#define E1000_RAH0 0x5404u
#define E1000_VFTA 0x5600u
#define E1000_WUC 0x5800u
#define E1000_WUFC 0x5808u
#define E1000_WUS 0x5810u
#define E1000_MRQC 0x5818u /* 82574 */
#define E1000_MANC 0x5820u
#define E1000_IPAV 0x5838u
#define E1000_IP6AT_LAST 0x588cu
#define E1000_WUPL 0x5900u
#define E1000_GCR 0x5b00u /* 82574, as the next six */
#define E1000_GSCL_LAST 0x5b1cu
#define E1000_FACTPS 0x5b30u
#define E1000_SWSM 0x5b50u
#define E1000_FWSM 0x5b54u
#define E1000_SW_FW_SYNC 0x5b5cu
#define E1000_GCR2 0x5b64u
#define E1000_RETA 0x5c00u
#define E1000_RSSRK 0x5c80u
#define E1000_RSSRK_LAST 0x5ca4u
#define E1000_FFLT 0x5f00u
/* What of BAR 0 is used, the clock's registers aside. */
#define E1000_REGISTERS_SIZE 0x6000u

/* --- 82574: the clock --- */

#define E1000_TIME_SYNC E1000_SYSTIML
#define E1000_SYSTIML 0xb600u
#define E1000_SYSTIMH 0xb604u
#define E1000_TIMINCA 0xb608u
#define E1000_TIMADJL 0xb60cu
#define E1000_TIMADJH 0xb610u
#define E1000_TSYNCTXCTL 0xb614u
#define E1000_TXSTMPL 0xb618u
#define E1000_TXSTMPH 0xb61cu
#define E1000_TSYNCRXCTL 0xb620u
#define E1000_RXSTMPL 0xb624u
#define E1000_RXSTMPH 0xb628u
#define E1000_RXSATRL 0xb62cu
#define E1000_RXSATRH 0xb630u
#define E1000_RXMTRL 0xb634u
#define E1000_RXUDP 0xb638u
#define E1000_TIME_SYNC_LAST E1000_RXUDP
#define E1000_TIME_SYNC_REGISTERS ((E1000_TIME_SYNC_LAST - E1000_TIME_SYNC) / 4 + 1)

/* TSYNCTXCTL and TSYNCRXCTL. */
#define E1000_TSYNC_VALID BIT32(0)
#define E1000_TSYNC_EN BIT32(4)
#define E1000_TSYNCRXCTL_TYPE MASK(3, 1)
/* RXMTRL: EtherType, control of version 1, message type of version 2. */
#define E1000_RXMTRL_ETHERTYPE 0xffffu
#define E1000_RXMTRL_RESET 0x88f7u
#define E1000_RXUDP_RESET 0x3f01u /* 319, as on the wire */

#define E1000_MTA_WORDS 128u
#define E1000_VFTA_WORDS 128u
#define E1000_ADDRESSES 16u /* RAL and RAH, in turn */

/* --- statistics, by their offset --- */

#define E1000_MPC 0x4010u
#define E1000_PRC64 0x405cu /* and five more: up to 127, 255, 511, 1023, the rest */
#define E1000_GPRC 0x4074u
#define E1000_BPRC 0x4078u
#define E1000_MPRC 0x407cu
#define E1000_GPTC 0x4080u
#define E1000_GORCL 0x4088u
#define E1000_GORCH 0x408cu
#define E1000_GOTCL 0x4090u
#define E1000_GOTCH 0x4094u
#define E1000_RNBC 0x40a0u
#define E1000_TORL 0x40c0u
#define E1000_TORH 0x40c4u
#define E1000_TOTL 0x40c8u
#define E1000_TOTH 0x40ccu
#define E1000_TPR 0x40d0u
#define E1000_TPT 0x40d4u
#define E1000_PTC64 0x40d8u /* and five more, as PRC64 */
#define E1000_MPTC 0x40f0u
#define E1000_BPTC 0x40f4u
#define E1000_TSCTC 0x40f8u
#define E1000_TSCTFC 0x40fcu
#define E1000_IAC 0x4100u
#define E1000_STATISTICS_LAST 0x4124u

/* --- bits --- */

#define E1000_CTRL_FD BIT32(0)
#define E1000_CTRL_GIO_MASTER_DISABLE BIT32(2) /* 82574 */
#define E1000_CTRL_LRST BIT32(3)
#define E1000_CTRL_ASDE BIT32(5)
#define E1000_CTRL_SLU BIT32(6)
#define E1000_CTRL_ILOS BIT32(7)
#define E1000_CTRL_SPEED_1000 BIT32(9)
#define E1000_CTRL_FRCSPD BIT32(11)
#define E1000_CTRL_FRCDPLX BIT32(12)
#define E1000_CTRL_RST BIT32(26)
#define E1000_CTRL_RFCE BIT32(27)
#define E1000_CTRL_TFCE BIT32(28)
#define E1000_CTRL_VME BIT32(30)
#define E1000_CTRL_PHY_RST BIT32(31)

#define E1000_STATUS_FD BIT32(0)
#define E1000_STATUS_LU BIT32(1)
#define E1000_STATUS_SPEED MASK(7, 6) /* 10, 100, 1000, 1000 Mbit/s */
#define E1000_STATUS_SPEED_1000 BIT32(7)
#define E1000_STATUS_ASDV_1000 BIT32(9)
#define E1000_STATUS_GIO_MASTER BIT32(19) /* 82574 */

#define E1000_EECD_SK BIT32(0)
#define E1000_EECD_CS BIT32(1)
#define E1000_EECD_DI BIT32(2)
#define E1000_EECD_DO BIT32(3)
#define E1000_EECD_FWE_OFF BIT32(4) /* the flash is write-protected */
#define E1000_EECD_FWE MASK(5, 4)
#define E1000_EECD_REQ BIT32(6)
#define E1000_EECD_GNT BIT32(7)
#define E1000_EECD_PRES BIT32(8)
#define E1000_EECD_AUTO_RD BIT32(9) /* 82574: what it loads by itself is loaded */

#define E1000_EERD_START BIT32(0)
#define E1000_EERD_DATA MASK(31, 16)
#define E1000_EERD_DONE BIT32(4)
#define E1000_EERD_ADDRESS MASK(15, 8)
#define E1000_EERD_DONE_82574 BIT32(1)
#define E1000_EERD_ADDRESS_82574 MASK(15, 2)

#define E1000_CTRL_EXT_ASDCHK BIT32(12)
#define E1000_CTRL_EXT_EE_RST BIT32(13)
#define E1000_CTRL_EXT_EIAME BIT32(24) /* 82574, as the next two */
#define E1000_CTRL_EXT_IAME BIT32(27)
#define E1000_CTRL_EXT_PBA_CLR BIT32(31)

#define E1000_MDIC_DATA MASK(15, 0)
#define E1000_MDIC_REGISTER MASK(20, 16)
#define E1000_MDIC_PHY MASK(25, 21)
#define E1000_MDIC_WRITE BIT32(26)
#define E1000_MDIC_READ BIT32(27)
#define E1000_MDIC_READY BIT32(28)
#define E1000_MDIC_INTERRUPT BIT32(29)
#define E1000_MDIC_ERROR BIT32(30)

#define E1000_ICR_TXDW BIT32(0)
#define E1000_ICR_TXQE BIT32(1)
#define E1000_ICR_LSC BIT32(2)
#define E1000_ICR_RXDMT0 BIT32(4)
#define E1000_ICR_RXO BIT32(6)
#define E1000_ICR_RXT0 BIT32(7)
#define E1000_ICR_MDAC BIT32(9)
#define E1000_ICR_TXD_LOW BIT32(15)
#define E1000_ICR_SRPD BIT32(16)
#define E1000_ICR_RXQ0 BIT32(20) /* 82574, as the following */
#define E1000_ICR_RXQ1 BIT32(21)
#define E1000_ICR_TXQ0 BIT32(22)
#define E1000_ICR_TXQ1 BIT32(23)
#define E1000_ICR_OTHER BIT32(24)
#define E1000_ICR_INT_ASSERTED BIT32(31)

/* 82574: four bits for each of RXQ0, RXQ1, TXQ0, TXQ1 and OTHER: a vector and its valid bit. */
#define E1000_IVAR_VECTOR 0x7u
#define E1000_IVAR_VALID 0x8u
/* Receive, transmit and the rest to message 0. */
#define E1000_IVAR_ALL_TO_0 (BIT32(3) | BIT32(11) | BIT32(19))
#define E1000_VECTORS 5u

/* Units of ITR and EITR, and of the delays RDTR, RADV, TIDV and TADV. */
#define E1000_ITR_NS 256u
#define E1000_DELAY_NS 1024u
#define E1000_DELAY_FLUSH BIT32(31) /* of RDTR and TIDV */

#define E1000_RCTL_EN BIT32(1)
#define E1000_RCTL_UPE BIT32(3)
#define E1000_RCTL_MPE BIT32(4)
#define E1000_RCTL_LPE BIT32(5)
#define E1000_RCTL_LBM MASK(7, 6)
#define E1000_RCTL_RDMTS MASK(9, 8)
#define E1000_RCTL_DTYP_PS BIT32(10)
#define E1000_RCTL_MO MASK(13, 12)
#define E1000_RCTL_BAM BIT32(15)
#define E1000_RCTL_BSIZE MASK(17, 16)
#define E1000_RCTL_VFE BIT32(18)
#define E1000_RCTL_CFIEN BIT32(19)
#define E1000_RCTL_CFI BIT32(20)
#define E1000_RCTL_BSEX BIT32(25)
#define E1000_RCTL_SECRC BIT32(26)
#define E1000_RCTL_FLXBUF MASK(30, 27) /* 82574: KiB */

#define E1000_TCTL_EN BIT32(1)
#define E1000_TCTL_PSP BIT32(3)
#define E1000_TCTL_CT MASK(11, 4)
#define E1000_TCTL_COLD MASK(21, 12)

/* IPGT, IPGR1 and IPGR2 that the manual gives for copper. */
#define E1000_TIPG_COPPER (8u | 8u << 10 | 6u << 20)

#define E1000_TXDCTL_LWTHRESH MASK(31, 25)
#define E1000_TXDCTL_COUNT_DESC BIT32(22) /* 82574: to be set */

#define E1000_RXCSUM_PCSS MASK(7, 0)
#define E1000_RXCSUM_IPOFL BIT32(8)
#define E1000_RXCSUM_TUOFL BIT32(9)
#define E1000_RXCSUM_PCSD BIT32(13) /* 82574 */

#define E1000_RFCTL_EXSTEN BIT32(15)

#define E1000_RAH_AV BIT32(31)
#define E1000_RAH_ADDRESS_SELECT MASK(17, 16)

#define E1000_SWSM_SMBI BIT32(0)
#define E1000_FWSM_MODE MASK(3, 1)

/* --- descriptors --- */

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

/* What an 82574 with RFCTL.EXSTEN writes over the two addresses that it read. */
struct e1000_rx_extended {
	uint32_t mrq;	/* RSS type */
	uint16_t ip_id; /* or RSS hash, with the next */
	uint16_t checksum;
	uint32_t status; /* and errors from bit 20 on */
	uint16_t length;
	uint16_t vlan;
};
static_assert(sizeof(struct e1000_rx_extended) == 16, "extended receive descriptor");
static_assert(offsetof(struct e1000_rx_extended, status) == 8, "extended receive descriptor");

/* Four addresses, and what is written over them when packets are split. */
#define E1000_SPLIT_BUFFERS 4u
struct e1000_rx_split {
	uint64_t address[E1000_SPLIT_BUFFERS];
};
static_assert(sizeof(struct e1000_rx_split) == 32, "packet split receive descriptor");

struct e1000_rx_split_done {
	uint32_t mrq;
	uint16_t ip_id;
	uint16_t checksum;
	uint32_t status;
	uint16_t length0;
	uint16_t vlan;
	uint16_t header_status;
	uint16_t length[3];
	uint64_t reserved;
};
static_assert(sizeof(struct e1000_rx_split_done) == 32, "packet split receive descriptor");
static_assert(offsetof(struct e1000_rx_split_done, length) == 18, "packet split write-back");

#define E1000_RXD_DD BIT32(0)
#define E1000_RXD_EOP BIT32(1)
#define E1000_RXD_IXSM BIT32(2)
#define E1000_RXD_VP BIT32(3)
#define E1000_RXD_UDPCS BIT32(4) /* 82574 */
#define E1000_RXD_TCPCS BIT32(5)
#define E1000_RXD_IPCS BIT32(6)
#define E1000_RXD_PIF BIT32(7)
#define E1000_RXD_TST BIT32(8) /* 82574, extended: its moment is in RXSTMP */
/* Errors: CRC or alignment, symbol, sequence, carrier extension, data. */
#define E1000_RXD_WIRE_ERRORS (BIT32(0) | BIT32(1) | BIT32(2) | BIT32(4) | BIT32(7))
#define E1000_RXD_CHECKSUM_ERRORS (BIT32(5) | BIT32(6))

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

#define E1000_TXD_EOP BIT32(0)
#define E1000_TXD_IFCS BIT32(1)
#define E1000_TXD_IC BIT32(2) /* of legacy descriptors: insert a checksum */
#define E1000_TXD_RS BIT32(3)
#define E1000_TXD_DEXT BIT32(5)
#define E1000_TXD_VLE BIT32(6)
#define E1000_TXD_IDE BIT32(7)
#define E1000_TXD_DD BIT32(0)

/* With TXD_DEXT, as two quadwords. The command is where the legacy one is: bits 31:24 of `low`. */
struct e1000_tx_extended {
	uint64_t address; /* of data; of a context: where checksums begin, go and end */
	uint32_t low;	  /* length, type, command */
	uint32_t high;	  /* status; options and VLAN tag, or header length and MSS */
};
static_assert(sizeof(struct e1000_tx_extended) == 16, "context and data descriptors");

#define E1000_TXD_LENGTH MASK(19, 0)
#define E1000_TXD_TYPE MASK(23, 20)
#define E1000_TXD_TYPE_CONTEXT 0u
#define E1000_TXD_TYPE_DATA 1u
#define E1000_TXD_COMMAND_SHIFT 24u
#define E1000_TXD_TSE BIT32(2) /* of either: TCP segmentation */
/* Commands of a context alone. */
#define E1000_TXC_TCP BIT32(0)
#define E1000_TXC_IPV4 BIT32(1)
/* `address` of a context. */
#define E1000_TXC_IPCSS MASK(7, 0)
#define E1000_TXC_IPCSO MASK(15, 8)
#define E1000_TXC_IPCSE MASK(31, 16)
#define E1000_TXC_TUCSS MASK(39, 32)
#define E1000_TXC_TUCSO MASK(47, 40)
#define E1000_TXC_TUCSE MASK(63, 48)
/* `high` of a context, and of data. */
#define E1000_TXC_HDRLEN MASK(15, 8)
#define E1000_TXC_MSS MASK(31, 16)
#define E1000_TXD_TSTAMP BIT32(4) /* 82574: its moment is wanted in TXSTMP */
#define E1000_TXD_IXSM BIT32(8)
#define E1000_TXD_TXSM BIT32(9)
#define E1000_TXD_VLAN MASK(31, 16)

/* --- the PHY, by MDIC; IEEE 802.3, "Management functions", and Marvell's own --- */

#define E1000_PHY_ADDRESS 1u
#define E1000_PHY_REGISTERS 32u
#define E1000_PHY_CONTROL 0u
#define E1000_PHY_STATUS 1u
#define E1000_PHY_ID1 2u
#define E1000_PHY_ID2 3u
#define E1000_PHY_ADVERTISE 4u
#define E1000_PHY_PARTNER 5u
#define E1000_PHY_EXPANSION 6u
#define E1000_PHY_NEXT_PAGE 7u
#define E1000_PHY_1000_CONTROL 9u
#define E1000_PHY_1000_STATUS 10u
#define E1000_PHY_EXTENDED_STATUS 15u
#define E1000_PHY_SPECIFIC_CONTROL 16u
#define E1000_PHY_SPECIFIC_STATUS 17u
#define E1000_PHY_EXTENDED_CONTROL 20u
#define E1000_PHY_PAGE 22u /* of the 82574's */

#define E1000_PHY_CONTROL_RESTART 0x0200u
#define E1000_PHY_CONTROL_POWER_DOWN 0x0800u
#define E1000_PHY_CONTROL_LOOPBACK 0x4000u
#define E1000_PHY_CONTROL_RESET 0x8000u
#define E1000_PHY_STATUS_LINK 0x0004u
#define E1000_PHY_STATUS_NEGOTIATED 0x0020u

/* --- the EEPROM's words --- */

#define E1000_ROM_WORDS 64u
#define E1000_ROM_SUM 0xbabau
#define E1000_ROM_SUM_AT 0x3fu
