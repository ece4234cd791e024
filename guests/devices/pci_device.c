/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all PCI device models have in common. Sources: PCI Express Base Specification, "PCI Express
 * Capability Structure", "Function-Level Reset"; Advanced Capabilities for Conventional PCI ECN;
 * PCI Bus Power Management Interface Specification, "Power Management Register Block Definition";
 * PCI Local Bus Specification, "MSI Capability Structure", "MSI-X Capability and Table Structures",
 * "Device Control", "Device Status".
 */
#include "guests/devices/pci_device.h"

#include "hv/base/bits.h"
#include "hv/base/str.h"

#define COMMAND_PARITY 0x0040u
#define COMMAND_SERR 0x0100u
#define LATENCY_WRITABLE 0xf8u

/* PCI Express capability, version 2. */
#define EXPRESS_SIZE 0x3cu
#define EXPRESS_FLAGS 2u
#define EXPRESS_ROOT_ENDPOINT 0x0092u /* Root Complex Integrated Endpoint */
#define EXPRESS_DEVICE 4u
#define DEVICE_ROLE_BASED_ERRORS BIT32(15)
#define DEVICE_FLR BIT32(28)
#define EXPRESS_CONTROL 8u
#define CONTROL_INITIAL 0x2810u	 /* relaxed ordering, no snoop, reads of 512 bytes */
#define CONTROL_WRITABLE 0x78ffu /* those, error reporting, payload size */
#define CONTROL_FLR 0x8000u

/* Advanced features capability. */
#define ADVANCED_SIZE 6u
#define ADVANCED_LENGTH 2u
#define ADVANCED_FEATURES 3u
#define FEATURES_PENDING 0x1u /* transactions pending can be asked for */
#define FEATURES_FLR 0x2u
#define ADVANCED_CONTROL 4u
#define ADVANCED_FLR 0x1u

/* Power management capability. */
#define POWER_VERSION 3u
#define D0 0u
#define D3HOT PCI_POWER_D3HOT

/* Table and pending bits share a BAR. */
#define MSIX_BAR_SIZE 0x1000u
#define MSIX_PBA_OFFSET 0x800u
#define ENTRY_ADDRESS_LOW 0u
#define ENTRY_ADDRESS_HIGH 1u
#define ENTRY_DATA 2u
#define ADDRESS_LOW_WRITABLE 0xfffffffcu

static_assert(sizeof(struct pci_msix_entry) == 16, "the table's format");
static_assert(offsetof(struct pci_msix_entry, data) == 8, "the table's format");
static_assert(PCI_MSIX_VECTORS_MAX * sizeof(struct pci_msix_entry) <= MSIX_PBA_OFFSET, "overlap");
static_assert(PCI_MSIX_VECTORS_MAX <= 64, "msix_pending has a bit each");

static struct pci_device *to_device(struct pci_function *f)
{
	return container_of(f, struct pci_device, function);
}

static uint32_t get_u16(const struct pci_device *d, unsigned reg)
{
	return (uint32_t)pci_function_read(&d->function, reg, 2);
}

/* ---- messages ---- */

/* Sends what waits and may go. msix_lock held. */
static void send_pending(struct pci_device *d)
{
	if (!atomic_load(&d->msix_on) || atomic_load(&d->msix_masked)) {
		return;
	}
	for (uint64_t left = d->msix_pending; left != 0; left &= left - 1) {
		unsigned vector = (unsigned)__builtin_ctzll(left);
		const struct pci_msix_entry *e = &d->msix[vector];

		if ((e->control & PCI_MSIX_ENTRY_MASKED) == 0) {
			d->msix_pending &= ~BIT(vector);
			(void)d->message(d->message_ctx, e->address, e->data);
		}
	}
}

void pci_device_msix(struct pci_device *d, unsigned vector)
{
	if (vector >= d->msix_count) {
		return;
	}
	lock_acquire(&d->msix_lock);
	if (atomic_load(&d->msix_on)) {
		d->msix_pending |= BIT(vector);
		send_pending(d);
	}
	lock_release(&d->msix_lock);
}

