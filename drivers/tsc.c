/* SPDX-License-Identifier: Apache-2.0 */
/* The TSC's frequency: asked and measured. */
#include "drivers/tsc.h"

#include <stdbool.h>
#include <stddef.h>

#include "hv/base/bits.h"
#include "hv/base/log.h"
#include "hv/cpu/insn.h"

#define LEAF_TSC_RATIO 0x15u
#define LEAF_FREQUENCY 0x16u
#define LEAF_HYPERVISOR 0x40000000u
#define LEAF_HYPERVISOR_TIMING 0x40000010u
#define CPUID_1_ECX_HYPERVISOR BIT32(31)

#define PM_TIMER_HZ 3579545u
#define PIT_HZ 1193182u
#define PIT_CHANNEL2 0x42
#define PIT_COMMAND 0x43
#define PIT_LATCH2 0x80u    /* latch the count of channel 2 */
#define PIT_CH2_MODE0 0xb0u /* channel 2, low byte then high byte, count down and go on */
#define NMI_CONTROL 0x61
#define NMI_CONTROL_KEEP 0x0cu /* NMI enables; bits 7:4 are read-only */
#define NMI_CONTROL_GATE2 0x01u

#define ROUNDS_MAX 12u
#define ROUND_US 7000u
/* Two rounds that are this close were not disturbed. */
#define ROUNDS_AGREE_PPM 1000u
#define SAMPLES 5u
/*
 * Reads until a clock counts as stopped: a second on a PC, where a read takes a microsecond, and
 * enough where an emulator makes time of instructions and a read takes 20 ns.
 */
#define MAX_READS 1000000u

#define HZ_MIN 10000000ull /* 10 MHz: emulators may be slow */
#define HZ_MAX 20000000000ull
/* CPUID's figure is taken when it is this close to the measured one. */
#define CPUID_AGREE_PPM 10000u

/* A counter of known rate. */
struct reference {
	const char *name;
	uint32_t (*read)(const struct reference *r); /* counts up */
	uint32_t mask;
	uint32_t hz;
	uint16_t port;
};

struct sample {
	uint64_t tsc;
	uint32_t count;
};

static uint32_t pm_timer_read(const struct reference *r)
{
	return cpu_in32(r->port);
}

static uint32_t pit_read(const struct reference *r)
{
	uint32_t low;

	cpu_out8(PIT_COMMAND, PIT_LATCH2);
	low = cpu_in8(r->port);
	return ~(low | (uint32_t)cpu_in8(r->port) << 8);
}

static void pit_start(void)
{
	uint8_t control = cpu_in8(NMI_CONTROL) & NMI_CONTROL_KEEP;

	cpu_out8(NMI_CONTROL, control | NMI_CONTROL_GATE2); /* counting, speaker off */
	cpu_out8(PIT_COMMAND, PIT_CH2_MODE0);
	cpu_out8(PIT_CHANNEL2, 0xff);
	cpu_out8(PIT_CHANNEL2, 0xff);
}

/* Of several readings the one that took least time: an interruption makes a reading slow. */
static struct sample take_sample(const struct reference *r)
{
	struct sample best = {0};
	uint64_t best_cost = UINT64_MAX;

	for (unsigned i = 0; i < SAMPLES; i++) {
		uint64_t before = cpu_rdtsc();
		uint32_t count = r->read(r) & r->mask;
		uint64_t cost = cpu_rdtsc() - before;

		if (cost < best_cost) {
			best_cost = cost;
			best = (struct sample){before + cost / 2, count};
		}
	}
	return best;
}

/* Waits one round's time; false when the reference does not move. */
static bool wait_round(const struct reference *r, uint32_t from)
{
	uint32_t want = (uint32_t)((uint64_t)r->hz * ROUND_US / 1000000);

	for (unsigned reads = 0; reads < MAX_READS; reads++) {
		if (((r->read(r) - from) & r->mask) >= want) {
			return true;
		}
	}
	return false;
}

/*
 * The TSC's frequency between two samples; 0 when they do not serve. Whoever runs us may have
 * stopped us in between: then the counter may have gone round, which half a turn hints at.
 */
static uint64_t frequency(const struct reference *r, struct sample start, struct sample end)
{
	uint32_t passed = (end.count - start.count) & r->mask;

	if (passed == 0 || passed > r->mask / 2 || end.tsc - start.tsc > HZ_MAX) {
		return 0;
	}
	return (end.tsc - start.tsc) * r->hz / passed;
}

