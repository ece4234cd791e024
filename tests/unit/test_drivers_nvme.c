/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/nvme.h"
#include "tests/fakes/fake_nvme.h"
#include "tests/fakes/host_disk_rig.h"

#define SECOND 1000000000ull
#define MS 1000000ull

static struct fake_nvme fake;

static int setup(void **state)
{
	(void)state;
	fake_pci_reset(2);
	fake_nvme_add(&fake, 0x28);
	rig_reset();
	return 0;
}

static void probe(void)
{
	rig_disk_count = 0;
	assert_int_equal(host_pci_scan(&fake_pci_machine.acpi), 1);
	nvme_probe(host_pci_at(0), 0, rig_found);
}

static void probe_one(void)
{
	probe();
	assert_int_equal(rig_disk_count, 1);
}

/* Commands that wait in the first queue. */
static unsigned take_all(struct nvme_command *c, unsigned max)
{
	unsigned count = 0;

	while (count < max && fake_nvme_take(&fake, 1, &c[count])) {
		count++;
	}
	return count;
}

static void a_disk_is_found(void **state)
{
	const struct blk_device *d;

	(void)state;
	probe_one();
	d = rig_disks[0];
	assert_int_equal(fake.resets, 1);
	assert_string_equal(d->name, "nvme0n1");
	assert_string_equal(d->serial, "SN-1234");
	assert_int_equal(d->sectors, FAKE_NVME_BYTES / 512);
	assert_int_equal(d->block_size, 512);
	assert_int_equal(d->max_count, 1024);
	assert_true(d->discards && d->write_zeroes);
	assert_false(d->readonly || d->removed);
	/* A queue for each CPU. */
	assert_int_equal(fake.admin_count[5], 2);
	assert_int_equal(fake.queues[2].vector, 1);
	assert_string_equal(host_pci_at(0)->owner, "nvme");
}

static void what_the_controller_offers(void **state)
{
	(void)state;
	fake.oncs = 0;
	fake.mdts = 2;
	fake.queues_given = 1;
	fake.cap = (fake.cap & ~0xffffull) | 7 | 1ull << 32;
	fake.namespaces[0].attributes = 1;
	probe_one();
	assert_int_equal(rig_disks[0]->max_count, 32);
	assert_false(rig_disks[0]->discards || rig_disks[0]->write_zeroes);
	assert_true(rig_disks[0]->readonly);
	assert_int_equal(fake.admin_count[5], 1);
	assert_int_equal(fake.queues[1].sq_entries, 8);
}

static void namespaces_and_their_formats(void **state)
{
	(void)state;
	fake.namespaces[1] = (struct fake_nvme_namespace){256, 12, 0, 0};
	fake.namespaces[2] = (struct fake_nvme_namespace){256, 12, 8, 0};
	probe();
	assert_int_equal(rig_disk_count, 2);
	assert_string_equal(rig_disks[1]->name, "nvme0n2");
	assert_int_equal(rig_disks[1]->block_size, 4096);
	assert_int_equal(rig_disks[1]->sectors, 2048);
	/* Odd block sizes, sizes that no number holds. */
	setup(NULL);
	fake.namespaces[0].block_bits = 10;
	fake.namespaces[1] = (struct fake_nvme_namespace){UINT64_MAX, 9, 0, 0};
	probe();
	assert_int_equal(rig_disk_count, 0);
	setup(NULL);
	fake.no_active_list = true;
	fake.namespaces[2] = (struct fake_nvme_namespace){256, 9, 0, 0};
	probe();
	assert_int_equal(rig_disk_count, 2);
	assert_string_equal(rig_disks[1]->name, "nvme0n3");
}

