/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command and control blocks of an IDE channel, and the side of a command that the host sees:
 * what the registers read, when DRQ and INTRQ come. Source: ATA/ATAPI-6 (T13/1410D), "Interface
 * register definitions and descriptions", "Protocol", "Device 0 only configurations".
 */
#include "guests/devices/ide_internal.h"

#include "hv/base/bits.h"
#include "hv/base/str.h"

/* Registers of the command block, as their places in the ports. */
#define DATA 0u
#define ERROR 1u /* read; features when written */
#define COUNT 2u
#define LBA_LOW 3u
#define LBA_HIGH 5u
#define DEVICE 6u
#define STATUS 7u /* read; the command when written */

/* Lines that nobody drives: the one for BSY is pulled down. */
#define NOBODY 0x7fu

static struct ide_channel *to_channel(struct vdev *dev)
{
	return container_of(dev, struct ide_channel, dev);
}

static struct ide_unit *selected(struct ide_channel *c)
{
	return &c->units[c->selected];
}

static bool is_there(const struct ide_unit *u)
{
	return u->kind != IDE_NONE;
}

static bool is_empty(const struct ide_channel *c)
{
	return !is_there(&c->units[0]) && !is_there(&c->units[1]);
}

/* ---- INTRQ ---- */

static void update_line(struct ide_channel *c)
{
	bool level = c->interrupt && c->interrupt_unit == c->selected &&
		     (c->control & ATA_CONTROL_NIEN) == 0;

	if (level != c->level) {
		c->level = level;
		if (level) {
			c->master.status |= IDE_MASTER_INTERRUPT;
		}
		irq_line_set(&c->irq, level);
	}
}

/* A device has something to tell. */
static void interrupt(struct ide_channel *c)
{
	c->interrupt = true;
	c->interrupt_unit = c->active;
	update_line(c);
}

static void clear_interrupt(struct ide_channel *c)
{
	c->interrupt = false;
	update_line(c);
}

/* ---- what a command looks like ---- */

static void begin_progress(struct ide_channel *c)
{
	memset(&c->progress, 0, sizeof(c->progress));
	c->master.failed = false;
}

/* "Interrupt Reason" and "Byte Count" of a packet device. */
static void show_reason(struct ide_unit *u, uint8_t reason, uint32_t bytes)
{
	u->registers.count = (uint16_t)((u->registers.count & ~0xffu) | reason);
	u->registers.lba[1] = (uint8_t)bytes;
	u->registers.lba[2] = (uint8_t)(bytes >> 8);
}

void ide_begin_drq(struct ide_channel *c)
{
	struct ide_progress *p = &c->progress;
	uint32_t bytes = (uint32_t)min_u64(c->op.drq_bytes, p->chunk - p->host);
	bool first = p->moved == 0 && p->host == 0;

	p->drq = p->host + bytes;
	c->phase = IDE_HOST;
	if (ide_active(c)->registers.command == ATA_PACKET) {
		show_reason(ide_active(c), ATA_REASON_IO, bytes);
	}
	/* The host knows by itself that it may send the first data. */
	if (c->op.protocol == ATA_PIO_IN || !first) {
		interrupt(c);
	}
}

void ide_complete(struct ide_channel *c, enum hv_status status, uint64_t sector)
{
	struct ide_unit *u = ide_active(c);
	bool silent = c->op.protocol == ATA_PIO_IN && status == HV_OK;

	c->phase = IDE_IDLE;
	if (c->op.protocol == ATA_DMA_IN || c->op.protocol == ATA_DMA_OUT) {
		ide_master_done(c);
	}
	if (u->kind == IDE_CDROM) {
		/* A packet has a status phase of its own. */
		silent = silent && u->registers.command != ATA_PACKET;
		atapi_finish(&u->drive, &u->registers, &c->op, status);
	} else {
		ata_finish(&u->disk, &u->registers, &c->op, status, sector);
	}
	if (!silent) {
		interrupt(c);
	}
}

