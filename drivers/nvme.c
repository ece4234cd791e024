/* SPDX-License-Identifier: Apache-2.0 */
/* NVMe controllers: finding their namespaces, and keeping an eye on them. */
#include "drivers/nvme.h"

#include "hv/api/clock.h"
#include "hv/base/fmt.h"
#include "hv/base/log.h"
#include "hv/base/str.h"
#include "hv/cpu/insn.h"
#include "hv/cpu/percpu.h"
#include "mm/pool.h"

#define WATCH_NS 1000000000ull
#define STEP_NS 1000000ull
#define RESETS_MAX 3u
#define SHUTDOWN_LIMIT_NS 5000000000ull
#define REGISTERS_MIN (NVME_DOORBELLS + KIB(4))
/* Of a controller that has no list of them. */
#define NAMESPACES_TRIED 16u

/* --- interrupts and the timer --- */

static void serve_all(struct nvme *c, unsigned first, unsigned step)
{
	for (unsigned i = first; i < c->queue_count; i += step) {
		nvme_queue_serve(&c->queues[i]);
	}
}

static void on_message(void *ctx, unsigned index)
{
	struct nvme *c = ctx;

	serve_all(c, index, c->messages);
}

static bool is_overdue(struct nvme *c)
{
	bool overdue = false;

	for (unsigned i = 0; i < c->queue_count && !overdue; i++) {
		struct nvme_queue *q = &c->queues[i];

		lock_acquire(&q->lock);
		overdue = disk_queue_is_overdue(&q->requests, clock_now());
		lock_release(&q->lock);
	}
	return overdue;
}

/* While it is ready: whether it still does what it should. */
static void check(struct nvme *c, struct list_node *done)
{
	uint32_t csts = nvme_read(c, NVME_CSTS);

	if (atomic_exchange(&c->progress, false)) {
		c->resets = 0;
	}
	if (csts == NVME_GONE) {
		nvme_fail(c, "it is gone", done);
	} else if ((csts & NVME_CSTS_CFS) != 0 || is_overdue(c)) {
		if (c->resets++ == RESETS_MAX) {
			nvme_fail(c, "resets do not help", done);
			return;
		}
		log_warn("%s: %s: reset", c->name,
			 (csts & NVME_CSTS_CFS) != 0 ? "fatal status" : "a request took too long");
		nvme_begin_reset(c);
	}
}

static void on_timer(struct timer *t)
{
	struct nvme *c = container_of(t, struct nvme, timer);
	struct list_node done;
	bool at_rest;

	list_init(&done);
	/* An interrupt may have been lost; and what waited for a reset is started here. */
	serve_all(c, 0, 1);
	lock_acquire(&c->lock);
	at_rest = c->phase == NVME_READY;
	if (at_rest) {
		check(c, &done);
	} else {
		nvme_advance(c, &done);
	}
	if (c->phase != NVME_FAILED) {
		at_rest = at_rest && c->phase == NVME_READY;
		timer_arm(t, clock_now() + clock_ns_to_ticks(at_rest ? WATCH_NS : STEP_NS));
	}
	lock_release(&c->lock);
	disk_finish(&done);
}

/* A reset has to go on, too, while no timer runs. */
static void poll(struct blk_device *d)
{
	if (!d->removed) {
		on_timer(&container_of(d, struct nvme_namespace, device)->controller->timer);
	}
}

/* --- stop --- */

/* "Shutdown Processing": once for a controller would do, again does no harm. */
static void stop(struct blk_device *d)
{
	struct nvme *c = container_of(d, struct nvme_namespace, device)->controller;
	uint64_t limit = clock_now() + clock_ns_to_ticks(SHUTDOWN_LIMIT_NS);

	lock_acquire(&c->lock);
	if (c->phase == NVME_READY) {
		nvme_write(c, NVME_CC, NVME_CC_ON | NVME_CC_SHN_NORMAL);
		/* One that is gone reads as more than complete. */
		while (bits_get(nvme_read(c, NVME_CSTS), NVME_CSTS_SHST) < NVME_SHST_COMPLETE &&
		       clock_now() <= limit) {
		}
	}
	lock_release(&c->lock);
}

/* --- start --- */

static enum hv_status identify(struct nvme *c, uint32_t what, uint32_t nsid, void *page)
{
	const struct nvme_command command = {.opcode = NVME_ADMIN_IDENTIFY,
					     .nsid = nsid,
					     .prp1 = pool_hpa(page).v,
					     .dw10 = what};

