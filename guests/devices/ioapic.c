/* SPDX-License-Identifier: Apache-2.0 */
/* The IOAPIC's registers, and when an input becomes a message to the LAPICs. */
#include "guests/devices/ioapic.h"

#include "hv/base/bits.h"
#include "hv/base/check.h"

/* Offsets in the page. */
#define IOAPIC_REGSEL 0x00u
#define IOAPIC_WIN 0x10u
#define IOAPIC_EOI 0x40u

/* Registers behind IOREGSEL. */
#define INDEX_ID 0x00u
#define INDEX_VERSION 0x01u
#define INDEX_ARBITRATION 0x02u
#define INDEX_ENTRIES 0x10u

#define VERSION_VALUE (0x20u | (IOAPIC_PINS - 1) << 16)
#define ID_FIELD 0x0f000000u

/* A redirection entry. */
#define ENTRY_VECTOR MASK(7, 0)
#define ENTRY_DELIVERY MASK(10, 8)
#define ENTRY_LOGICAL BIT(11)
#define ENTRY_REMOTE_IRR BIT(14)
#define ENTRY_LEVEL BIT(15)
#define ENTRY_MASKED BIT(16)
#define ENTRY_DEST MASK(63, 56)
/* Vector, delivery, destination mode, polarity, trigger, mask, destination. */
#define ENTRY_WRITABLE (0x0001afffull | ENTRY_DEST)

static struct apic_message message_of(uint64_t entry)
{
	struct apic_message msg = {
		.dest = (uint32_t)bits_get(entry, ENTRY_DEST),
		.logical = (entry & ENTRY_LOGICAL) != 0,
		.level = (entry & ENTRY_LEVEL) != 0,
		.delivery = (uint8_t)bits_get(entry, ENTRY_DELIVERY),
		.vector = (uint8_t)bits_get(entry, ENTRY_VECTOR),
	};

	if (!msg.logical && msg.dest == 0xff) {
		msg.dest = APIC_DEST_BROADCAST;
	}
	return msg;
}

/* Level triggering means something for these modes alone; NMI, SMI, INIT and ExtINT are edges. */
static bool is_level(uint64_t entry)
{
	return (entry & ENTRY_LEVEL) != 0 &&
	       bits_get(entry, ENTRY_DELIVERY) <= APIC_LOWEST_PRIORITY;
}

static bool is_up(const struct ioapic *io, unsigned pin)
{
	return ((io->lines | io->shared) & BIT32(pin)) != 0;
}

/* Sends a level interrupt that is asserted and neither masked nor waiting for its EOI. */
static void try_level(struct ioapic *io, unsigned pin)
{
	uint64_t entry = io->entries[pin];
	struct apic_message msg = message_of(entry);

	if (is_level(entry) && is_up(io, pin) && (entry & (ENTRY_MASKED | ENTRY_REMOTE_IRR)) == 0 &&
	    apic_bus_deliver(io->bus, &msg)) {
		io->entries[pin] |= ENTRY_REMOTE_IRR;
	}
}

static void send_edge(struct ioapic *io, unsigned pin)
{
	struct apic_message msg = message_of(io->entries[pin]);

	if ((io->entries[pin] & ENTRY_MASKED) == 0) {
		(void)apic_bus_deliver(io->bus, &msg);
	}
}

/* After a change of what pulls the input. */
static void pulled(struct ioapic *io, unsigned pin, bool was_up)
{
	if (was_up || !is_up(io, pin)) {
		return;
	}
	if (is_level(io->entries[pin])) {
		try_level(io, pin);
	} else {
		send_edge(io, pin);
	}
}

void ioapic_set_line(struct ioapic *io, unsigned gsi, bool level)
{
	bool was_up;

	if (gsi >= IOAPIC_PINS) {
		return;
	}
	lock_acquire(&io->dev.lock);
	was_up = is_up(io, gsi);
	io->lines = level ? io->lines | BIT32(gsi) : io->lines & ~BIT32(gsi);
	pulled(io, gsi, was_up);
	lock_release(&io->dev.lock);
}

