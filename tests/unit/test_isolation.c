/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "hv/base/bits.h"
#include "mm/frame.h"
#include "mm/gspace.h"
#include "mm/pool.h"
#include "tests/fakes/access.h"
#include "tests/fakes/fake_cpu.h"

/* Each test plants one violation in a sound machine of two VMs and looks whether it is found. */

static struct gspace a;
static struct gspace b;
static struct gspace *const spaces[] = {&a, &b};

static const struct pt_attr rwx = {.rights = PT_RWX};
static const struct pt_attr rw = {.rights = PT_RW};

static void start_vm(struct gspace *g, uint16_t owner, const struct pt_format *format)
{
	assert_int_equal(gspace_init(g, owner, format, PT_LEVEL_1G), HV_OK);
	assert_int_equal(gspace_add_region(g, 0, 0xa0000, true), HV_OK);
	assert_int_equal(gspace_add_region(g, MIB(1), MIB(5), true), HV_OK);
	assert_int_equal(gspace_populate(g, 0, 0xa0000), HV_OK);
	assert_int_equal(gspace_populate(g, MIB(1), MIB(5)), HV_OK);
}

static int setup(void **state)
{
	struct isolation_report report;

	(void)state;
	fake_cpu_reset();
	fake_machine(MIB(48));
	start_vm(&a, 1, &pt_format_npt);
	start_vm(&b, 2, &pt_format_ept);
	gspace_isolation_check(spaces, 2, &report);
	assert_int_equal(report.violations, 0);
	assert_null(report.what);
	/* Both tables of both VMs, and the core. */
	assert_true(report.frames_checked > 4 * (0xa0000 + MIB(5)) / PAGE_SIZE);
	return 0;
}

static hpa_t frame_of(struct gspace *g, uint64_t addr)
{
	struct pt_leaf leaf;

	assert_true(pt_lookup(&g->stage2, addr, &leaf));
	return hpa(leaf.pa.v + (addr - leaf.va));
}

static void plant(struct pt *pt, uint64_t va, hpa_t frame, struct pt_attr attr)
{
	assert_int_equal(pt_map(pt, va, frame, PAGE_SIZE, attr), HV_OK);
}

static void expect_found(hpa_t frame, const char *what)
{
	struct isolation_report report;

	gspace_isolation_check(spaces, 2, &report);
	assert_true(report.violations >= 1);
	assert_string_equal(report.what, what);
	assert_int_equal(report.first_violation.v, frame.v);
}

static void a_frame_in_two_vms(void **state)
{
	hpa_t frame = frame_of(&a, MIB(3));

	(void)state;
	plant(&b.stage2, MIB(4) + 0x5000, frame, rwx);
	plant(&b.host.pt, VM_WINDOW_BASE + MIB(4) + 0x5000, frame, rw);
	expect_found(frame, "a frame of another guest");
}

static void a_frame_of_another_vm_in_the_window_alone(void **state)
{
	hpa_t frame = frame_of(&a, 0x2000);

	(void)state;
	plant(&b.host.pt, VM_WINDOW_BASE + 0x3000, frame, rw);
	expect_found(frame, "window and second stage differ");
}

static void a_frame_of_the_hypervisor(void **state)
{
	hpa_t frame = pool_hpa(pool_pages(0));

	(void)state;
	plant(&b.stage2, 0x3000, frame, rwx);
	plant(&b.host.pt, VM_WINDOW_BASE + 0x3000, frame, rw);
	expect_found(frame, "a frame of the hypervisor");
}

static void a_page_table_of_its_own(void **state)
{
	hpa_t frame = pool_hpa(a.stage2.root);

	(void)state;
	plant(&a.stage2, MIB(16), frame, rwx);
	expect_found(frame, "a frame of the hypervisor");
}

static void the_hypervisor_image_and_a_module(void **state)
{
	(void)state;
	plant(&a.stage2, MIB(16), hpa(FAKE_MODULE_BASE), rwx);
	expect_found(hpa(FAKE_MODULE_BASE), "a frame of the hypervisor");
}

static void a_free_frame(void **state)
{
	hpa_t frame;

	(void)state;
	assert_int_equal(frame_alloc(0, FRAME_GUEST, 1, &frame), HV_OK);
	plant(&a.stage2, MIB(16), frame, rwx);
	plant(&a.host.pt, VM_WINDOW_BASE + MIB(16), frame, rw);
	frame_put(frame);
	expect_found(frame, "a free frame");
}

static void a_device(void **state)
{
	(void)state;
	plant(&b.stage2, MIB(16), hpa(0xfee00000), rwx);
	plant(&b.host.pt, VM_WINDOW_BASE + MIB(16), hpa(0xfee00000), rw);
	expect_found(hpa(0xfee00000), "not memory");
	plant(&b.stage2, MIB(16), hpa(0x9000), rwx);
	plant(&b.host.pt, VM_WINDOW_BASE + MIB(16), hpa(0x9000), rw);
	expect_found(hpa(0x9000), "not memory");
}

