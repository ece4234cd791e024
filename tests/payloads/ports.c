/* SPDX-License-Identifier: Apache-2.0 */
/* Every port, read and written, and the string instructions on ports. */
#include "guests/layout.h"
#include "hv/base/bits.h"
#include "hv/base/str.h"
#include "tests/payloads/cases.h"
#include "tests/payloads/hw.h"
#include "tests/payloads/rt.h"

#define PORTS 0x10000u
#define PORT_DELAY 0x80u
#define PORT_NOBODY 0x1234u
#define PORT_A 0x92u
#define VECTOR_TIMER 0x40u
#define CHUNK 0x10000u

void case_ports_read(void)
{
	for (uint32_t port = 0; port < PORTS; port++) {
		(void)in8((uint16_t)port);
		(void)in16((uint16_t)port);
		(void)in32((uint16_t)port);
	}
	EXPECT(in8(PORT_NOBODY) == 0xff && in16(PORT_NOBODY) == 0xffff &&
		       in32(PORT_NOBODY) == 0xffffffff,
	       "a port without a device does not read all-ones");
}

/* Ports with a meaning by design, which have cases of their own: power, reset. */
static bool ends_the_guest(uint32_t port, unsigned size)
{
	static const uint16_t ports[] = {LAYOUT_I8042_STATUS, PORT_A, LAYOUT_PM1_CNT,
					 LAYOUT_PM1_CNT + 1, LAYOUT_RESET_PORT};

	if (port == LAYOUT_PCI_CONFIG_ADDRESS && size == 4) {
		return false;
	}
	for (size_t i = 0; i < ARRAY_SIZE(ports); i++) {
		if (port <= ports[i] && ports[i] < port + size) {
			return true;
		}
	}
	return false;
}

static void write_all(uint32_t value)
{
	for (uint32_t port = 0; port < PORTS; port++) {
		if (!ends_the_guest(port, 1)) {
			out8((uint16_t)port, (uint8_t)value);
		}
		if (!ends_the_guest(port, 2)) {
			out16((uint16_t)port, (uint16_t)value);
		}
		if (!ends_the_guest(port, 4)) {
			out32((uint16_t)port, value);
		}
	}
	rt_serial_init();
	rt_print("\nwrote 0x%x everywhere\n", value);
}

void case_ports_write(void)
{
	write_all(0);
	write_all(0xffffffff);
	write_all(0xa55aa55a);
}

/* What stands beside power-off, suspend and reset in the same registers must do none of them. */
void case_port_sleep_types(void)
{
	for (unsigned type = 0; type < 8; type++) {
		/* Type 0 switches off as well: power-off with type=0. */
		if (type != LAYOUT_SLP_TYP_S3 && type != LAYOUT_SLP_TYP_S5 &&
		    type != LAYOUT_SLP_TYP_S0) {
			out16(LAYOUT_PM1_CNT, (uint16_t)(0x2000 | type << 10));
			out8(LAYOUT_PM1_CNT + 1, (uint8_t)(0x20 | type << 2));
		}
	}
	for (unsigned v = 0; v < 0x100; v++) {
		if ((v & 4) == 0) {
			out8(LAYOUT_RESET_PORT, (uint8_t)v);
		}
		if ((v & 1) == 0) {
			out8(PORT_A, (uint8_t)v);
		}
		/* Not 0xd1, which takes the reset line with its data, nor 0xf0.., which pulse it.
		 */
		if (v < 0xf0 && v != 0xd1) {
			out8(LAYOUT_I8042_STATUS, (uint8_t)v);
			(void)in8(LAYOUT_I8042_DATA);
		}
	}
}

/* --- string instructions --- */

static uint8_t buffer[CHUNK + 64] __attribute__((aligned(4096)));

/* Registers before and after. */
struct string_op {
	uint16_t port;
	uint64_t address;
	uint64_t count;
};

#define STRING_OP(name, insn, reg) \
	static void name(void *arg) \
	{ \
		struct string_op *op = arg; \
\
		__asm__ volatile(insn \
				 : "+" reg(op->address), "+c"(op->count) \
				 : "d"(op->port) \
				 : "memory", "cc"); \
	}

STRING_OP(rep_outsb, "rep outsb", "S")
STRING_OP(rep_outsw_down, "std; rep outsw; cld", "S")
STRING_OP(rep_insb, "rep insb", "D")
STRING_OP(rep_insl, "rep insl", "D")

