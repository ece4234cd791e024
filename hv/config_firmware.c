/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest starts in: its kernel, or which firmware. */
#include "hv/config_firmware.h"

#include "guests/layout.h"
#include "hv/base/addr.h"
#include "hv/base/bits.h"
#include "hv/config_tree.h"

#define IMAGE_ALIGN KIB(64)

static bool ends_in(struct span name, const char *suffix)
{
	size_t n = str_len(suffix);

	return name.n >= n &&
	       config_same_name((struct span){name.p + name.n - n, n}, span_of(suffix));
}

/* ---- files ---- */

static unsigned find_stock(struct config_parser *p, const char *path)
{
	unsigned entry = config_find(p->tree, span_of(path));

	return entry != CONFIG_NO_ENTRY && p->tree->entries[entry].problem == NULL &&
			       p->tree->entries[entry].size != 0
		       ? entry
		       : CONFIG_NO_ENTRY;
}

static void check_size(struct config_parser *p, unsigned entry)
{
	uint64_t size = p->tree->entries[entry].size;

	if (size == 0 || size > LAYOUT_FIRMWARE_SIZE_MAX || !is_aligned(size, PAGE_SIZE)) {
		config_fail(
			p, "the firmware %.*s has %lu bytes; allowed: whole pages, up to 16 MiB",
			(int)p->tree->entries[entry].path.n, p->tree->entries[entry].path.p, size);
	}
}

static void need(struct config_parser *p, unsigned entry, const char *path)
{
	if (entry == CONFIG_NO_ENTRY) {
		config_fail(p, "it starts in firmware, and there is no %s below \\bulkhead", path);
	} else {
		check_size(p, entry);
	}
}

/* The two parts of OVMF lie one behind the other. */
static void check_uefi(struct config_parser *p, const struct guest_config *g)
{
	uint64_t size;

	need(p, g->uefi_code, CONFIG_FIRMWARE_CODE);
	need(p, g->uefi_vars, CONFIG_FIRMWARE_VARS);
	if (g->uefi_code == CONFIG_NO_ENTRY || g->uefi_vars == CONFIG_NO_ENTRY) {
		return;
	}
	size = p->tree->entries[g->uefi_code].size + p->tree->entries[g->uefi_vars].size;
	if (size > LAYOUT_FIRMWARE_SIZE_MAX) {
		config_fail(p, "OVMF's two files have %lu bytes; allowed: up to 16 MiB", size);
	}
}

/* What variables are at first may be a file of the guest's own. */
static unsigned find_vars(struct config_parser *p, const struct guest_config *g)
{
	return g->varstore.own_template ? g->varstore.template
					: find_stock(p, CONFIG_FIRMWARE_VARS);
}

/* SeaBIOS starts a kernel by an option ROM. */
static void find_linuxboot(struct config_parser *p, struct guest_config *g)
{
	if (g->kernel == CONFIG_NO_ENTRY) {
		return;
	}
	g->linuxboot = find_stock(p, CONFIG_FIRMWARE_LINUXBOOT);
	if (g->linuxboot == CONFIG_NO_ENTRY) {
		config_fail(
			p,
			"for SeaBIOS to start a kernel, there has to be " CONFIG_FIRMWARE_LINUXBOOT
			" below \\bulkhead");
	}
}

static void find_files(struct config_parser *p, struct guest_config *g)
{
	g->vgabios = find_stock(p, CONFIG_FIRMWARE_VGABIOS);
	switch (g->firmware) {
	case CONFIG_FIRMWARE_NONE:
		break;
	case CONFIG_FIRMWARE_IMAGE:
		check_size(p, g->bios);
		break;
	case CONFIG_FIRMWARE_IS_BIOS:
		g->bios = find_stock(p, CONFIG_FIRMWARE_BIOS);
		need(p, g->bios, CONFIG_FIRMWARE_BIOS);
		find_linuxboot(p, g);
		break;
	case CONFIG_FIRMWARE_IS_UEFI:
		g->uefi_code = find_stock(p, CONFIG_FIRMWARE_CODE);
		g->uefi_vars = find_vars(p, g);
		check_uefi(p, g);
		break;
	case CONFIG_FIRMWARE_AUTO:
		/* The disk decides which; what then is missing is said (hv/guest_firmware.h). */
		g->bios = find_stock(p, CONFIG_FIRMWARE_BIOS);
		g->uefi_code = find_stock(p, CONFIG_FIRMWARE_CODE);
		g->uefi_vars = find_vars(p, g);
		if (g->bios != CONFIG_NO_ENTRY) {
			check_size(p, g->bios);
		}
		if (g->uefi_code != CONFIG_NO_ENTRY && g->uefi_vars != CONFIG_NO_ENTRY) {
			check_uefi(p, g);
		}
		break;
	}
}

/* ---- the key ---- */

/* Without what nearly all names of files have. */
static bool is_word(struct span value)
{
	for (size_t i = 0; i < value.n; i++) {
		if (value.p[i] == '.' || value.p[i] == '/' || value.p[i] == '\\') {
			return false;
		}
	}
	return true;
}

