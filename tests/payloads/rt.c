/* SPDX-License-Identifier: Apache-2.0 */
/* The payloads' runtime: serial port, exceptions, command line, memory map, power. */
#include "tests/payloads/rt.h"

#include "guests/layout.h"
#include "hv/base/bits.h"
#include "hv/base/str.h"
#include "tests/payloads/cases.h"
#include "tests/payloads/hw.h"

/* What guests/loaders/linux.h puts below 1 MiB, rounded up. */
#define LOADER_BASE 0x7000ull
#define LOADER_END 0x11000ull

#define GATE_INTERRUPT 0x8eull
#define CODE64 0x00af9b000000ffffull
#define DATA64 0x00cf93000000ffffull
#define SELECTOR_CODE 0x10u
#define SELECTOR_TSS 0x20u
#define IST_FAULT 1u

#define VECTORS_RESERVED 32u

/* boot_params, "The Zero Page". */
#define BP_E820_COUNT 0x1e8u
#define BP_CMD_LINE_PTR 0x228u
#define BP_E820_TABLE 0x2d0u
#define E820_ENTRY 20u

#define WINDOW_BASE (1ull << 39)

struct gate {
	uint64_t low, high;
};

struct __attribute__((packed)) tss {
	uint32_t reserved0;
	uint64_t rsp[3];
	uint64_t reserved1;
	uint64_t ist[7];
	uint64_t reserved2;
	uint16_t reserved3, io_map;
};

extern char rt_vectors[];
extern uint64_t rt_recovery;

struct rt_fault rt_fault;

static const char *boot_params;
static const char *test_name = "?";
static struct gate idt[256];
static uint64_t gdt[6];
static struct tss tss;
static char fault_stack[8192] __attribute__((aligned(16)));
static void (*handlers[256])(struct rt_frame *);
static uint64_t window_pdpt[512] __attribute__((aligned(4096)));
static uint64_t window_pd[512] __attribute__((aligned(4096)));

/* --- serial --- */

static void put_char(char c)
{
	while ((in8(LAYOUT_COM1 + 5) & 0x20) == 0) {
	}
	out8(LAYOUT_COM1, (uint8_t)c);
}

void rt_serial_init(void)
{
	out8(LAYOUT_COM1 + 3, 0x03); /* 8N1, divisor latch closed */
	out8(LAYOUT_COM1 + 1, 0x00); /* no interrupts */
	out8(LAYOUT_COM1 + 2, 0x07); /* FIFOs on and empty */
	out8(LAYOUT_COM1 + 4, 0x03);
}

static void print_args(const char *fmt, va_list args)
{
	char text[256];
	size_t n = fmt_vsnprintf(text, sizeof(text), fmt, args);

	for (size_t i = 0; i < n && i + 1 < sizeof(text); i++) {
		put_char(text[i]);
	}
}

void rt_print(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	print_args(fmt, args);
	va_end(args);
}

void rt_power_off(void)
{
	while ((in8(LAYOUT_COM1 + 5) & 0x40) == 0) {
	}
	out16(LAYOUT_PM1_CNT, 0x2000 | LAYOUT_SLP_TYP_S5 << 10);
	for (;;) {
		__asm__ volatile("cli; hlt");
	}
}

void rt_fail(const char *fmt, ...)
{
	va_list args;

	interrupts_off();
	rt_print("\nFAIL %s: ", test_name);
	va_start(args, fmt);
	print_args(fmt, args);
	va_end(args);
	rt_print("\n");
	/* For a look at it from the monitor. */
	while (rt_option("stay", 0) != 0) {
		(void)in8(LAYOUT_COM1 + 5);
	}
	rt_power_off();
}

/* --- exceptions and interrupts --- */

void rt_set_gate(uint8_t vector, bool present)
{
	uint64_t ist = vector == RT_DF ? IST_FAULT : 0;
	uint64_t target = (uint64_t)(uintptr_t)rt_vectors + vector * 16ull;
	uint64_t type = present ? GATE_INTERRUPT : GATE_INTERRUPT & ~0x80ull;

	idt[vector].low = (target & 0xffff) | SELECTOR_CODE << 16 | ist << 32 | type << 40 |
			  (target >> 16 & 0xffff) << 48;
	idt[vector].high = target >> 32;
}

void rt_handle(uint8_t vector, void (*fn)(struct rt_frame *frame))
{
	handlers[vector] = fn;
}

/* From entry.S; returns the stack pointer to recover to, or 0 to go on where it happened. */
uint64_t rt_trap(struct rt_frame *f);
uint64_t rt_trap(struct rt_frame *f)
{
	if (handlers[f->vector & 0xff] != NULL) {
		handlers[f->vector & 0xff](f);
		return 0;
	}
	rt_fault = (struct rt_fault){f->vector, f->error, read_cr2(), *f};
	if (f->vector >= VECTORS_RESERVED || rt_recovery == 0) {
		rt_fail("unexpected %s %lu, error 0x%lx, at 0x%lx, CR2 0x%lx",
			f->vector < VECTORS_RESERVED ? "exception" : "interrupt", f->vector,
			f->error, f->rip, rt_fault.cr2);
	}
	return rt_recovery;
}

