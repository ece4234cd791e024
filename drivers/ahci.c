/* SPDX-License-Identifier: Apache-2.0 */
/* AHCI host bus adapters: reset, and the disks at their ports. */
#include "drivers/ahci.h"

#include "hv/api/clock.h"
#include "hv/base/fmt.h"
#include "hv/base/log.h"
#include "hv/base/str.h"
#include "hv/cpu/insn.h"
#include "mm/pool.h"

#define BAR 5u
#define HANDOFF_LIMIT_NS 2000000000ull
#define RESET_LIMIT_NS 1000000000ull
/* From power to a link, of all ports together. */
#define LINK_LIMIT_NS 100000000ull
/* From power to a sign of a device, which has 10 ms for it (Serial ATA, "COMRESET sequence"). */
#define DETECTION_LIMIT_NS 15000000ull
#define PORT_STOP_LIMIT_NS 500000000ull
#define REQUEST_LIMIT_NS 30000000000ull
#define WATCH_NS 1000000000ull
#define MEMORY_ORDER 2u

static uint32_t hba_read(const struct ahci *a, unsigned reg)
{
	return cpu_mmio_read32(hva_of_ptr(a->registers + reg));
}

static void hba_write(const struct ahci *a, unsigned reg, uint32_t value)
{
	cpu_mmio_write32(hva_of_ptr(a->registers + reg), value);
}

/* --- interrupts --- */

static void serve_ports(struct ahci *a, uint32_t ports)
{
	for (unsigned i = 0; i < AHCI_PORTS_MAX; i++) {
		if ((ports >> i & 1) != 0 && a->ports[i] != NULL) {
			ahci_port_serve(a->ports[i]);
		}
	}
}

/* The ports' own registers are cleared first: they feed the adapter's. */
static void on_interrupt(void *ctx, unsigned index)
{
	struct ahci *a = ctx;
	uint32_t ports = hba_read(a, AHCI_IS);

	(void)index;
	serve_ports(a, ports);
	hba_write(a, AHCI_IS, ports);
}

/* A reset has to go on, too, while no timer runs. */
static void poll(struct blk_device *d)
{
	ahci_port_watch(&container_of(d, struct ahci_port, device)->timer);
}

/* --- the adapter --- */

/* Whether the bits of a register become zero in time. */
static bool wait_clear(const struct ahci *a, unsigned reg, uint32_t bits, uint64_t limit_ns)
{
	uint64_t limit = clock_now() + clock_ns_to_ticks(limit_ns);

	while ((hba_read(a, reg) & bits) != 0) {
		if (clock_now() > limit) {
			return false;
		}
	}
	return true;
}

/* "BIOS/OS Handoff": firmware that does not let go in time is not asked twice. */
static void take_over(const struct ahci *a)
{
	if ((hba_read(a, AHCI_CAP2) & AHCI_CAP2_BOH) == 0) {
		return;
	}
	hba_write(a, AHCI_BOHC, hba_read(a, AHCI_BOHC) | AHCI_BOHC_OOS);
	if (!wait_clear(a, AHCI_BOHC, AHCI_BOHC_BOS, HANDOFF_LIMIT_NS)) {
		log_warn("ahci%u: firmware does not give it up", a->index);
	}
}

static bool reset(struct ahci *a)
{
	take_over(a);
	hba_write(a, AHCI_GHC, AHCI_GHC_AE);
	hba_write(a, AHCI_GHC, AHCI_GHC_AE | AHCI_GHC_HR);
	if (!wait_clear(a, AHCI_GHC, AHCI_GHC_HR, RESET_LIMIT_NS)) {
		return false;
	}
	hba_write(a, AHCI_GHC, AHCI_GHC_AE);
	return true;
}

/* --- ports --- */

static unsigned link_state(const struct ahci_port *p)
{
	return (unsigned)bits_get(ahci_port_read(p, AHCI_PXSSTS), AHCI_PXSSTS_DET);
}

static struct ahci_port *make_port(struct ahci *a, unsigned number)
{
	struct ahci_port *p = pool_alloc(sizeof(*p));
	struct ahci_memory *memory = pool_pages(MEMORY_ORDER);

	if (p == NULL || memory == NULL) {
		log_warn("ahci%u.%u: no memory", a->index, number);
		return NULL;
	}
	p->hba = a;
	p->number = number;
	p->memory = memory;
	fmt_snprintf(p->name, sizeof(p->name), "ahci%u.%u", a->index, number);
	disk_queue_init(&p->requests, a->slots, REQUEST_LIMIT_NS);
	timer_init(&p->timer, NULL, ahci_port_watch);
	return p;
}

