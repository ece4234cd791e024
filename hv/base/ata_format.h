/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an ATA device and its host say to each other: registers, commands, the words of IDENTIFY
 * DEVICE. Shared by what drives the machine's disks (drivers/ahci.h) and what guests find
 * (guests/devices/ata.h). Sources: ATA/ATAPI-6 (T13/1410D); ATA/ATAPI Command Set (ACS-3).
 */
#pragma once

#include <assert.h>
#include <stdint.h>

#include "hv/base/bits.h"

/* "Status register". */
#define ATA_STATUS_ERR 0x01u
#define ATA_STATUS_DRQ 0x08u
#define ATA_STATUS_DSC 0x10u /* seek complete; SERV of a packet device */
#define ATA_STATUS_DF 0x20u  /* device fault */
#define ATA_STATUS_DRDY 0x40u
#define ATA_STATUS_BSY 0x80u

/* "Error register". */
#define ATA_ERROR_ABRT 0x04u
#define ATA_ERROR_IDNF 0x10u	   /* no such sector */
#define ATA_ERROR_UNC 0x40u	   /* data that cannot be read */
#define ATA_ERROR_SENSE MASK(7, 4) /* of a packet device: the sense key */
#define ATA_DIAGNOSTIC_PASSED 0x01u

/* "Device register". */
#define ATA_DEVICE_HEAD 0x0fu /* or bits 27:24 of a block's address */
#define ATA_DEVICE_DEV 0x10u
#define ATA_DEVICE_LBA 0x40u
#define ATA_DEVICE_FUA 0x80u /* of queued commands */
#define ATA_DEVICE_OBSOLETE 0xa0u

/* "Device Control register". */
#define ATA_CONTROL_NIEN 0x02u
#define ATA_CONTROL_SRST 0x04u
#define ATA_CONTROL_HOB 0x80u

/* "Interrupt Reason register" of a packet device, where others have the sector count. */
#define ATA_REASON_CD 0x01u
#define ATA_REASON_IO 0x02u

/* What a device shows after a reset: count, and the three bytes of the address. */
#define ATA_SIGNATURE_COUNT 0x01u
#define ATA_SIGNATURE_DISK 0x000001u
#define ATA_SIGNATURE_PACKET 0xeb1401u

/* Commands. */
#define ATA_NOP 0x00u
#define ATA_DSM 0x06u
#define ATA_DEVICE_RESET 0x08u
#define ATA_RECALIBRATE 0x10u
#define ATA_READ_SECTORS 0x20u
#define ATA_READ_SECTORS_ONCE 0x21u
#define ATA_READ_SECTORS_EXT 0x24u
#define ATA_READ_DMA_EXT 0x25u
#define ATA_READ_MULTIPLE_EXT 0x29u
#define ATA_READ_LOG_EXT 0x2fu
#define ATA_WRITE_SECTORS 0x30u
#define ATA_WRITE_SECTORS_ONCE 0x31u
#define ATA_WRITE_SECTORS_EXT 0x34u
#define ATA_WRITE_DMA_EXT 0x35u
#define ATA_WRITE_MULTIPLE_EXT 0x39u
#define ATA_WRITE_DMA_FUA_EXT 0x3du
#define ATA_VERIFY 0x40u
#define ATA_VERIFY_ONCE 0x41u
#define ATA_VERIFY_EXT 0x42u
#define ATA_READ_LOG_DMA_EXT 0x47u
#define ATA_READ_FPDMA 0x60u
#define ATA_WRITE_FPDMA 0x61u
#define ATA_SEEK 0x70u
#define ATA_DIAGNOSTIC 0x90u
#define ATA_INIT_PARAMETERS 0x91u
/* Power management before ATA-4: six commands, now E0h to E3h, E5h and E6h. */
#define ATA_OLD_STANDBY_NOW 0x94u
#define ATA_OLD_SLEEP 0x99u
#define ATA_PACKET 0xa0u
#define ATA_IDENTIFY_PACKET 0xa1u
#define ATA_SMART 0xb0u
#define ATA_READ_MULTIPLE 0xc4u
#define ATA_WRITE_MULTIPLE 0xc5u
#define ATA_SET_MULTIPLE 0xc6u
#define ATA_READ_DMA 0xc8u
#define ATA_READ_DMA_ONCE 0xc9u
#define ATA_WRITE_DMA 0xcau
#define ATA_WRITE_DMA_ONCE 0xcbu
#define ATA_WRITE_MULTIPLE_FUA_EXT 0xceu
#define ATA_STANDBY_NOW 0xe0u
#define ATA_IDLE_NOW 0xe1u
#define ATA_STANDBY 0xe2u
#define ATA_IDLE 0xe3u
#define ATA_CHECK_POWER 0xe5u
#define ATA_SLEEP 0xe6u
#define ATA_FLUSH 0xe7u
#define ATA_FLUSH_EXT 0xeau
#define ATA_IDENTIFY 0xecu
#define ATA_SET_FEATURES 0xefu

#define ATA_POWER_ACTIVE 0xffu
#define ATA_POWER_STANDBY 0x00u

/* "DATA SET MANAGEMENT": features, and a block of ranges: count << 48 | first block. */
#define ATA_DSM_TRIM 1u
#define ATA_TRIM_RANGES 64u /* of a block of 512 bytes, the least that DSM takes */
#define ATA_TRIM_BLOCKS 0xffffu

