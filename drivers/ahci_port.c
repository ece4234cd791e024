/* SPDX-License-Identifier: Apache-2.0 */
/* One port of an AHCI host bus adapter: commands, completions, recovery. */
#include "drivers/ahci.h"

#include "hv/api/clock.h"
#include "hv/base/log.h"
#include "hv/base/str.h"
#include "hv/cpu/insn.h"
#include "mm/pool.h"

#define STOP_LIMIT_NS 1000000000ull
#define LINK_LIMIT_NS 10000000000ull
#define IDENTIFY_LIMIT_NS 5000000000ull
#define WATCH_NS 1000000000ull
#define STEP_NS 2000000ull /* the link has to be held in reset for a millisecond */
#define RESETS_MAX 3u

/* A command as it goes into the FIS. */
struct ata_command {
	uint8_t command;
	uint64_t lba;
	uint16_t features;
	uint16_t count;
	bool writes;
	const void *data; /* NULL: none */
	uint32_t bytes;
};

uint32_t ahci_port_read(const struct ahci_port *p, unsigned reg)
{
	return cpu_mmio_read32(hva_of_ptr(p->hba->registers + AHCI_PORTS +
					  (size_t)p->number * AHCI_PORT_SIZE + reg));
}

void ahci_port_write(const struct ahci_port *p, unsigned reg, uint32_t value)
{
	cpu_mmio_write32(hva_of_ptr(p->hba->registers + AHCI_PORTS +
				    (size_t)p->number * AHCI_PORT_SIZE + reg),
			 value);
}

/* --- commands --- */

/* "Register - Host to Device". */
static void fill_fis(uint8_t *fis, const struct ata_command *c)
{
	memset(fis, 0, 20);
	fis[0] = FIS_TYPE_H2D;
	fis[1] = FIS_H2D_COMMAND;
	fis[2] = c->command;
	fis[3] = (uint8_t)c->features;
	fis[7] = FIS_DEVICE_LBA;
	fis[11] = (uint8_t)(c->features >> 8);
	fis[12] = (uint8_t)c->count;
	fis[13] = (uint8_t)(c->count >> 8);
	for (unsigned i = 0; i < 3; i++) {
		fis[4 + i] = (uint8_t)(c->lba >> (8 * i));
		fis[8 + i] = (uint8_t)(c->lba >> (24 + 8 * i));
	}
}

static void fill_slot(struct ahci_port *p, unsigned slot, const struct ata_command *c)
{
	struct ahci_table *table = &p->memory->tables[slot];
	struct ahci_header *header = &p->memory->headers[slot];

	fill_fis(table->fis, c);
	*header = (struct ahci_header){
		.flags = (uint16_t)(AHCI_HEADER_FIS_DWORDS | (c->writes ? AHCI_HEADER_WRITE : 0)),
		.prd_count = c->data != NULL,
		.table = pool_hpa(table).v,
	};
	if (c->data != NULL) {
		table->prd =
			(struct ahci_prd){.address = pool_hpa(c->data).v, .size = c->bytes - 1};
	}
}

/* As many ranges as one block holds, of what the request has not done yet. */
static uint32_t fill_ranges(struct ahci_port *p, const struct disk_slot *s)
{
	uint64_t lba = (s->request->sector + s->progress) >> p->block_shift;
	uint32_t left = (s->request->count - s->progress) >> p->block_shift;
	uint32_t taken = 0;

	memset(p->memory->ranges, 0, sizeof(p->memory->ranges));
	for (unsigned i = 0; i < ATA_TRIM_RANGES && taken < left; i++) {
		uint32_t blocks = (uint32_t)min_u64(left - taken, ATA_TRIM_BLOCKS);

		p->memory->ranges[i] = (uint64_t)blocks << 48 | (lba + taken);
		taken += blocks;
	}
	return taken << p->block_shift;
}

static struct ata_command transfer_command(const struct ahci_port *p, unsigned slot,
					   const struct blk_request *r)
{
	uint16_t blocks = (uint16_t)(r->count >> p->block_shift);
	bool writes = r->op == BLK_WRITE;
	struct ata_command c = {
		.lba = r->sector >> p->block_shift,
		.writes = writes,
		.data = r->buffer,
		.bytes = r->count * BLK_SECTOR,
	};

	if (p->ncq) {
		/* The count's place is taken by the tag. */
		c.command = writes ? ATA_WRITE_FPDMA : ATA_READ_FPDMA;
		c.features = blocks;
		c.count = (uint16_t)(slot << 3);
	} else {
		c.command = writes ? ATA_WRITE_DMA_EXT : ATA_READ_DMA_EXT;
		c.count = blocks;
	}
	return c;
}

static bool is_queued(const struct ahci_port *p, const struct blk_request *r)
{
	return p->ncq && (r->op == BLK_READ || r->op == BLK_WRITE);
}

