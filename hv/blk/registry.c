/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's disks, their tables, images, and claims on them. */
#include "hv/blk/registry.h"

#include "hv/base/addr.h"
#include "hv/base/bits.h"
#include "hv/base/fmt.h"
#include "hv/base/log.h"
#include "mm/pool.h"

/* How long one block may take at the start: disks that spin up have been waited for before. */
#define SCAN_LIMIT_NS 10000000000ull

static struct {
	struct blk_disk disks[BLK_DISKS_MAX];
	unsigned disk_count;
	struct list_node images;
	struct list_node claims;
} registry;

/* Reading a table: what the disk may go on using when it did not answer in time. */
struct scan {
	struct blk_request request;
	struct blk_device *dev;
	void *scratch; /* GPT_BLOCK_MAX bytes */
	struct gpt_table table;
};
static_assert(GPT_BLOCK_MAX <= PAGE_SIZE, "a block fits the scratch page");

void blk_registry_init(void)
{
	registry.disk_count = 0;
	list_init(&registry.images);
	list_init(&registry.claims);
}

/* --- disks --- */

void blk_registry_add(struct blk_device *disk)
{
	if (registry.disk_count == BLK_DISKS_MAX) {
		log_warn("%s: left out: at most %u disks", disk->name, BLK_DISKS_MAX);
		return;
	}
	registry.disks[registry.disk_count++] = (struct blk_disk){.dev = disk};
}

unsigned blk_registry_disk_count(void)
{
	return registry.disk_count;
}

const struct blk_disk *blk_registry_disk(unsigned index)
{
	return index < registry.disk_count ? &registry.disks[index] : NULL;
}

/* --- partition tables --- */

static enum hv_status read_blocks(void *ctx, uint64_t block, uint32_t count, void *buffer)
{
	struct scan *scan = ctx;
	uint32_t sectors = scan->dev->block_size / BLK_SECTOR;

	/* The disk did not answer in time the last time: it still has the request. */
	if (scan->request.done != NULL) {
		return HV_E_IO;
	}
	scan->request = (struct blk_request){
		.op = BLK_READ,
		.sector = block * sectors,
		.count = count * sectors,
		.buffer = buffer,
	};
	return blk_sync(scan->dev, &scan->request, SCAN_LIMIT_NS);
}

static void keep_table(struct blk_disk *disk, const struct gpt_table *table)
{
	size_t bytes = table->count * sizeof(*table->partitions);

	disk->table_problem = table->problem;
	if (disk->table_status != HV_OK || table->count == 0) {
		return;
	}
	disk->partitions = pool_alloc(bytes);
	if (disk->partitions == NULL) {
		disk->table_status = HV_E_NO_MEMORY;
		return;
	}
	memcpy(disk->partitions, table->partitions, bytes);
	disk->partition_count = table->count;
}

static void log_table(const struct blk_disk *disk, const struct gpt_table *table)
{
	const char *name = disk->dev->name;

	if (disk->table_status == HV_OK) {
		log_info("%s: %u partitions", name, disk->partition_count);
	} else if (disk->table_status == HV_E_NOT_FOUND) {
		log_info("%s: no GUID partition table", name);
	} else if (disk->table_status == HV_E_INVALID) {
		log_warn("%s: its partition table and the backup are damaged: %s", name,
			 table->problem);
	} else {
		log_warn("%s: its partition table cannot be read: %s", name,
			 hv_status_name(disk->table_status));
	}
	if (table->backup && disk->table_status == HV_OK) {
		log_warn("%s: its partition table is damaged (%s); the backup is used", name,
			 table->problem);
	}
	if (table->left_out != 0) {
		log_warn("%s: %u partitions do not fit the disk and are left out", name,
			 table->left_out);
	}
}

static void scan_disk(struct blk_disk *disk, struct scan *scan)
{
	struct gpt_source source = {
		.read = read_blocks,
		.ctx = scan,
		.blocks = disk->dev->sectors / (disk->dev->block_size / BLK_SECTOR),
		.block_size = disk->dev->block_size,
	};

	scan->dev = disk->dev;
	disk->table_status = gpt_read(&source, scan->scratch, &scan->table);
	keep_table(disk, &scan->table);
	log_table(disk, &scan->table);
}

