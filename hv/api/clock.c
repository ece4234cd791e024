/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conversions between TSC ticks and nanoseconds by one 64x64 multiplication and a shift: the
 * factor is kept with as many significant bits as fit and is rounded up, so that whole numbers of
 * nanoseconds come back whole.
 */
#include "hv/api/clock.h"

#include "hv/base/bits.h"
#include "hv/base/check.h"
#include "hv/cpu/insn.h"
#include "hv/cpu/percpu.h"

#define NS_PER_SECOND 1000000000ull

/* x * mult / 2^shift approximates x * numerator / denominator. */
struct factor {
	uint64_t mult;
	unsigned shift;
};

static struct {
	uint64_t hz;
	struct factor to_ticks;
	struct factor to_ns;
} tsc;

/* Some CPU's TSC is not in step. */
static bool corrected;

/*
 * One 32-bit digit of a long division: subtracts from *rem, extended by the digit `next`, as many
 * times `c` as fit and returns that count. `c` has its top bit set, *rem < c. The quotient by the
 * upper half of `c` alone is at most two too large.
 */
static uint64_t divide_digit(uint64_t *rem, uint64_t next, uint64_t c)
{
	uint64_t c_high = c >> 32;
	uint64_t c_low = c & 0xffffffff;
	uint64_t q = *rem / c_high;
	uint64_t r = *rem % c_high;

	while (r >> 32 == 0 && (q >> 32 != 0 || q * c_low > (r << 32 | next))) {
		q--;
		r += c_high;
	}
	/* Modulo 2^64; the true value is below c. */
	*rem = (*rem << 32 | next) - q * c;
	return q;
}

uint64_t clock_muldiv(uint64_t a, uint64_t b, uint64_t c)
{
	unsigned __int128 product = (unsigned __int128)a * b;
	uint64_t high = (uint64_t)(product >> 64);
	uint64_t low = (uint64_t)product;
	unsigned shift;
	uint64_t q;

	CHECK(c != 0);
	if (high == 0) {
		return low / c;
	}
	if (high >= c) {
		return UINT64_MAX;
	}
	/* high < c, so the product shifted like c still fits 128 bits. */
	shift = (unsigned)__builtin_clzll(c);
	product <<= shift;
	c <<= shift;
	high = (uint64_t)(product >> 64);
	low = (uint64_t)product;
	q = divide_digit(&high, low >> 32, c) << 32;
	return q | divide_digit(&high, low & 0xffffffff, c);
}

static struct factor make_factor(uint64_t numerator, uint64_t denominator)
{
	struct factor f = {.shift = 63};

	do {
		f.shift--;
		f.mult = clock_muldiv(numerator, BIT(f.shift), denominator);
	} while (f.mult >> 63 != 0);
	f.mult++;
	return f;
}

static uint64_t apply(struct factor f, uint64_t x)
{
	unsigned __int128 y = ((unsigned __int128)x * f.mult) >> f.shift;

	return y > UINT64_MAX ? UINT64_MAX : (uint64_t)y;
}

void clock_init(uint64_t hz)
{
	CHECK(hz >= CLOCK_HZ_MIN && hz <= CLOCK_HZ_MAX);
	tsc.hz = hz;
	tsc.to_ticks = make_factor(hz, NS_PER_SECOND);
	tsc.to_ns = make_factor(NS_PER_SECOND, hz);
}

uint64_t clock_hz(void)
{
	return tsc.hz;
}

uint64_t clock_now(void)
{
	uint64_t ticks = cpu_rdtsc();

	if (__builtin_expect(corrected, false)) {
		ticks += (uint64_t)cpu_this()->tsc_offset;
	}
	return ticks;
}

void clock_correct(void)
{
	corrected = true;
}

bool clock_is_corrected(void)
{
	return corrected;
}

int64_t clock_correction(unsigned cpu)
{
	return corrected ? percpu_get(cpu)->tsc_offset : 0;
}

uint64_t clock_ns_to_ticks(uint64_t ns)
{
	return apply(tsc.to_ticks, ns);
}

uint64_t clock_ticks_to_ns(uint64_t ticks)
{
	return apply(tsc.to_ns, ticks);
}
