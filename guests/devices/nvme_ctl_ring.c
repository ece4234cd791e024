/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queues in the guest's memory, doorbells, and interrupts. Source: NVM Express Base Specification
 * 1.4, "Submission Queue & Completion Queue Definition", "Interrupts", "Updating Controller
 * Doorbell Registers using a Shadow Doorbell Buffer".
 *
 * With shadow doorbells a driver writes the real one only when it passes what `event` says. For a
 * submission queue that is the tail up to which all was done, written when the queue is empty; for
 * a completion queue the head, written when it is full, or while interrupts are a level.
 */
#include "guests/devices/nvme_ctl_internal.h"

#include "hv/api/gmem.h"
#include "hv/base/bits.h"
#include "hv/base/check.h"
#include "hv/base/log.h"

#define DOORBELL_BYTES 4u
#define COMPLAINTS_MAX 8u
#define NO_COMMAND 0xffffu /* "Error Information": the error belongs to no command */

static struct nvme_ctl_ring *sq_ring(struct nvme_ctl *c, unsigned id)
{
	return &c->state.sq[id].ring;
}

/* Entries between two places of a ring. */
static uint32_t distance(const struct nvme_ctl_ring *r, uint32_t from, uint32_t to)
{
	return to >= from ? to - from : to + r->entries - from;
}

static uint32_t next(const struct nvme_ctl_ring *r, uint32_t place)
{
	return place + 1 == r->entries ? 0 : place + 1;
}

bool nvme_ctl_may_run(const struct nvme_ctl *c)
{
	return !atomic_load(&c->fatal) && pci_device_is_master(&c->pci);
}

void nvme_ctl_fail(struct nvme_ctl *c, const char *why)
{
	if (!atomic_exchange(&c->fatal, true) &&
	    atomic_fetch_add(&c->complaints, 1) < COMPLAINTS_MAX) {
		log_warn("%s: nvme at %02x.%x: %s; it waits for a reset", c->guest,
			 c->pci.devfn >> 3, c->pci.devfn & 7u, why);
	}
}

/* Doorbells of a controller that is off are nobody's. */
static void bad_doorbell(struct nvme_ctl *c, unsigned queue, uint32_t info)
{
	const struct nvme_error error = {.queue = (uint16_t)queue, .command = NO_COMMAND};

	if (atomic_load(&c->state.ready)) {
		nvme_ctl_log_error(c, &error);
		nvme_ctl_event(c, info);
	}
}

/* ---- shadow doorbells ---- */

/* What the driver says; false: the buffer is not in RAM. */
static bool read_shadow(struct nvme_ctl *c, const struct nvme_ctl_ring *r, uint32_t *value)
{
	if (guest_mem_read(c->vm, gpa(r->shadow), value, DOORBELL_BYTES) == HV_OK) {
		return true;
	}
	nvme_ctl_fail(c, "a shadow doorbell is not in RAM");
	return false;
}

/* Asks to be told when the driver passes `place`; what it says afterwards is seen, or told. */
static void write_event(struct nvme_ctl *c, const struct nvme_ctl_ring *r, uint32_t place)
{
	if (guest_mem_write(c->vm, gpa(r->event), &place, DOORBELL_BYTES) != HV_OK) {
		nvme_ctl_fail(c, "an event index is not in writable RAM");
	}
	atomic_thread_fence(memory_order_seq_cst);
}

static void set_shadow(const struct nvme_ctl *c, struct nvme_ctl_ring *r, unsigned doorbell)
{
	r->shadowed = c->state.shadowed;
	r->shadow = c->state.shadow + (uint64_t)doorbell * DOORBELL_BYTES;
	r->event = c->state.event + (uint64_t)doorbell * DOORBELL_BYTES;
}

void nvme_ctl_ring_make(struct nvme_ctl *c, struct nvme_ctl_ring *ring, unsigned doorbell,
			uint64_t base, uint32_t entries)
{
	*ring = (struct nvme_ctl_ring){.made = true, .base = base, .entries = entries};
	set_shadow(c, ring, doorbell);
}

