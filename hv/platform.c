/* SPDX-License-Identifier: Apache-2.0 */
/* Bringing up the real machine. */
#include "hv/platform.h"

#include "drivers/acpi.h"
#include "drivers/apic.h"
#include "drivers/disks.h"
#include "drivers/fbcon.h"
#include "drivers/ioapic.h"
#include "drivers/irq.h"
#include "drivers/nic.h"
#include "drivers/pci.h"
#include "drivers/pic.h"
#include "drivers/power.h"
#include "drivers/ps2kbd.h"
#include "drivers/rtc.h"
#include "drivers/tsc.h"
#include "drivers/uart.h"
#include "hv/api/clock.h"
#include "hv/base/acpi_format.h"
#include "hv/base/lock.h"
#include "hv/base/log.h"
#include "hv/base/str.h"
#include "hv/console.h"
#include "hv/cpu/features.h"
#include "hv/cpu/insn.h"
#include "hv/cpu/percpu.h"
#include "hv/cpu/topology.h"
#include "hv/cpu/trap.h"
#include "hv/cpus.h"
#include "hv/monitor.h"
#include "hv/run.h"
#include "hv/screen.h"
#include "hv/vcpu.h"
#include "hv/wallclock.h"
#include "mm/frame.h"
#include "mm/pool.h"
#include "mm/space.h"

#define VECTOR_PIC 0x20u
#define VECTOR_UART 0x30u
#define VECTOR_KEYBOARD 0x31u
#define VECTOR_NOTICE PLATFORM_POST_VECTOR
#define VECTOR_KICK 0xeeu
#define VECTOR_TIMER 0xefu
#define VECTOR_ERROR 0xfeu
#define VECTOR_SPURIOUS 0xffu

#define IRQ_KEYBOARD 1u
#define IOAPIC_DEFAULT_BASE 0xfec00000ull
#define INPUT_POLL_NS 10000000ull
#define DRAW_NS 33000000ull
#define DRAW_CELLS 2000u

static struct {
	struct uart uart;
	struct fbcon screen;
	bool red_first;
	struct ps2kbd keyboard;
	struct acpi_info acpi;
	struct power_config power;
	struct tsc_result tsc;
	struct cpus_config cpus;
	struct timer poll_timer; /* armed when input cannot interrupt */
	struct timer draw_timer; /* armed while the screen is behind */
	bool timers_ready;
	bool has_acpi;
	bool polled;
	/* Covers the serial port, the screen and its timer; below the console's lock. */
	struct spinlock output;
} host;

/* --- text --- */

static void draw(struct timer *t)
{
	lock_acquire(&host.output);
	if (!fbcon_draw(&host.screen, DRAW_CELLS)) {
		timer_arm(t, clock_now() + clock_ns_to_ticks(DRAW_NS));
	}
	lock_release(&host.output);
}

void platform_write(const char *data, size_t n)
{
	lock_acquire(&host.output);
	uart_write_all(&host.uart, data, n);
	fbcon_write(&host.screen, data, n);
	if (!host.timers_ready) {
		(void)fbcon_draw(&host.screen, ~0u);
	} else if (host.screen.present && !host.draw_timer.armed) {
		timer_arm(&host.draw_timer, clock_now() + clock_ns_to_ticks(DRAW_NS));
	}
	lock_release(&host.output);
}

void platform_emergency_write(const char *data, size_t n)
{
	uart_emergency_write(&host.uart, data, n);
	fbcon_emergency_write(&host.screen, data, n);
}

void platform_early_console(const struct handoff *handoff)
{
	if (handoff->serial_port != 0) {
		(void)uart_init(&host.uart, (uint16_t)handoff->serial_port);
	}
}

/* The lines from before there was a screen. */
static void show_log_so_far(void)
{
	char piece[128];
	uint64_t pos = 0;
	size_t n;

	while ((n = ring_read(log_ring(), &pos, piece, sizeof(piece))) > 0) {
		fbcon_write(&host.screen, piece, n);
	}
}

