/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest's firmware is told, read through the ports as it does. */
#include "guests/firmware.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/base/acpi_format.h"
#include "hv/base/addr.h"
#include "hv/base/bits.h"
#include "tests/fakes/device_rig.h"

#define MEMORY GIB(3)
#define HIGH_BAR 0x8000000000ull

static struct device_rig rig;
static struct bus pio;
static struct bus mmio;
static struct vwork_queue work_queue;
static struct board *board;
static struct ram_layout ram;
static struct firmware firmware;
static struct firmware_config config;
static struct pci_function function; /* 00:02.0, with a 64-bit BAR */
static uint8_t file[20000];
static uint8_t kernel[2048];

static void ask(void *ctx, unsigned vcpu)
{
	(void)ctx;
	(void)vcpu;
}

static void nothing(void *ctx, unsigned vcpu)
{
	(void)ctx;
	(void)vcpu;
}

static void line(void *ctx, const char *text)
{
	(void)ctx;
	(void)text;
}

static const struct board_ops ops = {.kick = nothing};

static void add_function(void)
{
	static const struct pci_identity id = {.vendor = 0x1af4, .device = 0x1042};

	pci_function_init(&function, &id, NULL, NULL);
	assert_int_equal(pci_function_add_bar(&function, 0, PCI_BAR_64, 0x10000), HV_OK);
	assert_int_equal(pci_host_add(&board->pci, 0x10, &function), HV_OK);
}

static int setup(void **state)
{
	struct board_config cfg = {.time = &rig.time,
				   .pio = &pio,
				   .mmio = &mmio,
				   .vcpu_count = 2,
				   .memory = MEMORY,
				   .serial = true,
				   .firmware = true,
				   .ops = &ops};

	(void)state;
	rig_init(&rig, 1000000000);
	bus_init(&pio, BUS_PIO);
	bus_init(&mmio, BUS_MMIO);
	vwork_queue_init(&work_queue, ask, NULL);
	board = calloc(1, board_size(2, false));
	assert_non_null(board);
	assert_int_equal(board_init(board, &cfg), HV_OK);
	assert_int_equal(ram_layout_build(MEMORY, LAYOUT_FIRMWARE_MMIO_BASE, &ram), HV_OK);
	add_function();
	config = (struct firmware_config){
		.work = &work_queue,
		.board = board,
		.ram = &ram,
		.name = "web",
		.physical_bits = 40,
		.cmdline = "quiet",
		.line = line,
	};
	memset(&firmware, 0xee, sizeof(firmware));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	board_fini(board);
	free(board);
	return 0;
}

static void start(void)
{
	assert_int_equal(firmware_init(&firmware, &config), HV_OK);
}

static void read_item(uint16_t key, void *out, size_t n)
{
	uint8_t *to = out;

	rig_write(&firmware.cfg.dev, BUS_PIO, FW_CFG_PORT, 2, key);
	for (size_t i = 0; i < n; i++) {
		to[i] = rig_in(&firmware.cfg.dev, FW_CFG_PORT + 1);
	}
}

static uint64_t number(uint16_t key, size_t size)
{
	uint64_t value = 0;

	read_item(key, &value, size);
	return value;
}

/* Reads the file into `file`; its size, or 0 when there is none. */
static size_t read_file(const char *name)
{
	uint8_t dir[4 + FW_CFG_FILES_MAX * FW_CFG_DIRECTORY_ENTRY];

	read_item(FW_CFG_FILE_DIR, dir, sizeof(dir));
	for (unsigned i = 0; i < dir[3]; i++) {
		const uint8_t *e = dir + 4 + i * FW_CFG_DIRECTORY_ENTRY;
		size_t size = (size_t)e[1] << 16 | (size_t)e[2] << 8 | e[3];

		if (strcmp((const char *)e + 8, name) == 0) {
			assert_true(size <= sizeof(file));
			read_item((uint16_t)(e[4] << 8 | e[5]), file, size);
			return size;
		}
	}
	return 0;
}

static uint64_t get(size_t at, size_t size)
{
	uint64_t value = 0;

	memcpy(&value, file + at, size);
	return value;
}

