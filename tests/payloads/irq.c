/* SPDX-License-Identifier: Apache-2.0 */
/* Interrupts of the board's devices, by the 8259 pair and by the IOAPIC. */
#include "guests/layout.h"
#include "hv/base/bits.h"
#include "tests/payloads/cases.h"
#include "tests/payloads/hw.h"
#include "tests/payloads/rt.h"

#define PIT_HZ 1193182u
#define PIC_BASE 0x50u
#define VECTOR_TIMER 0x61u
#define VECTOR_UART 0x62u
#define VECTOR_RTC 0x63u
#define RATE_HZ 100u

static volatile uint64_t count;

static void by_pic(struct rt_frame *f)
{
	count++;
	if (f->vector >= PIC_BASE + 8) {
		out8(LAYOUT_PIC_SLAVE, 0x20);
	}
	out8(LAYOUT_PIC_MASTER, 0x20);
}

static void init_pic(uint16_t mask)
{
	out8(LAYOUT_PIC_MASTER, 0x11);
	out8(LAYOUT_PIC_SLAVE, 0x11);
	out8(LAYOUT_PIC_MASTER + 1, PIC_BASE);
	out8(LAYOUT_PIC_SLAVE + 1, PIC_BASE + 8);
	out8(LAYOUT_PIC_MASTER + 1, 0x04);
	out8(LAYOUT_PIC_SLAVE + 1, 0x02);
	out8(LAYOUT_PIC_MASTER + 1, 0x01);
	out8(LAYOUT_PIC_SLAVE + 1, 0x01);
	out8(LAYOUT_PIC_MASTER + 1, (uint8_t)mask);
	out8(LAYOUT_PIC_SLAVE + 1, (uint8_t)(mask >> 8));
}

static void start_pit(void)
{
	uint16_t divisor = PIT_HZ / RATE_HZ;

	out8(LAYOUT_PIT + 3, 0x34); /* channel 0, both bytes, rate generator */
	out8(LAYOUT_PIT, (uint8_t)divisor);
	out8(LAYOUT_PIT, (uint8_t)(divisor >> 8));
}

static uint64_t us_since(uint32_t from)
{
	return pm_elapsed(from, pm_timer()) * 1000000ull / PM_TIMER_HZ;
}

/* Waits until no tick is being made up for: the next one takes its time. */
static void catch_up(void)
{
	uint32_t from;

	do {
		from = pm_timer();
		wait_for_interrupt();
	} while (us_since(from) < 500000 / RATE_HZ);
}

/* Late ticks may merge or be made up for, but over two seconds the rate is right. */
static void expect_rate(const char *what)
{
	uint32_t from;
	uint64_t us = 0;

	catch_up();
	from = pm_timer();
	count = 0;
	while (us < 2000000) {
		wait_for_interrupt();
		us = us_since(from);
	}
	rt_print("%s: %lu ticks of 10 ms in %lu us\n", what, count, us);
	EXPECT(count <= us / 10000 + 3, "%s: %lu ticks of 10 ms in %lu us", what, count, us);
	EXPECT(count >= us / 20000, "%s: %lu ticks of 10 ms in %lu us", what, count, us);
}

/* Masked, but for what was on its way already. */
static void expect_silence(void)
{
	interrupts_on();
	rt_delay_us(1000);
	count = 0;
	rt_delay_us(50000);
	interrupts_off();
	EXPECT(count == 0, "masked, it interrupted %lu times", count);
}

void case_pit_pic(void)
{
	rt_handle(PIC_BASE, by_pic);
	init_pic(0xfffe);
	start_pit();
	expect_rate("PIT by the 8259");
	out8(LAYOUT_PIC_MASTER + 1, 0xff);
	expect_silence();
}

/* --- by the IOAPIC --- */

static void by_apic(struct rt_frame *f)
{
	(void)f;
	count++;
	apic_eoi();
}

static void ioapic_write(uint32_t reg, uint32_t value)
{
	mmio_write32(LAYOUT_IOAPIC_BASE, reg);
	mmio_write32(LAYOUT_IOAPIC_BASE + 0x10, value);
}

static void route(unsigned gsi, uint8_t vector)
{
	ioapic_write(0x11 + 2 * gsi, apic_read(APIC_ID));
	ioapic_write(0x10 + 2 * gsi, vector);
}

static void init_ioapic(uint8_t vector, void (*handler)(struct rt_frame *))
{
	rt_handle(vector, handler);
	apic_enable();
	apic_write(APIC_LVT_LINT0, APIC_MASKED);
	init_pic(0xffff);
}

void case_pit_ioapic(void)
{
	init_ioapic(VECTOR_TIMER, by_apic);
	route(LAYOUT_GSI_TIMER, VECTOR_TIMER);
	start_pit();
	expect_rate("PIT by the IOAPIC");
	ioapic_write(0x10 + 2 * LAYOUT_GSI_TIMER, APIC_MASKED | VECTOR_TIMER);
	expect_silence();
}

void case_uart_irq(void)
{
	init_ioapic(VECTOR_UART, by_apic);
	route(LAYOUT_IRQ_COM1, VECTOR_UART);
	out8(LAYOUT_COM1 + 4, 0x0b); /* OUT2: interrupts leave the chip */
	out8(LAYOUT_COM1 + 1, 0x02); /* transmitter empty */
	wait_for_interrupt();
	EXPECT(count == 1, "%lu interrupts of an empty transmitter", count);
	EXPECT((in8(LAYOUT_COM1 + 2) & 0x0f) == 0x02, "IIR does not name the transmitter");
	EXPECT((in8(LAYOUT_COM1 + 2) & 0x01) == 0x01, "reading IIR does not end it");
	rt_serial_init();
}

static void by_rtc(struct rt_frame *f)
{
	(void)f;
	count++;
	out8(LAYOUT_RTC, 0x0c);
	(void)in8(LAYOUT_RTC + 1);
	apic_eoi();
}

static void write_cmos(uint8_t index, uint8_t value)
{
	out8(LAYOUT_RTC, index);
	out8(LAYOUT_RTC + 1, value);
}

/* Two seconds of the periodic interrupt at 128 Hz. */
void case_rtc_irq(void)
{
	uint32_t from;
	uint64_t us = 0;

	init_ioapic(VECTOR_RTC, by_rtc);
	route(LAYOUT_IRQ_RTC, VECTOR_RTC);
	write_cmos(0x0a, 0x29);
	write_cmos(0x0b, 0x42);
	from = pm_timer();
	while (us < 2000000) {
		wait_for_interrupt();
		us = us_since(from);
	}
	write_cmos(0x0b, 0x02);
	rt_print("RTC: %lu interrupts in %lu us\n", count, us);
	EXPECT(count <= us * 128 / 1000000 + 3 && count >= us * 64 / 1000000,
	       "%lu interrupts at 128 Hz in %lu us", count, us);
}
