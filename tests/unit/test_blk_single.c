/* SPDX-License-Identifier: Apache-2.0 */
#include "guests/devices/blk_single.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/blk_rig.h"

#define VCPU 3u

static _Alignas(BLK_SECTOR) uint8_t sector[BLK_SECTOR];
static const struct blk_request read_nine = {
	.op = BLK_READ, .sector = 9, .count = 1, .buffer = sector};
static struct blk_single single;
static struct vwork_queue queue;
static struct vwork work;
static unsigned asked;

static void ask(void *ctx, unsigned vcpu)
{
	(void)ctx;
	assert_int_equal(vcpu, VCPU);
	/* What completes the request is not done with the owner yet. */
	assert_false(blk_single_is_idle(&single));
	asked++;
}

static void nothing(struct vwork *w)
{
	(void)w;
}

static int setup(void **state)
{
	(void)state;
	rig_disk_init();
	asked = 0;
	vwork_queue_init(&queue, ask, NULL);
	vwork_init(&work, &queue, nothing);
	blk_single_init(&single, &work, VCPU);
	return 0;
}

/* Nobody is asked for work, and there is nothing to collect. */
static void test_at_once(void **state)
{
	(void)state;
	assert_true(blk_single_send(&single, &rig_disk, &read_nine));
	assert_int_equal(single.r.status, HV_OK);
	assert_int_equal(sector[0], 9);
	assert_false(single.open || vwork_is_asked(&work));
	assert_false(blk_single_collect(&single));
	assert_true(blk_single_is_idle(&single));
}

static void test_later(void **state)
{
	(void)state;
	rig_disk_holds = true;
	assert_false(blk_single_send(&single, &rig_disk, &read_nine));
	assert_true(single.open);
	assert_false(blk_single_collect(&single) || blk_single_is_idle(&single));
	rig_disk_finish(0, HV_E_IO);
	assert_int_equal(asked, 1);
	assert_true(single.open && blk_single_is_idle(&single));
	assert_true(blk_single_collect(&single));
	assert_int_equal(single.r.status, HV_E_IO);
	assert_false(single.open || blk_single_collect(&single));
}

/* It comes back all the same, to nobody; the next one is waited for again. */
static void test_abandoned(void **state)
{
	(void)state;
	rig_disk_holds = true;
	blk_single_abandon(&single); /* none is open: means nothing */
	assert_false(blk_single_send(&single, &rig_disk, &read_nine));
	blk_single_abandon(&single);
	assert_false(blk_single_collect(&single));
	assert_true(single.open);
	rig_disk_finish(0, HV_OK);
	assert_true(vwork_is_asked(&work));
	assert_false(blk_single_collect(&single));
	assert_false(single.open);
	assert_false(blk_single_send(&single, &rig_disk, &read_nine));
	rig_disk_finish(0, HV_OK);
	assert_true(blk_single_collect(&single));
}

/* Nor is one that is back, but has not been collected. */
static void test_abandoned_when_back(void **state)
{
	(void)state;
	rig_disk_holds = true;
	assert_false(blk_single_send(&single, &rig_disk, &read_nine));
	rig_disk_finish(0, HV_OK);
	blk_single_abandon(&single);
	assert_false(blk_single_collect(&single));
	assert_false(single.open);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_at_once, setup),
		cmocka_unit_test_setup(test_later, setup),
		cmocka_unit_test_setup(test_abandoned, setup),
		cmocka_unit_test_setup(test_abandoned_when_back, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
