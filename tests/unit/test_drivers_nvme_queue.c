/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fakes/nvme_disk_rig.h"

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

#define T(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(data_of_every_shape),
		T(blocks_of_4096),
		T(commands_without_data),
		T(completions_in_any_order),
		T(made_up_completions_are_ignored),
		T(more_than_the_queue_holds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
