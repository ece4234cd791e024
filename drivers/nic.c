/* SPDX-License-Identifier: Apache-2.0 */
/* What all network cards have in common: the table of them, batches, the watch over the sender. */
#include "drivers/nic.h"

#include "drivers/e1000.h"
#include "drivers/virtio_net.h"
#include "hv/api/clock.h"
#include "hv/base/bits.h"
#include "hv/base/fmt.h"
#include "hv/base/log.h"
#include "hv/base/str.h"

#define PCI_CLASS_ETHERNET 0x0200u /* base class and sub-class */

static const struct nic_driver *const drivers[] = {&e1000_driver, &virtio_net_driver};

static struct {
	struct host_nic *nic[HOST_NICS_MAX];
	unsigned count;
	unsigned per_driver[ARRAY_SIZE(drivers)]; /* how many there are: for their names */
} nics;

static void arm(struct timer *t, uint64_t ns)
{
	timer_arm(t, clock_now() + clock_ns_to_ticks(ns));
}

/* --- resets; with the lock held --- */

static void give_up(struct host_nic *n, const char *why)
{
	n->driver->reset(n);
	host_pci_disable(n->pci);
	n->state = NIC_FAILED;
	host_nic_set_link(n, false, 0);
	log_error("%s: %s: not used any more", n->name, why);
}

static void begin_reset(struct host_nic *n)
{
	atomic_fetch_add_explicit(&n->stats.resets, 1, memory_order_relaxed);
	if (n->fruitless == NIC_RESETS_MAX) {
		give_up(n, "no reset helps");
		return;
	}
	n->fruitless++;
	log_warn("%s: %u frames wait and none is sent: reset", n->name, n->in_flight);
	n->driver->reset(n);
	n->state = NIC_RESETTING;
	arm(&n->watch, NIC_RESET_NS);
}

/* Whether there is a reason to look again soon. */
static bool needs_watch(const struct host_nic *n)
{
	return n->in_flight != 0 || (!n->link_up && n->driver->look != NULL);
}

static void running(struct host_nic *n)
{
	n->paused = false;
	n->state = NIC_RUNNING;
	if (needs_watch(n)) {
		arm(&n->watch, NIC_WATCH_NS);
	}
}

static void finish_reset(struct host_nic *n)
{
	enum hv_status status = n->driver->start(n);

	if (status != HV_OK) {
		give_up(n, hv_status_name(status));
		return;
	}
	running(n);
}

/* --- frames --- */

void host_nic_hold(struct host_nic *n, struct net_frame *f)
{
	if (n->in_flight == 0) {
		n->progress = clock_now();
	}
	n->in_flight++;
	n->held += net_frame_cost(f);
	(void)net_frame_get(f);
}

void host_nic_release(struct host_nic *n, struct net_frame *f)
{
	n->in_flight--;
	n->held -= net_frame_cost(f);
	net_frame_put(f);
}

struct net_frame *host_nic_copy(struct host_nic *n, const void *data, uint32_t len)
{
	struct net_frame *f;

	if (len < NET_FRAME_MIN || len > NET_WIRE_MAX) {
		atomic_fetch_add_explicit(&n->stats.rx_bad, 1, memory_order_relaxed);
		return NULL;
	}
	f = net_frame_alloc(len);
	if (f == NULL) {
		atomic_fetch_add_explicit(&n->stats.rx_no_memory, 1, memory_order_relaxed);
		return NULL;
	}
	memcpy(f->data, data, len);
	f->len = len;
	return f;
}

/* Whether more may wait. */
static bool receive_batch(struct host_nic *n, struct net_frame **first)
{
	struct net_frame **end = first;
	unsigned count = 0;

	*first = NULL;
	while (count < NIC_BATCH && n->driver->receive(n, end)) {
		count++;
		if (*end != NULL) {
			end = &(*end)->next;
		}
	}
	*end = NULL;
	if (count != 0) {
		n->driver->refill(n);
	}
	return count == NIC_BATCH;
}

