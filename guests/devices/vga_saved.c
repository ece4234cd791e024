/* SPDX-License-Identifier: Apache-2.0 */
/* Saved state of a VGA: its registers. Video memory is the VM's, saved with its RAM. */
#include "guests/devices/vga_saved.h"

#include "guests/devices/vga_dispi.h"
#include "guests/devices/vga_regs.h"
#include "hv/api/saved.h"
#include "hv/base/str.h"

static void save_dac(const struct vga_dac *d, struct vga_dac_saved *out)
{
	out->mask = d->mask;
	out->read_index = d->read_index;
	out->write_index = d->write_index;
	out->step = d->step;
	out->reading = d->reading;
	memcpy(out->wait, d->wait, sizeof(out->wait));
	memcpy(out->colour, d->colour, sizeof(out->colour));
}

void vga_state_save(const struct vga_state *s, struct vga_state_saved *out)
{
	out->latch = s->latch;
	out->dispi_index = s->dispi_index;
	out->misc = s->misc;
	out->feature = s->feature;
	out->sequencer_index = s->sequencer_index;
	out->graphics_index = s->graphics_index;
	out->crtc_index = s->crtc_index;
	out->attribute_index = s->attribute_index;
	out->attribute_data = s->attribute_data;
	out->big_endian = s->big_endian;
	memcpy(out->sequencer, s->sequencer, sizeof(out->sequencer));
	memcpy(out->graphics, s->graphics, sizeof(out->graphics));
	memcpy(out->crtc, s->crtc, sizeof(out->crtc));
	memcpy(out->attribute, s->attribute, sizeof(out->attribute));
	memcpy(out->dispi, s->dispi, sizeof(out->dispi));
	save_dac(&s->dac, &out->dac);
}

void vga_state_load(struct vga_state *s, const struct vga_state_saved *in)
{
	*s = (struct vga_state){
		.misc = in->misc,
		.feature = in->feature,
		.sequencer_index = in->sequencer_index,
		.graphics_index = in->graphics_index,
		.crtc_index = in->crtc_index,
		.attribute_index = in->attribute_index,
		.attribute_data = in->attribute_data != 0,
		.big_endian = in->big_endian != 0,
		.latch = in->latch,
		.dispi_index = in->dispi_index,
		.dac = {.mask = in->dac.mask,
			.read_index = in->dac.read_index,
			.write_index = in->dac.write_index,
			.step = in->dac.step,
			.reading = in->dac.reading != 0},
	};
	memcpy(s->sequencer, in->sequencer, sizeof(s->sequencer));
	memcpy(s->graphics, in->graphics, sizeof(s->graphics));
	memcpy(s->crtc, in->crtc, sizeof(s->crtc));
	memcpy(s->attribute, in->attribute, sizeof(s->attribute));
	memcpy(s->dispi, in->dispi, sizeof(s->dispi));
	memcpy(s->dac.wait, in->dac.wait, sizeof(s->dac.wait));
	memcpy(s->dac.colour, in->dac.colour, sizeof(s->dac.colour));
}

const char *vga_state_check(const struct vga_state_saved *in, const struct vga_memory *m)
{
	struct vga_state s;

	if (!saved_is_bool(in->attribute_data) || !saved_is_bool(in->big_endian) ||
	    !saved_is_bool(in->dac.reading) || !saved_is_zero(in->dac.zero, sizeof(in->dac.zero)) ||
	    !saved_is_zero(in->zero, sizeof(in->zero))) {
		return "a flag is neither 0 nor 1";
	}
	vga_state_load(&s, in);
	if (!vga_regs_are_sound(&s)) {
		return "a register has bits that it cannot have";
	}
	return vga_dispi_is_sound(&s, m) ? NULL : "the DISPI registers do not fit together";
}
