/* SPDX-License-Identifier: Apache-2.0 */
/* Latches, lines and slow memory for programs that test a hypervisor. */
#include "guests/devices/test_device.h"

#include "guests/devices/bytewise.h"
#include "hv/base/bits.h"
#include "hv/base/str.h"

static struct test_device *to_test(struct vdev *dev)
{
	return container_of(dev, struct test_device, dev);
}

/* The data byte behind a port; NULL for the flush register, which holds nothing. */
static uint8_t *data_at(struct test_device *t, uint64_t port)
{
	if (port >= TEST_DEVICE_FLUSH && port < TEST_DEVICE_BYTES) {
		return NULL;
	}
	return &t->data[port % TEST_DEVICE_DATA_SIZE];
}

static uint8_t read_port(struct vdev *dev, uint64_t port)
{
	const uint8_t *byte = data_at(to_test(dev), port);

	return byte != NULL ? *byte : 0;
}

static void write_port(struct vdev *dev, uint64_t port, uint8_t value)
{
	uint8_t *byte = data_at(to_test(dev), port);

	if (byte != NULL) {
		*byte = value;
	}
}

static void set_line(struct test_device *t, unsigned line, bool level)
{
	t->lines = level ? t->lines | BIT32(line) : t->lines & ~BIT32(line);
	t->cfg.line(t->cfg.ctx, line, level);
}

static bool is_synic(const struct vdev_access *a)
{
	return a->addr >= TEST_DEVICE_SYNIC_PORT;
}

static bool is_line(const struct vdev_access *a)
{
	return a->addr >= TEST_DEVICE_LINES_PORT && !is_synic(a);
}

/* What the VM's buses allow never reaches past the memory's end. */
static uint64_t read_memory(const struct test_device *t, const struct vdev_access *a)
{
	uint64_t value = 0;

	memcpy(&value, t->cfg.memory + a->offset, a->size);
	return value;
}

static uint64_t test_read(struct vdev *dev, const struct vdev_access *a)
{
	struct test_device *t = to_test(dev);
	uint64_t value;

	lock_acquire(&dev->lock);
	if (a->space == BUS_MMIO) {
		value = read_memory(t, a);
	} else if (is_synic(a)) {
		value = 0;
	} else if (is_line(a)) {
		value = (t->lines >> a->offset) & 1;
	} else {
		value = bytewise_read(dev, a, read_port);
	}
	lock_release(&dev->lock);
	return value;
}

static void test_write(struct vdev *dev, const struct vdev_access *a, uint64_t value)
{
	struct test_device *t = to_test(dev);

	lock_acquire(&dev->lock);
	if (a->space == BUS_MMIO) {
		memcpy(t->cfg.memory + a->offset, &value, a->size);
	} else if (is_synic(a)) {
		if (a->offset == 0 && a->size == 4 && t->cfg.synic != NULL) {
			t->cfg.synic(t->cfg.ctx, (uint32_t)value);
		}
	} else if (is_line(a)) {
		set_line(t, (unsigned)a->offset, (value & size_mask(a->size)) != 0);
	} else if (a->addr == TEST_DEVICE_FLUSH) {
		if (t->cfg.flush != NULL) {
			t->cfg.flush(t->cfg.ctx, value & size_mask(a->size));
		}
	} else {
		bytewise_write(dev, a, value, write_port);
	}
	lock_release(&dev->lock);
}

static void test_reset(struct vdev *dev)
{
	struct test_device *t = to_test(dev);

	lock_acquire(&dev->lock);
	memset(t->data, 0, sizeof(t->data));
	memset(t->cfg.memory, 0, TEST_DEVICE_MEMORY_SIZE);
	for (unsigned i = 0; i < TEST_DEVICE_LINES; i++) {
		if ((t->lines & BIT32(i)) != 0) {
			set_line(t, i, false);
		}
	}
	lock_release(&dev->lock);
}

static const struct vdev_ops test_ops = {
	.name = "test device",
	.read = test_read,
	.write = test_write,
	.reset = test_reset,
};

/* ---- saved state ---- */

static void save(void *dev, void *out)
{
	struct test_device *t = dev;
	struct test_device_saved *saved = out;

	lock_acquire(&t->dev.lock);
	saved->lines = t->lines;
	memcpy(saved->data, t->data, sizeof(saved->data));
	memcpy(saved->memory, t->cfg.memory, sizeof(saved->memory));
	lock_release(&t->dev.lock);
}

static const char *check(void *dev, const void *in)
{
	const struct test_device_saved *saved = in;

	(void)dev;
	return saved->lines >> TEST_DEVICE_LINES == 0 ? NULL : "it has 24 lines";
}

static void load(void *dev, const void *in)
{
	struct test_device *t = dev;
	const struct test_device_saved *saved = in;

	lock_acquire(&t->dev.lock);
	memcpy(t->data, saved->data, sizeof(t->data));
	memcpy(t->cfg.memory, saved->memory, sizeof(saved->memory));
	for (unsigned i = 0; i < TEST_DEVICE_LINES; i++) {
		bool level = (saved->lines & BIT32(i)) != 0;

		if (level != ((t->lines & BIT32(i)) != 0)) {
			set_line(t, i, level);
		}
	}
	lock_release(&t->dev.lock);
}

static void reset_saved(void *dev)
{
	test_reset(&((struct test_device *)dev)->dev);
}

static const struct saved_ops saved_ops = {
	.name = "test device",
	.kind = SAVED_KIND('T', 'E', 'S', 'T'),
	.version = TEST_DEVICE_SAVED_VERSION,
	.bytes = sizeof(struct test_device_saved),
	.save = save,
	.check = check,
	.load = load,
	.reset = reset_saved,
};

void test_device_init(struct test_device *t, const struct test_device_config *cfg)
{
	*t = (struct test_device){.dev.ops = &test_ops, .cfg = *cfg};
	saved_device_init(&t->saved, &saved_ops, t);
}
