/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The 16550A. Sources: PC16550D data sheet, "Registers" and "FIFO Interrupt Mode Operation".
 *
 * Transmission takes no time, but a byte counts as sent only when the guest next looks at any
 * register or writes into a full FIFO. Until then the THRE interrupt is not due, so a driver that
 * fills the FIFO in its handler and then reads IIR finds the next THRE there and takes one
 * interrupt per burst; polling drivers never notice. For those that only wait, a timer looks.
 */
#include "guests/devices/uart16550.h"

#include "guests/devices/bytewise.h"
#include "hv/api/clock.h"
#include "hv/base/bits.h"
#include "hv/base/str.h"

#define LSR_ERRORS (UART_LSR_OE | UART_LSR_PE | UART_LSR_FE | UART_LSR_BI)
#define LSR_BYTE_ERRORS (UART_LSR_PE | UART_LSR_FE | UART_LSR_BI)
#define MSR_DELTAS (UART_MSR_DCTS | UART_MSR_DDSR | UART_MSR_TERI | UART_MSR_DDCD)
#define MSR_LINES (UART_MSR_CTS | UART_MSR_DSR | UART_MSR_RI | UART_MSR_DCD)
/* A terminal that is there and ready. */
#define MSR_CONNECTED (UART_MSR_CTS | UART_MSR_DSR | UART_MSR_DCD)
#define MCR_WRITABLE 0x1fu
#define IER_WRITABLE 0x0fu

#define BAUD_BASE 115200u
#define TIMEOUT_CHARACTERS 4u
/* A 16-byte FIFO takes 1.4 ms at 115,200 baud: nobody minds these. */
#define THRE_DELAY_NS 200000u
#define OUTPUT_DELAY_NS 2000000u

static struct uart16550 *to_uart(struct vdev *dev)
{
	return container_of(dev, struct uart16550, dev);
}

static bool fifo_enabled(const struct uart16550 *u)
{
	return (u->fcr & UART_FCR_ENABLE) != 0;
}

static bool loopback(const struct uart16550 *u)
{
	return (u->mcr & UART_MCR_LOOP) != 0;
}

static unsigned rx_capacity(const struct uart16550 *u)
{
	return fifo_enabled(u) ? UART16550_FIFO : 1;
}

static unsigned rx_trigger(const struct uart16550 *u)
{
	static const uint8_t levels[] = {1, 4, 8, 14};

	return fifo_enabled(u) ? levels[bits_get(u->fcr, UART_FCR_TRIGGER)] : 1;
}

/* ---- interrupts ---- */

/* The IIR code of the most important enabled cause ("Interrupt Control Functions"). */
static uint8_t cause(const struct uart16550 *u)
{
	if ((u->ier & UART_IER_LINE) != 0 && (u->line_status & LSR_ERRORS) != 0) {
		return UART_IIR_LINE;
	}
	if ((u->ier & UART_IER_RDA) != 0) {
		if (u->rx_count >= rx_trigger(u)) {
			return UART_IIR_RDA;
		}
		if (u->rx_timeout) {
			return UART_IIR_TIMEOUT;
		}
	}
	if ((u->ier & UART_IER_THRE) != 0 && u->thre_pending) {
		return UART_IIR_THRE;
	}
	if ((u->ier & UART_IER_MODEM) != 0 && (u->msr & MSR_DELTAS) != 0) {
		return UART_IIR_MODEM;
	}
	return UART_IIR_NONE;
}

/* OUT2 is the gate between INTR and the bus on every PC. */
static void update_irq(struct uart16550 *u)
{
	bool level = (u->mcr & UART_MCR_OUT2) != 0 && cause(u) != UART_IIR_NONE;

	if (level != u->irq_level) {
		u->irq_level = level;
		irq_line_set(&u->cfg.irq, level);
	}
}

/* ---- receiver ---- */

