/* SPDX-License-Identifier: Apache-2.0 */
/* The board: every device at its address, every wire at its end. */
#include "tests/fakes/board_rig.h"

static void each_device_stands_at_its_address(void **state)
{
	const struct {
		const struct bus *bus;
		uint64_t first, last;
		const struct vdev *dev;
	} places[] = {
		{&pio, 0x00, 0x1f, &board->dma.dev},
		{&pio, 0x20, 0x21, &board->pic.dev},
		{&pio, 0x40, 0x43, &board->pit.dev},
		{&pio, 0x60, 0x60, &board->i8042.dev},
		{&pio, 0x61, 0x61, &board->pit.dev},
		{&pio, 0x64, 0x64, &board->i8042.dev},
		{&pio, 0x70, 0x71, &board->rtc.dev},
		{&pio, 0x80, 0x80, &board->misc.dev},
		{&pio, 0x81, 0x91, &board->dma.dev},
		{&pio, 0x92, 0x92, &board->i8042.dev},
		{&pio, 0x93, 0x9f, &board->dma.dev},
		{&pio, 0xa0, 0xa1, &board->pic.dev},
		{&pio, 0xc0, 0xdf, &board->dma.dev},
		{&pio, 0xf0, 0xf1, &board->misc.dev},
		{&pio, 0x3f8, 0x3ff, &board->com1.dev},
		{&pio, 0x4d0, 0x4d1, &board->pic.dev},
		{&pio, 0x600, 0x67f, &board->pm.dev},
		{&pio, 0xcf8, 0xcff, &board->pci.dev},
		{&pio, 0x1000, 0x1fff, &board->pci_window.dev},
		{&pio, 0x2000, 0x2017, &board->pci_window.dev},
		{&pio, 0x2018, 0xffff, &board->pci_window.dev},
		{&mmio, 0xc0000000, 0xdfffffff, &board->pci_window.dev},
		{&mmio, 0x100000000, 0xfffffffffffff, &board->pci_window.dev},
		{&mmio, 0xe0000000, 0xe00fffff, &board->pci.dev},
		{&mmio, 0xfec00000, 0xfec00fff, &board->ioapic.dev},
		{&mmio, 0xfee00000, 0xfee00fff, &board->apic_bus.dev},
	};
	uint64_t covered[2] = {0, 0};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		const struct bus *bus = places[i].bus;

		for (int last = 0; last < 2; last++) {
			const struct bus_range *r =
				bus_find(bus, last ? places[i].last : places[i].first);

			assert_non_null(r);
			assert_ptr_equal(r->dev, places[i].dev);
		}
		covered[bus == &mmio] += places[i].last - places[i].first + 1;
	}
	/* And nowhere else. */
	for (unsigned i = 0; i < pio.count; i++) {
		covered[0] -= pio.ranges[i].size;
	}
	for (unsigned i = 0; i < mmio.count; i++) {
		covered[1] -= mmio.ranges[i].size;
	}
	assert_int_equal(covered[0], 0);
	assert_int_equal(covered[1], 0);
}

static void each_device_answers(void **state)
{
	(void)state;
	assert_int_equal(in(0x3fd, 1), UART_LSR_THRE | UART_LSR_TEMT);
	assert_true((in(0x64, 1) & I8042_STATUS_SYSTEM) != 0 && in(0x64, 1) != 0xff);
	outb(0x21, 0xa5);
	assert_int_equal(in(0x21, 1), 0xa5);
	outb(0x80, 0x42);
	assert_int_equal(in(0x80, 1), 0x42);
	assert_int_equal(in(0x81, 1), 0);
	/* The cascade is open: there is no firmware to do that. */
	assert_int_equal(in(0xde, 1), 0x0e);
	assert_int_equal(in(0x604, 2) & ACPI_PM1_CNT_SCI_EN, 1);
	assert_true(bus_write(&pio, 0xcf8, 4, 0, 0x8000f800));
	assert_int_equal(in(0xcfc, 4), read32(0xe00f8000));
	assert_int_equal(read32(0xe0000000) & 0xffff, 0x8086);
	write32(LAYOUT_IOAPIC_BASE, 1);
	assert_int_equal(read32(LAYOUT_IOAPIC_BASE + 0x10), 0x00170020);
	assert_int_equal(read32(LAYOUT_LAPIC_BASE + 0x30) >> 16, 5);
	rig_advance_ns(&rig, 1000000000);
	assert_int_equal(in(0x608, 4), ACPI_PM_TIMER_HZ);
}

