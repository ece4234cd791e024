/* SPDX-License-Identifier: Apache-2.0 */
/* Finding the BAR of an access. Source: PCI Local Bus Specification, "Base Addresses". */
#include "guests/devices/pci_window.h"

#include "hv/base/bits.h"
#include "hv/base/str.h"

static struct pci_window *to_window(struct vdev *dev)
{
	return container_of(dev, struct pci_window, dev);
}

/* Addresses of one space. */
struct bar_span {
	enum bus_space space;
	uint64_t base;
	uint64_t size;
};

static bool bar_overlaps(const struct pci_bar *b, const struct bar_span *s)
{
	bool io = (b->flags & PCI_BAR_IO) != 0;

	return b->mapped && io == (s->space == BUS_PIO) &&
	       ranges_overlap(b->address, b->size, s->base, s->size);
}

static bool search_function(struct pci_function *f, const struct bar_span *s,
			    struct pci_window_hint *found)
{
	for (unsigned i = 0; i < PCI_BARS_AND_ROM; i++) {
		if (bar_overlaps(&f->bars[i], s)) {
			*found = (struct pci_window_hint){f, i};
			return true;
		}
	}
	return false;
}

/* The first BAR with a byte in the span, in the order of functions and BARs. */
static bool search(const struct pci_host *h, const struct bar_span *s,
		   struct pci_window_hint *found)
{
	for (unsigned i = 0; i < PCI_HOST_FUNCTIONS; i++) {
		if (h->functions[i] != NULL && search_function(h->functions[i], s, found)) {
			return true;
		}
	}
	return false;
}

/* Whether the BAR answers at all of its addresses: none that goes before it overlaps it. */
static bool is_whole(const struct pci_host *h, enum bus_space space,
		     const struct pci_window_hint *at)
{
	const struct pci_bar *b = &at->function->bars[at->bar];
	const struct bar_span all = {space, b->address, b->size};
	struct pci_window_hint first;

	return search(h, &all, &first) && first.function == at->function && first.bar == at->bar;
}

/*
 * The place to remember a BAR at. Doorbells of several devices, which alternate, should differ: the
 * smallest of them lie 64 ports apart, others a page.
 */
static struct pci_window_hint *hint_for(struct pci_window *w, uint64_t addr)
{
	return &w->hints[(addr >> 6 ^ addr >> 12) % PCI_WINDOW_HINTS];
}

/* The BAR that answers at a->addr. Host's lock held. */
static bool find(struct pci_window *w, const struct vdev_access *a, struct pci_window_hint *found)
{
	const struct bar_span byte = {a->space, a->addr, 1};
	struct pci_window_hint *hint = hint_for(w, a->addr);

	if (w->bars_version != w->host->bars_version) {
		memset(w->hints, 0, sizeof(w->hints));
		w->bars_version = w->host->bars_version;
	}
	if (hint->function != NULL && bar_overlaps(&hint->function->bars[hint->bar], &byte)) {
		*found = *hint;
		return true;
	}
	if (!search(w->host, &byte, found)) {
		return false;
	}
	if (is_whole(w->host, a->space, found)) {
		*hint = *found;
	}
	return true;
}

/* The BAR that holds the whole access, and where in it; false: nobody answers. */
static bool claim(struct pci_window *w, const struct vdev_access *a, struct pci_window_hint *found,
		  uint64_t *offset)
{
	bool fits = false;

	lock_acquire(&w->host->dev.lock);
	if (find(w, a, found)) {
		const struct pci_bar *b = &found->function->bars[found->bar];

		*offset = a->addr - b->address;
		fits = range_fits(*offset, a->size, b->size) && found->function->ops != NULL &&
		       found->function->ops->bar_read != NULL;
	}
	lock_release(&w->host->dev.lock);
	if (!fits) {
		vdev_miss(a);
	}
	return fits;
}

/* Where firmware has put ECAM, among the BARs: the access as the host wants it. */
static bool is_ecam(const struct pci_window *w, const struct vdev_access *a,
		    struct vdev_access *there)
{
	bool is;

	if (!w->host->cfg.firmware || a->space != BUS_MMIO) {
		return false;
	}
	*there = *a;
	lock_acquire(&w->host->dev.lock);
	is = pci_host_ecam(w->host, a->addr, &there->offset);
	lock_release(&w->host->dev.lock);
	return is;
}

static uint64_t window_read(struct vdev *dev, const struct vdev_access *a)
{
	struct vdev *host = &to_window(dev)->host->dev;
	struct vdev_access there;
	struct pci_window_hint at;
	uint64_t offset;

	if (is_ecam(to_window(dev), a, &there)) {
		return host->ops->read(host, &there);
	}
	if (!claim(to_window(dev), a, &at, &offset)) {
		return ~0ull;
	}
	return at.function->ops->bar_read(at.function, at.bar, offset, a->size);
}

static void window_write(struct vdev *dev, const struct vdev_access *a, uint64_t value)
{
	struct vdev *host = &to_window(dev)->host->dev;
	struct vdev_access there;
	struct pci_window_hint at;
	uint64_t offset;

	if (is_ecam(to_window(dev), a, &there)) {
		host->ops->write(host, &there, value);
	} else if (claim(to_window(dev), a, &at, &offset)) {
		at.function->ops->bar_write(at.function, at.bar, offset, a->size, value);
	}
}

/* The host resets the functions. */
static void window_reset(struct vdev *dev)
{
	(void)dev;
}

static const struct vdev_ops window_ops = {
	.name = "PCI windows",
	.read = window_read,
	.write = window_write,
	.reset = window_reset,
};

void pci_window_init(struct pci_window *w, struct pci_host *host)
{
	*w = (struct pci_window){.dev.ops = &window_ops, .host = host};
}
