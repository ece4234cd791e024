/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accesses, events and time against the ACPI registers; the SCI must follow status and enable, and
 * what ends S3 must not wait.
 */
#include "guests/devices/acpi_pm.h"
#include "tests/fakes/device_rig.h"
#include "tests/fuzz/device_input.h"

static struct device_rig rig;
static struct acpi_pm pm;
static unsigned calls;
static bool asleep;

static void called(void *ctx)
{
	(void)ctx;
	calls++;
}

static void suspended(void *ctx)
{
	(void)ctx;
	asleep = true;
}

static void woken(void *ctx)
{
	(void)ctx;
	assert(asleep);
	asleep = false;
}

static void check_sleep(void)
{
	uint16_t wakes = ACPI_PM1_PWRBTN | ACPI_PM1_SLPBTN | ACPI_PM1_RTC;

	assert(pm.asleep == asleep);
	if (asleep) {
		assert((pm.pm1_sts & pm.pm1_en & wakes) == 0 && (pm.gpe_sts & pm.gpe_en) == 0);
	}
}

static uint16_t take_port(struct input *in)
{
	static const uint16_t ports[] = {0x600, 0x602, 0x604, 0x608, 0x620, 0x622, 0xcf9, 0x610};
	uint8_t b = (uint8_t)take(in, 1);

	return (uint16_t)(ports[b & 7] + (b >> 6));
}

static void step(struct input *in)
{
	uint8_t op = (uint8_t)take(in, 1);
	unsigned size = take_size(in);
	unsigned before = calls;

	switch (op & 7) {
	case 0:
	case 1:
		(void)rig_read(&pm.dev, BUS_PIO, take_port(in), size);
		assert(calls == before);
		break;
	case 2:
	case 3:
	case 4:
		rig_write(&pm.dev, BUS_PIO, take_port(in), size, take(in, size));
		assert(calls <= before + 2);
		break;
	case 5:
		rig_advance(&rig, take_ticks(in));
		break;
	case 6:
		acpi_pm_gpe(&pm, op >> 3);
		break;
	default:
		if (op >> 3 == 0) {
			pm.dev.ops->reset(&pm.dev);
			asleep = false;
		} else if ((op & 8) != 0) {
			acpi_pm_press_power_button(&pm);
		} else {
			acpi_pm_rtc_event(&pm);
		}
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct acpi_pm_config cfg = {.time = &rig.time,
				     .power_off = called,
				     .reset = called,
				     .suspend = suspended,
				     .wake = woken};

	asleep = false;
	rig_init(&rig, 1000000 + take(&in, 4));
	cfg.sci = rig_irq(&rig.line);
	acpi_pm_init(&pm, &cfg);
	while (in.n != 0) {
		step(&in);
		assert(rig.line.level ==
		       ((pm.pm1_sts & pm.pm1_en) != 0 || (pm.gpe_sts & pm.gpe_en) != 0));
		assert((pm.pm1_cnt & ~(ACPI_PM1_CNT_BM_RLD | ACPI_PM1_CNT_SLP_TYP)) == 0);
		assert(!pm.wants_off && !pm.wants_reset);
		check_sleep();
	}
	pm.dev.ops->fini(&pm.dev);
	assert(timer_queue_next(&rig.queue) == TIMER_NEVER);
	return 0;
}
