/* SPDX-License-Identifier: Apache-2.0 */
/* What a host sees of an IDE channel: registers, DRQ, INTRQ. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/ide_rig.h"

#define READY (ATA_STATUS_DRDY | ATA_STATUS_DSC)
#define DATA_READY (READY | ATA_STATUS_DRQ)

static uint8_t data[0x20000];

static int setup(void **state)
{
	(void)state;
	rig_start();
	return 0;
}

static uint32_t number_of_sector(const uint8_t *p)
{
	uint32_t n;

	memcpy(&n, p, sizeof(n));
	return n;
}

static void test_read_pio(void **state)
{
	(void)state;
	rig_command(0, ATA_READ_SECTORS, 100, 3);
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(rig_lines[0].rises, i + 1);
		assert_int_equal(rig_alternate(0), DATA_READY);
		assert_true(rig_lines[0].level); /* the alternate status clears nothing */
		assert_int_equal(rig_status(0), DATA_READY);
		assert_false(rig_lines[0].level);
		rig_read_data(0, data, 512);
		assert_int_equal(number_of_sector(data), 100 + i);
	}
	assert_int_equal(rig_status(0), READY);
	assert_int_equal(rig_lines[0].rises, 3); /* none at the end */
}

static void test_read_by_words_of_any_size(void **state)
{
	uint32_t value = 0;

	(void)state;
	rig_command(0, ATA_READ_SECTORS, 7, 1);
	assert_int_equal(rig_read_at(0, 0, 4), 7);
	assert_int_equal(rig_read_at(0, 0, 2), 0x5a5a);
	assert_int_equal(rig_read_at(0, 0, 1), 0x5a);
	rig_read_data(0, data, 504);
	assert_int_equal(rig_read_at(0, 0, 4), 0x5a); /* what is not there is 0 */
	assert_int_equal(rig_status(0), READY);
	rig_read_data(0, &value, 4);
	assert_int_equal(value, 0);
}

static void test_read_multiple(void **state)
{
	(void)state;
	rig_command(0, ATA_READ_MULTIPLE, 0, 40);
	assert_int_equal(rig_lines[0].rises, 1);
	(void)rig_status(0);
	rig_read_data(0, data, 16 * 512);
	assert_int_equal(rig_lines[0].rises, 2);
	/* One string may run over several blocks. */
	rig_read_data(0, data + 16 * 512, 24 * 512);
	assert_int_equal(rig_status(0), READY);
	for (uint32_t i = 0; i < 40; i++) {
		assert_int_equal(number_of_sector(data + i * 512), i);
	}
}

static void test_write_pio(void **state)
{
	(void)state;
	memset(data, 0x77, sizeof(data));
	rig_command(0, ATA_WRITE_SECTORS, 50, 2);
	assert_int_equal(rig_lines[0].rises, 0); /* the host comes by itself */
	assert_int_equal(rig_status(0), DATA_READY);
	rig_write_data(0, data, 512);
	assert_int_equal(rig_lines[0].rises, 1);
	assert_int_equal(rig_status(0), DATA_READY);
	assert_int_equal(rig_disk_seen[BLK_WRITE], 0); /* they go together */
	rig_write_data(0, data, 512);
	assert_int_equal(rig_lines[0].rises, 2);
	assert_int_equal(rig_status(0), READY);
	assert_int_equal(rig_disk_seen[BLK_WRITE], 1);
	assert_memory_equal(rig_disk_data + 50 * 512, data, 1024);
	assert_int_equal(number_of_sector(rig_disk_data + 52 * 512), 52);
}

static void test_identify(void **state)
{
	(void)state;
	rig_command(0, ATA_IDENTIFY, 0, 0);
	assert_int_equal(rig_lines[0].rises, 1);
	assert_int_equal(rig_status(0), DATA_READY);
	rig_read_data(0, data, 512);
	assert_memory_equal(data + ATA_ID_SERIAL * 2, "IR-G1032547698", 14);
	assert_int_equal(rig_status(0), READY);
}

