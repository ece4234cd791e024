/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bus master of an IDE channel: its registers, and the walk along the table of physical region
 * descriptors. Source: Programming Interface for Bus Master IDE Controller, revision 1.0.
 */
#include "guests/devices/ide_internal.h"

#include "hv/api/gmem.h"
#include "hv/base/bits.h"

#define COMMAND 0u
#define STATUS 2u
#define TABLE 4u

/* A descriptor of the table, which does not leave its 64 KiB. */
struct prd {
	uint32_t address;
	uint32_t control;
};
static_assert(sizeof(struct prd) == 8, "Physical Region Descriptor");
#define PRD_BYTES MASK(15, 0) /* 0: 64 KiB */
#define PRD_LAST BIT32(31)
#define PRD_EVEN 0xfffffffeu
#define TABLE_ALIGNED 0xfffffffcu
#define TABLE_INDEX 0xffffu

#define COST_DESCRIPTOR 512u

static bool is_running(const struct ide_channel *c)
{
	return (c->master.status & IDE_MASTER_ACTIVE) != 0 && pci_device_is_master(&c->ide->pci);
}

static void stop(struct ide_bus_master *m)
{
	m->status &= (uint8_t)~IDE_MASTER_ACTIVE;
}

static void fail(struct ide_bus_master *m)
{
	stop(m);
	m->status |= IDE_MASTER_ERROR;
	m->failed = true;
}

/* Takes the next descriptor. False: there is none. */
static bool next_descriptor(struct ide_channel *c)
{
	struct ide_bus_master *m = &c->master;
	struct prd prd;

	if (m->last) {
		stop(m);
		return false;
	}
	if (guest_mem_read(c->ide->vm, (gpa_t){m->next}, &prd, sizeof(prd)) != HV_OK) {
		fail(m);
		return false;
	}
	m->next = (m->next & ~TABLE_INDEX) | ((m->next + (uint32_t)sizeof(prd)) & TABLE_INDEX);
	m->address = prd.address & PRD_EVEN;
	m->left = (uint32_t)bits_get(prd.control, PRD_BYTES) & PRD_EVEN;
	if (m->left == 0) {
		m->left = TABLE_INDEX + 1;
	}
	m->last = (prd.control & PRD_LAST) != 0;
	return true;
}

static bool move_part(struct ide_channel *c, uint8_t *buffer, uint32_t bytes)
{
	struct ide_bus_master *m = &c->master;
	gpa_t at = {m->address};
	enum hv_status status = c->op.protocol == ATA_DMA_IN
					? guest_mem_write(c->ide->vm, at, buffer, bytes)
					: guest_mem_read(c->ide->vm, at, buffer, bytes);

	if (status != HV_OK) {
		fail(m);
		return false;
	}
	m->address += bytes;
	m->left -= bytes;
	return true;
}

uint32_t ide_master_move(struct ide_channel *c, uint8_t *buffer, uint32_t bytes, uint32_t budget,
			 uint32_t *spent)
{
	uint32_t done = 0;

	*spent = 0;
	while (done < bytes && *spent < budget && is_running(c)) {
		uint32_t part;

		if (c->master.left == 0 && !next_descriptor(c)) {
			break;
		}
		part = (uint32_t)min_u64(bytes - done, c->master.left);
		if (!move_part(c, buffer + done, part)) {
			break;
		}
		done += part;
		*spent += part + COST_DESCRIPTOR;
	}
	return done;
}

/* ACTIVE stays on when the table had room for more: so a host finds out. */
void ide_master_done(struct ide_channel *c)
{
	if (c->master.left == 0 && c->master.last) {
		stop(&c->master);
	}
}

/* ---- registers ---- */

bool ide_master_has(unsigned reg)
{
	return reg == COMMAND || reg == STATUS || reg >= TABLE;
}

uint8_t ide_master_read(const struct ide_channel *c, unsigned reg)
{
	switch (reg) {
	case COMMAND:
		return c->master.command;
	case STATUS:
		return c->master.status;
	case TABLE:
	case TABLE + 1:
	case TABLE + 2:
	case TABLE + 3:
		return (uint8_t)(c->master.table >> ((reg - TABLE) * 8));
	default:
		return 0;
	}
}

static void write_command(struct ide_channel *c, uint8_t value)
{
	struct ide_bus_master *m = &c->master;
	bool was_on = (m->command & IDE_MASTER_START) != 0;
	bool on = (value & IDE_MASTER_START) != 0;

	m->command = value & (IDE_MASTER_START | IDE_MASTER_TO_MEMORY);
	if (!on) {
		stop(m);
	} else if (!was_on) {
		m->status |= IDE_MASTER_ACTIVE;
		m->next = m->table;
		m->left = 0;
		m->last = false;
		m->failed = false;
		ide_advance(c);
	}
}

static void write_status(struct ide_bus_master *m, uint8_t value)
{
	uint8_t kept = m->status & (uint8_t) ~(value & (IDE_MASTER_ERROR | IDE_MASTER_INTERRUPT));

	m->status = (uint8_t)((kept & ~IDE_MASTER_CAPABLE) | (value & IDE_MASTER_CAPABLE));
}

void ide_master_write(struct ide_channel *c, unsigned reg, uint8_t value)
{
	switch (reg) {
	case COMMAND:
		write_command(c, value);
		break;
	case STATUS:
		write_status(&c->master, value);
		break;
	case TABLE:
	case TABLE + 1:
	case TABLE + 2:
	case TABLE + 3:
		c->master.table =
			(uint32_t)bits_set(c->master.table, 0xffull << ((reg - TABLE) * 8), value) &
			TABLE_ALIGNED;
		break;
	default:
		break;
	}
}