void config_set_firmware(struct config_parser *p, struct span value)
{
	static const struct {
		const char *word;
		enum config_firmware firmware;
	} words[] = {
		{"auto", CONFIG_FIRMWARE_AUTO},
		{"none", CONFIG_FIRMWARE_NONE},
		{"bios", CONFIG_FIRMWARE_IS_BIOS},
		{"uefi", CONFIG_FIRMWARE_IS_UEFI},
	};
	struct guest_config *g = p->out;

	for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
		if (span_eq(value, words[i].word)) {
			g->firmware = words[i].firmware;
			return;
		}
	}
	if (!config_has_file(p, value) && is_word(value)) {
		config_fail_value(p, value, "auto, none, bios, uefi, or a file, as ovmf.fd");
		return;
	}
	g->firmware = CONFIG_FIRMWARE_IMAGE;
	g->bios = config_find_file(p, value);
}

/* Whether the kind is there in the list so far. */
static bool boots_from(const struct guest_config *g, enum config_boot kind)
{
	for (unsigned i = 0; i < g->boot_count; i++) {
		if (g->boot[i] == kind) {
			return true;
		}
	}
	return false;
}

void config_set_boot(struct config_parser *p, struct span value)
{
	static const char *const kinds[CONFIG_BOOT_KINDS] = {
		[CONFIG_BOOT_DISK] = "disk",
		[CONFIG_BOOT_NET] = "net",
	};
	struct guest_config *g = p->out;
	struct span part;

	while (config_next_part(&value, &part)) {
		unsigned kind = 0;

		while (kind < CONFIG_BOOT_KINDS && !span_eq(part, kinds[kind])) {
			kind++;
		}
		if (kind == CONFIG_BOOT_KINDS || boots_from(g, (enum config_boot)kind)) {
			config_fail_value(p, part,
					  "disk and net, each once, the first choice first");
			return;
		}
		g->boot[g->boot_count++] = (enum config_boot)kind;
	}
}

bool config_may_have_kernel(const struct guest_config *g)
{
	return g->firmware == CONFIG_FIRMWARE_NONE || g->firmware == CONFIG_FIRMWARE_AUTO;
}

/* ---- disks ---- */

static bool begins_with(struct span name, const char *prefix)
{
	size_t n = str_len(prefix);

	return name.n >= n && config_same_name((struct span){name.p, n}, span_of(prefix));
}

static bool is_image(struct span name)
{
	if (begins_with(name, "initrd") || begins_with(name, "initramfs")) {
		return false;
	}
	return ends_in(name, ".img") || ends_in(name, ".raw") || ends_in(name, ".iso");
}

static bool is_other_format(struct span name)
{
	return ends_in(name, ".qcow2") || ends_in(name, ".vhd") || ends_in(name, ".vhdx") ||
	       ends_in(name, ".vmdk") || ends_in(name, ".vdi");
}

/* The folder's one image is its disk; several are for `disk` to choose from. */
static void pick_disk(struct config_parser *p)
{
	struct span found = {NULL, 0};
	struct span name;

	for (unsigned i = 0; i < p->tree->count; i++) {
		if (!config_in_folder(&p->tree->entries[i], p->folder, &name)) {
			continue;
		}
		if (is_other_format(name)) {
			config_fail(p,
				    "\"%.*s\" is no raw image: qemu-img convert -O raw makes one",
				    (int)name.n, name.p);
			return;
		}
		if (is_image(name) && found.p != NULL) {
			config_fail(p,
				    "both \"%.*s\" and \"%.*s\" could be the disk; say which with "
				    "disk = in guest.conf",
				    (int)found.n, found.p, (int)name.n, name.p);
			return;
		}
		found = is_image(name) ? name : found;
	}
	if (found.p != NULL) {
		config_set_disk(p, found);
	}
}

/* ---- networks ---- */

static bool has_rom(const struct guest_config *g)
{
	for (unsigned i = 0; i < g->net_count; i++) {
		if (g->nets[i].rom != CONFIG_NO_ENTRY) {
			return true;
		}
	}
	return false;
}

/* A network is asked unbidden where that was provided for, or nothing else is left. */
static void order_boot(struct guest_config *g)
{
	if (g->boot_count != 0) {
		return;
	}
	g->boot[g->boot_count++] = CONFIG_BOOT_DISK;
	if (has_rom(g) || g->disk_count == 0) {
		g->boot[g->boot_count++] = CONFIG_BOOT_NET;
	}
}

void config_finish_firmware(struct config_parser *p, struct guest_config *g)
{
	unsigned errors = p->error_count;
	bool has_kernel = g->kernel != CONFIG_NO_ENTRY;

	if (g->firmware == CONFIG_FIRMWARE_AUTO && has_kernel) {
		g->firmware = CONFIG_FIRMWARE_NONE;
	}
	if (!has_kernel && g->disk_count == 0 && g->firmware != CONFIG_FIRMWARE_NONE) {
		pick_disk(p);
	}
	if (p->error_count != errors) {
		return;
	}
	if (g->firmware == CONFIG_FIRMWARE_AUTO && g->disk_count == 0 && has_rom(g)) {
		g->firmware = CONFIG_FIRMWARE_IS_BIOS;
	}
	order_boot(g);
	if (!has_kernel && (g->firmware == CONFIG_FIRMWARE_NONE ||
			    (g->firmware == CONFIG_FIRMWARE_AUTO && g->disk_count == 0))) {
		config_fail(p, "no kernel in the folder (a file named vmlinuz*, bzImage* or "
			       "kernel*), and no disk to boot from");
		return;
	}
	find_files(p, g);
}
