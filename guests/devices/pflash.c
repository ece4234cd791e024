/* SPDX-License-Identifier: Apache-2.0 */
/* Flash: the command state machine. All operations are over when the cycle that starts them is. */
#include "guests/devices/pflash.h"

#include "hv/base/bits.h"
#include "hv/base/check.h"
#include "hv/base/str.h"

#define CMD_PROGRAM_ALTERNATE 0x10u
#define CMD_ERASE 0x20u
#define CMD_PROGRAM 0x40u
#define CMD_CLEAR_STATUS 0x50u
#define CMD_LOCK_SETUP 0x60u
#define CMD_READ_STATUS 0x70u
#define CMD_READ_ID 0x90u
#define CMD_QUERY 0x98u
#define CMD_SUSPEND 0xb0u
#define CMD_PROTECT 0xc0u
#define CMD_CONFIRM 0xd0u /* also: resume, and unlock behind 0x60 */
#define CMD_BUFFER 0xe8u
#define CMD_READ_ARRAY 0xffu
/* Behind 0x60. */
#define CMD_LOCK 0x01u
#define CMD_LOCK_DOWN 0x2fu

#define ERASED 0xffu

#define ID_MAKER 0x89u	/* Intel */
#define ID_DEVICE 0x18u /* the geometry is what the CFI table says */
/* Offset in a block, in mode ID. */
#define ID_LOCKS 2u

/* The CFI table: the size is filled in when it is read, what is not named is 0. */
#define CFI_SIZE 0x27u
#define CFI_REGION_BLOCKS 0x2du
#define CFI_BUFFER_LOG 8u
static_assert(BIT32(CFI_BUFFER_LOG) == PFLASH_BUFFER, "the table says how long the buffer is");

static const struct {
	uint8_t at;
	uint8_t value;
} cfi_table[] = {
	{0x10, 'Q'},
	{0x11, 'R'},
	{0x12, 'Y'},
	{0x13, 0x01}, /* Intel's extended command set */
	{0x15, 0x31}, /* where its own table is */
	{0x1b, 0x17}, /* Vcc 1.7 V */
	{0x1c, 0x20}, /* to 2.0 V; no Vpp */
	{0x1f, 1},    /* a byte takes 2 us, typically */
	{0x20, 1},    /* a buffer 2 us */
	{0x21, 1},    /* a block 2 ms; the chip cannot be erased as a whole */
	{0x23, 1},    /* and at most twice that */
	{0x24, 1},
	{0x25, 1},
	{0x2a, CFI_BUFFER_LOG}, /* behind 0x28: eight bits wide, asynchronous */
	{0x2c, 1},		/* one region of equal blocks */
	{0x2f, PFLASH_BLOCK / 256},
	{0x31, 'P'},
	{0x32, 'R'},
	{0x33, 'I'},
	{0x34, '1'},
	{0x35, '0'},
	{0x36, 0x26}, /* erase and program can be suspended, blocks locked at once */
	{0x3a, 0x01}, /* a suspended erase lets programs pass */
	{0x3b, 0x03}, /* lock and lock-down bits can be read */
	{0x3d, 0x18}, /* best at 1.8 V; no protection registers */
};

static struct pflash *to_pflash(struct vdev *dev)
{
	return container_of(dev, struct pflash, dev);
}

static void set_mode(struct pflash *f, enum pflash_mode mode)
{
	f->state.mode = (uint8_t)mode;
	if (mode != PFLASH_ARRAY && f->shown) {
		f->shown = false;
		f->cfg.show(f->cfg.ctx, false);
	}
}

/* Behind an access: a wide one could go back and forth with each of its cycles. */
static void show_array(struct pflash *f)
{
	if (f->state.mode == PFLASH_ARRAY && !f->shown) {
		f->shown = true;
		f->cfg.show(f->cfg.ctx, true);
	}
}

static uint8_t locks_of(const struct pflash *f, uint32_t block)
{
	return block >= f->cfg.first_fixed ? PFLASH_LOCKED | PFLASH_LOCKED_DOWN
					   : f->state.locks[block];
}

/* --- reading --- */

static uint8_t read_query(const struct pflash *f, uint32_t at)
{
	unsigned log = 0;

	switch (at) {
	case CFI_SIZE:
		while (BIT32(log) < f->cfg.blocks * PFLASH_BLOCK) {
			log++;
		}
		return (uint8_t)log;
	case CFI_REGION_BLOCKS:
		return (uint8_t)(f->cfg.blocks - 1);
	case CFI_REGION_BLOCKS + 1:
		return (uint8_t)((f->cfg.blocks - 1) >> 8);
	default:
		break;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(cfi_table); i++) {
		if (cfi_table[i].at == at) {
			return cfi_table[i].value;
		}
	}
	return 0;
}

