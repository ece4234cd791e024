/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's network card of Intel's and a driver that does what the input says: any register with
 * any value, rings with any content and anywhere, frames from the network, time, resets. What it
 * sends goes through the switch's judgement; nothing may be left over at the end.
 */
#include <stdlib.h>

#include "tests/fakes/e1000_rig.h"
#include "tests/fuzz/saved_input.h"

#define STEPS_MAX 400u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An address: mostly in RAM, now and then at its end, or nowhere. */
static uint64_t take_address(struct input *in)
{
	uint8_t how = (uint8_t)take(in, 1);

	if (how < 0xe0) {
		return RIG_RAM_BASE + take(in, 2) * 8 % RIG_RAM_SIZE;
	}
	return how < 0xf0 ? RIG_RAM_END - (how & 0xfu) * 4 : take(in, 8);
}

/* The registers that drivers use most, or any. */
static unsigned take_register(struct input *in)
{
	static const uint16_t known[] = {
		E1000_CTRL,  E1000_EECD,  E1000_EERD,  E1000_CTRL_EXT, E1000_MDIC,   E1000_ICR,
		E1000_ITR,   E1000_ICS,	  E1000_IMS,   E1000_IMC,      E1000_EIAC,   E1000_IAM,
		E1000_IVAR,  E1000_EITR0, E1000_RCTL,  E1000_TCTL,     E1000_PSRCTL, E1000_RDBAL,
		E1000_RDLEN, E1000_RDH,	  E1000_RDT,   E1000_RDTR,     E1000_RADV,   E1000_TDBAL,
		E1000_TDLEN, E1000_TDH,	  E1000_TDT,   E1000_TIDV,     E1000_TADV,   E1000_RXCSUM,
		E1000_RFCTL, E1000_RAL0,  E1000_RAH0,  E1000_MTA,      E1000_VFTA,   E1000_SWSM,
		E1000_RSRPD, 0x3918,	  E1000_TXDCTL};
	uint8_t which = (uint8_t)take(in, 1);

	return which < 0xe0 ? known[which % ARRAY_SIZE(known)] : (unsigned)take(in, 3) % 0x1fffc;
}

static void poke(struct input *in)
{
	static const unsigned sizes[] = {4, 4, 4, 4, 8, 1, 2, 4};
	unsigned reg = take_register(in);
	unsigned size = sizes[take(in, 1) & 7];

	card_bar_write(E1000_BAR_REGISTERS, reg, size, take(in, size));
	(void)card_bar_read(E1000_BAR_REGISTERS, reg, size);
}

static void poke_ports(struct input *in)
{
	card_bar_write(E1000_BAR_PORTS, 0, 4, take_register(in));
	card_bar_write(E1000_BAR_PORTS, 4, 4, take(in, 4));
	(void)card_bar_read(E1000_BAR_PORTS, take(in, 1) & 0x1c, 4);
}

/* A transmit descriptor behind the others: legacy, context or data, with its own ideas. */
static void put(struct input *in)
{
	uint64_t address = take_address(in);
	uint64_t rest = take(in, 8);

	switch (take(in, 1) & 3) {
	case 0:
		rest = (rest & ~0xffffull) | (take(in, 2) % 1600);
		break;
	case 1:
		address = take(in, 8);
		rest = (rest & ~(MASK(31, 20) | BIT(29))) | 0x20000000;
		break;
	default:
		rest = (rest & ~MASK(23, 16)) | 0x20100000;
		break;
	}
	card_put(address, rest);
	card_tx_next %= CARD_RING;
}

static void deliver(struct input *in)
{
	static const struct net_mac everybody = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
	uint32_t len = NET_FRAME_MIN + (uint32_t)take(in, 2) % 1600;
	uint8_t kind = (uint8_t)take(in, 1);
	const struct net_mac *to = (kind & 1) != 0 ? &everybody : &card_mac;

	(void)card.port.ops->wants(&card.port, to);
	(void)card_deliver(to, len, kind);
}

static void write_memory(struct input *in)
{
	uint64_t at = RIG_RAM_BASE + take(in, 2) * 8 % (RIG_RAM_SIZE - 8);

	rig_put(at, take(in, 8), 8);
}

static void configure(struct input *in)
{
	uint8_t what = (uint8_t)take(in, 1);

	rig_set_master((what & 1) != 0);
	if ((what & 2) != 0 && card.kind == E1000_82574L) {
		card_msix_on();
	}
	card.port.ops->link_changed(&card.port, (what & 4) != 0);
	if ((what & 0xf8) == 0xf8) {
		card.pci.ops->reset(&card.pci);
	}
}

static void step(struct input *in)
{
	switch (take(in, 1) % 13) {
	case 0:
	case 1:
	case 2:
		put(in);
		break;
	case 3:
		card_go();
		break;
	case 4:
	case 5:
		poke(in);
		break;
	case 6:
		poke_ports(in);
		break;
	case 7:
		write_memory(in);
		break;
	case 8:
		deliver(in);
		break;
	case 9:
		(void)vwork_run(&card_work);
		card_pass(take(in, 3));
		break;
	case 10:
		configure(in);
		break;
	case 11:
		(void)fuzz_reload(in, &card.saved, sizeof(struct pci_device_saved));
		break;
	default:
		card_tx_next = 0;
		card_start((uint32_t)take(in, 4));
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool started;
	struct input in = {data, size};

	if (!started) {
		card_machine();
		started = true;
	}
	card_setup(take(&in, 1) & 1 ? E1000_82574L : E1000_82540EM);
	card_start(E1000_RCTL_BAM);
	for (unsigned i = 0; i < STEPS_MAX && in.n > 0; i++) {
		step(&in);
	}
	card_teardown();
	return 0;
}
