/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registers of an AHCI port. Source: Serial ATA AHCI 1.3.1, "Port Registers", "HBA State
 * Machine", "Reset", "Error Recovery".
 *
 * The link is up whenever PxSCTL.DET lets it; a device never leaves. Power management of the link,
 * FIS-based switching and port multipliers are absent: their registers read 0.
 */
#include "guests/devices/ahci_internal.h"

#define MODEL "BULKHEAD DISK"

static uint32_t low(uint64_t value)
{
	return (uint32_t)value;
}

static uint32_t high(uint64_t value)
{
	return (uint32_t)(value >> 32);
}

/* ---- the device ---- */

/* When the disk is done with what was before. */
static void greet_if_due(struct ahci_unit *u)
{
	if (u->state.greeting && !u->draining) {
		ahci_greet(u);
	}
}

void ahci_unit_reset_device(struct ahci_unit *u)
{
	ahci_end_commands(u);
	u->state.tfd = ATA_STATUS_BSY;
	u->state.soft_held = false;
	u->state.greeting = true;
	greet_if_due(u);
}

static void reset_settings(struct ahci_unit *u)
{
	if (u->is_packet) {
		atapi_reset(&u->drive);
	} else {
		ata_reset(&u->disk);
	}
}

/* ---- the link ---- */

static void set_link_events(struct ahci_unit *u)
{
	bool exchanged = (u->state.serr & AHCI_PXSERR_DIAG_X) != 0;
	bool changed = (u->state.serr & AHCI_PXSERR_DIAG_N) != 0;

	u->state.is &= ~AHCI_PXIS_LINK;
	u->state.is |= (exchanged ? AHCI_PXIS_PCS : 0) | (changed ? AHCI_PXIS_PRCS : 0);
}

static void link_down(struct ahci_unit *u)
{
	ahci_end_commands(u);
	u->done = 0;
	u->state.ci = 0;
	u->state.sact = 0;
	u->state.tfd = AHCI_PXTFD_NONE;
	u->state.sig = AHCI_PXSIG_NONE;
	u->state.greeting = false;
}

static void link_up(struct ahci_unit *u)
{
	u->state.serr |= AHCI_PXSERR_LINK;
	set_link_events(u);
	reset_settings(u);
	ahci_unit_reset_device(u);
}

/* As fast as PxSCTL lets it. */
static uint32_t link_speed(const struct ahci_unit *u)
{
	uint64_t limit = bits_get(u->state.sctl, AHCI_PXSCTL_SPD);

	return limit == 0 ? AHCI_SPEED_GEN2 : (uint32_t)min_u64(limit, AHCI_SPEED_GEN2);
}

static uint32_t link_status(const struct ahci_unit *u)
{
	switch (bits_get(u->state.sctl, AHCI_PXSCTL_DET)) {
	case AHCI_DET_NONE:
		return (uint32_t)(bits_set(0, AHCI_PXSSTS_DET, AHCI_DET_PRESENT) |
				  bits_set(0, AHCI_PXSSTS_SPD, link_speed(u)) |
				  bits_set(0, AHCI_PXSSTS_IPM, AHCI_IPM_ACTIVE));
	case AHCI_DET_OFFLINE:
		return AHCI_DET_OFFLINE;
	default:
		return 0;
	}
}

/* COMRESET lasts from DET 1 to DET 0; DET 4 takes the link down as well. */
static void write_control(struct ahci_unit *u, uint32_t value)
{
	bool was_up = bits_get(u->state.sctl, AHCI_PXSCTL_DET) == AHCI_DET_NONE;
	bool is_up = bits_get(value, AHCI_PXSCTL_DET) == AHCI_DET_NONE;

	u->state.sctl = value & AHCI_PXSCTL_WRITABLE;
	if (was_up && !is_up) {
		link_down(u);
	} else if (!was_up && is_up) {
		link_up(u);
	}
}

/* ---- the engine ---- */

static uint32_t command_register(const struct ahci_unit *u)
{
	uint32_t value = u->state.cmd | AHCI_PXCMD_SUD | AHCI_PXCMD_POD;

	if ((value & AHCI_PXCMD_FRE) != 0) {
		value |= AHCI_PXCMD_FR;
	}
	if ((value & AHCI_PXCMD_ST) != 0) {
		value |= AHCI_PXCMD_CR | (uint32_t)bits_set(0, AHCI_PXCMD_CCS, u->state.ccs);
	}
	return value;
}

