/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Items for fw_cfg. Sources: QEMU's specification of fw_cfg for the numbers; SeaBIOS ("Runtime
 * config") and OVMF for the files that they read and what they expect in them.
 */
#include "guests/firmware.h"

#include "hv/base/bits.h"
#include "hv/base/fmt.h"
#include "hv/base/str.h"

/*
 * By this name SeaBIOS runs it for the display with these IDs, and the VGA BIOS learns from whom it
 * is called where its framebuffer lies. One in vgaroms/ belongs to no device, and tells systems of
 * a framebuffer at an address that nobody has.
 */
#define VGABIOS_FILE "pci1234,1111.rom"

/* Sleep states: bit 7: there is one; the rest is its SLP_TYP. */
#define STATES 6u
#define STATE_PRESENT 0x80u
#define SLEEP_S3 3u
#define SLEEP_S4 4u

#define WINDOW_END LAYOUT_IOAPIC_BASE
#define ECAM_256M 0x10000000u
#define BAR64_ALIGN 0x40000000ull

/* Fields of a bzImage (Linux, "The Linux/x86 Boot Protocol"). */
#define SETUP_SECTS 0x1f1u
#define SETUP_HEADER 0x202u /* "HdrS" */
#define SETUP_TYPE_OF_LOADER 0x210u
#define SETUP_LOADFLAGS 0x211u
#define SETUP_RAMDISK_IMAGE 0x218u
#define SETUP_RAMDISK_SIZE 0x21cu
#define SETUP_HEAP_END_PTR 0x224u
#define SETUP_CMD_LINE_PTR 0x228u
#define SETUP_SECTS_DEFAULT 4u
#define SETUP_END_MIN 0x230u
#define LOADER_UNKNOWN 0xffu
#define LOADFLAG_CAN_USE_HEAP 0x80u

/* Where old loaders put the parts. OVMF decides for itself, the option ROM moves the initrd to the
 * end of RAM. */
#define SETUP_ADDRESS 0x10000u
#define CMDLINE_ADDRESS 0x20000u
#define KERNEL_ADDRESS 0x100000u
#define INITRD_ADDRESS 0x4000000u

/* Runs of additions: the first failure stays. */
static void keep(enum hv_status *status, enum hv_status next)
{
	if (*status == HV_OK) {
		*status = next;
	}
}

/* ---- where firmware has put things ---- */

/* The larger of the gaps beside ECAM: all BARs that there are fit into either. */
static void find_window32(uint32_t ecam, struct acpi_config *c)
{
	uint32_t below = ecam - (uint32_t)LAYOUT_FIRMWARE_MMIO_BASE;
	uint32_t above_base = ecam + ECAM_256M;
	uint32_t above = (uint32_t)WINDOW_END - above_base;

	if (ecam == 0) {
		c->window32 = (uint32_t)LAYOUT_FIRMWARE_MMIO_BASE;
		c->window32_size = (uint32_t)(WINDOW_END - LAYOUT_FIRMWARE_MMIO_BASE);
	} else if (below > above) {
		c->window32 = (uint32_t)LAYOUT_FIRMWARE_MMIO_BASE;
		c->window32_size = below;
	} else {
		c->window32 = above_base;
		c->window32_size = above;
	}
}

/* The lowest and highest byte above 4 GiB that BARs name; *end is 0 when none does. */
static void find_bars64(const struct pci_host *h, uint64_t *base, uint64_t *end)
{
	*base = UINT64_MAX;
	*end = 0;
	for (unsigned i = 0; i < PCI_HOST_FUNCTIONS * PCI_BARS; i++) {
		const struct pci_function *f = h->functions[i / PCI_BARS];
		unsigned bar = i % PCI_BARS;
		uint64_t address;

		if (f == NULL || f->bars[bar].size == 0 || (f->bars[bar].flags & PCI_BAR_64) == 0) {
			continue;
		}
		address =
			align_down(pci_function_read(f, PCI_BAR0 + bar * 4, 8), f->bars[bar].size);
		if (address >= LAYOUT_4G && address + f->bars[bar].size > address) {
			*base = min_u64(*base, address);
			*end = max_u64(*end, address + f->bars[bar].size);
		}
	}
}

