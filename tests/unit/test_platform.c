/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bringing up machines that have more or less of what a PC can have. Devices are small models
 * behind ports, MSRs and register pages; the drivers have tests of their own.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "drivers/font.h"
#include "guests/tables/acpi.h"
#include "hv/api/clock.h"
#include "hv/base/bits.h"
#include "hv/base/log.h"
#include "hv/console.h"
#include "hv/cpu/ap_mailbox.h"
#include "hv/cpu/features.h"
#include "hv/cpu/msr.h"
#include "hv/cpu/percpu.h"
#include "hv/cpu/trap.h"
#include "hv/cpus.h"
#include "hv/monitor.h"
#include "hv/platform.h"
#include "hv/run.h"
#include "hv/vcpu.h"
#include "hv/wallclock.h"
#include "mm/space.h"
#include "tests/fakes/access.h"
#include "tests/fakes/check.h"
#include "tests/fakes/fake_backend.h"
#include "tests/fakes/fake_cpu.h"

#define HZ 2000000000ull
#define COM1 0x3f8
#define COM2 0x2f8
#define IOAPIC_BASE 0xfec00000ull
#define CARD_BASE 0xfebc0000ull
#define X2APIC(reg) (MSR_X2APIC_FIRST + (reg) / 16)

/* A framebuffer and the ACPI tables lie where PCs have video memory and firmware. */
#define SCREEN_AT 0xa0000ull
#define SCREEN_WIDTH 640u
#define SCREEN_HEIGHT 96u
#define COLUMNS (SCREEN_WIDTH / FONT_WIDTH)
#define ROWS (SCREEN_HEIGHT / FONT_ROWS)

static struct {
	bool ioapic;
	bool clock; /* CPUID tells the TSC's frequency */
	bool apic;
	/* Serial port. */
	uint16_t uart; /* base; 0: none */
	uint8_t lcr, mcr, scr, ier;
	char wire[65536];
	size_t wire_count;
	const char *input;
	/* Keyboard controller. */
	bool keyboard;
	uint8_t queue[64];
	unsigned head, tail;
	uint8_t config, command;
	/* Wall clock. */
	bool rtc;
	uint8_t cmos_index;
	/* IOAPIC. */
	uint32_t selected;
	uint32_t redirection[64];
	/* Local APIC. */
	unsigned eois;
	uint64_t deadline;
	/* A network card at 00:03.0 of a PCI bus without ECAM. */
	bool card;
	uint32_t config_address;
	uint32_t card_bar;
	/* Start-up messages, and who answers them. */
	uint32_t answering; /* APIC id; 0: nobody */
	unsigned startups;
	/* Those that came as far as the run loop, which lists all that should. */
	uint32_t entered[4];
	unsigned entered_count;
} pc;

static struct handoff handoff;
static uint64_t log_mark; /* where the log of this test begins */

/* --- models --- */

static uint32_t uart_in(void *ctx, uint16_t port, unsigned size)
{
	bool data = pc.input != NULL && *pc.input != '\0';

	(void)ctx;
	(void)size;
	switch (port - pc.uart) {
	case 0:
		return data ? (uint8_t)*pc.input++ : 0;
	case 1:
		return pc.ier;
	case 2:
		return 0xc1;
	case 5:
		return 0x60u | (data ? 1u : 0u);
	case 6:
		return (pc.mcr & 0x10) != 0 ? (pc.mcr & 0x0cu) << 4 | (pc.mcr & 2u) << 3 : 0xb0u;
	case 7:
		return pc.scr;
	default:
		return 0;
	}
}

static void uart_out(void *ctx, uint16_t port, unsigned size, uint32_t value)
{
	uint8_t byte = (uint8_t)value;

	(void)ctx;
	(void)size;
	switch (port - pc.uart) {
	case 0:
		if ((pc.lcr & 0x80) == 0 && pc.wire_count < sizeof(pc.wire) - 1) {
			pc.wire[pc.wire_count++] = (char)byte;
			pc.wire[pc.wire_count] = '\0';
		}
		break;
	case 1:
		pc.ier = (pc.lcr & 0x80) == 0 ? byte : pc.ier;
		break;
	case 3:
		pc.lcr = byte;
		break;
	case 4:
		pc.mcr = byte;
		break;
	case 7:
		pc.scr = byte;
		break;
	default:
		break;
	}
}

