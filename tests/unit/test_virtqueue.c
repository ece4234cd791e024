/* SPDX-License-Identifier: Apache-2.0 */
#include "guests/devices/virtqueue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/base/bits.h"
#include "tests/fakes/virtio_rig.h"

#define RINGS RIG_RAM_BASE
#define TABLE (RIG_RAM_BASE + 0x8000u)
#define DATA (RIG_RAM_BASE + 0x10000u)

static struct virtqueue q;
static struct rig_queue driver;
static struct virtqueue_chain chain;
static const char *broken_why;
static unsigned broken_count;

static void broke(struct virtqueue *broken, const char *why)
{
	assert_ptr_equal(broken, &q);
	broken_why = why;
	broken_count++;
}

static void start(uint16_t size, bool event_idx, bool indirect)
{
	struct virtqueue_setup s;

	broken_why = NULL;
	broken_count = 0;
	rig_queue_init(&driver, RINGS, size);
	s = rig_setup(&driver);
	s.event_idx = event_idx;
	s.indirect = indirect;
	virtqueue_init(&q, NULL, broke);
	assert_true(virtqueue_start(&q, &s));
}

static bool pop(void)
{
	return virtqueue_poll(&q) && virtqueue_pop(&q, &chain);
}

static void assert_broken(const char *part)
{
	assert_int_equal(broken_count, 1);
	if (strstr(broken_why, part) == NULL) {
		fail_msg("'%s' instead of '%s'", broken_why, part);
	}
	assert_false(virtqueue_poll(&q));
	assert_false(virtqueue_pop(&q, &chain));
	assert_false(virtqueue_publish(&q));
	assert_false(virtqueue_listen(&q));
	virtqueue_push(&q, 0, 0);
	virtqueue_quiet(&q);
	assert_int_equal(broken_count, 1);
}

static void test_chain(void **state)
{
	(void)state;
	start(8, false, false);
	assert_false(pop());
	rig_desc(driver.desc, 3, DATA, 16, rig_link(0, 7));
	rig_desc(driver.desc, 7, DATA + 0x100, 5, rig_link(0, 1));
	rig_desc(driver.desc, 1, DATA + 0x200, 1000, rig_link(RIG_WRITE, 0));
	rig_desc(driver.desc, 0, DATA + 0x800, 1, RIG_WRITE);
	rig_offer(&driver, 3);
	assert_true(pop());
	assert_int_equal(chain.head, 3);
	assert_int_equal(chain.count, 4);
	assert_int_equal(chain.readable_count, 2);
	assert_int_equal(chain.readable, 21);
	assert_int_equal(chain.writable, 1001);
	assert_int_equal(chain.segments[2].addr, DATA + 0x200);
	assert_int_equal(chain.segments[2].len, 1000);
	assert_false(pop());
	assert_int_equal(broken_count, 0);
}

/* Every offset and length over three segments, compared with one flat buffer. */
static void test_copies(void **state)
{
	static const uint32_t lens[] = {3, 1, 4};
	uint8_t flat[8];
	uint8_t got[8];

	(void)state;
	for (uint32_t offset = 0; offset <= 8; offset++) {
		for (uint32_t n = 0; n <= 9; n++) {
			start(8, false, false);
			for (unsigned i = 0, at = 0; i < 3; i++) {
				rig_desc(driver.desc, i, DATA + i * 0x1000, lens[i],
					 rig_link(0, i + 1));
				rig_desc(driver.desc, 3 + i, DATA + 0x8000 + i * 0x1000, lens[i],
					 i < 2 ? rig_link(RIG_WRITE, 4 + i) : RIG_WRITE);
				for (unsigned b = 0; b < lens[i]; b++, at++) {
					flat[at] = (uint8_t)(at * 7 + 1);
					rig_put(DATA + i * 0x1000 + b, flat[at], 1);
				}
			}
			memset(rig_at(DATA + 0x8000), 0, 0x3000);
			rig_offer(&driver, 0);
			assert_true(pop());
			assert_int_equal(virtqueue_read(&q, &chain, offset, got, n),
					 offset + n <= 8);
			if (offset + n <= 8) {
				assert_memory_equal(got, flat + offset, n);
			}
			assert_int_equal(virtqueue_write(&q, &chain, offset, flat, n),
					 offset + n <= 8);
			for (unsigned i = 0, at = 0; i < 3; i++) {
				for (unsigned b = 0; b <= lens[i]; b++, at += b <= lens[i]) {
					bool in = b < lens[i] && at >= offset && at < offset + n &&
						  offset + n <= 8;

					assert_int_equal(rig_get(DATA + 0x8000 + i * 0x1000 + b, 1),
							 in ? flat[at - offset] : 0);
				}
			}
			assert_int_equal(broken_count, 0);
		}
	}
}

