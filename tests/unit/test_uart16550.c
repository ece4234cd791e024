/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "guests/devices/uart16550.h"
#include "tests/fakes/device_rig.h"
#include "tests/fakes/saved_rig.h"

#define COM1 0x3f8u
#define HZ 1152000000ull /* one bit at 115,200 baud: 10,000 ticks */
#define FOUR_CHARACTERS (4 * 10 * 10000ull)

static struct device_rig rig;
static struct uart16550 uart;
static char sent[4096];
static size_t sent_count;
static unsigned batches;
static unsigned room_calls;
static const char *waiting; /* offered again from the room callback */

static void transmit(void *ctx, const char *data, size_t n)
{
	assert_ptr_equal(ctx, &rig);
	assert_in_range(n, 1, UART16550_OUT);
	assert_true(sent_count + n <= sizeof(sent));
	for (size_t i = 0; i < n; i++) {
		sent[sent_count++] = data[i];
	}
	batches++;
}

static void room(void *ctx)
{
	assert_ptr_equal(ctx, &rig);
	room_calls++;
	if (waiting != NULL) {
		waiting += uart16550_receive(&uart, waiting, strlen(waiting));
	}
}

static int setup(void **state)
{
	struct uart16550_config cfg = {
		.time = &rig.time, .transmit = transmit, .room = room, .ctx = &rig};

	(void)state;
	rig_init(&rig, HZ);
	cfg.irq = rig_irq(&rig.line);
	sent_count = 0;
	batches = 0;
	room_calls = 0;
	waiting = NULL;
	uart16550_init(&uart, &cfg);
	return 0;
}

static uint8_t in(unsigned reg)
{
	return rig_in(&uart.dev, (uint16_t)(COM1 + reg));
}

static void out(unsigned reg, unsigned value)
{
	rig_out(&uart.dev, (uint16_t)(COM1 + reg), (uint8_t)value);
}

static void put(const char *s)
{
	while (*s != '\0') {
		out(UART_THR, (uint8_t)*s++);
	}
}

static void assert_sent(const char *s)
{
	assert_int_equal(sent_count, strlen(s));
	assert_memory_equal(sent, s, sent_count);
}

/* As a driver leaves it: 8N1, interrupts on through OUT2. */
static void open_port(unsigned ier, unsigned fcr)
{
	out(UART_LCR, 3);
	out(UART_FCR, fcr);
	out(UART_MCR, UART_MCR_DTR | UART_MCR_RTS | UART_MCR_OUT2);
	out(UART_IER, ier);
}

static void power_on_state(void **state)
{
	(void)state;
	assert_int_equal(in(UART_RBR), 0);
	assert_int_equal(in(UART_IER), 0);
	assert_int_equal(in(UART_IIR), 0x01);
	assert_int_equal(in(UART_LCR), 0);
	assert_int_equal(in(UART_MCR), 0);
	assert_int_equal(in(UART_LSR), 0x60);
	assert_int_equal(in(UART_MSR), 0xb0);
	assert_int_equal(in(UART_SCR), 0);
	assert_false(rig.line.level);
}

