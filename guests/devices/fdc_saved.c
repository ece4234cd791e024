/* SPDX-License-Identifier: Apache-2.0 */
/* The floppy controller's state as bytes. */
#include "guests/devices/fdc_internal.h"

#include "hv/base/bits.h"
#include "hv/base/str.h"

static bool quiet(void *dev)
{
	struct fdc *c = dev;
	bool is_quiet;

	lock_acquire(&c->dev.lock);
	is_quiet = !c->request.open && !vwork_is_asked(&c->work);
	lock_release(&c->dev.lock);
	return is_quiet;
}

static void save(void *dev, void *bytes)
{
	struct fdc *c = dev;
	struct fdc_saved *out = bytes;

	lock_acquire(&c->dev.lock);
	out->state = c->state;
	for (unsigned i = 0; i < FDC_DRIVES; i++) {
		const struct floppy_drive *d = &c->drives[i];

		out->drives[i] = (struct floppy_drive_saved){
			.present = d->format != NULL,
			.inserted = d->medium != NULL,
			.cylinder = d->cylinder,
			.changed = d->changed,
		};
	}
	if (c->state.phase == FDC_HOST) {
		memcpy(out->buffer, c->buffer, sizeof(out->buffer));
	}
	lock_release(&c->dev.lock);
}

/* --- checking --- */

static const char *check_drive(const struct floppy_drive *d, const struct floppy_drive_saved *in)
{
	if (in->present != (d->format != NULL)) {
		return "a drive is there that was not, or the other way round";
	}
	if (!saved_is_bool(in->inserted) || !saved_is_bool(in->changed) ||
	    in->cylinder > FLOPPY_CYLINDER_LAST) {
		return "a drive's heads are where they cannot be";
	}
	if (in->present == 0 && !saved_is_zero(in, sizeof(*in))) {
		return "a drive that is not there has a state";
	}
	return NULL;
}

static const char *check_registers(const struct fdc_state *s)
{
	uint8_t high = 0;

	for (unsigned i = 0; i < FDC_UNITS; i++) {
		high |= s->specs[i] & (uint8_t)~FDC_SPEC_BITS;
	}
	if ((s->dsr & FDC_DSR_RESET) != 0 || s->tdr > 3 || s->config > FDC_CONFIG_BITS ||
	    s->perpendicular > FDC_PERPENDICULAR_BITS || high != 0 || s->head > 1) {
		return "a register has bits that do not exist";
	}
	if (!saved_is_bool(s->lock) || !saved_is_bool(s->interrupt) ||
	    !saved_is_bool(s->terminal) || s->polled > FDC_UNITS ||
	    !saved_is_zero(s->zero, sizeof(s->zero))) {
		return "a flag is neither 0 nor 1, or more drives are polled than there are";
	}
	return NULL;
}

/* How far a command or its result has got, by its phase. */
static bool phase_is_sound(const struct fdc_state *s)
{
	bool result = s->result_at < s->result_count && s->result_count <= FDC_RESULT_MAX;
	bool no_result = s->result_at == 0 && s->result_count == 0;
	unsigned bytes = fdc_host_bytes(s);

	switch (s->phase) {
	case FDC_COMMAND:
		return no_result && fdc_command_is_open(s);
	case FDC_EXECUTE:
		return no_result && fdc_command_is_transfer(s) && s->stage == FDC_FIND;
	case FDC_HOST:
		return no_result && fdc_command_is_transfer(s) && bytes != 0 && s->at <= bytes;
	case FDC_RESULT:
		return result && s->command_count <= FDC_COMMAND_MAX;
	default:
		return false;
	}
}

static bool is_at_a_track(const struct fdc *c, const struct fdc_saved *in)
{
	unsigned unit = in->state.command[1] & (FDC_UNITS - 1);
	const struct floppy_drive *d = unit < FDC_DRIVES ? &c->drives[unit] : NULL;

	return d != NULL && d->format != NULL && in->drives[unit].cylinder < d->format->cylinders &&
	       in->state.head < d->format->heads;
}

static const char *check_command(const struct fdc *c, const struct fdc_saved *in)
{
	const struct fdc_state *s = &in->state;

	if (!phase_is_sound(s) || s->stage > FDC_WRITE_DONE) {
		return "a command cannot have got that far";
	}
	if ((s->dor & FDC_DOR_RUN) == 0 && s->phase != FDC_COMMAND) {
		return "a controller in reset has no command";
	}
	if (s->due != TIMER_NEVER && s->phase != FDC_EXECUTE && s->phase != FDC_HOST) {
		return "a command that is not there waits";
	}
	if (s->phase == FDC_HOST && !is_at_a_track(c, in)) {
		return "a command has a sector of a track that is not there";
	}
	if (s->phase != FDC_HOST && !saved_is_zero(in->buffer, sizeof(in->buffer))) {
		return "a buffer that nobody uses has something in it";
	}
	return NULL;
}

static const char *check(void *dev, const void *bytes)
{
	const struct fdc *c = dev;
	const struct fdc_saved *in = bytes;
	const char *wrong = check_registers(&in->state);

	for (unsigned i = 0; i < FDC_DRIVES && wrong == NULL; i++) {
		wrong = check_drive(&c->drives[i], &in->drives[i]);
	}
	return wrong != NULL ? wrong : check_command(c, in);
}

/* --- loading --- */

static void convert_times(struct fdc_state *s, const struct vtime *time)
{
	s->due = vtime_of_loaded(time, s->due);
	s->reset_due = vtime_of_loaded(time, s->reset_due);
	for (unsigned i = 0; i < FDC_UNITS; i++) {
		s->seek_due[i] = vtime_of_loaded(time, s->seek_due[i]);
	}
}

/* What is due since is seen to by `work`. */
static void load(void *dev, const void *bytes)
{
	struct fdc *c = dev;
	const struct fdc_saved *in = bytes;

	lock_acquire(&c->dev.lock);
	blk_single_abandon(&c->request);
	c->state = in->state;
	convert_times(&c->state, c->timer.time);
	for (unsigned i = 0; i < FDC_DRIVES; i++) {
		struct floppy_drive *d = &c->drives[i];

		d->medium = in->drives[i].inserted != 0 ? d->given : NULL;
		d->cylinder = in->drives[i].cylinder;
		d->changed = in->drives[i].changed != 0;
	}
	memcpy(c->buffer, in->buffer, sizeof(in->buffer));
	fdc_set_interrupt(c, in->state.interrupt != 0);
	fdc_arm(c);
	vwork_ask(&c->work, 0);
	lock_release(&c->dev.lock);
}

static void reset(void *dev)
{
	struct fdc *c = dev;

	c->dev.ops->reset(&c->dev);
}

const struct saved_ops fdc_saved_ops = {
	.name = "floppy controller",
	.kind = SAVED_KIND('F', 'D', 'C', ' '),
	.version = FDC_SAVED_VERSION,
	.bytes = sizeof(struct fdc_saved),
	.quiet = quiet,
	.save = save,
	.check = check,
	.load = load,
	.reset = reset,
};
