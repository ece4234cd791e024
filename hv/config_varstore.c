/* SPDX-License-Identifier: Apache-2.0 */
/* Where variables are kept, as it is written in guest.conf. */
#include "hv/config_varstore.h"

#include "hv/base/bits.h"
#include "hv/blk/gpt.h"
#include "hv/blk/varstore.h"
#include "hv/config_text.h"

#define PARTITION "partition:"

static void set_place(struct config_parser *p, struct config_varstore *v, struct span place)
{
	size_t n = sizeof(PARTITION) - 1;
	struct span name;

	if (span_eq(place, "memory")) {
		return;
	}
	if (!span_starts(place, PARTITION)) {
		config_fail_value(p, place, "memory, partition:LABEL, partition:UUID");
		return;
	}
	name = span_trim((struct span){place.p + n, place.n - n});
	if (name.n == 0 || name.n >= GPT_LABEL_MAX) {
		config_fail(p, "the name has %zu bytes; allowed: 1 to %u", name.n,
			    GPT_LABEL_MAX - 1);
		return;
	}
	v->partition = true;
	(void)str_copy(v->name, sizeof(v->name), name);
}

bool config_varstore_fits(uint64_t bytes)
{
	return bytes != 0 && is_aligned(bytes, VARSTORE_BLOCK) &&
	       bytes / VARSTORE_BLOCK <= VARSTORE_BLOCKS_MAX;
}

static void set_template(struct config_parser *p, struct config_varstore *v, struct span file)
{
	if (v->own_template) {
		config_fail(p, "template is given twice");
		return;
	}
	v->template = config_find_file(p, file);
	v->own_template = v->template != CONFIG_NO_ENTRY;
	if (v->own_template && !config_varstore_fits(p->tree->entries[v->template].size)) {
		config_fail(p, "the template has %lu bytes; allowed: " CONFIG_VARSTORE_SIZES,
			    p->tree->entries[v->template].size);
	}
}

void config_set_varstore(struct config_parser *p, struct span value)
{
	struct guest_config *g = p->out;
	struct config_varstore *v = &g->varstore;
	struct span part = {"", 0};

	(void)config_next_part(&value, &part);
	set_place(p, v, part);
	while (config_next_part(&value, &part)) {
		struct span name;
		struct span file;

		config_split_option(part, &name, &file);
		if (span_eq(name, "template") && file.p != NULL) {
			set_template(p, v, file);
		} else {
			config_fail_value(p, part, "template=FILE");
		}
	}
}
