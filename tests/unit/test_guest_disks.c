/* SPDX-License-Identifier: Apache-2.0 */
/* From the configuration of disks to layers and device models, over the life of guests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "guests/devices/virtio_blk.h"
#include "hv/api/gmem.h"
#include "hv/guest_disks.h"
#include "mm/pool.h"
#include "tests/fakes/disk_rig.h"
#include "tests/fakes/gpt_rig.h"
#include "tests/fakes/vm_rig.h"

#define BLOCKS 300u
#define IMAGE_SECTORS 64u

static struct disk_rig disk;
static struct guest_config configs[16];
static unsigned config_count;
static _Alignas(BLK_SECTOR) uint8_t image[IMAGE_SECTORS * BLK_SECTOR];
static _Alignas(BLK_SECTOR) uint8_t buffer[8 * BLK_SECTOR];

static int machine(void **state)
{
	struct gpt_rig g;

	(void)state;
	vm_rig_machine(true);
	disk_rig_init(&disk, "nvme0", BLOCKS, 512);
	strcpy(disk.dev.serial, "S1");
	g = (struct gpt_rig){disk.bytes, BLOCKS, 512, 128};
	gpt_rig_make(&g);
	gpt_rig_partition(&g, 1, 40, 99, "root", 0x21);
	gpt_rig_partition(&g, 2, 104, 199, "data", 0x22);
	memset(image, 0x5a, sizeof(image));
	blk_registry_add(&disk.dev);
	blk_registry_scan();
	return 0;
}

/* Guests cannot be taken out again: each test has its own, and gives its claims back. */
static int clean(void **state)
{
	(void)state;
	for (unsigned i = 0; i < guest_count(); i++) {
		blk_registry_release(guest_at(i)->vm.name);
	}
	disk.holds = false;
	vm_rig_clear();
	return 0;
}

/* A guest with one disk of this kind. */
static struct guest *guest_with(const char *name, struct config_disk d)
{
	struct guest_config *config = &configs[config_count++];
	struct guest *g = vm_rig_guest(name, config);

	if (d.serial[0] == '\0') {
		strcpy(d.serial, "disk0");
	}
	config->disks[config->disk_count++] = d;
	g->disk_images[0] = (struct guest_file){image, sizeof(image)};
	return g;
}

static const struct config_disk on_root = {.source = CONFIG_DISK_PARTITION, .name = "root"};
static const struct config_disk on_image = {
	.source = CONFIG_DISK_IMAGE, .name = "images/x.img", .overlay = true};

static enum hv_status ask(struct guest *g, enum blk_op op, uint64_t sector)
{
	struct disk_rig_request q;

	disk_rig_ask(g->disks[0]->top, &q, op, sector, 8, buffer);
	return q.r.status;
}

static void layers_as_configured(void **state)
{
	struct config_disk d = on_root;
	struct guest *g;

	(void)state;
	g = guest_with("plain", d);
	assert_true(guest_disks_open(g));
	assert_ptr_equal(g->disks[0]->top, &g->disks[0]->partition.dev);
	assert_string_equal(g->disks[0]->top->name, "nvme0 partition 1");
	assert_string_equal(g->disks[0]->top->serial, "disk0"); /* not the machine's */
	memset(buffer, 0x11, sizeof(buffer));
	assert_int_equal(ask(g, BLK_WRITE, 8), HV_OK);
	assert_int_equal(disk.bytes[48 * BLK_SECTOR], 0x11);
	blk_registry_release("plain");

	d.overlay = true;
	d.overlay_limit = 65536;
	d.iops = 100;
	g = guest_with("all", d);
	assert_true(guest_disks_open(g));
	assert_ptr_equal(g->disks[0]->top, &g->disks[0]->limit.dev);
	assert_ptr_equal(g->disks[0]->limit.below, &g->disks[0]->overlay.dev);
	assert_ptr_equal(g->disks[0]->overlay.base, &g->disks[0]->partition.dev);
	assert_int_equal(g->disks[0]->overlay.tree.limit, 65536);
	memset(buffer, 0x22, sizeof(buffer));
	assert_int_equal(ask(g, BLK_WRITE, 8), HV_OK);
	assert_int_equal(disk.bytes[48 * BLK_SECTOR], 0x11);
	assert_true(guest_disks_overlay_bytes(g) > 0);

	d.overlay = false;
	d.readonly = true;
	g = guest_with("reader", d);
	assert_true(guest_disks_open(g));
	assert_int_equal(ask(g, BLK_WRITE, 8), HV_E_INVALID);
	assert_int_equal(ask(g, BLK_READ, 8), HV_OK);
	assert_int_equal(buffer[0], 0x11);
}

