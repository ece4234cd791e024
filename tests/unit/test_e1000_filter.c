/* SPDX-License-Identifier: Apache-2.0 */
/* Which addresses and VLANs are received. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/e1000_fixture.h"

#include "guests/devices/e1000_internal.h"

static const struct net_mac everybody = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
static const struct net_mac group = {{0x01, 0x00, 0x5e, 0x12, 0x34, 0x56}};
static const struct net_mac stranger = {{0x02, 9, 9, 9, 9, 9}};

static enum e1000_pass passes(const struct net_mac *to)
{
	return e1000_filter(&card.filter, to);
}

static void only_what_is_asked_for(void **state)
{
	(void)state;
	assert_int_equal(passes(&card_mac), E1000_PASS_EXACT);
	assert_int_equal(passes(&everybody), E1000_PASS_NOT);
	assert_int_equal(passes(&group), E1000_PASS_NOT);
	assert_int_equal(passes(&stranger), E1000_PASS_NOT);
	card_write(E1000_RCTL, E1000_RCTL_BAM);
	assert_int_equal(passes(&everybody), E1000_PASS_EXACT);
	assert_int_equal(passes(&group), E1000_PASS_NOT);
	card_write(E1000_RCTL, E1000_RCTL_MPE);
	assert_int_equal(passes(&everybody), E1000_PASS_INEXACT);
	assert_int_equal(passes(&group), E1000_PASS_INEXACT);
	assert_int_equal(passes(&stranger), E1000_PASS_NOT);
	card_write(E1000_RCTL, E1000_RCTL_UPE);
	assert_int_equal(passes(&group), E1000_PASS_NOT);
	assert_int_equal(passes(&stranger), E1000_PASS_INEXACT);
}

static void each_of_sixteen_addresses_counts_while_it_is_valid(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 16; i++) {
		card_write(E1000_RAL0 + 8 * i, 0x09090902);
		card_write(E1000_RAH0 + 8 * i, 0x0909);
		assert_int_equal(passes(&stranger), E1000_PASS_NOT);
		card_write(E1000_RAH0 + 8 * i, 0x80000909);
		assert_int_equal(passes(&stranger), E1000_PASS_EXACT);
		/* To be compared with the source. */
		card_write(E1000_RAH0 + 8 * i, 0x80010909);
		assert_int_equal(passes(&stranger), E1000_PASS_NOT);
	}
	assert_int_equal(passes(&card_mac), E1000_PASS_NOT);
}

static void the_table_takes_bits_of_the_address(void **state)
{
	/* By the manual's example of the hash, for 01:00:5e:12:34:56: bytes 5 and 6 are 0x5634. */
	static const uint32_t hashes[] = {0x563, 0xac6, 0x58d, 0x634};

	(void)state;
	for (unsigned mo = 0; mo < 4; mo++) {
		card_write(E1000_RCTL, mo << 12);
		assert_int_equal(passes(&group), E1000_PASS_NOT);
		card_write(E1000_MTA + hashes[mo] / 32 * 4, BIT32(hashes[mo] % 32));
		assert_int_equal(passes(&group), E1000_PASS_INEXACT);
		card_write(E1000_MTA + hashes[mo] / 32 * 4, ~BIT32(hashes[mo] % 32));
		assert_int_equal(passes(&group), E1000_PASS_NOT);
		card_write(E1000_MTA + hashes[mo] / 32 * 4, 0);
	}
	/* It is for groups only. */
	for (unsigned i = 0; i < E1000_MTA_WORDS; i++) {
		card_write(E1000_MTA + 4 * i, UINT32_MAX);
	}
	assert_int_equal(passes(&stranger), E1000_PASS_NOT);
}

static void vlans_are_filtered_when_asked(void **state)
{
	uint8_t frame[60] = {0};

	(void)state;
	frame[12] = 0x81;
	frame[14] = 0x20;
	frame[15] = 0x65; /* 101 */
	assert_true(e1000_vlan_passes(&card, frame, 60));
	card_write(E1000_RCTL, E1000_RCTL_VFE);
	assert_false(e1000_vlan_passes(&card, frame, 60));
	card_write(E1000_VFTA + 4 * 3, BIT32(5));
	assert_true(e1000_vlan_passes(&card, frame, 60));
	card_write(E1000_RCTL, E1000_RCTL_VFE | E1000_RCTL_CFIEN | E1000_RCTL_CFI);
	assert_false(e1000_vlan_passes(&card, frame, 60));
	frame[14] |= 0x10;
	assert_true(e1000_vlan_passes(&card, frame, 60));
	/* What has no tag is no matter of VLANs. */
	frame[12] = 0x08;
	assert_true(e1000_vlan_passes(&card, frame, 60));
	frame[12] = 0x81;
	assert_true(e1000_vlan_passes(&card, frame, 17));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		OLD(only_what_is_asked_for),
		OLD(each_of_sixteen_addresses_counts_while_it_is_valid),
		OLD(the_table_takes_bits_of_the_address),
		NEW(vlans_are_filtered_when_asked),
	};

	return cmocka_run_group_tests(tests, machine, NULL);
}
