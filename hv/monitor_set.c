/* SPDX-License-Identifier: Apache-2.0 */
/* `set`: what a guest gets of the CPUs and of memory, changed while it runs. */
#include "hv/guest.h"
#include "hv/monitor.h"

#define CAP_MAX 6400u
static_assert(CAP_MAX == 100 * VM_VCPUS_MAX, "all of the largest guest's vCPUs, as in guest.conf");

/* Each takes `value` over into the share, or says what is allowed and returns false. */

static bool set_weight(struct span value, struct guest_share *share)
{
	uint64_t n;

	if (span_to_u64(value, &n) != HV_OK || n < SCHED_WEIGHT_MIN || n > SCHED_WEIGHT_MAX) {
		monitor_print("weight is %u to %u\n", SCHED_WEIGHT_MIN, SCHED_WEIGHT_MAX);
		return false;
	}
	share->weight = (unsigned)n;
	return true;
}

static bool set_cap(struct span value, struct guest_share *share)
{
	uint64_t n = 0;

	if (!span_eq(value, "none") && (span_to_u64(value, &n) != HV_OK || n == 0 || n > CAP_MAX)) {
		monitor_print("cap is 1 to %u, in percent of one CPU, or none\n", CAP_MAX);
		return false;
	}
	share->cap = (unsigned)n;
	return true;
}

static bool set_pin(struct span value, struct guest_share *share)
{
	struct sched_cpumask cpus = sched_cpumask_all();

	if (!span_eq(value, "all") && !config_parse_cpus(value, &cpus)) {
		monitor_print("pin is a list of CPUs, as 0-3,8, or all\n");
		return false;
	}
	if (!run_has_cpu(&cpus)) {
		monitor_print("none of these CPUs runs guests; `info cpus` shows which do\n");
		return false;
	}
	share->pin = cpus;
	return true;
}

static const struct {
	const char *name;
	bool (*set)(struct span value, struct guest_share *share);
} keys[] = {
	{"weight", set_weight},
	{"cap", set_cap},
	{"pin", set_pin},
};

static void print_share(const struct guest *g)
{
	const struct guest_share share = guest_share(g);
	char pin[CONFIG_CPUS_TEXT_MAX];
	char cap[16] = "none";

	config_format_cpus(&share.pin, pin, sizeof(pin));
	if (share.cap != 0) {
		fmt_snprintf(cap, sizeof(cap), "%u", share.cap);
	}
	monitor_print("%s: weight %u, cap %s, pin %s\n", g->vm.name, share.weight, cap, pin);
}

void monitor_set(struct span args)
{
	struct guest *g = monitor_guest(&args);
	struct guest_share share;
	struct span key;

	if (g == NULL) {
		return;
	}
	share = guest_share(g);
	if (!span_next_word(&args, &key)) {
		print_share(g);
		return;
	}
	if (span_eq(key, "memory")) {
		monitor_set_memory(g, span_trim(args));
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (span_eq(key, keys[i].name)) {
			if (keys[i].set(span_trim(args), &share)) {
				guest_set_share(g, &share);
				print_share(g);
			}
			return;
		}
	}
	monitor_print("set what? weight, cap, pin or memory\n");
}
