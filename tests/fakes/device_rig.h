/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What surrounds a device model in its unit test and fuzz target: guest time that moves when told,
 * firing timers on the way, an interrupt line that counts its edges, and accesses to the model.
 */
#pragma once

#include <assert.h>

#include "hv/api/clock.h"
#include "hv/api/vdev.h"
#include "hv/api/vtime.h"
#include "tests/fakes/fake_cpu.h"

struct rig_line {
	bool level;
	unsigned rises;
	unsigned falls;
};

struct device_rig {
	struct timer_queue queue;
	struct vtime time;
	struct rig_line line;
	unsigned timers_run; /* deadlines that rig_to met on its way */
};

static inline void rig_set_line(void *ctx, unsigned line, bool level)
{
	struct rig_line *l = ctx;

	(void)line;
	assert(l->level != level); /* models tell changes only */
	l->rises += level;
	l->falls += !level;
	l->level = level;
}

static inline struct irq_line rig_irq(struct rig_line *l)
{
	return (struct irq_line){.set = rig_set_line, .ctx = l};
}

/* Guest time 0 at `hz` ticks a second. */
static inline void rig_init(struct device_rig *r, uint64_t hz)
{
	*r = (struct device_rig){0};
	fake_cpu_reset();
	clock_init(hz);
	fake_tsc = 1000000;
	timer_queue_init(&r->queue);
	vtime_init(&r->time, &r->queue);
}

/* To guest tick `ticks`, firing each timer at its moment. */
static inline void rig_to(struct device_rig *r, uint64_t ticks)
{
	uint64_t target = ticks + r->time.offset;

	while (timer_queue_next(&r->queue) <= target) {
		uint64_t next = timer_queue_next(&r->queue);

		if (next > fake_tsc) {
			fake_tsc = next;
		}
		timer_queue_run(&r->queue, fake_tsc);
		r->timers_run++;
	}
	fake_tsc = target;
}

static inline void rig_advance(struct device_rig *r, uint64_t ticks)
{
	rig_to(r, vtime_now(&r->time) + ticks);
}

/* As rig_advance, but the timers fire late, when all of the time has passed. */
static inline void rig_oversleep(struct device_rig *r, uint64_t ticks)
{
	fake_tsc += ticks;
	timer_queue_run(&r->queue, fake_tsc);
}

static inline void rig_advance_ns(struct device_rig *r, uint64_t ns)
{
	rig_advance(r, clock_ns_to_ticks(ns));
}

static inline uint64_t rig_read(struct vdev *dev, enum bus_space space, uint64_t addr,
				unsigned size)
{
	struct vdev_access a = {.space = space, .addr = addr, .size = size};

	return dev->ops->read(dev, &a) & (size >= 8 ? ~0ull : (1ull << (size * 8)) - 1);
}

static inline void rig_write(struct vdev *dev, enum bus_space space, uint64_t addr, unsigned size,
			     uint64_t value)
{
	struct vdev_access a = {.space = space, .addr = addr, .size = size};

	dev->ops->write(dev, &a, value);
}

static inline uint8_t rig_in(struct vdev *dev, uint16_t port)
{
	return (uint8_t)rig_read(dev, BUS_PIO, port, 1);
}

static inline void rig_out(struct vdev *dev, uint16_t port, uint8_t value)
{
	rig_write(dev, BUS_PIO, port, 1, value);
}
