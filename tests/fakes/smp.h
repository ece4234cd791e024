/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several CPUs at once, above the VM rig: each CPU but the first is a host thread that executes
 * rounds of the run loop. One executes at a time, so tests are as repeatable as with one CPU: the
 * test is CPU 0 and lets another get on (smp_go) until that stands at a place where others may do
 * something in between:
 *
 *	OUT	between two rounds
 *	GUEST	in a guest; the test says how the run ends, or an interrupt ends it
 *	IDLE	asleep until an interrupt
 *	WAIT	waiting for another CPU (cpu_relax)
 *
 * Interrupts are what the run loop sends (struct run_ops) and the CPU's timer. While CPU 0 itself
 * waits for another, all others get on that can.
 */
#pragma once

#include "tests/fakes/vm_rig.h"

enum smp_place { SMP_OUT, SMP_GUEST, SMP_IDLE, SMP_WAIT };

/* Starts the threads of vm_rig_machine_of's CPUs 1 .. cpus - 1; fills the rig's and fakes' hooks.
 */
void smp_begin(unsigned cpus);
/* Brings all to OUT, interrupting them where need be. */
void smp_rest(void);
/* smp_rest, and the threads end. */
void smp_end(void);

/* Lets CPU `cpu` get on to the next place. In a guest or asleep it gets on if it is interrupted. */
enum smp_place smp_go(unsigned cpu);
/* The same until it stands at `place`; aborts when it never gets there. */
void smp_until(unsigned cpu, enum smp_place place);
/* Lets all get on until each is in a guest or asleep. */
void smp_settle(void);
/* Ends the run of the guest that the CPU stands in, and goes on to the next place. */
enum smp_place smp_exit(unsigned cpu, struct vm_exit exit);
/* On CPU `cpu`, which must stand at OUT: `fn` once, in place of rounds. */
enum smp_place smp_call(unsigned cpu, void (*fn)(void));

enum smp_place smp_place(unsigned cpu);
/* Whose guest the CPU stands in; NULL elsewhere. */
struct vcpu *smp_guest(unsigned cpu);
/* Whether an interrupt waits for the CPU. */
bool smp_interrupted(unsigned cpu);
/* Interrupts it. */
void smp_interrupt(unsigned cpu);
