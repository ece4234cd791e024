/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An NVMe controller from whatever state it is in to one with empty queues, in phases that never
 * wait: the start of the machine looks until all is done, a reset at run time looks by timer.
 */
#include "drivers/nvme.h"

#include "hv/api/clock.h"
#include "hv/base/log.h"
#include "hv/cpu/insn.h"
#include "mm/pool.h"

#define SETUP_LIMIT_NS 10000000000ull
#define ADMIN_LIMIT_NS 5000000000ull
/* What a controller may claim for becoming ready; longer than any that was seen. */
#define READY_LIMIT_NS 60000000000ull
#define COMMANDS_PER_QUEUE 2u

uint32_t nvme_read(const struct nvme *c, unsigned reg)
{
	return cpu_mmio_read32(hva_of_ptr(c->registers + reg));
}

void nvme_write(const struct nvme *c, unsigned reg, uint32_t value)
{
	cpu_mmio_write32(hva_of_ptr(c->registers + reg), value);
}

static void write64(const struct nvme *c, unsigned reg, uint64_t value)
{
	nvme_write(c, reg, (uint32_t)value);
	nvme_write(c, reg + 4, (uint32_t)(value >> 32));
}

static void enter_phase(struct nvme *c, enum nvme_phase phase, uint64_t limit_ns)
{
	c->phase = phase;
	c->phase_limit = clock_now() + clock_ns_to_ticks(limit_ns);
}

/* "Controller Capabilities": how long it may take to become ready, or to stop. */
static uint64_t ready_limit(const struct nvme *c)
{
	uint64_t units = max_u64(bits_get(c->cap, NVME_CAP_TO), 1);

	return min_u64(units * NVME_TO_NS, READY_LIMIT_NS);
}

static void set_running(struct nvme *c, bool running)
{
	for (unsigned i = 0; i < c->queue_count; i++) {
		struct nvme_queue *q = &c->queues[i];

		lock_acquire(&q->lock);
		q->running = running;
		lock_release(&q->lock);
	}
}

/* --- admin commands, one at a time; the controller's lock covers the queue --- */

static void admin_send(struct nvme *c, const struct nvme_command *command)
{
	struct nvme_command own = *command;

	own.id = ++c->admin_id;
	c->admin_open = true;
	nvme_queue_send(&c->admin, &own);
}

/*
 * Whether the open one is over; *status is 0 when it went well. A controller that never stops gets
 * no more than a round at a time.
 */
static bool admin_poll(struct nvme *c, uint32_t *status, uint32_t *result)
{
	uint32_t last;

	for (unsigned i = 0; i < c->admin.entries && nvme_queue_pop(&c->admin, &last, result);
	     i++) {
		nvme_queue_release(&c->admin);
		if (bits_get(last, NVME_LAST_ID) == c->admin_id) {
			*status = (uint32_t)bits_get(last, NVME_LAST_STATUS);
			c->admin_open = false;
			return true;
		}
		if (disk_queue_complain(&c->admin.requests)) {
			log_warn("%s: an admin command is done that is not open", c->name);
		}
	}
	return false;
}

enum hv_status nvme_admin(struct nvme *c, const struct nvme_command *command)
{
	uint64_t limit = clock_now() + clock_ns_to_ticks(ADMIN_LIMIT_NS);
	uint32_t status = 0;
	uint32_t result;

	admin_send(c, command);
	while (!admin_poll(c, &status, &result)) {
		if (clock_now() > limit) {
			return HV_E_IO;
		}
	}
	return status == 0 ? HV_OK : HV_E_IO;
}

/* --- phases --- */

/* With bus mastering off the controller reaches no buffer, whatever it still does. */
void nvme_fail(struct nvme *c, const char *why, struct list_node *done)
{
	log_error("%s: %s: not used any more", c->name, why);
	c->phase = NVME_FAILED;
	host_pci_disable(c->pci);
	for (unsigned i = 0; i < c->namespace_count; i++) {
		c->namespaces[i]->device.removed = true;
	}
	for (unsigned i = 0; i < c->queue_count; i++) {
		struct nvme_queue *q = &c->queues[i];

		lock_acquire(&q->lock);
		q->running = false;
		disk_queue_fail(&q->requests, done);
		lock_release(&q->lock);
	}
}

void nvme_begin_reset(struct nvme *c)
{
	set_running(c, false);
	enter_phase(c, NVME_DISABLING, ready_limit(c));
	nvme_write(c, NVME_CC, 0);
}

