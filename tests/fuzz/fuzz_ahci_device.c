/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command lists, tables and FISes of any content, register accesses, completions and resets in any
 * order against the guests' AHCI controller. It writes nothing that the driver of the present did
 * not give, keeps to its bounds, and when the disk has done everything nothing is missing.
 */
#include "tests/fakes/ahci_rig.h"
#include "tests/fuzz/saved_input.h"

#define EDGES 64u

static void init(uint8_t how)
{
	struct ahci_config cfg;

	rig_disk_init();
	rig_disk.readonly = (how & 1) != 0;
	rig_disk.block_size = (how & 2) != 0 ? 4096 : 512;
	rig_disk.max_count = (how & 4) != 0 ? 8 : 2048;
	rig_disk_holds = (how & 8) != 0;
	rig_disk.copies = (how & 16) != 0;
	cfg = rig_config(RIG_UNITS);
	/* A medium whose blocks are larger than a CD's is refused. */
	cfg.units[1].is_packet = (how & 32) != 0 && rig_disk.block_size == BLK_SECTOR;
	rig_ahci_init(&cfg);
	if ((how & 64) != 0) {
		rig_msi_on();
	}
}

/* ---- what the device may write, reckoned the slow way ---- */

static void give_region(uint64_t at)
{
	rig_give(rig_get(at, 8) & ~1ull, (rig_get(at + 12, 4) & 0x3ffffe) + 2, true);
}

static void give_regions(uint64_t regions, uint32_t count)
{
	for (uint32_t i = 0; i < count && rig_is_ram(regions + 16ull * i, 16); i++) {
		give_region(regions + 16ull * i);
	}
}

static void give_cursor(const struct ahci_cursor *cur)
{
	rig_give(cur->address, cur->left, true);
	give_regions(cur->next, cur->entries);
}

static bool takes_data(uint8_t command)
{
	static const uint8_t writes[] = {0x06, 0x30, 0x31, 0x34, 0x35, 0x39,
					 0x3d, 0x61, 0xc5, 0xca, 0xcb, 0xce};

	return memchr(writes, command, sizeof(writes)) != NULL;
}

/* A slot that the device may fetch at its next look. */
static void give_slot(const struct ahci_unit *u, unsigned slot)
{
	uint64_t header = u->state.list + slot * 32ull;
	uint64_t table;

	if (!rig_is_ram(header, 32)) {
		return;
	}
	table = rig_get(header + 8, 8) & ~127ull;
	rig_give(header + 4, 4, true);
	if (rig_is_ram(table, 128) && !takes_data((uint8_t)rig_get(table + 2, 1))) {
		give_regions(table + 128, (uint32_t)rig_get(header + 2, 2));
	}
}

static void give_unit(const struct ahci_unit *u)
{
	if ((u->state.cmd & AHCI_PXCMD_FRE) != 0) {
		rig_give(u->state.received, AHCI_RECEIVED_BYTES, true);
	}
	for (unsigned i = 0; i < AHCI_SLOTS_MAX; i++) {
		const struct ahci_command *c = &u->commands[i];

		if ((u->taken >> i & 1) == 0) {
			if ((u->state.ci >> i & 1) != 0) {
				give_slot(u, i);
			}
		} else if (c->live) {
			rig_give(c->header + 4, 4, true);
			if (!takes_data(c->registers.command)) {
				give_cursor(&c->data);
			}
		}
	}
	for (unsigned i = 0; i < BLK_PIECES; i++) {
		const struct ahci_command *c = u->pieces.pieces[i].owner;

		if ((u->pieces.free >> i & 1) == 0 && c->live && c->op.action == ATA_DO_READ) {
			give_cursor(&u->places[i]);
		}
	}
}

/* Before whatever may make the device look at its memory. */
static void give(void)
{
	for (unsigned i = 0; i < RIG_UNITS; i++) {
		give_unit(&rig_units[i]);
	}
}

/* The driver gives what the slots tell of, and issues them. */
static void issue_slots(unsigned unit, uint32_t slots)
{
	give();
	for (uint32_t left = slots; left != 0; left &= left - 1) {
		give_slot(&rig_units[unit], (unsigned)__builtin_ctz(left));
	}
	rig_port_write(unit, AHCI_PXCI, slots);
}

/* ---- a driver without manners ---- */

