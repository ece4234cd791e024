/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/virtio_blk.h"
#include "tests/fakes/fake_virtio.h"
#include "tests/fakes/host_disk_rig.h"

#define SECOND 1000000000ull
#define MS 1000000ull
#define FEATURES (1ull << 32 | 1u << 6 | 1u << 9 | 1u << 13 | 1u << 14)

static struct fake_virtio fake;
static const char *serial; /* NULL: it has none */

static void set_config(unsigned offset, unsigned size, uint64_t value)
{
	memcpy(&fake.config[offset], &value, size);
}

static int setup(void **state)
{
	(void)state;
	fake_pci_reset(1);
	serial = NULL;
	fake_virtio_add(&fake, 0x20, VIRTIO_TYPE_BLOCK, 0x010000, 2);
	fake.offers = FEATURES;
	for (unsigned i = 0; i < FAKE_VIRTIO_QUEUES; i++) {
		fake.queues[i].size = 64;
	}
	set_config(0, 8, 2048);
	set_config(20, 4, 512);
	set_config(36, 4, 1000);
	set_config(48, 4, 100);
	rig_reset();
	return 0;
}

static const struct virtio_blk_header *header_of(const struct fake_virtio_chain *c)
{
	assert_int_equal(c->parts[0].size, 16);
	assert_int_equal(c->parts[c->count - 1].size, 1);
	assert_true(c->parts[c->count - 1].writable);
	return c->parts[0].data;
}

/* What is asked at the start: the serial number. */
static void answer(struct fake_virtio *v, unsigned queue)
{
	struct fake_virtio_chain c;

	assert_true(fake_virtio_take(v, queue, &c));
	assert_int_equal(header_of(&c)->type, 8);
	assert_int_equal(c.parts[1].size, 20);
	*(uint8_t *)c.parts[2].data = serial == NULL ? 2 : 0;
	if (serial != NULL) {
		memcpy(c.parts[1].data, serial, strlen(serial));
	}
	fake_virtio_use(v, queue, c.head, 21);
}

static void probe(void)
{
	rig_disk_count = 0;
	fake.on_notify = answer;
	assert_int_equal(host_pci_scan(&fake_pci_machine.acpi), 1);
	assert_true(virtio_blk_matches(host_pci_at(0)));
	virtio_blk_probe(host_pci_at(0), 0, rig_found);
	fake.on_notify = NULL;
}

static void probe_one(void)
{
	probe();
	assert_int_equal(rig_disk_count, 1);
}

static bool take(struct fake_virtio_chain *c)
{
	return fake_virtio_take(&fake, 0, c);
}

static void finish(const struct fake_virtio_chain *c, uint8_t status)
{
	uint32_t written = 1;

	if (c->parts[1].writable && c->count == 3) {
		written += c->parts[1].size;
	}
	*(uint8_t *)c->parts[c->count - 1].data = status;
	fake_virtio_use(&fake, 0, c->head, written);
	assert_true(fake_virtio_interrupt(&fake, 0));
}

static void a_disk_is_found(void **state)
{
	const struct blk_device *d;

	(void)state;
	serial = "VIRT-1";
	probe_one();
	d = rig_disks[0];
	assert_string_equal(d->name, "virtio-blk0");
	assert_string_equal(d->serial, "VIRT-1");
	assert_int_equal(d->sectors, 2048);
	assert_int_equal(d->block_size, 512);
	assert_int_equal(d->max_count, 1024);
	assert_true(d->discards && d->write_zeroes);
	assert_false(d->readonly);
	assert_int_equal(fake.accepted, FEATURES);
	assert_int_equal(fake.status, 15);
}

static void one_without_a_serial_number(void **state)
{
	(void)state;
	probe_one();
	assert_string_equal(rig_disks[0]->serial, "");
}

static void silent(struct fake_virtio *v, unsigned queue)
{
	(void)v;
	(void)queue;
}

