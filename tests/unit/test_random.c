/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "hv/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hv/base/log.h"
#include "tests/fakes/fake_cpu.h"

static char line[256];

static void sink(const char *text, size_t n)
{
	memcpy(line, text, n);
	line[n] = '\0';
}

static int setup(void **state)
{
	(void)state;
	fake_cpu_reset();
	log_set_sink(sink);
	log_set_threshold(LOG_INFO);
	return 0;
}

/* What was seeded from, as the log says it. */
static void init(bool seed, bool number, const char *expected)
{
	fake_cpu.rdseed_works = seed;
	fake_cpu.rdrand_works = number;
	random_init();
	assert_non_null(strstr(line, expected));
}

/* Every byte of every length is written, none behind. */
static void test_lengths(void **state)
{
	uint8_t bytes[201];

	(void)state;
	for (unsigned n = 0; n <= 200; n++) {
		unsigned same = 0;
		uint8_t again[201];

		memset(bytes, 0, sizeof(bytes));
		memset(again, 0, sizeof(again));
		random_fill(bytes, n);
		random_fill(again, n);
		assert_int_equal(bytes[n], 0);
		for (unsigned i = 0; i < n; i++) {
			same += bytes[i] == again[i];
		}
		assert_true(same <= 8);
	}
}

/* Ones and zeros are about as many; a key or a block that is handed out twice would show. */
static void test_balance(void **state)
{
	static uint8_t bytes[1 << 16];
	unsigned ones = 0;

	(void)state;
	random_fill(bytes, sizeof(bytes));
	for (unsigned i = 0; i < sizeof(bytes); i++) {
		ones += (unsigned)__builtin_popcount(bytes[i]);
	}
	assert_in_range(ones, 4 * sizeof(bytes) - 2000, 4 * sizeof(bytes) + 2000);
	for (unsigned i = 32; i < sizeof(bytes); i += 32) {
		assert_memory_not_equal(bytes, bytes + i, 32);
	}
}

static void test_sources(void **state)
{
	(void)state;
	init(true, true, "from RDSEED, RDRAND, the CPU's timing");
	init(false, true, "from RDRAND, the CPU's timing");
	init(false, false, "from the CPU's timing");
}

/* What comes after seeding when sources differ by so much, always from the same state: in a child.
 */
static void bytes_after(uint64_t tsc, uint64_t seed, uint64_t number, uint8_t out[32])
{
	int ends[2];
	pid_t child;

	assert_int_equal(pipe(ends), 0);
	child = fork();
	if (child == 0) {
		uint8_t bytes[32];

		fake_cpu.tsc += tsc;
		fake_cpu.rdseed_next += seed;
		fake_cpu.rdrand_next += number;
		random_init();
		random_fill(bytes, sizeof(bytes));
		_exit(write(ends[1], bytes, sizeof(bytes)) == sizeof(bytes) ? 0 : 1);
	}
	assert_int_equal(read(ends[0], out, 32), 32);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(close(ends[0]) | close(ends[1]), 0);
}

static void test_each_source_counts(void **state)
{
	uint8_t same[2][32];
	uint8_t other[3][32];

	(void)state;
	bytes_after(0, 0, 0, same[0]);
	bytes_after(0, 0, 0, same[1]);
	bytes_after(1, 0, 0, other[0]);
	bytes_after(0, 1, 0, other[1]);
	bytes_after(0, 0, 1, other[2]);
	assert_memory_equal(same[0], same[1], 32);
	for (unsigned i = 0; i < 3; i++) {
		assert_memory_not_equal(same[0], other[i], 32);
		assert_memory_not_equal(other[i], other[(i + 1) % 3], 32);
	}
}

/* The CPU is asked again and again, not only at the start. */
static void test_reseed(void **state)
{
	static uint8_t bytes[1 << 16];
	uint64_t before = fake_cpu.rdseed_next;

	(void)state;
	random_fill(bytes, sizeof(bytes));
	assert_in_range(fake_cpu.rdseed_next - before, 1, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_sources, setup),
		cmocka_unit_test_setup(test_lengths, setup),
		cmocka_unit_test_setup(test_balance, setup),
		cmocka_unit_test_setup(test_each_source_counts, setup),
		cmocka_unit_test_setup(test_reseed, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
