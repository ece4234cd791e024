/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole hypervisor in a test program: the fake machine, the fake backend, the run loop, console
 * and monitor, and guests whose kernel is a few bytes. Guests cannot be taken out of hv/guest.c
 * again: a program adds at most GUESTS_MAX of them and may set the machine up anew only if it walks
 * no list of guests afterwards.
 */
#pragma once

#include "hv/guest.h"
#include "hv/vcpu.h"
#include "tests/fakes/fake_backend.h"
#include "tests/fakes/fake_cpu.h"

#define VM_RIG_HZ 2000000000ull
#define VM_RIG_MEMORY MIB(48)
#define VM_RIG_GUEST_MEMORY MIB(16)
/* Where tests put instructions: free RAM of the guest, mapped 1:1. */
#define VM_RIG_CODE 0x800000ull

struct vm_rig {
	/* struct run_ops. */
	uint64_t host_timer[FAKE_CPUS_MAX]; /* armed for; TIMER_NEVER */
	unsigned arms;
	void (*on_arm)(void);
	unsigned polls;
	void (*on_poll)(void);
	unsigned kicks[FAKE_CPUS_MAX]; /* sent to each CPU */
	unsigned notices[FAKE_CPUS_MAX];
	void (*on_kick)(unsigned cpu);
	/* struct monitor_ops. */
	unsigned power_offs, reboots, descriptions;
	/* What has been used when nothing existed: vm_rig_leaks compares with it. */
	uint64_t pool_bytes;
};

extern struct vm_rig vm_rig;

/* A machine of VM_RIG_MEMORY with everything initialised. `all`: console = all. */
void vm_rig_machine(bool all);
/* The same with several CPUs, up to FAKE_CPUS_MAX, each a core of its own. All run guests, the test
 * goes on on CPU 0. */
void vm_rig_machine_of(bool all, unsigned cpus);
/* A stopped guest with defaults; `config` may be changed before it is started. */
struct guest *vm_rig_guest(const char *name, struct guest_config *config);
/* The bzImage that guests start from. */
struct guest_file vm_rig_kernel(void);
/* Starts it and does all the steps; it is running then, and its space current. */
void vm_rig_start(struct guest *g);
/* Does all steps of work that wait. */
void vm_rig_work(void);
/* Stops all given memory back; aborts when anything is left over. */
void vm_rig_end(struct guest *g);
/* Whether memory, timers or work are left over; prints which. */
bool vm_rig_leaks(void);

/* Puts bytes at VM_RIG_CODE and RIP there. */
void vm_rig_code(struct guest *g, const uint8_t *bytes, size_t n);
/* Hands one exit to exit_handle, loaded and in the right space. */
void vm_rig_exit(struct guest *g, struct vm_exit exit);
/* One turn of the run loop, in which the vCPU that is picked spins for `ticks`. */
void vm_rig_slice(uint64_t ticks);
/* Moves the TSC, firing the timers on the way. */
void vm_rig_advance(uint64_t ticks);

/* All that went to the console since vm_rig_clear. */
const char *vm_rig_text(void);
void vm_rig_clear(void);
/* Types into the console. */
void vm_rig_type(const char *keys);