/* Tells the port where its memory is, and powers its link. */
static bool power_up(struct ahci_port *p)
{
	uint64_t headers = pool_hpa(p->memory->headers).v;
	uint64_t received = pool_hpa(p->memory->received).v;
	unsigned command = AHCI_PORTS + p->number * AHCI_PORT_SIZE + AHCI_PXCMD;

	ahci_port_write(p, AHCI_PXCMD, 0);
	if (!wait_clear(p->hba, command, AHCI_PXCMD_CR | AHCI_PXCMD_FR, PORT_STOP_LIMIT_NS)) {
		log_warn("%s: the port does not stop", p->name);
		return false;
	}
	ahci_port_write(p, AHCI_PXCLB, (uint32_t)headers);
	ahci_port_write(p, AHCI_PXCLBU, (uint32_t)(headers >> 32));
	ahci_port_write(p, AHCI_PXFB, (uint32_t)received);
	ahci_port_write(p, AHCI_PXFBU, (uint32_t)(received >> 32));
	ahci_port_write(p, AHCI_PXCMD,
			AHCI_PXCMD_FRE | AHCI_PXCMD_SUD | AHCI_PXCMD_POD |
				(uint32_t)bits_set(0, AHCI_PXCMD_ICC, AHCI_PXCMD_ICC_ACTIVE));
	return true;
}

static uint64_t words(const uint16_t *id, unsigned first, unsigned count)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < count; i++) {
		value |= (uint64_t)id[first + i] << (16 * i);
	}
	return value;
}

/* ATA's strings have the two characters of each word in reverse. */
static void text(const uint16_t *id, unsigned first, unsigned chars, char *out, unsigned size)
{
	char straight[ATA_ID_MODEL_CHARS];

	for (unsigned i = 0; i < chars; i++) {
		straight[i] = (char)(id[first + i / 2] >> (i % 2 == 0 ? 8 : 0));
	}
	disk_text(straight, chars, out, size);
}

/* Bytes of a logical sector; 0: not one that we can use. */
static uint32_t sector_size(const uint16_t *id)
{
	uint64_t bytes = BLK_SECTOR;

	if ((id[ATA_ID_SECTOR_SIZE] & ATA_ID_WORD_VALID_MASK) == ATA_ID_WORD_VALID &&
	    (id[ATA_ID_SECTOR_SIZE] & ATA_ID_LONG_SECTORS) != 0) {
		bytes = words(id, ATA_ID_SECTOR_WORDS, 2) * 2;
	}
	return bytes == BLK_SECTOR || bytes == PAGE_SIZE ? (uint32_t)bytes : 0;
}

/* Other requests than reads and writes that are queued need the disk for themselves. */
static bool alone(struct blk_device *d, const struct blk_request *r)
{
	const struct ahci_port *p = container_of(d, struct ahci_port, device);

	return !p->ncq || (r->op != BLK_READ && r->op != BLK_WRITE);
}

static bool fill_device(struct ahci_port *p, const uint16_t *id)
{
	static const struct blk_ops ops = {.submit = ahci_port_submit, .poll = poll};
	struct blk_device *d = &p->device;
	uint64_t sectors = words(id, ATA_ID_SECTORS_48, 3);
	uint32_t size = sector_size(id);

	if ((id[ATA_ID_COMMANDS_2] & ATA_ID_LBA48) == 0 || size == 0 || sectors == 0) {
		log_warn("%s: a disk without 48-bit addresses, or with odd sectors", p->name);
		return false;
	}
	p->block_shift = size == BLK_SECTOR ? 0 : 3;
	p->ncq = p->hba->ncq && (id[ATA_ID_SATA] & ATA_ID_SATA_NCQ) != 0;
	/* "Queue depth", less one. */
	p->requests.slot_count =
		(unsigned)min_u64(p->ncq ? (id[ATA_ID_QUEUE_DEPTH] & 31u) + 1 : 1, p->hba->slots);
	p->requests.alone = alone;
	text(id, ATA_ID_SERIAL, ATA_ID_SERIAL_CHARS, d->serial, sizeof(d->serial));
	text(id, ATA_ID_MODEL, ATA_ID_MODEL_CHARS, p->model, sizeof(p->model));
	d->ops = &ops;
	(void)str_copy(d->name, sizeof(d->name), span_of(p->name));
	d->sectors = sectors << p->block_shift;
	d->block_size = size;
	d->max_count = (uint32_t)(AHCI_TRANSFER_MAX / BLK_SECTOR);
	d->discards = (id[ATA_ID_DSM] & 1) != 0;
	return true;
}

/* Brings up what is linked; false when it is no disk, or not one for us. */
static bool start_disk(struct ahci_port *p)
{
	struct list_node none;
	uint16_t *id = pool_alloc(ATA_ID_WORDS * sizeof(*id));
	bool ok;

	if (id == NULL) {
		return false;
	}
	list_init(&none);
	ahci_port_begin_reset(p);
	while (p->phase != AHCI_READY && p->phase != AHCI_FAILED) {
		ahci_port_advance(p, &none);
	}
	ok = p->phase == AHCI_READY;
	if (ok && ahci_port_read(p, AHCI_PXSIG) != AHCI_PXSIG_DISK) {
		log_info("%s: not a disk: ignored", p->name);
		ok = false;
	} else if (ok && ahci_port_identify(p, id) != HV_OK) {
		log_warn("%s: the disk cannot be identified", p->name);
		ok = false;
	}
	ok = ok && fill_device(p, id);
	pool_free(id, ATA_ID_WORDS * sizeof(*id));
	return ok;
}

