/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The IDE function as bytes, and back. A channel that is quiet is idle, or in one of three places
 * of a command: the host writes a packet; it reads or writes a part of a chunk; or a chunk waits
 * for the bus master. So a chunk is either whole from the disk, or none of it has gone there.
 */
#include "guests/devices/ide_internal.h"
#include "hv/base/ata_format.h"
#include "hv/base/bits.h"
#include "hv/base/str.h"

#define PRD_BYTES_MAX 0x10000u
#define MASTER_COMMAND_KNOWN (IDE_MASTER_START | IDE_MASTER_TO_MEMORY)
#define MASTER_STATUS_KNOWN \
	(IDE_MASTER_ACTIVE | IDE_MASTER_ERROR | IDE_MASTER_INTERRUPT | IDE_MASTER_CAPABLE)

/* ---- quiet ---- */

static bool channel_is_quiet(struct ide_channel *c)
{
	bool is_quiet;

	lock_acquire(&c->dev.lock);
	is_quiet = !c->request.open && !vwork_is_asked(&c->work);
	lock_release(&c->dev.lock);
	return is_quiet;
}

static bool quiet(void *dev)
{
	struct ide *ide = dev;

	return channel_is_quiet(&ide->channels[0]) && channel_is_quiet(&ide->channels[1]);
}

/* ---- saving; channel's lock held ---- */

static void save_unit(const struct ide_unit *u, struct ide_unit_saved *out)
{
	out->kind = (uint8_t)u->kind;
	out->registers = u->registers;
	if (u->kind == IDE_DISK) {
		ata_save(&u->disk, &out->disk);
	} else if (u->kind == IDE_CDROM) {
		atapi_save(&u->drive, &out->drive);
	}
}

static void save_command(const struct ide_channel *c, struct ide_command_saved *out)
{
	const struct ata_operation *op = &c->op;
	const struct ide_progress *p = &c->progress;

	out->sector = op->sector;
	out->bytes = op->bytes;
	out->moved = p->moved;
	out->range_done = p->range_done;
	out->drq_bytes = op->drq_bytes;
	out->chunk = p->chunk;
	out->host = p->host;
	out->disk = p->disk;
	out->drq = p->drq;
	out->ranges = p->ranges;
	out->action = (uint8_t)op->action;
	out->protocol = (uint8_t)op->protocol;
	out->is_ext = op->is_ext;
	out->flush_after = op->flush_after;
	out->page = (uint8_t)op->page;
	out->log = op->log;
	out->flushed = p->flushed;
	if (c->phase == IDE_PACKET) {
		memcpy(out->packet, c->packet, sizeof(out->packet));
	} else {
		memcpy(out->buffer, c->buffer, p->chunk);
	}
}

static void save_channel(struct ide_channel *c, struct ide_channel_saved *out)
{
	const struct ide_bus_master *m = &c->master;

	lock_acquire(&c->dev.lock);
	for (unsigned i = 0; i < IDE_UNITS; i++) {
		save_unit(&c->units[i], &out->units[i]);
	}
	out->master = (struct ide_master_saved){
		.table = m->table,
		.next = m->next,
		.address = m->address,
		.left = m->left,
		.command = m->command,
		.status = m->status,
		.last = m->last,
		.failed = m->failed,
	};
	out->control = c->control;
	out->selected = (uint8_t)c->selected;
	out->interrupt = c->interrupt;
	out->interrupt_unit = (uint8_t)c->interrupt_unit;
	out->phase = (uint8_t)c->phase;
	out->active = (uint8_t)c->active;
	if (c->phase != IDE_IDLE) {
		save_command(c, &out->command);
	}
	lock_release(&c->dev.lock);
}

static void save(void *dev, void *bytes)
{
	struct ide *ide = dev;
	struct ide_saved *out = bytes;

	for (unsigned i = 0; i < IDE_CHANNELS; i++) {
		save_channel(&ide->channels[i], &out->channels[i]);
	}
	pci_device_save(&ide->pci, &out->pci);
}

/* ---- checking ---- */

static const char *check_unit(const struct ide_unit *u, const struct ide_unit_saved *in)
{
	if (in->kind != u->kind || in->zero != 0) {
		return "a place has another device";
	}
	if ((u->kind != IDE_DISK && !saved_is_zero(&in->disk, sizeof(in->disk))) ||
	    (u->kind != IDE_CDROM && !saved_is_zero(&in->drive, sizeof(in->drive)))) {
		return "a place has the state of another device";
	}
	if (u->kind == IDE_DISK) {
		return ata_check(&u->disk, &in->disk);
	}
	return u->kind == IDE_CDROM ? atapi_check(&u->drive, &in->drive) : NULL;
}

static const char *check_master(const struct ide_master_saved *in)
{
	if (!is_aligned(in->table | in->next, 4) || !is_aligned(in->address | in->left, 2) ||
	    in->left > PRD_BYTES_MAX) {
		return "a table of the bus master is not possible";
	}
	if ((in->command & ~MASTER_COMMAND_KNOWN) != 0 ||
	    (in->status & ~MASTER_STATUS_KNOWN) != 0 || !saved_is_bool(in->last) ||
	    !saved_is_bool(in->failed)) {
		return "a register of the bus master has bits that do not exist";
	}
	return NULL;
}

