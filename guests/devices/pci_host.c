/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration mechanisms and the two bridges. Sources: PCI Local Bus Specification,
 * "Configuration Mechanism #1"; PCI Express Base Specification, "Enhanced Configuration Access
 * Mechanism"; data sheets of the 3 Series (82G33) and of the ICH9 for the bridges' registers.
 *
 * What this machine fixes is read-only in the bridges: ECAM's place, RAM below 1 MiB, the PM base.
 * Of these only the last is under firmware, which has one wish of all.
 */
#include "guests/devices/pci_host.h"

#include "guests/layout.h"
#include "hv/base/bits.h"
#include "hv/base/check.h"
#include "hv/base/str.h"

#define ADDRESS_ENABLE BIT32(31)
#define ADDRESS_BUS 0x00ff0000u
#define ADDRESS_DEVFN 0x0000ff00u
#define ADDRESS_REGISTER 0x000000fcu
#define ADDRESS_WRITABLE (ADDRESS_ENABLE | ADDRESS_BUS | ADDRESS_DEVFN | ADDRESS_REGISTER)

#define VENDOR_INTEL 0x8086u
#define DEVICE_82G33_HOST 0x29c0u
#define DEVICE_ICH9_LPC 0x2918u
#define SUBSYSTEM_VENDOR 0x1af4u /* as virtual machines with a q35 have it */
#define SUBSYSTEM_MACHINE 0x1100u

/* Host bridge. */
#define MCH_PCIEXBAR 0x60u
#define PCIEXBAR_ENABLE 0x1u
#define PCIEXBAR_64M 0x4u
#define PCIEXBAR_LENGTH MASK(2, 1)
#define PCIEXBAR_LENGTH_RESERVED 3u
#define PCIEXBAR_LOW_WRITABLE 0xfc000007u
#define PCIEXBAR_HIGH_WRITABLE 0x7fu
#define ECAM_256M 0x10000000ull
#define MCH_PAM0 0x90u
#define MCH_PAM1 0x91u
#define MCH_PAM_COUNT 7u
#define PAM_HIGH_RAM 0x30u /* reads and writes of the upper half go to RAM */
#define PAM_BOTH_RAM 0x33u
#define MCH_SMRAM 0x9du
#define SMRAM_LOCKED 0x12u /* D_LCK, and the base segment that is hardwired */
#define MCH_TOLUD 0xb0u

/* LPC bridge. */
#define LPC_PMBASE 0x40u
#define LPC_ACPI_CNTL 0x44u
#define ACPI_CNTL_ENABLE 0x80u /* and SCI on IRQ 9 */
#define LPC_GPIOBASE 0x48u
#define LPC_PIRQ_A 0x60u
#define LPC_SERIRQ 0x64u
#define LPC_PIRQ_E 0x68u
#define LPC_PIRQ_COUNT 4u
#define PIRQ_WRITABLE (PCI_IRQ_ROUTE_OFF | PCI_IRQ_ROUTE_INPUT)
#define LPC_RCBA 0xf0u
#define RCBA_WRITABLE 0xffffc001u
#define LPC_ENABLES 0x82u
#define LPC_ENABLE_COM1 0x0001u
#define LPC_ENABLE_KBC 0x0400u
#define BASE_IS_IO 0x1u

#define PCI_PINS 4u

static_assert(LAYOUT_IRQ_SCI == 9, "SCI_IRQ_SEL of ACPI_CNTL says so");

static struct pci_host *to_host(struct vdev *dev)
{
	return container_of(dev, struct pci_host, dev);
}

/* ---- configuration space by address ---- */

static struct pci_function *function_at(const struct pci_host *h, uint64_t devfn)
{
	return devfn < PCI_HOST_FUNCTIONS ? h->functions[devfn] : NULL;
}

/* Lock held. */
static uint64_t config_read(const struct pci_host *h, uint64_t devfn, unsigned reg, unsigned size)
{
	const struct pci_function *f = function_at(h, devfn);

	return f == NULL ? ~0ull : pci_function_read(f, reg, size);
}

/* The function whose registers changed, or NULL. Lock held. */
static struct pci_function *config_write(struct pci_host *h, uint64_t devfn, unsigned reg,
					 unsigned size, uint64_t value)
{
	struct pci_function *f = function_at(h, devfn);

	if (f == NULL || !pci_function_write(f, reg, size, value)) {
		return NULL;
	}
	/* Any register may be the one that a device takes its BARs off the bus for. */
	h->bars_version++;
	return f;
}

