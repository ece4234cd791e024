/* SPDX-License-Identifier: Apache-2.0 */
/* Lines from bytes, and a bucket that keeps them to a rate. */
#include "guests/devices/debug_port.h"

#include "guests/devices/bytewise.h"
#include "hv/api/clock.h"
#include "hv/base/bits.h"
#include "hv/base/fmt.h"
#include "hv/base/str.h"

static struct debug_port *to_port(struct vdev *dev)
{
	return container_of(dev, struct debug_port, dev);
}

/* Whether a line may go now. */
static bool take_one(struct debug_port *d)
{
	uint64_t now = vtime_now(d->cfg.time);
	uint64_t passed = now > d->counted ? now - d->counted : 0;
	uint64_t come = clock_muldiv(passed, DEBUG_PORT_RATE, clock_hz());

	if (come != 0) {
		d->allowed = (unsigned)min_u64(d->allowed + come, DEBUG_PORT_BURST);
		d->counted = now;
	}
	if (d->allowed == 0) {
		d->lost++;
		return false;
	}
	d->allowed--;
	return true;
}

static void say_lost(struct debug_port *d)
{
	char text[48];

	if (d->lost != 0) {
		fmt_snprintf(text, sizeof(text), "(%lu lines lost)", d->lost);
		d->lost = 0;
		d->cfg.line(d->cfg.ctx, text);
	}
}

static void end_line(struct debug_port *d)
{
	d->text[d->length] = '\0';
	if (d->length != 0 && take_one(d)) {
		say_lost(d);
		d->cfg.line(d->cfg.ctx, d->text);
	}
	d->length = 0;
}

static uint8_t read_byte(struct vdev *dev, uint64_t addr)
{
	(void)dev;
	return addr == DEBUG_PORT ? DEBUG_PORT_ID : 0xff;
}

static bool is_printable(uint8_t value)
{
	return value >= ' ' && value < 0x7f;
}

static void write_byte(struct vdev *dev, uint64_t addr, uint8_t value)
{
	struct debug_port *d = to_port(dev);

	if (addr != DEBUG_PORT) {
		return;
	}
	if (value == '\n') {
		end_line(d);
	} else if (value != '\r') {
		d->text[d->length] = '.';
		if (is_printable(value)) {
			memcpy(d->text + d->length, &value, 1);
		}
		d->length++;
		if (d->length == DEBUG_PORT_LINE_MAX - 1) {
			end_line(d);
		}
	}
}

static uint64_t port_read(struct vdev *dev, const struct vdev_access *a)
{
	return bytewise_read(dev, a, read_byte);
}

static void port_write(struct vdev *dev, const struct vdev_access *a, uint64_t value)
{
	lock_acquire(&dev->lock);
	bytewise_write(dev, a, value, write_byte);
	lock_release(&dev->lock);
}

static void port_reset(struct vdev *dev)
{
	lock_acquire(&dev->lock);
	to_port(dev)->length = 0;
	lock_release(&dev->lock);
}

static const struct vdev_ops port_ops = {
	.name = "debug port",
	.read = port_read,
	.write = port_write,
	.reset = port_reset,
};

static void save(void *dev, void *out)
{
	struct debug_port *d = dev;
	struct debug_port_saved *saved = out;

	lock_acquire(&d->dev.lock);
	saved->counted = d->counted;
	saved->lost = d->lost;
	saved->allowed = d->allowed;
	saved->length = d->length;
	memcpy(saved->text, d->text, d->length);
	lock_release(&d->dev.lock);
}

static const char *check(void *dev, const void *in)
{
	const struct debug_port_saved *saved = in;

	(void)dev;
	if (saved->length >= DEBUG_PORT_LINE_MAX - 1 || saved->allowed > DEBUG_PORT_BURST) {
		return "a line has up to 126 characters, a burst 400 lines";
	}
	for (unsigned i = 0; i < DEBUG_PORT_LINE_MAX; i++) {
		if (i < saved->length ? !is_printable((uint8_t)saved->text[i])
				      : saved->text[i] != 0) {
			return "the line cannot be printed";
		}
	}
	return NULL;
}

static void load(void *dev, const void *in)
{
	struct debug_port *d = dev;
	const struct debug_port_saved *saved = in;

	lock_acquire(&d->dev.lock);
	d->counted = vtime_of_loaded(d->cfg.time, saved->counted);
	d->lost = saved->lost;
	d->allowed = saved->allowed;
	d->length = saved->length;
	memcpy(d->text, saved->text, sizeof(d->text));
	lock_release(&d->dev.lock);
}

static void reset_saved(void *dev)
{
	port_reset(&((struct debug_port *)dev)->dev);
}

static const struct saved_ops saved_ops = {
	.name = "debug port",
	.kind = SAVED_KIND('D', 'B', 'U', 'G'),
	.version = DEBUG_PORT_SAVED_VERSION,
	.bytes = sizeof(struct debug_port_saved),
	.save = save,
	.check = check,
	.load = load,
	.reset = reset_saved,
};

void debug_port_init(struct debug_port *d, const struct debug_port_config *cfg)
{
	*d = (struct debug_port){.dev.ops = &port_ops, .cfg = *cfg, .allowed = DEBUG_PORT_BURST};
	saved_device_init(&d->saved, &saved_ops, d);
}
