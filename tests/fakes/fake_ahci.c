/* SPDX-License-Identifier: Apache-2.0 */
/* An AHCI adapter for tests of its driver; layouts are the specification's. */
#include "tests/fakes/fake_ahci.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BAR 0xfe900000ull
#define BAR_SIZE 0x1000u
#define ST 1u
#define FRE (1u << 4)
#define FR (1u << 14)
#define CR (1u << 15)

static _Noreturn void fail(const char *what, uint64_t detail)
{
	fprintf(stderr, "fake AHCI: %s 0x%llx\n", what, (unsigned long long)detail);
	abort();
}

static struct fake_ahci_port *disk_port(struct fake_ahci *a)
{
	return &a->ports[FAKE_AHCI_DISK];
}

/* The command table of a slot. */
static uint8_t *table_of(const struct fake_ahci *a, unsigned slot, uint32_t header[4])
{
	const struct fake_ahci_port *p = &a->ports[FAKE_AHCI_DISK];
	uint64_t list = p->clb | (uint64_t)p->clbu << 32;
	uint64_t table;

	if (list % 1024 != 0) {
		fail("command list at", list);
	}
	memcpy(header, fake_pci_dma(list + slot * 32ull, 32), 16);
	table = header[2] | (uint64_t)header[3] << 32;
	if (table % 128 != 0 || (header[0] & 31) != 5 || header[0] >> 16 > 1) {
		fail("header", header[0]);
	}
	return fake_pci_dma(table, 256);
}

uint8_t fake_ahci_command(struct fake_ahci *a, unsigned slot)
{
	uint32_t header[4];
	const uint8_t *fis = table_of(a, slot, header);
	bool queued = fis[2] == 0x60 || fis[2] == 0x61;
	bool writes = fis[2] == 0x61 || fis[2] == 0x35 || fis[2] == 6;

	if (fis[0] != 0x27 || fis[1] != 0x80 || (fis[7] & 0x40) == 0) {
		fail("FIS", fis[0]);
	}
	if (queued && (fis[12] != slot << 3 || (disk_port(a)->sact >> slot & 1) == 0)) {
		fail("tag of a queued command", fis[12]);
	}
	if (!queued && fis[2] != 0xec && (disk_port(a)->ci & (disk_port(a)->ci - 1)) != 0) {
		fail("not alone:", fis[2]);
	}
	if (writes != ((header[0] & 0x40) != 0)) {
		fail("direction of", fis[2]);
	}
	return fis[2];
}

static uint64_t lba_of(const uint8_t *fis)
{
	return fis[4] | (uint64_t)fis[5] << 8 | (uint64_t)fis[6] << 16 | (uint64_t)fis[8] << 24 |
	       (uint64_t)fis[9] << 32 | (uint64_t)fis[10] << 40;
}

static void *data_of(const uint8_t *table, uint32_t size)
{
	uint64_t address;
	uint32_t bytes;

	memcpy(&address, table + 0x80, 8);
	memcpy(&bytes, table + 0x8c, 4);
	if ((bytes & 0x3fffff) + 1 != size || (address & 1) != 0) {
		fail("descriptor of bytes", bytes);
	}
	return fake_pci_dma(address, size);
}

static uint32_t sector_bytes(const struct fake_ahci *a)
{
	return (a->identify[106] & 0x1000) != 0 ? a->identify[117] * 2u : 512;
}

static void trim(struct fake_ahci *a, const uint8_t *table)
{
	uint64_t ranges[64];

	memcpy(ranges, data_of(table, 512), 512);
	a->trimmed_first = ranges[0] & 0xffffffffffffull;
	for (unsigned i = 0; i < 64; i++) {
		a->trimmed_ranges += ranges[i] >> 48 != 0;
		a->trimmed_blocks += ranges[i] >> 48;
	}
	if (table[3] != 1 || table[12] != 1) {
		fail("dataset management", table[3]);
	}
}

static void move(struct fake_ahci *a, const uint8_t *table)
{
	bool queued = table[2] == 0x60 || table[2] == 0x61;
	uint32_t count =
		queued ? table[3] | (uint32_t)table[11] << 8 : table[12] | (uint32_t)table[13] << 8;
	uint64_t start = lba_of(table) * sector_bytes(a);
	uint32_t size = count * sector_bytes(a);

	if (start + size > FAKE_AHCI_BYTES) {
		fail("beyond the disk:", start);
	}
	if (table[2] == 0x61 || table[2] == 0x35) {
		memcpy(a->disk + start, data_of(table, size), size);
	} else {
		memcpy(data_of(table, size), a->disk + start, size);
	}
}