static void without_serial_the_ports_are_empty(void **state)
{
	unsigned with = pio.count;
	uint64_t value;

	(void)state;
	teardown(state);
	assert_int_equal(build(false, MIB(512), false), 0);
	assert_false(bus_read(&pio, 0x3f8, 1, 0, &value));
	assert_int_equal(value, 0xff);
	assert_null(bus_find(&pio, 0x3fd));
	assert_int_equal(pio.count, with - 1);
}

static void test_devices_are_there_when_asked_for(void **state)
{
	uint64_t value;

	(void)state;
	assert_false(bus_read(&pio, 0xf4, 4, 0, &value));
	assert_false(bus_read(&pio, 0xe0, 4, 0, &value));
	assert_false(bus_read(&pio, 0x2000, 1, 0, &value));
	assert_false(bus_read(&mmio, 0xff000000, 8, 0, &value));
	assert_false(bus_read(&mmio, LAYOUT_HPET_BASE, 8, 0, &value));
	teardown(state);
	assert_int_equal(build(true, MIB(512), true), 0);
	assert_int_equal(read32(LAYOUT_HPET_BASE), HPET_ID);
	assert_true(bus_write(&pio, 0xf4, 4, 0, 0x12345678));
	assert_int_equal(seen.debug_exits, 1);
	assert_int_equal(seen.status, 0x12345678);
	assert_true(bus_write(&pio, 0xe0, 4, 0, 0xcafe));
	assert_int_equal(in(0xe0, 4), 0xcafe);
	/* The last byte of the memory is the last byte of the board. */
	assert_true(bus_write(&mmio, 0xff00ffff, 1, 0, 0x77));
	assert_true(bus_read(&mmio, 0xff00ffff, 1, 0, &value));
	assert_int_equal(value, 0x77);
}

static void a_taken_address_is_an_error(void **state)
{
	struct vdev other = {.ops = board->misc.dev.ops};
	struct board_config cfg = board->cfg;

	(void)state;
	bus_init(&pio, BUS_PIO);
	bus_init(&mmio, BUS_MMIO);
	assert_int_equal(bus_register(&pio, 0x3fa, 1, &other), HV_OK);
	memset(board, 0, board_size(CPUS, cfg.test_device));
	assert_int_equal(board_init(board, &cfg), HV_E_EXISTS);
}

static void x2apic_is_there_unless_it_is_not_wanted(void **state)
{
	const uint64_t x2apic = MASK(11, 10);
	struct board_config cfg = board->cfg;

	(void)state;
	assert_int_equal(lapic_msr_write(board_lapic(board, 1), LAPIC_MSR_APIC_BASE,
					 LAYOUT_LAPIC_BASE | x2apic),
			 LAPIC_MSR_OK);
	board_fini(board);
	bus_init(&pio, BUS_PIO);
	bus_init(&mmio, BUS_MMIO);
	saved_set_init(&saved);
	memset(board, 0, board_size(CPUS, cfg.test_device));
	cfg.xapic_only = true;
	assert_int_equal(board_init(board, &cfg), HV_OK);
	assert_int_equal(lapic_msr_write(board_lapic(board, 1), LAPIC_MSR_APIC_BASE,
					 LAYOUT_LAPIC_BASE | x2apic),
			 LAPIC_MSR_GP);
}

/* --- interrupts --- */

