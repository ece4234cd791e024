/* SPDX-License-Identifier: Apache-2.0 */
#include "guests/devices/fw_cfg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/base/bits.h"
#include "hv/base/str.h"
#include "tests/fakes/device_rig.h"
#include "tests/fakes/lacks_rig.h"
#include "tests/fakes/saved_rig.h"
#include "tests/fakes/virtio_rig.h"

#define DESCRIPTOR (RIG_RAM_BASE + 0x100u)
#define BUFFER (RIG_RAM_BASE + 0x1000u)

static struct fw_cfg cfg;
static struct vwork_queue work_queue;
static unsigned asked;
static unsigned selected;
static uint8_t variable[8];
static uint8_t large[FW_CFG_STEP_BYTES + 100];

static void ask(void *ctx, unsigned vcpu)
{
	(void)ctx;
	(void)vcpu;
	asked++;
}

static void on_select(void *ctx)
{
	assert_ptr_equal(ctx, variable);
	selected++;
}

static int setup(void **state)
{
	(void)state;
	vwork_queue_init(&work_queue, ask, NULL);
	memset(rig_ram, 0x77, sizeof(rig_ram));
	asked = 0;
	selected = 0;
	fw_cfg_init(&cfg, NULL, &work_queue);
	return 0;
}

static void select_key(uint16_t key)
{
	rig_write(&cfg.dev, BUS_PIO, FW_CFG_PORT, 2, key);
}

static uint8_t data(void)
{
	return rig_in(&cfg.dev, FW_CFG_PORT + 1);
}

static uint32_t be32(uint32_t value)
{
	return __builtin_bswap32(value);
}

static void dma(uint32_t control, uint32_t length, uint64_t address)
{
	rig_put(DESCRIPTOR, be32(control), 4);
	rig_put(DESCRIPTOR + 4, be32(length), 4);
	rig_put(DESCRIPTOR + 8, __builtin_bswap64(address), 8);
	rig_write(&cfg.dev, BUS_PIO, FW_CFG_PORT + 8, 4, be32(DESCRIPTOR));
}

/* What the descriptor's control became. */
static uint32_t outcome(void)
{
	return be32((uint32_t)rig_get(DESCRIPTOR, 4));
}

static void test_signature_and_id(void **state)
{
	(void)state;
	select_key(FW_CFG_SIGNATURE);
	assert_int_equal(data(), 'Q');
	assert_int_equal(data(), 'E');
	assert_int_equal(data(), 'M');
	assert_int_equal(data(), 'U');
	assert_int_equal(data(), 0);
	select_key(FW_CFG_ID);
	assert_int_equal(data(), 3);
	assert_int_equal(data(), 0);
	/* The DMA registers tell the same in the order of the bus. */
	assert_int_equal(rig_read(&cfg.dev, BUS_PIO, FW_CFG_PORT + 4, 4), be32(0x51454d55));
	assert_int_equal(rig_read(&cfg.dev, BUS_PIO, FW_CFG_PORT + 8, 4), be32(0x20434647));
}

static void test_nothing_there(void **state)
{
	(void)state;
	select_key(0x1234);
	assert_int_equal(data(), 0);
	rig_out(&cfg.dev, FW_CFG_PORT, 1); /* not a word */
	rig_out(&cfg.dev, FW_CFG_PORT + 1, 1);
	assert_int_equal(rig_in(&cfg.dev, FW_CFG_PORT), 0);
	assert_int_equal(rig_in(&cfg.dev, FW_CFG_PORT + 2), 0);
}

