/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A network card of Intel's 8254x or 82574 kind, written from the manual: rings between head and
 * tail, causes and their mask, a filter, an EEPROM. It insists on the order that the manual asks
 * for. Built on nic_rig.h; fake 0 is behind RIG_BAR(0).
 */
#pragma once

#include "tests/fakes/nic_rig.h"

#define FAKE_REGS (0x20000u / 4)
#define FAKE_WIRE 512u

struct fake_e1000 {
	uint32_t reg[FAKE_REGS];
	uint8_t rom[6];
	bool pcie;	     /* an 82574: EERD's other layout, causes cleared by writing */
	bool dead;	     /* all ones, whatever is read */
	bool stuck;	     /* sends nothing */
	bool reset_hangs;    /* CTRL.RST stays set */
	bool rom_hangs;	     /* EERD is never done */
	bool filter_at_boot; /* RAL and RAH hold the address, before the reset and after it */
	unsigned resets;
	unsigned icr_reads;
	/* Of each frame on the wire: its length and first byte. */
	struct {
		uint32_t len;
		uint8_t first;
		uint8_t last;
	} wire[FAKE_WIRE];
	unsigned wire_count;
};

static struct fake_e1000 nic[RIG_FUNCTIONS];

#define REG(d, offset) ((d)->reg[(offset) / 4])

static inline struct rig_function *fake_function(const struct fake_e1000 *d)
{
	return &rig.f[d - nic];
}

static uint8_t *fake_dma(const struct fake_e1000 *d, unsigned low)
{
	assert(fake_function(d)->enabled);
	return fake_ram(hpa(REG(d, low) | (uint64_t)REG(d, low + 4) << 32));
}

static inline void fake_power_on(struct fake_e1000 *d)
{
	memset(d->reg, 0, sizeof(d->reg));
	REG(d, 0x8) = 0x80080783; /* link up, 1000 Mbit/s, master enabled */
	if (d->filter_at_boot) {
		memcpy(&REG(d, 0x5400), d->rom, 4);
		REG(d, 0x5404) = (uint32_t)d->rom[4] | (uint32_t)d->rom[5] << 8 | 1u << 31;
	}
}

/* Whether its interrupt is asserted. */
static inline bool fake_asserted(const struct fake_e1000 *d)
{
	return (REG(d, 0xc0) & REG(d, 0xd0)) != 0;
}

/* Interrupts as long as the card wants to, as a line would; how often. */
static inline unsigned fake_interrupt(struct fake_e1000 *d)
{
	struct rig_function *f = fake_function(d);
	unsigned count = 0;

	while (fake_asserted(d)) {
		assert(f->fn != NULL && count < 100);
		f->fn(f->ctx, 0);
		count++;
	}
	return count;
}

static inline void fake_transmit(struct fake_e1000 *d)
{
	unsigned ring = REG(d, 0x3808) / 16;

	while (!d->stuck && (REG(d, 0x400) & 2) != 0 && REG(d, 0x3810) != REG(d, 0x3818)) {
		uint8_t *desc = fake_dma(d, 0x3800) + (size_t)REG(d, 0x3810) * 16;
		uint64_t address;
		uint16_t len;
		const uint8_t *data;

		memcpy(&address, desc, 8);
		memcpy(&len, desc + 8, 2);
		data = fake_ram(hpa(address));
		/* EOP, IFCS and RS; a whole frame in one descriptor. */
		assert(desc[11] == 0x0b && len >= 14 && len <= 1518);
		assert(d->wire_count < FAKE_WIRE);
		d->wire[d->wire_count].len = len;
		d->wire[d->wire_count].first = data[0];
		d->wire[d->wire_count].last = data[len - 1];
		d->wire_count++;
		desc[12] |= 1;
		REG(d, 0x3810) = (REG(d, 0x3810) + 1) % ring;
	}
}

/* The next receive descriptor, filled as told; false: the ring is empty. */
static inline bool fake_fill(struct fake_e1000 *d, uint16_t len, uint8_t status, uint8_t errors)
{
	unsigned ring = REG(d, 0x2808) / 16;
	uint8_t *desc;

	if ((REG(d, 0x100) & 2) == 0) {
		return false;
	}
	if (REG(d, 0x2810) == REG(d, 0x2818)) {
		REG(d, 0xc0) |= 1u << 6;
		return false;
	}
	desc = fake_dma(d, 0x2800) + (size_t)REG(d, 0x2810) * 16;
	memcpy(desc + 8, &len, 2);
	desc[12] = status;
	desc[13] = errors;
	REG(d, 0x2810) = (REG(d, 0x2810) + 1) % ring;
	REG(d, 0xc0) |= 1u << 7 | (d->pcie ? 1u << 20 : 0);
	return true;
}