/* Four characters as the line is set up, in ticks. A divisor of 0, undefined, counts as 1. */
static uint64_t timeout_ticks(const struct uart16550 *u)
{
	uint64_t divisor = max_u64((uint64_t)u->dlm << 8 | u->dll, 1);
	uint64_t bits = 1 + 5 + (u->lcr & UART_LCR_LENGTH) + 1;

	bits += (u->lcr & UART_LCR_PARITY) != 0;
	bits += (u->lcr & UART_LCR_STOP) != 0;
	return clock_muldiv(clock_hz(), TIMEOUT_CHARACTERS * bits * divisor, BAUD_BASE);
}

/* Data too little to trigger an interrupt starts, or starts anew, to wait. */
static void rx_restart_timer(struct uart16550 *u)
{
	u->rx_timeout = false;
	if (u->rx_count == 0 || u->rx_count >= rx_trigger(u) || (u->ier & UART_IER_RDA) == 0) {
		vtimer_cancel(&u->rx_timer);
	} else {
		vtimer_arm(&u->rx_timer, vtime_now(u->cfg.time) + timeout_ticks(u));
	}
}

static void rx_timer_fired(struct vtimer *t)
{
	struct uart16550 *u = container_of(t, struct uart16550, rx_timer);

	lock_acquire(&u->dev.lock);
	u->rx_timeout = u->rx_count != 0;
	update_irq(u);
	lock_release(&u->dev.lock);
}

/* An error is reported when its byte becomes the oldest. */
static void rx_reveal_error(struct uart16550 *u)
{
	if (u->rx_count != 0) {
		u->line_status |= u->rx_error[u->rx_head];
		u->rx_error[u->rx_head] = 0;
	}
}

/* A byte that finds no room: the FIFO keeps the old ones, the lone register takes the new one. */
static void rx_push(struct uart16550 *u, uint8_t byte, uint8_t error)
{
	unsigned at = (u->rx_head + u->rx_count) % UART16550_FIFO;
	uint8_t used = (uint8_t)(0xffu >> (3 - (u->lcr & UART_LCR_LENGTH)));

	if (u->rx_count == rx_capacity(u)) {
		u->line_status |= UART_LSR_OE;
		if (fifo_enabled(u)) {
			return;
		}
		at = u->rx_head;
	} else {
		u->rx_count++;
	}
	u->rx_data[at] = byte & used;
	u->rx_error[at] = error;
	rx_reveal_error(u);
}

static uint8_t rx_pop(struct uart16550 *u)
{
	if (u->rx_count != 0) {
		u->rx_last = u->rx_data[u->rx_head];
		u->rx_count--;
		u->rx_head = (u->rx_head + 1) % UART16550_FIFO;
		rx_reveal_error(u);
		rx_restart_timer(u);
	}
	return u->rx_last;
}

static void rx_clear(struct uart16550 *u)
{
	u->rx_head = 0;
	u->rx_count = 0;
	memset(u->rx_error, 0, sizeof(u->rx_error));
	rx_restart_timer(u);
}

static bool rx_error_waits(const struct uart16550 *u)
{
	if ((u->line_status & LSR_BYTE_ERRORS) != 0) {
		return true;
	}
	for (unsigned i = 0; i < u->rx_count; i++) {
		if (u->rx_error[(u->rx_head + i) % UART16550_FIFO] != 0) {
			return true;
		}
	}
	return false;
}

/* Whether to call cfg.room once the lock is released. An empty FIFO makes the next burst long. */
static bool room_is_back(struct uart16550 *u)
{
	bool room = u->rx_refused && u->rx_count == 0 && !loopback(u);

	if (room) {
		u->rx_refused = false;
	}
	return room && u->cfg.room != NULL;
}

/* ---- transmitter ---- */

static void flush_output(struct uart16550 *u)
{
	if (u->out_count != 0 && u->cfg.transmit != NULL) {
		u->cfg.transmit(u->cfg.ctx, u->out, u->out_count);
	}
	u->out_count = 0;
}

/* The guest looks: what it wrote has been sent by now. */
static void settle(struct uart16550 *u)
{
	if (u->tx_held != 0) {
		u->tx_held = 0;
		u->thre_pending = true;
	}
}

