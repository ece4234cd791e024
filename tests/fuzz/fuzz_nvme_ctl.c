/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands, lists of pages, doorbells, shadow doorbells, registers, completions and resets in any
 * order against the NVMe controller of a guest. It writes nothing that the driver of the present
 * did not give, keeps to its bounds, and when the disk has done everything nothing is missing.
 */
#include <stdlib.h>

#include "tests/fakes/nvme_ctl_rig.h"
#include "tests/fuzz/saved_input.h"

#define ANY_ENTRIES 7u /* of the I/O queues: small, so that they are full at times */

/* ---- what the controller may write, reckoned the slow way ---- */

/* The pages of `bytes` of data, one by one; the list is followed entry by entry. */
static void give_data(const struct nvme_command *c, uint64_t bytes)
{
	uint64_t first = c->prp1 % 4096;
	uint64_t pages = (first + bytes + 4095) / 4096;
	uint64_t list = c->prp2;

	rig_give(c->prp1, min_u64(bytes, 4096 - first), true);
	if (pages == 2) {
		rig_give(c->prp2, first + bytes - 4096, true);
	}
	for (uint64_t i = 1; pages > 2 && i < pages && rig_is_ram(list, 8); i++) {
		if (list % 4096 == 4088 && i + 1 < pages) {
			list = rig_get(list, 8);
			if (!rig_is_ram(list, 8)) {
				return;
			}
		}
		rig_give(rig_get(list, 8), min_u64(4096, first + bytes - i * 4096), true);
		list += 8;
	}
}

static void give_command(unsigned queue, const struct nvme_command *c)
{
	if (queue != 0) {
		if (c->opcode == NVME_READ) {
			give_data(c, ((c->dw12 & 0xffffull) + 1) * rig_disk.block_size);
		}
	} else if (c->opcode == NVME_ADMIN_IDENTIFY) {
		give_data(c, 4096);
	} else if (c->opcode == NVME_ADMIN_GET_LOG) {
		give_data(c,
			  min_u64(((c->dw10 >> 16 | (c->dw11 & 0xffff) << 16) + 1ull) * 4, 1024));
	} else if (c->opcode == NVME_ADMIN_DOORBELL_BUFFERS) {
		rig_give(c->prp1, 8ull * (DRIVER_QUEUES + 1), true);
		rig_give(c->prp2, 8ull * (DRIVER_QUEUES + 1), true);
	}
}

/* All commands from the head up to this tail. */
static void give_commands(unsigned queue, uint32_t tail)
{
	const struct nvme_ctl_ring *r = &nvme.state.sq[queue].ring;
	struct nvme_command c;

	for (uint32_t i = r->head; tail < r->entries && i != tail; i = (i + 1) % r->entries) {
		uint64_t at = r->base + i * sizeof(c);

		if (!rig_is_ram(at, sizeof(c))) {
			return;
		}
		memcpy(&c, rig_at(at), sizeof(c));
		give_command(queue, &c);
	}
}

/* Any queue may be looked at by whatever comes; `tail` is on its way to `queue`. */
static void give(unsigned queue, uint32_t tail)
{
	for (unsigned i = 0; i <= DRIVER_QUEUES; i++) {
		const struct nvme_ctl_ring *sq = &nvme.state.sq[i].ring;
		const struct nvme_ctl_ring *cq = &nvme.state.cq[i].ring;

		if (cq->made) {
			rig_give(cq->base, cq->entries * 16ull, true);
			rig_give(cq->event, cq->shadowed ? 4 : 0, true);
		}
		if (!sq->made) {
			continue;
		}
		rig_give(sq->event, sq->shadowed ? 4 : 0, true);
		give_commands(i, i == queue ? tail : sq->tail);
		give_commands(i, sq->tail);
		if (sq->shadowed && rig_is_ram(sq->shadow, 4)) {
			give_commands(i, (uint32_t)rig_get(sq->shadow, 4));
		}
	}
}