/* Whether port accesses reach bus 0; others find no bus. */
static bool port_selects(const struct pci_host *h)
{
	return (h->address & (ADDRESS_ENABLE | ADDRESS_BUS)) == ADDRESS_ENABLE;
}

/* Only a whole dword at 0xcf8 is the address register; narrower ones pass to the ISA bus. */
static bool is_address(const struct vdev_access *a)
{
	return a->addr == LAYOUT_PCI_CONFIG_ADDRESS && a->size == 4;
}

static bool is_reset_port(const struct pci_host *h, const struct vdev_access *a)
{
	return a->space == BUS_PIO && a->addr == LAYOUT_RESET_PORT && a->size == 1 &&
	       h->cfg.reset_port != NULL;
}

/* The access as the reset register's own device sees it. */
static struct vdev_access at_reset_port(const struct vdev_access *a)
{
	struct vdev_access there = *a;

	there.offset = 0;
	return there;
}

/* Where in configuration space an access is; `devfn` is beyond all functions for another bus. */
struct place {
	uint64_t devfn;
	unsigned reg;
	unsigned size;
};

/* False: the access is not one to configuration space. Lock held. */
static bool find_place(const struct pci_host *h, const struct vdev_access *a, struct place *p)
{
	p->size = a->size;
	if (a->space != BUS_PIO) {
		p->devfn = a->offset / PCI_EXPRESS_BYTES;
		p->reg = (unsigned)(a->offset % PCI_EXPRESS_BYTES);
		return true;
	}
	if (a->addr < LAYOUT_PCI_CONFIG_DATA || !port_selects(h)) {
		return false;
	}
	p->devfn = bits_get(h->address, ADDRESS_DEVFN);
	p->reg = (h->address & ADDRESS_REGISTER) + (unsigned)(a->addr - LAYOUT_PCI_CONFIG_DATA);
	return true;
}

/* The function whose window the access touches; NULL: none. */
static struct pci_function *window_at(const struct pci_host *h, const struct place *p)
{
	struct pci_function *f = function_at(h, p->devfn);

	return f != NULL && f->window != 0 &&
			       ranges_overlap(p->reg, p->size, f->window, PCI_WINDOW_BYTES)
		       ? f
		       : NULL;
}

/* Lock held; given up in between for a window. */
static uint64_t read_place(struct pci_host *h, const struct place *p)
{
	struct pci_function *window = window_at(h, p);

	if (window != NULL) {
		lock_release(&h->dev.lock);
		window->ops->window(window, false);
		lock_acquire(&h->dev.lock);
	}
	return config_read(h, p->devfn, p->reg, p->size);
}

static uint64_t host_read(struct vdev *dev, const struct vdev_access *a)
{
	struct pci_host *h = to_host(dev);
	uint64_t value = ~0ull;
	struct place p;

	if (is_reset_port(h, a)) {
		struct vdev_access there = at_reset_port(a);

		return h->cfg.reset_port->ops->read(h->cfg.reset_port, &there);
	}
	lock_acquire(&dev->lock);
	if (a->space == BUS_PIO && is_address(a)) {
		value = h->address;
	} else if (find_place(h, a, &p)) {
		value = read_place(h, &p);
	}
	lock_release(&dev->lock);
	return value;
}

/* What a write left to do without the lock. */
static void after_write(struct pci_function *f)
{
	if (f->ops != NULL && f->ops->settle != NULL) {
		f->ops->settle(f);
	}
}

static void host_write(struct vdev *dev, const struct vdev_access *a, uint64_t value)
{
	struct pci_host *h = to_host(dev);
	struct pci_function *window = NULL;
	struct pci_function *changed = NULL;
	struct place p;

	if (is_reset_port(h, a)) {
		struct vdev_access there = at_reset_port(a);

		h->cfg.reset_port->ops->write(h->cfg.reset_port, &there, value);
		return;
	}
	lock_acquire(&dev->lock);
	if (a->space == BUS_PIO && is_address(a)) {
		h->address = (uint32_t)value & ADDRESS_WRITABLE;
	} else if (find_place(h, a, &p)) {
		changed = config_write(h, p.devfn, p.reg, p.size, value);
		window = window_at(h, &p);
	}
	lock_release(&dev->lock);
	if (changed != NULL) {
		after_write(changed);
	}
	if (window != NULL) {
		window->ops->window(window, true);
	}
}

