/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/api/saved.h"
#include "hv/base/str.h"

struct toy_saved {
	uint32_t value;
};
_Static_assert(sizeof(struct toy_saved) == 4, "padding behind it");

struct toy {
	struct saved_device saved;
	uint32_t value;
	unsigned loads;
	bool busy;
};

static unsigned clock_of_events;
static unsigned reset_at[2];
static struct toy toys[2];

static bool toy_quiet(void *dev)
{
	return !((struct toy *)dev)->busy;
}

static void toy_save(void *dev, void *out)
{
	((struct toy_saved *)out)->value = ((struct toy *)dev)->value;
}

static const char *toy_check(void *dev, const void *in)
{
	(void)dev;
	return ((const struct toy_saved *)in)->value <= 9 ? NULL : "a toy has 0 to 9";
}

static void toy_load(void *dev, const void *in)
{
	struct toy *toy = dev;

	toy->value = ((const struct toy_saved *)in)->value;
	toy->loads++;
}

static void toy_reset(void *dev)
{
	struct toy *toy = dev;

	toy->value = 0;
	reset_at[toy - toys] = ++clock_of_events;
}

static const struct saved_ops toy_ops = {
	.name = "toy",
	.kind = SAVED_KIND('T', 'O', 'Y', ' '),
	.version = 3,
	.bytes = sizeof(struct toy_saved),
	.quiet = toy_quiet,
	.save = toy_save,
	.check = toy_check,
	.load = toy_load,
	.reset = toy_reset,
};

static struct saved_set set;
/* The head, and two records of 24 bytes. */
#define SIZE 72u
static _Alignas(8) uint8_t state_bytes[2 * SIZE];
static char error[120];

static struct saved_head *head(void)
{
	return (struct saved_head *)state_bytes;
}

static struct saved_record *record(unsigned i)
{
	return (struct saved_record *)(state_bytes + 24 + i * 24);
}

static int setup(void **state)
{
	(void)state;
	saved_set_init(&set);
	for (unsigned i = 0; i < 2; i++) {
		toys[i] = (struct toy){.value = 5 + i};
		saved_device_init(&toys[i].saved, &toy_ops, &toys[i]);
		saved_add(&set, &toys[i].saved, i + 10);
	}
	memset(state_bytes, 0xee, sizeof(state_bytes));
	assert_int_equal(saved_size(&set), SIZE);
	saved_save(&set, state_bytes);
	return 0;
}

/* Loading fails with just this message, and no device was touched. */
static void refused(size_t n, const char *message)
{
	assert_false(saved_load(&set, state_bytes, n, error, sizeof(error)));
	assert_string_equal(error, message);
	assert_int_equal(toys[0].loads + toys[1].loads, 0);
}

static void test_layout(void **state)
{
	const uint32_t words[] = {0x56444842, 1, SIZE, 0,	   2,  0, 0x20594f54, 10, 3,
				  4,	      5, 0,    0x20594f54, 11, 3, 4,	      6,  0};

	(void)state;
	assert_memory_equal(state_bytes, words, SIZE);
	assert_int_equal(state_bytes[SIZE], 0xee);
}

static void test_loads_what_was_saved(void **state)
{
	(void)state;
	saved_reset(&set);
	assert_int_equal(toys[0].value + toys[1].value, 0);
	/* What interrupts go to is reset last. */
	assert_true(reset_at[0] > reset_at[1]);
	assert_true(saved_load(&set, state_bytes, SIZE, error, sizeof(error)));
	assert_int_equal(toys[0].value, 5);
	assert_int_equal(toys[1].value, 6);
	assert_int_equal(toys[0].loads, 1);
}

static void test_any_order_of_records(void **state)
{
	uint32_t swap = record(0)->instance;

	(void)state;
	record(0)->instance = record(1)->instance;
	record(1)->instance = swap;
	assert_true(saved_load(&set, state_bytes, SIZE, error, sizeof(error)));
	assert_int_equal(toys[0].value, 6);
	assert_int_equal(toys[1].value, 5);
}

static void test_names_the_busy_one(void **state)
{
	const struct saved_device *busy = NULL;

	(void)state;
	assert_true(saved_quiet(&set, &busy));
	toys[1].busy = true;
	assert_false(saved_quiet(&set, &busy));
	assert_ptr_equal(busy, &toys[1].saved);
	assert_false(saved_quiet(&set, NULL));
}

static void test_bad_heads(void **state)
{
	(void)state;
	refused(23, "this is no state of devices");
	refused(SIZE - 8, "it has 64 bytes and says that it has 72");
	head()->format = 2;
	refused(SIZE, "the format is 2, this build knows 1");
	head()->format = 1;
	head()->records = 3;
	refused(SIZE, "there are 2 records, not 3 as it says");
	head()->magic++;
	refused(SIZE, "this is no state of devices");
}

static void test_bad_records(void **state)
{
	(void)state;
	record(1)->version = 2;
	refused(SIZE, "toy 11: version 2 of 4 bytes, this build loads version 3 of 4");
	record(1)->version = 3;
	record(1)->bytes = 8;
	refused(SIZE, "toy 11: version 3 of 8 bytes, this build loads version 3 of 4");
	record(1)->bytes = UINT32_MAX;
	refused(SIZE, "record 1 does not end within the state");
	record(1)->bytes = 4;
	record(1)->instance = 12;
	refused(SIZE, "the guest has no device of kind 'TOY ' number 12");
	record(1)->kind = 0x07004241;
	refused(SIZE, "the guest has no device of kind 'AB..' number 12");
}

/* The last byte of all may be wrong: the first device must not have been loaded then. */
static void test_bad_contents(void **state)
{
	(void)state;
	*(uint32_t *)(void *)(record(1) + 1) = 10;
	refused(SIZE, "toy 11: a toy has 0 to 9");
	*(uint32_t *)(void *)(record(1) + 1) = 9;
	state_bytes[SIZE - 1] = 1;
	refused(SIZE, "toy 11: the padding is not 0");
}

static void test_missing_and_doubled(void **state)
{
	(void)state;
	record(1)->instance = 10;
	refused(SIZE, "toy 10: 2 records, and one is needed");
	head()->bytes = SIZE - 24;
	head()->records = 1;
	refused(SIZE - 24, "toy 11: 0 records, and one is needed");
}

static void test_no_set(void **state)
{
	struct toy alone = {0};

	(void)state;
	saved_device_init(&alone.saved, &toy_ops, &alone);
	saved_add(NULL, &alone.saved, 4);
	assert_int_equal(alone.saved.instance, 4);
	assert_int_equal(saved_size(&set), SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_layout, setup),
		cmocka_unit_test_setup(test_loads_what_was_saved, setup),
		cmocka_unit_test_setup(test_any_order_of_records, setup),
		cmocka_unit_test_setup(test_names_the_busy_one, setup),
		cmocka_unit_test_setup(test_bad_heads, setup),
		cmocka_unit_test_setup(test_bad_records, setup),
		cmocka_unit_test_setup(test_bad_contents, setup),
		cmocka_unit_test_setup(test_missing_and_doubled, setup),
		cmocka_unit_test_setup(test_no_set, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