/* Steps of Linux's autoconfig and autoconfig_16550a: each must say "plain 16550A". */
static void linux_probe_sees_16550a(void **state)
{
	(void)state;
	out(UART_IER, 0x0f);
	assert_int_equal(in(UART_IER), 0x0f);
	out(UART_IER, 0xf0);
	assert_int_equal(in(UART_IER), 0); /* no XScale UUE, no sleep mode */
	out(UART_MCR, UART_MCR_LOOP | 0x0a);
	assert_int_equal(in(UART_MSR)&0xf0, 0x90);
	out(UART_MCR, 0);
	out(UART_FCR, UART_FCR_ENABLE);
	assert_int_equal(in(UART_IIR) >> 6, 3);
	out(UART_LCR, UART_LCR_DLAB); /* EFR of a 16650 is elsewhere */
	assert_int_not_equal(in(2), 0);
	out(UART_LCR, 0xbf);
	assert_int_not_equal(in(2), 0);
	out(UART_LCR, 0xe0); /* National SuperIO: EXCR1 does not follow MCR */
	assert_int_equal(in(2) & UART_MCR_LOOP, 0);
	out(UART_LCR, 0);
	out(UART_MCR, UART_MCR_LOOP);
	out(UART_LCR, 0xe0);
	assert_int_equal(in(2) & UART_MCR_LOOP, 0);
	out(UART_LCR, 0);
	out(UART_MCR, 0);
	out(UART_LCR, UART_LCR_DLAB); /* 64-byte FIFO of a 16750 */
	out(UART_FCR, UART_FCR_ENABLE | 0x20);
	assert_int_equal(in(UART_IIR) >> 5, 6);
	out(UART_LCR, 0);
	out(UART_MCR, 0xff);
	assert_int_equal(in(UART_MCR), 0x1f); /* no automatic flow control */
}

/* Steps of serial8250_do_startup: neither UART_BUG_THRE nor UART_BUG_TXEN. */
static void linux_thre_tests_pass(void **state)
{
	(void)state;
	out(UART_FCR, UART_FCR_ENABLE);
	out(UART_IER, UART_IER_THRE);
	assert_int_equal(in(UART_IIR)&UART_IIR_CAUSE, UART_IIR_THRE);
	out(UART_IER, 0);
	out(UART_IER, UART_IER_THRE);
	assert_int_equal(in(UART_IIR)&UART_IIR_CAUSE, UART_IIR_THRE);
	out(UART_IER, 0);
	out(UART_IER, UART_IER_THRE);
	assert_int_equal(in(UART_LSR)&UART_LSR_TEMT, UART_LSR_TEMT);
	assert_int_equal(in(UART_IIR)&UART_IIR_CAUSE, UART_IIR_THRE);
}

static void divisor_is_behind_dlab(void **state)
{
	(void)state;
	out(UART_IER, UART_IER_LINE);
	out(UART_LCR, UART_LCR_DLAB | 3);
	out(UART_DLL, 0x34);
	out(UART_DLM, 0x12);
	assert_int_equal(in(UART_DLL), 0x34);
	assert_int_equal(in(UART_DLM), 0x12);
	assert_int_equal(sent_count, 0);
	out(UART_LCR, 3);
	assert_int_equal(in(UART_IER), UART_IER_LINE);
	assert_int_equal(in(UART_RBR), 0);
	out(UART_SCR, 0xa5);
	assert_int_equal(in(UART_SCR), 0xa5);
}

static void lsr_and_msr_ignore_writes(void **state)
{
	(void)state;
	out(UART_LSR, 0xff);
	out(UART_MSR, 0xff);
	assert_int_equal(in(UART_LSR), 0x60);
	assert_int_equal(in(UART_MSR), 0xb0);
}

static void lines_leave_as_one_batch(void **state)
{
	(void)state;
	put("hello\r\n");
	assert_sent("hello\r\n");
	assert_int_equal(batches, 1);
	setup(state);
	put("\n");
	assert_int_equal(timer_queue_next(&rig.queue), TIMER_NEVER);
}

static void a_prompt_leaves_after_two_milliseconds(void **state)
{
	(void)state;
	put("login: ");
	assert_int_equal(sent_count, 0);
	rig_advance_ns(&rig, 1999000);
	assert_int_equal(sent_count, 0);
	rig_advance_ns(&rig, 2000);
	assert_sent("login: ");
	assert_int_equal(batches, 1);
	assert_int_equal(timer_queue_next(&rig.queue), TIMER_NEVER);
}

/* Also with a FIFO, as long as no driver waits for THRE. */
static void polled_output_is_in_no_hurry(void **state)
{
	(void)state;
	open_port(0, UART_FCR_ENABLE);
	put("# ");
	rig_advance_ns(&rig, 1999000);
	assert_int_equal(rig.timers_run, 0);
	rig_advance_ns(&rig, 2000);
	assert_sent("# ");
}

