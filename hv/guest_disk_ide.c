/* SPDX-License-Identifier: Apache-2.0 */
/* One IDE function for all disks of a guest that say bus=ide. */
#include "hv/guest_disk_ide.h"

#include "guests/devices/ide.h"
#include "guests/layout.h"
#include "hv/base/bits.h"
#include "hv/base/fmt.h"
#include "hv/base/str.h"
#include "hv/guest.h"
#include "mm/pool.h"

#define BUFFER_ORDER 5u
static_assert((PAGE_SIZE << BUFFER_ORDER) == IDE_BUFFER_BYTES, "a channel's buffer is one block");
#define UNITS (IDE_CHANNELS * IDE_UNITS)
static_assert(UNITS == CONFIG_IDE_DISKS_MAX, "the configuration has no more");
static_assert(UNITS == CMOS_DISKS, "a BIOS knows all");

/* The device of a VM, and the memory it was given. */
struct ide_model {
	struct ide ide;
	struct guest *guest;
	void *buffers[IDE_CHANNELS];
	struct guest_disk *units[UNITS]; /* NULL: nothing is there */
};

static struct ide_model *model_of(struct pci_device *pci)
{
	return container_of(container_of(pci, struct ide, pci), struct ide_model, ide);
}

static void free_model(struct ide_model *m)
{
	for (unsigned i = 0; i < IDE_CHANNELS; i++) {
		if (m->buffers[i] != NULL) {
			pool_pages_free(m->buffers[i], BUFFER_ORDER);
		}
	}
	for (unsigned i = 0; i < UNITS; i++) {
		if (m->units[i] != NULL) {
			m->units[i]->model = NULL;
		}
	}
	pool_free(m, sizeof(*m));
}

static struct ide_model *new_model(struct guest *g)
{
	struct ide_model *m = pool_alloc(sizeof(*m));

	if (m == NULL) {
		return NULL;
	}
	m->guest = g;
	for (unsigned i = 0; i < IDE_CHANNELS; i++) {
		m->buffers[i] = pool_pages(BUFFER_ORDER);
		if (m->buffers[i] == NULL) {
			free_model(m);
			return NULL;
		}
	}
	return m;
}

/* ---- which unit is which disk ---- */

/*
 * Disks in their order, then CD drives, the first of which are device 0 of the second channel if
 * they can: so no channel has a device 1 alone, and one disk and one drive do not share one.
 */
static void place(struct ide_model *m, struct guest_disk *d)
{
	static const uint8_t for_disks[UNITS] = {0, 1, 2, 3};
	static const uint8_t for_drives[UNITS] = {2, 0, 3, 1};
	const uint8_t *order = d->config->cdrom ? for_drives : for_disks;

	for (unsigned i = 0; i < UNITS; i++) {
		if (m->units[order[i]] == NULL) {
			m->units[order[i]] = d;
			return;
		}
	}
}

static void place_all(struct ide_model *m, bool cdrom)
{
	const struct guest *g = m->guest;

	for (unsigned i = 0; i < g->config->disk_count; i++) {
		if (g->disks[i]->config->bus == CONFIG_DISK_IDE &&
		    g->disks[i]->config->cdrom == cdrom) {
			place(m, g->disks[i]);
		}
	}
}

static unsigned unit_of(const struct ide_model *m, const struct guest_disk *d)
{
	unsigned unit = 0;

	while (unit < UNITS && m->units[unit] != d) {
		unit++;
	}
	return unit;
}

static void describe_unit(const struct guest_disk *d, struct ide_unit_config *out)
{
	if (d == NULL) {
		return;
	}
	out->kind = d->config->cdrom ? IDE_CDROM : IDE_DISK;
	out->device = d->top;
	(void)str_copy(out->serial, sizeof(out->serial), span_of(d->config->serial));
}

/* ---- the device ---- */

static void release(struct pci_device *pci)
{
	free_model(model_of(pci));
}

static const struct board_pci_owner owner = {.release = release};

