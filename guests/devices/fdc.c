/* SPDX-License-Identifier: Apache-2.0 */
/* The floppy controller's registers, its interrupt, its time and its resets. */
#include "guests/devices/fdc.h"

#include "guests/devices/bytewise.h"
#include "guests/devices/fdc_internal.h"
#include "hv/base/bits.h"
#include "hv/base/str.h"

#define REG_SRA 0u
#define REG_SRB 1u
#define REG_DOR 2u
#define REG_TDR 3u
#define REG_MSR 4u /* written: DSR */
#define REG_FIFO 5u
#define REG_DIR 7u /* written: CCR */
#define NO_REGISTER 0xffu

#define DOR_MOTORS 0x30u /* of the two drives */
#define SRA_PENDING 0x80u
#define SRA_NO_DRIVE_2 0x40u
#define SRA_NO_TRACK_0 0x10u
#define SRA_HEAD_1 0x08u
#define SRA_NO_INDEX 0x04u
#define SRA_WRITABLE 0x02u
#define SRB_ONES 0xc0u
#define SRB_DRIVE_0 0x20u
#define DIR_ONES 0x78u
#define DIR_LOW_DENSITY 0x01u
#define TDR_TAPE 0x03u
#define TDR_ONES 0xfcu

/* --- interrupt and time --- */

static bool is_running(const struct fdc *c)
{
	return (c->state.dor & FDC_DOR_RUN) != 0;
}

static void update_line(struct fdc *c)
{
	bool level = c->state.interrupt && (c->state.dor & FDC_DOR_DMAGATE) != 0;

	if (level != c->level) {
		c->level = level;
		irq_line_set(&c->irq, level);
	}
}

void fdc_set_interrupt(struct fdc *c, bool on)
{
	c->state.interrupt = on;
	update_line(c);
}

void fdc_arm(struct fdc *c)
{
	const struct fdc_state *s = &c->state;
	uint64_t first = min_u64(s->due, s->reset_due);

	for (unsigned i = 0; i < FDC_UNITS; i++) {
		first = min_u64(first, s->seek_due[i]);
	}
	vtimer_arm(&c->timer, first);
}

/* Memory can be reached by a vCPU only. */
static void timer_fired(struct vtimer *t)
{
	vwork_ask(&container_of(t, struct fdc, timer)->work, 0);
}

/* --- resets --- */

static void drop_command(struct fdc *c)
{
	struct fdc_state *s = &c->state;

	blk_single_abandon(&c->request);
	s->phase = FDC_COMMAND;
	s->command_count = 0;
	s->result_count = 0;
	s->result_at = 0;
	s->due = TIMER_NEVER;
	s->reset_due = TIMER_NEVER;
	s->polled = 0;
	for (unsigned i = 0; i < FDC_UNITS; i++) {
		s->seek_due[i] = TIMER_NEVER;
		s->seek_st0[i] = 0;
	}
}

/* "Reset" by DOR or DSR: what LOCK and SPECIFY have set stays. */
static void soft_reset(struct fdc *c)
{
	struct fdc_state *s = &c->state;

	drop_command(c);
	memset(s->pcn, 0, sizeof(s->pcn));
	s->perpendicular &= FDC_PERPENDICULAR_DRIVES;
	s->config = s->lock ? s->config & FDC_CONFIG_LOCKED : FDC_CONFIG_NO_FIFO;
	s->precomp = s->lock ? s->precomp : 0;
	fdc_set_interrupt(c, false);
	fdc_arm(c);
}

/* The drives are polled soon, which a reset has switched on, and found to be ready: an interrupt.
 */
static void leave_reset(struct fdc *c)
{
	c->state.reset_due = fdc_after(c, FDC_RESET_NS);
	fdc_arm(c);
}

static void write_dor(struct fdc *c, uint8_t value)
{
	bool was_running = is_running(c);

	c->state.dor = value;
	if (was_running && !is_running(c)) {
		soft_reset(c);
	} else if (!was_running && is_running(c)) {
		leave_reset(c);
	}
	update_line(c);
}

