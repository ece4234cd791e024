/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands of an ATA disk ask for. Sources: ATA/ATAPI-6 (T13/1410D) and ACS-3, "Command
 * descriptions"; for those of before ATA-3 (T13/2008D). */
#include "guests/devices/ata.h"

#include "hv/base/bits.h"
#include "hv/base/str.h"

#define HEADS 16u
#define TRACK_SECTORS 63u

#define COUNT_28 256u
#define COUNT_48 65536u
#define TAG_SHIFT 3u

enum address_form { BITS_28, BITS_48 };

struct command {
	uint8_t code;
	enum address_form form;
	enum ata_protocol protocol;
	enum ata_action action;
	/* Says more than the row does; NULL: sectors are moved, or nothing is to be done. */
	void (*begin)(struct ata_disk *d, struct ata_registers *r, struct ata_operation *op);
};

/* ---- answers ---- */

static void answer(struct ata_registers *r, uint8_t status, uint8_t error)
{
	r->status = (uint8_t)(ATA_STATUS_DRDY | ATA_STATUS_DSC | status);
	r->error = error;
}

void ata_succeed(struct ata_registers *r)
{
	answer(r, 0, 0);
}

void ata_abort(struct ata_registers *r)
{
	answer(r, ATA_STATUS_ERR, ATA_ERROR_ABRT);
}

static void refuse(struct ata_registers *r, struct ata_operation *op)
{
	op->action = ATA_DONE;
	op->protocol = ATA_NO_DATA;
	ata_abort(r);
}

void ata_lacks(struct ata_operation *op, enum lacks_kind kind, uint16_t what)
{
	op->lacks = kind;
	op->lacked = (uint8_t)what;
}

void ata_set_signature(struct ata_registers *r, bool packet)
{
	uint32_t address = packet ? ATA_SIGNATURE_PACKET : ATA_SIGNATURE_DISK;

	memset(r->lba, 0, sizeof(r->lba));
	for (unsigned i = 0; i < 3; i++) {
		r->lba[i] = (uint8_t)(address >> (8 * i));
	}
	r->count = ATA_SIGNATURE_COUNT;
	r->device = 0;
	/* A packet device is ready when it was sent a packet. */
	r->status = packet ? 0 : ATA_STATUS_DRDY | ATA_STATUS_DSC;
	r->error = ATA_DIAGNOSTIC_PASSED;
}

/* ---- addresses ---- */

static uint64_t get_bytes(const uint8_t *bytes, unsigned count)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < count; i++) {
		value |= (uint64_t)bytes[i] << (8 * i);
	}
	return value;
}

/* The first block by cylinder, head, sector, the latter from 1; a sector 0 is out of reach. */
static uint64_t block_of_chs(const struct ata_disk *d, const struct ata_registers *r)
{
	uint64_t cylinder = get_bytes(r->lba + 1, 2);
	unsigned head = r->device & ATA_DEVICE_HEAD;

	if (r->lba[0] == 0 || r->lba[0] > d->state.sectors || head >= d->state.heads) {
		return UINT64_MAX;
	}
	return (cylinder * d->state.heads + head) * d->state.sectors + r->lba[0] - 1;
}

static uint64_t block_of(const struct ata_disk *d, const struct ata_registers *r,
			 enum address_form form)
{
	if (form == BITS_48) {
		return get_bytes(r->lba, 6);
	}
	if ((r->device & ATA_DEVICE_LBA) == 0) {
		return block_of_chs(d, r);
	}
	return get_bytes(r->lba, 3) | (uint64_t)(r->device & ATA_DEVICE_HEAD) << 24;
}

static uint32_t count_of(const struct ata_registers *r, enum address_form form)
{
	uint32_t count = form == BITS_48 ? r->count : r->count & 0xffu;

	if (count != 0) {
		return count;
	}
	return form == BITS_48 ? COUNT_48 : COUNT_28;
}

static void put_lba(struct ata_registers *r, bool is_ext, uint64_t block)
{
	for (unsigned i = 0; i < (is_ext ? 6u : 3u); i++) {
		r->lba[i] = (uint8_t)(block >> (8 * i));
	}
	if (!is_ext) {
		r->device =
			(uint8_t)((r->device & ~ATA_DEVICE_HEAD) | (block >> 24 & ATA_DEVICE_HEAD));
	}
}

