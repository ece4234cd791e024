/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A driver of an AHCI controller gone mad, by the numbers of a seed: command lists and tables of
 * random content, moved while the ports work on them, regions out of RAM and of all sizes, queued
 * and other commands at once, any register with any value, resets of ports, controller and function
 * in between. Now and then a disk must then work for a driver that does all right: a sector that it
 * writes reads the same.
 *
 * What goes where: tests/payloads/rt_wild.h.
 */
#include "hv/base/ahci_format.h"
#include "hv/base/ata_format.h"
#include "hv/base/bits.h"
#include "hv/base/str.h"
#include "tests/payloads/cases.h"
#include "tests/payloads/hw.h"
#include "tests/payloads/rt.h"
#include "tests/payloads/rt_pci.h"
#include "tests/payloads/rt_wild.h"

#define ABAR 5u
#define INDEX_BAR 4u
#define PORTS_MAX 6u
#define STEPS 40u
#define CHECK_EVERY 8u
#define REPORT_EVERY 500u
#define LIST_BYTES 0x400u
#define SECTOR 512u
#define WAIT_US 10000000u
#define RUNNING (AHCI_PXCMD_ST | AHCI_PXCMD_FRE | AHCI_PXCMD_SUD | AHCI_PXCMD_POD)
/* With the present bit that names no drive. */
#define DEVICE FIS_DEVICE_LBA

static unsigned function;
static uint64_t registers;
static uint64_t seed;

static uint32_t pick(uint32_t n)
{
	return rt_pick(&seed, n);
}

static bool one_in(uint32_t n)
{
	return rt_one_in(&seed, n);
}

static uint64_t port_of(unsigned index)
{
	return registers + AHCI_PORTS + index * AHCI_PORT_SIZE;
}

static uint64_t some_port(void)
{
	return port_of(pick(PORTS_MAX));
}

/* Tables are in the second half of the lists. */
static uint64_t tables_place(void)
{
	return rt_lists_place() + RT_LISTS_BYTES / 2;
}

/* --- lists and tables --- */

static uint64_t some_table(void)
{
	return one_in(24) ? rt_wild_address(&seed)
			  : tables_place() +
				    (pick(RT_LISTS_BYTES / 2 - 0x1000) & ~(AHCI_TABLE_ALIGN - 1));
}

static struct ahci_header some_header(void)
{
	static const uint16_t flags[] = {AHCI_HEADER_WRITE, AHCI_HEADER_RESET, AHCI_HEADER_PACKET,
					 AHCI_HEADER_CLEAR_BUSY};
	uint32_t length = one_in(16) ? pick(32) : AHCI_HEADER_FIS_DWORDS;

	return (struct ahci_header){
		.flags = (uint16_t)(length | (one_in(2) ? flags[pick(ARRAY_SIZE(flags))] : 0)),
		.prd_count = (uint16_t)(one_in(16) ? pick(0x10000) : pick(16)),
		.table = some_table(),
	};
}

static void fill_lists(void)
{
	for (uint64_t at = rt_lists_place(); at < tables_place();
	     at += sizeof(struct ahci_header)) {
		struct ahci_header h = some_header();

		memcpy(rt_pointer(at), &h, sizeof(h));
	}
}

static void fill_fis(uint8_t fis[FIS_H2D_BYTES])
{
	static const uint8_t commands[] = {
		ATA_READ_FPDMA, ATA_READ_FPDMA,	  ATA_WRITE_FPDMA, ATA_WRITE_FPDMA,
		ATA_READ_DMA,	ATA_READ_DMA_EXT, ATA_WRITE_DMA,   ATA_WRITE_DMA_EXT,
		ATA_FLUSH_EXT,	ATA_IDENTIFY,	  ATA_DSM,	   ATA_READ_SECTORS,
		ATA_PACKET,	ATA_READ_LOG_EXT, ATA_SMART,	   ATA_SET_FEATURES};

	for (unsigned i = 0; i < FIS_H2D_BYTES; i++) {
		fis[i] = one_in(4) ? (uint8_t)pick(256) : 0;
	}
	fis[0] = one_in(32) ? (uint8_t)pick(256) : FIS_TYPE_H2D;
	fis[1] = one_in(16) ? (uint8_t)pick(256) : FIS_H2D_COMMAND;
	fis[FIS_COMMAND] = one_in(24) ? (uint8_t)pick(256) : commands[pick(ARRAY_SIZE(commands))];
	fis[FIS_LBA + 2] = one_in(16) ? (uint8_t)pick(256) : 0;
	fis[FIS_DEVICE] |= DEVICE;
	for (unsigned i = FIS_LBA_EXT; i < FIS_FEATURES_EXT; i++) {
		fis[i] = one_in(32) ? (uint8_t)pick(256) : 0;
	}
}

static struct ahci_prd some_region(void)
{
	uint32_t bytes = one_in(16) ? (uint32_t)rt_random(&seed) : (1 + pick(16)) * SECTOR;

	return (struct ahci_prd){.address = rt_some_address(&seed), .size = bytes - 1};
}

