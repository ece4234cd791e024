/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the host's ACPI tables. Section titles are those of the ACPI specification. */
#include "drivers/acpi.h"

#include "hv/base/acpi_format.h"
#include "hv/base/bits.h"
#include "hv/base/log.h"
#include "hv/base/str.h"

/* Far above what exists; keeps a broken length from being believed. */
#define TABLE_SIZE_MAX 0x400000u
#define ROOT_ENTRIES_MAX 256u
#define RSDP_SIZE_MAX 4096u

/* A mapped table, or part of one: nothing outside is ever read. */
struct table {
	const uint8_t *p;
	size_t n;
};

/* ---------------------------------------------------------------- bounded reading */

/* The little-endian field of `size` bytes at `offset`; 0 when the table ends before it. */
static uint64_t field(struct table t, size_t offset, size_t size)
{
	uint64_t v = 0;

	if (t.p != NULL && range_fits(offset, size, t.n)) {
		memcpy(&v, t.p + offset, size);
	}
	return v;
}

static uint8_t field8(struct table t, size_t offset)
{
	return (uint8_t)field(t, offset, 1);
}

static uint16_t field16(struct table t, size_t offset)
{
	return (uint16_t)field(t, offset, 2);
}

static uint32_t field32(struct table t, size_t offset)
{
	return (uint32_t)field(t, offset, 4);
}

static struct table map_bytes(const struct acpi_mapper *m, uint64_t address, size_t size)
{
	const void *p = NULL;

	if (address != 0 && address <= UINT64_MAX - size) {
		p = m->map(m->ctx, address, size);
	}
	return (struct table){p, p == NULL ? 0 : size};
}

static bool is_signed(struct table t, const char *signature)
{
	return t.n >= 4 && memcmp(t.p, signature, 4) == 0;
}

/* Maps the whole table that begins with `header` and checks it; n = 0 when it is not in order. */
static struct table map_table(const struct acpi_mapper *m, uint64_t address, const char *signature)
{
	const struct table none = {NULL, 0};
	struct table t = map_bytes(m, address, SDT_HEADER_SIZE);
	size_t size = field32(t, SDT_LENGTH);

	if (!is_signed(t, signature)) {
		return none;
	}
	if (size < SDT_HEADER_SIZE || size > TABLE_SIZE_MAX) {
		log_warn("ACPI: %s ignored: it claims %zu bytes", signature, size);
		return none;
	}
	t = map_bytes(m, address, size);
	if (t.n == 0) {
		log_warn("ACPI: %s ignored: its memory cannot be read", signature);
		return none;
	}
	if (acpi_sum(t.p, t.n) != 0) {
		log_warn("ACPI: %s ignored: wrong checksum", signature);
		return none;
	}
	return t;
}

/* ---------------------------------------------------------------- MADT */

/* Puts `cpu` in the place of one that is not there yet; false when there is none. */
static bool replace_absent(struct acpi_info *out, struct acpi_cpu cpu)
{
	for (unsigned i = out->cpu_count; i-- > 0;) {
		if (!out->cpus[i].enabled) {
			out->cpus[i] = cpu;
			return true;
		}
	}
	return false;
}

static void add_cpu(struct acpi_info *out, uint32_t apic_id, uint32_t uid, uint32_t flags)
{
	struct acpi_cpu cpu = {apic_id, uid, (flags & MADT_CPU_ENABLED) != 0};

	if ((flags & (MADT_CPU_ENABLED | MADT_CPU_ONLINE_CAPABLE)) == 0) {
		return;
	}
	/* Firmware may list a processor as local APIC and as local x2APIC. */
	for (unsigned i = 0; i < out->cpu_count; i++) {
		if (out->cpus[i].apic_id == apic_id) {
			out->cpus[i].enabled = out->cpus[i].enabled || cpu.enabled;
			return;
		}
	}
	if (out->cpu_count < ACPI_CPUS_MAX) {
		out->cpus[out->cpu_count++] = cpu;
	} else if (cpu.enabled && !replace_absent(out, cpu)) {
		out->cpus_dropped++;
	}
}