void ioapic_set_shared(struct ioapic *io, uint16_t levels)
{
	uint32_t were_up;

	lock_acquire(&io->dev.lock);
	were_up = io->lines | io->shared;
	io->shared = levels;
	for (uint32_t rest = levels & ~were_up; rest != 0; rest &= rest - 1) {
		pulled(io, (unsigned)__builtin_ctz(rest), false);
	}
	lock_release(&io->dev.lock);
}

static void end_of_interrupt(struct ioapic *io, uint8_t vector)
{
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		uint64_t entry = io->entries[pin];

		if ((entry & ENTRY_REMOTE_IRR) != 0 && bits_get(entry, ENTRY_VECTOR) == vector) {
			io->entries[pin] &= ~ENTRY_REMOTE_IRR;
			try_level(io, pin);
		}
	}
}

void ioapic_eoi(struct ioapic *io, uint8_t vector)
{
	lock_acquire(&io->dev.lock);
	end_of_interrupt(io, vector);
	lock_release(&io->dev.lock);
}

static void bus_eoi(void *ctx, uint8_t vector)
{
	ioapic_eoi(ctx, vector);
}

bool ioapic_waiting(struct ioapic *io, unsigned gsi)
{
	bool waiting = false;

	if (gsi >= IOAPIC_PINS) {
		return false;
	}
	lock_acquire(&io->dev.lock);
	if ((io->entries[gsi] & ENTRY_MASKED) == 0) {
		struct apic_message msg = message_of(io->entries[gsi]);

		waiting = apic_bus_requested(io->bus, &msg);
	}
	lock_release(&io->dev.lock);
	return waiting;
}

/* The half of a redirection entry that `index` names; false when it names none. */
static bool entry_half(uint32_t index, unsigned *pin, unsigned *shift)
{
	if (index < INDEX_ENTRIES || index >= INDEX_ENTRIES + 2 * IOAPIC_PINS) {
		return false;
	}
	*pin = (index - INDEX_ENTRIES) / 2;
	*shift = (index & 1) * 32;
	return true;
}

static void write_entry(struct ioapic *io, unsigned pin, unsigned shift, uint32_t value)
{
	uint64_t half = (uint64_t)UINT32_MAX << shift;
	uint64_t writable = ENTRY_WRITABLE & half;
	uint64_t entry = (io->entries[pin] & ~writable) | ((uint64_t)value << shift & writable);

	/* An entry that is no level interrupt any more waits for no EOI. */
	if (!is_level(entry)) {
		entry &= ~ENTRY_REMOTE_IRR;
	}
	io->entries[pin] = entry;
	try_level(io, pin);
}

static uint32_t window_read(const struct ioapic *io)
{
	unsigned pin;
	unsigned shift;

	switch (io->select) {
	case INDEX_ID:
	case INDEX_ARBITRATION:
		return io->id;
	case INDEX_VERSION:
		return VERSION_VALUE;
	default:
		return entry_half(io->select, &pin, &shift) ? (uint32_t)(io->entries[pin] >> shift)
							    : 0;
	}
}

static void window_write(struct ioapic *io, uint32_t value)
{
	unsigned pin;
	unsigned shift;

	if (io->select == INDEX_ID) {
		io->id = value & ID_FIELD;
	} else if (entry_half(io->select, &pin, &shift)) {
		write_entry(io, pin, shift, value);
	}
}

/* Notes an access to what is no register, or in the window to one that is not there. */
static void note(const struct ioapic *io, const struct vdev_access *a, enum lacks_kind kind)
{
	uint64_t reg = a->offset & ~0xfull;
	unsigned pin;
	unsigned shift;

	if (reg != IOAPIC_REGSEL && reg != IOAPIC_EOI && reg != IOAPIC_WIN) {
		vdev_lacks(&io->dev, kind, a->offset);
	} else if (reg == IOAPIC_WIN && io->select > INDEX_ARBITRATION &&
		   !entry_half(io->select, &pin, &shift)) {
		vdev_lacks(&io->dev, LACKS_INDEX, io->select);
	}
}