static void data_of_every_shape(void **state)
{
	static const uint32_t counts[] = {1, 7, 8, 9, 15, 16, 17, 100, 1016, 1024};
	static const size_t offsets[] = {0, 512, 3584, 4096, 4608};

	(void)state;
	probe_one();
	for (unsigned i = 0; i < ARRAY_SIZE(counts); i++) {
		for (unsigned k = 0; k < ARRAY_SIZE(offsets); k++) {
			size_t bytes = counts[i] * 512ul;
			uint64_t sector = 3 + i;

			rig_fill(rig_buffer + offsets[k], bytes, i + k);
			rig_submit(0, BLK_WRITE, sector, counts[i], offsets[k]);
			assert_int_equal(fake_nvme_run(&fake), 1);
			rig_assert_done(0, HV_OK);
			assert_memory_equal(fake.disk + sector * 512, rig_buffer + offsets[k],
					    bytes);
			memset(rig_buffer, 0xee, bytes + 8192);
			rig_submit(1, BLK_READ, sector, counts[i], offsets[k]);
			assert_int_equal(fake_nvme_run(&fake), 1);
			rig_assert_done(1, HV_OK);
			assert_memory_equal(fake.disk + sector * 512, rig_buffer + offsets[k],
					    bytes);
			assert_int_equal(rig_buffer[offsets[k] + bytes], 0xee);
		}
	}
}

static void blocks_of_4096(void **state)
{
	(void)state;
	fake.namespaces[0] = (struct fake_nvme_namespace){256, 12, 0, 0};
	probe_one();
	rig_fill(fake.disk, FAKE_NVME_BYTES, 5);
	rig_submit(0, BLK_READ, 16, 24, 512);
	rig_submit(1, BLK_DISCARD, 8, 16, 0);
	rig_submit(2, BLK_READ, 4, 8, 0);
	assert_int_equal(fake_nvme_run(&fake), 2);
	rig_assert_done(0, HV_OK);
	assert_memory_equal(rig_buffer + 512, fake.disk + 16 * 512ul, 24 * 512ul);
	assert_int_equal(fake.deallocated_start, 1);
	assert_int_equal(fake.deallocated_blocks, 2);
	rig_assert_done(2, HV_E_INVALID);
}

static void commands_without_data(void **state)
{
	(void)state;
	fake.namespaces[0].blocks = 1ull << 32;
	probe_one();
	rig_submit(0, BLK_FLUSH, 0, 0, 0);
	rig_submit(1, BLK_DISCARD, 5, 4000000000u, 0);
	/* More than a command can say: in pieces, one after the other. */
	rig_submit(2, BLK_WRITE_ZEROES, 100, 150000, 0);
	assert_int_equal(fake_nvme_run(&fake), 5);
	for (unsigned i = 0; i < 3; i++) {
		rig_assert_done(i, HV_OK);
	}
	assert_int_equal(fake.flushed, 1);
	assert_int_equal(fake.deallocated_blocks, 4000000000u);
	assert_int_equal(fake.zeroed_blocks, 150000);
	assert_int_equal(fake.zeroed_commands, 3);
}

static void completions_in_any_order(void **state)
{
	struct nvme_command c[8];

	(void)state;
	probe_one();
	for (unsigned i = 0; i < 5; i++) {
		rig_submit(i, BLK_READ, i, 1, i * 512ul);
	}
	assert_int_equal(take_all(c, 8), 5);
	fake_nvme_post(&fake, 1, c[3].id, 0);
	fake_nvme_post(&fake, 1, c[1].id, 0x281);
	assert_true(fake_nvme_interrupt(&fake, 1));
	rig_assert_done(3, HV_OK);
	rig_assert_done(1, HV_E_IO);
	assert_int_equal(rig_requests[3].order, 1);
	assert_int_equal(rig_done_count, 2);
	fake_nvme_post(&fake, 1, c[4].id, 0);
	fake_nvme_post(&fake, 1, c[0].id, 0);
	fake_nvme_post(&fake, 1, c[2].id, 0);
	/* Without an interrupt. */
	rig_disks[0]->ops->poll(rig_disks[0]);
	assert_int_equal(rig_done_count, 5);
	assert_int_equal(rig_disks[0]->stats.errors, 1);
}

