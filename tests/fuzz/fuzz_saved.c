/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State from a file against all models of a board, a VGA, flash and the debug port: bytes of what a
 * board saves are replaced, or the whole is, and what is taken is used. Whatever a program then
 * does with the devices, what they save is taken again, and is the same when it is saved anew.
 */
#include <stdlib.h>
#include <string.h>

#include "guests/board.h"
#include "guests/devices/debug_port.h"
#include "guests/devices/fdc.h"
#include "guests/devices/pflash.h"
#include "guests/devices/vga.h"
#include "guests/devices/vga_dispi.h"
#include "guests/devices/vga_regs.h"
#include "guests/layout.h"
#include "tests/fakes/device_rig.h"
#include "tests/fakes/virtio_rig.h"
#include "tests/fuzz/device_input.h"

#define CPUS 2u
#define VIDEO 0x40000u
#define BLOCKS 3u
#define FLASH_BASE 0xffc00000ull
#define STATE_MAX 0x20000u

static struct device_rig rig;
static struct bus pio;
static struct bus mmio;
static struct saved_set set;
static struct board *board;
static struct vga vga;
static struct pflash flash;
static struct debug_port debug;
static struct fdc floppies;
static struct vwork_queue work;
static uint8_t video[VIDEO];
static uint8_t contents[BLOCKS * PFLASH_BLOCK];
static _Alignas(8) uint8_t before[STATE_MAX];
static _Alignas(8) uint8_t after[STATE_MAX];

static void on_vcpu(void *ctx, unsigned vcpu)
{
	(void)ctx;
	assert(vcpu < CPUS);
}

static void on_startup(void *ctx, unsigned vcpu, uint8_t vector)
{
	(void)vector;
	on_vcpu(ctx, vcpu);
}

static void nothing(void *ctx)
{
	(void)ctx;
}

static void on_reset(void *ctx, const char *how)
{
	(void)ctx;
	(void)how;
}

static void on_exit(void *ctx, uint32_t status)
{
	(void)ctx;
	(void)status;
}

static void on_output(void *ctx, const char *data, size_t n)
{
	(void)ctx;
	(void)data;
	assert(n >= 1 && n <= UART16550_OUT);
}

static void on_line(void *ctx, const char *text)
{
	(void)ctx;
	assert(strlen(text) < DEBUG_PORT_LINE_MAX);
}

static void put(void *ctx, uint32_t offset, const uint8_t *data, uint32_t n)
{
	(void)ctx;
	assert(range_fits(offset, n, sizeof(contents)));
	memcpy(contents + offset, data, n);
}

static void show(void *ctx, bool array)
{
	(void)ctx;
	(void)array;
}

static void on_suspended(void *ctx, bool suspended)
{
	(void)ctx;
	(void)suspended;
}

static const struct board_ops board_ops = {
	.kick = on_vcpu,
	.nmi = on_vcpu,
	.init = on_vcpu,
	.startup = on_startup,
	.power_off = nothing,
	.suspend = nothing,
	.wake = nothing,
	.set_suspended = on_suspended,
	.reset = on_reset,
	.debug_exit = on_exit,
	.serial_output = on_output,
	.serial_room = nothing,
};

/* ---- the machine ---- */

static void build_board(void)
{
	const struct board_config cfg = {.time = &rig.time,
					 .pio = &pio,
					 .mmio = &mmio,
					 .saved = &set,
					 .vcpu_count = CPUS,
					 .memory = 0x20000000,
					 .serial = true,
					 .vga = true,
					 .test_device = true,
					 .hpet = true,
					 .firmware = true,
					 .ops = &board_ops};

	board = calloc(1, board_size(CPUS, true));
	assert(board != NULL);
	if (board_init(board, &cfg) != HV_OK) {
		abort();
	}
}

/* A medium that has nothing. */
static void fail_request(struct blk_device *d, struct blk_request *r)
{
	blk_done(d, r, HV_E_IO);
}

static const struct blk_ops medium_ops = {.submit = fail_request};

static void ask(void *ctx, unsigned vcpu)
{
	(void)ctx;
	assert(vcpu == 0);
}

