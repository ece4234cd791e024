/* SPDX-License-Identifier: Apache-2.0 */
/* The IDE function: configuration space, bus master registers, set-up. Source: 82371SB (PIIX3) data
 * sheet, "PCI Configuration Registers - IDE". */
#include "guests/devices/ide.h"

#include "guests/devices/ide_internal.h"
#include "hv/base/bits.h"
#include "hv/base/str.h"

#define VENDOR_INTEL 0x8086u
#define DEVICE_PIIX3_IDE 0x7010u
#define CLASS_IDE_BUS_MASTER 0x010180u /* both channels in compatibility mode, for good */

/* Timings, one register per channel, and those of devices 1. */
#define IDETIM 0x40u
#define IDETIM_DECODE 0x8000u /* always on: no firmware has to know this chip */
#define IDETIM_TIMING 0x73ffu
#define SIDETIM 0x44u

#define MODEL "Bulkhead disk"

static struct ide *to_ide(struct pci_device *d)
{
	return container_of(d, struct ide, pci);
}

/* ---- bus master registers ---- */

/* Two bytes of each channel's are nobody's. */
static void note(const struct ide *ide, uint64_t at, enum lacks_kind kind)
{
	if (!ide_master_has(at % IDE_BUS_MASTER_PORTS)) {
		pci_device_lacks(&ide->pci, kind, at);
	}
}

static uint64_t bar_read(struct pci_device *d, unsigned bar, uint64_t offset, unsigned size)
{
	struct ide *ide = to_ide(d);
	uint64_t value = 0;

	(void)bar;
	for (unsigned i = 0; i < size; i++) {
		uint64_t at = offset + i;
		struct ide_channel *c = &ide->channels[at / IDE_BUS_MASTER_PORTS];

		note(ide, at, LACKS_READ);
		lock_acquire(&c->dev.lock);
		value |= (uint64_t)ide_master_read(c, at % IDE_BUS_MASTER_PORTS) << (8 * i);
		lock_release(&c->dev.lock);
	}
	return value;
}

static void bar_write(struct pci_device *d, unsigned bar, uint64_t offset, unsigned size,
		      uint64_t value)
{
	struct ide *ide = to_ide(d);

	(void)bar;
	for (unsigned i = 0; i < size; i++) {
		uint64_t at = offset + i;
		struct ide_channel *c = &ide->channels[at / IDE_BUS_MASTER_PORTS];

		note(ide, at, LACKS_WRITE);
		lock_acquire(&c->dev.lock);
		ide_master_write(c, at % IDE_BUS_MASTER_PORTS, (uint8_t)(value >> (8 * i)));
		lock_release(&c->dev.lock);
	}
}

static void reset(struct pci_device *d)
{
	struct ide *ide = to_ide(d);

	for (unsigned i = 0; i < IDE_CHANNELS; i++) {
		struct ide_channel *c = &ide->channels[i];

		lock_acquire(&c->dev.lock);
		ide_channel_reset(c, true);
		lock_release(&c->dev.lock);
	}
}

/* A transfer that has waited for it goes on. */
static void master_changed(struct pci_device *d, bool master)
{
	struct ide *ide = to_ide(d);

	for (unsigned i = 0; master && i < IDE_CHANNELS; i++) {
		vwork_ask(&ide->channels[i].work, i % ide->vcpu_count);
	}
}

static const struct pci_device_ops ide_ops = {
	.name = "IDE",
	.bar_read = bar_read,
	.bar_write = bar_write,
	.reset = reset,
	.master_changed = master_changed,
};

/* ---- set-up ---- */

static enum hv_status init_disk(struct ide_unit *u, const struct ide_unit_config *cfg)
{
	const struct ata_config disk = {.device = cfg->device, .model = MODEL};

	if ((uint64_t)cfg->device->max_count * BLK_SECTOR < cfg->device->block_size) {
		return HV_E_UNSUPPORTED;
	}
	return ata_init(&u->disk, &disk);
}

static enum hv_status init_unit(struct ide_unit *u, const struct ide_unit_config *cfg)
{
	u->kind = cfg->kind;
	if (cfg->kind == IDE_DISK) {
		return init_disk(u, cfg);
	}
	if (cfg->kind == IDE_CDROM) {
		if (cfg->device != NULL && !atapi_can_read(cfg->device)) {
			return HV_E_UNSUPPORTED;
		}
		atapi_init(&u->drive, cfg->device, cfg->serial, false);
	}
	return HV_OK;
}