/* A queue that is in use already goes on from where it is. */
static void shadow_ring(struct nvme_ctl *c, struct nvme_ctl_ring *r, unsigned doorbell,
			uint32_t place)
{
	if (!r->made) {
		return;
	}
	set_shadow(c, r, doorbell);
	if (guest_mem_write(c->vm, gpa(r->shadow), &place, DOORBELL_BYTES) != HV_OK) {
		nvme_ctl_fail(c, "a shadow doorbell is not in writable RAM");
	}
	write_event(c, r, place);
}

void nvme_ctl_ring_shadow(struct nvme_ctl *c)
{
	for (unsigned id = 0; id <= c->queue_count; id++) {
		struct spinlock *sq_lock = id == 0 ? NULL : &c->queues[id - 1]->lock;

		if (sq_lock != NULL) {
			lock_acquire(sq_lock);
		}
		shadow_ring(c, sq_ring(c, id), 2 * id, sq_ring(c, id)->tail);
		if (sq_lock != NULL) {
			lock_release(sq_lock);
		}
		lock_acquire(&c->answers[id].lock);
		shadow_ring(c, &c->state.cq[id].ring, 2 * id + 1, c->state.cq[id].ring.head);
		lock_release(&c->answers[id].lock);
	}
}

/* ---- submission queues ---- */

/*
 * Drivers do not put the admin queue's tail into the shadow buffer: there the doorbell counts, and
 * the event index asks for each.
 */
static bool follows_shadow(const struct nvme_ctl_ring *r, unsigned id)
{
	return r->shadowed && id != 0;
}

void nvme_ctl_poll(struct nvme_ctl *c, unsigned id)
{
	struct nvme_ctl_ring *r = sq_ring(c, id);
	uint32_t tail;

	if (!follows_shadow(r, id) || !read_shadow(c, r, &tail) || tail == r->tail) {
		return;
	}
	if (tail < r->entries) {
		r->tail = tail;
	} else {
		bad_doorbell(c, id, NVME_EVENT_BAD_DOORBELL);
	}
}

bool nvme_ctl_listen(struct nvme_ctl *c, unsigned id)
{
	struct nvme_ctl_ring *r = sq_ring(c, id);

	if (r->shadowed) {
		write_event(c, r, r->tail);
		nvme_ctl_poll(c, id);
	}
	return r->head != r->tail;
}

bool nvme_ctl_fetch(struct nvme_ctl *c, unsigned id, struct nvme_command *out)
{
	struct nvme_ctl_ring *r = sq_ring(c, id);
	uint64_t at = r->base + (uint64_t)r->head * sizeof(*out);

	if (guest_mem_read(c->vm, gpa(at), out, sizeof(*out)) != HV_OK) {
		nvme_ctl_fail(c, "a submission queue is not in RAM");
		return false;
	}
	r->head = next(r, r->head);
	return true;
}

/* ---- interrupts ---- */

/* intx_lock held. */
static void show_level(struct nvme_ctl *c)
{
	uint32_t masked = atomic_load(&c->state.intms);
	bool level = false;

	for (uint32_t left = c->unread; left != 0; left &= left - 1) {
		unsigned vector = c->state.cq[__builtin_ctz(left)].vector;

		level = level || (masked >> vector & 1) == 0;
	}
	pci_device_intx(&c->pci, level);
}

void nvme_ctl_intx_update(struct nvme_ctl *c)
{
	lock_acquire(&c->intx_lock);
	show_level(c);
	lock_release(&c->intx_lock);
}

void nvme_ctl_intx_clear(struct nvme_ctl *c)
{
	lock_acquire(&c->intx_lock);
	c->unread = 0;
	show_level(c);
	lock_release(&c->intx_lock);
}