static void load_tables(void)
{
	uint64_t base = (uint64_t)(uintptr_t)&tss;

	tss.ist[IST_FAULT - 1] = (uint64_t)(uintptr_t)(fault_stack + sizeof(fault_stack));
	tss.io_map = sizeof(tss);
	gdt[2] = CODE64;
	gdt[3] = DATA64;
	gdt[4] = (sizeof(tss) - 1) | (base & 0xffffff) << 16 | 0x89ull << 40 | (base >> 24) << 56;
	gdt[5] = base >> 32;
	load_gdt((uint64_t)(uintptr_t)gdt, sizeof(gdt) - 1);
	__asm__ volatile("ltr %w0" : : "r"(SELECTOR_TSS));
	for (unsigned v = 0; v < ARRAY_SIZE(idt); v++) {
		rt_set_gate((uint8_t)v, true);
	}
	load_idt((uint64_t)(uintptr_t)idt, sizeof(idt) - 1);
}

void rt_load_tables_again(void)
{
	load_gdt((uint64_t)(uintptr_t)gdt, sizeof(gdt) - 1);
	load_idt((uint64_t)(uintptr_t)idt, sizeof(idt) - 1);
}

/* --- what the loader said --- */

static struct span command_line(void)
{
	uint32_t address;

	memcpy(&address, boot_params + BP_CMD_LINE_PTR, sizeof(address));
	return span_of((const char *)(uintptr_t)address);
}

/* What follows `key=`; empty when there is no such word. */
static struct span option_text(const char *key)
{
	struct span rest = command_line();
	struct span word;
	size_t n = str_len(key);

	while (span_next_word(&rest, &word)) {
		if (span_starts(word, key) && word.n > n && word.p[n] == '=') {
			return (struct span){word.p + n + 1, word.n - n - 1};
		}
	}
	return (struct span){NULL, 0};
}

uint64_t rt_option(const char *key, uint64_t fallback)
{
	struct span text = option_text(key);
	uint64_t value;

	return text.n > 0 && span_to_u64(text, &value) == HV_OK ? value : fallback;
}

static uint64_t ram_end_below(uint64_t limit)
{
	unsigned count = (uint8_t)boot_params[BP_E820_COUNT];
	uint64_t end = 0;

	for (unsigned i = 0; i < count; i++) {
		const char *entry = boot_params + BP_E820_TABLE + i * E820_ENTRY;
		uint64_t range[2];
		uint32_t type;

		memcpy(range, entry, sizeof(range));
		memcpy(&type, entry + sizeof(range), sizeof(type));
		if (type == 1 && range[0] < limit) {
			end = max_u64(end, range[0] + range[1]);
		}
	}
	return end;
}

uint64_t rt_low_ram_end(void)
{
	return ram_end_below(LAYOUT_4G);
}

uint64_t rt_ram_end(void)
{
	return ram_end_below(~0ull);
}

/* --- memory --- */

bool rt_in_use(uint64_t gpa, uint64_t size)
{
	uint64_t image = (uint64_t)(uintptr_t)payload_start;

	return ranges_overlap(gpa, size, LOADER_BASE, LOADER_END - LOADER_BASE) ||
	       ranges_overlap(gpa, size, LAYOUT_VIDEO_BASE, LAYOUT_VIDEO_SIZE) ||
	       ranges_overlap(gpa, size, LAYOUT_ACPI_BASE, LAYOUT_ACPI_SIZE) ||
	       ranges_overlap(gpa, size, image, (uint64_t)(uintptr_t)payload_end - image);
}

uint64_t rt_free_ram(void)
{
	return align_up((uint64_t)(uintptr_t)payload_end, 0x10000);
}

/* Marsaglia's xorshift64*. */
uint64_t rt_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dull;
}

uint64_t rt_window(uint64_t gpa)
{
	uint64_t *pml4 = (uint64_t *)(uintptr_t)(read_cr3() & ~0xfffull);

	for (unsigned i = 0; i < 512; i++) {
		window_pd[i] = (gpa + ((uint64_t)i << 21)) | 0x83;
	}
	window_pdpt[0] = (uint64_t)(uintptr_t)window_pd | 3;
	pml4[WINDOW_BASE >> 39] = (uint64_t)(uintptr_t)window_pdpt | 3;
	write_cr3(read_cr3());
	return WINDOW_BASE;
}

void rt_window_map(unsigned index, uint64_t gpa)
{
	((volatile uint64_t *)window_pd)[index] = gpa | 0x83;
}

void rt_window_unmap(unsigned index)
{
	window_pd[index] = 0;
	write_cr3(read_cr3());
}

/* --- start --- */

_Noreturn void rt_main(const char *params);
_Noreturn void rt_main(const char *params)
{
	struct span name;

	boot_params = params;
	rt_serial_init();
	name = option_text("test");
	for (const struct rt_case *c = rt_cases; c->name != NULL; c++) {
		if (span_eq(name, c->name)) {
			test_name = c->name;
			rt_print("RUN %s\n", c->name);
			load_tables();
			c->run();
			interrupts_off();
			rt_print("PASS %s\n", c->name);
			rt_power_off();
		}
	}
	rt_fail("no test named '%.*s'", (int)name.n, name.n > 0 ? name.p : "");
}
