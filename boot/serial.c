/* SPDX-License-Identifier: Apache-2.0 */
/* 16550 registers as in National Semiconductor's PC16550D data sheet. */
#include "boot/serial.h"

#include "boot/boot_insn.h"

#define COM1 0x3f8u

#define REG_DATA 0u
#define REG_IER 1u
#define REG_FCR 2u
#define REG_LCR 3u
#define REG_MCR 4u
#define REG_LSR 5u
#define REG_SCRATCH 7u

#define LCR_8N1 0x03u
#define LCR_DLAB 0x80u
#define FCR_ENABLE_CLEAR 0x07u
#define MCR_DTR_RTS 0x03u
#define LSR_THR_EMPTY 0x20u

/* Reads of LSR before the UART counts as hung: a character at 300 baud takes 33 ms, a port read
 * about 1 us. */
#define SPIN_MAX 100000u

static uint16_t port;

static bool keeps_scratch(uint8_t pattern)
{
	boot_out8(COM1 + REG_SCRATCH, pattern);
	return boot_in8(COM1 + REG_SCRATCH) == pattern;
}

static void set_line(void)
{
	boot_out8(COM1 + REG_LCR, LCR_8N1 | LCR_DLAB);
	boot_out8(COM1 + REG_DATA, 1); /* divisor 1: 115200 */
	boot_out8(COM1 + REG_IER, 0);
	boot_out8(COM1 + REG_LCR, LCR_8N1);
	boot_out8(COM1 + REG_FCR, FCR_ENABLE_CLEAR);
	boot_out8(COM1 + REG_MCR, MCR_DTR_RTS);
}

uint16_t serial_init(bool keep_settings)
{
	port = 0;
	if (!keeps_scratch(0x5a) || !keeps_scratch(0xa5)) {
		return 0;
	}
	if (!keep_settings) {
		set_line();
	}
	port = COM1;
	return port;
}

static void put(char c)
{
	for (unsigned i = 0; i < SPIN_MAX; i++) {
		if ((boot_in8((uint16_t)(port + REG_LSR)) & LSR_THR_EMPTY) != 0) {
			boot_out8((uint16_t)(port + REG_DATA), (uint8_t)c);
			return;
		}
	}
	port = 0;
}

void serial_write(const char *text, size_t n)
{
	for (size_t i = 0; port != 0 && i < n; i++) {
		if (text[i] == '\n') {
			put('\r');
		}
		if (port != 0) {
			put(text[i]);
		}
	}
}