/* A disk that failed may still write into the memory it was given: that is lost with it. */
static void scan_with_memory(struct blk_disk *disk)
{
	struct scan *scan = pool_alloc(sizeof(*scan));
	void *scratch = pool_pages(0);

	disk->table_status = HV_E_NO_MEMORY;
	if (scan != NULL && scratch != NULL) {
		scan->scratch = scratch;
		scan_disk(disk, scan);
	}
	if (disk->table_status == HV_E_IO) {
		return;
	}
	pool_free(scan, sizeof(*scan));
	if (scratch != NULL) {
		pool_pages_free(scratch, 0);
	}
}

void blk_registry_scan(void)
{
	for (unsigned i = 0; i < registry.disk_count; i++) {
		struct blk_disk *disk = &registry.disks[i];

		if (!disk->scanned) {
			disk->scanned = true;
			scan_with_memory(disk);
		}
	}
}

/* --- looking up --- */

void blk_registry_partition(const struct blk_disk *disk, unsigned index, struct blk_extent *out)
{
	const struct gpt_partition *p = &disk->partitions[index];
	uint64_t sectors = disk->dev->block_size / BLK_SECTOR;

	*out = (struct blk_extent){disk->dev, p->start * sectors, p->count * sectors, ""};
	fmt_snprintf(out->name, sizeof(out->name), "%s partition %u", disk->dev->name, p->number);
}

/* Candidates, or what there is instead, gathered into the text of an error. */
struct answer {
	struct blk_extent *out; /* the first one found */
	unsigned count;
	char *why;
	size_t n; /* of `why` */
};

static void list_name(struct answer *a, const char *name, const char *label)
{
	if (a->n < BLK_WHY_MAX) {
		a->n += fmt_snprintf(a->why + a->n, BLK_WHY_MAX - a->n, "%s%s%s%s%s",
				     a->n > 0 ? ", " : "", name, label[0] != '\0' ? " (" : "",
				     label, label[0] != '\0' ? ")" : "");
	}
}

static bool is_named(const struct gpt_partition *p, struct span name)
{
	uint8_t guid[GPT_GUID_SIZE];

	return (name.n > 0 && span_eq(name, p->label)) ||
	       (gpt_guid_parse(name, guid) && memcmp(guid, p->unique, sizeof(guid)) == 0);
}

/* Goes through all partitions; `name` NULL: lists them all. */
static void look_for_partition(const struct span *name, struct answer *a)
{
	for (unsigned d = 0; d < registry.disk_count; d++) {
		const struct blk_disk *disk = &registry.disks[d];

		for (unsigned i = 0; i < disk->partition_count; i++) {
			const struct gpt_partition *p = &disk->partitions[i];
			struct blk_extent extent;

			if (name != NULL && !is_named(p, *name)) {
				continue;
			}
			blk_registry_partition(disk, i, &extent);
			list_name(a, extent.name, name == NULL ? p->label : "");
			*a->out = a->count == 0 ? extent : *a->out;
			a->count++;
		}
	}
}

static void look_for_disk(const struct span *serial, struct answer *a)
{
	for (unsigned d = 0; d < registry.disk_count; d++) {
		struct blk_device *dev = registry.disks[d].dev;

		if (serial != NULL && (serial->n == 0 || !span_eq(*serial, dev->serial))) {
			continue;
		}
		list_name(a, dev->name, serial == NULL ? dev->serial : "");
		if (a->count++ == 0) {
			*a->out = (struct blk_extent){dev, 0, dev->sectors, ""};
			(void)str_copy(a->out->name, sizeof(a->out->name), span_of(dev->name));
		}
	}
}

static enum hv_status find(struct span name, void (*look)(const struct span *, struct answer *),
			   struct blk_extent *out, char why[BLK_WHY_MAX])
{
	static const char none[] = "none";
	struct blk_extent unused;
	struct answer found = {.out = out, .why = why};
	struct answer all = {.out = &unused, .why = why};

	why[0] = '\0';
	look(&name, &found);
	if (found.count == 1) {
		return HV_OK;
	}
	if (found.count > 1) {
		return HV_E_EXISTS;
	}
	look(NULL, &all);
	if (all.count == 0) {
		memcpy(why, none, sizeof(none));
	}
	return HV_E_NOT_FOUND;
}

