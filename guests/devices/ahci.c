/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The AHCI controller as a PCI function: generic host control, the index-data pair, the interrupt.
 * Sources: Serial ATA AHCI 1.3.1, "PCI Header", "Generic Host Control", "Interrupts"; data sheet of
 * the ICH9, "SATA Controller Registers (D31:F2)".
 */
#include "guests/devices/ahci.h"

#include "guests/devices/ahci_internal.h"
#include "hv/api/gmem.h"
#include "hv/base/str.h"

#define VENDOR_INTEL 0x8086u
#define DEVICE_ICH9_AHCI 0x2922u
#define REVISION 2u
#define SUBSYSTEM_VENDOR 0x1af4u
#define SUBSYSTEM_MACHINE 0x1100u

#define ABAR 5u
#define ABAR_BYTES 0x800u
#define INDEX_BAR 4u
#define INDEX_BAR_BYTES 32u
#define INDEX_REGISTER 0x10u
#define DATA_REGISTER 0x14u

/* "Serial ATA Capability": version 1.0, index and data at dword 4 of BAR 4. */
#define CAP_SATA 0x12u
#define CAP_SATA_BYTES 8u
#define CAP_SATA_REVISION 2u
#define CAP_SATA_PLACE 4u
#define SATA_REVISION 0x10u
#define SATA_BAR4 0x8u
#define SATA_OFFSET_SHIFT 4u

/* The mapping register says AHCI; "Port Control and Status": enabled, present. */
#define CONFIG_MAP 0x90u
#define MAP_AHCI 0x40u
#define CONFIG_PCS 0x92u
#define PCS_ENABLED 0x3fu
#define PCS_PRESENT_SHIFT 8u

static struct ahci_hba *to_hba(struct pci_device *d)
{
	return container_of(d, struct ahci_hba, pci);
}

/* ---- memory ---- */

bool ahci_read(const struct ahci_unit *u, uint64_t addr, void *dst, size_t n)
{
	return pci_device_is_master(&u->hba->pci) &&
	       guest_mem_read(u->hba->vm, gpa(addr), dst, n) == HV_OK;
}

bool ahci_write(const struct ahci_unit *u, uint64_t addr, const void *src, size_t n)
{
	return pci_device_is_master(&u->hba->pci) &&
	       guest_mem_write(u->hba->vm, gpa(addr), src, n) == HV_OK;
}

/* ---- the interrupt ---- */

/*
 * By line, or a message for each time that IS gets a bit, or keeps one when others are cleared
 * ("Interrupt Control Flow"): the line's dip makes the message. Lock held.
 */
static void update_interrupt(struct ahci_hba *h, bool again)
{
	bool level = h->is != 0 && (h->ghc & AHCI_GHC_IE) != 0;

	if (again) {
		pci_device_intx(&h->pci, false);
	}
	pci_device_intx(&h->pci, level);
}

void ahci_pend(struct ahci_hba *h, unsigned index, bool pending)
{
	uint32_t bit = BIT32(index);

	lock_acquire(&h->lock);
	h->pending = pending ? h->pending | bit : h->pending & ~bit;
	if (pending && (h->is & bit) == 0) {
		h->is |= bit;
		update_interrupt(h, true);
	}
	lock_release(&h->lock);
}

/* ---- generic host control ---- */

static uint32_t capabilities(const struct ahci_hba *h)
{
	return (uint32_t)bits_set(0, AHCI_CAP_NP, h->unit_count - 1) |
	       (uint32_t)bits_set(0, AHCI_CAP_NCS, AHCI_SLOTS_MAX - 1) |
	       (uint32_t)bits_set(0, AHCI_CAP_ISS, AHCI_SPEED_GEN2) | AHCI_CAP_SAM | AHCI_CAP_SCLO |
	       AHCI_CAP_SNCQ | AHCI_CAP_S64A;
}

static uint32_t ports(const struct ahci_hba *h)
{
	return BIT32(h->unit_count) - 1;
}

static uint32_t read_host(struct ahci_hba *h, unsigned reg)
{
	uint32_t value = 0;

	lock_acquire(&h->lock);
	switch (reg) {
	case AHCI_CAP:
		value = capabilities(h);
		break;
	case AHCI_GHC:
		value = h->ghc | AHCI_GHC_AE;
		break;
	case AHCI_IS:
		value = h->is;
		break;
	case AHCI_PI:
		value = ports(h);
		break;
	case AHCI_VS:
		/* That of an ICH9. Drivers of its time take none that they do not know. */
		value = AHCI_VS_1_2;
		break;
	case AHCI_CAP2: /* nothing of what it tells of */
		break;
	default:
		pci_device_lacks(&h->pci, LACKS_READ, reg);
		break;
	}
	lock_release(&h->lock);
	return value;
}

