/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration space gone mad, by the numbers of a seed: BARs of all devices on each other, on RAM
 * and on what the machine has at fixed addresses, sized while they decode, storms of commands and
 * resets, random registers, random messages (MSI-X, MSI). What was there before BARs must stay
 * where it is.
 */
#include "guests/devices/pci_config.h"
#include "guests/layout.h"
#include "hv/base/bits.h"
#include "tests/payloads/cases.h"
#include "tests/payloads/hw.h"
#include "tests/payloads/rt.h"
#include "tests/payloads/rt_blk.h"
#include "tests/payloads/rt_pci.h"
#include "tests/payloads/rt_wild.h"

#define FUNCTIONS_MAX 16u
#define BARS 6u
#define DECODE (PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER)
#define MARK 0x0123456789abcdefull
#define STORM 64u
#define CHECK_EVERY 8u
#define APIC_VERSION 0x30u
#define HOST_BRIDGE 0x29c08086u

struct function {
	unsigned devfn;
	uint32_t bars[BARS];
	uint32_t masks[BARS]; /* what sizing reads; 0: there is none, or it is an upper half */
	unsigned power, msix, msi;
	bool resets; /* at function level */
};

static struct function functions[FUNCTIONS_MAX];
static unsigned function_count;
static struct rt_disk disk;
static uint64_t seed;
static uint32_t apic_version;

static uint32_t pick(uint32_t n)
{
	return rt_pick(&seed, n);
}

static unsigned bar_register(unsigned bar)
{
	return PCI_BAR0 + bar * 4;
}

static uint64_t mark_place(void)
{
	return rt_free_ram();
}

/* --- what may not change --- */

static void check_machine(const char *after)
{
	EXPECT(mmio_read64(mark_place()) == MARK, "after %s: RAM reads 0x%lx", after,
	       mmio_read64(mark_place()));
	EXPECT(apic_read(APIC_VERSION) == apic_version, "after %s: the local APIC's version",
	       after);
	EXPECT(pci_config(LAYOUT_DEVFN_HOST_BRIDGE, 0) == HOST_BRIDGE, "after %s: the host bridge",
	       after);
	mmio_write32(LAYOUT_IOAPIC_BASE, 1);
	EXPECT((mmio_read32(LAYOUT_IOAPIC_BASE + 0x10) & 0xff) == 0x20,
	       "after %s: the IOAPIC's version", after);
	/* Its line status: the port of the console is no BAR's. */
	EXPECT((in8(LAYOUT_COM1 + 5) & 0x80) == 0, "after %s: the serial port", after);
}

static void restore(const struct function *f)
{
	rt_calm_function(f->devfn);
	pci_set_config(f->devfn, PCI_COMMAND, 0);
	for (unsigned i = 0; i < BARS; i++) {
		pci_set_config(f->devfn, bar_register(i), f->bars[i]);
	}
	pci_set_config(f->devfn, PCI_COMMAND, DECODE);
}

/* --- deeds --- */

static uint32_t memory_target(void)
{
	const uint32_t places[] = {
		0,
		(uint32_t)rt_address(payload_start),
		(uint32_t)mark_place() & ~0xfffu,
		(uint32_t)rt_low_ram_end() - 0x1000,
		(uint32_t)rt_low_ram_end(),
		(uint32_t)LAYOUT_ECAM_BASE,
		(uint32_t)LAYOUT_ECAM_BASE + (functions[pick(function_count)].devfn << 12),
		(uint32_t)LAYOUT_IOAPIC_BASE,
		(uint32_t)LAYOUT_LAPIC_BASE,
		0xfffff000,
		0xffffffff,
		functions[pick(function_count)].bars[pick(BARS)],
		functions[pick(function_count)].bars[pick(BARS)],
		(uint32_t)rt_random(&seed),
	};

	return places[pick(ARRAY_SIZE(places))];
}

