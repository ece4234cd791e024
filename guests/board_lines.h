/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interrupt lines of a board, from devices to both kinds of controllers:
 *
 *   ISA IRQ n --+--> 8259 input n --INTR--> LINT0 of the LAPICs (ExtINT)
 *               +--> IOAPIC pin n (IRQ 0: pin 2) --messages--> LAPICs
 *   PCI INTx -> line (pci_irq.h) --+--> IOAPIC pin 16 .. 23
 *                                  +--> 8259 input, where the LPC bridge routes it,
 *                                       and the IOAPIC pin of that number
 *   PCI MSI, MSI-X, HPET ---messages--> LAPICs, past all lines
 *
 * The HPET drives pins of the IOAPIC that PCI devices drive, too, and may take over the lines of
 * the 8254 and the RTC. Each of the functions that take a `ctx` takes the lines by it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "guests/devices/ioapic.h"
#include "guests/devices/pic8259.h"
#include "hv/api/saved.h"
#include "hv/base/lock.h"

/* Who drives an input of the IOAPIC that several may drive. */
enum board_line_source { BOARD_LINE_PCI, BOARD_LINE_HPET, BOARD_LINE_SOURCES };

struct board_lines {
	struct pic8259 *pic;
	struct ioapic *ioapic;
	struct spinlock lock;		   /* covers the rest, and both controllers' view of it */
	uint32_t gsis[BOARD_LINE_SOURCES]; /* asserted by each */
	uint32_t isa;			   /* what the 8254 and the RTC assert */
	bool replaced;			   /* the HPET has their lines */
	struct saved_device saved;
};

#define BOARD_LINES_SAVED_VERSION 1u
struct board_lines_saved {
	uint32_t gsis[BOARD_LINE_SOURCES];
	uint32_t isa;
	uint8_t replaced;
	uint8_t zero[3];
};
_Static_assert(sizeof(struct board_lines_saved) == 16, "no padding");

void board_lines_init(struct board_lines *l, struct pic8259 *pic, struct ioapic *ioapic);
/* An ISA interrupt of a device that has it alone. */
void board_lines_isa(void *ctx, unsigned irq, bool level);
/* That of the 8254 or the RTC: kept while the HPET has the line. */
void board_lines_replaceable(void *ctx, unsigned irq, bool level);
/* The HPET takes these two lines, or gives them back. */
void board_lines_replace(void *ctx, bool on);
/* An input of the IOAPIC, by PCI devices and by the HPET. */
void board_lines_pci(void *ctx, unsigned gsi, bool level);
void board_lines_hpet(void *ctx, unsigned gsi, bool level);
/*
 * What PCI devices assert at the 8259: a bit an input. The pins of the IOAPIC with these numbers
 * have it, too: SeaBIOS' MP table names those for PCI's interrupts, and no others.
 */
void board_lines_pci_inputs(void *ctx, uint16_t levels);
