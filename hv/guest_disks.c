/* SPDX-License-Identifier: Apache-2.0 */
/* From the key `disk` to layers of block devices and device models. */
#include "hv/guest_disks.h"

#include "hv/base/fmt.h"
#include "hv/base/log.h"
#include "hv/base/str.h"
#include "hv/guest.h"
#include "hv/guest_disk_ahci.h"
#include "hv/guest_disk_floppy.h"
#include "hv/guest_disk_ide.h"
#include "hv/guest_disk_nvme.h"
#include "hv/guest_disk_virtio.h"
#include "mm/pool.h"

/* --- finding --- */

/* The text of a failed look-up; `list` is the registry's. */
static void say_not_found(enum hv_status status, const struct config_disk *c, const char *list,
			  char why[GUEST_REASON_MAX])
{
	bool partition = c->source == CONFIG_DISK_PARTITION;
	const char *what = partition ? "partition" : "disk";
	const char *key = partition ? "label or UUID" : "serial number";

	if (status == HV_E_EXISTS) {
		fmt_snprintf(why, GUEST_REASON_MAX, "several %ss have the %s \"%s\": %s", what, key,
			     c->name, list);
	} else {
		fmt_snprintf(why, GUEST_REASON_MAX, "no %s has the %s \"%s\"; there are: %s", what,
			     key, c->name, list);
	}
}

static enum hv_status find_extent(struct guest *g, unsigned index, struct blk_extent *out,
				  char why[GUEST_REASON_MAX])
{
	const struct config_disk *c = &g->config->disks[index];
	const struct guest_file *file = &g->disk_images[index];
	char list[BLK_WHY_MAX] = "";
	enum hv_status status;

	if (c->source == CONFIG_DISK_IMAGE) {
		return blk_registry_image(c->name, file->data, file->size, out, why);
	}
	if (c->source == CONFIG_DISK_PARTITION) {
		status = blk_registry_find_partition(span_of(c->name), out, list);
	} else {
		status = blk_registry_find_disk(span_of(c->name), out, list);
	}
	if (status != HV_OK) {
		say_not_found(status, c, list, why);
	}
	return status;
}

/* --- layers --- */

static bool is_limited(const struct config_disk *c)
{
	return c->iops != 0 || c->bandwidth != 0;
}

static enum hv_status build_layers(struct guest *g, unsigned index, struct guest_disk *d)
{
	const struct config_disk *c = d->config;
	bool readonly = c->readonly || c->overlay;
	enum hv_status status = blk_partition_init(&d->partition, d->extent.dev, d->extent.start,
						   d->extent.sectors, readonly);
	char owner[BLK_OVERLAY_OWNER_MAX];

	if (status != HV_OK) {
		return status;
	}
	(void)str_copy(d->partition.dev.name, BLK_NAME_MAX, span_of(d->extent.name));
	d->top = &d->partition.dev;
	if (c->overlay) {
		fmt_snprintf(owner, sizeof(owner), "guest %s: disk %u", g->vm.name, index);
		status = blk_overlay_init(&d->overlay, d->top, owner, c->overlay_limit);
		d->top = &d->overlay.dev;
	}
	if (status == HV_OK && is_limited(c)) {
		blk_limit_init(&d->limit, d->top, c->iops, c->bandwidth);
		d->top = &d->limit.dev;
	}
	/* What the guest sees is its own, not the number of the machine's disk. */
	(void)str_copy(d->top->serial, BLK_SERIAL_MAX, span_of(c->serial));
	return status;
}

static enum hv_status open_disk(struct guest *g, unsigned index, char why[GUEST_REASON_MAX])
{
	const struct config_disk *c = &g->config->disks[index];
	bool writes = !c->readonly && !c->overlay;
	struct guest_disk *d = pool_alloc(sizeof(*d));
	enum hv_status status;

	if (d == NULL) {
		fmt_snprintf(why, GUEST_REASON_MAX, "no memory");
		return HV_E_NO_MEMORY;
	}
	g->disks[index] = d;
	d->config = c;
	status = find_extent(g, index, &d->extent, why);
	if (status != HV_OK) {
		return status;
	}
	status = blk_registry_claim(&d->extent, writes, g->vm.name, why);
	if (status != HV_OK) {
		return status;
	}
	status = build_layers(g, index, d);
	if (status != HV_OK) {
		fmt_snprintf(why, GUEST_REASON_MAX, "%s cannot be used: %s", d->extent.name,
			     hv_status_name(status));
	}
	return status;
}