static void issue(struct ahci_port *p, unsigned slot)
{
	struct disk_slot *s = &p->requests.slots[slot];
	struct ata_command c = {.command = ATA_FLUSH_EXT};

	if (s->request->op == BLK_DISCARD) {
		(void)fill_ranges(p, s);
		c = (struct ata_command){.command = ATA_DSM,
					 .features = ATA_DSM_TRIM,
					 .count = 1,
					 .writes = true,
					 .data = p->memory->ranges,
					 .bytes = sizeof(p->memory->ranges)};
	} else if (s->request->op != BLK_FLUSH) {
		c = transfer_command(p, slot, s->request);
	}
	fill_slot(p, slot, &c);
	p->issued |= BIT32(slot);
	if (is_queued(p, s->request)) {
		ahci_port_write(p, AHCI_PXSACT, BIT32(slot));
	}
	ahci_port_write(p, AHCI_PXCI, BIT32(slot));
}

static void start_waiting(struct ahci_port *p)
{
	unsigned slot;

	while (p->phase == AHCI_READY && disk_queue_start(&p->requests, &slot)) {
		issue(p, slot);
	}
}

/* Whether the request goes on with another command. */
static bool goes_on(struct ahci_port *p, unsigned slot)
{
	struct disk_slot *s = &p->requests.slots[slot];

	if (s->request->op != BLK_DISCARD) {
		return false;
	}
	s->progress += fill_ranges(p, s);
	if (s->progress >= s->request->count) {
		return false;
	}
	issue(p, slot);
	return true;
}

/*
 * Whether the command that the HBA let go of went wrong: a device fault alone raises no error
 * event, and some HBAs let go of whatever failed. Queued commands that fail stay in the registers.
 */
static bool has_failed(struct ahci_port *p)
{
	uint32_t status = ahci_port_read(p, AHCI_PXTFD);

	if (!p->requests.alone_now || (status & AHCI_PXTFD_FAILED) == 0) {
		return false;
	}
	if (disk_queue_complain(&p->requests)) {
		log_warn("%s: a command failed: status 0x%x", p->name, status & 0xff);
	}
	return true;
}

/* What the HBA had and has not any more is done. */
static void take_done(struct ahci_port *p, struct list_node *done)
{
	uint32_t busy = ahci_port_read(p, AHCI_PXSACT) | ahci_port_read(p, AHCI_PXCI);
	uint32_t over = p->issued & ~busy;

	for (unsigned slot = 0; slot < AHCI_PORTS_MAX; slot++) {
		if ((over >> slot & 1) == 0) {
			continue;
		}
		p->issued &= ~BIT32(slot);
		p->resets = 0;
		if (has_failed(p)) {
			disk_queue_end(&p->requests, slot, HV_E_IO, done);
		} else if (!goes_on(p, slot)) {
			disk_queue_end(&p->requests, slot, HV_OK, done);
		}
	}
}

/* --- recovery --- */

static void enter_phase(struct ahci_port *p, enum ahci_phase phase, uint64_t limit_ns)
{
	p->phase = phase;
	p->phase_limit = clock_now() + clock_ns_to_ticks(limit_ns);
}

/* An engine that still runs could reach buffers: then bus mastering goes off, for all ports. */
static void fail(struct ahci_port *p, const char *why, struct list_node *done)
{
	log_error("%s: %s: not used any more", p->name, why);
	if ((ahci_port_read(p, AHCI_PXCMD) & AHCI_PXCMD_CR) != 0) {
		host_pci_disable(p->hba->pci);
	}
	p->phase = AHCI_FAILED;
	p->issued = 0;
	p->device.removed = true;
	disk_queue_fail(&p->requests, done);
}

static void change_bits(const struct ahci_port *p, unsigned reg, uint32_t clear, uint32_t set)
{
	ahci_port_write(p, reg, (ahci_port_read(p, reg) & ~clear) | set);
}

void ahci_port_begin_reset(struct ahci_port *p)
{
	enter_phase(p, AHCI_STOPPING, STOP_LIMIT_NS);
	ahci_port_write(p, AHCI_PXIE, 0);
	change_bits(p, AHCI_PXCMD, AHCI_PXCMD_ST, 0);
}

/* The engine stands still: buffers are nobody's but ours. */
static void reset_link(struct ahci_port *p, struct list_node *done)
{
	p->issued = 0;
	if (p->retries) {
		disk_queue_retry_open(&p->requests);
	} else {
		disk_queue_end_open(&p->requests, done);
	}
	change_bits(p, AHCI_PXSCTL, (uint32_t)AHCI_PXSCTL_DET, AHCI_DET_RESET);
	enter_phase(p, AHCI_RESETTING, STEP_NS);
}

static bool is_linked(const struct ahci_port *p)
{
	return bits_get(ahci_port_read(p, AHCI_PXSSTS), AHCI_PXSSTS_DET) == AHCI_DET_PRESENT &&
	       (ahci_port_read(p, AHCI_PXTFD) & (AHCI_PXTFD_BSY | AHCI_PXTFD_DRQ)) == 0;
}

static void start_engine(struct ahci_port *p)
{
	ahci_port_write(p, AHCI_PXSERR, UINT32_MAX);
	ahci_port_write(p, AHCI_PXIS, UINT32_MAX);
	change_bits(p, AHCI_PXCMD, 0, AHCI_PXCMD_ST);
	ahci_port_write(p, AHCI_PXIE, AHCI_PXIS_WANTED);
	p->phase = AHCI_READY;
}