static void add_lapic_nmi(struct acpi_info *out, uint32_t uid, uint16_t flags, uint8_t lint)
{
	if (out->lapic_nmi_count < ACPI_NMIS_MAX && lint <= 1) {
		out->lapic_nmis[out->lapic_nmi_count++] = (struct acpi_lapic_nmi){uid, flags, lint};
	}
}

static void add_ioapic(struct acpi_info *out, struct table e)
{
	if (out->ioapic_count < ACPI_IOAPICS_MAX && field32(e, 4) != 0) {
		out->ioapics[out->ioapic_count++] =
			(struct acpi_ioapic){field32(e, 4), field32(e, 8), field8(e, 2)};
	}
}

static void add_override(struct acpi_info *out, struct table e)
{
	if (out->override_count < ACPI_OVERRIDES_MAX && field8(e, 2) == 0) {
		out->overrides[out->override_count++] =
			(struct acpi_override){field32(e, 4), field16(e, 8), field8(e, 3)};
	}
}

static void add_nmi_source(struct acpi_info *out, struct table e)
{
	if (out->nmi_source_count < ACPI_NMIS_MAX) {
		out->nmi_sources[out->nmi_source_count++] =
			(struct acpi_nmi_source){field32(e, 4), field16(e, 2)};
	}
}

/* The least length of each entry type; shorter ones are skipped. 0: not of interest. */
static const uint8_t madt_entry_sizes[] = {
	[MADT_TYPE_LAPIC] = 8,	    [MADT_TYPE_IOAPIC] = 12,	 [MADT_TYPE_OVERRIDE] = 10,
	[MADT_TYPE_NMI_SOURCE] = 8, [MADT_TYPE_LAPIC_NMI] = 6,	 [MADT_TYPE_LAPIC_OVERRIDE] = 12,
	[MADT_TYPE_X2APIC] = 16,    [MADT_TYPE_X2APIC_NMI] = 12,
};

static void take_madt_entry(struct acpi_info *out, struct table e)
{
	uint32_t uid = field8(e, 2);

	switch (field8(e, 0)) {
	case MADT_TYPE_LAPIC:
		/* 0xff is the broadcast address: firmware's way to say "none". */
		if (field8(e, 3) != 0xff) {
			add_cpu(out, field8(e, 3), uid, field32(e, 4));
		}
		break;
	case MADT_TYPE_IOAPIC:
		add_ioapic(out, e);
		break;
	case MADT_TYPE_OVERRIDE:
		add_override(out, e);
		break;
	case MADT_TYPE_NMI_SOURCE:
		add_nmi_source(out, e);
		break;
	case MADT_TYPE_LAPIC_NMI:
		add_lapic_nmi(out, uid == 0xff ? ACPI_ALL_CPUS : uid, field16(e, 3), field8(e, 5));
		break;
	case MADT_TYPE_LAPIC_OVERRIDE:
		out->lapic_base = field(e, 4, 8);
		break;
	case MADT_TYPE_X2APIC:
		if (field32(e, 4) != 0xffffffffu) {
			add_cpu(out, field32(e, 4), field32(e, 12), field32(e, 8));
		}
		break;
	case MADT_TYPE_X2APIC_NMI:
		add_lapic_nmi(out, field32(e, 4), field16(e, 2), field8(e, 8));
		break;
	default:
		break;
	}
}

/* "Multiple APIC Description Table (MADT)". */
static void read_madt(struct table t, struct acpi_info *out)
{
	size_t at = MADT_ENTRIES;

	if (out->has_madt) {
		return;
	}
	out->has_madt = true;
	out->lapic_base = field32(t, MADT_LAPIC_BASE);
	out->has_8259 = (field32(t, MADT_FLAGS) & MADT_FLAG_PCAT) != 0;
	while (at + 2 <= t.n) {
		uint8_t type = field8(t, at);
		size_t size = field8(t, at + 1);

		if (size < 2 || size > t.n - at) {
			log_warn("ACPI: APIC: entry at %zu claims %zu bytes; the rest is ignored",
				 at, size);
			break;
		}
		if (type < ARRAY_SIZE(madt_entry_sizes) && size >= madt_entry_sizes[type]) {
			take_madt_entry(out, (struct table){t.p + at, size});
		}
		at += size;
	}
}