void platform_screen(const struct handoff *handoff)
{
	const struct handoff_framebuffer *fb = &handoff->framebuffer;
	struct fbcon_config config = {
		.bytes = fb->size, .width = fb->width, .height = fb->height, .stride = fb->stride};
	void *memory = NULL;

	if (fb->base == 0) {
		log_info("screen: no linear framebuffer");
		return;
	}
	host.red_first = fb->format == HANDOFF_PIXEL_RGBX;
	config.pixels = space_map_device(hpa(fb->base), fb->size, PT_WC);
	if (fbcon_memory(&config) != 0) {
		memory = pool_alloc(fbcon_memory(&config));
	}
	if (memory == NULL || !fbcon_init(&host.screen, &config, memory)) {
		log_warn("screen: %ux%u framebuffer at 0x%lx cannot be used", fb->width, fb->height,
			 fb->base);
		return;
	}
	show_log_so_far();
	log_info("screen: %ux%u at 0x%lx", fb->width, fb->height, fb->base);
}

bool platform_screen_take(struct platform_canvas *out)
{
	const struct fbcon_config *c = &host.screen.config;

	if (!host.screen.present) {
		return false;
	}
	fbcon_hide(&host.screen);
	*out = (struct platform_canvas){.pixels = c->pixels,
					.width = c->width,
					.height = c->height,
					.stride = c->stride,
					.red_first = host.red_first};
	return true;
}

void platform_screen_blank(void)
{
	fbcon_blank(&host.screen);
}

void platform_screen_give_back(void)
{
	lock_acquire(&host.output);
	fbcon_show(&host.screen);
	if (host.screen.present && !host.draw_timer.armed) {
		timer_arm(&host.draw_timer, clock_now() + clock_ns_to_ticks(DRAW_NS));
	}
	lock_release(&host.output);
}

/* --- facts --- */

static const void *map_table(void *ctx, uint64_t address, size_t size)
{
	(void)ctx;
	return space_map_readonly(hpa(address), size);
}

static uint16_t io_port(struct acpi_register r)
{
	return r.io && r.address <= 0xffff ? (uint16_t)r.address : 0;
}

static void say_line(const char *line)
{
	log_event("%s", line);
}

static void flush_consoles(void)
{
	uart_flush(&host.uart);
	(void)fbcon_draw(&host.screen, ~0u);
}

static void init_power(const struct handoff *handoff)
{
	const struct acpi_fixed *f = &host.acpi.fixed;

	host.power = (struct power_config){
		.acpi = {.pm1a_control = io_port(f->pm1a_control),
			 .pm1b_control = io_port(f->pm1b_control),
			 .s5_type_a = f->s5_type_a,
			 .s5_type_b = f->s5_type_b,
			 .s5_known = f->has_s5,
			 .smi_command = f->smi_command,
			 .acpi_enable = f->acpi_enable,
			 .reset_value = f->reset_value,
			 .reset_port = io_port(f->reset)},
		.efi_system_table = handoff->efi_system_table,
		.say = say_line,
		.flush = flush_consoles,
		.tsc_hz = clock_hz(),
	};
	power_init(&host.power);
}

enum hv_status platform_facts(const struct handoff *handoff)
{
	const struct acpi_mapper mapper = {map_table, NULL};
	enum hv_status status = acpi_parse(handoff->rsdp, &mapper, &host.acpi);
	uint64_t seconds = 0;

	host.has_acpi = status == HV_OK;
	log_info("ACPI: %s", host.has_acpi ? "tables found" : "none: using firmware and defaults");
	status = tsc_find_frequency(io_port(host.acpi.fixed.pm_timer), &host.tsc);
	if (status != HV_OK) {
		log_error("clock: no way to find the TSC's frequency");
		return status;
	}
	clock_init(host.tsc.hz);
	log_info("clock: TSC at %lu kHz, from %s", host.tsc.hz / 1000, host.tsc.source);
	if (host_rtc_read(host.acpi.fixed.century, &seconds) != HV_OK) {
		log_warn("clock: no time of day: starting at 1970");
	}
	wallclock_set(seconds);
	init_power(handoff);
	return HV_OK;
}

