/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine's pair of 8259 interrupt controllers: moved away from the exception vectors and
 * masked for good. Source: Intel 8259A data sheet.
 */
#pragma once

#include <stdint.h>

#define HOST_PIC_VECTORS 16u

/*
 * Remaps the pair to vectors [first_vector, first_vector + 16), masks every line and takes care of
 * the spurious interrupts that a masked 8259 can still raise. `first_vector` is a multiple of 8,
 * at least 0x20.
 */
void host_pic_disable(uint8_t first_vector);