static void tx_timer_fired(struct vtimer *t)
{
	struct uart16550 *u = container_of(t, struct uart16550, tx_timer);

	lock_acquire(&u->dev.lock);
	settle(u);
	flush_output(u);
	update_irq(u);
	lock_release(&u->dev.lock);
}

/* The timer is never cancelled early: that would cost more than one firing with nothing to do. */
static void start_tx_timer(struct uart16550 *u)
{
	bool soon = u->tx_held != 0 && (u->ier & UART_IER_THRE) != 0;
	uint64_t delay = clock_ns_to_ticks(soon ? THRE_DELAY_NS : OUTPUT_DELAY_NS);

	if ((soon || u->out_count != 0) &&
	    (!vtimer_armed(&u->tx_timer) || (soon && !u->tx_timer_soon))) {
		vtimer_arm(&u->tx_timer, vtime_now(u->cfg.time) + delay);
		u->tx_timer_soon = soon;
	}
}

static void write_thr(struct uart16550 *u, uint8_t byte)
{
	if (!fifo_enabled(u) || u->tx_held == UART16550_FIFO) {
		settle(u);
	}
	/* The write takes THRE back; an edge-triggered PIC has to see the line fall. */
	u->thre_pending = false;
	update_irq(u);
	u->tx_held++;
	if (loopback(u)) {
		rx_push(u, byte, 0);
		rx_restart_timer(u);
	} else {
		u->out[u->out_count++] = (char)byte;
		if (byte == '\n' || u->out_count == UART16550_OUT) {
			flush_output(u);
		}
	}
	if (!fifo_enabled(u)) {
		settle(u);
	}
	start_tx_timer(u);
}

/* ---- registers ---- */

/* The modem inputs: a connected terminal, or in loopback the outputs of MCR. */
static uint8_t modem_lines(const struct uart16550 *u)
{
	uint8_t lines = 0;

	if (!loopback(u)) {
		return MSR_CONNECTED;
	}
	lines |= (u->mcr & UART_MCR_RTS) != 0 ? UART_MSR_CTS : 0;
	lines |= (u->mcr & UART_MCR_DTR) != 0 ? UART_MSR_DSR : 0;
	lines |= (u->mcr & UART_MCR_OUT1) != 0 ? UART_MSR_RI : 0;
	lines |= (u->mcr & UART_MCR_OUT2) != 0 ? UART_MSR_DCD : 0;
	return lines;
}

static void write_mcr(struct uart16550 *u, uint8_t value)
{
	uint8_t before = u->msr & MSR_LINES;
	uint8_t changed;

	u->mcr = value & MCR_WRITABLE;
	u->msr = (u->msr & MSR_DELTAS) | modem_lines(u);
	changed = before ^ (u->msr & MSR_LINES);
	u->msr |= (changed & UART_MSR_CTS) != 0 ? UART_MSR_DCTS : 0;
	u->msr |= (changed & UART_MSR_DSR) != 0 ? UART_MSR_DDSR : 0;
	u->msr |= (changed & before & UART_MSR_RI) != 0 ? UART_MSR_TERI : 0;
	u->msr |= (changed & UART_MSR_DCD) != 0 ? UART_MSR_DDCD : 0;
}

static void write_fcr(struct uart16550 *u, uint8_t value)
{
	bool toggled = ((u->fcr ^ value) & UART_FCR_ENABLE) != 0;

	/* The other bits count only in a write that also enables the FIFOs. */
	u->fcr = (value & UART_FCR_ENABLE) != 0 ? value & (UART_FCR_ENABLE | UART_FCR_TRIGGER) : 0;
	if (toggled || (fifo_enabled(u) && (value & UART_FCR_RX_RESET) != 0)) {
		rx_clear(u);
	} else if (!u->rx_timeout) {
		rx_restart_timer(u);
	}
}

static void write_ier(struct uart16550 *u, uint8_t value)
{
	uint8_t enabled = (uint8_t)(value & ~u->ier);

	u->ier = value & IER_WRITABLE;
	/* THR is empty: enabling the interrupt raises it, whether it was read before or not. */
	if ((enabled & UART_IER_THRE) != 0) {
		u->thre_pending = true;
	}
	if (!u->rx_timeout) {
		rx_restart_timer(u);
	}
}

