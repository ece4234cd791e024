/* SPDX-License-Identifier: Apache-2.0 */
/* Intel's cards: where the address comes from, how the rings are given, what wrong cards do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "drivers/e1000.h"
#include "hv/base/bits.h"
#include "tests/fakes/fake_e1000.h"

static int setup(void **state)
{
	(void)state;
	rig_init();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_drop_sent();
	assert_int_equal(net_frames_bytes(), 0);
	return 0;
}

static struct host_nic *in_use(uint16_t device)
{
	(void)fake_add(device, true);
	assert_int_equal(host_nics_init(), 1);
	assert_int_equal(rig_use(host_nic_at(0)), HV_OK);
	return host_nic_at(0);
}

static void the_models_are_intels(void **state)
{
	struct host_pci f = {.vendor = 0x8086, .device = 0x100e};

	(void)state;
	assert_true(e1000_driver.matches(&f));
	f.device = 0x15b8;
	assert_true(e1000_driver.matches(&f));
	f.device = 0x1533;
	assert_false(e1000_driver.matches(&f));
	f.device = 0x100e;
	f.vendor = 0x1af4;
	assert_false(e1000_driver.matches(&f));
}

static void the_address_is_the_filters_else_the_eeproms(void **state)
{
	(void)state;
	(void)fake_add(0x100e, true);
	(void)fake_add(0x10d3, false);
	assert_int_equal(host_nics_init(), 2);
	assert_memory_equal(host_nic_at(0)->port.mac.bytes, nic[0].rom, 6);
	assert_memory_equal(host_nic_at(1)->port.mac.bytes, nic[1].rom, 6);
	rig_init();
	(void)fake_add(0x100e, false);
	assert_int_equal(host_nics_init(), 1);
	assert_memory_equal(host_nic_at(0)->port.mac.bytes, nic[0].rom, 6);
}

/* What firmware has set is kept over the reset, which brings the EEPROM's back. */
static void an_address_of_the_firmwares_stays(void **state)
{
	const uint8_t own[6] = {0x02, 1, 2, 3, 4, 5};
	struct fake_e1000 *d = fake_add(0x100e, true);

	(void)state;
	REG(d, 0x5400) = 0x03020102;
	REG(d, 0x5404) = 0x80000504;
	assert_int_equal(host_nics_init(), 1);
	assert_memory_equal(host_nic_at(0)->port.mac.bytes, own, 6);
	assert_int_equal(rig_use(host_nic_at(0)), HV_OK);
	assert_int_equal(REG(d, 0x5400), 0x03020102);
	assert_int_equal(REG(d, 0x5404), 0x80000504);
}

static void without_an_address_it_is_not_used(void **state)
{
	struct fake_e1000 *d = fake_add(0x100e, false);

	(void)state;
	d->rom_hangs = true;
	assert_int_equal(host_nics_init(), 0);
	assert_false(rig.f[0].enabled);
	d->rom_hangs = false;
	memset(d->rom, 0, sizeof(d->rom));
	assert_int_equal(host_nics_init(), 0);
	/* A PCH's has no such register. */
	rig_init();
	(void)fake_add(0x15b8, false);
	assert_int_equal(host_nics_init(), 0);
}

static void one_that_does_not_answer_is_not_used(void **state)
{
	struct fake_e1000 *d = fake_add(0x10d3, true);

	(void)state;
	d->dead = true;
	assert_int_equal(host_nics_init(), 0);
	d->dead = false;
	rig.f[0].no_bar = true;
	assert_int_equal(host_nics_init(), 0);
	assert_false(rig.f[0].enabled);
}

static void a_reset_that_never_ends_is_found_at_start(void **state)
{
	struct fake_e1000 *d = fake_add(0x100e, true);

	(void)state;
	d->reset_hangs = true;
	assert_int_equal(host_nics_init(), 1);
	assert_int_equal(rig_use(host_nic_at(0)), HV_E_IO);
	assert_int_equal(host_nic_at(0)->state, NIC_FAILED);
}

