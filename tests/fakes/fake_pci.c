/* SPDX-License-Identifier: Apache-2.0 */
/* A PC with PCI functions, for tests of device drivers. */
#include "tests/fakes/fake_pci.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/apic.h"
#include "drivers/ioapic.h"
#include "drivers/irq.h"
#include "hv/api/clock.h"
#include "hv/base/bits.h"
#include "hv/base/log.h"
#include "hv/cpu/features.h"
#include "hv/cpu/msr.h"
#include "hv/cpu/percpu.h"
#include "hv/cpu/trap.h"
#include "mm/pool.h"
#include "mm/space.h"
#include "tests/fakes/access.h"
#include "tests/fakes/fake_cpu.h"

#define FUNCTIONS_MAX 320u
#define IOAPIC 0xfec00000ull
#define CAPS_FIRST 0x40u

struct fake_pci_machine fake_pci_machine;

static struct fake_pci *functions[FUNCTIONS_MAX];
static unsigned function_count;
static uint32_t port_address;

static _Noreturn void fail(const char *what, uint64_t detail)
{
	fprintf(stderr, "fake PCI: %s 0x%llx\n", what, (unsigned long long)detail);
	abort();
}

void fake_pci_put(struct fake_pci *f, unsigned reg, unsigned size, uint32_t value)
{
	memcpy(&f->config[reg], &value, size);
}

uint32_t fake_pci_get(const struct fake_pci *f, unsigned reg, unsigned size)
{
	uint32_t value = 0;

	memcpy(&value, &f->config[reg], size);
	return value;
}

/* --- configuration space --- */

static bool is_upper_half(const struct fake_pci *f, unsigned bar)
{
	return bar > 0 && (fake_pci_get(f, 0x10 + 4 * (bar - 1), 4) & 7) == 4;
}

static bool decodes(const struct fake_pci *f)
{
	return (fake_pci_get(f, 4, 2) & 2) != 0;
}

static void write_bar(struct fake_pci *f, unsigned bar, uint32_t value)
{
	uint64_t size = is_upper_half(f, bar) ? f->bar_size[bar - 1] : f->bar_size[bar];
	uint32_t old = fake_pci_get(f, 0x10 + 4 * bar, 4);
	uint32_t flags = is_upper_half(f, bar) ? 0 : old & ((old & 1) != 0 ? 3 : 15);
	uint32_t mask = (uint32_t)(is_upper_half(f, bar) ? ~(size - 1) >> 32 : ~(size - 1));

	f->live_sizings += decodes(f) && value == UINT32_MAX;
	fake_pci_put(f, 0x10 + 4 * bar, 4, size == 0 ? 0 : (value & mask) | flags);
}