/* Without MSI-X the line is up while there is something to be read. Queue's lock held. */
static void update_line(struct nvme_ctl *c, unsigned id)
{
	const struct nvme_ctl_cq *q = &c->state.cq[id];
	bool unread = q->interrupts && q->ring.head != q->ring.tail;

	if (pci_device_uses_msix(&c->pci)) {
		return;
	}
	lock_acquire(&c->intx_lock);
	c->unread = (uint32_t)bits_set(c->unread, BIT(id), unread);
	show_level(c);
	lock_release(&c->intx_lock);
}

/* ---- completion queues; `lock` of the answers held ---- */

/* False: the driver cannot have read so far. */
static bool move_head(struct nvme_ctl_ring *r, uint32_t head)
{
	if (head >= r->entries || distance(r, r->head, head) > distance(r, r->head, r->tail)) {
		return false;
	}
	r->head = head;
	return true;
}

static void poll_head(struct nvme_ctl *c, unsigned id)
{
	struct nvme_ctl_ring *r = &c->state.cq[id].ring;
	uint32_t head;

	if (follows_shadow(r, id) && read_shadow(c, r, &head) && head != r->head &&
	    !move_head(r, head)) {
		bad_doorbell(c, id, NVME_EVENT_BAD_DOORBELL);
	}
}

/* One place stays empty, or a full queue would look like an empty one. */
static bool has_room(const struct nvme_ctl *c, unsigned id)
{
	const struct nvme_ctl_ring *r = &c->state.cq[id].ring;

	return distance(r, r->head, r->tail) + c->answers[id].reserved + 1 < r->entries;
}

/* Looks at the head again, the second time after having asked to be told. */
static bool find_room(struct nvme_ctl *c, unsigned id)
{
	const struct nvme_ctl_ring *r = &c->state.cq[id].ring;

	if (!has_room(c, id) && r->shadowed) {
		poll_head(c, id);
		if (!has_room(c, id)) {
			write_event(c, r, r->head);
			poll_head(c, id);
		}
	}
	return has_room(c, id);
}

/* There is room again. */
static void wake(struct nvme_ctl *c, unsigned id)
{
	uint32_t left = c->answers[id].starving;

	c->answers[id].starving = 0;
	for (; left != 0; left &= left - 1) {
		unsigned sq = (unsigned)__builtin_ctz(left);

		if (sq == 0) {
			vwork_ask(&c->work, 0);
		} else {
			nvme_ctl_queue_ask(c->queues[sq - 1]);
		}
	}
}

/* While the level says what is unread, each move of the head must be told. */
static void follow_head(struct nvme_ctl *c, unsigned id)
{
	const struct nvme_ctl_ring *r = &c->state.cq[id].ring;

	if (r->shadowed && (id == 0 || !pci_device_uses_msix(&c->pci))) {
		write_event(c, r, r->head);
		poll_head(c, id);
	}
}

static void write_entry(struct nvme_ctl *c, struct nvme_ctl_cq *q, const uint64_t entry[2])
{
	uint64_t at = q->ring.base + (uint64_t)q->ring.tail * sizeof(struct nvme_completion);
	bool written = guest_mem_write(c->vm, gpa(at), &entry[0], sizeof(entry[0])) == HV_OK;

	/* The phase, which is in the second half, is seen last. */
	atomic_thread_fence(memory_order_release);
	if (!written || guest_mem_write(c->vm, gpa(at + sizeof(entry[0])), &entry[1],
					sizeof(entry[1])) != HV_OK) {
		nvme_ctl_fail(c, "a completion queue is not in writable RAM");
		return;
	}
	q->ring.tail = next(&q->ring, q->ring.tail);
	q->phase = q->ring.tail == 0 ? !q->phase : q->phase;
}

void nvme_ctl_cq_drop(struct nvme_ctl *c, unsigned id)
{
	lock_acquire(&c->answers[id].lock);
	c->state.cq[id] = (struct nvme_ctl_cq){0};
	c->answers[id].starving = 0;
	c->answers[id].fresh = false;
	update_line(c, id);
	lock_release(&c->answers[id].lock);
}

/* ---- answers ---- */