static enum hv_status init_channel(struct ide *ide, unsigned index, const struct ide_config *cfg)
{
	struct ide_channel *c = &ide->channels[index];
	enum hv_status status = HV_OK;

	c->dev.ops = &ide_channel_ops;
	c->ide = ide;
	c->index = index;
	c->irq = cfg->irqs[index];
	ide_transfer_init(c, cfg->work, cfg->buffers[index]);
	for (unsigned i = 0; i < IDE_UNITS && status == HV_OK; i++) {
		status = init_unit(&c->units[i], &cfg->units[index * IDE_UNITS + i]);
	}
	ide_channel_reset(c, true);
	return status;
}

static enum hv_status init_function(struct ide *ide, const struct ide_config *cfg)
{
	struct pci_device_config function = cfg->place;
	enum hv_status status;

	function.ops = &ide_ops;
	function.identity = (struct pci_identity){.vendor = VENDOR_INTEL,
						  .device = DEVICE_PIIX3_IDE,
						  .class_code = CLASS_IDE_BUS_MASTER};
	function.registers_end = SIDETIM + 1;
	status = pci_device_init(&ide->pci, &function);
	if (status != HV_OK) {
		return status;
	}
	for (unsigned i = 0; i < IDE_CHANNELS; i++) {
		pci_function_define(&ide->pci.function, IDETIM + 2 * i, 2, IDETIM_DECODE,
				    IDETIM_TIMING);
	}
	pci_function_define(&ide->pci.function, SIDETIM, 1, 0, 0xff);
	status = pci_function_add_bar(&ide->pci.function, IDE_BUS_MASTER_BAR, PCI_BAR_IO,
				      (uint64_t)IDE_CHANNELS * IDE_BUS_MASTER_PORTS);
	return status == HV_OK ? pci_device_add(&ide->pci) : status;
}

enum hv_status ide_init(struct ide *ide, const struct ide_config *cfg)
{
	enum hv_status status = HV_OK;

	memset(ide, 0, sizeof(*ide));
	ide->vm = cfg->vm;
	ide->vcpu_count = cfg->vcpu_count;
	saved_device_init(&ide->saved, &ide_saved_ops, ide);
	for (unsigned i = 0; i < IDE_CHANNELS && status == HV_OK; i++) {
		status = init_channel(ide, i, cfg);
	}
	return status == HV_OK ? init_function(ide, cfg) : status;
}

bool ide_is_idle(const struct ide *ide)
{
	for (unsigned i = 0; i < IDE_CHANNELS; i++) {
		if (!blk_single_is_idle(&ide->channels[i].request)) {
			return false;
		}
	}
	return true;
}

/* ---- the medium ---- */

/* NULL: no CD drive is there. */
static struct atapi_drive *drive_of(struct ide *ide, unsigned unit, struct ide_channel **channel)
{
	struct ide_unit *u;

	if (unit >= IDE_CHANNELS * IDE_UNITS) {
		return NULL;
	}
	*channel = &ide->channels[unit / IDE_UNITS];
	u = &(*channel)->units[unit % IDE_UNITS];
	return u->kind == IDE_CDROM ? &u->drive : NULL;
}

enum hv_status ide_eject(struct ide *ide, unsigned unit, bool force)
{
	struct ide_channel *c;
	struct atapi_drive *drive = drive_of(ide, unit, &c);
	enum hv_status status;

	if (drive == NULL) {
		return HV_E_UNSUPPORTED;
	}
	lock_acquire(&c->dev.lock);
	status = atapi_eject(drive, force);
	lock_release(&c->dev.lock);
	return status;
}

enum hv_status ide_insert(struct ide *ide, unsigned unit, struct blk_device *medium)
{
	struct ide_channel *c;
	struct atapi_drive *drive = drive_of(ide, unit, &c);

	if (drive == NULL || !atapi_can_read(medium)) {
		return HV_E_UNSUPPORTED;
	}
	lock_acquire(&c->dev.lock);
	atapi_insert(drive, medium);
	lock_release(&c->dev.lock);
	return HV_OK;
}
