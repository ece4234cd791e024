/* SPDX-License-Identifier: Apache-2.0 */
/* Register accesses, input and time against the UART; no output byte may be lost or invented. */
#include "guests/devices/uart16550.h"
#include "tests/fakes/device_rig.h"
#include "tests/fuzz/device_input.h"

static struct device_rig rig;
static struct uart16550 uart;
static uint64_t sent;
static uint64_t written;

static void transmit(void *ctx, const char *data, size_t n)
{
	(void)ctx;
	assert(data != NULL && n >= 1 && n <= UART16550_OUT);
	sent += n;
}

static void room(void *ctx)
{
	(void)ctx;
	assert(uart16550_receive(&uart, "more input than fits", 20) >= 1);
}

static void guest_writes(unsigned reg, uint8_t value)
{
	if (reg == UART_THR && (uart.lcr & UART_LCR_DLAB) == 0 && (uart.mcr & UART_MCR_LOOP) == 0) {
		written++;
	}
	rig_out(&uart.dev, (uint16_t)(0x3f8 + reg), value);
}

static void step(struct input *in)
{
	uint8_t op = (uint8_t)take(in, 1);
	unsigned reg = op & 7;

	switch (op >> 3 & 7) {
	case 0:
	case 1:
		(void)rig_in(&uart.dev, (uint16_t)(0x3f8 + reg));
		break;
	case 2:
	case 3:
	case 4:
		guest_writes(reg, (uint8_t)take(in, 1));
		break;
	case 5:
		rig_advance(&rig, take_ticks(in));
		break;
	case 6:
		assert(uart16550_receive(&uart, "01234567", reg) <= reg);
		break;
	default:
		if (reg == 0) {
			uart.dev.ops->reset(&uart.dev);
		} else if (reg == 1) {
			(void)uart16550_receive_break(&uart);
		} else {
			(void)rig_read(&uart.dev, BUS_PIO, 0x3f8 + (reg & 4), 4);
		}
		break;
	}
}

static void invariants(void)
{
	assert(uart.rx_count <= UART16550_FIFO && uart.rx_head < UART16550_FIFO);
	assert((uart.fcr & UART_FCR_ENABLE) != 0 || uart.rx_count <= 1);
	assert(uart.tx_held <= UART16550_FIFO && uart.out_count < UART16550_OUT);
	assert(sent + uart.out_count == written);
	/* Output never waits without a timer, nor a driver for a THRE that will not come. */
	assert(uart.out_count == 0 || vtimer_armed(&uart.tx_timer));
	assert(uart.tx_held == 0 || (uart.ier & UART_IER_THRE) == 0 ||
	       vtimer_armed(&uart.tx_timer));
	assert(rig.line.level == uart.irq_level);
	assert(!rig.line.level || (uart.mcr & UART_MCR_OUT2) != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct uart16550_config cfg = {.time = &rig.time, .transmit = transmit, .room = room};

	rig_init(&rig, 1 + take(&in, 4) + 1000000);
	cfg.irq = rig_irq(&rig.line);
	sent = 0;
	written = 0;
	uart16550_init(&uart, &cfg);
	while (in.n != 0) {
		step(&in);
		invariants();
	}
	uart.dev.ops->fini(&uart.dev);
	assert(sent == written);
	assert(timer_queue_next(&rig.queue) == TIMER_NEVER);
	return 0;
}
