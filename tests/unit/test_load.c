/* SPDX-License-Identifier: Apache-2.0 */
/* Placing beside what is taken, against a search byte by byte; pieces; resumable copying. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "guests/loaders/load.h"
#include "hv/base/bits.h"

static const struct e820_map map = {
	4,
	{{0, 40, E820_RAM}, {40, 8, E820_RESERVED}, {48, 50, E820_RAM}, {120, 30, E820_RAM}},
};

static bool free_at(struct ram_range within, uint64_t at, uint64_t size,
		    const struct load_taken *taken)
{
	bool in_ram = false;

	for (unsigned i = 0; i < map.count; i++) {
		const struct e820_entry *e = &map.entries[i];

		in_ram = in_ram ||
			 (e->type == E820_RAM && at >= e->base && at + size <= e->base + e->size);
	}
	for (unsigned i = 0; i < taken->count; i++) {
		in_ram = in_ram &&
			 !ranges_overlap(at, size, taken->ranges[i].base, taken->ranges[i].size);
	}
	return in_ram && at >= within.base && at + size <= within.base + within.size;
}

static void places_at_the_lowest_free_address(void **state)
{
	(void)state;
	srand(1);
	for (unsigned round = 0; round < 20000; round++) {
		struct load_taken taken = {0};
		struct ram_range within = {(uint64_t)rand() % 100, (uint64_t)rand() % 160};
		uint64_t size = 1 + (uint64_t)rand() % 20;
		uint64_t align = 1ull << rand() % 5;
		unsigned count = (unsigned)rand() % 4;
		uint64_t expected = 0;
		uint64_t found = 0;

		for (unsigned i = 0; i < count; i++) {
			taken.ranges[taken.count++] = (struct ram_range){(uint64_t)rand() % 150,
									 1 + (uint64_t)rand() % 40};
		}
		while (expected < 200 && !free_at(within, expected, size, &taken)) {
			expected += align;
		}
		assert_int_equal(load_place(&map, within, size, align, &taken, &found),
				 expected < 200);
		assert_true(expected >= 200 || found == expected);
	}
}

static void ram_is_added_up(void **state)
{
	struct ram_range r = load_ram_within(&map, 2, 50, 60);

	(void)state;
	assert_int_equal(load_ram_bytes(&map), 120);
	assert_int_equal(r.base, 50);
	assert_int_equal(r.size, 10);
	assert_int_equal(load_ram_within(&map, 1, 0, 100).size, 0);
	assert_int_equal(load_mib_up(0), 0);
	assert_int_equal(load_mib_up(1), 1);
	assert_int_equal(load_mib_up(0x100000), 1);
	assert_int_equal(load_mib_up(0x100001), 2);
}

static void pieces_take_their_share(void **state)
{
	uint8_t whole[64] = {0};
	uint8_t pieces[64] = {0};
	struct load_piece all = {whole, 0, sizeof(whole)};

	(void)state;
	load_put(&all, 3, "0123456789abcdef", 16);
	load_put_number(&all, 60, 0x1122334455667788, 8);
	assert_int_equal(whole[60], 0x88);
	for (unsigned at = 0; at < sizeof(pieces); at += 8) {
		struct load_piece p = {pieces + at, at, 8};

		load_put(&p, 3, "0123456789abcdef", 16);
		load_put_number(&p, 60, 0x1122334455667788, 8);
	}
	assert_memory_equal(whole, pieces, sizeof(whole));
}

/* ---------------------------------------------------------------- copying */

static uint8_t memory[8192];
static unsigned calls;
static unsigned refuse_at;

static enum hv_status write_memory(void *ctx, uint64_t gpa, const void *src, size_t n)
{
	(void)ctx;
	if (++calls == refuse_at) {
		return HV_E_BUSY;
	}
	assert_true(n > 0 && gpa + n <= sizeof(memory));
	memcpy(memory + gpa, src, n);
	return HV_OK;
}

static void make(const void *plan, unsigned part, const struct load_piece *p)
{
	assert_ptr_equal(plan, memory);
	assert_int_equal(part, 0);
	for (size_t i = 0; i < p->n; i++) {
		p->bytes[i] = (uint8_t)((p->offset + i) * 3);
	}
}

static void copies_whatever_the_budget(void **state)
{
	static uint8_t data[3000];
	const struct guest_writer writer = {write_memory, NULL};
	const struct load_part parts[] = {{10, 1300, NULL}, {0, 0, NULL}, {2000, 3000, data}};
	const struct load_list list = {parts, 3, make, memory};

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++) {
		data[i] = (uint8_t)(i / 7);
	}
	for (uint64_t budget = 0; budget < 5000; budget += 499) {
		struct load_progress progress = {0, 0};
		bool done = false;
		unsigned steps = 0;

		memset(memory, 0, sizeof(memory));
		calls = 0;
		refuse_at = 3;
		while (!done) {
			enum hv_status status = load_step(&list, &progress, budget, &writer, &done);

			assert_true(status == HV_OK || (status == HV_E_BUSY && calls == 3));
			assert_true(++steps < 20);
		}
		assert_true(budget > 500 || steps > 5);
		for (unsigned i = 0; i < 1300; i++) {
			assert_int_equal(memory[10 + i], (uint8_t)(i * 3));
		}
		assert_memory_equal(memory + 2000, data, sizeof(data));
		assert_int_equal(memory[9], 0);
		assert_int_equal(memory[1310], 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(places_at_the_lowest_free_address),
		cmocka_unit_test(ram_is_added_up),
		cmocka_unit_test(pieces_take_their_share),
		cmocka_unit_test(copies_whatever_the_budget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