static void test_indirect(void **state)
{
	(void)state;
	start(4, false, true);
	/* A descriptor of its own, then a table whose chain jumps about over several blocks. */
	rig_desc(driver.desc, 2, DATA, 16, rig_link(0, 1));
	rig_desc(driver.desc, 1, TABLE, 100 * 16, RIG_INDIRECT);
	rig_desc(TABLE, 0, DATA + 0x100, 1, rig_link(0, 99));
	rig_desc(TABLE, 99, DATA + 0x200, 2, rig_link(RIG_WRITE, 50));
	rig_desc(TABLE, 50, DATA + 0x300, 3, rig_link(RIG_WRITE, 51));
	rig_desc(TABLE, 51, DATA + 0x400, 4, RIG_WRITE);
	rig_offer(&driver, 2);
	assert_true(pop());
	assert_int_equal(chain.count, 5);
	assert_int_equal(chain.readable, 17);
	assert_int_equal(chain.writable, 9);
	assert_int_equal(chain.segments[4].addr, DATA + 0x400);
	/* The usual request is one read of its table. */
	rig_desc(driver.desc, 0, TABLE, 3 * 16, RIG_INDIRECT);
	rig_desc(TABLE, 0, DATA, 16, rig_link(0, 1));
	rig_desc(TABLE, 1, DATA + 0x1000, 4096, rig_link(RIG_WRITE, 2));
	rig_desc(TABLE, 2, DATA + 0x3000, 1, RIG_WRITE);
	rig_offer(&driver, 0);
	rig_reads = 0;
	assert_true(pop());
	assert_int_equal(rig_reads, 4); /* index, entry, descriptor, table */
}

static void test_used(void **state)
{
	uint32_t id;
	uint32_t len;

	(void)state;
	start(4, false, false);
	rig_desc(driver.desc, 1, DATA, 64, RIG_WRITE);
	for (unsigned round = 0; round < 70000; round++) {
		rig_offer(&driver, 1);
		assert_true(pop());
		virtqueue_push(&q, chain.head, round);
		assert_false(rig_take(&driver, &id, &len));
		assert_true(virtqueue_publish(&q));
		assert_true(rig_take(&driver, &id, &len));
		assert_int_equal(id, 1);
		assert_int_equal(len, round);
		assert_false(virtqueue_publish(&q));
	}
}

static void offer_some(unsigned n)
{
	while (n-- != 0) {
		rig_offer(&driver, 0);
	}
}

static bool push_some(unsigned n)
{
	assert_true(virtqueue_poll(&q));
	while (n-- != 0) {
		assert_true(virtqueue_pop(&q, &chain));
		virtqueue_push(&q, chain.head, 1);
	}
	return virtqueue_publish(&q);
}

