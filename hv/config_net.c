/* SPDX-License-Identifier: Apache-2.0 */
/* NICs and networks as they are written in configuration files. */
#include "hv/config_net.h"

#include "hv/base/bits.h"
#include "hv/base/pci_format.h"
#include "hv/config_text.h"
#include "hv/config_tree.h"

#define RATE_MIN 1024u
#define RATE_MAX (100ull << 30)
#define STORM_MAX 1000000u

/* --- text --- */

/* Whether `part` is KEY=VALUE with this key; *value is trimmed. */
static bool is_option(struct span part, const char *key, struct span *value)
{
	size_t n = str_len(key);

	if (!span_starts(part, key)) {
		return false;
	}
	part = span_trim((struct span){part.p + n, part.n - n});
	if (part.n == 0 || part.p[0] != '=') {
		return false;
	}
	*value = span_trim((struct span){part.p + 1, part.n - 1});
	return true;
}

static int hex_digit(char c)
{
	char l = config_lower(c);

	return c >= '0' && c <= '9' ? c - '0' : l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

/* `digits` hexadecimal digits at s.p, which are there. */
static bool parse_hex(struct span s, unsigned digits, uint32_t *out)
{
	uint32_t value = 0;

	if (s.n < digits) {
		return false;
	}
	for (unsigned i = 0; i < digits; i++) {
		int digit = hex_digit(s.p[i]);

		if (digit < 0) {
			return false;
		}
		value = value << 4 | (uint32_t)digit;
	}
	*out = value;
	return true;
}

/* xx:xx:xx:xx:xx:xx of one NIC: no group, not all zero. */
static bool parse_mac(struct span s, struct net_mac *out)
{
	uint32_t byte;
	uint32_t any = 0;

	if (s.n != CONFIG_MAC_TEXT_MAX - 1) {
		return false;
	}
	for (size_t i = 0; i < NET_MAC_BYTES; i++) {
		size_t at = i * 3;

		if (!parse_hex((struct span){s.p + at, 2}, 2, &byte) ||
		    (i + 1 < NET_MAC_BYTES && s.p[at + 2] != ':')) {
			return false;
		}
		out->bytes[i] = (uint8_t)byte;
		any |= byte;
	}
	return any != 0 && (out->bytes[0] & 1) == 0;
}

/* BB:DD.F, or SSSS:BB:DD.F */
static bool parse_pci(struct span s, struct config_network *n)
{
	uint32_t segment = 0;
	uint32_t bus;
	uint32_t device;
	uint32_t function;

	if (s.n == 12 && s.p[4] == ':') {
		if (!parse_hex(s, 4, &segment)) {
			return false;
		}
		s = (struct span){s.p + 5, s.n - 5};
	}
	if (s.n != 7 || s.p[2] != ':' || s.p[5] != '.' || !parse_hex(s, 2, &bus) ||
	    !parse_hex((struct span){s.p + 3, 2}, 2, &device) ||
	    !parse_hex((struct span){s.p + 6, 1}, 1, &function) || device > 31 || function > 7) {
		return false;
	}
	n->segment = (uint16_t)segment;
	n->bus = (uint8_t)bus;
	n->devfn = (uint8_t)(device << 3 | function);
	return true;
}

static bool name_ok(struct span name)
{
	for (size_t i = 0; i < name.n; i++) {
		char l = config_lower(name.p[i]);

		if (!(l >= 'a' && l <= 'z') && !(l >= '0' && l <= '9') && l != '.' && l != '_' &&
		    l != '-') {
			return false;
		}
	}
	return name.n > 0 && name.n < NETWORK_NAME_MAX;
}

/* The first part of a value, the network's name; false, with an error, when it is none. */
static bool take_name(struct config_parser *p, struct span *rest, char *name)
{
	struct span part = {"", 0};

	(void)config_next_part(rest, &part);
	if (!name_ok(part)) {
		config_fail_value(p, part, "a network's name, 1 to 31 of A-Z a-z 0-9 . _ -");
		return false;
	}
	(void)str_copy(name, NETWORK_NAME_MAX, part);
	return true;
}

void config_format_mac(const struct net_mac *mac, char *buf)
{
	const uint8_t *b = mac->bytes;

	(void)fmt_snprintf(buf, CONFIG_MAC_TEXT_MAX, "%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1],
			   b[2], b[3], b[4], b[5]);
}

void config_format_uplink(const struct config_network *n, char *buf)
{
	char segment[8] = "";

	if (n->uplink == CONFIG_UPLINK_MAC) {
		config_format_mac(&n->mac, buf);
		return;
	}
	if (n->segment != 0) {
		(void)fmt_snprintf(segment, sizeof(segment), "%04x:", n->segment);
	}
	(void)fmt_snprintf(buf, 32, "%s%02x:%02x.%x", segment, n->bus, n->devfn >> 3,
			   n->devfn & 7u);
}

/* --- addresses --- */

/* FNV-1a, then mixed so that each byte of the result depends on every byte that went in. */
#define FNV_BASIS 0xcbf29ce484222325ull
#define FNV_PRIME 0x100000001b3ull
#define MIX_FACTOR 0x9e3779b97f4a7c15ull

struct net_mac config_make_mac(struct span guest, unsigned index)
{
	/* Locally administered, of one NIC. */
	struct net_mac mac = {{0x02}};
	uint64_t hash = FNV_BASIS;

	for (size_t i = 0; i < guest.n; i++) {
		hash = (hash ^ (uint8_t)config_lower(guest.p[i])) * FNV_PRIME;
	}
	hash = (hash ^ (0x100 + index)) * FNV_PRIME;
	hash = (hash ^ hash >> 32) * MIX_FACTOR;
	for (unsigned i = 1; i < NET_MAC_BYTES; i++) {
		mac.bytes[i] = (uint8_t)(hash >> (64 - 8 * i));
	}
	return mac;
}

/* --- net = --- */

const char *const config_nic_names[CONFIG_NIC_COUNT] = {
	[CONFIG_NIC_VIRTIO] = "virtio",
	[CONFIG_NIC_E1000] = "e1000",
	[CONFIG_NIC_E1000E] = "e1000e",
};

static void set_net_mac(struct config_parser *p, struct span value, struct config_net *net)
{
	if (!parse_mac(value, &net->mac)) {
		config_fail_value(p, value, "the MAC of one NIC, as 02:00:00:12:34:56");
	}
}

static void set_net_rate(struct config_parser *p, struct span value, struct config_net *net)
{
	if (span_to_size(value, &net->rate) != HV_OK || net->rate < RATE_MIN ||
	    net->rate > RATE_MAX) {
		config_fail_value(p, value, "bytes in a second, 1K to 100G, as 10M");
	}
}

static void set_net_model(struct config_parser *p, struct span value, struct config_net *net)
{
	for (unsigned i = 0; i < CONFIG_NIC_COUNT; i++) {
		if (span_eq(value, config_nic_names[i])) {
			net->model = (enum config_nic)i;
			return;
		}
	}
	config_fail_value(p, value, "virtio, e1000, e1000e");
}

static void set_net_rom(struct config_parser *p, struct span value, struct config_net *net)
{
	net->rom = config_find_file(p, value);
	if (net->rom != CONFIG_NO_ENTRY && p->tree->entries[net->rom].size > PCI_ROM_BYTES_MAX) {
		config_fail(p, "the ROM has %lu bytes; allowed: up to 16 MiB",
			    p->tree->entries[net->rom].size);
	}
}

static void set_net_option(struct config_parser *p, struct span part, struct config_net *net)
{
	struct span value;

	if (is_option(part, "mac", &value)) {
		set_net_mac(p, value, net);
	} else if (is_option(part, "model", &value)) {
		set_net_model(p, value, net);
	} else if (is_option(part, "rate", &value)) {
		set_net_rate(p, value, net);
	} else if (is_option(part, "rom", &value)) {
		set_net_rom(p, value, net);
	} else if (span_eq(part, "isolated")) {
		net->isolated = true;
	} else {
		config_fail_value(p, part, "model=MODEL, mac=MAC, rate=BYTES, rom=FILE, isolated");
	}
}

void config_set_net(struct config_parser *p, struct span value)
{
	struct guest_config *g = p->out;
	struct config_net *net = &g->nets[g->net_count];
	unsigned errors = p->error_count;
	struct span part;

	if (g->net_count == CONFIG_NETS_MAX) {
		config_fail(p, "more than %u NICs", CONFIG_NETS_MAX);
		return;
	}
	*net = (struct config_net){.mac = config_make_mac(p->folder, g->net_count),
				   .rom = CONFIG_NO_ENTRY,
				   .line = p->error.line};
	if (!take_name(p, &value, net->network)) {
		return;
	}
	while (config_next_part(&value, &part)) {
		set_net_option(p, part, net);
	}
	g->net_count += p->error_count == errors ? 1 : 0;
}

/* --- network = --- */

void config_default_network(struct span name, struct network_config *out)
{
	*out = (struct network_config){.storm = NETWORK_STORM_DEFAULT};
	(void)str_copy(out->name, sizeof(out->name), name);
}

static void set_uplink(struct config_parser *p, struct span value, struct config_network *n)
{
	if (n->uplink != CONFIG_UPLINK_NONE) {
		config_fail(p, "a network has one uplink");
	} else if (parse_mac(value, &n->mac)) {
		n->uplink = CONFIG_UPLINK_MAC;
	} else if (parse_pci(value, n)) {
		n->uplink = CONFIG_UPLINK_PCI;
	} else {
		config_fail_value(p, value, "a NIC's PCI address as 00:1f.6, or its MAC");
	}
}

static void set_storm(struct config_parser *p, struct span value, struct config_network *n)
{
	uint64_t storm;

	if (span_to_u64(value, &storm) != HV_OK || storm == 0 || storm > STORM_MAX) {
		config_fail_value(p, value, "frames in a second, 1 to 1000000");
		return;
	}
	n->net.storm = (uint32_t)storm;
}

static void set_network_option(struct config_parser *p, struct span part, struct config_network *n)
{
	struct span value;

	if (is_option(part, "uplink", &value)) {
		set_uplink(p, value, n);
	} else if (is_option(part, "storm", &value)) {
		set_storm(p, value, n);
	} else if (span_eq(part, "isolated")) {
		n->net.isolated = true;
	} else if (span_eq(part, "any-mac")) {
		n->net.any_mac = true;
	} else {
		config_fail_value(p, part, "uplink=PCI-ADDRESS or MAC, isolated, storm=N, any-mac");
	}
}

static bool same_uplink(const struct config_network *a, const struct config_network *b)
{
	if (a->uplink != b->uplink || a->uplink == CONFIG_UPLINK_NONE) {
		return false;
	}
	return a->uplink == CONFIG_UPLINK_MAC
		       ? memcmp(&a->mac, &b->mac, sizeof(a->mac)) == 0
		       : a->segment == b->segment && a->bus == b->bus && a->devfn == b->devfn;
}

/* Whether name and uplink are free; reports when not. */
static bool is_new(struct config_parser *p, const struct machine_config *m,
		   const struct config_network *n)
{
	for (unsigned i = 0; i < m->network_count; i++) {
		const struct config_network *other = &m->networks[i];

		if (str_eq(other->net.name, n->net.name)) {
			config_fail(p, "network \"%s\" is described twice", n->net.name);
			return false;
		}
		if (same_uplink(other, n)) {
			config_fail(p, "that NIC is the uplink of network \"%s\" already",
				    other->net.name);
			return false;
		}
	}
	return true;
}

void config_set_network(struct config_parser *p, struct span value)
{
	struct machine_config *m = p->out;
	struct config_network n = {.uplink = CONFIG_UPLINK_NONE};
	char name[NETWORK_NAME_MAX];
	unsigned errors = p->error_count;
	struct span part;

	if (!take_name(p, &value, name)) {
		return;
	}
	config_default_network(span_of(name), &n.net);
	while (config_next_part(&value, &part)) {
		set_network_option(p, part, &n);
	}
	if (p->error_count != errors || !is_new(p, m, &n)) {
		return;
	}
	if (m->network_count == NETWORKS_MAX) {
		config_fail(p, "more than %u networks", NETWORKS_MAX);
		return;
	}
	m->networks[m->network_count++] = n;
}
