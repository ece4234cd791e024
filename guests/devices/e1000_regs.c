/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registers of the e1000 model: which there are, what of them can be written, and what a write
 * does. Those that are not here read 0 and take nothing. Wake-up, flow control, management, RSS and
 * diagnostic registers keep what is written. Sources: 8254x manual, "Register Descriptions"; 82574
 * datasheet, "Register Summary Table".
 */
#include "guests/devices/e1000_internal.h"

#include "hv/base/str.h"

#define ALL UINT32_MAX
#define RING_BASE 0xfffffff0u
#define RING_LENGTH 0x000fff80u
#define DELAY 0x0000ffffu
#define RAH_WRITABLE 0x8003ffffu
#define IMS_WRITABLE 0x01f7ffffu

#define PBA_BYTES_82540EM 64u /* KiB of packet memory */
#define PBA_BYTES_82574L 40u
#define PBA_RX MASK(15, 0)

/* Bits of CTRL that stay set. */
#define CTRL_WRITABLE (~(E1000_CTRL_RST | E1000_CTRL_LRST))
#define CTRL_INITIAL (E1000_CTRL_FD | E1000_CTRL_SLU | E1000_CTRL_SPEED_1000)

/* 82574: what firmware loads at start is loaded. */
#define EEMNGCTL_DONE 0x00040000u

enum models {
	BOTH,
	NEW, /* 82574L */
};

struct row {
	uint16_t first;
	uint16_t last;
	enum models models;
	uint32_t writable;
	uint32_t initial;
	/* In place of the stored value. */
	uint32_t (*read)(struct e1000 *e, unsigned reg);
	/* The writable bits are stored already; `value` is what was written. */
	void (*written)(struct e1000 *e, unsigned reg, uint32_t value);
};

/* --- reading --- */

static uint32_t read_status(struct e1000 *e, unsigned reg)
{
	uint32_t value = E1000_STATUS_FD | E1000_STATUS_SPEED_1000 | E1000_STATUS_ASDV_1000;

	(void)reg;
	if (e1000_link_is_up(e)) {
		value |= E1000_STATUS_LU;
	}
	if (e->kind == E1000_82574L &&
	    (e1000_get(e, E1000_CTRL) & E1000_CTRL_GIO_MASTER_DISABLE) == 0) {
		value |= E1000_STATUS_GIO_MASTER;
	}
	return value;
}

static uint32_t read_eecd(struct e1000 *e, unsigned reg)
{
	(void)reg;
	return e1000_read_eecd(e);
}

static uint32_t read_icr(struct e1000 *e, unsigned reg)
{
	(void)reg;
	return e1000_read_icr(e);
}

/* Without what reading ICR does. */
static uint32_t read_ics(struct e1000 *e, unsigned reg)
{
	(void)reg;
	return e1000_get(e, E1000_ICR);
}

/* Whoever reads the semaphore as 0 has it. */
static uint32_t read_swsm(struct e1000 *e, unsigned reg)
{
	uint32_t value = e1000_get(e, reg);

	*e1000_reg(e, reg) |= E1000_SWSM_SMBI;
	return value;
}

/* --- writing --- */

static void wrote_ctrl(struct e1000 *e, unsigned reg, uint32_t value)
{
	(void)reg;
	if ((value & E1000_CTRL_RST) != 0) {
		e1000_reset_mac(e);
		return;
	}
	if ((value & E1000_CTRL_PHY_RST) != 0) {
		e1000_reset_phy(e);
	}
	e1000_update_link(e);
}

static void wrote_eecd(struct e1000 *e, unsigned reg, uint32_t value)
{
	(void)reg;
	e1000_write_eecd(e, value);
}

static void wrote_eerd(struct e1000 *e, unsigned reg, uint32_t value)
{
	(void)reg;
	e1000_write_eerd(e, value);
}

/* Nothing can be written, which takes no time. */
static void wrote_eewr(struct e1000 *e, unsigned reg, uint32_t value)
{
	*e1000_reg(e, reg) = value | E1000_EERD_DONE_82574;
}

static void wrote_mdic(struct e1000 *e, unsigned reg, uint32_t value)
{
	(void)reg;
	e1000_write_mdic(e, value);
}

static void wrote_icr(struct e1000 *e, unsigned reg, uint32_t value)
{
	(void)reg;
	e1000_write_icr(e, value);
}

static void wrote_ics(struct e1000 *e, unsigned reg, uint32_t value)
{
	(void)reg;
	e1000_raise(e, value);
}