/* The question of an interrupt stays open until the driver has looked, or it is answered. */
static void test_interrupt_later(void **state)
{
	(void)state;
	start(8, true, false);
	rig_desc(driver.desc, 0, DATA, 64, RIG_WRITE);
	rig_set_used_event(&driver, 0);
	offer_some(2);
	assert_true(virtqueue_poll(&q) && virtqueue_pop(&q, &chain));
	virtqueue_push(&q, chain.head, 1);
	assert_false(virtqueue_waits_for_interrupt(&q));
	virtqueue_show(&q);
	assert_int_equal(rig_used_index(&driver), 1);
	assert_true(virtqueue_waits_for_interrupt(&q));
	assert_true(virtqueue_waits_for_interrupt(&q));
	/* It has seen the first and waits for the second. */
	rig_set_used_event(&driver, 1);
	assert_false(virtqueue_waits_for_interrupt(&q));
	assert_true(virtqueue_pop(&q, &chain));
	virtqueue_push(&q, chain.head, 1);
	virtqueue_show(&q);
	assert_true(virtqueue_wants_interrupt(&q));
	assert_false(virtqueue_wants_interrupt(&q));
	assert_false(virtqueue_waits_for_interrupt(&q));
}

static void test_interrupt_flag(void **state)
{
	(void)state;
	start(8, false, false);
	rig_desc(driver.desc, 0, DATA, 1, RIG_WRITE);
	offer_some(3);
	rig_set_avail_flags(&driver, 1);
	assert_false(push_some(1));
	rig_set_avail_flags(&driver, 0);
	assert_true(push_some(2));
}

/* The interrupt comes exactly when the used index passes the event, for every distance and over the
 * wrap of the index. */
static void test_interrupt_event(void **state)
{
	(void)state;
	start(8, true, false);
	rig_desc(driver.desc, 0, DATA, 1, RIG_WRITE);
	for (unsigned round = 0; round < 30000; round++) {
		uint16_t old = driver.avail_index;
		unsigned n = 1 + round % 8;
		unsigned ahead = round / 8 % 12;

		offer_some(n);
		rig_set_used_event(&driver, (uint16_t)(old + ahead));
		/* The flag means nothing then. */
		rig_set_avail_flags(&driver, round & 1);
		assert_int_equal(push_some(n), ahead < n);
	}
	assert_int_equal(broken_count, 0);
}

static void test_listen(void **state)
{
	(void)state;
	start(8, true, false);
	rig_desc(driver.desc, 0, DATA, 1, RIG_WRITE);
	offer_some(3);
	virtqueue_quiet(&q);
	(void)push_some(3);
	assert_int_equal(rig_avail_event(&driver), 0);
	assert_false(virtqueue_listen(&q));
	assert_int_equal(rig_avail_event(&driver), 3);
	/* The driver was faster. */
	offer_some(1);
	assert_true(virtqueue_listen(&q));
	assert_int_equal(virtqueue_waiting(&q), 1);

	start(8, false, false);
	rig_desc(driver.desc, 0, DATA, 1, RIG_WRITE);
	virtqueue_quiet(&q);
	assert_int_equal(rig_get(driver.used, 2), 1);
	rig_writes = 0;
	virtqueue_quiet(&q);
	assert_int_equal(rig_writes, 0);
	offer_some(1);
	assert_true(virtqueue_listen(&q));
	assert_int_equal(rig_get(driver.used, 2), 0);
}

/* What one request costs in accesses, with event indexes: a budget. */
static void test_accesses(void **state)
{
	(void)state;
	start(8, true, false);
	rig_desc(driver.desc, 0, DATA, 16, rig_link(0, 1));
	rig_desc(driver.desc, 1, DATA + 0x1000, 4096, rig_link(RIG_WRITE, 2));
	rig_desc(driver.desc, 2, DATA + 0x3000, 1, RIG_WRITE);
	rig_offer(&driver, 0);
	rig_reads = 0;
	rig_writes = 0;
	assert_true(virtqueue_poll(&q));
	assert_true(virtqueue_pop(&q, &chain));
	virtqueue_push(&q, chain.head, 1);
	assert_false(virtqueue_listen(&q));
	(void)virtqueue_publish(&q);
	assert_int_equal(rig_reads, 1 + 1 + 3 + 1 + 1);
	assert_int_equal(rig_writes, 3);
}

