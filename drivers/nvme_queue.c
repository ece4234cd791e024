/* SPDX-License-Identifier: Apache-2.0 */
/* Queue pairs of an NVMe controller, and the commands that requests become. */
#include "drivers/nvme.h"

#include "hv/base/log.h"
#include "hv/base/str.h"
#include "hv/cpu/insn.h"
#include "hv/cpu/percpu.h"
#include "mm/pool.h"

/* A command's number: its slot, and which of the slot's requests it is. */
#define ID_SLOT MASK(5, 0)
#define ID_GENERATION MASK(13, 6)
#define REQUEST_LIMIT_NS 15000000000ull
#define LISTS_ORDER 4u /* DISK_SLOTS_MAX * NVME_LIST_BYTES in pages */
static_assert((uint64_t)DISK_SLOTS_MAX * NVME_LIST_BYTES == PAGE_SIZE << LISTS_ORDER,
	      "a list per slot");
static_assert(NVME_DEPTH * sizeof(struct nvme_command) == PAGE_SIZE, "a page of commands");
static_assert(NVME_TRANSFER_MAX / PAGE_SIZE * 8 <= NVME_LIST_BYTES, "a page's address each");

bool nvme_queue_alloc(struct nvme *c, struct nvme_queue *q, unsigned number)
{
	uint64_t most = bits_get(c->cap, NVME_CAP_MQES) + 1;

	q->controller = c;
	q->number = (uint16_t)number;
	q->entries = (uint16_t)min_u64(NVME_DEPTH, most);
	q->commands = pool_pages(0);
	q->completions = pool_pages(0);
	q->lists = pool_pages(LISTS_ORDER);
	/* A queue that is full looks empty. */
	disk_queue_init(&q->requests, q->entries - 1u, REQUEST_LIMIT_NS);
	return q->commands != NULL && q->completions != NULL && q->lists != NULL;
}

void nvme_queue_clear(struct nvme_queue *q)
{
	memset(q->completions, 0, PAGE_SIZE);
	q->tail = 0;
	q->head = 0;
	q->phase = true;
}

static unsigned doorbell(const struct nvme_queue *q, bool completions)
{
	return NVME_DOORBELLS + (2u * q->number + completions) * q->controller->stride;
}

static void push(struct nvme_queue *q, const struct nvme_command *command)
{
	q->commands[q->tail] = *command;
	q->tail = (uint16_t)((q->tail + 1) % q->entries);
}

static void ring(const struct nvme_queue *q)
{
	nvme_write(q->controller, doorbell(q, false), q->tail);
}

void nvme_queue_send(struct nvme_queue *q, const struct nvme_command *command)
{
	push(q, command);
	ring(q);
}

void nvme_queue_release(struct nvme_queue *q)
{
	nvme_write(q->controller, doorbell(q, true), q->head);
}

bool nvme_queue_pop(struct nvme_queue *q, uint32_t *last, uint32_t *result)
{
	struct nvme_completion *entry = &q->completions[q->head];

	*last = atomic_load_explicit(&entry->last, memory_order_acquire);
	if (((*last & NVME_LAST_PHASE) != 0) != q->phase) {
		return false;
	}
	*result = atomic_load_explicit(&entry->result, memory_order_relaxed);
	q->head = (uint16_t)((q->head + 1) % q->entries);
	q->phase = q->head == 0 ? !q->phase : q->phase;
	return true;
}

/* --- requests --- */

static struct nvme_namespace *namespace_of(struct blk_device *d)
{
	return container_of(d, struct nvme_namespace, device);
}

/*
 * "Physical Region Page Entry and List": the first page may begin anywhere, the others are whole.
 * A second page has its place in the command, more of them in a list.
 */
static void describe_buffer(struct nvme_queue *q, unsigned slot, const struct blk_request *r,
			    struct nvme_command *command)
{
	uint64_t start = pool_hpa(r->buffer).v;
	uint64_t end = start + (uint64_t)r->count * BLK_SECTOR;
	uint64_t page = align_down(start, PAGE_SIZE) + PAGE_SIZE;
	uint64_t *list = (uint64_t *)(void *)(q->lists + (size_t)slot * NVME_LIST_BYTES);

	command->prp1 = start;
	if (page >= end) {
		return;
	}
	command->prp2 = page;
	if (page + PAGE_SIZE >= end) {
		return;
	}
	command->prp2 = pool_hpa(list).v;
	for (; page < end; page += PAGE_SIZE) {
		*list++ = page;
	}
}

static void describe_range(struct nvme_queue *q, unsigned slot, uint64_t start, uint32_t blocks,
			   struct nvme_command *command)
{
	struct nvme_range *range = (void *)(q->lists + (size_t)slot * NVME_LIST_BYTES);

	*range = (struct nvme_range){.blocks = blocks, .start = start};
	command->prp1 = pool_hpa(range).v;
	command->dw10 = 0;
	command->dw11 = NVME_DSM_DEALLOCATE;
}

