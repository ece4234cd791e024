/* SPDX-License-Identifier: Apache-2.0 */
/* From the guest's accesses to flash to what is on the partition, over the life of guests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "guests/layout.h"
#include "hv/api/gmem.h"
#include "hv/guest_varstore.h"
#include "mm/pool.h"
#include "tests/fakes/disk_rig.h"
#include "tests/fakes/gpt_rig.h"
#include "tests/fakes/vm_rig.h"

#define CODE_SIZE 0x30000u
#define VARS_SIZE 0x10000u
#define VARS_BASE (LAYOUT_4G - CODE_SIZE - VARS_SIZE)
#define DISK_BLOCKS 1000u
/* Of the partition "vars", which has what the store needs. */
#define START 40u
#define SECTORS ((VARS_SIZE + VARSTORE_BLOCK) * 2 / BLK_SECTOR)

static struct disk_rig disk;
static struct guest_config configs[16];
static unsigned config_count;
static uint8_t code[CODE_SIZE];
static uint8_t vars[VARS_SIZE];

static int machine(void **state)
{
	struct gpt_rig g;

	(void)state;
	vm_rig_machine(true);
	disk_rig_init(&disk, "nvme0", DISK_BLOCKS, 512);
	g = (struct gpt_rig){disk.bytes, DISK_BLOCKS, 512, 128};
	gpt_rig_make(&g);
	gpt_rig_partition(&g, 1, START, START + SECTORS - 1, "vars", 0x21);
	gpt_rig_partition(&g, 2, 400, 499, "small", 0x22);
	gpt_rig_partition(&g, 3, 500, 899, "used", 0x23);
	disk.bytes[(500 + 2) * BLK_SECTOR] = 0x53;
	memset(code, 0xc0, sizeof(code));
	memset(vars, 0x5a, sizeof(vars));
	blk_registry_add(&disk.dev);
	blk_registry_scan();
	return 0;
}

/* Guests cannot be taken out again: each test has its own, and gives its claims back. */
static int clean(void **state)
{
	(void)state;
	for (unsigned i = 0; i < guest_count(); i++) {
		if (guest_at(i)->state != GUEST_STOPPED) {
			vm_rig_end(guest_at(i));
		}
		blk_registry_release(guest_at(i)->vm.name);
	}
	disk.holds = false;
	memset(disk.bytes + START * BLK_SECTOR, 0, SECTORS * BLK_SECTOR);
	vm_rig_clear();
	return 0;
}

/* A guest whose variables are on that partition; NULL: in memory. */
static struct guest *guest_on(const char *name, const char *partition)
{
	struct guest_config *config = &configs[config_count++];
	struct guest *g = vm_rig_guest(name, config);

	config->varstore.partition = partition != NULL;
	if (partition != NULL) {
		strcpy(config->varstore.name, partition);
	}
	g->uefi_code = (struct guest_file){code, sizeof(code)};
	g->uefi_vars = (struct guest_file){vars, sizeof(vars)};
	g->kernel = (struct guest_file){NULL, 0};
	g->firmware_kind = CONFIG_FIRMWARE_IS_UEFI;
	return g;
}

static struct guest *running_on(const char *name, const char *partition)
{
	struct guest *g = guest_on(name, partition);

	if (!guest_varstore_open(g)) {
		fail_msg("%s", g->reason);
	}
	vm_rig_start(g);
	return g;
}

static void refused(const char *name, const char *partition, const char *why)
{
	struct guest *g = guest_on(name, partition);
	uint64_t before = pool_bytes_used();

	assert_false(guest_varstore_open(g));
	assert_string_equal(g->reason, why);
	assert_true(g->refused);
	assert_null(g->varstore);
	assert_int_equal(pool_bytes_used(), before);
}

static void wr(struct guest *g, uint32_t offset, uint8_t value)
{
	assert_true(bus_write(&g->vm.mmio, VARS_BASE + offset, 1, 0, value));
}

/* As the guest's memory has it; -1: not shown. */
static int rd(struct guest *g, uint32_t offset)
{
	uint8_t value = 0;
	enum hv_status status = guest_mem_read(&g->vm, gpa(VARS_BASE + offset), &value, 1);

	return status == HV_OK ? value : -1;
}

static void program(struct guest *g, uint32_t offset, uint8_t value)
{
	wr(g, offset, 0x40);
	wr(g, offset, value);
	wr(g, offset, 0xff);
}

