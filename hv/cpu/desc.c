/* SPDX-License-Identifier: Apache-2.0 */
/* Building the hypervisor's own descriptors. Pure: loading them is percpu.c's and trap.c's part. */
#include "hv/cpu/desc.h"

#include "hv/base/bits.h"

/*
 * Flat ring-0 segments, accessed bit already set so that the CPU never writes to the table. In
 * 64-bit mode only type, DPL, P and L matter.
 */
#define FLAT_CODE64 0x00af9b000000ffffull
#define FLAT_DATA 0x00cf93000000ffffull

#define TSS_AVAILABLE 0x9ull
#define GATE_INTERRUPT 0xeu
#define DESC_PRESENT 0x80u

void desc_build_gdt(struct gdt *gdt, const struct tss *tss)
{
	uint64_t base = (uint64_t)(uintptr_t)tss;
	uint64_t limit = sizeof(*tss) - 1;

	gdt->slot[0] = 0;
	gdt->slot[GDT_CODE / 8] = FLAT_CODE64;
	gdt->slot[GDT_DATA / 8] = FLAT_DATA;
	gdt->slot[GDT_TSS / 8] = limit | bits_get(base, MASK(23, 0)) << 16 |
				 (TSS_AVAILABLE | DESC_PRESENT) << 40 |
				 bits_get(base, MASK(31, 24)) << 56;
	gdt->slot[GDT_TSS / 8 + 1] = base >> 32;
}

void desc_build_tss(struct tss *tss, const uint64_t ist_top[DESC_IST_COUNT])
{
	*tss = (struct tss){.iomap_base = sizeof(*tss)};
	for (unsigned i = 0; i < DESC_IST_COUNT; i++) {
		tss->ist[i] = ist_top[i];
	}
}

struct idt_gate desc_gate(uint64_t handler, enum desc_ist ist)
{
	return (struct idt_gate){
		.offset_low = (uint16_t)handler,
		.selector = GDT_CODE,
		.ist = (uint8_t)ist,
		.type = DESC_PRESENT | GATE_INTERRUPT,
		.offset_middle = (uint16_t)(handler >> 16),
		.offset_high = (uint32_t)(handler >> 32),
	};
}
