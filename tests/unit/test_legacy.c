/* SPDX-License-Identifier: Apache-2.0 */
/* Vectors, data area and handlers, byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "guests/layout.h"
#include "guests/tables/legacy.h"

static uint8_t low[LEGACY_LOW_SIZE];
static uint8_t rom[LEGACY_ROM_SIZE];

static unsigned word(unsigned at)
{
	return low[at] | (unsigned)low[at + 1] << 8;
}

/* The first byte of a vector's handler. */
static const uint8_t *handler(unsigned vector)
{
	assert_int_equal(word(vector * 4 + 2), 0xf000);
	assert_true(word(vector * 4) < LEGACY_ROM_SIZE);
	return rom + word(vector * 4);
}

static int setup(void **state)
{
	(void)state;
	legacy_build_low(true, low);
	legacy_build_rom(rom);
	return 0;
}

static void interrupts_are_ended_where_they_came_from(void **state)
{
	static const uint8_t master[] = {0x50, 0xb0, 0x20, 0xe6, 0x20, 0x58, 0xcf};
	static const uint8_t slave[] = {0x50, 0xb0, 0x20, 0xe6, 0xa0, 0xe6, 0x20, 0x58, 0xcf};

	(void)state;
	for (unsigned v = 0; v < 256; v++) {
		if (v == 8) {
			assert_int_equal(handler(v)[17], 0xcf);
		} else if (v > 8 && v < 16) {
			assert_memory_equal(handler(v), master, sizeof(master));
		} else if (v >= 0x70 && v < 0x78) {
			assert_memory_equal(handler(v), slave, sizeof(slave));
		} else {
			assert_int_equal(handler(v)[0], 0xcf);
		}
	}
}

static void the_data_area_tells_the_machine(void **state)
{
	(void)state;
	assert_int_equal(word(0x400), 0x3f8);
	assert_int_equal(word(0x402), 0);
	assert_int_equal(word(0x40e), 0x9fc0);
	assert_int_equal(word(0x410), 0x202);
	assert_int_equal(word(0x413), 639);
	assert_int_equal(word(0x46c), 0);
	legacy_build_low(false, low);
	assert_int_equal(word(0x400), 0);
	assert_int_equal(word(0x410), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(interrupts_are_ended_where_they_came_from, setup),
		cmocka_unit_test_setup(the_data_area_tells_the_machine, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
