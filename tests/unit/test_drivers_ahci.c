/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/api/clock.h"
#include "tests/fakes/ahci_disk_rig.h"

static void a_disk_is_found(void **state)
{
	const struct blk_device *d;

	(void)state;
	probe_one();
	d = rig_disks[0];
	assert_string_equal(d->name, "ahci0.1");
	assert_string_equal(d->serial, "SER-77");
	assert_int_equal(d->sectors, FAKE_AHCI_BYTES / 512);
	assert_int_equal(d->block_size, 512);
	assert_int_equal(d->max_count, 1024);
	assert_true(d->discards);
	assert_false(d->write_zeroes);
	assert_int_equal(fake.resets, 1);
	/* Taken over from firmware; interrupts on. */
	assert_int_equal(fake.bohc, 2);
	assert_int_equal(fake.ghc, 0x80000002);
	assert_int_equal(port->cmd & 1, 1);
	/* The port without a disk is off. */
	assert_int_equal(fake.ports[0].cmd, 0);
}

static void disks_that_cannot_be_used(void **state)
{
	(void)state;
	fake.identify[83] = 0;
	probe();
	assert_int_equal(rig_disk_count, 0);
	setup(NULL);
	fake.identify[100] = 0;
	probe();
	setup(NULL);
	fake.identify[106] = 0x5000;
	fake.identify[117] = 264;
	probe();
	setup(NULL);
	fake.identify_fails = true;
	probe();
	setup(NULL);
	fake.identify_silent = true;
	probe();
	setup(NULL);
	fake.no_link = true;
	probe();
	setup(NULL);
	fake.never_resets = true;
	probe();
	setup(NULL);
	fake.cap &= ~(1u << 31);
	probe();
	setup(NULL);
	fake.pci.bar_size[5] = 0x100;
	probe();
	assert_int_equal(rig_disk_count, 0);
}

static uint64_t probing_ns(void)
{
	uint64_t start = clock_now();

	probe_one();
	return clock_ticks_to_ns(clock_now() - start);
}

/* A device has 10 ms to show itself; only where one did is a link waited for. */
static void an_empty_port_is_not_waited_for_long(void **state)
{
	(void)state;
	assert_in_range(probing_ns(), 10 * MS, 50 * MS);
	setup(NULL);
	fake.half_linked = true;
	assert_in_range(probing_ns(), 100 * MS, 150 * MS);
}

static void an_adapter_that_is_pulled_out(void **state)
{
	(void)state;
	probe_one();
	rig_submit(0, BLK_READ, 0, 8, 0);
	fake.pci.gone = true;
	fake_pci_pass(2 * SECOND, 100 * MS);
	rig_assert_done(0, HV_E_IO);
	assert_true(rig_disks[0]->removed);
}

#define T(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_disk_is_found),
		T(disks_that_cannot_be_used),
		T(an_empty_port_is_not_waited_for_long),
		T(an_adapter_that_is_pulled_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