/* The rest of a function's reset, without the lock. */
static void after_reset(struct pci_function *f)
{
	if (f->ops != NULL && f->ops->reset != NULL) {
		f->ops->reset(f);
	}
}

static void host_reset(struct vdev *dev)
{
	struct pci_host *h = to_host(dev);

	lock_acquire(&dev->lock);
	h->address = 0;
	h->bars_version++;
	for (unsigned i = 0; i < PCI_HOST_FUNCTIONS; i++) {
		if (h->functions[i] != NULL) {
			pci_function_reset(h->functions[i]);
		}
	}
	lock_release(&dev->lock);
	for (unsigned i = 0; i < PCI_HOST_FUNCTIONS; i++) {
		if (h->functions[i] != NULL) {
			after_reset(h->functions[i]);
		}
	}
}

void pci_host_reset_function(struct pci_host *h, struct pci_function *f)
{
	lock_acquire(&h->dev.lock);
	h->bars_version++;
	pci_function_reset(f);
	lock_release(&h->dev.lock);
}

static const struct vdev_ops host_ops = {
	.name = "PCI",
	.read = host_read,
	.write = host_write,
	.reset = host_reset,
};

/* ---- functions ---- */

/* Function 0 tells whether to look for others. */
static void mark_multi_function(struct pci_host *h, unsigned first_devfn)
{
	struct pci_function *first = h->functions[first_devfn];
	bool others = false;

	for (unsigned i = 1; i < 8; i++) {
		others |= h->functions[first_devfn + i] != NULL;
	}
	if (first != NULL && others) {
		uint32_t type = (uint32_t)pci_function_read(first, PCI_HEADER_TYPE, 1);

		pci_function_define(first, PCI_HEADER_TYPE, 1, type | PCI_HEADER_MULTI, 0);
	}
}

enum hv_status pci_host_add(struct pci_host *h, unsigned devfn, struct pci_function *f)
{
	if (devfn >= PCI_HOST_FUNCTIONS) {
		return HV_E_RANGE;
	}
	if (h->functions[devfn] != NULL) {
		return HV_E_EXISTS;
	}
	lock_acquire(&h->dev.lock);
	h->functions[devfn] = f;
	h->bars_version++;
	mark_multi_function(h, devfn & ~7u);
	lock_release(&h->dev.lock);
	return HV_OK;
}

static void set_intx(void *ctx, unsigned line, bool level)
{
	struct pci_host *h = ctx;

	pci_irq_set(&h->irq, line / PCI_PINS, line % PCI_PINS, level);
}

struct irq_line pci_host_intx(struct pci_host *h, unsigned devfn, unsigned pin)
{
	return (struct irq_line){set_intx, h, devfn / 8 * PCI_PINS + pin};
}

/* ---- ECAM ---- */

bool pci_host_ecam(const struct pci_host *h, uint64_t address, uint64_t *offset)
{
	*offset = address - h->ecam_base;
	return *offset < h->ecam_size;
}

uint64_t pci_host_ecam_base(struct pci_host *h)
{
	uint64_t base;

	lock_acquire(&h->dev.lock);
	base = h->ecam_size != 0 ? h->ecam_base : 0;
	lock_release(&h->dev.lock);
	return base;
}

/* ECAM goes where PCIEXBAR says. Of the length's four values the last is reserved: off, as 0. */
static void place_ecam(struct pci_host *h)
{
	uint64_t bar = pci_function_read(&h->bridge, MCH_PCIEXBAR, 8);
	uint64_t length = bits_get(bar, PCIEXBAR_LENGTH);

	h->ecam_size = 0;
	if ((bar & PCIEXBAR_ENABLE) != 0 && length != PCIEXBAR_LENGTH_RESERVED) {
		h->ecam_size = ECAM_256M >> length;
		h->ecam_base = align_down(bar, h->ecam_size);
	}
}

static void bridge_written(struct pci_function *bridge, unsigned reg, unsigned size)
{
	if (ranges_overlap(reg, size, MCH_PCIEXBAR, 8)) {
		place_ecam(container_of(bridge, struct pci_host, bridge));
	}
}