/* Zeroes are written in pieces, each as long as a command can say. */
static uint32_t piece_of(const struct disk_slot *s, unsigned shift)
{
	uint32_t left = (s->request->count - s->progress) >> shift;

	return (uint32_t)min_u64(left, NVME_BLOCKS_MAX);
}

static void set_blocks(struct nvme_command *command, uint64_t start, uint32_t blocks)
{
	command->dw10 = (uint32_t)start;
	command->dw11 = (uint32_t)(start >> 32);
	command->dw12 = blocks - 1;
}

static void describe(struct nvme_queue *q, unsigned slot, struct nvme_command *command)
{
	const struct disk_slot *s = &q->requests.slots[slot];
	const struct blk_request *r = s->request;
	unsigned shift = namespace_of(s->device)->block_shift;

	switch (r->op) {
	case BLK_READ:
	case BLK_WRITE:
		command->opcode = r->op == BLK_READ ? NVME_READ : NVME_WRITE;
		set_blocks(command, r->sector >> shift, r->count >> shift);
		describe_buffer(q, slot, r, command);
		break;
	case BLK_DISCARD:
		command->opcode = NVME_DSM;
		describe_range(q, slot, r->sector >> shift, r->count >> shift, command);
		break;
	case BLK_WRITE_ZEROES:
		command->opcode = NVME_WRITE_ZEROES;
		set_blocks(command, (r->sector + s->progress) >> shift, piece_of(s, shift));
		break;
	case BLK_FLUSH:
	case BLK_OP_COUNT:
		command->opcode = NVME_FLUSH;
		break;
	}
}

static void issue(struct nvme_queue *q, unsigned slot)
{
	const struct disk_slot *s = &q->requests.slots[slot];
	struct nvme_command command = {.nsid = namespace_of(s->device)->nsid};

	command.id = (uint16_t)bits_set(slot, ID_GENERATION, s->generation);
	describe(q, slot, &command);
	push(q, &command);
}

/* With the queue's lock. */
static void start_waiting(struct nvme_queue *q)
{
	unsigned started = 0;
	unsigned slot;

	while (q->running && disk_queue_start(&q->requests, &slot)) {
		issue(q, slot);
		started++;
	}
	if (started != 0) {
		ring(q);
	}
}

/* Whether the request goes on with another command. */
static bool goes_on(struct nvme_queue *q, unsigned slot)
{
	struct disk_slot *s = &q->requests.slots[slot];
	unsigned shift = namespace_of(s->device)->block_shift;

	if (s->request->op != BLK_WRITE_ZEROES) {
		return false;
	}
	s->progress += piece_of(s, shift) << shift;
	if (s->progress >= s->request->count) {
		return false;
	}
	issue(q, slot);
	ring(q);
	return true;
}

static void complain(struct nvme_queue *q, unsigned slot, unsigned status)
{
	const struct blk_request *r = q->requests.slots[slot].request;

	if (disk_queue_complain(&q->requests)) {
		log_warn("%s: request %u, %u sectors at %lu: status 0x%x", q->controller->name,
			 r->op, r->count, r->sector, status);
	}
}

/* One completion, which the controller may have made up. */
static void take(struct nvme_queue *q, uint32_t last, struct list_node *done)
{
	unsigned slot = (unsigned)bits_get(last, ID_SLOT);
	unsigned status = (unsigned)bits_get(last, NVME_LAST_STATUS);
	struct nvme *c = q->controller;

	if (bits_get(last, NVME_LAST_ID) >> 14 != 0 ||
	    !disk_queue_is_open(&q->requests, slot, (unsigned)bits_get(last, ID_GENERATION))) {
		if (disk_queue_complain(&q->requests)) {
			log_warn("%s: queue %u: command 0x%x is done, but is not open", c->name,
				 q->number, (unsigned)bits_get(last, NVME_LAST_ID));
		}
		return;
	}
	if (status != 0) {
		complain(q, slot, status);
	} else if (goes_on(q, slot)) {
		return;
	}
	atomic_store_explicit(&c->progress, true, memory_order_relaxed);
	disk_queue_end(&q->requests, slot, status == 0 ? HV_OK : HV_E_IO, done);
}

void nvme_queue_serve(struct nvme_queue *q)
{
	struct list_node done;
	uint32_t last;
	uint32_t result;
	unsigned taken = 0;

	list_init(&done);
	lock_acquire(&q->lock);
	/* A controller that never stops gets no more than a round at a time. */
	while (q->running && taken < q->entries && nvme_queue_pop(q, &last, &result)) {
		take(q, last, &done);
		taken++;
	}
	if (taken != 0) {
		nvme_queue_release(q);
	}
	start_waiting(q);
	lock_release(&q->lock);
	disk_finish(&done);
}

void nvme_submit(struct blk_device *d, struct blk_request *r)
{
	struct nvme *c = namespace_of(d)->controller;
	struct nvme_queue *q = &c->queues[cpu_this()->index % c->queue_count];
	struct list_node done;

	list_init(&done);
	lock_acquire(&q->lock);
	disk_queue_put(&q->requests, d, r, &done);
	start_waiting(q);
	lock_release(&q->lock);
	disk_finish(&done);
}