static void a_hole_in_the_window(void **state)
{
	(void)state;
	assert_int_equal(pt_unmap(&a.host.pt, VM_WINDOW_BASE + MIB(2), PAGE_SIZE), HV_OK);
	expect_found(hpa(0), "window and second stage differ");
}

static void an_executable_window(void **state)
{
	hpa_t frame = frame_of(&a, 0x7000);

	(void)state;
	plant(&a.host.pt, VM_WINDOW_BASE + 0x7000, frame, rwx);
	expect_found(frame, "the window is executable");
}

static void a_guest_frame_in_the_core(void **state)
{
	hpa_t frame = frame_of(&b, MIB(2) + 0x9000);

	(void)state;
	plant(&space_core()->pt, HV_DIRECT_BASE + frame.v, frame, rw);
	expect_found(frame, "the core maps a guest's frame");
}

static void a_private_copy_of_the_core(void **state)
{
	unsigned slot = (unsigned)(HV_DIRECT_BASE >> 39) % PT_ENTRIES;

	(void)state;
	b.host.pt.root[slot] = 0;
	expect_found(hpa(0), "a VM's space has more than the core and its window");
}

static void shared_frames_must_be_read_only(void **state)
{
	hpa_t frame = frame_of(&a, 0);
	const struct pt_attr writable_cow = {.rights = PT_RWX, .cow = true};
	const struct pt_attr writable_window = {.rights = PT_RW, .cow = true};
	struct isolation_report report;

	(void)state;
	assert_int_equal(gspace_share(&a, 0, PAGE_SIZE), HV_OK);
	gspace_isolation_check(spaces, 2, &report);
	assert_int_equal(report.violations, 0);
	plant(&a.stage2, 0, frame, writable_cow);
	plant(&a.host.pt, VM_WINDOW_BASE, frame, writable_window);
	expect_found(frame, "a shared frame is writable");
	plant(&a.stage2, 0, frame, rwx);
	plant(&a.host.pt, VM_WINDOW_BASE, frame, rw);
	expect_found(frame, "a shared frame outside copy-on-write");
}

static void cow_of_what_is_not_shared(void **state)
{
	hpa_t frame = frame_of(&a, 0x4000);

	(void)state;
	plant(&a.stage2, 0x4000, frame, (struct pt_attr){.rights = PT_RX, .cow = true});
	plant(&a.host.pt, VM_WINDOW_BASE + 0x4000, frame,
	      (struct pt_attr){.rights = PT_R, .cow = true});
	expect_found(frame, "copy-on-write of a frame not shared");
}

static void a_frame_nobody_dropped_a_reference_of(void **state)
{
	hpa_t frame = frame_of(&a, 0x4000);

	(void)state;
	/* As if a copy had been claimed while somebody else still maps it. */
	((struct frame *)(uintptr_t)frame_info(frame))->refs = 2;
	expect_found(frame, "a frame with several references");
}

/* Memory below the hole at 0xa0000 shifts the steps: they end within large pages. */
static void a_large_page_half_given_back(void **state)
{
	struct isolation_report report;

	(void)state;
	while (!gspace_fini_step(&a, MIB(2))) {
		gspace_isolation_check(spaces, 2, &report);
		assert_int_equal(report.violations, 0);
	}
}

/* What the other half still reaches is looked at. */
static void a_free_frame_beside_what_was_given_back(void **state)
{
	struct frame *f;
	hpa_t frame;

	(void)state;
	assert_false(gspace_fini_step(&a, MIB(2)));
	frame = frame_of(&a, a.fini_at);
	assert_int_not_equal(a.fini_at % PAGE_SIZE_2M, 0);
	f = (struct frame *)(uintptr_t)frame_info(frame);
	f->type = FRAME_FREE;
	expect_found(frame, "a free frame");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_frame_in_two_vms, setup),
		cmocka_unit_test_setup(a_frame_of_another_vm_in_the_window_alone, setup),
		cmocka_unit_test_setup(a_frame_of_the_hypervisor, setup),
		cmocka_unit_test_setup(a_page_table_of_its_own, setup),
		cmocka_unit_test_setup(the_hypervisor_image_and_a_module, setup),
		cmocka_unit_test_setup(a_free_frame, setup),
		cmocka_unit_test_setup(a_device, setup),
		cmocka_unit_test_setup(a_hole_in_the_window, setup),
		cmocka_unit_test_setup(an_executable_window, setup),
		cmocka_unit_test_setup(a_guest_frame_in_the_core, setup),
		cmocka_unit_test_setup(a_private_copy_of_the_core, setup),
		cmocka_unit_test_setup(shared_frames_must_be_read_only, setup),
		cmocka_unit_test_setup(cow_of_what_is_not_shared, setup),
		cmocka_unit_test_setup(a_frame_nobody_dropped_a_reference_of, setup),
		cmocka_unit_test_setup(a_large_page_half_given_back, setup),
		cmocka_unit_test_setup(a_free_frame_beside_what_was_given_back, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
