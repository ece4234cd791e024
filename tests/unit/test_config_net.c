/* SPDX-License-Identifier: Apache-2.0 */
/* The keys `net` and `network`: what is taken, what is refused, and how. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "hv/base/bits.h"
#include "hv/config.h"

static const struct config_entry entries[] = {
	{{"web", 3}, 0, true, NULL},
	{{"web/vmlinuz", 11}, 100, false, NULL},
	{{"web/card.rom", 12}, 1 << 24, false, NULL},
	{{"roms/big.rom", 12}, (1 << 24) + 1, false, NULL},
};
static const struct config_tree tree = {entries, ARRAY_SIZE(entries)};
static char reports[8192];
static struct guest_config guest;
static struct machine_config machine;

static void collect(void *ctx, const struct config_error *error)
{
	size_t at = strlen(reports);

	(void)ctx;
	config_error_format(error, reports + at, sizeof(reports) - at - 1);
	strcat(reports, "\n");
}

static const struct config_reporter reporter = {collect, NULL};

static enum hv_status load_as(const char *name, const char *text)
{
	reports[0] = '\0';
	return config_load_guest(&tree, span_of(name), span_of(text), &reporter, &guest);
}

static enum hv_status load(const char *text)
{
	return load_as("web", text);
}

static enum hv_status parse(const char *text)
{
	reports[0] = '\0';
	return config_parse_machine(&tree, span_of(text), &reporter, &machine);
}

static void refused(const char *value, const char *found, const char *allowed)
{
	char text[200];
	char expected[300];

	snprintf(text, sizeof(text), "net = %s", value);
	snprintf(expected, sizeof(expected), "web/guest.conf:1: net: found \"%s\"; allowed: %s\n",
		 found, allowed);
	assert_int_equal(load(text), HV_E_INVALID);
	assert_string_equal(reports, expected);
	assert_int_equal(guest.net_count, 0);
}

static void a_guest_has_no_nic_unless_it_says_so(void **state)
{
	(void)state;
	assert_int_equal(load(""), HV_OK);
	assert_int_equal(guest.net_count, 0);
}

static void a_nic_has_defaults(void **state)
{
	const struct net_mac mac = config_make_mac(span_of("web"), 0);

	(void)state;
	assert_int_equal(load("net = lan"), HV_OK);
	assert_int_equal(guest.net_count, 1);
	assert_string_equal(guest.nets[0].network, "lan");
	assert_int_equal(guest.nets[0].rate, 0);
	assert_false(guest.nets[0].isolated);
	assert_memory_equal(&guest.nets[0].mac, &mac, sizeof(mac));
}

static void all_options_are_taken(void **state)
{
	static const uint8_t mac[] = {0x02, 0xab, 0xcd, 0xef, 0x01, 0x23};

	(void)state;
	assert_int_equal(load("net = a,mac=02:AB:cd:ef:01:23,rate=10M,isolated\n"
			      "net = b , rate = 1K ,  mac = 02:ab:CD:ef:01:24\n"
			      "net = a\n"),
			 HV_OK);
	assert_int_equal(guest.net_count, 3);
	assert_string_equal(guest.nets[0].network, "a");
	assert_memory_equal(guest.nets[0].mac.bytes, mac, 6);
	assert_int_equal(guest.nets[0].rate, 10 << 20);
	assert_true(guest.nets[0].isolated);
	assert_string_equal(guest.nets[1].network, "b");
	assert_int_equal(guest.nets[1].rate, 1024);
	assert_int_equal(guest.nets[1].mac.bytes[5], 0x24);
	assert_false(guest.nets[1].isolated);
	assert_string_equal(guest.nets[2].network, "a");
}

static void what_is_wrong_is_said(void **state)
{
	static const char name[] = "a network's name, 1 to 31 of A-Z a-z 0-9 . _ -";
	static const char mac[] = "the MAC of one NIC, as 02:00:00:12:34:56";
	static const char rate[] = "bytes in a second, 1K to 100G, as 10M";
	static const char option[] = "model=MODEL, mac=MAC, rate=BYTES, rom=FILE, isolated";

	(void)state;
	refused("", "", name);
	refused(",isolated", "", name);
	refused("a b", "a b", name);
	refused("a/b", "a/b", name);
	refused("0123456789012345678901234567890x", "0123456789012345678901234567890x", name);
	refused("a, mac=02:00:00:12:34", "02:00:00:12:34", mac);
	refused("a, mac=02:00:00:12:34:56:78", "02:00:00:12:34:56:78", mac);
	refused("a, mac=02-00-00-12-34-56", "02-00-00-12-34-56", mac);
	refused("a, mac=02:00:00:12:34:5g", "02:00:00:12:34:5g", mac);
	refused("a, mac=03:00:00:12:34:56", "03:00:00:12:34:56", mac); /* a group's */
	refused("a, mac=00:00:00:00:00:00", "00:00:00:00:00:00", mac);
	refused("a, mac=", "", mac);
	refused("a, rate=1023", "1023", rate);
	refused("a, rate=101G", "101G", rate);
	refused("a, rate=fast", "fast", rate);
	refused("a, rate=99999999999999999999", "99999999999999999999", rate);
	refused("a, macaroni=1", "macaroni=1", option);
	refused("a,", "", option);
	refused("a, isolated=yes", "isolated=yes", option);
	refused("a, mac", "mac", option);
}