static void rings_and_filters(void **state)
{
	const struct fake_e1000 *d = &nic[0];

	(void)state;
	(void)in_use(0x100e);
	/* All but one descriptor are the card's. */
	assert_int_equal(REG(d, 0x2808), 4096);
	assert_int_equal(REG(d, 0x3808), 4096);
	assert_int_equal(REG(d, 0x2810), 0);
	assert_int_equal(REG(d, 0x2818), 255);
	/* On; unicast and multicast promiscuous, broadcast, checksum stripped; 2,048 bytes, no long
	 * frames, bad ones or VLAN filter. */
	assert_int_equal(REG(d, 0x100), 0x0400801a);
	/* On, short frames padded. */
	assert_int_equal(REG(d, 0x400) & 0xa, 0xa);
	/* Link up; no VLAN stripping, no flow control. */
	assert_int_equal(REG(d, 0) & (1u << 6 | 1u << 30 | 1u << 27 | 1u << 28), 1u << 6);
	assert_int_equal(REG(d, 0xd0), 0xd4);
	assert_int_equal(REG(d, 0xc4), 488);
}

static void the_82574_is_told_where_its_messages_go(void **state)
{
	const struct fake_e1000 *d = &nic[0];
	struct host_nic *n;

	(void)state;
	(void)fake_add(0x10d3, true);
	rig.f[0].msix = true;
	(void)host_nics_init();
	n = host_nic_at(0);
	assert_int_equal(rig_use(n), HV_OK);
	assert_int_equal(REG(d, 0xe4), 1u << 3 | 1u << 11 | 1u << 19);
	assert_int_equal(REG(d, 0xd0), 0x11000d4);
	assert_int_not_equal(REG(d, 0x3828) & 1u << 22, 0);
	/* Causes that reading does not clear are cleared, or they would interrupt for ever. */
	assert_true(fake_receive(&nic[0], 60, 0));
	assert_int_equal(fake_interrupt(&nic[0]), 1);
	fake_set_link(&nic[0], false);
	assert_int_equal(fake_interrupt(&nic[0]), 1);
	assert_false(n->link_up);
}

static void without_msix_there_is_no_such_table(void **state)
{
	(void)state;
	(void)in_use(0x10d3);
	assert_int_equal(REG(&nic[0], 0xe4), 0);
}

/* Many times around the ring, with frames of all lengths. */
static void rings_go_round(void **state)
{
	struct host_nic *n = in_use(0x10d3);

	(void)state;
	for (unsigned i = 0; i < 2000; i++) {
		uint32_t len = NET_FRAME_MIN + i * 7 % (NET_WIRE_MAX - NET_FRAME_MIN + 1);

		assert_true(fake_receive(&nic[0], len, (uint8_t)i));
		assert_true(rig_deliver(n, len, (uint8_t)i));
		assert_int_equal(nic[0].wire[nic[0].wire_count - 1].len, len);
		assert_int_equal(nic[0].wire[nic[0].wire_count - 1].first, (uint8_t)i);
		assert_int_equal(nic[0].wire[nic[0].wire_count - 1].last,
				 (uint8_t)(i + (len - 1) * 7));
		nic[0].wire_count = 0;
		if (i % 5 == 0) {
			(void)fake_interrupt(&nic[0]);
			assert_int_equal(rig.sent[rig.sent_count - 1]->len, len);
			assert_int_equal(rig.sent[rig.sent_count - 1]->data[len - 1],
					 (uint8_t)(i + (len - 1) * 7));
			rig_drop_sent();
		}
	}
	(void)fake_interrupt(&nic[0]);
	rig_advance(2 * NIC_WATCH_NS);
	assert_int_equal(n->stats.rx_bad, 0);
}