	memset(page, 0, NVME_IDENTIFY_SIZE);
	return nvme_admin(c, &command);
}

static uint32_t field32(const char *page, unsigned offset)
{
	uint32_t value;

	memcpy(&value, page + offset, sizeof(value));
	return value;
}

static uint64_t field64(const char *page, unsigned offset)
{
	return field32(page, offset) | (uint64_t)field32(page, offset + 4) << 32;
}

static enum hv_status read_controller(struct nvme *c, char *page)
{
	enum hv_status status = identify(c, NVME_IDENTIFY_CONTROLLER, 0, page);
	unsigned mdts = (uint8_t)page[NVME_IDC_MDTS];

	if (status != HV_OK) {
		return status;
	}
	disk_text(page + NVME_IDC_SN, NVME_IDC_SN_SIZE, c->serial, sizeof(c->serial));
	disk_text(page + NVME_IDC_MN, NVME_IDC_MN_SIZE, c->model, sizeof(c->model));
	c->oncs = field32(page, NVME_IDC_ONCS) & 0xffff;
	c->transfer_max = NVME_TRANSFER_MAX;
	if (mdts != 0 && mdts < 32) {
		c->transfer_max = (uint32_t)min_u64(NVME_TRANSFER_MAX, (uint64_t)PAGE_SIZE << mdts);
	}
	return HV_OK;
}

/* "LBA Format" in use: its place in the list. */
static unsigned format_of(const char *page)
{
	uint8_t flbas = (uint8_t)page[NVME_IDN_FLBAS];
	unsigned format = (unsigned)bits_get(flbas, NVME_FLBAS_FORMAT);

	if ((uint8_t)page[NVME_IDN_NLBAF] >= 16) {
		format |= (unsigned)bits_get(flbas, NVME_FLBAS_FORMAT_UPPER) << 4;
	}
	return format;
}

/* The size of blocks as a power of two; 0: not one that we can use. */
static unsigned block_bits(const char *page)
{
	uint32_t lbaf = field32(page, NVME_IDN_LBAF + 4 * format_of(page));
	unsigned bits = (unsigned)bits_get(lbaf, NVME_LBAF_LBADS);
	bool protected = ((uint8_t)page[NVME_IDN_DPS] & NVME_DPS_TYPE) != 0;

	if (bits_get(lbaf, NVME_LBAF_MS) != 0 || protected) {
		return 0;
	}
	return bits == 9 || bits == 12 ? bits : 0;
}

static void fill_device(const struct nvme *c, struct nvme_namespace *ns, const char *page,
			unsigned bits)
{
	static const struct blk_ops ops = {.submit = nvme_submit, .poll = poll, .stop = stop};
	struct blk_device *d = &ns->device;

	d->ops = &ops;
	fmt_snprintf(d->name, sizeof(d->name), "%sn%u", c->name, ns->nsid);
	(void)str_copy(d->serial, sizeof(d->serial), span_of(c->serial));
	d->sectors = field64(page, NVME_IDN_NSZE) << ns->block_shift;
	d->block_size = 1u << bits;
	d->max_count = c->transfer_max / BLK_SECTOR;
	d->readonly = ((uint8_t)page[NVME_IDN_NSATTR] & NVME_NSATTR_READ_ONLY) != 0;
	d->discards = (c->oncs & NVME_ONCS_DSM) != 0;
	d->write_zeroes = (c->oncs & NVME_ONCS_WRITE_ZEROES) != 0;
}

static void add_namespace(struct nvme *c, uint32_t nsid, char *page)
{
	struct nvme_namespace *ns;
	uint64_t blocks;
	unsigned bits;

	if (identify(c, NVME_IDENTIFY_NAMESPACE, nsid, page) != HV_OK) {
		log_warn("%s: namespace %u cannot be identified", c->name, nsid);
		return;
	}
	blocks = field64(page, NVME_IDN_NSZE);
	if (blocks == 0) {
		return;
	}
	bits = block_bits(page);
	if (bits == 0 || blocks >> 52 != 0) {
		log_warn("%s: namespace %u has a format that is not supported", c->name, nsid);
		return;
	}
	ns = c->namespace_count < NVME_NAMESPACES_MAX ? pool_alloc(sizeof(*ns)) : NULL;
	if (ns == NULL) {
		log_warn("%s: namespace %u: no room for it", c->name, nsid);
		return;
	}
	*ns = (struct nvme_namespace){.controller = c, .nsid = nsid, .block_shift = bits - 9};
	fill_device(c, ns, page, bits);
	c->namespaces[c->namespace_count++] = ns;
}

