/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a device model is, and the per-VM bus that finds the model for an access. A model embeds
 * struct vdev, owns a lock, touches no hardware and calls out only through callbacks it was given.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/api/lacks.h"
#include "hv/api/missed.h"
#include "hv/base/lock.h"
#include "hv/base/status.h"

enum bus_space {
	BUS_PIO,
	BUS_MMIO,
};

/* One access: `size` is 1, 2, 4 or (MMIO only) 8 bytes. */
struct vdev_access {
	enum bus_space space;
	uint64_t addr;	 /* port number or guest-physical address */
	uint64_t offset; /* from the start of the range that was registered */
	unsigned size;
	unsigned vcpu; /* index of the vCPU that makes the access */
	/* Set by a device that stands for others when none of them answers. May be NULL. */
	bool *nobody;
};

/* No device is there: the access is counted, and listed by `stats`. */
static inline void vdev_miss(const struct vdev_access *a)
{
	if (a->nobody != NULL) {
		*a->nobody = true;
	}
}

struct vdev;

struct vdev_ops {
	const char *name; /* "16550", "IOAPIC": shown by `info` and in the log */
	/* Returns the value in the low a->size bytes; higher bits are ignored. */
	uint64_t (*read)(struct vdev *dev, const struct vdev_access *a);
	void (*write)(struct vdev *dev, const struct vdev_access *a, uint64_t value);
	/*
	 * `count` accesses like `a` one after the other, as a string instruction makes them: for
	 * registers that data go through. NULL: read or write is called for each.
	 */
	void (*read_string)(struct vdev *dev, const struct vdev_access *a, void *data,
			    unsigned count);
	void (*write_string)(struct vdev *dev, const struct vdev_access *a, const void *data,
			     unsigned count);
	/* To the state after power-on. Timers are cancelled, interrupt lines lowered. */
	void (*reset)(struct vdev *dev);
	/* Cancels timers for good; may be NULL. */
	void (*fini)(struct vdev *dev);
};

struct vdev {
	const struct vdev_ops *ops;
	struct spinlock lock; /* covers the model's state; taken by its own read/write/reset */
	struct lacks *lacks;  /* of its VM; NULL: it is on no bus */
};

/* The model has no such register, command …: it is counted, and listed by `stats`. */
static inline void vdev_lacks(const struct vdev *dev, enum lacks_kind kind, uint64_t what)
{
	lacks_note(dev->lacks, dev->ops->name, kind, (uint32_t)what);
}

/* An interrupt line: what a device pulls. `set` must be idempotent per level. */
struct irq_line {
	void (*set)(void *ctx, unsigned line, bool level);
	void *ctx;
	unsigned line;
};

static inline void irq_line_set(const struct irq_line *l, bool level)
{
	if (l->set != NULL) {
		l->set(l->ctx, l->line, level);
	}
}

struct bus_range {
	uint64_t base;
	uint64_t size;
	struct vdev *dev;
};

#define BUS_RANGES_MAX 48u

/* Ranges of one space, sorted by base. */
struct bus {
	enum bus_space space;
	unsigned count;
	struct bus_range ranges[BUS_RANGES_MAX];
	unsigned hot;		 /* the range found last, looked at first */
	struct missed unclaimed; /* accesses that no device claimed */
	struct lacks *lacks;	 /* of its devices; set before they are registered; may be NULL */
};

void bus_init(struct bus *b, enum bus_space space);
/* HV_E_EXISTS when the range overlaps another, HV_E_RANGE when empty, past the end, or full. */
enum hv_status bus_register(struct bus *b, uint64_t base, uint64_t size,
			    struct vdev *dev) HV_MUST_CHECK;
/* The range that holds `addr`, NULL when none does. */
const struct bus_range *bus_find(const struct bus *b, uint64_t addr);
/*
 * Reads or writes through the device that owns `addr`. An access that no range holds, or that
 * crosses its range's end, reads all-ones and drops the write; it counts as unclaimed and false is
 * returned, as for one of which its device says that nobody answers (vdev_miss), which reads what
 * the device gives. *value has only its low `size` bytes set after a read.
 */
bool bus_read(struct bus *b, uint64_t addr, unsigned size, unsigned vcpu, uint64_t *value);
bool bus_write(struct bus *b, uint64_t addr, unsigned size, unsigned vcpu, uint64_t value);
/* As `count` calls of bus_read or bus_write with the same address; `data` holds count * size bytes.
 */
void bus_read_string(struct bus *b, uint64_t addr, unsigned size, unsigned vcpu, void *data,
		     unsigned count);
void bus_write_string(struct bus *b, uint64_t addr, unsigned size, unsigned vcpu, const void *data,
		      unsigned count);
