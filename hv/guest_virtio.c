/* SPDX-License-Identifier: Apache-2.0 */
/* The entropy device, the console and the balloon of a guest. */
#include "hv/guest_virtio.h"

#include "guests/devices/virtio_balloon.h"
#include "guests/devices/virtio_console.h"
#include "guests/devices/virtio_rng.h"
#include "hv/guest_memory.h"
#include "hv/random.h"
#include "hv/run.h"
#include "mm/pool.h"

static struct virtio_pci *transport_of(struct pci_device *pci)
{
	return container_of(pci, struct virtio_pci, pci);
}

static struct virtio_pci_wiring wiring_of(struct guest *g)
{
	return (struct virtio_pci_wiring){.vm = &g->vm, .guest = g->vm.name};
}

/* ---- random bytes ---- */

static struct virtio_rng *rng_of(struct pci_device *pci)
{
	return container_of(transport_of(pci), struct virtio_rng, transport);
}

static void rng_stop(struct pci_device *pci)
{
	virtio_rng_fini(rng_of(pci));
}

static void rng_release(struct pci_device *pci)
{
	pool_free(rng_of(pci), sizeof(struct virtio_rng));
}

static const struct board_pci_owner rng_owner = {rng_stop, rng_release};

static enum hv_status create_rng(struct guest *g)
{
	struct virtio_rng *rng = pool_alloc(sizeof(*rng));
	struct virtio_rng_config cfg = {
		.wiring = wiring_of(g),
		.work = &g->vm.work,
		.time = &g->vm.time,
		.fill = random_fill,
	};
	enum hv_status status;

	if (rng == NULL) {
		return HV_E_NO_MEMORY;
	}
	status = board_place_pci(g->board, &cfg.wiring.place);
	if (status == HV_OK) {
		status = virtio_rng_init(rng, &cfg);
	}
	if (status != HV_OK) {
		pool_free(rng, sizeof(*rng));
		return status;
	}
	board_add_pci(g->board, &rng->transport.pci, &rng->saved, &rng_owner);
	return HV_OK;
}

/* ---- console ---- */

static struct virtio_console *console_of(struct pci_device *pci)
{
	return container_of(transport_of(pci), struct virtio_console, transport);
}

static void console_release(struct pci_device *pci)
{
	pool_free(console_of(pci), sizeof(struct virtio_console));
}

static const struct board_pci_owner console_owner = {.release = console_release};

static void console_output(void *ctx, const char *data, size_t n)
{
	struct guest *g = ctx;

	console_guest_output(&g->console, data, n);
}

/* Keys that found no room wait with the console, which is a matter for the baton. */
static void console_room(void *ctx)
{
	(void)ctx;
	run_chore(RUN_CHORE_INPUT);
}

size_t guest_virtio_input(void *ctx, const char *data, size_t n)
{
	struct guest *g = ctx;

	return virtio_console_receive(g->virtio_console, data, n);
}

static enum hv_status create_console(struct guest *g)
{
	struct virtio_console *console = pool_alloc(sizeof(*console));
	struct virtio_console_config cfg = {
		.wiring = wiring_of(g),
		.work = &g->vm.work,
		.transmit = console_output,
		.room = console_room,
		.ctx = g,
	};
	enum hv_status status;

	if (console == NULL) {
		return HV_E_NO_MEMORY;
	}
	status = board_place_pci(g->board, &cfg.wiring.place);
	if (status == HV_OK) {
		status = virtio_console_init(console, &cfg);
	}
	if (status != HV_OK) {
		pool_free(console, sizeof(*console));
		return status;
	}
	g->virtio_console = console;
	board_add_pci(g->board, &console->transport.pci, &console->saved, &console_owner);
	return HV_OK;
}

/* ---- balloon ---- */

static struct virtio_balloon *balloon_of(struct pci_device *pci)
{
	return container_of(transport_of(pci), struct virtio_balloon, transport);
}

static void balloon_release(struct pci_device *pci)
{
	struct virtio_balloon *balloon = balloon_of(pci);
	struct guest *g = balloon->ctx;

	g->balloon = NULL;
	pool_free(balloon, sizeof(*balloon));
}

static const struct board_pci_owner balloon_owner = {.release = balloon_release};

static enum hv_status create_balloon(struct guest *g)
{
	struct virtio_balloon *balloon = pool_alloc(sizeof(*balloon));
	struct virtio_balloon_config cfg = {
		.wiring = wiring_of(g),
		.work = &g->vm.work,
		.time = &g->vm.time,
		.release = guest_memory_release,
		.ctx = g,
	};
	enum hv_status status;

	if (balloon == NULL) {
		return HV_E_NO_MEMORY;
	}
	status = gspace_allow_release(&g->vm.gspace);
	if (status == HV_OK) {
		status = board_place_pci(g->board, &cfg.wiring.place);
	}
	if (status == HV_OK) {
		status = virtio_balloon_init(balloon, &cfg);
	}
	if (status != HV_OK) {
		pool_free(balloon, sizeof(*balloon));
		return status;
	}
	g->balloon = balloon;
	board_add_pci(g->board, &balloon->transport.pci, &balloon->saved, &balloon_owner);
	return HV_OK;
}

enum hv_status guest_virtio_create(struct guest *g)
{
	enum hv_status status = HV_OK;

	if (g->config->virtio_console) {
		status = create_console(g);
	}
	if (status == HV_OK && g->config->rng) {
		status = create_rng(g);
	}
	if (status == HV_OK && g->config->balloon) {
		status = create_balloon(g);
	}
	return status;
}
