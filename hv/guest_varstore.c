/* SPDX-License-Identifier: Apache-2.0 */
/* A guest's flash, between its memory and the store of its variables. */
#include "hv/guest_varstore.h"

#include "hv/api/gmem.h"
#include "hv/base/bits.h"
#include "hv/base/fmt.h"
#include "hv/base/log.h"
#include "hv/base/str.h"
#include "hv/guest.h"
#include "mm/pool.h"

static_assert(PFLASH_BLOCK == VARSTORE_BLOCK, "a block of flash is one of the store");
static_assert(VARSTORE_BLOCKS_MAX <= PFLASH_BLOCKS_MAX, "flash has room for each store");

/* --- opening --- */

static enum hv_status find_partition(struct guest *g, char why[GUEST_REASON_MAX])
{
	struct guest_varstore *v = g->varstore;
	const char *name = g->config->varstore.name;
	char list[BLK_WHY_MAX] = "";
	enum hv_status status = blk_registry_find_partition(span_of(name), &v->extent, list);

	if (status == HV_E_EXISTS) {
		fmt_snprintf(why, GUEST_REASON_MAX,
			     "several partitions have the label or UUID \"%s\": %s", name, list);
	} else if (status != HV_OK) {
		fmt_snprintf(why, GUEST_REASON_MAX,
			     "no partition has the label or UUID \"%s\"; there are: %s", name,
			     list);
	} else {
		status = blk_registry_claim(&v->extent, true, g->vm.name, why);
	}
	return status;
}

static enum hv_status read_partition(struct guest *g, char why[GUEST_REASON_MAX])
{
	struct guest_varstore *v = g->varstore;
	uint64_t bytes = varstore_staging_bytes(v->store.blocks);
	struct blk_device *dev = &v->partition.dev;
	char text[VARSTORE_WHY_MAX] = "cannot be used";
	enum varstore_origin origin = VARSTORE_BLANK;
	enum hv_status status = blk_partition_init(&v->partition, v->extent.dev, v->extent.start,
						   v->extent.sectors, false);

	v->staging = pool_alloc(bytes);
	if (v->staging == NULL) {
		fmt_snprintf(why, GUEST_REASON_MAX, "no memory");
		return HV_E_NO_MEMORY;
	}
	if (status == HV_OK) {
		(void)str_copy(dev->name, BLK_NAME_MAX, span_of(v->extent.name));
		status = varstore_open(&v->store, dev, v->staging, &origin, text);
	}
	if (status != HV_OK) {
		fmt_snprintf(why, GUEST_REASON_MAX, "%s %s", v->extent.name, text);
		/* A disk that did not answer may still write there: that memory is lost. */
		if (v->store.request.done == NULL) {
			pool_free(v->staging, bytes);
		}
		return status;
	}
	log_info("%s: variables on %s%s", v->owner, dev->name,
		 origin == VARSTORE_BLANK ? ", which is blank: they begin as the template" : "");
	return HV_OK;
}

/* The store in memory, as the template. */
static enum hv_status create_store(struct guest *g, char why[GUEST_REASON_MAX])
{
	const struct guest_file *template = &g->uefi_vars;
	struct guest_varstore *v;

	if (!config_varstore_fits(template->size)) {
		fmt_snprintf(why, GUEST_REASON_MAX,
			     "the template has %lu bytes; allowed: " CONFIG_VARSTORE_SIZES,
			     template->size);
		return HV_E_INVALID;
	}
	v = pool_alloc(sizeof(*v));
	g->varstore = v;
	if (v != NULL) {
		v->contents = pool_alloc(template->size);
	}
	if (v == NULL || v->contents == NULL) {
		fmt_snprintf(why, GUEST_REASON_MAX, "no memory");
		return HV_E_NO_MEMORY;
	}
	memcpy(v->contents, template->data, template->size);
	v->file = (struct guest_file){v->contents, template->size};
	fmt_snprintf(v->owner, sizeof(v->owner), "guest %s", g->vm.name);
	varstore_init(&v->store, v->owner, v->contents, (unsigned)(template->size / PFLASH_BLOCK));
	return HV_OK;
}

/* Nothing of a guest that cannot start stands in the way of others. */
static void give_up(struct guest *g)
{
	struct guest_varstore *v = g->varstore;

	blk_registry_release(g->vm.name);
	if (v != NULL) {
		pool_free(v->contents, v->file.size);
	}
	/* So is this, which has the request. */
	if (v != NULL && v->store.request.done == NULL) {
		pool_free(v, sizeof(*v));
	}
	g->varstore = NULL;
}

bool guest_varstore_open(struct guest *g)
{
	char why[GUEST_REASON_MAX] = "";
	enum hv_status status = create_store(g, why);

	if (status == HV_OK && g->config->varstore.partition) {
		status = find_partition(g, why);
		if (status == HV_OK) {
			status = read_partition(g, why);
		}
	}
	if (status != HV_OK) {
		give_up(g);
		fmt_snprintf(g->reason, sizeof(g->reason), "varstore: %s", why);
		g->refused = true;
	}
	return status == HV_OK;
}

/* --- the flash --- */

static void put(void *ctx, uint32_t offset, const uint8_t *data, uint32_t n)
{
	struct guest *g = ctx;
	struct guest_varstore *v = g->varstore;

	varstore_put(&v->store, offset, data, n);
	if (guest_rom_write(&g->vm, gpa(v->base + offset), data, n) != HV_OK) {
		guest_end(g, GUEST_END_CRASH, "the machine has no memory left for its flash");
	}
}

/* Where there is no memory to hide it, the guest reads memory in place of the status. */
static void show(void *ctx, bool array)
{
	struct guest *g = ctx;
	struct guest_varstore *v = g->varstore;
	enum hv_status status = array ? gspace_show_rom(&g->vm.gspace, v->base)
				      : gspace_hide_rom(&g->vm.gspace, v->base);

	if (array) {
		varstore_sync(&v->store);
	} else if (status == HV_OK) {
		guest_flush(g, guest_vcpus(g));
	}
}

enum hv_status guest_varstore_attach(struct guest *g, uint64_t base)
{
	struct guest_varstore *v = g->varstore;
	const struct pflash_config config = {
		.contents = v->contents,
		.blocks = v->store.blocks,
		.first_fixed = v->store.blocks,
		.put = put,
		.show = show,
		.ctx = g,
	};

	v->base = base;
	pflash_init(&v->flash, &config);
	saved_add(&g->vm.saved, &v->flash.saved, 0);
	/* The template, if the partition is blank; or what a failing disk has left to be written.
	 */
	varstore_sync(&v->store);
	return bus_register(&g->vm.mmio, base, v->file.size, &v->flash.dev);
}

bool guest_varstore_settled(struct guest *g)
{
	return g->varstore == NULL || varstore_settled(&g->varstore->store);
}