static void test_numbers(void **state)
{
	(void)state;
	assert_int_equal(fw_cfg_add_number(&cfg, FW_CFG_RAM_SIZE, 0x1122334455667788, 8), HV_OK);
	assert_int_equal(fw_cfg_add_number(&cfg, FW_CFG_NB_CPUS, 4, 2), HV_OK);
	assert_int_equal(fw_cfg_add_number(&cfg, FW_CFG_NB_CPUS, 4, 2), HV_E_EXISTS);
	assert_int_equal(fw_cfg_add_number(&cfg, FW_CFG_MAX_CPUS, 4, 9), HV_E_RANGE);
	assert_int_equal(fw_cfg_add_number(&cfg, FW_CFG_MAX_CPUS, 4, 0), HV_E_RANGE);
	assert_int_equal(fw_cfg_add_number(&cfg, 0x4010, 4, 2), HV_E_RANGE);
	select_key(FW_CFG_RAM_SIZE);
	assert_int_equal(data(), 0x88);
	assert_int_equal(data(), 0x77);
	/* Selecting again begins again. */
	select_key(FW_CFG_RAM_SIZE);
	assert_int_equal(data(), 0x88);
	select_key(FW_CFG_NB_CPUS);
	assert_int_equal(data(), 4);
}

static void read_directory(uint8_t *out, size_t n)
{
	select_key(FW_CFG_FILE_DIR);
	for (size_t i = 0; i < n; i++) {
		out[i] = data();
	}
}

static void test_directory(void **state)
{
	uint8_t dir[4 + 3 * FW_CFG_DIRECTORY_ENTRY];

	(void)state;
	read_directory(dir, 8);
	assert_int_equal(dir[3], 0);
	assert_int_equal(fw_cfg_add_file(&cfg, "etc/e820", "abc", 3), HV_OK);
	assert_int_equal(fw_cfg_add_file_number(&cfg, "etc/port", 0x3f8, 8), HV_OK);
	assert_int_equal(fw_cfg_add_file(&cfg, "etc/e820", "abc", 3), HV_E_EXISTS);
	read_directory(dir, sizeof(dir));
	assert_int_equal(dir[0] << 24 | dir[1] << 16 | dir[2] << 8 | dir[3], 2);
	assert_int_equal(dir[4 + 3], 3);				   /* size */
	assert_int_equal(dir[4 + 4] << 8 | dir[4 + 5], FW_CFG_FILE_FIRST); /* number */
	assert_string_equal((const char *)dir + 4 + 8, "etc/e820");
	assert_int_equal(dir[68 + 3], 8);
	assert_int_equal(dir[68 + 5], FW_CFG_FILE_FIRST + 1);
	/* Behind the last entry there is nothing. */
	assert_int_equal(dir[132], 0);
	select_key(FW_CFG_FILE_FIRST + 1);
	assert_int_equal(data(), 0xf8);
	assert_int_equal(data(), 0x03);
}

static void test_limits(void **state)
{
	static const char longest[] = "0123456789012345678901234567890123456789012345678901234";
	static const char longer[] = "01234567890123456789012345678901234567890123456789012345";
	char name[8] = "a";

	(void)state;
	assert_int_equal(sizeof(longest), FW_CFG_NAME_MAX);
	assert_int_equal(fw_cfg_add_file(&cfg, longest, "", 0), HV_OK);
	assert_int_equal(fw_cfg_add_file(&cfg, longer, "", 0), HV_E_RANGE);
	assert_int_equal(fw_cfg_add_file(&cfg, "large", "", 0x100000000ull), HV_E_RANGE);
	for (unsigned i = 1; i < FW_CFG_FILES_MAX; i++) {
		name[0] = (char)('a' + i);
		assert_int_equal(fw_cfg_add_file(&cfg, name, "", 0), HV_OK);
	}
	assert_int_equal(fw_cfg_add_file(&cfg, "one-more", "", 0), HV_E_RANGE);
}