/* The bits of a byte that software can change. */
static uint8_t writable(const struct fake_pci *f, unsigned reg)
{
	/* Message control: enable and count; enable and mask. */
	static const uint8_t msi[14] = {0,    0,    0x71, 0,	0xff, 0xff, 0xff,
					0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	static const uint8_t msix[4] = {0, 0, 0, 0xc0};
	unsigned list = f->config[0x34];

	if ((reg >= 4 && reg < 6) || reg == 0x3c) {
		return 0xff;
	}
	for (unsigned i = 0; i < 48 && list >= CAPS_FIRST; i++) {
		unsigned place = reg - list;

		if (f->config[list] == 5 && reg >= list && place < sizeof(msi)) {
			return msi[place];
		}
		if (f->config[list] == 0x11 && reg >= list && place < sizeof(msix)) {
			return msix[place];
		}
		list = f->config[list + 1];
	}
	return 0;
}

static void config_write(struct fake_pci *f, unsigned reg, unsigned size, uint32_t value)
{
	if (reg >= 0x10 && reg < 0x28 && size == 4 && (f->config[0xe] & 0x7f) == 0) {
		write_bar(f, (reg - 0x10) / 4, value);
		return;
	}
	for (unsigned i = 0; i < size; i++) {
		uint8_t mask = writable(f, reg + i);
		uint8_t byte = (uint8_t)(value >> (8 * i));

		f->config[reg + i] = (uint8_t)((f->config[reg + i] & ~mask) | (byte & mask));
	}
}

static struct fake_pci *at_place(unsigned bus, unsigned devfn)
{
	for (unsigned i = 0; i < function_count; i++) {
		if (functions[i]->bus == bus && functions[i]->devfn == devfn &&
		    !functions[i]->gone) {
			return functions[i];
		}
	}
	return NULL;
}

static uint32_t port_in(void *ctx, uint16_t port, unsigned size)
{
	struct fake_pci *f = at_place(port_address >> 16 & 0xff, port_address >> 8 & 0xff);

	(void)ctx;
	if (f == NULL || port_address >> 31 == 0) {
		return UINT32_MAX;
	}
	return fake_pci_get(f, (port_address & 0xfc) | (port & 3u), size);
}

static void port_out(void *ctx, uint16_t port, unsigned size, uint32_t value)
{
	struct fake_pci *f;

	(void)ctx;
	if (port == 0xcf8) {
		port_address = value;
		return;
	}
	f = at_place(port_address >> 16 & 0xff, port_address >> 8 & 0xff);
	if (f != NULL && port_address >> 31 != 0) {
		config_write(f, (port_address & 0xfc) | (port & 3u), size, value);
	}
}

/* --- device memory --- */

static uint64_t bar_base(const struct fake_pci *f, unsigned bar)
{
	uint64_t base = fake_pci_get(f, 0x10 + 4 * bar, 4) & ~15u;

	if (bar < 5 && is_upper_half(f, bar + 1)) {
		base |= (uint64_t)fake_pci_get(f, 0x14 + 4 * bar, 4) << 32;
	}
	return base;
}

static struct fake_pci *at_memory(uint64_t pa, unsigned *bar, uint64_t *offset)
{
	for (unsigned i = 0; i < function_count; i++) {
		struct fake_pci *f = functions[i];

		for (*bar = 0; *bar < 6 && decodes(f) && !f->gone; (*bar)++) {
			*offset = pa - bar_base(f, *bar);
			if (!is_upper_half(f, *bar) && f->bar_size[*bar] != 0 &&
			    *offset < f->bar_size[*bar]) {
				return f;
			}
		}
	}
	return NULL;
}

static uint32_t *msix_word(struct fake_pci *f, unsigned bar, uint64_t offset)
{
	uint64_t place = offset - f->msix_offset;

	if (f->msix_count == 0 || bar != f->msix_bar || offset < f->msix_offset ||
	    place >= f->msix_count * 16ull) {
		return NULL;
	}
	return &f->msix[place / 16][place % 16 / 4];
}

static uint64_t physical(hva_t addr)
{
	struct fake_translation t;

	if (!fake_translate(addr, &t)) {
		fail("access to an address that is not mapped:", addr.v);
	}
	return t.pa.v;
}

static bool is_ecam(uint64_t pa)
{
	return pa >= FAKE_PCI_ECAM && pa < FAKE_PCI_ECAM + (FAKE_PCI_BUSES << 20);
}

static uint32_t mmio_in(hva_t addr, unsigned size)
{
	uint64_t pa = physical(addr);
	uint64_t offset;
	unsigned bar;
	struct fake_pci *f;

	if (pa == IOAPIC + 0x10) {
		uint32_t index = fake_pci_machine.ioapic_index;

		return index == 1      ? (FAKE_PCI_LINES - 1) << 16 | 0x20
		       : index >= 0x10 ? fake_pci_machine.redirection[(index - 0x10) % 48]
				       : 0;
	}
	if (is_ecam(pa)) {
		f = at_place((unsigned)(pa >> 20 & 0xff), (unsigned)(pa >> 12 & 0xff));
		return f != NULL ? fake_pci_get(f, pa & 0xfff, size) : UINT32_MAX;
	}
	f = at_memory(pa, &bar, &offset);
	if (f == NULL) {
		return UINT32_MAX;
	}
	if (msix_word(f, bar, offset) != NULL) {
		return *msix_word(f, bar, offset);
	}
	return f->read != NULL ? f->read(f->ctx, bar, offset, size) : 0;
}

static void mmio_out(hva_t addr, unsigned size, uint32_t value)
{
	uint64_t pa = physical(addr);
	uint64_t offset;
	unsigned bar;
	struct fake_pci *f;

	if (pa == IOAPIC) {
		fake_pci_machine.ioapic_index = value;
	} else if (pa == IOAPIC + 0x10 && fake_pci_machine.ioapic_index >= 0x10) {
		fake_pci_machine.redirection[(fake_pci_machine.ioapic_index - 0x10) % 48] = value;
	} else if (is_ecam(pa)) {
		f = at_place((unsigned)(pa >> 20 & 0xff), (unsigned)(pa >> 12 & 0xff));
		if (f != NULL) {
			config_write(f, pa & 0xfff, size, value);
		}
	} else if ((f = at_memory(pa, &bar, &offset)) != NULL) {
		if (msix_word(f, bar, offset) != NULL) {
			*msix_word(f, bar, offset) = value;
		} else if (f->write != NULL) {
			f->write(f->ctx, bar, offset, size, value);
		}
	}
}

/* --- the machine --- */

static bool read_msr(uint32_t index, uint64_t *value, bool *handled)
{
	*handled = index >= MSR_X2APIC_FIRST && index <= MSR_X2APIC_LAST;
	*value = 0;
	return true;
}

static bool write_msr(uint32_t index, uint64_t value, bool *handled)
{
	(void)value;
	*handled = (index >= MSR_X2APIC_FIRST && index <= MSR_X2APIC_LAST) ||
		   index == MSR_IA32_TSC_DEADLINE;
	fake_pci_machine.eois += index == MSR_X2APIC_FIRST + 0xb;
	return true;
}

static struct timer_queue *timers(void)
{
	return &fake_pci_machine.timers;
}

static void init_interrupts(void)
{
	const struct host_apic_config config = {.tsc_hz = FAKE_PCI_HZ,
						.timer_vector = 0xef,
						.error_vector = 0xfe,
						.spurious_vector = 0xff};

	/* APIC, x2APIC, TSC deadline; PAT. */
	fake_cpuid_set(0, 0, (struct cpuid_regs){.eax = 1});
	fake_cpuid_set(1, 0,
		       (struct cpuid_regs){.ecx = 1u << 21 | 1u << 24, .edx = 1u << 9 | 1u << 16});
	cpu_features_init();
	fake_cpu.on_rdmsr = read_msr;
	fake_cpu.on_wrmsr = write_msr;
	trap_init();
	if (host_apic_init(&config) != HV_OK) {
		fail("no local APIC", 0);
	}
	host_ioapic_reset();
	if (host_ioapic_add(space_map_device(hpa(IOAPIC), 4096, PT_UC), 0) != HV_OK) {
		fail("no I/O APIC", 0);
	}
}

static void init_cpus(unsigned cpus)
{
	percpu_activate(percpu_init_boot(0x1000, 0x2000, 0));
	for (unsigned i = 1; i < cpus; i++) {
		struct cpu_local *cpu = percpu_add(pool_pages(CPU_AREA_ORDER), i);

		if (cpu == NULL) {
			fail("no room for CPU", i);
		}
		cpu_set_state(cpu, CPU_ONLINE);
	}
}

void fake_pci_reset(unsigned cpus)
{
	static const struct fake_port_hook ports = {0xcf8, 0xcff, port_in, port_out, NULL};

	fake_cpu_reset();
	memset(&fake_pci_machine, 0, sizeof(fake_pci_machine));
	function_count = 0;
	log_set_sink(NULL);
	fake_machine(FAKE_PCI_MEMORY);
	fake_cpu.tsc = 1000000;
	/* A look at the clock costs time: drivers that wait get on. */
	fake_cpu.tsc_step = 5000;
	fake_cpu.on_mmio_in = mmio_in;
	fake_cpu.on_mmio_out = mmio_out;
	fake_port_hook(&ports);
	clock_init(FAKE_PCI_HZ);
	timer_queue_init(&fake_pci_machine.timers);
	timer_set_local_queue(timers);
	init_cpus(cpus);
	init_interrupts();
	fake_pci_machine.acpi.ecam_count = 1;
	fake_pci_machine.acpi.ecams[0] =
		(struct acpi_ecam){.base = FAKE_PCI_ECAM, .bus_last = FAKE_PCI_BUSES - 1};
	host_irq_init(&fake_pci_machine.acpi);
	fake_pci_machine.eois = 0;
}

void fake_pci_add(struct fake_pci *f, unsigned bus, unsigned devfn, uint32_t id,
		  uint32_t class_code)
{
	memset(f, 0, sizeof(*f));
	f->bus = (uint8_t)bus;
	f->devfn = (uint8_t)devfn;
	f->caps_end = CAPS_FIRST;
	fake_pci_put(f, 0, 4, id);
	fake_pci_put(f, 8, 4, class_code << 8);
	if (function_count == FUNCTIONS_MAX) {
		fail("too many functions", devfn);
	}
	functions[function_count++] = f;
}

void fake_pci_bar(struct fake_pci *f, unsigned bar, uint64_t base, uint64_t size)
{
	f->bar_size[bar] = size;
	fake_pci_put(f, 0x10 + 4 * bar, 4, (uint32_t)base | (bar < 5 ? 4 : 0));
	if (bar < 5) {
		fake_pci_put(f, 0x14 + 4 * bar, 4, (uint32_t)(base >> 32));
	}
}

unsigned fake_pci_capability(struct fake_pci *f, uint8_t id, unsigned size)
{
	unsigned at = f->caps_end;

	f->config[at] = id;
	f->config[at + 1] = f->config[0x34];
	f->config[0x34] = (uint8_t)at;
	fake_pci_put(f, 6, 2, 0x10);
	f->caps_end = at + (size + 3) / 4 * 4;
	return at;
}

void fake_pci_msix(struct fake_pci *f, unsigned bar, uint32_t offset, unsigned count)
{
	unsigned cap = fake_pci_capability(f, 0x11, 12);

	f->msix_bar = bar;
	f->msix_offset = offset;
	f->msix_count = count;
	fake_pci_put(f, cap + 2, 2, count - 1);
	fake_pci_put(f, cap + 4, 4, offset | bar);
}

static unsigned find_capability(const struct fake_pci *f, uint8_t id)
{
	unsigned at = f->config[0x34];

	while (at != 0 && f->config[at] != id) {
		at = f->config[at + 1];
	}
	return at;
}

bool fake_pci_is_master(const struct fake_pci *f)
{
	return (fake_pci_get(f, 4, 2) & 4) != 0;
}

static bool deliver(struct fake_pci *f, uint64_t address, uint32_t data)
{
	const struct cpu_local *cpu = percpu_by_apic_id((uint32_t)(address >> 12 & 0xff));

	if (address >> 20 != 0xfee || cpu == NULL || data >= 256 || !fake_pci_is_master(f)) {
		return false;
	}
	f->messages++;
	trap_irq_dispatch(data);
	return true;
}

bool fake_pci_message(struct fake_pci *f, unsigned index)
{
	unsigned msix = find_capability(f, 0x11);
	unsigned msi = find_capability(f, 5);

	if (msix != 0 && (fake_pci_get(f, msix + 2, 2) & 0xc000) == 0x8000) {
		const uint32_t *entry = f->msix[index];

		return index < f->msix_count && (entry[3] & 1) == 0 &&
		       deliver(f, entry[0] | (uint64_t)entry[1] << 32, entry[2]);
	}
	if (msi != 0 && index == 0 && (fake_pci_get(f, msi + 2, 2) & 1) != 0) {
		bool wide = (fake_pci_get(f, msi + 2, 2) & 0x80) != 0;
		uint64_t high = wide ? fake_pci_get(f, msi + 8, 4) : 0;

		return deliver(f, fake_pci_get(f, msi + 4, 4) | high << 32,
			       fake_pci_get(f, msi + (wide ? 12 : 8), 2));
	}
	return false;
}

bool fake_pci_line(unsigned line)
{
	uint32_t low = fake_pci_machine.redirection[2 * line];

	if ((low & 0x10000) != 0) {
		return false;
	}
	trap_irq_dispatch(low & 0xff);
	return true;
}

void fake_pci_pass(uint64_t ns, uint64_t step)
{
	uint64_t end = fake_cpu.tsc + ns;

	while (fake_cpu.tsc < end) {
		fake_cpu.tsc += step;
		timer_queue_run(&fake_pci_machine.timers, clock_now());
	}
}

void *fake_pci_dma(uint64_t address, uint64_t size)
{
	if (size == 0 || !range_fits(address, size, FAKE_PCI_MEMORY)) {
		fail("a device reaches beyond memory:", address);
	}
	return fake_ram(hpa(address));
}
