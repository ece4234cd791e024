/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registers and the life of an NVMe controller. Source: NVM Express Base Specification 1.4,
 * "Controller Registers", "Controller Level Reset", "Shutdown".
 *
 *	off --CC.EN--> ready --CC.EN or reset--> stopping --all is back--> off
 *	                 |
 *	               CC.SHN--> draining --all is back--> flushing --done--> down
 *
 * What takes time goes on when the driver looks at CSTS, which it does until it sees the end.
 */
#include "guests/devices/nvme_ctl_internal.h"

#include "hv/base/bits.h"
#include "hv/base/str.h"

#define REGISTERS_BYTES 0x50u
#define TIMEOUT_UNITS 40u /* of 500 ms: the machine's disks may take 15 s */
#define ADMIN_ENTRIES_MIN 2u

static struct nvme_ctl *to_ctl(struct pci_device *p)
{
	return container_of(p, struct nvme_ctl, pci);
}

/* ---- stopping; controller's lock held ---- */

static void stop_queues(struct nvme_ctl *c)
{
	struct nvme_ctl_state *s = &c->state;

	s->sq[0].ring.made = false;
	for (unsigned id = 1; id <= c->queue_count; id++) {
		struct nvme_ctl_queue *q = c->queues[id - 1];

		lock_acquire(&q->lock);
		nvme_ctl_queue_stop(q);
		if (s->sq[id].deleting) {
			s->sq[id].deleting = false;
			nvme_ctl_unreserve(c, 0);
		}
		lock_release(&q->lock);
	}
}

static bool is_drained(struct nvme_ctl *c)
{
	bool drained = !atomic_load(&c->flushing);

	for (unsigned id = 1; id <= c->queue_count; id++) {
		struct nvme_ctl_queue *q = c->queues[id - 1];

		lock_acquire(&q->lock);
		drained = nvme_ctl_queue_drained(q) && drained;
		lock_release(&q->lock);
	}
	return drained;
}

/* To what a driver finds after a reset; the admin queues' places and the error log stay. */
static void clear(struct nvme_ctl *c)
{
	struct nvme_ctl_state *s = &c->state;

	for (unsigned id = 0; id <= c->queue_count; id++) {
		nvme_ctl_cq_drop(c, id);
	}
	nvme_ctl_intx_clear(c);
	nvme_ctl_reset_features(c);
	s->shutdown = NVME_CTL_UP;
	s->shadowed = false;
	s->held_count = 0;
	s->event_told = false;
	atomic_store(&s->intms, 0);
	atomic_store(&c->events, 0);
	atomic_store(&c->fatal, false);
	atomic_store(&s->ready, false);
	s->stopping = false;
}

/* ---- starting ---- */

static void make_admin_queues(struct nvme_ctl *c)
{
	struct nvme_ctl_state *s = &c->state;
	struct nvme_ctl_cq *cq = &s->cq[0];

	lock_acquire(&c->answers[0].lock);
	nvme_ctl_ring_make(c, &cq->ring, 1, s->acq, (uint32_t)bits_get(s->aqa, NVME_AQA_ACQS) + 1);
	cq->phase = true;
	cq->interrupts = true;
	cq->vector = 0;
	lock_release(&c->answers[0].lock);
	nvme_ctl_ring_make(c, &s->sq[0].ring, 0, s->asq,
			   (uint32_t)bits_get(s->aqa, NVME_AQA_ASQS) + 1);
}

/* What this controller has: pages of 4 KiB, the NVM command set, round robin. */
static bool is_possible(const struct nvme_ctl_state *s)
{
	return bits_get(s->cc, NVME_CC_MPS) == 0 && bits_get(s->cc, NVME_CC_CSS) == 0 &&
	       bits_get(s->cc, NVME_CC_AMS) == 0 &&
	       bits_get(s->aqa, NVME_AQA_ASQS) + 1 >= ADMIN_ENTRIES_MIN &&
	       bits_get(s->aqa, NVME_AQA_ACQS) + 1 >= ADMIN_ENTRIES_MIN;
}

static void start(struct nvme_ctl *c)
{
	if (!is_possible(&c->state)) {
		nvme_ctl_fail(c, "it is enabled with settings that it does not have");
		return;
	}
	make_admin_queues(c);
	c->state.shutdown = NVME_CTL_UP;
	atomic_store(&c->state.ready, true);
}

/* ---- shutting down ---- */

static void flushed(struct blk_request *r)
{
	atomic_store(&container_of(r, struct nvme_ctl, flush)->flushing, false);
}

static void flush(struct nvme_ctl *c)
{
	c->state.shutdown = NVME_CTL_FLUSHING;
	c->flush = (struct blk_request){.op = BLK_FLUSH, .done = flushed};
	atomic_store(&c->flushing, true);
	blk_submit(c->device, &c->flush);
}

