/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses, segments, paging, page crossings and the short cut through the reported fault. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "hv/emul/emul_internal.h"
#include "tests/fakes/emul_guest.h"

#define TABLES 0x10000u

static struct emul_guest g;

static const uint8_t store_eax[] = {0x89, 0x03};
static const uint8_t store_rax[] = {0x48, 0x89, 0x03};
static const uint8_t load_rax[] = {0x48, 0x8b, 0x03};

static void begin(enum insn_mode mode, const uint8_t *code, size_t n)
{
	emul_guest_init(&g, mode);
	emul_guest_code(&g, code, n);
	g.gpr[GPR_RAX] = 0x1122334455667788;
}

#define BEGIN(mode, ...) \
	begin(mode, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* Four levels that map the first 2 MiB to themselves; page 9 is the device. */
static void paging(void)
{
	uint64_t flags = PTE_P | PTE_W | PTE_A;

	emul_guest_poke(&g, TABLES, 8, (TABLES + 0x1000) | flags);
	emul_guest_poke(&g, TABLES + 0x1000, 8, (TABLES + 0x2000) | flags);
	emul_guest_poke(&g, TABLES + 0x2000, 8, (TABLES + 0x3000) | flags);
	for (unsigned i = 0; i < 512; i++) {
		emul_guest_poke(&g, TABLES + 0x3000 + i * 8, 8, i * PAGE_SIZE | flags | PTE_D);
	}
	emul_guest_poke(&g, TABLES + 0x3000 + 9 * 8, 8, EMUL_GUEST_DEVICE | flags | PTE_D);
	g.c.walk.cr0 |= CR0_PG | CR0_WP;
	g.c.walk.cr4 |= CR4_PAE;
	g.c.walk.cr3 = TABLES;
}

static void set_page(unsigned page, uint64_t entry)
{
	emul_guest_poke(&g, TABLES + 0x3000 + page * 8, 8, entry);
}

static uint64_t get_page(unsigned page)
{
	return emul_guest_peek(&g, TABLES + 0x3000 + page * 8, 8);
}

static void assert_exception(unsigned vector, uint32_t error)
{
	assert_int_equal(emul_guest_run(&g), EMUL_EXCEPTION);
	assert_int_equal(g.c.exception.type, VCPU_EVENT_EXCEPTION);
	assert_int_equal(g.c.exception.vector, vector);
	assert_int_equal(g.c.exception.error, error);
	assert_int_equal(g.c.rip, EMUL_GUEST_CODE);
}

static void test_effective(void **state)
{
	(void)state;
	BEGIN(INSN_LONG64, 0x48, 0x8b, 0x84, 0xcb, 0xf0, 0xff, 0xff, 0xff); /* [rbx+rcx*8-16] */
	g.gpr[GPR_RBX] = 0x2000;
	g.gpr[GPR_RCX] = 4;
	assert_int_equal(emul_decode(&g.c), EMUL_OK);
	assert_int_equal(emul_effective(&g.c), 0x2010);
	BEGIN(INSN_LONG64, 0x8b, 0x05, 0x10, 0, 0, 0); /* [rip+16] */
	assert_int_equal(emul_decode(&g.c), EMUL_OK);
	assert_int_equal(emul_effective(&g.c), EMUL_GUEST_CODE + 6 + 16);
	BEGIN(INSN_LONG64, 0x67, 0x8b, 0x43, 0x10); /* [ebx+16] wraps at 4 GiB */
	g.gpr[GPR_RBX] = 0x12fffffff8;
	assert_int_equal(emul_decode(&g.c), EMUL_OK);
	assert_int_equal(emul_effective(&g.c), 8);
	BEGIN(INSN_REAL16, 0x8b, 0x40, 0x02); /* [bx+si+2] wraps at 64 KiB */
	g.gpr[GPR_RBX] = 0x1ffff;
	g.gpr[GPR_RSI] = 3;
	assert_int_equal(emul_decode(&g.c), EMUL_OK);
	assert_int_equal(emul_effective(&g.c), 4);
}

static void test_canonical(void **state)
{
	(void)state;
	begin(INSN_LONG64, store_rax, 3);
	g.gpr[GPR_RBX] = 0x7ffffffffff9; /* its last byte is outside */
	assert_exception(EXC_GP, 0);
	g.gpr[GPR_RBX] = 0x800000000000;
	assert_exception(EXC_GP, 0);
	g.gpr[GPR_RBX] = 0xffff7fffffffffff;
	assert_exception(EXC_GP, 0);
	BEGIN(INSN_LONG64, 0x89, 0x45, 0x00); /* through RBP: #SS */
	g.gpr[GPR_RBP] = 0x800000000000;
	assert_exception(EXC_SS, 0);
	begin(INSN_LONG64, store_rax, 3);
	g.gpr[GPR_RBX] = 0x800000000000;
	g.c.walk.cr4 |= CR4_LA57;
	assert_int_equal(emul_guest_run(&g), EMUL_STOP); /* canonical; no memory there */
}

static void test_segment_bases(void **state)
{
	(void)state;
	BEGIN(INSN_LONG64, 0x65, 0x89, 0x03);
	g.gpr[GPR_RBX] = 0x10;
	g.segs[VCPU_SEG_GS].base = 0x2000;
	g.segs[VCPU_SEG_DS].base = 0x3000;
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(emul_guest_peek(&g, 0x2010, 4), 0x55667788);
	assert_int_equal(g.segment_reads, 1);
	/* DS has no base in 64-bit mode and is not even read. */
	begin(INSN_LONG64, store_eax, 2);
	g.gpr[GPR_RBX] = 0x2000;
	g.segs[VCPU_SEG_DS].base = 0x3000;
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(emul_guest_peek(&g, 0x2000, 4), 0x55667788);
	assert_int_equal(g.segment_reads, 0);
	begin(INSN_PROT32, store_eax, 2);
	g.gpr[GPR_RBX] = 0x2000;
	g.segs[VCPU_SEG_DS].base = 0xfffff000; /* wraps at 4 GiB */
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(emul_guest_peek(&g, 0x1000, 4), 0x55667788);
}

static void test_limits(void **state)
{
	(void)state;
	begin(INSN_PROT32, store_eax, 2);
	g.gpr[GPR_RBX] = 0x2000;
	g.segs[VCPU_SEG_DS].limit = 0x2003;
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	begin(INSN_PROT32, store_eax, 2);
	g.gpr[GPR_RBX] = 0x2001;
	g.segs[VCPU_SEG_DS].limit = 0x2003;
	assert_exception(EXC_GP, 0);
	/* Expand-down: valid above the limit only. */
	g.segs[VCPU_SEG_DS].attr |= 4;
	assert_exception(EXC_GP, 0);
	g.gpr[GPR_RBX] = 0x2004;
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	begin(INSN_PROT16, (const uint8_t[]){0x89, 0x07}, 2);
	g.segs[VCPU_SEG_DS].attr |= 4;
	g.segs[VCPU_SEG_DS].limit = 0xfff;
	g.gpr[GPR_RBX] = 0xffff; /* a 16-bit expand-down segment ends at 64 KiB */
	assert_exception(EXC_GP, 0);
}

static void test_segment_types(void **state)
{
	(void)state;
	begin(INSN_PROT32, store_eax, 2);
	g.gpr[GPR_RBX] = 0x2000;
	g.segs[VCPU_SEG_DS].attr &= ~2u; /* read-only */
	assert_exception(EXC_GP, 0);
	BEGIN(INSN_PROT32, 0x2e, 0x89, 0x03); /* code is never writable */
	g.gpr[GPR_RBX] = 0x2000;
	assert_exception(EXC_GP, 0);
	BEGIN(INSN_PROT32, 0x2e, 0x8b, 0x03);
	g.gpr[GPR_RBX] = 0x2000;
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	BEGIN(INSN_PROT32, 0x2e, 0x8b, 0x03);
	g.segs[VCPU_SEG_CS].attr &= ~2u; /* execute-only */
	assert_exception(EXC_GP, 0);
	begin(INSN_PROT32, store_eax, 2);
	g.segs[VCPU_SEG_DS].attr |= (uint32_t)SEG_UNUSABLE;
	assert_exception(EXC_GP, 0);
	BEGIN(INSN_REAL16, 0x2e, 0x89, 0x07); /* real mode has limits but no types */
	g.gpr[GPR_RBX] = 0x2000;
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
}

static void test_real_mode_has_no_error_codes(void **state)
{
	(void)state;
	BEGIN(INSN_REAL16, 0x89, 0x07);
	g.gpr[GPR_RBX] = 0xffff;
	assert_exception(EXC_GP, 0);
	assert_false(g.c.exception.has_error);
	BEGIN(INSN_REAL16, 0x89, 0x07);
	g.gpr[GPR_RBX] = 0xffff;
	g.c.walk.cr0 |= CR0_PE; /* virtual-8086 */
	assert_exception(EXC_GP, 0);
	assert_true(g.c.exception.has_error);
}

static void test_page_faults(void **state)
{
	(void)state;
	begin(INSN_LONG64, store_eax, 2);
	paging();
	set_page(2, 0);
	g.gpr[GPR_RBX] = 0x2124;
	assert_exception(EXC_PF, PF_WRITE);
	assert_int_equal(g.c.exception_payload, 0x2124);
	set_page(2, 0x2000 | PTE_P);
	assert_exception(EXC_PF, PF_WRITE | PF_PRESENT);
	for (unsigned at = 0; at < 4; at++) { /* a user program on user pages */
		uint64_t entry = emul_guest_peek(&g, TABLES + at * PAGE_SIZE, 8);

		emul_guest_poke(&g, TABLES + at * PAGE_SIZE, 8, entry | PTE_U);
	}
	set_page(1, get_page(1) | PTE_U);
	g.c.cpl = 3;
	set_page(2, 0x2000 | PTE_P | PTE_W);
	assert_exception(EXC_PF, PF_WRITE | PF_PRESENT | PF_USER);
}

/* A store over two pages of which the second faults leaves no trace on the first. */
static void test_crossing_store(void **state)
{
	(void)state;
	begin(INSN_LONG64, store_rax, 3);
	paging();
	set_page(2, 0x2000 | PTE_P | PTE_W);
	set_page(3, 0);
	g.gpr[GPR_RBX] = 0x2ffd;
	assert_exception(EXC_PF, PF_WRITE);
	assert_int_equal(g.c.exception_payload, 0x3000);
	assert_int_equal(emul_guest_peek(&g, 0x2ffd, 3), 0);
	assert_int_equal(get_page(2), 0x2000 | PTE_P | PTE_W); /* neither accessed nor dirty */
	set_page(3, 0x7000 | PTE_P | PTE_W);		       /* not the neighbour in memory */
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(emul_guest_peek(&g, 0x2ffd, 3), 0x667788);
	assert_int_equal(emul_guest_peek(&g, 0x7000, 5), 0x1122334455);
	assert_int_equal(get_page(2), 0x2000 | PTE_P | PTE_W | PTE_A | PTE_D);
	assert_int_equal(get_page(3), 0x7000 | PTE_P | PTE_W | PTE_A | PTE_D);
}

/* From RAM into the device: the device gets sizes it knows, aligned. */
static void test_crossing_into_device(void **state)
{
	(void)state;
	begin(INSN_LONG64, store_rax, 3);
	paging();
	g.gpr[GPR_RBX] = 0x8fff;
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(emul_guest_peek(&g, 0x8fff, 1), 0x88);
	assert_int_equal(g.log_count, 3);
	assert_int_equal(g.log[0].size, 4);
	assert_int_equal(g.log[0].value, 0x44556677);
	assert_int_equal(g.log[1].size, 2);
	assert_int_equal(g.log[1].addr, EMUL_GUEST_DEVICE + 4);
	assert_int_equal(g.log[1].value, 0x2233);
	assert_int_equal(g.log[2].value, 0x11);
	begin(INSN_LONG64, load_rax, 3);
	paging();
	g.gpr[GPR_RBX] = 0x8ffc;
	g.device_value = 0xabcdef01;
	emul_guest_poke(&g, 0x8ffc, 4, 0x12345678);
	assert_int_equal(emul_guest_run(&g), EMUL_OK);
	assert_int_equal(g.gpr[GPR_RAX], 0xabcdef0112345678);
}

static enum emul_status run_reported(uint64_t addr, bool write)
{
	emul_begin(&g.c);
	g.c.fault_valid = true;
	g.c.fault_gpa = gpa(addr);
	g.c.fault_write = write;
	g.entry_reads = 0;
	return emulate(&g.c);
}

/* What the CPU reported saves the second walk, but only where it must be the same access. */
static void test_reported_fault(void **state)
{
	(void)state;
	begin(INSN_LONG64, store_eax, 2);
	paging();
	g.gpr[GPR_RBX] = 0x9010;
	assert_int_equal(run_reported(EMUL_GUEST_DEVICE + 0x10, true), EMUL_OK);
	assert_int_equal(g.entry_reads, 4);
	assert_int_equal(g.log_count, 1);
	g.c.rip = EMUL_GUEST_CODE; /* a report of a read is no right to write */
	assert_int_equal(run_reported(EMUL_GUEST_DEVICE + 0x10, false), EMUL_OK);
	assert_int_equal(g.entry_reads, 8);
	g.c.rip = EMUL_GUEST_CODE; /* another offset: another access */
	assert_int_equal(run_reported(EMUL_GUEST_DEVICE + 0x14, true), EMUL_OK);
	assert_int_equal(g.entry_reads, 8);
	g.c.rip = EMUL_GUEST_CODE; /* a crossing store */
	g.gpr[GPR_RBX] = 0x8ffe;
	assert_int_equal(run_reported(0x8ffe, true), EMUL_OK);
	assert_int_equal(g.entry_reads, 16);
	begin(INSN_LONG64, (const uint8_t[]){0xa5}, 1); /* two operands: MOVSD */
	paging();
	g.gpr[GPR_RSI] = 0x2010;
	g.gpr[GPR_RDI] = 0x9010;
	assert_int_equal(run_reported(EMUL_GUEST_DEVICE + 0x10, true), EMUL_OK);
	assert_int_equal(g.entry_reads, 12);
}

static void test_stop_and_conflict(void **state)
{
	(void)state;
	begin(INSN_LONG64, load_rax, 3);
	g.gpr[GPR_RBX] = 0x90000000;
	assert_int_equal(emul_guest_run(&g), EMUL_STOP);
	assert_int_equal(g.gpr[GPR_RAX], 0x1122334455667788);
	paging();
	g.gpr[GPR_RBX] = 0x2000;
	emul_guest_poke(&g, TABLES + 0x1000, 8, 0x90000000 | PTE_P);
	assert_int_equal(emul_guest_run(&g), EMUL_STOP);
	paging();
	set_page(2, 0x2000 | PTE_P);
	g.exchange_fails = true;
	assert_int_equal(emul_guest_run(&g), EMUL_RESTART);
	assert_int_equal(g.c.rip, EMUL_GUEST_CODE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_effective),
		cmocka_unit_test(test_canonical),
		cmocka_unit_test(test_segment_bases),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_segment_types),
		cmocka_unit_test(test_real_mode_has_no_error_codes),
		cmocka_unit_test(test_page_faults),
		cmocka_unit_test(test_crossing_store),
		cmocka_unit_test(test_crossing_into_device),
		cmocka_unit_test(test_reported_fault),
		cmocka_unit_test(test_stop_and_conflict),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
