/* SPDX-License-Identifier: Apache-2.0 */
/* The standard VGA between the buses and its registers. */
#include "guests/devices/vga.h"

#include "guests/devices/vga_dispi.h"
#include "guests/devices/vga_planes.h"
#include "guests/devices/vga_regs.h"
#include "guests/devices/vga_views.h"
#include "guests/layout.h"
#include "hv/base/bits.h"
#include "hv/base/str.h"

#define VENDOR 0x1234u
#define DEVICE 0x1111u
#define REVISION 2u
#define CLASS_VGA 0x030000u
#define SUBSYSTEM_VENDOR 0x1af4u
#define SUBSYSTEM 0x1100u

#define BAR_MMIO 2u
#define MMIO_VGA 0x400u /* ports 0x3c0 to 0x3df */
#define MMIO_VGA_BYTES 0x20u
#define MMIO_VGA_PORT 0x3c0u
#define MMIO_DISPI 0x500u
#define MMIO_DISPI_BYTES (VGA_DISPI_COUNT * 2ull)
#define MMIO_EXTENDED 0x600u
#define MMIO_EXTENDED_BYTES 8u
#define MMIO_BYTE_ORDER 0x604u
#define ORDER_LITTLE 0x1e1e1e1eu
#define ORDER_BIG 0xbebebebeu

static struct vga *to_vga(struct vdev *dev)
{
	return container_of(dev, struct vga, dev);
}

static struct vga *pci_to_vga(struct pci_device *d)
{
	return container_of(d, struct vga, pci);
}

/* Host's lock held. */
static void bar_changed(struct pci_device *d, unsigned bar)
{
	if (bar == VGA_BAR_MEMORY) {
		vga_views_show_framebuffer(pci_to_vga(d));
	}
}

/* ---- registers ---- */

static void note(const struct vga *v, uint16_t port, bool write)
{
	uint32_t what;
	enum lacks_kind kind = vga_regs_lack(&v->state, port, write, &what);

	if (kind != LACKS_NOTHING) {
		vdev_lacks(&v->dev, kind, what);
	}
}

static uint8_t read_port(struct vga *v, uint16_t port)
{
	note(v, port, false);
	return vga_regs_read(&v->state, port, vtime_now_ns(v->cfg.time));
}

static void write_port(struct vga *v, uint16_t port, uint8_t value)
{
	note(v, port, true);
	vga_regs_write(&v->state, port, value);
}

static void note_dispi(const struct vga *v)
{
	if (v->state.dispi_index >= VGA_DISPI_COUNT) {
		vdev_lacks(&v->dev, LACKS_INDEX,
			   (uint64_t)VGA_DISPI_PORT_DATA << 16 | v->state.dispi_index);
	}
}

static uint64_t read_dispi_port(const struct vga *v, uint64_t port)
{
	if (port == VGA_DISPI_PORT_INDEX) {
		return v->state.dispi_index;
	}
	note_dispi(v);
	return vga_dispi_read(&v->state, &v->cfg.memory, v->state.dispi_index);
}

static void write_dispi(struct vga *v, unsigned index, uint16_t value)
{
	vga_views_begin(v, vga_dispi_write(&v->state, &v->cfg.memory, index, value));
}

static void write_dispi_port(struct vga *v, uint64_t port, uint16_t value)
{
	if (port == VGA_DISPI_PORT_INDEX) {
		v->state.dispi_index = value;
	} else {
		note_dispi(v);
		write_dispi(v, v->state.dispi_index, value);
	}
}

/* ---- ports and the legacy window ---- */

static uint64_t read_window(struct vga *v, uint32_t offset)
{
	const uint8_t *text = vga_views_window(v, offset);

	return text != NULL ? *text : vga_window_read(&v->state, &v->cfg.memory, offset);
}

static void write_window(struct vga *v, uint32_t offset, uint8_t value)
{
	uint8_t *text = vga_views_window(v, offset);

	if (text != NULL) {
		*text = value;
	} else {
		vga_window_write(&v->state, &v->cfg.memory, offset, value);
	}
}

static uint64_t read_byte(struct vga *v, const struct vdev_access *a, unsigned i)
{
	return a->space == BUS_MMIO ? read_window(v, (uint32_t)(a->addr - LAYOUT_VIDEO_BASE) + i)
				    : read_port(v, (uint16_t)(a->addr + i));
}

static bool is_dispi(const struct vdev_access *a)
{
	return a->space == BUS_PIO && a->addr - VGA_DISPI_PORT_INDEX < VGA_DISPI_PORTS;
}