/* What is left of a command that was executed. */
static void begin_work(struct ide_channel *c)
{
	if (c->op.lacks != LACKS_NOTHING) {
		pci_device_lacks(&c->ide->pci, c->op.lacks, c->op.lacked);
	}
	begin_progress(c);
	if (c->op.action == ATA_DONE) {
		c->phase = IDE_IDLE;
		interrupt(c);
		return;
	}
	c->phase = IDE_WORK;
	ide_advance(c);
}

static void begin_packet(struct ide_channel *c)
{
	begin_progress(c);
	c->progress.chunk = ATAPI_PACKET_BYTES;
	c->progress.drq = ATAPI_PACKET_BYTES;
	c->phase = IDE_PACKET;
	ide_active(c)->registers.count = ATA_REASON_CD;
}

static void take_packet(struct ide_channel *c)
{
	struct ide_unit *u = ide_active(c);

	atapi_packet(&u->drive, &u->registers, c->packet, &c->op);
	begin_work(c);
}

/* ---- commands ---- */

static void show_signature(struct ide_unit *u)
{
	u->registers.features = 0;
	ata_set_signature(&u->registers, u->kind == IDE_CDROM);
}

/* Both devices do it, and device 0 tells how it went. */
static void diagnose(struct ide_channel *c)
{
	for (unsigned i = 0; i < IDE_UNITS; i++) {
		show_signature(&c->units[i]);
	}
	c->selected = 0;
	c->active = 0;
	interrupt(c);
}

static void take_command(struct ide_channel *c, uint8_t command)
{
	struct ide_unit *u = selected(c);

	clear_interrupt(c);
	if (command == ATA_DIAGNOSTIC && !is_empty(c)) {
		diagnose(c);
		return;
	}
	if (!is_there(u)) {
		return;
	}
	c->active = c->selected;
	u->registers.command = command;
	if (u->kind == IDE_CDROM) {
		atapi_execute(&u->drive, &u->registers, &c->op);
	} else {
		ata_execute(&u->disk, &u->registers, &c->op);
	}
	if (command == ATA_DEVICE_RESET && u->kind == IDE_CDROM) {
		return; /* without an interrupt */
	}
	if (c->op.action == ATA_DO_PACKET) {
		begin_packet(c);
	} else {
		begin_work(c);
	}
}

static bool is_busy(const struct ide_channel *c)
{
	return c->phase != IDE_IDLE || (c->control & ATA_CONTROL_SRST) != 0;
}

/* The one command that a device takes while it has another. */
static bool is_device_reset(const struct ide_channel *c, uint8_t command)
{
	return command == ATA_DEVICE_RESET && c->selected == c->active &&
	       c->units[c->active].kind == IDE_CDROM && (c->control & ATA_CONTROL_SRST) == 0;
}

/* ---- registers ---- */

static void push(uint16_t *reg, uint8_t value)
{
	*reg = (uint16_t)(*reg << 8 | value);
}

/* Both devices take what is written. */
static void write_unit(struct ide_unit *u, unsigned reg, uint8_t value)
{
	struct ata_registers *r = &u->registers;

	switch (reg) {
	case ERROR:
		push(&r->features, value);
		break;
	case COUNT:
		push(&r->count, value);
		break;
	case DEVICE:
		r->device = value;
		break;
	default:
		r->lba[reg - LBA_LOW + 3] = r->lba[reg - LBA_LOW];
		r->lba[reg - LBA_LOW] = value;
		break;
	}
}

static void write_register(struct ide_channel *c, unsigned reg, uint8_t value)
{
	c->control &= (uint8_t)~ATA_CONTROL_HOB;
	if (reg == STATUS && is_busy(c) && is_device_reset(c, value)) {
		ide_abandon(c);
	}
	if (is_busy(c)) {
		return;
	}
	if (reg == STATUS) {
		take_command(c, value);
		return;
	}
	for (unsigned i = 0; i < IDE_UNITS; i++) {
		write_unit(&c->units[i], reg, value);
	}
	if (reg == DEVICE) {
		c->selected = (value & ATA_DEVICE_DEV) != 0;
		update_line(c);
	}
}

