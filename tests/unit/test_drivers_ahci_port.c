/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fakes/ahci_disk_rig.h"
#include "tests/fakes/fake_cpu.h"

static void data_goes_to_and_fro(void **state)
{
	static const uint32_t counts[] = {1, 8, 9, 255, 256, 1024};

	(void)state;
	probe_one();
	for (unsigned i = 0; i < ARRAY_SIZE(counts); i++) {
		size_t bytes = counts[i] * 512ul;

		rig_fill(rig_buffer + 512, bytes, i);
		rig_submit(0, BLK_WRITE, 5 + i, counts[i], 512);
		assert_int_equal(fake_ahci_run(&fake), 1);
		rig_assert_done(0, HV_OK);
		assert_memory_equal(fake.disk + (5 + i) * 512ul, rig_buffer + 512, bytes);
		memset(rig_buffer, 0, bytes + 1024);
		rig_submit(1, BLK_READ, 5 + i, counts[i], 1024);
		assert_int_equal(fake_ahci_run(&fake), 1);
		rig_assert_done(1, HV_OK);
		assert_memory_equal(fake.disk + (5 + i) * 512ul, rig_buffer + 1024, bytes);
	}
}

static void queued_commands_end_in_any_order(void **state)
{
	(void)state;
	probe_one();
	for (unsigned i = 0; i < 40; i++) {
		rig_submit(i, BLK_READ, i, 1, i * 512ul);
	}
	assert_int_equal(fake_ahci_open(&fake), UINT32_MAX);
	assert_int_equal(fake_ahci_command(&fake, 7), 0x60);
	fake_ahci_finish(&fake, 7);
	fake_ahci_finish(&fake, 3);
	assert_int_equal(rig_done_count, 0);
	assert_true(fake_ahci_interrupt(&fake, 8));
	rig_assert_done(7, HV_OK);
	rig_assert_done(3, HV_OK);
	assert_int_equal(rig_done_count, 2);
	assert_int_equal(fake_ahci_open(&fake), UINT32_MAX);
	assert_int_equal(fake_ahci_run(&fake), 38);
	assert_int_equal(rig_done_count, 40);
}

static void others_have_the_disk_for_themselves(void **state)
{
	(void)state;
	probe_one();
	rig_submit(0, BLK_WRITE, 0, 8, 0);
	rig_submit(1, BLK_FLUSH, 0, 0, 0);
	rig_submit(2, BLK_READ, 8, 8, 4096);
	assert_int_equal(fake_ahci_open(&fake), 1);
	fake_ahci_finish(&fake, 0);
	assert_true(fake_ahci_interrupt(&fake, 8));
	assert_int_equal(fake_ahci_command(&fake, 0), 0xea);
	assert_int_equal(fake_ahci_open(&fake), 1);
	assert_int_equal(port->sact, 0);
	assert_int_equal(fake_ahci_run(&fake), 2);
	assert_int_equal(fake.flushed, 1);
	rig_assert_done(2, HV_OK);
}

static void without_queuing(void **state)
{
	(void)state;
	fake.identify[76] = 0;
	probe_one();
	rig_submit(0, BLK_WRITE, 4, 1024, 0);
	rig_submit(1, BLK_READ, 4, 16, 0);
	assert_int_equal(fake_ahci_open(&fake), 1);
	assert_int_equal(fake_ahci_command(&fake, 0), 0x35);
	assert_int_equal(fake_ahci_run(&fake), 2);
	rig_assert_done(0, HV_OK);
	rig_assert_done(1, HV_OK);
}

static void sectors_of_4096(void **state)
{
	(void)state;
	fake.identify[106] = 0x5000;
	fake.identify[117] = 2048;
	fake.identify[100] = 256;
	probe_one();
	assert_int_equal(rig_disks[0]->block_size, 4096);
	assert_int_equal(rig_disks[0]->sectors, 2048);
	rig_fill(fake.disk, FAKE_AHCI_BYTES, 9);
	rig_submit(0, BLK_READ, 16, 24, 512);
	rig_submit(1, BLK_READ, 4, 8, 0);
	assert_int_equal(fake_ahci_run(&fake), 1);
	rig_assert_done(0, HV_OK);
	rig_assert_done(1, HV_E_INVALID);
	assert_memory_equal(rig_buffer + 512, fake.disk + 16 * 512ul, 24 * 512ul);
}

