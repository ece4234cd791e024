/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ports and DMA descriptors against fw_cfg: a transfer stays inside its item and inside guest
 * memory, and always comes to an end.
 */
#include "guests/devices/fw_cfg.h"

#include <stdlib.h>

#include "tests/fakes/device_rig.h"
#include "tests/fakes/virtio_rig.h"
#include "tests/fuzz/device_input.h"

#define DESCRIPTOR (RIG_RAM_BASE + 0x100u)

static struct fw_cfg cfg;
static struct vwork_queue work_queue;
/* Exactly as long as told, so that the sanitizer sees each byte too many. */
static uint8_t *variable;
static const uint8_t file[] = "a file";

static void ask(void *ctx, unsigned vcpu)
{
	(void)ctx;
	assert(vcpu == 0);
}

static void dma(struct input *in)
{
	for (unsigned i = 0; i < FW_CFG_DMA_BYTES; i++) {
		rig_put(DESCRIPTOR + i, 0, 1);
	}
	rig_put(DESCRIPTOR + 1, take(in, 1) % 0x40, 1); /* an item that may be there */
	rig_put(DESCRIPTOR + 3, take(in, 1), 1);
	rig_put(DESCRIPTOR + 4 + take(in, 1) % 4, take(in, 1), 1);
	rig_put(DESCRIPTOR + 7, take(in, 1), 1);
	rig_put(DESCRIPTOR + 13, RIG_RAM_BASE >> 16, 1);
	rig_put(DESCRIPTOR + 8 + take(in, 1) % 8, take(in, 1), 1);
	rig_write(&cfg.dev, BUS_PIO, FW_CFG_PORT + 8, 4, __builtin_bswap32(DESCRIPTOR));
}

static void step(struct input *in)
{
	uint64_t port = FW_CFG_PORT + take(in, 1) % FW_CFG_PORTS;
	unsigned size = 1u << take(in, 1) % 3;

	switch (take(in, 1) % 8) {
	case 0:
		(void)rig_read(&cfg.dev, BUS_PIO, port, size);
		break;
	case 1:
		rig_write(&cfg.dev, BUS_PIO, port, size, take(in, 4));
		break;
	case 2:
		rig_write(&cfg.dev, BUS_PIO, FW_CFG_PORT, 2, take(in, 1));
		break;
	case 3:
		vwork_run(&work_queue);
		break;
	case 4:
		cfg.dev.ops->reset(&cfg.dev);
		break;
	default:
		dma(in);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	bool added;

	variable = calloc(1, 24);
	assert(variable != NULL);
	memset(rig_ram, 0, sizeof(rig_ram));
	vwork_queue_init(&work_queue, ask, NULL);
	fw_cfg_init(&cfg, NULL, &work_queue);
	added = fw_cfg_add_file(&cfg, "file", file, sizeof(file)) == HV_OK &&
		fw_cfg_add_file(&cfg, "variable", variable, 24) == HV_OK &&
		fw_cfg_add_number(&cfg, FW_CFG_NB_CPUS, 1, 2) == HV_OK;
	assert(added);
	while (in.n != 0) {
		step(&in);
		assert(cfg.state.busy == !list_empty(&work_queue.waiting));
	}
	vwork_cancel(&cfg.work);
	assert(list_empty(&work_queue.waiting));
	free(variable);
	return 0;
}