static void stop_engine(struct ahci_unit *u)
{
	ahci_end_commands(u);
	u->done = 0;
	u->state.ci = 0;
	u->state.sact = 0;
	u->state.ccs = 0;
	u->state.first = 0;
}

static void write_command(struct ahci_unit *u, uint32_t value)
{
	uint32_t changed = u->state.cmd ^ value;

	if ((u->state.cmd & AHCI_PXCMD_ST) == 0 && (value & AHCI_PXCMD_CLO) != 0) {
		u->state.tfd &= ~(AHCI_PXTFD_BSY | AHCI_PXTFD_DRQ);
	}
	u->state.cmd = value & AHCI_PXCMD_WRITABLE;
	if ((changed & AHCI_PXCMD_ST) != 0) {
		u->state.stopped = false;
		if ((value & AHCI_PXCMD_ST) == 0) {
			stop_engine(u);
		}
	}
	if ((changed & value & AHCI_PXCMD_FRE) != 0) {
		greet_if_due(u);
	}
}

/* ---- accesses ---- */

static uint32_t read_register(const struct ahci_unit *u, unsigned reg)
{
	switch (reg) {
	case AHCI_PXCLB:
		return low(u->state.list);
	case AHCI_PXCLBU:
		return high(u->state.list);
	case AHCI_PXFB:
		return low(u->state.received);
	case AHCI_PXFBU:
		return high(u->state.received);
	case AHCI_PXIS:
		return u->state.is;
	case AHCI_PXIE:
		return u->state.ie;
	case AHCI_PXCMD:
		return command_register(u);
	case AHCI_PXTFD:
		return u->state.tfd;
	case AHCI_PXSIG:
		return u->state.sig;
	case AHCI_PXSSTS:
		return link_status(u);
	case AHCI_PXSCTL:
		return u->state.sctl;
	case AHCI_PXSERR:
		return u->state.serr;
	case AHCI_PXSACT:
		return u->state.sact;
	case AHCI_PXCI:
		return u->state.ci;
	default:
		return 0;
	}
}

/* What belongs to a port multiplier, FIS-based switching and device sleep is not here. */
static void note(const struct ahci_unit *u, unsigned reg, enum lacks_kind kind)
{
	if (reg > AHCI_PXCI || reg == AHCI_PXRESERVED) {
		pci_device_lacks(&u->hba->pci, kind, reg);
	}
}

uint32_t ahci_unit_read(struct ahci_unit *u, unsigned reg)
{
	uint32_t value;

	note(u, reg, LACKS_READ);
	lock_acquire(&u->lock);
	value = read_register(u, reg);
	lock_release(&u->lock);
	return value;
}

/* `whole`: the register with what was written in its place; `ones`: only what was written. */
static void write_register(struct ahci_unit *u, unsigned reg, uint32_t whole, uint32_t ones)
{
	switch (reg) {
	case AHCI_PXCLB:
		u->state.list = bits_set(u->state.list, MASK(31, 0), whole & AHCI_PXCLB_ADDRESS);
		break;
	case AHCI_PXCLBU:
		u->state.list = bits_set(u->state.list, MASK(63, 32), whole);
		break;
	case AHCI_PXFB:
		u->state.received =
			bits_set(u->state.received, MASK(31, 0), whole & AHCI_PXFB_ADDRESS);
		break;
	case AHCI_PXFBU:
		u->state.received = bits_set(u->state.received, MASK(63, 32), whole);
		break;
	case AHCI_PXIS:
		u->state.is &= ~ones | AHCI_PXIS_LINK;
		break;
	case AHCI_PXIE:
		u->state.ie = whole & AHCI_PXIE_WRITABLE;
		break;
	case AHCI_PXCMD:
		write_command(u, whole);
		break;
	case AHCI_PXSCTL:
		write_control(u, whole);
		break;
	case AHCI_PXSERR:
		u->state.serr &= ~ones;
		set_link_events(u);
		break;
	/*
	 * Software shall set PxCMD.ST first. There are drivers that set it behind PxCI, and to
	 * those a bit that is dropped is a command that went well: it waits.
	 */
	case AHCI_PXSACT:
		u->state.sact |= ones;
		break;
	case AHCI_PXCI:
		u->state.ci |= ones;
		break;
	default:
		break;
	}
}