static void reset_host(struct ahci_hba *h, bool power_on)
{
	for (unsigned i = 0; i < h->unit_count; i++) {
		ahci_unit_reset(h->units[i], power_on);
	}
	lock_acquire(&h->lock);
	h->ghc = 0;
	h->is = h->pending;
	h->index = 0;
	update_interrupt(h, false);
	lock_release(&h->lock);
}

static void clear_events(struct ahci_hba *h, uint32_t ones)
{
	uint32_t before = h->is;

	h->is = (h->is & ~ones) | h->pending;
	update_interrupt(h, (before & ones) != 0);
}

/* Those that are read-only take any write. */
static bool is_host_register(unsigned reg)
{
	return reg <= AHCI_VS || reg == AHCI_CAP2;
}

static void write_host(struct ahci_hba *h, unsigned reg, uint32_t value, uint32_t mask)
{
	uint32_t ones = value & mask;

	if (!is_host_register(reg)) {
		pci_device_lacks(&h->pci, LACKS_WRITE, reg);
		return;
	}

	if (reg == AHCI_GHC && (ones & AHCI_GHC_HR) != 0) {
		reset_host(h, false);
		return;
	}
	lock_acquire(&h->lock);
	if (reg == AHCI_GHC && (mask & AHCI_GHC_IE) != 0) {
		h->ghc = value & AHCI_GHC_IE;
		update_interrupt(h, false);
	} else if (reg == AHCI_IS) {
		clear_events(h, ones);
	}
	lock_release(&h->lock);
}

/* ---- accesses: a dword at a time ---- */

static uint32_t read_memory(struct ahci_hba *h, unsigned offset)
{
	unsigned unit = (offset - AHCI_PORTS) / AHCI_PORT_SIZE;

	if (offset < AHCI_PORTS) {
		return read_host(h, offset);
	}
	if (unit >= h->unit_count) {
		pci_device_lacks(&h->pci, LACKS_READ, offset);
		return 0;
	}
	return ahci_unit_read(h->units[unit], offset % AHCI_PORT_SIZE);
}

static void write_memory(struct ahci_hba *h, unsigned offset, uint32_t value, uint32_t mask)
{
	unsigned unit = (offset - AHCI_PORTS) / AHCI_PORT_SIZE;

	if (offset < AHCI_PORTS) {
		write_host(h, offset, value, mask);
	} else if (unit < h->unit_count) {
		ahci_unit_write(h->units[unit], offset % AHCI_PORT_SIZE, value, mask);
	} else {
		pci_device_lacks(&h->pci, LACKS_WRITE, offset);
	}
}

static uint32_t read_index(struct ahci_hba *h)
{
	uint32_t index;

	lock_acquire(&h->lock);
	index = h->index;
	lock_release(&h->lock);
	return index;
}

static uint32_t read_dword(struct ahci_hba *h, unsigned bar, unsigned offset)
{
	if (bar == ABAR) {
		return read_memory(h, offset);
	}
	switch (offset) {
	case INDEX_REGISTER:
		return read_index(h);
	case DATA_REGISTER:
		return read_memory(h, read_index(h));
	default:
		return 0;
	}
}

static void write_dword(struct ahci_hba *h, unsigned bar, unsigned offset, uint32_t value,
			uint32_t mask)
{
	if (bar == ABAR) {
		write_memory(h, offset, value, mask);
	} else if (offset == INDEX_REGISTER) {
		lock_acquire(&h->lock);
		h->index = ((h->index & ~mask) | (value & mask)) & AHCI_INDEX_WRITABLE;
		lock_release(&h->lock);
	} else if (offset == DATA_REGISTER) {
		write_memory(h, read_index(h), value, mask);
	}
}

/* Where the bytes of an access at `offset` lie in the dword at `dword`: bits up, or down. */
static int shift_of(uint64_t offset, uint64_t dword)
{
	return ((int)dword - (int)offset) * 8;
}

