/* SPDX-License-Identifier: Apache-2.0 */
/* The small virtio devices come with a guest's VM and go with it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guests/devices/virtio_console.h"
#include "guests/devices/virtio_rng.h"
#include "hv/guest_virtio.h"
#include "tests/fakes/guest_rig.h"

static int setup_virtio(void **state)
{
	config.rng = false;
	config.virtio_console = false;
	config.serial = true;
	return setup(state);
}

static uint64_t id_at(unsigned place)
{
	uint64_t value;

	(void)bus_read(&g->vm.mmio,
		       LAYOUT_ECAM_BASE + ((uint64_t)LAYOUT_DEVFN_FIRST + place * 8) * 4096, 4, 0,
		       &value);
	return value;
}

static void what_is_asked_for_is_there(void **state)
{
	(void)state;
	vm_rig_start(g);
	assert_int_equal(g->board->pci_count, 0);
	vm_rig_end(g);
	config.rng = true;
	vm_rig_start(g);
	assert_int_equal(g->board->pci_count, 1);
	assert_int_equal(id_at(0), 0x10441af4);
	vm_rig_end(g);
	config.virtio_console = true;
	config.serial = false;
	vm_rig_start(g);
	assert_int_equal(g->board->pci_count, 2);
	assert_int_equal(id_at(0), 0x10431af4);
	assert_int_equal(id_at(1), 0x10441af4);
}

static void they_go_with_the_vm(void **state)
{
	(void)state;
	config.rng = true;
	config.virtio_console = true;
	for (unsigned i = 0; i < 3; i++) {
		vm_rig_start(g);
		vm_rig_end(g);
		assert_false(vm_rig_leaks());
	}
}

/* Keys go to the console that the guest has, and are work for it. */
static void keys_go_to_the_virtio_console(void **state)
{
	(void)state;
	config.virtio_console = true;
	config.serial = false;
	vm_rig_start(g);
	assert_ptr_equal(g->console.receive, guest_virtio_input);
	assert_int_equal(g->console.receive(g->console.receive_ctx, "key", 3), 3);
	assert_int_equal(g->virtio_console->in_count, 3);
	assert_false(list_empty(&g->vm.work.waiting));
}

static void a_guest_without_console_takes_no_keys(void **state)
{
	(void)state;
	config.serial = false;
	vm_rig_start(g);
	assert_null(g->console.receive);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_virtio, clean)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_asked_for_is_there),
		TEST(they_go_with_the_vm),
		TEST(keys_go_to_the_virtio_console),
		TEST(a_guest_without_console_takes_no_keys),
	};

	return cmocka_run_group_tests(tests, machine, NULL);
}