static void wrote_ims(struct e1000 *e, unsigned reg, uint32_t value)
{
	*e1000_reg(e, reg) |= value & IMS_WRITABLE;
	e1000_update_interrupts(e);
}

static void wrote_imc(struct e1000 *e, unsigned reg, uint32_t value)
{
	(void)reg;
	*e1000_reg(e, E1000_IMS) &= ~value;
	e1000_update_interrupts(e);
}

static void wrote_vectors(struct e1000 *e, unsigned reg, uint32_t value)
{
	(void)reg;
	(void)value;
	e1000_update_interrupts(e);
}

static void wrote_rctl(struct e1000 *e, unsigned reg, uint32_t value)
{
	(void)reg;
	(void)value;
	e1000_update_filter(e);
	e1000_update_link(e);
	e1000_receive(e);
}

static void wrote_filter(struct e1000 *e, unsigned reg, uint32_t value)
{
	(void)value;
	if (reg % 8 == 4 && reg > E1000_RAL0) {
		*e1000_reg(e, reg) &= RAH_WRITABLE;
	}
	e1000_update_filter(e);
}

/* What is not for receiving is for sending. */
static void wrote_pba(struct e1000 *e, unsigned reg, uint32_t value)
{
	uint32_t all = e->kind == E1000_82574L ? PBA_BYTES_82574L : PBA_BYTES_82540EM;
	uint32_t rx = (uint32_t)min_u64(value & PBA_RX, all);

	*e1000_reg(e, reg) = rx | (all - rx) << 16;
}

static void wrote_rdt(struct e1000 *e, unsigned reg, uint32_t value)
{
	(void)reg;
	(void)value;
	e1000_receive(e);
}

static void wrote_tctl(struct e1000 *e, unsigned reg, uint32_t value)
{
	(void)reg;
	(void)value;
	for (unsigned i = 0; i < E1000_TX_QUEUES; i++) {
		e1000_transmit(e, i);
	}
}

static void wrote_tdt(struct e1000 *e, unsigned reg, uint32_t value)
{
	(void)value;
	e1000_transmit(e, (reg - E1000_TDT) / E1000_QUEUE_STRIDE);
}

static void wrote_delay(struct e1000 *e, unsigned reg, uint32_t value)
{
	(void)reg;
	if ((value & E1000_DELAY_FLUSH) != 0) {
		e1000_flush_delays(e);
	}
}

static void wrote_wus(struct e1000 *e, unsigned reg, uint32_t value)
{
	*e1000_reg(e, reg) &= ~value;
}

/* --- the table, in the order of offsets --- */

