/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any accesses to the floppy controller and its DMA channel, any passing of time, a disk that
 * answers when it likes and fails, media that come and go, state from a file. The interrupt is what
 * the registers say; a sector goes to memory only through the channel; nothing runs without end.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/fakes/fdc_rig.h"
#include "tests/fuzz/saved_input.h"

static struct blk_device second;

/* The second drive is empty to the disk: it fails everything. */
static void fail_request(struct blk_device *d, struct blk_request *r)
{
	blk_done(d, r, HV_E_IO);
}

static const struct blk_ops second_ops = {.submit = fail_request};

static void finish_some(struct input *in, uint8_t op)
{
	if (rig_disk_open_count != 0) {
		rig_disk_finish(0, (op & 0x80) != 0 ? HV_E_IO : HV_OK);
	}
	if ((op & 0x40) != 0) {
		rig_disk_holds = take(in, 1) & 1;
	}
	rig_serve();
}

static void poke_medium(uint8_t op)
{
	unsigned drive = op >> 7;

	if ((op & 0x40) != 0) {
		(void)fdc_eject(&fdc, drive);
	} else {
		fdc_insert(&fdc, drive);
	}
}

static void pass_time(struct input *in)
{
	uint64_t ns = take(in, 2) * 1000;

	/* Timers fire at the end, as when no vCPU ran. */
	rig_oversleep(&rig, clock_ns_to_ticks(ns));
	rig_serve();
}

static void access_port(struct input *in, uint8_t op)
{
	uint16_t port = (uint16_t)(FDC_PORT + (op >> 4 & 7));

	if (port == FDC_PORT + 6u) {
		rig_dma_setup((uint8_t)(take(in, 1) & 0xfc), RIG_RAM_BASE + (uint32_t)take(in, 2),
			      (uint32_t)take(in, 2) + 1);
	} else if ((op & 0x80) != 0) {
		(void)rig_read(&fdc.dev, BUS_PIO, port, 1);
	} else {
		rig_write(&fdc.dev, BUS_PIO, port, 1, take(in, 1));
	}
}

static void step(struct input *in)
{
	uint8_t op = (uint8_t)take(in, 1);

	switch (op & 15) {
	case 0:
	case 1:
		pass_time(in);
		break;
	case 2:
		finish_some(in, op);
		break;
	case 3:
		poke_medium(op);
		break;
	case 4:
		(void)fuzz_reload(in, &fdc.saved, 0);
		rig_serve();
		break;
	case 5:
		if (op == 0xf5) {
			fdc.dev.ops->reset(&fdc.dev);
		}
		break;
	case 6:
		/* A whole sector of data, or a result. */
		for (unsigned i = 0; i < BLK_SECTOR; i++) {
			(void)rig_fin(5);
		}
		break;
	default:
		access_port(in, op);
		break;
	}
}

static void invariants(void)
{
	const struct fdc_state *s = &fdc.state;

	assert(fdc.level == rig.line.level);
	assert(fdc.level == (s->interrupt && (s->dor & FDC_DOR_DMAGATE) != 0));
	assert(s->phase <= FDC_RESULT && s->command_count <= FDC_COMMAND_MAX);
	assert(s->phase != FDC_RESULT || s->result_at < s->result_count);
	assert(fdc.drives[0].cylinder <= FLOPPY_CYLINDER_LAST);
	assert(fdc.request.open || fdc_is_idle(&fdc));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};

	second = (struct blk_device){.ops = &second_ops,
				     .sectors = 1440,
				     .block_size = BLK_SECTOR,
				     .max_count = 8,
				     .readonly = take(&in, 1) & 1};
	rig_disk = (struct blk_device){.ops = &rig_disk_ops,
				       .sectors = RIG_FLOPPY_SECTORS,
				       .block_size = BLK_SECTOR,
				       .max_count = 8};
	rig_disk_open_count = 0;
	rig_disk_holds = false;
	rig_power_on(&second);
	while (in.n != 0) {
		step(&in);
		invariants();
	}
	while (rig_disk_open_count != 0) {
		rig_disk_finish(0, HV_OK);
	}
	fdc.dev.ops->fini(&fdc.dev);
	assert(timer_queue_next(&rig.queue) == TIMER_NEVER);
	return 0;
}