static uint8_t read_id(const struct pflash *f, uint32_t offset)
{
	if (offset % PFLASH_BLOCK == ID_LOCKS) {
		return locks_of(f, offset / PFLASH_BLOCK);
	}
	switch (offset) {
	case 0:
		return ID_MAKER;
	case 1:
		return ID_DEVICE;
	default:
		return 0;
	}
}

static uint8_t read_byte(const struct pflash *f, uint32_t offset)
{
	switch (f->state.mode) {
	case PFLASH_STATUS:
		return f->state.status;
	case PFLASH_ID:
		return read_id(f, offset);
	case PFLASH_QUERY:
		return read_query(f, offset % PFLASH_BLOCK);
	case PFLASH_ARRAY:
	default:
		return f->cfg.contents[offset];
	}
}

/* --- operations --- */

/* Ends in mode STATUS, with what has failed; errors stay until they are cleared. */
static void finish(struct pflash *f, uint8_t errors)
{
	f->state.pending = PFLASH_IDLE;
	f->state.status |= (uint8_t)(PFLASH_SR_READY | errors);
}

/* Not what may follow in this place. */
static void bad_sequence(struct pflash *f)
{
	finish(f, PFLASH_SR_PROGRAM | PFLASH_SR_ERASE);
}

/* Programs bytes of one block. */
static void program(struct pflash *f, uint32_t offset, const uint8_t *data, uint32_t n)
{
	uint8_t result[PFLASH_BUFFER];

	if (locks_of(f, offset / PFLASH_BLOCK) != 0) {
		finish(f, PFLASH_SR_PROGRAM | PFLASH_SR_LOCKED);
		return;
	}
	for (uint32_t i = 0; i < n; i++) {
		result[i] = f->cfg.contents[offset + i] & data[i];
	}
	f->cfg.put(f->cfg.ctx, offset, result, n);
	finish(f, 0);
}

static void erase(struct pflash *f, uint32_t block)
{
	uint8_t ones[PFLASH_BUFFER];

	if (locks_of(f, block) != 0) {
		finish(f, PFLASH_SR_ERASE | PFLASH_SR_LOCKED);
		return;
	}
	memset(ones, ERASED, sizeof(ones));
	for (uint32_t at = 0; at < PFLASH_BLOCK; at += sizeof(ones)) {
		f->cfg.put(f->cfg.ctx, block * PFLASH_BLOCK + at, ones, sizeof(ones));
	}
	finish(f, 0);
}

/* A block that is locked down can be locked, which it is. */
static void set_lock(struct pflash *f, uint32_t block, uint8_t value)
{
	uint8_t *locks = &f->state.locks[block];

	switch (value) {
	case CMD_LOCK:
		*locks |= PFLASH_LOCKED;
		break;
	case CMD_LOCK_DOWN:
		*locks |= PFLASH_LOCKED | PFLASH_LOCKED_DOWN;
		break;
	case CMD_CONFIRM:
		if ((*locks & PFLASH_LOCKED_DOWN) == 0) {
			*locks = 0;
		}
		break;
	default:
		bad_sequence(f);
		return;
	}
	finish(f, 0);
}

/* --- the buffer --- */

static void begin_buffer(struct pflash *f, uint32_t offset)
{
	f->state.buffer_block = offset / PFLASH_BLOCK;
	f->state.pending = PFLASH_BUFFER_COUNT;
	/* The buffer is free. */
	f->state.status |= PFLASH_SR_READY;
}

static void count_buffer(struct pflash *f, uint8_t value)
{
	f->state.buffer_count = (uint16_t)(value + 1);
	f->state.buffer_taken = 0;
	/* What is not written is left as it is. */
	memset(f->state.buffer, ERASED, sizeof(f->state.buffer));
	f->state.pending = PFLASH_BUFFER_DATA;
}

/* The first byte says where the others go, which may come in any order. */
static void fill_buffer(struct pflash *f, uint32_t offset, uint8_t value)
{
	struct pflash_state *s = &f->state;
	uint32_t index;

	if (s->buffer_taken == 0) {
		s->buffer_start = offset;
	}
	index = offset - s->buffer_start;
	if (offset / PFLASH_BLOCK != s->buffer_block || index >= s->buffer_count) {
		bad_sequence(f);
		return;
	}
	s->buffer[index] = value;
	s->buffer_taken++;
	if (s->buffer_taken == s->buffer_count) {
		s->pending = PFLASH_BUFFER_CONFIRM;
	}
}