static uint32_t kbd_in(void *ctx, uint16_t port, unsigned size)
{
	(void)ctx;
	(void)size;
	if (port == 0x64) {
		return 0x14u | (pc.head != pc.tail ? 1u : 0u);
	}
	return pc.head != pc.tail ? pc.queue[pc.tail++ % 64] : 0;
}

static void kbd_out(void *ctx, uint16_t port, unsigned size, uint32_t value)
{
	(void)ctx;
	(void)size;
	if (port == 0x64) {
		pc.command = (uint8_t)value;
		if (value == 0x20) {
			pc.queue[pc.head++ % 64] = pc.config;
		}
	} else if (pc.command == 0x60) {
		pc.config = (uint8_t)value;
		pc.command = 0;
	} else if (value == 0xf4) {
		pc.queue[pc.head++ % 64] = 0xfa;
	}
}

/* 2026-01-02 03:04:05, in BCD. */
static uint32_t rtc_in(void *ctx, uint16_t port, unsigned size)
{
	static const uint8_t cmos[] = {0x05, 0, 0x04, 0, 0x03, 0, 0, 0x02, 0x01, 0x26, 0x26, 0x02};

	(void)ctx;
	(void)port;
	(void)size;
	return pc.cmos_index < sizeof(cmos) ? cmos[pc.cmos_index]
	       : pc.cmos_index == 0x32	    ? 0x20
					    : 0;
}

static void rtc_out(void *ctx, uint16_t port, unsigned size, uint32_t value)
{
	(void)ctx;
	(void)port;
	(void)size;
	pc.cmos_index = (uint8_t)value;
}

static uint32_t pci_in(void *ctx, uint16_t port, unsigned size)
{
	uint32_t reg = pc.config_address & 0xfc;
	uint32_t value = reg == 0x00   ? 0x100e8086
			 : reg == 0x08 ? 0x02000003
			 : reg == 0x10 ? pc.card_bar
				       : 0;

	(void)ctx;
	if (port < 0xcfc) {
		return size == 4 ? pc.config_address : ~0u;
	}
	if ((pc.config_address & 0x80ffff00) != (1u << 31 | 3u << 11)) {
		return ~0u;
	}
	return value >> (port & 3) * 8;
}

static void pci_out(void *ctx, uint16_t port, unsigned size, uint32_t value)
{
	(void)ctx;
	(void)size;
	if (port == 0xcf8) {
		pc.config_address = value;
	} else if (pc.config_address == (1u << 31 | 3u << 11 | 0x10)) {
		pc.card_bar = value & 0xfffe0000;
	}
}

static const struct fake_port_hook pci_hook = {0xcf8, 0xcff, pci_in, pci_out, NULL};
static const struct fake_port_hook com1_hook = {COM1, COM1 + 7, uart_in, uart_out, NULL};
static const struct fake_port_hook com2_hook = {COM2, COM2 + 7, uart_in, uart_out, NULL};
static const struct fake_port_hook data_hook = {0x60, 0x60, kbd_in, kbd_out, NULL};
static const struct fake_port_hook status_hook = {0x64, 0x64, kbd_in, kbd_out, NULL};
static const struct fake_port_hook rtc_hook = {0x70, 0x71, rtc_in, rtc_out, NULL};

/* Device registers are known by the physical address that they are mapped to. */
static uint64_t physical(hva_t addr)
{
	struct fake_translation t;

	assert_true(fake_translate(addr, &t));
	return t.pa.v;
}

static uint32_t mmio_read(hva_t addr)
{
	uint64_t pa = physical(addr);

	if (pc.card && pa >> 17 == CARD_BASE >> 17) {
		/* Link up; the address, valid. */
		return pa == CARD_BASE + 0x8	  ? 2
		       : pa == CARD_BASE + 0x5400 ? 0x12005452
		       : pa == CARD_BASE + 0x5404 ? 0x80005634
						  : 0;
	}
	if (!pc.ioapic || pa != IOAPIC_BASE + 0x10) {
		return ~0u;
	}
	if (pc.selected == 1) {
		return 23u << 16 | 0x20;
	}
	return pc.selected >= 0x10 && pc.selected < 0x50 ? pc.redirection[pc.selected - 0x10] : 0;
}

static void mmio_write(hva_t addr, uint32_t value)
{
	uint64_t pa = physical(addr);

	if (pa == IOAPIC_BASE) {
		pc.selected = value;
	} else if (pa == IOAPIC_BASE + 0x10 && pc.selected >= 0x10 && pc.selected < 0x50) {
		pc.redirection[pc.selected - 0x10] = value;
	}
}

