/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "hv/api/clock.h"
#include "hv/base/addr.h"
#include "hv/base/log.h"
#include "hv/blk/registry.h"
#include "tests/fakes/access.h"
#include "tests/fakes/disk_rig.h"
#include "tests/fakes/fake_cpu.h"
#include "tests/fakes/gpt_rig.h"

#define BLOCKS 300u

static struct disk_rig disks[3];
static char text[4096];
static char why[BLK_WHY_MAX];

static void keep_line(const char *line, size_t n)
{
	strncat(text, line, n < sizeof(text) - strlen(text) - 1 ? n : 0);
}

static struct gpt_rig rig_of(struct disk_rig *d, uint32_t block)
{
	return (struct gpt_rig){d->bytes, d->dev.sectors * BLK_SECTOR / block, block, 128};
}

/*
 *	nvme0, blocks of 512	1 root   2 data   3 (no label)
 *	nvme1, blocks of 4096	1 data   7 over partition 1
 *	ahci0, no table
 */
static int setup(void **state)
{
	struct gpt_rig g;

	(void)state;
	fake_cpu_reset();
	fake_machine(MIB(32));
	clock_init(1000000000);
	log_set_sink(keep_line);
	text[0] = '\0';
	blk_registry_init();
	disk_rig_init(&disks[0], "nvme0", BLOCKS, 512);
	disk_rig_init(&disks[1], "nvme1", BLOCKS * 8, 4096);
	disk_rig_init(&disks[2], "ahci0", BLOCKS, 512);
	strcpy(disks[0].dev.serial, "S1");
	strcpy(disks[1].dev.serial, "S2");
	strcpy(disks[2].dev.serial, "S1");
	g = rig_of(&disks[0], 512);
	gpt_rig_make(&g);
	gpt_rig_partition(&g, 1, 40, 99, "root", 0x21);
	gpt_rig_partition(&g, 2, 100, 199, "data", 0x22);
	gpt_rig_partition(&g, 3, 200, 209, "", 0x23);
	g = rig_of(&disks[1], 4096);
	gpt_rig_make(&g);
	gpt_rig_partition(&g, 1, 40, 99, "data", 0x24);
	gpt_rig_partition(&g, 7, 90, 120, "wrong", 0x25);
	for (unsigned i = 0; i < 3; i++) {
		disks[i].holds = true; /* until polled */
		blk_registry_add(&disks[i].dev);
	}
	blk_registry_scan();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		disk_rig_fini(&disks[i]);
	}
	log_set_sink(NULL);
	return 0;
}

static struct blk_extent partition(const char *name)
{
	struct blk_extent e;

	assert_int_equal(blk_registry_find_partition(span_of(name), &e, why), HV_OK);
	return e;
}

static void partitions_by_label_and_guid(void **state)
{
	struct blk_extent e = partition("root");

	(void)state;
	assert_ptr_equal(e.dev, &disks[0].dev);
	assert_int_equal(e.start, 40);
	assert_int_equal(e.sectors, 60);
	assert_string_equal(e.name, "nvme0 partition 1");
	/* In sectors, whatever the disk's blocks are. */
	e = partition("24242424-2424-2424-2424-242424242424");
	assert_ptr_equal(e.dev, &disks[1].dev);
	assert_int_equal(e.start, 40 * 8);
	assert_int_equal(e.sectors, 60 * 8);
	assert_int_equal(blk_registry_disk_count(), 3);
	assert_int_equal(blk_registry_disk(2)->table_status, HV_E_NOT_FOUND);
	assert_null(blk_registry_disk(3));
	/* A second scan finds nothing new. */
	disks[0].requests = 0;
	blk_registry_scan();
	assert_int_equal(disks[0].requests, 0);
}

