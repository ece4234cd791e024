/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The firmware configuration device, through which firmware learns what machine it is on: numbered
 * items, some of which are files with a name in a directory. Source: QEMU's specification "QEMU
 * Firmware Configuration (fw_cfg) Device".
 *
 *	0x510  word   selector: which item; its reading begins at byte 0
 *	0x511  byte   data: the next byte of the item
 *	0x514  2 x 4  address of a DMA descriptor, big-endian; the second half starts it
 *
 * An item is a run of bytes of whoever added it. A transfer by DMA may be of any length: it is done
 * in steps of FW_CFG_STEP_BYTES, the first at once, the others as work of the VM, and the guest
 * sees its end in the descriptor.
 */
#pragma once

#include "hv/api/saved.h"
#include "hv/api/vdev.h"
#include "hv/api/vwork.h"

struct vm;

#define FW_CFG_PORT 0x510u
#define FW_CFG_PORTS 12u

/* Numbers of items. */
#define FW_CFG_SIGNATURE 0x00u
#define FW_CFG_ID 0x01u
#define FW_CFG_UUID 0x02u
#define FW_CFG_RAM_SIZE 0x03u
#define FW_CFG_NOGRAPHIC 0x04u
#define FW_CFG_NB_CPUS 0x05u
#define FW_CFG_KERNEL_ADDR 0x07u
#define FW_CFG_KERNEL_SIZE 0x08u
#define FW_CFG_INITRD_ADDR 0x0au
#define FW_CFG_INITRD_SIZE 0x0bu
#define FW_CFG_MAX_CPUS 0x0fu
#define FW_CFG_KERNEL_DATA 0x11u
#define FW_CFG_INITRD_DATA 0x12u
#define FW_CFG_CMDLINE_ADDR 0x13u
#define FW_CFG_CMDLINE_SIZE 0x14u
#define FW_CFG_CMDLINE_DATA 0x15u
#define FW_CFG_SETUP_ADDR 0x16u
#define FW_CFG_SETUP_SIZE 0x17u
#define FW_CFG_SETUP_DATA 0x18u
#define FW_CFG_FILE_DIR 0x19u
#define FW_CFG_FILE_FIRST 0x20u
#define FW_CFG_IRQ0_OVERRIDE 0x8002u

/* The item FW_CFG_ID. */
#define FW_CFG_ID_TRADITIONAL 0x1u
#define FW_CFG_ID_DMA 0x2u

/* A DMA descriptor: control (4 bytes), length (4), address (8), each big-endian. */
#define FW_CFG_DMA_BYTES 16u
#define FW_CFG_DMA_ERROR 0x01u
#define FW_CFG_DMA_READ 0x02u
#define FW_CFG_DMA_SKIP 0x04u
#define FW_CFG_DMA_SELECT 0x08u /* of the item in bits 31:16 */
#define FW_CFG_DMA_WRITE 0x10u

#define FW_CFG_NAME_MAX 56u /* with terminator */
#define FW_CFG_FILES_MAX 24u
#define FW_CFG_ITEMS_MAX 48u /* files included */
#define FW_CFG_DIRECTORY_ENTRY 64u
#define FW_CFG_STEP_BYTES 0x40000u

struct fw_cfg_item {
	uint16_t key;
	const void *data; /* NULL: `number` */
	uint32_t size;
	uint64_t number; /* little-endian */
	/* The guest has selected the item and may read it next. Device's lock held. May be NULL. */
	void (*selected)(void *ctx);
	void *ctx;
};

/* What the guest has set: all that a reset forgets. */
struct fw_cfg_state {
	uint16_t key;
	uint32_t offset;   /* of the byte read next; stays at the largest number */
	uint32_t dma_high; /* of the next descriptor's address */
	/* The transfer under way. */
	bool busy;
	uint32_t control;
	uint32_t left;	     /* bytes */
	uint64_t address;    /* where they go, or come from */
	uint64_t descriptor; /* guest-physical */
};

struct fw_cfg {
	struct vdev dev; /* its lock covers all below but vm, and the items once the guest runs */
	struct vm *vm;
	struct fw_cfg_state state;
	struct vwork work;
	unsigned file_count;
	unsigned item_count;
	struct fw_cfg_item items[FW_CFG_ITEMS_MAX];
	uint8_t directory[4 + FW_CFG_FILES_MAX * FW_CFG_DIRECTORY_ENTRY];
	struct saved_device saved;
};

#define FW_CFG_SAVED_VERSION 1u
/* No transfer is under way in it. Items are configuration. */
struct fw_cfg_saved {
	uint32_t offset;
	uint32_t dma_high;
	uint16_t key;
	uint8_t zero[6];
};
_Static_assert(sizeof(struct fw_cfg_saved) == 16, "no padding");

/* Signature, ID and an empty directory. To be registered over FW_CFG_PORTS at FW_CFG_PORT. */
void fw_cfg_init(struct fw_cfg *f, struct vm *vm, struct vwork_queue *work);

/*
 * What follows: before the guest runs. The bytes outlive the device. HV_E_EXISTS: the number or
 * name is taken; HV_E_RANGE: full, or a name, size or number that cannot be said.
 */
enum hv_status fw_cfg_add(struct fw_cfg *f, uint16_t key, const void *data,
			  uint64_t size) HV_MUST_CHECK;
/* A little-endian number of 1 to 8 bytes. */
enum hv_status fw_cfg_add_number(struct fw_cfg *f, uint16_t key, uint64_t number,
				 unsigned size) HV_MUST_CHECK;
/* Files get the next number from FW_CFG_FILE_FIRST on. */
enum hv_status fw_cfg_add_file(struct fw_cfg *f, const char *name, const void *data,
			       uint64_t size) HV_MUST_CHECK;
enum hv_status fw_cfg_add_file_number(struct fw_cfg *f, const char *name, uint64_t number,
				      unsigned size) HV_MUST_CHECK;
/* Has `selected` called whenever the guest selects the file that was added last. */
void fw_cfg_on_select(struct fw_cfg *f, void (*selected)(void *ctx), void *ctx);
