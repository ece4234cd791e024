/* SPDX-License-Identifier: Apache-2.0 */
/* What the monitor says of disks: those of the machine, images, and what guests do with them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "hv/guest_varstore.h"
#include "hv/monitor.h"
#include "tests/fakes/disk_rig.h"
#include "tests/fakes/gpt_rig.h"
#include "tests/fakes/vm_rig.h"

#define BLOCKS 8192u

static struct disk_rig disks[2];
static struct guest_config web_config;
static struct guest_config db_config;
static struct guest_config lost_config;
static struct guest_config cd_config;
static struct guest *web;
static _Alignas(BLK_SECTOR) uint8_t image[8192];
static _Alignas(BLK_SECTOR) uint8_t buffer[4096];

static struct guest *guest(const char *name, struct guest_config *config, struct config_disk d)
{
	struct guest *g = vm_rig_guest(name, config);

	config->disks[0] = d;
	config->disk_count = 1;
	g->disk_images[0] = (struct guest_file){image, sizeof(image)};
	(void)guest_disks_open(g);
	return g;
}

static int machine(void **state)
{
	struct config_disk on_image = {.source = CONFIG_DISK_IMAGE,
				       .name = "images/x.img",
				       .overlay = true,
				       .serial = "disk0"};
	struct config_disk on_root = {.source = CONFIG_DISK_PARTITION, .name = "root"};
	struct gpt_rig g;

	(void)state;
	vm_rig_machine(false);
	disk_rig_init(&disks[0], "nvme0", BLOCKS, 512);
	disk_rig_init(&disks[1], "ahci0", BLOCKS, 512);
	strcpy(disks[0].dev.serial, "S1");
	disks[1].dev.readonly = true;
	g = (struct gpt_rig){disks[0].bytes, BLOCKS, 512, 128};
	gpt_rig_make(&g);
	gpt_rig_partition(&g, 1, 2048, 4095, "root", 0x21);
	gpt_rig_partition(&g, 2, 4096, 8000, "", 0x22);
	blk_registry_add(&disks[0].dev);
	blk_registry_add(&disks[1].dev);
	blk_registry_scan();
	web = guest("web", &web_config, on_image);
	(void)guest("db", &db_config, on_root);
	(void)guest("lost", &lost_config, on_root);
	return 0;
}

static void says(void (*print)(struct span args), const char *args, const char *words)
{
	vm_rig_clear();
	print(span_of(args));
	if (strstr(vm_rig_text(), words) == NULL) {
		fail_msg("%s: no '%s' in:\n%s", args, words, vm_rig_text());
	}
}

static void disks_of_the_machine(void **state)
{
	(void)state;
	says(monitor_info, "disks", "nvme0                4 MiB  S1  db writes\r\n");
	says(monitor_info, "disks",
	     "  1           1 MiB  21212121-2121-2121-2121-212121212121  root  db writes\r\n");
	says(monitor_info, "disks",
	     "  2           1 MiB  22222222-2222-2222-2222-222222222222  -\r\n");
	says(monitor_info, "disks", "ahci0                4 MiB  -  read-only  (no GPT)\r\n");
	says(monitor_info, "disks", "image images/x.img, 8 KiB in memory  web reads\r\n");
	says(monitor_info, "disks", "db disk0: nvme0 partition 1, 1 MiB\r\n");
	assert_null(strstr(vm_rig_text(), "lost"));
}

static void what_guests_wrote(void **state)
{
	struct disk_rig_request q;

	(void)state;
	disk_rig_ask(web->disks[0]->top, &q, BLK_WRITE, 0, 8, buffer);
	disk_rig_ask(web->disks[0]->top, &q, BLK_READ, 0, 4, buffer);
	disk_rig_ask(web->disks[0]->top, &q, BLK_FLUSH, 0, 0, NULL);
	disk_rig_ask(web->disks[0]->top, &q, BLK_READ, 4096, 4, buffer);
	says(monitor_info, "disks", "web disk0: images/x.img, 0 MiB, overlay takes 8 KiB\r\n");
	says(monitor_info, "memory", "  image images/x.img: 8 KiB, once for 1 disk\r\n");
	says(monitor_info, "memory", "  web              overlays 8 KiB\r\n");
	says(monitor_stats, "web",
	     "disk0.source images/x.img\r\n"
	     "disk0.bytes 8192\r\n"
	     "disk0.read-requests 1\r\n"
	     "disk0.read-bytes 2048\r\n"
	     "disk0.write-requests 1\r\n"
	     "disk0.write-bytes 4096\r\n"
	     "disk0.flush-requests 1\r\n"
	     "disk0.discard-requests 0\r\n"
	     "disk0.discard-bytes 0\r\n"
	     "disk0.write-zeroes-requests 0\r\n"
	     "disk0.write-zeroes-bytes 0\r\n"
	     "disk0.errors 1\r\n"
	     "disk0.overlay-bytes 8192\r\n"
	     "disk0.overlay-failed-writes 0\r\n");
}

static void where_variables_are(void **state)
{
	static uint8_t template[2 * VARSTORE_BLOCK];
	struct guest_varstore *v;

	(void)state;
	web->uefi_vars = (struct guest_file){template, sizeof(template)};
	assert_true(guest_varstore_open(web));
	v = web->varstore;
	says(monitor_info, "disks", "web variables: in memory, 8 KiB\r\n");
	v->store.device = &disks[0].dev;
	says(monitor_info, "disks", "web variables: nvme0, 8 KiB\r\n");
	v->store.failing = true;
	says(monitor_info, "disks", "web variables: nvme0, 8 KiB, writes fail\r\n");
	v->store.device = NULL;
}

static void a_refused_guest(void **state)
{
	(void)state;
	says(monitor_stats, "lost", "state stopped\r\n");
	assert_null(strstr(vm_rig_text(), "disk0."));
	vm_rig_clear();
	vm_rig_type("start lost\r");
	assert_non_null(strstr(vm_rig_text(),
			       "cannot start lost: disk 0: guest db writes to nvme0 partition 1, "
			       "which guest lost would write to"));
	vm_rig_type("reset lost\r");
	assert_non_null(strstr(vm_rig_text(), "cannot reset lost: disk 0: "));
	vm_rig_clear();
}

static void media(void **state)
{
	struct config_disk on_cd = {.source = CONFIG_DISK_IMAGE,
				    .name = "images/x.img",
				    .serial = "disk0",
				    .bus = CONFIG_DISK_IDE,
				    .readonly = true,
				    .cdrom = true};
	struct guest *cd = guest("cd", &cd_config, on_cd);

	(void)state;
	says(monitor_eject, "web", "web has no such CD or floppy drive\r\n");
	says(monitor_eject, "cd disk1", "cd has no such CD or floppy drive\r\n");
	says(monitor_eject, "cd", "cd does not run\r\n");
	says(monitor_insert, "cd", "cd does not run\r\n");
	vm_rig_start(cd);
	says(monitor_eject, "cd disk0", "");
	says(monitor_eject, "cd 0 force", "disk0 of cd is empty\r\n");
	vm_rig_clear();
	monitor_insert(span_of("cd"));
	monitor_eject(span_of("cd"));
	assert_string_equal(vm_rig_text(), "");
	vm_rig_end(cd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(disks_of_the_machine),
		cmocka_unit_test(what_guests_wrote),
		cmocka_unit_test(where_variables_are),
		cmocka_unit_test(a_refused_guest),
		cmocka_unit_test(media),
	};

	return cmocka_run_group_tests(tests, machine, NULL);
}