/* The window of firmware's own making, or where there are no BARs, of ours. */
static void find_window64(struct firmware *f, struct acpi_config *c)
{
	struct pci_host *h = &f->config.board->pci;
	const struct ram_range *last = &f->config.ram->ranges[f->config.ram->count - 1];
	uint64_t limit = BIT(f->config.physical_bits);
	uint64_t base;
	uint64_t end;

	lock_acquire(&h->dev.lock);
	find_bars64(h, &base, &end);
	lock_release(&h->dev.lock);
	base = align_down(base, BAR64_ALIGN);
	end = align_up(end, BAR64_ALIGN);
	if (base < end && base >= last->base + last->size && end <= limit) {
		c->window64 = base;
		c->window64_size = end - base;
		return;
	}
	base = layout_pci_window64(f->config.physical_bits);
	c->window64 = last->base + last->size <= base ? base : 0;
}

/* ---- ACPI ---- */

static enum hv_status build_tables(struct firmware *f)
{
	const struct board_config *board = &f->config.board->cfg;
	struct acpi_config c = {
		.vcpu_count = board->vcpu_count,
		.serial = board->serial,
		.mouse = board->vga,
		.vga = board->vga,
		.hpet = board->hpet,
		.floppies = {board->floppies[0], board->floppies[1]},
		.no_s3 = true,
	};
	uint64_t ecam = pci_host_ecam_base(&f->config.board->pci);

	c.ecam_base = ecam < WINDOW_END - ECAM_256M ? (uint32_t)ecam : 0;
	find_window32(c.ecam_base, &c);
	find_window64(f, &c);
	return acpi_build_linked(&c, f->tables, sizeof(f->tables), &f->tables_used, &f->links);
}

/* The tables' size does not depend on where things are: this cannot fail once it has worked. */
static void tables_selected(void *ctx)
{
	(void)!build_tables(ctx);
}

static enum hv_status add_acpi(struct firmware *f)
{
	enum hv_status status = build_tables(f);

	if (status != HV_OK) {
		return status;
	}
	f->loader_used = acpi_loader_build(&f->links, f->loader);
	status = fw_cfg_add_file(&f->cfg, ACPI_LOADER_FILE, f->loader, f->loader_used);
	keep(&status, fw_cfg_add_file(&f->cfg, ACPI_LOADER_RSDP, f->tables, ACPI_LINKED_RSDP_SIZE));
	keep(&status,
	     fw_cfg_add_file(&f->cfg, ACPI_LOADER_TABLES, f->tables + ACPI_LINKED_TABLES_AT,
			     f->tables_used - ACPI_LINKED_TABLES_AT));
	if (status == HV_OK) {
		fw_cfg_on_select(&f->cfg, tables_selected, f);
	}
	return status;
}

/* ---- SMBIOS, memory, devices ---- */

static enum hv_status add_smbios(struct firmware *f)
{
	uint64_t memory = f->config.board->cfg.memory;
	uint64_t low = min_u64(memory, LAYOUT_FIRMWARE_MMIO_BASE);
	const struct smbios_config c = {
		.name = f->config.name,
		.uuid = f->uuid,
		.uefi = f->config.uefi,
		.vcpu_count = f->config.board->cfg.vcpu_count,
		.cpu_signature = f->config.cpu_signature,
		.cpu_features = f->config.cpu_features,
		.ram_below_4g = low,
		.ram_above_4g = memory - low,
	};
	enum hv_status status;

	smbios_uuid(f->config.name, f->uuid);
	status = smbios_build(&c, f->smbios, sizeof(f->smbios), &f->smbios_used, f->anchor);
	keep(&status, fw_cfg_add(&f->cfg, FW_CFG_UUID, f->uuid, sizeof(f->uuid)));
	keep(&status,
	     fw_cfg_add_file(&f->cfg, "etc/smbios/smbios-tables", f->smbios, f->smbios_used));
	keep(&status,
	     fw_cfg_add_file(&f->cfg, "etc/smbios/smbios-anchor", f->anchor, sizeof(f->anchor)));
	return status;
}

