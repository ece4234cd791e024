/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "guests/devices/pflash.h"
#include "tests/fakes/lacks_rig.h"
#include "tests/fakes/saved_rig.h"

#define BLOCKS 5u
#define FIXED 4u /* the last one is locked down for good */
#define READY PFLASH_SR_READY

static struct pflash f;
static uint8_t contents[BLOCKS * PFLASH_BLOCK];
static bool shown;
static unsigned show_count;
static unsigned change_count;
static uint32_t changed_at;
static uint32_t changed_bytes;

/* Neighbours count as one change. */
static void put(void *ctx, uint32_t offset, const uint8_t *data, uint32_t n)
{
	assert_ptr_equal(ctx, contents);
	assert_in_range(n, 1, PFLASH_BUFFER);
	memcpy(contents + offset, data, n);
	if (n == 1 || change_count == 0 || offset != changed_at + changed_bytes) {
		changed_at = offset;
		changed_bytes = 0;
		change_count++;
	}
	changed_bytes += n;
}

static void show(void *ctx, bool array)
{
	assert_ptr_equal(ctx, contents);
	assert_int_not_equal(array, shown);
	shown = array;
	show_count++;
}

static int setup(void **state)
{
	const struct pflash_config cfg = {.contents = contents,
					  .blocks = BLOCKS,
					  .first_fixed = FIXED,
					  .put = put,
					  .show = show,
					  .ctx = contents};

	(void)state;
	for (unsigned i = 0; i < sizeof(contents); i++) {
		contents[i] = (uint8_t)(i * 7 + i / PFLASH_BLOCK);
	}
	shown = true;
	show_count = 0;
	change_count = 0;
	pflash_init(&f, &cfg);
	return 0;
}

static uint64_t read_wide(uint32_t offset, unsigned size)
{
	const struct vdev_access a = {.space = BUS_MMIO, .offset = offset, .size = size};

	return f.dev.ops->read(&f.dev, &a);
}

static void write_wide(uint32_t offset, unsigned size, uint64_t value)
{
	const struct vdev_access a = {.space = BUS_MMIO, .offset = offset, .size = size};

	f.dev.ops->write(&f.dev, &a, value);
}

static uint8_t rd(uint32_t offset)
{
	return (uint8_t)read_wide(offset, 1);
}

static void wr(uint32_t offset, uint8_t value)
{
	write_wide(offset, 1, value);
}

static void wr_all(uint32_t offset, const uint8_t *values, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		wr(offset, values[i]);
	}
}