/* ISA line `irq` at both controllers: bit `gsi` of the IOAPIC, input `irq` of the 8259s. */
static void the_test_device_pulls_lines(void **state)
{
	(void)state;
	teardown(state);
	assert_int_equal(build(true, MIB(512), true), 0);
	outb(0x200e, 1);
	assert_line(14, 14, true);
	outb(0x200e, 0);
	assert_line(14, 14, false);
	outb(0x2000, 1);
	assert_line(0, 2, true);
	outb(0x2017, 1);
	assert_int_equal(board->ioapic.lines >> 23 & 1, 1);
	outb(0x2017, 0);
	assert_int_equal(board->ioapic.lines >> 23 & 1, 0);
}

static void isa_lines_reach_both_controllers(void **state)
{
	const char c = 'x';
	const uint8_t key[] = {0x1e};

	(void)state;
	/* 1: the keyboard. */
	assert_line(1, 1, false);
	assert_true(i8042_key(&board->i8042, key, 1));
	assert_line(1, 1, true);
	(void)in(0x60, 1);
	assert_line(1, 1, false);
	/* 4: COM1, with its interrupt gate open. */
	outb(0x3f8 + UART_LCR, 3);
	outb(0x3f8 + UART_MCR, UART_MCR_OUT2);
	outb(0x3f8 + UART_IER, UART_IER_RDA);
	assert_int_equal(board_serial_input(board, &c, 1), 1);
	assert_line(4, 4, true);
	assert_int_equal(in(0x3f8, 1), 'x');
	assert_line(4, 4, false);
	/* 8: the RTC's update interrupt. */
	outb(0x70, 0x0b);
	outb(0x71, 0x12);
	rig_advance_ns(&rig, 1100000000);
	assert_line(8, 8, true);
	outb(0x70, 0x0c);
	assert_true((in(0x71, 1) & 0x90) == 0x90);
	assert_line(8, 8, false);
	/* 9: the SCI, by the power button. */
	assert_true(bus_write(&pio, 0x602, 2, 0, ACPI_PM1_PWRBTN));
	board_press_power_button(board);
	assert_line(9, 9, true);
	assert_true(bus_write(&pio, 0x600, 2, 0, ACPI_PM1_PWRBTN));
	assert_line(9, 9, false);
}

static void the_timer_is_irq_0_and_gsi_2(void **state)
{
	(void)state;
	/* Mode 3: OUT is high for the first half of the period. */
	outb(0x43, 0x36);
	outb(0x40, 0);
	outb(0x40, 0);
	rig_advance_ns(&rig, 60000000);
	assert_line(0, 2, true);
	assert_int_equal(board->ioapic.lines & 1, 0);
	rig_advance_ns(&rig, 28000000);
	assert_true(timer_queue_next(&rig.queue) != TIMER_NEVER);
}

static void start_pit(void)
{
	outb(0x43, 0x34);
	outb(0x40, 0xa9);
	outb(0x40, 0x04);
}

static void the_8259_reaches_the_first_vcpu_only(void **state)
{
	(void)state;
	init_pics(0xfe);
	assert_int_equal(board_pending(board, 0), -1);
	assert_int_equal(seen.kicks[0], 0);
	start_pit();
	rig_advance_ns(&rig, 2100000);
	assert_true(seen.kicks[0] > 0);
	assert_int_equal(board_pending(board, 0), BOARD_EXTINT);
	assert_int_equal(board_requested(board, 0), BOARD_EXTINT);
	assert_int_equal(board_pending(board, 1), -1);
	assert_int_equal(board_accept(board, 0), 8);
	assert_int_equal(board_pending(board, 0), -1);
}

static void the_ioapic_delivers_the_timer(void **state)
{
	(void)state;
	init_pics(0xff);
	lapic_write(0xf0, 0x1ff);
	ioapic_write(0x10 + 2 * 2, 0x30);
	start_pit();
	rig_advance_ns(&rig, 2100000);
	assert_int_equal(board_pending(board, 0), 0x30);
	/* The TPR holds it back; then a window has to wait for this vector. */
	lapic_write(0x80, 0x40);
	assert_int_equal(board_pending(board, 0), -1);
	assert_int_equal(board_requested(board, 0), 0x30);
	lapic_write(0x80, 0);
	assert_int_equal(board_accept(board, 0), 0x30);
	assert_int_equal(board_pending(board, 0), -1);
	lapic_write(0xb0, 0);
}