static void fill_table(uint64_t at, unsigned regions)
{
	fill_fis(rt_pointer(at));
	for (unsigned i = 0; i < 16; i++) {
		mmio_write8(at + AHCI_TABLE_PACKET + i, one_in(2) ? 0 : (uint8_t)pick(256));
	}
	for (unsigned i = 0; i < regions; i++) {
		struct ahci_prd region = some_region();

		memcpy(rt_pointer(at + AHCI_TABLE_REGIONS + i * sizeof(region)), &region,
		       sizeof(region));
	}
}

/* Each has regions up to the next. */
static void fill_tables(void)
{
	for (uint64_t at = tables_place(); at < tables_place() + RT_LISTS_BYTES / 2; at += 0x100) {
		fill_table(at, 8);
	}
}

/* --- what a mad driver does --- */

static void issue(uint64_t port)
{
	uint32_t slots = one_in(8) ? (uint32_t)rt_random(&seed) : BIT32(pick(AHCI_SLOTS_MAX));

	if (one_in(2)) {
		mmio_write32(port + AHCI_PXSACT, slots);
	}
	mmio_write32(port + AHCI_PXCI, slots);
}

static void change_header(uint64_t port)
{
	struct ahci_header h = some_header();

	(void)port;
	memcpy(rt_pointer(rt_lists_place() + (pick(RT_LISTS_BYTES / 2) & ~31u)), &h, sizeof(h));
}

static void change_table(uint64_t port)
{
	(void)port;
	fill_table(tables_place() + (pick(RT_LISTS_BYTES / 2 - 0x200) & ~0xffu), pick(16));
}

static void place_lists(uint64_t port)
{
	uint64_t list = one_in(24) ? rt_wild_address(&seed)
				   : rt_lists_place() + (pick(RT_LISTS_BYTES / 2 - LIST_BYTES) &
							 ~(LIST_BYTES - 1));
	uint64_t written = one_in(24) ? rt_wild_address(&seed)
				      : rt_written_place() + (pick(RT_WRITTEN_BYTES) & ~0xffu);

	mmio_write32(port + AHCI_PXCLB, (uint32_t)list);
	mmio_write32(port + AHCI_PXCLBU, (uint32_t)(list >> 32));
	mmio_write32(port + AHCI_PXFB, (uint32_t)written);
	mmio_write32(port + AHCI_PXFBU, (uint32_t)(written >> 32));
}

static void run(uint64_t port)
{
	mmio_write32(port + AHCI_PXSERR, UINT32_MAX);
	mmio_write32(port + AHCI_PXIS, UINT32_MAX);
	mmio_write32(port + AHCI_PXCMD, RUNNING);
}

static void stop(uint64_t port)
{
	mmio_write32(port + AHCI_PXCMD, one_in(2) ? 0 : (uint32_t)rt_random(&seed));
	if (one_in(2)) {
		place_lists(port);
	}
	run(port);
}

static void reset_link(uint64_t port)
{
	mmio_write32(port + AHCI_PXSCTL, pick(16));
	if (!one_in(8)) {
		mmio_write32(port + AHCI_PXSCTL, 0);
		run(port);
	}
}

static void reset_controller(uint64_t port)
{
	mmio_write32(registers + AHCI_GHC, AHCI_GHC_HR | AHCI_GHC_AE | AHCI_GHC_IE);
	place_lists(port);
	run(port);
}

/* Anything but where lists are: a half of an address alone may be one in the image. */
static void write_anything(uint64_t port)
{
	switch (pick(3)) {
	case 0:
		rt_write_anywhere(&seed, registers, AHCI_PORTS);
		break;
	case 1:
		rt_write_anywhere(&seed, port + AHCI_PXIS, AHCI_PORT_SIZE - AHCI_PXIS);
		break;
	default:
		mmio_write32(port + AHCI_PXIE, (uint32_t)rt_random(&seed));
		mmio_write32(registers + AHCI_GHC, AHCI_GHC_AE | AHCI_GHC_IE);
		break;
	}
}

/* The other way to the registers: an index and a data port. */
static void look(uint64_t port)
{
	uint16_t index = (uint16_t)pci_bar(function, INDEX_BAR);

	(void)port;
	rt_read_anywhere(&seed, registers, AHCI_PORTS + PORTS_MAX * AHCI_PORT_SIZE);
	out32(index, (uint32_t)rt_random(&seed));
	(void)in32(index);
	out32(index, AHCI_PORTS + pick(AHCI_PORT_SIZE));
	(void)in32((uint16_t)(index + 4));
	rt_take_interrupts();
}

static void disturb(uint64_t port)
{
	(void)port;
	rt_disturb_function(&seed, function);
}

static void (*const deeds[])(uint64_t port) = {
	issue,		issue,	 issue, issue,	      issue,	    issue,
	issue,		issue,	 run,	change_table, change_table, change_header,
	place_lists,	stop,	 stop,	look,	      reset_link,   reset_controller,
	write_anything, disturb,
};

/* --- a driver that does all right --- */

/* Waits until these bits of a register are 0; each look is an exit. */
static void await_clear(uint64_t at, uint32_t bits, const char *what)
{
	uint64_t end = rdtsc() + rt_us_to_tsc(WAIT_US);

	while ((mmio_read32(at) & bits) != 0) {
		EXPECT(rdtsc() < end, "%s: 0x%x", what, mmio_read32(at));
	}
}

