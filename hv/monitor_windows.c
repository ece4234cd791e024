/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `info windows NAME`: whether a guest is configured as Windows needs it. What it needs is second
 * hand, from what others ran into (docs/windows.md); nobody has run Windows here.
 */
#include "guests/devices/lapic.h"
#include "hv/api/clock.h"
#include "hv/base/fmt.h"
#include "hv/cpuid_policy.h"
#include "hv/fpu.h"
#include "hv/guest.h"
#include "hv/guest_firmware.h"
#include "hv/monitor.h"

#define MEMORY_MIN GIB(2) /* of 64-bit Windows 10 and Server 2016 */
#define MEMORY_11 GIB(4)
#define CPUS_11 2u
#define DISK_MIN GIB(32)
#define DISK_11 GIB(64)

enum level { OK, NOTE, MISSING };

struct report {
	const struct guest *guest;
	unsigned missing;
};

static void say(struct report *r, enum level level, const char *what, const char *text)
{
	static const char *const words[] = {[OK] = "ok", [NOTE] = "note", [MISSING] = "missing"};

	monitor_print("  %-8s %-10s %s\n", words[level], what, text);
	r->missing += level == MISSING;
}

/* ---- where it boots from ---- */

static void check_firmware(struct report *r)
{
	static const struct {
		enum level level;
		const char *text;
	} kinds[] = {
		[CONFIG_FIRMWARE_NONE] = {MISSING, "none; firmware = uefi"},
		[CONFIG_FIRMWARE_AUTO] = {NOTE,
					  "not chosen yet: its first disk that boots decides"},
		[CONFIG_FIRMWARE_IS_BIOS] = {NOTE, "BIOS: for versions up to 10 and Server 2022"},
		[CONFIG_FIRMWARE_IS_UEFI] = {OK, "UEFI, without Secure Boot and TPM: the setup of "
						 "11 asks for both"},
		[CONFIG_FIRMWARE_IMAGE] = {NOTE, "an image of your own"},
	};
	enum config_firmware kind = r->guest->firmware_kind;

	say(r, kinds[kind].level, "firmware", kinds[kind].text);
	if (kind == CONFIG_FIRMWARE_IS_UEFI && !r->guest->config->varstore.partition) {
		say(r, NOTE, "varstore", "in memory: boot entries last until the machine is off");
	}
}

static void check_bus(struct report *r, const char *what, const struct config_disk *d)
{
	static const struct {
		enum level level;
		const char *text;
	} buses[] = {
		[CONFIG_DISK_VIRTIO] = {MISSING, "virtio: no driver in Windows; bus=nvme or ahci"},
		[CONFIG_DISK_NVME] = {OK, "NVMe: a driver since 8.1 and Server 2012 R2"},
		[CONFIG_DISK_AHCI] = {OK, "AHCI: a driver since Vista and Server 2008"},
		[CONFIG_DISK_IDE] = {NOTE, "IDE: a driver in all versions, and slow"},
	};

	say(r, buses[d->bus].level, what, buses[d->bus].text);
}

static void check_size(struct report *r, const char *what, const struct guest_disk *d)
{
	uint64_t bytes = d == NULL ? 0 : d->top->sectors * BLK_SECTOR;

	if (bytes != 0 && bytes < DISK_MIN) {
		say(r, NOTE, what, "smaller than 32 GiB, which setup wants");
	} else if (bytes != 0 && bytes < DISK_11) {
		say(r, NOTE, what, "smaller than 64 GiB, which the setup of 11 wants");
	}
}

/* Its disks; CD drives are for setup. */
static void check_disks(struct report *r)
{
	const struct guest_config *c = r->guest->config;
	unsigned writable = 0;
	char what[16];

	for (unsigned i = 0; i < c->disk_count; i++) {
		const struct config_disk *d = &c->disks[i];

		fmt_snprintf(what, sizeof(what), "disk %u", i);
		if (config_disk_is_removable(d)) {
			say(r, OK, what, d->cdrom ? "a CD drive" : "a floppy drive");
			continue;
		}
		check_bus(r, what, d);
		check_size(r, what, r->guest->disks[i]);
		writable += !d->readonly;
		if (d->overlay) {
			say(r, NOTE, what, "what is written lasts until the machine is off");
		}
	}
	if (writable == 0) {
		say(r, MISSING, "disk", "none that can be written");
	}
}

/* ---- the rest of the machine ---- */

static void check_nics(struct report *r)
{
	static const struct {
		enum level level;
		const char *text;
	} models[] = {
		[CONFIG_NIC_VIRTIO] = {NOTE, "virtio: no driver in Windows; model=e1000e"},
		[CONFIG_NIC_E1000] = {NOTE, "82540EM: a driver up to 7 and Server 2008 R2"},
		[CONFIG_NIC_E1000E] = {OK, "82574L: a driver since 8 and Server 2012"},
	};
	const struct guest_config *c = r->guest->config;
	char what[16];

	for (unsigned i = 0; i < c->net_count; i++) {
		fmt_snprintf(what, sizeof(what), "net %u", i);
		say(r, models[c->nets[i].model].level, what, models[c->nets[i].model].text);
	}
	if (c->net_count == 0) {
		say(r, NOTE, "net", "none");
	}
}