static const struct {
	uint16_t command;
	uint16_t control;
	uint8_t irq;
} wires[IDE_CHANNELS] = {
	{LAYOUT_IDE_PRIMARY, LAYOUT_IDE_PRIMARY_CONTROL, LAYOUT_IRQ_IDE_PRIMARY},
	{LAYOUT_IDE_SECONDARY, LAYOUT_IDE_SECONDARY_CONTROL, LAYOUT_IRQ_IDE_SECONDARY},
};

static enum hv_status put_on_bus(struct guest *g, struct ide *ide)
{
	enum hv_status status = HV_OK;

	for (unsigned i = 0; i < IDE_CHANNELS && status == HV_OK; i++) {
		struct vdev *dev = &ide->channels[i].dev;

		status = bus_register(&g->vm.pio, wires[i].command, IDE_COMMAND_PORTS, dev);
		if (status == HV_OK) {
			status = bus_register(&g->vm.pio, wires[i].control, 1, dev);
		}
	}
	return status;
}

static enum hv_status init(struct guest *g, struct ide_model *m)
{
	struct ide_config config = {
		.vm = &g->vm,
		.work = &g->vm.work,
		.vcpu_count = g->config->cpus,
	};
	enum hv_status status = board_place_pci(g->board, &config.place);

	for (unsigned i = 0; i < UNITS; i++) {
		describe_unit(m->units[i], &config.units[i]);
	}
	for (unsigned i = 0; i < IDE_CHANNELS; i++) {
		config.irqs[i] = board_isa_irq(g->board, wires[i].irq);
		config.buffers[i] = m->buffers[i];
	}
	return status == HV_OK ? ide_init(&m->ide, &config) : status;
}

/* For a BIOS, which finds CD drives by itself. */
static void tell_geometry(struct guest *g, const struct ide_model *m)
{
	for (unsigned i = 0; i < UNITS; i++) {
		const struct ide_unit *unit = &m->ide.channels[i / IDE_UNITS].units[i % IDE_UNITS];

		if (m->units[i] != NULL && !m->units[i]->config->cdrom) {
			const struct cmos_disk disk = {unit->disk.cylinders, unit->disk.heads,
						       unit->disk.sectors};

			board_set_disk(g->board, i, &disk);
		}
	}
}

/* All of the guest's disks on this bus with the first of them. */
static enum hv_status attach(struct guest *g, struct guest_disk *d)
{
	struct ide_model *m;
	enum hv_status status;

	if (d->model != NULL) {
		return HV_OK;
	}
	m = new_model(g);
	if (m == NULL) {
		return HV_E_NO_MEMORY;
	}
	place_all(m, false);
	place_all(m, true);
	status = init(g, m);
	if (status != HV_OK) {
		free_model(m);
		return status;
	}
	for (unsigned i = 0; i < UNITS; i++) {
		if (m->units[i] != NULL) {
			m->units[i]->model = &m->ide.pci;
		}
	}
	tell_geometry(g, m);
	board_add_pci(g->board, &m->ide.pci, &m->ide.saved, &owner);
	return put_on_bus(g, &m->ide); /* the board frees it from now on */
}

static bool is_idle(void *model)
{
	return ide_is_idle(&model_of(model)->ide);
}

/* ---- media ---- */

static enum hv_status eject(struct guest_disk *d, bool force)
{
	struct ide_model *m = model_of(d->model);

	return ide_eject(&m->ide, unit_of(m, d), force);
}

static enum hv_status insert(struct guest_disk *d)
{
	struct ide_model *m = model_of(d->model);

	return ide_insert(&m->ide, unit_of(m, d), d->top);
}

static void boot_path(const struct guest_disk *d, char *out, size_t cap)
{
	const struct ide_model *m = model_of(d->model);
	unsigned unit = unit_of(m, d);

	(void)fmt_snprintf(out, cap, "/pci@i0cf8/ide@%x/drive@%x/disk@%x", m->ide.pci.devfn / 8,
			   unit / IDE_UNITS, unit % IDE_UNITS);
}

const struct guest_disk_bus guest_disk_ide = {attach, is_idle, boot_path};
const struct guest_disk_media guest_disk_ide_media = {eject, insert};
