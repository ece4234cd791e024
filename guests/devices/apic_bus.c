/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bus between the LAPICs of a VM: who a message addresses, which one gets a lowest-priority
 * message, MSI, the 8259's INTR, and the MMIO page that shows each vCPU its own LAPIC.
 *
 * Sets of LAPICs are 64-bit masks of vCPU indices.
 */
#include "guests/devices/lapic.h"
#include "guests/devices/lapic_internal.h"
#include "hv/base/bits.h"
#include "hv/base/check.h"

static uint64_t address_of(const struct lapic *l)
{
	return atomic_load_explicit(&l->address, memory_order_acquire);
}

static bool switched_on(const struct lapic *l)
{
	return bits_get(address_of(l), ADDRESS_KIND) != ADDRESS_OFF;
}

uint64_t apic_bus_everyone(const struct apic_bus *bus)
{
	uint64_t set = 0;

	for (unsigned i = 0; i < bus->count; i++) {
		if (bus->lapics[i] != NULL && switched_on(bus->lapics[i])) {
			set |= BIT(i);
		}
	}
	return set;
}

/* Mostly the APIC ID is the index; otherwise look at all. */
static uint64_t physical_target(const struct apic_bus *bus, uint32_t id)
{
	if (id < bus->count && bus->lapics[id] != NULL && bus->lapics[id]->id == id) {
		return switched_on(bus->lapics[id]) ? BIT(id) : 0;
	}
	for (unsigned i = 0; i < bus->count; i++) {
		const struct lapic *l = bus->lapics[i];

		if (l != NULL && l->id == id && switched_on(l)) {
			return BIT(i);
		}
	}
	return 0;
}

/* Source: SDM "Logical Destination Mode", "Logical Destination Mode in x2APIC Mode". */
static bool logical_match(uint64_t address, uint32_t dest)
{
	uint32_t logical = (uint32_t)bits_get(address, ADDRESS_LOGICAL);

	switch ((enum address_kind)bits_get(address, ADDRESS_KIND)) {
	case ADDRESS_FLAT:
		return dest <= 0xff && (dest == 0xff || (dest & logical) != 0);
	case ADDRESS_CLUSTER:
		return dest == 0xff ||
		       (dest <= 0xff && dest >> 4 == logical >> 4 && (dest & logical & 0xf) != 0);
	case ADDRESS_X2APIC:
		return dest >> 16 == logical >> 16 && (dest & logical & 0xffff) != 0;
	case ADDRESS_OFF:
	default:
		return false;
	}
}

static uint64_t targets_of(const struct apic_bus *bus, const struct apic_message *msg)
{
	uint64_t set = 0;

	if (msg->dest == APIC_DEST_BROADCAST) {
		return apic_bus_everyone(bus);
	}
	if (!msg->logical) {
		return physical_target(bus, msg->dest);
	}
	for (unsigned i = 0; i < bus->count; i++) {
		if (bus->lapics[i] != NULL &&
		    logical_match(address_of(bus->lapics[i]), msg->dest)) {
			set |= BIT(i);
		}
	}
	return set;
}

/*
 * The one of `set` that gets a lowest-priority message: the lowest PPR, among equals the next in
 * turn. LAPICs disabled by software do not take part. Returns a set of at most one.
 */
static uint64_t lowest_priority(struct apic_bus *bus, uint64_t set)
{
	uint32_t first = atomic_load_explicit(&bus->next_lowest, memory_order_relaxed);
	uint32_t best_ppr = UINT32_MAX;
	unsigned best = 0;

	for (unsigned n = 0; n < bus->count; n++) {
		unsigned i = (first + n) % bus->count;
		uint32_t ppr;

		if ((set & BIT(i)) == 0 || (address_of(bus->lapics[i]) & ADDRESS_ENABLED) == 0) {
			continue;
		}
		ppr = lapic_ppr(bus->lapics[i]) & 0xf0;
		if (ppr < best_ppr) {
			best_ppr = ppr;
			best = i;
		}
	}
	if (best_ppr == UINT32_MAX) {
		return 0;
	}
	atomic_store_explicit(&bus->next_lowest, (best + 1) % bus->count, memory_order_relaxed);
	return BIT(best);
}

bool apic_bus_send(struct apic_bus *bus, uint64_t targets, const struct apic_message *msg)
{
	bool taken = false;

	if (msg->delivery == APIC_LOWEST_PRIORITY) {
		targets = lowest_priority(bus, targets);
	}
	for (; targets != 0; targets &= targets - 1) {
		taken |= lapic_take(bus->lapics[__builtin_ctzll(targets)], msg);
	}
	return taken;
}

bool apic_bus_deliver(struct apic_bus *bus, const struct apic_message *msg)
{
	return apic_bus_send(bus, targets_of(bus, msg), msg);
}

unsigned apic_bus_send_ids(struct apic_bus *bus, uint32_t first, const uint64_t ids[2],
			   const struct apic_message *msg)
{
	unsigned taken = 0;

	for (uint64_t set = apic_bus_everyone(bus); set != 0; set &= set - 1) {
		struct lapic *l = bus->lapics[__builtin_ctzll(set)];
		uint64_t at = (uint64_t)l->id - first; /* huge below `first` */

		if (at < 128 && (ids[at / 64] & BIT(at % 64)) != 0) {
			taken += lapic_take(l, msg) ? 1 : 0;
		}
	}
	return taken;
}