/* What a command reads from or writes to; NULL: there is none. */
static struct blk_device *device_of(const struct ide_unit *u)
{
	if (u->kind == IDE_DISK) {
		return u->disk.cfg.device;
	}
	return u->drive.medium != NULL ? u->drive.medium : u->drive.given;
}

static bool is_on_device(const struct ide_unit *u, const struct ide_command_saved *in)
{
	const struct blk_device *d = device_of(u);

	return d != NULL && is_aligned(in->sector * BLK_SECTOR, d->block_size) &&
	       is_aligned(in->bytes, d->block_size) &&
	       range_fits(in->sector, in->bytes / BLK_SECTOR, d->sectors);
}

/* Whether the device has such a command, and as many bytes are its data. */
static bool has_command(const struct ide_unit *u, const struct ide_command_saved *in)
{
	bool is_disk = u->kind == IDE_DISK;

	switch (in->action) {
	case ATA_DO_READ:
		return is_on_device(u, in);
	case ATA_DO_WRITE:
		return is_disk && is_on_device(u, in);
	case ATA_DO_TRIM:
		return is_disk && in->bytes <= (uint64_t)ATA_DSM_BLOCKS_MAX * BLK_SECTOR &&
		       is_aligned(in->bytes, BLK_SECTOR);
	case ATA_DO_PAGE:
		return in->bytes <= ATA_PAGE_BYTES && in->page <= ATA_PAGE_REPLY;
	default:
		return false;
	}
}

/* The protocol of its kind and direction; *fill: how much of a chunk the disk has done by then. */
static bool has_protocol(const struct ide_command_saved *in, bool by_host, uint32_t *fill)
{
	bool to_host = in->action == ATA_DO_READ || in->action == ATA_DO_PAGE;
	enum ata_protocol in_by = by_host ? ATA_PIO_IN : ATA_DMA_IN;
	enum ata_protocol out_by = by_host ? ATA_PIO_OUT : ATA_DMA_OUT;

	*fill = to_host ? in->chunk : 0;
	return in->protocol == (to_host ? in_by : out_by);
}

static const char *check_data(const struct ide_unit *u, const struct ide_command_saved *in,
			      bool by_host)
{
	uint32_t fill;

	if (!has_command(u, in) || !has_protocol(in, by_host, &fill)) {
		return "a device does not have the command that is under way";
	}
	if (in->moved > in->bytes || !is_aligned(in->moved, IDE_BUFFER_BYTES) ||
	    in->chunk != min_u64(in->bytes - in->moved, IDE_BUFFER_BYTES) ||
	    in->host >= in->chunk || in->disk != fill || in->ranges != 0 || in->range_done != 0 ||
	    in->flushed != 0) {
		return "the data of a command cannot have got that far";
	}
	if (by_host && (in->drq_bytes == 0 || in->drq <= in->host || in->drq > in->chunk)) {
		return "the host cannot be at that place of the data";
	}
	if (in->drq > in->chunk ||
	    !saved_is_zero(&in->buffer[in->chunk], IDE_BUFFER_BYTES - in->chunk) ||
	    !saved_is_zero(in->packet, sizeof(in->packet))) {
		return "a buffer has more than the chunk";
	}
	return NULL;
}

static const char *check_packet(const struct ide_unit *u, const struct ide_command_saved *in)
{
	bool sound = u->kind == IDE_CDROM && in->action == ATA_DO_PACKET &&
		     (in->protocol == ATA_PIO_IN || in->protocol == ATA_DMA_IN) &&
		     in->page <= ATA_PAGE_REPLY && in->bytes == ATAPI_PACKET_BYTES &&
		     in->chunk == ATAPI_PACKET_BYTES && in->drq == ATAPI_PACKET_BYTES &&
		     in->host < ATAPI_PACKET_BYTES;

	sound = sound && in->moved == 0 && in->disk == 0 && in->ranges == 0 &&
		in->range_done == 0 && in->flushed == 0 &&
		saved_is_zero(in->buffer, sizeof(in->buffer));
	return sound ? NULL : "a packet cannot have got that far";
}

static const char *check_command(const struct ide_channel *c, const struct ide_channel_saved *in)
{
	const struct ide_command_saved *command = &in->command;
	const struct ide_unit *u = &c->units[in->active];

	if (in->phase == IDE_IDLE) {
		return saved_is_zero(command, sizeof(*command)) ? NULL
								: "an idle channel has a command";
	}
	if (u->kind == IDE_NONE) {
		return "nobody has the command that is under way";
	}
	if (!saved_is_bool(command->is_ext) || !saved_is_bool(command->flush_after) ||
	    !saved_is_zero(command->zero, sizeof(command->zero))) {
		return "a flag of a command is neither 0 nor 1";
	}
	return in->phase == IDE_PACKET ? check_packet(u, command)
				       : check_data(u, command, in->phase == IDE_HOST);
}

