/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The EEPROM: by EERD a word at a time, or by EECD bit by bit. The 82540EM has one for Microwire,
 * the 82574L one for SPI. It is write-protected: commands that write are taken and do nothing.
 * Sources: 8254x manual, "EEPROM Interface"; 82574 datasheet, "Non-Volatile Memory Map"; the
 * data sheets of 93C46 (Microwire) and AT25040 (SPI).
 *
 *	Microwire	1 oo aaaaaa	-> 0, then words, highest bit first
 *	SPI		oooooooo aaaaaaaa aaaaaaaa -> bytes, highest bit first
 */
#include "guests/devices/e1000_internal.h"

#define MICROWIRE_COMMAND_BITS 9u
#define MICROWIRE_READ 2u
#define SPI_OPCODE_BITS 8u
#define SPI_COMMAND_BITS 24u
#define SPI_READ 0x03u
#define SPI_ADDRESS_MASK 0xffffu
#define IN_COUNT_MAX 32u

#define ROM_BITS (E1000_ROM_WORDS * 16u)

/* What a driver may drive; the others tell of the EEPROM. */
#define EECD_WRITABLE \
	(E1000_EECD_SK | E1000_EECD_CS | E1000_EECD_DI | E1000_EECD_FWE | E1000_EECD_REQ)

/* Words beyond the address: "EEPROM Address Map", "Hardware Accessed Words". */
#define ROM_PBA 0x08u
#define ROM_CONTROL1 0x0au
#define ROM_SUBSYSTEM 0x0bu
#define ROM_SUBSYSTEM_VENDOR 0x0cu
#define ROM_DEVICE 0x0du
#define ROM_VENDOR 0x0eu
#define ROM_CONTROL2 0x0fu
#define VENDOR_INTEL 0x8086u

static void write_words(struct e1000 *e, uint16_t *w)
{
	const uint8_t *mac = e->port.mac.bytes;
	const struct pci_function *f = &e->pci.function;

	for (size_t i = 0; i < NET_MAC_BYTES / 2; i++) {
		w[i] = (uint16_t)(mac[2 * i] | mac[2 * i + 1] << 8);
	}
	w[ROM_PBA] = 0xffff; /* no number of a board */
	w[ROM_PBA + 1] = 0xffff;
	w[ROM_CONTROL1] = 0x4408; /* valid, no wake-up */
	w[ROM_SUBSYSTEM] = (uint16_t)pci_function_read(f, PCI_SUBSYSTEM, 2);
	w[ROM_SUBSYSTEM_VENDOR] = VENDOR_INTEL;
	w[ROM_DEVICE] = (uint16_t)pci_function_read(f, PCI_DEVICE_ID, 2);
	w[ROM_VENDOR] = VENDOR_INTEL;
	w[ROM_CONTROL2] = 0x0001; /* no management, no power-down of the link */
}

void e1000_rom_init(struct e1000 *e)
{
	uint16_t *w = e->state.rom.words;
	uint16_t sum = 0;

	write_words(e, w);
	for (unsigned i = 0; i < E1000_ROM_SUM_AT; i++) {
		sum = (uint16_t)(sum + w[i]);
	}
	w[E1000_ROM_SUM_AT] = (uint16_t)(E1000_ROM_SUM - sum);
}

/* Words that are not there read all-ones. */
static uint16_t word(const struct e1000 *e, uint64_t address)
{
	return address < E1000_ROM_WORDS ? e->state.rom.words[address] : 0xffff;
}

void e1000_write_eerd(struct e1000 *e, uint32_t value)
{
	bool newer = e->kind == E1000_82574L;
	uint64_t mask = newer ? E1000_EERD_ADDRESS_82574 : E1000_EERD_ADDRESS;
	uint64_t address = bits_get(value, mask);

	*e1000_reg(e, E1000_EERD) = (uint32_t)(value & mask);
	if ((value & E1000_EERD_START) != 0) {
		*e1000_reg(e, E1000_EERD) |= (uint32_t)word(e, address) << 16 |
					     (newer ? E1000_EERD_DONE_82574 : E1000_EERD_DONE);
	}
}

/* --- bit by bit --- */

/* The next bit of what is read, from the highest of each word or byte on; it goes round. */
static bool next_bit(struct e1000_rom *r, bool spi)
{
	unsigned bit = 15u - r->position % 16u;
	bool level = ((unsigned)r->words[r->position / 16u] >> (spi ? bit ^ 8u : bit) & 1u) != 0;

	r->position = (uint16_t)((r->position + 1u) % ROM_BITS);
	return level;
}

/* A whole Microwire command may have come; anything but a read is ready at once. */
static void take_microwire(struct e1000_rom *r)
{
	if (r->in_count == MICROWIRE_COMMAND_BITS) {
		r->reading = (r->in >> 6 & 3u) == MICROWIRE_READ;
		r->position = (uint16_t)(r->in % E1000_ROM_WORDS * 16u);
		r->out = !r->reading;
	}
}

/* Anything but a read answers zeros, which as a status is "ready". */
static void take_spi(struct e1000_rom *r)
{
	if (r->in_count == SPI_COMMAND_BITS) {
		r->reading = r->in >> (SPI_COMMAND_BITS - SPI_OPCODE_BITS) == SPI_READ;
		r->position = (uint16_t)((r->in & SPI_ADDRESS_MASK) * 8u % ROM_BITS);
	}
	r->out = false;
}

static void clock_rises(struct e1000_rom *r, bool in, bool spi)
{
	if (r->reading) {
		r->out = next_bit(r, spi);
		return;
	}
	if (!spi && r->in_count == 0 && !in) {
		return; /* no start bit yet */
	}
	if (r->in_count < IN_COUNT_MAX) {
		r->in = r->in << 1 | in;
		r->in_count++;
	}
	if (spi) {
		take_spi(r);
	} else {
		take_microwire(r);
	}
}

void e1000_write_eecd(struct e1000 *e, uint32_t value)
{
	struct e1000_rom *r = &e->state.rom;
	bool spi = e->kind == E1000_82574L;
	uint32_t old = e1000_get(e, E1000_EECD);
	/* The one chip selects when its pin is low, the other when it is high. */
	bool selected = ((value & E1000_EECD_CS) != 0) != spi;

	*e1000_reg(e, E1000_EECD) = value & EECD_WRITABLE;
	if (!selected) {
		r->in = 0;
		r->in_count = 0;
		r->reading = false;
		r->out = true;
	} else if ((value & ~old & E1000_EECD_SK) != 0) {
		clock_rises(r, (value & E1000_EECD_DI) != 0, spi);
	}
}

uint32_t e1000_read_eecd(const struct e1000 *e)
{
	uint32_t value = e1000_get(e, E1000_EECD) | E1000_EECD_PRES;

	if ((value & E1000_EECD_REQ) != 0) {
		value |= E1000_EECD_GNT;
	}
	if (e->state.rom.out) {
		value |= E1000_EECD_DO;
	}
	return e->kind == E1000_82574L ? value | E1000_EECD_AUTO_RD : value;
}

bool e1000_rom_is_possible(const struct e1000_rom_saved *in)
{
	return in->position < ROM_BITS && in->in_count <= IN_COUNT_MAX &&
	       saved_is_bool(in->reading) && saved_is_bool(in->out) &&
	       saved_is_zero(in->zero, sizeof(in->zero));
}