static void what_is_not_one_is_refused(void **state)
{
	struct blk_extent e;

	(void)state;
	assert_int_equal(blk_registry_find_partition(span_of("data"), &e, why), HV_E_EXISTS);
	assert_string_equal(why, "nvme0 partition 2, nvme1 partition 1");
	assert_int_equal(blk_registry_find_partition(span_of("Root"), &e, why), HV_E_NOT_FOUND);
	assert_non_null(strstr(why, "nvme0 partition 1 (root), nvme0 partition 2 (data), "));
	assert_int_equal(blk_registry_find_partition(span_of(""), &e, why), HV_E_NOT_FOUND);
	assert_int_equal(blk_registry_find_disk(span_of("S1"), &e, why), HV_E_EXISTS);
	assert_string_equal(why, "nvme0, ahci0");
	assert_int_equal(blk_registry_find_disk(span_of("S"), &e, why), HV_E_NOT_FOUND);
	assert_string_equal(why, "nvme0 (S1), nvme1 (S2), ahci0 (S1)");
	assert_int_equal(blk_registry_find_disk(span_of("S2"), &e, why), HV_OK);
	assert_int_equal(e.sectors, BLOCKS * 8);
	assert_string_equal(e.name, "nvme1");
	blk_registry_init();
	assert_int_equal(blk_registry_find_disk(span_of("S2"), &e, why), HV_E_NOT_FOUND);
	assert_string_equal(why, "none");
}

static void assert_claim(const struct blk_extent *e, bool writes, const char *owner,
			 enum hv_status expected)
{
	why[0] = '\0';
	assert_int_equal(blk_registry_claim(e, writes, owner, why), expected);
}

static void one_writer_or_many_readers(void **state)
{
	struct blk_extent root = partition("root");

	(void)state;
	assert_claim(&root, true, "web", HV_OK);
	assert_claim(&root, true, "db", HV_E_BUSY);
	assert_string_equal(why,
			    "guest web writes to nvme0 partition 1, which guest db would write to");
	assert_claim(&root, false, "db", HV_E_BUSY);
	assert_claim(&root, true, "web", HV_E_BUSY); /* as a second disk */
	blk_registry_release("db");
	assert_claim(&root, false, "db", HV_E_BUSY);
	blk_registry_release("web");
	assert_true(list_empty(blk_registry_claims()));
	assert_claim(&root, false, "db", HV_OK);
	assert_claim(&root, false, "web", HV_OK);
	assert_claim(&root, true, "mail", HV_E_BUSY);
	assert_non_null(strstr(why, "guest db reads nvme0 partition 1"));
	blk_registry_release("db");
	blk_registry_release("web");
	assert_claim(&root, true, "mail", HV_OK);
}

/* The disk against its partitions, and partitions that overlap, are one and the same rule. */
static void sectors_count_and_not_names(void **state)
{
	struct blk_extent whole;
	struct blk_extent one = partition("24242424-2424-2424-2424-242424242424");
	struct blk_extent wrong = partition("wrong");
	struct blk_extent data = partition("22222222-2222-2222-2222-222222222222");
	struct blk_extent root = partition("root");

	(void)state;
	assert_int_equal(blk_registry_find_disk(span_of("S2"), &whole, why), HV_OK);
	assert_claim(&one, true, "web", HV_OK);
	assert_claim(&whole, false, "db", HV_E_BUSY);
	assert_claim(&wrong, true, "db", HV_E_BUSY);
	/* Neighbours do not touch, and other disks do not matter. */
	assert_claim(&root, true, "db", HV_OK);
	assert_claim(&data, true, "mail", HV_OK);
	blk_registry_release("web");
	assert_claim(&whole, true, "db", HV_OK);
	assert_claim(&one, false, "web", HV_E_BUSY);
}

static void a_disk_that_cannot_be_written(void **state)
{
	struct blk_extent root = partition("root");

	(void)state;
	disks[0].dev.readonly = true;
	assert_claim(&root, true, "web", HV_E_INVALID);
	assert_claim(&root, false, "web", HV_OK);
}

