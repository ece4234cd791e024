/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any accesses and any passing of time against the HPET. Lines are told changes only and are what
 * status and configuration say, the replaced lines are used while they are replaced only, and no
 * setting makes the timers run without end.
 */
#include <string.h>

#include "guests/devices/hpet.h"
#include "tests/fakes/device_rig.h"
#include "tests/fuzz/device_input.h"

static struct hpet h;
static struct device_rig rig;
static struct rig_line gsis[24];
static struct rig_line legacy[16];
static bool replaced;

static void set_gsi(void *ctx, unsigned gsi, bool level)
{
	(void)ctx;
	assert(gsi < 24 && (HPET_ROUTES & 1u << gsi) != 0);
	rig_set_line(&gsis[gsi], gsi, level);
}

static void set_legacy(void *ctx, unsigned irq, bool level)
{
	(void)ctx;
	assert(replaced && (irq == 0 || irq == 8));
	rig_set_line(&legacy[irq], irq, level);
}

static void replace(void *ctx, bool on)
{
	(void)ctx;
	assert(on != replaced && !legacy[0].level && !legacy[8].level);
	replaced = on;
}

static void message(void *ctx, uint64_t address, uint32_t data)
{
	(void)ctx;
	(void)data;
	assert(address <= UINT32_MAX);
}

static uint64_t take_offset(struct input *in)
{
	static const uint16_t offsets[] = {0x000, 0x010, 0x020, 0x0f0, 0x100, 0x108, 0x110, 0x120,
					   0x128, 0x130, 0x140, 0x148, 0x150, 0x160, 0x3f8, 0x0f4};
	uint8_t which = (uint8_t)take(in, 1);

	return which < 0xf0 ? offsets[which & 15] + (which >> 4 & 1) * 4u : take(in, 2) % 0x3f8;
}

static void step(struct input *in)
{
	uint8_t op = (uint8_t)take(in, 1);
	unsigned size = 1u << (op >> 4 & 3);
	struct vdev_access a = {.space = BUS_MMIO, .size = size};

	switch (op & 7) {
	case 0:
	case 1:
	case 2:
		a.offset = take_offset(in);
		h.dev.ops->write(&h.dev, &a, take(in, (op & 8) != 0 ? 2 : size));
		break;
	case 3:
		a.offset = take_offset(in);
		(void)h.dev.ops->read(&h.dev, &a);
		break;
	case 4:
		rig_oversleep(&rig, take_ticks(in));
		break;
	case 5:
		if (op == 0xff) {
			h.dev.ops->reset(&h.dev);
		}
		break;
	default:
		rig_advance(&rig, take(in, 2));
		break;
	}
}

static void invariants(void)
{
	assert(replaced == ((h.state.config & HPET_LEGACY) != 0));
	for (unsigned i = 0; i < HPET_TIMERS; i++) {
		const struct hpet_timer_state *s = &h.state.timers[i];
		bool level = (s->config & HPET_TN_LEVEL) != 0;

		assert(level || (h.state.status & 1ull << i) == 0);
		assert(!h.timers[i].asserted || (level && (h.state.status & 1ull << i) != 0 &&
						 (h.state.config & HPET_ENABLE) != 0));
		assert((h.state.config & HPET_ENABLE) != 0 || !vtimer_armed(&h.timers[i].timer));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct hpet_config cfg = {.time = &rig.time,
				  .gsi = set_gsi,
				  .legacy = set_legacy,
				  .replace = replace,
				  .message = message};

	rig_init(&rig, 1000000000);
	memset(gsis, 0, sizeof(gsis));
	memset(legacy, 0, sizeof(legacy));
	replaced = false;
	hpet_init(&h, &cfg);
	while (in.n != 0) {
		step(&in);
		invariants();
	}
	/* 10 ms: no more than three timers that run every 20 us. */
	rig.timers_run = 0;
	rig_advance(&rig, 10000000);
	assert(rig.timers_run <= 3 * 600);
	h.dev.ops->fini(&h.dev);
	assert(timer_queue_next(&rig.queue) == TIMER_NEVER);
	return 0;
}
