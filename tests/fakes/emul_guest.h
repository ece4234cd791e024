/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest for the emulator's tests: RAM in an array, one page of a device that logs, ports that
 * log, segment registers. Accesses that break the contract of struct emul_ops fail a CHECK.
 */
#pragma once

#include "hv/api/vm.h"
#include "hv/emul/emulate.h"

#define EMUL_GUEST_RAM_SIZE 0x20000u
#define EMUL_GUEST_DEVICE 0x40000u /* one page */
#define EMUL_GUEST_CODE 0x1000u	   /* where emul_guest_code puts instructions */
#define EMUL_GUEST_LOG 512u

enum emul_guest_kind { EMUL_GUEST_READ, EMUL_GUEST_WRITE, EMUL_GUEST_IN, EMUL_GUEST_OUT };

/* One access to the device or a port. */
struct emul_guest_event {
	enum emul_guest_kind kind;
	uint64_t addr;
	unsigned size;
	uint64_t value;
};

struct emul_guest {
	struct emul_ctx c;
	uint64_t gpr[GPR_COUNT];
	struct vcpu_segment segs[VCPU_SEG_COUNT]; /* no descriptor tables at first */
	uint64_t xmm[EMUL_MMX_FIRST + 8][2];	  /* and MM0 .. MM7 */
	/* RAM is [ram_base, ram_base + ram_size), the bytes at `ram`. */
	uint8_t *ram;
	uint64_t ram_base;
	uint64_t ram_size;
	uint64_t device_value; /* what the device and the ports read as; counts up by one each time
				*/
	unsigned log_count;
	struct emul_guest_event log[EMUL_GUEST_LOG];
	unsigned blocks; /* of string port accesses that were done at once */
	unsigned segment_reads;
	unsigned entry_reads;
	unsigned exchanges;
	bool exchange_fails; /* as if another CPU had been faster */
	uint8_t own_ram[EMUL_GUEST_RAM_SIZE];
};

/* Flat segments, no paging, CPL 0, zeroed registers and RAM. */
void emul_guest_init(struct emul_guest *g, enum insn_mode mode);
/* Puts `n` bytes at EMUL_GUEST_CODE and RIP there. */
void emul_guest_code(struct emul_guest *g, const uint8_t *bytes, size_t n);
/* emul_begin and emulate. */
enum emul_status emul_guest_run(struct emul_guest *g);
/* Little-endian access to RAM, 1..8 bytes. */
uint64_t emul_guest_peek(const struct emul_guest *g, uint64_t addr, unsigned size);
void emul_guest_poke(struct emul_guest *g, uint64_t addr, unsigned size, uint64_t value);
