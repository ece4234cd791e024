/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For models whose registers are single bytes: a wider access reaches them one after the other,
 * lowest address first, as the ISA bus splits it.
 */
#pragma once

#include "hv/api/vdev.h"

static inline uint64_t bytewise_read(struct vdev *dev, const struct vdev_access *a,
				     uint8_t (*read)(struct vdev *dev, uint64_t addr))
{
	uint64_t value = 0;

	for (unsigned i = 0; i < a->size; i++) {
		value |= (uint64_t)read(dev, a->addr + i) << (i * 8);
	}
	return value;
}

static inline void bytewise_write(struct vdev *dev, const struct vdev_access *a, uint64_t value,
				  void (*write)(struct vdev *dev, uint64_t addr, uint8_t value))
{
	for (unsigned i = 0; i < a->size; i++) {
		write(dev, a->addr + i, (uint8_t)(value >> (i * 8)));
	}
}
