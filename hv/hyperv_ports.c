/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections: who receives a message that the guest posts, or an event that it signals. No device
 * of this machine listens; ports are made by the test device alone, and lead back to the guest.
 *
 * A message that finds its slot in use is kept, one for each port, and delivered when the slot may
 * be free. Source: TLFS, "Inter-Partition Communication".
 */
#include "hv/base/str.h"
#include "hv/hyperv_internal.h"

static struct hyperv_port *find(struct hyperv *h, uint32_t connection)
{
	for (unsigned i = 0; i < HYPERV_PORTS; i++) {
		if (h->ports[i].kind != PORT_FREE && h->ports[i].connection == connection) {
			return &h->ports[i];
		}
	}
	return NULL;
}

/* --- what hypercalls ask for --- */

static enum hv_call_status post_locked(struct hyperv *h, struct hyperv_port *port,
				       const struct hv_message *message)
{
	if (!port->waits && synic_post(&h->vps[port->vp], port->sint, message)) {
		return HV_CALL_SUCCESS;
	}
	if (port->waits) {
		return HV_CALL_INSUFFICIENT_BUFFERS;
	}
	port->message = *message;
	port->waits = true;
	return HV_CALL_SUCCESS;
}

enum hv_call_status port_post(struct hyperv *h, const struct hv_post_message *post)
{
	struct hv_message message = {.type = post->type,
				     .payload_size = (uint8_t)post->payload_size};
	enum hv_call_status status = HV_CALL_INVALID_CONNECTION_ID;
	struct hyperv_port *port;

	if (post->payload_size > HV_MESSAGE_PAYLOAD_MAX || post->type == HV_MESSAGE_NONE ||
	    (post->type & HV_MESSAGE_HYPERVISOR) != 0) {
		return HV_CALL_INVALID_PARAMETER;
	}
	memcpy(message.payload, post->payload, post->payload_size);
	lock_acquire(&h->ports_lock);
	port = find(h, post->connection);
	if (port != NULL) {
		status = port->kind == PORT_MESSAGE ? post_locked(h, port, &message)
						    : HV_CALL_INVALID_PORT_ID;
	}
	lock_release(&h->ports_lock);
	return status;
}

static enum hv_call_status signal_locked(struct hyperv *h, const struct hyperv_port *port,
					 uint16_t flag)
{
	if (port->kind != PORT_EVENT) {
		return HV_CALL_INVALID_PORT_ID;
	}
	if (flag != 0) {
		return HV_CALL_INVALID_PARAMETER; /* each port has one flag */
	}
	/* A SINT that takes none loses it. */
	(void)synic_signal(&h->vps[port->vp], port->sint, port->flag);
	return HV_CALL_SUCCESS;
}

enum hv_call_status port_signal(struct hyperv *h, uint32_t connection, uint16_t flag)
{
	enum hv_call_status status = HV_CALL_INVALID_CONNECTION_ID;
	const struct hyperv_port *port;

	lock_acquire(&h->ports_lock);
	port = find(h, connection);
	if (port != NULL) {
		status = signal_locked(h, port, flag);
	}
	lock_release(&h->ports_lock);
	return status;
}

void port_retry(struct hyperv *h, unsigned vp)
{
	lock_acquire(&h->ports_lock);
	for (unsigned i = 0; i < HYPERV_PORTS; i++) {
		struct hyperv_port *port = &h->ports[i];

		if (port->kind == PORT_MESSAGE && port->waits && port->vp == vp &&
		    synic_post(&h->vps[vp], port->sint, &port->message)) {
			port->waits = false;
		}
	}
	lock_release(&h->ports_lock);
}

/* --- the test device --- */

#define COMMAND_SINT MASK(7, 0)
#define COMMAND_VP MASK(15, 8)
#define COMMAND_WHAT MASK(23, 16)
#define COMMAND_CONNECTION MASK(31, 24)

enum test_command {
	TEST_ROUTE_CREATE = 1, /* routes exist without being made */
	TEST_ROUTE_DESTROY,
	TEST_ROUTE_SET,
	TEST_MESSAGE_CREATE,
	TEST_MESSAGE_DESTROY,
	TEST_EVENT_CREATE,
	TEST_EVENT_DESTROY,
};

static void create(struct hyperv *h, const struct hyperv_port *port)
{
	struct hyperv_port *slot;

	lock_acquire(&h->ports_lock);
	slot = find(h, port->connection);
	for (unsigned i = 0; slot == NULL && i < HYPERV_PORTS; i++) {
		slot = h->ports[i].kind == PORT_FREE ? &h->ports[i] : NULL;
	}
	if (slot != NULL) {
		*slot = *port;
	}
	lock_release(&h->ports_lock);
}

static void destroy(struct hyperv *h, uint32_t connection)
{
	struct hyperv_port *port;

	lock_acquire(&h->ports_lock);
	port = find(h, connection);
	if (port != NULL) {
		port->kind = PORT_FREE;
	}
	lock_release(&h->ports_lock);
}

void hyperv_test_command(struct vm *vm, uint32_t command)
{
	struct hyperv *h = vm->hyperv;
	struct hyperv_port port = {
		.connection = (uint32_t)bits_get(command, COMMAND_CONNECTION),
		.vp = (uint8_t)bits_get(command, COMMAND_VP),
		.sint = (uint8_t)bits_get(command, COMMAND_SINT),
		.flag = (uint16_t)bits_get(command, COMMAND_CONNECTION),
	};

	if (h == NULL || port.vp >= h->vp_count || port.sint >= HV_SINT_COUNT) {
		return;
	}
	switch (bits_get(command, COMMAND_WHAT)) {
	case TEST_ROUTE_SET:
		synic_raise(&h->vps[port.vp], port.sint);
		break;
	case TEST_MESSAGE_CREATE:
		port.kind = PORT_MESSAGE;
		create(h, &port);
		break;
	case TEST_EVENT_CREATE:
		port.kind = PORT_EVENT;
		create(h, &port);
		break;
	case TEST_MESSAGE_DESTROY:
	case TEST_EVENT_DESTROY:
		destroy(h, port.connection);
		break;
	default:
		break;
	}
}