/* A frame from the wire; false: no buffer, or off. */
static inline bool fake_receive_bytes(struct fake_e1000 *d, const void *data, uint32_t len)
{
	uint64_t address;

	if ((REG(d, 0x100) & 2) == 0) {
		return false;
	}
	if (REG(d, 0x2810) != REG(d, 0x2818)) {
		memcpy(&address, fake_dma(d, 0x2800) + (size_t)REG(d, 0x2810) * 16, 8);
		memcpy(fake_ram(hpa(address)), data, len);
	}
	return fake_fill(d, (uint16_t)len, 3, 0);
}

/* The same, as rig_frame makes them. */
static inline bool fake_receive(struct fake_e1000 *d, uint32_t len, uint8_t seed)
{
	uint8_t data[2048];

	for (uint32_t i = 0; i < len; i++) {
		data[i] = (uint8_t)(seed + i * 7);
	}
	return fake_receive_bytes(d, data, len);
}

static inline void fake_set_link(struct fake_e1000 *d, bool up)
{
	REG(d, 0x8) = up ? REG(d, 0x8) | 2 : REG(d, 0x8) & ~2u;
	REG(d, 0xc0) |= 1u << 2 | (d->pcie ? 1u << 24 : 0);
}

static inline uint32_t fake_eerd(const struct fake_e1000 *d)
{
	uint32_t value = REG(d, 0x14);
	unsigned word = d->pcie ? value >> 2 & 0x3fff : value >> 8 & 0xff;

	if (d->rom_hangs || (value & 1) == 0 || word > 2) {
		return value;
	}
	return value | (d->pcie ? 2u : 0x10u) | (uint32_t)d->rom[2 * word] << 16 |
	       (uint32_t)d->rom[2 * word + 1] << 24;
}

static inline struct fake_e1000 *fake_at(uint64_t address, unsigned *reg)
{
	*reg = (unsigned)(address & 0xffffff);
	assert(*reg < 0x20000 && *reg % 4 == 0);
	return &nic[(address - RIG_BAR(0)) >> 24];
}

static inline uint32_t fake_read(hva_t address)
{
	unsigned reg;
	struct fake_e1000 *d = fake_at(address.v, &reg);
	uint32_t value = REG(d, reg);

	if (d->dead) {
		return UINT32_MAX;
	}
	if (reg == 0x14) {
		return fake_eerd(d);
	}
	if (reg == 0xc0) {
		d->icr_reads++;
		/* With MSI-X a cause stays until it is written. */
		REG(d, 0xc0) = fake_function(d)->msix ? value : 0;
	}
	return value;
}

static inline void fake_write_ctrl(struct fake_e1000 *d, uint32_t value)
{
	if ((value & 1u << 26) == 0) {
		REG(d, 0) = value;
		REG(d, 0x8) = value & 4 ? REG(d, 0x8) & ~(1u << 19) : REG(d, 0x8) | 1u << 19;
		return;
	}
	d->resets++;
	fake_power_on(d);
	REG(d, 0) = d->reset_hangs ? 1u << 26 : 0;
}

static inline void fake_write(hva_t address, uint32_t value)
{
	unsigned reg;
	struct fake_e1000 *d = fake_at(address.v, &reg);

	switch (reg) {
	case 0x0:
		fake_write_ctrl(d, value);
		break;
	case 0x8:
		break;
	case 0xc0:
		REG(d, 0xc0) &= ~value;
		break;
	case 0xd0:
		REG(d, 0xd0) |= value;
		break;
	case 0xd8:
		REG(d, 0xd0) &= ~value;
		break;
	case 0x2810:
		assert((REG(d, 0x100) & 2) == 0);
		REG(d, reg) = value;
		break;
	case 0x2818:
		assert(value < REG(d, 0x2808) / 16);
		REG(d, reg) = value;
		break;
	case 0x3818:
		assert(value < REG(d, 0x3808) / 16);
		REG(d, reg) = value;
		fake_transmit(d);
		break;
	default:
		REG(d, reg) = value;
		break;
	}
}

/* One card more, at 00:02.0 and up; off, as firmware left it. */
static inline struct fake_e1000 *fake_add(uint16_t device, bool filter_at_boot)
{
	struct fake_e1000 *d = &nic[rig.count];
	const uint8_t mac[6] = {0x52, 0x54, 0, 0xab, 0xcd, (uint8_t)rig.count};

	memset(d, 0, sizeof(*d));
	memcpy(d->rom, mac, 6);
	d->pcie = device == 0x10d3;
	d->filter_at_boot = filter_at_boot;
	fake_power_on(d);
	(void)rig_add(0x8086, device);
	fake_cpu.on_mmio_read = fake_read;
	fake_cpu.on_mmio_write = fake_write;
	return d;
}