void ahci_unit_write(struct ahci_unit *u, unsigned reg, uint32_t value, uint32_t mask)
{
	uint32_t ones = value & mask;

	note(u, reg, LACKS_WRITE);
	lock_acquire(&u->lock);
	write_register(u, reg, (read_register(u, reg) & ~mask) | ones, ones);
	ahci_run(u, BLK_RUN_BYTES);
	ahci_publish(u);
	lock_release(&u->lock);
}

/* ---- deferred work, resets ---- */

/* The disk has let go of the last command that was ended: the device is ready for others. */
static void leave_drained(struct ahci_unit *u)
{
	if (u->state.greeting) {
		greet_if_due(u);
	} else {
		ahci_become_ready(u);
	}
}

/*
 * Pieces have come back, the last run had done enough, or the function is bus master again. While
 * it is not, nothing is collected but what ended commands left: data could not reach the guest.
 */
static void work(struct vwork *w)
{
	struct ahci_unit *u = container_of(w, struct ahci_unit, work);
	uint32_t budget = BLK_RUN_BYTES;
	bool drained = false;

	lock_acquire(&u->lock);
	if (u->draining || pci_device_is_master(&u->hba->pci)) {
		drained = u->draining;
		if (!ahci_collect(u, &budget)) {
			vwork_ask(w, u->index % u->hba->vcpu_count);
		}
	}
	if (drained && !u->draining) {
		leave_drained(u);
	}
	ahci_run(u, budget);
	ahci_publish(u);
	lock_release(&u->lock);
}

void ahci_unit_reset(struct ahci_unit *u, bool power_on)
{
	struct ahci_unit_state fresh = {0};

	lock_acquire(&u->lock);
	if (!power_on) {
		fresh.list = u->state.list;
		fresh.received = u->state.received;
	}
	link_down(u);
	u->state = fresh;
	link_up(u);
	ahci_publish(u);
	lock_release(&u->lock);
}

/* ---- media ---- */

enum hv_status ahci_eject(struct ahci_hba *h, unsigned unit, bool force)
{
	struct ahci_unit *u = h->units[unit];
	enum hv_status status;

	if (!u->is_packet) {
		return HV_E_UNSUPPORTED;
	}
	lock_acquire(&u->lock);
	status = atapi_eject(&u->drive, force);
	lock_release(&u->lock);
	return status;
}

enum hv_status ahci_insert(struct ahci_hba *h, unsigned unit, struct blk_device *medium)
{
	struct ahci_unit *u = h->units[unit];

	if (!u->is_packet || !atapi_can_read(medium)) {
		return HV_E_UNSUPPORTED;
	}
	lock_acquire(&u->lock);
	atapi_insert(&u->drive, medium);
	lock_release(&u->lock);
	return HV_OK;
}

/* ---- set-up ---- */

static enum hv_status init_device(struct ahci_unit *u, const struct ahci_unit_config *cfg)
{
	const struct ata_config disk = {
		.device = cfg->device,
		.model = MODEL,
		.serial_ata = true,
		.queue_depth = AHCI_SLOTS_MAX,
	};

	u->is_packet = cfg->is_packet;
	if (cfg->is_packet) {
		if (!atapi_can_read(cfg->device)) {
			return HV_E_UNSUPPORTED;
		}
		atapi_init(&u->drive, cfg->device, cfg->device->serial, true);
		return HV_OK;
	}
	if ((uint64_t)cfg->device->max_count * BLK_SECTOR < cfg->device->block_size) {
		return HV_E_UNSUPPORTED;
	}
	return ata_init(&u->disk, &disk);
}

enum hv_status ahci_unit_init(struct ahci_hba *h, unsigned index, const struct ahci_config *cfg)
{
	struct ahci_unit *u = cfg->units[index].unit;
	enum hv_status status;

	*u = (struct ahci_unit){.hba = h, .index = index};
	h->units[index] = u;
	vwork_init(&u->work, cfg->work, work);
	ahci_pieces_init(u, cfg->units[index].buffers);
	status = init_device(u, &cfg->units[index]);
	if (status == HV_OK) {
		ahci_unit_reset(u, true);
	}
	return status;
}