bool nvme_ctl_reserve(struct nvme_ctl *c, unsigned sq)
{
	unsigned id = c->state.sq[sq].cq;
	struct nvme_ctl_answers *a = &c->answers[id];
	bool room;

	lock_acquire(&a->lock);
	room = find_room(c, id);
	if (room) {
		a->reserved++;
	} else {
		a->starving |= BIT32(sq);
	}
	lock_release(&a->lock);
	return room;
}

void nvme_ctl_unreserve(struct nvme_ctl *c, unsigned sq)
{
	unsigned id = c->state.sq[sq].cq;

	lock_acquire(&c->answers[id].lock);
	CHECK(c->answers[id].reserved != 0);
	c->answers[id].reserved--;
	wake(c, id);
	lock_release(&c->answers[id].lock);
}

void nvme_ctl_complete(struct nvme_ctl *c, unsigned sq, uint16_t id, uint16_t status,
		       uint32_t result)
{
	const struct nvme_ctl_sq *s = &c->state.sq[sq];
	struct nvme_ctl_cq *q = &c->state.cq[s->cq];
	struct nvme_ctl_answers *a = &c->answers[s->cq];

	lock_acquire(&a->lock);
	CHECK(a->reserved != 0);
	a->reserved--;
	write_entry(c, q,
		    (const uint64_t[2]){result,
					s->ring.head | (uint64_t)sq << 16 | (uint64_t)id << 32 |
						(uint64_t)q->phase << 48 | (uint64_t)status << 49});
	a->fresh = true;
	lock_release(&a->lock);
}

void nvme_ctl_publish(struct nvme_ctl *c, unsigned sq)
{
	unsigned id = c->state.sq[sq].cq;
	const struct nvme_ctl_cq *q = &c->state.cq[id];
	struct nvme_ctl_answers *a = &c->answers[id];

	lock_acquire(&a->lock);
	if (a->fresh) {
		a->fresh = false;
		follow_head(c, id);
		update_line(c, id);
		if (q->interrupts) {
			pci_device_msix(&c->pci, q->vector);
		}
	}
	lock_release(&a->lock);
}

/* ---- doorbells ---- */

/* The admin queue's lock is the controller's. */
static void tail_written(struct nvme_ctl *c, unsigned id, uint32_t tail)
{
	struct spinlock *lock = id == 0 ? &c->lock : &c->queues[id - 1]->lock;
	struct nvme_ctl_ring *r = sq_ring(c, id);

	lock_acquire(lock);
	if (!r->made) {
		bad_doorbell(c, id, NVME_EVENT_NO_DOORBELL);
	} else if (tail >= r->entries) {
		bad_doorbell(c, id, NVME_EVENT_BAD_DOORBELL);
	} else {
		r->tail = follows_shadow(r, id) ? r->tail : tail;
		if (id == 0) {
			nvme_ctl_admin_run(c);
		} else {
			nvme_ctl_queue_run(c->queues[id - 1]);
		}
	}
	lock_release(lock);
}

static void head_written(struct nvme_ctl *c, unsigned id, uint32_t head)
{
	struct nvme_ctl_ring *r = &c->state.cq[id].ring;
	struct nvme_ctl_answers *a = &c->answers[id];

	lock_acquire(&a->lock);
	if (!r->made) {
		bad_doorbell(c, id, NVME_EVENT_NO_DOORBELL);
	} else if (follows_shadow(r, id)) {
		poll_head(c, id);
	} else if (!move_head(r, head)) {
		bad_doorbell(c, id, NVME_EVENT_BAD_DOORBELL);
	}
	if (r->made) {
		follow_head(c, id);
		update_line(c, id);
		wake(c, id);
	}
	lock_release(&a->lock);
}

void nvme_ctl_doorbell(struct nvme_ctl *c, unsigned index, uint32_t value)
{
	unsigned id = index / 2;

	if (id > c->queue_count) {
		bad_doorbell(c, id, NVME_EVENT_NO_DOORBELL);
	} else if (index % 2 == 0) {
		tail_written(c, id, value);
	} else {
		head_written(c, id, value);
	}
}
