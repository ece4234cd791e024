/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A driver of Intel's network cards gone mad, by the numbers of a seed: rings of random
 * descriptors, moved and resized while the card works on them, any register with any value, resets
 * in between. Now and then a card must then work for a driver that does all right: what it loops
 * comes back.
 *
 * What a card may write to by mistake of this driver is RAM behind the image alone. So the
 * registers that say where rings are get no random values, and neither do those that have the card
 * write something over a descriptor which could be read again as an address of something else.
 */
#include "hv/base/bits.h"
#include "hv/base/e1000_format.h"
#include "tests/payloads/cases.h"
#include "tests/payloads/hw.h"
#include "tests/payloads/rt.h"
#include "tests/payloads/rt_pci.h"
#include "tests/payloads/rt_wild.h"

#define CARDS_MAX 8u
#define ID_82540EM 0x100e8086u
#define ID_82574L 0x10d38086u
#define STEPS 40u
#define CHECK_EVERY 8u
#define REPORT_EVERY 500u
/* Descriptors first, then data. */
#define RING_AREA 0x10000u
#define DATA_AREA 0x80000u
#define RING_BYTES 0x1000u
#define FRAME_BYTES 200u
#define FRAME_WORDS (FRAME_BYTES / 8)

static uint64_t cards[CARDS_MAX]; /* their registers */
static unsigned card_count;
static uint64_t seed;

static uint32_t pick(uint32_t n)
{
	return rt_pick(&seed, n);
}

static bool one_in(uint32_t n)
{
	return pick(n) == 0;
}

static uint64_t ring_area(void)
{
	return rt_free_ram();
}

static uint64_t data_area(void)
{
	return ring_area() + RING_AREA;
}

static uint64_t some_address(void)
{
	return one_in(12) ? rt_wild_address(&seed) : data_area() + pick(DATA_AREA);
}

/* --- rings --- */

/* Legacy, context or data, each mostly such that the card goes on. */
static uint64_t some_command(void)
{
	const uint64_t extended = (uint64_t)E1000_TXD_DEXT << E1000_TXD_COMMAND_SHIFT;
	uint64_t command = rt_random(&seed) & MASK(63, 24) & ~extended;

	switch (pick(4)) {
	case 0:
		return command | extended | pick(0x4000);
	case 1:
		return command | extended | 1u << 20 | pick(0x2000);
	default:
		return command | pick(2000);
	}
}

static void fill_rings(void)
{
	for (uint64_t at = ring_area(); at < data_area(); at += 16) {
		mmio_write64(at, some_address());
		mmio_write64(at + 8, some_command());
	}
}

static uint64_t some_ring(void)
{
	return one_in(16) ? rt_wild_address(&seed)
			  : ring_area() + (pick(RING_AREA - RING_BYTES) & ~15u);
}

static void place_ring(uint64_t card, unsigned base)
{
	uint64_t ring = some_ring();

	mmio_write32(card + base, (uint32_t)ring);
	mmio_write32(card + base + 4, (uint32_t)(ring >> 32));
	mmio_write32(card + base + E1000_RDLEN - E1000_RDBAL, pick(RING_BYTES + 1));
	mmio_write32(card + base + E1000_RDH - E1000_RDBAL, pick(256));
	mmio_write32(card + base + E1000_RDT - E1000_RDBAL, pick(256));
}

/* --- what a mad driver does --- */

static void send(uint64_t card)
{
	mmio_write32(card + E1000_TDT, one_in(16) ? (uint32_t)rt_random(&seed) : pick(256));
}

static void give(uint64_t card)
{
	mmio_write32(card + E1000_RDT, one_in(16) ? (uint32_t)rt_random(&seed) : pick(256));
}

static void move(uint64_t card)
{
	fill_rings();
	place_ring(card, one_in(2) ? E1000_RDBAL : E1000_TDBAL);
}

static void change_modes(uint64_t card)
{
	uint32_t rctl = (uint32_t)rt_random(&seed) & ~E1000_RCTL_DTYP_PS;

	mmio_write32(card + E1000_RCTL, rctl | (one_in(8) ? 0 : E1000_RCTL_EN));
	mmio_write32(card + E1000_TCTL,
		     (uint32_t)rt_random(&seed) | (one_in(8) ? 0 : E1000_TCTL_EN));
	mmio_write32(card + E1000_CTRL, (uint32_t)rt_random(&seed) | E1000_CTRL_SLU);
}

/* Registers of interrupts, delays, the PHY, the EEPROM, filters and counters. */
static void write_anything(uint64_t card)
{
	static const uint16_t registers[] = {
		E1000_EECD, E1000_EERD,	 E1000_CTRL_EXT, E1000_MDIC,   E1000_VET,    E1000_ICR,
		E1000_ITR,  E1000_ICS,	 E1000_IMS,	 E1000_IMC,    E1000_EIAC,   E1000_IAM,
		E1000_IVAR, E1000_EITR0, E1000_TIPG,	 E1000_RDTR,   E1000_RADV,   E1000_TIDV,
		E1000_TADV, E1000_MTA,	 E1000_VFTA,	 E1000_RAL0,   E1000_RAH0,   E1000_RSRPD,
		E1000_SWSM, E1000_MPC,	 E1000_WUC,	 E1000_PSRCTL, E1000_TXDCTL, E1000_STATUS};

	mmio_write32(card + registers[pick(ARRAY_SIZE(registers))], (uint32_t)rt_random(&seed));
}

