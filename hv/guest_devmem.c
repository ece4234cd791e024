/* SPDX-License-Identifier: Apache-2.0 */
/* Device memory of guests: the bytes of ROMs, and the views' ways to the vCPUs. */
#include "hv/guest_devmem.h"

#include "guests/devices/vga.h"
#include "hv/base/bits.h"
#include "hv/base/log.h"
#include "hv/base/str.h"

/* Copied in one step while other guests run; ROMs that firmware loads are not larger. */
#define ROM_SHOWN_MAX MIB(1)
static_assert((unsigned)VGA_VIEWS + CONFIG_NETS_MAX == GSPACE_VIEWS, "a view for each user");

/*
 * Where nothing but BARs can lie, or the VGA's window. Elsewhere, as while a system finds out how
 * large a BAR is, the guest reaches device memory through the device, if at all.
 */
static bool may_show(const struct guest *g, unsigned view, const struct gspace_view *wanted)
{
	const struct bus_range *r = bus_find(&g->vm.mmio, wanted->base);

	return view == VGA_VIEW_WINDOW ||
	       (r != NULL && r->dev == &g->board->pci_window.dev &&
		range_fits(wanted->base - r->base, wanted->size, r->size));
}

void guest_devmem_show(struct guest *g, unsigned view, const struct gspace_view *wanted)
{
	struct gspace_view v = *wanted;
	enum hv_status status;

	if (!may_show(g, view, wanted)) {
		v.size = 0;
	}
	status = gspace_show_devmem(&g->vm.gspace, view, &v);
	if (status != HV_OK) {
		log_debug("%s: device memory at 0x%lx: %s, emulated", g->vm.name, v.base,
			  hv_status_name(status));
	}
	guest_flush(g, guest_vcpus(g));
}

/* --- ROMs --- */

/* Called with the PCI host's lock held. */
static void show_rom(void *ctx, uint64_t address, bool mapped)
{
	const struct guest_rom *r = ctx;
	const struct gspace_view wanted = {
		.base = address,
		.offset = r->offset,
		.size = mapped ? r->size : 0,
		.read_only = true,
	};

	guest_devmem_show(r->guest, VGA_VIEWS + r->index, &wanted);
}

/* What is behind the file's end in its last page reads all-ones, as behind that page. */
static void fill(struct guest *g, const struct guest_rom *r, const struct guest_file *file)
{
	space_switch(&g->vm.gspace.host);
	for (uint64_t at = 0; at < r->size; at += PAGE_SIZE) {
		uint8_t *page = gspace_devmem_ptr(r->offset + at);
		uint64_t n = min_u64(file->size - at, PAGE_SIZE);

		memcpy(page, file->data + at, n);
		memset(page + n, 0xff, PAGE_SIZE - n);
	}
	space_switch(space_core());
}

enum hv_status guest_rom_create(struct guest *g, unsigned index, const struct guest_file *file,
				struct guest_rom *r, struct pci_rom *out)
{
	enum hv_status status;

	*r = (struct guest_rom){.guest = g, .index = index};
	*out = (struct pci_rom){.data = file->data, .size = file->size};
	/* Of the smallest ones the space is less than a page. */
	if (pci_rom_space(out) < PAGE_SIZE) {
		return HV_OK;
	}
	r->size = min_u64(align_up(file->size, PAGE_SIZE), ROM_SHOWN_MAX);
	status = gspace_add_devmem(&g->vm.gspace, r->size, &r->offset);
	if (status == HV_OK) {
		fill(g, r, file);
		out->show = show_rom;
		out->ctx = r;
	}
	return status;
}
