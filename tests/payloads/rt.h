/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The runtime of the payloads: tiny guests without an operating system, for what none would ever
 * do. One image holds all cases; `test=NAME` on the kernel's command line chooses one, further
 * `key=number` words are its options; `stay=1` keeps a failed guest running. A case that returns
 * has passed. The last line on the serial port is `PASS name` or `FAIL name: why`, then the guest
 * switches itself off.
 *
 * A case runs in 64-bit mode at ring 0, the first 4 GiB mapped 1:1, interrupts off, every exception
 * leading to rt_try or to FAIL.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/base/fmt.h"

/* What entry.S makes of the stack. */
struct rt_frame {
	uint64_t rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15;
	uint64_t vector, error;
	uint64_t rip, cs, rflags, rsp, ss;
};

struct rt_fault {
	uint64_t vector, error, cr2;
	struct rt_frame frame;
};

#define RT_DF 8u
#define RT_NP 11u
#define RT_GP 13u
#define RT_PF 14u
#define RT_UD 6u

/* The registers at the first instruction: RAX RCX RDX RBX RSP RBP RSI RDI R8 .. R15. */
extern uint64_t rt_entry_gpr[16];
/* The exception that ended the last rt_try that returned true. */
extern struct rt_fault rt_fault;
/* Where the image begins and ends in memory, .bss and stack included. */
extern char payload_start[], payload_end[];

bool rt_try(void (*fn)(void *), void *arg);

/* Calls `fn` for an interrupt or exception; an exception's case is then no longer rt_try's. */
void rt_handle(uint8_t vector, void (*fn)(struct rt_frame *frame));
/* The runtime's GDT and IDT, on a further processor; it has no TSS. */
void rt_load_tables_again(void);
/* Marks a gate of the IDT as present or not. */
void rt_set_gate(uint8_t vector, bool present);

void rt_print(const char *fmt, ...) FMT_PRINTF(1, 2);
/* Prints FAIL and switches the guest off. */
_Noreturn void rt_fail(const char *fmt, ...) FMT_PRINTF(1, 2);
_Noreturn void rt_power_off(void);
/* The serial port's registers as the runtime needs them. */
void rt_serial_init(void);

/* The number after `key=` on the command line. */
uint64_t rt_option(const char *key, uint64_t fallback);

/* End of RAM below 4 GiB, and of all RAM, by the E820 map in boot_params. */
uint64_t rt_low_ram_end(void);
uint64_t rt_ram_end(void);

/* Whether [gpa, gpa + size) touches what the loader, the tables or this image take. */
bool rt_in_use(uint64_t gpa, uint64_t size);

/* RAM below 4 GiB behind this image, which nobody uses: 2 MiB at least in a guest of 16 MiB. */
uint64_t rt_free_ram(void);
/* The next of a sequence that is the same for the same start; *state is never 0. */
uint64_t rt_random(uint64_t *state);

/* Maps the 1 GiB at `gpa` (a multiple of 1 GiB) and returns where. One window at a time. */
uint64_t rt_window(uint64_t gpa);
/* Takes the 2 MiB page at `index` out of the window. */
void rt_window_unmap(unsigned index);
/* Shows the 2 MiB at `gpa` there; flushing is the caller's. */
void rt_window_map(unsigned index, uint64_t gpa);

#define EXPECT(cond, ...) \
	do { \
		if (!(cond)) { \
			rt_fail(__VA_ARGS__); \
		} \
	} while (0)

/* --- time (rt_time.c) --- */

#define PM_TIMER_HZ 3579545u

/* 24 bits; differences by pm_elapsed. */
uint32_t pm_timer(void);
static inline uint32_t pm_elapsed(uint32_t from, uint32_t to)
{
	return (to - from) & 0xffffffu;
}
/* As CPUID leaf 0x40000010 announces it. */
uint64_t rt_tsc_hz(void);
/* Spins, without an exit. */
void rt_delay_us(uint64_t us);
static inline uint64_t rt_us_to_tsc(uint64_t us)
{
	return rt_tsc_hz() / 1000 * us / 1000;
}

static inline uint64_t rt_tsc_to_us(uint64_t ticks)
{
	return ticks * 1000 / (rt_tsc_hz() / 1000);
}

/* --- the local APIC (rt_apic.c) --- */

#define APIC_BASE 0xfee00000ull
#define APIC_ID 0x20u
#define APIC_TPR 0x80u
#define APIC_PPR 0xa0u
#define APIC_EOI 0xb0u
#define APIC_SVR 0xf0u
#define APIC_ISR 0x100u
#define APIC_IRR 0x200u
#define APIC_ESR 0x280u
#define APIC_ICR_LOW 0x300u
#define APIC_ICR_HIGH 0x310u
#define APIC_LVT_TIMER 0x320u
#define APIC_LVT_LINT0 0x350u
#define APIC_LVT_LINT1 0x360u
#define APIC_TIMER_INITIAL 0x380u
#define APIC_TIMER_CURRENT 0x390u
#define APIC_TIMER_DIVIDE 0x3e0u

#define APIC_MASKED 0x10000u
#define APIC_PERIODIC 0x20000u
#define APIC_DEADLINE 0x40000u
#define APIC_ICR_SELF 0x40000u

/* Works in xAPIC and x2APIC mode. */
uint32_t apic_read(uint32_t reg);
void apic_write(uint32_t reg, uint32_t value);
void apic_enable(void);
void apic_eoi(void);
/* Input clock of the timer. */
uint64_t apic_timer_hz(void);
/* Divides by one; `mode` is 0 or APIC_PERIODIC. */
void apic_timer_start(uint8_t vector, uint32_t mode, uint64_t us);
void apic_timer_stop(void);