static void made_up_completions_are_ignored(void **state)
{
	struct nvme_command c[2];

	(void)state;
	probe_one();
	rig_submit(0, BLK_READ, 0, 1, 0);
	assert_int_equal(take_all(c, 1), 1);
	fake_nvme_post(&fake, 1, c[0].id + 1u, 0);
	fake_nvme_post(&fake, 1, c[0].id ^ 0x40u, 0);
	fake_nvme_post(&fake, 1, c[0].id | 0x8000u, 0);
	fake_nvme_post(&fake, 1, 0xffff, 0);
	assert_true(fake_nvme_interrupt(&fake, 1));
	assert_int_equal(rig_done_count, 0);
	fake_nvme_post(&fake, 1, c[0].id, 0);
	fake_nvme_post(&fake, 1, c[0].id, 0);
	assert_true(fake_nvme_interrupt(&fake, 1));
	rig_assert_done(0, HV_OK);
	/* The slot's next request is not done by a late echo of the last one. */
	rig_submit(1, BLK_READ, 1, 1, 0);
	assert_int_equal(take_all(c + 1, 1), 1);
	fake_nvme_post(&fake, 1, c[0].id, 0);
	assert_true(fake_nvme_interrupt(&fake, 1));
	assert_int_equal(rig_requests[1].done, 0);
	fake_nvme_post(&fake, 1, c[1].id, 0);
	assert_true(fake_nvme_interrupt(&fake, 1));
	rig_assert_done(1, HV_OK);
}

static void more_than_the_queue_holds(void **state)
{
	struct nvme_command c[RIG_REQUESTS];
	unsigned first;

	(void)state;
	probe_one();
	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < RIG_REQUESTS; i++) {
			rig_submit(i, BLK_READ, i, 1, i * 512ul);
		}
		first = take_all(c, RIG_REQUESTS);
		assert_int_equal(first, 63);
		for (unsigned i = 0; i < first; i++) {
			fake_nvme_transfer(&fake, &c[first - 1 - i]);
			fake_nvme_post(&fake, 1, c[first - 1 - i].id, 0);
		}
		assert_true(fake_nvme_interrupt(&fake, 1));
		assert_int_equal(fake_nvme_run(&fake), RIG_REQUESTS - 63);
		for (unsigned i = 0; i < RIG_REQUESTS; i++) {
			rig_assert_done(i, HV_OK);
		}
	}
}

/* Until the driver wants the controller off. */
static void wait_for_reset(void)
{
	for (unsigned i = 0; fake.cc != 0; i++) {
		assert_true(i < 100);
		fake_pci_pass(SECOND / 4, SECOND / 4);
	}
}

static void a_request_that_takes_too_long(void **state)
{
	(void)state;
	probe_one();
	rig_submit(0, BLK_WRITE, 0, 8, 0);
	fake_pci_pass(10 * SECOND, SECOND / 2);
	assert_int_equal(rig_done_count, 0);
	fake.stays_ready = true;
	wait_for_reset();
	/* Not before the controller is off: it may still read the buffer. */
	assert_int_equal(fake.cc, 0);
	assert_int_equal(rig_done_count, 0);
	rig_submit(1, BLK_READ, 8, 8, 0);
	fake.csts = 0;
	fake_pci_pass(100 * MS, MS);
	rig_assert_done(0, HV_E_IO);
	assert_int_equal(rig_requests[1].done, 0);
	assert_int_equal(fake_nvme_run(&fake), 1);
	rig_assert_done(1, HV_OK);
	assert_false(rig_disks[0]->removed);
	assert_int_equal(fake.resets, 2);
}

static void one_that_does_not_stop_is_cut_off(void **state)
{
	(void)state;
	probe_one();
	rig_submit(0, BLK_WRITE, 0, 8, 0);
	fake.stays_ready = true;
	wait_for_reset();
	assert_int_equal(rig_done_count, 0);
	rig_submit(1, BLK_WRITE, 0, 8, 0);
	fake_pci_pass(2 * SECOND, 10 * MS);
	rig_assert_done(0, HV_E_IO);
	rig_assert_done(1, HV_E_IO);
	assert_false(fake_pci_is_master(&fake.pci));
	assert_true(rig_disks[0]->removed);
	rig_submit(2, BLK_READ, 0, 1, 0);
	rig_assert_done(2, HV_E_IO);
}

static void one_that_is_pulled_out(void **state)
{
	(void)state;
	probe_one();
	rig_submit(0, BLK_READ, 0, 8, 0);
	fake.pci.gone = true;
	fake_pci_pass(2 * SECOND, SECOND / 4);
	rig_assert_done(0, HV_E_IO);
	assert_true(rig_disks[0]->removed);
}

