/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One function's configuration space. Source: PCI Local Bus Specification, "Configuration Space",
 * "Base Addresses", "Expansion ROM Base Address Register".
 */
#include "guests/devices/pci_config.h"

#include "hv/base/bits.h"
#include "hv/base/check.h"
#include "hv/base/str.h"

#define BAR_IO_MIN 4u
#define BAR_MEMORY_MIN 16u
#define BAR_IO_MAX 0x100u
#define BAR_32_MAX 0x80000000ull

static unsigned space_size(const struct pci_function *f)
{
	return f->extended != NULL ? PCI_EXPRESS_BYTES : PCI_CONFIG_BYTES;
}

/* reg < space_size(f) */
static uint8_t *byte_at(struct pci_function *f, enum pci_plane plane, unsigned reg)
{
	return reg < PCI_CONFIG_BYTES ? &f->plane[plane][reg]
				      : &f->extended->plane[plane][reg - PCI_CONFIG_BYTES];
}

static uint8_t get_byte(const struct pci_function *f, enum pci_plane plane, unsigned reg)
{
	return reg < PCI_CONFIG_BYTES ? f->plane[plane][reg]
				      : f->extended->plane[plane][reg - PCI_CONFIG_BYTES];
}

static uint32_t get_u32(const struct pci_function *f, unsigned reg)
{
	return (uint32_t)pci_function_read(f, reg, 4);
}

static void set_plane(struct pci_function *f, enum pci_plane plane, unsigned reg, unsigned size,
		      uint32_t value)
{
	CHECK(range_fits(reg, size, space_size(f)) && size <= 4);
	for (unsigned i = 0; i < size; i++) {
		*byte_at(f, plane, reg + i) = (uint8_t)(value >> (i * 8));
	}
}

/* ---- declaration ---- */

void pci_function_define(struct pci_function *f, unsigned reg, unsigned size, uint32_t value,
			 uint32_t writable)
{
	set_plane(f, PCI_VALUE, reg, size, value);
	set_plane(f, PCI_INITIAL, reg, size, value);
	set_plane(f, PCI_WRITABLE, reg, size, writable);
}

void pci_function_set(struct pci_function *f, unsigned reg, unsigned size, uint32_t value)
{
	set_plane(f, PCI_VALUE, reg, size, value);
}

void pci_function_init(struct pci_function *f, const struct pci_identity *id,
		       const struct pci_function_ops *ops, struct pci_extended *extended)
{
	*f = (struct pci_function){.ops = ops,
				   .extended = extended,
				   .capability_end = PCI_FIRST_FREE,
				   .capability_last = PCI_CAPABILITIES};
	if (extended != NULL) {
		memset(extended, 0, sizeof(*extended));
	}
	pci_function_define(f, PCI_VENDOR_ID, 2, id->vendor, 0);
	pci_function_define(f, PCI_DEVICE_ID, 2, id->device, 0);
	pci_function_define(f, PCI_REVISION, 4, id->class_code << 8 | id->revision, 0);
	pci_function_define(f, PCI_SUBSYSTEM_VENDOR, 2, id->subsystem_vendor, 0);
	pci_function_define(f, PCI_SUBSYSTEM, 2, id->subsystem, 0);
}

/* Lets the guest write more bits of a register that is defined already. */
static void allow(struct pci_function *f, unsigned reg, uint8_t bits)
{
	*byte_at(f, PCI_WRITABLE, reg) |= bits;
}

static bool bar_is_valid(unsigned bar, uint8_t flags, uint64_t size)
{
	bool io = (flags & PCI_BAR_IO) != 0;
	bool wide = (flags & PCI_BAR_64) != 0;
	uint64_t min = io ? BAR_IO_MIN : BAR_MEMORY_MIN;
	uint64_t max = io ? BAR_IO_MAX : wide ? BIT(62) : BAR_32_MAX;

	return bar < PCI_BARS && (!wide || bar + 1 < PCI_BARS) && size >= min && size <= max &&
	       (size & (size - 1)) == 0 &&
	       (flags & ~(io ? PCI_BAR_IO : PCI_BAR_64 | PCI_BAR_PREFETCH)) == 0;
}

