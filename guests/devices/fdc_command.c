/* SPDX-License-Identifier: Apache-2.0 */
/* The floppy controller's command and result phases, and the commands that touch no sector. */
#include "guests/devices/fdc_internal.h"

#include "hv/base/bits.h"
#include "hv/base/str.h"

#define VERSION_82077 0x90u
#define PART_ID 0x01u /* an 82078 */
#define RECALIBRATE_STEPS 79u
#define UNIT 0x03u
#define HEAD 0x04u
#define SEEK_INWARDS 0x40u
#define LOCK 0x80u
#define PERPENDICULAR_OVERWRITE 0x80u
#define PERPENDICULAR_GAP_GATE 0x03u
#define SPEC_DONE 0x80u
#define SPEC_NO_RESULT 0x40u
#define SPEC_BYTES_MAX 6u
#define SPEC_UNIT_SHIFT 5u
#define ST3_ONES 0x28u /* ready, two sides */

/* --- phases --- */

/* Something else to tell of: that a reset is over is not told any more. */
static void interrupt(struct fdc *c)
{
	c->state.polled = 0;
	fdc_set_interrupt(c, true);
}

void fdc_begin_result(struct fdc *c, unsigned count, bool announced)
{
	c->state.phase = FDC_RESULT;
	c->state.result_count = (uint8_t)count;
	c->state.result_at = 0;
	if (announced) {
		interrupt(c);
	}
}

static void result_1(struct fdc *c, uint8_t value)
{
	c->state.result[0] = value;
	fdc_begin_result(c, 1, false);
}

/* A command without a result. */
static void end(struct fdc *c)
{
	c->state.command_count = 0;
}

static void invalid(struct fdc *c)
{
	result_1(c, FDC_ST0_INVALID);
}

/* --- seeks --- */

static void move_heads(struct fdc *c, unsigned unit, bool inwards, unsigned steps)
{
	struct floppy_drive *d = fdc_drive(c, unit);

	if (d != NULL) {
		floppy_drive_step(d, inwards, steps);
	}
}

void fdc_seek(struct fdc *c, unsigned unit, uint8_t cylinder)
{
	uint8_t from = c->state.pcn[unit];

	move_heads(c, unit, cylinder > from, cylinder > from ? cylinder - from : from - cylinder);
	c->state.pcn[unit] = cylinder;
}

/* It is over in a while, and told then with an interrupt. */
static void begin_seek(struct fdc *c, unsigned unit)
{
	c->state.seek_st0[unit] = 0;
	c->state.seek_due[unit] = fdc_after(c, FDC_START_NS);
	fdc_arm(c);
	end(c);
}

static void seek(struct fdc *c)
{
	unsigned unit = c->state.command[1] & UNIT;

	fdc_seek(c, unit, c->state.command[2]);
	begin_seek(c, unit);
}

static void relative_seek(struct fdc *c)
{
	struct fdc_state *s = &c->state;
	unsigned unit = s->command[1] & UNIT;
	bool inwards = (s->command[0] & SEEK_INWARDS) != 0;
	uint8_t steps = s->command[2];

	move_heads(c, unit, inwards, steps);
	s->pcn[unit] = (uint8_t)(inwards ? s->pcn[unit] + steps : s->pcn[unit] - steps);
	begin_seek(c, unit);
}

/* No more than 79 pulses, and none once the drive says that it is at track 0. */
static void recalibrate(struct fdc *c)
{
	unsigned unit = c->state.command[1] & UNIT;
	struct floppy_drive *d = fdc_drive(c, unit);

	if (d != NULL) {
		floppy_drive_step(d, false, (unsigned)min_u64(d->cylinder, RECALIBRATE_STEPS));
	}
	c->state.pcn[unit] = 0;
	begin_seek(c, unit);
}

/* What SENSE INTERRUPT STATUS says of a seek that is over: track 0 was looked for in vain. */
static uint8_t seek_status(struct fdc *c, unsigned unit)
{
	const struct floppy_drive *d = fdc_drive(c, unit);
	bool lost = c->state.pcn[unit] == 0 && (d == NULL || d->cylinder != 0);

	return (uint8_t)(FDC_ST0_SEEK_END | unit | (lost ? FDC_ST0_ABNORMAL | FDC_ST0_CHECK : 0));
}

void fdc_end_seeks(struct fdc *c, uint64_t now)
{
	struct fdc_state *s = &c->state;

	if (s->reset_due <= now) {
		s->reset_due = TIMER_NEVER;
		s->polled = FDC_UNITS;
		fdc_set_interrupt(c, true);
	}
	for (unsigned i = 0; i < FDC_UNITS; i++) {
		if (s->seek_due[i] <= now) {
			s->seek_due[i] = TIMER_NEVER;
			s->seek_st0[i] = seek_status(c, i);
			interrupt(c);
		}
	}
}

