/* SPDX-License-Identifier: Apache-2.0 */
/* The board of a guest's machine: which devices there are, where, and how they are wired. */
#include "guests/board.h"

#include "guests/devices/pci_setup.h"
#include "guests/layout.h"
#include "guests/tables/e820.h"
#include "guests/tables/legacy.h"
#include "hv/base/bits.h"
#include "hv/base/check.h"
#include "hv/base/str.h"

/* --- interrupt wiring --- */

/* Lines as the test device numbers them: ISA interrupts, then GSIs. */
static void set_test_line(void *ctx, unsigned line, bool level)
{
	struct board *b = ctx;

	if (line < LAYOUT_GSI_PCI_FIRST) {
		board_lines_isa(&b->lines, line, level);
	} else {
		ioapic_set_line(&b->ioapic, line, level);
	}
}

static void test_synic(void *ctx, uint32_t command)
{
	const struct board *b = ctx;

	if (b->cfg.ops->test_synic != NULL) {
		b->cfg.ops->test_synic(b->cfg.ctx, command);
	}
}

static bool send_message(void *ctx, uint64_t address, uint32_t data)
{
	struct board *b = ctx;

	return apic_bus_msi(&b->apic_bus, address, data);
}

static void send_hpet_message(void *ctx, uint64_t address, uint32_t data)
{
	(void)send_message(container_of(ctx, struct board, lines), address, data);
}

struct irq_line board_isa_irq(struct board *b, unsigned irq)
{
	return (struct irq_line){board_lines_isa, &b->lines, irq};
}

/* The RTC's interrupt is also a fixed event of ACPI: what ends a sleep with nobody to answer it. */
static void set_rtc_irq(void *ctx, unsigned irq, bool level)
{
	struct board *b = ctx;

	board_lines_replaceable(&b->lines, irq, level);
	if (level) {
		acpi_pm_rtc_event(&b->pm);
	}
}

static void on_eoi(void *ctx, uint8_t vector)
{
	struct board *b = ctx;

	ioapic_eoi(&b->ioapic, vector);
}

/* Whether the last timer interrupt still waits somewhere to be taken. */
static bool timer_waiting(void *ctx)
{
	struct board *b = ctx;

	return pic8259_waiting(&b->pic, LAYOUT_IRQ_TIMER) ||
	       ioapic_waiting(&b->ioapic, LAYOUT_GSI_TIMER);
}

/* --- what devices ask for --- */

static void wants_kick(void *ctx, unsigned vcpu)
{
	const struct board *b = ctx;

	b->cfg.ops->kick(b->cfg.ctx, vcpu);
}

static void wants_notify(void *ctx, unsigned vcpu)
{
	const struct board *b = ctx;

	b->cfg.ops->notify(b->cfg.ctx, vcpu);
}

static void wants_nmi(void *ctx, unsigned vcpu)
{
	const struct board *b = ctx;

	b->cfg.ops->nmi(b->cfg.ctx, vcpu);
}

static void wants_init(void *ctx, unsigned vcpu)
{
	const struct board *b = ctx;

	b->cfg.ops->init(b->cfg.ctx, vcpu);
}

static void wants_startup(void *ctx, unsigned vcpu, uint8_t vector)
{
	const struct board *b = ctx;

	b->cfg.ops->startup(b->cfg.ctx, vcpu, vector);
}

static void wants_power_off(void *ctx)
{
	const struct board *b = ctx;

	b->cfg.ops->power_off(b->cfg.ctx);
}

static void wants_suspend(void *ctx)
{
	const struct board *b = ctx;

	b->cfg.ops->suspend(b->cfg.ctx);
}

static void wants_wake(void *ctx)
{
	const struct board *b = ctx;

	b->cfg.ops->wake(b->cfg.ctx);
}

static void is_suspended(void *ctx, bool suspended)
{
	const struct board *b = ctx;

	b->cfg.ops->set_suspended(b->cfg.ctx, suspended);
}

static void reset_by_acpi(void *ctx)
{
	const struct board *b = ctx;

	b->cfg.ops->reset(b->cfg.ctx, "by the reset register (port 0xcf9)");
}

