/* SPDX-License-Identifier: Apache-2.0 */
/* The per-VM bus: a sorted array of ranges and the dispatch of accesses to their devices. */
#include "hv/api/vdev.h"
#include "hv/base/bits.h"
#include "hv/base/check.h"
#include "hv/base/str.h"

#define PIO_SPACE_SIZE 0x10000ull
#define ADDRESS_MASK MASK(62, 0)

void bus_init(struct bus *b, enum bus_space space)
{
	*b = (struct bus){.space = space};
}

/* Index of the first range that starts behind `addr`. */
static unsigned upper_bound(const struct bus *b, uint64_t addr)
{
	unsigned low = 0;
	unsigned high = b->count;

	while (low < high) {
		unsigned mid = low + (high - low) / 2;

		if (b->ranges[mid].base <= addr) {
			low = mid + 1;
		} else {
			high = mid;
		}
	}
	return low;
}

enum hv_status bus_register(struct bus *b, uint64_t base, uint64_t size, struct vdev *dev)
{
	uint64_t limit = b->space == BUS_PIO ? PIO_SPACE_SIZE : UINT64_MAX;
	unsigned at;

	CHECK(dev != NULL && dev->ops->read != NULL && dev->ops->write != NULL);
	if (size == 0 || !range_fits(base, size, limit) || b->count == BUS_RANGES_MAX) {
		return HV_E_RANGE;
	}
	for (unsigned i = 0; i < b->count; i++) {
		if (ranges_overlap(base, size, b->ranges[i].base, b->ranges[i].size)) {
			return HV_E_EXISTS;
		}
	}
	at = upper_bound(b, base);
	for (unsigned i = b->count; i > at; i--) {
		b->ranges[i] = b->ranges[i - 1];
	}
	b->ranges[at] = (struct bus_range){.base = base, .size = size, .dev = dev};
	b->count++;
	dev->lacks = b->lacks;
	return HV_OK;
}

const struct bus_range *bus_find(const struct bus *b, uint64_t addr)
{
	unsigned behind = upper_bound(b, addr);
	const struct bus_range *r;

	if (behind == 0) {
		return NULL;
	}
	r = &b->ranges[behind - 1];
	return addr - r->base < r->size ? r : NULL;
}

/*
 * As bus_find, but looks first where the last access went: drivers talk to one device for a while.
 * `hot` is a hint that several vCPUs may change, never more.
 */
static const struct bus_range *find_hot(struct bus *b, uint64_t addr)
{
	const struct bus_range *r = &b->ranges[__atomic_load_n(&b->hot, __ATOMIC_RELAXED)];

	if (addr - r->base < r->size) {
		return r;
	}
	r = bus_find(b, addr);
	if (r != NULL) {
		__atomic_store_n(&b->hot, (unsigned)(r - b->ranges), __ATOMIC_RELAXED);
	}
	return r;
}

/* The range that holds the whole access; NULL, and counted, when there is none. */
static const struct bus_range *claim(struct bus *b, struct vdev_access *a)
{
	const struct bus_range *r = find_hot(b, a->addr);

	if (r == NULL || !range_fits(a->addr - r->base, a->size, r->size)) {
		missed_note(&b->unclaimed, a->addr & ADDRESS_MASK);
		return NULL;
	}
	a->offset = a->addr - r->base;
	return r;
}

/* After an access of which its device may have said that nobody answers. */
static void note(struct bus *b, const struct vdev_access *a)
{
	if (*a->nobody) {
		missed_note(&b->unclaimed, a->addr & ADDRESS_MASK);
	}
}

bool bus_read(struct bus *b, uint64_t addr, unsigned size, unsigned vcpu, uint64_t *value)
{
	bool nobody = false;
	struct vdev_access a = {
		.space = b->space, .addr = addr, .size = size, .vcpu = vcpu, .nobody = &nobody};
	const struct bus_range *r = claim(b, &a);

	if (r == NULL) {
		*value = size_mask(size);
		return false;
	}
	*value = r->dev->ops->read(r->dev, &a) & size_mask(size);
	note(b, &a);
	return !nobody;
}

bool bus_write(struct bus *b, uint64_t addr, unsigned size, unsigned vcpu, uint64_t value)
{
	bool nobody = false;
	struct vdev_access a = {
		.space = b->space, .addr = addr, .size = size, .vcpu = vcpu, .nobody = &nobody};
	const struct bus_range *r = claim(b, &a);

	if (r == NULL) {
		return false;
	}
	r->dev->ops->write(r->dev, &a, value & size_mask(size));
	note(b, &a);
	return !nobody;
}

/* The device with a faster way for this access; NULL: it is made one by one. */
static struct vdev *find_string(struct bus *b, struct vdev_access *a, bool write)
{
	const struct bus_range *r = find_hot(b, a->addr);

	if (r == NULL || !range_fits(a->addr - r->base, a->size, r->size) ||
	    (write ? r->dev->ops->write_string == NULL : r->dev->ops->read_string == NULL)) {
		return NULL;
	}
	a->offset = a->addr - r->base;
	return r->dev;
}

void bus_read_string(struct bus *b, uint64_t addr, unsigned size, unsigned vcpu, void *data,
		     unsigned count)
{
	struct vdev_access a = {.space = b->space, .addr = addr, .size = size, .vcpu = vcpu};
	struct vdev *dev = find_string(b, &a, false);

	if (dev != NULL) {
		dev->ops->read_string(dev, &a, data, count);
		return;
	}
	for (unsigned i = 0; i < count; i++) {
		uint64_t value;

		(void)bus_read(b, addr, size, vcpu, &value);
		memcpy((char *)data + (size_t)i * size, &value, size);
	}
}

void bus_write_string(struct bus *b, uint64_t addr, unsigned size, unsigned vcpu, const void *data,
		      unsigned count)
{
	struct vdev_access a = {.space = b->space, .addr = addr, .size = size, .vcpu = vcpu};
	struct vdev *dev = find_string(b, &a, true);

	if (dev != NULL) {
		dev->ops->write_string(dev, &a, data, count);
		return;
	}
	for (unsigned i = 0; i < count; i++) {
		uint64_t value = 0;

		memcpy(&value, (const char *)data + (size_t)i * size, size);
		(void)bus_write(b, addr, size, vcpu, value);
	}
}