/* Whether the port, `waited` after it got its power, may still get a link. */
static bool may_link(const struct ahci_port *p, uint64_t waited)
{
	unsigned state = link_state(p);

	return state == AHCI_DET_NONE
		       ? waited < clock_ns_to_ticks(DETECTION_LIMIT_NS)
		       : state != AHCI_DET_PRESENT && waited < clock_ns_to_ticks(LINK_LIMIT_NS);
}

/* Port by port they would take as long as all of them together. */
static void wait_for_links(struct ahci *a)
{
	uint64_t start = clock_now();
	bool more = true;

	while (more) {
		uint64_t waited = clock_now() - start;

		more = false;
		for (unsigned i = 0; i < AHCI_PORTS_MAX; i++) {
			more = more || (a->ports[i] != NULL && may_link(a->ports[i], waited));
		}
	}
}

static void drop_port(struct ahci *a, unsigned number)
{
	struct ahci_port *p = a->ports[number];
	unsigned command = AHCI_PORTS + number * AHCI_PORT_SIZE + AHCI_PXCMD;

	ahci_port_write(p, AHCI_PXIE, 0);
	ahci_port_write(p, AHCI_PXCMD, 0);
	a->ports[number] = NULL;
	/* One that does not stop may still write into its memory, which stays its own. */
	if (wait_clear(a, command, AHCI_PXCMD_CR | AHCI_PXCMD_FR, PORT_STOP_LIMIT_NS)) {
		pool_pages_free(p->memory, MEMORY_ORDER);
		pool_free(p, sizeof(*p));
	}
}

static void find_disks(struct ahci *a)
{
	uint32_t implemented = hba_read(a, AHCI_PI);
	uint64_t room = min_u64(a->pci->bars[BAR].size, HOST_PCI_MAP_MAX);

	for (unsigned i = 0; i < AHCI_PORTS_MAX; i++) {
		if ((implemented >> i & 1) != 0 && AHCI_PORTS + (i + 1) * AHCI_PORT_SIZE <= room) {
			a->ports[i] = make_port(a, i);
		}
		if (a->ports[i] != NULL && !power_up(a->ports[i])) {
			drop_port(a, i);
		}
	}
	wait_for_links(a);
	for (unsigned i = 0; i < AHCI_PORTS_MAX; i++) {
		struct ahci_port *p = a->ports[i];

		if (p != NULL && (link_state(p) != AHCI_DET_PRESENT || !start_disk(p))) {
			drop_port(a, i);
		}
	}
}

static bool set_up(struct ahci *a)
{
	unsigned messages = 1;
	uint32_t cap;

	a->registers = host_pci_map(a->pci, BAR, AHCI_PORTS + AHCI_PORT_SIZE);
	if (a->registers == NULL || !reset(a)) {
		return false;
	}
	cap = hba_read(a, AHCI_CAP);
	/* Buffers may lie anywhere. */
	if (cap == AHCI_GONE || (cap & AHCI_CAP_S64A) == 0) {
		log_warn("ahci%u: only 32-bit addresses", a->index);
		return false;
	}
	a->slots = (unsigned)bits_get(cap, AHCI_CAP_NCS) + 1;
	a->ncq = (cap & AHCI_CAP_SNCQ) != 0;
	find_disks(a);
	if (host_pci_interrupts(a->pci, &messages, on_interrupt, a) != HV_OK) {
		return false;
	}
	hba_write(a, AHCI_IS, UINT32_MAX);
	hba_write(a, AHCI_GHC, AHCI_GHC_AE | AHCI_GHC_IE);
	return true;
}

void ahci_probe(struct host_pci *f, unsigned index, void (*found)(struct blk_device *d))
{
	struct ahci *a = pool_alloc(sizeof(*a));

	if (a == NULL) {
		log_warn("ahci%u: no memory", index);
		return;
	}
	a->pci = f;
	a->index = index;
	f->owner = "ahci";
	host_pci_enable(f);
	if (!set_up(a)) {
		log_warn("ahci%u: cannot be used", index);
		host_pci_disable(f);
		return;
	}
	for (unsigned i = 0; i < AHCI_PORTS_MAX; i++) {
		struct ahci_port *p = a->ports[i];

		if (p != NULL) {
			log_info("%s: %s, %u requests at a time", p->name, p->model,
				 p->requests.slot_count);
			timer_arm(&p->timer, clock_now() + clock_ns_to_ticks(WATCH_NS));
			found(&p->device);
		}
	}
}