static void put_chs(const struct ata_disk *d, struct ata_registers *r, uint64_t block)
{
	uint64_t track = block / d->state.sectors;
	uint64_t cylinder = track / d->state.heads;

	r->lba[0] = (uint8_t)(block % d->state.sectors + 1);
	r->lba[1] = (uint8_t)cylinder;
	r->lba[2] = (uint8_t)(cylinder >> 8);
	r->device = (uint8_t)((r->device & ~ATA_DEVICE_HEAD) | track % d->state.heads);
}

/* Where it went wrong, in the form of the command's own address. */
static void put_block(const struct ata_disk *d, struct ata_registers *r, bool is_ext,
		      uint64_t block)
{
	if (is_ext || (r->device & ATA_DEVICE_LBA) != 0) {
		put_lba(r, is_ext, block);
	} else {
		put_chs(d, r, block);
	}
}

/* ---- transfers ---- */

/* `count` blocks from `block` on; false: not all of them are there, and the command is over. */
static bool aim(struct ata_disk *d, struct ata_registers *r, struct ata_operation *op,
		uint64_t block, uint32_t count)
{
	if (!range_fits(block, count, d->blocks)) {
		op->action = ATA_DONE;
		op->protocol = ATA_NO_DATA;
		answer(r, ATA_STATUS_ERR, ATA_ERROR_IDNF);
		return false;
	}
	d->state.standby = false;
	op->sector = block << d->block_shift;
	op->bytes = ((uint64_t)count << d->block_shift) * BLK_SECTOR;
	op->drq_bytes = BLK_SECTOR << d->block_shift;
	op->flush_after = op->action == ATA_DO_WRITE && !d->state.write_cache;
	return true;
}

static void begin_transfer(struct ata_disk *d, struct ata_registers *r, struct ata_operation *op)
{
	enum address_form form = op->is_ext ? BITS_48 : BITS_28;

	if (op->action == ATA_DO_WRITE && d->cfg.device->readonly) {
		refuse(r, op);
		return;
	}
	(void)aim(d, r, op, block_of(d, r, form), count_of(r, form));
}

static void begin_multiple(struct ata_disk *d, struct ata_registers *r, struct ata_operation *op)
{
	if (d->state.multiple == 0) {
		refuse(r, op);
		return;
	}
	begin_transfer(d, r, op);
	op->drq_bytes *= d->state.multiple;
}

static void begin_fua(struct ata_disk *d, struct ata_registers *r, struct ata_operation *op)
{
	begin_transfer(d, r, op);
	op->flush_after = true;
}

static void begin_multiple_fua(struct ata_disk *d, struct ata_registers *r,
			       struct ata_operation *op)
{
	begin_multiple(d, r, op);
	op->flush_after = true;
}

/* The number of blocks is where others have features, and the tag where they have the number. */
static void begin_queued(struct ata_disk *d, struct ata_registers *r, struct ata_operation *op)
{
	uint32_t count = r->features == 0 ? COUNT_48 : r->features;

	op->tag = (uint8_t)(r->count >> TAG_SHIFT & (ATA_QUEUE_MAX - 1));
	op->queued = true;
	if (op->tag >= d->cfg.queue_depth ||
	    (op->action == ATA_DO_WRITE && d->cfg.device->readonly)) {
		refuse(r, op);
	} else if (aim(d, r, op, block_of(d, r, BITS_48), count)) {
		op->flush_after |= op->action == ATA_DO_WRITE && (r->device & ATA_DEVICE_FUA) != 0;
	}
	if (op->action == ATA_DONE) {
		d->state.queued_error = (struct ata_queued_error){true, op->tag, *r};
	}
}

static void begin_trim(struct ata_disk *d, struct ata_registers *r, struct ata_operation *op)
{
	if (!d->cfg.device->discards || d->cfg.device->readonly ||
	    (r->features & 0xffu) != ATA_DSM_TRIM || r->count == 0 ||
	    r->count > ATA_DSM_BLOCKS_MAX) {
		refuse(r, op);
		return;
	}
	op->bytes = r->count * (uint64_t)BLK_SECTOR;
}