static void an_eoi_goes_back_to_level_lines(void **state)
{
	(void)state;
	lapic_write(0xf0, 0x1ff);
	ioapic_write(0x10 + 2 * 9, 0x8050); /* level-triggered */
	assert_true(bus_write(&pio, 0x602, 2, 0, ACPI_PM1_PWRBTN));
	board_press_power_button(board);
	assert_int_equal(board_accept(board, 0), 0x50);
	assert_int_equal(board_pending(board, 0), -1);
	/* Not quenched: the line is still up, so the EOI brings it again. */
	lapic_write(0xb0, 0);
	assert_int_equal(board_pending(board, 0), 0x50);
	assert_true(bus_write(&pio, 0x600, 2, 0, ACPI_PM1_PWRBTN));
	assert_int_equal(board_accept(board, 0), 0x50);
	lapic_write(0xb0, 0);
	assert_int_equal(board_pending(board, 0), -1);
}

static void a_withdrawn_interrupt_is_spurious(void **state)
{
	(void)state;
	lapic_write(0xf0, 0x1e7);
	assert_int_equal(board_pending(board, 0), -1);
	assert_int_equal(board_accept(board, 0), 0xe7);
}

static void a_bios_leaves_timer_and_8259s_running(void **state)
{
	(void)state;
	board_set_bios_state(board);
	assert_int_equal(in(0x21, 1), 0xb8);
	assert_int_equal(in(0xa1, 1), 0x8f);
	rig_advance_ns(&rig, 60000000); /* a tick is 54.9 ms */
	assert_int_equal(board_pending(board, 0), BOARD_EXTINT);
	assert_int_equal(board_accept(board, 0), 8);
	outb(0x20, 0x20);
	assert_int_equal(board_pending(board, 0), -1);
	/* IRQ 14 of the slave. */
	pic8259_set_irq(&board->pic, 14, true);
	assert_int_equal(board_accept(board, 0), 0x76);
}

/* While the HPET has their lines the 8254 and the RTC have none, and get them back as they are. */
static void the_hpet_takes_the_timers_lines(void **state)
{
	teardown(state);
	assert_int_equal(build(true, MIB(512), true), 0);
	outb(0x43, 0x36);
	outb(0x40, 0);
	outb(0x40, 0);
	rig_advance_ns(&rig, 60000000);
	assert_line(0, 2, true);
	/* Timer 0: a level of its own, 1 ms from now. */
	write32(LAYOUT_HPET_BASE + 0x100, HPET_TN_LEVEL | HPET_TN_INTERRUPT);
	write32(LAYOUT_HPET_BASE + 0x108, 14318);
	write32(LAYOUT_HPET_BASE + 0x10c, 0);
	write32(LAYOUT_HPET_BASE + 0x10, HPET_ENABLE | HPET_LEGACY);
	assert_line(0, 2, false);
	rig_advance_ns(&rig, 1001000);
	assert_line(0, 2, true);
	write32(LAYOUT_HPET_BASE + 0x20, 1);
	assert_line(0, 2, false);
	/* The 8254 goes on meanwhile: its edges are lost, the level is there again. */
	rig_advance_ns(&rig, 60000000);
	assert_line(0, 2, false);
	write32(LAYOUT_HPET_BASE + 0x10, HPET_ENABLE);
	assert_line(0, 2, true);
}

