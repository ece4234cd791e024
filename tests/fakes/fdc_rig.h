/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host of a floppy controller for unit tests and fuzz targets: ports, a DMA channel, time, and
 * the disk of blk_rig.h as medium of the first drive, 1440K unless the test says otherwise before
 * rig_start.
 */
#pragma once

#include "guests/devices/fdc.h"
#include "tests/fakes/blk_rig.h"
#include "tests/fakes/device_rig.h"
#include "tests/fakes/virtio_rig.h"

#define RIG_FLOPPY_SECTORS 2880u

static struct fdc fdc;
static struct dma8237 rig_dma;
static struct device_rig rig;
static struct vwork_queue rig_work;
static bool rig_asked;
static _Alignas(4096) uint8_t rig_buffer[FDC_BUFFER_BYTES];

static inline void rig_ask(void *ctx, unsigned vcpu)
{
	(void)ctx;
	assert(vcpu == 0);
	rig_asked = true;
}

static inline void rig_fout(uint16_t reg, uint8_t value)
{
	rig_out(&fdc.dev, (uint16_t)(FDC_PORT + reg), value);
}

static inline uint8_t rig_fin(uint16_t reg)
{
	return rig_in(&fdc.dev, (uint16_t)(FDC_PORT + reg));
}

/* What a vCPU does before it enters. */
static inline void rig_serve(void)
{
	while (rig_asked) {
		rig_asked = false;
		(void)vwork_run(&rig_work);
	}
}

/* A vCPU looks as often as sectors come by. */
static inline void rig_pass_ns(uint64_t ns)
{
	for (uint64_t step; ns != 0; ns -= step) {
		step = ns < FDC_SECTOR_NS ? ns : FDC_SECTOR_NS;
		rig_advance_ns(&rig, step);
		rig_serve();
	}
}

/* After power-on, `second` in the second drive if it is not NULL. */
static inline void rig_power_on(struct blk_device *second)
{
	const struct dma8237_config dma = {.cascade_open = true};
	const struct fdc_config cfg = {
		.time = &rig.time,
		.work = &rig_work,
		.dma = &rig_dma,
		.irq = rig_irq(&rig.line),
		.media = {&rig_disk, second},
		.buffer = rig_buffer,
	};

	rig_init(&rig, 1000000000);
	memset(rig_ram, 0, sizeof(rig_ram));
	rig_reads = 0;
	rig_writes = 0;
	vwork_queue_init(&rig_work, rig_ask, NULL);
	rig_asked = false;
	dma8237_init(&rig_dma, &dma);
	fdc_init(&fdc, &cfg);
}

/* And out of reset, at 500 kb/s, its interrupts taken. */
static inline void rig_start(void)
{
	rig_disk_init();
	rig_disk.sectors = RIG_FLOPPY_SECTORS;
	rig_power_on(NULL);
	rig_fout(2, FDC_DOR_RUN | FDC_DOR_DMAGATE | 0x10);
	rig_fout(7, 0);
	rig_pass_ns(FDC_RESET_NS);
	for (unsigned i = 0; i < FDC_UNITS; i++) {
		rig_fout(5, 0x08);
		(void)rig_fin(5);
		(void)rig_fin(5);
	}
}

static inline void rig_command(const uint8_t *bytes, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		assert(rig_fin(4) & FDC_MSR_RQM);
		rig_fout(5, bytes[i]);
	}
}

#define RIG_COMMAND(...) \
	rig_command((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* The result phase, which is `count` bytes. */
static inline void rig_result(uint8_t *out, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		assert((rig_fin(4) & 0xf0) == (FDC_MSR_RQM | FDC_MSR_DIO | FDC_MSR_BUSY));
		out[i] = rig_fin(5);
	}
	assert((rig_fin(4) & 0xf0) == FDC_MSR_RQM);
}

/* Channel 2 as a driver sets it up; mode 0x44: to memory, 0x48: from there, 0x40: verify. */
static inline void rig_dma_setup(uint8_t mode, uint32_t address, uint32_t bytes)
{
	const struct {
		uint16_t port;
		uint8_t value;
	} writes[] = {
		{0x0a, 0x06},
		{0x0c, 0},
		{0x0b, mode | FDC_DMA_CHANNEL},
		{0x04, (uint8_t)address},
		{0x04, (uint8_t)(address >> 8)},
		{0x81, (uint8_t)(address >> 16)},
		{0x05, (uint8_t)(bytes - 1)},
		{0x05, (uint8_t)((bytes - 1) >> 8)},
		{0x0a, 0x02},
	};

	for (size_t i = 0; i < sizeof(writes) / sizeof(writes[0]); i++) {
		rig_out(&rig_dma.dev, writes[i].port, writes[i].value);
	}
}
