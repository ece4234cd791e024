/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Segment and interrupt descriptors of the hypervisor itself: a flat GDT and a TSS per CPU, one
 * IDT for all. Sources: Intel SDM volume 3 "Segment Descriptors", "64-Bit Task State Segment",
 * "64-Bit Mode IDT".
 */
#pragma once

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define GDT_CODE 0x08u
#define GDT_DATA 0x10u
#define GDT_TSS 0x18u /* two slots: a 64-bit TSS descriptor has 16 bytes */
#define GDT_SLOTS 5u

struct gdt {
	uint64_t slot[GDT_SLOTS];
};

/* Stacks that the CPU switches to by itself, so that these vectors work on a broken stack. */
enum desc_ist {
	DESC_IST_NONE = 0,
	DESC_IST_DOUBLE_FAULT = 1,
	DESC_IST_NMI = 2,
	DESC_IST_MACHINE_CHECK = 3,
};
#define DESC_IST_COUNT 3u

struct __attribute__((packed)) tss {
	uint32_t reserved0;
	uint64_t rsp[3];
	uint64_t reserved1;
	uint64_t ist[7]; /* ist[0] is IST1 */
	uint64_t reserved2;
	uint16_t reserved3;
	uint16_t iomap_base; /* at or behind the limit: no I/O permission map */
};
static_assert(sizeof(struct tss) == 104, "hardware size");
static_assert(offsetof(struct tss, ist) == 36, "hardware offset");
static_assert(offsetof(struct tss, iomap_base) == 102, "hardware offset");

struct idt_gate {
	uint16_t offset_low;
	uint16_t selector;
	uint8_t ist;
	uint8_t type; /* present, DPL, gate type */
	uint16_t offset_middle;
	uint32_t offset_high;
	uint32_t reserved;
};
static_assert(sizeof(struct idt_gate) == 16, "hardware size");
static_assert(offsetof(struct idt_gate, offset_high) == 8, "hardware offset");

#define IDT_GATES 256u

/* Fills in the flat segments and the descriptor of `tss`, which is marked not busy. */
void desc_build_gdt(struct gdt *gdt, const struct tss *tss);
/* `ist_top[i]` is the top of the stack for IST i + 1, 16-byte aligned. */
void desc_build_tss(struct tss *tss, const uint64_t ist_top[DESC_IST_COUNT]);
/* An interrupt gate (IF is cleared on entry) to `handler` in the code segment, ring 0. */
struct idt_gate desc_gate(uint64_t handler, enum desc_ist ist);