static uint64_t msix_read(struct pci_device *d, uint64_t offset, unsigned size)
{
	uint64_t value = 0;

	lock_acquire(&d->msix_lock);
	if (range_fits(offset, size, d->msix_count * sizeof(d->msix[0]))) {
		memcpy(&value, (const uint8_t *)d->msix + offset, size);
	} else if (offset >= MSIX_PBA_OFFSET &&
		   range_fits(offset - MSIX_PBA_OFFSET, size, sizeof(d->msix_pending))) {
		memcpy(&value, (const uint8_t *)&d->msix_pending + (offset - MSIX_PBA_OFFSET),
		       size);
	}
	lock_release(&d->msix_lock);
	return value;
}

/* msix_lock held. */
static void write_entry(struct pci_msix_entry *e, unsigned field, uint32_t value)
{
	switch (field) {
	case ENTRY_ADDRESS_LOW:
		e->address = bits_set(e->address, MASK(31, 0), value & ADDRESS_LOW_WRITABLE);
		break;
	case ENTRY_ADDRESS_HIGH:
		e->address = bits_set(e->address, MASK(63, 32), value);
		break;
	case ENTRY_DATA:
		e->data = value;
		break;
	default:
		e->control = value & PCI_MSIX_ENTRY_MASKED;
		break;
	}
}

/* Whole dwords and quadwords only: anything else is undefined, and does nothing here. */
static void msix_write(struct pci_device *d, uint64_t offset, unsigned size, uint64_t value)
{
	if (size < 4 || !is_aligned(offset, size) ||
	    !range_fits(offset, size, d->msix_count * sizeof(d->msix[0]))) {
		return;
	}
	lock_acquire(&d->msix_lock);
	for (unsigned i = 0; i < size; i += 4) {
		uint64_t at = offset + i;

		write_entry(&d->msix[at / sizeof(d->msix[0])],
			    (unsigned)(at % sizeof(d->msix[0])) / 4, (uint32_t)(value >> (i * 8)));
	}
	send_pending(d);
	lock_release(&d->msix_lock);
}

/* All masked, nothing waiting, as after a reset. Host's lock held. */
static void msix_reset(struct pci_device *d)
{
	lock_acquire(&d->msix_lock);
	d->msix_pending = 0;
	for (unsigned i = 0; i < PCI_MSIX_VECTORS_MAX; i++) {
		d->msix[i] = (struct pci_msix_entry){.control = PCI_MSIX_ENTRY_MASKED};
	}
	lock_release(&d->msix_lock);
}

/* ---- what the registers say ---- */

static bool msi_is_on(const struct pci_device *d)
{
	return d->msi_capability != 0 &&
	       (get_u16(d, d->msi_capability + PCI_MSI_CONTROL) & PCI_MSI_ENABLE) != 0;
}

/* Host's lock held. */
static void send_msi(struct pci_device *d)
{
	unsigned at = d->msi_capability;
	uint64_t address = pci_function_read(&d->function, at + PCI_MSI_ADDRESS, 4) |
			   pci_function_read(&d->function, at + PCI_MSI_ADDRESS_HIGH, 4) << 32;

	(void)d->message(d->message_ctx, address, get_u16(d, at + PCI_MSI_DATA_64));
}

/* By line, or one message for as long as it would be up. Host's lock held. */
static void update_interrupt(struct pci_device *d)
{
	uint32_t command = get_u16(d, PCI_COMMAND);
	bool wanted =
		atomic_load(&d->intx_asserted) && !atomic_load(&d->msix_on) && d->power_state == D0;
	bool msi = msi_is_on(d);
	bool level = wanted && !msi && (command & PCI_COMMAND_INTX_OFF) == 0;
	bool told = wanted && msi && (command & PCI_COMMAND_MASTER) != 0;

	if (told && !d->msi_told) {
		send_msi(d);
	}
	d->msi_told = told;

	if (level != d->intx_level) {
		d->intx_level = level;
		irq_line_set(&d->intx, level);
	}
}

