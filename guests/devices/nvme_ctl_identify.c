/* SPDX-License-Identifier: Apache-2.0 */
/* What the controller and its namespace are. Source: NVM Express Base Specification 1.4,
 * "Identify command"; "NVMe Qualified Names" for the subsystem's name. */
#include "guests/devices/nvme_ctl_internal.h"

#include "hv/base/bits.h"
#include "hv/base/str.h"

#define CONTROLLER_IO 1u
#define ABORTS 3u	      /* at once, less one */
#define FIRMWARE_SLOTS 0x03u  /* one, read-only */
#define LOG_EXTENDED BIT32(2) /* offsets and 32-bit lengths */
#define TEMPERATURE_STOP 353u
#define QUEUE_ENTRIES_64 0x66u /* sizes at most and at least, as powers of two */
#define QUEUE_ENTRIES_16 0x44u
#define WRITE_CACHE 0x07u /* there is one; Flush of all namespaces is possible */
#define NSID_MAX 0xfffffffdu
#define PREFERRED_BYTES 4096u /* what images, overlays and buffers are made of */
#define PREFERRED_FIELDS 4u

#define NQN_PREFIX "nqn.2014.08.org.nvmexpress:1af41af4"

void nvme_ctl_put_text(void *page, unsigned offset, const char *text, unsigned size)
{
	uint8_t *to = (uint8_t *)page + offset;

	memset(to, ' ', size);
	memcpy(to, text, min_u64(str_len(text), size));
}

/* Made of ids, serial number and model, as for controllers that have no better name. */
static void put_subsystem(uint8_t *page)
{
	unsigned n = sizeof(NQN_PREFIX) - 1;

	memcpy(page + NVME_IDC_SUBNQN, NQN_PREFIX, n);
	memcpy(page + NVME_IDC_SUBNQN + n, page + NVME_IDC_SN, NVME_IDC_SN_SIZE + NVME_IDC_MN_SIZE);
}

static uint32_t commands_of(const struct blk_device *d)
{
	uint32_t oncs = NVME_ONCS_COMPARE | NVME_ONCS_SELECT;

	if (!d->readonly) {
		oncs |= d->discards ? NVME_ONCS_DSM : 0;
		oncs |= d->write_zeroes ? NVME_ONCS_WRITE_ZEROES : 0;
	}
	return oncs;
}

static void fill_controller(const struct nvme_ctl *c, uint8_t *page)
{
	nvme_ctl_put(page, NVME_IDC_VID, NVME_CTL_VENDOR, 2);
	nvme_ctl_put(page, NVME_IDC_SSVID, NVME_CTL_VENDOR, 2);
	nvme_ctl_put_text(page, NVME_IDC_SN, c->device->serial, NVME_IDC_SN_SIZE);
	nvme_ctl_put_text(page, NVME_IDC_MN, NVME_CTL_MODEL, NVME_IDC_MN_SIZE);
	nvme_ctl_put_text(page, NVME_IDC_FR, NVME_CTL_FIRMWARE, NVME_IDC_FR_SIZE);
	put_subsystem(page);
	nvme_ctl_put(page, NVME_IDC_MDTS, NVME_CTL_MDTS, 1);
	nvme_ctl_put(page, NVME_IDC_VER, NVME_VS_1_4, 4);
	nvme_ctl_put(page, NVME_IDC_CNTRLTYPE, CONTROLLER_IO, 1);
	nvme_ctl_put(page, NVME_IDC_OACS, NVME_OACS_DOORBELL_BUFFERS, 2);
	nvme_ctl_put(page, NVME_IDC_ACL, ABORTS, 1);
	nvme_ctl_put(page, NVME_IDC_AERL, NVME_CTL_HELD_EVENTS - 1, 1);
	nvme_ctl_put(page, NVME_IDC_FRMW, FIRMWARE_SLOTS, 1);
	nvme_ctl_put(page, NVME_IDC_LPA, LOG_EXTENDED, 1);
	nvme_ctl_put(page, NVME_IDC_ELPE, NVME_CTL_ERRORS - 1, 1);
	nvme_ctl_put(page, NVME_IDC_WCTEMP, NVME_CTL_TEMPERATURE_WARN, 2);
	nvme_ctl_put(page, NVME_IDC_CCTEMP, TEMPERATURE_STOP, 2);
	nvme_ctl_put(page, NVME_IDC_SQES, QUEUE_ENTRIES_64, 1);
	nvme_ctl_put(page, NVME_IDC_CQES, QUEUE_ENTRIES_16, 1);
	nvme_ctl_put(page, NVME_IDC_NN, 1, 4);
	nvme_ctl_put(page, NVME_IDC_ONCS, commands_of(c->device), 2);
	nvme_ctl_put(page, NVME_IDC_VWC, WRITE_CACHE, 1);
}