/* Reads and writes where a BAR may be now; what is the machine's own is left alone. */
static void touch(uint64_t at)
{
	at &= ~0xfull;
	if (at < LAYOUT_PCI_MMIO_BASE || at >= LAYOUT_ECAM_BASE) {
		return;
	}
	(void)mmio_read64(at + pick(0x1000 - 8));
	(void)mmio_read8(at + 0xfff);
	mmio_write32(at + (pick(0x1000) & ~3u), (uint32_t)rt_random(&seed));
	mmio_write64(at + (pick(0x1000) & ~7u), rt_random(&seed));
	mmio_write16(at + pick(0x1000 - 1), (uint16_t)rt_random(&seed));
}

/* One of its BARs for ports, or for memory; BARS: it has none. */
static unsigned some_bar(const struct function *f, uint32_t kind)
{
	unsigned first = pick(BARS);

	for (unsigned i = 0; i < BARS; i++) {
		unsigned bar = (first + i) % BARS;

		if (f->masks[bar] != 0 && (f->masks[bar] & PCI_BAR_IO) == kind) {
			return bar;
		}
	}
	return BARS;
}

static void move_memory(const struct function *f)
{
	unsigned bar = some_bar(f, 0);
	uint32_t target = memory_target();

	if (bar != BARS) {
		pci_set_config(f->devfn, bar_register(bar), target);
		touch(target);
	}
}

static void move_ports(const struct function *f)
{
	const uint32_t places[] = {0,
				   LAYOUT_PIC_MASTER,
				   LAYOUT_COM1,
				   LAYOUT_PM_BASE,
				   LAYOUT_PCI_CONFIG_ADDRESS,
				   LAYOUT_PCI_IO_BASE,
				   0xfff8,
				   0xffff,
				   0x10000,
				   UINT32_MAX,
				   functions[pick(function_count)].bars[pick(BARS)]};
	uint32_t target = places[pick(ARRAY_SIZE(places))];
	unsigned bar = some_bar(f, PCI_BAR_IO);

	if (bar == BARS) {
		return;
	}
	pci_set_config(f->devfn, bar_register(bar), target);
	if (target >= LAYOUT_PCI_IO_BASE && target <= 0xffff) {
		(void)in32((uint16_t)(target & ~7u));
		out32((uint16_t)(target & ~7u), (uint32_t)rt_random(&seed));
	}
}

static void size_while_decoding(const struct function *f)
{
	for (unsigned i = 0; i < BARS; i++) {
		if (f->masks[i] == 0) {
			continue;
		}
		pci_set_config(f->devfn, bar_register(i), UINT32_MAX);
		EXPECT(pci_config(f->devfn, bar_register(i)) == f->masks[i],
		       "function 0x%x: BAR %u sizes as 0x%x", f->devfn, i,
		       pci_config(f->devfn, bar_register(i)));
	}
	(void)mmio_read64(0xfffffff0);
}

static void storm_commands(const struct function *f)
{
	for (unsigned i = 0; i < STORM; i++) {
		pci_set_config(f->devfn, PCI_COMMAND, (uint32_t)rt_random(&seed));
	}
}

static void storm_resets(const struct function *f)
{
	if (!f->resets) {
		return;
	}
	for (unsigned i = 0; i < STORM / 4; i++) {
		(void)pci_function_level_reset(f->devfn);
	}
	EXPECT((pci_config(f->devfn, PCI_COMMAND) & 0xffff) == 0, "it decodes after a reset");
}

static void storm_power(const struct function *f)
{
	for (unsigned i = 0; f->power != 0 && i < STORM / 4; i++) {
		pci_set_config(f->devfn, f->power + PCI_POWER_CONTROL, pick(4));
	}
}

static bool makes_messages(const struct function *f, unsigned reg)
{
	return (f->msix != 0 && reg == f->msix) ||
	       (f->msi != 0 && reg >= f->msi && reg < f->msi + PCI_MSI_SIZE_64);
}