#define CYCLES(offset, ...) \
	wr_all(offset, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void reads_are_memorys_until_a_command(void **state)
{
	(void)state;
	assert_int_equal(rd(0x123), contents[0x123]);
	assert_int_equal(read_wide(0x1000, 8) >> 56, contents[0x1007]);
	assert_int_equal(show_count, 0);
	CYCLES(5, 0x70);
	assert_false(shown);
	assert_int_equal(rd(0x2345), READY);
	/* Each byte of a wide read is a cycle of its own. */
	assert_int_equal(read_wide(0, 4), 0x80808080);
	CYCLES(5, 0x90, 0x98, 0x70);
	assert_int_equal(show_count, 1);
	CYCLES(5, 0xff);
	assert_true(shown);
	assert_int_equal(rd(5), contents[5]);
	/* What is no command ends in the same mode. */
	CYCLES(5, 0x70, 0x77);
	assert_true(shown);
	assert_int_equal(change_count, 0);
}

/* Hiding memory takes a while, and the guest's next exit comes after a whole string of these. */
static void a_wide_access_hides_once(void **state)
{
	(void)state;
	write_wide(0x10, 8, 0xff70ff70ff70ff70);
	assert_true(shown);
	assert_int_equal(show_count, 2);
	/* What it has changed is seen when it shows again. */
	contents[0x11] = 0xff;
	write_wide(0x10, 4, 0xffff5a10);
	assert_int_equal(contents[0x11], 0x5a);
	assert_true(shown);
	assert_int_equal(show_count, 4);
}

/* As OVMF's driver finds out what it has before it: edk2, QemuFlashDetected. */
static void ovmf_takes_it_for_flash(void **state)
{
	(void)state;
	contents[9] = 0x5f;
	CYCLES(9, 0x50);
	assert_int_not_equal(rd(9), 0x50);
	CYCLES(9, 0x70);
	assert_int_equal(rd(9), 0);
	CYCLES(9, 0xff);
	assert_int_equal(rd(9), 0x5f);
	/* The next operation says again that it is ready. */
	CYCLES(9, 0x10, 0x0f);
	assert_int_equal(rd(9), READY);
}

static void programming_clears_bits(void **state)
{
	(void)state;
	contents[0x1001] = 0xf3;
	CYCLES(0x1001, 0x40);
	assert_false(shown);
	assert_int_equal(rd(0x1001), READY);
	CYCLES(0x1001, 0x5a);
	assert_int_equal(contents[0x1001], 0x52);
	assert_int_equal(rd(0), READY);
	assert_int_equal(change_count, 1);
	assert_int_equal(changed_at, 0x1001);
	assert_int_equal(changed_bytes, 1);
	/* Data may be what is a command elsewhere; the other way to say it. */
	contents[7] = 0xff;
	CYCLES(7, 0x10, 0xff, 0x10, 0x70);
	assert_int_equal(contents[7], 0x70);
	assert_int_equal(change_count, 3);
	assert_false(shown);
	/* A wide write is four cycles. */
	contents[0x101] = 0xff;
	write_wide(0x100, 4, 0xff10a540);
	assert_int_equal(contents[0x101], 0xa5);
	assert_int_equal(contents[0x103], (uint8_t)(0x103 * 7));
}

static void erasing_sets_a_block(void **state)
{
	uint8_t before = contents[0xfff];

	(void)state;
	CYCLES(0x1234, 0x20, 0xd0);
	assert_int_equal(rd(0), READY);
	assert_int_equal(changed_at, 0x1000);
	assert_int_equal(changed_bytes, PFLASH_BLOCK);
	for (unsigned i = 0; i < PFLASH_BLOCK; i++) {
		assert_int_equal(contents[PFLASH_BLOCK + i], 0xff);
	}
	assert_int_equal(contents[0xfff], before);
	assert_int_equal(contents[0x2000], 2);
	/* Not confirmed, or taken back, nothing happens. */
	CYCLES(0x2000, 0x20, 0x20);
	assert_int_equal(rd(0), READY | PFLASH_SR_ERASE | PFLASH_SR_PROGRAM);
	CYCLES(0x2000, 0x20, 0xff);
	assert_true(shown);
	assert_int_equal(contents[0x2000], 2);
	assert_int_equal(change_count, 1);
	/* Errors stay until they are cleared. */
	CYCLES(0, 0x70);
	assert_int_equal(rd(0), READY | PFLASH_SR_ERASE | PFLASH_SR_PROGRAM);
	CYCLES(0, 0x50, 0x70);
	assert_int_equal(rd(0), 0);
}

static void buffer(uint32_t base, unsigned n)
{
	wr(base, 0xe8);
	assert_int_equal(rd(base) & READY, READY);
	wr(base, (uint8_t)(n - 1));
	for (unsigned i = 0; i < n; i++) {
		wr(base + i, (uint8_t)(i ^ 0x33));
	}
	wr(base, 0xd0);
}

static void a_buffer_is_programmed_at_once(void **state)
{
	(void)state;
	memset(contents, 0xff, sizeof(contents));
	buffer(0x1f00, 256);
	assert_int_equal(rd(0), READY);
	assert_int_equal(change_count, 1);
	assert_int_equal(changed_at, 0x1f00);
	assert_int_equal(changed_bytes, 256);
	for (unsigned i = 0; i < 256; i++) {
		assert_int_equal(contents[0x1f00 + i], i ^ 0x33);
	}
	assert_int_equal(contents[0x1eff], 0xff);
	assert_int_equal(contents[0x2000], 0xff);
	/* In any order behind the first; what is not written stays. */
	CYCLES(0x100, 0xe8, 3);
	wr(0x100, 0x01);
	wr(0x103, 0x04);
	wr(0x102, 0x03);
	wr(0x102, 0x02);
	CYCLES(0x100, 0xd0);
	assert_int_equal(read_wide(0x100, 4), 0x80808080);
	assert_memory_equal(contents + 0x100, "\x01\xff\x02\x04", 4);
}

static void a_buffer_stays_in_its_block(void **state)
{
	const uint8_t bad = READY | PFLASH_SR_ERASE | PFLASH_SR_PROGRAM;

	(void)state;
	memset(contents, 0xff, sizeof(contents));
	buffer(0xf80, 256);
	assert_int_equal(rd(0), bad);
	/* Written over the block's edge, if in the announced length. */
	CYCLES(0, 0x50, 0xe8, 1, 0x11);
	wr(0x1000, 0x22);
	assert_int_equal(rd(0), bad);
	/* Two bytes announced, the last before the block's end written twice. */
	CYCLES(0, 0x50);
	CYCLES(0xfff, 0xe8, 1, 0x11, 0x22, 0xd0);
	assert_int_equal(rd(0), bad);
	/* Before the first byte. */
	CYCLES(0, 0x50);
	CYCLES(0x10, 0xe8, 3, 0x11);
	wr(0xf, 0x22);
	assert_int_equal(rd(0), bad);
	/* Anything but a confirmation. */
	CYCLES(0, 0x50, 0xe8, 0, 0x11, 0x11);
	assert_int_equal(rd(0), bad);
	CYCLES(0, 0x50, 0xe8, 0, 0x11, 0xff);
	assert_true(shown);
	assert_int_equal(change_count, 0);
	for (unsigned i = 0; i < sizeof(contents); i++) {
		assert_int_equal(contents[i], 0xff);
	}
}

static void locked_blocks_stay_as_they_are(void **state)
{
	uint8_t before[PFLASH_BLOCK];

	(void)state;
	memcpy(before, contents + PFLASH_BLOCK, sizeof(before));
	CYCLES(0x1800, 0x60, 0x01);
	assert_int_equal(rd(0), READY);
	CYCLES(0x1002, 0x90);
	assert_int_equal(rd(0x1002), PFLASH_LOCKED);
	assert_int_equal(rd(0x2002), 0);
	CYCLES(0x1000, 0x40, 0x00);
	assert_int_equal(rd(0), READY | PFLASH_SR_PROGRAM | PFLASH_SR_LOCKED);
	CYCLES(0x1000, 0x50, 0x20, 0xd0);
	assert_int_equal(rd(0), READY | PFLASH_SR_ERASE | PFLASH_SR_LOCKED);
	CYCLES(0, 0x50);
	buffer(0x1000, 16);
	assert_int_equal(rd(0), READY | PFLASH_SR_PROGRAM | PFLASH_SR_LOCKED);
	assert_memory_equal(before, contents + PFLASH_BLOCK, sizeof(before));
	assert_int_equal(change_count, 0);
	CYCLES(0x1000, 0x50, 0x60, 0xd0, 0x40, 0x00);
	assert_int_equal(rd(0), READY);
	assert_int_equal(contents[0x1000], 0);
	CYCLES(0, 0x60, 0xff);
	assert_true(shown);
	CYCLES(0, 0x60, 0x33);
	assert_int_equal(rd(0), READY | PFLASH_SR_ERASE | PFLASH_SR_PROGRAM);
}

static void locked_down_blocks_stay_locked(void **state)
{
	(void)state;
	CYCLES(0x2000, 0x60, 0x2f, 0x60, 0xd0, 0x40, 0x00);
	assert_int_equal(rd(0), READY | PFLASH_SR_PROGRAM | PFLASH_SR_LOCKED);
	CYCLES(0, 0x90);
	assert_int_equal(rd(0x2002), PFLASH_LOCKED | PFLASH_LOCKED_DOWN);
	f.dev.ops->reset(&f.dev);
	assert_true(shown);
	CYCLES(0x2000, 0x40, 0x00);
	assert_int_equal(contents[0x2000], 0);
	/* Some are by wire. */
	CYCLES(FIXED * PFLASH_BLOCK, 0x60, 0xd0, 0x20, 0xd0);
	assert_int_equal(rd(0), READY | PFLASH_SR_ERASE | PFLASH_SR_LOCKED);
	CYCLES(0, 0x90);
	assert_int_equal(rd(FIXED * PFLASH_BLOCK + 2), PFLASH_LOCKED | PFLASH_LOCKED_DOWN);
	assert_int_equal(contents[FIXED * PFLASH_BLOCK], 4);
}

static void it_tells_what_it_is(void **state)
{
	(void)state;
	CYCLES(0, 0x90);
	assert_int_equal(read_wide(0, 2), 0x1889);
	assert_int_equal(rd(0x1000), 0);
	CYCLES(0x55, 0x98);
	assert_int_equal(read_wide(0x10, 4), 0x01595251); /* QRY, command set 1 */
	assert_int_equal(read_wide(0x13, 2), 1);
	assert_int_equal(rd(0x27), 15); /* 5 blocks: 32 KiB hold them */
	assert_int_equal(read_wide(0x28, 2), 0);
	assert_int_equal(read_wide(0x2a, 2), 8);
	assert_int_equal(rd(0x2c), 1);
	assert_int_equal(read_wide(0x2d, 2), BLOCKS - 1);
	assert_int_equal(read_wide(0x2f, 2), PFLASH_BLOCK / 256);
	assert_int_equal(read_wide((uint32_t)read_wide(0x15, 2), 4) & 0xffffff, 0x495250); /* PRI */
	assert_int_equal(rd(0x800), 0);
	assert_int_equal(rd(PFLASH_BLOCK + 0x10), 'Q');
}

static void suspending_finds_nothing_to_suspend(void **state)
{
	(void)state;
	CYCLES(0, 0x50, 0xb0);
	assert_int_equal(rd(0), READY);
	CYCLES(0, 0xff, 0xd0);
	assert_int_equal(rd(0), READY);
	assert_int_equal(change_count, 0);
	/* There are no protection registers. */
	CYCLES(0x80, 0xc0, 0x12);
	assert_int_equal(rd(0), READY | PFLASH_SR_PROGRAM | PFLASH_SR_LOCKED);
	assert_int_equal(change_count, 0);
}

static void a_reset_forgets_a_command(void **state)
{
	(void)state;
	CYCLES(0, 0x60, 0x01, 0x40);
	f.dev.ops->reset(&f.dev);
	assert_true(shown);
	wr(0, 0x98);
	assert_int_equal(rd(0x10), 'Q');
	assert_int_equal(change_count, 0);
	CYCLES(0, 0x90);
	assert_int_equal(rd(2), 0);
	f.dev.ops->reset(&f.dev);
	f.dev.ops->reset(&f.dev);
	assert_int_equal(f.state.status, READY);
}

static void a_loaded_one_goes_on(void **state)
{
	(void)state;
	wr(2 * PFLASH_BLOCK, 0x60);
	wr(2 * PFLASH_BLOCK, 0x01); /* block 2 is locked */
	wr(PFLASH_BLOCK, 0xe8);
	wr(PFLASH_BLOCK, 1); /* two bytes */
	wr(PFLASH_BLOCK + 10, 0x00);
	assert_false(shown);
	saved_reload(&f.saved);
	assert_false(shown);
	wr(PFLASH_BLOCK + 11, 0x00);
	wr(PFLASH_BLOCK, 0xd0);
	assert_int_equal(changed_at, PFLASH_BLOCK + 10);
	assert_int_equal(changed_bytes, 2);
	wr(0, 0x90);
	assert_int_equal(rd(2 * PFLASH_BLOCK + 2), PFLASH_LOCKED);
	wr(0, 0xff);
	assert_true(shown);
	saved_reload(&f.saved);
	assert_true(shown);
}

static void what_no_program_can_make_of_it_is_refused(void **state)
{
	(void)state;
#define TAKES(field, value) SAVED_TAKES(&f.saved, struct pflash_saved, state.field, value)
	assert_false(TAKES(mode, PFLASH_QUERY + 1));
	assert_false(TAKES(pending, PFLASH_BUFFER_CONFIRM + 1));
	assert_false(TAKES(pending, PFLASH_BUFFER_CONFIRM)); /* of nothing */
	assert_false(TAKES(pending, PFLASH_BUFFER_DATA));
	assert_false(TAKES(status, 0x40));
	assert_false(TAKES(buffer_block, BLOCKS));
	assert_false(TAKES(buffer_start, BLOCKS * PFLASH_BLOCK));
	assert_false(TAKES(buffer_count, PFLASH_BUFFER + 1));
	assert_false(TAKES(buffer_taken, 1));
	assert_true(TAKES(locks[0], 3));
	assert_false(TAKES(locks[0], 4));
	assert_false(TAKES(locks[BLOCKS], 1));
	wr(PFLASH_BLOCK, 0xe8);
	wr(PFLASH_BLOCK, 0);
	wr(PFLASH_BLOCK + 10, 0x00);
	assert_true(TAKES(buffer_start, PFLASH_BLOCK + 11));
	/* Behind the block's end, which is no place to begin. */
	assert_false(TAKES(buffer_start, 2 * PFLASH_BLOCK));
#undef TAKES
}

static void what_is_not_there_is_told(void **state)
{
	(void)state;
	f.dev.lacks = &lacks_rig;
	lacks_rig = (struct lacks){.total = 0};
	CYCLES(0, 0x70, 0x50, 0x90, 0xff);
	assert_int_equal(lacks_rig.total, 0);
	CYCLES(0, 0xb8);
	assert_int_equal(lacks_told("flash", LACKS_COMMAND, 0xb8), 1);
	assert_true(shown);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(reads_are_memorys_until_a_command, setup),
		cmocka_unit_test_setup(a_wide_access_hides_once, setup),
		cmocka_unit_test_setup(ovmf_takes_it_for_flash, setup),
		cmocka_unit_test_setup(programming_clears_bits, setup),
		cmocka_unit_test_setup(erasing_sets_a_block, setup),
		cmocka_unit_test_setup(a_buffer_is_programmed_at_once, setup),
		cmocka_unit_test_setup(a_buffer_stays_in_its_block, setup),
		cmocka_unit_test_setup(locked_blocks_stay_as_they_are, setup),
		cmocka_unit_test_setup(locked_down_blocks_stay_locked, setup),
		cmocka_unit_test_setup(it_tells_what_it_is, setup),
		cmocka_unit_test_setup(suspending_finds_nothing_to_suspend, setup),
		cmocka_unit_test_setup(a_reset_forgets_a_command, setup),
		cmocka_unit_test_setup(a_loaded_one_goes_on, setup),
		cmocka_unit_test_setup(what_no_program_can_make_of_it_is_refused, setup),
		cmocka_unit_test_setup(what_is_not_there_is_told, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