/* What the ranges are used for below 1 MiB firmware decides: RAM from 0 on, without the hole. */
static enum hv_status add_memory(struct firmware *f)
{
	uint64_t memory = f->config.board->cfg.memory;
	uint64_t low = min_u64(memory, LAYOUT_FIRMWARE_MMIO_BASE);
	enum hv_status status;

	f->e820[f->e820_count++] = (struct firmware_e820){0, low, E820_RAM};
	if (memory > low) {
		f->e820[f->e820_count++] =
			(struct firmware_e820){LAYOUT_4G, memory - low, E820_RAM};
	}
	status = fw_cfg_add_file(&f->cfg, "etc/e820", f->e820, f->e820_count * sizeof(f->e820[0]));
	keep(&status, fw_cfg_add_number(&f->cfg, FW_CFG_RAM_SIZE, memory, 8));
	return status;
}

static enum hv_status add_machine(struct firmware *f)
{
	static const uint8_t states[STATES] = {
		[0] = STATE_PRESENT | LAYOUT_SLP_TYP_S0,
		[SLEEP_S3] = LAYOUT_SLP_TYP_S3,
		[5] = STATE_PRESENT | LAYOUT_SLP_TYP_S5,
	};
	const struct board_config *board = &f->config.board->cfg;
	enum hv_status status = fw_cfg_add_number(&f->cfg, FW_CFG_NB_CPUS, board->vcpu_count, 2);

	keep(&status, fw_cfg_add_number(&f->cfg, FW_CFG_MAX_CPUS, board->vcpu_count, 2));
	keep(&status, fw_cfg_add_number(&f->cfg, FW_CFG_NOGRAPHIC, board->serial, 2));
	keep(&status, fw_cfg_add_number(&f->cfg, FW_CFG_IRQ0_OVERRIDE, 1, 1));
	keep(&status, fw_cfg_add_file(&f->cfg, "etc/system-states", states, sizeof(states)));
	if (board->serial) {
		keep(&status, fw_cfg_add_file_number(&f->cfg, "etc/sercon-port", LAYOUT_COM1, 2));
	}
	if (f->config.vgabios.size != 0) {
		keep(&status, fw_cfg_add_file(&f->cfg, VGABIOS_FILE, f->config.vgabios.data,
					      f->config.vgabios.size));
	}
	return status;
}

/* One path to a line; the last line ends in a zero byte. */
static enum hv_status add_boot_order(struct firmware *f)
{
	size_t n = 0;

	if (f->config.boot_count == 0) {
		return HV_OK;
	}
	for (unsigned i = 0; i < f->config.boot_count; i++) {
		n += fmt_snprintf(f->boot + n, sizeof(f->boot) - n, "%s%s", i == 0 ? "" : "\n",
				  f->config.boot[i]);
	}
	return fw_cfg_add_file(&f->cfg, "bootorder", f->boot, n + 1);
}

/* ---- a kernel ---- */

/* Bytes of a bzImage's real-mode part; 0: it is none. */
static uint64_t setup_size(const struct firmware_span *kernel)
{
	const uint8_t *bytes = kernel->data;
	uint64_t size;

	if (kernel->size < SETUP_END_MIN || memcmp(bytes + SETUP_HEADER, "HdrS", 4) != 0) {
		return 0;
	}
	size = (bytes[SETUP_SECTS] == 0 ? SETUP_SECTS_DEFAULT : bytes[SETUP_SECTS]) + 1;
	size *= 512;
	return size < kernel->size && size <= FIRMWARE_SETUP_MAX ? size : 0;
}

static void set_field(struct firmware *f, unsigned at, uint32_t value, size_t size)
{
	memcpy(f->setup + at, &value, size);
}

