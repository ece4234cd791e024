/* SPDX-License-Identifier: Apache-2.0 */
/* The monitor's answers about disks. */
#include "hv/blk/registry.h"
#include "hv/guest.h"
#include "hv/guest_disks.h"
#include "hv/guest_varstore.h"
#include "hv/monitor.h"

/* --- info disks --- */

/* The guests that have sectors of `extent`: " web writes, db reads". */
static void print_users(const struct blk_extent *extent)
{
	const char *separator = "  ";

	list_for_each (it, blk_registry_claims()) {
		const struct blk_claim *c = list_entry(it, struct blk_claim, node);

		if (blk_extents_overlap(extent, &c->extent)) {
			monitor_print("%s%s %s", separator, c->owner,
				      c->writes ? "writes" : "reads");
			separator = ", ";
		}
	}
	monitor_print("\n");
}

/* What there is instead of partitions; "" when the table is in order. */
static const char *table_note(const struct blk_disk *disk)
{
	if (disk->table_status == HV_OK) {
		return disk->table_problem != NULL ? "  (backup of a damaged table)" : "";
	}
	return disk->table_status == HV_E_NOT_FOUND ? "  (no GPT)" : "  (no readable GPT)";
}

static void print_partitions(const struct blk_disk *disk)
{
	for (unsigned i = 0; i < disk->partition_count; i++) {
		const struct gpt_partition *p = &disk->partitions[i];
		char guid[GPT_GUID_TEXT_MAX];
		struct blk_extent extent;

		blk_registry_partition(disk, i, &extent);
		gpt_guid_format(p->unique, guid);
		monitor_print("  %-3u %9lu MiB  %s  %s", p->number, extent.sectors >> 11, guid,
			      p->label[0] != '\0' ? p->label : "-");
		print_users(&extent);
	}
}

static void print_disk(const struct blk_disk *disk)
{
	struct blk_extent whole = {.dev = disk->dev, .sectors = disk->dev->sectors};

	monitor_print("%-12s %9lu MiB  %s%s%s%s", disk->dev->name, disk->dev->sectors >> 11,
		      disk->dev->serial[0] != '\0' ? disk->dev->serial : "-",
		      disk->dev->readonly ? "  read-only" : "",
		      disk->dev->removed ? "  FAILED" : "", table_note(disk));
	print_users(&whole);
	print_partitions(disk);
}

/* Calls `print` for each image with its extent and its number of users. */
static void each_image(void (*print)(const struct blk_extent *extent, unsigned users))
{
	list_for_each (it, blk_registry_images()) {
		struct blk_shared_image *shared = list_entry(it, struct blk_shared_image, node);
		struct blk_extent extent = {.dev = &shared->image.dev,
					    .sectors = shared->image.dev.sectors};
		unsigned users = 0;

		list_for_each (claim, blk_registry_claims()) {
			users += blk_extents_overlap(
				&extent, &list_entry(claim, struct blk_claim, node)->extent);
		}
		print(&extent, users);
	}
}

static void print_image(const struct blk_extent *extent, unsigned users)
{
	(void)users;
	monitor_print("image %s, %lu KiB in memory", extent->dev->name, extent->sectors >> 1);
	print_users(extent);
}

static void print_guest_disk(struct guest *g, unsigned index)
{
	struct guest_disk *d = g->disks[index];

	monitor_print("%s disk%u: %s, %lu MiB", g->vm.name, index, d->extent.name,
		      d->extent.sectors >> 11);
	if (d->config->overlay) {
		monitor_print(", overlay takes %lu KiB", blk_overlay_bytes(&d->overlay) >> 10);
	}
	monitor_print("%s\n", d->config->readonly ? ", read-only" : "");
}

static void print_variables(struct guest *g)
{
	struct varstore *v = &g->varstore->store;

	monitor_print("%s variables: %s, %u KiB%s\n", g->vm.name,
		      v->device != NULL ? v->device->name : "in memory",
		      v->blocks * (VARSTORE_BLOCK >> 10), varstore_fails(v) ? ", writes fail" : "");
}

void monitor_info_disks(void)
{
	for (unsigned i = 0; i < blk_registry_disk_count(); i++) {
		print_disk(blk_registry_disk(i));
	}
	each_image(print_image);
	for (unsigned i = 0; i < guest_count(); i++) {
		struct guest *g = guest_at(i);

		for (unsigned k = 0; !g->refused && k < g->config->disk_count; k++) {
			print_guest_disk(g, k);
		}
		if (g->varstore != NULL) {
			print_variables(g);
		}
	}
}

/* --- info memory --- */