static void build_floppies(void)
{
	static struct blk_device medium;
	static uint8_t buffer[FDC_BUFFER_BYTES];
	const struct fdc_config cfg = {.time = &rig.time,
				       .work = &work,
				       .dma = &board->dma,
				       .irq = board_isa_irq(board, LAYOUT_IRQ_FLOPPY),
				       .media = {&medium},
				       .buffer = buffer};

	medium = (struct blk_device){
		.ops = &medium_ops, .sectors = 2880, .block_size = BLK_SECTOR, .max_count = 8};
	vwork_queue_init(&work, ask, NULL);
	fdc_init(&floppies, &cfg);
	if (bus_register(&pio, FDC_PORT, FDC_PORTS, &floppies.dev) != HV_OK) {
		abort();
	}
	saved_add(&set, &floppies.saved, 0);
}

static void build_others(void)
{
	const struct vga_config screen = {.time = &rig.time,
					  .host = &board->pci,
					  .devfn = LAYOUT_DEVFN_VGA,
					  .memory = {video, VIDEO}};
	const struct pflash_config chip = {.contents = contents,
					   .blocks = BLOCKS,
					   .first_fixed = BLOCKS - 1,
					   .put = put,
					   .show = show};
	const struct debug_port_config port = {.time = &rig.time, .line = on_line};

	pflash_init(&flash, &chip);
	build_floppies();
	debug_port_init(&debug, &port);
	if (vga_init(&vga, &screen) != HV_OK ||
	    bus_register(&pio, VGA_PORTS, VGA_PORTS_COUNT, &vga.dev) != HV_OK ||
	    bus_register(&pio, VGA_DISPI_PORT_INDEX, VGA_DISPI_PORTS, &vga.dev) != HV_OK ||
	    bus_register(&mmio, LAYOUT_VIDEO_BASE, LAYOUT_VIDEO_SIZE, &vga.dev) != HV_OK ||
	    bus_register(&mmio, FLASH_BASE, sizeof(contents), &flash.dev) != HV_OK ||
	    bus_register(&pio, DEBUG_PORT, 1, &debug.dev) != HV_OK) {
		abort();
	}
	saved_add(&set, &flash.saved, 0);
	saved_add(&set, &debug.saved, 0);
	saved_add(&set, &vga.saved, LAYOUT_DEVFN_VGA);
}

static void build(void)
{
	rig_init(&rig, 1000000000);
	bus_init(&pio, BUS_PIO);
	bus_init(&mmio, BUS_MMIO);
	saved_set_init(&set);
	saved_add(&set, &rig.time.saved, 0);
	build_board();
	build_others();
	assert(saved_size(&set) <= STATE_MAX);
}

/* ---- a program that uses it ---- */

static const struct {
	bool memory;
	uint64_t base;
	uint32_t size;
} places[] = {
	{false, LAYOUT_PIC_MASTER, 2},
	{false, LAYOUT_PIC_SLAVE, 2},
	{false, LAYOUT_PIC_ELCR, 2},
	{false, LAYOUT_PIT, 4},
	{false, FDC_PORT, FDC_PORTS},
	{false, DMA_SLAVE_PORT, DMA_PORTS},
	{false, DMA_MASTER_PORT, DMA_PORTS},
	{false, DMA_PAGE_PORT, DMA_PAGE_PORTS},
	{false, LAYOUT_I8042_DATA, 5},
	{false, LAYOUT_RTC, 2},
	{false, 0x3f8, 8},
	{false, LAYOUT_PM_BASE, LAYOUT_PM_SIZE},
	{false, LAYOUT_PCI_CONFIG_ADDRESS, PCI_HOST_PORTS},
	{false, VGA_PORTS, VGA_PORTS_COUNT},
	{false, VGA_DISPI_PORT_INDEX, VGA_DISPI_PORTS},
	{false, DEBUG_PORT, 1},
	/* Lines that no other device has: one that two drive is not as either says. */
	{false, TEST_DEVICE_LINES_PORT + 10, 2},
	{true, LAYOUT_HPET_BASE, HPET_MMIO_SIZE},
	{true, LAYOUT_IOAPIC_BASE, 0x50},
	{true, LAYOUT_LAPIC_BASE, 0x400},
	{true, LAYOUT_VIDEO_BASE, LAYOUT_VIDEO_SIZE},
	{true, FLASH_BASE, BLOCKS *PFLASH_BLOCK},
};

