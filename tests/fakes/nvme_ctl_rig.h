/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An NVMe controller of a guest with its driver: a PCI host, a disk, messages that are counted, and
 * queues in a small guest memory. The driver is right, but for what a test makes it do.
 */
#pragma once

#include "guests/devices/nvme_ctl_internal.h"
#include "hv/base/bits.h"
#include "tests/fakes/blk_rig.h"
#include "tests/fakes/device_rig.h"
#include "tests/fakes/pci_rig.h"
#include "tests/fakes/virtio_rig.h"

#define DRIVER_QUEUES 2u
#define DRIVER_ENTRIES 16u
/* Where in RAM what is. */
#define DRIVER_SQ(n) (RIG_RAM_BASE + 0x2000ull * (n))
#define DRIVER_CQ(n) (DRIVER_SQ(n) + 0x1000)
#define DRIVER_SHADOW (RIG_RAM_BASE + 0x8000ull)
#define DRIVER_EVENT (RIG_RAM_BASE + 0x9000ull)
#define DRIVER_LIST (RIG_RAM_BASE + 0xa000ull)
#define DRIVER_PAGE (RIG_RAM_BASE + 0xc000ull)
#define DRIVER_DATA (RIG_RAM_BASE + 0x10000ull)

static struct nvme_ctl nvme;
static struct nvme_ctl_queue nvme_queues[DRIVER_QUEUES];
static _Alignas(4096) uint8_t nvme_buffers[DRIVER_QUEUES][BOUNCE_BYTES];
static struct vwork_queue nvme_work;
static unsigned nvme_asked;
static struct rig_line nvme_line;
static unsigned nvme_messages[DRIVER_QUEUES + 1]; /* by vector, which is the message's data */

/* A pair of queues as the driver sees it. */
static struct driver_queue {
	uint32_t entries; /* of the submission queue */
	uint32_t cq_entries;
	uint32_t tail;
	uint32_t head;
	bool phase;
	unsigned doorbells; /* that were written */
} driver_queues[DRIVER_QUEUES + 1];
static bool driver_shadows;

/* A completion, taken apart. */
struct driver_answer {
	uint32_t result;
	uint16_t sq_head;
	uint16_t sq;
	uint16_t id;
	uint16_t status;
};

static inline bool driver_message(void *ctx, uint64_t address, uint32_t data)
{
	(void)ctx;
	assert(address == 0xfee00000 && data <= DRIVER_QUEUES);
	nvme_messages[data]++;
	return true;
}

static inline void driver_ask(void *ctx, unsigned vcpu)
{
	(void)ctx;
	assert(vcpu < DRIVER_QUEUES);
	nvme_asked++;
}

/* ---- the machine ---- */

static inline void driver_bar_write(unsigned bar, uint64_t offset, unsigned size, uint64_t value)
{
	nvme.pci.function.ops->bar_write(&nvme.pci.function, bar, offset, size, value);
}

static inline void driver_write(uint64_t offset, unsigned size, uint64_t value)
{
	driver_bar_write(NVME_CTL_BAR_REGS, offset, size, value);
}

static inline uint64_t driver_read(uint64_t offset, unsigned size)
{
	return nvme.pci.function.ops->bar_read(&nvme.pci.function, NVME_CTL_BAR_REGS, offset,
					       size) &
	       size_mask(size);
}

/* MSI-X on; vector n sends n. */
static inline void driver_msix_on(void)
{
	for (unsigned i = 0; i < nvme.pci.msix_count; i++) {
		driver_bar_write(NVME_CTL_BAR_MSIX, i * 16ull, 8, 0xfee00000);
		driver_bar_write(NVME_CTL_BAR_MSIX, i * 16ull + 8, 8, i);
	}
	rig_config_write(rig_capability(PCI_CAP_MSIX) + PCI_MSIX_CONTROL, 2, PCI_MSIX_ENABLE);
}

