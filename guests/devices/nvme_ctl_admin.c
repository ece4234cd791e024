/* SPDX-License-Identifier: Apache-2.0 */
/* The admin queue at work. Source: NVM Express Base Specification 1.4, "Admin Command Set". */
#include "guests/devices/nvme_ctl_internal.h"

#include "hv/base/bits.h"
#include "hv/base/str.h"

#define RUN_COMMANDS 32u /* before the guest goes on */
#define ABORT_NOT_DONE 1u

/* Not a status: the answer comes later. */
#define LATER UINT16_MAX

static uint16_t no(uint16_t status)
{
	return (uint16_t)(status | NVME_SC_DNR);
}

uint16_t nvme_ctl_answer(struct nvme_ctl *c, const struct nvme_command *command, uint32_t bytes)
{
	uint16_t status = nvme_ctl_prps_read(c->vm, command, bytes, &c->prps);

	if (status == NVME_SC_SUCCESS && !nvme_ctl_prps_put(c->vm, &c->prps, 0, c->page, bytes)) {
		status = no(NVME_SC_DATA_TRANSFER);
	}
	return status;
}

/* ---- queues ---- */

/* What both kinds of Create have in common: number, size, place. */
static uint16_t check_new_queue(const struct nvme_ctl *c, const struct nvme_command *command,
				bool taken)
{
	uint32_t id = command->dw10 & 0xffffu;
	uint32_t entries = (command->dw10 >> 16) + 1;

	if (id == 0 || id > c->queue_count || taken) {
		return no(NVME_SC_QUEUE_ID);
	}
	if (entries < 2 || entries > NVME_CTL_ENTRIES_MAX) {
		return no(NVME_SC_QUEUE_SIZE);
	}
	if ((command->dw11 & NVME_QUEUE_CONTIGUOUS) == 0) {
		return no(NVME_SC_BAD_FIELD);
	}
	return is_aligned(command->prp1, PAGE_SIZE) ? NVME_SC_SUCCESS : no(NVME_SC_PRP_OFFSET);
}

/* A number that no queue can have is taken. */
static bool cq_exists(const struct nvme_ctl *c, uint32_t id)
{
	return id > c->queue_count || c->state.cq[id].ring.made;
}

/* Commands of before the controller's state was loaded may still be at the disk. */
static bool has_open(const struct nvme_ctl *c, uint32_t id)
{
	struct nvme_ctl_queue *q = c->queues[id - 1];
	bool open;

	lock_acquire(&q->lock);
	open = q->free_commands != UINT32_MAX;
	lock_release(&q->lock);
	return open;
}

static bool sq_exists(const struct nvme_ctl *c, uint32_t id)
{
	return id == 0 || id > c->queue_count || c->state.sq[id].ring.made ||
	       c->state.sq[id].deleting || has_open(c, id);
}

static uint16_t create_cq(struct nvme_ctl *c, const struct nvme_command *command)
{
	uint32_t id = command->dw10 & 0xffffu;
	uint32_t vector = command->dw11 >> 16;
	uint16_t status = check_new_queue(c, command, cq_exists(c, id));
	struct nvme_ctl_cq *q;

	if (status != NVME_SC_SUCCESS) {
		return status;
	}
	if (bits_get(c->state.cc, NVME_CC_IOCQES_MASK) !=
	    bits_get(NVME_CC_IOCQES, NVME_CC_IOCQES_MASK)) {
		return no(NVME_SC_BAD_FIELD);
	}
	if (vector > c->queue_count) {
		return no(NVME_SC_VECTOR);
	}
	q = &c->state.cq[id];
	lock_acquire(&c->answers[id].lock);
	nvme_ctl_ring_make(c, &q->ring, 2 * id + 1, command->prp1, (command->dw10 >> 16) + 1);
	q->phase = true;
	q->interrupts = (command->dw11 & NVME_CQ_INTERRUPTS) != 0;
	q->vector = (uint16_t)vector;
	lock_release(&c->answers[id].lock);
	return NVME_SC_SUCCESS;
}