/* All that are active: the list holds 1024, of which fewer are used anyway. */
static void find_namespaces(struct nvme *c, char *page, uint32_t *list)
{
	uint32_t before = 0;

	if (identify(c, NVME_IDENTIFY_ACTIVE, 0, list) != HV_OK) {
		/* Controllers of NVMe 1.0. */
		for (unsigned i = 0; i < NAMESPACES_TRIED; i++) {
			list[i] = i < c->namespaces_max ? i + 1 : 0;
		}
		list[NAMESPACES_TRIED] = 0;
	}
	for (unsigned i = 0; i < NVME_IDENTIFY_SIZE / 4 && list[i] > before; i++) {
		add_namespace(c, list[i], page);
		before = list[i];
	}
}

static bool read_all(struct nvme *c)
{
	char *page = pool_pages(0);
	uint32_t *list = pool_pages(0);
	bool ok = page != NULL && list != NULL && read_controller(c, page) == HV_OK;

	if (ok) {
		c->namespaces_max = field32(page, NVME_IDC_NN);
		find_namespaces(c, page, list);
	}
	if (page != NULL) {
		pool_pages_free(page, 0);
	}
	if (list != NULL) {
		pool_pages_free(list, 0);
	}
	return ok;
}

/* Whether the controller is one that this driver can use. */
static bool suits(struct nvme *c)
{
	uint64_t doorbells;

	c->registers = host_pci_map(c->pci, 0, REGISTERS_MIN);
	if (c->registers == NULL) {
		return false;
	}
	c->cap = nvme_read(c, NVME_CAP) | (uint64_t)nvme_read(c, NVME_CAP + 4) << 32;
	c->stride = 4u << bits_get(c->cap, NVME_CAP_DSTRD);
	/* As many queues as doorbells fit into the BAR. */
	doorbells = min_u64(c->pci->bars[0].size, HOST_PCI_MAP_MAX) - NVME_DOORBELLS;
	doorbells = doorbells / c->stride / 2;
	c->queues_wanted = (unsigned)min_u64(min_u64(percpu_count(), NVME_QUEUES_MAX),
					     doorbells != 0 ? doorbells - 1 : 0);
	return nvme_read(c, NVME_CSTS) != NVME_GONE && (c->cap & NVME_CAP_CSS_NVM) != 0 &&
	       bits_get(c->cap, NVME_CAP_MPSMIN) == 0 && bits_get(c->cap, NVME_CAP_MQES) != 0 &&
	       c->queues_wanted != 0 && nvme_queue_alloc(c, &c->admin, 0);
}

static bool start(struct nvme *c, struct list_node *done)
{
	nvme_begin_reset(c);
	while (c->phase != NVME_READY && c->phase != NVME_FAILED) {
		nvme_advance(c, done);
	}
	return c->phase == NVME_READY;
}

static bool set_up(struct nvme *c)
{
	struct list_node none;

	list_init(&none);
	c->messages = c->queues_wanted;
	if (host_pci_interrupts(c->pci, &c->messages, on_message, c) != HV_OK) {
		return false;
	}
	c->msix = host_pci_uses_msix(c->pci);
	if (!start(c, &none)) {
		return false;
	}
	if (!read_all(c)) {
		nvme_fail(c, "it cannot be identified", &none);
		return false;
	}
	return true;
}

void nvme_probe(struct host_pci *f, unsigned index, void (*found)(struct blk_device *d))
{
	struct nvme *c = pool_alloc(sizeof(*c));

	if (c == NULL) {
		log_warn("nvme%u: no memory", index);
		return;
	}
	c->pci = f;
	f->owner = "nvme";
	fmt_snprintf(c->name, sizeof(c->name), "nvme%u", index);
	host_pci_enable(f);
	if (!suits(c) || !set_up(c)) {
		/* What has interrupts may not be freed. */
		log_warn("%s: cannot be used", c->name);
		host_pci_disable(f);
		return;
	}
	log_info("%s: %s, %u queues of %u, %u namespaces", c->name, c->model, c->queue_count,
		 c->admin.entries, c->namespace_count);
	timer_init(&c->timer, NULL, on_timer);
	timer_arm(&c->timer, clock_now() + clock_ns_to_ticks(WATCH_NS));
	for (unsigned i = 0; i < c->namespace_count; i++) {
		found(&c->namespaces[i]->device);
	}
}