/* In loopback a break that starts is received as one. */
static void write_lcr(struct uart16550 *u, uint8_t value)
{
	bool starts = (value & ~u->lcr & UART_LCR_BREAK) != 0;

	u->lcr = value;
	if (starts && loopback(u)) {
		rx_push(u, 0, UART_LSR_BI | UART_LSR_FE);
		rx_restart_timer(u);
	}
}

static uint8_t read_lsr(struct uart16550 *u)
{
	uint8_t value = u->line_status | UART_LSR_THRE | UART_LSR_TEMT;

	if (u->rx_count != 0) {
		value |= UART_LSR_DR;
	}
	if (fifo_enabled(u) && rx_error_waits(u)) {
		value |= UART_LSR_FIFO_ERROR;
	}
	u->line_status = 0;
	return value;
}

static uint8_t read_iir(struct uart16550 *u)
{
	uint8_t now = cause(u);

	if (now == UART_IIR_THRE) {
		u->thre_pending = false;
	}
	return fifo_enabled(u) ? now | UART_IIR_FIFO : now;
}

static uint8_t read_msr(struct uart16550 *u)
{
	uint8_t value = u->msr;

	u->msr &= MSR_LINES;
	return value;
}

static uint8_t read_register(struct uart16550 *u, unsigned reg)
{
	bool dlab = (u->lcr & UART_LCR_DLAB) != 0;

	switch (reg) {
	case UART_RBR:
		return dlab ? u->dll : rx_pop(u);
	case UART_IER:
		return dlab ? u->dlm : u->ier;
	case UART_IIR:
		return read_iir(u);
	case UART_LCR:
		return u->lcr;
	case UART_MCR:
		return u->mcr;
	case UART_LSR:
		return read_lsr(u);
	case UART_MSR:
		return read_msr(u);
	default:
		return u->scr;
	}
}

static void write_register(struct uart16550 *u, unsigned reg, uint8_t value)
{
	bool dlab = (u->lcr & UART_LCR_DLAB) != 0;

	if (reg == UART_THR && !dlab) {
		write_thr(u, value);
		return;
	}
	settle(u);
	switch (reg) {
	case UART_DLL:
		u->dll = value;
		break;
	case UART_IER:
		if (dlab) {
			u->dlm = value;
		} else {
			write_ier(u, value);
		}
		break;
	case UART_FCR:
		write_fcr(u, value);
		break;
	case UART_LCR:
		write_lcr(u, value);
		break;
	case UART_MCR:
		write_mcr(u, value);
		break;
	case UART_SCR:
		u->scr = value;
		break;
	default: /* LSR and MSR are the factory's to write */
		break;
	}
}

static uint8_t read_byte(struct vdev *dev, uint64_t addr)
{
	struct uart16550 *u = to_uart(dev);

	settle(u);
	return read_register(u, (unsigned)addr & (UART16550_PORTS - 1));
}

static void write_byte(struct vdev *dev, uint64_t addr, uint8_t value)
{
	write_register(to_uart(dev), (unsigned)addr & (UART16550_PORTS - 1), value);
}

static uint64_t uart_read(struct vdev *dev, const struct vdev_access *a)
{
	struct uart16550 *u = to_uart(dev);
	uint64_t value;
	bool room;

	lock_acquire(&dev->lock);
	value = bytewise_read(dev, a, read_byte);
	update_irq(u);
	room = room_is_back(u);
	lock_release(&dev->lock);
	if (room) {
		u->cfg.room(u->cfg.ctx);
	}
	return value;
}

static void uart_write(struct vdev *dev, const struct vdev_access *a, uint64_t value)
{
	struct uart16550 *u = to_uart(dev);
	bool room;

	lock_acquire(&dev->lock);
	bytewise_write(dev, a, value, write_byte);
	update_irq(u);
	room = room_is_back(u);
	lock_release(&dev->lock);
	if (room) {
		u->cfg.room(u->cfg.ctx);
	}
}

/* ---- life ---- */

