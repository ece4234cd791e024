/* SPDX-License-Identifier: Apache-2.0 */
/* Disks as they are written in guest.conf. */
#include "hv/config_disk.h"

#include "guests/devices/floppy_drive.h"
#include "hv/api/blk.h"
#include "hv/base/addr.h"
#include "hv/base/bits.h"
#include "hv/blk/gpt.h"
#include "hv/config_text.h"
#include "hv/config_tree.h"

#define OVERLAY_MIN KIB(64)
#define OVERLAY_MAX GIB(1024)
#define IOPS_MAX 10000000ull
#define BANDWIDTH_MIN KIB(64)
#define BANDWIDTH_MAX GIB(100)

static_assert(CONFIG_DISK_NAME_MAX >= GPT_LABEL_MAX && CONFIG_DISK_NAME_MAX >= BLK_SERIAL_MAX,
	      "all names fit");

#define SOURCES "FILE, partition:LABEL, partition:UUID, disk:SERIAL"

/* --- what the disk is made of --- */

static bool ends_in(struct span name, const char *suffix)
{
	size_t n = str_len(suffix);

	return name.n >= n &&
	       config_same_name((struct span){name.p + name.n - n, n}, span_of(suffix));
}

/* Formats that need a program to read them, known by their usual names. */
static bool is_raw(struct span name)
{
	static const char *const others[] = {".qcow2", ".qcow", ".vmdk", ".vdi", ".vhd", ".vhdx"};

	for (unsigned i = 0; i < ARRAY_SIZE(others); i++) {
		if (ends_in(name, others[i])) {
			return false;
		}
	}
	return true;
}

static void set_image(struct config_parser *p, struct config_disk *d, struct span name)
{
	uint64_t size;

	d->source = CONFIG_DISK_IMAGE;
	d->file = config_find_file(p, name);
	if (d->file == CONFIG_NO_ENTRY) {
		return;
	}
	(void)str_copy(d->name, sizeof(d->name), p->tree->entries[d->file].path);
	size = p->tree->entries[d->file].size;
	if (!is_raw(name)) {
		config_fail_value(p, name, "raw disk images, as qemu-img convert -O raw makes");
	} else if (!is_aligned(size, BLK_SECTOR)) {
		config_fail(p, "the image has %lu bytes; allowed: multiples of %u", size,
			    BLK_SECTOR);
	}
}

/* A name behind "partition:" or "disk:" of at most cap - 1 bytes. */
static void set_name(struct config_parser *p, struct config_disk *d, struct span name, size_t cap)
{
	if (name.n == 0 || name.n >= cap) {
		config_fail(p, "the name has %zu bytes; allowed: 1 to %zu", name.n, cap - 1);
		return;
	}
	(void)str_copy(d->name, sizeof(d->name), name);
}

static bool cut_prefix(struct span *text, const char *prefix)
{
	size_t n = str_len(prefix);

	if (!span_starts(*text, prefix)) {
		return false;
	}
	*text = span_trim((struct span){text->p + n, text->n - n});
	return true;
}

static void set_source(struct config_parser *p, struct config_disk *d, struct span text)
{
	if (cut_prefix(&text, "partition:")) {
		d->source = CONFIG_DISK_PARTITION;
		set_name(p, d, text, GPT_LABEL_MAX);
	} else if (cut_prefix(&text, "disk:")) {
		d->source = CONFIG_DISK_WHOLE;
		set_name(p, d, text, BLK_SERIAL_MAX);
	} else if (text.n == 0) {
		config_fail_value(p, text, SOURCES);
	} else {
		set_image(p, d, text);
	}
}

/* --- options --- */

static void set_size(struct config_parser *p, struct span value, const char *allowed,
		     const uint64_t range[2], uint64_t *out)
{
	uint64_t bytes;

	if (span_to_size(value, &bytes) != HV_OK || bytes < range[0] || bytes > range[1]) {
		config_fail_value(p, value, allowed);
		return;
	}
	*out = bytes;
}

