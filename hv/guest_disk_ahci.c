/* SPDX-License-Identifier: Apache-2.0 */
/* One AHCI controller for all the disks of a guest that are on this bus, made with the first. */
#include "hv/guest_disk_ahci.h"

#include "guests/devices/ahci.h"
#include "guests/layout.h"
#include "hv/base/bits.h"
#include "hv/base/fmt.h"
#include "hv/guest.h"
#include "mm/pool.h"

#define BUFFERS_ORDER 7u
static_assert((PAGE_SIZE << BUFFERS_ORDER) == BOUNCE_BYTES, "a port's buffers are one block");

static_assert(AHCI_UNITS_MAX == CONFIG_AHCI_DISKS_MAX, "the configuration has no more");

/* The device of a VM, and the memory it was given. */
struct ahci_disks {
	struct ahci_hba hba;
	unsigned count;
	struct guest_disk *disks[AHCI_UNITS_MAX];
	struct ahci_unit *units[AHCI_UNITS_MAX];
	void *buffers[AHCI_UNITS_MAX];
};

static struct ahci_disks *disks_of(struct pci_device *pci)
{
	struct ahci_hba *hba = container_of(pci, struct ahci_hba, pci);

	return container_of(hba, struct ahci_disks, hba);
}

static void free_disks(struct ahci_disks *m)
{
	for (unsigned i = 0; i < m->count; i++) {
		m->disks[i]->model = NULL;
		pool_free(m->units[i], sizeof(*m->units[i]));
		if (m->buffers[i] != NULL) {
			pool_pages_free(m->buffers[i], BUFFERS_ORDER);
		}
	}
	pool_free(m, sizeof(*m));
}

static enum hv_status add_disk(struct ahci_disks *m, struct guest_disk *d)
{
	unsigned i = m->count;

	if (i == AHCI_UNITS_MAX) {
		return HV_E_RANGE;
	}
	m->count++;
	m->disks[i] = d;
	m->units[i] = pool_alloc(sizeof(*m->units[i]));
	m->buffers[i] = pool_pages(BUFFERS_ORDER);
	return m->units[i] != NULL && m->buffers[i] != NULL ? HV_OK : HV_E_NO_MEMORY;
}

/* The guest's disks that are on this bus, in the order of the configuration. */
static enum hv_status add_disks(struct ahci_disks *m, struct guest *g)
{
	enum hv_status status = HV_OK;

	for (unsigned i = 0; status == HV_OK && i < g->config->disk_count; i++) {
		if (g->disks[i]->config->bus == CONFIG_DISK_AHCI) {
			status = add_disk(m, g->disks[i]);
		}
	}
	return status;
}

static void release(struct pci_device *pci)
{
	free_disks(disks_of(pci));
}

static const struct board_pci_owner owner = {.release = release};

static enum hv_status init(struct guest *g, struct ahci_disks *m)
{
	struct ahci_config config = {
		.vm = &g->vm,
		.work = &g->vm.work,
		.vcpu_count = g->config->cpus,
		.unit_count = m->count,
	};

	for (unsigned i = 0; i < m->count; i++) {
		config.units[i] = (struct ahci_unit_config){
			.device = m->disks[i]->top,
			.is_packet = m->disks[i]->config->cdrom,
			.unit = m->units[i],
			.buffers = m->buffers[i],
		};
	}
	board_place_pci_at(g->board, LAYOUT_DEVFN_SATA, &config.place);
	return ahci_init(&m->hba, &config);
}

static enum hv_status attach(struct guest *g, struct guest_disk *d)
{
	struct ahci_disks *m;
	enum hv_status status;

	if (d->model != NULL) {
		return HV_OK; /* it came with the first */
	}
	m = pool_alloc(sizeof(*m));
	if (m == NULL) {
		return HV_E_NO_MEMORY;
	}
	status = add_disks(m, g);
	if (status == HV_OK) {
		status = init(g, m);
	}
	if (status != HV_OK) {
		free_disks(m);
		return status;
	}
	for (unsigned i = 0; i < m->count; i++) {
		m->disks[i]->model = &m->hba.pci;
	}
	board_add_pci(g->board, &m->hba.pci, &m->hba.saved, &owner);
	return HV_OK;
}

static bool is_idle(void *model)
{
	return ahci_is_idle(&disks_of(model)->hba);
}

/* ---- media ---- */

static unsigned unit_of(const struct ahci_disks *m, const struct guest_disk *d)
{
	unsigned unit = 0;

	while (m->disks[unit] != d) {
		unit++;
	}
	return unit;
}

static enum hv_status eject(struct guest_disk *d, bool force)
{
	struct ahci_disks *m = disks_of(d->model);

	return ahci_eject(&m->hba, unit_of(m, d), force);
}

static enum hv_status insert(struct guest_disk *d)
{
	struct ahci_disks *m = disks_of(d->model);

	return ahci_insert(&m->hba, unit_of(m, d), d->top);
}

static void boot_path(const struct guest_disk *d, char *out, size_t cap)
{
	(void)fmt_snprintf(out, cap, "/pci@i0cf8/pci8086,2922@%x,%x/drive@%x/disk@0",
			   LAYOUT_DEVFN_SATA / 8, LAYOUT_DEVFN_SATA % 8,
			   unit_of(disks_of(d->model), d));
}

const struct guest_disk_media guest_disk_ahci_media = {eject, insert};
const struct guest_disk_bus guest_disk_ahci = {attach, is_idle, boot_path};