static uint64_t bar_read(struct pci_device *d, unsigned bar, uint64_t offset, unsigned size)
{
	uint64_t value = 0;

	for (uint64_t at = align_down(offset, 4); at < offset + size; at += 4) {
		uint64_t dword = read_dword(to_hba(d), bar, (unsigned)at);
		int shift = shift_of(offset, at);

		value |= shift >= 0 ? dword << shift : dword >> -shift;
	}
	return value & size_mask(size);
}

static void bar_write(struct pci_device *d, unsigned bar, uint64_t offset, unsigned size,
		      uint64_t value)
{
	uint64_t all = size_mask(size);

	for (uint64_t at = align_down(offset, 4); at < offset + size; at += 4) {
		int shift = shift_of(offset, at);
		uint64_t dword = shift >= 0 ? value >> shift : value << -shift;
		uint64_t mask = shift >= 0 ? all >> shift : all << -shift;

		write_dword(to_hba(d), bar, (unsigned)at, (uint32_t)dword, (uint32_t)mask);
	}
}

static void reset(struct pci_device *d)
{
	reset_host(to_hba(d), true);
}

/* What waited for the function to be master goes on. */
static void master_changed(struct pci_device *d, bool master)
{
	struct ahci_hba *h = to_hba(d);

	for (unsigned i = 0; master && i < h->unit_count; i++) {
		vwork_ask(&h->units[i]->work, i % h->vcpu_count);
	}
}

static const struct pci_device_ops ahci_ops = {
	.name = "AHCI",
	.bar_read = bar_read,
	.bar_write = bar_write,
	.reset = reset,
	.master_changed = master_changed,
};

/* ---- set-up ---- */

static enum hv_status add_registers(struct ahci_hba *h)
{
	struct pci_function *f = &h->pci.function;
	uint32_t present = ports(h);
	unsigned at;
	enum hv_status status = pci_function_add_bar(f, INDEX_BAR, PCI_BAR_IO, INDEX_BAR_BYTES);

	if (status == HV_OK) {
		status = pci_function_add_bar(f, ABAR, 0, ABAR_BYTES);
	}
	if (status == HV_OK) {
		status = pci_function_add_capability(f, CAP_SATA, CAP_SATA_BYTES, &at);
	}
	if (status != HV_OK) {
		return status;
	}
	pci_function_define(f, at + CAP_SATA_REVISION, 2, SATA_REVISION, 0);
	pci_function_define(f, at + CAP_SATA_PLACE, 4,
			    SATA_BAR4 | INDEX_REGISTER / 4 << SATA_OFFSET_SHIFT, 0);
	pci_function_define(f, CONFIG_MAP, 1, MAP_AHCI, 0);
	pci_function_define(f, CONFIG_PCS, 2, present | present << PCS_PRESENT_SHIFT, PCS_ENABLED);
	return HV_OK;
}

static enum hv_status add_function(struct ahci_hba *h, const struct ahci_config *cfg)
{
	struct pci_device_config pci = cfg->place;
	enum hv_status status;

	pci.ops = &ahci_ops;
	pci.identity = (struct pci_identity){
		.vendor = VENDOR_INTEL,
		.device = DEVICE_ICH9_AHCI,
		.class_code = AHCI_CLASS,
		.revision = REVISION,
		.subsystem_vendor = SUBSYSTEM_VENDOR,
		.subsystem = SUBSYSTEM_MACHINE,
	};
	pci.msi = true;
	pci.intx = true;
	status = pci_device_init(&h->pci, &pci);
	if (status == HV_OK) {
		status = add_registers(h);
	}
	return status == HV_OK ? pci_device_add(&h->pci) : status;
}

enum hv_status ahci_init(struct ahci_hba *h, const struct ahci_config *cfg)
{
	enum hv_status status = HV_OK;

	memset(h, 0, sizeof(*h));
	h->vm = cfg->vm;
	h->vcpu_count = cfg->vcpu_count;
	saved_device_init(&h->saved, &ahci_saved_ops, h);
	for (unsigned i = 0; status == HV_OK && i < cfg->unit_count; i++) {
		status = ahci_unit_init(h, i, cfg);
		h->unit_count = i + 1;
	}
	return status == HV_OK ? add_function(h, cfg) : status;
}

bool ahci_is_idle(const struct ahci_hba *h)
{
	for (unsigned i = 0; i < h->unit_count; i++) {
		if (!blk_pieces_are_idle(&h->units[i]->pieces)) {
			return false;
		}
	}
	return true;
}
