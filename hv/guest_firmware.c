/* SPDX-License-Identifier: Apache-2.0 */
/* Choosing, placing and feeding a guest's firmware. */
#include "hv/guest_firmware.h"

#include "guests/firmware.h"
#include "guests/layout.h"
#include "hv/api/gmem.h"
#include "hv/base/bits.h"
#include "hv/base/fmt.h"
#include "hv/base/log.h"
#include "hv/blk/boot_kind.h"
#include "hv/config_firmware.h"
#include "hv/guest_net.h"
#include "hv/guest_varstore.h"
#include "mm/pool.h"

#define ROM_PARTS_MAX 2u
/* How long a disk may take to show a block, at the start of the machine. */
#define READ_LIMIT_NS 10000000000ull

/* ---- which ---- */

/* What a disk may go on using when it did not answer in time. */
struct probe {
	struct blk_request request;
	struct blk_device *dev;
	struct gpt_table table;
};

static enum hv_status read_blocks(void *ctx, uint64_t block, uint32_t count, void *buffer)
{
	struct probe *p = ctx;
	uint32_t sectors = p->dev->block_size / BLK_SECTOR;

	/* It did not answer the last time: it still has the request. */
	if (p->request.done != NULL) {
		return HV_E_IO;
	}
	p->request = (struct blk_request){
		.op = BLK_READ,
		.sector = block * sectors,
		.count = count * sectors,
		.buffer = buffer,
	};
	return blk_sync(p->dev, &p->request, READ_LIMIT_NS);
}

static enum boot_kind kind_of(struct probe *p, struct guest_disk *disk, void *scratch)
{
	const struct gpt_source source = {
		.read = read_blocks,
		.ctx = p,
		.blocks =
			disk->partition.dev.sectors / (disk->partition.dev.block_size / BLK_SECTOR),
		.block_size = disk->partition.dev.block_size,
	};
	enum boot_kind kind;

	p->dev = &disk->partition.dev;
	kind = boot_kind_of(&source, scratch, &p->table);
	/* A floppy's first sector has code where an MBR has types, and UEFI has no driver. */
	return disk->config->bus == CONFIG_DISK_FLOPPY && kind != BOOT_NOTHING ? BOOT_BIOS : kind;
}

/* Of the first disk that anything can be booted from; `*index` is its number, or 0 where there is
 * none. */
static enum boot_kind find_kind(struct guest *g, unsigned *index)
{
	struct probe *p = pool_alloc(sizeof(*p));
	void *scratch = pool_pages(0);
	enum boot_kind kind = BOOT_NOTHING;

	*index = 0;
	for (unsigned i = 0;
	     p != NULL && scratch != NULL && kind == BOOT_NOTHING && i < g->config->disk_count;
	     i++) {
		kind = kind_of(p, g->disks[i], scratch);
		*index = kind != BOOT_NOTHING ? i : 0;
	}
	/* One that it still has is lost with its memory. */
	if (p != NULL && scratch != NULL && p->request.done != NULL) {
		return kind;
	}
	pool_free(p, sizeof(*p));
	if (scratch != NULL) {
		pool_pages_free(scratch, 0);
	}
	return kind;
}

static bool refuse(struct guest *g, unsigned disk, const char *kind, const char *path)
{
	fmt_snprintf(g->reason, sizeof(g->reason),
		     "disk %u boots by %s, and there is no %s below \\bulkhead", disk, kind, path);
	g->refused = true;
	return false;
}

/* A medium that takes either gets UEFI, where that is there. */
static bool takes_bios(const struct guest *g, enum boot_kind kind)
{
	if (kind == BOOT_EITHER) {
		return g->bios.size != 0 && (g->uefi_code.size == 0 || g->uefi_vars.size == 0);
	}
	return kind != BOOT_UEFI;
}

bool guest_firmware_choose(struct guest *g)
{
	unsigned disk;

	if (g->config->firmware != CONFIG_FIRMWARE_AUTO) {
		g->firmware_kind = g->config->firmware;
		return true;
	}
	if (takes_bios(g, find_kind(g, &disk))) {
		g->firmware_kind = CONFIG_FIRMWARE_IS_BIOS;
		return g->bios.size != 0 || refuse(g, disk, "BIOS", CONFIG_FIRMWARE_BIOS);
	}
	g->firmware_kind = CONFIG_FIRMWARE_IS_UEFI;
	if (g->uefi_code.size == 0) {
		return refuse(g, disk, "UEFI", CONFIG_FIRMWARE_CODE);
	}
	return g->uefi_vars.size != 0 || refuse(g, disk, "UEFI", CONFIG_FIRMWARE_VARS);
}

/* ---- memory ---- */

/* The parts of the read-only memory, the uppermost first; returns their number. */
static unsigned rom_parts(const struct guest *g, const struct guest_file *parts[ROM_PARTS_MAX])
{
	if (g->firmware_kind != CONFIG_FIRMWARE_IS_UEFI) {
		parts[0] = &g->bios;
		return 1;
	}
	parts[0] = &g->uefi_code;
	parts[1] = &g->varstore->file;
	return 2;
}

enum hv_status guest_firmware_add_memory(struct guest *g)
{
	const struct guest_file *parts[ROM_PARTS_MAX];
	unsigned count = rom_parts(g, parts);
	enum hv_status status = HV_OK;
	uint64_t base = LAYOUT_4G;

	for (unsigned i = 0; status == HV_OK && i < count; i++) {
		base -= parts[i]->size;
		status = gspace_add_rom(&g->vm.gspace, base, parts[i]->size);
	}
	return status;
}