static void begin_seek(struct ata_disk *d, struct ata_registers *r, struct ata_operation *op)
{
	if (aim(d, r, op, block_of(d, r, BITS_28), 1)) {
		ata_succeed(r);
	}
}

/* ---- pages ---- */

static void begin_page(struct ata_operation *op, enum ata_page_kind page)
{
	op->action = ATA_DO_PAGE;
	op->page = page;
	op->bytes = ATA_PAGE_BYTES;
	op->drq_bytes = ATA_PAGE_BYTES;
}

static void begin_identify(struct ata_disk *d, struct ata_registers *r, struct ata_operation *op)
{
	(void)d;
	(void)r;
	begin_page(op, ATA_PAGE_IDENTIFY);
}

/* Each log has one page. */
static void begin_log(struct ata_disk *d, struct ata_registers *r, struct ata_operation *op)
{
	bool there = r->lba[0] == ATA_LOG_DIRECTORY ||
		     (r->lba[0] == ATA_LOG_QUEUED_ERROR && d->cfg.queue_depth != 0);

	if (!there || r->count != 1 || (r->lba[1] | r->lba[4]) != 0) {
		ata_lacks(op, there ? LACKS_NOTHING : LACKS_LOG, r->lba[0]);
		refuse(r, op);
		return;
	}
	begin_page(op, ATA_PAGE_LOG);
	op->log = r->lba[0];
}

static void begin_smart_page(struct ata_operation *op, enum ata_page_kind page)
{
	begin_page(op, page);
	op->protocol = ATA_PIO_IN;
}

static void begin_smart_log(struct ata_registers *r, struct ata_operation *op)
{
	op->log = r->lba[0];
	if ((op->log != ATA_LOG_DIRECTORY && op->log != ATA_LOG_ERRORS &&
	     op->log != ATA_LOG_SELF_TEST) ||
	    (r->count & 0xffu) != 1) {
		refuse(r, op);
		return;
	}
	begin_smart_page(op, ATA_PAGE_SMART_LOG);
}

/* "Status": the key comes back as it was for a disk that is well. */
static void begin_smart(struct ata_disk *d, struct ata_registers *r, struct ata_operation *op)
{
	uint8_t what = (uint8_t)r->features;

	if (get_bytes(r->lba + 1, 2) != ATA_SMART_KEY ||
	    (!d->state.smart && what != ATA_SMART_ENABLE)) {
		refuse(r, op);
		return;
	}
	ata_succeed(r);
	switch (what) {
	case ATA_SMART_READ_DATA:
		begin_smart_page(op, ATA_PAGE_SMART_DATA);
		break;
	case ATA_SMART_READ_THRESHOLDS:
		begin_smart_page(op, ATA_PAGE_SMART_THRESHOLDS);
		break;
	case ATA_SMART_READ_LOG:
		begin_smart_log(r, op);
		break;
	case ATA_SMART_ENABLE:
	case ATA_SMART_DISABLE:
		d->state.smart = what == ATA_SMART_ENABLE;
		break;
	case ATA_SMART_AUTOSAVE:
	case ATA_SMART_STATUS:
		break;
	default:
		ata_lacks(op, LACKS_SMART, what);
		refuse(r, op);
		break;
	}
}

/* ---- settings ---- */

bool ata_select_mode(uint16_t count, uint8_t *multiword, uint8_t *ultra)
{
	uint8_t number = count & ATA_MODE_NUMBER;

	switch (count & ATA_MODE_KIND) {
	case ATA_MODE_PIO:
		return number <= 1;
	case ATA_MODE_PIO_FLOW:
		return number <= 4;
	case ATA_MODE_MULTIWORD:
		*multiword = number;
		*ultra = ATA_MODE_NONE;
		return number <= 2;
	case ATA_MODE_ULTRA:
		*multiword = ATA_MODE_NONE;
		*ultra = number;
		return number <= 5;
	default:
		return false;
	}
}

static bool set_mode(struct ata_disk *d, uint16_t count)
{
	uint8_t multiword = d->state.multiword;
	uint8_t ultra = d->state.ultra;

	if (!ata_select_mode(count & 0xffu, &multiword, &ultra)) {
		return false;
	}
	d->state.multiword = multiword;
	d->state.ultra = ultra;
	return true;
}

