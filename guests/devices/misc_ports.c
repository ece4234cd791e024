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

static void save(void *dev, void *out)
{
	((struct misc_ports_saved *)out)->post = ((struct misc_ports *)dev)->post;
}

static const char *check(void *dev, const void *in)
{
	const struct misc_ports_saved *saved = in;

	(void)dev;
	return saved_is_zero(saved->zero, sizeof(saved->zero)) ? NULL : "what is reserved is not 0";
}

static void load(void *dev, const void *in)
{
	((struct misc_ports *)dev)->post = ((const struct misc_ports_saved *)in)->post;
}

static void reset_saved(void *dev)
{
	misc_reset(&((struct misc_ports *)dev)->dev);
}

static const struct saved_ops saved_ops = {
	.name = "misc ports",
	.kind = SAVED_KIND('M', 'I', 'S', 'C'),
	.version = MISC_PORTS_SAVED_VERSION,
	.bytes = sizeof(struct misc_ports_saved),
	.save = save,
	.check = check,
	.load = load,
	.reset = reset_saved,
};

void misc_ports_init(struct misc_ports *m)
{
	*m = (struct misc_ports){.dev.ops = &misc_ops};
	saved_device_init(&m->saved, &saved_ops, m);
}
