/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding the machine's PCI functions, and access to their configuration space. Firmware and
 * devices are not trusted: buses are visited once, lists have an end, BARs must make sense.
 */
#include "drivers/pci.h"

#include "hv/base/fmt.h"
#include "hv/base/lock.h"
#include "hv/base/log.h"
#include "hv/base/pci_format.h"
#include "hv/base/str.h"
#include "hv/cpu/insn.h"
#include "mm/space.h"

#define CONFIG_ADDRESS 0xcf8u
#define CONFIG_DATA 0xcfcu
#define CONFIG_ENABLE BIT32(31)
#define BUSES 256u
#define DEVICES 32u
#define FUNCTIONS 8u
#define ALL_ONES UINT32_MAX
/* A place in the first 256 bytes for each capability. */
#define CAPABILITIES (PCI_CONFIG_BYTES / 4)

/* One segment's configuration space while it is searched. */
struct search {
	char *window; /* bus `first` begins here; NULL: through ports */
	uint16_t segment;
	uint8_t first;
	uint8_t last;
	bool seen[BUSES];
	/* Buses behind bridges, to be visited. */
	uint8_t waiting[BUSES];
	unsigned waiting_count;
};

static struct {
	struct host_pci functions[HOST_PCI_FUNCTIONS_MAX];
	unsigned count;
	bool full;
	struct spinlock ports; /* covers the pair of ports */
} pci;

/* --- access --- */

static void select_port(const struct host_pci *f, unsigned reg)
{
	cpu_out32(CONFIG_ADDRESS,
		  CONFIG_ENABLE | (uint32_t)f->bus << 16 | (uint32_t)f->devfn << 8 | (reg & ~3u));
}

static uint32_t port_read(const struct host_pci *f, unsigned reg, unsigned size)
{
	uint16_t port = (uint16_t)(CONFIG_DATA + reg % 4);
	uint32_t value;

	lock_acquire(&pci.ports);
	select_port(f, reg);
	value = size == 1 ? cpu_in8(port) : size == 2 ? cpu_in16(port) : cpu_in32(port);
	lock_release(&pci.ports);
	return value;
}

static void port_write(const struct host_pci *f, unsigned reg, unsigned size, uint32_t value)
{
	uint16_t port = (uint16_t)(CONFIG_DATA + reg % 4);

	lock_acquire(&pci.ports);
	select_port(f, reg);
	if (size == 1) {
		cpu_out8(port, (uint8_t)value);
	} else if (size == 2) {
		cpu_out16(port, (uint16_t)value);
	} else {
		cpu_out32(port, value);
	}
	lock_release(&pci.ports);
}

static bool in_order(const struct host_pci *f, unsigned reg, unsigned size)
{
	return (size == 1 || size == 2 || size == 4) && reg % size == 0 &&
	       reg < (f->ecam != NULL ? PCI_EXPRESS_BYTES : PCI_CONFIG_BYTES);
}

uint32_t host_pci_read(const struct host_pci *f, unsigned reg, unsigned size)
{
	hva_t at = hva(hva_of_ptr(f->ecam).v + reg);

	if (!in_order(f, reg, size)) {
		return (uint32_t)size_mask(size);
	}
	if (f->ecam == NULL) {
		return port_read(f, reg, size);
	}
	return size == 1   ? cpu_mmio_read8(at)
	       : size == 2 ? cpu_mmio_read16(at)
			   : cpu_mmio_read32(at);
}

void host_pci_write(const struct host_pci *f, unsigned reg, unsigned size, uint32_t value)
{
	hva_t at = hva(hva_of_ptr(f->ecam).v + reg);

	if (!in_order(f, reg, size)) {
		return;
	}
	if (f->ecam == NULL) {
		port_write(f, reg, size, value);
	} else if (size == 1) {
		cpu_mmio_write8(at, (uint8_t)value);
	} else if (size == 2) {
		cpu_mmio_write16(at, (uint16_t)value);
	} else {
		cpu_mmio_write32(at, value);
	}
}