static void set_apic_id(uint32_t id)
{
	struct cpuid_regs r = cpu_cpuid(1, 0);

	r.ebx = id << 24;
	fake_cpuid_set(1, 0, r);
}

/* What another CPU executes from the first C code on, with its own GS and CPUID. */
static void run_processor(void (*entry)(struct cpu_local *cpu), struct cpu_local *cpu)
{
	uint64_t gs = fake_msr_get(MSR_GS_BASE);

	set_apic_id(cpu->apic_id);
	EXPECT_STOP(entry(cpu));
	set_apic_id(0);
	fake_msr_set(MSR_GS_BASE, gs);
}

static void processor_starts(uint32_t apic_id, uint64_t page)
{
	struct ap_mailbox *m = (void *)(uintptr_t)(page + AP_MAILBOX_OFFSET);
	uint32_t open = AP_SLOT_OPEN;

	pc.startups++;
	if (apic_id == pc.answering &&
	    atomic_compare_exchange_strong(&m->slot, &open, AP_SLOT_CLOSED)) {
		run_processor((void (*)(struct cpu_local *))(uintptr_t)m->entry,
			      (struct cpu_local *)(uintptr_t)m->argument);
	}
}

/* Where the run loop of the others would begin. */
static void enter(struct cpu_local *cpu)
{
	assert_ptr_equal(cpu_this(), cpu);
	assert_int_equal(cpu_get_state(cpu), CPU_ONLINE);
	assert_ptr_equal(space_current(), space_core());
	assert_true(pc.entered_count < ARRAY_SIZE(pc.entered));
	pc.entered[pc.entered_count++] = cpu->apic_id;
}

static bool read_msr(uint32_t index, uint64_t *value, bool *handled)
{
	*handled = index >= MSR_X2APIC_FIRST && index <= MSR_X2APIC_LAST;
	*value = 0;
	return pc.apic;
}

static bool write_msr(uint32_t index, uint64_t value, bool *handled)
{
	*handled = (index >= MSR_X2APIC_FIRST && index <= MSR_X2APIC_LAST) ||
		   index == MSR_IA32_TSC_DEADLINE;
	if (index == MSR_IA32_TSC_DEADLINE) {
		pc.deadline = value;
	} else if (index == X2APIC(0xb0)) {
		pc.eois++;
	} else if (index == X2APIC(0x300) && (value & 0x700) == 0x600) {
		processor_starts((uint32_t)(value >> 32), (value & 0xff) << 12);
	}
	return pc.apic;
}

static void set_cpuid(void)
{
	/* x2APIC, TSC deadline, below a hypervisor; PAT, APIC, FXSR. */
	uint32_t ecx = 1u << 21 | 1u << 24 | 1u << 31;
	uint32_t edx = 1u << 16 | (pc.apic ? 1u << 9 : 0) | 1u << 24;

	fake_cpuid_set(0, 0, (struct cpuid_regs){1, 0x68747541, 0x444d4163, 0x69746e65});
	fake_cpuid_set(1, 0, (struct cpuid_regs){0x00a20f10, 0, ecx, edx});
	fake_cpuid_set(0x40000000, 0,
		       (struct cpuid_regs){0x40000010, 0x656b6146, 0x656b6146, 0x656b6146});
	if (pc.clock) {
		fake_cpuid_set(0x40000010, 0, (struct cpuid_regs){.eax = HZ / 1000});
	}
}

/* --- booting --- */

static void no_work(uint64_t deadline)
{
	(void)deadline;
}

static void nothing(void)
{
}

static const struct run_ops run_ops = {no_work, platform_poll, platform_kick, nothing, NULL};

static void init_run_loop(void)
{
	static uint16_t cores[CPU_MAX];
	struct run_config config = {.ops = &run_ops, .cores = cores};

	platform_find_cpus(&handoff, enter);
	cpus_cores(cores);
	config.cpu_count = percpu_count();
	run_init(&config);
	run_cpu_init();
}
static const struct console_ops console_ops = {platform_write, monitor_key, monitor_prompt, NULL};
static const struct monitor_ops monitor_ops = {
	.power_off = platform_power_off,
	.reboot = platform_reboot,
	.describe_machine = platform_describe,
};

static int setup(void **state)
{
	(void)state;
	memset(&pc, 0, sizeof(pc));
	pc.apic = pc.clock = true;
	handoff = (struct handoff){0};
	log_set_sink(NULL);
	log_set_threshold(LOG_INFO);
	log_mark = log_ring()->end;
	return 0;
}