static void a_full_buffer_leaves_at_once(void **state)
{
	(void)state;
	for (unsigned i = 0; i < UART16550_OUT; i++) {
		assert_int_equal(sent_count, 0);
		out(UART_THR, 'x');
	}
	assert_int_equal(sent_count, UART16550_OUT);
	out(UART_THR, 'y');
	uart.dev.ops->fini(&uart.dev);
	assert_int_equal(sent_count, UART16550_OUT + 1);
	uart.dev.ops->reset(&uart.dev);
	assert_int_equal(sent_count, UART16550_OUT + 1);
}

static void reset_and_end_lose_no_output(void **state)
{
	(void)state;
	put("last words");
	uart.dev.ops->reset(&uart.dev);
	assert_sent("last words");
	put("!");
	uart.dev.ops->fini(&uart.dev);
	assert_sent("last words!");
	assert_int_equal(timer_queue_next(&rig.queue), TIMER_NEVER);
}

static void polling_always_finds_the_transmitter_empty(void **state)
{
	(void)state;
	open_port(0, UART_FCR_ENABLE);
	for (unsigned i = 0; i < 40; i++) {
		out(UART_THR, 'p');
		assert_int_equal(in(UART_LSR), 0x60);
	}
	assert_int_equal(rig.line.rises, 0);
}

static void thre_rises_when_enabled_and_falls_when_read(void **state)
{
	(void)state;
	open_port(UART_IER_THRE, 0);
	assert_true(rig.line.level);
	assert_int_equal(in(UART_LSR), 0x60); /* does not clear it */
	assert_true(rig.line.level);
	assert_int_equal(in(UART_IIR), UART_IIR_THRE);
	assert_false(rig.line.level);
	assert_int_equal(in(UART_IIR), UART_IIR_NONE);
	out(UART_IER, UART_IER_THRE); /* no change: no new interrupt */
	assert_false(rig.line.level);
	out(UART_IER, 0);
	out(UART_IER, UART_IER_THRE);
	assert_true(rig.line.level);
	out(UART_IER, 0);
	assert_false(rig.line.level);
}

static void thre_without_fifo_gives_an_edge_per_byte(void **state)
{
	(void)state;
	open_port(UART_IER_THRE, 0);
	assert_int_equal(rig.line.rises, 1);
	out(UART_THR, 'a'); /* IIR not read: the line must still fall and rise */
	assert_int_equal(rig.line.rises, 2);
	assert_true(rig.line.level);
	assert_int_equal(in(UART_IIR), UART_IIR_THRE);
	out(UART_THR, 'b');
	assert_int_equal(rig.line.rises, 3);
}

/* The loop of an 8250 driver's handler: one interrupt, then all of its output in full FIFOs. */
static void one_interrupt_serves_a_long_output(void **state)
{
	unsigned bursts = 0;

	(void)state;
	open_port(UART_IER_THRE, UART_FCR_ENABLE | 0x80);
	assert_int_equal(rig.line.rises, 1);
	while ((in(UART_IIR)&UART_IIR_CAUSE) == UART_IIR_THRE) {
		assert_int_equal(in(UART_LSR), 0x60);
		if (bursts == 4) {
			out(UART_IER, 0);
			continue;
		}
		put("0123456789abcdef");
		bursts++;
		assert_false(rig.line.level);
	}
	assert_int_equal(bursts, 4);
	assert_int_equal(rig.line.rises, 1);
	assert_int_equal(sent_count, 64);
}

static void thre_comes_by_itself_to_a_driver_that_waits(void **state)
{
	(void)state;
	open_port(UART_IER_THRE, UART_FCR_ENABLE);
	assert_int_equal(in(UART_IIR)&UART_IIR_CAUSE, UART_IIR_THRE);
	put("abc");
	assert_false(rig.line.level);
	rig_advance_ns(&rig, 250000);
	assert_true(rig.line.level);
	assert_sent("abc");
	assert_int_equal(in(UART_IIR)&UART_IIR_CAUSE, UART_IIR_THRE);
}

