/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's serial port. */
#include "drivers/uart.h"

#include "hv/base/bits.h"
#include "hv/cpu/insn.h"

/* Register offsets; DLAB in LCR swaps the first two for the divisor. */
#define UART_DATA 0
#define UART_IER 1
#define UART_DLL 0
#define UART_DLM 1
#define UART_IIR 2
#define UART_FCR 2
#define UART_LCR 3
#define UART_MCR 4
#define UART_LSR 5
#define UART_MSR 6
#define UART_SCR 7

#define IER_RX 0x01u
#define IER_TX 0x02u
#define IIR_FIFO_ON 0xc0u
#define FCR_ENABLE 0x01u
#define FCR_CLEAR 0x06u
#define FCR_TRIGGER_8 0x80u
#define LCR_8N1 0x03u
#define LCR_DLAB 0x80u
#define MCR_DTR 0x01u
#define MCR_RTS 0x02u
#define MCR_OUT2 0x08u /* gates the interrupt line on a PC */
#define MCR_LOOP 0x10u
#define LSR_DATA 0x01u
#define LSR_OVERRUN 0x02u
#define LSR_THR_EMPTY 0x20u
#define LSR_IDLE 0x40u

#define DIVISOR_115200 1u
#define FIFO_DEPTH 16u

/* In loopback, RTS and OUT2 come back as CTS and DCD. */
#define LOOPBACK_OUT (MCR_LOOP | MCR_OUT2 | MCR_RTS)
#define LOOPBACK_IN 0x90u

/*
 * How often a status register is read before we give up: an ISA read takes about a microsecond,
 * and a full FIFO 1.4 ms to send.
 */
#define WAIT_READS 100000u
/* Bytes moved per direction by one poll: bounds its time. */
#define POLL_BYTES 256u

static uint8_t reg_read(const struct uart *u, unsigned reg)
{
	return cpu_in8((uint16_t)(u->base + reg));
}

static void reg_write(const struct uart *u, unsigned reg, unsigned value)
{
	cpu_out8((uint16_t)(u->base + reg), (uint8_t)value);
}

static bool wait_status(const struct uart *u, uint8_t bits)
{
	for (unsigned i = 0; i < WAIT_READS; i++) {
		if ((reg_read(u, UART_LSR) & bits) == bits) {
			return true;
		}
	}
	return false;
}

static bool scratch_works(const struct uart *u)
{
	static const uint8_t patterns[] = {0x5a, 0xa5};

	for (size_t i = 0; i < ARRAY_SIZE(patterns); i++) {
		reg_write(u, UART_SCR, patterns[i]);
		if (reg_read(u, UART_SCR) != patterns[i]) {
			return false;
		}
	}
	return true;
}

static bool loopback_works(const struct uart *u)
{
	uint8_t modem = reg_read(u, UART_MCR);
	uint8_t status;

	reg_write(u, UART_MCR, LOOPBACK_OUT);
	status = reg_read(u, UART_MSR) & 0xf0;
	reg_write(u, UART_MCR, modem);
	return status == LOOPBACK_IN;
}

static void set_line(struct uart *u)
{
	reg_write(u, UART_IER, 0);
	reg_write(u, UART_LCR, LCR_DLAB | LCR_8N1);
	reg_write(u, UART_DLL, DIVISOR_115200);
	reg_write(u, UART_DLM, DIVISOR_115200 >> 8);
	reg_write(u, UART_LCR, LCR_8N1);
	reg_write(u, UART_FCR, FCR_ENABLE | FCR_CLEAR | FCR_TRIGGER_8);
	u->fifo = (reg_read(u, UART_IIR) & IIR_FIFO_ON) == IIR_FIFO_ON ? FIFO_DEPTH : 1;
	reg_write(u, UART_MCR, MCR_DTR | MCR_RTS | MCR_OUT2);
}

bool uart_init(struct uart *u, uint16_t base)
{
	*u = (struct uart){.base = base};
	/* The high half of IER reads zero on every UART; a port nobody answers reads all-ones. */
	if (base == 0 || (reg_read(u, UART_IER) & 0xf0) != 0) {
		return false;
	}
	if (!scratch_works(u)) {
		return false;
	}
	/* What the firmware wrote last may still be on its way; clearing the FIFO would eat it. */
	(void)wait_status(u, LSR_IDLE);
	if (!loopback_works(u)) {
		return false;
	}
	set_line(u);
	u->present = true;
	return true;
}

/* The transmit interrupt is on exactly while there is something to send. */
static void update_interrupts(struct uart *u)
{
	uint8_t ier = 0;

	if (u->interrupts) {
		ier = (uint8_t)(IER_RX | (u->tx_head != u->tx_tail ? IER_TX : 0));
	}
	if (ier != u->ier) {
		u->ier = ier;
		reg_write(u, UART_IER, ier);
	}
}