static void discards_in_pieces(void **state)
{
	(void)state;
	fake.identify[102] = 1; /* 2^32 sectors and some */
	probe_one();
	rig_submit(0, BLK_DISCARD, 77, 100, 0);
	assert_int_equal(fake_ahci_run(&fake), 1);
	assert_int_equal(fake.trimmed_first, 77);
	assert_int_equal(fake.trimmed_blocks, 100);
	/* More than a block of ranges holds. */
	rig_submit(1, BLK_DISCARD, 1000, 64 * 65535 + 5, 0);
	assert_int_equal(fake_ahci_run(&fake), 2);
	rig_assert_done(1, HV_OK);
	assert_int_equal(fake.trimmed_ranges, 1 + 64 + 1);
	assert_int_equal(fake.trimmed_blocks, 100 + 64 * 65535 + 5);
	assert_int_equal(fake.trimmed_first, 1000 + 64 * 65535);
}

/* The HBA has let go of the command, but its status says that it failed. */
static void a_status_that_says_no(void **state)
{
	static const uint32_t status[] = {0x41, 0x70};

	(void)state;
	probe_one();
	for (unsigned i = 0; i < ARRAY_SIZE(status); i++) {
		rig_submit(i, BLK_FLUSH, 0, 0, 0);
		fake_ahci_finish(&fake, 0);
		port->tfd = status[i];
		assert_true(fake_ahci_interrupt(&fake, 1));
		rig_assert_done(i, HV_E_IO);
	}
	port->tfd = 0x50;
	rig_submit(2, BLK_FLUSH, 0, 0, 0);
	assert_int_equal(fake_ahci_run(&fake), 1);
	rig_assert_done(2, HV_OK);
}

static void an_error_resets_the_link(void **state)
{
	(void)state;
	probe_one();
	rig_submit(0, BLK_READ, 0, 8, 0);
	rig_submit(1, BLK_READ, 8, 8, 4096);
	rig_submit(2, BLK_READ, 16, 8, 8192);
	fake_ahci_finish(&fake, 0);
	fake.never_stops = true;
	fake_ahci_error(&fake, 1);
	/* What was done before was done well. */
	rig_assert_done(0, HV_OK);
	fake_pci_pass(100 * MS, MS);
	assert_int_equal(rig_done_count, 1);
	rig_submit(3, BLK_READ, 0, 8, 0);
	fake.never_stops = false;
	port->cmd &= ~(1u << 15);
	port->ci = port->sact = 0;
	fake_pci_pass(100 * MS, MS);
	assert_int_equal(port->link_resets, 2);
	/* The rest one by one: which of them it was shows then. */
	assert_int_equal(rig_done_count, 1);
	assert_int_equal(fake_ahci_open(&fake), 1);
	fake_ahci_error(&fake, 0);
	fake_pci_pass(100 * MS, MS);
	rig_assert_done(1, HV_E_IO);
	assert_int_equal(fake_ahci_open(&fake), 1);
	fake_ahci_finish(&fake, 0);
	assert_true(fake_ahci_interrupt(&fake, 8));
	rig_assert_done(2, HV_OK);
	assert_int_equal(fake_ahci_run(&fake), 1);
	rig_assert_done(3, HV_OK);
	assert_false(rig_disks[0]->removed);
}

static void a_request_that_takes_too_long(void **state)
{
	(void)state;
	probe_one();
	rig_submit(0, BLK_WRITE, 0, 8, 0);
	fake_pci_pass(29 * SECOND, SECOND / 2);
	assert_int_equal(rig_done_count, 0);
	fake_pci_pass(4 * SECOND, 10 * MS);
	rig_assert_done(0, HV_E_IO);
	assert_int_equal(port->link_resets, 2);
	rig_submit(1, BLK_READ, 0, 8, 0);
	assert_int_equal(fake_ahci_run(&fake), 1);
	rig_assert_done(1, HV_OK);
}