static void access_place(struct input *in, uint8_t op)
{
	unsigned which = (unsigned)take(in, 1) % (sizeof(places) / sizeof(places[0]));
	uint64_t at = places[which].base + take(in, 2) % places[which].size;
	struct bus *bus = places[which].memory ? &mmio : &pio;
	unsigned size = take_size(in);
	uint64_t value = 0;

	if ((op & 1) != 0) {
		(void)bus_write(bus, at, size, op >> 7, take(in, 4));
	} else {
		(void)bus_read(bus, at, size, op >> 7, &value);
	}
}

static void serve(unsigned cpu)
{
	if (board_pending(board, cpu) >= 0) {
		(void)board_accept(board, cpu);
	}
	lapic_eoi(board_lapic(board, cpu));
}

/* As people do, from outside. */
static void poke(uint8_t op)
{
	const struct ps2_movement by = {op, -op, 1, op & 7};
	const uint8_t key[] = {op & 0x7f};

	(void)board_serial_input(board, "\r", 1);
	board_press_power_button(board);
	i8042_move(&board->i8042, &by);
	(void)i8042_key(&board->i8042, key, 1);
}

static void step(struct input *in)
{
	uint8_t op = (uint8_t)take(in, 1);

	switch (op >> 1 & 7) {
	case 0:
		rig_oversleep(&rig, take_ticks(in));
		break;
	case 1:
		serve(op >> 7);
		break;
	case 2:
		poke(op);
		break;
	default:
		access_place(in, op);
		break;
	}
}

/* ---- saving and loading ---- */

/* What a vCPU does before it enters; so all are quiet. */
static void do_work(void)
{
	while (vwork_run(&work)) {
	}
}

/* What they save is taken, and then saved again. */
static void reload(bool with_reset)
{
	char error[160];

	vtime_pause(&rig.time);
	do_work();
	saved_save(&set, before);
	if (with_reset) {
		saved_reset(&set);
	}
	if (!saved_load(&set, before, saved_size(&set), error, sizeof(error))) {
		abort();
	}
	saved_save(&set, after);
	assert(memcmp(before, after, saved_size(&set)) == 0);
	do_work();
	vtime_resume(&rig.time);
}

/* Some bytes of what they save are others. */
static size_t change_some(struct input *in)
{
	size_t n = saved_size(&set);

	saved_save(&set, before);
	for (unsigned left = (unsigned)take(in, 1) & 15; left != 0; left--) {
		size_t at = take(in, 4) % n;

		before[at] = (uint8_t)take(in, 1);
	}
	return n;
}

/* All of it is the input's, behind a byte. */
static size_t take_all(struct input *in)
{
	size_t n = in->n < sizeof(before) ? in->n : sizeof(before);

	memcpy(before, in->p, n);
	return n;
}

static void load(struct input *in)
{
	uint8_t how = (uint8_t)take(in, 1);
	char error[160];
	size_t n;

	vtime_pause(&rig.time);
	n = how == 0xff ? take_all(in) : change_some(in);
	if (!saved_load(&set, before, n, error, sizeof(error))) {
		assert(error[0] != '\0' && strlen(error) < sizeof(error));
	}
	do_work();
	/* A line that two records disagree about becomes what its device says. */
	saved_save(&set, before);
	saved_reset(&set);
	if (!saved_load(&set, before, saved_size(&set), error, sizeof(error))) {
		abort();
	}
	vtime_resume(&rig.time);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};

	build();
	load(&in);
	for (unsigned i = 1; in.n != 0; i++) {
		step(&in);
		if (i % 16 == 0) {
			reload(i % 32 == 0);
		}
	}
	reload(true);
	floppies.dev.ops->fini(&floppies.dev);
	board_fini(board);
	free(board);
	return 0;
}