/* Two of PCI's lines are also the HPET's: each keeps what the other asserts. */
static void shared_lines_are_joined(void **state)
{
	struct irq_line pci;

	teardown(state);
	assert_int_equal(build(true, MIB(512), true), 0);
	pci = pci_host_intx(&board->pci, 4 << 3, 0);
	irq_line_set(&pci, true);
	assert_true((board->ioapic.lines & BIT32(20)) != 0);
	write32(LAYOUT_HPET_BASE + 0x140, HPET_TN_LEVEL | HPET_TN_INTERRUPT | 20u << 9);
	write32(LAYOUT_HPET_BASE + 0x148, 100);
	write32(LAYOUT_HPET_BASE + 0x14c, 0);
	write32(LAYOUT_HPET_BASE + 0x10, HPET_ENABLE);
	rig_advance_ns(&rig, 1000000);
	irq_line_set(&pci, false);
	assert_true((board->ioapic.lines & BIT32(20)) != 0);
	write32(LAYOUT_HPET_BASE + 0x20, 4);
	assert_true((board->ioapic.lines & BIT32(20)) == 0);
}

static void missed_ticks_are_made_up_for(void **state)
{
	unsigned taken = 0;

	(void)state;
	init_pics(0xfe);
	start_pit(); /* 1193 cycles: a millisecond */
	rig_advance_ns(&rig, 1500000);
	/* The vCPU does not run for ten ticks; the one that waits stands for all. */
	rig_advance_ns(&rig, 10000000);
	for (unsigned i = 0; i < 40; i++) {
		if (board_pending(board, 0) == BOARD_EXTINT) {
			assert_int_equal(board_accept(board, 0), 8);
			outb(0x20, 0x20);
			taken++;
		}
		rig_advance_ns(&rig, 250000);
	}
	/* Ten owed and ten of these ten milliseconds. */
	assert_in_range(taken, 19, 22);
}

static void the_first_cpu_is_the_bsp(void **state)
{
	uint64_t base;

	(void)state;
	for (unsigned i = 0; i < CPUS; i++) {
		assert_int_equal(lapic_msr_read(board_lapic(board, i), 0x1b, &base), LAPIC_MSR_OK);
		assert_int_equal(base, 0xfee00800 | (i == 0 ? 0x100 : 0));
		assert_int_equal(board_lapic(board, i)->id, i);
	}
}

static void messages_between_cpus_reach_the_hypervisor(void **state)
{
	(void)state;
	lapic_write(0xf0, 0x1ff);
	lapic_write(0x310, 1u << 24);
	lapic_write(0x300, 0x4400); /* NMI */
	assert_int_equal(seen.nmis[1], 1);
	lapic_write(0x300, 0x4500); /* INIT */
	assert_int_equal(seen.inits[1], 1);
	lapic_write(0x300, 0x4608); /* STARTUP */
	assert_int_equal(seen.startups, 1);
	assert_int_equal(seen.startup_vcpu, 1);
	assert_int_equal(seen.startup_vector, 8);
	assert_int_equal(seen.nmis[0] + seen.inits[0], 0);
}

/* --- the ways out --- */

static void the_reset_register(void **state)
{
	(void)state;
	outb(0xcf9, 2);
	assert_int_equal(seen.resets, 0);
	outb(0xcf9, 6);
	assert_int_equal(seen.resets, 1);
	assert_string_equal(seen.how, "by the reset register (port 0xcf9)");
}

static void the_keyboard_controller_resets(void **state)
{
	(void)state;
	outb(0x64, 0xfe);
	assert_int_equal(seen.resets, 1);
	assert_string_equal(seen.how, "by the keyboard controller");
	outb(0x92, 0x03);
	assert_int_equal(seen.resets, 2);
	assert_string_equal(seen.how, "by port 0x92");
}

static void soft_off_powers_off(void **state)
{
	(void)state;
	assert_true(bus_write(&pio, 0x604, 2, 0, LAYOUT_SLP_TYP_S5 << 10));
	assert_int_equal(seen.power_offs, 0);
	assert_true(bus_write(&pio, 0x604, 2, 0, LAYOUT_SLP_TYP_S5 << 10 | ACPI_PM1_CNT_SLP_EN));
	assert_int_equal(seen.power_offs, 1);
	assert_int_equal(seen.resets, 0);
}

