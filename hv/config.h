/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a person wrote on the stick: the folder \bulkhead\ with bulkhead.conf and one folder per
 * guest, each with an optional guest.conf. Pure: a list of files and the text of one in, a checked
 * configuration out; everything that is wrong is reported with file, line, key, what was found and
 * what is allowed.
 *
 * Text is UTF-8, one `key = value` to a line. A value is the rest of its line after the first '=',
 * trimmed, so it may hold '=' and '#'. A line whose first non-blank character is '#' is a comment.
 *
 * bulkhead.conf
 *	console    monitor (default) | all | NAME of a guest
 *	log        error | warn | info (default) | debug
 *	autostart  all (default) | none | NAMES of guests, in this order
 *	when-idle  stay (default) | poweroff
 *	smt	   private (default): siblings of a core never run different guests at once | shared
 *	network    a virtual network and its uplink; hv/config_net.h
 *	virtual-interrupts  auto (default): where the CPU has them and does them right | on | off;
 *			    posted interrupts with them
 *
 * guest.conf
 *	firmware   auto (default) | none | bios | uefi | FILE; hv/config_firmware.h
 *	boot       disk, net or both, the first choice first; hv/config_firmware.h
 *	memory     16M .. 1T, whole MiB; default 512M
 *	cpus       1 .. 64 virtual CPUs; default 1
 *	kernel     file in the folder, or /path below \bulkhead\; default: the one file in
 *		   the folder named vmlinuz*, bzImage* or kernel*
 *	initrd     likewise, or none; default: the one file named initrd* or initramfs*
 *	module     FILE [WORDS]: a further file for a Multiboot kernel, and the whole value as its
 *		   string; may be given several times
 *	cmdline    default "console=ttyS0"
 *	weight     1 .. 10000, share of CPU time of each virtual CPU; default 100
 *	cap        1 .. 6400, percent of one CPU that all of them get at most; default none
 *	pin        CPUs on which they may run, as 0-3,8; default all
 *	autostart  on (default) | off
 *	restart    never (default) | on-crash | always
 *	serial     on (default) | off | virtio: a virtio console in COM1's place
 *	rng        on | off (default): a virtio entropy device
 *	balloon    on | off (default): a virtio balloon, through which memory comes back
 *	vga	   on | off: a standard VGA and a mouse; default: on where there is firmware
 *	debug-exit on | off (default): port 0xf4 ends the guest with a status
 *	test-device on | off (default): the ports and memory of guests/devices/test_device.h
 *	paravirt   on (default) | off
 *	hyperv	   on | off (default): Microsoft's interface; then paravirt is off
 *	x2apic	   on (default) | off: the guest's local APICs are xAPICs for good
 *	disk	   an image, a partition or a disk of the machine, up to 8 times; hv/config_disk.h
 *	hpet	   auto (default): if it starts in firmware | on | off
 *	varstore   where UEFI variables are kept; hv/config_varstore.h
 *	net        a NIC and the network it is on, several times; hv/config_net.h
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/base/log.h"
#include "hv/base/status.h"
#include "hv/base/str.h"
#include "hv/config_disk.h"
#include "hv/config_net.h"
#include "hv/config_varstore.h"
#include "hv/sched.h"

#define CONFIG_NAME_MAX 32u /* of a guest, with terminator */
#define CONFIG_PATH_MAX 128u
#define CONFIG_CMDLINE_MAX 2048u
#define CONFIG_AUTOSTART_MAX 64u
#define CONFIG_MODULES_MAX 8u
#define CONFIG_MODULE_STRING_MAX 256u
#define CONFIG_ERRORS_MAX 8u
#define CONFIG_NO_ENTRY (~0u)

#define CONFIG_MACHINE_FILE "bulkhead.conf"
#define CONFIG_GUEST_FILE "guest.conf"
/* The folder of files that several guests use: not a guest's. */
#define CONFIG_IMAGES_FOLDER "images"
/* The folder of firmware images: neither. */
#define CONFIG_FIRMWARE_FOLDER "firmware"

/* One file or folder below \bulkhead\. */
struct config_entry {
	struct span path; /* relative to \bulkhead\, '/' between components */
	uint64_t size;
	bool directory;
	const char *problem; /* why its content could not be read; NULL: it could */
};

struct config_tree {
	const struct config_entry *entries;
	unsigned count;
};

struct config_error {
	char file[CONFIG_PATH_MAX + 16]; /* relative to \bulkhead\; a folder ends in '/' */
	unsigned line;			 /* 0: not about a line */
	struct span key;		 /* empty: not about a key */
	char text[280];			 /* what was found, what is allowed */
};

/* Receives each error; the error is gone when it returns. */
struct config_reporter {
	void (*report)(void *ctx, const struct config_error *error);
	void *ctx;
};

enum config_console { CONFIG_CONSOLE_MONITOR, CONFIG_CONSOLE_ALL, CONFIG_CONSOLE_GUEST };
enum config_autostart { CONFIG_AUTOSTART_ALL, CONFIG_AUTOSTART_NONE, CONFIG_AUTOSTART_LIST };
enum config_idle { CONFIG_IDLE_STAY, CONFIG_IDLE_POWEROFF };

enum config_virtual_interrupts {
	CONFIG_VIRTUAL_INTERRUPTS_AUTO,
	CONFIG_VIRTUAL_INTERRUPTS_ON,
	CONFIG_VIRTUAL_INTERRUPTS_OFF,
};