static void test_errors(void **state)
{
	(void)state;
	rig_command(0, ATA_NOP, 0, 0);
	assert_int_equal(rig_lines[0].rises, 1);
	assert_int_equal(rig_status(0), READY | ATA_STATUS_ERR);
	assert_int_equal(rig_read_at(0, 1, 1), ATA_ERROR_ABRT);
	rig_command(0, ATA_READ_SECTORS, RIG_DISK_SECTORS, 1);
	assert_int_equal(rig_status(0), READY | ATA_STATUS_ERR);
	assert_int_equal(rig_read_at(0, 1, 1), ATA_ERROR_IDNF);
	rig_command(0, ATA_FLUSH, 0, 0);
	assert_int_equal(rig_status(0), READY);
	assert_int_equal(rig_disk_seen[BLK_FLUSH], 1);
	rig_command(0, 0xb1, 0, 0); /* DEVICE CONFIGURATION */
	assert_int_equal(lacks_told("IDE", LACKS_COMMAND, 0xb1), 1);
}

static void test_previous_contents(void **state)
{
	(void)state;
	rig_write_at(0, 2, 1, 0x12);
	rig_write_at(0, 2, 1, 0x34);
	rig_write_at(0, 4, 1, 0x56);
	rig_write_at(0, 4, 1, 0x78);
	assert_int_equal(rig_read_at(0, 2, 1), 0x34);
	rig_control(0, ATA_CONTROL_HOB);
	assert_int_equal(rig_read_at(0, 2, 1), 0x12);
	assert_int_equal(rig_read_at(0, 4, 1), 0x56);
	rig_write_at(0, 3, 1, 0); /* a write brings the last ones back */
	assert_int_equal(rig_read_at(0, 4, 1), 0x78);
}

static void test_no_interrupts(void **state)
{
	(void)state;
	rig_control(0, ATA_CONTROL_NIEN);
	rig_command(0, ATA_IDENTIFY, 0, 0);
	assert_int_equal(rig_lines[0].rises, 0);
	rig_control(0, 0); /* what is pending shows */
	assert_int_equal(rig_lines[0].rises, 1);
	rig_control(0, ATA_CONTROL_NIEN);
	assert_false(rig_lines[0].level);
	(void)rig_status(0);
	rig_control(0, 0);
	assert_false(rig_lines[0].level);
}

static void test_soft_reset(void **state)
{
	(void)state;
	rig_command(0, ATA_READ_SECTORS, 0, 2);
	rig_control(0, ATA_CONTROL_SRST);
	assert_false(rig_lines[0].level);
	assert_int_equal(rig_status(0), ATA_STATUS_BSY);
	rig_write_at(0, 7, 1, ATA_IDENTIFY); /* nobody listens */
	rig_control(0, 0);
	assert_int_equal(rig_status(0), READY);
	assert_int_equal(rig_lines[0].rises, 1);
	assert_int_equal(rig_read_at(0, 1, 1), ATA_DIAGNOSTIC_PASSED);
	assert_int_equal(rig_read_at(0, 2, 1), 1);
	assert_int_equal(rig_read_at(0, 3, 1), 1);
	assert_int_equal(rig_read_at(0, 4, 1), 0);
	rig_control(1, ATA_CONTROL_SRST);
	rig_control(1, 0);
	assert_int_equal(rig_read_at(1, 4, 1), 0x14);
	assert_int_equal(rig_read_at(1, 5, 1), 0xeb);
}

static void test_diagnostic(void **state)
{
	(void)state;
	rig_write_at(0, 6, 1, ATA_DEVICE_DEV); /* device 0 does it all the same */
	rig_write_at(0, 7, 1, ATA_DIAGNOSTIC);
	assert_int_equal(rig_lines[0].rises, 1);
	assert_int_equal(rig_status(0), READY);
	assert_int_equal(rig_read_at(0, 1, 1), ATA_DIAGNOSTIC_PASSED);
	assert_int_equal(rig_read_at(0, 6, 1), 0);
}