/* As an operating system that wants to be woken by the clock. */
static void the_alarm_ends_s3(void **state)
{
	(void)state;
	for (uint8_t alarm = 1; alarm <= 5; alarm += 2) {
		outb(0x70, alarm);
		outb(0x71, 0xff); /* at any time: in a second */
	}
	outb(0x70, 0x0b);
	outb(0x71, 0x22);
	assert_true(bus_write(&pio, 0x602, 2, 0, ACPI_PM1_RTC));
	assert_true(bus_write(&pio, 0x604, 2, 0, LAYOUT_SLP_TYP_S3 << 10 | ACPI_PM1_CNT_SLP_EN));
	assert_int_equal(seen.suspends, 1);
	rig_advance_ns(&rig, 900000000);
	assert_int_equal(seen.wakes, 0);
	rig_advance_ns(&rig, 200000000);
	assert_int_equal(seen.wakes, 1);
	assert_int_equal(in(0x600, 2), ACPI_PM1_WAK | ACPI_PM1_RTC);
	/* And interrupts as ever. */
	assert_int_equal(board->pic.chips[1].irr & 1, 1);
}

/* --- COM1 --- */

static void serial_output_comes_in_lines(void **state)
{
	(void)state;
	for (const char *s = "hello\r\n"; *s != '\0'; s++) {
		outb(0x3f8, (uint8_t)*s);
	}
	assert_int_equal(seen.output_len, 7);
	assert_memory_equal(seen.output, "hello\r\n", 7);
	outb(0x3f8, '#');
	assert_int_equal(seen.output_len, 7);
	rig_advance_ns(&rig, 10000000);
	assert_int_equal(seen.output_len, 8);
}

static void serial_input_is_taken_as_far_as_it_fits(void **state)
{
	char text[40];

	(void)state;
	memset(text, 'k', sizeof(text));
	outb(0x3f8 + UART_LCR, 3);
	outb(0x3f8 + UART_FCR, UART_FCR_ENABLE);
	assert_int_equal(board_serial_input(board, text, sizeof(text)), UART16550_FIFO);
	assert_int_equal(seen.rooms, 0);
	for (unsigned i = 0; i < UART16550_FIFO; i++) {
		assert_int_equal(in(0x3f8, 1), 'k');
	}
	assert_true(seen.rooms > 0);
	assert_int_equal(board_serial_input(board, text, 3), 3);
}

static void a_break_arrives_on_the_line(void **state)
{
	(void)state;
	assert_true(board_serial_break(board));
	assert_int_equal(in(0x3fd, 1) & UART_LSR_BI, UART_LSR_BI);
	teardown(state);
	assert_int_equal(build(false, MIB(512), false), 0);
	assert_false(board_serial_break(board));
}

/* The first CPU's LINT1 is open, as firmware leaves it; port 0x70 keeps the NMI from all. */
static void the_nmi_button_is_lint1(void **state)
{
	(void)state;
	lapic_virtual_wire(board_lapic(board, 0));
	outb(0x70, 0x80);
	board_nmi(board);
	assert_int_equal(seen.nmis[0], 0);
	outb(0x70, 0);
	board_nmi(board);
	assert_int_equal(seen.nmis[0], 1);
	assert_int_equal(seen.nmis[1], 0);
	lapic_virtual_wire(board_lapic(board, 1));
	board_nmi(board);
	assert_int_equal(seen.nmis[1], 1);
}

/* --- CMOS --- */

static uint8_t cmos(uint8_t index)
{
	outb(0x70, index);
	return (uint8_t)in(0x71, 1);
}

static void the_clock_shows_the_wall_time(void **state)
{
	(void)state;
	board_set_wall_clock(board, 1767323045); /* 2026-01-02 03:04:05 UTC */
	assert_int_equal(cmos(0x32), 0x20);
	assert_int_equal(cmos(0x09), 0x26);
	assert_int_equal(cmos(0x08), 0x01);
	assert_int_equal(cmos(0x07), 0x02);
	assert_int_equal(cmos(0x04), 0x03);
	assert_int_equal(cmos(0x02), 0x04);
	assert_int_equal(cmos(0x00), 0x05);
	rig_advance_ns(&rig, 60000000000);
	assert_int_equal(cmos(0x02), 0x05);
}