static void write_control(struct ide_channel *c, uint8_t value)
{
	bool was_reset = (c->control & ATA_CONTROL_SRST) != 0;
	bool reset = (value & ATA_CONTROL_SRST) != 0;

	c->control = value;
	if (reset != was_reset) {
		/* Busy while the bit is on, and done when it goes off. */
		ide_channel_reset(c, false);
	}
	update_line(c);
}

static uint8_t read_status(const struct ide_channel *c)
{
	const struct ide_unit *u = &c->units[c->selected];

	if (is_empty(c)) {
		return NOBODY;
	}
	if (!is_there(u)) {
		return 0; /* device 0 answers for device 1 */
	}
	if ((c->control & ATA_CONTROL_SRST) != 0) {
		return ATA_STATUS_BSY;
	}
	if (c->phase == IDE_IDLE || c->active != c->selected) {
		return u->registers.status;
	}
	return c->phase == IDE_WORK ? ATA_STATUS_BSY
				    : ATA_STATUS_DRDY | ATA_STATUS_DSC | ATA_STATUS_DRQ;
}

/* What device 0 shows for a device 1 that is not there; a packet device shows nothing. */
static const struct ide_unit *answering(const struct ide_channel *c)
{
	const struct ide_unit *u = &c->units[c->selected];

	if (!is_there(u) && c->units[0].kind == IDE_DISK) {
		u = &c->units[0];
	}
	return is_there(u) ? u : NULL;
}

static uint8_t read_register(const struct ide_channel *c, unsigned reg)
{
	const struct ide_unit *u = answering(c);
	unsigned shift = (c->control & ATA_CONTROL_HOB) != 0 ? 8 : 0;

	if (u == NULL) {
		return is_empty(c) ? NOBODY : 0;
	}
	switch (reg) {
	case ERROR:
		return u->registers.error;
	case COUNT:
		return (uint8_t)(u->registers.count >> shift);
	case DEVICE:
		return u->registers.device;
	default:
		return u->registers.lba[reg - LBA_LOW + (shift != 0 ? 3 : 0)];
	}
}

/* ---- the data register ---- */

static uint8_t *host_bytes(struct ide_channel *c)
{
	return (c->phase == IDE_PACKET ? c->packet : c->buffer) + c->progress.host;
}

static bool takes_data(const struct ide_channel *c, bool from_host)
{
	if (c->selected != c->active) {
		return false;
	}
	return c->phase == IDE_PACKET
		       ? from_host
		       : c->phase == IDE_HOST && from_host == (c->op.protocol == ATA_PIO_OUT);
}

/* All of a DRQ was moved. */
static void end_drq(struct ide_channel *c)
{
	struct ide_progress *p = &c->progress;

	if (c->phase == IDE_PACKET) {
		take_packet(c);
	} else if (p->host < p->chunk) {
		ide_begin_drq(c);
	} else {
		c->phase = IDE_WORK;
		ide_advance(c);
	}
}

/* How much of `bytes` the present DRQ takes or gives; 0: the host is not asked for data, or has
 * none to get. */
static uint32_t data_size(const struct ide_channel *c, uint32_t bytes, bool from_host)
{
	return takes_data(c, from_host)
		       ? (uint32_t)min_u64(bytes, c->progress.drq - c->progress.host)
		       : 0;
}

static void count_data(struct ide_channel *c, uint32_t bytes)
{
	c->progress.host += bytes;
	if (c->progress.host == c->progress.drq) {
		end_drq(c);
	}
}

/* From one DRQ after the other, for as long as they follow at once. */
static void read_all(struct ide_channel *c, uint8_t *data, uint32_t bytes)
{
	uint32_t n;

	while ((n = data_size(c, bytes, false)) != 0) {
		memcpy(data, host_bytes(c), n);
		data += n;
		bytes -= n;
		count_data(c, n);
	}
}

static void write_all(struct ide_channel *c, const uint8_t *data, uint32_t bytes)
{
	uint32_t n;

	while ((n = data_size(c, bytes, true)) != 0) {
		memcpy(host_bytes(c), data, n);
		data += n;
		bytes -= n;
		count_data(c, n);
	}
}

/* ---- ports ---- */