/* Nor do more bytes put it off. */
static void thre_comes_while_bytes_trickle(void **state)
{
	(void)state;
	open_port(UART_IER_THRE, UART_FCR_ENABLE);
	(void)in(UART_IIR);
	put("a");
	rig_advance_ns(&rig, 150000);
	put("b");
	assert_false(rig.line.level);
	rig_advance_ns(&rig, 100000);
	assert_true(rig.line.level);
}

/* A slow timer for output is armed; the THRE interrupt still comes soon. */
static void thre_overtakes_waiting_output(void **state)
{
	(void)state;
	open_port(0, UART_FCR_ENABLE);
	put("x");
	out(UART_IER, UART_IER_THRE);
	(void)in(UART_IIR);
	put("y");
	rig_advance_ns(&rig, 250000);
	assert_true(rig.line.level);
}

static void a_full_fifo_makes_room_for_the_next(void **state)
{
	(void)state;
	open_port(UART_IER_THRE, UART_FCR_ENABLE);
	(void)in(UART_IIR);
	put("0123456789abcdefXYZ");
	assert_false(rig.line.level);
	(void)in(UART_LSR);
	assert_true(rig.line.level);
	uart.dev.ops->fini(&uart.dev);
	assert_sent("0123456789abcdefXYZ");
}

static void out2_gates_the_line(void **state)
{
	(void)state;
	open_port(UART_IER_RDA, 0);
	out(UART_MCR, UART_MCR_RTS);
	assert_int_equal(uart16550_receive(&uart, "a", 1), 1);
	assert_false(rig.line.level);
	assert_int_equal(in(UART_IIR), UART_IIR_RDA); /* INTR itself is active */
	out(UART_MCR, UART_MCR_OUT2);
	assert_true(rig.line.level);
	out(UART_MCR, 0);
	assert_false(rig.line.level);
}

static void without_fifo_one_byte_fits(void **state)
{
	(void)state;
	open_port(UART_IER_RDA, 0);
	assert_int_equal(uart16550_receive(&uart, "ab", 2), 1);
	assert_true(rig.line.level);
	assert_int_equal(in(UART_LSR), 0x61);
	assert_int_equal(uart16550_receive(&uart, "b", 1), 0);
	assert_int_equal(room_calls, 0);
	assert_int_equal(in(UART_RBR), 'a');
	assert_int_equal(room_calls, 1);
	assert_false(rig.line.level);
	assert_int_equal(in(UART_LSR), 0x60); /* refused is not overrun */
	assert_int_equal(in(UART_RBR), 'a');  /* the register keeps its content */
	assert_int_equal(room_calls, 1);
}

static void trigger_levels(void **state)
{
	static const unsigned levels[] = {1, 4, 8, 14};

	for (unsigned i = 0; i < 4; i++) {
		setup(state);
		open_port(UART_IER_RDA, UART_FCR_ENABLE | i << 6);
		for (unsigned n = 1; n <= UART16550_FIFO; n++) {
			assert_int_equal(uart16550_receive(&uart, "z", 1), 1);
			assert_int_equal(rig.line.level, n >= levels[i]);
		}
		assert_int_equal(uart16550_receive(&uart, "z", 1), 0);
		assert_int_equal(in(UART_IIR), UART_IIR_FIFO | UART_IIR_RDA);
		for (unsigned n = UART16550_FIFO; n > 0; n--) {
			assert_int_equal(rig.line.level, n >= levels[i]);
			assert_int_equal(in(UART_RBR), 'z');
		}
		assert_false(rig.line.level);
		assert_int_equal(room_calls, 1);
	}
}