static void one_image_for_all(void **state)
{
	struct guest *a = guest_with("a", on_image);
	struct guest *b = guest_with("b", on_image);

	(void)state;
	assert_true(guest_disks_open(a));
	assert_true(guest_disks_open(b));
	assert_ptr_equal(a->disks[0]->extent.dev, b->disks[0]->extent.dev);
	memset(buffer, 0x33, sizeof(buffer));
	assert_int_equal(ask(a, BLK_WRITE, 0), HV_OK);
	assert_int_equal(ask(b, BLK_READ, 0), HV_OK);
	assert_int_equal(buffer[0], 0x5a);
	assert_int_equal(ask(a, BLK_READ, 0), HV_OK);
	assert_int_equal(buffer[0], 0x33);
	assert_int_equal(image[0], 0x5a);
	assert_int_equal(guest_disks_overlay_bytes(b), 0);
}

static void refuses(struct guest *g, const char *reason)
{
	uint64_t before = pool_bytes_used();

	assert_false(guest_disks_open(g));
	assert_string_equal(g->reason, reason);
	assert_int_equal(pool_bytes_used(), before);
	assert_int_equal(guest_start(g), HV_E_NOT_FOUND);
	guest_reset(g, "by request");
	assert_int_equal(g->state, GUEST_STOPPED);
}

static void what_is_missing_or_taken(void **state)
{
	struct config_disk d = on_root;
	struct guest *g = guest_with("owner", d);

	(void)state;
	assert_true(guest_disks_open(g));
	refuses(guest_with("second", d),
		"disk 0: guest owner writes to nvme0 partition 1, which guest second would write "
		"to");
	strcpy(d.name, "swap");
	refuses(guest_with("third", d),
		"disk 0: no partition has the label or UUID \"swap\"; there are: nvme0 "
		"partition 1 (root), nvme0 partition 2 (data)");
	d.source = CONFIG_DISK_WHOLE;
	refuses(guest_with("fourth", d),
		"disk 0: no disk has the serial number \"swap\"; there are: nvme0 (S1)");
}

/* One whose second disk is missing does not keep its first from others. */
static void a_refused_guest_has_nothing(void **state)
{
	struct config_disk d = on_root;
	struct guest *g = guest_with("halfway", d);

	(void)state;
	configs[config_count - 1].disks[1] = on_root;
	configs[config_count - 1].disk_count = 2;
	refuses(g, "disk 1: guest halfway writes to nvme0 partition 1, which guest halfway would "
		   "write to");
	assert_true(guest_disks_open(guest_with("next", d)));
}

/* --- the device, as a driver in the guest sees it --- */

#define VIRTIO_BLK_PCI_ID 0x10421af4u
#define DESC 0x900000u
#define AVAIL 0x901000u
#define USED 0x902000u
#define HEADER 0x903000u
#define DATA 0x904000u
#define PCI_COMMAND_ALL 7u /* ports, memory, bus master */

static uint32_t config_read(struct guest *g, unsigned devfn, unsigned offset)
{
	uint64_t value = 0;

	(void)bus_write(&g->vm.pio, 0xcf8, 4, 0, 0x80000000u | devfn << 8 | offset);
	(void)bus_read(&g->vm.pio, 0xcfc, 4, 0, &value);
	return (uint32_t)value;
}

/* Where the disk is; 256: nowhere. */
static unsigned find_disk(struct guest *g)
{
	unsigned devfn = 0;

	while (devfn < 256 && config_read(g, devfn, 0) != VIRTIO_BLK_PCI_ID) {
		devfn++;
	}
	return devfn;
}

static void common_write(struct guest *g, unsigned devfn, size_t offset, unsigned size,
			 uint64_t value)
{
	uint64_t base = config_read(g, devfn, 0x10 + 4 * VIRTIO_PCI_BAR_REGS) & ~0xfu;

	assert_true(bus_write(&g->vm.mmio, base + VIRTIO_PCI_REGS_COMMON + offset, size, 0, value));
}

#define COMMON(field) offsetof(struct virtio_pci_common, field)

/* Brings the device up with one queue. */
static void drive(struct guest *g, unsigned devfn)
{
	(void)config_read(g, devfn, PCI_COMMAND);
	(void)bus_write(&g->vm.pio, 0xcfc, 2, 0, PCI_COMMAND_ALL);
	common_write(g, devfn, COMMON(device_status), 1, VIRTIO_STATUS_ACKNOWLEDGE);
	common_write(g, devfn, COMMON(driver_feature_select), 4, 1);
	common_write(g, devfn, COMMON(driver_feature), 4, 1); /* VERSION_1 */
	common_write(g, devfn, COMMON(device_status), 1, 0x0b);
	common_write(g, devfn, COMMON(queue_size), 2, 8);
	common_write(g, devfn, COMMON(queue_desc), 4, DESC);
	common_write(g, devfn, COMMON(queue_driver), 4, AVAIL);
	common_write(g, devfn, COMMON(queue_device), 4, USED);
	common_write(g, devfn, COMMON(queue_enable), 2, 1);
	common_write(g, devfn, COMMON(device_status), 1, 0x0f);
}