static void check_memory(struct report *r)
{
	uint64_t memory = r->guest->config->memory;

	if (memory < MEMORY_MIN) {
		say(r, MISSING, "memory", "less than 2 GiB");
	} else if (memory < MEMORY_11) {
		say(r, NOTE, "memory", "enough for 10 and Server; the setup of 11 wants 4 GiB");
	} else {
		say(r, OK, "memory", "enough");
	}
}

static void check_cpus(struct report *r)
{
	if (r->guest->config->cpus < CPUS_11) {
		say(r, NOTE, "cpus", "one; the setup of 11 wants 2");
	} else {
		say(r, OK, "cpus", "enough");
	}
}

static void check_screen(struct report *r)
{
	if (r->guest->config->vga) {
		say(r, OK, "screen", "VGA that UEFI draws on, with keyboard and mouse");
	} else {
		say(r, NOTE, "screen", "none: only EMS on the serial port shows anything");
	}
}

/* Without it Windows takes a slow host for a broken CPU. */
static void check_hyperv(struct report *r)
{
	if (r->guest->config->hyperv) {
		say(r, OK, "hyperv", "relaxed timing, reference clock, synthetic timers");
	} else {
		say(r, MISSING, "hyperv",
		    "off: stops with CLOCK_WATCHDOG_TIMEOUT are likely; "
		    "hyperv = on");
	}
}

/* ---- CPU features ---- */

enum reg { EAX, EBX, ECX, EDX };

/* What some version does not start without. */
static const struct {
	const char *name;
	uint32_t leaf;
	enum reg reg;
	unsigned bit;
	enum level level;
} features[] = {
	{"pae", 1, EDX, 6, MISSING},
	{"mtrr", 1, EDX, 12, MISSING},
	{"pat", 1, EDX, 16, MISSING},
	{"sse2", 1, EDX, 26, MISSING},
	{"cx16", 1, ECX, 13, MISSING},
	{"nx", 0x80000001, EDX, 20, MISSING},
	{"lm", 0x80000001, EDX, 29, MISSING},
	{"lahf", 0x80000001, ECX, 0, MISSING},
	{"prefetchw", 0x80000001, ECX, 8, MISSING},
	/* 11 24H2 and Server 2025. */
	{"sse4.2", 1, ECX, 20, NOTE},
	{"popcnt", 1, ECX, 23, NOTE},
};

static uint32_t register_of(const struct cpuid_regs *r, enum reg reg)
{
	const uint32_t all[] = {[EAX] = r->eax, [EBX] = r->ebx, [ECX] = r->ecx, [EDX] = r->edx};

	return all[reg];
}

/* What a guest of this machine would be shown. With the baton, like all of the monitor. */
static const struct cpuid_table *shown(const struct guest *g)
{
	static struct cpuid_table table;
	const struct cpuid_config config = {
		.vcpu_count = g->config->cpus,
		.tsc_hz = clock_hz(),
		.apic_hz = lapic_timer_hz(),
		.hyperv = g->config->hyperv,
		.xapic_only = g->config->xapic_only,
		.xcr0_supported = fpu_supported(),
	};

	cpuid_table_build(&table, &config);
	return &table;
}

static void check_features(struct report *r)
{
	static const char *const texts[] = {
		[NOTE] = "not shown: 11 from 24H2 on and Server 2025 do not start",
		[MISSING] = "not shown: Windows does not start",
	};
	const struct cpuid_table *table = shown(r->guest);
	const struct cpuid_vcpu_state vcpu = {.apic_enabled = true};
	unsigned missing = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(features); i++) {
		struct cpuid_regs regs = cpuid_read(table, &vcpu, features[i].leaf, 0);

		if ((register_of(&regs, features[i].reg) >> features[i].bit & 1) == 0) {
			say(r, features[i].level, features[i].name, texts[features[i].level]);
			missing++;
		}
	}
	if (missing == 0) {
		say(r, OK, "cpu", "all features that some version needs");
	}
}

static void (*const checks[])(struct report *r) = {
	check_firmware, check_disks,  check_nics,   check_memory,
	check_cpus,	check_screen, check_hyperv, check_features,
};

void monitor_windows(struct span args)
{
	struct guest *g = monitor_guest(&args);
	struct report r = {.guest = g};

	if (g == NULL) {
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
		checks[i](&r);
	}
	monitor_print("windows: %s: %u missing; what this is worth: docs/windows.md\n", g->vm.name,
		      r.missing);
}
