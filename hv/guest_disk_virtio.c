/* SPDX-License-Identifier: Apache-2.0 */
/* A virtio block device for each disk. */
#include "hv/guest_disk_virtio.h"

#include "guests/devices/virtio_blk.h"
#include "hv/base/bits.h"
#include "hv/base/fmt.h"
#include "hv/base/str.h"
#include "hv/guest.h"
#include "hv/guest_disk_queues.h"
#include "mm/pool.h"

/* The device of a VM, and the memory it was given. */
struct virtio_disk {
	struct virtio_blk blk;
	struct guest_disk *disk;
	struct guest_disk_queues queues;
};

static struct virtio_disk *disk_of(struct pci_device *pci)
{
	struct virtio_pci *transport = container_of(pci, struct virtio_pci, pci);
	struct virtio_blk *blk = container_of(transport, struct virtio_blk, transport);

	return container_of(blk, struct virtio_disk, blk);
}

static void free_disk(struct virtio_disk *m)
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

static enum hv_status init(struct guest *g, struct virtio_disk *m)
{
	struct virtio_blk_config config = {
		.wiring = {.vm = &g->vm, .guest = g->vm.name},
		.work = &g->vm.work,
		.device = m->disk->top,
		.vcpu_count = g->config->cpus,
		.queue_count = m->queues.count,
	};
	enum hv_status status = board_place_pci(g->board, &config.wiring.place);

	memcpy(config.queues, m->queues.queues, sizeof(config.queues));
	memcpy(config.buffers, m->queues.buffers, sizeof(config.buffers));
	return status == HV_OK ? virtio_blk_init(&m->blk, &config) : status;
}

static enum hv_status attach(struct guest *g, struct guest_disk *d)
{
	struct virtio_disk *m = pool_alloc(sizeof(*m));
	enum hv_status status = HV_E_NO_MEMORY;

	if (m == NULL) {
		return HV_E_NO_MEMORY;
	}
	m->disk = d;
	if (guest_disk_queues_alloc(&m->queues, virtio_blk_queue_count(g->config->cpus),
				    sizeof(struct virtio_blk_queue))) {
		status = init(g, m);
	}
	if (status != HV_OK) {
		free_disk(m);
		return status;
	}
	d->model = &m->blk.transport.pci;
	board_add_pci(g->board, &m->blk.transport.pci, &m->blk.saved, &owner);
	return HV_OK;
}

static bool is_idle(void *model)
{
	return virtio_blk_is_idle(&disk_of(model)->blk);
}

static void boot_path(const struct guest_disk *d, char *out, size_t cap)
{
	const struct pci_device *pci = d->model;

	(void)fmt_snprintf(out, cap, "/pci@i0cf8/scsi@%x/disk@0,0", pci->devfn / 8);
}

const struct guest_disk_bus guest_disk_virtio = {attach, is_idle, boot_path};