/* Everything but the divisor is defined by a reset ("UART Reset Configuration"). */
static void power_on(struct uart16550 *u)
{
	u->ier = 0;
	u->fcr = 0;
	u->lcr = 0;
	u->mcr = 0;
	u->msr = MSR_CONNECTED;
	u->scr = 0;
	u->dll = 1;
	u->dlm = 0;
	u->line_status = 0;
	u->rx_last = 0;
	u->tx_held = 0;
	u->thre_pending = false;
	rx_clear(u);
}

static void uart_reset(struct vdev *dev)
{
	struct uart16550 *u = to_uart(dev);
	bool room;

	lock_acquire(&dev->lock);
	flush_output(u);
	vtimer_cancel(&u->tx_timer);
	power_on(u);
	update_irq(u);
	room = room_is_back(u);
	lock_release(&dev->lock);
	if (room) {
		u->cfg.room(u->cfg.ctx);
	}
}

static void uart_fini(struct vdev *dev)
{
	struct uart16550 *u = to_uart(dev);

	lock_acquire(&dev->lock);
	flush_output(u);
	vtimer_cancel(&u->tx_timer);
	vtimer_cancel(&u->rx_timer);
	lock_release(&dev->lock);
}

static const struct vdev_ops uart_ops = {
	.name = "16550",
	.read = uart_read,
	.write = uart_write,
	.reset = uart_reset,
	.fini = uart_fini,
};

/* ---- saved state ---- */

static void save(void *dev, void *out)
{
	struct uart16550 *u = dev;
	struct uart16550_saved *saved = out;

	lock_acquire(&u->dev.lock);
	*saved = (struct uart16550_saved){
		.rx_deadline = vtimer_deadline(&u->rx_timer),
		.tx_deadline = vtimer_deadline(&u->tx_timer),
		.ier = u->ier,
		.fcr = u->fcr,
		.lcr = u->lcr,
		.mcr = u->mcr,
		.msr = u->msr,
		.scr = u->scr,
		.dll = u->dll,
		.dlm = u->dlm,
		.line_status = u->line_status,
		.rx_last = u->rx_last,
		.rx_head = (uint8_t)u->rx_head,
		.rx_count = (uint8_t)u->rx_count,
		.rx_timeout = u->rx_timeout,
		.tx_held = (uint8_t)u->tx_held,
		.thre_pending = u->thre_pending,
		.out_count = (uint8_t)u->out_count,
		.tx_timer_soon = u->tx_timer_soon,
	};
	memcpy(saved->rx_data, u->rx_data, sizeof(saved->rx_data));
	memcpy(saved->rx_error, u->rx_error, sizeof(saved->rx_error));
	memcpy(saved->out, u->out, sizeof(saved->out));
	lock_release(&u->dev.lock);
}

static const char *check_receiver(const struct uart16550_saved *in)
{
	uint8_t errors = 0;

	if (in->rx_head >= UART16550_FIFO ||
	    in->rx_count > ((in->fcr & UART_FCR_ENABLE) != 0 ? UART16550_FIFO : 1)) {
		return "a FIFO has 16 bytes, and one while it is off";
	}
	for (unsigned i = 0; i < UART16550_FIFO; i++) {
		errors |= in->rx_error[i];
	}
	return (errors & ~LSR_BYTE_ERRORS) == 0 ? NULL : "a byte has errors that there are not";
}

static const char *check(void *dev, const void *in)
{
	const struct uart16550_saved *saved = in;
	uint8_t fcr = (saved->fcr & UART_FCR_ENABLE) != 0 ? UART_FCR_ENABLE | UART_FCR_TRIGGER : 0;
	uint8_t flags = saved->rx_timeout | saved->thre_pending | saved->tx_timer_soon;

	(void)dev;
	if ((saved->ier & ~IER_WRITABLE) != 0 || (saved->mcr & ~MCR_WRITABLE) != 0 ||
	    (saved->fcr & ~fcr) != 0 || (saved->line_status & ~LSR_ERRORS) != 0) {
		return "a register has bits that it cannot have";
	}
	if (saved->tx_held > UART16550_FIFO || saved->out_count >= UART16550_OUT) {
		return "more waits to be sent than can";
	}
	if (!saved_is_bool(flags) || !saved_is_zero(saved->zero, sizeof(saved->zero))) {
		return "a flag is neither 0 nor 1";
	}
	return check_receiver(saved);
}