static void test_dma_reads(void **state)
{
	(void)state;
	assert_int_equal(fw_cfg_add_file(&cfg, "f", "hello, world", 12), HV_OK);
	dma(FW_CFG_FILE_FIRST << 16 | FW_CFG_DMA_SELECT | FW_CFG_DMA_READ, 5, BUFFER);
	assert_int_equal(outcome(), 0);
	assert_memory_equal(rig_at(BUFFER), "hello\x77", 6);
	dma(FW_CFG_DMA_SKIP, 2, 0);
	assert_int_equal(outcome(), 0);
	/* What lies behind the end reads zero. */
	dma(FW_CFG_DMA_READ, 8, BUFFER);
	assert_int_equal(outcome(), 0);
	assert_memory_equal(rig_at(BUFFER), "world\0\0\0\x77", 9);
	/* The port goes on where DMA has ended. */
	select_key(FW_CFG_FILE_FIRST);
	dma(FW_CFG_DMA_READ, 1, BUFFER);
	assert_int_equal(data(), 'e');
	dma(FW_CFG_DMA_READ, 0, 0);
	assert_int_equal(outcome(), 0);
	assert_int_equal(data(), 'l');
}

static void test_dma_errors(void **state)
{
	(void)state;
	select_key(FW_CFG_SIGNATURE);
	dma(FW_CFG_DMA_READ, 4, RIG_RAM_END - 2);
	assert_int_equal(outcome(), FW_CFG_DMA_ERROR);
	dma(FW_CFG_DMA_READ, 4, ~0ull - 1);
	assert_int_equal(outcome(), FW_CFG_DMA_ERROR);
	dma(FW_CFG_DMA_WRITE, 4, BUFFER);
	assert_int_equal(outcome(), FW_CFG_DMA_ERROR);
	/* A descriptor that is nowhere, and one at its end. */
	rig_write(&cfg.dev, BUS_PIO, FW_CFG_PORT + 8, 4, be32(RIG_RAM_END - 8));
	rig_write(&cfg.dev, BUS_PIO, FW_CFG_PORT + 8, 4, 0);
	assert_false(cfg.state.busy);
	/* The upper half counts, and once only. */
	rig_put(DESCRIPTOR, be32(FW_CFG_DMA_SKIP), 4);
	rig_write(&cfg.dev, BUS_PIO, FW_CFG_PORT + 4, 4, be32(1));
	rig_write(&cfg.dev, BUS_PIO, FW_CFG_PORT + 8, 4, be32(DESCRIPTOR));
	assert_int_equal(outcome(), FW_CFG_DMA_SKIP);
	rig_write(&cfg.dev, BUS_PIO, FW_CFG_PORT + 8, 4, be32(DESCRIPTOR));
	assert_int_equal(outcome(), 0);
}

static void test_writes(void **state)
{
	(void)state;
	assert_int_equal(fw_cfg_add_file(&cfg, "r", large, 8), HV_OK);
	dma(FW_CFG_FILE_FIRST << 16 | FW_CFG_DMA_SELECT | FW_CFG_DMA_WRITE, 4, BUFFER);
	assert_int_equal(outcome(), FW_CFG_DMA_ERROR);
	dma(FW_CFG_DMA_WRITE, 0, BUFFER);
	assert_int_equal(outcome(), 0);
}

/* A long transfer takes several steps; meanwhile the guest is not heard. */
static void test_steps(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(large); i++) {
		large[i] = (uint8_t)(i % 251);
	}
	assert_int_equal(fw_cfg_add_file(&cfg, "large", large, sizeof(large)), HV_OK);
	dma(FW_CFG_FILE_FIRST << 16 | FW_CFG_DMA_SELECT | FW_CFG_DMA_READ, sizeof(large), BUFFER);
	assert_int_equal(asked, 1);
	assert_int_not_equal(outcome(), 0);
	select_key(FW_CFG_SIGNATURE);
	assert_int_equal(cfg.state.key, FW_CFG_FILE_FIRST);
	vwork_run(&work_queue);
	assert_int_equal(outcome(), 0);
	assert_int_equal(asked, 1);
	assert_memory_equal(rig_at(BUFFER), large, sizeof(large));
	assert_int_equal(rig_get(BUFFER + sizeof(large), 1), 0x77);
}