static void give_all(void)
{
	give(0, nvme.state.sq[0].ring.tail);
}

/* ---- the driver ---- */

/* An address: of data, of a list, of a queue, at the edge of RAM, or any. */
static uint64_t any_address(struct input *in)
{
	uint64_t kind = take(in, 1);
	uint64_t offset = take(in, 2);

	switch (kind & 15) {
	case 0:
		return RIG_RAM_END - offset % 64;
	case 1:
		return RIG_RAM_BASE - 8 + offset % 16;
	case 2:
		return offset << 48 | kind;
	case 3:
		return RIG_RAM_BASE + offset;
	case 4:
	case 5:
		return DRIVER_LIST + offset % 1024 * 8;
	case 6:
		return DRIVER_LIST + 4096 - offset % 4 * 8;
	default:
		return DRIVER_DATA + offset % 96 * 4096 + (kind > 200 ? offset & 0xffc : 0);
	}
}

static void write_list(struct input *in)
{
	uint64_t at = DRIVER_LIST + take(in, 2) % 1020 * 8;

	for (unsigned i = 0; i < 4; i++) {
		rig_put(at + 8ull * i, any_address(in), 8);
	}
}

/* Any command; mostly one that makes sense. */
/*
 * The pages of the command's data once more, in an object of their own: what goes beyond them
 * inside the controller's structure, no sanitizer sees.
 */
static void read_alone(const struct nvme_command *c)
{
	uint64_t blocks = (c->dw12 & 0xffffull) + 1;
	uint32_t bytes = (uint32_t)min_u64(blocks * rig_disk.block_size, NVME_CTL_TRANSFER_MAX);
	struct nvme_ctl_prps *prps = malloc(sizeof(*prps));
	uint8_t part[512];

	assert(prps != NULL);
	if (nvme_ctl_prps_read(NULL, c, bytes, prps) == NVME_SC_SUCCESS) {
		(void)nvme_ctl_prps_get(NULL, prps, 0, part, sizeof(part));
		(void)nvme_ctl_prps_get(NULL, prps, bytes - sizeof(part), part, sizeof(part));
	}
	free(prps);
}

static void put_command(struct input *in, unsigned queue)
{
	static const uint8_t admin[] = {0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 0x7c};
	static const uint8_t io[] = {0, 1, 2, 2, 2, 5, 8, 9};
	uint8_t how = (uint8_t)take(in, 1);
	struct nvme_command c = {.nsid = how > 250 ? how : 1};

	c.opcode = queue == 0 ? admin[how % sizeof(admin)] : io[how % sizeof(io)];
	c.flags = how == 249 ? 1 : 0;
	c.opcode = how == 248 ? (uint8_t)take(in, 1) : c.opcode;
	c.prp1 = any_address(in);
	c.prp2 = any_address(in);
	c.dw10 = (uint32_t)take(in, 3);
	c.dw11 = (uint32_t)take(in, 3);
	c.dw12 = (uint32_t)take(in, 2) & (how % 2 != 0 ? 0x4000001f : 0x7ff);
	read_alone(&c);
	driver_put(queue, c);
}

static void ring(struct input *in, unsigned queue)
{
	uint8_t how = (uint8_t)take(in, 1);
	uint32_t tail = how < 0xf0 ? driver_queues[queue].tail : (uint32_t)take(in, 3);

	if (nvme.state.sq[queue].ring.shadowed && how % 4 != 0) {
		rig_put(DRIVER_SHADOW + 8ull * queue, tail, 4);
	}
	if (how % 8 != 1) {
		give(queue, tail);
		driver_write(NVME_DOORBELLS + 8ull * queue, 4, tail);
	}
}