static void publish_msix(struct pci_device *d, bool master)
{
	uint32_t control =
		d->msix_count > 0 ? get_u16(d, d->msix_capability + PCI_MSIX_CONTROL) : 0;
	bool on = (control & PCI_MSIX_ENABLE) != 0;

	lock_acquire(&d->msix_lock);
	atomic_store(&d->msix_on, on);
	atomic_store(&d->msix_masked, (control & PCI_MSIX_MASK) != 0 || !master);
	if (!on) {
		d->msix_pending = 0;
	}
	send_pending(d);
	lock_release(&d->msix_lock);
}

/* Host's lock held. */
static void publish(struct pci_device *d)
{
	uint32_t command = d->power_state == D0 ? get_u16(d, PCI_COMMAND) : 0;
	bool master = (command & PCI_COMMAND_MASTER) != 0;

	atomic_store(&d->ports, (command & PCI_COMMAND_IO) != 0);
	publish_msix(d, master);
	update_interrupt(d);
	if (atomic_exchange(&d->master, master) != master && d->ops->master_changed != NULL) {
		d->ops->master_changed(d, master);
	}
}

/* A write of D1 or D2, which are not there, is dropped. Host's lock held. */
static void take_power_state(struct pci_device *d)
{
	unsigned reg = d->power_capability + PCI_POWER_CONTROL;
	uint8_t state = (uint8_t)(get_u16(d, reg) & PCI_POWER_STATE);

	if (state != D0 && state != D3HOT) {
		state = d->power_state;
		pci_function_set(&d->function, reg, 2, PCI_POWER_NO_SOFT_RESET | state);
	}
	if (state != d->power_state) {
		d->power_state = state;
		pci_function_set_quiet(&d->function, state != D0);
	}
}

/* The bit that asks for a reset reads zero. Host's lock held. */
static void take_reset(struct pci_device *d)
{
	uint32_t control = get_u16(d, d->reset_register);

	if ((control & d->reset_bit) != 0) {
		pci_function_set(&d->function, d->reset_register, 2, control & ~d->reset_bit);
		d->reset_asked = true;
	}
}

void pci_device_intx(struct pci_device *d, bool level)
{
	bool mute = d->intx.set == NULL && d->msi_capability == 0;

	if (mute || atomic_load(&d->intx_asserted) == level) {
		return;
	}
	lock_acquire(&d->host->dev.lock);
	atomic_store(&d->intx_asserted, level);
	pci_function_set(&d->function, PCI_STATUS, 1,
			 PCI_STATUS_CAP_LIST | (level ? PCI_STATUS_INTX : 0));
	update_interrupt(d);
	lock_release(&d->host->dev.lock);
}

/* ---- as a function of the host ---- */

static void function_written(struct pci_function *f, unsigned reg, unsigned size)
{
	struct pci_device *d = to_device(f);

	(void)reg;
	(void)size;
	take_reset(d);
	take_power_state(d);
	publish(d);
}

/* The registers are as after power-on; the rest follows. */
static void function_reset(struct pci_function *f)
{
	struct pci_device *d = to_device(f);

	lock_acquire(&d->host->dev.lock);
	d->reset_asked = false;
	msix_reset(d);
	atomic_store(&d->intx_asserted, false);
	take_power_state(d);
	publish(d);
	lock_release(&d->host->dev.lock);
	d->ops->reset(d);
}

static void function_settle(struct pci_function *f)
{
	struct pci_device *d = to_device(f);
	bool asked;

	lock_acquire(&d->host->dev.lock);
	asked = d->reset_asked;
	d->reset_asked = false;
	lock_release(&d->host->dev.lock);
	if (asked) {
		pci_device_reset(d);
	}
}

static bool is_msix_bar(const struct pci_device *d, unsigned bar)
{
	return d->msix_count > 0 && bar == d->msix_bar;
}

static uint64_t function_bar_read(struct pci_function *f, unsigned bar, uint64_t offset,
				  unsigned size)
{
	struct pci_device *d = to_device(f);

	if (bar == PCI_BAR_ROM) {
		return pci_rom_read(&d->rom, offset, size);
	}
	return is_msix_bar(d, bar) ? msix_read(d, offset, size)
				   : d->ops->bar_read(d, bar, offset, size);
}