static void plug_in(void)
{
	if (pc.uart != 0) {
		fake_port_hook(pc.uart == COM1 ? &com1_hook : &com2_hook);
	}
	if (pc.keyboard) {
		fake_port_hook(&data_hook);
		fake_port_hook(&status_hook);
	}
	if (pc.card) {
		pc.card_bar = CARD_BASE;
		fake_port_hook(&pci_hook);
	}
	if (pc.rtc) {
		fake_port_hook(&rtc_hook);
	}
	fake_cpu.on_mmio_read = mmio_read;
	fake_cpu.on_mmio_write = mmio_write;
	fake_cpu.on_rdmsr = read_msr;
	fake_cpu.on_wrmsr = write_msr;
}

/* What hv/main.c does before the platform's facts, in its order. */
static void switch_on(void)
{
	struct cpu_local *cpu;

	fake_cpu_reset();
	plug_in();
	fake_cpu.tsc = 5000000;
	fake_cpu.tsc_step = 1000;
	/* A port that nobody answers is none for the driver. */
	handoff.serial_port = pc.uart != 0 ? pc.uart : 0x3e8;
	platform_early_console(&handoff);
	console_init(&console_ops, false);
	monitor_init(&monitor_ops, false);
	log_set_sink(console_write);
	log_event("hypervisor entered");
	fake_machine(MIB(16));
	set_cpuid();
	cpu_features_init();
	cpu = percpu_init_boot(0x1000, 0x2000, 0);
	percpu_activate(cpu);
	trap_init();
	vcpu_set_backend(&fake_hv_backend);
}

/* And the rest. */
static void boot(void)
{
	switch_on();
	platform_screen(&handoff);
	assert_int_equal(platform_facts(&handoff), HV_OK);
	assert_int_equal(platform_interrupts(), HV_OK);
	init_run_loop();
	platform_input();
	platform_devices(NULL);
	monitor_init(&monitor_ops, true);
}

static const char *logged(void)
{
	static char text[32768];
	uint64_t pos = log_mark;
	size_t n = ring_read(log_ring(), &pos, text, sizeof(text) - 1);

	text[n] = '\0';
	return text;
}

static void assert_logged(const char *words)
{
	if (strstr(logged(), words) == NULL) {
		fail_msg("no '%s' in:\n%s", words, logged());
	}
}

static void assert_wire_has(const char *words)
{
	if (strstr(pc.wire, words) == NULL) {
		fail_msg("no '%s' on the wire:\n%s", words, pc.wire);
	}
}

static void forget_wire(void)
{
	pc.wire_count = 0;
	pc.wire[0] = '\0';
}

static void time_passes(uint64_t ticks)
{
	fake_tsc += ticks;
	timer_queue_run(run_timers(), clock_now());
}

/* --- what must be there --- */

static void without_a_clock_there_is_no_start(void **state)
{
	(void)state;
	pc.clock = false;
	switch_on();
	assert_int_equal(platform_facts(&handoff), HV_E_IO);
	assert_logged("error: clock: no way to find the TSC's frequency\n");
}

static void without_a_local_apic_there_is_no_start(void **state)
{
	(void)state;
	pc.apic = false;
	switch_on();
	assert_int_equal(platform_facts(&handoff), HV_OK);
	assert_int_equal(platform_interrupts(), HV_E_UNSUPPORTED);
	assert_logged("error: local APIC: unsupported\n");
}

/* --- and nothing more --- */

static void a_machine_with_nothing_else_comes_up(void **state)
{
	(void)state;
	boot();
	assert_logged("info: screen: no linear framebuffer\n");
	assert_logged("info: ACPI: none: using firmware and defaults\n");
	assert_logged("info: clock: TSC at 2000000 kHz, from hypervisor\n");
	assert_logged("warn: clock: no time of day: starting at 1970\n");
	assert_logged("info: local APIC: x2APIC, timer by TSC deadline\n");
	assert_logged("warn: IOAPIC at 0xfec00000 does not answer\n");
	assert_logged("info: input: serial no, keyboard no, by interrupt\n");
	assert_int_equal(wallclock_now(), 0);
	/* Nobody to ask: no timer runs. */
	assert_int_equal(timer_queue_next(run_timers()), TIMER_NEVER);
	platform_poll();
	platform_write("lost\n", 5);
	platform_emergency_write("lost\n", 5);
	trap_irq_dispatch(0x30);
}

