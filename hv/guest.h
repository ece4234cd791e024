/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest: its configuration, its VM while it has one, and its life from start to stop. Starting
 * and stopping a big guest takes many bounded steps (hv/work.h), so that the others run on.
 *
 *	STOPPED --start--> STARTING --loaded--> RUNNING <--pause/resume--> PAUSED
 *	   ^                   |                   |                          |
 *	   +---- memory given back, zeroed ---- STOPPING <--------------------+
 *
 * A guest's life is the business of who holds the baton (hv/run.h): everything here is called with
 * it but what says otherwise. While a vCPU of it is not held, other CPUs may read what is const
 * then: configuration, board, CPUID table.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "guests/board.h"
#include "guests/loaders/kernel.h"
#include "hv/api/vm.h"
#include "hv/config.h"
#include "hv/console.h"
#include "hv/cpuid_policy.h"
#include "hv/event.h"
#include "hv/guest_disks.h"
#include "hv/guest_keys.h"
#include "hv/guest_reload.h"
#include "hv/msr_policy.h"
#include "hv/run.h"
#include "hv/work.h"

#define GUESTS_MAX 64u
#define GUEST_REASON_MAX 200u

enum guest_state {
	GUEST_STOPPED,
	GUEST_STARTING,
	GUEST_RUNNING,
	GUEST_PAUSED,
	GUEST_STOPPING,
	GUEST_STATE_COUNT
};

/* Why a guest stops; decides with `restart` what comes after. */
enum guest_end {
	GUEST_END_POWER_OFF, /* by itself */
	GUEST_END_RESET,     /* by itself: starts again at once */
	GUEST_END_REQUEST,   /* by a person */
	GUEST_END_CRASH,     /* it cannot go on */
};

/* What a start has come to. */
enum guest_phase {
	GUEST_PHASE_CREATE,
	GUEST_PHASE_POPULATE,
	GUEST_PHASE_PLAN,
	GUEST_PHASE_LOAD,
	GUEST_PHASE_FIRMWARE, /* in place of the two above */
};

/* What it gets of the CPUs; as in its configuration, where each key is explained. */
struct guest_share {
	unsigned weight;
	unsigned cap; /* 0: none */
	struct sched_cpumask pin;
};

struct firmware;
struct guest_nic;
struct guest_varstore;
struct virtio_balloon;
struct virtio_console;
struct vga;

/* The job that frees what it has given back; owned by hv/guest_memory.c. */
struct guest_memory {
	struct work work;
	_Atomic bool wanted; /* the job is to be begun */
	bool flushing;	     /* it waits for CPUs to flush */
	uint64_t ticket;     /* of run_flush_begin, while flushing */
};

/* What a whole run took, from the first instruction to the end. */
struct guest_past {
	uint64_t ticks; /* host; 0: it has not run yet */
	uint64_t exits[VM_EXIT_KIND_COUNT];
};

struct guest {
	struct vm vm;
	const struct guest_config *config;
	bool share_changed; /* `share` holds instead of the configuration */
	struct guest_share share;
	struct guest_file kernel;
	struct guest_file initrd;
	struct guest_file modules[CONFIG_MODULES_MAX]; /* config->module_count of them */
	struct guest_file bios, uefi_code, uefi_vars, vgabios, linuxboot;
	enum config_firmware firmware_kind;		 /* from guest_firmware_choose on */
	struct guest_file nic_roms[CONFIG_NETS_MAX];	 /* likewise, of NICs that have one */
	struct guest_file disk_images[CONFIG_DISKS_MAX]; /* of those disks that are images */
	/* config->disk_count of them, from guest_disks_open on. */
	struct guest_disk *disks[CONFIG_DISKS_MAX];
	struct guest_varstore
		*varstore; /* of UEFI firmware, from guest_varstore_open on; or NULL */
	bool refused;	   /* it may not start: `reason` says what is missing, or taken */
	enum guest_state state;
	enum guest_end end;
	char reason[GUEST_REASON_MAX]; /* of the last stop */
	/* What it asked for itself and has not got yet. */
	struct spinlock ending; /* covers the three below */
	bool wants_end;
	enum guest_end wanted_end;
	char wanted_reason[GUEST_REASON_MAX];
	bool start_again;  /* when STOPPING is over */
	bool start_failed; /* it never ran */
	bool has_space;	   /* vm.gspace exists */
	bool has_backend_vm;
	unsigned quick_ends; /* in a row */
	uint64_t overhead;   /* bytes of hypervisor memory beyond the RAM */
	struct board *board;
	struct firmware *firmware;	/* if guest_has_firmware, while it has a board; else NULL */
	struct virtio_balloon *balloon; /* if config->balloon, while it has a board; else NULL */
	struct guest_memory memory;
	struct guest_reload reload;
	struct virtio_console *virtio_console; /* if config->virtio_console, while it has a VM */
	struct vga *vga;		       /* if config->vga, while it has a board; else NULL */
	struct guest_nic *nics[CONFIG_NETS_MAX]; /* config->net_count of them while it has a VM */
	struct event_source events;
	struct cpuid_table cpuid;
	struct mtrr_store mtrr;
	struct sched_group group;
	struct run_task tasks[VM_VCPUS_MAX];
	struct guest_console console;
	struct guest_keys keys;
	struct work work;
	/* Progress of STARTING. */
	enum guest_phase phase;
	uint64_t populated;
	unsigned range;
	struct ram_layout ram;
	struct kernel_plan plan;
	struct load_progress progress;
	unsigned firmware_loaded;	 /* parts */
	_Atomic uint64_t wall_clock_msr; /* as any vCPU wrote it last */
	uint64_t wall_base;		 /* seconds since 1970 when guest time was 0 */
	struct saved_device wall_saved;	 /* of these two */
	uint64_t started_ticks;		 /* host */
	uint64_t start_count;
	struct guest_past past;	    /* of its last run, once that is over */
	struct missed unknown_msrs; /* accesses that raised #GP */
};