bool apic_bus_requested(struct apic_bus *bus, const struct apic_message *msg)
{
	bool found = false;

	for (uint64_t set = targets_of(bus, msg); set != 0; set &= set - 1) {
		struct lapic *l = bus->lapics[__builtin_ctzll(set)];

		lock_acquire(&l->lock);
		found |= lapic_requested_locked(l, msg->vector);
		lock_release(&l->lock);
	}
	return found;
}

#define MSI_ADDRESS_FIXED MASK(63, 20)
#define MSI_ADDRESS_DEST MASK(19, 12)
#define MSI_ADDRESS_LOGICAL BIT(2)
#define MSI_DATA_VECTOR MASK(7, 0)
#define MSI_DATA_DELIVERY MASK(10, 8)
#define MSI_DATA_ASSERT BIT32(14)
#define MSI_DATA_LEVEL BIT32(15)

/* Source: SDM "Message Signalled Interrupts". The redirection hint adds nothing to the mode. */
bool apic_bus_msi(struct apic_bus *bus, uint64_t address, uint32_t data)
{
	struct apic_message msg = {
		.dest = (uint32_t)bits_get(address, MSI_ADDRESS_DEST),
		.logical = (address & MSI_ADDRESS_LOGICAL) != 0,
		.level = (data & MSI_DATA_LEVEL) != 0,
		.delivery = (uint8_t)bits_get(data, MSI_DATA_DELIVERY),
		.vector = (uint8_t)bits_get(data, MSI_DATA_VECTOR),
	};

	if ((address & MSI_ADDRESS_FIXED) != LAPIC_MMIO_BASE) {
		return false;
	}
	if (msg.level && (data & MSI_DATA_ASSERT) == 0) {
		return true; /* a level de-assert message carries nothing */
	}
	if (!msg.logical && msg.dest == 0xff) {
		msg.dest = APIC_DEST_BROADCAST;
	}
	return apic_bus_deliver(bus, &msg);
}

void apic_bus_intr(void *ctx, unsigned line, bool level)
{
	struct apic_bus *bus = ctx;

	(void)line;
	if (atomic_exchange_explicit(&bus->intr, level, memory_order_acq_rel) == level) {
		return;
	}
	for (unsigned i = 0; level && i < bus->count; i++) {
		struct lapic *l = bus->lapics[i];

		if (l != NULL) {
			lock_acquire(&l->lock);
			lapic_lint0_locked(l, true);
			lock_release(&l->lock);
		}
	}
}

/* The LAPIC that answers an access to the page; NULL when it is off or in x2APIC mode. */
static struct lapic *page_owner(struct vdev *dev, const struct vdev_access *a)
{
	struct apic_bus *bus = container_of(dev, struct apic_bus, dev);
	struct lapic *l = a->vcpu < bus->count ? bus->lapics[a->vcpu] : NULL;

	return l != NULL && lapic_enabled(l) && !lapic_x2apic(l) ? l : NULL;
}

/*
 * Registers are 32 bits wide, 16 bytes apart. Reads inside one give its bytes, the gaps read 0;
 * writes of any other shape are dropped (the manual leaves them undefined).
 */
static uint64_t page_read(struct vdev *dev, const struct vdev_access *a)
{
	struct lapic *l = page_owner(dev, a);
	unsigned byte = a->offset & 0xf;

	if (l == NULL) {
		return UINT64_MAX;
	}
	return byte < 4 ? lapic_mmio_read(l, (uint32_t)a->offset) >> (byte * 8) : 0;
}

static void page_write(struct vdev *dev, const struct vdev_access *a, uint64_t value)
{
	struct lapic *l = page_owner(dev, a);

	if (l != NULL && a->size == 4 && (a->offset & 0xf) == 0) {
		lapic_mmio_write(l, (uint32_t)a->offset, (uint32_t)value);
	}
}

static void page_reset(struct vdev *dev)
{
	struct apic_bus *bus = container_of(dev, struct apic_bus, dev);

	for (unsigned i = 0; i < bus->count; i++) {
		if (bus->lapics[i] != NULL) {
			lapic_reset(bus->lapics[i]);
		}
	}
}

static void page_fini(struct vdev *dev)
{
	struct apic_bus *bus = container_of(dev, struct apic_bus, dev);

	for (unsigned i = 0; i < bus->count; i++) {
		if (bus->lapics[i] != NULL) {
			vtimer_cancel(&bus->lapics[i]->timer.vtimer);
		}
	}
}

static const struct vdev_ops page_ops = {
	.name = "LAPIC",
	.read = page_read,
	.write = page_write,
	.reset = page_reset,
	.fini = page_fini,
};

void apic_bus_init(struct apic_bus *bus, const struct apic_bus_ops *ops, void *ctx, bool x2apic)
{
	CHECK(ops->kick != NULL && ops->nmi != NULL && ops->init != NULL && ops->startup != NULL);
	*bus = (struct apic_bus){
		.dev = {.ops = &page_ops}, .ops = ops, .ops_ctx = ctx, .x2apic = x2apic};
	saved_device_init(&bus->saved, &apic_bus_saved_ops, bus);
}

void apic_bus_set_eoi(struct apic_bus *bus, void (*eoi)(void *ctx, uint8_t vector), void *ctx)
{
	bus->eoi = eoi;
	bus->eoi_ctx = ctx;
}