static void reset_by_i8042(void *ctx)
{
	const struct board *b = ctx;

	b->cfg.ops->reset(b->cfg.ctx, (b->i8042.port_a & I8042_A_RESET) != 0
					      ? "by port 0x92"
					      : "by the keyboard controller");
}

static void ends(void *ctx, uint32_t status)
{
	const struct board *b = ctx;

	b->cfg.ops->debug_exit(b->cfg.ctx, status);
}

static void send_serial(void *ctx, const char *data, size_t n)
{
	const struct board *b = ctx;

	b->cfg.ops->serial_output(b->cfg.ctx, data, n);
}

static void serial_room(void *ctx)
{
	const struct board *b = ctx;

	b->cfg.ops->serial_room(b->cfg.ctx);
}

static const struct apic_bus_ops apic_ops = {
	.kick = wants_kick,
	.notify = wants_notify,
	.nmi = wants_nmi,
	.init = wants_init,
	.startup = wants_startup,
};

/* --- the devices --- */

static void init_interrupts(struct board *b)
{
	struct irq_line intr = {apic_bus_intr, &b->apic_bus, 0};
	struct irq_line timer = {board_lines_replaceable, &b->lines, LAYOUT_IRQ_TIMER};
	struct hpet_config hpet = {
		.time = b->cfg.time,
		.gsi = board_lines_hpet,
		.legacy = board_lines_isa,
		.replace = board_lines_replace,
		.message = send_hpet_message,
		.ctx = &b->lines,
	};
	const struct pit_rest rest = {b->cfg.ops->rest, b->cfg.ops->rested, b->cfg.ctx};

	board_lines_init(&b->lines, &b->pic, &b->ioapic);
	apic_bus_init(&b->apic_bus, &apic_ops, b, !b->cfg.xapic_only);
	for (unsigned i = 0; i < b->cfg.vcpu_count; i++) {
		lapic_init(&b->lapics[i], &b->apic_bus, b->cfg.time, i, i, i == 0);
	}
	ioapic_init(&b->ioapic, &b->apic_bus);
	apic_bus_set_eoi(&b->apic_bus, on_eoi, b);
	pic8259_init(&b->pic, &intr);
	pit8254_init(&b->pit, b->cfg.time, &timer);
	pit8254_set_waiting(&b->pit, timer_waiting, b);
	pit8254_set_rest(&b->pit, &rest);
	hpet_init(&b->hpet, &hpet);
	/* There is no firmware to do this. */
	lapic_virtual_wire(&b->lapics[0]);
}

static void init_rtc(struct board *b)
{
	uint64_t low = min_u64(b->cfg.memory,
			       b->cfg.firmware ? LAYOUT_FIRMWARE_MMIO_BASE : LAYOUT_MMIO_BASE);
	struct cmos_rtc_config rtc = {
		.time = b->cfg.time,
		.irq = {set_rtc_irq, b, LAYOUT_IRQ_RTC},
		.ram_below_4g = low,
		.ram_above_4g = b->cfg.memory - low,
		.cpu_count = b->cfg.vcpu_count,
		.floppies = {b->cfg.floppies[0], b->cfg.floppies[1]},
	};

	cmos_rtc_init(&b->rtc, &rtc);
}

/* For programs that test the machine; on the buses only where the configuration wants them. */
static void init_test(struct board *b)
{
	struct debug_exit_config exit = {.end = ends, .ctx = b};
	struct test_device_config test = {
		.line = set_test_line,
		.synic = test_synic,
		.ctx = b,
		.memory = (uint8_t *)&b->lapics[b->cfg.vcpu_count],
	};

	debug_exit_init(&b->debug_exit, &exit);
	test_device_init(&b->test, &test);
}

