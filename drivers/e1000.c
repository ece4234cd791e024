/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intel's gigabit network cards. The card owns the descriptors from its head to its tail; all are
 * given to it but one, because head == tail means none:
 *
 *	receive    [ filled | empty, the card's | 1 ]
 *	             rx_next  RDH                 RDT
 *
 *	transmit   [ sent    | the card's | free      ]
 *	             tx_done   TDH          tx_next = TDT
 *
 * Receive buffers are fixed and frames are copied out of them; what is sent is read by the card
 * where the frame is, which is held until then.
 */
#include "drivers/e1000.h"

#include "hv/api/clock.h"
#include "hv/base/addr.h"
#include "hv/base/e1000_format.h"
#include "hv/base/log.h"
#include "hv/cpu/insn.h"
#include "mm/pool.h"

#define VENDOR_INTEL 0x8086u

#define RING 256u
#define BUFFER_BYTES KIB(2)
#define RING_ORDER 0u
#define BUFFERS_ORDER 7u
static_assert(RING * sizeof(struct e1000_rx_desc) == PAGE_SIZE << RING_ORDER, "a ring is a page");
static_assert(RING * BUFFER_BYTES == PAGE_SIZE << BUFFERS_ORDER, "all receive buffers");
static_assert(NET_WIRE_MAX <= BUFFER_BYTES, "a frame fits a buffer");

/* In units of 256 ns: 8,000 interrupts a second, with NIC_BATCH frames each, at most. */
#define ITR_INTERVAL 488u
#define QUIESCE_NS 10000000ull
#define EERD_READS 100000u

/* How the models differ. */
enum e1000_kind {
	E1000_8254X, /* PCI; EERD has its address at bit 8 */
	E1000_82574, /* PCI Express, MSI-X; EERD has its address at bit 2 */
	E1000_PCH,   /* PCI Express; no EERD */
};

struct e1000_model {
	uint16_t device;
	enum e1000_kind kind;
	const char *name;
};

static const struct e1000_model models[] = {
	{0x100e, E1000_8254X, "Intel 82540EM"},	  {0x100f, E1000_8254X, "Intel 82545EM"},
	{0x1010, E1000_8254X, "Intel 82546EB"},	  {0x1026, E1000_8254X, "Intel 82545GM"},
	{0x1079, E1000_8254X, "Intel 82546GB"},	  {0x10d3, E1000_82574, "Intel 82574L"},
	{0x10f6, E1000_82574, "Intel 82574LA"},	  {0x153a, E1000_PCH, "Intel I217-LM"},
	{0x153b, E1000_PCH, "Intel I217-V"},	  {0x155a, E1000_PCH, "Intel I218-LM"},
	{0x1559, E1000_PCH, "Intel I218-V"},	  {0x15a0, E1000_PCH, "Intel I218-LM (2)"},
	{0x15a1, E1000_PCH, "Intel I218-V (2)"},  {0x15a2, E1000_PCH, "Intel I218-LM (3)"},
	{0x15a3, E1000_PCH, "Intel I218-V (3)"},  {0x156f, E1000_PCH, "Intel I219-LM"},
	{0x1570, E1000_PCH, "Intel I219-V"},	  {0x15b7, E1000_PCH, "Intel I219-LM (2)"},
	{0x15b8, E1000_PCH, "Intel I219-V (2)"},  {0x15b9, E1000_PCH, "Intel I219-LM (3)"},
	{0x15d7, E1000_PCH, "Intel I219-LM (4)"}, {0x15d8, E1000_PCH, "Intel I219-V (4)"},
	{0x15e3, E1000_PCH, "Intel I219-LM (5)"}, {0x15d6, E1000_PCH, "Intel I219-V (5)"},
	{0x15bd, E1000_PCH, "Intel I219-LM (6)"}, {0x15be, E1000_PCH, "Intel I219-V (6)"},
	{0x15bb, E1000_PCH, "Intel I219-LM (7)"}, {0x15bc, E1000_PCH, "Intel I219-V (7)"},
};

struct e1000 {
	struct host_nic nic;
	const struct e1000_model *model;
	char *registers;
	/* NULL until the card is used. The card writes the descriptors. */
	volatile struct e1000_rx_desc *rx;
	volatile struct e1000_tx_desc *tx;
	uint8_t *rx_buffers;
	struct net_frame *sending[RING]; /* by transmit descriptor */
	unsigned rx_next;		 /* the next to be filled by the card */
	unsigned tx_done;		 /* the oldest that is not known to be sent */
	unsigned tx_next;		 /* the next to be used */
	bool rx_partial;		 /* the last buffer did not end its frame */
};

static struct e1000 *of(struct host_nic *n)
{
	return container_of(n, struct e1000, nic);
}

static uint32_t reg_read(const struct e1000 *e, unsigned reg)
{
	return cpu_mmio_read32(hva_of_ptr(e->registers + reg));
}

static void reg_write(const struct e1000 *e, unsigned reg, uint32_t value)
{
	cpu_mmio_write32(hva_of_ptr(e->registers + reg), value);
}

static const struct e1000_model *find_model(const struct host_pci *f)
{
	for (size_t i = 0; i < ARRAY_SIZE(models); i++) {
		if (f->vendor == VENDOR_INTEL && f->device == models[i].device) {
			return &models[i];
		}
	}
	return NULL;
}

static bool matches(const struct host_pci *f)
{
	return find_model(f) != NULL;
}

/* --- the address --- */

static bool mac_from_filter(const struct e1000 *e, struct net_mac *mac)
{
	uint32_t low = reg_read(e, E1000_RAL0);
	uint32_t high = reg_read(e, E1000_RAH0);

	for (unsigned i = 0; i < NET_MAC_BYTES; i++) {
		mac->bytes[i] = (uint8_t)(i < 4 ? low >> i * 8 : high >> (i - 4) * 8);
	}
	return (high & E1000_RAH_AV) != 0 && host_nic_mac_valid(mac);
}

static bool eeprom_word(const struct e1000 *e, unsigned address, uint16_t *word)
{
	bool old = e->model->kind == E1000_8254X;
	uint32_t done = old ? BIT32(4) : BIT32(1);

	reg_write(e, E1000_EERD, E1000_EERD_START | address << (old ? 8 : 2));
	for (unsigned i = 0; i < EERD_READS; i++) {
		uint32_t value = reg_read(e, E1000_EERD);

		if ((value & done) != 0) {
			*word = (uint16_t)bits_get(value, E1000_EERD_DATA);
			return true;
		}
	}
	return false;
}

static bool mac_from_eeprom(const struct e1000 *e, struct net_mac *mac)
{
	for (unsigned i = 0; i < NET_MAC_BYTES; i += 2) {
		uint16_t word;

		if (e->model->kind == E1000_PCH || !eeprom_word(e, i / 2, &word)) {
			return false;
		}
		mac->bytes[i] = (uint8_t)word;
		mac->bytes[i + 1] = (uint8_t)(word >> 8);
	}
	return host_nic_mac_valid(mac);
}

static void write_mac(const struct e1000 *e)
{
	const uint8_t *b = e->nic.port.mac.bytes;

	reg_write(e, E1000_RAL0,
		  (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 |
			  (uint32_t)b[3] << 24);
	reg_write(e, E1000_RAH0, (uint32_t)b[4] | (uint32_t)b[5] << 8 | E1000_RAH_AV);
}

/* --- reset --- */

static void quiesce(const struct e1000 *e)
{
	reg_write(e, E1000_IMC, UINT32_MAX);
	reg_write(e, E1000_RCTL, 0);
	reg_write(e, E1000_TCTL, 0);
}

static void hardware_reset(const struct e1000 *e)
{
	reg_write(e, E1000_CTRL, reg_read(e, E1000_CTRL) | E1000_CTRL_RST);
	/* Behind this read the write has arrived. */
	(void)reg_read(e, E1000_STATUS);
}

static void free_sending(struct e1000 *e)
{
	for (unsigned i = 0; i < RING; i++) {
		if (e->sending[i] != NULL) {
			host_nic_release(&e->nic, e->sending[i]);
			e->sending[i] = NULL;
		}
	}
	e->tx_done = 0;
	e->tx_next = 0;
}

static void reset(struct host_nic *n)
{
	struct e1000 *e = of(n);

	quiesce(e);
	hardware_reset(e);
	free_sending(e);
}

static void wait_ns(uint64_t ns)
{
	uint64_t end = clock_now() + clock_ns_to_ticks(ns);

	while (clock_now() < end) {
		/* At start only; nothing else runs yet. */
	}
}

/* "Master Disable": lets what the card began on the bus come to its end. */
static void stop_dma(const struct e1000 *e)
{
	uint64_t end = clock_now() + clock_ns_to_ticks(QUIESCE_NS);

	if (e->model->kind == E1000_8254X) {
		return;
	}
	reg_write(e, E1000_CTRL, reg_read(e, E1000_CTRL) | E1000_CTRL_GIO_MASTER_DISABLE);
	while ((reg_read(e, E1000_STATUS) & E1000_STATUS_GIO_MASTER) != 0 && clock_now() < end) {
		/* Goes on without it: the reset comes next. */
	}
}

/* --- start --- */

static bool allocate(struct e1000 *e)
{
	if (e->rx == NULL) {
		e->rx = pool_pages(RING_ORDER);
	}
	if (e->tx == NULL) {
		e->tx = pool_pages(RING_ORDER);
	}
	if (e->rx_buffers == NULL) {
		e->rx_buffers = pool_pages(BUFFERS_ORDER);
	}
	return e->rx != NULL && e->tx != NULL && e->rx_buffers != NULL;
}

static uint64_t hpa_of_volatile(const volatile void *p)
{
	return pool_hpa((const void *)(uintptr_t)p).v;
}

static void give_buffer(struct e1000 *e, unsigned i)
{
	e->rx[i].address = pool_hpa(e->rx_buffers + i * BUFFER_BYTES).v;
	e->rx[i].status = 0;
}

static void start_receiver(struct e1000 *e)
{
	uint64_t ring = hpa_of_volatile(e->rx);

	for (unsigned i = 0; i < RING; i++) {
		give_buffer(e, i);
	}
	e->rx_next = 0;
	e->rx_partial = false;
	for (unsigned i = 0; i < E1000_MTA_WORDS; i++) {
		reg_write(e, E1000_MTA + i * 4, 0);
	}
	reg_write(e, E1000_RDTR, 0);
	reg_write(e, E1000_RADV, 0);
	reg_write(e, E1000_RXCSUM, E1000_RXCSUM_IPOFL | E1000_RXCSUM_TUOFL);
	reg_write(e, E1000_RDBAL, (uint32_t)ring);
	reg_write(e, E1000_RDBAH, (uint32_t)(ring >> 32));
	reg_write(e, E1000_RDLEN, RING * sizeof(struct e1000_rx_desc));
	reg_write(e, E1000_RDH, 0);
	reg_write(e, E1000_RDT, 0);
	/* Buffers of 2,048 bytes, nothing longer than NET_WIRE_MAX, no VLAN filter. */
	reg_write(e, E1000_RCTL,
		  E1000_RCTL_EN | E1000_RCTL_UPE | E1000_RCTL_MPE | E1000_RCTL_BAM |
			  E1000_RCTL_SECRC);
	reg_write(e, E1000_RDT, RING - 1);
}

static void start_transmitter(struct e1000 *e)
{
	uint64_t ring = hpa_of_volatile(e->tx);

	for (unsigned i = 0; i < RING; i++) {
		e->tx[i].status = 0;
	}
	reg_write(e, E1000_TDBAL, (uint32_t)ring);
	reg_write(e, E1000_TDBAH, (uint32_t)(ring >> 32));
	reg_write(e, E1000_TDLEN, RING * sizeof(struct e1000_tx_desc));
	reg_write(e, E1000_TDH, 0);
	reg_write(e, E1000_TDT, 0);
	if (e->model->kind != E1000_8254X) {
		reg_write(e, E1000_TXDCTL, reg_read(e, E1000_TXDCTL) | E1000_TXDCTL_COUNT_DESC);
	}
	reg_write(e, E1000_TIPG, E1000_TIPG_COPPER);
	reg_write(e, E1000_TCTL,
		  (uint32_t)(E1000_TCTL_EN | E1000_TCTL_PSP | bits_set(0, E1000_TCTL_CT, 0x0f) |
			     bits_set(0, E1000_TCTL_COLD, 0x40)));
}

/* The card negotiates by itself; nobody's PAUSE frames are obeyed or sent. */
static void start_link(const struct e1000 *e)
{
	uint32_t ctrl = reg_read(e, E1000_CTRL);

	ctrl &= ~(E1000_CTRL_LRST | E1000_CTRL_ILOS | E1000_CTRL_FRCSPD | E1000_CTRL_FRCDPLX |
		  E1000_CTRL_RFCE | E1000_CTRL_TFCE | E1000_CTRL_VME | E1000_CTRL_PHY_RST |
		  E1000_CTRL_GIO_MASTER_DISABLE);
	ctrl |= E1000_CTRL_SLU | (e->model->kind == E1000_8254X ? E1000_CTRL_ASDE : 0);
	reg_write(e, E1000_CTRL, ctrl);
	reg_write(e, E1000_FCAL, 0);
	reg_write(e, E1000_FCAH, 0);
	reg_write(e, E1000_FCT, 0);
	reg_write(e, E1000_FCTTV, 0);
}

static void read_link(struct e1000 *e)
{
	static const uint16_t speeds[] = {10, 100, 1000, 1000};
	uint32_t status = reg_read(e, E1000_STATUS);

	host_nic_set_link(&e->nic, (status & E1000_STATUS_LU) != 0,
			  speeds[bits_get(status, E1000_STATUS_SPEED)]);
}

static void interrupts(struct host_nic *n, bool on)
{
	const struct e1000 *e = of(n);
	uint32_t causes = E1000_ICR_LSC | E1000_ICR_RXDMT0 | E1000_ICR_RXO | E1000_ICR_RXT0;

	if (e->model->kind == E1000_82574) {
		causes |= E1000_ICR_RXQ0 | E1000_ICR_OTHER;
	}
	reg_write(e, on ? E1000_IMS : E1000_IMC, causes);
}

static void start_interrupts(struct e1000 *e)
{
	reg_write(e, E1000_ITR, ITR_INTERVAL);
	if (e->model->kind == E1000_82574 && host_pci_uses_msix(e->nic.pci)) {
		reg_write(e, E1000_EITR0, ITR_INTERVAL);
		reg_write(e, E1000_IVAR, E1000_IVAR_ALL_TO_0);
	}
	(void)reg_read(e, E1000_ICR);
	interrupts(&e->nic, true);
}

static enum hv_status start(struct host_nic *n)
{
	struct e1000 *e = of(n);

	if ((reg_read(e, E1000_CTRL) & E1000_CTRL_RST) != 0) {
		return HV_E_IO;
	}
	if (!allocate(e)) {
		return HV_E_NO_MEMORY;
	}
	reg_write(e, E1000_IMC, UINT32_MAX);
	start_link(e);
	write_mac(e);
	start_receiver(e);
	start_transmitter(e);
	read_link(e);
	start_interrupts(e);
	return HV_OK;
}

/* --- at work --- */

static bool acknowledge(struct host_nic *n)
{
	struct e1000 *e = of(n);
	uint32_t causes = reg_read(e, E1000_ICR);

	if (causes == UINT32_MAX) {
		return false;
	}
	if (causes != 0 && e->model->kind == E1000_82574) {
		/* With MSI-X reading alone does not clear. */
		reg_write(e, E1000_ICR, causes);
	}
	if ((causes & E1000_ICR_LSC) != 0) {
		read_link(e);
	}
	return true;
}

static struct net_frame *take_frame(struct e1000 *e, unsigned i, uint8_t status)
{
	uint8_t errors = e->rx[i].errors;
	struct net_frame *f;

	/* Frames that need several buffers are longer than any that was asked for. */
	if (e->rx_partial || (status & E1000_RXD_EOP) == 0 ||
	    (errors & E1000_RXD_WIRE_ERRORS) != 0) {
		atomic_fetch_add_explicit(&e->nic.stats.rx_bad, 1, memory_order_relaxed);
		return NULL;
	}
	f = host_nic_copy(&e->nic, e->rx_buffers + i * BUFFER_BYTES, e->rx[i].length);
	if (f != NULL) {
		f->offload.checksum_good =
			(status & (E1000_RXD_IXSM | E1000_RXD_TCPCS)) == E1000_RXD_TCPCS &&
			(errors & E1000_RXD_CHECKSUM_ERRORS) == 0;
	}
	return f;
}

static bool receive(struct host_nic *n, struct net_frame **f)
{
	struct e1000 *e = of(n);
	unsigned i = e->rx_next;
	uint8_t status = e->rx[i].status;

	if ((status & E1000_RXD_DD) == 0) {
		return false;
	}
	atomic_thread_fence(memory_order_acquire);
	*f = take_frame(e, i, status);
	e->rx_partial = (status & E1000_RXD_EOP) == 0;
	give_buffer(e, i);
	e->rx_next = (i + 1) % RING;
	return true;
}

static void refill(struct host_nic *n)
{
	struct e1000 *e = of(n);

	reg_write(e, E1000_RDT, (e->rx_next + RING - 1) % RING);
}

static bool transmit(struct host_nic *n, struct net_frame *f)
{
	struct e1000 *e = of(n);
	volatile struct e1000_tx_desc *d = &e->tx[e->tx_next];
	unsigned next = (e->tx_next + 1) % RING;

	if (next == e->tx_done) {
		return false;
	}
	host_nic_hold(n, f);
	e->sending[e->tx_next] = f;
	d->address = pool_hpa(f->data).v;
	d->length = (uint16_t)f->len;
	d->checksum_offset = 0;
	d->command = E1000_TXD_EOP | E1000_TXD_IFCS | E1000_TXD_RS;
	d->status = 0;
	d->checksum_start = 0;
	d->special = 0;
	e->tx_next = next;
	reg_write(e, E1000_TDT, next);
	return true;
}

static void reap(struct host_nic *n)
{
	struct e1000 *e = of(n);

	while (e->tx_done != e->tx_next && (e->tx[e->tx_done].status & E1000_TXD_DD) != 0) {
		host_nic_release(n, e->sending[e->tx_done]);
		e->sending[e->tx_done] = NULL;
		e->tx_done = (e->tx_done + 1) % RING;
	}
}

/* --- at start --- */

static bool bring_up(struct e1000 *e)
{
	struct net_mac *mac = &e->nic.port.mac;
	bool known;

	if (reg_read(e, E1000_STATUS) == UINT32_MAX) {
		log_warn("%s: its registers do not answer", e->model->name);
		return false;
	}
	known = mac_from_filter(e, mac);
	quiesce(e);
	stop_dma(e);
	hardware_reset(e);
	wait_ns(NIC_RESET_NS);
	reg_write(e, E1000_IMC, UINT32_MAX);
	if (!known && !mac_from_filter(e, mac) && !mac_from_eeprom(e, mac)) {
		log_warn("%s: no address in it", e->model->name);
		return false;
	}
	return true;
}

static struct host_nic *probe(struct host_pci *f)
{
	struct e1000 *e = pool_alloc(sizeof(*e));

	if (e == NULL) {
		log_warn("network card: no memory for it");
		return NULL;
	}
	e->model = find_model(f);
	e->nic.pci = f;
	e->nic.model = e->model->name;
	host_pci_enable(f);
	e->registers = host_pci_map(f, 0, E1000_REGISTERS_SIZE);
	if (e->registers == NULL) {
		log_warn("%s: its registers cannot be mapped", e->model->name);
	}
	if (e->registers == NULL || !bring_up(e)) {
		host_pci_disable(f);
		pool_free(e, sizeof(*e));
		return NULL;
	}
	return &e->nic;
}

const struct nic_driver e1000_driver = {
	.name = "e1000",
	.matches = matches,
	.probe = probe,
	.start = start,
	.reset = reset,
	.interrupts = interrupts,
	.acknowledge = acknowledge,
	.receive = receive,
	.refill = refill,
	.transmit = transmit,
	.reap = reap,
};