static void the_host_timer_is_the_local_apic_s(void **state)
{
	unsigned eois;

	(void)state;
	boot();
	platform_arm_timer(123456);
	assert_int_equal(pc.deadline, 123456);
	eois = pc.eois;
	trap_irq_dispatch(0xef);
	assert_int_equal(pc.eois, eois + 1);
	platform_arm_timer(TIMER_NEVER);
	assert_int_equal(pc.deadline, 0);
}

static void the_time_of_day_is_read(void **state)
{
	(void)state;
	pc.rtc = true;
	boot();
	assert_int_equal(wallclock_now(), 1767323045);
}

/* --- the serial port --- */

static void the_log_is_on_the_wire_from_the_first_line(void **state)
{
	(void)state;
	pc.uart = COM1;
	boot();
	assert_int_equal(strncmp(pc.wire, "bulkhead: hypervisor entered\r\n", 30), 0);
	assert_wire_has("info: input: serial yes, keyboard no, by polling\r\n");
	for (size_t i = 0; i < pc.wire_count; i++) {
		assert_true(pc.wire[i] != '\n' || pc.wire[i - 1] == '\r');
	}
}

static void keys_interrupt_where_there_is_an_ioapic(void **state)
{
	(void)state;
	pc.uart = COM1;
	pc.ioapic = true;
	boot();
	assert_logged("info: input: serial yes, keyboard no, by interrupt\n");
	assert_int_equal(pc.redirection[2 * 4], 0x30);
	assert_int_equal(pc.redirection[2 * 4 + 1], 0);
	assert_int_equal(pc.redirection[2 * 1], 0x10000);
	assert_int_equal(pc.redirection[2 * 3], 0x10000);
	assert_int_equal(pc.ier & 1, 1);
	assert_int_equal(timer_queue_next(run_timers()), TIMER_NEVER);
	forget_wire();
	pc.eois = 0;
	pc.input = "nope\r";
	trap_irq_dispatch(0x30);
	assert_int_equal(pc.eois, 1);
	/* Taken from the UART, not yet acted upon: that is not for interrupt handlers. */
	assert_string_equal(pc.input, "");
	assert_int_equal(pc.wire_count, 0);
	platform_poll();
	assert_wire_has("nope\r\nno command 'nope'; `help` lists them\r\nbulkhead> ");
}

static void the_second_port_has_another_line(void **state)
{
	(void)state;
	pc.uart = COM2;
	pc.ioapic = true;
	boot();
	assert_int_equal(pc.redirection[2 * 3], 0x30);
	assert_int_equal(pc.redirection[2 * 4], 0x10000);
}

static void keys_are_polled_for_where_there_is_none(void **state)
{
	uint64_t next;

	(void)state;
	pc.uart = COM1;
	boot();
	assert_int_equal(pc.ier, 0);
	for (unsigned i = 0; i < 3; i++) {
		next = timer_queue_next(run_timers());
		assert_true(next > fake_tsc && next <= fake_tsc + HZ / 100);
		time_passes(HZ / 100);
	}
	forget_wire();
	pc.input = "ab";
	platform_poll();
	assert_string_equal(pc.wire, "ab");
}

static void an_emergency_waits_for_nobody(void **state)
{
	(void)state;
	pc.uart = COM1;
	boot();
	forget_wire();
	platform_emergency_write("panic: x\r\n", 10);
	assert_string_equal(pc.wire, "panic: x\r\n");
}

/* --- the keyboard --- */

static void presses(uint8_t code)
{
	pc.queue[pc.head++ % 64] = code;
}

static void the_keyboard_interrupts(void **state)
{
	(void)state;
	pc.uart = COM1;
	pc.keyboard = pc.ioapic = true;
	pc.config = 0x30;
	boot();
	assert_logged("info: input: serial yes, keyboard yes, by interrupt\n");
	assert_int_equal(pc.redirection[2 * 1], 0x31);
	assert_int_equal(pc.config & 0x11, 0x01);
	forget_wire();
	pc.eois = 0;
	presses(0x23);
	presses(0xa3);
	presses(0x17);
	trap_irq_dispatch(0x31);
	assert_int_equal(pc.eois, 1);
	assert_int_equal(pc.head, pc.tail);
	platform_poll();
	assert_string_equal(pc.wire, "hi");
}