static void init_platform(struct board *b)
{
	struct acpi_pm_config pm = {
		.time = b->cfg.time,
		.sci = board_isa_irq(b, LAYOUT_IRQ_SCI),
		.power_off = wants_power_off,
		.reset = reset_by_acpi,
		.ctx = b,
	};
	struct i8042_config keyboard = {
		.keyboard_irq = board_isa_irq(b, LAYOUT_IRQ_KEYBOARD),
		.mouse_irq = board_isa_irq(b, LAYOUT_IRQ_MOUSE),
		.mouse = b->cfg.vga,
		.reset = reset_by_i8042,
		.ctx = b,
	};
	struct uart16550_config com1 = {
		.time = b->cfg.time,
		.irq = board_isa_irq(b, LAYOUT_IRQ_COM1),
		.transmit = send_serial,
		.room = serial_room,
		.ctx = b,
	};
	struct pci_host_config pci = {
		.ecam_base = LAYOUT_ECAM_BASE,
		.firmware = b->cfg.firmware,
		.reset_port = &b->pm.dev,
		.irq = {.gsi = board_lines_pci, .isa = board_lines_pci_inputs, .ctx = &b->lines},
	};
	/* Without firmware there is nobody to open it. */
	struct dma8237_config dma = {.vm = b->cfg.vm, .cascade_open = !b->cfg.firmware};

	/* Firmware would have to wake it, and does so only where the tables promise S3. */
	if (!b->cfg.firmware) {
		pm.suspend = wants_suspend;
		pm.wake = wants_wake;
		pm.set_suspended = is_suspended;
	}
	acpi_pm_init(&b->pm, &pm);
	i8042_init(&b->i8042, &keyboard);
	uart16550_init(&b->com1, &com1);
	pci_host_init(&b->pci, &pci);
	pci_window_init(&b->pci_window, &b->pci);
	dma8237_init(&b->dma, &dma);
	misc_ports_init(&b->misc);
	init_rtc(b);
}

enum board_option {
	ALWAYS,
	IF_SERIAL,
	IF_DEBUG_EXIT,
	IF_TEST_DEVICE,
	UNLESS_TEST_DEVICE,
	IF_FIRMWARE,
	UNLESS_FIRMWARE,
	IF_HPET,
};

/* One row per range of the board. */
struct board_range {
	enum bus_space space;
	uint64_t base;
	uint64_t size;
	size_t dev; /* offset of the struct vdev in struct board */
	enum board_option option;
};

/* BARs may lie in front of and behind the test device's lines, and there if there are none. */
#define BEHIND_LINES (TEST_DEVICE_LINES_PORT + TEST_DEVICE_LINES)
#define BEHIND_SYNIC (TEST_DEVICE_SYNIC_PORT + TEST_DEVICE_SYNIC_PORTS)
#define DEV(member) offsetof(struct board, member.dev)