/* What was posted is taken, or any head told. */
static void take_answers(struct input *in, unsigned queue)
{
	uint8_t how = (uint8_t)take(in, 1);
	struct driver_answer a;

	for (unsigned i = 0; i < how % 4u && driver_peek(queue, &a); i++) {
		driver_advance(queue);
	}
	if (nvme.state.cq[queue].ring.shadowed) {
		rig_put(DRIVER_SHADOW + 8ull * queue + 4, driver_queues[queue].head, 4);
	}
	give_all();
	driver_write(NVME_DOORBELLS + 8ull * queue + 4, 4,
		     how < 0xf8 ? driver_queues[queue].head : take(in, 2));
}

/* The driver's past is over: what it gave is its own again. */
static void start(uint8_t how)
{
	rig_watch = false;
	/* On and off: only a controller that was on is reset by that bit. */
	driver_write(NVME_CC, 4, NVME_CC_ON);
	driver_write(NVME_CC, 4, 0);
	memset(rig_given, 0, sizeof(rig_given));
	driver_reset_queue(0, DRIVER_ENTRIES);
	rig_set_master(true);
	driver_write(NVME_AQA, 4, (DRIVER_ENTRIES - 1) * 0x10001u);
	driver_write(NVME_ASQ, 8, DRIVER_SQ(0));
	driver_write(NVME_ACQ, 8, DRIVER_CQ(0));
	driver_write(NVME_CC, 4, NVME_CC_ON);
	if (driver_read(NVME_CSTS, 4) == NVME_CSTS_RDY && nvme.state.sq[0].ring.made) {
		driver_create_queues(ANY_ENTRIES);
		if ((how & 1) != 0) {
			driver_use_shadows();
			driver_shadows = false; /* the steps do what the rig would */
		}
	}
	rig_watch = true;
}

static void disk_finishes(struct input *in)
{
	uint8_t how = (uint8_t)take(in, 1);

	if (rig_disk_open_count != 0) {
		rig_disk_finish(how % rig_disk_open_count, how > 0xf0 ? HV_E_IO : HV_OK);
	}
}

static void access_register(struct input *in)
{
	uint64_t offset = take(in, 1) % 0x50 + (take(in, 1) % 8 == 0 ? NVME_DOORBELLS : 0);
	unsigned size = 1u << take(in, 1) % 4;
	bool write = (take(in, 1) & 1) != 0;

	give_all();
	if (!write) {
		(void)driver_read(offset, size);
	} else if (offset < NVME_DOORBELLS) {
		driver_write(offset, size, take(in, 4));
		if ((nvme.state.cc & NVME_CC_EN) == 0) {
			memset(rig_given, 0, sizeof(rig_given));
		}
	} else {
		uint32_t value = (uint32_t)take(in, 1);

		give((unsigned)min_u64(offset / 8 % 16, DRIVER_QUEUES), value);
		driver_write(offset, size, value);
	}
}

static void run_work(void)
{
	give_all();
	nvme_asked = 0;
	driver_work();
}

static void step(struct input *in)
{
	uint8_t op = (uint8_t)take(in, 1);
	unsigned queue = (op >> 4) % (DRIVER_QUEUES + 1);

	switch (op & 15) {
	case 0:
	case 1:
	case 2:
	case 3:
		put_command(in, queue);
		break;
	case 4:
		write_list(in);
		break;
	case 5:
	case 6:
	case 7:
		ring(in, queue);
		break;
	case 8:
	case 9:
		take_answers(in, queue);
		break;
	case 10:
	case 11:
		disk_finishes(in);
		break;
	case 12:
		run_work();
		break;
	case 13:
		access_register(in);
		break;
	case 14:
		give_all();
		rig_set_master((op & 0x20) != 0);
		break;
	default:
		if ((op & 0x80) == 0) {
			start(op >> 4);
		} else {
			(void)fuzz_reload(in, &nvme.saved, sizeof(struct pci_device_saved));
		}
		break;
	}
}

/* ---- what holds ---- */

