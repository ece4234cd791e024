/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin for QEMU (TCG plugins, interface version 1): how often each translated block of code
 * ran, in phases. A phase ends whenever the block at the address `mark` runs. At the emulator's end
 * a line for each block goes to the file `out`:
 *
 *	ADDRESS INSTRUCTIONS TIMES-IN-PHASE-0 TIMES-IN-PHASE-1 …
 *
 * Debian has no header for the interface; what is used of it is declared here (QEMU manual, "QEMU
 * TCG Plugins", "API").
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define PHASES 32u
#define BUCKET_BITS 20u

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
					   void (*cb)(qemu_plugin_id_t, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, void (*cb)(unsigned, void *),
					  int flags, void *ctx);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, void (*cb)(qemu_plugin_id_t, void *),
				    void *ctx);

EXPORT extern int qemu_plugin_version;
int qemu_plugin_version = 1;
EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv);

struct block {
	struct block *next;
	uint64_t address;
	uint64_t instructions;
	uint64_t times[PHASES];
};

/* One emulated CPU: nothing runs at once. */
static struct block *buckets[1u << BUCKET_BITS];
static unsigned phase;
static uint64_t mark;
static const char *out;

static void block_runs(unsigned cpu, void *ctx)
{
	struct block *b = ctx;

	(void)cpu;
	if (b->address == mark && phase < PHASES - 1) {
		phase++;
	}
	b->times[phase]++;
}

/* The same block may be translated again and again. */
static struct block *block_of(uint64_t address, uint64_t instructions)
{
	struct block **bucket = &buckets[address * 0x9e3779b97f4a7c15ull >> (64 - BUCKET_BITS)];
	struct block *b = *bucket;

	while (b != NULL && (b->address != address || b->instructions != instructions)) {
		b = b->next;
	}
	if (b == NULL) {
		b = calloc(1, sizeof(*b));
		if (b == NULL) {
			abort();
		}
		b->address = address;
		b->instructions = instructions;
		b->next = *bucket;
		*bucket = b;
	}
	return b;
}

static void block_translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	struct block *b = block_of(qemu_plugin_tb_vaddr(tb), qemu_plugin_tb_n_insns(tb));

	(void)id;
	qemu_plugin_register_vcpu_tb_exec_cb(tb, block_runs, 0, b);
}

static void write_block(FILE *f, const struct block *b)
{
	fprintf(f, "%" PRIx64 " %" PRIu64, b->address, b->instructions);
	for (unsigned i = 0; i <= phase; i++) {
		fprintf(f, " %" PRIu64, b->times[i]);
	}
	fputc('\n', f);
}

static void emulator_ends(qemu_plugin_id_t id, void *ctx)
{
	FILE *f = fopen(out, "w");

	(void)id;
	(void)ctx;
	if (f == NULL) {
		perror(out);
		return;
	}
	for (unsigned i = 0; i < 1u << BUCKET_BITS; i++) {
		for (const struct block *b = buckets[i]; b != NULL; b = b->next) {
			write_block(f, b);
		}
	}
	fclose(f);
}

int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv)
{
	(void)info;
	for (int i = 0; i < argc; i++) {
		if (strncmp(argv[i], "mark=", 5) == 0) {
			mark = strtoull(argv[i] + 5, NULL, 16);
		} else if (strncmp(argv[i], "out=", 4) == 0) {
			out = strdup(argv[i] + 4);
		}
	}
	if (mark == 0 || out == NULL) {
		fputs("count_blocks: mark=ADDRESS and out=FILE are needed\n", stderr);
		return 1;
	}
	qemu_plugin_register_vcpu_tb_trans_cb(id, block_translated);
	qemu_plugin_register_atexit_cb(id, emulator_ends, NULL);
	return 0;
}
