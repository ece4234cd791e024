/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interrupt pins of PCI functions. Eight lines, PIRQA to PIRQH, are shared: a line is up while any
 * of its functions pulls it.
 *
 *	pin P of device D --> line (D + P) mod 8, --+--> GSI 16 .. 23
 *	                      P from device 25 on   +--> input of the 8259s and of the IOAPIC, where
 *	                                                 the LPC bridge's routing registers name one
 *
 * Source: data sheet of the ICH9, "PIRQ[n]_ROUT". As there, a line that goes to an input of the
 * 8259s reaches the IOAPIC as well.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define PCI_IRQ_LINES 8u
/* PIRQ[n]_ROUT. */
#define PCI_IRQ_ROUTE_OFF 0x80u
#define PCI_IRQ_ROUTE_INPUT 0x0fu

struct pci_irq_config {
	void (*gsi)(void *ctx, unsigned gsi, bool level);
	/* Levels of ISA inputs as far as PCI pulls them, a bit each. */
	void (*isa)(void *ctx, uint16_t levels);
	void *ctx;
};

/* Covered by its owner's lock; the callbacks are made with it held. */
struct pci_irq {
	struct pci_irq_config cfg;
	uint32_t pulled[PCI_IRQ_LINES]; /* a bit per device */
	uint8_t route[PCI_IRQ_LINES];
	uint16_t isa; /* as told last */
};

/* All low, none routed. Callbacks may be NULL. */
void pci_irq_init(struct pci_irq *p, const struct pci_irq_config *cfg);
/* Pin 0 .. 3 (INTA .. INTD) of device 0 .. 31. */
void pci_irq_set(struct pci_irq *p, unsigned device, unsigned pin, bool level);
/* Line 0 .. 7 is routed as its register says. */
void pci_irq_route(struct pci_irq *p, unsigned line, uint8_t route);
/* As if all lines had been pulled and routed so; nobody is told. */
void pci_irq_load(struct pci_irq *p, const uint32_t *pulled, const uint8_t *route);