static bool plausible(uint64_t hz)
{
	return hz >= HZ_MIN && hz <= HZ_MAX;
}

static bool agree(uint64_t a, uint64_t b, uint64_t ppm)
{
	uint64_t apart = a > b ? a - b : b - a;

	return apart <= b / 1000000 * ppm;
}

/*
 * Rounds until two agree; 0 when the reference stands or is no clock. A round in which we were
 * stopped gives too high a frequency, if any, so the lowest is the second choice.
 */
static uint64_t measure(const struct reference *r)
{
	uint64_t hz[ROUNDS_MAX];
	uint64_t lowest = UINT64_MAX;

	for (unsigned i = 0; i < ROUNDS_MAX; i++) {
		struct sample start = take_sample(r);

		if (!wait_round(r, start.count)) {
			return 0;
		}
		hz[i] = frequency(r, start, take_sample(r));
		if (!plausible(hz[i])) {
			continue;
		}
		for (unsigned j = 0; j < i; j++) {
			if (agree(hz[i], hz[j], ROUNDS_AGREE_PPM)) {
				return (hz[i] + hz[j]) / 2;
			}
		}
		lowest = min_u64(lowest, hz[i]);
	}
	return lowest != UINT64_MAX ? lowest : 0;
}

static uint64_t measure_any(uint16_t pm_timer_port, const char **source)
{
	/* 24 bits are there on every PM timer, 32 on some. */
	const struct reference pm = {"PM timer", pm_timer_read, 0xffffff, PM_TIMER_HZ,
				     pm_timer_port};
	const struct reference pit = {"8254", pit_read, 0xffff, PIT_HZ, PIT_CHANNEL2};
	uint64_t hz = pm_timer_port != 0 ? measure(&pm) : 0;

	*source = pm.name;
	if (hz == 0) {
		*source = pit.name;
		pit_start();
		hz = measure(&pit);
	}
	return hz;
}

uint64_t tsc_frequency_from_cpuid(const char **source)
{
	uint32_t max = cpu_cpuid(0, 0).eax;
	struct cpuid_regs r;

	if ((cpu_cpuid(1, 0).ecx & CPUID_1_ECX_HYPERVISOR) != 0 &&
	    cpu_cpuid(LEAF_HYPERVISOR, 0).eax >= LEAF_HYPERVISOR_TIMING) {
		*source = "hypervisor";
		r = cpu_cpuid(LEAF_HYPERVISOR_TIMING, 0);
		if (plausible((uint64_t)r.eax * 1000)) {
			return (uint64_t)r.eax * 1000;
		}
	}
	if (max >= LEAF_TSC_RATIO) {
		*source = "CPUID 0x15";
		r = cpu_cpuid(LEAF_TSC_RATIO, 0);
		if (r.eax != 0 && r.ebx != 0 && r.ecx != 0) {
			uint64_t hz = (uint64_t)r.ecx * r.ebx / r.eax;

			return plausible(hz) ? hz : 0;
		}
	}
	if (max >= LEAF_FREQUENCY) {
		uint64_t hz = (cpu_cpuid(LEAF_FREQUENCY, 0).eax & 0xffffull) * 1000000;

		*source = "CPUID 0x16";
		return plausible(hz) ? hz : 0;
	}
	return 0;
}

enum hv_status tsc_find_frequency(uint16_t pm_timer_port, struct tsc_result *out)
{
	const char *measured_by = NULL;
	const char *told_by = NULL;
	uint64_t told = tsc_frequency_from_cpuid(&told_by);
	uint64_t measured = measure_any(pm_timer_port, &measured_by);

	if (told == 0 && measured == 0) {
		log_error("the TSC's frequency is unknown: no PM timer, no 8254, no CPUID leaf");
		return HV_E_IO;
	}
	*out = (struct tsc_result){measured, measured, measured_by};
	if (told != 0 && (measured == 0 || agree(told, measured, CPUID_AGREE_PPM))) {
		out->hz = told;
		out->source = told_by;
	} else if (told != 0) {
		log_warn("%s says %llu kHz, but the TSC runs at %llu kHz by the %s", told_by,
			 (unsigned long long)told / 1000, (unsigned long long)measured / 1000,
			 measured_by);
	}
	return HV_OK;
}