struct machine_config {
	enum config_console console;
	char console_guest[CONFIG_NAME_MAX]; /* for CONFIG_CONSOLE_GUEST */
	enum log_level log;
	enum config_idle when_idle;
	bool smt_shared;
	enum config_virtual_interrupts virtual_interrupts;
	enum config_autostart autostart;
	unsigned autostart_count; /* for CONFIG_AUTOSTART_LIST */
	char autostart_names[CONFIG_AUTOSTART_MAX][CONFIG_NAME_MAX];
	unsigned network_count;
	struct config_network networks[NETWORKS_MAX];
};

/* What a guest starts in. */
enum config_firmware {
	CONFIG_FIRMWARE_NONE,
	CONFIG_FIRMWARE_AUTO, /* its first disk that boots decides */
	CONFIG_FIRMWARE_IS_BIOS,
	CONFIG_FIRMWARE_IS_UEFI,
	CONFIG_FIRMWARE_IMAGE,
};

/* Kinds of devices that firmware boots from. */
enum config_boot { CONFIG_BOOT_DISK, CONFIG_BOOT_NET, CONFIG_BOOT_KINDS };

/* A device that guests with firmware have, and others if they want. */
enum config_hpet { CONFIG_HPET_AUTO, CONFIG_HPET_ON, CONFIG_HPET_OFF };

enum guest_restart { GUEST_RESTART_NEVER, GUEST_RESTART_ON_CRASH, GUEST_RESTART_ALWAYS };

struct config_module {
	unsigned file; /* index into the tree's entries, as `kernel` below */
	char string[CONFIG_MODULE_STRING_MAX];
};

struct guest_config {
	char name[CONFIG_NAME_MAX];
	uint64_t memory;      /* bytes */
	unsigned memory_line; /* of guest.conf, for an error that shows later; 0: not given */
	unsigned cpus;
	unsigned weight;
	unsigned cap; /* percent of one CPU; 0: none */
	struct sched_cpumask pin;
	bool autostart;
	bool serial;	     /* COM1 */
	bool virtio_console; /* in its place */
	bool rng;
	bool balloon;
	bool vga; /* and a mouse */
	bool debug_exit;
	bool test_device;
	enum config_hpet hpet;
	bool paravirt;	 /* the KVM interfaces are offered */
	bool hyperv;	 /* Microsoft's are, in their place */
	bool xapic_only; /* no x2APIC */
	enum guest_restart restart;
	/* Indices into the tree's entries, or CONFIG_NO_ENTRY; the files are readable and not
	 * empty. Without firmware there is a kernel. */
	unsigned kernel;
	unsigned initrd;
	enum config_firmware firmware;
	/* What that needs is there; likewise. `vgabios` if the stick has one. */
	unsigned bios; /* also a firmware of one's own */
	unsigned uefi_code;
	unsigned uefi_vars;
	unsigned vgabios;
	unsigned linuxboot;  /* if `firmware = bios` has a kernel to start */
	unsigned boot_count; /* what firmware tries, the first choice first */
	enum config_boot boot[CONFIG_BOOT_KINDS];
	unsigned module_count;
	struct config_module modules[CONFIG_MODULES_MAX];
	char cmdline[CONFIG_CMDLINE_MAX];
	unsigned disk_count;
	struct config_disk disks[CONFIG_DISKS_MAX];
	struct config_varstore varstore;
	unsigned net_count;
	struct config_net nets[CONFIG_NETS_MAX];
};

/* `file:line: key: text`, with what is missing left out; returns the length as fmt_snprintf. */
size_t config_error_format(const struct config_error *error, char *buf, size_t cap);

/* ---- the tree ---- */

/* The entry with this path, ignoring case as FAT does; CONFIG_NO_ENTRY when there is none. */
unsigned config_find(const struct config_tree *tree, struct span path);
/* As above for `file` in a guest's folder. */
unsigned config_find_in(const struct config_tree *tree, struct span folder, const char *file);
/*
 * Finds the guests' folders one by one: *cursor starts at 0, *name is the folder as it is spelt.
 * Folders that begin with '.', CONFIG_IMAGES_FOLDER and CONFIG_FIRMWARE_FOLDER are skipped. False
 * when there are no more.
 */
bool config_next_folder(const struct config_tree *tree, unsigned *cursor, struct span *name);

/* ---- the files ---- */

/*
 * Reads bulkhead.conf, whose text may be empty. A key in error keeps its default; HV_E_INVALID when
 * there was any error. Guests that are named must have a folder in `tree`, whose spelling *out has.
 */
enum hv_status config_parse_machine(const struct config_tree *tree, struct span text,
				    const struct config_reporter *reporter,
				    struct machine_config *out) HV_MUST_CHECK;

/*
 * Configures the guest of folder `name`; `text` is its guest.conf, empty when there is none.
 * HV_E_INVALID when anything was wrong: then the guest must not be started.
 */
enum hv_status config_load_guest(const struct config_tree *tree, struct span name, struct span text,
				 const struct config_reporter *reporter,
				 struct guest_config *out) HV_MUST_CHECK;

/* Reads a list of CPUs as `pin` has it: 0-3,8. False when it is none; *out is unchanged then. */
bool config_parse_cpus(struct span text, struct sched_cpumask *out);
#define CONFIG_CPUS_TEXT_MAX 256u /* room for any list that is not contrived */
/* The inverse; `all` for all. Cut at `cap`. */
void config_format_cpus(const struct sched_cpumask *cpus, char *buf, size_t cap);

/* Whether a guest is to be started with the machine. */
bool config_starts(const struct machine_config *machine, const struct guest_config *guest);