/* Device 0 answers for a device 1 that is not there. */
static void test_ghost(void **state)
{
	(void)state;
	rig_write_at(0, 6, 1, ATA_DEVICE_DEV);
	assert_int_equal(rig_status(0), 0);
	assert_int_equal(rig_alternate(0), 0);
	rig_write_at(0, 2, 1, 0x55);
	assert_int_equal(rig_read_at(0, 2, 1), 0x55);
	rig_write_at(0, 7, 1, ATA_IDENTIFY);
	assert_int_equal(rig_lines[0].rises, 0);
	assert_int_equal(rig_status(0), 0);
	rig_write_at(0, 6, 1, 0);
	assert_int_equal(rig_status(0), READY);
	rig_write_at(1, 6, 1, ATA_DEVICE_DEV);
	rig_write_at(1, 2, 1, 0x55);
	assert_int_equal(rig_read_at(1, 2, 1), 0);
}

static void test_empty_channel(void **state)
{
	struct ide_config cfg = {.units = {{.kind = IDE_DISK, .device = &rig_disk}}};

	(void)state;
	assert_int_equal(rig_ide(&cfg), HV_OK);
	assert_int_equal(rig_read_at(0, 7, 1), 0xff); /* not decoded */
	rig_config_write(PCI_COMMAND, 2, PCI_COMMAND_IO);
	assert_int_equal(rig_status(0), READY);
	assert_int_equal(rig_status(1), 0x7f);
	rig_write_at(1, 2, 1, 0x55);
	assert_int_equal(rig_read_at(1, 2, 1), 0x7f);
	rig_write_at(1, 7, 1, ATA_DIAGNOSTIC);
	assert_int_equal(rig_lines[1].rises, 0);
}

static void test_two_devices(void **state)
{
	struct ide_config cfg = {.units = {{.kind = IDE_DISK, .device = &rig_disk},
					   {.kind = IDE_CDROM, .device = &rig_disk}}};

	(void)state;
	assert_int_equal(rig_ide(&cfg), HV_OK);
	rig_config_write(PCI_COMMAND, 2, PCI_COMMAND_IO);
	rig_write_at(0, 6, 1, ATA_DEVICE_DEV);
	assert_int_equal(rig_read_at(0, 4, 1), 0x14);
	rig_write_at(0, 7, 1, ATA_IDENTIFY_PACKET);
	assert_true(rig_lines[0].level);
	rig_read_data(0, data, 512);
	assert_int_equal(data[1], 0x85);
	/* INTRQ is the selected device's. */
	rig_write_at(0, 6, 1, 0);
	assert_false(rig_lines[0].level);
	rig_write_at(0, 6, 1, ATA_DEVICE_DEV);
	assert_true(rig_lines[0].level);
	(void)rig_status(0);
	rig_write_at(0, 6, 1, 0);
	rig_write_at(0, 7, 1, ATA_IDENTIFY);
	rig_read_data(0, data, 512);
	assert_int_equal(data[0], 0x40);
}

static void send_packet(const uint8_t packet[12], uint16_t limit)
{
	rig_write_at(1, 6, 1, 0);
	rig_write_at(1, 1, 1, 0);
	rig_write_at(1, 4, 1, limit & 0xff);
	rig_write_at(1, 5, 1, limit >> 8);
	rig_write_at(1, 7, 1, ATA_PACKET);
	assert_int_equal(rig_alternate(1), DATA_READY);
	assert_int_equal(rig_read_at(1, 2, 1), ATA_REASON_CD);
	rig_write_data(1, packet, 12);
}