static const struct board_range ranges[] = {
	{BUS_PIO, DMA_SLAVE_PORT, DMA_PORTS, DEV(dma), ALWAYS},
	{BUS_PIO, LAYOUT_PIC_MASTER, PIC_PORTS, DEV(pic), ALWAYS},
	{BUS_PIO, PIT_PORT, PIT_PORTS, DEV(pit), ALWAYS},
	{BUS_PIO, LAYOUT_I8042_DATA, 1, DEV(i8042), ALWAYS},
	{BUS_PIO, PIT_GATE_PORT, PIT_GATE_PORTS, DEV(pit), ALWAYS},
	{BUS_PIO, LAYOUT_I8042_STATUS, 1, DEV(i8042), ALWAYS},
	{BUS_PIO, LAYOUT_RTC, CMOS_RTC_PORTS, DEV(rtc), ALWAYS},
	{BUS_PIO, MISC_PORT_DELAY, 1, DEV(misc), ALWAYS},
	{BUS_PIO, DMA_PAGE_PORT, DMA_PAGE_PORTS, DEV(dma), ALWAYS},
	{BUS_PIO, I8042_PORT_A, 1, DEV(i8042), ALWAYS},
	{BUS_PIO, DMA_PAGE_ALIAS_PORT, DMA_PAGE_ALIAS_PORTS, DEV(dma), ALWAYS},
	{BUS_PIO, LAYOUT_PIC_SLAVE, PIC_PORTS, DEV(pic), ALWAYS},
	{BUS_PIO, DMA_MASTER_PORT, DMA_PORTS, DEV(dma), ALWAYS},
	{BUS_PIO, TEST_DEVICE_PORT, TEST_DEVICE_PORTS, DEV(test), IF_TEST_DEVICE},
	{BUS_PIO, MISC_PORT_FPU, MISC_PORT_FPU_COUNT, DEV(misc), ALWAYS},
	{BUS_PIO, DEBUG_EXIT_PORT, DEBUG_EXIT_PORTS, DEV(debug_exit), IF_DEBUG_EXIT},
	{BUS_PIO, LAYOUT_COM1, UART16550_PORTS, DEV(com1), IF_SERIAL},
	{BUS_PIO, LAYOUT_PIC_ELCR, PIC_PORTS, DEV(pic), ALWAYS},
	{BUS_PIO, LAYOUT_PM_BASE, LAYOUT_PM_SIZE, DEV(pm), ALWAYS},
	{BUS_PIO, LAYOUT_PCI_CONFIG_ADDRESS, PCI_HOST_PORTS, DEV(pci), ALWAYS},
	{BUS_PIO, LAYOUT_PCI_IO_BASE, TEST_DEVICE_LINES_PORT - LAYOUT_PCI_IO_BASE, DEV(pci_window),
	 ALWAYS},
	{BUS_PIO, TEST_DEVICE_LINES_PORT, TEST_DEVICE_LINES, DEV(test), IF_TEST_DEVICE},
	{BUS_PIO, TEST_DEVICE_LINES_PORT, TEST_DEVICE_LINES, DEV(pci_window), UNLESS_TEST_DEVICE},
	{BUS_PIO, BEHIND_LINES, TEST_DEVICE_SYNIC_PORT - BEHIND_LINES, DEV(pci_window), ALWAYS},
	{BUS_PIO, TEST_DEVICE_SYNIC_PORT, TEST_DEVICE_SYNIC_PORTS, DEV(test), IF_TEST_DEVICE},
	{BUS_PIO, TEST_DEVICE_SYNIC_PORT, TEST_DEVICE_SYNIC_PORTS, DEV(pci_window),
	 UNLESS_TEST_DEVICE},
	{BUS_PIO, BEHIND_SYNIC, LAYOUT_PCI_IO_END - BEHIND_SYNIC, DEV(pci_window), ALWAYS},
	{BUS_MMIO, LAYOUT_FIRMWARE_MMIO_BASE, LAYOUT_IOAPIC_BASE - LAYOUT_FIRMWARE_MMIO_BASE,
	 DEV(pci_window), IF_FIRMWARE},
	{BUS_MMIO, LAYOUT_PCI_MMIO_BASE, LAYOUT_PCI_MMIO_SIZE, DEV(pci_window), UNLESS_FIRMWARE},
	{BUS_MMIO, LAYOUT_ECAM_BASE, LAYOUT_ECAM_SIZE, DEV(pci), UNLESS_FIRMWARE},
	{BUS_MMIO, LAYOUT_IOAPIC_BASE, IOAPIC_MMIO_SIZE, DEV(ioapic), ALWAYS},
	{BUS_MMIO, LAYOUT_HPET_BASE, HPET_MMIO_SIZE, DEV(hpet), IF_HPET},
	{BUS_MMIO, LAYOUT_LAPIC_BASE, LAPIC_MMIO_SIZE, DEV(apic_bus), ALWAYS},
	{BUS_MMIO, TEST_DEVICE_MEMORY_BASE, TEST_DEVICE_MEMORY_SIZE, DEV(test), IF_TEST_DEVICE},
	{BUS_MMIO, LAYOUT_PCI_MMIO64_BASE, LAYOUT_PCI_MMIO64_END - LAYOUT_PCI_MMIO64_BASE,
	 DEV(pci_window), ALWAYS},
};

static bool wanted(const struct board_config *cfg, enum board_option option)
{
	switch (option) {
	case IF_SERIAL:
		return cfg->serial;
	case IF_DEBUG_EXIT:
		return cfg->debug_exit;
	case IF_TEST_DEVICE:
		return cfg->test_device;
	case IF_HPET:
		return cfg->hpet;
	case UNLESS_TEST_DEVICE:
		return !cfg->test_device;
	case IF_FIRMWARE:
		return cfg->firmware;
	case UNLESS_FIRMWARE:
		return !cfg->firmware;
	case ALWAYS:
		break;
	}
	return true;
}

static enum hv_status put_on_buses(struct board *b)
{
	enum hv_status status = HV_OK;

	for (size_t i = 0; i < ARRAY_SIZE(ranges) && status == HV_OK; i++) {
		const struct board_range *r = &ranges[i];
		struct bus *bus = r->space == BUS_PIO ? b->cfg.pio : b->cfg.mmio;

		if (wanted(&b->cfg, r->option)) {
			status = bus_register(bus, r->base, r->size,
					      (struct vdev *)(void *)((char *)b + r->dev));
		}
	}
	return status;
}