static void write_dsr(struct fdc *c, uint8_t value)
{
	c->state.dsr = value & (uint8_t)~FDC_DSR_RESET;
	if ((value & FDC_DSR_RESET) != 0) {
		soft_reset(c);
		if (is_running(c)) {
			leave_reset(c);
		}
	}
}

/* --- registers --- */

static const struct floppy_drive *selected(struct fdc *c)
{
	return fdc_drive(c, c->state.dor & FDC_DOR_SELECT);
}

static uint8_t read_sra(struct fdc *c)
{
	const struct floppy_drive *d = selected(c);
	uint8_t value = SRA_NO_INDEX | SRA_NO_TRACK_0 | SRA_WRITABLE;

	if (d != NULL && d->cylinder == 0) {
		value &= (uint8_t)~SRA_NO_TRACK_0;
	}
	if (d != NULL && d->medium != NULL && d->medium->readonly) {
		value &= (uint8_t)~SRA_WRITABLE;
	}
	value |= c->state.interrupt ? SRA_PENDING : 0;
	value |= c->drives[1].format == NULL ? SRA_NO_DRIVE_2 : 0;
	return (uint8_t)(value | (c->state.head != 0 ? SRA_HEAD_1 : 0));
}

static uint8_t read_srb(const struct fdc *c)
{
	uint8_t dor = c->state.dor;

	return (uint8_t)(SRB_ONES | ((dor & FDC_DOR_SELECT & 1) == 0 ? SRB_DRIVE_0 : 0) |
			 (dor & DOR_MOTORS) >> 4);
}

static uint8_t read_msr(const struct fdc *c)
{
	const struct fdc_state *s = &c->state;
	uint8_t value = 0;

	if (!is_running(c)) {
		return 0;
	}
	for (unsigned i = 0; i < FDC_UNITS; i++) {
		value |= (uint8_t)(s->seek_due[i] != TIMER_NEVER ? BIT32(i) : 0);
	}
	if (s->phase == FDC_COMMAND) {
		return (uint8_t)(value | FDC_MSR_RQM | (s->command_count != 0 ? FDC_MSR_BUSY : 0));
	}
	value |= FDC_MSR_BUSY;
	if (s->phase == FDC_RESULT) {
		return value | FDC_MSR_RQM | FDC_MSR_DIO;
	}
	value |= fdc_by_dma(c) ? 0 : FDC_MSR_NON_DMA;
	if (fdc_is_asking(c)) {
		value |= (uint8_t)(FDC_MSR_RQM | (fdc_host_writes(c) ? 0 : FDC_MSR_DIO));
	}
	return value;
}

/* HIGH DENSITY# is asserted at 500 and 1000 kb/s. */
static uint8_t read_dir(struct fdc *c)
{
	const struct floppy_drive *d = selected(c);
	unsigned rate = c->state.dsr & FDC_RATE;

	return (uint8_t)(DIR_ONES | rate << 1 | (rate == 1 || rate == 2 ? DIR_LOW_DENSITY : 0) |
			 (d != NULL && d->changed ? FDC_DIR_CHANGED : 0));
}

static uint8_t read_result(struct fdc *c)
{
	struct fdc_state *s = &c->state;
	uint8_t value = s->result[s->result_at++];

	fdc_set_interrupt(c, false);
	if (s->result_at == s->result_count) {
		s->phase = FDC_COMMAND;
		s->command_count = 0;
		s->result_count = 0;
		s->result_at = 0;
	}
	return value;
}

static uint8_t read_fifo(struct fdc *c)
{
	if (is_running(c) && c->state.phase == FDC_RESULT) {
		return read_result(c);
	}
	if (is_running(c) && fdc_is_asking(c) && !fdc_host_writes(c)) {
		return fdc_give_byte(c);
	}
	return NO_REGISTER;
}

/* What comes while nobody asked for it is lost. */
static void write_fifo(struct fdc *c, uint8_t value)
{
	if (!is_running(c)) {
		return;
	}
	if (c->state.phase == FDC_COMMAND) {
		fdc_take_byte(c, value);
	} else if (fdc_is_asking(c) && fdc_host_writes(c)) {
		fdc_put_byte(c, value);
	}
}

