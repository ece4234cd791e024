/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptor encodings against the manual's layouts, taken apart independently here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/cpu/desc.h"

static void gdt_names_the_tss(void **state)
{
	struct gdt gdt;
	static struct tss tss;
	uint64_t base = (uint64_t)(uintptr_t)&tss;
	uint8_t d[16];
	uint64_t got;

	(void)state;
	memset(&gdt, 0xff, sizeof(gdt));
	desc_build_gdt(&gdt, &tss);
	assert_int_equal(gdt.slot[0], 0);
	memcpy(d, &gdt.slot[GDT_TSS / 8], sizeof(d));
	got = d[2] | (uint64_t)d[3] << 8 | (uint64_t)d[4] << 16 | (uint64_t)d[7] << 24 |
	      (uint64_t)d[8] << 32 | (uint64_t)d[9] << 40 | (uint64_t)d[10] << 48 |
	      (uint64_t)d[11] << 56;
	assert_int_equal(got, base);
	assert_int_equal(d[0] | d[1] << 8, 103); /* limit */
	assert_int_equal(d[5], 0x89);		 /* present, available 64-bit TSS */
	assert_int_equal(d[6], 0);		 /* limit in bytes */
	assert_int_equal(d[12] | d[13] | d[14] | d[15], 0);
}

static void gdt_segments_are_64_bit_ring_0(void **state)
{
	struct gdt gdt;
	static struct tss tss;

	(void)state;
	desc_build_gdt(&gdt, &tss);
	assert_int_equal(gdt.slot[1] >> 40 & 0xff, 0x9b); /* present, DPL 0, code, accessed */
	assert_int_equal(gdt.slot[1] >> 53 & 3, 1);	  /* L set, D clear */
	assert_int_equal(gdt.slot[2] >> 40 & 0xff, 0x93); /* present, DPL 0, data, accessed */
}

static void tss_has_its_stacks_and_no_io_map(void **state)
{
	struct tss tss;
	uint64_t tops[DESC_IST_COUNT] = {0x1000, 0x2000, 0x3000};

	(void)state;
	memset(&tss, 0xff, sizeof(tss));
	desc_build_tss(&tss, tops);
	assert_int_equal(tss.ist[DESC_IST_DOUBLE_FAULT - 1], 0x1000);
	assert_int_equal(tss.ist[DESC_IST_NMI - 1], 0x2000);
	assert_int_equal(tss.ist[DESC_IST_MACHINE_CHECK - 1], 0x3000);
	assert_int_equal(tss.ist[3], 0);
	assert_int_equal(tss.rsp[0], 0);
	assert_true(tss.iomap_base > 103);
}

static void gate_splits_the_address(void **state)
{
	struct idt_gate g = desc_gate(0xffffffff80123456ull, DESC_IST_NMI);

	(void)state;
	assert_int_equal(g.offset_low, 0x3456);
	assert_int_equal(g.offset_middle, 0x8012);
	assert_int_equal(g.offset_high, 0xffffffffu);
	assert_int_equal(g.selector, GDT_CODE);
	assert_int_equal(g.ist, 2);
	assert_int_equal(g.type, 0x8e); /* an interrupt gate: IF is cleared */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gdt_names_the_tss),
		cmocka_unit_test(gdt_segments_are_64_bit_ring_0),
		cmocka_unit_test(tss_has_its_stacks_and_no_io_map),
		cmocka_unit_test(gate_splits_the_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
