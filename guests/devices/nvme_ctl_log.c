/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What went wrong, and what is told about it. Source: NVM Express Base Specification 1.4, "Get Log
 * Page command", "Asynchronous Event Request command".
 */
#include "guests/devices/nvme_ctl_internal.h"

#include "hv/base/bits.h"
#include "hv/base/str.h"

#define TEMPERATURE_KELVIN 300u
#define UNIT_SECTORS 1000u /* "Data Units Read" */

/* ---- the error log ---- */

void nvme_ctl_log_error(struct nvme_ctl *c, const struct nvme_error *error)
{
	struct nvme_ctl_state *s = &c->state;
	struct nvme_error *e;

	lock_acquire(&c->log_lock);
	e = &s->errors[s->error_count % NVME_CTL_ERRORS];
	s->error_count++;
	*e = *error;
	e->count = s->error_count;
	e->location = UINT16_MAX;
	lock_release(&c->log_lock);
}

/* The newest comes first. */
static uint32_t fill_errors(struct nvme_ctl *c, uint8_t *page)
{
	const struct nvme_ctl_state *s = &c->state;

	lock_acquire(&c->log_lock);
	for (uint64_t i = 0; i < NVME_CTL_ERRORS && i < s->error_count; i++) {
		memcpy(page + i * sizeof(s->errors[0]),
		       &s->errors[(s->error_count - 1 - i) % NVME_CTL_ERRORS],
		       sizeof(s->errors[0]));
	}
	lock_release(&c->log_lock);
	return sizeof(s->errors);
}

/* ---- the other log pages ---- */

static uint64_t units(const struct blk_device *d, enum blk_op op)
{
	return (atomic_load(&d->stats.sectors[op]) + UNIT_SECTORS - 1) / UNIT_SECTORS;
}

/* A disk that does not wear, at the temperature of a room. */
static uint32_t fill_health(struct nvme_ctl *c, uint8_t *page)
{
	const struct blk_device *d = c->device;

	nvme_ctl_put(page, NVME_HEALTH_TEMPERATURE, TEMPERATURE_KELVIN, 2);
	nvme_ctl_put(page, NVME_HEALTH_SPARE, 100, 1);
	nvme_ctl_put(page, NVME_HEALTH_SPARE_THRESHOLD, 10, 1);
	nvme_ctl_put(page, NVME_HEALTH_UNITS_READ, units(d, BLK_READ), 8);
	nvme_ctl_put(page, NVME_HEALTH_UNITS_WRITTEN, units(d, BLK_WRITE), 8);
	nvme_ctl_put(page, NVME_HEALTH_READS, atomic_load(&d->stats.requests[BLK_READ]), 8);
	nvme_ctl_put(page, NVME_HEALTH_WRITES, atomic_load(&d->stats.requests[BLK_WRITE]), 8);
	nvme_ctl_put(page, NVME_HEALTH_MEDIA_ERRORS, atomic_load(&d->stats.errors), 8);
	lock_acquire(&c->log_lock);
	nvme_ctl_put(page, NVME_HEALTH_ERROR_ENTRIES, c->state.error_count, 8);
	lock_release(&c->log_lock);
	return NVME_HEALTH_BYTES;
}

/* One slot, which is active and holds what Identify says. */
static uint32_t fill_firmware(uint8_t *page)
{
	page[0] = 1;
	nvme_ctl_put_text(page, NVME_FIRMWARE_SLOT, NVME_CTL_FIRMWARE, NVME_IDC_FR_SIZE);
	return NVME_FIRMWARE_BYTES;
}

/* The size of the page; 0: there is no such page. */
static uint32_t fill(struct nvme_ctl *c, uint8_t id)
{
	memset(c->page, 0, sizeof(c->page));
	switch (id) {
	case NVME_LOG_ERRORS:
		return fill_errors(c, c->page);
	case NVME_LOG_HEALTH:
		return fill_health(c, c->page);
	case NVME_LOG_FIRMWARE:
		return fill_firmware(c->page);
	default:
		return 0;
	}
}

uint16_t nvme_ctl_get_log(struct nvme_ctl *c, const struct nvme_command *command)
{
	uint64_t dwords = (command->dw10 >> 16 | (uint64_t)(command->dw11 & 0xffffu) << 16) + 1;
	uint64_t offset = command->dw12 | (uint64_t)command->dw13 << 32;
	uint8_t id = (uint8_t)command->dw10;
	uint32_t size = fill(c, id);
	uint16_t status;

	if (size == 0) {
		pci_device_lacks(&c->pci, LACKS_LOG, id);
		return NVME_SC_LOG_PAGE | NVME_SC_DNR;
	}
	if (offset >= size || !is_aligned(offset, 4) || dwords * 4 > NVME_CTL_TRANSFER_MAX) {
		return NVME_SC_BAD_FIELD | NVME_SC_DNR;
	}
	/* What is asked for behind the page's end is left as it was. */
	size = (uint32_t)min_u64(dwords * 4, size - offset);
	memmove(c->page, c->page + offset, size);
	status = nvme_ctl_answer(c, command, size);
	if (status == NVME_SC_SUCCESS && id == NVME_LOG_ERRORS &&
	    (command->dw10 & NVME_LOG_RETAIN) == 0) {
		c->state.event_told = false;
	}
	return status;
}

/* ---- events ---- */

void nvme_ctl_event(struct nvme_ctl *c, uint32_t info)
{
	atomic_fetch_or(&c->events, BIT32(info));
	vwork_ask(&c->work, 0);
}

/* The next one is not told before the error log was read. */
void nvme_ctl_deliver_events(struct nvme_ctl *c)
{
	struct nvme_ctl_state *s = &c->state;
	uint32_t events = atomic_load(&c->events);
	uint32_t info;

	if (events == 0 || s->held_count == 0 || s->event_told || !nvme_ctl_reserve(c, 0)) {
		return;
	}
	info = (uint32_t)__builtin_ctz(events);
	atomic_fetch_and(&c->events, ~BIT32(info));
	s->event_told = true;
	s->held_count--;
	nvme_ctl_complete(c, 0, s->held[s->held_count], NVME_SC_SUCCESS,
			  NVME_EVENT_ERROR | info << 8 | NVME_LOG_ERRORS << 16);
}
