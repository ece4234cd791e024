/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A driver of IDE channels gone mad, by the numbers of a seed: any command with any registers, data
 * read and written when nobody asked, bus master tables of random content, moved while they are
 * used, resets in the middle. Now and then a disk must then work for a driver that does all right:
 * a sector that it writes word by word reads the same by bus master.
 *
 * What goes where: tests/payloads/rt_wild.h. Sources: ATA/ATAPI-6; Programming Interface for Bus
 * Master IDE Controller, revision 1.0.
 */
#include "guests/layout.h"
#include "hv/base/ata_format.h"
#include "hv/base/bits.h"
#include "tests/payloads/cases.h"
#include "tests/payloads/hw.h"
#include "tests/payloads/rt.h"
#include "tests/payloads/rt_pci.h"
#include "tests/payloads/rt_wild.h"

#define ID_PIIX3_IDE 0x70108086u
#define MASTER_BAR 4u
#define MASTER_PORTS 8u /* of a channel */
#define CHANNELS 2u
#define STEPS 60u
#define CHECK_EVERY 8u
#define REPORT_EVERY 500u
#define SECTOR 512u
#define WAIT_US 10000000u
/* A table does not leave its 64 KiB, and goes round there. */
#define TABLE_BYTES 0x10000u

/* Registers of the command block. */
#define DATA 0u
#define FEATURES 1u
#define COUNT 2u
#define LBA 3u /* three of them */
#define DEVICE 6u
#define COMMAND 7u /* status, when read */

/* Registers of the bus master. */
#define MASTER_COMMAND 0u
#define MASTER_STATUS 2u
#define MASTER_TABLE 4u
#define MASTER_START 0x01u
#define MASTER_TO_MEMORY 0x08u
#define MASTER_ERROR 0x02u
#define MASTER_INTERRUPT 0x04u
#define PRD_LAST BIT32(31)

struct channel {
	uint16_t block;
	uint16_t control;
	uint16_t master;
};

static struct channel channels[CHANNELS] = {
	{LAYOUT_IDE_PRIMARY, LAYOUT_IDE_PRIMARY_CONTROL, 0},
	{LAYOUT_IDE_SECONDARY, LAYOUT_IDE_SECONDARY_CONTROL, 0},
};
static unsigned function;
static uint64_t seed;

static uint32_t pick(uint32_t n)
{
	return rt_pick(&seed, n);
}

static bool one_in(uint32_t n)
{
	return rt_one_in(&seed, n);
}

static uint16_t reg(const struct channel *c, unsigned which)
{
	return (uint16_t)(c->block + which);
}

/* --- what a mad driver does --- */

/* In the first 64 KiB of the lists, which begin at a multiple of that. */
static void fill_tables(void)
{
	for (uint64_t at = rt_lists_place(); at < rt_lists_place() + TABLE_BYTES; at += 8) {
		uint32_t bytes = one_in(16) ? pick(0x10000) : (1 + pick(8)) * SECTOR;

		mmio_write32(at, (uint32_t)rt_some_address(&seed));
		mmio_write32(at + 4, bytes | (one_in(4) ? PRD_LAST : 0));
	}
}

static void set_address(const struct channel *c)
{
	for (unsigned i = FEATURES; i < DEVICE; i++) {
		out8(reg(c, i), one_in(4) ? (uint8_t)pick(256) : (uint8_t)pick(8));
	}
	out8(reg(c, DEVICE), (uint8_t)(one_in(4) ? pick(256) : ATA_DEVICE_LBA | (pick(2) << 4)));
}

static void command(const struct channel *c)
{
	static const uint8_t commands[] = {
		ATA_READ_DMA,	   ATA_READ_DMA,	ATA_WRITE_DMA,	  ATA_WRITE_DMA,
		ATA_READ_DMA_EXT,  ATA_WRITE_DMA_EXT,	ATA_READ_SECTORS, ATA_WRITE_SECTORS,
		ATA_READ_MULTIPLE, ATA_WRITE_MULTIPLE,	ATA_SET_MULTIPLE, ATA_PACKET,
		ATA_IDENTIFY,	   ATA_IDENTIFY_PACKET, ATA_FLUSH,	  ATA_DSM,
		ATA_DEVICE_RESET,  ATA_SET_FEATURES,	ATA_SMART,	  ATA_SLEEP,
		ATA_READ_LOG_EXT,  ATA_DIAGNOSTIC,	ATA_STANDBY,	  ATA_CHECK_POWER};

	set_address(c);
	out8(reg(c, COMMAND),
	     one_in(16) ? (uint8_t)pick(256) : commands[pick(ARRAY_SIZE(commands))]);
}

