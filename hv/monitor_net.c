/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The monitor about networks: `info networks`, the NICs' part of `stats`, and `capture`. A capture
 * is printed in pieces that a serial port keeps up with: a timer asks for the monitor's chore,
 * which prints the next piece. tools/pcap-from-log makes a file of the lines.
 *
 *	pcap lan begin
 *	pcap lan TTyyoQIABAAAAAAAAAAAAAAIAAABAAAA
 *	pcap lan end 1234 bytes
 */
#include "hv/api/clock.h"
#include "hv/guest_net.h"
#include "hv/monitor.h"
#include "hv/monitor_dump.h"
#include "hv/setup.h"

/* Some 11,000 characters a second: what a serial port of 115,200 baud sends. */
#define DUMP_PERIOD_NS 500000000ull
#define DUMP_PIECE 4096u
static_assert(DUMP_PIECE >= sizeof(struct pcap_record) + CAPTURE_SNAP, "a whole record");

static struct {
	struct network *network; /* NULL: nothing is being printed */
	uint64_t pos;
	uint64_t end;	  /* what came after the command is not printed */
	uint64_t printed; /* bytes */
	struct timer timer;
	_Atomic bool due;
	uint8_t piece[DUMP_PIECE];
} dump;

/* --- info networks --- */

static uint64_t get(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static void print_port(const struct network_port *port)
{
	const struct net_port *p = port->port;
	char mac[CONFIG_MAC_TEXT_MAX];

	config_format_mac(&p->mac, mac);
	monitor_print("  %-16s %s %10lu %12lu %8lu %10lu %12lu %8lu%s%s\n", port->cfg.name, mac,
		      get(&p->stats.rx_frames), get(&p->stats.rx_bytes), get(&p->stats.rx_dropped),
		      get(&p->stats.tx_frames), get(&p->stats.tx_bytes), get(&p->stats.tx_dropped),
		      port->cfg.uplink ? "  uplink" : "",
		      (port->network->isolated & BIT(port->index)) != 0 ? "  isolated" : "");
}

/* The uplink that bulkhead.conf names, whether it is there or not. */
static void describe_uplink(const struct network *n, char *buf, size_t cap)
{
	const struct machine_config *m = setup_machine();
	char name[32];

	fmt_snprintf(buf, cap, "no uplink");
	for (unsigned i = 0; i < m->network_count; i++) {
		const struct config_network *c = &m->networks[i];

		if (str_eq(c->net.name, n->cfg.name) && c->uplink != CONFIG_UPLINK_NONE) {
			config_format_uplink(c, name);
			fmt_snprintf(buf, cap, "uplink %s%s", name,
				     n->uplink == 0 ? " (absent)" : "");
		}
	}
}

static void print_network(struct network *n)
{
	struct network_capture_info capture;
	char uplink[64];
	unsigned ports = 0;

	for (unsigned i = 0; i < n->port_top; i++) {
		ports += (n->connected & BIT(i)) != 0 ? 1 : 0;
	}
	describe_uplink(n, uplink, sizeof(uplink));
	network_capture_info(n, &capture);
	monitor_print("network %s: %u ports, %s, %u addresses learnt, capture %s\n", n->cfg.name,
		      ports, uplink, network_learnt(n), capture.running ? "running" : "off");
	for (unsigned i = 0; i < n->port_top; i++) {
		if ((n->connected & BIT(i)) != 0) {
			print_port(&n->ports[i]);
		}
	}
}

void monitor_networks(void)
{
	monitor_print("frames take %lu of %u KiB\n", net_frames_bytes() >> 10,
		      NET_FRAMES_BYTES_MAX >> 10);
	monitor_print("  %-16s %-17s %10s %12s %8s %10s %12s %8s\n", "PORT", "MAC", "RX-FRAMES",
		      "RX-BYTES", "RX-DROP", "TX-FRAMES", "TX-BYTES", "TX-DROP");
	for (unsigned i = 0; i < network_count(); i++) {
		print_network(network_at(i));
	}
}

/* --- stats --- */

static void stats_nic(unsigned i, const struct config_net *c, const struct guest_nic *nic)
{
	const struct net_port *p = nic->port;
	const struct network_port *port = network_port_of(p);
	char mac[CONFIG_MAC_TEXT_MAX];

	config_format_mac(&p->mac, mac);
	monitor_print("net%u.network %s\n", i, c->network);
	monitor_print("net%u.model %s\n", i, config_nic_names[c->model]);
	monitor_print("net%u.mac %s\n", i, mac);
	monitor_print("net%u.rx-frames %lu\n", i, get(&p->stats.rx_frames));
	monitor_print("net%u.rx-bytes %lu\n", i, get(&p->stats.rx_bytes));
	monitor_print("net%u.rx-dropped %lu\n", i, get(&p->stats.rx_dropped));
	monitor_print("net%u.tx-frames %lu\n", i, get(&p->stats.tx_frames));
	monitor_print("net%u.tx-bytes %lu\n", i, get(&p->stats.tx_bytes));
	monitor_print("net%u.tx-dropped %lu\n", i, get(&p->stats.tx_dropped));
	if (port == NULL) {
		return;
	}
	monitor_print("net%u.tx-malformed %lu\n", i,
		      get(&port->drops.malformed) + get(nic->tx_malformed));
	monitor_print("net%u.tx-spoofed %lu\n", i, get(&port->drops.spoofed));
	monitor_print("net%u.tx-storm %lu\n", i, get(&port->drops.storm));
	monitor_print("net%u.tx-over-rate %lu\n", i, get(&port->drops.rate));
	monitor_print("net%u.tx-held %lu\n", i, get(&port->held_total));
}

void monitor_stats_nics(const struct guest *g)
{
	for (unsigned i = 0; i < g->config->net_count; i++) {
		if (g->nics[i] != NULL) {
			stats_nic(i, &g->config->nets[i], g->nics[i]);
		}
	}
}

/* --- capture --- */

static void on_timer(struct timer *t)
{
	(void)t;
	atomic_store(&dump.due, true);
	run_chore(RUN_CHORE_INPUT);
}

static void arm(void)
{
	atomic_store(&dump.due, false);
	timer_arm(&dump.timer, clock_now() + clock_ns_to_ticks(DUMP_PERIOD_NS));
}

static void begin_dump(struct network *n)
{
	struct network_capture_info info;
	struct pcap_header header;

	network_capture_info(n, &info);
	dump.network = n;
	dump.pos = 0;
	dump.end = info.end;
	dump.printed = sizeof(header);
	monitor_print("pcap %s begin\n", n->cfg.name);
	capture_header(&header);
	monitor_dump("pcap", n->cfg.name, (const uint8_t *)&header, sizeof(header));
	timer_init(&dump.timer, run_timers(), on_timer);
	arm();
}

static void start(struct network *n)
{
	if (network_capture_start(n) != HV_OK) {
		monitor_print("no memory for a capture\n");
		return;
	}
	monitor_print("capturing what goes over %s; the last %u KiB are kept\n", n->cfg.name,
		      CAPTURE_BYTES >> 10);
}

static void print_state(struct network *n)
{
	struct network_capture_info info;

	network_capture_info(n, &info);
	monitor_print("capture of %s: %s, %lu frames so far, %lu bytes held\n", n->cfg.name,
		      info.running ? "running" : "off", info.frames, info.bytes);
}

void monitor_capture(struct span args)
{
	struct span word = {"", 0};
	struct network *n;

	(void)span_next_word(&args, &word);
	n = network_find(word);
	if (n == NULL) {
		monitor_print("capture which network? `info networks` shows them\n");
		return;
	}
	args = span_trim(args);
	if (span_eq(args, "start")) {
		start(n);
	} else if (span_eq(args, "stop")) {
		network_capture_stop(n);
		print_state(n);
	} else if (span_eq(args, "dump")) {
		begin_dump(n);
	} else if (args.n == 0) {
		print_state(n);
	} else {
		monitor_print("capture %s how? start, stop or dump\n", n->cfg.name);
	}
}

bool monitor_dump_active(void)
{
	return dump.network != NULL;
}

void monitor_dump_end(void)
{
	if (dump.network != NULL) {
		monitor_print("pcap %s end %lu bytes\n", dump.network->cfg.name, dump.printed);
		timer_cancel(&dump.timer);
		dump.network = NULL;
	}
}

void monitor_dump_refresh(void)
{
	size_t n = 0;

	if (dump.network == NULL || !atomic_load(&dump.due)) {
		return;
	}
	if (dump.pos < dump.end) {
		n = network_capture_read(dump.network, &dump.pos, dump.piece, DUMP_PIECE);
	}
	if (dump.pos > dump.end) { /* records that came after the command */
		n -= (size_t)min_u64(n, dump.pos - dump.end);
	}
	monitor_dump("pcap", dump.network->cfg.name, dump.piece, n);
	dump.printed += n;
	if (n == 0) {
		monitor_dump_end();
	} else {
		arm();
	}
}
