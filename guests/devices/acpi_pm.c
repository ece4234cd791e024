/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ACPI fixed hardware. Sources: ACPI specification, "Fixed Hardware Registers" (PM1, PM timer,
 * GPE) and "Waking and Sleeping", and the ICH9 data sheet for the reset register ("Reset Control
 * Register").
 *
 * The PM timer is computed from guest time by one multiplication, without the lock: guests read it
 * often. Its carry is noticed when somebody looks; a timer is armed only to interrupt for it.
 */
#include "guests/devices/acpi_pm.h"

#include "guests/devices/bytewise.h"
#include "hv/api/clock.h"
#include "hv/base/bits.h"

/* Offsets from LAYOUT_PM_BASE. */
#define PM1_STS 0x00u
#define PM1_EN 0x02u
#define PM1_CNT (LAYOUT_PM1_CNT - LAYOUT_PM_BASE)
#define PM_TMR (LAYOUT_PM_TMR - LAYOUT_PM_BASE)
#define GPE0_STS (LAYOUT_GPE0 - LAYOUT_PM_BASE)
#define GPE0_EN (GPE0_STS + ACPI_PM_GPE0_BYTES / 2)
/*
 * There is no SMM. Firmware that finds SMIs by port 0xb2 enabled takes that for set up already, and
 * lets it be.
 */
#define SMI_EN 0x30u
#define SMI_EN_APMC 0x0020u

static_assert(LAYOUT_PM1_EVT == LAYOUT_PM_BASE && PM1_CNT == 4 && PM_TMR == 8, "as an ICH9");
static_assert(GPE0_EN + 2 <= LAYOUT_PM_SIZE, "the block holds all registers");

#define PM1_EN_WRITABLE \
	(ACPI_PM1_TMR | ACPI_PM1_GBL | ACPI_PM1_PWRBTN | ACPI_PM1_SLPBTN | ACPI_PM1_RTC)
/* What ends S3 while it is enabled; the power button does anyway. */
#define PM1_WAKES (ACPI_PM1_PWRBTN | ACPI_PM1_SLPBTN | ACPI_PM1_RTC)
#define PM1_CNT_WRITABLE (ACPI_PM1_CNT_BM_RLD | ACPI_PM1_CNT_SLP_TYP)
#define RESET_STORED (ACPI_PM_RESET_SYS_RST | ACPI_PM_RESET_RST_CPU | ACPI_PM_RESET_FULL_RST)

#define FACTOR_SHIFT 60u
/* The timer's top bit changes every 2^31 counts. */
#define HALF_TURN_SHIFT 31u

static struct acpi_pm *to_pm(struct vdev *dev)
{
	return container_of(dev, struct acpi_pm, dev);
}

/* Counts since guest time 0. The factor is right to one part in 2^49 even at 5 GHz. */
static uint64_t timer_count(const struct acpi_pm *p)
{
	unsigned __int128 product = vtime_now(p->cfg.time);

	product *= p->timer_factor;
	return (uint64_t)(product >> FACTOR_SHIFT);
}

/* ---- events ---- */

static void notice_carry(struct acpi_pm *p)
{
	uint64_t half_turns = timer_count(p) >> HALF_TURN_SHIFT;

	/* A CPU whose TSC is a little behind sees no carry. */
	if (half_turns > p->half_turns) {
		p->half_turns = half_turns;
		p->pm1_sts |= ACPI_PM1_TMR;
	}
}

/* Up to a tick late, never early: a timer that has not turned yet would fire for nothing. */
static void arm_carry(struct acpi_pm *p)
{
	uint64_t turn = (p->half_turns + 1) << HALF_TURN_SHIFT;

	if ((p->pm1_en & ~p->pm1_sts & ACPI_PM1_TMR) == 0) {
		vtimer_cancel(&p->carry);
	} else {
		vtimer_arm(&p->carry, clock_muldiv(turn, clock_hz(), ACPI_PM_TIMER_HZ) + 1);
	}
}

static void wake(struct acpi_pm *p)
{
	if (p->asleep) {
		p->asleep = false;
		p->pm1_sts |= ACPI_PM1_WAK;
		p->cfg.wake(p->cfg.ctx);
	}
}

/* What the events of now amount to: the SCI, and the end of S3. */
static void update_sci(struct acpi_pm *p)
{
	uint16_t fixed = p->pm1_sts & p->pm1_en;
	uint16_t general = p->gpe_sts & p->gpe_en;
	bool level = fixed != 0 || general != 0;

	if ((fixed & PM1_WAKES) != 0 || general != 0) {
		wake(p);
	}
	if (level != p->sci_level) {
		p->sci_level = level;
		irq_line_set(&p->cfg.sci, level);
	}
}

static void carry_fired(struct vtimer *t)
{
	struct acpi_pm *p = container_of(t, struct acpi_pm, carry);

	lock_acquire(&p->dev.lock);
	notice_carry(p);
	arm_carry(p);
	update_sci(p);
	lock_release(&p->dev.lock);
}

void acpi_pm_press_power_button(struct acpi_pm *p)
{
	lock_acquire(&p->dev.lock);
	p->pm1_sts |= ACPI_PM1_PWRBTN;
	wake(p);
	update_sci(p);
	lock_release(&p->dev.lock);
}

void acpi_pm_rtc_event(struct acpi_pm *p)
{
	lock_acquire(&p->dev.lock);
	p->pm1_sts |= ACPI_PM1_RTC;
	update_sci(p);
	lock_release(&p->dev.lock);
}

void acpi_pm_gpe(struct acpi_pm *p, unsigned gpe)
{
	if (gpe >= ACPI_PM_GPE_COUNT) {
		return;
	}
	lock_acquire(&p->dev.lock);
	p->gpe_sts |= (uint16_t)BIT32(gpe);
	update_sci(p);
	lock_release(&p->dev.lock);
}

/* ---- registers ---- */

static uint16_t read_word(const struct acpi_pm *p, uint64_t offset)
{
	switch (offset) {
	case PM1_STS:
		return p->pm1_sts;
	case PM1_EN:
		return p->pm1_en;
	case PM1_CNT:
		return p->pm1_cnt | ACPI_PM1_CNT_SCI_EN;
	case PM_TMR:
		return (uint16_t)p->timer_latch;
	case PM_TMR + 2:
		return (uint16_t)(p->timer_latch >> 16);
	case GPE0_STS:
		return p->gpe_sts;
	case GPE0_EN:
		return p->gpe_en;
	case SMI_EN:
		return SMI_EN_APMC;
	default:
		return 0;
	}
}

/* An access of a byte, to what is no register. */
static void note(const struct acpi_pm *p, uint64_t offset, enum lacks_kind kind)
{
	if ((offset >= PM1_CNT + 4 && offset < PM_TMR) ||
	    (offset >= PM_TMR + 4 && offset < GPE0_STS) ||
	    (offset >= GPE0_STS + ACPI_PM_GPE0_BYTES && offset < SMI_EN) || offset >= SMI_EN + 4) {
		vdev_lacks(&p->dev, kind, offset);
	}
}

static uint8_t read_byte(struct vdev *dev, uint64_t addr)
{
	const struct acpi_pm *p = to_pm(dev);
	uint64_t offset = addr - LAYOUT_PM_BASE;

	if (addr == LAYOUT_RESET_PORT) {
		return p->reset_control;
	}
	note(p, offset, LACKS_READ);
	return (uint8_t)(read_word(p, offset & ~1ull) >> (offset & 1) * 8);
}

/* An event that is there already ends it at once, by update_sci. */
static void suspend(struct acpi_pm *p)
{
	if (p->cfg.suspend != NULL) {
		p->asleep = true;
		p->cfg.suspend(p->cfg.ctx);
	}
}

/*
 * Stock firmware, and systems that do not read tables, switch off by sleep type 0, as emulators
 * take it. Who reads them has no use for it: SLP_EN to stay awake does nothing.
 */
static bool means_off(uint64_t type)
{
	return type == LAYOUT_SLP_TYP_S5 || type == LAYOUT_SLP_TYP_S0;
}

/* Acts on the byte with SLP_EN; SLP_TYP travels in the same one. */
static void write_control(struct acpi_pm *p, uint16_t value, uint16_t mask)
{
	mask &= PM1_CNT_WRITABLE;
	p->pm1_cnt = (uint16_t)((p->pm1_cnt & ~mask) | (value & mask));
	if ((value & ACPI_PM1_CNT_SLP_EN) == 0) {
		return;
	}
	if (means_off(bits_get(value, ACPI_PM1_CNT_SLP_TYP))) {
		p->wants_off = true;
	} else if (bits_get(value, ACPI_PM1_CNT_SLP_TYP) == LAYOUT_SLP_TYP_S3) {
		suspend(p);
	}
}

static void write_reset(struct acpi_pm *p, uint8_t value)
{
	if ((value & ~p->reset_control & ACPI_PM_RESET_RST_CPU) != 0) {
		p->wants_reset = true;
	}
	p->reset_control = value & RESET_STORED;
}

/* `value` and `mask` cover one byte of the register. */
static void write_masked(struct acpi_pm *p, uint64_t offset, uint16_t value, uint16_t mask)
{
	switch (offset) {
	case PM1_STS:
		p->pm1_sts &= (uint16_t)~value;
		break;
	case PM1_EN:
		p->pm1_en = (uint16_t)((p->pm1_en & ~mask) | (value & PM1_EN_WRITABLE));
		break;
	case PM1_CNT:
		write_control(p, value, mask);
		break;
	case GPE0_STS:
		p->gpe_sts &= (uint16_t)~value;
		break;
	case GPE0_EN:
		p->gpe_en = (uint16_t)((p->gpe_en & ~mask) | value);
		break;
	default:
		break;
	}
}

static void write_byte(struct vdev *dev, uint64_t addr, uint8_t value)
{
	struct acpi_pm *p = to_pm(dev);
	uint64_t offset = addr - LAYOUT_PM_BASE;
	unsigned shift = (offset & 1) * 8;

	if (addr == LAYOUT_RESET_PORT) {
		write_reset(p, value);
		return;
	}
	note(p, offset, LACKS_WRITE);
	write_masked(p, offset & ~1ull, (uint16_t)(value << shift), (uint16_t)(0xffu << shift));
}

static uint64_t pm_read(struct vdev *dev, const struct vdev_access *a)
{
	struct acpi_pm *p = to_pm(dev);
	uint64_t value;

	if (a->addr == LAYOUT_PM_TMR && a->size == 4) {
		return timer_count(p);
	}
	lock_acquire(&dev->lock);
	notice_carry(p);
	p->timer_latch = (uint32_t)timer_count(p);
	value = bytewise_read(dev, a, read_byte);
	update_sci(p);
	lock_release(&dev->lock);
	return value;
}

static void pm_write(struct vdev *dev, const struct vdev_access *a, uint64_t value)
{
	struct acpi_pm *p = to_pm(dev);
	bool off;
	bool reset;

	lock_acquire(&dev->lock);
	notice_carry(p);
	bytewise_write(dev, a, value, write_byte);
	arm_carry(p);
	update_sci(p);
	off = p->wants_off;
	reset = p->wants_reset;
	p->wants_off = false;
	p->wants_reset = false;
	lock_release(&dev->lock);
	if (off && p->cfg.power_off != NULL) {
		p->cfg.power_off(p->cfg.ctx);
	}
	if (reset && p->cfg.reset != NULL) {
		p->cfg.reset(p->cfg.ctx);
	}
}

static void pm_reset(struct vdev *dev)
{
	struct acpi_pm *p = to_pm(dev);

	lock_acquire(&dev->lock);
	p->pm1_sts = 0;
	p->pm1_en = 0;
	p->pm1_cnt = 0;
	p->gpe_sts = 0;
	p->gpe_en = 0;
	p->reset_control = 0;
	p->asleep = false;
	p->half_turns = timer_count(p) >> HALF_TURN_SHIFT;
	vtimer_cancel(&p->carry);
	update_sci(p);
	lock_release(&dev->lock);
}

static void pm_fini(struct vdev *dev)
{
	struct acpi_pm *p = to_pm(dev);

	lock_acquire(&dev->lock);
	vtimer_cancel(&p->carry);
	lock_release(&dev->lock);
}

static const struct vdev_ops pm_ops = {
	.name = "ACPI PM",
	.read = pm_read,
	.write = pm_write,
	.reset = pm_reset,
	.fini = pm_fini,
};

/* ---- saved state ---- */

static void save(void *dev, void *out)
{
	struct acpi_pm *p = dev;

	lock_acquire(&p->dev.lock);
	*(struct acpi_pm_saved *)out = (struct acpi_pm_saved){
		.half_turns = p->half_turns,
		.timer_latch = p->timer_latch,
		.pm1_sts = p->pm1_sts,
		.pm1_en = p->pm1_en,
		.pm1_cnt = p->pm1_cnt,
		.gpe_sts = p->gpe_sts,
		.gpe_en = p->gpe_en,
		.reset_control = p->reset_control,
		.asleep = p->asleep,
	};
	lock_release(&p->dev.lock);
}

static const char *check(void *dev, const void *in)
{
	const struct acpi_pm *p = dev;
	const struct acpi_pm_saved *saved = in;
	bool awake = (saved->pm1_sts & saved->pm1_en & PM1_WAKES) != 0 ||
		     (saved->gpe_sts & saved->gpe_en) != 0;

	if ((saved->pm1_sts & ~(PM1_EN_WRITABLE | ACPI_PM1_WAK)) != 0 ||
	    (saved->pm1_en & ~PM1_EN_WRITABLE) != 0 || (saved->pm1_cnt & ~PM1_CNT_WRITABLE) != 0 ||
	    (saved->reset_control & ~RESET_STORED) != 0) {
		return "a register has bits that it cannot have";
	}
	if (!saved_is_bool(saved->asleep) ||
	    (saved->asleep != 0 && (awake || p->cfg.suspend == NULL))) {
		return "it cannot be asleep";
	}
	return NULL;
}

static void load(void *dev, const void *in)
{
	struct acpi_pm *p = dev;
	const struct acpi_pm_saved *saved = in;

	lock_acquire(&p->dev.lock);
	/* Of turns to come no timer can tell when they are over. */
	p->half_turns = min_u64(saved->half_turns, timer_count(p) >> HALF_TURN_SHIFT);
	p->timer_latch = saved->timer_latch;
	p->pm1_sts = saved->pm1_sts;
	p->pm1_en = saved->pm1_en;
	p->pm1_cnt = saved->pm1_cnt;
	p->gpe_sts = saved->gpe_sts;
	p->gpe_en = saved->gpe_en;
	p->reset_control = saved->reset_control;
	p->asleep = saved->asleep != 0;
	if (p->cfg.set_suspended != NULL) {
		p->cfg.set_suspended(p->cfg.ctx, p->asleep);
	}
	arm_carry(p);
	update_sci(p);
	lock_release(&p->dev.lock);
}

static void reset_saved(void *dev)
{
	pm_reset(&((struct acpi_pm *)dev)->dev);
}

static const struct saved_ops saved_ops = {
	.name = "ACPI PM",
	.kind = SAVED_KIND('A', 'P', 'M', ' '),
	.version = ACPI_PM_SAVED_VERSION,
	.bytes = sizeof(struct acpi_pm_saved),
	.save = save,
	.check = check,
	.load = load,
	.reset = reset_saved,
};

void acpi_pm_init(struct acpi_pm *p, const struct acpi_pm_config *cfg)
{
	*p = (struct acpi_pm){.dev.ops = &pm_ops, .cfg = *cfg};
	/*
	 * The shift in two parts, as 2^60 fits no factor beside the frequency; one up, so that
	 * whole seconds count whole.
	 */
	p->timer_factor = 1 + clock_muldiv((uint64_t)ACPI_PM_TIMER_HZ << 32, BIT(FACTOR_SHIFT - 32),
					   clock_hz());
	vtimer_init(&p->carry, cfg->time, carry_fired);
	saved_device_init(&p->saved, &saved_ops, p);
	p->half_turns = timer_count(p) >> HALF_TURN_SHIFT;
}