static uint64_t device_read(struct vdev *dev, const struct vdev_access *a)
{
	struct vga *v = to_vga(dev);
	uint64_t value = 0;

	lock_acquire(&dev->lock);
	if (is_dispi(a)) {
		value = read_dispi_port(v, a->addr);
	} else {
		for (unsigned i = 0; i < a->size; i++) {
			value |= read_byte(v, a, i) << (i * 8);
		}
	}
	lock_release(&dev->lock);
	return value;
}

static void write_memory(struct vga *v, const struct vdev_access *a, uint64_t value)
{
	for (unsigned i = 0; i < a->size; i++) {
		write_window(v, (uint32_t)(a->addr - LAYOUT_VIDEO_BASE) + i,
			     (uint8_t)(value >> (i * 8)));
	}
}

static void write_ports(struct vga *v, const struct vdev_access *a, uint64_t value)
{
	for (unsigned i = 0; i < a->size; i++) {
		write_port(v, (uint16_t)(a->addr + i), (uint8_t)(value >> (i * 8)));
	}
}

static void device_write(struct vdev *dev, const struct vdev_access *a, uint64_t value)
{
	struct vga *v = to_vga(dev);

	lock_acquire(&dev->lock);
	if (a->space == BUS_MMIO) {
		write_memory(v, a, value);
	} else {
		if (is_dispi(a)) {
			write_dispi_port(v, a->addr, (uint16_t)value);
		} else {
			write_ports(v, a, value);
		}
		vga_views_update(v);
	}
	lock_release(&dev->lock);
}

static void device_reset(struct vdev *dev)
{
	struct vga *v = to_vga(dev);

	lock_acquire(&dev->lock);
	vga_regs_reset(&v->state);
	vga_views_update(v);
	lock_release(&dev->lock);
}

static const struct vdev_ops device_ops = {
	.name = "VGA",
	.read = device_read,
	.write = device_write,
	.reset = device_reset,
};

/* ---- BARs ---- */

/* Two bytes of BAR 2 at an even offset; lock held. */
static uint16_t read_mmio_word(struct vga *v, uint64_t offset)
{
	uint32_t order = v->state.big_endian ? ORDER_BIG : ORDER_LITTLE;

	if (offset - MMIO_VGA < MMIO_VGA_BYTES) {
		uint16_t port = (uint16_t)(offset - MMIO_VGA + MMIO_VGA_PORT);
		uint16_t low = read_port(v, port);

		return (uint16_t)(low | read_port(v, (uint16_t)(port + 1)) << 8);
	}
	if (offset - MMIO_DISPI < MMIO_DISPI_BYTES) {
		return vga_dispi_read(&v->state, &v->cfg.memory,
				      (unsigned)(offset - MMIO_DISPI) / 2);
	}
	if (offset == MMIO_EXTENDED) {
		return MMIO_EXTENDED_BYTES;
	}
	return offset == MMIO_BYTE_ORDER || offset == MMIO_BYTE_ORDER + 2 ? (uint16_t)order : 0;
}

/* The VGA's registers have side effects: a byte is read as a byte. */
static uint64_t read_mmio(struct vga *v, uint64_t offset, unsigned size)
{
	uint64_t value = 0;

	if (size == 1 && offset - MMIO_VGA < MMIO_VGA_BYTES) {
		return read_port(v, (uint16_t)(offset - MMIO_VGA + MMIO_VGA_PORT));
	}
	if (size == 1) {
		return (uint64_t)read_mmio_word(v, offset & ~1ull) >> (offset & 1) * 8;
	}
	for (unsigned i = 0; i < size && is_aligned(offset, 2); i += 2) {
		value |= (uint64_t)read_mmio_word(v, offset + i) << (i * 8);
	}
	return value;
}

static void write_mmio_ports(struct vga *v, uint64_t offset, unsigned size, uint64_t value)
{
	for (unsigned i = 0; i < size && offset + i - MMIO_VGA < MMIO_VGA_BYTES; i++) {
		write_port(v, (uint16_t)(offset + i - MMIO_VGA + MMIO_VGA_PORT),
			   (uint8_t)(value >> (i * 8)));
	}
}

static void write_mmio(struct vga *v, uint64_t offset, unsigned size, uint64_t value)
{
	if (offset - MMIO_VGA < MMIO_VGA_BYTES) {
		write_mmio_ports(v, offset, size, value);
	} else if (offset == MMIO_BYTE_ORDER && size == 4) {
		v->state.big_endian = value == ORDER_BIG      ? true
				      : value == ORDER_LITTLE ? false
							      : v->state.big_endian;
	}
	for (unsigned i = 0; i + 2 <= size && is_aligned(offset, 2); i += 2) {
		uint64_t at = offset + i - MMIO_DISPI;

		if (at < MMIO_DISPI_BYTES) {
			write_dispi(v, (unsigned)at / 2, (uint16_t)(value >> (i * 8)));
		}
	}
}