static uint16_t create_sq(struct nvme_ctl *c, const struct nvme_command *command)
{
	uint32_t id = command->dw10 & 0xffffu;
	uint32_t cq = command->dw11 >> 16;
	uint16_t status = check_new_queue(c, command, sq_exists(c, id));
	struct nvme_ctl_queue *q;

	if (status != NVME_SC_SUCCESS) {
		return status;
	}
	if (bits_get(c->state.cc, NVME_CC_IOSQES_MASK) !=
	    bits_get(NVME_CC_IOSQES, NVME_CC_IOSQES_MASK)) {
		return no(NVME_SC_BAD_FIELD);
	}
	if (cq == 0 || cq > c->queue_count || !c->state.cq[cq].ring.made) {
		return no(NVME_SC_NO_CQ);
	}
	q = c->queues[id - 1];
	lock_acquire(&q->lock);
	c->state.sq[id].cq = (uint16_t)cq;
	nvme_ctl_ring_make(c, &c->state.sq[id].ring, 2 * id, command->prp1,
			   (command->dw10 >> 16) + 1);
	lock_release(&q->lock);
	return NVME_SC_SUCCESS;
}

/* Answered when nothing of the queue is open any more. */
static uint16_t delete_sq(struct nvme_ctl *c, const struct nvme_command *command)
{
	uint32_t id = command->dw10 & 0xffffu;
	struct nvme_ctl_sq *s;

	if (id == 0 || id > c->queue_count || !c->state.sq[id].ring.made) {
		return no(NVME_SC_QUEUE_ID);
	}
	s = &c->state.sq[id];
	lock_acquire(&c->queues[id - 1]->lock);
	nvme_ctl_queue_stop(c->queues[id - 1]);
	s->deleting = !nvme_ctl_queue_drained(c->queues[id - 1]);
	s->delete_id = command->id;
	lock_release(&c->queues[id - 1]->lock);
	return s->deleting ? LATER : NVME_SC_SUCCESS;
}

static void finish_deletions(struct nvme_ctl *c)
{
	for (unsigned id = 1; id <= c->queue_count; id++) {
		struct nvme_ctl_sq *s = &c->state.sq[id];
		bool drained;

		if (!s->deleting) {
			continue;
		}
		lock_acquire(&c->queues[id - 1]->lock);
		drained = nvme_ctl_queue_drained(c->queues[id - 1]);
		s->deleting = !drained;
		lock_release(&c->queues[id - 1]->lock);
		if (drained) {
			nvme_ctl_complete(c, 0, s->delete_id, NVME_SC_SUCCESS, 0);
		}
	}
}

static bool has_submitters(const struct nvme_ctl *c, uint32_t cq)
{
	for (unsigned id = 1; id <= c->queue_count; id++) {
		const struct nvme_ctl_sq *s = &c->state.sq[id];

		if ((s->ring.made || s->deleting) && s->cq == cq) {
			return true;
		}
	}
	return false;
}

static uint16_t delete_cq(struct nvme_ctl *c, const struct nvme_command *command)
{
	uint32_t id = command->dw10 & 0xffffu;

	if (id == 0 || id > c->queue_count || !c->state.cq[id].ring.made) {
		return no(NVME_SC_QUEUE_ID);
	}
	if (has_submitters(c, id)) {
		return no(NVME_SC_QUEUE_DELETION);
	}
	nvme_ctl_cq_drop(c, id);
	return NVME_SC_SUCCESS;
}

/* ---- the rest ---- */

/* "Doorbell Buffer Config command": a page of doorbells, a page of event indexes. */
static uint16_t set_doorbell_buffers(struct nvme_ctl *c, const struct nvme_command *command)
{
	if (!is_aligned(command->prp1 | command->prp2, PAGE_SIZE)) {
		return no(NVME_SC_PRP_OFFSET);
	}
	c->state.shadowed = true;
	c->state.shadow = command->prp1;
	c->state.event = command->prp2;
	nvme_ctl_ring_shadow(c);
	return NVME_SC_SUCCESS;
}