/* --- interrupts --- */

static void on_timer(void)
{
	host_apic_eoi();
	run_timer_fired();
}

static void on_uart(void)
{
	lock_acquire(&host.output);
	uart_interrupt(&host.uart);
	lock_release(&host.output);
	host_apic_eoi();
	run_chore(RUN_CHORE_INPUT);
}

static void on_keyboard(void)
{
	lock_acquire(&host.output);
	ps2kbd_poll(&host.keyboard);
	lock_release(&host.output);
	host_apic_eoi();
	run_chore(RUN_CHORE_INPUT);
}

/*
 * Another CPU wants this one to look at what it asks for: having been interrupted is all. Or it has
 * posted something to a vCPU that just came out of the guest, and looks before it enters again.
 */
static void on_kick(void)
{
	host_apic_eoi();
}

void platform_kick(unsigned cpu)
{
	(void)host_apic_send_ipi(percpu_get(cpu)->apic_id, VECTOR_KICK);
}

void platform_notice(unsigned cpu)
{
	(void)host_apic_send_ipi(percpu_get(cpu)->apic_id, VECTOR_NOTICE);
}

static void add_ioapic(uint64_t base, uint32_t first_gsi)
{
	void *registers = space_map_device(hpa(base), PAGE_SIZE, PT_UC);

	if (registers == NULL || host_ioapic_add(registers, first_gsi) != HV_OK) {
		log_warn("IOAPIC at 0x%lx does not answer", base);
	}
}

enum hv_status platform_interrupts(void)
{
	struct host_apic_config config = {
		.tsc_hz = clock_hz(),
		.timer_vector = VECTOR_TIMER,
		.error_vector = VECTOR_ERROR,
		.spurious_vector = VECTOR_SPURIOUS,
	};
	enum hv_status status;

	host_pic_disable(VECTOR_PIC);
	config.registers = space_map_device(hpa(host_apic_base()), PAGE_SIZE, PT_UC);
	trap_set_irq(VECTOR_TIMER, on_timer);
	trap_set_irq(VECTOR_KICK, on_kick);
	trap_set_irq(VECTOR_NOTICE, on_kick);
	status = host_apic_init(&config);
	if (status != HV_OK) {
		log_error("local APIC: %s", hv_status_name(status));
		return status;
	}
	log_info("local APIC: %s, timer by %s", host_apic_is_x2apic() ? "x2APIC" : "xAPIC",
		 host_apic_has_deadline() ? "TSC deadline" : "countdown");
	host_ioapic_reset();
	for (unsigned i = 0; i < host.acpi.ioapic_count; i++) {
		add_ioapic(host.acpi.ioapics[i].base, host.acpi.ioapics[i].first_gsi);
	}
	if (!host.has_acpi) {
		add_ioapic(IOAPIC_DEFAULT_BASE, 0);
	}
	return HV_OK;
}

void platform_arm_timer(uint64_t deadline)
{
	if (deadline == TIMER_NEVER) {
		host_apic_timer_stop();
	} else {
		host_apic_timer_arm(deadline);
	}
}

/* --- input --- */

/* Routes an ISA interrupt to this CPU; false when no IOAPIC can. */
static bool route_isa(unsigned irq, uint8_t vector, void (*handler)(void))
{
	struct host_ioapic_line line = {.gsi = irq, .apic_id = host_apic_id(), .vector = vector};

	for (unsigned i = 0; i < host.acpi.override_count; i++) {
		const struct acpi_override *o = &host.acpi.overrides[i];

		if (o->irq == irq) {
			line.gsi = o->gsi;
			line.active_low = (o->flags & 3u) == MADT_INTI_ACTIVE_LOW;
			line.level = (o->flags & 0xcu) == MADT_INTI_LEVEL;
		}
	}
	trap_set_irq(vector, handler);
	return host_ioapic_route(&line) == HV_OK;
}