static const char *check_channel(const struct ide_channel *c, const struct ide_channel_saved *in)
{
	const char *wrong = check_master(&in->master);

	for (unsigned i = 0; i < IDE_UNITS && wrong == NULL; i++) {
		wrong = check_unit(&c->units[i], &in->units[i]);
	}
	if (wrong != NULL) {
		return wrong;
	}
	if (in->selected >= IDE_UNITS || in->interrupt_unit >= IDE_UNITS ||
	    in->active >= IDE_UNITS || in->phase > IDE_HOST || !saved_is_bool(in->interrupt) ||
	    !saved_is_zero(in->zero, sizeof(in->zero))) {
		return "a channel has two places, and four phases";
	}
	return check_command(c, in);
}

static const char *check(void *dev, const void *bytes)
{
	const struct ide *ide = dev;
	const struct ide_saved *in = bytes;
	const char *wrong = NULL;

	for (unsigned i = 0; i < IDE_CHANNELS && wrong == NULL; i++) {
		wrong = check_channel(&ide->channels[i], &in->channels[i]);
	}
	return wrong != NULL ? wrong : pci_device_check(&ide->pci, &in->pci);
}

/* ---- loading; channel's lock held ---- */

static void load_unit(struct ide_unit *u, const struct ide_unit_saved *in)
{
	u->registers = in->registers;
	if (u->kind == IDE_DISK) {
		ata_load(&u->disk, &in->disk);
	} else if (u->kind == IDE_CDROM) {
		atapi_load(&u->drive, &in->drive);
	}
}

/* Of an idle channel all is 0. */
static void load_command(struct ide_channel *c, const struct ide_command_saved *in)
{
	c->op = (struct ata_operation){
		.action = (enum ata_action)in->action,
		.protocol = (enum ata_protocol)in->protocol,
		.device = device_of(ide_active(c)),
		.sector = in->sector,
		.bytes = in->bytes,
		.drq_bytes = in->drq_bytes,
		.is_ext = in->is_ext != 0,
		.flush_after = in->flush_after != 0,
		.page = (enum ata_page_kind)in->page,
		.log = in->log,
	};
	c->progress = (struct ide_progress){
		.moved = in->moved,
		.chunk = in->chunk,
		.host = in->host,
		.disk = in->disk,
		.drq = in->drq,
		.ranges = in->ranges,
		.range_done = in->range_done,
		.flushed = in->flushed != 0,
	};
	memcpy(c->packet, in->packet, sizeof(c->packet));
	memcpy(c->buffer, in->buffer, IDE_BUFFER_BYTES);
}

static void load_registers(struct ide_channel *c, const struct ide_channel_saved *in)
{
	const struct ide_master_saved *m = &in->master;

	c->control = in->control;
	c->selected = in->selected;
	c->interrupt = in->interrupt != 0;
	c->interrupt_unit = in->interrupt_unit;
	c->phase = (enum ide_phase)in->phase;
	c->active = in->active;
	c->master = (struct ide_bus_master){
		.command = m->command,
		.status = m->status,
		.table = m->table,
		.next = m->next,
		.address = m->address,
		.left = m->left,
		.last = m->last != 0,
		.failed = m->failed != 0,
	};
}

/* Unlike a change of the registers, it is no event for the bus master. */
static void load_line(struct ide_channel *c)
{
	bool level = c->interrupt && c->interrupt_unit == c->selected &&
		     (c->control & ATA_CONTROL_NIEN) == 0;

	if (level != c->level) {
		c->level = level;
		irq_line_set(&c->irq, level);
	}
}

/* A chunk that waits for the bus master, which may be on, is seen to by `work`. */
static void load_channel(struct ide_channel *c, const struct ide_channel_saved *in)
{
	lock_acquire(&c->dev.lock);
	ide_abandon(c);
	for (unsigned i = 0; i < IDE_UNITS; i++) {
		load_unit(&c->units[i], &in->units[i]);
	}
	load_registers(c, in);
	load_command(c, &in->command);
	load_line(c);
	vwork_ask(&c->work, c->index % c->ide->vcpu_count);
	lock_release(&c->dev.lock);
}

static void load(void *dev, const void *bytes)
{
	struct ide *ide = dev;
	const struct ide_saved *in = bytes;

	for (unsigned i = 0; i < IDE_CHANNELS; i++) {
		load_channel(&ide->channels[i], &in->channels[i]);
	}
	pci_device_load(&ide->pci, &in->pci);
}

static void reset(void *dev)
{
	pci_device_reset(&((struct ide *)dev)->pci);
}

const struct saved_ops ide_saved_ops = {
	.name = "IDE",
	.kind = SAVED_KIND('I', 'D', 'E', ' '),
	.version = IDE_SAVED_VERSION,
	.bytes = sizeof(struct ide_saved),
	.quiet = quiet,
	.save = save,
	.check = check,
	.load = load,
	.reset = reset,
};