void ahci_port_advance(struct ahci_port *p, struct list_node *done)
{
	uint32_t command = ahci_port_read(p, AHCI_PXCMD);
	bool late = clock_now() > p->phase_limit;

	if (command == AHCI_GONE) {
		fail(p, "the adapter is gone", done);
	} else if (p->phase == AHCI_STOPPING && (command & AHCI_PXCMD_CR) == 0) {
		if (p->resets > RESETS_MAX) {
			fail(p, "resets do not help", done);
		} else {
			reset_link(p, done);
		}
	} else if (p->phase == AHCI_RESETTING && late) {
		change_bits(p, AHCI_PXSCTL, (uint32_t)AHCI_PXSCTL_DET, 0);
		enter_phase(p, AHCI_LINKING, LINK_LIMIT_NS);
	} else if (p->phase == AHCI_LINKING && is_linked(p)) {
		start_engine(p);
	} else if (p->phase != AHCI_RESETTING && late) {
		fail(p, p->phase == AHCI_STOPPING ? "the port does not stop" : "no disk answers",
		     done);
	}
}

/* Something went wrong while the port was ready. */
static void recover(struct ahci_port *p, const char *why)
{
	if (disk_queue_complain(&p->requests)) {
		log_warn("%s: %s: the link is reset", p->name, why);
	}
	p->resets++;
	p->retries = false;
	ahci_port_begin_reset(p);
	timer_arm(&p->timer, clock_now() + clock_ns_to_ticks(STEP_NS));
}

static void check(struct ahci_port *p, uint32_t events)
{
	if ((events & AHCI_PXIS_ERRORS) == AHCI_PXIS_TFES) {
		/* A bad sector is an answer: any number of them in a row is no broken disk. */
		p->resets = 0;
		recover(p, "a command failed");
		p->retries = p->requests.open_count > 1;
	} else if ((events & AHCI_PXIS_ERRORS) != 0) {
		recover(p, "an error");
	} else if ((events & (AHCI_PXIS_PCS | AHCI_PXIS_PRCS)) != 0) {
		recover(p, "the link went down");
	} else if (disk_queue_is_overdue(&p->requests, clock_now())) {
		recover(p, "a request took too long");
	}
}

/* With the lock. */
static void serve(struct ahci_port *p, struct list_node *done)
{
	uint32_t events = ahci_port_read(p, AHCI_PXIS);

	if (p->phase != AHCI_READY) {
		return;
	}
	if (events == AHCI_GONE) {
		fail(p, "the adapter is gone", done);
		return;
	}
	ahci_port_write(p, AHCI_PXIS, events);
	/* A command that failed stays in the registers; what is not there went well. */
	take_done(p, done);
	check(p, events);
	start_waiting(p);
}

void ahci_port_serve(struct ahci_port *p)
{
	struct list_node done;

	list_init(&done);
	lock_acquire(&p->lock);
	serve(p, &done);
	lock_release(&p->lock);
	disk_finish(&done);
}

void ahci_port_watch(struct timer *t)
{
	struct ahci_port *p = container_of(t, struct ahci_port, timer);
	struct list_node done;

	list_init(&done);
	lock_acquire(&p->lock);
	if (p->phase == AHCI_READY) {
		serve(p, &done);
	} else if (p->phase != AHCI_FAILED) {
		ahci_port_advance(p, &done);
		start_waiting(p);
	}
	if (p->phase != AHCI_FAILED) {
		uint64_t ns = p->phase == AHCI_READY ? WATCH_NS : STEP_NS;

		timer_arm(t, clock_now() + clock_ns_to_ticks(ns));
	}
	lock_release(&p->lock);
	disk_finish(&done);
}

void ahci_port_submit(struct blk_device *d, struct blk_request *r)
{
	struct ahci_port *p = container_of(d, struct ahci_port, device);
	struct list_node done;

	list_init(&done);
	lock_acquire(&p->lock);
	disk_queue_put(&p->requests, d, r, &done);
	start_waiting(p);
	lock_release(&p->lock);
	disk_finish(&done);
}

/* --- start --- */

enum hv_status ahci_port_identify(struct ahci_port *p, uint16_t *words)
{
	const struct ata_command c = {
		.command = ATA_IDENTIFY, .data = words, .bytes = ATA_ID_WORDS * sizeof(*words)};
	uint64_t limit = clock_now() + clock_ns_to_ticks(IDENTIFY_LIMIT_NS);

	fill_slot(p, 0, &c);
	ahci_port_write(p, AHCI_PXCI, 1);
	while ((ahci_port_read(p, AHCI_PXCI) & 1) != 0) {
		if ((ahci_port_read(p, AHCI_PXIS) & AHCI_PXIS_ERRORS) != 0 || clock_now() > limit) {
			return HV_E_IO;
		}
	}
	return (ahci_port_read(p, AHCI_PXTFD) & AHCI_PXTFD_FAILED) == 0 ? HV_OK : HV_E_IO;
}
