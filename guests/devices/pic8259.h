/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two 8259A interrupt controllers of a PC, the second cascaded into input 2 of the first, with
 * the edge/level registers (ELCR) of later chipsets. Sources: Intel 8259A datasheet; Intel I/O
 * Controller Hub datasheets, "8259 Interrupt Controllers".
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/api/saved.h"
#include "hv/api/vdev.h"

/* One vdev, registered for each of these: two ports each. */
#define PIC_MASTER_PORT 0x20u
#define PIC_SLAVE_PORT 0xa0u
#define PIC_ELCR_PORT 0x4d0u
#define PIC_PORTS 2u

#define PIC_IRQS 16u
#define PIC_CASCADE_IRQ 2u

enum pic_init {
	PIC_READY,
	PIC_EXPECT_ICW2,
	PIC_EXPECT_ICW3,
	PIC_EXPECT_ICW4,
};

/* One 8259A. Bit n of a mask is input n. */
struct pic_chip {
	uint8_t lines; /* inputs as driven now: own or shared */
	uint8_t own;
	uint8_t shared;
	uint8_t irr;
	uint8_t imr;
	uint8_t isr;
	uint8_t elcr;	/* level-triggered inputs */
	uint8_t base;	/* vector of input 0 */
	uint8_t lowest; /* the input with the lowest priority; 7 unless rotated */
	enum pic_init init;
	bool single;	/* ICW1: no cascade, so no ICW3 */
	bool with_icw4; /* ICW1 */
	bool auto_eoi;
	bool rotate_on_auto_eoi;
	bool nested; /* special fully nested mode */
	bool special_mask;
	bool read_isr; /* OCW3: the command port reads ISR */
	bool poll;     /* OCW3: the next read polls */
};

struct pic8259 {
	struct vdev dev; /* its lock covers all below */
	struct irq_line intr;
	bool intr_level; /* as `intr` was told last */
	struct pic_chip chips[2];
	struct saved_device saved;
};

#define PIC_SAVED_VERSION 1u
struct pic_chip_saved {
	uint8_t own;
	uint8_t shared;
	uint8_t irr;
	uint8_t imr;
	uint8_t isr;
	uint8_t elcr;
	uint8_t base;
	uint8_t lowest;
	uint8_t init;
	uint8_t single;
	uint8_t with_icw4;
	uint8_t auto_eoi;
	uint8_t rotate_on_auto_eoi;
	uint8_t nested;
	uint8_t special_mask;
	uint8_t read_isr;
	uint8_t poll;
	uint8_t zero[7];
};
_Static_assert(sizeof(struct pic_chip_saved) == 24, "no padding");

/* INTR follows. */
struct pic8259_saved {
	struct pic_chip_saved chips[2];
};

/* `intr`: the INTR output, mostly to apic_bus_intr. */
void pic8259_init(struct pic8259 *pic, const struct irq_line *intr);
/* Drives input `irq` (0-15 but 2; others are ignored). */
void pic8259_set_irq(struct pic8259 *pic, unsigned irq, bool level);
/*
 * Drives all inputs a second time, a bit each: the PCI lines that are routed to them. An input is
 * up while either pulls it.
 */
void pic8259_set_shared(struct pic8259 *pic, uint16_t levels);
/*
 * The interrupt-acknowledge cycle: the highest-priority request goes into service; returns its
 * vector. With nothing to acknowledge it is input 7 of the chip that was asked, and not in service
 * (the spurious IRQ 7 and 15).
 */
uint8_t pic_ack(struct pic8259 *pic);
/* Whether `irq` is requested, not masked, and waits for its acknowledge cycle. */
bool pic8259_waiting(struct pic8259 *pic, unsigned irq);