static uint64_t address_of(const void *p)
{
	return (uint64_t)(uintptr_t)p;
}

static void expect_done(const char *what, const struct string_op *op, uint64_t end)
{
	EXPECT(op->count == 0 && op->address == end, "%s: count 0x%lx left at 0x%lx", what,
	       op->count, op->address);
}

static void string_io_plain(void)
{
	struct string_op op = {PORT_DELAY, address_of(buffer), CHUNK};

	rep_outsb(&op);
	expect_done("OUTSB", &op, address_of(buffer) + CHUNK);
	op = (struct string_op){PORT_DELAY, address_of(buffer) + CHUNK - 2, CHUNK / 2};
	rep_outsw_down(&op);
	expect_done("OUTSW downwards", &op, address_of(buffer) - 2);
	memset(buffer, 0, sizeof(buffer));
	op = (struct string_op){PORT_NOBODY, address_of(buffer), CHUNK};
	rep_insb(&op);
	expect_done("INSB", &op, address_of(buffer) + CHUNK);
	for (unsigned i = 0; i < sizeof(buffer); i++) {
		EXPECT(buffer[i] == (i < CHUNK ? 0xff : 0), "INSB: byte %u is 0x%x", i, buffer[i]);
	}
	memset(buffer, 0, sizeof(buffer));
	op = (struct string_op){PORT_NOBODY, address_of(buffer) + 0xffd, 4};
	rep_insl(&op);
	expect_done("INSL across pages", &op, address_of(buffer) + 0x100d);
	for (unsigned i = 0; i < 0x2000; i++) {
		bool inside = i >= 0xffd && i < 0x100d;

		EXPECT(buffer[i] == (inside ? 0xff : 0), "INSL: byte %u is 0x%x", i, buffer[i]);
	}
}

/* Runs into a page that is not there after 4 KiB. */
static void string_io_fault(void)
{
	uint64_t edge = rt_window(0) + 0x200000;
	struct string_op op = {PORT_DELAY, edge - 0x1000, CHUNK};

	rt_window_unmap(1);
	EXPECT(rt_try(rep_outsb, &op), "OUTSB from an unmapped page did not fault");
	EXPECT(rt_fault.vector == RT_PF && rt_fault.cr2 == edge, "OUTSB: exception %lu, CR2 0x%lx",
	       rt_fault.vector, rt_fault.cr2);
	EXPECT(rt_fault.frame.rsi == edge && rt_fault.frame.rcx == CHUNK - 0x1000,
	       "OUTSB faulted with RSI 0x%lx, RCX 0x%lx", rt_fault.frame.rsi, rt_fault.frame.rcx);
	op = (struct string_op){PORT_NOBODY, edge, 1};
	EXPECT(rt_try(rep_insb, &op), "INSB to an unmapped page did not fault");
	EXPECT(rt_fault.vector == RT_PF && rt_fault.error == 2, "INSB: exception %lu, error 0x%lx",
	       rt_fault.vector, rt_fault.error);
}

static volatile bool cut;

/* Ends the instruction it interrupted. */
static void cut_short(struct rt_frame *f)
{
	f->rcx = 1;
	cut = true;
	apic_eoi();
}

/* Without end by any measure; the guest's own timer must get through. */
static void string_io_huge(void)
{
	struct string_op op = {PORT_DELAY, address_of(payload_start), 1ull << 60};

	rt_handle(VECTOR_TIMER, cut_short);
	apic_enable();
	apic_timer_start(VECTOR_TIMER, 0, 100000);
	interrupts_on();
	rep_outsb(&op);
	interrupts_off();
	EXPECT(cut && op.count == 0, "the timer did not interrupt OUTSB");
}

void case_string_io(void)
{
	struct string_op op = {PORT_DELAY, 0xd0000000ull, 64};

	string_io_plain();
	string_io_fault();
	rep_outsb(&op);
	expect_done("OUTSB from nowhere", &op, 0xd0000040ull);
	op = (struct string_op){PORT_NOBODY, 0xd0000ffcull, 64};
	rep_insb(&op);
	expect_done("INSB to nowhere", &op, 0xd000103cull);
	op = (struct string_op){PORT_NOBODY, 0, 0};
	rep_insb(&op);
	expect_done("INSB of nothing", &op, 0);
	string_io_huge();
}
