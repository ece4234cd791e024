/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the NVMe controller call of each other. */
#pragma once

#include "guests/devices/nvme_ctl.h"

#define NVME_CTL_MODEL "Bulkhead NVMe"
#define NVME_CTL_FIRMWARE "1.0"
#define NVME_CTL_TEMPERATURE_WARN 343u /* in Kelvin; never reached */

/* ---- nvme_ctl_prp.c ---- */

/*
 * Reads where `bytes` (0 .. NVME_CTL_TRANSFER_MAX) of the command's data are. NVME_SC_*:
 * NVME_SC_PRP_OFFSET, NVME_SC_DATA_TRANSFER for a list that is not in RAM.
 */
uint16_t nvme_ctl_prps_read(struct vm *vm, const struct nvme_command *command, uint32_t bytes,
			    struct nvme_ctl_prps *prps);
/* Copies the bytes at `offset` of the data. False: they are not in (writable) RAM. */
bool nvme_ctl_prps_get(struct vm *vm, const struct nvme_ctl_prps *prps, uint32_t offset,
		       void *memory, uint32_t bytes);
bool nvme_ctl_prps_put(struct vm *vm, const struct nvme_ctl_prps *prps, uint32_t offset,
		       const void *memory, uint32_t bytes);

/* ---- nvme_ctl_ring.c ---- */

/* A write of `value` to doorbell `index`: a tail for an even one, a head for an odd one. */
void nvme_ctl_doorbell(struct nvme_ctl *c, unsigned index, uint32_t value);
/* Whether queues may be worked on at all. */
bool nvme_ctl_may_run(const struct nvme_ctl *c);
/* Nothing more can be done for this driver: CSTS.CFS. */
void nvme_ctl_fail(struct nvme_ctl *c, const char *why);

/* Submission queue `id`, its lock held. Takes the tail from the shadow doorbell, if there is one.
 */
void nvme_ctl_poll(struct nvme_ctl *c, unsigned id);
/* The queue is empty: asks to be told of more. True: there is more already. */
bool nvme_ctl_listen(struct nvme_ctl *c, unsigned id);
/* The next command; the queue is not empty. False: it is not in RAM. */
bool nvme_ctl_fetch(struct nvme_ctl *c, unsigned id, struct nvme_command *out);

/* A place in submission queue `sq`'s completion queue. False: none is left, `sq` will be woken. */
bool nvme_ctl_reserve(struct nvme_ctl *c, unsigned sq);
void nvme_ctl_unreserve(struct nvme_ctl *c, unsigned sq);
/* Uses a reserved place; submission queue's lock held. The error log gets what is not a success. */
void nvme_ctl_complete(struct nvme_ctl *c, unsigned sq, uint16_t id, uint16_t status,
		       uint32_t result);
/* One interrupt for all that was posted since the last. */
void nvme_ctl_publish(struct nvme_ctl *c, unsigned sq);

/* A new queue; its lock held. */
void nvme_ctl_ring_make(struct nvme_ctl *c, struct nvme_ctl_ring *ring, unsigned doorbell,
			uint64_t base, uint32_t entries);
/* Completion queue `id` is gone. */
void nvme_ctl_cq_drop(struct nvme_ctl *c, unsigned id);
/* Looks for shadow doorbells from now on; controller's lock held. */
void nvme_ctl_ring_shadow(struct nvme_ctl *c);
/* The level of INTA after the mask has changed. */
void nvme_ctl_intx_update(struct nvme_ctl *c);
/* No entry of any completion queue asks for an interrupt any more. */
void nvme_ctl_intx_clear(struct nvme_ctl *c);

/* ---- nvme_ctl_io.c ---- */

enum hv_status nvme_ctl_queue_init(struct nvme_ctl *c, unsigned id,
				   const struct nvme_ctl_config *cfg) HV_MUST_CHECK;
/* Works on the queue, if that may be now. Its lock held. */
void nvme_ctl_queue_run(struct nvme_ctl_queue *q);
/* The queue is gone: gives up what is open. Its lock held. */
void nvme_ctl_queue_stop(struct nvme_ctl_queue *q);
/* Collects what came back; whether nothing is open. Its lock held. */
bool nvme_ctl_queue_drained(struct nvme_ctl_queue *q);
void nvme_ctl_queue_ask(struct nvme_ctl_queue *q);

/* ---- nvme_ctl_admin.c: controller's lock held ---- */

/* Works on the admin queue, tells of events, ends what waited. */
void nvme_ctl_admin_run(struct nvme_ctl *c);
void nvme_ctl_admin_work(struct vwork *w);

/* Answers of admin commands; the result for the completion queue is 0 at first. NVME_SC_*. */
uint16_t nvme_ctl_identify(struct nvme_ctl *c, const struct nvme_command *command);
uint16_t nvme_ctl_get_feature(struct nvme_ctl *c, const struct nvme_command *command,
			      uint32_t *result);
uint16_t nvme_ctl_set_feature(struct nvme_ctl *c, const struct nvme_command *command,
			      uint32_t *result);
uint16_t nvme_ctl_get_log(struct nvme_ctl *c, const struct nvme_command *command);
/* ASCII without an end, filled up with spaces. */
void nvme_ctl_put_text(void *page, unsigned offset, const char *text, unsigned size);
/* To the values after a reset. */
void nvme_ctl_reset_features(struct nvme_ctl *c);
/* The first `bytes` of c->page go to where the command says. */
uint16_t nvme_ctl_answer(struct nvme_ctl *c, const struct nvme_command *command, uint32_t bytes);

/* ---- nvme_ctl_features.c ---- */

/* NULL: a driver can have set these, else what is wrong. */
const char *nvme_ctl_features_check(const uint32_t values[NVME_CTL_FEATURES]);

/* ---- nvme_ctl_saved.c ---- */

extern const struct saved_ops nvme_ctl_saved_ops;

/* ---- nvme_ctl_log.c ---- */

/* Queue's lock held, or none. */
void nvme_ctl_log_error(struct nvme_ctl *c, const struct nvme_error *error);
/* An error that no command had: NVME_EVENT_*. From anywhere. */
void nvme_ctl_event(struct nvme_ctl *c, uint32_t info);
/* Tells of events if the driver waits for them. Controller's lock held. */
void nvme_ctl_deliver_events(struct nvme_ctl *c);

static inline void nvme_ctl_put(void *page, unsigned offset, uint64_t value, unsigned size)
{
	for (unsigned i = 0; i < size; i++) {
		((uint8_t *)page)[offset + i] = (uint8_t)(value >> (i * 8));
	}
}
