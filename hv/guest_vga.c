/* SPDX-License-Identifier: Apache-2.0 */
/* The VGA of a guest, and where the guest sees its memory. */
#include "hv/guest_vga.h"

#include "drivers/font.h"
#include "guests/devices/vga.h"
#include "guests/devices/vga_dispi.h"
#include "guests/devices/vga_regs.h"
#include "guests/devices/vga_text.h"
#include "hv/base/check.h"
#include "hv/guest_devmem.h"
#include "mm/pool.h"

#define VIDEO_MEMORY MIB(16)

/* Called with the device's or the PCI host's lock held. */
static void show(void *ctx, enum vga_view view, uint64_t address, uint32_t offset, uint32_t size)
{
	const struct gspace_view wanted = {.base = address, .offset = offset, .size = size};

	guest_devmem_show(ctx, (unsigned)view, &wanted);
}

static enum hv_status put_on_buses(struct guest *g)
{
	struct vdev *dev = &g->vga->dev;
	enum hv_status status = bus_register(&g->vm.pio, VGA_PORTS, VGA_PORTS_COUNT, dev);

	if (status == HV_OK) {
		status = bus_register(&g->vm.pio, VGA_DISPI_PORT_INDEX, VGA_DISPI_PORTS, dev);
	}
	if (status == HV_OK) {
		status = bus_register(&g->vm.mmio, LAYOUT_VIDEO_BASE, LAYOUT_VIDEO_SIZE, dev);
	}
	return status;
}

enum hv_status guest_vga_create(struct guest *g)
{
	struct vga_config cfg = {
		.time = &g->vm.time,
		.host = &g->board->pci,
		.devfn = LAYOUT_DEVFN_VGA,
		.memory.size = VIDEO_MEMORY,
		.show = show,
		.ctx = g,
	};
	enum hv_status status;
	uint64_t offset;

	if (!g->config->vga) {
		return HV_OK;
	}
	status = gspace_add_devmem(&g->vm.gspace, VIDEO_MEMORY + VGA_TEXT_BYTES, &offset);
	if (status != HV_OK) {
		return status;
	}
	CHECK(offset == 0); /* what the views count from */
	space_switch(&g->vm.gspace.host);
	cfg.memory.bytes = gspace_devmem_ptr(0);
	cfg.text = gspace_devmem_ptr(VIDEO_MEMORY);
	space_switch(space_core());
	g->vga = pool_alloc(sizeof(*g->vga));
	if (g->vga == NULL) {
		return HV_E_NO_MEMORY;
	}
	/* It may be the one in front, started again: its picture comes back. */
	run_chore(RUN_CHORE_INPUT);
	status = vga_init(g->vga, &cfg);
	saved_add(&g->vm.saved, &g->vga->saved, LAYOUT_DEVFN_VGA);
	return status == HV_OK ? put_on_buses(g) : status;
}

void guest_vga_text_mode(struct guest *g)
{
	const struct vga_font font = {font_glyphs, FONT_FIRST, FONT_COUNT};

	if (g->vga != NULL) {
		vga_text_mode(&g->vga->state, &g->vga->cfg.memory, &font);
	}
}

void guest_vga_destroy(struct guest *g)
{
	pool_free(g->vga, sizeof(*g->vga));
	g->vga = NULL;
}
