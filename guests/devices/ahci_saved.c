/* SPDX-License-Identifier: Apache-2.0 */
/* The AHCI controller with its ports as bytes, and back. */
#include "guests/devices/ahci_internal.h"
#include "hv/base/str.h"

#define TFD_KNOWN 0xffffu /* status and error */

/* ---- quiet ---- */

static bool unit_is_quiet(struct ahci_unit *u)
{
	bool is_quiet;

	lock_acquire(&u->lock);
	is_quiet = u->current == NULL && u->taken == 0 && !u->draining &&
		   blk_pieces_all_free(&u->pieces) && !vwork_is_asked(&u->work);
	lock_release(&u->lock);
	return is_quiet;
}

static bool quiet(void *dev)
{
	struct ahci_hba *h = dev;
	bool is_quiet = true;

	for (unsigned i = 0; i < h->unit_count; i++) {
		is_quiet = unit_is_quiet(h->units[i]) && is_quiet;
	}
	return is_quiet;
}

/* ---- saving ---- */

static void save_unit(struct ahci_unit *u, struct ahci_unit_saved *out)
{
	const struct ahci_unit_state *s = &u->state;

	lock_acquire(&u->lock);
	*out = (struct ahci_unit_saved){
		.list = s->list,
		.received = s->received,
		.is = s->is,
		.ie = s->ie,
		.cmd = s->cmd,
		.tfd = s->tfd,
		.sig = s->sig,
		.sctl = s->sctl,
		.serr = s->serr,
		.sact = s->sact,
		.ci = s->ci,
		.ccs = (uint8_t)s->ccs,
		.first = (uint8_t)s->first,
		.stopped = s->stopped,
		.soft_held = s->soft_held,
		.greeting = s->greeting,
		.is_packet = u->is_packet,
	};
	if (u->is_packet) {
		atapi_save(&u->drive, &out->drive);
	} else {
		ata_save(&u->disk, &out->disk);
	}
	lock_release(&u->lock);
}

static void save(void *dev, void *bytes)
{
	struct ahci_hba *h = dev;
	struct ahci_saved *out = bytes;

	for (unsigned i = 0; i < h->unit_count; i++) {
		save_unit(h->units[i], &out->units[i]);
	}
	lock_acquire(&h->lock);
	out->ghc = h->ghc;
	out->is = h->is;
	out->index = h->index;
	out->unit_count = h->unit_count;
	lock_release(&h->lock);
	pci_device_save(&h->pci, &out->pci);
}

/* ---- checking ---- */

static const char *check_device(const struct ahci_unit *u, const struct ahci_unit_saved *in)
{
	if (in->is_packet != u->is_packet) {
		return "a port has a disk, and a CD drive is saved, or the other way round";
	}
	if (u->is_packet) {
		return saved_is_zero(&in->disk, sizeof(in->disk))
			       ? atapi_check(&u->drive, &in->drive)
			       : "a CD drive is saved as a disk";
	}
	return saved_is_zero(&in->drive, sizeof(in->drive)) ? ata_check(&u->disk, &in->disk)
							    : "a disk is saved as a CD drive";
}

static const char *check_unit(const struct ahci_unit *u, const struct ahci_unit_saved *in)
{
	if ((in->list & (uint32_t)~AHCI_PXCLB_ADDRESS) != 0 ||
	    (in->received & (uint32_t)~AHCI_PXFB_ADDRESS) != 0) {
		return "a port's lists are not at their boundaries";
	}
	if (((in->is | in->ie) & ~AHCI_PXIE_WRITABLE) != 0 ||
	    (in->cmd & ~AHCI_PXCMD_WRITABLE) != 0 || (in->tfd & ~TFD_KNOWN) != 0 ||
	    (in->sctl & ~AHCI_PXSCTL_WRITABLE) != 0 || (in->serr & ~AHCI_PXSERR_LINK) != 0) {
		return "a port's register has bits that do not exist";
	}
	if (in->ccs >= AHCI_SLOTS_MAX || in->first >= AHCI_SLOTS_MAX) {
		return "a port has 32 slots";
	}
	if (!saved_is_bool(in->stopped) || !saved_is_bool(in->soft_held) ||
	    !saved_is_bool(in->greeting) || !saved_is_zero(in->zero, sizeof(in->zero))) {
		return "a flag of a port is neither 0 nor 1";
	}
	return check_device(u, in);
}

