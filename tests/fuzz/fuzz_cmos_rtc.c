/* SPDX-License-Identifier: Apache-2.0 */
/* Accesses and time against the RTC; its line must follow its flags and its timer its interrupts.
 */
#include "guests/devices/cmos_memory.h"
#include "tests/fakes/device_rig.h"
#include "tests/fuzz/device_input.h"

static struct device_rig rig;
static struct cmos_rtc rtc;

static uint8_t get(unsigned reg)
{
	rig_out(&rtc.dev, 0x70, (uint8_t)reg);
	return rig_in(&rtc.dev, 0x71);
}

/* A disk comes or goes; what the guest wrote of the sum before is mended by it. */
static void set_disk(struct input *in)
{
	unsigned unit = (unsigned)take(in, 1) % CMOS_DISKS;
	struct cmos_disk disk = {.cylinders = (uint16_t)take(in, 2),
				 .heads = (uint8_t)take(in, 1),
				 .sectors = (uint8_t)take(in, 1)};
	unsigned sum = 0;

	cmos_rtc_set_disk(&rtc, unit, &disk);
	for (unsigned i = 0x10; i < CMOS_CHECKSUM; i++) {
		sum += get(i);
	}
	assert(get(CMOS_CHECKSUM) == (uint8_t)(sum >> 8));
	assert(get(CMOS_CHECKSUM + 1) == (uint8_t)sum);
	assert(unit > 1 || (get(0x19 + unit) != 0) == (disk.cylinders != 0));
}

static void step(struct input *in)
{
	uint8_t op = (uint8_t)take(in, 1);

	switch (op >> 5) {
	case 0:
		(void)get(op & 0x0f);
		break;
	case 1:
	case 2:
		rig_out(&rtc.dev, 0x70, op & 0x0f);
		rig_out(&rtc.dev, 0x71, (uint8_t)take(in, 1));
		break;
	case 3:
		rig_advance(&rig, take_ticks(in) >> 6);
		break;
	case 4:
		rig_oversleep(&rig, take_ticks(in));
		break;
	case 5:
		rig_write(&rtc.dev, BUS_PIO, 0x70, 2, take(in, 2));
		break;
	case 6:
		(void)rig_read(&rtc.dev, BUS_PIO, 0x70, 2);
		break;
	default:
		if (op == 0xff) {
			rtc.dev.ops->reset(&rtc.dev);
		} else if (op >= 0xf0) {
			set_disk(in);
		}
		break;
	}
}

static void invariants(void)
{
	uint8_t b = rtc.ram[RTC_B];
	uint8_t c = rtc.ram[RTC_C];
	bool held = (rtc.ram[RTC_A] & RTC_A_DIVIDER_HELD) == RTC_A_DIVIDER_HELD;

	assert(rig.line.level == ((b & c & 0x70) != 0));
	assert(((c & RTC_C_IRQF) != 0) == rig.line.level && (c & 0x0f) == 0);
	assert(rtc.ram[RTC_D] == RTC_D_VALID && rtc.index < CMOS_BYTES);
	/* An enabled interrupt that can come has its timer. */
	if (!held && (b & RTC_B_SET) == 0 && (b & ~c & RTC_B_UIE) != 0) {
		assert(vtimer_armed(&rtc.timer));
	}
	if (held) {
		assert(!vtimer_armed(&rtc.timer));
	}
}

/* Once set to a proper time, the clock tells it, whatever was written before. */
static void still_a_clock(void)
{
	static const uint8_t set[] = {RTC_SECONDS, 0x58, RTC_MINUTES, 0x59, RTC_HOURS, 0x23,
				      RTC_DAY,	   0x31, RTC_MONTH,   0x12, RTC_YEAR,  0x26,
				      0x32,	   0x20, RTC_A,	      0x66, RTC_B,     0x82,
				      RTC_A,	   0x26, RTC_B,	      0x02};

	for (unsigned i = 0; i < sizeof(set); i += 2) {
		rig_out(&rtc.dev, 0x70, set[i]);
		rig_out(&rtc.dev, 0x71, set[i + 1]);
	}
	rig_advance(&rig, 2 * clock_hz());
	assert(get(RTC_YEAR) == 0x27 && get(RTC_MONTH) == 1 && get(RTC_DAY) == 1);
	assert(get(RTC_HOURS) == 0 && get(RTC_SECONDS) == 0 && get(0x32) == 0x20);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct cmos_rtc_config cfg = {.time = &rig.time, .cpu_count = 1};

	rig_init(&rig, 1000000 + take(&in, 4));
	cfg.irq = rig_irq(&rig.line);
	cfg.wall_seconds = take(&in, 5);
	cfg.ram_below_4g = take(&in, 4);
	cmos_rtc_init(&rtc, &cfg);
	while (in.n != 0 && vtime_now(&rig.time) < 1ull << 60) {
		step(&in);
		invariants();
	}
	still_a_clock();
	rtc.dev.ops->fini(&rtc.dev);
	assert(timer_queue_next(&rig.queue) == TIMER_NEVER);
	return 0;
}