static void read_data(const struct channel *c)
{
	for (unsigned i = pick(one_in(4) ? 1024 : 16); i > 0; i--) {
		(void)in16(reg(c, DATA));
	}
	(void)in32(reg(c, DATA));
	(void)in8(reg(c, DATA));
}

static void write_data(const struct channel *c)
{
	for (unsigned i = pick(one_in(4) ? 1024 : 16); i > 0; i--) {
		out16(reg(c, DATA), 0);
	}
	out32(reg(c, DATA), 0);
	out8(reg(c, DATA), 0);
}

/* A packet for a CD drive, or six words for nobody. */
static void write_packet(const struct channel *c)
{
	out8(reg(c, FEATURES), (uint8_t)pick(2));
	out8(reg(c, DEVICE), (uint8_t)(pick(2) << 4));
	out8(reg(c, COMMAND), ATA_PACKET);
	out16(reg(c, DATA), (uint16_t)(one_in(2) ? 0x28 : pick(0x10000)));
	for (unsigned i = 0; i < 5; i++) {
		out16(reg(c, DATA), (uint16_t)(one_in(2) ? 0 : pick(0x10000)));
	}
}

static void master(const struct channel *c)
{
	uint32_t table = one_in(16) ? (uint32_t)rt_wild_address(&seed)
				    : (uint32_t)rt_lists_place() + (pick(TABLE_BYTES) & ~7u);

	if (one_in(2)) {
		out32((uint16_t)(c->master + MASTER_TABLE), table);
	}
	out8((uint16_t)(c->master + MASTER_COMMAND),
	     (uint8_t)(one_in(8) ? pick(256) : (pick(2) * MASTER_TO_MEMORY) | MASTER_START));
	if (one_in(4)) {
		out8((uint16_t)(c->master + MASTER_STATUS), (uint8_t)pick(256));
	}
}

static void stop_master(const struct channel *c)
{
	out8((uint16_t)(c->master + MASTER_COMMAND), 0);
}

static void change_tables(const struct channel *c)
{
	(void)c;
	fill_tables();
}

static void control(const struct channel *c)
{
	out8(c->control, (uint8_t)pick(256));
	if (!one_in(4)) {
		out8(c->control, ATA_CONTROL_NIEN);
	}
}

static void write_anything(const struct channel *c)
{
	out8(reg(c, pick(8)), (uint8_t)pick(256));
	out16(reg(c, pick(7)), (uint16_t)pick(0x10000));
	out8((uint16_t)(c->master + pick(MASTER_TABLE)), (uint8_t)pick(256));
}

static void look(const struct channel *c)
{
	for (unsigned i = 0; i < 8; i++) {
		(void)in8(reg(c, i));
		(void)in8((uint16_t)(c->master + i));
	}
	(void)in8(c->control);
	(void)in32(c->master);
	rt_take_interrupts();
}

static void disturb(const struct channel *c)
{
	(void)c;
	rt_disturb_function(&seed, function);
}

static void (*const deeds[])(const struct channel *c) = {
	command,      command,	     command, command,	      read_data, write_data,
	write_packet, master,	     master,  master,	      master,	 stop_master,
	look,	      change_tables, control, write_anything, disturb,
};

/* --- a driver that does all right --- */

static void await_ready(const struct channel *c)
{
	uint64_t end = rdtsc() + rt_us_to_tsc(WAIT_US);

	while ((in8(c->control) & ATA_STATUS_BSY) != 0) {
		EXPECT(rdtsc() < end, "port 0x%x stays busy", c->block);
	}
}

static void reset(const struct channel *c)
{
	rt_calm_function(function);
	stop_master(c);
	out8(c->control, ATA_CONTROL_NIEN | ATA_CONTROL_SRST);
	out8(c->control, ATA_CONTROL_NIEN);
	await_ready(c);
}

