/* SPDX-License-Identifier: Apache-2.0 */
/* Requests, layers and limits: test_guest_disks.c, with this bus. */
#include "hv/guest_disk_virtio.h"

#include "tests/fakes/guest_disk_rig.h"

#define CLASS_SCSI 0x010000u

static void lives(void **state)
{
	(void)state;
	bus_lives(bus_guest("one", CONFIG_DISK_VIRTIO, 1), CLASS_SCSI);
}

static void without_memory(void **state)
{
	(void)state;
	bus_without_memory(bus_guest("poor", CONFIG_DISK_VIRTIO, 4));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(lives, bus_clean),
		cmocka_unit_test_teardown(without_memory, bus_clean),
	};

	return cmocka_run_group_tests(tests, bus_machine, NULL);
}
