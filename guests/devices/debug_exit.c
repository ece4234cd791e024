/* SPDX-License-Identifier: Apache-2.0 */
/* A write, and the guest is over. */
#include "guests/devices/debug_exit.h"

#include "hv/base/bits.h"

static uint64_t debug_exit_read(struct vdev *dev, const struct vdev_access *a)
{
	(void)dev;
	(void)a;
	return 0;
}

static void debug_exit_write(struct vdev *dev, const struct vdev_access *a, uint64_t value)
{
	const struct debug_exit *d = container_of(dev, struct debug_exit, dev);

	d->cfg.end(d->cfg.ctx, (uint32_t)(value & size_mask(a->size)));
}

static void debug_exit_reset(struct vdev *dev)
{
	(void)dev; /* no state */
}

static const struct vdev_ops debug_exit_ops = {
	.name = "debug exit",
	.read = debug_exit_read,
	.write = debug_exit_write,
	.reset = debug_exit_reset,
};

void debug_exit_init(struct debug_exit *d, const struct debug_exit_config *cfg)
{
	*d = (struct debug_exit){.dev.ops = &debug_exit_ops, .cfg = *cfg};
}