static void set_overlay(struct config_parser *p, struct config_disk *d, struct span value)
{
	static const uint64_t range[] = {OVERLAY_MIN, OVERLAY_MAX};

	d->overlay = true;
	if (value.p != NULL) {
		set_size(p, value, "overlay=64K to overlay=1T, or overlay alone", range,
			 &d->overlay_limit);
	}
}

static void set_readonly(struct config_parser *p, struct config_disk *d, struct span value)
{
	if (value.p != NULL) {
		config_fail_value(p, value, "readonly alone");
	}
	d->readonly = true;
}

#define BUSES "bus=virtio, bus=nvme, bus=ahci, bus=ide"

static const struct {
	const char *name;
	unsigned most; /* disks of a guest on it */
	bool cdroms;   /* a disk may be a CD drive */
} buses[] = {
	[CONFIG_DISK_VIRTIO] = {"virtio", CONFIG_DISKS_MAX, false},
	[CONFIG_DISK_NVME] = {"nvme", CONFIG_DISKS_MAX, false},
	[CONFIG_DISK_AHCI] = {"ahci", CONFIG_AHCI_DISKS_MAX, true},
	[CONFIG_DISK_IDE] = {"ide", CONFIG_IDE_DISKS_MAX, true},
	[CONFIG_DISK_FLOPPY] = {"floppy", CONFIG_FLOPPIES_MAX, false},
};

static void set_bus(struct config_parser *p, struct config_disk *d, struct span value)
{
	for (unsigned i = 0; i < CONFIG_DISK_FLOPPY; i++) {
		if (span_eq(value, buses[i].name)) {
			d->bus = (enum config_disk_bus)i;
			return;
		}
	}
	config_fail_value(p, value, BUSES);
}

static void set_cdrom(struct config_parser *p, struct config_disk *d, struct span value)
{
	if (value.p != NULL) {
		config_fail_value(p, value, "cdrom alone");
	}
	d->cdrom = true;
}

static void set_iops(struct config_parser *p, struct config_disk *d, struct span value)
{
	uint64_t number;

	if (span_to_u64(value, &number) != HV_OK || number == 0 || number > IOPS_MAX) {
		config_fail_value(p, value, "iops=1 to iops=10000000");
		return;
	}
	d->iops = number;
}

static void set_bandwidth(struct config_parser *p, struct config_disk *d, struct span value)
{
	static const uint64_t range[] = {BANDWIDTH_MIN, BANDWIDTH_MAX};

	set_size(p, value, "bandwidth=64K to bandwidth=100G, bytes a second", range, &d->bandwidth);
}

