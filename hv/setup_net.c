/* SPDX-License-Identifier: Apache-2.0 */
/* Networks and NICs of the whole machine. */
#include "hv/setup_net.h"

#include "hv/base/fmt.h"
#include "hv/base/log.h"
#include "hv/guest.h"
#include "hv/wallclock.h"

static enum hv_status make_network(const struct network_config *cfg)
{
	enum hv_status status = network_add(cfg);

	if (status == HV_E_NO_MEMORY) {
		log_error("network %s: no memory", cfg->name);
	}
	return status;
}

void setup_networks(const struct machine_config *machine)
{
	const struct networks_config init = {.wallclock = wallclock_read};

	networks_init(&init);
	for (unsigned i = 0; i < machine->network_count; i++) {
		const struct network_config *cfg = &machine->networks[i].net;
		enum hv_status status = make_network(cfg);

		if (status != HV_OK) {
			log_event("network %s: not made: %s", cfg->name, hv_status_name(status));
		}
	}
}

/* Reports an error of NIC `index` of a guest. */
static void FMT_PRINTF(4, 5)
	fail(const struct config_reporter *reporter, const struct guest_config *g, unsigned index,
	     const char *fmt, ...)
{
	struct config_error error = {.line = g->nets[index].line, .key = span_of("net")};
	va_list args;

	fmt_snprintf(error.file, sizeof(error.file), "%s/" CONFIG_GUEST_FILE, g->name);
	va_start(args, fmt);
	(void)fmt_vsnprintf(error.text, sizeof(error.text), fmt, args);
	va_end(args);
	reporter->report(reporter->ctx, &error);
}

static bool same_address(const struct config_net *a, const struct config_net *b)
{
	return str_eq(a->network, b->network) && memcmp(&a->mac, &b->mac, sizeof(a->mac)) == 0;
}

/* Whether NIC `index` of `g` has the address of one of the first `count` NICs of `other`. */
static bool clashes(const struct guest_config *g, unsigned index, const struct guest_config *other,
		    unsigned count, const struct config_reporter *reporter)
{
	char mac[CONFIG_MAC_TEXT_MAX];

	for (unsigned i = 0; i < count; i++) {
		if (same_address(&g->nets[index], &other->nets[i])) {
			config_format_mac(&g->nets[index].mac, mac);
			fail(reporter, g, index,
			     "MAC %s is on network \"%s\" already, as NIC %u of guest %s; say "
			     "mac= for one of them",
			     mac, g->nets[index].network, i, other->name);
			return true;
		}
	}
	return false;
}

static bool address_is_free(const struct guest_config *g, unsigned index,
			    const struct config_reporter *reporter)
{
	for (unsigned i = 0; i < guest_count(); i++) {
		const struct guest_config *other = guest_at(i)->config;

		if (clashes(g, index, other, other->net_count, reporter)) {
			return false;
		}
	}
	return !clashes(g, index, g, index, reporter);
}

static unsigned nics_on(const struct guest_config *g, unsigned count, const char *network)
{
	unsigned found = 0;

	for (unsigned i = 0; i < count; i++) {
		found += str_eq(g->nets[i].network, network) ? 1 : 0;
	}
	return found;
}

static unsigned uplinks_of(const struct machine_config *machine, const char *network)
{
	for (unsigned i = 0; i < machine->network_count; i++) {
		if (str_eq(machine->networks[i].net.name, network)) {
			return machine->networks[i].uplink != CONFIG_UPLINK_NONE ? 1 : 0;
		}
	}
	return 0;
}

static bool has_port(const struct machine_config *machine, const struct guest_config *g,
		     unsigned index, const struct config_reporter *reporter)
{
	const char *network = g->nets[index].network;
	unsigned used = uplinks_of(machine, network) + nics_on(g, index, network);

	for (unsigned i = 0; i < guest_count(); i++) {
		const struct guest_config *other = guest_at(i)->config;

		used += nics_on(other, other->net_count, network);
	}
	if (used < NETWORK_PORTS_MAX) {
		return true;
	}
	fail(reporter, g, index, "network \"%s\" has all its %u ports in use", network,
	     NETWORK_PORTS_MAX);
	return false;
}

/* The network is there, or made with the defaults. */
static bool has_network(const struct guest_config *g, unsigned index,
			const struct config_reporter *reporter)
{
	const char *name = g->nets[index].network;
	struct network_config cfg;
	enum hv_status status;

	if (network_find(span_of(name)) != NULL) {
		return true;
	}
	config_default_network(span_of(name), &cfg);
	status = make_network(&cfg);
	if (status == HV_E_RANGE) {
		fail(reporter, g, index, "network \"%s\" would be one more than %u", name,
		     NETWORKS_MAX);
	} else if (status != HV_OK) {
		fail(reporter, g, index, "network \"%s\": %s", name, hv_status_name(status));
	}
	return status == HV_OK;
}

bool setup_nets_fit(const struct machine_config *machine, const struct guest_config *g,
		    const struct config_reporter *reporter)
{
	bool fit = true;

	for (unsigned i = 0; i < g->net_count; i++) {
		fit = has_network(g, i, reporter) && address_is_free(g, i, reporter) &&
		      has_port(machine, g, i, reporter) && fit;
	}
	return fit;
}