/* Any register by either mechanism; what makes a message is random_messages' business. */
static void random_registers(const struct function *f)
{
	for (unsigned i = 0; i < STORM; i++) {
		unsigned reg = pick(PCI_EXPRESS_BYTES) & ~3u;

		if (makes_messages(f, reg)) {
			continue;
		}
		if (reg < PCI_CONFIG_BYTES && pick(2) == 0) {
			out32(LAYOUT_PCI_CONFIG_ADDRESS, 0x80000000u | f->devfn << 8 | reg);
			out8((uint16_t)(LAYOUT_PCI_CONFIG_DATA + pick(4)),
			     (uint8_t)rt_random(&seed));
		} else {
			pci_set_config(f->devfn, reg, (uint32_t)rt_random(&seed));
		}
	}
}

static void random_messages(const struct function *f)
{
	for (unsigned i = 0; i < STORM; i++) {
		rt_disturb_function(&seed, f->devfn);
	}
}

static const struct {
	const char *name;
	void (*deed)(const struct function *f);
} deeds[] = {
	{"moved memory BARs", move_memory},	{"moved port BARs", move_ports},
	{"sizing", size_while_decoding},	{"a storm of commands", storm_commands},
	{"a storm of resets", storm_resets},	{"a storm of power states", storm_power},
	{"random registers", random_registers}, {"random messages", random_messages},
};

/* --- the case --- */

static void describe(struct function *f, unsigned devfn)
{
	bool upper = false;

	*f = (struct function){.devfn = devfn,
			       .power = pci_capability(devfn, PCI_CAP_POWER, 0),
			       .msix = pci_capability(devfn, PCI_CAP_MSIX, 0),
			       .msi = pci_capability(devfn, PCI_CAP_MSI, 0)};
	pci_set_config(devfn, PCI_COMMAND, 0);
	for (unsigned i = 0; i < BARS; i++) {
		f->bars[i] = pci_config(devfn, bar_register(i));
		pci_set_config(devfn, bar_register(i), UINT32_MAX);
		f->masks[i] = upper ? 0 : pci_config(devfn, bar_register(i));
		upper = (f->masks[i] & (PCI_BAR_IO | PCI_BAR_TYPE)) == PCI_BAR_64;
	}
	f->resets = pci_function_level_reset(devfn);
	restore(f);
}

static void find_functions(void)
{
	for (unsigned devfn = LAYOUT_DEVFN_FIRST;
	     devfn < PCI_FUNCTIONS && function_count < FUNCTIONS_MAX; devfn++) {
		if (devfn != LAYOUT_DEVFN_ISA_BRIDGE &&
		    (pci_config(devfn, PCI_VENDOR_ID) & 0xffff) != PCI_NO_VENDOR) {
			describe(&functions[function_count++], devfn);
		}
	}
	EXPECT(function_count >= 1, "there is no device");
	rt_print("%u functions\n", function_count);
}

static void check_disk(void)
{
	rt_disk_start(&disk, RT_DISK_FEATURES);
	EXPECT(rt_disk_move(&disk, 0, VIRTIO_BLK_T_IN, 0, mark_place() + 0x1000, RT_SECTOR) ==
		       VIRTIO_BLK_S_OK,
	       "the disk does not work any more");
	/* It is a bus master and has live rings in the next round. */
}

static void round_of(void)
{
	const struct function *f = &functions[pick(function_count)];
	unsigned which = pick(ARRAY_SIZE(deeds));

	deeds[which].deed(f);
	check_machine(deeds[which].name);
	rt_take_interrupts();
	restore(f);
}

void case_pci_hostile(void)
{
	uint64_t rounds = rt_option("rounds", 200);

	seed = rt_option("seed", 1);
	mmio_write64(mark_place(), MARK);
	rt_ignore_vectors();
	apic_version = apic_read(APIC_VERSION);
	find_functions();
	EXPECT(rt_virtio_find(&disk.device, VIRTIO_TYPE_BLOCK, 0), "there is no disk");
	for (uint64_t i = 1; i <= rounds; i++) {
		round_of();
		if (i % CHECK_EVERY == 0) {
			check_disk();
		}
	}
}
