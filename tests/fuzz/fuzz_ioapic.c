/* SPDX-License-Identifier: Apache-2.0 */
/* Registers and lines of an IOAPIC in front of four LAPICs that take and end interrupts. */
#include "guests/devices/ioapic.h"
#include "hv/base/bits.h"
#include "tests/fakes/apic_rig.h"
#include "tests/fuzz/device_input.h"

static struct apic_rig r;
static struct ioapic io;

static void access_page(struct input *in, bool write)
{
	unsigned size = take_size(in);
	uint32_t offset = (uint32_t)take(in, 2) & (uint32_t)(IOAPIC_MMIO_SIZE - size);
	struct vdev_access a = {.space = BUS_MMIO,
				.addr = IOAPIC_MMIO_BASE + offset,
				.offset = offset,
				.size = size};

	if (write) {
		io.dev.ops->write(&io.dev, &a, take(in, 4));
	} else {
		(void)io.dev.ops->read(&io.dev, &a);
	}
}

static void set_register(struct input *in)
{
	struct vdev_access select = {
		.space = BUS_MMIO, .addr = IOAPIC_MMIO_BASE, .offset = 0, .size = 4};
	struct vdev_access window = {
		.space = BUS_MMIO, .addr = IOAPIC_MMIO_BASE + 0x10, .offset = 0x10, .size = 4};

	io.dev.ops->write(&io.dev, &select, take(in, 1) & 0x3f);
	io.dev.ops->write(&io.dev, &window, take(in, 4));
}

static void step(struct input *in)
{
	uint8_t op = (uint8_t)take(in, 1);
	unsigned cpu = op & 3;
	unsigned gsi = op & 0x1f;

	switch (op >> 5) {
	case 0:
		access_page(in, (op & 0x10) != 0);
		break;
	case 1:
	case 2:
		set_register(in);
		break;
	case 3:
		ioapic_set_line(&io, gsi, true);
		break;
	case 4:
		ioapic_set_line(&io, gsi, false);
		break;
	case 5:
		(void)apic_rig_take(&r, cpu);
		break;
	case 6:
		lapic_eoi(&r.lapics[cpu]);
		break;
	default:
		if (op == 0xff) {
			io.dev.ops->reset(&io.dev);
		} else {
			(void)ioapic_waiting(&io, gsi);
		}
		break;
	}
}

static void check_entry(unsigned pin)
{
	uint64_t e = io.entries[pin];
	bool level = (e & BIT(15)) != 0 && (e >> 8 & 7) <= 1;
	bool waits = (e & BIT(14)) != 0;
	bool asserted = (io.lines >> pin & 1) != 0;
	bool somebody = (e & BIT(11)) == 0 && (e >> 56 < APIC_RIG_CPUS || e >> 56 == 0xff);

	assert((e & ~(0x0001efffull | MASK(63, 56))) == 0);
	assert(!waits || level);
	/* An asserted level interrupt that somebody can take was sent. */
	assert(!level || !asserted || (e & BIT(16)) != 0 || !somebody || waits);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};

	apic_rig_init(&r);
	ioapic_init(&io, &r.bus);
	for (unsigned i = 0; i < APIC_RIG_CPUS; i++) {
		apic_rig_enable(&r, i);
		apic_rig_write(&r, i, APIC_LDR, BIT32(24 + i));
	}
	while (in.n != 0) {
		step(&in);
		assert(io.lines >> IOAPIC_PINS == 0);
		for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
			check_entry(pin);
		}
	}
	return 0;
}
