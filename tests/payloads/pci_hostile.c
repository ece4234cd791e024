/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration space gone mad, by the numbers of a seed: BARs of the virtio devices on each other,
 * on RAM and on what the machine has at fixed addresses, sized while they decode, storms of
 * commands and resets, random registers, random messages. What was there before BARs must stay
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

#define FUNCTIONS_MAX 16u
#define BARS 3u
#define BAR_PORTS 0u
#define BAR_TABLE 1u
#define BAR_REGISTERS 2u
#define DECODE (PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER)
#define MARK 0x0123456789abcdefull
#define STORM 64u
#define CHECK_EVERY 8u
#define FREE_VECTOR 0x80u
#define APIC_VERSION 0x30u
#define HOST_BRIDGE 0x29c08086u
#define VENDOR_VIRTIO 0x1af4u

struct function {
	unsigned devfn;
	uint32_t bars[BARS];
};

static struct function functions[FUNCTIONS_MAX];
static unsigned function_count;
static struct rt_disk disk;
static uint64_t seed;
static uint32_t apic_version;

static uint32_t pick(uint32_t n)
{
	return (uint32_t)(rt_random(&seed) >> 33) % n;
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
	unsigned power = pci_capability(f->devfn, PCI_CAP_POWER, 0);

	pci_set_config(f->devfn, PCI_COMMAND, 0);
	pci_set_config(f->devfn, power + PCI_POWER_CONTROL, 0);
	pci_set_config(f->devfn, pci_capability(f->devfn, PCI_CAP_MSIX, 0), 0);
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
		functions[pick(function_count)].bars[BAR_TABLE],
		functions[pick(function_count)].bars[BAR_REGISTERS],
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

static void move_memory(const struct function *f)
{
	uint32_t target = memory_target();

	pci_set_config(f->devfn, bar_register(BAR_TABLE + pick(2)), target);
	touch(target);
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
				   functions[pick(function_count)].bars[BAR_PORTS]};
	uint32_t target = places[pick(ARRAY_SIZE(places))];

	pci_set_config(f->devfn, bar_register(BAR_PORTS), target);
	if (target >= LAYOUT_PCI_IO_BASE && target <= 0xffff) {
		(void)in32((uint16_t)(target & ~7u));
		out32((uint16_t)(target & ~7u), (uint32_t)rt_random(&seed));
	}
}

static void size_while_decoding(const struct function *f)
{
	const uint32_t masks[BARS] = {0xfffffff9, 0xfffff000, 0xfffff000};

	for (unsigned i = 0; i < BARS; i++) {
		pci_set_config(f->devfn, bar_register(i), UINT32_MAX);
		EXPECT(pci_config(f->devfn, bar_register(i)) == masks[i],
		       "function 0x%x: BAR %u sizes as 0x%x", f->devfn, i,
		       pci_config(f->devfn, bar_register(i)));
	}
	(void)mmio_read64(0xfffffff0);
	pci_set_config(f->devfn, bar_register(BAR_REGISTERS), f->bars[BAR_REGISTERS]);
}

static void storm_commands(const struct function *f)
{
	for (unsigned i = 0; i < STORM; i++) {
		pci_set_config(f->devfn, PCI_COMMAND, (uint32_t)rt_random(&seed));
	}
}

static void storm_resets(const struct function *f)
{
	for (unsigned i = 0; i < STORM / 4; i++) {
		EXPECT(pci_function_level_reset(f->devfn), "no function-level reset");
	}
	EXPECT((pci_config(f->devfn, PCI_COMMAND) & 0xffff) == 0, "it decodes after a reset");
}

static void storm_power(const struct function *f)
{
	unsigned at = pci_capability(f->devfn, PCI_CAP_POWER, 0);

	for (unsigned i = 0; i < STORM / 4; i++) {
		pci_set_config(f->devfn, at + PCI_POWER_CONTROL, pick(4));
	}
}

/* Any register by either mechanism; what makes a message is random_messages' business. */
static void random_registers(const struct function *f)
{
	unsigned msix = pci_capability(f->devfn, PCI_CAP_MSIX, 0);

	for (unsigned i = 0; i < STORM; i++) {
		unsigned reg = pick(PCI_EXPRESS_BYTES) & ~3u;

		if (reg == msix) {
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

/* The table written and masked at random, enabled and disabled. Vectors are free ones, so that no
 * message that finds an APIC is an INIT or NMI. */
static void random_messages(const struct function *f)
{
	unsigned msix = pci_capability(f->devfn, PCI_CAP_MSIX, 0);
	uint64_t table = f->bars[BAR_TABLE] & ~15u;

	for (unsigned i = 0; i < STORM; i++) {
		uint64_t entry = table + pick(2) * PCI_MSIX_ENTRY;

		mmio_write64(entry, pick(2) == 0 ? memory_target() & ~0xcu : rt_random(&seed));
		mmio_write32(entry + 8, FREE_VECTOR + pick(0x60));
		mmio_write32(entry + PCI_MSIX_ENTRY_CONTROL, pick(2));
		mmio_write16(entry + pick(14), (uint16_t)rt_random(&seed));
		pci_set_config(f->devfn, msix,
			       pick(2) == 0 ? PCI_MSIX_DWORD(PCI_MSIX_ENABLE) : pick(2) << 30);
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

static void find_functions(void)
{
	for (unsigned devfn = LAYOUT_DEVFN_FIRST;
	     devfn < LAYOUT_DEVFN_ISA_BRIDGE && function_count < FUNCTIONS_MAX; devfn++) {
		if ((pci_config(devfn, PCI_VENDOR_ID) & 0xffff) == VENDOR_VIRTIO) {
			struct function *f = &functions[function_count++];

			f->devfn = devfn;
			for (unsigned i = 0; i < BARS; i++) {
				f->bars[i] = pci_config(devfn, bar_register(i));
			}
		}
	}
	EXPECT(function_count >= 1, "there is no virtio device");
}

static void check_disk(void)
{
	rt_disk_start(&disk, RT_DISK_FEATURES);
	EXPECT(rt_disk_move(&disk, 0, VIRTIO_BLK_T_IN, 0, mark_place() + 0x1000, RT_SECTOR) ==
		       VIRTIO_BLK_S_OK,
	       "the disk does not work any more");
	/* It is a bus master and has live rings in the next round. */
}

static void ignore(struct rt_frame *f)
{
	(void)f;
	apic_eoi();
}

static void round_of(void)
{
	const struct function *f = &functions[pick(function_count)];
	unsigned which = pick(ARRAY_SIZE(deeds));

	deeds[which].deed(f);
	check_machine(deeds[which].name);
	interrupts_on();
	(void)pm_timer();
	interrupts_off();
	restore(f);
}

void case_pci_hostile(void)
{
	uint64_t rounds = rt_option("rounds", 200);

	seed = rt_option("seed", 1);
	mmio_write64(mark_place(), MARK);
	for (unsigned v = FREE_VECTOR; v < 0x100; v++) {
		rt_handle((uint8_t)v, ignore);
	}
	apic_enable();
	apic_version = apic_read(APIC_VERSION);
	find_functions();
	EXPECT(rt_virtio_find(&disk.device, VIRTIO_TYPE_BLOCK, 0), "there is no disk");
	for (unsigned i = 0; i < function_count; i++) {
		restore(&functions[i]);
	}
	for (uint64_t i = 1; i <= rounds; i++) {
		round_of();
		if (i % CHECK_EVERY == 0) {
			check_disk();
		}
	}
}