/* Asks for the first 4 KiB: descriptors for the header, the data and the status. */
static void ask_for_data(struct guest *g, unsigned devfn)
{
	static const struct {
		uint64_t addr;
		uint32_t len;
		uint16_t flags, next;
	} desc[] = {{HEADER, 16, 1, 1}, {DATA, 4096, 3, 2}, {HEADER + 16, 1, 2, 0}};
	static const uint16_t avail[] = {0, 1, 0};
	uint32_t port = config_read(g, devfn, 0x10 + 4 * VIRTIO_PCI_BAR_PORTS) & ~3u;

	assert_int_equal(guest_mem_write(&g->vm, gpa(DESC), desc, sizeof(desc)), HV_OK);
	assert_int_equal(guest_mem_write(&g->vm, gpa(AVAIL), avail, sizeof(avail)), HV_OK);
	assert_true(bus_write(&g->vm.pio, port + VIRTIO_PCI_PORT_NOTIFY, 2, 0, 0));
}

static void the_overlay_outlives_the_vm(void **state)
{
	struct guest *g = guest_with("vm", on_image);

	(void)state;
	assert_true(guest_disks_open(g));
	memset(buffer, 0x44, sizeof(buffer));
	assert_int_equal(ask(g, BLK_WRITE, 16), HV_OK);
	vm_rig.pool_bytes = pool_bytes_used();
	for (unsigned i = 0; i < 2; i++) {
		vm_rig_start(g);
		assert_non_null(g->disks[0]->model);
		assert_true(find_disk(g) < 256);
		vm_rig_end(g);
		assert_null(g->disks[0]->model);
		assert_false(vm_rig_leaks());
		assert_int_equal(ask(g, BLK_READ, 16), HV_OK);
		assert_int_equal(buffer[0], 0x44);
	}
}

/* The VM's memory stays until the machine's disk is done with what the guest asked for. */
static void stopping_waits_for_the_disk(void **state)
{
	struct guest *g = guest_with("waiting", on_root);

	(void)state;
	assert_true(guest_disks_open(g));
	vm_rig.pool_bytes = pool_bytes_used();
	vm_rig_start(g);
	drive(g, find_disk(g));
	disk.holds = true;
	ask_for_data(g, find_disk(g));
	assert_int_equal(disk.open_count, 1);
	guest_stop(g, GUEST_END_REQUEST, "by request");
	for (unsigned i = 0; i < 20; i++) {
		work_step();
		assert_int_equal(g->state, GUEST_STOPPING);
		assert_non_null(g->board);
	}
	disk_rig_finish(&disk, 0);
	vm_rig_work();
	assert_int_equal(g->state, GUEST_STOPPED);
	assert_false(vm_rig_leaks());
}

/* What waits for a limit is given up: nobody wants it any more. */
static void stopping_does_not_wait_for_a_limit(void **state)
{
	struct config_disk d = on_root;
	struct disk_rig_request q[3];
	struct guest *g;

	(void)state;
	d.iops = 1;
	g = guest_with("slow", d);
	assert_true(guest_disks_open(g));
	vm_rig.pool_bytes = pool_bytes_used();
	vm_rig_start(g);
	for (unsigned i = 0; i < 2; i++) {
		disk_rig_ask(g->disks[0]->top, &q[i], BLK_READ, 0, 8, buffer);
	}
	drive(g, find_disk(g));
	ask_for_data(g, find_disk(g));
	assert_int_equal(q[1].done, 0);
	vm_rig_end(g);
	assert_int_equal(q[1].r.status, HV_E_IO);
	assert_false(vm_rig_leaks());
	/* The next VM may use the disk again. */
	vm_rig_start(g);
	vm_rig_advance(VM_RIG_HZ * 10);
	disk_rig_ask(g->disks[0]->top, &q[2], BLK_READ, 0, 8, buffer);
	assert_int_equal(q[2].r.status, HV_OK);
	assert_int_equal(q[2].done, 1);
	vm_rig_end(g);
}

/* Memory that gives out anywhere in between is given back, and the guest stops with a reason. */
static void a_start_without_memory(void **state)
{
	struct guest *g = guest_with("poor", on_image);
	void *taken[64];
	unsigned count = 0;

	(void)state;
	configs[config_count - 1].cpus = 4;
	assert_true(guest_disks_open(g));
	vm_rig.pool_bytes = pool_bytes_used();
	while (count < 64 && (taken[count] = pool_pages(9)) != NULL) {
		count++;
	}
	assert_int_equal(guest_start(g), HV_OK);
	vm_rig_work();
	assert_int_equal(g->state, GUEST_STOPPED);
	assert_non_null(strstr(g->reason, "cannot start"));
	while (count > 0) {
		pool_pages_free(taken[--count], 9);
	}
	assert_false(vm_rig_leaks());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(layers_as_configured, clean),
		cmocka_unit_test_teardown(one_image_for_all, clean),
		cmocka_unit_test_teardown(what_is_missing_or_taken, clean),
		cmocka_unit_test_teardown(a_refused_guest_has_nothing, clean),
		cmocka_unit_test_teardown(the_overlay_outlives_the_vm, clean),
		cmocka_unit_test_teardown(stopping_waits_for_the_disk, clean),
		cmocka_unit_test_teardown(stopping_does_not_wait_for_a_limit, clean),
		cmocka_unit_test_teardown(a_start_without_memory, clean),
	};

	return cmocka_run_group_tests(tests, machine, NULL);
}