static void an_image_is_there_once(void **state)
{
	static const uint8_t data[1024];
	struct blk_extent a;
	struct blk_extent b;

	(void)state;
	assert_int_equal(blk_registry_image("images/x.img", data, 1024, &a, why), HV_OK);
	assert_int_equal(blk_registry_image("images/x.img", data, 1024, &b, why), HV_OK);
	assert_ptr_equal(a.dev, b.dev);
	assert_int_equal(a.sectors, 2);
	assert_ptr_equal(blk_registry_images()->next->next, blk_registry_images());
	assert_int_equal(blk_registry_image("y", data + 1, 1000, &b, why), HV_E_INVALID);
	assert_non_null(strstr(why, "1000 bytes; allowed: multiples of 512"));
	assert_ptr_equal(blk_registry_images()->next->next, blk_registry_images());
	assert_claim(&a, false, "web", HV_OK);
	assert_claim(&a, false, "db", HV_OK);
	assert_claim(&a, true, "mail", HV_E_INVALID);
}

static void damaged_and_failing_disks(void **state)
{
	struct blk_extent e;

	(void)state;
	blk_registry_init();
	memset(disks[0].bytes + 512, 0, 512);
	memset(disks[1].bytes + 4096, 0, 4096);
	memset(disks[1].bytes + (BLOCKS - 1) * 4096, 0, 4096);
	disks[2].failure = HV_E_IO;
	text[0] = '\0';
	for (unsigned i = 0; i < 3; i++) {
		blk_registry_add(&disks[i].dev);
	}
	blk_registry_scan();
	assert_non_null(strstr(text, "nvme0: its partition table is damaged (no header); the "
				     "backup is used"));
	assert_non_null(strstr(text, "nvme1: its partition table and the backup are damaged"));
	assert_non_null(strstr(text, "ahci0: its partition table cannot be read"));
	assert_int_equal(blk_registry_find_partition(span_of("root"), &e, why), HV_OK);
	assert_int_equal(blk_registry_find_partition(span_of("wrong"), &e, why), HV_E_NOT_FOUND);
}

/* Answers for the first block alone. */
static void poll_first_block(struct blk_device *dev)
{
	if (container_of(dev, struct disk_rig, dev)->last_sector == 0) {
		disk_rig_poll(dev);
	}
}

static void a_disk_that_answers_too_late(void **state)
{
	static const struct blk_ops slow = {.submit = disk_rig_submit, .poll = poll_first_block};

	(void)state;
	blk_registry_init();
	disks[0].dev.ops = &slow;
	disks[0].requests = 0;
	fake_cpu.tsc_step = 100000000;
	blk_registry_add(&disks[0].dev);
	blk_registry_scan();
	assert_non_null(strstr(text, "nvme0: its partition table cannot be read"));
	/* The disk has the request for block 1 yet: it may not be used for the backup. */
	assert_int_equal(disks[0].requests, 2);
	assert_int_equal(disks[0].open_count, 1);
	disk_rig_finish(&disks[0], 0);
	assert_int_equal(blk_registry_disk(0)->partition_count, 0);
}

static void more_disks_than_there_is_room_for(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2 * BLK_DISKS_MAX; i++) {
		blk_registry_add(&disks[2].dev);
	}
	assert_int_equal(blk_registry_disk_count(), BLK_DISKS_MAX);
	assert_non_null(strstr(text, "ahci0: left out: at most 32 disks"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(partitions_by_label_and_guid, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_not_one_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(one_writer_or_many_readers, setup, teardown),
		cmocka_unit_test_setup_teardown(sectors_count_and_not_names, setup, teardown),
		cmocka_unit_test_setup_teardown(a_disk_that_cannot_be_written, setup, teardown),
		cmocka_unit_test_setup_teardown(an_image_is_there_once, setup, teardown),
		cmocka_unit_test_setup_teardown(damaged_and_failing_disks, setup, teardown),
		cmocka_unit_test_setup_teardown(a_disk_that_answers_too_late, setup, teardown),
		cmocka_unit_test_setup_teardown(more_disks_than_there_is_room_for, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