static void test_reset(void **state)
{
	(void)state;
	assert_int_equal(fw_cfg_add_file(&cfg, "large", large, sizeof(large)), HV_OK);
	dma(FW_CFG_FILE_FIRST << 16 | FW_CFG_DMA_SELECT | FW_CFG_DMA_READ, sizeof(large), BUFFER);
	cfg.dev.ops->reset(&cfg.dev);
	assert_true(list_empty(&work_queue.waiting));
	vwork_run(&work_queue);
	assert_int_not_equal(outcome(), 0);
	/* Item 0 is selected. */
	assert_int_equal(data(), 'Q');
}

static void test_on_select(void **state)
{
	(void)state;
	assert_int_equal(fw_cfg_add_file(&cfg, "f", "f", 1), HV_OK);
	fw_cfg_on_select(&cfg, on_select, variable);
	select_key(FW_CFG_SIGNATURE);
	assert_int_equal(selected, 0);
	select_key(FW_CFG_FILE_FIRST);
	assert_int_equal(selected, 1);
	dma(FW_CFG_FILE_FIRST << 16 | FW_CFG_DMA_SELECT, 0, 0);
	assert_int_equal(selected, 2);
	(void)data();
	assert_int_equal(selected, 2);
}

/* In the middle of an item, and of a descriptor's address. */
static void a_loaded_one_goes_on(void **state)
{
	(void)state;
	assert_int_equal(fw_cfg_add_file(&cfg, "etc/variable", variable, sizeof(variable)), HV_OK);
	fw_cfg_on_select(&cfg, on_select, variable);
	variable[3] = 0x33;
	select_key(FW_CFG_FILE_FIRST);
	for (unsigned i = 0; i < 3; i++) {
		(void)data();
	}
	assert_int_equal(selected, 1);
	assert_true(cfg.saved.ops->quiet(&cfg));
	saved_reload(&cfg.saved);
	/* What is read may have to be made anew. */
	assert_int_equal(selected, 2);
	assert_int_equal(data(), 0x33);
	assert_false(SAVED_TAKES(&cfg.saved, struct fw_cfg_saved, key, 0x4000));
	assert_false(SAVED_TAKES(&cfg.saved, struct fw_cfg_saved, zero[0], 1));
}

static void a_transfer_is_not_quiet(void **state)
{
	(void)state;
	assert_int_equal(fw_cfg_add(&cfg, 0x30, large, sizeof(large)), HV_OK);
	dma(0x30u << 16 | FW_CFG_DMA_SELECT | FW_CFG_DMA_READ, sizeof(large), BUFFER);
	if (cfg.state.busy) {
		assert_false(cfg.saved.ops->quiet(&cfg));
		(void)vwork_run(&work_queue);
	}
	assert_true(cfg.saved.ops->quiet(&cfg));
}

static void test_what_is_not_there_is_told(void **state)
{
	(void)state;
	cfg.dev.lacks = &lacks_rig;
	lacks_rig = (struct lacks){.total = 0};
	select_key(FW_CFG_ID);
	assert_int_equal(lacks_rig.total, 0);
	select_key(0x1234);
	assert_int_equal(lacks_told("fw_cfg", LACKS_INDEX, 0x1234), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_signature_and_id, setup),
		cmocka_unit_test_setup(test_nothing_there, setup),
		cmocka_unit_test_setup(test_numbers, setup),
		cmocka_unit_test_setup(test_directory, setup),
		cmocka_unit_test_setup(test_limits, setup),
		cmocka_unit_test_setup(test_dma_reads, setup),
		cmocka_unit_test_setup(test_dma_errors, setup),
		cmocka_unit_test_setup(test_writes, setup),
		cmocka_unit_test_setup(test_steps, setup),
		cmocka_unit_test_setup(test_reset, setup),
		cmocka_unit_test_setup(test_on_select, setup),
		cmocka_unit_test_setup(a_loaded_one_goes_on, setup),
		cmocka_unit_test_setup(a_transfer_is_not_quiet, setup),
		cmocka_unit_test_setup(test_what_is_not_there_is_told, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