static uint8_t read_byte(struct vdev *dev, uint64_t port)
{
	struct fdc *c = container_of(dev, struct fdc, dev);

	switch (port - FDC_PORT) {
	case REG_SRA:
		return read_sra(c);
	case REG_SRB:
		return read_srb(c);
	case REG_DOR:
		return c->state.dor;
	case REG_TDR:
		return TDR_ONES | c->state.tdr;
	case REG_MSR:
		return read_msr(c);
	case REG_FIFO:
		return read_fifo(c);
	case REG_DIR:
		return read_dir(c);
	default:
		return NO_REGISTER;
	}
}

static void write_byte(struct vdev *dev, uint64_t port, uint8_t value)
{
	struct fdc *c = container_of(dev, struct fdc, dev);

	switch (port - FDC_PORT) {
	case REG_DOR:
		write_dor(c, value);
		break;
	case REG_TDR:
		c->state.tdr = value & TDR_TAPE;
		break;
	case REG_MSR:
		write_dsr(c, value);
		break;
	case REG_FIFO:
		write_fifo(c, value);
		break;
	case REG_DIR:
		c->state.dsr = (uint8_t)((c->state.dsr & ~FDC_RATE) | (value & FDC_RATE));
		break;
	default:
		break; /* SRA and SRB only read */
	}
}

static uint64_t fdc_read(struct vdev *dev, const struct vdev_access *a)
{
	uint64_t value;

	lock_acquire(&dev->lock);
	value = bytewise_read(dev, a, read_byte);
	lock_release(&dev->lock);
	return value;
}

static void fdc_write(struct vdev *dev, const struct vdev_access *a, uint64_t value)
{
	lock_acquire(&dev->lock);
	bytewise_write(dev, a, value, write_byte);
	lock_release(&dev->lock);
}

/* Media stay where they are; heads, too. */
static void fdc_reset(struct vdev *dev)
{
	struct fdc *c = container_of(dev, struct fdc, dev);

	lock_acquire(&dev->lock);
	fdc_set_interrupt(c, false);
	c->state = (struct fdc_state){.dsr = FDC_RATE_DEFAULT, .config = FDC_CONFIG_NO_FIFO};
	drop_command(c);
	for (unsigned i = 0; i < FDC_DRIVES; i++) {
		c->drives[i].changed = c->drives[i].format != NULL;
	}
	fdc_arm(c);
	lock_release(&dev->lock);
}

static void fdc_fini(struct vdev *dev)
{
	struct fdc *c = container_of(dev, struct fdc, dev);

	vtimer_cancel(&c->timer);
}

static const struct vdev_ops fdc_ops = {
	.name = "floppy controller",
	.read = fdc_read,
	.write = fdc_write,
	.reset = fdc_reset,
	.fini = fdc_fini,
};

/* --- from outside --- */

bool fdc_is_idle(const struct fdc *c)
{
	return blk_single_is_idle(&c->request);
}

enum hv_status fdc_eject(struct fdc *c, unsigned drive)
{
	bool was_in;

	lock_acquire(&c->dev.lock);
	was_in = c->drives[drive].medium != NULL;
	floppy_drive_set_medium(&c->drives[drive], false);
	lock_release(&c->dev.lock);
	return was_in ? HV_OK : HV_E_NOT_FOUND;
}

void fdc_insert(struct fdc *c, unsigned drive)
{
	lock_acquire(&c->dev.lock);
	floppy_drive_set_medium(&c->drives[drive], true);
	lock_release(&c->dev.lock);
}

void fdc_init(struct fdc *c, const struct fdc_config *cfg)
{
	*c = (struct fdc){
		.dev.ops = &fdc_ops,
		.dma = cfg->dma,
		.irq = cfg->irq,
		.buffer = cfg->buffer,
	};
	for (unsigned i = 0; i < FDC_DRIVES; i++) {
		floppy_drive_init(&c->drives[i], cfg->media[i]);
	}
	vtimer_init(&c->timer, cfg->time, timer_fired);
	fdc_transfer_init(c, cfg->work);
	saved_device_init(&c->saved, &fdc_saved_ops, c);
	fdc_reset(&c->dev);
}
