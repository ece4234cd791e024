/* SPDX-License-Identifier: Apache-2.0 */
/* A virtio device for tests of its drivers; layouts are the specification's. */
#include "tests/fakes/fake_virtio.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMMON 0x0000u
#define ISR 0x1000u
#define CONFIG 0x2000u
#define NOTIFY 0x3000u
#define TABLE 0x3800u
#define BAR_SIZE 0x4000u
#define MULTIPLIER 4u

static _Noreturn void fail(const char *what, uint64_t detail)
{
	fprintf(stderr, "fake virtio: %s 0x%llx\n", what, (unsigned long long)detail);
	abort();
}

static struct fake_virtio_queue *selected(struct fake_virtio *v)
{
	static struct fake_virtio_queue none;

	memset(&none, 0, sizeof(none));
	return v->queue_select < FAKE_VIRTIO_QUEUES ? &v->queues[v->queue_select] : &none;
}

static uint32_t common_read(struct fake_virtio *v, uint64_t reg)
{
	const struct fake_virtio_queue *q = selected(v);

	switch (reg) {
	case 4:
		return (uint32_t)(v->feature_select < 2 ? v->offers >> (32 * v->feature_select)
							: 0);
	case 18:
		return FAKE_VIRTIO_QUEUES;
	case 20:
		return v->status;
	case 24:
		return q->size;
	case 26:
		return v->refuses_vectors ? 0xffff : q->vector;
	case 28:
		return q->enabled;
	case 30:
		return v->queue_select;
	default:
		return 0;
	}
}

static void reset(struct fake_virtio *v)
{
	v->resets++;
	v->accepted = 0;
	v->isr = 0;
	for (unsigned i = 0; i < FAKE_VIRTIO_QUEUES; i++) {
		v->queues[i] = (struct fake_virtio_queue){.size = v->queues[i].size,
							  .vector = 0xffff,
							  .notifies = v->queues[i].notifies};
	}
}

static void write_status(struct fake_virtio *v, uint8_t value)
{
	if (value == 0) {
		if (v->never_resets) {
			return;
		}
		reset(v);
	} else if ((value & 8) != 0 && (v->refuses_features || (v->accepted & ~v->offers) != 0)) {
		value &= (uint8_t)~8u;
	}
	v->status = value;
}

static void set_half(uint64_t *value, bool high, uint32_t half)
{
	memcpy((char *)value + (high ? 4 : 0), &half, 4);
}

static void common_write(struct fake_virtio *v, uint64_t reg, uint32_t value)
{
	struct fake_virtio_queue *q = selected(v);

	switch (reg) {
	case 0:
		v->feature_select = value;
		break;
	case 8:
		v->driver_select = value;
		break;
	case 12:
		set_half(&v->accepted, v->driver_select == 1, value);
		break;
	case 20:
		write_status(v, (uint8_t)value);
		break;
	case 22:
		v->queue_select = (uint16_t)value;
		break;
	case 24:
		q->size = (uint16_t)value;
		break;
	case 26:
		q->vector = (uint16_t)value;
		break;
	case 28:
		q->enabled = (uint16_t)value;
		break;
	case 32:
	case 36:
		set_half(&q->desc, reg == 36, value);
		break;
	case 40:
	case 44:
		set_half(&q->avail, reg == 44, value);
		break;
	case 48:
	case 52:
		set_half(&q->used, reg == 52, value);
		break;
	default:
		break;
	}
}

/* Common configuration takes accesses of a field's width alone. */
static void check_width(uint64_t reg, unsigned size)
{
	unsigned width = reg < 16 || reg >= 32 ? 4 : reg == 20 || reg == 21 ? 1 : 2;

	if (size != width) {
		fail("access of the wrong width at", reg);
	}
}

static uint32_t bar_read(void *ctx, unsigned bar, uint64_t offset, unsigned size)
{
	struct fake_virtio *v = ctx;
	uint32_t value = 0;

	if (bar != 4) {
		fail("access to BAR", bar);
	}
	if (offset < COMMON + 56) {
		check_width(offset, size);
		return common_read(v, offset);
	}
	if (offset == ISR) {
		value = v->isr;
		v->isr = 0;
	} else if (offset >= CONFIG && offset + size <= CONFIG + sizeof(v->config)) {
		memcpy(&value, &v->config[offset - CONFIG], size);
	} else {
		fail("read at", offset);
	}
	return value;
}

