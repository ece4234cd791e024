/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest made of an ATA disk or a packet device, as bytes, and back. */
#include "guests/devices/ata.h"
#include "guests/devices/atapi.h"
#include "hv/api/saved.h"
#include "hv/base/ata_format.h"
#include "hv/base/str.h"

#define HEADS_MAX 16u
#define SENSE_MAX 0xffffffu

/* One mode of one kind is selected, or none. */
static bool modes_are_possible(uint8_t multiword, uint8_t ultra)
{
	uint16_t kind = multiword != ATA_MODE_NONE ? ATA_MODE_MULTIWORD : ATA_MODE_ULTRA;
	uint8_t number = multiword != ATA_MODE_NONE ? multiword : ultra;

	if (multiword == ATA_MODE_NONE && ultra == ATA_MODE_NONE) {
		return true;
	}
	return (multiword == ATA_MODE_NONE || ultra == ATA_MODE_NONE) &&
	       number <= ATA_MODE_NUMBER &&
	       ata_select_mode((uint16_t)(kind | number), &multiword, &ultra);
}

/* ---- disks ---- */

void ata_save(const struct ata_disk *d, struct ata_saved *out)
{
	const struct ata_state *s = &d->state;

	*out = (struct ata_saved){
		.blocks = d->blocks,
		.error_registers = s->queued_error.registers,
		.error_valid = s->queued_error.valid,
		.error_tag = s->queued_error.tag,
		.heads = s->heads,
		.sectors = s->sectors,
		.multiple = s->multiple,
		.multiword = s->multiword,
		.ultra = s->ultra,
		.write_cache = s->write_cache,
		.look_ahead = s->look_ahead,
		.smart = s->smart,
		.standby = s->standby,
	};
}

const char *ata_check(const struct ata_disk *d, const struct ata_saved *in)
{
	if (in->blocks != d->blocks) {
		return "the disk has another size";
	}
	if (in->heads == 0 || in->heads > HEADS_MAX || in->sectors == 0) {
		return "the disk has no such heads and sectors";
	}
	if (in->multiple > ATA_MULTIPLE_MAX || (in->multiple & (in->multiple - 1)) != 0 ||
	    !modes_are_possible(in->multiword, in->ultra)) {
		return "the disk has no such mode";
	}
	if (in->error_tag >= ATA_QUEUE_MAX || !saved_is_bool(in->error_valid) ||
	    !saved_is_bool(in->write_cache) || !saved_is_bool(in->look_ahead) ||
	    !saved_is_bool(in->smart) || !saved_is_bool(in->standby) ||
	    !saved_is_zero(in->zero, sizeof(in->zero))) {
		return "a flag of the disk is neither 0 nor 1";
	}
	return NULL;
}

void ata_load(struct ata_disk *d, const struct ata_saved *in)
{
	d->state = (struct ata_state){
		.heads = in->heads,
		.sectors = in->sectors,
		.multiple = in->multiple,
		.multiword = in->multiword,
		.ultra = in->ultra,
		.write_cache = in->write_cache != 0,
		.look_ahead = in->look_ahead != 0,
		.smart = in->smart != 0,
		.standby = in->standby != 0,
		.queued_error = {.valid = in->error_valid != 0,
				 .tag = in->error_tag,
				 .registers = in->error_registers},
	};
}

/* ---- packet devices ---- */

void atapi_save(const struct atapi_drive *d, struct atapi_saved *out)
{
	const struct atapi_state *s = &d->state;

	*out = (struct atapi_saved){
		.sectors = d->medium == NULL ? 0 : d->medium->sectors,
		.sense = s->sense,
		.attention = s->attention,
		.reply_bytes = d->reply_bytes,
		.event = (uint8_t)s->event,
		.tray_open = s->tray_open,
		.locked = s->locked,
		.multiword = s->multiword,
		.ultra = s->ultra,
	};
	memcpy(out->reply, d->reply, d->reply_bytes);
}

const char *atapi_check(const struct atapi_drive *d, const struct atapi_saved *in)
{
	uint64_t sectors = d->given == NULL ? 0 : d->given->sectors;

	if (in->sectors != 0 && in->sectors != sectors) {
		return "another medium was in the drive";
	}
	if (in->reply_bytes > ATAPI_REPLY_MAX ||
	    !saved_is_zero(&in->reply[in->reply_bytes], ATAPI_REPLY_MAX - in->reply_bytes)) {
		return "an answer of the drive is too long";
	}
	if (in->sense > SENSE_MAX || in->attention > SENSE_MAX || in->event > ATAPI_EVENT_REMOVED ||
	    !modes_are_possible(in->multiword, in->ultra)) {
		return "the drive has no such mode, event or sense";
	}
	if (!saved_is_bool(in->tray_open) || !saved_is_bool(in->locked) ||
	    !saved_is_zero(in->zero, sizeof(in->zero))) {
		return "a flag of the drive is neither 0 nor 1";
	}
	return NULL;
}

void atapi_load(struct atapi_drive *d, const struct atapi_saved *in)
{
	d->medium = in->sectors == 0 ? NULL : d->given;
	d->state = (struct atapi_state){
		.sense = in->sense,
		.attention = in->attention,
		.event = (enum atapi_event)in->event,
		.tray_open = in->tray_open != 0,
		.locked = in->locked != 0,
		.multiword = in->multiword,
		.ultra = in->ultra,
	};
	d->reply_bytes = in->reply_bytes;
	memcpy(d->reply, in->reply, sizeof(d->reply));
}
