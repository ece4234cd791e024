/* SPDX-License-Identifier: Apache-2.0 */
/* Who gets a frame: the switch's tables and limits. */
#include "hv/net/switch.h"

#include "hv/api/clock.h"
#include "hv/base/bits.h"
#include "hv/base/check.h"
#include "hv/net/offload.h"
#include "mm/pool.h"

static_assert(NETWORK_PORTS_MAX == 64, "sets of ports are words");

/* A bucket of a rate holds a fiftieth of a second, of frames that flood a quarter of one. */
#define RATE_DEPTH_MIN KIB(16)
#define RATE_DEPTH_PARTS 50u
#define STORM_DEPTH_MIN 8u
#define STORM_DEPTH_PARTS 4u
/* What may wait: for a quarter of a second, two of the longest frames at least. */
#define HELD_PARTS 4u
#define HELD_BYTES_MIN KIB(128)

static struct {
	struct networks_config cfg;
	unsigned count;
	struct network *all[NETWORKS_MAX]; /* never removed */
} nets;

/* What is known of a frame while it is looked at. */
struct passage {
	struct net_frame *frame;
	unsigned from; /* index of the port, which may be another's when the lock was let go */
	bool isolated; /* that port */
	struct net_mac to;
	uint64_t to_mac;
	uint64_t from_mac;
	uint64_t now;
	uint64_t ports; /* where `to` led when that was looked up last: ports_of */
};

/* --- addresses --- */

static bool is_group(const uint8_t *mac)
{
	return (mac[0] & 1) != 0;
}

/* 01-80-C2-00-00-00 .. 0F stay on their link (IEEE 802.1D, "Reserved addresses"). */
static bool is_link_local(uint64_t mac)
{
	return (mac & ~0xfull) == 0x0180c2000000ull;
}

/* The port whose own address this is, and nobody else's; NETWORK_PORTS_MAX: none's. */
static unsigned owner_of(const struct network *n, uint64_t mac)
{
	for (unsigned i = 0; i < n->port_top && mac != 0; i++) {
		if (n->fixed_macs[i] == mac) {
			return i;
		}
	}
	return NETWORK_PORTS_MAX;
}

/* All ports: the address is a group's, or nobody knows it. */
#define PORTS_FLOOD (~0ull)

/* The ports that an address leads to: one, or PORTS_FLOOD. */
static uint64_t ports_of(const struct network *n, const struct passage *p)
{
	unsigned port = owner_of(n, p->to_mac);

	if (port == NETWORK_PORTS_MAX) {
		port = mac_table_find(&n->macs, p->to_mac, p->now);
	}
	return port == MAC_TABLE_UNKNOWN ? PORTS_FLOOD : BIT(port);
}

/* --- whom it reaches --- */

static bool is_wanted(const struct network_port *port, const struct net_mac *to)
{
	struct net_port *p = port->port;

	return p->ops->wants == NULL || p->ops->wants(p, to);
}

/* The ports that get the frame, as a set. */
static uint64_t targets(const struct network *n, const struct passage *p)
{
	uint64_t set = p->ports & n->connected & ~BIT(p->from);

	if (is_link_local(p->to_mac)) {
		return 0;
	}
	if (p->isolated) {
		set &= ~n->isolated;
	}
	for (uint64_t left = set; left != 0; left &= left - 1) {
		unsigned i = (unsigned)__builtin_ctzll(left);

		if (!is_wanted(&n->ports[i], &p->to)) {
			set &= ~BIT(i);
		}
	}
	return set;
}

/* Whether the port takes the frame with what is left to do on it. */
static bool takes_as_is(const struct net_port *p, const struct net_offload *o)
{
	switch ((enum net_gso)o->gso) {
	case NET_GSO_TCPV4:
		return p->takes_tso4;
	case NET_GSO_TCPV6:
		return p->takes_tso6;
	case NET_GSO_NONE:
		break;
	}
	return !o->needs_checksum || p->takes_checksum;
}

/* Those of a set of ports that need the frame finished. */
static uint64_t in_need(const struct network *n, uint64_t set, const struct net_frame *f)
{
	uint64_t need = 0;

	for (; set != 0; set &= set - 1) {
		unsigned i = (unsigned)__builtin_ctzll(set);

		need |= takes_as_is(n->ports[i].port, &f->offload) ? 0 : BIT(i);
	}
	return need;
}

