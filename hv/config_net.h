/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The values of the keys `net` and `network` (hv/config.h).
 *
 * bulkhead.conf
 *	network    NAME[, uplink=PCI-ADDRESS | uplink=MAC][, isolated][, storm=N][, any-mac]; may be
 *		   given several times, once for each network
 * guest.conf
 *	net        NETWORK[, model=virtio | e1000 | e1000e][, mac=MAC][, rate=BYTES][, rom=FILE]
 *		   [, isolated]; a NIC each time it is given
 *
 * A network that only guests name has the defaults. Names are 1 to 31 of A-Z a-z 0-9 . _ -
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/api/net.h"
#include "hv/base/status.h"
#include "hv/base/str.h"
#include "hv/net/switch.h"

struct config_parser;

/* NICs of one guest. */
#define CONFIG_NETS_MAX 8u
#define CONFIG_MAC_TEXT_MAX 18u /* with terminator */

/* What the guest finds on its PCI bus. */
enum config_nic {
	CONFIG_NIC_VIRTIO,
	CONFIG_NIC_E1000,  /* Intel 82540EM */
	CONFIG_NIC_E1000E, /* Intel 82574L */
	CONFIG_NIC_COUNT,
};
extern const char *const config_nic_names[CONFIG_NIC_COUNT];

/* A NIC of a guest. */
struct config_net {
	char network[NETWORK_NAME_MAX];
	enum config_nic model;
	struct net_mac mac; /* as given, else made from the guest's name and the NIC's number */
	bool isolated;
	uint64_t rate; /* bytes in a second; 0: no limit */
	unsigned rom;  /* index into the tree's entries: a boot program, or CONFIG_NO_ENTRY */
	unsigned line; /* of guest.conf, for errors that show later */
};

enum config_uplink { CONFIG_UPLINK_NONE, CONFIG_UPLINK_PCI, CONFIG_UPLINK_MAC };

struct config_network {
	struct network_config net;
	enum config_uplink uplink;
	uint16_t segment; /* for CONFIG_UPLINK_PCI */
	uint8_t bus;
	uint8_t devfn;
	struct net_mac mac; /* for CONFIG_UPLINK_MAC */
};

/* What the keys' tables call. */
void config_set_net(struct config_parser *p, struct span value);
void config_set_network(struct config_parser *p, struct span value);

/*
 * The MAC of NIC `index` of a guest when none is given: locally administered, always the same for
 * this name and index, however the letters are cased.
 */
struct net_mac config_make_mac(struct span guest, unsigned index);
/* xx:xx:xx:xx:xx:xx */
void config_format_mac(const struct net_mac *mac, char *buf);
/* "00:1f.6", with the segment before it where it is not 0, or the MAC; buf of 32 bytes. */
void config_format_uplink(const struct config_network *n, char *buf);
/* The defaults of a network nobody has described. */
void config_default_network(struct span name, struct network_config *out);
