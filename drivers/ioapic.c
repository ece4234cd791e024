/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's I/O APICs. */
#include "drivers/ioapic.h"

#include <stddef.h>

#include "hv/base/addr.h"
#include "hv/base/bits.h"
#include "hv/base/lock.h"
#include "hv/base/log.h"
#include "hv/cpu/insn.h"

/* An index register and a window onto the register it names. */
#define IOREGSEL 0x00u
#define IOWIN 0x10u

#define REG_VERSION 0x01u
#define REG_REDIRECTION 0x10u /* two per line, low half first */
#define VERSION_MAX_LINE MASK(23, 16)
#define LINES_MAX 240u

#define REDIR_ACTIVE_LOW BIT32(13)
#define REDIR_LEVEL BIT32(15)
#define REDIR_MASKED BIT32(16)
#define REDIR_DESTINATION_SHIFT 24
#define XAPIC_ID_MAX 0xffu

struct ioapic {
	char *registers;
	uint32_t gsi_base;
	uint32_t lines;
};

static struct {
	struct spinlock lock; /* covers index/window pairs */
	struct ioapic chip[HOST_IOAPIC_MAX];
	unsigned count;
} io;

static uint32_t reg_read(const struct ioapic *c, uint32_t reg)
{
	cpu_mmio_write32(hva_of_ptr(c->registers + IOREGSEL), reg);
	return cpu_mmio_read32(hva_of_ptr(c->registers + IOWIN));
}

static void reg_write(const struct ioapic *c, uint32_t reg, uint32_t value)
{
	cpu_mmio_write32(hva_of_ptr(c->registers + IOREGSEL), reg);
	cpu_mmio_write32(hva_of_ptr(c->registers + IOWIN), value);
}

static struct ioapic *find(uint32_t gsi)
{
	for (unsigned i = 0; i < io.count; i++) {
		if (gsi >= io.chip[i].gsi_base && gsi - io.chip[i].gsi_base < io.chip[i].lines) {
			return &io.chip[i];
		}
	}
	return NULL;
}

void host_ioapic_reset(void)
{
	io.count = 0;
}

enum hv_status host_ioapic_add(void *registers, uint32_t gsi_base)
{
	struct ioapic *c = &io.chip[io.count];
	uint32_t version;

	if (io.count == HOST_IOAPIC_MAX) {
		return HV_E_NO_MEMORY;
	}
	*c = (struct ioapic){.registers = registers, .gsi_base = gsi_base};
	version = reg_read(c, REG_VERSION);
	c->lines = (uint32_t)bits_get(version, VERSION_MAX_LINE) + 1;
	if (version == UINT32_MAX || version == 0 || c->lines > LINES_MAX) {
		log_warn("no I/O APIC answers for interrupt lines from %u on", gsi_base);
		return HV_E_IO;
	}
	for (uint32_t line = 0; line < c->lines; line++) {
		reg_write(c, REG_REDIRECTION + 2 * line, REDIR_MASKED);
		reg_write(c, REG_REDIRECTION + 2 * line + 1, 0);
	}
	io.count++;
	return HV_OK;
}

enum hv_status host_ioapic_route(const struct host_ioapic_line *line)
{
	struct ioapic *c = find(line->gsi);
	uint32_t low = line->vector;
	uint32_t reg;

	if (c == NULL) {
		return HV_E_NOT_FOUND;
	}
	if (line->apic_id > XAPIC_ID_MAX) {
		return HV_E_RANGE;
	}
	low |= line->level ? REDIR_LEVEL : 0;
	low |= line->active_low ? REDIR_ACTIVE_LOW : 0;
	reg = REG_REDIRECTION + 2 * (line->gsi - c->gsi_base);
	lock_acquire(&io.lock);
	/* Masked while the halves do not belong together. */
	reg_write(c, reg, REDIR_MASKED);
	reg_write(c, reg + 1, line->apic_id << REDIR_DESTINATION_SHIFT);
	reg_write(c, reg, low);
	lock_release(&io.lock);
	return HV_OK;
}

enum hv_status host_ioapic_mask(uint32_t gsi)
{
	struct ioapic *c = find(gsi);
	uint32_t reg;

	if (c == NULL) {
		return HV_E_NOT_FOUND;
	}
	reg = REG_REDIRECTION + 2 * (gsi - c->gsi_base);
	lock_acquire(&io.lock);
	reg_write(c, reg, reg_read(c, reg) | REDIR_MASKED);
	lock_release(&io.lock);
	return HV_OK;
}