/* Fills the transmitter if it is empty; returns the number of bytes it took. */
static unsigned send_burst(struct uart *u)
{
	unsigned sent = 0;

	if ((reg_read(u, UART_LSR) & LSR_THR_EMPTY) == 0) {
		return 0;
	}
	u->stuck = false;
	while (sent < u->fifo && u->tx_tail != u->tx_head) {
		reg_write(u, UART_DATA, (uint8_t)u->tx[u->tx_tail++ % UART_TX_BYTES]);
		sent++;
	}
	return sent;
}

static void send_some(struct uart *u)
{
	unsigned sent = 0;
	unsigned burst;

	do {
		burst = u->tx_tail != u->tx_head ? send_burst(u) : 0;
		sent += burst;
	} while (burst != 0 && sent < POLL_BYTES);
}

/* Sends until `leave` bytes are left, or the transmitter does not move and is declared stuck. */
static void send_waiting(struct uart *u, uint32_t leave)
{
	while (u->tx_head - u->tx_tail > leave) {
		if (u->stuck && (reg_read(u, UART_LSR) & LSR_THR_EMPTY) == 0) {
			return;
		}
		if (wait_status(u, LSR_THR_EMPTY)) {
			send_burst(u);
		} else {
			u->stuck = true;
		}
	}
}

static void receive_some(struct uart *u)
{
	for (unsigned i = 0; i < POLL_BYTES; i++) {
		uint8_t status = reg_read(u, UART_LSR);
		char c;

		if ((status & LSR_DATA) == 0) {
			return;
		}
		u->rx_lost += (status & LSR_OVERRUN) != 0;
		c = (char)reg_read(u, UART_DATA);
		if (u->rx_head - u->rx_tail == UART_RX_BYTES) {
			u->rx_lost++;
		} else {
			u->rx[u->rx_head++ % UART_RX_BYTES] = c;
		}
	}
}

/* Takes as much as fits. */
static size_t enqueue(struct uart *u, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (u->tx_head - u->tx_tail == UART_TX_BYTES) {
			return i;
		}
		u->tx[u->tx_head++ % UART_TX_BYTES] = text[i];
	}
	return n;
}

size_t uart_write(struct uart *u, const char *text, size_t n)
{
	size_t taken;

	if (!u->present) {
		return n;
	}
	lock_acquire(&u->lock);
	taken = enqueue(u, text, n);
	send_some(u);
	update_interrupts(u);
	lock_release(&u->lock);
	return taken;
}

/* A stuck transmitter loses text here: there is nothing else left to do with it. */
static void write_all(struct uart *u, const char *text, size_t n)
{
	size_t done = enqueue(u, text, n);

	while (done < n) {
		send_waiting(u, UART_TX_BYTES / 2);
		if (u->stuck) {
			return;
		}
		done += enqueue(u, text + done, n - done);
	}
}

void uart_write_all(struct uart *u, const char *text, size_t n)
{
	if (!u->present) {
		return;
	}
	lock_acquire(&u->lock);
	write_all(u, text, n);
	send_some(u);
	update_interrupts(u);
	lock_release(&u->lock);
}

bool uart_read(struct uart *u, char *out)
{
	bool got;

	if (!u->present) {
		return false;
	}
	lock_acquire(&u->lock);
	got = u->rx_head != u->rx_tail;
	if (got) {
		*out = u->rx[u->rx_tail++ % UART_RX_BYTES];
	}
	lock_release(&u->lock);
	return got;
}

void uart_poll(struct uart *u)
{
	if (!u->present) {
		return;
	}
	lock_acquire(&u->lock);
	receive_some(u);
	send_some(u);
	update_interrupts(u);
	lock_release(&u->lock);
}

void uart_enable_interrupts(struct uart *u)
{
	if (!u->present) {
		return;
	}
	lock_acquire(&u->lock);
	u->interrupts = true;
	update_interrupts(u);
	lock_release(&u->lock);
}

/* Reading IIR acknowledges a transmit interrupt; the rest is done by moving the data. */
void uart_interrupt(struct uart *u)
{
	if (u->present) {
		(void)reg_read(u, UART_IIR);
		uart_poll(u);
	}
}

static void drain(struct uart *u)
{
	send_waiting(u, 0);
	if (!u->stuck) {
		u->stuck = !wait_status(u, LSR_IDLE);
	}
}

void uart_flush(struct uart *u)
{
	if (!u->present) {
		return;
	}
	lock_acquire(&u->lock);
	drain(u);
	update_interrupts(u);
	lock_release(&u->lock);
}

void uart_emergency_write(struct uart *u, const char *text, size_t n)
{
	if (u->present) {
		write_all(u, text, n);
		drain(u);
	}
}