/* ---- the namespace ---- */

/* FNV-1a: the disks of a guest have different serial numbers. */
static uint64_t hash(const char *text, uint64_t seed)
{
	uint64_t h = 0xcbf29ce484222325ull ^ seed;

	for (; *text != '\0'; text++) {
		h = (h ^ (uint8_t)*text) * 0x100000001b3ull;
	}
	return h;
}

static void put_guid(const struct nvme_ctl *c, uint8_t *at)
{
	uint64_t first = hash(c->device->serial, 0);

	nvme_ctl_put(at, 0, first, 8);
	nvme_ctl_put(at, 8, hash(c->device->serial, first), 8);
}

static void fill_namespace(const struct nvme_ctl *c, uint8_t *page)
{
	uint32_t block = c->device->block_size;
	uint64_t blocks = c->device->sectors / (block / BLK_SECTOR);
	uint64_t size_bits = (uint64_t)__builtin_ctz(block);

	nvme_ctl_put(page, NVME_IDN_NSZE, blocks, 8);
	nvme_ctl_put(page, NVME_IDN_NCAP, blocks, 8);
	nvme_ctl_put(page, NVME_IDN_NUSE, blocks, 8);
	nvme_ctl_put(page, NVME_IDN_NSFEAT, NVME_NSFEAT_PREFERRED, 1);
	for (unsigned i = 0; i < PREFERRED_FIELDS; i++) {
		nvme_ctl_put(page, NVME_IDN_NPWG + 2 * i, PREFERRED_BYTES / block - 1, 2);
	}
	nvme_ctl_put(page, NVME_IDN_NSATTR, c->device->readonly ? NVME_NSATTR_READ_ONLY : 0, 1);
	put_guid(c, page + NVME_IDN_NGUID);
	nvme_ctl_put(page, NVME_IDN_LBAF, bits_set(0, NVME_LBAF_LBADS, size_bits), 4);
}

/* "Namespace Identification Descriptor": type, length, two reserved bytes. */
static void fill_descriptors(const struct nvme_ctl *c, uint8_t *page)
{
	page[0] = NVME_DESCRIPTOR_NGUID;
	page[1] = NVME_NGUID_SIZE;
	put_guid(c, page + 4);
}

uint16_t nvme_ctl_identify(struct nvme_ctl *c, const struct nvme_command *command)
{
	bool ours = command->nsid == 1;
	bool valid = true;

	memset(c->page, 0, sizeof(c->page));
	switch (command->dw10 & 0xffu) {
	case NVME_IDENTIFY_NAMESPACE:
		valid = ours;
		fill_namespace(c, c->page);
		break;
	case NVME_IDENTIFY_CONTROLLER:
		fill_controller(c, c->page);
		break;
	case NVME_IDENTIFY_ACTIVE: /* the numbers above the given one */
		valid = command->nsid <= NSID_MAX;
		nvme_ctl_put(c->page, 0, command->nsid == 0 ? 1 : 0, 4);
		break;
	case NVME_IDENTIFY_DESCRIPTORS:
		valid = ours;
		fill_descriptors(c, c->page);
		break;
	case NVME_IDENTIFY_COMMAND_SET: /* zeros: the NVM set has no limits of its own */
		if (command->dw11 >> 24 == 0) {
			break;
		}
		return NVME_SC_BAD_FIELD | NVME_SC_DNR;
	default:
		pci_device_lacks(&c->pci, LACKS_IDENTIFY, command->dw10 & 0xffu);
		return NVME_SC_BAD_FIELD | NVME_SC_DNR;
	}
	if (!valid) {
		return NVME_SC_BAD_NAMESPACE | NVME_SC_DNR;
	}
	return nvme_ctl_answer(c, command, NVME_IDENTIFY_SIZE);
}
