/* SPDX-License-Identifier: Apache-2.0 */
/* The serial driver against a small 16550 that can be slow, deaf, old or absent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/uart.h"
#include "tests/fakes/fake_cpu.h"

#define BASE 0x3f8

static struct {
	bool has_fifo;
	bool has_scratch;
	bool stuck;
	unsigned reads_per_byte; /* LSR reads until one byte is on the wire */
	unsigned progress;
	uint8_t ier, lcr, mcr, scr, dll, dlm;
	unsigned fifo_count;
	unsigned lost; /* bytes written into a full transmitter */
	char wire[65536];
	size_t wire_count;
	const char *input;
} dev;

static struct uart uart;

static void shift_out(void)
{
	if (dev.fifo_count != 0 && !dev.stuck && ++dev.progress >= dev.reads_per_byte) {
		dev.progress = 0;
		dev.fifo_count--;
	}
}

static uint32_t dev_in(void *ctx, uint16_t port, unsigned size)
{
	(void)ctx;
	assert_int_equal(size, 1);
	switch (port - BASE) {
	case 0:
		return dev.input != NULL && *dev.input != '\0' ? (uint8_t)*dev.input++ : 0;
	case 1:
		return (dev.lcr & 0x80) != 0 ? dev.dlm : dev.ier;
	case 2:
		return dev.has_fifo ? 0xc1 : 0x01;
	case 4:
		return dev.mcr;
	case 5:
		shift_out();
		return (dev.fifo_count == 0 ? 0x60u : 0u) |
		       (dev.input != NULL && *dev.input != '\0' ? 1u : 0u);
	case 6:
		return (dev.mcr & 0x10) != 0 ? ((dev.mcr & 0x0cu) << 4 | (dev.mcr & 2u) << 3)
					     : 0xb0u;
	case 7:
		return dev.has_scratch ? dev.scr : 0;
	default:
		return 0;
	}
}

static void dev_out(void *ctx, uint16_t port, unsigned size, uint32_t value)
{
	(void)ctx;
	assert_int_equal(size, 1);
	switch (port - BASE) {
	case 0:
		if ((dev.lcr & 0x80) != 0) {
			dev.dll = (uint8_t)value;
		} else if (dev.fifo_count >= (dev.has_fifo ? 16u : 1u)) {
			dev.lost++;
		} else {
			dev.fifo_count++;
			assert_true(dev.wire_count < sizeof(dev.wire));
			dev.wire[dev.wire_count++] = (char)value;
		}
		break;
	case 1:
		if ((dev.lcr & 0x80) != 0) {
			dev.dlm = (uint8_t)value;
		} else {
			dev.ier = (uint8_t)value;
		}
		break;
	case 3:
		dev.lcr = (uint8_t)value;
		break;
	case 4:
		dev.mcr = (uint8_t)value;
		break;
	case 7:
		dev.scr = (uint8_t)value;
		break;
	default:
		break;
	}
}

static const struct fake_port_hook hook = {BASE, BASE + 7, dev_in, dev_out, NULL};

static int setup(void **state)
{
	(void)state;
	fake_cpu_reset();
	memset(&dev, 0, sizeof(dev));
	dev.has_fifo = dev.has_scratch = true;
	dev.dll = 12;
	fake_port_hook(&hook);
	return 0;
}

static void assert_wire(const char *text)
{
	assert_int_equal(dev.wire_count, strlen(text));
	assert_memory_equal(dev.wire, text, dev.wire_count);
}

static void sets_the_line_up(void **state)
{
	(void)state;
	assert_true(uart_init(&uart, BASE));
	assert_int_equal(dev.dll, 1);
	assert_int_equal(dev.dlm, 0);
	assert_int_equal(dev.lcr, 3);
	assert_int_equal(dev.ier, 0);
	assert_int_equal(dev.mcr, 0x0b);
	assert_int_equal(uart.fifo, 16);
	assert_int_equal(dev.wire_count, 0);
}

static void absent_hardware_is_harmless(void **state)
{
	char c;

	(void)state;
	fake_cpu_reset(); /* all ports read all-ones */
	assert_false(uart_init(&uart, BASE));
	assert_int_equal(uart_write(&uart, "lost", 4), 4);
	uart_write_all(&uart, "lost", 4);
	uart_emergency_write(&uart, "lost", 4);
	uart_poll(&uart);
	uart_flush(&uart);
	uart_interrupt(&uart);
	uart_enable_interrupts(&uart);
	assert_false(uart_read(&uart, &c));
	assert_false(uart_init(&uart, 0));
	setup(state);
	dev.has_scratch = false;
	assert_false(uart_init(&uart, BASE));
}

static void bytes_go_out_as_they_are(void **state)
{
	(void)state;
	uart_init(&uart, BASE);
	assert_int_equal(uart_write(&uart, "a\nb\n", 4), 4);
	uart_flush(&uart);
	assert_wire("a\nb\n");
}