static bool is_control(const struct vdev_access *a)
{
	/* The control block is one port, the command block eight that begin at a multiple of 8. */
	return (a->addr & (IDE_COMMAND_PORTS - 1)) == 6 && a->offset == 0;
}

static bool decodes(const struct ide_channel *c)
{
	return pci_device_decodes_ports(&c->ide->pci);
}

static uint64_t read_port(struct ide_channel *c, unsigned reg)
{
	uint8_t status;

	if (reg != STATUS) {
		return read_register(c, reg);
	}
	status = read_status(c);
	clear_interrupt(c);
	return status;
}

static uint64_t channel_read(struct vdev *dev, const struct vdev_access *a)
{
	struct ide_channel *c = to_channel(dev);
	uint64_t value = 0;

	if (!decodes(c)) {
		return ~0ull;
	}
	lock_acquire(&dev->lock);
	if (is_control(a)) {
		value = read_status(c);
	} else if (a->offset == DATA) {
		read_all(c, (uint8_t *)&value, a->size);
	} else {
		for (unsigned i = 0; i < a->size; i++) {
			value |= read_port(c, (unsigned)a->offset + i) << (8 * i);
		}
	}
	lock_release(&dev->lock);
	return value;
}

static void channel_write(struct vdev *dev, const struct vdev_access *a, uint64_t value)
{
	struct ide_channel *c = to_channel(dev);

	if (!decodes(c)) {
		return;
	}
	lock_acquire(&dev->lock);
	if (is_control(a)) {
		write_control(c, (uint8_t)value);
	} else if (a->offset == DATA) {
		write_all(c, (const uint8_t *)&value, a->size);
	} else {
		for (unsigned i = 0; i < a->size; i++) {
			write_register(c, (unsigned)a->offset + i, (uint8_t)(value >> (8 * i)));
		}
	}
	lock_release(&dev->lock);
}

static void channel_read_string(struct vdev *dev, const struct vdev_access *a, void *data,
				unsigned count)
{
	struct ide_channel *c = to_channel(dev);
	uint8_t *at = data;

	if (a->offset == DATA && !is_control(a) && decodes(c)) {
		memset(data, 0, (size_t)a->size * count);
		lock_acquire(&dev->lock);
		read_all(c, data, a->size * count);
		lock_release(&dev->lock);
		return;
	}
	for (unsigned i = 0; i < count; i++) {
		uint64_t value = channel_read(dev, a);

		memcpy(at + (size_t)i * a->size, &value, a->size);
	}
}

static void channel_write_string(struct vdev *dev, const struct vdev_access *a, const void *data,
				 unsigned count)
{
	struct ide_channel *c = to_channel(dev);
	const uint8_t *at = data;

	if (a->offset == DATA && !is_control(a) && decodes(c)) {
		lock_acquire(&dev->lock);
		write_all(c, data, a->size * count);
		lock_release(&dev->lock);
		return;
	}
	for (unsigned i = 0; i < count; i++) {
		uint64_t value = 0;

		memcpy(&value, at + (size_t)i * a->size, a->size);
		channel_write(dev, a, value);
	}
}

/* A guest's reset comes with that of the function. */
static void channel_reset(struct vdev *dev)
{
	(void)dev;
}

const struct vdev_ops ide_channel_ops = {
	.name = "IDE channel",
	.read = channel_read,
	.write = channel_write,
	.reset = channel_reset,
	.read_string = channel_read_string,
	.write_string = channel_write_string,
};

/* ---- resets ---- */

static void reset_unit(struct ide_unit *u, bool hard)
{
	if (hard && u->kind == IDE_DISK) {
		ata_reset(&u->disk);
	} else if (hard && u->kind == IDE_CDROM) {
		atapi_reset(&u->drive);
	}
	show_signature(u);
}

void ide_channel_reset(struct ide_channel *c, bool hard)
{
	ide_abandon(c);
	c->selected = 0;
	c->active = 0;
	c->interrupt = false;
	if (hard) {
		c->control = 0;
		c->master = (struct ide_bus_master){0};
	}
	for (unsigned i = 0; i < IDE_UNITS; i++) {
		reset_unit(&c->units[i], hard);
	}
	update_line(c);
}