static void flash_is_where_firmware_looks_for_it(void **state)
{
	struct guest *g = running_on("place", NULL);
	uint64_t value = 0;

	(void)state;
	assert_int_equal(rd(g, 0), 0x5a);
	assert_int_equal(rd(g, VARS_SIZE - 1), 0x5a);
	assert_int_equal(rd(g, VARS_SIZE), 0xc0);
	/* Code is no flash: nobody takes its writes. */
	assert_null(bus_find(&g->vm.mmio, VARS_BASE + VARS_SIZE));
	assert_int_equal(gspace_fault(&g->vm.gspace, gpa(VARS_BASE), true), GSPACE_FAULT_ROM);
	atomic_store(&g->vm.vcpus[0]->requests, 0);
	wr(g, 0x1000, 0x70);
	/* Hidden, and whoever could still see it flushes before it runs on. */
	assert_int_equal(rd(g, 0x1000), -1);
	assert_int_equal(rd(g, VARS_SIZE), 0xc0);
	assert_true((atomic_load(&g->vm.vcpus[0]->requests) & VCPU_REQ_TLB_FLUSH) != 0);
	assert_true(bus_read(&g->vm.mmio, VARS_BASE + 0x1000, 1, 0, &value));
	assert_int_equal(value, PFLASH_SR_READY);
	wr(g, 0x1000, 0x40);
	wr(g, 0x1000, 0x0f);
	assert_int_equal(rd(g, 0x1000), -1);
	wr(g, 0, 0xff);
	assert_int_equal(rd(g, 0x1000), 0x0a);
	assert_int_equal(rd(g, 0x1001), 0x5a);
}

static void it_survives_power_off_and_reset(void **state)
{
	struct guest *g = running_on("life", NULL);

	(void)state;
	program(g, 5, 0x52);
	/* It ends with a command under way. */
	wr(g, 6, 0x40);
	vm_rig_end(g);
	vm_rig_start(g);
	assert_int_equal(rd(g, 5), 0x52);
	assert_int_equal(rd(g, 6), 0x5a);
	guest_reset(g, "by a test");
	vm_rig_work();
	space_switch(&g->vm.gspace.host);
	assert_int_equal(rd(g, 5), 0x52);
	assert_int_equal(vars[5], 0x5a);
}

/* The machine starts again: a new guest of the same configuration. */
static void a_partition_survives_the_machine(void **state)
{
	struct guest *g = running_on("first", "vars");

	(void)state;
	assert_non_null(strstr(vm_rig_text(),
			       "guest first: variables on nvme0 partition 1, which is "
			       "blank: they begin as the template"));
	/* The template is written at once, what the guest changes when it shows again. */
	assert_true(varstore_settled(&g->varstore->store));
	program(g, 5, 0x52);
	assert_true(varstore_settled(&g->varstore->store));
	wr(g, 6, 0x40);
	wr(g, 6, 0x42);
	vm_rig_end(g);
	blk_registry_release("first");
	vm_rig_clear();
	memset(vars, 0x11, sizeof(vars));
	g = running_on("second", "vars");
	assert_non_null(strstr(vm_rig_text(), "guest second: variables on nvme0 partition 1\r\n"));
	assert_int_equal(rd(g, 4), 0x5a);
	assert_int_equal(rd(g, 5), 0x52);
	assert_int_equal(rd(g, 6), 0x42);
	memset(vars, 0x5a, sizeof(vars));
}

static void the_end_waits_for_the_partition(void **state)
{
	struct guest *g = running_on("slow", "vars");

	(void)state;
	disk.holds = true;
	program(g, 5, 0x52);
	space_switch(space_core());
	guest_stop(g, GUEST_END_POWER_OFF, "power-off");
	for (unsigned i = 0; i < 20; i++) {
		work_step();
	}
	assert_int_equal(g->state, GUEST_STOPPING);
	while (disk.open_count != 0) {
		disk_rig_finish(&disk, 0);
	}
	disk.holds = false;
	vm_rig_work();
	assert_int_equal(g->state, GUEST_STOPPED);
}

static void what_cannot_be_used_is_refused(void **state)
{
	struct guest *g = running_on("holder", "vars");

	(void)state;
	refused("none", "nowhere",
		"varstore: no partition has the label or UUID \"nowhere\"; there are: nvme0 partition "
		"1 (vars), nvme0 partition 2 (small), nvme0 partition 3 (used)");
	refused("tiny", "small", "varstore: nvme0 partition 2 has 50 KiB; needed: 136 KiB");
	refused("other", "used",
		"varstore: nvme0 partition 3 holds something else than variables; if it may go, fill "
		"the first 136 KiB with zeros");
	refused("second", "vars",
		"varstore: guest holder writes to nvme0 partition 1, which guest second would write "
		"to");
	/* Refused guests hold nothing. */
	refused("third", "used",
		"varstore: nvme0 partition 3 holds something else than variables; if it may go, fill "
		"the first 136 KiB with zeros");
	disk.failure = HV_E_IO;
	refused("broken", "used", "varstore: nvme0 partition 3 cannot be read");
	disk.failure = HV_OK;
	assert_int_equal(disk.bytes[(500 + 2) * BLK_SECTOR], 0x53);
	g = guest_on("odd", NULL);
	g->uefi_vars.size = 0xfff0;
	assert_false(guest_varstore_open(g));
	assert_string_equal(g->reason,
			    "varstore: the template has 65520 bytes; allowed: 4K to 1020K "
			    "in whole 4K");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(flash_is_where_firmware_looks_for_it, clean),
		cmocka_unit_test_teardown(it_survives_power_off_and_reset, clean),
		cmocka_unit_test_teardown(a_partition_survives_the_machine, clean),
		cmocka_unit_test_teardown(the_end_waits_for_the_partition, clean),
		cmocka_unit_test_teardown(what_cannot_be_used_is_refused, clean),
	};

	return cmocka_run_group_tests(tests, machine, NULL);
}
