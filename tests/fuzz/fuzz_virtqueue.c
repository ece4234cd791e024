/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ring bytes against the split virtqueue: no write outside of what the driver gave, chains within
 * their bounds, no more open than the queue has descriptors, and a broken queue stays still.
 */
#include "guests/devices/virtqueue.h"
#include "tests/fuzz/virtio_driver.h"

#define OPEN_MAX VIRTQUEUE_SIZE_MAX

static struct virtqueue q;
static struct rig_queue driver;
static struct virtqueue_chain open_chains[OPEN_MAX];
static unsigned open_count;
static unsigned pushed; /* since the last publish */
static unsigned broken;

static void broke(struct virtqueue *ring, const char *why)
{
	assert(ring == &q && why != NULL && ring->broken && !ring->running);
	broken++;
}

static void start(struct input *in)
{
	uint8_t how = (uint8_t)take(in, 1);
	struct virtqueue_setup s;

	rig_queue_init(&driver, RIG_RAM_BASE, (uint16_t)(1u << how % 9));
	s = rig_setup(&driver);
	s.event_idx = (how & 0x10) != 0;
	s.indirect = (how & 0x20) != 0;
	if (how == 0xff) {
		s.avail = driver_address(in);
	}
	memset(rig_given, 0, sizeof(rig_given));
	open_count = 0;
	pushed = 0;
	broken = 0;
	if (!virtqueue_start(&q, &s)) {
		assert(broken == 1);
	}
}

static void check_chain(const struct virtqueue_chain *c)
{
	uint64_t readable = 0;
	uint64_t writable = 0;

	assert(c->count >= 1 && c->count <= VIRTQUEUE_SEGMENTS_MAX);
	assert(c->readable_count <= c->count && c->head < q.size);
	for (unsigned i = 0; i < c->count; i++) {
		assert(c->segments[i].len != 0);
		*(i < c->readable_count ? &readable : &writable) += c->segments[i].len;
	}
	assert(readable == c->readable && writable == c->writable);
}

static void pop(void)
{
	if (virtqueue_pop(&q, &open_chains[open_count])) {
		check_chain(&open_chains[open_count]);
		open_count++;
		assert(open_count <= q.size);
	}
}

static void give_back(struct input *in)
{
	static uint8_t bytes[4096];
	unsigned i = (unsigned)take(in, 1);
	struct virtqueue_chain *c;
	uint32_t offset = (uint32_t)take(in, 2);
	uint32_t n = (uint32_t)take(in, 2) % sizeof(bytes);

	if (open_count == 0) {
		return;
	}
	i %= open_count;
	c = &open_chains[i];
	if (virtqueue_read(&q, c, offset, bytes, n)) {
		assert(offset + n <= c->readable);
	}
	if (virtqueue_write(&q, c, offset, bytes, n)) {
		assert(offset + n <= c->writable);
	}
	virtqueue_push(&q, c->head, n);
	pushed += q.running;
	*c = open_chains[--open_count];
}

static void step(struct input *in)
{
	driver_give_available(&q);
	switch (take(in, 1) & 15) {
	case 0:
		start(in);
		break;
	case 1:
	case 2:
	case 3:
	case 4:
		driver_write_descriptor(in, &driver);
		break;
	case 5:
	case 6:
		driver_offer(in, &driver);
		break;
	case 7:
		assert(virtqueue_poll(&q) == (q.running && virtqueue_waiting(&q) != 0));
		break;
	case 8:
	case 9:
	case 10:
		(void)virtqueue_poll(&q);
		pop();
		break;
	case 11:
	case 12:
		give_back(in);
		break;
	case 13:
		if (open_count != 0 && pushed == 0) {
			virtqueue_unpop(&q, 1);
			open_count--;
		}
		break;
	case 14:
		if (virtqueue_publish(&q)) {
			assert(pushed != 0);
		}
		pushed = 0;
		break;
	default:
		virtqueue_quiet(&q);
		(void)virtqueue_listen(&q);
		break;
	}
	assert(broken == q.broken);
	assert(!q.running || virtqueue_waiting(&q) + open_count <= q.size);
	assert(!q.running || (uint16_t)(q.avail_next - q.used_next) == open_count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};

	memset(rig_ram, 0, sizeof(rig_ram));
	rig_watch = true;
	virtqueue_init(&q, NULL, broke);
	start(&in);
	while (in.n != 0) {
		step(&in);
	}
	return 0;
}