static void bridge_reset(struct pci_function *bridge)
{
	struct pci_host *h = container_of(bridge, struct pci_host, bridge);

	lock_acquire(&h->dev.lock);
	place_ecam(h);
	lock_release(&h->dev.lock);
}

/* ---- the bridges ---- */

/*
 * What is fixed without firmware. The PAM registers only remember what is written: all of it is RAM
 * always. They begin as if it were not, so that firmware copies itself there whole.
 */
static void define_memory_map(struct pci_host *h)
{
	struct pci_function *f = &h->bridge;
	bool firmware = h->cfg.firmware;
	uint64_t ecam = firmware ? 0 : h->cfg.ecam_base | PCIEXBAR_64M | PCIEXBAR_ENABLE;
	uint64_t ram_end = firmware ? LAYOUT_FIRMWARE_MMIO_BASE : LAYOUT_MMIO_BASE;

	pci_function_define(f, MCH_PCIEXBAR, 4, (uint32_t)ecam,
			    firmware ? PCIEXBAR_LOW_WRITABLE : 0);
	pci_function_define(f, MCH_PCIEXBAR + 4, 4, (uint32_t)(ecam >> 32),
			    firmware ? PCIEXBAR_HIGH_WRITABLE : 0);
	/* 0xc0000 .. 0xfffff are RAM; PAM0 has an upper half only, 0xf0000. */
	pci_function_define(f, MCH_PAM0, 1, firmware ? 0 : PAM_HIGH_RAM,
			    firmware ? PAM_HIGH_RAM : 0);
	for (unsigned i = 1; i < MCH_PAM_COUNT; i++) {
		pci_function_define(f, MCH_PAM0 + i, 1, firmware ? 0 : PAM_BOTH_RAM,
				    firmware ? PAM_BOTH_RAM : 0);
	}
	pci_function_define(f, MCH_SMRAM, 1, SMRAM_LOCKED, 0);
	/* Bits 31:20 of where PCI memory begins, in bits 15:4. */
	pci_function_define(f, MCH_TOLUD, 2, (uint32_t)(ram_end >> 16), 0);
	place_ecam(h);
}

static void init_bridge(struct pci_host *h)
{
	static const struct pci_identity id = {.vendor = VENDOR_INTEL,
					       .device = DEVICE_82G33_HOST,
					       .class_code = 0x060000,
					       .revision = 2,
					       .subsystem_vendor = SUBSYSTEM_VENDOR,
					       .subsystem = SUBSYSTEM_MACHINE};
	static const struct pci_function_ops ops = {.written = bridge_written,
						    .reset = bridge_reset};
	struct pci_function *f = &h->bridge;

	pci_function_init(f, &id, &ops, NULL);
	/* Hardwired: the bridge always decodes memory and passes on masters. */
	pci_function_define(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 0);
	define_memory_map(h);
}

static uint8_t pirq_route(const struct pci_function *lpc, unsigned line)
{
	unsigned first = line < LPC_PIRQ_COUNT ? LPC_PIRQ_A : LPC_PIRQ_E;

	return (uint8_t)pci_function_read(lpc, first + line % LPC_PIRQ_COUNT, 1);
}

static void lpc_written(struct pci_function *lpc, unsigned reg, unsigned size)
{
	struct pci_host *h = container_of(lpc, struct pci_host, lpc);

	(void)reg;
	(void)size;
	for (unsigned i = 0; i < PCI_IRQ_LINES; i++) {
		pci_irq_route(&h->irq, i, pirq_route(lpc, i));
	}
}

static void lpc_reset(struct pci_function *lpc)
{
	struct pci_host *h = container_of(lpc, struct pci_host, lpc);

	lock_acquire(&h->dev.lock);
	lpc_written(lpc, 0, 0);
	lock_release(&h->dev.lock);
}