/* The end of the image where real-mode code looks for it. */
static enum hv_status load_shadow(struct guest *g, const struct guest_file *image)
{
	uint64_t n = min_u64(image->size, LAYOUT_FIRMWARE_SHADOW_SIZE);
	const uint8_t *from = (const uint8_t *)image->data + (image->size - n);

	return guest_mem_write(&g->vm, gpa(LAYOUT_HIGH_BASE - n), from, n);
}

enum hv_status guest_firmware_load(struct guest *g, bool *done)
{
	const struct guest_file *parts[ROM_PARTS_MAX];
	unsigned count = rom_parts(g, parts);
	unsigned part = g->firmware_loaded++;
	uint64_t base = LAYOUT_4G;

	*done = part >= count;
	if (*done) {
		return load_shadow(g, parts[0]);
	}
	for (unsigned i = 0; i <= part; i++) {
		base -= parts[i]->size;
	}
	return guest_rom_write(&g->vm, gpa(base), parts[part]->data, parts[part]->size);
}

/* ---- devices ---- */

/* Device's lock held. */
static void debug_line(void *ctx, const char *text)
{
	const struct guest *g = ctx;

	log_debug("%s: firmware: %s", g->vm.name, text);
}

static struct firmware_span span_from(const struct guest_file *file)
{
	return (struct firmware_span){file->data, file->size};
}

static void describe_cpu(struct guest *g, struct firmware_config *c)
{
	const struct cpuid_vcpu_state none = {0};
	struct cpuid_regs features = cpuid_read(&g->cpuid, &none, 1, 0);
	struct cpuid_regs sizes = cpuid_read(&g->cpuid, &none, CPUID_LEAF_ADDRESS_SIZES, 0);

	c->cpu_signature = features.eax;
	c->cpu_features = features.edx;
	c->physical_bits = sizes.eax & 0xff;
}

static void describe_disks(struct guest *g, struct firmware_config *c)
{
	for (unsigned i = 0; i < g->config->disk_count; i++) {
		if (guest_disks_boot_path(g, i, c->boot[c->boot_count], sizeof(c->boot[0]))) {
			c->boot_count++;
		}
	}
}

static void describe_nics(struct guest *g, struct firmware_config *c)
{
	for (unsigned i = 0; i < g->config->net_count; i++) {
		guest_net_boot_path(g, i, c->boot[c->boot_count++], sizeof(c->boot[0]));
	}
}

static void describe_boot(struct guest *g, struct firmware_config *c)
{
	static void (*const describe[])(struct guest * g, struct firmware_config * c) = {
		[CONFIG_BOOT_DISK] = describe_disks,
		[CONFIG_BOOT_NET] = describe_nics,
	};

	static_assert(1 + CONFIG_DISKS_MAX + CONFIG_NETS_MAX <= FIRMWARE_BOOT_MAX,
		      "each has its place");
	if (g->linuxboot.size != 0) {
		(void)str_copy(c->boot[c->boot_count++], sizeof(c->boot[0]),
			       span_of(FIRMWARE_LINUXBOOT_PATH));
	}
	for (unsigned i = 0; i < g->config->boot_count; i++) {
		describe[g->config->boot[i]](g, c);
	}
}

static enum hv_status init_devices(struct guest *g, struct firmware *f, struct firmware_config *c)
{
	*c = (struct firmware_config){
		.vm = &g->vm,
		.work = &g->vm.work,
		.board = g->board,
		.ram = &g->ram,
		.name = g->vm.name,
		.uefi = g->firmware_kind == CONFIG_FIRMWARE_IS_UEFI,
		.vgabios = span_from(&g->vgabios),
		.linuxboot = span_from(&g->linuxboot),
		.kernel = span_from(&g->kernel),
		.initrd = span_from(&g->initrd),
		.cmdline = g->config->cmdline,
		.line = debug_line,
		.ctx = g,
	};
	describe_cpu(g, c);
	describe_boot(g, c);
	return firmware_init(f, c);
}

enum hv_status guest_firmware_create(struct guest *g)
{
	struct firmware *f = pool_alloc(sizeof(*f));
	/* Too large for the stack. */
	struct firmware_config *c = pool_alloc(sizeof(*c));
	enum hv_status status;

	if (f == NULL || c == NULL) {
		pool_free(f, sizeof(*f));
		pool_free(c, sizeof(*c));
		return HV_E_NO_MEMORY;
	}
	status = init_devices(g, f, c);
	pool_free(c, sizeof(*c));
	g->firmware = f;
	if (status == HV_OK) {
		status = bus_register(&g->vm.pio, FW_CFG_PORT, FW_CFG_PORTS, &f->cfg.dev);
	}
	/* Each character is an exit, and SeaBIOS has thousands for whoever answers there. */
	if (status == HV_OK && log_shows(LOG_DEBUG)) {
		status = bus_register(&g->vm.pio, DEBUG_PORT, 1, &f->debug.dev);
	}
	if (status == HV_OK && g->firmware_kind == CONFIG_FIRMWARE_IS_UEFI) {
		status = guest_varstore_attach(g, LAYOUT_4G - g->uefi_code.size -
							  g->varstore->file.size);
	}
	saved_add(&g->vm.saved, &f->cfg.saved, 0);
	saved_add(&g->vm.saved, &f->debug.saved, 0);
	g->firmware_loaded = 0;
	return status;
}

void guest_firmware_destroy(struct guest *g)
{
	if (g->firmware == NULL) {
		return;
	}
	pool_free(g->firmware, sizeof(*g->firmware));
	g->firmware = NULL;
}