static void test_unpop(void **state)
{
	(void)state;
	start(8, false, false);
	rig_desc(driver.desc, 0, DATA, 1, RIG_WRITE);
	rig_desc(driver.desc, 1, DATA, 1, RIG_WRITE);
	rig_offer(&driver, 0);
	rig_offer(&driver, 1);
	assert_true(pop());
	assert_true(virtqueue_pop(&q, &chain));
	virtqueue_unpop(&q, 2);
	assert_int_equal(virtqueue_waiting(&q), 2);
	assert_true(virtqueue_pop(&q, &chain));
	assert_int_equal(chain.head, 0);
}

static void test_setup(void **state)
{
	static const struct virtqueue_setup bad[] = {
		{RINGS, RINGS, RINGS, 0, false, false},
		{RINGS, RINGS, RINGS, 3, false, false},
		{RINGS, RINGS, RINGS, 2 * VIRTQUEUE_SIZE_MAX, false, false},
		{RINGS + 8, RINGS, RINGS, 8, false, false},
		{RINGS, RINGS + 1, RINGS, 8, false, false},
		{RINGS, RINGS, RINGS + 2, 8, false, false},
		{0xfffffffffffffff0ull, RINGS, RINGS, 8, false, false},
		{RINGS, 0xfffffffffffffffeull, RINGS, 8, false, false},
		{RINGS, RINGS, 0xfffffffffffffffcull, 8, false, false},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		start(8, false, false);
		assert_false(virtqueue_start(&q, &bad[i]));
		assert_broken("not possible");
		virtqueue_stop(&q);
		assert_false(q.broken);
		assert_false(virtqueue_poll(&q));
	}
}

/* One way to break a chain: the descriptors, and a word of what is said about it. */
struct broken_case {
	const char *why;
	uint16_t head;
	bool indirect;
	struct {
		uint64_t addr;
		uint32_t len;
		uint32_t flags_next;
	} d[2], in[2];
};

#define NEXT(n) (RIG_NEXT | (n) << 16)

static void test_broken_chains(void **state)
{
	static const struct broken_case cases[] = {
		{"number", 8, false, {{DATA, 1, 0}}, {{0, 0, 0}}},
		{"number", 0, false, {{DATA, 1, NEXT(8u)}}, {{0, 0, 0}}},
		{"loop", 0, false, {{DATA, 1, NEXT(0u)}}, {{0, 0, 0}}},
		{"loop", 0, false, {{DATA, 1, NEXT(1u)}, {DATA, 1, NEXT(0u)}}, {{0, 0, 0}}},
		{"length", 0, false, {{DATA, 0, 0}}, {{0, 0, 0}}},
		{"length", 0, false, {{DATA, 0xffffffff, NEXT(1u)}, {DATA, 1, 0}}, {{0, 0, 0}}},
		{"behind", 0, false, {{DATA, 1, NEXT(1u) | 2}, {DATA, 1, 0}}, {{0, 0, 0}}},
		{"RAM", 0, false, {{0xfffffffffffffff0ull, 1, 0}}, {{0, 0, 0}}},
		{"order", 0, false, {{TABLE, 16, 4}}, {{DATA, 1, 0}}},
		{"order", 0, true, {{TABLE, 16, 4 | NEXT(1u)}}, {{DATA, 1, 0}}},
		{"order", 0, true, {{TABLE, 0, 4}}, {{DATA, 1, 0}}},
		{"order", 0, true, {{TABLE, 24, 4}}, {{DATA, 1, 0}}},
		{"order", 0, true, {{0xfffffffffffffff0ull, 16, 4}}, {{DATA, 1, 0}}},
		{"table is not in RAM", 0, true, {{0, 16, 4}}, {{DATA, 1, 0}}},
		{"table is not in RAM", 0, true, {{RIG_RAM_END - 16, 32, 4}}, {{DATA, 1, 0}}},
		{"leaves", 0, true, {{TABLE, 16, 4}}, {{DATA, 1, NEXT(1u)}}},
		{"leaves", 0, true, {{TABLE, 32, 4}}, {{DATA, 1, NEXT(0xffffu)}}},
		{"in an indirect", 0, true, {{TABLE, 32, 4}}, {{TABLE, 16, 4}}},
		{"loop", 0, true, {{TABLE, 32, 4}}, {{DATA, 1, NEXT(0u)}}},
		{"loop", 0, true, {{TABLE, 32, 4}}, {{DATA, 1, NEXT(1u)}, {DATA, 1, NEXT(0u)}}},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct broken_case *c = &cases[i];

		start(8, false, c->indirect);
		for (unsigned j = 0; j < 2; j++) {
			rig_desc(driver.desc, j, c->d[j].addr, c->d[j].len, c->d[j].flags_next);
			rig_desc(TABLE, j, c->in[j].addr, c->in[j].len, c->in[j].flags_next);
		}
		rig_offer(&driver, c->head);
		assert_false(pop());
		assert_broken(c->why);
	}
}

