/* SPDX-License-Identifier: Apache-2.0 */
/* One floppy controller for all floppies of a guest, which are its drives in their order. */
#include "hv/guest_disk_floppy.h"

#include "guests/layout.h"
#include "hv/base/bits.h"
#include "hv/base/fmt.h"
#include "hv/guest.h"
#include "mm/pool.h"

static_assert(FDC_DRIVES == CONFIG_FLOPPIES_MAX, "the configuration has no more");
static_assert(FDC_BUFFER_BYTES == PAGE_SIZE, "a controller's buffer is a page");

/* The device of a VM, and the memory it was given. */
struct floppy_model {
	struct fdc fdc;
	void *buffer;
	struct guest_disk *drives[FDC_DRIVES]; /* NULL: there is none */
};

static void free_model(struct floppy_model *m)
{
	if (m->buffer != NULL) {
		pool_pages_free(m->buffer, 0);
	}
	for (unsigned i = 0; i < FDC_DRIVES; i++) {
		if (m->drives[i] != NULL) {
			m->drives[i]->model = NULL;
		}
	}
	pool_free(m, sizeof(*m));
}

static struct floppy_model *new_model(void)
{
	struct floppy_model *m = pool_alloc(sizeof(*m));

	if (m == NULL) {
		return NULL;
	}
	m->buffer = pool_pages(0);
	if (m->buffer == NULL) {
		free_model(m);
		return NULL;
	}
	return m;
}

static void find_drives(const struct guest *g, struct guest_disk *drives[FDC_DRIVES])
{
	unsigned count = 0;

	for (unsigned i = 0; i < g->config->disk_count; i++) {
		if (g->config->disks[i].bus == CONFIG_DISK_FLOPPY) {
			drives[count++] = g->disks[i];
		}
	}
}

static unsigned drive_of(const struct floppy_model *m, const struct guest_disk *d)
{
	return m->drives[0] == d ? 0 : 1;
}

static uint8_t type_of(const struct guest_disk *d)
{
	const struct floppy_format *format = NULL;

	if (d != NULL) {
		format = floppy_format_of(d->top->sectors * BLK_SECTOR);
	}
	return format != NULL ? format->type : 0;
}

void guest_disk_floppy_types(const struct guest *g, uint8_t types[FDC_DRIVES])
{
	struct guest_disk *drives[FDC_DRIVES] = {NULL, NULL};

	find_drives(g, drives);
	for (unsigned i = 0; i < FDC_DRIVES; i++) {
		types[i] = type_of(drives[i]);
	}
}

/* ---- the device ---- */

static void release(struct vdev *dev)
{
	free_model(container_of(container_of(dev, struct fdc, dev), struct floppy_model, fdc));
}

static enum hv_status put_on_bus(struct guest *g, struct fdc *fdc)
{
	enum hv_status status = bus_register(&g->vm.pio, FDC_PORT, FDC_PORTS, &fdc->dev);

	return status == HV_OK ? bus_register(&g->vm.pio, FDC_PORT_DIR, 1, &fdc->dev) : status;
}

/* All of the guest's floppies with the first of them. */
static enum hv_status attach(struct guest *g, struct guest_disk *d)
{
	struct fdc_config config = {
		.time = &g->vm.time,
		.work = &g->vm.work,
		.dma = &g->board->dma,
		.irq = board_isa_irq(g->board, LAYOUT_IRQ_FLOPPY),
	};
	struct floppy_model *m;

	if (d->model != NULL) {
		return HV_OK;
	}
	m = new_model();
	if (m == NULL) {
		return HV_E_NO_MEMORY;
	}
	find_drives(g, m->drives);
	for (unsigned i = 0; i < FDC_DRIVES && m->drives[i] != NULL; i++) {
		m->drives[i]->model = m;
		config.media[i] = m->drives[i]->top;
	}
	config.buffer = m->buffer;
	fdc_init(&m->fdc, &config);
	board_add_isa(g->board, &m->fdc.dev, release);
	saved_add(&g->vm.saved, &m->fdc.saved, 0);
	return put_on_bus(g, &m->fdc); /* the board frees it from now on */
}

static bool is_idle(void *model)
{
	const struct floppy_model *m = model;

	return fdc_is_idle(&m->fdc);
}

/* ---- media ---- */

/* Nothing holds a floppy. */
static enum hv_status eject(struct guest_disk *d, bool force)
{
	struct floppy_model *m = d->model;

	(void)force;
	return fdc_eject(&m->fdc, drive_of(m, d));
}

static enum hv_status insert(struct guest_disk *d)
{
	struct floppy_model *m = d->model;

	fdc_insert(&m->fdc, drive_of(m, d));
	return HV_OK;
}

static void boot_path(const struct guest_disk *d, char *out, size_t cap)
{
	(void)fmt_snprintf(out, cap, "/pci@i0cf8/isa@%x/fdc@%04x/floppy@%x",
			   LAYOUT_DEVFN_ISA_BRIDGE / 8, FDC_PORT, drive_of(d->model, d));
}

const struct guest_disk_bus guest_disk_floppy = {attach, is_idle, boot_path};
const struct guest_disk_media guest_disk_floppy_media = {eject, insert};