/* clang-format off */
static const struct row rows[] = {
	{E1000_CTRL, E1000_CTRL, BOTH, CTRL_WRITABLE, CTRL_INITIAL, NULL, wrote_ctrl},
	{E1000_STATUS, E1000_STATUS, BOTH, 0, 0, read_status, NULL},
	{E1000_EECD, E1000_EECD, BOTH, 0, E1000_EECD_FWE_OFF, read_eecd, wrote_eecd},
	{E1000_EERD, E1000_EERD, BOTH, 0, 0, NULL, wrote_eerd},
	{E1000_CTRL_EXT, E1000_CTRL_EXT, BOTH,
	 ~(E1000_CTRL_EXT_EE_RST | E1000_CTRL_EXT_ASDCHK), 0, NULL, NULL},
	{E1000_FLA, E1000_FLA, BOTH, 0, 0, NULL, NULL},
	{E1000_MDIC, E1000_MDIC, BOTH, 0, E1000_MDIC_READY, NULL, wrote_mdic},
	{E1000_FCAL, E1000_FCAL, BOTH, ALL, 0, NULL, NULL},
	{E1000_FCAH, E1000_FCAH, BOTH, 0xffff, 0, NULL, NULL},
	{E1000_FCT, E1000_FCT, BOTH, 0xffff, 0, NULL, NULL},
	{E1000_VET, E1000_VET, BOTH, 0xffff, 0x8100, NULL, NULL},
	{E1000_ICR, E1000_ICR, BOTH, 0, 0, read_icr, wrote_icr},
	{E1000_ITR, E1000_ITR, BOTH, 0xffff, 0, NULL, NULL},
	{E1000_ICS, E1000_ICS, BOTH, 0, 0, read_ics, wrote_ics},
	{E1000_IMS, E1000_IMS, BOTH, 0, 0, NULL, wrote_ims},
	{E1000_IMC, E1000_IMC, BOTH, 0, 0, NULL, wrote_imc},
	{E1000_EIAC, E1000_EIAC, NEW, 0x01f00000, 0, NULL, NULL},
	{E1000_IAM, E1000_IAM, NEW, ALL, 0, NULL, NULL},
	{E1000_IVAR, E1000_IVAR, NEW, 0x800fffff, 0, NULL, wrote_vectors},
	{E1000_EITR0, E1000_EITR0 + 4 * (E1000_VECTORS - 1), NEW, 0xffff, 0, NULL, NULL},
	{E1000_RCTL, E1000_RCTL, BOTH, 0x7effffff & ~BIT32(0), 0, NULL, wrote_rctl},
	{E1000_FCTTV, E1000_FCTTV, BOTH, 0xffff, 0, NULL, NULL},
	{E1000_TXCW, E1000_TXCW, BOTH, 0xc000ffff, 0, NULL, NULL},
	{E1000_TCTL, E1000_TCTL, BOTH, 0x1ffffffa, 0, NULL, wrote_tctl},
	{E1000_TCTL_EXT, E1000_TCTL_EXT, NEW, ALL, 0x00000a00, NULL, NULL},
	{E1000_TIPG, E1000_TIPG, BOTH, 0x3fffffff, E1000_TIPG_COPPER, NULL, NULL},
	{E1000_AIT, E1000_AIT, BOTH, 0xffff, 0, NULL, NULL},
	{E1000_LEDCTL, E1000_LEDCTL, BOTH, ALL, 0x07068302, NULL, NULL},
	{E1000_EXTCNF_CTRL, E1000_EXTCNF_SIZE, NEW, ALL, 0, NULL, NULL},
	{E1000_PHY_CTRL, E1000_PHY_CTRL, NEW, ALL, 0, NULL, NULL},
	{E1000_PBA, E1000_PBA, BOTH, 0, 0, NULL, wrote_pba},
	{E1000_PBS, E1000_PBS, BOTH, 0xffff, 0, NULL, NULL},
	{E1000_EEMNGCTL, E1000_EEMNGCTL, NEW, 0, EEMNGCTL_DONE, NULL, NULL},
	{E1000_EEWR, E1000_EEWR, NEW, 0, E1000_EERD_DONE_82574, NULL, wrote_eewr},
	{E1000_FCRTL, E1000_FCRTL, BOTH, 0x8000fff8, 0, NULL, NULL},
	{E1000_FCRTH, E1000_FCRTH, BOTH, 0x8000fff8, 0, NULL, NULL},
	{E1000_PSRCTL, E1000_PSRCTL, NEW, 0x3f3f3f7f, 0x00040402, NULL, NULL},
	{E1000_RDFH, E1000_RDFPC, BOTH, 0x1fff, 0, NULL, NULL},
	{E1000_RDBAL, E1000_RDBAL, BOTH, RING_BASE, 0, NULL, NULL},
	{E1000_RDBAH, E1000_RDBAH, BOTH, ALL, 0, NULL, NULL},
	{E1000_RDLEN, E1000_RDLEN, BOTH, RING_LENGTH, 0, NULL, NULL},
	{E1000_RDH, E1000_RDH, BOTH, 0xffff, 0, NULL, NULL},
	{E1000_RDT, E1000_RDT, BOTH, 0xffff, 0, NULL, wrote_rdt},
	{E1000_RDTR, E1000_RDTR, BOTH, DELAY, 0, NULL, wrote_delay},
	{E1000_RXDCTL, E1000_RXDCTL, BOTH, 0x013f3f3f, 0x01010000, NULL, NULL},
	{E1000_RADV, E1000_RADV, BOTH, DELAY, 0, NULL, NULL},
	/* The second receive queue, which gets nothing. */
	{E1000_RDBAL + E1000_QUEUE_STRIDE, E1000_RADV + E1000_QUEUE_STRIDE, NEW, ALL, 0, NULL,
	 NULL},
	{E1000_RSRPD, E1000_RSRPD, BOTH, 0xfff, 0, NULL, NULL},
	{E1000_RAID, E1000_RAID, NEW, 0xffff, 0, NULL, NULL},
	{E1000_TDFH, E1000_TDFPC, BOTH, 0x1fff, 0, NULL, NULL},
	{E1000_TDBAL, E1000_TDBAL, BOTH, RING_BASE, 0, NULL, NULL},
	{E1000_TDBAH, E1000_TDBAH, BOTH, ALL, 0, NULL, NULL},
	{E1000_TDLEN, E1000_TDLEN, BOTH, RING_LENGTH, 0, NULL, NULL},
	{E1000_TDH, E1000_TDH, BOTH, 0xffff, 0, NULL, NULL},
	{E1000_TDT, E1000_TDT, BOTH, 0xffff, 0, NULL, wrote_tdt},
	{E1000_TIDV, E1000_TIDV, BOTH, DELAY, 0, NULL, wrote_delay},
	{E1000_TXDCTL, E1000_TXDCTL, BOTH, 0xff7f3f3f, 0, NULL, NULL},
	{E1000_TADV, E1000_TADV, BOTH, DELAY, 0, NULL, NULL},
	{E1000_TSPMT, E1000_TSPMT, BOTH, ALL, 0x01000400, NULL, NULL},
	{E1000_TARC0, E1000_TARC0, NEW, ALL, 0x00000403, NULL, NULL},
	{E1000_TDBAL + E1000_QUEUE_STRIDE, E1000_TDBAL + E1000_QUEUE_STRIDE, NEW, RING_BASE, 0,
	 NULL, NULL},
	{E1000_TDBAH + E1000_QUEUE_STRIDE, E1000_TDBAH + E1000_QUEUE_STRIDE, NEW, ALL, 0, NULL,
	 NULL},
	{E1000_TDLEN + E1000_QUEUE_STRIDE, E1000_TDLEN + E1000_QUEUE_STRIDE, NEW, RING_LENGTH, 0,
	 NULL, NULL},
	{E1000_TDH + E1000_QUEUE_STRIDE, E1000_TDH + E1000_QUEUE_STRIDE, NEW, 0xffff, 0, NULL,
	 NULL},
	{E1000_TDT + E1000_QUEUE_STRIDE, E1000_TDT + E1000_QUEUE_STRIDE, NEW, 0xffff, 0, NULL,
	 wrote_tdt},
	{E1000_TXDCTL + E1000_QUEUE_STRIDE, E1000_TXDCTL + E1000_QUEUE_STRIDE, NEW, ALL, 0, NULL,
	 NULL},
	{E1000_TARC0 + E1000_QUEUE_STRIDE, E1000_TARC0 + E1000_QUEUE_STRIDE, NEW, ALL, 0x00000403,
	 NULL, NULL},
	{E1000_STATISTICS, E1000_STATISTICS_LAST, BOTH, 0, 0, e1000_read_statistic, NULL},
	{E1000_RXCSUM, E1000_RXCSUM, BOTH, 0x3fff, 0, NULL, NULL},
	{E1000_RFCTL, E1000_RFCTL, NEW, ALL, 0, NULL, NULL},
	{E1000_MTA, E1000_MTA + 4 * (E1000_MTA_WORDS - 1), BOTH, ALL, 0, NULL, wrote_filter},
	{E1000_RAL0, E1000_RAL0 + 8 * E1000_ADDRESSES - 4, BOTH, ALL, 0, NULL, wrote_filter},
	{E1000_VFTA, E1000_VFTA + 4 * (E1000_VFTA_WORDS - 1), BOTH, ALL, 0, NULL, NULL},
	{E1000_WUC, E1000_WUC, BOTH, ALL, 0, NULL, NULL},
	{E1000_WUFC, E1000_WUFC, BOTH, ALL, 0, NULL, NULL},
	{E1000_WUS, E1000_WUS, BOTH, 0, 0, NULL, wrote_wus},
	{E1000_MRQC, E1000_MRQC, NEW, ALL, 0, NULL, NULL},
	{E1000_MANC, E1000_MANC, BOTH, ALL, 0, NULL, NULL},
	{E1000_IPAV, E1000_IP6AT_LAST, BOTH, ALL, 0, NULL, NULL},
	{E1000_GCR, E1000_GSCL_LAST, NEW, ALL, 0, NULL, NULL},
	/* The older card's manual has none; U-Boot takes it before it reads any card's EEPROM. */
	{E1000_SWSM, E1000_SWSM, BOTH, 0xf, 0, read_swsm, NULL},
	{E1000_FWSM, E1000_FWSM, NEW, 0, 0, NULL, NULL}, /* no firmware */
	{E1000_SW_FW_SYNC, E1000_GCR2, NEW, ALL, 0, NULL, NULL},
	{E1000_RETA, E1000_RSSRK_LAST, NEW, ALL, 0, NULL, NULL},
	{E1000_FFLT, E1000_FFLT + 0x18, BOTH, 0x7ff, 0, NULL, NULL},
};
/* clang-format on */