static bool serial_char_allowed(char c)
{
	char l = config_lower(c);

	return (l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

static void set_disk_serial(struct config_parser *p, struct config_disk *d, struct span value)
{
	bool good = value.n > 0 && str_copy(d->serial, sizeof(d->serial), value);

	for (size_t i = 0; good && i < value.n; i++) {
		good = serial_char_allowed(value.p[i]);
	}
	if (!good) {
		config_fail_value(p, value, "serial= with 1 to 20 of A-Z a-z 0-9 . _ -");
	}
}

static const struct {
	const char *name;
	/* value.p is NULL for an option without '='. */
	void (*set)(struct config_parser *p, struct config_disk *d, struct span value);
	bool floppies; /* it is for them, too */
} options[] = {
	{"cdrom", set_cdrom, false},	    {"overlay", set_overlay, true},
	{"readonly", set_readonly, true},   {"bus", set_bus, false},
	{"iops", set_iops, false},	    {"bandwidth", set_bandwidth, false},
	{"serial", set_disk_serial, false},
};

/* `seen` has a bit for each option that was there before. */
static void set_option(struct config_parser *p, struct config_disk *d, struct span text,
		       uint32_t *seen)
{
	bool floppy = d->bus == CONFIG_DISK_FLOPPY;
	struct span name;
	struct span value;

	config_split_option(text, &name, &value);
	for (unsigned i = 0; i < ARRAY_SIZE(options); i++) {
		if (!span_eq(name, options[i].name) || (floppy && !options[i].floppies)) {
			continue;
		}
		if ((*seen & BIT32(i)) != 0) {
			config_fail(p, "%s is given twice", options[i].name);
			return;
		}
		*seen |= BIT32(i);
		options[i].set(p, d, value);
		return;
	}
	config_fail_value(
		p, text,
		floppy ? "readonly, overlay, overlay=SIZE"
		       : "cdrom, overlay, overlay=SIZE, readonly, bus=BUS, iops=N, bandwidth=SIZE, "
			 "serial=TEXT");
}

/* Two disks of one name could not be told apart in the guest. */
static void check_serial(struct config_parser *p, const struct guest_config *g)
{
	const struct config_disk *d = &g->disks[g->disk_count];

	for (unsigned i = 0; i < g->disk_count; i++) {
		if (str_eq(g->disks[i].serial, d->serial)) {
			config_fail(p, "the serial number %s is that of disk %u already", d->serial,
				    i);
		}
	}
}

/* What becomes of images of CDs where there are drives for them, and of those who ask for one. */
static void settle_cdrom(struct config_parser *p, struct config_disk *d)
{
	bool drives = buses[d->bus].cdroms;

	if (d->source == CONFIG_DISK_IMAGE && drives && !d->overlay &&
	    ends_in(span_of(d->name), ".iso")) {
		d->cdrom = true;
	}
	if (d->cdrom && !drives) {
		config_fail(p, "a CD drive needs bus=ide or bus=ahci");
	}
	if (d->cdrom && d->overlay) {
		config_fail(p, "cdrom and overlay exclude each other");
	}
	d->readonly = d->readonly || d->cdrom;
}

static void check_bus(struct config_parser *p, const struct guest_config *g)
{
	enum config_disk_bus bus = g->disks[g->disk_count].bus;
	unsigned count = 1;

	for (unsigned i = 0; i < g->disk_count; i++) {
		count += g->disks[i].bus == bus;
	}
	if (count > buses[bus].most && bus == CONFIG_DISK_FLOPPY) {
		config_fail(p, "more than %u floppies", buses[bus].most);
	} else if (count > buses[bus].most) {
		config_fail(p, "more than %u disks with bus=%s", buses[bus].most, buses[bus].name);
	}
}

/* A medium that a drive reads. */
static void check_floppy(struct config_parser *p, const struct config_disk *d)
{
	if (d->source != CONFIG_DISK_IMAGE) {
		config_fail(p, "a floppy is an image");
	} else if (d->file != CONFIG_NO_ENTRY &&
		   floppy_format_of(p->tree->entries[d->file].size) == NULL) {
		config_fail(p, "the image has %lu bytes; allowed: " FLOPPY_SIZES,
			    p->tree->entries[d->file].size);
	}
}

static void add_disk(struct config_parser *p, struct span value, enum config_disk_bus bus)
{
	struct guest_config *g = p->out;
	struct config_disk *d = &g->disks[g->disk_count];
	unsigned errors = p->error_count;
	uint32_t seen = 0;
	struct span part = {"", 0};

	if (g->disk_count == CONFIG_DISKS_MAX) {
		config_fail(p, "more than %u disks", CONFIG_DISKS_MAX);
		return;
	}
	*d = (struct config_disk){.file = CONFIG_NO_ENTRY, .bus = bus};
	(void)fmt_snprintf(d->serial, sizeof(d->serial), "disk%u", g->disk_count);
	(void)config_next_part(&value, &part);
	set_source(p, d, part);
	while (config_next_part(&value, &part)) {
		set_option(p, d, part, &seen);
	}
	if (d->overlay && d->readonly) {
		config_fail(p, "overlay and readonly exclude each other");
	}
	settle_cdrom(p, d);
	if (bus == CONFIG_DISK_FLOPPY) {
		check_floppy(p, d);
	}
	d->overlay = d->overlay || (d->source == CONFIG_DISK_IMAGE && !d->readonly);
	check_serial(p, g);
	check_bus(p, g);
	g->disk_count += p->error_count == errors ? 1 : 0;
}

void config_set_disk(struct config_parser *p, struct span value)
{
	add_disk(p, value, CONFIG_DISK_VIRTIO);
}

void config_set_floppy(struct config_parser *p, struct span value)
{
	add_disk(p, value, CONFIG_DISK_FLOPPY);
}
