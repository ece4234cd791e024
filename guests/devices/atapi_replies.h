/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets that are answered with data of the drive itself; for atapi.c. Each fills d->reply and
 * sets d->reply_bytes, cut to what the packet allows; what they return is the sense data.
 */
#pragma once

#include "guests/devices/atapi.h"

#define ATAPI_SECTORS (ATAPI_BLOCK / BLK_SECTOR)

/* Addresses as minute, second, frame: a second has 75 frames, and the disc begins after two. */
#define ATAPI_LEAD_IN_FRAMES 150u

/* Blocks of the medium, which is there. */
uint32_t atapi_blocks(const struct atapi_drive *d);
/* Frames from 00:00:00 to the minute, second and frame in these three bytes. */
uint32_t atapi_frames(const uint8_t *msf);

uint32_t atapi_request_sense(struct atapi_drive *d, const uint8_t *p, struct ata_operation *op);
uint32_t atapi_inquiry(struct atapi_drive *d, const uint8_t *p, struct ata_operation *op);
uint32_t atapi_mode_sense_6(struct atapi_drive *d, const uint8_t *p, struct ata_operation *op);
uint32_t atapi_mode_sense_10(struct atapi_drive *d, const uint8_t *p, struct ata_operation *op);
uint32_t atapi_read_capacity(struct atapi_drive *d, const uint8_t *p, struct ata_operation *op);
uint32_t atapi_read_sub_channel(struct atapi_drive *d, const uint8_t *p, struct ata_operation *op);
uint32_t atapi_read_toc(struct atapi_drive *d, const uint8_t *p, struct ata_operation *op);
uint32_t atapi_get_configuration(struct atapi_drive *d, const uint8_t *p, struct ata_operation *op);
uint32_t atapi_get_event(struct atapi_drive *d, const uint8_t *p, struct ata_operation *op);
uint32_t atapi_disc_information(struct atapi_drive *d, const uint8_t *p, struct ata_operation *op);
uint32_t atapi_track_information(struct atapi_drive *d, const uint8_t *p, struct ata_operation *op);
uint32_t atapi_disc_structure(struct atapi_drive *d, const uint8_t *p, struct ata_operation *op);
uint32_t atapi_mechanism_status(struct atapi_drive *d, const uint8_t *p, struct ata_operation *op);