void fake_ahci_finish(struct fake_ahci *a, unsigned slot)
{
	uint32_t header[4];
	const uint8_t *table = table_of(a, slot, header);

	if (!fake_pci_is_master(&a->pci)) {
		fail("no bus mastering, slot", slot);
	}
	switch (fake_ahci_command(a, slot)) {
	case 0x06:
		trim(a, table);
		break;
	case 0xea:
		a->flushed++;
		break;
	case 0xec:
		memcpy(data_of(table, 512), a->identify, 512);
		break;
	default:
		move(a, table);
		break;
	}
	disk_port(a)->ci &= ~(1u << slot);
	disk_port(a)->sact &= ~(1u << slot);
}

void fake_ahci_error(struct fake_ahci *a, unsigned slot)
{
	if ((fake_ahci_open(a) >> slot & 1) == 0) {
		fail("not open: slot", slot);
	}
	disk_port(a)->tfd = 0x41;
	(void)fake_ahci_interrupt(a, 1u << 30);
}

uint32_t fake_ahci_open(const struct fake_ahci *a)
{
	return a->ports[FAKE_AHCI_DISK].ci | a->ports[FAKE_AHCI_DISK].sact;
}

bool fake_ahci_interrupt(struct fake_ahci *a, uint32_t events)
{
	disk_port(a)->is |= events;
	if ((disk_port(a)->is & disk_port(a)->ie) == 0) {
		return false;
	}
	a->is |= 1u << FAKE_AHCI_DISK;
	return (a->ghc & 2) != 0 && fake_pci_message(&a->pci, 0);
}

unsigned fake_ahci_run(struct fake_ahci *a)
{
	unsigned count = 0;

	while (fake_ahci_open(a) != 0) {
		for (unsigned slot = 0; slot < 32; slot++) {
			if ((fake_ahci_open(a) >> slot & 1) != 0) {
				fake_ahci_finish(a, slot);
				count++;
			}
		}
		(void)fake_ahci_interrupt(a, 9);
	}
	return count;
}

/* --- registers --- */

static uint32_t *port_register(struct fake_ahci_port *p, uint64_t reg)
{
	switch (reg) {
	case 0x00:
		return &p->clb;
	case 0x04:
		return &p->clbu;
	case 0x08:
		return &p->fb;
	case 0x0c:
		return &p->fbu;
	case 0x10:
		return &p->is;
	case 0x14:
		return &p->ie;
	case 0x18:
		return &p->cmd;
	case 0x20:
		return &p->tfd;
	case 0x24:
		return &p->sig;
	case 0x28:
		return &p->ssts;
	case 0x2c:
		return &p->sctl;
	case 0x30:
		return &p->serr;
	case 0x34:
		return &p->sact;
	case 0x38:
		return &p->ci;
	default:
		fail("port register", reg);
	}
}

static void write_command(struct fake_ahci *a, struct fake_ahci_port *p, uint32_t value)
{
	p->cmd = value & ~(FR | CR);
	p->cmd |= (value & FRE) != 0 ? FR : 0;
	if ((value & ST) != 0) {
		if ((p->cmd & FR) == 0 || (p->ssts & 15) != 3) {
			fail("engine started too early", value);
		}
		p->cmd |= CR;
	} else {
		p->cmd |= a->never_stops ? CR : 0;
		p->ci = a->never_stops ? p->ci : 0;
		p->sact = a->never_stops ? p->sact : 0;
	}
}

static void write_control(struct fake_ahci *a, struct fake_ahci_port *p, uint32_t value)
{
	if ((value & 15) == 1) {
		if ((p->cmd & CR) != 0) {
			fail("link reset while the engine runs", p->cmd);
		}
		p->ssts = 0;
	} else if ((p->sctl & 15) == 1) {
		p->link_resets++;
		p->ssts = a->no_link || p != disk_port(a) ? 0 : 0x123;
		p->tfd = 0x50;
	}
	p->sctl = value;
}