static void the_keyboard_is_polled(void **state)
{
	(void)state;
	pc.keyboard = true;
	pc.config = 0x31;
	boot();
	assert_logged("info: input: serial no, keyboard yes, by polling\n");
	assert_int_equal(pc.config & 1, 0);
	assert_true(timer_queue_next(run_timers()) != TIMER_NEVER);
	presses(0x1e);
	platform_poll();
	assert_int_equal(pc.head, pc.tail);
}

/* --- ACPI --- */

/* The tables that guests get; the machine has them here. */
static uint8_t *acpi_tables(unsigned cpus)
{
	const struct acpi_config config = {.vcpu_count = cpus, .serial = true};
	uint8_t *image = fake_ram(hpa(LAYOUT_ACPI_BASE));
	size_t used;

	assert_int_equal(acpi_build(&config, image, LAYOUT_ACPI_SIZE, &used), HV_OK);
	handoff.rsdp = GUEST_RSDP;
	return image;
}

/* Makes the MADT's first override, of the timer, say that COM1 is at GSI 20, low and level. */
static void move_com1(uint8_t *image)
{
	static const uint8_t timer[] = {2, 10, 0, 0, 2, 0, 0, 0};
	static const uint8_t serial[] = {2, 10, 0, 4, 20, 0, 0, 0, 0x0f, 0};
	uint8_t *madt = NULL;

	for (size_t at = 0x1000; at + 256 < LAYOUT_ACPI_SIZE && madt == NULL; at++) {
		madt = memcmp(image + at, "APIC", 4) == 0 ? image + at : NULL;
	}
	assert_non_null(madt);
	for (size_t at = 44; at < 200; at++) {
		if (memcmp(madt + at, timer, sizeof(timer)) == 0) {
			for (size_t i = 0; i < sizeof(serial); i++) {
				madt[9] = (uint8_t)(madt[9] + madt[at + i] - serial[i]);
				madt[at + i] = serial[i];
			}
			return;
		}
	}
	fail_msg("the MADT has no override of the timer");
}

static void lines_follow_the_madt(void **state)
{
	(void)state;
	pc.uart = COM1;
	pc.ioapic = true;
	switch_on();
	move_com1(acpi_tables(1));
	assert_int_equal(platform_facts(&handoff), HV_OK);
	assert_int_equal(platform_interrupts(), HV_OK);
	init_run_loop();
	platform_input();
	assert_logged("info: ACPI: tables found\n");
	assert_int_equal(pc.redirection[2 * 20], 0x30 | 1u << 13 | 1u << 15);
	assert_int_equal(pc.redirection[2 * 4], 0x10000);
}

/* --- the end --- */

static struct {
	uint16_t port;
	uint32_t value;
} written;

static uint32_t pm_in(void *ctx, uint16_t port, unsigned size)
{
	(void)ctx;
	(void)port;
	(void)size;
	return 1; /* SCI_EN */
}

static void end_out(void *ctx, uint16_t port, unsigned size, uint32_t value)
{
	(void)ctx;
	(void)size;
	if (written.port == 0) {
		written.port = port;
		written.value = value;
	}
}

static const struct fake_port_hook pm_hook = {LAYOUT_PM1_CNT, LAYOUT_PM1_CNT, pm_in, end_out, NULL};
static const struct fake_port_hook reset_hook = {LAYOUT_RESET_PORT, LAYOUT_RESET_PORT, NULL,
						 end_out, NULL};

static void power_off_uses_what_acpi_says(void **state)
{
	(void)state;
	pc.uart = COM1;
	switch_on();
	(void)acpi_tables(1);
	assert_int_equal(platform_facts(&handoff), HV_OK);
	written.port = 0;
	fake_port_hook(&pm_hook);
	EXPECT_STOP(platform_power_off());
	assert_int_equal(written.port, LAYOUT_PM1_CNT);
	assert_int_equal(written.value, 1u | LAYOUT_SLP_TYP_S5 << 10 | 1u << 13);
	/* This machine did not go off; a person hears so. */
	assert_wire_has("bulkhead: The machine cannot be switched off by software. It is safe to "
			"switch it off now.\r\n");
}

static void reboot_uses_what_acpi_says(void **state)
{
	(void)state;
	switch_on();
	(void)acpi_tables(1);
	assert_int_equal(platform_facts(&handoff), HV_OK);
	written.port = 0;
	fake_port_hook(&reset_hook);
	EXPECT_TRIPLE_FAULT(platform_reboot());
	assert_int_equal(written.port, LAYOUT_RESET_PORT);
	assert_int_equal(written.value, LAYOUT_RESET_VALUE);
}