static bool set_feature(struct ata_disk *d, const struct ata_registers *r)
{
	switch (r->features & 0xffu) {
	case ATA_FEATURE_CACHE_ON:
	case ATA_FEATURE_CACHE_OFF:
		d->state.write_cache = (r->features & 0xffu) == ATA_FEATURE_CACHE_ON;
		return true;
	case ATA_FEATURE_AHEAD_ON:
	case ATA_FEATURE_AHEAD_OFF:
		d->state.look_ahead = (r->features & 0xffu) == ATA_FEATURE_AHEAD_ON;
		return true;
	case ATA_FEATURE_DEFAULTS_ON:
	case ATA_FEATURE_DEFAULTS_OFF:
		/* A soft reset changes no setting in any case. */
		return true;
	case ATA_FEATURE_MODE:
		return set_mode(d, r->count);
	default:
		return false;
	}
}

static void begin_set_features(struct ata_disk *d, struct ata_registers *r,
			       struct ata_operation *op)
{
	bool cache_off = (r->features & 0xffu) == ATA_FEATURE_CACHE_OFF;

	if (!set_feature(d, r)) {
		ata_lacks(op, LACKS_FEATURE, r->features);
		refuse(r, op);
	} else if (cache_off) {
		/* What the cache holds is written first. */
		op->action = ATA_DO_FLUSH;
	}
}

static void begin_set_multiple(struct ata_disk *d, struct ata_registers *r,
			       struct ata_operation *op)
{
	unsigned count = r->count & 0xffu;

	if (count > ATA_MULTIPLE_MAX || (count & (count - 1)) != 0) {
		refuse(r, op);
		return;
	}
	d->state.multiple = (uint8_t)count;
}

static void begin_init_parameters(struct ata_disk *d, struct ata_registers *r,
				  struct ata_operation *op)
{
	unsigned sectors = r->count & 0xffu;

	if (sectors == 0) {
		refuse(r, op);
		return;
	}
	d->state.sectors = (uint8_t)sectors;
	d->state.heads = (uint8_t)((r->device & ATA_DEVICE_HEAD) + 1);
}

static void begin_standby(struct ata_disk *d, struct ata_registers *r, struct ata_operation *op)
{
	(void)r;
	(void)op;
	d->state.standby = true;
}

static void begin_idle(struct ata_disk *d, struct ata_registers *r, struct ata_operation *op)
{
	(void)r;
	(void)op;
	d->state.standby = false;
}

static void begin_check_power(struct ata_disk *d, struct ata_registers *r, struct ata_operation *op)
{
	(void)op;
	r->count = d->state.standby ? ATA_POWER_STANDBY : ATA_POWER_ACTIVE;
}

static void begin_nothing(struct ata_disk *d, struct ata_registers *r, struct ata_operation *op)
{
	(void)d;
	(void)r;
	(void)op;
}

/* ---- the table ---- */