static void test_packets(void **state)
{
	const uint8_t ready[12] = {0x00};
	const uint8_t sense[12] = {0x03, 0, 0, 0, 18};
	const uint8_t unknown[12] = {0x04};
	const uint8_t read[12] = {0x28, 0, 0, 0, 0, 10, 0, 0, 3};

	(void)state;
	send_packet(ready, 0);
	assert_int_equal(rig_lines[1].rises, 1);
	assert_int_equal(rig_status(1), READY | ATA_STATUS_ERR);
	assert_int_equal(rig_read_at(1, 1, 1), 6 << 4); /* it was switched on */
	send_packet(sense, 0xfffe);
	assert_int_equal(rig_lines[1].rises, 2);
	assert_int_equal(rig_read_at(1, 2, 1), ATA_REASON_IO);
	assert_int_equal(rig_read_at(1, 4, 1), 18);
	assert_int_equal(rig_status(1), DATA_READY);
	rig_read_data(1, data, 18);
	assert_int_equal(data[12], 0x29);
	assert_int_equal(rig_lines[1].rises, 3); /* a status phase of its own */
	assert_int_equal(rig_read_at(1, 2, 1), ATA_REASON_IO | ATA_REASON_CD);
	assert_int_equal(rig_status(1), READY);
	send_packet(unknown, 0);
	assert_int_equal(lacks_told("IDE", LACKS_PACKET, 0x04), 1);
	rig_lines[1].rises = 3;
	send_packet(read, 4096);
	assert_int_equal(rig_read_at(1, 5, 1), 0x10);
	(void)rig_status(1);
	rig_read_data(1, data, 4096);
	assert_int_equal(rig_read_at(1, 5, 1), 0x08);
	assert_int_equal(rig_lines[1].rises, 5);
	rig_read_data(1, data + 4096, 2048);
	assert_int_equal(rig_status(1), READY);
	for (uint32_t i = 0; i < 12; i++) {
		assert_int_equal(number_of_sector(data + i * 512), 40 + i);
	}
}

static void test_device_reset(void **state)
{
	const uint8_t read[12] = {0x28, 0, 0, 0, 0, 10, 0, 0, 3};
	const uint8_t ready[12] = {0x00};

	(void)state;
	send_packet(ready, 0);
	send_packet(read, 2048);
	assert_int_equal(rig_status(1), DATA_READY);
	rig_write_at(1, 7, 1, ATA_IDENTIFY_PACKET); /* not while it is busy */
	assert_int_equal(rig_alternate(1), DATA_READY);
	rig_write_at(1, 7, 1, ATA_DEVICE_RESET);
	assert_int_equal(rig_status(1), 0);
	assert_int_equal(rig_read_at(1, 4, 1), 0x14);
	send_packet(ready, 0);
	assert_int_equal(rig_status(1), READY);
}

static void test_busy(void **state)
{
	(void)state;
	rig_disk_holds = true;
	rig_command(0, ATA_READ_SECTORS, 0, 1);
	assert_int_equal(rig_status(0), ATA_STATUS_BSY);
	rig_write_at(0, 2, 1, 0x99);
	rig_write_at(0, 7, 1, ATA_IDENTIFY);
	rig_read_data(0, data, 2);
	assert_int_equal(data[0], 0);
	rig_disk_finish(0, HV_OK);
	assert_int_equal(rig_status(0), ATA_STATUS_BSY); /* a vCPU has to see to it */
	rig_run_work();
	assert_int_equal(rig_lines[0].rises, 1);
	assert_int_equal(rig_status(0), DATA_READY);
	assert_int_equal(rig_read_at(0, 2, 1), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_read_pio, setup),
		cmocka_unit_test_setup(test_read_by_words_of_any_size, setup),
		cmocka_unit_test_setup(test_read_multiple, setup),
		cmocka_unit_test_setup(test_write_pio, setup),
		cmocka_unit_test_setup(test_identify, setup),
		cmocka_unit_test_setup(test_errors, setup),
		cmocka_unit_test_setup(test_previous_contents, setup),
		cmocka_unit_test_setup(test_no_interrupts, setup),
		cmocka_unit_test_setup(test_soft_reset, setup),
		cmocka_unit_test_setup(test_diagnostic, setup),
		cmocka_unit_test_setup(test_ghost, setup),
		cmocka_unit_test_setup(test_empty_channel, setup),
		cmocka_unit_test_setup(test_two_devices, setup),
		cmocka_unit_test_setup(test_packets, setup),
		cmocka_unit_test_setup(test_device_reset, setup),
		cmocka_unit_test_setup(test_busy, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
