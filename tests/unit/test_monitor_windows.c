/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "hv/monitor.h"
#include "tests/fakes/vm_rig.h"

static struct guest_config config;
static struct guest *g;
static struct guest_disk disk;
static struct blk_device device;

static int machine(void **state)
{
	(void)state;
	vm_rig_machine(false);
	g = vm_rig_guest("win", &config);
	return 0;
}

/* As docs/windows.md says. */
static int setup(void **state)
{
	(void)state;
	g->firmware_kind = CONFIG_FIRMWARE_IS_UEFI;
	config.varstore.partition = true;
	config.memory = GIB(4);
	config.cpus = 2;
	config.vga = true;
	config.hyperv = true;
	config.disk_count = 1;
	config.disks[0] = (struct config_disk){.bus = CONFIG_DISK_NVME};
	config.net_count = 1;
	config.nets[0].model = CONFIG_NIC_E1000E;
	device.sectors = GIB(64) / BLK_SECTOR;
	disk = (struct guest_disk){.config = &config.disks[0], .top = &device};
	g->disks[0] = &disk;
	return 0;
}

static int clean(void **state)
{
	(void)state;
	g->disks[0] = NULL;
	return 0;
}

static const char *windows(const char *name)
{
	vm_rig_clear();
	monitor_windows(span_of(name));
	return vm_rig_text();
}

static void says(const char *line)
{
	if (strstr(windows("win"), line) == NULL) {
		fail_msg("\"%s\" is not in:\n%s", line, vm_rig_text());
	}
}

static void test_all_there(void **state)
{
	(void)state;
	says("windows: win: 0 missing;");
	assert_null(strstr(vm_rig_text(), "note"));
	says("ok       disk 0     NVMe");
	says("ok       cpu        all features");
}

static void test_nothing_there(void **state)
{
	(void)state;
	g->firmware_kind = CONFIG_FIRMWARE_NONE;
	config.memory = GIB(2) - 1;
	config.cpus = 1;
	config.vga = false;
	config.hyperv = false;
	config.disk_count = 0;
	config.net_count = 0;
	says("missing  firmware");
	says("missing  disk       none that can be written");
	says("note     net        none");
	says("missing  memory");
	says("note     cpus");
	says("note     screen     none");
	says("missing  hyperv");
	says("windows: win: 4 missing;");
}

static void test_disks(void **state)
{
	(void)state;
	config.disks[0].bus = CONFIG_DISK_VIRTIO;
	says("missing  disk 0     virtio");
	config.disks[0].bus = CONFIG_DISK_IDE;
	says("note     disk 0     IDE");
	config.disks[0].overlay = true;
	says("note     disk 0     what is written lasts until");
	device.sectors = GIB(64) / BLK_SECTOR - 1;
	says("smaller than 64 GiB");
	device.sectors = GIB(32) / BLK_SECTOR - 1;
	says("smaller than 32 GiB");
	config.disks[0].readonly = true;
	config.disks[0].cdrom = true;
	says("ok       disk 0     a CD drive");
	says("windows: win: 1 missing;");
	/* One that was refused is no reason to fail. */
	g->disks[0] = NULL;
	config.disks[0] = (struct config_disk){.bus = CONFIG_DISK_AHCI};
	says("ok       disk 0     AHCI");
}

static void test_the_rest(void **state)
{
	(void)state;
	config.varstore.partition = false;
	says("note     varstore");
	config.memory = GIB(3);
	says("note     memory     enough for 10");
	config.nets[0].model = CONFIG_NIC_VIRTIO;
	says("note     net 0      virtio");
	config.nets[0].model = CONFIG_NIC_E1000;
	says("note     net 0      82540EM");
	g->firmware_kind = CONFIG_FIRMWARE_IS_BIOS;
	says("note     firmware   BIOS");
	says("windows: win: 0 missing;");
}

/* A CPU without CMPXCHG16B and POPCNT. */
static void test_features(void **state)
{
	(void)state;
	fake_cpuid_set(1, 0, (struct cpuid_regs){0x00a20f10, 0x00100800, 0xfe581203, 0x178bfbff});
	says("missing  cx16");
	says("note     popcnt");
	says("windows: win: 1 missing;");
}

static void test_names(void **state)
{
	(void)state;
	assert_non_null(strstr(windows(""), "which guest?"));
	assert_non_null(strstr(windows("mac"), "no guest is named 'mac'"));
	vm_rig_clear();
	monitor_info(span_of("windows win"));
	assert_non_null(strstr(vm_rig_text(), "windows: win: "));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_all_there, setup, clean),
		cmocka_unit_test_setup_teardown(test_nothing_there, setup, clean),
		cmocka_unit_test_setup_teardown(test_disks, setup, clean),
		cmocka_unit_test_setup_teardown(test_the_rest, setup, clean),
		cmocka_unit_test_setup_teardown(test_names, setup, clean),
		cmocka_unit_test_setup_teardown(test_features, setup, clean),
	};

	return cmocka_run_group_tests(tests, machine, NULL);
}
