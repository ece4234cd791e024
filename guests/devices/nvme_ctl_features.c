/* SPDX-License-Identifier: Apache-2.0 */
/* Settings. Source: NVM Express Base Specification 1.4, "Feature Specific Information". */
#include "guests/devices/nvme_ctl_internal.h"

#include "hv/base/bits.h"
#include "hv/base/str.h"

#define FEATURE_ID 0xffu
#define SELECT MASK(10, 8)
#define SELECT_CURRENT 0u
#define SELECT_DEFAULT 1u
#define SELECT_SAVED 2u
#define SELECT_CAPABILITIES 3u
#define CAPABLE_OF_CHANGE BIT32(2)

#define POWER_STATE 0x1fu
#define TEMPERATURE_VALUE 0xffffu
#define TEMPERATURE_OTHER 0x0f0000u /* sensors that are not there */
#define TEMPERATURE_UNDER BIT32(20) /* the threshold below which it is too cold */
#define WRITE_CACHE_ON 1u
#define QUEUES_NONE 0xffffu
#define VECTOR_NUMBER 0xffffu
#define VECTOR_PLAIN BIT32(16)

/* What a driver may set of each; 0: there is no such feature, or it has a function below. */
static const struct {
	uint32_t writable;
	uint32_t initial;
} features[NVME_CTL_FEATURES] = {
	[NVME_FEATURE_ARBITRATION] = {0xffffff07, 0x7},
	[NVME_FEATURE_POWER] = {0xff, 0},
	[NVME_FEATURE_TEMPERATURE] = {TEMPERATURE_VALUE, NVME_CTL_TEMPERATURE_WARN},
	[NVME_FEATURE_ERROR_RECOVERY] = {0xffff, 0},
	[NVME_FEATURE_WRITE_CACHE] = {WRITE_CACHE_ON, WRITE_CACHE_ON},
	[NVME_FEATURE_QUEUES] = {UINT32_MAX, 0},
	[NVME_FEATURE_COALESCING] = {0xffff, 0},
	[NVME_FEATURE_VECTOR] = {VECTOR_NUMBER | VECTOR_PLAIN, 0},
	[NVME_FEATURE_ATOMICITY] = {1, 0},
	[NVME_FEATURE_EVENTS] = {0xffff, 0},
};

void nvme_ctl_reset_features(struct nvme_ctl *c)
{
	for (unsigned i = 0; i < NVME_CTL_FEATURES; i++) {
		c->state.features[i] = features[i].initial;
	}
	c->state.coalescing_off = 0;
	atomic_store(&c->write_through, false);
}

/* Those with functions of their own keep what they begin with, and so does what is refused. */
const char *nvme_ctl_features_check(const uint32_t values[NVME_CTL_FEATURES])
{
	for (unsigned i = 0; i < NVME_CTL_FEATURES; i++) {
		bool own = i == NVME_FEATURE_QUEUES || i == NVME_FEATURE_VECTOR;
		uint32_t writable = own ? 0 : features[i].writable;

		if ((values[i] & ~writable) != 0 ||
		    (i == NVME_FEATURE_POWER && (values[i] & POWER_STATE) != 0)) {
			return "a feature has a value that cannot be set";
		}
	}
	return NULL;
}

/* Both counts, less one: what there is, whatever was asked for. */
static uint32_t queue_counts(const struct nvme_ctl *c)
{
	return (c->queue_count - 1) | (c->queue_count - 1) << 16;
}

static bool exists(uint32_t id)
{
	return id < NVME_CTL_FEATURES && features[id].writable != 0;
}

/* Of the vector that the command names; `plain`: a bit for each that is not coalesced. */
static uint16_t vector_setting(const struct nvme_ctl *c, uint32_t plain, uint32_t vector,
			       uint32_t *result)
{
	if (vector > c->queue_count) {
		return NVME_SC_BAD_FIELD | NVME_SC_DNR;
	}
	*result = vector | ((plain >> vector & 1) != 0 ? VECTOR_PLAIN : 0);
	return NVME_SC_SUCCESS;
}

/* One threshold is kept; the one for cold and those of other sensors are never reached. */
static uint16_t temperature(uint32_t threshold, uint32_t dw11, uint32_t *result)
{
	if ((dw11 & TEMPERATURE_OTHER) != 0) {
		return NVME_SC_BAD_FIELD | NVME_SC_DNR;
	}
	*result = (dw11 & TEMPERATURE_UNDER) != 0 ? 0 : threshold;
	return NVME_SC_SUCCESS;
}