static void issue(struct fake_ahci *a, struct fake_ahci_port *p, uint32_t slots)
{
	if ((p->cmd & CR) == 0 || (p->ci & slots) != 0 || p != disk_port(a)) {
		fail("commands issued", slots);
	}
	p->ci |= slots;
	if (slots == 1 && fake_ahci_command(a, 0) == 0xec && !a->identify_silent) {
		fake_ahci_finish(a, 0);
		p->tfd = a->identify_fails ? 0x51 : 0x50;
	}
}

static void port_write(struct fake_ahci *a, unsigned number, uint64_t reg, uint32_t value)
{
	struct fake_ahci_port *p = &a->ports[number];

	switch (reg) {
	case 0x10:
	case 0x30:
		*port_register(p, reg) &= ~value;
		break;
	case 0x18:
		write_command(a, p, value);
		break;
	case 0x2c:
		write_control(a, p, value);
		break;
	case 0x34:
		p->sact |= value;
		break;
	case 0x38:
		issue(a, p, value);
		break;
	default:
		*port_register(p, reg) = value;
		break;
	}
}

static void write_ghc(struct fake_ahci *a, uint32_t value)
{
	a->ghc = value;
	if ((value & 1) != 0 && !a->never_resets) {
		a->resets++;
		a->ghc = 0;
		a->is = 0;
		memset(a->ports, 0, sizeof(a->ports));
		a->ports[!FAKE_AHCI_DISK].ssts = a->half_linked ? 1 : 0;
		disk_port(a)->ssts = 0x123;
		disk_port(a)->sig = 0x101;
		disk_port(a)->tfd = 0x50;
	}
}

static uint32_t bar_read(void *ctx, unsigned bar, uint64_t offset, unsigned size)
{
	struct fake_ahci *a = ctx;

	if (bar != 5 || size != 4) {
		fail("read at", offset);
	}
	switch (offset) {
	case 0x00:
		return a->cap;
	case 0x04:
		return a->ghc;
	case 0x08:
		return a->is;
	case 0x0c:
		return (1u << FAKE_AHCI_PORTS) - 1;
	case 0x24:
		return a->cap2;
	case 0x28:
		return a->bohc;
	default:
		break;
	}
	if (offset < 0x100 || offset >= 0x100 + FAKE_AHCI_PORTS * 0x80) {
		fail("read at", offset);
	}
	return *port_register(&a->ports[(offset - 0x100) / 0x80], (offset - 0x100) % 0x80);
}

static void bar_write(void *ctx, unsigned bar, uint64_t offset, unsigned size, uint32_t value)
{
	struct fake_ahci *a = ctx;

	if (bar != 5 || size != 4) {
		fail("write at", offset);
	}
	switch (offset) {
	case 0x04:
		write_ghc(a, value);
		return;
	case 0x08:
		a->is &= ~value;
		return;
	case 0x28:
		/* Firmware lets go at once. */
		a->bohc = value & ~1u;
		return;
	default:
		break;
	}
	if (offset < 0x100 || offset >= 0x100 + FAKE_AHCI_PORTS * 0x80) {
		fail("write at", offset);
	}
	port_write(a, (unsigned)(offset - 0x100) / 0x80, (offset - 0x100) % 0x80, value);
}

static void set_text(uint16_t *words, const char *text, unsigned chars)
{
	for (unsigned i = 0; i < chars; i += 2) {
		words[i / 2] = (uint16_t)((uint8_t)text[i] << 8 | (uint8_t)text[i + 1]);
	}
}

void fake_ahci_add(struct fake_ahci *a, unsigned devfn)
{
	memset(a, 0, sizeof(*a));
	fake_pci_add(&a->pci, 0, devfn, 0x29228086, 0x010601);
	fake_pci_bar(&a->pci, 5, BAR, BAR_SIZE);
	fake_pci_capability(&a->pci, 5, 14);
	a->pci.read = bar_read;
	a->pci.write = bar_write;
	a->pci.ctx = a;
	a->cap = 31u << 8 | 1u << 30 | 1u << 31;
	a->cap2 = 1;
	a->bohc = 1;
	set_text(a->identify + 10, "    SER-77          ", 20);
	set_text(a->identify + 27, "A disk with platters                    ", 40);
	a->identify[75] = 31;
	a->identify[76] = 1u << 8;
	a->identify[83] = 1u << 10;
	a->identify[100] = FAKE_AHCI_BYTES / 512;
	a->identify[169] = 1;
}