static inline enum hv_status driver_make(unsigned queue_count)
{
	struct nvme_ctl_config cfg = {
		.guest = "rig",
		.place = {.host = &rig_host,
			  .devfn = RIG_DEVFN,
			  .message = driver_message,
			  .intx_line = rig_irq(&nvme_line)},
		.work = &nvme_work,
		.device = &rig_disk,
		.vcpu_count = DRIVER_QUEUES,
		.queue_count = queue_count,
	};

	nvme_line = (struct rig_line){0};
	nvme_asked = 0;
	driver_shadows = false;
	memset(nvme_messages, 0, sizeof(nvme_messages));
	memset(driver_queues, 0, sizeof(driver_queues));
	for (unsigned i = 0; i < queue_count; i++) {
		cfg.queues[i] = &nvme_queues[i];
		cfg.buffers[i] = nvme_buffers[i];
	}
	rig_host_start();
	vwork_queue_init(&nvme_work, driver_ask, NULL);
	return nvme_ctl_init(&nvme, &cfg);
}

/* ---- queues ---- */

static inline void driver_put_command(unsigned queue, uint32_t place, const struct nvme_command *c)
{
	memcpy(rig_at(DRIVER_SQ(queue) + place * sizeof(*c)), c, sizeof(*c));
}

/* Puts a command into the queue; its number is its place. */
static inline void driver_put(unsigned queue, struct nvme_command c)
{
	struct driver_queue *q = &driver_queues[queue];

	c.id = (uint16_t)q->tail;
	driver_put_command(queue, q->tail, &c);
	q->tail = (q->tail + 1) % q->entries;
}

/* "Updating Controller Doorbell Registers": whether the event index is passed. */
static inline bool driver_passes(unsigned doorbell, uint32_t value)
{
	uint32_t old = (uint32_t)rig_get(DRIVER_SHADOW + 4ull * doorbell, 4);
	uint32_t event = (uint32_t)rig_get(DRIVER_EVENT + 4ull * doorbell, 4);

	rig_put(DRIVER_SHADOW + 4ull * doorbell, value, 4);
	return (uint16_t)(value - event - 1) < (uint16_t)(value - old);
}

static inline void driver_doorbell(unsigned queue, unsigned which, uint32_t value)
{
	if (!driver_shadows || queue == 0 || driver_passes(2 * queue + which, value)) {
		driver_queues[queue].doorbells++;
		driver_write(NVME_DOORBELLS + 4ull * (2 * queue + which), 4, value);
	}
}

static inline void driver_ring(unsigned queue)
{
	driver_doorbell(queue, 0, driver_queues[queue].tail);
}

/* The next completion, if there is one; the head is not told. */
static inline bool driver_peek(unsigned queue, struct driver_answer *out)
{
	struct driver_queue *q = &driver_queues[queue];
	uint64_t at = DRIVER_CQ(queue) + 16ull * q->head;
	uint64_t status = rig_get(at + 14, 2);

	*out = (struct driver_answer){
		.result = (uint32_t)rig_get(at, 4),
		.sq_head = (uint16_t)rig_get(at + 8, 2),
		.sq = (uint16_t)rig_get(at + 10, 2),
		.id = (uint16_t)rig_get(at + 12, 2),
		.status = (uint16_t)(status >> 1),
	};
	return (status & 1) == q->phase;
}

static inline void driver_advance(unsigned queue)
{
	struct driver_queue *q = &driver_queues[queue];

	q->head = (q->head + 1) % q->cq_entries;
	q->phase = q->head == 0 ? !q->phase : q->phase;
}

static inline bool driver_take(unsigned queue, struct driver_answer *out)
{
	if (!driver_peek(queue, out)) {
		return false;
	}
	driver_advance(queue);
	driver_doorbell(queue, 1, driver_queues[queue].head);
	return true;
}

static inline void driver_reset_queue(unsigned queue, uint32_t entries)
{
	driver_queues[queue] =
		(struct driver_queue){.entries = entries, .cq_entries = entries, .phase = true};
	memset(rig_at(DRIVER_SQ(queue)), 0, 0x2000);
}

static inline void driver_work(void)
{
	(void)vwork_run(&nvme_work);
}

/* One command from the doorbell to its status; a long one takes some runs. */
static inline uint16_t driver_do(unsigned queue, struct nvme_command c, uint32_t *result)
{
	struct driver_answer a;
	bool answered;

	driver_put(queue, c);
	driver_ring(queue);
	answered = driver_take(queue, &a);
	for (unsigned runs = 0; !answered && runs < 20; runs++) {
		driver_work();
		answered = driver_take(queue, &a);
	}
	assert(answered && a.sq == queue && a.sq_head == driver_queues[queue].tail);
	if (result != NULL) {
		*result = a.result;
	}
	return a.status;
}