/* "SET FEATURES" subcommands. */
#define ATA_FEATURE_CACHE_ON 0x02u
#define ATA_FEATURE_MODE 0x03u
#define ATA_FEATURE_AHEAD_OFF 0x55u
#define ATA_FEATURE_DEFAULTS_OFF 0x66u
#define ATA_FEATURE_CACHE_OFF 0x82u
#define ATA_FEATURE_AHEAD_ON 0xaau
#define ATA_FEATURE_DEFAULTS_ON 0xccu
/* Its transfer modes: the kind, and a number in the lower bits. */
#define ATA_MODE_KIND 0xf8u
#define ATA_MODE_NUMBER 0x07u
#define ATA_MODE_PIO 0x00u /* 0 and 1: the default, without IORDY if 1 */
#define ATA_MODE_PIO_FLOW 0x08u
#define ATA_MODE_MULTIWORD 0x20u
#define ATA_MODE_ULTRA 0x40u

/* "SMART": subcommands, and what the address must say. */
#define ATA_SMART_READ_DATA 0xd0u
#define ATA_SMART_READ_THRESHOLDS 0xd1u
#define ATA_SMART_AUTOSAVE 0xd2u
#define ATA_SMART_READ_LOG 0xd5u
#define ATA_SMART_ENABLE 0xd8u
#define ATA_SMART_DISABLE 0xd9u
#define ATA_SMART_STATUS 0xdau
#define ATA_SMART_KEY 0xc24fu

/* Logs. */
#define ATA_LOG_DIRECTORY 0x00u
#define ATA_LOG_ERRORS 0x01u
#define ATA_LOG_SELF_TEST 0x06u
#define ATA_LOG_QUEUED_ERROR 0x10u

/* "IDENTIFY DEVICE": words. */
#define ATA_ID_WORDS 256u
#define ATA_ID_GENERAL 0u
#define ATA_ID_CYLINDERS 1u
#define ATA_ID_HEADS 3u
#define ATA_ID_SECTORS 6u
#define ATA_ID_SERIAL 10u
#define ATA_ID_SERIAL_CHARS 20u
#define ATA_ID_FIRMWARE 23u
#define ATA_ID_FIRMWARE_CHARS 8u
#define ATA_ID_MODEL 27u
#define ATA_ID_MODEL_CHARS 40u
#define ATA_ID_MULTIPLE_MAX 47u
#define ATA_ID_CAPABILITIES 49u
#define ATA_ID_CAPABILITIES_2 50u
#define ATA_ID_PIO_TIMING 51u
#define ATA_ID_VALID 53u
#define ATA_ID_CURRENT 54u /* cylinders, heads, sectors, and two words of their product */
#define ATA_ID_MULTIPLE 59u
#define ATA_ID_SECTORS_28 60u
#define ATA_ID_MULTIWORD 63u
#define ATA_ID_PIO_MODES 64u
#define ATA_ID_CYCLES 65u /* four words, ns */
#define ATA_ID_ADDITIONAL 69u
#define ATA_ID_QUEUE_DEPTH 75u
#define ATA_ID_SATA 76u
#define ATA_ID_MAJOR 80u
#define ATA_ID_COMMANDS_1 82u
#define ATA_ID_COMMANDS_2 83u
#define ATA_ID_COMMANDS_3 84u
#define ATA_ID_ENABLED_1 85u
#define ATA_ID_ENABLED_2 86u
#define ATA_ID_ENABLED_3 87u
#define ATA_ID_ULTRA 88u
#define ATA_ID_RESET_RESULT 93u
#define ATA_ID_SECTORS_48 100u
#define ATA_ID_DSM_BLOCKS 105u
#define ATA_ID_SECTOR_SIZE 106u
#define ATA_ID_SECTOR_WORDS 117u
#define ATA_ID_DSM 169u
#define ATA_ID_ALIGNMENT 209u
#define ATA_ID_ROTATION 217u
#define ATA_ID_TRANSPORT 222u
#define ATA_ID_INTEGRITY 255u

/* Their bits. */
#define ATA_ID_WORD_VALID 0x4000u /* of two bits that say so, 01b */
#define ATA_ID_WORD_VALID_MASK 0xc000u
#define ATA_ID_REMOVABLE 0x0080u
#define ATA_ID_DMA 0x0100u /* of the capabilities */
#define ATA_ID_LBA 0x0200u
#define ATA_ID_IORDY 0x0c00u /* it has it, and can do without */
#define ATA_ID_STANDBY_TIMER 0x2000u
#define ATA_ID_SMART BIT32(0) /* of the command sets, word by word */
#define ATA_ID_POWER BIT32(3)
#define ATA_ID_PACKET BIT32(4)
#define ATA_ID_WRITE_CACHE BIT32(5)
#define ATA_ID_LOOK_AHEAD BIT32(6)
#define ATA_ID_RESET BIT32(9)
#define ATA_ID_NOP BIT32(14)
#define ATA_ID_LBA48 BIT32(10)
#define ATA_ID_FLUSH BIT32(12)
#define ATA_ID_FLUSH_EXT BIT32(13)
#define ATA_ID_LOGS BIT32(5)
#define ATA_ID_FUA BIT32(6)
#define ATA_ID_SATA_GEN1 BIT32(1)
#define ATA_ID_SATA_GEN2 BIT32(2)
#define ATA_ID_SATA_GEN3 BIT32(3)
#define ATA_ID_SATA_NCQ BIT32(8)
#define ATA_ID_TRIM_ZEROES 0x4020u /* what was trimmed reads zero, each time */
#define ATA_ID_LONG_SECTORS BIT32(12)
#define ATA_ID_LARGE_PHYSICAL BIT32(13)
#define ATA_ID_NOT_ROTATING 1u
#define ATA_ID_INTEGRITY_MARK 0xa5u

/* How far the addresses of each kind reach, in blocks. */
#define ATA_CYLINDERS_MAX 16383u /* of 16 heads and 63 sectors; for larger disks, too */
#define ATA_LBA28_MAX 0x0fffffffull
#define ATA_LBA48_MAX 0xffffffffffffull
