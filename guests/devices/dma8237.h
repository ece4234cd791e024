/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two 8237A DMA controllers of a PC with their page registers, in the bridge to the ISA bus.
 *
 *	00-1f  channels 0-3: bytes, in 64 KiB --+
 *	                                        +--> channel 4 --> memory, below 16 MiB
 *	c0-df  channels 5-7: words, in 128 KiB ------------------> memory, below 16 MiB
 *	81-9f  bits 16 to 23 of each channel's address, and latches; not 92
 *
 * A device has its data moved in one call, by the registers of its channel, when it would assert
 * its request; so requests of devices are never seen to wait, priorities decide nothing, and block
 * mode is demand mode. The bus decodes 16 registers of each controller, at 10 to 1f those of 00 to
 * 0f again, and the second one's at two ports each.
 *
 * Sources: Intel 8237A data sheet; Intel I/O Controller Hub 9 datasheet, "DMA I/O Registers", which
 * has what the PC leaves out: memory-to-memory transfers, compressed timing.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/api/saved.h"
#include "hv/api/vdev.h"

struct vm;

#define DMA_PORTS 0x20u /* of each controller */
#define DMA_SLAVE_PORT 0x00u
#define DMA_MASTER_PORT 0xc0u
#define DMA_PAGE_PORT 0x81u /* the one before is the POST port, which is not here */
#define DMA_PAGE_PORTS 0x11u
#define DMA_PAGE_ALIAS_PORT 0x93u
#define DMA_PAGE_ALIAS_PORTS 0x0du

#define DMA_CHANNELS 8u
#define DMA_CONTROLLERS 2u
#define DMA_CONTROLLER_CHANNELS 4u
#define DMA_CASCADE 4u /* the channel that the first controller's four go through */

/* Registers of a controller behind its channels' addresses and counts. */
#define DMA_REG_COMMAND 0x8u /* read: status */
#define DMA_REG_REQUEST 0x9u
#define DMA_REG_SINGLE_MASK 0xau
#define DMA_REG_MODE 0xbu
#define DMA_REG_CLEAR_BYTE 0xcu
#define DMA_REG_MASTER_CLEAR 0xdu /* read: temporary */
#define DMA_REG_CLEAR_MASK 0xeu
#define DMA_REG_ALL_MASK 0xfu

#define DMA_COMMAND_DISABLE 0x04u

#define DMA_MODE_KIND 0xc0u
#define DMA_MODE_BLOCK 0x80u
#define DMA_MODE_CASCADE 0xc0u
#define DMA_MODE_DOWN 0x20u
#define DMA_MODE_AUTOINIT 0x10u
#define DMA_MODE_TYPE 0x0cu
#define DMA_MODE_VERIFY 0x00u
#define DMA_MODE_TO_MEMORY 0x04u /* "write" */
#define DMA_MODE_FROM_MEMORY 0x08u

struct dma_channel {
	uint16_t base_address;
	uint16_t base_count;
	uint16_t address;
	uint16_t count; /* of transfers that are left, less one */
	uint8_t mode;	/* DMA_MODE_*; the bits that choose a channel are 0 */
};

/* One bit for each channel in what counts them. */
struct dma_controller {
	struct dma_channel channels[DMA_CONTROLLER_CHANNELS];
	uint8_t command;
	uint8_t terminal; /* has reached its count since the status was read */
	uint8_t requests; /* by software */
	uint8_t mask;
	bool high; /* the flip-flop: the next byte of an address or a count is the upper one */
};

struct dma8237_config {
	struct vm *vm;
	bool cascade_open; /* from the start, as a BIOS leaves it */
};

struct dma8237 {
	struct vdev dev; /* its lock covers all below but cfg */
	struct dma8237_config cfg;
	struct dma_controller controllers[DMA_CONTROLLERS];
	uint8_t pages[16]; /* by the low digit of the port */
	struct saved_device saved;
};

#define DMA8237_SAVED_VERSION 1u
struct dma_channel_saved {
	uint16_t base_address;
	uint16_t base_count;
	uint16_t address;
	uint16_t count;
	uint8_t mode;
	uint8_t zero[7];
};
_Static_assert(sizeof(struct dma_channel_saved) == 16, "no padding");

struct dma_controller_saved {
	struct dma_channel_saved channels[DMA_CONTROLLER_CHANNELS];
	uint8_t command;
	uint8_t terminal;
	uint8_t requests;
	uint8_t mask;
	uint8_t high;
	uint8_t zero[3];
};
_Static_assert(sizeof(struct dma_controller_saved) == 72, "no padding");

struct dma8237_saved {
	struct dma_controller_saved controllers[DMA_CONTROLLERS];
	uint8_t pages[16];
};
_Static_assert(sizeof(struct dma8237_saved) == 160, "no padding");

/* To be registered at the four places above. */
void dma8237_init(struct dma8237 *d, const struct dma8237_config *cfg);

/*
 * A device on channel 0 .. 7 asks for `bytes` to be moved from `data` to memory (`to_memory`), or
 * from memory to `data`. Returns how many were, which is fewer than asked for when the channel
 * reaches its count or memory is short of a frame, and none when it is masked, switched off or set
 * up for the other direction. *terminal: it has reached its count. What is no RAM takes nothing and
 * reads as ones; in a verify transfer no memory is touched. The VM's space is current; no lock of
 * this model is held.
 */
uint32_t dma8237_transfer(struct dma8237 *d, unsigned channel, bool to_memory, void *data,
			  uint32_t bytes, bool *terminal);