static void a_rom_is_a_file(void **state)
{
	(void)state;
	assert_int_equal(load("net = a, rom=card.rom, isolated\nnet = b\n"), HV_OK);
	assert_int_equal(guest.nets[0].rom, 2);
	assert_true(guest.nets[0].isolated);
	assert_int_equal(guest.nets[1].rom, CONFIG_NO_ENTRY);
	assert_int_equal(load("net = a, rom=/roms/big.rom"), HV_E_INVALID);
	assert_string_equal(reports, "web/guest.conf:1: net: the ROM has 16777217 bytes; allowed: "
				     "up to 16 MiB\n");
	assert_int_equal(load("net = a, rom=no.rom"), HV_E_INVALID);
	assert_string_equal(reports, "web/guest.conf:1: net: there is no file \"web/no.rom\" below "
				     "\\bulkhead\n");
}

static void nics_are_bounded(void **state)
{
	(void)state;
	assert_int_equal(load("net=a\nnet=a\nnet=a\nnet=a\nnet=a\nnet=a\nnet=a\nnet=a\n"), HV_OK);
	assert_int_equal(guest.net_count, CONFIG_NETS_MAX);
	assert_int_equal(load("net=a\nnet=a\nnet=a\nnet=a\nnet=a\nnet=a\nnet=a\nnet=a\nnet=a\n"),
			 HV_E_INVALID);
	assert_string_equal(reports, "web/guest.conf:9: net: more than 8 NICs\n");
}

/* --- addresses --- */

static void made_addresses_stay_the_same(void **state)
{
	static const struct net_mac web = {{0x02, 0xe2, 0x4a, 0xf1, 0xc6, 0x88}};
	struct net_mac mac = config_make_mac(span_of("web"), 0);
	struct net_mac other = config_make_mac(span_of("WEB"), 0);

	(void)state;
	/* Written down, as another one would cost people their DHCP leases. */
	assert_memory_equal(&mac, &web, sizeof(mac));
	assert_memory_equal(&mac, &other, sizeof(mac));
}

static void made_addresses_differ(void **state)
{
	static struct net_mac macs[64 * CONFIG_NETS_MAX];
	unsigned count = 0;

	(void)state;
	for (unsigned g = 0; g < 64; g++) {
		char name[16];

		snprintf(name, sizeof(name), "guest%u", g);
		for (unsigned i = 0; i < CONFIG_NETS_MAX; i++) {
			macs[count] = config_make_mac(span_of(name), i);
			assert_int_equal(macs[count].bytes[0], 2);
			for (unsigned k = 0; k < count; k++) {
				assert_memory_not_equal(&macs[k], &macs[count], sizeof(macs[0]));
			}
			count++;
		}
	}
}

/* --- network = --- */

static void networks_have_defaults(void **state)
{
	(void)state;
	assert_int_equal(parse("network = lan"), HV_OK);
	assert_int_equal(machine.network_count, 1);
	assert_string_equal(machine.networks[0].net.name, "lan");
	assert_int_equal(machine.networks[0].net.storm, NETWORK_STORM_DEFAULT);
	assert_false(machine.networks[0].net.isolated);
	assert_false(machine.networks[0].net.any_mac);
	assert_int_equal(machine.networks[0].uplink, CONFIG_UPLINK_NONE);
}

static void networks_have_options(void **state)
{
	char text[32];

	(void)state;
	assert_int_equal(parse("network = a, uplink=00:1f.6, isolated, storm=50\n"
			       "network = b, any-mac, uplink=52:54:00:12:34:56\n"
			       "network = c, uplink=0001:a0:02.1\n"),
			 HV_OK);
	assert_int_equal(machine.network_count, 3);
	assert_int_equal(machine.networks[0].uplink, CONFIG_UPLINK_PCI);
	assert_int_equal(machine.networks[0].segment, 0);
	assert_int_equal(machine.networks[0].bus, 0);
	assert_int_equal(machine.networks[0].devfn, 0x1f << 3 | 6);
	assert_int_equal(machine.networks[0].net.storm, 50);
	assert_true(machine.networks[0].net.isolated);
	assert_true(machine.networks[1].net.any_mac);
	assert_int_equal(machine.networks[1].uplink, CONFIG_UPLINK_MAC);
	assert_int_equal(machine.networks[1].mac.bytes[0], 0x52);
	assert_int_equal(machine.networks[2].segment, 1);
	assert_int_equal(machine.networks[2].bus, 0xa0);
	config_format_uplink(&machine.networks[0], text);
	assert_string_equal(text, "00:1f.6");
	config_format_uplink(&machine.networks[1], text);
	assert_string_equal(text, "52:54:00:12:34:56");
	config_format_uplink(&machine.networks[2], text);
	assert_string_equal(text, "0001:a0:02.1");
}