static void reset(void)
{
	rt_calm_function(function);
	mmio_write32(registers + AHCI_GHC, AHCI_GHC_HR | AHCI_GHC_AE);
	await_clear(registers + AHCI_GHC, AHCI_GHC_HR, "the controller's reset does not end");
	mmio_write32(registers + AHCI_GHC, AHCI_GHC_AE);
}

/* Moves a sector from or to `at`, with slot 0 of a port that runs. */
static void move_sector(uint64_t port, uint8_t command, uint64_t at)
{
	struct ahci_header header = {
		.flags = AHCI_HEADER_FIS_DWORDS, .prd_count = 1, .table = tables_place()};
	struct ahci_prd region = {.address = at, .size = SECTOR - 1};
	uint8_t fis[FIS_H2D_BYTES] = {FIS_TYPE_H2D, FIS_H2D_COMMAND, command};

	if (command == ATA_WRITE_DMA_EXT) {
		header.flags |= AHCI_HEADER_WRITE;
	}
	fis[FIS_DEVICE] = DEVICE;
	fis[FIS_COUNT] = 1;
	memcpy(rt_pointer(rt_lists_place()), &header, sizeof(header));
	memcpy(rt_pointer(header.table), fis, sizeof(fis));
	memcpy(rt_pointer(header.table + AHCI_TABLE_REGIONS), &region, sizeof(region));
	mmio_write32(port + AHCI_PXCI, 1);
	await_clear(port + AHCI_PXCI, 1, "a command does not end");
	EXPECT((mmio_read32(port + AHCI_PXTFD) & AHCI_PXTFD_FAILED) == 0, "command 0x%x: 0x%x",
	       command, mmio_read32(port + AHCI_PXTFD));
}

static void start(uint64_t port)
{
	uint64_t list = rt_lists_place();
	uint64_t written = rt_written_place();

	mmio_write32(port + AHCI_PXCLB, (uint32_t)list);
	mmio_write32(port + AHCI_PXCLBU, 0);
	mmio_write32(port + AHCI_PXFB, (uint32_t)written);
	mmio_write32(port + AHCI_PXFBU, 0);
	mmio_write32(port + AHCI_PXCMD, RUNNING & ~AHCI_PXCMD_ST);
	await_clear(port + AHCI_PXTFD, AHCI_PXTFD_BSY | AHCI_PXTFD_DRQ, "a port stays busy");
	run(port);
}

static bool is_disk(uint64_t port)
{
	return mmio_read32(port + AHCI_PXSIG) == AHCI_PXSIG_DISK;
}

static void check_port(uint64_t port)
{
	uint64_t at = rt_data_place();

	for (uint64_t i = 0; i < SECTOR; i += 8) {
		mmio_write64(at + i, rt_random(&seed));
		mmio_write64(at + SECTOR + i, 0);
	}
	move_sector(port, ATA_WRITE_DMA_EXT, at);
	move_sector(port, ATA_READ_DMA_EXT, at + SECTOR);
	for (uint64_t i = 0; i < SECTOR; i += 8) {
		EXPECT(mmio_read64(at + i) == mmio_read64(at + SECTOR + i),
		       "a sector reads other than it was written, at %lu", i);
	}
	/* Random bytes are not for the rounds that come. */
	rt_fill_data(&seed);
	move_sector(port, ATA_WRITE_DMA_EXT, at);
}

static void check(void)
{
	uint32_t ports;

	reset();
	ports = mmio_read32(registers + AHCI_PI);
	for (unsigned i = 0; i < PORTS_MAX; i++) {
		if ((ports & BIT32(i)) != 0) {
			start(port_of(i));
			if (is_disk(port_of(i))) {
				check_port(port_of(i));
			}
		}
	}
	reset();
}

/* --- the case --- */

static void find_controller(void)
{
	for (unsigned devfn = 0; devfn < PCI_FUNCTIONS; devfn++) {
		if (pci_config(devfn, PCI_REVISION) >> 8 == AHCI_CLASS) {
			function = devfn;
			registers = pci_bar(devfn, ABAR);
		}
	}
	EXPECT(registers != 0, "there is no controller");
}

static void round_of(void)
{
	reset();
	fill_lists();
	fill_tables();
	for (unsigned i = 0; i < PORTS_MAX; i++) {
		place_lists(port_of(i));
		run(port_of(i));
	}
	for (unsigned i = 0; i < STEPS; i++) {
		deeds[pick(ARRAY_SIZE(deeds))](some_port());
	}
	reset();
}

void case_ahci_hostile(void)
{
	uint64_t rounds = rt_option("rounds", 200);

	seed = rt_option("seed", 1);
	rt_ignore_vectors();
	find_controller();
	rt_fill_data(&seed);
	for (uint64_t i = 1; i <= rounds; i++) {
		round_of();
		if (i % CHECK_EVERY == 0) {
			check();
		}
		if (i % REPORT_EVERY == 0) {
			rt_print("round %lu\n", i);
		}
	}
}