static void a_lost_interrupt_costs_a_second(void **state)
{
	(void)state;
	probe_one();
	rig_submit(0, BLK_READ, 0, 8, 0);
	fake_ahci_finish(&fake, 0);
	fake_pci_pass(1100 * MS, 50 * MS);
	rig_assert_done(0, HV_OK);
}

static void an_engine_that_does_not_stop_is_cut_off(void **state)
{
	(void)state;
	probe_one();
	rig_submit(0, BLK_WRITE, 0, 8, 0);
	fake.never_stops = true;
	fake_ahci_error(&fake, 0);
	fake_pci_pass(500 * MS, MS);
	assert_int_equal(rig_done_count, 0);
	fake_pci_pass(SECOND, MS);
	rig_assert_done(0, HV_E_IO);
	assert_false(fake_pci_is_master(&fake.pci));
	assert_true(rig_disks[0]->removed);
}

static void a_disk_that_is_pulled_out(void **state)
{
	(void)state;
	probe_one();
	rig_submit(0, BLK_READ, 0, 8, 0);
	fake.no_link = true;
	port->ssts = 0;
	assert_true(fake_ahci_interrupt(&fake, 1u << 22));
	fake_pci_pass(100 * MS, MS);
	rig_assert_done(0, HV_E_IO);
	rig_submit(1, BLK_READ, 0, 8, 0);
	assert_int_equal(rig_requests[1].done, 0);
	fake_pci_pass(11 * SECOND, 10 * MS);
	rig_assert_done(1, HV_E_IO);
	assert_true(rig_disks[0]->removed);
	/* The other disks of the adapter go on. */
	assert_true(fake_pci_is_master(&fake.pci));
}

/* As at the start of the machine, where a partition table may have a bad sector. */
static void an_error_while_no_timer_runs(void **state)
{
	(void)state;
	probe_one();
	rig_submit(0, BLK_READ, 0, 8, 0);
	fake_ahci_error(&fake, 0);
	for (unsigned i = 0; i < 100; i++) {
		fake_cpu.tsc += MS;
		rig_disks[0]->ops->poll(rig_disks[0]);
	}
	rig_assert_done(0, HV_E_IO);
	rig_submit(1, BLK_READ, 0, 8, 0);
	assert_int_equal(fake_ahci_run(&fake), 1);
	rig_assert_done(1, HV_OK);
}

static void bad_sectors_are_answers(void **state)
{
	(void)state;
	probe_one();
	for (unsigned i = 0; i < 10; i++) {
		rig_submit(i, BLK_READ, i, 1, 0);
		fake_ahci_error(&fake, 0);
		fake_pci_pass(SECOND, MS);
		rig_assert_done(i, HV_E_IO);
	}
	rig_submit(10, BLK_READ, 0, 8, 0);
	assert_int_equal(fake_ahci_run(&fake), 1);
	rig_assert_done(10, HV_OK);
}

static void resets_that_do_not_help_end(void **state)
{
	unsigned i;

	(void)state;
	probe_one();
	for (i = 0; i < 10 && !rig_disks[0]->removed; i++) {
		rig_submit(i, BLK_READ, 0, 8, 0);
		/* "Interface Fatal Error". */
		assert_true(fake_ahci_interrupt(&fake, 1u << 27));
		fake_pci_pass(SECOND, MS);
		rig_assert_done(i, HV_E_IO);
	}
	assert_in_range(i, 3, 5);
	assert_true(rig_disks[0]->removed);
	assert_true(fake_pci_is_master(&fake.pci));
}

#define T(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(data_goes_to_and_fro),
		T(queued_commands_end_in_any_order),
		T(others_have_the_disk_for_themselves),
		T(without_queuing),
		T(sectors_of_4096),
		T(discards_in_pieces),
		T(a_status_that_says_no),
		T(an_error_resets_the_link),
		T(a_request_that_takes_too_long),
		T(a_lost_interrupt_costs_a_second),
		T(an_engine_that_does_not_stop_is_cut_off),
		T(a_disk_that_is_pulled_out),
		T(an_error_while_no_timer_runs),
		T(bad_sectors_are_answers),
		T(resets_that_do_not_help_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