/* Goes on with what waits. */
static void settle(struct nvme_ctl *c)
{
	struct nvme_ctl_state *s = &c->state;

	if (s->stopping && is_drained(c)) {
		clear(c);
	}
	if (!s->stopping && (s->cc & NVME_CC_EN) != 0 && !atomic_load(&s->ready) &&
	    !atomic_load(&c->fatal) && !atomic_load(&c->flushing)) {
		start(c);
	}
	if (s->shutdown == NVME_CTL_DRAINING && is_drained(c)) {
		flush(c);
	}
	if (s->shutdown == NVME_CTL_FLUSHING && !atomic_load(&c->flushing)) {
		s->shutdown = NVME_CTL_DOWN;
	}
}

/* ---- registers; controller's lock held ---- */

static uint32_t status_register(const struct nvme_ctl *c)
{
	static const uint32_t shutdown[] = {
		[NVME_CTL_UP] = 0,
		[NVME_CTL_DRAINING] = NVME_SHST_RUNNING,
		[NVME_CTL_FLUSHING] = NVME_SHST_RUNNING,
		[NVME_CTL_DOWN] = NVME_SHST_COMPLETE,
	};
	uint32_t csts = (uint32_t)bits_set(0, NVME_CSTS_SHST, shutdown[c->state.shutdown]);

	csts |= atomic_load(&c->state.ready) ? NVME_CSTS_RDY : 0;
	csts |= atomic_load(&c->fatal) ? NVME_CSTS_CFS : 0;
	return csts;
}

static uint64_t capabilities(void)
{
	uint64_t cap = NVME_CAP_CQR | NVME_CAP_CSS_NVM;

	cap = bits_set(cap, NVME_CAP_MQES, NVME_CTL_ENTRIES_MAX - 1);
	return bits_set(cap, NVME_CAP_TO, TIMEOUT_UNITS);
}

/* Also those that say, by zeros, that there is no memory buffer and no boot partition. */
static bool is_register(uint64_t offset)
{
	return offset < REGISTERS_BYTES && (offset < NVME_CC + 4 || offset >= NVME_CSTS) &&
	       align_down(offset, 4) != NVME_NSSR;
}

static uint64_t read_registers(struct nvme_ctl *c, uint64_t offset, unsigned size)
{
	const struct nvme_ctl_state *s = &c->state;
	uint8_t bytes[REGISTERS_BYTES] = {0};
	uint64_t value = 0;

	if (!is_register(offset)) {
		pci_device_lacks(&c->pci, LACKS_READ, offset);
		return 0;
	}
	nvme_ctl_put(bytes, NVME_CAP, capabilities(), 8);
	nvme_ctl_put(bytes, NVME_VS, NVME_VS_1_4, 4);
	nvme_ctl_put(bytes, NVME_INTMS, atomic_load(&s->intms), 4);
	nvme_ctl_put(bytes, NVME_INTMC, atomic_load(&s->intms), 4);
	nvme_ctl_put(bytes, NVME_CC, s->cc, 4);
	nvme_ctl_put(bytes, NVME_CSTS, status_register(c), 4);
	nvme_ctl_put(bytes, NVME_AQA, s->aqa, 4);
	nvme_ctl_put(bytes, NVME_ASQ, s->asq, 8);
	nvme_ctl_put(bytes, NVME_ACQ, s->acq, 8);
	memcpy(&value, bytes + offset, min_u64(size, sizeof(bytes) - offset));
	return value;
}

static void write_configuration(struct nvme_ctl *c, uint32_t cc)
{
	struct nvme_ctl_state *s = &c->state;
	uint32_t old = s->cc;

	s->cc = cc & (uint32_t)(NVME_CC_EN | NVME_CC_CSS | NVME_CC_MPS | NVME_CC_AMS | NVME_CC_SHN |
				NVME_CC_IOSQES_MASK | NVME_CC_IOCQES_MASK);
	if ((old & ~cc & NVME_CC_EN) != 0) {
		stop_queues(c);
		s->stopping = true;
	}
	if (bits_get(cc, NVME_CC_SHN) != 0 && s->shutdown == NVME_CTL_UP && !s->stopping) {
		stop_queues(c);
		s->shutdown = NVME_CTL_DRAINING;
	}
	settle(c);
}

/* The admin queues' places may change while the controller is off. */
static void write_place(struct nvme_ctl *c, uint64_t offset, uint32_t value)
{
	struct nvme_ctl_state *s = &c->state;
	uint32_t page = value & ~(uint32_t)(PAGE_SIZE - 1);

	if ((s->cc & NVME_CC_EN) != 0) {
		return;
	}
	switch (offset) {
	case NVME_AQA:
		s->aqa = value & (uint32_t)(NVME_AQA_ASQS | NVME_AQA_ACQS);
		break;
	case NVME_ASQ:
		s->asq = bits_set(s->asq, MASK(31, 0), page);
		break;
	case NVME_ASQ + 4:
		s->asq = bits_set(s->asq, MASK(63, 32), value);
		break;
	case NVME_ACQ:
		s->acq = bits_set(s->acq, MASK(31, 0), page);
		break;
	case NVME_ACQ + 4:
		s->acq = bits_set(s->acq, MASK(63, 32), value);
		break;
	default:
		break;
	}
}

