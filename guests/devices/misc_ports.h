/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ports that old software writes without expecting much: the POST and delay port 0x80, a plain
 * latch, and the coprocessor's 0xf0 and 0xf1, which clear an error interrupt that no guest can
 * raise here (CR0.NE = 0 error reporting is not modelled). Source: IBM Personal Computer AT
 * Technical Reference, "I/O Address Map", "Coprocessor".
 */
#pragma once

#include "hv/api/saved.h"
#include "hv/api/vdev.h"

#define MISC_PORT_DELAY 0x80u
#define MISC_PORT_FPU 0xf0u
#define MISC_PORT_FPU_COUNT 2u

struct misc_ports {
	struct vdev dev; /* its lock covers `post` */
	uint8_t post;	 /* the last byte written to port 0x80 */
	struct saved_device saved;
};

#define MISC_PORTS_SAVED_VERSION 1u
struct misc_ports_saved {
	uint8_t post;
	uint8_t zero[7];
};

/* To be registered at both places above. */
void misc_ports_init(struct misc_ports *m);