static void character_timeout(void **state)
{
	(void)state;
	open_port(UART_IER_RDA, UART_FCR_ENABLE | 0x80); /* trigger 8 */
	uart16550_receive(&uart, "ab", 2);
	rig_advance(&rig, FOUR_CHARACTERS - 1);
	assert_false(rig.line.level);
	assert_int_equal(in(UART_IIR), UART_IIR_FIFO | UART_IIR_NONE);
	rig_advance(&rig, 1);
	assert_true(rig.line.level);
	assert_int_equal(in(UART_IIR), UART_IIR_FIFO | UART_IIR_TIMEOUT);
	assert_true(rig.line.level); /* IIR does not clear it, data does */
	assert_int_equal(in(UART_RBR), 'a');
	assert_false(rig.line.level);
	rig_advance(&rig, FOUR_CHARACTERS);
	assert_int_equal(rig.line.rises, 2);
	assert_int_equal(in(UART_RBR), 'b');
	assert_false(rig.line.level);
	rig_advance(&rig, FOUR_CHARACTERS * 4);
	assert_int_equal(rig.line.rises, 2);
}

static void timeout_restarts_with_each_byte(void **state)
{
	(void)state;
	open_port(UART_IER_RDA, UART_FCR_ENABLE | 0x80);
	for (unsigned i = 0; i < 5; i++) {
		uart16550_receive(&uart, "a", 1);
		rig_advance(&rig, FOUR_CHARACTERS - 1);
		assert_false(rig.line.level);
	}
	rig_advance(&rig, 1);
	assert_true(rig.line.level);
	/* More data beyond the trigger: RDA, which outranks nothing lost. */
	uart16550_receive(&uart, "bcd", 3);
	assert_int_equal(in(UART_IIR), UART_IIR_FIFO | UART_IIR_RDA);
}

static void timeout_follows_the_line_speed(void **state)
{
	(void)state;
	out(UART_LCR, UART_LCR_DLAB);
	out(UART_DLL, 12); /* 9,600 baud */
	out(UART_DLM, 0);
	open_port(UART_IER_RDA, UART_FCR_ENABLE | 0xc0);
	out(UART_LCR, UART_LCR_PARITY | UART_LCR_STOP | 2); /* 7 bits: 11 in all */
	uart16550_receive(&uart, "a", 1);
	rig_advance(&rig, 4 * 11 * 12 * 10000 - 1);
	assert_false(rig.line.level);
	rig_advance(&rig, 1);
	assert_true(rig.line.level);
}

/* Bytes that came before the driver enabled the interrupt. */
static void timeout_finds_data_that_waited(void **state)
{
	(void)state;
	open_port(0, UART_FCR_ENABLE | 0x80);
	uart16550_receive(&uart, "a", 1);
	rig_advance(&rig, FOUR_CHARACTERS * 10);
	out(UART_IER, UART_IER_RDA);
	rig_advance(&rig, FOUR_CHARACTERS);
	assert_true(rig.line.level);
}

static void fifo_switch_and_reset_drop_data(void **state)
{
	(void)state;
	open_port(UART_IER_RDA, UART_FCR_ENABLE);
	uart16550_receive(&uart, "abcdefghijklmnopqr", 18);
	out(UART_FCR, UART_FCR_ENABLE | UART_FCR_TX_RESET);
	assert_int_equal(in(UART_LSR), 0x61);
	assert_int_equal(room_calls, 0);
	out(UART_FCR, UART_FCR_ENABLE | UART_FCR_RX_RESET);
	assert_int_equal(in(UART_LSR), 0x60);
	assert_false(rig.line.level);
	assert_int_equal(room_calls, 1);
	uart16550_receive(&uart, "ab", 2);
	out(UART_FCR, 0xc0); /* disables: the trigger bits do not count */
	assert_int_equal(in(UART_LSR), 0x60);
	assert_int_equal(in(UART_IIR), UART_IIR_NONE);
	uart16550_receive(&uart, "a", 1);
	assert_int_equal(in(UART_IIR), UART_IIR_RDA);
	out(UART_FCR, UART_FCR_RX_RESET); /* without ENABLE: nothing */
	assert_int_equal(in(UART_LSR), 0x61);
	out(UART_FCR, UART_FCR_ENABLE);
	assert_int_equal(in(UART_LSR), 0x60);
}

