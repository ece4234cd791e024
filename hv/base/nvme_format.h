/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NVMe as bytes: registers, commands, structures. Shared by the driver of the machine's controllers
 * (drivers/nvme.h) and the model that guests see (guests/devices/nvme_ctl.h). Source: NVM Express
 * Base Specification 1.4, section titles below.
 */
#pragma once

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/base/bits.h"

/* "Controller Registers". */
#define NVME_CLASS 0x010802u
#define NVME_CAP 0x00u
#define NVME_VS 0x08u
#define NVME_VS_1_4 0x00010400u
#define NVME_INTMS 0x0cu
#define NVME_INTMC 0x10u
#define NVME_CC 0x14u
#define NVME_CSTS 0x1cu
#define NVME_NSSR 0x20u
#define NVME_AQA 0x24u
#define NVME_ASQ 0x28u
#define NVME_ACQ 0x30u
#define NVME_DOORBELLS 0x1000u

#define NVME_CAP_MQES MASK(15, 0) /* entries of a queue, less one */
#define NVME_CAP_CQR BIT(16)	  /* queues are contiguous in memory */
#define NVME_CAP_TO MASK(31, 24)  /* in 500 ms */
#define NVME_CAP_DSTRD MASK(35, 32)
#define NVME_CAP_CSS_NVM BIT(37)
#define NVME_CAP_MPSMIN MASK(51, 48) /* 0: pages of 4 KiB */
#define NVME_TO_NS 500000000ull

#define NVME_CC_EN BIT32(0)
#define NVME_CC_CSS MASK(6, 4)
#define NVME_CC_MPS MASK(10, 7)
#define NVME_CC_AMS MASK(13, 11)
#define NVME_CC_SHN MASK(15, 14)
#define NVME_CC_SHN_NORMAL BIT32(14)
#define NVME_CC_IOSQES (6u << 16) /* entries of 64 bytes */
#define NVME_CC_IOCQES (4u << 20) /* and of 16 */
#define NVME_CC_IOSQES_MASK MASK(19, 16)
#define NVME_CC_IOCQES_MASK MASK(23, 20)
#define NVME_CC_ON (NVME_CC_EN | NVME_CC_IOSQES | NVME_CC_IOCQES)
#define NVME_CSTS_RDY BIT32(0)
#define NVME_CSTS_CFS BIT32(1)
#define NVME_CSTS_SHST MASK(3, 2)
#define NVME_SHST_RUNNING 1u
#define NVME_SHST_COMPLETE 2u
#define NVME_GONE UINT32_MAX
#define NVME_AQA_ASQS MASK(11, 0) /* entries, less one */
#define NVME_AQA_ACQS MASK(27, 16)

/* "Admin Command Set". */
#define NVME_ADMIN_DELETE_SQ 0x00u
#define NVME_ADMIN_CREATE_SQ 0x01u
#define NVME_ADMIN_GET_LOG 0x02u
#define NVME_ADMIN_DELETE_CQ 0x04u
#define NVME_ADMIN_CREATE_CQ 0x05u
#define NVME_ADMIN_IDENTIFY 0x06u
#define NVME_ADMIN_ABORT 0x08u
#define NVME_ADMIN_SET_FEATURES 0x09u
#define NVME_ADMIN_GET_FEATURES 0x0au
#define NVME_ADMIN_ASYNC_EVENT 0x0cu
#define NVME_ADMIN_DOORBELL_BUFFERS 0x7cu
#define NVME_QUEUE_CONTIGUOUS BIT32(0)
#define NVME_CQ_INTERRUPTS BIT32(1)
#define NVME_NSID_ALL UINT32_MAX

/* "Identify command": what is asked for. */
#define NVME_IDENTIFY_NAMESPACE 0u
#define NVME_IDENTIFY_CONTROLLER 1u
#define NVME_IDENTIFY_ACTIVE 2u
#define NVME_IDENTIFY_DESCRIPTORS 3u
#define NVME_IDENTIFY_COMMAND_SET 6u /* since 2.0 */
#define NVME_DESCRIPTOR_NGUID 2u

