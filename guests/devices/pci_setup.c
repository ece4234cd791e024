/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses and interrupt inputs for PCI functions, given as a guest's firmware would. */
#include "guests/devices/pci_setup.h"

#include "guests/layout.h"
#include "hv/base/bits.h"

#define BAR_SIZE_MIN 4u
#define LPC_PIRQ_A 0x60u
#define LPC_PIRQ_E 0x68u
#define LPC_PIRQ_COUNT 4u

/* Where the next BAR goes; of sizes that only fall, so that each is aligned by itself. */
struct pool {
	uint64_t next;
	uint64_t end;
};

static void config_write(struct pci_host *h, unsigned devfn, unsigned reg, unsigned size,
			 uint32_t value)
{
	uint64_t offset = (uint64_t)devfn * PCI_EXPRESS_BYTES + reg;
	struct vdev_access a = {.space = BUS_MMIO,
				.addr = h->cfg.ecam_base + offset,
				.offset = offset,
				.size = size};

	h->dev.ops->write(&h->dev, &a, value);
}

/* False: no room. */
static bool take(struct pool *p, uint64_t size, uint64_t *address)
{
	if (size > p->end - p->next) {
		return false;
	}
	*address = p->next;
	p->next += size;
	return true;
}

static void place(struct pci_host *h, unsigned devfn, unsigned bar, struct pool *p)
{
	const struct pci_bar *b = &h->functions[devfn]->bars[bar];
	uint64_t address;

	if (take(p, b->size, &address)) {
		config_write(h, devfn, PCI_BAR0 + bar * 4, 4, (uint32_t)address);
	}
}

/* All BARs of one size. */
static void place_size(struct pci_host *h, uint64_t size, struct pool *memory, struct pool *ports)
{
	for (unsigned i = 0; i < PCI_HOST_FUNCTIONS * PCI_BARS; i++) {
		const struct pci_function *f = h->functions[i / PCI_BARS];
		unsigned bar = i % PCI_BARS;

		if (f != NULL && f->bars[bar].size == size) {
			place(h, i / PCI_BARS, bar,
			      (f->bars[bar].flags & PCI_BAR_IO) != 0 ? ports : memory);
		}
	}
}

static void place_all(struct pci_host *h)
{
	struct pool memory = {LAYOUT_PCI_MMIO_BASE, LAYOUT_PCI_MMIO_BASE + LAYOUT_PCI_MMIO_SIZE};
	struct pool ports = {LAYOUT_PCI_IO_FIRMWARE, LAYOUT_PCI_IO_END};

	for (uint64_t size = LAYOUT_PCI_MMIO_SIZE; size >= BAR_SIZE_MIN; size /= 2) {
		place_size(h, size, &memory, &ports);
	}
}

/* Whether each BAR has an address; none can be 0. */
static bool is_placed(const struct pci_function *f)
{
	for (unsigned i = 0; i < PCI_BARS; i++) {
		uint64_t reg = pci_function_read(f, PCI_BAR0 + i * 4, 4);

		if (f->bars[i].size != 0 && reg == f->bars[i].flags) {
			return false;
		}
	}
	return true;
}

/* What the function has to decode: BARs, and ports without one. */
static uint32_t decoders(const struct pci_function *f)
{
	return f->plane[PCI_WRITABLE][PCI_COMMAND] & (PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
}

static uint8_t input_of(unsigned line)
{
	return (line & 2) == 0 ? LAYOUT_IRQ_PCI_A : LAYOUT_IRQ_PCI_C;
}

static void route_lines(struct pci_host *h)
{
	for (unsigned i = 0; i < LPC_PIRQ_COUNT; i++) {
		config_write(h, LAYOUT_DEVFN_ISA_BRIDGE, LPC_PIRQ_A + i, 1, input_of(i));
		config_write(h, LAYOUT_DEVFN_ISA_BRIDGE, LPC_PIRQ_E + i, 1,
			     input_of(LPC_PIRQ_COUNT + i));
	}
}

/* The line register tells a driver without tables which input its function is at. */
static bool set_line_register(struct pci_host *h, unsigned devfn)
{
	unsigned pin = (unsigned)pci_function_read(h->functions[devfn], PCI_INTERRUPT_PIN, 1);

	if (pin == 0) {
		return false;
	}
	config_write(h, devfn, PCI_INTERRUPT_LINE, 1,
		     input_of(layout_pci_gsi(devfn / 8, pin - 1) - LAYOUT_GSI_PCI_FIRST));
	return true;
}

uint16_t pci_setup(struct pci_host *h, bool decode)
{
	bool any_pin = false;

	place_all(h);
	for (unsigned i = 0; i < PCI_HOST_FUNCTIONS; i++) {
		const struct pci_function *f = h->functions[i];

		if (f == NULL) {
			continue;
		}
		any_pin |= set_line_register(h, i);
		if (decode && decoders(f) != 0 && is_placed(f)) {
			config_write(h, i, PCI_COMMAND, 2, decoders(f));
		}
	}
	if (!any_pin) {
		return 0;
	}
	route_lines(h);
	return BIT32(LAYOUT_IRQ_PCI_A) | BIT32(LAYOUT_IRQ_PCI_C);
}