static void init_lpc(struct pci_host *h)
{
	static const struct pci_identity id = {.vendor = VENDOR_INTEL,
					       .device = DEVICE_ICH9_LPC,
					       .class_code = 0x060100,
					       .revision = 2,
					       .subsystem_vendor = SUBSYSTEM_VENDOR,
					       .subsystem = SUBSYSTEM_MACHINE};
	static const struct pci_function_ops ops = {.written = lpc_written, .reset = lpc_reset};
	struct pci_function *f = &h->lpc;

	pci_function_init(f, &id, &ops, NULL);
	pci_function_define(f, PCI_COMMAND, 2,
			    PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 0);
	pci_function_define(f, LPC_PMBASE, 4, LAYOUT_PM_BASE | BASE_IS_IO, 0);
	pci_function_define(f, LPC_ACPI_CNTL, 1, ACPI_CNTL_ENABLE, 0);
	pci_function_define(f, LPC_GPIOBASE, 4, BASE_IS_IO, 0);
	for (unsigned i = 0; i < LPC_PIRQ_COUNT; i++) {
		pci_function_define(f, LPC_PIRQ_A + i, 1, PCI_IRQ_ROUTE_OFF, PIRQ_WRITABLE);
		pci_function_define(f, LPC_PIRQ_E + i, 1, PCI_IRQ_ROUTE_OFF, PIRQ_WRITABLE);
	}
	pci_function_define(f, LPC_SERIRQ, 1, 0x10, 0);
	/* The block that it places is not there. */
	pci_function_define(f, LPC_RCBA, 4, 0, h->cfg.firmware ? RCBA_WRITABLE : 0);
	pci_function_define(f, LPC_ENABLES, 2, LPC_ENABLE_COM1 | LPC_ENABLE_KBC, 0);
}

/* ---- saved state: of the host and its bridges; other functions save themselves ---- */

static void save(void *dev, void *out)
{
	struct pci_host *h = dev;
	struct pci_host_saved *saved = out;

	lock_acquire(&h->dev.lock);
	saved->address = h->address;
	memcpy(saved->pulled, h->irq.pulled, sizeof(saved->pulled));
	pci_function_save(&h->bridge, &saved->bridge);
	pci_function_save(&h->lpc, &saved->lpc);
	lock_release(&h->dev.lock);
}

static const char *check(void *dev, const void *in)
{
	const struct pci_host *h = dev;
	const struct pci_host_saved *saved = in;
	const char *wrong = pci_function_check(&h->bridge, &saved->bridge);

	if (wrong == NULL) {
		wrong = pci_function_check(&h->lpc, &saved->lpc);
	}
	if (wrong == NULL && ((saved->address & ~ADDRESS_WRITABLE) != 0 || saved->zero != 0)) {
		wrong = "port 0xcf8 has no such bits";
	}
	return wrong;
}

/* The interrupt controllers know the lines' levels from their own records. */
static void load(void *dev, const void *in)
{
	struct pci_host *h = dev;
	const struct pci_host_saved *saved = in;
	uint8_t route[PCI_IRQ_LINES];

	lock_acquire(&h->dev.lock);
	h->address = saved->address;
	h->bars_version++;
	pci_function_load(&h->bridge, &saved->bridge, false);
	pci_function_load(&h->lpc, &saved->lpc, false);
	place_ecam(h);
	for (unsigned i = 0; i < PCI_IRQ_LINES; i++) {
		route[i] = pirq_route(&h->lpc, i);
	}
	pci_irq_load(&h->irq, saved->pulled, route);
	lock_release(&h->dev.lock);
}

/* The bridges alone: all other functions have records of their own. */
static void reset_saved(void *dev)
{
	struct pci_host *h = dev;

	lock_acquire(&h->dev.lock);
	h->address = 0;
	h->bars_version++;
	pci_function_reset(&h->bridge);
	pci_function_reset(&h->lpc);
	lock_release(&h->dev.lock);
	bridge_reset(&h->bridge);
	lpc_reset(&h->lpc);
}

static const struct saved_ops saved_ops = {
	.name = "PCI host",
	.kind = SAVED_KIND('P', 'C', 'I', 'H'),
	.version = PCI_HOST_SAVED_VERSION,
	.bytes = sizeof(struct pci_host_saved),
	.save = save,
	.check = check,
	.load = load,
	.reset = reset_saved,
};

void pci_host_init(struct pci_host *h, const struct pci_host_config *cfg)
{
	*h = (struct pci_host){.dev.ops = &host_ops, .cfg = *cfg};
	saved_device_init(&h->saved, &saved_ops, h);
	pci_irq_init(&h->irq, &cfg->irq);
	init_bridge(h);
	init_lpc(h);
	h->functions[LAYOUT_DEVFN_HOST_BRIDGE] = &h->bridge;
	h->functions[LAYOUT_DEVFN_ISA_BRIDGE] = &h->lpc;
}