enum hv_status pci_function_add_bar(struct pci_function *f, unsigned bar, uint8_t flags,
				    uint64_t size)
{
	unsigned reg = PCI_BAR0 + bar * 4;
	bool io = (flags & PCI_BAR_IO) != 0;
	bool wide = (flags & PCI_BAR_64) != 0;

	if (!bar_is_valid(bar, flags, size)) {
		return HV_E_INVALID;
	}
	if (get_u32(f, reg) != 0 || f->bars[bar].size != 0 ||
	    get_byte(f, PCI_WRITABLE, reg + 3) != 0 || (wide && f->bars[bar + 1].size != 0)) {
		return HV_E_EXISTS;
	}
	f->bars[bar] = (struct pci_bar){.size = size, .flags = flags};
	pci_function_define(f, reg, 4, flags, (uint32_t) ~(size - 1));
	if (wide) {
		pci_function_define(f, reg + 4, 4, 0, (uint32_t)(~(size - 1) >> 32));
	}
	allow(f, PCI_COMMAND, io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY);
	return HV_OK;
}

enum hv_status pci_function_add_rom(struct pci_function *f, uint64_t size)
{
	if (size < PCI_ROM_BYTES_MIN || size > PCI_ROM_BYTES_MAX || (size & (size - 1)) != 0) {
		return HV_E_INVALID;
	}
	f->bars[PCI_BAR_ROM] = (struct pci_bar){.size = size};
	pci_function_define(f, PCI_ROM_BASE, 4, 0, (uint32_t) ~(size - 1) | PCI_ROM_ENABLE);
	allow(f, PCI_COMMAND, PCI_COMMAND_MEMORY);
	return HV_OK;
}

void pci_function_add_ports(struct pci_function *f)
{
	allow(f, PCI_COMMAND, PCI_COMMAND_IO);
}

void pci_function_set_pin(struct pci_function *f, uint8_t pin)
{
	pci_function_define(f, PCI_INTERRUPT_PIN, 1, pin, 0);
	pci_function_define(f, PCI_INTERRUPT_LINE, 1, 0, 0xff);
	allow(f, PCI_COMMAND + 1, PCI_COMMAND_INTX_OFF >> 8);
}

void pci_function_keep_free(struct pci_function *f, unsigned end)
{
	if (end > f->capability_end) {
		f->capability_end = (uint16_t)align_up(end, 4);
	}
}

enum hv_status pci_function_add_capability(struct pci_function *f, uint8_t id, unsigned size,
					   unsigned *at)
{
	unsigned start = f->capability_end;

	if (size < 2 || size > PCI_CONFIG_BYTES || start + size > PCI_CONFIG_BYTES) {
		return HV_E_RANGE;
	}
	pci_function_define(f, start, 2, id, 0);
	pci_function_define(f, f->capability_last, 1, start, 0);
	pci_function_define(f, PCI_STATUS, 1, PCI_STATUS_CAP_LIST, 0);
	f->capability_last = (uint16_t)(start + 1);
	f->capability_end = (uint16_t)align_up(start + size, 4);
	*at = start;
	return HV_OK;
}

/* ---- BARs ---- */

/* Where the BAR's registers point, decoded or not. */
static uint64_t bar_address(const struct pci_function *f, unsigned bar)
{
	uint8_t flags = f->bars[bar].flags;
	unsigned reg = PCI_BAR0 + bar * 4;
	uint64_t address;

	if (bar == PCI_BAR_ROM) {
		return get_u32(f, PCI_ROM_BASE) & PCI_ROM_ADDRESS;
	}
	address = get_u32(f, reg);
	if ((flags & PCI_BAR_64) != 0) {
		address |= (uint64_t)get_u32(f, reg + 4) << 32;
	}
	return address &
	       ~(uint64_t)((flags & PCI_BAR_IO) != 0 ? PCI_BAR_IO_FLAGS : PCI_BAR_MEMORY_FLAGS);
}

/*
 * Whether the BAR is decoded at `address`. Zero, and the all-ones of a guest that asks for the
 * size with decoding on, are no places.
 */
static bool bar_is_decoded(const struct pci_function *f, unsigned bar, uint64_t address)
{
	const struct pci_bar *b = &f->bars[bar];
	bool io = (b->flags & PCI_BAR_IO) != 0;
	uint8_t enable = io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;
	uint64_t last = address + (b->size - 1);

	if (bar == PCI_BAR_ROM && (get_u32(f, PCI_ROM_BASE) & PCI_ROM_ENABLE) == 0) {
		return false;
	}
	if (f->quiet || (get_byte(f, PCI_VALUE, PCI_COMMAND) & enable) == 0 || address == 0) {
		return false;
	}
	if (io) {
		return last <= 0xffff;
	}
	return last != ((b->flags & PCI_BAR_64) != 0 ? UINT64_MAX : UINT32_MAX);
}