static uint64_t ioapic_read(struct vdev *dev, const struct vdev_access *a)
{
	struct ioapic *io = container_of(dev, struct ioapic, dev);
	unsigned byte = a->offset & 0xf;
	uint32_t value = 0;

	lock_acquire(&dev->lock);
	note(io, a, LACKS_READ);
	if ((a->offset & ~0xfull) == IOAPIC_REGSEL) {
		value = io->select;
	} else if ((a->offset & ~0xfull) == IOAPIC_WIN) {
		value = window_read(io);
	}
	lock_release(&dev->lock);
	return byte < 4 ? value >> (byte * 8) : 0;
}

/* IOREGSEL and EOI take their low byte from any width; the window takes whole registers. */
static void ioapic_write(struct vdev *dev, const struct vdev_access *a, uint64_t value)
{
	struct ioapic *io = container_of(dev, struct ioapic, dev);

	lock_acquire(&dev->lock);
	note(io, a, LACKS_WRITE);
	switch (a->offset) {
	case IOAPIC_REGSEL:
		io->select = value & 0xff;
		break;
	case IOAPIC_WIN:
		if (a->size == 4) {
			window_write(io, (uint32_t)value);
		}
		break;
	case IOAPIC_EOI:
		end_of_interrupt(io, (uint8_t)value);
		break;
	default:
		break;
	}
	lock_release(&dev->lock);
}

static void ioapic_reset(struct vdev *dev)
{
	struct ioapic *io = container_of(dev, struct ioapic, dev);

	lock_acquire(&dev->lock);
	io->select = 0;
	io->id = 0;
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		io->entries[pin] = ENTRY_MASKED;
	}
	/* The lines belong to those who drive them. */
	lock_release(&dev->lock);
}

static const struct vdev_ops ioapic_ops = {
	.name = "IOAPIC",
	.read = ioapic_read,
	.write = ioapic_write,
	.reset = ioapic_reset,
};

/* ---- saved state ---- */

static void save(void *dev, void *out)
{
	struct ioapic *io = dev;
	struct ioapic_saved *saved = out;

	lock_acquire(&io->dev.lock);
	saved->select = io->select;
	saved->id = io->id;
	saved->lines = io->lines;
	saved->shared = io->shared;
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		saved->entries[pin] = io->entries[pin];
	}
	lock_release(&io->dev.lock);
}

static const char *check(void *dev, const void *in)
{
	const struct ioapic_saved *saved = in;

	(void)dev;
	if (saved->select > 0xff || (saved->id & ~ID_FIELD) != 0 ||
	    saved->lines >> IOAPIC_PINS != 0 || saved->shared > UINT16_MAX) {
		return "a register has bits that it cannot have";
	}
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		uint64_t entry = saved->entries[pin];
		uint64_t bits = ENTRY_WRITABLE | (is_level(entry) ? ENTRY_REMOTE_IRR : 0);

		if ((entry & ~bits) != 0) {
			return "an entry has bits that it cannot have";
		}
	}
	return NULL;
}

/* Nothing is sent: what was asserted has been. */
static void load(void *dev, const void *in)
{
	struct ioapic *io = dev;
	const struct ioapic_saved *saved = in;

	lock_acquire(&io->dev.lock);
	io->select = saved->select;
	io->id = saved->id;
	io->lines = saved->lines;
	io->shared = saved->shared;
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		io->entries[pin] = saved->entries[pin];
	}
	lock_release(&io->dev.lock);
}

static void reset_saved(void *dev)
{
	ioapic_reset(&((struct ioapic *)dev)->dev);
}

static const struct saved_ops saved_ops = {
	.name = "IOAPIC",
	.kind = SAVED_KIND('I', 'O', 'A', 'P'),
	.version = IOAPIC_SAVED_VERSION,
	.bytes = sizeof(struct ioapic_saved),
	.save = save,
	.check = check,
	.load = load,
	.reset = reset_saved,
};

void ioapic_init(struct ioapic *io, struct apic_bus *bus)
{
	*io = (struct ioapic){.dev = {.ops = &ioapic_ops}, .bus = bus};
	saved_device_init(&io->saved, &saved_ops, io);
	ioapic_reset(&io->dev);
	apic_bus_set_eoi(bus, bus_eoi, io);
}