static void function_bar_write(struct pci_function *f, unsigned bar, uint64_t offset, unsigned size,
			       uint64_t value)
{
	struct pci_device *d = to_device(f);

	if (is_msix_bar(d, bar)) {
		msix_write(d, offset, size, value);
	} else if (bar != PCI_BAR_ROM) {
		d->ops->bar_write(d, bar, offset, size, value);
	}
}

static void show_rom(const struct pci_device *d, const struct pci_bar *bar)
{
	if (d->rom.show != NULL) {
		d->rom.show(d->rom.ctx, bar->address, bar->mapped);
	}
}

static void function_bar_changed(struct pci_function *f, unsigned bar)
{
	struct pci_device *d = to_device(f);

	if (bar == PCI_BAR_ROM) {
		show_rom(d, &f->bars[bar]);
	} else if (d->ops->bar_changed != NULL) {
		d->ops->bar_changed(d, bar);
	}
}

static void function_window(struct pci_function *f, bool write)
{
	struct pci_device *d = to_device(f);

	if (d->ops->window != NULL) {
		d->ops->window(d, write);
	}
}

static const struct pci_function_ops function_ops = {
	.bar_changed = function_bar_changed,
	.written = function_written,
	.settle = function_settle,
	.reset = function_reset,
	.window = function_window,
	.bar_read = function_bar_read,
	.bar_write = function_bar_write,
};

/* ---- saved state ---- */

void pci_device_save(struct pci_device *d, struct pci_device_saved *out)
{
	lock_acquire(&d->host->dev.lock);
	pci_function_save(&d->function, &out->function);
	out->intx_asserted = atomic_load(&d->intx_asserted);
	out->msi_told = d->msi_told;
	lock_acquire(&d->msix_lock);
	memcpy(out->msix, d->msix, sizeof(out->msix));
	out->msix_pending = d->msix_pending;
	lock_release(&d->msix_lock);
	lock_release(&d->host->dev.lock);
}

/* The table has msix_count entries; those behind them are as after a reset. */
static bool entry_is_sound(const struct pci_msix_entry *e, bool exists)
{
	bool masked = e->control == PCI_MSIX_ENTRY_MASKED;

	if (!exists) {
		return masked && e->address == 0 && e->data == 0;
	}
	return (masked || e->control == 0) &&
	       (e->address & ~ADDRESS_LOW_WRITABLE & MASK(31, 0)) == 0;
}

static uint16_t saved_u16(const struct pci_device_saved *in, unsigned reg)
{
	return (uint16_t)(in->function.value[reg] | in->function.value[reg + 1] << 8);
}

static const char *check_msix(const struct pci_device *d, const struct pci_device_saved *in)
{
	uint64_t vectors = d->msix_count == 0 ? 0 : MASK(d->msix_count - 1, 0);

	for (unsigned i = 0; i < PCI_MSIX_VECTORS_MAX; i++) {
		if (!entry_is_sound(&in->msix[i], i < d->msix_count)) {
			return "its MSI-X table cannot be written so";
		}
	}
	return (in->msix_pending & ~vectors) == 0 ? NULL : "a vector waits that it does not have";
}

const char *pci_device_check(const struct pci_device *d, const struct pci_device_saved *in)
{
	uint16_t power = saved_u16(in, d->power_capability + PCI_POWER_CONTROL) & PCI_POWER_STATE;
	const char *wrong = pci_function_check(&d->function, &in->function);

	if (wrong != NULL) {
		return wrong;
	}
	if (power != D0 && power != D3HOT) {
		return "it has the power states D0 and D3hot";
	}
	if ((saved_u16(in, d->reset_register) & d->reset_bit) != 0) {
		return "a function-level reset is never under way";
	}
	if (!saved_is_bool(in->intx_asserted) || !saved_is_bool(in->msi_told) ||
	    !saved_is_zero(in->zero, sizeof(in->zero))) {
		return "a flag of its interrupt is neither 0 nor 1";
	}
	return check_msix(d, in);
}