/* ---------------------------------------------------------------- FADT, MCFG, HPET */

/* "Generic Address Structure"; absent when it is in neither memory nor I/O space. */
static struct acpi_register read_gas(struct table t, size_t offset)
{
	uint8_t space = field8(t, offset + GAS_SPACE);
	uint64_t address = field(t, offset + GAS_ADDRESS, 8);
	bool io = space == GAS_SPACE_IO;

	if ((!io && space != GAS_SPACE_MEMORY) || (io && address > 0xffff)) {
		return (struct acpi_register){0, false};
	}
	return (struct acpi_register){address, io && address != 0};
}

/* A register block: the extended field where it is filled in, else the old one, a port. */
static struct acpi_register read_block(struct table t, size_t extended, size_t old)
{
	struct acpi_register r = read_gas(t, extended);
	uint32_t port = field32(t, old);

	if (r.address == 0 && port != 0 && port <= 0xffff) {
		r = (struct acpi_register){port, true};
	}
	return r;
}

static uint64_t read_fadt(struct table t, struct acpi_fixed *out)
{
	uint32_t flags = field32(t, FADT_FLAGS);
	uint32_t smi = field32(t, FADT_SMI_CMD);
	uint64_t dsdt = field(t, FADT_X_DSDT, 8);

	out->present = true;
	out->hw_reduced = (flags & FADT_FLAG_HW_REDUCED) != 0;
	out->pm_timer_32bit = (flags & FADT_FLAG_TMR_32BIT) != 0;
	out->pm1a_control = read_block(t, FADT_X_PM1A_CNT, FADT_PM1A_CNT);
	out->pm1b_control = read_block(t, FADT_X_PM1B_CNT, FADT_PM1B_CNT);
	if (field8(t, FADT_PM_TMR_LEN) == 4) {
		out->pm_timer = read_block(t, FADT_X_PM_TMR, FADT_PM_TMR);
	}
	if ((flags & FADT_FLAG_RESET_REG) != 0) {
		out->reset = read_gas(t, FADT_RESET_REG);
		out->reset_value = field8(t, FADT_RESET_VALUE);
	}
	out->smi_command = smi <= 0xffff ? (uint16_t)smi : 0;
	out->acpi_enable = field8(t, FADT_ACPI_ENABLE);
	out->sci = field16(t, FADT_SCI_INT);
	out->boot_arch = field16(t, FADT_BOOT_ARCH);
	out->century = field8(t, FADT_CENTURY);
	return dsdt != 0 ? dsdt : field32(t, FADT_DSDT);
}

/* PCI Firmware Specification, "MCFG Table Description". */
static void read_mcfg(struct table t, struct acpi_info *out)
{
	for (size_t at = MCFG_ENTRIES; range_fits(at, MCFG_ENTRY_SIZE, t.n);
	     at += MCFG_ENTRY_SIZE) {
		struct acpi_ecam e = {
			field(t, at + MCFG_ENTRY_BASE, 8),
			field16(t, at + MCFG_ENTRY_SEGMENT),
			field8(t, at + MCFG_ENTRY_BUS_FIRST),
			field8(t, at + MCFG_ENTRY_BUS_LAST),
		};

		if (e.base != 0 && e.bus_first <= e.bus_last && out->ecam_count < ACPI_ECAMS_MAX) {
			out->ecams[out->ecam_count++] = e;
		}
	}
}

static void read_hpet(struct table t, struct acpi_info *out)
{
	struct acpi_register r = read_gas(t, HPET_BASE_GAS);

	if (t.n >= HPET_SIZE && !r.io && out->hpet_base == 0) {
		out->hpet_base = r.address;
	}
}

static void read_s5(struct table t, struct acpi_fixed *out)
{
	if (!out->has_s5) {
		out->has_s5 = acpi_find_s5(t.p, t.n, &out->s5_type_a, &out->s5_type_b);
	}
}

/* ---------------------------------------------------------------- the way to the tables */

