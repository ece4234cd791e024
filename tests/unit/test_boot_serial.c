/* SPDX-License-Identifier: Apache-2.0 */
/* The loader's UART against a model of its registers: present, absent, hung. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "boot/serial.h"
#include "tests/fakes/fake_cpu.h"

#define COM1 0x3f8

static struct {
	uint8_t lcr, scratch, divisor, ier;
	bool scratch_works;
	bool ready;
	unsigned lsr_reads;
	char sent[64];
	size_t sent_count;
} uart;

static uint32_t uart_in(void *ctx, uint16_t port, unsigned size)
{
	(void)ctx;
	assert_int_equal(size, 1);
	if (port == COM1 + 7) {
		return uart.scratch_works ? uart.scratch : 0xff;
	}
	assert_int_equal(port, COM1 + 5);
	uart.lsr_reads++;
	return uart.ready ? 0x60 : 0;
}

static void uart_out(void *ctx, uint16_t port, unsigned size, uint32_t value)
{
	(void)ctx;
	assert_int_equal(size, 1);
	if (port == COM1 && (uart.lcr & 0x80) != 0) {
		uart.divisor = (uint8_t)value;
	} else if (port == COM1) {
		assert_true(uart.sent_count < sizeof(uart.sent) - 1);
		uart.sent[uart.sent_count++] = (char)value;
	} else if (port == COM1 + 1) {
		uart.ier = (uint8_t)value;
	} else if (port == COM1 + 3) {
		uart.lcr = (uint8_t)value;
	} else if (port == COM1 + 7) {
		uart.scratch = (uint8_t)value;
	}
}

static const struct fake_port_hook hook = {
	.first = COM1, .last = COM1 + 7, .in = uart_in, .out = uart_out};

static int fresh_uart(void **state)
{
	(void)state;
	fake_cpu_reset();
	memset(&uart, 0, sizeof(uart));
	uart.scratch_works = true;
	uart.ready = true;
	uart.lcr = 0x1b;
	uart.ier = 0xff;
	fake_port_hook(&hook);
	return 0;
}

static void sets_the_line_and_writes(void **state)
{
	(void)state;
	assert_int_equal(serial_init(false), COM1);
	assert_int_equal(uart.lcr, 0x03);
	assert_int_equal(uart.divisor, 1);
	assert_int_equal(uart.ier, 0);
	serial_write("a\nb\n", 4);
	assert_string_equal(uart.sent, "a\r\nb\r\n");
}

static void keeps_the_firmwares_settings(void **state)
{
	(void)state;
	assert_int_equal(serial_init(true), COM1);
	assert_int_equal(uart.lcr, 0x1b);
	assert_int_equal(uart.ier, 0xff);
	serial_write("x", 1);
	assert_string_equal(uart.sent, "x");
}

static void absent_uart_is_left_alone(void **state)
{
	(void)state;
	uart.scratch_works = false;
	assert_int_equal(serial_init(false), 0);
	serial_write("x", 1);
	assert_int_equal(uart.sent_count, 0);
	assert_int_equal(uart.lcr, 0x1b);
}

static void hung_uart_is_given_up(void **state)
{
	unsigned reads;

	(void)state;
	assert_int_equal(serial_init(false), COM1);
	uart.ready = false;
	serial_write("abc\n", 4);
	reads = uart.lsr_reads;
	assert_true(reads > 0);
	serial_write("abc\n", 4);
	assert_int_equal(uart.lsr_reads, reads);
	assert_int_equal(uart.sent_count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(sets_the_line_and_writes, fresh_uart),
		cmocka_unit_test_setup(keeps_the_firmwares_settings, fresh_uart),
		cmocka_unit_test_setup(absent_uart_is_left_alone, fresh_uart),
		cmocka_unit_test_setup(hung_uart_is_given_up, fresh_uart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