/* Host's lock held. */
static void load_interrupts(struct pci_device *d, const struct pci_device_saved *in)
{
	atomic_store(&d->intx_asserted, in->intx_asserted != 0);
	pci_function_set(&d->function, PCI_STATUS, 1,
			 PCI_STATUS_CAP_LIST | (in->intx_asserted != 0 ? PCI_STATUS_INTX : 0));
	d->msi_told = in->msi_told != 0;
	lock_acquire(&d->msix_lock);
	/* What was on before is not to send what comes now. */
	atomic_store(&d->msix_on, false);
	memcpy(d->msix, in->msix, sizeof(d->msix));
	d->msix_pending = in->msix_pending;
	lock_release(&d->msix_lock);
}

void pci_device_load(struct pci_device *d, const struct pci_device_saved *in)
{
	unsigned power = d->power_capability + PCI_POWER_CONTROL;

	lock_acquire(&d->host->dev.lock);
	d->reset_asked = false;
	d->power_state = (uint8_t)(saved_u16(in, power) & PCI_POWER_STATE);
	pci_function_load(&d->function, &in->function, d->power_state != D0);
	d->host->bars_version++;
	load_interrupts(d, in);
	publish(d);
	lock_release(&d->host->dev.lock);
}

void pci_device_reset(struct pci_device *d)
{
	pci_host_reset_function(d->host, &d->function);
	function_reset(&d->function);
}

/* ---- declaration ---- */

static enum hv_status add_express(struct pci_device *d)
{
	struct pci_function *f = &d->function;
	unsigned at;
	enum hv_status status = pci_function_add_capability(f, PCI_CAP_EXPRESS, EXPRESS_SIZE, &at);

	if (status != HV_OK) {
		return status;
	}
	d->reset_register = at + EXPRESS_CONTROL;
	d->reset_bit = CONTROL_FLR;
	pci_function_define(f, at + EXPRESS_FLAGS, 2, EXPRESS_ROOT_ENDPOINT, 0);
	pci_function_define(f, at + EXPRESS_DEVICE, 4, DEVICE_FLR | DEVICE_ROLE_BASED_ERRORS, 0);
	pci_function_define(f, at + EXPRESS_CONTROL, 2, CONTROL_INITIAL,
			    CONTROL_WRITABLE | CONTROL_FLR);
	return HV_OK;
}

static enum hv_status add_advanced(struct pci_device *d)
{
	struct pci_function *f = &d->function;
	unsigned at;
	enum hv_status status =
		pci_function_add_capability(f, PCI_CAP_ADVANCED, ADVANCED_SIZE, &at);

	if (status != HV_OK) {
		return status;
	}
	d->reset_register = at + ADVANCED_CONTROL;
	d->reset_bit = ADVANCED_FLR;
	pci_function_define(f, at + ADVANCED_LENGTH, 1, ADVANCED_SIZE, 0);
	pci_function_define(f, at + ADVANCED_FEATURES, 1, FEATURES_PENDING | FEATURES_FLR, 0);
	pci_function_define(f, at + ADVANCED_CONTROL, 1, 0, ADVANCED_FLR);
	return HV_OK;
}

static enum hv_status add_power(struct pci_device *d)
{
	struct pci_function *f = &d->function;
	enum hv_status status = pci_function_add_capability(f, PCI_CAP_POWER, PCI_POWER_BYTES,
							    &d->power_capability);
	unsigned at = d->power_capability;

	if (status == HV_OK) {
		pci_function_define(f, at + PCI_POWER_CAPABILITIES, 2, POWER_VERSION, 0);
		pci_function_define(f, at + PCI_POWER_CONTROL, 2, PCI_POWER_NO_SOFT_RESET,
				    PCI_POWER_STATE);
	}
	return status;
}

static enum hv_status add_msix(struct pci_device *d)
{
	struct pci_function *f = &d->function;
	enum hv_status status = pci_function_add_bar(f, d->msix_bar, 0, MSIX_BAR_SIZE);
	unsigned at;