/* "Feature Specific Information". */
#define NVME_FEATURE_ARBITRATION 0x01u
#define NVME_FEATURE_POWER 0x02u
#define NVME_FEATURE_TEMPERATURE 0x04u
#define NVME_FEATURE_ERROR_RECOVERY 0x05u
#define NVME_FEATURE_WRITE_CACHE 0x06u
#define NVME_FEATURE_QUEUES 0x07u
#define NVME_FEATURE_COALESCING 0x08u
#define NVME_FEATURE_VECTOR 0x09u
#define NVME_FEATURE_ATOMICITY 0x0au
#define NVME_FEATURE_EVENTS 0x0bu
#define NVME_FEATURE_SAVE BIT32(31)

/* "Log Page Identifiers". */
#define NVME_LOG_ERRORS 0x01u
#define NVME_LOG_HEALTH 0x02u
#define NVME_LOG_FIRMWARE 0x03u
#define NVME_LOG_RETAIN BIT32(15)
#define NVME_HEALTH_BYTES 512u
#define NVME_FIRMWARE_BYTES 512u
#define NVME_FIRMWARE_SLOT 8u /* the name of what is in the first slot */

/* "Asynchronous Event Information": error status. */
#define NVME_EVENT_ERROR 0u
#define NVME_EVENT_NO_DOORBELL 0u
#define NVME_EVENT_BAD_DOORBELL 1u

/* "NVM Command Set". */
#define NVME_FLUSH 0x00u
#define NVME_WRITE 0x01u
#define NVME_READ 0x02u
#define NVME_COMPARE 0x05u
#define NVME_WRITE_ZEROES 0x08u
#define NVME_DSM 0x09u
#define NVME_DSM_DEALLOCATE BIT32(2)
#define NVME_DSM_RANGES_MAX 256u
#define NVME_BLOCKS_MAX 65536u /* of one command */
#define NVME_FUA BIT32(30)
/* Flags of a command: fused operations, scatter gather lists. */
#define NVME_FLAGS_FUSE 0x03u
#define NVME_FLAGS_PSDT 0xc0u

/* "Submission Queue Entry". */
struct nvme_command {
	uint8_t opcode;
	uint8_t flags;
	uint16_t id;
	uint32_t nsid;
	uint64_t reserved;
	uint64_t metadata;
	uint64_t prp1;
	uint64_t prp2;
	uint32_t dw10;
	uint32_t dw11;
	uint32_t dw12;
	uint32_t dw13;
	uint32_t dw14;
	uint32_t dw15;
};
static_assert(sizeof(struct nvme_command) == 64, "wire format");
static_assert(offsetof(struct nvme_command, prp1) == 24, "wire format");
static_assert(offsetof(struct nvme_command, dw10) == 40, "wire format");

/* "Status Field Definition": type and code, and "do not retry". */
#define NVME_SC_SUCCESS 0x000u
#define NVME_SC_BAD_OPCODE 0x001u
#define NVME_SC_BAD_FIELD 0x002u
#define NVME_SC_DATA_TRANSFER 0x004u
#define NVME_SC_BAD_NAMESPACE 0x00bu
#define NVME_SC_SEQUENCE 0x00cu
#define NVME_SC_PRP_OFFSET 0x013u
#define NVME_SC_WRITE_PROTECTED 0x020u
#define NVME_SC_LBA_RANGE 0x080u
#define NVME_SC_NO_CQ 0x100u
#define NVME_SC_QUEUE_ID 0x101u
#define NVME_SC_QUEUE_SIZE 0x102u
#define NVME_SC_TOO_MANY_EVENTS 0x105u
#define NVME_SC_VECTOR 0x108u
#define NVME_SC_LOG_PAGE 0x109u
#define NVME_SC_QUEUE_DELETION 0x10cu
#define NVME_SC_NOT_SAVEABLE 0x10du
#define NVME_SC_WRITE_FAULT 0x280u
#define NVME_SC_READ_ERROR 0x281u
#define NVME_SC_COMPARE 0x285u
#define NVME_SC_DNR 0x4000u

/* "Completion Queue Entry"; written by the controller, `last` behind the rest. */
struct nvme_completion {
	_Atomic uint32_t result;
	uint32_t reserved;
	_Atomic uint32_t queue; /* SQ head and SQ number */
	_Atomic uint32_t last;	/* command, phase, status */
};
static_assert(sizeof(struct nvme_completion) == 16, "wire format");
#define NVME_LAST_ID MASK(15, 0)
#define NVME_LAST_PHASE BIT32(16)
#define NVME_LAST_STATUS MASK(27, 17) /* code and type */

