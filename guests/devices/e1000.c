/* SPDX-License-Identifier: Apache-2.0 */
/* The e1000 model as a PCI function and as a port of a network. */
#include "guests/devices/e1000_internal.h"

#include "hv/base/str.h"

#define CLASS_ETHERNET 0x020000u

#define IOADDR 0u
#define IODATA 4u

static const struct model {
	uint16_t device;
	uint16_t subsystem;
	uint8_t revision;
	uint16_t ports; /* bytes of the I/O BAR */
	bool express;	/* with MSI-X and MSI */
} models[] = {
	[E1000_82540EM] = {E1000_DEVICE_82540EM, 0x001e, 2, 64, false},
	[E1000_82574L] = {E1000_DEVICE_82574L, 0xa01f, 0, 32, true},
};

static struct e1000 *of_pci(struct pci_device *d)
{
	return container_of(d, struct e1000, pci);
}

static struct e1000 *of_port(struct net_port *p)
{
	return container_of(p, struct e1000, port);
}

void e1000_ask(struct e1000 *e)
{
	vwork_ask(&e->work, 0);
}

/* --- the link --- */

bool e1000_loops(const struct e1000 *e)
{
	return (e1000_get(e, E1000_RCTL) & E1000_RCTL_LBM) != 0 ||
	       (e->state.phy[E1000_PHY_CONTROL] & E1000_PHY_CONTROL_LOOPBACK) != 0;
}

bool e1000_link_is_up(const struct e1000 *e)
{
	return (atomic_load(&e->cable) || e1000_loops(e)) &&
	       (e1000_get(e, E1000_CTRL) & E1000_CTRL_SLU) != 0 &&
	       (e->state.phy[E1000_PHY_CONTROL] & E1000_PHY_CONTROL_POWER_DOWN) == 0;
}

void e1000_update_open(struct e1000 *e)
{
	atomic_store(&e->open, e1000_link_is_up(e) && !e1000_loops(e) &&
				       (e1000_get(e, E1000_RCTL) & E1000_RCTL_EN) != 0);
}

void e1000_update_link(struct e1000 *e)
{
	bool up = e1000_link_is_up(e);

	e1000_update_open(e);
	if (up != e->state.link) {
		e->state.link = up;
		e1000_raise(e, E1000_ICR_LSC);
	}
}

/* --- registers in BARs --- */

static uint64_t read_dwords(struct e1000 *e, uint64_t offset, unsigned size)
{
	unsigned first = (unsigned)align_down(offset, 4);
	uint64_t value = e1000_read_register(e, first);

	if (size == 8) {
		value |= (uint64_t)e1000_read_register(e, first + 4) << 32;
	}
	return value >> (offset % 4 * 8);
}

/* Registers are written whole: what is less does nothing. */
static void write_dwords(struct e1000 *e, uint64_t offset, unsigned size, uint64_t value)
{
	if (size < 4 || offset % 4 != 0) {
		return;
	}
	e1000_write_register(e, (unsigned)offset, (uint32_t)value);
	if (size == 8) {
		e1000_write_register(e, (unsigned)offset + 4, (uint32_t)(value >> 32));
	}
}

static bool io_address_is_register(const struct e1000 *e)
{
	return e->state.io_address < E1000_BAR_SIZE && e->state.io_address % 4 == 0;
}

static uint64_t read_port(struct e1000 *e, uint64_t offset)
{
	if (offset == IOADDR) {
		return e->state.io_address;
	}
	return offset == IODATA && io_address_is_register(e)
		       ? e1000_read_register(e, e->state.io_address)
		       : 0;
}

static void write_port(struct e1000 *e, uint64_t offset, unsigned size, uint64_t value)
{
	if (size != 4) {
		return;
	}
	if (offset == IOADDR) {
		e->state.io_address = (uint32_t)value;
	} else if (offset == IODATA && io_address_is_register(e)) {
		e1000_write_register(e, e->state.io_address, (uint32_t)value);
	}
}

static uint64_t on_bar_read(struct pci_device *d, unsigned bar, uint64_t offset, unsigned size)
{
	struct e1000 *e = of_pci(d);
	uint64_t value;

	lock_acquire(&e->lock);
	value = bar == E1000_BAR_PORTS ? read_port(e, offset) : read_dwords(e, offset, size);
	lock_release(&e->lock);
	return value;
}

static void on_bar_write(struct pci_device *d, unsigned bar, uint64_t offset, unsigned size,
			 uint64_t value)
{
	struct e1000 *e = of_pci(d);

	lock_acquire(&e->lock);
	if (bar == E1000_BAR_PORTS) {
		write_port(e, offset, size, value);
	} else {
		write_dwords(e, offset, size, value);
	}
	lock_release(&e->lock);
}

/* --- resets --- */

/* A driver that comes after it is told of the link as of one that came up. */
void e1000_reset_mac(struct e1000 *e)
{
	e1000_reset_interrupts(e);
	e1000_reset_transmit(e);
	e1000_reset_registers(e);
	e1000_drop_received(e);
	atomic_store(&e->missed, 0);
	e->state.link = false;
	e1000_update_link(e);
}

