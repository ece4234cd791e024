/* SPDX-License-Identifier: Apache-2.0 */
/* Arbitrary bytes as the hypervisor's ELF file: what is accepted must load inside its span. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "boot/elf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Laying out 64 MiB for every accepted input would leave little time for inputs. */
#define LOAD_MAX (1u << 20)

static void require(int condition)
{
	if (!condition) {
		abort();
	}
}

static void check(const struct elf_plan *plan, size_t size)
{
	uint64_t end = plan->base;

	require(plan->span % 4096 == 0 && plan->span <= ELF_IMAGE_SPAN_MAX);
	require(plan->segment_count > 0 && plan->segment_count <= ELF_SEGMENTS_MAX);
	for (size_t i = 0; i < plan->segment_count; i++) {
		const struct elf_segment *s = &plan->segments[i];

		require(s->address >= end && s->address % 4096 == 0);
		require(s->memory_size != 0 && s->file_size <= s->memory_size);
		require(s->file_size <= size && s->file_offset <= size - s->file_size);
		require((s->flags & (ELF_W | ELF_X)) != (ELF_W | ELF_X));
		require(s->address - plan->base + s->memory_size <= plan->span);
		end = s->address + s->memory_size;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct elf_plan plan;

	if (elf_plan(data, size, &plan) != NULL) {
		return 0;
	}
	check(&plan, size);
	if (plan.span <= LOAD_MAX) {
		void *memory = malloc(plan.span);

		require(memory != NULL);
		elf_load(&plan, data, memory);
		free(memory);
	}
	return 0;
}