static void one_that_does_not_answer(void **state)
{
	(void)state;
	rig_disk_count = 0;
	fake.on_notify = silent;
	(void)host_pci_scan(&fake_pci_machine.acpi);
	virtio_blk_probe(host_pci_at(0), 0, rig_found);
	assert_int_equal(rig_disk_count, 0);
	assert_false(fake_pci_is_master(&fake.pci));
}

static void disks_that_cannot_be_used(void **state)
{
	(void)state;
	set_config(20, 4, 1024);
	probe();
	assert_int_equal(rig_disk_count, 0);
	assert_false(fake_pci_is_master(&fake.pci));
	set_config(20, 4, 0);
	probe();
	set_config(20, 4, 4096);
	set_config(0, 8, 2047);
	probe();
	set_config(0, 8, 0);
	probe();
	set_config(0, 8, UINT64_MAX);
	probe();
	set_config(0, 8, 2048);
	fake.queues[0].size = 2;
	probe();
	assert_int_equal(rig_disk_count, 0);
}

static void limits_are_kept(void **state)
{
	(void)state;
	fake.offers = 1ull << 32 | 1u << 1 | 1u << 5;
	set_config(8, 4, 16384);
	probe_one();
	assert_true(rig_disks[0]->readonly);
	assert_int_equal(rig_disks[0]->max_count, 32);
	assert_false(rig_disks[0]->discards || rig_disks[0]->write_zeroes);
	/* Nothing to flush. */
	rig_submit(0, BLK_FLUSH, 0, 0, 0);
	rig_assert_done(0, HV_OK);
	setup(NULL);
	fake.offers |= 1u << 1;
	set_config(8, 4, 4095);
	probe();
	assert_int_equal(rig_disk_count, 0);
}

static void requests_and_their_answers(void **state)
{
	struct fake_virtio_chain c;

	(void)state;
	probe_one();
	rig_submit(0, BLK_WRITE, 7, 9, 1024);
	assert_true(take(&c));
	assert_int_equal(header_of(&c)->type, 1);
	assert_int_equal(header_of(&c)->sector, 7);
	assert_ptr_equal(c.parts[1].data, rig_buffer + 1024);
	assert_int_equal(c.parts[1].size, 9 * 512);
	assert_false(c.parts[1].writable);
	finish(&c, 0);
	rig_assert_done(0, HV_OK);
	rig_submit(1, BLK_READ, 3, 1, 0);
	assert_true(take(&c));
	assert_int_equal(header_of(&c)->type, 0);
	assert_true(c.parts[1].writable);
	finish(&c, 1);
	rig_assert_done(1, HV_E_IO);
	rig_submit(2, BLK_FLUSH, 0, 0, 0);
	assert_true(take(&c));
	assert_int_equal(header_of(&c)->type, 4);
	assert_int_equal(c.count, 2);
	finish(&c, 0);
	rig_assert_done(2, HV_OK);
	/* Done, says the device, and has written less than was asked for. */
	rig_submit(3, BLK_READ, 3, 4, 0);
	assert_true(take(&c));
	*(uint8_t *)c.parts[2].data = 0;
	fake_virtio_use(&fake, 0, c.head, 512);
	assert_true(fake_virtio_interrupt(&fake, 0));
	rig_assert_done(3, HV_E_IO);
}

static void ranges_in_pieces(void **state)
{
	static const uint32_t sizes[] = {100, 100, 50};
	struct fake_virtio_chain c;
	uint64_t sector = 5;

	(void)state;
	probe_one();
	rig_submit(0, BLK_WRITE_ZEROES, 5, 250, 0);
	for (unsigned i = 0; i < 3; i++) {
		const struct virtio_blk_range *r;

		assert_true(take(&c));
		r = c.parts[1].data;
		assert_int_equal(header_of(&c)->type, 13);
		assert_int_equal(r->sector, sector);
		assert_int_equal(r->count, sizes[i]);
		assert_int_equal(r->flags, 0);
		sector += sizes[i];
		finish(&c, 0);
	}
	rig_assert_done(0, HV_OK);
	rig_submit(1, BLK_DISCARD, 5, 1000, 0);
	assert_true(take(&c));
	assert_int_equal(header_of(&c)->type, 11);
	finish(&c, 0);
	rig_assert_done(1, HV_OK);
}