/* Ports with something to tell. */
static uint32_t pending_of(const struct ahci_saved *in)
{
	uint32_t pending = 0;

	for (unsigned i = 0; i < AHCI_UNITS_MAX; i++) {
		pending |= (in->units[i].is & in->units[i].ie) != 0 ? BIT32(i) : 0;
	}
	return pending;
}

static const char *check_host(const struct ahci_hba *h, const struct ahci_saved *in)
{
	uint32_t ports = BIT32(h->unit_count) - 1;
	uint32_t pending = pending_of(in);
	unsigned missing = AHCI_UNITS_MAX - h->unit_count;

	if (in->unit_count != h->unit_count ||
	    !saved_is_zero(in->units + h->unit_count, missing * sizeof(in->units[0]))) {
		return "it has another number of ports";
	}
	if ((in->ghc & ~AHCI_GHC_IE) != 0 || (in->index & ~AHCI_INDEX_WRITABLE) != 0 ||
	    (in->is & ~ports) != 0) {
		return "GHC, IS or the index has bits that do not exist";
	}
	if ((in->is & pending) != pending ||
	    (in->pci.intx_asserted != 0) != (in->is != 0 && in->ghc != 0)) {
		return "its interrupt is not what the ports have to tell";
	}
	return NULL;
}

static const char *check(void *dev, const void *bytes)
{
	const struct ahci_hba *h = dev;
	const struct ahci_saved *in = bytes;
	const char *wrong = check_host(h, in);

	for (unsigned i = 0; i < h->unit_count && wrong == NULL; i++) {
		wrong = check_unit(h->units[i], &in->units[i]);
	}
	return wrong != NULL ? wrong : pci_device_check(&h->pci, &in->pci);
}

/* ---- loading ---- */

static void load_state(struct ahci_unit *u, const struct ahci_unit_saved *in)
{
	u->state = (struct ahci_unit_state){
		.list = in->list,
		.received = in->received,
		.is = in->is,
		.ie = in->ie,
		.cmd = in->cmd,
		.tfd = in->tfd,
		.sig = in->sig,
		.sctl = in->sctl,
		.serr = in->serr,
		.sact = in->sact,
		.ci = in->ci,
		.ccs = in->ccs,
		.first = in->first,
		.stopped = in->stopped != 0,
		.soft_held = in->soft_held != 0,
		.greeting = in->greeting != 0,
	};
	u->told = (in->is & in->ie) != 0;
}

/* Slots that are issued and were not looked at are seen to by `work`. */
static void load_unit(struct ahci_unit *u, const struct ahci_unit_saved *in)
{
	lock_acquire(&u->lock);
	ahci_end_commands(u);
	u->done = 0;
	load_state(u, in);
	if (u->is_packet) {
		atapi_load(&u->drive, &in->drive);
	} else {
		ata_load(&u->disk, &in->disk);
	}
	vwork_ask(&u->work, u->index % u->hba->vcpu_count);
	lock_release(&u->lock);
}

static void load(void *dev, const void *bytes)
{
	struct ahci_hba *h = dev;
	const struct ahci_saved *in = bytes;

	for (unsigned i = 0; i < h->unit_count; i++) {
		load_unit(h->units[i], &in->units[i]);
	}
	lock_acquire(&h->lock);
	h->ghc = in->ghc;
	h->is = in->is;
	h->index = in->index;
	h->pending = pending_of(in);
	lock_release(&h->lock);
	pci_device_load(&h->pci, &in->pci);
}

static void reset(void *dev)
{
	pci_device_reset(&((struct ahci_hba *)dev)->pci);
}

const struct saved_ops ahci_saved_ops = {
	.name = "AHCI",
	.kind = SAVED_KIND('A', 'H', 'C', 'I'),
	.version = AHCI_SAVED_VERSION,
	.bytes = sizeof(struct ahci_saved),
	.quiet = quiet,
	.save = save,
	.check = check,
	.load = load,
	.reset = reset,
};
