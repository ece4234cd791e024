/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PHY behind MDIC: 1000BASE-T, Marvell's registers. Its partner is the switch, which agrees to
 * everything at once. Sources: IEEE 802.3, "Management functions", "Auto-Negotiation management
 * register set"; 8254x manual, "PHY Registers"; 82574 datasheet, "PHY Programming Interface".
 */
#include "guests/devices/e1000_internal.h"

#define STATUS_ABILITIES 0x7949u     /* all speeds, extended status, negotiates */
#define PARTNER_LINK 0x4de1u	     /* acknowledged, pause, 10 and 100 Mbit/s */
#define EXPANSION_LINK 0x0005u	     /* the partner negotiates and has next pages */
#define STATUS_1000_LINK 0x7c00u     /* both receivers are well, partner does 1000 Mbit/s */
#define SPECIFIC_STATUS_LINK 0xac00u /* 1000 Mbit/s, full duplex, resolved, link */
#define ID1_MARVELL 0x0141u
#define ID2_82540EM 0x0c20u
#define ID2_82574L 0x0cb1u

/* What each register is after a reset, and what of it the driver can write. */
static const struct {
	uint16_t initial;
	uint16_t writable;
} registers[E1000_PHY_REGISTERS] = {
	[E1000_PHY_CONTROL] = {0x1140, 0x7dc0},
	[E1000_PHY_ID1] = {ID1_MARVELL, 0},
	[E1000_PHY_ADVERTISE] = {0x0de1, 0xffff},
	[E1000_PHY_NEXT_PAGE] = {0x2001, 0xffff},
	[E1000_PHY_1000_CONTROL] = {0x0300, 0xff00},
	[E1000_PHY_EXTENDED_STATUS] = {0x3000, 0},
	[E1000_PHY_SPECIFIC_CONTROL] = {0x0068, 0xffff},
	[18] = {0, 0xffff},
	[E1000_PHY_EXTENDED_CONTROL] = {0x0d60, 0xffff},
	[E1000_PHY_PAGE] = {0, 0xffff},
	[24] = {0x4100, 0xffff},
	[26] = {0, 0xffff},
	[29] = {0, 0xffff},
	[30] = {0, 0xffff},
};

void e1000_reset_phy(struct e1000 *e)
{
	for (unsigned i = 0; i < E1000_PHY_REGISTERS; i++) {
		e->state.phy[i] = registers[i].initial;
	}
	e->state.phy[E1000_PHY_ID2] = e->kind == E1000_82574L ? ID2_82574L : ID2_82540EM;
}

bool e1000_phy_is_possible(const struct e1000 *e, unsigned reg, uint16_t value)
{
	uint16_t initial = registers[reg].initial;

	if (reg == E1000_PHY_ID2) {
		initial = e->kind == E1000_82574L ? ID2_82574L : ID2_82540EM;
	}
	return ((value ^ initial) & ~registers[reg].writable) == 0;
}

/* The registers of IEEE 802.3 and the one that chooses are on all pages. Of the others only the
 * first page has any. */
static bool is_absent(const struct e1000 *e, unsigned reg)
{
	return e->kind == E1000_82574L && reg > E1000_PHY_EXTENDED_STATUS &&
	       reg != E1000_PHY_PAGE && e->state.phy[E1000_PHY_PAGE] != 0;
}

static uint16_t phy_read(const struct e1000 *e, unsigned reg)
{
	bool up = e1000_link_is_up(e);

	if (is_absent(e, reg)) {
		return 0;
	}
	switch (reg) {
	case E1000_PHY_STATUS:
		return up ? STATUS_ABILITIES | E1000_PHY_STATUS_LINK | E1000_PHY_STATUS_NEGOTIATED
			  : STATUS_ABILITIES;
	case E1000_PHY_PARTNER:
		return up ? PARTNER_LINK : 0;
	case E1000_PHY_EXPANSION:
		return up ? EXPANSION_LINK : 0;
	case E1000_PHY_1000_STATUS:
		return up ? STATUS_1000_LINK : 0;
	case E1000_PHY_SPECIFIC_STATUS:
		return up ? SPECIFIC_STATUS_LINK : 0;
	default:
		return e->state.phy[reg];
	}
}

/* Negotiation that begins is over at once, and the driver hears that it has a link. */
static void write_control(struct e1000 *e, uint16_t value)
{
	if ((value & E1000_PHY_CONTROL_RESET) != 0) {
		e1000_reset_phy(e);
	}
	e1000_update_link(e);
	if ((value & (E1000_PHY_CONTROL_RESET | E1000_PHY_CONTROL_RESTART)) != 0 &&
	    e1000_link_is_up(e)) {
		e1000_raise(e, E1000_ICR_LSC);
	}
}

static void phy_write(struct e1000 *e, unsigned reg, uint16_t value)
{
	uint16_t writable = registers[reg].writable;

	if (is_absent(e, reg)) {
		return;
	}
	e->state.phy[reg] = (uint16_t)((e->state.phy[reg] & ~writable) | (value & writable));
	if (reg == E1000_PHY_CONTROL) {
		write_control(e, value);
	}
}

/* Ready at once; nobody answers at other addresses, or to an operation that is none. */
void e1000_write_mdic(struct e1000 *e, uint32_t value)
{
	unsigned reg = (unsigned)bits_get(value, E1000_MDIC_REGISTER);
	uint32_t op = value & (E1000_MDIC_READ | E1000_MDIC_WRITE);

	value &= ~(E1000_MDIC_READY | E1000_MDIC_ERROR);
	if (bits_get(value, E1000_MDIC_PHY) != E1000_PHY_ADDRESS) {
		value |= E1000_MDIC_ERROR;
	} else if (op == E1000_MDIC_READ) {
		value = (uint32_t)bits_set(value, E1000_MDIC_DATA, phy_read(e, reg));
	} else if (op == E1000_MDIC_WRITE) {
		phy_write(e, reg, (uint16_t)bits_get(value, E1000_MDIC_DATA));
	} else {
		value |= E1000_MDIC_ERROR;
	}
	*e1000_reg(e, E1000_MDIC) = value | E1000_MDIC_READY;
	if ((value & E1000_MDIC_INTERRUPT) != 0) {
		e1000_raise(e, E1000_ICR_MDAC);
	}
}