/* It is off: buffers are nobody's but ours. */
static void enable(struct nvme *c, struct list_node *done)
{
	uint32_t size = c->admin.entries - 1u;

	for (unsigned i = 0; i < c->queue_count; i++) {
		struct nvme_queue *q = &c->queues[i];

		lock_acquire(&q->lock);
		disk_queue_end_open(&q->requests, done);
		nvme_queue_clear(q);
		lock_release(&q->lock);
	}
	nvme_queue_clear(&c->admin);
	c->admin_open = false;
	nvme_write(c, NVME_AQA, size << 16 | size);
	write64(c, NVME_ASQ, pool_hpa(c->admin.commands).v);
	write64(c, NVME_ACQ, pool_hpa(c->admin.completions).v);
	/* Admin commands are polled; their interrupts must not keep a line up. */
	if (!c->msix) {
		nvme_write(c, NVME_INTMS, UINT32_MAX);
	}
	enter_phase(c, NVME_ENABLING, ready_limit(c));
	nvme_write(c, NVME_CC, NVME_CC_ON);
}

/* How many queues the controller gives. The first time they are made, later they must suffice. */
static bool take_queues(struct nvme *c, uint32_t result)
{
	unsigned granted = (unsigned)min_u64(result & 0xffff, result >> 16) + 1;

	if (c->queue_count != 0) {
		return granted >= c->queue_count;
	}
	granted = (unsigned)min_u64(granted, c->queues_wanted);
	c->queues = pool_alloc(granted * sizeof(*c->queues));
	if (c->queues == NULL) {
		return false;
	}
	for (unsigned i = 0; i < granted; i++) {
		if (!nvme_queue_alloc(c, &c->queues[i], i + 1)) {
			return false;
		}
		nvme_queue_clear(&c->queues[i]);
	}
	c->queue_count = granted;
	return true;
}

static struct nvme_command create_command(const struct nvme *c, unsigned step)
{
	const struct nvme_queue *q = &c->queues[(step - 1) / COMMANDS_PER_QUEUE];
	unsigned message = (q->number - 1u) % c->messages;
	struct nvme_command command = {.dw10 = (q->entries - 1u) << 16 | q->number};

	if ((step - 1) % COMMANDS_PER_QUEUE == 0) {
		command.opcode = NVME_ADMIN_CREATE_CQ;
		command.prp1 = pool_hpa(q->completions).v;
		command.dw11 = message << 16 | NVME_CQ_INTERRUPTS | NVME_QUEUE_CONTIGUOUS;
	} else {
		command.opcode = NVME_ADMIN_CREATE_SQ;
		command.prp1 = pool_hpa(q->commands).v;
		command.dw11 = (uint32_t)q->number << 16 | NVME_QUEUE_CONTIGUOUS;
	}
	return command;
}

/* Command 0 asks for queues, two more make each. */
static struct nvme_command setup_command(const struct nvme *c, unsigned step)
{
	uint32_t count = (c->queue_count != 0 ? c->queue_count : c->queues_wanted) - 1;

	if (step == 0) {
		return (struct nvme_command){.opcode = NVME_ADMIN_SET_FEATURES,
					     .dw10 = NVME_FEATURE_QUEUES,
					     .dw11 = count << 16 | count};
	}
	return create_command(c, step);
}

static void finish_setup(struct nvme *c)
{
	c->phase = NVME_READY;
	if (!c->msix) {
		nvme_write(c, NVME_INTMC, UINT32_MAX);
	}
	set_running(c, true);
}

/* False: the controller refuses. */
static bool set_up(struct nvme *c)
{
	struct nvme_command command;
	uint32_t status;
	uint32_t result;

	if (c->admin_open) {
		if (!admin_poll(c, &status, &result)) {
			return true;
		}
		if (status != 0 || (c->setup_step == 0 && !take_queues(c, result))) {
			return false;
		}
		c->setup_step++;
	}
	if (c->setup_step == 1 + COMMANDS_PER_QUEUE * c->queue_count) {
		finish_setup(c);
		return true;
	}
	command = setup_command(c, c->setup_step);
	admin_send(c, &command);
	return true;
}

void nvme_advance(struct nvme *c, struct list_node *done)
{
	uint32_t csts = nvme_read(c, NVME_CSTS);
	bool refused = false;

	if (csts == NVME_GONE) {
		nvme_fail(c, "it is gone", done);
		return;
	}
	if (c->phase == NVME_DISABLING && (csts & NVME_CSTS_RDY) == 0) {
		enable(c, done);
		return;
	}
	if (c->phase == NVME_ENABLING && (csts & NVME_CSTS_RDY) != 0) {
		c->setup_step = 0;
		enter_phase(c, NVME_SETUP, SETUP_LIMIT_NS);
	}
	if (c->phase == NVME_SETUP) {
		refused = !set_up(c);
	}
	if (refused || (c->phase != NVME_DISABLING && (csts & NVME_CSTS_CFS) != 0)) {
		nvme_fail(c, "it refuses to start", done);
	} else if (c->phase != NVME_READY && clock_now() > c->phase_limit) {
		nvme_fail(c, "it does not get ready", done);
	}
}