static void a_fatal_status_leads_to_a_reset(void **state)
{
	(void)state;
	probe_one();
	rig_submit(0, BLK_READ, 0, 8, 0);
	fake.csts |= 2;
	fake_pci_pass(2 * SECOND, 10 * MS);
	rig_assert_done(0, HV_E_IO);
	assert_int_equal(fake.resets, 2);
	rig_submit(1, BLK_READ, 0, 8, 0);
	assert_int_equal(fake_nvme_run(&fake), 1);
	rig_assert_done(1, HV_OK);
}

static void resets_that_do_not_help_end(void **state)
{
	(void)state;
	probe_one();
	for (unsigned i = 0; i < 10 && !rig_disks[0]->removed; i++) {
		rig_submit(i, BLK_READ, 0, 8, 0);
		fake_pci_pass(20 * SECOND, 100 * MS);
		rig_assert_done(i, HV_E_IO);
	}
	assert_true(rig_disks[0]->removed);
	assert_in_range(fake.resets, 3, 5);
}

static void a_lost_interrupt_costs_a_second(void **state)
{
	struct nvme_command c;

	(void)state;
	probe_one();
	rig_submit(0, BLK_READ, 0, 8, 0);
	assert_true(fake_nvme_take(&fake, 1, &c));
	fake_nvme_post(&fake, 1, c.id, 0);
	fake_pci_pass(1100 * MS, 50 * MS);
	rig_assert_done(0, HV_OK);
	assert_int_equal(fake.resets, 1);
}

static void controllers_that_do_not_start(void **state)
{
	(void)state;
	fake.stays_ready = true;
	probe();
	assert_int_equal(rig_disk_count, 0);
	assert_false(fake_pci_is_master(&fake.pci));
	setup(NULL);
	fake.never_ready = true;
	probe();
	setup(NULL);
	fake.admin_silent = true;
	probe();
	for (unsigned opcode = 1; opcode < 10; opcode++) {
		setup(NULL);
		fake.admin_refuses = (uint8_t)opcode;
		probe();
		assert_int_equal(rig_disk_count, fake.admin_count[opcode] == 0);
	}
	/* No queue of two entries, large pages, another command set. */
	setup(NULL);
	fake.cap &= ~0xffffull;
	probe();
	setup(NULL);
	fake.cap |= 1ull << 48;
	probe();
	setup(NULL);
	fake.cap &= ~(1ull << 37);
	probe();
	setup(NULL);
	fake.pci.bar_size[0] = 0x1000;
	probe();
	assert_int_equal(rig_disk_count, 0);
}

static void by_its_line(void **state)
{
	struct nvme_command c;

	(void)state;
	fake.pci.config[0x34] = 0;
	fake_pci_put(&fake.pci, 0x3c, 2, 0x010b);
	probe_one();
	assert_int_equal(fake.queues[2].vector, 0);
	assert_int_equal(fake.intms, 0);
	rig_submit(0, BLK_READ, 0, 8, 0);
	assert_true(fake_nvme_take(&fake, 1, &c));
	fake_nvme_post(&fake, 1, c.id, 0);
	assert_true(fake_pci_line(11));
	rig_assert_done(0, HV_OK);
	/* Quiet while it is reset. */
	fake.csts |= 2;
	fake.stays_ready = true;
	fake_pci_pass(1100 * MS, 50 * MS);
	fake.csts = 0;
	fake_pci_pass(2 * MS, MS);
	assert_int_equal(fake.intms, UINT32_MAX);
	fake_pci_pass(50 * MS, MS);
	assert_int_equal(fake.intms, 0);
}

#define T(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_disk_is_found),
		T(what_the_controller_offers),
		T(namespaces_and_their_formats),
		T(data_of_every_shape),
		T(blocks_of_4096),
		T(commands_without_data),
		T(completions_in_any_order),
		T(made_up_completions_are_ignored),
		T(more_than_the_queue_holds),
		T(a_request_that_takes_too_long),
		T(one_that_does_not_stop_is_cut_off),
		T(one_that_is_pulled_out),
		T(a_fatal_status_leads_to_a_reset),
		T(resets_that_do_not_help_end),
		T(a_lost_interrupt_costs_a_second),
		T(controllers_that_do_not_start),
		T(by_its_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