static void update_bars(struct pci_function *f)
{
	for (unsigned i = 0; i < PCI_BARS_AND_ROM; i++) {
		struct pci_bar *b = &f->bars[i];
		uint64_t address = bar_address(f, i);
		bool mapped = b->size != 0 && bar_is_decoded(f, i, address);

		if (mapped == b->mapped && (!mapped || address == b->address)) {
			continue;
		}
		b->mapped = mapped;
		b->address = address;
		if (f->ops != NULL && f->ops->bar_changed != NULL) {
			f->ops->bar_changed(f, i);
		}
	}
}

void pci_function_set_quiet(struct pci_function *f, bool quiet)
{
	f->quiet = quiet;
	update_bars(f);
}

/* ---- accesses ---- */

uint64_t pci_function_read(const struct pci_function *f, unsigned reg, unsigned size)
{
	uint64_t value = 0;

	/* Nearly all of a guest's reads while it looks for devices. */
	if (size == 4 && reg <= PCI_CONFIG_BYTES - 4) {
		uint32_t dword;

		memcpy(&dword, &f->plane[PCI_VALUE][reg], sizeof(dword));
		return dword;
	}
	for (unsigned i = 0; i < size; i++) {
		uint8_t byte = 0xff;

		if (range_fits(reg, i + 1, space_size(f))) {
			byte = get_byte(f, PCI_VALUE, reg + i);
		}
		value |= (uint64_t)byte << (i * 8);
	}
	return value;
}

static bool write_byte(struct pci_function *f, unsigned reg, uint8_t value)
{
	uint8_t before = get_byte(f, PCI_VALUE, reg);
	uint8_t writable = get_byte(f, PCI_WRITABLE, reg);
	uint8_t after = (uint8_t)((before & ~writable) | (value & writable));

	*byte_at(f, PCI_VALUE, reg) = after;
	return after != before;
}

bool pci_function_write(struct pci_function *f, unsigned reg, unsigned size, uint64_t value)
{
	bool changed = false;

	for (unsigned i = 0; i < size && range_fits(reg, i + 1, space_size(f)); i++) {
		changed |= write_byte(f, reg + i, (uint8_t)(value >> (i * 8)));
	}
	if (!changed) {
		return false;
	}
	if (reg < PCI_ROM_BASE + 4) {
		update_bars(f);
	}
	if (f->ops != NULL && f->ops->written != NULL) {
		f->ops->written(f, reg, size);
	}
	return true;
}

void pci_function_reset(struct pci_function *f)
{
	memcpy(f->plane[PCI_VALUE], f->plane[PCI_INITIAL], PCI_CONFIG_BYTES);
	if (f->extended != NULL) {
		memcpy(f->extended->plane[PCI_VALUE], f->extended->plane[PCI_INITIAL],
		       PCI_EXTENDED_BYTES);
	}
	pci_function_set_quiet(f, false);
}

/* ---- saved state ---- */

void pci_function_save(const struct pci_function *f, struct pci_function_saved *out)
{
	for (unsigned i = 0; i < PCI_CONFIG_BYTES; i++) {
		uint8_t bits = f->plane[PCI_WRITABLE][i];

		out->value[i] = (uint8_t)((f->plane[PCI_VALUE][i] & bits) |
					  (f->plane[PCI_INITIAL][i] & ~bits));
	}
}

const char *pci_function_check(const struct pci_function *f, const struct pci_function_saved *in)
{
	uint8_t wrong = 0;

	for (unsigned i = 0; i < PCI_CONFIG_BYTES; i++) {
		wrong |= (uint8_t)((in->value[i] ^ f->plane[PCI_INITIAL][i]) &
				   ~f->plane[PCI_WRITABLE][i]);
	}
	return wrong == 0 ? NULL : "its PCI registers are another function's";
}

void pci_function_load(struct pci_function *f, const struct pci_function_saved *in, bool quiet)
{
	memcpy(f->plane[PCI_VALUE], in->value, PCI_CONFIG_BYTES);
	pci_function_set_quiet(f, quiet);
}