static void bar_write(void *ctx, unsigned bar, uint64_t offset, unsigned size, uint32_t value)
{
	struct fake_virtio *v = ctx;

	if (bar == 4 && offset < COMMON + 56) {
		check_width(offset, size);
		common_write(v, offset, value);
		return;
	}
	if (bar != 4 || offset < NOTIFY || offset >= NOTIFY + FAKE_VIRTIO_QUEUES * MULTIPLIER ||
	    size != 2 || value != (offset - NOTIFY) / MULTIPLIER) {
		fail("write at", offset);
	}
	if ((v->status & 4) == 0) {
		fail("notified before DRIVER_OK, queue", value);
	}
	v->queues[value].notifies++;
	if (v->on_notify != NULL) {
		v->on_notify(v, value);
	}
}

static void add_structure(struct fake_pci *f, unsigned type, uint32_t offset, uint32_t size)
{
	unsigned at = fake_pci_capability(f, 9, 20);

	fake_pci_put(f, at + 2, 1, 20);
	fake_pci_put(f, at + 3, 1, type);
	fake_pci_put(f, at + 4, 1, 4);
	fake_pci_put(f, at + 8, 4, offset);
	fake_pci_put(f, at + 12, 4, size);
	fake_pci_put(f, at + 16, 4, MULTIPLIER);
}

void fake_virtio_add(struct fake_virtio *v, unsigned devfn, unsigned type, uint32_t class_code,
		     unsigned messages)
{
	memset(v, 0, sizeof(*v));
	fake_pci_add(&v->pci, 0, devfn, (0x1040 + type) << 16 | 0x1af4, class_code);
	fake_pci_bar(&v->pci, 4, FAKE_VIRTIO_BAR + devfn * 0x10000ull, BAR_SIZE);
	add_structure(&v->pci, 1, COMMON, 56);
	add_structure(&v->pci, 2, NOTIFY, FAKE_VIRTIO_QUEUES * MULTIPLIER);
	add_structure(&v->pci, 3, ISR, 4);
	add_structure(&v->pci, 4, CONFIG, sizeof(v->config));
	if (messages != 0) {
		fake_pci_msix(&v->pci, 4, TABLE, messages);
	}
	v->pci.read = bar_read;
	v->pci.write = bar_write;
	v->pci.ctx = v;
	v->offers = 1ull << 32;
	for (unsigned i = 0; i < FAKE_VIRTIO_QUEUES; i++) {
		v->queues[i].size = 8;
	}
}

struct desc {
	uint64_t address;
	uint32_t size;
	uint16_t flags;
	uint16_t next;
};

static void take_chain(const struct fake_virtio_queue *q, uint16_t head,
		       struct fake_virtio_chain *out)
{
	const struct desc *table = fake_pci_dma(q->desc, q->size * sizeof(*table));
	uint16_t at = head;

	*out = (struct fake_virtio_chain){.head = head};
	for (;;) {
		const struct desc *d = &table[at];
		struct fake_virtio_part *p = &out->parts[out->count];

		if (at >= q->size || out->count == FAKE_VIRTIO_PARTS) {
			fail("chain out of order at", at);
		}
		*p = (struct fake_virtio_part){fake_pci_dma(d->address, d->size), d->size,
					       (d->flags & 2) != 0};
		if (out->count > 0 && out->parts[out->count - 1].writable && !p->writable) {
			fail("readable part behind a writable one in", head);
		}
		out->count++;
		if ((d->flags & 1) == 0) {
			return;
		}
		at = d->next;
	}
}

bool fake_virtio_take(struct fake_virtio *v, unsigned queue, struct fake_virtio_chain *out)
{
	struct fake_virtio_queue *q = &v->queues[queue];
	const uint16_t *avail;

	if (q->enabled == 0 || (v->status & 4) == 0 || !fake_pci_is_master(&v->pci)) {
		return false;
	}
	avail = fake_pci_dma(q->avail, 4 + 2ull * q->size);
	if (avail[1] == q->avail_seen) {
		return false;
	}
	take_chain(q, avail[2 + q->avail_seen % q->size], out);
	q->avail_seen++;
	return true;
}

void fake_virtio_use(struct fake_virtio *v, unsigned queue, uint32_t id, uint32_t written)
{
	struct fake_virtio_queue *q = &v->queues[queue];
	char *used = fake_pci_dma(q->used, 4 + 8ull * q->size);
	uint32_t entry[2] = {id, written};

	memcpy(used + 4 + (size_t)8 * (q->used_index % q->size), entry, sizeof(entry));
	q->used_index++;
	memcpy(used + 2, &q->used_index, 2);
}

bool fake_virtio_interrupt(struct fake_virtio *v, unsigned queue)
{
	const struct fake_virtio_queue *q = &v->queues[queue];

	if (q->vector != 0xffff) {
		return fake_pci_message(&v->pci, q->vector);
	}
	v->isr |= 1;
	return fake_pci_line(v->pci.config[0x3c]);
}