static void test_numbers(void **state)
{
	(void)state;
	start();
	assert_int_equal(number(FW_CFG_RAM_SIZE, 8), MEMORY);
	assert_int_equal(number(FW_CFG_NB_CPUS, 2), 2);
	assert_int_equal(number(FW_CFG_MAX_CPUS, 2), 2);
	assert_int_equal(number(FW_CFG_IRQ0_OVERRIDE, 1), 1);
	assert_int_equal(number(FW_CFG_NOGRAPHIC, 2), 1);
	assert_int_equal(read_file("etc/sercon-port"), 2);
	assert_int_equal(get(0, 2), 0x3f8);
	assert_int_equal(read_file("etc/system-states"), 6);
	assert_memory_equal(file, "\x80\0\0\x01\0\x85", 6);
	/* What was not asked for is not there. */
	assert_int_equal(read_file("bootorder"), 0);
	assert_int_equal(read_file("pci1234,1111.rom"), 0);
	assert_int_equal(number(FW_CFG_KERNEL_SIZE, 4), 0);
}

static void test_memory_map(void **state)
{
	(void)state;
	start();
	assert_int_equal(read_file("etc/e820"), 40);
	assert_int_equal(get(0, 8), 0);
	assert_int_equal(get(8, 8), GIB(2));
	assert_int_equal(get(16, 4), 1);
	assert_int_equal(get(20, 8), GIB(4));
	assert_int_equal(get(28, 8), GIB(1));
}

static void test_smbios(void **state)
{
	uint8_t uuid[16];

	(void)state;
	start();
	assert_int_equal(read_file("etc/smbios/smbios-anchor"), SMBIOS_ANCHOR_SIZE);
	assert_memory_equal(file, "_SM_", 4);
	assert_int_equal(read_file("etc/smbios/smbios-tables"), firmware.smbios_used);
	read_item(FW_CFG_UUID, uuid, sizeof(uuid));
	assert_memory_equal(uuid, firmware.uuid, sizeof(uuid));
}

static void program(unsigned devfn, unsigned reg, uint32_t value)
{
	rig_write(&board->pci.dev, BUS_PIO, LAYOUT_PCI_CONFIG_ADDRESS, 4,
		  0x80000000u | devfn << 8 | reg);
	rig_write(&board->pci.dev, BUS_PIO, LAYOUT_PCI_CONFIG_DATA, 4, value);
}

/* Memory of PCI0, which is not to be cached, but for a VGA's. */
#define WINDOW32 "\x87\x17\0\0\x0c\x01"
#define WINDOW_VGA "\x87\x17\0\0\x0c\x03"
#define WINDOW64 "\x8a\x2b\0\0\x0c\x01"
#define HEAD_BYTES 6u

/* Where the descriptor with this head is in etc/acpi/tables. */
static size_t descriptor(const char *head)
{
	size_t n = read_file("etc/acpi/tables");

	for (size_t i = 0; i + 46 < n; i++) {
		if (memcmp(file + i, head, HEAD_BYTES) == 0) {
			return i;
		}
	}
	fail();
	return 0;
}

