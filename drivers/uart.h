/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine's serial port: a 16550 (or one of its forebears) at 115200 8N1. Output goes into a
 * ring that is drained without waiting; only panic and power-off wait for the transmitter, and
 * never for long. Source: National Semiconductor PC16550D data sheet.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/base/lock.h"

#define UART_TX_BYTES 16384u
#define UART_RX_BYTES 256u

struct uart {
	struct spinlock lock; /* covers all below but base, present and fifo */
	uint16_t base;
	uint16_t fifo; /* bytes that fit into an empty transmitter */
	bool present;
	bool interrupts;	   /* uart_interrupt is called; else only uart_poll */
	bool stuck;		   /* the transmitter did not empty in time: do not wait again */
	uint8_t ier;		   /* last value written */
	uint32_t tx_head, tx_tail; /* monotonic: head written, tail sent */
	uint32_t rx_head, rx_tail;
	uint64_t rx_lost; /* characters that found the ring full, or overran the FIFO */
	char tx[UART_TX_BYTES];
	char rx[UART_RX_BYTES];
};

/*
 * Looks for a UART at I/O port `base` (scratch register and loopback) and sets it up. False when
 * there is none: all other calls are then harmless.
 */
bool uart_init(struct uart *u, uint16_t base);

/*
 * Queues bytes as they are and starts sending. Returns how many of the `n` were taken: fewer when
 * the ring is full. All of them when the UART is absent.
 */
size_t uart_write(struct uart *u, const char *text, size_t n);
/* As uart_write, but waits (bounded) for room, so that a start-up log is not cut. */
void uart_write_all(struct uart *u, const char *text, size_t n);
/* The next character received; false when there is none. */
bool uart_read(struct uart *u, char *out);

/* Moves what can be moved without waiting; for a timer, at most a few milliseconds apart. */
void uart_poll(struct uart *u);
/* Lets the UART interrupt on received characters and while there is output. */
void uart_enable_interrupts(struct uart *u);
/* The interrupt's handler; ending the interrupt is the caller's. */
void uart_interrupt(struct uart *u);

/* Sends all that is queued and waits until it is on the wire; bounded. */
void uart_flush(struct uart *u);
/*
 * For panic: takes no lock, sends what is queued and then `text`, and waits for it. Other CPUs
 * should have stopped; if one is writing, lines may mix.
 */
void uart_emergency_write(struct uart *u, const char *text, size_t n);