static unsigned serial_irq(void)
{
	/* COM1 and COM3 share line 4, COM2 and COM4 line 3. */
	return host.uart.base == 0x3f8 || host.uart.base == 0x3e8 ? 4 : 3;
}

static void poll_again(struct timer *t)
{
	run_chore(RUN_CHORE_INPUT);
	timer_arm(t, clock_now() + clock_ns_to_ticks(INPUT_POLL_NS));
}

void platform_input(void)
{
	bool keys = ps2kbd_init(&host.keyboard);

	timer_init(&host.poll_timer, run_timers(), poll_again);
	timer_init(&host.draw_timer, run_timers(), draw);
	host.timers_ready = true;
	if (host.uart.present) {
		host.polled = !route_isa(serial_irq(), VECTOR_UART, on_uart);
		if (!host.polled) {
			uart_enable_interrupts(&host.uart);
		}
	}
	if (keys) {
		if (route_isa(IRQ_KEYBOARD, VECTOR_KEYBOARD, on_keyboard)) {
			ps2kbd_enable_interrupts(&host.keyboard);
		} else {
			host.polled = true;
		}
	}
	log_info("input: serial %s, keyboard %s, by %s", host.uart.present ? "yes" : "no",
		 keys ? "yes" : "no", host.polled ? "polling" : "interrupt");
	if (host.polled) {
		poll_again(&host.poll_timer);
	}
}

/* host.output held. */
static void poll_devices(void)
{
	if (host.polled) {
		uart_poll(&host.uart);
		ps2kbd_poll(&host.keyboard);
	}
}

/* The next byte from the serial port. */
static bool next_char(char *c)
{
	bool any;

	lock_acquire(&host.output);
	poll_devices();
	any = uart_read(&host.uart, c);
	lock_release(&host.output);
	return any;
}

static bool next_code(uint8_t *code)
{
	bool any;

	lock_acquire(&host.output);
	poll_devices();
	any = ps2kbd_read(&host.keyboard, code);
	lock_release(&host.output);
	return any;
}

/* For the guest in front, or as characters for the console; modifiers are noted in any case. */
static void take_code(uint8_t code)
{
	char text[PS2KBD_SEQUENCE];
	size_t n = ps2kbd_translate(&host.keyboard, code, text);

	if (screen_code(code)) {
		return;
	}
	for (size_t i = 0; i < n; i++) {
		console_key(text[i]);
	}
}

void platform_poll(void)
{
	uint8_t code;
	char c;

	while (next_char(&c)) {
		console_key(c);
	}
	while (next_code(&code)) {
		take_code(code);
	}
}

/* --- the other processors --- */

void platform_find_cpus(const struct handoff *handoff, void (*enter)(struct cpu_local *cpu))
{
	host.cpus = (struct cpus_config){&host.acpi, handoff, enter};
	cpus_find(&host.cpus);
}

/* --- devices on PCI --- */

void platform_devices(void (*found)(struct blk_device *d))
{
	const struct acpi_info *acpi = host.has_acpi ? &host.acpi : NULL;

	host_irq_init(acpi);
	(void)host_pci_scan(acpi);
	host_disks_init(found);
	(void)host_nics_init();
}

/* --- the end --- */

void platform_power_off(void)
{
	host_disks_stop();
	power_off();
}

void platform_reboot(void)
{
	host_disks_stop();
	power_reset();
}

/* --- for people --- */

static const char *below(const struct cpu_features *f)
{
	if (!f->hypervisor) {
		return "nobody that CPUID shows";
	}
	return f->hypervisor_name[0] != '\0' ? f->hypervisor_name : "a hypervisor without a name";
}