/* --- saved state --- */

/* In the order of loading: what interrupts go to before what they come from. */
static void add_saved(struct board *b)
{
	struct saved_set *set = b->cfg.saved;

	for (unsigned i = 0; i < b->cfg.vcpu_count; i++) {
		saved_add(set, &b->lapics[i].saved, i);
	}
	saved_add(set, &b->apic_bus.saved, 0);
	saved_add(set, &b->ioapic.saved, 0);
	saved_add(set, &b->pic.saved, 0);
	saved_add(set, &b->lines.saved, 0);
	saved_add(set, &b->pit.saved, 0);
	saved_add(set, &b->hpet.saved, 0);
	saved_add(set, &b->rtc.saved, 0);
	saved_add(set, &b->pm.saved, 0);
	saved_add(set, &b->i8042.saved, 0);
	saved_add(set, &b->com1.saved, 0);
	saved_add(set, &b->dma.saved, 0);
	saved_add(set, &b->misc.saved, 0);
	if (b->cfg.test_device) {
		saved_add(set, &b->test.saved, 0);
	}
	saved_add(set, &b->pci.saved, 0);
}

size_t board_size(unsigned vcpu_count, bool test_device)
{
	return sizeof(struct board) + vcpu_count * sizeof(struct lapic) +
	       (test_device ? TEST_DEVICE_MEMORY_SIZE : 0);
}

enum hv_status board_init(struct board *b, const struct board_config *cfg)
{
	b->cfg = *cfg;
	init_interrupts(b);
	init_platform(b);
	init_test(b);
	add_saved(b);
	return put_on_buses(b);
}

/* --- PCI devices --- */

static unsigned free_slot(const struct board *b)
{
	return LAYOUT_DEVFN_FIRST + b->pci_slots * 8;
}

void board_place_pci_at(struct board *b, unsigned devfn, struct pci_device_config *cfg)
{
	cfg->host = &b->pci;
	cfg->devfn = devfn;
	cfg->message = send_message;
	cfg->message_ctx = b;
	cfg->intx_line = pci_host_intx(&b->pci, devfn, 0);
}

enum hv_status board_place_pci(struct board *b, struct pci_device_config *cfg)
{
	if (b->pci_slots == BOARD_PCI_MAX) {
		return HV_E_RANGE;
	}
	board_place_pci_at(b, free_slot(b), cfg);
	return HV_OK;
}

void board_add_pci(struct board *b, struct pci_device *d, struct saved_device *saved,
		   const struct board_pci_owner *owner)
{
	CHECK(b->pci_count < ARRAY_SIZE(b->pci_devices));
	b->pci_slots += d->devfn == free_slot(b);
	b->pci_devices[b->pci_count++] = (struct board_pci){d, owner};
	if (saved != NULL) {
		saved_add(b->cfg.saved, saved, d->devfn);
	}
}

void board_add_isa(struct board *b, struct vdev *dev, void (*release)(struct vdev *dev))
{
	CHECK(b->isa_device == NULL);
	b->isa_device = dev;
	b->isa_release = release;
}

void board_release(struct board *b)
{
	if (b->isa_device != NULL) {
		b->isa_release(b->isa_device);
		b->isa_device = NULL;
	}
	for (unsigned i = 0; i < b->pci_count; i++) {
		if (b->pci_devices[i].owner->release != NULL) {
			b->pci_devices[i].owner->release(b->pci_devices[i].device);
		}
	}
	b->pci_count = 0;
	b->pci_slots = 0;
}