/* A list that leads back into itself ends there. */
unsigned host_pci_capability(const struct host_pci *f, uint8_t id, unsigned after)
{
	bool seen[CAPABILITIES] = {false};
	bool behind = after == 0;
	unsigned at;

	if ((host_pci_read(f, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST) == 0) {
		return 0;
	}
	at = host_pci_read(f, PCI_CAPABILITIES, 1) & ~3u;
	while (at >= PCI_FIRST_FREE && !seen[at / 4]) {
		uint32_t header = host_pci_read(f, at, 2);

		if (behind && (header & 0xff) == id) {
			return at;
		}
		seen[at / 4] = true;
		behind = behind || at == after;
		at = header >> 8 & ~3u;
	}
	return 0;
}

/* --- what a function has --- */

static void take_bar(struct host_pci_bar *bar, uint64_t base, uint64_t mask)
{
	uint64_t size = mask & (~mask + 1);

	/* The writable bits are those above the size, all of them. */
	if (mask == 0 || !is_aligned(base, size)) {
		return;
	}
	bar->size = size;
	bar->base = base;
}

static uint32_t size_bits(const struct host_pci *f, unsigned reg, uint32_t value)
{
	uint32_t bits;

	host_pci_write(f, reg, 4, ALL_ONES);
	bits = host_pci_read(f, reg, 4);
	host_pci_write(f, reg, 4, value);
	return bits;
}

/* Returns how many of the six registers it takes. */
static unsigned read_bar(struct host_pci *f, unsigned index)
{
	unsigned reg = PCI_BAR0 + 4 * index;
	struct host_pci_bar *bar = &f->bars[index];
	uint32_t low = host_pci_read(f, reg, 4);
	uint32_t low_bits = size_bits(f, reg, low);
	bool wide = (low & PCI_BAR_TYPE) == PCI_BAR_64 && index + 1 < HOST_PCI_BARS;
	uint32_t high;

	bar->io = (low & PCI_BAR_IO) != 0;
	if (bar->io) {
		take_bar(bar, low & 0xffff & ~PCI_BAR_IO_FLAGS,
			 low_bits & 0xffff & ~PCI_BAR_IO_FLAGS);
		return 1;
	}
	bar->prefetch = (low & PCI_BAR_PREFETCH) != 0;
	low &= ~PCI_BAR_MEMORY_FLAGS;
	low_bits &= ~PCI_BAR_MEMORY_FLAGS;
	if (!wide) {
		take_bar(bar, low, low_bits);
		return 1;
	}
	high = host_pci_read(f, reg + 4, 4);
	take_bar(bar, (uint64_t)high << 32 | low,
		 (uint64_t)size_bits(f, reg + 4, high) << 32 | low_bits);
	return 2;
}

/* While a BAR is all-ones nothing may answer there. Bridges' own are left alone. */
static void read_bars(struct host_pci *f)
{
	uint32_t command = host_pci_read(f, PCI_COMMAND, 2);

	if (f->class_code >> 16 == PCI_BASE_CLASS_BRIDGE) {
		return;
	}
	host_pci_write(f, PCI_COMMAND, 2, command & ~(PCI_COMMAND_IO | PCI_COMMAND_MEMORY));
	for (unsigned i = 0; i < HOST_PCI_BARS;) {
		i += read_bar(f, i);
	}
	host_pci_write(f, PCI_COMMAND, 2, command);
}

static void read_facts(struct host_pci *f)
{
	uint32_t class_code = host_pci_read(f, PCI_REVISION, 4);

	f->vendor = (uint16_t)host_pci_read(f, PCI_VENDOR_ID, 2);
	f->device = (uint16_t)host_pci_read(f, PCI_DEVICE_ID, 2);
	f->class_code = class_code >> 8;
	f->revision = (uint8_t)class_code;
	f->subsystem_vendor = (uint16_t)host_pci_read(f, PCI_SUBSYSTEM_VENDOR, 2);
	f->subsystem = (uint16_t)host_pci_read(f, PCI_SUBSYSTEM, 2);
	f->irq_line = (uint8_t)host_pci_read(f, PCI_INTERRUPT_LINE, 1);
	f->irq_pin = (uint8_t)host_pci_read(f, PCI_INTERRUPT_PIN, 1);
	f->irq_pin = f->irq_pin <= 4 ? f->irq_pin : 0;
	read_bars(f);
}

/* --- search --- */

/* The function at this place, whether there is one or not. */
static struct host_pci place(const struct search *s, unsigned bus, unsigned devfn)
{
	uint64_t offset = (uint64_t)(bus - s->first) << 20 | (uint64_t)devfn << 12;

	return (struct host_pci){
		.segment = s->segment,
		.bus = (uint8_t)bus,
		.devfn = (uint8_t)devfn,
		.ecam = s->window != NULL ? s->window + offset : NULL,
	};
}

static void remember(const struct host_pci *probe)
{
	if (pci.count == HOST_PCI_FUNCTIONS_MAX) {
		pci.full = true;
		return;
	}
	pci.functions[pci.count] = *probe;
	read_facts(&pci.functions[pci.count]);
	pci.count++;
}

static void queue_bus(struct search *s, unsigned bus)
{
	if (bus >= s->first && bus <= s->last && !s->seen[bus]) {
		s->seen[bus] = true;
		s->waiting[s->waiting_count++] = (uint8_t)bus;
	}
}

/* False: nothing there. */
static bool search_function(struct search *s, unsigned bus, unsigned devfn, bool *more)
{
	struct host_pci probe = place(s, bus, devfn);
	uint32_t header;

	if (host_pci_read(&probe, PCI_VENDOR_ID, 2) == PCI_NO_VENDOR) {
		return false;
	}
	header = host_pci_read(&probe, PCI_HEADER_TYPE, 1);
	*more = (header & PCI_HEADER_MULTI) != 0;
	if ((header & PCI_HEADER_LAYOUT) == PCI_HEADER_BRIDGE) {
		queue_bus(s, host_pci_read(&probe, PCI_SECONDARY_BUS, 1));
	} else if ((header & PCI_HEADER_LAYOUT) == PCI_HEADER_NORMAL) {
		remember(&probe);
	}
	return true;
}

static void search_bus(struct search *s, unsigned bus)
{
	for (unsigned device = 0; device < DEVICES; device++) {
		bool more = false;
		bool ignored;

		if (!search_function(s, bus, device * FUNCTIONS, &more)) {
			continue;
		}
		for (unsigned i = 1; more && i < FUNCTIONS; i++) {
			(void)search_function(s, bus, device * FUNCTIONS + i, &ignored);
		}
	}
}

/* Buses that no bridge leads to belong to further host bridges. */
static void search_segment(struct search *s)
{
	for (unsigned root = s->first; root <= s->last; root++) {
		queue_bus(s, root);
		while (s->waiting_count > 0) {
			search_bus(s, s->waiting[--s->waiting_count]);
		}
	}
}

/* Whether the window shows what the ports do: of firmware's word there are other readings. */
static bool window_works(const struct search *s)
{
	struct search ports = {.first = 0, .last = s->last};
	struct host_pci by_window = place(s, s->first, 0);
	struct host_pci by_ports = place(&ports, s->first, 0);

	return s->segment != 0 || host_pci_read(&by_window, PCI_VENDOR_ID, 4) ==
					  host_pci_read(&by_ports, PCI_VENDOR_ID, 4);
}

/* Whether the segment could be searched. */
static bool search_ecam(const struct acpi_ecam *e)
{
	static struct search s;
	uint64_t size = (uint64_t)(e->bus_last - e->bus_first + 1) << 20;

	if (e->bus_last < e->bus_first) {
		return false;
	}
	s = (struct search){.segment = e->segment, .first = e->bus_first, .last = e->bus_last};
	s.window = space_map_device(hpa(e->base + ((uint64_t)e->bus_first << 20)), size, PT_UC);
	if (s.window == NULL || !window_works(&s)) {
		log_warn("PCI: segment %u: configuration space at 0x%lx cannot be used", e->segment,
			 e->base);
		return false;
	}
	search_segment(&s);
	return true;
}

static void search_ports(void)
{
	static struct search s;

	s = (struct search){.first = 0, .last = BUSES - 1};
	search_segment(&s);
}

unsigned host_pci_scan(const struct acpi_info *acpi)
{
	unsigned ecams = acpi != NULL ? acpi->ecam_count : 0;
	bool first_segment = false;

	pci.count = 0;
	pci.full = false;
	for (unsigned i = 0; i < ecams; i++) {
		bool searched = search_ecam(&acpi->ecams[i]);

		first_segment |= searched && acpi->ecams[i].segment == 0;
	}
	if (!first_segment) {
		search_ports();
	}
	if (pci.full) {
		log_warn("PCI: only the first %u functions are used", HOST_PCI_FUNCTIONS_MAX);
	}
	log_info("PCI: %u functions, through %s", pci.count, first_segment ? "ECAM" : "ports");
	return pci.count;
}

unsigned host_pci_count(void)
{
	return pci.count;
}

struct host_pci *host_pci_at(unsigned index)
{
	return index < pci.count ? &pci.functions[index] : NULL;
}

void host_pci_name(const struct host_pci *f, char *buf)
{
	char place_name[HOST_PCI_NAME_MAX];

	fmt_snprintf(place_name, sizeof(place_name), "%02x:%02x.%u", f->bus,
		     (unsigned)f->devfn / FUNCTIONS, (unsigned)f->devfn % FUNCTIONS);
	if (f->segment == 0) {
		fmt_snprintf(buf, HOST_PCI_NAME_MAX, "%s", place_name);
	} else {
		fmt_snprintf(buf, HOST_PCI_NAME_MAX, "%04x:%s", f->segment, place_name);
	}
}

/* --- use --- */

void host_pci_enable(const struct host_pci *f)
{
	uint32_t command = host_pci_read(f, PCI_COMMAND, 2);

	host_pci_write(f, PCI_COMMAND, 2,
		       command | PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
			       PCI_COMMAND_INTX_OFF);
}

void host_pci_disable(const struct host_pci *f)
{
	uint32_t command = host_pci_read(f, PCI_COMMAND, 2);

	host_pci_write(f, PCI_COMMAND, 2, (command & ~PCI_COMMAND_MASTER) | PCI_COMMAND_INTX_OFF);
}

void *host_pci_map(const struct host_pci *f, unsigned index, uint64_t min_size)
{
	const struct host_pci_bar *bar = &f->bars[index];

	if (index >= HOST_PCI_BARS || bar->io || bar->base == 0 || bar->size < min_size ||
	    min_size > HOST_PCI_MAP_MAX) {
		return NULL;
	}
	return space_map_device(hpa(bar->base), min_u64(bar->size, HOST_PCI_MAP_MAX), PT_UC);
}