static void look(uint64_t card)
{
	(void)mmio_read32(card + (pick(E1000_REGISTERS_SIZE) & ~3u));
	(void)mmio_read8(card + pick(0x20000));
	(void)mmio_read64(card + (pick(0x20000) & ~7u));
	mmio_write16(card + pick(0x1fffe), (uint16_t)rt_random(&seed));
}

static void (*const deeds[])(uint64_t card) = {
	send, send, send, give, give, move, change_modes, write_anything, write_anything, look,
};

/* --- a driver that does all right --- */

static void reset(uint64_t card)
{
	mmio_write32(card + E1000_CTRL, E1000_CTRL_RST);
	EXPECT((mmio_read32(card + E1000_CTRL) & E1000_CTRL_RST) == 0, "the reset does not end");
	mmio_write32(card + E1000_MDIC,
		     E1000_MDIC_WRITE | E1000_PHY_ADDRESS << 21 | E1000_PHY_CONTROL_RESET);
}

/* A frame to the card itself, at the start of the data; another place for it to come back to. */
static void make_frame(uint64_t card, uint64_t from, uint64_t to)
{
	for (uint64_t i = 0; i < FRAME_WORDS; i++) {
		mmio_write64(from + i * 8, rt_random(&seed));
		mmio_write64(to + i * 8, 0);
	}
	mmio_write32(from, mmio_read32(card + E1000_RAL0));
	mmio_write16(from + 4, (uint16_t)mmio_read32(card + E1000_RAH0));
}

static void set_ring(uint64_t card, unsigned base, uint64_t ring)
{
	mmio_write32(card + base, (uint32_t)ring);
	mmio_write32(card + base + E1000_RDLEN - E1000_RDBAL, 128);
}

static void check(uint64_t card)
{
	uint64_t rx = ring_area();
	uint64_t tx = ring_area() + RING_BYTES;
	uint64_t from = data_area();
	uint64_t to = data_area() + 0x1000;

	reset(card);
	make_frame(card, from, to);
	mmio_write64(rx, to);
	mmio_write64(rx + 8, 0);
	mmio_write64(tx, from);
	mmio_write64(tx + 8, FRAME_BYTES | (uint64_t)(E1000_TXD_EOP | E1000_TXD_RS)
						   << E1000_TXD_COMMAND_SHIFT);
	set_ring(card, E1000_RDBAL, rx);
	set_ring(card, E1000_TDBAL, tx);
	mmio_write32(card + E1000_RCTL, E1000_RCTL_EN | E1000_RCTL_SECRC | 1u << 6);
	mmio_write32(card + E1000_RDT, 1);
	mmio_write32(card + E1000_TCTL, E1000_TCTL_EN);
	mmio_write32(card + E1000_TDT, 1);
	EXPECT((mmio_read8(tx + 12) & E1000_TXD_DD) != 0, "a frame is not sent");
	EXPECT((mmio_read8(rx + 12) & E1000_RXD_DD) != 0, "a frame does not come back");
	for (uint64_t i = 0; i < FRAME_WORDS; i++) {
		EXPECT(mmio_read64(from + i * 8) == mmio_read64(to + i * 8),
		       "a frame comes back with other bytes, at %lu", i * 8);
	}
}

/* --- the case --- */

static void find_cards(void)
{
	for (unsigned devfn = 0; devfn < PCI_FUNCTIONS && card_count < CARDS_MAX; devfn++) {
		uint32_t id = pci_config(devfn, PCI_VENDOR_ID);

		if (id == ID_82540EM || id == ID_82574L) {
			pci_set_config(devfn, PCI_COMMAND,
				       PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
					       PCI_COMMAND_INTX_OFF);
			cards[card_count++] = pci_bar(devfn, 0);
		}
	}
	EXPECT(card_count != 0, "there is no card");
}

static void round_of(uint64_t card)
{
	reset(card);
	fill_rings();
	place_ring(card, E1000_RDBAL);
	place_ring(card, E1000_TDBAL);
	change_modes(card);
	for (unsigned i = 0; i < STEPS; i++) {
		deeds[pick(ARRAY_SIZE(deeds))](card);
	}
	reset(card);
}

void case_e1000_hostile(void)
{
	uint64_t rounds = rt_option("rounds", 200);

	seed = rt_option("seed", 1);
	find_cards();
	for (uint64_t i = 1; i <= rounds; i++) {
		round_of(cards[pick(card_count)]);
		if (i % CHECK_EVERY == 0) {
			check(cards[pick(card_count)]);
		}
		if (i % REPORT_EVERY == 0) {
			rt_print("round %lu\n", i);
		}
	}
}
