/* SPDX-License-Identifier: Apache-2.0 */
/* Ports and time against the 8254, with a guest that at times does not take its interrupts. */
#include "guests/devices/pit8254.h"
#include "guests/devices/pit_channel.h"
#include "hv/base/bits.h"
#include "tests/fakes/device_rig.h"
#include "tests/fuzz/device_input.h"

static struct device_rig rig;
static struct pit8254 pit;
static bool guest_busy;

static bool waiting(void *ctx)
{
	(void)ctx;
	return guest_busy;
}

static bool asleep; /* vCPU 0, for the PIT */

static void sleeps(void *ctx, unsigned vcpu)
{
	(void)ctx;
	assert(vcpu == 0 && !asleep);
	asleep = true;
}

static void wakes(void *ctx, unsigned vcpu)
{
	(void)ctx;
	assert(vcpu == 0 && asleep);
	asleep = false;
}

static void pass_time(struct input *in)
{
	uint64_t ticks = take_ticks(in);

	if (ticks < 1u << 22) {
		rig_advance(&rig, ticks);
	} else {
		rig_oversleep(&rig, ticks);
	}
}

/* The status of this moment, or of the one at which it was latched and not read. */
static void look_at(unsigned channel)
{
	const struct pit_channel *c = &pit.channels[channel];
	bool stale = c->status_latched;
	uint8_t status;

	rig_out(&pit.dev, 0x43, (uint8_t)(0xe0 | 2u << channel));
	assert(c->status_latched);
	status = rig_in(&pit.dev, (uint16_t)(0x40 + channel));
	assert(!c->status_latched);
	/* At rest OUT is high in every mode but 0. */
	assert(stale || c->phase != PIT_IDLE || ((status & 0x80) != 0) == ((status & 0x0e) != 0));
}

static void step(struct input *in)
{
	uint8_t op = (uint8_t)take(in, 1);
	unsigned channel = (op & 3) % PIT_CHANNELS;

	switch (op >> 2 & 7) {
	case 0:
		(void)rig_in(&pit.dev, (uint16_t)(0x40 + (op & 3)));
		break;
	case 1:
	case 2:
		rig_out(&pit.dev, (uint16_t)(0x40 + channel), (uint8_t)take(in, 1));
		break;
	case 3:
		rig_out(&pit.dev, 0x43, (uint8_t)take(in, 1));
		break;
	case 4:
		pass_time(in);
		break;
	case 5:
		rig_out(&pit.dev, 0x61, (uint8_t)take(in, 1));
		(void)rig_in(&pit.dev, 0x61);
		break;
	case 6:
		guest_busy = (op & 1) != 0;
		break;
	default:
		if (op == 0xff) {
			pit.dev.ops->reset(&pit.dev);
			asleep = false;
		} else {
			look_at(channel);
		}
		break;
	}
}

static void check(void)
{
	assert(pit.owed <= PIT_OWED_MAX);
	assert(rig.line.level == pit.irq_level);
	assert(pit.port_b <= 0x0f);
	/* Who sleeps is woken. */
	assert(vtimer_armed(&pit.rested) == asleep);
	assert(vtimer_armed(&pit.timer) == (pit.edge != UINT64_MAX));
	assert(pit.channels[0].gate && pit.channels[1].gate);
	assert(pit.channels[2].gate == ((pit.port_b & 1) != 0));
	for (unsigned i = 0; i < PIT_CHANNELS; i++) {
		const struct pit_channel *c = &pit.channels[i];

		assert(c->latched_bytes <= 2);
		assert(c->next <= 65536);
		assert(c->phase == PIT_IDLE || (c->count >= 1 && c->count <= 65536));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	const struct pit_rest rest = {sleeps, wakes, NULL};
	struct irq_line line;

	rig_init(&rig, 1000000 + take(&in, 4));
	line = rig_irq(&rig.line);
	guest_busy = false;
	asleep = false;
	pit8254_init(&pit, &rig.time, &line);
	pit8254_set_waiting(&pit, waiting, NULL);
	pit8254_set_rest(&pit, &rest);
	while (in.n != 0) {
		step(&in);
		check();
	}
	pit.dev.ops->fini(&pit.dev);
	assert(timer_queue_next(&rig.queue) == TIMER_NEVER);
	return 0;
}