static void on_reset(struct pci_device *d)
{
	struct e1000 *e = of_pci(d);

	lock_acquire(&e->lock);
	e->state.io_address = 0;
	e1000_reset_phy(e);
	e1000_reset_mac(e);
	lock_release(&e->lock);
}

/* --- later --- */

static void on_work(struct vwork *w)
{
	struct e1000 *e = container_of(w, struct e1000, work);

	lock_acquire(&e->lock);
	e1000_update_link(e);
	for (unsigned i = 0; i < E1000_TX_QUEUES; i++) {
		e1000_transmit(e, i);
	}
	e1000_receive(e);
	lock_release(&e->lock);
}

static void on_timer(struct vtimer *t)
{
	struct e1000 *e = container_of(t, struct e1000, timer);

	lock_acquire(&e->lock);
	if (!e->stopped) {
		e->state.irq.armed = TIMER_NEVER;
		e1000_update_interrupts(e);
	}
	lock_release(&e->lock);
}

/* What waited for it can go on. */
static void on_master(struct pci_device *d, bool master)
{
	if (master) {
		e1000_ask(of_pci(d));
	}
}

/* --- the port --- */

static bool port_deliver(struct net_port *p, struct net_frame *f)
{
	struct e1000 *e = of_port(p);
	bool kept;

	if (!atomic_load(&e->open)) {
		return false;
	}
	lock_acquire(&e->rx_lock);
	kept = net_queue_keep(&e->queue, f);
	lock_release(&e->rx_lock);
	if (!kept) {
		atomic_fetch_add(&e->missed, 1);
	}
	e1000_ask(e);
	return kept;
}

static bool port_wants(struct net_port *p, const struct net_mac *to)
{
	struct e1000 *e = of_port(p);
	bool wants;

	lock_acquire(&e->rx_lock);
	wants = e1000_filter(&e->filter, to) != E1000_PASS_NOT;
	lock_release(&e->rx_lock);
	return wants;
}

static void port_link(struct net_port *p, bool up)
{
	struct e1000 *e = of_port(p);

	atomic_store(&e->cable, up);
	e1000_ask(e);
}

static const struct net_port_ops port_ops = {
	.deliver = port_deliver,
	.wants = port_wants,
	.link_changed = port_link,
};

/* --- from beginning to end --- */

static const struct pci_device_ops ops[] = {
	[E1000_82540EM] = {.name = "e1000",
			   .bar_read = on_bar_read,
			   .bar_write = on_bar_write,
			   .reset = on_reset,
			   .master_changed = on_master},
	[E1000_82574L] = {.name = "e1000e",
			  .bar_read = on_bar_read,
			  .bar_write = on_bar_write,
			  .reset = on_reset,
			  .master_changed = on_master},
};

static enum hv_status add_function(struct e1000 *e, const struct e1000_config *cfg)
{
	const struct model *m = &models[cfg->kind];
	struct pci_device_config pci = cfg->place;
	enum hv_status status;

	pci.ops = &ops[cfg->kind];
	pci.identity = (struct pci_identity){
		.vendor = E1000_VENDOR,
		.device = m->device,
		.class_code = CLASS_ETHERNET,
		.revision = m->revision,
		.subsystem_vendor = E1000_VENDOR,
		.subsystem = m->subsystem,
	};
	pci.intx = true;
	pci.express = m->express;
	pci.msi = m->express;
	pci.msix_count = m->express ? E1000_VECTORS : 0;
	pci.msix_bar = E1000_BAR_MSIX;
	status = pci_device_init(&e->pci, &pci);
	if (status == HV_OK) {
		status = pci_function_add_bar(&e->pci.function, E1000_BAR_REGISTERS, 0,
					      E1000_BAR_SIZE);
	}
	if (status == HV_OK) {
		status = pci_function_add_bar(&e->pci.function, E1000_BAR_PORTS, PCI_BAR_IO,
					      m->ports);
	}
	return status == HV_OK ? pci_device_add(&e->pci) : status;
}

enum hv_status e1000_init(struct e1000 *e, const struct e1000_config *cfg)
{
	enum hv_status status = add_function(e, cfg);

	if (status != HV_OK) {
		return status;
	}
	e->kind = cfg->kind;
	e->vm = cfg->vm;
	e->time = cfg->time;
	e->port.ops = &port_ops;
	e->port.mac = cfg->mac;
	vtimer_init(&e->timer, cfg->time, on_timer);
	vwork_init(&e->work, cfg->work, on_work);
	saved_device_init(&e->saved, &e1000_saved_ops[cfg->kind], e);
	e1000_rom_init(e);
	on_reset(&e->pci);
	return HV_OK;
}

void e1000_stop(struct e1000 *e)
{
	lock_acquire(&e->lock);
	e->stopped = true;
	vtimer_cancel(&e->timer);
	e1000_reset_transmit(e);
	lock_release(&e->lock);
	vwork_cancel(&e->work);
	e1000_drop_received(e);
}