static void reap(struct host_nic *n)
{
	unsigned before = n->in_flight;

	n->driver->reap(n);
	if (n->in_flight != before) {
		n->fruitless = 0;
		n->progress = clock_now();
	}
}

/* With the lock held: what an interrupt, or the timer in its place, has to do. */
static void serve_locked(struct host_nic *n, struct net_frame **received)
{
	if (n->state != NIC_RUNNING) {
		return;
	}
	if (!n->driver->acknowledge(n)) {
		give_up(n, "it does not answer, or makes no sense");
		return;
	}
	/* On before the look at the ring, or a frame that comes between would go unnoticed. */
	if (n->paused) {
		n->driver->interrupts(n, true);
	}
	n->paused = receive_batch(n, received);
	if (n->paused) {
		n->driver->interrupts(n, false);
		atomic_fetch_add_explicit(&n->stats.pauses, 1, memory_order_relaxed);
		arm(&n->pause, NIC_PAUSE_NS);
	}
	reap(n);
}

static void serve(struct host_nic *n)
{
	struct net_frame *f = NULL;

	lock_acquire(&n->lock);
	serve_locked(n, &f);
	lock_release(&n->lock);
	while (f != NULL) {
		struct net_frame *next = f->next;

		f->next = NULL;
		net_port_send(&n->port, f);
		f = next;
	}
}

static void on_interrupt(void *ctx, unsigned index)
{
	(void)index;
	serve(ctx);
}

static void pause_over(struct timer *t)
{
	serve(container_of(t, struct host_nic, pause));
}

static bool transmit(struct host_nic *n, struct net_frame *f)
{
	bool fits = f->offload.gso != NET_GSO_NONE || f->len <= NET_WIRE_MAX;

	if (n->state != NIC_RUNNING || !n->link_up || !fits || f->len < NET_FRAME_MIN) {
		return false;
	}
	reap(n);
	if (!net_frames_allow(n->held, f) || !n->driver->transmit(n, f)) {
		return false;
	}
	if (!n->watch.armed) {
		arm(&n->watch, NIC_WATCH_NS);
	}
	return true;
}

static bool deliver(struct net_port *p, struct net_frame *f)
{
	struct host_nic *n = container_of(p, struct host_nic, port);
	bool taken;

	lock_acquire(&n->lock);
	taken = transmit(n, f);
	lock_release(&n->lock);
	if (!taken) {
		atomic_fetch_add_explicit(&n->stats.tx_refused, 1, memory_order_relaxed);
	}
	return taken;
}

static const struct net_port_ops port_ops = {.deliver = deliver};

/* Also frees the last frames that were sent. */
static void look_after(struct host_nic *n)
{
	reap(n);
	if (n->driver->look != NULL) {
		n->driver->look(n);
	}
	/* Without a link frames wait for one, and that is no fault of the card's. */
	if (!n->link_up) {
		n->progress = clock_now();
	}
	if (n->in_flight != 0 && clock_now() - n->progress >= clock_ns_to_ticks(NIC_STUCK_NS)) {
		begin_reset(n);
	} else if (needs_watch(n)) {
		arm(&n->watch, NIC_WATCH_NS);
	}
}

static void watch(struct timer *t)
{
	struct host_nic *n = container_of(t, struct host_nic, watch);

	lock_acquire(&n->lock);
	if (n->state == NIC_RUNNING) {
		look_after(n);
	} else if (n->state == NIC_RESETTING) {
		finish_reset(n);
	}
	lock_release(&n->lock);
}

/* --- the link --- */

void host_nic_set_link(struct host_nic *n, bool up, uint32_t speed)
{
	bool changed = n->link_up != up || (up && n->speed != speed);

	n->link_up = up;
	n->speed = up ? speed : 0;
	if (changed && up && speed != 0) {
		log_info("%s: link up, %u Mbit/s", n->name, speed);
	} else if (changed) {
		log_info("%s: link %s", n->name, up ? "up" : "down");
	}
}

/* --- the table --- */

bool host_nic_mac_valid(const struct net_mac *mac)
{
	uint8_t any = 0;

	for (unsigned i = 0; i < NET_MAC_BYTES; i++) {
		any |= mac->bytes[i];
	}
	return any != 0 && (mac->bytes[0] & 1) == 0;
}