static void room_callback_may_refill(void **state)
{
	char got[41] = {0};
	unsigned n = 0;

	(void)state;
	open_port(UART_IER_RDA, UART_FCR_ENABLE);
	waiting = "0123456789012345678901234567890123456789";
	waiting += uart16550_receive(&uart, waiting, 40);
	while ((in(UART_LSR)&UART_LSR_DR) != 0 && n < 40) {
		got[n++] = (char)in(UART_RBR);
	}
	assert_string_equal(got, "0123456789012345678901234567890123456789");
	assert_int_equal(room_calls, 2);
}

static void priorities(void **state)
{
	(void)state;
	open_port(0x0f, UART_FCR_ENABLE);
	out(UART_THR, 'x');
	uart16550_receive_break(&uart);
	out(UART_MCR, UART_MCR_OUT2 | UART_MCR_LOOP); /* modem lines change */
	assert_int_equal(in(UART_IIR)&UART_IIR_CAUSE, UART_IIR_LINE);
	assert_int_equal(in(UART_IIR)&UART_IIR_CAUSE, UART_IIR_LINE);
	assert_int_equal(in(UART_LSR), 0xf9 & ~UART_LSR_PE);
	assert_int_equal(in(UART_IIR)&UART_IIR_CAUSE, UART_IIR_RDA);
	assert_int_equal(in(UART_RBR), 0);
	assert_int_equal(in(UART_IIR)&UART_IIR_CAUSE, UART_IIR_THRE);
	assert_int_equal(in(UART_IIR)&UART_IIR_CAUSE, UART_IIR_MODEM);
	assert_true(rig.line.level);
	assert_int_equal(in(UART_MSR), UART_MSR_DCD | UART_MSR_DCTS | UART_MSR_DDSR);
	assert_int_equal(in(UART_IIR)&UART_IIR_CAUSE, UART_IIR_NONE);
	assert_false(rig.line.level);
	assert_int_equal(rig.line.rises, 2); /* 'x' took the first THRE back */
}

/* An error is told with its own byte, not before. */
static void errors_stay_with_their_byte(void **state)
{
	(void)state;
	open_port(UART_IER_LINE, UART_FCR_ENABLE);
	uart16550_receive(&uart, "a", 1);
	assert_true(uart16550_receive_break(&uart));
	assert_false(rig.line.level);
	assert_int_equal(in(UART_LSR), 0x61 | UART_LSR_FIFO_ERROR);
	assert_int_equal(in(UART_RBR), 'a');
	assert_true(rig.line.level);
	assert_int_equal(in(UART_LSR), 0x61 | UART_LSR_FIFO_ERROR | UART_LSR_BI | UART_LSR_FE);
	assert_false(rig.line.level);
	assert_int_equal(in(UART_LSR), 0x61);
	assert_int_equal(in(UART_RBR), 0);
	assert_int_equal(in(UART_LSR), 0x60);
}

static void loopback_receives_what_it_sends(void **state)
{
	(void)state;
	open_port(UART_IER_RDA, UART_FCR_ENABLE);
	out(UART_MCR, UART_MCR_OUT2 | UART_MCR_LOOP);
	put("ping");
	assert_true(rig.line.level);
	assert_int_equal(uart16550_receive(&uart, "x", 1), 0);
	assert_int_equal(in(UART_RBR), 'p');
	assert_int_equal(in(UART_RBR), 'i');
	assert_int_equal(in(UART_RBR), 'n');
	assert_int_equal(in(UART_RBR), 'g');
	rig_advance_ns(&rig, 5000000);
	assert_int_equal(sent_count, 0);
	assert_int_equal(room_calls, 0);
	out(UART_MCR, UART_MCR_OUT2);
	assert_int_equal(room_calls, 1);
	assert_int_equal(uart16550_receive(&uart, "x", 1), 1);
}