static void write_register(struct nvme_ctl *c, uint64_t offset, uint32_t value)
{
	if (!is_register(offset)) {
		pci_device_lacks(&c->pci, LACKS_WRITE, offset);
		return;
	}
	switch (offset) {
	case NVME_INTMS:
		atomic_fetch_or(&c->state.intms, value);
		nvme_ctl_intx_update(c);
		break;
	case NVME_INTMC:
		atomic_fetch_and(&c->state.intms, ~value);
		nvme_ctl_intx_update(c);
		break;
	case NVME_CC:
		write_configuration(c, value);
		break;
	default:
		write_place(c, offset, value);
		break;
	}
}

/* ---- accesses ---- */

static uint64_t bar_read(struct pci_device *p, unsigned bar, uint64_t offset, unsigned size)
{
	struct nvme_ctl *c = to_ctl(p);
	uint64_t value;

	(void)bar;
	lock_acquire(&c->lock);
	settle(c);
	value = read_registers(c, offset, size);
	lock_release(&c->lock);
	return value;
}

/* Registers want whole dwords and quadwords; other writes do nothing. */
static void bar_write(struct pci_device *p, unsigned bar, uint64_t offset, unsigned size,
		      uint64_t value)
{
	struct nvme_ctl *c = to_ctl(p);

	(void)bar;
	if (size < 4 || !is_aligned(offset, 4)) {
		return;
	}
	if (offset >= NVME_DOORBELLS) {
		nvme_ctl_doorbell(c, (unsigned)(offset - NVME_DOORBELLS) / 4, (uint32_t)value);
		return;
	}
	lock_acquire(&c->lock);
	for (unsigned i = 0; i < size; i += 4) {
		write_register(c, offset + i, (uint32_t)(value >> (i * 8)));
	}
	lock_release(&c->lock);
}

/* All that the driver set, too; what is open is waited for as in any reset. */
static void reset(struct pci_device *p)
{
	struct nvme_ctl *c = to_ctl(p);

	lock_acquire(&c->lock);
	c->state.cc = 0;
	c->state.aqa = 0;
	c->state.asq = 0;
	c->state.acq = 0;
	stop_queues(c);
	c->state.stopping = true;
	settle(c);
	lock_release(&c->lock);
}

/* Host's lock held. What could not be done without it goes on. */
static void master_changed(struct pci_device *p, bool master)
{
	struct nvme_ctl *c = to_ctl(p);

	if (!master) {
		return;
	}
	vwork_ask(&c->work, 0);
	for (unsigned i = 0; i < c->queue_count; i++) {
		nvme_ctl_queue_ask(c->queues[i]);
	}
}

static const struct pci_device_ops pci_ops = {
	.name = "nvme",
	.bar_read = bar_read,
	.bar_write = bar_write,
	.reset = reset,
	.master_changed = master_changed,
};

/* ---- set-up ---- */

static enum hv_status init_pci(struct nvme_ctl *c, const struct nvme_ctl_config *cfg)
{
	struct pci_device_config pci = cfg->place;
	enum hv_status status;

	pci.ops = &pci_ops;
	pci.identity = (struct pci_identity){
		.vendor = NVME_CTL_VENDOR,
		.device = NVME_CTL_DEVICE,
		.class_code = NVME_CLASS,
		.revision = 1,
		.subsystem_vendor = NVME_CTL_VENDOR,
		.subsystem = NVME_CTL_DEVICE,
	};
	pci.msix_count = cfg->queue_count + 1;
	pci.msix_bar = NVME_CTL_BAR_MSIX;
	pci.intx = true;
	pci.express = true;
	status = pci_device_init(&c->pci, &pci);
	if (status == HV_OK) {
		status = pci_function_add_bar(&c->pci.function, NVME_CTL_BAR_REGS, PCI_BAR_64,
					      NVME_CTL_REGS_SIZE);
	}
	return status == HV_OK ? pci_device_add(&c->pci) : status;
}

enum hv_status nvme_ctl_init(struct nvme_ctl *c, const struct nvme_ctl_config *cfg)
{
	enum hv_status status = HV_OK;

	memset(c, 0, sizeof(*c));
	c->vm = cfg->vm;
	c->guest = cfg->guest;
	c->device = cfg->device;
	c->vcpu_count = cfg->vcpu_count;
	c->queue_count = cfg->queue_count;
	vwork_init(&c->work, cfg->work, nvme_ctl_admin_work);
	saved_device_init(&c->saved, &nvme_ctl_saved_ops, c);
	nvme_ctl_reset_features(c);
	for (unsigned id = 1; status == HV_OK && id <= cfg->queue_count; id++) {
		status = nvme_ctl_queue_init(c, id, cfg);
	}
	return status == HV_OK ? init_pci(c, cfg) : status;
}

bool nvme_ctl_is_idle(const struct nvme_ctl *c)
{
	bool idle = !atomic_load(&c->flushing);

	for (unsigned i = 0; i < c->queue_count; i++) {
		idle = blk_pieces_are_idle(&c->queues[i]->transfers.pieces) && idle;
	}
	return idle;
}
