/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver's side of virtqueues for unit tests and fuzz targets, with a small guest memory that
 * stands in for hv/api/gmem.c: a program that includes this has no other guest memory.
 */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "guests/devices/virtqueue.h"

/* RAM does not begin at 0, so that a lost base shows. */
#define RIG_RAM_BASE 0x100000u
#define RIG_RAM_SIZE 0x80000u
#define RIG_RAM_END (RIG_RAM_BASE + RIG_RAM_SIZE)

#define RIG_NEXT 1u
#define RIG_WRITE 2u
#define RIG_INDIRECT 4u

static uint8_t rig_ram[RIG_RAM_SIZE];
/* Bytes that the device may write; looked at while rig_watch is on. */
static uint8_t rig_given[RIG_RAM_SIZE];
static bool rig_watch;
static unsigned rig_reads, rig_writes;

static inline void *rig_at(uint64_t addr)
{
	assert(addr >= RIG_RAM_BASE && addr < RIG_RAM_END);
	return &rig_ram[addr - RIG_RAM_BASE];
}

static inline bool rig_is_ram(uint64_t addr, uint64_t n)
{
	return addr >= RIG_RAM_BASE && addr <= RIG_RAM_END && n <= RIG_RAM_END - addr;
}

/* What the device may write of [addr, addr + n); what is no RAM it cannot. */
static inline void rig_give(uint64_t addr, uint64_t n, bool give)
{
	uint64_t end = addr + n < RIG_RAM_END ? addr + n : RIG_RAM_END;
	uint64_t from = addr > RIG_RAM_BASE ? addr : RIG_RAM_BASE;

	if (from < end) {
		memset(&rig_given[from - RIG_RAM_BASE], give, end - from);
	}
}

enum hv_status guest_mem_read(struct vm *vm, gpa_t addr, void *dst, size_t n)
{
	(void)vm;
	rig_reads++;
	if (!rig_is_ram(addr.v, n)) {
		return HV_E_RANGE;
	}
	memcpy(dst, rig_at(addr.v), n);
	return HV_OK;
}

enum hv_status guest_mem_write(struct vm *vm, gpa_t addr, const void *src, size_t n)
{
	(void)vm;
	rig_writes++;
	if (!rig_is_ram(addr.v, n)) {
		return HV_E_RANGE;
	}
	assert(!rig_watch || memchr(&rig_given[addr.v - RIG_RAM_BASE], 0, n) == NULL);
	memcpy(rig_at(addr.v), src, n);
	return HV_OK;
}

enum hv_status guest_mem_read_u16(struct vm *vm, gpa_t addr, uint16_t *value)
{
	return guest_mem_read(vm, addr, value, sizeof(*value));
}

enum hv_status guest_mem_write_u16(struct vm *vm, gpa_t addr, uint16_t value)
{
	return guest_mem_write(vm, addr, &value, sizeof(value));
}

static inline void rig_put(uint64_t addr, uint64_t value, unsigned size)
{
	memcpy(rig_at(addr), &value, size);
}

static inline uint64_t rig_get(uint64_t addr, unsigned size)
{
	uint64_t value = 0;

	memcpy(&value, rig_at(addr), size);
	return value;
}

/* A queue as its driver sees it. */
struct rig_queue {
	uint64_t desc, avail, used;
	uint16_t size;
	uint16_t avail_index;
	uint16_t used_seen; /* what rig_take took */
};

/* Three rings from `base` on, zeroed, 16 KiB in all at the most. */
static inline void rig_queue_init(struct rig_queue *q, uint64_t base, uint16_t size)
{
	*q = (struct rig_queue){
		.desc = base, .avail = base + 0x1000, .used = base + 0x2000, .size = size};
	memset(rig_at(base), 0, 0x4000);
}

static inline struct virtqueue_setup rig_setup(const struct rig_queue *q)
{
	return (struct virtqueue_setup){
		.desc = q->desc, .avail = q->avail, .used = q->used, .size = q->size};
}

/* Descriptor `index` of the table at `table`. */
static inline void rig_desc(uint64_t table, unsigned index, uint64_t addr, uint32_t len,
			    uint32_t flags_next)
{
	uint64_t at = table + 16ull * index;

	rig_put(at, addr, 8);
	rig_put(at + 8, len, 4);
	rig_put(at + 12, flags_next, 4);
}

/* Flags, and the number of the next descriptor. */
static inline uint32_t rig_link(uint32_t flags, uint32_t next)
{
	return flags | RIG_NEXT | next << 16;
}

/* Makes the chain that begins with `head` available. */
static inline void rig_offer(struct rig_queue *q, uint16_t head)
{
	rig_put(q->avail + 4 + 2ull * (q->avail_index % q->size), head, 2);
	q->avail_index++;
	rig_put(q->avail + 2, q->avail_index, 2);
}

static inline uint16_t rig_used_index(const struct rig_queue *q)
{
	return (uint16_t)rig_get(q->used + 2, 2);
}

/* The next used element, if there is one. */
static inline bool rig_take(struct rig_queue *q, uint32_t *id, uint32_t *len)
{
	uint64_t at = q->used + 4 + 8ull * (q->used_seen % q->size);

	if (q->used_seen == rig_used_index(q)) {
		return false;
	}
	q->used_seen++;
	*id = (uint32_t)rig_get(at, 4);
	*len = (uint32_t)rig_get(at + 4, 4);
	return true;
}

static inline void rig_set_avail_flags(const struct rig_queue *q, uint16_t flags)
{
	rig_put(q->avail, flags, 2);
}

static inline void rig_set_used_event(const struct rig_queue *q, uint16_t event)
{
	rig_put(q->avail + 4 + 2ull * q->size, event, 2);
}

static inline uint16_t rig_avail_event(const struct rig_queue *q)
{
	return (uint16_t)rig_get(q->used + 4 + 8ull * q->size, 2);
}

/* What the device may always write: the used ring with what stands around it. */
static inline void rig_give_ring(uint64_t used, uint32_t size)
{
	rig_give(used, 4 + 8ull * size + 2, true);
}