static const struct command commands[] = {
	{ATA_DSM, BITS_48, ATA_DMA_OUT, ATA_DO_TRIM, begin_trim},
	{ATA_RECALIBRATE, BITS_28, ATA_NO_DATA, ATA_DONE, begin_nothing},
	{ATA_READ_SECTORS, BITS_28, ATA_PIO_IN, ATA_DO_READ, begin_transfer},
	{ATA_READ_SECTORS_ONCE, BITS_28, ATA_PIO_IN, ATA_DO_READ, begin_transfer},
	{ATA_READ_SECTORS_EXT, BITS_48, ATA_PIO_IN, ATA_DO_READ, begin_transfer},
	{ATA_READ_DMA_EXT, BITS_48, ATA_DMA_IN, ATA_DO_READ, begin_transfer},
	{ATA_READ_MULTIPLE_EXT, BITS_48, ATA_PIO_IN, ATA_DO_READ, begin_multiple},
	{ATA_READ_LOG_EXT, BITS_48, ATA_PIO_IN, ATA_DO_PAGE, begin_log},
	{ATA_WRITE_SECTORS, BITS_28, ATA_PIO_OUT, ATA_DO_WRITE, begin_transfer},
	{ATA_WRITE_SECTORS_ONCE, BITS_28, ATA_PIO_OUT, ATA_DO_WRITE, begin_transfer},
	{ATA_WRITE_SECTORS_EXT, BITS_48, ATA_PIO_OUT, ATA_DO_WRITE, begin_transfer},
	{ATA_WRITE_DMA_EXT, BITS_48, ATA_DMA_OUT, ATA_DO_WRITE, begin_transfer},
	{ATA_WRITE_MULTIPLE_EXT, BITS_48, ATA_PIO_OUT, ATA_DO_WRITE, begin_multiple},
	{ATA_WRITE_DMA_FUA_EXT, BITS_48, ATA_DMA_OUT, ATA_DO_WRITE, begin_fua},
	{ATA_VERIFY, BITS_28, ATA_NO_DATA, ATA_DO_VERIFY, begin_transfer},
	{ATA_VERIFY_ONCE, BITS_28, ATA_NO_DATA, ATA_DO_VERIFY, begin_transfer},
	{ATA_VERIFY_EXT, BITS_48, ATA_NO_DATA, ATA_DO_VERIFY, begin_transfer},
	{ATA_READ_LOG_DMA_EXT, BITS_48, ATA_DMA_IN, ATA_DO_PAGE, begin_log},
	{ATA_READ_FPDMA, BITS_48, ATA_DMA_IN, ATA_DO_READ, begin_queued},
	{ATA_WRITE_FPDMA, BITS_48, ATA_DMA_OUT, ATA_DO_WRITE, begin_queued},
	{ATA_SEEK, BITS_28, ATA_NO_DATA, ATA_DONE, begin_seek},
	{ATA_INIT_PARAMETERS, BITS_28, ATA_NO_DATA, ATA_DONE, begin_init_parameters},
	{ATA_SMART, BITS_28, ATA_NO_DATA, ATA_DONE, begin_smart},
	{ATA_READ_MULTIPLE, BITS_28, ATA_PIO_IN, ATA_DO_READ, begin_multiple},
	{ATA_WRITE_MULTIPLE, BITS_28, ATA_PIO_OUT, ATA_DO_WRITE, begin_multiple},
	{ATA_SET_MULTIPLE, BITS_28, ATA_NO_DATA, ATA_DONE, begin_set_multiple},
	{ATA_READ_DMA, BITS_28, ATA_DMA_IN, ATA_DO_READ, begin_transfer},
	{ATA_READ_DMA_ONCE, BITS_28, ATA_DMA_IN, ATA_DO_READ, begin_transfer},
	{ATA_WRITE_DMA, BITS_28, ATA_DMA_OUT, ATA_DO_WRITE, begin_transfer},
	{ATA_WRITE_DMA_ONCE, BITS_28, ATA_DMA_OUT, ATA_DO_WRITE, begin_transfer},
	{ATA_WRITE_MULTIPLE_FUA_EXT, BITS_48, ATA_PIO_OUT, ATA_DO_WRITE, begin_multiple_fua},
	{ATA_STANDBY_NOW, BITS_28, ATA_NO_DATA, ATA_DO_FLUSH, begin_standby},
	{ATA_IDLE_NOW, BITS_28, ATA_NO_DATA, ATA_DONE, begin_idle},
	{ATA_STANDBY, BITS_28, ATA_NO_DATA, ATA_DO_FLUSH, begin_standby},
	{ATA_IDLE, BITS_28, ATA_NO_DATA, ATA_DONE, begin_idle},
	{ATA_CHECK_POWER, BITS_28, ATA_NO_DATA, ATA_DONE, begin_check_power},
	{ATA_SLEEP, BITS_28, ATA_NO_DATA, ATA_DO_FLUSH, begin_standby},
	{ATA_FLUSH, BITS_28, ATA_NO_DATA, ATA_DO_FLUSH, begin_nothing},
	{ATA_FLUSH_EXT, BITS_48, ATA_NO_DATA, ATA_DO_FLUSH, begin_nothing},
	{ATA_IDENTIFY, BITS_28, ATA_PIO_IN, ATA_DO_PAGE, begin_identify},
	{ATA_SET_FEATURES, BITS_28, ATA_NO_DATA, ATA_DONE, begin_set_features},
};

