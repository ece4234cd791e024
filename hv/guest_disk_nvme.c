/* SPDX-License-Identifier: Apache-2.0 */
/* An NVMe controller for each disk. */
#include "hv/guest_disk_nvme.h"

#include "guests/devices/nvme_ctl.h"
#include "hv/base/bits.h"
#include "hv/base/fmt.h"
#include "hv/base/str.h"
#include "hv/guest.h"
#include "hv/guest_disk_queues.h"
#include "mm/pool.h"

/* The device of a VM, and the memory it was given. */
struct nvme_disk {
	struct nvme_ctl ctl;
	struct guest_disk *disk;
	struct guest_disk_queues queues;
};

static struct nvme_disk *disk_of(struct pci_device *pci)
{
	struct nvme_ctl *ctl = container_of(pci, struct nvme_ctl, pci);

	return container_of(ctl, struct nvme_disk, ctl);
}

static void free_disk(struct nvme_disk *m)
{
	guest_disk_queues_free(&m->queues);
	m->disk->model = NULL;
	pool_free(m, sizeof(*m));
}

static void release(struct pci_device *pci)
{
	free_disk(disk_of(pci));
}

static const struct board_pci_owner owner = {.release = release};

static enum hv_status init(struct guest *g, struct nvme_disk *m)
{
	struct nvme_ctl_config config = {
		.vm = &g->vm,
		.guest = g->vm.name,
		.work = &g->vm.work,
		.device = m->disk->top,
		.vcpu_count = g->config->cpus,
		.queue_count = m->queues.count,
	};
	enum hv_status status = board_place_pci(g->board, &config.place);

	memcpy(config.queues, m->queues.queues, sizeof(config.queues));
	memcpy(config.buffers, m->queues.buffers, sizeof(config.buffers));
	return status == HV_OK ? nvme_ctl_init(&m->ctl, &config) : status;
}

static enum hv_status attach(struct guest *g, struct guest_disk *d)
{
	struct nvme_disk *m = pool_alloc(sizeof(*m));
	enum hv_status status = HV_E_NO_MEMORY;

	if (m == NULL) {
		return HV_E_NO_MEMORY;
	}
	m->disk = d;
	if (guest_disk_queues_alloc(&m->queues, nvme_ctl_queue_count(g->config->cpus),
				    sizeof(struct nvme_ctl_queue))) {
		status = init(g, m);
	}
	if (status != HV_OK) {
		free_disk(m);
		return status;
	}
	d->model = &m->ctl.pci;
	board_add_pci(g->board, &m->ctl.pci, &m->ctl.saved, &owner);
	return HV_OK;
}

static bool is_idle(void *model)
{
	return nvme_ctl_is_idle(&disk_of(model)->ctl);
}

static void boot_path(const struct guest_disk *d, char *out, size_t cap)
{
	const struct pci_device *pci = d->model;

	(void)fmt_snprintf(out, cap, "/pci@i0cf8/pci%x,%x@%x/namespace@1,0", NVME_CTL_VENDOR,
			   NVME_CTL_DEVICE, pci->devfn / 8);
}

const struct guest_disk_bus guest_disk_nvme = {attach, is_idle, boot_path};
