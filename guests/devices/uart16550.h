/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A 16550A UART (National Semiconductor PC16550D) whose line is as fast as the guest. Input is
 * flow-controlled by the caller, so nothing is lost but in loopback; output leaves in batches.
 *
 *	guest --THR--> held FIFO bytes --first look at the UART--> "sent"
 *	         \---> out[] --line end, full, or 2 ms--> transmit callback
 *	guest <--RBR-- rx FIFO <-- uart16550_receive
 */
#pragma once

#include "hv/api/saved.h"
#include "hv/api/vdev.h"
#include "hv/api/vtime.h"

#define UART16550_PORTS 8u
#define UART16550_FIFO 16u
#define UART16550_OUT 64u

/* Registers by offset, and their bits. */
#define UART_RBR 0u /* read; DLAB = 0 */
#define UART_THR 0u /* write; DLAB = 0 */
#define UART_IER 1u
#define UART_DLL 0u /* DLAB = 1 */
#define UART_DLM 1u
#define UART_IIR 2u /* read */
#define UART_FCR 2u /* write */
#define UART_LCR 3u
#define UART_MCR 4u
#define UART_LSR 5u
#define UART_MSR 6u
#define UART_SCR 7u

#define UART_IER_RDA 0x01u
#define UART_IER_THRE 0x02u
#define UART_IER_LINE 0x04u
#define UART_IER_MODEM 0x08u

#define UART_IIR_NONE 0x01u
#define UART_IIR_LINE 0x06u
#define UART_IIR_RDA 0x04u
#define UART_IIR_TIMEOUT 0x0cu
#define UART_IIR_THRE 0x02u
#define UART_IIR_MODEM 0x00u
#define UART_IIR_CAUSE 0x0fu
#define UART_IIR_FIFO 0xc0u

#define UART_FCR_ENABLE 0x01u
#define UART_FCR_RX_RESET 0x02u
#define UART_FCR_TX_RESET 0x04u
#define UART_FCR_TRIGGER 0xc0u

#define UART_LCR_LENGTH 0x03u
#define UART_LCR_STOP 0x04u
#define UART_LCR_PARITY 0x08u
#define UART_LCR_BREAK 0x40u
#define UART_LCR_DLAB 0x80u

#define UART_MCR_DTR 0x01u
#define UART_MCR_RTS 0x02u
#define UART_MCR_OUT1 0x04u
#define UART_MCR_OUT2 0x08u
#define UART_MCR_LOOP 0x10u

#define UART_LSR_DR 0x01u
#define UART_LSR_OE 0x02u
#define UART_LSR_PE 0x04u
#define UART_LSR_FE 0x08u
#define UART_LSR_BI 0x10u
#define UART_LSR_THRE 0x20u
#define UART_LSR_TEMT 0x40u
#define UART_LSR_FIFO_ERROR 0x80u

#define UART_MSR_DCTS 0x01u
#define UART_MSR_DDSR 0x02u
#define UART_MSR_TERI 0x04u
#define UART_MSR_DDCD 0x08u
#define UART_MSR_CTS 0x10u
#define UART_MSR_DSR 0x20u
#define UART_MSR_RI 0x40u
#define UART_MSR_DCD 0x80u

struct uart16550_config {
	struct vtime *time;
	struct irq_line irq;
	/* Takes n >= 1 bytes of output, lock held: it must not call back. May be NULL. */
	void (*transmit)(void *ctx, const char *data, size_t n);
	/* After uart16550_receive refused bytes: there is room now. Lock not held. May be NULL. */
	void (*room)(void *ctx);
	void *ctx;
};

struct uart16550 {
	struct vdev dev; /* its lock covers all below but cfg */
	struct uart16550_config cfg;
	uint8_t ier, fcr, lcr, mcr, msr, scr, dll, dlm;
	uint8_t line_status; /* LSR error bits that LSR's next read shows and clears */

	uint8_t rx_data[UART16550_FIFO];
	uint8_t rx_error[UART16550_FIFO]; /* LSR bits of each byte until it is the oldest */
	uint8_t rx_last;		  /* what RBR shows while there is no data */
	unsigned rx_head, rx_count;
	bool rx_timeout; /* data has waited for four characters' time */
	bool rx_refused; /* the caller holds bytes that did not fit */
	struct vtimer rx_timer;

	unsigned tx_held;  /* bytes written since the guest last looked */
	bool thre_pending; /* a THRE interrupt is due when enabled */
	char out[UART16550_OUT];
	unsigned out_count;
	bool tx_timer_soon; /* armed for the THRE interrupt, not just for output */
	struct vtimer tx_timer;

	bool irq_level; /* as last told to the line */
	struct saved_device saved;
};

#define UART16550_SAVED_VERSION 1u
/* What did not fit into the FIFO is the caller's, who is told to offer it again. */
struct uart16550_saved {
	uint64_t rx_deadline; /* of the timers, guest ticks */
	uint64_t tx_deadline;
	uint8_t ier, fcr, lcr, mcr, msr, scr, dll, dlm;
	uint8_t rx_data[UART16550_FIFO];
	uint8_t rx_error[UART16550_FIFO];
	uint8_t out[UART16550_OUT];
	uint8_t line_status;
	uint8_t rx_last;
	uint8_t rx_head;
	uint8_t rx_count;
	uint8_t rx_timeout;
	uint8_t tx_held;
	uint8_t thre_pending;
	uint8_t out_count;
	uint8_t tx_timer_soon;
	uint8_t zero[7];
};
_Static_assert(sizeof(struct uart16550_saved) == 136, "no padding");

/* Power-on state. `cfg` is copied. The device is then registered over UART16550_PORTS ports. */
void uart16550_init(struct uart16550 *u, const struct uart16550_config *cfg);
/*
 * Bytes arrive on the line. Returns how many fit; the rest stay with the caller, who is told by
 * the room callback when to offer them again.
 */
size_t uart16550_receive(struct uart16550 *u, const char *data, size_t n);
/* A break condition arrives (Linux: SysRq follows). False when the FIFO is full. */
bool uart16550_receive_break(struct uart16550 *u);