static void confirm_buffer(struct pflash *f, uint8_t value)
{
	const struct pflash_state *s = &f->state;
	uint32_t end = (s->buffer_block + 1) * PFLASH_BLOCK;

	if (value != CMD_CONFIRM || s->buffer_count > end - s->buffer_start) {
		bad_sequence(f);
		return;
	}
	program(f, s->buffer_start, s->buffer, s->buffer_count);
}

/* --- cycles --- */

static void begin_command(struct pflash *f, enum pflash_pending pending)
{
	f->state.pending = (uint8_t)pending;
	set_mode(f, PFLASH_STATUS);
}

/* What a cycle means that no other waits for. Anything unknown ends in mode ARRAY. */
static void command(struct pflash *f, uint32_t offset, uint8_t value)
{
	switch (value) {
	case CMD_PROGRAM:
	case CMD_PROGRAM_ALTERNATE:
		begin_command(f, PFLASH_PROGRAM);
		break;
	case CMD_ERASE:
		begin_command(f, PFLASH_ERASE);
		break;
	case CMD_LOCK_SETUP:
		begin_command(f, PFLASH_LOCK);
		break;
	case CMD_PROTECT:
		begin_command(f, PFLASH_PROTECT);
		break;
	case CMD_BUFFER:
		set_mode(f, PFLASH_STATUS);
		begin_buffer(f, offset);
		break;
	case CMD_SUSPEND:
	case CMD_CONFIRM:
		set_mode(f, PFLASH_STATUS);
		finish(f, 0);
		break;
	case CMD_READ_STATUS:
		set_mode(f, PFLASH_STATUS);
		break;
	case CMD_READ_ID:
		set_mode(f, PFLASH_ID);
		break;
	case CMD_QUERY:
		set_mode(f, PFLASH_QUERY);
		break;
	case CMD_CLEAR_STATUS:
		f->state.status = 0;
		set_mode(f, PFLASH_ARRAY);
		break;
	case CMD_READ_ARRAY:
		set_mode(f, PFLASH_ARRAY);
		break;
	default:
		vdev_lacks(&f->dev, LACKS_COMMAND, value);
		set_mode(f, PFLASH_ARRAY);
		break;
	}
}

/* Where a command wants a confirmation, 0xff takes it back. */
static bool taken_back(struct pflash *f, uint8_t value)
{
	bool back = value == CMD_READ_ARRAY &&
		    (f->state.pending == PFLASH_ERASE || f->state.pending == PFLASH_LOCK ||
		     f->state.pending == PFLASH_BUFFER_CONFIRM);

	if (back) {
		f->state.pending = PFLASH_IDLE;
		set_mode(f, PFLASH_ARRAY);
	}
	return back;
}

static void write_byte(struct pflash *f, uint32_t offset, uint8_t value)
{
	if (taken_back(f, value)) {
		return;
	}
	switch (f->state.pending) {
	case PFLASH_PROGRAM:
		program(f, offset, &value, 1);
		break;
	case PFLASH_ERASE:
		if (value == CMD_CONFIRM) {
			erase(f, offset / PFLASH_BLOCK);
		} else {
			bad_sequence(f);
		}
		break;
	case PFLASH_LOCK:
		set_lock(f, offset / PFLASH_BLOCK, value);
		break;
	case PFLASH_PROTECT:
		finish(f, PFLASH_SR_PROGRAM | PFLASH_SR_LOCKED);
		break;
	case PFLASH_BUFFER_COUNT:
		count_buffer(f, value);
		break;
	case PFLASH_BUFFER_DATA:
		fill_buffer(f, offset, value);
		break;
	case PFLASH_BUFFER_CONFIRM:
		confirm_buffer(f, value);
		break;
	case PFLASH_IDLE:
	default:
		command(f, offset, value);
		break;
	}
}

/* --- accesses --- */

/* The bus is one byte wide. The VM's buses never reach past the end of the range. */
static uint64_t pflash_read(struct vdev *dev, const struct vdev_access *a)
{
	uint64_t value = 0;

	lock_acquire(&dev->lock);
	for (unsigned i = 0; i < a->size; i++) {
		value |= (uint64_t)read_byte(to_pflash(dev), (uint32_t)a->offset + i) << (8 * i);
	}
	lock_release(&dev->lock);
	return value;
}

