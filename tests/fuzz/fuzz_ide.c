/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registers, data, bus master tables, resets and media in any order, against a disk that takes its
 * time. Whatever the host does, the channel keeps to its buffer, and at the end, when the disk has
 * done everything, nothing is missing.
 */
#include "tests/fakes/ide_rig.h"
#include "tests/fuzz/saved_input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t bytes[0x20000];

/* Commands that do something, more often than others. */
static uint8_t take_command(struct input *in)
{
	static const uint8_t often[] = {
		ATA_READ_SECTORS, ATA_WRITE_SECTORS, ATA_READ_DMA,	ATA_WRITE_DMA,
		ATA_READ_DMA_EXT, ATA_WRITE_DMA_EXT, ATA_READ_MULTIPLE, ATA_WRITE_MULTIPLE,
		ATA_IDENTIFY,	  ATA_PACKET,	     ATA_PACKET,	ATA_DSM,
		ATA_VERIFY,	  ATA_FLUSH,	     ATA_DEVICE_RESET,	ATA_DIAGNOSTIC};
	uint8_t how = (uint8_t)take(in, 1);

	return how < 0xe0 ? often[how % sizeof(often)] : (uint8_t)take(in, 1);
}

static void write_registers(struct input *in, unsigned channel)
{
	for (unsigned reg = 1; reg < 6; reg++) {
		rig_write_at(channel, reg, 1, take(in, 1));
	}
	rig_write_at(channel, 6, 1, take(in, 1));
	rig_write_at(channel, 7, 1, take_command(in));
}

static void move_data(struct input *in, unsigned channel)
{
	unsigned how = (unsigned)take(in, 1);
	unsigned count = (how & 0x40) != 0 ? (unsigned)sizeof(bytes) : (unsigned)take(in, 1) * 2;

	if ((how & 1) != 0) {
		rig_read_data(channel, bytes, count);
	} else {
		rig_write_data(channel, bytes, count);
	}
}

static void send_packet(struct input *in, unsigned channel)
{
	uint8_t packet[12];

	for (unsigned i = 0; i < sizeof(packet); i++) {
		packet[i] = (uint8_t)take(in, 1);
	}
	rig_write_data(channel, packet, sizeof(packet));
}

static void access_port(struct input *in, unsigned channel)
{
	unsigned reg = (unsigned)take(in, 1) % 8;
	unsigned size = reg % 4 == 0 ? take_size(in) : 1;

	if ((take(in, 1) & 1) != 0) {
		rig_write_at(channel, reg, size, take(in, 4));
	} else {
		(void)rig_read_at(channel, reg, size);
	}
}

static void write_master(struct input *in, unsigned channel)
{
	switch (take(in, 1) % 4) {
	case 0:
		rig_prd((unsigned)take(in, 1) % 64, RIG_RAM_BASE + (uint32_t)take(in, 3),
			(uint32_t)take(in, 2), (take(in, 1) & 1) != 0);
		break;
	case 1:
		rig_master_start(channel, true);
		break;
	case 2:
		rig_master_write((unsigned)take(in, 1) % 16, 1, take(in, 1));
		break;
	default:
		rig_config_write(PCI_COMMAND, 2, (uint32_t)take(in, 1));
		break;
	}
}

static void disk_finishes(struct input *in)
{
	uint8_t how = (uint8_t)take(in, 1);

	if (rig_disk_open_count != 0) {
		rig_disk_finish(how % rig_disk_open_count, how > 0xf0 ? HV_E_IO : HV_OK);
	}
}

static void change_medium(struct input *in)
{
	uint8_t how = (uint8_t)take(in, 1);

	if ((how & 1) != 0) {
		(void)!ide_eject(&ide, how >> 1 & 3, (how & 8) != 0);
	} else {
		(void)!ide_insert(&ide, how >> 1 & 3, &rig_disk);
	}
}

static void step(struct input *in)
{
	uint8_t op = (uint8_t)take(in, 1);
	unsigned channel = op >> 4 & 1;

	switch (op & 15) {
	case 0:
	case 1:
	case 2:
		write_registers(in, channel);
		break;
	case 3:
	case 4:
		move_data(in, channel);
		break;
	case 5:
		send_packet(in, channel);
		break;
	case 6:
		access_port(in, channel);
		break;
	case 7:
	case 8:
		write_master(in, channel);
		break;
	case 9:
	case 10:
		disk_finishes(in);
		break;
	case 11:
		rig_run_work();
		break;
	case 12:
		rig_control(channel, (uint8_t)take(in, 1));
		break;
	case 13:
		change_medium(in);
		break;
	case 14:
		rig_disk_holds = (op & 0x20) != 0;
		break;
	default:
		if ((op & 0x80) != 0) {
			(void)fuzz_reload(in, &ide.saved, sizeof(struct pci_device_saved));
			break;
		}
		rig_host.dev.ops->reset(&rig_host.dev);
		rig_config_write(PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MASTER);
		break;
	}
}

static void invariants(void)
{
	uint64_t open = 0;

	for (unsigned i = 0; i < IDE_CHANNELS; i++) {
		const struct ide_channel *c = &ide.channels[i];

		open += c->request.opened - c->request.closed;
		assert(c->progress.chunk <= IDE_BUFFER_BYTES);
		assert(c->progress.host <= c->progress.chunk);
		assert(c->progress.disk <= c->progress.chunk);
		assert(c->phase != IDE_HOST || (c->progress.host < c->progress.drq &&
						c->progress.drq <= c->progress.chunk));
		assert(!c->request.stale || c->request.open);
		assert(rig_lines[i].level == c->level);
	}
	assert(open == rig_disk_open_count);
	assert(ide_is_idle(&ide) == (open == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};

	rig_start();
	rig_disk_holds = (take(&in, 1) & 1) != 0;
	rig_disk.max_count = (take(&in, 1) & 1) != 0 ? 4 : 2048;
	while (in.n != 0) {
		step(&in);
		invariants();
	}
	rig_disk_holds = false;
	while (rig_disk_open_count != 0 || rig_asked) {
		while (rig_disk_open_count != 0) {
			rig_disk_finish(0, HV_OK);
		}
		rig_run_work();
	}
	assert(ide_is_idle(&ide) && !ide.channels[0].request.open && !ide.channels[1].request.open);
	return 0;
}