/* "Error Information". */
struct nvme_error {
	uint64_t count; /* 0: no entry */
	uint16_t queue;
	uint16_t command;
	uint16_t status; /* NVME_SC_*, one bit to the left */
	uint16_t location;
	uint64_t block;
	uint32_t nsid;
	uint8_t vendor;
	uint8_t transport;
	uint8_t reserved[2];
	uint64_t specific;
	uint8_t unused[24];
};
static_assert(sizeof(struct nvme_error) == 64, "wire format");
static_assert(offsetof(struct nvme_error, block) == 16, "wire format");

/* "SMART / Health Information": offsets. */
#define NVME_HEALTH_TEMPERATURE 1u
#define NVME_HEALTH_SPARE 3u
#define NVME_HEALTH_SPARE_THRESHOLD 4u
#define NVME_HEALTH_UNITS_READ 32u
#define NVME_HEALTH_UNITS_WRITTEN 48u
#define NVME_HEALTH_READS 64u
#define NVME_HEALTH_WRITES 80u
#define NVME_HEALTH_MEDIA_ERRORS 160u
#define NVME_HEALTH_ERROR_ENTRIES 176u

/* "Dataset Management": a range. */
struct nvme_range {
	uint32_t attributes;
	uint32_t blocks;
	uint64_t start;
};
static_assert(sizeof(struct nvme_range) == 16, "wire format");

/* "Identify Controller Data Structure": offsets. */
#define NVME_IDENTIFY_SIZE 4096u
#define NVME_IDC_VID 0u
#define NVME_IDC_SSVID 2u
#define NVME_IDC_SN 4u
#define NVME_IDC_SN_SIZE 20u
#define NVME_IDC_MN 24u
#define NVME_IDC_MN_SIZE 40u
#define NVME_IDC_FR 64u
#define NVME_IDC_FR_SIZE 8u
#define NVME_IDC_MDTS 77u
#define NVME_IDC_VER 80u
#define NVME_IDC_CNTRLTYPE 111u
#define NVME_IDC_OACS 256u
#define NVME_IDC_ACL 258u
#define NVME_IDC_AERL 259u
#define NVME_IDC_FRMW 260u
#define NVME_IDC_LPA 261u
#define NVME_IDC_ELPE 262u
#define NVME_IDC_WCTEMP 266u
#define NVME_IDC_CCTEMP 268u
#define NVME_IDC_SQES 512u
#define NVME_IDC_CQES 513u
#define NVME_IDC_NN 516u
#define NVME_IDC_ONCS 520u
#define NVME_IDC_VWC 525u
#define NVME_IDC_SUBNQN 768u
#define NVME_OACS_DOORBELL_BUFFERS BIT32(8)
#define NVME_ONCS_COMPARE BIT32(0)
#define NVME_ONCS_DSM BIT32(2)
#define NVME_ONCS_WRITE_ZEROES BIT32(3)
#define NVME_ONCS_SELECT BIT32(4)

/* "Identify Namespace Data Structure": offsets. */
#define NVME_IDN_NSZE 0u
#define NVME_IDN_NCAP 8u
#define NVME_IDN_NUSE 16u
#define NVME_IDN_NSFEAT 24u
#define NVME_IDN_NLBAF 25u /* formats, less one */
#define NVME_IDN_FLBAS 26u
#define NVME_IDN_DPS 29u
#define NVME_IDN_NPWG 64u /* what to write at once, in blocks, less one; and four alike */
#define NVME_IDN_NSATTR 99u
#define NVME_IDN_NGUID 104u
#define NVME_NGUID_SIZE 16u
#define NVME_IDN_LBAF 128u
#define NVME_NSFEAT_PREFERRED BIT32(4)
#define NVME_FLBAS_FORMAT MASK(3, 0)
#define NVME_FLBAS_FORMAT_UPPER MASK(6, 5) /* counts with more than 16 formats; since 2.0 */
#define NVME_DPS_TYPE 7u
#define NVME_NSATTR_READ_ONLY 1u
#define NVME_LBAF_MS MASK(15, 0)
#define NVME_LBAF_LBADS MASK(23, 16)