static void loopback_overruns(void **state)
{
	(void)state;
	open_port(UART_IER_LINE, UART_FCR_ENABLE);
	out(UART_MCR, UART_MCR_OUT2 | UART_MCR_LOOP);
	put("0123456789abcdef");
	assert_int_equal(in(UART_LSR)&UART_LSR_OE, 0);
	out(UART_THR, 'g');
	assert_true(rig.line.level);
	assert_int_equal(in(UART_LSR), 0x61 | UART_LSR_OE);
	assert_int_equal(in(UART_LSR), 0x61);
	assert_int_equal(in(UART_RBR), '0'); /* the FIFO keeps the old bytes */
	out(UART_FCR, 0);
	put("ab");
	assert_int_equal(in(UART_LSR), 0x61 | UART_LSR_OE);
	assert_int_equal(in(UART_RBR), 'b'); /* the lone register the new one */
}

static void loopback_modem_lines(void **state)
{
	(void)state;
	out(UART_MCR, UART_MCR_LOOP | UART_MCR_OUT1);
	assert_int_equal(in(UART_MSR), UART_MSR_RI | UART_MSR_DCTS | UART_MSR_DDSR | UART_MSR_DDCD);
	out(UART_MCR, UART_MCR_LOOP | UART_MCR_DTR);
	assert_int_equal(in(UART_MSR), UART_MSR_DSR | UART_MSR_DDSR | UART_MSR_TERI);
	out(UART_MCR, UART_MCR_LOOP | UART_MCR_DTR | UART_MCR_OUT1);
	assert_int_equal(in(UART_MSR), UART_MSR_DSR | UART_MSR_RI); /* RI tells its end only */
	out(UART_MCR, 0);
	assert_int_equal(in(UART_MSR), 0xb0 | UART_MSR_DCTS | UART_MSR_TERI | UART_MSR_DDCD);
	assert_int_equal(in(UART_MSR), 0xb0);
}

static void loopback_break_and_short_words(void **state)
{
	(void)state;
	out(UART_MCR, UART_MCR_LOOP);
	out(UART_LCR, 0); /* 5 bits */
	out(UART_THR, 0xff);
	assert_int_equal(in(UART_RBR), 0x1f);
	out(UART_LCR, UART_LCR_BREAK | 3);
	assert_int_equal(in(UART_LSR), 0x61 | UART_LSR_BI | UART_LSR_FE);
	out(UART_LCR, UART_LCR_BREAK | 3);
	assert_int_equal(in(UART_LSR), 0x61); /* one break, however often it is written */
	assert_int_equal(in(UART_RBR), 0);
	assert_int_equal(in(UART_LSR), 0x60);
}

static void wide_accesses_split(void **state)
{
	(void)state;
	rig_write(&uart.dev, BUS_PIO, COM1 + UART_LCR, 2, 0x1803); /* LCR, MCR */
	assert_int_equal(in(UART_LCR), 0x03);
	assert_int_equal(in(UART_MCR), 0x18);
	assert_int_equal(rig_read(&uart.dev, BUS_PIO, COM1 + UART_IER, 4), 0x18030100);
}

static void reset_returns_to_power_on(void **state)
{
	(void)state;
	open_port(0x0f, UART_FCR_ENABLE);
	uart16550_receive(&uart, "abc", 3);
	out(UART_SCR, 1);
	assert_int_equal(in(UART_RBR), 'a');
	assert_int_equal(uart16550_receive(&uart, "defghijklmnopqrstuvw", 20), 14);
	assert_true(rig.line.level);
	uart.dev.ops->reset(&uart.dev);
	assert_int_equal(room_calls, 1);
	assert_false(rig.line.level);
	power_on_state(state);
	rig_advance_ns(&rig, 1000000000);
	assert_int_equal(rig.timers_run, 0);
}