static uint64_t any_address(struct input *in)
{
	uint64_t kind = take(in, 1);
	uint64_t offset = take(in, 2);

	switch (kind & 15) {
	case 0:
		return RIG_RAM_END - offset % EDGES;
	case 1:
		return RIG_RAM_BASE - 8 + offset % 16;
	case 2:
		return RIG_RAM_BASE + offset;
	case 3:
		return offset << 48 | kind;
	default:
		return RIG_DATA + offset * 2;
	}
}

static uint32_t any_length(struct input *in)
{
	uint32_t value = (uint32_t)take(in, 2);

	switch (value & 7) {
	case 0:
		return value << 8;
	case 1:
		return 2;
	case 2:
		return value;
	default:
		return (value >> 3) % 17 * 512;
	}
}

static void write_region(struct input *in, unsigned unit)
{
	unsigned slot = (unsigned)take(in, 1) % AHCI_SLOTS_MAX;
	unsigned index = (unsigned)take(in, 1) % RIG_TABLE_REGIONS;
	struct rig_region region = {.address = any_address(in), .bytes = any_length(in)};

	rig_put_region(unit, slot, index, region, (take(in, 1) & 1) != 0 ? BIT32(31) : 0);
}

static void write_header(struct input *in, unsigned unit)
{
	unsigned slot = (unsigned)take(in, 1) % AHCI_SLOTS_MAX;
	uint32_t regions = (uint32_t)take(in, 1);

	regions = regions < 0xf8 ? regions % RIG_TABLE_REGIONS : regions << 8;
	rig_put_header(unit, slot, (uint16_t)take(in, 2), regions);
	if ((take(in, 1) & 0xf) == 0) {
		rig_put(rig_list(unit) + slot * 32ull + 8, any_address(in), 8);
	}
}

static void write_fis(struct input *in, unsigned unit)
{
	unsigned slot = (unsigned)take(in, 1) % AHCI_SLOTS_MAX;
	uint64_t at = rig_table(unit, slot) + take(in, 1) % 0x50;

	rig_put(at, take(in, 4), 4);
}

static uint8_t any_command(struct input *in)
{
	static const uint8_t known[] = {0x60, 0x61, 0x25, 0x35, 0x60, 0x61, 0xec, 0x2f, 0x06,
					0xea, 0x20, 0x30, 0xef, 0xa0, 0xa1, 0x42, 0x47, 0x29};
	uint8_t value = (uint8_t)take(in, 1);

	return value >= 0xe8 ? (uint8_t)take(in, 1) : known[value % sizeof(known)];
}

/* A command as a driver that knows how makes it, but for its regions, and the issue of it. */
static void whole_command(struct input *in, unsigned unit)
{
	unsigned slot = (unsigned)take(in, 1) % AHCI_SLOTS_MAX;
	struct rig_command c = {.command = any_command(in)};
	uint16_t count = (uint16_t)take(in, 1) % 64;
	bool queued = c.command == ATA_READ_FPDMA || c.command == ATA_WRITE_FPDMA;

	c.lba = take(in, 2);
	c.device = (uint8_t)take(in, 1);
	c.features = queued ? count : (uint16_t)take(in, 1);
	c.count = queued ? (uint16_t)(slot << 3) : count;
	rig_put_fis(unit, slot, &c);
	rig_put_header(unit, slot, 5, (uint32_t)take(in, 1) % RIG_TABLE_REGIONS);
	if (queued) {
		give();
		rig_port_write(unit, AHCI_PXSACT, BIT32(slot));
	}
	issue_slots(unit, BIT32(slot));
}

static void issue(struct input *in, unsigned unit)
{
	uint32_t slots = (uint32_t)take(in, 4);

	give();
	rig_port_write(unit, AHCI_PXSACT, slots);
	issue_slots(unit, slots);
}

static void disk_finishes(struct input *in)
{
	uint8_t how = (uint8_t)take(in, 1);

	if (rig_disk_open_count != 0) {
		rig_disk_finish(how % rig_disk_open_count, how > 0xf0 ? HV_E_IO : HV_OK);
	}
}

static void access_register(struct input *in)
{
	unsigned bar = (take(in, 1) & 7) == 0 ? 4 : RIG_ABAR;
	uint64_t offset = take(in, 2) % (bar == 4 ? 24 : 0x240);
	unsigned size = 1u << take(in, 1) % 4;

	if ((take(in, 1) & 1) == 0) {
		(void)rig_bar_read(bar, offset, size);
		return;
	}
	/* A place for FISes may be given by the same access that makes the device use it. */
	give();
	rig_watch = false;
	rig_bar_write(bar, offset, size, take(in, 4));
	rig_watch = true;
}

