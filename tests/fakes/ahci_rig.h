/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A driver of the guests' AHCI controller for unit tests and fuzz targets: ports with the disk of
 * blk_rig.h, command lists, command tables and regions in a small guest memory, interrupts that are
 * counted. Layouts are the specification's.
 *
 *	RIG_RAM_BASE	per port 4 KiB: the command list, and from 800h on the received FISes
 *	+8000h		command tables, 1 KiB each: 56 regions
 *	+40000h		data
 */
#pragma once

#include "guests/devices/ahci.h"
#include "hv/base/bits.h"
#include "tests/fakes/blk_rig.h"
#include "tests/fakes/device_rig.h"
#include "tests/fakes/pci_rig.h"
#include "tests/fakes/virtio_rig.h"

#define RIG_ABAR 5u
#define RIG_UNITS 2u
#define RIG_DATA (RIG_RAM_BASE + 0x40000u)
#define RIG_TABLE_BYTES 0x400u
#define RIG_TABLE_REGIONS 56u

static struct ahci_hba rig_hba;
static struct ahci_unit rig_units[RIG_UNITS];
static _Alignas(4096) uint8_t rig_buffers[RIG_UNITS][BOUNCE_BYTES];
static struct rig_line rig_intx;
static unsigned rig_messages;
static struct vwork_queue rig_work;
static bool rig_asked;

static inline bool rig_message(void *ctx, uint64_t address, uint32_t data)
{
	(void)ctx;
	assert(address == 0xfee00000 && data == 0x41);
	rig_messages++;
	return true;
}

static inline void rig_ask(void *ctx, unsigned vcpu)
{
	(void)ctx;
	assert(vcpu < RIG_UNITS);
	rig_asked = true;
}

/* ---- configuration space, registers ---- */

static inline void rig_msi_on(void)
{
	unsigned at = rig_capability(PCI_CAP_MSI);

	rig_config_write(at + PCI_MSI_ADDRESS, 4, 0xfee00000);
	rig_config_write(at + PCI_MSI_DATA_64, 2, 0x41);
	rig_config_write(at + PCI_MSI_CONTROL, 2, PCI_MSI_ENABLE);
}

static inline uint64_t rig_bar_read(unsigned bar, uint64_t offset, unsigned size)
{
	return rig_hba.pci.function.ops->bar_read(&rig_hba.pci.function, bar, offset, size);
}

static inline void rig_bar_write(unsigned bar, uint64_t offset, unsigned size, uint64_t value)
{
	rig_hba.pci.function.ops->bar_write(&rig_hba.pci.function, bar, offset, size, value);
}

static inline uint32_t rig_host_read(unsigned reg)
{
	return (uint32_t)rig_bar_read(RIG_ABAR, reg, 4);
}

static inline void rig_host_write(unsigned reg, uint32_t value)
{
	rig_bar_write(RIG_ABAR, reg, 4, value);
}

static inline uint32_t rig_port_read(unsigned unit, unsigned reg)
{
	return rig_host_read(AHCI_PORTS + unit * AHCI_PORT_SIZE + reg);
}

static inline void rig_port_write(unsigned unit, unsigned reg, uint32_t value)
{
	rig_host_write(AHCI_PORTS + unit * AHCI_PORT_SIZE + reg, value);
}

/* ---- memory ---- */

static inline uint64_t rig_list(unsigned unit)
{
	return RIG_RAM_BASE + unit * 0x1000u;
}

static inline uint64_t rig_received(unsigned unit)
{
	return rig_list(unit) + 0x800;
}

static inline uint64_t rig_table(unsigned unit, unsigned slot)
{
	return RIG_RAM_BASE + 0x8000 + (unit * 32u + slot) * RIG_TABLE_BYTES;
}

/* A byte of the FIS that was received at this offset. */
static inline uint8_t rig_fis(unsigned unit, unsigned offset, unsigned byte)
{
	return (uint8_t)rig_get(rig_received(unit) + offset + byte, 1);
}

struct rig_region {
	uint64_t address;
	uint32_t bytes;
};

/* Region `index` of the slot's table; `flags` of its last dword. */
static inline void rig_put_region(unsigned unit, unsigned slot, unsigned index,
				  struct rig_region region, uint32_t flags)
{
	uint64_t at = rig_table(unit, slot) + 0x80 + index * 16ull;

	rig_put(at, region.address, 8);
	rig_put(at + 8, 0, 4);
	rig_put(at + 12, (region.bytes - 1) | flags, 4);
}

struct rig_command {
	uint8_t command;
	uint16_t features;
	uint16_t count;
	uint64_t lba;
	uint8_t device;
};

static inline void rig_put_fis(unsigned unit, unsigned slot, const struct rig_command *c)
{
	uint64_t at = rig_table(unit, slot);

	rig_put(at, 0x8027u | (uint32_t)c->command << 16 | (c->features & 0xffu) << 24, 4);
	rig_put(at + 4, (c->lba & 0xffffff) | (uint64_t)(c->device | 0x40u) << 24, 4);
	rig_put(at + 8, (c->lba >> 24 & 0xffffff) | (uint64_t)(c->features >> 8) << 24, 4);
	rig_put(at + 12, c->count, 4);
	rig_put(at + 16, 0, 4);
}