enum wanted { WANTED_MADT, WANTED_FADT, WANTED_MCFG, WANTED_HPET, WANTED_SSDT, WANTED_COUNT };

static const char *const wanted_signatures[WANTED_COUNT] = {
	[WANTED_MADT] = "APIC", [WANTED_FADT] = "FACP", [WANTED_MCFG] = "MCFG",
	[WANTED_HPET] = "HPET", [WANTED_SSDT] = "SSDT",
};

static void take_table(const struct acpi_mapper *m, enum wanted kind, struct table t,
		       struct acpi_info *out)
{
	switch (kind) {
	case WANTED_MADT:
		read_madt(t, out);
		break;
	case WANTED_FADT:
		if (!out->fixed.present) {
			t = map_table(m, read_fadt(t, &out->fixed), "DSDT");
			read_s5(t, &out->fixed);
		}
		break;
	case WANTED_MCFG:
		read_mcfg(t, out);
		break;
	case WANTED_HPET:
		read_hpet(t, out);
		break;
	case WANTED_SSDT:
		read_s5(t, &out->fixed);
		break;
	case WANTED_COUNT:
		break;
	}
}

/* Reads the table at `address` if it is one of those wanted. */
static void read_table(const struct acpi_mapper *m, uint64_t address, struct acpi_info *out)
{
	struct table head = map_bytes(m, address, SDT_HEADER_SIZE);

	for (unsigned i = 0; i < WANTED_COUNT; i++) {
		if (is_signed(head, wanted_signatures[i])) {
			struct table t = map_table(m, address, wanted_signatures[i]);

			if (t.n != 0) {
				take_table(m, (enum wanted)i, t, out);
			}
		}
	}
}

/* "Root System Description Pointer (RSDP)": 20 bytes in revision 0, 36 and more since. */
static enum hv_status check_rsdp(const struct acpi_mapper *m, uint64_t address, struct table *out)
{
	struct table t = map_bytes(m, address, RSDP_V1_SIZE);
	size_t size;

	if (t.n == 0) {
		return HV_E_NOT_FOUND;
	}
	if (memcmp(t.p, RSDP_SIGNATURE, 8) != 0 || acpi_sum(t.p, RSDP_V1_SIZE) != 0) {
		return HV_E_INVALID;
	}
	*out = t;
	if (field8(t, RSDP_REVISION) < 2) {
		return HV_OK;
	}
	size = field32(map_bytes(m, address, RSDP_V2_SIZE), RSDP_LENGTH);
	size = size >= RSDP_V2_SIZE && size <= RSDP_SIZE_MAX ? size : RSDP_V2_SIZE;
	t = map_bytes(m, address, size);
	if (t.n != 0 && acpi_sum(t.p, size) == 0) {
		*out = t;
	}
	return HV_OK;
}

enum hv_status acpi_parse(uint64_t rsdp, const struct acpi_mapper *mapper, struct acpi_info *out)
{
	size_t entry_size = 8;
	struct table root;
	struct table pointer;
	enum hv_status status;

	memset(out, 0, sizeof(*out));
	status = check_rsdp(mapper, rsdp, &pointer);
	if (status != HV_OK) {
		log_warn("ACPI: no usable RSDP at 0x%lx: %s", rsdp, hv_status_name(status));
		return status;
	}
	/* A pointer without the extended part has no field there: address 0, not mapped. */
	root = map_table(mapper, field(pointer, RSDP_XSDT, 8), "XSDT");
	if (root.n == 0) {
		root = map_table(mapper, field32(pointer, RSDP_RSDT), "RSDT");
		entry_size = 4;
	}
	if (root.n == 0) {
		log_warn("ACPI: neither XSDT nor RSDT is in order");
		return HV_E_INVALID;
	}
	for (unsigned i = 0; i < ROOT_ENTRIES_MAX; i++) {
		size_t at = SDT_HEADER_SIZE + i * entry_size;

		if (!range_fits(at, entry_size, root.n)) {
			break;
		}
		read_table(mapper, field(root, at, entry_size), out);
	}
	return HV_OK;
}