static void add(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static void deliver(struct net_port *p, struct net_frame *f)
{
	if (p->ops->deliver(p, f)) {
		add(&p->stats.rx_frames, 1);
		add(&p->stats.rx_bytes, f->len);
	} else {
		add(&p->stats.rx_dropped, 1);
	}
}

static void deliver_to_all(struct network *n, uint64_t set, uint64_t need, struct net_frame *f,
			   struct net_frame *finished)
{
	for (; set != 0; set &= set - 1) {
		unsigned i = (unsigned)__builtin_ctzll(set);
		struct net_port *p = n->ports[i].port;

		if ((need & BIT(i)) == 0) {
			deliver(p, f);
			continue;
		}
		for (struct net_frame *part = finished; part != NULL; part = part->next) {
			deliver(p, part);
		}
		add(&p->stats.rx_dropped, finished == NULL ? 1 : 0);
	}
}

/* --- the way of a frame --- */

static struct passage passage_of(const struct network_port *from, struct net_frame *f, uint64_t now)
{
	struct passage p = {
		.frame = f,
		.from = from->index,
		.isolated = (from->network->isolated & BIT(from->index)) != 0,
		.to_mac = mac_pack(f->data),
		.from_mac = mac_pack(f->data + NET_MAC_BYTES),
		.now = now,
	};

	memcpy(p.to.bytes, f->data, NET_MAC_BYTES);
	return p;
}

static void record(struct network *n, const struct net_frame *f)
{
	uint32_t ns;
	uint64_t seconds;

	if (n->capture.running) {
		seconds = nets.cfg.wallclock(&ns);
		capture_frame(&n->capture, f, seconds, ns);
	}
}

/* Delivers a frame that may pass. The lock is held, and let go while the frame is finished. */
static void forward(struct network *n, struct passage *p)
{
	struct net_frame *finished = NULL;
	uint64_t set = targets(n, p);
	uint64_t need = in_need(n, set, p->frame);

	record(n, p->frame);
	if (need != 0) {
		lock_release(&n->lock);
		finished = net_offload_finish(p->frame);
		lock_acquire(&n->lock);
		/* Ports may have come and gone. */
		p->ports = ports_of(n, p);
		set = targets(n, p);
		need = in_need(n, set, p->frame);
	}
	deliver_to_all(n, set, need, p->frame, finished);
	net_frame_put_list(finished);
}

/* Drops a frame of a port whose counters are there, for the reason that `why` counts. */
static void drop(struct network_port *from, _Atomic uint64_t *why)
{
	add(why, 1);
	if (from->port != NULL) {
		add(&from->port->stats.tx_dropped, 1);
	}
}

/* The lock is held, and perhaps let go meanwhile. */
static void pass(struct network_port *from, struct net_frame *f, uint64_t now)
{
	struct network *n = from->network;
	struct passage p = passage_of(from, f, now);

	if (n->fixed_macs[from->index] == 0) {
		mac_table_learn(&n->macs, p.from_mac, from->index, now);
	}
	p.ports = ports_of(n, &p);
	if (p.ports == PORTS_FLOOD) {
		if (!token_bucket_ready(&from->storm, now)) {
			drop(from, &from->drops.storm);
			return;
		}
		token_bucket_take(&from->storm, 1);
	}
	add(&from->port->stats.tx_frames, 1);
	add(&from->port->stats.tx_bytes, f->len);
	forward(n, &p);
}

/* --- rates --- */

/* Ticks at which the port may send again. */
static void arm(struct network_port *from)
{
	timer_arm(&from->timer, from->rate.updated + token_bucket_wait(&from->rate));
}

static bool must_wait(struct network_port *from, uint64_t now)
{
	return from->cfg.rate != 0 &&
	       (from->held != NULL || from->draining || !token_bucket_ready(&from->rate, now));
}

/* Keeps the frame and its reference until its turn; false: too many wait. */
static bool hold(struct network_port *from, struct net_frame *f)
{
	if (from->held_count == NETWORK_HELD_MAX ||
	    from->held_bytes + f->len > max_u64(from->cfg.rate / HELD_PARTS, HELD_BYTES_MIN) ||
	    !net_frames_allow(from->held_cost, f)) {
		return false;
	}
	if (from->held == NULL && !from->draining) {
		arm(from);
	}
	f->next = NULL;
	*from->held_end = f;
	from->held_end = &f->next;
	from->held_count++;
	from->held_bytes += f->len;
	from->held_cost += net_frame_cost(f);
	add(&from->held_total, 1);
	return true;
}

static struct net_frame *take_held(struct network_port *from)
{
	struct net_frame *f = from->held;

	from->held = f->next;
	if (from->held == NULL) {
		from->held_end = &from->held;
	}
	from->held_count--;
	from->held_bytes -= f->len;
	from->held_cost -= net_frame_cost(f);
	return f;
}

/* What waited is sent, as far as the bucket goes: it is filled once, so this ends. */
static void drain(struct timer *t)
{
	struct network_port *from = container_of(t, struct network_port, timer);
	struct network *n = from->network;
	uint64_t now;

	lock_acquire(&n->lock);
	now = clock_now();
	from->draining = true;
	while (from->held != NULL && token_bucket_ready(&from->rate, now)) {
		struct net_frame *f = take_held(from);

		token_bucket_take(&from->rate, f->len);
		pass(from, f, now);
		net_frame_put(f);
	}
	from->draining = false;
	if (from->held != NULL) {
		arm(from);
	}
	lock_release(&n->lock);
}

/* --- sending --- */

/* TCP is between two: a long frame to a group would only be work for each of its members. */
static bool is_frame(const struct net_frame *f)
{
	const uint8_t *from = f->data + NET_MAC_BYTES;

	return net_offload_valid(f) && !is_group(from) && mac_pack(from) != 0 &&
	       !(is_group(f->data) && f->offload.gso != NET_GSO_NONE);
}

static bool is_spoofed(const struct network_port *from, const struct net_frame *f)
{
	const struct network *n = from->network;
	uint64_t mac = mac_pack(f->data + NET_MAC_BYTES);
	uint64_t own = n->fixed_macs[from->index];

	return own != 0 ? mac != own : owner_of(n, mac) < NETWORK_PORTS_MAX;
}

static void switch_send(struct net_port *p, struct net_frame *f)
{
	struct network_port *from = p->sw;
	struct network *n = from->network;
	bool good = is_frame(f);
	uint64_t now;

	lock_acquire(&n->lock);
	now = clock_now();
	if (!good) {
		drop(from, &from->drops.malformed);
	} else if (is_spoofed(from, f)) {
		drop(from, &from->drops.spoofed);
	} else if (must_wait(from, now)) {
		if (hold(from, f)) {
			f = NULL;
		} else {
			drop(from, &from->drops.rate);
		}
	} else {
		if (from->cfg.rate != 0) {
			token_bucket_take(&from->rate, f->len);
		}
		pass(from, f, now);
	}
	lock_release(&n->lock);
	if (f != NULL) {
		net_frame_put(f);
	}
}

/* --- networks --- */

void networks_init(const struct networks_config *cfg)
{
	nets.cfg = *cfg;
	nets.count = 0;
}

static void init_port(struct network *n, unsigned index)
{
	struct network_port *port = &n->ports[index];

	port->network = n;
	port->index = index;
	timer_init(&port->timer, nets.cfg.timers, drain);
}

enum hv_status network_add(const struct network_config *cfg)
{
	struct network *n;

	if (network_find(span_of(cfg->name)) != NULL) {
		return HV_E_EXISTS;
	}
	if (nets.count == NETWORKS_MAX) {
		return HV_E_RANGE;
	}
	n = pool_alloc(sizeof(*n));
	if (n == NULL) {
		return HV_E_NO_MEMORY;
	}
	n->cfg = *cfg;
	for (unsigned i = 0; i < NETWORK_PORTS_MAX; i++) {
		init_port(n, i);
	}
	nets.all[nets.count++] = n;
	return HV_OK;
}

struct network *network_find(struct span name)
{
	for (unsigned i = 0; i < nets.count; i++) {
		if (span_eq(name, nets.all[i]->cfg.name)) {
			return nets.all[i];
		}
	}
	return NULL;
}

unsigned network_count(void)
{
	return nets.count;
}

struct network *network_at(unsigned index)
{
	return index < nets.count ? nets.all[index] : NULL;
}

/* --- ports --- */

/* HV_E_EXISTS as network_connect says. Lock held. */
static enum hv_status find_conflict(const struct network *n, const struct net_port *p,
				    const struct network_port_config *cfg)
{
	uint64_t mac = mac_pack(p->mac.bytes);

	if (cfg->uplink && n->uplink != 0) {
		return HV_E_EXISTS;
	}
	for (uint64_t left = n->connected; left != 0; left &= left - 1) {
		const struct net_port *other = n->ports[__builtin_ctzll(left)].port;

		if (mac_pack(other->mac.bytes) == mac) {
			return HV_E_EXISTS;
		}
	}
	return ~n->connected == 0 ? HV_E_RANGE : HV_OK;
}

static void reset_port(struct network_port *port, struct net_port *p,
		       const struct network_port_config *cfg)
{
	uint64_t storm = port->network->cfg.storm;
	uint64_t now = clock_now();

	port->port = p;
	port->cfg = *cfg;
	port->drops = (struct network_drops){0};
	atomic_store(&port->held_total, 0);
	port->held = NULL;
	port->held_end = &port->held;
	port->held_count = 0;
	port->held_bytes = 0;
	port->held_cost = 0;
	port->draining = false;
	token_bucket_init(&port->storm, storm, max_u64(storm / STORM_DEPTH_PARTS, STORM_DEPTH_MIN),
			  now);
	token_bucket_init(&port->rate, max_u64(cfg->rate, 1),
			  max_u64(cfg->rate / RATE_DEPTH_PARTS, RATE_DEPTH_MIN), now);
}

static void occupy(struct network *n, struct net_port *p, const struct network_port_config *cfg)
{
	unsigned i = (unsigned)__builtin_ctzll(~n->connected);
	bool fixed = !cfg->uplink && !n->cfg.any_mac;

	reset_port(&n->ports[i], p, cfg);
	n->fixed_macs[i] = fixed ? mac_pack(p->mac.bytes) : 0;
	n->connected |= BIT(i);
	n->uplink |= cfg->uplink ? BIT(i) : 0;
	n->isolated |= !cfg->uplink && (cfg->isolated || n->cfg.isolated) ? BIT(i) : 0;
	n->port_top = (unsigned)max_u64(n->port_top, i + 1);
	p->sw = &n->ports[i];
	p->send = switch_send;
}

static void tell_link(struct net_port *p, bool up)
{
	if (p->ops->link_changed != NULL) {
		p->ops->link_changed(p, up);
	}
}

enum hv_status network_connect(struct network *n, struct net_port *p,
			       const struct network_port_config *cfg)
{
	enum hv_status status;

	CHECK(p->sw == NULL);
	lock_acquire(&n->lock);
	status = find_conflict(n, p, cfg);
	if (status == HV_OK) {
		occupy(n, p, cfg);
	}
	lock_release(&n->lock);
	if (status == HV_OK) {
		tell_link(p, true);
	}
	return status;
}

void network_disconnect(struct net_port *p)
{
	struct network_port *port = p->sw;
	struct network *n;
	uint64_t bit;

	if (port == NULL) {
		return;
	}
	n = port->network;
	bit = BIT(port->index);
	tell_link(p, false);
	lock_acquire(&n->lock);
	n->connected &= ~bit;
	n->isolated &= ~bit;
	n->uplink &= ~bit;
	n->fixed_macs[port->index] = 0;
	mac_table_forget(&n->macs, port->index);
	net_frame_put_list(port->held);
	port->held = NULL;
	port->port = NULL;
	timer_cancel(&port->timer);
	lock_release(&n->lock);
	p->send = NULL;
	p->sw = NULL;
}

struct network_port *network_port_of(const struct net_port *p)
{
	return p->sw;
}

unsigned network_learnt(struct network *n)
{
	unsigned count;

	lock_acquire(&n->lock);
	count = mac_table_count(&n->macs, clock_now());
	lock_release(&n->lock);
	return count;
}

/* --- captures --- */

enum hv_status network_capture_start(struct network *n)
{
	enum hv_status status;

	lock_acquire(&n->lock);
	status = capture_start(&n->capture);
	lock_release(&n->lock);
	return status;
}

void network_capture_stop(struct network *n)
{
	lock_acquire(&n->lock);
	capture_stop(&n->capture);
	lock_release(&n->lock);
}

size_t network_capture_read(struct network *n, uint64_t *pos, uint8_t *out, size_t bytes)
{
	size_t done;

	lock_acquire(&n->lock);
	done = capture_read(&n->capture, pos, out, bytes);
	lock_release(&n->lock);
	return done;
}

void network_capture_info(struct network *n, struct network_capture_info *out)
{
	lock_acquire(&n->lock);
	*out = (struct network_capture_info){
		.running = n->capture.running,
		.frames = n->capture.frames,
		.bytes = n->capture.end - n->capture.start,
		.end = n->capture.end,
	};
	lock_release(&n->lock);
}