static inline struct guest *guest_of(struct vm *vm)
{
	return container_of(vm, struct guest, vm);
}

/* No guest yet: before the first guest_add. */
void guest_init(void);
/* The guests of this machine, in the order of the configuration. */
unsigned guest_count(void);
struct guest *guest_at(unsigned index);
/* NULL when no guest has that name. */
struct guest *guest_find(struct span name);

/* Adds a stopped guest; `config` and the files outlive it. NULL: too many, or no memory. */
struct guest *guest_add(const struct guest_config *config, struct guest_file kernel,
			struct guest_file initrd);

/* Begins the start; for a guest that is stopping, when its memory is back. HV_E_BUSY when it is
 * starting or running, HV_E_NOT_FOUND when it is refused. */
enum hv_status guest_start(struct guest *g) HV_MUST_CHECK;
/*
 * Ends a guest that has a VM; no effect otherwise, but that a request keeps one that is stopping
 * from starting again. Prints the event line with `reason`. Its vCPUs are held when this returns;
 * the VM goes away later, in steps.
 */
void guest_stop(struct guest *g, enum guest_end end, const char *reason);
/*
 * The guest ends by itself: as guest_stop, soon. Its vCPUs do not enter again. Without the baton,
 * from exit handlers and device callbacks; of several reasons the first counts. Whether this one
 * is.
 */
bool guest_end(struct guest *g, enum guest_end end, const char *reason);
/* Stops those for which guest_end was called, and frees what others have given back. */
void guest_end_wanted(void);
/* HV_E_BUSY when not running, or not paused (while its devices are reloaded it is neither). */
enum hv_status guest_pause(struct guest *g) HV_MUST_CHECK;
enum hv_status guest_resume(struct guest *g) HV_MUST_CHECK;
/* What they do, without a word: it is running, or paused and has not asked to end. */
void guest_freeze(struct guest *g);
void guest_thaw(struct guest *g);
/* Starts it again from the beginning, whatever state it is in, unless it is refused. */
void guest_reset(struct guest *g, const char *reason);

/* What it gets of the CPUs, running or not. */
struct guest_share guest_share(const struct guest *g);
/* Changes that, at once and for all starts to come. Within the limits of the configuration. */
void guest_set_share(struct guest *g, const struct guest_share *share);

const char *guest_state_name(enum guest_state state);
/* Where the VM's interrupts come from. */
const struct event_source *guest_event_source(struct vm *vm);
/* Sets VCPU_REQ_* bits of a vCPU and has it look, wherever it is. From anywhere. */
void guest_request(struct guest *g, unsigned vcpu, uint32_t requests);
/* The same for its interrupt state, which changed. From anywhere. */
void guest_kick(struct guest *g, unsigned vcpu);
/*
 * Has the vCPUs of a mask forget all translations. When it returns, none of them runs with an old
 * one: all are asked (VCPU_REQ_TLB_FLUSH comes before any entry), those that are in the guest at
 * the moment are interrupted, and it waits for these to come out: as long as an interrupt takes,
 * since nothing that they wait for in turn is the caller's to do. A vCPU that sleeps or waits for a
 * CPU is not woken for it. In an exit, or while none runs; locks of device models may be held.
 */
void guest_flush(struct guest *g, uint64_t vcpus);
/* All vCPUs that it has, as a mask. */
uint64_t guest_vcpus(const struct guest *g);
/* An NMI to a vCPU. Two that come before it has taken the first are two. From anywhere. */
void guest_nmi(struct guest *g, unsigned vcpu);
/* Carries out the requests of VCPU_REQ_SIGNALS; on the CPU that runs the vCPU. */
void guest_vcpu_signals(struct vcpu *vcpu, uint32_t requests);
/* Offers keys that found no room to the guests again. */
void guest_offer_keys(void);
/* Called when the last guest has stopped; NULL: nothing. */
void guest_set_idle_action(void (*fn)(void));
/* Takes the idle action if no guest has a VM; for a machine that starts none. */
void guest_check_idle(void);
/* Bytes of hypervisor memory the VM takes beyond its RAM. */
uint64_t guest_overhead_bytes(const struct guest *g);
/* Guest TSC of a vCPU now. */
uint64_t guest_tsc(const struct guest *g, const struct vcpu *vcpu);
/* Makes the guest TSC of a vCPU follow vcpu->tsc_adjust, and the CPU that it is loaded on. */
void guest_apply_tsc(struct guest *g, struct vcpu *vcpu);