/* As it is now, or as it was at first. */
static uint16_t setting(const struct nvme_ctl *c, bool at_first, const struct nvme_command *command,
			uint32_t *result)
{
	uint32_t id = command->dw10 & FEATURE_ID;
	uint32_t dw11 = command->dw11;
	uint32_t value = at_first ? features[id].initial : c->state.features[id];

	switch (id) {
	case NVME_FEATURE_QUEUES:
		*result = queue_counts(c);
		return NVME_SC_SUCCESS;
	case NVME_FEATURE_VECTOR:
		return vector_setting(c, at_first ? 0 : c->state.coalescing_off,
				      dw11 & VECTOR_NUMBER, result);
	case NVME_FEATURE_TEMPERATURE:
		return temperature(value, dw11, result);
	default:
		*result = value;
		return NVME_SC_SUCCESS;
	}
}

uint16_t nvme_ctl_get_feature(struct nvme_ctl *c, const struct nvme_command *command,
			      uint32_t *result)
{
	uint32_t id = command->dw10 & FEATURE_ID;

	if (!exists(id)) {
		pci_device_lacks(&c->pci, LACKS_FEATURE, id);
		return NVME_SC_BAD_FIELD | NVME_SC_DNR;
	}
	switch (bits_get(command->dw10, SELECT)) {
	case SELECT_CURRENT:
		return setting(c, false, command, result);
	case SELECT_DEFAULT:
	case SELECT_SAVED:
		return setting(c, true, command, result);
	case SELECT_CAPABILITIES:
		*result = CAPABLE_OF_CHANGE;
		return NVME_SC_SUCCESS;
	default:
		return NVME_SC_BAD_FIELD | NVME_SC_DNR;
	}
}

static bool has_io_queues(const struct nvme_ctl *c)
{
	for (unsigned i = 1; i <= c->queue_count; i++) {
		if (c->state.cq[i].ring.made) {
			return true;
		}
	}
	return false;
}

/* "Number of Queues": before any is made. */
static uint16_t set_queues(const struct nvme_ctl *c, uint32_t wanted, uint32_t *result)
{
	if ((wanted & 0xffffu) == QUEUES_NONE || wanted >> 16 == QUEUES_NONE) {
		return NVME_SC_BAD_FIELD | NVME_SC_DNR;
	}
	if (has_io_queues(c)) {
		return NVME_SC_SEQUENCE | NVME_SC_DNR;
	}
	*result = queue_counts(c);
	return NVME_SC_SUCCESS;
}

static uint16_t set_vector(struct nvme_ctl *c, uint32_t dw11)
{
	uint32_t vector = dw11 & VECTOR_NUMBER;

	if (vector > c->queue_count) {
		return NVME_SC_BAD_FIELD | NVME_SC_DNR;
	}
	c->state.coalescing_off = (uint32_t)bits_set(c->state.coalescing_off, BIT(vector),
						     (dw11 & VECTOR_PLAIN) != 0);
	return NVME_SC_SUCCESS;
}

static uint16_t set_plain(struct nvme_ctl *c, uint32_t id, uint32_t dw11)
{
	bool cold = id == NVME_FEATURE_TEMPERATURE && (dw11 & TEMPERATURE_UNDER) != 0;
	bool bad = (id == NVME_FEATURE_POWER && (dw11 & POWER_STATE) != 0) ||
		   (id == NVME_FEATURE_TEMPERATURE && (dw11 & TEMPERATURE_OTHER) != 0);

	if (bad) {
		return NVME_SC_BAD_FIELD | NVME_SC_DNR;
	}
	if (!cold) {
		c->state.features[id] = dw11 & features[id].writable;
	}
	if (id == NVME_FEATURE_WRITE_CACHE) {
		atomic_store(&c->write_through, (dw11 & WRITE_CACHE_ON) == 0);
	}
	return NVME_SC_SUCCESS;
}

uint16_t nvme_ctl_set_feature(struct nvme_ctl *c, const struct nvme_command *command,
			      uint32_t *result)
{
	uint32_t id = command->dw10 & FEATURE_ID;

	if (!exists(id)) {
		pci_device_lacks(&c->pci, LACKS_FEATURE, id);
		return NVME_SC_BAD_FIELD | NVME_SC_DNR;
	}
	if ((command->dw10 & NVME_FEATURE_SAVE) != 0) {
		return NVME_SC_NOT_SAVEABLE | NVME_SC_DNR;
	}
	switch (id) {
	case NVME_FEATURE_QUEUES:
		return set_queues(c, command->dw11, result);
	case NVME_FEATURE_VECTOR:
		return set_vector(c, command->dw11);
	default:
		return set_plain(c, id, command->dw11);
	}
}