/* Where drivers of the 82542 look: the same registers at their first places. */
static const struct {
	uint16_t first;
	uint16_t last;
	uint16_t at;
} aliases[] = {
	{E1000_CTRL_DUP, E1000_CTRL_DUP, E1000_CTRL},
	{0x0040, 0x00bc, E1000_RAL0},
	{0x0108, 0x0108, E1000_RDTR},
	{0x0110, 0x0128, E1000_RDBAL},
	{0x0200, 0x03fc, E1000_MTA},
	{0x0420, 0x0440, E1000_TDBAL},
	{0x0600, 0x07fc, E1000_VFTA},
};

static unsigned without_alias(unsigned offset)
{
	for (size_t i = 0; i < ARRAY_SIZE(aliases); i++) {
		if (offset >= aliases[i].first && offset <= aliases[i].last) {
			return offset - aliases[i].first + aliases[i].at;
		}
	}
	return offset;
}

static bool has_row(const struct e1000 *e, const struct row *row)
{
	return row->models != NEW || e->kind == E1000_82574L;
}

/* NULL: the model has no such register. */
static const struct row *find_row(const struct e1000 *e, unsigned offset)
{
	size_t low = 0;
	size_t high = ARRAY_SIZE(rows);

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (rows[middle].last < offset) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	if (low == ARRAY_SIZE(rows) || offset < rows[low].first || !has_row(e, &rows[low])) {
		return NULL;
	}
	return &rows[low];
}