/* What a boot loader fills in. */
static void fill_setup(struct firmware *f, uint64_t size)
{
	memcpy(f->setup, f->config.kernel.data, size);
	set_field(f, SETUP_TYPE_OF_LOADER, LOADER_UNKNOWN, 1);
	set_field(f, SETUP_LOADFLAGS, f->setup[SETUP_LOADFLAGS] | LOADFLAG_CAN_USE_HEAP, 1);
	set_field(f, SETUP_HEAP_END_PTR, CMDLINE_ADDRESS - SETUP_ADDRESS - 0x200, 2);
	set_field(f, SETUP_CMD_LINE_PTR, CMDLINE_ADDRESS, 4);
	if (f->config.initrd.size != 0) {
		set_field(f, SETUP_RAMDISK_IMAGE, INITRD_ADDRESS, 4);
		set_field(f, SETUP_RAMDISK_SIZE, (uint32_t)f->config.initrd.size, 4);
	}
}

static enum hv_status add_part(struct firmware *f, uint16_t size_key, uint16_t data_key,
			       const void *data, uint64_t size)
{
	enum hv_status status = fw_cfg_add_number(&f->cfg, size_key, size, 4);

	keep(&status, fw_cfg_add(&f->cfg, data_key, data, size));
	return status;
}

static enum hv_status add_kernel(struct firmware *f)
{
	const struct firmware_span *kernel = &f->config.kernel;
	const struct firmware_span *initrd = &f->config.initrd;
	uint64_t setup = setup_size(kernel);
	enum hv_status status;

	if (kernel->size == 0) {
		return HV_OK;
	}
	if (setup == 0 || kernel->size > UINT32_MAX || initrd->size > UINT32_MAX) {
		return HV_E_INVALID;
	}
	fill_setup(f, setup);
	status = add_part(f, FW_CFG_SETUP_SIZE, FW_CFG_SETUP_DATA, f->setup, setup);
	keep(&status, add_part(f, FW_CFG_KERNEL_SIZE, FW_CFG_KERNEL_DATA,
			       (const uint8_t *)kernel->data + setup, kernel->size - setup));
	keep(&status, add_part(f, FW_CFG_CMDLINE_SIZE, FW_CFG_CMDLINE_DATA, f->config.cmdline,
			       str_len(f->config.cmdline) + 1));
	keep(&status, fw_cfg_add_number(&f->cfg, FW_CFG_SETUP_ADDR, SETUP_ADDRESS, 4));
	keep(&status, fw_cfg_add_number(&f->cfg, FW_CFG_CMDLINE_ADDR, CMDLINE_ADDRESS, 4));
	keep(&status, fw_cfg_add_number(&f->cfg, FW_CFG_KERNEL_ADDR, KERNEL_ADDRESS, 4));
	if (initrd->size != 0) {
		keep(&status, fw_cfg_add_number(&f->cfg, FW_CFG_INITRD_ADDR, INITRD_ADDRESS, 4));
		keep(&status, add_part(f, FW_CFG_INITRD_SIZE, FW_CFG_INITRD_DATA, initrd->data,
				       initrd->size));
	}
	if (f->config.linuxboot.size != 0) {
		keep(&status, fw_cfg_add_file(&f->cfg, "genroms/linuxboot_dma.bin",
					      f->config.linuxboot.data, f->config.linuxboot.size));
	}
	return status;
}

/* ---- all of it ---- */

enum hv_status firmware_init(struct firmware *f, const struct firmware_config *config)
{
	const struct debug_port_config debug = {
		.time = config->board->cfg.time, .line = config->line, .ctx = config->ctx};
	enum hv_status status = HV_OK;

	f->config = *config;
	f->e820_count = 0;
	fw_cfg_init(&f->cfg, config->vm, config->work);
	debug_port_init(&f->debug, &debug);
	keep(&status, add_machine(f));
	keep(&status, add_memory(f));
	keep(&status, add_smbios(f));
	keep(&status, add_acpi(f));
	keep(&status, add_boot_order(f));
	keep(&status, add_kernel(f));
	return status;
}