static void describe_nics(void)
{
	char line[128];

	for (unsigned i = 0; i < host_nic_count(); i++) {
		const struct host_nic *n = host_nic_at(i);

		host_nic_describe(n, line, sizeof(line));
		monitor_print("network card  %s\n", line);
		if (n->state != NIC_OFF) {
			monitor_print(
				"  bad %lu, no memory %lu, refused %lu, pauses %lu, resets %lu\n",
				n->stats.rx_bad, n->stats.rx_no_memory, n->stats.tx_refused,
				n->stats.pauses, n->stats.resets);
		}
	}
}

static void describe_disks(void)
{
	monitor_print("pci           %u functions, %u disks\n", host_pci_count(),
		      host_disks_count());
	for (unsigned i = 0; i < host_disks_count(); i++) {
		const struct blk_device *d = host_disks_at(i);

		monitor_print("  %s %lu MiB, serial %s%s\n", d->name, d->sectors * BLK_SECTOR >> 20,
			      d->serial[0] != '\0' ? d->serial : "unknown",
			      d->removed ? ", failed" : "");
	}
}

void platform_describe(void)
{
	const struct cpu_features *f = cpu_features();
	static const char *const page_sizes[] = {"4 KiB", "2 MiB", "1 GiB"};
	const struct hv_backend_info *b = &the_backend->info;
	struct frame_stats stats;

	frame_stats(&stats);
	monitor_print("cpu           %s (family 0x%x model 0x%x stepping %u)\n", f->brand,
		      f->family, f->model, f->stepping);
	monitor_print("below         %s\n", below(f));
	cpus_describe();
	monitor_print("backend       %s: nested paging with %s pages, %u tags\n", b->vendor,
		      page_sizes[b->stage2_max_level - 1], b->tag_count);
	monitor_print("  next RIP %s, decode assists %s, flush by tag %s, virtual GIF %s\n",
		      b->next_rip ? "yes" : "no", b->decode_assist ? "yes" : "no",
		      b->flush_by_tag ? "yes" : "no", b->virtual_gif ? "yes" : "no");
	monitor_print("  code in large pages %s, RDTSCP %s, INVPCID %s, pause filter %s\n",
		      b->small_code ? "no" : "yes", b->no_rdtscp ? "no" : "yes",
		      b->no_invpcid ? "no" : "yes", b->pause_filter ? "yes" : "no");
	monitor_print("  virtual interrupts %s, posted %s; not used: posted interrupts %s, TSC "
		      "scaling %s\n",
		      b->virtual_interrupts ? "yes" : "no", b->posts_interrupts ? "yes" : "no",
		      b->could_post && !b->posts_interrupts ? "yes" : "no",
		      b->tsc_scaling ? "yes" : "no");
	monitor_print("memory        %lu MiB, physical addresses of %u bits\n",
		      stats.total * PAGE_SIZE >> 20, f->physical_bits);
	monitor_print("acpi          %s\n", host.has_acpi ? "yes" : "no");
	monitor_print("clock         TSC %lu kHz from %s (measured %lu kHz), invariant %s\n",
		      host.tsc.hz / 1000, host.tsc.source, host.tsc.measured_hz / 1000,
		      f->invariant_tsc ? "yes" : "no");
	monitor_print("local apic    %s, timer by %s\n", host_apic_is_x2apic() ? "x2APIC" : "xAPIC",
		      host_apic_has_deadline() ? "TSC deadline" : "countdown");
	monitor_print("serial        %s at 0x%x, input by %s\n", host.uart.present ? "yes" : "no",
		      host.uart.base, host.polled ? "polling" : "interrupt");
	if (host.screen.present) {
		monitor_print("screen        %ux%u characters\n", host.screen.columns,
			      host.screen.rows);
	} else {
		monitor_print("screen        none\n");
	}
	describe_nics();
	describe_disks();
}