void host_nic_describe(const struct host_nic *n, char *buf, size_t cap)
{
	static const char *const states[] = {
		[NIC_OFF] = "not used",
		[NIC_RUNNING] = "link down",
		[NIC_RESETTING] = "being reset",
		[NIC_FAILED] = "failed",
	};
	bool up = n->state == NIC_RUNNING && n->link_up;
	const uint8_t *m = n->port.mac.bytes;

	fmt_snprintf(buf, cap, "%s at %s, %s, %02x:%02x:%02x:%02x:%02x:%02x, %s", n->name,
		     n->address, n->model, m[0], m[1], m[2], m[3], m[4], m[5],
		     up ? "link up" : states[n->state]);
}

static void add(unsigned driver, struct host_nic *n)
{
	char line[128];

	n->driver = drivers[driver];
	n->port.ops = &port_ops;
	fmt_snprintf(n->name, sizeof(n->name), "%s-%u", n->driver->name, nics.per_driver[driver]++);
	host_pci_name(n->pci, n->address);
	timer_init(&n->pause, NULL, pause_over);
	timer_init(&n->watch, NULL, watch);
	host_pci_disable(n->pci);
	nics.nic[nics.count++] = n;
	host_nic_describe(n, line, sizeof(line));
	log_info("network card: %s", line);
}

static void look_at(struct host_pci *f)
{
	char name[HOST_PCI_NAME_MAX];

	for (unsigned i = 0; i < ARRAY_SIZE(drivers); i++) {
		struct host_nic *n;

		if (!drivers[i]->matches(f)) {
			continue;
		}
		f->owner = drivers[i]->name;
		n = drivers[i]->probe(f);
		if (n != NULL) {
			add(i, n);
		}
		return;
	}
	host_pci_name(f, name);
	log_info("network card: no driver for %04x:%04x at %s", f->vendor, f->device, name);
}

unsigned host_nics_init(void)
{
	nics.count = 0;
	memset(nics.per_driver, 0, sizeof(nics.per_driver));
	for (unsigned i = 0; i < host_pci_count(); i++) {
		struct host_pci *f = host_pci_at(i);

		if (f->owner != NULL || f->class_code >> 8 != PCI_CLASS_ETHERNET) {
			continue;
		}
		if (nics.count == HOST_NICS_MAX) {
			log_warn("network cards: more than %u, the rest is not used",
				 HOST_NICS_MAX);
			break;
		}
		look_at(f);
	}
	return nics.count;
}

unsigned host_nic_count(void)
{
	return nics.count;
}

struct host_nic *host_nic_at(unsigned index)
{
	return index < nics.count ? nics.nic[index] : NULL;
}

struct host_nic *host_nic_by_pci(uint16_t segment, uint8_t bus, uint8_t devfn)
{
	for (unsigned i = 0; i < nics.count; i++) {
		const struct host_pci *f = nics.nic[i]->pci;

		if (f->segment == segment && f->bus == bus && f->devfn == devfn) {
			return nics.nic[i];
		}
	}
	return NULL;
}

struct host_nic *host_nic_by_mac(const struct net_mac *mac)
{
	for (unsigned i = 0; i < nics.count; i++) {
		if (memcmp(&nics.nic[i]->port.mac, mac, sizeof(*mac)) == 0) {
			return nics.nic[i];
		}
	}
	return NULL;
}

enum hv_status host_nic_start(struct host_nic *n)
{
	unsigned messages = 1;
	enum hv_status status;

	if (n->state != NIC_OFF) {
		return HV_E_EXISTS;
	}
	host_pci_enable(n->pci);
	status = host_pci_interrupts(n->pci, &messages, on_interrupt, n);
	lock_acquire(&n->lock);
	if (status == HV_OK) {
		status = n->driver->start(n);
	}
	if (status == HV_OK) {
		running(n);
	} else {
		give_up(n, hv_status_name(status));
	}
	lock_release(&n->lock);
	return status;
}
