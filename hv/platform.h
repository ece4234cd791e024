/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The real machine as hv/main.c brings it up: consoles, ACPI facts, the clock, interrupt
 * controllers, the other processors, switching off. Everything optional is probed, and the log
 * says what was chosen.
 */
#pragma once

#include <stdbool.h>

#include "boot/handoff.h"
#include "hv/api/blk.h"
#include "hv/base/status.h"
#include "hv/cpu/percpu.h"

/* The serial port, so that the log is heard from the first line on. */
void platform_early_console(const struct handoff *handoff);
/* Framebuffer console, after mm_init. */
void platform_screen(const struct handoff *handoff);
/* The machine's screen for whoever draws on it. */
struct platform_canvas {
	uint32_t *pixels;
	uint32_t width; /* pixels */
	uint32_t height;
	uint32_t stride; /* pixels per scan line */
	bool red_first;	 /* red in the lowest byte of a pixel, else blue */
};
/* Takes the screen, blank, from the text console. False: there is none. */
bool platform_screen_take(struct platform_canvas *out);
/* All black; only while it is taken. */
void platform_screen_blank(void);
/* Blank again, then with the text console's text. */
void platform_screen_give_back(void);
/* ACPI tables, power control, TSC frequency, time of day. */
enum hv_status platform_facts(const struct handoff *handoff) HV_MUST_CHECK;
/* Interrupt controllers and the host timer of the boot CPU. */
enum hv_status platform_interrupts(void) HV_MUST_CHECK;
/* As cpus_find, with what ACPI says. */
void platform_find_cpus(const struct handoff *handoff, void (*enter)(struct cpu_local *cpu));
/* Interrupts CPU `cpu`, so that it looks at what it is asked for. */
void platform_kick(unsigned cpu);
/* The same with PLATFORM_POST_VECTOR: a vCPU that it runs takes what was posted. */
#define PLATFORM_POST_VECTOR 0xedu
void platform_notice(unsigned cpu);
/* Keyboard and serial input: by interrupt where it can be routed, else by a timer. */
void platform_input(void);
/*
 * PCI functions and the drivers of what is found. `found` is called for each disk, ready for
 * requests; network cards stay off. When all CPUs that come are up: they take interrupts, too.
 */
void platform_devices(void (*found)(struct blk_device *d));

/* Sets the host timer (struct run_ops). */
void platform_arm_timer(uint64_t deadline);
/* Reads input and moves output (struct run_ops). */
void platform_poll(void);
/* Text to every output device. */
void platform_write(const char *data, size_t n);
/* The same when nothing may be relied on any more. */
void platform_emergency_write(const char *data, size_t n);
/* Prints what a report from a user needs. */
void platform_describe(void);
_Noreturn void platform_power_off(void);
_Noreturn void platform_reboot(void);