static void result_2(struct fdc *c, uint8_t st0, uint8_t pcn)
{
	c->state.result[0] = st0;
	c->state.result[1] = pcn;
	fdc_begin_result(c, 2, false);
}

static void sense_interrupt(struct fdc *c)
{
	struct fdc_state *s = &c->state;

	if (s->polled != 0) {
		unsigned unit = FDC_UNITS - s->polled;

		s->polled--;
		fdc_set_interrupt(c, false);
		result_2(c, (uint8_t)(FDC_ST0_POLLING | unit), s->pcn[unit]);
		return;
	}
	for (unsigned i = 0; i < FDC_UNITS; i++) {
		if (s->seek_st0[i] != 0) {
			uint8_t st0 = s->seek_st0[i];

			s->seek_st0[i] = 0;
			fdc_set_interrupt(c, false);
			result_2(c, st0, s->pcn[i]);
			return;
		}
	}
	invalid(c);
}

/* --- what it can be told, and asked --- */

static void sense_drive(struct fdc *c)
{
	uint8_t which = c->state.command[1] & (UNIT | HEAD);
	const struct floppy_drive *d = fdc_drive(c, which & UNIT);
	uint8_t st3 = ST3_ONES | which;

	if (d != NULL && d->cylinder == 0) {
		st3 |= FDC_ST3_TRACK_0;
	}
	if (d != NULL && d->medium != NULL && d->medium->readonly) {
		st3 |= FDC_ST3_PROTECTED;
	}
	result_1(c, st3);
}

static void specify(struct fdc *c)
{
	memcpy(c->state.specify, &c->state.command[1], sizeof(c->state.specify));
	end(c);
}

static void configure(struct fdc *c)
{
	c->state.config = c->state.command[2] & FDC_CONFIG_BITS;
	c->state.precomp = c->state.command[3];
	end(c);
}

/* The bits of the drives change only with OW. */
static void perpendicular(struct fdc *c)
{
	uint8_t value = c->state.command[1];
	uint8_t drives = (value & PERPENDICULAR_OVERWRITE) != 0 ? value : c->state.perpendicular;

	c->state.perpendicular =
		(uint8_t)((drives & FDC_PERPENDICULAR_DRIVES) | (value & PERPENDICULAR_GAP_GATE));
	end(c);
}

static void lock(struct fdc *c)
{
	c->state.lock = (c->state.command[0] & LOCK) != 0;
	result_1(c, c->state.lock ? 0x10 : 0);
}

static uint8_t lock_and_perpendicular(const struct fdc *c)
{
	return (uint8_t)((c->state.lock ? LOCK : 0) | c->state.perpendicular);
}

static void dump_registers(struct fdc *c)
{
	struct fdc_state *s = &c->state;

	memcpy(&s->result[0], s->pcn, FDC_UNITS);
	memcpy(&s->result[4], s->specify, 2);
	s->result[6] = s->last;
	s->result[7] = lock_and_perpendicular(c);
	s->result[8] = s->config;
	s->result[9] = s->precomp;
	fdc_begin_result(c, 10, false);
}

static void version(struct fdc *c)
{
	result_1(c, VERSION_82077);
}

static void part_id(struct fdc *c)
{
	result_1(c, PART_ID);
}

static void option(struct fdc *c)
{
	c->state.option = c->state.command[1];
	end(c);
}

static void powerdown_mode(struct fdc *c)
{
	c->state.power = c->state.command[1];
	result_1(c, c->state.power);
}

/* Bytes for drives until one says that it was the last; at most five. */
static bool specification_goes_on(const struct fdc_state *s)
{
	return s->command_count < SPEC_BYTES_MAX &&
	       (s->command[s->command_count - 1] & SPEC_DONE) == 0;
}

static void drive_specification(struct fdc *c)
{
	struct fdc_state *s = &c->state;
	uint8_t last = s->command[s->command_count - 1];

	if (specification_goes_on(s)) {
		return;
	}
	for (unsigned i = 1; i < s->command_count && (s->command[i] & SPEC_DONE) == 0; i++) {
		s->specs[s->command[i] >> SPEC_UNIT_SHIFT & UNIT] = s->command[i] & FDC_SPEC_BITS;
	}
	if ((last & SPEC_NO_RESULT) != 0) {
		end(c);
		return;
	}
	memcpy(s->result, s->specs, FDC_UNITS);
	fdc_begin_result(c, FDC_UNITS, false);
}