/* What waits is waited for: for the disk, for work, for room, or for a driver that put it off. */
static bool is_waited_for(unsigned id)
{
	const struct nvme_ctl_queue *q = &nvme_queues[id - 1];
	const struct nvme_ctl_sq *s = &nvme.state.sq[id];

	return q->transfers.pieces.opened != q->transfers.pieces.closed || nvme_asked != 0 ||
	       !s->ring.made || !nvme_ctl_may_run(&nvme) ||
	       (nvme.answers[s->cq].starving >> id & 1) != 0;
}

/* What is set once stands behind and before all that is written to by index. */
static void is_sealed(void)
{
	assert(nvme.device == &rig_disk && nvme.queue_count == DRIVER_QUEUES);
	assert((nvme.state.cc & 0xff00000e) == 0 && (nvme.state.asq & nvme.state.acq & 4095) == 0);
	for (unsigned i = 0; i < DRIVER_QUEUES; i++) {
		const struct nvme_ctl_queue *q = &nvme_queues[i];

		assert(nvme.queues[i] == q && q->ctl == &nvme && q->id == i + 1);
		assert(q->transfers.device == &rig_disk);
		for (unsigned j = 0; j < NVME_CTL_COMMANDS; j++) {
			assert(q->commands[j].queue == q);
		}
		for (unsigned j = 0; j < BLK_PIECES; j++) {
			assert(q->transfers.pieces.pieces[j].pieces == &q->transfers.pieces);
		}
	}
}

static void invariants(void)
{
	uint64_t open = nvme.flushing ? 1 : 0;
	unsigned commands = 0;
	unsigned reserved = 0;

	for (unsigned id = 1; id <= DRIVER_QUEUES; id++) {
		const struct nvme_ctl_queue *q = &nvme_queues[id - 1];

		open += q->transfers.pieces.opened - q->transfers.pieces.closed;
		commands += (unsigned)__builtin_popcount(~q->free_commands);
		reserved += nvme.answers[id].reserved;
		assert(!q->stalled || is_waited_for(id));
		assert(q->transfers.pieces.finished == NULL || nvme_asked != 0 ||
		       !pci_device_is_master(&nvme.pci));
	}
	assert(open == rig_disk_open_count);
	assert(nvme_ctl_is_idle(&nvme) == (open == 0));
	assert(commands == reserved);
	assert(nvme.state.held_count <= NVME_CTL_HELD_EVENTS);
	is_sealed();
}

static void end(void)
{
	/* On and off: only a controller that was on is reset by that bit. */
	driver_write(NVME_CC, 4, NVME_CC_ON);
	driver_write(NVME_CC, 4, 0);
	memset(rig_given, 0, sizeof(rig_given));
	while (rig_disk_open_count != 0) {
		rig_disk_finish(0, HV_OK);
	}
	assert(driver_read(NVME_CSTS, 4) == 0);
	driver_all_free();
	for (unsigned i = 0; i < DRIVER_QUEUES; i++) {
		assert((nvme_queues[i].transfers.pieces.bounce.free[0] &
			nvme_queues[i].transfers.pieces.bounce.free[1]) == UINT64_MAX);
	}
}

static void init(uint8_t how)
{
	enum hv_status status;

	rig_disk_init();
	rig_disk.readonly = (how & 1) != 0;
	rig_disk.block_size = (how & 2) != 0 ? 4096 : 512;
	rig_disk.max_count = (how & 4) != 0 ? 8 : 2048;
	rig_disk.copies = (how & 64) != 0;
	status = driver_make(DRIVER_QUEUES);
	assert(status == HV_OK);
	if ((how & 32) != 0) {
		driver_msix_on();
	}
	start(how >> 4);
	rig_disk_holds = (how & 8) != 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};

	memset(rig_ram, 0, sizeof(rig_ram));
	init((uint8_t)take(&in, 1));
	while (in.n != 0) {
		step(&in);
		invariants();
	}
	end();
	return 0;
}