void board_fini(struct board *b)
{
	if (b->isa_device != NULL) {
		b->isa_device->ops->fini(b->isa_device);
	}
	for (unsigned i = 0; i < b->pci_count; i++) {
		if (b->pci_devices[i].owner->stop != NULL) {
			b->pci_devices[i].owner->stop(b->pci_devices[i].device);
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		struct vdev *dev = (struct vdev *)(void *)((char *)b + ranges[i].dev);

		if (dev->ops->fini != NULL) {
			dev->ops->fini(dev);
		}
	}
}

void board_set_wall_clock(struct board *b, uint64_t seconds)
{
	cmos_rtc_set_wall(&b->rtc, seconds);
}

void board_set_disk(struct board *b, unsigned place, const struct cmos_disk *disk)
{
	cmos_rtc_set_disk(&b->rtc, place, disk);
}

void board_set_firmware_state(struct board *b, bool decode)
{
	uint16_t inputs = pci_setup(&b->pci, decode);

	for (unsigned i = 0; i < PIC_PORTS; i++) {
		const struct vdev_access a = {
			.space = BUS_PIO, .addr = LAYOUT_PIC_ELCR + i, .offset = i, .size = 1};

		b->pic.dev.ops->write(&b->pic.dev, &a, inputs >> (i * 8) & 0xff);
	}
}

/* ICW1 to ICW4 and the masks; channel 0 as a square wave at the lowest rate, 18.2 Hz. */
void board_set_bios_state(struct board *b)
{
	const struct {
		struct vdev *dev;
		uint16_t port;
		uint8_t value;
	} writes[] = {
		{&b->pic.dev, LAYOUT_PIC_MASTER, 0x11},
		{&b->pic.dev, LAYOUT_PIC_MASTER + 1, LEGACY_MASTER_BASE},
		{&b->pic.dev, LAYOUT_PIC_MASTER + 1, BIT32(PIC_CASCADE_IRQ)},
		{&b->pic.dev, LAYOUT_PIC_MASTER + 1, 0x01},
		{&b->pic.dev, LAYOUT_PIC_SLAVE, 0x11},
		{&b->pic.dev, LAYOUT_PIC_SLAVE + 1, LEGACY_SLAVE_BASE},
		{&b->pic.dev, LAYOUT_PIC_SLAVE + 1, PIC_CASCADE_IRQ},
		{&b->pic.dev, LAYOUT_PIC_SLAVE + 1, 0x01},
		{&b->pic.dev, LAYOUT_PIC_MASTER + 1, LEGACY_MASTER_MASK},
		{&b->pic.dev, LAYOUT_PIC_SLAVE + 1, LEGACY_SLAVE_MASK},
		{&b->pit.dev, LAYOUT_PIT + 3, 0x36},
		{&b->pit.dev, LAYOUT_PIT, 0},
		{&b->pit.dev, LAYOUT_PIT, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(writes); i++) {
		const struct vdev_access a = {.space = BUS_PIO, .addr = writes[i].port, .size = 1};

		writes[i].dev->ops->write(writes[i].dev, &a, writes[i].value);
	}
}

/* --- for the run loop --- */

int board_pending(const struct board *b, unsigned vcpu)
{
	return lapic_extint_pending(&b->lapics[vcpu]) ? BOARD_EXTINT
						      : lapic_pending(&b->lapics[vcpu]);
}

int board_requested(const struct board *b, unsigned vcpu)
{
	return lapic_extint_pending(&b->lapics[vcpu]) ? BOARD_EXTINT
						      : lapic_highest_irr(&b->lapics[vcpu]);
}

uint8_t board_accept(struct board *b, unsigned vcpu)
{
	int vector;

	if (lapic_extint_pending(&b->lapics[vcpu])) {
		return pic_ack(&b->pic);
	}
	vector = lapic_pending(&b->lapics[vcpu]);
	if (vector < 0 || !lapic_accept(&b->lapics[vcpu], (uint8_t)vector)) {
		/* Withdrawn in between: what a real LAPIC delivers then. */
		return (uint8_t)b->lapics[vcpu].svr;
	}
	return (uint8_t)vector;
}

size_t board_serial_input(struct board *b, const char *data, size_t n)
{
	return uart16550_receive(&b->com1, data, n);
}

void board_press_power_button(struct board *b)
{
	acpi_pm_press_power_button(&b->pm);
}

bool board_serial_break(struct board *b)
{
	return b->cfg.serial && uart16550_receive_break(&b->com1);
}

void board_nmi(struct board *b)
{
	if (cmos_rtc_nmi_masked(&b->rtc)) {
		return;
	}
	for (unsigned i = 0; i < b->cfg.vcpu_count; i++) {
		lapic_pulse_lint1(&b->lapics[i]);
	}
}