/* "SAVE": the state in the form in which RESTORE takes it. */
static void save(struct fdc *c)
{
	struct fdc_state *s = &c->state;

	memset(s->result, 0, sizeof(s->result));
	s->result[0] = s->dsr & 0x1f;
	s->result[1] = s->option;
	memcpy(&s->result[2], s->pcn, FDC_UNITS);
	memcpy(&s->result[6], s->specify, 2);
	s->result[8] = s->last;
	s->result[9] = lock_and_perpendicular(c);
	s->result[10] = s->config;
	s->result[11] = s->precomp;
	s->result[12] = s->power;
	fdc_begin_result(c, FDC_RESULT_MAX, false);
}

static void restore(struct fdc *c)
{
	struct fdc_state *s = &c->state;
	const uint8_t *from = &s->command[1];

	s->dsr = (uint8_t)((s->dsr & ~0x1fu) | (from[0] & 0x1f));
	s->option = from[1];
	memcpy(s->pcn, &from[2], FDC_UNITS);
	memcpy(s->specify, &from[6], 2);
	s->last = from[8];
	s->lock = (from[9] & LOCK) != 0;
	s->perpendicular = from[9] & FDC_PERPENDICULAR_BITS;
	s->config = from[10] & FDC_CONFIG_BITS;
	s->precomp = from[11];
	s->power = from[12];
	end(c);
}

/* --- all of them --- */

struct command {
	uint8_t value;
	uint8_t mask;  /* bits of the first byte that tell the command */
	uint8_t count; /* bytes, the first included */
	void (*start)(struct fdc *c);
};

static const struct command commands[] = {
	{0x02, 0xbf, 9, fdc_begin_transfer}, /* READ TRACK */
	{0x03, 0xff, 3, specify},
	{0x04, 0xff, 2, sense_drive},
	{0x05, 0x3f, 9, fdc_begin_transfer}, /* WRITE DATA */
	{0x06, 0x1f, 9, fdc_begin_transfer}, /* READ DATA */
	{0x07, 0xff, 2, recalibrate},
	{0x08, 0xff, 1, sense_interrupt},
	{0x09, 0x3f, 9, fdc_begin_transfer}, /* WRITE DELETED DATA */
	{0x0a, 0xbf, 2, fdc_begin_transfer}, /* READ ID */
	{0x0c, 0x1f, 9, fdc_begin_transfer}, /* READ DELETED DATA */
	{0x0d, 0xbf, 6, fdc_begin_transfer}, /* FORMAT TRACK */
	{0x0e, 0xff, 1, dump_registers},
	{0x0f, 0xff, 3, seek},
	{0x10, 0xff, 1, version},
	{0x11, 0x1f, 9, fdc_begin_transfer}, /* SCAN EQUAL */
	{0x12, 0xff, 2, perpendicular},
	{0x13, 0xff, 4, configure},
	{0x14, 0x7f, 1, lock},
	{0x16, 0x1f, 9, fdc_begin_transfer}, /* VERIFY */
	{0x17, 0xff, 2, powerdown_mode},
	{0x18, 0xff, 1, part_id},
	{0x19, 0x1f, 9, fdc_begin_transfer}, /* SCAN LOW OR EQUAL */
	{0x1d, 0x1f, 9, fdc_begin_transfer}, /* SCAN HIGH OR EQUAL */
	{0x2e, 0xff, 1, save},
	{0x33, 0xff, 2, option},
	{0x4e, 0xff, FDC_COMMAND_MAX, restore},
	{0x8e, 0xff, 2, drive_specification}, /* and it asks for more */
	{0x8f, 0xbf, 3, relative_seek},
};

static const struct command *find(uint8_t first)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if ((first & commands[i].mask) == commands[i].value) {
			return &commands[i];
		}
	}
	return NULL;
}

bool fdc_command_is_open(const struct fdc_state *s)
{
	const struct command *command = find(s->command[0]);

	if (s->command_count == 0) {
		return true;
	}
	return command != NULL &&
	       (s->command_count < command->count ||
		(command->start == drive_specification && specification_goes_on(s)));
}

bool fdc_command_is_transfer(const struct fdc_state *s)
{
	const struct command *command = find(s->command[0]);

	return command != NULL && command->start == fdc_begin_transfer &&
	       s->command_count == command->count;
}

void fdc_take_byte(struct fdc *c, uint8_t value)
{
	struct fdc_state *s = &c->state;
	const struct command *command;

	s->command[s->command_count++] = value;
	command = find(s->command[0]);
	if (command == NULL) {
		vdev_lacks(&c->dev, LACKS_COMMAND, value);
		invalid(c);
	} else if (s->command_count >= command->count) {
		command->start(c);
	}
}
