/* SPDX-License-Identifier: Apache-2.0 */
/* Sharing and routing of PCI interrupt pins. */
#include "guests/devices/pci_irq.h"

#include "guests/layout.h"
#include "hv/base/bits.h"

/* Inputs that a line can be routed to; the timer, the keyboard, the cascade, the RTC and the FPU
 * are nobody else's. */
#define ROUTABLE 0xdef8u

void pci_irq_init(struct pci_irq *p, const struct pci_irq_config *cfg)
{
	*p = (struct pci_irq){.cfg = *cfg};
	for (unsigned i = 0; i < PCI_IRQ_LINES; i++) {
		p->route[i] = PCI_IRQ_ROUTE_OFF;
	}
}

static uint16_t input_of(const struct pci_irq *p, unsigned line)
{
	uint8_t route = p->route[line];

	if ((route & PCI_IRQ_ROUTE_OFF) != 0) {
		return 0;
	}
	return (uint16_t)(BIT32(route & PCI_IRQ_ROUTE_INPUT) & ROUTABLE);
}

static uint16_t isa_levels(const struct pci_irq *p)
{
	uint16_t levels = 0;

	for (unsigned i = 0; i < PCI_IRQ_LINES; i++) {
		if (p->pulled[i] != 0) {
			levels |= input_of(p, i);
		}
	}
	return levels;
}

static void update_isa(struct pci_irq *p)
{
	uint16_t levels = isa_levels(p);

	if (levels != p->isa) {
		p->isa = levels;
		if (p->cfg.isa != NULL) {
			p->cfg.isa(p->cfg.ctx, levels);
		}
	}
}

void pci_irq_set(struct pci_irq *p, unsigned device, unsigned pin, bool level)
{
	unsigned gsi = layout_pci_gsi(device, pin);
	uint32_t *pulled = &p->pulled[gsi - LAYOUT_GSI_PCI_FIRST];
	bool was = *pulled != 0;

	*pulled = level ? *pulled | BIT32(device) : *pulled & ~BIT32(device);
	if (was == (*pulled != 0)) {
		return;
	}
	if (p->cfg.gsi != NULL) {
		p->cfg.gsi(p->cfg.ctx, gsi, !was);
	}
	update_isa(p);
}

void pci_irq_route(struct pci_irq *p, unsigned line, uint8_t route)
{
	p->route[line] = route;
	update_isa(p);
}

void pci_irq_load(struct pci_irq *p, const uint32_t *pulled, const uint8_t *route)
{
	for (unsigned i = 0; i < PCI_IRQ_LINES; i++) {
		p->pulled[i] = pulled[i];
		p->route[i] = route[i];
	}
	p->isa = isa_levels(p);
}