static void begin(const struct channel *c, uint8_t what)
{
	out8(reg(c, DEVICE), ATA_DEVICE_LBA);
	out8(reg(c, COUNT), 1);
	for (unsigned i = 0; i < 3; i++) {
		out8(reg(c, LBA + i), 0);
	}
	out8(reg(c, COMMAND), what);
}

static void end(const struct channel *c, uint8_t what)
{
	uint8_t status;

	await_ready(c);
	status = in8(reg(c, COMMAND));
	EXPECT((status & (ATA_STATUS_ERR | ATA_STATUS_DF | ATA_STATUS_DRQ)) == 0,
	       "command 0x%x: status 0x%x, error 0x%x", what, status, in8(reg(c, FEATURES)));
}

static void write_sector(const struct channel *c, uint64_t at)
{
	begin(c, ATA_WRITE_SECTORS);
	await_ready(c);
	EXPECT((in8(reg(c, COMMAND)) & ATA_STATUS_DRQ) != 0, "it takes no data");
	for (uint64_t i = 0; i < SECTOR; i += 2) {
		out16(reg(c, DATA), mmio_read16(at + i));
	}
	end(c, ATA_WRITE_SECTORS);
}

static void read_sector(const struct channel *c, uint64_t at)
{
	mmio_write32(rt_lists_place(), (uint32_t)at);
	mmio_write32(rt_lists_place() + 4, SECTOR | PRD_LAST);
	out32((uint16_t)(c->master + MASTER_TABLE), (uint32_t)rt_lists_place());
	out8((uint16_t)(c->master + MASTER_STATUS), MASTER_ERROR | MASTER_INTERRUPT);
	out8((uint16_t)(c->master + MASTER_COMMAND), MASTER_TO_MEMORY);
	begin(c, ATA_READ_DMA);
	out8((uint16_t)(c->master + MASTER_COMMAND), MASTER_TO_MEMORY | MASTER_START);
	end(c, ATA_READ_DMA);
	stop_master(c);
}

/* The first device of a channel, if it is a disk: a reset has left its signature. */
static bool is_disk(const struct channel *c)
{
	out8(reg(c, DEVICE), 0);
	return in8(reg(c, COUNT)) == ATA_SIGNATURE_COUNT && in8(reg(c, LBA)) == 1 &&
	       in8(reg(c, LBA + 1)) == 0;
}

static void check(const struct channel *c)
{
	uint64_t at = rt_data_place();

	reset(c);
	if (!is_disk(c)) {
		return;
	}
	for (uint64_t i = 0; i < SECTOR; i += 8) {
		mmio_write64(at + i, rt_random(&seed));
		mmio_write64(at + SECTOR + i, 0);
	}
	write_sector(c, at);
	read_sector(c, at + SECTOR);
	for (uint64_t i = 0; i < SECTOR; i += 8) {
		EXPECT(mmio_read64(at + i) == mmio_read64(at + SECTOR + i),
		       "a sector reads other than it was written, at %lu", i);
	}
}

/* --- the case --- */

static void find_function(void)
{
	for (unsigned devfn = 0; devfn < PCI_FUNCTIONS; devfn++) {
		if (pci_config(devfn, PCI_VENDOR_ID) == ID_PIIX3_IDE) {
			function = devfn;
		}
	}
	EXPECT(function != 0, "there is no IDE function");
	for (unsigned i = 0; i < CHANNELS; i++) {
		channels[i].master = (uint16_t)(pci_bar(function, MASTER_BAR) + i * MASTER_PORTS);
	}
}

static void round_of(const struct channel *c)
{
	reset(c);
	fill_tables();
	for (unsigned i = 0; i < STEPS; i++) {
		deeds[pick(ARRAY_SIZE(deeds))](c);
	}
	reset(c);
}

void case_ide_hostile(void)
{
	uint64_t rounds = rt_option("rounds", 200);

	seed = rt_option("seed", 1);
	rt_ignore_vectors();
	find_function();
	rt_fill_data(&seed);
	for (uint64_t i = 1; i <= rounds; i++) {
		round_of(&channels[pick(CHANNELS)]);
		if (i % CHECK_EVERY == 0) {
			check(&channels[pick(CHANNELS)]);
		}
		if (i % REPORT_EVERY == 0) {
			rt_print("round %lu\n", i);
		}
	}
}
