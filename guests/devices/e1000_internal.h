/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the e1000 model share. `lock` is held unless a line says otherwise. */
#pragma once

#include "guests/devices/e1000.h"

/*
 * What one turn of sending or receiving does: a descriptor costs 1, and 1 more for each BATCH_BYTES
 * of data.
 */
#define E1000_BATCH 64u
#define E1000_BATCH_BYTES 4096u

#define E1000_FRAME_MIN 60u /* a wire pads shorter ones, without the sum at the end */
#define E1000_ETHERTYPE_AT 12u

static inline uint32_t *e1000_reg(struct e1000 *e, unsigned reg)
{
	return &e->state.reg[reg / 4];
}

static inline uint32_t e1000_get(const struct e1000 *e, unsigned reg)
{
	return e->state.reg[reg / 4];
}

/* Descriptors of 16 bytes that the ring whose RDLEN or TDLEN is at `len_reg` has. */
static inline uint32_t e1000_ring_size(const struct e1000 *e, unsigned len_reg)
{
	return e1000_get(e, len_reg) / 16;
}

/* The address of the ring whose RDBAL or TDBAL is at `base_reg`. */
static inline uint64_t e1000_ring_base(const struct e1000 *e, unsigned base_reg)
{
	return e1000_get(e, base_reg) | (uint64_t)e1000_get(e, base_reg + 4) << 32;
}

static inline unsigned e1000_spend(unsigned left, uint32_t bytes)
{
	return (unsigned)(left - min_u64(left, 1 + bytes / E1000_BATCH_BYTES));
}

/* --- e1000.c --- */

/* Cause to look at rings and the link again, without or with `lock`. */
void e1000_ask(struct e1000 *e);
/* What the registers make of the link may have changed. */
void e1000_update_link(struct e1000 *e);
bool e1000_link_is_up(const struct e1000 *e);
/* Whether frames of the network are taken follows from the registers. */
void e1000_update_open(struct e1000 *e);
/* Whether what is sent comes back. */
bool e1000_loops(const struct e1000 *e);
/* CTRL.RST: all but the PHY as after power-on. */
void e1000_reset_mac(struct e1000 *e);

/* --- e1000_regs.c --- */

/* Dwords of BAR 0; `offset` is a multiple of 4. */
uint32_t e1000_read_register(struct e1000 *e, unsigned offset);
void e1000_write_register(struct e1000 *e, unsigned offset, uint32_t value);
/* Registers as after power-on, the address loaded from the EEPROM. */
void e1000_reset_registers(struct e1000 *e);
/* Whether the register at `reg`, in its own place, can have this value. No lock. */
bool e1000_register_is_possible(const struct e1000 *e, unsigned reg, uint32_t value);

/* --- e1000_clock.c --- */

/* Whether the card has a clock's register there. No lock. */
bool e1000_clock_has(const struct e1000 *e, unsigned offset);
/* The registers that e1000_clock_has. */
uint32_t e1000_clock_read(struct e1000 *e, unsigned offset);
void e1000_clock_write(struct e1000 *e, unsigned offset, uint32_t value);
void e1000_reset_clock(struct e1000 *e);
/* Whether software wants to know the moment of such a packet that is received. */
bool e1000_stamp_is_wanted(struct e1000 *e, const uint8_t *frame, uint32_t len);
/* Notes the moment of a packet, if there is room for one; received: whether there was. */
void e1000_stamp_sent(struct e1000 *e);
bool e1000_stamp_received(struct e1000 *e);

/* --- e1000_stats.c --- */

void e1000_count(struct e1000 *e, unsigned reg, uint32_t n);
void e1000_count_sent(struct e1000 *e, const uint8_t *frame, uint32_t len);
void e1000_count_received(struct e1000 *e, const uint8_t *frame, uint32_t len);
uint32_t e1000_read_statistic(struct e1000 *e, unsigned reg);

/* --- e1000_phy.c --- */

void e1000_reset_phy(struct e1000 *e);
/* Whether the PHY's register can have this value. No lock. */
bool e1000_phy_is_possible(const struct e1000 *e, unsigned reg, uint16_t value);
void e1000_write_mdic(struct e1000 *e, uint32_t value);

/* --- e1000_rom.c --- */

/* Words for this card and its address, with the right sum. */
void e1000_rom_init(struct e1000 *e);
uint32_t e1000_read_eecd(const struct e1000 *e);
void e1000_write_eecd(struct e1000 *e, uint32_t value);
void e1000_write_eerd(struct e1000 *e, uint32_t value);
/* Whether a command can have come so far. No lock. */
bool e1000_rom_is_possible(const struct e1000_rom_saved *in);

/* --- e1000_irq.c --- */

/* Sets causes in ICR and tells the driver, as soon as the throttle allows. */
void e1000_raise(struct e1000 *e, uint32_t causes);
/* Causes that a received or sent frame brings, put off as the delay registers say. */
void e1000_raise_received(struct e1000 *e);
void e1000_raise_sent(struct e1000 *e, unsigned queue, bool may_wait);
/* What decides about interrupts has changed. */
void e1000_update_interrupts(struct e1000 *e);
uint32_t e1000_read_icr(struct e1000 *e);
void e1000_write_icr(struct e1000 *e, uint32_t value);
/* Delayed causes of either direction come now. */
void e1000_flush_delays(struct e1000 *e);
void e1000_reset_interrupts(struct e1000 *e);

/* --- e1000_filter.c --- */

/* What the filter's registers say goes to the filter. Takes rx_lock. */
void e1000_update_filter(struct e1000 *e);
enum e1000_pass {
	E1000_PASS_NOT,
	E1000_PASS_EXACT,
	E1000_PASS_INEXACT, /* the driver has to look at the address itself */
};
/* rx_lock or `lock` held. */
enum e1000_pass e1000_filter(const struct e1000_filter *f, const struct net_mac *to);
/* Whether the frame's VLAN, if it has one, is wanted. */
bool e1000_vlan_passes(const struct e1000 *e, const uint8_t *frame, uint32_t len);

/* --- e1000_rx.c --- */

/* Frames that wait go to the guest, a batch of them. */
void e1000_receive(struct e1000 *e);
/* One that the card sends to itself. */
void e1000_receive_own(struct e1000 *e, const struct net_frame *f);
/* Lets go of all that waits. Takes rx_lock. */
void e1000_drop_received(struct e1000 *e);

/* --- e1000_tx.c --- */

/* A batch of a queue's descriptors. */
void e1000_transmit(struct e1000 *e, unsigned queue);
/* Packets that have begun are void. */
void e1000_reset_transmit(struct e1000 *e);

/* --- e1000_saved.c --- */

extern const struct saved_ops e1000_saved_ops[];

/* --- e1000_offload.c --- */

/*
 * Does with a whole packet what its descriptors ask for, or has the switch do it: VLAN tag,
 * checksums, segmentation. `here`: checksums may not be left to others. False: not in order.
 */
bool e1000_offload(const struct e1000_tx_queue *q, uint16_t ethertype, struct net_frame *f,
		   bool here);