	if (status == HV_OK) {
		status = pci_function_add_capability(f, PCI_CAP_MSIX, PCI_MSIX_BYTES,
						     &d->msix_capability);
	}
	if (status != HV_OK) {
		return status;
	}
	at = d->msix_capability;
	pci_function_define(f, at + PCI_MSIX_CONTROL, 2, d->msix_count - 1,
			    PCI_MSIX_ENABLE | PCI_MSIX_MASK);
	pci_function_define(f, at + PCI_MSIX_TABLE, 4, d->msix_bar, 0);
	pci_function_define(f, at + PCI_MSIX_PBA, 4, MSIX_PBA_OFFSET | d->msix_bar, 0);
	return HV_OK;
}

static enum hv_status add_msi(struct pci_device *d)
{
	struct pci_function *f = &d->function;
	enum hv_status status =
		pci_function_add_capability(f, PCI_CAP_MSI, PCI_MSI_SIZE_64, &d->msi_capability);
	unsigned at = d->msi_capability;

	if (status == HV_OK) {
		pci_function_define(f, at + PCI_MSI_CONTROL, 2, PCI_MSI_64, PCI_MSI_ENABLE);
		pci_function_define(f, at + PCI_MSI_ADDRESS, 4, 0, ADDRESS_LOW_WRITABLE);
		pci_function_define(f, at + PCI_MSI_ADDRESS_HIGH, 4, 0, 0xffffffff);
		pci_function_define(f, at + PCI_MSI_DATA_64, 2, 0, 0xffff);
	}
	return status;
}

static enum hv_status add_rom(struct pci_device *d, const struct pci_device_config *cfg)
{
	const struct pci_rom_card card = {cfg->identity.vendor, cfg->identity.device};

	if (cfg->rom.size == 0) {
		return HV_OK;
	}
	if (pci_rom_problem(&cfg->rom, &card) != NULL) {
		return HV_E_INVALID;
	}
	d->rom = cfg->rom;
	return pci_function_add_rom(&d->function, pci_rom_space(&d->rom));
}

static enum hv_status add_capabilities(struct pci_device *d, const struct pci_device_config *cfg)
{
	enum hv_status status = cfg->express ? add_express(d) : add_advanced(d);

	if (status == HV_OK) {
		status = add_power(d);
	}
	if (status == HV_OK && d->msix_count > 0) {
		status = add_msix(d);
	}
	if (status == HV_OK && cfg->msi) {
		status = add_msi(d);
	}
	if (status == HV_OK) {
		status = add_rom(d, cfg);
	}
	return status;
}

/*
 * Two registers of masters that systems set and look at, for a bus that takes no time here:
 * "Cacheline Size", which PCI Express has as well, and "Latency Timer", in units of 8 clocks.
 */
static void define_bus_timing(struct pci_device *d, bool express)
{
	pci_function_define(&d->function, PCI_CACHE_LINE, 1, 0, 0xff);
	pci_function_define(&d->function, PCI_LATENCY, 1, 0, express ? 0 : LATENCY_WRITABLE);
}

enum hv_status pci_device_init(struct pci_device *d, const struct pci_device_config *cfg)
{
	if (cfg->msix_count > PCI_MSIX_VECTORS_MAX) {
		return HV_E_RANGE;
	}
	memset(d, 0, sizeof(*d));
	d->ops = cfg->ops;
	d->host = cfg->host;
	d->devfn = cfg->devfn;
	d->message = cfg->message;
	d->message_ctx = cfg->message_ctx;
	d->msix_bar = cfg->msix_bar;
	d->msix_count = cfg->msix_count;
	pci_function_init(&d->function, &cfg->identity, &function_ops,
			  cfg->express ? &d->extended : NULL);
	pci_function_keep_free(&d->function, cfg->registers_end);
	pci_function_define(&d->function, PCI_COMMAND, 2, 0,
			    PCI_COMMAND_MASTER | COMMAND_PARITY | COMMAND_SERR);
	define_bus_timing(d, cfg->express);
	if (cfg->intx) {
		d->intx = cfg->intx_line;
		pci_function_set_pin(&d->function, 1);
	}
	msix_reset(d);
	atomic_store(&d->msix_masked, true);
	return add_capabilities(d, cfg);
}

enum hv_status pci_device_add(struct pci_device *d)
{
	return pci_host_add(d->host, d->devfn, &d->function);
}