uint32_t e1000_read_register(struct e1000 *e, unsigned offset)
{
	unsigned reg = without_alias(offset);
	const struct row *row = find_row(e, reg);

	if (e1000_clock_has(e, offset)) {
		return e1000_clock_read(e, offset);
	}
	if (row == NULL) {
		pci_device_lacks(&e->pci, LACKS_READ, offset);
		return 0;
	}
	return row->read != NULL ? row->read(e, reg) : e1000_get(e, reg);
}

void e1000_write_register(struct e1000 *e, unsigned offset, uint32_t value)
{
	unsigned reg = without_alias(offset);
	const struct row *row = find_row(e, reg);
	uint32_t *stored;

	if (e1000_clock_has(e, offset)) {
		e1000_clock_write(e, offset, value);
		return;
	}
	if (row == NULL) {
		pci_device_lacks(&e->pci, LACKS_WRITE, offset);
		return;
	}
	stored = e1000_reg(e, reg);
	*stored = (*stored & ~row->writable) | (value & row->writable);
	if (row->written != NULL) {
		row->written(e, reg, value);
	}
}

/*
 * Bits that the model sets or takes itself are not in the table: of such a register only those that
 * mean something elsewhere are looked at.
 */
bool e1000_register_is_possible(const struct e1000 *e, unsigned reg, uint32_t value)
{
	const struct row *row = find_row(e, reg);

	if (row == NULL) {
		return value == 0;
	}
	switch (reg) {
	case E1000_IMS:
		return (value & ~IMS_WRITABLE) == 0;
	case E1000_SWSM:
		return (value & ~(row->writable | E1000_SWSM_SMBI)) == 0;
	default:
		return (row->writable == 0 && (row->written != NULL || row->read != NULL)) ||
		       (value & ~(row->writable | row->initial)) == 0;
	}
}

/* What the card loads from its EEPROM. */
static void load_address(struct e1000 *e)
{
	const uint16_t *w = e->state.rom.words;

	*e1000_reg(e, E1000_RAL0) = (uint32_t)w[0] | (uint32_t)w[1] << 16;
	*e1000_reg(e, E1000_RAH0) = w[2] | E1000_RAH_AV;
}

void e1000_reset_registers(struct e1000 *e)
{
	memset(e->state.reg, 0, sizeof(e->state.reg));
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (unsigned reg = rows[i].first; reg <= rows[i].last; reg += 4) {
			*e1000_reg(e, reg) = has_row(e, &rows[i]) ? rows[i].initial : 0;
		}
	}
	wrote_pba(e, E1000_PBA, e->kind == E1000_82574L ? 20 : 48);
	load_address(e);
	e1000_reset_clock(e);
	e1000_update_filter(e);
}