enum hv_status blk_registry_find_partition(struct span name, struct blk_extent *out,
					   char why[BLK_WHY_MAX])
{
	return find(name, look_for_partition, out, why);
}

enum hv_status blk_registry_find_disk(struct span serial, struct blk_extent *out,
				      char why[BLK_WHY_MAX])
{
	return find(serial, look_for_disk, out, why);
}

/* --- images --- */

static struct blk_shared_image *find_image(const void *data)
{
	list_for_each (it, &registry.images) {
		struct blk_shared_image *shared = list_entry(it, struct blk_shared_image, node);

		if (shared->image.data == data) {
			return shared;
		}
	}
	return NULL;
}

enum hv_status blk_registry_image(const char *name, const void *data, uint64_t bytes,
				  struct blk_extent *out, char why[BLK_WHY_MAX])
{
	struct blk_shared_image *shared = find_image(data);

	if (shared == NULL) {
		shared = pool_alloc(sizeof(*shared));
		if (shared == NULL) {
			fmt_snprintf(why, BLK_WHY_MAX, "no memory");
			return HV_E_NO_MEMORY;
		}
		if (blk_image_init(&shared->image, name, data, bytes) != HV_OK) {
			pool_free(shared, sizeof(*shared));
			fmt_snprintf(why, BLK_WHY_MAX,
				     "it has %lu bytes; allowed: multiples of %u, as a raw disk "
				     "image has",
				     bytes, BLK_SECTOR);
			return HV_E_INVALID;
		}
		list_append(&registry.images, &shared->node);
	}
	*out = (struct blk_extent){&shared->image.dev, 0, shared->image.dev.sectors, ""};
	(void)str_copy(out->name, sizeof(out->name), span_of(shared->image.dev.name));
	return HV_OK;
}

const struct list_node *blk_registry_images(void)
{
	return &registry.images;
}

/* --- claims --- */

bool blk_extents_overlap(const struct blk_extent *a, const struct blk_extent *b)
{
	return a->dev == b->dev && ranges_overlap(a->start, a->sectors, b->start, b->sectors);
}

/* A claim that forbids this one; NULL: there is none. */
static const struct blk_claim *conflict(const struct blk_extent *extent, bool writes)
{
	list_for_each (it, &registry.claims) {
		const struct blk_claim *c = list_entry(it, struct blk_claim, node);

		if ((writes || c->writes) && blk_extents_overlap(extent, &c->extent)) {
			return c;
		}
	}
	return NULL;
}

enum hv_status blk_registry_claim(const struct blk_extent *extent, bool writes, const char *owner,
				  char why[BLK_WHY_MAX])
{
	const struct blk_claim *other = conflict(extent, writes);
	struct blk_claim *c;

	if (writes && extent->dev->readonly) {
		fmt_snprintf(why, BLK_WHY_MAX, "%s can only be read; add readonly or overlay",
			     extent->name);
		return HV_E_INVALID;
	}
	if (other != NULL) {
		fmt_snprintf(why, BLK_WHY_MAX, "guest %s %s %s, which guest %s would %s",
			     other->owner, other->writes ? "writes to" : "reads",
			     other->extent.name, owner, writes ? "write to" : "read");
		return HV_E_BUSY;
	}
	c = pool_alloc(sizeof(*c));
	if (c == NULL) {
		fmt_snprintf(why, BLK_WHY_MAX, "no memory");
		return HV_E_NO_MEMORY;
	}
	c->extent = *extent;
	c->writes = writes;
	(void)str_copy(c->owner, sizeof(c->owner), span_of(owner));
	list_append(&registry.claims, &c->node);
	return HV_OK;
}

void blk_registry_release(const char *owner)
{
	list_for_each_safe (it, &registry.claims) {
		struct blk_claim *c = list_entry(it, struct blk_claim, node);

		if (str_eq(c->owner, owner)) {
			list_remove(&c->node);
			pool_free(c, sizeof(*c));
		}
	}
}

const struct list_node *blk_registry_claims(void)
{
	return &registry.claims;
}