static uint16_t hold_event(struct nvme_ctl *c, const struct nvme_command *command)
{
	if (c->state.held_count == NVME_CTL_HELD_EVENTS) {
		return no(NVME_SC_TOO_MANY_EVENTS);
	}
	c->state.held[c->state.held_count++] = command->id;
	nvme_ctl_unreserve(c, 0);
	return LATER;
}

static uint16_t execute(struct nvme_ctl *c, const struct nvme_command *command, uint32_t *result)
{
	if ((command->flags & (NVME_FLAGS_FUSE | NVME_FLAGS_PSDT)) != 0) {
		return no(NVME_SC_BAD_FIELD);
	}
	switch (command->opcode) {
	case NVME_ADMIN_DELETE_SQ:
		return delete_sq(c, command);
	case NVME_ADMIN_CREATE_SQ:
		return create_sq(c, command);
	case NVME_ADMIN_GET_LOG:
		return nvme_ctl_get_log(c, command);
	case NVME_ADMIN_DELETE_CQ:
		return delete_cq(c, command);
	case NVME_ADMIN_CREATE_CQ:
		return create_cq(c, command);
	case NVME_ADMIN_IDENTIFY:
		return nvme_ctl_identify(c, command);
	case NVME_ADMIN_ABORT:
		*result = ABORT_NOT_DONE; /* what the disk has, it finishes */
		return NVME_SC_SUCCESS;
	case NVME_ADMIN_SET_FEATURES:
		return nvme_ctl_set_feature(c, command, result);
	case NVME_ADMIN_GET_FEATURES:
		return nvme_ctl_get_feature(c, command, result);
	case NVME_ADMIN_ASYNC_EVENT:
		return hold_event(c, command);
	case NVME_ADMIN_DOORBELL_BUFFERS:
		return set_doorbell_buffers(c, command);
	default:
		pci_device_lacks(&c->pci, LACKS_COMMAND, command->opcode);
		return no(NVME_SC_BAD_OPCODE);
	}
}

static void answer(struct nvme_ctl *c, const struct nvme_command *command)
{
	struct nvme_error error = {.command = command->id, .nsid = command->nsid};
	uint32_t result = 0;
	uint16_t status = execute(c, command, &result);

	if (status == LATER) {
		return;
	}
	if (status != NVME_SC_SUCCESS) {
		error.status = (uint16_t)(status << 1);
		nvme_ctl_log_error(c, &error);
	}
	nvme_ctl_complete(c, 0, command->id, status, result);
}

/* True: it is not done with the queue. */
static bool run(struct nvme_ctl *c)
{
	const struct nvme_ctl_ring *r = &c->state.sq[0].ring;
	struct nvme_command command;

	for (unsigned i = 0; i < RUN_COMMANDS && r->head != r->tail; i++) {
		if (!nvme_ctl_reserve(c, 0)) {
			return false; /* the completion queue's doorbell wakes */
		}
		if (!nvme_ctl_fetch(c, 0, &command)) {
			nvme_ctl_unreserve(c, 0);
			return false;
		}
		answer(c, &command);
		if (!nvme_ctl_may_run(c)) {
			return false;
		}
	}
	return r->head != r->tail;
}

void nvme_ctl_admin_run(struct nvme_ctl *c)
{
	if (!c->state.sq[0].ring.made || !nvme_ctl_may_run(c)) {
		return;
	}
	finish_deletions(c);
	if (run(c)) {
		vwork_ask(&c->work, 0);
	}
	nvme_ctl_deliver_events(c);
	(void)nvme_ctl_listen(c, 0);
	nvme_ctl_publish(c, 0);
}

void nvme_ctl_admin_work(struct vwork *w)
{
	struct nvme_ctl *c = container_of(w, struct nvme_ctl, work);

	lock_acquire(&c->lock);
	nvme_ctl_admin_run(c);
	lock_release(&c->lock);
}