/* As many segments as a chain may have, and one more. */
static void test_longest_chain(void **state)
{
	(void)state;
	for (unsigned n = VIRTQUEUE_SEGMENTS_MAX; n <= VIRTQUEUE_SEGMENTS_MAX + 1; n++) {
		start(VIRTQUEUE_SIZE_MAX, false, true);
		for (unsigned i = 0; i < n; i++) {
			rig_desc(TABLE, i, DATA, 1, i + 1 < n ? rig_link(0, i + 1) : 0);
		}
		rig_desc(driver.desc, 0, TABLE, 16 * n, RIG_INDIRECT);
		rig_offer(&driver, 0);
		assert_int_equal(pop(), n == VIRTQUEUE_SEGMENTS_MAX);
	}
	assert_broken("too many");
}

static void test_broken_index(void **state)
{
	(void)state;
	start(8, false, false);
	rig_put(driver.avail + 2, 9, 2);
	assert_false(virtqueue_poll(&q));
	assert_broken("too far");

	/* Open ones count: eight descriptors cannot be nine chains. */
	start(8, false, false);
	rig_desc(driver.desc, 0, DATA, 1, 0);
	offer_some(4);
	for (unsigned i = 0; i < 4; i++) {
		assert_true(pop());
	}
	offer_some(4);
	assert_true(virtqueue_poll(&q));
	offer_some(1);
	assert_false(virtqueue_poll(&q));
	assert_broken("too far");

	start(8, false, false);
	rig_desc(driver.desc, 0, DATA, 1, 0);
	offer_some(2);
	assert_true(pop());
	assert_true(virtqueue_pop(&q, &chain));
	rig_put(driver.avail + 2, 1, 2);
	assert_false(virtqueue_poll(&q));
	assert_broken("goes back");
}

static void test_rings_outside(void **state)
{
	struct virtqueue_setup s;
	uint64_t *const places[] = {&s.desc, &s.avail, &s.used};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
		start(8, false, false);
		rig_desc(driver.desc, 0, DATA, 1, RIG_WRITE);
		rig_offer(&driver, 0);
		s = rig_setup(&driver);
		*places[i] = 0x10;
		assert_true(virtqueue_start(&q, &s));
		if (pop()) {
			virtqueue_push(&q, chain.head, 1);
		}
		assert_broken("RAM");
	}
}

static void test_buffers_outside(void **state)
{
	uint8_t bytes[32] = {0};

	(void)state;
	for (unsigned write = 0; write < 2; write++) {
		start(8, false, false);
		rig_desc(driver.desc, 0, RIG_RAM_END - 16, 32, write != 0 ? RIG_WRITE : 0);
		rig_offer(&driver, 0);
		assert_true(pop());
		assert_false(write != 0 ? virtqueue_write(&q, &chain, 0, bytes, 32)
					: virtqueue_read(&q, &chain, 0, bytes, 32));
		assert_broken("RAM");
	}
}