static void bad_networks_are_refused(void **state)
{
	static const char uplink[] = "a NIC's PCI address as 00:1f.6, or its MAC";
	static const char storm[] = "frames in a second, 1 to 1000000";
	static const struct {
		const char *value, *found, *allowed;
	} bad[] = {
		{"a, uplink=", "", uplink},
		{"a, uplink=eth0", "eth0", uplink},
		{"a, uplink=00:20.0", "00:20.0", uplink},
		{"a, uplink=00:1f.8", "00:1f.8", uplink},
		{"a, uplink=00:1f:6", "00:1f:6", uplink},
		{"a, uplink=g000:00:1f.6", "g000:00:1f.6", uplink},
		{"a, uplink=ff:ff:ff:ff:ff:ff", "ff:ff:ff:ff:ff:ff", uplink},
		{"a, storm=0", "0", storm},
		{"a, storm=1000001", "1000001", storm},
		{"a, bridge", "bridge", "uplink=PCI-ADDRESS or MAC, isolated, storm=N, any-mac"},
	};
	char text[100];
	char expected[200];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(text, sizeof(text), "network = %s", bad[i].value);
		snprintf(expected, sizeof(expected),
			 "bulkhead.conf:1: network: found \"%s\"; allowed: %s\n", bad[i].found,
			 bad[i].allowed);
		assert_int_equal(parse(text), HV_E_INVALID);
		assert_string_equal(reports, expected);
		assert_int_equal(machine.network_count, 0);
	}
	assert_int_equal(parse("network = a, uplink=00:02.0, uplink=00:03.0"), HV_E_INVALID);
	assert_string_equal(reports, "bulkhead.conf:1: network: a network has one uplink\n");
}

static void networks_and_uplinks_are_there_once(void **state)
{
	(void)state;
	assert_int_equal(parse("network = a\nnetwork = a, isolated"), HV_E_INVALID);
	assert_string_equal(reports,
			    "bulkhead.conf:2: network: network \"a\" is described twice\n");
	assert_int_equal(machine.network_count, 1);
	assert_int_equal(parse("network = a, uplink=00:02.0\nnetwork = b, uplink=00:02.0"),
			 HV_E_INVALID);
	assert_string_equal(reports, "bulkhead.conf:2: network: that NIC is the uplink of network "
				     "\"a\" already\n");
	assert_int_equal(parse("network = a, uplink=02:00:00:00:00:01\n"
			       "network = b, uplink=02:00:00:00:00:01"),
			 HV_E_INVALID);
	assert_int_equal(parse("network = a, uplink=00:02.0\nnetwork = b, uplink=00:02.1\n"
			       "network = c\nnetwork = d"),
			 HV_OK);
}

static void networks_are_bounded(void **state)
{
	char text[1024] = "";

	(void)state;
	for (unsigned i = 0; i < NETWORKS_MAX; i++) {
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "network = n%u\n", i);
	}
	assert_int_equal(parse(text), HV_OK);
	assert_int_equal(machine.network_count, NETWORKS_MAX);
	strcat(text, "network = more\n");
	assert_int_equal(parse(text), HV_E_INVALID);
	assert_string_equal(reports, "bulkhead.conf:17: network: more than 16 networks\n");
}

static void keys_belong_into_their_files(void **state)
{
	(void)state;
	assert_int_equal(load("network = a"), HV_E_INVALID);
	assert_string_equal(reports,
			    "web/guest.conf:1: network: this key belongs into bulkhead.conf\n");
	assert_int_equal(parse("net = a"), HV_E_INVALID);
	assert_string_equal(reports,
			    "bulkhead.conf:1: net: this key belongs into a guest's guest.conf\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_has_no_nic_unless_it_says_so),
		cmocka_unit_test(a_nic_has_defaults),
		cmocka_unit_test(all_options_are_taken),
		cmocka_unit_test(what_is_wrong_is_said),
		cmocka_unit_test(a_rom_is_a_file),
		cmocka_unit_test(nics_are_bounded),
		cmocka_unit_test(made_addresses_stay_the_same),
		cmocka_unit_test(made_addresses_differ),
		cmocka_unit_test(networks_have_defaults),
		cmocka_unit_test(networks_have_options),
		cmocka_unit_test(bad_networks_are_refused),
		cmocka_unit_test(networks_and_uplinks_are_there_once),
		cmocka_unit_test(networks_are_bounded),
		cmocka_unit_test(keys_belong_into_their_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