static void cmos_tells_the_memory(void **state)
{
	(void)state;
	teardown(state);
	assert_int_equal(build(true, GIB(5), false), 0);
	/* 64 KiB units above 16 MiB, and above 4 GiB; LAYOUT_MMIO_BASE of it lie below. */
	assert_int_equal(cmos(0x34) | cmos(0x35) << 8, (LAYOUT_MMIO_BASE - MIB(16)) >> 16);
	assert_int_equal(cmos(0x5b) | cmos(0x5c) << 8 | cmos(0x5d) << 16,
			 (GIB(5) - LAYOUT_MMIO_BASE) >> 16);
	assert_int_equal(cmos(CMOS_CPUS), CPUS - 1);
	board_set_wall_clock(board, 0);
	assert_int_equal(cmos(CMOS_CPUS), CPUS - 1);
}

/* --- the end --- */

static void the_end_stops_all_timers(void **state)
{
	(void)state;
	lapic_write(0xf0, 0x1ff);
	lapic_write(0x320, 0x20040);
	lapic_write(0x380, 1000000);
	start_pit();
	outb(0x70, 0x0b);
	outb(0x71, 0x12);
	outb(0x3f8, 'x');
	assert_true(bus_write(&pio, 0x602, 2, 0, ACPI_PM1_TMR));
	assert_true(timer_queue_next(&rig.queue) != TIMER_NEVER);
	board_fini(board);
	assert_true(timer_queue_next(&rig.queue) == TIMER_NEVER);
	assert_true(list_empty(&rig.time.armed));
	/* What the UART still had is not lost. */
	assert_int_equal(seen.output_len, 1);
}

static unsigned isa_stops, isa_releases;

static void isa_stop(struct vdev *dev)
{
	(void)dev;
	isa_stops++;
}

static void isa_release(struct vdev *dev)
{
	(void)dev;
	isa_releases++;
}

static void an_isa_device_ends_with_the_board(void **state)
{
	static const struct vdev_ops isa_ops = {.fini = isa_stop};
	struct vdev dev = {.ops = &isa_ops};

	(void)state;
	board_add_isa(board, &dev, isa_release);
	board_fini(board);
	assert_int_equal(isa_stops, 1);
	assert_int_equal(isa_releases, 0);
	board_release(board);
	board_release(board);
	assert_int_equal(isa_releases, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_device_stands_at_its_address),
		TEST(each_device_answers),
		TEST(without_serial_the_ports_are_empty),
		TEST(test_devices_are_there_when_asked_for),
		TEST(a_taken_address_is_an_error),
		TEST(x2apic_is_there_unless_it_is_not_wanted),
		TEST(the_test_device_pulls_lines),
		TEST(isa_lines_reach_both_controllers),
		TEST(the_timer_is_irq_0_and_gsi_2),
		TEST(the_8259_reaches_the_first_vcpu_only),
		TEST(the_ioapic_delivers_the_timer),
		TEST(an_eoi_goes_back_to_level_lines),
		TEST(a_withdrawn_interrupt_is_spurious),
		TEST(a_bios_leaves_timer_and_8259s_running),
		TEST(missed_ticks_are_made_up_for),
		TEST(the_hpet_takes_the_timers_lines),
		TEST(shared_lines_are_joined),
		TEST(the_first_cpu_is_the_bsp),
		TEST(messages_between_cpus_reach_the_hypervisor),
		TEST(the_reset_register),
		TEST(the_keyboard_controller_resets),
		TEST(soft_off_powers_off),
		TEST(the_alarm_ends_s3),
		TEST(serial_output_comes_in_lines),
		TEST(serial_input_is_taken_as_far_as_it_fits),
		TEST(a_break_arrives_on_the_line),
		TEST(the_nmi_button_is_lint1),
		TEST(the_clock_shows_the_wall_time),
		TEST(cmos_tells_the_memory),
		TEST(the_end_stops_all_timers),
		TEST(an_isa_device_ends_with_the_board),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
