/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host of IDE channels for unit tests and fuzz targets: ports, bus master registers, memory, and
 * the disk of blk_rig.h as device 0 of channel 0, read only as CD of channel 1. A program that
 * includes this has no other guest memory.
 */
#pragma once

#include "guests/devices/ide.h"
#include "hv/api/gmem.h"
#include "tests/fakes/blk_rig.h"
#include "tests/fakes/device_rig.h"
#include "tests/fakes/pci_rig.h"

/* RAM does not begin at 0, so that a lost base shows. */
#define RIG_RAM_BASE 0x100000u
#define RIG_RAM_BYTES 0x80000u

/* Units by name. */
#define RIG_DISK 0u
#define RIG_CD 2u

static struct ide ide;
static struct rig_line rig_lines[IDE_CHANNELS];
static struct vwork_queue rig_work;
static bool rig_asked;
static uint8_t rig_ram[RIG_RAM_BYTES];
static _Alignas(4096) uint8_t rig_buffers[IDE_CHANNELS][IDE_BUFFER_BYTES];

static inline bool rig_is_ram(uint64_t at, size_t n)
{
	return at >= RIG_RAM_BASE && at <= RIG_RAM_BASE + RIG_RAM_BYTES &&
	       n <= RIG_RAM_BASE + RIG_RAM_BYTES - at;
}

enum hv_status guest_mem_read(struct vm *vm, gpa_t addr, void *dst, size_t n)
{
	(void)vm;
	if (!rig_is_ram(addr.v, n)) {
		return HV_E_RANGE;
	}
	memcpy(dst, rig_ram + (addr.v - RIG_RAM_BASE), n);
	return HV_OK;
}

enum hv_status guest_mem_write(struct vm *vm, gpa_t addr, const void *src, size_t n)
{
	(void)vm;
	if (!rig_is_ram(addr.v, n)) {
		return HV_E_RANGE;
	}
	memcpy(rig_ram + (addr.v - RIG_RAM_BASE), src, n);
	return HV_OK;
}

static inline void rig_ask(void *ctx, unsigned vcpu)
{
	(void)ctx;
	assert(vcpu == 0);
	rig_asked = true;
}

static inline bool rig_message(void *ctx, uint64_t address, uint32_t data)
{
	(void)ctx;
	(void)address;
	(void)data;
	return false;
}

static inline enum hv_status rig_ide(struct ide_config *cfg)
{

	cfg->vcpu_count = 1;
	cfg->work = &rig_work;
	cfg->place = (struct pci_device_config){
		.host = &rig_host, .devfn = RIG_DEVFN, .message = rig_message};
	for (unsigned i = 0; i < IDE_CHANNELS; i++) {
		rig_lines[i] = (struct rig_line){0};
		cfg->irqs[i] = rig_irq(&rig_lines[i]);
		cfg->buffers[i] = rig_buffers[i];
	}
	rig_host_start();
	vwork_queue_init(&rig_work, rig_ask, NULL);
	rig_asked = false;
	return ide_init(&ide, cfg);
}

/* A disk and a CD drive, decoded, with bus mastering on. */
static inline void rig_start(void)
{
	struct ide_config cfg = {
		.units = {[RIG_DISK] = {.kind = IDE_DISK, .device = &rig_disk},
			  [RIG_CD] = {.kind = IDE_CDROM, .device = &rig_disk, .serial = "cd"}}};
	enum hv_status status;

	memset(rig_ram, 0, sizeof(rig_ram));
	rig_disk_init();
	status = rig_ide(&cfg);
	assert(status == HV_OK);
	rig_config_write(PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MASTER);
}

/* ---- ports ---- */

static const uint16_t rig_bases[IDE_CHANNELS] = {0x1f0, 0x170};

static inline uint64_t rig_read_at(unsigned channel, unsigned reg, unsigned size)
{
	const struct vdev_access a = {
		.addr = rig_bases[channel] + reg, .offset = reg, .size = size};
	struct vdev *dev = &ide.channels[channel].dev;

	return dev->ops->read(dev, &a) & (size >= 8 ? ~0ull : (1ull << (size * 8)) - 1);
}

static inline void rig_write_at(unsigned channel, unsigned reg, unsigned size, uint64_t value)
{
	const struct vdev_access a = {
		.addr = rig_bases[channel] + reg, .offset = reg, .size = size};
	struct vdev *dev = &ide.channels[channel].dev;

	dev->ops->write(dev, &a, value);
}

static inline uint8_t rig_alternate(unsigned channel)
{
	const struct vdev_access a = {.addr = rig_bases[channel] + 0x206, .size = 1};
	struct vdev *dev = &ide.channels[channel].dev;

	return (uint8_t)dev->ops->read(dev, &a);
}

static inline void rig_control(unsigned channel, uint8_t value)
{
	const struct vdev_access a = {.addr = rig_bases[channel] + 0x206, .size = 1};
	struct vdev *dev = &ide.channels[channel].dev;

	dev->ops->write(dev, &a, value);
}

static inline uint8_t rig_status(unsigned channel)
{
	return (uint8_t)rig_read_at(channel, 7, 1);
}

/* A command with a 28-bit address. */
static inline void rig_command(unsigned channel, uint8_t command, uint32_t lba, uint8_t count)
{
	rig_write_at(channel, 6, 1, 0xe0 | (lba >> 24 & 0xf));
	rig_write_at(channel, 2, 1, count);
	rig_write_at(channel, 3, 1, lba & 0xff);
	rig_write_at(channel, 4, 1, lba >> 8 & 0xff);
	rig_write_at(channel, 5, 1, lba >> 16 & 0xff);
	rig_write_at(channel, 7, 1, command);
}

/* Reads the data register by string instructions of 16 bits. */
static inline void rig_read_data(unsigned channel, void *data, unsigned bytes)
{
	const struct vdev_access a = {.addr = rig_bases[channel], .size = 2};
	struct vdev *dev = &ide.channels[channel].dev;

	dev->ops->read_string(dev, &a, data, bytes / 2);
}

static inline void rig_write_data(unsigned channel, const void *data, unsigned bytes)
{
	const struct vdev_access a = {.addr = rig_bases[channel], .size = 2};
	struct vdev *dev = &ide.channels[channel].dev;

	dev->ops->write_string(dev, &a, data, bytes / 2);
}

/* ---- the bus master ---- */

static inline uint64_t rig_master_read(unsigned offset, unsigned size)
{
	return ide.pci.function.ops->bar_read(&ide.pci.function, IDE_BUS_MASTER_BAR, offset, size);
}

static inline void rig_master_write(unsigned offset, unsigned size, uint64_t value)
{
	ide.pci.function.ops->bar_write(&ide.pci.function, IDE_BUS_MASTER_BAR, offset, size, value);
}

/* Descriptor `index` of the table at the start of RAM. */
static inline void rig_prd(unsigned index, uint32_t address, uint32_t bytes, bool last)
{
	uint32_t prd[2] = {address, (bytes & 0xffff) | (last ? 0x80000000u : 0)};

	memcpy(rig_ram + index * sizeof(prd), prd, sizeof(prd));
}

static inline void rig_master_start(unsigned channel, bool to_memory)
{
	rig_master_write(channel * 8, 1, 0);
	rig_master_write(channel * 8 + 4, 4, RIG_RAM_BASE);
	rig_master_write(channel * 8 + 2, 1, 6);
	rig_master_write(channel * 8, 1, to_memory ? 9 : 1);
}

static inline void rig_run_work(void)
{
	while (rig_asked) {
		rig_asked = false;
		(void)vwork_run(&rig_work);
	}
}
