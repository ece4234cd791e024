/* SPDX-License-Identifier: Apache-2.0 */
/* How a PCI function interrupts: MSI-X, MSI, its line, or not at all. */
#include "drivers/irq.h"
#include "drivers/pci.h"
#include "hv/base/log.h"
#include "hv/base/pci_format.h"
#include "hv/cpu/insn.h"

/* Where the local APICs take messages: Intel SDM volume 3, "Message Signalled Interrupts". */
#define MSI_ADDRESS_BASE 0xfee00000u
#define MSI_ADDRESS_ID_SHIFT 12u

#define NO_IRQ_LINE 0xffu
#define ISA_LINES 16u

/* Address and data that interrupt one CPU with one vector. */
struct message {
	uint32_t address;
	uint32_t data;
};

/* False: no CPU that a message can name, or no vector. */
static bool make_message(unsigned index, const struct host_irq_handler *h, struct message *out)
{
	struct host_irq_handler own = {h->fn, h->ctx, index};
	uint32_t id;

	if (!host_irq_target(index, &id)) {
		return false;
	}
	out->address = MSI_ADDRESS_BASE | id << MSI_ADDRESS_ID_SHIFT;
	out->data = host_irq_alloc(&own);
	return out->data != 0;
}

static void write_entry(char *entry, const struct message *m)
{
	cpu_mmio_write32(hva_of_ptr(entry), m->address);
	cpu_mmio_write32(hva_of_ptr(entry + 4), 0);
	cpu_mmio_write32(hva_of_ptr(entry + 8), m->data);
	cpu_mmio_write32(hva_of_ptr(entry + 12), 0);
}

static char *map_table(const struct host_pci *f, unsigned cap, unsigned entries)
{
	uint32_t where = host_pci_read(f, cap + PCI_MSIX_TABLE, 4);
	uint64_t offset = where & ~PCI_MSIX_BIR;
	char *bar = host_pci_map(f, where & PCI_MSIX_BIR, offset + entries * PCI_MSIX_ENTRY);

	return bar != NULL ? bar + offset : NULL;
}

/* How many messages, up to `wanted`, were set up. */
static unsigned use_msix(const struct host_pci *f, unsigned wanted,
			 const struct host_irq_handler *h)
{
	unsigned cap = host_pci_capability(f, PCI_CAP_MSIX, 0);
	uint32_t control = host_pci_read(f, cap + PCI_MSIX_CONTROL, 2);
	unsigned entries = (unsigned)bits_get(control, PCI_MSIX_SIZE) + 1;
	char *table = cap != 0 ? map_table(f, cap, entries) : NULL;
	struct message m;
	unsigned got = 0;

	if (table == NULL) {
		return 0;
	}
	/* The table may be written only while the function is on; nothing comes meanwhile. */
	host_pci_write(f, cap + PCI_MSIX_CONTROL, 2, control | PCI_MSIX_ENABLE | PCI_MSIX_MASK);
	for (unsigned i = 0; i < entries; i++) {
		cpu_mmio_write32(hva_of_ptr(table + i * PCI_MSIX_ENTRY + 12),
				 PCI_MSIX_ENTRY_MASKED);
	}
	while (got < wanted && got < entries && make_message(got, h, &m)) {
		write_entry(table + got * PCI_MSIX_ENTRY, &m);
		got++;
	}
	control &= ~(PCI_MSIX_ENABLE | PCI_MSIX_MASK);
	host_pci_write(f, cap + PCI_MSIX_CONTROL, 2, control | (got != 0 ? PCI_MSIX_ENABLE : 0));
	return got;
}

static unsigned use_msi(const struct host_pci *f, const struct host_irq_handler *h)
{
	unsigned cap = host_pci_capability(f, PCI_CAP_MSI, 0);
	uint32_t control = host_pci_read(f, cap + PCI_MSI_CONTROL, 2);
	struct message m;

	if (cap == 0 || !make_message(0, h, &m)) {
		return 0;
	}
	control = (uint32_t)bits_set(control, PCI_MSI_MULTIPLE, 0);
	host_pci_write(f, cap + PCI_MSI_CONTROL, 2, control & ~PCI_MSI_ENABLE);
	host_pci_write(f, cap + PCI_MSI_ADDRESS, 4, m.address);
	if ((control & PCI_MSI_64) != 0) {
		host_pci_write(f, cap + PCI_MSI_ADDRESS_HIGH, 4, 0);
		host_pci_write(f, cap + PCI_MSI_DATA_64, 2, m.data);
	} else {
		host_pci_write(f, cap + PCI_MSI_DATA_32, 2, m.data);
	}
	host_pci_write(f, cap + PCI_MSI_CONTROL, 2, control | PCI_MSI_ENABLE);
	return 1;
}

static bool has_line(const struct host_pci *f)
{
	return f->irq_pin != 0 && f->irq_line != 0 && f->irq_line != NO_IRQ_LINE &&
	       f->irq_line < ISA_LINES;
}

static void clear_control(const struct host_pci *f, uint8_t id, unsigned reg, uint32_t bits)
{
	unsigned cap = host_pci_capability(f, id, 0);

	if (cap != 0) {
		host_pci_write(f, cap + reg, 2, host_pci_read(f, cap + reg, 2) & ~bits);
	}
}

/* Firmware may have left messages on, which would go nowhere. */
static void messages_off(const struct host_pci *f)
{
	clear_control(f, PCI_CAP_MSIX, PCI_MSIX_CONTROL, PCI_MSIX_ENABLE);
	clear_control(f, PCI_CAP_MSI, PCI_MSI_CONTROL, PCI_MSI_ENABLE);
}

static enum hv_status use_line(const struct host_pci *f, const struct host_irq_handler *h)
{
	uint32_t command = host_pci_read(f, PCI_COMMAND, 2);

	if (!has_line(f)) {
		return host_irq_poll(h);
	}
	host_pci_write(f, PCI_COMMAND, 2, command & ~PCI_COMMAND_INTX_OFF);
	return host_irq_line(f->irq_line, h);
}

enum hv_status host_pci_interrupts(struct host_pci *f, unsigned *count,
				   void (*fn)(void *ctx, unsigned index), void *ctx)
{
	const struct host_irq_handler h = {fn, ctx, 0};
	char name[HOST_PCI_NAME_MAX];
	const char *kind = "MSI-X";
	unsigned got;
	enum hv_status status = HV_OK;

	host_pci_name(f, name);
	messages_off(f);
	got = use_msix(f, *count, &h);
	if (got == 0) {
		kind = "MSI";
		got = use_msi(f, &h);
	}
	if (got == 0) {
		kind = has_line(f) ? "its line" : "polling";
		status = use_line(f, &h);
		got = 1;
	}
	if (status == HV_OK) {
		log_info("%s %s: interrupts by %s, %u of %u", f->owner != NULL ? f->owner : "PCI",
			 name, kind, got, *count);
	} else {
		log_warn("%s %s: no interrupts: %s", f->owner != NULL ? f->owner : "PCI", name,
			 hv_status_name(status));
	}
	*count = got;
	return status;
}

bool host_pci_uses_msix(const struct host_pci *f)
{
	unsigned cap = host_pci_capability(f, PCI_CAP_MSIX, 0);

	return cap != 0 && (host_pci_read(f, cap + PCI_MSIX_CONTROL, 2) & PCI_MSIX_ENABLE) != 0;
}
