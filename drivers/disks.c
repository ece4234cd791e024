/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's disks, from all drivers. */
#include "drivers/disks.h"

#include <stddef.h>

#include "drivers/ahci.h"
#include "drivers/nvme.h"
#include "drivers/virtio_blk.h"
#include "hv/base/bits.h"
#include "hv/base/log.h"

#define BASE_CLASS_STORAGE 0x01u
#define FLUSH_LIMIT_NS 10000000000ull

struct driver {
	bool (*matches)(const struct host_pci *f);
	void (*probe)(struct host_pci *f, unsigned index, void (*found)(struct blk_device *d));
};

static struct {
	struct blk_device *disk[HOST_DISKS_MAX];
	unsigned count;
	void (*found)(struct blk_device *d);
} disks;

static bool is_nvme(const struct host_pci *f)
{
	return f->class_code == NVME_CLASS;
}

static bool is_ahci(const struct host_pci *f)
{
	return f->class_code == AHCI_CLASS;
}

static const struct driver drivers[] = {
	{is_nvme, nvme_probe},
	{is_ahci, ahci_probe},
	{virtio_blk_matches, virtio_blk_probe},
};

static void take(struct blk_device *d)
{
	if (disks.count == HOST_DISKS_MAX) {
		log_warn("disk: %s: more than %u disks", d->name, HOST_DISKS_MAX);
		return;
	}
	disks.disk[disks.count++] = d;
	log_info("disk: %s: %lu MiB, sectors of %u, serial %s%s", d->name,
		 d->sectors * BLK_SECTOR >> 20, d->block_size,
		 d->serial[0] != '\0' ? d->serial : "unknown", d->readonly ? ", read-only" : "");
	if (disks.found != NULL) {
		disks.found(d);
	}
}

/* The number that a driver's next controller has in its name. */
static void probe(struct host_pci *f, unsigned next[])
{
	char name[HOST_PCI_NAME_MAX];

	for (unsigned i = 0; i < ARRAY_SIZE(drivers); i++) {
		if (f->owner == NULL && drivers[i].matches(f)) {
			drivers[i].probe(f, next[i]++, take);
			return;
		}
	}
	if (f->owner == NULL && f->class_code >> 16 == BASE_CLASS_STORAGE) {
		host_pci_name(f, name);
		log_info("disk: no driver for the controller at %s, class 0x%06x", name,
			 f->class_code);
	}
}

void host_disks_init(void (*found)(struct blk_device *d))
{
	unsigned next[ARRAY_SIZE(drivers)] = {0};

	disks.count = 0;
	disks.found = found;
	for (unsigned i = 0; i < host_pci_count(); i++) {
		probe(host_pci_at(i), next);
	}
}

void host_disks_stop(void)
{
	/* A request that is lost stays its disk's. */
	static struct blk_request flushes[HOST_DISKS_MAX];

	for (unsigned i = 0; i < disks.count; i++) {
		struct blk_device *d = disks.disk[i];

		flushes[i] = (struct blk_request){.op = BLK_FLUSH};
		if (!d->removed && blk_sync(d, &flushes[i], FLUSH_LIMIT_NS) != HV_OK) {
			log_warn("disk: %s: could not be flushed", d->name);
		}
	}
	/* Disks may share a controller. */
	for (unsigned i = 0; i < disks.count; i++) {
		if (disks.disk[i]->ops->stop != NULL) {
			disks.disk[i]->ops->stop(disks.disk[i]);
		}
	}
}

unsigned host_disks_count(void)
{
	return disks.count;
}

struct blk_device *host_disks_at(unsigned index)
{
	return index < disks.count ? disks.disk[index] : NULL;
}