static inline uint16_t driver_admin(struct nvme_command c)
{
	return driver_do(0, c, NULL);
}

/* ---- from power-on to working queues ---- */

static inline void driver_enable(void)
{
	rig_set_master(true);
	driver_reset_queue(0, DRIVER_ENTRIES);
	driver_shadows = false;
	driver_write(NVME_AQA, 4, (DRIVER_ENTRIES - 1) * 0x10001u);
	driver_write(NVME_ASQ, 8, DRIVER_SQ(0));
	driver_write(NVME_ACQ, 8, DRIVER_CQ(0));
	driver_write(NVME_CC, 4, NVME_CC_ON);
	assert(driver_read(NVME_CSTS, 4) == NVME_CSTS_RDY);
}

static inline uint16_t driver_create_cq(unsigned queue, uint32_t entries)
{
	driver_reset_queue(queue, entries);
	return driver_admin((struct nvme_command){
		.opcode = NVME_ADMIN_CREATE_CQ,
		.prp1 = DRIVER_CQ(queue),
		.dw10 = queue | (entries - 1) << 16,
		.dw11 = queue << 16 | NVME_CQ_INTERRUPTS | NVME_QUEUE_CONTIGUOUS,
	});
}

static inline uint16_t driver_create_sq(unsigned queue, uint32_t entries)
{
	driver_queues[queue].entries = entries;
	return driver_admin((struct nvme_command){
		.opcode = NVME_ADMIN_CREATE_SQ,
		.prp1 = DRIVER_SQ(queue),
		.dw10 = queue | (entries - 1) << 16,
		.dw11 = queue << 16 | NVME_QUEUE_CONTIGUOUS,
	});
}

static inline void driver_create_queues(uint32_t entries)
{
	for (unsigned i = 1; i <= DRIVER_QUEUES; i++) {
		uint16_t cq = driver_create_cq(i, entries);
		uint16_t sq = driver_create_sq(i, entries);

		assert(cq == 0 && sq == 0);
	}
}

static inline void driver_use_shadows(void)
{
	uint16_t status;

	memset(rig_at(DRIVER_SHADOW), 0, 0x2000);
	status = driver_admin((struct nvme_command){.opcode = NVME_ADMIN_DOORBELL_BUFFERS,
						    .prp1 = DRIVER_SHADOW,
						    .prp2 = DRIVER_EVENT});
	assert(status == 0);
	driver_shadows = true;
}

/* All up, with MSI-X. */
static inline void driver_start(void)
{
	enum hv_status status;

	rig_disk_init();
	memset(rig_ram, 0, sizeof(rig_ram));
	status = driver_make(DRIVER_QUEUES);
	assert(status == HV_OK);
	driver_msix_on();
	driver_enable();
	driver_create_queues(DRIVER_ENTRIES);
}

/* A Read, Write or Compare of up to two pages, or of more with a list at DRIVER_LIST. */
static inline struct nvme_command driver_transfer(uint8_t opcode, uint64_t block, uint32_t blocks)
{
	struct nvme_command c = {.opcode = opcode,
				 .nsid = 1,
				 .prp1 = DRIVER_DATA,
				 .dw10 = (uint32_t)block,
				 .dw11 = (uint32_t)(block >> 32),
				 .dw12 = blocks - 1};
	uint32_t pages = (blocks * 512 + 4095) / 4096;

	c.prp2 = pages == 2 ? DRIVER_DATA + 4096 : DRIVER_LIST;
	for (uint32_t i = 1; i < pages; i++) {
		rig_put(DRIVER_LIST + 8ull * (i - 1), DRIVER_DATA + 4096ull * i, 8);
	}
	return c;
}

/* Nothing is open, nothing was lost. */
static inline void driver_all_free(void)
{
	for (unsigned i = 0; i < nvme.queue_count; i++) {
		assert(nvme_queues[i].free_commands == UINT32_MAX);
		assert(nvme_queues[i].current == NULL);
		assert(blk_pieces_all_free(&nvme_queues[i].transfers.pieces));
		assert(nvme.answers[i + 1].reserved == 0);
	}
	assert(nvme.answers[0].reserved == 0);
	assert(nvme_ctl_is_idle(&nvme));
}