static void checksums_that_the_card_has_verified(void **state)
{
	static const struct {
		uint8_t status, errors;
		bool good;
	} cases[] = {
		{0x23, 0, true},  {0x63, 0, true},     {0x03, 0, false},
		{0x27, 0, false}, {0x23, 0x20, false}, {0x63, 0x40, false},
	};

	(void)state;
	(void)in_use(0x100e);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_true(fake_fill(&nic[0], 60, cases[i].status, cases[i].errors));
		(void)fake_interrupt(&nic[0]);
		assert_int_equal(rig.sent_count, i + 1);
		assert_int_equal(rig.sent[i]->offload.checksum_good, cases[i].good);
		assert_false(rig.sent[i]->offload.needs_checksum);
	}
}

static void what_is_no_whole_frame_is_dropped(void **state)
{
	static const struct {
		uint16_t len;
		uint8_t status, errors;
	} cases[] = {
		{60, 3, 0x01},		     /* CRC */
		{60, 3, 0x80},		     /* data */
		{13, 3, 0},		     /* too short */
		{0, 3, 0},     {1519, 3, 0}, /* too long */
		{65535, 3, 0},		     /* beyond the buffer */
		{2048, 1, 0},		     /* a frame that goes on ... */
		{60, 3, 0},		     /* ... and ends here */
	};
	struct host_nic *n = in_use(0x100e);

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_true(fake_fill(&nic[0], cases[i].len, cases[i].status, cases[i].errors));
		(void)fake_interrupt(&nic[0]);
		assert_int_equal(rig.sent_count, 0);
		assert_int_equal(n->stats.rx_bad, i + 1);
	}
	/* The next one is whole again. */
	assert_true(fake_receive(&nic[0], 60, 9));
	(void)fake_interrupt(&nic[0]);
	assert_int_equal(rig.sent_count, 1);
}

/* A card that writes into a descriptor's address gets its own buffer again. */
static void descriptors_are_written_anew(void **state)
{
	uint64_t before;
	uint64_t wrong = 0x1000;
	uint8_t *ring;

	(void)state;
	(void)in_use(0x100e);
	ring = fake_dma(&nic[0], 0x2800);
	memcpy(&before, ring, 8);
	assert_true(fake_fill(&nic[0], 60, 3, 0));
	memcpy(ring, &wrong, 8);
	(void)fake_interrupt(&nic[0]);
	assert_memory_equal(ring, &before, 8);
	assert_int_equal(ring[12], 0);
	assert_int_equal(REG(&nic[0], 0x2818), 0);
}

static void speeds(void **state)
{
	static const uint32_t want[] = {10, 100, 1000, 1000};
	struct host_nic *n = in_use(0x100e);

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		REG(&nic[0], 0x8) = 2 | i << 6;
		fake_set_link(&nic[0], true);
		(void)fake_interrupt(&nic[0]);
		assert_int_equal(n->speed, want[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_models_are_intels, setup, teardown),
		cmocka_unit_test_setup_teardown(the_address_is_the_filters_else_the_eeproms, setup,
						teardown),
		cmocka_unit_test_setup_teardown(an_address_of_the_firmwares_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(without_an_address_it_is_not_used, setup, teardown),
		cmocka_unit_test_setup_teardown(one_that_does_not_answer_is_not_used, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_reset_that_never_ends_is_found_at_start, setup,
						teardown),
		cmocka_unit_test_setup_teardown(rings_and_filters, setup, teardown),
		cmocka_unit_test_setup_teardown(the_82574_is_told_where_its_messages_go, setup,
						teardown),
		cmocka_unit_test_setup_teardown(without_msix_there_is_no_such_table, setup,
						teardown),
		cmocka_unit_test_setup_teardown(rings_go_round, setup, teardown),
		cmocka_unit_test_setup_teardown(checksums_that_the_card_has_verified, setup,
						teardown),
		cmocka_unit_test_setup_teardown(what_is_no_whole_frame_is_dropped, setup, teardown),
		cmocka_unit_test_setup_teardown(descriptors_are_written_anew, setup, teardown),
		cmocka_unit_test_setup_teardown(speeds, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