static uint64_t bar_read(struct pci_device *d, unsigned bar, uint64_t offset, unsigned size)
{
	struct vga *v = pci_to_vga(d);
	uint64_t value = 0;

	lock_acquire(&v->dev.lock);
	if (bar == VGA_BAR_MEMORY) {
		vga_views_settle(v, (uint32_t)offset, size);
		memcpy(&value, v->cfg.memory.bytes + offset, size);
	} else {
		value = read_mmio(v, offset, size);
	}
	lock_release(&v->dev.lock);
	return value;
}

static void bar_write(struct pci_device *d, unsigned bar, uint64_t offset, unsigned size,
		      uint64_t value)
{
	struct vga *v = pci_to_vga(d);

	lock_acquire(&v->dev.lock);
	if (bar == VGA_BAR_MEMORY) {
		vga_views_settle(v, (uint32_t)offset, size);
		memcpy(v->cfg.memory.bytes + offset, &value, size);
	} else {
		write_mmio(v, offset, size, value);
		vga_views_update(v);
	}
	lock_release(&v->dev.lock);
}

static void pci_reset(struct pci_device *d)
{
	device_reset(&pci_to_vga(d)->dev);
}

static const struct pci_device_ops pci_ops = {
	.name = "VGA",
	.bar_read = bar_read,
	.bar_write = bar_write,
	.bar_changed = bar_changed,
	.reset = pci_reset,
};

/* ---- saved state ---- */

/* What is to read zero does so in the memory that is saved: the VM stands, and nobody waits. */
static void save(void *dev, void *out)
{
	struct vga *v = dev;
	struct vga_saved *saved = out;

	pci_device_save(&v->pci, &saved->pci);
	lock_acquire(&v->dev.lock);
	vga_views_complete(v);
	vga_state_save(&v->state, &saved->state);
	lock_release(&v->dev.lock);
}

static const char *check(void *dev, const void *in)
{
	const struct vga *v = dev;
	const struct vga_saved *saved = in;
	const char *wrong = pci_device_check(&v->pci, &saved->pci);

	return wrong != NULL ? wrong : vga_state_check(&saved->state, &v->cfg.memory);
}

static void load(void *dev, const void *in)
{
	struct vga *v = dev;
	const struct vga_saved *saved = in;

	lock_acquire(&v->dev.lock);
	vga_state_load(&v->state, &saved->state);
	vga_views_restart(v);
	lock_release(&v->dev.lock);
	pci_device_load(&v->pci, &saved->pci);
}

static void reset_saved(void *dev)
{
	pci_device_reset(&((struct vga *)dev)->pci);
}

static const struct saved_ops saved_ops = {
	.name = "VGA",
	.kind = SAVED_KIND('V', 'G', 'A', ' '),
	.version = VGA_SAVED_VERSION,
	.bytes = sizeof(struct vga_saved),
	.save = save,
	.check = check,
	.load = load,
	.reset = reset_saved,
};

/* ---- set-up ---- */

enum hv_status vga_init(struct vga *v, const struct vga_config *cfg)
{
	const struct pci_device_config pci = {
		.ops = &pci_ops,
		.identity = {.vendor = VENDOR,
			     .device = DEVICE,
			     .class_code = CLASS_VGA,
			     .revision = REVISION,
			     .subsystem_vendor = SUBSYSTEM_VENDOR,
			     .subsystem = SUBSYSTEM},
		.host = cfg->host,
		.devfn = cfg->devfn,
	};
	uint32_t size = cfg->memory.size;
	enum hv_status status;

	if (size < VGA_MEMORY_MIN || size > VGA_MEMORY_MAX || (size & (size - 1)) != 0) {
		return HV_E_INVALID;
	}
	memset(v, 0, sizeof(*v));
	v->dev.ops = &device_ops;
	v->cfg = *cfg;
	saved_device_init(&v->saved, &saved_ops, v);
	vga_regs_reset(&v->state);
	status = pci_device_init(&v->pci, &pci);
	if (status == HV_OK) {
		pci_function_add_ports(&v->pci.function);
		status = pci_function_add_bar(&v->pci.function, VGA_BAR_MEMORY, PCI_BAR_PREFETCH,
					      size);
	}
	if (status == HV_OK) {
		status = pci_function_add_bar(&v->pci.function, BAR_MMIO, 0, VGA_MMIO_BYTES);
	}
	return status == HV_OK ? pci_device_add(&v->pci) : status;
}

void vga_copy_state(struct vga *v, struct vga_state *out)
{
	lock_acquire(&v->dev.lock);
	vga_views_sync(v);
	*out = v->state;
	if (vga_clear_pending(&v->clear)) {
		out->attribute_index &= (uint8_t)~VGA_ATTR_SHOW;
	}
	lock_release(&v->dev.lock);
}