/* Nothing of a guest that cannot start stands in the way of others. */
static void give_up(struct guest *g)
{
	blk_registry_release(g->vm.name);
	for (unsigned i = 0; i < g->config->disk_count; i++) {
		pool_free(g->disks[i], sizeof(*g->disks[i]));
		g->disks[i] = NULL;
	}
}

bool guest_disks_open(struct guest *g)
{
	char why[GUEST_REASON_MAX] = "";

	for (unsigned i = 0; i < g->config->disk_count; i++) {
		if (open_disk(g, i, why) != HV_OK) {
			give_up(g);
			fmt_snprintf(g->reason, sizeof(g->reason), "disk %u: %s", i, why);
			g->refused = true;
			return false;
		}
	}
	return true;
}

/* --- models --- */

static const struct guest_disk_bus *const buses[] = {
	[CONFIG_DISK_VIRTIO] = &guest_disk_virtio, [CONFIG_DISK_NVME] = &guest_disk_nvme,
	[CONFIG_DISK_AHCI] = &guest_disk_ahci,	   [CONFIG_DISK_IDE] = &guest_disk_ide,
	[CONFIG_DISK_FLOPPY] = &guest_disk_floppy,
};

/* Where media come and go. */
static const struct guest_disk_media *const media[] = {
	[CONFIG_DISK_AHCI] = &guest_disk_ahci_media,
	[CONFIG_DISK_IDE] = &guest_disk_ide_media,
	[CONFIG_DISK_FLOPPY] = &guest_disk_floppy_media,
};

static enum hv_status attach(struct guest *g, struct guest_disk *d)
{
	enum hv_status status = buses[d->config->bus]->attach(g, d);

	if (status == HV_OK && is_limited(d->config)) {
		blk_limit_open(&d->limit);
	}
	return status;
}

enum hv_status guest_disks_attach(struct guest *g)
{
	enum hv_status status = HV_OK;

	for (unsigned i = 0; status == HV_OK && i < g->config->disk_count; i++) {
		status = attach(g, g->disks[i]);
	}
	return status;
}

bool guest_disks_boot_path(const struct guest *g, unsigned index, char *out, size_t cap)
{
	const struct guest_disk *d = g->disks[index];

	if (d->model == NULL) {
		return false;
	}
	buses[d->config->bus]->boot_path(d, out, cap);
	return true;
}

bool guest_disks_settled(struct guest *g)
{
	bool settled = true;

	for (unsigned i = 0; i < g->config->disk_count; i++) {
		struct guest_disk *d = g->disks[i];

		if (d == NULL || d->model == NULL) {
			continue;
		}
		if (is_limited(d->config)) {
			blk_limit_close(&d->limit);
		}
		settled = buses[d->config->bus]->is_idle(d->model) && settled;
	}
	return settled;
}

/* NULL: the disk is no CD or floppy drive of a guest that runs. */
static struct guest_disk *running_drive(struct guest *g, unsigned index)
{
	struct guest_disk *d = index < g->config->disk_count ? g->disks[index] : NULL;

	return d != NULL && d->model != NULL && config_disk_is_removable(d->config) ? d : NULL;
}

enum hv_status guest_disks_eject(struct guest *g, unsigned index, bool force)
{
	struct guest_disk *d = running_drive(g, index);

	return d == NULL ? HV_E_UNSUPPORTED : media[d->config->bus]->eject(d, force);
}

enum hv_status guest_disks_insert(struct guest *g, unsigned index)
{
	struct guest_disk *d = running_drive(g, index);

	return d == NULL ? HV_E_UNSUPPORTED : media[d->config->bus]->insert(d);
}

uint64_t guest_disks_overlay_bytes(struct guest *g)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < g->config->disk_count; i++) {
		if (g->disks[i] != NULL && g->disks[i]->config->overlay) {
			bytes += blk_overlay_bytes(&g->disks[i]->overlay);
		}
	}
	return bytes;
}