static void test_tables_follow(void **state)
{
	size_t at;

	(void)state;
	start();
	assert_int_equal(read_file("etc/acpi/rsdp"), 36);
	assert_memory_equal(file, "RSD PTR ", 8);
	assert_int_equal(read_file("etc/table-loader"), firmware.loader_used);
	/* As SeaBIOS does. */
	program(0, 0x60, 0xb0000001);
	at = descriptor(WINDOW32);
	assert_int_equal(get(at + 10, 4), 0xc0000000);
	assert_int_equal(get(at + 14, 4), 0xfebfffff);
	at = descriptor(WINDOW_VGA);
	assert_int_equal(get(at + 10, 4), LAYOUT_VIDEO_BASE);
	assert_int_equal(get(at + 14, 4), LAYOUT_VIDEO_BASE + LAYOUT_VIDEO_SIZE - 1);
	/* No BAR above 4 GiB: the usual window. */
	at = descriptor(WINDOW64);
	assert_int_equal(get(at + 14, 8), layout_pci_window64(40));
	/* As a newer OVMF does, with a BAR high up. */
	program(0, 0x60, 0xe0000001);
	program(0x10, 0x10, 0x12340000);
	program(0x10, 0x14, HIGH_BAR >> 32);
	at = descriptor(WINDOW32);
	assert_int_equal(get(at + 10, 4), 0x80000000);
	assert_int_equal(get(at + 14, 4), 0xdfffffff);
	at = descriptor(WINDOW64);
	assert_int_equal(get(at + 14, 8), HIGH_BAR);
	assert_int_equal(get(at + 22, 8), HIGH_BAR + GIB(1) - 1);
	/* A BAR in RAM, or beyond what addresses reach, is no window. */
	program(0x10, 0x14, 1);
	program(0x10, 0x10, 0);
	at = descriptor(WINDOW64);
	assert_int_equal(get(at + 14, 8), layout_pci_window64(40));
	program(0x10, 0x14, 0x10000);
	at = descriptor(WINDOW64);
	assert_int_equal(get(at + 14, 8), layout_pci_window64(40));
	/* ECAM where none can be: as if there were none. */
	program(0, 0x64, 1);
	at = descriptor(WINDOW32);
	assert_int_equal(get(at + 10, 4), 0x80000000);
	assert_int_equal(get(at + 14, 4), 0xfebfffff);
}

static void test_boot_order(void **state)
{
	(void)state;
	strcpy(config.boot[0], "/pci@i0cf8/scsi@2/disk@0,0");
	strcpy(config.boot[1], "/pci@i0cf8/scsi@3/disk@0,0");
	config.boot_count = 2;
	config.vgabios = (struct firmware_span){kernel, 512};
	start();
	assert_int_equal(read_file("bootorder"), 54);
	assert_string_equal((const char *)file,
			    "/pci@i0cf8/scsi@2/disk@0,0\n/pci@i0cf8/scsi@3/disk@0,0");
	assert_int_equal(read_file("pci1234,1111.rom"), 512);
}

static void test_kernel(void **state)
{
	uint8_t setup_data[1024];
	char text[6];

	(void)state;
	memset(kernel, 0x11, sizeof(kernel));
	kernel[0x1f1] = 1;
	config.kernel = (struct firmware_span){kernel, sizeof(kernel)};
	assert_int_equal(firmware_init(&firmware, &config), HV_E_INVALID);
	memcpy(kernel + 0x202, "HdrS", 4);
	config.initrd = (struct firmware_span){"initrd", 6};
	config.linuxboot = (struct firmware_span){"rom", 3};
	start();
	assert_int_equal(read_file("genroms/linuxboot_dma.bin"), 3);
	/* A boot loader's fields are filled in, in a copy. */
	read_item(FW_CFG_SETUP_DATA, setup_data, sizeof(setup_data));
	assert_int_equal(setup_data[0x210], 0xff);
	assert_int_equal(setup_data[0x211], 0x91);
	assert_int_equal(setup_data[0x21c], 6);
	assert_memory_equal(setup_data + 0x228, "\0\0\x02\0", 4);
	assert_int_equal(setup_data[0x230], 0x11);
	assert_int_equal(kernel[0x210], 0x11);
	assert_int_equal(number(FW_CFG_SETUP_SIZE, 4), 1024);
	assert_int_equal(number(FW_CFG_KERNEL_SIZE, 4), 1024);
	assert_int_equal(number(FW_CFG_CMDLINE_SIZE, 4), 6);
	read_item(FW_CFG_CMDLINE_DATA, text, sizeof(text));
	assert_string_equal(text, "quiet");
	assert_int_equal(number(FW_CFG_INITRD_SIZE, 4), 6);
	/* Of four sectors and one, there is no kernel behind the set-up. */
	kernel[0x1f1] = 0;
	assert_int_equal(firmware_init(&firmware, &config), HV_E_INVALID);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_numbers),       T(test_memory_map), T(test_smbios),
		T(test_tables_follow), T(test_boot_order), T(test_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