/* --- the other processors --- */

#define TRAMPOLINE 0x90000ull

/* platform.c reaches the trampoline by its physical address. */
static void map_trampoline(void)
{
	void *page = mmap((void *)(uintptr_t)TRAMPOLINE, PAGE_SIZE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	assert_int_equal((uintptr_t)page, TRAMPOLINE);
	handoff.trampoline = TRAMPOLINE;
}

static void processors_come_from_firmware(void **state)
{
	static const struct handoff_cpu cpus[] = {
		{0, HANDOFF_CPU_BSP | HANDOFF_CPU_ENABLED},
		{4, HANDOFF_CPU_ENABLED},
		{5, HANDOFF_CPU_HEALTHY},
		{6, HANDOFF_CPU_ENABLED},
	};

	(void)state;
	boot();
	map_trampoline();
	handoff.cpus = FAKE_LOADER_BASE + 0x3000;
	handoff.cpu_count = ARRAY_SIZE(cpus);
	memcpy(fake_ram(hpa(handoff.cpus)), cpus, sizeof(cpus));
	pc.answering = 4;
	init_run_loop();
	(void)cpus_start();
	assert_logged("info: CPUs: 3, from EFI MP services: 2 running, 1 failed; ");
	assert_logged("warn: CPU with APIC id 6 did not answer\n");
	assert_int_equal(percpu_count(), 3);
	assert_int_equal(cpu_get_state(percpu_by_apic_id(4)), CPU_ONLINE);
	assert_int_equal(cpu_get_state(percpu_by_apic_id(6)), CPU_FAILED);
	assert_null(percpu_by_apic_id(5));
	/* One message to who answers the first, two to who does not. */
	assert_int_equal(pc.startups, 3);
	assert_int_equal(pc.entered_count, 1);
	assert_int_equal(pc.entered[0], 4);
	assert_int_equal(cpu_this()->index, 0);
}

static void processors_come_from_acpi(void **state)
{
	(void)state;
	switch_on();
	(void)acpi_tables(2);
	assert_int_equal(platform_facts(&handoff), HV_OK);
	assert_int_equal(platform_interrupts(), HV_OK);
	map_trampoline();
	pc.answering = 1;
	init_run_loop();
	(void)cpus_start();
	assert_logged("info: CPUs: 2, from ACPI: 2 running, 0 failed; ");
	assert_int_equal(percpu_count(), 2);
	assert_int_equal(cpu_get_state(percpu_by_apic_id(1)), CPU_ONLINE);
	assert_int_equal(pc.entered_count, 1);
	assert_int_equal(pc.entered[0], 1);
}

static void without_a_low_page_one_processor_must_do(void **state)
{
	(void)state;
	boot();
	(void)cpus_start();
	assert_logged("warn: CPUs: no page below 1 MiB to start others with: using one\n");
	assert_int_equal(percpu_count(), 1);
	assert_int_equal(pc.entered_count, 0);
}

/* --- for people --- */

static void the_machine_describes_itself(void **state)
{
	static const char *const lines[] = {
		"cpu           ",
		" (family 0x19 model 0x21 stepping 0)\r\nbelow         FakeFakeFake\r\n",
		"backend       fake",
		"  code in large pages yes, RDTSCP yes, INVPCID yes, pause filter ",
		"  virtual interrupts no, posted no; not used: posted interrupts no, TSC scaling no\r\n",
		"acpi          no\r\n",
		"clock         TSC 2000000 kHz from hypervisor (measured 0 kHz), invariant no\r\n",
		"local apic    x2APIC, timer by TSC deadline\r\n",
		"serial        yes at 0x3f8, input by interrupt\r\n",
		"screen        none\r\n",
		"network card  e1000-0 at 00:03.0, Intel 82540EM, 52:54:00:12:34:56, not used\r\n",
		"pci           1 functions, 0 disks\r\n",
	};

	(void)state;
	pc.uart = COM1;
	pc.ioapic = true;
	pc.card = true;
	boot();
	forget_wire();
	pc.input = "info machine\r";
	trap_irq_dispatch(0x30);
	platform_poll();
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		assert_wire_has(lines[i]);
	}
}

/* --- the screen, which cannot be taken away again: last --- */