static void more_than_the_queue_holds(void **state)
{
	struct fake_virtio_chain c;
	unsigned count = 0;

	(void)state;
	probe_one();
	for (unsigned i = 0; i < 50; i++) {
		rig_submit(i, BLK_READ, i, 1, i * 512ul);
	}
	while (take(&c)) {
		finish(&c, 0);
		count++;
	}
	assert_int_equal(count, 50);
	for (unsigned i = 0; i < 50; i++) {
		rig_assert_done(i, HV_OK);
	}
}

static void a_request_that_takes_too_long(void **state)
{
	struct fake_virtio_chain c;

	(void)state;
	probe_one();
	fake.never_resets = true;
	rig_submit(0, BLK_WRITE, 0, 8, 0);
	fake_pci_pass(15 * SECOND, SECOND / 2);
	fake_pci_pass(1500 * MS, MS);
	/* It was asked to reset, and has not done it yet: nothing is given back. */
	assert_int_equal(rig_done_count, 0);
	fake.never_resets = false;
	fake.status = 0;
	fake_pci_pass(100 * MS, MS);
	rig_assert_done(0, HV_E_IO);
	assert_false(rig_disks[0]->removed);
	rig_submit(1, BLK_READ, 0, 8, 0);
	assert_true(take(&c));
	finish(&c, 0);
	rig_assert_done(1, HV_OK);
}

static void one_that_does_not_reset_is_cut_off(void **state)
{
	(void)state;
	probe_one();
	rig_submit(0, BLK_WRITE, 0, 8, 0);
	fake.never_resets = true;
	fake_pci_pass(20 * SECOND, 10 * MS);
	rig_assert_done(0, HV_E_IO);
	assert_false(fake_pci_is_master(&fake.pci));
	assert_true(rig_disks[0]->removed);
}

static void a_queue_that_makes_no_sense(void **state)
{
	(void)state;
	probe_one();
	rig_submit(0, BLK_READ, 0, 8, 0);
	fake.queues[0].used_index = 999;
	fake_virtio_use(&fake, 0, 0, 0);
	fake_pci_pass(3 * SECOND, 10 * MS);
	rig_assert_done(0, HV_E_IO);
	assert_false(rig_disks[0]->removed);
	assert_int_equal(fake.status, 15);
}

static void a_reset_while_no_timer_runs(void **state)
{
	(void)state;
	probe_one();
	rig_submit(0, BLK_READ, 0, 8, 0);
	fake.queues[0].used_index = 999;
	fake_virtio_use(&fake, 0, 0, 0);
	rig_disks[0]->ops->poll(rig_disks[0]);
	rig_disks[0]->ops->poll(rig_disks[0]);
	rig_assert_done(0, HV_E_IO);
	assert_int_equal(fake.status, 15);
}

static void resets_that_do_not_help_end(void **state)
{
	unsigned i;

	(void)state;
	probe_one();
	for (i = 0; i < 10 && !rig_disks[0]->removed; i++) {
		rig_submit(i, BLK_READ, 0, 8, 0);
		fake_pci_pass(18 * SECOND, 100 * MS);
		rig_assert_done(i, HV_E_IO);
	}
	assert_in_range(i, 3, 5);
}

#define T(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_disk_is_found),
		T(one_without_a_serial_number),
		T(one_that_does_not_answer),
		T(disks_that_cannot_be_used),
		T(limits_are_kept),
		T(requests_and_their_answers),
		T(ranges_in_pieces),
		T(more_than_the_queue_holds),
		T(a_request_that_takes_too_long),
		T(one_that_does_not_reset_is_cut_off),
		T(a_queue_that_makes_no_sense),
		T(a_reset_while_no_timer_runs),
		T(resets_that_do_not_help_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