static void a_loaded_one_goes_on(void **state)
{
	(void)state;
	open_port(UART_IER_RDA | UART_IER_THRE, 0x81);
	(void)in(UART_IIR);
	put("half");
	assert_int_equal(uart16550_receive(&uart, "keys", 4), 4);
	saved_reload(&uart.saved);
	assert_int_equal(sent_count, 0);
	assert_int_equal(room_calls, 1);
	assert_false(rig.line.level);
	put(" a line\n");
	assert_sent("half a line\n");
	rig_advance(&rig, FOUR_CHARACTERS + 1);
	assert_true(rig.line.level);
	assert_int_equal(in(UART_IIR), UART_IIR_FIFO | UART_IIR_TIMEOUT);
	assert_int_equal(in(UART_RBR), 'k');
	saved_reload(&uart.saved);
	assert_int_equal(in(UART_RBR), 'e');
}

/* What the caller holds is not lost: it is asked for again. */
static void refused_input_comes_again(void **state)
{
	const char *keys = "0123456789abcdefghij";

	(void)state;
	open_port(0, 1);
	waiting = keys + uart16550_receive(&uart, keys, strlen(keys));
	assert_string_equal(waiting, "ghij");
	saved_reload(&uart.saved);
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(in(UART_RBR), keys[i]);
	}
}

static void what_no_driver_can_make_of_it_is_refused(void **state)
{
	(void)state;
#define TAKES(field, value) SAVED_TAKES(&uart.saved, struct uart16550_saved, field, value)
	assert_false(TAKES(ier, 0x10));
	assert_false(TAKES(mcr, 0x20));
	assert_false(TAKES(fcr, 0xc0));
	assert_true(TAKES(fcr, 0xc1));
	assert_false(TAKES(line_status, 0x20));
	assert_false(TAKES(rx_head, 16));
	assert_true(TAKES(rx_count, 1));
	assert_false(TAKES(rx_count, 2)); /* the FIFO is off */
	assert_false(TAKES(rx_error[3], 2));
	assert_false(TAKES(tx_held, 17));
	assert_false(TAKES(out_count, UART16550_OUT));
	assert_false(TAKES(rx_timeout, 2));
	assert_false(TAKES(zero[6], 1));
	open_port(0, 1);
	assert_true(TAKES(rx_count, 16));
	assert_false(TAKES(rx_count, 17));
#undef TAKES
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, setup)
	const struct CMUnitTest tests[] = {
		T(power_on_state),
		T(linux_probe_sees_16550a),
		T(linux_thre_tests_pass),
		T(divisor_is_behind_dlab),
		T(lsr_and_msr_ignore_writes),
		T(lines_leave_as_one_batch),
		T(a_prompt_leaves_after_two_milliseconds),
		T(polled_output_is_in_no_hurry),
		T(a_full_buffer_leaves_at_once),
		T(reset_and_end_lose_no_output),
		T(polling_always_finds_the_transmitter_empty),
		T(thre_rises_when_enabled_and_falls_when_read),
		T(thre_without_fifo_gives_an_edge_per_byte),
		T(one_interrupt_serves_a_long_output),
		T(thre_comes_by_itself_to_a_driver_that_waits),
		T(thre_comes_while_bytes_trickle),
		T(thre_overtakes_waiting_output),
		T(a_full_fifo_makes_room_for_the_next),
		T(out2_gates_the_line),
		T(without_fifo_one_byte_fits),
		T(trigger_levels),
		T(character_timeout),
		T(timeout_restarts_with_each_byte),
		T(timeout_follows_the_line_speed),
		T(timeout_finds_data_that_waited),
		T(fifo_switch_and_reset_drop_data),
		T(room_callback_may_refill),
		T(priorities),
		T(errors_stay_with_their_byte),
		T(loopback_receives_what_it_sends),
		T(loopback_overruns),
		T(loopback_modem_lines),
		T(loopback_break_and_short_words),
		T(wide_accesses_split),
		T(reset_returns_to_power_on),
		cmocka_unit_test_setup(a_loaded_one_goes_on, setup),
		cmocka_unit_test_setup(refused_input_comes_again, setup),
		cmocka_unit_test_setup(what_no_driver_can_make_of_it_is_refused, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