static void pflash_write(struct vdev *dev, const struct vdev_access *a, uint64_t value)
{
	struct pflash *f = to_pflash(dev);

	lock_acquire(&dev->lock);
	for (unsigned i = 0; i < a->size; i++) {
		write_byte(f, (uint32_t)a->offset + i, (uint8_t)(value >> (8 * i)));
	}
	show_array(f);
	lock_release(&dev->lock);
}

static void pflash_reset(struct vdev *dev)
{
	struct pflash *f = to_pflash(dev);

	lock_acquire(&dev->lock);
	f->state = (struct pflash_state){.mode = PFLASH_ARRAY, .status = PFLASH_SR_READY};
	show_array(f);
	lock_release(&dev->lock);
}

static const struct vdev_ops pflash_ops = {
	.name = "flash",
	.read = pflash_read,
	.write = pflash_write,
	.reset = pflash_reset,
};

/* --- saved state --- */

static void save(void *dev, void *out)
{
	struct pflash *f = dev;

	lock_acquire(&f->dev.lock);
	((struct pflash_saved *)out)->state = f->state;
	lock_release(&f->dev.lock);
}

/* Whether what is pending goes with what the buffer holds. */
static bool buffer_is_sound(const struct pflash *f, const struct pflash_state *s)
{
	if (s->buffer_block >= f->cfg.blocks || s->buffer_count > PFLASH_BUFFER ||
	    s->buffer_taken > s->buffer_count || s->buffer_start / PFLASH_BLOCK >= f->cfg.blocks) {
		return false;
	}
	switch (s->pending) {
	case PFLASH_BUFFER_DATA:
		return s->buffer_taken < s->buffer_count &&
		       (s->buffer_taken == 0 || s->buffer_start / PFLASH_BLOCK == s->buffer_block);
	case PFLASH_BUFFER_CONFIRM:
		return s->buffer_taken == s->buffer_count && s->buffer_count != 0 &&
		       s->buffer_start / PFLASH_BLOCK == s->buffer_block;
	default:
		return true;
	}
}

static bool locks_are_sound(const struct pflash *f, const struct pflash_state *s)
{
	unsigned wrong = 0;

	for (unsigned i = 0; i < PFLASH_BLOCKS_MAX; i++) {
		unsigned bits = i < f->cfg.blocks ? PFLASH_LOCKED | PFLASH_LOCKED_DOWN : 0;

		wrong |= s->locks[i] & ~bits;
	}
	return wrong == 0;
}

static const char *check(void *dev, const void *in)
{
	const struct pflash *f = dev;
	const struct pflash_state *s = &((const struct pflash_saved *)in)->state;
	const uint8_t status =
		PFLASH_SR_READY | PFLASH_SR_ERASE | PFLASH_SR_PROGRAM | PFLASH_SR_LOCKED;

	if (s->mode > PFLASH_QUERY || s->pending > PFLASH_BUFFER_CONFIRM ||
	    (s->status & ~status) != 0 || s->spare != 0) {
		return "it is in no mode that there is";
	}
	if (!buffer_is_sound(f, s)) {
		return "its buffer is not within a block";
	}
	return locks_are_sound(f, s) ? NULL : "a block is locked that it does not have";
}

static void load(void *dev, const void *in)
{
	struct pflash *f = dev;

	lock_acquire(&f->dev.lock);
	f->state = ((const struct pflash_saved *)in)->state;
	set_mode(f, (enum pflash_mode)f->state.mode);
	show_array(f);
	lock_release(&f->dev.lock);
}

static void reset_saved(void *dev)
{
	pflash_reset(&((struct pflash *)dev)->dev);
}

static const struct saved_ops saved_ops = {
	.name = "flash",
	.kind = SAVED_KIND('F', 'L', 'S', 'H'),
	.version = PFLASH_SAVED_VERSION,
	.bytes = sizeof(struct pflash_saved),
	.save = save,
	.check = check,
	.load = load,
	.reset = reset_saved,
};

void pflash_init(struct pflash *f, const struct pflash_config *cfg)
{
	CHECK(cfg->blocks >= 1 && cfg->blocks <= PFLASH_BLOCKS_MAX);
	*f = (struct pflash){
		.dev.ops = &pflash_ops,
		.cfg = *cfg,
		.shown = true,
		.state = {.mode = PFLASH_ARRAY, .status = PFLASH_SR_READY},
	};
	saved_device_init(&f->saved, &saved_ops, f);
}
