/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Microsoft's hypervisor interface looks like to a guest: CPUID leaves, MSRs, hypercalls and
 * the pages in guest memory. Names are those of the specification, with the prefix HV_.
 *
 * Source: "Hypervisor Top Level Functional Specification" (TLFS) 6.0b, the section named at each
 * group.
 */
#pragma once

#include <stdint.h>

#include "hv/base/bits.h"

/* --- "Feature and Interface Discovery" --- */

#define HV_CPUID_MAX 0x40000006u
#define HV_INTERFACE 0x31237648u /* "Hv#1" */

/* Leaf 0x40000003 EAX: HV_PARTITION_PRIVILEGE_MASK, low half. */
#define HV_ACCESS_VP_RUNTIME BIT32(0)
#define HV_ACCESS_REFERENCE_COUNTER BIT32(1)
#define HV_ACCESS_SYNIC BIT32(2)
#define HV_ACCESS_SYNTHETIC_TIMERS BIT32(3)
#define HV_ACCESS_INTR_CTRL BIT32(4)
#define HV_ACCESS_HYPERCALL_MSRS BIT32(5)
#define HV_ACCESS_VP_INDEX BIT32(6)
#define HV_ACCESS_RESET BIT32(7)
#define HV_ACCESS_REFERENCE_TSC BIT32(9)
#define HV_ACCESS_GUEST_IDLE BIT32(10)
#define HV_ACCESS_FREQUENCY BIT32(11)
/* EBX: its high half. */
#define HV_POST_MESSAGES BIT32(4)
#define HV_SIGNAL_EVENTS BIT32(5)
/* EDX. */
#define HV_XMM_INPUT BIT32(4)
#define HV_GUEST_IDLE_STATE BIT32(5)
#define HV_FREQUENCY_MSRS BIT32(8)
#define HV_CRASH_MSRS BIT32(10)
#define HV_SINT_POLLING BIT32(17)
#define HV_HYPERCALL_LOCK BIT32(18)
#define HV_DIRECT_TIMERS BIT32(19)

/* Leaf 0x40000004 EAX: recommendations. */
#define HV_RECOMMEND_REMOTE_FLUSH BIT32(2)
#define HV_RECOMMEND_APIC_MSRS BIT32(3)
#define HV_RECOMMEND_RELAXED_TIMING BIT32(5)
#define HV_RECOMMEND_NO_AUTO_EOI BIT32(9)
#define HV_RECOMMEND_CLUSTER_IPI BIT32(10)
#define HV_RECOMMEND_EX_MASKS BIT32(11)

/* Leaf 0x40000006 EAX. */
#define HV_USES_MSR_BITMAPS BIT32(1)
#define HV_USES_SLAT BIT32(3)

/* --- synthetic MSRs --- */

#define MSR_HV_GUEST_OS_ID 0x40000000u
#define MSR_HV_HYPERCALL 0x40000001u
#define MSR_HV_VP_INDEX 0x40000002u
#define MSR_HV_RESET 0x40000003u
#define MSR_HV_VP_RUNTIME 0x40000010u
#define MSR_HV_TIME_REF_COUNT 0x40000020u
#define MSR_HV_REFERENCE_TSC 0x40000021u
#define MSR_HV_TSC_FREQUENCY 0x40000022u
#define MSR_HV_APIC_FREQUENCY 0x40000023u
#define MSR_HV_EOI 0x40000070u
#define MSR_HV_ICR 0x40000071u
#define MSR_HV_TPR 0x40000072u
#define MSR_HV_VP_ASSIST_PAGE 0x40000073u
#define MSR_HV_SCONTROL 0x40000080u
#define MSR_HV_SVERSION 0x40000081u
#define MSR_HV_SIEFP 0x40000082u
#define MSR_HV_SIMP 0x40000083u
#define MSR_HV_EOM 0x40000084u
#define MSR_HV_SINT0 0x40000090u
#define MSR_HV_SINT15 0x4000009fu
#define MSR_HV_STIMER0_CONFIG 0x400000b0u
#define MSR_HV_STIMER3_COUNT 0x400000b7u
#define MSR_HV_GUEST_IDLE 0x400000f0u
#define MSR_HV_CRASH_P0 0x40000100u
#define MSR_HV_CRASH_P4 0x40000104u
#define MSR_HV_CRASH_CTL 0x40000105u
#define MSR_HV_LAST MSR_HV_CRASH_CTL

/* Of those that hold a page's address. */
#define HV_PAGE_ENABLE BIT(0)
#define HV_PAGE_ADDRESS MASK(63, 12)

#define HV_HYPERCALL_LOCKED BIT(1)
#define HV_RESET_NOW BIT(0)
#define HV_CRASH_MESSAGE BIT(62)
#define HV_CRASH_NOTIFY BIT(63)

/* --- "Hypercall Interface" --- */

#define HV_CONTROL_CODE MASK(15, 0)
#define HV_CONTROL_FAST BIT(16)
#define HV_CONTROL_VARIABLE MASK(26, 17) /* size of the variable header, in 8 bytes */
#define HV_CONTROL_REP_COUNT MASK(43, 32)
#define HV_CONTROL_REP_START MASK(59, 48)
#define HV_CONTROL_RESERVED (MASK(31, 27) | MASK(47, 44) | MASK(63, 60))
#define HV_RESULT_REPS MASK(43, 32)

