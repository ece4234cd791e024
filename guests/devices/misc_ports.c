/* SPDX-License-Identifier: Apache-2.0 */
/* The POST latch and the coprocessor ports. */
#include "guests/devices/misc_ports.h"

#include "guests/devices/bytewise.h"
#include "hv/base/bits.h"

static struct misc_ports *to_misc(struct vdev *dev)
{
	return container_of(dev, struct misc_ports, dev);
}

static uint8_t read_byte(struct vdev *dev, uint64_t addr)
{
	return addr == MISC_PORT_DELAY ? to_misc(dev)->post : 0xff;
}

static void write_byte(struct vdev *dev, uint64_t addr, uint8_t value)
{
	if (addr == MISC_PORT_DELAY) {
		to_misc(dev)->post = value;
	}
}

static uint64_t misc_read(struct vdev *dev, const struct vdev_access *a)
{
	uint64_t value;

	lock_acquire(&dev->lock);
	value = bytewise_read(dev, a, read_byte);
	lock_release(&dev->lock);
	return value;
}

static void misc_write(struct vdev *dev, const struct vdev_access *a, uint64_t value)
{
	lock_acquire(&dev->lock);
	bytewise_write(dev, a, value, write_byte);
	lock_release(&dev->lock);
}

static void misc_reset(struct vdev *dev)
{
	lock_acquire(&dev->lock);
	to_misc(dev)->post = 0;
	lock_release(&dev->lock);
}

static const struct vdev_ops misc_ops = {
	.name = "misc ports",
	.read = misc_read,
	.write = misc_write,
	.reset = misc_reset,
};

void misc_ports_init(struct misc_ports *m)
{
	*m = (struct misc_ports){.dev.ops = &misc_ops};
}