static inline void rig_put_header(unsigned unit, unsigned slot, uint16_t flags, uint32_t regions)
{
	uint64_t at = rig_list(unit) + slot * 32ull;

	rig_put(at, (uint32_t)flags | regions << 16, 4);
	rig_put(at + 4, 0xeeeeeeee, 4);
	rig_put(at + 8, rig_table(unit, slot), 8);
}

/* A command with one region, or none if it is empty. */
static inline void rig_put_command(unsigned unit, unsigned slot, const struct rig_command *c,
				   struct rig_region region)
{
	rig_put_fis(unit, slot, c);
	rig_put_region(unit, slot, 0, region, 0);
	rig_put_header(unit, slot, 5, region.bytes != 0);
}

static inline void rig_put_queued(unsigned unit, unsigned slot, bool writes, uint64_t lba,
				  uint16_t sectors, uint64_t address)
{
	const struct rig_command c = {.command = writes ? ATA_WRITE_FPDMA : ATA_READ_FPDMA,
				      .features = sectors,
				      .count = (uint16_t)(slot << 3),
				      .lba = lba};

	rig_put_command(unit, slot, &c, (struct rig_region){address, sectors * 512u});
}

static inline uint32_t rig_moved(unsigned unit, unsigned slot)
{
	return (uint32_t)rig_get(rig_list(unit) + slot * 32ull + 4, 4);
}

static inline void rig_issue_queued(unsigned unit, uint32_t slots)
{
	rig_port_write(unit, AHCI_PXSACT, slots);
	rig_port_write(unit, AHCI_PXCI, slots);
}

/* ---- set-up ---- */

static inline struct ahci_config rig_config(unsigned unit_count)
{
	struct ahci_config cfg = {
		.place = {.host = &rig_host,
			  .devfn = RIG_DEVFN,
			  .message = rig_message,
			  .intx_line = rig_irq(&rig_intx)},
		.work = &rig_work,
		.vcpu_count = RIG_UNITS,
		.unit_count = unit_count,
	};

	for (unsigned i = 0; i < unit_count; i++) {
		cfg.units[i] = (struct ahci_unit_config){
			.device = &rig_disk, .unit = &rig_units[i], .buffers = rig_buffers[i]};
	}
	rig_intx = (struct rig_line){0};
	rig_messages = 0;
	rig_asked = false;
	rig_host_start();
	vwork_queue_init(&rig_work, rig_ask, NULL);
	return cfg;
}

/* A port's engine and its interrupts on. */
static inline void rig_start(unsigned unit)
{
	rig_port_write(unit, AHCI_PXCLB, (uint32_t)rig_list(unit));
	rig_port_write(unit, AHCI_PXFB, (uint32_t)rig_received(unit));
	rig_port_write(unit, AHCI_PXCMD, AHCI_PXCMD_FRE);
	rig_port_write(unit, AHCI_PXSERR, UINT32_MAX);
	rig_port_write(unit, AHCI_PXIS, UINT32_MAX);
	rig_port_write(unit, AHCI_PXIE, UINT32_MAX);
	rig_port_write(unit, AHCI_PXCMD, AHCI_PXCMD_FRE | AHCI_PXCMD_ST);
}

static inline void rig_stop(unsigned unit)
{
	rig_port_write(unit, AHCI_PXCMD, AHCI_PXCMD_FRE);
}

/* Ports with disks on a machine that has just started, driven by somebody who knows how. */
static inline void rig_ahci_init(const struct ahci_config *cfg)
{
	enum hv_status status = ahci_init(&rig_hba, cfg);

	assert(status == HV_OK);
	rig_set_master(true);
	rig_host_write(AHCI_GHC, AHCI_GHC_AE | AHCI_GHC_IE);
	for (unsigned i = 0; i < cfg->unit_count; i++) {
		rig_start(i);
	}
}

/* As an interrupt handler does it; what PxIS had. */
static inline uint32_t rig_take_events(unsigned unit)
{
	uint32_t events = rig_port_read(unit, AHCI_PXIS);

	rig_port_write(unit, AHCI_PXIS, events);
	rig_host_write(AHCI_IS, BIT32(unit));
	return events;
}

static inline void rig_work_now(void)
{
	rig_asked = false;
	(void)vwork_run(&rig_work);
}

/* Nothing is open, and nothing lost. */
static inline bool rig_all_free(unsigned unit)
{
	const struct ahci_unit *u = &rig_units[unit];

	return blk_pieces_all_free(&u->pieces) && u->taken == 0 && u->queued == 0 &&
	       u->current == NULL && !u->draining && !blk_pieces_are_open(&u->pieces) &&
	       (u->pieces.bounce.free[0] & u->pieces.bounce.free[1]) == UINT64_MAX;
}
