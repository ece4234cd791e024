/* SPDX-License-Identifier: Apache-2.0 */
/* Registers and structures of NVMe controllers. Source: NVM Express Base Specification 1.4. */
#pragma once

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/base/bits.h"

/* "Controller Registers". */
#define NVME_CAP 0x00u
#define NVME_INTMS 0x0cu
#define NVME_INTMC 0x10u
#define NVME_CC 0x14u
#define NVME_CSTS 0x1cu
#define NVME_AQA 0x24u
#define NVME_ASQ 0x28u
#define NVME_ACQ 0x30u
#define NVME_DOORBELLS 0x1000u

#define NVME_CAP_MQES MASK(15, 0) /* entries of a queue, less one */
#define NVME_CAP_TO MASK(31, 24)  /* in 500 ms */
#define NVME_CAP_DSTRD MASK(35, 32)
#define NVME_CAP_CSS_NVM BIT(37)
#define NVME_CAP_MPSMIN MASK(51, 48) /* 0: pages of 4 KiB */
#define NVME_TO_NS 500000000ull

#define NVME_CC_EN BIT32(0)
#define NVME_CC_SHN_NORMAL BIT32(14)
#define NVME_CC_IOSQES (6u << 16) /* entries of 64 bytes */
#define NVME_CC_IOCQES (4u << 20) /* and of 16 */
#define NVME_CC_ON (NVME_CC_EN | NVME_CC_IOSQES | NVME_CC_IOCQES)
#define NVME_CSTS_RDY BIT32(0)
#define NVME_CSTS_CFS BIT32(1)
#define NVME_CSTS_SHST MASK(3, 2)
#define NVME_SHST_COMPLETE 2u
#define NVME_GONE UINT32_MAX

/* "Admin Command Set". */
#define NVME_ADMIN_CREATE_SQ 0x01u
#define NVME_ADMIN_CREATE_CQ 0x05u
#define NVME_ADMIN_IDENTIFY 0x06u
#define NVME_ADMIN_SET_FEATURES 0x09u
#define NVME_IDENTIFY_NAMESPACE 0u
#define NVME_IDENTIFY_CONTROLLER 1u
#define NVME_IDENTIFY_ACTIVE 2u
#define NVME_FEATURE_QUEUES 7u
#define NVME_QUEUE_CONTIGUOUS BIT32(0)
#define NVME_CQ_INTERRUPTS BIT32(1)

/* "NVM Command Set". */
#define NVME_FLUSH 0x00u
#define NVME_WRITE 0x01u
#define NVME_READ 0x02u
#define NVME_WRITE_ZEROES 0x08u
#define NVME_DSM 0x09u
#define NVME_DSM_DEALLOCATE BIT32(2)
#define NVME_BLOCKS_MAX 65536u /* of one command */

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

/* "Dataset Management": a range. */
struct nvme_range {
	uint32_t attributes;
	uint32_t blocks;
	uint64_t start;
};
static_assert(sizeof(struct nvme_range) == 16, "wire format");

/* "Identify Controller Data Structure", "Identify Namespace Data Structure": offsets. */
#define NVME_IDENTIFY_SIZE 4096u
#define NVME_IDC_SN 4u
#define NVME_IDC_SN_SIZE 20u
#define NVME_IDC_MN 24u
#define NVME_IDC_MN_SIZE 40u
#define NVME_IDC_MDTS 77u
#define NVME_IDC_NN 516u
#define NVME_IDC_ONCS 520u
#define NVME_ONCS_DSM BIT32(2)
#define NVME_ONCS_WRITE_ZEROES BIT32(3)
#define NVME_IDN_NSZE 0u
#define NVME_IDN_NLBAF 25u /* formats, less one */
#define NVME_IDN_FLBAS 26u
#define NVME_IDN_DPS 29u
#define NVME_IDN_NSATTR 99u
#define NVME_IDN_LBAF 128u
#define NVME_FLBAS_FORMAT MASK(3, 0)
#define NVME_FLBAS_FORMAT_UPPER MASK(6, 5) /* counts with more than 16 formats; since 2.0 */
#define NVME_DPS_TYPE 7u
#define NVME_NSATTR_READ_ONLY 1u
#define NVME_LBAF_MS MASK(15, 0)
#define NVME_LBAF_LBADS MASK(23, 16)