/* The driver's past is over: what it gave is its own again. */
static void restart(struct input *in, unsigned unit)
{
	uint8_t how = (uint8_t)take(in, 1);

	for (unsigned i = 0; i < RIG_UNITS; i++) {
		rig_port_write(i, AHCI_PXCMD, 0);
	}
	memset(rig_given, 0, sizeof(rig_given));
	if (how % 4 == 1) {
		rig_host_write(AHCI_GHC, AHCI_GHC_HR);
	} else if (how % 4 == 2) {
		rig_port_write(unit, AHCI_PXSCTL, 1);
		rig_port_write(unit, AHCI_PXSCTL, 0);
	}
	rig_host_write(AHCI_GHC, AHCI_GHC_IE);
	for (unsigned i = 0; i < RIG_UNITS; i++) {
		rig_port_write(i, AHCI_PXCLBU, 0);
		rig_port_write(i, AHCI_PXFBU, 0);
		rig_port_write(i, AHCI_PXSCTL, 0);
		rig_give(rig_received(i), AHCI_RECEIVED_BYTES, true);
		rig_start(i);
	}
}

static void run_work(void)
{
	give();
	rig_work_now();
}

static void step(struct input *in)
{
	uint8_t op = (uint8_t)take(in, 1);
	unsigned unit = op >> 4 & 1;

	switch (op & 15) {
	case 0:
	case 1:
		write_region(in, unit);
		break;
	case 2:
		write_header(in, unit);
		break;
	case 3:
		write_fis(in, unit);
		break;
	case 4:
	case 5:
	case 6:
		whole_command(in, unit);
		break;
	case 7:
		issue(in, unit);
		break;
	case 8:
	case 9:
	case 10:
		disk_finishes(in);
		break;
	case 11:
	case 12:
		run_work();
		break;
	case 13:
		access_register(in);
		break;
	case 14:
		rig_set_master((op & 0x20) != 0);
		break;
	default:
		if ((op & 0x80) != 0) {
			(void)fuzz_reload(in, &rig_hba.saved, sizeof(struct pci_device_saved));
		} else {
			restart(in, unit);
		}
		break;
	}
}

/* What waits is waited for. */
static bool is_waited_for(const struct ahci_unit *u)
{
	bool goes = (u->state.cmd & AHCI_PXCMD_ST) != 0 && !u->state.stopped &&
		    (u->state.sctl & 15) == 0 && pci_device_is_master(&rig_hba.pci);
	bool waits = u->current != NULL ||
		     ((u->state.ci & ~u->taken) != 0 && (u->state.tfd & 0x88) == 0);

	return !goes || !waits || blk_pieces_are_open(&u->pieces) || rig_asked;
}

static void invariants(void)
{
	uint64_t open = 0;

	for (unsigned i = 0; i < RIG_UNITS; i++) {
		const struct ahci_unit *u = &rig_units[i];

		open += u->pieces.opened - u->pieces.closed;
		assert(u->pieces.opened - u->pieces.closed <= BLK_PIECES);
		assert(is_waited_for(u));
		assert(u->pieces.finished == NULL || rig_asked ||
		       !pci_device_is_master(&rig_hba.pci));
		assert(u->accepted == 0 && u->done == 0);
		assert((rig_hba.pending >> i & 1) == ((u->state.is & u->state.ie) != 0));
	}
	assert(open == rig_disk_open_count);
	assert(ahci_is_idle(&rig_hba) == (open == 0));
	assert((rig_hba.is & rig_hba.pending) == rig_hba.pending);
	assert(rig_hba.pci.intx_asserted == (rig_hba.is != 0 && rig_hba.ghc != 0));
}

static void end(void)
{
	for (unsigned i = 0; i < RIG_UNITS; i++) {
		rig_port_write(i, AHCI_PXCMD, 0);
	}
	memset(rig_given, 0, sizeof(rig_given));
	while (rig_disk_open_count != 0) {
		rig_disk_finish(0, HV_OK);
	}
	rig_work_now();
	for (unsigned i = 0; i < RIG_UNITS; i++) {
		assert(rig_all_free(i));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};

	memset(rig_ram, 0, sizeof(rig_ram));
	memset(rig_given, 0, sizeof(rig_given));
	rig_watch = false;
	init((uint8_t)take(&in, 1));
	rig_watch = true;
	while (in.n != 0) {
		step(&in);
		invariants();
	}
	end();
	return 0;
}
