/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtual-processor identifiers: one per vCPU for its whole life, the same on every CPU. The
 * translations of whoever had it before are tagged with another EPT pointer, or flushed with it.
 *
 * Source: Intel SDM volume 3 "Virtual Processor Identifiers (VPIDs)".
 */
#pragma once

#include <stdint.h>

#define VPID_COUNT 0xffffu /* 1 .. 0xffff; 0 is the host's */

/* A VPID nobody has; 0 when all are taken. */
uint16_t vpid_take(void);
/* 0 is allowed. */
void vpid_give(uint16_t vpid);