/* Text of the framebuffer, row by row; '#' is no character of the font. */
static const char *screen(void)
{
	static char text[ROWS * (COLUMNS + 1) + 1];
	const uint32_t *pixels = fake_ram(hpa(SCREEN_AT));
	char *out = text;

	for (unsigned cell = 0; cell < ROWS * COLUMNS; cell++) {
		uint8_t glyph[FONT_ROWS] = {0};
		char c = '#';

		for (unsigned i = 0; i < FONT_ROWS * FONT_WIDTH; i++) {
			unsigned y = cell / COLUMNS * FONT_ROWS + i / FONT_WIDTH;
			unsigned x = cell % COLUMNS * FONT_WIDTH + i % FONT_WIDTH;
			bool on = (pixels[y * SCREEN_WIDTH + x] & 0xffffff) != 0;

			glyph[i / FONT_WIDTH] |= (uint8_t)(on ? 0x80u >> i % FONT_WIDTH : 0);
		}
		for (unsigned i = 0; i < 95 && c == '#'; i++) {
			c = memcmp(glyph, font_glyphs[i], FONT_ROWS) == 0 ? (char)(' ' + i) : '#';
		}
		*out++ = c;
		if (cell % COLUMNS == COLUMNS - 1) {
			*out++ = '\n';
		}
	}
	*out = '\0';
	return text;
}

static void a_screen_that_cannot_be_used_is_left_alone(void **state)
{
	(void)state;
	handoff.framebuffer = (struct handoff_framebuffer){SCREEN_AT, 4096, 640, 480, 640, 0};
	boot();
	assert_logged("warn: screen: 640x480 framebuffer at 0xa0000 cannot be used\n");
	/* Our own memory is nobody's framebuffer. */
	handoff.framebuffer = (struct handoff_framebuffer){MIB(8), MIB(2), 640, 480, 640, 0};
	platform_screen(&handoff);
	assert_logged("warn: screen: 640x480 framebuffer at 0x800000 cannot be used\n");
}

static void the_screen_shows_the_log_from_before(void **state)
{
	(void)state;
	switch_on();
	log_info("before there was a screen");
	handoff.framebuffer =
		(struct handoff_framebuffer){SCREEN_AT,	   SCREEN_WIDTH * SCREEN_HEIGHT * 4,
					     SCREEN_WIDTH, SCREEN_HEIGHT,
					     SCREEN_WIDTH, 0};
	assert_int_equal(platform_facts(&handoff), HV_OK);
	init_run_loop();
	platform_input();
	platform_screen(&handoff);
	/* Drawn a little later, all at once. */
	assert_null(strstr(screen(), "info: "));
	assert_true(timer_queue_next(run_timers()) <= fake_tsc + HZ / 30);
	while (timer_queue_next(run_timers()) != TIMER_NEVER) {
		time_passes(HZ / 20);
	}
	if (strstr(screen(), "info: clock: TSC at 2000000 kHz, from hypervisor  ") == NULL ||
	    strstr(screen(), "info: screen: 640x96 at 0xa0000  ") == NULL) {
		fail_msg("the screen shows:\n%s", screen());
	}
	/* Text comes with the next drawing; an emergency is drawn at once. */
	platform_write("later\r\n", 7);
	assert_null(strstr(screen(), "later"));
	platform_emergency_write("panic\r\n", 7);
	assert_non_null(strstr(screen(), "later"));
	assert_non_null(strstr(screen(), "panic"));
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(without_a_clock_there_is_no_start),
		TEST(without_a_local_apic_there_is_no_start),
		TEST(a_machine_with_nothing_else_comes_up),
		TEST(the_host_timer_is_the_local_apic_s),
		TEST(the_time_of_day_is_read),
		TEST(the_log_is_on_the_wire_from_the_first_line),
		TEST(keys_interrupt_where_there_is_an_ioapic),
		TEST(the_second_port_has_another_line),
		TEST(keys_are_polled_for_where_there_is_none),
		TEST(an_emergency_waits_for_nobody),
		TEST(the_keyboard_interrupts),
		TEST(the_keyboard_is_polled),
		TEST(lines_follow_the_madt),
		TEST(power_off_uses_what_acpi_says),
		TEST(reboot_uses_what_acpi_says),
		TEST(processors_come_from_firmware),
		TEST(processors_come_from_acpi),
		TEST(without_a_low_page_one_processor_must_do),
		TEST(the_machine_describes_itself),
		TEST(a_screen_that_cannot_be_used_is_left_alone),
		TEST(the_screen_shows_the_log_from_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