static void load_registers(struct uart16550 *u, const struct uart16550_saved *in)
{
	u->ier = in->ier;
	u->fcr = in->fcr;
	u->lcr = in->lcr;
	u->mcr = in->mcr;
	u->msr = (uint8_t)((in->msr & MSR_DELTAS) | modem_lines(u));
	u->scr = in->scr;
	u->dll = in->dll;
	u->dlm = in->dlm;
	u->line_status = in->line_status;
}

static void load(void *dev, const void *in)
{
	struct uart16550 *u = dev;
	const struct uart16550_saved *saved = in;

	lock_acquire(&u->dev.lock);
	load_registers(u, saved);
	memcpy(u->rx_data, saved->rx_data, sizeof(u->rx_data));
	memcpy(u->rx_error, saved->rx_error, sizeof(u->rx_error));
	memcpy(u->out, saved->out, sizeof(u->out));
	u->rx_last = saved->rx_last;
	u->rx_head = saved->rx_head;
	u->rx_count = saved->rx_count;
	u->rx_timeout = saved->rx_timeout != 0;
	u->rx_refused = false;
	u->tx_held = saved->tx_held;
	u->thre_pending = saved->thre_pending != 0;
	u->out_count = saved->out_count;
	u->tx_timer_soon = saved->tx_timer_soon != 0;
	vtimer_arm(&u->rx_timer, vtime_of_loaded(u->cfg.time, saved->rx_deadline));
	vtimer_arm(&u->tx_timer, vtime_of_loaded(u->cfg.time, saved->tx_deadline));
	update_irq(u);
	lock_release(&u->dev.lock);
	if (u->cfg.room != NULL) {
		u->cfg.room(u->cfg.ctx);
	}
}

/* Output that waits is dropped: it is in what was saved. */
static void reset_saved(void *dev)
{
	struct uart16550 *u = dev;

	lock_acquire(&u->dev.lock);
	u->out_count = 0;
	u->rx_refused = false;
	lock_release(&u->dev.lock);
	uart_reset(&u->dev);
}

static const struct saved_ops saved_ops = {
	.name = "16550",
	.kind = SAVED_KIND('U', 'A', 'R', 'T'),
	.version = UART16550_SAVED_VERSION,
	.bytes = sizeof(struct uart16550_saved),
	.save = save,
	.check = check,
	.load = load,
	.reset = reset_saved,
};

void uart16550_init(struct uart16550 *u, const struct uart16550_config *cfg)
{
	*u = (struct uart16550){.dev.ops = &uart_ops, .cfg = *cfg};
	saved_device_init(&u->saved, &saved_ops, u);
	vtimer_init(&u->rx_timer, cfg->time, rx_timer_fired);
	vtimer_init(&u->tx_timer, cfg->time, tx_timer_fired);
	power_on(u);
}

size_t uart16550_receive(struct uart16550 *u, const char *data, size_t n)
{
	size_t taken = 0;

	lock_acquire(&u->dev.lock);
	while (taken < n && !loopback(u) && u->rx_count < rx_capacity(u)) {
		rx_push(u, (uint8_t)data[taken++], 0);
	}
	u->rx_refused = taken < n;
	if (taken != 0) {
		rx_restart_timer(u);
		update_irq(u);
	}
	lock_release(&u->dev.lock);
	return taken;
}

bool uart16550_receive_break(struct uart16550 *u)
{
	bool fits;

	lock_acquire(&u->dev.lock);
	fits = !loopback(u) && u->rx_count < rx_capacity(u);
	if (fits) {
		rx_push(u, 0, UART_LSR_BI | UART_LSR_FE);
		rx_restart_timer(u);
		update_irq(u);
	}
	lock_release(&u->dev.lock);
	return fits;
}