/*
 * The code of now for what hosts of before ATA-4 say: a step rate in the lower digit, power
 * management in other places.
 */
static uint8_t code_of_now(uint8_t code)
{
	uint8_t high = code & 0xf0u;

	if (high == ATA_RECALIBRATE || high == ATA_SEEK) {
		return high;
	}
	if (code >= ATA_OLD_STANDBY_NOW && code <= ATA_OLD_SLEEP) {
		unsigned which = code - ATA_OLD_STANDBY_NOW;

		return (uint8_t)(ATA_STANDBY_NOW + which +
				 (ATA_STANDBY_NOW + which > ATA_IDLE ? 1 : 0));
	}
	return code;
}

static const struct command *find_command(uint8_t code)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (commands[i].code == code) {
			return &commands[i];
		}
	}
	return NULL;
}

void ata_execute(struct ata_disk *d, struct ata_registers *r, struct ata_operation *op)
{
	const struct command *c = find_command(code_of_now(r->command));

	*op = (struct ata_operation){.action = ATA_DONE, .device = d->cfg.device};
	if (c == NULL) {
		/* NOP, too, has no other end. */
		ata_lacks(op, r->command == ATA_NOP ? LACKS_NOTHING : LACKS_COMMAND, r->command);
		ata_abort(r);
		return;
	}
	op->action = c->action;
	op->protocol = c->protocol;
	op->is_ext = c->form == BITS_48;
	ata_succeed(r);
	c->begin(d, r, op);
}

void ata_finish(struct ata_disk *d, struct ata_registers *r, const struct ata_operation *op,
		enum hv_status status, uint64_t sector)
{
	if (status == HV_OK) {
		ata_succeed(r);
		return;
	}
	if (op->action == ATA_DO_READ || op->action == ATA_DO_VERIFY) {
		answer(r, ATA_STATUS_ERR, ATA_ERROR_UNC);
	} else {
		ata_abort(r);
	}
	if (op->action != ATA_DO_TRIM && op->action != ATA_DO_FLUSH) {
		put_block(d, r, op->is_ext, sector >> d->block_shift);
	}
	if (op->queued) {
		d->state.queued_error = (struct ata_queued_error){true, op->tag, *r};
	}
}

bool ata_trim_range(const struct ata_disk *d, const uint8_t *ranges, unsigned index,
		    uint64_t *sector, uint64_t *count)
{
	uint64_t first = get_bytes(ranges + index * sizeof(uint64_t), 6);
	uint64_t blocks = get_bytes(ranges + index * sizeof(uint64_t) + 6, 2);

	*sector = first << d->block_shift;
	*count = blocks << d->block_shift;
	return blocks == 0 || range_fits(first, blocks, d->blocks);
}

/* ---- set-up ---- */

void ata_reset(struct ata_disk *d)
{
	d->state = (struct ata_state){
		.heads = d->heads,
		.sectors = d->sectors,
		.multiple = ATA_MULTIPLE_MAX,
		.multiword = ATA_MULTIWORD_FIRST,
		.ultra = ATA_MODE_NONE,
		.write_cache = true,
		.look_ahead = true,
		.smart = true,
	};
}

enum hv_status ata_init(struct ata_disk *d, const struct ata_config *cfg)
{
	uint32_t size = cfg->device->block_size;
	uint64_t tracks;

	if ((size != BLK_SECTOR && size != ATA_BLOCK_MAX) || cfg->queue_depth > ATA_QUEUE_MAX) {
		return HV_E_UNSUPPORTED;
	}
	*d = (struct ata_disk){.cfg = *cfg, .heads = HEADS, .sectors = TRACK_SECTORS};
	d->block_shift = size == BLK_SECTOR ? 0 : 3;
	d->blocks = min_u64(cfg->device->sectors >> d->block_shift, ATA_LBA48_MAX);
	if (d->blocks == 0) {
		return HV_E_UNSUPPORTED;
	}
	tracks = d->blocks / TRACK_SECTORS;
	/* A disk of less than a cylinder has one all the same: its end is looked at anyway. */
	d->cylinders = (uint16_t)max_u64(min_u64(tracks / HEADS, ATA_CYLINDERS_MAX), 1);
	ata_reset(d);
	return HV_OK;
}