enum hv_call_code {
	HV_CALL_FLUSH_SPACE = 0x0002,
	HV_CALL_FLUSH_LIST = 0x0003,
	HV_CALL_LONG_SPIN_WAIT = 0x0008,
	HV_CALL_CLUSTER_IPI = 0x000b,
	HV_CALL_FLUSH_SPACE_EX = 0x0013,
	HV_CALL_FLUSH_LIST_EX = 0x0014,
	HV_CALL_CLUSTER_IPI_EX = 0x0015,
	HV_CALL_POST_MESSAGE = 0x005c,
	HV_CALL_SIGNAL_EVENT = 0x005d,
};

/* HV_STATUS of the TLFS, "Hypercall Status Codes"; those that a call here can return. */
enum hv_call_status {
	HV_CALL_SUCCESS = 0,
	HV_CALL_INVALID_CODE = 2,
	HV_CALL_INVALID_INPUT = 3,
	HV_CALL_INVALID_ALIGNMENT = 4,
	HV_CALL_INVALID_PARAMETER = 5,
	HV_CALL_INSUFFICIENT_MEMORY = 11,
	HV_CALL_INVALID_PORT_ID = 17,
	HV_CALL_INVALID_CONNECTION_ID = 18,
	HV_CALL_INSUFFICIENT_BUFFERS = 19,
};

/* "HV_FLUSH_FLAGS" and "HV_VP_SET". */
#define HV_FLUSH_ALL_PROCESSORS BIT(0)
#define HV_FLUSH_ALL_SPACES BIT(1)
#define HV_FLUSH_NON_GLOBAL_ONLY BIT(2)
#define HV_FLUSH_DEFINED (HV_FLUSH_ALL_PROCESSORS | HV_FLUSH_ALL_SPACES | HV_FLUSH_NON_GLOBAL_ONLY)

#define HV_SET_SPARSE 0ull
#define HV_SET_ALL 1ull

/* --- "Partition Reference TSC Page" --- */

/* What its beginning holds; the rest of the page is reserved. */
struct hv_tsc_page {
	uint32_t sequence; /* 0: not valid, use the counter */
	uint32_t reserved;
	uint64_t scale;
	int64_t offset;
};
static_assert(sizeof(struct hv_tsc_page) == 24, "ABI");

/* In units of 100 ns. */
#define HV_TIME_HZ 10000000ull

/* --- "Virtual Interrupt Control": the SynIC --- */

#define HV_SINT_COUNT 16u
#define HV_SINT_VECTOR MASK(7, 0)
#define HV_SINT_MASKED BIT(16)
#define HV_SINT_AUTO_EOI BIT(17)
#define HV_SINT_POLLED BIT(18)

#define HV_SCONTROL_ENABLE BIT(0)
#define HV_SVERSION 1ull

#define HV_MESSAGE_PAYLOAD_MAX 240u
#define HV_MESSAGE_PENDING 1u

enum hv_message_type {
	HV_MESSAGE_NONE = 0,
	HV_MESSAGE_TIMER_EXPIRED = 0x80000010u,
};
/* What ports may send: the hypervisor's own types have this bit. */
#define HV_MESSAGE_HYPERVISOR BIT32(31)

struct hv_message {
	uint32_t type; /* enum hv_message_type; while it is not 0 the slot is the guest's */
	uint8_t payload_size;
	uint8_t flags; /* HV_MESSAGE_PENDING */
	uint16_t reserved;
	uint64_t origin; /* port */
	uint8_t payload[HV_MESSAGE_PAYLOAD_MAX];
};
static_assert(sizeof(struct hv_message) == 256, "ABI");
static_assert(offsetof(struct hv_message, payload) == 16, "ABI");

struct hv_timer_message {
	uint32_t index;
	uint32_t reserved;
	uint64_t expiration; /* reference time */
	uint64_t delivery;
};
static_assert(sizeof(struct hv_timer_message) == 24, "ABI");

/* Event flags of one SINT, in its part of the page. */
#define HV_EVENT_BYTES 256u
#define HV_EVENT_FLAGS (HV_EVENT_BYTES * 8)

struct hv_post_message {
	uint32_t connection;
	uint32_t reserved;
	uint32_t type;
	uint32_t payload_size;
	uint8_t payload[HV_MESSAGE_PAYLOAD_MAX];
};
static_assert(sizeof(struct hv_post_message) == 256, "ABI");

/* --- "Timers": synthetic timers --- */

#define HV_STIMER_COUNT 4u
#define HV_STIMER_ENABLE BIT(0)
#define HV_STIMER_PERIODIC BIT(1)
#define HV_STIMER_LAZY BIT(2)
#define HV_STIMER_AUTO_ENABLE BIT(3)
#define HV_STIMER_VECTOR MASK(11, 4)
#define HV_STIMER_DIRECT BIT(12)
#define HV_STIMER_SINT MASK(19, 16)
#define HV_STIMER_DEFINED \
	(HV_STIMER_ENABLE | HV_STIMER_PERIODIC | HV_STIMER_LAZY | HV_STIMER_AUTO_ENABLE | \
	 HV_STIMER_VECTOR | HV_STIMER_DIRECT | HV_STIMER_SINT)