static void print_image_memory(const struct blk_extent *extent, unsigned users)
{
	monitor_print("  image %s: %lu KiB, once for %u disk%s\n", extent->dev->name,
		      extent->sectors >> 1, users, users == 1 ? "" : "s");
}

void monitor_memory_of_disks(void)
{
	each_image(print_image_memory);
	for (unsigned i = 0; i < guest_count(); i++) {
		struct guest *g = guest_at(i);

		if (g->config->disk_count > 0) {
			monitor_print("  %-16s overlays %lu KiB\n", g->vm.name,
				      guest_disks_overlay_bytes(g) >> 10);
		}
	}
}

/* --- stats --- */

static void stats_disk(struct guest_disk *d, unsigned index)
{
	static const char *const ops[BLK_OP_COUNT] = {[BLK_READ] = "read",
						      [BLK_WRITE] = "write",
						      [BLK_FLUSH] = "flush",
						      [BLK_DISCARD] = "discard",
						      [BLK_WRITE_ZEROES] = "write-zeroes"};
	struct blk_stats *stats = &d->top->stats;

	monitor_print("disk%u.source %s\n", index, d->extent.name);
	monitor_print("disk%u.bytes %lu\n", index, d->top->sectors * BLK_SECTOR);
	for (unsigned op = 0; op < BLK_OP_COUNT; op++) {
		monitor_print("disk%u.%s-requests %lu\n", index, ops[op],
			      atomic_load(&stats->requests[op]));
		if (op != BLK_FLUSH) {
			monitor_print("disk%u.%s-bytes %lu\n", index, ops[op],
				      atomic_load(&stats->sectors[op]) * BLK_SECTOR);
		}
	}
	monitor_print("disk%u.errors %lu\n", index, atomic_load(&stats->errors));
	if (d->config->overlay) {
		monitor_print("disk%u.overlay-bytes %lu\n", index, blk_overlay_bytes(&d->overlay));
		monitor_print("disk%u.overlay-failed-writes %lu\n", index,
			      d->overlay.failed_writes);
	}
}

void monitor_stats_disks(struct guest *g)
{
	for (unsigned i = 0; !g->refused && i < g->config->disk_count; i++) {
		stats_disk(g->disks[i], i);
	}
}

/* --- eject, insert --- */

/* A number of a disk, as "disk1" or "1"; without one the guest's first CD or floppy drive. */
static bool disk_index(const struct guest *g, struct span word, unsigned *index)
{
	uint64_t number;

	if (span_starts(word, "disk")) {
		word = (struct span){word.p + 4, word.n - 4};
	}
	if (span_to_u64(word, &number) != HV_OK || number >= g->config->disk_count) {
		return false;
	}
	*index = (unsigned)number;
	return true;
}

static bool first_drive(const struct guest *g, unsigned *index)
{
	for (*index = 0; *index < g->config->disk_count; (*index)++) {
		if (config_disk_is_removable(&g->config->disks[*index])) {
			return true;
		}
	}
	return false;
}

/* The guest and its drive; NULL, and said why, when there is none. *force: "force" follows. */
static struct guest *find_drive(struct span args, unsigned *index, bool *force)
{
	struct guest *g = monitor_guest(&args);
	struct span word = {"", 0};
	bool found;

	if (g == NULL) {
		return NULL;
	}
	*force = false;
	found = first_drive(g, index);
	while (span_next_word(&args, &word)) {
		if (span_eq(word, "force")) {
			*force = true;
		} else {
			found = disk_index(g, word, index);
		}
	}
	if (!found || !config_disk_is_removable(&g->config->disks[*index])) {
		monitor_print("%s has no such CD or floppy drive\n", g->vm.name);
		return NULL;
	}
	return g;
}

void monitor_eject(struct span args)
{
	unsigned index;
	bool force;
	struct guest *g = find_drive(args, &index, &force);
	enum hv_status status;

	if (g == NULL) {
		return;
	}
	status = guest_disks_eject(g, index, force);
	if (status == HV_E_BUSY) {
		monitor_print("%s has locked disk%u and was asked to let go; or eject %s disk%u "
			      "force\n",
			      g->vm.name, index, g->vm.name, index);
	} else if (status == HV_E_NOT_FOUND) {
		monitor_print("disk%u of %s is empty\n", index, g->vm.name);
	} else if (status != HV_OK) {
		monitor_print("%s does not run\n", g->vm.name);
	}
}

void monitor_insert(struct span args)
{
	unsigned index;
	bool force;
	struct guest *g = find_drive(args, &index, &force);

	if (g != NULL && guest_disks_insert(g, index) != HV_OK) {
		monitor_print("%s does not run\n", g->vm.name);
	}
}