static void output_does_not_wait(void **state)
{
	char text[100];

	(void)state;
	memset(text, 'x', sizeof(text));
	uart_init(&uart, BASE);
	dev.reads_per_byte = 1000;
	uart_write(&uart, text, sizeof(text));
	assert_int_equal(dev.wire_count, 16); /* one FIFO, the rest is in the ring */
	uart_poll(&uart);
	assert_int_equal(dev.wire_count, 16);
	uart_flush(&uart);
	assert_int_equal(dev.wire_count, 100);
	assert_int_equal(dev.fifo_count, 0);
	assert_int_equal(dev.lost, 0);
}

static void full_ring_takes_what_fits(void **state)
{
	static char text[2 * UART_TX_BYTES];
	size_t taken;

	(void)state;
	memset(text, 'y', sizeof(text));
	uart_init(&uart, BASE);
	dev.stuck = true;
	dev.fifo_count = 16;
	taken = uart_write(&uart, text, sizeof(text));
	assert_true(taken >= UART_TX_BYTES - 2 && taken <= UART_TX_BYTES);
	assert_int_equal(uart_write(&uart, "\n", 1), 0);
	dev.stuck = false;
	uart_flush(&uart);
	assert_int_equal(dev.wire_count, taken);
	assert_int_equal(dev.lost, 0);
}

static void write_all_loses_nothing(void **state)
{
	static char text[3 * UART_TX_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++) {
		text[i] = (char)('a' + i % 26);
	}
	uart_init(&uart, BASE);
	dev.reads_per_byte = 3;
	uart_write_all(&uart, text, sizeof(text));
	uart_flush(&uart);
	assert_int_equal(dev.wire_count, sizeof(text));
	assert_memory_equal(dev.wire, text, sizeof(text));
	assert_int_equal(dev.lost, 0);
}

static void stuck_transmitter_costs_bounded_time(void **state)
{
	static char text[3 * UART_TX_BYTES];

	(void)state;
	memset(text, 'z', sizeof(text));
	uart_init(&uart, BASE);
	dev.stuck = true;
	dev.fifo_count = 16;
	uart_write_all(&uart, text, sizeof(text));
	assert_true(uart.stuck);
	uart_emergency_write(&uart, text, sizeof(text));
	uart_flush(&uart);
	/* It recovers; nobody waits for that, but the next poll that finds it ready goes on. */
	dev.stuck = false;
	for (unsigned i = 0; i < 20; i++) {
		uart_poll(&uart);
	}
	uart_flush(&uart);
	assert_false(uart.stuck);
	assert_int_equal(uart.tx_head, uart.tx_tail);
}

static void an_8250_gets_one_byte_at_a_time(void **state)
{
	(void)state;
	dev.has_fifo = false;
	uart_init(&uart, BASE);
	dev.reads_per_byte = 2;
	uart_write(&uart, "hello", 5);
	uart_flush(&uart);
	assert_wire("hello");
	assert_int_equal(dev.lost, 0);
}

static void input_is_kept_in_order(void **state)
{
	char c;

	(void)state;
	uart_init(&uart, BASE);
	dev.input = "ab";
	assert_false(uart_read(&uart, &c));
	uart_poll(&uart);
	assert_true(uart_read(&uart, &c));
	assert_int_equal(c, 'a');
	assert_true(uart_read(&uart, &c));
	assert_int_equal(c, 'b');
	assert_false(uart_read(&uart, &c));
}

static void flood_of_input_is_counted(void **state)
{
	static char flood[600];
	char c;
	unsigned got = 0;

	(void)state;
	memset(flood, 'k', sizeof(flood) - 1);
	uart_init(&uart, BASE);
	dev.input = flood;
	for (unsigned i = 0; i < 4; i++) {
		uart_poll(&uart);
	}
	while (uart_read(&uart, &c)) {
		got++;
	}
	assert_int_equal(got, UART_RX_BYTES);
	assert_int_equal(uart.rx_lost, sizeof(flood) - 1 - UART_RX_BYTES);
}

static void transmit_interrupt_only_while_needed(void **state)
{
	(void)state;
	uart_init(&uart, BASE);
	uart_enable_interrupts(&uart);
	assert_int_equal(dev.ier, 1);
	dev.reads_per_byte = 5;
	uart_write(&uart, "0123456789012345678901234567890", 31);
	assert_int_equal(dev.ier, 3);
	for (unsigned i = 0; i < 1000 && dev.ier != 1; i++) {
		uart_interrupt(&uart);
	}
	assert_int_equal(dev.ier, 1);
	assert_int_equal(dev.wire_count, 31);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(sets_the_line_up, setup),
		cmocka_unit_test_setup(absent_hardware_is_harmless, setup),
		cmocka_unit_test_setup(bytes_go_out_as_they_are, setup),
		cmocka_unit_test_setup(output_does_not_wait, setup),
		cmocka_unit_test_setup(full_ring_takes_what_fits, setup),
		cmocka_unit_test_setup(write_all_loses_nothing, setup),
		cmocka_unit_test_setup(stuck_transmitter_costs_bounded_time, setup),
		cmocka_unit_test_setup(an_8250_gets_one_byte_at_a_time, setup),
		cmocka_unit_test_setup(input_is_kept_in_order, setup),
		cmocka_unit_test_setup(flood_of_input_is_counted, setup),
		cmocka_unit_test_setup(transmit_interrupt_only_while_needed, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
