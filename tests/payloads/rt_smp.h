/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Further processors of a payload. They wait halted, with interrupts on, for a job; a job begins
 * with interrupts off. Processors are numbered by APIC ID, from 0 without gaps, as `cpus=N` on the
 * command line says (default 2). The first one gives the jobs.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "tests/payloads/ap.h"

#define ICR_INIT 0x500u
#define ICR_STARTUP 0x600u
#define ICR_NMI 0x400u
#define ICR_LOWEST 0x100u
#define ICR_LOGICAL 0x800u
#define ICR_ASSERT 0x4000u
#define ICR_LEVEL 0x8000u
#define ICR_SELF 0x40000u
#define ICR_ALL 0x80000u
#define ICR_OTHERS 0xc0000u

/* Wakes a processor that waits for a job, does nothing else. */
#define RT_VECTOR_WAKE 0xf0u
#define RT_WAIT_SECONDS 60u

typedef void (*rt_job)(unsigned cpu);

unsigned rt_cpu_count(void);
/* The processor that runs this; by its stack, without an exit. */
unsigned rt_cpu(void);
/* How often processor `cpu` has come from reset to where it waits for jobs. */
unsigned rt_arrivals(unsigned cpu);

/* Sends what the ICR's low half says; `dest` as the mode takes it. */
void rt_ipi(uint32_t dest, uint32_t low);
/* Copies the start-up code and starts all others by broadcast INIT and SIPI; waits for them. */
void rt_start_others(void);
/* INIT, then SIPI twice. */
void rt_start_cpu(unsigned cpu);

void rt_give(unsigned cpu, rt_job job);
void rt_finish(unsigned cpu);
/* Gives all others the job, does it, too, and waits for them. */
void rt_on_all(rt_job job);

/* Waits until `cond` holds, bounded in guest time. */
#define RT_WAIT(cond, ...) \
	do { \
		uint64_t rt_wait_end = rdtsc() + rt_us_to_tsc(RT_WAIT_SECONDS * 1000000ull); \
\
		while (!(cond)) { \
			EXPECT((int64_t)(rt_wait_end - rdtsc()) > 0, __VA_ARGS__); \
			__asm__ volatile("pause"); \
		} \
	} while (0)