/* A stretch in goes of 3 bytes over segments of 5 and 6 bytes, and no byte beyond it. */
static void test_goes(void **state)
{
	struct virtqueue_cursor in;
	struct virtqueue_cursor out;
	uint8_t bytes[4];

	(void)state;
	start(8, false, false);
	memcpy(rig_at(DATA), "abcde", 5);
	memcpy(rig_at(DATA + 0x1000), "fghijk", 6);
	memset(rig_at(DATA + 0x2000), 0, 16);
	rig_desc(driver.desc, 0, DATA, 5, rig_link(0, 1));
	rig_desc(driver.desc, 1, DATA + 0x1000, 6, rig_link(0, 2));
	rig_desc(driver.desc, 2, DATA + 0x2000, 16, RIG_WRITE);
	rig_offer(&driver, 0);
	assert_true(pop());
	assert_false(virtqueue_seek_read(&q, &chain, 6, 6, &in));
	assert_false(virtqueue_seek_write(&q, &chain, 0, 17, &out));
	assert_true(virtqueue_seek_read(&q, &chain, 11, 0, &in));
	assert_false(virtqueue_read_next(&in, bytes, 1));
	assert_true(virtqueue_seek_read(&q, &chain, 1, 9, &in));
	assert_true(virtqueue_seek_write(&q, &chain, 2, 9, &out));
	for (unsigned i = 0; i < 3; i++) {
		assert_true(virtqueue_read_next(&in, bytes, 3));
		assert_true(virtqueue_write_next(&out, bytes, 3));
	}
	assert_memory_equal(rig_at(DATA + 0x2000), "\0\0bcdefghij\0", 12);
	assert_false(virtqueue_read_next(&in, bytes, 1));
	assert_false(virtqueue_write_next(&out, bytes, 1));
	assert_int_equal(broken_count, 0);
}

/* What breaks a copy in one go does not break the queue from here. */
static void test_goes_outside(void **state)
{
	struct virtqueue_cursor cur;
	uint8_t bytes[8] = {0};

	(void)state;
	for (unsigned write = 0; write < 2; write++) {
		start(8, false, false);
		rig_desc(driver.desc, 0, DATA, 8, rig_link(write != 0 ? RIG_WRITE : 0, 1));
		rig_desc(driver.desc, 1, RIG_RAM_END, 8, write != 0 ? RIG_WRITE : 0);
		rig_offer(&driver, 0);
		assert_true(pop());
		if (write != 0) {
			assert_true(virtqueue_seek_write(&q, &chain, 0, 16, &cur));
			assert_true(virtqueue_write_next(&cur, bytes, 8));
			assert_false(virtqueue_write_next(&cur, bytes, 8));
		} else {
			assert_true(virtqueue_seek_read(&q, &chain, 0, 16, &cur));
			assert_true(virtqueue_read_next(&cur, bytes, 8));
			assert_false(virtqueue_read_next(&cur, bytes, 8));
		}
		assert_int_equal(broken_count, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chain),
		cmocka_unit_test(test_copies),
		cmocka_unit_test(test_indirect),
		cmocka_unit_test(test_used),
		cmocka_unit_test(test_interrupt_later),
		cmocka_unit_test(test_interrupt_flag),
		cmocka_unit_test(test_interrupt_event),
		cmocka_unit_test(test_listen),
		cmocka_unit_test(test_accesses),
		cmocka_unit_test(test_unpop),
		cmocka_unit_test(test_setup),
		cmocka_unit_test(test_broken_chains),
		cmocka_unit_test(test_longest_chain),
		cmocka_unit_test(test_broken_index),
		cmocka_unit_test(test_rings_outside),
		cmocka_unit_test(test_buffers_outside),
		cmocka_unit_test(test_goes),
		cmocka_unit_test(test_goes_outside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
